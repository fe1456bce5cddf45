#!/usr/bin/env bats
# spec.bats: the machinery that keeps format-spec/ true finds what it is there to find, and the
# worked example is a file that the independent reader reads.
# SPDX-License-Identifier: BSD-2-Clause

setup() {
    root=${VDB_SOURCE_DIR:-$BATS_TEST_DIRNAME/../..}
    cd "$BATS_TEST_TMPDIR"
    reader=$root/format-spec/reader/vdb_reader.py
}

# A copy of the pages and the header, to be spoilt.
copy_pages() {
    cp -r "$root/format-spec" pages
    cp "$root/lib/format/disk.h" disk.h
}

assert_pages() {
    run --separate-stderr python3 "$root/tests/spec/spec_assert.py" --header disk.h pages/*.md
}

# The pages are refused, nothing is printed, and the message has these words.
refused() {
    assert_pages
    [ "$status" -eq 1 ]
    [ -z "$output" ]
    [[ $stderr == *"$1"* ]] || { echo "$stderr"; false; }
}

bats_require_minimum_version 1.5.0

@test "the tables describe disk.h, and the compiler agrees" {
    copy_pages
    assert_pages
    [ "$status" -eq 0 ]
    printf '%s\n' "$output" >spec_assert.c
    [ "$(grep -c _Static_assert spec_assert.c)" -gt 400 ]
    ${CC:-cc} -std=c11 -Wall -Wextra -Wpedantic -Werror -I"$root/lib" -c spec_assert.c -o spec_assert.o
}

@test "the compiler refuses a header that moved away from the tables" {
    copy_pages
    assert_pages
    printf '%s\n' "$output" >spec_assert.c
    mkdir -p changed/format && cp -r "$root/lib/base" changed/base
    sed 's/le64 generation; \/\* equals/le32 generation; \/* equals/' disk.h >changed/format/disk.h
    ! cmp -s disk.h changed/format/disk.h
    run ${CC:-cc} -std=c11 -Ichanged -I"$root/lib" -c spec_assert.c -o spec_assert.o
    [ "$status" -ne 0 ]
    [[ $output == *"manifest.md"* ]]
}

@test "a gap between fields is found" {
    copy_pages
    sed -i 's/^| 12 | 4 | u32 | header_len/| 13 | 4 | u32 | header_len/' pages/superblock.md
    refused "gap, the field before ends at 12"
}

@test "an overlap of fields is found" {
    copy_pages
    sed -i 's/^| 12 | 4 | u32 | header_len/| 11 | 4 | u32 | header_len/' pages/superblock.md
    refused "overlap, the field before ends at 12"
}

@test "an unknown type is found" {
    copy_pages
    sed -i 's/^| 12 | 4 | u32 | header_len/| 12 | 4 | word | header_len/' pages/superblock.md
    refused "type word is not known"
}

@test "a size that is not that of the type is found" {
    copy_pages
    sed -i 's/^| 12 | 4 | u32 | header_len/| 12 | 4 | u16 | header_len/' pages/superblock.md
    refused "header_len is 4 bytes, its type u16 is 2"
}

@test "a struct of the header without a table is found" {
    copy_pages
    sed -i 's/^#endif$/struct disk_new { le32 a; };\n#endif/' disk.h
    refused "no table has struct disk_new"
}

@test "a constant of the header without a table is found" {
    copy_pages
    sed -i 's/^#define VDB_ID_GROUP.*/&\n#define VDB_NEW 7\nenum { DISK_NEW = 9 };/' disk.h
    refused "no table has the constant VDB_NEW"
    [[ $stderr == *"no table has the constant DISK_NEW"* ]]
}

@test "a field that the header does not have is found" {
    copy_pages
    sed -i 's/^| 12 | 4 | u32 | header_len/| 12 | 4 | u32 | head_len/' pages/superblock.md
    refused "fields of disk_superblock differ from the header's: head_len header_len"
}

@test "a changed magic is found" {
    copy_pages
    sed -i 's/^| VDB_MAGIC | 8f/| VDB_MAGIC | 8e/' pages/superblock.md
    refused "VDB_MAGIC is 8f 56 44 42 0d 0a 1a 0a in the header"
}

@test "the examples in the pages are those of the generator" {
    python3 "$root/tests/spec/make_examples.py" --check "$root/format-spec"
    copy_pages
    sed -i 's/^generation = 3/generation = 4/' pages/superblock.md
    run python3 "$root/tests/spec/make_examples.py" --check pages
    [ "$status" -eq 1 ]
    [[ $output == *"superblock.md"* ]]
}

@test "XXH3-64 in Python agrees with others at every length" {
    # Of the first n bytes of b(i) = 131 i + 7 (i >> 8) + 3 modulo 256; computed with xxHash 0.8.
    run python3 - "$root" <<'EOF'
import sys
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1] + "/format-spec/reader")
from xxh3 import xxh3_64
data = bytes((131 * i + 7 * (i >> 8) + 3) % 256 for i in range(9999))
assert xxh3_64(b"") == 0x2D06800538D394C2
for n, said in (
    (1, 0x13e608bc156defed), (3, 0x974a8c6fa70c32a8), (4, 0xd53c28cdece5352d), (8, 0xd4d9e4c499ebd3fc),
    (9, 0xd6fde0887a1893ca), (16, 0xca4738193200d5bf), (17, 0x02ec68113d62488b), (32, 0xd5cb55f2bd3ab281),
    (33, 0x177fc93b526aa0a0), (64, 0x37d7807c33e74a3c), (96, 0xef2dac2823b8855c), (97, 0x2fcb41d8c85c1417),
    (128, 0xa67ae43aec758836), (129, 0xfb628a6571944e54), (143, 0xcb394ca9df38ceb7), (144, 0xe8e97089012661c3),
    (240, 0x2408051b9d580275), (241, 0xef630bb6bb6cfe02), (256, 0x52fef52244b0c88c), (512, 0x9067c035e410c0b4),
    (1023, 0x430bd3e6b1d6f463), (1024, 0x46703f18d0b7abc5), (1025, 0x178c11ef15cb206e), (1087, 0x63c4ab51e885e74f),
    (1088, 0x5ae094d2d2efb3db), (1089, 0x852b42752ad931d6), (2048, 0x3dd2764ed338d910), (2049, 0xb1dc89fa1cb577dd),
    (4088, 0xb09e179bd22a3843), (4999, 0x18b777c4c0f930a4),
):
    assert xxh3_64(data[:n]) == said, n
EOF
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "the checks in the table of README.md are those of XXH3-64, of each way that it goes by length" {
    run python3 - "$root" <<'EOF'
import re, sys
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1] + "/format-spec/reader")
import xxh3
page = open(sys.argv[1] + "/format-spec/README.md", encoding="utf-8").read()
said = re.findall(r"^\| (\d+) \| ([0-9a-f]{16}) \|$", page, re.M)
assert len(said) == 15, said
for length, check in said:
    data = bytes(i % 251 for i in range(int(length)))
    assert "%016x" % xxh3.xxh3_64(data) == check, length
EOF
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "the independent reader reads the worked example" {
    python3 "$root/tests/spec/make_examples.py" --file example.vdb "$root/format-spec"
    python3 "$reader" check example.vdb
    run python3 "$reader" get example.vdb
    [ "$status" -eq 0 ]
    [ "$output" = '{"id": "pear", "vector": [-0.5, 0.75, 0.25, -1.0], "metadata": {"tags":["b","c"]}}
{"id": "plum", "vector": [0.0, 0.0, 0.5, 0.5], "metadata": {"lang":null}}
{"id": "apple", "vector": [0.5, -0.25, 0.0, 0.25], "metadata": {"year":2026}}' ]
    run python3 "$reader" get example.vdb fig
    [ "$status" -eq 1 ]
}

@test "the independent reader goes back to each commit that is kept, and to no other" {
    python3 "$root/tests/spec/make_examples.py" --file example.vdb "$root/format-spec"
    while read -r commit ids; do
        run python3 "$reader" get --at "$commit" example.vdb
        echo "$commit: $output"
        [ "$status" -eq 0 ]
        [ "$(grep -o '"id": "[a-z]*"' <<<"$output" | cut -d '"' -f 4 | tr '\n' ' ')" = "$ids " ]
    done <<'EOF'
3 apple plum
harvest apple plum
4 apple pear plum
5 apple plum
6 plum apple
press plum apple
7 pear plum apple
cider pear plum apple
EOF
    [ "$(python3 "$reader" get --at 5 example.vdb apple | grep -c 2021)" -eq 1 ]
    [ "$(python3 "$reader" get --at 6 example.vdb apple | grep -c 2026)" -eq 1 ]
    for commit in 1 2 8 0; do
        run python3 "$reader" get --at $commit example.vdb
        [ "$status" -eq 1 ]
    done
}

@test "the independent reader lists what is in the file" {
    python3 "$root/tests/spec/make_examples.py" --file example.vdb "$root/format-spec"
    python3 "$reader" list example.vdb >listed
    python3 - <<'EOF'
import json
listed = {}
for line in open("listed"):
    line = json.loads(line)
    listed.setdefault(line["structure"], []).append(line)
names = [tuple(n[k] for k in ("name", "commit", "time_us", "created_us", "rows", "live_count", "origin_id", "origin_commit"))
         for n in listed["name"]]
mine, other = "00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100"
assert sorted(names) == [("cider", 7, 1767323220000000, 1767323220000000, 4, 3, other, 12),
                         ("harvest", 3, 1767322980000000, 1767322987000000, 3, 2, mine, 3),
                         ("press", 6, 1767323160000000, 1767323169000000, 4, 2, mine, 6)], names
assert [s["name"] for s in listed["segment"]] == ["vector", "code", "graph", "id", "id-hash", "metadata", "tombstone",
                                                  "history", "states"]
assert [(p["kind"], p["begin"], p["end"]) for p in listed["part"]] == [(2, 0, 3)]
assert [(s["commit"], s["rows"]) for s in listed["state"]] == [(3, 3), (4, 3), (5, 3), (6, 4), (7, 4)]
assert [r["commit"] for r in listed["record"]] == [5, 6, 6, 6, 7]
assert [(e["off"], e["size"]) for e in listed["extent"]] == [(655360, 4096)]
assert listed["superblock"][0]["generation"] == 3 and listed["manifest"][0]["commit"] == 5
EOF
}

@test "with either superblock slot damaged, the reader finds the same rows" {
    python3 "$root/tests/spec/make_examples.py" --file example.vdb "$root/format-spec"
    python3 "$reader" get example.vdb >expected
    for slot in 0 4096; do
        cp example.vdb damaged.vdb
        printf 'X' | dd of=damaged.vdb bs=1 seek=$((slot + 200)) conv=notrunc status=none
        python3 "$reader" get damaged.vdb | cmp - expected
        run python3 "$reader" check damaged.vdb
        [ "$status" -eq 1 ]
        [[ $output == *"slot $((slot / 4096))"* ]]
    done
}

@test "the reader finds a flipped bit in every segment, in the manifest, and in a record" {
    python3 "$root/tests/spec/make_examples.py" --file example.vdb "$root/format-spec"
    run python3 - "$root" <<'EOF'
import sys
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1] + "/format-spec/reader")
import io
from check import check
from index import Index
from storage import Refused, Span

whole = open("example.vdb", "rb").read()
opened = lambda data: Span(io.BytesIO(data), "file", 0, len(data))
good = Index(opened(whole))
places = [s.off + at for s in good.manifest.segments for at in range(0, s.size, 7)]
places += list(range(good.slot.manifest_off, good.slot.manifest_off + good.slot.manifest_len, 7))
places += list(range(655360, 655616, 7))  # the record of commit 5, which the manifest covers
for place in places:
    data = bytearray(whole)
    data[place] ^= 0x10
    try:
        assert check(opened(data)), "not found at %d" % place
    except Refused:
        pass
# Where the log goes on from there, a record with a flipped bit is no record: the log ends before it.
data = bytearray(whole)
data[655616 + 100] ^= 0x10
assert Index(opened(data)).states[-1].commit == 5
EOF
    echo "$output"
    [ "$status" -eq 0 ]
}
