/* Sums over a ball around each voxel of a mask, of coarse levels of the values: whole numbers of 16
 * bits, of which wide registers hold many. They say where the largest sums can be. */
#include "arrays.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIDE = 32, TILE = 16 }; /* voxels of a row added up at a time; rows of a tile */

typedef struct {
    const int32_t *disc_rows; /* (disc, dy, half width), discs in order */
    const int32_t *slices;    /* (disc, dz), discs in order */
    ptrdiff_t n_disc_rows, n_slices, n_discs;
    ptrdiff_t reach[3]; /* along z, y, x */
} Ball;

/* What a tile of rows passes through: rows, discs and where the region lies. */
typedef struct {
    ptrdiff_t nz, ny, nx, width; /* of the region; of a row with margins, filled up */
    const int32_t *ends;         /* first and one past last voxel of each row of the region */
    const int64_t *before;       /* voxels of the region before each row */
    uint16_t *rows, *sums;       /* over rows; over balls, as far as slices came, by slice */
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
CLONES static void row_sums(const uint8_t *line, ptrdiff_t x0, ptrdiff_t x1, ptrdiff_t most,
                            ptrdiff_t step, uint16_t *out)
{
    for (ptrdiff_t x = x0; x < x1; x++) {
        out[x] = line[x];
    }
    for (ptrdiff_t h = 1; h <= most; h++) {
        const uint16_t *restrict before = out + (h - 1) * step;
        uint16_t *restrict to = out + h * step;
        for (ptrdiff_t x = x0; x < x1; x++) {
            to[x] = (uint16_t)(before[x] + line[x - h] + line[x + h]);
        }
    }
}

/* Add the sums over each disc around voxels x0 to x1 - 1 of a row, or to the end of the last WIDE,
 * to the balls that it is part of: those of slices[k] go to to[k]. */
CLONES static void add_discs(const Ball *ball, const uint16_t *rows, ptrdiff_t row_step,
                             ptrdiff_t width, ptrdiff_t x0, ptrdiff_t x1, uint16_t *const *to)
{
    for (ptrdiff_t x = x0; x < x1; x += WIDE) {
        for (ptrdiff_t disc = 0, k = 0, s = 0; disc < ball->n_discs; disc++) {
            uint16_t sums[WIDE] = {0};
            for (; k < ball->n_disc_rows && ball->disc_rows[3 * k] == disc; k++) {
                const uint16_t *row = rows + ball->disc_rows[3 * k + 2] * row_step +
                                      ball->disc_rows[3 * k + 1] * width + x;
                for (int i = 0; i < WIDE; i++) {
                    sums[i] += row[i];
                }
            }
            for (; s < ball->n_slices && ball->slices[2 * s] == disc; s++) {
                uint16_t *restrict all = to[s] + x;
                for (int i = 0; i < WIDE; i++) {
                    all[i] += sums[i];
                }
            }
        }
    }
}

/* Write the sums of a row that is complete, where the mask is. */
static void give_row(const Tile *t, const uint8_t *mask, ptrdiff_t line, const uint16_t *sums,
                     uint16_t *out)
{
    uint16_t *to = out + t->before[line];
    for (ptrdiff_t x = t->ends[2 * line]; x < t->ends[2 * line + 1]; x++) {
        if (mask[line * t->nx + x]) {
            *to++ = sums[x];
        }
    }
}

/* Sums over a ball around each voxel of the mask: rows, then discs, then balls, so that a row costs
 * one addition for all balls that it is part of. A tile of rows goes through all slices, with the
 * balls that a slice touches at hand. */
static void tile_sums(const uint8_t *levels, const uint8_t *mask, const Ball *ball, const Tile *t,
                      ptrdiff_t y0, ptrdiff_t y1, uint16_t **to, uint16_t *out)
{
    ptrdiff_t rz = ball->reach[0], ry = ball->reach[1], rx = ball->reach[2], tall = 2 * rz + 1;
    ptrdiff_t full_y = t->ny + 2 * ry, full_x = t->nx + 2 * rx, height = y1 - y0 + 2 * ry;
    ptrdiff_t row_step = height * t->width, sheet = TILE * t->width;
    for (ptrdiff_t z = 0; z < t->nz + 2 * rz; z++) { /* a slice with margins */
        int32_t ends[TILE][2], low = (int32_t)t->nx, high = 0;
        memset(t->sums + z % tall * sheet, 0, (size_t)sheet * sizeof *t->sums);
        for (ptrdiff_t y = y0; y < y1; y++) {
            int32_t *end = ends[y - y0];
            if (reach_of(t, z - rz, y, rz, end)) {
                low = end[0] < low ? end[0] : low;
                high = end[1] > high ? end[1] : high;
            }
        }
        for (ptrdiff_t y = 0; y < height && low < high; y++) {
            const uint8_t *line = levels + (z * full_y + y0 + y) * full_x + rx;
            row_sums(line, low, high, rx, row_step, t->rows + y * t->width);
        }
        for (ptrdiff_t y = y0; y < y1; y++) {
            if (ends[y - y0][0] < ends[y - y0][1]) {
                for (ptrdiff_t k = 0; k < ball->n_slices; k++) {
                    ptrdiff_t slot = (z + rz + 1 - ball->slices[2 * k + 1]) % tall;
                    to[k] = t->sums + slot * sheet + (y - y0) * t->width;
                }
                add_discs(ball, t->rows + (y - y0 + ry) * t->width, row_step, t->width,
                          ends[y - y0][0], ends[y - y0][1], to);
            }
        }
        for (ptrdiff_t y = y0; y < y1 && z >= 2 * rz; y++) {
            ptrdiff_t line = (z - 2 * rz) * t->ny + y;
            const uint16_t *sums = t->sums + (z - 2 * rz) % tall * sheet + (y - y0) * t->width;
            give_row(t, mask, line, sums, out);
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
        ptrdiff_t dz = slice[2 * k + 1];
        dz = dz < 0 ? -dz : dz;
        ptrdiff_t before = k ? slice[2 * k - 2] : 0;
        good = dz < 60000 && slice[2 * k] >= before && slice[2 * k] < ball->n_discs;
        reach[0] = dz > reach[0] ? dz : reach[0];
    }
    if (!good) {
        refuse("disc_rows, slices: needed are (disc, dy, half width) with discs 0, 1, … in order, "
               "and (disc, dz) in order of discs.");
    }
    return good;
}

/* Sums for all tiles of rows; returns 0 without memory. */
static int all_tiles(const uint8_t *levels, const uint8_t *mask, const Ball *ball, Tile *t,
                     uint16_t *out)
{
    size_t height = (size_t)(TILE + 2 * ball->reach[1]), width = (size_t)t->width;
    size_t tall = (size_t)(2 * ball->reach[0] + 1);
    uint16_t **to = malloc((size_t)ball->n_slices * sizeof *to);
    t->rows = calloc((size_t)(ball->reach[2] + 1) * height * width, sizeof *t->rows);
    t->sums = calloc(tall * TILE * width, sizeof *t->sums);
    int good = to != NULL && t->rows != NULL && t->sums != NULL;
    for (ptrdiff_t y = 0; good && y < t->ny; y += TILE) {
        ptrdiff_t end = y + TILE < t->ny ? y + TILE : t->ny;
        tile_sums(levels, mask, ball, t, y, end, to, out);
    }
    free(to);
    free(t->rows);
    free(t->sums);
    return good;
}

static PyObject *py_near_ball_sums(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *given[5];
    if (!PyArg_ParseTuple(args, "OOOOO", &given[0], &given[1], &given[2], &given[3], &given[4])) {
        return NULL;
    }
    const Need needs[5] = {{"levels", 'u', 1, 3, 0},
                           {"disc_rows", 'i', 4, 2, 0},
                           {"slices", 'i', 4, 2, 0},
                           {"mask", 'u', 1, 3, 0},
                           {"out", 'u', 2, 1, 1}};
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
        } else if (need_shape(&a[0], "levels", wanted) == 0) {
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

/* Where a box lies in an image; a part of it can lie outside. */
typedef struct {
    const ptrdiff_t *image, *box; /* shapes */
    const int64_t *start;         /* voxel of the image that is the first of the box */
} Place;

/* Levels of values from `low` on, 0 outside and where a value is missing. What a level is too high
 * or too low by is carried along a row, so that the sum of any run of voxels errs by no more than
 * one level, and 2^-16 of a level for each voxel. */
#define LEVELS_OF(name, REAL)                                                               \
    CLONES static void name(const REAL *image, const Place *p, double low, double scale,    \
                            uint32_t *line, uint8_t *out)                                   \
    {                                                                                       \
        ptrdiff_t nx = p->box[2], x0 = p->start[2] < 0 ? -p->start[2] : 0;                  \
        ptrdiff_t x1 = p->image[2] - p->start[2] < nx ? p->image[2] - p->start[2] : nx;     \
        for (ptrdiff_t row = 0; row < p->box[0] * p->box[1]; row++, out += nx) {            \
            ptrdiff_t z = p->start[0] + row / p->box[1], y = p->start[1] + row % p->box[1]; \
            memset(out, 0, (size_t)nx);                                                     \
            if (z < 0 || z >= p->image[0] || y < 0 || y >= p->image[1]) {                   \
                continue;                                                                   \
            }                                                                               \
            const REAL *from = image + (z * p->image[1] + y) * p->image[2] + p->start[2];   \
            for (ptrdiff_t x = x0; x < x1; x++) {                                           \
                double level = ((double)from[x] - low) * scale;                             \
                level = level > 0.0 ? level : 0.0;                                          \
                line[x] = (uint32_t)(int32_t)(level < 16777215.0 ? level : 16777215.0);     \
            }                                                                               \
            uint32_t sum = 1u << 15, before = 0;                                            \
            for (ptrdiff_t x = x0; x < x1; x++) {                                           \
                sum += line[x];                                                             \
                out[x] = (uint8_t)((sum >> 16) - before);                                   \
                before = sum >> 16;                                                         \
            }                                                                               \
        }                                                                                   \
    }
LEVELS_OF(levels_of_singles, float)
LEVELS_OF(levels_of_doubles, double)

static PyObject *py_row_levels(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *given[3];
    double low, scale;
    if (!PyArg_ParseTuple(args, "OddOO", &given[0], &low, &scale, &given[1], &given[2])) {
        return NULL;
    }
    Py_buffer view;
    int size = 8;
    if (PyObject_GetBuffer(given[0], &view, PyBUF_FORMAT | PyBUF_ND | PyBUF_STRIDES) == 0) {
        size = view.itemsize == 4 ? 4 : 8;
        PyBuffer_Release(&view);
    } else {
        PyErr_Clear();
    }
    const Need needs[3] = {
        {"image", 'f', size, 3, 0}, {"start", 'i', 8, 1, 0}, {"out", 'u', 1, 3, 1}};
    Array a[3];
    const ptrdiff_t three = 3;
    if (take_arrays(given, needs, 3, a) < 0) {
        return NULL;
    }
    const int64_t *start = a[1].view.buf;
    int good = isfinite(low) && scale >= 0.0 && scale < 1e300 && a[1].view.shape[0] == three;
    for (int axis = 0; axis < 3 && good; axis++) {
        int64_t from = start[axis], size_of = a[2].view.shape[axis];
        /* The box meets the image. */
        good = from < a[0].view.shape[axis] && from > -size_of;
    }
    uint32_t *line = good ? malloc(((size_t)a[2].view.shape[2] + 1) * sizeof *line) : NULL;
    if (!good) {
        refuse("low, scale, start: needed are finite numbers and a box that meets the image.");
    } else if (line == NULL) {
        PyErr_NoMemory();
    } else {
        const Place place = {(ptrdiff_t *)a[0].view.shape, (ptrdiff_t *)a[2].view.shape, start};
        scale *= 65536.0;
        Py_BEGIN_ALLOW_THREADS
        if (size == 4) {
            levels_of_singles(a[0].view.buf, &place, low, scale, line, a[2].view.buf);
        } else {
            levels_of_doubles(a[0].view.buf, &place, low, scale, line, a[2].view.buf);
        }
        Py_END_ALLOW_THREADS
    }
    free(line);
    give_back(a, 3);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

PyMethodDef near_ball_methods[] = {
    {"row_levels", py_row_levels, METH_VARARGS,
     "row_levels(image, low, scale, start, out): write levels (value - low) * scale, up to 255, of "
     "the box of the image that begins at voxel start to out, rounded so that the sum of any run "
     "along a row errs by at most one level; 0 outside the image and where a value is NaN."},
    {"near_ball_sums", py_near_ball_sums, METH_VARARGS,
     "near_ball_sums(levels, disc_rows, slices, mask, out): write sums over a ball around each "
     "voxel of the mask, modulo 65536; levels have as much margin as the ball reaches; a ball is "
     "slices (disc, dz), a disc rows (disc, dy, half width)."},
    {NULL, NULL, 0, NULL},
};
