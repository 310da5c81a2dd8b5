/* Kernels on convex hulls: the largest distance of two points, the smallest oriented box. */
#include "arrays.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

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

typedef struct {
    double angle, c, s, u, v; /* direction of the edge, and its first point */
} Side;

typedef struct {
    const double *points, *planes; /* columns of n points and m outward unit normals */
    const int32_t *edges;          /* plane to the left, plane to the right, from, to */
    ptrdiff_t n, m, n_edges;
    uint8_t *front;
    Side *sides;
    int32_t *begin, *at;           /* edges at[begin[v]] to at[begin[v + 1] - 1] meet vertex v */
} Hull;

static int by_angle(const void *a, const void *b)
{
    double gap = ((const Side *)a)->angle - ((const Side *)b)->angle;
    return (gap > 0) - (gap < 0);
}

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

CLONES static void find_front(const double *planes, ptrdiff_t m, const double *d, uint8_t *front)
{
    for (ptrdiff_t i = 0; i < m; i++) {
        front[i] = planes[i] * d[0] + planes[m + i] * d[1] + planes[2 * m + i] * d[2] > 1e-9;
    }
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

static double along(const Side *side, double c, double s)
{
    return side->u * c + side->v * s;
}

/* Sides of one direction follow each other along it. */
static void order_in_line(Side *side, ptrdiff_t n)
{
    for (ptrdiff_t i = 1; i < n; i++) {
        Side moved = side[i];
        double c = moved.c, s = moved.s;
        ptrdiff_t j = i;
        while (j > 0 && moved.angle - side[j - 1].angle < 1e-9 &&
               along(&moved, c, s) < along(&side[j - 1], c, s)) {
            side[j] = side[j - 1];
            j--;
        }
        side[j] = moved;
    }
}

/* An edge of the outline as a side, with the shadow to its left; 0 where it is seen end on. */
static int side_of(const Hull *h, const int32_t *edge, const double *u, const double *v,
                   Side *side)
{
    int forward = h->front[edge[0]];
    const double *p = h->points + edge[forward ? 2 : 3], *q = h->points + edge[forward ? 3 : 2];
    double pu = 0, pv = 0, du = 0, dv = 0;
    for (int i = 0; i < 3; i++) {
        ptrdiff_t at = i * h->n;
        pu += p[at] * u[i];
        pv += p[at] * v[i];
        du += (q[at] - p[at]) * u[i];
        dv += (q[at] - p[at]) * v[i];
    }
    double length = sqrt(du * du + dv * dv);
    if (length <= 1e-12) {
        return 0;
    }
    double c = du / length, s = dv / length;
    /* Rises with the angle from 0 to 4 in a turn; the last directions begin the turn. */
    double angle = s >= 0 ? (c >= 0 ? s : 1.0 - c) : (c < 0 ? 2.0 - s : 3.0 + c);
    *side = (Side){angle > 4.0 - 1e-9 ? angle - 4.0 : angle, c, s, pu, pv};
    return 1;
}

static int on_outline(const Hull *h, ptrdiff_t e)
{
    return h->front[h->edges[4 * e]] != h->front[h->edges[4 * e + 1]];
}

/* Follow the outline from edge to edge. Returns 0 where it does not close after one turn, as it
 * may where planes stand on edge. */
static ptrdiff_t followed(const Hull *h, const double *u, const double *v)
{
    ptrdiff_t first = 0, count = 0, steps = 0;
    while (first < h->n_edges && !on_outline(h, first)) {
        first++;
    }
    if (first == h->n_edges) {
        return 0;
    }
    ptrdiff_t e = first;
    double turned = 0;
    do {
        const int32_t *edge = h->edges + 4 * e;
        int32_t end = edge[h->front[edge[0]] ? 3 : 2];
        if (side_of(h, edge, u, v, &h->sides[count])) {
            if (count) {
                double step = h->sides[count].angle - h->sides[count - 1].angle;
                turned += step < -2.0 ? step + 4.0 : step;
                if (step < -1e-9 && step >= -2.0) {
                    return 0;
                }
            }
            count++;
        }
        ptrdiff_t next = -1;
        for (int32_t k = h->begin[end]; k < h->begin[end + 1]; k++) {
            const int32_t *other = h->edges + 4 * (ptrdiff_t)h->at[k];
            if (h->at[k] != e && on_outline(h, h->at[k]) &&
                other[h->front[other[0]] ? 2 : 3] == end) {
                if (next >= 0) {
                    return 0;
                }
                next = h->at[k];
            }
        }
        if (next < 0 || ++steps > h->n_edges) {
            return 0;
        }
        e = next;
    } while (e != first);
    return turned > 2.0 && turned < 4.0 + 1e-6 ? count : 0;
}

/* The outline of the hull's shadow across d: edges between planes that face d and planes that
 * do not, with the shadow to their left, by angle. */
static ptrdiff_t outline(const Hull *h, const double *d, const double *u, const double *v)
{
    find_front(h->planes, h->m, d, h->front);
    ptrdiff_t count = followed(h, u, v);
    if (count) {
        return count;
    }
    for (ptrdiff_t e = 0; e < h->n_edges; e++) {
        count += on_outline(h, e) && side_of(h, h->edges + 4 * e, u, v, &h->sides[count]);
    }
    qsort(h->sides, (size_t)count, sizeof *h->sides, by_angle);
    order_in_line(h->sides, count);
    return count;
}

/* List the edges that meet each vertex. */
static void meetings(const Hull *h)
{
    memset(h->begin, 0, ((size_t)h->n + 1) * sizeof *h->begin);
    for (ptrdiff_t e = 0; e < 2 * h->n_edges; e++) {
        h->begin[h->edges[4 * (e / 2) + 2 + e % 2]]++;
    }
    for (ptrdiff_t v = 0; v < h->n; v++) {
        h->begin[v + 1] += h->begin[v];
    }
    for (ptrdiff_t e = 0; e < 2 * h->n_edges; e++) {
        h->at[--h->begin[h->edges[4 * (e / 2) + 2 + e % 2]]] = (int32_t)(e / 2);
    }
}

/* Sides are numbered round and round. */
static const Side *numbered(const Side *side, ptrdiff_t n, ptrdiff_t at)
{
    at = at >= n ? at - n : at;
    return side + (at >= n ? at - n : at);
}

/* The smallest rectangle around a convex outline, by calipers that turn with its sides. */
static double rectangle(const Side *side, ptrdiff_t n, double *a, double *b)
{
    double best = INFINITY;
    ptrdiff_t far[3] = {0, 0, 0};
    for (ptrdiff_t k = 0; k < n; k++) {
        double c = side[k].c, s = side[k].s;
        /* Farthest along the side, across it, and backwards. */
        const double turn[3][2] = {{c, s}, {-s, c}, {-c, -s}};
        double reach[3];
        for (int i = 0; i < 3; i++) {
            double x = turn[i][0], y = turn[i][1];
            ptrdiff_t at = far[i] > k ? far[i] : k;
            at = i > 0 && far[i - 1] > at ? far[i - 1] : at;
            double now = along(numbered(side, n, at), x, y), next;
            while (at < k + n && (next = along(numbered(side, n, at + 1), x, y)) >= now) {
                now = next;
                at++;
            }
            far[i] = at;
            reach[i] = now;
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

static void smallest_box(const Hull *h, const int32_t *which, ptrdiff_t n_which, double *out)
{
    double best = INFINITY;
    for (ptrdiff_t k = 0; k < n_which; k++) {
        double d[3], u[3], v[3], a = 0, b = 0;
        for (int i = 0; i < 3; i++) {
            d[i] = h->planes[i * h->m + which[k]];
        }
        span(d, u, v);
        double area = rectangle(h->sides, outline(h, d, u, v), &a, &b);
        double height = width_along(h->points, h->n, d);
        if (area * height < best) {
            best = area * height;
            out[0] = height;
            out[1] = a;
            out[2] = b;
        }
    }
}

static int good_columns(const Array *array, const char *name)
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

static int good_indices(const int32_t *index, ptrdiff_t count, ptrdiff_t step, ptrdiff_t limit)
{
    for (ptrdiff_t i = 0; i < count; i++) {
        if (index[i * step] < 0 || index[i * step] >= limit) {
            return 0;
        }
    }
    return 1;
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
    if (good_columns(&a[0], "points") && good_columns(&a[1], "planes") &&
        need_shape(&a[4], "out", &three) == 0) {
        Hull h = {a[0].view.buf, a[1].view.buf, edges, a[0].view.shape[1], a[1].view.shape[1],
                  n_edges,       NULL,          NULL,  NULL,                NULL};
        if (a[2].view.shape[1] != 4 || !good_indices(edges, n_edges, 4, h.m) ||
            !good_indices(edges + 1, n_edges, 4, h.m) ||
            !good_indices(edges + 2, n_edges, 4, h.n) ||
            !good_indices(edges + 3, n_edges, 4, h.n) ||
            !good_indices(a[3].view.buf, a[3].view.shape[0], 1, h.m)) {
            refuse("edges or which: out of range.");
        } else {
            h.front = malloc((size_t)h.m);
            h.sides = malloc(((size_t)n_edges + 1) * sizeof *h.sides);
            h.begin = malloc(((size_t)h.n + 1) * sizeof *h.begin);
            h.at = malloc((2 * (size_t)n_edges + 1) * sizeof *h.at);
            if (h.front == NULL || h.sides == NULL || h.begin == NULL || h.at == NULL) {
                PyErr_NoMemory();
            } else {
                Py_BEGIN_ALLOW_THREADS
                meetings(&h);
                smallest_box(&h, a[3].view.buf, a[3].view.shape[0], a[4].view.buf);
                Py_END_ALLOW_THREADS
            }
            free(h.front);
            free(h.sides);
            free(h.begin);
            free(h.at);
        }
    }
    give_back(a, 5);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

PyMethodDef hull_methods[] = {
    {"diameter", py_diameter, METH_O,
     "diameter(points): return the largest distance between two of the points (3, n)."},
    {"smallest_box", py_smallest_box, METH_VARARGS,
     "smallest_box(points, planes, edges, which, out): write the edges of the smallest box that "
     "has a face on one of the planes; edges hold the planes to their left and right and their "
     "ends."},
    {NULL, NULL, 0, NULL},
};
