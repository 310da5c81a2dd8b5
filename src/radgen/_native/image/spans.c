/* Lower bounds of the widths of a convex hull: any two of its points are as far apart along a
 * direction as the hull is wide, or less. The two that are farthest along the middle of a cell of
 * directions serve all of it. */
#include "hull_body.h"

#include <math.h>
#include <stdlib.h>

enum { CELLS = 48, TURNS = 24 }; /* cells along a face of a cube; parts of a quarter of a turn */

/* The vertex farthest along a direction, by way of ever farther ones. */
static int32_t climb(const Hull *h, int32_t at, const double *d)
{
    double most = dot3(h->place + 3 * (ptrdiff_t)at, d);
    int32_t next = at;
    do {
        at = next;
        for (int32_t k = h->begin[at]; k < h->begin[at + 1]; k++) {
            double far = dot3(h->place + 3 * (ptrdiff_t)h->ways[k].to, d);
            if (far > most) {
                most = far;
                next = h->ways[k].to;
            }
        }
    } while (next != at);
    return at;
}

int make_spans(const Hull *h, Spans *spans)
{
    double *to = spans->cell = malloc(sizeof *to * 3 * 3 * CELLS * CELLS);
    if (to == NULL) {
        return -1;
    }
    int32_t high = 0, low = 0;
    for (int axis = 0; axis < 3; axis++) {
        for (int i = 0; i < CELLS; i++) {
            for (int k = 0; k < CELLS; k++) {
                int j = i % 2 ? CELLS - 1 - k : k; /* to and fro: neighbours follow each other */
                double d[3];
                d[axis] = 1.0;
                d[(axis + 1) % 3] = (2 * i + 1) / (double)CELLS - 1.0;
                d[(axis + 2) % 3] = (2 * j + 1) / (double)CELLS - 1.0;
                high = climb(h, high, d);
                const double back[3] = {-d[0], -d[1], -d[2]};
                low = climb(h, low, back);
                for (int c = 0; c < 3; c++) {
                    to[3 * ((axis * CELLS + i) * CELLS + j) + c] =
                        h->place[3 * (ptrdiff_t)high + c] - h->place[3 * (ptrdiff_t)low + c];
                }
            }
        }
    }
    return 0;
}

static int cell_at(double place)
{
    double at = (place + 1.0) * (CELLS / 2);
    return at >= 0 && at < CELLS ? (int)at : at >= CELLS ? CELLS - 1 : 0; /* 0 for no number too */
}

static const double *span_of(const Spans *spans, const double *d)
{
    double x = fabs(d[0]), y = fabs(d[1]), z = fabs(d[2]);
    int axis = x >= y ? (x >= z ? 0 : 2) : (y >= z ? 1 : 2);
    double scale = 1.0 / d[axis];
    int i = cell_at(d[(axis + 1) % 3] * scale), j = cell_at(d[(axis + 2) % 3] * scale);
    return spans->cell + 3 * ((axis * CELLS + i) * CELLS + j);
}

double least_width(const Spans *spans, const double *d)
{
    return fabs(dot3(span_of(spans, d), d));
}

/* At least the area of the smallest rectangle around the shadow on the plane of u and v. Within a
 * small part of a turn the bounds of both sides are concave where they are positive, so that
 * their product is least at its ends. */
double least_rectangle(const Spans *spans, const double *u, const double *v)
{
    const double turn = 1.5707963267948966 / TURNS;
    double least = INFINITY, c1 = cos(-turn / 2), s1 = sin(-turn / 2);
    const double c = cos(turn), s = sin(turn), c_half = c1, s_half = -s1;
    for (int k = 0; k < TURNS; k++) {
        double c2 = c1 * c - s1 * s, s2 = s1 * c + c1 * s;
        double cm = c1 * c_half - s1 * s_half, sm = s1 * c_half + c1 * s_half;
        double p[3], q[3];
        for (int i = 0; i < 3; i++) {
            p[i] = cm * u[i] + sm * v[i];
            q[i] = cm * v[i] - sm * u[i];
        }
        const double *a = span_of(spans, p), *b = span_of(spans, q);
        double au = dot3(a, u), av = dot3(a, v), bu = dot3(b, u), bv = dot3(b, v);
        double sign = (cm * au + sm * av < 0 ? -1.0 : 1.0) * (cm * bv - sm * bu < 0 ? -1.0 : 1.0);
        double first = sign * (c1 * au + s1 * av) * (c1 * bv - s1 * bu);
        double last = sign * (c2 * au + s2 * av) * (c2 * bv - s2 * bu);
        /* A bound that changes its sign says nothing. */
        if ((c1 * au + s1 * av) * (c2 * au + s2 * av) <= 0 ||
            (c1 * bv - s1 * bu) * (c2 * bv - s2 * bu) <= 0) {
            return 0.0;
        }
        least = first < least ? first : least;
        least = last < least ? last : least;
        c1 = c2;
        s1 = s2;
    }
    return least > 0 ? least : 0.0;
}
