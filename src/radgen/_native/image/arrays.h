/* Arrays that Python passes in: taken through the buffer protocol, checked, given back. */
#ifndef RADGEN_ARRAYS_H
#define RADGEN_ARRAYS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <stdint.h>

/* Loops that wide registers speed up are compiled for each width of register; without FMA, so
 * that roundings are the same on every machine. */
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && defined(__GLIBC__)
#if __GNUC__ >= 12
#define CLONES __attribute__((target_clones("default", "avx2", "arch=x86-64-v4")))
#else
#define CLONES __attribute__((target_clones("default", "avx2")))
#endif
#else
#define CLONES
#endif

/* Before a loop whose rounds do not depend on each other. */
#if defined(__GNUC__) && !defined(__clang__)
#define IVDEP _Pragma("GCC ivdep")
#elif defined(__clang__)
#define IVDEP _Pragma("clang loop vectorize(assume_safety)")
#elif defined(_MSC_VER)
#define IVDEP __pragma(loop(ivdep))
#else
#define IVDEP
#endif

static inline int lowest_bit(uint64_t bits)
{
#if defined(__GNUC__)
    return __builtin_ctzll(bits);
#else
    int at = 0;
    while (!(bits >> at & 1)) {
        at++;
    }
    return at;
#endif
}

typedef struct {
    Py_buffer view;
    int held;
} Array;

/* One array that a kernel needs: kind is 'u', 'i' or 'f'; itemsize 0 admits 1 or 2 bytes. */
typedef struct {
    const char *name;
    char kind;
    int itemsize;
    int ndim;
    int writable;
} Need;

typedef struct {
    ptrdiff_t nz, ny, nx;
    ptrdiff_t mz, my, mx; /* margins of zeros on every side */
} Grid;

int take_array(PyObject *object, const Need *need, Array *array);
int take_arrays(PyObject *const *objects, const Need *needs, int count, Array *arrays);
void give_back(Array *arrays, int count);
int need_shape(const Array *array, const char *name, const ptrdiff_t *shape);
int grid_of(const Array *array, ptrdiff_t mz, ptrdiff_t my, ptrdiff_t mx, Grid *grid);
PyObject *refuse(const char *format, ...);
int ends_ok(const int32_t *ends, ptrdiff_t rows, ptrdiff_t columns);

extern PyMethodDef matrix_methods[];
extern PyMethodDef zone_methods[];
extern PyMethodDef neighbour_methods[];
extern PyMethodDef shape_methods[];
extern PyMethodDef ball_methods[];
extern PyMethodDef near_ball_methods[];
extern PyMethodDef voxel_methods[];
extern PyMethodDef hull_methods[];
extern PyMethodDef box_methods[];
extern PyMethodDef lattice_methods[];
extern PyMethodDef pair_methods[];
extern PyMethodDef coarse_methods[];
extern PyMethodDef number_methods[];

#endif
