/* Reading an axis at other positions, and the B-spline coefficients that cubic reading needs.
 *
 * Included after convolve.h with the same REAL and NAME.
 */

static Py_ssize_t NAME(clamped)(Py_ssize_t at, Py_ssize_t n) {
    return at < 0 ? 0 : at >= n ? n - 1 : at;
}

static void NAME(gather_line)(const REAL *source, REAL *target, const struct axis *a,
                              const int64_t *first, const REAL *weight) {
    const Py_ssize_t n_taps = a->n_taps;
    for (Py_ssize_t i = 0; i < a->n_out; i++) {
        const Py_ssize_t at = (Py_ssize_t)first[i];
        const int within = at >= 0 && at + n_taps <= a->n_in;
        REAL sum = 0;
        for (Py_ssize_t tap = 0; tap < n_taps; tap++) {
            sum += weight[i * n_taps + tap] *
                   source[within ? at + tap : NAME(clamped)(at + tap, a->n_in)];
        }
        target[i] = sum;
    }
}

/* out[o, i, t] = sum_k weight[i, k] * in[o, clamp(first[i] + k), t]; 0, or -1 without memory. */
static int NAME(gather)(const REAL *in, REAL *out, const struct axis *a, const int64_t *first,
                        const double *weights) {
    const Py_ssize_t n_taps = a->n_taps, inner = a->n_inner;
    REAL *weight = malloc(sizeof(REAL) * (size_t)(n_taps * a->n_out));
    const REAL **rows = malloc(sizeof(REAL *) * (size_t)n_taps);
    if (weight == NULL || rows == NULL) {
        free(weight);
        free(rows);
        return -1;
    }
    for (Py_ssize_t i = 0; i < n_taps * a->n_out; i++) {
        weight[i] = (REAL)weights[i];
    }
    for (Py_ssize_t outer = 0; outer < a->n_outer; outer++) {
        const REAL *source = in + outer * a->n_in * inner;
        REAL *target = out + outer * a->n_out * inner;
        if (inner == 1) {
            NAME(gather_line)(source, target, a, first, weight);
            continue;
        }
        for (Py_ssize_t i = 0; i < a->n_out; i++) {
            for (Py_ssize_t tap = 0; tap < n_taps; tap++) {
                rows[tap] = source + NAME(clamped)((Py_ssize_t)first[i] + tap, a->n_in) * inner;
            }
            NAME(taps)(target + i * inner, rows, weight + i * n_taps, n_taps, inner);
        }
    }
    free(weight);
    free(rows);
    return 0;
}

/* Coefficients of the interpolating cubic B-spline of rows low .. low + n_out - 1, the ends of
 * the axis repeated without end. Recursive, with pole z = sqrt(3) - 2. */
static CLONES void NAME(spline)(const REAL *in, REAL *out, const struct axis *a, Py_ssize_t low) {
    const REAL z = (REAL)-0.2679491924311227064725536584941276;
    const Py_ssize_t inner = a->n_inner, last = a->n_out - 1;
    for (Py_ssize_t outer = 0; outer < a->n_outer; outer++) {
        const REAL *source = in + outer * a->n_in * inner;
        REAL *target = out + outer * a->n_out * inner;
        const REAL *row = source + NAME(clamped)(low, a->n_in) * inner;
        for (Py_ssize_t t = 0; t < inner; t++) {
            target[t] = row[t] / (1 - z);
        }
        for (Py_ssize_t i = 1; i <= last; i++) {
            REAL *here = target + i * inner;
            row = source + NAME(clamped)(low + i, a->n_in) * inner;
            for (Py_ssize_t t = 0; t < inner; t++) {
                here[t] = row[t] + z * here[t - inner];
            }
        }
        REAL *end = target + last * inner;
        for (Py_ssize_t t = 0; t < inner; t++) {
            const REAL settled = row[t] / (1 - z);
            end[t] = -6 * z * (settled / (1 - z) + (end[t] - settled) / (1 - z * z));
        }
        for (Py_ssize_t i = last - 1; i >= 0; i--) {
            REAL *here = target + i * inner;
            for (Py_ssize_t t = 0; t < inner; t++) {
                here[t] = z * (here[t + inner] - 6 * here[t]);
            }
        }
    }
}
