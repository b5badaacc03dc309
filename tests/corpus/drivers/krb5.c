// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Both sides of a GSS-API conversation in one process: a context is made with the ticket in the cache
 * and accepted with the keytab; messages are wrapped, signed and checked; damaged ones are refused. With
 * SPNEGO as with Kerberos. The declarations are those of RFC 2744.
 */
#include "worker.h"

typedef struct { uint32_t length; void *elements; } oid;
typedef struct { size_t length; void *value; } buffer;

uint32_t gss_import_name(uint32_t *, buffer *, oid *, void **);
uint32_t gss_display_name(uint32_t *, void *, buffer *, oid **);
uint32_t gss_release_name(uint32_t *, void **);
uint32_t gss_release_buffer(uint32_t *, buffer *);
uint32_t gss_release_cred(uint32_t *, void **);
uint32_t gss_acquire_cred(uint32_t *, void *, uint32_t, void *, int, void **, void **, uint32_t *);
uint32_t gss_init_sec_context(uint32_t *, void *, void **, void *, oid *, uint32_t, uint32_t, void *,
                              buffer *, oid **, buffer *, uint32_t *, uint32_t *);
uint32_t gss_accept_sec_context(uint32_t *, void **, void *, buffer *, void *, void **, oid **, buffer *,
                                uint32_t *, uint32_t *, void **);
uint32_t gss_delete_sec_context(uint32_t *, void **, buffer *);
uint32_t gss_wrap(uint32_t *, void *, int, int, buffer *, int *, buffer *);
uint32_t gss_unwrap(uint32_t *, void *, buffer *, buffer *, int *, uint32_t *);
uint32_t gss_get_mic(uint32_t *, void *, int, buffer *, buffer *);
uint32_t gss_verify_mic(uint32_t *, void *, buffer *, buffer *, uint32_t *);
uint32_t gss_export_sec_context(uint32_t *, void **, buffer *);
uint32_t gss_import_sec_context(uint32_t *, buffer *, void **);
uint32_t gss_display_status(uint32_t *, uint32_t, int, oid *, uint32_t *, buffer *);

static oid kerberos = { 9, "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02" };
static oid spnego = { 6, "\x2b\x06\x01\x05\x05\x02" };
static oid service = { 10, "\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x04" };

static void good(uint32_t major, uint32_t minor, const char *what)
{
        buffer text = { 0 };
        uint32_t ignored, more = 0;

        if (major <= 1)
                return;
        gss_display_status(&ignored, minor, 2, &kerberos, &more, &text);
        fprintf(stderr, "%s: %x %.*s\n", what, major, (int)text.length, (char *)text.value);
        exit(1);
}

static void messages(void *from, void *to)
{
        static char text[5000];
        uint32_t minor;

        for (int secret = 0; secret < 2; secret++) {
                buffer plain = { sizeof(text) - (size_t)secret * 100, text }, packed = { 0 }, back = { 0 }, mic = { 0 };
                int state = 0;

                worker_fill((uint8_t *)text, sizeof(text), 5);
                good(gss_wrap(&minor, from, secret, 0, &plain, &state, &packed), minor, "wrap");
                MUST(state == secret);
                good(gss_unwrap(&minor, to, &packed, &back, &state, NULL), minor, "unwrap");
                MUST(back.length == plain.length && !memcmp(back.value, text, plain.length));
                gss_release_buffer(&minor, &back);
                ((uint8_t *)packed.value)[packed.length / 2] ^= 1;
                MUST(gss_unwrap(&minor, to, &packed, &back, NULL, NULL) > 1);
                gss_release_buffer(&minor, &packed);
                good(gss_get_mic(&minor, to, 0, &plain, &mic), minor, "get_mic");
                good(gss_verify_mic(&minor, from, &plain, &mic, NULL), minor, "verify_mic");
                text[7] ^= 1;
                MUST(gss_verify_mic(&minor, from, &plain, &mic, NULL) > 1);
                gss_release_buffer(&minor, &mic);
        }
}

static void conversation(oid *mechanism)
{
        buffer name = { 14, "host@localhost" }, token = { 0 }, answer = { 0 }, moved = { 0 }, peer = { 0 };
        void *target = NULL, *client = NULL, *server = NULL, *source = NULL, *cred = NULL;
        uint32_t minor, init = 1, accept = 1;

        good(gss_import_name(&minor, &name, &service, &target), minor, "import_name");
        good(gss_acquire_cred(&minor, NULL, 0, NULL, 2, &cred, NULL, NULL), minor, "acquire_cred");
        for (int i = 0; init == 1 || accept == 1; i++) {
                MUST(i < 5);
                init = gss_init_sec_context(&minor, NULL, &client, target, mechanism, 2 | 4 | 8 | 16 | 32, 0, NULL, &answer,
                                            NULL, &token, NULL, NULL);
                good(init, minor, "init_sec_context");
                gss_release_buffer(&minor, &answer);
                if (!token.length)
                        break;
                accept = gss_accept_sec_context(&minor, &server, cred, &token, NULL, source ? NULL : &source, NULL,
                                                &answer, NULL, NULL, NULL);
                good(accept, minor, "accept_sec_context");
                gss_release_buffer(&minor, &token);
        }
        MUST(init == 0 && accept == 0);
        good(gss_display_name(&minor, source, &peer, NULL), minor, "display_name");
        MUST(peer.length == 15 && !memcmp(peer.value, "me@EXAMPLE.TEST", 15));
        gss_release_buffer(&minor, &peer);
        messages(client, server);
        messages(server, client);
        good(gss_export_sec_context(&minor, &server, &moved), minor, "export");
        good(gss_import_sec_context(&minor, &moved, &server), minor, "import");
        messages(server, client);
        gss_release_buffer(&minor, &moved);
        gss_delete_sec_context(&minor, &client, NULL);
        gss_delete_sec_context(&minor, &server, NULL);
        gss_release_cred(&minor, &cred);
        gss_release_name(&minor, &source);
        gss_release_name(&minor, &target);
        worker_ok();
}

static void refused(void)
{
        uint8_t bytes[64];
        buffer token = { sizeof(bytes), bytes }, answer = { 0 };
        void *server = NULL;
        uint32_t minor;

        worker_fill(bytes, sizeof(bytes), 1);
        memcpy(bytes, "\x60\x3e\x06\x06\x2b\x06\x01\x05\x05\x02", 10);
        MUST(gss_accept_sec_context(&minor, &server, NULL, &token, NULL, NULL, NULL, &answer, NULL, NULL, NULL) > 1);
        gss_release_buffer(&minor, &answer);
        gss_delete_sec_context(&minor, &server, NULL);
}

int main(void)
{
        for (;;) {
                conversation(&kerberos);
                conversation(&spnego);
                refused();
        }
}
