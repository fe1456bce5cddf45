/* vdb-hdf5.c: the helper process in which libhdf5 lives; the tools start it, users need not.
 *
 * It keeps libhdf5 out of the tools: they do not pay for loading it, and a damaged file that makes
 * it crash ends this process only. What passes through its pipe is written in input/hdf5_pipe.h.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hdf5/hdf5_file.h"

void helper_fail(int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(status);
}

static herr_t keep_reason(unsigned n, const H5E_error2_t *error, void *text)
{
    if (n == 0 && error->desc) snprintf(text, 256, "%s", error->desc);
    return 0;
}

const char *helper_reason(void)
{
    static char text[256];
    snprintf(text, sizeof text, "libhdf5 gives no reason");
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_reason, text);
    return text;
}

/* Nothing but VDB_ISA and NO_COLOR is to be read from the environment. */
static void forget_environment(void)
{
    static const char *const names[] = {"HDF5_DISABLE_VERSION_CHECK",
                                        "HDF5_DRIVER",
                                        "HDF5_DRIVER_CONFIG",
                                        "HDF5_EXT_PREFIX",
                                        "HDF5_PLUGIN_PATH",
                                        "HDF5_PLUGIN_PRELOAD",
                                        "HDF5_PREFIX",
                                        "HDF5_USE_FILE_LOCKING",
                                        "HDF5_VDS_PREFIX"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) unsetenv(names[i]);
}

int main(int argc, char **argv)
{
    forget_environment();
    if (H5open() < 0) helper_fail(CLI_SOFTWARE, "libhdf5 does not start");
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    const char *verb = argc > 1 ? argv[1] : "";
    if (strcmp(verb, "read") == 0 && argc >= 3 && argc <= 6)
        helper_read(argv[2], argc > 3 ? argv[3] : "", argc > 4 ? argv[4] : "",
                    argc > 5 ? argv[5] : "");
    else if (strcmp(verb, "write") == 0 && argc == 3)
        helper_write(argv[2]);
    else
        helper_fail(CLI_USAGE, "usage: vdb-hdf5 read FILE [DATASET [IDS_DATASET [DEFAULT]]] | "
                               "vdb-hdf5 write FILE");
    return 0;
}
