/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Filling a struct build_result, whatever the patch was made from. */
#include "build/objects.h"

/* Adds a finding, unless it is there already: two modules may be made from one unit. */
int result_add_finding(struct build_result *result, const char *code, bool fatal,
                       const char *where, const char *text, struct error *err);
/* All findings of the builder. */
int result_take_findings(struct build_result *result, const struct objects_report *report,
                         struct error *err);

/*
 * The functions of target number `target` of the report that are replaced; none are added if it
 * has none (nothing of it changed: it is not in the patch). `*ret` is the new target, to be filled
 * with names and proof, or NULL.
 */
int result_add_target(struct build_result *result, const struct objects_report *report,
                      size_t target, struct build_target **ret, struct error *err);
