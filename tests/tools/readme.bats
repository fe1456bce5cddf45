#!/usr/bin/env bats
# readme.bats: the README's tour runs as printed, from an empty directory, and what else it names is
# there.
# SPDX-License-Identifier: BSD-2-Clause

load common.bash

setup() {
    common_setup
    readme=${VDB_SOURCE_DIR:-$HERE/../..}/README.md
}

# The console blocks of the README, as they are printed.
console() {
    awk '/^```$/ {inside = 0} inside {print} /^```console$/ {inside = 1}' "$readme"
}

# A script that first prints each command, as a reader sees it, and then runs it. Lines that end in
# a backslash or a pipe go on in the next.
as_script() {
    awk -v quote="'" '
        function show(line) {
            gsub(quote, quote "\\" quote quote, line)
            print "printf " quote "%s\\n" quote " " quote line quote
        }
        function flush_command() {
            if (shown == "") return
            n = split(shown, line, "\n")
            for (i = 1; i < n; i++) show(line[i])
            print command
            shown = command = ""
        }
        /^\$ / || more {
            if (!more) flush_command()
            shown = shown $0 "\n"
            command = command (more ? "\n" $0 : substr($0, 3))
            more = /[\\|]$/
            next
        }
        {flush_command()}
        END {flush_command()}'
}

@test "the tour prints what the README says, from an empty directory" {
    [ -z "$(ls -A)" ]
    console >wanted
    [ "$(grep -c '^\$ ' wanted)" -ge 20 ]
    as_script <wanted >script
    mv wanted script ..
    # The terminal of the tour shows both outputs; bats keeps descriptor 3 for itself.
    bash ../script >../shown 2>&1 3>&-
    diff ../wanted ../shown
}

@test "the tour has eight pipelines, each in a block of its own" {
    [ "$(grep -c '^```console$' "$readme")" -eq 8 ]
}

@test "the line for cron works as it stands" {
    printf 'a\t1\t2\n' | vdb-add -q --create --format tsv colours.vdb
    command=$(sed -n 's/^    0 \* \* \* \* //p' "$readme")
    [[ $command == vdb-snap* ]]
    ends 0 sh -c "$command"
    [ -z "$output$stderr" ]
    for i in $(seq 50); do sh -c "$command"; done
    [ "$(vdb-snap colours.vdb | grep -c '^hourly-20')" -eq 48 ]
}

@test "the table of tools has each tool that is built, and no other" {
    same "$(sed -n 's/^| \[\(vdb-[a-z]*\)\](tools\/\1\.1) .*/\1/p' "$readme" | sort)" \
        "$(ls "$VDB_BIN" | grep '^vdb-' | sort)"
}

@test "the table's formats of vdb-add are those of its man page" {
    named=$(sed -n 's/^| \[vdb-add\].* from \(.*\) |$/\1/p' "$readme" | tr -d ' ' | tr , '\n' |
        sed 's/^JSONLines$/jsonl/; s/^word2vectext$/word2vec/; y/TSVCIDXHF/tsvcidxhf/' | sort)
    same "$named" "$(awk '/^\.Ss Formats/ {inside = 1} /^\.Sh OPTIONS/ {inside = 0}
        inside && /^\.It Cm/ {gsub(/\.It Cm| ,|Cm/, ""); for (i = 1; i <= NF; i++) print $i}' \
        "$(dirname "$readme")/tools/vdb-add.1" | sort)"
}

# The anchors of a page's headings, one a line, as the sites that show Markdown make them.
anchors() { # PAGE
    sed -nE 's/^#+ //p' "$1" | tr '[:upper:]' '[:lower:]' | sed -E 's/[^a-z0-9 _-]//g; s/ /-/g'
}

@test "every link leads to a file, and to a heading of it; every target of make that is named is one" {
    root=$(dirname "$readme")
    links=$(grep -o ']([^)]*)' "$readme" | tr -d ']()')
    [ "$(wc -l <<<"$links")" -ge 10 ]
    for link in $links; do
        page=${link%%#*}
        [ -z "$page" ] || [ -e "$root/$page" ] || { echo "no $link"; return 1; }
        [[ $link == *#* ]] || continue
        anchors "$root/${page:-README.md}" | grep -qxF "${link#*#}" || { echo "no $link"; return 1; }
    done
    targets=$(grep -oE '(`|^    (sudo )?)make [a-z]+' "$readme" | awk '{print $NF}' | sort -u)
    [ "$(wc -l <<<"$targets")" -ge 5 ]
    for target in $targets; do
        grep -qE "^([a-z-]+ )*$target( [a-z-]+)*:" "$root/Makefile" ||
            { echo "no make $target"; return 1; }
    done
}

@test "the exit statuses are those of the man pages" {
    root=$(dirname "$readme")
    said=$(sed -n '/^Each has a man page/,/^$/p' "$readme" | tr '\n' ' ' |
        sed 's/.*Exit statuses://' | grep -oE '[0-9]+' | sort -nu)
    same "$said" "$(sed -n '/^\.Sh EXIT STATUS/,/^\.Sh EXAMPLES/s/^\.It \([0-9]*\)$/\1/p' \
        "$root"/tools/vdb-*.1 | sort -nu)"
}
