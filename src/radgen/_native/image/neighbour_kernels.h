/* Neighbourhoods. Included once with LEVEL = uint8_t and once with
 * LEVEL = uint16_t; KERNEL(name) gives each copy its own name. */

/* Slices in blocks whose intermediate results stay in the nearest cache. */
#define FOR_BLOCKS                                                                         \
    FOR_SLICES                                                                             \
        for (ptrdiff_t from = 0, m = n < BLOCK ? n : BLOCK; from < n;                      \
             from += BLOCK, m = n - from < BLOCK ? n - from : BLOCK)

static inline void KERNEL(add_row)(const LEVEL *restrict row, uint32_t *restrict sum,
                                   uint16_t *restrict number, ptrdiff_t n)
{
    for (ptrdiff_t x = 0; x < n; x++) {
        sum[x] += row[x];
    }
    for (ptrdiff_t x = 0; x < n; x++) {
        number[x] += row[x] != 0;
    }
}

static inline void KERNEL(add_sums)(const uint32_t *restrict sum, const uint16_t *restrict number,
                                    uint32_t *restrict all, uint16_t *restrict near, ptrdiff_t n)
{
    for (ptrdiff_t x = 0; x < n; x++) {
        all[x] += sum[x];
    }
    for (ptrdiff_t x = 0; x < n; x++) {
        near[x] += number[x];
    }
}

/* |level * number of neighbours - sum of their levels|; the sums hold the voxel itself. */
static inline void KERNEL(gaps)(const LEVEL *restrict here, const uint16_t *restrict near,
                                uint32_t *restrict all, ptrdiff_t n)
{
    for (ptrdiff_t x = 0; x < n; x++) {
        int32_t gap = (int32_t)(here[x] * (uint32_t)near[x]) - (int32_t)all[x];
        all[x] = (uint32_t)(gap < 0 ? -gap : gap);
    }
}

/* For each level and number of neighbours: how many voxels, and the sum of |level * number -
 * sum of the neighbours' levels|; whole numbers, so the order of summation does not matter. A
 * neighbourhood is at most 31 voxels wide, so 31-bit sums hold 65535 times its size. */
CLONES static void KERNEL(ngtdm)(const LEVEL *lev, const Grid *g, ptrdiff_t n_levels, ptrdiff_t width,
                          ptrdiff_t period, uint64_t *out_count, uint64_t *out_gap)
{
    ptrdiff_t dz = g->mz, dy = g->my, dx = g->mx;
    uint32_t sum[BLOCK + 2 * REACH], all[BLOCK];
    uint16_t number[BLOCK + 2 * REACH], near[BLOCK];
    FOR_BLOCKS
    {
        const LEVEL *here = lev + first + from;
        ptrdiff_t slice = (period ? (z - dz) / period : 0) * (n_levels + 1) * width;
        memset(sum, 0, (size_t)(m + 2 * dx) * sizeof *sum);
        memset(number, 0, (size_t)(m + 2 * dx) * sizeof *number);
        for (ptrdiff_t k = -dz; k <= dz; k++) {
            for (ptrdiff_t j = -dy; j <= dy; j++) {
                KERNEL(add_row)(here + (k * g->ny + j) * g->nx - dx, sum, number, m + 2 * dx);
            }
        }
        memset(all, 0, (size_t)m * sizeof *all);
        memset(near, 0, (size_t)m * sizeof *near);
        for (ptrdiff_t i = 0; i <= 2 * dx; i++) {
            KERNEL(add_sums)(sum + i, number + i, all, near, m);
        }
        KERNEL(gaps)(here, near, all, m);
        for (ptrdiff_t x = 0; x < m; x++) {
            if (here[x]) {
                ptrdiff_t cell = slice + here[x] * width + near[x] - 1;
                out_count[cell]++;
                out_gap[cell] += all[x];
            }
        }
    }
}

/* Which voxels of a row are within alpha of those here. */
static inline void KERNEL(alike_row)(const LEVEL *restrict here, const LEVEL *restrict row,
                                     LEVEL alpha, LEVEL *restrict like, ptrdiff_t n)
{
    if (alpha == 0) {
        for (ptrdiff_t x = 0; x < n; x++) {
            like[x] += row[x] == here[x];
        }
        return;
    }
    for (ptrdiff_t x = 0; x < n; x++) {
        LEVEL gap = row[x] > here[x] ? row[x] - here[x] : here[x] - row[x];
        like[x] += (LEVEL)(gap <= alpha) & (LEVEL)(row[x] != 0);
    }
}

static inline void KERNEL(add_like)(const LEVEL *restrict like, uint16_t *restrict all,
                                    ptrdiff_t n)
{
    for (ptrdiff_t x = 0; x < n; x++) {
        all[x] += like[x];
    }
}

/* How often a level has how many voxels around it (and itself) that are within alpha of it. */
CLONES static void KERNEL(ngldm)(const LEVEL *lev, const Grid *g, ptrdiff_t n_levels, ptrdiff_t width,
                          ptrdiff_t period, int alpha, uint32_t *out)
{
    LEVEL like[BLOCK], most = (LEVEL)-1;
    LEVEL within = alpha < most ? (LEVEL)alpha : most;
    uint16_t all[BLOCK];
    FOR_BLOCKS
    {
        const LEVEL *here = lev + first + from;
        uint32_t *matrix = out + (period ? (z - g->mz) / period : 0) * (n_levels + 1) * width;
        memset(all, 0, (size_t)m * sizeof *all);
        for (ptrdiff_t k = -g->mz; k <= g->mz; k++) {
            for (ptrdiff_t j = -g->my; j <= g->my; j++) {
                const LEVEL *row = here + (k * g->ny + j) * g->nx;
                memset(like, 0, (size_t)m * sizeof *like);
                for (ptrdiff_t i = -g->mx; i <= g->mx; i++) {
                    KERNEL(alike_row)(here, row + i, within, like, m);
                }
                KERNEL(add_like)(like, all, m);
            }
        }
        for (ptrdiff_t x = 0; x < m; x++) {
            if (here[x]) {
                matrix[here[x] * width + all[x]]++;
            }
        }
    }
}

#undef FOR_BLOCKS
