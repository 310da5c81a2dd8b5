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

/* Fold real numbers, `stride` apart, from one place on up to another, to the m numbers that a class
 * is the transform of. */
CLONES static void KERNEL(fold_real)(const REAL *restrict line, ptrdiff_t stride, ptrdiff_t from,
                                     ptrdiff_t end, ptrdiff_t m, const REAL *restrict wave,
                                     REAL *restrict out)
{
    ptrdiff_t whole = from / m * m;
    for (ptrdiff_t j = 0; j < m; j++) {
        REAL re[LANES] = {0}, im[LANES] = {0};
        for (ptrdiff_t k = whole + j < from ? whole + j + m : whole + j; k < end; k += m) {
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

/* The same of complex numbers from one place on up to another, to which `parts` stretches of m
 * numbers contribute. Stretch s stands s eighths of a turn late, and counts times -i to the power
 * of s times the class. */
static inline void KERNEL(fold_as)(const REAL *line, ptrdiff_t from, ptrdiff_t end, ptrdiff_t m,
                                   const int parts, const int class, const REAL *wave, REAL *out)
{
    for (ptrdiff_t j = from; j < end; j++) {
        const REAL cosine = wave[2 * j], sine = wave[2 * j + 1];
        const REAL *restrict a = line + j * LINE;
        const REAL *restrict b = parts > 1 ? a + m * LINE : a;
        const REAL *restrict c = parts > 2 ? b + m * LINE : a;
        const REAL *restrict d = parts > 3 ? c + m * LINE : a;
        REAL *restrict to = out + j * LINE;
        EACH_LANE
        {
            REAL re = a[i], im = a[i + LANES];
            if (parts > 2) {
                re = class % 2 ? re - c[i] : re + c[i];
                im = class % 2 ? im - c[i + LANES] : im + c[i + LANES];
            }
            /* Stretches 1 and 3 are turned by a quarter, one way and the other. */
            REAL odd_re = parts > 1 ? b[i] : 0, odd_im = parts > 1 ? b[i + LANES] : 0;
            if (parts > 3) {
                odd_re = class % 2 ? odd_re - d[i] : odd_re + d[i];
                odd_im = class % 2 ? odd_im - d[i + LANES] : odd_im + d[i + LANES];
            }
            if (parts > 1 && class % 2) {
                re = class == 1 ? re + odd_im : re - odd_im;
                im = class == 1 ? im - odd_re : im + odd_re;
            } else if (parts > 1) {
                re = class == 0 ? re + odd_re : re - odd_re;
                im = class == 0 ? im + odd_im : im - odd_im;
            }
            STORE(to, re, im, cosine, sine);
        }
    }
}

/* Fold n <= 4 m numbers. */
CLONES static void KERNEL(fold)(const REAL *line, ptrdiff_t n, const KERNEL(Plan) *p, int class,
                                REAL *out)
{
    const ptrdiff_t m = p->m, rest = n % m;
    const int whole = (int)(n / m);
    const REAL *wave = p->wave[class];
#define FOLD_CLASS(parts, class) \
    case class:                  \
        KERNEL(fold_as)(line, from, end, m, parts, class, wave, out); \
        break;
#define FOLD(parts)                                                                           \
    case parts:                                                                               \
        switch (class) {                                                                      \
            FOLD_CLASS(parts, 0) FOLD_CLASS(parts, 1) FOLD_CLASS(parts, 2) FOLD_CLASS(parts, 3) \
        }                                                                                     \
        break;
    for (int more = 1; more >= 0; more--) { /* places that one stretch more reaches come first */
        const ptrdiff_t from = more ? 0 : rest, end = more ? rest : m;
        switch (whole + more) {
            FOLD(1) FOLD(2) FOLD(3) FOLD(4)
        case 0:
            memset(out + from * LINE, 0, (size_t)((end - from) * LINE) * sizeof *out);
        }
    }
#undef FOLD
#undef FOLD_CLASS
}

/* Turn complex numbers some eighths of a turn back. */
CLONES static void KERNEL(delay)(REAL *line, ptrdiff_t n, int eighths)
{
    const REAL root = (REAL)0.7071067811865476;
    const REAL c = eighths == 0 ? 1 : eighths == 1 ? root : eighths == 2 ? 0 : -root;
    const REAL s = eighths == 0 ? 0 : eighths == 2 ? -1 : -root;
    for (ptrdiff_t j = 0; j < n; j++) {
        REAL *x = line + j * LINE;
        EACH_LANE
        {
            REAL re = x[i], im = x[i + LANES];
            x[i] = re * c - im * s;
            x[i + LANES] = re * s + im * c;
        }
    }
}
