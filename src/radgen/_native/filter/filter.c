/* Separable convolution and resampling of images: one axis a call, float32 or float64.
 *
 * Arguments are checked here; the GIL is released while the pass runs.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK 256
#define LINES 16

/* AVX2 without FMA: the same roundings on every machine. */
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && defined(__GLIBC__)
#define CLONES __attribute__((target_clones("default", "avx2")))
#else
#define CLONES
#endif

enum { ZERO = 0, NEAREST = 1, PERIODIC = 2, MIRROR = 3 };

struct pass {
    Py_ssize_t n_outer, n_in, n_inner, first, n_out, n_taps, before;
    int boundary;
};

struct axis {
    Py_ssize_t n_outer, n_in, n_inner, n_out, n_taps;
};

/* Weights of x now and before, of x after, and of the response before (or after). */
struct recursion {
    double n[4], m[4], d[4];
};

/* Index of the voxel that stands for index `at` beyond the ends; -1 = zero. */
static Py_ssize_t edge(Py_ssize_t at, Py_ssize_t n, int boundary) {
    if (at >= 0 && at < n) {
        return at;
    }
    if (boundary == ZERO) {
        return -1;
    }
    if (boundary == NEAREST) {
        return at < 0 ? 0 : n - 1;
    }
    const Py_ssize_t period = boundary == PERIODIC ? n : 2 * n;
    Py_ssize_t within = at % period;
    if (within < 0) {
        within += period;
    }
    return within < n ? within : period - 1 - within;
}

#define REAL float
#define NAME(name) name##_f32
#include "convolve.h"
#include "resample.h"
#include "recursive.h"
#undef REAL
#undef NAME
#define REAL double
#define NAME(name) name##_f64
#include "convolve.h"
#include "resample.h"
#include "recursive.h"
#undef REAL
#undef NAME

static int holds(const Py_buffer *view, Py_ssize_t a, Py_ssize_t b, Py_ssize_t c) {
    const Py_ssize_t limit = PY_SSIZE_T_MAX / 16;
    if (a < 1 || b < 1 || c < 1 || a > limit / b || a * b > limit / c) {
        return 0;
    }
    return view->len == a * b * c * view->itemsize;
}

static int same_real(const Py_buffer *left, const Py_buffer *right) {
    const char *format = left->format;
    if (format == NULL || right->format == NULL || strcmp(format, right->format) != 0) {
        return 0;
    }
    return strcmp(format, "f") == 0 || strcmp(format, "d") == 0;
}

static const char *problem(const Py_buffer *in, const Py_buffer *out, const Py_buffer *weights,
                           const struct pass *p) {
    if (!same_real(in, out)) {
        return "in and out must both be float32 or both float64";
    }
    if (weights->format == NULL || strcmp(weights->format, "d") != 0 || weights->len < 8) {
        return "weights must be a non-empty float64 array";
    }
    if (!holds(in, p->n_outer, p->n_in, p->n_inner)) {
        return "in does not hold n_outer * n_in * n_inner values";
    }
    if (!holds(out, p->n_outer, p->n_out, p->n_inner)) {
        return "out does not hold n_outer * n_out * n_inner values";
    }
    if (p->first < 0 || p->n_out > p->n_in - p->first) {
        return "first and n_out must lie within n_in";
    }
    if (p->n_taps > (Py_ssize_t)1 << 24 || p->before < 0 || p->before >= p->n_taps) {
        return "before must lie within the weights, of which there are at most 2**24";
    }
    if (p->boundary < ZERO || p->boundary > MIRROR) {
        return "boundary must be 0, 1, 2 or 3";
    }
    const char *a = in->buf, *b = out->buf;
    if (a < b + out->len && b < a + in->len) {
        return "in and out must not overlap";
    }
    return NULL;
}

/* Take the buffers of `count` objects, the second writable; returns how many were taken. */
static int take(PyObject *const *objects, Py_buffer *views, int count) {
    int held = 0;
    for (; held < count; held++) {
        const int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (held == 1 ? PyBUF_WRITABLE : 0);
        if (PyObject_GetBuffer(objects[held], &views[held], flags) < 0) {
            break;
        }
    }
    return held;
}

/* Release the buffers; turn a message into an error. Returns None, or NULL with the error set. */
static PyObject *finish(Py_buffer *views, int held, int wanted, const char *wrong, int status) {
    while (held > 0) {
        PyBuffer_Release(&views[--held]);
        wanted--;
    }
    if (wanted > 0) {
        return NULL;
    }
    if (wrong != NULL) {
        PyErr_SetString(PyExc_ValueError, wrong);
        return NULL;
    }
    if (status < 0) {
        return PyErr_NoMemory();
    }
    Py_INCREF(Py_None);
    return Py_None;
}

static PyObject *correlate_axis(PyObject *self, PyObject *args) {
    PyObject *objects[3];
    Py_buffer views[3];
    struct pass p;
    const char *wrong = NULL;
    int status = 0;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOOnnnnnni", &objects[0], &objects[1], &objects[2], &p.n_outer,
                          &p.n_in, &p.n_inner, &p.first, &p.n_out, &p.before, &p.boundary)) {
        return NULL;
    }
    const int held = take(objects, views, 3);
    if (held == 3) {
        p.n_taps = views[2].len / (Py_ssize_t)sizeof(double);
        wrong = problem(&views[0], &views[1], &views[2], &p);
        if (wrong == NULL) {
            Py_BEGIN_ALLOW_THREADS
            if (strcmp(views[0].format, "f") == 0) {
                status = correlate_f32(views[0].buf, views[1].buf, &p, views[2].buf);
            } else {
                status = correlate_f64(views[0].buf, views[1].buf, &p, views[2].buf);
            }
            Py_END_ALLOW_THREADS
        }
    }
    return finish(views, held, 3, wrong, status);
}

static const char *axis_problem(const Py_buffer *in, const Py_buffer *out, const struct axis *a) {
    if (!same_real(in, out)) {
        return "in and out must both be float32 or both float64";
    }
    if (!holds(in, a->n_outer, a->n_in, a->n_inner)) {
        return "in does not hold n_outer * n_in * n_inner values";
    }
    if (!holds(out, a->n_outer, a->n_out, a->n_inner)) {
        return "out does not hold n_outer * n_out * n_inner values";
    }
    const char *left = in->buf, *right = out->buf;
    if (left < right + out->len && right < left + in->len) {
        return "in and out must not overlap";
    }
    return NULL;
}

static const char *gather_problem(const Py_buffer *views, struct axis *a) {
    const char *wrong = axis_problem(&views[0], &views[1], a);
    if (wrong != NULL) {
        return wrong;
    }
    const char *first = views[2].format, *weights = views[3].format;
    if (first == NULL || (strcmp(first, "l") != 0 && strcmp(first, "q") != 0) ||
        views[2].itemsize != 8 || views[2].len != a->n_out * 8) {
        return "first must be an int64 array of n_out values";
    }
    if (weights == NULL || strcmp(weights, "d") != 0 || views[3].len == 0 ||
        views[3].len % (a->n_out * 8) != 0) {
        return "weights must be a float64 array of n_out * n_taps values";
    }
    a->n_taps = views[3].len / (a->n_out * 8);
    const int64_t *at = views[2].buf;
    for (Py_ssize_t i = 0; i < a->n_out; i++) {
        if (at[i] < -((int64_t)1 << 40) || at[i] > (int64_t)1 << 40) {
            return "first must lie within 2**40 of the axis";
        }
    }
    return NULL;
}

static PyObject *gather_axis(PyObject *self, PyObject *args) {
    PyObject *objects[4];
    Py_buffer views[4];
    struct axis a;
    const char *wrong = NULL;
    int status = 0;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOOOnnnn", &objects[0], &objects[1], &objects[2], &objects[3],
                          &a.n_outer, &a.n_in, &a.n_inner, &a.n_out)) {
        return NULL;
    }
    const int held = take(objects, views, 4);
    if (held == 4) {
        wrong = gather_problem(views, &a);
        if (wrong == NULL) {
            Py_BEGIN_ALLOW_THREADS
            if (strcmp(views[0].format, "f") == 0) {
                status = gather_f32(views[0].buf, views[1].buf, &a, views[2].buf, views[3].buf);
            } else {
                status = gather_f64(views[0].buf, views[1].buf, &a, views[2].buf, views[3].buf);
            }
            Py_END_ALLOW_THREADS
        }
    }
    return finish(views, held, 4, wrong, status);
}

static PyObject *spline_axis(PyObject *self, PyObject *args) {
    PyObject *objects[2];
    Py_buffer views[2];
    struct axis a;
    Py_ssize_t low;
    const char *wrong = NULL;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOnnnnn", &objects[0], &objects[1], &a.n_outer, &a.n_in,
                          &a.n_inner, &a.n_out, &low)) {
        return NULL;
    }
    const int held = take(objects, views, 2);
    if (held == 2) {
        wrong = axis_problem(&views[0], &views[1], &a);
        if (wrong == NULL && (low < -((Py_ssize_t)1 << 30) || low > (Py_ssize_t)1 << 30)) {
            wrong = "low must lie within 2**30 of the axis";
        }
        if (wrong == NULL) {
            Py_BEGIN_ALLOW_THREADS
            if (strcmp(views[0].format, "f") == 0) {
                spline_f32(views[0].buf, views[1].buf, &a, low);
            } else {
                spline_f64(views[0].buf, views[1].buf, &a, low);
            }
            Py_END_ALLOW_THREADS
        }
    }
    return finish(views, held, 2, wrong, 0);
}

static PyObject *recursive_axis(PyObject *self, PyObject *args) {
    PyObject *objects[3];
    Py_buffer views[3];
    struct axis a;
    Py_ssize_t first;
    const char *wrong = NULL;
    int status = 0;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOOnnnnn", &objects[0], &objects[1], &objects[2], &a.n_outer,
                          &a.n_in, &a.n_inner, &first, &a.n_out)) {
        return NULL;
    }
    const int held = take(objects, views, 3);
    if (held == 3) {
        wrong = axis_problem(&views[0], &views[1], &a);
        if (wrong == NULL && (first < 0 || a.n_out > a.n_in - first)) {
            wrong = "first and n_out must lie within n_in";
        }
        if (wrong == NULL && (views[2].format == NULL || strcmp(views[2].format, "d") != 0 ||
                              views[2].len != sizeof(struct recursion))) {
            wrong = "weights must be a float64 array of 12 values";
        }
        if (wrong == NULL) {
            struct recursion r;
            memcpy(&r, views[2].buf, sizeof r);
            Py_BEGIN_ALLOW_THREADS
            if (strcmp(views[0].format, "f") == 0) {
                status = recursive_f32(views[0].buf, views[1].buf, &a, first, &r);
            } else {
                status = recursive_f64(views[0].buf, views[1].buf, &a, first, &r);
            }
            Py_END_ALLOW_THREADS
        }
    }
    return finish(views, held, 3, wrong, status);
}

static PyMethodDef methods[] = {
    {"correlate_axis", correlate_axis, METH_VARARGS,
     "correlate_axis(in, out, weights, n_outer, n_in, n_inner, first, n_out, before, boundary)\n"
     "out[o, i, t] = sum_j weights[j] in[o, edge(first + i + j - before), t]; boundary: 0 zero, "
     "1 nearest, 2 periodic, 3 mirror (half-sample)."},
    {"gather_axis", gather_axis, METH_VARARGS,
     "gather_axis(in, out, first, weights, n_outer, n_in, n_inner, n_out)\n"
     "out[o, i, t] = sum_k weights[i, k] in[o, clamp(first[i] + k), t]."},
    {"spline_axis", spline_axis, METH_VARARGS,
     "spline_axis(in, out, n_outer, n_in, n_inner, n_out, low)\n"
     "Cubic B-spline coefficients of rows low .. low + n_out - 1, the ends repeated for ever."},
    {"recursive_axis", recursive_axis, METH_VARARGS,
     "recursive_axis(in, out, weights, n_outer, n_in, n_inner, first, n_out)\n"
     "Rows first .. first + n_out - 1 of a recursive filter of fourth order, the ends repeated for "
     "ever; weights: four of the values from here back, four of those ahead, four of the response."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_filter", "Convolution and resampling along an axis.", 0, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__filter(void) { return PyModule_Create(&module); }
