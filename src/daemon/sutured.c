/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sutured: reads its few options, and becomes the daemon. It stays in the foreground; who wants it
 * in the background has a service manager, or the shell's &.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/daemon.h"
#include "daemon/health.h"
#include "daemon/patch-store.h"
#include "daemon/policy.h"

struct row {
        struct option option;
        const char *value, *help;
};

static const struct row rows[] = {
        { { "store", required_argument, NULL, 's' }, "FOLDER",
          "the patches (default " PATCH_STORE_PATH ")" },
        { { "config", required_argument, NULL, 'c' }, "FILE",
          "the policy (default " POLICY_PATH ")" },
        { { "socket", required_argument, NULL, 'S' }, "PATH",
          "where to answer (default " DAEMON_SOCKET ")" },
        { { "log", required_argument, NULL, 'l' }, "FILE",
          "the audit log (default: as the policy says)" },
        { { "probe", required_argument, NULL, 'p' }, "FILE",
          "what makes HTTP and TCP health checks" },
        { { "watch", required_argument, NULL, 'w' }, "FILE",
          "a program or library in an unusual place; may be repeated" },
        { { "help", no_argument, NULL, 'h' }, "",
          "print this help" },
        { { "version", no_argument, NULL, 'V' }, "",
          "print the version" },
};

static void print_help(void)
{
        printf("Usage: sutured [OPTION]...\nKeeps every instance of the programs of this machine "
               "patched; see sutured(8).\n\n");
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                printf("  --%s%s%-*s%s\n", rows[i].option.name, rows[i].value[0] ? " " : "",
                       (int)(20 - strlen(rows[i].option.name)), rows[i].value, rows[i].help);
}

/* -1: go on; else the exit code. */
static int parse(int argc, char **argv, struct daemon_settings *settings)
{
        struct option options[ARRAY_SIZE(rows) + 1] = { 0 };
        int letter;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                options[i] = rows[i].option;
        while ((letter = getopt_long(argc, argv, "", options, NULL)) >= 0) {
                if (letter == 's')
                        settings->store = optarg;
                else if (letter == 'c')
                        settings->config = optarg;
                else if (letter == 'S')
                        settings->socket = optarg;
                else if (letter == 'l')
                        settings->log = optarg;
                else if (letter == 'p')
                        settings->probe = optarg;
                else if (letter == 'w')
                        settings->watch[settings->n_watch++] = optarg;
                else if (letter == 'h')
                        return print_help(), EXIT_CODE_OK;
                else if (letter == 'V')
                        return printf("sutured %s\n", SUTURE_VERSION), EXIT_CODE_OK;
                else
                        return EXIT_CODE_USAGE;
        }
        if (optind < argc) {
                fprintf(stderr, "sutured: there is no use for \"%s\"\n", argv[optind]);
                return EXIT_CODE_USAGE;
        }
        return -1;
}

int main(int argc, char **argv)
{
        struct daemon_settings settings = {
                .store = PATCH_STORE_PATH,
                .config = POLICY_PATH,
                .socket = DAEMON_SOCKET,
                .probe = HEALTH_PROBE_PATH,
        };
        struct error err = { .exit_code = EXIT_CODE_ERROR };
        int code;

        settings.watch = calloc((size_t)argc, sizeof(*settings.watch));
        if (!settings.watch)
                return EXIT_CODE_ERROR;
        code = parse(argc, argv, &settings);
        if (code >= 0)
                return code;
        umask(022);
        if (geteuid() != 0) {
                fprintf(stderr, "sutured: it must be run by root\n");
                return EXIT_CODE_PERMISSION;
        }
        if (daemon_run(&settings, &err) < 0) {
                fprintf(stderr, "sutured: %s\n", err.cause);
                if (err.next[0])
                        fprintf(stderr, "  %s\n", err.next);
                return (int)err.exit_code;
        }
        return EXIT_CODE_OK;
}
