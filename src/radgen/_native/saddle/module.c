/* Saddle points of score statistics S = sum g_i r_i, with r_i a residual of known law.
 *
 * K(t) = sum k_i(g_i t). Where |g_i t| stays small, k_i is its series of cumulants, and the sum
 * over the samples is taken once for all t; the few samples with a large |g_i| are evaluated at
 * every step. The GIL is released while the pass runs.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && defined(__GLIBC__)
#define CLONES __attribute__((target_clones("default", "avx2")))
#else
#define CLONES
#endif

#define ORDERS 13 /* cumulants of order 2 to 14 */
#define LANES 4
#define STEPS 100

typedef struct {
    Py_ssize_t n, k;
    const double *cumulants; /* (ORDERS, n) */
    const double *values;    /* (n, k) what a residual can be, or the mean of a Poisson count */
    const double *chances;   /* (n, k) how likely; NULL = Poisson */
    const double *logit;     /* (n) log odds of the upper of two values; NULL = not two */
    double reach;            /* largest |g t| of the series */
} law;

typedef struct {
    double series[ORDERS]; /* sums of g^r times the cumulant of order r, over r! */
    Py_ssize_t n_large, n_packed;
    const int32_t *large; /* samples that the series does not hold */
    const double *g, *packed;
} sums;

CLONES static void sum_powers(const double *g, const double *cumulants, Py_ssize_t n,
                              double out[ORDERS])
{
    double lane[ORDERS][LANES] = {{0}};
    Py_ssize_t whole = n - n % LANES;
    for (Py_ssize_t i = 0; i < whole; i += LANES) {
        double power[LANES], one[LANES];
        for (int j = 0; j < LANES; j++)
            power[j] = (one[j] = g[i + j]) * g[i + j];
        for (int r = 0; r < ORDERS; r++) {
            const double *order = cumulants + r * n + i;
            for (int j = 0; j < LANES; j++) {
                lane[r][j] += power[j] * order[j];
                power[j] *= one[j];
            }
        }
    }
    for (int r = 0; r < ORDERS; r++)
        out[r] = (lane[r][0] + lane[r][1]) + (lane[r][2] + lane[r][3]);
    for (Py_ssize_t i = whole; i < n; i++) {
        double power = g[i] * g[i];
        for (int r = 0; r < ORDERS; r++) {
            out[r] += power * cumulants[r * n + i];
            power *= g[i];
        }
    }
}

CLONES static double sum_squares(const double *g, const double *weight, Py_ssize_t n)
{
    double lane[LANES] = {0}, rest = 0;
    Py_ssize_t whole = n - n % LANES;
    for (Py_ssize_t i = 0; i < whole; i += LANES)
        for (int j = 0; j < LANES; j++)
            lane[j] += g[i + j] * g[i + j] * weight[i + j];
    for (Py_ssize_t i = whole; i < n; i++)
        rest += g[i] * g[i] * weight[i];
    return (lane[0] + lane[1]) + (lane[2] + lane[3]) + rest;
}

/* exp without branches, so that the loops over it become vector loops; |x| up to 700. */
static inline double plain_exp(double x)
{
    const double shift = 6755399441055744.0; /* 1.5 * 2^52: rounds to a whole number */
    static const double factorials[14] = {1.0 / 6227020800.0, 1.0 / 479001600.0, 1.0 / 39916800.0,
                                          1.0 / 3628800.0,    1.0 / 362880.0,    1.0 / 40320.0,
                                          1.0 / 5040.0,       1.0 / 720.0,       1.0 / 120.0,
                                          1.0 / 24.0,         1.0 / 6.0,         0.5,
                                          1.0,                1.0};
    x = x > 700.0 ? 700.0 : x < -700.0 ? -700.0 : x;
    const double moved = x * 1.4426950408889634 + shift, whole = moved - shift;
    const double r = (x - whole * 0.6931471803691238) - whole * 1.9082149292705877e-10;
    double sum = factorials[0];
    for (int i = 1; i < 14; i++)
        sum = sum * r + factorials[i];
    uint64_t bits, base; /* unsigned, because of x that is no number */
    memcpy(&bits, &moved, 8);
    memcpy(&base, &shift, 8);
    bits = (bits - base + 1023) << 52;
    double scale;
    memcpy(&scale, &bits, 8);
    return sum * scale;
}

/* First and second derivative of the two-valued residuals gathered from the large |g|. */
CLONES static void sum_pairs(const double *packed, Py_ssize_t n, double t, double *first,
                             double *second)
{
    /* Rows of g, lower value, distance of the upper one, and log odds of the upper one. */
    const double *g = packed, *low = g + n, *wide = low + n, *logit = wide + n;
    double one[LANES] = {0}, two[LANES] = {0};
    for (Py_ssize_t i = 0; i < n; i += LANES)
        for (int j = 0; j < LANES; j++) {
            double by = g[i + j], by_wide = by * wide[i + j];
            double up = 1.0 / (1.0 + plain_exp(-(logit[i + j] + t * by_wide)));
            one[j] += by * low[i + j] + by_wide * up;
            two[j] += by_wide * by_wide * up * (1.0 - up);
        }
    *first += (one[0] + one[1]) + (one[2] + one[3]);
    *second += (two[0] + two[1]) + (two[2] + two[3]);
}

/* Add k(x) and its two derivatives for one sample. */
static void add_exact(const law *of, Py_ssize_t i, double g, double t, double out[3])
{
    const double x = g * t;
    if (of->chances == NULL) {
        double rate = of->values[i], up = rate * exp(x);
        out[0] += up - rate - rate * x;
        out[1] += g * (up - rate);
        out[2] += g * g * up;
        return;
    }
    const double *value = of->values + i * of->k, *chance = of->chances + i * of->k;
    double top = -INFINITY, total = 0, first = 0, second = 0;
    for (Py_ssize_t j = 0; j < of->k; j++)
        if (chance[j] > 0 && x * value[j] > top)
            top = x * value[j];
    for (Py_ssize_t j = 0; j < of->k; j++) {
        double part = chance[j] > 0 ? chance[j] * exp(x * value[j] - top) : 0.0;
        total += part;
        first += part * value[j];
        second += part * value[j] * value[j];
    }
    first /= total;
    out[0] += top + log(total);
    out[1] += g * first;
    out[2] += g * g * (second / total - first * first);
}

/* K' and K'' at t, and K where it is asked for. */
static void evaluate(const law *of, const sums *at, double t, int whole, double out[3])
{
    double k0 = 0, k1 = 0, k2 = 0;
    for (int r = ORDERS - 1; r >= 0; r--) {
        k0 = k0 * t + at->series[r];
        k1 = k1 * t + at->series[r] * (r + 2);
        k2 = k2 * t + at->series[r] * (r + 2) * (r + 1);
    }
    out[0] = k0 * t * t;
    out[1] = k1 * t;
    out[2] = k2;
    if (at->packed != NULL && !whole) {
        sum_pairs(at->packed, at->n_packed, t, &out[1], &out[2]);
        return;
    }
    for (Py_ssize_t i = 0; i < at->n_large; i++)
        add_exact(of, at->large[i], at->g[at->large[i]], t, out);
}

/* One score: its law, its genotypes, and room to work in. */
typedef struct {
    const law *of;
    const double *g;
    double score, variance, most; /* the series holds for |t| up to `most` */
    double *work, *packed;
    int32_t *large;
    sums at;
} problem;

/* Gather what `sum_pairs` needs of the samples with a large |g|. */
static void pack(problem *p)
{
    const law *of = p->of;
    const Py_ssize_t n = p->at.n_large, room = (n + LANES - 1) / LANES * LANES;
    double *g = p->packed, *low = g + room, *wide = low + room, *logit = wide + room;
    p->at.packed = p->packed;
    p->at.n_packed = room;
    for (Py_ssize_t i = 0; i < n; i++) {
        Py_ssize_t at = p->large[i];
        g[i] = p->g[at];
        low[i] = of->values[2 * at];
        wide[i] = of->values[2 * at + 1] - of->values[2 * at];
        logit[i] = of->logit[at];
    }
    for (Py_ssize_t i = n; i < room; i++)
        g[i] = low[i] = wide[i] = logit[i] = 0.0;
}

static void split(problem *p, double most)
{
    const double cut = p->of->reach / most;
    const Py_ssize_t n = p->of->n;
    p->most = most;
    p->at.n_large = 0;
    p->at.g = p->g;
    p->at.large = p->large;
    p->at.packed = NULL;
    for (Py_ssize_t i = 0; i < n; i++) {
        int small = fabs(p->g[i]) <= cut;
        p->work[i] = small ? p->g[i] : 0.0;
        p->large[p->at.n_large] = (int32_t)i;
        p->at.n_large += !small;
    }
    sum_powers(p->work, p->of->cumulants, n, p->at.series);
    double factorial = 1;
    for (int r = 0; r < ORDERS; r++)
        p->at.series[r] /= factorial *= r + 2;
    if (p->of->logit != NULL)
        pack(p);
}

/* Largest possible score in the direction of `sign`. */
static double edge(const law *of, const double *g, double sign)
{
    double sum = 0;
    for (Py_ssize_t i = 0; i < of->n; i++) {
        double by = sign * g[i];
        if (by == 0)
            continue;
        if (of->chances == NULL) {
            if (by > 0 && of->values[i] > 0)
                return INFINITY;
            sum -= by * of->values[i];
            continue;
        }
        double most = -INFINITY;
        for (Py_ssize_t j = 0; j < of->k; j++)
            if (of->chances[i * of->k + j] > 0 && by * of->values[i * of->k + j] > most)
                most = by * of->values[i * of->k + j];
        sum += most;
    }
    return sum;
}

/* Solve K'(sign t) = sign |score| for t > 0 by Newton steps kept inside a bracket. */
static int solve(problem *p, double sign, double out[2])
{
    const double score = fabs(p->score);
    double low = 0, high = INFINITY, t = score / p->variance, k[3];
    for (int step = 0, settled = 0; step < STEPS; step++) {
        /* A score at the edge has no saddle point: asked where the steps do not settle. */
        if (step == 8) {
            double last = edge(p->of, p->g, sign);
            if (score > last * (1.0 + 1e-9))
                out[0] = INFINITY; /* past it: never reached */
            if (!(score < last * (1.0 - 1e-9)))
                return isinf(out[0]);
        }
        if (t > p->most)
            split(p, 2.0 * t);
        evaluate(p->of, &p->at, sign * t, settled, k);
        if (settled) {
            out[0] = sqrt(fmax(2.0 * (t * score - k[0]), 0.0));
            out[1] = t * sqrt(k[2]);
            return out[0] > 1e-6 && out[1] > 0;
        }
        double slope = sign * k[1] - score;
        if (slope > 0)
            high = t;
        else
            low = t;
        double next = t - slope / fmax(k[2], 1e-300);
        if (!(next > low && next < high))
            next = isfinite(high) ? 0.5 * (low + high) : 2.0 * t + 1e-3;
        settled = fabs(next - t) <= 1e-10 * fmax(next, 1e-8);
        t = next;
    }
    return 0;
}

/* w and v of the upper tail, of the lower tail, and the variance. */
static int one_score(problem *p, double out[5])
{
    p->variance = sum_squares(p->g, p->of->cumulants, p->of->n);
    out[0] = out[1] = out[2] = out[3] = 1.0;
    out[4] = p->variance;
    if (!(p->variance > 0) || !(fabs(p->score) > 0))
        return 0;
    split(p, 1.25 * fabs(p->score) / p->variance);
    return solve(p, 1.0, out) && solve(p, -1.0, out + 2);
}

static int take(PyObject *object, Py_buffer *view, int writable)
{
    int flags = PyBUF_C_CONTIGUOUS | (writable ? PyBUF_WRITABLE : 0);
    return PyObject_GetBuffer(object, view, flags);
}

PyDoc_STRVAR(tails_doc,
             "tails(scores, g, cumulants, values, chances, reach, out, good)\n\n"
             "For each score, float64 (m,), of genotypes g, float64 (m, n), write w and v of the\n"
             "upper and of the lower tail and the variance into float64 out (m, 5), and into uint8\n"
             "good (m,) whether both saddle points were found. cumulants is (13, n), orders 2 to\n"
             "14; values and chances are (n, k), or values (n,) the means of Poisson counts and\n"
             "chances None. The series of cumulants serves up to |g t| = reach.");

static PyObject *tails(PyObject *self, PyObject *args)
{
    PyObject *objects[7];
    Py_buffer views[7];
    const int writable[7] = {0, 0, 0, 0, 0, 1, 1};
    int taken = 0;
    double reach;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOOOOdOO", &objects[0], &objects[1], &objects[2], &objects[3],
                          &objects[4], &reach, &objects[5], &objects[6]))
        return NULL;
    const int counts = objects[4] == Py_None;
    for (; taken < 7; taken++)
        if (take(counts && taken == 4 ? objects[3] : objects[taken], &views[taken],
                 writable[taken]) < 0)
            break;
    const Py_ssize_t item = sizeof(double);
    int ok = taken == 7, room = 1;
    if (ok) {
        const Py_ssize_t m = views[0].len / item, n = views[2].len / (ORDERS * item);
        const Py_ssize_t k = n ? views[3].len / (n * item) : 0;
        ok = reach > 0 && n > 0 && k > 0 && views[0].len == m * item && views[1].len == m * n * item &&
             views[2].len == ORDERS * n * item && views[3].len == n * k * item &&
             views[4].len == n * k * item && (!counts || k == 1) &&
             views[5].len == 5 * m * item && views[6].len == m;
        if (ok) {
            law of = {n, k, views[2].buf, views[3].buf, counts ? NULL : views[4].buf, NULL, reach};
            problem p = {.of = &of};
            double *logit = malloc((size_t)n * sizeof(double));
            p.work = malloc((size_t)n * sizeof(double));
            p.packed = malloc((size_t)(4 * n + 4 * LANES) * sizeof(double));
            p.large = malloc((size_t)(n + 1) * sizeof(int32_t));
            room = logit != NULL && p.work != NULL && p.packed != NULL && p.large != NULL;
            if (room && !counts && k == 2) {
                const double *chance = of.chances;
                for (Py_ssize_t i = 0; i < n; i++)
                    logit[i] = log(chance[2 * i + 1] / chance[2 * i]);
                of.logit = logit;
            }
            if (room) {
                Py_BEGIN_ALLOW_THREADS
                for (Py_ssize_t row = 0; row < m; row++) {
                    p.g = (const double *)views[1].buf + row * n;
                    p.score = ((const double *)views[0].buf)[row];
                    int good = one_score(&p, (double *)views[5].buf + 5 * row);
                    ((uint8_t *)views[6].buf)[row] = (uint8_t)good;
                }
                Py_END_ALLOW_THREADS
            }
            free(logit);
            free(p.work);
            free(p.packed);
            free(p.large);
        }
    }
    while (taken-- > 0)
        PyBuffer_Release(&views[taken]);
    if (PyErr_Occurred())
        return NULL;
    if (!ok) {
        PyErr_SetString(PyExc_ValueError, "tails: the shapes disagree");
        return NULL;
    }
    if (!room)
        return PyErr_NoMemory();
    Py_RETURN_NONE;
}

/* log prod (1 - 2 w s) for s in the upper half plane and w >= 0, continued from s = 0.
 *
 * Each factor turns clockwise by less than half a turn, so that the product has passed the
 * negative real axis exactly where its imaginary part goes from <= 0 to > 0. Two logarithms a
 * node then do for all the factors.
 */
CLONES static void log_products(const double *s, const double *w, Py_ssize_t m, double *out)
{
    double re[LANES], im[LANES], size[LANES] = {0}, turns[LANES] = {0};
    for (int j = 0; j < LANES; j++) {
        re[j] = 1.0;
        im[j] = 0.0;
    }
    for (Py_ssize_t i = 0; i < m;) {
        const Py_ssize_t stop = i + 8 < m ? i + 8 : m;
        for (; i < stop; i++)
            for (int j = 0; j < LANES; j++) {
                const double a = 1.0 - 2.0 * w[i] * s[2 * j], b = -2.0 * w[i] * s[2 * j + 1];
                const double x = re[j] * a - im[j] * b, y = re[j] * b + im[j] * a;
                turns[j] += (im[j] <= 0.0 && y > 0.0) ? 1.0 : 0.0;
                re[j] = x;
                im[j] = y;
            }
        for (int j = 0; j < LANES; j++) {
            const double length = hypot(re[j], im[j]);
            size[j] += log(length);
            re[j] /= length;
            im[j] /= length;
        }
    }
    for (int j = 0; j < LANES; j++) {
        out[2 * j] = size[j];
        out[2 * j + 1] = atan2(im[j], re[j]) - 6.283185307179586 * turns[j];
    }
}

PyDoc_STRVAR(log_product_doc,
             "log_product(s, w, out)\n\n"
             "Write log prod (1 - 2 w s) over the weights w, float64 (m,) >= 0, into complex128 out\n"
             "(k,) for each s, complex128 (k,) of positive imaginary part. The imaginary part is\n"
             "that of the sum of the logarithms.");

static PyObject *log_product(PyObject *self, PyObject *args)
{
    PyObject *objects[3];
    Py_buffer views[3];
    int taken = 0, ok;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOO", &objects[0], &objects[1], &objects[2]))
        return NULL;
    for (; taken < 3; taken++)
        if (take(objects[taken], &views[taken], taken == 2) < 0)
            break;
    ok = taken == 3;
    if (ok) {
        const Py_ssize_t k = views[0].len / (Py_ssize_t)(2 * sizeof(double));
        const Py_ssize_t m = views[1].len / (Py_ssize_t)sizeof(double);
        ok = views[0].len == k * (Py_ssize_t)(2 * sizeof(double)) &&
             views[1].len == m * (Py_ssize_t)sizeof(double) && views[2].len == views[0].len;
        if (ok) {
            const double *s = views[0].buf, *w = views[1].buf;
            double *out = views[2].buf;
            Py_BEGIN_ALLOW_THREADS
            for (Py_ssize_t at = 0; at < k; at += LANES) {
                double in[2 * LANES], found[2 * LANES];
                const Py_ssize_t some = k - at < LANES ? k - at : LANES;
                for (int j = 0; j < LANES; j++)
                    memcpy(in + 2 * j, s + 2 * (j < some ? at + j : at), 2 * sizeof(double));
                log_products(in, w, m, found);
                memcpy(out + 2 * at, found, (size_t)some * 2 * sizeof(double));
            }
            Py_END_ALLOW_THREADS
        }
    }
    while (taken-- > 0)
        PyBuffer_Release(&views[taken]);
    if (PyErr_Occurred())
        return NULL;
    if (!ok) {
        PyErr_SetString(PyExc_ValueError, "log_product: the shapes disagree");
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"tails", tails, METH_VARARGS, tails_doc},
    {"log_product", log_product, METH_VARARGS, log_product_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_saddle", "Saddle points, and transforms of chi-square mixtures.",
    -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__saddle(void)
{
    return PyModule_Create(&module);
}
