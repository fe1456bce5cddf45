#!/usr/bin/env python3
"""vectors.py: writes three vectors of two numbers, (1, 2), (3, 4), (5, 6), in a binary format, sound
or with one thing wrong. Nothing here knows the code under test: the layouts are the formats' own.

usage: vectors.py FORMAT FILE [FAULT]

SPDX-License-Identifier: BSD-2-Clause
"""
import gzip
import struct
import sys

ROWS = [(1, 2), (3, 4), (5, 6)]
CODE = {'<f4': 'f', '<f8': 'd', '<f2': 'e', '|i1': 'b', '|u1': 'B'}


def numbers(code, rows=None):
    return b''.join(struct.pack('<2' + code, *row) for row in rows or ROWS)


def npy(descr, rows=None, shape='(3, 2)', order='False', magic=b'\x93NUMPY', length=None):
    text = "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }" % (descr, order, shape)
    text = text.ljust(117) + '\n'
    head = magic + b'\x01\x00' + struct.pack('<H', length or len(text)) + text.encode()
    return head + numbers(CODE.get(descr, 'f'), rows)


def vecs(code, dims=(2, 2, 2)):
    return b''.join(struct.pack('<i2' + code, dim, *row) for dim, row in zip(dims, ROWS))


def big(code, count=3, dim=2):
    return struct.pack('<II', count, dim) + numbers(code)


def idx(dims=(3, 2), kind=8):
    return struct.pack('>BBBB', 0, 0, kind, len(dims)) + \
        b''.join(struct.pack('>I', n) for n in dims) + numbers('B')


NAN, INF = float('nan'), float('inf')
MAKE = {
    'npy': {
        'good': lambda: npy('<f4'), 'f2': lambda: npy('<f2'), 'f8': lambda: npy('<f8'),
        'i1': lambda: npy('|i1'), 'u1': lambda: npy('|u1'),
        'truncated': lambda: npy('<f4')[:-1], 'head-cut': lambda: npy('<f4')[:40],
        'more-rows': lambda: npy('<f4', shape='(4, 2)'),
        'huge': lambda: npy('<f4', shape='(4611686018427387904, 65535)'),
        'wide': lambda: npy('<f4', shape='(1, 65536)'),
        'flat': lambda: npy('<f4', shape='(6,)'), 'type': lambda: npy('<c8'),
        'length': lambda: npy('<f4', length=65535),
        'nan': lambda: npy('<f4', [(1, 2), (3, NAN), (5, 6)]),
        'inf': lambda: npy('<f4', [(1, 2), (3, INF), (5, 6)]),
        'zero': lambda: npy('<f4', [(1, 2), (0, 0), (5, 6)]),
    },
    'fvecs': {
        'good': lambda: vecs('f'), 'truncated': lambda: vecs('f')[:-1],
        'other-dim': lambda: vecs('f', (2, 3, 2)), 'negative': lambda: vecs('f', (-1, 2, 2)),
        'huge': lambda: vecs('f', (0x7fffffff, 2, 2)),
    },
    'bvecs': {
        'good': lambda: vecs('B'), 'truncated': lambda: vecs('B')[:-1],
        'other-dim': lambda: vecs('B', (2, 1, 2)), 'huge': lambda: vecs('B', (0x7fffffff, 2, 2)),
    },
    'ivecs': {
        'good': lambda: vecs('i'), 'truncated': lambda: vecs('i')[:-1],
        'other-dim': lambda: vecs('i', (2, 3, 2)), 'huge': lambda: vecs('i', (0x7fffffff, 2, 2)),
    },
    'fbin': {
        'good': lambda: big('f'), 'truncated': lambda: big('f')[:-1],
        'more-rows': lambda: big('f', count=4), 'huge': lambda: big('f', 0xffffffff, 0xffffffff),
        'no-dim': lambda: big('f', dim=0),
    },
    'u8bin': {
        'good': lambda: big('B'), 'truncated': lambda: big('B')[:-1],
        'more-rows': lambda: big('B', count=4), 'huge': lambda: big('B', 0xffffffff, 0xffffffff),
    },
    'i8bin': {
        'good': lambda: big('b'), 'truncated': lambda: big('b')[:-1],
        'more-rows': lambda: big('b', count=4), 'huge': lambda: big('b', 0xffffffff, 0xffffffff),
    },
    'idx': {
        'good': lambda: idx(), 'truncated': lambda: idx()[:-1],
        'more-rows': lambda: idx((4, 2)), 'huge': lambda: idx((0xffffffff, 0xffffffff, 0xffffffff)),
        'type': lambda: idx(kind=0x0c), 'gzip': lambda: gzip.compress(idx(), mtime=0),
        'gzip-cut': lambda: gzip.compress(idx(), mtime=0)[:-9],
    },
}

if __name__ == '__main__':
    kind, path = sys.argv[1:3]
    fault = sys.argv[3] if len(sys.argv) > 3 else 'good'
    with open(path, 'wb') as out:
        out.write(MAKE[kind][fault]())
