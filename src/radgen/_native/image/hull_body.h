/* A convex hull as the kernels walk on it: see outline.c, spans.c and box.c. */
#ifndef RADGEN_HULL_BODY_H
#define RADGEN_HULL_BODY_H

#include "arrays.h"

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

/* Lower bounds of the widths of a hull, by direction. */
typedef struct {
    double *cell; /* a difference of two of its points for each cell of three faces of a cube */
} Spans;

static inline double dot3(const double *a, const double *b)
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static inline double along(const Side *side, double c, double s)
{
    return side->u * c + side->v * s;
}

void list_ways(const Hull *h);
ptrdiff_t outline(const Hull *h, const double *d, const double *u, const double *v, int32_t *hint);
int make_spans(const Hull *h, Spans *spans);
double least_width(const Spans *spans, const double *d);
double least_rectangle(const Spans *spans, const double *u, const double *v);
int good_columns(const Array *array, const char *name);

#endif
