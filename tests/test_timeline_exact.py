"""Courses of patients: joins by hand, days from dates, pictures, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from matplotlib.colors import to_hex
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from radgen.associate import timeline
from radgen.associate.courses import TimelineResult
from radgen.cli.app import app
from radgen.errors import FormatError, InputError
from radgen.io import read_baselines, read_course
from radgen.plot import style, waterfall


def _files(folder: Path) -> dict[str, Path]:
    texts = {
        "visits": "sample,visit,day,sum_mm,baseline_mm,overall\n"
        "A,2,42,30,60,PR\nA,3,84,66,60,PD\nB,2,40,50,50,SD\n",
        "ctdna": "patient,date,variant,vaf\n"
        "A,2024-01-01,KRAS,0.10\nA,2024-02-12,KRAS,0.02\nA,2024-03-25,KRAS,0.15\n"
        "A,2024-01-01,TP53,0.0\nA,2024-02-12,TP53,0.01\nC,2024-05-01,KRAS,0.3\n",
        "drugs": "patient,start date,end date,treatment\nA,2024-01-03,2024-03-01,FOLFOX\n"
        "A,2024-03-27,,FOLFIRI\n",
        "baseline": "patient,baseline\nA,2024-01-01\nB,2024-04-01\n",
    }
    out = {}
    for name, text in texts.items():
        out[name] = folder / f"{name}.csv"
        out[name].write_text(text, encoding="utf-8")
    return out


def test_join_is_that_of_hand(tmp_path: Path) -> None:
    files = _files(tmp_path)
    found = timeline(
        [read_course(files[name]) for name in ("visits", "ctdna", "drugs")],
        baselines=read_baselines(files["baseline"]),
    )
    own = found.frame.filter(pl.col("sample") == "A")
    rows = [
        tuple(None if v is None else v for v in row)
        for row in own.select("day", "end_day", "what", "value", "relative").iter_rows()
    ]
    # 2024 is a leap year: 12 February is day 42, 25 March day 84, 1 March day 60.
    assert rows == [
        (0.0, None, "sum_mm", 60.0, 0.0),
        (0.0, None, "vaf KRAS", 0.10, 0.0),
        (0.0, None, "vaf TP53", 0.0, None),
        (2.0, 60.0, "FOLFOX", None, None),
        (42.0, None, "PR", None, None),
        (42.0, None, "sum_mm", 30.0, -0.5),
        (42.0, None, "vaf KRAS", 0.02, pytest.approx(-0.8)),
        (42.0, None, "vaf TP53", 0.01, None),
        (84.0, None, "PD", None, None),
        (84.0, None, "sum_mm", 66.0, pytest.approx(0.1)),
        (84.0, None, "vaf KRAS", 0.15, pytest.approx(0.5)),
        (86.0, None, "FOLFIRI", None, None),
    ]
    assert found.dropped.rows() == [("C", "ctdna: no date of baseline")]
    assert "ctdna has nothing of 1 patients: B." in found.warnings
    assert any(text.startswith("sum_mm: lower at the last") for text in found.statements())


def test_order_of_rows_and_tables_does_not_matter(tmp_path: Path) -> None:
    files = _files(tmp_path)
    origin = read_baselines(files["baseline"])
    names = ["visits", "ctdna", "drugs"]
    first = timeline([read_course(files[name]) for name in names], baselines=origin)
    for name in ("ctdna", "drugs"):
        head, *rows = files[name].read_text("utf-8").splitlines()
        files[name].write_text("\n".join([head, *rows[::-1], rows[0]]) + "\n", encoding="utf-8")
    again = timeline([read_course(files[name]) for name in names[::-1]], baselines=origin)
    assert_frame_equal(first.frame, again.frame)


def test_earliest_date_is_day_0_where_there_is_no_baseline(tmp_path: Path) -> None:
    files = _files(tmp_path)
    found = timeline([read_course(files[name]) for name in ("drugs", "ctdna")])
    days = found.frame.filter(pl.col("sample") == "C")["day"].to_list()
    assert days == [0.0]
    assert found.frame.filter(pl.col("what") == "FOLFOX")["day"].to_list() == [2.0]


def test_command_writes_days_and_never_dates(tmp_path: Path) -> None:
    files = _files(tmp_path)
    out = tmp_path / "out"
    done = CliRunner().invoke(
        app,
        ["timeline", *(str(files[name]) for name in ("visits", "ctdna", "drugs")), "--baseline",
         str(files["baseline"]), "--draw", "A", "--out", str(out)],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    table = pl.read_csv(out / "timeline.csv")
    assert_frame_equal(
        table, pl.read_parquet(out / "timeline.parquet").select(table.columns),
        check_dtypes=False,
    )  # fmt: skip
    assert (out / "swimmer.png").stat().st_size > 5000
    assert (out / "patient-A.png").stat().st_size > 5000
    page = (out / "report.html").read_text("utf-8")
    assert "Course of each patient" in page
    for text in (page, (out / "timeline.csv").read_text("utf-8"), done.output):
        assert "2024-" not in text
        assert "738886" not in text  # The day number of the baseline.
    unknown = CliRunner().invoke(
        app, ["timeline", str(files["visits"]), "--draw", "Z", "--out", str(out)]
    )
    assert "nothing is known of Z" in str(unknown.exception)


def test_what_cannot_be_joined_is_refused(tmp_path: Path) -> None:
    files = _files(tmp_path)
    with pytest.raises(InputError, match="hold dates and visits days"):
        timeline([read_course(files["visits"]), read_course(files["ctdna"])])
    bad = tmp_path / "bad.csv"
    bad.write_text("patient,day,suv\nA,1,2\nA,1,3\n", encoding="utf-8")
    with pytest.raises(InputError, match="bad row 1: suv of A, bad row 2: suv of A"):
        timeline([read_course(bad)])
    bad.write_text("patient,date,suv\nA,31 May,2\n", encoding="utf-8")
    with pytest.raises(FormatError, match="row 1") as caught:
        read_course(bad)
    assert "31 May" not in str(caught.value)
    bad.write_text("patient,day,suv\nA,1,high\nA,2,3\n", encoding="utf-8")
    with pytest.raises(FormatError, match="row 1: 'high'"):
        read_course(bad)
    bad.write_text("patient,day,end,treatment\nA,9,3,X\n", encoding="utf-8")
    with pytest.raises(FormatError, match="end comes before the start in row 1"):
        read_course(bad)
    bad.write_text("patient,suv\nA,9\n", encoding="utf-8")
    with pytest.raises(FormatError, match="No column of times"):
        read_course(bad)


def test_all_patients_and_one_show_treatments_and_responses_in_the_same_colours() -> None:
    rows = [
        ("A", 0.0, None, "treatment", "FOLFIRI", None),
        ("B", 0.0, 50.0, "treatment", "bevacizumab", None),
        ("B", 60.0, None, "treatment", "FOLFOX", None),
        ("B", 42.0, None, "event", "PR", None),
        ("B", 84.0, None, "event", "PD", None),
    ]
    frame = pl.DataFrame(
        rows, schema=["sample", "day", "end_day", "kind", "what", "value"], orient="row"
    ).with_columns(source=pl.lit("table"), relative=pl.lit(None, pl.Float64))
    found = TimelineResult(frame=frame, params={"origin": "day 0"}, n_used=2)
    legend = found.plot("swimmer").get_legend()
    inks = {
        text.get_text(): to_hex(np.ravel(item.get_facecolor())[:4])
        for item, text in zip(legend.legend_handles, legend.get_texts(), strict=True)
    }
    assert len({inks[name] for name in ("FOLFIRI", "FOLFOX", "bevacizumab")}) == 3
    assert {name: inks[name] for name in ("PR", "PD")} == {
        name: style.RESPONSES[name] for name in ("PR", "PD")
    }
    (panel,) = found.plot_patient("B").child_axes
    bars = [to_hex(bar.get_facecolor()) for bar in panel.patches]
    assert bars == [inks["bevacizumab"], inks["FOLFOX"]]
    assert [line.get_color() for line in panel.lines] == [inks["PR"], inks["PD"]]
    bars = waterfall([-0.4, 0.3], ["PR", "PD"]).containers
    drawn = {bar.get_label()[:2]: to_hex(bar.patches[0].get_facecolor()) for bar in bars}
    assert drawn == {name: inks[name] for name in ("PR", "PD")}
