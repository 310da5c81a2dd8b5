/* Look through a volume of grey levels. Included once with LEVEL = uint8_t and once with
 * LEVEL = uint16_t; KERNEL(name) gives each copy its own name. */

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
