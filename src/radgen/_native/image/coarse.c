/* The mask, the values and their squares on a coarser grid: each axis is filtered and thinned out.
 * Numbers lie as [block][row][column][slice], LANES slices side by side: see pairs.c. */
#include "arrays.h"

#include <stdlib.h>
#include <string.h>

enum { LANES = 16, LONGEST = 1 << 17 };

/* Numbers of all lanes: as a type of the compiler's own, or it mixes up lanes and taps. */
#if defined(__GNUC__)
typedef float Lanes __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
#define ADD_LANES(sum, factor, from) ((sum) += (factor) * *(const Lanes *)(from))
#else
typedef struct {
    float lane[LANES];
} Lanes;
#define ADD_LANES(sum, factor, from)                    \
    do {                                                \
        for (int i_ = 0; i_ < LANES; i_++) {            \
            (sum).lane[i_] += (factor) * (from)[i_];    \
        }                                               \
    } while (0)
#endif

/* A filter along an axis: item a of the coarse axis adds up taps[t] times number step * a + t -
 * (n_taps - step) of the fine one, for all t; numbers beyond its ends are 0. */
typedef struct {
    const float *taps;
    ptrdiff_t n_taps, step;
} Filter;

/* How many items of the coarse axis n numbers reach. */
static ptrdiff_t reached(const Filter *f, ptrdiff_t n)
{
    return (n - 1 + f->n_taps - f->step) / f->step + 1;
}

/* Which taps of an item meet a number from `low` on and below `n`, and which tap 0 would meet. */
static ptrdiff_t met(const Filter *f, ptrdiff_t item, ptrdiff_t low, ptrdiff_t n,
                     ptrdiff_t *first, ptrdiff_t *end)
{
    ptrdiff_t at = f->step * item - (f->n_taps - f->step);
    *first = at < low ? low - at : 0;
    *end = n - at < f->n_taps ? n - at : f->n_taps;
    return at;
}

CLONES static void along_row(const float *row, ptrdiff_t low, ptrdiff_t n, const Filter *f,
                             ptrdiff_t n_out, float *out)
{
    for (ptrdiff_t a = 0; a < n_out; a++) {
        Lanes sum = {0};
        ptrdiff_t first, end, at = met(f, a, low, n, &first, &end);
        for (ptrdiff_t t = first; t < end; t++) {
            ADD_LANES(sum, f->taps[t], row + (at + t) * LANES);
        }
        memcpy(out + a * LANES, &sum, sizeof sum);
    }
}

CLONES static void across_rows(const float *rows, ptrdiff_t n, ptrdiff_t width, const Filter *f,
                               ptrdiff_t n_out, float *out)
{
    for (ptrdiff_t a = 0; a < n_out; a++) {
        ptrdiff_t first, end, at = met(f, a, 0, n, &first, &end);
        for (ptrdiff_t x = 0; x < width; x += LANES) {
            Lanes sum = {0};
            for (ptrdiff_t t = first; t < end; t++) {
                ADD_LANES(sum, f->taps[t], rows + (at + t) * width + x);
            }
            memcpy(out + a * width + x, &sum, sizeof sum);
        }
    }
}

CLONES static void fill_row(const uint8_t *restrict inside, const float *restrict values, int field,
                            ptrdiff_t n, float *restrict out)
{
    for (ptrdiff_t i = 0; i < n; i++) {
        out[i] = field == 0 ? (float)inside[i] : field == 1 ? values[i] : values[i] * values[i];
    }
}

/* Thin out the planes of a block, whose rows hold voxels from one on up to another (`ends`); `room`
 * holds a row, and its rows thinned out. */
static void thin_planes(const uint8_t *inside, const float *values, const int32_t *ends,
                        const ptrdiff_t *shape,
                        const Filter *along_y, const Filter *along_x, float *room, float *out,
                        ptrdiff_t field)
{
    const ptrdiff_t ny = shape[1], nx = shape[2], row = nx * LANES;
    const ptrdiff_t rows = reached(along_y, ny), columns = reached(along_x, nx);
    float *thin = room + row;
    for (int which = 0; which < 3; which++) {
        for (ptrdiff_t y = 0; y < ny; y++) {
            const ptrdiff_t low = ends[2 * y], end = ends[2 * y + 1], at = low * LANES;
            fill_row(inside + y * row + at, values + y * row + at, which, (end - low) * LANES,
                     room + at);
            along_row(room, low, end, along_x, columns, thin + y * columns * LANES);
        }
        across_rows(thin, ny, columns * LANES, along_y, rows, out + which * field);
    }
}

/* Weight of each of n slices (rows) in each of `wide` coarse slices. */
static void band(const Filter *f, ptrdiff_t n, ptrdiff_t wide, float *out)
{
    memset(out, 0, (size_t)(n * wide) * sizeof *out);
    for (ptrdiff_t a = 0; a < wide; a++) {
        ptrdiff_t first, end, at = met(f, a, 0, n, &first, &end);
        for (ptrdiff_t t = first; t < end; t++) {
            out[(at + t) * wide + a] = f->taps[t];
        }
    }
}

/* Thin out a row of columns along the slices; blocks are `step` numbers apart. */
CLONES static void thin_slices(const float *from, ptrdiff_t blocks, ptrdiff_t step,
                               ptrdiff_t columns, const Filter *f, const float *weight,
                               ptrdiff_t out_blocks, float *out)
{
    const ptrdiff_t n = blocks * LANES, wide = out_blocks * LANES;
    for (ptrdiff_t q = 0; q < out_blocks; q++) {
        ptrdiff_t lead = f->n_taps - f->step;
        ptrdiff_t first = f->step * q * LANES - lead, end = f->step * (q + 1) * LANES;
        first = first < 0 ? 0 : first;
        end = end < n ? end : n; /* the last item ends before the first of the next block + step */
        for (ptrdiff_t x = 0; x < columns; x++) {
            Lanes sum = {0};
            for (ptrdiff_t z = first; z < end; z++) {
                const float value = from[z / LANES * step + x * LANES + z % LANES];
                ADD_LANES(sum, value, weight + z * wide + q * LANES);
            }
            memcpy(out + q * step + x * LANES, &sum, sizeof sum);
        }
    }
}

static int filter_of(const Array *taps, const char *name, long step, Filter *out)
{
    *out = (Filter){taps->view.buf, taps->view.shape[0], step};
    if (step < 1 || step > 64 || out->n_taps < step || out->n_taps > 4096) {
        refuse("%s: %zd taps for a step of %ld; needed are as many as the step, up to 4096.", name,
               (Py_ssize_t)out->n_taps, step);
        return 0;
    }
    return 1;
}

/* Whether axes of lanes are neither empty nor longer than any that is transformed. */
static int axes_ok(const ptrdiff_t *axis)
{
    for (int i = 0; i < 3; i++) {
        if (axis[i] < 1 || axis[i] > LONGEST) {
            refuse("An axis has %zd items; needed are 1 to %d.", (Py_ssize_t)axis[i], LONGEST);
            return 0;
        }
    }
    return 1;
}

static int range_ok(long first, long last, ptrdiff_t n)
{
    if (first < 0 || first > last || last > n) {
        refuse("first, last: %ld and %ld do not lie in order within 0 and %zd.", first, last,
               (Py_ssize_t)n);
        return 0;
    }
    return 1;
}

static PyObject *py_thin_planes(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *given[6];
    long step[2], first, last;
    if (!PyArg_ParseTuple(args, "OOOOlOlllO", &given[0], &given[1], &given[5], &given[2],
                          &step[0], &given[3], &step[1], &first, &last, &given[4])) {
        return NULL;
    }
    const Need needs[6] = {{"inside", 'u', 1, 4, 0}, {"values", 'f', 4, 4, 0},
                           {"taps_y", 'f', 4, 1, 0}, {"taps_x", 'f', 4, 1, 0},
                           {"out", 'f', 4, 5, 1},    {"ends", 'i', 4, 3, 0}};
    Array a[6];
    Filter f[2];
    if (take_arrays(given, needs, 6, a) < 0) {
        return NULL;
    }
    const Py_ssize_t *dim = a[0].view.shape;
    const ptrdiff_t shape[4] = {dim[0], dim[1], dim[2], LANES}, two[3] = {dim[0], dim[1], 2};
    if (filter_of(&a[2], "taps_y", step[0], &f[0]) && filter_of(&a[3], "taps_x", step[1], &f[1]) &&
        axes_ok(shape) && need_shape(&a[0], "inside", shape) == 0 &&
        need_shape(&a[1], "values", shape) == 0 && need_shape(&a[5], "ends", two) == 0 &&
        ends_ok(a[5].view.buf, shape[0] * shape[1], shape[2]) &&
        range_ok(first, last, shape[0])) {
        const ptrdiff_t rows = reached(&f[0], shape[1]), columns = reached(&f[1], shape[2]);
        const ptrdiff_t wanted[5] = {3, shape[0], rows, columns, LANES};
        if (need_shape(&a[4], "out", wanted) == 0) {
            const ptrdiff_t block = shape[1] * shape[2] * LANES, thin = rows * columns * LANES;
            float *out = a[4].view.buf;
            float *room = malloc((size_t)((shape[2] + shape[1] * columns) * LANES) * sizeof *room);
            if (room == NULL) {
                PyErr_NoMemory();
            } else {
                Py_BEGIN_ALLOW_THREADS
                for (ptrdiff_t b = first; b < last; b++) {
                    thin_planes((const uint8_t *)a[0].view.buf + b * block,
                                (const float *)a[1].view.buf + b * block,
                                (const int32_t *)a[5].view.buf + 2 * b * shape[1], shape, &f[0],
                                &f[1], room, out + b * thin, shape[0] * thin);
                }
                Py_END_ALLOW_THREADS
            }
            free(room);
        }
    }
    give_back(a, 6);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static PyObject *py_thin_slices(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *given[3];
    long step, first, last;
    if (!PyArg_ParseTuple(args, "OOlllO", &given[0], &given[1], &step, &first, &last,
                          &given[2])) {
        return NULL;
    }
    const Need needs[3] = {
        {"planes", 'f', 4, 5, 0}, {"taps", 'f', 4, 1, 0}, {"out", 'f', 4, 5, 1}};
    Array a[3];
    Filter f;
    if (take_arrays(given, needs, 3, a) < 0) {
        return NULL;
    }
    const Py_ssize_t *dim = a[0].view.shape;
    const ptrdiff_t shape[5] = {3, dim[1], dim[2], dim[3], LANES};
    if (filter_of(&a[1], "taps", step, &f) && axes_ok(shape + 1) &&
        need_shape(&a[0], "planes", shape) == 0 &&
        range_ok(first, last, shape[2])) {
        const ptrdiff_t deep = shape[1] * LANES, blocks = (reached(&f, deep) + LANES - 1) / LANES;
        const ptrdiff_t out_blocks = a[2].view.shape[1];
        const ptrdiff_t wanted[5] = {3, out_blocks, shape[2], shape[3], LANES};
        if (out_blocks < 1 || out_blocks > blocks) {
            refuse("out: axis 1 has %zd blocks of slices; at most %zd are needed.",
                   (Py_ssize_t)out_blocks, (Py_ssize_t)blocks);
        } else if (need_shape(&a[2], "out", wanted) == 0) {
            const ptrdiff_t row = shape[3] * LANES, plane = shape[2] * row;
            const float *from = a[0].view.buf;
            float *out = a[2].view.buf;
            float *weight = malloc((size_t)(deep * out_blocks * LANES) * sizeof *weight);
            if (weight == NULL) {
                PyErr_NoMemory();
            } else {
                Py_BEGIN_ALLOW_THREADS
                band(&f, deep, out_blocks * LANES, weight);
                for (ptrdiff_t k = 0; k < 3; k++) {
                    for (ptrdiff_t y = first; y < last; y++) {
                        thin_slices(from + k * shape[1] * plane + y * row, shape[1], plane,
                                    shape[3], &f, weight, out_blocks,
                                    out + k * out_blocks * plane + y * row);
                    }
                }
                Py_END_ALLOW_THREADS
            }
            free(weight);
        }
    }
    give_back(a, 3);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

PyMethodDef coarse_methods[] = {
    {"thin_planes", py_thin_planes, METH_VARARGS,
     "thin_planes(inside, values, ends, taps_y, step_y, taps_x, step_x, first, last, out): filter and "
     "thin out the mask, the values and their squares (blocks, rows, columns, 16) along rows and "
     "columns, for blocks first to last - 1, to out (3, blocks, rows, columns, 16)."},
    {"thin_slices", py_thin_slices, METH_VARARGS,
     "thin_slices(planes, taps, step, first, last, out): the same along slices for rows first to "
     "last - 1, from (3, blocks, rows, columns, 16) to other blocks."},
    {NULL, NULL, 0, NULL},
};
