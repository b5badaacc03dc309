/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stands for a runtime that unwinds, by its file's name and symbols only. LOCKED: a libgcc whose lock
 * is never given back, as in a child that was forked while another thread held it. Otherwise a
 * libunwind before 1.6, whose structure ends where later ones have a last word: telling it anything
 * ends the program.
 */
#include <pthread.h>

#ifdef LOCKED
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void hold(void)
{
        pthread_mutex_lock(&lock);
}

void __register_frame_info(const void *begin, void *object)
{
        (void)begin, (void)object;
        pthread_mutex_lock(&lock);
}

void *__deregister_frame_info(const void *begin)
{
        return (void *)begin;
}
#else
void _U_dyn_register(void *info)
{
        (void)info;
        __builtin_trap();
}

void _U_dyn_cancel(void *info)
{
        (void)info;
        __builtin_trap();
}

struct older_info {
        unsigned long words[10];
};

int _ULx86_64_dwarf_search_unwind_table(void *space, unsigned long ip, struct older_info *info)
{
        (void)space;
        return info->words[9] + info->words[8] * 8 > ip;
}
#endif
