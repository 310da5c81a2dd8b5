/* Texture matrices of a padded volume of grey levels: one pass a family for all directions. */
#include "arrays.h"

#include <stdlib.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { BLOCK = 2048, REACH = 15 }; /* voxels that are worked on together; widest neighbourhood */

/* What is known of each zone, or of each label before labels are merged. */
typedef struct {
    uint16_t *level;
    uint32_t *size;
    uint16_t *far; /* least distance */
    int32_t *slice;
} Zones;

static int32_t root_of(int32_t *parent, int32_t v)
{
    while (parent[v] != v) {
        parent[v] = parent[parent[v]];
        v = parent[v];
    }
    return v;
}

/* Join two labels under the smaller root, the one that comes first in scan order. */
static void join(int32_t *parent, int32_t a, int32_t b)
{
    if (a == b) {
        return;
    }
    a = root_of(parent, a);
    b = root_of(parent, b);
    if (a < b) {
        parent[b] = a;
    } else {
        parent[a] = b;
    }
}

/* Bring labels with one root together, in place: a zone's number is at most its root. */
static ptrdiff_t merged(int32_t *parent, int32_t n_labels, const Zones *zones)
{
    int32_t n_zones = 0;
    for (int32_t label = 0; label < n_labels; label++) {
        if (parent[label] == label) {
            zones->level[n_zones] = zones->level[label];
            zones->size[n_zones] = zones->size[label];
            zones->far[n_zones] = zones->far[label];
            zones->slice[n_zones] = zones->slice[label];
            parent[label] = n_zones++;
        } else {
            /* Parents come first, so theirs is a zone's number already. */
            int32_t zone = parent[label] = parent[parent[label]];
            zones->size[zone] += zones->size[label];
            if (zones->far[label] < zones->far[zone]) {
                zones->far[zone] = zones->far[label];
            }
        }
    }
    return n_zones;
}

/* Which neighbours met before a voxel is joined to, given which of them (bits) share its level:
 * few[bits] lists one of each group that is connected already, four bits each; 15s follow, and
 * lead to the voxel itself: step[15] = 0. */
typedef struct {
    int n_steps;
    ptrdiff_t step[16];
    uint64_t *few;
} Joins;

/* Which neighbours touch which: their offsets differ by at most one voxel along each axis, and
 * the difference (or its opposite) is itself an offset that joins. */
static void touching(const int32_t *offset, int n_steps, uint16_t *near)
{
    for (int d = 0; d < n_steps; d++) {
        near[d] = 0;
        for (int e = 0; e < n_steps; e++) {
            for (int f = 0; f < n_steps; f++) {
                int same = 1, opposite = 1;
                for (int axis = 0; axis < 3; axis++) {
                    int32_t gap = offset[3 * d + axis] - offset[3 * e + axis];
                    same &= gap == offset[3 * f + axis];
                    opposite &= gap == -offset[3 * f + axis];
                }
                near[d] |= (uint16_t)((same | opposite) << e);
            }
        }
    }
}

static uint64_t one_of_each(uint32_t bits, const uint16_t *near)
{
    uint64_t list = 0;
    int shift = 0;
    while (bits) {
        int lead = lowest_bit(bits);
        uint32_t reached = 1u << lead;
        bits &= ~reached;
        while (reached) {
            int d = lowest_bit(reached);
            reached &= reached - 1;
            reached |= near[d] & bits;
            bits &= ~(uint32_t)near[d];
        }
        list |= (uint64_t)lead << shift;
        shift += 4;
    }
    return list | UINT64_MAX << shift;
}

/* 64 bytes of 0 or 1 as bits, the first as the lowest. */
static inline uint64_t bits_of(const uint8_t *bytes)
{
    uint64_t bits = 0;
#if defined(__SSE2__)
    for (int k = 0; k < 64; k += 16) {
        __m128i sixteen = _mm_loadu_si128((const __m128i *)(bytes + k));
        bits |= (uint64_t)_mm_movemask_epi8(_mm_slli_epi16(sixteen, 7)) << k;
    }
#elif defined(__GNUC__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    for (int k = 0; k < 64; k += 8) {
        uint64_t eight;
        memcpy(&eight, bytes + k, sizeof eight);
        /* The product brings the lowest bits of the bytes together in the highest byte. */
        bits |= eight * UINT64_C(0x0102040810204080) >> 56 << k;
    }
#else
    for (int k = 0; k < 64; k++) {
        bits |= (uint64_t)bytes[k] << k;
    }
#endif
    return bits;
}

#define LEVEL uint8_t
#define KERNEL(name) name##_8
#include "texture_kernels.h"
#undef LEVEL
#undef KERNEL
#define LEVEL uint16_t
#define KERNEL(name) name##_16
#include "texture_kernels.h"
#undef LEVEL
#undef KERNEL

#define BY_LEVEL(array, call8, call16) \
    if ((array).view.itemsize == 1) {  \
        call8;                         \
    } else {                           \
        call16;                        \
    }

/* Matrices are made for the whole volume (period 0), or for each group of `period` slices: one
 * slice (period 1, neighbours stay in it), or tiles kept apart by planes of zeros. */
static ptrdiff_t groups_of(const Grid *grid, long period)
{
    ptrdiff_t inner = grid->nz - 2 * grid->mz;
    return period ? (inner + period - 1) / period : 1;
}

static const Need LEVELS = {"levels", 'u', 0, 3, 0};
static const Need OFFSETS = {"offsets", 'i', 4, 2, 0};

/* Check offsets (n, 3) and turn them into steps; sign +1 or -1 asks for one half space. */
static int read_steps(const Array *levels, const Array *offsets, int sign, long period,
                      Grid *grid, ptrdiff_t **steps)
{
    const int32_t *offset = offsets->view.buf;
    ptrdiff_t n = offsets->view.shape[0], margin[3] = {0, 0, 0};
    if (offsets->view.shape[1] != 3 || n < 1 || n > 4096) {
        refuse("offsets: the shape must be (n, 3) with n from 1 to 4096.");
        return -1;
    }
    if (period < 0 || period > 60000) {
        refuse("period: %ld; it must lie between 0 and 60000.", period);
        return -1;
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        const int32_t *o = offset + 3 * i;
        int32_t lead = o[0] ? o[0] : o[1] ? o[1] : o[2];
        if (lead == 0 || (sign > 0 && lead < 0) || (sign < 0 && lead > 0)) {
            refuse("offsets: row %zd lies in the wrong half space or is zero.", (Py_ssize_t)i);
            return -1;
        }
        if (period == 1 && o[0]) {
            refuse("offsets: row %zd leaves the slice.", (Py_ssize_t)i);
            return -1;
        }
        for (int axis = 0; axis < 3; axis++) {
            ptrdiff_t size = o[axis] < 0 ? -(ptrdiff_t)o[axis] : o[axis];
            margin[axis] = size > margin[axis] ? size : margin[axis];
        }
    }
    if (grid_of(levels, margin[0], margin[1], margin[2], grid) < 0) {
        return -1;
    }
    *steps = malloc((size_t)n * sizeof **steps);
    if (*steps == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        const int32_t *o = offset + 3 * i;
        (*steps)[i] = (o[0] * grid->ny + o[1]) * grid->nx + o[2];
    }
    return 0;
}

static ptrdiff_t check_levels(const Array *levels, const Grid *grid, long n_levels)
{
    ptrdiff_t inside = -1;
    if (n_levels < 1 || n_levels > 65535) {
        refuse("n_levels: %ld; it must lie between 1 and 65535.", n_levels);
        return -1;
    }
    BY_LEVEL(*levels, inside = scan_8(levels->view.buf, grid, (int)n_levels),
             inside = scan_16(levels->view.buf, grid, (int)n_levels))
    if (inside < 0) {
        refuse("levels: a level is above n_levels, or a margin is not zero.");
    }
    return inside;
}

static PyObject *py_glcm(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *given[3];
    long n_levels;
    long period;
    if (!PyArg_ParseTuple(args, "OOllO", &given[0], &given[1], &n_levels, &period, &given[2])) {
        return NULL;
    }
    const Need needs[3] = {LEVELS, OFFSETS, {"out", 'u', 4, 4, 1}};
    Array a[3];
    Grid grid;
    ptrdiff_t *steps = NULL;
    if (take_arrays(given, needs, 3, a) < 0) {
        return NULL;
    }
    if (read_steps(&a[0], &a[1], 0, period, &grid, &steps) == 0 &&
        check_levels(&a[0], &grid, n_levels) >= 0) {
        int n = (int)a[1].view.shape[0];
        ptrdiff_t shape[4] = {groups_of(&grid, period), n, n_levels + 1, n_levels + 1};
        if (need_shape(&a[2], "out", shape) == 0) {
            uint32_t *out = a[2].view.buf;
            Py_BEGIN_ALLOW_THREADS
            BY_LEVEL(a[0], glcm_8(a[0].view.buf, &grid, steps, n, n_levels, period, out),
                     glcm_16(a[0].view.buf, &grid, steps, n, n_levels, period, out))
            Py_END_ALLOW_THREADS
        }
    }
    free(steps);
    give_back(a, 3);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static PyObject *py_glrlm(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *given[4];
    long n_levels;
    long period;
    if (!PyArg_ParseTuple(args, "OOllOO", &given[0], &given[1], &n_levels, &period, &given[3],
                          &given[2])) {
        return NULL;
    }
    const Need needs[4] = {LEVELS, OFFSETS, {"out", 'u', 4, 4, 1}, {"equal", 'u', 4, 3, 0}};
    int n_arrays = given[3] == Py_None ? 3 : 4;
    Array a[4];
    Grid grid;
    ptrdiff_t *steps = NULL;
    if (take_arrays(given, needs, n_arrays, a) < 0) {
        return NULL;
    }
    if (read_steps(&a[0], &a[1], 1, period, &grid, &steps) == 0 &&
        check_levels(&a[0], &grid, n_levels) >= 0) {
        int n = (int)a[1].view.shape[0];
        ptrdiff_t longest = period ? period : grid.nz;
        longest = longest > grid.ny ? longest : grid.ny;
        longest = longest > grid.nx ? longest : grid.nx;
        ptrdiff_t width = longest + 1;
        ptrdiff_t shape[4] = {groups_of(&grid, period), n, n_levels + 1, width};
        uint8_t *marks = NULL;
        if (need_shape(&a[2], "out", shape) == 0 &&
            (n_arrays == 3 || need_shape(&a[3], "equal", shape) == 0)) {
            marks = calloc((size_t)(grid.ny * grid.nx) + 64, sizeof *marks);
            if (marks == NULL) {
                PyErr_NoMemory();
            }
        }
        if (marks != NULL) {
            uint32_t *out = a[2].view.buf;
            const uint32_t *equal = n_arrays == 4 ? a[3].view.buf : NULL;
            Py_BEGIN_ALLOW_THREADS
            BY_LEVEL(a[0],
                     glrlm_8(a[0].view.buf, &grid, steps, n, n_levels, width, period, equal,
                             marks, out),
                     glrlm_16(a[0].view.buf, &grid, steps, n, n_levels, width, period, equal,
                              marks, out))
            Py_END_ALLOW_THREADS
        }
        free(marks);
    }
    free(steps);
    give_back(a, n_arrays);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static PyObject *py_zones(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *given[7];
    if (!PyArg_ParseTuple(args, "OOOOOOO", &given[0], &given[1], &given[2], &given[3], &given[4],
                          &given[5], &given[6])) {
        return NULL;
    }
    const Need needs[7] = {LEVELS,
                           {"distance", 'u', 2, 3, 0},
                           OFFSETS,
                           {"out_level", 'u', 2, 1, 1},
                           {"out_size", 'u', 4, 1, 1},
                           {"out_distance", 'u', 2, 1, 1},
                           {"out_slice", 'i', 4, 1, 1}};
    Array a[7];
    Grid grid;
    ptrdiff_t *steps = NULL, n_zones = 0, inside = -1;
    if (take_arrays(given, needs, 7, a) < 0) {
        return NULL;
    }
    if (need_shape(&a[1], "distance", (ptrdiff_t *)a[0].view.shape) == 0 &&
        read_steps(&a[0], &a[2], -1, 0, &grid, &steps) == 0) {
        inside = check_levels(&a[0], &grid, 65535);
    }
    if (inside >= 0 && a[2].view.shape[0] > 15) {
        refuse("offsets: at most 15 neighbours are joined.");
        inside = -1;
    }
    for (int i = 3; i < 7 && inside >= 0; i++) {
        if (a[i].view.shape[0] < inside) {
            refuse("%s: %zd items; %zd voxels may each be a zone.", needs[i].name,
                   a[i].view.shape[0], (Py_ssize_t)inside);
            inside = -1;
        }
    }
    if (inside >= 0) {
        const ptrdiff_t near_by = (grid.mz + 1) * grid.ny * grid.nx;
        int32_t *labels = calloc((size_t)(near_by + inside), sizeof *labels);
        uint16_t *bits = malloc((size_t)(grid.ny * grid.nx) * sizeof *bits);
        uint64_t *few = malloc(((size_t)1 << a[2].view.shape[0]) * sizeof *few);
        uint16_t near[16];
        if (labels == NULL || bits == NULL || few == NULL) {
            PyErr_NoMemory();
        } else {
            int n = (int)a[2].view.shape[0];
            int32_t *parent = labels + near_by;
            Joins joins = {.n_steps = n, .few = few};
            memcpy(joins.step, steps, (size_t)n * sizeof *steps);
            const Zones out = {a[3].view.buf, a[4].view.buf, a[5].view.buf, a[6].view.buf};
            touching(a[2].view.buf, n, near);
            for (uint32_t shared = 0; shared < 1u << n; shared++) {
                few[shared] = one_of_each(shared, near);
            }
            Py_BEGIN_ALLOW_THREADS
            BY_LEVEL(a[0],
                     n_zones = zones_8(a[0].view.buf, a[1].view.buf, &grid, &joins, labels,
                                       parent, bits, &out),
                     n_zones = zones_16(a[0].view.buf, a[1].view.buf, &grid, &joins, labels,
                                        parent, bits, &out))
            Py_END_ALLOW_THREADS
        }
        free(labels);
        free(bits);
        free(few);
    }
    free(steps);
    give_back(a, 7);
    return PyErr_Occurred() ? NULL : PyLong_FromSsize_t((Py_ssize_t)n_zones);
}

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

PyMethodDef texture_methods[] = {
    {"glcm", py_glcm, METH_VARARGS,
     "glcm(levels, offsets, n_levels, period, out): add co-occurrence counts to out (slices, "
     "offsets, n_levels + 1, n_levels + 1)."},
    {"glrlm", py_glrlm, METH_VARARGS,
     "glrlm(levels, offsets, n_levels, period, equal, out): add run counts to out (slices, "
     "offsets, n_levels + 1, longest axis + 1). equal (slices, offsets, n_levels + 1) holds how "
     "many neighbours along an offset share a level, or is None."},
    {"zones", py_zones, METH_VARARGS,
     "zones(levels, distance, offsets, out_level, out_size, out_distance, out_slice): write one "
     "item a zone and return how many there are."},
    {"ngtdm", py_ngtdm, METH_VARARGS,
     "ngtdm(levels, reach, n_levels, period, out_count, out_gap): add counts and grey tone "
     "gaps by level and number of neighbours."},
    {"ngldm", py_ngldm, METH_VARARGS,
     "ngldm(levels, reach, n_levels, period, alpha, out): add dependence counts to out "
     "(slices, n_levels + 1, neighbourhood + 1)."},
    {NULL, NULL, 0, NULL},
};
