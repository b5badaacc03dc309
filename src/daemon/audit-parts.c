/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Numbers that grow, instead of the usual renaming of .1 to .2: a reader that follows the log can
 * tell which file comes next, and no rename can put files in another order.
 */
#include "daemon/audit-parts.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include "base/array.h"
#include "daemon/durable.h"

#define ANCHOR_MAX_BYTES 4096
#define ANCHOR_MODE 0600

static int compare_numbers(const void *a, const void *b)
{
        uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

        return left < right ? -1 : left > right;
}

/* The number behind "BASE.", 0 if the name is of another kind. */
static uint32_t number_of(const char *name, const char *base)
{
        size_t size = strlen(base);
        const char *digits = name + size + 1;
        unsigned long number;

        if (strncmp(name, base, size) != 0 || name[size] != '.' || strlen(digits) < 6 ||
            strlen(digits) > 9 || strspn(digits, "0123456789") != strlen(digits))
                return 0;
        number = strtoul(digits, NULL, 10);
        return (uint32_t)number;
}

int audit_parts_list(const char *path, struct audit_parts *ret, struct error *err)
{
        _cleanup_free_ char *copy = strdup(path), *copy2 = strdup(path);
        struct audit_parts parts = { 0 };
        struct dirent *entry;
        DIR *directory;

        *ret = parts;
        if (!copy || !copy2)
                return error_no_memory(err);
        directory = opendir(dirname(copy));
        if (!directory && errno == ENOENT)
                return 0;
        if (!directory)
                return error_set(err, errno == EACCES ? EXIT_CODE_PERMISSION : EXIT_CODE_ERROR,
                                 errno, NULL, "can't list the folder of %s", path);
        while ((entry = readdir(directory))) {
                uint32_t number = number_of(entry->d_name, basename(copy2)), *item;

                if (!number)
                        continue;
                item = ARRAY_PUSH(parts.numbers, parts.n_numbers);
                if (!item) {
                        closedir(directory);
                        audit_parts_done(&parts);
                        return error_no_memory(err);
                }
                *item = number;
        }
        closedir(directory);
        if (parts.n_numbers)
                qsort(parts.numbers, parts.n_numbers, sizeof(*parts.numbers), compare_numbers);
        *ret = parts;
        return 0;
}

void audit_parts_done(struct audit_parts *parts)
{
        free(parts->numbers);
        *parts = (struct audit_parts){ 0 };
}

char *audit_part_path(const char *path, uint32_t number)
{
        char *text;

        if (number == 0)
                return strdup(path);
        return asprintf(&text, "%s.%06u", path, number) < 0 ? NULL : text;
}

int audit_anchor_read(int folder, struct audit_anchor *ret, struct error *err)
{
        _cleanup_buffer_ struct buffer text = { 0 };
        const char *log, *hash;
        json_int_t seq;
        json_t *root;
        bool good;
        int r = durable_read(folder, AUDIT_ANCHOR_NAME, ANCHOR_MAX_BYTES, &text, err);

        if (r < 0)
                return r;
        root = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, NULL);
        good = root && json_unpack(root, "{s:s, s:I, s:s}", "log", &log, "seq", &seq, "hash",
                                   &hash) == 0 &&
               strlen(log) == AUDIT_ID_SIZE - 1 && seq >= 1 && sha256_parse(hash, &ret->hash);
        if (good) {
                memcpy(ret->log, log, AUDIT_ID_SIZE);
                ret->seq = (uint64_t)seq;
        }
        json_decref(root);
        return good ? 0 : error_set(err, EXIT_CODE_ERROR, 0, NULL, "%s is damaged",
                                    AUDIT_ANCHOR_NAME);
}

int audit_anchor_write(int folder, const struct audit_anchor *anchor, struct error *err)
{
        char hash[SHA256_HEX_SIZE], text[256];
        int n;

        sha256_format(&anchor->hash, hash);
        n = snprintf(text, sizeof(text), "{\"log\": \"%s\", \"seq\": %llu, \"hash\": \"%s\"}\n",
                     anchor->log, (unsigned long long)anchor->seq, hash);
        return durable_write(folder, AUDIT_ANCHOR_NAME, text, (size_t)n, ANCHOR_MODE, err);
}
