// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Buckets and brigades, base64, URIs, dates, XML, hashes and passwords, DBM files, queues, shared-memory
 * allocation, thread pools and string matching. The declarations are those of apr-util 1.6.
 */
#include <sys/types.h>

#include "worker.h"

typedef struct apr_pool_t apr_pool_t;
typedef struct { char *scheme, *hostinfo, *user, *password, *hostname, *port_str, *path, *query, *fragment;
                 void *hostent; unsigned short port; unsigned int flags; } apr_uri_t;
typedef struct { char *dptr; size_t dsize; } apr_datum_t;

int apr_initialize(void);
int apr_pool_create_ex(apr_pool_t **, apr_pool_t *, void *, void *);
void apr_pool_destroy(apr_pool_t *);
void *apr_bucket_alloc_create(apr_pool_t *);
void apr_bucket_alloc_destroy(void *);
void *apr_brigade_create(apr_pool_t *, void *);
int apr_brigade_printf(void *, void *, void *, const char *, ...);
int apr_brigade_length(void *, int, off_t *);
int apr_brigade_pflatten(void *, char **, size_t *, apr_pool_t *);
int apr_brigade_partition(void *, off_t, void **);
void *apr_brigade_split(void *, void *);
int apr_brigade_split_line(void *, void *, int, off_t);
int apr_brigade_cleanup(void *);
int apr_base64_encode(char *, const char *, int);
int apr_base64_decode(char *, const char *);
int apr_base64_encode_len(int);
int apr_uri_parse(apr_pool_t *, const char *, apr_uri_t *);
char *apr_uri_unparse(apr_pool_t *, const apr_uri_t *, unsigned int);
int64_t apr_date_parse_http(const char *);
int64_t apr_date_parse_rfc(const char *);
void *apr_xml_parser_create(apr_pool_t *);
int apr_xml_parser_feed(void *, const char *, size_t);
int apr_xml_parser_done(void *, void **);
void apr_xml_to_text(apr_pool_t *, const void *, int, void *, int *, const char **, size_t *);
const char *apr_xml_quote_string(apr_pool_t *, const char *, int);
int apr_md5_encode(const char *, const char *, char *, size_t);
int apr_bcrypt_encode(const char *, unsigned int, const unsigned char *, size_t, char *, size_t);
int apr_password_validate(const char *, const char *);
int apr_md5(unsigned char *, const void *, size_t);
void apr_sha1_base64(const char *, int, char *);
int apr_dbm_open_ex(void **, const char *, const char *, int, int, apr_pool_t *);
void apr_dbm_close(void *);
int apr_dbm_fetch(void *, apr_datum_t, apr_datum_t *);
int apr_dbm_store(void *, apr_datum_t, apr_datum_t);
int apr_dbm_delete(void *, apr_datum_t);
int apr_dbm_exists(void *, apr_datum_t);
int apr_dbm_firstkey(void *, apr_datum_t *);
int apr_dbm_nextkey(void *, apr_datum_t *);
int apr_queue_create(void **, unsigned int, apr_pool_t *);
int apr_queue_push(void *, void *);
int apr_queue_pop(void *, void **);
int apr_queue_trypop(void *, void **);
const void *apr_strmatch_precompile(apr_pool_t *, const char *, int);
struct matcher { const char *(*compare)(const void *, const char *, size_t); };
int apr_rmm_init(void **, void *, void *, size_t, apr_pool_t *);
unsigned int apr_rmm_malloc(void *, size_t);
int apr_rmm_free(void *, unsigned int);
int apr_rmm_destroy(void *);
int apr_thread_pool_create(void **, size_t, size_t, apr_pool_t *);
int apr_thread_pool_push(void *, void *(*)(void *, void *), void *, uint8_t, void *);
int apr_thread_pool_destroy(void *);
size_t apr_thread_pool_tasks_count(void *);
size_t apr_thread_pool_busy_count(void *);

enum { XML_FULL = 0, DBM_CREATE = 3, DEFAULT_PERMS = 0x0fff };

static void brigades(apr_pool_t *pool)
{
        void *list = apr_bucket_alloc_create(pool), *brigade = apr_brigade_create(pool, list);
        void *line = apr_brigade_create(pool, list), *second, *at;
        char *flat;
        size_t size;
        off_t length;

        for (int i = 0; i < 500; i++)
                MUST(!apr_brigade_printf(brigade, NULL, NULL, "line %d of 500\n", i));
        MUST(!apr_brigade_length(brigade, 1, &length) && length == 10 * 14 + 90 * 15 + 400 * 16);
        MUST(!apr_brigade_split_line(line, brigade, 1, 8192));
        MUST(!apr_brigade_pflatten(line, &flat, &size, pool));
        MUST(size == 14 && !memcmp(flat, "line 0 of 500\n", 14));
        MUST(!apr_brigade_partition(brigade, 1000, &at));
        second = apr_brigade_split(brigade, at);
        MUST(!apr_brigade_length(brigade, 1, &length) && length == 1000);
        MUST(!apr_brigade_pflatten(second, &flat, &size, pool));
        MUST(!memcmp(flat + size - 16, "line 499 of 500\n", 16));
        apr_brigade_cleanup(brigade);
        apr_brigade_cleanup(second);
        apr_brigade_cleanup(line);
        worker_ok();
}

static void texts(apr_pool_t *pool)
{
        char packed[200], plain[200];
        apr_uri_t uri = { 0 };
        const struct matcher *matcher = apr_strmatch_precompile(pool, "needle", 1);
        const char *found, hay[] = "a hay stack with a needle in it";

        MUST(apr_base64_encode(packed, "any carnal pleas", 16) == apr_base64_encode_len(16));
        MUST(!strcmp(packed, "YW55IGNhcm5hbCBwbGVhcw=="));
        MUST(apr_base64_decode(plain, packed) == 16 && !memcmp(plain, "any carnal pleas", 16));
        MUST(!apr_uri_parse(pool, "http://me:pw@host:81/a/b?q#f", &uri));
        MUST(uri.port == 81 && !strcmp(uri.path, "/a/b") && !strcmp(uri.hostname, "host"));
        MUST(!strcmp(apr_uri_unparse(pool, &uri, 0), "http://me:XXXXXXXX@host:81/a/b?q#f"));
        MUST(!apr_uri_parse(pool, "http://[::1]:82/x", &uri) && !strcmp(uri.hostname, "::1"));
        MUST(apr_uri_parse(pool, "http://h:8x/", &uri));
        MUST(apr_date_parse_http("Sun, 06 Nov 1994 08:49:37 GMT") == 784111777000000);
        MUST(apr_date_parse_rfc("Sunday, 06-Nov-94 08:49:37 GMT") == 784111777000000);
        MUST(apr_date_parse_http("no date") == 0);
        found = matcher->compare(matcher, hay, sizeof(hay) - 1);
        MUST(found == strstr(hay, "needle"));
        worker_ok();
}

static void documents(apr_pool_t *pool)
{
        static const char text[] = "<?xml version='1.0'?><a xmlns='urn:x' xmlns:p='urn:p'><p:b c='1&amp;2'>text</p:b>"
                                   "<d/>tail</a>";
        void *parser = apr_xml_parser_create(pool), *doc = NULL, *other;
        const char *out;
        size_t size;

        for (size_t i = 0; i < sizeof(text) - 1; i += 7)
                MUST(!apr_xml_parser_feed(parser, text + i, sizeof(text) - 1 - i < 7 ? sizeof(text) - 1 - i : 7));
        MUST(!apr_xml_parser_done(parser, &doc) && doc);
        apr_xml_to_text(pool, *(void **)doc, XML_FULL, NULL, NULL, &out, &size);
        MUST(size > 40 && strstr(out, "text") && strstr(out, "tail"));
        MUST(!strcmp(apr_xml_quote_string(pool, "<\"&>", 1), "&lt;&quot;&amp;&gt;"));
        parser = apr_xml_parser_create(pool);
        MUST(apr_xml_parser_feed(parser, "<a></b>", 7) || apr_xml_parser_done(parser, &other));
        worker_ok();
}

static void secrets(void)
{
        char hash[200];
        unsigned char digest[16];

        MUST(!apr_md5_encode("password", "saltsalt", hash, sizeof(hash)));
        MUST(!strncmp(hash, "$apr1$saltsalt$", 15) && !apr_password_validate("password", hash));
        MUST(apr_password_validate("other", hash));
        MUST(!apr_bcrypt_encode("password", 4, (const unsigned char *)"0123456789abcdef", 16, hash, sizeof(hash)));
        MUST(!apr_password_validate("password", hash) && apr_password_validate("passwort", hash));
        apr_sha1_base64("password", 8, hash);
        MUST(!strcmp(hash, "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=") && !apr_password_validate("password", hash));
        MUST(!apr_md5(digest, "abc", 3) && digest[0] == 0x90 && digest[15] == 0x72);
        worker_ok();
}

static void files(apr_pool_t *pool)
{
        void *dbm;
        char key[20], value[300];
        int seen = 0;
        apr_datum_t datum;

        MUST(!apr_dbm_open_ex(&dbm, "sdbm", "base", DBM_CREATE + 1, DEFAULT_PERMS, pool));
        for (int i = 0; i < 150; i++) {
                snprintf(key, sizeof(key), "key%d", i);
                memset(value, 'a' + i % 26, sizeof(value));
                MUST(!apr_dbm_store(dbm, (apr_datum_t){ key, strlen(key) }, (apr_datum_t){ value, (size_t)i + 100 }));
        }
        for (int i = 0; i < 150; i++) {
                snprintf(key, sizeof(key), "key%d", i);
                MUST(!apr_dbm_fetch(dbm, (apr_datum_t){ key, strlen(key) }, &datum));
                MUST(datum.dsize == (size_t)i + 100 && datum.dptr[99] == 'a' + i % 26);
        }
        MUST(!apr_dbm_delete(dbm, (apr_datum_t){ "key7", 4 }) && !apr_dbm_exists(dbm, (apr_datum_t){ "key7", 4 }));
        for (int r = apr_dbm_firstkey(dbm, &datum); !r && datum.dptr; r = apr_dbm_nextkey(dbm, &datum))
                seen++;
        MUST(seen == 149);
        apr_dbm_close(dbm);
        worker_ok();
}

static int done;

static void *task(void *thread, void *data)
{
        (void)thread;
        __atomic_add_fetch(&done, (int)(long)data, __ATOMIC_SEQ_CST);
        return NULL;
}

static void queues(apr_pool_t *pool)
{
        static char memory[64 * 1024];
        void *queue, *got, *rmm, *threads;
        unsigned int blocks[20];

        MUST(!apr_queue_create(&queue, 32, pool));
        for (long i = 1; i <= 32; i++)
                MUST(!apr_queue_push(queue, (void *)i));
        for (long i = 1; i <= 32; i++)
                MUST(!apr_queue_pop(queue, &got) && got == (void *)i);
        MUST(apr_queue_trypop(queue, &got));
        MUST(!apr_rmm_init(&rmm, NULL, memory, sizeof(memory), pool));
        for (int i = 0; i < 20; i++)
                MUST((blocks[i] = apr_rmm_malloc(rmm, 100 + (size_t)i * 50)));
        for (int i = 0; i < 20; i += 2)
                MUST(!apr_rmm_free(rmm, blocks[i]));
        for (int i = 1; i < 20; i += 2)
                MUST(!apr_rmm_free(rmm, blocks[i]));
        MUST(apr_rmm_malloc(rmm, 30000) && !apr_rmm_malloc(rmm, 60000));
        MUST(!apr_rmm_destroy(rmm));
        done = 0;
        MUST(!apr_thread_pool_create(&threads, 2, 4, pool));
        for (long i = 1; i <= 20; i++)
                MUST(!apr_thread_pool_push(threads, task, (void *)i, 127, NULL));
        while (apr_thread_pool_tasks_count(threads) || apr_thread_pool_busy_count(threads))
                nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
        MUST(!apr_thread_pool_destroy(threads));
        MUST(__atomic_load_n(&done, __ATOMIC_SEQ_CST) == 210);
        worker_ok();
}

int main(void)
{
        MUST(!apr_initialize());
        for (;;) {
                apr_pool_t *pool;

                MUST(!apr_pool_create_ex(&pool, NULL, NULL, NULL));
                brigades(pool);
                texts(pool);
                documents(pool);
                secrets();
                files(pool);
                queues(pool);
                apr_pool_destroy(pool);
        }
}
