"""Colocalisation against coloc, and against all hypotheses written out."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from radgen.associate import colocalise
from radgen.cli.app import app
from radgen.errors import InputError
from radgen.stats import colocalise as abf

GOLDEN = Path(__file__).parent / "golden" / "coloc"


@pytest.fixture(scope="module")
def effects():
    return pl.read_csv(GOLDEN / "regions.csv")


@pytest.mark.parametrize("kind", ["quant", "cc"])
def test_posteriors_equal_coloc(effects, kind):
    for want in pl.read_csv(GOLDEN / "expected.csv").filter(second=kind).iter_rows(named=True):
        own = effects.filter(region=want["region"])
        sd = abf.trait_sd(own["s1"], own["maf"], own["n1"])
        assert sd == pytest.approx(want["sd"], rel=1e-11)
        width = 0.15 * 0.7 if kind == "quant" else 0.2
        first = abf.log_bayes_factors(own["b1"], own["s1"], 0.15 * sd)
        second = abf.log_bayes_factors(own["b2"], own["s2"], width)
        found = abf.shared_signal(first, second, p12=want["p12"])
        theirs = [want[f"X{i}"] for i in range(1, 6)]
        np.testing.assert_allclose(found.posterior, theirs, rtol=1e-9)
        best = int(np.argmax(found.shared))
        assert own["snp"][best] == want["best"]
        assert found.shared[best] == pytest.approx(want["best_pp"], rel=1e-10)


def test_posterior_is_that_of_all_hypotheses_written_out():
    rng = np.random.default_rng(3)
    first, second = rng.normal(2, 3, 7), rng.normal(1, 3, 7)
    p1, p2, p12 = 1e-2, 2e-2, 3e-3
    weight = np.zeros(5)
    # Which variant, or none, causes the first trait, and which the second.
    for i, j in product([None, *range(7)], repeat=2):
        evidence = (0 if i is None else first[i]) + (0 if j is None else second[j])
        if i is None and j is None:
            weight[0] += 1
        elif j is None:
            weight[1] += p1 * np.exp(evidence)
        elif i is None:
            weight[2] += p2 * np.exp(evidence)
        elif i != j:
            weight[3] += p1 * p2 * np.exp(evidence)
        else:
            weight[4] += p12 * np.exp(evidence)
    found = abf.shared_signal(first, second, p1=p1, p2=p2, p12=p12)
    np.testing.assert_allclose(found.posterior, weight / weight.sum(), rtol=1e-12)


def test_bayes_factor_is_the_ratio_of_two_normal_densities():
    beta, se, width = 0.13, 0.04, 0.2

    def density(value, variance):
        return np.exp(-(value**2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)

    want = np.log(density(beta, se**2 + width**2) / density(beta, se**2))
    assert abf.log_bayes_factors([beta], [se], width)[0] == pytest.approx(want, rel=1e-12)


def test_least_prior_is_where_sharing_becomes_more_likely_than_not():
    rng = np.random.default_rng(4)
    first, second = rng.normal(2, 3, 30), rng.normal(2, 3, 30)
    first[3], second[3] = 12, 9
    sums = abf.shared_signal(first, second).evidence
    least = sums.least_p12(1e-4, 1e-4)
    assert sums.posterior(1e-4, 1e-4, least)[4] == pytest.approx(0.5, rel=1e-9)
    weak = abf.shared_signal(first * 0, second * 0).evidence
    assert np.isnan(weak.least_p12(1e-4, 1e-4))


def test_evidence_without_end_keeps_probabilities():
    found = abf.shared_signal([5000.0, 0.0], [4000.0, 0.0])
    assert found.posterior[4] == pytest.approx(1)
    lone = abf.shared_signal([5.0], [4.0])
    assert lone.posterior[3] == 0  # two variants need two
    assert lone.posterior.sum() == pytest.approx(1)


def scans(effects):
    alleles = {"ref": ["A", "C", "A", "G"] * 30, "alt": ["G", "T", "T", "C"] * 30}
    base = effects.with_columns(
        chrom=pl.lit("7"), id="snp", **{k: pl.Series(v) for k, v in alleles.items()},
        pos=pl.Series(np.repeat([0, 10_000_000, 20_000_000], 40)) + pl.col("pos"),
    )  # fmt: skip
    keys = ("chrom", "pos", "id", "ref", "alt", pl.col("maf").alias("alt_freq"))
    first = base.select(*keys, beta="b1", se="s1", n="n1")
    swapped = base.select(
        "chrom", "pos", "id", ref="alt", alt="ref", beta=-pl.col("b2"), se="s2", n="n2",
        alt_freq=1 - pl.col("maf"),
    )  # fmt: skip
    return first, swapped


def test_regions_of_two_scans_with_turned_alleles(effects, tmp_path):
    first, second = scans(effects)
    found = colocalise(first, second, window_bp=500_000, sds=(None, 0.7))
    rows = found.frame.sort("start")
    assert rows["conclusion"].to_list() == ["shared", "distinct", "first only"]
    assert rows["best"][0] == "shared_20"
    want = pl.read_csv(GOLDEN / "expected.csv").filter(second="quant", p12=1e-5)
    # Here one standard deviation serves all regions, there each has its own.
    np.testing.assert_allclose(rows["pp_h4"], want["X5"], atol=0.01)
    assert found.variants.height == 120
    for kind in found.plots:
        assert found.plot(kind).figure is not None
    assert "share a variant in" in " ".join(found.statements())
    tables, plain = found.encode()
    assert type(found).decode(tables, plain).frame.equals(found.frame)

    first.write_parquet(tmp_path / "a.parquet")
    second.write_parquet(tmp_path / "b.parquet")
    genes = pl.DataFrame({"chrom": ["chr7"], "start": [15_000], "end": [25_000], "name": ["GENE"]})
    genes.write_csv(tmp_path / "genes.bed", separator="\t", include_header=False)
    call = ["coloc", tmp_path / "a.parquet", tmp_path / "b.parquet", "--out", tmp_path / "out"]
    call += ["--regions", tmp_path / "genes.bed", "--kinds", "quantitative,case_control"]
    ran = CliRunner().invoke(app, [str(item) for item in call], catch_exceptions=False)
    assert ran.exit_code == 0
    table = pl.read_csv(tmp_path / "out" / "regions.tsv", separator="\t")
    assert table.select("region", "conclusion").rows() == [("GENE", "shared")]


def test_what_cannot_be_compared_says_why(effects):
    first, second = scans(effects)
    regions = {"chrom": ["7", "9"], "start": [1, 1], "end": [50_000, 50_000]}
    found = colocalise(first, second, regions=pl.DataFrame(regions), window_bp=0, sds=(1.3, 0.7))
    assert found.frame["reason"].to_list() == ["", "0 variants in both scans; needed are 10"]
    assert "no posterior" in found.warnings[0]
    with pytest.raises(InputError, match="standard deviation"):
        colocalise(first.drop("n"), second)
    with pytest.raises(InputError, match="no region"):
        colocalise(first, second, p=1e-300)
    with pytest.raises(InputError, match="p12"):
        colocalise(first, second, p12=0.1)
