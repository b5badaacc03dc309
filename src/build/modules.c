/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What was built is known package by package (each .deb is unpacked to a folder of its name), so
 * an installed module's counterpart is the file of the same path in the same package. A module that
 * was only named by its path is looked for by its soname, or its file name for programs, and where
 * several fit the one that proves equal is taken.
 */
#include "build/modules.h"

#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/array.h"
#include "base/cursor.h"
#include "base/file.h"

enum { MAX_MODULE_BYTES = 1 << 30, MAX_CONTROL_BYTES = 1 << 20 };

static void pair_done(struct module_pair *pair)
{
        free(pair->name);
        free(pair->package);
        free(pair->version);
        free(pair->shipped_path);
        free(pair->rebuilt_path);
        buffer_done(&pair->shipped_bytes);
        buffer_done(&pair->rebuilt_bytes);
        build_proof_done(&pair->proof);
        *pair = (struct module_pair){ 0 };
}

void module_pairs_done(struct module_pairs *pairs)
{
        for (size_t i = 0; i < pairs->n_items; i++)
                pair_done(&pairs->items[i]);
        free(pairs->items);
        *pairs = (struct module_pairs){ 0 };
}

/* nftw() has no context; only one walk happens at a time, inside of list_built(). */
static struct words *walk_result;
static bool walk_failed;

static bool is_module_file(const char *path)
{
        unsigned char header[18];
        FILE *file = fopen(path, "re");
        bool is = file && fread(header, 1, sizeof(header), file) == sizeof(header) &&
                  memcmp(header, ELFMAG, SELFMAG) == 0 && header[EI_CLASS] == ELFCLASS64 &&
                  (header[16] == ET_EXEC || header[16] == ET_DYN);

        if (file)
                fclose(file);
        return is;
}

static int walk_one(const char *path, const struct stat *unused, int type, struct FTW *walk)
{
        (void)unused;
        (void)walk;
        if (type == FTW_F && !strstr(path, "/DEBIAN/") && !strstr(path, "/usr/lib/debug/") &&
            is_module_file(path))
                walk_failed |= !words_add(walk_result, path);
        return 0;
}

/* All modules that were built, as paths on the host. */
static int list_built(const struct rebuilt *rebuilt, struct words *ret, struct error *err)
{
        walk_result = ret;
        walk_failed = false;
        nftw(rebuilt->packages, walk_one, 16, FTW_PHYS);
        walk_result = NULL;
        if (walk_failed)
                return error_no_memory(err);
        if (ret->n_items == 0)
                return error_set(err, EXIT_CODE_UNSUPPORTED, 0, NULL,
                                 "the source builds no program and no library");
        return 0;
}

/* DT_SONAME, or NULL. */
static const char *soname(const struct elf_view *view)
{
        struct elf_section dynamic, strings;

        if (!elf_view_find_section_type(view, SHT_DYNAMIC, &dynamic) || !dynamic.data ||
            !elf_view_section(view, dynamic.link, &strings) || !strings.data)
                return NULL;
        for (size_t i = 0; i + 1 <= dynamic.size / sizeof(Elf64_Dyn); i++) {
                Elf64_Dyn entry;

                memcpy(&entry, dynamic.data + i * sizeof(entry), sizeof(entry));
                if (entry.d_tag == DT_SONAME)
                        return bounded_string(strings.data, strings.size, entry.d_un.d_val);
        }
        return NULL;
}

static const char *file_name(const char *path)
{
        return strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
}

/* "Version: " of a binary package's control file. */
static int read_version(const struct rebuilt *rebuilt, const char *package, char **ret,
                        struct error *err)
{
        static const char key[] = "\nVersion: ";
        _cleanup_free_ char *path = path_format("%s/%s/DEBIAN/control", rebuilt->packages, package);
        _cleanup_buffer_ struct buffer text = { 0 };
        const char *found;
        int r = path ? file_read(path, MAX_CONTROL_BYTES, &text, err) : error_no_memory(err);

        if (r < 0)
                return r;
        found = strstr((char *)text.data, key);
        if (!found)
                return error_set(err, EXIT_CODE_ERROR, 0, NULL, "%s has no version", path);
        found += strlen(key);
        *ret = strndup(found, strcspn(found, "\n"));
        return *ret ? 0 : error_no_memory(err);
}

static int open_module(const char *path, struct buffer *bytes, struct elf_view *view,
                       struct error *err)
{
        int r = file_read(path, MAX_MODULE_BYTES, bytes, err);

        return r < 0 ? r : elf_view_open(bytes->data, bytes->size, path, view, err);
}

/* Fills a pair from the two paths. */
static int pair_open(const struct rebuilt *rebuilt, const char *shipped_path,
                     const char *rebuilt_path, struct module_pair *pair, struct error *err)
{
        const char *package = rebuilt_path + strlen(rebuilt->packages) + 1;
        int r;

        pair->shipped_path = strdup(shipped_path);
        pair->rebuilt_path = strdup(rebuilt_path);
        pair->package = strndup(package, strcspn(package, "/"));
        if (!pair->shipped_path || !pair->rebuilt_path || !pair->package)
                return error_no_memory(err);
        r = read_version(rebuilt, pair->package, &pair->version, err);
        if (r == 0)
                r = open_module(shipped_path, &pair->shipped_bytes, &pair->shipped, err);
        if (r == 0)
                r = open_module(rebuilt_path, &pair->rebuilt_bytes, &pair->rebuilt, err);
        if (r < 0)
                return r;
        if (!elf_view_build_id(&pair->shipped, &pair->build_id))
                return error_set(err, EXIT_CODE_UNSUPPORTED, 0, NULL,
                                 "%s has no build ID, so its processes can't be found",
                                 shipped_path);
        pair->name = strdup(soname(&pair->rebuilt) ? soname(&pair->rebuilt)
                                                   : file_name(rebuilt_path));
        if (!pair->name)
                return error_no_memory(err);
        r = prove_equal(&pair->shipped, &pair->rebuilt, &pair->proof, &pair->difference);
        if (r < 0) {
                *err = pair->difference;
                return r;
        }
        pair->proven = r;
        return 0;
}

/* Opens a pair and keeps it in the list, where it is last; a failed one is not kept. */
static int pairs_add(const struct rebuilt *rebuilt, const char *shipped, const char *built,
                     struct module_pairs *pairs, struct error *err)
{
        struct module_pair *pair = ARRAY_PUSH(pairs->items, pairs->n_items);
        int r;

        if (!pair)
                return error_no_memory(err);
        r = pair_open(rebuilt, shipped, built, pair, err);
        if (r < 0) {
                pair_done(pair);
                pairs->n_items--;
        }
        return r;
}

static void pairs_drop_last(struct module_pairs *pairs)
{
        pair_done(&pairs->items[--pairs->n_items]);
}

/* Does a built file answer to the name of the shipped one? */
static bool same_name(const char *built, const char *name, const char *shipped_soname)
{
        _cleanup_buffer_ struct buffer bytes = { 0 };
        struct elf_view view;
        const char *built_soname;

        if (strcmp(file_name(built), name) == 0)
                return true;
        if (!shipped_soname || open_module(built, &bytes, &view, NULL) < 0)
                return false;
        built_soname = soname(&view);
        return built_soname && strcmp(built_soname, shipped_soname) == 0;
}

static int pair_named(const struct rebuilt *rebuilt, const struct words *built,
                      const char *binary, struct module_pairs *pairs, struct error *err)
{
        _cleanup_buffer_ struct buffer bytes = { 0 };
        struct elf_view view;
        size_t n_before = pairs->n_items;
        int r = open_module(binary, &bytes, &view, err);

        if (r < 0)
                return r;
        for (size_t i = 0; i < built->n_items; i++) {
                if (!same_name(built->items[i], file_name(binary), soname(&view)))
                        continue;
                if (pairs->n_items > n_before)
                        pairs_drop_last(pairs);
                r = pairs_add(rebuilt, binary, built->items[i], pairs, err);
                if (r < 0)
                        return r;
                if (pairs->items[n_before].proven == 0)
                        return 0;
        }
        if (pairs->n_items > n_before)
                return 0; /* found, but not equal: the caller tells */
        return error_set(err, EXIT_CODE_ERROR, 0, "check --source and --binary",
                         "nothing that the source builds is called %s", file_name(binary));
}

/* The installed packages that come from this source version: name and folder are the same. */
static int list_installed(const struct store *store, const struct source_package *source,
                          struct words *ret, struct error *err)
{
        _cleanup_buffer_ struct buffer output = { 0 };
        struct run_options options = { .output = &output };
        char *line, *next;
        int r = RUN(&store->runner, "asking dpkg for what is installed", &options, err,
                    "dpkg-query", "-W", "-f",
                    "${db:Status-Status}\t${source:Package}\t${source:Version}\t${Package}\n");

        if (r < 0)
                return r;
        for (line = strtok_r((char *)output.data, "\n", &next); line;
             line = strtok_r(NULL, "\n", &next)) {
                char status[32], name[128], version[128], package[128];

                if (sscanf(line, "%31[^\t]\t%127[^\t]\t%127[^\t]\t%127s", status, name, version,
                           package) == 4 &&
                    strcmp(status, "installed") == 0 && strcmp(name, source->name) == 0 &&
                    strcmp(version, source->version) == 0 && !words_add(ret, package))
                        return error_no_memory(err);
        }
        return 0;
}

static int pair_installed(const struct store *store, const struct rebuilt *rebuilt,
                          const struct source_package *source, const struct words *built,
                          struct module_pairs *pairs, struct error *err)
{
        _cleanup_words_ struct words packages = { 0 };
        int r = list_installed(store, source, &packages, err);

        for (size_t i = 0; r == 0 && i < built->n_items; i++) {
                const char *rest = built->items[i] + strlen(rebuilt->packages) + 1;
                const char *path = strchr(rest, '/');
                _cleanup_free_ char *package = strndup(rest, strcspn(rest, "/"));

                if (!package)
                        return error_no_memory(err);
                if (path && words_contain(&packages, package) && path_exists(path))
                        r = pairs_add(rebuilt, path, built->items[i], pairs, err);
        }
        if (r == 0 && pairs->n_items == 0)
                return error_set(err, EXIT_CODE_ERROR, 0,
                                 "name the shipped module with --binary PATH",
                                 "no package that is installed here is built from %s %s",
                                 source->name, source->version);
        return r;
}

int module_pairs_find(const struct store *store, const struct rebuilt *rebuilt,
                      const struct source_package *source, const char *const *binaries,
                      size_t n_binaries, struct module_pairs *ret, struct error *err)
{
        _cleanup_(module_pairs_done) struct module_pairs pairs = { 0 };
        _cleanup_words_ struct words built = { 0 };
        int r = list_built(rebuilt, &built, err);

        if (r == 0 && n_binaries == 0)
                r = pair_installed(store, rebuilt, source, &built, &pairs, err);
        for (size_t i = 0; r == 0 && i < n_binaries; i++)
                r = pair_named(rebuilt, &built, binaries[i], &pairs, err);
        if (r < 0)
                return r;
        *ret = pairs;
        pairs = (struct module_pairs){ 0 };
        return 0;
}
