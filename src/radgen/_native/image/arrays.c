#include "arrays.h"

#include <stdarg.h>
#include <string.h>

PyObject *refuse(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    PyErr_FormatV(PyExc_ValueError, format, arguments);
    va_end(arguments);
    return NULL;
}

static char kind_of(const char *format)
{
    if (format == NULL) {
        return 'u';
    }
    if (*format == '@' || *format == '=' || *format == '<') {
        format++;
    }
    if (*format == '\0' || format[1] != '\0') {
        return 'x';
    }
    if (strchr("?BHILQ", *format)) {
        return 'u';
    }
    if (strchr("bhilq", *format)) {
        return 'i';
    }
    return strchr("fd", *format) ? 'f' : 'x';
}

int take_array(PyObject *object, const Need *need, Array *array)
{
    int flags = PyBUF_FORMAT | PyBUF_ND | PyBUF_STRIDES | (need->writable ? PyBUF_WRITABLE : 0);
    array->held = 0;
    if (PyObject_GetBuffer(object, &array->view, flags) < 0) {
        PyErr_Clear();
        refuse("%s: a%s array is needed.", need->name, need->writable ? " writable" : "n");
        return -1;
    }
    array->held = 1;
    Py_ssize_t size = array->view.itemsize;
    int size_ok = need->itemsize == 0 ? (size == 1 || size == 2) : size == need->itemsize;
    if (kind_of(array->view.format) != need->kind || !size_ok) {
        refuse("%s: format %s with %zd bytes an item is not the type needed (%c%d).", need->name,
               array->view.format ? array->view.format : "B", size, need->kind, need->itemsize);
        return -1;
    }
    if (array->view.ndim != need->ndim) {
        refuse("%s: %d axes; needed are %d.", need->name, array->view.ndim, need->ndim);
        return -1;
    }
    if (!PyBuffer_IsContiguous(&array->view, 'C')) {
        refuse("%s: not contiguous in C order.", need->name);
        return -1;
    }
    return 0;
}

int take_arrays(PyObject *const *objects, const Need *needs, int count, Array *arrays)
{
    for (int i = 0; i < count; i++) {
        arrays[i].held = 0;
    }
    for (int i = 0; i < count; i++) {
        if (take_array(objects[i], &needs[i], &arrays[i]) < 0) {
            give_back(arrays, count);
            return -1;
        }
    }
    return 0;
}

void give_back(Array *arrays, int count)
{
    for (int i = 0; i < count; i++) {
        if (arrays[i].held) {
            PyBuffer_Release(&arrays[i].view);
            arrays[i].held = 0;
        }
    }
}

int need_shape(const Array *array, const char *name, const ptrdiff_t *shape)
{
    for (int axis = 0; axis < array->view.ndim; axis++) {
        if (array->view.shape[axis] != shape[axis]) {
            refuse("%s: axis %d has %zd items; needed are %zd.", name, axis,
                   array->view.shape[axis], (Py_ssize_t)shape[axis]);
            return -1;
        }
    }
    return 0;
}

int grid_of(const Array *array, ptrdiff_t mz, ptrdiff_t my, ptrdiff_t mx, Grid *grid)
{
    grid->nz = array->view.shape[0];
    grid->ny = array->view.shape[1];
    grid->nx = array->view.shape[2];
    grid->mz = mz;
    grid->my = my;
    grid->mx = mx;
    if (grid->nz <= 2 * mz || grid->ny <= 2 * my || grid->nx <= 2 * mx) {
        refuse("A volume of %zd x %zd x %zd has no inside after margins of %zd, %zd and %zd.",
               (Py_ssize_t)grid->nz, (Py_ssize_t)grid->ny, (Py_ssize_t)grid->nx, (Py_ssize_t)mz,
               (Py_ssize_t)my, (Py_ssize_t)mx);
        return -1;
    }
    if (grid->nz > 60000 || grid->ny > 60000 || grid->nx > 60000 ||
        (double)grid->nz * (double)grid->ny * (double)grid->nx > 2147483000.0) {
        refuse("The volume has more than 2147483000 voxels or an axis longer than 60000.");
        return -1;
    }
    return 0;
}
