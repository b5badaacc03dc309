/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The JSON side of the manifest reader: types, ranges, unknown keys, and the words in which a
 * fault is told. What the values mean is the business of manifest.c.
 */
#include "patch/manifest-reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NEXT_STEP                                                                             \
        "get the file again from where it came from, or rebuild it with this version of suture"

static void place_format(const struct json_place *place, char *ret, size_t size)
{
        size_t used;

        if (!place || !place->up) {
                ret[0] = '\0';
                return;
        }
        place_format(place->up, ret, size);
        used = strlen(ret);
        if (place->key)
                snprintf(ret + used, size - used, "%s%s", used ? "." : "", place->key);
        else
                snprintf(ret + used, size - used, "[%zu]", place->index);
}

int json_bad(const struct json_reader *reader, const struct json_place *place, const char *key,
             const char *format, ...)
{
        char path[160], what[384];
        const char *dot;
        va_list args;

        place_format(place, path, sizeof(path));
        dot = path[0] && key ? "." : "";
        if (!path[0] && !key)
                key = "the whole";
        va_start(args, format);
        vsnprintf(what, sizeof(what), format, args);
        va_end(args);
        return error_set(reader->err, EXIT_CODE_ERROR, 0, NEXT_STEP,
                         "%s can't be used: in its manifest, %s%s%s %s", reader->file, path, dot,
                         key ? key : "", what);
}

/*
 * Text is shown on terminals and in logs: no control characters (C0, DEL, C1), no line or
 * paragraph separators, and none that reorder text (Unicode, "Bidirectional Algorithm", explicit
 * formatting characters). jansson has checked that it is UTF-8.
 */
static bool text_is_plain(const char *text)
{
        const uint8_t *at = (const uint8_t *)text;

        for (; *at; at++) {
                if (*at < 0x20 || *at == 0x7f)
                        return false;
                if (at[0] == 0xc2 && at[1] < 0xa0)
                        return false; /* U+0080 - U+009F */
                if (at[0] == 0xe2 && at[1] == 0x80 && at[2] >= 0xa8 && at[2] <= 0xae)
                        return false; /* U+2028 - U+202E */
                if (at[0] == 0xe2 && at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9)
                        return false; /* U+2066 - U+2069 */
        }
        return true;
}

static bool is_among(const char *key, const char *const keys[])
{
        for (; *keys; keys++)
                if (strcmp(key, *keys) == 0)
                        return true;
        return false;
}

int json_want_object(const struct json_reader *reader, const struct json_place *place,
                     const char *const keys[])
{
        const char *key;
        json_t *value;

        if (!json_is_object(place->value))
                return json_bad(reader, place, NULL, "is not an object");
        json_object_foreach((json_t *)place->value, key, value) {
                if (is_among(key, keys))
                        continue;
                return json_bad(reader, place, text_is_plain(key) && strlen(key) <= 64 ? key : NULL,
                                "is a key that means nothing here");
        }
        return 0;
}

static int check_string(const struct json_reader *reader, const struct json_place *place,
                        const char *key, const json_t *value, size_t max, const char **ret)
{
        if (!json_is_string(value))
                return json_bad(reader, place, key, "is not a string");
        if (json_string_length(value) == 0)
                return json_bad(reader, place, key, "is empty");
        if (json_string_length(value) > max)
                return json_bad(reader, place, key, "is longer than %zu bytes", max);
        if (!text_is_plain(json_string_value(value)))
                return json_bad(reader, place, key, "contains control characters");
        *ret = json_string_value(value);
        return 0;
}

int json_want_string(const struct json_reader *reader, const struct json_place *place,
                     const char *key, bool required, size_t max, const char **ret)
{
        const json_t *value = json_object_get(place->value, key);

        if (!value)
                return required ? json_bad(reader, place, key, "is missing") : 0;
        return check_string(reader, place, key, value, max, ret);
}

int json_item_string(const struct json_reader *reader, const struct json_place *item, size_t max,
                     const char **ret)
{
        return check_string(reader, item, NULL, item->value, max, ret);
}

int json_want_number(const struct json_reader *reader, const struct json_place *place,
                     const char *key, uint64_t min, uint64_t max, uint64_t *ret)
{
        const json_t *value = json_object_get(place->value, key);
        json_int_t number;

        if (!value)
                return json_bad(reader, place, key, "is missing");
        if (!json_is_integer(value))
                return json_bad(reader, place, key, "is not a whole number");
        number = json_integer_value(value);
        if (number < 0 || (uint64_t)number < min || (uint64_t)number > max)
                return json_bad(reader, place, key, "is %lld, outside of %llu to %llu",
                                (long long)number, (unsigned long long)min,
                                (unsigned long long)max);
        *ret = (uint64_t)number;
        return 0;
}

int json_want_bool(const struct json_reader *reader, const struct json_place *place,
                   const char *key, bool *ret)
{
        const json_t *value = json_object_get(place->value, key);

        if (!value)
                return json_bad(reader, place, key, "is missing");
        if (!json_is_boolean(value))
                return json_bad(reader, place, key, "is neither true nor false");
        *ret = json_is_true(value);
        return 0;
}

int json_want_sha256(const struct json_reader *reader, const struct json_place *place,
                     const char *key, struct sha256 *ret)
{
        const char *text = NULL;
        int r = json_want_string(reader, place, key, true, 2 * SHA256_SIZE, &text);

        if (r < 0)
                return r;
        if (!sha256_parse(text, ret))
                return json_bad(reader, place, key, "is not a SHA-256 of 64 hexadecimal digits");
        return 0;
}

int json_want_word(const struct json_reader *reader, const struct json_place *place,
                   const char *key, const char *const words[], size_t n_words, size_t *ret)
{
        const char *text = NULL;
        int r = json_want_string(reader, place, key, true, 32, &text);

        if (r < 0)
                return r;
        for (size_t i = 0; i < n_words; i++) {
                if (!words[i] || strcmp(text, words[i]) != 0)
                        continue;
                *ret = i;
                return 0;
        }
        return json_bad(reader, place, key, "is \"%s\", which is none of the words known", text);
}

int json_want_array(const struct json_reader *reader, const struct json_place *place,
                    const char *key, size_t min, size_t max, struct json_place *ret)
{
        const json_t *value = json_object_get(place->value, key);

        *ret = (struct json_place){ .up = place, .key = key, .value = value };
        if (!value)
                return min > 0 ? json_bad(reader, place, key, "is missing") : 0;
        if (!json_is_array(value))
                return json_bad(reader, place, key, "is not an array");
        if (json_array_size(value) < min)
                return json_bad(reader, place, key, "has fewer than %zu items", min);
        if (json_array_size(value) > max)
                return json_bad(reader, place, key, "has %zu items, more than the %zu allowed",
                                json_array_size(value), max);
        return 0;
}

void json_get_object(const struct json_place *place, const char *key, struct json_place *ret)
{
        *ret = (struct json_place){ .up = place, .key = key,
                                    .value = json_object_get(place->value, key) };
}
