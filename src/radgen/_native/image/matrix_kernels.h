/* Co-occurrence and run length matrices. Included once with LEVEL = uint8_t and once with
 * LEVEL = uint16_t; KERNEL(name) gives each copy its own name. */

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

#undef FOR_ROWS
