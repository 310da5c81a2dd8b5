/* The smallest box around a convex hull that has a face on one of its planes. */
#include "hull_body.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

enum { SIDE_BY_SIDE = 16 }; /* partial maxima, so that wide registers hold them */
enum { MANY = 300 }; /* planes from which on bounds pay */
#define SLACK 1e-6 /* of bounds: roundings, and planes that stand on edge, are below it */

CLONES static double width_along(const double *points, ptrdiff_t n, const double *d)
{
    double low[SIDE_BY_SIDE], high[SIDE_BY_SIDE];
    for (int k = 0; k < SIDE_BY_SIDE; k++) {
        low[k] = DBL_MAX;
        high[k] = -DBL_MAX;
    }
    for (ptrdiff_t i = 0; i < n; i += SIDE_BY_SIDE) {
        ptrdiff_t first = i + SIDE_BY_SIDE <= n ? i : n - SIDE_BY_SIDE;
        first = first < 0 ? 0 : first; /* the last block overlaps the one before */
        const double *x = points + first, *y = x + n, *z = y + n;
        int count = n < SIDE_BY_SIDE ? (int)n : SIDE_BY_SIDE;
        if (count == SIDE_BY_SIDE) {
            for (int k = 0; k < SIDE_BY_SIDE; k++) {
                double at = x[k] * d[0] + y[k] * d[1] + z[k] * d[2];
                low[k] = at < low[k] ? at : low[k];
                high[k] = at > high[k] ? at : high[k];
            }
        } else {
            for (int k = 0; k < count; k++) {
                double at = x[k] * d[0] + y[k] * d[1] + z[k] * d[2];
                low[k] = at < low[k] ? at : low[k];
                high[k] = at > high[k] ? at : high[k];
            }
        }
    }
    for (int k = 1; k < SIDE_BY_SIDE; k++) {
        low[0] = low[k] < low[0] ? low[k] : low[0];
        high[0] = high[k] > high[0] ? high[k] : high[0];
    }
    return high[0] - low[0];
}

/* Two unit vectors that span the plane across a unit vector. */
static void span(const double *d, double *u, double *v)
{
    int small = fabs(d[0]) <= fabs(d[1]) ? 0 : 1;
    small = fabs(d[2]) < fabs(d[small]) ? 2 : small;
    int a = (small + 1) % 3, b = (small + 2) % 3;
    double norm = sqrt(d[a] * d[a] + d[b] * d[b]);
    u[small] = 0;
    u[a] = d[b] / norm;
    u[b] = -d[a] / norm;
    for (int i = 0; i < 3; i++) {
        int j = (i + 1) % 3, k = (i + 2) % 3;
        v[i] = d[j] * u[k] - d[k] * u[j];
    }
}

enum { AHEAD = 8 }; /* sides that are looked at at a time */

/* The first side from one on whose angle is not below another. */
static inline ptrdiff_t turned_to(const double *turn, ptrdiff_t at, ptrdiff_t end, double angle)
{
    int more = AHEAD;
    while (more == AHEAD && at < end) {
        more = 0;
        for (int i = 0; i < AHEAD; i++) {
            more += turn[at + i] < angle;
        }
        at += more;
    }
    return at < end ? at : end;
}

/* The smallest rectangle around a convex outline of n sides, by calipers that turn with them: a
 * point is the farthest in a direction where the sides turn away from it. */
CLONES static double rectangle(const Side *side, ptrdiff_t n, double *turn, double *a, double *b)
{
    double best = INFINITY, begun = 0;
    ptrdiff_t far[3] = {0, 0, 0};
    for (ptrdiff_t k = 0; k < n; k++) {
        begun += k && side[k].angle - side[k - 1].angle < -2.0 ? 4.0 : 0.0;
        turn[k] = side[k].angle + begun;
    }
    for (ptrdiff_t k = n; n && k < 2 * n + AHEAD; k++) {
        turn[k] = turn[k - n] + 4.0;
    }
    for (ptrdiff_t k = 0; k < n; k++) {
        double c = side[k].c, s = side[k].s;
        /* Farthest along the side, across it, and backwards: after each quarter of a turn. */
        const double way[3][2] = {{c, s}, {-s, c}, {-c, -s}};
        double reach[3];
        for (int i = 0; i < 3; i++) {
            ptrdiff_t from = far[i] > k ? far[i] : k;
            far[i] = turned_to(turn, from, k + n, turn[k] + i + 1.0);
            reach[i] = along(&side[far[i] < n ? far[i] : far[i] - n], way[i][0], way[i][1]);
        }
        double length = reach[0] + reach[2];
        double height = reach[1] - along(&side[k], -s, c);
        if (length * height < best) {
            best = length * height;
            *a = length;
            *b = height;
        }
    }
    return best;
}

/* Where the box on a plane lies: the plane's normal and two directions across it. */
static void axes_of(const Hull *h, int32_t plane, double *d, double *u, double *v)
{
    for (int i = 0; i < 3; i++) {
        d[i] = h->planes[i * h->m + plane];
    }
    span(d, u, v);
}

/* At least the volume of the smallest box on each of some planes; returns which has the least. */
static ptrdiff_t bounds(const Hull *h, const Spans *spans, const int32_t *which,
                        ptrdiff_t n_which, double *bound)
{
    ptrdiff_t least = 0;
    for (ptrdiff_t k = 0; k < n_which; k++) {
        double d[3], u[3], v[3];
        axes_of(h, which[k], d, u, v);
        bound[k] = least_width(spans, d) * least_rectangle(spans, u, v) * (1.0 - SLACK);
        least = bound[k] < bound[least] ? k : least;
    }
    return least;
}

/* Boxes are looked at from the one with the least bound on, and those alone whose bound is below
 * the smallest box so far. */
static void smallest_box(const Hull *h, const int32_t *which, ptrdiff_t n_which,
                         const double *bound, ptrdiff_t first, double *out)
{
    double best = INFINITY;
    int32_t hint = 0;
    for (ptrdiff_t at = -1; at < n_which; at++) {
        const ptrdiff_t k = at < 0 ? first : at;
        if (bound[k] >= best || (at == first && best < INFINITY)) {
            continue;
        }
        double d[3], u[3], v[3], a = 0, b = 0;
        axes_of(h, which[k], d, u, v);
        double area = rectangle(h->sides, outline(h, d, u, v, &hint), h->turn, &a, &b);
        double height = width_along(h->points, h->n, d);
        if (area * height < best) {
            best = area * height;
            out[0] = height;
            out[1] = a;
            out[2] = b;
        }
    }
}

/* Returns -1 where memory ran out. Few planes are not worth bounds. */
static int search(const Hull *h, const int32_t *which, ptrdiff_t n_which, double *out)
{
    Spans spans = {NULL};
    ptrdiff_t first = 0;
    double *bound = calloc((size_t)n_which + 1, sizeof *bound);
    int failed = bound == NULL || (n_which >= MANY && make_spans(h, &spans) < 0);
    if (!failed && n_which > 0) {
        if (spans.cell != NULL) {
            first = bounds(h, &spans, which, n_which, bound);
        }
        smallest_box(h, which, n_which, bound, first, out);
    }
    free(spans.cell);
    free(bound);
    return failed ? -1 : 0;
}

static int good_indices(const int32_t *index, ptrdiff_t count, ptrdiff_t step, ptrdiff_t limit)
{
    for (ptrdiff_t i = 0; i < count; i++) {
        if (index[i * step] < 0 || index[i * step] >= limit) {
            return 0;
        }
    }
    return 1;
}

static PyObject *py_smallest_box(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *given[5];
    if (!PyArg_ParseTuple(args, "OOOOO", &given[0], &given[1], &given[2], &given[3], &given[4])) {
        return NULL;
    }
    const Need needs[5] = {{"points", 'f', 8, 2, 0},
                           {"planes", 'f', 8, 2, 0},
                           {"edges", 'i', 4, 2, 0},
                           {"which", 'i', 4, 1, 0},
                           {"out", 'f', 8, 1, 1}};
    Array a[5];
    if (take_arrays(given, needs, 5, a) < 0) {
        return NULL;
    }
    const int32_t *edges = a[2].view.buf;
    ptrdiff_t three = 3, n_edges = a[2].view.shape[0];
    if (n_edges > INT32_MAX / 2) {
        refuse("edges: too many.");
    } else if (good_columns(&a[0], "points") && good_columns(&a[1], "planes") &&
        need_shape(&a[4], "out", &three) == 0) {
        Hull h = {.points = a[0].view.buf, .planes = a[1].view.buf, .edges = a[2].view.buf,
                  .n = a[0].view.shape[1], .m = a[1].view.shape[1], .n_edges = n_edges};
        if (a[2].view.shape[1] != 4 || !good_indices(edges, n_edges, 4, h.m) ||
            !good_indices(edges + 1, n_edges, 4, h.m) ||
            !good_indices(edges + 2, n_edges, 4, h.n) ||
            !good_indices(edges + 3, n_edges, 4, h.n) ||
            !good_indices(a[3].view.buf, a[3].view.shape[0], 1, h.m)) {
            refuse("edges or which: out of range.");
        } else {
            h.front = malloc((size_t)h.m);
            h.sides = malloc(((size_t)n_edges + 1) * sizeof *h.sides);
            h.turn = malloc((2 * (size_t)n_edges + 2 + AHEAD) * sizeof *h.turn);
            h.stars = malloc((size_t)h.n * sizeof *h.stars);
            h.begin = malloc(((size_t)h.n + 1) * sizeof *h.begin);
            h.ways = malloc((2 * (size_t)n_edges + 1) * sizeof *h.ways);
            h.place = malloc(3 * (size_t)h.n * sizeof *h.place);
            if (h.front == NULL || h.sides == NULL || h.begin == NULL || h.ways == NULL ||
                h.place == NULL || h.turn == NULL || h.stars == NULL) {
                PyErr_NoMemory();
            } else {
                int failed;
                Py_BEGIN_ALLOW_THREADS
                list_ways(&h);
                failed = search(&h, a[3].view.buf, a[3].view.shape[0], a[4].view.buf);
                Py_END_ALLOW_THREADS
                if (failed) {
                    PyErr_NoMemory();
                }
            }
            free(h.front);
            free(h.sides);
            free(h.begin);
            free(h.ways);
            free(h.place);
            free(h.turn);
            free(h.stars);
        }
    }
    give_back(a, 5);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

PyMethodDef box_methods[] = {
    {"smallest_box", py_smallest_box, METH_VARARGS,
     "smallest_box(points, planes, edges, which, out): write the edges of the smallest box that "
     "has a face on one of the planes; edges hold the planes to their left and right and their "
     "ends."},
    {NULL, NULL, 0, NULL},
};
