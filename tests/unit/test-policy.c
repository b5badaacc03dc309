/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include <stdio.h>
#include <sys/stat.h>

#include "base/file.h"
#include "daemon/policy.h"

#define _cleanup_policy_ _cleanup_(policy_freep)

static struct policy *parse(const char *text)
{
        struct policy *policy = NULL;
        struct error err = { 0 };

        if (policy_parse(text, strlen(text), "conf", &policy, &err) < 0)
                fail_msg("%s", err.cause);
        return policy;
}

struct refusal {
        const char *text, *cause, *next;
};

static const struct refusal refusals[] = {
        { "[Defaults]\nMode = automtic\n", "conf:2:8: unknown value \"automtic\"",
          "allowed: automatic, ask, hold" },
        { "[Defaults]\n  Moode=ask\n", "conf:2:3: unknown key \"Moode\"",
          "allowed in [Defaults]: Mode PauseBudget" },
        { "[Defaults]\nDeaths=3\n", "conf:2:1: unknown key \"Deaths\"", "Mode" },
        { "[Default]\n", "conf:1:1: unknown section \"[Default]\"", "[Rule NAME]" },
        { "[Rule]\nMode=ask\n", "conf:1:1: unknown section \"[Rule]\"", "[Rule NAME]" },
        { "[Defaults x]\n", "conf:1:1: unknown section \"[Defaults x]\"", "[Defaults]" },
        { "[Defaults]\n[Log]\n[Defaults]\n", "conf:3:1: a second section \"[Defaults]\"", "" },
        { "[Defaults\n", "conf:1:1: no section: \"[Defaults\"", "" },
        { "Mode=ask\n", "conf:1:1: a key before the first section: \"Mode\"", "[Defaults]" },
        { "[Defaults]\nask\n", "conf:2:1: neither a section nor a key: \"ask\"", "Key=Value" },
        { "[Defaults]\nMode=\n", "conf:2:1: no value for \"Mode\"", "" },
        { "[Defaults]\nMode=ask\nMode=hold\n", "conf:3:1: given a second time in this section: "
          "\"Mode\"", "" },
        { "[Defaults]\nPauseBudget=5\n", "conf:2:13: no time \"5\"", "ms, s, min or h" },
        { "[Defaults]\nPauseBudget=99999999999999999999h\n", "conf:2:13: no time", "168h" },
        { "[Defaults]\nPauseBudget=-1s\n", "conf:2:13: no time \"-1s\"", "" },
        { "[Log]\nAuditSize=5X\n", "conf:2:11: no size \"5X\"", "K, M or G" },
        { "[Log]\nAudit=log\n", "conf:2:7: no absolute path \"log\"", "/" },
        { "[Log]\nJournal=true\n", "conf:2:9: unknown value \"true\"", "yes, no" },
        { "[CrashGuard]\nDeaths=many\n", "conf:2:8: no count \"many\"", "0 to 1000" },
        { "[Rule a]\nUnit=x\n", "conf:1:1: the section [Rule] needs Mode= or PauseBudget=", "" },
        { "\n[Exclude a]\n[Log]\n", "conf:2:1: the section [Exclude] needs Unit=", "" },
        { "[Health a]\nUnit=x\n", "conf:1:1: the section [Health] needs Command=", "" },
        { "[Health a]\nTCP=h:1\n", "conf:1:1: the section [Health] needs Unit=", "" },
        { "[Health a]\nTCP=h:1\nHTTP=http://x/\n", "conf:3:6: a second check in one section", "" },
        { "[Health a]\nTCP=host\n", "conf:2:5: no address \"host\"", "HOST:PORT" },
        { "[Health a]\nTCP=host:65536\n", "conf:2:5: no address", "HOST:PORT" },
        { "[Health a]\nHTTP=ftp://x\n", "conf:2:6: no URL", "http://" },
        { "[Health a]\nCommand=true\n", "conf:2:9: no absolute path \"true\"", "full path" },
        { "[Defaults]\nMode=a\033sk\n", "conf:2:7: a control character", "" },
};

static void test_refused(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
                struct policy *policy = NULL;
                struct error err = { 0 };

                assert_true(policy_parse(refusals[i].text, strlen(refusals[i].text), "conf",
                                         &policy, &err) < 0);
                if (strncmp(err.cause, refusals[i].cause, strlen(refusals[i].cause)) != 0)
                        assert_string_equal(err.cause, refusals[i].cause);
                assert_non_null(strstr(err.next, refusals[i].next));
        }
}

static void test_values(void **state)
{
        _cleanup_policy_ struct policy *policy = parse(
                "# comment\n; comment\n[Defaults]\n\tMode = hold \nPauseBudget=2s\r\n"
                "[CrashGuard]\nDeaths=0\nWithin=1h\n"
                "[Log]\nAudit=/x/y\nAuditSize=2K\nJournal=no\n"
                "[Health a b]\nUnit=x y\nUnit=z\nCommand=/bin/test -e /x\nTimeout=100ms\n"
                "Watch=1min\nInterval=2s");

        (void)state;
        assert_int_equal(policy->mode, POLICY_HOLD);
        assert_int_equal(policy->pause_budget_ms, 2000);
        assert_int_equal(policy->crash_deaths, 0);
        assert_int_equal(policy->crash_within_ms, 3600000);
        assert_string_equal(policy->audit_path, "/x/y");
        assert_int_equal(policy->audit_max_bytes, 2048);
        assert_false(policy->journal);
        assert_int_equal(policy->n_health, 1);
        assert_string_equal(policy->health[0].name, "a b");
        assert_int_equal(policy->health[0].units.n_items, 3);
        assert_string_equal(policy->health[0].check, "/bin/test -e /x");
        assert_int_equal(policy->health[0].timeout_ms, 100);
        assert_int_equal(policy->health[0].watch_ms, 60000);
        assert_int_equal(policy_health_for(policy, "z", NULL, NULL), 1);
        assert_int_equal(policy_health_for(policy, "w", NULL, NULL), 0);
        assert_int_equal(policy_health_for(policy, "", NULL, NULL), 0);
}

/* The example file has the defaults, and its examples are sound once they are no comments. */
static void test_example(void **state)
{
        _cleanup_buffer_ struct buffer text = { 0 };
        _cleanup_policy_ struct policy *without = policy_new(), *as_is = NULL, *all = NULL;
        struct error err = { 0 };
        char *line;

        (void)state;
        assert_int_equal(file_read(SOURCE_ROOT "/share/suture.conf", 1 << 20, &text, &err), 0);
        if (policy_parse((char *)text.data, text.size, "example", &as_is, &err) < 0)
                fail_msg("%s", err.cause);
        assert_int_equal(as_is->n_rules + as_is->n_health, 0);
        for (line = (char *)text.data; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
                if (line[0] == '#' && line[1] != ' ' && line[1] != '\n')
                        line[0] = ' ';
        if (policy_parse((char *)text.data, text.size, "example", &all, &err) < 0)
                fail_msg("%s", err.cause);
        assert_int_equal(all->n_rules, 4);
        assert_int_equal(all->n_health, 3);
        assert_int_equal(all->mode, without->mode);
        assert_int_equal(all->pause_budget_ms, without->pause_budget_ms);
        assert_int_equal(all->crash_deaths, without->crash_deaths);
        assert_int_equal(all->crash_within_ms, without->crash_within_ms);
        assert_string_equal(all->audit_path, without->audit_path);
        assert_int_equal(all->audit_max_bytes, without->audit_max_bytes);
        assert_int_equal(all->journal, without->journal);
}

static const char rules[] =
        "[Defaults]\nMode=ask\nPauseBudget=50ms\n"
        "[Rule budget]\nUnit=db*\nPauseBudget=1ms\n"
        "[Rule worst]\nMinSeverity=high\nReach=remote\nMode=automatic\n"
        "[Rule shop]\nContainer=docker:shop* podman:*\nPatch=SUT-1\nMode=hold\n"
        "[Rule late]\nUnit=db.service\nMode=hold\nPauseBudget=9ms\n"
        "[Exclude rt]\nPath=/opt/rt/*\n";

struct decision {
        const char *unit, *path, *container;
        struct policy_cve cves[2];
        enum policy_mode mode;
        uint32_t budget;
        const char *rule;
};

#define REMOTE PATCH_REACH_REMOTE
#define LOCAL PATCH_REACH_LOCAL
static const struct decision decisions[] = {
        { "", "/bin/x", "", { { "CVE-1", REMOTE, POLICY_LOW } }, POLICY_ASK, 50, NULL },
        { "", "/bin/x", "", { { "CVE-1", REMOTE, POLICY_HIGH } }, POLICY_AUTOMATIC, 50, "worst" },
        /* not one that is remote and another that is high */
        { "", "/bin/x", "", { { "CVE-1", REMOTE, POLICY_LOW }, { "CVE-2", LOCAL, POLICY_CRITICAL } },
          POLICY_ASK, 50, NULL },
        { "", "/bin/x", "", { { "CVE-1", REMOTE, 0 } }, POLICY_ASK, 50, NULL },
        { "", "/bin/x", "docker:shop1", { { "CVE-1", LOCAL, 0 } }, POLICY_HOLD, 50, "shop" },
        { "", "/bin/x", "docker:other", { { "CVE-1", LOCAL, 0 } }, POLICY_ASK, 50, NULL },
        { "db.service", "/bin/x", "", { { "CVE-1", LOCAL, 0 } }, POLICY_HOLD, 1, "late" },
        { "db.service", "/opt/rt/a/b", "", { { "CVE-1", REMOTE, POLICY_CRITICAL } },
          POLICY_EXCLUDED, 0, "rt" },
};

static void test_decide(void **state)
{
        _cleanup_policy_ struct policy *policy = parse(rules);

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(decisions); i++) {
                const struct decision *want = &decisions[i];
                struct policy_facts facts = {
                        .patch = "SUT-1", .cves = want->cves, .n_cves = want->cves[1].id ? 2 : 1,
                        .unit = want->unit, .path = want->path, .container = want->container,
                };
                struct policy_decision got = policy_decide(policy, &facts);

                assert_int_equal(got.mode, want->mode);
                assert_int_equal(got.pause_budget_ms, want->budget);
                if (want->rule)
                        assert_string_equal(got.rule->name, want->rule);
                else
                        assert_null(got.rule);
        }
}

static void test_owner(void **state)
{
        char path[] = "/tmp/suture-test-policy.XXXXXX";
        _cleanup_close_ int fd = mkstemp(path);
        _cleanup_policy_ struct policy *policy = NULL, *missing = NULL;
        struct error err = { 0 };

        (void)state;
        assert_true(fd >= 0);
        assert_int_equal(fchmod(fd, 0646), 0);
        assert_true(policy_load(path, true, &policy, &err) < 0);
        assert_non_null(strstr(err.cause, "may be written by others"));
        assert_int_equal(fchmod(fd, 0644), 0);
        assert_int_equal(policy_load(path, true, &policy, &err), 0);
        assert_int_equal(unlink(path), 0);
        assert_true(policy_load(path, false, &missing, &err) < 0);
        assert_int_equal(policy_load(path, true, &missing, &err), 0);
        assert_int_equal(missing->mode, POLICY_AUTOMATIC);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_refused), cmocka_unit_test(test_values),
                cmocka_unit_test(test_example), cmocka_unit_test(test_decide),
                cmocka_unit_test(test_owner),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
