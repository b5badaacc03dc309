/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the builder reads of programs that run on somebody else's source: the log of compiler
 * commands, make rules, what patch and diff say, a fixed source text, lists of repositories. The
 * first byte chooses the reader, the rest is the text.
 */
#include <stdlib.h>
#include <string.h>

#include "build/aptstate.h"
#include "build/compile-log.h"
#include "build/fix.h"
#include "build/line-keep.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool what)
{
        if (!what)
                abort();
}

static void read_compile_log(const uint8_t *data, size_t size)
{
        struct buffer bytes = { 0 };
        struct compile_log log = { 0 };
        struct error err = { 0 };

        need(buffer_append(&bytes, data, size));
        if (compile_log_parse(&bytes, &log, &err) < 0) {
                need(err.cause[0]);
                return;
        }
        for (size_t i = 0; i < log.n_units; i++) {
                struct words words = { 0 };

                need(log.units[i].source[0] == '/');
                need(!log.units[i].object || log.units[i].object[0] == '/');
                need(compile_unit_command(&log, &log.units[i], COMPILE_SECTIONS, "/o", &words));
                need(words.n_items >= 7);
                words_done(&words);
        }
        compile_log_done(&log);
}

static void read_rule(const char *text)
{
        struct words words = { 0 };

        need(compile_dependencies_parse(text, "/folder", &words));
        for (size_t i = 0; i < words.n_items; i++)
                need(words.items[i][0] == '/' && !strstr(words.items[i], "/../"));
        words_done(&words);
}

static void read_report(const char *text)
{
        struct applied_fix fix = { 0 };

        need(fix_read_report(text, &fix));
        applied_fix_done(&fix);
}

/* Directives come in, nothing goes out: without them it must be the text that went in. */
static void keep_lines(const char *text)
{
        const char *fixed = strchr(text, 1) ? strchr(text, 1) + 1 : text;
        struct line_hunk *hunks = NULL;
        struct buffer kept = { 0 };
        size_t n = 0;

        if (!line_hunks_parse(text, &hunks, &n))
                return;
        need(line_keep(fixed, hunks, n, &kept));
        for (const char *at = (char *)kept.data; *at; at += strcspn(at, "\n"), at += *at == '\n') {
                size_t length = strcspn(at, "\n");

                if (strncmp(at, fixed, length) == 0 && fixed[length] == at[length])
                        fixed += length + (fixed[length] == '\n');
                else
                        need(strncmp(at, "#line ", 6) == 0);
        }
        need(*fixed == '\0');
        free(hunks);
        buffer_done(&kept);
}

static void read_sources(const char *text)
{
        struct words words = { 0 };

        need(apt_sources_from_lines(text, "bookworm", &words));
        need(apt_sources_from_deb822(text, "bookworm", &words));
        for (size_t i = 0; i < words.n_items; i++)
                need(strstr(words.items[i], " bookworm"));
        words_done(&words);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *text;

        if (size == 0)
                return 0;
        text = strndup((const char *)data + 1, size - 1);
        need(text);
        switch (data[0] % 5) {
        case 0:
                read_compile_log(data + 1, size - 1);
                break;
        case 1:
                read_rule(text);
                break;
        case 2:
                read_report(text);
                break;
        case 3:
                keep_lines(text);
                break;
        default:
                read_sources(text);
        }
        free(text);
        return 0;
}
