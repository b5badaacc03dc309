/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Reading records where the maps of the process are already at hand (see live_inspect). */
#include "live/live.h"
#include "proc/maps.h"

/* 0 or negative; `ret` is allocated, NULL with *ret_n 0 where there is no record. */
int live_inspect_maps(pid_t pid, const struct maps *maps, struct live_instance **ret,
                      size_t *ret_n, struct error *err);
