/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The plain protocol of sd_notify(3), so that nothing of systemd has to be there. The variables of
 * the environment are left as they are: no child of the daemon says anything.
 */
#include "daemon/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"

bool notify_send(const char *state)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        const char *path = getenv("NOTIFY_SOCKET");
        size_t size = path ? strlen(path) : 0;
        _cleanup_close_ int fd = -1;

        if (size < 2 || size >= sizeof(address.sun_path) || !strchr("/@", path[0]))
                return false;
        memcpy(address.sun_path, path, size);
        if (path[0] == '@')
                address.sun_path[0] = '\0';
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        return fd >= 0 && sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
                                 (struct sockaddr *)&address,
                                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)) >= 0;
}

uint64_t notify_watchdog_ns(void)
{
        const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");

        if (!usec || (pid && strtol(pid, NULL, 10) != getpid()))
                return 0;
        return strtoull(usec, NULL, 10) * 1000 / 2;
}
