/* radgen._native._maps: arguments are checked here, the GIL is released while kernels run. */
#include "maps.h"

static void release(Py_buffer *view, int count)
{
    for (int i = 0; i < count; i++)
        PyBuffer_Release(view + i);
}

static int sized(const Py_buffer *view, Py_ssize_t count, Py_ssize_t itemsize, const char *name)
{
    if (count >= 0 && view->len == count * itemsize)
        return 1;
    PyErr_Format(PyExc_ValueError, "%s holds %zd bytes; %zd items of %zd are needed", name,
                 view->len, count, itemsize);
    return 0;
}

/* The tile of (num, ys or None, rows), with m and k. `view` takes three buffers. */
static int take_tile(PyObject *num, PyObject *ys, PyObject *rows, Py_buffer *view, Tile *tile)
{
    PyObject *items[] = {num, rows, ys};
    const int count = ys == Py_None ? 2 : 3;
    for (int i = 0; i < count; i++) {
        if (PyObject_GetBuffer(items[i], view + i, PyBUF_SIMPLE) < 0) {
            release(view, i);
            return -1;
        }
    }
    if (tile->m < 0 || tile->k < 0 || !sized(view, tile->m * tile->k, 4, "num") ||
        !sized(view + 1, 6 * tile->m, 8, "rows") ||
        (count == 3 && !sized(view + 2, tile->m * tile->k, 4, "ys"))) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "m and k are not negative");
        release(view, count);
        return -1;
    }
    const double *row = view[1].buf;
    tile->num = view[0].buf;
    tile->ys = count == 3 ? view[2].buf : NULL;
    tile->plain = row;
    tile->scale = row + tile->m;
    tile->slack = row + 2 * tile->m;
    tile->loss = row + 3 * tile->m;
    tile->limit = row + 4 * tile->m;
    tile->df = row + 5 * tile->m;
    return count;
}

static PyObject *summarise(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *num, *ys, *rows;
    Py_buffer view[6], of[3];
    Tile tile;
    Kept kept;
    int first_row, first_column;
    if (!PyArg_ParseTuple(args, "OOOnnw*w*w*w*nw*w*ii", &num, &ys, &rows, &tile.m, &tile.k,
                          &view[0], &view[1], &view[2], &view[3], &kept.n_top, &view[4], &view[5],
                          &first_row, &first_column))
        return NULL;
    PyObject *answer = NULL;
    const int held = take_tile(num, ys, rows, of, &tile);
    if (held >= 0 && kept.n_top >= 0 && sized(view, tile.k, 4, "best") &&
        sized(view + 1, tile.k, 4, "arg") && sized(view + 2, tile.m * kept.n_top, 4, "top") &&
        sized(view + 3, tile.m * kept.n_top, 4, "at") && sized(view + 4, HIST_BINS, 8, "hist") &&
        sized(view + 5, tile.m, 8, "hits")) {
        kept.best = view[0].buf;
        kept.arg = view[1].buf;
        kept.top = view[2].buf;
        kept.at = view[3].buf;
        kept.hist = view[4].buf;
        kept.hits = view[5].buf;
        kept.first_row = first_row;
        kept.first_column = first_column;
        Py_BEGIN_ALLOW_THREADS
        summarise_tile(&tile, &kept);
        Py_END_ALLOW_THREADS
        answer = Py_NewRef(Py_None);
    } else if (!PyErr_Occurred()) {
        PyErr_SetString(PyExc_ValueError, "n_top is not negative");
    }
    if (held >= 0)
        release(of, held);
    release(view, 6);
    return answer;
}

static PyObject *collect(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *num, *ys, *rows;
    Py_buffer view[3], of[3];
    Tile tile;
    if (!PyArg_ParseTuple(args, "OOOnny*w*w*", &num, &ys, &rows, &tile.m, &tile.k, &view[0],
                          &view[1], &view[2]))
        return NULL;
    PyObject *answer = NULL;
    const int held = take_tile(num, ys, rows, of, &tile);
    const Py_ssize_t room = view[1].len / 4;
    if (held >= 0 && sized(view, tile.m, 8, "hits") && sized(view + 2, room, 4, "columns")) {
        Py_ssize_t count;
        Py_BEGIN_ALLOW_THREADS
        count = collect_tile(&tile, view[0].buf, view[1].buf, view[2].buf, room);
        Py_END_ALLOW_THREADS
        if (count < 0)
            PyErr_SetString(PyExc_ValueError, "there are more hits than room");
        else
            answer = PyLong_FromSsize_t(count);
    }
    if (held >= 0)
        release(of, held);
    release(view, 3);
    return answer;
}

static int inside(const int64_t *index, Py_ssize_t count, Py_ssize_t size)
{
    for (Py_ssize_t i = 0; i < count; i++)
        if (index[i] < 0 || index[i] >= size)
            return 0;
    return 1;
}

static PyObject *dots(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer view[5];
    Py_ssize_t n;
    if (!PyArg_ParseTuple(args, "y*y*ny*y*w*", &view[0], &view[1], &n, &view[2], &view[3],
                          &view[4]))
        return NULL;
    PyObject *answer = NULL;
    const Py_ssize_t count = view[2].len / 8, stride = n * (Py_ssize_t)sizeof(double);
    if (n < 1 || view[0].len % stride || view[1].len % stride) {
        PyErr_SetString(PyExc_ValueError, "g and y are float64 with n columns");
    } else if (sized(view + 3, count, 8, "columns") && sized(view + 4, count, 8, "out")) {
        if (!inside(view[2].buf, count, view[0].len / stride) ||
            !inside(view[3].buf, count, view[1].len / stride)) {
            PyErr_SetString(PyExc_ValueError, "a pair names a row that is not there");
        } else {
            Py_BEGIN_ALLOW_THREADS
            pair_dots(view[0].buf, view[1].buf, n, view[2].buf, view[3].buf, count, view[4].buf);
            Py_END_ALLOW_THREADS
            answer = Py_NewRef(Py_None);
        }
    }
    release(view, 5);
    return answer;
}

/* Check that starts rise from 0 to the number of indices, and that these name nodes. */
static int sound_graph(const Graph *graph, Py_ssize_t n_edges)
{
    if (graph->starts[0] != 0 || graph->starts[graph->n] != n_edges)
        return 0;
    for (Py_ssize_t i = 0; i < graph->n; i++)
        if (graph->starts[i] > graph->starts[i + 1])
            return 0;
    for (Py_ssize_t j = 0; j < n_edges; j++)
        if (graph->indices[j] < 0 || graph->indices[j] >= graph->n)
            return 0;
    return 1;
}

static int take_graph(const Py_buffer *values, const Py_buffer *starts, const Py_buffer *indices,
                      Graph *graph)
{
    graph->n = values->len / 4;
    graph->starts = starts->buf;
    graph->indices = indices->buf;
    if (graph->n > INT32_MAX || values->len % 4 || indices->len % 4 ||
        !sized(starts, graph->n + 1, 8, "starts")) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "values are float32, indices int32");
        return 0;
    }
    if (!sound_graph(graph, indices->len / 4)) {
        PyErr_SetString(PyExc_ValueError, "starts and indices are no neighbour graph");
        return 0;
    }
    return 1;
}

static PyObject *tfce(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer view[5];
    double extent_power, height_power;
    if (!PyArg_ParseTuple(args, "y*y*y*y*ddw*", &view[0], &view[1], &view[2], &view[3],
                          &extent_power, &height_power, &view[4]))
        return NULL;
    Graph graph;
    PyObject *answer = NULL;
    if (take_graph(view, view + 1, view + 2, &graph) && sized(view + 3, graph.n, 8, "weight") &&
        sized(view + 4, graph.n, 4, "out")) {
        int failed;
        Py_BEGIN_ALLOW_THREADS
        failed = tfce_map(view[0].buf, &graph, view[3].buf, extent_power, height_power,
                          view[4].buf);
        Py_END_ALLOW_THREADS
        answer = failed < 0 ? PyErr_NoMemory() : Py_NewRef(Py_None);
    }
    release(view, 5);
    return answer;
}

static PyObject *clusters(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer view[5];
    float threshold;
    if (!PyArg_ParseTuple(args, "y*fy*y*w*w*", &view[0], &threshold, &view[1], &view[2], &view[3],
                          &view[4]))
        return NULL;
    Graph graph;
    PyObject *answer = NULL;
    if (take_graph(view, view + 1, view + 2, &graph) && sized(view + 3, graph.n, 4, "label") &&
        sized(view + 4, graph.n, 4, "stack")) {
        int32_t found;
        Py_BEGIN_ALLOW_THREADS
        found = label_clusters(view[0].buf, threshold, &graph, view[3].buf, view[4].buf);
        Py_END_ALLOW_THREADS
        answer = PyLong_FromLong(found);
    }
    release(view, 5);
    return answer;
}

static PyMethodDef methods[] = {
    {"summarise", summarise, METH_VARARGS,
     "summarise(num, ys, rows, m, k, best, arg, top, at, n_top, hist, hits, first_row, "
     "first_column): keep the largest t^2 of rows and columns, counts, and hits a row."},
    {"collect", collect, METH_VARARGS,
     "collect(num, ys, rows, m, k, hits, out_rows, out_columns) -> count of pairs over the limit."},
    {"dots", dots, METH_VARARGS,
     "dots(g, y, n, rows, columns, out): products of rows of g (., n) with rows of y (., n)."},
    {"tfce", tfce, METH_VARARGS,
     "tfce(values, starts, indices, weight, extent_power, height_power, out)."},
    {"clusters", clusters, METH_VARARGS,
     "clusters(values, threshold, starts, indices, label, stack) -> number of clusters."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "radgen._native._maps",
    .m_doc = "Kernels of maps over voxels and vertices.",
    .m_size = 0,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__maps(void)
{
    return PyModuleDef_Init(&definition);
}
