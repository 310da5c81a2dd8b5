/* Rare variants: products from the carriers alone. */
#include "genotype.h"

#include <string.h>

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && defined(__GLIBC__)
#define CLONES __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define CLONES
#endif

#if defined(__GNUC__)
#define ALWAYS __attribute__((always_inline))
#else
#define ALWAYS
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
    const Py_ssize_t step = words / looks;
    uint64_t sums = 0; /* 8 x 4 fits a byte */
    for (Py_ssize_t i = 0; i < looks; i++) {
        const uint64_t other = load_word(row + 8 * i * step) ^ usual;
        sums += by_byte((other | (other >> 1)) & EVEN);
    }
    const Py_ssize_t seen = (Py_ssize_t)fold(sums);
    return seen * words > 4 * limit * looks + 8 * words;
}

/* Add the genotypes of a word, the 32 from `first` on, that differ from the usual one. */
static Py_ssize_t take_word(uint64_t word, uint64_t usual, Py_ssize_t first, Py_ssize_t found,
                            int32_t *index, uint8_t *code)
{
    const uint64_t other = word ^ usual;
    for (uint64_t hit = (other | (other >> 1)) & EVEN; hit; hit &= hit - 1) {
        const int at = lowest(hit);
        index[found] = (int32_t)(first + at / 2);
        code[found++] = (uint8_t)((word >> at) & 3);
    }
    return found;
}

/* Write positions and codes of the genotypes that differ from the common one, a homozygote.
 * -1 where there are more than `limit`, up to 32 of which are written. The common one is guessed from the first 32. */
Py_ssize_t sparse_row(const uint8_t *row, Py_ssize_t n, Py_ssize_t limit, int *common,
                      int32_t *index, uint8_t *code)
{
    if (n < 64)
        return -1;
    const uint64_t first = load_word(row);
    const int64_t ones = fold(by_byte(first & EVEN) + by_byte((first >> 1) & EVEN));
    *common = ones >= 32 ? 3 : 0;
    const uint64_t usual = ones >= 32 ? ~(uint64_t)0 : 0;
    Py_ssize_t found = 0, words = n / 32;
    if (seems_common(row, words, usual, limit))
        return -1;
    for (Py_ssize_t from = 0; from < words; from += 64) {
        const uint8_t *chunk = row + 8 * from;
        const int here = (int)(words - from < 64 ? words - from : 64);
        for (uint64_t some = unlike(chunk, here, usual); some; some &= some - 1) {
            const int at = lowest(some);
            found = take_word(word_of(chunk, 32 * here, 32 * at), usual, 32 * (from + at), found,
                              index, code);
            if (found > limit)
                return -1;
        }
    }
    if (32 * words < n) {
        /* Those past the end are made usual ones. */
        const uint64_t past = ~(uint64_t)0 << (2 * (n - 32 * words));
        const uint64_t word = (word_of(row, n, 32 * words) & ~past) | (usual & past);
        found = take_word(word, usual, 32 * words, found, index, code);
    }
    return found > limit ? -1 : found;
}

typedef struct {
    const int32_t *index; /* of the carriers */
    const uint8_t *code;
    Py_ssize_t found;
    float by[4]; /* what a code counts */
} carriers;

/* Add the carriers' weights to the k columns of a row. */
static inline ALWAYS void add_rows(const carriers *who, const float *weights, Py_ssize_t k,
                                   float *out)
{
    for (Py_ssize_t i = 0; i < who->found; i++) {
        const float *row = weights + (Py_ssize_t)who->index[i] * k, by = who->by[who->code[i]];
        for (Py_ssize_t b = 0; b < k; b++)
            out[b] += by * row[b];
    }
}

#if defined(__GNUC__)
/* As add_rows for few columns, the first and the last ones of a width, which overlap: the
 * sums stay in registers meanwhile. */
#define ADD_HALVES(NAME, LANES, WIDE)                                                         \
    static inline ALWAYS void NAME(const carriers *who, const float *weights, Py_ssize_t k,   \
                                   float *out)                                                \
    {                                                                                         \
        const Py_ssize_t second = k - WIDE;                                                   \
        LANES low = *(const LANES *)out, high = *(const LANES *)(out + second);               \
        for (Py_ssize_t i = 0; i < who->found; i++) {                                         \
            const float *row = weights + (Py_ssize_t)who->index[i] * k;                       \
            const float by = who->by[who->code[i]];                                           \
            low += by * *(const LANES *)row;                                                  \
            high += by * *(const LANES *)(row + second);                                      \
        }                                                                                     \
        *(LANES *)out = low;                                                                  \
        *(LANES *)(out + second) = high;                                                      \
    }

typedef float four __attribute__((vector_size(16), aligned(4), may_alias));
typedef float eight __attribute__((vector_size(32), aligned(4), may_alias));
typedef float sixteen __attribute__((vector_size(64), aligned(4), may_alias));
ADD_HALVES(add_to_8, four, 4)
ADD_HALVES(add_to_16, eight, 8)
ADD_HALVES(add_to_32, sixteen, 16)
#else
#define add_to_8 add_rows
#define add_to_16 add_rows
#define add_to_32 add_rows
#endif

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
    const carriers who = {index, code, found, {2.0f, minus, 1.0f, 2.0f}};
    if (k >= 4 && k <= 8)
        add_to_8(&who, weights, k, out);
    else if (k > 8 && k <= 16)
        add_to_16(&who, weights, k, out);
    else if (k > 16 && k <= 32)
        add_to_32(&who, weights, k, out);
    else
        add_rows(&who, weights, k, out);
    if (sign < 0)
        for (Py_ssize_t b = 0; b < k; b++)
            out[b] = -out[b];
    stats[0] = known;
    stats[1] = base * known + sign * shift;
    stats[2] = base * base * known + 2.0 * base * sign * shift + squares;
}
