/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * What the compiler wrapper noted during a build: each compiler command as it was given. From it
 * comes the list of translation units (one source file compiled by one command to one object), and
 * the command that compiles the same unit again, otherwise.
 */
#include <stdbool.h>
#include <stddef.h>
#include "base/buffer.h"
#include "base/error.h"
#include "build/run.h"

struct compile_command {
        const char *directory;     /* absolute, in the root; points into the log's bytes */
        const char *program;       /* absolute */
        const char **environment;
        size_t n_environment;
        const char **arguments;    /* without the program */
        size_t n_arguments;
};

struct compile_unit {
        size_t command;            /* index */
        size_t argument;           /* index of the source file in the command */
        const char *language;      /* of -x; NULL: as the file's name says */
        bool instead;              /* `source` is compiled, instead of the one in the command */
        char *source;              /* absolute, without "." and ".." */
        char *object;              /* absolute; NULL if the command left none (compiled and linked) */
        bool link_time;            /* -flto: the object holds no machine code */
};

struct compile_log {
        struct buffer bytes;
        struct compile_command *commands;
        size_t n_commands;
        struct compile_unit *units;
        size_t n_units;
};
void compile_log_done(struct compile_log *log);

/* Takes the bytes over (they are emptied). A record that is cut short or malformed is a fault. */
int compile_log_parse(struct buffer *bytes, struct compile_log *ret, struct error *err);

enum compile_variant {
        COMPILE_SECTIONS = 1,  /* -c with one section for each function and object, and -g */
        COMPILE_AS_BUILT,      /* -c and nothing else */
        COMPILE_DEPENDENCIES,  /* -M: the files it reads, as a make rule on standard output */
};

/*
 * The command (program first) that compiles the unit again: all flags that matter for the code are
 * kept, those that write other files or concern the linker are left out. `output` is for
 * COMPILE_SECTIONS and _AS_BUILT. False only when memory is out.
 */
bool compile_unit_command(const struct compile_log *log, const struct compile_unit *unit,
                          enum compile_variant variant, const char *output, struct words *ret);

/* The prerequisites of a make rule as `gcc -M` writes it, each made absolute with `directory`. */
bool compile_dependencies_parse(const char *rule, const char *directory, struct words *ret);

/* Joins and cleans a path without looking at the file system: "/a/b" + "../c" is "/a/c". */
char *path_resolve(const char *directory, const char *path);
/*
 * Takes a text apart as a shell does, or gcc a response file: at white space that no quote and no
 * backslash protects. Nothing is expanded. False if a quote is not closed, or when memory is out.
 */
bool shell_split(const char *text, struct words *ret);
/* A word for a POSIX shell, in single quotes. */
bool shell_quote(struct buffer *text, const char *word);
