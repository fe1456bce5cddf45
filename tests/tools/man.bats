#!/usr/bin/env bats
# man.bats: each man page is sound mdoc, has the options of --help, and examples that run as printed.
# SPDX-License-Identifier: BSD-2-Clause

load common.bash

setup() {
    common_setup
    pages=$(ls "${VDB_SOURCE_DIR:-$HERE/../..}"/tools/vdb-*.1)
}

# Each option, with the name of its argument, once a line: "-j N", "--threads N", "--quiet".
options_of_help() {
    "vdb-$1" --help | awk '/^Options:/ {inside = 1} inside && /^  .*--/ {
        line = $0; sub(/^ +/, "", line); sub(/   *.*/, "", line)
        argument = line; if (!sub(/.* --?[a-z-]+ |^--[a-z-]+ /, "", argument)) argument = ""
        n = split(line, part, ", ")
        for (i = 1; i <= n; i++) {
            split(part[i], word, " ")
            print word[1] (argument == "" ? "" : " " argument)
        }
    }' | sort
}

options_of_page() {
    awk '/^\.Sh / {inside = $2 == "OPTIONS"} inside && /^\.It Fl/ {
        n = split(substr($0, 5), part, " , ")
        for (i = 1; i <= n; i++) {
            split(part[i], word, " ")
            print "-" word[2] (word[3] == "Ar" ? " " word[4] : "")
        }
    }' "$1" | sort
}

# The literal blocks of a section as they are printed.
literal() {
    awk -v section="$2" '/^\.Sh / {inside = $0 == ".Sh " section}
        /^\.Ed/ {block = 0}
        inside && block {gsub(/\\e/, "\\"); gsub(/\\-/, "-"); gsub(/\\&/, ""); print}
        /^\.Bd -literal/ {block = 1}' "$1"
}

@test "every tool has a page, and every page a tool" {
    same "$(for page in $pages; do basename "$page" .1; done | sort)" \
        "$(ls "$VDB_BIN" | grep '^vdb-' | sort)"
}

@test "the pages are sound mdoc" {
    for page in $pages; do
        run mandoc -T lint -W warning "$page"
        [ "$status" -eq 0 ] || { echo "$output"; return 1; }
    done
}

@test "JSON on the pages is JSON when they are rendered" {
    for page in $pages; do
        # An argument of a macro loses its quotes.
        ! grep -n '^\.[A-Z].*"' "$page" || { echo "$page: quotes in a macro's line"; return 1; }
        mandoc -T ascii -O width=200 "$page" | col -b >rendered
        ! grep -nE '\{[a-z]+"?:' rendered || { echo "$page: a key without quotes"; return 1; }
        python3 - <<'END' || { echo "$page: not JSON"; return 1; }
import json, re
for line in open("rendered"):
    line = line.strip()
    records = [line] if line[:1] == "{" else re.findall(r"'(\{.*?\})\\n", line)
    for text in "\\n".join(records).split("\\n"):
        if text: json.loads(text)
END
    done
    mandoc -T ascii -O width=200 "${VDB_SOURCE_DIR:-$HERE/../..}"/tools/vdb-add.1 | col -b |
        grep -qF '{"id": "a", "vector": [0.1, 0.2], "metadata": {"lang": "en"}}'
}

@test "--threads does in --help what it does on the page" {
    for page in $pages; do
        tool=$(basename "$page" .1)
        sentences=$(awk '/^\.It Fl j Ar N/ {inside = 1; next} /^\.It/ {inside = 0} inside' "$page")
        help=$("$tool" --help | sed -n 's/.*--threads N *//p')
        case $sentences in
        *"Accepted for"*) [[ $help == *"accepted for"* ]] ;;
        *"on one thread"*) [[ $help == *"one for queries"* ]] ;;
        *) [[ $help == *"default: one a processor"* ]] ;;
        esac || { echo "$tool: $help"; return 1; }
    done
}

@test "the options of each page are those of --help, arguments included" {
    for page in $pages; do
        tool=$(basename "$page" .1)
        help=$(options_of_help "${tool#vdb-}")
        [ "$(wc -l <<<"$help")" -ge 10 ]
        same "$(options_of_page "$page")" "$help" || { echo "in $tool.1"; return 1; }
    done
}

@test "each page names every option of --help in its synopsis, or says options" {
    for page in $pages; do
        synopsis=$(awk '/^\.Sh / {inside = $2 == "SYNOPSIS"} inside' "$page")
        for option in $(options_of_page "$page" | sed -n 's/^-\(-[a-z-]*\).*/\1/p'); do
            case $option in
            -threads | -wait | -progress | -quiet | -verbose | -help | -version) ;;
            *) grep -q -e "Fl $option" -e "Fl ${option#-}\>" <<<"$synopsis" ||
                { echo "$page: -$option is not in the synopsis"; return 1; } ;;
            esac
        done
    done
}

@test "the exit statuses of each page are of the common table" {
    for page in $pages; do
        grep -q '^\.Sh EXIT STATUS' "$page"
        grep -q '^\.Sh EXAMPLES' "$page"
        for status in $(awk '/^\.Sh / {inside = $0 ~ /EXIT STATUS/} inside && /^\.It/ {
            gsub(/[^0-9 ]/, ""); print}' "$page"); do
            [[ " 0 1 2 65 66 70 73 74 75 130 143 " == *" $status "* ]]
        done
    done
}

@test "the examples of each page run as printed, and print what stands below them" {
    for page in $pages; do
        mkdir "$(basename "$page")"
        cd "$(basename "$page")"
        literal "$page" EXAMPLES >../session
        grep -q '^\$ ' ../session
        command= wanted= ran=0
        while IFS= read -r line || [ -n "$command" ]; do
            if [[ $line == '$ '* || -z $line ]] && [ -n "$command" ]; then
                got=$(bash -o pipefail -c "$command" 2>&1) ||
                    { echo "$page: '$command' ended with $?: $got"; return 1; }
                ran=$((ran + 1))
                [ -z "$wanted" ] || same "$got"$'\n' "$wanted" ||
                    { echo "$page: '$command' printed otherwise"; return 1; }
                command= wanted=
            fi
            if [[ $line == '$ '* ]]; then
                command=${line#'$ '}
            elif [ -n "$line" ]; then
                wanted+=$line$'\n'
            fi
            line=
        done <../session
        [ $ran -eq "$(grep -c '^\$ ' ../session)" ]
        cd ..
    done
}
