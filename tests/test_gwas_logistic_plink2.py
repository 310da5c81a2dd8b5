"""The logistic scan against PLINK 2, and the saddle point against its formula."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats
from scipy.optimize import brentq

from radgen.associate import gwas
from radgen.errors import FitError, InputError
from radgen.io import open_genotypes
from radgen.io.sample_table import read_sample_table
from radgen.stats.saddle import saddle_log10p
from radgen.types import ArrayDosages, GenotypeMatrix


def scan(folder, test, rows):
    ref = folder / "ref_plink2"
    genotypes = open_genotypes(folder / "EUR_subset.bed").take_variants(rows)
    trait, covariates = (read_sample_table(ref / f"sim_{name}.txt") for name in ("cc", "cov10"))
    return gwas(genotypes, trait, covariates, model="logistic", test=test).frame


def reference(folder, name, rows):
    table = pl.read_csv(folder / "ref_plink2" / name, separator="\t", null_values=["NA"])
    return table[rows.tolist()].cast({"OR": pl.Float64, "LOG(OR)_SE": pl.Float64})


def numbers(found, table):
    sign = np.where(found["alt"] == table["A1"], 1, -1)
    odds = np.exp(found["beta"].to_numpy() * sign) / table["OR"].to_numpy()
    return odds - 1, (found["se"] / table["LOG(OR)_SE"]).to_numpy() - 1, table["P"].to_numpy()


@pytest.fixture(scope="module")
def folder(data):
    return data("genetics/eur_subset")


def test_firth(folder):
    rows = np.arange(0, 54051, 9)
    found, table = scan(folder, "firth", rows), reference(folder, "cc_firth.CC.glm.firth.gz", rows)
    odds, se, p = numbers(found, table)
    assert (np.isnan(odds) == table["OR"].is_null().to_numpy()).all()
    known = np.isfinite(odds)
    assert np.abs(odds[known]).max() < 5.05e-6
    # PLINK 2 stops its iterations earlier: its standard errors carry a little of that.
    assert np.abs(se[known]).max() < 1e-5
    assert np.abs(found["p"].to_numpy()[known] / p[known] - 1).max() < 5e-5


def test_maximum_likelihood_with_firth_fallback(folder):
    rows = np.arange(0, 54051, 3)
    name = "cc_firthfallback.CC.glm.logistic.hybrid.gz"
    found, table = scan(folder, "hybrid", rows), reference(folder, name, rows)
    odds, se, _ = numbers(found, table)
    # PLINK 2 prints standard errors in the hundreds where a class is nearly separated.
    settled = (table["LOG(OR)_SE"] < 100).fill_null(False).to_numpy()
    assert settled.mean() > 0.999
    # Half a unit of the last printed digit, and what PLINK 2's earlier stop leaves.
    assert np.abs(odds[settled]).max() < 1e-5
    assert np.quantile(np.abs(se[settled]), 0.99) < 5.05e-6
    assert np.abs(se[settled]).max() < 2e-3
    assert found["se"].drop_nans().max() < 20


def test_score_agrees_with_wald_where_both_are_good(folder):
    rows = np.arange(0, 54051, 40)
    score, wald = scan(folder, "score", rows), scan(folder, "hybrid", rows)
    common = (wald["alt_freq"].is_between(0.2, 0.8) & (wald["p"] > 1e-3)).to_numpy()
    difference = (score["log10p"] - wald["log10p"]).to_numpy()[common]
    assert np.abs(difference).max() < 0.12


def naive_saddle(score, g, mu):
    def k1(t):
        e = np.exp(g * t)
        return (mu * g * e / (1 - mu + mu * e)).sum() - (g * mu).sum()

    def tail(s, sign):
        t = brentq(lambda x: k1(x) - s, -50, 50, xtol=1e-14)
        e = np.exp(g * t)
        k = np.log(1 - mu + mu * e).sum() - t * (g * mu).sum()
        k2 = ((1 - mu) * mu * g**2 * e / (1 - mu + mu * e) ** 2).sum()
        w = np.sign(t) * np.sqrt(2 * (t * s - k))
        return stats.norm.cdf(sign * (w + np.log(t * np.sqrt(k2) / w) / w))

    return tail(abs(score), -1) + tail(-abs(score), 1)


def test_saddle_point_equals_its_formula():
    rng = np.random.default_rng(4)
    mu = rng.uniform(0.01, 0.3, 300)
    g = rng.normal(size=(20, 300)) * (rng.random((20, 300)) < 0.1)
    score = np.linspace(0.8, 3.2, 20) * np.sqrt((g * g) @ (mu * (1 - mu)))
    found, good = saddle_log10p(score, g, mu)
    want = [np.log10(naive_saddle(s, row, mu)) for s, row in zip(score, g, strict=True)]
    assert good.all()
    np.testing.assert_allclose(found, want, rtol=1e-8)


def test_saddle_point_against_exact_tails():
    mu = np.full(400, 0.02)
    g = np.ones((1, 400)) * np.linspace(0.9, 1.1, 400)
    rng = np.random.default_rng(0)
    draws = ((rng.random((20000, 400)) < 0.02) - mu) @ g[0]
    for score in (7.0, 9.0):
        exact = (np.abs(draws) >= score).mean()
        assert abs(np.log10(exact) - saddle_log10p(np.array([score]), g, mu)[0][0]) < 0.12


def test_missing_calls_and_people_are_dropped():
    rng = np.random.default_rng(7)
    n, m = 400, 12
    calls = rng.binomial(2, 0.3, (m, n)).astype(np.float32)
    calls[rng.random((m, n)) < 0.05] = np.nan
    y = (rng.random(n) < 0.4).astype(float)
    y[:20] = np.nan
    x = rng.normal(size=n)
    names = tuple(f"s{i}" for i in range(n))
    rows = {"chrom": ["1"] * m, "pos": range(m), "id": [f"v{i}" for i in range(m)]}
    variants = pl.DataFrame(rows | {"ref": ["A"] * m, "alt": ["C"] * m})
    genotypes = GenotypeMatrix(names, variants, ArrayDosages(calls))
    table = pl.DataFrame({"sample": names, "y": y})
    covariates = pl.DataFrame({"sample": names, "x": x})
    for test in ("hybrid", "firth", "score"):
        whole = gwas(genotypes, table, covariates, model="logistic", test=test).frame
        for row in (0, 5):
            keep = np.flatnonzero(np.isfinite(y) & np.isfinite(calls[row]))
            less = genotypes.take_samples(keep).take_variants([row])
            alone = gwas(less, table, covariates, model="logistic", test=test).frame
            assert whole["n"][row] == len(keep)
            tolerance = 2e-2 if test == "score" else 1e-7  # one step of the covariates
            np.testing.assert_allclose(whole["beta"][row], alone["beta"][0], rtol=tolerance)
            np.testing.assert_allclose(whole["se"][row], alone["se"][0], rtol=tolerance)


@pytest.mark.parametrize("missing", [0.0, 0.03])
def test_screened_scores_are_the_same(missing):
    rng = np.random.default_rng(5)
    n, m = 500, 400
    freq = np.where(np.arange(m) % 3, rng.uniform(0.05, 0.95, m), 0.008)
    calls = rng.binomial(2, freq[:, None], (m, n)).astype(np.float32)
    calls[3] = 1.0
    calls[rng.random((m, n)) < missing] = np.nan
    x = rng.normal(size=n)
    risk = 1 / (1 + np.exp(1.5 - x - 1.2 * np.nan_to_num(calls[7])))
    traits = {f"y{j}": (rng.random(n) < risk).astype(float) for j in range(3)}
    traits["y2"][:30] = np.nan
    names = tuple(f"s{i}" for i in range(n))
    rows = {"chrom": ["1"] * m, "pos": range(m), "id": [f"v{i}" for i in range(m)]}
    variants = pl.DataFrame(rows | {"ref": ["A"] * m, "alt": ["C"] * m})
    genotypes = GenotypeMatrix(names, variants, ArrayDosages(calls))
    covariates = pl.DataFrame({"sample": names, "x": x})
    options = {"model": "logistic", "test": "score"}
    whole = gwas(genotypes, {"sample": names} | traits, covariates, **options)
    kept = gwas(genotypes, {"sample": names} | traits, covariates, threshold=0.01, **options)
    want = whole.frame.filter(pl.col("p") <= 0.01)
    assert want.height > 10
    assert kept.frame.select("phenotype", "id", "n").equals(want.select("phenotype", "id", "n"))
    for name in ("alt_freq", "beta", "se", "t", "log10p"):
        np.testing.assert_allclose(kept.frame[name], want[name], rtol=1e-10)
    counts = kept.summary["n_tests"].to_numpy(), whole.summary["n_tests"].to_numpy()
    assert (np.abs(counts[0] - counts[1]) <= 1).all()
    np.testing.assert_allclose(
        kept.summary["lambda_gc"], whole.summary["lambda_gc"], rtol=0.08 if missing else 0.01
    )


def test_saddle_points_of_many_samples_equal_the_formula():
    # So many samples that most are summed by their series of cumulants.
    rng = np.random.default_rng(8)
    mu = rng.beta(2, 9, 3000)
    g = rng.binomial(2, 0.08, (6, 3000)) - 0.16 + rng.normal(0, 0.02, (6, 3000))
    score = np.linspace(2, 7, 6) * np.sqrt((g * g) @ (mu * (1 - mu)))
    found, good = saddle_log10p(score, g, mu)
    want = [np.log10(naive_saddle(s, row, mu)) for s, row in zip(score, g, strict=True)]
    assert good.all()
    np.testing.assert_allclose(found, want, rtol=1e-9)


def test_a_score_past_the_edge_of_one_tail_has_a_p():
    mu, g = np.full(50, 0.01), np.ones((1, 50))
    found, good = saddle_log10p(np.array([3.5]), g, mu)
    exact = stats.binom.logsf(3, 50, 0.01) / np.log(10)
    assert good[0]
    assert abs(found[0] - exact) < 0.5


def test_bad_traits_are_refused():
    calls = np.random.default_rng(1).binomial(2, 0.4, (3, 30)).astype(np.float32)
    names = tuple(f"s{i}" for i in range(30))
    variants = pl.DataFrame(
        {"chrom": ["1"] * 3, "pos": [1, 2, 3], "id": ["a", "b", "c"]}
        | {"ref": ["A"] * 3, "alt": ["C"] * 3}
    )
    genotypes = GenotypeMatrix(names, variants, ArrayDosages(calls))
    with pytest.raises(InputError, match="binary trait needs"):
        gwas(genotypes, {"sample": names, "y": [0.0, 1, 2] * 10}, model="logistic")
    split = {"sample": names, "y": [0.0] * 15 + [1.0] * 15}
    with pytest.raises(FitError, match="separate"):
        gwas(genotypes, split, {"sample": names, "x": np.arange(30.0)}, model="logistic")
