/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The report of what was found in the objects. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/array.h"
#include "build/demangle.h"
#include "build/extract.h"

bool report_finding(struct objects_report *report, const char *code, bool fatal, const char *where,
                    const char *format, ...)
{
        struct build_finding *finding;
        _cleanup_free_ char *text = NULL;
        va_list args;
        int r;

        va_start(args, format);
        r = vasprintf(&text, format, args);
        va_end(args);
        if (r < 0) {
                text = NULL;
                return false;
        }
        finding = ARRAY_PUSH(report->findings, report->n_findings);
        if (!finding)
                return false;
        snprintf(finding->code, sizeof(finding->code), "%s", code);
        finding->fatal = fatal;
        finding->where = demangle_text(where ? where : "");
        finding->text = demangle_text(text);
        return finding->where && finding->text;
}

const struct build_finding *report_fatal(const struct objects_report *report)
{
        for (size_t i = 0; i < report->n_findings; i++)
                if (report->findings[i].fatal)
                        return &report->findings[i];
        return NULL;
}

void objects_report_done(struct objects_report *report)
{
        for (size_t i = 0; i < report->n_functions; i++) {
                free(report->functions[i].name);
                free(report->functions[i].unit);
                free(report->functions[i].why);
        }
        for (size_t i = 0; i < report->n_findings; i++) {
                free(report->findings[i].where);
                free(report->findings[i].text);
        }
        free(report->functions);
        free(report->findings);
        free(report->build_ids);
        *report = (struct objects_report){ 0 };
}
