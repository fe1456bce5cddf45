/* kernel.c: chooses the kernel set.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "vector/kernel.h"

#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "base/error.h"
#include "vector/kernel_sets.h"

static int portable_runs(void)
{
    return 1;
}

#if defined(__x86_64__)
/* The compiler's check covers both the CPU and whether the system saves the wide registers. It
 * does not know f16c in every compiler; that works on registers that avx2 has asked about. */
static int avx2_runs(void)
{
    unsigned eax, ebx, ecx, edx;
    return __builtin_cpu_supports("avx2") && __get_cpuid(1, &eax, &ebx, &ecx, &edx) &&
           (ecx & bit_F16C);
}

/* AVX-VNNI, which not every compiler knows of either. */
static int avx2_vnni_runs(void)
{
    unsigned eax, ebx, ecx, edx;
    return avx2_runs() && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax & 1u << 4);
}

static int avx512_runs(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni") && avx2_runs();
}
#endif

static const struct {
    const struct kernels *set;
    int (*runs)(void);
} sets[] = {
/* best first */
#if defined(__x86_64__)
    {&kernels_avx512, avx512_runs},
    {&kernels_avx2_vnni, avx2_vnni_runs},
    {&kernels_avx2, avx2_runs},
#endif
    {&kernels_portable, portable_runs},
};

enum vdb_status kernels_select(const char *name, const struct kernels **kernels,
                               struct vdb_error *err)
{
    int named = 0;
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        if (name && strcmp(name, sets[i].set->name) != 0) continue;
        if (sets[i].runs()) {
            *kernels = sets[i].set;
            return VDB_OK;
        }
        named = 1;
    }
    if (named)
        return error_set(err, VDB_UNSUPPORTED, "this CPU does not run the kernel set '%s'", name);
    return error_set(err, VDB_UNSUPPORTED, "there is no kernel set '%s' in this build", name);
}
