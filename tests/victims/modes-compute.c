/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Modes that never wait, and those whose other threads do nothing at all. `cost` times its own
 * calls of the patched function for the benchmark.
 */
#include "victim.h"
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#include "subject.h"

static void run_loop(struct victim *victim)
{
        struct state_slot *slot = state_take_slot(victim->file);

        victim_ready(victim);
        for (;;) {
                victim_compute(victim, slot, 400);
                victim_round(victim, slot);
        }
}

/* With many threads one that lost its processor inside the subject would nearly always be there. */
__attribute__((noreturn)) static void busy(struct victim *victim, struct state_slot *slot)
{
        while (!atomic_load(&victim->file->state.ready))
                usleep(100000);
        for (;;) {
                victim_compute(victim, slot, 30000);
                victim_round(victim, slot);
        }
}

static void run_threads(struct victim *victim)
{
        struct state_slot *slot = state_take_slot(victim->file);

        for (int i = 1; i < victim->count; i++)
                victim_thread(victim, busy);
        victim_ready(victim);
        busy(victim, slot);
}

/* As servers have them: N threads that each work a little and wait a little. */
__attribute__((noreturn)) static void at_work(struct victim *victim, struct state_slot *slot)
{
        for (;;) {
                victim_compute(victim, slot, 2000);
                victim_round(victim, slot);
                usleep(20000);
        }
}

static void run_workers(struct victim *victim)
{
        for (int i = 1; i < victim->count; i++)
                victim_thread(victim, at_work);
        victim_ready(victim);
        at_work(victim, state_take_slot(victim->file));
}

static pthread_mutex_t never_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;

static void *sleeper(void *nothing)
{
        (void)nothing;
        pthread_mutex_lock(&never_lock);
        for (;;)
                pthread_cond_wait(&never, &never_lock);
        return NULL;
}

static void start_sleepers(int count)
{
        pthread_attr_t attributes;
        pthread_t thread;

        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, 64 << 10);
        for (int i = 0; i < count; i++)
                if (pthread_create(&thread, &attributes, sleeper, NULL) != 0)
                        victim_fail("pthread_create");
        pthread_attr_destroy(&attributes);
}

/* N threads, all but the first asleep for good; the first works 100 times a second. */
static void run_idle(struct victim *victim)
{
        struct state_slot *slot = state_take_slot(victim->file);

        start_sleepers(victim->count - 1);
        victim_ready(victim);
        for (;;) {
                victim_round(victim, slot);
                usleep(10000);
        }
}

/* Works once a second: a thousand of these leave the machine to others. */
static void run_quiet(struct victim *victim)
{
        struct state_slot *slot = state_take_slot(victim->file);

        victim_ready(victim);
        for (;;) {
                victim_round(victim, slot);
                sleep(1);
        }
}

/* Threads come and go all the time, so that there is always one that was not there before. */
static void *short_lived(void *argument)
{
        struct victim *victim = argument;
        struct state_slot *slot = state_take_slot(victim->file);

        victim_compute(victim, slot, 2000);
        victim_round(victim, slot);
        state_free_slot(slot);
        return NULL;
}

__attribute__((noreturn)) static void spawner(struct victim *victim, struct state_slot *slot)
{
        for (;;) {
                pthread_t threads[4];

                for (int i = 0; i < 4; i++)
                        if (pthread_create(&threads[i], NULL, short_lived, victim) != 0)
                                victim_fail("pthread_create");
                for (int i = 0; i < 4; i++)
                        pthread_join(threads[i], NULL);
                victim_round(victim, slot);
        }
}

static void run_thread_storm(struct victim *victim)
{
        for (int i = 1; i < victim->count; i++)
                victim_thread(victim, spawner);
        victim_ready(victim);
        spawner(victim, state_take_slot(victim->file));
}

static uint64_t time_calls(int (*function)(const unsigned char *, size_t), unsigned count)
{
        static const unsigned char message[] = { 1, 'x' };
        uint64_t began = state_now_ns();

        for (unsigned i = 0; i < count; i++)
                function(message, sizeof(message));
        return (state_now_ns() - began) * 1000 / count;
}

/* figure[0] and [3]: picoseconds a call of the patched function and of its unpatched twin. */
static void run_cost(struct victim *victim)
{
        struct state_slot *slot = state_take_slot(victim->file);
        enum { CALLS = 200000 };

        for (;;) {
                atomic_store(&victim->file->state.figure[0], time_calls(subject_check, CALLS));
                atomic_store(&victim->file->state.figure[3], time_calls(subject_twin, CALLS));
                victim_round(victim, slot);
                victim_ready(victim);
        }
}

const struct mode modes_compute[] = {
        { "loop", 1, run_loop },
        { "threads", 64, run_threads },
        { "workers", 64, run_workers },
        { "idle", 64, run_idle },
        { "quiet", 1, run_quiet },
        { "thread-storm", 2, run_thread_storm },
        { "cost", 1, run_cost },
        { 0 },
};
