/* The second largest modulus of an eigenvalue of many small symmetric matrices of counts, each
 * scaled by the roots of its row sums. LANES matrices of one size are worked on side by side:
 * the same steps for each, a number of each in one register. */
#ifndef RADGEN_EIGEN_H
#define RADGEN_EIGEN_H

#include "arrays.h"

#if defined(__GNUC__)
enum { LANES = 4 };
typedef double Many __attribute__((vector_size(32), aligned(8), may_alias));
#else
enum { LANES = 1 };
typedef double Many;
#endif

/* Matrices of m rows: the lower halves, then row sums and what the solution needs. */
typedef struct {
    int m, count;
    double total[LANES]; /* sum of all counts */
    ptrdiff_t owner[LANES];
    Many *cells; /* m x m lower half, then row sums, diagonal, beside: (m + 3) x m */
} Batch;

static inline void add_pair(Batch *batch, int a, int b)
{
    int row = a > b ? a : b, column = a > b ? b : a;
    double *cells = (double *)batch->cells + batch->count;
    cells[(row * batch->m + column) * LANES] += a == b ? 2.0 : 1.0;
    double *sums = cells + (ptrdiff_t)batch->m * batch->m * LANES;
    sums[a * LANES]++;
    sums[b * LANES]++;
}

/* Solve all matrices of a batch, at least two rows each, and empty it; found[lane] is from 0 to 1. */
void solve_batch(Batch *batch, double *found);

#endif
