/* t statistics of all tests of a block as 16-bit whole numbers. */
#include "genotype.h"

#include <math.h>
#include <string.h>

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && defined(__GLIBC__)
#define CLONES __attribute__((target_clones("default", "avx2"), optimize("no-math-errno")))
#else
#define CLONES
#endif

/* Drop the missing calls of a row: add coefficient times trait to the products, and sum the
 * squares that the traits lose. */
CLONES void drop_missing(const int32_t *index, const float *by, Py_ssize_t n_missing,
                         const float *y, Py_ssize_t stride, Py_ssize_t k, float *num, float *lost)
{
    memset(lost, 0, (size_t)k * sizeof(float));
    for (Py_ssize_t m = 0; m < n_missing; m++) {
        const float *row = y + (Py_ssize_t)index[m] * stride, coefficient = by[m];
        for (Py_ssize_t b = 0; b < k; b++) {
            num[b] += coefficient * row[b];
            lost[b] += row[b] * row[b];
        }
    }
}

CLONES static void statistics(const float *num, const float *lost, Py_ssize_t k, float inverse,
                              float df, float *t2, int16_t *out)
{
    for (Py_ssize_t b = 0; b < k; b++) {
        float left = lost == NULL ? 1.0f : 1.0f - lost[b];
        float r2 = num[b] * num[b] * inverse / (left > 1e-6f ? left : 1e-6f);
        float rest = 1.0f - r2;
        t2[b] = df * r2 / (rest > 1e-7f ? rest : 1e-7f);
        float scaled = sqrtf(t2[b]) * QUANTA;
        scaled = scaled < 32767.0f ? scaled : 32767.0f;
        out[b] = (int16_t)(num[b] < 0 ? -(scaled + 0.5f) : scaled + 0.5f);
    }
}

Py_ssize_t quantise_row(const float *num, const float *lost, Py_ssize_t k, double inverse,
                        double df, double limit, float *work, int16_t *out, int64_t *hist,
                        int32_t *found)
{
    if (!(df > 0) || !(inverse > 0)) {
        for (Py_ssize_t b = 0; b < k; b++)
            out[b] = INT16_MIN;
        return 0;
    }
    statistics(num, lost, k, (float)inverse, (float)df, work, out);
    count_bins(work, k, hist);
    Py_ssize_t count = 0;
    for (Py_ssize_t b = 0; b < k; b++)
        if (work[b] >= (float)limit)
            found[count++] = (int32_t)b;
    return count;
}
