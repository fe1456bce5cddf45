# lock.bash: another process that holds a writer's lock, as the format defines it: the byte at 2^62.
# A lock of the older POSIX kind, which the kernel holds against those of open file descriptions.
# SPDX-License-Identifier: BSD-2-Clause

hold_write_lock() { hold_lock "$1" 0; }
hold_maintain_lock() { hold_lock "$1" 1; }

hold_lock() {
    mkfifo locked
    python3 -c '
import fcntl, sys, time
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_EX, 1, 2 ** 62 + int(sys.argv[2]))
open("locked", "w").close()
time.sleep(30)' "$1" "$2" 3>&- &
    LOCK_PID=$!
    cat locked
}

let_go() {
    kill $LOCK_PID
    wait $LOCK_PID || true
    rm locked
}
