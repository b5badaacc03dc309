/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making a root is mmdebstrap's work, installing in it is apt's: the host's apt with the private
 * settings, and dpkg inside the root (DPkg::Chroot-Directory), so the root needs neither network
 * nor keys, and downloaded packages are shared by all builds. All mounts are made in the mount
 * namespace of the command that needs them, so none is ever seen by the host or left behind.
 */
#include "build/root.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/file.h"
#include "build/wrapper-source.h"

#define BASE_PACKAGES "fakeroot"
#define BASE_RECIPE "buildd+" BASE_PACKAGES " 1"

static int make_base(const struct store *store, const struct apt_state *apt, const char *path,
                     struct error *err)
{
        _cleanup_free_ char *tar = path_format("%s/base.tar", store->temporary);
        _cleanup_free_ char *setting = path_format("TMPDIR=%s", store->temporary);
        _cleanup_free_ char *sources = strdup(apt->sources_text);
        _cleanup_words_ struct words argv = { 0 };
        struct run_options options = { .environment = (const char *const[]){ setting },
                                       .n_environment = 1 };
        static const char *const first[] = {
                "mmdebstrap", "--mode=root", "--variant=buildd", ("--include=" BASE_PACKAGES),
                "--format=tar",
        };
        char *line, *next;
        int r;

        if (!path_exists("/usr/bin/mmdebstrap"))
                return error_set(err, EXIT_CODE_ERROR, 0, "apt-get install mmdebstrap",
                                 "mmdebstrap is not installed; it makes the root to build in");
        if (!tar || !setting || !sources ||
            !words_extend(&argv, first, ARRAY_SIZE(first)) || !words_add(&argv, apt->suite) ||
            !words_add(&argv, tar))
                return error_no_memory(err);
        for (line = strtok_r(sources, "\n", &next); line; line = strtok_r(NULL, "\n", &next))
                if (!words_add(&argv, line))
                        return error_no_memory(err);
        r = run_command(&store->runner, &argv, "making a root with mmdebstrap", &options, err);
        return r < 0 ? r : store_keep(store, tar, path, err);
}

static int make_base_once(const struct store *store, const struct apt_state *apt,
                          const char *path, struct error *err)
{
        _cleanup_close_ int lock = -1;
        int r = store_lock(store, "base", &lock, err);

        return r < 0 || path_exists(path) ? r : make_base(store, apt, path, err);
}

int root_base_ensure(const struct store *store, const struct apt_state *apt, char **ret_path,
                     char **ret_key, struct error *err)
{
        _cleanup_free_ char *recipe = path_format(BASE_RECIPE "\n%s", apt->sources_text);
        _cleanup_free_ char *path = NULL, *key_copy = NULL;
        char key[STORE_KEY_SIZE];
        int r;

        if (!recipe)
                return error_no_memory(err);
        store_key(recipe, key);
        path = store_path(store, "bases/%s-%s.tar", apt->suite, key);
        key_copy = strdup(key);
        if (!path || !key_copy)
                return error_no_memory(err);
        r = path_exists(path) ? 0 : make_base_once(store, apt, path, err);
        if (r < 0)
                return r;
        *ret_path = STEAL(path);
        *ret_key = STEAL(key_copy);
        return 0;
}

/*
 * $1: the root, $2: the tar file. The host's devices are mounted over those of the root, so there it
 * is enough that there is a file; in a user namespace no device can be made.
 */
static const char unpack_script[] =
        "tar --numeric-owner -C \"$1\" --exclude='./dev/?*' -xf \"$2\"\n"
        "mkdir -p \"$1/dev\"\n"
        "for d in null zero full random urandom tty; do : >\"$1/dev/$d\"; done\n"
        "ln -s /proc/self/fd \"$1/dev/fd\"\n"
        "ln -s /proc/self/fd/0 \"$1/dev/stdin\"\n"
        "ln -s /proc/self/fd/1 \"$1/dev/stdout\"\n"
        "ln -s /proc/self/fd/2 \"$1/dev/stderr\"\n"
        "mkdir \"$1/dev/shm\" && chmod 1777 \"$1/dev/shm\"\n";

int root_unpack(const struct store *store, const char *base, const char *root, struct error *err)
{
        int r = directory_make(root, 0755, err);

        if (r < 0)
                return r;
        return RUN(&store->runner, "unpacking the root", NULL, err, "sh", "-ec", unpack_script, "sh",
                   root, base);
}

/* $1: the root, $2: the folder of downloaded packages; then the words for apt-get. */
static const char install_script[] =
        "root=$1 archives=$2\n"
        "shift 2\n"
        "mount -t proc -o nosuid,nodev,noexec proc \"$root/proc\"\n"
        "for d in null zero full random urandom tty; do\n"
        "        mount --bind /dev/$d \"$root/dev/$d\"\n"
        "done\n"
        "mount --bind \"$archives\" \"$root/var/cache/apt/archives\"\n"
        "printf '#!/bin/sh\\nexit 101\\n' >\"$root/usr/sbin/policy-rc.d\"\n"
        "chmod 755 \"$root/usr/sbin/policy-rc.d\"\n"
        "exec apt-get \"$@\"\n";

static int run_install(const struct store *store, const struct apt_state *apt, const char *root,
                       const struct words *words, struct error *err)
{
        _cleanup_free_ char *config = path_format("%s/root-apt.conf", store->temporary);
        _cleanup_free_ char *setting = path_format("APT_CONFIG=%s/root-apt.conf", store->temporary);
        _cleanup_free_ char *archives = store_path(store, "apt/cache/archives");
        _cleanup_words_ struct words argv = { 0 };
        struct run_options options = { .environment = (const char *const[]){ setting },
                                       .n_environment = 1 };
        const char *const first[] = { "sh", "-ec", install_script, "sh", root, archives };
        int r;

        if (!config || !setting || !archives || !words_extend(&argv, first, ARRAY_SIZE(first)) ||
            !words_extend(&argv, (const char *const *)words->items, words->n_items))
                return error_no_memory(err);
        r = apt_state_config_for_root(store, apt, root, config, err);
        return r < 0 ? r : run_command(&store->runner, &argv, "installing the build dependencies",
                                       &options, err);
}

static int install(const struct store *store, const struct apt_state *apt, const char *root,
                   const struct words *words, struct error *err)
{
        _cleanup_close_ int lock = -1;
        int r = store_lock(store, APT_LOCK, &lock, err);

        if (r == 0)
                r = apt_state_update(store, apt, false, err);
        if (r < 0)
                return r;
        r = run_install(store, apt, root, words, err);
        if (r < 0 && r != -EINTR) { /* lists may be older than the archive */
                r = apt_state_update(store, apt, true, err);
                if (r == 0)
                        r = run_install(store, apt, root, words, err);
        }
        return r;
}

int root_install_dependencies(const struct store *store, const struct apt_state *apt,
                              const char *root, const char *source, struct error *err)
{
        _cleanup_words_ struct words words = { 0 };
        const char *const arguments[] = { "build-dep", "--arch-only", "-qq", "-y", source };

        if (!words_extend(&words, arguments, ARRAY_SIZE(arguments)))
                return error_no_memory(err);
        return install(store, apt, root, &words, err);
}

int root_install_packages(const struct store *store, const struct apt_state *apt,
                          const char *root, const char *const *packages, size_t n,
                          struct error *err)
{
        _cleanup_words_ struct words words = { 0 };
        const char *const arguments[] = { "install", "--no-install-recommends", "-qq", "-y", "--" };

        if (n == 0)
                return 0;
        if (!words_extend(&words, arguments, ARRAY_SIZE(arguments)) ||
            !words_extend(&words, packages, n))
                return error_no_memory(err);
        return install(store, apt, root, &words, err);
}

void root_command_done(struct root_command *command)
{
        words_done(&command->arguments);
        words_done(&command->environment);
        *command = (struct root_command){ 0 };
}

/*
 * $1: the root, $2 and $3: what to bind where, $4: user:group; then the command. The shell stays, as
 * the first process of the PID namespace and as root: a process that changes its user loses the
 * parent-death signal (prctl(2)), and the command would go on without suture.
 */
static const char enter_script[] =
        "root=$1 from=$2 to=$3 user=$4\n"
        "shift 4\n"
        "mount -t proc -o nosuid,nodev,noexec proc \"$root/proc\"\n"
        "for d in null zero full random urandom tty; do\n"
        "        mount --bind /dev/$d \"$root/dev/$d\"\n"
        "done\n"
        "[ -z \"$from\" ] || mount --bind \"$root$from\" \"$root$to\"\n"
        "status=0\n"
        "chroot --userspec=\"$user\" --groups= \"$root\" \"$@\" || status=$?\n"
        "exit $status\n";

bool root_can_bind(const char *root)
{
        return root[0] || run_isolation() != RUN_PLAIN;
}

/* $1 and $2: what to bind where, with all that is mounted below; then the command. */
static const char bind_script[] = "mount --rbind \"$1\" \"$2\"\n"
                                  "shift 2\n"
                                  "exec \"$@\"\n";

/* The command changes its folder itself: it must enter what was mounted over it. */
static int run_in_place(const struct store *store, const struct root_command *command,
                        const char *what, struct error *err)
{
        _cleanup_words_ struct words argv = { 0 };
        struct run_options options = {
                .output = command->output, .status = command->status, .quote = command->quote,
                .own_environment = command->wrapped, .as_owner = command->bind_from != NULL,
                .environment = (const char *const *)command->environment.items,
                .n_environment = command->environment.n_items,
        };
        const char *const bind[] = { "sh", "-ec", bind_script, "sh", command->bind_from,
                                     command->bind_to };
        const char *const enter[] = { "/usr/bin/env", "-C",
                                      command->directory ? command->directory : "/" };

        if ((command->bind_from && !words_extend(&argv, bind, ARRAY_SIZE(bind))) ||
            !words_extend(&argv, enter, ARRAY_SIZE(enter)) ||
            !words_extend(&argv, (const char *const *)command->arguments.items,
                          command->arguments.n_items))
                return error_no_memory(err);
        return run_command(&store->runner, &argv, what, &options, err);
}

int root_run(const struct store *store, const char *root, const struct root_command *command,
             const char *what, struct error *err)
{
        _cleanup_words_ struct words argv = { 0 };
        struct run_options options = { .output = command->output, .no_network = true,
                                       .status = command->status, .quote = command->quote };
        const char *const enter[] = {
                "sh", "-ec", enter_script, "sh", root,
                command->bind_from ? command->bind_from : "",
                command->bind_to ? command->bind_to : "",
                command->as_root ? "0:0" : ROOT_BUILDER,
                "/usr/bin/env", "-i", "-C", command->directory ? command->directory : "/",
                command->wrapped ? "PATH=" ROOT_TOOLS "/bin:" RUN_PATH : "PATH=" RUN_PATH,
                "LC_ALL=C.UTF-8", "HOME=/build",
        };

        if (!root[0])
                return run_in_place(store, command, what, err);
        if (!words_extend(&argv, enter, ARRAY_SIZE(enter)) ||
            !words_extend(&argv, (const char *const *)command->environment.items,
                          command->environment.n_items) ||
            !words_extend(&argv, (const char *const *)command->arguments.items,
                          command->arguments.n_items))
                return error_no_memory(err);
        return run_command(&store->runner, &argv, what, &options, err);
}

int root_run_script(const struct store *store, const char *root, struct root_command *command,
                    const char *script, const char *what, struct error *err)
{
        words_done(&command->arguments);
        if (!words_add(&command->arguments, "sh") || !words_add(&command->arguments, "-ec") ||
            !words_add(&command->arguments, script))
                return error_no_memory(err);
        return root_run(store, root, command, what, err);
}

/* The wrapper answers to every compiler's name; the builder gets an account and its folders. */
static const char wrapper_script[] =
        "echo 'builder:x:59999:59999::/build:/bin/sh' >>/etc/passwd\n"
        "echo 'builder:x:59999:' >>/etc/group\n"
        "mkdir -p /build /suture/bin /suture/log /suture/work\n"
        "chown 59999:59999 /build /suture/log /suture/work\n"
        "gcc -O2 -o /suture/bin/compile-wrapper /suture/compile-wrapper.c\n"
        "cd /usr/bin\n"
        "for name in *; do\n"
        "        case ${name#x86_64-linux-gnu-} in\n"
        "        cc|c++|c89|c99|gcc|gcc-[0-9]*|g++|g++-[0-9]*|clang|clang-[0-9]*|clang++|"
        "clang++-[0-9]*)\n"
        "                ln -sf compile-wrapper \"/suture/bin/$name\" ;;\n"
        "        esac\n"
        "done\n";

int root_install_wrapper(const struct store *store, const char *root, struct error *err)
{
        _cleanup_(root_command_done) struct root_command command = { .as_root = true };
        _cleanup_free_ char *folder = path_format("%s" ROOT_TOOLS, root);
        _cleanup_free_ char *source = path_format("%s" ROOT_TOOLS "/compile-wrapper.c", root);
        int r;

        if (!folder || !source)
                return error_no_memory(err);
        r = directory_make(folder, 0755, err);
        if (r == 0)
                r = file_write_atomic(source, wrapper_source, strlen(wrapper_source), 0644, err);
        if (r == 0)
                r = root_run_script(store, root, &command, wrapper_script,
                                    "preparing the root", err);
        return r;
}
