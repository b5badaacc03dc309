/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A module for the seeds of fuzz-elf-image: each kind of symbol and slot that its reader knows. */
#include <stdlib.h>
#include <string.h>

int seed_data[4] = { 1 };
const char *const seed_names[] = { "one", "two" };

int old_version(void);
int new_version(void);
size_t seed_answer(const char *text);
int seed_weak(void) __attribute__((weak));

__asm__(".symver old_version, seed_old@SEED_1");
__asm__(".symver new_version, seed_old@@SEED_2");

int old_version(void)
{
        return 1;
}

int new_version(void)
{
        return 2;
}

int seed_weak(void)
{
        return seed_data[1];
}

size_t seed_answer(const char *text)
{
        void *(*allocate)(size_t) = malloc;
        void *memory = allocate(strlen(text));

        free(memory);
        return memory ? strlen(text) : strlen(seed_names[0]);
}
