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
    uint8_t *masks;   /* four bits a byte of a row: which samples are wanted, if they ascend */
    uint8_t *scratch; /* one narrowed row */
} bed_block;

#define EVEN 0x5555555555555555u

/* Set even bits of a word as counts in its bytes, at most 4 each. */
static inline uint64_t by_byte(uint64_t word)
{
    word = (word & 0x3333333333333333u) + ((word >> 2) & 0x3333333333333333u);
    return (word & 0x0f0f0f0f0f0f0f0fu) + ((word >> 4) & 0x0f0f0f0f0f0f0f0fu);
}

static inline int64_t fold(uint64_t bytes)
{
    bytes = (bytes & 0x00ff00ff00ff00ffu) + ((bytes >> 8) & 0x00ff00ff00ff00ffu);
    bytes = (bytes & 0x0000ffff0000ffffu) + ((bytes >> 16) & 0x0000ffff0000ffffu);
    return (int64_t)((bytes & 0xffffffffu) + (bytes >> 32));
}

static inline int lowest(uint64_t word)
{
#if defined(__GNUC__)
    return __builtin_ctzll(word);
#else
    int at = 0;
    while (!((word >> at) & 1))
        at++;
    return at;
#endif
}

/* The next 32 genotypes; those past the end read as code 3. */
static inline uint64_t word_of(const uint8_t *row, Py_ssize_t n, Py_ssize_t first)
{
    uint64_t word = 0;
    if (n - first >= 32) {
        for (int i = 0; i < 8; i++)
            word |= (uint64_t)row[first / 4 + i] << (8 * i);
        return word;
    }
    for (Py_ssize_t i = first / 4; 4 * i < n; i++)
        word |= (uint64_t)row[i] << (8 * (i - first / 4));
    return word | (~(uint64_t)0 << (2 * (n - first)));
}

void bed_init(void);
int bed_select(bed_block *block);
void bed_release(bed_block *block);

/* A row of the wanted samples; it may lie in the block's scratch. */
const uint8_t *bed_row(const bed_block *block, Py_ssize_t row);
void bed_fill_f32(const uint8_t *row, Py_ssize_t n, const float lut[4], float *out);
void bed_fill_f64(const uint8_t *row, Py_ssize_t n, const double lut[4], double *out);
void bed_counts(const uint8_t *row, Py_ssize_t n, int64_t counts[4]);
Py_ssize_t bed_positions(const uint8_t *row, Py_ssize_t n, int code, Py_ssize_t room,
                         int32_t *out);

/* Bits of the words, 64 at most, that differ from `usual`. */
uint64_t unlike(const uint8_t *row, int words, uint64_t usual);

/* `index` and `code` have room for limit + 32. */
Py_ssize_t sparse_row(const uint8_t *row, Py_ssize_t n, Py_ssize_t limit, int *common,
                      int32_t *index, uint8_t *code);
void sparse_product(const int32_t *index, const uint8_t *code, Py_ssize_t found, int common,
                    int flip, Py_ssize_t n, const float *weights, Py_ssize_t k,
                    const double *totals, float *out, double stats[3]);

void bed_squares_row(const uint8_t *row, Py_ssize_t n, const float lut[4], const float *weights,
                     Py_ssize_t k, double *out);

void centre_f32(const float *in, Py_ssize_t n, float *out, double stats[3]);
void centre_f64(const float *in, Py_ssize_t n, double *out, double stats[3]);

void missing_products(const int32_t *index, Py_ssize_t n_missing, const double *q, Py_ssize_t c,
                      const double *y, Py_ssize_t k, double *qq, double *qy, double *yy);
/* b += left times the sum of q (n, c) over missing calls; returns the sum of (q b)^2 over them. */
double basis_squares(const int32_t *index, Py_ssize_t n_missing, const double *q, Py_ssize_t c,
                     double left, double *b);
void missing_squares(const int32_t *index, Py_ssize_t n_missing, const float *y,
                     Py_ssize_t stride, Py_ssize_t k, float *out);

#define HIST_PER_OCTAVE 16
#define HIST_LOW (-24)
#define HIST_HIGH 16
#define HIST_BINS ((HIST_HIGH - HIST_LOW) * HIST_PER_OCTAVE)

typedef struct {
    const float *num; /* products of genotype and trait: k a row, num_stride apart */
    Py_ssize_t num_stride, k;
    const float *y; /* (n_samples) rows of traits, y_stride apart */
    Py_ssize_t y_stride;
    const int32_t *missing; /* positions of the missing calls, and where each row's end */
    const int64_t *ends;
    const float *most;    /* (n_levels, k) sum of each trait's largest ceil(2^(level/2)) squares */
    Py_ssize_t n_levels;
    const double *scale;  /* (n_rows) 1 / least residual sum of squares of the genotype */
    const double *slack;  /* (n_rows) factor of the root of the lost squares added to |num| */
    const double *loss;   /* (n_rows) factor of the lost squares taken from the trait's */
    const double *limit;  /* (n_rows) smallest r^2 that is kept; > 1 = none, 0 = all */
    const double *df;     /* (n_rows) residual degrees of freedom; 0 = not counted */
    const double *plain;  /* (n_rows) as scale, without the bound: for the counts */
    const double *gaps;   /* (n_rows) missing calls among those who have the traits */
    const double *n;      /* (n_rows) calls among those who have the traits */
} screen_rows;

typedef struct {
    Py_ssize_t n, n_times, n_deaths, n_rows;
    const int64_t *order, *start, *dead, *dead_time, *of_row;
    const double *risk, *fraction, *den, *weight;
} risk_table;

double risk_squares(const risk_table *table, const double *g, double *sums, double *deaths);

#define QUANTA 1024.0f /* steps of a stored t */

void count_bins(const float *t2, Py_ssize_t k, int64_t *hist);
void drop_missing(const int32_t *index, const float *by, Py_ssize_t n_missing, const float *y,
                  Py_ssize_t stride, Py_ssize_t k, float *num, float *lost);
Py_ssize_t quantise_row(const float *num, const float *lost, Py_ssize_t k, double inverse,
                        double df, double limit, float *work, int16_t *out, int64_t *hist,
                        int32_t *found);

#define SCREEN_BOUNDS 8

Py_ssize_t screen_row(const screen_rows *rows, Py_ssize_t row, int64_t *hist, int32_t *found,
                      float *work);

#endif
