"""Lesion tables as clinics write them are judged like the same table in plain numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from radgen.errors import FormatError
from radgen.io.lesion_tables import read_lesion_scans, read_lesions
from radgen.phenotype.response import assess_response

PLAIN = """patient,visit,date,lesion,role,node,diameter_mm,state
P1,0,2020-02-01,T1,target,no,45.5,
P1,0,2020-02-01,T2,target,yes,22,
P1,8,2020-03-15,T1,target,no,,too small to measure
P1,8,2020-03-15,T2,target,yes,9,
P1,16,2020-04-30,T1,target,no,,absent
P1,16,2020-04-30,T2,target,yes,8,
"""
WORDS = """Patient ID;Visit;Scan date;Lesion;Role;Site;Diameter (mm);State
P1;Baseline;01.02.2020;T1;Target;liver;45,5;
P1;Baseline;01.02.2020;T2;Target;Lymph node, axillary;2,2 cm;
P1;week 8;15.03.2020;T1;Target;liver;TSTM;
P1;week 8;15.03.2020;T2;Target;Lymph node, axillary;9 mm;
P1;Week 16;30.04.2020;T1;Target;liver;absent;
P1;Week 16;30.04.2020;T2;Target;Lymph node, axillary;8;
"""


def test_words_units_and_sites_are_read_as_numbers(tmp_path: Path) -> None:
    (tmp_path / "plain.csv").write_text(PLAIN)
    (tmp_path / "words.csv").write_text(WORDS)
    plain, words = (read_lesions(tmp_path / f"{name}.csv") for name in ("plain", "words"))
    assert_frame_equal(plain, words)
    assert plain["day"].to_list() == [0.0, 0.0, 43.0, 43.0, 89.0, 89.0]
    found = assess_response(words).frame
    # A node of 9 mm short axis is no disease: with the lesion gone it is a complete response.
    assert found.row(0, named=True)["best_unconfirmed"] == "CR"


def test_visits_without_an_order_are_refused_by_row(tmp_path: Path) -> None:
    path = tmp_path / "mixed.csv"
    path.write_text(WORDS.replace("Week 16", "month 4"))
    with pytest.raises(FormatError, match=r"row 3: visit 'week 8'.*row 5: visit 'month 4'"):
        read_lesions(path)


def test_a_date_of_a_visit_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scans.csv"
    path.write_text("patient,visit,date,mask\nP1,0,2020-02-01,a.nii\nP1,1,31.02.2020,b.nii\n")
    with pytest.raises(FormatError, match="row 2"):
        read_lesion_scans(path)
    path.write_text("patient,visit,date,mask\nP1,0,2020-02-01,a.nii\nP1,1,2020-03,b.nii\n")
    assert read_lesion_scans(path)["day"].to_list() == [0.0, None]
