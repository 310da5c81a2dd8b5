/* PLINK 1 .bed: two bits a genotype, four to a byte, least significant first.
 * 0 = two copies of the first allele, 1 = missing, 2 = one copy, 3 = none. */
#include "genotype.h"

#include <string.h>

#define FILL_ALL(TYPE, NAME)                                                                  \
    static void NAME##_all(const uint8_t *row, Py_ssize_t n, const TYPE lut[4], TYPE *out)    \
    {                                                                                         \
        TYPE pair[16][2];                                                                     \
        for (int code = 0; code < 16; code++) {                                               \
            pair[code][0] = lut[code & 3];                                                    \
            pair[code][1] = lut[code >> 2];                                                   \
        }                                                                                     \
        Py_ssize_t whole = n / 4;                                                             \
        for (Py_ssize_t i = 0; i < whole; i++) {                                              \
            memcpy(out + 4 * i, pair[row[i] & 15], 2 * sizeof(TYPE));                         \
            memcpy(out + 4 * i + 2, pair[row[i] >> 4], 2 * sizeof(TYPE));                     \
        }                                                                                     \
        for (Py_ssize_t i = 4 * whole; i < n; i++)                                            \
            out[i] = lut[(row[i >> 2] >> (2 * (i & 3))) & 3];                                 \
    }                                                                                         \
    void NAME(const bed_block *block, Py_ssize_t at, const TYPE lut[4], TYPE *out)            \
    {                                                                                         \
        const uint8_t *row = block->bytes + at * block->stride;                               \
        if (block->columns == NULL) {                                                         \
            NAME##_all(row, block->n_file, lut, out);                                         \
            return;                                                                           \
        }                                                                                     \
        for (Py_ssize_t i = 0; i < block->n_columns; i++) {                                   \
            int64_t from = block->columns[i];                                                 \
            out[i] = lut[(row[from >> 2] >> (2 * (from & 3))) & 3];                           \
        }                                                                                     \
    }

FILL_ALL(float, bed_fill_f32)
FILL_ALL(double, bed_fill_f64)

static int bits(uint64_t word)
{
    word = word - ((word >> 1) & 0x5555555555555555u);
    word = (word & 0x3333333333333333u) + ((word >> 2) & 0x3333333333333333u);
    word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    return (int)((word * 0x0101010101010101u) >> 56);
}

void bed_counts(const bed_block *block, Py_ssize_t at, int64_t counts[4])
{
    const uint8_t *row = block->bytes + at * block->stride;
    const uint64_t even = 0x5555555555555555u;
    memset(counts, 0, 4 * sizeof(counts[0]));
    if (block->columns != NULL) {
        for (Py_ssize_t i = 0; i < block->n_columns; i++) {
            int64_t from = block->columns[i];
            counts[(row[from >> 2] >> (2 * (from & 3))) & 3]++;
        }
        return;
    }
    Py_ssize_t words = block->n_file / 32;
    for (Py_ssize_t i = 0; i < words; i++) {
        uint64_t word;
        memcpy(&word, row + 8 * i, 8);
        uint64_t low = word & even, high = (word >> 1) & even;
        counts[1] += bits(low & ~high);
        counts[2] += bits(high & ~low);
        counts[3] += bits(low & high);
    }
    for (Py_ssize_t i = 32 * words; i < block->n_file; i++)
        counts[(row[i >> 2] >> (2 * (i & 3))) & 3]++;
    counts[0] = block->n_file - counts[1] - counts[2] - counts[3];
}

Py_ssize_t bed_missing_row(const bed_block *block, Py_ssize_t at, int32_t *out)
{
    const uint8_t *row = block->bytes + at * block->stride;
    Py_ssize_t found = 0;
    if (block->columns != NULL) {
        for (Py_ssize_t i = 0; i < block->n_columns; i++) {
            int64_t from = block->columns[i];
            if (((row[from >> 2] >> (2 * (from & 3))) & 3) == 1)
                out[found++] = (int32_t)i;
        }
        return found;
    }
    for (Py_ssize_t byte = 0; byte < block->stride; byte++) {
        unsigned code = row[byte];
        unsigned hit = code & ~(code >> 1) & 0x55u;
        if (!hit)
            continue;
        for (int j = 0; j < 4; j++) {
            Py_ssize_t i = 4 * byte + j;
            if ((hit >> (2 * j)) & 1u && i < block->n_file)
                out[found++] = (int32_t)i;
        }
    }
    return found;
}
