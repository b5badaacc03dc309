/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A builder that builds nothing, for the screens and documents of `suture build`: what comes out is
 * told by the source package's name. The real builder is tested where there is a package to build.
 */
#include "build/build.h"

#include <errno.h>
#include <string.h>
#include <time.h>

char *build_default_cache(void)
{
        return strdup("/var/cache/suture");
}

void build_result_done(struct build_result *result)
{
        (void)result; /* all of it is static */
}

static void fill(struct build_result *ret)
{
        static char *functions[] = { "answer", "question" };
        static char *set_aside[] = { "debian/changelog", "tests/a.c", "tests/b.c" };
        static char *units[] = { "src/answer.c" };
        static struct build_target target = {
                .module = "libanswer.so.1",
                .path = "/usr/lib/libanswer.so.1",
                .package = "libanswer1",
                .version = "1.0-1",
                .build_id = { { 1, 2, 3, 4 }, 4 },
                .proof = { 12, 11, 40, 40, true, ".comment" },
                .functions = functions,
                .n_functions = 2,
        };
        static struct build_finding finding = {
                .code = "SB112", .where = "src/answer.c: question", .text = "a value changed",
        };

        *ret = (struct build_result){
                .patch_name = "SUT-1.1",
                .size_bytes = 4711,
                .targets = &target,
                .n_targets = 1,
                .units = units,
                .n_units = 1,
                .set_aside = set_aside,
                .n_set_aside = 3,
                .findings = &finding,
                .n_findings = 1,
                .log_path = "/var/cache/suture/log",
        };
}

static void tell(const struct build_observer *observer, enum build_step_state state,
                 const char *detail)
{
        struct build_progress progress = { 1, 6, "rebuild original", state, detail };

        observer->progress(observer->context, &progress);
}

int build_from_source(const struct build_request *request, struct build_result *ret,
                      const struct build_observer *observer, struct error *err)
{
        tell(observer, BUILD_STEP_BEGIN, "");
        tell(observer, BUILD_STEP_NOTE, "make");
        for (int i = 0; strcmp(request->source_package, "slow") == 0 && i < 300; i++) {
                const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };

                if (observer->interrupted(observer->context))
                        return error_set(err, EXIT_CODE_ERROR, EINTR, "run it again", "stopped");
                nanosleep(&pause, NULL);
        }
        tell(observer, BUILD_STEP_DONE, "equal to the shipped build ID 01020304");
        if (strcmp(request->source_package, "broken") == 0)
                return error_set(err, EXIT_CODE_ERROR, ENOSPC, "make room", "can't unpack");
        fill(ret);
        if (strcmp(request->source_package, "good") == 0)
                return 0;
        ret->findings->fatal = true;
        error_set(err, EXIT_CODE_UNSUPPORTED, 0, "suture explain SB112",
                  "SB112: a value changed in src/answer.c");
        return BUILD_REFUSED;
}

int build_without_source(const struct build_request *request, struct build_result *ret,
                         const struct build_observer *observer, struct error *err)
{
        return build_from_source(request, ret, observer, err);
}
