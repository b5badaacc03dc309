/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/output.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/array.h"
#include "base/buffer.h"

#define LINE_WIDTH 80
#define CELL_GAP 2

#define COLOR_RED "\033[1;31m"
#define COLOR_GREEN "\033[32m"
#define COLOR_YELLOW "\033[33m"
#define COLOR_END "\033[0m"

static bool want_color(enum color_when when, int fd)
{
        const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

        if (when != COLOR_AUTO)
                return when == COLOR_ALWAYS;
        return isatty(fd) && !(no_color && *no_color) && !(term && strcmp(term, "dumb") == 0);
}

void output_init(struct output *output, const struct options *options)
{
        *output = (struct output){
                .stream = stdout,
                .errors = stderr,
                .json = options->json,
                .quiet = options->quiet,
                .color = want_color(options->color, STDOUT_FILENO),
                .color_errors = want_color(options->color, STDERR_FILENO),
                .interactive = isatty(STDERR_FILENO) && !options->json && !options->quiet,
        };
}

bool output_finish(struct output *output)
{
        return fflush(output->stream) == 0 && !ferror(output->stream);
}

/* Length of the UTF-8 sequence at `text` (RFC 3629), 0 if it is none. */
static size_t sequence_length(const unsigned char *text)
{
        static const struct {
                unsigned char mask, value, min_second, max_second, length;
        } forms[] = {
                { 0x80, 0x00, 0x00, 0x00, 1 },
                { 0xff, 0xe0, 0xa0, 0xbf, 3 }, /* no overlong forms */
                { 0xff, 0xed, 0x80, 0x9f, 3 }, /* no surrogates */
                { 0xff, 0xf0, 0x90, 0xbf, 4 },
                { 0xff, 0xf4, 0x80, 0x8f, 4 }, /* up to U+10FFFF */
                { 0xe0, 0xc0, 0x80, 0xbf, 2 },
                { 0xf0, 0xe0, 0x80, 0xbf, 3 },
                { 0xfc, 0xf0, 0x80, 0xbf, 4 },
        };

        if (text[0] == 0xc0 || text[0] == 0xc1)
                return 0;
        for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
                if ((text[0] & forms[i].mask) != forms[i].value)
                        continue;
                if (forms[i].length > 1 &&
                    (text[1] < forms[i].min_second || text[1] > forms[i].max_second))
                        return 0;
                for (size_t k = 2; k < forms[i].length; k++)
                        if ((text[k] & 0xc0) != 0x80)
                                return 0;
                return forms[i].length;
        }
        return 0;
}

/* C0, DEL, C1, line separators, and what turns the direction of writing (U+202A-E, U+2066-9). */
static bool is_control(const unsigned char *text, size_t length)
{
        if (length == 1)
                return text[0] < 0x20 || text[0] == 0x7f;
        if (length == 2)
                return text[0] == 0xc2 && text[1] < 0xa0;
        if (length == 3 && text[0] == 0xe2)
                return (text[1] == 0x80 && text[2] >= 0xa8 && text[2] <= 0xae) ||
                       (text[1] == 0x81 && text[2] >= 0xa6 && text[2] <= 0xa9);
        return false;
}

static char *clean_text(const char *text, bool keep_controls)
{
        char *copy = malloc(strlen(text) + 1), *out = copy;

        if (!copy)
                return NULL;
        while (*text) {
                const unsigned char *bytes = (const unsigned char *)text;
                size_t length = sequence_length(bytes);

                if (length == 0 || (!keep_controls && is_control(bytes, length))) {
                        *out++ = '?';
                        text += length ? length : 1;
                        continue;
                }
                memcpy(out, text, length);
                out += length;
                text += length;
        }
        *out = '\0';
        return copy;
}

char *output_clean(const char *text)
{
        return clean_text(text, false);
}

size_t output_width(const char *text)
{
        size_t width = 0;

        for (; *text; text++)
                width += ((unsigned char)*text & 0xc0) != 0x80;
        return width;
}

static size_t count_newlines(const char *text)
{
        size_t n = 0;

        for (; *text; text++)
                n += *text == '\n';
        return n;
}

/* Newlines that are not the format's came with a value: only the last line's end is kept. */
static void mask_foreign_newlines(const char *format, char *text)
{
        size_t size = strlen(text);

        if (count_newlines(text) == count_newlines(format))
                return;
        for (size_t i = 0; i < size; i++)
                if (text[i] == '\n' && (i + 1 < size || format[strlen(format) - 1] != '\n'))
                        text[i] = '?';
}

static void print_clean(FILE *stream, const char *format, va_list args)
{
        _cleanup_free_ char *text = NULL;

        if (vasprintf(&text, format, args) < 0) {
                text = NULL;
                return;
        }
        mask_foreign_newlines(format, text);
        for (char *line = text; *line;) {
                size_t size = strcspn(line, "\n");
                bool more = line[size] == '\n';
                _cleanup_free_ char *cleaned = NULL;

                line[size] = '\0';
                cleaned = output_clean(line);
                if (cleaned)
                        fputs(cleaned, stream);
                if (more)
                        fputc('\n', stream);
                line += size + more;
        }
}

void output_text(struct output *output, const char *format, ...)
{
        va_list args;

        if (output->json || output->quiet)
                return;
        va_start(args, format);
        print_clean(output->stream, format, args);
        va_end(args);
}

void output_remark(struct output *output, const char *format, ...)
{
        va_list args;

        if (output->json || output->quiet)
                return;
        fflush(output->stream);
        va_start(args, format);
        print_clean(output->errors, format, args);
        va_end(args);
}

static const char *verdict_color(const char *word)
{
        static const struct {
                const char *word, *color;
        } colors[] = {
                { "PATCHED", COLOR_GREEN },
                { "EXPOSED", COLOR_RED },
                { "PARTIAL", COLOR_YELLOW },
                { "UNKNOWN", COLOR_YELLOW },
        };

        for (size_t i = 0; i < ARRAY_SIZE(colors); i++)
                if (strcmp(colors[i].word, word) == 0)
                        return colors[i].color;
        return NULL;
}

void output_verdict(struct output *output, const char *word)
{
        const char *color = output->color ? verdict_color(word) : NULL;

        if (output->json || output->quiet)
                return;
        fprintf(output->stream, "%s%s%s", color ? color : "", word, color ? COLOR_END : "");
}

void output_paragraph(struct output *output, unsigned indent, const char *text)
{
        size_t column = 0;

        while (*text) {
                size_t size = strcspn(text, " \n");

                if (size > 0 && column > indent && column + 1 + size > LINE_WIDTH) {
                        output_text(output, "\n");
                        column = 0;
                }
                if (size > 0) {
                        output_text(output, "%*s%.*s", column ? 1 : (int)indent, "", (int)size,
                                    text);
                        column += (column ? 1 : indent) + size;
                }
                text += size;
                if (*text == '\n') {
                        output_text(output, "\n");
                        column = 0;
                }
                text += *text != '\0';
        }
        if (column)
                output_text(output, "\n");
}

json_t *output_json_text(const char *text)
{
        _cleanup_free_ char *valid = text ? clean_text(text, true) : NULL;

        return valid ? json_string(valid) : json_null();
}

json_t *output_json_time(uint64_t seconds)
{
        time_t time = (time_t)seconds;
        char text[32];
        struct tm tm;

        if (seconds == 0 || !gmtime_r(&time, &tm) ||
            strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
                return json_null();
        return json_string(text);
}

void output_json(struct output *output, const char *schema, int code, json_t *rest)
{
        json_t *document = json_pack("{s:s, s:i}", "schema", schema, "code", code);

        if (document && rest)
                json_object_update(document, rest);
        if (output->json && !output->quiet && document) {
                json_dumpf(document, output->stream, JSON_INDENT(2));
                fputc('\n', output->stream);
        }
        json_decref(document);
        json_decref(rest);
}

static const char *full_stop(const char *sentence)
{
        size_t size = strlen(sentence);

        return size > 0 && strchr(".?!", sentence[size - 1]) ? "" : ".";
}

void output_error(struct output *output, const struct error *err)
{
        _cleanup_free_ char *cause = output_clean(err->cause), *next = output_clean(err->next);

        if (output->quiet && err->exit_code != EXIT_CODE_USAGE)
                return;
        if (output->json) {
                output_json(output, "suture-error-1", (int)err->exit_code,
                            json_pack("{s:o, s:o, s:[]}", "cause", output_json_text(err->cause),
                                      "next",
                                      err->next[0] ? output_json_text(err->next) : json_null(),
                                      "items"));
                return;
        }
        fflush(output->stream);
        if (output->color_errors)
                fputs(COLOR_RED, output->errors);
        fputs("suture:", output->errors);
        if (output->color_errors)
                fputs(COLOR_END, output->errors);
        fprintf(output->errors, " %s%s\n", cause ? cause : "", full_stop(err->cause));
        if (next && *next)
                fprintf(output->errors, "  %s\n", next);
}

void table_init(struct table *table, const char *const *headings, size_t n_columns,
                size_t verdict_column)
{
        *table = (struct table){
                .headings = headings,
                .n_columns = n_columns,
                .verdict_column = verdict_column,
        };
}

/* One cell. */
void table_add(struct table *table, const char *format, ...)
{
        _cleanup_free_ char *text = NULL;
        char **cell = ARRAY_PUSH(table->cells, table->n_cells);
        va_list args;

        if (!cell)
                return;
        va_start(args, format);
        if (vasprintf(&text, format, args) < 0)
                text = NULL;
        va_end(args);
        *cell = output_clean(text ? text : "");
}

static const char *table_cell(const struct table *table, size_t row, size_t column)
{
        size_t i = row * table->n_columns + column;

        return i < table->n_cells && table->cells[i] ? table->cells[i] : "";
}

static void print_cell(struct output *output, const struct table *table, const char *text,
                       size_t column, size_t width)
{
        size_t padding = width - output_width(text) + CELL_GAP;

        if (column == table->verdict_column)
                output_verdict(output, text);
        else
                output_text(output, "%s", text);
        if (column + 1 < table->n_columns)
                output_text(output, "%*s", (int)padding, "");
}

void table_print(struct output *output, const struct table *table)
{
        size_t n_rows = (table->n_cells + table->n_columns - 1) / table->n_columns;
        size_t widths[16] = { 0 };

        for (size_t column = 0; column < table->n_columns; column++) {
                widths[column] = output_width(table->headings[column]);
                for (size_t row = 0; row < n_rows; row++)
                        widths[column] = MAX(widths[column],
                                             output_width(table_cell(table, row, column)));
        }
        for (size_t column = 0; column < table->n_columns; column++)
                print_cell(output, table, table->headings[column], column, widths[column]);
        output_text(output, "\n");
        for (size_t row = 0; row < n_rows; row++) {
                for (size_t column = 0; column < table->n_columns; column++)
                        print_cell(output, table, table_cell(table, row, column), column,
                                   widths[column]);
                output_text(output, "\n");
        }
}

void table_done(struct table *table)
{
        for (size_t i = 0; i < table->n_cells; i++)
                free(table->cells[i]);
        free(table->cells);
        *table = (struct table){ 0 };
}

void output_format_duration(uint64_t nanoseconds, char ret[static OUTPUT_DURATION_SIZE])
{
        static const struct {
                uint64_t unit;
                const char *name;
        } units[] = { { 1000000000, "s" }, { 1000000, "ms" }, { 1000, "us" } };

        for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
                double value = (double)nanoseconds / (double)units[i].unit;

                if (value < 1 && i + 1 < ARRAY_SIZE(units) && value < 0.1)
                        continue;
                snprintf(ret, OUTPUT_DURATION_SIZE, "%.*f %s",
                         i + 1 == ARRAY_SIZE(units) || value >= 100 ? 0 : value >= 10 ? 1 : 2,
                         value, units[i].name);
                return;
        }
}

void output_format_time(uint64_t seconds, char ret[static OUTPUT_TIME_SIZE])
{
        time_t time = (time_t)seconds;
        struct tm tm;

        if (seconds == 0 || !localtime_r(&time, &tm) ||
            strftime(ret, OUTPUT_TIME_SIZE, "%Y-%m-%d %H:%M", &tm) == 0)
                snprintf(ret, OUTPUT_TIME_SIZE, "-");
}
