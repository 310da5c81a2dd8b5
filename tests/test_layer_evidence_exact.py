"""Evidence across layers: combinations against definitions, dependence, agreement in words."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from radgen.associate import evidence, scan
from radgen.errors import InputError
from radgen.stats import combine
from radgen.stats.combine_rows import (
    cauchy_rows,
    fisher_rows,
    folded_covariance,
    harmonic_rows,
    joint_rows,
    log_covariance,
    partial_conjunction,
    stouffer_rows,
)
from radgen.types import Covariates, OmicsTable, PhenotypeTable

RNG = np.random.default_rng(11)


def _p(rows: int = 40, layers: int = 4) -> np.ndarray:
    p = RNG.uniform(1e-12, 1, (rows, layers)) ** RNG.integers(1, 6, (rows, layers))
    p[RNG.random(p.shape) < 0.2] = np.nan
    p[0] = np.nan
    p[1] = [0.3, np.nan, np.nan, np.nan]
    return p


@pytest.mark.parametrize(
    ("rows", "one"),
    [(fisher_rows, combine.fisher), (cauchy_rows, combine.cauchy),
     (harmonic_rows, combine.harmonic_mean)],
)  # fmt: skip
def test_rows_are_the_single_combination(rows, one) -> None:  # type: ignore[no-untyped-def]
    p = _p()
    want = [one(row) for row in p]
    np.testing.assert_allclose(rows(np.log10(p)), want, rtol=1e-9, equal_nan=True)


def test_fisher_is_scipys() -> None:
    p = RNG.random((20, 3))
    want = [stats.combine_pvalues(row, method="fisher").pvalue for row in p]
    np.testing.assert_allclose(10 ** fisher_rows(np.log10(p)), want, rtol=1e-12)


def test_combinations_hold_where_p_underflows() -> None:
    deep = np.array([[-400.0, -300.0, -2.0], [-20.0, -19.0, -1.0]])
    mean = [-np.log10((10.0**0 + 10.0**-100) / 3) - 400, -np.log10((1e20 + 1e19 + 10) / 3)]
    np.testing.assert_allclose(cauchy_rows(deep), mean, rtol=1e-12)
    np.testing.assert_allclose(harmonic_rows(deep), mean, rtol=1e-12)
    statistic = 2 * np.log(10) * 702
    # Upper tail of chi-square with 6 df: exp(-x/2) (1 + x/2 + (x/2)^2/2).
    half = statistic / 2
    want = (-half + np.log(1 + half + half**2 / 2)) / np.log(10)
    assert fisher_rows(deep)[0] == pytest.approx(want, rel=1e-12)


def test_equal_layers_are_one_layer() -> None:
    log10p = np.array([[-3.0, -3.0, -3.0], [-0.2, -0.2, np.nan]])
    covariance = log_covariance(np.ones((3, 3)))
    np.testing.assert_allclose(fisher_rows(log10p, covariance), [-3, -0.2], rtol=1e-9)
    z, log = stouffer_rows([[2.0, 2.0, 2.0]], np.ones((3, 3)))
    assert z[0] == pytest.approx(2.0)
    assert 10 ** log[0] == pytest.approx(2 * stats.norm.sf(2.0))


@pytest.mark.parametrize("r", [0.15, 0.5, -0.8, 0.95])
def test_covariance_of_logs_is_its_integral(r: float) -> None:
    nodes, weights = np.polynomial.legendre.leggauss(400)
    z, w = 9 * nodes, 9 * weights

    def height(x: np.ndarray) -> np.ndarray:
        return -2 * (stats.norm.logsf(np.abs(x)) + np.log(2)) - 2

    # The kink at 0 and the ridge of the density: the second variable runs along the ridge.
    half = np.concatenate([4.5 * (nodes + 1), -4.5 * (nodes + 1)])
    half_w = np.concatenate([4.5 * weights, 4.5 * weights])
    inner = r * half[:, None] + np.sqrt(1 - r**2) * z
    total = np.sum(
        half_w[:, None] * w * stats.norm.pdf(half)[:, None] * stats.norm.pdf(z)
        * height(half)[:, None] * height(inner)
    )  # fmt: skip
    assert log_covariance(r) == pytest.approx(total, abs=2e-3 if abs(r) > 0.9 else 2e-4)


def test_stouffer_is_a_sum_over_its_spread() -> None:
    z = RNG.standard_normal((5, 3))
    z[2, 1] = np.nan
    matrix = np.array([[1, 0.4, -0.2], [0.4, 1, 0.1], [-0.2, 0.1, 1]])
    total, log10p = stouffer_rows(z, matrix)
    for row, value, log in zip(z, total, log10p, strict=True):
        known = ~np.isnan(row)
        want = row[known].sum() / np.sqrt(matrix[np.ix_(known, known)].sum())
        assert value == pytest.approx(want, rel=1e-12)
        assert 10**log == pytest.approx(2 * stats.norm.sf(abs(want)), rel=1e-10)


def test_joint_test_is_the_quadratic_form() -> None:
    matrix = np.array([[1, 0.4, -0.2], [0.4, 1, 0.1], [-0.2, 0.1, 1]])
    z = np.array([[2.0, -1.0, 0.5], [np.nan, 1.0, 3.0], [np.nan] * 3])
    got = joint_rows(z, matrix)
    want = stats.chi2.sf(z[0] @ np.linalg.solve(matrix, z[0]), 3)
    part = stats.chi2.sf(z[1, 1:] @ np.linalg.solve(matrix[1:, 1:], z[1, 1:]), 2)
    np.testing.assert_allclose(10 ** got[:2], [want, part], rtol=1e-10)
    assert np.isnan(got[2])
    # Equal layers count once.
    once = joint_rows([[2.0, 2.0]], np.ones((2, 2)))
    np.testing.assert_allclose(10**once, 2 * stats.norm.sf(2.0), rtol=1e-8)


def test_partial_conjunction_is_the_second_smallest_p() -> None:
    p = _p()
    got = 10 ** partial_conjunction(np.log10(p))
    for row, value in zip(p, got, strict=True):
        known = np.sort(row[~np.isnan(row)])
        if len(known) < 2:
            assert np.isnan(value)
        else:
            assert value == pytest.approx(min(1, (len(known) - 1) * known[1]), rel=1e-12)


def test_folded_covariance_counts_both_tails() -> None:
    x = RNG.standard_normal(400)
    data = np.column_stack([x, -x, RNG.standard_normal(400)])
    found = folded_covariance(data)
    assert found[0, 1] == pytest.approx(4.0)
    assert abs(found[0, 2]) < 0.6
    with pytest.raises(InputError, match="no missing"):
        folded_covariance([[1.0, np.nan]] * 4)


def _layers(n: int = 120, genes: int = 12):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(5)
    ids = [f"s{i}" for i in range(n)]
    names = [f"G{j}" for j in range(genes)]
    z = rng.standard_normal((n, 2))
    copy = rng.standard_normal((n, genes))
    rna = 0.7 * copy + 0.7 * rng.standard_normal((n, genes)) + z[:, :1]
    beta = -0.6 * rna + 0.8 * rng.standard_normal((n, genes))
    mutated = (rng.random((n, genes)) < 0.2).astype(float)
    copy[rng.random(copy.shape) < 0.1] = np.nan
    tables = [
        OmicsTable(ids, names, rna, "expression", "log2"),
        OmicsTable(ids[:90], names[2:], copy[:90, 2:], "copy_number", "log2"),
        OmicsTable(ids, names, beta, "methylation", "M"),
        OmicsTable(ids, names, mutated, "mutation", "binary"),
    ]
    traits = rng.standard_normal((n, 3)) + z[:, 1:]
    traits[:, 0] += 0.9 * rna[:, 4]
    traits[:, 1] += 0.9 * rna[:, 5] + 0.9 * beta[:, 5] + 0.8 * mutated[:, 5]
    images = PhenotypeTable.from_frame(
        pl.DataFrame({"sample": ids} | {f"t{j}": traits[:, j] for j in range(3)})
    )
    return images, tables, Covariates(tuple(ids), ("age", "sex"), z)


@pytest.mark.parametrize("method", ["brown", "empirical_brown", "stouffer", "joint"])
def test_a_gene_is_combined_by_its_own_layers(method: str) -> None:
    images, tables, z = _layers()
    result = evidence(images, tables, z, method=method)
    pairs = scan(images, tables, z).frame
    row = result.frame.filter((pl.col("gene") == "G7") & (pl.col("phenotype") == "t2"))
    own = pairs.filter((pl.col("omics") == "G7") & (pl.col("phenotype") == "t2"))
    mine = {r["layer"]: r for r in own.iter_rows(named=True)}
    order = [table.layer for table in tables]
    # Residuals on covariates in each layer's own samples; correlation where both are measured.
    design = np.column_stack([np.ones(120), z.values])
    residual = np.full((120, 4), np.nan)
    for k, table in enumerate(tables):
        x = np.full(120, np.nan)
        x[: table.n_samples] = table.values[:, table.features.index("G7")]
        at = np.isfinite(x)
        fit = np.linalg.lstsq(design[at], x[at], rcond=None)[0]
        residual[at, k] = x[at] - design[at] @ fit
    matrix = np.eye(4) * (4 if method == "empirical_brown" else 1)
    for a in range(4):
        for b in range(a):
            both = np.isfinite(residual[:, [a, b]]).all(axis=1)
            share = both.sum() / np.sqrt(np.isfinite(residual[:, [a, b]]).sum(axis=0).prod())
            if method == "empirical_brown":
                value = folded_covariance(residual[both][:, [a, b]])[0, 1] * share**2
            else:
                value = np.corrcoef(residual[both][:, [a, b]].T)[0, 1] * share
            matrix[a, b] = matrix[b, a] = value
    log10p = np.array([[mine[name]["log10p"] for name in order]])
    zs = [stats.norm.isf(mine[n]["p"] / 2) * np.sign(mine[n]["effect"]) for n in order]
    if method == "stouffer":
        turn = np.array([1, 1, -1])
        _, want = stouffer_rows([zs[:3] * turn], matrix[:3, :3] * np.outer(turn, turn))
    elif method == "joint":
        statistic = zs @ np.linalg.solve(matrix, zs)
        want = [np.log10(stats.chi2.sf(statistic, 4))]
    elif method == "brown":
        want = fisher_rows(log10p, log_covariance(matrix))
    else:
        want = fisher_rows(log10p, matrix)
    assert row["log10p"][0] == pytest.approx(want[0], rel=1e-9)


def test_agreement_is_told_in_words() -> None:
    images, tables, z = _layers()
    result = evidence(images, tables, z)
    first = {(r["gene"], r["phenotype"]): r for r in result.frame.iter_rows(named=True)}
    hit = first["G4", "t0"]
    assert hit["q_bh"] < 1e-6
    assert hit["q_two"] < 0.05
    assert hit["direction"] == 1
    assert hit["agreement"].startswith("expression, copy number and methylation agree: higher")
    assert hit["z_methylation"] < 0 < hit["z_expression"]
    split = first["G5", "t1"]
    assert split["direction"] == 0
    assert "mutation has an effect without an expected direction" in split["agreement"]
    assert first["G0", "t0"]["n_layers"] == 3
    assert first["G0", "t0"]["z_copy_number"] is None
    assert "G4 and t0" in " ".join(result.statements())
    assert "Cauchy" in result.methods()
    assert result.significant(by="q_two").height >= 1


def test_what_cannot_be_combined_is_said() -> None:
    images, tables, z = _layers()
    with pytest.raises(InputError, match="Two or more layers"):
        evidence(images, tables[:1], z)
    with pytest.raises(InputError, match="Two or more layers"):
        evidence(images, [tables[0], tables[0]], z)
    strange = OmicsTable(tables[0].samples, [f"x{j}" for j in range(12)], tables[0].values,
                         "protein", "log2")  # fmt: skip
    with pytest.raises(InputError, match="named alike"):
        evidence(images, [tables[0], strange], z)
    with pytest.raises(InputError, match="by is no option"):
        evidence(images, tables, z, by={})
    few = evidence(images, tables, z, min_layers=4).frame
    assert few.filter(pl.col("gene") == "G0")["p"].null_count() == 3


def test_null_layers_keep_their_level() -> None:
    rng = np.random.default_rng(3)
    n, genes, traits = 80, 150, 60
    ids = [f"s{i}" for i in range(n)]
    base = rng.standard_normal((n, genes))
    names = [f"G{j}" for j in range(genes)]
    tables = [
        OmicsTable(ids, names, sign * base + 0.8 * rng.standard_normal((n, genes)), layer, "log2")
        for sign, layer in ((1, "expression"), (1, "copy_number"), (-1, "methylation"))
    ]
    images = PhenotypeTable.from_frame(
        pl.DataFrame({"sample": ids} | {f"t{j}": rng.standard_normal(n) for j in range(traits)})
    )
    shared = scan(images, tables)
    # 60 independent phenotypes a gene: binomial bands of 9,000 draws are wider than 0.006.
    for method, low, high in (("cauchy", 0.035, 0.065), ("brown", 0.035, 0.065),
                              ("stouffer", 0.035, 0.065), ("fisher", 0.07, 0.2)):  # fmt: skip
        p = evidence(images, tables, method=method, result=shared).frame["p"].to_numpy()
        assert low < np.mean(p <= 0.05) < high, method
