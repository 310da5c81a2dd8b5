"""Tables come in with their dirt listed, ids untouched, and nothing guessed."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import openpyxl
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radgen.errors import AlignmentError, FormatError, InputError, RadgenError
from radgen.io import (
    IdRule,
    apply_spellings,
    normalise_ids,
    read_feature_table,
    read_gct,
    read_gmt,
    read_maf,
    read_omics,
    read_table,
    to_numbers,
)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"id,x\n007,1.5\n008,NA\n"),
        ("a.tsv", b"id\tx\n007\t1.5\n008\tNA\n"),
        ("bom.csv", "﻿id,x\r\n007,1.5\r\n008,NA\r\n".encode()),
        ("semicolon.csv", b"id;x\n007;1.5\n008;NA\n"),
        ("wide.csv", "id,x\n007,1.5\n008,NA\n".encode("utf-16")),
        ("quoted.csv", b'"id","x"\n"007","1.5"\n"008","NA"\n\n'),
        ("packed.csv.gz", gzip.compress(b"id,x\n007,1.5\n008,NA\n", mtime=0)),
    ],
)
def test_a_table_is_read_whatever_its_dialect(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    table = read_table(tmp_path / name)
    assert table.to_dict(as_series=False) == {"id": ["007", "008"], "x": ["1.5", "NA"]}
    numbers, dirty = to_numbers(table["x"])
    assert numbers.to_list() == [1.5, None]
    assert dirty == []


def test_a_plink_table_is_parted_by_spaces_and_its_family_id_is_no_feature(tmp_path: Path) -> None:
    path = tmp_path / "pheno.txt"
    path.write_text("#FID IID  Y1 Y2\n1 HG1 0.5 NA\n2  HG2 1.5 2\n")
    assert read_table(path).columns == ["FID", "IID", "Y1", "Y2"]
    table = read_feature_table(path)
    assert table.samples == ("HG1", "HG2")
    assert table.names == ("Y1", "Y2")
    assert np.isnan(table.values[0, 1])


def test_excel_and_parquet_are_tables_too(tmp_path: Path) -> None:
    frame = pl.DataFrame({"id": ["007", "008"], "x": ["1.5", "2"]})
    frame.write_parquet(tmp_path / "a.parquet")
    assert read_table(tmp_path / "a.parquet").equals(frame)
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "clinic"
    for row in (["id", "x"], ["007", 1.5], ["008", None]):
        sheet.append(row)
    book.save(tmp_path / "a.xlsx")
    table = read_table(tmp_path / "a.xlsx")
    assert table["id"].to_list() == ["007", "008"]
    assert to_numbers(table["x"])[0].to_list() == [1.5, None]
    with pytest.raises(InputError, match="Sheets: clinic"):
        read_table(tmp_path / "a.xlsx", sheet="other")


def test_bad_tables_are_refused_with_the_line(tmp_path: Path) -> None:
    cases = {
        "ragged.csv": (b"id,x\na,1\nb,2,3\n", r"ragged.csv:3: .*3 cells, the header 2"),
        "twice.csv": (b"id,x,x\na,1,2\n", "same name: x"),
        "empty.csv": (b"  \n", "is empty"),
        "binary.csv": (b"id,x\n\0\0\0", "binary file"),
        "cut.csv.gz": (gzip.compress(b"id,x\na,1\n" * 50)[:-12], "damaged or truncated"),
        "fake.parquet": (b"PAR1", "Not a readable Parquet"),
        "fake.xlsx": (b"PK\3\4", "Not a readable Excel"),
    }
    for name, (content, message) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FormatError, match=message):
            read_table(tmp_path / name)
    with pytest.raises(FormatError, match="no such file"):
        read_table(tmp_path / "none.csv")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_table_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("t") / "x.csv"
    path.write_bytes(content)
    try:
        table = read_table(path)
    except RadgenError:
        return
    assert table.width >= 1


def test_decimal_commas_count_only_where_all_cells_use_them() -> None:
    numbers, dirty = to_numbers(pl.Series("x", ["1,5", "2,25", "3"]))
    assert numbers.to_list() == [1.5, 2.25, 3]
    numbers, dirty = to_numbers(pl.Series("x", ["1,500.2", "2.5", "#NAME?"]))
    assert numbers.to_list() == [None, 2.5, None]
    assert dirty == [(1, "x", "1,500.2"), (3, "x", "#NAME?")]


def test_eight_spellings_become_one_category() -> None:
    written = [
        "IDH1 R132H",
        "idh1  r132h ",
        "mutated (NOS)",
        "Mutant",
        "WT",
        "wild type",
        "",
        "n/a",
        "?",
    ]
    found, unmapped = apply_spellings(
        written, {"mutant": ["IDH1 R132H", "mutated (NOS)"], "wild-type": ["wt", "wild type"]}
    )
    assert found == ["mutant"] * 4 + ["wild-type"] * 2 + [None] * 3
    assert unmapped == ["?"]
    with pytest.raises(InputError, match="stands under"):
        apply_spellings([], {"a": ["x"], "b": ["X "]})


def test_id_rules_bring_tables_together_and_never_merge_people() -> None:
    assert normalise_ids(["R01-001L", "R01-002"], IdRule(strip_suffix="L")) == [
        "R01-001",
        "R01-002",
    ]
    assert normalise_ids(["TCGA-06-0125-01A-11"], IdRule(first=12)) == ["TCGA-06-0125"]
    assert normalise_ids(["sub-012"], IdRule(pattern=r"sub-(\d+)", strip_zeros=True)) == ["12"]
    with pytest.raises(AlignmentError, match="A1 and a1 -> a1"):
        normalise_ids(["A1", "a1"], IdRule(case="lower"))
    with pytest.raises(InputError, match="does not match the pattern"):
        normalise_ids(["x"], IdRule(pattern=r"\d+"))
    with pytest.raises(InputError, match="no regular expression"):
        IdRule(pattern="(")


def test_matrices_are_turned_by_the_known_samples(tmp_path: Path) -> None:
    (tmp_path / "m.tsv").write_text("gene\tP1-T\tP2-T\nG1\t1\t2\nG2\t3\t\n")
    table = read_omics(
        tmp_path / "m.tsv",
        layer="expression",
        scale="log2",
        known_samples=["P1", "P2"],
        id_rule=IdRule(strip_suffix="-T"),
    )
    assert table.samples == ("P1", "P2")
    assert np.array_equal(table.values, [[1, 3], [2, np.nan]], equal_nan=True)
    with pytest.raises(InputError, match="cannot be told"):
        read_omics(tmp_path / "m.tsv", layer="expression", scale="log2")
    (tmp_path / "m.gct").write_text(
        "#1.2\n2\t2\nName\tDescription\tP1\tP2\nG1\tna\t1\t2\nG2\tna\t3\t4\n"
    )
    gct = read_gct(tmp_path / "m.gct", layer="expression", scale="TPM")
    assert gct.values.tolist() == [[1, 3], [2, 4]]
    (tmp_path / "bad.gct").write_text("#1.2\n2\t2\nName\tDescription\tP1\nG1\tna\tx\n")
    with pytest.raises(FormatError, match=r"bad.gct:4: A cell is no number"):
        read_gct(tmp_path / "bad.gct", layer="expression", scale="TPM")


def test_wild_type_and_not_tested_are_different_things(tmp_path: Path) -> None:
    (tmp_path / "m.maf").write_text(
        "# comment\nHugo_Symbol\tVariant_Classification\tTumor_Sample_Barcode\n"
        "EGFR\tMissense_Mutation\tP1\nEGFR\tSilent\tP2\nTP53\tNonsense_Mutation\tP2\n"
    )
    table = read_maf(
        tmp_path / "m.maf",
        sequenced=["P1", "P2", "P3"],
        panel=["EGFR"],
        genes=["EGFR", "TP53", "KRAS"],
    )
    assert np.array_equal(
        table.values, [[1, np.nan, np.nan], [0, 1, np.nan], [0, np.nan, np.nan]], equal_nan=True
    )
    with pytest.raises(InputError, match="not in the list of sequenced"):
        read_maf(tmp_path / "m.maf", sequenced=["P1"])
    (tmp_path / "no.maf").write_text("a\tb\n1\t2\n")
    with pytest.raises(FormatError, match="missing: Hugo_Symbol"):
        read_maf(tmp_path / "no.maf", sequenced=None)


def test_gene_sets_are_read_once_each(tmp_path: Path, data) -> None:
    assert len(read_gmt(data("gene_sets") / "h.all.v6.2.symbols.gmt")) == 50
    (tmp_path / "a.gmt").write_text("S\tx\tG1\tG1\tG2\nS\tx\tG3\n")
    with pytest.raises(FormatError, match=r"a.gmt:2: .*stands twice"):
        read_gmt(tmp_path / "a.gmt")


def test_feature_tables_of_other_programs_enter_as_phenotypes(data) -> None:
    pyradiomics = read_feature_table(
        data("ucsf_pdgm") / "features_t1gd_wholetumour_pyradiomics.csv"
    )
    assert pyradiomics.values.shape == (501, 100)
    assert not any(name.startswith("diagnostics") for name in pyradiomics.names)
    glcm = pyradiomics.specs.filter(pl.col("name") == "original_glcm_Contrast").row(0, named=True)
    assert (glcm["family"], glcm["feature"], glcm["filter"]) == ("glcm", "Contrast", "")
    captk = read_feature_table(data("nsclc_radiogenomics") / "features_captk.csv")
    dirty = captk.status.filter(pl.col("status") == "failed")
    assert dirty.height > 0
    assert dirty["reason"].str.contains("#NAME?", literal=True).any()
    row, column = captk.samples.index(dirty["sample"][0]), captk.names.index(dirty["phenotype"][0])
    assert np.isnan(captk.values[row, column])


def test_a_feature_table_without_ids_or_with_repeats_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n3,4\n")
    with pytest.raises(InputError, match="which column holds the sample ids"):
        read_feature_table(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text("id,y\na,2\na,4\n")
    with pytest.raises(AlignmentError, match="more than one row: a"):
        read_feature_table(tmp_path / "b.csv")
    (tmp_path / "c.csv").write_text("id,y\na,red\nb,blue\n")
    with pytest.raises(FormatError, match="no numeric column"):
        read_feature_table(tmp_path / "c.csv")
