/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the builder of the patch reports becomes what the caller of the build gets. */
#include "build/result.h"

#include <stdio.h>
#include <string.h>
#include "base/array.h"
#include "build/prove.h"

int result_add_finding(struct build_result *result, const char *code, bool fatal,
                       const char *where, const char *text, struct error *err)
{
        struct build_finding *finding;

        for (size_t i = 0; i < result->n_findings; i++) {
                finding = &result->findings[i]; /* two modules may be made from one unit */
                if (strcmp(finding->code, code) == 0 && strcmp(finding->where, where) == 0 &&
                    strcmp(finding->text, text) == 0)
                        return 0;
        }
        finding = ARRAY_PUSH(result->findings, result->n_findings);
        if (!finding)
                return error_no_memory(err);
        snprintf(finding->code, sizeof(finding->code), "%s", code);
        finding->fatal = fatal;
        finding->where = strdup(where);
        finding->text = strdup(text);
        if (finding->where && finding->text)
                return 0;
        free(finding->where);
        free(finding->text);
        result->n_findings--;
        return error_no_memory(err);
}

int result_take_findings(struct build_result *result, const struct objects_report *report,
                         struct error *err)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < report->n_findings; i++) {
                const struct build_finding *finding = &report->findings[i];

                r = result_add_finding(result, finding->code, finding->fatal, finding->where,
                                       finding->text, err);
        }
        return r;
}

int result_add_target(struct build_result *result, const struct objects_report *report,
                      size_t target, struct build_target **ret, struct error *err)
{
        struct build_target *item = NULL;

        for (size_t i = 0; i < report->n_functions; i++) {
                const struct objects_function *function = &report->functions[i];
                char **name;

                if (function->target != target || function->change != OBJECTS_CHANGED)
                        continue;
                if (!item)
                        item = ARRAY_PUSH(result->targets, result->n_targets);
                name = item ? ARRAY_PUSH(item->functions, item->n_functions) : NULL;
                if (!name)
                        return error_no_memory(err);
                *name = strdup(function->name);
                if (!*name)
                        return error_no_memory(err);
        }
        *ret = item;
        return 0;
}

static void target_done(struct build_target *target)
{
        free(target->module);
        free(target->path);
        free(target->package);
        free(target->version);
        build_proof_done(&target->proof);
        for (size_t i = 0; i < target->n_functions; i++)
                free(target->functions[i]);
        free(target->functions);
}

void build_result_done(struct build_result *result)
{
        for (size_t i = 0; i < result->n_targets; i++)
                target_done(&result->targets[i]);
        for (size_t i = 0; i < result->n_units; i++)
                free(result->units[i]);
        for (size_t i = 0; i < result->n_set_aside; i++)
                free(result->set_aside[i]);
        for (size_t i = 0; i < result->n_findings; i++) {
                free(result->findings[i].where);
                free(result->findings[i].text);
        }
        free(result->set_aside);
        free(result->targets);
        free(result->units);
        free(result->findings);
        free(result->log_path);
        *result = (struct build_result){ 0 };
}
