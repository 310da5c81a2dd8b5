"""RECIST 1.1 and iRECIST at every boundary, from tables, and change of phenotypes."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from radgen.cli.app import app
from radgen.errors import AlignmentError, FormatError, InputError
from radgen.io.lesion_tables import read_lesions, read_sdtm_lesions
from radgen.phenotype import measure_repeatability
from radgen.phenotype.response import (
    Visit,
    assess_response,
    best_response,
    immune_responses,
    non_target_response,
    overall_response,
    phenotype_change,
    real_change,
    target_response,
)
from radgen.types import PhenotypeTable

NAN = float("nan")


@pytest.mark.parametrize(
    ("now", "nodes", "baseline", "nadir", "expected"),
    [
        ([70.0], "L", 100, 100, "PR"),
        ([70.01], "L", 100, 100, "SD"),
        ([120.0], "L", 100, 100, "PD"),
        ([119.99], "L", 100, 100, "SD"),
        ([24.0], "L", 100, 20, "PR"),  # +20 % but 4 mm only
        ([25.0], "L", 100, 20, "PD"),  # +25 % and 5 mm, though 75 % below baseline
        ([24.99], "L", 100, 20, "PR"),
        ([50.0, 10.0], "LL", 100, 50, "PD"),
        ([0.0, 0.0], "LL", 100, 100, "CR"),
        ([0.0, 9.9], "LN", 100, 100, "CR"),
        ([0.0, 10.0], "LN", 100, 100, "PR"),
        ([0.1, 9.9], "LN", 100, 100, "PR"),
        ([9.5], "N", 100, 4, "CR"),  # a normal node that grew is normal
        ([5.0], "L", 100, 0, "PD"),
        ([4.0], "L", 100, 0, "PR"),
        ([NAN, 60.0], "LL", 100, 100, "NE"),
        ([NAN, 120.0], "LL", 100, 100, "PD"),
        ([NAN, 0.0], "LL", 100, 100, "NE"),
        ([], "", NAN, NAN, "ND"),
    ],
)
def test_target_lesions_at_every_boundary(now, nodes, baseline, nadir, expected):
    found, reason = target_response(
        now, [item == "N" for item in nodes], baseline_mm=baseline, nadir_mm=nadir
    )
    assert found == expected
    assert reason


def test_a_lesion_that_comes_back_after_complete_response_is_progression():
    given = {"baseline_mm": 40.0, "nadir_mm": 0.0}
    assert target_response([3.0], [False], **given)[0] == "PR"
    assert target_response([3.0], [False], after_complete=True, **given)[0] == "PD"
    assert target_response([9.0], [True], after_complete=True, **given)[0] == "CR"


TABLES = [  # Eisenhauer et al. 2009, tables 1 and 2: target, non-target, new, overall
    ("CR", "CR", False, "CR"), ("CR", "Non-CR/Non-PD", False, "PR"), ("CR", "NE", False, "PR"),
    ("PR", "Non-CR/Non-PD", False, "PR"), ("PR", "NE", False, "PR"), ("PR", "CR", False, "PR"),
    ("SD", "Non-CR/Non-PD", False, "SD"), ("SD", "NE", False, "SD"), ("SD", "CR", False, "SD"),
    ("NE", "Non-CR/Non-PD", False, "NE"), ("PD", "CR", False, "PD"), ("CR", "PD", False, "PD"),
    ("CR", "CR", True, "PD"), ("NE", "NE", True, "PD"), ("CR", "ND", False, "CR"),
    ("ND", "CR", False, "CR"), ("ND", "Non-CR/Non-PD", False, "Non-CR/Non-PD"),
    ("ND", "NE", False, "NE"), ("ND", "PD", False, "PD"), ("ND", "CR", True, "PD"),
]  # fmt: skip


@pytest.mark.parametrize(("target", "other", "new", "expected"), TABLES)
def test_overall_response_by_the_published_tables(target, other, new, expected):
    assert overall_response(target, other, new_lesion=new) == expected


def test_states_of_lesions_that_are_not_measured():
    assert non_target_response([]) == "ND"
    assert non_target_response(["absent", "absent"]) == "CR"
    assert non_target_response(["absent", None]) == "NE"
    assert non_target_response([None, "progression"]) == "PD"
    with pytest.raises(InputError, match="vanished"):
        non_target_response(["vanished"])


BEST = [  # Eisenhauer et al. 2009, table 3: responses at the given days, best response
    (["CR", "CR"], [42, 84], "CR"), (["CR", "PR"], [42, 84], "PR"), (["CR", "SD"], [42, 84], "SD"),
    (["CR", "PD"], [42, 84], "SD"), (["CR", "PD"], [30, 84], "PD"), (["CR", "NE"], [42, 84], "SD"),
    (["CR", "NE"], [30, 35], "NE"), (["PR", "CR"], [42, 84], "PR"), (["PR", "PR"], [42, 84], "PR"),
    (["PR", "SD"], [42, 84], "SD"), (["PR", "PD"], [42, 84], "SD"), (["PR", "NE"], [42, 84], "SD"),
    (["NE", "NE"], [42, 84], "NE"), (["PR", "PR"], [42, 69], "SD"), (["PR", "PR"], [42, 70], "PR"),
    (["PR", "NE", "PR"], [42, 60, 84], "PR"), (["PR", "PR", "CR", "CR"], [42, 84, 126, 168], "CR"),
    (["PD", "CR", "CR"], [42, 84, 126], "PD"), (["SD"], [41], "NE"), ([], [], "NE"),
    (["Non-CR/Non-PD"], [42], "Non-CR/Non-PD"), (["PR", "PR"], [42, NAN], "SD"),
]  # fmt: skip


@pytest.mark.parametrize(("responses", "days", "expected"), BEST)
def test_best_response_by_the_published_table(responses, days, expected):
    assert best_response(responses, days) == expected


def _seen(day, target, total, *, other="ND", new=0, size=NAN):
    overall = overall_response(target, other, new_lesion=new > 0)
    return Visit(day, target, other, overall, total, new, size)


@pytest.mark.parametrize(
    ("visits", "expected"),
    [
        ([_seen(42, "PD", 60), _seen(84, "PD", 65)], ["iUPD", "iCPD"]),
        ([_seen(42, "PD", 60), _seen(84, "PD", 64.9)], ["iUPD", "iUPD"]),
        ([_seen(42, "PD", 60), _seen(69, "PD", 80)], ["iUPD", "iUPD"]),
        ([_seen(42, "PD", 60), _seen(84, "SD", 50), _seen(126, "PD", 70)],
         ["iUPD", "iSD", "iUPD"]),
        ([_seen(42, "PD", 60), _seen(84, "NE", NAN), _seen(126, "PD", 70)],
         ["iUPD", "NE", "iCPD"]),
        ([_seen(42, "SD", 50, new=1), _seen(84, "SD", 50, new=2)], ["iUPD", "iCPD"]),
        ([_seen(42, "SD", 50, new=1, size=10), _seen(84, "SD", 50, new=1, size=15)],
         ["iUPD", "iCPD"]),
        ([_seen(42, "SD", 50, new=1, size=10), _seen(84, "SD", 50, new=1, size=12)],
         ["iUPD", "iUPD"]),
        ([_seen(42, "PD", 60), _seen(84, "PD", 60, other="PD")], ["iUPD", "iCPD"]),
        ([_seen(42, "CR", 0), _seen(84, "PD", 60), _seen(126, "PD", 70), _seen(168, "PR", 20)],
         ["iCR", "iUPD", "iCPD", "iCPD"]),
    ],
)  # fmt: skip
def test_progression_is_confirmed_by_irecist(visits, expected):
    assert list(immune_responses(visits)) == expected


CSV = """Patient ID,Lesion,Role,Visit,Date,Lymph node,Diameter (mm),State
a,L1,Target,1,2024-01-01,no,40,
a,L2,Target,1,2024-01-01,yes,20,
a,L3,NT,1,2024-01-01,no,,present
a,L1,Target,2,2024-02-12,no,20,
a,L2,Target,2,2024-02-12,yes,9,
a,L3,NT,2,2024-02-12,no,,present
a,L1,Target,3,2024-03-25,no,too,
a,L2,Target,3,2024-03-25,yes,9,
a,L3,NT,3,2024-03-25,no,,absent
a,L1,Target,4,2024-05-06,no,24,
a,L2,Target,4,2024-05-06,yes,12,
a,L3,NT,4,2024-05-06,no,,absent
b,L1,Target,1,2024-01-01,no,8,
b,L1,Target,2,2024-02,no,8,
b,N1,New,2,2024-02,no,,equivocal
b,L1,Target,3,2024-03-25,no,8,
b,N1,New,3,2024-03-25,no,6,unequivocal
"""


def test_a_table_of_lesions_is_read_and_judged(tmp_path):
    path = tmp_path / "lesions.csv"
    path.write_text(CSV)
    with pytest.raises(FormatError, match=r"row 7: diameter_mm 'too'"):
        read_lesions(path)
    path.write_text(CSV.replace("no,too,", "no,,too small"))
    found = assess_response(read_lesions(path))
    a = found.visits.filter(pl.col("sample") == "a")
    assert a["sum_mm"].to_list() == [29, 14, 36]
    assert a["nadir_mm"].to_list() == [60, 29, 14]
    assert a["target"].to_list() == ["PR", "PR", "PD"]
    assert a["non_target"].to_list() == ["Non-CR/Non-PD", "CR", "CR"]
    assert a["day"].to_list() == [42, 84, 126]
    assert "+22.0 mm (+157.1%) from the nadir of 14.0 mm" in a["reason"][2]
    b = found.visits.filter(pl.col("sample") == "b")
    assert b["overall"].to_list() == ["SD", "PD"]
    assert b["day"].to_list() == [None, 84]
    assert found.frame["best"].to_list() == ["PR", "PD"]
    assert found.frame["progression_day"].to_list() == [126, 84]
    assert found.frame["best_change"].to_list() == pytest.approx([14 / 60 - 1, 0])
    assert "L1 of b" in found.warnings[0]
    assert any("1 of 2 patients (50%)" in line for line in found.statements())
    twice = pl.concat([read_lesions(path)] * 2)
    with pytest.raises(AlignmentError, match="twice"):
        assess_response(twice)
    called = CliRunner().invoke(app, ["response", str(path), "--out", str(tmp_path / "o")])
    assert called.exit_code == 0, called.output
    assert "2 of 2 patients progressed" in called.output
    assert (tmp_path / "o" / "report.html").stat().st_size > 10_000


def test_trial_tables_agree_but_where_they_are_known_to_be_wrong(data):
    """The set judges progression from baseline; ours must differ there, and nowhere else."""
    folder = data("recist_sdtm")
    lesions = read_sdtm_lesions(folder / "tr_onco.csv.gz", folder / "tu_onco.csv.gz")
    ours = assess_response(lesions).visits
    theirs = pl.read_csv(folder / "rs_onco.csv.gz", infer_schema_length=None)
    who = pl.coalesce("RSEVALID", "RSEVAL")
    theirs = theirs.filter(pl.col("RSTESTCD") == "TRGRESP").select(
        sample=pl.col("USUBJID") + "|" + who, visit=pl.col("VISITNUM").cast(pl.Float64),
        told=pl.col("RSSTRESC"),
    )  # fmt: skip
    both = ours.join(theirs, on=["sample", "visit"], how="full", coalesce=True)
    assert both.height == 1899
    assert both.null_count().select("target", "told").row(0) == (0, 0)
    seen = both.filter(pl.col("target") != "NE")
    counts = dict(
        seen.filter(pl.col("target") != pl.col("told"))
        .group_by("told", "target").len()
        .select(pl.concat_str("told", "target", separator=">"), "len").iter_rows()
    )  # fmt: skip
    assert counts == {"SD>PD": 94, "PR>PD": 64, "SD>PR": 1}
    wrong = seen.filter((pl.col("target") == "PD") & (pl.col("told") != "PD"))
    total, nadir = wrong["sum_mm"].fill_null(np.inf), wrong["nadir_mm"]
    assert bool((((total - nadir) >= 5) & (total >= 1.2 * nadir)).all())
    assert both.filter(pl.col("target") == "NE")["sum_mm"].null_count() == 42


def test_change_of_phenotypes_and_its_limits():
    def table(values, names=("v", "w"), ids=("a", "b", "c")):
        columns = dict(zip(names, np.array(values).T, strict=True))
        return PhenotypeTable.from_frame(pl.DataFrame({"sample": list(ids)} | columns))

    before = table([[10.0, 1.0], [20.0, 0.0], [NAN, 4.0]])
    after = table([[4.0, 5.0], [30.0, 2.0], [2.0, 1.0]], names=("w", "v"), ids=("b", "a", "c"))
    relative = phenotype_change(before, after)
    assert relative.names == ("delta v", "delta w")
    np.testing.assert_allclose(relative.values, [[-0.8, 29.0], [-0.75, NAN], [NAN, -0.5]])
    assert relative.status["reason"].to_list() == [
        "no share or ratio of a value that is not positive",
        "no value in one of the examinations",
    ]
    ratio = phenotype_change(before, after, how="log_ratio")
    np.testing.assert_allclose(ratio.values[0], np.log([0.2, 30.0]))
    apart = phenotype_change(before, after, how="difference", days={"a": 60, "b": 30, "c": 30})
    np.testing.assert_allclose(apart.values, [[-4.0, 14.5], [-15.0, 4.0], [NAN, -2.0]])
    with pytest.raises(InputError, match="without a positive number of days: b, c"):
        phenotype_change(before, after, days={"a": 60})


def test_five_percent_of_unchanged_patients_seem_to_change():
    rng = np.random.default_rng(2)
    ids = [f"s{k}" for k in range(400)]
    middle = rng.normal(50, 10, 400)

    def scan(shift=0.0):
        values = middle + rng.normal(0, 2, 400) + shift
        return PhenotypeTable.from_frame(pl.DataFrame({"sample": ids, "v": values}))

    repeats = measure_repeatability({"test": scan(), "retest": scan()})
    same = real_change(scan(), scan(), repeats)
    wrong = (same["verdict"] != "within error").mean()
    assert abs(wrong - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 400)
    moved = real_change(scan(), scan(8.0), repeats)
    assert (moved["verdict"] == "increase").mean() > 0.7
    assert repeats.frame["repeatability"][0] == pytest.approx(1.96 * np.sqrt(2) * 2, rel=0.12)


def test_changes_are_written_from_the_command_line(tmp_path):
    rng = np.random.default_rng(3)
    for name, shift in (("t", 0), ("r", 0), ("b", 0), ("a", 3)):
        frame = pl.DataFrame({"ID": [f"p{k}" for k in range(30)]})
        frame = frame.with_columns(pl.Series("vol", 10 + shift + 0.1 * rng.normal(size=30)))
        frame.write_csv(tmp_path / f"{name}.csv")
    files = [str(tmp_path / f"{name}.csv") for name in "batr"]
    found = CliRunner().invoke(
        app,
        ["change", *files[:2], "--out", str(tmp_path / "d.csv"), "--test", files[2], "--retest",
         files[3]],
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    assert "30 of 30 changes are larger than error" in found.output
    assert pl.read_csv(tmp_path / "d.csv").columns == ["sample", "delta vol"]
    assert pl.read_csv(tmp_path / "d-real.csv").height == 30
