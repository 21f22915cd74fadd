/* Which bytes of a raster are not zero. */

#ifndef FLIGHTREC_CELLS_H
#define FLIGHTREC_CELLS_H

#include <stddef.h>
#include <stdint.h>

size_t count_cells(const uint8_t *raster, size_t size);

/* Places of the first bytes that are not zero, ascending, as many as there is room for; returns how many. */
size_t find_cells(const uint8_t *raster, size_t size, int64_t *cells, size_t room);

#endif
