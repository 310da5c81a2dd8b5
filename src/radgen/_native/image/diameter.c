/* The largest distance of two points. */
#include "hull_body.h"

#include <math.h>

enum { SIDE_BY_SIDE = 16 }; /* partial maxima, so that wide registers hold them */

/* Columns x, y, z of n points lie one after another. */
CLONES static double largest_square(const double *points, ptrdiff_t n)
{
    const double *x = points, *y = points + n, *z = points + 2 * n;
    double most[SIDE_BY_SIDE] = {0}, best = 0;
    for (ptrdiff_t i = 1; i < n; i++) {
        double a = x[i], b = y[i], c = z[i];
        ptrdiff_t j = 0;
        for (; j + SIDE_BY_SIDE <= i; j += SIDE_BY_SIDE) {
            for (int k = 0; k < SIDE_BY_SIDE; k++) {
                double dx = x[j + k] - a, dy = y[j + k] - b, dz = z[j + k] - c;
                double square = dx * dx + dy * dy + dz * dz;
                most[k] = square > most[k] ? square : most[k];
            }
        }
        for (; j < i; j++) {
            double dx = x[j] - a, dy = y[j] - b, dz = z[j] - c;
            double square = dx * dx + dy * dy + dz * dz;
            best = square > best ? square : best;
        }
    }
    for (int k = 0; k < SIDE_BY_SIDE; k++) {
        best = most[k] > best ? most[k] : best;
    }
    return best;
}

int good_columns(const Array *array, const char *name)
{
    const double *x = array->view.buf;
    int good = array->view.shape[0] == 3 && array->view.shape[1] >= 1;
    for (ptrdiff_t i = 0; good && i < 3 * array->view.shape[1]; i++) {
        good = isfinite(x[i]) && fabs(x[i]) < 1e150;
    }
    if (!good) {
        refuse("%s: needed are three rows of finite numbers.", name);
    }
    return good;
}

static PyObject *py_diameter(PyObject *self, PyObject *given)
{
    (void)self;
    const Need need = {"points", 'f', 8, 2, 0};
    Array a;
    double best = 0;
    if (take_array(given, &need, &a) < 0) {
        give_back(&a, 1);
        return NULL;
    }
    if (good_columns(&a, "points")) {
        Py_BEGIN_ALLOW_THREADS
        best = sqrt(largest_square(a.view.buf, a.view.shape[1]));
        Py_END_ALLOW_THREADS
    }
    give_back(&a, 1);
    return PyErr_Occurred() ? NULL : PyFloat_FromDouble(best);
}

PyMethodDef hull_methods[] = {
    {"diameter", py_diameter, METH_O,
     "diameter(points): return the largest distance between two of the points (3, n)."},
    {NULL, NULL, 0, NULL},
};
