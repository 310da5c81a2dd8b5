/* Check volumes of grey levels, and the steps to neighbours in them. */
#include "levels.h"

#include <stdlib.h>

#define LEVEL uint8_t
#define KERNEL(name) name##_8
#include "level_kernels.h"
#undef LEVEL
#undef KERNEL
#define LEVEL uint16_t
#define KERNEL(name) name##_16
#include "level_kernels.h"
#undef LEVEL
#undef KERNEL

/* Matrices are made for the whole volume (period 0), or for each group of `period` slices: one
 * slice (period 1, neighbours stay in it), or tiles kept apart by planes of zeros. */
ptrdiff_t groups_of(const Grid *grid, long period)
{
    ptrdiff_t inner = grid->nz - 2 * grid->mz;
    return period ? (inner + period - 1) / period : 1;
}

/* Check offsets (n, 3) and turn them into steps; sign +1 or -1 asks for one half space. */
int read_steps(const Array *levels, const Array *offsets, int sign, long period, Grid *grid,
               ptrdiff_t **steps)
{
    const int32_t *offset = offsets->view.buf;
    ptrdiff_t n = offsets->view.shape[0], margin[3] = {0, 0, 0};
    if (offsets->view.shape[1] != 3 || n < 1 || n > 4096) {
        refuse("offsets: the shape must be (n, 3) with n from 1 to 4096.");
        return -1;
    }
    if (period < 0 || period > 60000) {
        refuse("period: %ld; it must lie between 0 and 60000.", period);
        return -1;
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        const int32_t *o = offset + 3 * i;
        int32_t lead = o[0] ? o[0] : o[1] ? o[1] : o[2];
        if (lead == 0 || (sign > 0 && lead < 0) || (sign < 0 && lead > 0)) {
            refuse("offsets: row %zd lies in the wrong half space or is zero.", (Py_ssize_t)i);
            return -1;
        }
        if (period == 1 && o[0]) {
            refuse("offsets: row %zd leaves the slice.", (Py_ssize_t)i);
            return -1;
        }
        for (int axis = 0; axis < 3; axis++) {
            ptrdiff_t size = o[axis] < 0 ? -(ptrdiff_t)o[axis] : o[axis];
            margin[axis] = size > margin[axis] ? size : margin[axis];
        }
    }
    if (grid_of(levels, margin[0], margin[1], margin[2], grid) < 0) {
        return -1;
    }
    *steps = malloc((size_t)n * sizeof **steps);
    if (*steps == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        const int32_t *o = offset + 3 * i;
        (*steps)[i] = (o[0] * grid->ny + o[1]) * grid->nx + o[2];
    }
    return 0;
}

ptrdiff_t check_levels(const Array *levels, const Grid *grid, long n_levels)
{
    ptrdiff_t inside = -1;
    if (n_levels < 1 || n_levels > 65535) {
        refuse("n_levels: %ld; it must lie between 1 and 65535.", n_levels);
        return -1;
    }
    BY_LEVEL(*levels, inside = scan_8(levels->view.buf, grid, (int)n_levels),
             inside = scan_16(levels->view.buf, grid, (int)n_levels))
    if (inside < 0) {
        refuse("levels: a level is above n_levels, or a margin is not zero.");
    }
    return inside;
}
