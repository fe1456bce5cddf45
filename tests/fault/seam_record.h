/* seam_record.h: what seam.c tells the record of.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_FAULT_SEAM_RECORD_H
#define TESTS_FAULT_SEAM_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Around each call that changes something, so that the record has them in their order. Between the
 * two stand the call and what is said of it, where it did something. */
void trace_enter(void);
void trace_leave(void);

void trace_write(int fd, uint64_t off, const void *bytes, size_t len);
void trace_reserve(int fd, uint64_t off, uint64_t len);
void trace_truncate(int fd, uint64_t len);
void trace_sync(int fd, bool good);
void trace_create(const char *path, int fd);
void trace_link(const char *from, const char *to);
void trace_rename(const char *from, const char *to);
void trace_unlink(const char *path);

#endif
