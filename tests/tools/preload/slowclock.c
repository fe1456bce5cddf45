/* slowclock.c: put before the C library by LD_PRELOAD, it makes the machine seem slow: each time
 * that a clock is asked it has gone on by a second and a quarter.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *to)
{
    static long asked;
    long quarters = 5 * __atomic_add_fetch(&asked, 1, __ATOMIC_RELAXED);
    (void)clock;
    *to = (struct timespec){1000000 + quarters / 4, quarters % 4 * 250000000};
    return 0;
}
