"""Models that an evaluation can fit: trees, blocks with penalties of their own, late fusion."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from scipy.special import expit

from radgen import predict
from radgen.errors import InputError
from radgen.predict.block_penalty import BlockLearner
from radgen.predict.elastic_net import FRACTIONS, ElasticNetLearner
from radgen.predict.fusion import Held, PlanFit, fuse, majority, stack_weights
from radgen.predict.learners import PENALTY_STEPS, Part, RidgeLearner, make_learner
from radgen.predict.ridge import cox_path
from radgen.predict.splits import temporal_splits
from radgen.predict.trees import STAGES, BoostLearner, ForestLearner
from radgen.stats.cox import RiskSets
from radgen.stats.survival_metrics import harrell_c
from radgen.stats.survival_parametric import fit_aft
from radgen.types import Outcome, PhenotypeTable

ALL = np.arange(len(STAGES))
FAST = {"folds": 4, "repeats": 1, "inner_folds": 3, "bootstrap": 0}


def _data(seed, n=160, p=6):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p))
    eta = 2.0 * (x[:, 0] > 0) * (x[:, 1] > 0) + 0.5 * x[:, 2]
    y = (rng.random(n) < expit(2 * eta - 1)).astype(float)
    time, censor = rng.exponential(np.exp(-1.5 * eta)), rng.exponential(2, n)
    survival = np.column_stack((np.minimum(time, censor), time <= censor)).astype(float)
    return x, y, survival, eta + rng.normal(size=n)


def test_forests_predict_as_scikit_learn_does():
    from sklearn import ensemble

    x, y, _, value = _data(1)
    new = _data(2)[0]
    found = ForestLearner("binary", 30).fit(x, y, np.array([0]), 7)[0]
    peer = ensemble.RandomForestClassifier(30, min_samples_leaf=3, random_state=7).fit(x, y)
    np.testing.assert_allclose(found.predict(new), peer.predict_proba(new)[:, 1], atol=1e-12)
    found = ForestLearner("continuous", 30).fit(x, value, np.array([0]), 7)[0]
    peer = ensemble.RandomForestRegressor(
        30, min_samples_leaf=3, max_features=1 / 3, random_state=7
    ).fit(x, value)
    np.testing.assert_allclose(found.predict(new), peer.predict(new), atol=1e-12)


def test_boosting_predicts_as_scikit_learn_does():
    """With all columns at each split both grow the same trees ."""
    from sklearn import ensemble

    x, y, _, value = _data(3)
    new = _data(4)[0]
    options = {"n_estimators": STAGES[-2], "learning_rate": 0.05, "max_leaf_nodes": 4}
    options |= {"min_samples_leaf": 10, "max_depth": None}
    for kind, target, make in (
        ("binary", y, ensemble.GradientBoostingClassifier),
        ("continuous", value, ensemble.GradientBoostingRegressor),
    ):
        peer = make(**options).fit(x, target)
        found = BoostLearner(kind, share=1.0).fit(x, target, ALL[:-1], 1)[-1]
        expected = peer.predict_proba(new)[:, 1] if kind == "binary" else peer.predict(new)
        np.testing.assert_allclose(found.predict(new), expected, atol=1e-9)


def test_all_stages_come_from_one_run():
    x, _, survival, _ = _data(5)
    together = BoostLearner("censored").fit(x, survival, ALL, 3)
    alone = BoostLearner("censored").fit(x, survival, np.array([2]), 3)[0]
    np.testing.assert_array_equal(together[2].predict(x), alone.predict(x))


def test_leaves_of_a_survival_forest_hold_expected_events():
    """Against the definition: Nelson-Aalen hazards of a leaf's bootstrap rows, over all events."""
    from sklearn.ensemble import RandomForestRegressor

    from radgen.stats.survival_cutpoint import logrank_scores

    x, _, survival, _ = _data(6, n=60)
    survival[:, 0] = np.ceil(survival[:, 0] * 4) / 4
    time, event = survival[:, 0], survival[:, 1] > 0.5
    found = ForestLearner("censored", 5).fit(x, survival, np.array([0]), 11)[0]
    forest = RandomForestRegressor(5, min_samples_leaf=6, max_features="sqrt", random_state=11).fit(
        x, logrank_scores(time, event)
    )
    floors = []
    for tree, item, rows in zip(
        found.trees, forest.estimators_, forest.estimators_samples_, strict=True
    ):
        leaf = item.apply(x.astype(np.float32))
        for name in np.unique(leaf):
            drawn = rows[leaf[rows] == name]
            total = 0.0
            for at in time[event]:
                for t in np.unique(time[drawn][event[drawn]]):
                    if t <= at:
                        died = (event[drawn] & (time[drawn] == t)).sum()
                        total += died / (time[drawn] >= t).sum()
            floors.append(tree.value[name] - total)
    np.testing.assert_allclose(floors, floors[0], atol=1e-9)
    assert 0 < floors[0] < 0.1


def test_survival_trees_do_as_well_as_scikit_survival():
    from sksurv.ensemble import GradientBoostingSurvivalAnalysis, RandomSurvivalForest

    x, _, survival, _ = _data(7, n=300)
    new, _, truth, _ = _data(8, n=600)
    target = np.array([(e > 0.5, t) for t, e in survival], dtype=[("event", bool), ("time", float)])

    def c(score):
        return harrell_c(truth[:, 0], truth[:, 1] > 0.5, score).estimate

    forest = RandomSurvivalForest(100, min_samples_leaf=6, random_state=1).fit(x, target)
    boost = GradientBoostingSurvivalAnalysis(
        n_estimators=80, learning_rate=0.05, max_leaf_nodes=4, max_depth=None, random_state=1
    ).fit(x, target)
    ours = ForestLearner("censored", 100).fit(x, survival, np.array([0]), 1)[0]
    assert c(ours.predict(new)) > c(forest.predict(new)) - 0.02
    ours = BoostLearner("censored").fit(x, survival, np.array([4]), 1)[0]
    assert c(ours.predict(new)) > c(boost.predict(new)) - 0.02


@pytest.mark.parametrize("model", ["forest", "boosting", "weibull"])
def test_models_freeze_and_predict_the_same(tmp_path, model):
    x, y, survival, _ = _data(9, n=80)
    ids = tuple(f"s{k}" for k in range(80))
    frame = pl.DataFrame({"sample": ids} | {f"f{j}": x[:, j] for j in range(6)})
    images = PhenotypeTable.from_frame(frame)
    outcomes = [Outcome("d", "censored", ids, survival[:, 0], survival[:, 1] > 0.5)]
    if model != "weibull":
        outcomes.append(Outcome("y", "binary", ids, y))
    for outcome in outcomes:
        fitted = predict.fit_model({"i": images}, outcome, seed=1, model=model, inner_folds=2)
        predict.write_bundle(fitted, tmp_path / "m.json")
        back = predict.read_bundle(tmp_path / "m.json")
        new = PhenotypeTable.from_frame(
            frame.with_columns(sample=pl.lit("t") + pl.col("sample"), f0=pl.col("f0") * 0.9)
        )
        first, second = fitted.predict({"i": new}), back.predict({"i": new})
        assert first.equals(second)
        moved = fitted.steps["i"].transform(new.values, None)
        np.testing.assert_allclose(first["score"], fitted.model.predict(moved), rtol=1e-12)


def test_blocks_with_equal_factors_are_ridge_and_a_noise_block_is_shrunk_harder():
    rng = np.random.default_rng(10)
    good, noise = rng.normal(size=(120, 4)), rng.normal(size=(120, 40))
    y = (rng.random(120) < expit(2 * good[:, 0])).astype(float)
    x = np.hstack((good, noise)) / 6
    learner = BlockLearner(RidgeLearner("binary"), 0.5).for_blocks(
        [Part("clinical"), Part("imaging")]
    )
    n = len(RidgeLearner("binary").settings)
    ours = learner.fit(x, y, np.arange(n), 1, [4, 40])
    plain = RidgeLearner("binary").fit(x, y, np.arange(n), 1)
    for a, b in zip(ours, plain, strict=True):
        np.testing.assert_array_equal(a.beta, b.beta)
    assert isinstance(learner.for_blocks([Part("clinical")]), RidgeLearner)
    assert learner.factors[0] == (1.0, 1.0)
    assert len(learner.factors) == 5
    at = learner.factors.index((1.0, 16.0)) * n + 6
    hard = learner.fit(x, y, np.array([at]), 1, [4, 40])[0]
    # The same optimum by its definition: the gradient of the penalised likelihood is zero.
    p = expit(x @ hard.beta + hard.intercept)
    penalty = np.repeat([1.0, 16.0], [4, 40]) * 10.0 ** (1 - 0.5 * 6) * 120
    np.testing.assert_allclose(x.T @ (y - p), penalty * hard.beta, atol=1e-5)
    ids = tuple(f"s{k}" for k in range(120))
    blocks = {
        "imaging": pl.DataFrame({"sample": ids} | {f"n{j}": noise[:, j] for j in range(40)}),
        "clinical": pl.DataFrame({"sample": ids} | {f"g{j}": good[:, j] for j in range(4)}),
    }
    found = predict.evaluate(blocks, Outcome("y", "binary", ids, y), seed=1, model="blocks", **FAST)
    chosen = found.thresholds.filter(pl.col("model") == "combined")["setting"].to_list()
    assert sum(text.startswith(("factors 16:1", "factors 4:1")) for text in chosen) >= 3


def test_lasso_with_penalty_factors_is_at_its_optimum():
    """Karush-Kuhn-Tucker: gradients within the factored penalty, equal to it at nonzero columns."""
    rng = np.random.default_rng(20)
    x = rng.normal(size=(100, 12))
    y = x[:, 0] + 0.5 * x[:, 6] + rng.normal(size=100)
    learner = BlockLearner(ElasticNetLearner("continuous", l1_ratio=1.0), 1.0).for_blocks(
        [Part("clinical"), Part("imaging")]
    )
    n, step = len(FRACTIONS), 7
    at = learner.factors.index((1.0, 4.0)) * n + step
    fit = learner.fit(x, y, np.array([at]), 1, [6, 6])[0]
    factor = np.repeat([1.0, 4.0], 6)
    centred = x - x.mean(axis=0)
    slope = centred.T @ (y - fit.predict(x)) / 100
    largest = np.abs(centred.T @ (y - y.mean()) / factor).max() / 100
    penalty = FRACTIONS[step] * largest * factor
    assert (np.abs(slope) <= penalty * (1 + 1e-4)).all()
    used = fit.beta != 0
    assert used.any()
    np.testing.assert_allclose(slope[used], np.sign(fit.beta[used]) * penalty[used], rtol=1e-3)


def test_parametric_learner_is_the_penalised_model():
    x, _, survival, _ = _data(11)
    made = make_learner("lognormal", "censored")[1]
    fit = made.fit(x, survival, np.array([8]), 1)[0]
    ridge = 10.0 ** (1 - 0.5 * 8) * len(x)
    peer = fit_aft(x, survival[:, 0], survival[:, 1] > 0.5, distribution="lognormal", ridge=ridge)
    np.testing.assert_allclose(fit.beta, -peer.beta[1:] / peer.scale, rtol=1e-5)


def test_a_list_of_models_is_chosen_from_within_the_folds():
    x, y, *_ = _data(12)
    ids = tuple(f"s{k}" for k in range(len(y)))
    frame = pl.DataFrame({"sample": ids} | {f"f{j}": x[:, j] for j in range(6)})
    found = predict.evaluate(
        {"imaging": frame}, Outcome("y", "binary", ids, y), seed=1,
        model=["logistic", "boosting"], **FAST,
    )  # fmt: skip
    chosen = found.thresholds.filter(pl.col("model") == "imaging only")["setting"].to_list()
    assert {text.split(",")[0] for text in chosen} <= {"logistic", "boosting"}
    assert predict.audit(found).passed
    with pytest.raises(InputError, match="two or more"):
        make_learner(["logistic"], "binary")


def _part(target, held, score, threshold=0.5):
    score, held = np.asarray(score), np.asarray(held)
    return PlanFit(Held(target, held), held, score, score >= threshold, threshold, "")


def test_majority_vote_truth_table():
    votes = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)], dtype=bool)
    none = np.zeros(8, dtype=bool)
    assert majority(votes, none).tolist() == [False, False, False, True, False, True, True, True]
    pairs = votes[:4, 1:]
    assert majority(pairs, none[:4]).tolist() == [False, False, False, True]
    assert majority(pairs, ~none[:4]).tolist() == [False, True, True, True]


def test_fusion_of_identical_models_is_the_model():
    rng = np.random.default_rng(13)
    target = (rng.random(80) < 0.4).astype(float)
    part = _part(target, rng.random(80), rng.random(30), 0.4)
    found = fuse("binary", "vote", [part, part, part])
    np.testing.assert_allclose(found.score, part.score)
    assert (found.decision == part.decision).all()
    assert found.threshold == pytest.approx(0.4)
    order = fuse("binary", "stacked", [part, part]).score
    assert (np.argsort(order) == np.argsort(part.score)).all()


@pytest.mark.parametrize("kind", ["binary", "continuous", "censored"])
def test_stack_weights_are_the_optimum(kind):
    """Karush-Kuhn-Tucker: no gradient at positive weights, none that points inside at zero."""
    rng = np.random.default_rng(14)
    scores = rng.normal(size=(150, 3))
    eta = scores[:, 0] - 0.7 * scores[:, 2]
    target = eta + rng.normal(size=150)
    if kind == "binary":
        target = (rng.random(150) < expit(eta)).astype(float)
    elif kind == "censored":
        time = rng.exponential(np.exp(-eta))
        target = np.column_stack((np.minimum(time, 1.5), time <= 1.5)).astype(float)
    shift, weights = stack_weights(kind, scores, target)
    assert weights[2] == 0
    assert weights[0] > 0.3

    def loss(w):
        value = shift + scores @ w
        if kind == "binary":
            fit = (np.logaddexp(0, value) - target * value).sum()
        elif kind == "continuous":
            fit = ((target - value) ** 2).sum() / 2
        else:
            fit = -sum(
                value[i] - np.log(np.exp(value[target[:, 0] >= target[i, 0]]).sum())
                for i in np.flatnonzero(target[:, 1])
            )
        return fit + ((w - 1 / 3) ** 2).sum() / 2

    for j in range(3):
        step = 1e-5 * (np.arange(3) == j)
        slope = (loss(weights + step) - loss(weights - step)) / 2e-5
        assert slope > -1e-2
        if weights[j] > 0:
            assert abs(slope) < 1e-2


def test_late_fusion_is_evaluated_on_the_same_folds_with_paired_gain():
    rng = np.random.default_rng(15)
    n = 140
    ids = tuple(f"s{k}" for k in range(n))
    snps, voxels = rng.normal(size=(n, 10)), rng.normal(size=(n, 10))
    y = (rng.random(n) < expit(1.5 * snps[:, 0] + 1.5 * voxels[:, 0])).astype(float)
    blocks = {
        "genomic": pl.DataFrame({"sample": ids} | {f"s{j}": snps[:, j] for j in range(10)}),
        "imaging": pl.DataFrame({"sample": ids} | {f"v{j}": voxels[:, j] for j in range(10)}),
    }
    found = predict.evaluate(
        blocks, Outcome("y", "binary", ids, y), seed=1, fusion=("early", "stacked", "vote"), **FAST
    )
    assert found.models()[-3:] == ("combined (stacked)", "combined (vote)", "combined")
    assert predict.audit(found).passed
    gain = found.differences.filter(
        (pl.col("first") == "combined (vote)")
        & (pl.col("second") == "imaging only")
        & (pl.col("metric") == "auc")
    )
    assert gain["ci_low"][0] > 0
    # A model of one block is fitted once a fold, however many fusions use it.
    fits = found.fit_log.filter((pl.col("level") == "outer") & (pl.col("fitted") == "model"))
    assert fits.group_by("fold").len()["len"].unique().to_list() == [3]


def test_noise_fused_is_still_noise():
    values = []
    for seed in range(8):
        rng = np.random.default_rng([16, seed])
        ids = tuple(f"s{k}" for k in range(60))
        y = rng.permutation(np.repeat([0.0, 1.0], 30))
        blocks = {
            name: pl.DataFrame(
                {"sample": ids} | {f"{name}{j}": rng.normal(size=60) for j in range(30)}
            )
            for name in ("imaging", "genomic")
        }
        found = predict.evaluate(
            blocks, Outcome("y", "binary", ids, y), seed=seed, baselines=False,
            fusion=("stacked", "vote"), **FAST,
        )  # fmt: skip
        names = ("combined (stacked)", "combined (vote)")
        values.append([found.estimate(name)["estimate"] for name in names])
    mean, error = np.mean(values, axis=0), np.std(values, axis=0, ddof=1) / np.sqrt(8)
    assert (np.abs(mean - 0.5) < 4 * error).all()


def test_a_sample_without_one_block_can_be_kept():
    rng = np.random.default_rng(17)
    n = 120
    ids = tuple(f"s{k}" for k in range(n))
    y = (rng.random(n) < 0.5).astype(float)
    images = pl.DataFrame({"sample": ids[:90], "a": (rng.normal(size=n) + y)[:90]})
    genes = pl.DataFrame({"sample": ids[20:], "g": (rng.normal(size=n) + 1.5 * y)[20:]})
    blocks, outcome = {"imaging": images, "genomic": genes}, Outcome("y", "binary", ids, y)
    dropped = predict.evaluate(blocks, outcome, seed=1, **FAST)
    kept = predict.evaluate(
        blocks, outcome, seed=1, missing_blocks="keep", fusion=("early", "stacked"), **FAST
    )
    assert (dropped.n_used, kept.n_used) == (70, 120)
    assert "30 of 120 samples have no imaging data" in kept.warnings[0]
    assert predict.audit(kept).passed
    fits = kept.fit_log.filter((pl.col("target") == "imaging only") & (pl.col("level") == "outer"))
    rows = kept.row_sets.filter(pl.col("row_set").is_in(fits["row_set"].to_list()))
    assert set(rows["sample"]) <= set(ids[:90])
    assert kept.estimate("combined")["estimate"] > 0.75
    full = {"imaging": images, "clinical": images.rename({"a": "b"})}
    same = [
        predict.evaluate(full, outcome, seed=1, missing_blocks=policy, **FAST)
        for policy in ("drop", "keep")
    ]
    assert same[0].frame.equals(same[1].frame)


def test_later_patients_are_tested_by_models_of_earlier_ones():
    rng = np.random.default_rng(18)
    n = 100
    ids = tuple(f"s{k}" for k in range(n))
    y = (rng.random(n) < 0.5).astype(float)
    frame = pl.DataFrame({"sample": ids, "a": rng.normal(size=n) + 2 * y})
    when = {item: f"20{10 + k // 10}-0{1 + k % 9}-15" for k, item in enumerate(ids)}
    found = predict.evaluate(
        {"imaging": frame}, Outcome("y", "binary", ids, y), seed=1, scheme="temporal", order=when,
        folds=3, inner_folds=3, bootstrap=0,
    )  # fmt: skip
    assert predict.audit(found).passed
    assert found.estimate("imaging only")["n"] == 50
    assert "earlier" in found.methods()
    for fold in range(3):
        tested = found.predictions.filter(pl.col("fold") == fold)["sample"].unique().to_list()
        fits = found.fit_log.filter(pl.col("fold") == fold)["row_set"].unique().to_list()
        trained = found.row_sets.filter(pl.col("row_set").is_in(fits))["sample"].to_list()
        assert max(when[item] for item in trained) < min(when[item] for item in tested)
    with pytest.raises(InputError, match="needs order"):
        predict.evaluate(
            {"imaging": frame}, Outcome("y", "binary", ids, y), seed=1, scheme="temporal"
        )
    with pytest.raises(InputError, match="different times"):
        temporal_splits(np.zeros(20), np.arange(20), folds=2)


def test_risk_sets_that_shrink_by_many_decades_are_summed_exactly():
    rng = np.random.default_rng(4)
    time = np.arange(1.0, 61.0)
    values = 10.0 ** np.linspace(0, -40, 60)[:, None] * (1 + rng.random((60, 1)))
    sums = RiskSets(time, np.ones(60, dtype=bool), np.ones(60), None, "efron").at_risk(values)
    exact = [math.fsum(values[k:, 0]) for k in range(60)]
    np.testing.assert_allclose(sums[:, 0], exact, rtol=1e-14)


@pytest.mark.parametrize("seed", range(12))
def test_ridge_cox_converges_where_columns_outnumber_events(seed):
    rng = np.random.default_rng(seed)
    n, p = 40, 30
    x = rng.normal(size=(n, p))
    time = rng.exponential(np.exp(-3 * x[:, 0]))
    time = np.ceil(time * 5) if seed % 2 else time
    event = rng.random(n) < 0.35
    penalties = n * PENALTY_STEPS
    beta = cox_path(x, time, event, penalties)
    risk = RiskSets(time, event, np.ones(n), None, "efron")
    for row, penalty in zip(beta, penalties, strict=True):
        _, gradient, _ = risk.derivatives(x, x @ row)
        assert np.abs(gradient - penalty * row).max() < 1e-4 * max(1, np.abs(gradient).max())
