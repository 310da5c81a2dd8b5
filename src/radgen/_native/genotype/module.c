/* Python's door to the genotype kernels: buffers in, buffers out, the GIL released. */
#include "bed_input.h"

#include <math.h>
#include <stdlib.h>

PyDoc_STRVAR(bed_dosage_doc,
             "bed_dosage(packed, n_file, columns, lut, out)\n\n"
             "Write float32 (rows, samples): lut (4 float32) maps the two-bit codes to values.");

static PyObject *bed_dosage(PyObject *self, PyObject *args)
{
    PyObject *packed, *columns, *lut, *out;
    Py_ssize_t n_file;
    bed_input input;
    Py_buffer values, view;
    (void)self;
    if (!PyArg_ParseTuple(args, "OnOOO", &packed, &n_file, &columns, &lut, &out))
        return NULL;
    if (bed_open(&input, packed, columns, n_file) < 0)
        return NULL;
    if (take(lut, &values, 0, 4 * sizeof(float), "lut") < 0) {
        bed_close(&input);
        return NULL;
    }
    Py_ssize_t n = input.block.n_columns;
    if (take(out, &view, 1, input.block.n_rows * n * (Py_ssize_t)sizeof(float), "out") < 0) {
        PyBuffer_Release(&values);
        bed_close(&input);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t row = 0; row < input.block.n_rows; row++)
        bed_fill_f32(bed_row(&input.block, row), n, values.buf, (float *)view.buf + row * n);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&view);
    PyBuffer_Release(&values);
    bed_close(&input);
    Py_RETURN_NONE;
}

static void bed_stats(const uint8_t *row, Py_ssize_t n, int flip, double stats[3])
{
    int64_t counts[4];
    bed_counts(row, n, counts);
    double two = (double)(flip ? counts[3] : counts[0]);
    stats[0] = (double)(counts[0] + counts[2] + counts[3]);
    stats[1] = 2.0 * two + (double)counts[2];
    stats[2] = 4.0 * two + (double)counts[2];
}

/* Centred dosages of the four codes. */
static void centred_codes(int flip, const double stats[3], double lut[4])
{
    double mean = stats[0] > 0 ? stats[1] / stats[0] : 0.0;
    lut[0] = (flip ? 0.0 : 2.0) - mean;
    lut[1] = 0.0;
    lut[2] = 1.0 - mean;
    lut[3] = (flip ? 2.0 : 0.0) - mean;
}

static void bed_fill(const uint8_t *row, Py_ssize_t n, int flip, Py_ssize_t item,
                     const double stats[3], void *out)
{
    double lut[4];
    centred_codes(flip, stats, lut);
    if (item == (Py_ssize_t)sizeof(float)) {
        float single[4] = {(float)lut[0], 0.0f, (float)lut[2], (float)lut[3]};
        bed_fill_f32(row, n, single, out);
    } else {
        bed_fill_f64(row, n, lut, out);
    }
}

PyDoc_STRVAR(bed_centre_doc,
             "bed_centre(packed, n_file, columns, flip, itemsize, out, stats)\n\n"
             "Write dosage minus its mean (missing = 0) as float32 or float64 (rows, samples), and\n"
             "float64 (rows, 3): calls, sum and sum of squares of the dosage.");

static PyObject *bed_centre(PyObject *self, PyObject *args)
{
    PyObject *packed, *columns, *out, *stats;
    Py_ssize_t n_file, item;
    int flip;
    bed_input input;
    Py_buffer view, sums;
    (void)self;
    if (!PyArg_ParseTuple(args, "OnOpnOO", &packed, &n_file, &columns, &flip, &item, &out, &stats))
        return NULL;
    if (item != (Py_ssize_t)sizeof(float) && item != (Py_ssize_t)sizeof(double)) {
        PyErr_SetString(PyExc_ValueError, "itemsize is 4 or 8");
        return NULL;
    }
    if (bed_open(&input, packed, columns, n_file) < 0)
        return NULL;
    Py_ssize_t rows = input.block.n_rows, n = input.block.n_columns;
    if (take(out, &view, 1, rows * n * item, "out") < 0) {
        bed_close(&input);
        return NULL;
    }
    if (take(stats, &sums, 1, rows * 3 * (Py_ssize_t)sizeof(double), "stats") < 0) {
        PyBuffer_Release(&view);
        bed_close(&input);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t row = 0; row < rows; row++) {
        const uint8_t *from = bed_row(&input.block, row);
        double *stats_row = (double *)sums.buf + 3 * row;
        bed_stats(from, n, flip, stats_row);
        bed_fill(from, n, flip, item, stats_row, (char *)view.buf + row * n * item);
    }
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&sums);
    PyBuffer_Release(&view);
    bed_close(&input);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(bed_missing_doc,
             "bed_missing(packed, n_file, columns, indices, ends)\n\n"
             "Write the positions of missing calls, int32, variant after variant, and where each\n"
             "variant's positions end, int64 (rows,).");

static PyObject *bed_missing(PyObject *self, PyObject *args)
{
    PyObject *packed, *columns, *indices, *ends;
    Py_ssize_t n_file;
    bed_input input;
    Py_buffer index, end;
    int fits = 1;
    (void)self;
    if (!PyArg_ParseTuple(args, "OnOOO", &packed, &n_file, &columns, &indices, &ends))
        return NULL;
    if (bed_open(&input, packed, columns, n_file) < 0)
        return NULL;
    Py_ssize_t rows = input.block.n_rows;
    if (take(indices, &index, 1, -1, "indices") < 0) {
        bed_close(&input);
        return NULL;
    }
    if (take(ends, &end, 1, rows * (Py_ssize_t)sizeof(int64_t), "ends") < 0) {
        PyBuffer_Release(&index);
        bed_close(&input);
        return NULL;
    }
    Py_ssize_t room = index.len / (Py_ssize_t)sizeof(int32_t), at = 0;
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t row = 0; row < rows && fits; row++) {
        Py_ssize_t more = bed_positions(bed_row(&input.block, row), input.block.n_columns, 1,
                                        room - at, (int32_t *)index.buf + at);
        fits = more >= 0;
        at += fits ? more : 0;
        ((int64_t *)end.buf)[row] = at;
    }
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&end);
    PyBuffer_Release(&index);
    bed_close(&input);
    if (!fits) {
        PyErr_SetString(PyExc_ValueError, "indices is too short for the missing calls");
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(bed_products_doc,
             "bed_products(packed, n_file, columns, flip, limit, weights, totals, product, stats,\n"
             "             dense)\n\n"
             "Write the statistics of every row as bed_centre does. Of rows with at most `limit`\n"
             "carriers of the rarer allele or missing calls also write the products of the centred\n"
             "dosage with float32 weights (samples, k), whose float64 column sums are totals, into\n"
             "float32 (rows, k); dense, uint8 (rows,), is 1 for the other rows.");

static PyObject *bed_products(PyObject *self, PyObject *args)
{
    PyObject *packed, *columns, *objects[5];
    const int writable[5] = {0, 0, 1, 1, 1};
    Py_ssize_t n_file, limit;
    int flip;
    bed_input input;
    Py_buffer views[5];
    (void)self;
    if (!PyArg_ParseTuple(args, "OnOpnOOOOO", &packed, &n_file, &columns, &flip, &limit,
                          &objects[0], &objects[1], &objects[2], &objects[3], &objects[4]))
        return NULL;
    if (bed_open(&input, packed, columns, n_file) < 0)
        return NULL;
    if (take_all(objects, views, writable, 5) < 0) {
        bed_close(&input);
        return NULL;
    }
    const Py_ssize_t rows = input.block.n_rows, n = input.block.n_columns;
    const Py_ssize_t k = views[1].len / (Py_ssize_t)sizeof(double);
    int ok = limit >= 0 && limit <= n && views[0].len == n * k * (Py_ssize_t)sizeof(float) &&
             views[2].len == rows * k * (Py_ssize_t)sizeof(float) &&
             views[3].len == rows * 3 * (Py_ssize_t)sizeof(double) && views[4].len == rows;
    int32_t *index = ok ? malloc((size_t)(limit + 32) * sizeof(int32_t)) : NULL;
    uint8_t *code = ok ? malloc((size_t)limit + 32) : NULL;
    const int room = index != NULL && code != NULL;
    if (room) {
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t row = 0; row < rows; row++) {
            const uint8_t *from = bed_row(&input.block, row);
            double *stats = (double *)views[3].buf + 3 * row;
            int common = 0;
            Py_ssize_t found = limit ? sparse_row(from, n, limit, &common, index, code) : -1;
            ((uint8_t *)views[4].buf)[row] = found < 0;
            if (found < 0)
                bed_stats(from, n, flip, stats);
            else
                sparse_product(index, code, found, common, flip, n, views[0].buf, k,
                               views[1].buf, (float *)views[2].buf + row * k, stats);
        }
        Py_END_ALLOW_THREADS
    }
    free(index);
    free(code);
    release_all(views, 5);
    bed_close(&input);
    if (!ok) {
        PyErr_SetString(PyExc_ValueError, "bed_products: the shapes disagree");
        return NULL;
    }
    if (!room)
        return PyErr_NoMemory();
    Py_RETURN_NONE;
}

PyDoc_STRVAR(bed_rows_doc,
             "bed_rows(packed, n_file, columns, flip, rows, stats, out)\n\n"
             "Write some rows (int32) as float32 dosage minus its mean (missing = 0); stats is\n"
             "that of all rows, from bed_products.");

static PyObject *bed_rows(PyObject *self, PyObject *args)
{
    PyObject *packed, *columns, *objects[3];
    const int writable[3] = {0, 0, 1};
    Py_ssize_t n_file;
    int flip;
    bed_input input;
    Py_buffer views[3];
    (void)self;
    if (!PyArg_ParseTuple(args, "OnOpOOO", &packed, &n_file, &columns, &flip, &objects[0],
                          &objects[1], &objects[2]))
        return NULL;
    if (bed_open(&input, packed, columns, n_file) < 0)
        return NULL;
    if (take_all(objects, views, writable, 3) < 0) {
        bed_close(&input);
        return NULL;
    }
    const int32_t *wanted = views[0].buf;
    const Py_ssize_t many = views[0].len / (Py_ssize_t)sizeof(int32_t), n = input.block.n_columns;
    int ok = views[1].len == input.block.n_rows * 3 * (Py_ssize_t)sizeof(double) &&
             views[2].len == many * n * (Py_ssize_t)sizeof(float);
    for (Py_ssize_t i = 0; ok && i < many; i++)
        ok = wanted[i] >= 0 && wanted[i] < input.block.n_rows;
    if (ok) {
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t i = 0; i < many; i++)
            bed_fill(bed_row(&input.block, wanted[i]), n, flip, sizeof(float),
                     (const double *)views[1].buf + 3 * wanted[i], (float *)views[2].buf + i * n);
        Py_END_ALLOW_THREADS
    }
    release_all(views, 3);
    bed_close(&input);
    if (!ok) {
        PyErr_SetString(PyExc_ValueError, "bed_rows: the shapes or rows disagree");
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(bed_squares_doc,
             "bed_squares(packed, n_file, columns, flip, stats, weights, out)\n\n"
             "Write the sums of squares of the centred dosages, weighted by float32 weights (k,\n"
             "samples), as float64 (rows, k); stats is that of bed_products.");

static PyObject *bed_squares(PyObject *self, PyObject *args)
{
    PyObject *packed, *columns, *objects[3];
    const int writable[3] = {0, 0, 1};
    Py_ssize_t n_file;
    int flip;
    bed_input input;
    Py_buffer views[3];
    (void)self;
    if (!PyArg_ParseTuple(args, "OnOpOOO", &packed, &n_file, &columns, &flip, &objects[0],
                          &objects[1], &objects[2]))
        return NULL;
    if (bed_open(&input, packed, columns, n_file) < 0)
        return NULL;
    if (take_all(objects, views, writable, 3) < 0) {
        bed_close(&input);
        return NULL;
    }
    const Py_ssize_t rows = input.block.n_rows, n = input.block.n_columns;
    const Py_ssize_t k = n ? views[1].len / (n * (Py_ssize_t)sizeof(float)) : 0;
    int ok = views[0].len == rows * 3 * (Py_ssize_t)sizeof(double) &&
             views[1].len == k * n * (Py_ssize_t)sizeof(float) &&
             views[2].len == rows * k * (Py_ssize_t)sizeof(double);
    if (ok) {
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t row = 0; row < rows; row++) {
            double lut[4];
            centred_codes(flip, (const double *)views[0].buf + 3 * row, lut);
            float single[4] = {(float)lut[0], 0.0f, (float)lut[2], (float)lut[3]};
            bed_squares_row(bed_row(&input.block, row), n, single, views[1].buf, k,
                            (double *)views[2].buf + row * k);
        }
        Py_END_ALLOW_THREADS
    }
    release_all(views, 3);
    bed_close(&input);
    if (!ok) {
        PyErr_SetString(PyExc_ValueError, "bed_squares: the shapes disagree");
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(centre_doc,
             "centre(dosage, n_rows, itemsize, out, stats)\n\n"
             "As bed_centre, of float32 dosages (rows, samples) with NaN = missing.");

static PyObject *centre(PyObject *self, PyObject *args)
{
    PyObject *dosage, *out, *stats;
    Py_ssize_t rows, item;
    Py_buffer in, view, sums;
    (void)self;
    if (!PyArg_ParseTuple(args, "OnnOO", &dosage, &rows, &item, &out, &stats))
        return NULL;
    if (item != (Py_ssize_t)sizeof(float) && item != (Py_ssize_t)sizeof(double)) {
        PyErr_SetString(PyExc_ValueError, "itemsize is 4 or 8");
        return NULL;
    }
    if (take(dosage, &in, 0, -1, "dosage") < 0)
        return NULL;
    Py_ssize_t n = rows > 0 ? in.len / (rows * (Py_ssize_t)sizeof(float)) : 0;
    if (in.len != rows * n * (Py_ssize_t)sizeof(float)) {
        PyErr_SetString(PyExc_ValueError, "dosage is not a whole number of variants");
        PyBuffer_Release(&in);
        return NULL;
    }
    if (take(out, &view, 1, rows * n * item, "out") < 0) {
        PyBuffer_Release(&in);
        return NULL;
    }
    if (take(stats, &sums, 1, rows * 3 * (Py_ssize_t)sizeof(double), "stats") < 0) {
        PyBuffer_Release(&view);
        PyBuffer_Release(&in);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t row = 0; row < rows; row++) {
        const float *from = (const float *)in.buf + row * n;
        double *to = (double *)sums.buf + 3 * row;
        if (item == (Py_ssize_t)sizeof(float))
            centre_f32(from, n, (float *)view.buf + row * n, to);
        else
            centre_f64(from, n, (double *)view.buf + row * n, to);
    }
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&sums);
    PyBuffer_Release(&view);
    PyBuffer_Release(&in);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"bed_dosage", bed_dosage, METH_VARARGS, bed_dosage_doc},
    {"bed_centre", bed_centre, METH_VARARGS, bed_centre_doc},
    {"bed_products", bed_products, METH_VARARGS, bed_products_doc},
    {"bed_rows", bed_rows, METH_VARARGS, bed_rows_doc},
    {"bed_squares", bed_squares, METH_VARARGS, bed_squares_doc},
    {"bed_missing", bed_missing, METH_VARARGS, bed_missing_doc},
    {"centre", centre, METH_VARARGS, centre_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_genotype", "Genotype kernels.", -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__genotype(void)
{
    bed_init();
    PyObject *made = PyModule_Create(&module);
    if (made != NULL && (PyModule_AddFunctions(made, test_methods) < 0 ||
                         PyModule_AddFunctions(made, integer_methods) < 0)) {
        Py_DECREF(made);
        return NULL;
    }
    return made;
}
