/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * The build ID: the name by which a linked module is known, whatever its path or package
 * (ld --build-id; NT_GNU_BUILD_ID in a note named "GNU").
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUILD_ID_MAX 32
#define BUILD_ID_HEX_SIZE (2 * BUILD_ID_MAX + 1)

struct build_id {
        uint8_t bytes[BUILD_ID_MAX];
        uint8_t size; /* 0: the module has none */
};

bool build_id_equal(const struct build_id *a, const struct build_id *b);
/* Hexadecimal, at least 4 and at most BUILD_ID_MAX bytes. */
bool build_id_parse(const char *text, struct build_id *ret);
void build_id_format(const struct build_id *id, char ret[static BUILD_ID_HEX_SIZE]);
/*
 * Looks through the bytes of a note segment or section (4-byte aligned notes, gABI "Note
 * Section"). False if there is no build ID.
 */
bool build_id_from_notes(const void *notes, size_t size, struct build_id *ret);
