"""Set tests against the R package SKAT, and chi-square mixtures against exact tails."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

from radgen.associate import burden
from radgen.errors import InputError
from radgen.genome.burden import acat, beta_weights, null_binary, null_continuous, set_test
from radgen.io import open_genotypes
from radgen.stats.mixture import liu_p, mixture_log10p, mixture_p
from radgen.stats.tail import chi2_log10p
from radgen.types import ArrayDosages, GenotypeMatrix


@pytest.mark.parametrize("k", [1, 2, 3, 10, 500])
def test_equal_weights_give_a_chi_square(k):
    for q in (0.5, 0.5 * k, k, 2.0 * k, 200.0, 3000.0):
        want = float(chi2_log10p(q, k))
        assert mixture_log10p(2.5 * q, np.full(k, 2.5)) == pytest.approx(want, rel=1e-9, abs=1e-10)


def test_two_weights_equal_the_convolution():
    nodes, weights = np.polynomial.legendre.leggauss(400)
    for q in (0.3, 2.0, 9.0, 40.0):
        top = np.sqrt(q / 3.0)  # 3 u^2 + 1.5 v^2 > q, u and v normal
        u = 0.5 * top * (nodes + 1)
        inner = stats.chi2.sf((q - 3 * u * u) / 1.5, 1) * 2 * stats.norm.pdf(u)
        want = (inner * weights).sum() * 0.5 * top + 2 * stats.norm.sf(top)
        assert mixture_p(q, [3.0, 1.5, 0.0]) == pytest.approx(want, rel=1e-5)


def test_three_weights_with_unequal_multiplicity():
    # Pairs of equal weights are exponentials: the tail is a sum of exponentials.
    for q in (1.0, 8.0, 60.0):
        want = (4 * np.exp(-q / 4) - 1 * np.exp(-q / 1)) / 3
        assert mixture_p(q, [2, 2, 0.5, 0.5]) == pytest.approx(want, rel=1e-11)
    assert liu_p(8.0, [2, 2, 0.5, 0.5]) == pytest.approx(mixture_p(8.0, [2, 2, 0.5, 0.5]), rel=0.05)
    with pytest.raises(InputError):
        mixture_p(1.0, [-1.0, 2.0])


@pytest.mark.parametrize("small", [0.2, 0.02, 0.005])
@pytest.mark.parametrize("k", [100, 1500])
def test_one_weight_above_many_equals_the_convolution(k, small):
    nodes, weights = np.polynomial.legendre.leggauss(600)
    sd = np.sqrt(2.0 + 2.0 * k * small**2)
    for deviate in (-0.5, 0.1, 1.0, 3.0, 8.0):
        q = 1.0 + k * small + deviate * sd  # u^2 + small * chi2(k) > q, u normal
        want = 2.0 * stats.norm.sf(np.sqrt(q))
        edges = np.linspace(0.0, np.sqrt(q), 9)
        for low, high in pairwise(edges):
            u = 0.5 * (high - low) * (nodes + 1.0) + low
            inner = stats.chi2.sf((q - u * u) / small, k) * 2.0 * stats.norm.pdf(u)
            want += (inner * weights).sum() * 0.5 * (high - low)
        found = mixture_p(q, np.r_[1.0, np.full(k, small)])
        assert found == pytest.approx(want, rel=1e-8)


@pytest.fixture(scope="module")
def example(data):
    folder = data("genetics/skat")
    z = pl.read_csv(folder / "SKAT.example_Z.csv").to_numpy().astype(float).T
    people = pl.read_csv(folder / "SKAT.example_pheno.csv")
    table = pl.read_csv(folder / "expected_SKAT_2.2.5_SKAT.example.csv", null_values="NA")
    x = np.column_stack([np.ones(people.height), people["X1"], people["X2"]])
    return z, people, x, {row["test"]: (row["p"], row["Q"]) for row in table.to_dicts()}


@pytest.mark.parametrize("kind", ["c", "b"])
def test_one_set(example, kind):
    z, people, x, want = example
    y = people[f"y_{kind}"].to_numpy().astype(float)
    null = null_continuous(y, x) if kind == "c" else null_binary(y, x)
    found = set_test(z, null, quadrature="skat")
    p, q = want[f"{kind}_SKAT_linear.weighted_beta1_25"]
    assert found.p_skat == pytest.approx(p, abs=1e-6)
    assert found.q_skat == pytest.approx(q, rel=1e-7)
    p, q = want[f"{kind}_burden_r.corr1"]
    assert found.p_burden == pytest.approx(p, abs=1e-6)
    assert found.q_burden == pytest.approx(q, rel=1e-7)
    assert found.p_skato == pytest.approx(want[f"{kind}_SKATO"][0], abs=1e-6)
    maf = z.mean(axis=1) / 2
    other = set_test(z, null, weights=beta_weights(np.minimum(maf, 1 - maf), 0.5, 0.5))
    assert other.p_skat == pytest.approx(want[f"{kind}_SKAT_weights_beta0.5_0.5"][0], abs=1e-6)
    plain = set_test(z, null, weights=np.ones(len(z)))
    assert plain.p_skat == pytest.approx(want[f"{kind}_SKAT_linear_unweighted"][0], abs=1e-6)
    # R integrates to a relative tolerance of 1.2e-4; the exact integral lies that near.
    assert set_test(z, null).p_skato == pytest.approx(found.p_skato, abs=1.2e-4)


def _gene_sets(data, **options):
    folder = data("genetics/skat")
    genotypes = open_genotypes(folder / "Example1.bed", ids="fid_iid")
    sets: dict[str, list[str]] = {}
    for line in (folder / "Example1.SetID").read_text().splitlines():
        name, variant = line.split()
        sets.setdefault(name, []).append(variant)
    fam = [line.split() for line in (folder / "Example1.fam").read_text().splitlines()]
    trait = {"sample": [f"{f}_{i}" for f, i, *_ in fam], "y": [float(row[5]) for row in fam]}
    cov = pl.read_csv(folder / "Example1.Cov", separator=" ")
    cov = cov.with_columns(sample=pl.format("{}_{}", "FID", "IID")).drop("FID", "IID")
    return burden(genotypes, trait, sets, cov[::-1], **options)


def test_gene_sets(data):
    folder = data("genetics/skat")
    result = _gene_sets(data)
    want = pl.read_csv(folder / "expected_SKAT_2.2.5_Example1_sets.csv")
    found = result.frame.join(want, left_on="set", right_on="SetID", maintain_order="right")
    assert found["n_variants"].to_list() == want["N.Marker.Test"].to_list()
    np.testing.assert_allclose(found["p_skat"], found["P.value"], atol=1e-6)
    np.testing.assert_allclose(found["p_burden"], found["P_burden"], atol=1e-6)
    np.testing.assert_allclose(found["p_skato"], found["P_SKATO"], atol=1.2e-4)
    assert "SKAT-O" in result.statements()[0]
    assert "chi-square mixture" in result.methods()


def test_the_default_is_the_integral_of_r_computed_accurately(data, example):
    """R integrates SKAT-O to 1.2e-4; with a tolerance of 1e-8 it gives our default."""
    golden = Path(__file__).parent / "golden" / "skat" / "skato_accurate.csv"
    want = dict(pl.read_csv(golden).rows())
    found = _gene_sets(data).frame
    for row in found.iter_rows(named=True):
        assert row["p_skato"] == pytest.approx(want[row["set"]], abs=1e-6)
    z, people, x, _ = example
    for kind, null in (("c", null_continuous), ("b", null_binary)):
        y = people[f"y_{kind}"].to_numpy().astype(float)
        assert set_test(z, null(y, x)).p_skato == pytest.approx(want[kind], abs=1e-6)
    # As shipped, the package's own digits.
    shipped = pl.read_csv(data("genetics/skat") / "expected_SKAT_2.2.5_Example1_sets.csv")
    other = _gene_sets(data, quadrature="skat").frame
    other = other.join(shipped, left_on="set", right_on="SetID", maintain_order="right")
    np.testing.assert_allclose(other["p_skato"], other["P_SKATO"], atol=1e-6)


def test_cauchy_combination_by_hand():
    p = np.array([0.01, 0.2, 0.9])
    t = np.tan((0.5 - p) * np.pi).mean()
    assert acat(p) == pytest.approx(0.5 - np.arctan(t) / np.pi, rel=1e-12)
    assert acat([1e-200, 0.5]) == pytest.approx(2e-200, rel=1e-6)
    assert acat([0.03, np.nan], [1, 5]) == pytest.approx(0.03)


def test_null_p_values_are_uniform():
    rng = np.random.default_rng(12)
    n = 150
    x = np.column_stack([np.ones(n), rng.normal(size=(n, 4))])
    g = rng.binomial(2, rng.uniform(0.02, 0.1, 8)[:, None], (8, n)).astype(float)
    keys = ("p_skat", "p_burden", "p_skato", "p_acatv")
    draws = []
    for _ in range(120):
        found = set_test(g, null_continuous(rng.normal(size=n), x))
        draws.append([getattr(found, key) for key in keys])
    rate = (np.array(draws) < 0.05).mean(axis=0)
    # 4 standard errors of 120 draws at 5 %; n = 150 makes the normal theory slightly careful.
    assert (np.abs(rate - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 120)).all(), rate


def test_sets_without_variants_are_reported():
    rng = np.random.default_rng(0)
    calls = rng.binomial(2, 0.1, (4, 50)).astype(np.float32)
    calls[3] = 0
    names = tuple(f"s{i}" for i in range(50))
    variants = pl.DataFrame(
        {"chrom": ["1"] * 4, "pos": [1, 2, 3, 4], "id": list("abcd")}
        | {"ref": ["A"] * 4, "alt": ["C"] * 4}
    )
    genotypes = GenotypeMatrix(names, variants, ArrayDosages(calls))
    trait = {"sample": names, "y": rng.normal(size=50)}
    result = burden(genotypes, trait, {"g1": ["a", "b", "zz"], "g2": ["zz"], "g3": ["d"]})
    assert result.frame["n_variants"].to_list() == [2, 0, 0]
    assert result.frame["p_skat"].null_count() == 2
    assert any("g2" in note for note in result.warnings)
    with pytest.raises(InputError, match="no set"):
        burden(genotypes, trait, {})
