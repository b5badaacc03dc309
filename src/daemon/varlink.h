/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * A varlink service on a unix socket (https://varlink.org/): calls and replies are JSON objects,
 * each ended by a NUL byte. Peers are strangers: what they send and what they leave unread is bounded,
 * nothing ever waits for them, and each has one call under way at a time.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/error.h"

#define VARLINK_MESSAGE_MAX 65536       /* bytes of a call */
#define VARLINK_OUTPUT_MAX (4u << 20)   /* unread replies; a peer with more is closed */
#define VARLINK_CONNECTIONS_MAX 64
#define VARLINK_CONNECTIONS_OF_USER 16  /* of one user that is not root */

struct varlink_call {
        uint64_t connection;    /* its number; none is used twice */
        const char *method;     /* "org.suture.Daemon.Status" */
        json_t *parameters;     /* an object */
        bool more, oneway;
        int fd;                 /* that came with the call, or -1; the callee may steal it */
        uid_t uid;
        gid_t gid;
        pid_t pid;
        const gid_t *groups;    /* further ones of the peer */
        size_t n_groups;
};

struct varlink;
/* The call must be answered, now or later, by varlink_reply() or varlink_fail(). */
typedef void varlink_handler(void *context, struct varlink_call *call);

/* Replaces a socket of a service that is gone; -EADDRINUSE if one answers there. */
int varlink_open(const char *path, varlink_handler *handler, void *context, struct varlink **ret,
                 struct error *err);
/* For a descriptor that is connected already (tests); the peer counts as `uid`. */
int varlink_adopt(varlink_handler *handler, void *context, int fd, uid_t uid,
                  struct varlink **ret, struct error *err);
/* Removes the socket. */
struct varlink *varlink_close(struct varlink *varlink);
DEFINE_CLEANUP(struct varlink *, varlink_close)

int varlink_fd(const struct varlink *varlink);
/* Never blocks. */
void varlink_step(struct varlink *varlink);
bool varlink_connected(struct varlink *varlink, uint64_t connection);
size_t varlink_connections(const struct varlink *varlink);

/* `parameters` is taken over. Where `continues`, more replies follow. False: the peer is gone. */
bool varlink_reply(struct varlink *varlink, uint64_t connection, json_t *parameters,
                   bool continues);
bool varlink_fail(struct varlink *varlink, uint64_t connection, const char *error,
                  json_t *parameters);
