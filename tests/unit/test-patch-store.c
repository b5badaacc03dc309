/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/file.h"
#include "daemon/patch-store.h"
#include "power-cut.h"
#include "sample-patch.h"

#define _cleanup_store_ _cleanup_(patch_store_closep)

static char folder[64];

static int setup(void **state)
{
        (void)state;
        strcpy(folder, "/tmp/suture-test-patches.XXXXXX");
        return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
        char command[192];

        (void)state;
        snprintf(command, sizeof(command), "rm -rf '%s'", folder);
        return system(command);
}

/* A patch for the two builds of the sample. */
static struct buffer make(const char *id, int level, const char *supersedes)
{
        struct sample sample;
        struct buffer bytes = { 0 };
        struct error err = { 0 };

        assert_true(sample_init(&sample));
        json_object_set_new(sample.manifest, "id", json_string(id));
        json_object_set_new(sample.manifest, "level", json_integer(level));
        if (supersedes)
                json_object_set_new(sample.manifest, "supersedes", json_pack("[s]", supersedes));
        if (sample_build(&sample, &bytes, &err) < 0)
                fail_msg("%s", err.cause);
        sample_done(&sample);
        return bytes;
}

static int add(struct patch_store *store, const char *id, int level, bool force)
{
        _cleanup_buffer_ struct buffer bytes = make(id, level, NULL);
        struct error err = { 0 };
        int r = patch_store_add(store, bytes.data, bytes.size, force, "uid 0", &err);

        if (r < 0)
                fail_msg("%s", err.cause);
        return r;
}

static struct patch_store *open_store(const char *path, bool writable)
{
        struct patch_store *store = NULL;
        struct error err = { 0 };

        if (patch_store_open(path, writable, &store, &err) < 0)
                fail_msg("%s", err.cause);
        return store;
}

/* All that the store says, in one text. */
static char *describe(const struct patch_store *store)
{
        struct buffer text = { 0 };

        buffer_append(&text, "", 0);
        for (size_t i = 0; i < store->n_entries; i++) {
                const struct patch_store_entry *entry = store->entries[i];

                buffer_printf(&text, "%s.%u %s (%s by %s)\n", entry->patch->id,
                              entry->patch->level, patch_state_name(entry->state), entry->reason,
                              entry->by);
        }
        for (size_t i = 0; i < store->n_faults; i++)
                buffer_printf(&text, "fault: %s\n", store->faults[i].what);
        return (char *)text.data;
}

static void expect(const struct patch_store *store, const char *want)
{
        _cleanup_free_ char *text = describe(store);

        assert_string_equal(text, want);
}

static void expect_reopened(const char *want)
{
        _cleanup_store_ struct patch_store *store = open_store(folder, false);

        expect(store, want);
}

static void test_add_and_replace(void **state)
{
        _cleanup_store_ struct patch_store *store = open_store(folder, true);
        _cleanup_buffer_ struct buffer other = make("SUT-1", 2, "SUT-0");
        struct error err = { 0 };

        (void)state;
        assert_int_equal(add(store, "SUT-1", 1, false), 0);
        expect(store, "SUT-1.1 enabled ( by uid 0)\n");
        assert_int_equal(add(store, "SUT-1", 1, false), PATCH_STORE_UNCHANGED);
        assert_int_equal(add(store, "SUT-1", 2, false), 0);
        expect_reopened("SUT-1.2 enabled ( by uid 0)\n");
        assert_int_equal(add(store, "SUT-1", 1, false), PATCH_STORE_OLDER);
        assert_int_equal(patch_store_add(store, other.data, other.size, false, "x", &err),
                         PATCH_STORE_DIFFERENT);
        expect_reopened("SUT-1.2 enabled ( by uid 0)\n");
        assert_int_equal(patch_store_add(store, other.data, other.size, true, "x", &err), 0);
        assert_int_equal(add(store, "SUT-1", 1, true), 0);
        expect_reopened("SUT-1.1 enabled ( by uid 0)\n");
        assert_int_equal(patch_store_add(store, "no patch", 8, true, "x", &err), -EINVAL);
        expect_reopened("SUT-1.1 enabled ( by uid 0)\n");
        assert_int_equal(patch_store_remove(store, "SUT-1", &err), 0);
        assert_int_equal(patch_store_remove(store, "SUT-1", &err), PATCH_STORE_NOT_FOUND);
        expect_reopened("");
}

/* The patches that are to be in processes. */
static void expect_wanted(const struct patch_store *store, const char *want)
{
        char text[128] = "";

        for (size_t i = 0; i < store->n_entries; i++)
                if (store->entries[i]->state == PATCH_STATE_ENABLED &&
                    !store->entries[i]->superseded)
                        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s ",
                                 store->entries[i]->patch->id);
        assert_string_equal(text, want);
}

static void test_states(void **state)
{
        _cleanup_store_ struct patch_store *store = open_store(folder, true);
        struct error err = { 0 };

        (void)state;
        assert_int_equal(add(store, "SUT-1", 1, false), 0);
        expect_wanted(store, "SUT-1 ");
        assert_int_equal(patch_store_set_state(store, "SUT-1", PATCH_STATE_HELD, "not on Fridays",
                                               "uid 7", &err), 0);
        assert_int_equal(patch_store_set_state(store, "SUT-1", PATCH_STATE_HELD, "not on Fridays",
                                               "uid 8", &err), PATCH_STORE_UNCHANGED);
        expect_wanted(store, "");
        assert_int_equal(add(store, "SUT-1", 2, false), 0);
        expect_reopened("SUT-1.2 held (not on Fridays by uid 7)\n");
        assert_int_equal(patch_store_set_state(store, "SUT-1", PATCH_STATE_QUARANTINED,
                                               "3 deaths", "crash guard", &err), 0);
        expect_reopened("SUT-1.2 quarantined (3 deaths by crash guard)\n");
        assert_true(patch_store_find(store, "SUT-1")->since > 1700000000);
        assert_int_equal(add(store, "SUT-1", 2, false), PATCH_STORE_UNCHANGED);
        expect_wanted(store, "");
        assert_int_equal(add(store, "SUT-1", 3, false), 0);
        expect_reopened("SUT-1.3 enabled ( by uid 0)\n");
        expect_wanted(store, "SUT-1 ");
        assert_int_equal(patch_store_set_state(store, "SUT-9", PATCH_STATE_HELD, NULL, "x", &err),
                         PATCH_STORE_NOT_FOUND);
}

static void test_supersedes(void **state)
{
        _cleanup_store_ struct patch_store *store = open_store(folder, true);
        _cleanup_buffer_ struct buffer newer = make("SUT-2", 1, "SUT-1");
        struct error err = { 0 };

        (void)state;
        assert_int_equal(add(store, "SUT-1", 1, false), 0);
        assert_int_equal(add(store, "SUT-3", 1, false), 0);
        expect_wanted(store, "SUT-1 SUT-3 ");
        assert_int_equal(patch_store_add(store, newer.data, newer.size, false, "x", &err), 0);
        expect_wanted(store, "SUT-2 SUT-3 ");
        assert_true(patch_store_find(store, "SUT-1")->superseded);
        assert_int_equal(patch_store_set_state(store, "SUT-2", PATCH_STATE_HELD, NULL, "x", &err),
                         0);
        expect_wanted(store, "SUT-1 SUT-3 ");
        assert_false(patch_store_find(store, "SUT-1")->superseded);
}

static void write_in(const char *name, const char *text)
{
        char path[192];

        snprintf(path, sizeof(path), "%s/%s", folder, name);
        assert_int_equal(file_write_atomic(path, text, strlen(text), 0644, NULL), 0);
}

static bool is_there(const char *name)
{
        char path[192];
        struct stat info;

        snprintf(path, sizeof(path), "%s/%s", folder, name);
        return lstat(path, &info) == 0;
}

/* Strangers and damaged files are named, not loaded, and still there afterwards. */
static void test_faults(void **state)
{
        struct patch_store *store = open_store(folder, true);
        char link[192];
        struct error err = { 0 };

        (void)state;
        assert_int_equal(add(store, "SUT-1", 1, false), 0);
        assert_int_equal(add(store, "SUT-2", 1, false), 0);
        assert_int_equal(add(store, "SUT-3", 1, false), 0);
        assert_int_equal(add(store, "SUT-4", 1, false), 0);
        patch_store_close(store);
        write_in("SUT-1.spatch", "changed");
        write_in("SUT-2.state", "{\"schema\": 7}");
        write_in("notes.txt", "x");
        write_in("SUT-9.spatch", "x");
        snprintf(link, sizeof(link), "%s/SUT-3.spatch", folder);
        assert_int_equal(unlink(link), 0);
        assert_int_equal(symlink("/etc/passwd", link), 0);
        store = open_store(folder, true);
        assert_int_equal(store->n_entries, 1);
        assert_string_equal(store->entries[0]->patch->id, "SUT-4");
        assert_int_equal(store->n_faults, 5);
        for (size_t i = 0; i < store->n_faults; i++) {
                const char *what = store->faults[i].what;

                assert_true(strstr(what, "SUT-1.spatch is not the file that was added") ||
                            strstr(what, "SUT-2.state is damaged") ||
                            strstr(what, "SUT-3.spatch is a symbolic link") ||
                            strstr(what, "notes.txt does not belong") ||
                            strstr(what, "SUT-9.spatch was not added"));
                assert_true(is_there(store->faults[i].file));
        }
        /* Repaired by adding it again, by force. */
        {
                _cleanup_buffer_ struct buffer bytes = make("SUT-1", 1, NULL);

                assert_int_equal(patch_store_add(store, bytes.data, bytes.size, false, "x", &err),
                                 -EEXIST);
        }
        assert_int_equal(add(store, "SUT-1", 1, true), 0);
        assert_int_equal(store->n_entries, 2);
        assert_int_equal(store->n_faults, 4);
        patch_store_close(store);
}

static void test_lock(void **state)
{
        _cleanup_store_ struct patch_store *store = open_store(folder, true), *reader = NULL;
        struct patch_store *second = NULL;
        struct error err = { 0 };

        (void)state;
        assert_int_equal(patch_store_open(folder, true, &second, &err), -EBUSY);
        reader = open_store(folder, false);
        assert_int_equal(patch_store_remove(reader, "SUT-1", &err), -EROFS);
        assert_int_equal(add(store, "SUT-1", 1, false), 0);
}

static void test_missing_folder(void **state)
{
        _cleanup_store_ struct patch_store *store = open_store("/nonexistent/store", false);

        (void)state;
        assert_int_equal(store->n_entries, 0);
}

/* What an image may say, and what was seen of it. */
static char *before, *after;
static size_t seen_before, seen_after;
static bool reported;

/* As a reader sees it, as the next start makes it, and as it stays after that. */
static void check_image(const char *image)
{
        char *first = NULL;

        for (int round = 0; round < 3; round++) {
                _cleanup_store_ struct patch_store *store = open_store(image, round == 1);
                _cleanup_free_ char *text = describe(store);

                if (!first)
                        first = strdup(text);
                assert_string_equal(text, first);
        }
        if (strcmp(first, before) != 0 || reported)
                assert_string_equal(first, after);
        if (strcmp(first, after) == 0)
                seen_after++;
        else
                seen_before++;
        free(first);
}

enum change { ADD_1, ADD_2, HOLD, REMOVE };

static void change_store(struct patch_store *store, enum change change)
{
        struct error err = { 0 };

        if (change == ADD_1 || change == ADD_2)
                assert_int_equal(add(store, "SUT-1", change == ADD_1 ? 1 : 2, false), 0);
        if (change == HOLD)
                assert_int_equal(patch_store_set_state(store, "SUT-1", PATCH_STATE_HELD, "why",
                                                       "uid 0", &err), 0);
        if (change == REMOVE)
                assert_int_equal(patch_store_remove(store, "SUT-1", &err), 0);
}

static void cut(struct patch_store *store, enum change change, char *was, char *becomes)
{
        before = was;
        after = becomes;
        seen_before = seen_after = 0;
        reported = false;
        power_cut_watch(folder, check_image);
        change_store(store, change);
        reported = true;
        power_cut_check();
        power_cut_end();
        assert_true(seen_before > 0 && seen_after > 0);
        expect(store, becomes);
        expect_reopened(becomes);
}

#define ONE "SUT-1.1 enabled ( by uid 0)\n"
#define TWO "SUT-1.2 enabled ( by uid 0)\n"
#define TWO_HELD "SUT-1.2 held (why by uid 0)\n"

/* The power fails at every byte and step of every change. */
static void test_power_cut(void **state)
{
        _cleanup_store_ struct patch_store *store = open_store(folder, true);

        (void)state;
        cut(store, ADD_1, "", ONE);
        cut(store, ADD_2, ONE, TWO);
        cut(store, HOLD, TWO, TWO_HELD);
        cut(store, REMOVE, TWO_HELD, "");
}

#ifdef SUTURE_FAULTS

static const char *program;

/* A process of its own, since the points are counted from its start. Its wait status. */
static int change_in_child(enum change change, const char *fault, int point)
{
        char command[512];

        snprintf(command, sizeof(command), "SUTURE_FAULT=%s:%d exec %s %s %d 2>/dev/null", fault,
                 point, program, folder, change);
        return system(command);
}

/* Every step fails, or is the last before a kill: what is left is the old state or the new. */
static void walk(const char *fault, enum change change, const char *was, const char *becomes)
{
        for (int point = 1;; point++) {
                int status = change_in_child(change, fault, point);
                _cleanup_store_ struct patch_store *store = open_store(folder, true);
                _cleanup_free_ char *text = describe(store);
                struct error err = { 0 };

                if (status == 0) {
                        assert_string_equal(text, becomes);
                        assert_true(point > 3);
                        return;
                }
                if (strcmp(text, was) != 0)
                        assert_string_equal(text, becomes);
                if (strcmp(text, was) == 0)
                        continue;
                /* Back to where it began, for the next point. */
                if (change == ADD_1)
                        assert_int_equal(patch_store_remove(store, "SUT-1", &err), 0);
                if (change == ADD_2)
                        assert_int_equal(add(store, "SUT-1", 1, true), 0);
                if (change == HOLD)
                        assert_int_equal(patch_store_set_state(store, "SUT-1", PATCH_STATE_ENABLED,
                                                               NULL, "uid 0", &err), 0);
                if (change == REMOVE) {
                        assert_int_equal(add(store, "SUT-1", 2, false), 0);
                        assert_int_equal(patch_store_set_state(store, "SUT-1", PATCH_STATE_HELD,
                                                               "why", "uid 0", &err), 0);
                }
        }
}

static void test_faults_injected(void **state)
{
        (void)state;
        for (int round = 0; round < 2; round++) {
                const char *fault = round ? "fail" : "kill";

                walk(fault, ADD_1, "", ONE);
                walk(fault, ADD_2, ONE, TWO);
                walk(fault, HOLD, TWO, TWO_HELD);
                walk(fault, REMOVE, TWO_HELD, "");
        }
}

#endif

/* PROGRAM FOLDER CHANGE makes one change and exits with 0 if it was done. */
static int change_only(char *argv[])
{
        _cleanup_store_ struct patch_store *store = NULL;
        _cleanup_buffer_ struct buffer bytes = { 0 };
        enum change change = (enum change)atoi(argv[2]);
        int r = patch_store_open(argv[1], true, &store, NULL);

        if (r == 0 && change <= ADD_2) {
                bytes = make("SUT-1", change == ADD_1 ? 1 : 2, NULL);
                r = patch_store_add(store, bytes.data, bytes.size, false, "uid 0", NULL);
        } else if (r == 0 && change == HOLD) {
                r = patch_store_set_state(store, "SUT-1", PATCH_STATE_HELD, "why", "uid 0", NULL);
        } else if (r == 0) {
                r = patch_store_remove(store, "SUT-1", NULL);
        }
        return r == 0 ? 0 : 1;
}

int main(int argc, char *argv[])
{
        const struct CMUnitTest tests[] = {
#ifdef SUTURE_FAULTS
                cmocka_unit_test_setup_teardown(test_faults_injected, setup, teardown),
#endif
                cmocka_unit_test_setup_teardown(test_add_and_replace, setup, teardown),
                cmocka_unit_test_setup_teardown(test_states, setup, teardown),
                cmocka_unit_test_setup_teardown(test_supersedes, setup, teardown),
                cmocka_unit_test_setup_teardown(test_faults, setup, teardown),
                cmocka_unit_test_setup_teardown(test_lock, setup, teardown),
                cmocka_unit_test(test_missing_folder),
                cmocka_unit_test_setup_teardown(test_power_cut, setup, teardown),
        };

        if (argc == 3)
                return change_only(argv);
#ifdef SUTURE_FAULTS
        program = argv[0];
#endif
        return cmocka_run_group_tests(tests, NULL, NULL);
}
