/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The frame of all cases. It is not part of what is patched. After a thread was held and let go,
 * the case may be held again by whoever asks: writing 0 to `release` before.
 */
#include <pthread.h>
#include <time.h>
#include "case.h"

static struct victim the_victim;

static void doze(void)
{
        struct timespec pause = { .tv_nsec = 2000000 };

        nanosleep(&pause, NULL);
}

bool case_released(void)
{
        return atomic_load(&the_victim.file->state.release);
}

void case_hold(void)
{
        atomic_store(&the_victim.file->state.held, 1);
        while (!case_released())
                doze();
        atomic_store(&the_victim.file->state.held, 0);
}

void case_stay(unsigned value)
{
        while (atomic_load(&the_victim.file->state.release) == value) {
                atomic_store(&the_victim.file->state.held, 1);
                doze();
                atomic_store(&the_victim.file->state.held, 0);
        }
}

void case_figure(int index, uint64_t value)
{
        atomic_store(&the_victim.file->state.figure[index], value);
}

void case_await_held(void)
{
        while (!atomic_load(&the_victim.file->state.held))
                doze();
}

void case_thread(void *(*run)(void *))
{
        pthread_attr_t attributes;
        pthread_t thread;

        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, 1 << 20);
        if (pthread_create(&thread, &attributes, run, NULL) != 0)
                victim_fail("pthread_create");
        pthread_attr_destroy(&attributes);
}

int main(void)
{
        struct state_slot *slot;

        the_victim.file = state_open();
        slot = state_take_slot(the_victim.file);
        case_setup(&the_victim);
        victim_ready(&the_victim);
        for (;;) {
                uint32_t answer = ANSWER_ASKED;

                if (case_ask())
                        answer |= ANSWER_CHECK_FIXED;
                if (!case_work())
                        state_complain(the_victim.file, &slot->wrong, "the case's own work");
                atomic_store(&slot->answer, answer);
                atomic_fetch_add(&slot->rounds, 1);
                doze();
        }
}
