/* confine.c: a process gives up what it does not need.
 *
 * Seccomp and Landlock each deny what the other does as well: kernels and containers have the one,
 * the other or both. The filter lists what is allowed: memory, and work on open descriptors. All
 * else fails with EPERM rather than killing, since libraries try things that they can do without
 * (a C library that asks for the terminal's state), and then tell of it in a sentence.
 *
 * Sanitizers and coverage read and write files of their own: builds with them are not confined.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "hdf5/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

static struct itimerval patience;

static struct {
    int seccomp, landlock; /* 0, or the errno that says why not */
} missing;

#ifdef VDB_UNCONFINED
#define HAVE_CONFINEMENT 0
#else
#define HAVE_CONFINEMENT 1
#endif

/* ---- limits -------------------------------------------------------------------------------- */

/* Never above what the user has set. */
static void lower(struct rlimit *limit, uint64_t value)
{
    rlim_t new = value < RLIM_INFINITY ? (rlim_t)value : RLIM_INFINITY;
    if (limit->rlim_cur > new) limit->rlim_cur = new;
    if (limit->rlim_max > new) limit->rlim_max = new;
}

/* A macro, because what `resource` is differs from one C library to the next. */
#define LIMIT(resource, value)                                                                     \
    do {                                                                                           \
        struct rlimit limit;                                                                       \
        if (getrlimit(resource, &limit) != 0) break;                                               \
        lower(&limit, value);                                                                      \
        setrlimit(resource, &limit);                                                               \
    } while (0)

/* What a user or a test has left open for others. */
static void close_others(void)
{
#ifdef SYS_close_range
    if (syscall(SYS_close_range, 3U, ~0U, 0U) == 0) return;
#endif
    long max = sysconf(_SC_OPEN_MAX);
    for (int fd = 3; fd < (max > 0 && max < 65536 ? (int)max : 65536); fd++) close(fd);
}

/* ---- Landlock ------------------------------------------------------------------------------ */

/* Declared here, because headers may be older than the kernel; numbers are the same everywhere. */
struct landlock_rules {
    uint64_t files, network, scoped;
};

enum { LANDLOCK_CREATE = 444, LANDLOCK_RESTRICT = 446, LANDLOCK_VERSION = 1 };

/* Every right that the kernel knows of is taken, and none is given back. Kernels refuse rights and
 * fields that they do not know. */
static int landlock(void)
{
    static const struct {
        long version;
        uint64_t rights; /* of files, up to this version */
    } known[] = {{1, 0x1fff}, {2, 0x3fff}, {3, 0x7fff}, {5, 0xffff}};
    long version = syscall(LANDLOCK_CREATE, NULL, 0, LANDLOCK_VERSION);
    if (version <= 0) return errno;
    struct landlock_rules rules = {.files = 0};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (version >= known[i].version) rules.files = known[i].rights;
    size_t size = version >= 6 ? sizeof rules : offsetof(struct landlock_rules, scoped);
    if (version < 4) size = offsetof(struct landlock_rules, network);
    rules.network = version >= 4 ? 3 : 0; /* bind and connect, of TCP */
    rules.scoped = version >= 6 ? 3 : 0;  /* abstract sockets and signals of others */
    int fd = (int)syscall(LANDLOCK_CREATE, &rules, size, 0);
    if (fd < 0) return errno;
    int error = syscall(LANDLOCK_RESTRICT, fd, 0) == 0 ? 0 : errno;
    close(fd);
    return error;
}

/* ---- seccomp ------------------------------------------------------------------------------- */

#if defined __x86_64__
#define THIS_ARCH AUDIT_ARCH_X86_64
#elif defined __aarch64__ && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define THIS_ARCH AUDIT_ARCH_AARCH64
#elif defined __riscv && __riscv_xlen == 64
#define THIS_ARCH AUDIT_ARCH_RISCV64
#endif

#ifdef THIS_ARCH

/* Nothing here takes a name. */
static const uint32_t for_all[] = {
    SYS_read,           SYS_pread64,         SYS_write,     SYS_writev,
    SYS_lseek,          SYS_fstat,           SYS_close,     SYS_brk,
    SYS_munmap,         SYS_mremap,          SYS_madvise,   SYS_exit,
    SYS_exit_group,     SYS_setitimer,       SYS_futex,     SYS_rt_sigreturn,
    SYS_rt_sigprocmask, SYS_restart_syscall, SYS_getrandom, SYS_clock_gettime,
    SYS_gettimeofday,   SYS_getpid,
};
static const uint32_t for_writing[] = {SYS_pwrite64, SYS_ftruncate};
/* With memory that is to be run they are denied: the third argument is the protection. */
static const uint32_t for_data[] = {SYS_mmap, SYS_mprotect};

enum { FILTER_MAX = 80 };

struct filter {
    struct sock_filter code[FILTER_MAX];
    unsigned short len;
};

static void add(struct filter *filter, struct sock_filter one)
{
    if (filter->len < FILTER_MAX) filter->code[filter->len++] = one;
}

static void load(struct filter *filter, size_t offset)
{
    add(filter, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

static void allow(struct filter *filter, const uint32_t *calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i], 0, 1));
        add(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    }
}

static void deny(struct filter *filter)
{
    add(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
}

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static int seccomp(enum confine_for what)
{
    struct filter f = {.len = 0};
    load(&f, offsetof(struct seccomp_data, arch));
    add(&f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCH, 1, 0));
    deny(&f);
    load(&f, offsetof(struct seccomp_data, nr));
    allow(&f, for_all, COUNT(for_all));
    if (what == CONFINE_WRITING) allow(&f, for_writing, COUNT(for_writing));
    for (size_t i = 0; i < COUNT(for_data); i++) {
        add(&f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, for_data[i], 0, 4));
        load(&f, offsetof(struct seccomp_data, args[2])); /* its low half: little-endian */
        add(&f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 1, 0));
        add(&f, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
        deny(&f);
    }
    deny(&f);
    struct sock_fprog program = {f.len, f.code};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0 ? 0 : errno;
}

#else
static int seccomp(enum confine_for what)
{
    (void)what;
    return ENOSYS;
}
#endif

/* ---- all of it ----------------------------------------------------------------------------- */

void confine(enum confine_for what, uint64_t memory, unsigned seconds)
{
    sigset_t timer;
    sigemptyset(&timer);
    sigaddset(&timer, SIGPROF);
    signal(SIGPROF, SIG_DFL);
    sigprocmask(SIG_UNBLOCK, &timer, NULL);
    patience.it_value.tv_sec = (time_t)seconds;
    confine_progress();
    LIMIT(RLIMIT_CORE, 0);
    if (!HAVE_CONFINEMENT) return;
    close_others();
    LIMIT(RLIMIT_AS, memory);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    missing.landlock = landlock(); /* opens a descriptor, and so comes before the next */
    LIMIT(RLIMIT_NOFILE, 3);
    missing.seccomp = seccomp(what);
}

void confine_progress(void)
{
    setitimer(ITIMER_PROF, &patience, NULL);
}

static const char *reason(int error)
{
    return error == ENOSYS || error == EINVAL || error == EOPNOTSUPP ? "not in this kernel"
                                                                     : "denied here";
}

void confined(char line[CONFINED_SIZE])
{
    const char *names[] = {"seccomp", "Landlock"};
    const int errors[] = {missing.seccomp, missing.landlock};
    int used = 0;
    if (!HAVE_CONFINEMENT) {
        snprintf(line, CONFINED_SIZE, "not confined: a build with sanitizers or coverage");
        return;
    }
    used += snprintf(line, CONFINED_SIZE, "confined by limits on memory and time");
    for (int i = 0; i < 2; i++)
        used += errors[i]
                    ? snprintf(line + used, (size_t)(CONFINED_SIZE - used),
                               "; without %s, which is %s", names[i], reason(errors[i]))
                    : snprintf(line + used, (size_t)(CONFINED_SIZE - used), ", by %s", names[i]);
}
