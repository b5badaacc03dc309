/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* The table of verbs. A new verb is a file verb-NAME.c and a row in verbs.c. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "cli/options.h"
#include "cli/output.h"

#define VERB_MAX_OPTIONS 32

struct verb {
        const char *name;
        const char *arguments;      /* as in the synopsis: "FILE", "[CODE]", "" */
        size_t min_arguments, max_arguments;
        enum completes completes;   /* what an argument is */
        const char *summary;        /* a few words, for the list of verbs */
        const char *description;    /* a paragraph, for its --help */
        uint8_t options[VERB_MAX_OPTIONS]; /* enum option_id beside the common ones, 0 ends */
        bool hidden;                /* for the build of suture itself */
        /* An exit code, or negative: a fault that the caller prints. */
        int (*run)(const struct options *options, struct output *output, struct error *err);
};

extern const struct verb verbs[];
extern const size_t n_verbs;

const struct verb *verb_find(const char *name);

int verb_apply(const struct options *options, struct output *output, struct error *err);
int verb_build(const struct options *options, struct output *output, struct error *err);
int verb_config(const struct options *options, struct output *output, struct error *err);
int verb_explain(const struct options *options, struct output *output, struct error *err);
int verb_log(const struct options *options, struct output *output, struct error *err);
int verb_rollback(const struct options *options, struct output *output, struct error *err);
int verb_status(const struct options *options, struct output *output, struct error *err);
int verb_verify(const struct options *options, struct output *output, struct error *err);
