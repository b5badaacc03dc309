/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* From the options of `suture build` to the request: what it is made from, and what goes with that. */
#include "build/build.h"
#include "cli/options.h"

struct build_call {
        struct build_request request;
        int (*build)(const struct build_request *request, struct build_result *ret,
                     const struct build_observer *observer, struct error *err);
        /* what the request's pointers need */
        struct patch_cve *cves;
        size_t n_cves;
        char *package;              /* the part of --source before the "=" */
        char **cve_ids;             /* without their ":REACH" */
        size_t n_cve_ids;
        char *output;               /* the default name */
};
void build_call_done(struct build_call *call);

/*
 * Faults are EXIT_CODE_USAGE. `ret` must be zeroed before and given to build_call_done() after, in
 * every case; it points into `options`.
 */
int build_call_make(const struct options *options, struct build_call *ret, struct error *err);
