/* The outline of a convex hull's shadow. */
#include "hull_body.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int by_angle(const void *a, const void *b)
{
    double gap = ((const Side *)a)->angle - ((const Side *)b)->angle;
    return (gap > 0) - (gap < 0);
}

CLONES static void find_front(const double *planes, ptrdiff_t m, const double *d, uint8_t *front)
{
    for (ptrdiff_t i = 0; i < m; i++) {
        front[i] = planes[i] * d[0] + planes[m + i] * d[1] + planes[2 * m + i] * d[2] > 1e-9;
    }
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
ptrdiff_t outline(const Hull *h, const double *d, const double *u, const double *v, int32_t *hint)
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
void list_ways(const Hull *h)
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
