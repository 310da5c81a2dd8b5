/* Co-occurrence features in a window around each voxel: what the steps from levels to features
 * share. */
#ifndef RADGEN_VOXEL_H
#define RADGEN_VOXEL_H

#include "eigen.h"

enum { N_FEATURES = 25, N_WITH_MCC = 26, SMALL = 32, SIDE = 16, FEW = 100 };
/* SIDE voxels are looked at side by side where a matrix holds at most FEW pairs. */

/* Tables by count and by gap. */
typedef struct {
    const double *log2_of; /* log2 n, up to twice the most pairs in one matrix; 0 for n = 0 */
    const double *weights; /* inverse difference and its kin, 5 a gap: gap d in row d + 1, row 0
                            * holds zeros */
} Tables;

/* What features are made of, for each of SIDE voxels: sums over pairs (a, b), and over pairs, gaps,
 * sums and levels of the logarithm of how often each occurs. */
typedef struct {
    int n[SIDE];        /* pairs */
    int flat[SIDE];     /* whether all levels are one */
    double level[SIDE]; /* sum of a + b */
    double product[SIDE], gap[SIDE], gap_square[SIDE];
    double second[SIDE], third[SIDE], fourth[SIDE]; /* powers of a + b less its mean */
    double inverse[5][SIDE];
    double joint_log[SIDE], joint_square[SIDE], top[SIDE]; /* of the symmetric matrix */
    double level_log[SIDE], gap_log[SIDE], sum_log[SIDE];
} Sums;

/* Features of SIDE voxels added up over directions. */
typedef struct {
    double sum[N_FEATURES][SIDE];
    int used[SIDE], defined[SIDE]; /* directions with pairs; and of those with two levels */
} Totals;

/* Windows of SIDE voxels: levels and their places among the levels of the window. */
typedef struct {
    int n;               /* voxels of a window */
    const int32_t *step; /* from the centre to each */
    uint16_t *level, *place; /* [voxel of the window][SIDE] */
    int n_seen[SIDE];    /* levels in each window */
} Windows;

/* A matrix for each of SIDE voxels of at most FEW pairs, as numbers of voxels of the window. */
void sums_of_few(const Windows *windows, const int32_t *pair, int n, const Tables *tables,
                 Sums *out);

/* Room for the matrix of one voxel with any number of pairs: tables whose touched cells alone are
 * read and cleared. */
typedef struct {
    ptrdiff_t places;
    int32_t *joint, *by_level, *by_gap, *by_sum;
} Counts;

int counts_for(Counts *counts, ptrdiff_t places, ptrdiff_t n_levels);
void drop_counts(Counts *counts);

/* The same sums of one voxel, number `at` of the windows. */
void sums_of_many(const Windows *windows, int at, const int32_t *pair, ptrdiff_t n, Counts *counts,
                  const Tables *tables, Sums *out);

/* Maximal correlations, added up by voxel; matrices of one size wait for each other. */
typedef struct {
    Batch batches[SMALL + 1]; /* by rows up to SMALL, [0] for more */
    Many *cells;              /* their matrices */
    double *sum;              /* over directions by voxel */
    int32_t *used;            /* and number of directions with a value */
    uint64_t *beside;         /* bits of the levels met beside each, places + 4 rows of words */
    uint16_t *place, *among;  /* of the pairs; of a level among those of a direction */
    ptrdiff_t places, words;
} Correlations;

int correlations_for(Correlations *c, ptrdiff_t places, ptrdiff_t most, ptrdiff_t n_voxels,
                     double *out);
void drop_correlations(Correlations *c);
void add_correlation(Correlations *c, const Windows *windows, int at, const int32_t *pair,
                     ptrdiff_t n, int convention, ptrdiff_t voxel);
void finish_correlations(Correlations *c, ptrdiff_t n_voxels);

#endif
