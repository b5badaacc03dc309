/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What was built is known package by package (each .deb is unpacked to a folder of its name), so
 * an installed module's counterpart is the file of the same path in the same package. A module that
 * was only named by its path is looked for by its soname, or its file name for programs, and where
 * several fit the one that proves equal is taken.
 */
#include "build/modules.h"

#include <errno.h>
#include <fts.h>
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

static int by_fts_name(const FTSENT **a, const FTSENT **b)
{
        return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* The modules below a folder, in the order of their names. */
static int list_modules(const char *folder, struct words *ret, struct error *err)
{
        FTS *walk = fts_open((char *const[]){ (char *)folder, NULL }, FTS_PHYSICAL | FTS_NOCHDIR,
                             by_fts_name);
        FTSENT *entry;
        int r = 0;

        if (!walk)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't read %s", folder);
        while (r == 0 && (entry = fts_read(walk)))
                if (entry->fts_info == FTS_F && !strstr(entry->fts_path, "/DEBIAN/") &&
                    !strstr(entry->fts_path, "/usr/lib/debug/") &&
                    is_module_file(entry->fts_path) && !words_add(ret, entry->fts_path))
                        r = error_no_memory(err);
        fts_close(walk);
        return r;
}

int modules_list_built(const struct rebuilt *rebuilt, struct words *ret, struct error *err)
{
        _cleanup_free_ char *folder = rebuilt->packages
                                              ? strdup(rebuilt->packages)
                                              : path_format("%s%s", rebuilt->root, rebuilt->tree);
        int r = folder ? list_modules(folder, ret, err) : error_no_memory(err);

        if (r == 0 && ret->n_items == 0)
                return error_set(err, EXIT_CODE_UNSUPPORTED, 0, NULL,
                                 "the source builds no program and no library");
        return r;
}

const char *modules_path_in_package(const struct rebuilt *rebuilt, const char *built)
{
        const char *rest = built + strlen(rebuilt->packages ? rebuilt->packages : rebuilt->root);

        if (!rebuilt->packages)
                return rest + strlen(rebuilt->tree);
        rest++; /* the package's name comes first */
        return rest + strcspn(rest, "/");
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

static int name_package(const struct rebuilt *rebuilt, struct module_pair *pair,
                        struct error *err)
{
        const char *package;

        if (!rebuilt->packages)
                return 0;
        package = pair->rebuilt_path + strlen(rebuilt->packages) + 1;
        pair->package = strndup(package, strcspn(package, "/"));
        return pair->package ? read_version(rebuilt, pair->package, &pair->version, err)
                             : error_no_memory(err);
}

/*
 * A module without a build ID can't be found in processes: named by the caller that is a fault, else
 * it is passed over.
 */
enum pair_outcome { PAIR_WITHOUT_ID = 1 };

/* Fills a pair from the two paths; err is set for PAIR_WITHOUT_ID as well. */
static int pair_open(const struct rebuilt *rebuilt, const char *shipped_path,
                     const char *rebuilt_path, struct module_pair *pair, struct error *err)
{
        int r;

        pair->shipped_path = strdup(shipped_path);
        pair->rebuilt_path = strdup(rebuilt_path);
        if (!pair->shipped_path || !pair->rebuilt_path)
                return error_no_memory(err);
        r = name_package(rebuilt, pair, err);
        if (r == 0)
                r = open_module(shipped_path, &pair->shipped_bytes, &pair->shipped, err);
        if (r == 0)
                r = open_module(rebuilt_path, &pair->rebuilt_bytes, &pair->rebuilt, err);
        if (r < 0)
                return r;
        if (!elf_view_build_id(&pair->shipped, &pair->build_id)) {
                error_set(err, EXIT_CODE_UNSUPPORTED, 0, NULL,
                          "%s has no build ID, so its processes can't be found", shipped_path);
                return PAIR_WITHOUT_ID;
        }
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

static bool is_copy(const struct module_pairs *pairs, const struct module_pair *pair)
{
        for (size_t i = 0; i < pairs->n_items; i++)
                if (&pairs->items[i] != pair &&
                    build_id_equal(&pairs->items[i].build_id, &pair->build_id))
                        return true;
        return false;
}

static void pairs_drop_last(struct module_pairs *pairs)
{
        pair_done(&pairs->items[--pairs->n_items]);
}

/* Opens a pair and keeps it in the list, where it is last; only one that is whole is kept. */
static int pairs_add(const struct rebuilt *rebuilt, const char *shipped, const char *built,
                     struct module_pairs *pairs, struct error *err)
{
        struct module_pair *pair = ARRAY_PUSH(pairs->items, pairs->n_items);
        int r;

        if (!pair)
                return error_no_memory(err);
        r = pair_open(rebuilt, shipped, built, pair, err);
        if (r != 0)
                pairs_drop_last(pairs);
        return r;
}

/* The same, but for a file that is a copy of one in the list, or that can't be patched. */
static int pairs_add_once(const struct rebuilt *rebuilt, const char *shipped, const char *built,
                          struct module_pairs *pairs, struct error *err)
{
        int r = pairs_add(rebuilt, shipped, built, pairs, err);

        if (r == 0 && is_copy(pairs, &pairs->items[pairs->n_items - 1]))
                pairs_drop_last(pairs);
        return r < 0 ? r : 0;
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

/* Tries what has the name of `binary`; nothing is added if nothing has it (0) or it has no ID. */
static int pair_by_name(const struct rebuilt *rebuilt, const struct words *built,
                        const char *binary, struct module_pairs *pairs, struct error *err)
{
        _cleanup_buffer_ struct buffer bytes = { 0 };
        struct elf_view view;
        size_t n_before = pairs->n_items;
        int r = open_module(binary, &bytes, &view, err);

        for (size_t i = 0; r == 0 && i < built->n_items; i++) {
                if (!same_name(built->items[i], file_name(binary), soname(&view)))
                        continue;
                if (pairs->n_items > n_before)
                        pairs_drop_last(pairs);
                r = pairs_add(rebuilt, binary, built->items[i], pairs, err);
                if (r == 0 && pairs->items[n_before].proven == 0)
                        return 0;
        }
        return r; /* if it was found, but is not equal, the caller tells */
}

static int pair_file(const struct rebuilt *rebuilt, const struct words *built, const char *binary,
                     struct module_pairs *pairs, struct error *err)
{
        size_t n_before = pairs->n_items;
        int r = pair_by_name(rebuilt, built, binary, pairs, err);

        if (r != 0)
                return r < 0 ? r : -ENOEXEC;
        if (pairs->n_items == n_before)
                return error_set(err, EXIT_CODE_ERROR, 0, "check what is built, and --binary",
                                 "nothing that the source builds is called %s", file_name(binary));
        pairs->items[n_before].named = true;
        if (is_copy(pairs, &pairs->items[n_before]))
                pairs_drop_last(pairs);
        return 0;
}

/* A module of an unpacked package: what was built for the same place, else under the same name. */
static int pair_below(const struct rebuilt *rebuilt, const struct words *built,
                      const char *binary, const char *place, struct module_pairs *pairs,
                      struct error *err)
{
        size_t n_before = pairs->n_items;
        int r;

        for (size_t i = 0; i < built->n_items; i++) {
                if (strcmp(modules_path_in_package(rebuilt, built->items[i]), place) != 0)
                        continue;
                return pairs_add_once(rebuilt, binary, built->items[i], pairs, err);
        }
        r = pair_by_name(rebuilt, built, binary, pairs, err);
        if (r == 0 && pairs->n_items > n_before && is_copy(pairs, &pairs->items[n_before]))
                pairs_drop_last(pairs);
        return r < 0 ? r : 0;
}

static int pair_folder(const struct rebuilt *rebuilt, const struct words *built,
                       const char *folder, struct module_pairs *pairs, struct error *err)
{
        _cleanup_words_ struct words shipped = { 0 };
        _cleanup_free_ char *full = realpath(folder, NULL);
        size_t n_before = pairs->n_items;
        int r;

        if (!full)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't read %s", folder);
        r = list_modules(full, &shipped, err);
        for (size_t i = 0; r == 0 && i < shipped.n_items; i++)
                r = pair_below(rebuilt, built, shipped.items[i],
                               shipped.items[i] + strlen(full), pairs, err);
        if (r == 0 && pairs->n_items == n_before)
                return error_set(err, EXIT_CODE_ERROR, 0, "check what is built, and --binary",
                                 "no module below %s is one that the source builds", folder);
        return r;
}

static int pair_named(const struct rebuilt *rebuilt, const struct words *built,
                      const char *binary, struct module_pairs *pairs, struct error *err)
{
        struct stat status;

        if (stat(binary, &status) == 0 && S_ISDIR(status.st_mode))
                return pair_folder(rebuilt, built, binary, pairs, err);
        return pair_file(rebuilt, built, binary, pairs, err);
}

static int pair_unshipped(const struct rebuilt *rebuilt, const struct words *built,
                          const char *folder, struct module_pairs *pairs, struct error *err)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < built->n_items; i++) {
                _cleanup_free_ char *path =
                        path_format("%s%s", folder,
                                    modules_path_in_package(rebuilt, built->items[i]));

                if (!path)
                        return error_no_memory(err);
                if (!path_exists(path))
                        return error_set(err, EXIT_CODE_ERROR, ENOENT,
                                         "remove the folder and run it again",
                                         "%s lacks a module of the build: %s", folder, path);
                r = pairs_add_once(rebuilt, path, built->items[i], pairs, err);
        }
        return r;
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
        int r = rebuilt->packages ? list_installed(store, source, &packages, err) : 0;

        for (size_t i = 0; r == 0 && rebuilt->packages && i < built->n_items; i++) {
                const char *path = modules_path_in_package(rebuilt, built->items[i]);
                const char *rest = built->items[i] + strlen(rebuilt->packages) + 1;
                _cleanup_free_ char *package = strndup(rest, strcspn(rest, "/"));

                if (!package)
                        return error_no_memory(err);
                if (words_contain(&packages, package) && path_exists(path))
                        r = pairs_add_once(rebuilt, path, built->items[i], pairs, err);
        }
        if (r == 0 && pairs->n_items == 0)
                return error_set(err, EXIT_CODE_ERROR, 0,
                                 "name the shipped module with --binary, or patch what this build "
                                 "makes with --built-modules",
                                 "no package that is installed here is built from %s %s",
                                 source->name, source->version);
        return r;
}

/* What a project's build left is what runs; scratch programs that have no build ID don't count. */
static int pair_with_itself(const struct rebuilt *rebuilt, const struct words *built,
                            struct module_pairs *pairs, struct error *err)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < built->n_items; i++)
                r = pairs_add_once(rebuilt, built->items[i], built->items[i], pairs, err);
        if (r >= 0 && pairs->n_items == 0)
                return error_set(err, EXIT_CODE_UNSUPPORTED, 0, "link with -Wl,--build-id",
                                 "nothing that was built has a build ID, so its processes can't be "
                                 "found");
        return r < 0 ? r : 0;
}

int module_pairs_find(const struct store *store, const struct rebuilt *rebuilt,
                      const struct source_package *source, const struct build_request *request,
                      struct module_pairs *ret, struct error *err)
{
        _cleanup_(module_pairs_done) struct module_pairs pairs = { 0 };
        _cleanup_words_ struct words built = { 0 };
        int r = modules_list_built(rebuilt, &built, err);

        if (r == 0 && request->built_modules)
                r = pair_unshipped(rebuilt, &built, request->built_modules, &pairs, err);
        else if (r == 0 && request->n_binaries == 0 && !rebuilt->packages)
                r = pair_with_itself(rebuilt, &built, &pairs, err);
        else if (r == 0 && request->n_binaries == 0)
                r = pair_installed(store, rebuilt, source, &built, &pairs, err);
        for (size_t i = 0; r == 0 && i < request->n_binaries; i++)
                r = pair_named(rebuilt, &built, request->binaries[i], &pairs, err);
        if (r < 0)
                return r;
        *ret = pairs;
        pairs = (struct module_pairs){ 0 };
        return 0;
}
