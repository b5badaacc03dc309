/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * A throw-away Debian root: made by mmdebstrap once for a suite, unpacked for each build, with the
 * build dependencies of one source package installed. Commands run in it as an unprivileged user
 * without a network.
 */
#include "build/aptstate.h"
#include "build/source.h"

#define ROOT_BUILDER "59999:59999"          /* the user in the root; no account of the host */
#define ROOT_TOOLS "/suture"                /* suture's own folder in the root */
#define ROOT_WORK ROOT_TOOLS "/work"        /* a folder for each run, see struct rebuilt */
#define ROOT_IN_PLACE ""                    /* no root: this machine itself, as this user */
#define ROOT_COMMAND_LOG ROOT_TOOLS "/log/commands"

/* The tar file of the minimal root, made if it isn't there. `*ret_key` names what it is made of. */
int root_base_ensure(const struct store *store, const struct apt_state *apt, char **ret_path,
                     char **ret_key, struct error *err);

/* Unpacks the base to `root`, an empty place below the cache's tmp/. */
int root_unpack(const struct store *store, const char *base, const char *root, struct error *err);

/*
 * Installs the build dependencies (for architecture-dependent packages) of a source: the path of a
 * .dsc file or of an unpacked tree.
 */
int root_install_dependencies(const struct store *store, const struct apt_state *apt,
                              const char *root, const char *source, struct error *err);

/* Installs packages by their names; `n` may be 0. */
int root_install_packages(const struct store *store, const struct apt_state *apt,
                          const char *root, const char *const *packages, size_t n,
                          struct error *err);

/* Makes ROOT_TOOLS with the compiler wrapper, under the names of all compilers in the root. */
int root_install_wrapper(const struct store *store, const char *root, struct error *err);

/* Whether bind_from can be: always in a root, in place where namespaces are allowed. */
bool root_can_bind(const char *root);

struct root_command {
        const char *directory;            /* in the root; NULL: "/" */
        struct words arguments;
        struct words environment;
        bool as_root;                     /* else as ROOT_BUILDER */
        bool wrapped;                     /* the compiler wrapper comes first in PATH */
        const char *bind_from, *bind_to;  /* in the root: bind_from is seen at bind_to */
        struct buffer *output;            /* as in struct run_options, and these: */
        enum run_quote quote;
        int *status;
};
void root_command_done(struct root_command *command);

/*
 * Runs a command in the root, without network; faults as of run_command(). In ROOT_IN_PLACE it has
 * the network and the user that suture has, `wrapped` also gives it suture's environment (PATH is
 * then among `environment`), and `bind_from` is a fault where root_can_bind() is false.
 */
int root_run(const struct store *store, const char *root, const struct root_command *command,
             const char *what, struct error *err);
/* A shell script as a command: sh -ec SCRIPT. */
int root_run_script(const struct store *store, const char *root, struct root_command *command,
                    const char *script, const char *what, struct error *err);
