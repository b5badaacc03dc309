// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Asks the servers of the driver in all the ways that are cheap: GET, POST, PUT, forms, ranges, chunks,
 * compression, redirections, cookies, HSTS, logins, a proxy, TLS, many at once, file://, and the
 * functions for addresses, escapes and options. The numbers are those of curl/curl.h 7.88.
 */
#include <stdarg.h>

#include "worker.h"

typedef void CURL;
typedef void CURLM;
struct curl_slist;

int curl_global_init(long);
CURL *curl_easy_init(void);
void curl_easy_reset(CURL *);
void curl_easy_cleanup(CURL *);
int curl_easy_setopt(CURL *, int, ...);
int curl_easy_perform(CURL *);
int curl_easy_getinfo(CURL *, int, ...);
CURL *curl_easy_duphandle(CURL *);
const char *curl_easy_strerror(int);
char *curl_easy_escape(CURL *, const char *, int);
char *curl_easy_unescape(CURL *, const char *, int, int *);
void curl_free(void *);
struct curl_slist *curl_slist_append(struct curl_slist *, const char *);
void curl_slist_free_all(struct curl_slist *);
void *curl_mime_init(CURL *);
void *curl_mime_addpart(void *);
int curl_mime_name(void *, const char *);
int curl_mime_data(void *, const char *, size_t);
int curl_mime_filedata(void *, const char *);
int curl_mime_encoder(void *, const char *);
void curl_mime_free(void *);
CURLM *curl_multi_init(void);
int curl_multi_add_handle(CURLM *, CURL *);
int curl_multi_remove_handle(CURLM *, CURL *);
int curl_multi_perform(CURLM *, int *);
int curl_multi_poll(CURLM *, void *, unsigned int, int, int *);
int curl_multi_cleanup(CURLM *);
void *curl_url(void);
int curl_url_set(void *, int, const char *, unsigned int);
int curl_url_get(void *, int, char **, unsigned int);
void *curl_url_dup(void *);
void curl_url_cleanup(void *);
long curl_getdate(const char *, const void *);
char *curl_version(void);
int curl_formadd(void **, void **, ...);

enum { WRITEDATA = 10001, URL = 10002, PROXY = 10004, USERPWD = 10005, RANGE = 10007, READDATA = 10009,
       ERRORS = 10010, WRITEFUNCTION = 20011, READFUNCTION = 20012, TIMEOUT = 13, POSTFIELDS = 10015,
       HEADERS = 10023, COOKIEFILE = 10031, UPLOAD = 46, POST = 47, NETRC = 51, FOLLOW = 52, POSTSIZE = 60,
       TUNNEL = 61, VERIFYPEER = 64, CAINFO = 10065, COOKIEJAR = 10082, NOSIGNAL = 99, ENCODING = 10102,
       HTTPAUTH = 107, INFILESIZE = 30115, NETRC_FILE = 10118, COOKIELIST = 10135, MIMEPOST = 10269,
       HSTS = 10300, HSTS_CTRL = 299, CODE = 0x200002, EFFECTIVE = 0x100001 };

static const char *plain, *secure, *certificate;
static char text[40000], got[1 << 18], errors[256];
static size_t text_size, got_size;

static size_t on_data(char *data, size_t one, size_t size, void *context)
{
        (void)context;
        MUST(got_size + one * size < sizeof(got));
        memcpy(got + got_size, data, one * size);
        got_size += one * size;
        got[got_size] = 0;
        return one * size;
}

static size_t on_read(char *room, size_t one, size_t size, void *context)
{
        size_t *at = context, n = text_size - *at;

        if (n > one * size)
                n = one * size;
        memcpy(room, text + *at, n);
        *at += n;
        return n;
}

static void start(CURL *curl, const char *base, const char *path)
{
        char url[200];

        snprintf(url, sizeof(url), "%s%s", base, path);
        curl_easy_reset(curl);
        got_size = 0;
        MUST(!curl_easy_setopt(curl, URL, url) && !curl_easy_setopt(curl, WRITEFUNCTION, on_data));
        MUST(!curl_easy_setopt(curl, ERRORS, errors) && !curl_easy_setopt(curl, NOSIGNAL, 1L));
        MUST(!curl_easy_setopt(curl, TIMEOUT, 20L) && !curl_easy_setopt(curl, CAINFO, certificate));
        MUST(!curl_easy_setopt(curl, COOKIEFILE, ""));
}

static void done(CURL *curl, long code, const char *body, size_t size)
{
        long found = 0;
        int r = curl_easy_perform(curl);

        if (r)
                fprintf(stderr, "curl: %s %s\n", curl_easy_strerror(r), errors);
        MUST(!r);
        MUST(!curl_easy_getinfo(curl, CODE, &found) && found == code);
        MUST(got_size == size && !memcmp(got, body, size));
        worker_ok();
}

static void gets(CURL *curl, const char *base)
{
        char *url;

        start(curl, base, "/text");
        done(curl, 200, text, text_size);
        start(curl, base, "/chunked");
        done(curl, 200, text, text_size);
        start(curl, base, "/gzip");
        curl_easy_setopt(curl, ENCODING, "");
        done(curl, 200, text, text_size);
        start(curl, base, "/range");
        curl_easy_setopt(curl, RANGE, "100-199");
        done(curl, 206, text + 100, 100);
        start(curl, base, "/redirect");
        curl_easy_setopt(curl, FOLLOW, 1L);
        done(curl, 200, text, text_size);
        curl_easy_getinfo(curl, EFFECTIVE, &url);
        MUST(strstr(url, "/text"));
        start(curl, base, "/cookie");
        curl_easy_setopt(curl, COOKIELIST, "ALL");
        done(curl, 200, "", 0);
        got_size = 0;
        done(curl, 200, "k=v", 3);
        curl_easy_setopt(curl, COOKIEJAR, "jar");
        curl_easy_setopt(curl, COOKIELIST, "FLUSH");
}

static void logins(CURL *curl)
{
        start(curl, plain, "/basic");
        done(curl, 401, "who?", 4);
        start(curl, plain, "/basic");
        curl_easy_setopt(curl, USERPWD, "me:pw");
        done(curl, 200, "welcome", 7);
        start(curl, plain, "/digest");
        curl_easy_setopt(curl, USERPWD, "me:pw");
        curl_easy_setopt(curl, HTTPAUTH, ~0UL & ~(1UL << 2) & 0x1bL);
        done(curl, 200, "welcome", 7);
        start(curl, plain, "/basic");
        curl_easy_setopt(curl, NETRC, 2L);
        curl_easy_setopt(curl, NETRC_FILE, "netrc");
        done(curl, 200, "welcome", 7);
}

static void posts(CURL *curl, const char *base)
{
        struct curl_slist *headers = curl_slist_append(NULL, "Transfer-Encoding: chunked");
        size_t at = 0;
        void *mime, *part;

        headers = curl_slist_append(headers, "X-Empty;");
        start(curl, base, "/echo");
        curl_easy_setopt(curl, POSTFIELDS, "a=1&b=2");
        done(curl, 200, "a=1&b=2", 7);
        start(curl, base, "/echo");
        curl_easy_setopt(curl, UPLOAD, 1L);
        curl_easy_setopt(curl, READFUNCTION, on_read);
        curl_easy_setopt(curl, READDATA, &at);
        curl_easy_setopt(curl, INFILESIZE, (long)text_size);
        done(curl, 200, text, text_size);
        at = 0;
        start(curl, base, "/echo");
        curl_easy_setopt(curl, UPLOAD, 1L);
        curl_easy_setopt(curl, HEADERS, headers);
        curl_easy_setopt(curl, READFUNCTION, on_read);
        curl_easy_setopt(curl, READDATA, &at);
        done(curl, 200, text, text_size);
        curl_slist_free_all(headers);
        start(curl, base, "/echo");
        mime = curl_mime_init(curl);
        part = curl_mime_addpart(mime);
        curl_mime_name(part, "field");
        curl_mime_data(part, "the value", 9);
        curl_mime_encoder(part, "base64");
        part = curl_mime_addpart(mime);
        curl_mime_name(part, "file");
        curl_mime_filedata(part, "text");
        curl_easy_setopt(curl, MIMEPOST, mime);
        MUST(!curl_easy_perform(curl));
        MUST(strstr(got, "dGhlIHZhbHVl") && strstr(got, "filename=\"text\"") && got_size > text_size);
        curl_mime_free(mime);
        worker_ok();
}

static void others(CURL *curl)
{
        CURL *copy;

        start(curl, secure, "/text");
        curl_easy_setopt(curl, PROXY, plain);
        done(curl, 200, text, text_size);
        start(curl, plain, "/text");
        curl_easy_setopt(curl, PROXY, plain);
        curl_easy_setopt(curl, TUNNEL, 1L);
        done(curl, 200, text, text_size);
        start(curl, secure, "/text");
        curl_easy_setopt(curl, CAINFO, "/dev/null");
        MUST(curl_easy_perform(curl) != 0);
        start(curl, secure, "/cookie");
        curl_easy_setopt(curl, HSTS_CTRL, 1L);
        curl_easy_setopt(curl, HSTS, "hsts");
        copy = curl_easy_duphandle(curl);
        curl_easy_setopt(curl, COOKIELIST, "ALL");
        done(curl, 200, "", 0);
        MUST(copy);
        curl_easy_cleanup(copy);
        char cwd[300];

        MUST(realpath("text", cwd));
        start(curl, "file://", cwd);
        done(curl, 0, text, text_size);
        start(curl, "nothing://", "x");
        MUST(curl_easy_perform(curl) == 1);
        start(curl, "http://127.0.0.1:1", "/");
        MUST(curl_easy_perform(curl) == 7);
}

static void many(void)
{
        CURLM *multi = curl_multi_init();
        CURL *easy[6];
        char url[200];
        int running = 1;

        got_size = 0;
        for (int i = 0; i < 6; i++) {
                easy[i] = curl_easy_init();
                snprintf(url, sizeof(url), "%s/text?%d", i % 2 ? plain : secure, i);
                curl_easy_setopt(easy[i], URL, url);
                curl_easy_setopt(easy[i], CAINFO, certificate);
                curl_easy_setopt(easy[i], WRITEFUNCTION, on_data);
                MUST(!curl_multi_add_handle(multi, easy[i]));
        }
        while (running) {
                MUST(!curl_multi_perform(multi, &running));
                MUST(!curl_multi_poll(multi, NULL, 0, 1000, NULL));
        }
        MUST(got_size == 6 * text_size);
        for (int i = 0; i < 6; i++) {
                MUST(!curl_multi_remove_handle(multi, easy[i]));
                curl_easy_cleanup(easy[i]);
        }
        MUST(!curl_multi_cleanup(multi));
        worker_ok();
}

static void addresses(CURL *curl)
{
        void *url = curl_url(), *copy;
        char *part, *plain_text;
        int size;

        MUST(!curl_url_set(url, 0, "http://me:pw@host.example:81/a/./b/../c?q=1#f", 0));
        MUST(!curl_url_get(url, 5, &part, 0) && !strcmp(part, "host.example"));
        curl_free(part);
        MUST(!curl_url_set(url, 0, "../d e?x", 1 << 7));
        copy = curl_url_dup(url);
        MUST(!curl_url_get(copy, 0, &part, 0));
        MUST(!strcmp(part, "http://me:pw@host.example:81/d%20e?x"));
        curl_free(part);
        curl_url_cleanup(copy);
        MUST(curl_url_set(url, 0, "http://[::g]/", 0) != 0);
        curl_url_cleanup(url);
        part = curl_easy_escape(curl, "a b/\xc3\xa4", 0);
        MUST(!strcmp(part, "a%20b%2F%C3%A4"));
        plain_text = curl_easy_unescape(curl, part, 0, &size);
        MUST(size == 6 && !strcmp(plain_text, "a b/\xc3\xa4"));
        curl_free(part);
        curl_free(plain_text);
        MUST(curl_getdate("Sun, 06 Nov 1994 08:49:37 GMT", NULL) == 784111777);
        MUST(strstr(curl_version(), "libcurl"));
        worker_ok();
}

int main(int argc, char **argv)
{
        CURL *curl;

        MUST(argc == 4);
        plain = argv[1], secure = argv[2], certificate = argv[3];
        for (int i = 0; i < 3000; i++)
                text_size += (size_t)sprintf(text + text_size, "line %d\n", i);
        MUST(!curl_global_init(3));
        for (curl = curl_easy_init();; ) {
                gets(curl, plain);
                gets(curl, secure);
                logins(curl);
                posts(curl, plain);
                posts(curl, secure);
                others(curl);
                many();
                addresses(curl);
        }
}
