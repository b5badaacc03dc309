/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connects, sends, waits for one reply. Every step has the same deadline, so that whoever calls
 * never waits for a service that hangs.
 */
#include "daemon/varlink-client.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/buffer.h"
#include "base/clock.h"

/* 0 when the descriptor is ready, else negative. */
static int wait_for(int fd, short events, uint64_t until_ns, struct error *err)
{
        struct pollfd wait = { .fd = fd, .events = events };
        uint64_t now_ns = clock_now_ns();
        uint64_t left_ns = now_ns < until_ns ? until_ns - now_ns : 0;
        int left_ms = (int)MIN((left_ns + 999999u) / 1000000u, 1u << 30);
        int r = poll(&wait, 1, left_ms);

        if (r > 0)
                return 0;
        return error_set(err, EXIT_CODE_ERROR, r == 0 ? ETIMEDOUT : errno,
                         "sutured may still do what it was asked for; see suture log",
                         "sutured was not waited for any longer");
}

static int send_call(int fd, const char *text, size_t size, int passed, uint64_t until_ns,
                     struct error *err)
{
        size_t done = 0;

        while (done < size) {
                _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
                struct iovec part = { (char *)text + done, size - done };
                struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
                ssize_t n;

                if (passed >= 0 && done == 0) {
                        message.msg_control = control;
                        message.msg_controllen = sizeof(control);
                        *CMSG_FIRSTHDR(&message) = (struct cmsghdr){
                                .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
                                .cmsg_len = CMSG_LEN(sizeof(int)),
                        };
                        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &passed, sizeof(int));
                }
                n = sendmsg(fd, &message, MSG_NOSIGNAL);
                if (n < 0 && errno != EAGAIN)
                        return error_set(err, EXIT_CODE_ERROR, errno, NULL,
                                         "sutured can't be asked");
                if (n < 0 && wait_for(fd, POLLOUT, until_ns, err) < 0)
                        return -ETIMEDOUT;
                done += (size_t)MAX(n, 0);
        }
        return 0;
}

static int receive_reply(int fd, uint64_t until_ns, struct buffer *ret, struct error *err)
{
        while (ret->size == 0 || ret->data[ret->size - 1] != '\0') {
                char data[16384];
                ssize_t n;
                int r = wait_for(fd, POLLIN, until_ns, err);

                if (r < 0)
                        return r;
                n = recv(fd, data, sizeof(data), 0);
                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        continue;
                if (n <= 0)
                        return error_set(err, EXIT_CODE_ERROR, n < 0 ? errno : ECONNRESET,
                                         "see: journalctl -u sutured", "sutured gave no answer");
                if (ret->size + (size_t)n > VARLINK_REPLY_MAX ||
                    !buffer_append(ret, data, (size_t)n))
                        return error_set(err, EXIT_CODE_ERROR, 0, NULL,
                                         "the answer of sutured is too long");
        }
        return 0;
}

static const char *text_of(const json_t *json, const char *name)
{
        const char *text = json_string_value(json_object_get(json, name));

        return text ? text : "";
}

static int reply_fault(const char *name, const json_t *parameters, struct error *err)
{
        const json_t *code = json_object_get(parameters, "exit_code");

        if (text_of(parameters, "cause")[0])
                return error_set(err, json_is_integer(code)
                                              ? (enum exit_code)(json_integer_value(code) & 15)
                                              : EXIT_CODE_ERROR,
                                 0, text_of(parameters, "next"), "%.700s",
                                 text_of(parameters, "cause"));
        if (strstr(name, ".NotAllowed"))
                return error_set(err, EXIT_CODE_PERMISSION, 0,
                                 "run it as root, or as a member of the group suture",
                                 "sutured does not let you: %.300s", text_of(parameters, "reason"));
        return error_set(err, EXIT_CODE_ERROR, 0, NULL, "sutured answers %.200s", name);
}

static int read_reply(const struct buffer *bytes, json_t **ret, struct error *err)
{
        json_t *json = json_loadb((const char *)bytes->data, bytes->size - 1,
                                  JSON_REJECT_DUPLICATES, NULL);
        const json_t *parameters = json_object_get(json, "parameters");
        const char *fault = json_string_value(json_object_get(json, "error"));
        int r = 0;

        if (fault)
                r = reply_fault(fault, parameters, err);
        else if (!json_is_object(parameters))
                r = error_set(err, EXIT_CODE_ERROR, 0, NULL, "the answer of sutured is no answer");
        else
                *ret = json_incref((json_t *)parameters);
        json_decref(json);
        return r;
}

/* A descriptor, VARLINK_CLIENT_ABSENT in `ret_absent`, or negative. */
static int connect_to(const char *path, bool *ret_absent, struct error *err)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = -1;

        *ret_absent = strlen(path) >= sizeof(address.sun_path);
        if (*ret_absent)
                return -1;
        memcpy(address.sun_path, path, strlen(path));
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "sutured can't be asked");
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
                return steal_fd(&fd);
        *ret_absent = errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR;
        return *ret_absent ? -1 : error_set(err, EXIT_CODE_ERROR, errno,
                                            "see: systemctl status sutured",
                                            "sutured does not answer");
}

int varlink_client_call(const char *path, const char *method, json_t *parameters, int fd,
                        uint32_t timeout_ms, json_t **ret, struct error *err)
{
        uint64_t until_ns = clock_now_ns() + timeout_ms * UINT64_C(1000000);
        json_t *call = json_pack("{s:s, s:o}", "method", method, "parameters", parameters);
        _cleanup_free_ char *text = call ? json_dumps(call, JSON_COMPACT) : NULL;
        _cleanup_buffer_ struct buffer reply = { 0 };
        _cleanup_close_ int connection = -1;
        bool absent = false;
        int r;

        json_decref(call);
        if (!text)
                return error_no_memory(err);
        connection = connect_to(path, &absent, err);
        if (connection < 0)
                return absent ? VARLINK_CLIENT_ABSENT : connection;
        r = send_call(connection, text, strlen(text) + 1, fd, until_ns, err);
        if (r == 0)
                r = receive_reply(connection, until_ns, &reply, err);
        return r == 0 ? read_reply(&reply, ret, err) : r;
}
