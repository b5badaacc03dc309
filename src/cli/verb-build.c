/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "build/build.h"

#include <string.h>
#include <time.h>
#include "build/change-kind.h"
#include "cli/build-request.h"
#include "cli/confirm.h"
#include "cli/describe.h"
#include "cli/verbs.h"

#define TITLE_COLUMN 21

/* What is drawn on a terminal while a step goes on, and since when. */
struct build_screen {
        struct output *output;
        struct build_progress progress;
        char detail[41];
        time_t began, drawn;       /* seconds of CLOCK_MONOTONIC */
};

static time_t seconds_now(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec;
}

static void draw_progress(struct build_screen *screen)
{
        FILE *stream = screen->output->errors;
        long seconds;

        screen->drawn = seconds_now();
        seconds = (long)(screen->drawn - screen->began);
        fprintf(stream, "\r\033[K [%u/%u] %-*s %s", screen->progress.step, screen->progress.n_steps,
                TITLE_COLUMN, screen->progress.title, screen->detail);
        if (seconds > 0)
                fprintf(stream, "  %ld:%02ld", seconds / 60, seconds % 60);
        fflush(stream);
}

/* A step that is done is a line of the output; what goes on meanwhile only shows on a terminal. */
static void show_progress(void *context, const struct build_progress *progress)
{
        struct build_screen *screen = context;
        struct output *output = screen->output;
        _cleanup_free_ char *detail = NULL;

        if (output->interactive)
                fputs("\r\033[K", output->errors);
        if (progress->state == BUILD_STEP_BEGIN)
                screen->began = seconds_now();
        screen->progress = *progress;
        if (progress->state == BUILD_STEP_DONE) {
                output_text(output, " [%u/%u] %-*s %s\n", progress->step, progress->n_steps,
                            TITLE_COLUMN, progress->title, progress->detail);
                fflush(output->stream);
        } else if (output->interactive) {
                detail = output_clean(progress->detail);
                snprintf(screen->detail, sizeof(screen->detail), "%s", detail ? detail : "");
                draw_progress(screen);
        }
}

/* Asked several times a second, so here the time that has passed is kept up to date. */
static bool ask_interrupted(void *context)
{
        struct build_screen *screen = context;

        if (screen->output->interactive && screen->progress.step > 0 &&
            screen->progress.state != BUILD_STEP_DONE && seconds_now() != screen->drawn)
                draw_progress(screen);
        return interrupt_seen();
}

static void print_findings(struct output *output, const struct build_result *result)
{
        for (size_t i = 0; i < result->n_findings; i++) {
                const struct build_finding *finding = &result->findings[i];

                output_text(output, "  %s %s %s%s%s  (suture explain %s)\n",
                            finding->fatal ? "error  " : "warning", finding->code, finding->text,
                            finding->where[0] ? ": " : "", finding->where, finding->code);
        }
}

/* How many, and of which kinds; the names are for --json and the log. */
static void print_set_aside(struct output *output, const struct build_result *result)
{
        bool seen[N_CHANGE_KINDS + 1] = { 0 };
        const char *separator = " (";

        if (result->n_set_aside == 0)
                return;
        output_text(output, "set aside: %zu file%s", result->n_set_aside,
                    result->n_set_aside == 1 ? "" : "s");
        for (size_t i = 0; i < result->n_set_aside; i++)
                seen[change_kind_beside(result->set_aside[i])] = true;
        for (int kind = 1; kind <= N_CHANGE_KINDS; kind++) {
                if (!seen[kind])
                        continue;
                output_text(output, "%s%s", separator, change_kind_text((enum change_kind)kind));
                separator = ", ";
        }
        output_text(output, ")\n");
}

static void print_done(struct output *output, const struct build_request *request,
                       const struct build_result *result)
{
        _cleanup_buffer_ struct buffer file = { 0 };
        char digest[SHA256_HEX_SIZE];

        sha256_format(&result->digest, digest);
        describe_shell_word(request->output, &file);
        output_text(output, "%s is %s, %zu bytes, for\n", request->output, result->patch_name,
                    result->size_bytes);
        for (size_t i = 0; i < result->n_targets; i++) {
                const struct build_target *target = &result->targets[i];
                char build_id[BUILD_ID_HEX_SIZE];

                build_id_format(&target->build_id, build_id);
                output_text(output, "  %s  %s %s  build ID %s  %zu function%s\n", target->module,
                            target->package ? target->package : "(no package)",
                            target->version ? target->version : "", build_id, target->n_functions,
                            target->n_functions == 1 ? "" : "s");
        }
        output_text(output, "Apply it: suture apply %s --digest %s\n", (const char *)file.data,
                    digest);
}

static json_t *proof_json(const struct build_proof *proof)
{
        return json_pack("{s:I, s:I, s:I, s:I, s:b, s:o}", "n_sections",
                         (json_int_t)proof->n_sections, "n_sections_equal",
                         (json_int_t)proof->n_sections_equal, "n_functions",
                         (json_int_t)proof->n_functions, "n_functions_equal",
                         (json_int_t)proof->n_functions_equal, "text_equal",
                         (int)proof->text_equal, "differing",
                         output_json_text(proof->differing ? proof->differing : ""));
}

static json_t *texts_json(char *const *texts, size_t n_texts)
{
        json_t *json = json_array();

        for (size_t i = 0; i < n_texts; i++)
                json_array_append_new(json, output_json_text(texts[i]));
        return json;
}

static json_t *target_json(const struct build_target *target)
{
        char build_id[BUILD_ID_HEX_SIZE];

        build_id_format(&target->build_id, build_id);
        return json_pack("{s:o, s:o, s:o, s:o, s:s, s:o, s:o}", "module",
                         output_json_text(target->module), "path", output_json_text(target->path),
                         "package", output_json_text(target->package), "version",
                         output_json_text(target->version), "build_id", build_id, "proof",
                         proof_json(&target->proof), "functions",
                         texts_json(target->functions, target->n_functions));
}

static json_t *findings_json(const struct build_result *result)
{
        json_t *json = json_array();

        for (size_t i = 0; i < result->n_findings; i++) {
                const struct build_finding *finding = &result->findings[i];

                json_array_append_new(json, json_pack("{s:o, s:b, s:o, s:o}", "code",
                                                      output_json_text(finding->code), "fatal",
                                                      (int)finding->fatal, "where",
                                                      output_json_text(finding->where), "text",
                                                      output_json_text(finding->text)));
        }
        return json;
}

/* `err` is NULL for a patch that was written. */
static void print_json(struct output *output, const struct build_request *request,
                       const struct build_result *result, const struct error *err)
{
        json_t *items = json_array(), *json;
        char digest[SHA256_HEX_SIZE];

        for (size_t i = 0; i < result->n_targets; i++)
                json_array_append_new(items, target_json(&result->targets[i]));
        sha256_format(&result->digest, digest);
        json = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "log",
                         output_json_text(result->log_path), "units",
                         texts_json(result->units, result->n_units), "set_aside",
                         texts_json(result->set_aside, result->n_set_aside), "findings",
                         findings_json(result), "cause",
                         err ? output_json_text(err->cause) : json_null(), "next",
                         err && err->next[0] ? output_json_text(err->next) : json_null());
        json_object_set_new(json, "patch", err ? json_null() : json_string(result->patch_name));
        json_object_set_new(json, "file", err ? json_null() : output_json_text(request->output));
        json_object_set_new(json, "digest", err ? json_null() : json_string(digest));
        json_object_set_new(json, "size_bytes",
                            err ? json_null() : json_integer((json_int_t)result->size_bytes));
        json_object_set_new(json, "items", items);
        output_json(output, "suture-build-1", err ? (int)err->exit_code : EXIT_CODE_OK, json);
}

static int finish(struct output *output, const struct build_request *request,
                  const struct build_result *result, int outcome, struct error *err)
{
        if (output->interactive)
                fputs("\r\033[K", output->errors);
        if (outcome < 0)
                return outcome;
        print_set_aside(output, result);
        print_findings(output, result);
        if (outcome == 0) {
                print_done(output, request, result);
                print_json(output, request, result, NULL);
                return EXIT_CODE_OK;
        }
        if (err->exit_code == EXIT_CODE_OK)
                err->exit_code = EXIT_CODE_UNSUPPORTED;
        if (output->json)
                print_json(output, request, result, err);
        else
                output_error(output, err);
        return (int)err->exit_code;
}

int verb_build(const struct options *options, struct output *output, struct error *err)
{
        _cleanup_(build_result_done) struct build_result result = { 0 };
        _cleanup_(build_call_done) struct build_call call = { 0 };
        struct build_screen screen = { .output = output };
        struct build_observer observer = {
                .progress = show_progress,
                .interrupted = ask_interrupted,
                .context = &screen,
        };
        int r = build_call_make(options, &call, err);

        if (r < 0)
                return r;
        interrupt_catch();
        err->exit_code = EXIT_CODE_OK;
        r = call.build(&call.request, &result, &observer, err);
        if (r < 0 && err->exit_code == EXIT_CODE_OK)
                err->exit_code = EXIT_CODE_ERROR;
        return finish(output, &call.request, &result, r, err);
}
