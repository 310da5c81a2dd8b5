/* Dosage rows, terms of missing calls, and the single-precision screen. */
#include "genotype.h"

#include <math.h>
#include <string.h>

/* NaN is tested by comparison with itself: no flag of the compiler may assume finite numbers. */
#define CENTRE(TYPE, NAME)                                                                    \
    void NAME(const float *in, Py_ssize_t n, TYPE *out, double stats[3])                      \
    {                                                                                         \
        double known = 0, sum = 0, squares = 0;                                               \
        for (Py_ssize_t i = 0; i < n; i++) {                                                  \
            int ok = in[i] == in[i];                                                          \
            double value = ok ? (double)in[i] : 0.0;                                          \
            known += ok;                                                                      \
            sum += value;                                                                     \
            squares += value * value;                                                         \
        }                                                                                     \
        double mean = known > 0 ? sum / known : 0.0;                                          \
        for (Py_ssize_t i = 0; i < n; i++)                                                    \
            out[i] = in[i] == in[i] ? (TYPE)((double)in[i] - mean) : (TYPE)0;                 \
        stats[0] = known;                                                                     \
        stats[1] = sum;                                                                       \
        stats[2] = squares;                                                                   \
    }

CENTRE(float, centre_f32)
CENTRE(double, centre_f64)

void missing_products(const int32_t *index, Py_ssize_t n_missing, const double *q, Py_ssize_t c,
                      const double *y, Py_ssize_t k, double *qq, double *qy, double *yy)
{
    memset(qq, 0, (size_t)(c * c) * sizeof(double));
    memset(qy, 0, (size_t)(c * k) * sizeof(double));
    memset(yy, 0, (size_t)k * sizeof(double));
    for (Py_ssize_t m = 0; m < n_missing; m++) {
        const double *row_q = q + (Py_ssize_t)index[m] * c;
        const double *row_y = y + (Py_ssize_t)index[m] * k;
        for (Py_ssize_t a = 0; a < c; a++) {
            double left = row_q[a];
            double *to_q = qq + a * c, *to_y = qy + a * k;
            for (Py_ssize_t b = 0; b < c; b++)
                to_q[b] += left * row_q[b];
            for (Py_ssize_t b = 0; b < k; b++)
                to_y[b] += left * row_y[b];
        }
        for (Py_ssize_t b = 0; b < k; b++)
            yy[b] += row_y[b] * row_y[b];
    }
}

void missing_squares(const int32_t *index, Py_ssize_t n_missing, const float *y,
                     Py_ssize_t stride, Py_ssize_t k, float *out)
{
    memset(out, 0, (size_t)k * sizeof(float));
    for (Py_ssize_t m = 0; m < n_missing; m++) {
        const float *row = y + (Py_ssize_t)index[m] * stride;
        for (Py_ssize_t b = 0; b < k; b++)
            out[b] += row[b] * row[b];
    }
}

/* Bin of a positive float on a log2 scale, 16 bins an octave, read off its bits. */
static inline int bin_of(float value)
{
    uint32_t word;
    memcpy(&word, &value, 4);
    int bin = (int)(word >> 19) - ((127 + HIST_LOW) << 4);
    return bin < 0 ? 0 : (bin >= HIST_BINS ? HIST_BINS - 1 : bin);
}

Py_ssize_t screen_row(const screen_rows *rows, Py_ssize_t row, int64_t *hist, int32_t *found,
                      Py_ssize_t room, float *work)
{
    const float *num = rows->num + row * rows->k;
    const float scale = (float)rows->scale[row], df = (float)rows->df[row];
    const float limit = (float)rows->limit[row], even = (float)rows->plain[row];
    const Py_ssize_t k = rows->k;
    float *t2 = work, *upper = work + k;
    if (rows->ys == NULL) {
        for (Py_ssize_t b = 0; b < k; b++) {
            float square = num[b] * num[b], r2 = square * even;
            t2[b] = df * r2 / (r2 < 0.999999f ? 1.0f - r2 : 1e-6f);
            upper[b] = square * scale - limit;
        }
    } else {
        const float *ys = rows->ys + row * k;
        const float slack = (float)rows->slack[row], loss = (float)rows->loss[row];
        for (Py_ssize_t b = 0; b < k; b++) {
            float left = 1.0f - ys[b];
            float plain = num[b] * num[b] * even / (left > 1e-6f ? left : 1e-6f);
            float most = fabsf(num[b]) + slack * sqrtf(ys[b]);
            t2[b] = df * plain / (plain < 0.999999f ? 1.0f - plain : 1e-6f);
            upper[b] = most * most * scale - limit * (1.0f - ys[b] * loss);
        }
    }
    if (df > 0)
        for (Py_ssize_t b = 0; b < k; b++)
            hist[b * HIST_BINS + bin_of(t2[b])]++;
    Py_ssize_t count = 0;
    for (Py_ssize_t b = 0; b < k; b++)
        if (upper[b] >= 0 && count < room)
            found[count++] = (int32_t)b;
    return count;
}
