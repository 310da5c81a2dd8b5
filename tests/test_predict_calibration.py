"""Calibration of values and risks: clinical categories, recalibration of frozen models."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.special import expit, logit
from scipy.stats import linregress

from radgen import predict
from radgen.errors import InputError
from radgen.stats.discrimination import average_precision, average_precision_interval
from radgen.types import Outcome


def _cohort(seed, prefix, n=150, *, kind="binary", shift=0.0, slope=1.0):
    rng = np.random.default_rng(seed)
    ids = tuple(f"{prefix}{k:03d}" for k in range(n))
    x = rng.normal(size=(n, 4))
    eta = 1.4 * x[:, 0] - 0.8 * x[:, 1]
    frame = pl.DataFrame({"sample": ids} | {f"f{j}": x[:, j] for j in range(4)})
    moved = shift + slope * eta
    if kind == "binary":
        outcome = Outcome("y", kind, ids, (rng.random(n) < expit(moved)).astype(float))
    elif kind == "censored":
        time = rng.exponential(np.exp(-moved))
        outcome = Outcome("y", kind, ids, np.minimum(time, 2.0), time < 2.0)
    else:
        outcome = Outcome("y", kind, ids, moved + rng.normal(size=n))
    return {"imaging": frame}, outcome


def test_values_of_a_genomic_score_are_judged_by_slope_correlation_and_category():
    from sklearn.metrics import cohen_kappa_score

    blocks, outcome = _cohort(1, "a", kind="continuous")
    found = predict.evaluate(blocks, outcome, seed=1, folds=4, repeats=1, inner_folds=3)
    part = found.predictions.filter(pl.col("model") == "imaging only")
    y, p = part["y"].to_numpy(), part["score"].to_numpy()
    line = linregress(p, y)
    assert found.estimate("imaging only", "calibration_slope")["estimate"] == pytest.approx(
        line.slope
    )
    row = found.estimate("imaging only", "pearson_r")
    assert row["estimate"] == pytest.approx(line.rvalue)
    fisher = np.tanh(np.arctanh(line.rvalue) + np.array([-1.96, 1.96]) / np.sqrt(len(y) - 3))
    assert row["ci_low"] == pytest.approx(fisher[0], abs=0.05)
    assert row["ci_high"] == pytest.approx(fisher[1], abs=0.05)
    assert any("calibration slope" in text for text in found.statements())
    cuts = [-0.5, 0.8]
    table = predict.category_agreement(found, cuts)
    got = table.frame.filter(pl.col("model") == "imaging only").row(0, named=True)
    a, b = (np.searchsorted(cuts, v, side="right") for v in (y, p))
    assert got["kappa"] == pytest.approx(cohen_kappa_score(a, b, weights="linear"))
    assert got["accuracy"] == pytest.approx((a == b).mean())
    assert "weighted kappa" in table.statements()[-1]
    with pytest.raises(InputError, match="ascending"):
        predict.category_agreement(found, [1, 0])


def test_the_precision_recall_interval_is_the_published_formula():
    rng = np.random.default_rng(2)
    y = rng.random(80) < 0.3
    score = y + rng.normal(size=80)
    value, low, high = average_precision_interval(y, score)
    assert value == average_precision(y, score)
    error = 1 / np.sqrt(y.sum() * value * (1 - value))
    expected = expit(logit(value) + np.array([-1.959964, 1.959964]) * error)
    np.testing.assert_allclose([low, high], expected, rtol=1e-6)
    twice = average_precision_interval(
        np.tile(y, 2), np.tile(score, 2), cluster=np.arange(160) % 80
    )
    np.testing.assert_allclose(twice, (value, low, high), rtol=1e-9)


@pytest.mark.parametrize("kind", ["binary", "censored", "continuous"])
@pytest.mark.parametrize("how", ["line", "intercept"])
def test_known_miscalibration_is_removed(tmp_path, kind, how):
    blocks, outcome = _cohort(3, "a", kind=kind, n=300)
    model = predict.fit_model(blocks, outcome, seed=1, inner_folds=3)
    slope = 0.5 if how == "line" else 1.0
    here, truth = _cohort(4, "b", kind=kind, n=600, shift=0.9, slope=slope)
    fixed = predict.recalibrate(model, here, truth, how=how, any_range=True)
    new, later = _cohort(5, "c", kind=kind, n=900, shift=0.9, slope=slope)
    options = {
        "claim": "temporal",
        "any_range": True,
        "horizon": 0.3 if kind == "censored" else None,
    }
    before = predict.validate_external(model, new, later, **options)
    after = predict.validate_external(fixed, new, later, **options)
    for metric, ideal in (("calibration_slope", 1.0), ("calibration_intercept", 0.0),
                          ("observed_expected", 1.0)):  # fmt: skip
        if metric not in after.frame["metric"].to_list():
            continue
        row, old = after.estimate(metric), before.estimate(metric)
        error = (row["ci_high"] - row["ci_low"]) / 3.92
        assert abs(row["estimate"] - ideal) < 4 * error
        if metric != "calibration_slope" or how == "line":
            assert abs(old["estimate"] - ideal) > abs(row["estimate"] - ideal)
    main = before.frame["metric"][0]
    if main != "r2":
        assert after.estimate(main)["estimate"] == pytest.approx(before.estimate(main)["estimate"])
    predict.write_bundle(fixed, tmp_path / "m.json")
    back = predict.read_bundle(tmp_path / "m.json")
    assert back.predict(new, any_range=True).equals(fixed.predict(new, any_range=True))
    assert back.card["recalibrated"]["how"] == how
    decided = model.predict(new, any_range=True)["high"].to_list()
    assert fixed.predict(new, any_range=True)["high"].to_list() == decided
    with pytest.raises(InputError, match="trained the model"):
        predict.validate_external(fixed, here, truth, **options)


def test_a_model_that_ranks_the_wrong_way_is_not_recalibrated():
    blocks, outcome = _cohort(6, "a")
    model = predict.fit_model(blocks, outcome, seed=1, inner_folds=3)
    here, truth = _cohort(7, "b", slope=-1.0)
    with pytest.raises(InputError, match="wrong way"):
        predict.recalibrate(model, here, truth, any_range=True)
    _, values = _cohort(7, "b", kind="continuous")
    with pytest.raises(InputError, match="predicts a binary one"):
        predict.recalibrate(model, here, values)
