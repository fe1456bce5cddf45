"""xxh3.py: the 64-bit XXH3 of bytes, with seed 0 and the default secret (README.md, Checksums)."""
# SPDX-License-Identifier: BSD-2-Clause
from operator import mul
from struct import unpack

M64, P0, P1 = 2**64 - 1, 0x9E3779B1, 0x9E3779B185EBCA87
P2, P3 = 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
LANES = [0xC2B2AE3D, P1, P2, P3, 0x85EBCA77C2B2AE63, 0x85EBCA77, 0x27D4EB2F165667C5, P0]
SECRET = bytes.fromhex("""
b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221
b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8
a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb
170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e
""")
BLOCK_KEY = b"".join(SECRET[8 * i:8 * i + 64] for i in range(16))  # of the 16 stripes of a block

def u64(data, at):
    return int.from_bytes(data[at:at + 8], "little")

def key(at):
    return u64(SECRET, at)

def fold(a, b):
    return (a * b & M64) ^ (a * b >> 64)

def avalanche(h, shift=37, factor=0x165667919E3779F9):
    h = (h & M64 ^ (h & M64) >> shift) * factor & M64
    return h ^ h >> 32

def mix16(data, at, secret_at):
    return fold(u64(data, at) ^ key(secret_at), u64(data, at + 8) ^ key(secret_at + 8))

def xxh3_64(data):
    n = len(data)
    if n > 240:
        return of_blocks(data, n)
    if n > 128:
        h = avalanche(n * P1 + sum(mix16(data, 16 * i, 16 * i) for i in range(8)))
        return avalanche(h + mix16(data, n - 16, 119) + sum(
            mix16(data, 16 * i, 16 * i - 125) for i in range(8, n // 16)))
    if n > 16:  # 16 bytes from the front and 16 from the end in turn
        return avalanche(n * P1 + sum(
            mix16(data, 16 * i, 32 * i) + mix16(data, n - 16 - 16 * i, 32 * i + 16)
            for i in range((n + 31) // 32)))
    if n > 8:
        low = u64(data, 0) ^ key(24) ^ key(32)
        high = u64(data, n - 8) ^ key(40) ^ key(48)
        return avalanche(n + u64(low.to_bytes(8, "big"), 0) + high + fold(low, high))
    if n > 3:
        h = (u64(data[:4], 0) << 32) + u64(data, n - 4) ^ key(8) ^ key(16)
        h ^= (h << 49 & M64 | h >> 15) ^ (h << 24 & M64 | h >> 40)
        h = h * 0x9FB21C651E98DF25 & M64
        h = (h ^ (h >> 35) + n) * 0x9FB21C651E98DF25 & M64
        return h ^ h >> 28
    h = key(56) ^ key(64) if n == 0 else (
        data[0] << 16 | data[n >> 1] << 24 | data[n - 1] | n << 8) ^ key(0) % 2**32 ^ key(0) >> 32
    return avalanche((h ^ h >> 33) * P2, 29, P3)

def of_blocks(data, n):  # blocks of 1,024 bytes, then whole stripes of 64, then the last 64 bytes
    lanes, last, end = LANES[:], (n - 1) // 1024 * 1024, (n - 1) // 64 * 64
    for at in range(0, last, 1024):
        accumulate(lanes, data[at:at + 1024], BLOCK_KEY)
        lanes = [(lane ^ lane >> 47 ^ key(128 + 8 * i)) * P0 & M64
                 for i, lane in enumerate(lanes)]
    accumulate(lanes, data[last:end], BLOCK_KEY[:end - last])
    accumulate(lanes, data[n - 64:], SECRET[121:185])
    return avalanche(n * P1 + sum(
        fold(lanes[2 * i] ^ key(11 + 16 * i), lanes[2 * i + 1] ^ key(19 + 16 * i))
        for i in range(4)))

def accumulate(lanes, data, secret):  # adds stripes, in any order within a block
    keyed = int.from_bytes(data, "little") ^ int.from_bytes(secret, "little")
    words = unpack(f"<{len(data) // 8}Q", data)
    halves = unpack(f"<{len(data) // 4}I", keyed.to_bytes(len(data), "little"))
    for i in range(8):
        products = map(mul, halves[2 * i::16], halves[2 * i + 1::16])
        lanes[i] = (lanes[i] + sum(words[i ^ 1::8]) + sum(products)) & M64
