/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * The code that is patched: a small reader of messages with two holes. Level 1 of its patch closes
 * the first, level 2 both. Compiled with -DFIXED=1 or -DFIXED=2 it is the fixed source.
 */
#include <stddef.h>
#include <stdint.h>

/*
 * The sum of a message's payload: one byte of length, then so many bytes. -1 if it is malformed. The
 * hole: a length beyond the end of the message is believed.
 */
int subject_check(const unsigned char *message, size_t size);
/*
 * Writes `value` in decimal with its terminating zero; its length, or -1 if there is no room. The
 * hole: the terminating zero is not counted.
 */
int subject_format(char *ret, size_t size, unsigned value);
/* How often subject_check was called: static data that must survive every patch. */
uint64_t subject_calls(void);
/* Called by subject_check for each good message; another module may interpose it. */
void subject_seen(void);
extern uint64_t subject_n_seen;
/* Changed by no level; to be compared with subject_check in cost. */
int subject_twin(const unsigned char *message, size_t size);
