/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guard alone, without the daemon: guard-run [--events] [--watch FILE]... PATCH... Prints each report as a
 * line (EVENT pid=N linking=NS held=NS gap=NS patches=LIST: TEXT) until it is ended.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/guard.h"

static const char *const names[] = { "?", "ready", "started", "late", "failed", "watching", "lost",
                                     "fallback" };

static void show(void *context, const struct guard_report *report)
{
        (void)context;
        printf("%s pid=%d linking=%lu held=%lu gap=%lu patches=%s: %s\n", names[report->event],
               report->pid, report->linking_ns, report->held_ns, report->gap_ns, report->patches,
               report->text);
}

static int run(struct guard *guard, struct error *err)
{
        int r = 0;

        while (r == 0) {
                struct pollfd fd = { .fd = guard_fd(guard), .events = POLLIN };

                (void)poll(&fd, 1, 200);
                r = guard_step(guard, show, NULL, err);
        }
        return r;
}

int main(int argc, char **argv)
{
        const char **files = calloc((size_t)argc, sizeof(*files));
        struct patch **patches = calloc((size_t)argc, sizeof(*patches));
        struct guard_settings settings = { .patches = (const struct patch *const *)patches,
                                           .files = files };
        struct guard *guard = NULL;
        struct error err = { 0 };
        int r = files && patches ? 0 : error_no_memory(&err);

        setvbuf(stdout, NULL, _IOLBF, 0);
        for (int i = 1; i < argc && r == 0; i++) {
                if (strcmp(argv[i], "--watch") == 0 && i + 1 < argc)
                        files[settings.n_files++] = argv[++i];
                else if (strcmp(argv[i], "--events") == 0)
                        settings.only_events = true;
                else
                        r = patch_open(argv[i], &patches[settings.n_patches++], &err);
        }
        if (r == 0)
                r = guard_open(&settings, &guard, &err);
        if (r == 0) {
                printf("keeper pid=%d\n", guard_keeper(guard));
                r = run(guard, &err);
        }
        fprintf(stderr, "guard-run: %s\n", err.cause);
        return 1;
}
