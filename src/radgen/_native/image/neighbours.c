/* Matrices of a voxel and all of its neighbourhood: grey tone differences and dependences. */
#include "levels.h"

#include <string.h>

enum { BLOCK = 2048, REACH = 15 }; /* voxels that are worked on together; widest neighbourhood */

#define LEVEL uint8_t
#define KERNEL(name) name##_8
#include "neighbour_kernels.h"
#undef LEVEL
#undef KERNEL
#define LEVEL uint16_t
#define KERNEL(name) name##_16
#include "neighbour_kernels.h"
#undef LEVEL
#undef KERNEL

/* Grid of a Chebyshev neighbourhood, and the number of voxels in it. */
static ptrdiff_t neighbourhood(const Array *levels, long reach, long period, long n_levels,
                               Grid *grid)
{
    if (period < 0 || period > 60000) {
        refuse("period: %ld; it must lie between 0 and 60000.", period);
        return -1;
    }
    if (reach < 1 || reach > REACH) {
        refuse("distance: %ld; it must lie between 1 and %d.", reach, REACH);
        return -1;
    }
    if (grid_of(levels, period == 1 ? 0 : reach, reach, reach, grid) < 0 ||
        check_levels(levels, grid, n_levels) < 0) {
        return -1;
    }
    ptrdiff_t side = 2 * reach + 1;
    return period == 1 ? side * side : side * side * side;
}

static PyObject *py_ngtdm(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *given[3];
    long n_levels, reach;
    long period;
    if (!PyArg_ParseTuple(args, "OlllOO", &given[0], &reach, &n_levels, &period, &given[1],
                          &given[2])) {
        return NULL;
    }
    const Need needs[3] = {LEVELS, {"out_count", 'i', 8, 3, 1}, {"out_gap", 'i', 8, 3, 1}};
    Array a[3];
    Grid grid;
    if (take_arrays(given, needs, 3, a) < 0) {
        return NULL;
    }
    ptrdiff_t width = neighbourhood(&a[0], reach, period, n_levels, &grid);
    ptrdiff_t shape[3] = {0, n_levels + 1, width};
    if (width > 0) {
        shape[0] = groups_of(&grid, period);
    }
    if (width > 0 && need_shape(&a[1], "out_count", shape) == 0 &&
        need_shape(&a[2], "out_gap", shape) == 0) {
        Py_BEGIN_ALLOW_THREADS
        BY_LEVEL(a[0],
                 ngtdm_8(a[0].view.buf, &grid, n_levels, width, period, a[1].view.buf,
                         a[2].view.buf),
                 ngtdm_16(a[0].view.buf, &grid, n_levels, width, period, a[1].view.buf,
                          a[2].view.buf))
        Py_END_ALLOW_THREADS
    }
    give_back(a, 3);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static PyObject *py_ngldm(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *given[2];
    long n_levels, reach;
    long period;
    int alpha;
    if (!PyArg_ParseTuple(args, "OllliO", &given[0], &reach, &n_levels, &period, &alpha,
                          &given[1])) {
        return NULL;
    }
    const Need needs[2] = {LEVELS, {"out", 'u', 4, 3, 1}};
    Array a[2];
    Grid grid;
    if (take_arrays(given, needs, 2, a) < 0) {
        return NULL;
    }
    ptrdiff_t width = neighbourhood(&a[0], reach, period, n_levels, &grid);
    if (width > 0 && (alpha < 0 || alpha > 65535)) {
        refuse("alpha: %d; it must lie between 0 and 65535.", alpha);
        width = -1;
    }
    ptrdiff_t shape[3] = {0, n_levels + 1, width + 1};
    if (width > 0) {
        shape[0] = groups_of(&grid, period);
    }
    if (width > 0 && need_shape(&a[1], "out", shape) == 0) {
        Py_BEGIN_ALLOW_THREADS
        BY_LEVEL(a[0],
                 ngldm_8(a[0].view.buf, &grid, n_levels, width + 1, period, alpha,
                         a[1].view.buf),
                 ngldm_16(a[0].view.buf, &grid, n_levels, width + 1, period, alpha,
                          a[1].view.buf))
        Py_END_ALLOW_THREADS
    }
    give_back(a, 2);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

PyMethodDef neighbour_methods[] = {
    {"ngtdm", py_ngtdm, METH_VARARGS,
     "ngtdm(levels, reach, n_levels, period, out_count, out_gap): add counts and grey tone "
     "gaps by level and number of neighbours."},
    {"ngldm", py_ngldm, METH_VARARGS,
     "ngldm(levels, reach, n_levels, period, alpha, out): add dependence counts to out "
     "(slices, n_levels + 1, neighbourhood + 1)."},
    {NULL, NULL, 0, NULL},
};
