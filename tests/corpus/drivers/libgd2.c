// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Draws on true colour and palette images, writes and reads them in every format that gd has, scales,
 * rotates, filters and compares. The declarations are those of gd.h 2.3.
 */
#include <stdarg.h>

#include "worker.h"

typedef struct gd *image;
typedef struct { int x, y; } point;

image gdImageCreate(int, int);
image gdImageCreateTrueColor(int, int);
void gdImageDestroy(image);
void gdFree(void *);
int gdImageColorAllocate(image, int, int, int);
int gdImageColorAllocateAlpha(image, int, int, int, int);
void gdImageFilledRectangle(image, int, int, int, int, int);
void gdImageLine(image, int, int, int, int, int);
void gdImageArc(image, int, int, int, int, int, int, int);
void gdImageFilledArc(image, int, int, int, int, int, int, int, int);
void gdImageFilledEllipse(image, int, int, int, int, int);
void gdImageFill(image, int, int, int);
void gdImageFilledPolygon(image, point *, int, int);
void gdImageSetThickness(image, int);
void gdImageSetClip(image, int, int, int, int);
void gdImageSaveAlpha(image, int);
void gdImageAlphaBlending(image, int);
int gdImageGetPixel(image, int, int);
int gdImageGetTrueColorPixel(image, int, int);
void gdImageSetPixel(image, int, int, int);
int gdImageCompare(image, image);
void gdImageCopyResampled(image, image, int, int, int, int, int, int, int, int);
void gdImageCopyResized(image, image, int, int, int, int, int, int, int, int);
void gdImageCopyMerge(image, image, int, int, int, int, int, int, int);
image gdImageScale(image, unsigned int, unsigned int);
image gdImageRotateInterpolated(image, float, int);
image gdImageCrop(image, const int *);
int gdImageSetInterpolationMethod(image, int);
int gdImageTrueColorToPalette(image, int, int);
int gdImagePaletteToTrueColor(image);
int gdImageNegate(image);
int gdImageGrayScale(image);
int gdImageBrightness(image, int);
int gdImageContrast(image, double);
int gdImageGaussianBlur(image);
int gdImageEdgeDetectQuick(image);
int gdImagePixelate(image, int, unsigned int);
void gdImageFlipHorizontal(image);
void gdImageFlipVertical(image);
void gdImageString(image, void *, int, int, unsigned char *, int);
void *gdFontGetLarge(void);
void *gdImagePngPtr(image, int *);
void *gdImageGifPtr(image, int *);
void *gdImageGifAnimBeginPtr(image, int *, int, int);
void *gdImageGifAnimAddPtr(image, int *, int, int, int, int, int, image);
void *gdImageGifAnimEndPtr(int *);
void *gdImageJpegPtr(image, int *, int);
void *gdImageWebpPtrEx(image, int *, int);
void *gdImageBmpPtr(image, int *, int);
void *gdImageTiffPtr(image, int *);
void *gdImageWBMPPtr(image, int *, int);
image gdImageCreateFromPngPtr(int, void *);
image gdImageCreateFromGifPtr(int, void *);
image gdImageCreateFromJpegPtr(int, void *);
image gdImageCreateFromWebpPtr(int, void *);
image gdImageCreateFromBmpPtr(int, void *);
image gdImageCreateFromTiffPtr(int, void *);
image gdImageCreateFromTgaPtr(int, void *);
image gdImageCreateFromWBMPPtr(int, void *);
void gdSetErrorMethod(void (*)(int, const char *, va_list));

enum { W = 120, H = 80, CMP_IMAGE = 1 };

static void quiet(int level, const char *format, va_list arguments)
{
        (void)level, (void)format, (void)arguments;
}

static image draw(bool true_colour)
{
        image i = true_colour ? gdImageCreateTrueColor(W, H) : gdImageCreate(W, H);
        point points[] = { { 5, 5 }, { 60, 10 }, { 40, 60 }, { 8, 50 } };
        int white, red, blue, glass;

        MUST(i);
        white = gdImageColorAllocate(i, 255, 255, 255);
        red = gdImageColorAllocate(i, 255, 0, 0);
        blue = gdImageColorAllocate(i, 0, 0, 255);
        glass = gdImageColorAllocateAlpha(i, 0, 255, 0, 64);
        gdImageFilledRectangle(i, 0, 0, W - 1, H - 1, white);
        gdImageSetThickness(i, 3);
        gdImageLine(i, 0, 0, W, H, red);
        gdImageSetThickness(i, 1);
        gdImageArc(i, 60, 40, 50, 30, 0, 270, blue);
        gdImageFilledArc(i, 90, 20, 30, 30, 30, 200, red, 4);
        gdImageFilledEllipse(i, 20, 60, 20, 30, glass);
        gdImageFilledPolygon(i, points, 4, glass);
        gdImageFill(i, W - 1, H - 1, blue);
        gdImageString(i, gdFontGetLarge(), 30, 30, (unsigned char *)"gd", red);
        gdImageFilledRectangle(i, 70, 60, 110, 75, red);
        MUST(gdImageGetTrueColorPixel(i, 100, 70) == 0xff0000);
        return i;
}

typedef void *(*writer)(image, int *);
typedef image (*reader)(int, void *);

static void *write_jpeg(image i, int *size) { return gdImageJpegPtr(i, size, 95); }
static void *write_webp(image i, int *size) { return gdImageWebpPtrEx(i, size, 101); }
static void *write_bmp(image i, int *size) { return gdImageBmpPtr(i, size, 1); }
static void *write_wbmp(image i, int *size) { return gdImageWBMPPtr(i, size, 0); }

static void formats(bool true_colour)
{
        static const struct { writer write; reader read; bool exact; } all[] = {
                { gdImagePngPtr, gdImageCreateFromPngPtr, true }, { gdImageGifPtr, gdImageCreateFromGifPtr, false },
                { write_jpeg, gdImageCreateFromJpegPtr, false },  { write_webp, gdImageCreateFromWebpPtr, false },
                { write_bmp, gdImageCreateFromBmpPtr, false },    { gdImageTiffPtr, gdImageCreateFromTiffPtr, false },
                                { write_wbmp, gdImageCreateFromWBMPPtr, false },
        };

        for (size_t k = 0; k < sizeof(all) / sizeof(all[0]); k++) {
                image i = draw(true_colour), back;
                int size = 0, colour;
                void *bytes;

                if (all[k].write == write_webp && !true_colour)
                        gdImagePaletteToTrueColor(i);
                bytes = all[k].write(i, &size);
                MUST(bytes && size > 20);
                back = all[k].read(size, bytes);
                MUST(back);
                MUST(!all[k].exact || !(gdImageCompare(i, back) & CMP_IMAGE));
                colour = gdImageGetTrueColorPixel(back, 100, 70);
                MUST(all[k].write == write_wbmp ||
                     ((colour >> 16 & 255) > 240 && (colour & 255) < 16));
                gdImageDestroy(back);
                /* Cut short: an image or none, never a crash; with its first bytes wrong, none. */
                back = all[k].read(size / 2, bytes);
                if (back)
                        gdImageDestroy(back);
                memset(bytes, 0xee, 8);
                back = all[k].read(size, bytes);
                MUST(!back);
                gdFree(bytes);
                gdImageDestroy(i);
                worker_ok();
        }
}

static void parts(void)
{
        static const uint8_t tga[18 + 2 * 3 * 3] = { 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 3, 0, 24, 0, 1, 2, 255 };
        image i = draw(true), part;
        int size = 0;
        void *bytes;

        part = gdImageCreateFromTgaPtr(sizeof(tga), (void *)tga);
        MUST(part);
        gdImageDestroy(part);
        bytes = gdImageGifAnimBeginPtr(i, &size, 1, 0);
        MUST(bytes && size > 6);
        gdFree(bytes);
        gdImageTrueColorToPalette(i, 1, 64);
        bytes = gdImageGifAnimAddPtr(i, &size, 1, 0, 0, 10, 1, NULL);
        MUST(bytes);
        gdFree(bytes);
        gdFree(gdImageGifAnimEndPtr(&size));
        gdImageDestroy(i);
        worker_ok();
}

static void changes(void)
{
        static const int box[] = { 65, 55, 50, 25 };    /* x, y, width, height */
        image i = draw(true), other = draw(true), scaled;

        MUST(!gdImageCompare(i, other));
        gdImageFlipHorizontal(other);
        gdImageFlipVertical(other);
        MUST(gdImageCompare(i, other) & CMP_IMAGE);
        gdImageFlipVertical(other);
        gdImageFlipHorizontal(other);
        gdImageNegate(other);
        MUST(gdImageGetTrueColorPixel(other, 100, 70) == 0x00ffff);
        gdImageNegate(other);
        MUST(!(gdImageCompare(i, other) & CMP_IMAGE));
        for (int method = 1; method <= 20; method++) {
                if (!gdImageSetInterpolationMethod(i, method))
                        continue;
                scaled = gdImageScale(i, 60, 40);
                MUST(!scaled || (gdImageGetTrueColorPixel(scaled, 48, 34) >> 16 & 255) > 200);
                if (scaled)
                        gdImageDestroy(scaled);
        }
        gdImageSetInterpolationMethod(i, 3);
        scaled = gdImageRotateInterpolated(i, 30, 0);
        MUST(scaled);
        gdImageDestroy(scaled);
        scaled = gdImageCrop(i, box);
        MUST(scaled && gdImageGetTrueColorPixel(scaled, 20, 10) == 0xff0000);
        gdImageDestroy(scaled);
        gdImageCopyResampled(other, i, 0, 0, 0, 0, W / 2, H / 2, W, H);
        MUST(gdImageGetTrueColorPixel(other, 48, 34) == 0xff0000);
        gdImageCopyResized(other, i, 0, 0, 0, 0, W * 2, H * 2, W, H);
        gdImageCopyMerge(other, i, 0, 0, 0, 0, W, H, 100);
        MUST(!(gdImageCompare(i, other) & CMP_IMAGE));
        MUST(gdImageGrayScale(other) && gdImageBrightness(other, 20) && gdImageContrast(other, -10));
        MUST(gdImageGaussianBlur(other) && gdImageEdgeDetectQuick(other) && gdImagePixelate(other, 5, 1));
        gdImageDestroy(other);
        gdImageDestroy(i);
        worker_ok();
}

int main(void)
{
        gdSetErrorMethod(quiet);
        for (;;) {
                formats(true);
                formats(false);
                parts();
                changes();
        }
}
