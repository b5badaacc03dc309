/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Debug lines on standard error, only when SUTURE_DEBUG is set. Library code says no more. */
#include "base/cleanup.h"

void log_debug(const char *format, ...) _printf_(1, 2);
