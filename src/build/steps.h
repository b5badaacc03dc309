/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * The course of a build as its caller and its log see it, and the steps that are the same whatever
 * the patch is made from: what the comparison found, the file that is written, the words of a failure.
 */
#include "build/objects.h"
#include "build/store.h"

enum step { STEP_ORIGINAL = 1, STEP_FIXED, STEP_COMPARE, STEP_SAFETY, STEP_LINK, STEP_WRITE };

struct steps {
        const struct build_request *request;
        const struct build_observer *observer;  /* may be NULL */
        struct build_result *result;
        struct store *store;                    /* of steps_open() */
        enum step first, now;                   /* steps before `first` are not taken, nor counted */
        const char *original_title, *fixed_title;
};

/* Opens the cache, which has the log; `label` is part of the log's name. */
int steps_open(struct steps *steps, const char *label, struct error *err);
/* Closes the cache. */
void steps_done(struct steps *steps);

void steps_begin(struct steps *steps, enum step step);
/* With the result of the step, for people. */
void steps_end(const struct steps *steps, const char *format, ...) _printf_(2, 3);
/* What is being done now. `context` is the struct steps. */
void steps_note(void *context, const char *text);
/* "" or "s" */
const char *plural(size_t n);

/* From the comparison on: what differs, what is in the way and, if there is a patch, what it holds. */
void steps_tell_comparison(struct steps *steps, const struct objects_report *report,
                           bool has_patch);
/* Writes the file, and its name, digest and size into the result. */
int steps_write(struct steps *steps, const char *id, const struct buffer *patch,
                struct error *err);

/*
 * What patches are called: the id that was asked for, else the first CVE, else `otherwise`, made of
 * the characters that an id may have. Allocated; NULL when memory is out.
 */
char *patch_id_for(const struct build_request *request, const char *otherwise);
/* What the request says of the patch as a whole; the rest is the caller's. */
struct objects_patch patch_head(const struct build_request *request, const char *id,
                                const char *title);

/*
 * Completes `err`, if `outcome` is not 0: a fault says in which step it happened, and the log is part
 * of what is said about it.
 */
void steps_explain(const struct steps *steps, int outcome, struct error *err);
