/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "build/steps.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/file.h"

int steps_open(struct steps *steps, const char *label, struct error *err)
{
        const struct build_observer *observer = steps->observer;
        _cleanup_free_ char *folder = steps->request->cache ? strdup(steps->request->cache)
                                                            : build_default_cache();
        int r;

        if (!folder)
                return error_no_memory(err);
        r = store_open(folder, label, observer ? observer->interrupted : NULL,
                       observer ? observer->context : NULL, &steps->store, err);
        if (r < 0)
                return r;
        steps->store->note = steps_note;
        steps->store->note_context = steps;
        steps->result->log_path = strdup(steps->store->log_path);
        return steps->result->log_path ? 0 : error_no_memory(err);
}

void steps_done(struct steps *steps)
{
        steps->store = store_close(steps->store);
}

static const char *title(const struct steps *steps)
{
        switch (steps->now) {
        case STEP_ORIGINAL:
                return steps->original_title;
        case STEP_FIXED:
                return steps->fixed_title;
        case STEP_COMPARE:
                return "compare";
        case STEP_SAFETY:
                return "safety";
        case STEP_LINK:
                return "link";
        case STEP_WRITE:
                break;
        }
        return "write";
}

static void report(const struct steps *steps, enum build_step_state state, const char *detail)
{
        const struct build_progress progress = {
                .step = steps->now - steps->first + 1, .n_steps = STEP_WRITE - steps->first + 1,
                .title = title(steps), .state = state, .detail = detail,
        };

        run_log(&steps->store->runner, "[%u/%u] %s: %s", progress.step, progress.n_steps,
                progress.title, detail);
        if (steps->observer && steps->observer->progress)
                steps->observer->progress(steps->observer->context, &progress);
}

void steps_begin(struct steps *steps, enum step step)
{
        steps->now = step;
        report(steps, BUILD_STEP_BEGIN, "");
}

void steps_end(const struct steps *steps, const char *format, ...)
{
        char detail[256];
        va_list args;

        va_start(args, format);
        vsnprintf(detail, sizeof(detail), format, args);
        va_end(args);
        report(steps, BUILD_STEP_DONE, detail);
}

void steps_note(void *context, const char *text)
{
        report(context, BUILD_STEP_NOTE, text);
}

const char *plural(size_t n)
{
        return n == 1 ? "" : "s";
}

static void tell_safety(struct steps *steps)
{
        const struct build_result *result = steps->result;
        size_t n_fatal = 0;

        for (size_t i = 0; i < result->n_findings; i++)
                n_fatal += result->findings[i].fatal;
        steps_begin(steps, STEP_SAFETY);
        if (n_fatal > 0)
                steps_end(steps, "%zu finding%s in the way", n_fatal, plural(n_fatal));
        else if (result->n_findings > 0)
                steps_end(steps, "%zu warning%s, nothing in the way", result->n_findings,
                          plural(result->n_findings));
        else
                steps_end(steps, "nothing in the way");
}

void steps_tell_comparison(struct steps *steps, const struct objects_report *found,
                           bool has_patch)
{
        size_t n_changed = 0, n_new = 0, n_bytes = 0;

        for (size_t i = 0; i < found->n_functions; i++) {
                n_changed += found->functions[i].change == OBJECTS_CHANGED;
                n_new += found->functions[i].change == OBJECTS_NEW;
                n_bytes += found->functions[i].new_size;
        }
        steps_begin(steps, STEP_COMPARE);
        steps_end(steps, "%zu function%s changed, %zu new, %zu data", n_changed, plural(n_changed),
                  n_new, found->n_data);
        tell_safety(steps);
        if (!has_patch)
                return;
        steps_begin(steps, STEP_LINK);
        steps_end(steps, "%zu bytes of new code, %zu of data, bound to the shipped addresses",
                  n_bytes, found->n_data_bytes);
}

int steps_write(struct steps *steps, const char *id, const struct buffer *patch,
                struct error *err)
{
        const struct build_request *request = steps->request;
        struct build_result *result = steps->result;
        int r;

        steps_begin(steps, STEP_WRITE);
        r = file_write_atomic(request->output, patch->data, patch->size, 0644, err);
        if (r < 0)
                return r;
        result->digest = sha256_of(patch->data, patch->size);
        result->size_bytes = patch->size;
        snprintf(result->patch_name, sizeof(result->patch_name), "%s.%u", id,
                 request->level ? request->level : 1);
        steps_end(steps, "%s", request->output);
        return 0;
}

char *patch_id_for(const struct build_request *request, const char *otherwise)
{
        enum { MAX_LENGTH = 48 }; /* patch/patch.h */
        char *id;

        if (request->id)
                return strdup(request->id);
        id = strndup(request->n_cves > 0 ? request->cves[0].id : otherwise, MAX_LENGTH);
        for (char *c = id; c && *c; c++)
                if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-", *c))
                        *c = '-';
        return id;
}

struct objects_patch patch_head(const struct build_request *request, const char *id,
                                const char *title_text)
{
        return (struct objects_patch){
                .id = id,
                .level = request->level ? request->level : 1,
                .title = title_text,
                .author = request->author,
                .cves = request->cves,
                .n_cves = request->n_cves,
                .supersedes = request->supersedes,
                .n_supersedes = request->n_supersedes,
        };
}

void steps_explain(const struct steps *steps, int outcome, struct error *err)
{
        const char *log = steps->store->log_path;
        size_t length;

        if (outcome == 0 || !err)
                return;
        if (outcome < 0) {
                run_log(&steps->store->runner, "failed: %s", err->cause);
                error_prefix(err, "%s", title(steps));
        }
        length = strlen(err->next);
        if (length == 0)
                snprintf(err->next, sizeof(err->next), "the log %s tells more", log);
        else if (!strstr(err->next, log))
                snprintf(err->next + length, sizeof(err->next) - length, "; log: %s", log);
}
