/* From residual cross products to slopes, standard errors, t and log10 p, in one pass.
 *
 * Row i is a predictor, column j a trait; in `finish` all share their degrees of freedom, in
 * `finish_gaps` those of a row or of a column do. `left` makes residuals, `losses` takes out of
 * sums of squares what lies on the missing rows of the other side, `tails` takes t values of many
 * degrees of freedom. Arguments are checked here; the GIL is released while a pass runs. log10 p
 * of a small |t| is a polynomial; log p of any is (-df/2) log(1 + t^2/df) plus a Chebyshev series
 * in log(1 + |r|/scale): see radgen.stats._t_series, which makes both.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

/* Wider vectors without FMA: the same roundings on every machine. */
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && defined(__GLIBC__)
/* A square root that sets no errno, so that the loop becomes a vector loop. */
#define CLONES __attribute__((target_clones("default", "avx2", "avx512f"), optimize("no-math-errno")))
#else
#define CLONES
#endif

/* Inner loops of a known number of turns, laid out so that the loop around them is vectorised. */
#if defined(__clang__)
#define UNROLLED _Pragma("unroll")
#elif defined(__GNUC__)
#define UNROLLED _Pragma("GCC unroll 32")
#else
#define UNROLLED
#endif

#define TILE 256
#define MAX_TERMS 64
#define CHUNK 65536
#define LN2 0.6931471805599453
#define LN10 2.302585092994046

#define NEAR 20
#define PANEL 32
#define MAX_BASIS 256

/* log10 p = sum of terms times powers of scale |t| - 1, where that is at most 1. */
struct near {
    double scale;
    const double *terms;
};

#if defined(__GNUC__)
/* Eight columns at a time, wherever they lie: sums over scattered rows that stay in registers. */
typedef double lanes __attribute__((vector_size(64), aligned(8), may_alias));
#define LANES 1
#else
#define LANES 0
#endif

struct series {
    Py_ssize_t n_terms;
    double scale, top, df;
    const double *terms;
};

/* log of x >= 1: x = 2^k m with m in [1/sqrt 2, sqrt 2), log m = 2 atanh((m - 1)/(m + 1)). */
static inline double log_up(double x) {
    uint64_t bits, shift;
    double m, k;
    memcpy(&bits, &x, sizeof bits);
    shift = (bits - UINT64_C(0x3fe6a09e667f3bcd)) >> 52;
    bits -= shift << 52;
    memcpy(&m, &bits, sizeof m);
    shift |= UINT64_C(0x4330000000000000);
    memcpy(&k, &shift, sizeof k);
    k -= 4503599627370496.0;
    const double f = (m - 1.0) / (m + 1.0), g = f * f;
    double sum = 1.0 / 21.0;
    sum = sum * g + 1.0 / 19.0;
    sum = sum * g + 1.0 / 17.0;
    sum = sum * g + 1.0 / 15.0;
    sum = sum * g + 1.0 / 13.0;
    sum = sum * g + 1.0 / 11.0;
    sum = sum * g + 1.0 / 9.0;
    sum = sum * g + 1.0 / 7.0;
    sum = sum * g + 1.0 / 5.0;
    sum = sum * g + 1.0 / 3.0;
    return k * LN2 + 2.0 * (f + f * g * sum);
}

/* log10 p from where the series is taken and from the log of 1 + t^2/df: Clenshaw's recursion,
 * four terms a pass; the number of terms is a multiple of four. */
static inline __attribute__((always_inline)) void
series_tail(double *restrict log10p, const double *restrict at, const double *restrict tail,
            Py_ssize_t n, const struct series *s) {
    double last[TILE], before[TILE];
    const double *c = s->terms, half_df = 0.5 * s->df;
    for (Py_ssize_t j = 0; j < n; j++) {
        last[j] = before[j] = 0.0;
    }
    for (Py_ssize_t i = s->n_terms - 1; i > 3; i -= 4) {
        for (Py_ssize_t j = 0; j < n; j++) {
            const double a = at[j] * last[j] - before[j] + c[i];
            const double b = at[j] * a - last[j] + c[i - 1];
            before[j] = at[j] * b - a + c[i - 2];
            last[j] = at[j] * before[j] - b + c[i - 3];
        }
    }
    for (Py_ssize_t j = 0; j < n; j++) {
        const double a = at[j] * last[j] - before[j] + c[3];
        const double b = at[j] * a - last[j] + c[2];
        const double d = at[j] * b - a + c[1];
        const double log_p = 0.5 * at[j] * d - b + c[0] - half_df * tail[j];
        log10p[j] = (log_p > 0.0 ? 0.0 : log_p) / LN10;
    }
}

/* log10 p of t in place. */
CLONES
static void tail_tile(double *restrict t, Py_ssize_t n, const struct series *s) {
    double at[TILE], tail[TILE];
    const double factor = 4.0 / s->top, inverse_df = 1.0 / s->df, steep = 1.0 / s->scale;
    for (Py_ssize_t j = 0; j < n; j++) {
        const double ratio = t[j] * t[j] * inverse_df, up = 1.0 + ratio, r2 = ratio / up;
        at[j] = factor * log_up(1.0 + sqrt(r2) * steep) - 2.0;
        tail[j] = log_up(up) + (ratio - (up - 1.0)) / up;
    }
    series_tail(t, at, tail, n, s);
}

/* log10 p of |t| up to where `near` ends: a polynomial, highest term first; NaN passes. */
static inline __attribute__((always_inline)) void
near_tail(double *restrict log10p, const double *restrict t, Py_ssize_t n, const struct near *s) {
    const double *c = s->terms, scale = s->scale;
    for (Py_ssize_t j = 0; j < n; j++) {
        const double at = fabs(t[j]) * scale - 1.0;
        double sum = c[0];
        UNROLLED
        for (int k = 1; k < NEAR; k++) {
            sum = sum * at + c[k];
        }
        log10p[j] = sum > 0.0 ? 0.0 : sum;
    }
}

CLONES
static Py_ssize_t tile(double *restrict effect, double *restrict se, double *restrict t,
                       double *restrict log10p, const double *restrict yy,
                       const double *restrict shrink, double xx, Py_ssize_t n,
                       const struct series *s, const struct near *near) {
    double at[TILE], tail[TILE], full[TILE], r[TILE], rest[TILE];
    const double factor = 4.0 / s->top, inverse_df = 1.0 / s->df;
    const double inverse = 1.0 / xx, spread = sqrt(inverse * inverse_df);
    const double root = sqrt(inverse), steep = 1.0 / s->scale;
    const double reach = 2.0 / near->scale;
    Py_ssize_t exact = 0, beyond = 0;
    for (Py_ssize_t j = 0; j < n; j++) {
        const double cross = effect[j], slope = cross * inverse;
        const double left = yy[j] - cross * slope;
        const double error = sqrt(left) * spread, value = slope / error;
        effect[j] = slope;
        se[j] = error;
        t[j] = value;
        r[j] = fabs(cross) * root * shrink[j];
        rest[j] = left;
        exact += left <= 1e-14 * yy[j];
        beyond += fabs(value) > reach;
    }
    near_tail(log10p, t, n, near);
    if (beyond == 0) {
        return exact;
    }
    for (Py_ssize_t j = 0; j < n; j++) {
        const double ratio = t[j] * t[j] * inverse_df, up = 1.0 + ratio;
        at[j] = factor * log_up(1.0 + r[j] * steep) - 2.0;
        /* What 1 + ratio lost comes back, so that a small ratio keeps its digits. */
        tail[j] = log_up(up) + (ratio - (up - 1.0)) * (rest[j] * (shrink[j] * shrink[j]));
    }
    series_tail(full, at, tail, n, s);
    for (Py_ssize_t j = 0; j < n; j++) {
        log10p[j] = fabs(t[j]) > reach ? full[j] : log10p[j];
    }
    return exact;
}

static int sized(Py_buffer *view, Py_ssize_t count, const char *name) {
    if (view->len == count * (Py_ssize_t)sizeof(double)) {
        return 1;
    }
    PyErr_Format(PyExc_ValueError, "%s holds %zd bytes; %zd float64 are needed", name, view->len,
                 count);
    return 0;
}

static PyObject *finish(PyObject *self, PyObject *args) {
    Py_buffer view[8];
    struct series s;
    struct near near;
    (void)self;
    if (!PyArg_ParseTuple(args, "w*w*w*w*y*y*y*dddy*", &view[0], &view[1], &view[2], &view[3],
                          &view[4], &view[5], &view[6], &s.scale, &s.top, &s.df, &view[7])) {
        return NULL;
    }
    const Py_ssize_t n_x = view[4].len / (Py_ssize_t)sizeof(double);
    const Py_ssize_t n_y = view[5].len / (Py_ssize_t)sizeof(double);
    const char *names[] = {"effect", "se", "t", "log10p"};
    Py_ssize_t exact = 0;
    double terms[MAX_TERMS], *shrink = NULL;
    int good = 1;
    s.n_terms = view[6].len / (Py_ssize_t)sizeof(double);
    s.terms = view[6].buf;
    for (int i = 0; i < 4 && good; i++) {
        good = sized(&view[i], n_x * n_y, names[i]);
    }
    if (good && (s.n_terms < 4 || s.n_terms > MAX_TERMS)) {
        PyErr_SetString(PyExc_ValueError, "a series has 4 to 64 terms");
        good = 0;
    }
    good = good && sized(&view[7], NEAR + 1, "near");
    if (good) {
        near.scale = ((const double *)view[7].buf)[0];
        near.terms = (const double *)view[7].buf + 1;
        /* Terms of value 0 above the last make their number a multiple of four. */
        memcpy(terms, s.terms, (size_t)s.n_terms * sizeof(double));
        while (s.n_terms % 4) {
            terms[s.n_terms++] = 0.0;
        }
        s.terms = terms;
        shrink = PyMem_Malloc((size_t)(n_y > 0 ? n_y : 1) * sizeof(double));
        if (shrink == NULL) {
            PyErr_NoMemory();
            good = 0;
        }
    }
    if (good) {
        double *out[4] = {view[0].buf, view[1].buf, view[2].buf, view[3].buf};
        const double *xx = view[4].buf, *yy = view[5].buf;
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t j = 0; j < n_y; j++) {
            shrink[j] = 1.0 / sqrt(yy[j]);
        }
        for (Py_ssize_t i = 0; i < n_x; i++) {
            for (Py_ssize_t j = 0; j < n_y; j += TILE) {
                const Py_ssize_t at = i * n_y + j, n = n_y - j < TILE ? n_y - j : TILE;
                exact += tile(out[0] + at, out[1] + at, out[2] + at, out[3] + at, yy + j,
                              shrink + j, xx[i], n, &s, &near);
            }
        }
        Py_END_ALLOW_THREADS
    }
    PyMem_Free(shrink);
    for (int i = 0; i < 8; i++) {
        PyBuffer_Release(&view[i]);
    }
    return good ? PyLong_FromSsize_t(exact) : NULL;
}

/* Residuals of a panel of columns in place, their sums of squares and those before. */
CLONES
static int left_panel(const double *restrict x, Py_ssize_t step, const double *restrict basis,
                      Py_ssize_t n, Py_ssize_t rank, double *restrict out, Py_ssize_t width,
                      double *restrict weights, double *restrict total, double *restrict largest,
                      double *restrict ss, int m) {
    double mean[PANEL];
    double finite = 0.0;
    for (int j = 0; j < m; j++) {
        mean[j] = total[j] = largest[j] = ss[j] = 0.0;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        for (int j = 0; j < m; j++) {
            mean[j] += x[i * step + j];
        }
    }
    for (int j = 0; j < m; j++) {
        finite += mean[j] - mean[j];
        mean[j] /= (double)n;
    }
    if (finite != 0.0) {
        return 0;
    }
    for (Py_ssize_t k = 0; k < rank * m; k++) {
        weights[k] = 0.0;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        double *row = out + i * width;
        for (int j = 0; j < m; j++) {
            const double given = x[i * step + j], value = given - mean[j], size = fabs(given);
            row[j] = value;
            total[j] += value * value;
            largest[j] = size > largest[j] ? size : largest[j];
        }
        for (Py_ssize_t k = 0; k < rank; k++) {
            const double b = basis[i * rank + k];
            double *weight = weights + k * m;
            for (int j = 0; j < m; j++) {
                weight[j] += b * row[j];
            }
        }
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        double *row = out + i * width;
        for (Py_ssize_t k = 0; k < rank; k++) {
            const double b = basis[i * rank + k], *weight = weights + k * m;
            for (int j = 0; j < m; j++) {
                row[j] -= b * weight[j];
            }
        }
        for (int j = 0; j < m; j++) {
            ss[j] += row[j] * row[j];
        }
    }
    return 1;
}

static PyObject *left(PyObject *self, PyObject *args) {
    PyObject *source;
    Py_buffer view[5], x;
    (void)self;
    if (!PyArg_ParseTuple(args, "Oy*w*w*w*w*", &source, &view[0], &view[1], &view[2], &view[3],
                          &view[4])) {
        return NULL;
    }
    const Py_ssize_t size = sizeof(double);
    int good = PyObject_GetBuffer(source, &x, PyBUF_STRIDED_RO | PyBUF_FORMAT) == 0, finite = 1;
    const int held = good;
    double *weights = NULL;
    Py_ssize_t n = 0, width = 0, rank = 0;
    if (good && (x.ndim != 2 || x.itemsize != size || x.format == NULL ||
                 strcmp(x.format, "d") != 0 || x.strides[1] != size || x.strides[0] % size != 0)) {
        PyErr_SetString(PyExc_ValueError, "x is float64 (n, m) whose rows are contiguous");
        good = 0;
    }
    if (good) {
        n = x.shape[0];
        width = x.shape[1];
        rank = n > 0 ? view[0].len / (n * size) : 0;
        good = sized(&view[0], n * rank, "basis") && sized(&view[1], n * width, "out") &&
               sized(&view[2], width, "total") && sized(&view[3], width, "largest") &&
               sized(&view[4], width, "ss");
    }
    if (good) {
        weights = PyMem_Malloc((size_t)(rank * PANEL + 1) * sizeof(double));
        if (weights == NULL) {
            PyErr_NoMemory();
            good = 0;
        }
    }
    if (good) {
        double *out = view[1].buf, *total = view[2].buf, *largest = view[3].buf, *ss = view[4].buf;
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t j = 0; j < width && finite; j += PANEL) {
            const int m = width - j < PANEL ? (int)(width - j) : PANEL;
            finite = left_panel((const double *)x.buf + j, x.strides[0] / size, view[0].buf, n,
                                rank, out + j, width, weights, total + j, largest + j, ss + j, m);
        }
        Py_END_ALLOW_THREADS
    }
    PyMem_Free(weights);
    if (held) {
        PyBuffer_Release(&x);
    }
    for (int i = 0; i < 5; i++) {
        PyBuffer_Release(&view[i]);
    }
    return good ? PyBool_FromLong(finite) : NULL;
}

/* What sums of squares of a panel of columns lose on the missing rows of a pattern.
 *
 * kind 0: |W g|^2 with W upper triangular, g the column on the rows; kind 1: that with W
 * (k, n_rows), and |g|^2; kind 2: the rows are the known ones, and what is lost is what |g|^2 less
 * |W g|^2 leaves of the whole. */
CLONES
static void lose(const double *restrict columns, Py_ssize_t width, const int32_t *restrict rows,
                 Py_ssize_t n_rows, const double *restrict weights, Py_ssize_t k, int kind,
                 const double *restrict whole, double *restrict loss, int m) {
    double square[PANEL], sum[PANEL];
    for (int j = 0; j < PANEL; j++) {
        square[j] = 0.0;
    }
    for (Py_ssize_t a = 0; a < k; a++) {
        const double *w = weights + a * n_rows;
        const Py_ssize_t from = kind == 0 ? a : 0;
        for (int j = 0; j < PANEL; j++) {
            sum[j] = 0.0;
        }
#if defined(__GNUC__)
        if (m == PANEL) {
            lanes one = {0.0}, two = {0.0}, three = {0.0}, four = {0.0};
            for (Py_ssize_t b = from; b < n_rows; b++) {
                const lanes *g = (const lanes *)(columns + (Py_ssize_t)rows[b] * width);
                one += w[b] * g[0];
                two += w[b] * g[1];
                three += w[b] * g[2];
                four += w[b] * g[3];
            }
            lanes *const to = (lanes *)sum;
            to[0] = one;
            to[1] = two;
            to[2] = three;
            to[3] = four;
        }
#endif
        for (Py_ssize_t b = from; b < n_rows && (m < PANEL || !LANES); b++) {
            const double *g = columns + (Py_ssize_t)rows[b] * width;
            for (int j = 0; j < m; j++) {
                sum[j] += w[b] * g[j];
            }
        }
        for (int j = 0; j < PANEL; j++) {
            square[j] += sum[j] * sum[j];
        }
    }
    if (kind > 0) {
        for (int j = 0; j < PANEL; j++) {
            sum[j] = 0.0;
        }
        for (Py_ssize_t b = 0; b < n_rows; b++) {
            const double *g = columns + (Py_ssize_t)rows[b] * width;
            for (int j = 0; j < m; j++) {
                sum[j] += g[j] * g[j];
            }
        }
        for (int j = 0; j < m; j++) {
            square[j] = kind == 1 ? square[j] + sum[j] : whole[j] - (sum[j] - square[j]);
        }
    }
    memcpy(loss, square, sizeof square);
}

/* Sums of squares of a panel given each pattern, to their places: column j of the panel is row
 * (or column, where `turned`) `first + j` of `out`. */
static void place(double *restrict out, const double *restrict loss, const double *restrict whole,
                  const int32_t *restrict pattern, Py_ssize_t count, Py_ssize_t width,
                  Py_ssize_t first, int m, int turned) {
    for (Py_ssize_t p = 0; p < count; p += 16) {
        const Py_ssize_t end = p + 16 < count ? p + 16 : count;
        if (turned) {
            for (Py_ssize_t q = p; q < end; q++) {
                const double *lost = pattern[q] < 0 ? NULL : loss + (Py_ssize_t)pattern[q] * PANEL;
                for (int j = 0; j < m; j++) {
                    out[q * width + first + j] = lost == NULL ? whole[j] : whole[j] - lost[j];
                }
            }
            continue;
        }
        for (int j = 0; j < m; j++) {
            double *row = out + (first + j) * count;
            for (Py_ssize_t q = p; q < end; q++) {
                row[q] = whole[j] -
                         (pattern[q] < 0 ? 0.0 : loss[(Py_ssize_t)pattern[q] * PANEL + j]);
            }
        }
    }
}

static PyObject *losses(PyObject *self, PyObject *args) {
    Py_buffer v[9];
    int turned, good = 1;
    (void)self;
    if (!PyArg_ParseTuple(args, "w*y*y*y*y*y*y*y*y*p", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5],
                          &v[6], &v[7], &v[8], &turned)) {
        return NULL;
    }
    const Py_ssize_t size = sizeof(double);
    const Py_ssize_t width = v[2].len / size, n = width > 0 ? v[1].len / (width * size) : 0;
    const Py_ssize_t count = v[3].len / 4, n_patterns = v[4].len / 4;
    const int32_t *pattern = v[3].buf, *kind = v[4].buf, *rows = v[6].buf;
    const int64_t *row_start = v[5].buf, *weight_start = v[7].buf;
    const Py_ssize_t n_rows = v[6].len / 4, n_weights = v[8].len / size;
    good = sized(&v[0], width * count, "out") && sized(&v[1], n * width, "left");
    if (good && (v[5].len != (n_patterns + 1) * 8 || v[7].len != (n_patterns + 1) * 8)) {
        PyErr_SetString(PyExc_ValueError, "row_start and weight_start have a value more than kind");
        good = 0;
    }
    for (Py_ssize_t p = 0; good && p < n_patterns; p++) {
        const int64_t own = row_start[p + 1] - row_start[p];
        const int64_t taken = weight_start[p + 1] - weight_start[p];
        good = own > 0 && row_start[p] >= 0 && row_start[p + 1] <= n_rows && taken >= 0 &&
               weight_start[p] >= 0 && weight_start[p + 1] <= n_weights && taken % own == 0 &&
               kind[p] >= 0 && kind[p] <= 2 && (kind[p] != 0 || taken == own * own);
        if (!good) {
            PyErr_SetString(PyExc_ValueError, "a pattern names other rows or weights than it has");
        }
    }
    for (Py_ssize_t i = 0; good && i < n_rows; i++) {
        good = rows[i] >= 0 && rows[i] < n;
        if (!good) {
            PyErr_SetString(PyExc_ValueError, "a pattern names a row that is not there");
        }
    }
    for (Py_ssize_t i = 0; good && i < count; i++) {
        good = pattern[i] >= -1 && pattern[i] < n_patterns;
        if (!good) {
            PyErr_SetString(PyExc_ValueError, "a pattern is named that is not there");
        }
    }
    double *loss = NULL;
    if (good) {
        loss = PyMem_Malloc((size_t)(n_patterns * PANEL + 1) * sizeof(double));
        if (loss == NULL) {
            PyErr_NoMemory();
            good = 0;
        }
    }
    if (good) {
        const double *columns = v[1].buf, *whole = v[2].buf, *weights = v[8].buf;
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t j = 0; j < width; j += PANEL) {
            const int m = width - j < PANEL ? (int)(width - j) : PANEL;
            for (Py_ssize_t p = 0; p < n_patterns; p++) {
                const int64_t own = row_start[p + 1] - row_start[p];
                lose(columns + j, width, rows + row_start[p], own, weights + weight_start[p],
                     (weight_start[p + 1] - weight_start[p]) / own, kind[p], whole + j,
                     loss + p * PANEL, m);
            }
            place(v[0].buf, loss, whole + j, pattern, count, width, j, m, turned);
        }
        Py_END_ALLOW_THREADS
    }
    PyMem_Free(loss);
    for (int i = 0; i < 9; i++) {
        PyBuffer_Release(&v[i]);
    }
    if (!good) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* Pairs that fit exactly, and the numbers of those beyond the reach of their polynomial. */
struct counts {
    Py_ssize_t exact, n_far;
    int64_t *far;
    const double *first;
};

/* The tests of one row. Steps of 0 where a value is the same for all columns. */
static inline __attribute__((always_inline)) void
gap_tile(double *restrict effect, double *restrict se, double *restrict t,
         double *restrict log10p, const double *restrict xx, int x_step,
         const double *restrict yy, const double *restrict inverse_df,
         const double *restrict scale,
         const double *restrict terms, int d_step, Py_ssize_t next, Py_ssize_t n,
         struct counts *found) {
    Py_ssize_t exact = 0, beyond = 0;
    for (Py_ssize_t j = 0; j < n; j++) {
        const double cross = effect[j], inverse = 1.0 / xx[j * x_step], slope = cross * inverse;
        const double rest = yy[j] - cross * slope;
        const double error = sqrt(rest * inverse * inverse_df[j * d_step]), value = slope / error;
        effect[j] = slope;
        se[j] = error;
        t[j] = value;
        exact += rest <= 1e-14 * yy[j];
        beyond += fabs(value) * scale[j * d_step] > 2.0;
    }
    for (Py_ssize_t j = 0; j < n; j++) {
        const double at = fabs(t[j]) * scale[j * d_step] - 1.0;
        double sum = terms[j * d_step];
        UNROLLED
        for (int k = 1; k < NEAR; k++) {
            sum = sum * at + terms[k * next + j * d_step];
        }
        log10p[j] = sum > 0.0 ? 0.0 : sum;
    }
    for (Py_ssize_t j = 0; beyond > 0 && j < n; j++) {
        if (fabs(t[j]) * scale[j * d_step] > 2.0) {
            found->far[found->n_far++] = (int64_t)(effect + j - found->first);
        }
    }
    found->exact += exact;
}

CLONES
static void gap_columns(double *const out[4], const double *xx, const double *yy,
                        const double *df, const double *near, Py_ssize_t n_x, Py_ssize_t n_y,
                        struct counts *found) {
    for (Py_ssize_t j = 0; j < n_y; j += TILE) {
        const Py_ssize_t n = n_y - j < TILE ? n_y - j : TILE;
        for (Py_ssize_t i = 0; i < n_x; i++) {
            const Py_ssize_t at = i * n_y + j;
            gap_tile(out[0] + at, out[1] + at, out[2] + at, out[3] + at, xx + at, 1, yy + j,
                     df + j, near + j, near + n_y + j, 1, n_y, n, found);
        }
    }
}

CLONES
static void gap_rows(double *const out[4], const double *xx, const double *yy, const double *df,
                     const double *near, Py_ssize_t n_x, Py_ssize_t n_y, struct counts *found) {
    for (Py_ssize_t i = 0; i < n_x; i++) {
        for (Py_ssize_t j = 0; j < n_y; j += TILE) {
            const Py_ssize_t n = n_y - j < TILE ? n_y - j : TILE, at = i * n_y + j;
            gap_tile(out[0] + at, out[1] + at, out[2] + at, out[3] + at, xx + i, 0, yy + at,
                     df + i, near + i, near + n_x + i, 0, n_x, n, found);
        }
    }
}

static PyObject *finish_gaps(PyObject *self, PyObject *args) {
    Py_buffer v[9];
    int by_row;
    (void)self;
    if (!PyArg_ParseTuple(args, "w*w*w*w*y*y*y*y*w*p", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5],
                          &v[6], &v[7], &v[8], &by_row)) {
        return NULL;
    }
    const Py_ssize_t size = sizeof(double);
    const Py_ssize_t n_x = by_row ? v[4].len / size : 0, n_y = by_row ? 0 : v[5].len / size;
    const Py_ssize_t pairs = v[0].len / size, known = by_row ? n_x : n_y;
    const Py_ssize_t other = known > 0 ? pairs / known : 0;
    const char *names[] = {"effect", "se", "t", "log10p"};
    struct counts found = {0, 0, v[8].buf, v[0].buf};
    int good = sized(&v[8], pairs, "far");
    for (int i = 0; i < 4 && good; i++) {
        good = sized(&v[i], known * other, names[i]);
    }
    good = good && sized(&v[by_row ? 5 : 4], known * other, "sums of squares") &&
           sized(&v[6], known, "df") && sized(&v[7], (NEAR + 1) * known, "near");
    if (good) {
        double *out[4] = {v[0].buf, v[1].buf, v[2].buf, v[3].buf};
        Py_BEGIN_ALLOW_THREADS
        if (by_row) {
            gap_rows(out, v[4].buf, v[5].buf, v[6].buf, v[7].buf, known, other, &found);
        } else {
            gap_columns(out, v[4].buf, v[5].buf, v[6].buf, v[7].buf, other, known, &found);
        }
        Py_END_ALLOW_THREADS
    }
    for (int i = 0; i < 9; i++) {
        PyBuffer_Release(&v[i]);
    }
    return good ? Py_BuildValue("nn", found.exact, found.n_far) : NULL;
}

/* t of one chunk, sorted by series in `order`. */
static void tail_chunk(const double *t, const int32_t *which, double *log10p, Py_ssize_t n,
                       const struct series *all, Py_ssize_t n_series, Py_ssize_t *start,
                       int32_t *order) {
    double value[TILE];
    memset(start, 0, (size_t)(n_series + 1) * sizeof(Py_ssize_t));
    for (Py_ssize_t i = 0; i < n; i++) {
        start[which[i] + 1]++;
    }
    for (Py_ssize_t k = 0; k < n_series; k++) {
        start[k + 1] += start[k];
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        order[start[which[i]]++] = (int32_t)i;
    }
    for (Py_ssize_t k = 0, i = 0; k < n_series; k++) {
        for (; i < start[k]; i += TILE < start[k] - i ? TILE : start[k] - i) {
            const Py_ssize_t m = TILE < start[k] - i ? TILE : start[k] - i;
            for (Py_ssize_t j = 0; j < m; j++) {
                value[j] = t[order[i + j]];
            }
            tail_tile(value, m, &all[k]);
            for (Py_ssize_t j = 0; j < m; j++) {
                /* An infinite t, or one whose square is infinite, has no tail. */
                const double given = fabs(t[order[i + j]]);
                log10p[order[i + j]] = given > 1e150 ? -INFINITY : value[j];
            }
        }
    }
}

/* Series of MAX_TERMS terms each, zeros above the last. */
static void read_series(struct series *s, const double *rows, Py_ssize_t count) {
    for (Py_ssize_t k = 0; k < count; k++) {
        const double *row = rows + k * (MAX_TERMS + 3);
        s[k].scale = row[0];
        s[k].top = row[1];
        s[k].df = row[2];
        s[k].terms = row + 3;
        s[k].n_terms = MAX_TERMS;
        while (s[k].n_terms > 4 && s[k].terms[s[k].n_terms - 1] == 0.0 &&
               s[k].terms[s[k].n_terms - 2] == 0.0 && s[k].terms[s[k].n_terms - 3] == 0.0 &&
               s[k].terms[s[k].n_terms - 4] == 0.0) {
            s[k].n_terms -= 4;
        }
    }
}

static PyObject *tails(PyObject *self, PyObject *args) {
    Py_buffer view[4];
    (void)self;
    if (!PyArg_ParseTuple(args, "y*y*y*w*", &view[0], &view[1], &view[2], &view[3])) {
        return NULL;
    }
    const Py_ssize_t size = sizeof(double), row = (MAX_TERMS + 3) * size;
    const Py_ssize_t n = view[0].len / size, n_series = view[2].len / row;
    struct series *all = PyMem_Malloc((size_t)(n_series + 1) * sizeof(struct series));
    Py_ssize_t *start = PyMem_Malloc((size_t)(n_series + 2) * sizeof(Py_ssize_t));
    int32_t *order = PyMem_Malloc(CHUNK * sizeof(int32_t));
    const int32_t *which = view[1].buf;
    int good = all != NULL && start != NULL && order != NULL;
    if (!good) {
        PyErr_NoMemory();
    } else if (view[1].len != n * 4 || view[3].len != n * size || view[2].len % row != 0) {
        PyErr_SetString(PyExc_ValueError, "the arrays have other sizes than n, n, k rows, n");
        good = 0;
    }
    for (Py_ssize_t i = 0; good && i < n; i++) {
        if (which[i] < 0 || which[i] >= n_series) {
            PyErr_SetString(PyExc_ValueError, "a series is named that is not there");
            good = 0;
        }
    }
    if (good) {
        const double *t = view[0].buf;
        double *log10p = view[3].buf;
        Py_BEGIN_ALLOW_THREADS
        read_series(all, view[2].buf, n_series);
        for (Py_ssize_t i = 0; i < n; i += CHUNK) {
            const Py_ssize_t m = CHUNK < n - i ? CHUNK : n - i;
            tail_chunk(t + i, which + i, log10p + i, m, all, n_series, start, order);
        }
        Py_END_ALLOW_THREADS
    }
    PyMem_Free(all);
    PyMem_Free(start);
    PyMem_Free(order);
    for (int i = 0; i < 4; i++) {
        PyBuffer_Release(&view[i]);
    }
    if (!good) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"left", left, METH_VARARGS,
     "left(x, basis, out, total, largest, ss) -> whether all is finite\n"
     "out (n, m): x less its means and its projection on basis (n, rank), orthonormal and centred;\n"
     "total, ss (m,): sums of squares of the centred columns and of out; largest (m,): max |x|."},
    {"finish", finish, METH_VARARGS,
     "finish(effect, se, t, log10p, xx, yy, terms, scale, top, df, near) -> number of exact fits\n"
     "effect holds the cross products on entry; all float64, (n_x, n_y), xx (n_x,), yy (n_y,)."},
    {"losses", losses, METH_VARARGS,
     "losses(out, left, whole, pattern, kind, row_start, rows, weight_start, weights, turned)\n"
     "out (m, count): sums of squares of the columns of left (n, m) given each pattern; (count, m)\n"
     "where turned; whole (m,): without gaps; pattern (count,) int32: -1 = no gaps."},
    {"finish_gaps", finish_gaps, METH_VARARGS,
     "finish_gaps(effect, se, t, log10p, xx, yy, inverse_df, near, far, by_row) -> exact, n_far\n"
     "by_row: xx, 1/df (n_x,), yy (n_x, n_y), near (21, n_x); else xx (n_x, n_y), yy, 1/df (n_y,),\n"
     "near (21, n_y). log10p is right for |t| up to 2 / near[0] alone; far int64 (n_x, n_y)\n"
     "gets the n_far places of pairs beyond it."},
    {"tails", tails, METH_VARARGS,
     "tails(t, which, series, log10p): two-sided log10 p of float64 t by the int32 number of its\n"
     "series; a row of series is scale, top, df and 64 terms, the last ones 0."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_regress", "Slopes and their tests from cross products.", 0,
    methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__regress(void) { return PyModule_Create(&module); }
