/* Co-occurrence features in a window around each voxel. */
#include "voxel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PLACES = 4096 };

typedef struct {
    Windows windows;
    Tables tables;
    Counts counts;
    Correlations correlations;
    int with_correlation;
    int32_t *pair, *step; /* pairs of numbers of voxels of the window; steps to these */
    double *table;        /* memory of the tables, of the windows and of look_at */
    uint16_t *level, *rank;
    int *seen;
} Work;

/* See what lies in the window of voxel number `at`: give each level its place. */
static void look_at(Work *w, const uint16_t *centre, int at)
{
    int n_seen = 0;
    for (int k = 0; k < w->windows.n; k++) {
        uint16_t level = centre[w->step[k]];
        if (level && w->rank[level] == 0) {
            w->seen[n_seen++] = level;
            w->rank[level] = (uint16_t)n_seen;
        }
        w->windows.level[k * SIDE + at] = level;
        w->windows.place[k * SIDE + at] = level ? (uint16_t)(w->rank[level] - 1) : 0;
    }
    for (int k = 0; k < n_seen; k++) {
        w->rank[w->seen[k]] = 0;
    }
    w->windows.n_seen[at] = n_seen;
}

/* Add the 25 features of the matrices of some voxels, in the order of the family's specs. The
 * correlations of a window of one level are undefined, or 1 and 0 by convention. */
static void add_features(const Sums *s, int count, const double *log2_of, int convention,
                         Totals *totals)
{
    for (int i = 0; i < count; i++) {
        double n = s->n[i], total = 2.0 * n, f[N_FEATURES];
        if (s->n[i] == 0) {
            continue;
        }
        /* (a - m)^2 + (b - m)^2 = ((a + b - 2 m)^2 + (a - b)^2) / 2 */
        double mean = s->level[i] / total;
        double variance = 0.5 * (s->second[i] + s->gap_square[i]) / total;
        double log_total = log2_of[2 * s->n[i]], log_n = log2_of[s->n[i]];
        double joint = log_total - s->joint_log[i] / total;
        double single = log_total - s->level_log[i] / total;
        double gap_mean = s->gap[i] / n, contrast = s->gap_square[i] / n;
        double shared = 2.0 * single - joint;
        f[0] = s->top[i] / total;
        f[1] = mean;
        f[2] = variance;
        f[3] = joint;
        f[4] = f[12] = gap_mean;
        f[5] = contrast - gap_mean * gap_mean;
        f[6] = log_n - s->gap_log[i] / n;
        f[7] = 2.0 * mean;
        f[8] = f[20] = s->second[i] / n;
        f[9] = log_n - s->sum_log[i] / n;
        f[10] = s->joint_square[i] / (total * total);
        f[11] = contrast;
        for (int j = 0; j < 5; j++) {
            f[13 + j] = s->inverse[j][i] / n;
        }
        f[19] = s->product[i] / n;
        f[21] = s->third[i] / n;
        f[22] = s->fourth[i] / n;
        f[18] = s->flat[i] ? 1.0 : (f[19] - mean * mean) / variance;
        f[23] = s->flat[i] ? 0.0 : (joint - 2.0 * single) / single;
        f[24] = shared > 1e-12 ? sqrt(1.0 - exp(-2.0 * shared)) : 0.0;
        int defined = !s->flat[i] || convention;
        totals->used[i]++;
        totals->defined[i] += defined;
        f[18] = defined ? f[18] : 0.0;
        f[23] = defined ? f[23] : 0.0;
        for (int j = 0; j < N_FEATURES; j++) {
            totals->sum[j][i] += f[j];
        }
    }
}

/* The matrices of n pairs of some voxels, from number `voxel` on. */
static void measure(Work *w, const int32_t *pair, ptrdiff_t n, ptrdiff_t voxel, int count,
                    int convention, Totals *totals)
{
    Sums sums;
    for (int i = 0; i < count && w->with_correlation; i++) {
        add_correlation(&w->correlations, &w->windows, i, pair, n, convention, voxel + i);
    }
    if (w->counts.joint == NULL) {
        sums_of_few(&w->windows, pair, (int)n, &w->tables, &sums);
    } else {
        sums_of_many(&w->windows, 0, pair, n, &w->counts, &w->tables, &sums);
    }
    add_features(&sums, count, w->tables.log2_of, convention, totals);
}

static void maps(const uint16_t *levels, const int64_t *voxel, ptrdiff_t n_voxels,
                 const int32_t *first, ptrdiff_t n_directions, int flags, Work *w, double *out)
{
    const int merged = flags & 1, convention = flags & 2;
    const ptrdiff_t side = w->counts.joint == NULL ? SIDE : 1, step = merged ? n_directions : 1;
    for (ptrdiff_t v = 0; v < n_voxels; v += side) {
        int count = (int)(n_voxels - v < side ? n_voxels - v : side);
        Totals totals = {0};
        for (int i = 0; i < count; i++) {
            look_at(w, levels + voxel[v + i], i);
        }
        for (ptrdiff_t d = 0; d < n_directions; d += step) {
            ptrdiff_t n = first[d + step] - first[d];
            measure(w, w->pair + 2 * first[d], n, v, count, convention, &totals);
        }
        for (int j = 0; j < N_FEATURES; j++) {
            for (int i = 0; i < count; i++) {
                int used = j == 18 || j == 23 ? totals.defined[i] : totals.used[i];
                out[j * n_voxels + v + i] = used ? totals.sum[j][i] / used : NAN;
            }
        }
    }
    if (w->with_correlation) {
        finish_correlations(&w->correlations, n_voxels);
    }
}

static int by_step(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* Number the voxels that pairs touch; returns 0 without memory. */
static int number_voxels(Work *w, const int32_t *pair, ptrdiff_t n_pairs)
{
    size_t n = (size_t)(2 * n_pairs);
    w->step = malloc((n + 1) * sizeof *w->step);
    w->pair = malloc((n + 1) * sizeof *w->pair);
    if (!w->step || !w->pair) {
        return 0;
    }
    memcpy(w->step, pair, n * sizeof *pair);
    qsort(w->step, n, sizeof *w->step, by_step);
    for (size_t k = 0; k < n; k++) {
        if (k == 0 || w->step[k] != w->step[w->windows.n - 1]) {
            w->step[w->windows.n++] = w->step[k];
        }
    }
    for (size_t k = 0; k < n; k++) {
        const int32_t *found =
            bsearch(pair + k, w->step, (size_t)w->windows.n, sizeof *w->step, by_step);
        w->pair[k] = (int32_t)(found - w->step);
    }
    return 1;
}

/* Tables up to twice the most pairs of a matrix, and up to the largest gap. */
static void fill_tables(Work *w, ptrdiff_t most, int n_levels)
{
    double *log2_of = w->table, *weights = w->table + 2 * most + 1;
    for (ptrdiff_t n = 0; n <= 2 * most; n++) {
        log2_of[n] = n ? log2((double)n) : 0.0;
    }
    memset(weights, 0, 5 * sizeof *weights);
    for (int d = 0; d <= n_levels; d++) {
        double share = (double)d / n_levels, *row = weights + 5 * (d + 1);
        row[0] = 1.0 / (1.0 + d);
        row[1] = 1.0 / (1.0 + share);
        row[2] = 1.0 / (1.0 + (double)d * d);
        row[3] = 1.0 / (1.0 + share * share);
        row[4] = d ? 1.0 / ((double)d * d) : 0.0;
    }
    w->tables = (Tables){log2_of, weights};
}

/* Room for windows and tables; `correlation` is where maximal correlations go, or NULL. Returns 0
 * where there is too little memory, or a window is too large. */
static int ready(Work *w, const int32_t *pair, ptrdiff_t n_pairs, ptrdiff_t most, int n_levels,
                 ptrdiff_t n_voxels, double *correlation)
{
    size_t levels = (size_t)n_levels + 1;
    int good = number_voxels(w, pair, n_pairs);
    ptrdiff_t places = w->windows.n < n_levels ? w->windows.n : n_levels;
    if (places > MOST_PLACES) {
        refuse("pairs: a window of %d voxels and %d levels is too large.", w->windows.n, n_levels);
        return 0;
    }
    places = places > 0 ? places : 1;
    w->table = malloc(((size_t)(2 * most) + 1 + 5 * (levels + 1)) * sizeof *w->table);
    /* Zeros, for the last voxels may be fewer than SIDE. */
    w->level = calloc((size_t)(2 * w->windows.n * SIDE + 1), sizeof *w->level);
    w->rank = calloc(levels, sizeof *w->rank);
    w->seen = malloc((size_t)places * sizeof *w->seen);
    good = good && w->table && w->level && w->rank && w->seen;
    if (good && (most > FEW || n_levels > INT16_MAX || places > UINT8_MAX)) {
        good = counts_for(&w->counts, places, n_levels);
    }
    if (good && correlation) {
        w->with_correlation = 1;
        good = correlations_for(&w->correlations, places, most, n_voxels, correlation);
    }
    if (!good) {
        PyErr_NoMemory();
        return 0;
    }
    fill_tables(w, most, n_levels);
    w->windows.step = w->step;
    w->windows.level = w->level;
    w->windows.place = w->level + w->windows.n * SIDE;
    return 1;
}

static void drop(Work *w)
{
    drop_counts(&w->counts);
    drop_correlations(&w->correlations);
    free(w->pair);
    free(w->step);
    free(w->table);
    free(w->level);
    free(w->rank);
    free(w->seen);
}

/* Steps and voxels must stay within the volume, and levels within the tables. */
static ptrdiff_t check_windows(const Array *a, long n_levels)
{
    const int32_t *pair = a[2].view.buf, *first = a[3].view.buf;
    const int64_t *voxel = a[1].view.buf;
    const uint16_t *levels = a[0].view.buf;
    ptrdiff_t size = a[0].view.shape[0], n_pairs = a[2].view.shape[0];
    ptrdiff_t n_directions = a[3].view.shape[0] - 1, low = 0, high = 0;
    int good = a[2].view.shape[1] == 2 && n_directions >= 1 && n_levels >= 1 && n_levels <= 65535 &&
               first[0] == 0 && first[n_directions] == n_pairs && n_pairs <= 1000000;
    for (ptrdiff_t d = 0; good && d < n_directions; d++) {
        good = first[d] <= first[d + 1];
    }
    for (ptrdiff_t k = 0; good && k < 2 * n_pairs; k++) {
        low = pair[k] < low ? pair[k] : low;
        high = pair[k] > high ? pair[k] : high;
    }
    for (ptrdiff_t v = 0; good && v < a[1].view.shape[0]; v++) {
        good = voxel[v] + low >= 0 && voxel[v] < size - high;
    }
    for (ptrdiff_t i = 0; good && i < size; i++) {
        good = levels[i] <= n_levels;
    }
    return good ? n_directions : -1;
}

/* Most pairs of one matrix. */
static ptrdiff_t most_pairs(const int32_t *first, ptrdiff_t n_directions, int merged)
{
    ptrdiff_t most = merged ? first[n_directions] : 0;
    for (ptrdiff_t d = 0; d < n_directions; d++) {
        ptrdiff_t n = first[d + 1] - first[d];
        most = n > most ? n : most;
    }
    return most;
}

static PyObject *py_glcm_maps(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *given[5];
    long n_levels;
    int flags;
    if (!PyArg_ParseTuple(args, "OOOOliO", &given[0], &given[1], &given[2], &given[3], &n_levels,
                          &flags, &given[4])) {
        return NULL;
    }
    const Need needs[5] = {{"levels", 'u', 2, 1, 0},
                           {"voxels", 'i', 8, 1, 0},
                           {"pairs", 'i', 4, 2, 0},
                           {"first", 'i', 4, 1, 0},
                           {"out", 'f', 8, 2, 1}};
    Array a[5];
    if (take_arrays(given, needs, 5, a) < 0) {
        return NULL;
    }
    const ptrdiff_t n_directions = check_windows(a, n_levels), n_pairs = a[2].view.shape[0];
    const int with_correlation = a[4].view.shape[0] == N_WITH_MCC;
    const ptrdiff_t shape[2] = {with_correlation ? N_WITH_MCC : N_FEATURES, a[1].view.shape[0]};
    if (n_directions < 0) {
        refuse("pairs, voxels or levels: out of range.");
    } else if (need_shape(&a[4], "out", shape) == 0) {
        const int32_t *first = a[3].view.buf;
        double *out = a[4].view.buf, *last = with_correlation ? out + N_FEATURES * shape[1] : NULL;
        ptrdiff_t most = most_pairs(first, n_directions, flags & 1);
        Work work = {0};
        if (ready(&work, a[2].view.buf, n_pairs, most, (int)n_levels, shape[1], last)) {
            Py_BEGIN_ALLOW_THREADS
            maps(a[0].view.buf, a[1].view.buf, shape[1], first, n_directions, flags, &work, out);
            Py_END_ALLOW_THREADS
        }
        drop(&work);
    }
    give_back(a, 5);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

PyMethodDef voxel_methods[] = {
    {"glcm_maps", py_glcm_maps, METH_VARARGS,
     "glcm_maps(levels, voxels, pairs, first, n_levels, flags, out): write the 25 co-occurrence "
     "features of the window of each voxel, and the maximal correlation coefficient where out has "
     "26 rows; pairs hold steps from the centre, sorted by direction, and first says where each "
     "direction starts. Flag 1 merges directions; flag 2 gives windows of one level PyRadiomics' "
     "values."},
    {NULL, NULL, 0, NULL},
};
