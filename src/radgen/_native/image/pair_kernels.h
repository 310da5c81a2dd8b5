/* Sums over pairs of voxels for one type of number: see line_kernels.h. */

/* Put a row of a slice into its lane; returns how many voxels of the mask it holds. */
static inline ptrdiff_t KERNEL(lane)(const uint8_t *mask, const double *values, double centre,
                                     double scale, ptrdiff_t n, uint8_t *inside, REAL *y,
                                     int32_t *ends)
{
    ptrdiff_t low = -1, past = 0, count = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        if (mask[i]) {
            inside[i * LANES] = 1;
            y[i * LANES] = (REAL)((values[count++] - centre) * scale);
            low = low < 0 ? i : low;
            past = i + 1;
        }
    }
    if (count) {
        ends[0] = ends[1] && ends[0] < low ? ends[0] : (int32_t)low;
        ends[1] = ends[1] > past ? ends[1] : (int32_t)past;
    }
    return count;
}

/* Put the mask and y = (value - centre) * scale of blocks of LANES slices side by side, as
 * [block][row][x][slice], and for each row of a block the first voxel and the one past the last. */
static void KERNEL(lanes)(const uint8_t *mask, const double *values, double centre, double scale,
                          const ptrdiff_t *shape, ptrdiff_t first, ptrdiff_t last,
                          uint8_t *inside, REAL *y, int32_t *ends)
{
    const ptrdiff_t nx = shape[2], slice = shape[1] * nx;
    values += first < last ? count_of(mask, first * LANES * slice) : 0;
    for (ptrdiff_t block = first; block < last; block++) {
        const ptrdiff_t z = block * LANES, n = shape[0] - z < LANES ? shape[0] - z : LANES;
        const double *next[LANES]; /* of each slice */
        for (ptrdiff_t k = 0; k < n; k++) {
            next[k] = values;
            values += count_of(mask + (z + k) * slice, slice);
        }
        for (ptrdiff_t r = 0; r < shape[1]; r++) { /* a row of all slices: it stays in the cache */
            const ptrdiff_t row = block * shape[1] + r, to = row * nx * LANES;
            ends[2 * row] = ends[2 * row + 1] = 0;
            for (ptrdiff_t k = 0; k < n; k++) {
                next[k] += KERNEL(lane)(mask + (z + k) * slice + r * nx, next[k], centre, scale,
                                        nx, inside + to + k, y + to + k, ends + 2 * row);
            }
        }
    }
}

/* Of `half` frequencies along x, which come in parts of m, part s holds f + 1/2 + 2 half / m k for
 * k < m: its wave at n places. */
static void KERNEL(part_wave)(REAL *out, ptrdiff_t n, ptrdiff_t half, ptrdiff_t part, double first)
{
    const double f = (double)(4 * (part / 2) + part % 2) + 0.5;
    KERNEL(circle)(out, n, first, 3.141592653589793 * f / (double)half);
}

/* Where three fields lie: as the mask and y, which make 1, y and y^2; or one after the other. */
typedef struct {
    const uint8_t *inside;
    const REAL *values;
    const int32_t *ends; /* of each row of the mask: the first voxel, and the one past the last */
    ptrdiff_t field;     /* numbers from one field to the next */
} KERNEL(Fields);

/* The rows of three fields, LANES slices side by side, from a place on up to another; `room` holds
 * two rows. */
CLONES static void KERNEL(rows)(const KERNEL(Fields) *fields, ptrdiff_t at, ptrdiff_t row,
                                ptrdiff_t from, ptrdiff_t end, REAL *room, const REAL **lines)
{
    const REAL *restrict v = lines[1] = fields->values + at;
    if (fields->inside == NULL) {
        lines[0] = v;
        lines[1] = v + fields->field;
        lines[2] = v + 2 * fields->field;
        return;
    }
    const uint8_t *restrict in = fields->inside + at;
    REAL *restrict ones = room, *restrict squares = room + row;
    for (ptrdiff_t i = from; i < end; i++) {
        ones[i] = (REAL)in[i];
        squares[i] = v[i] * v[i];
    }
    lines[0] = ones;
    lines[2] = squares;
}

/* A part of the spectra along x of three fields; every `late` rows they stand an eighth of a turn
 * more late. `out` lies as [frequency][field][block][row][real, imaginary][slice]. */
static void KERNEL(spectra)(const KERNEL(Fields) *fields, const ptrdiff_t *shape, ptrdiff_t late,
                            const KERNEL(Plan) *p, const REAL *wave, REAL *room, REAL *out)
{
    ptrdiff_t blocks = shape[0], ny = shape[1], nx = shape[2], row = nx * LANES;
    REAL *folded = room + 2 * row;
    for (ptrdiff_t block = 0; block < blocks; block++) {
        for (ptrdiff_t first = 0; first < ny; first += ROWS) {
            /* Frequencies lie far apart: some rows of each are written at a time. */
            ptrdiff_t n = ny - first < ROWS ? ny - first : ROWS;
            for (ptrdiff_t r = 0; r < n; r++) {
                const ptrdiff_t y = first + r;
                const int32_t *ends = fields->ends ? fields->ends + 2 * (block * ny + y) : NULL;
                const ptrdiff_t from = ends ? ends[0] : 0, end = ends ? ends[1] : nx;
                const REAL *lines[3];
                KERNEL(rows)(fields, (block * ny + y) * row, row, from * LANES, end * LANES, room,
                             lines);
                for (int field = 0; field < 3; field++) {
                    REAL *to = folded + (field * ROWS + r) * p->m * LINE;
                    const REAL *turn = wave + y / late * 2 * nx;
                    KERNEL(fold_real)(lines[field], LANES, from, end, p->m, turn, to);
                    if (from < end) {
                        KERNEL(transform)(to, p);
                    }
                }
            }
            for (ptrdiff_t at = 0; at < 3 * p->m; at++) { /* frequency by frequency, three fields */
                const REAL *from = folded + (at % 3 * ROWS * p->m + at / 3) * LINE;
                REAL *to = out + ((at * blocks + block) * ny + first) * LINE;
                for (ptrdiff_t r = 0; r < n; r++) {
                    memcpy(to + r * LINE, from + r * p->m * LINE, LINE * sizeof *to);
                }
            }
        }
    }
}

/* An eighth of the spectrum along x and y of a kernel, of which an eighth is given, from distance 0
 * on: it is real and even, so that half of each line, with half of what is at distance 0, gives
 * half of the spectrum. `out` lies as [frequency x][distance z][class][frequency y]; the
 * frequencies of a class fill up lanes. */
CLONES static void KERNEL(weights)(const double *kernel, const ptrdiff_t *size, ptrdiff_t deep,
                                   const KERNEL(Plan) *const *plan, ptrdiff_t parts,
                                   ptrdiff_t first, REAL *room, REAL *out)
{
    ptrdiff_t my = plan[1]->m, mx = plan[2]->m, nx = mx * parts, ny = size[1];
    ptrdiff_t wide = (my + LANES - 1) / LANES * LANES, width = 2 * wide;
    REAL *plane = room, *line = plane + (size[2] + LANES) * width, *wave = line + ny * LANES;
    REAL *folded = wave + (2 * nx * parts + LANES - 1) / LANES * LANES;
    for (ptrdiff_t part = 0; part < parts; part++) {
        KERNEL(part_wave)(wave + 2 * nx * part, nx, nx, part, 0);
    }
    for (ptrdiff_t z = first; z < first + size[0]; z++) {
        memset(plane, 0, (size_t)((size[2] + LANES) * width) * sizeof *plane);
        for (ptrdiff_t x = 0; x < size[2]; x += LANES) { /* along y; lanes lie along x */
            ptrdiff_t count = size[2] - x < LANES ? size[2] - x : LANES;
            memset(line, 0, (size_t)(ny * LANES) * sizeof *line);
            for (ptrdiff_t y = 0; y < ny; y++) {
                const double *from = kernel + ((z - first) * ny + y) * size[2] + x;
                REAL half = y ? 1 : (REAL)0.5; /* distance 0 is its own mirror image */
                for (ptrdiff_t i = 0; i < count; i++) {
                    line[y * LANES + i] = (REAL)from[i] * half;
                }
            }
            for (int class = 0; class < 2; class++) {
                KERNEL(fold_real)(line, LANES, 0, ny, my, plan[1]->wave[class], folded);
                KERNEL(transform)(folded, plan[1]);
                for (ptrdiff_t i = 0; i < count; i++) {
                    REAL *to = plane + (x + i) * width + class * wide;
                    for (ptrdiff_t k = 0; k < my; k++) {
                        to[k] = folded[k * LINE + i];
                    }
                }
            }
        }
        for (ptrdiff_t y = 0; y < width; y++) {
            plane[y] *= (REAL)0.5;
        }
        const REAL share = z == 0 ? (REAL)0.5 : 1;
        for (ptrdiff_t y = 0; y < width; y += LANES) { /* along x; lanes lie along y */
            for (ptrdiff_t part = 0; part < parts; part++) {
                KERNEL(fold_real)(plane + y, width, 0, size[2], mx, wave + 2 * nx * part, folded);
                KERNEL(transform)(folded, plan[2]);
                for (ptrdiff_t k = 0; k < mx; k++) {
                    REAL *restrict to = out + ((part * mx + k) * deep + z) * width + y;
                    const REAL *restrict from = folded + k * LINE;
                    EACH_LANE { to[i] = share * from[i]; }
                }
            }
        }
    }
}

/* Put a block of LANES x LANES complex numbers, [a][part][b], at [b][part][a]. */
static inline void KERNEL(turn_over)(const REAL *from, REAL *to)
{
    for (int part = 0; part < LINE; part += LANES) {
        for (int a = 0; a < LANES; a += 4) {
            for (int b = 0; b < LANES; b += 4) {
                KERNEL(turn_four)(from + a * LINE + part + b, to + b * LINE + part + a, LINE);
            }
        }
    }
}

/* Spectra along y of a class for all slices, as [lanes of frequencies][slice][parts][lane]. The
 * frequencies of the later classes lie in the order of their mirror images. */
CLONES static void KERNEL(sheet)(const REAL *spectra, ptrdiff_t blocks, ptrdiff_t ny, int class,
                                 const KERNEL(Plan) *p, REAL *room, REAL *out)
{
    ptrdiff_t m = p->m, groups = (m + LANES - 1) / LANES, deep = blocks * LANES;
    REAL *folded = room, *some = folded + groups * LANES * LINE;
    memset(folded + m * LINE, 0, (size_t)((groups * LANES - m) * LINE) * sizeof *folded);
    for (ptrdiff_t z = 0; z < deep; z += LANES) {
        KERNEL(fold)(spectra + z / LANES * ny * LINE, ny, p, class, folded);
        KERNEL(transform)(folded, p);
        for (ptrdiff_t g = 0; g < groups; g++) {
            const REAL *from = folded + g * LANES * LINE;
            if (class > 1) {
                for (ptrdiff_t k = 0; k < LANES; k++) {
                    ptrdiff_t at = m - 1 - g * LANES - k;
                    if (at < 0) {
                        memset(some + k * LINE, 0, LINE * sizeof *some);
                    } else {
                        memcpy(some + k * LINE, folded + at * LINE, LINE * sizeof *some);
                    }
                }
                from = some;
            }
            KERNEL(turn_over)(from, out + (g * deep + z) * LINE);
        }
    }
}

/* Add weighted sums of |f|^2, |g|^2 and f conj(h) over m frequencies along z; f, g and h lie one
 * after the other. */
CLONES static void KERNEL(add_up)(const REAL *weight, ptrdiff_t step, const REAL *f, ptrdiff_t m,
                                  double *total)
{
    const REAL *g = f + m * LINE, *h = g + m * LINE;
    for (ptrdiff_t begin = 0; begin < m; begin += 32) {
        REAL sums[3][LANES];
        memset(sums, 0, sizeof sums);
        ptrdiff_t end = begin + 32 < m ? begin + 32 : m;
        for (ptrdiff_t k = begin; k < end; k++) {
            const REAL *restrict w = weight + k * step;
            const REAL *restrict a = f + k * LINE, *restrict b = g + k * LINE;
            const REAL *restrict c = h + k * LINE;
            EACH_LANE
            {
                sums[0][i] += w[i] * (a[i] * a[i] + a[i + LANES] * a[i + LANES]);
                sums[1][i] += w[i] * (b[i] * b[i] + b[i + LANES] * b[i + LANES]);
                sums[2][i] += w[i] * (a[i] * c[i] + a[i + LANES] * c[i + LANES]);
            }
        }
        for (int q = 0; q < 3; q++) {
            double part[LANES];
            for (int i = 0; i < LANES; i++) {
                part[i] = (double)sums[q][i];
            }
            for (int half = LANES / 2; half > 0; half /= 2) {
                for (int i = 0; i < half; i++) {
                    part[i] += part[i + half];
                }
            }
            total[q] += part[0];
        }
    }
}

/* The spectrum along z of the weights of LANES frequencies along y: [class][frequency][lane]. */
static void KERNEL(deep_weights)(const REAL *plane, ptrdiff_t width, ptrdiff_t n,
                                 const KERNEL(Plan) *p, REAL *room, REAL *out)
{
    for (int class = 0; class < 2; class++) {
        KERNEL(fold_real)(plane, width, 0, n, p->m, p->wave[class], room);
        KERNEL(transform)(room, p);
        for (ptrdiff_t k = 0; k < p->m; k++) {
            memcpy(out + (class * p->m + k) * LANES, room + k * LINE, LANES * sizeof *out);
        }
    }
}

/* Weighted sums of |f|^2, |g|^2 and f conj(h) over a frequency along x; the weights have so many
 * distances along z. */
static void KERNEL(sums)(const REAL *spectra, const REAL *weights, ptrdiff_t distances,
                         const ptrdiff_t *shape, const KERNEL(Plan) *const *plan, REAL *room,
                         double *out)
{
    ptrdiff_t blocks = shape[0], ny = shape[1], mz = plan[0]->m, my = plan[1]->m;
    ptrdiff_t deep = blocks * LANES, nz = deep < 4 * mz ? deep : 4 * mz;
    ptrdiff_t groups = (my + LANES - 1) / LANES, sheet = groups * deep * LINE;
    REAL *sheets = room, *weight = sheets + 3 * sheet, *folded = weight + 2 * mz * LANES;
    double total[3] = {0, 0, 0};
    for (int class = 0; class < 4; class++) {
        for (int field = 0; field < 3; field++) {
            KERNEL(sheet)(spectra + field * blocks * ny * LINE, blocks, ny, class, plan[1], folded,
                          sheets + field * sheet);
        }
        for (ptrdiff_t g = 0; g < groups; g++) {
            REAL *here = sheets + g * deep * LINE;
            const REAL *plane = weights + (class == 1 || class == 2 ? groups + g : g) * LANES;
            KERNEL(deep_weights)(plane, 2 * groups * LANES, distances, plan[0], folded, weight);
            for (int field = 0; field < 3; field++) {
                for (ptrdiff_t late = 1; late * mz < nz; late++) {
                    ptrdiff_t rest = nz - late * mz;
                    KERNEL(delay)(here + field * sheet + late * mz * LINE, rest < mz ? rest : mz,
                                  (int)late);
                }
            }
            for (int depth = 0; depth < 4; depth++) {
                for (int field = 0; field < 3; field++) {
                    KERNEL(fold)(here + field * sheet, nz, plan[0], depth, folded + field * mz * LINE);
                    KERNEL(transform)(folded + field * mz * LINE, plan[0]);
                }
                /* Later classes are mirror images, from the last frequency to the first. */
                const REAL *w = weight + (depth == 1 || depth == 2 ? mz * LANES : 0);
                w += depth > 1 ? (mz - 1) * LANES : 0;
                KERNEL(add_up)(w, depth > 1 ? -LANES : LANES, folded, mz, total);
            }
        }
    }
    for (int q = 0; q < 3; q++) {
        out[q] += 16 * total[q]; /* an eighth of the weights, half of the frequencies */
    }
}

/* The same over part of the frequencies along x. */
static void KERNEL(part_sums)(const uint8_t *inside, const REAL *values, const int32_t *ends,
                              ptrdiff_t field, const REAL *weights, ptrdiff_t distances, const ptrdiff_t *shape,
                              const KERNEL(Plan) *const *plan, ptrdiff_t parts, ptrdiff_t part,
                              REAL *spectra, REAL *room, double *out)
{
    const KERNEL(Fields) fields = {inside, values, ends, field};
    ptrdiff_t m = plan[2]->m, groups = (plan[1]->m + LANES - 1) / LANES, nx = shape[2];
    for (ptrdiff_t late = 0; late < 4; late++) {
        KERNEL(part_wave)(room + 2 * nx * late, nx, m * parts, part,
                          3.141592653589793 / 4 * (double)late);
    }
    REAL *rest = room + (8 * nx + LANES - 1) / LANES * LANES;
    KERNEL(spectra)(&fields, shape, plan[1]->m, plan[2], room, rest, spectra);
    for (ptrdiff_t k = 0; k < m; k++) {
        KERNEL(sums)(spectra + k * 3 * shape[0] * shape[1] * LINE,
                     weights + (part * m + k) * distances * 2 * groups * LANES, distances, shape,
                     plan, room, out);
    }
}

#undef EACH_LANE
#undef LINE
#undef STORE
#undef TURN
