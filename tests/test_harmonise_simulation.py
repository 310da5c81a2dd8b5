"""Harmonisation of simulated batches: what is removed, what is kept, what is written."""

import numpy as np
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from radgen import phenotype
from radgen.errors import FitError, InputError, RadgenWarning
from radgen.phenotype import ComBat, CovBat, LongitudinalComBat, NestedComBat, VarianceFilter
from radgen.types import PhenotypeTable


@parametrize_with_checks([CovBat(), NestedComBat(), LongitudinalComBat()])
@pytest.mark.filterwarnings("ignore::radgen.errors.RadgenWarning")
def test_harmonisers_are_scikit_learn_estimators(estimator, check):
    check(estimator)


def _cohort(n=120, p=8, seed=0):
    rng = np.random.default_rng(seed)
    return rng, rng.normal(size=(n, p)), np.arange(n) % 3


def test_covbat_removes_covariances_of_batches():
    """A factor varies more in one batch: ComBat cannot see it, CovBat evens it out in new rows."""

    def draw(seed):
        rng, values, site = _cohort(900, seed=seed)
        return values + 1.5 * (site == 1)[:, None] * rng.normal(size=(900, 1)), site

    (values, site), (new, new_site) = draw(0), draw(1)

    def gap(x, s):
        corr = [np.corrcoef(x[s == k].T) for k in range(3)]
        return np.abs(corr[1] - corr[0]).max()

    combat = ComBat().fit(values, batch=site)
    covbat = CovBat(n_components=8).fit(values, batch=site)
    before = gap(new, new_site)
    assert gap(combat.transform(new, batch=new_site), new_site) > 0.8 * before
    assert gap(covbat.transform(new, batch=new_site), new_site) < 0.35 * before


def test_a_smooth_effect_is_kept_and_its_batch_shift_removed():
    rng, values, site = _cohort(300)
    age = rng.uniform(20, 80, 300) + 10 * (site == 2)
    curve = 3 * np.sin(age / 9)
    values += curve[:, None] + 2.0 * (site == 1)[:, None]
    x = np.column_stack((age, values))
    smooth = ComBat(smooth_columns=[0]).fit(x, batch=site).transform(x, batch=site)
    rest = smooth - curve[:, None]
    means = np.stack([rest[site == k].mean(axis=0) for k in range(3)])
    assert np.ptp(means, axis=0).max() < 0.35
    plain = ComBat(covariate_columns=[0]).fit(x, batch=site).transform(x, batch=site)
    worse = np.stack([(plain - curve[:, None])[site == k].mean(axis=0) for k in range(3)])
    assert np.ptp(means, axis=0).mean() < np.ptp(worse, axis=0).mean()


def test_longitudinal_combat_keeps_differences_between_subjects():
    rng = np.random.default_rng(2)
    subject = np.repeat(np.arange(50), 4)
    site = rng.integers(0, 2, 200)
    own = 3 * rng.normal(size=(50, 6))
    values = own[subject] + rng.normal(size=(200, 6)) + 1.5 * site[:, None]
    known = subject < 40
    model = LongitudinalComBat().fit(values[known], batch=site[known], subjects=subject[known])
    np.testing.assert_allclose(model.subject_variance_, own[:40].var(axis=0), rtol=0.2)
    np.testing.assert_allclose(model.residual_variance_, 1, rtol=0.35)
    flat = model.transform(values, batch=site, subjects=subject)
    rest = flat - own[subject]
    for rows in (known, ~known):
        gap = rest[rows & (site == 1)].mean(axis=0) - rest[rows & (site == 0)].mean(axis=0)
        assert np.abs(gap).max() < 0.75
        assert np.abs(gap).mean() < 0.35
    again = model.transform(values[:3], batch=site[:3], subjects=subject[:3])
    np.testing.assert_allclose(again, flat[:3])


def test_longitudinal_combat_meets_unseen_batches_by_policy():
    rng = np.random.default_rng(2)
    subject, site = np.repeat(np.arange(40), 3), np.tile([0, 1, 2], 40)
    values = rng.normal(size=(40, 5))[subject] + rng.normal(size=(120, 5)) + 2.0 * site[:, None]
    known = site < 2
    seen = {"batch": site[known], "subjects": subject[known]}
    model = LongitudinalComBat().fit(values[known], **seen)
    with pytest.raises(InputError, match="not in the training rows: 2"):
        model.transform(values, batch=site, subjects=subject)
    left = LongitudinalComBat(unseen="leave").fit(values[known], **seen)
    out = left.transform(values, batch=site, subjects=subject)
    np.testing.assert_array_equal(out[~known], values[~known])
    adapted = LongitudinalComBat(unseen="adapt").fit(values[known], **seen)
    out = adapted.transform(values, batch=site, subjects=subject)
    assert np.abs(out[~known].mean(axis=0) - out[known].mean(axis=0)).max() < 0.5
    with pytest.raises(FitError, match="confounded"):
        LongitudinalComBat().fit(values, batch=site, subjects=subject, covariates=site % 2)
    with pytest.warns(RadgenWarning, match="No subject has two rows"):
        LongitudinalComBat().fit(values, batch=site, subjects=np.arange(120))


def test_nested_combat_removes_all_variables_and_travels_with_frames():
    import pandas

    rng, values, maker = _cohort(240)
    kernel = rng.integers(0, 2, 240)
    values += maker[:, None] - 1.5 * kernel[:, None]
    names = list("abcdefgh")
    frame = pandas.DataFrame(values, columns=names).assign(
        maker=[f"m{k}" for k in maker], kernel=[f"k{k}" for k in kernel]
    )
    step = NestedComBat(["maker", "kernel"], eb=False, unseen="leave")
    model = make_pipeline(step).fit(frame)
    flat = model.transform(frame)
    assert model.get_feature_names_out().tolist() == names
    for variable, levels in ((maker, 3), (kernel, 2)):
        means = np.stack([flat[variable == k].mean(axis=0) for k in range(levels)])
        assert np.ptp(means, axis=0).max() < 0.15
    assert step.differing_before_ > 12
    assert step.differing_[step.order_] == min(step.differing_.values()) == 0
    assert len(step.differing_) == 2


def test_hidden_groups_are_found_removed_or_kept():
    rng, values, maker = _cohort(200)
    hidden = rng.integers(0, 2, 200)
    values[:, 3] += 5 * hidden
    values[:, 4:] += 2 * hidden[:, None]
    values += 0.8 * maker[:, None]
    removed = NestedComBat(groups="remove").fit(values, batch=maker)
    assert removed.groups_.feature == 3
    found = removed.groups_.label(values)
    assert np.abs(np.corrcoef(found, hidden)[0, 1]) > 0.9
    out = removed.transform(values, batch=maker)
    assert abs(np.corrcoef(out[:, 5], hidden)[0, 1]) < 0.25
    kept = NestedComBat(groups="keep").fit(values, batch=maker)
    assert np.corrcoef(kept.transform(values, batch=maker)[:, 5], hidden)[0, 1] > 0.6
    with pytest.warns(RadgenWarning, match="no hidden groups"):
        NestedComBat(groups="keep").fit(rng.normal(size=(200, 3)), batch=maker)


@pytest.mark.parametrize("make", [CovBat, NestedComBat, LongitudinalComBat])
def test_the_outcome_is_refused(make):
    rng, values, site = _cohort()
    outcome = rng.integers(0, 2, 120).astype(float)
    with pytest.raises(InputError, match="is the outcome"):
        make().fit(values, outcome, batch=site, covariates=outcome)


def test_too_many_orders_and_unknown_choices_are_refused():
    _, values, site = _cohort()
    with pytest.raises(InputError, match="6!"):
        NestedComBat().fit(values, batch=np.tile(site[:, None], 6))
    with pytest.raises(InputError, match="four distinct values"):
        ComBat(smooth_columns=[0]).fit(np.column_stack((site, values)), batch=site)
    with pytest.raises(InputError, match="treatment of tied"):
        ComBat(tied="drop").fit(values, batch=site)


def test_shifted_ties_mark_the_batch_unless_they_are_left_or_dropped():
    """No batch has an effect; ranks of equal values that a shift split give it away."""
    rng = np.random.default_rng(3)
    values = rng.integers(0, 4, size=(200, 12)).astype(float)
    site = np.arange(200) % 2
    moved = ComBat(eb=False).fit(values, batch=site)
    assert moved.tied_.all()
    column = moved.transform(values, batch=site)[:, 0]
    assert not set(column[site == 0]) & set(column[site == 1])
    left = clone(moved).set_params(tied="leave").fit(values, batch=site)
    np.testing.assert_array_equal(left.transform(values, batch=site), values)
    mixed = np.column_stack((values, rng.normal(size=200)))
    assert VarianceFilter(max_ties=0.05).fit(mixed).support_.tolist() == [False] * 12 + [True]


def test_gauge_tells_what_is_left_from_what_estimation_errors_write():
    rng = np.random.default_rng(5)
    n, p = 80, 12
    site = np.arange(n) % 2
    values = rng.normal(size=(n, p)) + 1.0 * site[:, None] * rng.choice([-1, 1], p)
    frame = pl.DataFrame(
        {"sample": [f"s{k}" for k in range(n)]} | {f"f{j}": values[:, j] for j in range(p)}
    )
    batch = {f"s{k}": f"site{v}" for k, v in enumerate(site)}
    found = phenotype.batch_gauge(
        PhenotypeTable.from_frame(frame),
        batch,
        seed=1,
        harmoniser=ComBat(eb=False),
        shuffles=1,
        folds=3,
    )
    for reader in ("linear", "forest"):
        assert found.mean("before", reader) > 0.95
        assert abs(found.mean("after", reader) - 0.5) < 0.2
        new = found.mean("after, read among new rows", reader)
        null = found.mean("after, read among new rows, batches shuffled", reader)
        assert abs(new - null) < 0.25
    assert found.differing["before"] > 0.8
    assert found.differing["after"] < 0.1
    assert "estimation errors" in found.statements()[1]
    assert "Anderson-Darling" in found.methods()
    with pytest.raises(InputError, match="no stage"):
        found.mean("never")
