// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writes and reads images in memory: every colour type and depth, interlaced or not, with palette,
 * transparency, text, time, gamma and other chunks; reads them as they are, transformed, row by row
 * by the progressive reader, and through the simplified API. What was damaged must be refused.
 */
#include <png.h>
#include <setjmp.h>

#include "worker.h"

#define WIDTH 61u
#define HEIGHT 37u

static struct {
        uint8_t bytes[1 << 18];
        size_t size, at;
} file;

static uint8_t rows[HEIGHT][WIDTH * 8], back[HEIGHT][WIDTH * 8];
static png_bytep pointers[HEIGHT], back_pointers[HEIGHT];

static void write_bytes(png_structp png, png_bytep data, size_t size)
{
        (void)png;
        MUST(file.size + size < sizeof(file.bytes));
        memcpy(file.bytes + file.size, data, size);
        file.size += size;
}

static void flush_bytes(png_structp png)
{
        (void)png;
}

static void read_bytes(png_structp png, png_bytep data, size_t size)
{
        if (size > file.size - file.at)
                png_error(png, "short");
        memcpy(data, file.bytes + file.at, size);
        file.at += size;
}

static void no_warning(png_structp png, png_const_charp text)
{
        (void)png, (void)text;
}

static void quiet_error(png_structp png, png_const_charp text)
{
        (void)text;
        png_longjmp(png, 1);
}

static void write_extras(png_structp png, png_infop info, int colour, int depth)
{
        png_color palette[256];
        png_byte alphas[256];
        png_text text[3] = { { .compression = PNG_TEXT_COMPRESSION_NONE, .key = "Title", .text = "plain" },
                             { .compression = PNG_TEXT_COMPRESSION_zTXt, .key = "Comment", .text = "packed packed packed" },
                             { .compression = PNG_ITXT_COMPRESSION_zTXt, .key = "Author", .text = "\xc3\xa4", .lang = "de",
                               .lang_key = "Autor" } };
        png_time when = { 2020, 2, 3, 4, 5, 6 };
        png_color_16 grey = { .gray = 1, .red = 1, .green = 2, .blue = 3 };
        int entries = depth < 8 ? 1 << depth : 256;

        for (int i = 0; i < 256; i++) {
                palette[i] = (png_color){ (png_byte)i, (png_byte)(255 - i), (png_byte)(i * 7) };
                alphas[i] = (png_byte)(i * 3);
        }
        if (colour == PNG_COLOR_TYPE_PALETTE) {
                uint16_t histogram[256] = { 1, 2, 3 };

                png_set_PLTE(png, info, palette, entries);
                png_set_tRNS(png, info, alphas, entries, NULL);
                png_set_hIST(png, info, histogram);
        } else if (!(colour & PNG_COLOR_MASK_ALPHA)) {
                png_set_tRNS(png, info, NULL, 0, &grey);
        }
        png_set_gAMA(png, info, 1 / 2.2);
        png_set_cHRM(png, info, 0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06);
        png_set_pHYs(png, info, 3000, 3000, PNG_RESOLUTION_METER);
        png_set_oFFs(png, info, 5, 6, PNG_OFFSET_PIXEL);
        png_set_tIME(png, info, &when);
        png_set_text(png, info, text, 3);
        png_set_eXIf_1(png, info, 8, (png_bytep)"II*\0\0\0\0\0");
}

static void write_image(int colour, int depth, int interlace)
{
        png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, quiet_error, no_warning);
        png_infop info = png_create_info_struct(png);

        MUST(png && info);
        if (setjmp(png_jmpbuf(png)))
                MUST(!"writing works");
        file.size = 0;
        png_set_write_fn(png, NULL, write_bytes, flush_bytes);
        png_set_IHDR(png, info, WIDTH, HEIGHT, depth, colour, interlace, PNG_COMPRESSION_TYPE_BASE,
                     PNG_FILTER_TYPE_BASE);
        png_set_filter(png, 0, PNG_ALL_FILTERS);
        png_set_compression_level(png, 1);
        write_extras(png, info, colour, depth);
        png_write_info(png, info);
        png_write_image(png, pointers);
        png_write_end(png, info);
        png_destroy_write_struct(&png, &info);
}

/* The last bits of a row may be anything. */
static void check_rows(size_t row_size, int bits)
{
        size_t whole = WIDTH * (size_t)bits / 8;

        MUST(row_size >= whole);
        for (unsigned int y = 0; y < HEIGHT; y++)
                MUST(!memcmp(rows[y], back[y], whole));
}

static void read_plain(int colour, int depth)
{
        png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, quiet_error, no_warning);
        png_infop info = png_create_info_struct(png), end = png_create_info_struct(png);
        png_textp text;
        int count = 0;

        if (setjmp(png_jmpbuf(png)))
                MUST(!"reading works");
        file.at = 0;
        png_set_read_fn(png, NULL, read_bytes);
        png_read_info(png, info);
        MUST(png_get_image_width(png, info) == WIDTH && png_get_bit_depth(png, info) == depth);
        MUST(png_get_color_type(png, info) == colour);
        MUST(png_get_x_pixels_per_meter(png, info) == 3000);
        png_read_image(png, back_pointers);
        png_read_end(png, end);
        png_get_text(png, info, &text, &count);
        MUST(count == 3 && !strcmp(text[1].text, "packed packed packed"));
        MUST(!strcmp(text[2].lang_key, "Autor"));
        check_rows(png_get_rowbytes(png, info), png_get_channels(png, info) * depth);
        png_destroy_read_struct(&png, &info, &end);
}

/* All to 8 bit RGBA on a background, with gamma, and quantised to a palette. */
static unsigned long read_transformed(bool interlaced, int form)
{
        png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, quiet_error, no_warning);
        png_infop info = png_create_info_struct(png);
        png_color_16 background = { .red = 10, .green = 20, .blue = 30, .gray = 40 };
        unsigned long sum = 0;

        if (setjmp(png_jmpbuf(png)))
                MUST(!"transforming works");
        file.at = 0;
        png_set_read_fn(png, NULL, read_bytes);
        png_read_info(png, info);
        if (form == 0) {
                png_set_expand(png);
                png_set_strip_16(png);
                png_set_gray_to_rgb(png);
                png_set_add_alpha(png, 0xff, PNG_FILLER_AFTER);
                png_set_bgr(png);
                png_set_gamma(png, 2.2, 1 / 2.2);
        } else if (form == 1) {
                png_set_expand_16(png);
                png_set_background(png, &background, PNG_BACKGROUND_GAMMA_SCREEN, 0, 1.0);
                png_set_swap(png);
                png_set_invert_alpha(png);
        } else {
                png_set_expand(png);
                png_set_scale_16(png);
                png_set_alpha_mode(png, PNG_ALPHA_PNG, PNG_DEFAULT_sRGB);
                png_set_rgb_to_gray(png, PNG_ERROR_ACTION_NONE, -1, -1);
                png_set_packswap(png);
        }
        MUST((png_set_interlace_handling(png) > 1) == interlaced);
        png_read_update_info(png, info);
        MUST(png_get_rowbytes(png, info) <= WIDTH * 8);
        memset(back, 0, sizeof(back));
        png_read_image(png, back_pointers);
        png_read_end(png, NULL);
        for (size_t y = 0; y < HEIGHT; y++)
                for (size_t x = 0; x < png_get_rowbytes(png, info); x++)
                        sum = sum * 31 + back[y][x];
        png_destroy_read_struct(&png, &info, NULL);
        return sum;
}

static void on_info(png_structp png, png_infop info)
{
        png_set_interlace_handling(png);
        png_read_update_info(png, info);
}

static void on_row(png_structp png, png_bytep row, png_uint_32 number, int pass)
{
        (void)pass;
        if (row)
                png_progressive_combine_row(png, back[number], row);
}

static void on_end(png_structp png, png_infop info)
{
        (void)info;
        *(bool *)png_get_progressive_ptr(png) = true;
}

static void read_progressive(int bits)
{
        bool done = false;
        png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, quiet_error, no_warning);
        png_infop info = png_create_info_struct(png);

        if (setjmp(png_jmpbuf(png)))
                MUST(!"progressive reading works");
        memset(back, 0, sizeof(back));
        png_set_progressive_read_fn(png, &done, on_info, on_row, on_end);
        for (size_t at = 0; at < file.size; at += 13)
                png_process_data(png, info, file.bytes + at, file.size - at < 13 ? file.size - at : 13);
        MUST(done);
        check_rows(png_get_rowbytes(png, info), bits);
        png_destroy_read_struct(&png, &info, NULL);
}

static void refuse_damaged(void)
{
        png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, quiet_error, no_warning);
        png_infop info = png_create_info_struct(png);
        volatile bool refused = true;

        file.bytes[20] ^= 1;
        file.at = 0;
        if (!setjmp(png_jmpbuf(png))) {
                png_set_read_fn(png, NULL, read_bytes);
                png_read_info(png, info);
                refused = false;
        }
        MUST(refused);
        file.bytes[20] ^= 1;
        png_destroy_read_struct(&png, &info, NULL);
}

/* The simplified API: as it was written, and with a colour map. */
static void simple(void)
{
        static uint8_t pixels[WIDTH * HEIGHT * 4], again[WIDTH * HEIGHT * 4], map[256 * 4];
        static uint8_t packed[1 << 17];
        png_image image = { .version = PNG_IMAGE_VERSION, .width = WIDTH, .height = HEIGHT,
                            .format = PNG_FORMAT_RGBA };
        png_alloc_size_t size = sizeof(packed);

        worker_fill(pixels, sizeof(pixels), 3);
        MUST(png_image_write_to_memory(&image, packed, &size, 0, pixels, 0, NULL));
        image = (png_image){ .version = PNG_IMAGE_VERSION };
        MUST(png_image_begin_read_from_memory(&image, packed, size));
        image.format = PNG_FORMAT_RGBA;
        MUST(png_image_finish_read(&image, NULL, again, 0, NULL));
        MUST(!memcmp(pixels, again, sizeof(pixels)));
        for (int linear = 0; linear < 2; linear++) {
                static uint8_t wide[WIDTH * HEIGHT * 8];
                png_color background = { 1, 2, 3 };

                image = (png_image){ .version = PNG_IMAGE_VERSION };
                MUST(png_image_begin_read_from_memory(&image, packed, size));
                image.format = linear ? PNG_FORMAT_LINEAR_RGB_ALPHA : PNG_FORMAT_RGB_COLORMAP;
                MUST(png_image_finish_read(&image, &background, wide, 0, linear ? NULL : map));
        }
}

static void image(int colour, int depth, int channels)
{
        static unsigned long sums[7][17][2][3];

        for (int interlace = 0; interlace < 2; interlace++) {
                write_image(colour, depth, interlace);
                read_plain(colour, depth);
                read_progressive(channels * depth);
                refuse_damaged();
                for (int form = 0; form < 3; form++) {
                        unsigned long sum = read_transformed(interlace, form);

                        /* The first time says what it has to be. */
                        if (!sums[colour][depth][interlace][form])
                                sums[colour][depth][interlace][form] = sum;
                        MUST(sums[colour][depth][interlace][form] == sum);
                }
                worker_ok();
        }
}

int main(void)
{
        for (unsigned int y = 0; y < HEIGHT; y++) {
                worker_fill(rows[y], sizeof(rows[y]), y);
                pointers[y] = rows[y];
                back_pointers[y] = back[y];
        }
        for (;;) {
                for (int depth = 1; depth <= 16; depth *= 2) {
                        image(PNG_COLOR_TYPE_GRAY, depth, 1);
                        if (depth <= 8)
                                image(PNG_COLOR_TYPE_PALETTE, depth, 1);
                        if (depth < 8)
                                continue;
                        image(PNG_COLOR_TYPE_RGB, depth, 3);
                        image(PNG_COLOR_TYPE_GRAY_ALPHA, depth, 2);
                        image(PNG_COLOR_TYPE_RGB_ALPHA, depth, 4);
                }
                simple();
                worker_ok();
        }
}
