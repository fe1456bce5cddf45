"""xxh3.py: XXH3-64 with seed 0, the checksum of every structure of a vdb file.

Follows the published description of the algorithm. Where the machine has libxxhash, xxh3_64() uses
it through ctypes, since plain Python manages about a megabyte a second; pure_xxh3_64() never does.

SPDX-License-Identifier: BSD-2-Clause
"""

import ctypes
import ctypes.util
import struct

SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e"
    "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)
MASK32 = 0xFFFFFFFF
MASK64 = 0xFFFFFFFFFFFFFFFF
P32_1, P32_2, P32_3 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
P64_1, P64_2, P64_3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
P64_4, P64_5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
PMX1, PMX2 = 0x165667919E3779F9, 0x9FB21C651E98DF25

STRIPE = 64  # bytes that one round takes in
STRIPES_A_BLOCK = (len(SECRET) - STRIPE) // 8


def _u32(data, at):
    return struct.unpack_from("<I", data, at)[0]


def _u64(data, at):
    return struct.unpack_from("<Q", data, at)[0]


def _swap64(v):
    return int.from_bytes(v.to_bytes(8, "little"), "big")


def _rotl64(v, r):
    return ((v << r) | (v >> (64 - r))) & MASK64


def _fold(a, b):
    """The 128-bit product of two 64-bit numbers, its halves folded together."""
    p = a * b
    return (p & MASK64) ^ (p >> 64)


def _avalanche(h):
    h ^= h >> 37
    h = h * PMX1 & MASK64
    return h ^ (h >> 32)


def _avalanche_xxh64(h):
    h ^= h >> 33
    h = h * P64_2 & MASK64
    h ^= h >> 29
    h = h * P64_3 & MASK64
    return h ^ (h >> 32)


def _mix16(data, at, secret_at):
    return _fold(_u64(data, at) ^ _u64(SECRET, secret_at),
                 _u64(data, at + 8) ^ _u64(SECRET, secret_at + 8))


def _up_to_16(data):
    n = len(data)
    if n > 8:
        low = _u64(data, 0) ^ _u64(SECRET, 24) ^ _u64(SECRET, 32)
        high = _u64(data, n - 8) ^ _u64(SECRET, 40) ^ _u64(SECRET, 48)
        return _avalanche((n + _swap64(low) + high + _fold(low, high)) & MASK64)
    if n >= 4:
        both = _u32(data, n - 4) | _u32(data, 0) << 32
        h = both ^ _u64(SECRET, 8) ^ _u64(SECRET, 16)
        h ^= _rotl64(h, 49) ^ _rotl64(h, 24)
        h = h * PMX2 & MASK64
        h ^= (h >> 35) + n & MASK64
        h = h * PMX2 & MASK64
        return h ^ (h >> 28)
    if n:
        packed = data[0] << 16 | data[n >> 1] << 24 | data[n - 1] | n << 8
        return _avalanche_xxh64(packed ^ _u32(SECRET, 0) ^ _u32(SECRET, 4))
    return _avalanche_xxh64(_u64(SECRET, 56) ^ _u64(SECRET, 64))


def _up_to_128(data):
    n = len(data)
    acc = n * P64_1
    for i in reversed(range((n - 1) // 32 + 1)):
        acc += _mix16(data, 16 * i, 32 * i) + _mix16(data, n - 16 * (i + 1), 32 * i + 16)
    return _avalanche(acc & MASK64)


def _up_to_240(data):
    n = len(data)
    acc = n * P64_1
    for i in range(8):
        acc += _mix16(data, 16 * i, 16 * i)
    acc = _avalanche(acc & MASK64)
    for i in range(8, n // 16):
        acc += _mix16(data, 16 * i, 16 * (i - 8) + 3)
    acc += _mix16(data, n - 16, 136 - 17)
    return _avalanche(acc & MASK64)


def _long(data):
    n = len(data)
    acc = [P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1]
    keys = [struct.unpack_from("<8Q", SECRET, 8 * i) for i in range(STRIPES_A_BLOCK)]
    scramble_key = struct.unpack_from("<8Q", SECRET, len(SECRET) - STRIPE)
    last_key = struct.unpack_from("<8Q", SECRET, len(SECRET) - STRIPE - 7)

    def take(at, key):
        words = struct.unpack_from("<8Q", data, at)
        for lane in range(8):
            keyed = words[lane] ^ key[lane]
            acc[lane ^ 1] += words[lane]
            acc[lane] += (keyed & MASK32) * (keyed >> 32)
        for lane in range(8):
            acc[lane] &= MASK64

    for stripe in range((n - 1) // STRIPE):
        take(stripe * STRIPE, keys[stripe % STRIPES_A_BLOCK])
        if stripe % STRIPES_A_BLOCK == STRIPES_A_BLOCK - 1:
            for lane in range(8):
                v = acc[lane]
                acc[lane] = (v ^ (v >> 47) ^ scramble_key[lane]) * P32_1 & MASK64
    take(n - STRIPE, last_key)
    h = n * P64_1
    for i in range(4):
        h += _fold(acc[2 * i] ^ _u64(SECRET, 11 + 16 * i),
                   acc[2 * i + 1] ^ _u64(SECRET, 19 + 16 * i))
    return _avalanche(h & MASK64)


def pure_xxh3_64(data):
    n = len(data)
    if n <= 16:
        return _up_to_16(data)
    if n <= 128:
        return _up_to_128(data)
    if n <= 240:
        return _up_to_240(data)
    return _long(data)


def _library():
    name = ctypes.util.find_library("xxhash")
    if not name:
        return None
    try:
        function = ctypes.CDLL(name).XXH3_64bits
    except (OSError, AttributeError):
        return None
    function.restype = ctypes.c_uint64
    function.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    return function


_FUNCTION = _library()


def xxh3_64(data):
    data = bytes(data)
    return _FUNCTION(data, len(data)) if _FUNCTION else pure_xxh3_64(data)


def is_fast():
    return _FUNCTION is not None
