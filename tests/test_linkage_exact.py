"""Linkage by rules: worked cases, and random cohorts against the plain definition."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from radgen.associate import LinkResult, LinkRules, aggregate, link, standardised_differences
from radgen.cli.app import app
from radgen.errors import AlignmentError, FormatError, InputError
from radgen.types import PhenotypeTable


def _day(number: int | None) -> date | None:
    return None if number is None else date(2020, 1, 1) + timedelta(days=number)


def _scans() -> pl.DataFrame:
    """a: two lesions, three scans; b: scanned after treatment; c: no date; d: no specimen."""
    return pl.DataFrame(
        {
            "scan": ["a1", "a2", "a3", "b1", "c1", "d1", "e1"],
            "patient": ["a", "a", "a", "b", "c", "d", "e"],
            "lesion": ["L", "L", "R", "L", "L", "L", None],
            "date": [_day(n) for n in (0, 40, 5, 60, None, 3, 2)],
            "x": [0.0, 0.0, 50.0, 1.0, 2.0, 3.0, 4.0],
            "y": [0.0] * 7,
            "z": [0.0] * 7,
        }
    )


def _specimens() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "specimen": ["ta", "tb", "tc", "te", "tf"],
            "patient": ["a", "b", "c", "e", "f"],
            "lesion": ["L", "L", "L", "L", "L"],
            "date": [_day(n) for n in (30, 50, 10, 8, 1)],
            "x": [3.0, 1.0, 2.0, 40.0, 0.0],
            "y": [4.0, 0.0, 0.0, 0.0, 0.0],
            "z": [0.0] * 5,
        }
    )


def _people() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "patient": list("abcdef"),
            "treatment": [_day(n) for n in (45, 55, 90, 90, 90, 90)],
            "age": [50.0, 60.0, 70.0, 80.0, 55.0, 65.0],
            "sex": ["M", "F", "F", "M", "F", "M"],
        }
    )


def _pairs(found: LinkResult) -> list[tuple[str, str]]:
    return list(found.table.select("scan", "specimen").iter_rows())


def test_several_scans_are_refused_until_a_rule_chooses() -> None:
    with pytest.raises(InputError, match="1 patients have several scans that fit: a"):
        link(_scans(), _specimens())
    every = link(_scans(), _specimens(), rules=LinkRules(several_scans="all"))
    assert [pair[0] for pair in _pairs(every)] == ["a1", "a2", "a3", "b1", "c1", "e1"]
    for how, want in (("first", "a1"), ("last", "a2"), ("nearest", "a2")):
        found = link(_scans(), _specimens(), rules=LinkRules(several_scans=how))
        assert _pairs(found)[0] == (want, "ta")
    row = found.table.row(0, named=True)
    assert row["days"] == -10
    assert row["distance_mm"] == pytest.approx(5.0)


def test_each_rule_drops_with_its_reason() -> None:
    rules = LinkRules(
        same_lesion=True, max_days=35, before="treatment", several_scans="nearest", max_mm=20
    )
    found = link(_scans(), _specimens(), _people(), rules=rules)
    assert _pairs(found) == [("a2", "ta")]
    reasons = {(r["record"], r["reason"]) for r in found.lost.iter_rows(named=True)}
    assert ("d1", "the patient has no specimen") in reasons
    assert ("tf", "the patient has no scan") in reasons
    assert ("b1", "the scan was taken after treatment") in reasons
    assert ("tb", "no scan of the patient is left") in reasons
    assert ("c1", "the date of the scan or treatment is not known") in reasons
    assert ("a3", "no partner from the same lesion") in reasons
    assert ("e1", "the lesion of scan or specimen is not named") in reasons
    assert ("a1", "another scan counts (nearest)") in reasons
    assert found.flow["n"].to_list() == [5, 4, 2, 1, 1, 1, 1]
    assert found.flow["dropped"].to_list() == [0, 1, 2, 1, 0, 0, 0]
    assert found.n_used == 1
    lines = found.statements()
    assert lines[0].startswith("1 of 5 patients")
    assert found.plot("flow") is not None
    assert "same lesion" in found.methods()
    again = LinkResult.decode(*found.encode())
    assert again.statements() == lines


def test_distance_of_coordinates_and_specimens_after_treatment() -> None:
    rules = LinkRules(max_mm=10, several_scans="all")
    found = link(_scans(), _specimens(), rules=rules)
    assert [pair[0] for pair in _pairs(found)] == ["a1", "a2", "b1", "c1"]
    late = LinkRules(before="treatment", specimens_before=True, several_scans="first")
    people = _people().with_columns(treatment=pl.lit(_day(29)))
    found = link(_scans(), _specimens(), people, rules=late)
    assert _pairs(found) == [("e1", "te")]
    reasons = dict(found.lost.select("record", "reason").iter_rows())
    assert reasons["ta"] == "the specimen was taken after treatment"
    assert reasons["a1"] == "no specimen of the patient is left"


def test_those_kept_are_compared_with_those_lost() -> None:
    frame = _people().drop("treatment")
    table = standardised_differences(frame, ["a", "b", "e"])
    row = {r["variable"]: r for r in table.iter_rows(named=True)}
    kept, lost = np.array([50, 60, 55.0]), np.array([70, 80, 65.0])
    want = (kept.mean() - lost.mean()) / np.sqrt((kept.var(ddof=1) + lost.var(ddof=1)) / 2)
    assert row["age"]["difference"] == pytest.approx(want)
    assert row["sex=F"]["kept"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("seed", range(4))
def test_random_cohorts_follow_the_plain_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 60

    def side(key: str) -> pl.DataFrame:
        return pl.DataFrame(
            {
                key: [f"{key}{i}" for i in range(n)],
                "patient": [f"p{k}" for k in rng.integers(0, 25, n)],
                "lesion": [str(rng.choice(["L", "R"])) if rng.random() > 0.1 else None
                           for _ in range(n)],
                "date": [_day(int(d)) if rng.random() > 0.1 else None
                         for d in rng.integers(0, 300, n)],
            }
        )  # fmt: skip

    scans, specimens = side("scan"), side("specimen")
    rules = LinkRules(same_lesion=True, max_days=60, several_scans="all", several_specimens="all")
    want = {
        (a["scan"], b["specimen"])
        for a in scans.to_dicts()
        for b in specimens.to_dicts()
        if a["patient"] == b["patient"]
        and a["lesion"] == b["lesion"] is not None
        and a["date"] is not None
        and b["date"] is not None
        and abs((a["date"] - b["date"]).days) <= 60
    }
    found = link(scans, specimens, rules=rules)
    assert set(_pairs(found)) == want
    both = {*scans["scan"], *specimens["specimen"]}
    used = {name for pair in want for name in pair}
    assert set(found.lost["record"]) == both - used
    one = link(
        scans, specimens,
        rules=LinkRules(True, 60, several_scans="nearest", several_specimens="nearest"),
    )  # fmt: skip
    keys = one.table.select("patient", "lesion")
    assert keys.n_unique() == keys.height
    for row in one.table.iter_rows(named=True):
        gaps = [
            abs((s["date"] - t["date"]).days)
            for s in scans.to_dicts() for t in specimens.to_dicts()
            if (s["scan"], t["specimen"]) in want
            and (s["patient"], s["lesion"]) == (row["patient"], row["lesion"])
        ]  # fmt: skip
        assert abs(row["days"]) == min(gaps)


def test_wrong_tables_are_explained() -> None:
    with pytest.raises(InputError, match="no column 'lesion'"):
        link(_scans().drop("lesion"), _specimens(), rules=LinkRules(same_lesion=True))
    with pytest.raises(AlignmentError, match="a1"):
        link(pl.concat([_scans(), _scans()]), _specimens())
    text = _scans().with_columns(date=pl.lit("2020-01-01"))
    with pytest.raises(InputError, match="needed are dates"):
        link(text, _specimens(), rules=LinkRules(max_days=3))
    with pytest.raises(InputError, match="patients' table"):
        link(_scans(), _specimens(), rules=LinkRules(before="treatment", several_scans="first"))
    rules = LinkRules(before="treatmnt", several_scans="first")
    with pytest.raises(InputError, match="Did you mean 'treatment'"):
        link(_scans(), _specimens(), _people(), rules=rules)
    blank = _scans().with_columns(date=pl.lit(None, pl.Date))
    with pytest.raises(InputError, match="needs the date of each"):
        link(blank, _specimens(), rules=LinkRules(several_scans="first"))
    with pytest.raises(InputError, match="0 or more"):
        LinkRules(max_days=-1)


def _lesions() -> tuple[PhenotypeTable, dict[str, str]]:
    frame = {
        "sample": ["a1", "a2", "a3", "b1", "b2"],
        "volume": [5.0, 9.0, None, 2.0, 2.0],
        "risk": [0.9, 0.1, 0.5, None, 0.3],
        "only": [None, None, None, 1.0, None],
    }
    table = PhenotypeTable.from_frame(pl.DataFrame(frame))
    return table, {name: name[0] for name in frame["sample"]}  # type: ignore[union-attr]


def test_largest_mean_and_worst_row_of_a_patient() -> None:
    table, patients = _lesions()
    largest, lost = aggregate(table, patients, how="largest", by="volume")
    assert largest.samples == ("a", "b")
    np.testing.assert_array_equal(largest.values[:, 0], [9, 2])
    assert set(lost) == {"a1", "a3", "b2"}
    worst, _ = aggregate(table, patients, how="worst", by="risk")
    np.testing.assert_array_equal(worst.values[:, 1], [0.9, 0.3])
    best, _ = aggregate(table, patients, how="worst", by="risk", worst="lowest")
    np.testing.assert_array_equal(best.values[:, 1], [0.1, 0.3])
    mean, none = aggregate(table, patients, how="mean")
    np.testing.assert_allclose(mean.values, [[7, 0.5, np.nan], [2, 0.3, 1]])
    assert none == {}
    for how, by, words in (("largest", None, "needs by="), ("worst", "rsk", "'risk'"),
                           ("median", None, "aggregation")):  # fmt: skip
        with pytest.raises(InputError, match=words):
            aggregate(table, patients, how=how, by=by)
    with pytest.raises(InputError, match="No patient is named"):
        aggregate(table, {"a1": "a"}, how="mean")


def test_status_follows_the_row_that_counts() -> None:
    table, patients = _lesions()
    status = pl.DataFrame(
        {
            "sample": ["a3", "a1", "b1", "a1"],
            "phenotype": ["volume", "only", "risk", ""],
            "status": ["undefined"] * 3 + ["failed"],
            "reason": ["no voxel", "one grey level", "no voxel", "unreadable"],
        }
    )
    table = PhenotypeTable(table.samples, table.values, table.specs, status)
    largest, _ = aggregate(table, patients, how="largest", by="volume")
    assert largest.status.rows() == [("b", "risk", "undefined", "no voxel")]
    mean, _ = aggregate(table, patients, how="mean")
    assert mean.status.rows() == [("a", "only", "undefined", "one grey level")]


def test_ids_of_another_spelling_are_pointed_at_and_a_rule_matches_them(tmp_path: Path) -> None:
    (tmp_path / "scans.csv").write_text(
        "scan,patient,date,lesion\ns1,P 01,31/01/2020,L1\ns2,p02,01/02/2020,l1\ns3,p03,,L1\n"
    )
    (tmp_path / "specimens.csv").write_text(
        "specimen,patient,date,lesion\nt1,P01,05/02/2020,L1\nt2,P02,05/02/2020,L1\n"
        "t3,P03,05/02/2020,L1\n"
    )
    people = "".join(f"P{k:02d},{50 + k}.5,\n" for k in range(1, 30))
    (tmp_path / "people.csv").write_text("patient,age,empty\n" + people)
    call = ["link", "--out", str(tmp_path / "out"), "--date-format", "%d/%m/%Y", "--max-days", "9"]
    for name in ("scans", "specimens"):
        call += [f"--{name}", str(tmp_path / f"{name}.csv")]
    call += ["--patients", str(tmp_path / "people.csv")]
    found = CliRunner().invoke(app, call)
    assert found.exit_code == 0, found.output
    assert "0 of 3 patients" in found.output
    assert "3 patients of the scans" in found.output
    assert "'P 01' and 'P01'" in found.output
    flow = pl.read_csv(tmp_path / "out" / "flow.csv")
    assert flow["reason"][1].splitlines()[0] == "3 scans: the patient has no specimen"
    rule = ["--id-pattern", "(?i)p ?[0-9]+", "--id-case", "upper"]
    found = CliRunner().invoke(app, [*call, *rule])
    assert "1 of 3 patients" in found.output
    assert "'P 01' and 'P01'" in found.output
    found = CliRunner().invoke(app, [*call, *rule, "--same-lesion"])
    lost = pl.read_csv(tmp_path / "out" / "lost.csv")
    assert (
        "no partner from the same lesion, but one with a name of another spelling"
        in (lost.filter(pl.col("record") == "s2")["reason"][0])
    )
    found = CliRunner().invoke(app, [*call, "--date-format", "%Y-%m-%d"])
    assert "'31/01/2020' (data row 1)" in str(found.exception)
    found = CliRunner().invoke(app, [*call, "--date-format", "%d/%m"])
    assert "needs %Y (year)" in str(found.exception)


def test_numbers_of_patients_are_compared_as_numbers(tmp_path: Path) -> None:
    ids = [f"P{k}" for k in range(24)]
    scans = "".join(f"s{k},{item}\n" for k, item in enumerate(ids))
    (tmp_path / "scans.csv").write_text("scan,patient\n" + scans)
    specimens = "".join(f"t{k},{item}\n" for k, item in enumerate(ids[:10]))
    (tmp_path / "specimens.csv").write_text("specimen,patient\n" + specimens)
    ages = np.arange(24) ** 1.5
    people = "".join(f"{item},{age}\n" for item, age in zip(ids, ages, strict=True))
    (tmp_path / "people.csv").write_text("patient,age\n" + people)
    call = ["link", "--out", str(tmp_path / "out")]
    for name in ("scans", "specimens"):
        call += [f"--{name}", str(tmp_path / f"{name}.csv")]
    assert (
        CliRunner().invoke(app, [*call, "--patients", str(tmp_path / "people.csv")]).exit_code == 0
    )
    row = pl.read_csv(tmp_path / "out" / "differences.csv").row(0, named=True)
    kept, lost = ages[:10], ages[10:]
    spread = np.sqrt((kept.var(ddof=1) + lost.var(ddof=1)) / 2)
    assert row["variable"] == "age"
    assert row["difference"] == pytest.approx((kept.mean() - lost.mean()) / spread)


def test_command_writes_pairs_losses_and_flow(tmp_path: Path) -> None:
    for name, frame in (("scans", _scans()), ("specimens", _specimens()), ("people", _people())):
        frame.write_csv(tmp_path / f"{name}.csv")
    call = ["link", "--scans", str(tmp_path / "scans.csv"), "--specimens",
            str(tmp_path / "specimens.csv"), "--patients", str(tmp_path / "people.csv"),
            "--out", str(tmp_path / "out"), "--before", "treatment"]  # fmt: skip
    found = CliRunner().invoke(app, [*call, "--several-scans", "last", "--max-days", "40"])
    assert found.exit_code == 0, found.output
    pairs = pl.read_csv(tmp_path / "out" / "pairs.csv")
    assert pairs.select("scan", "specimen").rows() == [("a2", "ta"), ("e1", "te")]
    assert "2 of 5 patients" in found.output
    assert (tmp_path / "out" / "flow.svg").read_text().lstrip().startswith("<?xml")
    lost = pl.read_csv(tmp_path / "out" / "lost.csv")
    assert "the scan was taken after treatment" in lost["reason"].to_list()
    (tmp_path / "scans.csv").write_text("scan,patient,date\ns1,a,1.2.2020\n")
    found = CliRunner().invoke(app, call)
    assert isinstance(found.exception, FormatError)
    assert "YYYY-MM-DD" in str(found.exception)
