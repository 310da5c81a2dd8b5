"""Harmonisation with smooth covariates, repeats and covariances against R."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from radgen.phenotype import ComBat, CovBat, LongitudinalComBat, NestedComBat
from radgen.stats.ksample import anderson_columns
from radgen.stats.random_intercept import fit_random_intercept
from radgen.stats.smooth import fit_smooth, spline_basis

GOLDEN = Path(__file__).parent / "golden" / "harmonise"


def golden(name):
    return np.genfromtxt(GOLDEN / name, delimiter=",", skip_header=1, autostrip=True)


@pytest.fixture(scope="module")
def cohort():
    text = np.genfromtxt(GOLDEN / "input.csv", delimiter=",", dtype=str, autostrip=True)[1:]
    number = np.delete(text, 1, axis=1).astype(float)
    return {
        "id": text[:, 0],
        "site": text[:, 1],
        "age": number[:, 1],
        "sex": number[:, 2],
        "values": number[:, 3:],
    }


def _dummies(site):
    return (site[:, None] == np.unique(site)).astype(float)


def test_random_intercepts_equal_lme4(cohort):
    x = np.column_stack((_dummies(cohort["site"]), cohort["age"], cohort["sex"]))
    fit = fit_random_intercept(cohort["values"], x, cohort["id"].astype(int))
    expected = golden("lmer.csv")
    np.testing.assert_allclose(fit.log_likelihood, expected[:, 7], rtol=1e-9)
    np.testing.assert_allclose(np.sqrt(fit.residual_variance), expected[:, 6], rtol=1e-6)
    np.testing.assert_allclose(np.sqrt(fit.subject_variance), expected[:, 5], atol=1e-6)
    np.testing.assert_allclose(fit.coefficients.T, expected[:, :5], atol=1e-6)
    np.testing.assert_allclose(fit.intercepts, golden("lmer_intercepts.csv"), atol=2e-6)


def test_smooth_effects_equal_mgcv(cohort):
    second = golden("second.csv")
    parts = [spline_basis(cohort["age"], 10), spline_basis(second, 8)]
    columns = [parts[0].columns(cohort["age"]), parts[1].columns(second)]
    beta, degrees = fit_smooth(
        cohort["values"], _dummies(cohort["site"]), columns, [item.penalty for item in parts]
    )
    fitted = np.hstack((_dummies(cohort["site"]), *columns)) @ beta
    # The criterion is flat: mgcv stops where it changes by less than 1e-6.
    np.testing.assert_allclose(fitted, golden("gam_two.csv"), atol=2e-3)
    np.testing.assert_allclose(degrees.T, golden("gam_two_edf.csv"), atol=1e-2)


def test_combat_with_a_smooth_covariate_equals_combat_gam(cohort):
    x = np.column_stack((cohort["age"], cohort["sex"], cohort["values"]))
    model = ComBat(smooth_columns=[0], covariate_columns=[1]).fit(x, batch=cohort["site"])
    found = model.transform(x, batch=cohort["site"])
    np.testing.assert_allclose(found, golden("gam.csv"), atol=1e-4)


def test_reference_batch_equals_sva(cohort):
    found = ComBat(reference="b").fit(cohort["values"], batch=cohort["site"])
    flat = found.transform(cohort["values"], batch=cohort["site"])
    np.testing.assert_allclose(flat, golden("reference_batch.csv"), atol=1e-6)


@pytest.mark.parametrize(("eb", "file"), [(True, "covbat.csv"), (False, "covbat_noeb.csv")])
def test_covbat_equals_its_reference_program(cohort, eb, file):
    kept = np.column_stack((cohort["age"], cohort["sex"]))
    model = CovBat(eb=eb).fit(cohort["values"], batch=cohort["site"], covariates=kept)
    found = model.transform(cohort["values"], batch=cohort["site"], covariates=kept)
    np.testing.assert_allclose(found, golden(file), atol=1e-9)


def test_longitudinal_combat_equals_its_reference_program(cohort):
    x = np.column_stack((cohort["age"], cohort["sex"], cohort["values"]))
    model = LongitudinalComBat(covariate_columns=[0, 1], tolerance=1e-12)
    model.fit(x, batch=cohort["site"], subjects=cohort["id"])
    found = model.transform(x, batch=cohort["site"], subjects=cohort["id"])
    np.testing.assert_allclose(found, golden("longitudinal.csv"), atol=1e-6)


def test_nested_combat_equals_its_reference_program():
    table = golden("nested_input.csv")
    values, batch = table[:, :15], table[:, 15:]
    model = NestedComBat().fit(values, batch=batch)
    order = json.loads((GOLDEN / "nested.json").read_text())["order"]
    assert [("maker", "kernel", "contrast")[k] for k in model.order_] == order
    found = model.transform(values, batch=batch)
    # Three steps, each stopped at a relative change of 1e-4 that neuroCombat takes with its sign.
    np.testing.assert_allclose(found, golden("nested.csv"), atol=2e-6)


def test_many_anderson_darling_tests_equal_scipy():
    from scipy.stats import anderson_ksamp

    rng = np.random.default_rng(0)
    for k in (2, 3, 5):
        values, group = rng.normal(size=(70, 6)).round(1), rng.integers(0, k, 70)
        found = anderson_columns(values, group)
        for j in range(6):
            parts = [values[group == g, j] for g in range(k)]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expected = anderson_ksamp(parts)
            assert found.statistic[j] == pytest.approx(expected.statistic, abs=1e-10)
            np.testing.assert_allclose(list(found.critical.values()), expected.critical_values)
