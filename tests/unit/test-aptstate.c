/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which of a system's repositories are Debian's own. */
#include "build/aptstate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

typedef bool reader(const char *text, const char *suite, struct words *ret);

static void assert_sources(reader *read, const char *text, const char *expected)
{
        struct words words = { 0 };
        struct buffer joined = { 0 };

        assert_true(read(text, "bookworm", &words));
        assert_true(buffer_append(&joined, "", 0));
        for (size_t i = 0; i < words.n_items; i++)
                assert_true(buffer_printf(&joined, "%s|", words.items[i]));
        assert_string_equal((char *)joined.data, expected);
        words_done(&words);
        buffer_done(&joined);
}

static void test_lines(void **state)
{
        (void)state;
        assert_sources(apt_sources_from_lines,
                       "# a comment\n"
                       "deb http://mirror.example.org/debian bookworm main contrib\n"
                       "deb-src http://mirror.example.org/debian bookworm main contrib # the same\n"
                       "deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
                       "https://mirror.example/deb/ bookworm-updates main\n"
                       "deb http://security.example.org/debian-security bookworm-security main\n"
                       "deb http://mirror.example.org/debian bookworm-backports main\n"
                       "deb http://mirror.example.org/debian sid main\n"
                       "#deb http://mirror.example.org/debian bookworm non-free\n"
                       "deb https://packages.example/stuff bookworm main\n"
                       "deb [signed-by=/etc/apt/keyrings/x.gpg] http://x.example/debian bookworm main\n"
                       "rpm http://mirror.example.org/debian bookworm main\n"
                       "deb http://mirror.example.org/debian\n",
                       "http://mirror.example.org/debian bookworm main contrib|"
                       "https://mirror.example/deb/ bookworm-updates main|"
                       "http://security.example.org/debian-security bookworm-security main|");
        assert_sources(apt_sources_from_lines, "", "");
        assert_sources(apt_sources_from_lines, "deb [signed-by=x", "");
}

static void test_deb822(void **state)
{
        (void)state;
        assert_sources(apt_sources_from_deb822,
                       "Types: deb\n"
                       "# a comment\n"
                       "URIs: http://mirror.example.org/debian\n"
                       "Suites: bookworm bookworm-updates\n"
                       "Components: main\n"
                       "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
                       "\n"
                       "types: deb deb-src\n"
                       "uris: http://mirror.example.org/debian-security\n"
                       "suites: bookworm-security\n"
                       "components: main\n"
                       " contrib\n"
                       "\n\n"
                       "Types: deb\nURIs: http://mirror.example.org/debian\nSuites: bookworm\n"
                       "Components: non-free\nEnabled: no\n"
                       "\n"
                       "Types: deb\nURIs: https://deb.nodesource.com/node_20.x\nSuites: bookworm\n"
                       "Components: main\nSigned-By: /usr/share/keyrings/nodesource.gpg\n",
                       "http://mirror.example.org/debian bookworm main|"
                       "http://mirror.example.org/debian bookworm-updates main|"
                       "http://mirror.example.org/debian-security bookworm-security main contrib|");
        assert_sources(apt_sources_from_deb822, "", "");
        assert_sources(apt_sources_from_deb822, "Types deb\nURIs:\n", "");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_lines),
                cmocka_unit_test(test_deb822),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
