#include "cells.h"

#include "planes.h"

#include <string.h>

FASTEST size_t count_cells(const uint8_t *raster, size_t size)
{
    size_t count = 0;
    while (size) {
        /* As many as a byte counts, so that lanes need not be widened in between. */
        size_t part = size < 8160 ? size : 8160;
        uint8_t lanes[32] = {0};
        size_t n = 0;
        for (; n + 32 <= part; n += 32)
            for (int k = 0; k < 32; k++)
                lanes[k] = (uint8_t)(lanes[k] + (raster[n + (size_t)k] != 0));
        for (; n < part; n++)
            count += raster[n] != 0;
        for (int k = 0; k < 32; k++)
            count += lanes[k];
        raster += part;
        size -= part;
    }
    return count;
}

static inline uint64_t word_at(const uint8_t *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, 8);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

size_t find_cells(const uint8_t *raster, size_t size, int64_t *cells, size_t room)
{
    size_t n = 0, found = 0;
    for (; n + 32 <= size; n += 32) {
        uint64_t words[4] = {word_at(raster + n), word_at(raster + n + 8), word_at(raster + n + 16),
                             word_at(raster + n + 24)};
        if (!(words[0] | words[1] | words[2] | words[3]))
            continue;
        for (size_t k = 0; k < 4; k++)
            while (words[k] && found < room) {
                unsigned byte = (unsigned)__builtin_ctzll(words[k]) >> 3;
                cells[found++] = (int64_t)(n + 8 * k + byte);
                words[k] &= ~(0xffull << (8 * byte));
            }
    }
    for (; n < size && found < room; n++)
        if (raster[n])
            cells[found++] = (int64_t)n;
    return found;
}
