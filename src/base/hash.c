/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/hash.h"

#include <sodium.h>
#include <string.h>

struct sha256 sha256_of(const void *data, size_t size)
{
        struct sha256 hash;

        _Static_assert(crypto_hash_sha256_BYTES == SHA256_SIZE, "SHA-256 has 32 bytes");
        crypto_hash_sha256(hash.bytes, data, size);
        return hash;
}

bool sha256_equal(const struct sha256 *a, const struct sha256 *b)
{
        return memcmp(a->bytes, b->bytes, SHA256_SIZE) == 0;
}

bool sha256_parse(const char *text, struct sha256 *ret)
{
        size_t size;

        return hex_decode(text, ret->bytes, SHA256_SIZE, &size) && size == SHA256_SIZE;
}

void sha256_format(const struct sha256 *hash, char ret[static SHA256_HEX_SIZE])
{
        hex_encode(hash->bytes, SHA256_SIZE, ret);
}

void hex_encode(const uint8_t *data, size_t size, char *ret)
{
        static const char digits[] = "0123456789abcdef";

        for (size_t i = 0; i < size; i++) {
                ret[2 * i] = digits[data[i] >> 4];
                ret[2 * i + 1] = digits[data[i] & 15];
        }
        ret[2 * size] = '\0';
}

static int hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

bool hex_decode(const char *text, uint8_t *ret, size_t max, size_t *ret_size)
{
        size_t length = strlen(text);

        if (length % 2 != 0 || length / 2 > max)
                return false;
        for (size_t i = 0; i < length / 2; i++) {
                int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

                if (high < 0 || low < 0)
                        return false;
                ret[i] = (uint8_t)(high << 4 | low);
        }
        *ret_size = length / 2;
        return true;
}
