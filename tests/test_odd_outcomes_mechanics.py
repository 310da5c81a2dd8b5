"""Events in words, dates as people write them, and tables that hold the outcome among features."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from radgen.associate.association_result import power_of_ten
from radgen.errors import InputError
from radgen.io import IdRule
from radgen.io.events import event_states
from radgen.io.moments import day_numbers
from radgen.predict import evaluate, read_inputs
from radgen.types import Outcome


def test_events_are_read_as_the_tables_of_the_field_write_them() -> None:
    words = ["1:DECEASED", "0:LIVING", "Dead", " alive ", "1", 0.0, True, "1:Recurred/Progressed",
             "0:DiseaseFree", "0:CENSORED", "[Not Available]", None]  # fmt: skip
    states, unknown = event_states(words)
    assert states == [True, False, True, False, True, False, True, True, False, False, None, None]
    assert unknown == []
    assert event_states(["2", "moved away"])[1] == ["2", "moved away"]


@pytest.mark.parametrize(
    "text",
    ["2024-05-31", "2024/05/31", "31.05.2024", "31.5.2024", "20240531", "31-May-2024", "31MAY2024",
     "31/05/2024", "05/31/2024", "2024-05-31T10:15:00", "31.05.2024 10:15"],
)  # fmt: skip
def test_a_date_is_the_same_day_in_every_way_of_writing(text: str) -> None:
    assert day_numbers([text, ""]) == ([float(date(2024, 5, 31).toordinal()), None], [])


def test_slashed_dates_are_read_by_the_whole_column_or_refused() -> None:
    first = day_numbers(["03/04/2024", "13/04/2024"])[0]
    assert first == [float(date(2024, 4, day).toordinal()) for day in (3, 13)]
    with pytest.raises(InputError, match="day or with the month first"):
        day_numbers(["03/04/2024", "05/06/2024"])
    assert day_numbers(["31/12/2024", "12/31/2024"])[1] == [0, 1]
    assert day_numbers(["201911", "31.02.2024", "soon"])[1] == [0, 1, 2]


def test_a_p_value_below_floats_is_written_with_one_digit_before_the_point() -> None:
    shown = [power_of_ten(log10p) for log10p in (-15.9999, -16.0001, -350.2, -3.0, -np.inf)]
    assert shown == ["1.0e-16", "1.0e-16", "6.3e-351", "0.001", "0"]


def _one_table(path: Path) -> Path:
    rng = np.random.default_rng(4)
    n = 40
    time = rng.exponential(300.0, n)
    pl.DataFrame(
        {
            "id": [f"P{i:02d}" for i in range(n)],
            "f1": rng.normal(size=n), "f2": rng.normal(size=n), "days": time,
            "months": time / 30.4, "dead": rng.integers(0, 2, n), "age": rng.normal(60, 8, n),
            "site": rng.integers(1, 4, n),
        }
    ).write_csv(path)  # fmt: skip
    return path


def test_outcome_patient_site_and_clinical_columns_are_no_features(tmp_path: Path) -> None:
    table = _one_table(tmp_path / "all.csv")
    found = read_inputs(
        table, "days", event="dead", features=[table], clinical=["age"], site="site"
    )
    assert found.blocks["imaging"].names == ("f1", "f2", "months")
    assert any("days, dead, age, site left out" in note for note in found.notes)


def test_a_feature_that_is_the_outcome_in_another_unit_is_told(tmp_path: Path) -> None:
    table = _one_table(tmp_path / "all.csv")
    found = read_inputs(table, "days", event="dead", features=[table])
    result = evaluate(found.blocks, found.outcome, seed=1, repeats=1, folds=3, inner_folds=2)
    told = [text for text in result.warnings if "almost perfectly" in text]
    assert len(told) == 1
    assert "'months'" in told[0]
    assert "'f1'" not in told[0]


def test_the_outcome_as_a_binary_or_continuous_feature_is_told() -> None:
    rng = np.random.default_rng(5)
    ids = [f"s{i}" for i in range(60)]
    score = rng.normal(size=60)
    frame = pl.DataFrame({"sample": ids, "score": score, "noise": rng.normal(size=60)})
    options = {"seed": 1, "repeats": 1, "folds": 3, "inner_folds": 2}
    for kind, values in (("binary", (score > 0).astype(float)), ("continuous", np.exp(score))):
        outcome = Outcome("state", kind, tuple(ids), values)
        told = evaluate({"imaging": frame}, outcome, **options).warnings
        assert any("'score' alone tells state" in text for text in told)
    honest = Outcome("state", "continuous", tuple(ids), score + rng.normal(size=60))
    told = evaluate({"imaging": frame}, honest, **options).warnings
    assert not any("almost perfectly" in text for text in told)


def test_ids_in_another_spelling_are_told_and_match_by_rule(tmp_path: Path) -> None:
    table = _one_table(tmp_path / "all.csv")
    lower = pl.read_csv(table).with_columns(pl.col("id").str.to_lowercase()).select("id", "f1")
    lower.write_csv(tmp_path / "features.csv")
    options = {"event": "dead", "features": [tmp_path / "features.csv"]}
    apart = read_inputs(table, "days", **options)
    assert any("40 ids written otherwise in all.csv (p00: P00" in note for note in apart.notes)
    joined = read_inputs(table, "days", id_rule=IdRule(case="upper"), **options)
    assert joined.blocks["imaging"].samples == joined.outcome.samples
    assert not any("written otherwise" in note for note in joined.notes)
