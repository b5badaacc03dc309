/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* From --pid, --unit and --container, as a person gives them, to a live_selection. */
#include "cli/options.h"
#include "live/live.h"

struct selection {
        struct live_selection live; /* points into the rest, and into the options */
        char unit[128];
        char container[96];
};

/*
 * "nginx" is taken for nginx.service; a container may be given by its name, by its id or the
 * beginning of it. A unit or container that no process belongs to is a fault.
 */
int selection_make(const struct options *options, struct selection *ret, struct error *err);
/* True if anything was given. */
bool selection_given(const struct options *options);
