/* slow.h: whether tests were compiled for a sanitizer. They then take ten times as long, and what
 * there is to see is seen in fewer rows and rounds.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_UNIT_SLOW_H
#define TESTS_UNIT_SLOW_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SLOW = 1 };
#else
enum { SLOW = 0 };
#endif

#endif
