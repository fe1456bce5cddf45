#!/usr/bin/env bats
# peers.bats: the arithmetic of `make bench-peers`, of which a table of figures shows nothing when wrong.
# SPDX-License-Identifier: BSD-2-Clause

# driver CODE...: runs Python with the driver's functions at hand; p(recall, qps) is a point.
driver() {
    python3 -B - "$@" <<PYTHON
import importlib.machinery, importlib.util, math
loader = importlib.machinery.SourceFileLoader("peers", "$VDB_SOURCE_DIR/tests/bench/peers")
peers = importlib.util.module_from_spec(importlib.util.spec_from_loader("peers", loader))
loader.exec_module(peers)
def p(recall, qps, effort=None):
    return peers.Point(recall, qps, 2 * qps, 10.0, 1e6 / qps, effort)
$1
PYTHON
}

@test "speed at a recall lies on the line in logarithms between the efforts beside it" {
    run driver 'x = peers.at([p(0.90, 4000), p(0.98, 1000), p(0.99, 10)], 0.92)
print(f"{x.recall} {x.qps:.3f} {x.cpu_qps:.3f} {x.p99:.3f}")'
    [ "$output" = "0.92 2828.427 5656.854 353.553" ]
}

@test "where the least effort is above the recall its own speed counts, and none where none reaches it" {
    run driver 'print(peers.at([p(0.97, 700), p(0.99, 300)], 0.95).qps)
print(peers.at([p(0.80, 700), p(0.94, 300)], 0.95))'
    [ "$output" = $'700\nNone' ]
}

@test "of several sweeps those points stay that no other beats in recall and speed" {
    run driver 'print([x.effort for x in peers.frontier(
    [p(0.9, 100, "a"), p(0.95, 90, "b"), p(0.93, 80, "beaten"), p(0.99, 20, "c"), p(0.95, 60, "slower")])])'
    [ "$output" = "['a', 'b', 'c']" ]
}

@test "rounds measure the efforts beside 0.95 and 0.99, and no others" {
    run driver 'print([x.effort for x in peers.around(
    [p(0.5, 9, 1), p(0.9, 8, 2), p(0.951, 7, 3), p(0.97, 6, 4), p(0.98, 5, 5), p(0.993, 4, 6), p(0.999, 3, 7)])])'
    [ "$output" = "[2, 3, 5, 6]" ]
}
