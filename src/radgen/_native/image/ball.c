/* Sums over a ball around each voxel of a mask. */
#include "arrays.h"

#include <stdlib.h>
#include <string.h>

enum { SOME = 16 }; /* voxels summed at a time, in registers */

/* Sums over a ball given as rows (dz, dy, half width), from sums running along x: item x of
 * `running` is the sum of all voxels before x, so one row costs one difference. */
CLONES static void ball_sums(const double *running, const Grid *g, const int32_t *rows,
                             ptrdiff_t n_rows, const uint8_t *mask, double *out)
{
    for (ptrdiff_t z = g->mz; z < g->nz - g->mz; z++) {
        for (ptrdiff_t y = g->my; y < g->ny - g->my; y++) {
            ptrdiff_t at = (z * g->ny + y) * g->nx, x0 = g->mx, x1 = g->nx - g->mx;
            while (x0 < x1 && !mask[at + x0]) {
                x0++;
            }
            while (x1 > x0 && !mask[at + x1 - 1]) {
                x1--;
            }
            for (ptrdiff_t x = x0; x < x1; x += SOME) {
                double sums[SOME] = {0};
                ptrdiff_t n = x1 - x < SOME ? x1 - x : SOME;
                for (ptrdiff_t r = 0; r < n_rows; r++) {
                    const int32_t *ball = rows + 3 * r;
                    const double *row = running + at + x + (ball[0] * g->ny + ball[1]) * g->nx;
                    const double *high = row + ball[2] + 1, *low = row - ball[2];
                    if (n == SOME) {
                        for (int i = 0; i < SOME; i++) {
                            sums[i] += high[i] - low[i];
                        }
                    } else {
                        for (int i = 0; i < n; i++) {
                            sums[i] += high[i] - low[i];
                        }
                    }
                }
                for (int i = 0; i < n; i++) {
                    out[at + x + i] += sums[i];
                }
            }
        }
    }
}

static PyObject *py_ball_sums(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *given[4];
    if (!PyArg_ParseTuple(args, "OOOO", &given[0], &given[1], &given[2], &given[3])) {
        return NULL;
    }
    const Need needs[4] = {{"running", 'f', 8, 3, 0},
                           {"rows", 'i', 4, 2, 0},
                           {"mask", 'u', 1, 3, 0},
                           {"out", 'f', 8, 3, 1}};
    Array a[4];
    Grid grid;
    if (take_arrays(given, needs, 4, a) < 0) {
        return NULL;
    }
    const int32_t *rows = a[1].view.buf;
    ptrdiff_t margin[3] = {0, 0, 0};
    int good = a[1].view.shape[1] == 3;
    for (ptrdiff_t i = 0; good && i < 3 * a[1].view.shape[0]; i++) {
        ptrdiff_t size = rows[i] < 0 ? -(ptrdiff_t)rows[i] : rows[i];
        good = size < 60000 && (i % 3 != 2 || rows[i] >= 0);
        size += i % 3 == 2;
        margin[i % 3] = size > margin[i % 3] ? size : margin[i % 3];
    }
    if (!good) {
        refuse("rows: needed are (dz, dy, half width) with half widths from 0 to 59999.");
    } else if (grid_of(&a[0], margin[0], margin[1], margin[2], &grid) == 0 &&
               need_shape(&a[2], "mask", (ptrdiff_t *)a[0].view.shape) == 0 &&
               need_shape(&a[3], "out", (ptrdiff_t *)a[0].view.shape) == 0) {
        Py_BEGIN_ALLOW_THREADS
        ball_sums(a[0].view.buf, &grid, rows, a[1].view.shape[0], a[2].view.buf, a[3].view.buf);
        Py_END_ALLOW_THREADS
    }
    give_back(a, 4);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

PyMethodDef ball_methods[] = {
    {"ball_sums", py_ball_sums, METH_VARARGS,
     "ball_sums(running, rows, mask, out): add sums over a ball around each voxel of the mask."},
    {NULL, NULL, 0, NULL},
};
