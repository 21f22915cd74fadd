#include "planes.h"

#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
typedef __m128i Lanes;
#define LOAD(p) _mm_loadu_si128((const __m128i *)(p))
#define STORE(p, v) _mm_storeu_si128((__m128i *)(p), v)
#define LOW(a, b) _mm_unpacklo_epi8(a, b)
#define HIGH(a, b) _mm_unpackhi_epi8(a, b)
#define LANES 16
#elif defined(__ARM_NEON)
#include <arm_neon.h>
typedef uint8x16_t Lanes;
#define LOAD(p) vld1q_u8(p)
#define STORE(p, v) vst1q_u8(p, v)
#define LOW(a, b) vzip1q_u8(a, b)
#define HIGH(a, b) vzip2q_u8(a, b)
#define LANES 16
#endif

#ifdef LANES
/* Interleaving the first half of the registers with the second rotates the bits of a byte's place by one; the
   16 values of a step have 4 bits, so 4 rounds bring the plane's number to the front. */
#define ROUNDS(WIDTH)                                                                                          \
    static size_t shuffle_##WIDTH(const uint8_t *rows, size_t values, uint8_t *planes)                         \
    {                                                                                                          \
        size_t first = 0;                                                                                      \
        for (; first + LANES <= values; first += LANES) {                                                      \
            Lanes from[WIDTH], to[WIDTH];                                                                      \
            for (int k = 0; k < WIDTH; k++)                                                                    \
                from[k] = LOAD(rows + first * WIDTH + LANES * (size_t)k);                                      \
            for (int round = 0; round < 4; round++) {                                                          \
                for (int k = 0; k < WIDTH / 2; k++) {                                                          \
                    to[2 * k] = LOW(from[k], from[k + WIDTH / 2]);                                             \
                    to[2 * k + 1] = HIGH(from[k], from[k + WIDTH / 2]);                                        \
                }                                                                                              \
                memcpy(from, to, sizeof to);                                                                   \
            }                                                                                                  \
            for (int k = 0; k < WIDTH; k++)                                                                    \
                STORE(planes + (size_t)k * values + first, from[k]);                                           \
        }                                                                                                      \
        return first;                                                                                          \
    }
ROUNDS(2)
ROUNDS(4)
ROUNDS(8)
ROUNDS(16)
#endif

void shuffle(const uint8_t *rows, size_t values, size_t width, uint8_t *planes)
{
    size_t first = 0;
    if (width == 1) {
        memcpy(planes, rows, values);
        return;
    }
#ifdef LANES
    if (width == 2)
        first = shuffle_2(rows, values, planes);
    else if (width == 4)
        first = shuffle_4(rows, values, planes);
    else if (width == 8)
        first = shuffle_8(rows, values, planes);
    else if (width == 16)
        first = shuffle_16(rows, values, planes);
#endif
    for (size_t i = first; i < values; i++)
        for (size_t p = 0; p < width; p++)
            planes[p * values + i] = rows[i * width + p];
}

void histogram(const uint8_t *bytes, size_t count, uint32_t into[256])
{
    /* Four tables: equal neighbours would wait for each other's counter. */
    uint32_t counts[4][256] = {{0}};
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, 8);
        counts[0][word & 255]++;
        counts[1][word >> 8 & 255]++;
        counts[2][word >> 16 & 255]++;
        counts[3][word >> 24 & 255]++;
        counts[0][word >> 32 & 255]++;
        counts[1][word >> 40 & 255]++;
        counts[2][word >> 48 & 255]++;
        counts[3][word >> 56]++;
    }
    for (; i < count; i++)
        counts[0][bytes[i]]++;
    for (int symbol = 0; symbol < 256; symbol++)
        into[symbol] = counts[0][symbol] + counts[1][symbol] + counts[2][symbol] + counts[3][symbol];
}

enum { MODULUS = 65521, STEP = 32, STEPS = 5536 / STEP }; /* as many steps as 32 bits hold without a division */

FASTEST uint32_t adler32(uint32_t adler, const uint8_t *bytes, size_t count)
{
    uint32_t sum = adler & 0xffff, sums = adler >> 16;
    while (count) {
        size_t steps = count / STEP < STEPS ? count / STEP : STEPS;
        for (size_t n = 0; n < steps; n++, bytes += STEP) {
            uint32_t plain = 0, weighted = 0;
            for (int k = 0; k < STEP; k++) {
                plain += bytes[k];
                weighted += (uint32_t)(STEP - k) * bytes[k];
            }
            sums += STEP * sum + weighted;
            sum += plain;
        }
        count -= steps * STEP;
        if (count < STEP)
            for (; count; count--) {
                sum += *bytes++;
                sums += sum;
            }
        sum %= MODULUS;
        sums %= MODULUS;
    }
    return sums << 16 | sum;
}
