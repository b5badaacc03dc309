/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stands in for the compiler inside of a build root: notes the command in /suture/log/commands,
 * then becomes the real compiler of the same name. It is compiled in the root itself and uses the C
 * library only. A record is one write() to a file opened for appending, so that compilers running
 * side by side don't mix their records:
 *
 *   directory \0 program \0 count \0 environment... \0 count \0 arguments... \0
 *
 * Of the environment it notes what changes a compiler's output. A command that can't be noted is
 * run all the same: the build must be as it would be without this program.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_FILE "/suture/log/commands"
#define OWN_FOLDER "/suture/bin"

static char *record;
static size_t record_size;

static void add(const char *text)
{
        size_t n = strlen(text) + 1;
        char *grown = realloc(record, record_size + n);

        if (!grown)
                _exit(127);
        record = grown;
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
        char text[4096];

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                n += getenv(names[i]) != NULL;
        add_number(n);
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                if (!getenv(names[i]))
                        continue;
                snprintf(text, sizeof(text), "%s=%s", names[i], getenv(names[i]));
                add(text);
        }
}

/* The first file of that name in PATH that is not this program. */
static char *find_real(const char *name)
{
        char *path = strdup(getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin"), *folder, *next;

        for (folder = strtok_r(path, ":", &next); folder; folder = strtok_r(NULL, ":", &next)) {
                char *file;

                if (strcmp(folder, OWN_FOLDER) == 0)
                        continue;
                if (asprintf(&file, "%s/%s", folder, name) >= 0 && access(file, X_OK) == 0)
                        return file;
        }
        return NULL;
}

int main(int argc, char **argv)
{
        const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
        char *real = find_real(name), *directory = getcwd(NULL, 0);
        int fd = open(LOG_FILE, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);

        if (!real) {
                fprintf(stderr, "%s: not found beside the wrapper\n", name);
                return 127;
        }
        add(directory ? directory : "/");
        add(real);
        add_environment();
        add_number((unsigned)argc - 1);
        for (int i = 1; i < argc; i++)
                add(argv[i]);
        if (fd >= 0 && write(fd, record, record_size) != (ssize_t)record_size)
                fprintf(stderr, "%s: the command could not be noted\n", name);
        argv[0] = real;
        execv(real, argv);
        perror(real);
        return 127;
}
