/* Sums over all pairs of voxels, weighted by an even kernel of their distance along each axis: by
 * Parseval's theorem they are sums of power spectra on a padded grid, weighted by the spectrum of
 * the kernel. */
#include "arrays.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 1 << 17, ROWS = 8 }; /* longest axis of the padded grid; rows at a time */

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

/* Turn a square of 4 x 4 numbers, in rows `step` apart, over. */
static inline void turn_four_double(const double *restrict from, double *restrict to, int step)
{
    for (int a = 0; a < 4; a++) {
        for (int b = 0; b < 4; b++) {
            to[b * step + a] = from[a * step + b];
        }
    }
}

#if defined(__SSE__) || defined(_M_X64)
#include <xmmintrin.h>
static inline void turn_four_single(const float *from, float *to, int step)
{
    __m128 a = _mm_loadu_ps(from), b = _mm_loadu_ps(from + step);
    __m128 c = _mm_loadu_ps(from + 2 * step), d = _mm_loadu_ps(from + 3 * step);
    _MM_TRANSPOSE4_PS(a, b, c, d);
    _mm_storeu_ps(to, a);
    _mm_storeu_ps(to + step, b);
    _mm_storeu_ps(to + 2 * step, c);
    _mm_storeu_ps(to + 3 * step, d);
}
#else
static inline void turn_four_single(const float *restrict from, float *restrict to, int step)
{
    for (int a = 0; a < 4; a++) {
        for (int b = 0; b < 4; b++) {
            to[b * step + a] = from[a * step + b];
        }
    }
}
#endif

#define REAL float
#define ROOT sqrtf
#define LANES 16
#define KERNEL(name) name##_single
#include "line_kernels.h"
#include "pair_kernels.h"
#undef REAL
#undef ROOT
#undef LANES
#undef KERNEL
#define REAL double
#define ROOT sqrt
#define LANES 8
#define KERNEL(name) name##_double
#include "line_kernels.h"
#include "pair_kernels.h"
#undef REAL
#undef ROOT
#undef LANES
#undef KERNEL

/* The padded grid (z, y, x) and how it is transformed, in the type of number that is used. */
typedef struct {
    int single;
    ptrdiff_t lanes, half[3], wide; /* lanes that the frequencies of a class along y fill up */
    void *plan[3];
} Padded;

static void drop(Padded *d)
{
    for (int i = 0; i < 3; i++) {
        free(d->plan[i]);
    }
}

static int suits(int64_t n)
{
    int good = n > 0 && n <= LONGEST && n % 4 == 0;
    for (int r = 2; good && r <= 5; r++) {
        while (n % r == 0) {
            n /= r;
        }
    }
    return good && n == 1;
}

/* Frequencies along x come in so many parts, of which each has a plan of its own. */
static int padded(const Array *sizes, long parts, int itemsize, Padded *d)
{
    const int64_t *size = sizes->view.buf;
    ptrdiff_t three = 3;
    *d = (Padded){.single = itemsize == 4, .lanes = itemsize == 4 ? 16 : 8};
    if (need_shape(sizes, "sizes", &three) < 0) {
        return -1;
    }
    for (int i = 0; i < 3; i++) {
        if (!suits(size[i])) {
            refuse("sizes: needed are three multiples of 4 up to %d with no factor above 5.",
                   LONGEST);
        } else {
            d->half[i] = (ptrdiff_t)size[i] / 2;
            ptrdiff_t n = d->half[i] * 2;
            if (i == 2 && (parts < 2 || parts % 2 || d->half[2] % parts)) {
                refuse("parts: %ld do not fit %zd frequencies along x.", parts,
                       (Py_ssize_t)d->half[2]);
            } else {
                n = i == 2 ? 4 * (d->half[2] / parts) : n;
                d->plan[i] = d->single ? (void *)plan_single(n) : (void *)plan_double(n);
            }
        }
        if (d->plan[i] == NULL) {
            if (!PyErr_Occurred()) {
                PyErr_NoMemory();
            }
            drop(d);
            return -1;
        }
    }
    d->wide = (d->half[1] / 2 + d->lanes - 1) / d->lanes * d->lanes;
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

/* Run a kernel of the right type in room for so many numbers, from the start of a line of memory
 * on, without the interpreter. */
#define RUN(d, items, name, ...)                                              \
    do {                                                                      \
        char *memory = malloc((size_t)(items) * ((d)->single ? 4 : 8) + 64);  \
        void *room = memory + (64 - (uintptr_t)memory % 64);                  \
        if (memory == NULL) {                                                 \
            PyErr_NoMemory();                                                 \
            break;                                                            \
        }                                                                     \
        Py_BEGIN_ALLOW_THREADS                                                \
        if ((d)->single) {                                                    \
            name##_single(__VA_ARGS__);                                       \
        } else {                                                              \
            name##_double(__VA_ARGS__);                                       \
        }                                                                     \
        Py_END_ALLOW_THREADS                                                  \
        free(memory);                                                         \
    } while (0)

static PyObject *py_pair_lanes(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *given[5];
    long first, last;
    double centre, scale;
    if (!PyArg_ParseTuple(args, "OOddllOOO", &given[0], &given[1], &centre, &scale, &first, &last,
                          &given[2], &given[3], &given[4])) {
        return NULL;
    }
    const int size = real_size(given[3]);
    const Need needs[5] = {{"mask", 'u', 1, 3, 0},
                           {"values", 'f', 8, 1, 0},
                           {"inside", 'u', 1, 4, 1},
                           {"out", 'f', size, 4, 1},
                           {"ends", 'i', 4, 3, 1}};
    Array a[5];
    if (take_arrays(given, needs, 5, a) < 0) {
        return NULL;
    }
    const Py_ssize_t *dim = a[0].view.shape;
    const ptrdiff_t lanes = size == 4 ? 16 : 8, shape[3] = {dim[0], dim[1], dim[2]};
    const ptrdiff_t blocks = (shape[0] + lanes - 1) / lanes;
    const ptrdiff_t wanted[4] = {blocks, shape[1], shape[2], lanes};
    const ptrdiff_t rows[3] = {blocks, shape[1], 2};
    const uint8_t *mask = a[0].view.buf;
    if (count_of(mask, shape[0] * shape[1] * shape[2]) != a[1].view.shape[0]) {
        refuse("values: needed is one for each voxel of the mask.");
    } else if (shape[2] > INT32_MAX) {
        refuse("mask: rows are longer than %d.", INT32_MAX);
    } else if (need_shape(&a[2], "inside", wanted) == 0 && need_shape(&a[3], "out", wanted) == 0 &&
               need_shape(&a[4], "ends", rows) == 0 && shares_ok(first, last, blocks)) {
        Py_BEGIN_ALLOW_THREADS
        if (size == 4) {
            lanes_single(mask, a[1].view.buf, centre, scale, shape, first, last, a[2].view.buf,
                         a[3].view.buf, a[4].view.buf);
        } else {
            lanes_double(mask, a[1].view.buf, centre, scale, shape, first, last, a[2].view.buf,
                         a[3].view.buf, a[4].view.buf);
        }
        Py_END_ALLOW_THREADS
    }
    give_back(a, 5);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static PyObject *py_pair_weights(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *given[3];
    long parts, first;
    if (!PyArg_ParseTuple(args, "OOllO", &given[0], &given[1], &parts, &first, &given[2])) {
        return NULL;
    }
    const Need needs[3] = {{"sizes", 'i', 8, 1, 0},
                           {"kernel", 'f', 8, 3, 0},
                           {"out", 'f', real_size(given[2]), 4, 1}};
    Array a[3];
    Padded d;
    if (take_arrays(given, needs, 3, a) < 0) {
        return NULL;
    }
    const Py_ssize_t *dim = a[1].view.shape;
    const ptrdiff_t size[3] = {dim[0], dim[1], dim[2]};
    if (padded(&a[0], parts, needs[2].itemsize, &d) == 0) {
        const ptrdiff_t deep = a[2].view.shape[1];
        ptrdiff_t wanted[4] = {d.half[2], deep, 2, d.wide};
        if (deep > d.half[0] || size[1] > d.half[1] || size[2] > d.half[2]) {
            refuse("kernel, sizes: sizes must be at least twice those of the kernel.");
        } else if (need_shape(&a[2], "out", wanted) == 0 &&
                   shares_ok(first, first + (long)size[0], deep)) {
            ptrdiff_t longest = d.half[1] > d.half[2] ? d.half[1] : d.half[2];
            ptrdiff_t items = (size[2] + d.lanes) * 2 * d.wide + size[1] * d.lanes;
            items += 2 * d.half[2] * parts + d.lanes + longest * d.lanes;
            RUN(&d, items, weights, a[1].view.buf, size, deep, (void *)d.plan, parts, first, room,
                a[2].view.buf);
        }
        drop(&d);
    }
    give_back(a, 3);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

/* Numbers that the sums over a part need room for, beside its spectra along x. */
static ptrdiff_t room_of(const Padded *d, const ptrdiff_t *shape, ptrdiff_t m)
{
    ptrdiff_t lanes = d->lanes, line = 2 * lanes;
    ptrdiff_t along_x = 8 * shape[2] + lanes + 2 * shape[2] * lanes + 3 * ROWS * m * line;
    ptrdiff_t along_y = d->wide * line + lanes * line, along_z = 3 * d->half[0] * lanes;
    ptrdiff_t later = 3 * d->wide * shape[0] * line + d->half[0] * lanes;
    later += along_y > along_z ? along_y : along_z;
    return along_x > later ? along_x : later;
}

/* Whether the ends of rows lie in order within them. */
int ends_ok(const int32_t *ends, ptrdiff_t rows, ptrdiff_t columns)
{
    for (ptrdiff_t r = 0; r < rows; r++) {
        if (ends[2 * r] < 0 || ends[2 * r] > ends[2 * r + 1] || ends[2 * r + 1] > columns) {
            refuse("ends: those of row %zd do not lie in order within it.", (Py_ssize_t)r);
            return 0;
        }
    }
    return 1;
}

/* Check where fields lie: the mask and y (blocks, rows, columns, lanes) and the ends of their rows,
 * or no mask and three fields in front of these axes. */
static int fields_ok(const Array *inside, const Array *values, const Array *ends, const Padded *d,
                     ptrdiff_t *shape)
{
    const Py_ssize_t *dim = values->view.shape + (inside == NULL);
    ptrdiff_t three = 3;
    for (int i = 0; i < 3; i++) {
        shape[i] = dim[i];
    }
    const ptrdiff_t blocks = (2 * d->half[0] + d->lanes - 1) / d->lanes;
    const ptrdiff_t wanted[4] = {shape[0], shape[1], shape[2], d->lanes};
    if (shape[0] < 1 || shape[0] > blocks || shape[1] < 1 || shape[1] > 2 * d->half[1] ||
        shape[2] < 1 || shape[2] > 2 * d->half[2]) {
        refuse("values, sizes: sizes must be at least those of the lanes.");
        return 0;
    }
    if (inside == NULL) {
        const ptrdiff_t all[5] = {three, wanted[0], wanted[1], wanted[2], wanted[3]};
        return need_shape(values, "values", all) == 0;
    }
    const ptrdiff_t rows[3] = {shape[0], shape[1], 2};
    return need_shape(inside, "inside", wanted) == 0 &&
           need_shape(values, "values", wanted) == 0 && need_shape(ends, "ends", rows) == 0 &&
           ends_ok(ends->view.buf, shape[0] * shape[1], shape[2]);
}

static PyObject *py_pair_sums(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *given[7];
    long parts, part;
    if (!PyArg_ParseTuple(args, "OOOOOllOO", &given[5], &given[0], &given[6], &given[1], &given[2],
                          &parts, &part, &given[3], &given[4])) {
        return NULL;
    }
    const int size = real_size(given[0]), alone = given[5] == Py_None;
    const Need needs[7] = {{"values", 'f', size, alone ? 5 : 4, 0}, {"weights", 'f', size, 4, 0},
                           {"sizes", 'i', 8, 1, 0},    {"spectra", 'f', size, 6, 1},
                           {"out", 'f', 8, 1, 1},      {"inside", 'u', 1, 4, 0},
                           {"ends", 'i', 4, 3, 0}};
    const int count = alone ? 5 : 7;
    Array a[7];
    Padded d;
    if (take_arrays(given, needs, count, a) < 0) {
        return NULL;
    }
    const ptrdiff_t three = 3;
    ptrdiff_t shape[3];
    if (need_shape(&a[4], "out", &three) == 0 && padded(&a[2], parts, size, &d) == 0) {
        const ptrdiff_t m = d.half[2] / parts, deep = a[1].view.shape[1];
        const ptrdiff_t weight[4] = {d.half[2], deep, 2, d.wide};
        if (part < 0 || part >= parts) {
            refuse("part: %ld is not one of %ld.", part, parts);
        } else if (deep > d.half[0]) {
            refuse("weights: %zd distances along z do not fit the sizes.", (Py_ssize_t)deep);
        } else if (fields_ok(alone ? NULL : &a[5], &a[0], &a[6], &d, shape) &&
                   need_shape(&a[1], "weights", weight) == 0) {
            const ptrdiff_t wanted[6] = {m, 3, shape[0], shape[1], 2, d.lanes};
            if (need_shape(&a[3], "spectra", wanted) == 0) {
                RUN(&d, room_of(&d, shape, m), part_sums, alone ? NULL : a[5].view.buf,
                    a[0].view.buf, alone ? NULL : a[6].view.buf,
                    shape[0] * shape[1] * shape[2] * d.lanes, a[1].view.buf, deep, shape,
                    (void *)d.plan, parts, part, a[3].view.buf, room, a[4].view.buf);
            }
        }
        drop(&d);
    }
    give_back(a, count);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

PyMethodDef pair_methods[] = {
    {"pair_lanes", py_pair_lanes, METH_VARARGS,
     "pair_lanes(mask, values, centre, scale, first, last, inside, out, ends): put the mask and "
     "(value - centre) * scale of blocks first to last - 1 of slices side by side, into zeros "
     "(blocks, rows, columns, lanes), and the first voxel of each row and the one past the last "
     "to ends (blocks, rows, 2); a block has 16 lanes in single and 8 in double precision."},
    {"pair_weights", py_pair_weights, METH_VARARGS,
     "pair_weights(sizes, kernel, parts, first, out): write the spectrum along x and y of a kernel "
     "(distances z, y, x), for distances along z from first on, to out (frequencies x, distances "
     "z, 2, frequencies y of a class, filled up to lanes)."},
    {"pair_sums", py_pair_sums, METH_VARARGS,
     "pair_sums(inside, values, ends, weights, sizes, parts, part, spectra, out): add weighted sums of "
     "|mask|^2, |value|^2 and mask conj(value^2) over a part of the frequencies along x to out "
     "(3,); where inside and ends are None, values holds the mask, the values and their squares; "
     "spectra is room (frequencies of a part, 3, blocks, rows, 2, lanes)."},
    {NULL, NULL, 0, NULL},
};
