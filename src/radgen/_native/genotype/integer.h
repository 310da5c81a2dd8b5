/* Products of packed genotypes with weights as whole numbers, on processors with matrix tiles. */
#ifndef RADGEN_GENOTYPE_INTEGER_H
#define RADGEN_GENOTYPE_INTEGER_H

#include "genotype.h"

#define LANES 16  /* rows, or columns, of a tile of sums */
#define DEPTH 64  /* samples of a tile of factors */
#define DIGITS 3  /* digits of a weight, to the base of 128 */
#define HIGHEST (127.0f * 16384.0f)
#define TILE_BYTES (LANES * DEPTH)

/* Weights of `n` samples in `k` columns: see integer_pack for the order of the digits. */
typedef struct {
    Py_ssize_t n, k;
    const float *weights; /* (n, k) as given, for missing calls */
    const int8_t *digits;
    const double *scale; /* (k) steps of a weight of 1 */
    const double *sums;  /* (k) sums of the whole numbers */
} integer_weights;

/* Whether this processor and system have what integer_products needs. */
int integer_ready(void);

static inline Py_ssize_t integer_bytes(Py_ssize_t n, Py_ssize_t k)
{
    return ((k + LANES - 1) / LANES) * ((n + DEPTH - 1) / DEPTH) * DIGITS * TILE_BYTES;
}

/* Round weights (n, k) to whole numbers of at most HIGHEST and write them digit by digit: panels
 * of 16 columns, in these tiles of 64 samples, in these the digits, highest first, in these 16
 * rows of 16 columns by 4 samples. 0 where memory is short. */
int integer_pack(const float *weights, Py_ssize_t n, Py_ssize_t k, int8_t *digits, double *scale,
                 double *sums);

/* Products of some rows' centred dosages (missing = 0) with weights, into rows of (n_rows, k);
 * stats is that of bed_products. A missing call stands as its mean less `left` of its row, which
 * is at most 1/128. 0 where memory is short. */
int integer_products(const bed_block *block, int flip, const int32_t *rows, Py_ssize_t n_rows,
                     const double *stats, const integer_weights *weights, double *left,
                     float *out);

#endif
