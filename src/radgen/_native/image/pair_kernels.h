/* Fourier transforms of LANES lines side by side, for one type of number. Included once with
 * REAL = float and once with REAL = double. A line of n complex numbers of all lanes lies as
 * [n][real, imaginary][LANES]. Transforms are in place and leave frequency k at place[k]. */

typedef struct {
    int n, n_stages;
    int radix[16];
    int place[LONGEST];
    REAL turn[2 * LONGEST]; /* cos and -sin of 2 pi k / n */
} KERNEL(Plan);

static int KERNEL(plan)(KERNEL(Plan) *p, ptrdiff_t n)
{
    ptrdiff_t rest = n / 4;
    p->n = (int)n;
    p->radix[0] = 4;
    p->n_stages = 1;
    if (n < 4 || n % 4 || n > LONGEST) {
        return -1;
    }
    for (int r = 5; r > 1; r--) {
        for (; rest % r == 0; rest /= r) {
            p->radix[p->n_stages++] = r;
        }
    }
    if (rest != 1) {
        return -1;
    }
    for (int k = 0; k < n; k++) {
        int at = 0, left = k, size = (int)n;
        for (int s = 0; s < p->n_stages; s++) {
            size /= p->radix[s];
            at += left % p->radix[s] * size;
            left /= p->radix[s];
        }
        p->place[k] = at;
        p->turn[2 * k] = (REAL)cos(6.283185307179586 * k / (double)n);
        p->turn[2 * k + 1] = (REAL)-sin(6.283185307179586 * k / (double)n);
    }
    return 0;
}

#define EACH_LANE IVDEP for (int i = 0; i < LANES; i++)
#define LINE (2 * LANES)
#define TURN(k, at) const REAL c##k = turn[2 * (at)], s##k = turn[2 * (at) + 1]
#define STORE(to, re, im, c, s)                    \
    do {                                           \
        REAL re_ = (re), im_ = (im);               \
        (to)[i] = re_ * (c) - im_ * (s);           \
        (to)[i + LANES] = re_ * (s) + im_ * (c);   \
    } while (0)

/* The first stage of lines whose second half is zero. */
static inline void KERNEL(half_four)(REAL *x, ptrdiff_t m, const REAL *turn)
{
    for (ptrdiff_t j = 0; j < m; j++) {
        REAL *restrict a = x + j * LINE, *restrict b = a + m * LINE;
        REAL *restrict c = b + m * LINE, *restrict d = c + m * LINE;
        TURN(1, j);
        TURN(2, 2 * j);
        TURN(3, 3 * j);
        EACH_LANE
        {
            REAL ar = a[i], ai = a[i + LANES], br = b[i], bi = b[i + LANES];
            a[i] = ar + br;
            a[i + LANES] = ai + bi;
            STORE(b, ar + bi, ai - br, c1, s1);
            STORE(c, ar - br, ai - bi, c2, s2);
            STORE(d, ar - bi, ai + br, c3, s3);
        }
    }
}

static inline void KERNEL(four)(REAL *x, ptrdiff_t m, const REAL *turn, ptrdiff_t step)
{
    for (ptrdiff_t j = 0; j < m; j++) {
        REAL *restrict a = x + j * LINE, *restrict b = a + m * LINE;
        REAL *restrict c = b + m * LINE, *restrict d = c + m * LINE;
        TURN(1, j * step);
        TURN(2, 2 * j * step);
        TURN(3, 3 * j * step);
        EACH_LANE
        {
            REAL sr = a[i] + c[i], si = a[i + LANES] + c[i + LANES];
            REAL tr = a[i] - c[i], ti = a[i + LANES] - c[i + LANES];
            REAL ur = b[i] + d[i], ui = b[i + LANES] + d[i + LANES];
            REAL vr = b[i] - d[i], vi = b[i + LANES] - d[i + LANES];
            a[i] = sr + ur;
            a[i + LANES] = si + ui;
            STORE(b, tr + vi, ti - vr, c1, s1);
            STORE(c, sr - ur, si - ui, c2, s2);
            STORE(d, tr - vi, ti + vr, c3, s3);
        }
    }
}

static inline void KERNEL(two)(REAL *x, ptrdiff_t m, const REAL *turn, ptrdiff_t step)
{
    for (ptrdiff_t j = 0; j < m; j++) {
        REAL *restrict a = x + j * LINE, *restrict b = a + m * LINE;
        TURN(1, j * step);
        EACH_LANE
        {
            REAL ar = a[i], ai = a[i + LANES], br = b[i], bi = b[i + LANES];
            a[i] = ar + br;
            a[i + LANES] = ai + bi;
            STORE(b, ar - br, ai - bi, c1, s1);
        }
    }
}

static inline void KERNEL(three)(REAL *x, ptrdiff_t m, const REAL *turn, ptrdiff_t step)
{
    const REAL root = (REAL)0.8660254037844386, half = (REAL)0.5;
    for (ptrdiff_t j = 0; j < m; j++) {
        REAL *restrict a = x + j * LINE, *restrict b = a + m * LINE, *restrict c = b + m * LINE;
        TURN(1, j * step);
        TURN(2, 2 * j * step);
        EACH_LANE
        {
            REAL sr = b[i] + c[i], si = b[i + LANES] + c[i + LANES];
            REAL vr = root * (b[i] - c[i]), vi = root * (b[i + LANES] - c[i + LANES]);
            REAL mr = a[i] - half * sr, mi = a[i + LANES] - half * si;
            a[i] += sr;
            a[i + LANES] += si;
            STORE(b, mr + vi, mi - vr, c1, s1);
            STORE(c, mr - vi, mi + vr, c2, s2);
        }
    }
}

static inline void KERNEL(five)(REAL *x, ptrdiff_t m, const REAL *turn, ptrdiff_t step)
{
    const REAL p1 = (REAL)0.30901699437494745, p2 = (REAL)-0.8090169943749475;
    const REAL q1 = (REAL)0.9510565162951535, q2 = (REAL)0.5877852522924731;
    for (ptrdiff_t j = 0; j < m; j++) {
        REAL *restrict a = x + j * LINE, *restrict b = a + m * LINE, *restrict c = b + m * LINE;
        REAL *restrict d = c + m * LINE, *restrict e = d + m * LINE;
        TURN(1, j * step);
        TURN(2, 2 * j * step);
        TURN(3, 3 * j * step);
        TURN(4, 4 * j * step);
        EACH_LANE
        {
            REAL pr = b[i] + e[i], pi = b[i + LANES] + e[i + LANES];
            REAL qr = b[i] - e[i], qi = b[i + LANES] - e[i + LANES];
            REAL rr = c[i] + d[i], ri = c[i + LANES] + d[i + LANES];
            REAL wr = c[i] - d[i], wi = c[i + LANES] - d[i + LANES];
            REAL ar = a[i], ai = a[i + LANES];
            REAL mr = ar + p1 * pr + p2 * rr, mi = ai + p1 * pi + p2 * ri;
            REAL nr = ar + p2 * pr + p1 * rr, ni = ai + p2 * pi + p1 * ri;
            REAL gr = q1 * qr + q2 * wr, gi = q1 * qi + q2 * wi;
            REAL hr = q2 * qr - q1 * wr, hi = q2 * qi - q1 * wi;
            a[i] = ar + pr + rr;
            a[i + LANES] = ai + pi + ri;
            STORE(b, mr + gi, mi - gr, c1, s1);
            STORE(c, nr + hi, ni - hr, c2, s2);
            STORE(d, nr - hi, ni + hr, c3, s3);
            STORE(e, mr - gi, mi + gr, c4, s4);
        }
    }
}

/* Transform; `half` says that the second half of the lines is zero (and need not be set). */
CLONES static void KERNEL(transform)(REAL *x, const KERNEL(Plan) *p, int half)
{
    ptrdiff_t size = p->n, first = 0;
    if (half) {
        KERNEL(half_four)(x, size / 4, p->turn);
        size /= 4;
        first = 1;
    }
    for (ptrdiff_t s = first; s < p->n_stages; s++) {
        int radix = p->radix[s];
        ptrdiff_t m = size / radix, step = p->n / size;
        for (ptrdiff_t at = 0; at < p->n; at += size) {
            REAL *block = x + at * LINE;
            if (radix == 4) {
                KERNEL(four)(block, m, p->turn, step);
            } else if (radix == 5) {
                KERNEL(five)(block, m, p->turn, step);
            } else if (radix == 3) {
                KERNEL(three)(block, m, p->turn, step);
            } else {
                KERNEL(two)(block, m, p->turn, step);
            }
        }
        size = m;
    }
}

/* Spectra along x of the mask, of y and of y^2 for blocks of LANES slices. `out` lies as
 * [frequency][field][block][row][real, imaginary][slice]. Two rows are transformed at a time:
 * mask + i y of each, and the squares of one + i those of the other. */
CLONES static void KERNEL(fields)(const uint8_t *mask, const double *values, const ptrdiff_t *shape,
                                  ptrdiff_t first, ptrdiff_t last, const KERNEL(Plan) *p,
                                  REAL *room, REAL *out)
{
    ptrdiff_t nz = shape[0], ny = shape[1], nx = shape[2], n = p->n, half = n / 2;
    ptrdiff_t blocks = (nz + LANES - 1) / LANES, row = LINE, field = blocks * ny * row;
    if (first == last) {
        return;
    }
    values += count_of(mask, first * LANES * ny * nx);
    for (ptrdiff_t block = first; block < last; block++) {
        /* Where the values of each slice begin. */
        const double *next[LANES];
        ptrdiff_t n_slices = nz - block * LANES < LANES ? nz - block * LANES : LANES;
        for (ptrdiff_t i = 0; i < n_slices; i++) {
            const uint8_t *plane = mask + (block * LANES + i) * ny * nx;
            next[i] = values;
            values += count_of(plane, ny * nx);
        }
        for (ptrdiff_t y = 0; y < ny; y += 2) {
            int rows = y + 1 < ny ? 2 : 1;
            memset(room, 0, (size_t)(3 * n * LINE) * sizeof *room);
            for (int r = 0; r < rows; r++) {
                REAL *both = room + r * n * LINE, *squares = room + 2 * n * LINE + r * LANES;
                for (ptrdiff_t i = 0; i < n_slices; i++) {
                    const uint8_t *line = mask + ((block * LANES + i) * ny + y + r) * nx;
                    const double *value = next[i];
                    for (ptrdiff_t x = 0; x < nx; x++) {
                        if (line[x]) {
                            double v = *value++;
                            both[x * LINE + i] = 1;
                            both[x * LINE + LANES + i] = (REAL)v;
                            squares[x * LINE + i] = (REAL)(v * v);
                        }
                    }
                    next[i] = value;
                }
            }
            for (int r = 0; r < 3; r++) {
                if (r != 1 || rows == 2) {
                    KERNEL(transform)(room + r * n * LINE, p, 1);
                }
            }
            for (ptrdiff_t k = 0; k <= half; k++) {
                ptrdiff_t a = p->place[k] * LINE, b = p->place[(n - k) % n] * LINE;
                for (int r = 0; r < rows; r++) {
                    const REAL *restrict here = room + r * n * LINE + a;
                    const REAL *restrict there = room + r * n * LINE + b;
                    REAL *restrict to = out + (3 * k * blocks + block) * ny * row + (y + r) * row;
                    EACH_LANE
                    {
                        to[i] = (REAL)0.5 * (here[i] + there[i]);
                        to[i + LANES] = (REAL)0.5 * (here[i + LANES] - there[i + LANES]);
                        to[i + field] = (REAL)0.5 * (here[i + LANES] + there[i + LANES]);
                        to[i + LANES + field] = (REAL)0.5 * (there[i] - here[i]);
                    }
                }
                const REAL *restrict here = room + 2 * n * LINE + a;
                const REAL *restrict there = room + 2 * n * LINE + b;
                REAL *restrict to = out + ((3 * k + 2) * blocks + block) * ny * row + y * row;
                EACH_LANE
                {
                    to[i] = (REAL)0.5 * (here[i] + there[i]);
                    to[i + LANES] = (REAL)0.5 * (here[i + LANES] - there[i + LANES]);
                }
                for (int r = 1; r < rows; r++) {
                    EACH_LANE
                    {
                        to[i + row] = (REAL)0.5 * (here[i + LANES] + there[i + LANES]);
                        to[i + LANES + row] = (REAL)0.5 * (there[i] - here[i]);
                    }
                }
            }
        }
    }
}

/* The spectrum of 1 / distance (0 at distance 0) on a periodic grid is real and even: an octant,
 * as [x][z][y], and two lines of LANES make one complex line. */
CLONES static void KERNEL(weights)(const double *spacing, const KERNEL(Plan) *const *plan,
                                   ptrdiff_t width, REAL *room, REAL *out)
{
    ptrdiff_t half[3] = {plan[0]->n / 2, plan[1]->n / 2, plan[2]->n / 2};
    ptrdiff_t row = width, sheet = (half[0] + 1) * width;
    for (ptrdiff_t x = 0; x <= half[2]; x++) {
        for (ptrdiff_t z = 0; z <= half[0]; z++) {
            REAL *to = out + x * sheet + z * row;
            double dx = (double)x * spacing[2], dz = (double)z * spacing[0];
            for (ptrdiff_t y = 0; y < width; y++) {
                double dy = (double)y * spacing[1], square = dx * dx + dy * dy + dz * dz;
                to[y] = (REAL)(square > 0 ? 1.0 / sqrt(square) : 0.0);
            }
        }
    }
    for (int axis = 0; axis < 2; axis++) { /* along x, then along z; lanes are along y */
        const KERNEL(Plan) *p = plan[axis ? 0 : 2];
        ptrdiff_t n = p->n, along = axis ? row : sheet, across = axis ? sheet : row;
        ptrdiff_t lines = half[axis ? 2 : 0] + 1;
        for (ptrdiff_t line = 0; line < lines; line++) {
            for (ptrdiff_t y = 0; y < width; y += LINE) {
                REAL *at = out + line * across + y;
                for (ptrdiff_t k = 0; k <= n / 2; k++) {
                    memcpy(room + k * LINE, at + k * along, LINE * sizeof *room);
                    memcpy(room + (n - k) % n * LINE, at + k * along, LINE * sizeof *room);
                }
                KERNEL(transform)(room, p, 0);
                for (ptrdiff_t k = 0; k <= n / 2; k++) {
                    memcpy(at + k * along, room + p->place[k] * LINE, LINE * sizeof *room);
                }
            }
        }
    }
    const KERNEL(Plan) *p = plan[1];
    ptrdiff_t n = p->n, total = (half[2] + 1) * (half[0] + 1);
    for (ptrdiff_t first = 0; first < total; first += LINE) { /* lanes are rows */
        ptrdiff_t count = total - first < LINE ? total - first : LINE;
        memset(room, 0, (size_t)(n * LINE) * sizeof *room);
        for (ptrdiff_t i = 0; i < count; i++) {
            const REAL *line = out + (first + i) * row;
            for (ptrdiff_t k = 0; k <= n / 2; k++) {
                room[k * LINE + i] = room[(n - k) % n * LINE + i] = line[k];
            }
        }
        KERNEL(transform)(room, p, 0);
        for (ptrdiff_t i = 0; i < count; i++) {
            REAL *line = out + (first + i) * row;
            for (ptrdiff_t k = 0; k <= n / 2; k++) {
                line[k] = room[p->place[k] * LINE + i];
            }
        }
    }
}

/* Put a block of LANES x LANES complex numbers, [a][part][b], at [b][part][a]. */
static inline void KERNEL(turn_over)(const REAL *restrict from, REAL *restrict to)
{
    for (int part = 0; part < 2; part++) {
        for (int b = 0; b < LANES; b++) {
            for (int a = 0; a < LANES; a++) {
                to[b * LINE + part * LANES + a] = from[a * LINE + part * LANES + b];
            }
        }
    }
}

/* Weighted sums of |mask|^2, |y|^2 and mask conj(y^2) over frequencies `first` to `last` - 1
 * along x. `room` holds one line, three sheets of the frequencies (y, z) and a block of weights. */
CLONES static void KERNEL(sums)(const REAL *spectra, const REAL *weights, const ptrdiff_t *shape,
                                const KERNEL(Plan) *const *plan, ptrdiff_t width, ptrdiff_t first,
                                ptrdiff_t last, REAL *room, double *out)
{
    ptrdiff_t nz = shape[0], ny = shape[1], blocks = (nz + LANES - 1) / LANES;
    ptrdiff_t tall = plan[0]->n, wide = plan[1]->n, n = plan[2]->n;
    ptrdiff_t sides = (wide + LANES - 1) / LANES, side = tall * LINE;
    REAL *line = room, *sheets = line + sides * LANES * LINE;
    REAL *weight = sheets + 3 * sides * side;
    memset(line + wide * LINE, 0, (size_t)((sides * LANES - wide) * LINE) * sizeof *line);
    for (ptrdiff_t x = first; x < last; x++) {
        double total[3] = {0, 0, 0};
        for (int field = 0; field < 3; field++) {
            REAL *sheet = sheets + field * sides * side;
            for (ptrdiff_t block = 0; block < blocks; block++) {
                const REAL *from = spectra + ((3 * x + field) * blocks + block) * ny * LINE;
                memcpy(line, from, (size_t)(ny * LINE) * sizeof *line);
                memset(line + ny * LINE, 0, (size_t)((wide / 2 - ny) * LINE) * sizeof *line);
                KERNEL(transform)(line, plan[1], 1);
                for (ptrdiff_t s = 0; s < sides; s++) {
                    REAL *to = sheet + s * side + block * LANES * LINE;
                    if ((block + 1) * LANES <= tall / 2) {
                        KERNEL(turn_over)(line + s * LANES * LINE, to);
                        continue;
                    }
                    REAL turned[LANES * LINE];
                    ptrdiff_t fits = tall / 2 - block * LANES;
                    KERNEL(turn_over)(line + s * LANES * LINE, turned);
                    memcpy(to, turned, (size_t)(fits * LINE) * sizeof *to);
                }
            }
            ptrdiff_t filled = blocks * LANES < tall / 2 ? blocks * LANES : tall / 2;
            for (ptrdiff_t s = 0; s < sides; s++) {
                REAL *to = sheet + s * side;
                memset(to + filled * LINE, 0, (size_t)((tall / 2 - filled) * LINE) * sizeof *to);
                KERNEL(transform)(to, plan[0], 1);
            }
        }
        for (ptrdiff_t s = 0; s < sides; s++) {
            const REAL *plane = weights + x * (tall / 2 + 1) * width;
            ptrdiff_t from[LANES] = {0};
            for (ptrdiff_t k = 0; k < wide; k++) {
                ptrdiff_t lane = plan[1]->place[k] - s * LANES;
                if (lane >= 0 && lane < LANES) {
                    from[lane] = k <= wide / 2 ? k : wide - k;
                }
            }
            for (ptrdiff_t z = 0; z <= tall / 2; z++) {
                EACH_LANE { weight[z * LANES + i] = plane[z * width + from[i]]; }
            }
            const REAL *restrict f = sheets + s * side, *restrict g = f + sides * side;
            const REAL *restrict h = g + sides * side;
            for (ptrdiff_t begin = 0; begin < tall; begin += 32) {
                REAL sums[3][LANES];
                memset(sums, 0, sizeof sums);
                ptrdiff_t end = begin + 32 < tall ? begin + 32 : tall;
                for (ptrdiff_t k = begin; k < end; k++) {
                    ptrdiff_t at = plan[0]->place[k] * LINE;
                    const REAL *restrict w = weight + (k <= tall / 2 ? k : tall - k) * LANES;
                    const REAL *restrict a = f + at, *restrict b = g + at, *restrict c = h + at;
                    EACH_LANE
                    {
                        sums[0][i] += w[i] * (a[i] * a[i] + a[i + LANES] * a[i + LANES]);
                        sums[1][i] += w[i] * (b[i] * b[i] + b[i + LANES] * b[i + LANES]);
                        sums[2][i] += w[i] * (a[i] * c[i] + a[i + LANES] * c[i + LANES]);
                    }
                }
                for (int q = 0; q < 3; q++) {
                    EACH_LANE { total[q] += (double)sums[q][i]; }
                }
            }
        }
        for (int q = 0; q < 3; q++) {
            /* Frequencies that the half spectrum leaves out count twice. */
            out[q] += total[q] * (x == 0 || 2 * x == n ? 1.0 : 2.0);
        }
    }
}

#undef EACH_LANE
#undef LINE
#undef STORE
#undef TURN
