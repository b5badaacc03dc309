/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Objects and a module from which a patch is made. The input holds all three: two sizes of 4
 * bytes, the original object, the fixed one, and the rest is the module, with its own symbols.
 * Comparing structures is left out: it is done by libdw, whose faults are not looked for here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "build/layout.h"
#include "build/objects.h"
#include "mutate.h"
#include "sound.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N_FILES = 3, HEADER_SIZE = 8 };

int layout_check(struct extraction *extraction, struct error *err)
{
        (void)extraction, (void)err;
        return 0;
}

struct part {
        size_t offset, size;
};

static bool split(const uint8_t *data, size_t size, struct part ret[static N_FILES])
{
        uint32_t sizes[2];

        if (size < HEADER_SIZE)
                return false;
        memcpy(sizes, data, sizeof(sizes));
        size -= HEADER_SIZE;
        if (sizes[0] > size || sizes[1] > size - sizes[0])
                return false;
        ret[0] = (struct part){ HEADER_SIZE, sizes[0] };
        ret[1] = (struct part){ HEADER_SIZE + sizes[0], sizes[1] };
        ret[2] = (struct part){ ret[1].offset + sizes[1], size - sizes[0] - sizes[1] };
        return true;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
        struct part parts[N_FILES];
        unsigned int which = (seed >> 8) % N_FILES;

        size = recall(data, size, max_size, seed);
        if (!split(data, size, parts))
                return LLVMFuzzerMutate(data, size, max_size);
        if (seed % 4 == 0 && parts[which].size > 0)
                LLVMFuzzerMutate(data + parts[which].offset, parts[which].size,
                                 parts[which].size);
        else
                mutate_elf_file(data + parts[which].offset, parts[which].size, seed >> 10);
        return size;
}

/* A path under which the bytes can be opened; `*ret_fd` is to be closed. */
static void expose(const uint8_t *data, const struct part *part, char path[static 32], int *ret_fd)
{
        *ret_fd = memfd_create("input", MFD_CLOEXEC);
        if (*ret_fd < 0 || write(*ret_fd, data + part->offset, part->size) != (ssize_t)part->size)
                abort();
        snprintf(path, 32, "/proc/self/fd/%d", *ret_fd);
}

static void check_outcome(int r, const struct buffer *bytes, const struct error *err)
{
        struct patch *patch = NULL;

        if (r != 0) {
                if (strlen(err->cause) < 10)
                        abort();
                return;
        }
        if (patch_parse(bytes->data, bytes->size, "x.spatch", &patch, NULL) < 0 ||
            !patch_is_sound(patch))
                abort();
        patch_free(patch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const struct objects_patch patch = {
                .id = "FUZZ-1", .level = 1, .title = "fuzz", .source_package = "fuzz",
                .source_version = "1",
        };
        char paths[N_FILES][32];
        struct object_pair pair = { paths[0], paths[1], "seed-fix.c" };
        const struct objects_target target = { .pairs = &pair, .n_pairs = 1, .shipped = paths[2] };
        struct objects_report report = { 0 };
        struct buffer bytes = { 0 };
        struct error err = { 0 };
        struct part parts[N_FILES];
        int fds[N_FILES], r;

        if (!split(data, size, parts))
                return -1;
        for (size_t i = 0; i < N_FILES; i++)
                expose(data, &parts[i], paths[i], &fds[i]);
        r = build_from_objects(&patch, &target, 1, &bytes, &report, &err);
        check_outcome(r, &bytes, &err);
        if (r == 0)
                remember(data, size);
        for (size_t i = 0; i < N_FILES; i++)
                close(fds[i]);
        objects_report_done(&report);
        buffer_done(&bytes);
        return 0;
}
