/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Runs the programs that a build needs (apt-get, mmdebstrap, dpkg-buildpackage, gcc). Each runs in
 * process, mount and PID namespaces of its own, with a clean environment: when it ends, when it is
 * interrupted or when suture is killed, everything it started and mounted is gone with it.
 */
#include <stdbool.h>
#include <stddef.h>
#include "base/buffer.h"
#include "base/error.h"

/* A list of words, such as a command line; `items` always ends with a NULL when not empty. */
struct words {
        char **items;
        size_t n_items;
};
void words_done(struct words *words);
#define _cleanup_words_ _cleanup_(words_done)
/* False only when memory is out. */
bool words_add(struct words *words, const char *word);
bool words_addf(struct words *words, const char *format, ...) _printf_(2, 3);
bool words_extend(struct words *words, const char *const *items, size_t n_items);
bool words_contain(const struct words *words, const char *word);

/* What the machine allows us to do with the commands we start. */
enum run_isolation {
        RUN_APART = 1,         /* namespaces of their own, made as root */
        RUN_APART_AS_USER,     /* the same, in a user namespace */
        RUN_PLAIN,             /* none; nothing can be mounted */
};
/* Tried once, by starting a command in each of these ways. */
enum run_isolation run_isolation(void);

#define RUN_PATH "/usr/sbin:/usr/bin:/sbin:/bin"

struct runner {
        int log_fd;              /* opened for appending and reading; every command's output */
        const char *log_path;
        bool (*interrupted)(void *context); /* may be NULL */
        void *context;
};

enum run_quote {
        RUN_QUOTE_TELLING = 0,     /* the last line that says "error", else the last line */
        RUN_QUOTE_FIRST_ERRORS,    /* the first lines that say "error:", three at most */
        RUN_QUOTE_LAST_LINES,      /* the last three */
};

struct run_options {
        const char *directory;            /* NULL: "/" */
        const char *const *environment;   /* "NAME=value", n_environment of them, or NULL */
        size_t n_environment;
        struct buffer *output;            /* takes standard output; NULL: goes to the log */
        size_t max_output;                /* more is a fault; 0: 16 MiB */
        bool own_environment;             /* suture's own, and `environment` over it */
        bool no_network;                  /* where it can be kept from it */
        bool as_owner;                    /* in a user namespace: as its root, which may mount */
        enum run_quote quote;             /* what a fault tells of the command's output */
        int *status;                      /* if given, an exit status other than 0 is no fault */
};

/*
 * Runs `argv` (n words, found in RUN_PATH) and waits. `what` names the step in messages. Faults:
 * could not be started, exit status not 0 (the cause then quotes the last line it wrote), or
 * interrupted (-EINTR).
 */
int run_command(const struct runner *runner, const struct words *argv, const char *what,
                const struct run_options *options, struct error *err);

/* The same for words written in place. */
#define RUN(runner, what, options, err, ...)                                                  \
        run_list(runner, what, options, err, (const char *const[]){ __VA_ARGS__, NULL })
int run_list(const struct runner *runner, const char *what, const struct run_options *options,
             struct error *err, const char *const *argv);

/* A line of suture's own in the log. */
void run_log(const struct runner *runner, const char *format, ...) _printf_(2, 3);
/* "the log is PATH", the next step of most faults here. */
int run_fault(const struct runner *runner, struct error *err, const char *format, ...)
        _printf_(3, 4);
