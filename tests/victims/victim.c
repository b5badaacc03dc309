/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The frame of all modes: find the mode, open the state file, run. The work itself is the same
 * everywhere, so what differs between two modes is only where the threads are when they are stopped.
 */
#include "victim.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct mode *find(const char *name)
{
        const struct mode *const tables[] = { modes_compute, modes_wait, modes_process, modes_place };

        for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
                for (const struct mode *mode = tables[i]; mode->name; mode++)
                        if (strcmp(mode->name, name) == 0)
                                return mode;
        return NULL;
}

int main(int argc, char **argv)
{
        const struct mode *mode = argc > 1 ? find(argv[1]) : NULL;
        struct victim victim;

        if (!mode) {
                fprintf(stderr, "usage: VICTIM_STATE=FILE victim MODE [N]\n");
                return 2;
        }
        victim = (struct victim){ .file = state_open(), .count = argc > 2 ? atoi(argv[2]) : mode->count };
        mode->run(&victim);
        return 0;
}
