/* Padded volumes of grey levels, as all texture kernels take them. Level 0 lies outside the region,
 * and margins hold zeros, so no neighbour needs a test of the volume's bounds. */
#ifndef RADGEN_LEVELS_H
#define RADGEN_LEVELS_H

#include "arrays.h"

#define BY_LEVEL(array, call8, call16) \
    if ((array).view.itemsize == 1) {  \
        call8;                         \
    } else {                           \
        call16;                        \
    }

/* Voxels of a slice that may lie inside, as one stretch of memory with margins in between: long
 * loops without ends cost less than the zeros of the margins. */
#define FOR_SLICES                                                                            \
    for (ptrdiff_t z = g->mz, first = (g->mz * g->ny + g->my) * g->nx + g->mx,                \
                   n = (g->ny - 2 * g->my) * g->nx - 2 * g->mx;                               \
         z < g->nz - g->mz; z++, first += g->ny * g->nx)

static const Need LEVELS = {"levels", 'u', 0, 3, 0};

ptrdiff_t groups_of(const Grid *grid, long period);
ptrdiff_t check_levels(const Array *levels, const Grid *grid, long n_levels);
int read_steps(const Array *levels, const Array *offsets, int sign, long period, Grid *grid,
               ptrdiff_t **steps);

#endif
