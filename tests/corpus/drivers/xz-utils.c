// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Compresses and decompresses with each kind of stream and filter, in one call and in pieces, with
 * several threads, and builds, encodes, joins and searches indexes. Damaged data must be refused.
 */
#include <lzma.h>

#include "worker.h"

#define SIZE 60000u

static uint8_t plain[SIZE], packed[2 * SIZE], again[SIZE + 1];

/* Drives a coder to its end with small buffers; returns the size of what came out. */
static size_t pump(lzma_stream *stream, const uint8_t *in, size_t in_size, uint8_t *out,
                   size_t out_size, size_t piece)
{
        size_t fed = 0;
        lzma_ret r = LZMA_OK;

        stream->next_out = out;
        stream->avail_out = out_size;
        while (r == LZMA_OK) {
                if (stream->avail_in == 0 && fed < in_size) {
                        stream->next_in = in + fed;
                        stream->avail_in = in_size - fed < piece ? in_size - fed : piece;
                        fed += stream->avail_in;
                }
                r = lzma_code(stream, fed == in_size ? LZMA_FINISH : LZMA_RUN);
        }
        MUST(r == LZMA_STREAM_END);
        lzma_end(stream);
        return out_size - stream->avail_out;
}

static void check_back(size_t size)
{
        MUST(size == SIZE && !memcmp(plain, again, SIZE));
        memset(again, 0, sizeof(again));
}

static void easy(uint32_t preset, lzma_check check, size_t piece)
{
        lzma_stream stream = LZMA_STREAM_INIT;
        size_t size;
        uint64_t limit = UINT64_MAX;
        size_t in_at = 0, out_at = 0;

        MUST(lzma_easy_encoder(&stream, preset, check) == LZMA_OK);
        size = pump(&stream, plain, SIZE, packed, sizeof(packed), piece);
        stream = (lzma_stream)LZMA_STREAM_INIT;
        MUST(lzma_stream_decoder(&stream, UINT64_MAX, LZMA_CONCATENATED) == LZMA_OK);
        check_back(pump(&stream, packed, size, again, sizeof(again), piece));
        stream = (lzma_stream)LZMA_STREAM_INIT;
        MUST(lzma_auto_decoder(&stream, UINT64_MAX, 0) == LZMA_OK);
        check_back(pump(&stream, packed, size, again, sizeof(again), piece * 3));
        MUST(lzma_stream_buffer_decode(&limit, 0, NULL, packed, &in_at, size, again, &out_at,
                                       sizeof(again)) == LZMA_OK);
        check_back(out_at);
        packed[size / 2] ^= 0x40;
        in_at = out_at = 0;
        MUST(lzma_stream_buffer_decode(&limit, 0, NULL, packed, &in_at, size, again, &out_at,
                                       sizeof(again)) != LZMA_OK);
}

static void alone(void)
{
        lzma_stream stream = LZMA_STREAM_INIT;
        lzma_options_lzma options;
        size_t size;

        MUST(!lzma_lzma_preset(&options, 1));
        options.lc = 2, options.lp = 1, options.pb = 0;
        MUST(lzma_alone_encoder(&stream, &options) == LZMA_OK);
        size = pump(&stream, plain, SIZE, packed, sizeof(packed), 4096);
        stream = (lzma_stream)LZMA_STREAM_INIT;
        MUST(lzma_alone_decoder(&stream, UINT64_MAX) == LZMA_OK);
        check_back(pump(&stream, packed, size, again, sizeof(again), 777));
}

static void raw(lzma_vli filter)
{
        lzma_options_lzma lzma;
        lzma_options_delta delta = { .type = LZMA_DELTA_TYPE_BYTE, .dist = 4 };
        lzma_filter chain[] = { { filter, filter == LZMA_FILTER_DELTA ? &delta : NULL },
                                { LZMA_FILTER_LZMA2, &lzma }, { LZMA_VLI_UNKNOWN, NULL } };
        size_t at = 0, in_at = 0, out_at = 0;

        MUST(!lzma_lzma_preset(&lzma, 2));
        MUST(lzma_raw_encoder_memusage(chain) != UINT64_MAX);
        MUST(lzma_raw_buffer_encode(chain, NULL, plain, SIZE, packed, &at, sizeof(packed)) == LZMA_OK);
        MUST(lzma_raw_buffer_decode(chain, NULL, packed, &in_at, at, again, &out_at,
                                    sizeof(again)) == LZMA_OK);
        check_back(out_at);
}

static void threads(void)
{
        lzma_stream stream = LZMA_STREAM_INIT;
        lzma_mt options = { .threads = 3, .preset = 1, .check = LZMA_CHECK_SHA256, .block_size = 40000 };
        size_t size;

        MUST(lzma_stream_encoder_mt(&stream, &options) == LZMA_OK);
        size = pump(&stream, plain, SIZE, packed, sizeof(packed), 10000);
        options = (lzma_mt){ .threads = 3, .memlimit_threading = UINT64_MAX, .memlimit_stop = UINT64_MAX };
        stream = (lzma_stream)LZMA_STREAM_INIT;
        MUST(lzma_stream_decoder_mt(&stream, &options) == LZMA_OK);
        check_back(pump(&stream, packed, size, again, sizeof(again), 10000));
}

static lzma_index *new_index(unsigned int blocks)
{
        lzma_index *index = lzma_index_init(NULL);

        MUST(index);
        for (unsigned int i = 0; i < blocks; i++)
                MUST(lzma_index_append(index, NULL, 40 + 4 * i, 1000 + i) == LZMA_OK);
        MUST(lzma_index_block_count(index) == blocks);
        return index;
}

static void indexes(void)
{
        lzma_index *index = new_index(700), *other = new_index(3), *copy = NULL;
        lzma_index_iter iter;
        uint64_t limit = UINT64_MAX;
        size_t at = 0, in_at = 0;
        unsigned int seen = 0;

        MUST(lzma_index_buffer_encode(index, packed, &at, sizeof(packed)) == LZMA_OK);
        MUST(at == lzma_index_size(index));
        MUST(lzma_index_buffer_decode(&copy, &limit, NULL, packed, &in_at, at) == LZMA_OK);
        MUST(lzma_index_uncompressed_size(copy) == lzma_index_uncompressed_size(index));
        MUST(lzma_index_cat(copy, other, NULL) == LZMA_OK);
        MUST(lzma_index_block_count(copy) == 703 && lzma_index_stream_count(copy) == 2);
        /* An index that was decoded can be added to. */
        MUST(lzma_index_append(copy, NULL, 100, 5) == LZMA_OK);
        lzma_index_iter_init(&iter, copy);
        while (!lzma_index_iter_next(&iter, LZMA_INDEX_ITER_BLOCK))
                seen++;
        MUST(seen == 704);
        MUST(!lzma_index_iter_locate(&iter, 1500) && iter.block.number_in_file == 2);
        lzma_index_end(index, NULL);
        index = lzma_index_dup(copy, NULL);
        MUST(index && lzma_index_block_count(index) == 704);
        lzma_index_end(index, NULL);
        lzma_index_end(copy, NULL);
        packed[at / 2] ^= 1;
        in_at = 0;
        MUST(lzma_index_buffer_decode(&copy, &limit, NULL, packed, &in_at, at) != LZMA_OK);

        /* An empty one, decoded and added to. */
        index = new_index(0);
        at = in_at = 0;
        MUST(lzma_index_buffer_encode(index, packed, &at, sizeof(packed)) == LZMA_OK);
        lzma_index_end(index, NULL);
        MUST(lzma_index_buffer_decode(&copy, &limit, NULL, packed, &in_at, at) == LZMA_OK);
        MUST(lzma_index_block_count(copy) == 0);
        lzma_index_end(copy, NULL);
}

static void strings(void)
{
        lzma_filter chain[LZMA_FILTERS_MAX + 1];
        char *text = NULL;

        MUST(!lzma_str_to_filters("x86 lzma2:preset=6,dict=1MiB", NULL, chain, 0, NULL));
        MUST(lzma_str_from_filters(&text, chain, LZMA_STR_ENCODER, NULL) == LZMA_OK);
        MUST(strstr(text, "lzma2"));
        free(text);
        lzma_filters_free(chain, NULL);
        MUST(lzma_crc32(plain, SIZE, 0) == lzma_crc32(plain + 1000, SIZE - 1000,
                                                      lzma_crc32(plain, 1000, 0)));
}

int main(void)
{
        worker_fill(plain, SIZE, 7);
        for (;;) {
                easy(0, LZMA_CHECK_CRC64, 13);
                worker_ok();
                easy(3, LZMA_CHECK_CRC32, 9999);
                worker_ok();
                alone();
                raw(LZMA_FILTER_X86);
                raw(LZMA_FILTER_DELTA);
                raw(LZMA_FILTER_ARM);
                worker_ok();
                threads();
                indexes();
                strings();
                worker_ok();
        }
}
