/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * A victim is one program with many modes: a way to wait, to compute, to make processes or to be
 * in a difficult place. `victim MODE [N]` runs until it is killed.
 */
#include "state.h"

struct victim {
        struct state_file *file;
        int count; /* the argument N, by default the mode's own */
};

struct mode {
        const char *name;
        int count;
        void (*run)(struct victim *victim);
};

extern const struct mode modes_compute[], modes_wait[], modes_process[], modes_place[];

/* One piece of work: calls the subject with good and hostile input, checks and notes the answers. */
void victim_round(struct victim *victim, struct state_slot *slot);
/* Rounds with `ns` between them by busy computing, whose result is checked. */
void victim_compute(struct victim *victim, struct state_slot *slot, unsigned turns);
void victim_ready(struct victim *victim);
/* Ends the program: the mode could not get where it is to be. */
__attribute__((noreturn)) void victim_fail(const char *what);
/* Starts a thread that has its own slot, and waits until it runs. */
void victim_thread(struct victim *victim, void (*run)(struct victim *, struct state_slot *));
