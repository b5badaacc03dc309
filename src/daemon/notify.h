/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* What a service tells its manager: sd_notify(3), lines "NAME=value" to NOTIFY_SOCKET. */
#include <stdbool.h>
#include <stdint.h>

/* False if there is no manager, or it can't be told now; nothing is lost by that. */
bool notify_send(const char *state);
/* How often the manager wants "WATCHDOG=1", halved as it recommends; 0: never. */
uint64_t notify_watchdog_ns(void);
