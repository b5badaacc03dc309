/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * suture-health-probe tcp HOST:PORT | http URL: one question to a service. Exit status 0: healthy;
 * 1: not, with the reason on standard output; 2: wrong usage. Gives up all privileges before it
 * reads a byte. How long it may take is its parent's business.
 */
#include <curl/curl.h>
#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/cleanup.h"

#define NOBODY 65534
#define BODY_MAX (1u << 20)

static bool drop_privileges(void)
{
        if (geteuid() == 0 &&
            (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
             setresuid(NOBODY, NOBODY, NOBODY) < 0))
                return false;
        return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

/* "HOST:PORT", "[::1]:PORT" */
static int ask_tcp(char *address)
{
        const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
        struct addrinfo *found = NULL;
        char *colon = strrchr(address, ':'), *host = address;
        int r, cause = 0;

        if (!colon)
                return 2;
        *colon = '\0';
        if (host[0] == '[' && colon[-1] == ']') {
                colon[-1] = '\0';
                host++;
        }
        r = getaddrinfo(host, colon + 1, &hints, &found);
        if (r != 0) {
                printf("%s: %s\n", host, gai_strerror(r));
                return 1;
        }
        for (const struct addrinfo *one = found; one; one = one->ai_next) {
                _cleanup_close_ int fd = socket(one->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

                if (fd >= 0 && connect(fd, one->ai_addr, one->ai_addrlen) == 0) {
                        freeaddrinfo(found);
                        return 0;
                }
                cause = errno;
        }
        freeaddrinfo(found);
        printf("%s\n", strerror(cause));
        return 1;
}

/* The body is not needed; an endless one ends the transfer. */
static size_t drop_body(char *data, size_t size, size_t n, void *context)
{
        size_t *total = context;

        (void)data;
        *total += size * n;
        return *total > BODY_MAX ? 0 : size * n;
}

static int ask_http(const char *url)
{
        CURL *curl = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_easy_init() : NULL;
        char message[CURL_ERROR_SIZE] = "";
        size_t total = 0;
        long status = 0;
        CURLcode result;

        if (!curl)
                return 1;
        curl_easy_setopt(curl, CURLOPT_URL, url);
        curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
        curl_easy_setopt(curl, CURLOPT_PROXY, "");
        curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(curl, CURLOPT_USERAGENT, "suture-health");
        curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, message);
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, drop_body);
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, &total);
        result = curl_easy_perform(curl);
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_cleanup(curl);
        curl_global_cleanup();
        if (result != CURLE_OK && !(result == CURLE_WRITE_ERROR && total > BODY_MAX)) {
                printf("%s\n", *message ? message : curl_easy_strerror(result));
                return 1;
        }
        printf("status %ld\n", status);
        return status >= 200 && status < 400 ? 0 : 1;
}

int main(int argc, char *argv[])
{
        if (argc != 3)
                return 2;
        if (!drop_privileges()) {
                printf("can't give up privileges: %s\n", strerror(errno));
                return 1;
        }
        if (strcmp(argv[1], "tcp") == 0)
                return ask_tcp(argv[2]);
        return strcmp(argv[1], "http") == 0 ? ask_http(argv[2]) : 2;
}
