/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small server of the kind that must not stop: four threads with an epoll set each, memcached's
 * text protocol (set and get with short values), one store behind a lock. Every value passes
 * through the subject, and the flags that a client sent with it must be what the subject says, so
 * that a wrong answer of patched code becomes a wrong answer of the server. `server SOCKET`.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "subject.h"
#include "victim.h"

enum { N_WORKERS = 4, N_ITEMS = 4096, VALUE_SIZE = 128, BUFFER_SIZE = 4096 };

struct item {
        char key[32];
        unsigned flags;
        size_t size;
        char value[VALUE_SIZE];
};

struct connection {
        int fd;
        size_t used;
        char buffer[BUFFER_SIZE];
};

static struct item items[N_ITEMS];
static pthread_mutex_t items_lock = PTHREAD_MUTEX_INITIALIZER;
static int epolls[N_WORKERS];
static _Atomic int n_started;

static struct item *find(const char *key)
{
        unsigned hash = 5381;

        for (const char *c = key; *c; c++)
                hash = hash * 33 + (unsigned char)*c;
        return &items[hash % N_ITEMS];
}

static unsigned weigh(const char *value, size_t size)
{
        unsigned char message[VALUE_SIZE + 1];

        message[0] = (unsigned char)size;
        memcpy(message + 1, value, size);
        return (unsigned)subject_check(message, size + 1) & 0xffff;
}

static int set_item(const char *key, unsigned flags, const char *value, size_t size, char *reply)
{
        struct item *item = find(key);

        if (flags != weigh(value, size))
                return sprintf(reply, "SERVER_ERROR flags\r\n");
        pthread_mutex_lock(&items_lock);
        snprintf(item->key, sizeof(item->key), "%s", key);
        item->flags = flags;
        item->size = size;
        memcpy(item->value, value, size);
        pthread_mutex_unlock(&items_lock);
        return sprintf(reply, "STORED\r\n");
}

static int get_item(const char *key, char *reply)
{
        struct item *item = find(key);
        int n = 0;

        pthread_mutex_lock(&items_lock);
        if (strcmp(item->key, key) == 0) {
                n = sprintf(reply, "VALUE %s %u %zu\r\n", key, weigh(item->value, item->size), item->size);
                memcpy(reply + n, item->value, item->size);
                n += (int)item->size;
                n += sprintf(reply + n, "\r\n");
        }
        pthread_mutex_unlock(&items_lock);
        return n + sprintf(reply + n, "END\r\n");
}

/* One request at the start of the buffer: bytes used, 0 if it is not complete, -1 if malformed. */
static ssize_t take_request(const char *buffer, size_t used, char *reply, int *reply_size)
{
        const char *end = memmem(buffer, used, "\r\n", 2);
        unsigned flags, expiry;
        char line[128], key[32];
        size_t length, size;

        if (!end)
                return 0;
        length = (size_t)(end - buffer);
        if (length >= sizeof(line))
                return -1;
        memcpy(line, buffer, length);
        line[length] = '\0';
        if (sscanf(line, "get %31s", key) == 1) {
                *reply_size = get_item(key, reply);
                return (ssize_t)length + 2;
        }
        if (sscanf(line, "set %31s %u %u %zu", key, &flags, &expiry, &size) != 4 || size > VALUE_SIZE)
                return -1;
        if (used < length + 2 + size + 2)
                return 0;
        *reply_size = set_item(key, flags, end + 2, size, reply);
        return (ssize_t)(length + 2 + size + 2);
}

/* Answers what is there; false if the connection is to be closed. */
static bool serve(struct connection *connection)
{
        char replies[BUFFER_SIZE * 4];
        size_t done = 0, n_replies = 0;
        ssize_t n = read(connection->fd, connection->buffer + connection->used,
                         BUFFER_SIZE - connection->used);

        if (n <= 0)
                return n < 0 && (errno == EAGAIN || errno == EINTR);
        connection->used += (size_t)n;
        while (n_replies < sizeof(replies) - 512) {
                int size = 0;
                ssize_t taken = take_request(connection->buffer + done, connection->used - done,
                                             replies + n_replies, &size);

                if (taken < 0)
                        return false;
                if (taken == 0)
                        break;
                done += (size_t)taken;
                n_replies += (size_t)size;
        }
        memmove(connection->buffer, connection->buffer + done, connection->used - done);
        connection->used -= done;
        return n_replies == 0 || write(connection->fd, replies, n_replies) == (ssize_t)n_replies;
}

__attribute__((noreturn)) static void worker(struct victim *victim, struct state_slot *slot)
{
        int epoll = epolls[atomic_fetch_add(&n_started, 1)];

        for (;;) {
                struct epoll_event events[16];
                int n = epoll_wait(epoll, events, 16, 20);

                if (n < 0)
                        state_complain(victim->file, errno == EINTR ? &slot->eintr : &slot->wrong,
                                       "epoll_wait");
                for (int i = 0; i < n; i++) {
                        struct connection *connection = events[i].data.ptr;

                        if (serve(connection))
                                continue;
                        close(connection->fd);
                        free(connection);
                }
                victim_round(victim, slot);
        }
}

static void accept_one(int listener, int epoll)
{
        struct connection *connection = calloc(1, sizeof(*connection));
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = connection };

        if (!connection)
                victim_fail("calloc");
        connection->fd = accept(listener, NULL, NULL);
        if (connection->fd < 0)
                victim_fail("accept");
        fcntl(connection->fd, F_SETFL, O_NONBLOCK);
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &event) < 0)
                victim_fail("epoll_ctl");
}

int main(int argc, char **argv)
{
        struct victim victim = { .file = state_open() };
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (argc != 2)
                return 2;
        snprintf(address.sun_path, sizeof(address.sun_path), "%s", argv[1]);
        signal(SIGPIPE, SIG_IGN);
        if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(listener, 64) < 0)
                victim_fail(argv[1]);
        for (int i = 0; i < N_WORKERS; i++)
                epolls[i] = epoll_create1(EPOLL_CLOEXEC);
        for (int i = 0; i < N_WORKERS; i++)
                victim_thread(&victim, worker);
        victim_ready(&victim);
        for (int i = 0;; i++)
                accept_one(listener, epolls[i % N_WORKERS]);
}
