/* hdf5_driver.c: what libhdf5 reads and writes through: one descriptor that was open before.
 *
 * libhdf5's own drivers open files by name, which the confined helper may not. Of the names that a
 * file may carry (external links, virtual datasets) this one knows none.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hdf5/hdf5_file.h"

#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif

struct descriptor {
    H5FD_t base; /* first: what libhdf5 sees */
    int fd;
    haddr_t eoa, eof; /* what libhdf5 has given out, and what the file holds */
};

/* The one name that opens, for which libhdf5 has to be given some. */
static const char only_name[] = "descriptor";
static const haddr_t address_max = ((haddr_t)1 << 62) - 1;
static int only_fd;

/* The reason, where helper_reason finds it. */
static void push(hid_t minor, const char *what)
{
    H5Epush2(H5E_DEFAULT, __FILE__, __func__, __LINE__, H5E_ERR_CLS, H5E_IO, minor, "%s", what);
}

static H5FD_t *driver_open(const char *name, unsigned flags, hid_t access, haddr_t maximum)
{
    (void)flags, (void)access, (void)maximum;
    if (strcmp(name, only_name) != 0) {
        push(H5E_CANTOPENFILE, "it asks for another file");
        return NULL;
    }
    /* Not fstat, which some C libraries ask by name, so that a confined process may not. */
    off_t end = lseek(only_fd, 0, SEEK_END);
    struct descriptor *file = calloc(1, sizeof *file);
    if (!file || end < 0) {
        push(H5E_CANTOPENFILE, strerror(errno));
        free(file);
        return NULL;
    }
    file->fd = only_fd;
    file->eof = (haddr_t)end;
    return &file->base;
}

static herr_t driver_close(H5FD_t *base)
{
    free(base);
    return 0;
}

/* libhdf5 takes two handles that compare as equal for one file. */
static int driver_cmp(const H5FD_t *a, const H5FD_t *b)
{
    (void)a, (void)b;
    return 0;
}

/* As libhdf5's own driver for files. */
static herr_t driver_query(const H5FD_t *base, unsigned long *flags)
{
    (void)base;
    if (flags)
        *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA |
                 H5FD_FEAT_DATA_SIEVE | H5FD_FEAT_AGGREGATE_SMALLDATA;
    return 0;
}

static haddr_t driver_eoa(const H5FD_t *base, H5FD_mem_t type)
{
    (void)type;
    return ((const struct descriptor *)base)->eoa;
}

static herr_t driver_set_eoa(H5FD_t *base, H5FD_mem_t type, haddr_t eoa)
{
    (void)type;
    ((struct descriptor *)base)->eoa = eoa;
    return 0;
}

static haddr_t driver_eof(const H5FD_t *base, H5FD_mem_t type)
{
    (void)type;
    return ((const struct descriptor *)base)->eof;
}

static bool lies_within(haddr_t at, size_t len)
{
    return at <= address_max && len <= address_max - at;
}

/* What lies behind the end reads as zeros: libhdf5 has looked whether the file is whole. */
static herr_t driver_read(H5FD_t *base, H5FD_mem_t type, hid_t how, haddr_t at, size_t len,
                          void *to)
{
    (void)type, (void)how;
    if (!lies_within(at, len)) {
        push(H5E_READERROR, "an address is out of range");
        return -1;
    }
    unsigned char *p = to;
    while (len > 0) {
        ssize_t n = pread(((struct descriptor *)base)->fd, p, len, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            push(H5E_READERROR, strerror(errno));
            return -1;
        }
        if (n == 0) {
            memset(p, 0, len);
            return 0;
        }
        p += n;
        at += (haddr_t)n;
        len -= (size_t)n;
    }
    return 0;
}

static herr_t driver_write(H5FD_t *base, H5FD_mem_t type, hid_t how, haddr_t at, size_t len,
                           const void *from)
{
    struct descriptor *file = (struct descriptor *)base;
    const unsigned char *p = from;
    (void)type, (void)how;
    if (!lies_within(at, len)) {
        push(H5E_WRITEERROR, "an address is out of range");
        return -1;
    }
    while (len > 0) {
        ssize_t n = pwrite(file->fd, p, len, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            push(H5E_WRITEERROR, strerror(errno));
            return -1;
        }
        p += n;
        at += (haddr_t)n;
        len -= (size_t)n;
    }
    if (at > file->eof) file->eof = at;
    return 0;
}

/* The file's length becomes what libhdf5 has given out of it. */
static herr_t driver_truncate(H5FD_t *base, hid_t how, hbool_t closing)
{
    struct descriptor *file = (struct descriptor *)base;
    (void)how, (void)closing;
    if (file->eoa == file->eof) return 0;
    if (file->eoa > address_max || ftruncate(file->fd, (off_t)file->eoa) != 0) {
        push(H5E_WRITEERROR, strerror(errno));
        return -1;
    }
    file->eof = file->eoa;
    return 0;
}

static const H5FD_class_t driver = {
#ifdef H5FD_CLASS_VERSION
    .version = H5FD_CLASS_VERSION,
    .value = (H5FD_class_value_t)512, /* the first that is not libhdf5's own */
#endif
    .name = only_name,
    .maxaddr = ((haddr_t)1 << 62) - 1,
    .fc_degree = H5F_CLOSE_WEAK,
    .open = driver_open,
    .close = driver_close,
    .cmp = driver_cmp,
    .query = driver_query,
    .get_eoa = driver_eoa,
    .set_eoa = driver_set_eoa,
    .get_eof = driver_eof,
    .read = driver_read,
    .write = driver_write,
    .truncate = driver_truncate,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

/* It stays: closing it would take the reason of a failure with it. */
static hid_t driver_access(int fd)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), id = H5FDregister(&driver);
    only_fd = fd;
    if (access < 0 || id < 0 || H5Pset_driver(access, id, NULL) < 0)
        helper_fail(CLI_SOFTWARE, "libhdf5 takes no driver: %s", helper_reason());
    return access;
}

hid_t hdf5_descriptor_open(int fd)
{
    return H5Fopen(only_name, H5F_ACC_RDONLY, driver_access(fd));
}

hid_t hdf5_descriptor_create(int fd)
{
    return H5Fcreate(only_name, H5F_ACC_TRUNC, H5P_DEFAULT, driver_access(fd));
}
