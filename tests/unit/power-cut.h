/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * What a disk may hold after a power cut. Test programs that link with this have write, fsync,
 * renameat and unlinkat wrapped (-Wl,--wrap): while a folder is watched, `check` is called with
 * every folder that could be found if the power went now. Model: the bytes of a file that was
 * not synced may end anywhere; renames and removals since the last sync of the folder may each
 * have reached the disk or not.
 */
#include <stddef.h>

/* Begins to watch; the files that are in `folder` count as being on disk. */
void power_cut_watch(const char *folder, void (*check)(const char *image));
/* One last check, of what may be lost after the change was reported as done. */
void power_cut_check(void);
void power_cut_end(void);
/* How many images were checked since power_cut_watch(). */
extern size_t power_cut_images;
