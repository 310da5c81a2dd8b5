/* Sums over a ball around each voxel of a mask: exactly, and nearly but fast. */
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

enum { WIDE = 32, TILE = 16 }; /* voxels of a row added up at a time; rows of a tile */

typedef struct {
    const int32_t *disc_rows; /* (disc, dy, half width), discs in order */
    const int32_t *slices;    /* (dz, disc) */
    ptrdiff_t n_disc_rows, n_slices, n_discs;
    ptrdiff_t reach[3]; /* along z, y, x */
} Ball;

/* What a tile of rows passes through: rows, discs and where the region lies. */
typedef struct {
    ptrdiff_t nz, ny, nx, width; /* of the region; of a row with margins, filled up */
    const int32_t *ends;         /* first and one past last voxel of each row of the region */
    const int64_t *before;       /* voxels of the region before each row */
    float *rows, *discs;
} Tile;

/* First and one past last voxel, near a slice, of the rows of a tile: as far as balls reach. */
static int reach_of(const Tile *t, ptrdiff_t z, ptrdiff_t y, ptrdiff_t reach, int32_t *ends)
{
    ptrdiff_t first = z - reach > 0 ? z - reach : 0;
    ptrdiff_t last = z + reach < t->nz - 1 ? z + reach : t->nz - 1;
    ends[0] = (int32_t)t->nx;
    ends[1] = 0;
    for (ptrdiff_t k = first; k <= last; k++) {
        const int32_t *found = t->ends + 2 * (k * t->ny + y);
        ends[0] = found[0] < ends[0] ? found[0] : ends[0];
        ends[1] = found[1] > ends[1] ? found[1] : ends[1];
    }
    return ends[0] < ends[1];
}

/* Sums over rows of half width 0, 1, … around voxels x0 to x1 - 1 of one row. */
CLONES static void row_sums(const float *line, ptrdiff_t x0, ptrdiff_t x1, ptrdiff_t most,
                            ptrdiff_t step, float *out)
{
    memcpy(out + x0, line + x0, (size_t)(x1 - x0) * sizeof *out);
    for (ptrdiff_t h = 1; h <= most; h++) {
        const float *restrict before = out + (h - 1) * step;
        float *restrict to = out + h * step;
        for (ptrdiff_t x = x0; x < x1; x++) {
            to[x] = before[x] + (line[x - h] + line[x + h]);
        }
    }
}

/* Sums over each disc around voxels x0 to x1 - 1 of a row, or to the end of the last WIDE. */
CLONES static void disc_sums(const Ball *ball, const float *rows, ptrdiff_t row_step,
                             ptrdiff_t width, ptrdiff_t x0, ptrdiff_t x1, float *out,
                             ptrdiff_t disc_step)
{
    for (ptrdiff_t x = x0; x < x1; x += WIDE) {
        for (ptrdiff_t disc = 0, k = 0; disc < ball->n_discs; disc++) {
            float sums[WIDE] = {0};
            for (; k < ball->n_disc_rows && ball->disc_rows[3 * k] == disc; k++) {
                const float *row = rows + ball->disc_rows[3 * k + 2] * row_step +
                                   ball->disc_rows[3 * k + 1] * width + x;
                for (int i = 0; i < WIDE; i++) {
                    sums[i] += row[i];
                }
            }
            memcpy(out + disc * disc_step + x, sums, sizeof sums);
        }
    }
}

/* Sums over balls around voxels x0 to x1 - 1, or to the end of the last WIDE, from discs. */
CLONES static void stack_discs(const float *const *discs, ptrdiff_t n, ptrdiff_t x0, ptrdiff_t x1,
                               float *out)
{
    for (ptrdiff_t x = x0; x < x1; x += WIDE) {
        float sums[WIDE] = {0};
        for (ptrdiff_t k = 0; k < n; k++) {
            const float *disc = discs[k] + x;
            for (int i = 0; i < WIDE; i++) {
                sums[i] += disc[i];
            }
        }
        memcpy(out + x, sums, sizeof sums);
    }
}

/* Nearly the sums over a ball around each voxel of the mask in single precision: rows, then
 * discs, then balls, so that a row costs one addition for all balls that it is part of. A tile of
 * rows goes through all slices, with the discs of one ball's height at hand. */
static void tile_sums(const float *values, const uint8_t *mask, const Ball *ball, const Tile *t,
                      ptrdiff_t y0, ptrdiff_t y1, const float **stack, float *out)
{
    ptrdiff_t rz = ball->reach[0], ry = ball->reach[1], rx = ball->reach[2], tall = 2 * rz + 1;
    ptrdiff_t full_y = t->ny + 2 * ry, full_x = t->nx + 2 * rx, height = y1 - y0 + 2 * ry;
    ptrdiff_t row_step = height * t->width, disc_step = TILE * t->width;
    for (ptrdiff_t z = 0; z < t->nz + 2 * rz; z++) { /* a slice with margins */
        float *here = t->discs + z % tall * ball->n_discs * disc_step;
        int32_t ends[TILE][2], low = (int32_t)t->nx, high = 0;
        for (ptrdiff_t y = y0; y < y1; y++) {
            int32_t *end = ends[y - y0];
            if (reach_of(t, z - rz, y, rz, end)) {
                low = end[0] < low ? end[0] : low;
                high = end[1] > high ? end[1] : high;
            }
        }
        for (ptrdiff_t y = 0; y < height && low < high; y++) {
            const float *line = values + (z * full_y + y0 + y) * full_x + rx;
            row_sums(line, low, high, rx, row_step, t->rows + y * t->width);
        }
        for (ptrdiff_t y = 0; y < y1 - y0; y++) {
            if (ends[y][0] < ends[y][1]) {
                disc_sums(ball, t->rows + (y + ry) * t->width, row_step, t->width, ends[y][0],
                          ends[y][1], here + y * t->width, disc_step);
            }
        }
        if (z < 2 * rz) {
            continue;
        }
        for (ptrdiff_t y = y0; y < y1; y++) {
            ptrdiff_t line = (z - 2 * rz) * t->ny + y, x0 = t->ends[2 * line];
            ptrdiff_t x1 = t->ends[2 * line + 1];
            if (x0 >= x1) {
                continue;
            }
            for (ptrdiff_t k = 0; k < ball->n_slices; k++) {
                ptrdiff_t slot = (z - rz + ball->slices[2 * k]) % tall;
                stack[k] = t->discs + (slot * ball->n_discs + ball->slices[2 * k + 1]) * disc_step +
                           (y - y0) * t->width;
            }
            float *sums = t->rows; /* rows of this slice are done with */
            stack_discs(stack, ball->n_slices, x0, x1, sums);
            float *to = out + t->before[line];
            for (ptrdiff_t x = x0; x < x1; x++) {
                if (mask[line * t->nx + x]) {
                    *to++ = sums[x];
                }
            }
        }
    }
}

/* The ends of the rows of a mask, and how many of its voxels lie before each. */
static int64_t rows_of(const uint8_t *mask, ptrdiff_t lines, ptrdiff_t nx, int32_t *ends,
                       int64_t *before)
{
    int64_t total = 0;
    for (ptrdiff_t line = 0; line < lines; line++) {
        const uint8_t *row = mask + line * nx;
        ptrdiff_t x0 = 0, x1 = nx;
        while (x0 < x1 && !row[x0]) {
            x0++;
        }
        while (x1 > x0 && !row[x1 - 1]) {
            x1--;
        }
        ends[2 * line] = (int32_t)x0;
        ends[2 * line + 1] = (int32_t)x1;
        before[line] = total;
        int64_t count = 0;
        for (ptrdiff_t x = x0; x < x1; x++) {
            count += row[x] != 0;
        }
        total += count;
    }
    return total;
}

/* Check the rows and slices of a ball, and see how far it reaches. */
static int read_ball(const Array *disc_rows, const Array *slices, Ball *ball)
{
    const int32_t *row = disc_rows->view.buf, *slice = slices->view.buf;
    *ball = (Ball){row, slice, disc_rows->view.shape[0], slices->view.shape[0], 0, {0, 0, 0}};
    ptrdiff_t *reach = ball->reach;
    int good = disc_rows->view.shape[1] == 3 && slices->view.shape[1] == 2 &&
               ball->n_disc_rows > 0 && ball->n_disc_rows < 1000000 && ball->n_slices > 0 &&
               ball->n_slices < 100000;
    for (ptrdiff_t k = 0; good && k < ball->n_disc_rows; k++) {
        ptrdiff_t dy = row[3 * k + 1] < 0 ? -(ptrdiff_t)row[3 * k + 1] : row[3 * k + 1];
        ptrdiff_t before = k ? row[3 * k - 3] : 0;
        good = (row[3 * k] == before || (k && row[3 * k] == before + 1)) && dy < 60000 &&
               row[3 * k + 2] >= 0 && row[3 * k + 2] < 60000;
        reach[1] = dy > reach[1] ? dy : reach[1];
        reach[2] = row[3 * k + 2] > reach[2] ? row[3 * k + 2] : reach[2];
        ball->n_discs = good ? row[3 * k] + 1 : 0;
    }
    for (ptrdiff_t k = 0; good && k < ball->n_slices; k++) {
        ptrdiff_t dz = slice[2 * k] < 0 ? -(ptrdiff_t)slice[2 * k] : slice[2 * k];
        good = dz < 60000 && slice[2 * k + 1] >= 0 && slice[2 * k + 1] < ball->n_discs;
        reach[0] = dz > reach[0] ? dz : reach[0];
    }
    if (!good) {
        refuse("disc_rows, slices: needed are (disc, dy, half width) with discs 0, 1, … in order, "
               "and (dz, disc).");
    }
    return good;
}

/* Sums for all tiles of rows; returns 0 without memory. */
static int all_tiles(const float *values, const uint8_t *mask, const Ball *ball, Tile *t,
                     float *out)
{
    size_t height = (size_t)(TILE + 2 * ball->reach[1]), width = (size_t)t->width;
    size_t tall = (size_t)(2 * ball->reach[0] + 1), n_discs = (size_t)ball->n_discs;
    const float **stack = malloc((size_t)ball->n_slices * sizeof *stack);
    t->rows = calloc((size_t)(ball->reach[2] + 1) * height * width, sizeof *t->rows);
    t->discs = calloc(tall * n_discs * TILE * width, sizeof *t->discs);
    int good = stack != NULL && t->rows != NULL && t->discs != NULL;
    for (ptrdiff_t y = 0; good && y < t->ny; y += TILE) {
        ptrdiff_t end = y + TILE < t->ny ? y + TILE : t->ny;
        tile_sums(values, mask, ball, t, y, end, stack, out);
    }
    free(stack);
    free(t->rows);
    free(t->discs);
    return good;
}

static PyObject *py_near_ball_sums(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *given[5];
    if (!PyArg_ParseTuple(args, "OOOOO", &given[0], &given[1], &given[2], &given[3], &given[4])) {
        return NULL;
    }
    const Need needs[5] = {{"values", 'f', 4, 3, 0},
                           {"disc_rows", 'i', 4, 2, 0},
                           {"slices", 'i', 4, 2, 0},
                           {"mask", 'u', 1, 3, 0},
                           {"out", 'f', 4, 1, 1}};
    Array a[5];
    Ball ball;
    if (take_arrays(given, needs, 5, a) < 0) {
        return NULL;
    }
    const Py_ssize_t *dim = a[3].view.shape;
    Tile t = {.nz = dim[0], .ny = dim[1], .nx = dim[2], .width = dim[2] + WIDE};
    if (read_ball(&a[1], &a[2], &ball)) {
        ptrdiff_t wanted[3] = {t.nz + 2 * ball.reach[0], t.ny + 2 * ball.reach[1],
                               t.nx + 2 * ball.reach[2]};
        size_t lines = (size_t)(t.nz * t.ny) + 1;
        int32_t *ends = malloc(2 * lines * sizeof *ends);
        int64_t *before = malloc(lines * sizeof *before);
        if (t.nx > INT32_MAX / 2) {
            refuse("mask: it is too wide.");
        } else if (ends == NULL || before == NULL) {
            PyErr_NoMemory();
        } else if (need_shape(&a[0], "values", wanted) == 0) {
            t.ends = ends;
            t.before = before;
            int64_t inside = rows_of(a[3].view.buf, t.nz * t.ny, t.nx, ends, before);
            if (inside != a[4].view.shape[0]) {
                refuse("out: needed is a number for each of the %zd voxels of the mask.",
                       (Py_ssize_t)inside);
            } else {
                int good;
                Py_BEGIN_ALLOW_THREADS
                good = all_tiles(a[0].view.buf, a[3].view.buf, &ball, &t, a[4].view.buf);
                Py_END_ALLOW_THREADS
                if (!good) {
                    PyErr_NoMemory();
                }
            }
        }
        free(ends);
        free(before);
    }
    give_back(a, 5);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

PyMethodDef ball_methods[] = {
    {"ball_sums", py_ball_sums, METH_VARARGS,
     "ball_sums(running, rows, mask, out): add sums over a ball around each voxel of the mask."},
    {"near_ball_sums", py_near_ball_sums, METH_VARARGS,
     "near_ball_sums(values, disc_rows, slices, mask, out): write sums over a ball around each "
     "voxel of the mask, in single precision; values have as much margin as the ball reaches; a "
     "ball is slices (dz, disc), a disc rows (disc, dy, half width)."},
    {NULL, NULL, 0, NULL},
};
