/* lostpage.h: a mapped file that loses pages ends the tool with a message.
 *
 * Where another program cuts off a file that is mapped, or its medium fails, touching what is gone
 * raises SIGBUS, from which there is no way back into the work.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_LOSTPAGE_H
#define TOOLS_LOSTPAGE_H

/* From here on, "TOOL: FILE: offset N: ..." on stderr, then last(), then exit status 74, whichever
 * thread touched the page; last() may call what a signal handler may. A SIGBUS of any other kind
 * has its usual effect. `tool` stays the caller's and in place. */
void lostpage_catch(const char *tool, void (*last)(void));

#endif
