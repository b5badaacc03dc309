/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* What apply and rollback share of choosing (see live_choose). */
#include "live/cache.h"
#include "live/live.h"

/*
 * As live_choose (where there is a patch) or live_choose_rollback, for every process that was not
 * there yet when the plan was made.
 */
int live_choose_newcomers(const struct patch *patch, const struct live_rollback_filter *filter,
                          const struct live_plan *plan, struct live_cache *cache,
                          struct live_plan *ret, struct error *err);
/* True if an instance can be taken back and the filter means it. */
bool live_filter_fits(const struct live_rollback_filter *filter,
                      const struct live_instance *instance);
