/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fix needs a member that the structure does not have: how often a connection failed. It is a
 * shadow variable, of each object its own. Level 2 keeps it and doubles what it adds.
 */
#include <stdlib.h>
#include "case.h"
#if FIXED
#include "suture/patch.h"
#endif

struct connection {
        int number;
};

static struct connection *connections[2];

NOINLINE int subject_fail(struct connection *connection)
{
#if FIXED
        int *failures = suture_shadow_get_or_alloc(connection, 1, sizeof(*failures));

        if (failures)
                *failures += FIXED;
        return failures ? connection->number + *failures : -1;
#else
        return connection->number;
#endif
}

NOINLINE void subject_close(struct connection *connection)
{
#if FIXED
        suture_shadow_free(connection, 1);
#endif
        connection->number = -1;
}

#if FIXED
static int forget(void)
{
        suture_shadow_forget_all();
        return 0;
}
SUTURE_UNDO(forget)
#endif

void case_setup(struct victim *victim)
{
        (void)victim;
        for (int i = 0; i < 2; i++) {
                connections[i] = malloc(sizeof(*connections[i]));
                if (!connections[i])
                        victim_fail("malloc");
                connections[i]->number = 1000 * (i + 1);
        }
}

bool case_ask(void)
{
        int before = subject_fail(connections[0]), after = subject_fail(connections[0]);

        /* figure[0]: the count that the shadow variable of the first object holds. */
        case_figure(0, (unsigned)(after - 1000));
        return after > before;
}

/* The second object is closed before it has failed often; a new one at its address begins anew. */
bool case_work(void)
{
        static int n;
        int result = subject_fail(connections[1]);

        if (++n % 8 == 0) {
                subject_close(connections[1]);
                connections[1]->number = 2000;
        }
        return result >= 2000 && result <= 2000 + 8 * 2;
}
