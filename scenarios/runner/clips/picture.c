#include "scenarios/runner/clips/picture.h"

#include "base/bytes.h"

#include <assert.h>

#define BITS 16
#define BLACK 16
#define WHITE 235

bool picture_size_fits(unsigned width, unsigned height)
{
    return width >= PICTURE_SIDE_MIN && height >= PICTURE_SIDE_MIN && width <= PICTURE_SIDE_MAX &&
           height <= PICTURE_SIDE_MAX && width % 2 == 0 && height % 2 == 0;
}

size_t picture_bytes(unsigned width, unsigned height)
{
    return (size_t)width * height * 3 / 2;
}

struct picture picture_in(uint8_t *block, unsigned width, unsigned height)
{
    assert(picture_size_fits(width, height));
    size_t luma = (size_t)width * height;
    return (struct picture){width,
                            height,
                            {block, block + luma, block + luma + luma / 4},
                            {width, width / 2, width / 2}};
}

static uint8_t block_luma(const struct picture *p, unsigned x, unsigned y, uint32_t counter)
{
    unsigned bit = BITS - 1 - x * BITS / p->width;
    bool inverted = y >= p->height / 8;
    return (counter >> bit & 1) != inverted ? WHITE : BLACK;
}

static uint8_t scene_luma(const struct picture *p, unsigned x, unsigned y, uint32_t counter)
{
    unsigned side = p->height / 8;
    unsigned left = counter * 4 % (p->width - side), top = p->height / 2;
    if (x >= left && x < left + side && y >= top && y < top + side)
        return WHITE;
    unsigned slope = (x + y + counter * 2) % 256; // up, then down: no edge that costs bits
    return (uint8_t)(40 + (slope < 128 ? slope : 255 - slope));
}

void picture_draw(struct picture *picture, uint32_t counter)
{
    counter %= PICTURE_COUNTERS;
    for (unsigned y = 0; y < picture->height; y++)
        for (unsigned x = 0; x < picture->width; x++)
            picture->plane[0][y * picture->stride[0] + x] =
                y < picture->height / 4 ? block_luma(picture, x, y, counter)
                                        : scene_luma(picture, x, y, counter);
    for (unsigned y = 0; y < picture->height / 2; y++) {
        // Colour by place alone, in broad stripes.
        memset(picture->plane[1] + y * picture->stride[1], 96 + (int)(y / 16 % 4) * 16,
               picture->width / 2);
        memset(picture->plane[2] + y * picture->stride[2], 160 - (int)(y / 16 % 4) * 16,
               picture->width / 2);
    }
}

// The mean of the middle of a block is bright.
static bool is_bright(const struct picture *p, unsigned column, unsigned row)
{
    unsigned x = (2 * column + 1) * p->width / (2 * BITS), y = (2 * row + 1) * p->height / 16;
    unsigned sum = 0;
    for (unsigned i = 0; i < 4; i++)
        sum += p->plane[0][(y - i / 2) * p->stride[0] + x - i % 2];
    return sum > 4 * (WHITE + BLACK) / 2;
}

bool picture_counter(const struct picture *picture, uint32_t *counter)
{
    if (picture->width < PICTURE_SIDE_MIN || picture->height < PICTURE_SIDE_MIN)
        return false;
    uint32_t value = 0;
    for (unsigned column = 0; column < BITS; column++) {
        bool bit = is_bright(picture, column, 0);
        if (bit == is_bright(picture, column, 1))
            return false;
        value = value << 1 | bit;
    }
    *counter = value;
    return true;
}

// log2(value) with 16 bits after the point.
static int32_t log2_q16(uint64_t value)
{
    int32_t whole = 63;
    while (!(value >> 63)) {
        value <<= 1;
        whole--;
    }
    uint64_t x = value >> 32; // 1.0 is 2^31
    int32_t result = whole << 16;
    for (int32_t bit = 1 << 15; bit; bit >>= 1) {
        x = x * x >> 31;
        if (x >> 32) {
            x >>= 1;
            result += bit;
        }
    }
    return result;
}

int32_t decibel_hundredths(uint64_t a, uint64_t b)
{
    // 10 * log10(2) = 3.0103
    int64_t difference = (int64_t)log2_q16(a) - log2_q16(b);
    return (int32_t)(difference * 30103 / 100 / 65536);
}

unsigned picture_psnr(const struct picture *a, const struct picture *b)
{
    assert(a->width == b->width && a->height == b->height);
    uint64_t squares = 0;
    for (unsigned y = 0; y < a->height; y++) {
        const uint8_t *p = a->plane[0] + y * a->stride[0], *q = b->plane[0] + y * b->stride[0];
        for (unsigned x = 0; x < a->width; x++) {
            int difference = p[x] - q[x];
            squares += (uint64_t)(difference * difference);
        }
    }
    if (!squares)
        return PICTURE_PSNR_SAME;
    int32_t psnr = decibel_hundredths((uint64_t)255 * 255 * a->width * a->height, squares);
    return psnr < 0 ? 0 : psnr > PICTURE_PSNR_SAME ? PICTURE_PSNR_SAME : (unsigned)psnr;
}

uint64_t picture_hash(const struct picture *picture)
{
    uint64_t hash = 0xcbf29ce484222325u; // FNV-1a
    for (unsigned i = 0; i < 3; i++) {
        unsigned width = i ? (picture->width + 1) / 2 : picture->width;
        unsigned height = i ? (picture->height + 1) / 2 : picture->height;
        for (unsigned y = 0; y < height; y++)
            for (unsigned x = 0; x < width; x++)
                hash = (hash ^ picture->plane[i][y * picture->stride[i] + x]) * 0x100000001b3u;
    }
    return hash;
}
