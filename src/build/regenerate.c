/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The copy has everything the build made, with its times, so make finds that only what depends on the
 * changed files is out of date. The packaging is not asked (it would configure anew, and everything
 * would be compiled): dh_auto_build finds the build system itself, and where debian/rules has its own
 * way for that step, that is taken. A project's own command is given again. Compilers are not watched: what is needed of them was noted when
 * the original was built. Which files changed is seen by comparing the two trees.
 */
#include "build/regenerate.h"

#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/file.h"
#include "build/change-kind.h"

enum { MAX_SOURCE_BYTES = 64 << 20 };

static const char build_script[] =
        "export DEB_BUILD_OPTIONS='nocheck nostrip noautodbgsym'\n"
        "[ -e debian/rules ] || exec make\n"
        "for step in override_dh_auto_build-arch override_dh_auto_build; do\n"
        "        if grep -q \"^$step *:\" debian/rules; then\n"
        "                exec make -f debian/rules \"$step\"\n"
        "        fi\n"
        "done\n"
        "if grep -q '[[:space:]]dh ' debian/rules; then exec dh_auto_build; fi\n"
        "exec make -f debian/rules build-arch\n";

static int run_build(const struct store *store, const struct rebuilt *rebuilt, bool *ret_ok,
                     struct error *err)
{
        _cleanup_free_ char *copy = path_format("%s/" FIX_TREE, rebuilt->work);
        int status = 0, r;
        _cleanup_(root_command_done) struct root_command command = {
                .directory = rebuilt->tree, .bind_from = copy, .bind_to = rebuilt->tree,
                .status = &status, .wrapped = !rebuilt->root[0], /* for its environment only */
        };

        if (!copy)
                return error_no_memory(err);
        *ret_ok = false;
        if (!root_can_bind(rebuilt->root))
                return 0;
        r = root_run_script(store, rebuilt->root, &command,
                            rebuilt->command ? rebuilt->command : build_script,
                            "making generated sources again", err);
        *ret_ok = r == 0 && status == 0;
        return r;
}

static int same_text(const char *a, const char *b, bool *ret, struct error *err)
{
        _cleanup_buffer_ struct buffer text_a = { 0 }, text_b = { 0 };
        int r = file_read(a, MAX_SOURCE_BYTES, &text_a, err);

        if (r == 0)
                r = file_read(b, MAX_SOURCE_BYTES, &text_b, err);
        if (r == 0)
                *ret = text_a.size == text_b.size &&
                       memcmp(text_a.data, text_b.data, text_a.size) == 0;
        return r;
}

/* Takes it if it is a C file that the build made otherwise than before. */
static int look_at(const struct rebuilt *rebuilt, const FTSENT *entry, const char *name,
                   struct applied_fix *fix, bool *ret_made, struct error *err)
{
        _cleanup_free_ char *original = path_format("%s%s/%s", rebuilt->root, rebuilt->tree, name);
        struct stat status;
        bool same = false;
        int r;

        if (!original)
                return error_no_memory(err);
        if (change_kind_of(name) != CHANGE_CODE || words_contain(&fix->changed, name) ||
            words_contain(&fix->aside, name) || lstat(original, &status) < 0 ||
            !S_ISREG(status.st_mode))
                return 0;
        r = same_text(original, entry->fts_path, &same, err);
        if (r < 0 || same)
                return r;
        *ret_made = true;
        return words_add(&fix->changed, name) ? 0 : error_no_memory(err);
}

static int find_made(const struct rebuilt *rebuilt, struct applied_fix *fix, bool *ret_made,
                     struct error *err)
{
        _cleanup_free_ char *copy = path_format("%s%s/" FIX_TREE, rebuilt->root, rebuilt->work);
        FTS *walk = copy ? fts_open((char *const[]){ copy, NULL }, FTS_PHYSICAL | FTS_NOCHDIR, NULL)
                         : NULL;
        FTSENT *entry;
        int r = 0;

        if (!walk)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't read the fixed tree");
        while (r == 0 && (entry = fts_read(walk)))
                if (entry->fts_info == FTS_F)
                        r = look_at(rebuilt, entry, entry->fts_path + strlen(copy) + 1, fix,
                                    ret_made, err);
        fts_close(walk);
        return r;
}

int regenerate(const struct store *store, const struct rebuilt *rebuilt, struct applied_fix *fix,
               bool *ret_made, struct error *err)
{
        bool ok = false;
        int r;

        *ret_made = false;
        if (!root_can_bind(rebuilt->root))
                return 0;
        r = run_build(store, rebuilt, &ok, err);
        return r < 0 || !ok ? r : find_made(rebuilt, fix, ret_made, err);
}
