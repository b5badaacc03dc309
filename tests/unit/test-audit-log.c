/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "daemon/audit-log.h"
#include "daemon/audit-reader.h"
#include "daemon/audit-verify.h"
#include "daemon/journal.h"

#define _cleanup_log_ _cleanup_(audit_log_closep)
#define _cleanup_verdict_ _cleanup_(audit_verdict_done)
#define MAX_LINES 64

static char folder[64], path[128], state_folder[128];

static int setup(void **state)
{
        (void)state;
        strcpy(folder, "/tmp/suture-test-audit.XXXXXX");
        if (!mkdtemp(folder))
                return -1;
        snprintf(path, sizeof(path), "%s/log/audit.jsonl", folder);
        snprintf(state_folder, sizeof(state_folder), "%s/state", folder);
        return 0;
}

static int teardown(void **state)
{
        char command[128];

        (void)state;
        snprintf(command, sizeof(command), "rm -rf '%s'", folder);
        return system(command);
}

static struct audit_log *open_log(uint64_t max_bytes, const char *journal)
{
        const struct audit_log_options options = {
                .path = path, .state_folder = state_folder, .max_bytes = max_bytes,
                .journal = journal,
        };
        struct audit_log *log = NULL;
        struct error err = { 0 };

        if (audit_log_open(&options, &log, &err) < 0)
                fail_msg("%s", err.cause);
        return log;
}

static void append(struct audit_log *log, const char *event, int value)
{
        struct error err = { 0 };

        if (audit_log_append(log, event, 1000, 7, json_pack("{s:i}", "value", value), &err) < 0)
                fail_msg("%s", err.cause);
}

/* A log of `n` entries, the first of which is the beginning itself. */
static void make_log(int n)
{
        _cleanup_log_ struct audit_log *log = open_log(0, NULL);

        for (int i = 1; i < n; i++)
                append(log, "event", i);
}

static struct audit_verdict verify(void)
{
        struct audit_verdict verdict;
        struct error err = { 0 };

        if (audit_verify(path, false, state_folder, &verdict, &err) < 0)
                fail_msg("%s", err.cause);
        return verdict;
}

static void expect_sound(uint64_t entries, size_t findings)
{
        _cleanup_verdict_ struct audit_verdict verdict = verify();

        if (!verdict.sound || verdict.n_findings != findings)
                for (size_t i = 0; i < verdict.n_findings; i++)
                        print_error("%s:%d: %s\n", verdict.findings[i].file,
                                    (int)verdict.findings[i].line, verdict.findings[i].what);
        assert_true(verdict.sound);
        assert_true(verdict.anchored);
        assert_int_equal(verdict.n_findings, findings);
        assert_int_equal(verdict.n_entries, entries);
}

/* The log as lines, to do harm to. */
struct lines {
        struct buffer bytes;
        char *items[MAX_LINES];
        size_t n;
};

static struct lines read_lines(void)
{
        struct lines lines = { 0 };

        assert_int_equal(file_read(path, 1 << 20, &lines.bytes, NULL), 0);
        for (char *line = strtok((char *)lines.bytes.data, "\n"); line; line = strtok(NULL, "\n"))
                lines.items[lines.n++] = line;
        return lines;
}

static void write_lines(struct lines *lines)
{
        struct buffer bytes = { 0 };

        for (size_t i = 0; i < lines->n; i++)
                if (lines->items[i])
                        buffer_printf(&bytes, "%s\n", lines->items[i]);
        assert_int_equal(file_write_atomic(path, bytes.data, bytes.size, 0640, NULL), 0);
        buffer_done(&bytes);
        buffer_done(&lines->bytes);
}

/* Some finding names this line and says this. */
static void expect_finding(uint64_t line, const char *what)
{
        _cleanup_verdict_ struct audit_verdict verdict = verify();

        assert_false(verdict.sound);
        for (size_t i = 0; i < verdict.n_findings; i++)
                if (verdict.findings[i].line == line && strstr(verdict.findings[i].what, what))
                        return;
        for (size_t i = 0; i < verdict.n_findings; i++)
                print_error("%s:%d: %s\n", verdict.findings[i].file,
                            (int)verdict.findings[i].line, verdict.findings[i].what);
        fail_msg("no finding \"%s\" for line %d", what, (int)line);
}

static void test_append(void **state)
{
        struct lines lines;

        (void)state;
        make_log(5);
        expect_sound(5, 0);
        lines = read_lines();
        assert_non_null(strstr(lines.items[0], "\"event\":\"log-begun\""));
        assert_non_null(strstr(lines.items[4], "{\"seq\":5,"));
        assert_non_null(strstr(lines.items[4], "\"uid\":1000,\"pid\":7,\"event\":\"event\","
                                               "\"fields\":{\"value\":4},\"prev\":\""));
        buffer_done(&lines.bytes);
}

static void test_changed(void **state)
{
        (void)state;
        for (size_t i = 0; i < 6; i++) {
                struct lines lines;

                setup(NULL);
                make_log(6);
                lines = read_lines();
                *strstr(lines.items[i], "Z\",") = 'z';
                write_lines(&lines);
                expect_finding(i + 1, "the line was changed");
                teardown(NULL);
        }
}

static void test_removed(void **state)
{
        (void)state;
        for (size_t i = 1; i < 5; i++) {
                struct lines lines;

                setup(NULL);
                make_log(6);
                lines = read_lines();
                lines.items[i] = NULL;
                write_lines(&lines);
                expect_finding(i + 1, "is missing before this line");
                teardown(NULL);
        }
}

static void test_inserted(void **state)
{
        struct lines lines;
        char *copy;

        (void)state;
        make_log(6);
        lines = read_lines();
        copy = lines.items[2];
        memmove(&lines.items[4], &lines.items[3], 3 * sizeof(char *));
        lines.items[3] = copy;
        lines.n++;
        write_lines(&lines);
        expect_finding(4, "put in, or moved here");
        lines = read_lines();
        lines.items[3] = "nonsense";
        write_lines(&lines);
        expect_finding(4, "no entry");
}

static void test_reordered(void **state)
{
        struct lines lines;
        char *first;

        (void)state;
        make_log(6);
        lines = read_lines();
        first = lines.items[2];
        lines.items[2] = lines.items[3];
        lines.items[3] = first;
        write_lines(&lines);
        expect_finding(3, "entry 3 is missing before this line");
        expect_finding(4, "it is entry 3, where 5 should follow");
}

static void test_first_removed(void **state)
{
        struct lines lines;

        (void)state;
        make_log(6);
        lines = read_lines();
        lines.items[0] = NULL;
        write_lines(&lines);
        expect_finding(1, "the log begins with entry 2");
}

static void test_cut_at_end(void **state)
{
        _cleanup_log_ struct audit_log *log = NULL;
        struct lines lines;

        (void)state;
        make_log(6);
        lines = read_lines();
        lines.n = 4;
        write_lines(&lines);
        expect_finding(0, "missing at the end: there were 6, the last here is 4");
        /* The next entry says it, and the gap stays visible. */
        log = open_log(0, NULL);
        append(log, "later", 1);
        lines = read_lines();
        assert_int_equal(lines.n, 6);
        assert_non_null(strstr(lines.items[4], "\"event\":\"log-damaged\",\"fields\":"
                                               "{\"expected\":6,\"found\":4}"));
        buffer_done(&lines.bytes);
        expect_finding(5, "entries 5 to 6 are missing before this line");
}

static void test_all_removed(void **state)
{
        _cleanup_log_ struct audit_log *log = NULL;

        (void)state;
        make_log(3);
        assert_int_equal(unlink(path), 0);
        expect_finding(0, "missing at the end: there were 3, the last here is 0");
        log = open_log(0, NULL);
        append(log, "later", 1);
        expect_finding(1, "the log begins with entry 4");
}

/* The power fails while the last line is written: at every byte. */
static void test_torn(void **state)
{
        struct buffer whole = { 0 };
        struct stat before;
        char anchor[192], copy[256], command[512];

        (void)state;
        make_log(3);
        assert_int_equal(stat(path, &before), 0);
        snprintf(anchor, sizeof(anchor), "%s/audit-anchor.json", state_folder);
        snprintf(copy, sizeof(copy), "%s.copy", anchor);
        snprintf(command, sizeof(command), "cp %s %s", anchor, copy);
        assert_int_equal(system(command), 0);
        snprintf(command, sizeof(command), "cp %s %s", copy, anchor);
        {
                _cleanup_log_ struct audit_log *log = open_log(0, NULL);

                append(log, "lost", 1);
        }
        assert_int_equal(file_read(path, 1 << 20, &whole, NULL), 0);
        for (size_t size = (size_t)before.st_size + 1; size < whole.size; size++) {
                _cleanup_log_ struct audit_log *log = open_log(0, NULL);
                bool complete = size == whole.size - 1; /* but for its newline */

                assert_int_equal(file_write_atomic(path, whole.data, size, 0640, NULL), 0);
                assert_int_equal(system(command), 0);
                expect_sound(3, 1);
                append(log, "later", 1);
                expect_sound(complete ? 6 : 5, complete ? 0 : 1);
                append(log, "later still", 1);
                expect_sound(complete ? 7 : 6, complete ? 0 : 1);
        }
        buffer_done(&whole);
}

static void test_rotation(void **state)
{
        _cleanup_(audit_reader_closep) struct audit_reader *reader = NULL;
        struct audit_reader_line line;
        struct error err = { 0 };
        uint64_t seq = 0;
        char part[192];
        struct stat info;

        (void)state;
        for (int i = 0; i < 40; i++) {
                _cleanup_log_ struct audit_log *log = open_log(1000, NULL);

                append(log, "event", i);
                if (!reader)
                        assert_int_equal(audit_reader_open(path, false, &reader, &err), 0);
                while (i % 7 == 0 && audit_reader_next(reader, &line, &err) == 0) {
                        char begin[32];

                        snprintf(begin, sizeof(begin), "{\"seq\":%d,", (int)++seq);
                        assert_int_equal(strncmp(line.data, begin, strlen(begin)), 0);
                }
        }
        while (audit_reader_next(reader, &line, &err) == 0)
                seq++;
        snprintf(part, sizeof(part), "%s.000003", path);
        assert_int_equal(stat(part, &info), 0);
        expect_sound(seq, 0);
        assert_true(seq > 45);
        /* One file of the middle by itself, and what its loss looks like. */
        {
                _cleanup_verdict_ struct audit_verdict verdict = { 0 };

                assert_int_equal(audit_verify(part, true, NULL, &verdict, &err), 0);
                assert_true(verdict.sound && verdict.first_seq > 1);
        }
        assert_int_equal(unlink(part), 0);
        expect_finding(1, "are missing before this line");
}

/* Cut between the renaming of the full file and the first line of the next. */
static void test_rotation_cut(void **state)
{
        _cleanup_log_ struct audit_log *log = NULL;
        char part[192];

        (void)state;
        make_log(4);
        snprintf(part, sizeof(part), "%s.000001", path);
        assert_int_equal(rename(path, part), 0);
        expect_sound(4, 0);
        log = open_log(0, NULL);
        append(log, "event", 1);
        expect_sound(5, 0);
}

static void test_writers(void **state)
{
        pid_t children[4];
        int status;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(children); i++) {
                children[i] = fork();
                if (children[i] == 0) {
                        struct audit_log *log = open_log(2000, NULL);

                        for (int k = 0; k < 20; k++)
                                append(log, "event", k);
                        _exit(0);
                }
        }
        for (size_t i = 0; i < ARRAY_SIZE(children); i++) {
                assert_int_equal(waitpid(children[i], &status, 0), children[i]);
                assert_int_equal(status, 0);
        }
        {
                _cleanup_verdict_ struct audit_verdict verdict = verify();

                assert_true(verdict.sound);
                assert_true(verdict.n_entries > 80);
        }
}

static void test_journal(void **state)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_log_ struct audit_log *log = NULL;
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
        char text[4096];
        ssize_t n;

        (void)state;
        snprintf(address.sun_path, sizeof(address.sun_path), "%s/journal", folder);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        log = open_log(0, address.sun_path);
        assert_int_equal(audit_log_append(log, "patch-applied", 0, 7,
                                          json_pack("{s:s, s:s}", "patch", "SUT-1.2", "note",
                                                    "two\nlines"), NULL), 0);
        assert_true(recv(fd, text, sizeof(text), 0) > 0); /* the log's beginning */
        n = recv(fd, text, sizeof(text) - 1, 0);
        assert_true(n > 0);
        text[n] = '\0';
        assert_non_null(strstr(text, "SUTURE_EVENT=patch-applied\nSUTURE_SEQ=2\nSUTURE_HASH="));
        assert_non_null(strstr(text, "SUTURE_PATCH=SUT-1.2\n"));
        assert_non_null(memmem(text, (size_t)n, "SUTURE_NOTE\n\t\0\0\0\0\0\0\0two\nlines\n", 30));
        /* A journal that does not read is no reason to wait. */
        for (int i = 0; i < 600; i++) {
                struct buffer message = { 0 };

                journal_add(&message, "MESSAGE", "x");
                journal_send(address.sun_path, &message);
                buffer_done(&message);
        }
        append(log, "event", 1);
        expect_sound(3, 0);
}

#ifdef SUTURE_FAULTS

static const char *program;

/* A writer ends at every step, also of beginning a new file: the log is sound after each. */
static void test_faults_injected(void **state)
{
        (void)state;
        for (int round = 0; round < 4; round++) {
                const char *fault = round % 2 ? "fail" : "kill";
                bool rotate = round >= 2;

                for (int point = 1;; point++) {
                        _cleanup_verdict_ struct audit_verdict verdict = { 0 };
                        char command[512];
                        int status;

                        teardown(NULL);
                        setup(NULL);
                        make_log(3);
                        snprintf(command, sizeof(command), "SUTURE_FAULT=%s:%d exec %s %s %s %d "
                                 "2>/dev/null", fault, point, program, path, state_folder, rotate);
                        status = system(command);
                        verdict = verify();
                        assert_true(verdict.sound);
                        make_log(2);
                        audit_verdict_done(&verdict);
                        verdict = verify();
                        assert_true(verdict.sound);
                        if (status == 0) {
                                assert_true(point > 5);
                                break;
                        }
                }
        }
}

#endif

/* PROGRAM PATH STATE-FOLDER MAX-BYTES appends one entry and exits with 0 if it was done. */
static int append_only(char *argv[])
{
        const struct audit_log_options options = {
                .path = argv[1], .state_folder = argv[2], .max_bytes = (uint64_t)atoi(argv[3]),
        };
        _cleanup_log_ struct audit_log *log = NULL;

        if (audit_log_open(&options, &log, NULL) < 0)
                return 1;
        return audit_log_append(log, "event", 0, 1, NULL, NULL) == 0 ? 0 : 1;
}

int main(int argc, char *argv[])
{
        const struct CMUnitTest tests[] = {
#ifdef SUTURE_FAULTS
                cmocka_unit_test_setup_teardown(test_faults_injected, setup, teardown),
#endif
                cmocka_unit_test_setup_teardown(test_append, setup, teardown),
                cmocka_unit_test(test_changed),
                cmocka_unit_test(test_removed),
                cmocka_unit_test_setup_teardown(test_inserted, setup, teardown),
                cmocka_unit_test_setup_teardown(test_reordered, setup, teardown),
                cmocka_unit_test_setup_teardown(test_first_removed, setup, teardown),
                cmocka_unit_test_setup_teardown(test_cut_at_end, setup, teardown),
                cmocka_unit_test_setup_teardown(test_all_removed, setup, teardown),
                cmocka_unit_test_setup_teardown(test_torn, setup, teardown),
                cmocka_unit_test_setup_teardown(test_rotation, setup, teardown),
                cmocka_unit_test_setup_teardown(test_rotation_cut, setup, teardown),
                cmocka_unit_test_setup_teardown(test_writers, setup, teardown),
                cmocka_unit_test_setup_teardown(test_journal, setup, teardown),
        };

        if (argc == 4)
                return append_only(argv);
#ifdef SUTURE_FAULTS
        program = argv[0];
#endif
        return cmocka_run_group_tests(tests, NULL, NULL);
}
