/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The copy holds everything the build made, so that generated headers are there too; when the fixed
 * source is compiled, the copy is mounted in the place of the original tree, and every path is as it
 * was. patch runs in the root as the unprivileged builder: a fix is somebody else's text.
 */
#include "build/fix.h"

#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "build/change-kind.h"
#include "build/line-keep.h"

enum { MAX_SOURCE_BYTES = 64 << 20 };

void applied_fix_done(struct applied_fix *fix)
{
        words_done(&fix->changed);
        words_done(&fix->failed);
        words_done(&fix->copied);
        words_done(&fix->read);
        words_done(&fix->others);
        words_done(&fix->aside);
        *fix = (struct applied_fix){ 0 };
}

static bool add_once(struct words *words, const char *text, size_t length)
{
        _cleanup_free_ char *word = strndup(text, length);

        if (!word)
                return false;
        return words_contain(words, word) || words_add(words, word);
}

/* A path that patch said: relative and below the tree, since patch refuses others. */
static size_t path_length(const char *text)
{
        const char *end = strpbrk(text, "\n");
        const char *renamed = strstr(text, " (");
        size_t length = end ? (size_t)(end - text) : strlen(text);

        if (renamed && renamed < text + length)
                length = (size_t)(renamed - text);
        return length;
}

bool fix_read_report(const char *report, struct applied_fix *ret)
{
        static const char patching[] = "patching file ", checking[] = "checking file ";
        const char *file = NULL;
        size_t length = 0;

        for (; *report; report += strcspn(report, "\n"), report += *report == '\n') {
                size_t line = strcspn(report, "\n");

                if (strncmp(report, patching, strlen(patching)) == 0 ||
                    strncmp(report, checking, strlen(checking)) == 0) {
                        file = report + strlen(patching);
                        length = path_length(file);
                        if (!add_once(&ret->changed, file, length))
                                return false;
                }
                if (memmem(report, line, " with fuzz ", 11))
                        ret->fuzzy = true;
                if (strncmp(report, "can't find file to patch", 24) == 0)
                        file = "(a file that the source does not have)", length = strlen(file);
                if (file && (memmem(report, line, " FAILED", 7) ||
                             memmem(report, line, " ignored", 8)) &&
                    !add_once(&ret->failed, file, length))
                        return false;
        }
        return true;
}

bool fix_sort(struct applied_fix *fix)
{
        struct words all = fix->changed;
        bool ok = true;

        fix->changed = (struct words){ 0 };
        for (size_t i = 0; ok && i < all.n_items; i++) {
                enum change_kind kind = change_kind_of(all.items[i]);

                ok = words_add(kind == CHANGE_CODE || kind == CHANGE_OTHER ? &fix->changed
                               : kind == CHANGE_OTHER_CODE || kind == CHANGE_RECIPE
                                       ? &fix->others
                                       : &fix->aside,
                               all.items[i]);
        }
        words_done(&all);
        return ok;
}

bool fix_set_aside_unread(struct applied_fix *fix)
{
        struct words all = fix->changed;
        bool ok = true;

        fix->changed = (struct words){ 0 };
        for (size_t i = 0; ok && i < all.n_items; i++)
                ok = words_add(words_contain(&fix->read, all.items[i]) ? &fix->changed
                                                                       : &fix->aside,
                               all.items[i]);
        words_done(&all);
        return ok;
}

static int make_copy(const struct store *store, const struct rebuilt *rebuilt, struct error *err)
{
        _cleanup_free_ char *tree = path_format("%s%s", rebuilt->root, rebuilt->tree);
        _cleanup_free_ char *copy = path_format("%s%s/" FIX_TREE, rebuilt->root, rebuilt->work);
        static const char script[] =
                "mkdir \"$2\"\n"
                "[ -z \"$3\" ] || chown \"$3\" \"$2\"\n"
                "cd \"$1\"\n"
                "exec find . -mindepth 1 -maxdepth 1 ! -name .git ! -name .svn ! -name .hg ! -name .bzr "
                "-exec cp -a --reflink=auto -t \"$2\" {} +\n";
        int r;

        if (!tree || !copy)
                return error_no_memory(err);
        r = rebuilt_make_work(store, rebuilt, err);
        if (r < 0)
                return r;
        return RUN(&store->runner, "copying the source tree", NULL, err, "sh", "-ec", script, "sh",
                   tree, copy, rebuilt->root[0] ? ROOT_BUILDER : "");
}

static int run_patch(const struct store *store, const struct rebuilt *rebuilt, const char *file,
                     bool dry_run, const char *fuzz, struct buffer *report, int *ret_status,
                     struct error *err)
{
        _cleanup_free_ char *tree = path_format("%s/" FIX_TREE, rebuilt->work);
        _cleanup_(root_command_done) struct root_command command = {
                .directory = tree, .output = report, .status = ret_status,
        };
        const char *const argv[] = {
                "patch", "-p1", "--force", "--forward", "--no-backup-if-mismatch",
                "--reject-file=-", "--quoting-style=literal", fuzz, "-i", file, "--dry-run",
        };
        int r;

        if (!tree || !words_extend(&command.arguments, argv, ARRAY_SIZE(argv) - !dry_run))
                return error_no_memory(err);
        r = root_run(store, rebuilt->root, &command, "applying the fix", err);
        if (r == 0)
                run_log(&store->runner, "%s", report->data ? (char *)report->data : "");
        return r;
}

/* Without fuzz if that works, else with what patch allows by itself. */
static int apply_one(const struct store *store, const struct rebuilt *rebuilt, const char *fix,
                     size_t index, struct applied_fix *ret, struct error *err)
{
        _cleanup_free_ char *inside = path_format("%s/%zu.patch", rebuilt->work, index);
        _cleanup_free_ char *outside = path_format("%s%s/%zu.patch", rebuilt->root, rebuilt->work,
                                                   index);
        _cleanup_buffer_ struct buffer text = { 0 }, trial = { 0 }, report = { 0 };
        int r, status = 0;

        if (!inside || !outside)
                return error_no_memory(err);
        r = file_read(fix, MAX_SOURCE_BYTES, &text, err);
        if (r == 0)
                r = file_write_atomic(outside, text.data, text.size, 0644, err);
        if (r == 0)
                r = run_patch(store, rebuilt, inside, true, "--fuzz=0", &trial, &status, err);
        if (r == 0)
                r = run_patch(store, rebuilt, inside, false, status ? "--fuzz=2" : "--fuzz=0",
                              &report, &status, err);
        if (r < 0)
                return r;
        if (status > 1 || !report.data)
                return run_fault(&store->runner, err, "%s is not a patch that patch(1) takes", fix);
        return fix_read_report((char *)report.data, ret) ? 0 : error_no_memory(err);
}

static int diff_lines(const struct store *store, const char *original, const char *fixed,
                      struct buffer *ret, struct error *err)
{
        int status = 0;
        struct run_options options = { .output = ret, .status = &status, .max_output = 256 << 20 };
        int r = RUN(&store->runner, "comparing the lines", &options, err, "diff", "-a", "--",
                    original, fixed);

        if (r == 0 && status > 1)
                return run_fault(&store->runner, err, "%s and its fixed form can't be compared",
                                 original);
        return r;
}

static int keep_lines(const struct store *store, const struct rebuilt *rebuilt, const char *name,
                      struct error *err)
{
        _cleanup_free_ char *original = path_format("%s%s/%s", rebuilt->root, rebuilt->tree, name);
        _cleanup_free_ char *fixed = path_format("%s%s/" FIX_TREE "/%s", rebuilt->root,
                                                 rebuilt->work, name);
        _cleanup_buffer_ struct buffer diff = { 0 }, text = { 0 }, kept = { 0 };
        _cleanup_free_ struct line_hunk *hunks = NULL;
        size_t n_hunks = 0;
        int r;

        if (!original || !fixed)
                return error_no_memory(err);
        if (!path_exists(original) || !path_exists(fixed))
                return 0; /* added or removed: there is nothing to keep */
        r = diff_lines(store, original, fixed, &diff, err);
        if (r == 0)
                r = file_read(fixed, MAX_SOURCE_BYTES, &text, err);
        if (r < 0)
                return r;
        if (memchr(text.data, '\0', text.size))
                return 0;
        if (!line_hunks_parse(diff.data ? (char *)diff.data : "", &hunks, &n_hunks) ||
            !line_keep((char *)text.data, hunks, n_hunks, &kept))
                return error_no_memory(err);
        return file_write_atomic(fixed, kept.data, kept.size, 0644, err);
}

/*
 * Some packages copy their source during the build and compile the copies (twice, for two kinds of
 * library). A file of the same name and with the same content as a changed one's original is such a
 * copy, and is changed with it.
 */
static int change_copies(const struct store *store, const struct rebuilt *rebuilt,
                         struct applied_fix *fix, struct words *ret, struct error *err)
{
        static const char script[] =
                "fixed=$1\n"
                "shift\n"
                "for name; do\n"
                "        [ -f \"$name\" ] && [ -s \"$name\" ] && [ -f \"$fixed/$name\" ] || continue\n"
                "        copies=$(find . -type f -name \"${name##*/}\" ! -path \"./$name\" "
                "-exec cmp -s \"$name\" {} \\; -exec cp \"$fixed/$name\" \"$fixed/\"{} \\; "
                "-printf '+%P\\n')\n"
                "        [ -z \"$copies\" ] || printf '=%s\\n%s\\n' \"$name\" \"$copies\"\n"
                "done\n";
        _cleanup_buffer_ struct buffer output = { 0 };
        _cleanup_(root_command_done) struct root_command command = {
                .directory = rebuilt->tree, .output = &output,
        };
        const char *const argv[] = { "sh", "-ec", script, "sh" };
        bool ok = words_extend(&command.arguments, argv, ARRAY_SIZE(argv)) &&
                  words_addf(&command.arguments, "%s/" FIX_TREE, rebuilt->work);
        int r;

        for (size_t i = 0; ok && i < fix->changed.n_items; i++)
                if (change_kind_of(fix->changed.items[i]) == CHANGE_CODE)
                        ok = words_add(&command.arguments, fix->changed.items[i]);
        if (!ok)
                return error_no_memory(err);
        r = root_run(store, rebuilt->root, &command, "looking for copies of what changed", err);
        if (r < 0 || output.size == 0)
                return r;
        run_log(&store->runner, "changed too, for they are copies:\n%s", (char *)output.data);
        for (const char *line = (char *)output.data; *line;
             line += strcspn(line, "\n"), line += *line == '\n')
                if (strcspn(line, "\n") > 1 &&
                    !add_once(*line == '=' ? &fix->copied : ret, line + 1,
                              strcspn(line, "\n") - 1))
                        return error_no_memory(err);
        return 0;
}

static int no_fit(const struct store *store, const struct applied_fix *fix, struct error *err)
{
        int r = run_fault(&store->runner, err, "the fix does not fit this version of the source%s%s",
                          fix->failed.n_items ? ": " : "",
                          fix->failed.n_items ? fix->failed.items[0] : "");

        if (err)
                snprintf(err->next, sizeof(err->next),
                         "give the fixes that come before it too, in their order; the log %s tells "
                         "which parts failed", store->log_path);
        return r;
}

int fix_apply(const struct store *store, const struct rebuilt *rebuilt, const char *const *fixes,
              size_t n_fixes, struct applied_fix *ret, struct error *err)
{
        _cleanup_(applied_fix_done) struct applied_fix fix = { 0 };
        _cleanup_words_ struct words copies = { 0 };
        int r = make_copy(store, rebuilt, err);

        for (size_t i = 0; r == 0 && i < n_fixes; i++)
                r = apply_one(store, rebuilt, fixes[i], i, &fix, err);
        if (r < 0)
                return r;
        if (fix.changed.n_items == 0 || fix.changed.n_items == fix.failed.n_items)
                return no_fit(store, &fix, err);
        r = change_copies(store, rebuilt, &fix, &copies, err);
        for (size_t i = 0; r == 0 && i < fix.changed.n_items; i++)
                if (change_kind_of(fix.changed.items[i]) == CHANGE_CODE)
                        r = keep_lines(store, rebuilt, fix.changed.items[i], err);
        for (size_t i = 0; r == 0 && i < copies.n_items; i++)
                r = keep_lines(store, rebuilt, copies.items[i], err);
        /* A copy is what its original is, wherever the build put it. */
        if (r == 0 && !(fix_sort(&fix) && words_extend(&fix.changed, (const char *const *)
                                                       copies.items, copies.n_items)))
                return error_no_memory(err);
        if (r < 0)
                return r;
        *ret = fix;
        fix = (struct applied_fix){ 0 };
        return 0;
}
