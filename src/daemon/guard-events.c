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
#include <unistd.h>

#define EVENTS_ROOM (4u << 20)

int guard_events_open(void)
{
        struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC };
        struct {
                struct nlmsghdr header;
                struct cn_msg message;
                enum proc_cn_mcast_op operation;
        } __attribute__((packed)) request = { 0 };
        _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                                        NETLINK_CONNECTOR);
        int room = EVENTS_ROOM;

        if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                return -errno;
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
        request.header = (struct nlmsghdr){ .nlmsg_len = sizeof(request),
                                            .nlmsg_type = NLMSG_DONE };
        request.message.id = (struct cb_id){ CN_IDX_PROC, CN_VAL_PROC };
        request.message.len = sizeof(request.operation);
        request.operation = PROC_CN_MCAST_LISTEN;
        if (send(fd, &request, sizeof(request), 0) < 0)
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
