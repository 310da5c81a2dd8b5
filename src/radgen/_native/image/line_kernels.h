/* Fourier transforms of LANES lines side by side, for one type of number. Included once with
 * REAL = float and once with REAL = double.
 *
 * A line of n numbers lies on a grid of 4 m >= 2 n; its spectrum is wanted halfway between whole
 * frequencies, at k + 1/2 for k = 0 … 4 m - 1, where no frequency is its own mirror image: that of
 * k is 4 m - 1 - k. Frequencies k = 4 p + c of one class c are a transform of m numbers, folded
 * from the line. Complex numbers of all lanes lie as [real, imaginary][LANES]; transforms leave
 * frequency p at a place whose mirror image m - 1 - place holds m - 1 - p. */

typedef struct {
    ptrdiff_t m;
    int n_stages, radix[32];
    REAL *turn;    /* cos and -sin of 2 pi k / m */
    REAL *wave[4]; /* the same of 2 pi (c + 1/2) k / (4 m), for k < 2 m, of each class c */
} KERNEL(Plan);

static void KERNEL(circle)(REAL *out, ptrdiff_t n, double first, double step)
{
    for (ptrdiff_t k = 0; k < n; k++) {
        double angle = first + step * (double)k;
        out[2 * k] = (REAL)cos(angle);
        out[2 * k + 1] = (REAL)-sin(angle);
    }
}

/* A plan for lines on a grid of n numbers; NULL without memory, or where n does not suit. */
static KERNEL(Plan) * KERNEL(plan)(ptrdiff_t n)
{
    const double pi = 3.141592653589793;
    ptrdiff_t m = n / 4, rest = m;
    KERNEL(Plan) *p = malloc(sizeof *p + (size_t)(18 * m) * sizeof(REAL));
    if (p == NULL) {
        return NULL;
    }
    p->m = m;
    p->n_stages = 0;
    for (int r = 5; r > 1; r--) {
        for (; rest % r == 0; rest /= r) {
            p->radix[p->n_stages++] = r;
        }
    }
    p->turn = (REAL *)(p + 1);
    KERNEL(circle)(p->turn, m, 0, 2 * pi / (double)m);
    for (int c = 0; c < 4; c++) {
        p->wave[c] = p->turn + 2 * m + 4 * m * c;
        KERNEL(circle)(p->wave[c], 2 * m, 0, 2 * pi * (c + 0.5) / (double)n);
    }
    return p;
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

/* Transform m complex numbers of each lane in place. */
CLONES static void KERNEL(transform)(REAL *x, const KERNEL(Plan) *p)
{
    ptrdiff_t size = p->m;
    for (int s = 0; s < p->n_stages; s++) {
        int radix = p->radix[s];
        ptrdiff_t m = size / radix, step = p->m / size;
        for (ptrdiff_t at = 0; at < p->m; at += size) {
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

/* Fold n real numbers, `stride` apart, to the m numbers that a class is the transform of. */
CLONES static void KERNEL(fold_real)(const REAL *restrict line, ptrdiff_t stride, ptrdiff_t n,
                                     ptrdiff_t m, const REAL *restrict wave, REAL *restrict out)
{
    for (ptrdiff_t j = 0; j < m; j++) {
        REAL re[LANES] = {0}, im[LANES] = {0};
        for (ptrdiff_t k = j; k < n; k += m) {
            const REAL c = wave[2 * k], s = wave[2 * k + 1];
            const REAL *restrict x = line + k * stride;
            EACH_LANE
            {
                re[i] += x[i] * c;
                im[i] += x[i] * s;
            }
        }
        memcpy(out + j * LINE, re, sizeof re);
        memcpy(out + j * LINE + LANES, im, sizeof im);
    }
}

/* The same of complex numbers; those from m on stand an eighth of a turn late, and count times -i
 * to the power of the class. */
static inline void KERNEL(fold_as)(const REAL *line, ptrdiff_t n, ptrdiff_t m, const int class,
                                   const REAL *wave, REAL *out)
{
    const ptrdiff_t turned = class % 2 ? LANES : 0;
    for (ptrdiff_t j = 0; j < m; j++) {
        const REAL c = wave[2 * j], s = wave[2 * j + 1];
        const REAL *restrict a = line + j * LINE, *restrict late = line + (j + m) * LINE;
        const REAL *restrict b = late + turned, *restrict d = late + LANES - turned;
        REAL *restrict to = out + j * LINE;
        if (j + m < n) {
            EACH_LANE
            {
                REAL re = class == 0 || class == 1 ? a[i] + b[i] : a[i] - b[i];
                REAL im = a[i + LANES];
                im = class == 0 || class == 3 ? im + d[i] : im - d[i];
                STORE(to, re, im, c, s);
            }
        } else if (j < n) {
            EACH_LANE { STORE(to, a[i], a[i + LANES], c, s); }
        } else {
            memset(to, 0, LINE * sizeof *to);
        }
    }
}

CLONES static void KERNEL(fold)(const REAL *line, ptrdiff_t n, const KERNEL(Plan) *p, int class,
                                REAL *out)
{
    const REAL *wave = p->wave[class];
    switch (class) {
    case 0:
        KERNEL(fold_as)(line, n, p->m, 0, wave, out);
        break;
    case 1:
        KERNEL(fold_as)(line, n, p->m, 1, wave, out);
        break;
    case 2:
        KERNEL(fold_as)(line, n, p->m, 2, wave, out);
        break;
    default:
        KERNEL(fold_as)(line, n, p->m, 3, wave, out);
    }
}

/* Turn complex numbers an eighth of a turn back: times (1 - i) / sqrt(2). */
CLONES static void KERNEL(delay)(REAL *line, ptrdiff_t n)
{
    const REAL root = (REAL)0.7071067811865476;
    for (ptrdiff_t j = 0; j < n; j++) {
        REAL *x = line + j * LINE;
        EACH_LANE
        {
            REAL re = x[i], im = x[i + LANES];
            x[i] = root * (re + im);
            x[i + LANES] = root * (im - re);
        }
    }
}
