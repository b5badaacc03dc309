/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A compiler command is read with a small table of the options that take the next word, so that a
 * source file can be told from an option's value. Compiling a unit again means the same command in
 * the same folder, with only this differing: where the object goes, one section for each function
 * and variable, and nothing written beside it. Options unknown here are kept, since they may matter for
 * the code.
 */
#include "build/compile-log.h"

#include <string.h>
#include "base/array.h"
#include "base/cursor.h"

enum { MAX_RECORD_WORDS = 1 << 16 };

void compile_log_done(struct compile_log *log)
{
        for (size_t i = 0; i < log->n_commands; i++) {
                free(log->commands[i].environment);
                free(log->commands[i].arguments);
        }
        for (size_t i = 0; i < log->n_units; i++) {
                free(log->units[i].source);
                free(log->units[i].object);
        }
        free(log->commands);
        free(log->units);
        buffer_done(&log->bytes);
        *log = (struct compile_log){ 0 };
}

char *path_resolve(const char *directory, const char *path)
{
        _cleanup_buffer_ struct buffer joined = { 0 };
        char *out;
        size_t used = 0;

        if (!buffer_printf(&joined, "%s/%s", path[0] == '/' ? "" : directory, path))
                return NULL;
        out = malloc(joined.size + 2);
        if (!out)
                return NULL;
        for (const char *part = (char *)joined.data; *part;) {
                size_t length = strcspn(part, "/");

                if (length == 2 && strncmp(part, "..", 2) == 0) {
                        while (used > 0 && out[--used] != '/')
                                ;
                } else if (length > 0 && !(length == 1 && *part == '.')) {
                        out[used++] = '/';
                        memcpy(out + used, part, length);
                        used += length;
                }
                part += length + (part[length] == '/');
        }
        if (used == 0)
                out[used++] = '/';
        out[used] = '\0';
        return out;
}

bool shell_quote(struct buffer *text, const char *word)
{
        if (!buffer_append(text, "'", 1))
                return false;
        for (; *word; word++)
                if (!(*word == '\'' ? buffer_append(text, "'\\''", 4)
                                    : buffer_append(text, word, 1)))
                        return false;
        return buffer_append(text, "'", 1);
}

/* One word, which begins at `text`; NULL if a quote is not closed. */
static const char *split_word(const char *text, struct buffer *word)
{
        char quote = '\0';

        for (; *text && (quote || !strchr(" \t\r\n", *text)); text++) {
                if (*text == quote) {
                        quote = '\0';
                        continue;
                }
                if (!quote && (*text == '\'' || *text == '"')) {
                        quote = *text;
                        continue;
                }
                if (*text == '\\' && quote != '\'' && text[1] &&
                    (!quote || text[1] == '"' || text[1] == '\\'))
                        text++;
                if (!buffer_append(word, text, 1))
                        return NULL;
        }
        return quote ? NULL : text;
}

bool shell_split(const char *text, struct words *ret)
{
        while (text && *(text += strspn(text, " \t\r\n"))) {
                _cleanup_buffer_ struct buffer word = { 0 };

                text = split_word(text, &word);
                if (!text || !words_add(ret, word.data ? (char *)word.data : ""))
                        return false;
        }
        return text;
}

/* Options whose value is the next word. */
static bool takes_value(const char *option)
{
        static const char *const options[] = {
                "-o", "-I", "-D", "-U", "-L", "-l", "-x", "-T", "-u", "-z", "-e", "-h", "-B", "-G",
                "-A", "-include", "-imacros", "-isystem", "-idirafter", "-iquote", "-isysroot",
                "-iprefix", "-iwithprefix", "-iwithprefixbefore", "-imultilib", "-MF", "-MT",
                "-MQ", "-MJ", "-Xlinker", "-Xassembler", "-Xpreprocessor", "-Xclang", "-aux-info",
                "-dumpbase", "-dumpbase-ext", "-dumpdir", "-wrapper", "-arch", "-target", "-mllvm",
                "-param", "--param", "-specs", "-rpath", "-soname", "-rpath-link",
        };

        for (size_t i = 0; i < ARRAY_SIZE(options); i++)
                if (strcmp(option, options[i]) == 0)
                        return true;
        return false;
}

static bool is_source(const char *word)
{
        static const char *const suffixes[] = { ".c", ".cc", ".cpp", ".cxx", ".C", ".c++" };
        const char *dot = strrchr(word, '.');

        if (word[0] == '-' || word[0] == '@' || !dot)
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
                if (strcmp(dot, suffixes[i]) == 0)
                        return true;
        return false;
}

/* A file named on the command line: a source, an object, a library. */
static bool is_input(const char *word)
{
        return word[0] != '-' && word[0] != '@';
}

/* Names of -x whose files become machine code of C or C++. */
static bool is_language(const char *name)
{
        return strcmp(name, "c") == 0 || strcmp(name, "c++") == 0 ||
               strcmp(name, "cpp-output") == 0 || strcmp(name, "c++-cpp-output") == 0;
}

/* What a command as a whole does. */
struct command_kind {
        bool compiles;       /* to machine code */
        bool compile_only;   /* -c: leaves an object */
        bool link_time;
        const char *output;  /* of -o, or NULL */
};

static struct command_kind command_kind(const struct compile_command *command)
{
        struct command_kind kind = { .compiles = true };

        for (size_t i = 0; i < command->n_arguments; i++) {
                const char *word = command->arguments[i];

                if (strcmp(word, "-c") == 0)
                        kind.compile_only = true;
                else if (strcmp(word, "-E") == 0 || strcmp(word, "-S") == 0 ||
                         strcmp(word, "-M") == 0 || strcmp(word, "-MM") == 0 ||
                         strcmp(word, "-fsyntax-only") == 0)
                        kind.compiles = false;
                else if (strcmp(word, "-fno-lto") == 0)
                        kind.link_time = false;
                else if (strncmp(word, "-flto", 5) == 0)
                        kind.link_time = true;
                else if (strncmp(word, "-o", 2) == 0 && word[2])
                        kind.output = word + 2;
                if (strcmp(word, "-o") == 0 && i + 1 < command->n_arguments)
                        kind.output = command->arguments[i + 1];
                i += takes_value(word);
        }
        return kind;
}

/* Where -c puts the object: -o, else the source's name with .o in the command's folder. */
static bool object_path(const struct compile_command *command, const struct command_kind *kind,
                        const char *source, char **ret)
{
        _cleanup_buffer_ struct buffer name = { 0 };
        const char *base = strrchr(source, '/') ? strrchr(source, '/') + 1 : source;

        if (!kind->compile_only)
                return true;
        if (kind->output) {
                *ret = path_resolve(command->directory, kind->output);
        } else {
                if (!buffer_printf(&name, "%.*s.o", strrchr(base, '.') ? (int)(strrchr(base, '.') - base) : (int)strlen(base), base))
                        return false;
                *ret = path_resolve(command->directory, (char *)name.data);
        }
        return *ret;
}

/* What -x says of the files behind it; NULL: nothing, their names tell. */
static void read_language(const struct compile_command *command, size_t i, const char **language)
{
        const char *word = command->arguments[i];

        if (strncmp(word, "-x", 2) != 0)
                return;
        if (word[2])
                *language = word + 2;
        else if (i + 1 < command->n_arguments)
                *language = command->arguments[i + 1];
        if (strcmp(word, "-x") != 0 && !is_language(word + 2) && strcmp(word + 2, "none") != 0)
                *language = NULL;
        if (*language && strcmp(*language, "none") == 0)
                *language = NULL;
}

static bool add_unit(struct compile_log *log, size_t index, size_t argument, const char *language,
                     const struct command_kind *kind)
{
        const struct compile_command *command = &log->commands[index];
        const char *name = command->arguments[argument];
        struct compile_unit *unit = ARRAY_PUSH(log->units, log->n_units);

        if (!unit)
                return false;
        unit->command = index;
        unit->argument = argument;
        unit->language = language;
        unit->link_time = kind->link_time;
        unit->source = path_resolve(command->directory, name);
        return unit->source && object_path(command, kind, name, &unit->object);
}

static bool add_units(struct compile_log *log, size_t index)
{
        const struct compile_command *command = &log->commands[index];
        struct command_kind kind = command_kind(command);
        const char *language = NULL;

        for (size_t i = 0; kind.compiles && i < command->n_arguments; i++) {
                const char *word = command->arguments[i];
                bool is_unit = language ? is_input(word) && is_language(language)
                                        : is_source(word);

                read_language(command, i, &language);
                if (is_unit && strcmp(word, "-") != 0 &&
                    !add_unit(log, index, i, language, &kind))
                        return false;
                i += takes_value(word);
        }
        return true;
}

static const char *take_word(struct cursor *cursor)
{
        const char *word = bounded_string(cursor->data, cursor->size, cursor->offset);

        if (!word || !cursor_skip(cursor, strlen(word) + 1)) {
                cursor->failed = true;
                return NULL;
        }
        return word;
}

/* A count, then that many words. */
static bool take_list(struct cursor *cursor, const char ***ret, size_t *ret_n)
{
        const char *number = take_word(cursor);
        char *end;
        unsigned long n;

        if (!number || !*number)
                return false;
        n = strtoul(number, &end, 10);
        if (*end || n > MAX_RECORD_WORDS || n > cursor_left(cursor))
                return false;
        *ret = calloc(n ? n : 1, sizeof(**ret));
        if (!*ret)
                return false;
        for (*ret_n = 0; *ret_n < n; (*ret_n)++) {
                (*ret)[*ret_n] = take_word(cursor);
                if (!(*ret)[*ret_n])
                        return false;
        }
        return true;
}

static bool take_command(struct cursor *cursor, struct compile_log *log)
{
        struct compile_command *command = ARRAY_PUSH(log->commands, log->n_commands);

        if (!command)
                return false;
        command->directory = take_word(cursor);
        command->program = take_word(cursor);
        return command->directory && command->program && command->directory[0] == '/' &&
               command->program[0] == '/' &&
               take_list(cursor, &command->environment, &command->n_environment) &&
               take_list(cursor, &command->arguments, &command->n_arguments);
}

int compile_log_parse(struct buffer *bytes, struct compile_log *ret, struct error *err)
{
        _cleanup_(compile_log_done) struct compile_log log = { .bytes = *bytes };
        struct cursor cursor = cursor_init(log.bytes.data, log.bytes.size);

        *bytes = (struct buffer){ 0 };
        while (cursor_left(&cursor) > 0) {
                size_t start = cursor.offset;

                if (!take_command(&cursor, &log))
                        return error_set(err, EXIT_CODE_ERROR, 0, NULL,
                                         "the log of compiler commands is broken at byte %zu",
                                         start);
                if (!add_units(&log, log.n_commands - 1))
                        return error_no_memory(err);
        }
        *ret = log;
        log = (struct compile_log){ 0 };
        return 0;
}

/* Options, with their value, that must not be in the command that compiles again. */
static bool is_dropped(const char *word)
{
        static const char *const whole[] = {
                "-c", "-E", "-S", "-M", "-MM", "-MD", "-MMD", "-MP", "-MG", "-MF", "-MT", "-MQ",
                "-MJ", "-x", "-o", "-l", "-L", "-T", "-u", "-z", "-e", "-h", "-Xlinker", "-shared", "-static",
                "-save-temps", "-rdynamic", "-aux-info", "-dumpbase", "-dumpdir", "-rpath",
                "-soname", "-rpath-link", "-s",
        };
        static const char *const starts[] = {
                "-o", "-l", "-L", "-Wl,", "-Wp,-MD", "-Wp,-MMD", "-MF", "-MT", "-MQ",
                "-xc", "-xnone", "-save-temps=", "-gsplit-dwarf", "-ffunction-sections", "-fdata-sections",
                "-fdebug-types-section",
        };

        for (size_t i = 0; i < ARRAY_SIZE(whole); i++)
                if (strcmp(word, whole[i]) == 0)
                        return true;
        for (size_t i = 0; i < ARRAY_SIZE(starts); i++)
                if (strncmp(word, starts[i], strlen(starts[i])) == 0)
                        return true;
        return false;
}

bool compile_unit_command(const struct compile_log *log, const struct compile_unit *unit,
                          enum compile_variant variant, const char *output, struct words *ret)
{
        const struct compile_command *command = &log->commands[unit->command];
        bool ok = words_add(ret, command->program);

        for (size_t i = 0; ok && i < command->n_arguments; i++) {
                const char *word = command->arguments[i];
                bool valued = takes_value(word) && i + 1 < command->n_arguments;

                if (!is_dropped(word) && !is_input(word))
                        ok = words_add(ret, word) &&
                             (!valued || words_add(ret, command->arguments[i + 1]));
                i += valued;
        }
        if (ok && variant == COMPILE_SECTIONS)
                ok = words_add(ret, "-g") && words_add(ret, "-ffunction-sections") &&
                     words_add(ret, "-fdata-sections");
        if (ok && variant == COMPILE_DEPENDENCIES)
                ok = words_add(ret, "-M");
        else if (ok)
                ok = words_add(ret, "-c") && words_add(ret, "-o") && words_add(ret, output);
        if (ok && unit->language)
                ok = words_add(ret, "-x") && words_add(ret, unit->language);
        return ok && words_add(ret, unit->instead ? unit->source
                                                  : command->arguments[unit->argument]);
}

/* One file name of a make rule: "\ " is a space, "$$" a dollar sign, "\#" a hash sign. */
static const char *take_prerequisite(const char *text, struct buffer *ret, bool *ret_ok)
{
        while (*ret_ok && *text && !strchr(" \t\n", *text)) {
                if (*text == '\\' && (text[1] == '\n' || text[1] == '\0'))
                        break;
                if ((*text == '\\' && strchr(" #:\\", text[1])) || (*text == '$' && text[1] == '$'))
                        text++;
                *ret_ok = buffer_append(ret, text++, 1);
        }
        return text;
}

bool compile_dependencies_parse(const char *rule, const char *directory, struct words *ret)
{
        const char *text = strstr(rule, ": ");
        bool ok = true;

        if (!text)
                return true;
        for (text++; ok && *text;) {
                _cleanup_buffer_ struct buffer name = { 0 };
                _cleanup_free_ char *path = NULL;

                text += strspn(text, " \t\n");
                if (*text == '\\' && text[1] == '\n') {
                        text += 2;
                        continue;
                }
                if (*text == '\\' && text[1] == '\0')
                        break;
                text = take_prerequisite(text, &name, &ok);
                if (!ok || name.size == 0)
                        continue;
                path = path_resolve(directory, (char *)name.data);
                ok = path && words_add(ret, path);
        }
        return ok;
}
