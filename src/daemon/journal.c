/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One datagram an entry. A value with a newline, or any other control character that a later
 * reader of the protocol might stumble over, goes with its length in front.
 */
#include "daemon/journal.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "base/cleanup.h"

bool journal_add(struct buffer *message, const char *name, const char *value)
{
        size_t size = strlen(value);
        uint64_t encoded = htole64(size);

        if (!strchr(value, '\n'))
                return buffer_printf(message, "%s=%s\n", name, value);
        return buffer_printf(message, "%s\n", name) &&
               buffer_append(message, &encoded, sizeof(encoded)) &&
               buffer_append(message, value, size) && buffer_append(message, "\n", 1);
}

bool journal_send(const char *socket_path, const struct buffer *message)
{
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        if (fd < 0 || strlen(socket_path) >= sizeof(address.sun_path))
                return false;
        memcpy(address.sun_path, socket_path, strlen(socket_path));
        return sendto(fd, message->data, message->size, MSG_DONTWAIT | MSG_NOSIGNAL,
                      (struct sockaddr *)&address, sizeof(address)) == (ssize_t)message->size;
}
