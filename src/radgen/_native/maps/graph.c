#include "maps.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    uint32_t key;
    int32_t node;
} Item;

/* Sort rising by the bits of positive floats, eleven bits a pass. */
static int sort_items(Item *items, Py_ssize_t n)
{
    Item *other = malloc((size_t)(n > 0 ? n : 1) * sizeof *other);
    if (other == NULL)
        return -1;
    Item *from = items, *to = other;
    for (int shift = 0; shift < 33; shift += 11) {
        Py_ssize_t place[2049] = {0};
        for (Py_ssize_t i = 0; i < n; i++)
            place[((from[i].key >> shift) & 2047u) + 1]++;
        for (int bin = 0; bin < 2048; bin++)
            place[bin + 1] += place[bin];
        for (Py_ssize_t i = 0; i < n; i++)
            to[place[(from[i].key >> shift) & 2047u]++] = from[i];
        Item *swap = from;
        from = to;
        to = swap;
    }
    if (from != items)
        memcpy(items, from, (size_t)n * sizeof *items);
    free(other);
    return 0;
}

typedef struct {
    int32_t *parent, *count;
    double *add, *extent, *last;
    double extent_power, height_power;
} Forest;

static int32_t root_of(const Forest *f, int32_t node)
{
    while (f->parent[node] != node)
        node = f->parent[node];
    return node;
}

static double height_part(const Forest *f, double height)
{
    if (f->height_power == 2.0)
        return height * height * height / 3.0;
    return pow(height, f->height_power + 1.0) / (f->height_power + 1.0);
}

/* Give all members of a component what it gained from its last height down to this one. */
static void settle(const Forest *f, int32_t root, double height)
{
    if (f->last[root] == height)
        return;
    double e = f->extent[root];
    double power = f->extent_power == 0.5 ? sqrt(e) : pow(e, f->extent_power);
    f->add[root] += power * (height_part(f, f->last[root]) - height_part(f, height));
    f->last[root] = height;
}

static void unite(const Forest *f, int32_t a, int32_t b, double height)
{
    a = root_of(f, a);
    b = root_of(f, b);
    if (a == b)
        return;
    settle(f, a, height);
    settle(f, b, height);
    if (f->count[a] < f->count[b]) {
        int32_t swap = a;
        a = b;
        b = swap;
    }
    f->parent[b] = a;
    f->add[b] -= f->add[a];
    f->count[a] += f->count[b];
    f->extent[a] += f->extent[b];
}

int tfce_map(const float *values, const Graph *graph, const double *weight, double extent_power,
             double height_power, float *out)
{
    const Py_ssize_t n = graph->n;
    size_t bytes = (size_t)(n > 0 ? n : 1);
    Item *items = malloc(bytes * sizeof *items);
    double *numbers = malloc(3 * bytes * sizeof *numbers);
    int32_t *whole = malloc(2 * bytes * sizeof *whole);
    int failed = items == NULL || numbers == NULL || whole == NULL;
    Py_ssize_t used = 0;
    if (!failed) {
        for (Py_ssize_t i = 0; i < n; i++) {
            out[i] = 0.0f;
            whole[i] = -1;
            if (values[i] > 0.0f && values[i] <= 3e38f) {
                memcpy(&items[used].key, values + i, sizeof(uint32_t));
                items[used++].node = (int32_t)i;
            }
        }
        failed = sort_items(items, used) < 0;
    }
    if (!failed) {
        Forest f = {whole, whole + n, numbers, numbers + n, numbers + 2 * n, extent_power,
                    height_power};
        for (Py_ssize_t at = used - 1; at >= 0; at--) {
            const int32_t node = items[at].node;
            const double height = values[node];
            f.parent[node] = node;
            f.count[node] = 1;
            f.add[node] = 0.0;
            f.extent[node] = weight[node];
            f.last[node] = height;
            for (int64_t j = graph->starts[node]; j < graph->starts[node + 1]; j++)
                if (f.parent[graph->indices[j]] >= 0)
                    unite(&f, node, graph->indices[j], height);
        }
        for (Py_ssize_t at = 0; at < used; at++)
            if (f.parent[items[at].node] == items[at].node)
                settle(&f, items[at].node, 0.0);
        for (Py_ssize_t at = 0; at < used; at++) {
            int32_t node = items[at].node;
            double total = f.add[node];
            for (int32_t up = node; f.parent[up] != up;) {
                up = f.parent[up];
                total += f.add[up];
            }
            out[node] = (float)total;
        }
    }
    free(items);
    free(numbers);
    free(whole);
    return failed ? -1 : 0;
}

int32_t label_clusters(const float *values, float threshold, const Graph *graph, int32_t *label,
                       int32_t *stack)
{
    int32_t found = 0;
    memset(label, 0, (size_t)graph->n * sizeof *label);
    for (Py_ssize_t i = 0; i < graph->n; i++) {
        if (label[i] || !(values[i] > threshold))
            continue;
        Py_ssize_t depth = 0;
        label[i] = ++found;
        stack[depth++] = (int32_t)i;
        while (depth > 0) {
            const int32_t node = stack[--depth];
            for (int64_t j = graph->starts[node]; j < graph->starts[node + 1]; j++) {
                const int32_t next = graph->indices[j];
                if (!label[next] && values[next] > threshold) {
                    label[next] = found;
                    stack[depth++] = next;
                }
            }
        }
    }
    return found;
}
