/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Keeps line numbers in place. A fix moves the lines below it, and a line number may be code:
 * assertions and log calls carry it as a constant. Without help, functions that the fix does not
 * touch would differ. So the fixed source gets `#line` directives: after each hunk that moves lines, the
 * next line in common has its old number again.
 */
#include <stdbool.h>
#include <stddef.h>
#include "base/buffer.h"

/* Lines counted from 1: [old_start, old_start + n_old) became [new_start, new_start + n_new). */
struct line_hunk {
        size_t old_start, n_old;
        size_t new_start, n_new;
};

/*
 * Reads the output of diff(1) in its normal form ("12,13c12", "5a6,9", "7d6"); other lines, which
 * show the text, are skipped. False if a header is malformed or memory is out.
 */
bool line_hunks_parse(const char *diff, struct line_hunk **ret, size_t *ret_n);

/*
 * The fixed text with its directives. One is put only where a line begins that is not inside of a
 * comment, a literal, a continued line or parentheses; until there the numbers are off, within the
 * statement that the fix changed anyway. False only when memory is out.
 */
bool line_keep(const char *fixed, const struct line_hunk *hunks, size_t n_hunks,
               struct buffer *ret);
