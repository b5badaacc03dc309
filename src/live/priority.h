/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * While threads of a target are stopped, suture must not wait for its turn behind others: on a
 * machine with more busy threads than processors that wait would be most of the pause.
 */
#include <stdbool.h>

/*
 * If the processors are busy: goes before all ordinary threads, where the system allows it
 * (CAP_SYS_NICE). Where they are not, that would only keep those from running that are waited for.
 */
void priority_raise(void);
bool priority_is_raised(void);
/* Back to what it was. */
void priority_restore(void);
