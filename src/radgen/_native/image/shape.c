/* Kernels on masks: distance to the border, cube types, ends of lines, moments. */
#include "arrays.h"

#include <stdlib.h>
#include <string.h>

/* Lower each distance to one more than that of its neighbour in the row before. */
static inline void from_row(const uint16_t *restrict before, uint16_t *restrict row, ptrdiff_t n)
{
    for (ptrdiff_t x = 0; x < n; x++) {
        uint16_t far = (uint16_t)(before[x] + 1);
        row[x] = far < row[x] ? far : row[x];
    }
}

/* Distances along a row, run by run. */
static inline void along_row(const uint8_t *mask, ptrdiff_t n, uint16_t *restrict out)
{
    memset(out, 0, (size_t)n * sizeof *out);
    for (ptrdiff_t x = 0; x < n;) {
        uint64_t eight;
        if (!mask[x]) {
            x++;
            while (x + 8 <= n && (memcpy(&eight, mask + x, sizeof eight), eight == 0)) {
                x += 8;
            }
            continue;
        }
        const uint8_t *stop = memchr(mask + x, 0, (size_t)(n - x));
        ptrdiff_t start = x, end = stop ? stop - mask : n;
        for (; x < end; x++) {
            uint16_t left = (uint16_t)(x - start + 1), right = (uint16_t)(end - x);
            out[x] = left < right ? left : right;
        }
    }
}

/* City-block distance to the outside, exact after a pass each way along each axis: all but the
 * way back along z are done while a slice is at hand. */
CLONES static void distance_passes(const uint8_t *mask, const Grid *g, int in_plane, uint16_t *out)
{
    ptrdiff_t row = g->nx, plane = g->ny * g->nx;
    for (ptrdiff_t z = 0; z < g->nz; z++) {
        uint16_t *slice = out + z * plane;
        for (ptrdiff_t y = 0; y < g->ny; y++) {
            along_row(mask + z * plane + y * row, row, slice + y * row);
            if (y) {
                from_row(slice + (y - 1) * row, slice + y * row, row);
            }
        }
        for (ptrdiff_t y = g->ny - 2; y >= 0; y--) {
            from_row(slice + (y + 1) * row, slice + y * row, row);
        }
        if (z && !in_plane) {
            from_row(slice - plane, slice, plane);
        }
    }
    for (ptrdiff_t z = g->nz - 2; z >= 0 && !in_plane; z--) {
        from_row(out + (z + 1) * plane, out + z * plane, plane);
    }
}

CLONES static int border_is_zero(const uint8_t *mask, const Grid *g)
{
    ptrdiff_t total = 0, inside = 0;
    for (ptrdiff_t i = 0; i < g->nz * g->ny * g->nx; i++) {
        total += mask[i] != 0;
    }
    for (ptrdiff_t z = g->mz; z < g->nz - g->mz; z++) {
        for (ptrdiff_t y = g->my; y < g->ny - g->my; y++) {
            const uint8_t *row = mask + (z * g->ny + y) * g->nx;
            for (ptrdiff_t x = g->mx; x < g->nx - g->mx; x++) {
                inside += row[x] != 0;
            }
        }
    }
    return total == inside;
}

static PyObject *py_distance_map(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *given[2];
    int in_plane;
    if (!PyArg_ParseTuple(args, "OiO", &given[0], &in_plane, &given[1])) {
        return NULL;
    }
    const Need needs[2] = {{"mask", 'u', 1, 3, 0}, {"out", 'u', 2, 3, 1}};
    Array a[2];
    Grid grid;
    if (take_arrays(given, needs, 2, a) < 0) {
        return NULL;
    }
    if (grid_of(&a[0], in_plane ? 0 : 1, 1, 1, &grid) == 0 &&
        need_shape(&a[1], "out", (ptrdiff_t *)a[0].view.shape) == 0) {
        if (border_is_zero(a[0].view.buf, &grid)) {
            Py_BEGIN_ALLOW_THREADS
            distance_passes(a[0].view.buf, &grid, in_plane, a[1].view.buf);
            Py_END_ALLOW_THREADS
        } else {
            refuse("mask: the margin of one voxel is not zero.");
        }
    }
    give_back(a, 2);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

/* Types of the cubes between four rows; returns how many lie inside, with all corners. */
static inline ptrdiff_t row_types(const uint8_t *restrict near, const uint8_t *restrict far,
                                  ptrdiff_t n, uint8_t *restrict column, uint8_t *restrict type)
{
    for (ptrdiff_t x = 0; x < n; x++) {
        column[x] = (uint8_t)((near[x] != 0) | (near[x + n] != 0) << 1 | (far[x] != 0) << 2 |
                              (far[x + n] != 0) << 3);
    }
    ptrdiff_t inside = 0;
    for (ptrdiff_t x = 0; x + 1 < n; x++) {
        type[x] = (uint8_t)(column[x] | column[x + 1] << 4);
        inside += type[x] == 255;
    }
    return inside;
}

/* Count the 256 types of cubes between eight voxels, and add up where they lie. Bit 0 of a
 * type is voxel (z, y, x), bit 1 (z, y+1, x), bit 2 (z+1, y, x), bit 3 (z+1, y+1, x), and
 * bits 4 to 7 the same four at x+1. */
CLONES static void cube_types(const uint8_t *mask, const Grid *g, uint64_t *counts, uint64_t *sums,
                              uint8_t *room)
{
    ptrdiff_t nx = g->nx, n = nx > 1 ? nx - 1 : 0;
    uint8_t *type = room + nx;
    memset(type, 0, (size_t)nx + 8); /* the last eight may go beyond the row */
    for (ptrdiff_t z = 0; z + 1 < g->nz; z++) {
        for (ptrdiff_t y = 0; y + 1 < g->ny; y++) {
            const uint8_t *near = mask + (z * g->ny + y) * nx;
            ptrdiff_t inside = row_types(near, near + g->ny * nx, nx, room, type), mixed = 0;
            for (ptrdiff_t from = 0; from < n; from += 8) {
                uint64_t eight;
                memcpy(&eight, type + from, sizeof eight);
                if (eight == 0 || eight == ~UINT64_C(0)) {
                    continue;
                }
                for (ptrdiff_t x = from; x < from + 8; x++) {
                    if (type[x] != 0 && type[x] != 255) {
                        mixed++;
                        counts[type[x]]++;
                        sums[3 * type[x]] += (uint64_t)z;
                        sums[3 * type[x] + 1] += (uint64_t)y;
                        sums[3 * type[x] + 2] += (uint64_t)x;
                    }
                }
            }
            counts[255] += (uint64_t)inside;
            counts[0] += (uint64_t)(n - inside - mixed);
        }
    }
}

static PyObject *py_cube_types(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *given[3];
    if (!PyArg_ParseTuple(args, "OOO", &given[0], &given[1], &given[2])) {
        return NULL;
    }
    const Need needs[3] = {
        {"mask", 'u', 1, 3, 0}, {"counts", 'i', 8, 1, 1}, {"sums", 'i', 8, 2, 1}};
    Array a[3];
    Grid grid;
    if (take_arrays(given, needs, 3, a) < 0) {
        return NULL;
    }
    ptrdiff_t n_types = 256, shape[2] = {256, 3};
    if (grid_of(&a[0], 0, 0, 0, &grid) == 0 && need_shape(&a[1], "counts", &n_types) == 0 &&
        need_shape(&a[2], "sums", shape) == 0) {
        uint8_t *column = malloc(2 * (size_t)grid.nx + 8);
        if (column == NULL) {
            PyErr_NoMemory();
        } else {
            Py_BEGIN_ALLOW_THREADS
            cube_types(a[0].view.buf, &grid, a[1].view.buf, a[2].view.buf, column);
            Py_END_ALLOW_THREADS
            free(column);
        }
    }
    give_back(a, 3);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

/* First and last voxels inside along lines of each axis: of an axis, first (or the length where
 * there is none) and last (or -1) for the lines in the order of the other two axes. */
CLONES static void line_ends(const uint8_t *mask, const Grid *g, int32_t *const *first,
                             int32_t *const *last)
{
    ptrdiff_t nz = g->nz, ny = g->ny, nx = g->nx;
    const ptrdiff_t length[3] = {nz, ny, nx}, lines[3] = {ny * nx, nz * nx, nz * ny};
    for (int axis = 0; axis < 3; axis++) {
        for (ptrdiff_t k = 0; k < lines[axis]; k++) {
            first[axis][k] = (int32_t)length[axis];
            last[axis][k] = -1;
        }
    }
    for (ptrdiff_t z = 0; z < nz; z++) {
        for (ptrdiff_t y = 0; y < ny; y++) {
            const uint8_t *restrict row = mask + (z * ny + y) * nx;
            ptrdiff_t x0 = 0, x1 = nx;
            while (x0 < nx && !row[x0]) {
                x0++;
            }
            if (x0 == nx) {
                continue;
            }
            while (!row[x1 - 1]) {
                x1--;
            }
            first[2][z * ny + y] = (int32_t)x0;
            last[2][z * ny + y] = (int32_t)x1 - 1;
            for (int axis = 0; axis < 2; axis++) {
                int32_t at = (int32_t)(axis ? y : z);
                int32_t *restrict low = first[axis] + (axis ? z : y) * nx;
                int32_t *restrict high = last[axis] + (axis ? z : y) * nx;
                for (ptrdiff_t x = x0; x < x1; x++) {
                    low[x] = row[x] && at < low[x] ? at : low[x];
                    high[x] = row[x] ? at : high[x];
                }
            }
        }
    }
}

static PyObject *py_line_ends(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *given[4];
    if (!PyArg_ParseTuple(args, "OOOO", &given[0], &given[1], &given[2], &given[3])) {
        return NULL;
    }
    const Need needs[4] = {{"mask", 'u', 1, 3, 0},
                           {"along_z", 'i', 4, 3, 1},
                           {"along_y", 'i', 4, 3, 1},
                           {"along_x", 'i', 4, 3, 1}};
    Array a[4];
    Grid g;
    if (take_arrays(given, needs, 4, a) < 0) {
        return NULL;
    }
    if (grid_of(&a[0], 0, 0, 0, &g) == 0) {
        const ptrdiff_t shape[3][3] = {{2, g.ny, g.nx}, {2, g.nz, g.nx}, {2, g.nz, g.ny}};
        if (need_shape(&a[1], "along_z", shape[0]) == 0 &&
            need_shape(&a[2], "along_y", shape[1]) == 0 &&
            need_shape(&a[3], "along_x", shape[2]) == 0) {
            int32_t *first[3], *last[3];
            for (int axis = 0; axis < 3; axis++) {
                first[axis] = a[axis + 1].view.buf;
                last[axis] = first[axis] + shape[axis][1] * shape[axis][2];
            }
            Py_BEGIN_ALLOW_THREADS
            line_ends(a[0].view.buf, &g, first, last);
            Py_END_ALLOW_THREADS
        }
    }
    give_back(a, 4);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

/* Put values of one size, one for each voxel of a mask, in a volume with margins. */
#define SCATTER(name, TYPE)                                                                    \
    static const void *name(const uint8_t *line, ptrdiff_t n, const void *from, void *to)      \
    {                                                                                          \
        const TYPE *value = from;                                                              \
        TYPE *out = to;                                                                        \
        for (ptrdiff_t x = 0; x < n; x++) {                                                    \
            if (line[x]) {                                                                     \
                out[x] = *value++;                                                             \
            }                                                                                  \
        }                                                                                      \
        return value;                                                                          \
    }
SCATTER(scatter_1, uint8_t)
SCATTER(scatter_2, uint16_t)

static PyObject *py_scatter(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *given[3];
    if (!PyArg_ParseTuple(args, "OOO", &given[0], &given[1], &given[2])) {
        return NULL;
    }
    const Need needs[3] = {
        {"mask", 'u', 1, 3, 0}, {"values", 'u', 0, 1, 0}, {"out", 'u', 0, 3, 1}};
    Array a[3];
    if (take_arrays(given, needs, 3, a) < 0) {
        return NULL;
    }
    const Py_ssize_t *inner = a[0].view.shape, *outer = a[2].view.shape;
    Py_ssize_t margin = (outer[0] - inner[0]) / 2, size = a[2].view.itemsize, inside = 0;
    const uint8_t *mask = a[0].view.buf;
    int good = margin >= 0 && a[1].view.itemsize == size;
    for (int axis = 0; axis < 3; axis++) {
        good &= outer[axis] == inner[axis] + 2 * margin;
    }
    for (ptrdiff_t i = 0; i < inner[0] * inner[1] * inner[2]; i++) {
        inside += mask[i] != 0;
    }
    if (!good || inside != a[1].view.shape[0]) {
        refuse("mask, values, out: needed are a value for each voxel of the mask, and as much "
               "margin on every side.");
    } else {
        const void *value = a[1].view.buf;
        Py_BEGIN_ALLOW_THREADS
        for (ptrdiff_t z = 0; z < inner[0]; z++) {
            for (ptrdiff_t y = 0; y < inner[1]; y++) {
                char *to = (char *)a[2].view.buf +
                           size * (((z + margin) * outer[1] + y + margin) * outer[2] + margin);
                const uint8_t *line = mask + (z * inner[1] + y) * inner[2];
                value = size == 1 ? scatter_1(line, inner[2], value, to)
                                  : scatter_2(line, inner[2], value, to);
            }
        }
        Py_END_ALLOW_THREADS
    }
    give_back(a, 3);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

enum { SOME = 16 };     /* partial sums, so that wide registers hold them */
enum { RUN = 1 << 16 }; /* longest run whose moments are closed forms without overflow */

/* Add the sums of values, and of values times their place in a run from x on. */
CLONES static void run_sums(const double *value, ptrdiff_t n, ptrdiff_t x, double *sums)
{
    double total[SOME] = {0}, moment[SOME] = {0};
    ptrdiff_t k = 0;
    for (; k + SOME <= n; k += SOME) {
        for (int i = 0; i < SOME; i++) {
            total[i] += value[k + i];
            moment[i] += value[k + i] * (double)(x + k + i);
        }
    }
    for (; k < n; k++) {
        total[0] += value[k];
        moment[0] += value[k] * (double)(x + k);
    }
    for (int i = 0; i < SOME; i++) {
        sums[0] += total[i];
        sums[1] += moment[i];
    }
}

/* Whole numbers: voxels, sums of z, y, x, and of zz, zy, zx, yy, yx, xx; and sums of the values
 * and of values times z, y, x. */
static void mask_moments(const uint8_t *mask, const double *value, const Grid *g, uint64_t *whole,
                         double *sums)
{
    for (ptrdiff_t z = 0; z < g->nz; z++) {
        for (ptrdiff_t y = 0; y < g->ny; y++) {
            const uint8_t *row = mask + (z * g->ny + y) * g->nx;
            int64_t n = 0, first = 0, second = 0;
            double found_in[2] = {0, 0};
            for (ptrdiff_t x = 0; x < g->nx;) {
                if (!row[x]) {
                    x++;
                    continue;
                }
                ptrdiff_t start = x, most = g->nx - x < RUN ? g->nx : x + RUN;
                while (x < most && row[x]) {
                    x++;
                }
                int64_t a = start, k = x - start, line = k * (k - 1) / 2;
                n += k;
                first += k * a + line;
                second += k * a * a + 2 * a * line + line * (2 * k - 1) / 3;
                if (value) {
                    run_sums(value, k, start, found_in);
                    value += k;
                }
            }
            const int64_t found[10] = {n,         z * n,     y * n,     first,     z * z * n,
                                       z * y * n, z * first, y * y * n, y * first, second};
            for (int k = 0; k < 10; k++) {
                whole[k] += (uint64_t)found[k];
            }
            sums[0] += found_in[0];
            sums[1] += found_in[0] * (double)z;
            sums[2] += found_in[0] * (double)y;
            sums[3] += found_in[1];
        }
    }
}

static PyObject *py_mask_moments(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *given[4];
    if (!PyArg_ParseTuple(args, "OOOO", &given[0], &given[1], &given[2], &given[3])) {
        return NULL;
    }
    const Need needs[4] = {{"mask", 'u', 1, 3, 0},
                           {"values", 'f', 8, 1, 0},
                           {"whole", 'i', 8, 1, 1},
                           {"sums", 'f', 8, 1, 1}};
    Array a[4];
    Grid g;
    ptrdiff_t ten = 10, four = 4, inside = 0;
    if (take_arrays(given, needs, 4, a) < 0) {
        return NULL;
    }
    if (grid_of(&a[0], 0, 0, 0, &g) == 0 && need_shape(&a[2], "whole", &ten) == 0 &&
        need_shape(&a[3], "sums", &four) == 0) {
        const uint8_t *mask = a[0].view.buf;
        for (ptrdiff_t i = 0; i < g.nz * g.ny * g.nx; i++) {
            inside += mask[i] != 0;
        }
        ptrdiff_t n = a[1].view.shape[0];
        if (n != 0 && n != inside) {
            refuse("values: needed is none, or one for each of the %zd voxels of the mask.",
                   (Py_ssize_t)inside);
        } else {
            Py_BEGIN_ALLOW_THREADS
            mask_moments(mask, n ? a[1].view.buf : NULL, &g, a[2].view.buf, a[3].view.buf);
            Py_END_ALLOW_THREADS
        }
    }
    give_back(a, 4);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

PyMethodDef shape_methods[] = {
    {"distance_map", py_distance_map, METH_VARARGS,
     "distance_map(mask, in_plane, out): write the city-block distance to the outside."},
    {"cube_types", py_cube_types, METH_VARARGS,
     "cube_types(mask, counts, sums): count marching-cubes types and add up their places."},
    {"mask_moments", py_mask_moments, METH_VARARGS,
     "mask_moments(mask, values, whole, sums): add the number of voxels, sums of z, y, x and of "
     "their six products to whole, and sums of values and of values times z, y, x to sums."},
    {"line_ends", py_line_ends, METH_VARARGS,
     "line_ends(mask, along_z, along_y, along_x): write the first and last voxel of the mask on "
     "each line of an axis (2, lines); the length and -1 where there is none."},
    {"scatter", py_scatter, METH_VARARGS,
     "scatter(mask, values, out): put a value of 1 or 2 bytes at each voxel of the mask into a "
     "volume with margins."},
    {NULL, NULL, 0, NULL},
};
