/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * A fault, told to a person: one sentence with the cause, and the next step. It is filled in
 * place, without allocation, by whoever finds the fault; callers on the way up may put context in
 * front ("apply SUT-1.2 to pid 812: ...") and return the negative number unchanged.
 *
 * Functions return 0 for done, a negative errno-like number for a fault (then `err` is filled),
 * and a positive enum of their module for an outcome the caller must settle.
 */
#include <stdbool.h>
#include "base/cleanup.h"

/* The exit codes of every verb (docs: suture(1), EXIT STATUS). */
enum exit_code {
        EXIT_CODE_OK = 0,           /* done, or nothing to do */
        EXIT_CODE_ERROR = 1,
        EXIT_CODE_USAGE = 2,
        EXIT_CODE_PERMISSION = 3,
        EXIT_CODE_UNSUPPORTED = 4,  /* the target is of a kind that suture can't work on */
        EXIT_CODE_TRUST = 5,        /* signature, digest, rollback, expiry */
        EXIT_CODE_AVAILABLE = 10,   /* an action is available */
        EXIT_CODE_EXPOSED = 11,     /* exposed, and no fix is available */
        EXIT_CODE_PARTIAL = 12,
        EXIT_CODE_UNDONE = 13,      /* applied, then undone */
        EXIT_CODE_STALE = 14,       /* knowledge is stale or missing */
};

struct error {
        enum exit_code exit_code;
        int errnum;       /* positive errno, or 0 where no system call was the cause */
        char cause[768];  /* one sentence, no final full stop needed */
        char next[384];   /* what to do now; may be empty */
};

/*
 * Fills `err` (NULL is allowed: the caller does not want to know). `errnum` is a positive errno,
 * whose text is appended to the cause, or 0. `next` may be NULL.
 * Returns -errnum, or -EINVAL where errnum is 0; never 0 or positive.
 */
int error_set(struct error *err, enum exit_code exit_code, int errnum, const char *next,
              const char *format, ...) _printf_(5, 6);

/* Puts context in front of the cause: "CONTEXT: cause". */
void error_prefix(struct error *err, const char *format, ...) _printf_(2, 3);

/* Out of memory, in the one form used everywhere. Returns -ENOMEM. */
int error_no_memory(struct error *err);
