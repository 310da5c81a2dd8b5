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

typedef struct {
    bed_block block;
    Py_buffer packed, columns;
    int has_columns;
} bed_input;

static void bed_close(bed_input *input)
{
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
        bed_fill_f32(&input.block, row, values.buf, (float *)view.buf + row * n);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&view);
    PyBuffer_Release(&values);
    bed_close(&input);
    Py_RETURN_NONE;
}

static void centre_bed_row(const bed_block *block, Py_ssize_t row, int flip, Py_ssize_t item,
                           void *out, double *stats)
{
    int64_t counts[4];
    bed_counts(block, row, counts);
    double known = (double)(counts[0] + counts[2] + counts[3]);
    double two = (double)(flip ? counts[3] : counts[0]);
    double sum = 2.0 * two + (double)counts[2];
    double mean = known > 0 ? sum / known : 0.0;
    double first = (flip ? 0.0 : 2.0) - mean, last = (flip ? 2.0 : 0.0) - mean;
    stats[0] = known;
    stats[1] = sum;
    stats[2] = 4.0 * two + (double)counts[2];
    if (item == (Py_ssize_t)sizeof(float)) {
        float lut[4] = {(float)first, 0.0f, (float)(1.0 - mean), (float)last};
        bed_fill_f32(block, row, lut, (float *)out + row * block->n_columns);
    } else {
        double lut[4] = {first, 0.0, 1.0 - mean, last};
        bed_fill_f64(block, row, lut, (double *)out + row * block->n_columns);
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
    for (Py_ssize_t row = 0; row < rows; row++)
        centre_bed_row(&input.block, row, flip, item, view.buf, (double *)sums.buf + 3 * row);
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
    int64_t counts[4];
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
        bed_counts(&input.block, row, counts);
        fits = at + counts[1] <= room;
        if (fits && counts[1])
            at += bed_missing_row(&input.block, row, (int32_t *)index.buf + at);
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

PyDoc_STRVAR(screen_doc,
             "screen(num, ys, k, bounds, hist, rows, columns) -> int\n\n"
             "Write (row, column) of every test whose squared correlation may reach its limit, and\n"
             "count all tests in hist, int64 (k, 640) of t^2 on a log2 scale.\n"
             "bounds is float64 (6, rows): scale, slack, loss, limit, df, plain. ys may be None.");

static PyObject *screen(PyObject *self, PyObject *args)
{
    PyObject *objects[5], *ys;
    Py_buffer views[5], lost;
    const int writable[5] = {0, 0, 1, 1, 1};
    Py_ssize_t k, found = 0;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOnOOOO", &objects[0], &ys, &k, &objects[1], &objects[2],
                          &objects[3], &objects[4]))
        return NULL;
    if (take_all(objects, views, writable, 5) < 0)
        return NULL;
    int has_lost = ys != Py_None;
    if (has_lost && take(ys, &lost, 0, -1, "ys") < 0) {
        release_all(views, 5);
        return NULL;
    }
    const Py_ssize_t n_rows = views[1].len / (6 * (Py_ssize_t)sizeof(double));
    const Py_ssize_t room = views[3].len / (Py_ssize_t)sizeof(int32_t);
    int ok = k > 0 && views[4].len == views[3].len && room >= k * n_rows &&
             views[2].len == k * HIST_BINS * (Py_ssize_t)sizeof(int64_t) &&
             views[0].len == n_rows * k * (Py_ssize_t)sizeof(float) &&
             (!has_lost || lost.len == n_rows * k * (Py_ssize_t)sizeof(float));
    float *work = ok ? malloc(2 * (size_t)k * sizeof(float)) : NULL;
    if (work != NULL) {
        const double *bounds = views[1].buf;
        screen_rows rows = {views[0].buf,        has_lost ? lost.buf : NULL,
                            k,                   bounds,
                            bounds + n_rows,     bounds + 2 * n_rows,
                            bounds + 3 * n_rows, bounds + 4 * n_rows,
                            bounds + 5 * n_rows};
        int32_t *row_out = views[3].buf, *column_out = views[4].buf;
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t row = 0; row < n_rows; row++) {
            Py_ssize_t more =
                screen_row(&rows, row, views[2].buf, column_out + found, room - found, work);
            for (Py_ssize_t i = 0; i < more; i++)
                row_out[found + i] = (int32_t)row;
            found += more;
        }
        Py_END_ALLOW_THREADS
        free(work);
    }
    if (has_lost)
        PyBuffer_Release(&lost);
    release_all(views, 5);
    if (!ok) {
        PyErr_SetString(PyExc_ValueError, "screen: the shapes disagree");
        return NULL;
    }
    if (work == NULL)
        return PyErr_NoMemory();
    return PyLong_FromSsize_t(found);
}

static PyMethodDef methods[] = {
    {"bed_dosage", bed_dosage, METH_VARARGS, bed_dosage_doc},
    {"bed_centre", bed_centre, METH_VARARGS, bed_centre_doc},
    {"bed_missing", bed_missing, METH_VARARGS, bed_missing_doc},
    {"centre", centre, METH_VARARGS, centre_doc},
    {"missing_terms", missing_terms, METH_VARARGS, missing_terms_doc},
    {"missing_sums", missing_sums, METH_VARARGS, missing_sums_doc},
    {"screen", screen, METH_VARARGS, screen_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_genotype", "Genotype kernels.", -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__genotype(void)
{
    return PyModule_Create(&module);
}
