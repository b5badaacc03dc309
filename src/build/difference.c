/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Both sources are unpacked side by side in the root ("a" and "b" in the work folder): the built
 * tree is not the one to compare with, since the build may change files. Which files differ is found
 * here; the text of the patch is diff's, run in the root, as the trees are somebody else's. From there
 * on it is a fix like any other.
 */
#include "build/difference.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/array.h"
#include "base/file.h"
#include "build/change-kind.h"
#include "build/tree.h"

enum { MAX_DIFFERENCE_BYTES = 64 << 20, CHUNK_BYTES = 1 << 16 };

void difference_done(struct difference *difference)
{
        free(difference->patch);
        words_done(&difference->set_aside);
        words_done(&difference->removed);
        *difference = (struct difference){ 0 };
}

/* --- unpacking --------------------------------------------------------------------------------- */

/* $1: a name. Patches of a tree that aren't applied yet are, as a build would do. */
static const char unpack_script[] =
        "if [ -d \"$1.dsc\" ]; then\n"
        "        dpkg-source -x \"$1.dsc\"/*.dsc \"$1\"\n"
        "elif [ -e \"$1/debian/source/format\" ]; then\n"
        "        cd \"$1\"\n"
        "        dpkg-source --no-unapply-patches --before-build .\n"
        "fi\n";

static int run_unpack(const struct store *store, const struct rebuilt *rebuilt, const char *name,
                      struct error *err)
{
        _cleanup_(root_command_done) struct root_command command = { .directory = rebuilt->work };
        const char *const argv[] = { "sh", "-ec", unpack_script, "sh", name };

        if (!words_extend(&command.arguments, argv, ARRAY_SIZE(argv)))
                return error_no_memory(err);
        return root_run(store, rebuilt->root, &command, "unpacking the source", err);
}

static int unpack(const struct store *store, const struct rebuilt *rebuilt,
                  const struct source_package *source, const char *name, struct error *err)
{
        _cleanup_free_ char *place = path_format("%s%s/%s%s", rebuilt->root, rebuilt->work, name,
                                                 source->tree ? "" : ".dsc");
        int r;

        if (!place)
                return error_no_memory(err);
        if (!rebuilt->root[0]) /* in place: nothing has to be guarded from anything */
                return symlink(source->tree, place) == 0
                               ? 0
                               : error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't make %s",
                                           place);
        if (source->tree)
                r = tree_copy(store, source->tree, source->key, place, err);
        else
                r = RUN(&store->runner, "copying the source", NULL, err, "cp", "-r",
                        source->folder, place);
        if (r == 0)
                r = RUN(&store->runner, "giving the source to the builder", NULL, err, "chown",
                        "-R", "-h", ROOT_BUILDER, place);
        return r < 0 ? r : run_unpack(store, rebuilt, name, err);
}

/* --- which files differ ------------------------------------------------------------------------ */

/* Two regular files; what can't be read is taken as different, diff will tell. */
static bool same_content(const char *a, const char *b)
{
        _cleanup_close_ int fd_a = open(a, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        _cleanup_close_ int fd_b = open(b, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        static char bytes_a[CHUNK_BYTES], bytes_b[CHUNK_BYTES];
        struct stat status_a, status_b;
        off_t at = 0;

        if (fd_a < 0 || fd_b < 0 || fstat(fd_a, &status_a) < 0 || fstat(fd_b, &status_b) < 0 ||
            !S_ISREG(status_a.st_mode) || status_a.st_size != status_b.st_size)
                return false;
        while (at < status_a.st_size) {
                ssize_t n = pread(fd_a, bytes_a, CHUNK_BYTES, at);

                if (n <= 0 || pread(fd_b, bytes_b, (size_t)n, at) != n ||
                    memcmp(bytes_a, bytes_b, (size_t)n) != 0)
                        return false;
                at += n;
        }
        return true;
}

static bool is_for_the_patch(const char *name)
{
        enum change_kind kind = change_kind_of(name);

        return kind == CHANGE_CODE || kind == CHANGE_OTHER_CODE || kind == CHANGE_RECIPE;
}

struct name_lists {
        struct buffer differing;       /* NUL after each */
        struct difference *difference;
        size_t n_code;
};

static bool take_file(const char *a, const char *b, const char *name, struct name_lists *lists)
{
        _cleanup_free_ char *original = path_format("%s/%s", a, name);
        _cleanup_free_ char *fixed = path_format("%s/%s", b, name);

        if (!original || !fixed)
                return false;
        if (strncmp(name, ".pc/", 4) == 0 || same_content(original, fixed))
                return true;
        if (!is_for_the_patch(name))
                return words_add(&lists->difference->set_aside, name);
        lists->n_code += change_kind_of(name) != CHANGE_RECIPE;
        return buffer_append(&lists->differing, name, strlen(name) + 1);
}

static bool take_removed(const char *b, const char *name, struct name_lists *lists)
{
        _cleanup_free_ char *fixed = path_format("%s/%s", b, name);
        struct stat status;

        if (!fixed)
                return false;
        return lstat(fixed, &status) == 0 || strncmp(name, ".pc/", 4) == 0 ||
               change_kind_of(name) != CHANGE_CODE ||
               words_add(&lists->difference->removed, name);
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
        return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* All files of `walked`, which is a or b. */
static int walk_tree(const struct store *store, const char *a, const char *b, bool walk_fixed,
                     struct name_lists *lists, struct error *err)
{
        const char *walked = walk_fixed ? b : a;
        FTS *walk = fts_open((char *const[]){ (char *)walked, NULL },
                             FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name);
        FTSENT *entry;
        int r = 0;

        if (!walk)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't read %s", walked);
        while (r == 0 && (entry = fts_read(walk))) {
                const char *name = entry->fts_path + strlen(walked) + 1;

                if (entry->fts_info == FTS_F &&
                    !(walk_fixed ? take_file(a, b, name, lists) : take_removed(b, name, lists)))
                        r = error_no_memory(err);
                if (r == 0 && store_interrupted(store))
                        r = error_set(err, EXIT_CODE_ERROR, EINTR, "run it again",
                                      "comparing the sources was stopped");
        }
        fts_close(walk);
        return r;
}

/* --- the patch --------------------------------------------------------------------------------- */

static const char diff_script[] =
        "xargs -r -0 -a \"$1\" -n 1 sh -c 'diff -auN -- \"a/$1\" \"b/$1\" || [ $? = 1 ]' sh\n";

static int write_patch(const struct store *store, const struct rebuilt *rebuilt,
                       const struct buffer *names, const char *patch, struct error *err)
{
        _cleanup_buffer_ struct buffer text = { 0 };
        _cleanup_(root_command_done) struct root_command command = { .directory = rebuilt->work,
                                                                     .output = &text };
        _cleanup_free_ char *list = path_format("%s%s/differing", rebuilt->root, rebuilt->work);
        const char *const argv[] = { "sh", "-ec", diff_script, "sh", "differing" };
        int r;

        if (!list || !words_extend(&command.arguments, argv, ARRAY_SIZE(argv)))
                return error_no_memory(err);
        r = file_write_atomic(list, names->data, names->size, 0644, err);
        if (r == 0)
                r = root_run(store, rebuilt->root, &command, "comparing the sources", err);
        return r < 0 ? r : file_write_atomic(patch, text.data, text.size, 0644, err);
}

static int nothing_differs(const struct source_package *fixed, const struct difference *difference,
                           struct error *err)
{
        return error_set(err, EXIT_CODE_ERROR, 0,
                         "nothing has to be patched, or another fixed source is meant",
                         "no code differs in %s%s%s%s", fixed->tree ? fixed->tree : fixed->name,
                         fixed->tree ? "" : " ", fixed->tree ? "" : fixed->version,
                         difference->set_aside.n_items ? ", only other files" : "");
}

static int compare(const struct store *store, const struct rebuilt *rebuilt,
                   const struct source_package *fixed, struct name_lists *lists,
                   struct error *err)
{
        _cleanup_free_ char *a = path_format("%s%s/a", rebuilt->root, rebuilt->work);
        _cleanup_free_ char *b = path_format("%s%s/b", rebuilt->root, rebuilt->work);
        int r = a && b ? walk_tree(store, a, b, true, lists, err) : error_no_memory(err);

        if (r == 0)
                r = walk_tree(store, a, b, false, lists, err);
        if (r == 0 && lists->n_code == 0)
                return nothing_differs(fixed, lists->difference, err);
        if (r == 0)
                r = write_patch(store, rebuilt, &lists->differing, lists->difference->patch, err);
        return r;
}

int difference_make(const struct store *store, const struct rebuilt *rebuilt,
                    const struct source_package *original, const struct source_package *fixed,
                    struct difference *ret, struct error *err)
{
        _cleanup_(difference_done) struct difference difference = { 0 };
        struct name_lists lists = { .difference = &difference };
        int r;

        difference.patch = path_format("%s/%s_%s.diff", store->temporary, fixed->name,
                                       fixed->version);
        if (!difference.patch)
                return error_no_memory(err);
        r = rebuilt_make_work(store, rebuilt, err);
        if (r == 0)
                r = unpack(store, rebuilt, original, "a", err);
        if (r == 0)
                r = unpack(store, rebuilt, fixed, "b", err);
        if (r == 0)
                r = compare(store, rebuilt, fixed, &lists, err);
        buffer_done(&lists.differing);
        if (r < 0)
                return r;
        *ret = difference;
        difference = (struct difference){ 0 };
        return 0;
}
