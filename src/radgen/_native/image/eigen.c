/* Householder's reflections and Laguerre's method for several matrices at a time. */
#include "eigen.h"

#include <math.h>
#include <string.h>

#define EACH_LANE for (int l = 0; l < LANES; l++)

/* Parts of the solution must become part of each of its clones. */
#if defined(__GNUC__)
#define PART static inline __attribute__((always_inline))
#else
#define PART static inline
#endif

/* Scale the counts and take the first eigenvector, the roots of the row sums, away. */
PART void scale(const Batch *batch)
{
    ptrdiff_t m = batch->m;
    Many *s = batch->cells, *root = s + m * m, *inverse = root + m;
    for (ptrdiff_t i = 0; i < m; i++) {
        double *r = (double *)(root + i), *v = (double *)(inverse + i);
        EACH_LANE
        {
            double sum = r[l] > 0 ? r[l] : 1.0;
            v[l] = 1.0 / sqrt(sum);
            r[l] = sqrt(r[l] / batch->total[l]);
        }
    }
    for (ptrdiff_t i = 0; i < m; i++) {
        for (ptrdiff_t j = 0; j <= i; j++) {
            s[i * m + j] = s[i * m + j] * (inverse[i] * inverse[j]) - root[i] * root[j];
        }
    }
}

/* Reflect row k of the lower half away; `p` holds k numbers. */
PART void reflect(Many *s, ptrdiff_t m, ptrdiff_t k, const Many *inverse,
                           Many *p)
{
    const Many *v = s + k * m;
    Many dot = s[0] - s[0];
    for (ptrdiff_t i = 0; i < k; i++) {
        const Many *row = s + i * m;
        Many sum = row[i] * v[i];
        for (ptrdiff_t j = 0; j < i; j++) {
            sum += row[j] * v[j];
            p[j] += row[j] * v[i];
        }
        p[i] = sum;
    }
    for (ptrdiff_t i = 0; i < k; i++) {
        p[i] *= *inverse;
        dot += p[i] * v[i];
    }
    dot *= 0.5 * *inverse;
    for (ptrdiff_t i = 0; i < k; i++) {
        p[i] -= dot * v[i];
    }
    for (ptrdiff_t i = 0; i < k; i++) {
        Many *row = s + i * m, a = v[i], b = p[i];
        for (ptrdiff_t j = 0; j <= i; j++) {
            row[j] -= a * p[j] + b * v[j];
        }
    }
}

/* Make the matrices tridiagonal. */
PART void tridiagonal(Many *s, ptrdiff_t m, Many *diagonal, Many *beside)
{
    for (ptrdiff_t k = m - 1; k > 0; k--) {
        Many *v = s + k * m, rest = v[0] - v[0], inverse = rest;
        for (ptrdiff_t i = 0; i < k - 1; i++) {
            rest += v[i] * v[i];
        }
        diagonal[k] = v[k];
        beside[k] = v[k - 1];
        const double *far = (const double *)&rest;
        double *first = (double *)(v + k - 1), *next = (double *)(beside + k);
        double *factor = (double *)&inverse;
        EACH_LANE
        {
            double norm = far[l] + first[l] * first[l];
            double head = first[l] > 0 ? -sqrt(norm) : sqrt(norm);
            int needed = far[l] > 1e-30;
            factor[l] = needed ? 1.0 / (norm - head * first[l]) : 0.0;
            next[l] = needed ? head : first[l];
            first[l] -= needed ? head : 0.0;
        }
        reflect(s, m, k, &inverse, diagonal);
    }
    diagonal[0] = s[0];
}

/* One step of Laguerre's method for det(x - sign T) from above: how far to fall, 0 where rounding
 * carried x past the root. */
PART void fall_of(const Many *diagonal, const Many *beside, ptrdiff_t m, double sign,
                           const Many *from, double *fall)
{
    Many x = *from, zero = x - x, one = zero + 1.0;
    Many p = x - sign * diagonal[0], slope = one, bend = zero;
    Many before = one, slope_before = zero, bend_before = zero;
    for (ptrdiff_t i = 1; i < m; i++) {
        Many gap = x - sign * diagonal[i], square = beside[i] * beside[i];
        Many next = gap * p - square * before;
        Many next_slope = p + gap * slope - square * slope_before;
        Many next_bend = 2.0 * slope + gap * bend - square * bend_before;
        before = p;
        slope_before = slope;
        bend_before = bend;
        p = next;
        slope = next_slope;
        bend = next_bend;
    }
    double n = (double)m;
    Many spread = (n - 1.0) * ((n - 1.0) * slope * slope - n * p * bend), top = n * p;
    const double *a = (const double *)&spread, *b = (const double *)&slope;
    const double *c = (const double *)&top;
    EACH_LANE
    {
        double below = b[l] + (a[l] > 0 ? sqrt(a[l]) : 0.0);
        fall[l] = (c[l] > 0) & (b[l] > 0) ? c[l] / below : 0.0;
    }
}

/* The largest root of either sign, which falls towards the largest root of a polynomial whose
 * roots are all real; a matrix that has settled stays where it is. */
PART void largest_roots(const Many *diagonal, const Many *beside, ptrdiff_t m, int count,
                                 double *found)
{
    Many x[2];
    double open[2][LANES];
    for (int sign = 0; sign < 2; sign++) {
        x[sign] = diagonal[0] - diagonal[0] + (1.0 + 1e-12);
        EACH_LANE { open[sign][l] = l < count; }
    }
    for (int step = 0, more = 1; step < 100 && more; step++) {
        more = 0;
        for (int sign = 0; sign < 2; sign++) {
            double *at = (double *)&x[sign], by[LANES];
            fall_of(diagonal, beside, m, sign ? -1.0 : 1.0, &x[sign], by);
            EACH_LANE
            {
                at[l] -= open[sign][l] * by[l];
                open[sign][l] *= by[l] >= 1e-13;
                more |= open[sign][l] > 0;
            }
        }
    }
    const double *up = (const double *)&x[0], *down = (const double *)&x[1];
    for (int l = 0; l < count; l++) {
        double most = up[l] > down[l] ? up[l] : down[l];
        found[l] = most < 0.0 ? 0.0 : most < 1.0 ? most : 1.0;
    }
}

CLONES void solve_batch(Batch *batch, double *found)
{
    ptrdiff_t m = batch->m;
    Many *s = batch->cells, *diagonal = s + m * (m + 1), *beside = diagonal + m;
    for (int l = batch->count; l < LANES; l++) {
        batch->total[l] = 1.0; /* nothing there: an eigenvalue of 0 */
    }
    scale(batch);
    tridiagonal(s, m, diagonal, beside);
    largest_roots(diagonal, beside, m, batch->count, found);
    memset(s, 0, (size_t)(m * (m + 3)) * sizeof *s);
    batch->count = 0;
}
