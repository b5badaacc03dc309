/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include <sys/socket.h>

#include "base/buffer.h"
#include "daemon/varlink.h"

/* A service with one peer, and what it was called with. */
struct service {
        struct varlink *varlink;
        int peer;
        size_t n_calls;
        uint64_t connection;
        bool later;             /* don't answer yet */
        int fd;
};

static void on_call(void *context, struct varlink_call *call)
{
        struct service *service = context;

        service->n_calls++;
        service->connection = call->connection;
        service->fd = call->fd;
        call->fd = -1;
        if (!service->later)
                varlink_reply(service->varlink, call->connection,
                              json_pack("{s:s, s:O}", "method", call->method, "was",
                                        call->parameters), false);
}

static int set_up(void **state)
{
        struct service *service = calloc(1, sizeof(*service));
        int ends[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
        assert_int_equal(varlink_adopt(on_call, service, ends[0], 1000, &service->varlink, NULL),
                         0);
        service->peer = ends[1];
        service->fd = -1;
        *state = service;
        return 0;
}

static int tear_down(void **state)
{
        struct service *service = *state;

        varlink_close(service->varlink);
        close(service->peer);
        free(service);
        return 0;
}

static void say(struct service *service, const char *text, size_t size)
{
        assert_int_equal(send(service->peer, text, size, MSG_NOSIGNAL), (ssize_t)size);
        for (unsigned i = 0; i < 10; i++)
                varlink_step(service->varlink);
}
#define SAY(service, text) say(service, text, sizeof(text)) /* with its NUL */

/* Number of replies that are there; the text of the last is left in `ret`. */
static size_t hear(struct service *service, char *ret, size_t size)
{
        ssize_t n = recv(service->peer, ret, size, 0);
        size_t count = 0;

        for (ssize_t i = 0; i < n; i++)
                count += ret[i] == '\0';
        return count;
}

static void test_call_is_answered(void **state)
{
        char text[4096];

        SAY(*state, "{\"method\":\"a.B\",\"parameters\":{\"x\":1}}");
        assert_int_equal(hear(*state, text, sizeof(text)), 1);
        assert_string_equal(text, "{\"parameters\":{\"method\":\"a.B\",\"was\":{\"x\":1}}}");
}

static void test_parts_and_several_at_once(void **state)
{
        struct service *service = *state;
        char text[4096];

        say(service, "{\"meth", 6);
        assert_int_equal(service->n_calls, 0);
        SAY(service, "od\":\"a\"}\0{\"method\":\"b\"}\0{\"method\":\"c\"}");
        assert_int_equal(service->n_calls, 3);
        assert_int_equal(hear(service, text, sizeof(text)), 3);
}

static void test_one_call_at_a_time(void **state)
{
        struct service *service = *state;
        char text[4096];

        service->later = true;
        SAY(service, "{\"method\":\"a\"}\0{\"method\":\"b\"}");
        assert_int_equal(service->n_calls, 1);
        assert_true(varlink_reply(service->varlink, service->connection, json_object(), true));
        assert_true(varlink_reply(service->varlink, service->connection, json_object(), false));
        assert_false(varlink_reply(service->varlink, service->connection, json_object(), false));
        varlink_step(service->varlink);
        assert_int_equal(service->n_calls, 2);
        assert_int_equal(hear(service, text, sizeof(text)), 2);
}

static void test_oneway_is_not_answered(void **state)
{
        struct service *service = *state;
        char text[4096];

        SAY(service, "{\"method\":\"a\",\"oneway\":true}");
        assert_int_equal(service->n_calls, 1);
        assert_int_equal(hear(service, text, sizeof(text)), 0);
        assert_int_equal(varlink_connections(service->varlink), 1);
}

static void test_nonsense_ends_the_connection(void **state)
{
        static const char *const texts[] = { "", "x", "[]", "{}", "{\"method\":1}",
                                             "{\"method\":\"a\",\"parameters\":7}",
                                             "{\"method\":\"a\",\"method\":\"b\"}" };

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                void *other;

                set_up(&other);
                say(other, texts[i], strlen(texts[i]) + 1);
                assert_int_equal(((struct service *)other)->n_calls, 0);
                assert_int_equal(varlink_connections(((struct service *)other)->varlink), 0);
                tear_down(&other);
        }
        (void)state;
}

static void test_long_call_ends_the_connection(void **state)
{
        struct service *service = *state;
        char text[1024];

        memset(text, ' ', sizeof(text));
        for (size_t sent = 0; sent <= 2 * VARLINK_MESSAGE_MAX; sent += sizeof(text)) {
                if (send(service->peer, text, sizeof(text), MSG_NOSIGNAL) < 0)
                        break;
                varlink_step(service->varlink);
        }
        assert_int_equal(varlink_connections(service->varlink), 0);
        assert_int_equal(service->n_calls, 0);
}

static void test_peer_that_does_not_read(void **state)
{
        struct service *service = *state;
        char *text = malloc(1u << 20);
        bool there = true;

        memset(text, 'x', 1u << 20);
        text[(1u << 20) - 1] = '\0';
        service->later = true;
        SAY(service, "{\"method\":\"a\",\"more\":true}");
        for (unsigned i = 0; i < 16 && there; i++)
                there = varlink_reply(service->varlink, service->connection,
                                      json_pack("{s:s}", "x", text), true);
        assert_false(there);
        assert_int_equal(varlink_connections(service->varlink), 0);
        free(text);
}

static void test_descriptor_comes_along(void **state)
{
        struct service *service = *state;
        _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
        char text[] = "{\"method\":\"a\"}";
        struct iovec part = { text, sizeof(text) };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
                                  .msg_controllen = sizeof(control) };
        int zero = 0;

        *CMSG_FIRSTHDR(&message) = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
                                                     .cmsg_type = SCM_RIGHTS,
                                                     .cmsg_len = CMSG_LEN(sizeof(int)) };
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &zero, sizeof(zero));
        assert_int_equal(sendmsg(service->peer, &message, 0), (ssize_t)sizeof(text));
        varlink_step(service->varlink);
        assert_true(service->fd > 2);
        close(service->fd);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_call_is_answered, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_parts_and_several_at_once, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_one_call_at_a_time, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_oneway_is_not_answered, set_up, tear_down),
                cmocka_unit_test(test_nonsense_ends_the_connection),
                cmocka_unit_test_setup_teardown(test_long_call_ends_the_connection, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(test_peer_that_does_not_read, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_descriptor_comes_along, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
