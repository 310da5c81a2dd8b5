/* The tiles hold dosages 0, 1, 2 and digits of 8 bits; their sums are exact in 32 bits. What a
 * product loses is what rounding a weight to 22 bits of its column's largest one loses. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "integer.h"

#include <stdlib.h>
#include <string.h>

#define MOST_SAMPLES 8000000 /* 2 * 127 * n fits 32 bits */
#define STEPS 64             /* of a dosage, so that a mean can stand for a missing call */
#define MOST_STEPPED 130000  /* 2 * STEPS * 127 * n fits 32 bits */

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && __GNUC__ >= 11 && \
    !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && defined(__GLIBC__)
#define HAVE_TILES 1
#endif

#ifdef HAVE_TILES
#define CLONES __attribute__((target_clones("default", "avx2", "avx512f"), optimize("no-math-errno")))
#else
#define CLONES
#endif

/* Digits of 4 samples of 16 columns: a digit of a column's 4 samples is a word. */
CLONES static void pack_four(const float weights[4][LANES], const float scale[LANES],
                             int32_t sums[LANES], uint32_t digits[DIGITS][LANES])
{
    memset(digits, 0, DIGITS * LANES * sizeof(uint32_t));
    for (int s = 0; s < 4; s++) {
        for (int c = 0; c < LANES; c++) {
            const float steps = weights[s][c] * scale[c];
            const int32_t whole = (int32_t)(steps + (steps < 0 ? -0.5f : 0.5f));
            const int32_t low = ((whole + 64) & 127) - 64, rest = (whole - low) / 128;
            const int32_t mid = ((rest + 64) & 127) - 64, high = (rest - mid) / 128;
            sums[c] += whole;
            digits[0][c] |= (uint32_t)(high & 255) << (8 * s);
            digits[1][c] |= (uint32_t)(mid & 255) << (8 * s);
            digits[2][c] |= (uint32_t)(low & 255) << (8 * s);
        }
    }
}

static void pack_tile(const float *weights, Py_ssize_t stride, Py_ssize_t samples,
                      Py_ssize_t columns, const float scale[LANES], int8_t *to, double *sums)
{
    int32_t total[LANES] = {0}; /* 64 numbers of 22 bits each */
    for (Py_ssize_t quad = 0; quad < DEPTH / 4; quad++) {
        float four[4][LANES] = {{0}};
        uint32_t digits[DIGITS][LANES];
        for (Py_ssize_t s = 4 * quad; s < samples && s < 4 * quad + 4; s++)
            memcpy(four[s % 4], weights + s * stride, (size_t)columns * sizeof(float));
        pack_four(four, scale, total, digits);
        for (int d = 0; d < DIGITS; d++)
            memcpy(to + d * TILE_BYTES + quad * DEPTH, digits[d], DEPTH);
    }
    for (Py_ssize_t c = 0; c < columns; c++)
        sums[c] += (double)total[c];
}

CLONES static void raise_sizes(const float *row, Py_ssize_t k, float *most)
{
    for (Py_ssize_t b = 0; b < k; b++) {
        const float size = row[b] < 0 ? -row[b] : row[b];
        most[b] = size > most[b] ? size : most[b];
    }
}

int integer_pack(const float *weights, Py_ssize_t n, Py_ssize_t k, int8_t *digits, double *scale,
                 double *sums)
{
    float *most = calloc((size_t)k + LANES, sizeof(float));
    if (most == NULL)
        return 0;
    float odd = 0; /* NaN once a weight is not finite */
    for (Py_ssize_t i = 0; i < n * k; i++)
        odd += 0.0f * weights[i];
    if (odd != 0) {
        free(most);
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++)
        raise_sizes(weights + i * k, k, most);
    for (Py_ssize_t b = 0; b < k; b++) {
        most[b] = most[b] > 0 ? HIGHEST / most[b] : 0.0f;
        most[b] = most[b] < 1e30f ? most[b] : 1e30f;
        scale[b] = (double)most[b];
        sums[b] = 0;
    }
    for (Py_ssize_t first = 0; first < k; first += LANES) {
        const Py_ssize_t columns = k - first < LANES ? k - first : LANES;
        for (Py_ssize_t from = 0; from < n; from += DEPTH) {
            const Py_ssize_t samples = n - from < DEPTH ? n - from : DEPTH;
            pack_tile(weights + from * k + first, k, samples, columns, most + first, digits,
                      sums + first);
            digits += DIGITS * TILE_BYTES;
        }
    }
    free(most);
    return 1;
}

#ifdef HAVE_TILES

#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#define REQUEST_PERMISSION 0x1023 /* ARCH_REQ_XCOMP_PERM */
#define TILE_DATA 18
#define GROUP 24  /* tiles of rows that are multiplied together: they stay in the cache */
#define SPAN 53  /* tiles of samples that are decoded together */
#define PANELS 64 /* panels of columns whose sums are held */

int integer_ready(void)
{
    unsigned int a, b, c, d = 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d >> 24 & 1) || !(d >> 25 & 1))
        return 0;
    return __builtin_cpu_supports("avx512f") &&
           syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

typedef struct {
    uint8_t palette, start, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} tile_shapes;

/* The compiler does not know that tiles read memory: nothing may be put off past this. */
#define SETTLE() __asm__ volatile("" ::: "memory")

/* sums (+)= dosages times digits, over `depth` tiles of samples. */
__attribute__((target("amx-tile,amx-int8"))) static void
multiply(const uint8_t *dosages, const int8_t *digits, Py_ssize_t depth, int more, int32_t *sums)
{
    const int size = LANES * LANES;
    SETTLE();
    if (more) {
        _tile_loadd(0, sums, DEPTH);
        _tile_loadd(1, sums + size, DEPTH);
        _tile_loadd(2, sums + 2 * size, DEPTH);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
    }
    for (Py_ssize_t at = 0; at < depth; at++) {
        _tile_loadd(3, dosages, DEPTH);
        _tile_loadd(4, digits, DEPTH);
        _tile_dpbusd(0, 3, 4);
        _tile_loadd(5, digits + TILE_BYTES, DEPTH);
        _tile_dpbusd(1, 3, 5);
        _tile_loadd(6, digits + 2 * TILE_BYTES, DEPTH);
        _tile_dpbusd(2, 3, 6);
        dosages += TILE_BYTES;
        digits += DIGITS * TILE_BYTES;
    }
    _tile_stored(0, sums, DEPTH);
    _tile_stored(1, sums + size, DEPTH);
    _tile_stored(2, sums + 2 * size, DEPTH);
    SETTLE();
}

__attribute__((target("amx-tile"))) static void begin_tiles(void)
{
    static const tile_shapes shapes = {
        .palette = 1,
        .bytes = {DEPTH, DEPTH, DEPTH, DEPTH, DEPTH, DEPTH, DEPTH, DEPTH},
        .rows = {LANES, LANES, LANES, LANES, LANES, LANES, LANES, LANES},
    };
    _tile_loadconfig(&shapes);
}

__attribute__((target("amx-tile"))) static void end_tiles(void)
{
    _tile_release();
}

/* Numbers of 16 columns from the sums of their digits, less the mean dosage of the row. */
__attribute__((target("avx512f"))) static void
finish(const int32_t *sums, double mean, const double *totals, const double *inverse,
       Py_ssize_t columns, float *out)
{
    const int size = LANES * LANES;
    float row[LANES];
    for (int c = 0; c < LANES; c++) {
        double whole = 16384.0 * sums[c] + 128.0 * sums[size + c] + sums[2 * size + c];
        row[c] = (float)((whole - mean * totals[c]) * inverse[c]);
    }
    memcpy(out, row, (size_t)columns * sizeof(float));
}

__attribute__((target("avx512f"))) static void add_row(const float *row, float by, Py_ssize_t k,
                                                       float *out)
{
    for (Py_ssize_t b = 0; b < k; b++)
        out[b] += by * row[b];
}

/* Dosages of a row in lane `lane` of tiles of samples; those past the end meet digits of 0. */
static void spread(const uint8_t *row, Py_ssize_t n, Py_ssize_t first, Py_ssize_t depth,
                   const uint32_t four[256], uint8_t *to)
{
    const Py_ssize_t bytes = (n + 3) / 4;
    for (Py_ssize_t tile = 0; tile < depth; tile++, to += TILE_BYTES) {
        const Py_ssize_t from = (first + tile) * (DEPTH / 4), left = bytes - from;
        const Py_ssize_t here = left < DEPTH / 4 ? left : DEPTH / 4;
        for (Py_ssize_t i = 0; i < here; i++)
            memcpy(to + 4 * i, &four[row[from + i]], 4);
        if (here < DEPTH / 4)
            memset(to + 4 * here, 0, (size_t)(DEPTH - 4 * here));
    }
}

typedef struct {
    const bed_block *block;
    const integer_weights *weights;
    const int32_t *rows;
    const double *stats, *inverse;
    double *left;
    int steps;              /* of a dosage */
    const uint8_t *dosage;  /* of the four codes, in steps */
    const uint32_t *four;   /* of a byte without missing calls */
    uint8_t *dosages;
    int32_t *sums;
    float *out;
} integer_work;

static double mean_of(const double stats[3])
{
    return stats[0] > 0 ? stats[1] / stats[0] : 0.0;
}

static void make_table(const uint8_t dosage[4], uint32_t four[256])
{
    uint32_t two[16];
    for (int half = 0; half < 16; half++)
        two[half] = dosage[half & 3] | (uint32_t)dosage[half >> 2] << 8;
    for (int high = 0; high < 16; high++)
        for (int low = 0; low < 16; low++)
            four[16 * high + low] = two[low] | two[high] << 16;
}

/* Decode a row; a missing call takes the step that is nearest to the mean. */
static void spread_row(const integer_work *work, Py_ssize_t i, Py_ssize_t first, Py_ssize_t depth,
                       uint8_t *to)
{
    const int32_t row = work->rows[i];
    const double *stats = work->stats + 3 * row, mean = mean_of(stats);
    const uint8_t *packed = bed_row(work->block, row);
    uint32_t own[256];
    work->left[row] = 0.0;
    if (work->steps > 1 && stats[0] < (double)work->weights->n) {
        uint8_t dosage[4];
        memcpy(dosage, work->dosage, 4);
        dosage[1] = (uint8_t)(mean * work->steps + 0.5);
        work->left[row] = mean - (double)dosage[1] / work->steps;
        make_table(dosage, own);
        spread(packed, work->weights->n, first, depth, own, to);
        return;
    }
    spread(packed, work->weights->n, first, depth, work->four, to);
}

static void finish_panel(const integer_work *work, Py_ssize_t count, Py_ssize_t panel,
                         const int32_t *sums)
{
    const integer_weights *w = work->weights;
    const Py_ssize_t first = panel * LANES;
    const Py_ssize_t columns = w->k - first < LANES ? w->k - first : LANES;
    double totals[LANES] = {0}, inverse[LANES] = {0};
    memcpy(totals, w->sums + first, (size_t)columns * sizeof(double));
    memcpy(inverse, work->inverse + first, (size_t)columns * sizeof(double));
    for (Py_ssize_t i = 0; i < count; i++)
        finish(sums + (i / LANES) * DIGITS * LANES * LANES + (i % LANES) * LANES,
               work->steps * mean_of(work->stats + 3 * work->rows[i]), totals, inverse, columns,
               work->out + work->rows[i] * w->k + first);
}

/* Products of at most GROUP * LANES rows with the panels from `low` to `high`. */
static void some_products(const integer_work *work, Py_ssize_t count, Py_ssize_t low,
                          Py_ssize_t high)
{
    const integer_weights *w = work->weights;
    const Py_ssize_t tiles = (w->n + DEPTH - 1) / DEPTH, groups = (count + LANES - 1) / LANES;
    const Py_ssize_t size = DIGITS * LANES * LANES;
    if (count % LANES)
        memset(work->dosages + (groups - 1) * SPAN * TILE_BYTES, 0, SPAN * TILE_BYTES);
    for (Py_ssize_t from = 0; from < tiles; from += SPAN) {
        const Py_ssize_t depth = tiles - from < SPAN ? tiles - from : SPAN;
        for (Py_ssize_t i = 0; i < count; i++)
            spread_row(work, i, from, depth,
                       work->dosages + (i / LANES) * SPAN * TILE_BYTES + (i % LANES) * DEPTH);
        begin_tiles();
        for (Py_ssize_t panel = low; panel < high; panel++) {
            int32_t *sums = work->sums + (panel - low) * GROUP * size;
            const int8_t *digits = w->digits + (panel * tiles + from) * DIGITS * TILE_BYTES;
            for (Py_ssize_t group = 0; group < groups; group++)
                multiply(work->dosages + group * SPAN * TILE_BYTES, digits, depth, from > 0,
                         sums + group * size);
            if (from + depth == tiles)
                finish_panel(work, count, panel, sums);
        }
        end_tiles();
    }
}

/* Give back the means that were taken off missing calls, whose dosage stands as 0. */
static void mend_missing(const integer_work *work, Py_ssize_t count, int32_t *index, float *sum)
{
    const integer_weights *w = work->weights;
    for (Py_ssize_t i = 0; i < count; i++) {
        const double *stats = work->stats + 3 * work->rows[i];
        if (stats[0] >= (double)w->n)
            continue;
        const uint8_t *row = bed_row(work->block, work->rows[i]);
        const Py_ssize_t found = bed_positions(row, w->n, 1, w->n, index);
        memset(sum, 0, (size_t)w->k * sizeof(float));
        for (Py_ssize_t m = 0; m < found; m++)
            add_row(w->weights + (Py_ssize_t)index[m] * w->k, 1.0f, w->k, sum);
        add_row(sum, (float)mean_of(stats), w->k, work->out + work->rows[i] * w->k);
    }
}

int integer_products(const bed_block *block, int flip, const int32_t *rows, Py_ssize_t n_rows,
                     const double *stats, const integer_weights *weights, double *left,
                     float *out)
{
    uint32_t four[256];
    const Py_ssize_t k = weights->k, panels = (k + LANES - 1) / LANES;
    const int steps = weights->n <= MOST_STEPPED ? STEPS : 1;
    const uint8_t two = (uint8_t)(2 * steps);
    const uint8_t dosage[4] = {flip ? 0 : two, 0, (uint8_t)steps, flip ? two : 0};
    make_table(dosage, four);
    const size_t held = (size_t)(panels < PANELS ? panels : PANELS);
    uint8_t *dosages = aligned_alloc(64, (size_t)GROUP * SPAN * TILE_BYTES);
    int32_t *sums = aligned_alloc(64, held * GROUP * DIGITS * LANES * LANES * sizeof(int32_t));
    int32_t *index = malloc((size_t)weights->n * sizeof(int32_t));
    double *inverse = malloc((size_t)k * sizeof(double));
    float *sum = malloc((size_t)k * sizeof(float));
    const int ok = weights->n <= MOST_SAMPLES && dosages != NULL && sums != NULL &&
                   index != NULL && inverse != NULL && sum != NULL;
    if (ok) {
        for (Py_ssize_t b = 0; b < k; b++)
            inverse[b] = weights->scale[b] > 0 ? 1.0 / (steps * weights->scale[b]) : 0.0;
        for (Py_ssize_t at = 0; at < n_rows; at += GROUP * LANES) {
            const Py_ssize_t rest = n_rows - at;
            const Py_ssize_t count = rest < GROUP * LANES ? rest : GROUP * LANES;
            const integer_work work = {block, weights, rows + at, stats, inverse, left, steps,
                                       dosage, four, dosages, sums, out};
            for (Py_ssize_t low = 0; low < panels; low += PANELS)
                some_products(&work, count, low, low + PANELS < panels ? low + PANELS : panels);
            if (steps == 1)
                mend_missing(&work, count, index, sum);
        }
    }
    free(dosages);
    free(sums);
    free(index);
    free(inverse);
    free(sum);
    return ok;
}

#else

int integer_ready(void)
{
    return 0;
}

int integer_products(const bed_block *block, int flip, const int32_t *rows, Py_ssize_t n_rows,
                     const double *stats, const integer_weights *weights, double *left,
                     float *out)
{
    (void)block, (void)flip, (void)rows, (void)n_rows, (void)stats, (void)weights, (void)left;
    (void)out;
    return 0;
}

#endif
