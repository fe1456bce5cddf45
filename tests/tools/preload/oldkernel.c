/* oldkernel.c: put before the C library by LD_PRELOAD, it takes away what confines the helper:
 * seccomp fails with the error that OLDKERNEL names by its number, and there is no Landlock, unless
 * OLDKERNEL_LANDLOCK is set.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>

static int seccomp_errno;
static char *landlock;
static long (*real_syscall)(long, long, long, long);
static int (*real_prctl)(int, unsigned long, unsigned long, unsigned long, unsigned long);

/* Before main, which forgets the environment. */
__attribute__((constructor)) static void remember(void)
{
    const char *number = getenv("OLDKERNEL");
    seccomp_errno = number ? atoi(number) : EINVAL;
    landlock = getenv("OLDKERNEL_LANDLOCK");
    *(void **)&real_syscall = dlsym(RTLD_NEXT, "syscall");
    *(void **)&real_prctl = dlsym(RTLD_NEXT, "prctl");
}

/* Landlock's and close_range are all that is called so. */
long syscall(long number, ...)
{
    va_list args;
    va_start(args, number);
    long a = va_arg(args, long), b = va_arg(args, long), c = va_arg(args, long);
    va_end(args);
    if (landlock) return real_syscall(number, a, b, c);
    errno = ENOSYS;
    return -1;
}

int prctl(int what, ...)
{
    va_list args;
    va_start(args, what);
    unsigned long value = va_arg(args, unsigned long);
    va_end(args);
    if (what != PR_SET_SECCOMP) return real_prctl(what, value, 0, 0, 0);
    errno = seccomp_errno;
    return -1;
}
