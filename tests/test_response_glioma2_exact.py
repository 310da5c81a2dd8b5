"""RANO 2.0: every boundary, by hand."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from radgen.errors import InputError
from radgen.io.lesion_tables import read_lesion_visits, read_lesions
from radgen.phenotype.response import (
    assess_by,
    assess_glioma_response_2,
    joint_response,
)

Rows = list[dict[str, object]]


def _lesion(visit: int, day: float, area: float, **more: object) -> dict[str, object]:
    """Return a lesion of so many square millimetres, ten wide."""
    return {"sample": "a", "lesion": "L1", "role": "target", "visit": visit, "day": day,
            "longest_mm": area / 10.0, "short_mm": 10.0, "volume_ml": area, "state": None,
            "component": "enhancing"} | more  # fmt: skip


def _course(*areas: float, days: list[float] | None = None, **more: object) -> pl.DataFrame:
    when = days or [30.0 * k for k in range(len(areas))]
    rows = [
        _lesion(k + 1, when[k], area, **more) for k, area in enumerate(areas)
    ]  # fmt: skip
    return pl.DataFrame(rows, infer_schema_length=None)


def _words(table: pl.DataFrame, visits: pl.DataFrame | None = None, **options: object) -> list[str]:
    found = assess_glioma_response_2(table, visits, **options)  # type: ignore[arg-type]
    return found.visits["overall"].to_list()


@pytest.mark.parametrize(
    ("measure", "size", "word"),
    [
        ("product", 501, "SD"), ("product", 500, "PR"), ("product", 0, "CR"),
        ("product", 1249, "SD"), ("product", 1250, "PD"),
        ("volume", 351, "SD"), ("volume", 350, "PR"), ("volume", 1399, "SD"),
        ("volume", 1400, "PD"),
    ],
)  # fmt: skip
def test_limits_of_enhancing_tumour(measure: str, size: float, word: str) -> None:
    assert _words(_course(1000, size), measure=measure) == [word]


@pytest.mark.parametrize(
    ("measure", "size", "word"),
    [
        ("product", 751, "SD"), ("product", 750, "MR"), ("product", 501, "MR"),
        ("product", 500, "PR"), ("product", 1250, "PD"),
        ("volume", 601, "SD"), ("volume", 600, "MR"), ("volume", 351, "MR"), ("volume", 350, "PR"),
    ],
)  # fmt: skip
def test_minor_response_is_of_tumour_that_does_not_enhance(
    measure: str, size: float, word: str
) -> None:
    own = _course(1000, size, component="non-enhancing")
    assert _words(own, measure=measure) == [word]
    assert _words(_course(1000, size), measure=measure) == ["SD" if word == "MR" else word]


def test_growth_is_from_the_smallest_sum() -> None:
    assert _words(_course(1000, 400, 500)) == ["PR", "PD"]
    assert _words(_course(1000, 400, 499)) == ["PR", "PR"]


@pytest.mark.parametrize(
    ("one", "other", "word"),
    [
        ("PD", "CR", "PD"), ("SD", "PD", "PD"), ("PR", "SD", "PR"), ("SD", "MR", "MR"),
        ("CR", "SD", "SD"), ("CR", "PR", "PR"), ("CR", "MR", "MR"), ("SD", "SD", "SD"),
        ("PR", "MR", "MR"), ("CR", "CR", "CR"), ("NE", "CR", "NE"), ("NE", "PD", "PD"),
    ],
)  # fmt: skip
def test_two_components_are_joined(one: str, other: str, word: str) -> None:
    assert joint_response(one, other) == joint_response(other, one) == word


def test_mixed_tumours_are_judged_side_by_side() -> None:
    flair = _course(2000, 1400, component="non-enhancing", lesion="F1")
    table = pl.concat([_course(1000, 900), flair])
    found = assess_glioma_response_2(table).visits
    assert found.select("enhancing", "non_enhancing", "overall").row(0) == ("SD", "MR", "MR")
    grown = _course(2000, 2500, component="non-enhancing", lesion="F1")
    assert _words(pl.concat([_course(1000, 0), grown])) == ["PD"]


@pytest.mark.parametrize(
    ("days", "words"),
    [
        ([0, 56, 84], ["PD", "PD"]),  # 84 days after radiotherapy: confirmed by growth
        ([0, 57, 85], ["PD", "PD"]),  # a day later no confirmation is asked for
        ([0, 56, 83], ["NE", "NE"]),  # 27 days are too few, and no other scan follows
    ],
)
def test_the_window_and_the_four_weeks(days: list[float], words: list[str]) -> None:
    table = _course(1000, 1300, 1625, days=days)
    assert _words(table, radiotherapy_day=-28.0) == words


def test_early_growth_that_no_scan_confirms() -> None:
    late = _course(1000, 1300, 1300, days=[0, 56, 84])
    assert _words(late, radiotherapy_day=-28.0) == ["SD", "SD"]  # it stays large
    just = _course(1000, 1300, 1624, days=[0, 56, 84])
    assert _words(just, radiotherapy_day=-28.0) == ["SD", "SD"]  # 24.9 % more
    still = _words(late, radiotherapy_day=-28.0, confirmation="persistence")
    assert still == ["PD", "PD"]
    falls = _course(1000, 1300, 1000, days=[0, 56, 84])
    assert _words(falls, radiotherapy_day=-28.0, confirmation="persistence") == ["SD", "SD"]
    assert _words(late) == ["PD", "PD"]  # no radiotherapy: nothing to confirm
    alone = _course(1000, 1300, days=[0, 56])
    assert _words(alone, radiotherapy_day=-28.0) == ["NE"]


def test_after_pseudoprogression_its_scan_is_the_reference() -> None:
    days = [0.0, 40, 80, 120]
    assert _words(_course(1000, 1300, 1400, 1624, days=days), radiotherapy_day=-28.0) == [
        "SD", "SD", "SD",
    ]  # fmt: skip
    assert _words(_course(1000, 1300, 1400, 1625, days=days), radiotherapy_day=-28.0) == [
        "SD", "SD", "PD",
    ]  # fmt: skip
    found = assess_glioma_response_2(
        _course(1000, 1300, 1400, 1625, days=days), radiotherapy_day=-28.0
    )
    assert found.frame["progression_day"].to_list() == [120]
    assert found.visits["reference"].to_list() == [1000, 1300, 1300]
    assert found.visits["reason"][0].startswith("pseudoprogression:")


def test_confirmed_progression_is_dated_by_its_first_scan() -> None:
    table = _course(1000, 1300, 1300, 1700, days=[0, 40, 60, 70])
    found = assess_glioma_response_2(table, radiotherapy_day=-28.0)
    assert found.visits["overall"].to_list() == ["PD", "PD", "PD"]
    assert found.frame["progression_day"].to_list() == [40]


def test_what_needs_no_confirmation() -> None:
    table = _course(1000, 1300, days=[0, 40])
    worse = pl.DataFrame({"sample": ["a"], "visit": [2.0], "clinical": ["worse"]})
    assert _words(table, worse, radiotherapy_day=-28.0) == ["PD"]
    outside = pl.DataFrame({"sample": ["a"], "visit": [2.0], "outside_field": ["yes"]})
    assert _words(table, outside, radiotherapy_day=-28.0) == ["PD"]
    inside = outside.with_columns(pl.lit("no").alias("outside_field"))
    assert _words(table, inside, radiotherapy_day=-28.0) == ["NE"]


def test_new_lesions_and_others() -> None:
    new = pl.DataFrame([_lesion(2, 100, 100, lesion="N", role="new")], infer_schema_length=None)
    table = pl.concat([_course(1000, 900, days=[0, 100]), new], how="vertical_relaxed")
    assert _words(table, radiotherapy_day=-28.0) == ["PD"]
    early = table.with_columns(
        pl.when(pl.col("day") == 100).then(40.0).otherwise("day").alias("day")
    )
    more = pl.DataFrame(
        [_lesion(3, 80, 900), _lesion(3, 80, 110, lesion="N", role="new")], infer_schema_length=None
    )
    both = pl.concat([early, more], how="vertical_relaxed")
    assert _words(both, radiotherapy_day=-28.0) == ["SD", "SD"]
    grown = pl.DataFrame(
        [_lesion(3, 80, 900), _lesion(3, 80, 350, lesion="N", role="new")], infer_schema_length=None
    )
    assert _words(pl.concat([early, grown], how="vertical_relaxed"), radiotherapy_day=-28.0) == [
        "PD", "PD",
    ]  # fmt: skip


def test_t2_flair_and_steroids() -> None:
    state = pl.DataFrame(
        {"sample": ["a"] * 2, "visit": [1.0, 2.0], "flair": [None, "worse"],
         "steroids_mg": [4.0, 4.0]}
    )  # fmt: skip
    assert _words(_course(1000, 400), state) == ["PR"]  # RANO of 2010 says PD
    table = _course(1000, 400)
    assert assess_by("RANO", table, state).visits["overall"].to_list() == ["PD"]
    more = state.with_columns(pl.Series("steroids_mg", [4.0, 8.0]))
    assert _words(table, more) == ["SD"]
    assert _words(_course(1000, 1100), more) == ["SD"]  # never progression by itself
    assert _words(_course(1000, 0), state) == ["PR"]  # complete forbids steroids


def test_minor_responses_must_be_seen_again() -> None:
    own = _course(1000, 700, 690, component="non-enhancing")
    found = assess_glioma_response_2(own)
    assert found.frame.select("best", "best_unconfirmed").row(0) == ("MR", "MR")
    once = _course(1000, 700, 900, component="non-enhancing")
    found = assess_glioma_response_2(once)
    assert found.frame.select("best", "best_unconfirmed").row(0) == ("SD", "MR")
    assert "minor response from 25%" in found.methods()


def test_tables_and_doors(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text(
        "patient,lesion,role,visit,day,longest (mm),short (mm),component\n"
        "a,L1,target,1,0,40,20,CE\na,L1,target,2,40,50,20,CE\na,L1,target,3,70,64,20,CE\n",
        encoding="utf-8",
    )
    (tmp_path / "v.csv").write_text(
        "patient,visit,outside field\na,2,no\n", encoding="utf-8"
    )  # fmt: skip
    lesions, visits = read_lesions(tmp_path / "l.csv"), read_lesion_visits(tmp_path / "v.csv")
    found = assess_by("RANO 2.0", lesions, visits, radiotherapy_day=-30.0)
    assert found.visits["overall"].to_list() == ["PD", "PD"]
    with pytest.raises(InputError, match=r"belong to RANO 2\.0, not to RANO"):
        assess_by("RANO", lesions, radiotherapy_day=-30.0)
    with pytest.raises(InputError, match="unsure_days belongs to RANO"):
        assess_by("RANO 2.0", lesions, unsure_days=84.0)
