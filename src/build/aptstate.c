/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The system may know third-party repositories, pins and hooks; none of them belongs in a build that
 * must equal Debian's. So apt gets one settings file (APT_CONFIG) that names everything: folders
 * below the cache, no parts, no preferences, and of the system's settings only "Acquire::" (proxies
 * and the like). Repositories are taken from the system if they are Debian's, and are pinned to
 * Debian's archive keyring whatever the system's entry says.
 */
#include "build/aptstate.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include "base/file.h"

#define DEBIAN_KEYRING "/usr/share/keyrings/debian-archive-keyring.gpg"

enum { MAX_SOURCES_BYTES = 1 << 20 };

void apt_state_done(struct apt_state *state)
{
        free(state->config);
        free(state->sources);
        free(state->sources_text);
        free(state->suite);
        *state = (struct apt_state){ 0 };
}

/* One entry, whatever form it was written in. */
struct entry {
        struct words types, uris, suites, components;
        char *signed_by; /* NULL if it doesn't say */
        bool disabled;
};

static void entry_done(struct entry *entry)
{
        words_done(&entry->types);
        words_done(&entry->uris);
        words_done(&entry->suites);
        words_done(&entry->components);
        free(entry->signed_by);
        *entry = (struct entry){ 0 };
}

static bool has_suffix(const char *text, size_t length, const char *suffix)
{
        size_t n = strlen(suffix);

        return length >= n && strncmp(text + length - n, suffix, n) == 0;
}

/* ".../debian", ".../debian-security" and everything at debian.org. */
static bool is_debian_uri(const char *uri)
{
        size_t length = strlen(uri);

        while (length > 0 && uri[length - 1] == '/')
                length--;
        return has_suffix(uri, length, "/debian") || has_suffix(uri, length, "/debian-security") ||
               has_suffix(uri, length, "debian.list") || strstr(uri, ".debian.org/");
}

static bool is_debian_entry(const struct entry *entry, const char *uri)
{
        if (entry->signed_by)
                return strstr(entry->signed_by, "debian-archive-") ||
                       (strstr(entry->signed_by, "BEGIN PGP") && is_debian_uri(uri));
        return is_debian_uri(uri);
}

/* The release itself, its updates and its security: what its packages are made in. */
static bool is_wanted_suite(const char *name, const char *suite)
{
        static const char *const tails[] = { "", "-updates", "-security", "/updates" };
        size_t length = strlen(suite);

        if (strncmp(name, suite, length) != 0)
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(tails); i++)
                if (strcmp(name + length, tails[i]) == 0)
                        return true;
        return false;
}

static bool add_entry(const struct entry *entry, const char *uri, const char *suite,
                      struct words *ret)
{
        _cleanup_buffer_ struct buffer text = { 0 };

        if (!buffer_printf(&text, "%s %s", uri, suite))
                return false;
        for (size_t i = 0; i < entry->components.n_items; i++)
                if (!buffer_printf(&text, " %s", entry->components.items[i]))
                        return false;
        return words_contain(ret, (char *)text.data) || words_add(ret, (char *)text.data);
}

static bool add_if_debian(const struct entry *entry, const char *suite, struct words *ret)
{
        if (entry->disabled || entry->components.n_items == 0 ||
            !(words_contain(&entry->types, "deb") || words_contain(&entry->types, "deb-src")))
                return true;
        for (size_t u = 0; u < entry->uris.n_items; u++)
                for (size_t s = 0; s < entry->suites.n_items; s++)
                        if (is_debian_entry(entry, entry->uris.items[u]) &&
                            is_wanted_suite(entry->suites.items[s], suite) &&
                            !add_entry(entry, entry->uris.items[u], entry->suites.items[s], ret))
                                return false;
        return true;
}

static bool split_words(const char *text, struct words *ret)
{
        for (;;) {
                size_t length;

                text += strspn(text, " \t\r\n");
                length = strcspn(text, " \t\r\n");
                if (length == 0)
                        return true;
                if (!words_addf(ret, "%.*s", (int)length, text))
                        return false;
                text += length;
        }
}

/* "[ arch=amd64 signed-by=/path ]": keeps signed-by. */
static bool parse_line_options(const char *text, size_t length, struct entry *entry)
{
        static const char key[] = "signed-by=";
        const char *found = memmem(text, length, key, strlen(key));

        if (!found)
                return true;
        found += strlen(key);
        entry->signed_by = strndup(found, strcspn(found, " \t]"));
        return entry->signed_by;
}

/* "deb [options] URI SUITE COMPONENT...", already without comment. */
static bool parse_line(const char *line, struct entry *entry)
{
        _cleanup_words_ struct words words = { 0 };
        const char *rest = line + strcspn(line, " \t");

        if (!words_addf(&entry->types, "%.*s", (int)(rest - line), line))
                return false;
        rest += strspn(rest, " \t");
        if (*rest == '[') {
                size_t length = strcspn(rest, "]");

                if (!parse_line_options(rest, length, entry))
                        return false;
                rest += length + (rest[length] == ']');
        }
        if (!split_words(rest, &words))
                return false;
        if (words.n_items < 3)
                return true;
        return words_add(&entry->uris, words.items[0]) &&
               words_add(&entry->suites, words.items[1]) &&
               words_extend(&entry->components, (const char *const *)words.items + 2,
                            words.n_items - 2);
}

bool apt_sources_from_lines(const char *text, const char *suite, struct words *ret)
{
        _cleanup_free_ char *copy = strdup(text);
        char *line, *next;

        if (!copy)
                return false;
        for (line = strtok_r(copy, "\n", &next); line; line = strtok_r(NULL, "\n", &next)) {
                _cleanup_(entry_done) struct entry entry = { 0 };

                line[strcspn(line, "#")] = '\0';
                line += strspn(line, " \t");
                if (*line && (!parse_line(line, &entry) || !add_if_debian(&entry, suite, ret)))
                        return false;
        }
        return true;
}

static bool set_field(struct entry *entry, const char *name, const char *value)
{
        if (strcasecmp(name, "Types") == 0)
                return split_words(value, &entry->types);
        if (strcasecmp(name, "URIs") == 0)
                return split_words(value, &entry->uris);
        if (strcasecmp(name, "Suites") == 0)
                return split_words(value, &entry->suites);
        if (strcasecmp(name, "Components") == 0)
                return split_words(value, &entry->components);
        if (strcasecmp(name, "Enabled") == 0)
                entry->disabled = strstr(value, "no") || strstr(value, "false");
        if (strcasecmp(name, "Signed-By") == 0) {
                free(entry->signed_by);
                entry->signed_by = strdup(value);
                return entry->signed_by;
        }
        return true;
}

/* A field may go on in lines that begin with a space; `value` gathers it. */
struct field {
        char name[32];
        struct buffer value;
};

static bool end_field(struct field *field, struct entry *entry)
{
        bool ok = !field->name[0] || set_field(entry, field->name, (char *)field->value.data);

        field->name[0] = '\0';
        buffer_done(&field->value);
        return ok;
}

static bool take_deb822_line(const char *line, struct field *field, struct entry *entry)
{
        const char *colon = strchr(line, ':');

        if (*line == '#')
                return true;
        if (*line == ' ' || *line == '\t')
                return buffer_printf(&field->value, "\n%s", line);
        if (!end_field(field, entry))
                return false;
        if (!colon || (size_t)(colon - line) >= sizeof(field->name))
                return true;
        snprintf(field->name, sizeof(field->name), "%.*s", (int)(colon - line), line);
        return buffer_printf(&field->value, "%s", colon + 1);
}

bool apt_sources_from_deb822(const char *text, const char *suite, struct words *ret)
{
        _cleanup_(entry_done) struct entry entry = { 0 };
        struct field field = { 0 };
        bool ok = true;

        while (ok && *text) {
                size_t length = strcspn(text, "\n");
                _cleanup_free_ char *line = strndup(text, length);

                text += length + (text[length] == '\n');
                if (!line) {
                        ok = false;
                } else if (line[strspn(line, " \t\r")] != '\0') {
                        ok = take_deb822_line(line, &field, &entry);
                } else {
                        ok = end_field(&field, &entry) && add_if_debian(&entry, suite, ret);
                        entry_done(&entry);
                }
        }
        ok = ok && end_field(&field, &entry) && add_if_debian(&entry, suite, ret);
        buffer_done(&field.value);
        return ok;
}

static int read_system_file(const char *path, const char *suite, struct words *ret,
                            struct error *err)
{
        _cleanup_buffer_ struct buffer text = { 0 };
        size_t length = strlen(path);
        bool ok;
        int r;

        if (!path_exists(path))
                return 0;
        r = file_read(path, MAX_SOURCES_BYTES, &text, err);
        if (r < 0)
                return r;
        ok = has_suffix(path, length, ".sources")
                     ? apt_sources_from_deb822((char *)text.data, suite, ret)
                     : apt_sources_from_lines((char *)text.data, suite, ret);
        return ok ? 0 : error_no_memory(err);
}

static int read_system_sources(const char *suite, struct words *ret, struct error *err)
{
        static const char *const patterns[] = {
                "/etc/apt/sources.list.d/*.list", "/etc/apt/sources.list.d/*.sources",
        };
        int r = read_system_file("/etc/apt/sources.list", suite, ret, err);

        for (size_t p = 0; r == 0 && p < ARRAY_SIZE(patterns); p++) {
                glob_t found = { 0 };

                if (glob(patterns[p], 0, NULL, &found) == 0)
                        for (size_t i = 0; r == 0 && i < found.gl_pathc; i++)
                                r = read_system_file(found.gl_pathv[i], suite, ret, err);
                globfree(&found);
        }
        if (r == 0 && ret->n_items == 0)
                return error_set(err, EXIT_CODE_ERROR, 0,
                                 "add Debian's own repositories to /etc/apt/sources.list",
                                 "no repository of Debian %s is set up on this system", suite);
        return r;
}

/* VERSION_CODENAME of os-release(5). */
static int read_suite(char **ret, struct error *err)
{
        static const char key[] = "VERSION_CODENAME=";
        _cleanup_buffer_ struct buffer text = { 0 };
        int r = file_read("/etc/os-release", MAX_SOURCES_BYTES, &text, err);
        const char *found;

        if (r < 0)
                return r;
        found = strstr((char *)text.data, key);
        if (!found || !strstr((char *)text.data, "ID=debian"))
                return error_set(err, EXIT_CODE_UNSUPPORTED, 0,
                                 "build on a Debian system of the release you patch",
                                 "this system isn't a Debian release");
        found += strlen(key);
        found += *found == '"';
        *ret = strndup(found, strcspn(found, "\"\n"));
        return *ret ? 0 : error_no_memory(err);
}

static int write_sources(const struct words *entries, struct apt_state *state, struct error *err)
{
        _cleanup_buffer_ struct buffer key = { 0 }, text = { 0 };

        for (size_t i = 0; i < entries->n_items; i++)
                if (!buffer_printf(&key, "deb [signed-by=" DEBIAN_KEYRING "] %s\n",
                                   entries->items[i]) ||
                    !buffer_printf(&text,
                                   "deb [signed-by=" DEBIAN_KEYRING "] %s\n"
                                   "deb-src [signed-by=" DEBIAN_KEYRING "] %s\n",
                                   entries->items[i], entries->items[i]))
                        return error_no_memory(err);
        state->sources_text = strdup((char *)key.data);
        if (!state->sources_text)
                return error_no_memory(err);
        return file_write_atomic(state->sources, text.data, text.size, 0644, err);
}

/* The system's settings for fetching, in apt.conf(5) form as `apt-config dump` prints them. */
static int append_acquire_settings(const struct store *store, struct buffer *text,
                                   struct error *err)
{
        _cleanup_buffer_ struct buffer dump = { 0 };
        struct run_options options = { .output = &dump };
        char *line, *next;
        int r = RUN(&store->runner, "reading the settings of apt", &options, err, "apt-config",
                    "dump");

        if (r < 0)
                return r;
        for (line = strtok_r((char *)dump.data, "\n", &next); line;
             line = strtok_r(NULL, "\n", &next))
                if (strncmp(line, "Acquire::", 9) == 0 && !buffer_printf(text, "%s\n", line))
                        return error_no_memory(err);
        return 0;
}

static int write_config(const struct store *store, const struct apt_state *state,
                        const char *root, const char *path, struct error *err)
{
        _cleanup_buffer_ struct buffer text = { 0 };
        int r = append_acquire_settings(store, &text, err);
        bool ok;

        if (r < 0)
                return r;
        ok = buffer_printf(&text,
                           "Dir::State::lists \"%s/apt/lists\";\n"
                           "Dir::Etc::sourcelist \"%s\";\n"
                           "Dir::Etc::sourceparts \"/dev/null\";\n"
                           "Dir::Etc::main \"/dev/null\";\n"
                           "Dir::Etc::parts \"/dev/null\";\n"
                           "Dir::Etc::preferences \"/dev/null\";\n"
                           "Dir::Etc::preferencesparts \"/dev/null\";\n"
                           "APT::Sandbox::User \"root\";\n"
                           "APT::Install-Recommends \"false\";\n"
                           "Acquire::Languages \"none\";\n"
                           "Acquire::Retries \"2\";\n",
                           store->path, state->sources);
        if (ok && root)
                ok = buffer_printf(&text,
                                   "Dir \"%s/\";\n"
                                   "Dir::State::status \"%s/var/lib/dpkg/status\";\n"
                                   "DPkg::Chroot-Directory \"%s\";\n",
                                   root, root, root);
        if (ok && !root)
                ok = buffer_printf(&text,
                                   "Dir::State \"%s/apt\";\n"
                                   "Dir::State::status \"/dev/null\";\n"
                                   "Dir::Cache \"%s/apt/cache\";\n",
                                   store->path, store->path);
        return ok ? file_write_atomic(path, text.data, text.size, 0644, err)
                  : error_no_memory(err);
}

int apt_state_config_for_root(const struct store *store, const struct apt_state *state,
                              const char *root, const char *path, struct error *err)
{
        return write_config(store, state, root, path, err);
}

static int make_apt_folders(const struct store *store, struct error *err)
{
        static const char *const names[] = { "lists/partial", "cache/archives/partial" };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                _cleanup_free_ char *path = store_path(store, "apt/%s", names[i]);
                int r = path ? directory_make(path, 0755, err) : error_no_memory(err);

                if (r < 0)
                        return r;
        }
        return 0;
}

int apt_state_prepare(const struct store *store, struct apt_state *ret, struct error *err)
{
        _cleanup_(apt_state_done) struct apt_state state = { 0 };
        _cleanup_words_ struct words entries = { 0 };
        int r;

        if (!path_exists(DEBIAN_KEYRING))
                return error_set(err, EXIT_CODE_ERROR, 0, "install debian-archive-keyring",
                                 "Debian's keys are missing (" DEBIAN_KEYRING ")");
        state.config = store_path(store, "apt/apt.conf");
        state.sources = store_path(store, "apt/sources.list");
        if (!state.config || !state.sources)
                return error_no_memory(err);
        r = read_suite(&state.suite, err);
        if (r == 0)
                r = read_system_sources(state.suite, &entries, err);
        if (r == 0)
                r = make_apt_folders(store, err);
        if (r == 0)
                r = write_sources(&entries, &state, err);
        if (r == 0)
                r = write_config(store, &state, NULL, state.config, err);
        if (r < 0)
                return r;
        *ret = state;
        state = (struct apt_state){ 0 };
        return 0;
}

/* Other repositories make the lists stale. */
static char *update_stamp(const struct store *store, const struct apt_state *state)
{
        char key[STORE_KEY_SIZE];

        store_key(state->sources_text, key);
        return store_path(store, "apt/updated-%s", key);
}

int apt_state_update(const struct store *store, const struct apt_state *state, bool force,
                     struct error *err)
{
        _cleanup_free_ char *setting = path_format("APT_CONFIG=%s", state->config);
        _cleanup_free_ char *stamp = update_stamp(store, state);
        struct run_options options = { .environment = (const char *const[]){ setting },
                                       .n_environment = 1 };
        int r;

        if (!setting || !stamp)
                return error_no_memory(err);
        if (!force && path_exists(stamp))
                return 0;
        r = RUN(&store->runner, "fetching Debian's package lists", &options, err, "apt-get",
                "--error-on=any", "update");
        return r < 0 ? r : file_write_atomic(stamp, "", 0, 0644, err);
}
