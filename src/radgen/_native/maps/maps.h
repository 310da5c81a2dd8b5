/* Kernels of maps: summaries of correlation tiles, clusters and TFCE on a neighbour graph. */
#ifndef RADGEN_MAPS_H
#define RADGEN_MAPS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#define HIST_BINS 640

/* A tile of numerators g'y, a row a predictor, a column a point; and what each row needs. */
typedef struct {
    const float *num; /* (m, k) */
    const float *ys;  /* (m, k): share of y'y at the missing calls of the row, or NULL */
    const double *plain, *scale, *slack, *loss, *limit, *df; /* (m) each */
    Py_ssize_t m, k;
} Tile;

/* What is kept of the tiles seen so far. */
typedef struct {
    float *best;  /* (k) largest t^2 of each column */
    int32_t *arg; /* (k) its row, counted from first_row */
    float *top;   /* (m, n_top) largest t^2 of each row, falling */
    int32_t *at;  /* (m, n_top) their columns, counted from first_column; -1 = none */
    int64_t *hist, *hits;
    Py_ssize_t n_top;
    int32_t first_row, first_column;
} Kept;

int summarise_tile(const Tile *tile, const Kept *kept);
Py_ssize_t collect_tile(const Tile *tile, const int64_t *hits, int32_t *rows, int32_t *columns,
                        Py_ssize_t room);
void pair_dots(const double *g, const double *y, Py_ssize_t n, const int64_t *rows,
               const int64_t *columns, Py_ssize_t count, double *out);

/* Neighbours of node i are indices[starts[i]] to indices[starts[i + 1] - 1]. */
typedef struct {
    const int64_t *starts;
    const int32_t *indices;
    Py_ssize_t n;
} Graph;

int tfce_map(const float *values, const Graph *graph, const double *weight, double extent_power,
             double height_power, float *out);
int32_t label_clusters(const float *values, float threshold, const Graph *graph, int32_t *label,
                       int32_t *stack);

#endif
