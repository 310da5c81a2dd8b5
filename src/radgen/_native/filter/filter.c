/* Separable convolution for image filters: one axis a call, float32 or float64.
 *
 * Arguments are checked here; the GIL is released while the pass runs.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdlib.h>
#include <string.h>

#define TILE 16
#define CHUNK 256

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
#undef REAL
#undef NAME
#define REAL double
#define NAME(name) name##_f64
#include "convolve.h"
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

static PyObject *correlate_axis(PyObject *self, PyObject *args) {
    PyObject *objects[3], *result = NULL;
    Py_buffer views[3];
    struct pass p;
    int held = 0, status = 0;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOOnnnnnni", &objects[0], &objects[1], &objects[2], &p.n_outer,
                          &p.n_in, &p.n_inner, &p.first, &p.n_out, &p.before, &p.boundary)) {
        return NULL;
    }
    for (; held < 3; held++) {
        const int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (held == 1 ? PyBUF_WRITABLE : 0);
        if (PyObject_GetBuffer(objects[held], &views[held], flags) < 0) {
            goto done;
        }
    }
    p.n_taps = views[2].len / (Py_ssize_t)sizeof(double);
    const char *wrong = problem(&views[0], &views[1], &views[2], &p);
    if (wrong != NULL) {
        PyErr_SetString(PyExc_ValueError, wrong);
        goto done;
    }
    Py_BEGIN_ALLOW_THREADS
    if (strcmp(views[0].format, "f") == 0) {
        status = correlate_f32(views[0].buf, views[1].buf, &p, views[2].buf);
    } else {
        status = correlate_f64(views[0].buf, views[1].buf, &p, views[2].buf);
    }
    Py_END_ALLOW_THREADS
    if (status < 0) {
        PyErr_NoMemory();
        goto done;
    }
    result = Py_None;
    Py_INCREF(result);
done:
    while (held > 0) {
        PyBuffer_Release(&views[--held]);
    }
    return result;
}

static PyMethodDef methods[] = {
    {"correlate_axis", correlate_axis, METH_VARARGS,
     "correlate_axis(in, out, weights, n_outer, n_in, n_inner, first, n_out, before, boundary)\n"
     "out[o, i, t] = sum_j weights[j] in[o, edge(first + i + j - before), t]; boundary: 0 zero, "
     "1 nearest, 2 periodic, 3 mirror (half-sample)."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_filter", "Separable convolution.", 0, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__filter(void) { return PyModule_Create(&module); }
