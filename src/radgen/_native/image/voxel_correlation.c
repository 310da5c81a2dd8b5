/* The maximal correlation coefficient of the matrix of a window around each voxel. */
#include "voxel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Room for batches of LANES matrices, and sums that start at 0. */
int correlations_for(Correlations *c, ptrdiff_t places, ptrdiff_t most, ptrdiff_t n_voxels,
                     double *out)
{
    ptrdiff_t largest = places < SMALL ? places : SMALL, size = 0;
    for (ptrdiff_t m = 1; m <= largest; m++) {
        size += m * (m + 3);
    }
    ptrdiff_t large = places > SMALL ? places * (places + 3) : 0;
    memset(c->batches, 0, sizeof c->batches);
    c->places = places;
    c->words = (places + 63) / 64;
    c->beside = malloc((size_t)((places + 4) * c->words) * sizeof *c->beside);
    c->cells = calloc((size_t)(size + large), sizeof *c->cells);
    c->used = calloc((size_t)n_voxels + 1, sizeof *c->used);
    c->place = malloc((size_t)(2 * most + places) * sizeof *c->place);
    if (!c->beside || !c->cells || !c->used || !c->place) {
        return 0;
    }
    c->among = c->place + 2 * most;
    Many *next = c->cells;
    for (ptrdiff_t m = 1; m <= largest; next += m * (m + 3), m++) {
        c->batches[m].cells = next;
    }
    c->batches[0].cells = next;
    c->sum = out;
    memset(out, 0, (size_t)n_voxels * sizeof *out);
    return 1;
}

void drop_correlations(Correlations *c)
{
    free(c->beside);
    free(c->cells);
    free(c->used);
    free(c->place);
}

/* What follows is compiled for sets of one word, of most windows, and of more. */
#if defined(__GNUC__)
#define PART static inline __attribute__((always_inline))
#else
#define PART static inline
#endif

/* Mark with `to` what lies beside the levels that are marked in `from` and new there. */
PART void spread(const uint64_t *beside, ptrdiff_t words, const uint64_t *from, uint64_t *done,
                 uint64_t *to, int *more)
{
    for (ptrdiff_t word = 0; word < words; word++) {
        for (uint64_t bits = from[word] & ~done[word]; bits; bits &= bits - 1) {
            const uint64_t *row = beside + (word * 64 + lowest_bit(bits)) * words;
            for (ptrdiff_t k = 0; k < words; k++) {
                to[k] |= row[k];
            }
            *more = 1;
        }
        done[word] = from[word];
    }
}

/* Whether the *m levels of n pairs (among n_seen places) hang together as a graph with an odd
 * cycle: then each can be reached from the first by an even and by an odd number of steps. Where
 * they do not, some function of the level is known of both partners of each pair alike (or
 * opposite), so their correlation is 1. */
PART int mixes(const Correlations *c, ptrdiff_t words, ptrdiff_t n, int n_seen, int *m)
{
    uint64_t *even = c->beside + c->places * words, *odd = even + words;
    uint64_t *even_done = odd + words, *odd_done = even_done + words;
    memset(c->beside, 0, (size_t)(n_seen * words) * sizeof *c->beside);
    memset(even, 0, (size_t)(4 * words) * sizeof *even);
    for (ptrdiff_t k = 0; k < n; k++) {
        int a = c->place[2 * k], b = c->place[2 * k + 1];
        c->beside[a * words + b / 64] |= UINT64_C(1) << b % 64;
        c->beside[b * words + a / 64] |= UINT64_C(1) << a % 64;
    }
    int first = c->place[0], reached = 1;
    even[first / 64] = UINT64_C(1) << first % 64;
    for (int more = 1; more;) {
        more = 0;
        spread(c->beside, words, even, even_done, odd, &more);
        spread(c->beside, words, odd, odd_done, even, &more);
    }
    *m = 0;
    for (int k = 0; k < n_seen; k++) {
        uint64_t neighbours = 0;
        for (ptrdiff_t word = 0; word < words; word++) {
            neighbours |= c->beside[k * words + word];
        }
        int found = neighbours != 0;
        c->among[k] = (uint16_t)*m;
        *m += found;
        reached &= (!found) | (int)((even[k / 64] & odd[k / 64]) >> k % 64 & 1);
    }
    return reached;
}

static void settle(Correlations *c, Batch *batch)
{
    double found[LANES];
    int count = batch->count;
    if (count == 0) {
        return;
    }
    solve_batch(batch, found);
    for (int k = 0; k < count; k++) {
        c->sum[batch->owner[k]] += found[k];
    }
}

/* The largest correlation of any two functions of the levels of a pair: the second largest
 * modulus of an eigenvalue of the counts scaled by the roots of their row sums. Added to its
 * voxel, at once or with others of its size. */
void add_correlation(Correlations *c, const Windows *w, int at, const int32_t *pair, ptrdiff_t n,
                     int convention, ptrdiff_t voxel)
{
    ptrdiff_t there = 0;
    for (ptrdiff_t k = 0; k < n; k++) {
        ptrdiff_t from = (ptrdiff_t)pair[2 * k] * SIDE + at;
        ptrdiff_t to = (ptrdiff_t)pair[2 * k + 1] * SIDE + at;
        c->place[2 * there] = w->place[from];
        c->place[2 * there + 1] = w->place[to];
        there += (w->level[from] != 0) & (w->level[to] != 0);
    }
    if (there == 0) {
        return;
    }
    int m, mixed;
    if (c->words == 1) {
        mixed = mixes(c, 1, there, w->n_seen[at], &m);
    } else {
        mixed = mixes(c, c->words, there, w->n_seen[at], &m);
    }
    if (m < 2) {
        c->used[voxel] += convention != 0; /* by convention 0 */
        return;
    }
    c->used[voxel]++;
    if (!mixed) {
        c->sum[voxel] += 1.0;
        return;
    }
    Batch *batch = c->batches + (m <= SMALL ? m : 0);
    batch->m = m;
    batch->total[batch->count] = 2.0 * (double)there;
    batch->owner[batch->count] = voxel;
    for (ptrdiff_t k = 0; k < there; k++) {
        add_pair(batch, c->among[c->place[2 * k]], c->among[c->place[2 * k + 1]]);
    }
    if (++batch->count == LANES || m > SMALL) {
        settle(c, batch);
    }
}

void finish_correlations(Correlations *c, ptrdiff_t n_voxels)
{
    for (int m = 0; m <= SMALL; m++) {
        settle(c, c->batches + m);
    }
    for (ptrdiff_t v = 0; v < n_voxels; v++) {
        c->sum[v] = c->used[v] ? c->sum[v] / c->used[v] : NAN;
    }
}
