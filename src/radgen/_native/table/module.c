/* Lines of a text table to numbers, where every cell is written plainly.
 *
 * A cell is an optional sign, digits with at most one point, and an optional exponent; or one of
 * the words that mean a missing value. Up to 2^53 and ten to the 22nd a quotient or product of two
 * whole numbers is the nearest double; longer ones go through Python's own reader, which needs the
 * interpreter's lock: everything else runs without it. Anything else
 * (quotes, other words, another number of cells) stops the pass, and a slower reader takes over.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define LONGEST 60
#define EXACT 9007199254740992ull

static const double TENS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                              1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                              1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
static const char *const MISSING[] = {"", "NA", "NaN", "nan", ".", "#N/A"};

static int is_missing(const char *text, Py_ssize_t size)
{
    if (size > 4 || (size > 0 && (*text == '-' || (*text >= '0' && *text <= '9')))) return 0;
    for (size_t i = 0; i < sizeof MISSING / sizeof *MISSING; i++)
        if ((size_t)size == strlen(MISSING[i]) && !memcmp(text, MISSING[i], (size_t)size)) return 1;
    return 0;
}

static int long_number(const char *text, Py_ssize_t size, double *value)
{
    char copy[LONGEST + 1];
    if (size > LONGEST) return 0;
    memcpy(copy, text, (size_t)size);
    copy[size] = 0;
    const PyGILState_STATE held = PyGILState_Ensure();
    *value = PyOS_string_to_double(copy, NULL, NULL);
    const int failed = *value == -1.0 && PyErr_Occurred() != NULL;
    if (failed) PyErr_Clear();
    PyGILState_Release(held);
    return !failed && isfinite(*value);
}

/* 1 = a number or a missing value, 0 = anything else. */
static int cell(const char *text, Py_ssize_t size, double *value)
{
    const char *at = text, *end = text + size;
    uint64_t whole = 0;
    int digits = 0, places = 0, seen = 0, power = 0, turned = 0;
    if (is_missing(text, size)) {
        *value = NAN;
        return 1;
    }
    if (at < end && (*at == '-' || *at == '+')) at++;
    for (; at < end && (*at == '.' || (*at >= '0' && *at <= '9')); at++) {
        if (*at == '.') {
            if (places++) return 0;
            continue;
        }
        seen = 1;
        if (digits || *at != '0') digits++;
        if (digits <= 18) whole = whole * 10 + (uint64_t)(*at - '0');
        power -= places;
    }
    if (!seen) return 0;
    if (at < end && (*at == 'e' || *at == 'E')) {
        int exponent = 0;
        at++;
        if (at < end && (*at == '-' || *at == '+')) turned = *at++ == '-';
        if (at == end || end - at > 4) return 0;
        for (; at < end && *at >= '0' && *at <= '9'; at++) exponent = exponent * 10 + (*at - '0');
        power += turned ? -exponent : exponent;
    }
    if (at != end) return 0;
    if (digits > 18 || whole > EXACT || power > 22 || power < -22)
        return long_number(text, size, value);
    *value = power < 0 ? (double)whole / TENS[-power] : (double)whole * TENS[power];
    if (*text == '-') *value = -*value;
    return 1;
}

/* kinds: one byte a column, 1 = number, 0 = text, 2 = text that may be missing (its place is -1).
 * Rows taken; -1 where a line is not plain. */
static Py_ssize_t lines(const char *raw, Py_ssize_t size, char mark, const char *kinds,
                        Py_ssize_t columns, Py_ssize_t rows, Py_ssize_t numbers, double *out,
                        int64_t *spans)
{
    Py_ssize_t at = 0, row = 0, texts = columns - numbers;
    while (at < size) {
        double *values = out + row * numbers;
        int64_t *places = spans + 2 * row * texts;
        if (row == rows) return -1;
        for (Py_ssize_t j = 0; j < columns; j++) {
            Py_ssize_t begin = at;
            while (at < size && raw[at] != mark && raw[at] != '\n') at++;
            if (kinds[j] == 1) {
                if (!cell(raw + begin, at - begin, values++)) return -1;
            } else {
                const int gone = is_missing(raw + begin, at - begin);
                /* Quotes have a meaning to other readers. */
                if ((gone && !kinds[j]) || memchr(raw + begin, '"', (size_t)(at - begin)))
                    return -1;
                *places++ = gone ? -1 : begin;
                *places++ = gone ? -1 : at;
            }
            if ((j < columns - 1) != (at < size && raw[at] == mark)) return -1;
            at++;
        }
        row++;
    }
    return row;
}

static PyObject *plain_lines(PyObject *self, PyObject *args)
{
    Py_buffer raw, kinds, out, spans;
    PyObject *answer = NULL;
    int mark;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*iy*w*w*:plain_lines", &raw, &mark, &kinds, &out, &spans))
        return NULL;
    Py_ssize_t columns = kinds.len, numbers = 0, texts;
    for (Py_ssize_t j = 0; j < columns; j++) numbers += ((const char *)kinds.buf)[j] == 1;
    texts = columns - numbers;
    Py_ssize_t most = numbers ? out.len / (8 * numbers) : texts ? spans.len / (16 * texts) : 0;
    if (!columns || mark < 1 || mark > 127 || mark == '\n' || out.len != 8 * numbers * most ||
        spans.len != 16 * texts * most || (uintptr_t)out.buf % 8 || (uintptr_t)spans.buf % 8)
        PyErr_SetString(PyExc_ValueError, "plain_lines: columns, mark or sizes do not fit");
    else {
        Py_ssize_t rows;
        Py_BEGIN_ALLOW_THREADS
        rows = lines(raw.buf, raw.len, (char)mark, kinds.buf, columns, most, numbers, out.buf,
                     spans.buf);
        Py_END_ALLOW_THREADS
        answer = PyLong_FromSsize_t(rows);
    }
    PyBuffer_Release(&raw);
    PyBuffer_Release(&kinds);
    PyBuffer_Release(&out);
    PyBuffer_Release(&spans);
    return answer;
}

/* Where the first field of each run of lines stands that begin alike; None where lines are odd. */
static PyObject *line_runs(PyObject *self, PyObject *args)
{
    Py_buffer view;
    Py_ssize_t fields, lone = -1, at = 0, row = 0, begin = 0, size = -1;
    PyObject *found;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*n|n:line_runs", &view, &fields, &lone)) return NULL;
    const char *raw = view.buf;
    found = PyList_New(0);
    while (found != NULL && at < view.len) {
        const Py_ssize_t line = at;
        Py_ssize_t own = -1, tabs = 0;
        int odd = 0;
        for (; at < view.len && raw[at] != '\n'; at++) {
            if (raw[at] == '\t') {
                /* An empty field, and other blanks below, have another meaning to other readers. */
                odd |= at == line || raw[at - 1] == '\t';
                if (tabs++ == 0) own = at - line;
            } else {
                odd |= (unsigned char)raw[at] <= ' ' || (tabs == lone && raw[at] == ',');
            }
        }
        if (odd || at == line || tabs != fields - 1 || own < 0 || raw[at - 1] == '\t') {
            Py_CLEAR(found);
            break;
        }
        if (own != size || memcmp(raw + line, raw + begin, (size_t)own)) {
            PyObject *place = Py_BuildValue("nnn", line, line + own, row);
            if (place == NULL || PyList_Append(found, place) < 0) Py_CLEAR(found);
            Py_XDECREF(place);
        }
        begin = line;
        size = own;
        row++;
        at++;
    }
    PyBuffer_Release(&view);
    if (found == NULL) {
        if (PyErr_Occurred()) return NULL;
        Py_RETURN_NONE;
    }
    return Py_BuildValue("nN", row, found);
}

static PyMethodDef METHODS[] = {
    {"line_runs", line_runs, METH_VARARGS,
     "line_runs(raw, fields, lone=-1): number of lines, and (first byte, end, line) of the first\n"
     "field of each run of lines that begin alike; None unless all have so many fields, parted by\n"
     "one tab, and no comma in field number `lone`."},
    {"plain_lines", plain_lines, METH_VARARGS,
     "plain_lines(raw, mark, kinds, out, spans): rows of numbers and places of texts, or -1.\n"
     "kinds: 0 text, 1 number, 2 text that may be missing, its place then -1."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT, "_table", NULL, 0, METHODS, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__table(void) { return PyModule_Create(&MODULE); }
