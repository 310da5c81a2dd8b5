/* Python's door to products in whole numbers. */
#include "bed_input.h"
#include "integer.h"

PyDoc_STRVAR(ready_doc, "integer_ready()\n\n"
                        "Return whether this processor multiplies tiles of whole numbers.");

static PyObject *ready(PyObject *self, PyObject *none)
{
    (void)self, (void)none;
    return PyBool_FromLong(integer_ready());
}

PyDoc_STRVAR(size_doc, "integer_size(n, k)\n\nReturn the bytes of the digits of (n, k) weights.");

static PyObject *size(PyObject *self, PyObject *args)
{
    Py_ssize_t n, k;
    (void)self;
    if (!PyArg_ParseTuple(args, "nn", &n, &k))
        return NULL;
    return PyLong_FromSsize_t(integer_bytes(n, k));
}

PyDoc_STRVAR(pack_doc, "integer_pack(weights, n, digits, scale, sums)\n\n"
                       "Round float32 weights (n, k) to whole numbers: write their digits, and\n"
                       "float64 (k,) each: steps of a weight of 1, and sums.");

static PyObject *pack(PyObject *self, PyObject *args)
{
    PyObject *objects[4];
    Py_buffer views[4];
    const int writable[4] = {0, 1, 1, 1};
    Py_ssize_t n;
    int done = 0;
    (void)self;
    if (!PyArg_ParseTuple(args, "OnOOO", &objects[0], &n, &objects[1], &objects[2], &objects[3]))
        return NULL;
    if (take_all(objects, views, writable, 4) < 0)
        return NULL;
    const Py_ssize_t k = views[2].len / (Py_ssize_t)sizeof(double);
    const int ok = n > 0 && views[0].len == n * k * (Py_ssize_t)sizeof(float) &&
                   views[1].len == integer_bytes(n, k) && views[3].len == views[2].len;
    if (ok) {
        Py_BEGIN_ALLOW_THREADS
        done = integer_pack(views[0].buf, n, k, views[1].buf, views[2].buf, views[3].buf);
        Py_END_ALLOW_THREADS
    }
    release_all(views, 4);
    if (!ok) {
        PyErr_SetString(PyExc_ValueError, "integer_pack: the shapes disagree");
        return NULL;
    }
    if (done < 0) {
        PyErr_SetString(PyExc_ValueError, "integer_pack: a weight is not finite");
        return NULL;
    }
    if (!done)
        return PyErr_NoMemory();
    Py_RETURN_NONE;
}

PyDoc_STRVAR(products_doc,
             "bed_integer_products(packed, n_file, columns, flip, rows, stats, weights, digits,\n"
             "                     scale, sums, left, out)\n\n"
             "Write the products of the centred dosage of some rows (int32) with float32 weights\n"
             "(samples, k), rounded by integer_pack, into these rows of float32 (all rows, k);\n"
             "stats is that of all rows, from bed_products. A missing call counts -left of its\n"
             "row, float64 (all rows,), instead of 0. Only where integer_ready.");

static PyObject *products(PyObject *self, PyObject *args)
{
    PyObject *packed, *columns, *objects[8];
    const int writable[8] = {0, 0, 0, 0, 0, 0, 1, 1};
    Py_ssize_t n_file;
    int flip, done = 0;
    bed_input input;
    Py_buffer views[8];
    (void)self;
    if (!PyArg_ParseTuple(args, "OnOpOOOOOOOO", &packed, &n_file, &columns, &flip, &objects[0],
                          &objects[1], &objects[2], &objects[3], &objects[4], &objects[5],
                          &objects[6], &objects[7]))
        return NULL;
    if (!integer_ready()) {
        PyErr_SetString(PyExc_RuntimeError, "this processor has no tiles of whole numbers");
        return NULL;
    }
    if (bed_open(&input, packed, columns, n_file) < 0)
        return NULL;
    if (take_all(objects, views, writable, 8) < 0) {
        bed_close(&input);
        return NULL;
    }
    const int32_t *wanted = views[0].buf;
    const Py_ssize_t many = views[0].len / (Py_ssize_t)sizeof(int32_t);
    const Py_ssize_t all = input.block.n_rows, n = input.block.n_columns;
    const Py_ssize_t k = views[4].len / (Py_ssize_t)sizeof(double);
    int ok = views[1].len == all * 3 * (Py_ssize_t)sizeof(double) &&
             views[2].len == n * k * (Py_ssize_t)sizeof(float) &&
             views[3].len == integer_bytes(n, k) && views[5].len == views[4].len &&
             views[6].len == all * (Py_ssize_t)sizeof(double) &&
             views[7].len == all * k * (Py_ssize_t)sizeof(float);
    for (Py_ssize_t i = 0; ok && i < many; i++)
        ok = wanted[i] >= 0 && wanted[i] < all;
    if (ok) {
        const integer_weights weights = {n, k, views[2].buf, views[3].buf, views[4].buf,
                                         views[5].buf};
        Py_BEGIN_ALLOW_THREADS
        done = integer_products(&input.block, flip, wanted, many, views[1].buf, &weights,
                                views[6].buf, views[7].buf);
        Py_END_ALLOW_THREADS
    }
    release_all(views, 8);
    bed_close(&input);
    if (!ok) {
        PyErr_SetString(PyExc_ValueError, "bed_integer_products: the shapes or rows disagree");
        return NULL;
    }
    if (!done)
        return PyErr_NoMemory();
    Py_RETURN_NONE;
}

PyMethodDef integer_methods[] = {
    {"integer_ready", ready, METH_NOARGS, ready_doc},
    {"integer_size", size, METH_VARARGS, size_doc},
    {"integer_pack", pack, METH_VARARGS, pack_doc},
    {"bed_integer_products", products, METH_VARARGS, products_doc},
    {NULL, NULL, 0, NULL},
};
