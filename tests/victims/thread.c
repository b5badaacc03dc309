/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What modes and cases share: to say that all is set up, to give up, and threads with a slot. */
#include "victim.h"
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

void victim_ready(struct victim *victim)
{
        atomic_store(&victim->file->state.ready, 1);
}

void victim_fail(const char *what)
{
        perror(what);
        exit(2);
}

struct start {
        struct victim *victim;
        void (*run)(struct victim *, struct state_slot *);
        sem_t runs;
};

static void *thread_main(void *argument)
{
        struct start start = *(struct start *)argument;
        struct state_slot *slot = state_take_slot(start.victim->file);

        sem_post(&((struct start *)argument)->runs);
        start.run(start.victim, slot);
        return NULL;
}

void victim_thread(struct victim *victim, void (*run)(struct victim *, struct state_slot *))
{
        struct start start = { .victim = victim, .run = run };
        pthread_attr_t attributes;
        pthread_t thread;

        sem_init(&start.runs, 0, 0);
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, 64 << 10);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        if (pthread_create(&thread, &attributes, thread_main, &start) != 0)
                victim_fail("pthread_create");
        pthread_attr_destroy(&attributes);
        while (sem_wait(&start.runs) < 0)
                ;
        sem_destroy(&start.runs);
}
