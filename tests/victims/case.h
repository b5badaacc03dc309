/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * A case is a program of one file whose changed function is awkward in one way: how it begins, how it is
 * reached, or where it stays. Compiled with -DFIXED=1 the file is the fixed source. case-main.c
 * calls it again and again and notes the answers.
 */
#include <stdbool.h>
#include <stddef.h>
#include "victim.h"

#ifndef FIXED
#define FIXED 0
#endif
/* Nothing is known of such a function elsewhere, so its callers are the same with the fix. */
#define NOINLINE __attribute__((noipa))

/* Once, before the first call. */
void case_setup(struct victim *victim);
/* Calls the changed function the way the case is about: is it the fixed one? */
bool case_ask(void);
/* More of the case that must go on working; false if it does not. */
bool case_work(void);
/* Says that a thread is now where the case holds it, and waits until it may go on. */
void case_hold(void);
/* The same without waiting. */
bool case_released(void);
/* Stays for as long as it is asked to (`release` is `value`). */
void case_stay(unsigned value);
/* Reports a number. */
void case_figure(int index, uint64_t value);
/* A further thread, with a stack of a megabyte and without a slot. */
void case_thread(void *(*run)(void *));
/* Waits until a thread is held. */
void case_await_held(void);
