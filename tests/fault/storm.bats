#!/usr/bin/env bats
# storm.bats: processes on one index that are killed and stopped at random (storm.c); and that the
# storm says so where something does not hold.
# SPDX-License-Identifier: BSD-2-Clause

setup() {
    load ../tools/common
    common_setup
    STORM=$VDB_BUILD/tests/aid/storm
}

# kills SHARE: so many of a hundred of the storm's kills. STORM_KILLS asks for another number.
kills() {
    local all=50
    [ "$VDB_MODE" = release ] && all=600
    echo $((${STORM_KILLS:-$all} * $1 / 100))
}

# storm KILLS OPTION...: what it counted goes to the test's output.
storm() {
    local wanted=$1
    shift
    mkdir storm
    if ! timeout -k 10 $((300 + 2 * wanted)) "$STORM" --kills "$wanted" ${STORM_SEED:+--seed "$STORM_SEED"} \
        "$@" storm >out 2>&1; then
        cat out
        ls -la storm
        return 1
    fi
    sed 's/^/# /' out >&3
    [ "$(sed -n 's/^\([0-9]*\) kills,.*/\1/p' out)" -ge "$wanted" ]
    [ "$(sed -n 's/^\([0-9]*\) compactions.*/\1/p' out)" -gt 0 ]
    [ "$(sed -n 's/^\([0-9]*\) batches.*/\1/p' out)" -gt "$wanted" ]
    [[ "$(grep '^[0-9]* streams' out)" =~ ^[1-9][0-9]*\ .*\ [1-9][0-9]*\ of\ changes.*,\ [1-9][0-9]*\ outputs ]]
}

@test "a storm on a flat index loses nothing, shows no half of a batch and blocks nobody" {
    storm "$(kills 50)" --index flat
}

@test "a storm on an index whose commits have names, which compaction keeps, and are gone back to" {
    storm "$(kills 20)" --index flat --names
    [ "$(sed -n 's/^\([0-9]*\) went back.*/\1/p' out)" -gt 0 ]
}

@test "a storm on an index of graphs" {
    storm "$(kills 15)" --index graph
}

@test "a storm on a hybrid index, compacted by vdb-compact --if-needed" {
    storm "$(kills 15)" --index hybrid --tool "$VDB_BIN/vdb-compact"
    [ "$(sed -n 's/.* \([0-9]*\) runs of vdb-compact.*/\1/p' out)" -gt 0 ]
}
