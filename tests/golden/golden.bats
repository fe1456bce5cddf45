#!/usr/bin/env bats
# golden.bats: files of this format version give their rows, those of others and damaged ones are
# refused by name.
#
# v0.9/ holds the worked example of format-spec/ as `tests/spec/make_examples.py --file` wrote it, and files of
# damage.py (bad/, and variants in good/) and make_good.py (the rest of good/); v0.1/ to v0.3/ those of these versions,
# which are not read any more. Files of 0.9 never change, and are read for good.
# SPDX-License-Identifier: BSD-2-Clause

bats_require_minimum_version 1.5.0

setup_file() {
    export ROOT=${VDB_SOURCE_DIR:-$BATS_TEST_DIRNAME/../..}
    export GOLDEN=$ROOT/tests/golden/v0.9
    python3 - "$GOLDEN" "$BATS_FILE_TMPDIR" <<'EOF'
import glob, gzip, os, sys
for path in glob.glob(sys.argv[1] + "/*/*.gz"):
    to = os.path.join(sys.argv[2], os.path.relpath(path, sys.argv[1])[:-3])
    os.makedirs(os.path.dirname(to), exist_ok=True)
    with open(to, "wb") as file:
        file.write(gzip.open(path).read())
EOF
}

setup() {
    cd "$BATS_FILE_TMPDIR"
    reader=$ROOT/format-spec/reader/vdb_reader.py
}

@test "the golden files are the ones that were put there" {
    for version in v0.1 v0.2 v0.3 v0.9; do
        cd "$ROOT/tests/golden/$version"
        sha256sum --check --quiet SHA256SUMS
    done
    [ "$(find . -name '*.gz' | sed 's,^./,,' | sort)" = "$(awk '{print $2}' SHA256SUMS | grep 'gz$' | sort)" ]
    [ "$(cd bad && ls | sed 's,.gz$,,;s,[.][a-z]*$,,' | sort)" = "$(cut -f 1 bad.tsv | sort)" ]
}

# VERSION
refuses() {
    gunzip -c "$ROOT/tests/golden/v$1/example.vdb.gz" >old.vdb
    cp old.vdb before.vdb
    for command in vdb-get vdb-check vdb-stat vdb-log vdb-snap vdb-compact vdb-add; do
        run --separate-stderr $command old.vdb </dev/null
        echo "$command: $status: $output $stderr"
        [ "$status" -eq 65 ]
        [ -z "$output" ]
        [[ $stderr == *"old.vdb"*"version $1 is not known here (this is 0.9)"* ]]
    done
    cmp old.vdb before.vdb
    run --separate-stderr python3 "$reader" get old.vdb
    [ "$status" -eq 65 ]
    [ -z "$output" ]
    [[ $stderr == *"version $1; this reader knows 0.9"* ]]
}

@test "a file of version 0.1 is refused, and the message names its version and this one" {
    refuses 0.1
}

@test "a file of version 0.2 is refused, and the message names its version and this one" {
    refuses 0.2
}

@test "a file of version 0.3 is refused, and the message names its version and this one" {
    refuses 0.3
}

@test "a file of version 0.9 gives the rows that it was made with" {
    gunzip -c "$ROOT/tests/golden/v0.9/example.vdb.gz" >example.vdb
    vdb-check --deep example.vdb
    vdb-get example.vdb >rows.jsonl
    python3 - "$ROOT/tests/golden/v0.9/example.jsonl" <<'EOF'
import json, sys
said, got = ([json.loads(line) for line in open(path)] for path in (sys.argv[1], "rows.jsonl"))
assert got == said and len(got) == 3, got
EOF
}

@test "the generator still makes the golden file of version 0.9" {
    python3 "$ROOT/tests/spec/make_examples.py" --file now.vdb "$ROOT/format-spec"
    gunzip -c "$ROOT/tests/golden/v0.9/example.vdb.gz" | cmp - now.vdb
}

@test "a file of version 0.9 gives the rows that it had after each commit" {
    gunzip -c "$ROOT/tests/golden/v0.9/example.vdb.gz" >example.vdb
    python3 - "$ROOT" <<'EOF'
import json, subprocess, sys
root = sys.argv[1]
states = [json.loads(line) for line in open(root + "/tests/golden/v0.9/past.jsonl")]
whens = ["3", "harvest", "4", "5", "6", "press", "7", "cider"]
commands = "".join("get\t--at\t%s\texample.vdb\n" % when for when in whens)
said = subprocess.run([sys.executable, root + "/tests/golden/second_reader.py", root], input=commands, text=True,
                      capture_output=True, check=True).stdout.splitlines()
for when, line in zip(whens, said, strict=True):
    rows = next(state["rows"] for state in states if when in (str(state["commit"]), state["name"]))
    tool = subprocess.run(["vdb-get", "--at", when, "example.vdb"], text=True, capture_output=True, check=True).stdout
    for got in (tool, json.loads(line.split("\t")[1])):
        assert [json.loads(row) for row in got.splitlines()] == rows, (when, got)
EOF
    [ "$(vdb-snap example.vdb | cut -f 1 | sort | tr '\n' ' ')" = "cider harvest press " ]
    for when in 2 8 orchard; do
        run --separate-stderr vdb-get --at $when example.vdb
        echo "$when: $status: $stderr"
        [ "$status" -eq 1 ]
        [ -z "$output" ]
    done
    run --separate-stderr vdb-get --at 2 example.vdb
    [[ $stderr == *"commit 2 is not kept any more"*"commit 3"* ]]
}

@test "files of version 0.9 that the tools made give the rows that were put in, now and in the past, and find what is near" {
    python3 - "$ROOT" <<'EOF'
import glob, json, math, subprocess, sys
def lines(text):
    return [json.loads(line) for line in text.splitlines()]
def tool(*words, **given):
    done = subprocess.run(words, capture_output=True, text=True, **given)
    assert done.returncode == 0 and not done.stderr, (words, done.returncode, done.stderr)
    return done.stdout
def same(a, b): # of f16 the reader prints as few digits as tell them apart
    bare = [[{key: value for key, value in row.items() if key != "vector"} for row in rows] for rows in (a, b)]
    return bare[0] == bare[1] and all(math.isclose(x, y, rel_tol=2 ** -11) for one, other in zip(a, b)
                                      for x, y in zip(one["vector"], other["vector"], strict=True))
names = sorted(path[5:-5] for path in glob.glob("good/*.rows"))
assert len(names) >= 14, names
reader, searched = [], 0
for name in names:
    index = "good/%s.vdb" % name
    assert tool("vdb-check", "--deep", index) == ""
    states = [([], lines(open("good/%s.rows" % name).read()))]
    states += [(["--at", str(state["at"])], state["rows"]) for state in lines(open("good/%s.past" % name).read())]
    for at, rows in states:
        assert lines(tool("vdb-get", *at, index)) == rows, (name, at)
        reader.append((["get", *at, index], rows))
    reader.append((["check", index], []))
    try:
        near = lines(open("good/%s.near" % name).read())
    except FileNotFoundError:
        continue
    queries = "".join(json.dumps({"id": "q", "vector": query["vector"]}) + "\n" for query in near)
    found = [float(line.split("\t")[3]) for line in tool("vdb-search", "-k", "5", index, "-", input=queries).splitlines()]
    wanted = [distance for query in near for distance in query["distances"]]
    assert len(found) == len(wanted)
    hits = [math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-5) for a, b in zip(found, wanted)]
    assert sum(hits) >= 0.9 * len(hits), (name, sum(hits), len(hits))
    assert all(a > b or hit for a, b, hit in zip(found, wanted, hits)), name
    searched += 1
assert searched >= 11
text = "".join("\t".join(words) + "\n" for words, _ in reader)
said = tool(sys.executable, sys.argv[1] + "/tests/golden/second_reader.py", sys.argv[1], input=text).splitlines()
for (words, rows), (status, out, err) in zip(reader, (line.split("\t") for line in said)):
    assert status == "0" and same(lines(json.loads(out)), rows), (words, status, json.loads(out)[:300], err)
assert len(said) == len(reader)
EOF
}

# ---- damaged files ---------------------------------------------------------------------------

# Carries out the command of a line of bad.tsv; its status is that of the tool.
carry_out() { # NAME COMMAND
    local file=bad/$1.vdb
    case $2 in
        recv) vdb-snap new.vdb recv <"bad/$1.stream" ;;
        "recv base") cp base.vdb again.vdb && vdb-snap again.vdb recv <"bad/$1.stream" ;;
        "get --at "*) vdb-get --at "${2##* }" "$file" ;;
        "get "*) vdb-get "$file" "${2##* }" ;;
        "check --deep") vdb-check --deep "$file" ;;
        *) "vdb-$2" "$file" ;;
    esac
}

# Under the sanitizers, which are slow, one file of each rule will do.
chosen() {
    if [ "${VDB_MODE:-release}" = release ]; then
        cat "$GOLDEN/bad.tsv"
    else
        awk -F '\t' '!seen[$5]++' "$GOLDEN/bad.tsv"
    fi
}

@test "each damaged file ends as the table says, and gives no rows where it is refused" {
    vdb-snap -q base.vdb recv <good/orchard.stream 2>message
    local count=0 wrong=0 name command expected words rule message
    while IFS=$'\t' read -r name command expected words rule; do
        count=$((count + 1))
        status=0
        carry_out "$name" "$command" >out 2>message || status=$?
        message=$(<message)
        [[ $command != check* ]] || message+=$(<out)
        if [ "$status" -eq 0 ]; then # words are the ids
            message=$(grep -o '^{"id": "[a-z]*' out | cut -d '"' -f 4 | tr '\n' ' ')
            message=${message% }
        elif [[ $command == get* ]] && [ -s out ] && [ "$status" -ne 1 ] && [[ $rule != ID-* && $rule != META-* ]]; then
            message="rows were printed"
        fi
        if [ "$status" -ne "$expected" ] || [[ $message != *"$words"* ]] || [ -e new.vdb ]; then
            echo "$rule: $name: $command ended with $status, not $expected ($words): $message"
            wrong=$((wrong + 1))
            rm -f new.vdb
        fi
    done < <(chosen)
    [ "$count" -gt 150 ]
    [ "$wrong" -eq 0 ]
}

# Rules, and pages without a number, that the second reader does not look at.
reader_knows_not="CAL CODE GRAPH HIST IVF TIME LOG-23 LOG-29 MAN-19 META-7 META-8 TOMB-2 VEC-3 VEC-4 VEC-5"

@test "the second reader refuses the damaged files, or finds what is wrong with them" {
    [ "${VDB_MODE:-release}" = release ] || skip "it is the same under the sanitizers"
    python3 - "$ROOT" "$reader_knows_not" <<'EOF'
import json, subprocess, sys
root, knows_not = sys.argv[1], sys.argv[2].split()
def run(commands):
    lines = "".join("\t".join(command) + "\n" for command in commands)
    said = subprocess.run([sys.executable, root + "/tests/golden/second_reader.py", root], input=lines,
                          capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(said) == len(commands)
    return [(int(status), json.loads(out), json.loads(err)) for status, out, err in (line.split("\t") for line in said)]
cases = [line.rstrip("\n").split("\t") for line in open(root + "/tests/golden/v0.9/bad.tsv")]
cases = [case for case in cases if not case[1].startswith("recv")]
commands = []
for name, command, *_ in cases:
    words = command.split() if command.startswith("get") else ["check"]
    options = words[1:] if "--at" in words else []
    commands.append([words[0], *options, "bad/%s.vdb" % name, *(words[1:] if not options else [])])
first, wrong, again = run(commands), [], []
for case, (status, out, err) in zip(cases, first):
    name, command, expected, words, rule = case
    if expected == "0":
        ids = " ".join(json.loads(line)["id"] for line in out.splitlines())
        if status or ids != words:
            wrong.append((rule, name, status, ids))
    elif status == 0:
        again.append(case)
for (name, _, _, _, rule), (status, _, err) in zip(again, run([["check", "bad/%s.vdb" % case[0]] for case in again])):
    if status == 0 and not {rule, rule.split("-")[0]} & set(knows_not):
        wrong.append((rule, name, "not found"))
for what in wrong:
    print(*what)
print(len(cases), "files,", len(again), "found by check alone")
sys.exit(bool(wrong))
EOF
}

@test "each rule has one number, and each of opening and use a file that breaks it" {
    python3 - "$ROOT" <<'EOF'
import glob, re, sys
rules = {}
for path in glob.glob(sys.argv[1] + "/format-spec/*.md"):
    page = open(path, encoding="utf-8").read()
    listed = re.findall(r"^\| ([A-Z]+-\d+) \| (.*) \| ([a-z]+) \| ([a-z ]+) \|$", page.partition("\n## Rules\n")[2], re.M)
    assert page.partition("\n## Rules\n")[2].count("\n| ") == len(listed) + 2 * bool(listed), path
    for name, _, when, broken in listed:
        assert name not in rules, name
        assert when in ("open", "use", "request", "writer"), name
        assert broken in ("no index", "unsupported", "truncated", "damaged", "log ends", "not seen"), name
        rules[name] = when
assert len(rules) > 200
broken = {line.rstrip("\n").split("\t")[4] for line in open(sys.argv[1] + "/tests/golden/v0.9/bad.tsv")}
assert broken <= set(rules), broken - set(rules)
without = [name for name, when in rules.items() if when in ("open", "use") and name not in broken]
assert not without, without
EOF
}

# ---- what readers ignore -----------------------------------------------------------------------

@test "what a later version may add, and unknown flags and reserved bytes, change no row" {
    local name what wrong=0
    while IFS=$'\t' read -r name what; do
        status=0
        vdb-get "good/$name.vdb" >out 2>message && vdb-check --deep "good/$name.vdb" >>message 2>&1 || status=$?
        if [ "$status" -ne 0 ] || [ -s message ] || ! same_rows out "$GOLDEN/example.jsonl"; then
            echo "$name ($what): $status: $(<message)"
            wrong=$((wrong + 1))
        fi
        printf 'get\tgood/%s.vdb\ncheck\tgood/%s.vdb\n' "$name" "$name" >>commands
        echo "$name" >>names
    done <"$GOLDEN/variants.tsv"
    [ "$wrong" -eq 0 ]
    python3 "$ROOT/tests/golden/second_reader.py" "$ROOT" <commands >said
    python3 - "$GOLDEN/example.jsonl" <<'EOF'
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
said = [line.split("\t") for line in open("said")]
for name, get, check in zip(open("names"), said[::2], said[1::2]):
    assert [json.loads(line) for line in json.loads(get[1]).splitlines()] == rows, (name, get)
    assert check[0] == "0", (name, check)
EOF
}

same_rows() { # FILE FILE
    cmp -s "$1" "$2" || python3 -c '
import json, sys
one, other = ([json.loads(line) for line in open(path)] for path in sys.argv[1:])
sys.exit(one != other)' "$1" "$2"
}

@test "unknown ro_compat bits keep writers out, and unknown compat bits stay" {
    local bit command
    for bit in 5 40 63; do
        cp "good/ro-compat-bit-$bit.vdb" x.vdb
        for command in "vdb-add -q" "vdb-rm -q" "vdb-compact -q" "vdb-snap"; do
            status=0
            echo '{"id": "quince", "vector": [1, 2, 3, 4]}' |
                $command x.vdb $([[ $command != *rm* ]] || echo plum) $([[ $command != *snap ]] || echo create new) \
                    >out 2>message || status=$?
            echo "$command: $status: $(<message)"
            [ "$status" -eq 73 ]
            grep -q "ro_compat bit $bit.*for reading only" message
        done
        cmp x.vdb "good/ro-compat-bit-$bit.vdb"
        cp "good/compat-bit-$bit.vdb" x.vdb
        echo '{"id": "quince", "vector": [1, 2, 3, 4]}' | vdb-add -q x.vdb
        [ "$(vdb-get x.vdb | wc -l)" -eq 4 ]
        cmp -n 512 x.vdb "good/compat-bit-$bit.vdb"
    done
}

# ---- streams -----------------------------------------------------------------------------------

@test "the streams lead to the states that they are of" {
    rm -f x.vdb
    vdb-snap -q x.vdb recv <good/orchard.stream
    [ "$(vdb-get x.vdb | grep -o '"id": "[a-z]*' | cut -d '"' -f 4 | tr '\n' ' ')" = "apple pear plum " ]
    vdb-snap -q x.vdb recv <good/orchard-to-press.stream
    vdb-get x.vdb >out
    [ "$(grep -o '"id": "[a-z]*' out | cut -d '"' -f 4 | tr '\n' ' ')" = "plum apple " ]
    grep -q '"year":2026' out
    [ "$(vdb-snap x.vdb | cut -f 1 | tr '\n' ' ')" = "orchard press " ]
    vdb-check --deep x.vdb
}
