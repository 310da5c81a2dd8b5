"""Tests over many traits: naive definitions, closed forms, and null levels."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from radgen.associate import aspu, gwas, hierarchical_hits, max_t_scan, mostest, omnibus
from radgen.errors import FitError, InputError
from radgen.stats import omnibus as joint
from radgen.stats.combine import cauchy
from radgen.stats.effective import correlation, effective_columns, effective_tests
from radgen.stats.hierarchy import tree_bh
from radgen.stats.multiplicity import hierarchical
from radgen.stats.permutation import max_t, random_order
from radgen.types import ArrayDosages, GenotypeMatrix


def matrix(calls, chrom=None):
    m, n = calls.shape
    variants = pl.DataFrame(
        {"chrom": chrom or ["1"] * m, "pos": list(range(1, m + 1))}
        | {"id": [f"v{i}" for i in range(m)], "ref": ["A"] * m, "alt": ["C"] * m}
    )
    names = tuple(f"s{i}" for i in range(n))
    return GenotypeMatrix(names, variants, ArrayDosages(calls.astype(np.float32)))


def cohort(seed, n=150, m=200, k=8, missing=False):
    rng = np.random.default_rng(seed)
    calls = rng.binomial(2, rng.uniform(0.1, 0.5, m)[:, None], (m, n)).astype(float)
    x = rng.normal(size=(n, 3))
    mix = rng.normal(size=(k, k))
    y = rng.normal(size=(n, k)) @ mix + x @ rng.normal(size=(3, k))
    if missing:
        calls[rng.random(calls.shape) < 0.02] = np.nan
        y[rng.random((n, k)) < 0.03] = np.nan
    genotypes = matrix(calls)
    table = pl.DataFrame({"sample": genotypes.samples} | {f"y{j}": y[:, j] for j in range(k)})
    cov = pl.DataFrame({"sample": genotypes.samples} | {f"x{j}": x[:, j] for j in range(3)})
    return genotypes, table, cov, calls, y, x


def same(first, second):
    """Equal but for the rounding of products of other shapes."""
    assert first.select(pl.exclude(pl.Float64)).equals(second.select(pl.exclude(pl.Float64)))
    number = pl.col(pl.Float64)
    np.testing.assert_allclose(first.select(number), second.select(number), rtol=1e-9, atol=1e-12)


def residual_maker(x):
    design = np.column_stack([np.ones(len(x)), x])
    return np.eye(len(x)) - design @ np.linalg.pinv(design)


def test_cauchy_combination_of_rows_equals_the_single_one():
    rng = np.random.default_rng(1)
    p = rng.random((50, 6)) ** 4
    p[3, 2], p[4] = np.nan, 1.0
    p[5, 0] = 1.0
    weights = rng.random(6)
    found = joint.acat_rows(np.log10(p), weights)
    want = [cauchy(row, weights=weights) for row in p]
    np.testing.assert_allclose(found, want, rtol=1e-9)
    tiny = joint.acat_rows(np.array([[-200.0, -0.3], [-20.0, -19.0]]))
    np.testing.assert_allclose(
        tiny, [cauchy([1e-200, 10**-0.3]), cauchy([1e-20, 1e-19])], rtol=1e-9
    )
    assert np.isnan(joint.acat_rows([[np.nan, np.nan]]))[0]
    with pytest.raises(InputError):
        joint.acat_rows([[0.5]])


def test_normal_scores_are_near_the_exact_deviates():
    for df in (20, 100, 5000):
        t = np.linspace(0.1, 6, 40)
        r = t / np.sqrt(df + t * t)
        exact = stats.norm.isf(stats.t.sf(t, df))
        np.testing.assert_allclose(joint.normal_scores(r, df), exact, rtol=3e-3)


def test_fitted_distributions_and_their_tails_equal_scipy():
    rng = np.random.default_rng(2)
    x = rng.gamma(3.5, 2.0, 4000)
    shape, scale = joint.fit_gamma(x)
    want = stats.gamma.fit(x, floc=0)
    assert shape == pytest.approx(want[0], rel=1e-4)
    assert scale == pytest.approx(want[2], rel=1e-4)
    at = np.array([0.1, 5.0, 60.0])
    tail = np.log10(stats.gamma.sf(at, shape, scale=scale))
    np.testing.assert_allclose(joint.gamma_upper_log10(at, shape, scale), tail, rtol=1e-9)
    p = rng.beta(0.9, 12.0, 4000)
    a, b = joint.fit_beta(p)
    want = stats.beta.fit(p, floc=0, fscale=1)
    assert (a, b) == (pytest.approx(want[0], rel=1e-3), pytest.approx(want[1], rel=1e-3))
    at = np.array([-12.0, -9.5, -3.0, -0.5])
    want = np.log10(stats.beta.cdf(10**at, a, b))
    np.testing.assert_allclose(joint.beta_lower_log10(at, a, b), want, rtol=1e-8)
    with pytest.raises(FitError):
        joint.fit_gamma([1.0, 1.0, 1.0])
    with pytest.raises(FitError):
        joint.fit_beta([0.5])


@pytest.mark.parametrize("method", ["nyholt", "li_ji", "gao", "galwey"])
def test_effective_columns_equal_those_of_the_correlation(method):
    rng = np.random.default_rng(21)
    for shape in ((30, 8), (12, 40)):
        x = rng.normal(size=shape)
        x[:, 1] = x[:, 0] + 0.1 * x[:, 1]
        found = effective_columns(np.column_stack([x, np.full(len(x), 7.0)]), method)
        want = effective_tests(correlation(x), method)
        assert found == pytest.approx(want, rel=1e-6)
    x[3, 2] = np.nan
    assert effective_columns(x, method) == pytest.approx(effective_tests(correlation(x), method))
    with pytest.raises(InputError, match="No column"):
        effective_columns(np.ones((4, 2)))


def test_whitener_gives_the_mahalanobis_norm_and_raises_small_eigenvalues():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(40, 5))
    c = np.corrcoef(x, rowvar=False)
    z = rng.normal(size=(7, 5))
    white, kept = joint.whitener(c, share=1.0)
    want = np.einsum("ij,jk,ik->i", z, np.linalg.inv(c), z)
    np.testing.assert_allclose(np.square(z @ white).sum(axis=1), want, rtol=1e-10)
    assert kept == 5
    size = np.linalg.eigvalsh(c)[::-1]
    white, kept = joint.whitener(c, share=0.6)
    assert kept == int(np.searchsorted(np.cumsum(size) / 5, 0.6)) + 1
    flat = np.maximum(size, size[kept - 1])
    np.testing.assert_allclose(np.sort((white * white).sum(axis=0)), np.sort(1 / flat), rtol=1e-9)


@pytest.mark.parametrize("missing", [False, True])
def test_mostest_equals_its_definition(missing):
    genotypes, table, cov, calls, y, x = cohort(4, missing=missing)
    found = mostest(genotypes, table, cov, seed=7, share=1.0)
    again = mostest(genotypes, table, cov, seed=7, share=1.0, block_size=37)
    same(found.frame, again.frame)
    g = calls - np.nanmean(calls, axis=1, keepdims=True)
    g = np.nan_to_num(g)
    unit, z, null = np.zeros_like(y), np.empty((len(g), 8)), np.empty((len(g), 8))
    from radgen._core.rng import spawn

    shuffled = g.copy()
    for batch in range(-(-len(g) // 64)):
        rows = slice(64 * batch, 64 * batch + 64)
        shuffled[rows] = g[rows][:, spawn(7, "mostest", batch).permutation(len(x))]
    for j in range(8):
        use = np.isfinite(y[:, j])
        maker = residual_maker(x[use])
        left = maker @ y[use, j]
        unit[use, j] = left / np.linalg.norm(left)
        for source, target in ((g, z), (shuffled, null)):
            side = source[:, use] @ maker
            r = side @ left / np.linalg.norm(left) / np.linalg.norm(side, axis=1)
            target[:, j] = joint.normal_scores(r, use.sum() - 5)
    inverse = np.linalg.inv(unit.T @ unit)
    size, null_size = (np.einsum("ij,jk,ik->i", item, inverse, item) for item in (z, null))
    np.testing.assert_allclose(found.frame["mahalanobis"], size, rtol=1e-8)
    shape, _, scale = stats.gamma.fit(null_size, floc=0)
    np.testing.assert_allclose(
        found.frame["p"], stats.gamma.sf(size, shape, scale=scale), rtol=5e-3
    )
    least = stats.norm.sf(np.abs(z).max(axis=1)) * 2
    np.testing.assert_allclose(found.frame["min_log10p"], np.log10(least), rtol=1e-8)
    assert found.frame["min_trait"].to_list() == [f"y{j}" for j in np.abs(z).argmax(axis=1)]
    a, b, *_ = stats.beta.fit(stats.norm.sf(np.abs(null).max(axis=1)) * 2, floc=0, fscale=1)
    want = np.log10(stats.beta.cdf(least, a, b))
    np.testing.assert_allclose(found.frame["minp_log10p"], want, rtol=2e-2, atol=2e-3)
    assert 1 < found.params["effective_traits"] < 9
    assert "MOSTest" not in found.methods()
    assert "shuffled once" in found.methods()


def test_mostest_is_manova_for_normal_traits_and_finds_a_joint_effect():
    genotypes, table, cov, calls, _, _ = cohort(5, n=600, m=300)
    shift = pl.DataFrame({f"y{j}": 0.5 * calls[10] for j in (0, 3)})
    table = table.with_columns(pl.col(name) + shift[name] for name in shift.columns)
    joint_test = mostest(genotypes, table, cov, seed=1, share=1.0)
    manova = omnibus(genotypes, table, cov)
    both = np.corrcoef(joint_test.frame["mahalanobis"], -manova.frame["log10p"])[0, 1]
    assert both > 0.99
    assert joint_test.frame.sort("log10p")["id"][0] == "v10"
    observed = joint_test.null.filter(pl.col("level") == 0.05)["observed"].to_list()
    low, high = stats.binom.ppf([0.0005, 0.9995], 300, 0.05)
    assert all(low <= count <= high for count in observed)
    with pytest.raises(InputError, match="at least 100"):
        mostest(genotypes.take_variants(range(50)), table, cov, seed=1)


def test_acat_of_the_omnibus_is_that_of_the_scan():
    genotypes, table, cov, calls, _, _ = cohort(6, m=12)
    calls[2, :9] = np.nan
    found = omnibus(matrix(calls), table, cov).frame
    scan = gwas(matrix(calls), table, cov).frame
    for row, (_, part) in enumerate(scan.group_by("id", maintain_order=True)):
        assert found["acat_log10p"][row] == pytest.approx(cauchy(part["p"]), rel=1e-9)
    assert genotypes.n_variants == 12


def test_adaptive_sums_equal_their_definition():
    genotypes, table, cov, calls, y, x = cohort(7, n=60, m=4, k=5)
    powers = (1, 2, 3, float("inf"))
    found = aspu(
        genotypes, table, cov, seed=3, powers=powers, n_permutations=99, max_permutations=99
    )
    maker = residual_maker(x)

    def t_of(values):
        left = maker @ values
        side = calls @ maker
        r = side @ left / np.linalg.norm(left, axis=0) / np.linalg.norm(side, axis=1)[:, None]
        return r * np.sqrt(55 / (1 - r * r))

    def sums(t):
        each = [
            np.abs((t**g).sum(axis=1)) if np.isfinite(g) else np.abs(t).max(axis=1) for g in powers
        ]
        return np.column_stack(each)

    left = maker @ y
    label = np.zeros(60, np.int64)
    null = np.stack([sums(t_of(left[random_order(label, 3, i)])) for i in range(99)])
    observed = sums(t_of(y))
    for v in range(4):
        p = ((null[:, v] >= observed[v]).sum(axis=0) + 1) / 100
        each = (null[:, None, v] <= null[None, :, v]).sum(axis=1) / 99
        adaptive = ((each.min(axis=1) <= p.min()).sum() + 1) / 100
        row = found.frame.row(v, named=True)
        got = [row[name] for name in ("p_spu1", "p_spu2", "p_spu3", "p_spuinf")]
        np.testing.assert_allclose(got, p)
        assert row["p"] == pytest.approx(adaptive)
    with pytest.raises(InputError, match="Powers"):
        aspu(genotypes, table, cov, seed=3, powers=[0.5])
    assert "cannot give a p below" not in " ".join(found.statements()[:1])


def test_adaptive_sums_go_on_where_the_p_is_small():
    genotypes, table, _, calls, _, _ = cohort(8, n=80, m=3, k=4)
    table = table.with_columns(pl.col("y0") + 3.0 * calls[1])
    found = aspu(genotypes, table, seed=1, n_permutations=100, max_permutations=2000)
    strong, weak = found.frame["n_permutations"][1], found.frame["n_permutations"].min()
    assert (strong, weak) == (2000, 100)
    assert found.frame["p"][1] == pytest.approx(1 / 2001)


def test_max_t_over_a_genome_equals_the_exact_permutation_test():
    rng = np.random.default_rng(9)
    calls, y = rng.normal(1, 0.3, (5, 6)), rng.normal(size=(6, 2))
    genotypes = matrix(calls)
    table = pl.DataFrame({"sample": genotypes.samples, "a": y[:, 0], "b": y[:, 1]})
    found = max_t_scan(genotypes, table, seed=1, n_permutations=1000, threshold=1.0)
    want = max_t(y, calls.T, n_permutations=1000, seed=1)
    assert found.params["exact"]
    assert found.params["n_permutations"] == 719
    grid = found.frame.sort("pos", "phenotype")["p_all"].to_numpy().reshape(5, 2)
    np.testing.assert_allclose(grid, want.p, atol=1e-12)
    alone = max_t(y[:, :1], calls.T, n_permutations=1000, seed=1)
    first = found.frame.filter(pl.col("phenotype") == "a").sort("pos")["p_trait"]
    np.testing.assert_allclose(first, alone.p[:, 0], atol=1e-12)


def test_max_t_with_covariates_strata_and_missing_values_equals_its_definition():
    genotypes, table, cov, calls, y, x = cohort(10, n=50, m=20, k=3, missing=True)
    strata = ["a"] * 20 + ["b"] * 30
    found = max_t_scan(
        genotypes, table, cov, seed=5, n_permutations=60, strata=strata, threshold=1.0
    )
    blocks = max_t_scan(
        genotypes, table, cov, seed=5, n_permutations=60, strata=strata, threshold=1.0, block_size=7
    )
    same(found.frame, blocks.frame)
    maker = residual_maker(x)
    unit, df = np.zeros((50, 3)), np.empty(3)
    for j in range(3):
        use = np.isfinite(y[:, j])
        left = residual_maker(x[use]) @ y[use, j]
        unit[use, j], df[j] = left / np.linalg.norm(left), use.sum() - 5
    side = np.nan_to_num(calls - np.nanmean(calls, axis=1, keepdims=True)) @ maker
    side /= np.linalg.norm(side, axis=1, keepdims=True)

    def t2(values):
        left = maker @ values
        r2 = (side @ (left / np.linalg.norm(left, axis=0))) ** 2
        return r2 * df / (1 - r2)

    label = np.array([0] * 20 + [1] * 30)
    maxima = [t2(unit[random_order(label, 5, i)]).max() for i in range(60)]
    r2 = (side @ unit) ** 2
    observed = r2 * df / (1 - r2)
    want = (1 + (np.array(maxima)[:, None, None] >= observed).sum(axis=0)) / 61
    grid = found.frame.sort("pos", "phenotype")["p_all"].to_numpy().reshape(20, 3)
    np.testing.assert_allclose(grid, want)
    whole = found.summary.row(3, named=True)
    rank = np.sort(maxima)[::-1][2]  # the third largest of 60: floor(0.05 * 61)
    assert whole["threshold_p"] == pytest.approx(
        2 * stats.t.sf(np.sqrt(rank), np.median(df)), rel=1e-3
    )
    with pytest.raises(InputError, match="strata"):
        max_t_scan(genotypes, table, cov, seed=5, strata=["a"])


def test_two_levels_of_a_tree_are_the_two_level_procedure():
    rng = np.random.default_rng(11)
    p = rng.random(300) ** 2.2
    family = rng.integers(0, 30, 300)
    want = hierarchical(p, family)
    for level in (0.01, 0.05, 0.2):
        top, leaves = tree_bh(p, [family], q=[level, level])
        assert (leaves.selected == (want <= level)).all()
        assert top.selected.sum() == len(np.unique(family[want <= level]))


def naive_tree(p, variant, region, q):
    """Three levels by plain recursion."""

    def simes(values):
        ranked = np.sort(values)
        return min((len(ranked) * ranked / np.arange(1, len(ranked) + 1)).min(), 1.0)

    def selected(values, bound):
        ranked = np.sort(values)
        line = bound * np.arange(1, len(ranked) + 1) / len(ranked)
        good = np.flatnonzero(ranked <= line)
        return values <= ranked[good[-1]] if len(good) else np.zeros(len(values), bool)

    out = np.zeros(len(p), bool)
    names = np.unique(variant)
    region_p = {
        v: {r: simes(p[(variant == v) & (region == r)]) for r in np.unique(region[variant == v])}
        for v in names
    }
    top = np.array([simes(np.array(list(region_p[v].values()))) for v in names])
    chosen = selected(top, q[0])
    for v in names[chosen]:
        own = list(region_p[v])
        middle = selected(np.array([region_p[v][r] for r in own]), q[1] * chosen.mean())
        for r in np.array(own)[middle]:
            rows = np.flatnonzero((variant == v) & (region == r))
            out[rows[selected(p[rows], q[2] * chosen.mean() * middle.mean())]] = True
    return out


def test_three_levels_of_a_tree_equal_plain_recursion_and_need_only_small_p():
    rng = np.random.default_rng(12)
    variant, region = np.repeat(np.arange(20), 60), np.tile(np.repeat(np.arange(6), 10), 20)
    p = rng.random(1200)
    p[:60][region[:60] < 2] = rng.random(20) * 1e-4
    p[300:305] = 1e-6
    q = (0.05, 0.1, 0.05)
    want = naive_tree(p, variant, region, q)
    leaves = tree_bh(p, [variant, region], q=q)[-1]
    assert want.sum() > 20
    assert (leaves.selected == want).all()
    kept = p < 0.01
    some = tree_bh(p[kept], [variant[kept], region[kept]], q=q, sizes=[20, 6, 10])[-1]
    assert (some.selected == want[kept]).all()
    with pytest.raises(InputError, match="smaller"):
        tree_bh(p, [variant, region], q=q, sizes=[20, 2, 10])


def test_hits_of_a_scan_are_selected_by_variant_and_region():
    genotypes, table, cov, calls, _, _ = cohort(13, n=200, m=60, k=12)
    table = table.with_columns(pl.col(f"y{j}") + 1.5 * calls[4] * (1 + j) for j in range(6))
    scan = gwas(genotypes, table, cov, threshold=0.01)
    regions = {f"y{j}": "left" if j < 6 else "right" for j in range(12)}
    found = hierarchical_hits(scan, regions=regions)
    whole = hierarchical_hits(gwas(genotypes, table, cov), regions=regions)
    assert found.frame.select("id", "phenotype").equals(whole.frame.select("id", "phenotype"))
    assert found.variants.filter("selected")["id"].to_list() == ["v4"]
    assert found.regions.filter("selected")["region"].to_list() == ["left"]
    assert found.params["n_variants"] == 60
    assert "v4" in found.statements()[1]
    flat = hierarchical_hits(scan)
    assert set(flat.frame["id"]) == {"v4"}
    with pytest.raises(InputError, match="no region"):
        hierarchical_hits(scan, regions={"y0": "left"})
