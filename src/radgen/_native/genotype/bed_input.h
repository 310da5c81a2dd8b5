/* A packed block as Python hands it over: bytes, and which samples are wanted. */
#ifndef RADGEN_GENOTYPE_BED_INPUT_H
#define RADGEN_GENOTYPE_BED_INPUT_H

#include "views.h"

typedef struct {
    bed_block block;
    Py_buffer packed, columns;
    int has_columns;
} bed_input;

static inline void bed_close(bed_input *input)
{
    bed_release(&input->block);
    PyBuffer_Release(&input->packed);
    if (input->has_columns)
        PyBuffer_Release(&input->columns);
}

static inline int bed_open(bed_input *input, PyObject *packed, PyObject *columns, Py_ssize_t n_file)
{
    bed_block *block = &input->block;
    if (n_file <= 0) {
        PyErr_SetString(PyExc_ValueError, "a bed block needs at least one sample");
        return -1;
    }
    block->n_file = n_file;
    block->stride = (n_file + 3) / 4;
    block->columns = NULL;
    block->n_columns = n_file;
    block->masks = block->scratch = NULL;
    input->has_columns = 0;
    if (take(packed, &input->packed, 0, -1, "packed") < 0)
        return -1;
    if (input->packed.len % block->stride) {
        PyErr_SetString(PyExc_ValueError, "packed is not a whole number of variants");
        bed_close(input);
        return -1;
    }
    block->bytes = input->packed.buf;
    block->n_rows = input->packed.len / block->stride;
    if (columns == Py_None)
        return 0;
    if (take(columns, &input->columns, 0, -1, "columns") < 0) {
        bed_close(input);
        return -1;
    }
    input->has_columns = 1;
    block->columns = input->columns.buf;
    block->n_columns = input->columns.len / (Py_ssize_t)sizeof(int64_t);
    for (Py_ssize_t i = 0; i < block->n_columns; i++) {
        if (block->columns[i] < 0 || block->columns[i] >= n_file) {
            PyErr_SetString(PyExc_IndexError, "a sample position lies outside the file");
            bed_close(input);
            return -1;
        }
    }
    if (!bed_select(block)) {
        bed_close(input);
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

#endif
