/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fixed text is walked once. A small scanner knows at the start of each line whether a
 * directive may stand there: not in a comment, a literal or a continued line (it would be text), and
 * not between parentheses (it might be among the arguments of a macro, where C leaves its meaning
 * open). Parentheses that an #if makes look unbalanced are forgiven at the next brace in the first
 * column, where a function begins or ends.
 */
#include "build/line-keep.h"

#include <stdlib.h>
#include <string.h>
#include "base/array.h"

enum place { PLACE_CODE, PLACE_LINE_COMMENT, PLACE_BLOCK_COMMENT, PLACE_STRING, PLACE_CHARACTER };

struct scanner {
        enum place place;
        bool continued;       /* the line before ended in a backslash */
        bool directive;       /* in a preprocessor line: its parentheses don't count */
        size_t depth;         /* of parentheses */
};

static bool may_stand_here(const struct scanner *scanner)
{
        return scanner->place == PLACE_CODE && !scanner->continued && scanner->depth == 0;
}

/* One character of code; returns how many it took. */
static size_t scan_code(struct scanner *scanner, const char *text, bool first_column)
{
        if (text[0] == '/' && text[1] == '*') {
                scanner->place = PLACE_BLOCK_COMMENT;
                return 2;
        }
        if (text[0] == '/' && text[1] == '/') {
                scanner->place = PLACE_LINE_COMMENT;
                return 2;
        }
        if (text[0] == '"')
                scanner->place = PLACE_STRING;
        if (text[0] == '\'')
                scanner->place = PLACE_CHARACTER;
        if (scanner->directive)
                return 1;
        if (text[0] == '(')
                scanner->depth++;
        if (text[0] == ')' && scanner->depth > 0)
                scanner->depth--;
        if (first_column && (text[0] == '{' || text[0] == '}'))
                scanner->depth = 0;
        return 1;
}

static size_t scan_one(struct scanner *scanner, const char *text, bool first_column)
{
        char quote = scanner->place == PLACE_STRING ? '"' : '\'';

        switch (scanner->place) {
        case PLACE_CODE:
                return scan_code(scanner, text, first_column);
        case PLACE_LINE_COMMENT:
                return 1;
        case PLACE_BLOCK_COMMENT:
                if (text[0] == '*' && text[1] == '/') {
                        scanner->place = PLACE_CODE;
                        return 2;
                }
                return 1;
        case PLACE_STRING:
        case PLACE_CHARACTER:
                if (text[0] == '\\' && text[1] != '\n' && text[1] != '\0')
                        return 2;
                if (text[0] == quote)
                        scanner->place = PLACE_CODE;
                return 1;
        }
        return 1;
}

/* A whole line with its newline. */
static void scan_line(struct scanner *scanner, const char *line, size_t length)
{
        size_t content = length;

        if (!scanner->continued && scanner->place == PLACE_CODE)
                scanner->directive = line[strspn(line, " \t")] == '#';
        while (content > 0 && (line[content - 1] == '\n' || line[content - 1] == '\r'))
                content--;
        for (size_t i = 0; i < content;)
                i += scan_one(scanner, line + i, i == 0);
        scanner->continued = content > 0 && line[content - 1] == '\\';
        if (!scanner->continued) {
                scanner->directive = false;
                if (scanner->place != PLACE_BLOCK_COMMENT)
                        scanner->place = PLACE_CODE;
        }
}

static size_t take_number(const char **text)
{
        char *end;
        size_t number = strtoul(*text, &end, 10);

        *text = end;
        return number;
}

/* "FIRST" or "FIRST,LAST" */
static void take_range(const char **text, size_t *ret_first, size_t *ret_n)
{
        size_t last;

        *ret_first = last = take_number(text);
        if (**text == ',') {
                (*text)++;
                last = take_number(text);
        }
        *ret_n = last >= *ret_first ? last - *ret_first + 1 : 0;
}

static bool parse_header(const char *line, struct line_hunk *ret)
{
        char kind;

        take_range(&line, &ret->old_start, &ret->n_old);
        kind = *line++;
        if (kind != 'a' && kind != 'c' && kind != 'd')
                return false;
        take_range(&line, &ret->new_start, &ret->n_new);
        if (kind == 'a') {      /* after this line */
                ret->old_start++;
                ret->n_old = 0;
        } else if (kind == 'd') {
                ret->new_start++;
                ret->n_new = 0;
        }
        return *line == '\n' || *line == '\0';
}

bool line_hunks_parse(const char *diff, struct line_hunk **ret, size_t *ret_n)
{
        struct line_hunk *hunks = NULL, *hunk;
        size_t n_hunks = 0;

        for (; *diff; diff += strcspn(diff, "\n"), diff += *diff == '\n') {
                if (*diff < '0' || *diff > '9')
                        continue;
                hunk = ARRAY_PUSH(hunks, n_hunks);
                if (!hunk || !parse_header(diff, hunk)) {
                        free(hunks);
                        return false;
                }
        }
        *ret = hunks;
        *ret_n = n_hunks;
        return true;
}

bool line_keep(const char *fixed, const struct line_hunk *hunks, size_t n_hunks,
               struct buffer *ret)
{
        struct scanner scanner = { .place = PLACE_CODE };
        size_t line = 1, next_hunk = 0, inside_until = 0;
        ptrdiff_t shift = 0, shown_shift = 0; /* new number - old number; as directives make it */

        for (; *fixed; line++) {
                size_t length = strcspn(fixed, "\n");

                length += fixed[length] == '\n';
                while (next_hunk < n_hunks && hunks[next_hunk].new_start <= line) {
                        inside_until = hunks[next_hunk].new_start + hunks[next_hunk].n_new;
                        shift += (ptrdiff_t)hunks[next_hunk].n_new -
                                 (ptrdiff_t)hunks[next_hunk].n_old;
                        next_hunk++;
                }
                if (shift != shown_shift && line >= inside_until && may_stand_here(&scanner)) {
                        if (!buffer_printf(ret, "#line %td\n", (ptrdiff_t)line - shift))
                                return false;
                        shown_shift = shift;
                }
                if (!buffer_append(ret, fixed, length))
                        return false;
                scan_line(&scanner, fixed, length);
                fixed += length;
        }
        return ret->data || buffer_append(ret, "", 0);
}
