/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void log_debug(const char *format, ...)
{
        va_list args;

        if (!getenv("SUTURE_DEBUG"))
                return;
        va_start(args, format);
        fputs("debug: ", stderr);
        vfprintf(stderr, format, args);
        fputc('\n', stderr);
        va_end(args);
}
