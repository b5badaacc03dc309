/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A client of a server that speaks memcached's text protocol: sets and gets at full speed over N
 * connections, and compares every answer with the one that is right. An answer that does not come
 * within five seconds, or a connection that ends, is a lost one. `load ADDRESS N`, with the path of a
 * socket or a TCP port of the loopback address. In the state file: rounds are right answers, wrong the
 * wrong ones, late the lost ones; figure[0] is the longest time that one answer took, in nanoseconds.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include "subject.h"
#include "victim.h"

static const char *address;

static int connect_path(const char *path)
{
        struct sockaddr_un to = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);

        snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
        return connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ? -1 : fd;
}

static int connect_port(int port)
{
        struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
        int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        return connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ? -1 : fd;
}

static bool read_answer(int fd, char *ret, size_t size)
{
        for (size_t used = 0; used < size;) {
                ssize_t n = read(fd, ret + used, size - used);

                if (n <= 0)
                        return false;
                used += (size_t)n;
        }
        return true;
}

static void note_longest(_Atomic uint64_t *longest, uint64_t took)
{
        uint64_t known = atomic_load(longest);

        while (took > known && !atomic_compare_exchange_weak(longest, &known, took))
                ;
}

/* Sends a request and compares the answer; false if the answer was lost. */
static bool ask(struct victim *victim, struct state_slot *slot, int fd, const char *request,
                const char *right)
{
        size_t n = strlen(right);
        uint64_t began = state_now_ns(), took;
        char answer[512];

        if (write(fd, request, strlen(request)) != (ssize_t)strlen(request) || !read_answer(fd, answer, n)) {
                state_complain(victim->file, &slot->late, "an answer was lost");
                return false;
        }
        if (memcmp(answer, right, n) != 0)
                state_complain(victim->file, &slot->wrong, "a wrong answer");
        else
                atomic_fetch_add(&slot->rounds, 1);
        took = state_now_ns() - began;
        note_longest(&victim->file->state.figure[0], took);
        return true;
}

static void converse(struct victim *victim, struct state_slot *slot, int fd)
{
        for (unsigned i = 0;; i++) {
                char key[32], value[64], request[256], right[256];
                unsigned char message[65];
                size_t n = (size_t)snprintf(value, sizeof(value), "value-%u-of-%u", i, atomic_load(&slot->id));
                unsigned flags;

                message[0] = (unsigned char)n;
                memcpy(message + 1, value, n);
                flags = (unsigned)subject_check(message, n + 1) & 0xffff;
                snprintf(key, sizeof(key), "k%u-%u", atomic_load(&slot->id) % 1000, i % 3);
                snprintf(request, sizeof(request), "set %s %u 0 %zu\r\n%s\r\n", key, flags, n, value);
                if (!ask(victim, slot, fd, request, "STORED\r\n"))
                        return;
                snprintf(request, sizeof(request), "get %s\r\n", key);
                snprintf(right, sizeof(right), "VALUE %s %u %zu\r\n%s\r\nEND\r\n", key, flags, n, value);
                if (!ask(victim, slot, fd, request, right))
                        return;
        }
}

static void client(struct victim *victim, struct state_slot *slot)
{
        struct timeval limit = { .tv_sec = 5 };
        int fd = atoi(address) > 0 ? connect_port(atoi(address)) : connect_path(address);

        if (fd < 0)
                victim_fail(address);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
        converse(victim, slot, fd);
        close(fd);
}

int main(int argc, char **argv)
{
        struct victim victim = { .file = state_open() };

        if (argc != 3)
                return 2;
        address = argv[1];
        for (int i = 0; i < atoi(argv[2]); i++)
                victim_thread(&victim, client);
        victim_ready(&victim);
        for (;;)
                pause();
}
