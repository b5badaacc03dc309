/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a peer of sutured's socket may send, in pieces of its choice. Some calls are answered at once,
 * some never; whatever comes, the service goes on.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/varlink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_call(void *context, struct varlink_call *call)
{
        struct varlink **varlink = context;

        if (!json_is_object(call->parameters) || call->uid != 1000)
                abort();
        if (strlen(call->method) % 8 == 7)
                return;
        if (call->more)
                (void)varlink_reply(*varlink, call->connection, json_object(), true);
        (void)varlink_reply(*varlink, call->connection, json_incref(call->parameters), false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct varlink *varlink = NULL;
        char heard[65536];
        int ends[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) < 0 ||
            varlink_adopt(on_call, &varlink, ends[0], 1000, &varlink, NULL) < 0)
                abort();
        while (size > 1) {
                size_t part = 1 + data[0] * 16u;

                part = part < size - 1 ? part : size - 1;
                if (send(ends[1], data + 1, part, MSG_NOSIGNAL) < 0)
                        break;
                data += 1 + part;
                size -= 1 + part;
                varlink_step(varlink);
                (void)recv(ends[1], heard, sizeof(heard), 0);
        }
        for (unsigned i = 0; i < 4; i++)
                varlink_step(varlink);
        varlink_close(varlink);
        close(ends[1]);
        return 0;
}
