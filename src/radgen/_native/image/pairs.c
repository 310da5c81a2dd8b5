/* Sums over all pairs of voxels, weighted by the inverse of their distance: by Parseval's theorem
 * they are sums of power spectra on a grid of twice the size, weighted by the spectrum of the
 * inverse distance. */
#include "arrays.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 1 << 17 }; /* longest axis of the doubled grid */

/* Lanes do not depend on each other. */
#if defined(__GNUC__) && !defined(__clang__)
#define IVDEP _Pragma("GCC ivdep")
#elif defined(__clang__)
#define IVDEP _Pragma("clang loop vectorize(assume_safety)")
#elif defined(_MSC_VER)
#define IVDEP __pragma(loop(ivdep))
#else
#define IVDEP
#endif

CLONES static ptrdiff_t count_of(const uint8_t *mask, ptrdiff_t n)
{
    ptrdiff_t total = 0;
    for (ptrdiff_t first = 0; first < n; first += 4096) {
        ptrdiff_t end = first + 4096 < n ? first + 4096 : n;
        uint32_t count = 0;
        for (ptrdiff_t i = first; i < end; i++) {
            count += mask[i] != 0;
        }
        total += count;
    }
    return total;
}

#define REAL float
#define LANES 16
#define KERNEL(name) name##_single
#include "pair_kernels.h"
#undef REAL
#undef LANES
#undef KERNEL
#define REAL double
#define LANES 8
#define KERNEL(name) name##_double
#include "pair_kernels.h"
#undef REAL
#undef LANES
#undef KERNEL

/* The doubled grid (z, y, x) and how it is transformed, in the type of number that is used. */
typedef struct {
    int single, lanes, n_plans;
    void *plan[3];
} Doubled;

static void drop(Doubled *d)
{
    for (int i = 0; i < d->n_plans; i++) {
        free(d->plan[i]);
    }
}

static int doubled(const Array *sizes, int itemsize, Doubled *d)
{
    const int64_t *size = sizes->view.buf;
    d->single = itemsize == 4;
    d->lanes = d->single ? 16 : 8;
    d->n_plans = 0;
    ptrdiff_t three = 3;
    if (need_shape(sizes, "sizes", &three) < 0) {
        return -1;
    }
    for (int i = 0; i < 3; i++) {
        void *plan = malloc(d->single ? sizeof(Plan_single) : sizeof(Plan_double));
        if (plan == NULL) {
            drop(d);
            PyErr_NoMemory();
            return -1;
        }
        d->plan[d->n_plans++] = plan;
        ptrdiff_t n = size[i] > 0 && size[i] <= LONGEST ? (ptrdiff_t)size[i] : 0;
        if ((d->single ? plan_single(plan, n) : plan_double(plan, n)) < 0) {
            drop(d);
            refuse("sizes: needed are three multiples of 4 up to %d with no factor above 5.",
                   LONGEST);
            return -1;
        }
    }
    return 0;
}

/* A real array's item size: 4, 8, or 8 where it has another one, which is then refused. */
static int real_size(PyObject *object)
{
    Py_buffer view;
    if (PyObject_GetBuffer(object, &view, PyBUF_FORMAT | PyBUF_ND | PyBUF_STRIDES) < 0) {
        PyErr_Clear();
        return 8;
    }
    int size = view.itemsize == 4 ? 4 : 8;
    PyBuffer_Release(&view);
    return size;
}

static int shares_ok(long first, long last, ptrdiff_t n)
{
    if (first < 0 || first > last || last > n) {
        refuse("first, last: %ld and %ld do not lie in order within 0 and %zd.", first, last,
               (Py_ssize_t)n);
        return 0;
    }
    return 1;
}

static PyObject *py_pair_fields(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *given[4];
    long first, last;
    if (!PyArg_ParseTuple(args, "OOOllO", &given[0], &given[1], &given[2], &first, &last,
                          &given[3])) {
        return NULL;
    }
    int size = real_size(given[3]);
    const Need needs[4] = {{"mask", 'u', 1, 3, 0},
                           {"values", 'f', 8, 1, 0},
                           {"sizes", 'i', 8, 1, 0},
                           {"out", 'f', size, 6, 1}};
    Array a[4];
    Doubled d;
    if (take_arrays(given, needs, 4, a) < 0) {
        return NULL;
    }
    const Py_ssize_t *dim = a[0].view.shape;
    ptrdiff_t shape[3] = {dim[0], dim[1], dim[2]}, inside = 0;
    if (shape[0] < 1 || shape[1] < 1 || shape[2] < 1) {
        refuse("mask: it has no voxels.");
    } else if (doubled(&a[2], size, &d) == 0) {
        const int64_t *sizes = a[2].view.buf;
        const uint8_t *mask = a[0].view.buf;
        ptrdiff_t blocks = (shape[0] + d.lanes - 1) / d.lanes;
        ptrdiff_t wanted[6] = {sizes[2] / 2 + 1, 3, blocks, shape[1], 2, d.lanes};
        inside = count_of(mask, shape[0] * shape[1] * shape[2]);
        void *room = malloc((size_t)(6 * sizes[2] * d.lanes * size));
        if (room == NULL) {
            PyErr_NoMemory();
        } else if (2 * shape[0] > sizes[0] || 2 * shape[1] > sizes[1] || 2 * shape[2] > sizes[2]) {
            refuse("sizes: each must be at least twice that of the mask.");
        } else if (inside != a[1].view.shape[0]) {
            refuse("values: needed is one for each of the %zd voxels of the mask.",
                   (Py_ssize_t)inside);
        } else if (need_shape(&a[3], "out", wanted) == 0 && shares_ok(first, last, blocks)) {
            Py_BEGIN_ALLOW_THREADS
            if (d.single) {
                fields_single(mask, a[1].view.buf, shape, first, last, d.plan[2], room,
                              a[3].view.buf);
            } else {
                fields_double(mask, a[1].view.buf, shape, first, last, d.plan[2], room,
                              a[3].view.buf);
            }
            Py_END_ALLOW_THREADS
        }
        free(room);
        drop(&d);
    }
    give_back(a, 4);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

/* Lengths of a row of weights: the frequencies along y and what fills up two lines of lanes. */
static ptrdiff_t width_of(int64_t wide, int lanes)
{
    return (wide / 2 + 2 * lanes) / (2 * lanes) * (2 * lanes);
}

static PyObject *py_pair_weights(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *given[3];
    if (!PyArg_ParseTuple(args, "OOO", &given[0], &given[1], &given[2])) {
        return NULL;
    }
    int size = real_size(given[2]);
    const Need needs[3] = {
        {"sizes", 'i', 8, 1, 0}, {"spacing", 'f', 8, 1, 0}, {"out", 'f', size, 3, 1}};
    Array a[3];
    Doubled d;
    if (take_arrays(given, needs, 3, a) < 0) {
        return NULL;
    }
    ptrdiff_t three = 3;
    const double *step = a[1].view.buf;
    if (need_shape(&a[1], "spacing", &three) == 0 && doubled(&a[0], size, &d) == 0) {
        const int64_t *n = a[0].view.buf;
        ptrdiff_t width = width_of(n[1], d.lanes);
        ptrdiff_t wanted[3] = {n[2] / 2 + 1, n[0] / 2 + 1, width};
        int64_t longest = n[0] > n[1] ? n[0] : n[1];
        longest = n[2] > longest ? n[2] : longest;
        void *room = malloc((size_t)(2 * longest * d.lanes * size));
        int good = 1;
        for (int i = 0; i < 3; i++) {
            good &= step[i] > 1e-30 && step[i] < 1e30;
        }
        if (room == NULL) {
            PyErr_NoMemory();
        } else if (!good) {
            refuse("spacing: needed are three positive numbers.");
        } else if (need_shape(&a[2], "out", wanted) == 0) {
            Py_BEGIN_ALLOW_THREADS
            if (d.single) {
                weights_single(step, (const Plan_single *const *)d.plan, width, room,
                               a[2].view.buf);
            } else {
                weights_double(step, (const Plan_double *const *)d.plan, width, room,
                               a[2].view.buf);
            }
            Py_END_ALLOW_THREADS
        }
        free(room);
        drop(&d);
    }
    give_back(a, 3);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static PyObject *py_pair_sums(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *given[4];
    long n_slices, first, last;
    if (!PyArg_ParseTuple(args, "OOOlllO", &given[0], &given[1], &given[2], &n_slices, &first,
                          &last, &given[3])) {
        return NULL;
    }
    int size = real_size(given[0]);
    const Need needs[4] = {{"spectra", 'f', size, 6, 0},
                           {"weights", 'f', size, 3, 0},
                           {"sizes", 'i', 8, 1, 0},
                           {"out", 'f', 8, 1, 1}};
    Array a[4];
    Doubled d;
    if (take_arrays(given, needs, 4, a) < 0) {
        return NULL;
    }
    ptrdiff_t three = 3;
    if (need_shape(&a[3], "out", &three) == 0 && doubled(&a[2], size, &d) == 0) {
        const int64_t *n = a[2].view.buf;
        ptrdiff_t width = width_of(n[1], d.lanes), shape[2] = {n_slices, a[0].view.shape[3]};
        ptrdiff_t weight[3] = {n[2] / 2 + 1, n[0] / 2 + 1, width};
        ptrdiff_t wanted[6] = {n[2] / 2 + 1, 3, 0, shape[1], 2, d.lanes};
        if (n_slices < 1 || 2 * n_slices > n[0] || shape[1] < 1 || 2 * shape[1] > n[1]) {
            refuse("n_slices, spectra: slices and rows must be from 1 to half of the sizes.");
        } else {
            wanted[2] = (n_slices + d.lanes - 1) / d.lanes;
            ptrdiff_t sides = (n[1] + d.lanes - 1) / d.lanes;
            ptrdiff_t items = 2 * sides * d.lanes * d.lanes + 6 * sides * n[0] * d.lanes +
                              (n[0] / 2 + 1) * d.lanes;
            if (need_shape(&a[0], "spectra", wanted) == 0 &&
                need_shape(&a[1], "weights", weight) == 0 && shares_ok(first, last, wanted[0])) {
                void *room = malloc((size_t)(items * size));
                if (room == NULL) {
                    PyErr_NoMemory();
                } else {
                    Py_BEGIN_ALLOW_THREADS
                    if (d.single) {
                        sums_single(a[0].view.buf, a[1].view.buf, shape,
                                    (const Plan_single *const *)d.plan, width, first, last, room,
                                    a[3].view.buf);
                    } else {
                        sums_double(a[0].view.buf, a[1].view.buf, shape,
                                    (const Plan_double *const *)d.plan, width, first, last, room,
                                    a[3].view.buf);
                    }
                    Py_END_ALLOW_THREADS
                }
                free(room);
            }
        }
        drop(&d);
    }
    give_back(a, 4);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

PyMethodDef pair_methods[] = {
    {"pair_fields", py_pair_fields, METH_VARARGS,
     "pair_fields(mask, values, sizes, first, last, out): write spectra along x of the mask, the "
     "values and their squares for blocks of slices to out (frequencies, 3, blocks, rows, 2, "
     "lanes); lanes are 16 in single and 8 in double precision."},
    {"pair_weights", py_pair_weights, METH_VARARGS,
     "pair_weights(sizes, spacing, out): write the spectrum of the inverse distance to out "
     "(frequencies x, z, y; those along y filled up to two lines of lanes)."},
    {"pair_sums", py_pair_sums, METH_VARARGS,
     "pair_sums(spectra, weights, sizes, n_slices, first, last, out): add weighted sums of "
     "|mask|^2, |value|^2 and mask conj(value^2) over frequencies along x to out (3,)."},
    {NULL, NULL, 0, NULL},
};
