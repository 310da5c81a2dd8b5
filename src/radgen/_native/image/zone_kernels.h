/* Connected zones. Included once with LEVEL = uint8_t and once with
 * LEVEL = uint16_t; KERNEL(name) gives each copy its own name. */

static inline void KERNEL(alike)(const LEVEL *restrict here, const LEVEL *restrict other,
                                 uint16_t bit, uint16_t *restrict bits, ptrdiff_t n)
{
    for (ptrdiff_t x = 0; x < n; x++) {
        bits[x] |= (uint16_t)((uint16_t)-(here[x] == other[x]) & bit);
    }
}

/* Give each voxel the label of a neighbour met before, or a new one; join labels that meet. Of
 * neighbours that touch each other one will do, for they are joined already. Returns the number
 * of labels so far. The next label is always made ready, a second neighbour (or the voxel itself)
 * always looked at, and labels that meet are joined later: few voxels have a branch that
 * processors guess wrong. */
static inline int32_t KERNEL(label_slice)(const LEVEL *restrict here, ptrdiff_t n,
                                          const uint16_t *restrict bits, const Joins *joins,
                                          int32_t *labels, int32_t *parent, int32_t n_labels)
{
    const ptrdiff_t *step = joins->step;
    const uint64_t *few = joins->few;
    Meeting meetings[MEETINGS + 16];
    int count = 0;
    for (ptrdiff_t x = 0; x < n; x++) {
        if (here[x] == 0) {
            continue;
        }
        uint64_t list = few[bits[x]];
        labels[x] = parent[n_labels] = n_labels;
        int32_t own = labels[x] = labels[x + step[list & 15]];
        int32_t other = labels[x + step[list >> 4 & 15]];
        n_labels += bits[x] == 0;
        meetings[count] = (Meeting){own, other};
        count += other != own;
        for (list >>= 8; (list & 15) != 15; list >>= 4) {
            meetings[count++] = (Meeting){own, labels[x + step[list & 15]]};
        }
        if (count >= MEETINGS) {
            join_all(parent, meetings, count);
            count = 0;
        }
    }
    join_all(parent, meetings, count);
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
