/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file is copied into a memory file first, by the process without privileges: a descriptor
 * of a stranger may be a pipe that never ends or a file system that never answers. When that
 * process is gone the memory file is sealed, read, and compared with the digest of what was parsed.
 */
#include "daemon/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "patch/patch.h"

#define LIMIT_MS 10000
#define MEMORY_BYTES (1024u << 20)
#define NOBODY 65534
#define USER "suture-parse"

struct sandbox {
        struct job *job;
        int memory;
        bool sound;
        struct sha256 digest;
        struct error error;
        sandbox_end *end;
        void *context;
};

/* --- Within ------------------------------------------------------------------------------ */

static bool limit_resources(void)
{
        const struct rlimit memory = { MEMORY_BYTES, MEMORY_BYTES }, none = { 0, 0 };
        const struct rlimit file = { PATCH_MAX_BYTES, PATCH_MAX_BYTES };
        const struct rlimit seconds = { LIMIT_MS / 1000, LIMIT_MS / 1000 };

        return setrlimit(RLIMIT_AS, &memory) == 0 && setrlimit(RLIMIT_FSIZE, &file) == 0 &&
               setrlimit(RLIMIT_CPU, &seconds) == 0 && setrlimit(RLIMIT_CORE, &none) == 0 &&
               setrlimit(RLIMIT_NPROC, &none) == 0;
}

static bool become_nobody(void)
{
        const struct passwd *user;
        uid_t uid = NOBODY;
        gid_t gid = NOBODY;

        if (geteuid() != 0)
                return true;
        user = getpwnam(USER);
        if (user) {
                uid = user->pw_uid;
                gid = user->pw_gid;
        }
        return setgroups(0, NULL) == 0 && setresgid(gid, gid, gid) == 0 &&
               setresuid(uid, uid, uid) == 0;
}

static bool forbid_system_calls(void)
{
        static const int allowed[] = {
                SCMP_SYS(read),   SCMP_SYS(write),  SCMP_SYS(lseek),      SCMP_SYS(brk),
                SCMP_SYS(mmap),   SCMP_SYS(munmap), SCMP_SYS(mremap),     SCMP_SYS(madvise),
                SCMP_SYS(futex),  SCMP_SYS(fstat),  SCMP_SYS(newfstatat), SCMP_SYS(exit_group),
                SCMP_SYS(exit),   SCMP_SYS(rt_sigreturn), SCMP_SYS(clock_gettime),
                SCMP_SYS(getrandom),
        };
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
        bool done = filter != NULL;

        for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
                done = done && seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0) == 0;
        done = done && seccomp_load(filter) == 0;
        seccomp_release(filter);
        return done;
}

bool sandbox_enter(void)
{
        return limit_resources() && become_nobody() &&
               prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 &&
               prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && forbid_system_calls();
}

static int check(struct sha256 *ret, struct error *err)
{
        _cleanup_buffer_ struct buffer bytes = { 0 };
        _cleanup_(patch_freep) struct patch *patch = NULL;
        size_t done = 0;
        int r = file_read_fd(JOB_FIRST_FD, "the patch file", PATCH_MAX_BYTES, &bytes, err);

        while (r == 0 && done < bytes.size) {
                ssize_t n = write(JOB_FIRST_FD + 1, bytes.data + done, bytes.size - done);

                if (n <= 0)
                        return error_set(err, EXIT_CODE_ERROR, errno, NULL,
                                         "the patch file can't be copied");
                done += (size_t)n;
        }
        if (r == 0)
                r = patch_parse(bytes.data, bytes.size, "the patch file", &patch, err);
        if (r == 0)
                *ret = patch->digest;
        return r;
}

static void run(void *context)
{
        char digest[SHA256_HEX_SIZE];
        struct error err = { .exit_code = EXIT_CODE_ERROR };
        struct sha256 sum;

        (void)context;
        (void)sha256_of("", 0); /* what the library sets up, it sets up now */
        if (!sandbox_enter()) {
                job_say(json_pack("{s:s}", "cause", "no process without privileges can be made"));
                return;
        }
        if (check(&sum, &err) < 0) {
                job_say(json_pack("{s:s, s:s}", "cause", err.cause, "next", err.next));
                return;
        }
        sha256_format(&sum, digest);
        job_say(json_pack("{s:s}", "digest", digest));
}

/* --- Outside ----------------------------------------------------------------------------- */

static void on_line(void *context, const json_t *json)
{
        struct sandbox *sandbox = context;
        const char *digest = json_string_value(json_object_get(json, "digest"));
        const char *cause = json_string_value(json_object_get(json, "cause"));
        const char *next = json_string_value(json_object_get(json, "next"));

        if (digest && sha256_parse(digest, &sandbox->digest))
                sandbox->sound = true;
        else if (cause)
                error_set(&sandbox->error, EXIT_CODE_ERROR, 0, next, "%.700s", cause);
}

static int take_bytes(struct sandbox *sandbox, struct buffer *ret, struct error *err)
{
        struct sha256 sum;
        int r;

        if (fcntl(sandbox->memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0 ||
            lseek(sandbox->memory, 0, SEEK_SET) < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "the patch file can't be kept");
        r = file_read_fd(sandbox->memory, "the patch file", PATCH_MAX_BYTES, ret, err);
        if (r < 0)
                return r;
        sum = sha256_of(ret->data, ret->size);
        if (!sha256_equal(&sum, &sandbox->digest))
                return error_set(err, EXIT_CODE_TRUST, 0, NULL,
                                 "the patch file is not what was checked");
        return 0;
}

static void on_end(void *context, bool whole)
{
        struct sandbox *sandbox = context;
        struct buffer bytes = { 0 };
        int r = -EINVAL;

        if (whole && sandbox->sound)
                r = take_bytes(sandbox, &bytes, &sandbox->error);
        else if (!sandbox->error.cause[0])
                error_set(&sandbox->error, EXIT_CODE_ERROR, 0, "it is no sound patch file",
                          "the process that read the patch file was ended");
        sandbox->end(sandbox->context, r == 0 ? &bytes : NULL, &sandbox->error);
        buffer_done(&bytes);
}

int sandbox_start(int fd, sandbox_end *end, void *context, struct sandbox **ret,
                  struct error *err)
{
        _cleanup_(sandbox_freep) struct sandbox *sandbox = calloc(1, sizeof(*sandbox));
        _cleanup_close_ int source = fd;
        struct job_settings settings = {
                .name = "suture-parse", .run = run, .n_fds = 2, .limit_ms = LIMIT_MS,
                .line = on_line, .end = on_end, .context = sandbox,
        };
        int r;

        if (!sandbox)
                return error_no_memory(err);
        sandbox->end = end;
        sandbox->context = context;
        sandbox->memory = memfd_create("suture-patch", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (sandbox->memory < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "the patch file can't be kept");
        settings.fds[0] = source;
        settings.fds[1] = sandbox->memory;
        r = job_start(&settings, &sandbox->job, err);
        if (r == 0)
                *ret = STEAL(sandbox);
        return r;
}

struct sandbox *sandbox_free(struct sandbox *sandbox)
{
        if (!sandbox)
                return NULL;
        job_free(sandbox->job);
        if (sandbox->memory >= 0)
                close(sandbox->memory);
        free(sandbox);
        return NULL;
}

struct job *sandbox_job(struct sandbox *sandbox)
{
        return sandbox->job;
}
