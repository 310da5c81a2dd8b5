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
    int32_t left, right, from, to; /* planes on both sides, seen from outside, and vertices */
} Edge;

enum { STAR = 8 };

typedef struct {
    int32_t left[STAR], right[STAR], to[STAR]; /* ways from a vertex; left = right: none */
} Star;

typedef struct {
    const double *points, *planes; /* columns of n points and m outward unit normals */
    const Edge *edges;
    ptrdiff_t n, m, n_edges;
    uint8_t *front;
    Side *sides;
    double *turn;   /* angles of the sides, and again a turn later */
    double *place;  /* points one after the other */
    Edge *ways;     /* edges both ways; ways[begin[v]] to ways[begin[v + 1] - 1] leave vertex v */
    int32_t *begin;
    Star *stars;    /* the same of vertices that up to STAR ways leave */
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

static double dot3(const double *a, const double *b)
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/* An edge of the outline from (pu, pv) by (du, dv) as a side; 0 where it is seen end on. */
static int side_of(double pu, double pv, double du, double dv, Side *side)
{
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

/* Whether a way is part of the outline and has the shadow to its left. */
static int on_outline(const Hull *h, const Edge *way)
{
    return h->front[way->left] & (h->front[way->right] ^ 1);
}

/* Where the only part of the outline that leaves a vertex goes; -1 where there is none or another.
 * A star is looked through without a jump that processors could guess wrong. */
static int32_t next_vertex(const Hull *h, int32_t vertex)
{
    int32_t first = h->begin[vertex], end = h->begin[vertex + 1], found = 0, count = 0;
    if (end - first <= STAR) {
        const Star *star = &h->stars[vertex];
        for (int i = 0; i < STAR; i++) {
            int good = h->front[star->left[i]] & (h->front[star->right[i]] ^ 1);
            found |= -good & star->to[i];
            count += good;
        }
    } else {
        for (int32_t k = first; k < end; k++) {
            int good = on_outline(h, &h->ways[k]);
            found |= -good & h->ways[k].to;
            count += good;
        }
    }
    return count == 1 ? found : -1;
}

/* Follow the outline from vertex to vertex. Returns 0 where it does not close after one turn, as
 * it may where planes stand on edge. Ways are looked through from `hint` on. */
static ptrdiff_t followed(const Hull *h, const double *u, const double *v, int32_t *hint)
{
    int32_t n_ways = (int32_t)(2 * h->n_edges), seen = 0, first = *hint;
    while (seen < n_ways && !on_outline(h, &h->ways[first])) {
        first = first + 1 < n_ways ? first + 1 : 0;
        seen++;
    }
    if (seen == n_ways) {
        return 0;
    }
    *hint = first;
    const int32_t start = h->ways[first].from;
    int32_t vertex = start;
    const double *from = h->place + 3 * (ptrdiff_t)start;
    double pu = dot3(from, u), pv = dot3(from, v), turned = 0;
    ptrdiff_t count = 0, steps = 0;
    do {
        vertex = next_vertex(h, vertex);
        if (vertex < 0 || ++steps > h->n_edges) {
            return 0;
        }
        const double *to = h->place + 3 * (ptrdiff_t)vertex;
        double qu = dot3(to, u), qv = dot3(to, v);
        if (side_of(pu, pv, qu - pu, qv - pv, &h->sides[count])) {
            if (count) {
                double step = h->sides[count].angle - h->sides[count - 1].angle;
                turned += step < -2.0 ? step + 4.0 : step;
                if (step < -1e-9 && step >= -2.0) {
                    return 0;
                }
            }
            count++;
        }
        pu = qu;
        pv = qv;
    } while (vertex != start);
    return turned > 2.0 && turned < 4.0 + 1e-6 ? count : 0;
}

/* The outline of the hull's shadow across d: edges between planes that face d and planes that
 * do not, with the shadow to their left, by angle. */
static ptrdiff_t outline(const Hull *h, const double *d, const double *u, const double *v,
                         int32_t *hint)
{
    find_front(h->planes, h->m, d, h->front);
    ptrdiff_t count = followed(h, u, v, hint);
    if (count) {
        return count;
    }
    for (ptrdiff_t k = 0; k < 2 * h->n_edges; k++) {
        const Edge *way = &h->ways[k];
        if (on_outline(h, way)) {
            const double *p = h->place + 3 * (ptrdiff_t)way->from;
            const double *q = h->place + 3 * (ptrdiff_t)way->to;
            double pu = dot3(p, u), pv = dot3(p, v);
            count += side_of(pu, pv, dot3(q, u) - pu, dot3(q, v) - pv, &h->sides[count]);
        }
    }
    qsort(h->sides, (size_t)count, sizeof *h->sides, by_angle);
    order_in_line(h->sides, count);
    return count;
}

/* List the ways that leave each vertex, and the points. */
static void list_ways(const Hull *h)
{
    memset(h->begin, 0, ((size_t)h->n + 1) * sizeof *h->begin);
    for (ptrdiff_t e = 0; e < h->n_edges; e++) {
        h->begin[h->edges[e].from]++;
        h->begin[h->edges[e].to]++;
    }
    for (ptrdiff_t v = 0; v < h->n; v++) {
        h->begin[v + 1] += h->begin[v];
        for (int i = 0; i < 3; i++) {
            h->place[3 * v + i] = h->points[i * h->n + v];
        }
    }
    for (ptrdiff_t e = 0; e < h->n_edges; e++) {
        const Edge *edge = &h->edges[e];
        h->ways[--h->begin[edge->from]] = *edge;
        h->ways[--h->begin[edge->to]] = (Edge){edge->right, edge->left, edge->to, edge->from};
    }
    memset(h->stars, 0, (size_t)h->n * sizeof *h->stars);
    for (ptrdiff_t v = 0; v < h->n; v++) {
        for (int32_t i = 0; i < h->begin[v + 1] - h->begin[v] && i < STAR; i++) {
            const Edge *way = &h->ways[h->begin[v] + i];
            h->stars[v].left[i] = way->left;
            h->stars[v].right[i] = way->right;
            h->stars[v].to[i] = way->to;
        }
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

static void smallest_box(const Hull *h, const int32_t *which, ptrdiff_t n_which, double *out)
{
    double best = INFINITY;
    int32_t hint = 0;
    for (ptrdiff_t k = 0; k < n_which; k++) {
        double d[3], u[3], v[3], a = 0, b = 0;
        for (int i = 0; i < 3; i++) {
            d[i] = h->planes[i * h->m + which[k]];
        }
        span(d, u, v);
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
                Py_BEGIN_ALLOW_THREADS
                list_ways(&h);
                smallest_box(&h, a[3].view.buf, a[3].view.shape[0], a[4].view.buf);
                Py_END_ALLOW_THREADS
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

PyMethodDef hull_methods[] = {
    {"diameter", py_diameter, METH_O,
     "diameter(points): return the largest distance between two of the points (3, n)."},
    {"smallest_box", py_smallest_box, METH_VARARGS,
     "smallest_box(points, planes, edges, which, out): write the edges of the smallest box that "
     "has a face on one of the planes; edges hold the planes to their left and right and their "
     "ends."},
    {NULL, NULL, 0, NULL},
};
