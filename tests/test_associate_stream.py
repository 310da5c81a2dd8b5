"""All pairs on disk: the same rows and adjusted values as in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from radgen.associate import _ledger, _stream, scan
from radgen.associate._ledger import Ledger
from radgen.errors import InputError
from radgen.stats import multiplicity
from radgen.types import Covariates, OmicsTable, PhenotypeTable


def _cohort(n: int = 90):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(3)
    ids = [f"s{i:03d}" for i in range(n)]
    genes = (rng.random((n, 4)) < [0.3, 0.02, 0.5, 0.0]).astype(float)
    y = rng.normal(size=(n, 6))
    y[:, 0] += 2 * genes[:, 0]
    y[rng.random(y.shape) < 0.03] = np.nan
    y[:, 5] = rng.random(n) < 0.4
    images = PhenotypeTable.from_frame({"sample": ids, **{f"f{j}": y[:, j] for j in range(6)}})
    mutations = OmicsTable(ids, [f"G{j}" for j in range(4)], genes, "mutation", "binary")
    rna = OmicsTable(
        ids, [f"G{j}" for j in range(30)], rng.normal(size=(n, 30)), "expression", "log2"
    )
    site = {item: ["a", "b", None][i % 3] for i, item in enumerate(ids)}
    families = {f"f{j}": "shape" if j < 3 else "texture" for j in range(6)}
    return (
        images,
        [mutations, rna],
        Covariates(tuple(ids), ("age",), rng.normal(size=(n, 1))),
        {
            "by": site,
            "families": families,
        },
    )


def test_stream_holds_what_memory_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, layers, z, options = _cohort()
    want = scan(images, layers, z, **options)
    # Buckets of 50 values, parts of 40 rows: every path of the adjustment is taken.
    monkeypatch.setattr(_ledger, "_CHUNK", 50)
    monkeypatch.setattr(_stream, "_ROWS", 40)
    out = tmp_path / "deep" / "all.parquet"
    got = scan(images, layers, z, **options, out=out, listed=25, block_size=7, jobs=2)
    assert [item.name for item in out.parent.iterdir()] == ["all.parquet"]
    keys = ["stratum", "phenotype", "layer", "omics"]
    stored = pl.read_parquet(out).with_columns(pl.col(pl.Enum).cast(pl.String))
    assert_frame_equal(stored.sort(keys), want.table.sort(keys), check_exact=False, rel_tol=1e-11)
    assert got.summary == want.summary
    assert got.table.height == 25
    assert got.table.columns == want.table.columns
    best = want.table.sort("log10p", nulls_last=True).head(25)
    np.testing.assert_allclose(got.table["log10p"], best["log10p"], rtol=1e-11)
    assert got.statements() == want.statements()


def test_a_failed_stream_leaves_nothing(tmp_path: Path) -> None:
    images, layers, z, _ = _cohort()
    counts = OmicsTable(z.samples, ["C"], np.ones((90, 1)), "expression", "counts")
    with pytest.raises(InputError, match="raw counts"):
        scan(images, [*layers, counts], z, out=tmp_path / "all.parquet")
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="Max-T"):
        scan(images, layers, z, out=tmp_path / "all.parquet", permutations=10)


def test_strata_are_tested_by_themselves() -> None:
    images, layers, z, options = _cohort()
    result = scan(images, layers, z, **options)
    site = options["by"]
    rows = [i for i, item in enumerate(images.samples) if site[item] == "b"]
    alone = scan(images.take(rows=rows), layers, z)
    part = result.table.filter(pl.col("stratum") == "b").sort("phenotype", "layer", "omics")
    other = alone.table.sort("phenotype", "layer", "omics")
    for name in ("n", "effect", "se", "log10p"):
        np.testing.assert_allclose(
            part[name].cast(float).to_numpy(), other[name].cast(float).to_numpy(), rtol=1e-10
        )
    assert result.n_used == 60
    assert result.table["family"].n_unique() == 2 * 2 * 2
    assert result.params["strata"] == ["a", "b"]
    # A stratum too small for the covariates is named, and the others are tested.
    small = {item: "tiny" if i < 2 else "rest" for i, item in enumerate(images.samples)}
    result = scan(images, layers, z, by=small)
    assert set(result.table["stratum"]) == {"rest"}
    assert any("'tiny'" in line for line in result.warnings)


def test_ledger_equals_the_definitions_with_ties(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_ledger, "_CHUNK", 64)
    rng = np.random.default_rng(4)
    p = np.concatenate([rng.random(600), 10 ** rng.uniform(-300, -1, 300), np.ones(200)])
    p[rng.random(len(p)) < 0.1] = 0.25
    p[:3] = 0.0
    rng.shuffle(p)
    p[::50] = np.nan
    family = rng.integers(0, 5, len(p))
    family[family == 3] = 4
    ledger = Ledger(tmp_path, 5)
    with np.errstate(divide="ignore"):
        log10p = np.log10(p)
    for start in range(0, len(p), 170):
        ledger.add(log10p[start : start + 170], family[start : start + 170])
    ledger.close()
    whole, two_level = ledger.adjusted(log10p, family)
    np.testing.assert_allclose(whole, multiplicity.bh(p), rtol=1e-12)
    np.testing.assert_allclose(two_level, multiplicity.hierarchical(p, family), rtol=1e-12)
    assert ledger.n_tests == np.isfinite(p).sum()
    assert ledger.pi0 == pytest.approx(multiplicity.storey_pi0(p), abs=1e-12)


def test_empty_ledger(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, 2)
    ledger.add(np.array([np.nan]), np.array([1]))
    ledger.close()
    whole, two_level = ledger.adjusted(np.array([np.nan]), np.array([1]))
    assert np.isnan(whole).all()
    assert np.isnan(two_level).all()


def test_qq_plot_of_listed_pairs_knows_how_many_there_are(tmp_path: Path) -> None:
    """The smallest p of many null pairs lie on the diagonal, and inflation is that of all."""
    from radgen import plot

    rng = np.random.default_rng(6)
    ids = [f"s{i}" for i in range(60)]
    images = PhenotypeTable.from_frame(
        {"sample": ids} | {f"f{j}": rng.normal(size=60) for j in range(40)}
    )
    genes = OmicsTable(
        ids, [f"G{j}" for j in range(100)], rng.normal(size=(60, 100)), "expression", "log2"
    )
    whole = scan(images, genes)
    listed = scan(images, genes, out=tmp_path / "pairs.parquet", listed=200)
    log10p = whole.frame["log10p"].to_numpy()
    assert listed.summary["lambda_gc"] == pytest.approx(plot.inflation(log10p), abs=0.01)
    part = listed.frame["log10p"].to_numpy()
    axes = plot.qq(part, n_tests=4000, lambda_gc=listed.summary["lambda_gc"])
    points = axes.collections[-1].get_offsets()
    every = plot.qq(log10p).collections[-1].get_offsets()
    np.testing.assert_allclose(sorted(points[:, 0])[-50:], sorted(every[:, 0])[-50:])
    assert "4,000 tests" in axes.texts[0].get_text()
    assert "λ" not in plot.qq(part, n_tests=4000).texts[0].get_text()
