/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The keeper: one loop that answers the kernel's questions. It never waits for anything but that
 * loop's next event, opens no file that is watched, and answers its own relatives at once. A question
 * is handed to a worker, which says when the opening may go on; whatever becomes of the worker, the
 * keeper answers within a second.
 *
 * A worker may block when it takes hold of a program whose kernel holds the lock on its credentials
 * (live/entry.h). It then sleeps where it should run; the keeper sees that, puts both on one
 * processor (guard-pin.h) and answers, after which the worker gets hold of the program on its way
 * through exec.
 */
#include "daemon/guard-parts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/file.h"
#include "proc/process.h"

#define WORKERS_FIRST 4
#define WORKERS_MAX 48
#define ASKED_MAX 4096
#define IDLE_POLL_MS 400
#define BUSY_POLL_MS 1
#define BLOCKED_NS 300000u          /* a worker that sleeps for so long waits for a lock */
#define ANSWER_NS 1000000000u       /* the latest answer */
#define EVENT_LOOK_NS 100000000u    /* for the linker of a program that has begun */
#define KNOWN_FILES 4096            /* of containers: what they are */

struct worker {
        pid_t pid;
        int socket;
        bool busy;
        struct guard_job job;
};

/* A question that is not answered yet. */
struct question {
        int fd;
        struct guard_job job;
        struct worker *worker;      /* NULL: waits for one */
        uint64_t handed_at_ns;
        uint64_t finder_token;      /* waits for the finder; 0: does not */
        bool has_patch;             /* for the file itself */
        bool answered;
};

/* A file of a container. */
struct known_file {
        dev_t device;
        ino_t inode;
        struct timespec changed;
        unsigned kinds;
};

struct keeper {
        const struct guard_settings *settings;
        struct guard_pins *pins;
        pid_t owner, self, finder;
        int owner_socket, finder_socket;
        int group;                  /* where the kernel asks, or where it only tells: */
        bool only_events;
        struct worker workers[WORKERS_MAX];
        size_t n_workers;
        struct question questions[ASKED_MAX];
        size_t n_questions;
        struct guard_job late[1024];/* to be patched while they run */
        size_t n_late;
        struct known_file known[KNOWN_FILES];
        struct overlay {            /* file systems of containers, watched as a whole */
                dev_t device;       /* used again when one is gone; so what its root is, too: */
                ino_t root;
                struct timespec changed;
                bool looked_under;  /* its libraries have been looked for */
        } overlays[256];
        size_t n_overlays;
        uint64_t token;
        bool ready;
};

static void report(struct keeper *keeper, const struct guard_report *what)
{
        (void)send(keeper->owner_socket, what, sizeof(*what), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void report_text(struct keeper *keeper, enum guard_event event, pid_t pid,
                        const char *format, const char *argument)
{
        struct guard_report what = { .event = event, .pid = pid };

        snprintf(what.text, sizeof(what.text), format, argument);
        report(keeper, &what);
}

/* --- Answers ----------------------------------------------------------------------------- */

static void allow(struct keeper *keeper, int fd)
{
        struct fanotify_response response = { .fd = fd, .response = FAN_ALLOW };

        while (write(keeper->group, &response, sizeof(response)) < 0 && errno == EINTR)
                ;
        close(fd);
}

static void answer(struct keeper *keeper, struct question *question)
{
        if (!question->answered)
                allow(keeper, question->fd);
        question->answered = true;
}

static void forget_answered(struct keeper *keeper)
{
        size_t kept = 0;

        for (size_t i = 0; i < keeper->n_questions; i++)
                if (!keeper->questions[i].answered)
                        keeper->questions[kept++] = keeper->questions[i];
        keeper->n_questions = kept;
}

static void patch_late(struct keeper *keeper, pid_t pid, uint64_t look_ns)
{
        for (size_t i = 0; i < keeper->n_late; i++)
                if (keeper->late[i].pid == pid)
                        return;
        if (keeper->n_late < ARRAY_SIZE(keeper->late))
                keeper->late[keeper->n_late++] =
                        (struct guard_job){ .kind = GUARD_JOB_RUNNING, .pid = pid, .tid = pid,
                                            .since_ns = clock_now_ns(), .look_ns = look_ns };
        else
                report_text(keeper, GUARD_FAILED, pid, "%s",
                            "too many programs start at once; the next scan patches this one");
}

/* --- Workers ----------------------------------------------------------------------------- */

static void close_others(const struct keeper *keeper)
{
        close(keeper->owner_socket);
        if (keeper->group >= 0)
                close(keeper->group);
        if (keeper->finder_socket >= 0)
                close(keeper->finder_socket);
        for (size_t i = 0; i < keeper->n_workers; i++)
                if (keeper->workers[i].socket >= 0)
                        close(keeper->workers[i].socket);
        for (size_t i = 0; i < keeper->n_questions; i++)
                if (!keeper->questions[i].answered)
                        close(keeper->questions[i].fd);
}

static pid_t start_part(struct keeper *keeper, int *ret_socket,
                        void (*run)(const struct guard_settings *, int, pid_t))
{
        int sockets[2];
        pid_t pid;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
                return -1;
        pid = fork();
        if (pid == 0) {
                close_others(keeper);
                close(sockets[0]);
                run(keeper->settings, sockets[1], keeper->self);
        }
        close(sockets[1]);
        if (pid < 0)
                close(sockets[0]);
        else
                *ret_socket = sockets[0];
        return pid;
}

static void run_worker(const struct guard_settings *settings, int socket, pid_t keeper)
{
        guard_worker_run(settings, socket, keeper);
}

static void run_finder(const struct guard_settings *settings, int socket, pid_t keeper)
{
        guard_finder_run(settings, socket, keeper);
}

static bool start_worker(struct keeper *keeper, struct worker *worker)
{
        *worker = (struct worker){ .socket = -1 };
        worker->pid = start_part(keeper, &worker->socket, run_worker);
        return worker->pid > 0;
}

static struct worker *idle_worker(struct keeper *keeper)
{
        for (size_t i = 0; i < keeper->n_workers; i++)
                if (!keeper->workers[i].busy && keeper->workers[i].pid > 0)
                        return &keeper->workers[i];
        if (keeper->n_workers < WORKERS_MAX &&
            start_worker(keeper, &keeper->workers[keeper->n_workers]))
                return &keeper->workers[keeper->n_workers++];
        return NULL;
}

static bool hand_over(struct worker *worker, const struct guard_job *job)
{
        if (send(worker->socket, job, sizeof(*job), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
                return false;
        worker->busy = true;
        worker->job = *job;
        return true;
}

/* Gives work to whoever is idle: questions first, then what is late anyway. */
static void distribute(struct keeper *keeper)
{
        for (size_t i = 0; i < keeper->n_questions; i++) {
                struct question *question = &keeper->questions[i];
                struct worker *worker;

                if (question->worker || question->answered || question->finder_token)
                        continue;
                worker = idle_worker(keeper);
                if (!worker)
                        return;
                if (hand_over(worker, &question->job)) {
                        question->worker = worker;
                        question->handed_at_ns = clock_now_ns();
                }
        }
        while (keeper->n_late > 0) {
                struct worker *worker = idle_worker(keeper);

                if (!worker || !hand_over(worker, &keeper->late[0]))
                        return;
                memmove(keeper->late, keeper->late + 1, --keeper->n_late * sizeof(*keeper->late));
        }
}

static struct question *question_of(struct keeper *keeper, const struct worker *worker)
{
        for (size_t i = 0; i < keeper->n_questions; i++)
                if (keeper->questions[i].worker == worker && !keeper->questions[i].answered)
                        return &keeper->questions[i];
        return NULL;
}

static void lose_worker(struct keeper *keeper, struct worker *worker)
{
        struct question *question = question_of(keeper, worker);

        if (question)
                answer(keeper, question);
        if (worker->busy) {
                report_text(keeper, GUARD_FAILED, worker->job.pid, "%s",
                            "a worker of the guard ended over it");
                if (worker->job.kind != GUARD_JOB_RUNNING)
                        patch_late(keeper, worker->job.pid, 0);
        }
        close(worker->socket);
        kill(worker->pid, SIGKILL);
        (void)waitpid(worker->pid, NULL, 0);
        guard_unpin(keeper->pins, worker->pid);
        if (!start_worker(keeper, worker))
                worker->pid = 0;
}

static void hear_worker(struct keeper *keeper, struct worker *worker)
{
        struct guard_answer said;
        ssize_t n = recv(worker->socket, &said, sizeof(said), MSG_DONTWAIT);
        struct question *question;

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n != (ssize_t)sizeof(said)) {
                lose_worker(keeper, worker);
                return;
        }
        guard_unpin(keeper->pins, worker->pid);
        question = question_of(keeper, worker);
        if (question)
                answer(keeper, question);
        if (said.let_go)
                worker->job.kind = GUARD_JOB_RUNNING;
        if (!said.done)
                return;
        worker->busy = false;
        if (said.has_report)
                report(keeper, &said.report);
}

/* --- Questions --------------------------------------------------------------------------- */

static pid_t process_of(pid_t tid)
{
        _cleanup_buffer_ struct buffer text = { 0 };
        char path[64];
        const char *at;

        snprintf(path, sizeof(path), "/proc/%d/status", tid);
        if (file_read(path, 16384, &text, NULL) < 0)
                return 0;
        at = strstr((const char *)text.data, "\nTgid:");
        return at ? atoi(at + 6) : 0;
}

static bool is_relative(const struct keeper *keeper, pid_t pid)
{
        bool relative = pid == keeper->self || pid == keeper->owner || pid == keeper->finder;

        for (size_t i = 0; i < keeper->n_workers && !relative; i++)
                relative = keeper->workers[i].pid == pid;
        return relative;
}

/* Already on its way to its entry point: it will be seen there with all it has loaded. */
static bool is_in_hands(const struct keeper *keeper, pid_t pid)
{
        for (size_t i = 0; i < keeper->n_workers; i++)
                if (keeper->workers[i].busy && keeper->workers[i].job.pid == pid &&
                    keeper->workers[i].job.kind != GUARD_JOB_RUNNING)
                        return true;
        return false;
}

/* What the file is: known for a watched file by the mark, for a container's by its build ID. */
static unsigned kinds_of_file(struct keeper *keeper, int fd, const struct stat *status)
{
        size_t hash = (status->st_ino * 31 + status->st_dev) % KNOWN_FILES;
        struct known_file *known = &keeper->known[hash];

        if (known->inode != status->st_ino || known->device != status->st_dev ||
            known->changed.tv_sec != status->st_ctim.tv_sec ||
            known->changed.tv_nsec != status->st_ctim.tv_nsec)
                *known = (struct known_file){ status->st_dev, status->st_ino, status->st_ctim,
                                              guard_classify(keeper->settings, fd) };
        return known->kinds;
}

/* The index of a container's file system; negative where it is none. */
static int overlay_of(const struct keeper *keeper, dev_t device)
{
        for (size_t i = 0; i < keeper->n_overlays; i++)
                if (keeper->overlays[i].device == device)
                        return (int)i;
        return -1;
}

/* Has the libraries of a container looked for, once: the token to wait for, or 0. */
static uint64_t ask_finder(struct keeper *keeper, dev_t device, pid_t pid)
{
        struct guard_find_request request = { .pid = pid, .token = keeper->token + 1 };
        int i = overlay_of(keeper, device);

        if (i < 0 || keeper->overlays[i].looked_under)
                return 0;
        keeper->overlays[i].looked_under = true;
        if (send(keeper->finder_socket, &request, sizeof(request), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
                return 0;
        return ++keeper->token;
}

/* On these a system call that waits for the other side can be broken off (linux/magic.h). */
static bool is_local(int fd)
{
        static const uint32_t remote[] = { FUSE_SUPER_MAGIC, NFS_SUPER_MAGIC, SMB2_SUPER_MAGIC,
                                           CIFS_SUPER_MAGIC, V9FS_MAGIC, CEPH_SUPER_MAGIC,
                                           AFS_SUPER_MAGIC };
        struct statfs status;

        if (fstatfs(fd, &status) < 0)
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(remote); i++)
                if ((uint32_t)status.f_type == remote[i])
                        return false;
        return true;
}

static void hear_question(struct keeper *keeper, const struct fanotify_event_metadata *event)
{
        struct question *question = &keeper->questions[keeper->n_questions];
        pid_t tid = event->pid, pid;
        struct stat status;

        if (is_relative(keeper, tid) || (pid = process_of(tid)) == 0 || is_relative(keeper, pid) ||
            is_in_hands(keeper, pid) || keeper->n_questions == ASKED_MAX) {
                allow(keeper, event->fd);
                return;
        }
        *question = (struct question){ .fd = event->fd,
                                       .job = { .pid = pid, .tid = tid,
                                                .since_ns = clock_now_ns() } };
        question->job.kind = event->mask & FAN_OPEN_EXEC_PERM ? GUARD_JOB_EXEC : GUARD_JOB_LIBRARY;
        if (fstat(event->fd, &status) < 0) {
                allow(keeper, event->fd);
                return;
        }
        question->job.local = is_local(event->fd);
        question->finder_token = ask_finder(keeper, status.st_dev, pid);
        question->has_patch = kinds_of_file(keeper, event->fd, &status) != 0;
        if (!question->has_patch && question->finder_token == 0) {
                allow(keeper, event->fd);
                return;
        }
        keeper->n_questions++;
}

static void hear_kernel(struct keeper *keeper)
{
        _Alignas(struct fanotify_event_metadata) char bytes[8192];
        ssize_t n = read(keeper->group, bytes, sizeof(bytes));
        const struct fanotify_event_metadata *event = (const void *)bytes;

        for (; n > 0 && FAN_EVENT_OK(event, n); event = FAN_EVENT_NEXT(event, n)) {
                if (event->vers != FANOTIFY_METADATA_VERSION)
                        _exit(1);
                if (event->fd < 0)
                        continue;
                if (event->mask & (FAN_OPEN_EXEC_PERM | FAN_OPEN_PERM))
                        hear_question(keeper, event);
                else
                        close(event->fd);
        }
}

static void hear_events(struct keeper *keeper)
{
        pid_t pid;

        while ((pid = guard_events_next(keeper->group)) > 0)
                if (!is_relative(keeper, pid))
                        patch_late(keeper, pid, EVENT_LOOK_NS);
}

enum { STAT_STATE = 3 }; /* proc(5) */

/* A letter; 'X' where it is gone. */
static char state_of(pid_t pid)
{
        char state[4];

        return process_stat_field(pid, STAT_STATE, state, sizeof(state), NULL) == 0 ? state[0] : 'X';
}

/* A worker that should have said something by now. */
static void look_at_worker(struct keeper *keeper, struct question *question)
{
        char state = state_of(question->worker->pid);

        if (state == 'T') /* stopped before its timer ran: it would not even begin */
                lose_worker(keeper, question->worker);
        if (state == 'T' || state == 'R' || question->job.kind != GUARD_JOB_EXEC)
                return;
        (void)guard_pin(keeper->pins, question->job.pid, question->job.tid, question->worker->pid);
        answer(keeper, question);
}

/* Answers what has waited long enough. */
static void look_at_time(struct keeper *keeper)
{
        uint64_t now_ns = clock_now_ns();

        for (size_t i = 0; i < keeper->n_questions; i++) {
                struct question *question = &keeper->questions[i];

                if (question->answered)
                        continue;
                if (now_ns - question->job.since_ns > ANSWER_NS) {
                        answer(keeper, question);
                        patch_late(keeper, question->job.pid, 0);
                } else if (question->worker && now_ns - question->handed_at_ns > BLOCKED_NS) {
                        look_at_worker(keeper, question);
                }
        }
}

/* --- What is watched --------------------------------------------------------------------- */

static void watch_overlay(struct keeper *keeper, const struct guard_find *find)
{
        struct overlay *overlay;
        struct stat status;
        int i;

        if (keeper->only_events || stat(find->path, &status) < 0)
                return;
        i = overlay_of(keeper, status.st_dev);
        if (i >= 0 && keeper->overlays[i].root == status.st_ino &&
            keeper->overlays[i].changed.tv_sec == status.st_ctim.tv_sec &&
            keeper->overlays[i].changed.tv_nsec == status.st_ctim.tv_nsec)
                return;
        if (fanotify_mark(keeper->group, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_OPEN_EXEC_PERM,
                          AT_FDCWD, find->path) < 0)
                return;
        if (i < 0 && keeper->n_overlays == ARRAY_SIZE(keeper->overlays))
                keeper->n_overlays = 0; /* they come and go; looking twice does no harm */
        overlay = &keeper->overlays[i < 0 ? keeper->n_overlays++ : (size_t)i];
        *overlay = (struct overlay){ status.st_dev, status.st_ino, status.st_ctim, false };
        if (i < 0)
                report_text(keeper, GUARD_WATCHING, find->pid, "container file system %.250s",
                            find->path);
}

static void watch_file(struct keeper *keeper, const struct guard_find *find)
{
        uint64_t mask = (find->kinds & GUARD_FIND_PROGRAM ? FAN_OPEN_EXEC_PERM : 0) |
                        (find->kinds & GUARD_FIND_LIBRARY ? FAN_OPEN_PERM : 0);

        if (keeper->only_events)
                return;
        if (fanotify_mark(keeper->group, FAN_MARK_ADD, mask, AT_FDCWD, find->path) == 0 &&
            !keeper->ready)
                report_text(keeper, GUARD_WATCHING, 0, "%.300s", find->path);
}

static void finder_done(struct keeper *keeper, uint64_t token)
{
        if (!keeper->ready)
                report_text(keeper, GUARD_READY, keeper->self, "%s", "");
        keeper->ready = true;
        for (size_t i = 0; i < keeper->n_questions && token; i++) {
                struct question *question = &keeper->questions[i];

                if (question->finder_token != token)
                        continue;
                question->finder_token = 0;
                if (!question->has_patch)
                        answer(keeper, question);
        }
}

static void hear_finder(struct keeper *keeper)
{
        struct guard_find find;
        ssize_t n = recv(keeper->finder_socket, &find, sizeof(find), MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n != (ssize_t)sizeof(find))
                _exit(1); /* the owner starts all of it again */
        if (find.kinds & GUARD_FIND_DONE)
                finder_done(keeper, find.token);
        else if (find.kinds & GUARD_FIND_OVERLAY)
                watch_overlay(keeper, &find);
        else if (find.kinds & GUARD_FIND_RUNNING)
                patch_late(keeper, find.pid, EVENT_LOOK_NS);
        else
                watch_file(keeper, &find);
}

/* --- The loop ---------------------------------------------------------------------------- */

static struct guard_pins *pins_at_end;

/* The owner has ended: SIGKILL would come between a pin and its end. */
static void end(int signal)
{
        (void)signal;
        guard_unpin_all(pins_at_end);
        _exit(0);
}

static void wait_and_hear(struct keeper *keeper)
{
        struct pollfd fds[WORKERS_MAX + 3];
        size_t n_workers = keeper->n_workers;
        size_t n = 0;

        fds[n++] = (struct pollfd){ .fd = keeper->group, .events = POLLIN };
        fds[n++] = (struct pollfd){ .fd = keeper->finder_socket, .events = POLLIN };
        fds[n++] = (struct pollfd){ .fd = keeper->owner_socket, .events = 0 };
        for (size_t i = 0; i < n_workers; i++)
                fds[n++] = (struct pollfd){ .fd = keeper->workers[i].socket, .events = POLLIN };
        if (poll(fds, n, keeper->n_questions > 0 ? BUSY_POLL_MS : IDLE_POLL_MS) < 0)
                return;
        if (fds[2].revents & (POLLHUP | POLLERR))
                end(0);
        for (size_t i = 0; i < n_workers; i++)
                if (fds[3 + i].revents)
                        hear_worker(keeper, &keeper->workers[i]);
        if (fds[1].revents)
                hear_finder(keeper);
        if (fds[0].revents && keeper->only_events)
                hear_events(keeper);
        else if (fds[0].revents)
                hear_kernel(keeper);
}

static void raise_descriptor_limit(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
                limit.rlim_cur = limit.rlim_max;
                (void)setrlimit(RLIMIT_NOFILE, &limit);
        }
}

static bool start_all(struct keeper *keeper)
{
        for (size_t i = 0; i < WORKERS_FIRST; i++) {
                if (!start_worker(keeper, &keeper->workers[keeper->n_workers]))
                        return false;
                keeper->n_workers++;
        }
        keeper->finder = start_part(keeper, &keeper->finder_socket, run_finder);
        return keeper->finder > 0;
}

static bool open_group(struct keeper *keeper)
{
        int errnum = EOPNOTSUPP;

        if (!keeper->settings->only_events) {
                keeper->group = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK |
                                                      FAN_REPORT_TID | FAN_UNLIMITED_QUEUE |
                                                      FAN_UNLIMITED_MARKS,
                                              O_RDONLY | O_CLOEXEC | O_LARGEFILE | O_NOATIME);
                errnum = errno;
        }
        if (keeper->group >= 0)
                return true;
        keeper->only_events = true;
        keeper->group = guard_events_open();
        report_text(keeper, keeper->group >= 0 ? GUARD_FALLBACK : GUARD_FAILED, 0,
                    "fanotify: %s; programs are patched after they have started",
                    strerror(errnum));
        return keeper->group >= 0;
}

void guard_keeper_run(const struct guard_settings *settings, struct guard_pins *pins, int socket,
                      pid_t owner)
{
        static struct keeper keeper;
        struct sched_param first = { .sched_priority = 1 };

        keeper.settings = settings;
        keeper.pins = pins_at_end = pins;
        keeper.owner = owner;
        keeper.self = getpid();
        keeper.owner_socket = socket;
        keeper.group = keeper.finder_socket = -1;
        guard_part_begin("suture-guard", owner);
        guard_wind_up(GUARD_ANSWER_MS);
        signal(SIGTERM, end);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        raise_descriptor_limit();
        (void)sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &first);
        if (!open_group(&keeper))
                _exit(1);
        if (!start_all(&keeper))
                _exit(1);
        for (;;) {
                guard_wind_up(GUARD_ANSWER_MS);
                wait_and_hear(&keeper);
                look_at_time(&keeper);
                forget_answered(&keeper);
                distribute(&keeper);
        }
}
