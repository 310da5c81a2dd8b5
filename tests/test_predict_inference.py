"""Cut-points, combinations, nested models, treatment: truth recovered, nulls left alone."""

from __future__ import annotations

from itertools import product

import numpy as np
import polars as pl
import pytest
from scipy.special import expit

from radgen import predict
from radgen.errors import InputError
from radgen.predict.combinations import enumerate_combinations
from radgen.predict.cutpoints import group_effect
from radgen.stats.cox import fit_cox
from radgen.stats.survival import kaplan_meier, restricted_mean
from radgen.stats.survival_pseudo import pseudo_values
from radgen.types import Outcome


def _ids(n):
    return tuple(f"s{k:04d}" for k in range(n))


def _table(values, prefix="x"):
    frame = {"sample": _ids(len(values))}
    return pl.DataFrame(frame | {f"{prefix}{j}": values[:, j] for j in range(values.shape[1])})


def _survival(rng, eta, rate=2.0):
    n = len(eta)
    time, censor = rng.exponential(np.exp(-eta)), rng.exponential(rate, n)
    return Outcome("death", "censored", _ids(n), np.minimum(time, censor), time <= censor)


def test_the_optimism_of_a_cut_is_shown_and_a_real_cut_is_found():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 3))
    outcome = _survival(rng, 1.2 * (x[:, 0] > 0.3))
    found = predict.optimal_cutpoints({"imaging": _table(x)}, outcome, seed=1, permutations=199)
    rows = {row["variable"]: row for row in found.frame.iter_rows(named=True)}
    assert abs(rows["x0"]["cut"] - 0.3) < 0.3
    assert rows["x0"]["p_adjusted"] < 0.02
    assert rows["x0"]["honest_low"] > 1.5
    for name in ("x1", "x2"):
        assert rows[name]["p_value"] > 0.05
        assert rows[name]["p_naive"] < rows[name]["p_value"]
        assert rows[name]["optimism"] > 1
    assert "with the search counted" in found.statements()[0]
    with pytest.raises(InputError, match="No variable has a cut"):
        predict.optimal_cutpoints({"i": _table(x > 0)}, outcome, seed=1)


def test_group_effects_by_hand():
    high = np.array([1, 1, 1, 0, 0, 0, 0], dtype=bool)
    y = np.array([1.0, 1, 0, 0, 0, 1, 0])
    odds, low, top = group_effect("binary", y, high)
    assert odds == pytest.approx(2.5 * 3.5 / (1.5 * 1.5))
    assert low < odds < top
    gap, *_ = group_effect("continuous", y, high)
    assert gap == pytest.approx(2 / 3 - 1 / 4)
    assert np.isnan(group_effect("binary", y, np.ones(7, dtype=bool))[0])


def test_all_combinations_are_enumerated():
    found = enumerate_combinations(list("abcd"), 3)
    assert len(found) == 4 + 6 * 4 + 4 * 8
    assert len(set(found)) == len(found)
    pairs = {c for c in found if len(c) == 2}
    expected = {
        ((i, a), (j, b))
        for i in range(4) for j in range(i + 1, 4) for a, b in product((True, False), repeat=2)
    }  # fmt: skip
    assert pairs == expected


def test_a_planted_combination_is_found_inside_the_validation():
    rng = np.random.default_rng(2)
    traits = rng.random((220, 6)) < 0.5
    outcome = _survival(rng, 1.6 * (traits[:, 0] & ~traits[:, 2]))
    found = predict.search_combinations(
        _table(traits, "t"), outcome, seed=1, permutations=199, repeats=2
    )
    assert found.frame["combination"][0] == "t0 and no t2"
    assert found.frame["p_value"][0] == pytest.approx(1 / 200)
    assert found.stability > 0.8
    assert found.honest_low > 1.5
    assert found.n_tried == 6 + 15 * 4


def test_the_best_combination_of_noise_has_a_uniform_p():
    naive, honest = [], []
    for seed in range(20):
        rng = np.random.default_rng([3, seed])
        traits = rng.random((60, 5)) < 0.5
        outcome = _survival(rng, np.zeros(60))
        found = predict.search_combinations(
            _table(traits, "t"), outcome, seed=seed, permutations=49, repeats=1, folds=3
        )
        naive.append(found.frame["p_naive"][0] < 0.05)
        honest.append(found.frame["p_value"][0])
    assert abs(np.mean(np.array(honest) <= 0.1) - 0.1) < 4 * np.sqrt(0.09 / 20)
    assert np.mean(naive) > 0.4


def test_traits_with_more_values_are_refused():
    rng = np.random.default_rng(4)
    outcome = _survival(rng, np.zeros(40))
    with pytest.raises(InputError, match="more than two values: x0"):
        predict.search_combinations(_table(rng.normal(size=(40, 2))), outcome, seed=1)


@pytest.mark.parametrize("kind", ["binary", "censored", "continuous"])
def test_nested_models_test_each_block_against_those_before(kind):
    import statsmodels.api as sm

    rng = np.random.default_rng(5)
    n = 180
    clinic, images, genes = (rng.normal(size=(n, k)) for k in (2, 3, 2))
    eta = clinic[:, 0] + 1.8 * images[:, 0]
    if kind == "binary":
        y = (rng.random(n) < expit(eta)).astype(float)
        outcome = Outcome("y", kind, _ids(n), y)
    elif kind == "censored":
        outcome = _survival(rng, eta)
    else:
        y = eta + rng.normal(size=n)
        outcome = Outcome("y", kind, _ids(n), y)
    blocks = {
        "clinical": _table(clinic, "c"), "imaging": _table(images, "i"),
        "genomic": _table(genes, "g"),
    }  # fmt: skip
    found = predict.nested_models(blocks, outcome, seed=1, folds=4, repeats=1, inner_folds=3)
    rows = found.frame
    assert rows["df"].to_list() == [2, 3, 2]
    assert rows["p_value"][1] < 1e-4
    assert rows["gain_low"][1] > 0
    assert rows["gain_low"][2] < 0
    x = np.hstack((clinic, images))
    if kind == "binary":
        full = sm.Logit(y, sm.add_constant(x)).fit(disp=0)
        less = sm.Logit(y, sm.add_constant(clinic)).fit(disp=0)
        expected = 2 * (full.llf - less.llf)
    elif kind == "continuous":
        full, less = (sm.OLS(y, sm.add_constant(v)).fit() for v in (x, clinic))
        expected = 2 * (full.llf - less.llf)
    else:
        args = (outcome.values, outcome.events)
        full, less = fit_cox(x, *args), fit_cox(clinic, *args)
        expected = 2 * (full.log_likelihood - less.log_likelihood)
    assert rows["lr_statistic"][1] == pytest.approx(expected, rel=1e-7)
    if kind != "continuous":
        assert found.reclassification["warning"][0].startswith("NRI and IDI can be positive")
    assert "adds to what came before" in found.statements()[1]
    assert "no evidence of adding" in found.statements()[2]


def test_nested_models_without_a_test_say_why():
    rng = np.random.default_rng(6)
    y = (rng.random(60) < 0.5).astype(float)
    blocks = {"clinical": _table(rng.normal(size=(60, 1)), "c"),
              "imaging": _table(rng.normal(size=(60, 30)), "i")}  # fmt: skip
    found = predict.nested_models(
        blocks, Outcome("y", "binary", _ids(60), y), seed=1, folds=3, repeats=1, inner_folds=2
    )
    assert np.isnan(found.frame["p_value"][1])
    assert "no unpenalised model" in found.frame["note"][1]
    with pytest.raises(InputError, match="two blocks"):
        predict.nested_models(
            {"c": blocks["clinical"]}, Outcome("y", "binary", _ids(60), y), seed=1
        )


def _trial(rng, n, *, interaction, kind="censored"):
    marker, other = rng.normal(size=n), rng.normal(size=n)
    arm = rng.integers(0, 2, n)
    eta = 0.6 * other + arm * (0.2 - interaction * marker)
    if kind == "censored":
        outcome = _survival(rng, eta, 3.0)
    elif kind == "binary":
        outcome = Outcome("death", kind, _ids(n), (rng.random(n) < expit(eta)).astype(float))
    else:
        outcome = Outcome("score", kind, _ids(n), eta + rng.normal(size=n))
    table = pl.DataFrame({"sample": _ids(n), "marker": marker, "prognostic": other})
    drug = dict(zip(_ids(n), np.where(arm == 1, "drug", "control").tolist(), strict=True))
    return {"imaging": table}, drug, outcome, marker, arm


@pytest.mark.parametrize("kind", ["censored", "binary", "continuous"])
def test_prognostic_and_predictive_markers_are_kept_apart(kind):
    blocks, drug, outcome, *_ = _trial(np.random.default_rng(7), 500, interaction=1.2, kind=kind)
    found = predict.treatment_effects(blocks, drug, outcome)
    rows = {row["marker"]: row for row in found.frame.iter_rows(named=True)}
    assert rows["marker"]["interaction_p_adjusted"] < 0.01
    assert rows["prognostic"]["interaction_p_adjusted"] > 0.05
    assert rows["prognostic"]["prognostic_p"] < 1e-4
    assert "marker is predictive" in found.statements()[0]
    assert "Prognostic without evidence of being predictive: prognostic" in found.statements()[1]
    assert found.plot("interactions").has_data()


@pytest.mark.parametrize("kind", ["censored", "binary", "continuous"])
def test_treatment_effects_at_low_and_high_markers_are_those_simulated(kind):
    z = []
    for seed in range(30):
        rng = np.random.default_rng([77, seed])
        blocks, drug, outcome, marker, _ = _trial(rng, 300, interaction=1.0, kind=kind)
        both = blocks["imaging"]
        row = predict.treatment_effects(
            {"imaging": both.drop("prognostic")}, drug, outcome, covariates=both.drop("marker")
        ).frame.row(0, named=True)
        for key, level in (("treatment_low", -1), ("treatment_high", 1)):
            names = (key, f"{key}_ci_low", f"{key}_ci_high")
            value, low, high = (row[name] for name in names)
            if kind != "continuous":
                value, low, high = np.log([value, low, high])
            truth = 0.2 - (marker.mean() + level * marker.std())
            z.append((value - truth) / ((high - low) / 3.92))
    assert abs(np.mean(z)) < 4 / np.sqrt(60)
    assert 0.7 < np.std(z) < 1.35


def test_interactions_equal_statsmodels():
    import statsmodels.api as sm

    blocks, drug, outcome, marker, arm = _trial(
        np.random.default_rng(8), 150, interaction=0.5, kind="continuous"
    )
    found = predict.treatment_effects(blocks, drug, outcome).frame.row(0, named=True)
    z = (marker - marker.mean()) / marker.std()
    peer = sm.OLS(outcome.values, sm.add_constant(np.column_stack((z, arm, z * arm)))).fit()
    assert found["interaction"] == pytest.approx(peer.params[3], rel=1e-8)
    assert found["interaction_p"] == pytest.approx(peer.pvalues[3], rel=1e-8)
    low, high = peer.conf_int()[3]
    assert (found["interaction_low"], found["interaction_high"]) == pytest.approx((low, high))
    low_effect = peer.params[2] - peer.params[3]
    assert found["treatment_low"] == pytest.approx(low_effect, rel=1e-8)


def test_null_interactions_keep_their_level():
    wrong = 0
    for seed in range(150):
        blocks, drug, outcome, *_ = _trial(np.random.default_rng([9, seed]), 80, interaction=0)
        found = predict.treatment_effects(blocks, drug, outcome).frame
        wrong += int(found["interaction_p"][0] < 0.05)
    assert abs(wrong / 150 - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 150)


def test_treatment_input_is_refused_with_a_remedy():
    blocks, drug, outcome, *_ = _trial(np.random.default_rng(10), 60, interaction=0)
    with pytest.raises(InputError, match="two arms"):
        predict.treatment_effects(blocks, dict.fromkeys(drug, "drug"), outcome)
    with pytest.raises(InputError, match="the arms are control, drug"):
        predict.treatment_effects(blocks, drug, outcome, control="placebo")
    with pytest.raises(InputError, match="have no treatment"):
        predict.treatment_effects(blocks, {}, outcome)


def test_policy_value_recovers_the_value_of_a_known_rule():
    """With a known optimal rule: IPW and doubly robust values hold the truth in their interval."""
    rng = np.random.default_rng(11)
    n = 20_000
    x, z = rng.normal(size=n), rng.normal(size=n)
    chance = expit(0.8 * z)
    arm = (rng.random(n) < chance).astype(float)
    y = z + arm * x + rng.normal(size=n)
    truth = np.maximum(rng.normal(size=2_000_000), 0).mean()
    for expected in (None, (z, z + x)):
        value, influence = predict.policy_value(x > 0, arm, y, propensity=chance, expected=expected)
        error = influence.std() / np.sqrt(n)
        assert abs(value - truth) < 4 * error
    assert predict.policy_value(np.zeros(n), arm, y, propensity=chance)[0] == pytest.approx(
        0, abs=0.1
    )
    with pytest.raises(InputError, match="strictly between"):
        predict.policy_value(x > 0, arm, y, propensity=np.ones(n))


@pytest.mark.parametrize("kind", ["censored", "binary"])
def test_a_rule_is_worth_something_where_effects_differ(kind):
    blocks, drug, outcome, marker, _ = _trial(
        np.random.default_rng(12), 500, interaction=1.6, kind=kind
    )
    found = predict.treatment_rule(blocks, drug, outcome, seed=1, folds=4, repeats=1)
    assert found.area_low > 0
    rows = {row["policy"]: row for row in found.frame.iter_rows(named=True)}
    assert rows["treat everybody"]["gain_low"] > 0
    assert rows["treat nobody"]["gain_low"] > 0
    assert np.corrcoef(found.benefits["benefit"], marker)[0, 1] > 0.8
    assert found.curve["gain"][-1] == pytest.approx(found.curve["random"][-1], abs=1e-9)
    assert "must not guide the care" in found.statements()[-1]
    assert found.plot("gain").has_data()


def test_a_rule_without_differing_effects_is_worth_nothing():
    wrong = 0
    for seed in range(20):
        blocks, drug, outcome, *_ = _trial(
            np.random.default_rng([13, seed]), 120, interaction=0, kind="continuous"
        )
        found = predict.treatment_rule(
            blocks, drug, outcome, seed=seed, folds=3, repeats=1, inner_folds=2, better="lower"
        )
        wrong += found.area_low > 0
    assert wrong <= 3
    with pytest.raises(InputError, match="Say which values are good"):
        predict.treatment_rule(blocks, drug, outcome, seed=1)


def test_confounded_treatment_is_corrected_by_its_confounders():
    rng = np.random.default_rng(14)
    n = 800
    z, x = rng.normal(size=n), rng.normal(size=n)
    arm = rng.random(n) < expit(1.2 * z)
    y = 1.5 * z + rng.normal(size=n)
    blocks = {"imaging": pl.DataFrame({"sample": _ids(n), "x": x})}
    drug = dict(zip(_ids(n), np.where(arm, "drug", "control").tolist(), strict=True))
    outcome = Outcome("score", "continuous", _ids(n), y)
    shuffled = pl.DataFrame({"sample": _ids(n), "z": z}).sample(fraction=1, shuffle=True, seed=1)
    options = {"seed": 1, "folds": 3, "repeats": 1, "better": "higher"}
    naive = predict.treatment_rule(blocks, drug, outcome, **options).frame
    right = predict.treatment_rule(blocks, drug, outcome, confounders=shuffled, **options).frame

    def effect(frame):
        values = dict(frame.select("policy", "value").iter_rows())
        return values["treat everybody"] - values["treat nobody"]

    assert effect(naive) > 1
    assert abs(effect(right)) < 0.4


def test_pseudo_values_are_the_jackknife_and_average_to_the_estimate():
    rng = np.random.default_rng(15)
    time, censor = rng.exponential(size=60), rng.exponential(2, size=60)
    seen, event = np.round(np.minimum(time, censor), 2) + 0.01, time <= censor
    found = pseudo_values(seen, event, 0.8)
    assert found.mean() == pytest.approx(restricted_mean(seen, event, tau=0.8).estimate, abs=0.02)
    whole = restricted_mean(seen, event, tau=0.8).estimate
    for i in (0, 17, 59):
        rest = np.delete(np.arange(60), i)
        less = restricted_mean(seen[rest], event[rest], tau=0.8).estimate
        assert found[i] == pytest.approx(60 * whole - 59 * less, abs=1e-9)
    none = pseudo_values(seen, np.ones(60), 0.8, of="survival")
    np.testing.assert_allclose(none, seen > 0.8, atol=1e-9)
    level = kaplan_meier(seen, event).at([0.8])[0]
    survival = pseudo_values(seen, event, 0.8, of="survival")
    assert survival.mean() == pytest.approx(level, abs=0.02)
    with pytest.raises(InputError, match="followed up"):
        pseudo_values(seen, event, 99.0)
