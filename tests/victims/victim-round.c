/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The work that every victim does, wherever it does it. */
#include "victim.h"
#include <string.h>
#include "subject.h"

/* Hostile: claims 40 bytes and has 7. The memory behind it is there, so believing it is no crash. */
static const unsigned char hostile[48] = { 40, 'a', 'b', 'c', 'd', 'e', 'f', 'g' };
static const unsigned char good[] = { 9, 'g', 'o', 'o', 'd', '-', 'w', 'o', 'r', 'k' };
enum { GOOD_SUM = 4899 };

/* There if subject_seen is interposed (seen.c). */
__attribute__((weak)) extern _Atomic uint64_t seen_instead;

/* figure[1] counts the calls of the subject's own subject_seen, figure[2] those of the interposed. */
static void note_seen(struct state *state)
{
        atomic_store(&state->figure[1], subject_n_seen);
        atomic_store(&state->figure[2], &seen_instead ? atomic_load(&seen_instead) : 0);
}

void victim_round(struct victim *victim, struct state_slot *slot)
{
        struct state_file *file = victim->file;
        uint64_t before = subject_calls();
        uint32_t answer = ANSWER_ASKED;
        char text[16];

        if (subject_check(good, sizeof(good)) != GOOD_SUM)
                state_complain(file, &slot->wrong, "good message: wrong sum");
        if (subject_check(hostile, 8) == -1)
                answer |= ANSWER_CHECK_FIXED;
        if (subject_format(text, sizeof(text), 4711) != 4 || strcmp(text, "4711") != 0)
                state_complain(file, &slot->wrong, "good number: wrong text");
        if (subject_format(text, 4, 4711) == -1)
                answer |= ANSWER_FORMAT_FIXED;
        if (subject_calls() < before + 2)
                state_complain(file, &slot->wrong, "static data went back");
        note_seen(&file->state);
        atomic_store(&slot->answer, answer);
        atomic_fetch_add(&slot->rounds, 1);
}

/* Known work for the registers, vector registers included: a stop at any instruction must not show. */
void victim_compute(struct victim *victim, struct state_slot *slot, unsigned turns)
{
        volatile uint64_t seed = 88172645463325252ull;
        double series = 0;
        uint64_t word = seed, check = seed;

        for (unsigned i = 0; i < turns; i++) {
                word ^= word << 13;
                word ^= word >> 7;
                word ^= word << 17;
                series += 1.0 / (double)(1 + (word & 1023));
        }
        for (unsigned i = 0; i < turns; i++) {
                check ^= check << 13;
                check ^= check >> 7;
                check ^= check << 17;
                series -= 1.0 / (double)(1 + (check & 1023));
        }
        if (word != check || series > 1e-6 || series < -1e-6)
                state_complain(victim->file, &slot->wrong, "computing: wrong result");
}
