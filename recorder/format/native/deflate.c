/* What recordings hold is unlike text. Planes of floats and of intervals are noise of a skewed distribution, in
   which no repetition is worth its search, or plain noise; planes of clocks and of high bytes are nothing but
   repetitions. So each plane becomes blocks of its own, by whichever of three is the smallest: stored, literals
   alone, or literals and matches. On large planes matches are looked for only where a piece of the middle says
   that they pay. */

#include "deflate.h"

#include "huffman.h"
#include "planes.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    SEGMENT = 2 * 65535, /* bytes of a block, so that codes follow what changes; whole blocks where it is stored */
    SAMPLE = 1 << 13,
    PIECES = 8,
    PIECE = 1 << 8,
    WINDOW = 1 << 15,
    SHORTEST = 4,
    LONGEST_MATCH = 258,
    HASH_BITS = 13,
    FEW_BITS = 9, /* for planes that are smaller than a full table is */
    FEW = 1 << 12,
    END = 256,
    LITERALS = 286,
    DISTANCES = 30,
    LONGEST = 14, /* bits of a code: four of them and what is held back fit a word */
    PAYS = 32,    /* matches that save less than one part in so many do not */
};

/* ---- bits ---- */

typedef struct {
    uint8_t *out;
    uint64_t bits;
    unsigned held;
} Bits;

static inline void add(Bits *to, uint64_t bits, unsigned count)
{
    to->bits |= bits << to->held;
    to->held += count;
}

static inline void flush(Bits *to)
{
    uint64_t bits = to->bits;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    bits = __builtin_bswap64(bits);
#endif
    memcpy(to->out, &bits, 8);
    to->out += to->held >> 3;
    to->bits = to->held >= 64 ? 0 : to->bits >> (to->held & ~7u);
    to->held &= 7;
}

static void put(Bits *to, uint64_t bits, unsigned count)
{
    add(to, bits, count);
    flush(to);
}

/* ---- tokens: a literal, or a match as length << 16 | distance ---- */

typedef struct {
    uint32_t tokens[SEGMENT + 1];
    unsigned bits, worth;
    uint32_t seen[1 << HASH_BITS]; /* place + 1 of the last bytes with this hash */
    uint32_t literals[LITERALS], distances[DISTANCES];
} Scratch;

static inline unsigned log2_floor(uint32_t value) { return 31u - (unsigned)__builtin_clz(value); }

static inline unsigned length_symbol(unsigned length)
{
    unsigned rest = length - 3;
    if (rest < 8)
        return 257 + rest;
    if (length == LONGEST_MATCH)
        return 285;
    unsigned log = log2_floor(rest);
    return 257 + 4 * (log - 1) + ((rest >> (log - 2)) & 3);
}

static inline unsigned length_extra(unsigned length)
{
    return length - 3 < 8 || length == LONGEST_MATCH ? 0 : log2_floor(length - 3) - 2;
}

static inline unsigned distance_symbol(unsigned distance)
{
    if (distance <= 4)
        return distance - 1;
    unsigned log = log2_floor(distance - 1);
    return 2 * log + (((distance - 1) >> (log - 1)) & 1);
}

static inline unsigned distance_extra(unsigned distance)
{
    return distance <= 4 ? 0 : log2_floor(distance - 1) - 1;
}

static inline uint32_t word_at(const uint8_t *bytes)
{
    uint32_t word;
    memcpy(&word, bytes, 4);
    return word;
}

static size_t match_length(const uint8_t *here, const uint8_t *there, size_t most)
{
    size_t length = 0;
    for (; length + 8 <= most; length += 8)
        if (memcmp(here + length, there + length, 8) != 0)
            break;
    while (length < most && here[length] == there[length])
        length++;
    return length;
}

static void forget(Scratch *scratch) { memset(scratch->seen, 0, sizeof *scratch->seen << scratch->bits); }

static void add_literal(Scratch *scratch, size_t *count, uint8_t byte)
{
    scratch->literals[byte]++;
    scratch->tokens[(*count)++] = byte;
}

/* Bits of a match, about: what its symbols take depends on all others. */
static unsigned match_bits(size_t distance) { return 9 + distance_extra((unsigned)distance); }

/* The longest of the likely matches: a run, the distance of before (ramps), the last bytes that were alike. */
static size_t find_match(Scratch *scratch, const uint8_t *bytes, size_t at, size_t stop, size_t *distance)
{
    uint32_t word = word_at(bytes + at), *seen = &scratch->seen[word * 2654435761u >> (32 - scratch->bits)];
    size_t before = *seen;
    *seen = (uint32_t)at + 1;
    if (at && word_at(bytes + at - 1) == word)
        *distance = 1;
    else if (!(*distance <= at && word_at(bytes + at - *distance) == word)) {
        if (!before || at + 1 - before > WINDOW || word_at(bytes + before - 1) != word)
            return 0;
        *distance = at + 1 - before;
    }
    size_t most = stop - at < LONGEST_MATCH ? stop - at : LONGEST_MATCH;
    const uint8_t *next = bytes + at + SHORTEST;
    return SHORTEST + match_length(next, next - *distance, most - SHORTEST);
}

/* Tokens of bytes[first:stop], whose matches may begin before; returns how many, and counts their symbols. A
   literal takes about so many 256ths of a bit: in planes of few symbols short matches from afar take more. */
static size_t tokenise(Scratch *scratch, const uint8_t *bytes, size_t first, size_t stop, uint64_t literal)
{
    size_t count = 0, at = first, missed = 0, distance = 1;
    memset(scratch->literals, 0, sizeof scratch->literals);
    memset(scratch->distances, 0, sizeof scratch->distances);
    while (at + SHORTEST <= stop) {
        size_t length = find_match(scratch, bytes, at, stop, &distance);
        if (length * literal > 256 * match_bits(distance)) {
            scratch->tokens[count++] = (uint32_t)(length << 16 | distance);
            scratch->literals[length_symbol((unsigned)length)]++;
            scratch->distances[distance_symbol((unsigned)distance)]++;
            at += length;
            missed = 0;
            continue;
        }
        /* The longer nothing was found, the fewer places are looked at. */
        missed += !length;
        for (size_t skip = 1 + (missed >> 6); skip && at < stop; skip--)
            add_literal(scratch, &count, bytes[at++]);
    }
    while (at < stop)
        add_literal(scratch, &count, bytes[at++]);
    return count;
}

/* ---- what blocks cost ---- */

/* 256 times the logarithm, to within a bit's 1/20th. */
static uint32_t log2_scaled(uint32_t value)
{
    unsigned log = log2_floor(value);
    uint32_t fraction = (uint32_t)(((uint64_t)value << 16 >> log) - 65536); /* 0 to 65535 */
    /* a parabola through both ends keeps what a straight line misses: up to 0.086 of a bit */
    uint32_t bent = (uint32_t)((uint64_t)fraction * (65536 - fraction) >> 16) * 22 >> 16;
    return 256 * log + (fraction >> 8) + bent * 4;
}

/* Bits of symbols that come this often: by their entropy, but a code has no less than one for each. */
static uint64_t entropy(const uint32_t *often, int symbols)
{
    uint64_t bits = 0, all = 0;
    for (int symbol = 0; symbol < symbols; symbol++)
        all += often[symbol];
    uint32_t total = all ? log2_scaled((uint32_t)all) : 0;
    for (int symbol = 0; symbol < symbols; symbol++)
        if (often[symbol]) {
            uint32_t own = total - log2_scaled(often[symbol]);
            bits += (uint64_t)often[symbol] * (own > 256 ? own : 256);
        }
    return bits >> 8;
}

static uint64_t header_bits(const uint32_t *often, int symbols)
{
    int used = 0;
    for (int symbol = 0; symbol < symbols; symbol++)
        used += often[symbol] != 0;
    return 80 + 5 * (uint64_t)used;
}

static uint64_t extra_bits(const Scratch *scratch)
{
    uint64_t bits = 0;
    for (unsigned symbol = 265; symbol < 285; symbol++)
        bits += scratch->literals[symbol] * ((symbol - 261) / 4);
    for (unsigned symbol = 4; symbol < DISTANCES; symbol++)
        bits += scratch->distances[symbol] * (symbol / 2 - 1);
    return bits;
}

static uint64_t tokens_bits(const Scratch *scratch)
{
    return entropy(scratch->literals, LITERALS) + entropy(scratch->distances, DISTANCES) + extra_bits(scratch)
        + header_bits(scratch->literals, LITERALS) + header_bits(scratch->distances, DISTANCES);
}

/* With the code that every inflater knows, which small blocks need not describe. */
static unsigned known_length(unsigned symbol)
{
    return symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8;
}

static uint64_t known_bits(const uint32_t *literals, const uint32_t *distances)
{
    uint64_t bits = known_length(END);
    for (unsigned symbol = 0; symbol < LITERALS; symbol++)
        bits += literals[symbol] * known_length(symbol);
    for (unsigned symbol = 0; symbol < DISTANCES; symbol++)
        bits += distances[symbol] * 5;
    return bits;
}

static void known_codes(Code *literals, Code *distances)
{
    for (unsigned symbol = 0; symbol < MOST_SYMBOLS; symbol++)
        literals->length[symbol] = (uint8_t)known_length(symbol);
    memset(distances->length, 5, 32);
    memset(distances->length + 32, 0, sizeof distances->length - 32);
    number_code(literals, MOST_SYMBOLS, 9);
    number_code(distances, 32, 5);
}

/* ---- blocks ---- */

static void put_stored(Bits *to, const uint8_t *bytes, size_t count)
{
    while (count) {
        size_t part = count < 65535 ? count : 65535;
        put(to, 0, 3);
        put(to, 0, -to->held & 7);
        put(to, part | (~(uint64_t)part & 0xffff) << 16, 32);
        memcpy(to->out, bytes, part);
        to->out += part;
        bytes += part;
        count -= part;
    }
}

/* The lengths of both codes, in which repetitions have symbols of their own, by a third code. */
static void put_codes(Bits *to, const Code *literals, const Code *distances)
{
    static const uint8_t order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    uint8_t lengths[LITERALS + DISTANCES];
    struct {
        uint8_t symbol, extra, bits;
    } runs[LITERALS + DISTANCES];
    int used = LITERALS, far = DISTANCES, all, count = 0;
    while (used > 257 && !literals->length[used - 1])
        used--;
    while (far > 1 && !distances->length[far - 1])
        far--;
    memcpy(lengths, literals->length, (size_t)used);
    memcpy(lengths + used, distances->length, (size_t)far);
    all = used + far;
    uint32_t often[19] = {0};
    for (int at = 0; at < all;) {
        int run = 1, value = lengths[at];
        while (at + run < all && lengths[at + run] == value)
            run++;
        int taken = 1, symbol = value, extra = 0, bits = 0;
        if (!value && run >= 11) {
            taken = run < 138 ? run : 138;
            symbol = 18, extra = taken - 11, bits = 7;
        }
        else if (!value && run >= 3) {
            taken = run;
            symbol = 17, extra = taken - 3, bits = 3;
        }
        else if (run >= 3 && at && lengths[at - 1] == value) {
            taken = run < 6 ? run : 6;
            symbol = 16, extra = taken - 3, bits = 2;
        }
        runs[count].symbol = (uint8_t)symbol, runs[count].extra = (uint8_t)extra, runs[count].bits = (uint8_t)bits;
        count++;
        often[symbol]++;
        at += taken;
    }
    Code code;
    make_code(&code, often, 19, 7);
    int sent = 19;
    while (sent > 4 && !code.length[order[sent - 1]])
        sent--;
    put(to, (uint64_t)(used - 257) | (uint64_t)(far - 1) << 5 | (uint64_t)(sent - 4) << 10, 14);
    for (int n = 0; n < sent; n++)
        put(to, code.length[order[n]], 3);
    for (int n = 0; n < count; n++) {
        add(to, code.code[runs[n].symbol], code.length[runs[n].symbol]);
        put(to, runs[n].extra, runs[n].bits);
    }
}

static void put_literals(Bits *to, const Code *code, const uint8_t *bytes, size_t count)
{
    uint32_t table[256];
    for (int symbol = 0; symbol < 256; symbol++)
        table[symbol] = code->code[symbol] | (uint32_t)code->length[symbol] << 16;
    Bits bits = *to;
    size_t n = 0;
    for (; n + 4 <= count; n += 4) {
        uint32_t a = table[bytes[n]], b = table[bytes[n + 1]], c = table[bytes[n + 2]], d = table[bytes[n + 3]];
        add(&bits, a & 0xffff, a >> 16);
        add(&bits, b & 0xffff, b >> 16);
        add(&bits, c & 0xffff, c >> 16);
        add(&bits, d & 0xffff, d >> 16);
        flush(&bits);
    }
    for (; n < count; n++)
        put(&bits, table[bytes[n]] & 0xffff, table[bytes[n]] >> 16);
    *to = bits;
}

static void put_tokens(Bits *to, const Code *literals, const Code *distances, const uint32_t *tokens, size_t count)
{
    for (size_t n = 0; n < count; n++) {
        unsigned length = tokens[n] >> 16, distance = tokens[n] & 0xffff;
        if (!length) {
            put(to, literals->code[distance], literals->length[distance]);
            continue;
        }
        unsigned symbol = length_symbol(length), extra = length_extra(length);
        add(to, literals->code[symbol], literals->length[symbol]);
        add(to, (length - 3) & ((1u << extra) - 1), extra);
        symbol = distance_symbol(distance), extra = distance_extra(distance);
        add(to, distances->code[symbol], distances->length[symbol]);
        put(to, (distance - 1) & ((1u << extra) - 1), extra);
    }
}

/* ---- planes ---- */

static uint64_t literal_bits(const uint32_t often[256])
{
    return entropy(often, 256) + header_bits(often, 256);
}

/* Whether matches pay, by a piece of the middle. */
static bool repeats(Scratch *scratch, const uint8_t *bytes, size_t first, size_t stop, size_t sample)
{
    uint32_t often[256];
    size_t middle = first + (stop - first - sample) / 2;
    histogram(bytes + middle, sample, often);
    uint64_t plain = literal_bits(often);
    unsigned bits = scratch->bits;
    scratch->bits = FEW_BITS;
    forget(scratch);
    tokenise(scratch, bytes, middle, middle + sample, 256 * plain / sample);
    forget(scratch);
    scratch->bits = bits;
    return tokens_bits(scratch) * PAYS < plain * (PAYS - 1);
}

/* Whether a large block is noise, by pieces of it: most planes of floats are, and need no closer look. */
static bool is_noise(Scratch *scratch, const uint8_t *bytes, size_t count)
{
    uint8_t pieces[PIECES * PIECE];
    uint32_t often[256];
    if (count < 2 * sizeof pieces)
        return false;
    for (size_t n = 0; n < PIECES; n++)
        memcpy(pieces + n * PIECE, bytes + n * ((count - PIECE) / (PIECES - 1)), PIECE);
    histogram(pieces, sizeof pieces, often);
    /* So few show a tenth of a bit less than there is. */
    return entropy(often, 256) * scratch->worth > sizeof pieces * (8 * scratch->worth - 8 - scratch->worth / 10)
        && !repeats(scratch, bytes, 0, count, sizeof pieces);
}

static void put_segment(Bits *to, Scratch *scratch, const uint8_t *bytes, size_t first, size_t stop)
{
    uint32_t often[LITERALS] = {0}, nothing[DISTANCES] = {0};
    size_t count = stop - first, tokens = 0;
    if (is_noise(scratch, bytes + first, count)) {
        put_stored(to, bytes + first, count);
        return;
    }
    histogram(bytes + first, count, often);
    uint64_t plain = literal_bits(often), matched = UINT64_MAX;
    if (count < 2 * SAMPLE || repeats(scratch, bytes, first, stop, SAMPLE)) {
        tokens = tokenise(scratch, bytes, first, stop, 256 * plain / count);
        matched = tokens_bits(scratch);
    }
    uint64_t known = known_bits(often, nothing);
    if (matched != UINT64_MAX) {
        uint64_t tokens_known = known_bits(scratch->literals, scratch->distances) + extra_bits(scratch);
        matched = tokens_known < matched ? tokens_known : matched;
    }
    plain = known < plain ? known : plain;
    /* Matches take their time, in writing and in reading. */
    bool matches = matched < plain - plain / PAYS;
    uint64_t least = matches ? matched : plain;
    if (least > 8 * count - 8 * count / scratch->worth) {
        put_stored(to, bytes + first, count);
        return;
    }
    Code literals, distances;
    uint32_t *counted = matches ? scratch->literals : often, *far = matches ? scratch->distances : nothing;
    bool described = least < known_bits(counted, far) + (matches ? extra_bits(scratch) : 0);
    if (described) {
        counted[END] = 1;
        make_code(&literals, counted, LITERALS, LONGEST);
        make_code(&distances, far, DISTANCES, LONGEST);
        put(to, 2 << 1, 3);
        put_codes(to, &literals, &distances);
    }
    else {
        known_codes(&literals, &distances);
        put(to, 1 << 1, 3);
    }
    if (matches)
        put_tokens(to, &literals, &distances, scratch->tokens, tokens);
    else
        put_literals(to, &literals, bytes + first, count);
    put(to, literals.code[END], literals.length[END]);
}

static bool is_constant(const uint8_t *bytes, size_t count)
{
    return count < 2 || memcmp(bytes, bytes + 1, count - 1) == 0;
}

size_t deflate_bound(size_t size, size_t planes)
{
    /* a block's header with its codes, and a byte in 65,535 of the stored ones */
    return size + size / 1024 + 512 * (planes + size / SEGMENT + 1) + 64;
}

size_t deflate_planes(
    const uint8_t *planes, size_t values, size_t used, size_t width, unsigned worth, uint8_t *out
)
{
    Scratch *scratch = malloc(sizeof *scratch);
    if (scratch == NULL)
        return 0;
    Bits to = {out, 0, 0};
    scratch->worth = worth;
    put(&to, 0x0178, 16);
    for (size_t plane = 0, next; plane < width; plane = next) {
        /* Neighbours that hold one value, as those of small integers do, are one. */
        next = plane + 1;
        if (is_constant(planes + plane * values, values))
            while (next < width && is_constant(planes + plane * values, (next + 1 - plane) * values))
                next++;
        const uint8_t *bytes = planes + plane * values;
        size_t count = (next - plane) * values;
        scratch->bits = count < FEW ? FEW_BITS : HASH_BITS;
        forget(scratch);
        for (size_t first = 0, stop; first < count; first = stop) {
            stop = count - first < SEGMENT ? count : first + SEGMENT;
            /* What is there is not to be taken for what it is mixed with. */
            if (first < used && used < stop && next == plane + 1)
                stop = used;
            put_segment(&to, scratch, bytes, first, stop);
        }
    }
    free(scratch);
    /* Small planes that do not shrink: their blocks' heads add up. */
    size_t size = values * width;
    if ((size_t)(to.out - out) > size + 5 * (size / 65535 + 1) + 2) {
        to = (Bits){out, 0, 0};
        put(&to, 0x0178, 16);
        put_stored(&to, planes, size);
    }
    /* An empty block that says that it is the last, and the checksum on a byte's boundary, high byte first. */
    put(&to, 1 | 1 << 1, 10);
    put(&to, 0, -to.held & 7);
    uint32_t adler = adler32(1, planes, size);
    for (int shift = 24; shift >= 0; shift -= 8)
        *to.out++ = (uint8_t)(adler >> shift);
    return (size_t)(to.out - out);
}
