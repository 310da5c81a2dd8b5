#include "maps.h"

#include <math.h>
#include <string.h>

/* AVX2 without FMA: the same roundings on every machine. */
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && defined(__GLIBC__)
#define CLONES __attribute__((target_clones("default", "avx2"), optimize("no-math-errno")))
#else
#define CLONES
#endif

#define WIDE 2048
#define LOW_OCTAVE 24

/* t^2 of some columns of a row, and by how much r^2 (or its upper bound) exceeds the limit. */
CLONES
static float measure(const float *restrict num, const float *restrict ys, const double row[6],
                     float *restrict over, float *restrict t2, Py_ssize_t n)
{
    const float plain = (float)row[0], scale = (float)row[1], slack = (float)row[2];
    const float loss = (float)row[3], limit = (float)row[4], df = (float)row[5];
    float most = 0.0f;
    if (ys == NULL) {
        for (Py_ssize_t b = 0; b < n; b++) {
            float square = num[b] * num[b] * plain;
            t2[b] = df * square / (square < 0.999999f ? 1.0f - square : 1e-6f);
            over[b] = square - limit;
            most = t2[b] > most ? t2[b] : most;
        }
        return most;
    }
    for (Py_ssize_t b = 0; b < n; b++) {
        float left = 1.0f - ys[b];
        float square = num[b] * num[b] * plain / (left > 1e-6f ? left : 1e-6f);
        float high = fabsf(num[b]) + slack * sqrtf(ys[b]);
        t2[b] = df * square / (square < 0.999999f ? 1.0f - square : 1e-6f);
        most = t2[b] > most ? t2[b] : most;
        over[b] = high * high * scale - limit * (1.0f - ys[b] * loss);
    }
    return most;
}

CLONES
static void raise_columns(const float *restrict t2, float *restrict best, int32_t *restrict arg,
                          int32_t row, Py_ssize_t n)
{
    for (Py_ssize_t b = 0; b < n; b++) {
        int higher = t2[b] > best[b];
        best[b] = higher ? t2[b] : best[b];
        arg[b] = higher ? row : arg[b];
    }
}

CLONES
static int64_t count_over(const float *restrict over, Py_ssize_t n)
{
    int32_t count = 0;
    for (Py_ssize_t b = 0; b < n; b++)
        count += over[b] >= 0.0f;
    return count;
}

/* Bins of t^2: 16 equal steps an octave from 2^-24, read off the bits of the number. */
CLONES
static void find_bins(const float *restrict t2, int32_t *restrict bins, Py_ssize_t n)
{
    for (Py_ssize_t b = 0; b < n; b++) {
        union {
            float number;
            int32_t bits;
        } word = {t2[b]};
        int32_t bin = (word.bits >> 19) - ((127 - LOW_OCTAVE) << 4);
        bin = bin < 0 ? 0 : bin;
        bins[b] = bin < HIST_BINS ? bin : HIST_BINS - 1;
    }
}

static void count_bins(const int32_t *bins, Py_ssize_t n, int32_t hist[4][HIST_BINS])
{
    Py_ssize_t b = 0;
    for (; b + 4 <= n; b += 4) {
        hist[0][bins[b]]++;
        hist[1][bins[b + 1]]++;
        hist[2][bins[b + 2]]++;
        hist[3][bins[b + 3]]++;
    }
    for (; b < n; b++)
        hist[0][bins[b]]++;
}

static void insert_top(const Kept *kept, Py_ssize_t row, const float *t2, Py_ssize_t low,
                       Py_ssize_t n)
{
    float *top = kept->top + row * kept->n_top;
    int32_t *at = kept->at + row * kept->n_top;
    const Py_ssize_t last = kept->n_top - 1;
    for (Py_ssize_t b = 0; b < n; b++) {
        if (!(t2[b] > top[last]))
            continue;
        Py_ssize_t place = last;
        while (place > 0 && t2[b] > top[place - 1]) {
            top[place] = top[place - 1];
            at[place] = at[place - 1];
            place--;
        }
        top[place] = t2[b];
        at[place] = kept->first_column + (int32_t)(low + b);
    }
}

int summarise_tile(const Tile *tile, const Kept *kept)
{
    float over[WIDE], t2[WIDE];
    int32_t bins[WIDE];
    static const int64_t flush_at = (int64_t)1 << 30;
    int32_t hist[4][HIST_BINS];
    int64_t counted = 0;
    memset(hist, 0, sizeof hist);
    for (Py_ssize_t row = 0; row < tile->m; row++) {
        const double of[6] = {tile->plain[row], tile->scale[row], tile->slack[row],
                              tile->loss[row],  tile->limit[row], tile->df[row]};
        for (Py_ssize_t low = 0; low < tile->k; low += WIDE) {
            const Py_ssize_t n = tile->k - low < WIDE ? tile->k - low : WIDE;
            const Py_ssize_t start = row * tile->k + low;
            const float most = measure(tile->num + start, tile->ys ? tile->ys + start : NULL, of,
                                       over, t2, n);
            kept->hits[row] += count_over(over, n);
            if (!(of[5] > 0))
                continue;
            raise_columns(t2, kept->best + low, kept->arg + low,
                          kept->first_row + (int32_t)row, n);
            if (kept->n_top > 0 && most > kept->top[(row + 1) * kept->n_top - 1])
                insert_top(kept, row, t2, low, n);
            find_bins(t2, bins, n);
            count_bins(bins, n, hist);
            counted += n;
        }
        if (counted > flush_at || row + 1 == tile->m) {
            for (int part = 0; part < 4; part++)
                for (int bin = 0; bin < HIST_BINS; bin++)
                    kept->hist[bin] += hist[part][bin];
            memset(hist, 0, sizeof hist);
            counted = 0;
        }
    }
    return 0;
}

Py_ssize_t collect_tile(const Tile *tile, const int64_t *hits, int32_t *rows, int32_t *columns,
                        Py_ssize_t room)
{
    float over[WIDE], t2[WIDE];
    Py_ssize_t count = 0;
    for (Py_ssize_t row = 0; row < tile->m; row++) {
        if (hits[row] == 0)
            continue;
        const double of[6] = {tile->plain[row], tile->scale[row], tile->slack[row],
                              tile->loss[row],  tile->limit[row], tile->df[row]};
        for (Py_ssize_t low = 0; low < tile->k; low += WIDE) {
            const Py_ssize_t n = tile->k - low < WIDE ? tile->k - low : WIDE;
            const Py_ssize_t start = row * tile->k + low;
            measure(tile->num + start, tile->ys ? tile->ys + start : NULL, of, over, t2, n);
            for (Py_ssize_t b = 0; b < n; b++) {
                if (over[b] >= 0.0f) {
                    if (count == room)
                        return -1;
                    rows[count] = (int32_t)row;
                    columns[count++] = (int32_t)(low + b);
                }
            }
        }
    }
    return count;
}

/* Eight sums side by side, in a fixed order: the same roundings on every machine. */
CLONES
void pair_dots(const double *g, const double *y, Py_ssize_t n, const int64_t *rows,
               const int64_t *columns, Py_ssize_t count, double *out)
{
    for (Py_ssize_t pair = 0; pair < count; pair++) {
        const double *left = g + rows[pair] * n, *right = y + columns[pair] * n;
        double sum[8] = {0};
        Py_ssize_t i = 0;
        for (; i + 8 <= n; i += 8)
            for (int part = 0; part < 8; part++)
                sum[part] += left[i + part] * right[i + part];
        double rest = 0.0;
        for (; i < n; i++)
            rest += left[i] * right[i];
        out[pair] = ((sum[0] + sum[4]) + (sum[2] + sum[6])) +
                    ((sum[1] + sum[5]) + (sum[3] + sum[7])) + rest;
    }
}
