"""RANO, PERCIST and mRECIST at every boundary, from tables and from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from radgen.cli.app import app
from radgen.errors import AlignmentError, ConfigError, InputError
from radgen.phenotype.response import (
    assess_by,
    assess_glioma_response,
    assess_metabolic_response,
    assess_response,
    glioma_response,
    metabolic_response,
    target_response,
)
from radgen.study.schema.treatment import ResponseSettings

NAN = float("nan")


@pytest.mark.parametrize(
    ("size", "nadir", "more", "expected"),
    [
        (500.0, 1000, {}, "PR"),
        (500.1, 1000, {}, "SD"),
        (1249.9, 1000, {}, "SD"),
        (1250.0, 1000, {}, "PD"),
        (500.0, 400, {}, "PD"),  # 25 % over the smallest, though half of baseline
        (499.9, 400, {}, "PR"),
        (1.0, 0, {}, "PD"),
        (0.0, 1000, {}, "CR"),
        (0.0, 1000, {"no_steroids": False}, "PR"),
        (0.0, 1000, {"no_steroids": True}, "CR"),
        (0.0, 1000, {"steroids": "worse"}, "SD"),
        (0.0, 1000, {"others": "CR"}, "CR"),
        (0.0, 1000, {"others": "Non-CR/Non-PD"}, "PR"),
        (0.0, 1000, {"others": "PD"}, "PD"),
        (400.0, 1000, {"steroids": "worse"}, "SD"),
        (400.0, 1000, {"steroids": "better", "clinical": "better", "flair": "better"}, "PR"),
        (400.0, 1000, {"flair": "worse"}, "PD"),
        (400.0, 1000, {"clinical": "worse"}, "PD"),
        (400.0, 1000, {"new_lesion": True}, "PD"),
        (1000.0, 1000, {"steroids": "worse"}, "SD"),  # steroids alone are no progression
        (NAN, 1000, {}, "NE"),
        (NAN, 1000, {"new_lesion": True}, "PD"),
        (400.0, 1000, {"others": "NE"}, "NE"),
        (350.0, 1000, {"measure": "volume"}, "PR"),
        (350.1, 1000, {"measure": "volume"}, "SD"),
        (1400.0, 1000, {"measure": "volume"}, "PD"),
        (1399.9, 1000, {"measure": "volume"}, "SD"),
    ],
)
def test_gliomas_at_every_boundary(
    size: float, nadir: float, more: dict[str, Any], expected: str
) -> None:
    found, reason = glioma_response(size, baseline=1000.0, nadir=nadir, **more)
    assert found == expected
    assert reason


@pytest.mark.parametrize(("others", "expected"), [("CR", "CR"), ("Non-CR/Non-PD", "SD")])
def test_gliomas_that_cannot_be_measured_are_judged_by_the_others(
    others: str, expected: str
) -> None:
    assert glioma_response(NAN, baseline=NAN, nadir=NAN, others=others)[0] == expected


@pytest.mark.parametrize(
    ("peak", "baseline", "more", "expected"),
    [
        (7.0, 10, {}, "PMR"),
        (7.01, 10, {}, "SMD"),
        (13.0, 10, {}, "PMD"),
        (12.99, 10, {}, "SMD"),
        (1.4, 2.0, {}, "SMD"),  # 30 % but 0.6 units
        (1.2, 2.0, {}, "PMR"),
        (2.6, 2.0, {}, "SMD"),
        (2.8, 2.0, {}, "PMD"),
        (1.5, 10, {"gone": True}, "CMR"),
        (1.5, 10, {"gone": True, "others": "Non-CR/Non-PD"}, "PMR"),
        (10.0, 10, {"glycolysis_change": 0.75}, "PMD"),
        (10.0, 10, {"glycolysis_change": 0.74}, "SMD"),
        (9.0, 10, {"glycolysis_change": 0.9}, "SMD"),  # larger, but not hotter
        (5.0, 10, {"new_lesion": True}, "PMD"),
        (5.0, 10, {"others": "PD"}, "PMD"),
        (NAN, 10, {}, "NE"),
    ],
)
def test_metabolic_response_at_every_boundary(
    peak: float, baseline: float, more: dict[str, Any], expected: str
) -> None:
    assert metabolic_response(peak, baseline=baseline, **more)[0] == expected


def test_viable_tumour_needs_no_five_millimetres() -> None:
    small = {"baseline_mm": 20.0, "nadir_mm": 10.0}
    assert target_response([12.0], [False], **small)[0] == "PR"
    assert target_response([12.0], [False], **small, grows_mm=0.0)[0] == "PD"
    assert target_response([10.0], [False], **small, grows_mm=0.0)[0] == "PR"
    rows = [("a", "L", "target", v, 42.0 * v, d) for v, d in enumerate((20.0, 10.0, 12.0))]
    table = pl.DataFrame(
        rows, schema=["sample", "lesion", "role", "visit", "day", "diameter_mm"], orient="row"
    )
    assert assess_response(table, criteria="mRECIST").visits["overall"].to_list() == ["PR", "PD"]
    assert assess_response(table).visits["overall"].to_list() == ["PR", "PR"]
    assert "enhancing" in assess_response(table, criteria="mRECIST").methods()


def _gliomas(*sizes: float, sample: str = "a", step: float = 28.0) -> pl.DataFrame:
    return pl.DataFrame({
        "sample": sample, "lesion": "L", "role": "target",
        "visit": [float(v) for v in range(len(sizes))],
        "day": [step * v for v in range(len(sizes))],
        "longest_mm": [size**0.5 for size in sizes], "short_mm": [size**0.5 for size in sizes],
    })  # fmt: skip


def test_best_response_of_gliomas_asks_for_confirmation() -> None:
    found = assess_glioma_response(_gliomas(1000, 450, 440, 900))
    assert found.visits["overall"].to_list() == ["PR", "PR", "PD"]
    assert found.frame.row(0, named=True) == {
        "sample": "a", "best": "PR", "best_unconfirmed": "PR",
        "best_change": pytest.approx(-0.56), "progressed": True, "progression_day": 84.0,
        "last_day": 84.0, "visits": 3, "targets": 1,
    }  # fmt: skip
    assert assess_glioma_response(_gliomas(1000, 450, 600)).frame["best"].item() == "SD"
    assert "Nothing is known of" in found.warnings[0]
    assert "RANO" in found.methods()


def test_early_growth_counts_where_a_later_scan_bears_it_out() -> None:
    def words(*sizes: float) -> list[str]:
        found = assess_glioma_response(_gliomas(*sizes), unsure_days=84)
        return found.visits["overall"].to_list()

    assert words(1000, 1300, 900) == ["SD", "SD"]
    assert words(1000, 1300, 1400) == ["PD", "PD"]
    assert words(1000, 1300) == ["NE"]
    assert words(1000, 1000, 1000, 1000, 1300) == ["SD", "SD", "SD", "PD"]  # after the window


def test_steroids_are_judged_against_baseline() -> None:
    visits = pl.DataFrame({
        "sample": "a", "visit": [0.0, 1.0, 2.0, 3.0], "steroids_mg": [4.0, 8.0, 4.0, 0.0],
        "clinical": [None, "stable", "stable", "better"], "flair": [None, "stable", None, "better"],
    })  # fmt: skip
    found = assess_glioma_response(_gliomas(1000, 400, 400, 0), visits)
    assert found.visits["overall"].to_list() == ["SD", "PR", "CR"]
    assert found.visits["steroids"].to_list() == ["worse", "stable", "better"]
    assert found.warnings == ()
    other = visits.with_columns(pl.lit("A").alias("sample"))
    assert (
        "4 visits of the table of visits without lesions"
        in assess_glioma_response(_gliomas(1000, 400, 400, 0), other).warnings[-1]
    )


def test_patients_keep_apart_and_errors_name_what_is_wrong() -> None:
    both = pl.concat([_gliomas(1000, 1300), _gliomas(100, 40, sample="b")])
    found = assess_glioma_response(both)
    assert found.visits["overall"].to_list() == ["PD", "PR"]
    with pytest.raises(AlignmentError, match="a L visit 1"):
        assess_glioma_response(pl.concat([both, both[1:2]]))
    with pytest.raises(InputError, match=r"lacks short_mm.*take volumes"):
        assess_glioma_response(both.drop("short_mm"))
    with pytest.raises(InputError, match="belong to RANO"):
        assess_by("RECIST 1.1", both, volumes=True)
    with pytest.raises(InputError, match="no target or non-target"):
        assess_glioma_response(both.filter(pl.col("visit") > 5).vstack(
            _gliomas(10).with_columns(pl.lit("new").alias("role"))))  # fmt: skip


def _pet() -> pl.DataFrame:
    rows = [
        ("a", "hot", "target", 0.0, 0.0, 10.0, 50.0, 2.0, 0.3),
        ("a", "warm", "target", 0.0, 0.0, 6.0, 20.0, 2.0, 0.3),
        ("a", "hot", "target", 1.0, 60.0, 3.0, 20.0, 2.0, 0.3),
        ("a", "warm", "target", 1.0, 60.0, 6.5, 20.0, 2.0, 0.3),
        ("a", "hot", "target", 2.0, 120.0, 1.5, 5.0, 2.0, 0.3),
        ("a", "warm", "target", 2.0, 120.0, 0.0, 0.0, 2.0, 0.3),
        ("b", "faint", "target", 0.0, 0.0, 3.0, 9.0, 2.0, 0.3),
        ("b", "faint", "target", 1.0, 60.0, 4.0, 16.0, 2.0, 0.3),
    ]
    columns = ["sample", "lesion", "role", "visit", "day", "sul_peak", "glycolysis", "liver",
               "liver_sd"]  # fmt: skip
    return pl.DataFrame(rows, schema=columns, orient="row")


def test_the_hottest_lesion_of_each_scan_decides() -> None:
    found = assess_metabolic_response(_pet())
    assert found.visits["overall"].to_list() == ["PMR", "CMR", "PMD"]
    assert found.visits["sul_peak"].to_list() == [6.5, 1.5, 4.0]
    assert found.frame["best"].to_list() == ["CMR", "PMD"]
    assert "faint of b" in found.warnings[0]
    total = assess_metabolic_response(_pet(), which="sum")
    assert total.visits["baseline"].to_list() == [16.0, 16.0, 3.0]
    assert "CMR" in found.statements()[0]


def test_from_files_by_the_command_line(tmp_path: Path) -> None:
    lesions, visits = tmp_path / "lesions.csv", tmp_path / "visits.csv"
    lesions.write_text(
        "Patient,Lesion,Role,Visit,Day,Longest (mm),Perpendicular (mm),State\n"
        "a,L1,target,1,0,40,30,\na,L1,target,2,40,20,20,\na,L1,target,3,80,,,absent\n",
        encoding="utf-8",
    )
    visits.write_text(
        "patient,visit,dexamethasone (mg),clinical status,T2/FLAIR\n"
        "a,1,4,,\na,2,4,stable,unchanged\na,3,0,improved,stable\n",
        encoding="utf-8",
    )
    out = tmp_path / "out"
    words = ["response", str(lesions), "--criteria", "RANO", "--visits", str(visits), "--out"]
    run = CliRunner().invoke(app, [*words, str(out)], catch_exceptions=False)
    assert run.exit_code == 0
    assert pl.read_csv(out / "visits.csv")["overall"].to_list() == ["PR", "CR"]
    assert pl.read_csv(out / "patients.csv")["best"].to_list() == ["PR"]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "RANO" in page
    assert "Every visit after baseline" in page
    bad = CliRunner().invoke(app, ["response", str(lesions), "--criteria", "RANO2", "--out", "x"])
    assert isinstance(bad.exception, InputError)


def test_study_files_keep_the_options_of_rano_to_rano() -> None:
    good = ResponseSettings(lesions="x.csv", criteria="RANO", volumes=True, unsure_days=84)
    assert good.stable_days is None
    with pytest.raises((ValueError, ConfigError), match="belong"):
        ResponseSettings(lesions="x.csv", volumes=True)
