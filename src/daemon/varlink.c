/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One epoll descriptor for the listener and all connections. A connection whose call is being
 * worked on is not read from, so a peer can queue up no more than its socket holds.
 */
#include "daemon/varlink.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buffer.h"

#define GROUPS_MAX 64
#define BATCH 32

struct connection {
        uint64_t number;        /* 0: this place is free */
        int fd, passed;         /* passed: a descriptor that came with the call; -1 */
        uid_t uid;
        gid_t gid;
        pid_t pid;
        gid_t groups[GROUPS_MAX];
        size_t n_groups;
        struct buffer in, out;
        bool calling, oneway;
};

struct varlink {
        int epoll, listener;
        char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
        struct connection connections[VARLINK_CONNECTIONS_MAX];
        uint64_t last_number;
        varlink_handler *handler;
        void *context;
};

static void connection_end(struct connection *connection)
{
        if (connection->passed >= 0)
                close(connection->passed);
        close(connection->fd); /* leaves the epoll set with it */
        buffer_done(&connection->in);
        buffer_done(&connection->out);
        *connection = (struct connection){ .fd = -1, .passed = -1 };
}

static void watch(struct varlink *varlink, const struct connection *connection)
{
        struct epoll_event event = { .data.u64 = connection->number };

        if (!connection->calling)
                event.events |= EPOLLIN;
        /* A further call that was read already is seen to in the same way. */
        if (connection->out.size > 0 ||
            (!connection->calling && connection->in.size > 0 &&
             memchr(connection->in.data, '\0', connection->in.size)))
                event.events |= EPOLLOUT;
        (void)epoll_ctl(varlink->epoll, EPOLL_CTL_MOD, connection->fd, &event);
}

static struct connection *find(struct varlink *varlink, uint64_t number)
{
        for (size_t i = 0; number && i < VARLINK_CONNECTIONS_MAX; i++)
                if (varlink->connections[i].number == number)
                        return &varlink->connections[i];
        return NULL;
}

/* --- Opening, closing -------------------------------------------------------------------- */

static struct varlink *make(varlink_handler *handler, void *context)
{
        struct varlink *varlink = calloc(1, sizeof(*varlink));

        if (!varlink)
                return NULL;
        varlink->listener = -1;
        varlink->handler = handler;
        varlink->context = context;
        for (size_t i = 0; i < VARLINK_CONNECTIONS_MAX; i++)
                varlink->connections[i].fd = varlink->connections[i].passed = -1;
        varlink->epoll = epoll_create1(EPOLL_CLOEXEC);
        if (varlink->epoll < 0) {
                free(varlink);
                return NULL;
        }
        return varlink;
}

static bool answers(const struct sockaddr_un *address)
{
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        return fd >= 0 && (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
                           errno == EAGAIN);
}

static int listen_at(struct varlink *varlink, const char *path, struct error *err)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        struct epoll_event event = { .events = EPOLLIN };

        if (strlen(path) >= sizeof(address.sun_path))
                return error_set(err, EXIT_CODE_ERROR, ENAMETOOLONG, NULL, "the socket %s", path);
        memcpy(address.sun_path, path, strlen(path));
        if (answers(&address))
                return error_set(err, EXIT_CODE_ERROR, EADDRINUSE,
                                 "sutured runs already; end it first", "the socket %s", path);
        (void)unlink(path);
        varlink->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        /* Everybody may connect: who may change something is decided call by call. */
        if (varlink->listener < 0 ||
            bind(varlink->listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
            chmod(path, 0666) < 0 || listen(varlink->listener, BATCH) < 0 ||
            epoll_ctl(varlink->epoll, EPOLL_CTL_ADD, varlink->listener, &event) < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "the socket %s", path);
        memcpy(varlink->path, path, strlen(path) + 1);
        return 0;
}

int varlink_open(const char *path, varlink_handler *handler, void *context, struct varlink **ret,
                 struct error *err)
{
        _cleanup_(varlink_closep) struct varlink *varlink = make(handler, context);
        int r = varlink ? listen_at(varlink, path, err) : error_no_memory(err);

        if (r == 0)
                *ret = STEAL(varlink);
        return r;
}

struct varlink *varlink_close(struct varlink *varlink)
{
        if (!varlink)
                return NULL;
        for (size_t i = 0; i < VARLINK_CONNECTIONS_MAX; i++)
                if (varlink->connections[i].number)
                        connection_end(&varlink->connections[i]);
        if (varlink->listener >= 0)
                close(varlink->listener);
        if (varlink->path[0])
                (void)unlink(varlink->path);
        close(varlink->epoll);
        free(varlink);
        return NULL;
}

/* --- Connections ------------------------------------------------------------------------- */

static struct connection *free_place(struct varlink *varlink, uid_t uid)
{
        struct connection *place = NULL;
        size_t of_user = 0;

        for (size_t i = 0; i < VARLINK_CONNECTIONS_MAX; i++) {
                struct connection *connection = &varlink->connections[i];

                if (!connection->number)
                        place = connection;
                else
                        of_user += connection->uid == uid;
        }
        return uid != 0 && of_user >= VARLINK_CONNECTIONS_OF_USER ? NULL : place;
}

static bool add(struct varlink *varlink, int fd, const struct ucred *peer)
{
        struct connection *connection = free_place(varlink, peer->uid);
        struct epoll_event event = { .events = EPOLLIN };
        socklen_t size = sizeof(connection->groups);

        if (!connection)
                return false;
        event.data.u64 = varlink->last_number + 1;
        if (epoll_ctl(varlink->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
                return false;
        connection->number = ++varlink->last_number;
        connection->fd = fd;
        connection->uid = peer->uid;
        connection->gid = peer->gid;
        connection->pid = peer->pid;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, connection->groups, &size) == 0)
                connection->n_groups = size / sizeof(gid_t);
        return true;
}

int varlink_adopt(varlink_handler *handler, void *context, int fd, uid_t uid,
                  struct varlink **ret, struct error *err)
{
        const struct ucred peer = { .uid = uid, .gid = (gid_t)uid };
        struct varlink *varlink = make(handler, context);

        if (!varlink || !add(varlink, fd, &peer)) {
                varlink_close(varlink);
                return error_no_memory(err);
        }
        *ret = varlink;
        return 0;
}

static void accept_all(struct varlink *varlink)
{
        for (unsigned i = 0; i < BATCH; i++) {
                int fd = accept4(varlink->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
                struct ucred peer;
                socklen_t size = sizeof(peer);

                if (fd < 0)
                        return;
                if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ||
                    !add(varlink, fd, &peer))
                        close(fd);
        }
}

/* Of the descriptors that came along the last is kept, the others are closed. */
static void take_descriptors(struct connection *connection, struct msghdr *message)
{
        for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part;
             part = CMSG_NXTHDR(message, part)) {
                size_t n = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);

                if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
                        continue;
                for (size_t i = 0; i < n; i++) {
                        if (connection->passed >= 0)
                                close(connection->passed);
                        memcpy(&connection->passed, CMSG_DATA(part) + i * sizeof(int),
                               sizeof(int));
                }
        }
}

/* False: the connection is to be closed. */
static bool receive(struct connection *connection)
{
        char data[16384];
        _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
        struct iovec part = { data, sizeof(data) };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
                                  .msg_controllen = sizeof(control) };
        ssize_t n = recvmsg(connection->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

        if (n > 0) {
                take_descriptors(connection, &message);
                return connection->in.size + (size_t)n <= VARLINK_MESSAGE_MAX + sizeof(data) &&
                       buffer_append(&connection->in, data, (size_t)n);
        }
        return n < 0 && (errno == EAGAIN || errno == EINTR);
}

static bool flush_output(struct connection *connection)
{
        size_t done = 0;

        while (done < connection->out.size) {
                ssize_t n = send(connection->fd, connection->out.data + done,
                                 connection->out.size - done, MSG_DONTWAIT | MSG_NOSIGNAL);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno != EAGAIN)
                        return false;
                if (n <= 0)
                        break;
                done += (size_t)n;
        }
        memmove(connection->out.data, connection->out.data + done, connection->out.size - done);
        connection->out.size -= done;
        return true;
}

/* --- Messages ---------------------------------------------------------------------------- */

static bool hand_over(struct varlink *varlink, struct connection *connection, json_t *json)
{
        json_t *parameters = json_object_get(json, "parameters"), *none = NULL;
        uint64_t number = connection->number;
        struct varlink_call call = {
                .connection = number,
                .method = json_string_value(json_object_get(json, "method")),
                .more = json_is_true(json_object_get(json, "more")),
                .oneway = json_is_true(json_object_get(json, "oneway")),
                .fd = connection->passed,
                .uid = connection->uid,
                .gid = connection->gid,
                .pid = connection->pid,
                .groups = connection->groups,
                .n_groups = connection->n_groups,
        };

        if (!call.method || (parameters && !json_is_object(parameters) &&
                             !json_is_null(parameters)))
                return false;
        if (!json_is_object(parameters))
                parameters = none = json_object();
        call.parameters = parameters;
        connection->passed = -1;
        connection->calling = true;
        connection->oneway = call.oneway;
        varlink->handler(varlink->context, &call);
        if (call.fd >= 0)
                close(call.fd);
        json_decref(none);
        return true;
}

/* The calls that are complete, until one is not answered at once. False: nonsense was sent. */
static bool take_calls(struct varlink *varlink, struct connection *connection)
{
        while (!connection->calling && connection->in.size > 0) {
                const char *data = (const char *)connection->in.data;
                const char *end = memchr(data, '\0', connection->in.size);
                size_t size = end ? (size_t)(end - data) : connection->in.size;
                uint64_t number = connection->number;
                json_t *json;
                bool sound;

                if (size > VARLINK_MESSAGE_MAX)
                        return false;
                if (!end)
                        return true;
                json = json_loadb(data, size, JSON_REJECT_DUPLICATES, NULL);
                connection->in.size -= size + 1;
                memmove(connection->in.data, end + 1, connection->in.size);
                sound = json_is_object(json) && hand_over(varlink, connection, json);
                json_decref(json);
                if (connection->number != number)
                        return true; /* closed meanwhile */
                if (!sound)
                        return false;
        }
        return true;
}

static void serve(struct varlink *varlink, uint64_t number, uint32_t events)
{
        struct connection *connection = find(varlink, number);
        bool alive = true;

        if (!connection)
                return;
        if (events & (EPOLLHUP | EPOLLERR))
                alive = false;
        if (alive && (events & EPOLLOUT))
                alive = flush_output(connection);
        if (alive && (events & EPOLLIN) && !connection->calling)
                alive = receive(connection);
        if (alive)
                alive = take_calls(varlink, connection);
        if (connection->number != number)
                return;
        if (alive)
                watch(varlink, connection);
        else
                connection_end(connection);
}

int varlink_fd(const struct varlink *varlink)
{
        return varlink->epoll;
}

void varlink_step(struct varlink *varlink)
{
        struct epoll_event events[BATCH];
        int n = epoll_wait(varlink->epoll, events, BATCH, 0);

        for (int i = 0; i < n; i++)
                if (events[i].data.u64 == 0)
                        accept_all(varlink);
                else
                        serve(varlink, events[i].data.u64, events[i].events);
}

bool varlink_connected(struct varlink *varlink, uint64_t connection)
{
        return find(varlink, connection) != NULL;
}

size_t varlink_connections(const struct varlink *varlink)
{
        size_t n = 0;

        for (size_t i = 0; i < VARLINK_CONNECTIONS_MAX; i++)
                n += varlink->connections[i].number != 0;
        return n;
}

static bool answer(struct varlink *varlink, uint64_t number, json_t *message, bool continues)
{
        struct connection *connection = find(varlink, number);
        _cleanup_free_ char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;

        json_decref(message);
        if (!connection || !connection->calling)
                return false;
        connection->calling = continues;
        if (!connection->oneway &&
            (!text || connection->out.size + strlen(text) >= VARLINK_OUTPUT_MAX ||
             !buffer_append(&connection->out, text, strlen(text) + 1) ||
             !flush_output(connection))) {
                connection_end(connection);
                return false;
        }
        watch(varlink, connection);
        return true;
}

bool varlink_reply(struct varlink *varlink, uint64_t connection, json_t *parameters,
                   bool continues)
{
        json_t *message = json_pack("{s:o}", "parameters", parameters);

        if (message && continues)
                json_object_set_new(message, "continues", json_true());
        return answer(varlink, connection, message, continues);
}

bool varlink_fail(struct varlink *varlink, uint64_t connection, const char *error,
                  json_t *parameters)
{
        return answer(varlink, connection,
                      json_pack("{s:s, s:o}", "error", error, "parameters",
                                parameters ? parameters : json_object()), false);
}
