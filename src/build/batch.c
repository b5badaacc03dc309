/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One shell script runs all: it writes a small script for each job and gives their names to xargs. So
 * only one command has to enter the root, and to mount there.
 */
#include "build/batch.h"

#include <string.h>
#include <unistd.h>
#include "base/file.h"

void batch_done(struct batch *batch)
{
        buffer_done(&batch->script);
}

static bool is_below(const char *path, const char *folder)
{
        size_t length = strlen(folder);

        return strncmp(path, folder, length) == 0 && (path[length] == '/' || !path[length]);
}

/* The path that a word is or that an option ends with; NULL if it is no path to read from. */
static const char *path_in_word(const char *word)
{
        static const char *const options[] = {
                "-I", "-iquote", "-isystem", "-idirafter", "-include", "-imacros", "--sysroot=",
        };

        if (word[0] != '-')
                return word;
        for (size_t i = 0; i < ARRAY_SIZE(options); i++)
                if (strncmp(word, options[i], strlen(options[i])) == 0 && word[strlen(options[i])])
                        return word + strlen(options[i]);
        return NULL;
}

/* Every mention of `from` that ends there or goes on below it becomes `to`. */
static bool replace_mentions(const char *word, const char *from, const char *to,
                             struct buffer *ret)
{
        size_t length = strlen(from);
        const char *found;

        while ((found = strstr(word, from))) {
                bool whole = !found[length] || strchr("/:,\"'", found[length]);

                if (!buffer_append(ret, word, (size_t)(found - word)) ||
                    !buffer_printf(ret, "%s", whole ? to : from))
                        return false;
                word = found + length;
        }
        return buffer_append(ret, word, strlen(word) + 1);
}

char *batch_move_word(const char *word, const char *directory, const char *from, const char *to)
{
        const char *path = path_in_word(word);
        _cleanup_free_ char *absolute = NULL;
        _cleanup_buffer_ struct buffer whole = { 0 }, moved = { 0 };

        if (path && path[0] != '/' && strchr(path, '/') && !is_below(directory, from)) {
                absolute = path_resolve(directory, path);
                if (!absolute)
                        return NULL;
                if (!is_below(absolute, from))
                        absolute = (free(absolute), NULL);
        }
        if (!buffer_printf(&whole, "%.*s%s", absolute ? (int)(path - word) : 0, word,
                           absolute ? absolute : word) ||
            !replace_mentions((char *)whole.data, from, to, &moved))
                return NULL;
        return (char *)STEAL(moved.data);
}

static bool is_moved(const struct batch *batch)
{
        return batch->fixed && !root_can_bind(batch->rebuilt->root);
}

/* The words of the command, its folder first, each for a shell. */
static bool add_words(struct batch *batch, const struct compile_command *command,
                      const struct words *argv)
{
        _cleanup_free_ char *copy = path_format("%s/" FIX_TREE, batch->rebuilt->work);
        const char *tree = batch->rebuilt->tree;
        _cleanup_free_ char *directory = NULL;
        _cleanup_words_ struct words words = { 0 };
        bool moved = is_moved(batch), ok = copy;

        directory = !ok     ? NULL
                    : moved ? batch_move_word(command->directory, "/", tree, copy)
                            : strdup(command->directory);
        ok = directory && words_add(&words, "env") &&
             words_extend(&words, command->environment, command->n_environment);
        for (size_t i = 0; ok && i < argv->n_items; i++) {
                _cleanup_free_ char *word =
                        moved ? batch_move_word(argv->items[i], command->directory, tree, copy)
                              : strdup(argv->items[i]);

                ok = word && words_add(&words, word) &&
                     (i > 0 || !moved || words_addf(&words, "-ffile-prefix-map=%s=%s", copy, tree));
        }
        ok = ok && buffer_printf(&batch->script, "cd ") && shell_quote(&batch->script, directory) &&
             buffer_printf(&batch->script, "\nexec");
        for (size_t i = 0; ok && i < words.n_items; i++)
                ok = buffer_printf(&batch->script, " ") &&
                     shell_quote(&batch->script, words.items[i]);
        return ok;
}

bool batch_add(struct batch *batch, const struct compile_unit *unit, const struct words *argv,
               const char *output)
{
        bool ok = buffer_printf(&batch->script, "cat >%zu.sh <<'END-OF-JOB'\n", batch->n_jobs++) &&
                  add_words(batch, &batch->log->commands[unit->command], argv);

        if (ok && output)
                ok = buffer_printf(&batch->script, " >") && shell_quote(&batch->script, output);
        return ok && buffer_printf(&batch->script, "\nEND-OF-JOB\n");
}

int batch_run(const struct store *store, const struct batch *batch, const char *folder,
              const char *what, struct error *err)
{
        const struct rebuilt *rebuilt = batch->rebuilt;
        bool bound = batch->fixed && !is_moved(batch);
        _cleanup_free_ char *tree = path_format("%s/" FIX_TREE, rebuilt->work);
        _cleanup_(root_command_done) struct root_command command = {
                .bind_from = bound ? tree : NULL, .bind_to = bound ? rebuilt->tree : NULL,
        };
        _cleanup_free_ char *script_path = path_format("%s%s/%s.sh", rebuilt->root, rebuilt->work,
                                                       folder);
        _cleanup_free_ char *run = path_format(
                "cd '%s'\nmkdir -p %s\ncd %s\n. ../%s.sh\n"
                "ls | grep '[.]sh$' | sort -n | xargs -n 1 -P %ld sh -e%s\n",
                rebuilt->work, folder, folder, folder, sysconf(_SC_NPROCESSORS_ONLN),
                batch->tolerant ? " || true" : "");
        int r;

        if (!tree || !script_path || !run)
                return error_no_memory(err);
        r = file_write_atomic(script_path, batch->script.data, batch->script.size, 0644, err);
        return r < 0 ? r : root_run_script(store, rebuilt->root, &command, run, what, err);
}
