/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * What a victim tells about itself, in a file that it maps shared: whoever asks reads the file and
 * disturbs nobody, also when the victim sleeps, is stopped, or may make no system call. One slot a
 * thread (or forked child). tests/capability/harness.py reads the same layout.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define STATE_MAGIC 0x314d495443495645ull
#define STATE_MAX_SLOTS 4094

/* Bits of state_slot.answer. */
enum {
        ANSWER_CHECK_FIXED = 1,  /* what level 1 of the patch closes */
        ANSWER_FORMAT_FIXED = 2, /* what level 2 closes besides */
        ANSWER_ASKED = 1 << 30,  /* set with every answer */
};

struct state_slot {
        _Atomic uint64_t rounds;  /* pieces of work done; each asks and answers anew */
        _Atomic uint32_t id;      /* thread id; 0: the slot is free */
        _Atomic uint32_t answer;
        _Atomic uint32_t wrong;   /* results that are not what they must be */
        _Atomic uint32_t eintr;   /* EINTR although no signal handler ran */
        _Atomic uint32_t early;   /* waits that ended before their time */
        _Atomic uint32_t late;    /* waits that took more than STATE_LATE_MS beyond it */
        _Atomic uint32_t spare[6];
        _Atomic uint32_t complained;
        uint32_t padding;
};

#define STATE_LATE_MS 4000

struct state {
        uint64_t magic;
        _Atomic uint32_t n_slots; /* used so far */
        _Atomic uint32_t ready;   /* set when the victim is as its mode says */
        _Atomic uint32_t release; /* written by who asks: leave the place you are held in */
        _Atomic uint32_t held;    /* set while a mode holds something back (see the mode) */
        _Atomic uint64_t figure[4]; /* measured by the mode, meaning see there */
        char complaint[64];       /* the first thing that was wrong, in words */
};

struct state_file {
        struct state state;
        char padding[128 - sizeof(struct state)];
        struct state_slot slots[STATE_MAX_SLOTS];
};

/* Maps the file named by VICTIM_STATE; ends the program with a message if that can't be done. */
struct state_file *state_open(void);
/* A slot for the calling thread or process. Slots given back are used again. */
struct state_slot *state_take_slot(struct state_file *file);
void state_free_slot(struct state_slot *slot);
/* Counts an error of the given kind and keeps the first complaint. */
void state_complain(struct state_file *file, _Atomic uint32_t *kind, const char *complaint);

/* A wait that was to take `ns`: counts it if it was too short or far too long. */
struct state_wait {
        uint64_t began_ns, ns;
};
uint64_t state_now_ns(void);
struct state_wait state_wait_begin(uint64_t ns);
void state_wait_end(struct state_file *file, struct state_slot *slot, const struct state_wait *wait,
                    const char *what);
