/* Dosage rows, terms of missing calls, and the single-precision screen. */
#include "genotype.h"

#include <math.h>
#include <string.h>

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && defined(__GLIBC__)
#define CLONES __attribute__((target_clones("default", "avx2"), optimize("no-math-errno")))
#else
#define CLONES
#endif

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

double basis_squares(const int32_t *index, Py_ssize_t n_missing, const double *q, Py_ssize_t c,
                     double left, double *b)
{
    double squares = 0;
    if (left != 0)
        for (Py_ssize_t m = 0; m < n_missing; m++)
            for (Py_ssize_t a = 0; a < c; a++)
                b[a] += left * q[(Py_ssize_t)index[m] * c + a];
    for (Py_ssize_t m = 0; m < n_missing; m++) {
        const double *row = q + (Py_ssize_t)index[m] * c;
        double even = 0, odd = 0;
        for (Py_ssize_t a = 0; a + 1 < c; a += 2) {
            even += row[a] * b[a];
            odd += row[a + 1] * b[a + 1];
        }
        if (c % 2)
            even += row[c - 1] * b[c - 1];
        squares += (even + odd) * (even + odd);
    }
    return squares;
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

void count_bins(const float *t2, Py_ssize_t k, int64_t *hist)
{
    for (Py_ssize_t b = 0; b < k; b++)
        hist[b * HIST_BINS + bin_of(t2[b])]++;
}

CLONES static void count_row(const screen_rows *rows, const float *num, float share, float even,
                      float df, int64_t *hist, float *t2)
{
    /* share: 1 over what the missing calls are expected to leave of a trait's squares. */
    for (Py_ssize_t b = 0; b < rows->k; b++) {
        float r2 = num[b] * num[b] * even * share;
        t2[b] = df * r2 / (r2 < 0.999999f ? 1.0f - r2 : 1e-6f);
    }
    count_bins(t2, rows->k, hist);
}

/* Sums of squares of the traits over the missing calls of a row. */
CLONES static void row_squares(const screen_rows *rows, Py_ssize_t row, float *out)
{
    memset(out, 0, (size_t)rows->k * sizeof(float));
    for (int64_t i = row ? rows->ends[row - 1] : 0; i < rows->ends[row]; i++) {
        const float *y = rows->y + (Py_ssize_t)rows->missing[i] * rows->y_stride;
        for (Py_ssize_t b = 0; b < rows->k; b++)
            out[b] += y[b] * y[b];
    }
}

static float pair_squares(const screen_rows *rows, Py_ssize_t row, Py_ssize_t b)
{
    float sum = 0;
    for (int64_t i = row ? rows->ends[row - 1] : 0; i < rows->ends[row]; i++) {
        float y = rows->y[(Py_ssize_t)rows->missing[i] * rows->y_stride + b];
        sum += y * y;
    }
    return sum;
}

static float upper_bound(const screen_rows *rows, Py_ssize_t row, float num, float lost)
{
    float most = fabsf(num) + (float)rows->slack[row] * sqrtf(lost);
    float left = 1.0f - lost * (float)rows->loss[row];
    return most * most * (float)rows->scale[row] - (float)rows->limit[row] * left;
}

CLONES Py_ssize_t screen_row(const screen_rows *rows, Py_ssize_t row, int64_t *hist, int32_t *found,
                      float *work)
{
    const float *num = rows->num + row * rows->num_stride;
    const float scale = (float)rows->scale[row], limit = (float)rows->limit[row];
    const float df = (float)rows->df[row], m = (float)rows->gaps[row];
    const Py_ssize_t k = rows->k;
    Py_ssize_t count = 0;
    if (df > 0)
        count_row(rows, num, 1.0f + m / (float)rows->n[row], (float)rows->plain[row], df, hist,
                  work);
    if (m == 0) {
        for (Py_ssize_t b = 0; b < k; b++)
            work[b] = num[b] * num[b] * scale - limit;
        for (Py_ssize_t b = 0; b < k; b++)
            if (work[b] >= 0)
                found[count++] = (int32_t)b;
        return count;
    }
    /* First under a bound of the squares that m missing people can take away. */
    const float slack = (float)rows->slack[row], loss = (float)rows->loss[row];
    Py_ssize_t level = 0;
    while (level < rows->n_levels - 1 && exp2(0.5 * (double)level) < (double)m)
        level++;
    const float *top = rows->most + level * k;
    for (Py_ssize_t b = 0; b < k; b++) {
        float lost = top[b] < 1.0f ? top[b] : 1.0f;
        float most = fabsf(num[b]) + slack * sqrtf(lost);
        work[b] = most * most * scale - limit * (1.0f - lost * loss);
    }
    Py_ssize_t likely = 0;
    for (Py_ssize_t b = 0; b < k; b++)
        if (work[b] >= 0)
            found[likely++] = (int32_t)b;
    if (8 * likely > k && likely > 1) {
        row_squares(rows, row, work);
        for (Py_ssize_t i = 0; i < likely; i++)
            if (upper_bound(rows, row, num[found[i]], work[found[i]]) >= 0)
                found[count++] = found[i];
        return count;
    }
    for (Py_ssize_t i = 0; i < likely; i++)
        if (upper_bound(rows, row, num[found[i]], pair_squares(rows, row, found[i])) >= 0)
            found[count++] = found[i];
    return count;
}
