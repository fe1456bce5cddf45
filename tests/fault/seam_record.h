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
void record_enter(void);
void record_leave(void);

void record_write(int fd, uint64_t off, const void *bytes, size_t len);
void record_reserve(int fd, uint64_t off, uint64_t len);
void record_truncate(int fd, uint64_t len);
void record_sync(int fd, bool good);
void record_create(const char *path, int fd);
void record_link(const char *from, const char *to);
void record_rename(const char *from, const char *to);
void record_unlink(const char *path);

#endif
