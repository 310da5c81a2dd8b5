"""Every test of a scan on every sort of bad column: the number of a plain definition, or none.

The definitions below share no code with radgen: least squares by QR, likelihoods maximised with
complex-step derivatives, separation by a linear programme, SciPy's rank and table tests. Where a
definition has no answer the scan must give none, and a reason; where it has one, the same.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import permutations

import numpy as np
import polars as pl
import pytest
from scipy import linalg, optimize, special, stats

from radgen.associate import TESTS, scan
from radgen.omics.normalise import median_ratio_factors
from radgen.types import Covariates, OmicsTable, PhenotypeTable

Array = np.ndarray
SIZES = (6, 24)
ALONE = ("mann_whitney", "kruskal", "jonckheere", "fisher", "chi2", "trend")
RANKED = ("spearman", "mann_whitney")
ADJUSTED = tuple(name for name in TESTS if name not in (*ALONE, "auto", "moderated"))
Answer = tuple[float, float] | None
"""p and effect (NaN = not compared), or no answer."""


def columns(n: int) -> tuple[dict[str, Array], dict[str, Array], Array]:
    """Return traits, genes and covariates of n samples."""
    rng = np.random.default_rng([7, n])
    z, gene = rng.normal(size=(n, 2)), rng.normal(size=n)
    two = (rng.permutation(n) % 2).astype(float)
    hole = np.arange(n) % 3 == 0
    traits = {
        "normal": rng.normal(size=n),
        "ties": rng.integers(0, 3, n) * 1.0,
        "zero": np.zeros(n),
        "missing": np.full(n, np.nan),
        "binary": (rng.permutation(n) % 3 == 0) * 1.0,
        "one class known": np.where(two > 0, 1.0, np.nan),
        "separated": (gene > np.median(gene)) * 1.0,
        "gaps": np.where(hole, np.nan, rng.normal(size=n)),
        "huge": 1e70 * rng.normal(size=n),
        "tiny": 1e-70 * rng.normal(size=n),
        "covariate": 3 * z[:, 0] - 1,
        "gene": gene.copy(),
        "infinite": np.r_[np.inf, -np.inf, np.nan, rng.normal(size=n - 3)],
        "two known": np.r_[rng.normal(size=2), np.full(n - 2, np.nan)],
    }
    genes = {
        "gene": gene,
        "two levels": two,
        "ties": rng.integers(0, 3, n) * 1.0,
        "zero": np.zeros(n),
        "rare": np.r_[1.0, np.zeros(n - 1)],
        "gaps": np.where(np.roll(hole, 1), np.nan, rng.normal(size=n)),
        "covariate": z @ [1.0, -2.0],
        "missing": np.full(n, np.nan),
    }
    return traits, genes, z


def adjusting(kind: str, z: Array) -> Array | None:
    """Return the covariates of one kind."""
    if kind == "none":
        return None
    return z if kind == "two" else np.column_stack([z, z[:, 0] - z[:, 1], np.ones(len(z))])


def basis(z: Array | None, n: int) -> Array:
    """Return an orthonormal basis of intercept and covariates, (n, rank)."""
    one = np.full((n, 1), n**-0.5)
    if z is None:
        return one
    part = z - z.mean(axis=0)
    size = np.linalg.norm(part, axis=0)
    part = part[:, size > 1e-9] / size[size > 1e-9]
    q, r, _ = linalg.qr(part, mode="economic", pivoting=True)
    return np.column_stack([one, q[:, np.abs(np.diag(r)) > 1e-9]])


def left(v: Array, q: Array) -> Array | None:
    """Return what the basis leaves of a column; None where it leaves nothing."""
    middle = v - v.mean()
    size = np.linalg.norm(middle)
    if size <= 1e-12 * np.linalg.norm(v) or size == 0:
        return None
    rest = middle - q @ (q.T @ middle)
    rest = rest - q @ (q.T @ rest)
    return rest if np.linalg.norm(rest) > 1e-8 * size else None


def least_squares(y: Array, x: Array, z: Array | None, *, hc3: bool = False) -> Answer:
    q = basis(z, len(y))
    yr, xr = left(y / np.abs(y).max(), q) if y.any() else None, left(x, q)
    df = len(y) - q.shape[1] - 1
    if yr is None or xr is None or df < 1:
        return None
    scale, ss = np.abs(y).max(), xr @ xr
    b = xr @ yr / ss
    e = yr - b * xr
    if e @ e <= 1e-20 * (yr @ yr):
        return 0.0, b * scale
    se = np.sqrt(e @ e / df / ss)
    if hc3:
        h = (q**2).sum(axis=1) + xr**2 / ss
        if (h > 1 - 1e-9).any():
            return None
        se = np.sqrt(np.sum((xr * e / (1 - h)) ** 2)) / ss
    return float(2 * stats.t.sf(abs(b) / se, df)), b * scale


def spearman(y: Array, x: Array, z: Array | None) -> Answer:
    ranked = None if z is None else stats.rankdata(z, axis=0)
    sides = [stats.rankdata(side) for side in (y, x)]
    found = least_squares(*sides, ranked)
    if found is None:
        return None
    q = basis(ranked, len(y))
    return found[0], float(np.corrcoef(*(left(side, q) for side in sides))[0, 1])


# Likelihoods of one sample by its linear predictor; all are analytic, for complex steps.


def binary(y: Array, eta: Array, _more: Array) -> Array:
    return y * eta - np.log(1 + np.exp(eta))


def classes(y: Array, eta: Array, more: Array) -> Array:
    cuts = np.concatenate([[-300.0], np.cumsum(np.r_[more[:1], np.exp(more[1:])]), [300.0]])
    low, high = cuts[y.astype(int)] - eta, cuts[y.astype(int) + 1] - eta
    return np.log(1 / (1 + np.exp(-high)) - 1 / (1 + np.exp(-low)))


def counts(offset: Array) -> Callable[[Array, Array, Array], Array]:
    def each(y: Array, eta: Array, more: Array) -> Array:
        size, mean = np.exp(more[0]), np.exp(eta + offset)
        ends = special.loggamma(y + size) - special.loggamma(size + 0 * y)
        return ends + size * np.log(size / (size + mean)) + y * np.log(mean / (size + mean))

    return each


def maximum(each: Callable, y: Array, design: Array, more: Array) -> Array | None:  # type: ignore[type-arg]
    """Return the parameters (columns of the design, then `more`); None where there is none."""
    width = design.shape[1]

    def value(theta: Array) -> Array:
        return np.sum(each(y, design @ theta[:width], theta[width:]))

    def slope(theta: Array) -> Array:
        steps = theta + 1e-25j * np.eye(len(theta))
        return np.array([value(row).imag for row in steps]) / 1e-25

    start = np.r_[np.zeros(width), more]
    with np.errstate(all="ignore"):
        found = optimize.minimize(
            lambda t: -value(t).real, start, jac=lambda t: -slope(t), method="BFGS",
            options={"gtol": 1e-7, "maxiter": 400},
        ).x  # fmt: skip
        better = optimize.root(slope, found, tol=1e-12).x
        if np.abs(slope(better)).max() < np.abs(slope(found)).max():
            found = better
    return None if np.abs(found[:width]).max(initial=0) > 25 else found


def standard(x: Array) -> Array:
    return (x - x.mean()) / x.std()


def separated(y: Array, design: Array) -> bool:
    """Whether a plane parts the classes, or touches both: a linear programme."""
    signed = np.where(y > 0, 1.0, -1.0)[:, None] * design
    bounds = [(-1, 1)] * design.shape[1]
    found = optimize.linprog(
        -signed.sum(axis=0), A_ub=-signed, b_ub=np.zeros(len(y)), bounds=bounds
    )
    return bool(-found.fun > 1e-7)


def ordered(y: Array, design: Array) -> bool:
    """Whether a direction puts the classes in their order, ties allowed: a linear programme."""
    low, high = np.nonzero(y[:, None] < y[None, :])
    apart = design[high] - design[low]
    bounds = [(-1, 1)] * design.shape[1]
    found = optimize.linprog(
        -apart.sum(axis=0), A_ub=-apart, b_ub=np.zeros(len(apart)), bounds=bounds
    )
    return bool(-found.fun > 1e-7)


def empty(y: Array, design: Array) -> bool:
    """Whether a direction lowers the means of zero counts alone: a linear programme."""
    zero, some = design[y == 0], design[y > 0]
    bounds = [(-1, 1)] * design.shape[1]
    found = optimize.linprog(
        zero.sum(axis=0), A_ub=zero, b_ub=np.zeros(len(zero)), A_eq=some, b_eq=np.zeros(len(some)),
        bounds=bounds,
    )  # fmt: skip
    return bool(-found.fun > 1e-7)


def firth(y: Array, design: Array) -> Array:
    """Return the root of Firth's modified score."""

    def score(theta: Array) -> Array:
        p = special.expit(design @ theta)
        root = design * np.sqrt(p * (1 - p))[:, None]
        h = np.einsum("ij,ji->i", root, np.linalg.pinv(root))
        return design.T @ (y - p + h * (0.5 - p))

    return optimize.root(score, np.zeros(design.shape[1]), tol=1e-12, method="hybr").x


def model(  # noqa: PLR0917
    each: Callable, y: Array, x: Array, z: Array | None, more: Array, effect: str
) -> Answer:  # type: ignore[type-arg]
    """Return p of the score test with a t reference, and the effect of the whole model."""
    q = basis(z, len(y)) * np.sqrt(len(y))
    with np.errstate(divide="ignore", invalid="ignore"):
        x_left = left(x, q / np.sqrt(len(y)))
    null_design = q[:, 1:] if effect == "ordinal" else q
    if x_left is None:
        return None
    parted = effect in ("logistic", "firth") and separated(y, q)
    if effect == "negbinom" and empty(y, q):
        return np.nan, np.nan
    null = firth(y, q) if parted else maximum(each, y, null_design, more)
    if null is None or (effect == "ordinal" and null_design.size and ordered(y, null_design)):
        return None
    width = null_design.shape[1]
    eta = null_design @ null[:width]
    residual = each(y, eta + 1e-25j, null[width:]).imag / 1e-25
    found = least_squares(residual, x, z)
    if found is None:
        return None
    full = np.column_stack([null_design, standard(x)])
    if effect == "firth" or (effect == "logistic" and separated(y, full)):
        if full.shape[1] >= len(y):
            return None if effect == "firth" else (found[0], np.nan)
        return found[0], firth(y, full)[-1] / x.std()
    if (effect == "ordinal" and ordered(y, full)) or (effect == "negbinom" and empty(y, full)):
        return found[0], np.nan
    # The likelihood of a dispersion may have two maxima.
    starts = [null[width:], more] if effect == "negbinom" else [null[width:]]
    tried = [maximum(each, y, full, start) for start in starts]
    done = [best for best in tried if best is not None]
    if not done:
        return found[0], np.nan
    last = full.shape[1]
    best = max(done, key=lambda t: float(np.sum(each(y, full @ t[:last], t[last:]))))
    return found[0], best[width] / x.std()


def mixed(y: Array, x: Array, z: Array | None, patient: Array) -> Answer:
    """Return the effect of restricted maximum likelihood by dense algebra; p from its own df."""
    design = np.column_stack([basis(z, len(y)), standard(x)])
    unit = standard(y)
    same = (patient[:, None] == patient).astype(float)

    def parts(log_ratio: float) -> tuple[float, Array]:
        v = np.eye(len(y)) + np.exp(log_ratio) * same
        solved = np.linalg.solve(v, np.column_stack([design, unit]))
        inner = design.T @ solved[:, :-1]
        beta = np.linalg.solve(inner, design.T @ solved[:, -1])
        rest = unit - design @ beta
        df = len(y) - design.shape[1]
        quad = rest @ np.linalg.solve(v, rest)
        deviance = np.linalg.slogdet(v)[1] + np.linalg.slogdet(inner)[1] + df * np.log(quad)
        return deviance, beta

    grid = np.linspace(-18, 8, 53)
    best = grid[np.argmin([parts(g)[0] for g in grid])]
    found = optimize.minimize_scalar(
        lambda g: parts(g)[0], bounds=(best - 0.6, best + 0.6), method="bounded",
        options={"xatol": 1e-9},
    )  # fmt: skip
    return np.nan, parts(found.x)[1][-1] * y.std() / x.std()


def alone(test: str, y: Array, x: Array) -> Answer:
    """Return what a test without covariates says."""
    levels = [np.unique(side) for side in (y, x)]
    if min(len(item) for item in levels) < 2:
        return None
    zero_one = [set(item) <= {0.0, 1.0} for item in levels]
    table = np.array([[np.sum((y == a) & (x == b)) for b in levels[1]] for a in levels[0]])
    if test == "mann_whitney":
        parts = [y[x == 1], y[x == 0]]
        exact = "exact" if len(levels[0]) == len(y) else "asymptotic"
        found = stats.mannwhitneyu(*parts, method=exact)
        return found.pvalue, 2 * found.statistic / (len(parts[0]) * len(parts[1])) - 1
    if test == "kruskal":
        if len(levels[1]) >= len(y):
            return None
        rank = stats.rankdata(y)
        with np.errstate(divide="ignore"):
            found = stats.f_oneway(*(rank[x == level] for level in levels[1]))
        return found.pvalue, np.nan
    if test == "jonckheere":
        return jonckheere(y, x)
    if test == "fisher":
        return stats.fisher_exact(table).pvalue, np.nan
    if test == "chi2":
        return stats.chi2_contingency(table, correction=False).pvalue, np.nan
    assert any(zero_one)
    r = np.corrcoef(y, x)[0, 1]
    return float(stats.chi2.sf(len(y) * r**2, 1)), np.nan


def jonckheere(y: Array, x: Array) -> Answer:
    """All permutations of few samples; for two groups Mann-Whitney without correction."""
    if len(y) <= 6:

        def statistic(values: Array) -> float:
            ordered = np.less.outer(x, x)
            return float(np.sum(ordered * np.sign(values[None, :] - values[:, None])))

        every = [statistic(np.array(order)) for order in permutations(y)]
        z = statistic(y) / np.std(every)
        return float(2 * stats.norm.sf(abs(z))), np.nan
    if len(np.unique(x)) != 2:
        return np.nan, np.nan
    parts = [y[x == level] for level in np.unique(x)]
    return stats.mannwhitneyu(*parts, method="asymptotic", use_continuity=False).pvalue, np.nan


def suits(test: str, row: dict, y: Array, x: Array) -> bool:  # type: ignore[type-arg]
    """Whether a pair's columns are of the type that a test needs."""
    kinds = [set(np.unique(side)) <= {0.0, 1.0} for side in (y, x)]
    if test == "fisher":
        return all(kinds)
    if test == "trend":
        return any(kinds) and max(len(np.unique(side)) for side in (y, x)) <= 20
    if test == "mann_whitney":
        return kinds[1]
    return "another type" not in row["reason"]


def definition(test: str, y: Array, x: Array, z: Array | None, extra: Array) -> Answer:
    """Return what the test says by its definition; y is the outcome."""
    if len(y) < 3:
        return None
    if test in ALONE:
        return alone(test, y, x)
    if test in ("linear", "linear_hc3"):
        return least_squares(y, x, z, hc3=test == "linear_hc3")
    if test == "spearman":
        return spearman(y, x, z)
    if test == "mixed":
        found = least_squares(y, x, z)
        if found is None or found[0] == 0:
            return found
        # Two variances need two degrees of freedom.
        return None if len(y) - basis(z, len(y)).shape[1] < 3 else mixed(y, x, z, extra)
    if test == "negbinom":
        return model(counts(extra), y, x, z, np.zeros(1), test) if y.any() else None
    names, code = np.unique(y, return_inverse=True)
    if len(names) < 2:
        return None
    more = np.r_[-1.0, np.zeros(len(names) - 2)] if test == "ordinal" else np.zeros(0)
    return model(classes if test == "ordinal" else binary, code * 1.0, x, z, more, test)


CASES = [
    (test, n, kind)
    for test in (*ADJUSTED, *ALONE)
    for n in SIZES
    for kind in ("none", "two", "collinear")
    if kind == "none" or test not in ALONE
]


@pytest.mark.parametrize(("test", "n", "kind"), CASES)
def test_every_pair_is_the_definition_or_nothing(test: str, n: int, kind: str) -> None:
    traits, genes, z = columns(n)
    ids = [f"s{i}" for i in range(n)]
    images = PhenotypeTable.from_frame(pl.DataFrame({"sample": ids, **traits}))
    layer = OmicsTable(ids, tuple(genes), np.column_stack(list(genes.values())), "other", "")
    options: dict = {"phenotype_types": {"ties": "ordinal"}} if test == "ordinal" else {}
    extra = np.repeat(np.arange(n // 2), 2)
    if test == "mixed":
        options["clusters"] = dict(zip(ids, extra.astype(str), strict=True))
    if test == "negbinom":
        rng = np.random.default_rng(n)
        genes = {"poisson": rng.poisson(9, n), "large": rng.negative_binomial(2, 0.01, n),
                 "zero": np.zeros(n), "one": np.r_[1, np.zeros(n - 1)]}  # fmt: skip
        genes = {name: column.astype(float) for name, column in genes.items()}
        values = np.column_stack(list(genes.values()))
        layer = OmicsTable(ids, tuple(genes), values, "expression", "counts")
        extra = np.log(median_ratio_factors(values))
    adjust = adjusting(kind, z)
    covariates = (
        None if adjust is None
        else Covariates(tuple(ids), tuple(f"z{k}" for k in range(adjust.shape[1])), adjust)
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = scan(images, layer, covariates, test=test, min_n=3, min_group=1, **options).frame
    rtol = {"negbinom": 2e-3, "mixed": 1e-4, "ordinal": 1e-4}.get(test, 1e-6)
    answers = 0
    for row in frame.iter_rows(named=True):
        swapped = str(row["model"]).startswith("omics")
        y, x = traits[row["phenotype"]], genes[row["omics"]]
        known = np.isfinite(y) & np.isfinite(x)
        sides = (x[known], y[known]) if swapped else (y[known], x[known])
        sub = None if adjust is None else adjust[known]
        label = f"{test} {kind} n={n} {row['phenotype']} {row['omics']}: {row['reason']}"
        assert row["n"] == known.sum(), label
        if not suits(test, row, *sides):
            assert row["p"] is None, label
            assert row["reason"], label
            continue
        want = definition(test, *sides, sub, extra[known])
        if want is None:
            assert row["p"] is None, label
            assert row["reason"], label
            continue
        answers += 1
        assert row["p"] is not None, label + f" wanted {want}"
        assert 0 <= row["p"] <= 1, label
        if np.isfinite(want[0]):
            assert row["p"] == pytest.approx(want[0], rel=rtol * 10, abs=1e-12), label
        if np.isfinite(want[1]):
            unit = 1.0 if test in RANKED else sides[0].std() / sides[1].std()
            size = 1e-12 * unit
            assert row["effect"] == pytest.approx(want[1], rel=rtol * 10, abs=size), label
    assert answers >= 4


def squeezed(variance: Array, df: Array) -> tuple[Array, Array]:
    """Return variances shrunk to the prior of limma (Smyth 2004, section 6.2), and their df."""
    level = np.maximum(variance, 1e-5 * np.median(variance))
    e = np.log(level) - special.digamma(df / 2) + np.log(df / 2)
    excess = np.var(e, ddof=1) - special.polygamma(1, df / 2).mean() if len(e) > 1 else np.nan
    if np.isnan(excess):
        return variance, df
    if excess <= 0:
        return np.full(len(df), level.mean()), np.full(len(df), df.sum())
    half = np.exp(optimize.brentq(lambda v: special.polygamma(1, np.exp(v)) - excess, -30, 30))
    prior = np.exp(e.mean() + special.digamma(half) - np.log(half))
    both = (2 * half * prior + df * variance) / (2 * half + df)
    return both, np.minimum(df + 2 * half, df.sum())


@pytest.mark.parametrize("kind", ["none", "two", "collinear"])
@pytest.mark.parametrize("n", SIZES)
def test_moderated_pairs_are_limmas_formula_or_nothing(n: int, kind: str) -> None:
    traits, genes, z = columns(n)
    for sides in (traits, genes):  # no exact fits: their variance is 0, and moderation without end
        sides.pop("gene")
    ids = [f"s{i}" for i in range(n)]
    images = PhenotypeTable.from_frame(pl.DataFrame({"sample": ids, **traits}))
    layer = OmicsTable(ids, tuple(genes), np.column_stack(list(genes.values())), "other", "")
    adjust = adjusting(kind, z)
    names = () if adjust is None else tuple(f"z{k}" for k in range(adjust.shape[1]))
    covariates = None if adjust is None else Covariates(tuple(ids), names, adjust)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = scan(images, layer, covariates, test="moderated", min_n=3, min_group=1)
    frame = result.frame.with_columns(pl.col("model").cast(pl.String))
    seen = 0
    for row in frame.filter(pl.col("p").is_null()).iter_rows(named=True):
        assert row["reason"], row
    for (model_name, predictor), part in frame.filter(pl.col("p").is_not_null()).group_by(
        "model",
        pl.when(pl.col("model") == "omics ~ phenotype").then("phenotype").otherwise("omics"),
    ):
        swapped = model_name == "omics ~ phenotype"
        fits = []
        for row in part.iter_rows(named=True):
            y, x = traits[row["phenotype"]], genes[row["omics"]]
            known = np.isfinite(y) & np.isfinite(x)
            y, x = (x[known], y[known]) if swapped else (y[known], x[known])
            q = basis(None if adjust is None else adjust[known], len(y))
            xr, scale = left(x, q), np.abs(y).max()
            yr = left(y / scale, q)
            assert xr is not None, (row, predictor)
            assert yr is not None, (row, predictor)
            b, df = xr @ yr / (xr @ xr), len(y) - q.shape[1] - 1
            fits.append((b * scale, np.sum((yr - b * xr) ** 2) / df * scale**2, df, xr @ xr))
        effect, variance, df, ss = (np.array(column) for column in zip(*fits, strict=True))
        if len(df) < 3:
            continue
        both, total = squeezed(variance, df * 1.0)
        want = 2 * stats.t.sf(np.abs(effect) / np.sqrt(both / ss), total)
        np.testing.assert_allclose(part["p"], want, rtol=1e-5, err_msg=f"{model_name} {predictor}")
        np.testing.assert_allclose(
            part["effect"], effect, rtol=1e-6, atol=1e-12 * np.abs(effect).max()
        )
        seen += len(want)
    assert seen >= 8 or n == 6
