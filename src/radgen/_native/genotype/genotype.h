/* Genotype kernels: what the files of this folder share. */
#ifndef RADGEN_GENOTYPE_H
#define RADGEN_GENOTYPE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stddef.h>

/* A packed PLINK 1 block: rows of `stride` bytes, and which of the file's samples are wanted. */
typedef struct {
    const uint8_t *bytes;
    Py_ssize_t n_rows;
    Py_ssize_t stride;
    Py_ssize_t n_file;
    const int64_t *columns; /* NULL = all, in file order */
    Py_ssize_t n_columns;
} bed_block;

void bed_fill_f32(const bed_block *block, Py_ssize_t row, const float lut[4], float *out);
void bed_fill_f64(const bed_block *block, Py_ssize_t row, const double lut[4], double *out);
void bed_counts(const bed_block *block, Py_ssize_t row, int64_t counts[4]);
Py_ssize_t bed_missing_row(const bed_block *block, Py_ssize_t row, int32_t *out);

void centre_f32(const float *in, Py_ssize_t n, float *out, double stats[3]);
void centre_f64(const float *in, Py_ssize_t n, double *out, double stats[3]);

void missing_products(const int32_t *index, Py_ssize_t n_missing, const double *q, Py_ssize_t c,
                      const double *y, Py_ssize_t k, double *qq, double *qy, double *yy);
void missing_squares(const int32_t *index, Py_ssize_t n_missing, const float *y,
                     Py_ssize_t stride, Py_ssize_t k, float *out);

#define HIST_PER_OCTAVE 16
#define HIST_LOW (-24)
#define HIST_HIGH 16
#define HIST_BINS ((HIST_HIGH - HIST_LOW) * HIST_PER_OCTAVE)

typedef struct {
    const float *num;    /* (n_rows, k) products of genotype and trait */
    const float *ys;     /* (n_rows, k) sum of squares lost with missing calls, or NULL */
    Py_ssize_t k;
    const double *scale; /* (n_rows) 1 / least residual sum of squares of the genotype */
    const double *slack; /* (n_rows) factor of sqrt(ys) added to |num| */
    const double *loss;  /* (n_rows) factor of ys taken from the trait's sum of squares */
    const double *limit; /* (n_rows) smallest r^2 that is kept; > 1 = none, 0 = all */
    const double *df;    /* (n_rows) residual degrees of freedom; 0 = not counted */
    const double *plain; /* (n_rows) as scale, without the bound: for the counts */
} screen_rows;

Py_ssize_t screen_row(const screen_rows *rows, Py_ssize_t row, int64_t *hist, int32_t *found,
                      Py_ssize_t room, float *work);

#endif
