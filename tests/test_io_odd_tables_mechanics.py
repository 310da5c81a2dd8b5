"""Tables and molecular files: odd cells are listed, and nothing wrong comes in silently."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import numpy as np
import openpyxl
import polars as pl
import pytest

import radgen.io as rio
from radgen.errors import AlignmentError, FormatError, InputError, RadgenWarning
from radgen.io import (
    IdRule,
    apply_spellings,
    normalise_ids,
    read_feature_table,
    read_gct,
    read_gmt,
    read_maf,
    read_mutations,
    read_omics,
    read_table,
    table_problems,
    to_numbers,
)
from radgen.io.sample_table import read_sample_table


def put(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_every_public_name_is_there() -> None:
    assert [name for name in rio.__all__ if not hasattr(rio, name)] == []


def test_quotes_and_delimiters(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="quote"):
        read_table(put(tmp_path / "v.csv", 'a,b\n1,"2\n3,4\n'))
    frame = read_table(put(tmp_path / "t.csv", '"grade, type, x";y\na;1\nb;2\n'))
    assert frame.columns == ["grade, type, x", "y"]
    piped = read_table(put(tmp_path / "p.txt", "Größe|y\nñ|1\n".encode("latin-1")))
    assert piped.rows() == [("ñ", "1")]


def test_spreadsheet_errors_are_listed(tmp_path: Path) -> None:
    path = put(
        tmp_path / "t.csv",
        "id,x,y,z\na,1,2,red\nb,#NAME?,3,1\nc,3,#DIV/0!,blue\nd,Not Collected,5,red\n",
    )
    assert table_problems(path) == [
        (2, "x", "#NAME?"),
        (3, "y", "#DIV/0!"),
        (4, "x", "Not Collected"),
    ]


def test_numbers_that_could_be_either_are_not_guessed() -> None:
    for cells, expected in (
        (["1,5", "1.234,5", "2"], [1.5, 1234.5, 2]),
        (["1,234", "2,500"], [None, None]),
        (["0,123", "2,500"], [0.123, 2.5]),
        (["1_000", "2", "0x10"], [None, 2, None]),
        (["1e3", "+2", ".5", "inf"], [1000, 2, 0.5, None]),
    ):
        numbers, dirty = to_numbers(pl.Series("x", cells))
        assert numbers.to_list() == expected
        assert len(dirty) == sum(v is None for v in expected) - ("inf" in cells)


def test_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from radgen.io import _guard

    monkeypatch.setattr(_guard, "_BOMB_FROM", 1 << 20)
    table = put(tmp_path / "bomb.csv.gz", gzip.compress(b"a,b\n" + b"0,0\n" * 4_000_000))
    with pytest.raises(FormatError, match="unpacks to more"):
        read_table(table)
    book = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(book, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b" " * 20_000_000)
    with pytest.raises(FormatError, match="unpacks to more"):
        read_table(book)


def workbook(path: Path, sheets: dict[str, list[list[object]]]) -> Path:
    """Write a small .xlsx by hand; a text that starts with # is an error cell."""
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"

    def cell(value: object) -> str:
        if isinstance(value, str):
            if value.startswith("#"):
                return f'<c t="e"><v>{value}</v></c>'
            return f'<c t="inlineStr"><is><t>{value}</t></is></c>'
        return "<c/>" if value is None else f"<c><v>{value}</v></c>"

    listed = "".join(
        f'<sheet name="{name}" sheetId="{i}" r:id="r{i}"/>' for i, name in enumerate(sheets, 1)
    )
    links = "".join(
        f'<Relationship Id="r{i}" Type="{office}/worksheet" Target="worksheets/s{i}.xml"/>'
        for i in range(1, len(sheets) + 1)
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{package}/content-types">'
            '<Default Extension="xml" ContentType="application/xml"/></Types>',
        )
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
            f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        archive.writestr(
            "xl/workbook.xml",
            f'<workbook {space} xmlns:r="{office}"><sheets>{listed}</sheets></workbook>',
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{package}/relationships">{links}</Relationships>',
        )
        for i, rows in enumerate(sheets.values(), 1):
            body = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
            archive.writestr(
                f"xl/worksheets/s{i}.xml",
                f"<worksheet {space}><sheetData>{body}</sheetData></worksheet>",
            )
    return path


def test_sheets_and_error_cells_of_a_workbook(tmp_path: Path) -> None:
    rows = [["id", "x"], ["007", 1.5], ["b", "#NAME?"], [1001, 3]]
    path = workbook(tmp_path / "t.xlsx", {"one": rows})
    assert table_problems(path) == [(2, "x", "#NAME?")]
    assert read_table(path)["id"].to_list() == ["007", "b", "1001"]
    two = workbook(tmp_path / "u.xlsx", {"one": rows, "two": rows})
    with pytest.raises(InputError, match="several sheets"):
        read_table(two)
    assert read_table(two, sheet="two").height == 3


def test_rows_without_an_id_are_refused(tmp_path: Path) -> None:
    path = put(tmp_path / "f.csv", "ID,stat_mean\na,1\n,2\n")
    with pytest.raises(FormatError, match="data row 2"):
        read_feature_table(path)
    path = put(tmp_path / "m.csv", "gene,P1\nA,1\n,2\n")
    with pytest.raises(FormatError, match="data row 2"):
        read_omics(path, layer="expression", scale="log2", samples_in="columns")


def test_id_rules_and_spellings() -> None:
    with pytest.raises(InputError, match="leaves nothing"):
        normalise_ids(["L"], IdRule(strip_suffix="L"))
    with pytest.raises(InputError, match="0 \\(all\\) or more"):
        IdRule(first=-3)
    found, rest = apply_spellings(["MUTATED(nos)", None, "not available"], {"m": ["mutated (NOS)"]})
    assert (found, rest) == (["m", None, None], [])


def test_annotations_are_no_samples(tmp_path: Path) -> None:
    path = put(tmp_path / "c.csv", "gene,Entrez_Gene_Id,note,P1,P2\nA,7,x,1,3\nB,8,y,2,\n")
    table = read_omics(path, layer="expression", scale="log2", samples_in="columns")
    assert table.samples == ("P1", "P2")
    np.testing.assert_array_equal(table.values, [[1, 2], [3, np.nan]])


def test_genes_twice(tmp_path: Path) -> None:
    path = put(tmp_path / "c.csv", "gene,P1,P2\nA,1,3\nA,2,\nB,5,6\n")
    with pytest.raises(FormatError, match="stand more than once: A"):
        read_omics(path, layer="expression", scale="log2", samples_in="columns")
    for rule, expected in (("mean", [1.5, 3]), ("maximum", [1, 3]), ("first", [1, 3])):
        table = read_omics(
            path, layer="expression", scale="log2", samples_in="columns", duplicates=rule
        )
        np.testing.assert_array_equal(table.values[:, 0], expected)


def test_gct_of_both_versions_and_packed_gmt(tmp_path: Path) -> None:
    text = "#1.3\n1\t2\t1\t1\nid\tsymbol\tP1\tP2\nage\tna\t40\t50\nA\tx\t1\t2\n"
    table = read_gct(put(tmp_path / "u.gct", text), layer="expression", scale="TPM")
    np.testing.assert_array_equal(table.values, [[1], [2]])
    cut = put(tmp_path / "v.gct", text.replace("1\t2\t1", "3\t2\t1", 1))
    with pytest.raises(FormatError, match="cut off or wrong"):
        read_gct(cut, layer="expression", scale="TPM")
    packed = put(tmp_path / "s.gmt.gz", gzip.compress(b"S\td\tA\tB\tA\n"))
    assert read_gmt(packed) == {"S": ("A", "B")}


MAF = (
    "#version 2.4\nHugo_Symbol\tVariant_Classification\tTumor_Sample_Barcode\tStart_Position\n"
    "TP53\tMissense_Mutation\tP1-01\t10\nTP53\tNonsense_Mutation\tP1-02\t11\n"
    "IDH1\tSilent\tP2-01\t12\nEGFR\tMissense_Mutation\tP2-01\t13\n"
)


def test_aliquots_are_united_and_panels_differ(tmp_path: Path) -> None:
    path = put(tmp_path / "m.maf", MAF)
    rule = IdRule(first=2)
    table = read_maf(
        path,
        id_rule=rule,
        sequenced=["P1", "P2", "P3"],
        panel={"P1": ["TP53"], "P2": ["EGFR"], "P3": ["TP53"]},
    )
    nan = np.nan
    assert table.features == ("EGFR", "TP53")
    np.testing.assert_array_equal(table.values, [[nan, 1], [1, nan], [nan, 0]])
    long = read_mutations(path, id_rule=rule)
    assert long["sample"].to_list() == ["P1", "P1", "P2"]
    assert long["pos"].to_list() == [10, 11, 13]


def test_feature_headers_are_understood(tmp_path: Path) -> None:
    path = put(
        tmp_path / "f.csv",
        "ID,diagnostics_Mask-original_VoxelNum,original_firstorder_Mean,"
        "wavelet-HLL_glcm_Contrast,cm_joint_max_d1_3d_avg_fbn_n32,"
        "T1_ED_GLCM_Bins-10_Radius-1_Contrast\n"
        "1,10,1.5,2.5,3,4\n2,10,#NAME?,,3,4\n",
    )
    table = read_feature_table(path)
    specs = table.specs.select("image", "region", "filter", "family", "ibsi_code").rows()
    assert specs == [
        ("", "", "", "intensity_statistics", "Q4LE"),
        ("", "", "wavelet-HLL", "glcm", "ACUI"),
        ("", "", "", "glcm", "GYBY"),
        ("T1", "ED", "", "glcm", "ACUI"),
    ]
    assert table.status.rows() == [
        ("2", "original_firstorder_Mean", "failed", "the cell holds '#NAME?', no number"),
        ("2", "wavelet-HLL_glcm_Contrast", "undefined", "the cell is empty"),
    ]


def test_regions_become_columns(tmp_path: Path) -> None:
    path = put(tmp_path / "f.csv", "ID,roi,stat_mean\na,core,1\na,rim,2\nb,core,3\n")
    with pytest.raises(AlignmentError, match="region or where"):
        read_feature_table(path)
    table = read_feature_table(path, region="roi")
    assert table.names == ("core|stat_mean", "rim|stat_mean")
    np.testing.assert_array_equal(table.values, [[1, 2], [3, np.nan]])
    assert table.status.rows() == [("b", "rim|stat_mean", "failed", "no region 'rim'")]
    only = read_feature_table(path, where={"roi": "core"})
    assert only.samples == ("a", "b")


def test_the_long_table_comes_back(tmp_path: Path) -> None:
    text = (
        "sample,region,filter,family,feature,aggregation,ibsi_code,value,unit,status,reason\n"
        "a,t,original,glcm,contrast,3d_avg,ACUI,1.5,,ok,\n"
        "b,t,original,glcm,contrast,3d_avg,ACUI,,,undefined,one grey level\n"
        "c,,,,,,,,,failed,no mask\n"
    )
    table = read_feature_table(put(tmp_path / "l.csv", text))
    assert table.names == ("t|original|glcm|contrast|3d_avg",)
    np.testing.assert_array_equal(table.values, [[1.5], [np.nan], [np.nan]])
    assert table.status.rows() == [
        ("c", "", "failed", "no mask"),
        ("b", "t|original|glcm|contrast|3d_avg", "undefined", "one grey level"),
    ]


@pytest.mark.parametrize(
    ("name", "shape", "exclude"),
    [
        ("nsclc_radiogenomics/features_pyradiomics_ct_144.csv", (144, 105, 100), ["EGFR_mutant"]),
        ("ucsf_pdgm/features_t1gd_wholetumour_pyradiomics.csv", (501, 100, 95), []),
        ("ispy1/features_dce_captk_161.csv.gz", (161, 370, 35), ["HR_positive"]),
        ("genotype_benchmarks/Wang2024__EGFR_mutant.csv.gz", (67, 280, 0), ["Target"]),
    ],
)
def test_published_feature_tables(data, name: str, shape: tuple[int, ...], exclude: list[str]):
    table = read_feature_table(data(name), exclude=exclude)
    n_coded = int(table.specs["ibsi_code"].ne("").sum())
    assert (table.n_samples, table.n_phenotypes, n_coded) == shape


def test_visits_and_regions_of_a_published_table(data) -> None:
    path = data("prostate_test_retest/features_t2_raw_bin10.csv.gz")
    with pytest.raises(AlignmentError, match="region or where"):
        read_feature_table(path, id_column="patient")
    table = read_feature_table(path, region="segmentedStructure", where={"visit": 1})
    assert table.samples[0].startswith("00")
    assert table.n_samples == 15


def test_published_expression(data) -> None:
    table = read_omics(
        data("tcga_glioma/gbm_expression_840genes_173samples.csv.gz"),
        layer="expression",
        scale="log2",
        samples_in="columns",
        id_rule=IdRule(first=12),
    )
    assert (table.n_samples, table.n_features) == (173, 840)
    rna = read_omics(
        data("nsclc_radiogenomics/rnaseq_zscore_1000genes.csv.gz"),
        layer="expression",
        scale="zscore",
        samples_in="columns",
    )
    assert rna.values.shape == (130, 1000)
    assert int(np.isnan(rna.values).sum()) == 4519


def test_sample_tables_of_genetics_may_be_workbooks(tmp_path: Path) -> None:
    rows: list[list[object]] = [["Subject", "y"], ["007", 1.5], ["008", "#NAME?"], ["9", None]]
    with pytest.warns(RadgenWarning, match="#NAME\\? in row 2"):
        table = read_sample_table(workbook(tmp_path / "t.xlsx", {"one": rows}))
    assert table["Subject"].to_list() == ["007", "008", "9"]
    assert table["y"].to_list() == [1.5, None, None]


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_titles_and_blank_rows_are_no_data(tmp_path, delimiter):
    rows = [["Table 1. Patients"], [], ["ID", "age", "IDH"], ["P1", "50", "mut"], ["", "", ""],
            ["P2", "61", "wt"], ["", "", ""]]  # fmt: skip
    for padded in (False, True):
        lines = [row + [""] * (3 - len(row)) if padded else row for row in rows]
        path = tmp_path / f"t{padded}.csv"
        path.write_text("".join(delimiter.join(row) + "\n" for row in lines))
        found = read_table(path)
        assert found.columns == ["ID", "age", "IDH"]
        assert found.rows() == [("P1", "50", "mut"), ("P2", "61", "wt")]


def test_headers_with_one_name_are_headers(tmp_path):
    """A table that pandas wrote with its index, and a column without a name."""
    (tmp_path / "index.csv").write_text(",volume\nP1,5\nP2,6\n")
    assert read_table(tmp_path / "index.csv").columns == ["column_1", "volume"]
    (tmp_path / "unnamed.csv").write_text("ID,\nP1,5\nP2,6\n")
    assert read_table(tmp_path / "unnamed.csv").columns == ["ID", "column_2"]
    (tmp_path / "ids.csv").write_text("ID\nP1\nP2\n")
    assert read_table(tmp_path / "ids.csv")["ID"].to_list() == ["P1", "P2"]


def test_the_line_of_a_broken_row_counts_the_titles(tmp_path):
    (tmp_path / "t.csv").write_text("Table 1\nID,age\nP1,50\nP2\n")
    with pytest.raises(FormatError, match="1 cells, the header 2") as caught:
        read_table(tmp_path / "t.csv")
    assert ":4" in str(caught.value)


def test_the_only_sheet_with_a_table_is_read(tmp_path):
    book = openpyxl.Workbook()
    book.active["A1"] = "Read me first"
    sheet = book.create_sheet("Patients")
    for row in (["Clinical data"], [], ["ID", "age"], ["P1", 50], ["P2", 61]):
        sheet.append(row)
    book.save(tmp_path / "c.xlsx")
    assert read_table(tmp_path / "c.xlsx").rows() == [("P1", "50"), ("P2", "61")]
    more = book.create_sheet("Scans")
    for row in (["ID", "scan"], ["P1", "a.nii"]):
        more.append(row)
    book.save(tmp_path / "d.xlsx")
    with pytest.raises(InputError, match="Patients, Scans"):
        read_table(tmp_path / "d.xlsx")
    assert read_table(tmp_path / "d.xlsx", sheet="Scans").height == 1
