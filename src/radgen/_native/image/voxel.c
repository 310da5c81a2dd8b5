/* Co-occurrence features in a window around each voxel. A window holds few pairs, so counts
 * are kept in small tables whose touched cells alone are read and cleared. */
#include "eigen.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_FEATURES = 25, N_WITH_MCC = 26, SMALL = 32 };

typedef struct {
    int n_levels, most;       /* highest level; most pairs in one matrix */
    const double *n_log_n;    /* n log2 n, up to 2 * most */
    const double *weights;    /* by gap: inverse difference and its kin, 5 a gap */
    int *level_a, *level_b;   /* the pairs */
    uint16_t *place_a, *place_b; /* and where their levels stand among those of the window */
    int32_t *by_level;        /* counts of levels, gaps, sums: (1 + 1 + 2) * (n_levels + 1) */
    int32_t *by_gap, *by_sum;
    uint16_t *rank;           /* level -> place among the window's levels, from 1 */
    int32_t *joint;           /* places x places */
    int *seen;                /* levels of the window */
    ptrdiff_t places;
    int too_many;             /* set where a window holds more levels than places */
    Batch *batches;           /* by rows up to SMALL, [0] for more; NULL: no maximal correlation */
    Many *cells;              /* their matrices */
    double *correlation;      /* sum over directions by voxel */
    int32_t *correlated;      /* and number of directions with a value */
    uint64_t *beside;         /* bits of the levels met beside each, places + 4 rows of words */
    ptrdiff_t words;
} Work;

static void gap_weights(double *weights, int n_levels)
{
    for (int d = 0; d <= n_levels; d++) {
        double share = (double)d / n_levels;
        weights[5 * d] = 1.0 / (1.0 + d);
        weights[5 * d + 1] = 1.0 / (1.0 + share);
        weights[5 * d + 2] = 1.0 / (1.0 + (double)d * d);
        weights[5 * d + 3] = 1.0 / (1.0 + share * share);
        weights[5 * d + 4] = d ? 1.0 / ((double)d * d) : 0.0;
    }
}

static uint16_t place_of(Work *w, int level, int *n_seen)
{
    if (w->rank[level] == 0) {
        if (*n_seen == w->places) {
            w->too_many = 1;
            return 0;
        }
        w->seen[*n_seen] = level;
        w->rank[level] = (uint16_t)++*n_seen;
    }
    return w->rank[level] - 1;
}

/* Give each level of `n` pairs its place; return how many levels there are. */
static int take_places(Work *w, int n)
{
    int n_seen = 0;
    for (int k = 0; k < n; k++) {
        w->place_a[k] = place_of(w, w->level_a[k], &n_seen);
        w->place_b[k] = place_of(w, w->level_b[k], &n_seen);
    }
    for (int k = 0; k < n_seen; k++) {
        w->rank[w->seen[k]] = 0;
    }
    return n_seen;
}

/* The 25 features of `n` pairs, in the order of the family's specs; the three correlations of a
 * window of one level are undefined, or 1, 0 and 0 by convention. */
static void features_of(Work *w, int n, int n_seen, int convention, double *f)
{
    int64_t level_sum = 0, product_sum = 0, gap_total = 0, gap_squares = 0;
    double joint_log = 0, joint_square = 0, level_log = 0, gap_log = 0, sum_log = 0, top = 0;
    double means[5] = {0, 0, 0, 0, 0};
    for (int k = 0; k < n; k++) {
        int a = w->level_a[k], b = w->level_b[k], d = a > b ? a - b : b - a;
        int pa = w->place_a[k], pb = w->place_b[k];
        w->joint[pa < pb ? pa * w->places + pb : pb * w->places + pa]++;
        w->by_level[a]++;
        w->by_level[b]++;
        w->by_gap[d]++;
        w->by_sum[a + b]++;
        level_sum += a + b;
        product_sum += (int64_t)a * b;
        gap_total += d;
        gap_squares += (int64_t)d * d;
        for (int i = 0; i < 5; i++) {
            means[i] += w->weights[5 * d + i];
        }
    }
    double total = 2.0 * n, mean = (double)level_sum / total, auto_sum = (double)product_sum;
    double gap_sum = (double)gap_total, gap_square = (double)gap_squares;
    double second = 0, third = 0, fourth = 0;
    for (int k = 0; k < n; k++) {
        int a = w->level_a[k], b = w->level_b[k], d = a > b ? a - b : b - a;
        double away = a + b - 2.0 * mean, square = away * away;
        second += square;
        third += square * away;
        fourth += square * square;
        int pa = w->place_a[k], pb = w->place_b[k];
        int32_t *cell = &w->joint[pa < pb ? pa * w->places + pb : pb * w->places + pa];
        if (*cell) {
            int count = pa == pb ? 2 * *cell : *cell, times = pa == pb ? 1 : 2;
            joint_log += times * w->n_log_n[count];
            joint_square += times * (double)count * count;
            top = count > top ? count : top;
            *cell = 0;
        }
        gap_log += w->n_log_n[w->by_gap[d]];
        w->by_gap[d] = 0;
        sum_log += w->n_log_n[w->by_sum[a + b]];
        w->by_sum[a + b] = 0;
    }
    for (int k = 0; k < n_seen; k++) {
        int level = w->seen[k];
        level_log += w->n_log_n[w->by_level[level]];
        w->by_level[level] = 0;
    }
    /* (a - m)^2 + (b - m)^2 = ((a + b - 2 m)^2 + (a - b)^2) / 2 */
    double variance = 0.5 * (second + gap_square) / total;
    double log_total = w->n_log_n[2 * n] / total, log_n = n > 1 ? w->n_log_n[n] / n : 0.0;
    double joint = log_total - joint_log / total, single = log_total - level_log / total;
    double gap_mean = gap_sum / n, contrast = gap_square / n;
    int flat = n_seen == 1;
    f[0] = top / total;
    f[1] = mean;
    f[2] = variance;
    f[3] = joint;
    f[4] = f[12] = gap_mean;
    f[5] = contrast - gap_mean * gap_mean;
    f[6] = log_n - gap_log / n;
    f[7] = 2.0 * mean;
    f[8] = f[20] = second / n;
    f[9] = log_n - sum_log / n;
    f[10] = joint_square / (total * total);
    f[11] = contrast;
    for (int i = 0; i < 5; i++) {
        f[13 + i] = means[i] / n;
    }
    f[18] = flat ? (convention ? 1.0 : NAN) : (auto_sum / n - mean * mean) / variance;
    f[19] = auto_sum / n;
    f[21] = third / n;
    f[22] = fourth / n;
    f[23] = flat ? (convention ? 0.0 : NAN) : (joint - 2.0 * single) / single;
    double shared = 2.0 * single - joint;
    f[24] = shared > 1e-12 ? sqrt(1.0 - exp(-2.0 * shared)) : 0.0;
}

/* Mark with `to` what lies beside the levels that are marked in `from` and new there. */
static void spread(const Work *w, const uint64_t *from, uint64_t *done, uint64_t *to, int *more)
{
    for (ptrdiff_t word = 0; word < w->words; word++) {
        for (uint64_t bits = from[word] & ~done[word]; bits; bits &= bits - 1) {
            const uint64_t *row = w->beside + (word * 64 + lowest_bit(bits)) * w->words;
            for (ptrdiff_t k = 0; k < w->words; k++) {
                to[k] |= row[k];
            }
            *more = 1;
        }
        done[word] = from[word];
    }
}

/* Whether the m levels of `n` pairs hang together as a graph with an odd cycle: then each can be
 * reached from the first by an even and by an odd number of steps. Where they do not, some
 * function of the level is known of both partners of each pair alike (or opposite), so their
 * correlation is 1. */
static int mixes(Work *w, int n, int m)
{
    ptrdiff_t words = w->words;
    uint64_t *even = w->beside + w->places * words, *odd = even + words;
    uint64_t *even_done = odd + words, *odd_done = even_done + words;
    memset(w->beside, 0, (size_t)(m * words) * sizeof *w->beside);
    memset(even, 0, (size_t)(4 * words) * sizeof *even);
    for (int k = 0; k < n; k++) {
        int a = w->place_a[k], b = w->place_b[k];
        w->beside[a * words + b / 64] |= UINT64_C(1) << b % 64;
        w->beside[b * words + a / 64] |= UINT64_C(1) << a % 64;
    }
    even[0] = 1;
    for (int more = 1; more;) {
        more = 0;
        spread(w, even, even_done, odd, &more);
        spread(w, odd, odd_done, even, &more);
    }
    int reached = 1;
    for (int k = 0; k < m; k++) {
        reached &= (int)((even[k / 64] & odd[k / 64]) >> k % 64 & 1);
    }
    return reached;
}

static void settle(Work *w, Batch *batch)
{
    double found[LANES];
    int count = batch->count;
    if (count == 0) {
        return;
    }
    solve_batch(batch, found);
    for (int k = 0; k < count; k++) {
        w->correlation[batch->owner[k]] += found[k];
    }
}

/* The largest correlation of any two functions of the levels of a pair: the second largest
 * modulus of an eigenvalue of the counts scaled by the roots of their row sums. Added to its
 * voxel, at once or with others of its size. */
static void add_correlation(Work *w, int n, int m, int convention, ptrdiff_t voxel)
{
    if (m < 2) {
        w->correlated[voxel] += convention != 0; /* by convention 0 */
        return;
    }
    w->correlated[voxel]++;
    if (!mixes(w, n, m)) {
        w->correlation[voxel] += 1.0;
        return;
    }
    Batch *batch = w->batches + (m <= SMALL ? m : 0);
    batch->m = m;
    batch->total[batch->count] = 2.0 * n;
    batch->owner[batch->count] = voxel;
    for (int k = 0; k < n; k++) {
        add_pair(batch, w->place_a[k], w->place_b[k]);
    }
    if (++batch->count == LANES || m > SMALL) {
        settle(w, batch);
    }
}

static void finish_correlations(Work *w, ptrdiff_t n_voxels)
{
    for (int m = 0; m <= SMALL; m++) {
        settle(w, w->batches + m);
    }
    for (ptrdiff_t v = 0; v < n_voxels; v++) {
        w->correlation[v] = w->correlated[v] ? w->correlation[v] / w->correlated[v] : NAN;
    }
}

/* Collect the pairs of one direction; `pair` holds steps from the centre voxel. */
static int collect(const uint16_t *centre, const int32_t *pair, ptrdiff_t n_pairs, Work *w, int n)
{
    for (ptrdiff_t k = 0; k < n_pairs; k++) {
        int a = centre[pair[2 * k]], b = centre[pair[2 * k + 1]];
        w->level_a[n] = a;
        w->level_b[n] = b;
        n += (a != 0) & (b != 0);
    }
    return n;
}

static void maps(const uint16_t *levels, const int64_t *voxel, ptrdiff_t n_voxels,
                 const int32_t *pair, const int32_t *first, ptrdiff_t n_directions, int flags,
                 Work *w, double *out)
{
    double f[N_FEATURES], sum[N_FEATURES];
    int used[N_FEATURES], merged = flags & 1, convention = flags & 2;
    for (ptrdiff_t v = 0; v < n_voxels; v++) {
        const uint16_t *centre = levels + voxel[v];
        memset(sum, 0, sizeof sum);
        memset(used, 0, sizeof used);
        int n = 0;
        for (ptrdiff_t d = 0; d < n_directions; d++) {
            n = collect(centre, pair + 2 * first[d], first[d + 1] - first[d], w, n);
            if (n == 0 || (merged && d + 1 < n_directions)) {
                continue;
            }
            int m = take_places(w, n);
            if (w->batches) {
                add_correlation(w, n, m, convention, v);
            }
            features_of(w, n, m, convention, f);
            for (int i = 0; i < N_FEATURES; i++) {
                if (!isnan(f[i])) {
                    sum[i] += f[i];
                    used[i]++;
                }
            }
            n = 0;
        }
        for (int i = 0; i < N_FEATURES; i++) {
            out[i * n_voxels + v] = used[i] ? sum[i] / used[i] : NAN;
        }
    }
    if (w->batches) {
        finish_correlations(w, n_voxels);
    }
}

/* Room for batches of LANES matrices, and sums that start at 0. */
static int room_for_correlations(Work *w, ptrdiff_t n_voxels, double *out)
{
    ptrdiff_t places = w->places, most = places < SMALL ? places : SMALL, size = 0;
    for (ptrdiff_t m = 1; m <= most; m++) {
        size += m * (m + 3);
    }
    ptrdiff_t large = places > SMALL ? places * (places + 3) : 0;
    w->words = (places + 63) / 64;
    w->beside = malloc((size_t)((places + 4) * w->words) * sizeof *w->beside);
    w->batches = calloc(SMALL + 1, sizeof *w->batches);
    w->cells = calloc((size_t)(size + large), sizeof *w->cells);
    w->correlated = calloc((size_t)n_voxels + 1, sizeof *w->correlated);
    if (!w->beside || !w->batches || !w->cells || !w->correlated) {
        return -1;
    }
    Many *next = w->cells;
    for (ptrdiff_t m = 1; m <= most; next += m * (m + 3), m++) {
        w->batches[m].cells = next;
    }
    w->batches[0].cells = next;
    w->correlation = out + N_FEATURES * n_voxels;
    memset(w->correlation, 0, (size_t)n_voxels * sizeof *w->correlation);
    return 0;
}

static int work_of(Work *w, long n_levels, ptrdiff_t most, double **tables)
{
    ptrdiff_t places = w->places;
    size_t levels = (size_t)n_levels + 1, pairs = (size_t)most + 1;
    w->n_levels = (int)n_levels;
    w->most = (int)most;
    *tables = malloc((2 * pairs + 5 * levels) * sizeof **tables);
    w->level_a = malloc(2 * pairs * sizeof *w->level_a);
    w->place_a = malloc(2 * pairs * sizeof *w->place_a);
    w->by_level = calloc(4 * levels + 2, sizeof *w->by_level);
    w->rank = calloc(levels, sizeof *w->rank);
    w->joint = calloc((size_t)(places * places), sizeof *w->joint);
    w->seen = malloc((size_t)places * sizeof *w->seen);
    if (!*tables || !w->level_a || !w->place_a || !w->by_level || !w->rank || !w->joint ||
        !w->seen) {
        PyErr_NoMemory();
        return -1;
    }
    w->level_b = w->level_a + pairs;
    w->place_b = w->place_a + pairs;
    w->by_gap = w->by_level + levels;
    w->by_sum = w->by_gap + levels;
    w->n_log_n = *tables;
    w->weights = *tables + 2 * pairs;
    for (size_t n = 0; n < 2 * pairs; n++) {
        (*tables)[n] = n > 1 ? (double)n * log2((double)n) : 0.0;
    }
    gap_weights(*tables + 2 * pairs, (int)n_levels);
    return 0;
}

static void drop_work(Work *w, double *tables)
{
    free(tables);
    free(w->level_a);
    free(w->place_a);
    free(w->by_level);
    free(w->rank);
    free(w->joint);
    free(w->seen);
    free(w->beside);
    free(w->batches);
    free(w->cells);
    free(w->correlated);
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

static PyObject *py_glcm_maps(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *given[5];
    long n_levels, places;
    int flags;
    if (!PyArg_ParseTuple(args, "OOOOlliO", &given[0], &given[1], &given[2], &given[3], &n_levels,
                          &places, &flags, &given[4])) {
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
    ptrdiff_t n_directions = check_windows(a, n_levels);
    int with_mcc = a[4].view.shape[0] == N_WITH_MCC;
    ptrdiff_t shape[2] = {with_mcc ? N_WITH_MCC : N_FEATURES, a[1].view.shape[0]};
    ptrdiff_t n_pairs = a[2].view.shape[0];
    if (n_directions < 0 || places < 1 || places > 4096) {
        refuse("pairs, voxels or levels: out of range.");
    } else if (need_shape(&a[4], "out", shape) == 0) {
        Work work = {.places = places};
        double *tables = NULL;
        int ready = work_of(&work, n_levels, n_pairs, &tables) == 0;
        if (ready && with_mcc && room_for_correlations(&work, shape[1], a[4].view.buf) < 0) {
            PyErr_NoMemory();
            ready = 0;
        }
        if (ready) {
            Py_BEGIN_ALLOW_THREADS
            maps(a[0].view.buf, a[1].view.buf, shape[1], a[2].view.buf, a[3].view.buf,
                 n_directions, flags, &work, a[4].view.buf);
            Py_END_ALLOW_THREADS
            if (work.too_many) {
                refuse("places: a window holds more than %zd levels.", (Py_ssize_t)work.places);
            }
        }
        drop_work(&work, tables);
    }
    give_back(a, 5);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

PyMethodDef voxel_methods[] = {
    {"glcm_maps", py_glcm_maps, METH_VARARGS,
     "glcm_maps(levels, voxels, pairs, first, n_levels, places, flags, out): write the 25 "
     "co-occurrence features of the window of each voxel, and the maximal correlation "
     "coefficient where out has 26 rows; pairs hold steps from the centre, sorted by "
     "direction, and first says where each direction starts. Flag 1 merges directions; flag 2 "
     "gives windows of one level PyRadiomics' values."},
    {NULL, NULL, 0, NULL},
};
