"""Quality control by hand-worked values and planted faults."""

from __future__ import annotations

from math import comb

import numpy as np
import polars as pl
import pytest

from radgen import genome
from radgen.errors import InputError
from radgen.types import ArrayDosages, GenotypeMatrix


def matrix(calls, chrom=None):
    m, n = calls.shape
    variants = pl.DataFrame(
        {
            "chrom": chrom or ["1"] * m,
            "pos": list(range(1, m + 1)),
            "id": [f"v{i}" for i in range(m)],
            "ref": ["A"] * m,
            "alt": ["C"] * m,
        }
    )
    samples = tuple(f"s{i}" for i in range(n))
    return GenotypeMatrix(samples, variants, ArrayDosages(calls.astype(np.float32)))


def naive_hwe(a, h, b):
    n, rare = a + h + b, 2 * min(a, b) + h
    weight = {}
    for het in range(rare % 2, rare + 1, 2):
        homs = (rare - het) // 2
        weight[het] = comb(n, het) * comb(n - het, homs) * 2**het
    seen = weight[h]
    return sum(value for value in weight.values() if value <= seen) / sum(weight.values())


@pytest.mark.parametrize(
    "counts", [(1, 0, 0), (10, 5, 3), (0, 20, 0), (30, 1, 9), (7, 7, 7), (100, 3, 0), (2, 1, 2)]
)
def test_hardy_weinberg_equals_the_enumeration(counts):
    found = genome.hardy_weinberg(*(np.array([item]) for item in counts))[0]
    assert found == pytest.approx(naive_hwe(*counts), rel=1e-12)


def test_counts_with_missing_calls_and_dosages():
    nan = np.nan
    found = genome.variant_statistics(
        matrix(np.array([[0, 1, 2, nan, 2], [0.4, 1.02, 2, 0, nan], [nan] * 5]))
    )
    assert found.select("n_hom_ref", "n_het", "n_hom_alt").rows() == [
        (1, 1, 2),
        (1, 1, 1),
        (0, 0, 0),
    ]
    assert found["call_rate"].to_list() == [0.8, 0.8, 0.0]
    np.testing.assert_allclose(found["alt_freq"][:2], [5 / 8, 3.42 / 8], rtol=1e-6)
    assert np.isnan(found["alt_freq"][2])


def test_missing_calls_count_pairwise():
    rng = np.random.default_rng(2)
    calls = rng.binomial(2, 0.4, (300, 6)).astype(float)
    calls[rng.random(calls.shape) < 0.1] = np.nan
    calls = calls[np.nanstd(calls, axis=1) > 0]
    found = genome.grm(matrix(calls)).values
    p = np.nanmean(calls, axis=1, keepdims=True) / 2
    z = (calls - 2 * p) / np.sqrt(2 * p * (1 - p))
    for i in range(6):
        for j in range(6):
            assert found[i, j] == pytest.approx(np.nanmean(z[:, i] * z[:, j]), rel=1e-6)
    r = genome.ld_matrix(matrix(calls.T.copy()[:, :200]))
    both = np.isfinite(calls[:200, 0]) & np.isfinite(calls[:200, 1])
    want = np.corrcoef(calls[:200, 0][both], calls[:200, 1][both])[0, 1]
    assert r[0, 1] == pytest.approx(want, rel=1e-9)


def test_planted_faults_are_found():
    rng = np.random.default_rng(3)
    freq = rng.uniform(0.15, 0.85, 1500)
    calls = rng.binomial(2, freq[:, None], (1500, 120)).astype(float)
    parent, child = calls[:, 10], rng.binomial(1, freq)
    calls[:, 11] = parent  # the same person twice
    calls[:, 12] = rng.binomial(1, parent / 2) + child  # a child
    calls[:, 0] = np.where(rng.random(1500) < 0.2, np.nan, calls[:, 0])
    calls[:, 1] = 1.0  # a mixture of people: heterozygous everywhere
    calls[3, 60:] = np.nan
    calls[4] = 0.0
    calls[4, 5] = 1.0
    calls[5] = 2.0 * (rng.random(120) < 0.5)  # no heterozygotes
    chrom = ["1"] * 1200 + ["X"] * 300
    calls[1200:, :60] = 2.0 * (rng.random((300, 60)) < freq[1200:, None])  # males
    calls[1200:, 11] = calls[1200:, 10]
    sexes = {f"s{i}": "male" if i < 60 else "female" for i in range(120)}
    sexes["s30"] = "female"
    genotypes = matrix(calls, chrom)
    result = genome.genotype_qc(genotypes, sex=sexes)
    gone = dict(result.dropped.rows())
    assert gone["s0"] == "sample call rate"
    assert gone["s1"] == "heterozygosity"
    assert gone["s30"] == "sex check"
    assert "relatedness" in (gone.get("s10"), gone.get("s11"))
    assert set(gone.values()) == {
        "sample call rate",
        "heterozygosity",
        "sex check",
        "relatedness",
    }
    variants = dict(zip(result.variants["id"], result.variants["removed_by"], strict=True))
    assert variants["v3"] == "variant call rate"
    assert variants["v4"] == "minor allele frequency"
    assert variants["v5"] == "Hardy-Weinberg"
    assert set(result.related["relation"]) == {"duplicate", "first degree"}
    clean = result.apply(genotypes)
    assert clean.n_samples == result.n_used == 120 - len(gone)
    assert "passed quality control" in result.statements()[0]
    assert "Hardy-Weinberg" in result.methods()
    with pytest.raises(InputError, match="not the genotypes"):
        result.apply(clean)
    again = genome.GenotypeQC.decode(*result.encode())
    assert again.frame.equals(result.frame)


def test_projection_turns_exchanged_alleles():
    rng = np.random.default_rng(5)
    freq = np.where(np.arange(60) < 30, 0.2, 0.7)
    calls = rng.binomial(2, np.where(np.arange(400)[:, None] % 2, freq, 0.4), (400, 60)).astype(
        float
    )
    fit = genome.GenotypePCA(2).fit(matrix(calls))
    other = matrix(2 - calls)
    swapped = other.variants.select("chrom", "pos", "id", ref="alt", alt="ref")
    turned = GenotypeMatrix(other.samples, swapped, other.reader)
    np.testing.assert_allclose(fit.transform(turned).values, fit.scores_, atol=1e-9)
    with pytest.raises(InputError, match="absent"):
        fit.transform(other.take_variants(range(10)))


def test_scores_by_hand():
    nan = np.nan
    genotypes = matrix(np.array([[0, 1, 2], [2, nan, 1.0]]))
    weights = pl.DataFrame(
        {"id": ["v0", "v1", "zz"], "allele": ["C", "A", "C"], "weight": [1, 10, 5]}
    )
    found = genome.polygenic_score(genotypes, weights)
    # The second variant counts A: 0, mean 0.5, 1.
    assert found["score"].to_list() == [0.0, 6.0, 12.0]
    assert found["n_alleles"].to_list() == [4, 2, 4]
    flipped = weights.with_columns(allele=pl.Series(["G", "T", "C"]))
    assert genome.polygenic_score(genotypes, flipped, flip_strand=True)["score"][2] == 12.0
    with pytest.raises(InputError, match="None of"):
        genome.polygenic_score(genotypes, weights.with_columns(allele=pl.lit("T")))
