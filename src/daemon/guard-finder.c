/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looks for the files that have to be watched: those whose build ID a patch is for. Where they may
 * be is known from the module's name and the folders where programs and libraries lie, from what
 * running processes have mapped, and from the owner. Containers have their own view of files: an
 * overlay file system is watched as a whole for executions, and its libraries are looked for under
 * its root when something is executed there.
 *
 * This is a process of its own because it opens files, which the keeper must never do: it would ask
 * itself. It also reads ELF files that anyone may have written.
 */
#include "daemon/guard-parts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/file.h"
#include "elf/image.h"
#include "proc/maps.h"
#include "proc/module.h"
#include "proc/process.h"

#define MOUNTS_EVERY_MS 1000
#define FILES_EVERY_NS 10000000000u
#define MAX_DYNAMIC 4096            /* bytes of a dynamic section */
#define MAX_MOUNTINFO (4u << 20)

static const char *const folders[] = {
        "/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/lib/x86_64-linux-gnu",
        "/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/usr/lib", "/lib", "/usr/local/bin",
        "/usr/local/sbin", "/usr/local/lib", "/usr/local/lib/x86_64-linux-gnu", "/usr/libexec",
        "/usr/lib/openssh",
};

struct finder {
        const struct guard_settings *settings;
        int socket;
        uint64_t *namespaces; /* mount namespaces seen */
        size_t n_namespaces;
};

static void tell(const struct finder *finder, const struct guard_find *find)
{
        while (send(finder->socket, find, sizeof(*find), MSG_NOSIGNAL) < 0)
                if (errno != EINTR)
                        _exit(0);
}

/* --- One file ---------------------------------------------------------------------------- */

static bool is_target(const struct guard_settings *settings, const struct build_id *id)
{
        for (size_t i = 0; i < settings->n_patches; i++)
                if (patch_find_target(settings->patches[i], id))
                        return true;
        return false;
}

/* An ELF file as an image in memory, as far as its first segment goes, where the build ID is. */
struct file_image {
        int fd;
        uint64_t start; /* the address of its first byte */
};

static int read_file(void *context, uint64_t address, void *ret, size_t size)
{
        const struct file_image *image = context;
        ssize_t n = pread(image->fd, ret, size, (off_t)(address - image->start));

        return n == (ssize_t)size ? 0 : -EIO;
}

static uint64_t dynamic_flags(int fd, const Elf64_Phdr *segment)
{
        uint64_t size = MIN(segment->p_filesz, (uint64_t)MAX_DYNAMIC);

        for (uint64_t i = 0; i + sizeof(Elf64_Dyn) <= size; i += sizeof(Elf64_Dyn)) {
                Elf64_Dyn item;

                if (pread(fd, &item, sizeof(item), (off_t)(segment->p_offset + i)) !=
                            (ssize_t)sizeof(item) ||
                    item.d_tag == DT_NULL)
                        break;
                if (item.d_tag == DT_FLAGS_1)
                        return item.d_un.d_val;
        }
        return 0;
}

/* A PIE program says so; other shared objects are libraries, though they may be executable. */
static unsigned kinds_of(int fd, uint64_t *ret_start)
{
        bool program, interpreter = false;
        Elf64_Ehdr header;

        if (pread(fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header))
                return 0;
        program = header.e_type == ET_EXEC;
        for (unsigned i = 0; i < MIN(header.e_phnum, ELF_IMAGE_MAX_SEGMENTS); i++) {
                Elf64_Phdr segment;

                if (pread(fd, &segment, sizeof(segment),
                          (off_t)(header.e_phoff + i * sizeof(segment))) !=
                    (ssize_t)sizeof(segment))
                        return 0;
                if (segment.p_type == PT_DYNAMIC && (dynamic_flags(fd, &segment) & DF_1_PIE))
                        program = true;
                interpreter = interpreter || segment.p_type == PT_INTERP;
                if (segment.p_type == PT_LOAD && segment.p_offset == 0)
                        *ret_start = segment.p_vaddr;
        }
        if (program)
                return GUARD_FIND_PROGRAM;
        return GUARD_FIND_LIBRARY | (interpreter ? GUARD_FIND_PROGRAM : 0);
}

/* Read, not mapped: whoever cuts the file short meanwhile must not end us. */
unsigned guard_classify(const struct guard_settings *settings, int fd)
{
        struct file_image image = { .fd = fd };
        struct elf_memory memory = { .read = read_file, .context = &image };
        struct build_id id = { 0 };
        struct stat status;
        unsigned kinds;

        if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
                return 0;
        kinds = kinds_of(fd, &image.start);
        if (kinds == 0 || elf_image_read_build_id(&memory, image.start, &id) != 0 ||
            !is_target(settings, &id))
                return 0;
        return kinds;
}

static void look_at_file(const struct finder *finder, const char *path)
{
        struct guard_find find = { 0 };
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

        if (fd < 0)
                return;
        find.kinds = guard_classify(finder->settings, fd);
        snprintf(find.path, sizeof(find.path), "%s", path);
        if (find.kinds)
                tell(finder, &find);
}

/* Where the modules of the patches usually lie, under `root`. */
static void look_under(const struct finder *finder, const char *root)
{
        for (size_t p = 0; p < finder->settings->n_patches; p++) {
                const struct patch *patch = finder->settings->patches[p];

                for (size_t t = 0; t < patch->n_targets; t++) {
                        for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
                                char path[512];

                                if (strchr(patch->targets[t].module, '/'))
                                        continue;
                                snprintf(path, sizeof(path), "%s%s/%s", root, folders[i],
                                         patch->targets[t].module);
                                look_at_file(finder, path);
                        }
                }
        }
}

/* --- Processes --------------------------------------------------------------------------- */

static void look_at_process(const struct finder *finder, pid_t pid, struct module_cache *cache)
{
        _cleanup_(maps_done) struct maps maps = { 0 };
        _cleanup_(modules_done) struct modules modules = { 0 };

        if (maps_read(pid, &maps, NULL) != 0 || modules_read(pid, &maps, cache, &modules, NULL) != 0)
                return;
        for (size_t i = 0; i < modules.n_items; i++) {
                char path[512];

                if (!is_target(finder->settings, &modules.items[i].build_id))
                        continue;
                snprintf(path, sizeof(path), "/proc/%d/root%.450s", pid, modules.items[i].path);
                look_at_file(finder, path);
        }
}

static void look_at_files(const struct finder *finder)
{
        _cleanup_(module_cache_freep) struct module_cache *cache = module_cache_new();
        _cleanup_free_ pid_t *pids = NULL;
        size_t n = 0;

        for (size_t i = 0; i < finder->settings->n_files; i++)
                look_at_file(finder, finder->settings->files[i]);
        look_under(finder, "");
        if (process_list(&pids, &n, NULL) != 0)
                return;
        for (size_t i = 0; i < n; i++)
                look_at_process(finder, pids[i], cache);
}

/* --- Containers -------------------------------------------------------------------------- */

/* proc(5), /proc/PID/mountinfo: ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [...] - TYPE SOURCE ... */
static void look_at_mounts(const struct finder *finder, pid_t pid)
{
        _cleanup_buffer_ struct buffer text = { 0 };
        char path[64], *line, *rest = NULL;

        snprintf(path, sizeof(path), "/proc/%d/mountinfo", pid);
        if (file_read(path, MAX_MOUNTINFO, &text, NULL) < 0)
                return;
        for (line = strtok_r((char *)text.data, "\n", &rest); line;
             line = strtok_r(NULL, "\n", &rest)) {
                struct guard_find find = { .kinds = GUARD_FIND_OVERLAY, .pid = pid };
                char point[400];

                if (!strstr(line, " - overlay ") ||
                    sscanf(line, "%*s %*s %*s %*s %399s", point) != 1)
                        continue;
                snprintf(find.path, sizeof(find.path), "/proc/%d/root%s", pid, point);
                tell(finder, &find);
        }
}

static bool is_new_namespace(struct finder *finder, uint64_t inode)
{
        uint64_t *slot;

        for (size_t i = 0; i < finder->n_namespaces; i++)
                if (finder->namespaces[i] == inode)
                        return false;
        slot = ARRAY_PUSH(finder->namespaces, finder->n_namespaces);
        if (slot)
                *slot = inode;
        return true;
}

/* Every mount namespace once a round, since mounts come and go; its processes when it is new. */
static void look_at_namespaces(struct finder *finder, bool first)
{
        _cleanup_free_ uint64_t *seen = NULL;
        _cleanup_free_ pid_t *pids = NULL;
        size_t n = 0, n_seen = 0;

        if (process_list(&pids, &n, NULL) != 0)
                return;
        for (size_t i = 0; i < n; i++) {
                struct guard_find running = { .kinds = GUARD_FIND_RUNNING, .pid = pids[i] };
                struct stat status;
                char path[64];
                bool known = false;
                uint64_t *slot;

                snprintf(path, sizeof(path), "/proc/%d/ns/mnt", pids[i]);
                if (stat(path, &status) < 0)
                        continue;
                for (size_t j = 0; j < n_seen && !known; j++)
                        known = seen[j] == status.st_ino;
                if (known)
                        continue;
                slot = ARRAY_PUSH(seen, n_seen);
                if (slot)
                        *slot = status.st_ino;
                look_at_mounts(finder, pids[i]);
                if (is_new_namespace(finder, status.st_ino) && !first)
                        tell(finder, &running);
        }
}

/* --- The process ------------------------------------------------------------------------- */

static void answer_request(const struct finder *finder)
{
        struct guard_find done = { .kinds = GUARD_FIND_DONE };
        struct guard_find_request request;
        ssize_t n = recv(finder->socket, &request, sizeof(request), 0);
        char root[64];

        if (n < 0 && errno == EINTR)
                return;
        if (n != (ssize_t)sizeof(request))
                _exit(0);
        snprintf(root, sizeof(root), "/proc/%d/root", request.pid);
        look_under(finder, root);
        done.pid = request.pid;
        done.token = request.token;
        tell(finder, &done);
}

void guard_finder_run(const struct guard_settings *settings, int socket, pid_t keeper)
{
        struct finder finder = { .settings = settings, .socket = socket };
        struct guard_find done = { .kinds = GUARD_FIND_DONE };
        uint64_t files_at_ns = 0, mounts_at_ns = 0;
        bool first = true;

        guard_part_begin("suture-finder", keeper);
        for (;;) {
                struct pollfd poll_fd = { .fd = socket, .events = POLLIN };

                if (files_at_ns == 0 || clock_now_ns() - files_at_ns > FILES_EVERY_NS) {
                        look_at_files(&finder);
                        files_at_ns = clock_now_ns();
                }
                if (clock_now_ns() - mounts_at_ns > (MOUNTS_EVERY_MS - 1) * UINT64_C(1000000)) {
                        look_at_namespaces(&finder, first);
                        mounts_at_ns = clock_now_ns();
                }
                if (first)
                        tell(&finder, &done);
                first = false;
                if (poll(&poll_fd, 1, MOUNTS_EVERY_MS) > 0)
                        answer_request(&finder);
        }
}
