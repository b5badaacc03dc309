// SPDX-License-Identifier: GPL-2.0-or-later
//
// C++ exceptions on their way through changed functions: one lets them pass, one cleans up meanwhile
// (a destructor, in its own cold part), one catches. The same must go on working with the old code, the
// new, and while one takes the place of the other. With THROWING a thread does nothing else.
//
// This is what case.h wants, but that is C.
#include <cstdint>
#include <string>

#ifndef FIXED
#define FIXED 0
#endif
#define NOINLINE __attribute__((noipa))

struct victim;
extern "C" {
void case_setup(victim *);
bool case_ask();
bool case_work();
void case_figure(int index, uint64_t value);
void case_thread(void *(*run)(void *));
int subject_passes(int n);
int subject_cleans(int n);
int subject_catches(int n);
}

namespace {

struct Error {
        int code;
        std::string text;
};

thread_local int cleaned;

struct Guard {
        ~Guard() { cleaned++; }
};

NOINLINE int thrower(int n)
{
        if (n > 100)
                throw Error{ n, "more than a hundred" };
        return n;
}

} // namespace

NOINLINE int subject_passes(int n)
{
        return thrower(n) + (FIXED ? 2 : 1);
}

NOINLINE int subject_cleans(int n)
{
        Guard guard;

#if FIXED
        if (n == 77)
                return -77;
#endif
        return thrower(n) * 2;
}

NOINLINE int subject_catches(int n)
{
        try {
                return thrower(n) + 3;
        } catch (const Error &error) {
                return FIXED ? -error.code : static_cast<int>(error.text.size());
        }
}

namespace {

// Everything that may happen to an exception, with either version of the code.
bool work()
{
        int caught = 0, before = cleaned, result;

        try {
                subject_passes(101);
        } catch (const Error &error) {
                caught += error.code == 101 && !error.text.empty();
        }
        try {
                subject_cleans(102);
        } catch (const Error &error) {
                caught += error.code == 102;
        }
        if (caught != 2 || cleaned != before + 1)
                return false;
        result = subject_catches(103);
        return (result == -103 || result == 19) && subject_cleans(1) == 2 &&
               subject_catches(1) == 4;
}

#ifdef THROWING
void *throw_always(void *)
{
        for (uint64_t n = 0;; n++) {
                for (int i = 0; i < 20; i++) { // most of it not through what is to be changed
                        try {
                                thrower(200 + i);
                        } catch (const Error &) {
                        }
                }
                if (!work())
                        __builtin_trap();
                case_figure(0, n);
        }
        return nullptr;
}
#endif

} // namespace

void case_setup(victim *)
{
#ifdef THROWING
        case_thread(throw_always);
#endif
}

bool case_ask()
{
        return subject_passes(1) == 3 && subject_cleans(77) == -77 && subject_catches(105) == -105;
}

bool case_work()
{
        return work();
}
