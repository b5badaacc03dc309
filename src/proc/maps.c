/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every process of the machine is read through here, so the text is taken in one piece and cut
 * up in place: the paths of the result point into the text, with NUL bytes put behind them.
 *
 * The kernel writes a newline in a path as \012 and escapes nothing else, a backslash neither.
 * So an escape can't be told from a file that really has \012 in its name, and the path is left
 * as printed. For the same reason a file whose name ends in " (deleted)" looks deleted.
 */
#include "proc/maps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include "base/array.h"
#include "base/cleanup.h"

#define MAPS_MAX_BYTES (256u << 20)
#define DELETED_SUFFIX " (deleted)"

void maps_done(struct maps *maps)
{
        free(maps->items);
        free(maps->text);
        *maps = (struct maps){ 0 };
}

/* Reads digits of base 10 or 16; false if there is none or the number is too large. */
static bool parse_number(const char **position, unsigned base, uint64_t *ret)
{
        const char *c = *position;
        uint64_t value = 0;

        for (;; c++) {
                unsigned digit;

                if (*c >= '0' && *c <= '9')
                        digit = (unsigned)(*c - '0');
                else if (base == 16 && *c >= 'a' && *c <= 'f')
                        digit = (unsigned)(*c - 'a' + 10);
                else
                        break;
                if (__builtin_mul_overflow(value, base, &value) ||
                    __builtin_add_overflow(value, digit, &value))
                        return false;
        }
        if (c == *position)
                return false;
        *position = c;
        *ret = value;
        return true;
}

static bool parse_char(const char **position, char expected)
{
        if (**position != expected)
                return false;
        (*position)++;
        return true;
}

static bool parse_flag(const char **position, char yes, char no, bool *ret)
{
        char c = **position;

        if (c != yes && c != no)
                return false;
        *ret = c == yes;
        (*position)++;
        return true;
}

static bool parse_permissions(const char **position, struct region *ret)
{
        return parse_flag(position, 'r', '-', &ret->readable) &&
               parse_flag(position, 'w', '-', &ret->writable) &&
               parse_flag(position, 'x', '-', &ret->executable) &&
               parse_flag(position, 's', 'p', &ret->shared);
}

static bool parse_device(const char **position, struct region *ret)
{
        uint64_t major, minor;

        if (!parse_number(position, 16, &major) || !parse_char(position, ':') ||
            !parse_number(position, 16, &minor) || major > UINT32_MAX || minor > UINT32_MAX)
                return false;
        ret->device_major = (uint32_t)major;
        ret->device_minor = (uint32_t)minor;
        return true;
}

/* `end` is where the line's NUL stands; the path may lose its suffix. */
static void parse_path(char *path, char *end, struct region *ret)
{
        const size_t suffix = sizeof(DELETED_SUFFIX) - 1;

        while (*path == ' ')
                path++;
        ret->path = path;
        if (path[0] == '/' && (size_t)(end - path) > suffix &&
            memcmp(end - suffix, DELETED_SUFFIX, suffix) == 0) {
                end[-(ptrdiff_t)suffix] = '\0';
                ret->deleted = true;
        }
}

/* `line` is NUL-terminated at `end`. */
static bool parse_line(char *line, char *end, struct region *ret)
{
        const char *c = line;

        if (!parse_number(&c, 16, &ret->start) || !parse_char(&c, '-') ||
            !parse_number(&c, 16, &ret->end) || !parse_char(&c, ' ') ||
            !parse_permissions(&c, ret) || !parse_char(&c, ' ') ||
            !parse_number(&c, 16, &ret->offset) || !parse_char(&c, ' ') ||
            !parse_device(&c, ret) || !parse_char(&c, ' ') ||
            !parse_number(&c, 10, &ret->inode))
                return false;
        if (ret->start >= ret->end || (*c != ' ' && *c != '\0'))
                return false;
        parse_path(line + (c - line), end, ret);
        return true;
}

static int malformed(size_t line_number, struct error *err)
{
        return error_set(err, EXIT_CODE_ERROR, 0, "report this together with the kernel's version",
                         "line %zu of the memory map is not in the known format", line_number);
}

/* Takes over `text`, which is NUL-terminated at `size`. */
static int parse_text(char *text, size_t size, struct maps *ret, struct error *err)
{
        _cleanup_(maps_done) struct maps maps = { .text = text };
        char *line = text;

        while (line < text + size) {
                char *end = memchr(line, '\n', (size_t)(text + size - line));
                struct region *region = ARRAY_PUSH(maps.items, maps.n_items);

                if (!region)
                        return error_no_memory(err);
                if (!end)
                        return malformed(maps.n_items, err);
                *end = '\0';
                if (strlen(line) != (size_t)(end - line) || !parse_line(line, end, region) ||
                    (maps.n_items > 1 && region->start < region[-1].end))
                        return malformed(maps.n_items, err);
                line = end + 1;
        }
        *ret = maps;
        maps = (struct maps){ 0 };
        return 0;
}

int maps_parse(const char *text, size_t size, struct maps *ret, struct error *err)
{
        char *copy = malloc(size + 1);

        if (!copy)
                return error_no_memory(err);
        if (size > 0)
                memcpy(copy, text, size);
        copy[size] = '\0';
        return parse_text(copy, size, ret, err);
}

static bool means_gone(int errnum)
{
        return errnum == ENOENT || errnum == ESRCH;
}

static int read_fault(pid_t pid, int errnum, struct error *err)
{
        if (errnum == EACCES || errnum == EPERM)
                return error_set(err, EXIT_CODE_PERMISSION, errnum,
                                 geteuid() ? "run suture as root"
                                           : "it is protected from root, too",
                                 "can't read the memory map of process %d", (int)pid);
        return error_set(err, EXIT_CODE_ERROR, errnum, NULL,
                         "can't read the memory map of process %d", (int)pid);
}

/* Reads to the end of `fd` with room for one NUL; 0, or a negative errno. */
static int read_text(int fd, char **ret, size_t *ret_size)
{
        _cleanup_free_ char *text = NULL;
        size_t size = 0, capacity = 0;

        for (;;) {
                ssize_t n;

                if (capacity - size < 8192) {
                        char *grown;

                        capacity = capacity ? 2 * capacity : 65536;
                        if (capacity > MAPS_MAX_BYTES)
                                return -EFBIG;
                        grown = realloc(text, capacity);
                        if (!grown)
                                return -ENOMEM;
                        text = grown;
                }
                n = read(fd, text + size, capacity - size - 1);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                size += (size_t)n;
        }
        text[size] = '\0';
        *ret = STEAL(text);
        *ret_size = size;
        return 0;
}

int maps_read(pid_t pid, struct maps *ret, struct error *err)
{
        _cleanup_close_ int fd = -1;
        char path[32], *text = NULL;
        size_t size = 0;
        int r;

        snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return means_gone(errno) ? MAPS_GONE : read_fault(pid, errno, err);
        r = read_text(fd, &text, &size);
        if (r < 0)
                return means_gone(-r) ? MAPS_GONE : read_fault(pid, -r, err);
        if (size == 0) {
                free(text);
                return MAPS_GONE;
        }
        r = parse_text(text, size, ret, err);
        if (r < 0)
                error_prefix(err, "process %d", (int)pid);
        return r;
}

const struct region *maps_find(const struct maps *maps, uint64_t address)
{
        size_t low = 0, high = maps->n_items;

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                const struct region *region = &maps->items[middle];

                if (address < region->start)
                        high = middle;
                else if (address >= region->end)
                        low = middle + 1;
                else
                        return region;
        }
        return NULL;
}

bool maps_covers(const struct maps *maps, uint64_t start, uint64_t end)
{
        const struct region *region;

        if (start >= end)
                return start == end;
        region = maps_find(maps, start);
        if (!region)
                return false;
        while (region->end < end) {
                if (region + 1 == maps->items + maps->n_items || region[1].start != region->end)
                        return false;
                region++;
        }
        return true;
}
