"""Unique and common parts of what tables of predictors explain."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from radgen import predict
from radgen.errors import InputError
from radgen.predict.shares import commonality_weights
from radgen.types import Outcome

FAST = {"folds": 4, "repeats": 1, "inner_folds": 3}


def _explained(x, y):
    fitted = x @ np.linalg.lstsq(x, y, rcond=None)[0]
    return float(fitted @ fitted / (y @ y))


@pytest.mark.parametrize("names", ["ab", "abc", "abcd"])
def test_parts_of_a_regression_add_up_and_the_unique_part_is_a_squared_semipartial(names):
    rng = np.random.default_rng(len(names))
    x = rng.normal(size=(80, len(names))) @ rng.normal(size=(len(names), len(names)))
    y = x.sum(axis=1) + rng.normal(size=80)
    x, y = x - x.mean(axis=0), y - y.mean()
    place = {name: k for k, name in enumerate(names)}
    share = {}
    weights = commonality_weights(tuple(names))
    for some in {used for item in weights.values() for used in item}:
        share[some] = _explained(x[:, [place[name] for name in some]], y)
    parts = {p: sum(w * share[used] for used, w in item.items()) for p, item in weights.items()}
    assert len(parts) == 2 ** len(names) - 1
    assert sum(parts.values()) == pytest.approx(share[tuple(names)], abs=1e-12)
    for k, name in enumerate(names):
        rest = np.delete(x, k, axis=1)
        alone = x[:, k] - rest @ np.linalg.lstsq(rest, x[:, k], rcond=None)[0]
        assert parts[(name,)] == pytest.approx(_explained(alone[:, None], y), abs=1e-10)
        own = sum(value for part, value in parts.items() if name in part)
        assert own == pytest.approx(share[(name,)], abs=1e-12)


def _cohort(n, kind, seed=1):
    rng = np.random.default_rng(seed)
    shared, own, other = rng.normal(size=(3, n))
    y = np.sqrt(0.4) * shared + np.sqrt(0.3) * own + np.sqrt(0.3) * rng.normal(size=n)
    ids = tuple(f"s{k}" for k in range(n))
    blocks = {
        "imaging": pl.DataFrame({"sample": ids, "f": shared, "g": own}),
        "genomic": pl.DataFrame({"sample": ids, "h": shared, "noise": other}),
    }
    values = y if kind == "continuous" else (y > 0).astype(float)
    return blocks, Outcome("y", kind, ids, values)


def test_planted_shares_are_recovered_out_of_fold():
    found = predict.commonality(*_cohort(800, "continuous"), seed=1, **FAST)
    got = dict(found.frame.select("part", "value").iter_rows())
    assert got["only imaging"] == pytest.approx(0.3, abs=0.06)
    assert got["only genomic"] == pytest.approx(0.0, abs=0.02)
    assert got["imaging and genomic"] == pytest.approx(0.4, abs=0.06)
    assert got["all"] == pytest.approx(sum(got[k] for k in list(got)[:-1]), abs=1e-12)
    row = found.frame.row(1, named=True)
    assert row["part"] == "only genomic"
    assert row["ci_low"] < 0 < row["ci_high"]
    whole = predict.evaluate(*_cohort(800, "continuous"), seed=1, bootstrap=0, **FAST)
    assert got["all"] == pytest.approx(whole.estimate("combined", "r2")["estimate"], abs=0.01)
    text = " ".join(found.statements())
    assert "Only genomic" in text
    assert "compatible with nothing" in text


def test_nothing_is_divided_where_nothing_is_explained():
    blocks, outcome = _cohort(120, "binary")
    rng = np.random.default_rng(3)
    noise = Outcome("coin", "binary", outcome.samples, rng.integers(0, 2, 120).astype(float))
    found = predict.commonality(blocks, noise, seed=1, **FAST)
    assert len(found.statements()) == 1
    assert "no evidence of anything explained" in found.statements()[0]
    with pytest.raises(InputError, match="two to 4"):
        predict.commonality({"imaging": blocks["imaging"]}, outcome, seed=1, **FAST)
