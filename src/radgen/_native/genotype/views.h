/* Take buffers from Python and give them back. */
#ifndef RADGEN_GENOTYPE_VIEWS_H
#define RADGEN_GENOTYPE_VIEWS_H

#include "genotype.h"

extern PyMethodDef test_methods[], integer_methods[];

static inline int take(PyObject *object, Py_buffer *view, int writable, Py_ssize_t size, const char *what)
{
    int flags = PyBUF_C_CONTIGUOUS | (writable ? PyBUF_WRITABLE : 0);
    if (PyObject_GetBuffer(object, view, flags) < 0)
        return -1;
    if (size >= 0 && view->len != size) {
        PyErr_Format(PyExc_ValueError, "%s holds %zd bytes; needed are %zd", what, view->len, size);
        PyBuffer_Release(view);
        return -1;
    }
    return 0;
}

/* Take several buffers at once; release all that were taken when one fails. */
static inline int take_all(PyObject **objects, Py_buffer *views, const int *writable, int n)
{
    for (int i = 0; i < n; i++) {
        if (take(objects[i], &views[i], writable[i], -1, "buffer") < 0) {
            while (i-- > 0)
                PyBuffer_Release(&views[i]);
            return -1;
        }
    }
    return 0;
}

static inline void release_all(Py_buffer *views, int n)
{
    for (int i = 0; i < n; i++)
        PyBuffer_Release(&views[i]);
}

#endif
