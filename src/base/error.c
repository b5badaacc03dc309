/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *err, enum exit_code exit_code, int errnum, const char *next,
              const char *format, ...)
{
        va_list args;
        size_t used;

        if (err) {
                err->exit_code = exit_code;
                err->errnum = errnum;
                va_start(args, format);
                vsnprintf(err->cause, sizeof(err->cause), format, args);
                va_end(args);
                used = strlen(err->cause);
                if (errnum > 0)
                        snprintf(err->cause + used, sizeof(err->cause) - used, ": %s",
                                 strerror(errnum));
                snprintf(err->next, sizeof(err->next), "%s", next ? next : "");
        }
        return errnum > 0 ? -errnum : -EINVAL;
}

void error_prefix(struct error *err, const char *format, ...)
{
        char context[sizeof(err->cause)];
        char cause[sizeof(err->cause)];
        va_list args;

        if (!err)
                return;
        va_start(args, format);
        vsnprintf(context, sizeof(context), format, args);
        va_end(args);
        memcpy(cause, err->cause, sizeof(cause));
        if (snprintf(err->cause, sizeof(err->cause), "%s: %s", context, cause) >=
            (int)sizeof(err->cause))
                err->cause[sizeof(err->cause) - 1] = '\0';
}

int error_no_memory(struct error *err)
{
        return error_set(err, EXIT_CODE_ERROR, ENOMEM, "free some memory and try again",
                         "suture could not allocate memory");
}
