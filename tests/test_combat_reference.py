"""ComBat against the outputs of neuroCombat (Python and R)."""

import re

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from radgen.errors import FitError, InputError
from radgen.phenotype import ComBat

BATCH = np.repeat([1, 2], 5)
GENDER = np.tile([1.0, 2.0], 5)


def _read(path):
    return np.loadtxt(path, delimiter=",", skiprows=1 if path.stem.endswith("_r") else 0).T


def _table(data):
    return np.loadtxt(data("combat_reference") / "testdata.csv", delimiter=",", skiprows=1).T


def test_every_variant_equals_the_reference(data):
    values = _table(data)
    files = sorted((data("combat_reference") / "expected").glob("testdata*.csv"))
    assert len(files) >= 60
    for path in files:
        name = path.stem
        model = ComBat(
            parametric="nonparametric" not in name,
            eb="noeb" not in name,
            mean_only="meanonl" in name,
            reference=1 if "batchref" in name else None,
        )
        kept = GENDER[:, None] if re.search("_adjusted", name) else None
        model.fit(values, batch=BATCH, covariates=kept)
        found = model.transform(values, batch=BATCH, covariates=kept)
        np.testing.assert_allclose(found, _read(path), atol=1e-8, err_msg=name)


@pytest.mark.parametrize("language", ["python", "r"])
def test_estimates_of_training_apply_to_new_rows(data, language):
    values = _table(data)
    rows = [0, 1, 5, 6]
    model = ComBat().fit(values, batch=BATCH, covariates=GENDER)
    found = model.transform(values[rows], batch=BATCH[rows])
    path = data("combat_reference") / "expected" / f"training_test_scenario2_{language}.csv"
    np.testing.assert_allclose(found, _read(path), atol=1e-8)


@parametrize_with_checks([ComBat()])
@pytest.mark.filterwarnings("ignore:ComBat saw one batch:radgen.errors.RadgenWarning")
def test_combat_is_a_scikit_learn_estimator(estimator, check):
    check(estimator)


def _shifted(n=60, p=5):
    rng = np.random.default_rng(3)
    values = rng.normal(size=(n, p))
    site = np.repeat([0.0, 1.0, 2.0], n // 3)
    return values + site[:, None] * 2, site


def test_batch_column_travels_through_a_pipeline():
    values, site = _shifted()
    inside = make_pipeline(ComBat(batch_column=0)).fit_transform(np.column_stack((site, values)))
    outside = ComBat().fit(values, batch=site).transform(values, batch=site)
    np.testing.assert_array_equal(inside, outside)


def test_frame_columns_by_name():
    import pandas

    values, site = _shifted()
    frame = pandas.DataFrame(values, columns=list("abcde")).assign(site=[f"s{k:g}" for k in site])
    model = ComBat(batch_column="site").fit(frame)
    expected = ComBat().fit(values, batch=site).transform(values, batch=site)
    np.testing.assert_allclose(model.transform(frame), expected)
    assert model.get_feature_names_out().tolist() == list("abcde")


def test_unseen_batch_policies():
    values, site = _shifted()
    known = site < 2
    model = ComBat().fit(values[known], batch=site[known])
    with pytest.raises(InputError, match="not in the training rows: 2"):
        model.transform(values, batch=site)
    left = ComBat(unseen="leave").fit(values[known], batch=site[known])
    np.testing.assert_array_equal(left.transform(values, batch=site)[~known], values[~known])
    adapted = ComBat(unseen="adapt").fit(values[known], batch=site[known])
    moved = adapted.transform(values, batch=site)
    assert abs(moved[~known].mean() - moved[known].mean()) < 0.2
    with pytest.raises(InputError, match="one row"):
        adapted.transform(values[-1:], batch=site[-1:])


def test_outcome_is_refused_as_kept_covariate():
    values, site = _shifted()
    outcome = np.random.default_rng(1).integers(0, 2, len(site)).astype(float)
    table = np.column_stack((site, outcome, values))
    with pytest.raises(InputError, match="is the outcome"):
        ComBat(0, covariate_columns=[1]).fit(table, outcome)
    with pytest.raises(InputError, match="is the outcome"):
        ComBat(0, covariate_columns=[1]).fit(table, 1 - outcome)
    with pytest.raises(InputError, match="is the outcome"):
        ComBat(0, covariate_columns=[1], forbidden=[1]).fit(table)


def test_confounding_and_lone_batches_are_refused():
    values, site = _shifted()
    with pytest.raises(FitError, match="confounded"):
        ComBat().fit(values, batch=site, covariates=(site > 0).astype(float))
    lone = site.copy()
    lone[0] = 9
    with pytest.raises(InputError, match="single sample"):
        ComBat().fit(values, batch=lone)
    ComBat(mean_only=True).fit(values, batch=lone)


def test_constant_features_pass_unchanged():
    values, site = _shifted()
    values[:, 2] = 7.0
    found = ComBat().fit(values, batch=site).transform(values, batch=site)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[:, 2], 7.0)
