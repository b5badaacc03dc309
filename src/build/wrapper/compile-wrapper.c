/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stands in for the compiler during a build: notes the command in ../log/commands, seen from the
 * folder that it lies in, then becomes the real compiler of the same name. It is compiled where the
 * build runs and uses the C library only. A record is one write() to a file opened for appending, so
 * that compilers running side by side don't mix their records:
 *
 *   directory \0 program \0 count \0 environment... \0 count \0 arguments... \0
 *
 * Of the environment it notes what changes a compiler's output. Response files (@FILE) are noted as
 * what they hold, for they are often gone when the compiler is. A command that can't be noted is
 * run all the same: the build must be as it would be without this program.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_NESTED_FILES = 8 };

static char own_folder[PATH_MAX];
static char *record, *arguments;
static size_t record_size, arguments_size;
static unsigned n_arguments;

static void *grow(void *block, size_t size)
{
        void *grown = realloc(block, size);

        if (!grown)
                _exit(127);
        return grown;
}

static void add(const char *text)
{
        size_t n = strlen(text) + 1;

        record = grow(record, record_size + n);
        memcpy(record + record_size, text, n);
        record_size += n;
}

static void add_number(unsigned number)
{
        char text[16];

        snprintf(text, sizeof(text), "%u", number);
        add(text);
}

static void add_environment(void)
{
        static const char *const names[] = {
                "SOURCE_DATE_EPOCH", "CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH",
                "LIBRARY_PATH", "COMPILER_PATH", "GCC_EXEC_PREFIX", "LC_ALL", "LANG",
        };
        unsigned n = 0;

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                n += getenv(names[i]) != NULL;
        add_number(n);
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                char *text;

                if (!getenv(names[i]))
                        continue;
                if (asprintf(&text, "%s=%s", names[i], getenv(names[i])) < 0)
                        _exit(127);
                add(text);
                free(text);
        }
}

static void note_argument(const char *text, unsigned depth);

static char *read_text(const char *path)
{
        char *text = grow(NULL, 1);
        size_t size = 0;
        ssize_t n = 1;
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd < 0) {
                free(text);
                return NULL;
        }
        while (n > 0) {
                text = grow(text, size + 65536 + 1);
                n = read(fd, text + size, 65536);
                size += n > 0 ? (size_t)n : 0;
        }
        close(fd);
        text[size] = '\0';
        return text;
}

/* The words of a response file: white space parts them, quotes and backslashes protect (gcc(1)). */
static void note_words(char *text, unsigned depth)
{
        for (char *at = text; *at;) {
                char *word, *end, quote = '\0';

                at += strspn(at, " \t\r\n\v\f");
                if (!*at)
                        return;
                for (word = end = at; *at && (quote || !strchr(" \t\r\n\v\f", *at)); at++) {
                        if (*at == '\\' && at[1]) {
                                *end++ = *++at;
                        } else if (*at == quote) {
                                quote = '\0';
                        } else if (!quote && (*at == '\'' || *at == '"')) {
                                quote = *at;
                        } else {
                                *end++ = *at;
                        }
                }
                at += *at != '\0';
                *end = '\0';
                note_argument(word, depth);
        }
}

static void note_argument(const char *text, unsigned depth)
{
        char *words = text[0] == '@' && depth < MAX_NESTED_FILES ? read_text(text + 1) : NULL;
        size_t n = strlen(text) + 1;

        if (words) {
                note_words(words, depth + 1);
                free(words);
                return;
        }
        arguments = grow(arguments, arguments_size + n);
        memcpy(arguments + arguments_size, text, n);
        arguments_size += n;
        n_arguments++;
}

/* Where this program lies; false if that can't be told. */
static int find_own_folder(void)
{
        ssize_t n = readlink("/proc/self/exe", own_folder, sizeof(own_folder) - 1);
        char *slash;

        own_folder[n > 0 ? n : 0] = '\0';
        slash = strrchr(own_folder, '/');
        if (slash)
                *slash = '\0';
        return slash != NULL;
}

/* This program itself, or a compiler cache, which would call us again. */
static int leads_back(const char *file)
{
        static const char *const caches[] = { "/ccache", "/distcc", "/sccache", "/icecc" };
        char real[PATH_MAX];
        size_t own = strlen(own_folder);

        if (!realpath(file, real))
                return 1;
        if (strncmp(real, own_folder, own) == 0 && real[own] == '/')
                return 1;
        for (size_t i = 0; i < sizeof(caches) / sizeof(caches[0]); i++)
                if (strcmp(strrchr(real, '/'), caches[i]) == 0)
                        return 1;
        return 0;
}

static char *absolute_path(const char *folder, const char *name)
{
        char *whole = realpath(folder, NULL), *file;

        return whole && asprintf(&file, "%s/%s", whole, name) >= 0 ? file : NULL;
}

/* The first file of that name in PATH that is a compiler. */
static char *find_real(const char *name)
{
        char *path = strdup(getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin"), *folder, *next;

        for (folder = strtok_r(path, ":", &next); folder; folder = strtok_r(NULL, ":", &next)) {
                char *file;

                if (asprintf(&file, "%s/%s", folder, name) >= 0 && access(file, X_OK) == 0 &&
                    !leads_back(file))
                        return absolute_path(folder, name);
        }
        return NULL;
}

static void write_record(const char *name)
{
        char *path;
        int fd;

        if (asprintf(&path, "%s/../log/commands", own_folder) < 0)
                _exit(127);
        fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0 || write(fd, record, record_size) != (ssize_t)record_size)
                fprintf(stderr, "%s: the command could not be noted\n", name);
}

int main(int argc, char **argv)
{
        const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
        char *directory = getcwd(NULL, 0), *real = find_own_folder() ? find_real(name) : NULL;

        if (!real) {
                fprintf(stderr, "%s: not found beside the wrapper\n", name);
                return 127;
        }
        add(directory ? directory : "/");
        add(real);
        add_environment();
        for (int i = 1; i < argc; i++)
                note_argument(argv[i], 0);
        add_number(n_arguments);
        record = grow(record, record_size + arguments_size);
        memcpy(record + record_size, arguments ? arguments : "", arguments_size);
        record_size += arguments_size;
        write_record(name);
        argv[0] = real;
        execv(real, argv);
        perror(real);
        return 127;
}
