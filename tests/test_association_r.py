"""Firth, moderated t, negative binomial and TMM against golden values of R packages.

The values and the script with the versions lie in tests/golden/association.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import special

from radgen.associate import scan
from radgen.errors import InputError
from radgen.omics.normalise import median_ratio_factors, normalise, tmm_factors
from radgen.stats.firth import firth, firth_test
from radgen.stats.moderated import squeeze_variances, trigamma_inverse
from radgen.stats.negbinom import negbinom, negbinom_residuals
from radgen.types import Covariates, OmicsTable, PhenotypeTable

GOLDEN = Path(__file__).parent / "golden" / "association"


def _read(name: str) -> pl.DataFrame:
    return pl.read_csv(GOLDEN / f"{name}.csv")


@pytest.mark.parametrize("outcome", ["y", "separated"])
def test_firth_equals_logistf(outcome: str) -> None:
    data = _read("logistic_input")
    design = np.column_stack([np.ones(data.height), data.select("z1", "z2", "x").to_numpy()])
    y = data[outcome].to_numpy().astype(float)
    for column, want in enumerate(
        _read("logistf").filter(pl.col("outcome") == outcome).iter_rows(named=True)
    ):
        got = firth_test(y, design, column)
        assert got.effect == pytest.approx(want["coef"], abs=1e-7)
        # logistf's profile search stops at 1e-5 or so of the likelihood.
        assert got.ci_low == pytest.approx(want["low"], abs=1e-3)
        assert got.ci_high == pytest.approx(want["high"], abs=1e-3)
        assert 10**got.log10p == pytest.approx(want["p"], rel=1e-5)
        # The standard error is that of the inverse information; logistf 1.25 and later give
        # the smaller one of the augmented data.
        fit = firth(y, design)
        p = special.expit(design @ fit.coef)
        inverse = np.linalg.inv(design.T @ np.diag(p * (1 - p)) @ design)
        assert got.se == pytest.approx(np.sqrt(inverse[column, column]), rel=1e-9)
        assert got.se > want["se"]


def _limma_cohort() -> tuple[PhenotypeTable, OmicsTable, Covariates, pl.DataFrame]:
    data = _read("limma_input")
    ids = [f"s{i}" for i in range(data.height)]
    genes = [name for name in data.columns if name not in ("group", "batch")]
    images = PhenotypeTable.from_frame({"sample": ids, "group": data["group"].cast(pl.Float64)})
    rna = OmicsTable(ids, genes, data.select(genes).to_numpy(), "expression", "log2")
    batch = Covariates(tuple(ids), ("batch",), data.select("batch").to_numpy().astype(float))
    return images, rna, batch, _read("limma")


def test_moderated_scan_equals_limma() -> None:
    images, rna, batch, want = _limma_cohort()
    table = scan(images, rna, batch, test="moderated", block_size=7).table
    assert (table["model"] == "omics ~ phenotype").all()
    for column, key in (("effect", "effect"), ("statistic", "t"), ("p", "p"), ("df", "df_total")):
        np.testing.assert_allclose(table[column], want[key], rtol=1e-7)


def test_squeezed_variances_equal_limma() -> None:
    images, rna, batch, want = _limma_cohort()
    design = np.column_stack([np.ones(12), batch.values, images.values])
    left = rna.values - design @ np.linalg.lstsq(design, rna.values, rcond=None)[0]
    got = squeeze_variances(np.sum(left**2, axis=0) / 9, 9)
    assert got.prior_df == pytest.approx(want["df_prior"][0], rel=1e-7)
    assert got.prior_variance == pytest.approx(want["s2_prior"][0], rel=1e-7)
    np.testing.assert_allclose(got.variance, want["s2_post"], rtol=1e-7)
    assert np.isnan(squeeze_variances([1.0, np.nan, 2.0], 5).variance[1])
    for value in (1e-8, 0.3, 1.0, 50.0, 1e9):
        assert special.polygamma(1, trigamma_inverse(value)) == pytest.approx(value, rel=1e-6)
    with pytest.raises(InputError, match="not negative"):
        squeeze_variances([-1.0], 5)


def test_negative_binomial_equals_mass() -> None:
    data, want = _read("negbinom_input"), _read("negbinom")
    design = np.column_stack([np.ones(data.height), data["z"], data["x"]])
    fit = negbinom(data["y"].to_numpy().astype(float), design, offset=data["offset"].to_numpy())
    assert fit.converged
    np.testing.assert_allclose(fit.coef, want["coef"], rtol=1e-6)
    np.testing.assert_allclose(fit.se, want["se"], rtol=1e-6)
    assert 1 / fit.dispersion == pytest.approx(want["size"][0], rel=1e-6)
    assert fit.log_likelihood == pytest.approx(want["log_likelihood"][0], rel=1e-10)


def test_negative_binomial_equals_statsmodels() -> None:
    import statsmodels.api as sm

    rng = np.random.default_rng(1)
    x = np.column_stack([np.ones(200), rng.normal(size=(200, 2))])
    y = rng.negative_binomial(1.5, 1 / (1 + np.exp(x @ [1, 0.5, 0]) / 1.5)).astype(float)
    want = sm.NegativeBinomial(y, x).fit(disp=0, method="bfgs", gtol=1e-8, maxiter=500)
    fit = negbinom(y, x)
    np.testing.assert_allclose(fit.coef, want.params[:3], atol=1e-5)
    assert fit.dispersion == pytest.approx(want.params[3], abs=1e-5)
    assert fit.log_likelihood == pytest.approx(want.llf, abs=1e-7)


def test_counts_without_overdispersion_are_poisson() -> None:
    import statsmodels.api as sm

    y = np.tile([4.0, 5, 6, 5], 10)
    x = np.column_stack([np.ones(40), np.arange(40) % 3])
    fit = negbinom(y, x)
    want = sm.GLM(y, x, family=sm.families.Poisson()).fit()
    assert fit.dispersion == 0
    np.testing.assert_allclose(fit.coef, want.params, atol=1e-6)
    with pytest.raises(InputError, match="not all of them 0"):
        negbinom(np.zeros(5), np.ones((5, 1)))


def test_count_residuals_are_orthogonal_to_the_covariates() -> None:
    data = _read("negbinom_input")
    z = data.select("z", "x").to_numpy()
    residual = negbinom_residuals(data["y"].to_numpy(), z, offset=data["offset"].to_numpy())
    np.testing.assert_allclose(z.T @ residual, 0, atol=1e-6)


def test_count_scan_finds_the_planted_ratio() -> None:
    rng = np.random.default_rng(4)
    n = 80
    ids = [f"s{i}" for i in range(n)]
    trait = rng.normal(size=n)
    depth = np.exp(rng.normal(0, 0.5, n))[:, None]
    mean = depth * np.exp(rng.normal(4, 1, 60))
    mean[:, 0] *= np.exp(0.6 * trait)
    counts = rng.negative_binomial(3, 3 / (3 + mean)).astype(float)
    images = PhenotypeTable.from_frame({"sample": ids, "size": trait})
    rna = OmicsTable(ids, [f"G{i}" for i in range(60)], counts, "expression", "counts")
    table = scan(images, rna, test="negbinom").table
    assert table["effect"][0] == pytest.approx(0.6, abs=0.25)
    assert table["q_bh"][0] < 1e-4
    assert table["q_bh"][1:].min() > 0.01


def test_tmm_equals_edger() -> None:
    counts = _read("counts_input").to_numpy().astype(float)
    np.testing.assert_allclose(tmm_factors(counts), _read("tmm")["tmm"], rtol=1e-10)


def test_median_ratio_undoes_the_depth() -> None:
    rng = np.random.default_rng(5)
    base = rng.integers(1, 500, 40).astype(float)
    counts = np.outer([1, 3, 0.5], base)
    factors = median_ratio_factors(counts)
    np.testing.assert_allclose(factors / factors[0], [1, 3, 0.5], rtol=1e-12)
    table = OmicsTable(
        ["a", "b", "c"], [f"G{i}" for i in range(40)], counts, "expression", "counts"
    )
    for method in ("tmm", "median_ratio", "cpm"):
        assert normalise(table, method=method).scale == "log2"
    with pytest.raises(InputError, match="needs counts"):
        normalise(normalise(table))
    with pytest.raises(InputError, match="above 0 in every sample"):
        median_ratio_factors(np.array([[0, 1.0], [1.0, 0]]))
