/* Texture kernels for one type of grey level. Included once with LEVEL = uint8_t and once with
 * LEVEL = uint16_t; KERNEL(name) gives each copy its own name. Level 0 lies outside the region,
 * and margins hold zeros, so no neighbour needs a test of the volume's bounds. */

static int KERNEL(extent)(const LEVEL *row, ptrdiff_t first, ptrdiff_t end, ptrdiff_t *x0,
                          ptrdiff_t *x1)
{
    while (first < end && row[first] == 0) {
        first++;
    }
    if (first == end) {
        return 0;
    }
    while (row[end - 1] == 0) {
        end--;
    }
    *x0 = first;
    *x1 = end;
    return 1;
}

/* Number of voxels inside, or -1 where a level is too high or a margin is not zero. */
CLONES static ptrdiff_t KERNEL(scan)(const LEVEL *lev, const Grid *g, int n_levels)
{
    ptrdiff_t total = 0, inside = 0;
    LEVEL top = 0;
    for (ptrdiff_t i = 0; i < g->nz * g->ny * g->nx; i++) {
        top = lev[i] > top ? lev[i] : top;
        total += lev[i] != 0;
    }
    for (ptrdiff_t z = g->mz; z < g->nz - g->mz; z++) {
        for (ptrdiff_t y = g->my; y < g->ny - g->my; y++) {
            const LEVEL *row = lev + (z * g->ny + y) * g->nx;
            for (ptrdiff_t x = g->mx; x < g->nx - g->mx; x++) {
                inside += row[x] != 0;
            }
        }
    }
    return (top > n_levels || total != inside) ? -1 : inside;
}

#define FOR_ROWS                                                                   \
    for (ptrdiff_t z = g->mz; z < g->nz - g->mz; z++)                              \
        for (ptrdiff_t y = g->my; y < g->ny - g->my; y++)                          \
            for (ptrdiff_t x0, x1, at = (z * g->ny + y) * g->nx, more = 1;         \
                 more && KERNEL(extent)(lev + at, g->mx, g->nx - g->mx, &x0, &x1); \
                 more = 0)

static void KERNEL(glcm)(const LEVEL *lev, const Grid *g, const ptrdiff_t *step, int n_steps,
                         ptrdiff_t n_levels, ptrdiff_t period, uint32_t *out)
{
    ptrdiff_t width = n_levels + 1, size = width * width;
    FOR_ROWS
    {
        const LEVEL *row = lev + at;
        uint32_t *matrix = out + (period ? (z - g->mz) / period : 0) * n_steps * size;
        int d = 0;
        /* Four directions at a time: then a count seldom waits for the one before it. */
        for (; d + 4 <= n_steps; d += 4, matrix += 4 * size) {
            const LEVEL *a = row + step[d], *b = row + step[d + 1];
            const LEVEL *c = row + step[d + 2], *e = row + step[d + 3];
            for (ptrdiff_t x = x0; x < x1; x++) {
                uint32_t *cells = matrix + row[x] * width;
                cells[a[x]]++;
                cells[size + b[x]]++;
                cells[2 * size + c[x]]++;
                cells[3 * size + e[x]]++;
            }
        }
        for (; d < n_steps; d++, matrix += size) {
            const LEVEL *other = row + step[d];
            for (ptrdiff_t x = x0; x < x1; x++) {
                matrix[row[x] * width + other[x]]++;
            }
        }
    }
}

/* Voxels of a slice that may lie inside, as one stretch of memory with margins in between: long
 * loops without ends cost less than the zeros of the margins. */
#define FOR_SLICES                                                                            \
    for (ptrdiff_t z = g->mz, first = (g->mz * g->ny + g->my) * g->nx + g->mx,                \
                   n = (g->ny - 2 * g->my) * g->nx - 2 * g->mx;                               \
         z < g->nz - g->mz; z++, first += g->ny * g->nx)

/* Which of `n` voxels end a run of two or more. */
static inline void KERNEL(last)(const LEVEL *restrict here, const LEVEL *restrict before,
                                const LEVEL *restrict after, uint8_t *restrict ends, ptrdiff_t n)
{
    for (ptrdiff_t x = 0; x < n; x++) {
        ends[x] = (uint8_t)((here[x] == before[x]) & (here[x] != 0) & (here[x] != after[x]));
    }
}

/* Which of `n` voxels lie inside a run of three or more, not at its ends. */
static inline void KERNEL(middle)(const LEVEL *restrict here, const LEVEL *restrict before,
                                  const LEVEL *restrict after, uint8_t *restrict marks,
                                  ptrdiff_t n)
{
    for (ptrdiff_t x = 0; x < n; x++) {
        marks[x] = (uint8_t)((here[x] == before[x]) & (here[x] != 0) & (here[x] == after[x]));
    }
}

/* Count the runs whose marked voxel is the last (beyond = 0) or the last but one (1, where other
 * voxels are marked too), by going back from the end. */
static inline void KERNEL(runs)(const LEVEL *here, const uint8_t *marks, ptrdiff_t n,
                                ptrdiff_t back, ptrdiff_t beyond, ptrdiff_t width,
                                uint32_t *matrix)
{
    for (ptrdiff_t x = 0; x < n; x += 64) {
        for (uint64_t bits = bits_of(marks + x); bits; bits &= bits - 1) {
            const LEVEL *end = here + x + lowest_bit(bits) + beyond * back;
            LEVEL level = end[-beyond * back];
            if (beyond && end[back] == level) {
                continue; /* the run goes on */
            }
            ptrdiff_t run = 2 + beyond;
            while (end[-run * back] == level) {
                run++;
            }
            run = run < width ? run : width - 1;
            matrix[level * width + run]++;
        }
    }
}

/* Runs of two and one, from what is known of a level and direction: its voxels, its pairs of
 * neighbours (NULL where runs of two were counted), its longer runs. */
static inline void KERNEL(short_runs)(uint32_t *cells, ptrdiff_t width, uint32_t voxels,
                                      const uint32_t *pairs)
{
    uint32_t in_runs = 0, steps = 0;
    for (ptrdiff_t run = 3; run < width; run++) {
        in_runs += (uint32_t)run * cells[run];
        steps += (uint32_t)(run - 1) * cells[run];
    }
    if (width > 2) {
        if (pairs != NULL) {
            cells[2] = *pairs - steps;
        }
        in_runs += 2 * cells[2];
    }
    cells[1] = voxels - in_runs;
}

/* Runs: those of two voxels or more are counted where they end; the voxels of a level that lie
 * in no such run are its runs of one, so those need no counting. Where the number of `equal`
 * neighbours (the diagonal of the co-occurrence matrix) is known, runs of two follow from it,
 * and the few of three or more alone are counted. `marks` has a byte for each voxel of a slice,
 * and 64 more. */
CLONES static void KERNEL(glrlm)(const LEVEL *lev, const Grid *g, const ptrdiff_t *step, int n_steps,
                          ptrdiff_t n_levels, ptrdiff_t width, ptrdiff_t period,
                          const uint32_t *equal, uint8_t *marks, uint32_t *out)
{
    ptrdiff_t size = (n_levels + 1) * width;
    FOR_SLICES
    {
        const LEVEL *here = lev + first;
        memset(marks + n, 0, 64);
        for (int d = 0; d < n_steps; d++) {
            ptrdiff_t back = step[d];
            uint32_t *matrix = out + ((period ? (z - g->mz) / period : 0) * n_steps + d) * size;
            if (equal == NULL) {
                KERNEL(last)(here, here - back, here + back, marks, n);
                KERNEL(runs)(here, marks, n, back, 0, width, matrix);
            } else {
                KERNEL(middle)(here, here - back, here + back, marks, n);
                KERNEL(runs)(here, marks, n, back, 1, width, matrix);
            }
        }
    }
    ptrdiff_t groups = period ? (g->nz - 2 * g->mz + period - 1) / period : 1;
    /* Column 1 of up to four directions holds the voxels of a level in turn: see glcm. */
    ptrdiff_t columns = n_steps < 4 ? 1 : 4;
    FOR_ROWS
    {
        uint32_t *column = out + 1 + (period ? (z - g->mz) / period : 0) * n_steps * size;
        for (ptrdiff_t x = x0; x < x1; x++) {
            column[(x & (columns - 1)) * size + lev[at + x] * width]++;
        }
    }
    for (ptrdiff_t k = 0; k < groups; k++) {
        for (ptrdiff_t level = 1; level <= n_levels; level++) {
            uint32_t *cells = out + k * n_steps * size + level * width, voxels = 0;
            for (ptrdiff_t d = 0; d < columns; d++) {
                voxels += cells[d * size + 1];
            }
            for (ptrdiff_t d = 0; d < n_steps; d++, cells += size) {
                const uint32_t *pairs = NULL;
                if (equal != NULL) {
                    pairs = equal + (k * n_steps + d) * (n_levels + 1) + level;
                }
                KERNEL(short_runs)(cells, width, voxels, pairs);
            }
        }
    }
}

static inline void KERNEL(alike)(const LEVEL *restrict here, const LEVEL *restrict other,
                                 uint16_t bit, uint16_t *restrict bits, ptrdiff_t n)
{
    for (ptrdiff_t x = 0; x < n; x++) {
        bits[x] |= (uint16_t)((uint16_t)-(here[x] == other[x]) & bit);
    }
}

/* Give each voxel the label of a neighbour met before, or a new one; join labels that meet. Of
 * neighbours that touch each other one will do, for they are joined already. Returns the number
 * of labels so far. The next label is always made ready: no branch for processors to guess. */
static inline int32_t KERNEL(label_slice)(const LEVEL *restrict here, ptrdiff_t n,
                                          const uint16_t *restrict bits, const Joins *joins,
                                          int32_t *labels, int32_t *parent, int32_t n_labels)
{
    const ptrdiff_t *step = joins->step;
    const uint64_t *few = joins->few;
    for (ptrdiff_t x = 0; x < n; x++) {
        if (here[x] == 0) {
            continue;
        }
        uint64_t list = few[bits[x]];
        labels[x] = parent[n_labels] = n_labels;
        int32_t own = labels[x] = labels[x + step[list & 15]];
        n_labels += bits[x] == 0;
        for (list >>= 4; (list & 15) != 15; list >>= 4) {
            join(parent, own, labels[x + step[list & 15]]);
        }
    }
    return n_labels;
}

/* Keep level, size and least distance by label. */
static inline void KERNEL(describe)(const LEVEL *restrict here, const uint16_t *restrict far,
                                    const int32_t *restrict labels, ptrdiff_t n,
                                    const Zones *zones)
{
    uint32_t *restrict size = zones->size;
    uint16_t *restrict least = zones->far, *restrict level = zones->level;
    for (ptrdiff_t x = 0; x < n; x++) {
        if (here[x]) {
            int32_t label = labels[x];
            level[label] = here[x];
            size[label]++;
            least[label] = far[x] < least[label] ? far[x] : least[label];
        }
    }
}

/* Zones of one level, connected through the steps (all < 0) and their opposites. `labels` has
 * room for a slice and those before it that steps reach. */
CLONES static ptrdiff_t KERNEL(zones)(const LEVEL *lev, const uint16_t *far, const Grid *g,
                               const Joins *joins, int32_t *labels, int32_t *parent,
                               uint16_t *bits, const Zones *out)
{
    int32_t n_labels = 0;
    const ptrdiff_t slice = g->ny * g->nx, own = g->mz * slice + g->my * g->nx + g->mx;
    FOR_SLICES
    {
        const LEVEL *here = lev + first;
        memmove(labels, labels + slice, (size_t)(g->mz * slice) * sizeof *labels);
        memset(bits, 0, (size_t)n * sizeof *bits);
        for (int d = 0; d < joins->n_steps; d++) {
            KERNEL(alike)(here, here + joins->step[d], (uint16_t)(1u << d), bits, n);
        }
        int32_t label = n_labels;
        n_labels = KERNEL(label_slice)(here, n, bits, joins, labels + own, parent, n_labels);
        for (; label < n_labels; label++) {
            out->size[label] = 0;
            out->far[label] = UINT16_MAX;
            out->slice[label] = (int32_t)(z - g->mz);
        }
        KERNEL(describe)(here, far + first, labels + own, n, out);
    }
    return merged(parent, n_labels, out);
}

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
#undef FOR_ROWS
#undef FOR_SLICES
