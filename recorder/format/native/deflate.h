/* A zlib stream (RFC 1950, 1951) of byte planes, made for what recordings hold. */

#ifndef FLIGHTREC_DEFLATE_H
#define FLIGHTREC_DEFLATE_H

#include <stddef.h>
#include <stdint.h>

/* Bytes that a stream of so many bytes in so many planes can have at most. */
size_t deflate_bound(size_t size, size_t planes);

/* The stream of `width` planes of `values` bytes each, of which those after the first `used` are zeros; returns
   its size, or 0 where memory ran out. A block that saves less than one part in `worth` is stored: faster to write
   and to read. `out` has room for deflate_bound() bytes. */
size_t deflate_planes(
    const uint8_t *planes, size_t values, size_t used, size_t width, unsigned worth, uint8_t *out
);

#endif
