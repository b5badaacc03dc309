/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * What the builder refuses or warns of, each with a number that stays: `suture explain SB112` and
 * docs/rules.md print this table. SB1xx is about the code, SB2xx about the source and its build.
 */
#include <stdbool.h>
#include <stddef.h>

struct build_rule {
        const char *code;     /* "SB112" */
        const char *title;    /* what was found, a few words */
        const char *why;      /* why it can't be done in a running process */
        const char *remedy;   /* what the author of a patch can do */
        const char *example;  /* source code or a command, several lines */
};

extern const struct build_rule build_rules[];
extern const size_t n_build_rules;

/* NULL if there is none; the case of letters doesn't matter. */
const struct build_rule *build_rule_find(const char *code);
