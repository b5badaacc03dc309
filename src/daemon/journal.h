/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Entries for the systemd journal, in its native protocol
 * (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/). Never waits: sd_journal_sendv() would, as long as
 * journald is stopped, and programs that start must not wait for journald.
 */
#include <stdbool.h>
#include "base/buffer.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* Appends a field; `name` must be of A-Z, 0-9 and _. False when memory is out. */
bool journal_add(struct buffer *message, const char *name, const char *value);
/*
 * Sends what journal_add() put together. False if it could not be handed over at once (no
 * journald, or it does not read): the caller has said it elsewhere.
 */
bool journal_send(const char *socket_path, const struct buffer *message);
