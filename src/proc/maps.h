/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* /proc/PID/maps (Linux fs/proc/task_mmu.c, show_map_vma; proc(5)) as an array. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/error.h"

struct region {
        uint64_t start, end;
        bool readable, writable, executable, shared;
        uint64_t offset;          /* in the file, bytes */
        uint32_t device_major, device_minor;
        uint64_t inode;           /* 0: not a file (or a memfd-less special mapping) */
        const char *path;         /* as printed, without a final " (deleted)"; "" if none */
        bool deleted;
};

struct maps {
        struct region *items;     /* in order of address */
        size_t n_items;
        char *text;               /* the paths point into this */
};

enum maps_outcome {
        MAPS_GONE = 1,            /* the process does not exist any more, or has no memory */
};

/* `maps` must be zeroed or done. 0, MAPS_GONE, or negative. */
int maps_read(pid_t pid, struct maps *ret, struct error *err);
/* Parses a text of that format (takes a copy); any malformed line is a fault. */
int maps_parse(const char *text, size_t size, struct maps *ret, struct error *err);
void maps_done(struct maps *maps);
/* The region that holds `address`, or NULL. */
const struct region *maps_find(const struct maps *maps, uint64_t address);
/* True if all of [start, end) is mapped without holes. */
bool maps_covers(const struct maps *maps, uint64_t start, uint64_t end);
