/* Sums behind the co-occurrence features of one matrix of many pairs: pairs are counted in tables
 * whose touched cells alone are read and cleared. */
#include "voxel.h"

#include <stdlib.h>
#include <string.h>

int counts_for(Counts *counts, ptrdiff_t places, ptrdiff_t n_levels)
{
    size_t levels = (size_t)n_levels + 1;
    counts->places = places;
    counts->joint = calloc((size_t)(places * places), sizeof *counts->joint);
    counts->by_level = calloc(4 * levels, sizeof *counts->by_level);
    counts->by_gap = counts->by_level + levels;
    counts->by_sum = counts->by_gap + levels;
    return counts->joint != NULL && counts->by_level != NULL;
}

void drop_counts(Counts *counts)
{
    free(counts->joint);
    free(counts->by_level);
}

static int32_t *cell_of(const Counts *counts, int p, int q)
{
    return &counts->joint[p < q ? p * counts->places + q : q * counts->places + p];
}

static double taken(int32_t *count, const double *log2_of)
{
    double found = (double)*count * log2_of[*count];
    *count = 0;
    return found;
}

void sums_of_many(const Windows *w, int at, const int32_t *pair, ptrdiff_t n, Counts *counts,
                  const Tables *tables, Sums *out)
{
    int64_t levels = 0, gaps = 0;
    double product = 0, gap_square = 0, inverse[5] = {0};
    int there = 0, present = 0;
    const uint16_t *level = w->level + at, *place = w->place + at;
    for (ptrdiff_t k = 0; k < n; k++) {
        ptrdiff_t from = (ptrdiff_t)pair[2 * k] * SIDE, to = (ptrdiff_t)pair[2 * k + 1] * SIDE;
        int a = level[from], b = level[to], gap = a > b ? a - b : b - a;
        if (a && b) {
            ++*cell_of(counts, place[from], place[to]);
            counts->by_level[a]++;
            counts->by_level[b]++;
            counts->by_gap[gap]++;
            counts->by_sum[a + b]++;
            there++;
            levels += a + b;
            gaps += gap;
            product += (double)a * b;
            gap_square += (double)gap * gap;
            for (int j = 0; j < 5; j++) {
                inverse[j] += tables->weights[5 * (gap + 1) + j];
            }
        }
    }
    double mean = there ? (double)levels / there : 0.0, second = 0, third = 0, fourth = 0;
    double joint = 0, square = 0, top = 0, level_log = 0, gap_log = 0, sum_log = 0;
    for (ptrdiff_t k = 0; k < n; k++) {
        ptrdiff_t from = (ptrdiff_t)pair[2 * k] * SIDE, to = (ptrdiff_t)pair[2 * k + 1] * SIDE;
        int a = level[from], b = level[to], gap = a > b ? a - b : b - a;
        if (a && b) {
            double away = a + b - mean, power = away * away;
            second += power;
            third += power * away;
            fourth += power * power;
            int32_t *cell = cell_of(counts, place[from], place[to]);
            double count = a == b ? 2.0 * *cell : *cell;
            joint += (a == b ? 1.0 : 2.0) * count * tables->log2_of[(int)count];
            square += (a == b ? 1.0 : 2.0) * count * count;
            top = count > top ? count : top;
            *cell = 0;
            for (int end = 0; end < 2; end++) {
                present += counts->by_level[end ? b : a] != 0;
                level_log += taken(&counts->by_level[end ? b : a], tables->log2_of);
            }
            gap_log += taken(&counts->by_gap[gap], tables->log2_of);
            sum_log += taken(&counts->by_sum[a + b], tables->log2_of);
        }
    }
    out->n[0] = there;
    out->flat[0] = present == 1;
    out->level[0] = (double)levels;
    out->product[0] = product;
    out->gap[0] = (double)gaps;
    out->gap_square[0] = gap_square;
    out->second[0] = second;
    out->third[0] = third;
    out->fourth[0] = fourth;
    out->joint_log[0] = joint;
    out->joint_square[0] = square;
    out->top[0] = top;
    out->level_log[0] = level_log;
    out->gap_log[0] = gap_log;
    out->sum_log[0] = sum_log;
    for (int j = 0; j < 5; j++) {
        out->inverse[j][0] = inverse[j];
    }
}
