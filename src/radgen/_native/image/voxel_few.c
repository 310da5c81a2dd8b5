/* Sums behind the co-occurrence features of matrices of few pairs, for SIDE voxels side by side:
 * how often a pair occurs is counted by comparing it with each other pair, in as many windows at
 * once as wide registers hold. */
#include "voxel.h"

#include <string.h>

#define EACH_SIDE for (int i = 0; i < SIDE; i++)
#if defined(__GNUC__)
#define PART static inline __attribute__((always_inline))
#else
#define PART static inline
#endif

/* Pairs of levels by number; 0 stands for a pair that is not there. */
typedef struct {
    uint16_t end[2 * FEW][SIDE]; /* levels a, then levels b */
    uint16_t joint[FEW][SIDE];   /* which two levels, in either order, and 1 */
    uint16_t gap[FEW][SIDE];     /* |a - b| + 1 */
    uint16_t sum[FEW][SIDE];     /* a + b */
} Pairs;

/* How often each pair, gap, sum and level occurs; 0 for what is not there. */
typedef struct {
    uint16_t end[2 * FEW][SIDE], joint[FEW][SIDE], gap[FEW][SIDE], sum[FEW][SIDE];
} Often;

PART void collect(const Windows *w, const int32_t *pair, int n, Pairs *out)
{
    for (int k = 0; k < n; k++) {
        const uint16_t *a = w->level + (ptrdiff_t)pair[2 * k] * SIDE;
        const uint16_t *b = w->level + (ptrdiff_t)pair[2 * k + 1] * SIDE;
        const uint16_t *p = w->place + (ptrdiff_t)pair[2 * k] * SIDE;
        const uint16_t *q = w->place + (ptrdiff_t)pair[2 * k + 1] * SIDE;
        EACH_SIDE
        {
            uint16_t there = (uint16_t) - ((a[i] != 0) & (b[i] != 0));
            uint16_t gap = (uint16_t)(a[i] > b[i] ? a[i] - b[i] : b[i] - a[i]);
            uint16_t low = p[i] < q[i] ? p[i] : q[i], high = p[i] < q[i] ? q[i] : p[i];
            out->end[k][i] = a[i] & there;
            out->end[n + k][i] = b[i] & there;
            out->joint[k][i] = (uint16_t)((low << 8 | high) + 1) & there;
            out->gap[k][i] = (uint16_t)(gap + 1) & there;
            out->sum[k][i] = (uint16_t)(a[i] + b[i]) & there;
        }
    }
}

/* Count how many of n keys are equal to each; 0 for a key 0. */
#if defined(__GNUC__)
typedef uint16_t Keys __attribute__((vector_size(2 * SIDE), aligned(2), may_alias));

PART void count_alike(const uint16_t (*keys)[SIDE], int n, uint16_t (*count)[SIDE])
{
    const Keys *key = (const Keys *)keys, none = {0};
    for (int k = 0; k < n; k++) {
        Keys own = key[k], found = none;
        for (int j = 0; j < n; j++) {
            found -= (Keys)(key[j] == own);
        }
        ((Keys *)count)[k] = found & (Keys)(own != none);
    }
}
#else
PART void count_alike(const uint16_t (*keys)[SIDE], int n, uint16_t (*count)[SIDE])
{
    for (int k = 0; k < n; k++) {
        uint16_t found[SIDE] = {0};
        for (int j = 0; j < n; j++) {
            EACH_SIDE { found[i] += keys[j][i] == keys[k][i]; }
        }
        EACH_SIDE { count[k][i] = keys[k][i] ? found[i] : 0; }
    }
}
#endif

/* Sums over pairs of whole numbers, then powers of how far sums of levels lie from their mean. */
PART void add_up(const Pairs *pairs, int n, Sums *out)
{
    int32_t number[SIDE] = {0}, level[SIDE] = {0}, gaps[SIDE] = {0};
    double product[SIDE] = {0}, square[SIDE] = {0}, mean[SIDE];
    double second[SIDE] = {0}, third[SIDE] = {0}, fourth[SIDE] = {0};
    for (int k = 0; k < n; k++) {
        EACH_SIDE
        {
            int32_t there = pairs->gap[k][i] != 0, gap = pairs->gap[k][i] - there;
            number[i] += there;
            level[i] += pairs->sum[k][i];
            gaps[i] += gap;
        }
        EACH_SIDE
        {
            double gap = pairs->gap[k][i] - (pairs->gap[k][i] != 0);
            product[i] += (double)pairs->end[k][i] * (double)pairs->end[n + k][i];
            square[i] += gap * gap;
        }
    }
    EACH_SIDE { mean[i] = number[i] ? (double)level[i] / number[i] : 0.0; }
    for (int k = 0; k < n; k++) {
        EACH_SIDE
        {
            double away = pairs->sum[k][i] ? pairs->sum[k][i] - mean[i] : 0.0;
            double power = away * away;
            second[i] += power;
            third[i] += power * away;
            fourth[i] += power * power;
        }
    }
    EACH_SIDE
    {
        out->n[i] = number[i];
        out->level[i] = level[i];
        out->product[i] = product[i];
        out->gap[i] = gaps[i];
        out->gap_square[i] = square[i];
        out->second[i] = second[i];
        out->third[i] = third[i];
        out->fourth[i] = fourth[i];
    }
}

/* Sums of what tables say of counts and gaps. */
PART void look_up(const Pairs *pairs, const Often *often, int n, const Tables *tables, Sums *out)
{
    const double *log2_of = tables->log2_of;
    EACH_SIDE
    {
        double joint = 0, square = 0, level = 0, gap = 0, sum = 0, inverse[5] = {0};
        int top = 0, alike = 0;
        for (int k = 0; k < n; k++) {
            /* Off the diagonal a pair stands in two cells, on it twice in one. */
            int count = often->joint[k][i] << (pairs->end[k][i] == pairs->end[n + k][i]);
            int a = often->end[k][i];
            const double *weight = tables->weights + 5 * pairs->gap[k][i];
            joint += log2_of[count];
            square += count;
            top = count > top ? count : top;
            level += log2_of[a] + log2_of[often->end[n + k][i]];
            alike = a > alike ? a : alike;
            gap += log2_of[often->gap[k][i]];
            sum += log2_of[often->sum[k][i]];
            for (int j = 0; j < 5; j++) {
                inverse[j] += weight[j];
            }
        }
        out->joint_log[i] = 2.0 * joint;
        out->joint_square[i] = 2.0 * square;
        out->top[i] = top;
        out->level_log[i] = level;
        out->gap_log[i] = gap;
        out->sum_log[i] = sum;
        out->flat[i] = alike == 2 * out->n[i];
        for (int j = 0; j < 5; j++) {
            out->inverse[j][i] = inverse[j];
        }
    }
}

CLONES void sums_of_few(const Windows *windows, const int32_t *pair, int n, const Tables *tables,
                        Sums *out)
{
    Pairs pairs;
    Often often;
    collect(windows, pair, n, &pairs);
    count_alike(pairs.end, 2 * n, often.end);
    count_alike(pairs.joint, n, often.joint);
    count_alike(pairs.gap, n, often.gap);
    count_alike(pairs.sum, n, often.sum);
    add_up(&pairs, n, out);
    look_up(&pairs, &often, n, tables, out);
}
