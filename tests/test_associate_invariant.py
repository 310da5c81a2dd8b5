"""Scans: matching by id, all pairs returned, statuses, invariance."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor

import numpy as np
import polars as pl
import pytest

from radgen.associate import AssociationResult, scan
from radgen.errors import AlignmentError, InputError
from radgen.types import Covariates, OmicsTable, PhenotypeTable


def _cohort(seed: int = 0, n: int = 80):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(seed)
    ids = [f"s{i:03d}" for i in range(n)]
    mutation = (rng.random((n, 4)) < [0.3, 0.02, 0.5, 0.0]).astype(float)
    mutation[rng.random((n, 4)) < 0.05] = np.nan
    expression = rng.normal(size=(n, 5))
    z = rng.normal(size=(n, 2))
    y = rng.normal(size=(n, 3)) + z[:, :1]
    y[:, 0] += 3 * np.nan_to_num(mutation[:, 0])
    y[rng.random((n, 3)) < 0.05] = np.nan
    images = PhenotypeTable.from_frame({"sample": ids, **{f"f{j}": y[:, j] for j in range(3)}})
    genes = OmicsTable(ids, [f"M{j}" for j in range(4)], mutation, "mutation", "binary")
    rna = OmicsTable(ids[:60], [f"G{j}" for j in range(5)], expression[:60], "expression", "log2")
    return images, genes, rna, Covariates(tuple(ids), ("age", "sex"), z)


def test_all_pairs_are_returned_with_reasons() -> None:
    images, genes, rna, z = _cohort()
    result = scan(images, [genes, rna], z)
    table = result.table
    assert isinstance(result, AssociationResult)
    assert table.height == 3 * (4 + 5)
    hit = table.filter((pl.col("phenotype") == "f0") & (pl.col("omics") == "M0")).row(0, named=True)
    assert hit["effect"] == pytest.approx(3, abs=0.8)
    assert hit["q_bh"] < 1e-6
    assert hit["n_group1"] > 10
    none = table.filter(pl.col("omics") == "M3")
    assert none["status"].to_list() == ["not_tested"] * 3
    assert "constant" in none["reason"][0]
    few = table.filter(pl.col("omics") == "M1")
    assert few["reason"].str.contains("groups").all()
    assert table.filter(pl.col("status") == "ok")["p"].is_not_null().all()
    assert result.n_used == 80
    assert any("f0 is higher" in line for line in result.statements())
    assert "no proof of absence" in result.statements()[-1]
    assert "age, sex" in result.methods()


def test_order_of_samples_does_not_matter() -> None:
    images, genes, rna, z = _cohort()
    order = np.random.default_rng(5).permutation(80)
    one = scan(images, [genes, rna], z).table
    two = scan(images.take(rows=order), [genes, rna], z).table
    for name in ("effect", "se", "log10p", "q_hierarchical"):
        np.testing.assert_allclose(
            one[name].to_numpy(), two[name].to_numpy(), rtol=1e-9, atol=1e-12
        )


def test_blocks_and_workers_change_nothing() -> None:
    images, genes, rna, z = _cohort()
    want = scan(images, [genes, rna], z).table
    with ProcessPoolExecutor(2) as pool:
        got = scan(images, [genes, rna], z, block_size=2, executor=pool).table
    for name in ("effect", "se", "log10p", "q_bh", "q_storey"):
        np.testing.assert_allclose(
            got[name].to_numpy(), want[name].to_numpy(), rtol=1e-12, atol=1e-13
        )


def test_dropped_samples_are_named_with_reason() -> None:
    images, genes, _, z = _cohort()
    values = np.array(z.values)
    values[3, 1] = np.nan
    holed = Covariates(z.samples, z.names, values)
    result = scan(images.take(rows=np.arange(70)), genes, holed)
    reasons = dict(result.dropped.iter_rows())
    assert reasons["s003"] == "a covariate is missing"
    assert reasons["s075"] == "absent from images"
    assert result.n_used == 69


def test_result_is_stored_and_read_back() -> None:
    images, genes, _, z = _cohort()
    result = scan(images, genes, z)
    again = AssociationResult.decode(*result.encode())
    assert again.table.equals(result.table)
    assert again.statements() == result.statements()


def test_standardised_effects_are_partial_slopes_in_deviations() -> None:
    images, _, rna, z = _cohort()
    plain = scan(images, rna, z).table
    scaled = scan(images, rna, z, standardise=True).table
    np.testing.assert_allclose(plain["log10p"], scaled["log10p"], rtol=1e-9)
    x = rna.values[:60, 0].std(ddof=1)
    y = np.nanstd(images.values[:60, 0], ddof=1)
    assert scaled["effect"][0] == pytest.approx(plain["effect"][0] * x / y)


def test_wrong_requests_are_explained() -> None:
    images, genes, rna, z = _cohort()
    with pytest.raises(InputError, match="Did you mean 'linear'"):
        scan(images, genes, z, test="liner")
    counts = OmicsTable(rna.samples, rna.features, np.abs(rna.values), "expression", "counts")
    with pytest.raises(InputError, match="raw counts"):
        scan(images, counts, z)
    other = OmicsTable(
        [f"x{i}" for i in range(80)], genes.features, genes.values, "mutation", "binary"
    )
    with pytest.raises(AlignmentError, match="Only 0 samples"):
        scan(images, other)
    with pytest.raises(InputError, match="declared binary"):
        scan(images, OmicsTable(rna.samples, rna.features, rna.values, "mutation", "binary"))
    with pytest.raises(InputError, match="phenotype type"):
        scan(images, genes, phenotype_types={"f0": "binry"})


def test_spearman_scan_equals_scipy() -> None:
    from scipy.stats import spearmanr

    images, _, rna, _ = _cohort()
    table = scan(images, rna, test="spearman").table
    y, x = images.values[:60, 1], rna.values[:, 2]
    keep = np.isfinite(y)
    want = spearmanr(y[keep], x[keep])
    row = table.filter((pl.col("phenotype") == "f1") & (pl.col("omics") == "G2")).row(0, named=True)
    assert row["effect"] == pytest.approx(want.statistic, rel=1e-12)
    assert row["p"] == pytest.approx(want.pvalue, rel=1e-10)


def test_effective_number_of_tests_is_the_product_of_both_blocks() -> None:
    """Two copies of one phenotype and two of one gene make one test; Sidak over it is p itself."""
    rng = np.random.default_rng(6)
    ids = [f"s{i}" for i in range(50)]
    y, x = rng.normal(size=50), rng.normal(size=50)
    images = PhenotypeTable.from_frame({"sample": ids, "a": y, "b": -2 * y})
    rna = OmicsTable(ids, ["G", "H"], np.column_stack([x, 3 * x + 1]), "expression", "log2")
    result = scan(images, rna)
    assert result.summary["n_effective"] == pytest.approx(1)
    np.testing.assert_allclose(result.table["p_effective"], result.table["p"], rtol=1e-9)
    half = scan(images.take(columns=[0]), rna, by={s: i % 2 for i, s in enumerate(ids)})
    p = half.table["p"].to_numpy()
    np.testing.assert_allclose(half.table["p_effective"], 1 - (1 - p) ** 2, rtol=1e-9)


def test_detectable_effect_has_eighty_percent_power() -> None:
    from scipy import stats

    rng = np.random.default_rng(7)
    ids = [f"s{i}" for i in range(40)]
    images = PhenotypeTable.from_frame({"sample": ids, "a": rng.normal(size=40)})
    rna = OmicsTable(ids, ["G"], rng.normal(size=(40, 1)), "expression", "log2")
    row = scan(images, rna).table.row(0, named=True)
    shift = row["detectable"] / row["se"]
    power = stats.nct.sf(stats.t.ppf(0.975, 38), 38, shift)
    assert power == pytest.approx(0.8, abs=0.005)


def test_normal_scores_are_bloms() -> None:
    from scipy.stats import norm, rankdata

    from radgen.stats.rank import normal_scores

    y = np.array([3.0, np.nan, 1.0, 3.0, -7.0])
    want = norm.ppf((rankdata(y[[0, 2, 3, 4]]) - 0.375) / 4.25)
    np.testing.assert_allclose(normal_scores(y[:, None])[[0, 2, 3, 4], 0], want, rtol=1e-12)
    assert np.isnan(normal_scores(y[:, None])[1, 0])
