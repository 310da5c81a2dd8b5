/* The convex hull of points on a grid of whole numbers, without rounding: points are added to the
 * hull of those before, the farthest outside a facet first (Barber, Dobkin & Huhdanpaa 1996). */
#include "arrays.h"

#include <stdlib.h>
#include <string.h>

enum { WIDEST = 1 << 18 }; /* coordinates up to this leave room for all products */

typedef struct {
    int32_t corner[3];    /* counter-clockwise, seen from outside */
    int32_t across[3];    /* the facet across from each corner */
    int64_t normal[3], offset;
    int32_t outside, far; /* points outside, as a list, and the farthest; -1 where there is none */
    int64_t farthest;
    int32_t seen;         /* the round in which it was seen from a new point; -1 = free */
    int32_t waits;        /* whether it is among those to look at, it or the one before it there */
} Facet;

typedef struct {
    const int32_t (*point)[3];
    int32_t n, n_facets, free, round; /* free: first of the free facets, linked by `outside` */
    Facet *facet;
    int32_t *next;        /* next point of the list that a point is in */
    int32_t *from, *to;   /* new facet whose edge begins or ends at a point */
    int32_t *seen, *todo; /* facets seen in this round; facets to look at */
    int32_t n_seen, n_todo;
} Hull;

static int64_t height(const Facet *f, const int32_t *p)
{
    return f->normal[0] * p[0] + f->normal[1] * p[1] + f->normal[2] * p[2] - f->offset;
}

static void cross(const int32_t *a, const int32_t *b, const int32_t *c, int64_t *out)
{
    for (int i = 0; i < 3; i++) {
        int j = (i + 1) % 3, k = (i + 2) % 3;
        out[i] = (int64_t)(b[j] - a[j]) * (c[k] - a[k]) - (int64_t)(b[k] - a[k]) * (c[j] - a[j]);
    }
}

static int32_t new_facet(Hull *h, int32_t a, int32_t b, int32_t c)
{
    int32_t at = h->free, waits = 0;
    if (at >= 0) {
        h->free = h->facet[at].outside;
        waits = h->facet[at].waits;
    } else {
        at = h->n_facets++;
    }
    Facet *f = &h->facet[at];
    *f = (Facet){.corner = {a, b, c}, .outside = -1, .far = -1, .waits = waits};
    cross(h->point[a], h->point[b], h->point[c], f->normal);
    f->offset = height(f, h->point[a]);
    return at;
}

/* Put a point on the list of the first of some facets that it is outside of. */
static void assign(Hull *h, int32_t p, const int32_t *facets, int32_t count)
{
    for (int32_t k = 0; k < count; k++) {
        Facet *f = &h->facet[facets[k]];
        int64_t far = height(f, h->point[p]);
        if (far > 0) {
            h->next[p] = f->outside;
            f->outside = p;
            if (far > f->farthest) {
                f->farthest = far;
                f->far = p;
            }
            return;
        }
    }
}

static void wait_for(Hull *h, int32_t facet)
{
    if (h->facet[facet].outside >= 0 && !h->facet[facet].waits) {
        h->facet[facet].waits = 1;
        h->todo[h->n_todo++] = facet;
    }
}

/* Find all facets that a point sees, from one on: a list, and marks. */
static void look(Hull *h, int32_t first, const int32_t *p)
{
    h->round++;
    h->n_seen = 0;
    h->seen[h->n_seen++] = first;
    h->facet[first].seen = h->round;
    for (int32_t k = 0; k < h->n_seen; k++) {
        for (int i = 0; i < 3; i++) {
            int32_t other = h->facet[h->seen[k]].across[i];
            if (h->facet[other].seen != h->round && height(&h->facet[other], p) > 0) {
                h->facet[other].seen = h->round;
                h->seen[h->n_seen++] = other;
            }
        }
    }
}

/* Join a point with the rim of what it sees; the new facets follow those seen in the list. */
static int32_t join(Hull *h, int32_t p)
{
    int32_t *made = h->seen + h->n_seen, count = 0;
    for (int32_t k = 0; k < h->n_seen; k++) {
        for (int i = 0; i < 3; i++) {
            const Facet *f = &h->facet[h->seen[k]];
            int32_t other = f->across[i], a = f->corner[(i + 1) % 3], b = f->corner[(i + 2) % 3];
            if (h->facet[other].seen == h->round) {
                continue;
            }
            int32_t at = new_facet(h, a, b, p);
            Facet *beyond = &h->facet[other];
            for (int j = 0; j < 3; j++) { /* across the same edge, and no other */
                if (beyond->across[j] == h->seen[k] && beyond->corner[(j + 1) % 3] == b) {
                    beyond->across[j] = at;
                }
            }
            h->facet[at].across[2] = other;
            h->from[a] = h->to[b] = at;
            made[count++] = at;
        }
    }
    for (int32_t k = 0; k < count; k++) {
        Facet *f = &h->facet[made[k]];
        f->across[0] = h->from[f->corner[1]];
        f->across[1] = h->to[f->corner[0]];
    }
    return count;
}

/* Add the farthest point outside a facet to the hull. */
static void add(Hull *h, int32_t facet)
{
    int32_t p = h->facet[facet].far;
    look(h, facet, h->point[p]);
    int32_t count = join(h, p), *made = h->seen + h->n_seen;
    for (int32_t k = 0; k < h->n_seen; k++) {
        Facet *f = &h->facet[h->seen[k]];
        for (int32_t q = f->outside, next; q >= 0; q = next) {
            next = h->next[q];
            if (q != p) {
                assign(h, q, made, count);
            }
        }
        f->seen = -1;
        f->outside = h->free;
        h->free = h->seen[k];
    }
    for (int32_t k = 0; k < count; k++) {
        wait_for(h, made[k]);
    }
}

/* The point that is farthest from the points (none), (a), (a, b) or the plane (a, b, c). */
static int32_t farthest(const Hull *h, const int32_t *chosen, int count)
{
    int32_t found = -1;
    double most = 0;
    for (int32_t p = 0; p < h->n; p++) {
        const int32_t *x = h->point[p], *a = h->point[chosen[0]];
        int64_t normal[3];
        double far = 0;
        if (count == 1) {
            for (int i = 0; i < 3; i++) {
                far += (double)(x[i] - a[i]) * (x[i] - a[i]);
            }
        } else if (count == 2) {
            cross(a, h->point[chosen[1]], x, normal);
            for (int i = 0; i < 3; i++) {
                far += (double)normal[i] * (double)normal[i];
            }
        } else {
            cross(a, h->point[chosen[1]], h->point[chosen[2]], normal);
            for (int i = 0; i < 3; i++) {
                far += (double)normal[i] * (x[i] - a[i]);
            }
            far = far < 0 ? -far : far;
        }
        if (far > most) {
            most = far;
            found = p;
        }
    }
    return found;
}

/* Begin with four points that do not lie in a plane; returns 0 where there are none. */
static int begin(Hull *h)
{
    int32_t c[4] = {0, -1, -1, -1};
    for (int k = 1; k < 4; k++) {
        c[k] = farthest(h, c, k);
        if (c[k] < 0) {
            return 0;
        }
    }
    int64_t normal[3], side = 0;
    cross(h->point[c[0]], h->point[c[1]], h->point[c[2]], normal);
    for (int i = 0; i < 3; i++) {
        side += normal[i] * (h->point[c[3]][i] - h->point[c[0]][i]);
    }
    if (side > 0) { /* the fourth point belongs behind the first three */
        int32_t swap = c[1];
        c[1] = c[2];
        c[2] = swap;
    }
    const int corners[4][3] = {{0, 1, 2}, {0, 3, 1}, {1, 3, 2}, {2, 3, 0}};
    const int across[4][3] = {{2, 3, 1}, {2, 0, 3}, {3, 0, 1}, {1, 0, 2}};
    int32_t all[4] = {0, 1, 2, 3};
    for (int k = 0; k < 4; k++) {
        new_facet(h, c[corners[k][0]], c[corners[k][1]], c[corners[k][2]]);
        for (int i = 0; i < 3; i++) {
            h->facet[k].across[i] = across[k][i];
        }
    }
    for (int32_t p = 0; p < h->n; p++) {
        assign(h, p, all, 4);
    }
    for (int32_t k = 0; k < 4; k++) {
        wait_for(h, k);
    }
    return 1;
}

static int grow(Hull *h)
{
    if (h->n == 0 || !begin(h)) {
        return 0;
    }
    while (h->n_todo > 0) {
        int32_t facet = h->todo[--h->n_todo];
        h->facet[facet].waits = 0;
        if (h->facet[facet].seen >= 0 && h->facet[facet].outside >= 0) {
            add(h, facet);
        }
    }
    return 1;
}

/* Facets in the order of their numbers, without those that are free. */
static int32_t list(const Hull *h, int32_t *triangles, int32_t *neighbours, int64_t *normals)
{
    int32_t count = 0, *number = h->seen;
    for (int32_t k = 0; k < h->n_facets; k++) {
        number[k] = h->facet[k].seen >= 0 ? count++ : -1;
    }
    for (int32_t k = 0; k < h->n_facets; k++) {
        for (int i = 0; i < 3 && number[k] >= 0; i++) {
            triangles[3 * number[k] + i] = h->facet[k].corner[i];
            neighbours[3 * number[k] + i] = number[h->facet[k].across[i]];
            normals[3 * number[k] + i] = h->facet[k].normal[i];
        }
    }
    return count;
}

static PyObject *py_lattice_hull(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *given[4];
    if (!PyArg_ParseTuple(args, "OOOO", &given[0], &given[1], &given[2], &given[3])) {
        return NULL;
    }
    const Need needs[4] = {{"points", 'i', 4, 2, 0},
                           {"triangles", 'i', 4, 2, 1},
                           {"neighbours", 'i', 4, 2, 1},
                           {"normals", 'i', 8, 2, 1}};
    Array a[4];
    long count = -1;
    if (take_arrays(given, needs, 4, a) < 0) {
        return NULL;
    }
    const Py_ssize_t n = a[0].view.shape[0];
    const ptrdiff_t wanted[2] = {2 * n, 3};
    const int32_t *x = a[0].view.buf;
    int good = a[0].view.shape[1] == 3 && n < 1 << 26;
    for (Py_ssize_t i = 0; good && i < 3 * n; i++) {
        good = x[i] >= 0 && x[i] <= WIDEST;
    }
    if (!good) {
        refuse("points: needed are rows of three numbers from 0 to %d.", WIDEST);
    } else if (need_shape(&a[1], "triangles", wanted) == 0 &&
               need_shape(&a[2], "neighbours", wanted) == 0 &&
               need_shape(&a[3], "normals", wanted) == 0) {
        /* A hull of n points has 2 n - 4 facets; the new ones come before the old ones go. */
        const size_t most = 4 * (size_t)n + 16;
        Hull h = {.point = (const int32_t (*)[3])a[0].view.buf, .n = (int32_t)n, .free = -1};
        h.facet = malloc(most * sizeof *h.facet);
        int32_t *memory = malloc((3 * (size_t)n + 3 * most) * sizeof *memory);
        if (h.facet == NULL || memory == NULL) {
            PyErr_NoMemory();
        } else {
            h.next = memory;
            h.from = h.next + n;
            h.to = h.from + n;
            h.seen = h.to + n;
            h.todo = h.seen + 2 * most;
            Py_BEGIN_ALLOW_THREADS
            good = grow(&h);
            if (good) {
                count = list(&h, a[1].view.buf, a[2].view.buf, a[3].view.buf);
            }
            Py_END_ALLOW_THREADS
            if (!good) {
                refuse("points: they lie in a plane.");
            }
        }
        free(memory);
        free(h.facet);
    }
    give_back(a, 4);
    return PyErr_Occurred() ? NULL : PyLong_FromLong(count);
}

PyMethodDef lattice_methods[] = {
    {"lattice_hull", py_lattice_hull, METH_VARARGS,
     "lattice_hull(points, triangles, neighbours, normals): write the facets of the hull of points "
     "(n, 3), counter-clockwise from outside, the facet across from each corner, and their outward "
     "normals to arrays (2 n, 3); return how many there are."},
    {NULL, NULL, 0, NULL},
};
