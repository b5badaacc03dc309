/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small fix with a bit of everything that the builder looks at; FIXED says which source it is. */
#include <stdio.h>
#include <string.h>

struct ops {
        const char *name;
        int (*call)(int);
};

static int calls;
static const short limits[] = { 10, 20, FIXED ? 30 : 40, 50 };
static __thread int depth;
int seed_exported = 4;

__attribute__((noinline)) static int twice(int x)
{
        static int seen = 3;

        return x * 2 + seen++ + calls;
}

__attribute__((cold, noinline)) static void note(int x)
{
        __asm__ volatile("" : : "r"(x));
}

static const struct ops table[] = { { "twice", twice }, { "puts", NULL } };

int seed_limit(int i)
{
        depth += i;
        return limits[i & 3] + depth;
}

int seed_switch(int x)
{
        switch (x) {
        case 0: return twice(1);
        case 1: return puts("one");
        case 2: return twice(FIXED ? 5 : 4) + seed_exported;
        case 3: return seed_limit(x);
        case 4: return twice(7) - 2;
        case 5: return x * 3;
        default: break;
        }
        if (x > 100) {
                note(x);
                note(x + 1);
                puts(FIXED ? "more words" : "words");
        }
#if FIXED
        return memchr(table[0].name, x, 4) ? -1 : (int)strlen(table[x & 1].name);
#else
        return (int)strlen(table[x & 1].name);
#endif
}
