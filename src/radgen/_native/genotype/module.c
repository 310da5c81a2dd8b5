/* Python's door to the genotype kernels: buffers in, buffers out, the GIL released. */
#include "genotype.h"

#include <math.h>
#include <stdlib.h>

static int take(PyObject *object, Py_buffer *view, int writable, Py_ssize_t size, const char *what)
{
    int flags = PyBUF_C_CONTIGUOUS | (writable ? PyBUF_WRITABLE : 0);
    if (PyObject_GetBuffer(object, view, flags) < 0)
        return -1;
    if (size >= 0 && view->len != size) {
        PyErr_Format(PyExc_ValueError, "%s holds %zd bytes; needed are %zd", what, view->len, size);
        PyBuffer_Release(view);
        return -1;
    }
    return 0;
}

/* Take several buffers at once; release all that were taken when one fails. */
static int take_all(PyObject **objects, Py_buffer *views, const int *writable, int n)
{
    for (int i = 0; i < n; i++) {
        if (take(objects[i], &views[i], writable[i], -1, "buffer") < 0) {
            while (i-- > 0)
                PyBuffer_Release(&views[i]);
            return -1;
        }
    }
    return 0;
}

static void release_all(Py_buffer *views, int n)
{
    for (int i = 0; i < n; i++)
        PyBuffer_Release(&views[i]);
}

typedef struct {
    bed_block block;
    Py_buffer packed, columns;
    int has_columns;
} bed_input;

static void bed_close(bed_input *input)
{
    bed_release(&input->block);
    PyBuffer_Release(&input->packed);
    if (input->has_columns)
        PyBuffer_Release(&input->columns);
}

static int bed_open(bed_input *input, PyObject *packed, PyObject *columns, Py_ssize_t n_file)
{
    bed_block *block = &input->block;
    if (n_file <= 0) {
        PyErr_SetString(PyExc_ValueError, "a bed block needs at least one sample");
        return -1;
    }
    block->n_file = n_file;
    block->stride = (n_file + 3) / 4;
    block->columns = NULL;
    block->n_columns = n_file;
    block->masks = block->scratch = NULL;
    input->has_columns = 0;
    if (take(packed, &input->packed, 0, -1, "packed") < 0)
        return -1;
    if (input->packed.len % block->stride) {
        PyErr_SetString(PyExc_ValueError, "packed is not a whole number of variants");
        bed_close(input);
        return -1;
    }
    block->bytes = input->packed.buf;
    block->n_rows = input->packed.len / block->stride;
    if (columns == Py_None)
        return 0;
    if (take(columns, &input->columns, 0, -1, "columns") < 0) {
        bed_close(input);
        return -1;
    }
    input->has_columns = 1;
    block->columns = input->columns.buf;
    block->n_columns = input->columns.len / (Py_ssize_t)sizeof(int64_t);
    for (Py_ssize_t i = 0; i < block->n_columns; i++) {
        if (block->columns[i] < 0 || block->columns[i] >= n_file) {
            PyErr_SetString(PyExc_IndexError, "a sample position lies outside the file");
            bed_close(input);
            return -1;
        }
    }
    if (!bed_select(block)) {
        bed_close(input);
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

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
    int ok = limit >= 0 && views[0].len == n * k * (Py_ssize_t)sizeof(float) &&
             views[2].len == rows * k * (Py_ssize_t)sizeof(float) &&
             views[3].len == rows * 3 * (Py_ssize_t)sizeof(double) && views[4].len == rows;
    int32_t *index = ok ? malloc((size_t)(limit + 1) * sizeof(int32_t)) : NULL;
    uint8_t *code = ok ? malloc((size_t)limit + 1) : NULL;
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

static int valid_index(const Py_buffer *ends, const Py_buffer *index, Py_ssize_t n)
{
    const int64_t *end = ends->buf;
    const int32_t *at = index->buf;
    Py_ssize_t rows = ends->len / (Py_ssize_t)sizeof(int64_t), last = 0;
    for (Py_ssize_t row = 0; row < rows; row++) {
        if (end[row] < last || end[row] > index->len / (Py_ssize_t)sizeof(int32_t))
            return 0;
        last = end[row];
    }
    for (Py_ssize_t i = 0; i < last; i++)
        if (at[i] < 0 || at[i] >= n)
            return 0;
    return 1;
}

PyDoc_STRVAR(missing_terms_doc,
             "missing_terms(indices, ends, n, c, q, k, y, qq, qy, yy)\n\n"
             "For each variant, sums over its missing calls: q'q (c, c), q'y (c, k) and y^2 (k).");

static PyObject *missing_terms(PyObject *self, PyObject *args)
{
    PyObject *objects[7];
    Py_buffer views[7];
    const int writable[7] = {0, 0, 0, 0, 1, 1, 1};
    Py_ssize_t n, c, k;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOnnOnOOOO", &objects[0], &objects[1], &n, &c, &objects[2], &k,
                          &objects[3], &objects[4], &objects[5], &objects[6]))
        return NULL;
    if (take_all(objects, views, writable, 7) < 0)
        return NULL;
    const Py_ssize_t item = sizeof(double), rows = views[1].len / (Py_ssize_t)sizeof(int64_t);
    int ok = views[2].len == n * c * item && views[3].len == n * k * item &&
             views[4].len == rows * c * c * item && views[5].len == rows * c * k * item &&
             views[6].len == rows * k * item && valid_index(&views[1], &views[0], n);
    if (ok) {
        const int64_t *ends = views[1].buf;
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t row = 0; row < rows; row++) {
            int64_t from = row ? ends[row - 1] : 0;
            missing_products((const int32_t *)views[0].buf + from, ends[row] - from, views[2].buf,
                             c, views[3].buf, k, (double *)views[4].buf + row * c * c,
                             (double *)views[5].buf + row * c * k,
                             (double *)views[6].buf + row * k);
        }
        Py_END_ALLOW_THREADS
    }
    release_all(views, 7);
    if (!ok) {
        PyErr_SetString(PyExc_ValueError, "missing_terms: the shapes or positions disagree");
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(missing_sums_doc,
             "missing_sums(indices, ends, n, stride, first, k, values, out)\n\n"
             "For each variant, the float32 sums of squares of the columns first to first + k of\n"
             "values (n, stride) over its missing calls.");

static PyObject *missing_sums(PyObject *self, PyObject *args)
{
    PyObject *objects[4];
    Py_buffer views[4];
    const int writable[4] = {0, 0, 0, 1};
    Py_ssize_t n, stride, first, k;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOnnnnOO", &objects[0], &objects[1], &n, &stride, &first, &k,
                          &objects[2], &objects[3]))
        return NULL;
    if (take_all(objects, views, writable, 4) < 0)
        return NULL;
    const Py_ssize_t item = sizeof(float), rows = views[1].len / (Py_ssize_t)sizeof(int64_t);
    int ok = first >= 0 && k >= 0 && first + k <= stride && views[2].len == n * stride * item && views[3].len == rows * k * item &&
             valid_index(&views[1], &views[0], n);
    if (ok) {
        const int64_t *ends = views[1].buf;
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t row = 0; row < rows; row++) {
            int64_t from = row ? ends[row - 1] : 0;
            missing_squares((const int32_t *)views[0].buf + from, ends[row] - from, (const float *)views[2].buf + first, stride, k,
                            (float *)views[3].buf + row * k);
        }
        Py_END_ALLOW_THREADS
    }
    release_all(views, 4);
    if (!ok) {
        PyErr_SetString(PyExc_ValueError, "missing_sums: the shapes or positions disagree");
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(sums_at_doc,
             "sums_at(indices, ends, weights, out)\n\n"
             "For each variant, the sum of float64 weights (samples,) over its missing calls.");

static PyObject *sums_at(PyObject *self, PyObject *args)
{
    PyObject *objects[4];
    Py_buffer views[4];
    const int writable[4] = {0, 0, 0, 1};
    (void)self;
    if (!PyArg_ParseTuple(args, "OOOO", &objects[0], &objects[1], &objects[2], &objects[3]))
        return NULL;
    if (take_all(objects, views, writable, 4) < 0)
        return NULL;
    const Py_ssize_t item = sizeof(double), rows = views[1].len / (Py_ssize_t)sizeof(int64_t);
    int ok = views[3].len == rows * item && valid_index(&views[1], &views[0], views[2].len / item);
    if (ok) {
        const int64_t *ends = views[1].buf;
        const int32_t *at = views[0].buf;
        const double *weights = views[2].buf;
        double *out = views[3].buf;
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t row = 0; row < rows; row++) {
            double sum = 0;
            for (int64_t i = row ? ends[row - 1] : 0; i < ends[row]; i++)
                sum += weights[at[i]];
            out[row] = sum;
        }
        Py_END_ALLOW_THREADS
    }
    release_all(views, 4);
    if (!ok) {
        PyErr_SetString(PyExc_ValueError, "sums_at: the shapes or positions disagree");
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(screen_doc,
             "screen(product, first, k, weights, indices, ends, peaks, bounds, hist, rows,\n"
             "       columns) -> int\n\n"
             "Write (row, column) of every test whose squared correlation may reach its limit, and\n"
             "count all tests in hist, int64 (k, 640) of t^2 on a log2 scale. The traits are the\n"
             "columns first to first + k of float32 product (rows, width) and weights (samples,\n"
             "width). peaks is float32 (2, k): largest square and root of the sum of fourth powers\n"
             "of each trait. bounds is float64 (8, rows): scale, slack, loss, limit, df, plain,\n"
             "gaps, n.");

static PyObject *screen(PyObject *self, PyObject *args)
{
    PyObject *objects[9];
    Py_buffer views[9];
    const int writable[9] = {0, 0, 0, 0, 0, 0, 1, 1, 1};
    Py_ssize_t k, first, found = 0;
    (void)self;
    if (!PyArg_ParseTuple(args, "OnnOOOOOOOO", &objects[0], &first, &k, &objects[1], &objects[2],
                          &objects[3], &objects[4], &objects[5], &objects[6], &objects[7],
                          &objects[8]))
        return NULL;
    if (take_all(objects, views, writable, 9) < 0)
        return NULL;
    const Py_ssize_t single = sizeof(float);
    const Py_ssize_t n_rows = views[5].len / (SCREEN_BOUNDS * (Py_ssize_t)sizeof(double));
    const Py_ssize_t width = n_rows ? views[0].len / (n_rows * single) : 0;
    const Py_ssize_t n = width ? views[1].len / (width * single) : 0;
    int ok = k > 0 && first >= 0 && first + k <= width && views[8].len == views[7].len &&
             views[7].len / (Py_ssize_t)sizeof(int32_t) >= k * n_rows &&
             views[0].len == n_rows * width * single && views[1].len == n * width * single &&
             views[3].len == n_rows * (Py_ssize_t)sizeof(int64_t) &&
             views[4].len == 2 * k * single &&
             views[6].len == k * HIST_BINS * (Py_ssize_t)sizeof(int64_t) &&
             valid_index(&views[3], &views[2], n);
    float *work = ok ? malloc((size_t)k * sizeof(float)) : NULL;
    if (work != NULL) {
        const double *bounds = views[5].buf;
        const float *peaks = views[4].buf;
        screen_rows rows = {(const float *)views[0].buf + first,
                            width,
                            k,
                            (const float *)views[1].buf + first,
                            width,
                            views[2].buf,
                            views[3].buf,
                            peaks,
                            peaks + k,
                            bounds,
                            bounds + n_rows,
                            bounds + 2 * n_rows,
                            bounds + 3 * n_rows,
                            bounds + 4 * n_rows,
                            bounds + 5 * n_rows,
                            bounds + 6 * n_rows,
                            bounds + 7 * n_rows};
        int32_t *row_out = views[7].buf, *column_out = views[8].buf;
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t row = 0; row < n_rows; row++) {
            Py_ssize_t more = screen_row(&rows, row, views[6].buf, column_out + found, work);
            for (Py_ssize_t i = 0; i < more; i++)
                row_out[found + i] = (int32_t)row;
            found += more;
        }
        Py_END_ALLOW_THREADS
        free(work);
    }
    release_all(views, 9);
    if (!ok) {
        PyErr_SetString(PyExc_ValueError, "screen: the shapes disagree");
        return NULL;
    }
    if (work == NULL)
        return PyErr_NoMemory();
    return PyLong_FromSsize_t(found);
}

PyDoc_STRVAR(quantise_doc,
             "quantise(product, first, k, weights, indices, ends, by, bounds, out, hist, rows,\n"
             "         columns) -> int\n\n"
             "Write the t of every test times 1024 as int16 out (rows, k); -32768 = undefined.\n"
             "The traits are the columns first to first + k of float32 product (rows, width) and\n"
             "weights (samples, width). by holds a float32 coefficient for each missing call. Count\n"
             "all tests in hist, int64 (k, 640), and write (row, column) of those with t^2 at or\n"
             "above the limit. bounds is float64 (3, rows): inverse, df, limit of t^2.");

static PyObject *quantise(PyObject *self, PyObject *args)
{
    PyObject *objects[10];
    Py_buffer views[10];
    const int writable[10] = {1, 0, 0, 0, 0, 0, 1, 1, 1, 1};
    Py_ssize_t k, first, found = 0;
    (void)self;
    if (!PyArg_ParseTuple(args, "OnnOOOOOOOOO", &objects[0], &first, &k, &objects[1], &objects[2],
                          &objects[3], &objects[4], &objects[5], &objects[6], &objects[7],
                          &objects[8], &objects[9]))
        return NULL;
    if (take_all(objects, views, writable, 10) < 0)
        return NULL;
    const Py_ssize_t single = sizeof(float);
    const Py_ssize_t n_rows = views[5].len / (3 * (Py_ssize_t)sizeof(double));
    const Py_ssize_t width = n_rows ? views[0].len / (n_rows * single) : 0;
    const Py_ssize_t n = width ? views[1].len / (width * single) : 0;
    int ok = k > 0 && first >= 0 && first + k <= width && views[9].len == views[8].len &&
             views[8].len / (Py_ssize_t)sizeof(int32_t) >= k * n_rows &&
             views[0].len == n_rows * width * single && views[1].len == n * width * single &&
             views[3].len == n_rows * (Py_ssize_t)sizeof(int64_t) &&
             views[4].len == views[2].len &&
             views[6].len == n_rows * k * (Py_ssize_t)sizeof(int16_t) &&
             views[7].len == k * HIST_BINS * (Py_ssize_t)sizeof(int64_t) &&
             valid_index(&views[3], &views[2], n);
    float *work = ok ? malloc(2 * (size_t)k * sizeof(float)) : NULL;
    if (work != NULL) {
        const double *inverse = views[5].buf, *df = inverse + n_rows, *limit = df + n_rows;
        const int64_t *ends = views[3].buf;
        int32_t *row_out = views[8].buf, *column_out = views[9].buf;
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t row = 0; row < n_rows; row++) {
            float *num = (float *)views[0].buf + row * width + first, *lost = NULL;
            const int64_t from = row ? ends[row - 1] : 0;
            if (ends[row] > from) {
                lost = work + k;
                drop_missing((const int32_t *)views[2].buf + from,
                             (const float *)views[4].buf + from, ends[row] - from,
                             (const float *)views[1].buf + first, width, k, num, lost);
            }
            Py_ssize_t more = quantise_row(num, lost, k, inverse[row], df[row], limit[row], work,
                                           (int16_t *)views[6].buf + row * k, views[7].buf,
                                           column_out + found);
            for (Py_ssize_t i = 0; i < more; i++)
                row_out[found + i] = (int32_t)row;
            found += more;
        }
        Py_END_ALLOW_THREADS
        free(work);
    }
    release_all(views, 10);
    if (!ok) {
        PyErr_SetString(PyExc_ValueError, "quantise: the shapes disagree");
        return NULL;
    }
    if (work == NULL)
        return PyErr_NoMemory();
    return PyLong_FromSsize_t(found);
}

static PyMethodDef methods[] = {
    {"bed_dosage", bed_dosage, METH_VARARGS, bed_dosage_doc},
    {"bed_centre", bed_centre, METH_VARARGS, bed_centre_doc},
    {"bed_products", bed_products, METH_VARARGS, bed_products_doc},
    {"bed_rows", bed_rows, METH_VARARGS, bed_rows_doc},
    {"bed_squares", bed_squares, METH_VARARGS, bed_squares_doc},
    {"bed_missing", bed_missing, METH_VARARGS, bed_missing_doc},
    {"centre", centre, METH_VARARGS, centre_doc},
    {"missing_terms", missing_terms, METH_VARARGS, missing_terms_doc},
    {"missing_sums", missing_sums, METH_VARARGS, missing_sums_doc},
    {"sums_at", sums_at, METH_VARARGS, sums_at_doc},
    {"quantise", quantise, METH_VARARGS, quantise_doc},
    {"screen", screen, METH_VARARGS, screen_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_genotype", "Genotype kernels.", -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__genotype(void)
{
    bed_init();
    return PyModule_Create(&module);
}
