/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A process may end between any two reads here. Its folder in /proc then answers ENOENT, its open
 * files ESRCH, and both become PROCESS_GONE. Should the pid be taken by another process between
 * two reads, the start time read at the beginning and at the end differ, which is GONE as well.
 */
#include "proc/process.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include "base/array.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "proc/cgroup.h"

#define PF_KTHREAD 0x00200000 /* Linux include/linux/sched.h */
#define PF_FORKNOEXEC 0x00000040
#define COMM_MAX 15           /* characters; TASK_COMM_LEN without the NUL, same file */
#define PROC_FILE_MAX 65536

/*
 * Reads /proc/PID/NAME with a NUL behind it. 0, PROCESS_GONE, or negative. Such files are small
 * and come whole from one read, so `text` is filled by one.
 */
static int read_proc_file(pid_t pid, const char *name, char *text, size_t size, struct error *err)
{
        _cleanup_close_ int fd = -1;
        char path[64];
        ssize_t n = -1;

        snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0)
                do
                        n = read(fd, text, size - 1);
                while (n < 0 && errno == EINTR);
        if (n >= 0) {
                text[n] = '\0';
                return 0;
        }
        if (errno == ENOENT || errno == ESRCH)
                return PROCESS_GONE;
        return error_set(err,
                         errno == EACCES || errno == EPERM ? EXIT_CODE_PERMISSION
                                                           : EXIT_CODE_ERROR,
                         errno, NULL, "can't read %s", path);
}

/* What is needed of /proc/PID/stat (proc(5)). */
struct stat_fields {
        char name[64];
        char state;
        pid_t parent;
        unsigned flags;
        unsigned n_threads;
        uint64_t start_ticks;
};

static void make_printable(char *name)
{
        for (; *name; name++)
                if (!isprint((unsigned char)*name))
                        *name = '?';
}

static bool parse_stat(const char *text, struct stat_fields *ret)
{
        /* The name may hold any byte, ')' included, but the fields behind it can't. */
        const char *open_bracket = strchr(text, '('), *close_bracket = strrchr(text, ')');
        size_t size;
        int parent;
        long n_threads;
        unsigned long long start_ticks;

        if (!open_bracket || !close_bracket || close_bracket < open_bracket)
                return false;
        if (sscanf(close_bracket + 1,
                   " %c %d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %ld %*d %llu",
                   &ret->state, &parent, &ret->flags, &n_threads, &start_ticks) != 5)
                return false;
        size = MIN((size_t)(close_bracket - open_bracket - 1), sizeof(ret->name) - 1);
        memcpy(ret->name, open_bracket + 1, size);
        ret->name[size] = '\0';
        make_printable(ret->name);
        ret->parent = parent;
        ret->n_threads = (unsigned)n_threads;
        ret->start_ticks = start_ticks;
        return true;
}

static int read_stat(pid_t pid, struct stat_fields *ret, struct error *err)
{
        char text[2048];
        int r = read_proc_file(pid, "stat", text, sizeof(text), err);

        if (r != 0)
                return r;
        if (!parse_stat(text, ret))
                return error_set(err, EXIT_CODE_ERROR, 0, NULL,
                                 "/proc/%d/stat is not in the known format", (int)pid);
        return 0;
}

int process_stat_field(pid_t tid, unsigned number, char *ret, size_t size, struct error *err)
{
        char text[2048];
        const char *at;
        int r = read_proc_file(tid, "stat", text, sizeof(text), err);

        if (r != 0)
                return r;
        at = strrchr(text, ')'); /* the name before it may hold anything */
        for (unsigned field = 2; at && field < number; field++)
                at = strchr(at + 1, ' ');
        if (!at)
                return error_set(err, EXIT_CODE_ERROR, 0, NULL,
                                 "/proc/%d/stat is not in the known format", (int)tid);
        snprintf(ret, size, "%.*s", (int)strcspn(at + 1, " \n"), at + 1);
        return 0;
}

/* The value of "NAME:" at the beginning of a line of `text`, or NULL. */
static const char *status_value(const char *text, const char *name)
{
        size_t size = strlen(name);

        while (*text) {
                if (strncmp(text, name, size) == 0 && text[size] == ':')
                        return text + size + 1 + strspn(text + size + 1, " \t");
                text += strcspn(text, "\n");
                text += *text == '\n';
        }
        return NULL;
}

static uint64_t status_number(const char *text, const char *name, int base)
{
        const char *value = status_value(text, name);

        return value ? strtoull(value, NULL, base) : 0;
}

/* Effective user: the second of real, effective, saved and file system id. */
static uid_t status_uid(const char *text)
{
        const char *value = status_value(text, "Uid");
        unsigned uid = 0;

        if (value)
                sscanf(value, "%*u %u", &uid);
        return uid;
}

static uint64_t namespace_inode(pid_t pid, const char *name)
{
        char path[64];
        struct stat st;

        snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, name);
        return stat(path, &st) == 0 ? st.st_ino : 0;
}

/* Where it belongs; what can't be read stays empty. */
static void read_place(struct process *process)
{
        char text[PROC_FILE_MAX];

        if (read_proc_file(process->pid, "cgroup", text, sizeof(text), NULL) == 0) {
                cgroup_parse_path(text, process->cgroup, sizeof(process->cgroup));
                cgroup_parse_unit(process->cgroup, process->unit, sizeof(process->unit));
                cgroup_parse_container(process->cgroup, process->container,
                                       sizeof(process->container));
                process->frozen = cgroup_frozen(text);
        }
        process->pid_namespace = namespace_inode(process->pid, "pid");
        process->mount_namespace = namespace_inode(process->pid, "mnt");
        process->user_namespace = namespace_inode(process->pid, "user");
}

/* The kernel keeps 15 characters of a name; the file that is run tells the rest, if it fits. */
static void complete_name(struct process *process)
{
        char path[64], target[PATH_MAX];
        const char *name;
        ssize_t n;

        if (process->kernel_thread || strlen(process->name) != COMM_MAX)
                return;
        snprintf(path, sizeof(path), "/proc/%d/exe", (int)process->pid);
        n = readlink(path, target, sizeof(target) - 1);
        if (n < 0)
                return;
        target[n] = '\0';
        name = strrchr(target, '/');
        if (!name || strncmp(name + 1, process->name, COMM_MAX) != 0)
                return;
        snprintf(process->name, sizeof(process->name), "%.*s", (int)strcspn(name + 1, " "), name + 1);
        make_printable(process->name);
}

int process_read(pid_t pid, struct process *ret, struct error *err)
{
        struct process process = { .pid = pid };
        struct stat_fields stat, again;
        char status[8192];
        int r;

        r = read_stat(pid, &stat, err);
        if (r == 0)
                r = read_proc_file(pid, "status", status, sizeof(status), err);
        if (r != 0)
                return r;
        memcpy(process.name, stat.name, sizeof(process.name));
        process.parent = stat.parent;
        process.start_ticks = stat.start_ticks;
        process.state = stat.state;
        process.n_threads = stat.n_threads;
        process.kernel_thread = stat.flags & PF_KTHREAD;
        process.forked = stat.flags & PF_FORKNOEXEC;
        process.tracer = (pid_t)status_number(status, "TracerPid", 10);
        process.uid = status_uid(status);
        complete_name(&process);
        read_place(&process);
        r = read_stat(pid, &again, err);
        if (r != 0)
                return r;
        if (again.start_ticks != stat.start_ticks)
                return PROCESS_GONE;
        *ret = process;
        return 0;
}

bool process_alive(pid_t pid, uint64_t start_ticks)
{
        struct stat_fields stat;

        if (read_stat(pid, &stat, NULL) != 0 || stat.start_ticks != start_ticks)
                return false;
        /* A main thread that ended before the others is shown as a zombie. */
        return (stat.state != 'Z' && stat.state != 'X') || stat.n_threads > 1;
}

int thread_status_read(pid_t pid, pid_t tid, struct thread_status *ret, struct error *err)
{
        char text[8192], name[48];
        const char *state;
        int r;

        snprintf(name, sizeof(name), "task/%d/status", (int)tid);
        r = read_proc_file(pid, name, text, sizeof(text), err);
        if (r != 0)
                return r;
        state = status_value(text, "State");
        *ret = (struct thread_status){
                .state = state ? *state : '?',
                .pending = status_number(text, "SigPnd", 16),
                .shared_pending = status_number(text, "ShdPnd", 16),
                .blocked = status_number(text, "SigBlk", 16),
                .ignored = status_number(text, "SigIgn", 16),
                .caught = status_number(text, "SigCgt", 16),
                .seccomp_mode = (unsigned)status_number(text, "Seccomp", 10),
                .n_seccomp_filters = (unsigned)status_number(text, "Seccomp_filters", 10),
        };
        return 0;
}

/* Names of a folder that are numbers. 0, PROCESS_GONE, or negative. */
static int list_numbers(const char *path, pid_t **ret, size_t *ret_n, struct error *err)
{
        _cleanup_free_ pid_t *ids = NULL;
        const struct dirent *entry;
        size_t n_ids = 0;
        DIR *directory = opendir(path);

        if (!directory)
                return errno == ENOENT || errno == ESRCH
                               ? PROCESS_GONE
                               : error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't list %s",
                                           path);
        while ((entry = readdir(directory))) {
                pid_t *id;

                if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
                        continue;
                id = ARRAY_PUSH(ids, n_ids);
                if (!id) {
                        closedir(directory);
                        return error_no_memory(err);
                }
                *id = (pid_t)strtol(entry->d_name, NULL, 10);
        }
        closedir(directory);
        *ret = STEAL(ids);
        *ret_n = n_ids;
        return 0;
}

int process_threads(pid_t pid, pid_t **ret, size_t *ret_n, struct error *err)
{
        char path[32];
        pid_t *ids = NULL;
        size_t n_ids = 0;
        int r;

        snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
        r = list_numbers(path, &ids, &n_ids, err);
        if (r != 0)
                return r;
        if (n_ids == 0) { /* it ended while the folder was open */
                free(ids);
                return PROCESS_GONE;
        }
        *ret = ids;
        *ret_n = n_ids;
        return 0;
}

int process_list(pid_t **ret, size_t *ret_n, struct error *err)
{
        int r = list_numbers("/proc", ret, ret_n, err);

        if (r == PROCESS_GONE)
                return error_set(err, EXIT_CODE_ERROR, ENOENT, "mount it: mount -t proc proc /proc",
                                 "/proc is not there");
        return r;
}

int process_memory_read(void *context, uint64_t address, void *ret, size_t size)
{
        pid_t pid = (pid_t)(intptr_t)context;
        uint8_t *out = ret;

        /* A short result says that a later page failed; the next call then gives the reason. */
        while (size > 0) {
                struct iovec local = { .iov_base = out, .iov_len = size };
                struct iovec remote = { .iov_base = (void *)(uintptr_t)address, .iov_len = size };
                ssize_t n = process_vm_readv(pid, &local, 1, &remote, 1, 0);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return -EFAULT;
                out += n;
                address += (uint64_t)n;
                size -= (size_t)n;
        }
        return 0;
}

bool process_parse_pid(const char *text, pid_t *ret)
{
        const long max = 4194304; /* PID_MAX_LIMIT, Linux include/linux/threads.h */
        long value = 0;

        if (!*text)
                return false;
        for (; *text; text++) {
                if (*text < '0' || *text > '9')
                        return false;
                value = 10 * value + (*text - '0');
                if (value > max)
                        return false;
        }
        if (value < 1)
                return false;
        *ret = (pid_t)value;
        return true;
}

pid_t process_living_thread(pid_t pid)
{
        _cleanup_free_ pid_t *tids = NULL;
        struct thread_status status;
        struct stat_fields stat;
        size_t n = 0;

        /* Nearly always the main thread lives; then this is all. */
        if (read_stat(pid, &stat, NULL) != 0)
                return 0;
        if (stat.state != 'Z' && stat.state != 'X')
                return pid;
        if (stat.n_threads <= 1 || process_threads(pid, &tids, &n, NULL) != 0)
                return 0;
        for (size_t i = 0; i < n; i++)
                if (thread_status_read(pid, tids[i], &status, NULL) == 0 &&
                    status.state != 'Z' && status.state != 'X')
                        return tids[i];
        return 0;
}
