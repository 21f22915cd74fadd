/* Byte planes of a chunk (HDF5's shuffle), their histograms, and the checksum of a zlib stream. */

#ifndef FLIGHTREC_PLANES_H
#define FLIGHTREC_PLANES_H

#include <stddef.h>
#include <stdint.h>

/* Inner loops compiled twice where the loader can choose at run time, and once elsewhere. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__)
#define FASTEST __attribute__((target_clones("avx2", "default"), optimize("O3")))
#else
#define FASTEST
#endif

/* `values` values of `width` bytes, all first bytes first: planes[p * values + i] = rows[i * width + p]. */
void shuffle(const uint8_t *rows, size_t values, size_t width, uint8_t *planes);

void histogram(const uint8_t *bytes, size_t count, uint32_t into[256]);

/* RFC 1950's checksum, going on from `adler`, which begins as 1. */
uint32_t adler32(uint32_t adler, const uint8_t *bytes, size_t count);

#endif
