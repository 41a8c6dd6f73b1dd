// The test pattern of clips: a picture that bears its number, so that a decoded one tells which it
// is, and can be compared with what was drawn.
//
// The top quarter holds the number as 16 blocks, black or white, and below them the same inverted;
// the rest is a grey slope that moves with the number, under a box that runs across.
#ifndef SCENARIOS_PICTURE_H
#define SCENARIOS_PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PICTURE_SIDE_MIN 64 // both sides are even, at least this
#define PICTURE_SIDE_MAX 4096
#define PICTURE_COUNTERS 65536

// A picture of three planes, 4:2:0; strides in bytes.
struct picture {
    unsigned width, height;
    uint8_t *plane[3];
    size_t stride[3];
};

bool picture_size_fits(unsigned width, unsigned height);
// Planes in one block that the caller frees: mem_alloc(picture_bytes(...)), then picture_in.
size_t picture_bytes(unsigned width, unsigned height);
struct picture picture_in(uint8_t *block, unsigned width, unsigned height);

void picture_draw(struct picture *picture, uint32_t counter);
// The number that is drawn there. False: blocks that contradict each other, or too small.
bool picture_counter(const struct picture *picture, uint32_t *counter);

// Peak signal to noise ratio of the luma planes, in hundredths of dB; the same: PICTURE_PSNR_SAME.
// Both have the same size.
#define PICTURE_PSNR_SAME 9999
unsigned picture_psnr(const struct picture *a, const struct picture *b);
// Of all visible bytes of the three planes.
uint64_t picture_hash(const struct picture *picture);

// 10 * log10(a / b) in hundredths, for a, b > 0, in integers: the same on every machine.
int32_t decibel_hundredths(uint64_t a, uint64_t b);

#endif
