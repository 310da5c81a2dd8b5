/* From residual cross products to slopes, standard errors, t and log10 p, in one pass.
 *
 * Row i is a predictor, column j a trait; all share their degrees of freedom. Arguments are
 * checked here; the GIL is released while the pass runs. log p is (-df/2) log(1 + t^2/df) plus a
 * Chebyshev series in log(1 + |r|/scale): see radgen.stats._t_series, which makes it.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

/* AVX2 without FMA: the same roundings on every machine. */
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && defined(__GLIBC__)
/* A square root that sets no errno, so that the loop becomes a vector loop. */
#define CLONES __attribute__((target_clones("default", "avx2"), optimize("no-math-errno")))
#else
#define CLONES
#endif

#define TILE 256
#define MAX_TERMS 64
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

CLONES
static Py_ssize_t tile(double *restrict effect, double *restrict se, double *restrict t,
                       double *restrict log10p, const double *restrict yy, double xx,
                       Py_ssize_t n, const struct series *s) {
    double at[TILE], tail[TILE], last[TILE], before[TILE];
    const double df = s->df, scale = s->scale, factor = 4.0 / s->top;
    Py_ssize_t exact = 0;
    for (Py_ssize_t j = 0; j < n; j++) {
        const double cross = effect[j], slope = cross / xx;
        const double left = yy[j] - cross * slope;
        const double error = sqrt(left / (df * xx)), value = slope / error;
        const double ratio = value * value / df, up = 1.0 + ratio;
        const double r = sqrt(ratio / up);
        exact += left <= 1e-14 * yy[j];
        effect[j] = slope;
        se[j] = error;
        t[j] = value;
        at[j] = factor * log_up(1.0 + r / scale) - 2.0;
        /* What 1 + ratio lost comes back, so that a small ratio keeps its digits. */
        tail[j] = log_up(up) + (ratio - (up - 1.0)) / up;
    }
    const double *c = s->terms;
    const Py_ssize_t k = s->n_terms;
    for (Py_ssize_t j = 0; j < n; j++) {
        before[j] = c[k - 1];
        last[j] = at[j] * c[k - 1] + c[k - 2];
    }
    for (Py_ssize_t i = k - 3; i > 0; i--) {
        for (Py_ssize_t j = 0; j < n; j++) {
            const double next = at[j] * last[j] - before[j] + c[i];
            before[j] = last[j];
            last[j] = next;
        }
    }
    for (Py_ssize_t j = 0; j < n; j++) {
        const double rest = 0.5 * at[j] * last[j] - before[j] + c[0];
        const double log_p = rest - 0.5 * df * tail[j];
        log10p[j] = (log_p > 0.0 ? 0.0 : log_p) / LN10;
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
    int good = 1;
    s.n_terms = view[6].len / (Py_ssize_t)sizeof(double);
    s.terms = view[6].buf;
    for (int i = 0; i < 4 && good; i++) {
        good = sized(&view[i], n_x * n_y, names[i]);
    }
    if (good && (s.n_terms < 3 || s.n_terms > MAX_TERMS)) {
        PyErr_SetString(PyExc_ValueError, "a series has 3 to 64 terms");
        good = 0;
    }
    if (good) {
        double *out[4] = {view[0].buf, view[1].buf, view[2].buf, view[3].buf};
        const double *xx = view[4].buf, *yy = view[5].buf;
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t i = 0; i < n_x; i++) {
            for (Py_ssize_t j = 0; j < n_y; j += TILE) {
                const Py_ssize_t at = i * n_y + j, n = n_y - j < TILE ? n_y - j : TILE;
                exact += tile(out[0] + at, out[1] + at, out[2] + at, out[3] + at, yy + j, xx[i],
                              n, &s);
            }
        }
        Py_END_ALLOW_THREADS
    }
    for (int i = 0; i < 7; i++) {
        PyBuffer_Release(&view[i]);
    }
    return good ? PyLong_FromSsize_t(exact) : NULL;
}

static PyMethodDef methods[] = {
    {"finish", finish, METH_VARARGS,
     "finish(effect, se, t, log10p, xx, yy, terms, scale, top, df) -> number of exact fits\n"
     "effect holds the cross products on entry; all float64, (n_x, n_y), xx (n_x,), yy (n_y,)."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_regress", "Slopes and their tests from cross products.", 0,
    methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__regress(void) { return PyModule_Create(&module); }
