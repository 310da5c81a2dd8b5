/* Rare variants: products from the carriers alone. */
#include "genotype.h"

#include <string.h>

static uint64_t load_word(const uint8_t *from)
{
    uint64_t word;
    memcpy(&word, from, 8);
    return word;
}

/* Whether a look at some words finds far more carriers than `limit` in all. */
static int seems_common(const uint8_t *row, Py_ssize_t words, uint64_t usual, Py_ssize_t limit)
{
    const Py_ssize_t looks = words < 8 ? words : 8;
    Py_ssize_t seen = 0;
    for (Py_ssize_t i = 0; i < looks; i++) {
        uint64_t other = load_word(row + 8 * (i * (words / looks))) ^ usual;
        seen += (Py_ssize_t)fold(by_byte((other | (other >> 1)) & EVEN));
    }
    return seen * words > 4 * limit * looks + 8 * words;
}

/* Write positions and codes of the genotypes that differ from the common one, a homozygote.
 * -1 where there are more than `limit`. The common one is guessed from the first 32. */
Py_ssize_t sparse_row(const uint8_t *row, Py_ssize_t n, Py_ssize_t limit, int *common,
                      int32_t *index, uint8_t *code)
{
    if (n < 64)
        return -1;
    uint64_t first = load_word(row);
    int ones = 0;
    for (int i = 0; i < 64; i++)
        ones += (int)((first >> i) & 1);
    *common = ones >= 32 ? 3 : 0;
    const uint64_t usual = ones >= 32 ? ~(uint64_t)0 : 0;
    Py_ssize_t found = 0, words = n / 32;
    if (seems_common(row, words, usual, limit))
        return -1;
    for (Py_ssize_t at = 0; at < words; at++) {
        if (at + 4 <= words) {
            uint64_t other = (load_word(row + 8 * at) ^ usual) |
                             (load_word(row + 8 * at + 8) ^ usual) |
                             (load_word(row + 8 * at + 16) ^ usual) |
                             (load_word(row + 8 * at + 24) ^ usual);
            if (!other) {
                at += 3;
                continue;
            }
        }
        uint64_t word = load_word(row + 8 * at), other = word ^ usual;
        if (!other)
            continue;
        for (Py_ssize_t byte = 0; byte < 8; byte++) {
            /* Bytes, not shifts of the word: the order of the bytes of a word does not matter. */
            uint8_t four = row[8 * at + byte];
            if (four == (uint8_t)usual)
                continue;
            for (int i = 0; i < 4; i++) {
                int one = (four >> (2 * i)) & 3;
                if (one == *common)
                    continue;
                if (found == limit)
                    return -1;
                index[found] = (int32_t)(32 * at + 4 * byte + i);
                code[found++] = (uint8_t)one;
            }
        }
    }
    for (Py_ssize_t i = 32 * words; i < n; i++) {
        int one = (row[i >> 2] >> (2 * (i & 3))) & 3;
        if (one == *common)
            continue;
        if (found == limit)
            return -1;
        index[found] = (int32_t)i;
        code[found++] = (uint8_t)one;
    }
    return found;
}

/* out = (dosage - mean) of the known calls times weights (n, k); totals are its column sums. */
void sparse_product(const int32_t *index, const uint8_t *code, Py_ssize_t found, int common,
                    int flip, Py_ssize_t n, const float *weights, Py_ssize_t k,
                    const double *totals, float *out, double stats[3])
{
    const double base = (common == 3) == (flip != 0) ? 2.0 : 0.0;
    double known = (double)n, shift = 0, squares = 0;
    for (Py_ssize_t i = 0; i < found; i++) {
        if (code[i] == 1) {
            known -= 1.0;
            continue;
        }
        double away = code[i] == 2 ? 1.0 : 2.0;
        shift += away;
        squares += away * away;
    }
    /* Counted from the common homozygote: d = base + sign * away. */
    const double sign = base > 0 ? -1.0 : 1.0, mean = known > 0 ? shift / known : 0.0;
    const float minus = (float)mean;
    for (Py_ssize_t b = 0; b < k; b++)
        out[b] = (float)(-mean * totals[b]);
    for (Py_ssize_t i = 0; i < found; i++) {
        const float *row = weights + (Py_ssize_t)index[i] * k;
        const float by = code[i] == 1 ? minus : code[i] == 2 ? 1.0f : 2.0f;
        for (Py_ssize_t b = 0; b < k; b++)
            out[b] += by * row[b];
    }
    if (sign < 0)
        for (Py_ssize_t b = 0; b < k; b++)
            out[b] = -out[b];
    stats[0] = known;
    stats[1] = base * known + sign * shift;
    stats[2] = base * base * known + 2.0 * base * sign * shift + squares;
}
