/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SUTURE_PATCH_H
#define SUTURE_PATCH_H
/*
 * For authors of live patches: what a fix may need beyond changed code. Include this in the fixed
 * source, never in the original. It needs no library; all of it becomes part of the patch.
 *
 * HOOKS
 *
 *         static int check_limits(void) { return limit_in_use > 4096; }
 *         SUTURE_PRE(check_limits)
 *
 * A hook is a function `int hook(void)` of the fixed source that the original does not have.
 * suture runs it inside the patched process, in one of its threads:
 *
 *         SUTURE_PRE     before the new code is switched on, while the process runs on. If it
 *                        returns anything but 0, the patch is refused for this process (and
 *                        its group).
 *         SUTURE_POST    after the new code is switched on. Its result does not matter.
 *         SUTURE_UNDO    when the patch is taken back and the old code runs again; also when
 *                        SUTURE_PRE has run and a later step of applying failed. Not when the
 *                        next level takes its place. Its result does not matter.
 *
 * Each may be declared once for a module. A hook runs like a signal handler: the thread it runs
 * in may be anywhere, with any lock held. So it may use only what signal-safety(7) allows: no
 * malloc, no stdio, no locks, no waiting, and no shadow variables except
 * suture_shadow_forget_all(). It may read and write the program's variables if it can bear that
 * other threads do so as well. It must return within seconds, by `return`.
 *
 * CONSISTENCY
 *
 *         SUTURE_ENTRY(event_loop)
 *
 * Normally no thread may be in a changed function, or have it on its stack, at the moment of the
 * change ("strict"). A function that is always on a stack, an event loop for example, can't be
 * changed so. SUTURE_ENTRY declares that old and new code of this function may run side by side:
 * its next call runs the new code, calls that have begun finish in the old. That is only right if
 * the contract between this function and the others that change is the same in both. The name is
 * given as it is in the source; the function must exist in the original.
 *
 * CODE WRITTEN BY HAND
 *
 *         SUTURE_REPLACES("util.c", trim)
 *
 * Replacement code that is not made from a fixed source replaces the functions of the module that
 * have the names of its own. Where several files of the module have a static function of one
 * name, SUTURE_REPLACES says whose is meant.
 *
 * SHADOW VARIABLES
 *
 * A structure can't get new members, since objects of the old size exist. A shadow variable is
 * such a member, kept outside and found by the address of the object and a number of your choice:
 *
 *         int *retries = suture_shadow_get_or_alloc(conn, 1, sizeof(*retries));
 *         if (retries && ++*retries > 3)
 *                 return -1;
 *         ...
 *         suture_shadow_free(conn, 1);       where conn is freed
 *
 * New ones are zeroed. Free them where the object is freed, else the next object at that address
 * inherits them. They stay when a patch is replaced by its next level, which must use the same
 * number and size for the same thing. The functions are safe to call from several threads, though
 * what is in a shadow variable must be protected as the object itself is. They are not safe in
 * signal handlers. They use calloc, free, getpid and sched_yield of the program.
 *
 * When a patch with shadow variables is taken back, nobody frees them any more. If it may be
 * applied again later, let the undo hook forget them:
 *
 *         static int forget(void) { suture_shadow_forget_all(); return 0; }
 *         SUTURE_UNDO(forget)
 */
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define SUTURE_JOIN_(a, b) a##b
#define SUTURE_JOIN(a, b) SUTURE_JOIN_(a, b)

/* A pointer in a section that the builder reads and that is not loaded. */
#define SUTURE_HOOK_(kind, function)                                                          \
        static int (*const SUTURE_JOIN(suture_hook_, __COUNTER__))(void)                      \
                __attribute__((used, section(".suture.hook." kind))) = (function);

#define SUTURE_PRE(function) SUTURE_HOOK_("pre", function)
#define SUTURE_POST(function) SUTURE_HOOK_("post", function)
#define SUTURE_UNDO(function) SUTURE_HOOK_("undo", function)

/*
 * The name only: a pointer would make the compiler treat the function as one whose address is
 * taken, and so change its code and that of its callers.
 */
#define SUTURE_ENTRY(function)                                                                \
        __asm__(".pushsection .suture.entry, \"\", @progbits\n"                               \
                ".asciz \"" #function "\"\n"                                                  \
                ".popsection");

/* For code without an original: the function `name` that `file` of the module defines is meant. */
#define SUTURE_REPLACES(file, name)                                                           \
        __asm__(".pushsection .suture.replaces, \"\", @progbits\n"                            \
                ".asciz \"" file "\"\n"                                                      \
                ".asciz \"" #name "\"\n"                                                     \
                ".popsection");

/* --- Shadow variables -------------------------------------------------------------------- */

#define SUTURE_SHADOW_LAYOUT 1u
#define SUTURE_SHADOW_BUCKETS 510u

struct suture_shadow {
        struct suture_shadow *next;
        const void *object;
        unsigned long id;
        size_t size;
        char data[] __attribute__((aligned(16)));
};

/* One page, zeroed at first, which suture provides once for each patched module of a process. */
struct suture_shadow_root {
        int holder;             /* process id of the thread that changes the table; 0: none */
        unsigned int layout;    /* SUTURE_SHADOW_LAYOUT once it is in use */
        unsigned long reserved;
        struct suture_shadow *buckets[SUTURE_SHADOW_BUCKETS];
};

extern struct suture_shadow_root suture_shadow_root;

/*
 * The lock holds the process id: in a child made by fork() while another thread held the lock, the
 * id is that of the parent, and the lock may be taken over. The table is then whole, because
 * each change of it is the store of one pointer.
 */
static __attribute__((unused)) void suture_shadow_lock(void)
{
        int self = getpid(), seen = 0;

        while (!__atomic_compare_exchange_n(&suture_shadow_root.holder, &seen, self, 0,
                                            __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
                if (seen == self) {
                        sched_yield();
                        seen = 0;
                }
                /* else `seen` is another process: try to replace just that */
        }
}

static __attribute__((unused)) void suture_shadow_unlock(void)
{
        __atomic_store_n(&suture_shadow_root.holder, 0, __ATOMIC_RELEASE);
}

/* The place of the pointer to the wanted node, or of the NULL at the end of its chain. */
static __attribute__((unused)) struct suture_shadow **suture_shadow_place(const void *object,
                                                                          unsigned long id)
{
        unsigned long hash = ((unsigned long)object ^ (id << 56)) * 0x9e3779b97f4a7c15ul;
        struct suture_shadow **place =
                &suture_shadow_root.buckets[(hash >> 32) % SUTURE_SHADOW_BUCKETS];

        while (*place && ((*place)->object != object || (*place)->id != id))
                place = &(*place)->next;
        return place;
}

/* False if the page was laid out by a patch with another version of this header. */
static __attribute__((unused)) int suture_shadow_usable(void)
{
        if (suture_shadow_root.layout == 0)
                suture_shadow_root.layout = SUTURE_SHADOW_LAYOUT;
        return suture_shadow_root.layout == SUTURE_SHADOW_LAYOUT;
}

/* The shadow variable `id` of `object`, or NULL if it has none. */
static __attribute__((unused)) void *suture_shadow_get(const void *object, unsigned long id)
{
        struct suture_shadow *found = NULL;

        suture_shadow_lock();
        if (suture_shadow_usable())
                found = *suture_shadow_place(object, id);
        suture_shadow_unlock();
        return found ? found->data : NULL;
}

/*
 * The same, but made and zeroed if there is none. NULL if memory is out, or if it exists
 * with less than `size` bytes.
 */
static __attribute__((unused)) void *suture_shadow_get_or_alloc(const void *object,
                                                                unsigned long id, size_t size)
{
        struct suture_shadow *found, *fresh = NULL, **place;

        found = (struct suture_shadow *)suture_shadow_get(object, id);
        if (!found && size < (size_t)-1 - sizeof(*fresh))
                fresh = (struct suture_shadow *)calloc(1, sizeof(*fresh) + size);
        suture_shadow_lock();
        place = suture_shadow_usable() ? suture_shadow_place(object, id) : NULL;
        found = place ? *place : NULL;
        if (place && !found && fresh) {
                fresh->object = object;
                fresh->id = id;
                fresh->size = size;
                __atomic_store_n(place, fresh, __ATOMIC_RELEASE);
                found = fresh;
                fresh = NULL;
        }
        suture_shadow_unlock();
        free(fresh);
        return found && found->size >= size ? found->data : NULL;
}

/* Frees the shadow variable, if there is one. */
static __attribute__((unused)) void suture_shadow_free(const void *object, unsigned long id)
{
        struct suture_shadow *found = NULL, **place;

        suture_shadow_lock();
        if (suture_shadow_usable()) {
                place = suture_shadow_place(object, id);
                found = *place;
                if (found)
                        __atomic_store_n(place, found->next, __ATOMIC_RELEASE);
        }
        suture_shadow_unlock();
        free(found);
}

/*
 * Forgets all of them without freeing: their memory is lost. For the undo hook, when no new code
 * runs any more.
 */
static __attribute__((unused)) void suture_shadow_forget_all(void)
{
        for (unsigned int i = 0; i < SUTURE_SHADOW_BUCKETS; i++)
                __atomic_store_n(&suture_shadow_root.buckets[i], NULL, __ATOMIC_RELEASE);
        __atomic_store_n(&suture_shadow_root.holder, 0, __ATOMIC_RELEASE);
}

#endif
