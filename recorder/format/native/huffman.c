#include "huffman.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    uint32_t often;
    uint16_t symbol;
} Leaf;

static int rarer(const void *left, const void *right)
{
    const Leaf *a = left, *b = right;
    if (a->often != b->often)
        return a->often < b->often ? -1 : 1;
    return a->symbol - b->symbol;
}

/* How many codes of each length Huffman's tree has, its two queues being the sorted leaves and the nodes in
   the order of their making. Parents come after their children, so one pass backwards finds all depths. */
static void count_lengths(const Leaf *leaves, int count, int longest, int of_length[])
{
    uint32_t weight[2 * MOST_SYMBOLS];
    int parent[2 * MOST_SYMBOLS];
    int leaf = 0, node = count, made = count;
    for (int n = 0; n < count; n++)
        weight[n] = leaves[n].often;
    while (made < 2 * count - 1) {
        weight[made] = 0;
        for (int child = 0; child < 2; child++) {
            int least = leaf < count && (node == made || weight[leaf] <= weight[node]) ? leaf++ : node++;
            weight[made] += weight[least];
            parent[least] = made;
        }
        made++;
    }
    int depth[2 * MOST_SYMBOLS];
    depth[made - 1] = 0;
    for (int n = made - 2; n >= 0; n--) {
        depth[n] = depth[parent[n]] + 1;
        if (n < count)
            of_length[depth[n] < longest ? depth[n] : longest]++;
    }
}

/* Codes that were cut to the longest length ask for more room than there is: for each that is one too many, a
   shorter one becomes a level deeper and makes room for two. */
static void fit(int of_length[], int longest)
{
    int64_t used = 0;
    for (int length = 1; length <= longest; length++)
        used += (int64_t)of_length[length] << (longest - length);
    for (; used > (int64_t)1 << longest; used--) {
        int length = longest - 1;
        while (!of_length[length])
            length--;
        of_length[length]--;
        of_length[length + 1] += 2;
        of_length[longest]--;
    }
}

static uint16_t mirrored(uint32_t bits, int length)
{
    uint32_t out = 0;
    for (; length; length--, bits >>= 1)
        out = out << 1 | (bits & 1);
    return (uint16_t)out;
}

void make_code(Code *code, const uint32_t *often, int symbols, int longest)
{
    Leaf leaves[MOST_SYMBOLS];
    int count = 0, of_length[17] = {0};
    memset(code, 0, sizeof *code);
    for (int symbol = 0; symbol < symbols; symbol++)
        if (often[symbol])
            leaves[count++] = (Leaf){often[symbol], (uint16_t)symbol};
    for (int symbol = 0; count < 2; symbol++)
        if (!often[symbol])
            leaves[count++] = (Leaf){0, (uint16_t)symbol};
    qsort(leaves, (size_t)count, sizeof *leaves, rarer);
    count_lengths(leaves, count, longest, of_length);
    fit(of_length, longest);
    int next = 0;
    for (int length = longest; length; length--)
        for (int n = 0; n < of_length[length]; n++)
            code->length[leaves[next++].symbol] = (uint8_t)length;
    number_code(code, symbols, longest);
}

void number_code(Code *code, int symbols, int longest)
{
    uint32_t bits = 0, first[17], of_length[17] = {0};
    for (int symbol = 0; symbol < symbols; symbol++)
        of_length[code->length[symbol]]++;
    for (int length = 1; length <= longest; length++) {
        bits = (bits + (length > 1 ? of_length[length - 1] : 0)) << 1;
        first[length] = bits;
    }
    for (int symbol = 0; symbol < symbols; symbol++)
        if (code->length[symbol])
            code->code[symbol] = mirrored(first[code->length[symbol]]++, code->length[symbol]);
}
