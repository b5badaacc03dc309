/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening everything, the loop, and ending. The loop polls a handful of descriptors and turns at
 * least four times a second, which is what the guard and the watchdog need.
 */
#include "daemon/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "daemon/audit-line.h"
#include "daemon/daemon-parts.h"
#include "daemon/durable.h"
#include "daemon/journal.h"
#include "daemon/notify.h"

#define TURN_MS 250
#define LOCK_PATIENCE_MS 5000           /* of a daemon before this one whose children still end */
#define READY_PATIENCE_NS 20000000000u  /* then the boot goes on, ready or not */
#define SAVE_EVERY_NS 1000000000u

void daemon_tell(struct daemon *daemon, const char *event, uid_t uid, pid_t pid, json_t *fields)
{
        struct error err = { 0 };
        char now[AUDIT_TIME_SIZE];

        if (!fields)
                fields = json_object();
        audit_time_now(now);
        for (size_t i = 0; daemon->varlink && i < DAEMON_WATCHERS_MAX; i++) {
                struct watcher *watcher = &daemon->watchers[i];

                if (watcher->connection &&
                    !varlink_reply(daemon->varlink, watcher->connection,
                                   json_pack("{s:s, s:s, s:i, s:O}", "event", event, "time", now,
                                             "pid", (int)pid, "fields", fields), true))
                        watcher->connection = 0;
        }
        if (audit_log_append(daemon->audit, event, uid, pid, fields, &err) < 0)
                fprintf(stderr, "sutured: %s: could not be logged: %s\n", event, err.cause);
}

/* --- Opening ----------------------------------------------------------------------------- */

static int open_store(struct daemon *daemon, struct error *err)
{
        int r;

        for (int waited_ms = 0;; waited_ms += 50) {
                r = patch_store_open(daemon->settings.store, true, &daemon->store, err);
                if (r != -EBUSY || waited_ms >= LOCK_PATIENCE_MS)
                        return r;
                (void)poll(NULL, 0, 50);
        }
}

static int open_audit(struct daemon *daemon, const char *state, struct error *err)
{
        const struct audit_log_options options = {
                .path = daemon->settings.log ? daemon->settings.log : daemon->policy->audit_path,
                .state_folder = state,
                .max_bytes = daemon->policy->audit_max_bytes,
                .journal = daemon->policy->journal ? JOURNAL_SOCKET : NULL,
        };

        return audit_log_open(&options, &daemon->audit, err);
}

static struct crash_guard_limits crash_limits(const struct policy *policy)
{
        return (struct crash_guard_limits){
                .deaths = policy->crash_deaths,
                .within_ns = policy->crash_within_ms * UINT64_C(1000000),
        };
}

/* What it knew is of use, but not needed: a damaged file is told of and begun anew. */
static int open_crash_guard(struct daemon *daemon, struct error *err)
{
        struct crash_guard_limits limits = crash_limits(daemon->policy);

        if (crash_guard_load(daemon->state_folder, &limits, &daemon->crash, err) == 0)
                return 0;
        daemon_tell(daemon, "crash-guard-lost", 0, getpid(), json_pack("{s:s}", "cause",
                                                                       err->cause));
        daemon->crash = crash_guard_new(&limits);
        return daemon->crash ? 0 : error_no_memory(err);
}

static int open_signals(struct daemon *daemon, struct error *err)
{
        sigset_t wanted;

        sigemptyset(&wanted);
        sigaddset(&wanted, SIGTERM);
        sigaddset(&wanted, SIGINT);
        sigaddset(&wanted, SIGHUP);
        signal(SIGPIPE, SIG_IGN);
        if (sigprocmask(SIG_BLOCK, &wanted, NULL) < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "signals can't be taken");
        daemon->signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
        return daemon->signals >= 0 ? 0 : error_set(err, EXIT_CODE_ERROR, errno, NULL,
                                                    "signals can't be taken");
}

static int open_socket(struct daemon *daemon, struct error *err)
{
        _cleanup_free_ char *copy = strdup(daemon->settings.socket);
        int r = copy ? directory_make(dirname(copy), 0755, err) : error_no_memory(err);

        return r < 0 ? r : varlink_open(daemon->settings.socket, daemon_call, daemon,
                                        &daemon->varlink, err);
}

static int open_all(struct daemon *daemon, struct error *err)
{
        _cleanup_free_ char *copy = strdup(daemon->settings.store);
        const char *state = copy ? dirname(copy) : NULL;
        int r = state ? open_signals(daemon, err) : error_no_memory(err);

        if (r == 0)
                r = durable_open_folder(state, true, 0755, &daemon->state_folder, err);
        if (r == 0)
                r = policy_load(daemon->settings.config, true, &daemon->policy, err);
        if (r == 0)
                r = open_store(daemon, err);
        if (r == 0)
                r = open_audit(daemon, state, err);
        if (r == 0)
                r = open_crash_guard(daemon, err);
        if (r == 0)
                r = lives_open(daemon_life_ended, daemon, &daemon->lives, err);
        if (r == 0)
                r = open_socket(daemon, err);
        return r;
}

static void close_all(struct daemon *daemon)
{
        daemon_tasks_end(daemon);
        daemon_uploads_end(daemon);
        daemon_guard_end(daemon);
        varlink_close(daemon->varlink);
        lives_close(daemon->lives);
        crash_guard_free(daemon->crash);
        audit_log_close(daemon->audit);
        patch_store_close(daemon->store);
        policy_free(daemon->policy);
        free(daemon->policy_fault);
        if (daemon->state_folder >= 0)
                close(daemon->state_folder);
        if (daemon->signals >= 0)
                close(daemon->signals);
        free(daemon);
}

/* --- The loop ---------------------------------------------------------------------------- */

int daemon_reload(struct daemon *daemon, struct error *err)
{
        struct crash_guard_limits limits;
        struct policy *policy;
        int r = policy_load(daemon->settings.config, true, &policy, err);

        free(daemon->policy_fault);
        daemon->policy_fault = r < 0 ? strdup(err->cause) : NULL;
        daemon_tell(daemon, r < 0 ? "policy-refused" : "policy-read", 0, getpid(),
                    r < 0 ? json_pack("{s:s, s:s}", "cause", err->cause, "done",
                                      "kept the policy from before") : NULL);
        if (r < 0)
                return r;
        policy_free(daemon->policy);
        daemon->policy = policy;
        limits = crash_limits(policy);
        crash_guard_set_limits(daemon->crash, &limits);
        daemon_guard_renew(daemon); /* the processes of the guard have the old policy */
        return 0;
}

static void take_signals(struct daemon *daemon)
{
        struct signalfd_siginfo info;
        struct error err = { 0 };

        while (read(daemon->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
                if (info.ssi_signo == SIGHUP)
                        (void)daemon_reload(daemon, &err);
                else
                        daemon->ending = true;
        }
}

static void save(struct daemon *daemon, bool now)
{
        struct error err = { 0 };

        if (!daemon->crash_changed ||
            (!now && clock_now_ns() - daemon->last_save_ns < SAVE_EVERY_NS))
                return;
        daemon->last_save_ns = clock_now_ns();
        daemon->crash_changed = false;
        if (crash_guard_store(daemon->crash, daemon->state_folder, &err) < 0)
                daemon_tell(daemon, "crash-guard-not-stored", 0, getpid(),
                            json_pack("{s:s}", "cause", err.cause));
}

static void tell_manager(struct daemon *daemon)
{
        uint64_t now_ns = clock_now_ns();
        bool ready = daemon->guard.ready && !daemon->swapping && daemon->looked;
        char text[256];
        size_t n;

        if (daemon->watchdog_ns && now_ns - daemon->last_watchdog_ns >= daemon->watchdog_ns) {
                daemon->last_watchdog_ns = now_ns;
                (void)notify_send("WATCHDOG=1");
        }
        if (daemon->ready_said || (!ready && now_ns - daemon->started_ns < READY_PATIENCE_NS))
                return;
        daemon->ready_said = true;
        free(daemon_enabled(daemon, &n));
        snprintf(text, sizeof(text), "READY=1\nSTATUS=%zu patches enabled, %zu processes patched",
                 n, lives_count(daemon->lives));
        (void)notify_send(text);
        daemon_tell(daemon, "watching", 0, getpid(), json_pack("{s:I, s:I, s:b}", "patches",
                                                                (json_int_t)n, "processes",
                                                                (json_int_t)lives_count(
                                                                        daemon->lives),
                                                                "guard", (int)ready));
}

static void add_fd(struct pollfd *fds, size_t *n, int fd)
{
        if (fd >= 0)
                fds[(*n)++] = (struct pollfd){ .fd = fd, .events = POLLIN };
}

static void wait_for_something(struct daemon *daemon)
{
        struct pollfd fds[2 * DAEMON_TASKS_MAX + 8];
        size_t n = 0;

        add_fd(fds, &n, daemon->signals);
        add_fd(fds, &n, varlink_fd(daemon->varlink));
        add_fd(fds, &n, lives_fd(daemon->lives));
        if (daemon->guard.guard)
                add_fd(fds, &n, guard_fd(daemon->guard.guard));
        if (daemon->next.guard)
                add_fd(fds, &n, guard_fd(daemon->next.guard));
        for (size_t i = 0; i < DAEMON_TASKS_MAX; i++) {
                if (daemon->tasks[i] && daemon->tasks[i]->job)
                        add_fd(fds, &n, job_fd(daemon->tasks[i]->job));
                if (daemon->uploads[i])
                        add_fd(fds, &n, job_fd(sandbox_job(daemon->uploads[i]->sandbox)));
        }
        (void)poll(fds, n, TURN_MS);
}

static void turn(struct daemon *daemon)
{
        wait_for_something(daemon);
        take_signals(daemon);
        lives_step(daemon->lives);
        daemon_guard_step(daemon);
        daemon_tasks_step(daemon);
        daemon_uploads_step(daemon);
        varlink_step(daemon->varlink);
        save(daemon, false);
        tell_manager(daemon);
}

static void tell_faults(struct daemon *daemon)
{
        for (size_t i = 0; i < daemon->store->n_faults; i++)
                daemon_tell(daemon, "store-fault", 0, getpid(),
                            json_pack("{s:s, s:s}", "file", daemon->store->faults[i].file, "what",
                                      daemon->store->faults[i].what));
}

int daemon_run(const struct daemon_settings *settings, struct error *err)
{
        struct daemon *daemon = calloc(1, sizeof(*daemon));
        int r;

        if (!daemon)
                return error_no_memory(err);
        daemon->settings = *settings;
        daemon->state_folder = daemon->signals = -1;
        daemon->started_ns = clock_now_ns();
        daemon->watchdog_ns = notify_watchdog_ns();
        r = open_all(daemon, err);
        if (r == 0) {
                daemon_tell(daemon, "daemon-started", 0, getpid(), NULL);
                tell_faults(daemon);
                daemon->scan_wanted = true;
                daemon_guard_renew(daemon);
                while (!daemon->ending)
                        turn(daemon);
                (void)notify_send("STOPPING=1");
                save(daemon, true);
                daemon_tell(daemon, "daemon-ended", 0, getpid(), NULL);
        }
        close_all(daemon);
        return r;
}
