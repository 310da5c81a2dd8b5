/* Intensities of a region as one row of numbers: sums of powers, and grey levels. */
#include "arrays.h"

#include <math.h>
#include <stdlib.h>

#define LANES 8
#define PART 512 /* numbers whose sums are kept apart: the error of a sum stays that of a part */

enum { ABSOLUTE, SECOND, THIRD, FOURTH, FROM_MEDIAN, RAW, N_SUMS };

CLONES static void sums_of(const double *values, ptrdiff_t n, double mean, double median,
                           double *out)
{
    for (int k = 0; k < N_SUMS; k++) {
        out[k] = 0;
    }
    for (ptrdiff_t from = 0; from < n; from += PART) {
        double sum[N_SUMS][LANES] = {{0}};
        const ptrdiff_t stop = n - from < PART ? n : from + PART;
        ptrdiff_t i = from;
        for (; i + LANES <= stop; i += LANES) {
            for (int l = 0; l < LANES; l++) {
                const double x = values[i + l], gap = x - mean, square = gap * gap;
                sum[ABSOLUTE][l] += fabs(gap);
                sum[SECOND][l] += square;
                sum[THIRD][l] += square * gap;
                sum[FOURTH][l] += square * square;
                sum[FROM_MEDIAN][l] += fabs(x - median);
                sum[RAW][l] += x * x;
            }
        }
        for (; i < stop; i++) {
            const double x = values[i], gap = x - mean, square = gap * gap;
            sum[ABSOLUTE][0] += fabs(gap);
            sum[SECOND][0] += square;
            sum[THIRD][0] += square * gap;
            sum[FOURTH][0] += square * square;
            sum[FROM_MEDIAN][0] += fabs(x - median);
            sum[RAW][0] += x * x;
        }
        for (int k = 0; k < N_SUMS; k++) {
            double part = 0;
            for (int l = 0; l < LANES; l++) {
                part += sum[k][l];
            }
            out[k] += part;
        }
    }
}

static PyObject *py_power_sums(PyObject *self, PyObject *args)
{
    static const Need needs[] = {{"values", 'f', 8, 1, 0}, {"out", 'f', 8, 1, 1}};
    PyObject *objects[2];
    double mean, median;
    Array a[2];
    (void)self;
    if (!PyArg_ParseTuple(args, "OddO:power_sums", &objects[0], &mean, &median, &objects[1]) ||
        take_arrays(objects, needs, 2, a) < 0) {
        return NULL;
    }
    const ptrdiff_t shape[1] = {N_SUMS};
    if (need_shape(&a[1], "out", shape) == 0) {
        Py_BEGIN_ALLOW_THREADS
        sums_of(a[0].view.buf, a[0].view.shape[0], mean, median, a[1].view.buf);
        Py_END_ALLOW_THREADS
    }
    give_back(a, 2);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

/* floor(count (x - low) / width) + 1, at most count: the operations of the definition, in order. */
#define LEVELS(name, type)                                                                         \
    CLONES static void name(const double *values, ptrdiff_t n, double count, double low,           \
                            double width, type *out)                                               \
    {                                                                                              \
        for (ptrdiff_t i = 0; i < n; i++) {                                                        \
            const double level = floor(count * (values[i] - low) / width) + 1.0;                   \
            out[i] = (type)(int32_t)(level > count ? count : level);                               \
        }                                                                                          \
    }

LEVELS(levels_1, uint8_t)
LEVELS(levels_2, uint16_t)

static PyObject *py_number_levels(PyObject *self, PyObject *args)
{
    static const Need needs[] = {{"values", 'f', 8, 1, 0}, {"out", 'u', 0, 1, 1}};
    PyObject *objects[2];
    Py_ssize_t count;
    double low, high;
    Array a[2];
    (void)self;
    if (!PyArg_ParseTuple(args, "OnddO:number_levels", &objects[0], &count, &low, &high,
                          &objects[1]) ||
        take_arrays(objects, needs, 2, a) < 0) {
        return NULL;
    }
    const ptrdiff_t n = a[0].view.shape[0], shape[1] = {n};
    const int small = a[1].view.itemsize == 1;
    const double *values = a[0].view.buf;
    if (count < 1 || count > (small ? UINT8_MAX : UINT16_MAX)) {
        refuse("count: %zd levels do not fit.", count);
    } else if (!(isfinite(low) && isfinite(high) && low < high && isfinite(high - low))) {
        refuse("low, high: no range of numbers.");
    } else if (need_shape(&a[1], "out", shape) == 0) {
        int outside = 0;
        Py_BEGIN_ALLOW_THREADS
        for (ptrdiff_t i = 0; i < n; i++) {
            outside |= !(values[i] >= low && values[i] <= high);
        }
        if (!outside && small) {
            levels_1(values, n, (double)count, low, high - low, a[1].view.buf);
        } else if (!outside) {
            levels_2(values, n, (double)count, low, high - low, a[1].view.buf);
        }
        Py_END_ALLOW_THREADS
        if (outside) {
            refuse("values: one lies outside low and high.");
        }
    }
    give_back(a, 2);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

/* Count values low, low + 1, … up to n of them. Returns 0 at the first block with another value. */
CLONES static int count_whole(const double *values, ptrdiff_t count, double low, ptrdiff_t n,
                              uint64_t *out)
{
    for (ptrdiff_t from = 0; from < count; from += PART) {
        int32_t at[PART], good = 1;
        const ptrdiff_t size = count - from < PART ? count - from : PART;
        for (ptrdiff_t i = 0; i < size; i++) {
            const double step = values[from + i] - low;
            const int inside = (step >= 0) & (step < (double)n);
            at[i] = (int32_t)(inside ? step : 0);
            good &= inside & ((double)at[i] == step);
        }
        if (!good) {
            return 0;
        }
        for (ptrdiff_t i = 0; i < size; i++) {
            out[at[i]]++;
        }
    }
    return 1;
}

static PyObject *py_whole_counts(PyObject *self, PyObject *args)
{
    static const Need needs[] = {{"values", 'f', 8, 1, 0}, {"out", 'i', 8, 1, 1}};
    PyObject *objects[2];
    double low;
    int whole = 0;
    Array a[2];
    (void)self;
    if (!PyArg_ParseTuple(args, "OdO:whole_counts", &objects[0], &low, &objects[1]) ||
        take_arrays(objects, needs, 2, a) < 0) {
        return NULL;
    }
    const ptrdiff_t n = a[1].view.shape[0];
    if (n > INT32_MAX) {
        refuse("out: more than 2^31 - 1 counts.");
    } else {
        Py_BEGIN_ALLOW_THREADS
        whole = count_whole(a[0].view.buf, a[0].view.shape[0], low, n, a[1].view.buf);
        Py_END_ALLOW_THREADS
    }
    give_back(a, 2);
    return PyErr_Occurred() ? NULL : PyBool_FromLong(whole);
}

enum { SIDE = 4 }; /* counts side by side, so that equal neighbours do not wait for each other */

/* Count levels below n. Returns 0 where one is not. */
#define COUNT(name, type)                                                                          \
    static int name(const type *levels, ptrdiff_t count, ptrdiff_t n, uint64_t *room)               \
    {                                                                                              \
        type most = 0;                                                                             \
        for (ptrdiff_t i = 0; i < count; i++) {                                                    \
            most = levels[i] > most ? levels[i] : most;                                            \
        }                                                                                          \
        for (ptrdiff_t i = 0; most < n && i < count; i++) {                                        \
            room[i % SIDE * n + levels[i]]++;                                                      \
        }                                                                                          \
        return most < n;                                                                           \
    }

COUNT(count_1, uint8_t)
COUNT(count_2, uint16_t)

static PyObject *py_level_counts(PyObject *self, PyObject *args)
{
    static const Need needs[] = {{"levels", 'u', 0, 1, 0}, {"out", 'i', 8, 1, 1}};
    PyObject *objects[2];
    Array a[2];
    (void)self;
    if (!PyArg_ParseTuple(args, "OO:level_counts", &objects[0], &objects[1]) ||
        take_arrays(objects, needs, 2, a) < 0) {
        return NULL;
    }
    const ptrdiff_t count = a[0].view.shape[0], n = a[1].view.shape[0];
    uint64_t *out = a[1].view.buf, *room = calloc((size_t)n * SIDE + 1, sizeof *room);
    int good = 0;
    if (room == NULL) {
        PyErr_NoMemory();
    } else if (n > 1 << 16 || n < 1) {
        refuse("out: needed are from 1 to 65536 counts.");
    } else {
        Py_BEGIN_ALLOW_THREADS
        good = a[0].view.itemsize == 1 ? count_1(a[0].view.buf, count, n, room)
                                       : count_2(a[0].view.buf, count, n, room);
        for (ptrdiff_t i = 0; good && i < n; i++) {
            for (int k = 0; k < SIDE; k++) {
                out[i] += room[k * n + i];
            }
        }
        Py_END_ALLOW_THREADS
        if (!good) {
            refuse("levels: one is not below %zd.", (Py_ssize_t)n);
        }
    }
    free(room);
    give_back(a, 2);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

PyMethodDef number_methods[] = {
    {"power_sums", py_power_sums, METH_VARARGS,
     "power_sums(values, mean, median, out): write the sums of |x - mean|, of its second, third "
     "(signed) and fourth powers, of |x - median| and of x squared."},
    {"number_levels", py_number_levels, METH_VARARGS,
     "number_levels(values, count, low, high, out): write the level of each value among count "
     "bins from low to high, from 1; the highest value belongs to the last bin."},
    {"level_counts", py_level_counts, METH_VARARGS,
     "level_counts(levels, out): add the number of voxels of each level, from 0, to out."},
    {"whole_counts", py_whole_counts, METH_VARARGS,
     "whole_counts(values, low, out): add the number of values low, low + 1, … to out; return "
     "False, with out half done, where there is another value."},
    {NULL, NULL, 0, NULL},
};
