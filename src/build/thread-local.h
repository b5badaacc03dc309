/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * In a program the distance of a thread-local variable of its own from the thread pointer is known,
 * and the linker puts it in the instruction, whatever access the compiler wrote (psABI 1.0, 10.6
 * "Linker optimization"; Drepper, ELF Handling For Thread-Local Storage, 5.5).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * True if the access whose field is at `field` of `code` has a form that can be rewritten: type
 * R_X86_64_GOTTPOFF, TLSGD or TLSLD. With a `value` (may be NULL; TLSLD needs none) it is rewritten.
 */
bool thread_access_rewrite(uint8_t *code, size_t size, uint64_t field, uint32_t type,
                           const int32_t *value);
