/* Exponentials folded with inputs that are linear between samples, one row a rate.
 *
 * Over a gap d the fold is E' = E e^-x + d (c0 (w - l) + c1 l) with x = k d, w = (1 - e^-x) / x and
 * l = (1 - w) / x. The GIL is released while the pass runs.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <string.h>

#define SMALL 1e-3
#define SAME 1e-12

typedef struct {
    double decay, early, late; /* what of the fold, the last and the next sample is kept */
} gap;

static gap weigh(double rate, double length)
{
    const double x = rate * length, decay = exp(-x);
    double whole, late;
    if (x < SMALL) {
        whole = 1 - x * (1.0 / 2 - x * (1.0 / 6 - x * (1.0 / 24 - x / 120)));
        late = 1.0 / 2 - x * (1.0 / 6 - x * (1.0 / 24 - x * (1.0 / 120 - x / 720)));
    } else {
        whole = -expm1(-x) / x;
        late = (1 - whole) / x;
    }
    return (gap){decay, length * (whole - late), length * late};
}

static void fold(const double *times, const double *input, double rate, Py_ssize_t n, double *out)
{
    double length = -1, sum = 0;
    gap step = {0, 0, 0};
    out[0] = 0;
    for (Py_ssize_t i = 1; i < n; i++) {
        const double now = times[i] - times[i - 1];
        if (fabs(now - length) > SAME * now)
            step = weigh(rate, length = now);
        sum = sum * step.decay + step.early * input[i - 1] + step.late * input[i];
        out[i] = sum;
    }
}

static int take(PyObject *object, Py_buffer *view, int writable)
{
    const int flags = PyBUF_FORMAT | PyBUF_C_CONTIGUOUS | (writable ? PyBUF_WRITABLE : 0);
    const int held = PyObject_GetBuffer(object, view, flags) == 0;
    if (held && view->format != NULL && strcmp(view->format, "d") == 0)
        return 0;
    if (held)
        PyBuffer_Release(view);
    PyErr_SetString(PyExc_ValueError, "convolve: needed are float64 arrays, contiguous");
    return -1;
}

PyDoc_STRVAR(convolve_doc,
             "convolve(times, inputs, rates, out)\n\n"
             "Fill out (n_rows, n_times), float64, with the folds of inputs (1 or n_rows, n_times)\n"
             "and exp(-rate t), rates (n_rows,).");

static PyObject *convolve(PyObject *self, PyObject *args)
{
    PyObject *objects[4];
    Py_buffer views[4];
    const Py_ssize_t word = (Py_ssize_t)sizeof(double);
    int taken = 0, ok = 0;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOOO", &objects[0], &objects[1], &objects[2], &objects[3]))
        return NULL;
    while (taken < 4 && take(objects[taken], &views[taken], taken == 3) == 0)
        taken++;
    if (taken == 4) {
        const Py_ssize_t n = views[0].len / word, rows = views[2].len / word;
        const int shared = views[1].len == n * word;
        ok = n > 0 && rows > 0 && views[0].len == n * word && views[2].len == rows * word &&
             views[3].len / n / word == rows && views[3].len == rows * n * word &&
             (shared || views[1].len == views[3].len);
        if (ok) {
            const double *times = views[0].buf, *inputs = views[1].buf, *rates = views[2].buf;
            double *out = views[3].buf;
            Py_BEGIN_ALLOW_THREADS
            for (Py_ssize_t row = 0; row < rows; row++)
                fold(times, inputs + (shared ? 0 : row * n), rates[row], n, out + row * n);
            Py_END_ALLOW_THREADS
        }
    }
    while (taken-- > 0)
        PyBuffer_Release(&views[taken]);
    if (PyErr_Occurred())
        return NULL;
    if (!ok) {
        PyErr_SetString(PyExc_ValueError, "convolve: the shapes disagree");
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"convolve", convolve, METH_VARARGS, convolve_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_tracer", "Folds of exponentials.", -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__tracer(void)
{
    return PyModule_Create(&module);
}
