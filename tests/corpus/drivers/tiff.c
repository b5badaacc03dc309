// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writes images in strips and in tiles with each compression, little and big endian, BigTIFF, with
 * predictors, palettes, several directories, sub-directories and private tags; reads them back by
 * strips, tiles and lines, and as RGBA. The declarations are those of tiffio.h of libtiff 4.5.
 */
#include "worker.h"

typedef struct tiff TIFF;

TIFF *TIFFOpen(const char *, const char *);
void TIFFClose(TIFF *);
int TIFFSetField(TIFF *, uint32_t, ...);
int TIFFGetField(TIFF *, uint32_t, ...);
int TIFFGetFieldDefaulted(TIFF *, uint32_t, ...);
int TIFFWriteScanline(TIFF *, void *, uint32_t, uint16_t);
int TIFFReadScanline(TIFF *, void *, uint32_t, uint16_t);
int64_t TIFFWriteTile(TIFF *, void *, uint32_t, uint32_t, uint32_t, uint16_t);
int64_t TIFFReadTile(TIFF *, void *, uint32_t, uint32_t, uint32_t, uint16_t);
int64_t TIFFReadEncodedStrip(TIFF *, uint32_t, void *, int64_t);
int64_t TIFFReadEncodedTile(TIFF *, uint32_t, void *, int64_t);
uint32_t TIFFNumberOfStrips(TIFF *);
int64_t TIFFStripSize(TIFF *);
int64_t TIFFTileSize(TIFF *);
int64_t TIFFScanlineSize(TIFF *);
int TIFFWriteDirectory(TIFF *);
int TIFFReadDirectory(TIFF *);
int TIFFSetDirectory(TIFF *, uint16_t);
uint16_t TIFFNumberOfDirectories(TIFF *);
int TIFFReadRGBAImage(TIFF *, uint32_t, uint32_t, uint32_t *, int);
int TIFFReadRGBAImageOriented(TIFF *, uint32_t, uint32_t, uint32_t *, int, int);
int TIFFReadRGBAStrip(TIFF *, uint32_t, uint32_t *);
int TIFFReadRGBATile(TIFF *, uint32_t, uint32_t, uint32_t *);
int TIFFRGBAImageOK(TIFF *, char[1024]);
int TIFFIsCODECConfigured(uint16_t);
int TIFFIsBigEndian(TIFF *);
void TIFFPrintDirectory(TIFF *, FILE *, long);
typedef void (*tiff_handler)(const char *, const char *, void *);
tiff_handler TIFFSetErrorHandler(tiff_handler);
tiff_handler TIFFSetWarningHandler(tiff_handler);

enum { WIDTH = 70, HEIGHT = 50, TILE = 32 };
enum { SUBFILE = 254, IMAGE_WIDTH = 256, IMAGE_LENGTH, BITS, COMPRESSION, PHOTOMETRIC = 262, DESCRIPTION = 270,
       SAMPLES = 277, ROWS = 278, XRES = 282, PLANAR = 284, SOFTWARE = 305, PREDICTOR = 317, COLORMAP = 320,
       TILE_WIDTH = 322, TILE_LENGTH, SUBIFD = 330, EXTRA = 338, FORMAT = 339, YCBCR_SUB = 530, ICC = 34675,
       JPEG_COLOR = 65538 };
enum { NONE = 1, RLE = 2, FAX3 = 3, FAX4 = 4, LZW = 5, JPEG = 7, DEFLATE = 8, PACKBITS = 32773, LOGLUV = 34676,
       LZMA = 34925, ZSTD = 50000, WEBP = 50001 };

struct form {
        const char *mode;
        uint16_t compression, bits, samples, photometric, predictor, planar;
        bool tiled, lossy;
};

static const char path[] = "image.tiff";
static uint8_t pixels[HEIGHT + TILE][(WIDTH + TILE) * 8], back[HEIGHT + TILE][(WIDTH + TILE) * 8];
static uint32_t raster[(WIDTH + TILE) * (HEIGHT + TILE)];

static void set_fields(TIFF *tiff, const struct form *form)
{
        uint16_t map[3][256];
        uint16_t extra[] = { 2 };
        uint8_t profile[100] = { 1, 2, 3 };

        MUST(TIFFSetField(tiff, IMAGE_WIDTH, WIDTH) && TIFFSetField(tiff, IMAGE_LENGTH, HEIGHT));
        MUST(TIFFSetField(tiff, BITS, form->bits) && TIFFSetField(tiff, SAMPLES, form->samples));
        MUST(TIFFSetField(tiff, PHOTOMETRIC, form->photometric));
        MUST(TIFFSetField(tiff, COMPRESSION, form->compression));
        MUST(TIFFSetField(tiff, PLANAR, form->planar));
        MUST(TIFFSetField(tiff, DESCRIPTION, "what it shows") && TIFFSetField(tiff, SOFTWARE, "worker"));
        MUST(TIFFSetField(tiff, XRES, 300.0) && TIFFSetField(tiff, ICC, 100, profile));
        if (form->samples == 4)
                MUST(TIFFSetField(tiff, EXTRA, 1, extra));
        if (form->predictor > 1)
                MUST(TIFFSetField(tiff, PREDICTOR, form->predictor));
        if (form->predictor == 3)
                MUST(TIFFSetField(tiff, FORMAT, 3));
        for (int i = 0; i < 256; i++)
                map[0][i] = (uint16_t)(i * 257), map[1][i] = (uint16_t)(i * 100), map[2][i] = 7;
        if (form->photometric == 3)
                MUST(TIFFSetField(tiff, COLORMAP, map[0], map[1], map[2]));
        if (form->tiled)
                MUST(TIFFSetField(tiff, TILE_WIDTH, TILE) && TIFFSetField(tiff, TILE_LENGTH, TILE));
        else
                MUST(TIFFSetField(tiff, ROWS, 16));
}

static uint16_t planes(const struct form *form)
{
        return form->planar == 2 ? form->samples : 1;
}

static void write_image(TIFF *tiff, const struct form *form)
{
        static uint8_t buffer[TILE * TILE * 8 * 4];

        set_fields(tiff, form);
        for (uint16_t s = 0; s < planes(form); s++) {
                if (!form->tiled) {
                        for (uint32_t y = 0; y < HEIGHT; y++) {
                                /* Codecs may use the caller's line for their work. */
                                memcpy(buffer, pixels[y], sizeof(pixels[y]));
                                MUST(TIFFWriteScanline(tiff, buffer, y, s) == 1);
                        }
                        continue;
                }
                for (uint32_t y = 0; y < HEIGHT; y += TILE) {
                        for (uint32_t x = 0; x < WIDTH; x += TILE) {
                                worker_fill(buffer, sizeof(buffer), x + y + s);
                                MUST(TIFFWriteTile(tiff, buffer, x, y, 0, s) > 0);
                        }
                }
        }
}

static void read_tiles(TIFF *tiff, const struct form *form)
{
        static uint8_t buffer[TILE * TILE * 8 * 4], expected[sizeof(buffer)];
        int64_t size = TIFFTileSize(tiff);
        uint32_t number = 0;

        MUST(size > 0 && size <= (int64_t)sizeof(buffer));
        for (uint16_t s = 0; s < planes(form); s++) {
                for (uint32_t y = 0; y < HEIGHT; y += TILE) {
                        for (uint32_t x = 0; x < WIDTH; x += TILE) {
                                worker_fill(expected, sizeof(expected), x + y + s);
                                MUST(TIFFReadTile(tiff, buffer, x, y, 0, s) == size);
                                MUST(form->lossy || !memcmp(buffer, expected, (size_t)size));
                                MUST(TIFFReadEncodedTile(tiff, number++, buffer, size) == size);
                                MUST(form->lossy || !memcmp(buffer, expected, (size_t)size));
                        }
                }
        }
}

static void read_lines(TIFF *tiff, const struct form *form)
{
        size_t line = (size_t)TIFFScanlineSize(tiff), whole = (size_t)WIDTH * form->bits / 8;

        if (form->planar == 1)
                whole *= form->samples;
        MUST(line >= whole);
        for (uint16_t s = 0; s < planes(form); s++) {
                for (uint32_t y = 0; y < HEIGHT; y++) {
                        MUST(TIFFReadScanline(tiff, back[y], y, s) == 1);
                        MUST(form->lossy || !memcmp(back[y], pixels[y], whole));
                }
        }
        memset(back, 0, sizeof(back));
        for (uint32_t i = 0; i < TIFFNumberOfStrips(tiff); i++) {
                uint32_t rows = i % 4 == 3 ? HEIGHT % 16 : 16;

                MUST(TIFFReadEncodedStrip(tiff, i, back, TIFFStripSize(tiff)) == (int64_t)(rows * line));
                for (uint32_t y = 0; y < rows; y++)
                        MUST(form->lossy || !memcmp((uint8_t *)back + y * line, pixels[i % 4 * 16 + y], whole));
        }
}

static void read_image(TIFF *tiff, const struct form *form)
{
        uint32_t width = 0, count = 0;
        uint16_t compression = 0;
        char *text = NULL, why[1024];
        uint8_t *profile = NULL;

        MUST(TIFFGetField(tiff, IMAGE_WIDTH, &width) && width == WIDTH);
        MUST(TIFFGetField(tiff, COMPRESSION, &compression) && compression == form->compression);
        MUST(TIFFGetField(tiff, DESCRIPTION, &text) && !strcmp(text, "what it shows"));
        MUST(TIFFGetField(tiff, ICC, &count, &profile) && count == 100 && profile[2] == 3);
        if (form->tiled)
                read_tiles(tiff, form);
        else
                read_lines(tiff, form);
        if (TIFFRGBAImageOK(tiff, why)) {
                MUST(TIFFReadRGBAImage(tiff, WIDTH, HEIGHT, raster, 1));
                MUST(TIFFReadRGBAImageOriented(tiff, WIDTH, HEIGHT, raster, 1, 0));
                if (form->tiled)
                        MUST(TIFFReadRGBATile(tiff, 0, 0, raster));
                else
                        MUST(TIFFReadRGBAStrip(tiff, 16, raster));
        }
}

static void try_form(const struct form *form)
{
        TIFF *tiff = TIFFOpen(path, form->mode);
        FILE *nowhere = fopen("/dev/null", "w");

        MUST(tiff && nowhere);
        for (int i = 0; i < 2; i++) {
                write_image(tiff, form);
                MUST(TIFFWriteDirectory(tiff));
        }
        TIFFClose(tiff);
        tiff = TIFFOpen(path, "r");
        MUST(tiff && TIFFNumberOfDirectories(tiff) == 2);
        read_image(tiff, form);
        MUST(TIFFReadDirectory(tiff));
        read_image(tiff, form);
        MUST(!TIFFReadDirectory(tiff) && TIFFSetDirectory(tiff, 0));
        TIFFPrintDirectory(tiff, nowhere, 7);
        TIFFClose(tiff);
        fclose(nowhere);
}

/* A file cut short or with a damaged directory gives an error, not an image. */
static void refuse(void)
{
        uint8_t bytes[200];
        FILE *file = fopen(path, "r+b");
        size_t size = fread(bytes, 1, sizeof(bytes), file);

        fclose(file);
        MUST(size == sizeof(bytes));
        file = fopen("damaged.tiff", "wb");
        MUST(fwrite(bytes, 1, size, file) == size);
        fclose(file);
        TIFF *tiff = TIFFOpen("damaged.tiff", "r");

        MUST(!tiff);
}

static void quiet(const char *module, const char *format, void *arguments)
{
        (void)module, (void)format, (void)arguments;
}

static const struct form forms[] = {
        { "w", NONE, 8, 3, 2, 1, 1, false, false },     { "wb", NONE, 16, 3, 2, 1, 1, false, false },
        { "wb", LZW, 16, 3, 2, 2, 1, false, false },    { "wl", LZW, 8, 4, 2, 2, 1, true, false },
        { "w8", DEFLATE, 8, 3, 2, 2, 1, true, false },  { "w8b", DEFLATE, 32, 1, 1, 2, 1, false, false },
        { "w", DEFLATE, 32, 1, 1, 3, 1, false, true },  { "w", PACKBITS, 8, 1, 3, 1, 1, false, false },
        { "w", FAX3, 1, 1, 0, 1, 1, false, false },     { "w", FAX4, 1, 1, 0, 1, 1, true, false },
        { "w", RLE, 1, 1, 1, 1, 1, false, false },      { "w", JPEG, 8, 3, 2, 1, 1, false, true },
        { "w", JPEG, 8, 1, 1, 1, 1, true, true },       { "w", ZSTD, 8, 3, 2, 2, 1, false, false },
        { "w", LZMA, 8, 1, 1, 1, 1, false, false },     { "w", WEBP, 8, 3, 2, 1, 1, false, true },
        { "w", NONE, 8, 3, 2, 1, 2, false, false },     { "wl", LZW, 8, 3, 2, 1, 2, true, false },
        { "w", NONE, 4, 1, 1, 1, 1, false, false },     { "w", NONE, 8, 4, 5, 1, 1, false, false },
};

int main(void)
{
        TIFFSetErrorHandler(quiet);
        TIFFSetWarningHandler(quiet);
        for (uint32_t y = 0; y < HEIGHT + TILE; y++)
                worker_fill(pixels[y], sizeof(pixels[y]), y);
        for (;;) {
                for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
                        MUST(TIFFIsCODECConfigured(forms[i].compression));
                        try_form(&forms[i]);
                        worker_ok();
                }
                refuse();
        }
}
