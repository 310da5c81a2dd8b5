/* Weighted sums of squares of centred dosages. */
#include "genotype.h"

#include <string.h>

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && defined(__GLIBC__)
#define CLONES __attribute__((target_clones("default", "avx2")))
#else
#define CLONES
#endif

#define TILE 1024
#define LANES 16

CLONES static float dot(const float *a, const float *b, Py_ssize_t n)
{
    float lane[LANES] = {0}, rest = 0;
    const Py_ssize_t whole = n - n % LANES;
    for (Py_ssize_t i = 0; i < whole; i += LANES)
        for (int j = 0; j < LANES; j++)
            lane[j] += a[i + j] * b[i + j];
    for (Py_ssize_t i = whole; i < n; i++)
        rest += a[i] * b[i];
    for (int j = 0; j < LANES; j++)
        rest += lane[j];
    return rest;
}

void bed_squares_row(const uint8_t *row, Py_ssize_t n, const float lut[4], const float *weights,
                     Py_ssize_t k, double *out)
{
    float tile[TILE], squares[4];
    for (int code = 0; code < 4; code++)
        squares[code] = lut[code] * lut[code];
    memset(out, 0, (size_t)k * sizeof(double));
    for (Py_ssize_t from = 0; from < n; from += TILE) {
        const Py_ssize_t size = n - from < TILE ? n - from : TILE;
        bed_fill_f32(row + from / 4, size, squares, tile);
        for (Py_ssize_t b = 0; b < k; b++)
            out[b] += dot(tile, weights + b * n + from, size);
    }
}
