/* Co-occurrence and run length matrices: one pass a family for all directions. */
#include "levels.h"

#include <stdlib.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

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
#include "matrix_kernels.h"
#undef LEVEL
#undef KERNEL
#define LEVEL uint16_t
#define KERNEL(name) name##_16
#include "matrix_kernels.h"
#undef LEVEL
#undef KERNEL

static const Need OFFSETS = {"offsets", 'i', 4, 2, 0};

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

PyMethodDef matrix_methods[] = {
    {"glcm", py_glcm, METH_VARARGS,
     "glcm(levels, offsets, n_levels, period, out): add co-occurrence counts to out (slices, "
     "offsets, n_levels + 1, n_levels + 1)."},
    {"glrlm", py_glrlm, METH_VARARGS,
     "glrlm(levels, offsets, n_levels, period, equal, out): add run counts to out (slices, "
     "offsets, n_levels + 1, longest axis + 1). equal (slices, offsets, n_levels + 1) holds how "
     "many neighbours along an offset share a level, or is None."},
    {NULL, NULL, 0, NULL},
};
