/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* What apply and rollback share of choosing (see live_choose). */
#include "live/live.h"

/* True if an instance can be taken back and the filter means it. */
bool live_filter_fits(const struct live_rollback_filter *filter,
                      const struct live_instance *instance);
