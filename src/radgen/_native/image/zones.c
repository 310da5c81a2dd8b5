/* Connected zones of one grey level. */
#include "levels.h"

#include <stdlib.h>
#include <string.h>

/* What is known of each zone, or of each label before labels are merged. */
typedef struct {
    uint16_t *level;
    uint32_t *size;
    uint16_t *far; /* least distance */
    int32_t *slice;
} Zones;

static int32_t root_of(int32_t *parent, int32_t v)
{
    while (parent[v] != v) {
        parent[v] = parent[parent[v]];
        v = parent[v];
    }
    return v;
}

/* Join two labels under the smaller root, the one that comes first in scan order. */
static void join(int32_t *parent, int32_t a, int32_t b)
{
    if (a == b) {
        return;
    }
    a = root_of(parent, a);
    b = root_of(parent, b);
    if (a < b) {
        parent[b] = a;
    } else {
        parent[a] = b;
    }
}

enum { MEETINGS = 1024 }; /* that are kept before labels are joined */

/* Two labels that are to be joined. */
typedef struct {
    int32_t a, b;
} Meeting;

static void join_all(int32_t *parent, const Meeting *meetings, int count)
{
    for (int i = 0; i < count; i++) {
        join(parent, meetings[i].a, meetings[i].b);
    }
}

/* Bring labels with one root together, in place: a zone's number is at most its root. */
static ptrdiff_t merged(int32_t *parent, int32_t n_labels, const Zones *zones)
{
    int32_t n_zones = 0;
    for (int32_t label = 0; label < n_labels; label++) {
        if (parent[label] == label) {
            zones->level[n_zones] = zones->level[label];
            zones->size[n_zones] = zones->size[label];
            zones->far[n_zones] = zones->far[label];
            zones->slice[n_zones] = zones->slice[label];
            parent[label] = n_zones++;
        } else {
            /* Parents come first, so theirs is a zone's number already. */
            int32_t zone = parent[label] = parent[parent[label]];
            zones->size[zone] += zones->size[label];
            if (zones->far[label] < zones->far[zone]) {
                zones->far[zone] = zones->far[label];
            }
        }
    }
    return n_zones;
}

/* Which neighbours met before a voxel is joined to, given which of them (bits) share its level:
 * few[bits] lists one of each group that is connected already, four bits each; 15s follow, and
 * lead to the voxel itself: step[15] = 0. */
typedef struct {
    int n_steps;
    ptrdiff_t step[16];
    uint64_t *few;
} Joins;

/* Which neighbours touch which: their offsets differ by at most one voxel along each axis, and
 * the difference (or its opposite) is itself an offset that joins. */
static void touching(const int32_t *offset, int n_steps, uint16_t *near)
{
    for (int d = 0; d < n_steps; d++) {
        near[d] = 0;
        for (int e = 0; e < n_steps; e++) {
            for (int f = 0; f < n_steps; f++) {
                int same = 1, opposite = 1;
                for (int axis = 0; axis < 3; axis++) {
                    int32_t gap = offset[3 * d + axis] - offset[3 * e + axis];
                    same &= gap == offset[3 * f + axis];
                    opposite &= gap == -offset[3 * f + axis];
                }
                near[d] |= (uint16_t)((same | opposite) << e);
            }
        }
    }
}

static uint64_t one_of_each(uint32_t bits, const uint16_t *near)
{
    uint64_t list = 0;
    int shift = 0;
    while (bits) {
        int lead = lowest_bit(bits);
        uint32_t reached = 1u << lead;
        bits &= ~reached;
        while (reached) {
            int d = lowest_bit(reached);
            reached &= reached - 1;
            reached |= near[d] & bits;
            bits &= ~(uint32_t)near[d];
        }
        list |= (uint64_t)lead << shift;
        shift += 4;
    }
    return list | UINT64_MAX << shift;
}

#define LEVEL uint8_t
#define KERNEL(name) name##_8
#include "zone_kernels.h"
#undef LEVEL
#undef KERNEL
#define LEVEL uint16_t
#define KERNEL(name) name##_16
#include "zone_kernels.h"
#undef LEVEL
#undef KERNEL

static const Need OFFSETS = {"offsets", 'i', 4, 2, 0};

static PyObject *py_zones(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *given[7];
    if (!PyArg_ParseTuple(args, "OOOOOOO", &given[0], &given[1], &given[2], &given[3], &given[4],
                          &given[5], &given[6])) {
        return NULL;
    }
    const Need needs[7] = {LEVELS,
                           {"distance", 'u', 2, 3, 0},
                           OFFSETS,
                           {"out_level", 'u', 2, 1, 1},
                           {"out_size", 'u', 4, 1, 1},
                           {"out_distance", 'u', 2, 1, 1},
                           {"out_slice", 'i', 4, 1, 1}};
    Array a[7];
    Grid grid;
    ptrdiff_t *steps = NULL, n_zones = 0, inside = -1;
    if (take_arrays(given, needs, 7, a) < 0) {
        return NULL;
    }
    if (need_shape(&a[1], "distance", (ptrdiff_t *)a[0].view.shape) == 0 &&
        read_steps(&a[0], &a[2], -1, 0, &grid, &steps) == 0) {
        inside = check_levels(&a[0], &grid, 65535);
    }
    if (inside >= 0 && a[2].view.shape[0] > 15) {
        refuse("offsets: at most 15 neighbours are joined.");
        inside = -1;
    }
    for (int i = 3; i < 7 && inside >= 0; i++) {
        if (a[i].view.shape[0] < inside) {
            refuse("%s: %zd items; %zd voxels may each be a zone.", needs[i].name,
                   a[i].view.shape[0], (Py_ssize_t)inside);
            inside = -1;
        }
    }
    if (inside >= 0) {
        const ptrdiff_t near_by = (grid.mz + 1) * grid.ny * grid.nx;
        int32_t *labels = calloc((size_t)(near_by + inside), sizeof *labels);
        uint16_t *bits = malloc((size_t)(grid.ny * grid.nx) * sizeof *bits);
        uint64_t *few = malloc(((size_t)1 << a[2].view.shape[0]) * sizeof *few);
        uint16_t near[16];
        if (labels == NULL || bits == NULL || few == NULL) {
            PyErr_NoMemory();
        } else {
            int n = (int)a[2].view.shape[0];
            int32_t *parent = labels + near_by;
            Joins joins = {.n_steps = n, .few = few};
            memcpy(joins.step, steps, (size_t)n * sizeof *steps);
            const Zones out = {a[3].view.buf, a[4].view.buf, a[5].view.buf, a[6].view.buf};
            touching(a[2].view.buf, n, near);
            for (uint32_t shared = 0; shared < 1u << n; shared++) {
                few[shared] = one_of_each(shared, near);
            }
            Py_BEGIN_ALLOW_THREADS
            BY_LEVEL(a[0],
                     n_zones = zones_8(a[0].view.buf, a[1].view.buf, &grid, &joins, labels,
                                       parent, bits, &out),
                     n_zones = zones_16(a[0].view.buf, a[1].view.buf, &grid, &joins, labels,
                                        parent, bits, &out))
            Py_END_ALLOW_THREADS
        }
        free(labels);
        free(bits);
        free(few);
    }
    free(steps);
    give_back(a, 7);
    return PyErr_Occurred() ? NULL : PyLong_FromSsize_t((Py_ssize_t)n_zones);
}

PyMethodDef zone_methods[] = {
    {"zones", py_zones, METH_VARARGS,
     "zones(levels, distance, offsets, out_level, out_size, out_distance, out_slice): write one "
     "item a zone and return how many there are."},
    {NULL, NULL, 0, NULL},
};
