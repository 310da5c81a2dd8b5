/* Rare variants: products from the carriers alone. */
#include "genotype.h"

#include <string.h>

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && defined(__GLIBC__)
#define CLONES __attribute__((target_clones("default", "avx2")))
#else
#define CLONES
#endif

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

#define CHUNK 64

/* Which of at most CHUNK words differ from the usual one: written down without asking, since
 * a wrong guess costs more than a word. */
static int unlike(const uint8_t *row, int words, uint64_t usual, uint8_t *some)
{
    int count = 0;
    for (int at = 0; at < words; at++) {
        some[count] = (uint8_t)at;
        count += load_word(row + 8 * at) != usual;
    }
    return count;
}

/* Add the genotypes of the 32 from `first` on that differ from the usual one. */
static Py_ssize_t take_word(const uint8_t *row, Py_ssize_t n, Py_ssize_t first, uint64_t usual,
                            Py_ssize_t limit, Py_ssize_t found, int32_t *index, uint8_t *code)
{
    const uint64_t word = word_of(row, n, first), other = word ^ usual;
    uint64_t hit = (other | (other >> 1)) & EVEN;
    if (n - first < 32)
        hit &= ((uint64_t)1 << (2 * (n - first))) - 1;
    while (hit) {
        const int at = lowest(hit);
        if (found == limit)
            return -1;
        index[found] = (int32_t)(first + at / 2);
        code[found++] = (uint8_t)((word >> at) & 3);
        hit &= hit - 1;
    }
    return found;
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
    for (Py_ssize_t from = 0; from < words; from += CHUNK) {
        uint8_t some[CHUNK];
        const int here = (int)(words - from < CHUNK ? words - from : CHUNK);
        const int odd = unlike(row + 8 * from, here, usual, some);
        for (int i = 0; i < odd; i++) {
            found = take_word(row, n, 32 * (from + some[i]), usual, limit, found, index, code);
            if (found < 0)
                return -1;
        }
    }
    if (32 * words < n)
        found = take_word(row, n, 32 * words, usual, limit, found, index, code);
    return found;
}

static inline void add_row(const float *row, float by, Py_ssize_t k, float *out)
{
    for (Py_ssize_t b = 0; b < k; b++)
        out[b] += by * row[b];
}

/* out = (dosage - mean) of the known calls times weights (n, k); totals are its column sums. */
CLONES void sparse_product(const int32_t *index, const uint8_t *code, Py_ssize_t found, int common,
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
    for (Py_ssize_t i = 0; i < found; i++)
        add_row(weights + (Py_ssize_t)index[i] * k,
                code[i] == 1 ? minus : code[i] == 2 ? 1.0f : 2.0f, k, out);
    if (sign < 0)
        for (Py_ssize_t b = 0; b < k; b++)
            out[b] = -out[b];
    stats[0] = known;
    stats[1] = base * known + sign * shift;
    stats[2] = base * base * known + 2.0 * base * sign * shift + squares;
}
