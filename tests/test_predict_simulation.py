"""Honest evaluation on simulated data with known truth; the leakage canary."""

import dataclasses

import numpy as np
import polars as pl
import pytest

from radgen import predict
from radgen.errors import AlignmentError, InputError
from radgen.predict.selection import UnivariateSelector
from radgen.types import Covariates, OmicsTable, Outcome, PhenotypeTable

FAST = {"folds": 4, "repeats": 1, "inner_folds": 3, "bootstrap": 20}


def _ids(n):
    return tuple(f"s{i:04d}" for i in range(n))


def _images(values, names=None):
    names = [f"f{j}" for j in range(values.shape[1])] if names is None else names
    frame = {"sample": list(_ids(len(values)))}
    frame |= {name: values[:, j] for j, name in enumerate(names)}
    return PhenotypeTable.from_frame(pl.DataFrame(frame))


def _study(seed, n=90, p=12, effect=1.2):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.4).astype(float)
    x = rng.normal(size=(n, p))
    x[:, 0] += effect * y
    age = rng.normal(size=(n, 1)) + 0.8 * y[:, None]
    genes = rng.normal(size=(n, 6))
    return y, x, age, genes


@pytest.fixture(scope="module")
def result():
    y, x, age, genes = _study(1)
    ids = _ids(len(y))
    x[3, 2] = np.nan
    names = ["original_shape_MeshVolume", *[f"f{j}" for j in range(1, 12)]]
    blocks = {
        "images": _images(x, names),
        "clinic": Covariates(ids, ("age",), age),
        "rna": OmicsTable(ids, tuple("abcdef"), genes, "expression", "log2"),
    }
    return predict.evaluate(blocks, Outcome("EGFR", "binary", ids, y), seed=5, **FAST)


def test_all_baselines_stand_on_the_same_folds(result):
    expected = (
        "no information", "volume only", "clinical only", "imaging only", "genomic only",
        "combined",
    )  # fmt: skip
    assert result.models() == expected
    folds = result.predictions.pivot("model", index=["repeat", "sample"], values="fold")
    assert (folds.select(expected).to_numpy() == folds["combined"].to_numpy()[:, None]).all()


def test_intervals_lie_in_the_possible_range(result):
    bounded = result.frame.filter(
        pl.col("metric").is_in(["auc", "brier", "sensitivity", "specificity", "average_precision"])
    )
    assert bounded.filter((pl.col("ci_low") < 0) | (pl.col("ci_high") > 1)).height == 0
    assert bounded.filter(pl.col("ci_low") > pl.col("estimate") + 1e-12).height == 0
    assert result.estimate("no information")["estimate"] == 0.5


def test_audit_finds_nothing_and_sees_a_planted_leak(result):
    assert predict.audit(result).passed
    everyone = pl.DataFrame({"row_set": [0] * 90, "sample": list(_ids(90))})
    worse = dataclasses.replace(
        result, row_sets=pl.concat([result.row_sets.filter(pl.col("row_set") != 0), everyone])
    )
    assert not predict.audit(worse).passed


def test_result_survives_storage(result):
    tables, plain = result.encode()
    back = predict.PredictionResult.decode(tables, plain)
    assert back.frame.equals(result.frame)
    assert back.statements() == result.statements()
    assert "nested" not in back.methods() or back.methods() == result.methods()


@pytest.mark.parametrize("kind", ["models", "roc", "calibration", "decision"])
def test_every_plot_draws(result, kind):
    assert result.plot(kind).has_data()


def test_same_seed_same_numbers_and_order_of_rows_does_not_matter(result):
    y, x, *_ = _study(1)
    ids = _ids(len(y))
    outcome = Outcome("EGFR", "binary", ids, y)
    first = predict.evaluate({"i": _images(x)}, outcome, seed=2, **FAST)
    again = predict.evaluate({"i": _images(x)}, outcome, seed=2, **FAST)
    assert first.predictions.equals(again.predictions)


def test_patients_never_part():
    y, x, *_ = _study(2)
    ids = _ids(len(y))
    patient = {item: f"p{k // 3}" for k, item in enumerate(ids)}
    found = predict.evaluate(
        {"i": _images(x)}, Outcome("y", "binary", ids, y), seed=1, groups=patient, **FAST
    )
    per_patient = found.predictions.group_by("model", "repeat", "patient").agg(
        pl.col("fold").n_unique()
    )
    assert per_patient["fold"].max() == 1
    assert predict.audit(found).passed
    assert found.frame["n_patients"].unique().to_list() == [30]


def test_survival_models_and_risk_groups():
    rng = np.random.default_rng(4)
    n = 120
    x = rng.normal(size=(n, 6))
    time = rng.exponential(np.exp(-1.2 * x[:, 0]))
    censor = rng.exponential(2, n)
    outcome = Outcome(
        "death", "censored", _ids(n), np.minimum(time, censor), time <= censor, unit="years"
    )
    found = predict.evaluate({"i": _images(x)}, outcome, seed=1, **FAST)
    assert found.estimate("imaging only")["ci_low"] > 0.6
    assert found.estimate("no information")["estimate"] == 0.5
    brier = [found.estimate(m, "integrated_brier")["estimate"] for m in found.models()]
    assert brier[-1] < brier[0]
    assert found.risk_groups["hazard_ratio"][0] > 1.5
    assert found.plot("km").has_data()


def test_continuous_outcome():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(80, 5))
    outcome = Outcome("score", "continuous", _ids(80), x[:, 0] * 2 + rng.normal(size=80))
    found = predict.evaluate({"i": _images(x)}, outcome, seed=1, **FAST)
    assert found.estimate("imaging only")["ci_low"] > 0.3


def test_harmonisation_and_leave_site_out():
    y, x, *_ = _study(6, n=120)
    ids = _ids(len(y))
    site = {item: f"site{k % 3}" for k, item in enumerate(ids)}
    shift = np.array([int(site[item][-1]) for item in ids])[:, None]
    outcome = Outcome("y", "binary", ids, y)
    kwargs = {"seed": 1, "sites": site, "harmonise": "combat", **FAST}
    found = predict.evaluate({"i": _images(x + 3 * shift)}, outcome, **kwargs)
    assert found.estimate("imaging only")["estimate"] > 0.6
    away = predict.evaluate(
        {"i": _images(x + 3 * shift)}, outcome, scheme="leave-site-out", **kwargs
    )
    assert predict.audit(away).passed
    assert away.predictions["fold"].n_unique() == 3


def test_bad_input_is_refused_with_a_remedy():
    y, x, *_ = _study(1)
    ids = _ids(len(y))
    outcome = Outcome("y", "binary", ids, y)
    with pytest.raises(InputError, match="fewer than the 50 folds"):
        predict.evaluate({"i": _images(x)}, outcome, seed=1, folds=50)
    with pytest.raises(InputError, match="pass sites"):
        predict.evaluate({"i": _images(x)}, outcome, seed=1, harmonise="combat")
    with pytest.raises(InputError, match="No model"):
        predict.evaluate({"i": _images(x)}, outcome, seed=1, model="magic")
    strange = Outcome("y", "binary", tuple(f"x{k}" for k in range(len(y))), y)
    with pytest.raises(AlignmentError):
        predict.evaluate({"i": _images(x)}, strange, seed=1)


def _canary(number, leak):
    rng = np.random.default_rng([77, number])
    n, p = 48, 150
    y = rng.permutation(np.repeat([0.0, 1.0], n // 2))
    x = rng.normal(size=(n, p))
    if leak:
        x = UnivariateSelector(8).fit(x, y).transform(x)
    found = predict.evaluate(
        {"i": _images(x)},
        Outcome("noise", "binary", _ids(n), y),
        seed=number,
        selection=None if leak else "univariate",
        n_selected=8,
        folds=4,
        repeats=1,
        inner_folds=2,
        bootstrap=0,
    )
    return found.estimate("imaging only")["estimate"]


def test_leakage_canary_noise_gives_half():
    values = np.array([_canary(k, leak=False) for k in range(12)])
    assert abs(values.mean() - 0.5) < 4 * values.std(ddof=1) / np.sqrt(12)


def test_leakage_canary_sings_when_selection_moves_outside_the_folds():
    values = np.array([_canary(k, leak=True) for k in range(8)])
    assert abs(values.mean() - 0.5) > 4 * values.std(ddof=1) / np.sqrt(8)


@pytest.mark.parametrize("kind", ["binary", "censored", "continuous"])
def test_three_intervals_stand_side_by_side(kind):
    """Bootstrap with equal weights is the estimate; fold means and naive sums agree."""
    from radgen.predict.intervals import bootstrap_values, fold_values
    from radgen.predict.planning import set_up
    from radgen.predict.scores import estimates

    rng = np.random.default_rng(31)
    n = 90
    x = rng.normal(size=(n, 4))
    value = 1.2 * x[:, 0] + rng.normal(size=n)
    events = rng.random(n) < 0.7 if kind == "censored" else None
    y = {"binary": (value > 0).astype(float), "censored": np.exp(-value), "continuous": value}[kind]
    outcome = Outcome("y", kind, _ids(n), y, events)
    found = predict.evaluate({"i": _images(x)}, outcome, seed=1, **(FAST | {"bootstrap": 200}))
    table = found.intervals.filter(pl.col("model") == "imaging only")
    assert table["method"].to_list() == ["influence", "bootstrap", "corrected resampled"]
    assert (table["ci_low"] < table["estimate"]).all()
    assert (table["ci_high"] <= 1).all()
    widths = (table["ci_high"] - table["ci_low"]).to_list()
    assert 0.5 < widths[1] / widths[0] < 1.5
    setup = set_up({"i": _images(x)}, outcome, seed=1, folds=4, repeats=1, inner_folds=3)
    from radgen.predict.engine import run_fold
    from radgen.predict.tables import by_repeat

    folds = by_repeat([run_fold(task) for task in setup.tasks()], "imaging only", n)
    target = setup.design.target
    same = bootstrap_values(kind, target, folds, np.ones((1, n)))[0]
    metric = found.main_metric
    assert same == pytest.approx(estimates(kind, target, folds)[metric].value, abs=1e-12)
    assert len(fold_values(kind, target, folds)) == 4


def test_survival_risks_are_calibrated_at_the_horizon_and_useful():
    rng = np.random.default_rng(32)
    n = 200
    x = rng.normal(size=(n, 3))
    time, censor = rng.exponential(np.exp(-1.2 * x[:, 0])), rng.exponential(3, n)
    outcome = Outcome("death", "censored", _ids(n), np.minimum(time, censor), time <= censor)
    found = predict.evaluate({"i": _images(x)}, outcome, seed=1, horizon=0.8, **FAST)
    row = found.estimate("imaging only", "observed_expected")
    assert row["ci_low"] < 1 < row["ci_high"]
    assert found.estimate("imaging only", "calibration_ici")["estimate"] < 0.08
    best = found.decision.filter(pl.col("threshold") == 0.5).row(0, named=True)
    assert best["net_benefit"] > max(best["treat_all"], 0)
    assert found.plot("calibration").has_data()
    assert found.plot("decision").has_data()
