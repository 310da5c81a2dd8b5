"""Many targets with multiplicity, learning curves, and whether a study is large enough."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from radgen import predict
from radgen.errors import InputError
from radgen.predict.adequacy import supported_parameters
from radgen.stats.sample_size import riley_binary
from radgen.types import Outcome

FAST = {"folds": 4, "repeats": 1, "inner_folds": 2, "bootstrap": 0}


def _cohort(seed, n=80, p=12, targets=10, effect=1.6):
    """Ten targets of which the first is planted in a feature; the others are coins."""
    rng = np.random.default_rng([21, seed])
    ids = tuple(f"s{k}" for k in range(n))
    y = (rng.random((n, targets)) < 0.45).astype(float)
    x = rng.normal(size=(n, p))
    x[:, 0] += effect * y[:, 0]
    images = pl.DataFrame({"sample": ids} | {f"f{j}": x[:, j] for j in range(p)})
    outcomes = [Outcome(f"gene{j}", "binary", ids, y[:, j]) for j in range(targets)]
    return {"imaging": images}, outcomes


def test_the_planted_target_is_found_and_the_others_are_not():
    blocks, outcomes = _cohort(1)
    found = predict.evaluate_targets(blocks, outcomes, seed=1, **FAST)
    assert found.frame.filter(pl.col("found"))["target"].to_list() == ["gene0"]
    assert (found.frame["p_adjusted"] >= found.frame["p_value"]).all()
    text = found.statements()
    assert text[0].startswith("Evidence that gene0 can be predicted")
    assert text[1].startswith("No evidence for 9 of 10 targets")
    assert set(found.models["target"]) == {item.name for item in outcomes}
    assert found.plot("targets").has_data()
    tables, plain = found.encode()
    assert predict.TargetsResult.decode(tables, plain).frame.equals(found.frame)


def test_family_wise_error_of_nulls_stays_below_the_level():
    wrong, power = 0, 0
    for seed in range(4):
        blocks, outcomes = _cohort(seed, n=60, p=6, targets=5)
        found = predict.evaluate_targets(blocks, outcomes, seed=seed, baselines=False, **FAST)
        hits = found.frame.filter(pl.col("found"))["target"].to_list()
        wrong += any(name != "gene0" for name in hits)
        power += "gene0" in hits
    assert wrong <= 1  # verification/targets.py has the rate
    assert power > 1


def test_max_t_uses_all_targets_together():
    blocks, outcomes = _cohort(2, n=60, p=4, targets=3, effect=2.5)
    found = predict.evaluate_targets(
        blocks, outcomes, seed=2, correction="max-t", permutations=19, **(FAST | {"folds": 3})
    )
    assert found.frame["p_adjusted"][0] == pytest.approx(1 / 20)
    assert found.frame["p_adjusted"].to_list()[1] > 0.05
    assert "19 permutations" in found.methods()


def test_a_target_that_cannot_be_modelled_does_not_stop_the_others():
    blocks, outcomes = _cohort(3, targets=2)
    same = Outcome("flat", "binary", outcomes[0].samples, np.zeros(80))
    found = predict.evaluate_targets(blocks, [*outcomes, same], seed=1, **FAST)
    row = found.frame.filter(pl.col("target") == "flat").row(0, named=True)
    assert "fewer than the 4 folds" in row["reason"]
    assert row["p_value"] is None
    assert not row["found"]
    assert any("flat could not be modelled" in text for text in found.statements())
    with pytest.raises(InputError, match="different names"):
        predict.evaluate_targets(blocks, [same, same], seed=1)
    with pytest.raises(InputError, match="permutations"):
        predict.evaluate_targets(blocks, outcomes, seed=1, correction="max-t")


def test_learning_curve_rises_with_signal_and_its_last_point_is_the_evaluation():
    blocks, outcomes = _cohort(4, n=160, targets=1)
    found = predict.learning_curve(blocks, outcomes[0], seed=5, folds=4, repeats=2, inner_folds=2)
    assert found.frame["n_train"].is_sorted()
    whole = predict.evaluate(
        blocks, outcomes[0], seed=5, folds=4, repeats=2, inner_folds=2, bootstrap=0,
        baselines=False,
    )  # fmt: skip
    last = found.frame.row(-1, named=True)
    for name in ("estimate", "ci_low", "ci_high"):
        assert last[name] == pytest.approx(whole.estimate(whole.primary)[name], abs=1e-12)
    assert last["estimate"] > found.frame["estimate"][0]
    assert found.plot("curve").has_data()
    assert "training patients" in found.statements()[0]
    with pytest.raises(InputError, match="ascending"):
        predict.learning_curve(blocks, outcomes[0], seed=1, shares=(1.0, 0.5))


@pytest.mark.parametrize("kind", ["binary", "censored", "continuous"])
def test_every_model_says_how_many_patients_it_needs(kind):
    rng = np.random.default_rng(6)
    n = 90
    ids = tuple(f"s{k}" for k in range(n))
    x = rng.normal(size=(n, 8))
    value = x[:, 0] + rng.normal(size=n)
    events = rng.random(n) < 0.7 if kind == "censored" else None
    y = {"binary": (value > 0).astype(float), "censored": np.exp(-value), "continuous": value}[kind]
    blocks = {
        "imaging": pl.DataFrame({"sample": ids} | {f"f{j}": x[:, j] for j in range(7)}),
        "clinical": pl.DataFrame({"sample": ids, "age": x[:, 7]}),
    }
    found = predict.evaluate(blocks, Outcome("y", kind, ids, y, events), seed=1, **FAST)
    table = found.adequacy
    assert table["candidates"].to_list() == [1, 7, 8]
    assert table["needed"][2] > table["needed"][1]
    assert table["detectable"].is_between(0, 1).all()
    assert any("Riley's criteria ask for" in text for text in found.statements())
    if kind == "binary":
        row = table.row(-1, named=True)
        rate = float(y.mean())
        assert row["needed"] == riley_binary(8, row["r2_cs"], rate).n


def test_supported_parameters_invert_riley():
    for candidates in (5, 24, 60):
        need = dict(riley_binary(candidates, 0.2, 0.3).criteria)["shrinkage of 0.9"]
        assert supported_parameters(need, 0.2) == candidates
        assert supported_parameters(need - 1, 0.2) == candidates - 1
