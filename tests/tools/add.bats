#!/usr/bin/env bats
# add.bats: vdb-add takes all of an input or none of it, and says of bad input what and where.
# SPDX-License-Identifier: BSD-2-Clause

load common.bash

setup() { common_setup; }

vectors() { python3 "$HERE/vectors.py" "$@"; }

stat_of() { vdb-stat "$1" | sed -n "s/^$2	//p"; }

# unchanged INDEX COMMAND...: the command leaves what the index says and its commit as they were.
unchanged() {
    local index=$1 before
    shift
    before=$(content "$index")
    "$@"
    same "$(content "$index")" "$before"
}

# nothing_made COMMAND...: the command leaves no file behind.
nothing_made() {
    local before
    before=$(ls -A)
    "$@"
    same "$(ls -A)" "$before"
}

# bad PATTERN INPUT [OPTION...]: the input is exit 65 with that sentence, changes nothing in an
# index that is there, and makes none that is not.
bad() {
    local pattern=$1 input=$2
    shift 2
    [ -e abc.vdb ] || make_abc
    unchanged abc.vdb refused 65 "$pattern" vdb-add "$@" abc.vdb "$input"
    nothing_made refused 65 "$pattern" vdb-add --create --dim 2 "$@" new.vdb "$input"
}

# ---- what goes in ----------------------------------------------------------------------------

@test "JSON Lines from standard input, and the summary on stderr" {
    ends 0 bash -c "printf '%s\n' '{\"id\": \"a\", \"vector\": [1, 2]}' | vdb-add --create new.vdb"
    [ -z "$output" ]
    [ "$stderr" = "added 1, updated 0, skipped 0, commit 2" ]
    ends 0 vdb-get new.vdb
    [ "$output" = '{"id": "a", "vector": [1, 2]}' ]
    ends 0 bash -c "echo '{\"id\": \"b\", \"vector\": [1, 2]}' | vdb-add --quiet new.vdb -"
    [ -z "$output$stderr" ]
}

@test "--json prints the summary as an object on stdout instead" {
    make_abc
    printf '{"id": "a", "vector": [0, 0]}\n{"id": "z", "vector": [0, 0]}\nrubbish\n' >mixed.jsonl
    ends 65 vdb-add --json --skip-bad abc.vdb mixed.jsonl
    python3 -c 'import json, sys
assert json.loads(sys.argv[1]) == {"added": 1, "updated": 1, "skipped": 1, "commit": 3}' "$output"
    [[ $stderr == "vdb-add: mixed.jsonl:3: "* && $stderr != *added* ]]
}

@test "the id of an update keeps one live row, the one that came last" {
    make_abc
    printf '{"id": "a", "vector": [%s, 0]}\n' 1 2 3 >three.jsonl
    ends 0 vdb-add abc.vdb three.jsonl
    ends 0 vdb-get --format tsv abc.vdb
    [ "$output" = $'b\t0.1\t-0.5\nc\t5\t6\na\t3\t0' ]
}

@test "--metric, --type, --index and --dim are kept in the file" {
    for metric in l2 cosine ip; do
        for type in f32 f16 i8 u8; do
            for index in graph flat auto; do
                rm -f new.vdb
                printf 'x\t1\t2\n' | vdb-add --quiet --create --metric $metric --type $type \
                    --index $index --dim 2 --format tsv new.vdb
                same "$(vdb-stat new.vdb | grep -E '^(dim|metric|type|index)	' | sort)" \
                    $'dim\t2\nindex\t'$index$'\nmetric\t'$metric$'\ntype\t'$type
            done
        done
    done
}

@test "defaults: l2, the first vector's dimension, the input's type" {
    make_abc
    [ "$(stat_of abc.vdb metric) $(stat_of abc.vdb dim) $(stat_of abc.vdb type)" = "l2 2 f32" ]
    while read -r format fault type; do
        vectors $format in.$format $fault
        vdb-add --quiet --create $format-$fault.vdb in.$format
        [ "$(stat_of $format-$fault.vdb type)" = $type ]
    done <<'END'
npy good f32
npy f2 f16
npy f8 f32
npy i1 i8
npy u1 u8
fvecs good f32
bvecs good u8
ivecs good f32
fbin good f32
u8bin good u8
i8bin good i8
idx good u8
END
}

@test "every format gives the same vectors, by extension and by --format" {
    want=$'0\t1\t2\n1\t3\t4\n2\t5\t6'
    for format in npy fvecs bvecs ivecs fbin u8bin i8bin idx; do
        vectors $format in.$format
        ends 0 vdb-add --create $format.vdb in.$format
        same "$(vdb-get --format tsv $format.vdb)" "$want"
        cp in.$format nameless
        ends 0 vdb-add --create --format $format $format-2.vdb nameless
        same "$(vdb-get --format tsv $format-2.vdb)" "$want"
        ends 0 bash -c "vdb-add --create --format $format $format-3.vdb <nameless"
        same "$(vdb-get --format tsv $format-3.vdb)" "$want"
    done
    vectors idx images.gz gzip
    ends 0 vdb-add --create --format idx gzip.vdb images.gz
    same "$(vdb-get --format tsv gzip.vdb)" "$want"
    printf '0 1 2\n1 3 4\n2 5 6\n' >words.txt
    printf '3 2\n0 1 2\n1 3 4\n2 5 6\n' >counted.txt
    printf '0,1,2\n1,3,4\n2,5,6\n' >in.csv
    printf '%s\n' "$want" >in.tsv
    ends 0 vdb-add --create --format word2vec w.vdb words.txt
    ends 0 vdb-add --create --format word2vec c.vdb counted.txt
    ends 0 vdb-add --create csv.vdb in.csv
    ends 0 vdb-add --create tsv.vdb in.tsv
    for index in w c csv tsv; do same "$(vdb-get --format tsv $index.vdb)" "$want"; done
}

@test "several inputs: one transaction, and row numbers count on" {
    vectors npy one.npy
    vectors fvecs two.fvecs
    ends 0 vdb-add --create --id-prefix r new.vdb one.npy two.fvecs
    [ "$stderr" = "added 6, updated 0, skipped 0, commit 2" ]
    ends 0 vdb-get --format tsv new.vdb
    same "$(cut -f1 <<<"$output")" $'r0\nr1\nr2\nr3\nr4\nr5'
    same "$(sed -n 5p <<<"$output")" $'r4\t3\t4'
    vectors npy bad.npy nan
    unchanged new.vdb refused 65 "bad.npy: row 1*" vdb-add new.vdb one.npy bad.npy
    unchanged new.vdb refused 66 "missing.npy: *" vdb-add new.vdb one.npy missing.npy
    nothing_made refused 66 "missing.npy: *" vdb-add --create none.vdb one.npy missing.npy
}

@test "--ids, --id-prefix and --metadata for inputs without" {
    vectors npy in.npy
    printf 'first\nsecond\nthird\n' >ids
    printf '{"n": 1}\nnull\n{"n": 3}\n' >metadata
    ends 0 vdb-add --create --ids ids --metadata metadata new.vdb in.npy
    same "$(vdb-get new.vdb)" '{"id": "first", "vector": [1, 2], "metadata": {"n": 1}}
{"id": "second", "vector": [3, 4]}
{"id": "third", "vector": [5, 6], "metadata": {"n": 3}}'
    ends 0 vdb-add --id-prefix img- new.vdb in.npy
    ends 0 vdb-get new.vdb img-2
    printf 'first\nsecond\n' >short
    unchanged new.vdb refused 65 "short:3: *" vdb-add --ids short new.vdb in.npy
    printf '{"n": 1}\n[2]\n{"n": 3}\n' >array
    unchanged new.vdb refused 65 "array:2: *" vdb-add --metadata array new.vdb in.npy
    refused 66 "nothere: *" vdb-add --ids nothere new.vdb in.npy
    refused 66 "nothere: *" vdb-add --metadata nothere new.vdb in.npy
    refused 2 "*--ids*" vdb-add --ids ids new.vdb in.npy in.npy
    refused 2 "*--metadata*" vdb-add --metadata metadata new.vdb in.npy in.npy
}

@test "metadata is any JSON object within what the manual says" {
    deep() { printf '{"a":%s%s}' "$(printf '[%.0s' $(seq 2 "$1"))" "$(printf ']%.0s' $(seq 2 "$1"))"; }
    for good in '{}' '{"n": -1.7976931348623157e308, "m": 1e-400}' '{"s": "\u0000", "t": "\ud83d\ude00"}' \
        '{"a": 1, "a": 2}' "$(deep 2048)"; do
        ends 0 vdb-add --quiet --create good.vdb <<<"{\"id\": \"x\", \"vector\": [1], \"metadata\": $good}"
        [ "$(vdb-get good.vdb)" = "{\"id\": \"x\", \"vector\": [1], \"metadata\": $good}" ]
    done
    for bad in '{"n": 1e400}' '{"n": -1e309}' '{"k\u0000": 1}' '{"s": "\ud800"}' '{"\udc00": 1}' '[]' "$(deep 2049)"; do
        echo "{\"id\": \"x\", \"vector\": [1], \"metadata\": $bad}" >bad.jsonl
        nothing_made refused 65 "bad.jsonl:1: column *metadata*" vdb-add --create new.vdb bad.jsonl
    done
}

@test "HDF5: --dataset, --ids-dataset, the metric of the file" {
    make_abc --metric cosine
    vdb-get --format hdf5 --output abc.h5 abc.vdb
    ends 0 vdb-add --create --ids-dataset ids new.vdb abc.h5
    same "$(vdb-get --format tsv new.vdb)" "$(vdb-get --format tsv abc.vdb)"
    [ "$(stat_of new.vdb metric)" = cosine ]
    ends 0 vdb-add --create --dataset train --metric ip ip.vdb abc.h5
    [ "$(stat_of ip.vdb metric)" = ip ]
    same "$(vdb-get --format tsv ip.vdb | cut -f1)" $'0\n1\n2'
    unchanged new.vdb refused 65 "abc.h5: *nosuch*" vdb-add --dataset nosuch new.vdb abc.h5
    unchanged new.vdb refused 65 "abc.h5: *nosuch*" vdb-add --ids-dataset nosuch new.vdb abc.h5
    refused 2 "*abc.jsonl*" vdb-add --dataset train new.vdb abc.jsonl
}

@test "ID=FILE.h5: one vector a file, under that id" {
    write=$VDB_BUILD/tests/aid/write_hdf5 helper=$VDB_BIN/../libexec/vdb/vdb-hdf5
    "$write" "$helper" bolt.h5 train 0 1 2 3
    "$write" "$helper" nut.h5 train 3 4 5 6
    "$write" "$helper" two.h5 train 3 1 2 3 4 5 6
    "$write" "$helper" 'a=b.h5' train 0 7 8 9
    cp bolt.h5 nameless
    ends 0 vdb-add --create parts.vdb bolt=bolt.h5 nut-1=nut.h5 "x=y=nut.h5" "u=v=a=b.h5" n=nameless
    [ "$stderr" = "added 5, updated 0, skipped 0, commit 2" ]
    ends 0 vdb-get --format tsv parts.vdb
    same "$output" $'bolt\t1\t2\t3\nnut-1\t4\t5\t6\nx=y\t4\t5\t6\nu=v\t7\t8\t9\nn\t1\t2\t3'
    ends 0 vdb-add parts.vdb a=b.h5
    ends 0 vdb-get --format tsv parts.vdb 0
    [ "$output" = $'0\t7\t8\t9' ]
    unchanged parts.vdb refused 65 "two.h5: *" vdb-add parts.vdb t=two.h5
    unchanged parts.vdb refused 66 "gone.h5: *" vdb-add parts.vdb t=gone.h5
    unchanged parts.vdb refused 65 "bolt.h5: *" vdb-add parts.vdb =bolt.h5
    unchanged parts.vdb refused 66 "t=abc.txt: *" vdb-add parts.vdb t=abc.txt
}

# ---- modes -----------------------------------------------------------------------------------

@test "--mode insert: an id that is there is an error, within one run too" {
    make_abc
    printf '{"id": "%s", "vector": [0, 0]}\n' new b >in.jsonl
    unchanged abc.vdb refused 65 "in.jsonl:2: *b*" vdb-add --mode insert abc.vdb in.jsonl
    printf '{"id": "%s", "vector": [0, 0]}\n' new other new >twice.jsonl
    unchanged abc.vdb refused 65 "twice.jsonl:3: *new*" vdb-add --mode insert abc.vdb twice.jsonl
    ends 65 vdb-add --mode insert --skip-bad abc.vdb twice.jsonl
    [[ $stderr == *$'\nadded 2, updated 0, skipped 1, commit 3' ]]
    vdb-rm abc.vdb b >/dev/null
    ends 0 vdb-add --mode insert abc.vdb <<<'{"id": "b", "vector": [4, 4]}'
}

@test "--mode update: an id that is not there is an error" {
    make_abc
    printf '{"id": "%s", "vector": [0, 0]}\n' a nobody >in.jsonl
    unchanged abc.vdb refused 65 "in.jsonl:2: *nobody*" vdb-add --mode update abc.vdb in.jsonl
    ends 0 vdb-add --mode update abc.vdb <<<'{"id": "a", "vector": [0, 0]}'
    [ "$stderr" = "added 0, updated 1, skipped 0, commit 3" ]
    vdb-rm abc.vdb a >/dev/null
    unchanged abc.vdb refused 65 "standard input:1: *a*" \
        vdb-add --mode update abc.vdb <<<'{"id": "a", "vector": [0, 0]}'
}

# ---- bad input -------------------------------------------------------------------------------

@test "a wrong dimension is named as documented" {
    seq 16 | awk '{print "{\"id\": \"" $1 "\", \"vector\": [1, 2]}"}' >vectors.jsonl
    echo '{"id": "17", "vector": [1]}' >>vectors.jsonl
    make_abc
    before=$(content abc.vdb)
    ends 65 vdb-add abc.vdb vectors.jsonl
    [ "$stderr" = "vdb-add: vectors.jsonl:17: vector has 1 dimensions, index abc.vdb has 2" ]
    same "$(content abc.vdb)" "$before"
    ends 65 vdb-add --create new.vdb vectors.jsonl
    [ "$stderr" = "vdb-add: vectors.jsonl:17: vector has 1 dimensions, index new.vdb has 2" ]
    [ ! -e new.vdb ]
    vectors npy in.npy
    printf '{"id": "a", "vector": [1, 2, 3]}\n' | vdb-add --quiet --create three.vdb
    unchanged three.vdb refused 65 "in.npy: row 0*2 dimensions*three.vdb has 3" \
        vdb-add three.vdb in.npy
    ends 65 vdb-add --skip-bad three.vdb in.npy
    [[ $stderr == *$'\nadded 0, updated 0, skipped 3, commit 2' ]]
}

@test "malformed JSON, records that are none, vectors that are none" {
    while IFS= read -r line; do
        printf '{"id": "good", "vector": [1, 2]}\n%s\n' "$line" >bad.jsonl
        bad "bad.jsonl:2: *" bad.jsonl
    done <<'END'
{
{"id": "x", "vector": [1, 2]
{"id": "x", "vector": [1, 2]} trailing
{"id": "x", "vector": [1, 2,]}
{"id": "x", "vector": [1, "2"]}
{"id": "x", "vector": [1, null]}
{"id": "x", "vector": [1, [2]]}
{"id": "x", "vector": []}
{"id": "x", "vector": {}}
{"id": "x", "vector": "1, 2"}
{"id": "x"}
{"vector": [1, 2]}
{"id": 7, "vector": [1, 2]}
{"id": null, "vector": [1, 2]}
{"id": "", "vector": [1, 2]}
{"id": "x", "vector": [1, 2], "metadata": []}
{"id": "x", "vector": [1, 2], "metadata": "text"}
{"id": "x", "vector": [1, 2], "metadata": {"a": }}
["x", [1, 2]]
"x"
42
END
}

@test "NaN and infinity" {
    for number in NaN nan Infinity -Infinity inf 1e39 -1e39 1e999; do
        printf '{"id": "x", "vector": [1, %s]}\n' $number >bad.jsonl
        bad "bad.jsonl:1: *" bad.jsonl
        printf 'y\t1\t2\nx\t1\t%s\n' $number >bad.tsv
        bad "bad.tsv:2: *" bad.tsv
    done
    for fault in nan inf; do
        vectors npy bad.npy $fault
        bad "bad.npy: row 1*" bad.npy
    done
}

@test "the zero vector under cosine, and only there" {
    make_abc --metric cosine
    printf '{"id": "x", "vector": [1, 2]}\n{"id": "y", "vector": [0, -0.0]}\n' >zero.jsonl
    unchanged abc.vdb refused 65 "zero.jsonl:2: *" vdb-add abc.vdb zero.jsonl
    nothing_made refused 65 "zero.jsonl:2: *" vdb-add --create --metric cosine new.vdb zero.jsonl
    vectors npy zero.npy zero
    unchanged abc.vdb refused 65 "zero.npy: row 1*" vdb-add abc.vdb zero.npy
    ends 0 vdb-add --create --metric ip ip.vdb zero.jsonl
    ends 0 vdb-add --create --metric l2 l2.vdb zero.jsonl
}

@test "numbers that the type of the index cannot hold" {
    for case in u8:-1 u8:256 u8:0.5 i8:-129 i8:128 i8:1.5 f16:65520 f16:-65520; do
        printf '{"id": "x", "vector": [1, %s]}\n' ${case#*:} >bad.jsonl
        printf 'x\t1\t%s\n' ${case#*:} >bad.tsv
        python3 - ${case#*:} <<'PY'
import struct, sys
x = float(sys.argv[1])
open('bad.fvecs', 'wb').write(struct.pack('<iff', 2, 1, x))
head = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }".ljust(117) + '\n'
open('bad.npy', 'wb').write(b'\x93NUMPY\x01\x00v\x00' + head.encode() + struct.pack('<ff', 1, x))
PY
        for place in jsonl:1 tsv:1 'fvecs: row 0' 'npy: row 0'; do
            nothing_made refused 65 \
                "bad.$place: number 2 of the vector is ${case#*:}, which ${case%%:*} cannot hold" \
                vdb-add --create --type ${case%%:*} new.vdb bad.${place%%:*}
        done
    done
    printf '{"id": "x", "vector": [0, 255]}\n' | vdb-add --create --quiet --type u8 u8.vdb
    printf '{"id": "x", "vector": [-128, 127]}\n' | vdb-add --create --quiet --type i8 i8.vdb
    printf '{"id": "x", "vector": [0.1, 65504]}\n' | vdb-add --create --quiet --type f16 f16.vdb
    [ "$(vdb-get --format tsv f16.vdb)" = $'x\t0.099975586\t65504' ]
    printf 'x\t%s\t%s\n' 65519 -65519.99 | vdb-add --quiet --format tsv f16.vdb # what rounds to it
    [ "$(vdb-get --format tsv f16.vdb)" = $'x\t65504\t-65504' ]
}

@test "malformed UTF-8, control characters and ids of the wrong length" {
    for text in '\xff' '\xc0\x80' '\xed\xa0\x80' '\xf4\x90\x80\x80' '\xe2\x82' 'a\x01b' 'a\tb'; do
        printf '{"id": "x", "vector": [1, 2]}\n{"id": "'"$text"'", "vector": [1, 2]}\n' >bad.jsonl
        bad "bad.jsonl:2: *" bad.jsonl
    done
    for text in '\u0000' '\u001f' '\u007f' '\ud800' '\ud800x' '\u12'; do
        printf '{"id": "x%s", "vector": [1, 2]}\n' "$text" >bad.jsonl
        bad "bad.jsonl:1: *" bad.jsonl
    done
    printf '{"id": "x", "vector": [1, 2], "metadata": {"k": "\xff"}}\n' >bad.jsonl
    bad "bad.jsonl:1: *" bad.jsonl
    long=$(printf 'x%.0s' $(seq 1023))
    printf '%sx\t1\t2\n' $long >bad.tsv
    bad "bad.tsv:1: *" bad.tsv
    printf '%s\t1\t2\n' $long >good.tsv
    ends 0 vdb-add abc.vdb good.tsv
    vdb-get abc.vdb $long
}

@test "rows of text tables that are none" {
    while IFS='|' read -r format line; do
        printf 'good 1 2\n' | tr ' ' "$([ $format = csv ] && echo , || echo '\t')" >bad.$format
        printf "$line\n" >>bad.$format
        bad "bad.$format:2: *" bad.$format
    done <<'END'
tsv|x\t1\ttwo
tsv|x\t1\t
tsv|x
tsv|x\t1\t2\t3
tsv|\t1\t2
csv|x,1,two
csv|x,1,
csv|x,1,2,3
csv|,1,2
END
    printf 'the 1 2\nof 1\n' >bad.txt
    bad "bad.txt:2: *" bad.txt --format word2vec
    printf '3 2\nthe 1 2\nof 1 2\n' >bad.txt
    bad "bad.txt*" bad.txt --format word2vec
}

@test "truncated and lying headers of every binary format" {
    local n=0
    while read -r format faults; do
        for fault in $faults; do
            vectors $format bad.$format $fault
            bad "bad.$format*: *" bad.$format
            ! slow || ((n++ % 3 == 0)) || continue
            # From a pipe, where no size tells beforehand how much is missing.
            unchanged abc.vdb refused 65 "standard input*: *" \
                bash -c "cat bad.$format | vdb-add --format $format abc.vdb"
        done
    done <<'END'
npy truncated head-cut more-rows huge wide type length
fvecs truncated other-dim negative huge
bvecs truncated other-dim huge
ivecs truncated other-dim huge
fbin truncated more-rows huge no-dim
u8bin truncated more-rows huge
i8bin truncated more-rows huge
idx truncated more-rows huge type gzip-cut
END
}

@test "HDF5 that is truncated, damaged or none" {
    make_abc
    vdb-get --format hdf5 --output good.h5 abc.vdb
    size=$(stat -c %s good.h5)
    for bytes in 8 64 $((size / 2)) $((size - 1)); do
        head -c $bytes good.h5 >bad.h5
        bad "bad.h5: *" bad.h5
    done
    { head -c 8 good.h5; head -c 2000 /dev/zero | tr '\0' '\377'; } >bad.h5
    bad "bad.h5: *" bad.h5
    echo 'not at all' >bad.h5
    bad "bad.h5*: *" bad.h5
}

@test "an input in another format than --format says" {
    vectors npy in.npy
    printf 'neither this nor that\n' >text
    for format in npy idx; do bad "text: *" text --format $format; done
    bad "in.npy:1: *" in.npy --format jsonl
}

@test "an input that is missing, a directory or not permitted: exit 66" {
    make_abc
    mkdir folder
    for input in missing.jsonl missing.npy missing.h5; do
        unchanged abc.vdb refused 66 "$input: *" vdb-add abc.vdb $input
        nothing_made refused 66 "$input: *" vdb-add --create new.vdb $input
    done
    unchanged abc.vdb ends $(vdb-add abc.vdb folder 2>/dev/null; echo $?) vdb-add abc.vdb folder
    [[ $status == 66 || $status == 74 ]]
    [[ $stderr == "vdb-add: folder: "* ]]
}

@test "an input without records" {
    : >none.jsonl
    nothing_made refused 65 "*new.vdb*" vdb-add --create new.vdb none.jsonl
    ends 0 vdb-add --create --dim 7 new.vdb none.jsonl
    [[ $stderr == "added 0, updated 0, skipped 0, commit "* ]]
    [ "$(stat_of new.vdb dim) $(stat_of new.vdb rows)" = "7 0" ]
    make_abc
    unchanged abc.vdb ends 0 vdb-add abc.vdb none.jsonl
}

# ---- --skip-bad ------------------------------------------------------------------------------

@test "--skip-bad names each bad record, takes the others, and ends with 65" {
    printf '%s\n' '{"id": "a", "vector": [1]}' '{"id": "b", "vector": [1, 2]}' 'rubbish' \
        '{"id": "c", "vector": [1, NaN]}' '{"id": "d", "vector": [3, 4]}' >mixed.jsonl
    ends 65 vdb-add --create --skip-bad --dim 2 new.vdb mixed.jsonl
    [ "$(wc -l <<<"$stderr")" -eq 4 ]
    for line in 1 3 4; do [[ $stderr == *"vdb-add: mixed.jsonl:$line: "* ]]; done
    [[ $stderr == *$'\nadded 2, updated 0, skipped 3, commit 2' ]]
    ends 0 vdb-get --format tsv new.vdb
    [ "$output" = $'b\t1\t2\nd\t3\t4' ]
    ends 0 vdb-add --skip-bad new.vdb <<<'{"id": "e", "vector": [5, 6]}'
    nothing_made ends 65 vdb-add --create --skip-bad other.vdb <<<rubbish
}

@test "--skip-bad keeps row numbers in step, and does not skip a broken file" {
    vectors npy in.npy nan
    ends 65 vdb-add --create --skip-bad new.vdb in.npy
    ends 0 vdb-get --format tsv new.vdb
    [ "$output" = $'0\t1\t2\n2\t5\t6' ]
    vectors fvecs cut.fvecs truncated
    unchanged new.vdb refused 65 "cut.fvecs*" vdb-add --skip-bad new.vdb cut.fvecs
}

# ---- --batch ---------------------------------------------------------------------------------

@test "--batch commits every N records, and says what is in after a failure" {
    seq 7 | awk '{print $1 "\t" $1 "\t" 1}' >seven.tsv
    ends 0 vdb-add --create --batch 3 new.vdb seven.tsv
    same "$stderr" "$(printf '%s\n' 'records 3, commit 2' 'records 6, commit 3' \
        'records 7, commit 4' 'added 7, updated 0, skipped 0, commit 4')"
    [ "$(vdb-get new.vdb | wc -l)" -eq 7 ]
    printf '8\toops\t1\n' >>seven.tsv
    ends 65 vdb-add --create --batch 3 other.vdb seven.tsv
    [[ $stderr == *"vdb-add: seven.tsv:8: "*$'\n'"vdb-add: 6 records are in, to commit 3" ]]
    [ "$(vdb-get other.vdb | wc -l)" -eq 6 ]
    nothing_made ends 65 vdb-add --create --batch 8 none.vdb seven.tsv
    # Bad ones that were passed over count as dealt with, and not as in.
    printf '%s\n' 'a 1 1' 'b oops 1' 'c 3 1' 'd 4 1' 'e 5 1' 'f oops 1' | tr ' ' '\t' >bad.tsv
    ends 65 vdb-add --create --batch 2 --skip-bad skip.vdb bad.tsv
    same "$(grep -v bad.tsv <<<"$stderr")" "$(printf '%s\n' 'records 3, commit 2' 'records 5, commit 3' \
        'added 4, updated 0, skipped 2, commit 3' 'vdb-add: 4 of the first 6 records are in, to commit 3')"
    printf '%s\n' 'a 1 1' 'b oops 1' 'c 3 1' 'd 4 1' | tr ' ' '\t' >bad.tsv
    ends 66 vdb-add --create --batch 2 --skip-bad ended.vdb bad.tsv missing.tsv
    [[ $stderr == *$'\nvdb-add: 2 of the first 3 records are in, to commit 2' ]]
    ends 0 vdb-add --create --batch 7 exact.vdb <(head -7 seven.tsv) --format tsv
    same "$stderr" $'records 7, commit 2\nadded 7, updated 0, skipped 0, commit 2'
}

@test "--batch: what is acknowledged is told at once, bad records counted, and where to go on" {
    seq 6 | awk '{print $1 "\t" $1 "\t" 1}' >rows.tsv
    sed -i '2s/.*/2\toops\t1/' rows.tsv
    ends 65 vdb-add --create --batch 2 --skip-bad --json new.vdb rows.tsv
    same "$output" "$(printf '%s\n' '{"records": 3, "commit": 2}' '{"records": 5, "commit": 3}' \
        '{"records": 6, "commit": 4}' '{"added": 5, "updated": 0, "skipped": 1, "commit": 4}')"
    ends 0 vdb-add --quiet --create --batch 2 quiet.vdb <(sed 2d rows.tsv) --format tsv
    [ -z "$stderr$output" ]
    # A producer that is killed goes on behind the last record that was acknowledged.
    seq 100 199 | awk '{print $1 "\t" $1 "\t" 1}' >many.tsv
    mkfifo pipe
    exec 9<>pipe
    vdb-add --create --batch 10 --json --format tsv one.vdb pipe >acks 9>&- &
    pid=$!
    head -37 many.tsv >&9
    until_true grep -q '"records": 30,' acks
    kill -KILL $pid
    wait $pid || true
    exec 9>&-
    in=$(tail -1 acks | tr -dc '0-9 ' | awk '{print $1}')
    tail -n +$((in + 1)) many.tsv | vdb-add -q --mode insert --format tsv one.vdb
    same "$(vdb-get --format tsv one.vdb)" "$(cat many.tsv)"
}

@test "--batch: an endless stream is searchable while it comes" {
    mkfifo pipe
    exec 9<>pipe
    interruptible vdb-add --create --batch 2 --format tsv new.vdb pipe 2>err 9>&- &
    pid=$!
    printf '%s\t1\t1\n' a b c >&9
    until_true vdb-get new.vdb b
    [ "$(vdb-get new.vdb | wc -l)" -eq 2 ]
    kill -TERM $pid
    status=0
    wait $pid || status=$?
    exec 9>&-
    [ $status -eq 143 ]
    grep -q '^vdb-add: .*2 records are in, to commit 2$' err
    [ "$(vdb-get --format tsv new.vdb | cut -f1 | tr '\n' ' ')" = "a b " ]
}

# ---- the index -------------------------------------------------------------------------------

@test "a missing index without --create: exit 66" {
    nothing_made refused 66 "new.vdb: *" vdb-add new.vdb <<<'{"id": "a", "vector": [1]}'
}

@test "--create where the index exists just adds; what contradicts it is exit 2" {
    make_abc
    ends 0 vdb-add --create --dim 2 --metric l2 --type f32 --index auto abc.vdb \
        <<<'{"id": "d", "vector": [1, 2]}'
    unchanged abc.vdb refused 2 "abc.vdb: --dim 3*" vdb-add --create --dim 3 abc.vdb </dev/null
    unchanged abc.vdb refused 2 "abc.vdb: --metric ip*" vdb-add --metric ip abc.vdb </dev/null
    unchanged abc.vdb refused 2 "abc.vdb: --type u8*" vdb-add --type u8 abc.vdb </dev/null
    unchanged abc.vdb refused 2 "abc.vdb: --index flat*" vdb-add --index flat abc.vdb </dev/null
}

@test "wrong usage: values that are none" {
    refused 2 "--metric: 'l3'*" vdb-add --metric l3 new.vdb
    refused 2 "--type: 'f64'*" vdb-add --type f64 new.vdb
    refused 2 "--mode: 'replace'*" vdb-add --mode replace new.vdb
    refused 2 "--index: 'tree'*" vdb-add --index tree new.vdb
    for m in 3 129 two; do refused 2 "--m: '$m'*" vdb-add --index hnsw --m $m new.vdb; done
    refused 2 "--ef-construction: '7'*" vdb-add --ef-construction 7 new.vdb
    refused 2 "--m is for*" vdb-add --m 16 new.vdb
    for kind in graph hnsw flat; do
        for codes in pq b1; do
            refused 2 "--codes pq and b1 are for --index ivf*" vdb-add --create --index $kind --codes $codes new.vdb
        done
    done
    for codes in none i8; do
        refused 2 "--index ivf takes --codes i4, pq, b1 or auto*" \
            vdb-add --create --index ivf --codes $codes new.vdb
    done
    refused 2 "--format: 'parquet'*" vdb-add --format parquet new.vdb
    for dim in 0 65536 -1 2.5 two ''; do refused 2 "--dim: '$dim'*" vdb-add --dim "$dim" new.vdb; done
    for batch in 0 -1 many; do refused 2 "--batch: '$batch'*" vdb-add --batch $batch new.vdb; done
    [ -z "$(ls -A)" ]
}

@test "the largest dimension there is" {
    python3 -c 'print("x\t" + "\t".join(str(i % 7) for i in range(65535)))' >wide.tsv
    ends 0 vdb-add --create wide.vdb wide.tsv
    [ "$(stat_of wide.vdb dim)" = 65535 ]
    same "$(vdb-get --format tsv wide.vdb | cksum)" "$(cksum <wide.tsv)"
    sed 's/$/\t1/' wide.tsv >wider.tsv
    nothing_made refused 65 "wider.tsv*: *" vdb-add --create wider.vdb wider.tsv
}

@test "an index that cannot be created: exit 73" {
    nothing_made refused 73 "nowhere/new.vdb*: *No such file*" \
        vdb-add --create nowhere/new.vdb <<<'{"id": "a", "vector": [1]}'
    [[ $stderr != *.tmp-* ]]
}

@test "an index without write permission: exit 73, nothing changed" {
    make_abc
    chmod 444 abc.vdb
    if [ "$(id -u)" -eq 0 ]; then
        # Root may write anything, so it is somebody else who tries.
        command -v setpriv >/dev/null || skip "root may write, and setpriv(1) is not here"
        place=$(mktemp -d /tmp/vdb-add.XXXXXX)
        chmod 755 "$place"
        cp "$VDB_BIN/vdb-add" abc.vdb "$place"
        as="setpriv --reuid=65534 --regid=65534 --clear-groups"
        run --separate-stderr $as "$place/vdb-add" "$place/abc.vdb" <<<'{"id": "z", "vector": [1, 2]}'
        other=$status
        cmp abc.vdb "$place/abc.vdb" || other=changed
        rm -r "$place"
        [ "$other" = 73 ]
        [[ $stderr == vdb-add:*": Permission denied" ]]
    else
        unchanged abc.vdb refused 73 "*abc.vdb*: Permission denied" vdb-add abc.vdb <<<'{"id": "z", "vector": [1, 2]}'
    fi
}

@test "no space left: exit 74, the index as it was" {
    # A limit on the size of files is met as a full disk is: a write fails.
    make_abc
    seq $(! slow && echo 30000 || echo 9000) | awk '{print "n" $1 "\t" $1 "\t" 1}' >many.tsv
    before=$(content abc.vdb)
    limit=$(($(stat -c %s abc.vdb) / 1024 + 4))
    ends 74 bash -c "ulimit -f $limit; vdb-add abc.vdb many.tsv"
    [[ $stderr == vdb-add:*abc.vdb*"File too large" ]]
    same "$(content abc.vdb)" "$before"
    nothing_made ends 74 bash -c "ulimit -f 100; vdb-add --create new.vdb many.tsv"
    [[ $stderr == vdb-add:*new.vdb*"File too large" ]]
    ends 0 vdb-add abc.vdb many.tsv
}

@test "rows that are in stay in where their part cannot be built: exit 0, and a warning" {
    seq 3000 | awk '{print "n" $1 "\t" $1 "\t" $1 % 10}' >many.tsv
    vdb-add -q --create --index graph whole.vdb many.tsv
    [ "$(stat_of whole.vdb parts)" = 1 ]
    limit=$(($(stat -c %s whole.vdb) / 1024 - 100))
    ends 0 bash -c "ulimit -f $limit; vdb-add --create --index graph new.vdb many.tsv"
    [ "${stderr_lines[0]}" = "added 3000, updated 0, skipped 0, commit 2" ]
    [[ ${stderr_lines[1]} == "vdb-add: new.vdb: warning: the rows are committed and can be searched; \
only the index part over them was not built: "*": File too large" ]]
    [ "${#stderr_lines[@]}" -eq 2 ]
    [ "$(ls -A)" = $'many.tsv\nnew.vdb\nwhole.vdb' ]
    [ "$(stat_of new.vdb parts) $(stat_of new.vdb tail_rows)" = "0 3000" ]
    ends 0 vdb-check --deep new.vdb
    ends 0 vdb-add --json new.vdb /dev/null # the next run has it built
    until_true eval '[ "$(stat_of new.vdb parts) $(stat_of new.vdb tail_rows)" = "1 0" ]'
    same "$(vdb-get new.vdb | cksum)" "$(vdb-get whole.vdb | cksum)"
}

@test "a lock that another process holds: exit 75 after --wait, nothing changed" {
    make_abc
    source "$HERE/lock.bash"
    hold_write_lock abc.vdb
    unchanged abc.vdb refused 75 "*abc.vdb*" \
        vdb-add --wait 0 abc.vdb <<<'{"id": "z", "vector": [1, 2]}'
    unchanged abc.vdb refused 75 "*abc.vdb*" \
        vdb-add --wait 0.3 abc.vdb <<<'{"id": "z", "vector": [1, 2]}'
    vdb-add --wait 20 abc.vdb <<<'{"id": "z", "vector": [1, 2]}' 2>err &
    pid=$!
    sleep 0.3
    let_go
    wait $pid
    grep -qx 'added 1, updated 0, skipped 0, commit 3' err
}

@test "where another process builds, rows still go in" {
    make_abc
    source "$HERE/lock.bash"
    hold_maintain_lock abc.vdb
    seq 20000 | awk '{print "n" $1 "\t" $1 "\t" 1}' >many.tsv
    ends 0 vdb-add abc.vdb many.tsv
    let_go
    [ "$(vdb-get abc.vdb | wc -l)" -eq 20003 ]
}

@test "an index that is made has no name before its rows are in" {
    mkfifo pipe
    for signal in INT TERM HUP; do
        exec 9<>pipe
        interruptible vdb-add --create --format tsv new.vdb pipe 2>err 9>&- &
        pid=$!
        printf 'the-first\t1\t2\n' >&9
        until_true test -e new.vdb.tmp-0
        [ ! -e new.vdb ]
        kill -$signal $pid
        status=0
        wait $pid || status=$?
        exec 9>&-
        [ $status -eq $((128 + $(kill -l $signal))) ]
        [ "$(ls -A)" = $'err\npipe' ]
        [ ! -s err ]
    done
}

@test "an interrupted writer leaves the index as it was" {
    make_abc
    mkfifo pipe
    before=$(content abc.vdb)
    for signal in INT TERM; do
        exec 9<>pipe
        interruptible vdb-add --format tsv abc.vdb pipe 2>err 9>&- &
        pid=$!
        printf 'a\t9\t9\nz\t1\t2\n' >&9
        until_true grep -q abc.vdb /proc/$pid/maps
        sleep 0.1
        kill -$signal $pid
        status=0
        wait $pid || status=$?
        exec 9>&-
        [ $status -eq $((128 + $(kill -l $signal))) ]
        same "$(content abc.vdb)" "$before"
    done
    ends 0 vdb-add --wait 0 abc.vdb <<<'{"id": "z", "vector": [1, 2]}'
}

@test "of two processes that make one index, neither loses rows that it was told are in" {
    mkfifo pipe
    exec 9<>pipe
    vdb-add --create --format tsv new.vdb pipe 2>slow.err 9>&- &
    pid=$!
    printf 'slow\t1\t2\n' >&9
    until_true test -e new.vdb.tmp-0
    ends 0 vdb-add --create --format tsv new.vdb <<<$'fast\t3\t4'
    exec 9>&-
    status=0
    wait $pid || status=$?
    [ $status -eq 75 ]
    grep -q '^vdb-add: new.vdb: ' slow.err
    [ "$(vdb-get --format tsv new.vdb)" = $'fast\t3\t4' ]
    [ "$(ls -A)" = $'new.vdb\npipe\nslow.err' ]
}

@test "what a killed run was making goes with the next; what is not an index stays" {
    mkfifo pipe
    exec 9<>pipe
    vdb-add --create --format tsv new.vdb pipe 2>err 9>&- &
    pid=$!
    printf 'the-first\t1\t2\n' >&9
    until_true test -e new.vdb.tmp-0
    kill -KILL $pid
    status=0
    wait $pid || status=$?
    exec 9>&-
    [ $status -eq 137 ]
    [ "$(ls -A)" = $'err\nnew.vdb.tmp-0\npipe' ]
    echo "somebody's notes" >new.vdb.tmp-1
    ends 0 vdb-add --create --format tsv new.vdb <<<$'a\t3\t4'
    [ "$(ls -A)" = $'err\nnew.vdb\nnew.vdb.tmp-1\npipe' ]
}

@test "ten thousand rows get an index part; fewer stay a tail" {
    make_abc
    [ "$(stat_of abc.vdb parts) $(stat_of abc.vdb tail_rows)" = "0 3" ]
    seq 20000 | awk '{print "n" $1 "\t" $1 "\t" $1 % 100}' | vdb-add --quiet --format tsv abc.vdb
    [ "$(stat_of abc.vdb parts)" -ge 1 ]
    [ "$(stat_of abc.vdb tail_rows)" -lt 10000 ]
    [ "$(vdb-get abc.vdb | wc -l)" -eq 20003 ]
    ends 0 vdb-check --deep abc.vdb
}

@test "the same input gives the same rows for any -j and any batch" {
    seq 5000 | awk '{print "n" $1 "\t" $1 % 97 "\t" $1 % 89 "\t" $1 % 83}' >many.tsv
    vdb-add --quiet --create -j 1 one.vdb many.tsv
    vdb-add --quiet --create -j 4 four.vdb many.tsv
    vdb-add --quiet --create --batch 700 batch.vdb many.tsv
    same "$(vdb-get one.vdb | cksum)" "$(vdb-get four.vdb | cksum)"
    same "$(vdb-get one.vdb | cksum)" "$(vdb-get batch.vdb | cksum)"
}
