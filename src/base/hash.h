/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* SHA-256 (libsodium) and its usual form for people and manifests: lower-case hexadecimal. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE 32
#define SHA256_HEX_SIZE (2 * SHA256_SIZE + 1) /* with the final NUL */

struct sha256 {
        uint8_t bytes[SHA256_SIZE];
};

struct sha256 sha256_of(const void *data, size_t size);
bool sha256_equal(const struct sha256 *a, const struct sha256 *b);
/* Accepts exactly 64 hexadecimal digits. */
bool sha256_parse(const char *text, struct sha256 *ret);
void sha256_format(const struct sha256 *hash, char ret[static SHA256_HEX_SIZE]);

/* Writes 2 * size digits and a NUL. */
void hex_encode(const uint8_t *data, size_t size, char *ret);
/* Decodes all of `text`; false on an odd length, a bad digit, or more than `max` bytes. */
bool hex_decode(const char *text, uint8_t *ret, size_t max, size_t *ret_size);
