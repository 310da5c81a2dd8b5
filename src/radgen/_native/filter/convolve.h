/* One correlation pass along the middle axis of a (n_outer, n_in, n_inner) array.
 *
 * Included twice: REAL is float or double, NAME gives the suffixed names.
 * out[o, i, t] = sum_j weight[j] * in[o, edge(first + i + j - before), t]
 */

/* out = (out +) weighted sum of four rows, added up in their order. */
static inline void NAME(four)(REAL *restrict out, const REAL *const *rows, const REAL *w,
                              Py_ssize_t length, int first) {
    const REAL *restrict a = rows[0], *restrict b = rows[1], *restrict c = rows[2];
    const REAL *restrict d = rows[3];
    const REAL wa = w[0], wb = w[1], wc = w[2], wd = w[3];
    if (first) {
        for (Py_ssize_t t = 0; t < length; t++) {
            out[t] = wa * a[t] + wb * b[t] + wc * c[t] + wd * d[t];
        }
    } else {
        for (Py_ssize_t t = 0; t < length; t++) {
            out[t] = out[t] + wa * a[t] + wb * b[t] + wc * c[t] + wd * d[t];
        }
    }
}

/* Weighted sum of rows. Four at a time: then few sums wait for each other or go to memory. */
static CLONES void NAME(taps)(REAL *restrict out, const REAL *const *rows, const REAL *weight,
                              Py_ssize_t n_taps, Py_ssize_t length) {
    Py_ssize_t tap = 0;
    for (; tap + 4 <= n_taps; tap += 4) {
        NAME(four)(out, rows + tap, weight + tap, length, tap == 0);
    }
    if (tap == 0) {
        memset(out, 0, (size_t)length * sizeof *out);
    }
    for (; tap < n_taps; tap++) {
        const REAL *restrict row = rows[tap], factor = weight[tap];
        for (Py_ssize_t t = 0; t < length; t++) {
            out[t] += factor * row[t];
        }
    }
}

/* Returns 0, or -1 where memory ran out. */
static int NAME(correlate)(const REAL *in, REAL *out, const struct pass *p, const double *weights) {
    const Py_ssize_t n_taps = p->n_taps;
    const Py_ssize_t reach = p->n_out + n_taps - 1;
    const Py_ssize_t scratch = p->n_inner == 1 ? reach : CHUNK;
    REAL *weight = malloc(sizeof(REAL) * (size_t)n_taps);
    REAL *line = calloc((size_t)scratch, sizeof(REAL));
    const REAL **rows = malloc(sizeof(REAL *) * (size_t)n_taps);
    Py_ssize_t *from = malloc(sizeof(Py_ssize_t) * (size_t)reach);
    int status = -1;
    if (weight == NULL || line == NULL || rows == NULL || from == NULL) {
        goto done;
    }
    for (Py_ssize_t tap = 0; tap < n_taps; tap++) {
        weight[tap] = (REAL)weights[tap];
    }
    for (Py_ssize_t i = 0; i < reach; i++) {
        from[i] = edge(p->first + i - p->before, p->n_in, p->boundary);
    }
    for (Py_ssize_t outer = 0; outer < p->n_outer; outer++) {
        const REAL *source = in + outer * p->n_in * p->n_inner;
        REAL *target = out + outer * p->n_out * p->n_inner;
        if (p->n_inner == 1) {
            for (Py_ssize_t i = 0; i < reach; i++) {
                line[i] = from[i] < 0 ? 0 : source[from[i]];
            }
            for (Py_ssize_t tap = 0; tap < n_taps; tap++) {
                rows[tap] = line + tap;
            }
            NAME(taps)(target, rows, weight, n_taps, p->n_out);
            continue;
        }
        for (Py_ssize_t start = 0; start < p->n_inner; start += CHUNK) {
            const Py_ssize_t left = p->n_inner - start;
            const Py_ssize_t length = left < CHUNK ? left : CHUNK;
            for (Py_ssize_t i = 0; i < p->n_out; i++) {
                for (Py_ssize_t tap = 0; tap < n_taps; tap++) {
                    const Py_ssize_t row = from[i + tap];
                    rows[tap] = row < 0 ? line : source + row * p->n_inner + start;
                }
                NAME(taps)(target + i * p->n_inner + start, rows, weight, n_taps, length);
            }
        }
    }
    status = 0;
done:
    free(weight);
    free(line);
    free(rows);
    free(from);
    return status;
}
