/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's process events connector: tells of every exec after it has happened (Linux
 * drivers/connector/cn_proc.c, include/uapi/linux/cn_proc.h). What the guard falls back to where it
 * may not be asked beforehand.
 */
#include "daemon/guard-parts.h"

#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define EVENTS_ROOM (4u << 20)

int guard_events_open(void)
{
        struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC };
        const uint32_t operation = PROC_CN_MCAST_LISTEN;
        const struct cn_msg message = { .id = { CN_IDX_PROC, CN_VAL_PROC },
                                        .len = sizeof(operation) };
        const struct nlmsghdr header = { .nlmsg_len = NLMSG_LENGTH(sizeof(message) +
                                                                   sizeof(operation)),
                                         .nlmsg_type = NLMSG_DONE };
        const struct iovec parts[] = { { (void *)&header, sizeof(header) },
                                       { (void *)&message, sizeof(message) },
                                       { (void *)&operation, sizeof(operation) } };
        _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                                        NETLINK_CONNECTOR);
        int room = EVENTS_ROOM;

        if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                return -errno;
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
        if (writev(fd, parts, ARRAY_SIZE(parts)) < 0)
                return -errno;
        return steal_fd(&fd);
}

pid_t guard_events_next(int fd)
{
        for (;;) {
                _Alignas(struct nlmsghdr) char bytes[4096];
                const struct cn_msg *message = NLMSG_DATA((struct nlmsghdr *)bytes);
                struct proc_event event;
                ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

                if (n < 0 && (errno == EINTR || errno == ENOBUFS))
                        continue; /* events were lost: the next scan sees those programs */
                if (n < 0)
                        return 0;
                if ((size_t)n < NLMSG_LENGTH(sizeof(*message)) + offsetof(struct proc_event,
                                                                          event_data) +
                                        sizeof(event.event_data.exec))
                        continue;
                memcpy(&event, message->data,
                       MIN(sizeof(event), (size_t)n - NLMSG_LENGTH(sizeof(*message))));
                if (event.what == PROC_EVENT_EXEC)
                        return event.event_data.exec.process_tgid;
        }
}
