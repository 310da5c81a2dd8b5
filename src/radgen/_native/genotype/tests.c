/* Python's door to the kernels of tests: missing calls, screens, quantised t, risk sets. */
#include "views.h"

#include <stdlib.h>

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
             "screen(product, first, k, weights, indices, ends, most, bounds, hist, rows,\n"
             "       columns) -> int\n\n"
             "Write (row, column) of every test whose squared correlation may reach its limit, and\n"
             "count all tests in hist, int64 (k, 640) of t^2 on a log2 scale. The traits are the\n"
             "columns first to first + k of float32 product (rows, width) and weights (samples,\n"
             "width). most is float32 (levels, k): the sum of the ceil(2^(level/2)) largest squares of\n"
             "each trait, all of them at the last level. bounds is float64 (8, rows): scale, slack, loss, limit, df, plain,\n"
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
             views[4].len > 0 && views[4].len % (k * single) == 0 &&
             views[6].len == k * HIST_BINS * (Py_ssize_t)sizeof(int64_t) &&
             valid_index(&views[3], &views[2], n);
    float *work = ok ? malloc((size_t)k * sizeof(float)) : NULL;
    if (work != NULL) {
        const double *bounds = views[5].buf;
        screen_rows rows = {(const float *)views[0].buf + first,
                            width,
                            k,
                            (const float *)views[1].buf + first,
                            width,
                            views[2].buf,
                            views[3].buf,
                            views[4].buf,
                            views[4].len / (k * single),
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

static int within(const Py_buffer *view, int64_t n)
{
    const int64_t *values = view->buf;
    for (Py_ssize_t i = 0; i < view->len / (Py_ssize_t)sizeof(int64_t); i++)
        if (values[i] < 0 || values[i] >= n)
            return 0;
    return 1;
}

PyDoc_STRVAR(risk_means_doc,
             "risk_means(g, order, start, dead, dead_time, of_row, risk, fraction, den, weight, out)\n\n"
             "For each row of float64 g (m, n), the sum over event rows of weight times the squared\n"
             "risk-set mean of g, into float64 out (m,). Positions are int64; see risk_squares.");

static PyObject *risk_means(PyObject *self, PyObject *args)
{
    PyObject *objects[11];
    Py_buffer views[11];
    const int writable[11] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    (void)self;
    if (!PyArg_ParseTuple(args, "OOOOOOOOOOO", &objects[0], &objects[1], &objects[2], &objects[3],
                          &objects[4], &objects[5], &objects[6], &objects[7], &objects[8],
                          &objects[9], &objects[10]))
        return NULL;
    if (take_all(objects, views, writable, 11) < 0)
        return NULL;
    const Py_ssize_t item = sizeof(double), n = views[1].len / item, m = views[10].len / item;
    risk_table table = {.n = n,
                        .n_times = views[2].len / item,
                        .n_deaths = views[3].len / item,
                        .n_rows = views[5].len / item,
                        .order = views[1].buf,
                        .start = views[2].buf,
                        .dead = views[3].buf,
                        .dead_time = views[4].buf,
                        .of_row = views[5].buf,
                        .risk = views[6].buf,
                        .fraction = views[7].buf,
                        .den = views[8].buf,
                        .weight = views[9].buf};
    int ok = n > 0 && table.n_times > 0 && views[0].len == m * n * item &&
             views[4].len == views[3].len && views[6].len == n * item &&
             views[7].len == views[5].len && views[8].len == views[5].len &&
             views[9].len == views[5].len && within(&views[1], n) && within(&views[2], n) &&
             within(&views[3], n) && within(&views[4], table.n_times) &&
             within(&views[5], table.n_times);
    double *work = ok ? malloc(2 * (size_t)table.n_times * sizeof(double)) : NULL;
    if (work != NULL) {
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t row = 0; row < m; row++)
            ((double *)views[10].buf)[row] = risk_squares(
                &table, (const double *)views[0].buf + row * n, work, work + table.n_times);
        Py_END_ALLOW_THREADS
        free(work);
    }
    release_all(views, 11);
    if (!ok) {
        PyErr_SetString(PyExc_ValueError, "risk_means: the shapes or positions disagree");
        return NULL;
    }
    if (work == NULL)
        return PyErr_NoMemory();
    Py_RETURN_NONE;
}

PyDoc_STRVAR(missing_basis_doc,
             "missing_basis(indices, ends, q, left, b, squares)\n\n"
             "Add left (rows,) times the sums of q (n, c) over the missing calls to b (rows, c), and\n"
             "write the sums of squares of q b over them (rows,); all float64.");

static PyObject *missing_basis(PyObject *self, PyObject *args)
{
    PyObject *objects[6];
    Py_buffer views[6];
    const int writable[6] = {0, 0, 0, 0, 1, 1};
    (void)self;
    if (!PyArg_ParseTuple(args, "OOOOOO", &objects[0], &objects[1], &objects[2], &objects[3],
                          &objects[4], &objects[5]))
        return NULL;
    if (take_all(objects, views, writable, 6) < 0)
        return NULL;
    const Py_ssize_t item = sizeof(double), rows = views[3].len / item;
    const Py_ssize_t c = rows ? views[4].len / (rows * item) : 0;
    const Py_ssize_t n = c ? views[2].len / (c * item) : 0;
    const int ok = views[1].len == rows * (Py_ssize_t)sizeof(int64_t) && c > 0 &&
                   views[4].len == rows * c * item && views[2].len == n * c * item &&
                   views[5].len == views[3].len && valid_index(&views[1], &views[0], n);
    if (ok) {
        const int64_t *ends = views[1].buf;
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t row = 0; row < rows; row++) {
            const int64_t from = row ? ends[row - 1] : 0;
            ((double *)views[5].buf)[row] = basis_squares(
                (const int32_t *)views[0].buf + from, ends[row] - from, views[2].buf, c,
                ((const double *)views[3].buf)[row], (double *)views[4].buf + row * c);
        }
        Py_END_ALLOW_THREADS
    }
    release_all(views, 6);
    if (!ok) {
        PyErr_SetString(PyExc_ValueError, "missing_basis: the shapes or positions disagree");
        return NULL;
    }
    Py_RETURN_NONE;
}

PyMethodDef test_methods[] = {
    {"missing_basis", missing_basis, METH_VARARGS, missing_basis_doc},
    {"missing_terms", missing_terms, METH_VARARGS, missing_terms_doc},
    {"missing_sums", missing_sums, METH_VARARGS, missing_sums_doc},
    {"sums_at", sums_at, METH_VARARGS, sums_at_doc},
    {"risk_means", risk_means, METH_VARARGS, risk_means_doc},
    {"quantise", quantise, METH_VARARGS, quantise_doc},
    {"screen", screen, METH_VARARGS, screen_doc},
    {NULL, NULL, 0, NULL},
};
