/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Asking before something is changed, and being stopped while it is under way. */
#include <stdbool.h>
#include "base/error.h"
#include "cli/output.h"

enum confirm_outcome {
        CONFIRM_NO = 1,     /* the answer was no, or Ctrl-C */
};

/*
 * Asks on the terminal. 0: yes. CONFIRM_NO. Negative, with EXIT_CODE_USAGE: there is nobody to
 * ask (no terminal, or the output is JSON or quiet), and --yes must be given.
 */
int confirm(struct output *output, const char *question, struct error *err);

/*
 * From now on Ctrl-C, SIGTERM and SIGHUP don't end suture at once but are noted, so that a change
 * under way is finished or taken back.
 */
void interrupt_catch(void);
bool interrupt_seen(void);
