/* PLINK 1 .bed: two bits a genotype, four to a byte, least significant first.
 * 0 = two copies of the first allele, 1 = missing, 2 = one copy, 3 = none. */
#include "genotype.h"

#include <stdlib.h>
#include <string.h>

/* What is left of a byte when the samples of a four-bit mask are kept. */
static uint8_t kept_bits[16][256];
static const uint8_t kept_count[16] = {0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4};

void bed_init(void)
{
    for (int mask = 0; mask < 16; mask++) {
        for (int byte = 0; byte < 256; byte++) {
            int out = 0, at = 0;
            for (int i = 0; i < 4; i++)
                if ((mask >> i) & 1)
                    out |= ((byte >> (2 * i)) & 3) << (2 * at++);
            kept_bits[mask][byte] = (uint8_t)out;
        }
    }
}

/* Choose how rows are narrowed to the wanted samples; 0 where memory is short. */
int bed_select(bed_block *block)
{
    block->masks = NULL;
    block->scratch = NULL;
    if (block->columns == NULL)
        return 1;
    /* Of few samples each is fetched by itself. */
    int ascending = block->n_columns > block->stride / 2;
    for (Py_ssize_t i = 1; i < block->n_columns; i++)
        ascending &= block->columns[i] > block->columns[i - 1];
    block->scratch = malloc((size_t)(block->n_columns + 3) / 4 + 16);
    if (block->scratch == NULL)
        return 0;
    if (ascending) {
        block->masks = calloc((size_t)block->stride, 1);
        if (block->masks == NULL) {
            free(block->scratch);
            return 0;
        }
        for (Py_ssize_t i = 0; i < block->n_columns; i++)
            block->masks[block->columns[i] >> 2] |= (uint8_t)(1u << (block->columns[i] & 3));
    }
    return 1;
}

void bed_release(bed_block *block)
{
    free(block->masks);
    free(block->scratch);
}

static void put_word(uint8_t *to, uint64_t word, int bytes)
{
    for (int i = 0; i < bytes; i++)
        to[i] = (uint8_t)(word >> (8 * i));
}

const uint8_t *bed_row(const bed_block *block, Py_ssize_t at)
{
    const uint8_t *row = block->bytes + at * block->stride;
    if (block->columns == NULL)
        return row;
    uint8_t *to = block->scratch;
    uint64_t word = 0;
    int filled = 0;
    if (block->masks == NULL) {
        for (Py_ssize_t i = 0; i < block->n_columns; i++) {
            int64_t from = block->columns[i];
            word |= (uint64_t)((row[from >> 2] >> (2 * (from & 3))) & 3) << filled;
            filled += 2;
            if (filled == 32) {
                put_word(to, word, 4);
                to += 4;
                word = 0;
                filled = 0;
            }
        }
    } else {
        for (Py_ssize_t i = 0; i < block->stride; i++) {
            uint8_t mask = block->masks[i];
            word |= (uint64_t)kept_bits[mask][row[i]] << filled;
            filled += 2 * kept_count[mask];
            if (filled >= 32) {
                put_word(to, word, 4);
                to += 4;
                word >>= 32;
                filled -= 32;
            }
        }
    }
    put_word(to, word, (filled + 7) / 8);
    return block->scratch;
}

/* Four values a byte, from a table where that is worth its making. */
#define FILL(TYPE, NAME)                                                                      \
    void NAME(const uint8_t *row, Py_ssize_t n, const TYPE lut[4], TYPE *out)                 \
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
    }

FILL(float, bed_fill_f32)
FILL(double, bed_fill_f64)

void bed_counts(const uint8_t *row, Py_ssize_t n, int64_t counts[4])
{
    const Py_ssize_t words = n / 32, chunk = 60; /* 60 x 4 fits a byte */
    memset(counts, 0, 4 * sizeof(counts[0]));
    for (Py_ssize_t from = 0; from < words; from += chunk) {
        Py_ssize_t to = from + chunk < words ? from + chunk : words;
        uint64_t one = 0, two = 0, three = 0;
        for (Py_ssize_t at = from; at < to; at++) {
            uint64_t word;
            memcpy(&word, row + 8 * at, 8);
            uint64_t low = word & EVEN, high = (word >> 1) & EVEN;
            one += by_byte(low & ~high);
            two += by_byte(high & ~low);
            three += by_byte(low & high);
        }
        counts[1] += fold(one);
        counts[2] += fold(two);
        counts[3] += fold(three);
    }
    for (Py_ssize_t i = 32 * words; i < n; i++)
        counts[(row[i >> 2] >> (2 * (i & 3))) & 3]++;
    counts[0] = n - counts[1] - counts[2] - counts[3];
}

/* Write the positions of a code; -1 where there are more than `room`. */
Py_ssize_t bed_positions(const uint8_t *row, Py_ssize_t n, int code, Py_ssize_t room,
                         int32_t *out)
{
    Py_ssize_t found = 0;
    for (Py_ssize_t first = 0; first < n; first += 32) {
        uint64_t word = word_of(row, n, first);
        uint64_t low = code & 1 ? word : ~word, high = code & 2 ? word : ~word;
        uint64_t hit = low & (high >> 1) & EVEN;
        if (n - first < 32)
            hit &= ((uint64_t)1 << (2 * (n - first))) - 1;
        if (found + 2 <= room) {
            /* The first two without asking whether they are there: a guess costs more. */
            const uint64_t last = (uint64_t)1 << 63, next = hit & (hit - 1);
            out[found] = (int32_t)(first + lowest(hit | last) / 2);
            out[found + 1] = (int32_t)(first + lowest(next | last) / 2);
            found += (hit != 0) + (next != 0);
            hit = next & (next - 1);
        }
        while (hit) {
            if (found == room)
                return -1;
            out[found++] = (int32_t)(first + lowest(hit) / 2);
            hit &= hit - 1;
        }
    }
    return found;
}
