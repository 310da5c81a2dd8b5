"""Surrogates of traits: learner, harmonisation, pooling and carrying, against references."""

from __future__ import annotations

import lifelines
import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.optimize import brentq
from scipy.special import stdtrit
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler

from radgen._core.rng import spawn
from radgen.associate import surrogate
from radgen.associate.surrogates._carry import (
    Pooled,
    Survival,
    linear_effects,
    pool_effects,
    ratio_interval,
)
from radgen.associate.surrogates._learner import calibration_slope, held_out, machine_of
from radgen.associate.surrogates._sides import predictors_of
from radgen.errors import InputError
from radgen.stats.cox import RiskSets, fit_cox
from radgen.stats.ridge import RidgeBasis, ridge
from radgen.types import Covariates, OmicsTable, Outcome, PhenotypeTable


@pytest.mark.parametrize("shape", [(30, 8), (15, 40)])
def test_ridge_of_products_equals_scikit_learn(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    x, y, new = rng.standard_normal(shape), rng.standard_normal((shape[0], 2)), 5
    other = rng.standard_normal((new, shape[1]))
    machine = machine_of(None, x, other)
    train, test = np.arange(shape[0]), shape[0] + np.arange(new)
    found, _ = machine.scores(train, y, test, np.array([0.7, 20.0]))
    for k, alpha in enumerate((0.7, 20.0)):
        want = Ridge(alpha=alpha, solver="svd").fit(x, y[:, k]).predict(other)
        assert found[:, k] + y[:, k].mean() == pytest.approx(want, abs=1e-9)
    chosen = RidgeBasis.of_products(x @ x.T).fit(y).penalties
    assert chosen == pytest.approx(ridge(x, y).penalties)
    twice = np.concatenate([train, train[:4]])
    again, _ = machine.scores(twice, y[twice], test, np.array([0.7, 20.0]))
    want = Ridge(alpha=0.7, solver="svd").fit(x[twice], y[twice, 0]).predict(other)
    assert again[:, 0] + y[twice, 0].mean() == pytest.approx(want, abs=1e-9)


def test_held_out_predictions_equal_scikit_learn_in_the_same_folds() -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((40, 60)) * rng.uniform(0.5, 3, 60)
    y = x[:, :5].sum(axis=1, keepdims=True) + rng.standard_normal((40, 1))
    found = held_out(x, y, model=None, binary=False, folds=4, repeats=1, permutations=19, seed=3)
    state = int(spawn(3, "folds", 0).integers(2**31))
    want = np.empty(40)
    for train, test in KFold(4, shuffle=True, random_state=state).split(x):
        scaler = StandardScaler().fit(x[train])
        a, b = scaler.transform(x[train]), scaler.transform(x[test])
        alpha = ridge(a, y[train]).penalties[0]
        want[test] = Ridge(alpha=alpha, solver="svd").fit(a, y[train, 0]).predict(b)
        want[test] -= y[train].mean()
    assert found.scores[:, 0] == pytest.approx(want, abs=1e-8)
    assert found.performance[0] == pytest.approx(np.corrcoef(want, y[:, 0])[0, 1])
    assert found.slope[0] == pytest.approx(np.polyfit(want, y[:, 0], 1)[0])
    asked = held_out(
        x, y, model=Ridge(alpha=30.0), binary=False, folds=4, repeats=1, permutations=0, seed=3
    )
    assert np.isnan(asked.p[0])
    assert asked.performance[0] > 0.3


def test_calibration_slope_is_weighted_least_squares() -> None:
    rng = np.random.default_rng(2)
    score, weight = rng.standard_normal(30), rng.integers(1, 4, 30).astype(float)
    y = 2 * score + rng.standard_normal(30)
    want = np.polyfit(np.repeat(score, weight.astype(int)), np.repeat(y, weight.astype(int)), 1)
    found = calibration_slope(y[:, None], score[:, None], weight)
    assert found[0] == pytest.approx(want[0])
    assert np.isnan(calibration_slope(y[:, None], np.full((30, 1), 3.0))[0])


def _survival(seed: int, n: int = 80) -> tuple[np.ndarray, Survival, pl.DataFrame]:
    rng = np.random.default_rng(seed)
    score, age = rng.standard_normal(n), rng.standard_normal(n)
    time = np.ceil(20 * rng.exponential(np.exp(-0.6 * score - 0.3 * age)))
    event = rng.random(n) < 0.7
    frame = pl.DataFrame({"score": score, "age": age, "time": time, "event": event})
    return score, Survival(time, event, age[:, None]), frame


def test_effects_and_influences_equal_lifelines_and_the_score_test_that_of_fit_cox() -> None:
    score, survival, frame = _survival(3)
    table = pd.DataFrame(frame.to_dict(as_series=False))
    effect, error, influence = survival.effect(score)
    fitter = lifelines.CoxPHFitter()
    fitter.fit(table, "time", "event")
    assert effect == pytest.approx(fitter.params_["score"], abs=3e-5)  # it stops early
    assert error == pytest.approx(fitter.standard_errors_["score"], abs=3e-5)
    fit = fit_cox(
        np.column_stack([score, frame["age"]]), frame["time"], frame["event"], robust=True
    )
    assert np.sqrt((influence**2).sum()) == pytest.approx(fit.std_error[0], rel=1e-9)
    jackknife = []
    for i in range(len(score)):
        keep = np.arange(len(score)) != i
        part = Survival(survival.time[keep], survival.event[keep], survival.covariates[keep])
        jackknife.append(effect - part.effect(score[keep])[0])
    assert np.corrcoef(jackknife, influence)[0, 1] > 0.98
    alone = Survival(survival.time, survival.event, None)
    z = alone.score_z(np.column_stack([score, np.zeros_like(score), 3 * score + 1]))
    want = fit_cox(score[:, None], frame["time"], frame["event"]).score_test.statistic
    assert z[0] ** 2 == pytest.approx(want, rel=1e-9)
    assert z[2] == pytest.approx(z[0])
    assert np.isnan(z[1])


def test_the_adjusted_score_test_is_the_one_of_the_profile_likelihood() -> None:
    score, survival, frame = _survival(4)
    z = survival.score_z(score[:, None])[0]
    base = fit_cox(frame["age"].to_numpy()[:, None], frame["time"], frame["event"])
    step = 1e-4
    x = np.column_stack([score, frame["age"]])
    risk = RiskSets(survival.time, survival.event, np.ones(len(x)), None, "efron")
    eta = frame["age"].to_numpy() * base.beta[0]
    up, down = (
        risk.derivatives(x, eta + sign * step * score, hessian=False)[0] for sign in (1, -1)
    )
    information = risk.derivatives(x, eta)[2]
    slope = (up - down) / (2 * step)
    left = information[0, 0] - information[0, 1] ** 2 / information[1, 1]
    assert z == pytest.approx(slope / np.sqrt(left), rel=1e-5)


def test_parts_of_the_score_statistic_add_up_and_are_linear() -> None:
    score, survival, _ = _survival(4)
    other = np.random.default_rng(9).standard_normal(len(score))
    parts, information = survival.parts(np.column_stack([score, other, 2 * score - 3 * other]))
    want = survival.score_z(np.column_stack([score, other]))
    got = parts.sum(axis=0)[:2] / np.sqrt(information[:2])
    np.testing.assert_allclose(got, want, rtol=1e-9)
    np.testing.assert_allclose(parts[:, 2], 2 * parts[:, 0] - 3 * parts[:, 1], atol=1e-10)


def test_the_error_of_weights_that_are_all_error_is_told_whole() -> None:
    """Random weights in a cohort where another score is prognostic: the test keeps its level."""
    rng = np.random.default_rng(12)
    n, genes, draws, turns = 400, 3, 40, 300
    x = rng.standard_normal((n, genes))
    time = rng.exponential(np.exp(-x @ np.full(genes, 0.25)))
    survival = Survival(time, np.ones(n, dtype=bool), None)
    rejected = []
    for _ in range(turns):
        weights = rng.standard_normal(genes)
        score = x @ weights
        scores = (x @ (weights[:, None] + rng.standard_normal((genes, draws)))).T
        effects, influences = linear_effects(score, scores, survival)
        effect, error, _ = survival.effect(score / score.std(ddof=1))
        pooled = pool_effects(effect, error, effects, influences)
        rejected.append(abs(effect) / np.sqrt(pooled.variance) > stdtrit(pooled.df, 0.975))
    # Four binomial standard errors; effects per SD of the resampled scores gave 0.21.
    assert np.mean(rejected) < 0.05 + 4 * np.sqrt(0.05 * 0.95 / turns)


def test_pooled_variance_by_hand() -> None:
    effects = np.array([0.5, 0.7, 0.3, 0.5])
    none = np.zeros((4, 3))
    found = pool_effects(0.6, 0.2, effects, none)
    between = effects.var(ddof=1)
    assert found.variance == pytest.approx(0.04 + 1.25 * between)
    assert found.df == pytest.approx(3 * (1 + 0.04 / (1.25 * between)) ** 2)
    rng = np.random.default_rng(0)
    influence = rng.standard_normal((4, 3)) * 0.01
    less = pool_effects(0.6, 0.2, effects, influence)
    assert less.between == pytest.approx(between - influence.var(axis=0, ddof=1).sum())
    same = pool_effects(0.6, 0.2, np.full(4, 0.6), none)
    assert same.variance == pytest.approx(0.04)


def test_the_share_of_chance_in_the_spread_of_draws_is_taken_off() -> None:
    """Learners that differ, where the truth is the same for all: nothing is left between them."""
    rng = np.random.default_rng(5)
    left = []
    for _ in range(300):
        noise = rng.standard_normal(200)
        weights = rng.standard_normal((50, 200)) / 200
        effects = weights @ noise
        left.append(effects.var(ddof=1) - (weights * noise).var(axis=0, ddof=1).sum())
    assert abs(np.mean(left)) < 4 * np.std(left) / np.sqrt(300)


@pytest.mark.parametrize("effect", [0.4, -0.2, 0.0])
def test_fieller_limits_solve_their_equation(effect: float) -> None:
    rng = np.random.default_rng(6)
    slopes = 1 + 0.1 * rng.standard_normal(50)
    effects = effect + 0.05 * rng.standard_normal(50) - 0.05 * (slopes - 1)
    pooled = Pooled(effect, 0.01, 0.003, 50)
    middle, low, high = ratio_interval(pooled, 1.05, slopes, effects, 1.96)
    across = np.cov(effects, slopes)

    def gap(theta: float) -> float:
        variance = pooled.variance + theta**2 * across[1, 1] - 2 * theta * across[0, 1]
        return (effect - 1.05 * theta) ** 2 - 1.96**2 * variance

    assert middle == pytest.approx(effect / 1.05)
    assert low == pytest.approx(brentq(gap, middle - 5, middle))
    assert high == pytest.approx(brentq(gap, middle, middle + 5))
    wild = ratio_interval(pooled, 0.1, slopes, effects, 1.96)
    assert np.isnan(wild[1])


def _cohorts(seed: int, n: int = 160) -> tuple[OmicsTable, PhenotypeTable, OmicsTable, Outcome]:
    rng = np.random.default_rng(seed)
    factor = rng.standard_normal((n, 2))
    x = 0.3 * rng.standard_normal((n, 50))
    x[:, :20] += factor[:, :1]
    x[:, 20:40] += factor[:, 1:]
    ids, genes = [f"s{i}" for i in range(n)], [f"g{j}" for j in range(50)]
    z = factor[:, 0] + 0.4 * rng.standard_normal(n)
    images = PhenotypeTable.from_frame(
        {
            "sample": ids[:80], "volume": z[:80], "noise": rng.standard_normal(80),
            "necrosis": (z[:80] > 0).astype(float),
            "short": np.where(np.arange(80) < 20, z[:80], np.nan),
        }
    )  # fmt: skip
    one, two = (
        OmicsTable(ids[part], genes, x[part], "expression", "log2")
        for part in (slice(80), slice(80, n))
    )
    time = rng.exponential(np.exp(-0.8 * z[80:]))
    return one, images, two, Outcome("death", "censored", tuple(ids[80:]), time, time < 2)


def test_predictable_traits_are_carried_and_others_refused() -> None:
    one, images, two, death = _cohorts(0)
    found = surrogate(one, images, two, death, bootstraps=40, permutations=99)
    rows = {row["trait"]: row for row in found.table.to_dicts()}
    assert rows["volume"]["held_out"] > 0.8
    assert rows["necrosis"]["metric"] == "auc"
    assert rows["necrosis"]["held_out"] > 0.8
    assert rows["volume"]["carried"]
    assert rows["volume"]["p"] < 0.002
    assert rows["volume"]["p_random"] >= 0.01  # half of the genes follow the trait: many are
    assert rows["volume"]["se"] >= rows["volume"]["se_naive"]
    assert 0 < rows["volume"]["trait_low"] < rows["volume"]["trait_high"]
    assert (rows["noise"]["status"], rows["noise"]["p"]) == ("not_carried", None)
    assert rows["short"]["status"] == "not_tested"
    assert "20 samples" in rows["short"]["reason"]
    assert found.predictions.columns == ["sample", "volume", "necrosis"]
    wanted = surrogate(one, images, two, death, bootstraps=40, permutations=99, unpredictable=True)
    noise = {row["trait"]: row for row in wanted.table.to_dicts()}["noise"]
    assert noise["carried"]
    assert noise["trait_low"] is None
    assert "not clearly above 0" in noise["reason"]
    assert len(found.statements()) == 4
    tables, plain = found.encode()
    again = type(found).decode(tables, plain)
    assert again.table.equals(found.table)
    for kind in found.plots:
        assert found.plot(kind) is not None


def test_platforms_that_differ_by_gene_or_by_sample_give_the_same_predictions() -> None:
    one, images, two, death = _cohorts(1)
    rng = np.random.default_rng(9)
    options = {"bootstraps": 20, "permutations": 39}
    base = surrogate(one, images, two, death, **options)
    scale, shift = rng.uniform(0.2, 5, 50), rng.normal(0, 10, 50)
    moved = OmicsTable(two.samples, two.features, two.values * scale + shift, "expression", "log2")
    other = surrogate(one, images, moved, death, **options)
    assert other.predictions["volume"].to_numpy() == pytest.approx(
        base.predictions["volume"].to_numpy()
    )
    fixed = surrogate(one, images, moved, death, by_cohort=False, **options)
    assert not np.allclose(fixed.predictions["volume"], base.predictions["volume"])
    bent = OmicsTable(
        two.samples, two.features, np.exp(two.values) + np.arange(80)[:, None], "expression", "log2"
    )
    ranked = [
        surrogate(one, images, table, death, within="rank", **options) for table in (two, bent)
    ]
    assert ranked[0].predictions["volume"].to_numpy() == pytest.approx(
        ranked[1].predictions["volume"].to_numpy()
    )
    sides = predictors_of(one, bent, within="quantile", max_missing=0.2)
    want = np.sort(one.values, axis=1).mean(axis=0)
    assert np.sort(sides.carried, axis=1) == pytest.approx(np.tile(want, (80, 1)))


def test_a_cohort_without_genes_survival_or_independence_is_refused() -> None:
    one, images, two, death = _cohorts(2)
    with pytest.raises(InputError, match="stand in the second cohort"):
        surrogate(
            one, images, one, Outcome("d", "censored", one.samples, np.ones(80), np.ones(80, bool))
        )
    odd = OmicsTable(two.samples, [f"x{j}" for j in range(50)], two.values, "expression", "log2")
    with pytest.raises(InputError, match="0 predictors in common"):
        surrogate(one, images, odd, death)
    with pytest.raises(InputError, match="both its predictors"):
        surrogate(one, images, two)
    grade = Outcome("grade", "continuous", two.samples, np.arange(80.0))
    with pytest.raises(InputError, match="survival time is needed"):
        surrogate(one, images, two, grade)
    few = Outcome("d", "censored", two.samples, death.values, np.arange(80) < 3)
    with pytest.raises(InputError, match="3 events"):
        surrogate(one, images, two, few)
    age = Covariates(two.samples, ("age",), np.arange(80.0)[:, None])
    options = {"bootstraps": 20, "permutations": 39}
    found = surrogate(one, images, two, death, age, **options)
    score = found.predictions["volume"].to_numpy()
    assert found.params["covariates"] == ["age"]
    fit = fit_cox(
        np.column_stack([score / score.std(ddof=1), age.values]), death.values, death.events
    )
    row = found.table.row(0, named=True)
    assert (row["log_hazard"], row["se_naive"]) == pytest.approx((fit.beta[0], fit.std_error[0]))
    both = surrogate(images.take(columns=[0, 1, 2]), one, **options)
    assert both.table.height == 50
    assert both.params["outcome"] == ""
    assert not both.table["carried"].any()
