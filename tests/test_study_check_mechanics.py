"""`radgen check` goes on after a mistake in the study file."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import polars as pl

from radgen.study import Study, scaffold


def test_mistakes_in_the_study_file_do_not_hide_those_in_its_tables(tmp_path: Path) -> None:
    (tmp_path / "features.csv").write_text("id,volume\na,1\nb,2\n")
    (tmp_path / "study.toml").write_text(
        '[study]\nname = "x"\n\n[preprocess]\nnormalize = "zscore"\n\n'
        '[features.table]\npath = "features.csv"\n\n'
        '[clinical]\npath = "clinic.csv"\nid = "id"\n'
    )
    problems = [str(problem) for problem in Study.problems_of(tmp_path / "study.toml")]
    assert any("study.toml:5" in text and "'normalise'" in text for text in problems)
    assert any("no file" in text and "clinic.csv" in text for text in problems)


def test_a_file_that_is_no_study_at_all_has_its_mistakes_listed(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text('[stdy]\nname = "x"\n')
    problems = [str(problem) for problem in Study.problems_of(tmp_path / "study.toml")]
    assert any("Unknown key 'stdy'" in text for text in problems)
    assert any("lacks the key 'study'" in text for text in problems)


def test_a_tree_of_dicom_folders_becomes_a_study_that_can_run(data, tmp_path: Path) -> None:
    source = data("ibsi") / "ct_phantom" / "dicom"
    for patient in ("A1", "A2"):
        shutil.copytree(source / "image", tmp_path / patient / "CT")
        shutil.copytree(source / "mask", tmp_path / patient / "RTSTRUCT")
    scaffold(tmp_path)
    text = (tmp_path / "study.toml").read_text()
    assert 'image = "{id}/CT"' in text
    assert 'mask = "{id}/RTSTRUCT"' in text
    assert 'modality = "CT"' in text
    assert Study.problems_of(tmp_path / "study.toml", scans=True) == []


def test_scores_that_saw_all_samples_may_not_enter_a_prediction(tmp_path: Path) -> None:
    (tmp_path / "features.csv").write_text("id,volume\na,1\nb,2\nc,4\n")
    (tmp_path / "clinic.csv").write_text("id,status\na,yes\nb,no\nc,yes\n")
    (tmp_path / "genes.tsv").write_text("gene\ta\tb\tc\ng1\t1\t2\t4\ng2\t1\t3\t2\ng3\t0\t2\t2\n")
    (tmp_path / "sets.gmt").write_text("S\tx\tg1\tg2\tg3\n")
    (tmp_path / "study.toml").write_text(
        '[study]\nname = "x"\n\n[features.table]\npath = "features.csv"\n\n'
        '[clinical]\npath = "clinic.csv"\nid = "id"\n\n[clinical.columns]\n'
        'status = { type = "binary", levels = ["no", "yes"] }\n\n'
        '[omics.sets]\npath = "genes.tsv"\nlayer = "expression"\nscale = "log2"\n'
        'gene_sets = "sets.gmt"\n\n'
        '[[predict]]\nname = "p"\noutcome = "status"\nlayers = ["sets"]\n'
    )
    problems = [str(problem) for problem in Study.problems_of(tmp_path / "study.toml")]
    assert any("scaled over all samples" in text and "study.toml:23" in text for text in problems)


def test_init_reads_states_in_words(tmp_path):
    """Eight spellings are one binary column, whose positive level is the mutant."""
    idh = ["WT", "WT", "wild type", "IDH-mutant", "IDH-mutant", "R132H", "mut", "Unknown", "MUT"]
    table = {"patient": [f"p{i}" for i in range(9)], "IDH": idh, "grade": ["II", "III", "IV"] * 3}
    table["smoker"] = ["yes", "no", "no"] * 3
    pl.DataFrame(table).write_csv(tmp_path / "clinical.csv")
    scaffold(tmp_path)
    columns = tomllib.loads((tmp_path / "study.toml").read_text())["clinical"]["columns"]
    assert columns["IDH"] == {
        "type": "binary",
        "levels": ["WT", "IDH-mutant"],
        "spellings": {"WT": ["wild type"], "IDH-mutant": ["R132H", "mut", "MUT"]},
        "missing": ["Unknown"],
    }
    assert columns["smoker"]["levels"] == ["no", "yes"]
    assert columns["grade"] == "category"
