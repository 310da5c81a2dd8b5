"""Competing risks and measurements that change: the same numbers as R from raw tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from radgen import predict
from radgen.errors import InputError
from radgen.types import Outcome

GOLDEN = Path(__file__).parent / "golden" / "survival"


def _golden(name):
    return pl.read_csv(GOLDEN / f"{name}.csv")


@pytest.fixture(scope="module")
def table():
    frame = _golden("input")
    ids = [f"s{k:03d}" for k in range(frame.height)]
    names = {0: "alive", 1: "recurrence", 2: "other death"}
    return frame.with_columns(
        sample=pl.Series(ids),
        what=pl.Series([names[c] for c in frame["cause"].to_list()]),
    )


def test_competing_risks_from_a_table_equal_cmprsk(table):
    found = predict.competing_risks(
        table, time="time", cause="what", censored="alive", group="g",
        variables=table.select("sample", "a", "b"), at=[1.0, 2.0], unit="years",
    )  # fmt: skip
    gray = _golden("gray").filter((pl.col("what") == "time") & (pl.col("rho") == 0))
    crr = _golden("crr").filter(pl.col("what") == "time")
    for cause, name in ((1, "recurrence"), (2, "other death")):
        row = found.tests.filter(pl.col("cause") == name).row(0, named=True)
        expected = gray.filter(pl.col("cause") == cause)
        assert row["statistic"] == pytest.approx(expected["statistic"][0], rel=1e-7)
        own = found.regression.filter(pl.col("cause") == name)
        wanted = crr.filter(pl.col("cause") == cause)["estimate"].to_numpy()
        np.testing.assert_allclose(np.log(own["subdistribution_ratio"]), wanted, rtol=1e-6)
    assert found.frame.filter(pl.col("time") == 1.0).height == 6
    total = found.curves.group_by("group", "cause").agg(pl.col("incidence").max())
    by_group = total.group_by("group").agg(pl.col("incidence").sum())
    assert by_group["incidence"].max() <= 1
    text = found.statements()
    assert text[0].startswith("Incidence of other death in 0 at 2 years:")
    assert any("no evidence of differing between groups" in item for item in text)
    assert found.plot("incidence").has_data()
    tables, plain = found.encode()
    assert predict.IncidenceResult.decode(tables, plain).curves.equals(found.curves)


def test_competing_risks_without_groups_and_with_gaps(table):
    holes = table.with_columns(
        what=pl.when(pl.col("sample") == "s001").then(None).otherwise("what")
    )
    found = predict.competing_risks(holes, time="time", cause="what", censored="alive")
    assert found.dropped["sample"].to_list() == ["s001"]
    assert found.n_used == 149
    assert found.tests.height == 0
    with pytest.raises(InputError, match="No event"):
        predict.competing_risks(
            table.filter(pl.col("what") == "alive"), time="time", cause="what", censored="alive"
        )
    with pytest.raises(InputError, match="no column 'when'"):
        predict.competing_risks(table, time="when", cause="what")


@pytest.fixture(scope="module")
def visits(table):
    """Visits that give the counting-process rows of the golden script: x switches to 1 once."""
    rows = _golden("counting_input")
    ids = table["sample"].to_list()
    frame = rows.select(
        sample=pl.Series([ids[i - 1] for i in rows["id"].to_list()]), time="start", x="x"
    )
    outcome = Outcome(
        "death", "censored", tuple(ids), table["time"].to_numpy(), (table["cause"] > 0).to_numpy()
    )
    return frame, outcome


def test_covariates_that_change_equal_r(table, visits):
    frame, outcome = visits
    golden = _golden("counting_input")
    rows = predict.counting_rows(frame, outcome)
    assert rows.height == golden.height
    np.testing.assert_allclose(rows["stop"], golden["stop"])
    assert rows["event"].cast(int).to_list() == golden["event"].to_list()
    found = predict.changing_hazards(frame, outcome, fixed=table.select("sample", "a"))
    expected = _golden("counting")
    rows = {row["variable"]: row for row in found.frame.iter_rows(named=True)}
    for name, beta, robust in expected.select("term", "estimate", "robust").rows():
        assert rows[name]["log_hazard_ratio"] == pytest.approx(beta, rel=1e-6)
        assert rows[name]["std_error"] == pytest.approx(robust, rel=1e-6)
    assert "current a" in found.statements()[1] or "current a" in found.statements()[0]


def test_landmarks_equal_r(table, visits):
    frame, outcome = visits
    found = predict.changing_hazards(
        frame, outcome, fixed=table.select("sample", "a"), method="landmark",
        marks=[0, 0.25, 0.5, 0.75], window=1.5,
    )  # fmt: skip
    expected = _golden("landmark")
    assert found.rows.height == expected["rows"][0]
    assert found.rows["event"].sum() == expected["events"][0]
    rows = {row["variable"]: row for row in found.frame.iter_rows(named=True)}
    for name, beta, robust in expected.select("term", "estimate", "robust").rows():
        assert rows[name]["log_hazard_ratio"] == pytest.approx(beta, rel=1e-6)
        assert rows[name]["std_error"] == pytest.approx(robust, rel=1e-6)
    assert "landmark super model" in found.methods()


def test_only_the_past_enters_a_landmark():
    visits = pl.DataFrame(
        {"sample": ["a", "a", "b", "c"], "time": [0.0, 2.0, 0.0, 3.0], "x": [1.0, 9.0, 2.0, 3.0]}
    )
    outcome = Outcome("d", "censored", ("a", "b", "c"), [5.0, 1.5, 6.0], np.array([1, 1, 0]) > 0)
    rows = predict.landmark_rows(visits, outcome, [1.0], 10.0)
    assert rows.select("sample", "x").rows() == [("a", 1.0), ("b", 2.0)]
    later = predict.landmark_rows(visits, outcome, [2.0], 1.0)
    assert later.select("sample", "x", "stop", "event").rows() == [("a", 9.0, 3.0, False)]
    counted = predict.counting_rows(visits, outcome)
    assert counted.select("sample", "start", "stop", "event").rows() == [
        ("a", 0.0, 2.0, False), ("a", 2.0, 5.0, True), ("b", 0.0, 1.5, True),
        ("c", 3.0, 6.0, False),
    ]  # fmt: skip
    twice = pl.concat([visits, visits.head(1)])
    with pytest.raises(InputError, match="two visits at one time: a"):
        predict.counting_rows(twice, outcome)
    with pytest.raises(InputError, match="positive window"):
        predict.landmark_rows(visits, outcome, [], 1.0)


def _survivors(seed, n=150, effect=1.2):
    rng = np.random.default_rng(seed)
    ids = tuple(f"p{k:03d}" for k in range(n))
    x = rng.normal(size=(n, 4))
    time, censor = rng.exponential(np.exp(-effect * x[:, 0])), rng.exponential(3, n)
    frame = pl.DataFrame({"sample": ids} | {f"f{j}": x[:, j] for j in range(4)})
    return {"imaging": frame}, Outcome(
        "death", "censored", ids, np.minimum(time, censor), time <= censor
    )


FAST = {"folds": 4, "repeats": 2, "inner_folds": 3, "bootstrap": 0}


def test_three_risk_groups_are_cut_in_training_and_part_survival():
    found = predict.evaluate(*_survivors(1), seed=1, **FAST)
    groups = predict.risk_groups(found)
    table = groups.frame
    assert table["group"].to_list() == ["low", "medium", "high"]
    assert table["survival"].is_sorted(descending=True)
    assert (table["n"] - 50).abs().max() < 15
    assert table["hazard_ratio"][0] == 1
    assert table["hr_low"][2] > 2
    assert groups.tests["trend_p"].max() < 1e-4
    assert "low" in groups.statements()[0]
    assert groups.plot("kaplan_meier").has_data()
    # Two groups are the halves of held-out training scores, by the naive definition.
    halves = predict.risk_groups(found, n_groups=2)
    part = found.predictions.filter(
        (pl.col("model") == found.primary) & (pl.col("repeat") == 0) & (pl.col("rank") >= 0.5)
    )
    first = halves.km.filter((pl.col("group") == "high") & (pl.col("time") == 0))["at_risk"][0]
    assert first == part.height
    with pytest.raises(InputError, match="no information"):
        predict.risk_groups(found, model="no information")
    with pytest.raises(InputError, match="two groups"):
        predict.risk_groups(found, n_groups=1)


def test_risk_groups_of_noise_have_uniform_p():
    p = []
    for seed in range(16):
        found = predict.evaluate(
            *_survivors([2, seed], n=70, effect=0.0), seed=seed, baselines=False,
            **(FAST | {"repeats": 1, "inner_folds": 2}),
        )  # fmt: skip
        p.append(predict.risk_groups(found).tests["logrank_p"][0])
    assert np.mean(np.array(p) < 0.1) < 0.1 + 4 * np.sqrt(0.09 / 16)
    assert np.median(p) > 0.2
