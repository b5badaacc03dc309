/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Patches from object files and from C written by hand: there is no source to build. */
#include "build/build.h"

int build_without_source(const struct build_request *request, struct build_result *ret,
                         const struct build_observer *observer, struct error *err)
{
        (void)request;
        (void)ret;
        (void)observer;
        return error_set(err, EXIT_CODE_UNSUPPORTED, 0, NULL,
                         "patches from objects and from --replace are not made yet");
}
