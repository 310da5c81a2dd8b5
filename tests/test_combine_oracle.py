"""Effective tests, combined p-values and meta-analysis against R packages and SciPy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

from radgen.errors import InputError
from radgen.stats import combine
from radgen.stats.effective import correlation, effective_tests, sidak_level
from radgen.stats.meta import genomic_control, meta, sample_size_z

Data = Callable[[str], Path]
POOLR = {"nyholt": "nyholt", "liji": "li_ji", "gao": "gao", "galwey": "galwey"}


def test_effective_tests_equal_poolr(data: Data) -> None:
    folder = data("genetics") / "meff_grid2ip"
    ld = pl.read_csv(folder / "ld.csv").to_numpy().astype(float)
    for name, want in pl.read_csv(folder / "expected_meff.csv").iter_rows():
        assert np.floor(effective_tests(ld, POOLR[name]) + 1e-9) == want, name


def test_correlated_combinations_equal_poolr(data: Data) -> None:
    folder = data("genetics") / "meff_grid2ip"
    ld = pl.read_csv(folder / "ld.csv").to_numpy().astype(float)
    p = pl.read_csv(folder / "p.csv")["p"].to_numpy()
    expected = pl.read_csv(folder / "expected_combined_p.csv")
    functions = {"fisher": combine.fisher, "stouffer": combine.stouffer, "tippett": combine.tippett}
    for row in expected.iter_rows(named=True):
        for name, method in POOLR.items():
            count = float(np.floor(effective_tests(ld, method) + 1e-9))
            got = 10 ** functions[row["method"]](p, n_effective=count)
            assert got == pytest.approx(row[name], rel=1e-9)


def test_meta_equals_metafor(data: Data) -> None:
    folder = data("genetics") / "refs_meta"
    bcg = pl.read_csv(folder / "dat_bcg_yi_vi.csv")
    for row in pl.read_csv(folder / "expected_metafor.csv").iter_rows(named=True):
        name = "fixed" if row["method"] == "EE" else row["method"]
        fit = meta(bcg["yi"], bcg["vi"], method=name)
        # metafor stops its iterations at 1e-5 of tau2.
        rel = 1e-4 if name in ("REML", "ML", "PM") else 1e-10
        for got, key in ((fit.effect, "b"), (fit.se, "se"), (fit.z, "z"), (fit.q, "Q")):
            assert got == pytest.approx(row[key], rel=rel), (name, key)
        assert fit.tau2 == pytest.approx(row["tau2"], rel=rel, abs=1e-12)
        assert fit.i2 == pytest.approx(row["I2"], rel=rel)
        assert fit.h2 == pytest.approx(row["H2"], rel=rel)
        assert 10**fit.log10p == pytest.approx(row["p"], rel=1e-3)
        assert 10**fit.q_log10p == pytest.approx(row["Qp"], rel=1e-8)


@pytest.mark.parametrize("method", ["ML", "REML"])
def test_likelihood_estimates_are_maxima(method: str) -> None:
    rng = np.random.default_rng(0)
    y, v = rng.normal(size=8), rng.uniform(0.05, 0.4, 8)

    def value(tau2: float) -> float:
        w = 1 / (v + tau2)
        out = np.sum(stats.norm.logpdf(y, w @ y / w.sum(), np.sqrt(v + tau2)))
        return float(out - 0.5 * np.log(w.sum())) if method == "REML" else float(out)

    tau2 = meta(y, v, method=method).tau2
    assert all(value(tau2) >= value(max(tau2 + d, 0)) for d in (-1e-3, -1e-5, 1e-5, 1e-3))


def test_one_cohort_and_homogeneous_cohorts() -> None:
    fit = meta([0.3, np.nan], [0.04, 0.1])
    assert (fit.effect, fit.n_studies, fit.tau2) == (0.3, 1, 0.0)
    for method in ("DL", "HE", "PM", "ML", "REML"):
        assert meta([0.3, 0.3, 0.3], [0.04, 0.1, 0.2], method=method).tau2 == 0.0
    with pytest.raises(InputError, match="No cohort"):
        meta([np.nan], [1.0])
    with pytest.raises(InputError, match="positive"):
        meta([1.0], [0.0])


def test_sample_size_z_and_inflation() -> None:
    z, log10p = sample_size_z([1.0, 2.0, np.nan], [100, 300, 50])
    assert z == pytest.approx((10 + 2 * np.sqrt(300)) / 20)
    assert 10**log10p == pytest.approx(2 * stats.norm.sf(z))
    chi2 = np.random.default_rng(1).chisquare(1, 200_000)
    assert genomic_control(chi2) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("p", [[0.01, 0.2, 0.3], [1e-12, 0.9, 0.5, 0.04], [0.5]])
def test_independent_combinations_equal_scipy(p: list[float]) -> None:
    for name in ("fisher", "stouffer", "tippett"):
        want = stats.combine_pvalues(p, method=name).pvalue
        assert 10 ** getattr(combine, name)(p) == pytest.approx(want, rel=1e-9)


def test_brown_without_correlation_is_fisher_and_with_it_is_calibrated() -> None:
    p = [0.01, 0.2, 0.3]
    assert combine.brown(p, np.eye(3)) == pytest.approx(combine.fisher(p))
    rng = np.random.default_rng(2)
    matrix = np.full((6, 6), 0.6) + 0.4 * np.eye(6)
    draws = rng.multivariate_normal(np.zeros(6), matrix, 2000)
    p_values = stats.norm.sf(draws)
    for combined in (
        [combine.brown(row, matrix) for row in p_values],
        [combine.cauchy(row) for row in p_values],
        [combine.empirical_brown(row, -draws[:500]) for row in p_values],
    ):
        rate = np.mean(np.array(combined) <= np.log10(0.05))
        # Moment matching is an approximation: within a fifth of the level.
        assert rate == pytest.approx(0.05, abs=0.02)


def test_cauchy_and_harmonic_mean() -> None:
    p = np.array([0.01, 0.2, 0.3])
    statistic = np.mean(np.tan((0.5 - p) * np.pi))
    assert 10 ** combine.cauchy(p) == pytest.approx(stats.cauchy.sf(statistic), rel=1e-12)
    assert combine.cauchy([1e-200, 0.5]) == pytest.approx(np.log10(2e-200), abs=1e-6)
    assert combine.cauchy([0.0, 0.5]) == -np.inf
    rng = np.random.default_rng(3)
    rate = np.mean([combine.harmonic_mean(row) <= np.log10(0.05) for row in rng.random((2000, 20))])
    assert rate == pytest.approx(0.05, abs=0.02)
    assert combine.harmonic_mean([1e-6] * 4) == pytest.approx(-6, abs=0.01)


def test_landau_tail_is_its_defining_integral() -> None:
    from scipy.integrate import quad

    for x in (-1.0, 0.5, 2.0, 30.0):

        def height(t: float, x: float = x) -> float:
            return float(np.exp(-t * np.log(t) - x * t) * np.sinc(t))

        want = quad(height, 0, 1, epsabs=1e-12)[0] + quad(height, 1, 40, limit=500)[0]
        assert combine.landau_tail(x) == pytest.approx(want, rel=1e-7)
    # SciPy's parametrisation: scale pi/2, shifted by its logarithm.
    for x in (-1.0, 3.0, 50.0):
        want = stats.landau.sf((x - np.log(np.pi / 2)) * 2 / np.pi)
        assert combine.landau_tail(x) == pytest.approx(want, rel=1e-5)


def test_pairwise_correlation_with_missing_values() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(60, 4)) + 1e5
    x[rng.random(x.shape) < 0.1] = np.nan
    x[:, 3] = 7.0
    got = correlation(x)
    keep = np.isfinite(x[:, 0]) & np.isfinite(x[:, 1])
    assert got[0, 1] == pytest.approx(np.corrcoef(x[keep, 0], x[keep, 1])[0, 1], rel=1e-6)
    assert got[3].tolist() == [0, 0, 0, 1]
    assert np.linalg.eigvalsh(got).min() > -1e-9
    assert sidak_level(10, 0.05) == pytest.approx(1 - 0.95**0.1)
    with pytest.raises(InputError, match="square"):
        effective_tests(np.zeros((2, 3)))
