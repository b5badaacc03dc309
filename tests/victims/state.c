/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The shared file of a victim. Everything in it is atomic, so a reader needs no agreement with the
 * writer, and no function here makes a system call once the file is mapped (clock_gettime is in
 * the vDSO): a victim under a seccomp filter reports like any other.
 */
#include "state.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct state_file *state_open(void)
{
        const char *path = getenv("VICTIM_STATE");
        int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666) : -1;
        struct state_file *file;

        if (fd < 0 || ftruncate(fd, sizeof(*file)) < 0) {
                fprintf(stderr, "victim: VICTIM_STATE must name a file that can be written\n");
                exit(2);
        }
        file = mmap(NULL, sizeof(*file), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (file == MAP_FAILED) {
                perror("victim: mmap");
                exit(2);
        }
        close(fd);
        file->state.magic = STATE_MAGIC;
        return file;
}

struct state_slot *state_take_slot(struct state_file *file)
{
        for (uint32_t i = 0; i < STATE_MAX_SLOTS; i++) {
                uint32_t nobody = 0;
                uint32_t used = i + 1, before = atomic_load(&file->state.n_slots);

                if (!atomic_compare_exchange_strong(&file->slots[i].id, &nobody, (uint32_t)gettid()))
                        continue;
                atomic_store(&file->slots[i].answer, 0);
                while (before < used &&
                       !atomic_compare_exchange_weak(&file->state.n_slots, &before, used))
                        ;
                return &file->slots[i];
        }
        fprintf(stderr, "victim: no slot left\n");
        exit(2);
}

void state_free_slot(struct state_slot *slot)
{
        atomic_store(&slot->id, 0);
}

void state_complain(struct state_file *file, _Atomic uint32_t *kind, const char *complaint)
{
        uint32_t first = 0;

        atomic_fetch_add(kind, 1);
        if (atomic_compare_exchange_strong(&file->slots[0].complained, &first, 1))
                strncpy(file->state.complaint, complaint, sizeof(file->state.complaint) - 1);
}

uint64_t state_now_ns(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

struct state_wait state_wait_begin(uint64_t ns)
{
        return (struct state_wait){ .began_ns = state_now_ns(), .ns = ns };
}

void state_wait_end(struct state_file *file, struct state_slot *slot, const struct state_wait *wait,
                    const char *what)
{
        uint64_t took = state_now_ns() - wait->began_ns;

        if (took < wait->ns)
                state_complain(file, &slot->early, what);
        if (took > wait->ns + STATE_LATE_MS * 1000000ull)
                state_complain(file, &slot->late, what);
}
