/* Prefix codes with a limited length, as RFC 1951 wants them. */

#ifndef FLIGHTREC_HUFFMAN_H
#define FLIGHTREC_HUFFMAN_H

#include <stdint.h>

enum { MOST_SYMBOLS = 288 };

typedef struct {
    uint16_t code[MOST_SYMBOLS]; /* its first bit lowest, ready to be written */
    uint8_t length[MOST_SYMBOLS];
} Code;

/* The code for symbols that come this often. At least two get one, for decoders that want a complete code. */
void make_code(Code *code, const uint32_t *often, int symbols, int longest);

/* From lengths the bits follow: equal ones count up in the order of their symbols. */
void number_code(Code *code, int symbols, int longest);

#endif
