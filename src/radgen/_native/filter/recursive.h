/* Recursive filter of fourth order along the middle axis of a (n_outer, n_in, n_inner) array: a
 * causal and an anticausal part, the ends of each line repeated without end.
 *
 * Included with REAL and NAME. Lines are filtered LINES at a time in double precision:
 * forth[i] = n[0] x[i] + ... + n[3] x[i - 3] - (d[0] forth[i - 1] + ... + d[3] forth[i - 4])
 * back[i] = m[0] x[i + 1] + ... + m[3] x[i + 4] - (d[0] back[i + 1] + ... + d[3] back[i + 4])
 */

#define EACH_LINE for (int l = 0; l < LINES; l++)

/* Both parts of n_in rows; `x` and `y` have four rows more before and behind. */
static CLONES void NAME(forth_and_back)(double *x, double *forth, double *back,
                                        const struct axis *a, const struct recursion *r) {
    const double *n = r->n, *m = r->m, *d = r->d;
    const Py_ssize_t last = a->n_in - 1;
    const double sum_d = 1 + d[0] + d[1] + d[2] + d[3];
    const double first_gain = (n[0] + n[1] + n[2] + n[3]) / sum_d;
    const double last_gain = (m[0] + m[1] + m[2] + m[3]) / sum_d;
    for (Py_ssize_t i = 1; i <= 4; i++) {
        EACH_LINE {
            x[l - i * LINES] = x[l];
            forth[l - i * LINES] = x[l] * first_gain;
            x[l + (last + i) * LINES] = x[l + last * LINES];
            back[l + (last + i) * LINES] = x[l + last * LINES] * last_gain;
        }
    }
    for (Py_ssize_t i = 0; i <= last; i++) {
        const double *restrict in = x + i * LINES, *was = forth + (i - 4) * LINES;
        double now[LINES];
        EACH_LINE {
            now[l] = n[0] * in[l] + n[1] * in[l - LINES] + n[2] * in[l - 2 * LINES] +
                     n[3] * in[l - 3 * LINES] -
                     (d[0] * was[l + 3 * LINES] + d[1] * was[l + 2 * LINES] +
                      d[2] * was[l + LINES] + d[3] * was[l]);
        }
        memcpy(forth + i * LINES, now, sizeof now);
    }
    for (Py_ssize_t i = last; i >= 0; i--) {
        const double *restrict in = x + i * LINES, *was = back + (i + 1) * LINES;
        double now[LINES];
        EACH_LINE {
            now[l] = m[0] * in[l + LINES] + m[1] * in[l + 2 * LINES] + m[2] * in[l + 3 * LINES] +
                     m[3] * in[l + 4 * LINES] -
                     (d[0] * was[l] + d[1] * was[l + LINES] + d[2] * was[l + 2 * LINES] +
                      d[3] * was[l + 3 * LINES]);
        }
        memcpy(back + i * LINES, now, sizeof now);
    }
}

/* out[o, i, t] = response at row first + i; 0, or -1 without memory. */
static int NAME(recursive)(const REAL *in, REAL *out, const struct axis *a, Py_ssize_t first,
                           const struct recursion *r) {
    const Py_ssize_t n = a->n_in, inner = a->n_inner, rows = (n + 8) * LINES;
    const Py_ssize_t n_lines = a->n_outer * inner;
    double *room = calloc((size_t)(3 * rows), sizeof *room);
    if (room == NULL) {
        return -1;
    }
    double *x = room + 4 * LINES, *forth = x + rows, *back = forth + rows;
    for (Py_ssize_t line = 0; line < n_lines; line += LINES) {
        const Py_ssize_t count = n_lines - line < LINES ? n_lines - line : LINES;
        Py_ssize_t from[LINES], to[LINES];
        for (Py_ssize_t l = 0; l < count; l++) {
            from[l] = (line + l) / inner * n * inner + (line + l) % inner;
            to[l] = (line + l) / inner * a->n_out * inner + (line + l) % inner;
        }
        for (Py_ssize_t i = 0; i < n; i++) {
            for (Py_ssize_t l = 0; l < count; l++) {
                x[i * LINES + l] = in[from[l] + i * inner];
            }
        }
        NAME(forth_and_back)(x, forth, back, a, r);
        for (Py_ssize_t i = 0; i < a->n_out; i++) {
            for (Py_ssize_t l = 0; l < count; l++) {
                const Py_ssize_t at = (first + i) * LINES + l;
                out[to[l] + i * inner] = (REAL)(forth[at] + back[at]);
            }
        }
    }
    free(room);
    return 0;
}
#undef EACH_LINE
