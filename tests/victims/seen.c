/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Preloaded before the subject's library, this takes the place of subject_seen. New code must
 * call this one too. The victim reports the count, and that of the function it replaces.
 */
#include <stdatomic.h>
#include <stdint.h>

_Atomic uint64_t seen_instead;
void subject_seen(void);

void subject_seen(void)
{
        atomic_fetch_add(&seen_instead, 1);
}
