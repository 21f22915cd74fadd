/* Which bytes of a raster are not zero. */

#ifndef FLIGHTREC_CELLS_H
#define FLIGHTREC_CELLS_H

#include <stddef.h>
#include <stdint.h>

size_t count_cells(const uint8_t *raster, size_t size);

/* Places of the bytes that are not zero, ascending, into room for count_cells() of them. */
void find_cells(const uint8_t *raster, size_t size, int64_t *cells);

#endif
