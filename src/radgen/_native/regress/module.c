/* From residual cross products to slopes, standard errors, t and log10 p, in one pass.
 *
 * Row i is a predictor, column j a trait; all share their degrees of freedom. `tails` takes t
 * values of many degrees of freedom. Arguments are
 * checked here; the GIL is released while the pass runs. log p is (-df/2) log(1 + t^2/df) plus a
 * Chebyshev series in log(1 + |r|/scale): see radgen.stats._t_series, which makes it.
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

#define TILE 256
#define MAX_TERMS 64
#define CHUNK 65536
#define LN2 0.6931471805599453
#define LN10 2.302585092994046

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

CLONES
static Py_ssize_t tile(double *restrict effect, double *restrict se, double *restrict t,
                       double *restrict log10p, const double *restrict yy,
                       const double *restrict shrink, double xx, Py_ssize_t n,
                       const struct series *s) {
    double at[TILE], tail[TILE];
    const double factor = 4.0 / s->top, inverse_df = 1.0 / s->df;
    const double inverse = 1.0 / xx, spread = sqrt(inverse * inverse_df);
    const double steep = sqrt(inverse) / s->scale;
    Py_ssize_t exact = 0;
    /* A division costs as much as ten products: three are left for each pair. */
    for (Py_ssize_t j = 0; j < n; j++) {
        const double cross = effect[j], slope = cross * inverse;
        const double left = yy[j] - cross * slope;
        const double error = sqrt(left) * spread, value = slope / error;
        const double ratio = value * value * inverse_df, up = 1.0 + ratio;
        exact += left <= 1e-14 * yy[j];
        effect[j] = slope;
        se[j] = error;
        t[j] = value;
        at[j] = factor * log_up(1.0 + fabs(cross) * steep * shrink[j]) - 2.0;
        /* What 1 + ratio lost comes back, so that a small ratio keeps its digits. */
        tail[j] = log_up(up) + (ratio - (up - 1.0)) * (left * (shrink[j] * shrink[j]));
    }
    series_tail(log10p, at, tail, n, s);
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
    Py_buffer view[7];
    struct series s;
    (void)self;
    if (!PyArg_ParseTuple(args, "w*w*w*w*y*y*y*ddd", &view[0], &view[1], &view[2], &view[3],
                          &view[4], &view[5], &view[6], &s.scale, &s.top, &s.df)) {
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
    if (good) {
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
                              shrink + j, xx[i], n, &s);
            }
        }
        Py_END_ALLOW_THREADS
    }
    PyMem_Free(shrink);
    for (int i = 0; i < 7; i++) {
        PyBuffer_Release(&view[i]);
    }
    return good ? PyLong_FromSsize_t(exact) : NULL;
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
    {"finish", finish, METH_VARARGS,
     "finish(effect, se, t, log10p, xx, yy, terms, scale, top, df) -> number of exact fits\n"
     "effect holds the cross products on entry; all float64, (n_x, n_y), xx (n_x,), yy (n_y,)."},
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
