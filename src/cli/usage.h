/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Everything that is printed from the tables of verbs and options. */
#include "cli/options.h"
#include "cli/output.h"

/* suture --help */
void usage_print(struct output *output);
/* suture VERB --help */
void usage_print_verb(struct output *output, const struct verb *verb);

/* The hidden verbs. */
int verb_completion(const struct options *options, struct output *output, struct error *err);
int verb_synopsis(const struct options *options, struct output *output, struct error *err);
