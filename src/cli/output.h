/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * What suture says. Text for people and JSON for programs are both made from a verb's result;
 * the text functions print nothing under --json and --quiet, output_json nothing without --json.
 *
 * Names come from patch files and foreign processes: whatever is printed as text loses its control
 * characters, so that none of them can move a cursor or fake a line.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "base/cleanup.h"
#include "base/error.h"
#include "cli/options.h"

struct output {
        FILE *stream;       /* standard output */
        FILE *errors;       /* standard error */
        bool json, quiet;
        bool color;         /* on `stream` */
        bool color_errors;
        bool interactive;   /* progress may be shown on `errors` */
};

void output_init(struct output *output, const struct options *options);
/* Flushes; false if anything could not be written (a full disk, a closed pipe). */
bool output_finish(struct output *output);

/* Text. A newline in a value is a control character too; those of `format` itself are not. */
void output_text(struct output *output, const char *format, ...) _printf_(2, 3);
/* A word of the verdicts (DESIGN: PATCHED, EXPOSED, ...) in its colour. */
void output_verdict(struct output *output, const char *word);
/* Prints `text` broken at blanks, each line behind `indent` blanks. */
void output_paragraph(struct output *output, unsigned indent, const char *text);

/* The document of every verb: schema, code, then the members of `rest`, which is taken over. */
void output_json(struct output *output, const char *schema, int code, json_t *rest);
/* As a JSON string; bytes that are not UTF-8 become '?'. NULL gives null. */
json_t *output_json_text(const char *text);
/* "2026-11-25T08:12:09Z"; 0 gives null. */
json_t *output_json_time(uint64_t seconds);

/* A fault: on standard error, or as a document under --json. */
void output_error(struct output *output, const struct error *err);
/* A remark on standard error (a warning); not under --json. */
void output_remark(struct output *output, const char *format, ...) _printf_(2, 3);

/* Copies `text` without control characters and bytes that are not UTF-8, '?' instead. */
char *output_clean(const char *text);
/* Columns that the text takes. */
size_t output_width(const char *text);

/* An aligned table: rows of cells under headings. */
struct table {
        const char *const *headings;
        size_t n_columns;
        char **cells;       /* row by row */
        size_t n_cells;
        size_t verdict_column; /* its cells are coloured; SIZE_MAX: none */
};
void table_init(struct table *table, const char *const *headings, size_t n_columns,
                size_t verdict_column);
void table_add(struct table *table, const char *format, ...) _printf_(2, 3);
void table_print(struct output *output, const struct table *table);
void table_done(struct table *table);

/* "53 us", "0.41 ms", "1.30 s": three digits that count. */
#define OUTPUT_DURATION_SIZE 32
void output_format_duration(uint64_t nanoseconds, char ret[static OUTPUT_DURATION_SIZE]);
/* Local time, "2026-11-25 08:12"; "-" for 0. */
#define OUTPUT_TIME_SIZE 32
void output_format_time(uint64_t seconds, char ret[static OUTPUT_TIME_SIZE]);
