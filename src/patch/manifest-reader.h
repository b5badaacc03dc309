/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Strict reading of JSON objects: each value is asked for by key, type and range, and every key
 * that nobody asked for is a fault. A place knows the way to itself, so that a fault can say
 * "targets[2].functions[0].size" without anything being allocated on the way.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "base/hash.h"

struct json_place {
        const struct json_place *up;    /* NULL: the whole document */
        const char *key;                /* in the object `up`; NULL: `index` in the array `up` */
        size_t index;
        const json_t *value;
};

/* Where faults are told. */
struct json_reader {
        const char *file;
        struct error *err;
};

/* The fault: "FILE: in the manifest, PLACE.KEY WHAT"; `key` may be NULL. Returns -EINVAL. */
int json_bad(const struct json_reader *reader, const struct json_place *place, const char *key,
             const char *format, ...) _printf_(4, 5);

/* The place is an object and has no other keys than these (NULL-terminated). */
int json_want_object(const struct json_reader *reader, const struct json_place *place,
                     const char *const keys[]);

/*
 * Values of an object. A missing optional one is no fault: `*ret` is then left alone. Strings have
 * 1 to `max` bytes, none of them a control character, and point into the document.
 */
int json_want_string(const struct json_reader *reader, const struct json_place *place,
                     const char *key, bool required, size_t max, const char **ret);
int json_want_number(const struct json_reader *reader, const struct json_place *place,
                     const char *key, uint64_t min, uint64_t max, uint64_t *ret);
int json_want_bool(const struct json_reader *reader, const struct json_place *place,
                   const char *key, bool *ret);
int json_want_sha256(const struct json_reader *reader, const struct json_place *place,
                     const char *key, struct sha256 *ret);
/* One of a list of words (NULL-terminated, NULL entries at the front skipped by `first`). */
int json_want_word(const struct json_reader *reader, const struct json_place *place,
                   const char *key, const char *const words[], size_t n_words, size_t *ret);
/* An array of `min` to `max` items, or an object; `ret` has a NULL value if it is not there. */
int json_want_array(const struct json_reader *reader, const struct json_place *place,
                    const char *key, size_t min, size_t max, struct json_place *ret);
void json_get_object(const struct json_place *place, const char *key, struct json_place *ret);

static inline size_t json_length(const struct json_place *array)
{
        return json_array_size(array->value);
}

static inline struct json_place json_item(const struct json_place *array, size_t index)
{
        return (struct json_place){ .up = array, .index = index,
                                    .value = json_array_get(array->value, index) };
}

/* For strings that are items of an array. */
int json_item_string(const struct json_reader *reader, const struct json_place *item, size_t max,
                     const char **ret);
