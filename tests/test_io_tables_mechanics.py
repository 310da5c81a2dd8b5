"""Tables: text stays exact, odd cells are listed, nothing is guessed silently."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import radgen.io as rio
from radgen.errors import AlignmentError, FormatError, InputError, RadgenWarning
from radgen.io import (
    IdRule,
    apply_spellings,
    discover,
    normalise_ids,
    read_clinical,
    read_feature_table,
    read_gct,
    read_gmt,
    read_maf,
    read_omics,
    read_table,
    table_problems,
)


def put(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_every_public_name_is_there() -> None:
    missing = [name for name in rio.__all__ if name != "open_genotypes" and not hasattr(rio, name)]
    assert missing == []


def test_ids_and_leading_zeros_stay_text(tmp_path: Path) -> None:
    frame = read_table(put(tmp_path / "t.csv", "Patient ID,zip,age\n0012,00775,40\n7,12345,\n"))
    assert frame["Patient ID"].to_list() == ["0012", "7"]
    assert frame["zip"].to_list() == ["00775", "12345"]
    assert frame["age"].to_list() == [40, None]
    assert frame["age"].dtype == pl.Int64
    kept = read_table(put(tmp_path / "u.csv", "a,b\n1,2\n"), text=["b"])
    assert kept["b"].to_list() == ["2"]


@pytest.mark.parametrize(
    ("encoding", "bom"), [("utf-8", b""), ("utf-8", b"\xef\xbb\xbf"), ("latin-1", b"")]
)
@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
@pytest.mark.parametrize("packed", [False, True])
def test_encodings_and_delimiters(
    tmp_path: Path, encoding: str, bom: bytes, delimiter: str, packed: bool
) -> None:
    text = "id,Größe,x\r\na,groß,1.5\r\nb,ñ,2.5\r\n".replace(",", delimiter)
    data = bom + text.encode(encoding)
    path = put(tmp_path / "t.txt", gzip.compress(data) if packed else data)
    frame = read_table(path)
    assert frame.columns == ["id", "Größe", "x"]
    assert frame["Größe"].to_list() == ["groß", "ñ"]
    assert frame["x"].to_list() == [1.5, 2.5]


def test_spreadsheet_errors_are_listed(tmp_path: Path) -> None:
    path = put(tmp_path / "t.csv", "id,x,y\na,1,2\nb,#NAME?,3\nc,3,#DIV/0!\nd,Not Collected,5\n")
    with pytest.warns(RadgenWarning, match="3 cells of 2 numeric columns"):
        frame = read_table(path)
    assert frame["x"].to_list() == [1, None, 3, None]
    found = [(p.line, p.column, p.value, p.reason) for p in table_problems(path)]
    assert found == [
        (2, "x", "#NAME?", "spreadsheet error"),
        (3, "y", "#DIV/0!", "spreadsheet error"),
        (4, "x", "Not Collected", "not a number"),
    ]


def test_european_decimals(tmp_path: Path) -> None:
    path = put(tmp_path / "t.csv", "id;x;y\na;1,5;1.234,5\nb;-0,25;2\n")
    frame = read_table(path)
    assert frame["x"].to_list() == [1.5, -0.25]
    assert frame["y"].to_list() == [1234.5, 2.0]
    doubtful = put(tmp_path / "d.csv", "id;x\na;1,234\nb;2,500\n")
    with pytest.raises(FormatError, match="one thousand or one"):
        read_table(doubtful)
    assert read_table(doubtful, decimal=",")["x"].to_list() == [1.234, 2.5]
    assert read_table(doubtful, decimal=".")["x"].to_list() == [1234, 2500]


def test_broken_rows_and_headers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"t\.csv:3: Row 3 has 1 cells, the header 2"):
        read_table(put(tmp_path / "t.csv", "a,b\n1,2\n3\n"))
    with pytest.raises(FormatError, match="both named 'a'"):
        read_table(put(tmp_path / "u.csv", "a,b,a\n1,2,3\n"))
    with pytest.raises(FormatError, match="quote"):
        read_table(put(tmp_path / "v.csv", 'a,b\n1,"2\n3,4\n'))
    with pytest.raises(InputError, match="Did you mean 'age'"):
        read_table(put(tmp_path / "w.csv", "age,b\n1,2\n"), text=["agee"])


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


def test_workbook(tmp_path: Path) -> None:
    rows = [["id", "x", "n", "note"], ["007", 1.5, 3, "a"], ["008", 2, 4, None]]
    path = workbook(tmp_path / "t.xlsx", {"one": rows, "two": rows})
    with pytest.raises(InputError, match="several sheets"):
        read_table(path)
    with pytest.raises(InputError, match="Did you mean 'two'"):
        read_table(path, sheet="twoo")
    frame = read_table(path, sheet="two")
    assert frame["id"].to_list() == ["007", "008"]
    assert frame["x"].to_list() == [1.5, 2.0]
    assert frame["n"].to_list() == [3, 4]
    assert frame["note"].to_list() == ["a", None]


def test_error_cells_of_a_workbook(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    rows = [["id", "x"], ["a", 1.5], ["b", "#NAME?"], [1001, 3]]
    path = workbook(tmp_path / "t.xlsx", {"one": rows})
    found = [(p.line, p.column, p.value) for p in table_problems(path)]
    assert found == [(2, "x", "#NAME?")]
    with pytest.warns(RadgenWarning):
        assert read_table(path)["id"].to_list() == ["a", "b", "1001"]


def test_clinical_ids(tmp_path: Path) -> None:
    path = put(tmp_path / "c.csv", "clc,age\nA-1L,40\nA-2,50\n")
    frame = read_clinical(
        path, id="clc", columns={"years": "age"}, id_rule=IdRule(strip_suffix="L")
    )
    assert frame.to_dict(as_series=False) == {"sample": ["A-1", "A-2"], "years": [40, 50]}
    with pytest.raises(InputError, match="Did you mean 'age'"):
        read_clinical(path, id="clc", columns=["agge"])
    put(path, "clc,age\nA-1L,40\nA-1,50\n")
    with pytest.raises(AlignmentError, match="A-1L and A-1 -> A-1"):
        read_clinical(path, id="clc", id_rule=IdRule(strip_suffix="L"))
    put(path, "clc,age\n,40\nA-1,50\n")
    with pytest.raises(FormatError, match="no id in data row 1"):
        read_clinical(path, id="clc")


def test_id_rules() -> None:
    assert normalise_ids(["tcga-02-0001-01A"], IdRule(first=12, case="upper")) == ("TCGA-02-0001",)
    assert normalise_ids(["x_sub7_a"], IdRule(pattern=r"sub(\d+)")) == ("7",)
    assert normalise_ids([" a b "], IdRule(replace=(("\\s", "-"),))) == ("a-b",)
    for wrong in ({"pattern": "("}, {"first": 0}, {"case": "title"}):
        with pytest.raises(InputError):
            IdRule(**wrong)
    with pytest.raises(InputError, match="does not match"):
        normalise_ids(["abc"], IdRule(pattern=r"\d"))


def test_spellings() -> None:
    mapping = {"IDH-mutant": ["mutated (NOS)", "R132H"], "wildtype": ["WT"]}
    mapped, rest = apply_spellings(
        ["wt", "MUTATED(nos)", None, "", float("nan"), "IDH-MUTANT", "odd", "odd"], mapping
    )
    assert mapped == ["wildtype", "IDH-mutant", None, None, None, "IDH-mutant", None, None]
    assert rest == ["odd"]
    with pytest.raises(InputError, match="belongs to"):
        apply_spellings([], {"a": ["x"], "b": ["X"]})


def test_orientation_of_a_matrix(tmp_path: Path) -> None:
    rows = put(tmp_path / "r.csv", "subject,A,B\nP1,1,2\nP2,3,NA\n")
    columns = put(tmp_path / "c.csv", "gene,Entrez_Gene_Id,note,P1,P2\nA,7,x,1,3\nB,8,y,2,\n")
    for path in (rows, columns):
        table = read_omics(path, layer="expression", scale="log2")
        assert (table.samples, table.features) == (("P1", "P2"), ("A", "B"))
        np.testing.assert_array_equal(table.values, [[1, 2], [3, np.nan]])
    blank = put(tmp_path / "b.csv", "x,P1,P2\nA,1,3\nB,2,4\n")
    with pytest.raises(InputError, match="cannot be told"):
        read_omics(blank, layer="expression", scale="log2")
    by_ids = read_omics(blank, layer="expression", scale="log2", samples=["P2", "P9"])
    assert by_ids.samples == ("P1", "P2")


def test_genes_twice(tmp_path: Path) -> None:
    path = put(tmp_path / "c.csv", "gene,P1,P2\nA,1,3\nA,2,\nB,5,6\n")
    with pytest.raises(FormatError, match="stand more than once: A"):
        read_omics(path, layer="expression", scale="log2")
    for rule, expected in (("mean", [1.5, 3]), ("maximum", [1, 3]), ("first", [1, 3])):
        table = read_omics(path, layer="expression", scale="log2", duplicates=rule)
        np.testing.assert_array_equal(table.values[:, 0], expected)


def test_gct_and_gmt(tmp_path: Path) -> None:
    text = "#1.2\n2\t2\nName\tDescription\tP1\tP2\nA\tx\t1\t2\nB\ty\t3\t\n"
    table = read_gct(put(tmp_path / "t.gct", text), scale="TPM", names="description")
    assert table.features == ("x", "y")
    np.testing.assert_array_equal(table.values, [[1, 3], [2, np.nan]])
    text = "#1.3\n1\t2\t1\t1\nid\tsymbol\tP1\tP2\nage\tna\t40\t50\nA\tx\t1\t2\n"
    np.testing.assert_array_equal(
        read_gct(put(tmp_path / "u.gct", text), scale="TPM").values, [[1], [2]]
    )
    with pytest.raises(FormatError, match="cut off or wrong"):
        read_gct(put(tmp_path / "v.gct", text.replace("1\t2\t1", "3\t2\t1")), scale="TPM")
    assert read_gmt(put(tmp_path / "s.gmt", "S\td\tA\tB\tA\n")) == {"S": ("A", "B")}
    with pytest.raises(FormatError, match="stands twice"):
        read_gmt(put(tmp_path / "s.gmt", "S\td\tA\nS\td\tB\n"))


MAF = (
    "#version 2.4\nHugo_Symbol\tVariant_Classification\tTumor_Sample_Barcode\tStart_Position\n"
    "TP53\tMissense_Mutation\tP1-01\t10\nTP53\tNonsense_Mutation\tP1-02\t11\n"
    "IDH1\tSilent\tP2-01\t12\nEGFR\tMissense_Mutation\tP2-01\t13\n"
)


def test_wild_type_is_not_untested(tmp_path: Path) -> None:
    path = put(tmp_path / "m.maf", MAF)
    rule = IdRule(first=2)
    with pytest.warns(RadgenWarning, match="not declared"):
        table, long = read_maf(path, id_rule=rule)
    assert table.samples == ("P1", "P2")
    assert long.height == 3
    table, _ = read_maf(
        path,
        id_rule=rule,
        samples=["P1", "P2", "P3"],
        panel={"P1": ["TP53"], "P2": ["EGFR", "IDH1"], "P3": ["TP53", "IDH1"]},
    )
    assert table.features == ("EGFR", "IDH1", "TP53")
    nan = np.nan
    np.testing.assert_array_equal(table.values, [[nan, nan, 1], [1, 0, nan], [nan, 0, 0]])
    with pytest.raises(InputError, match="EGFR in P2"):
        read_maf(path, id_rule=rule, samples=["P1", "P2"], panel=["TP53"])
    with pytest.raises(InputError, match="does not list: P2"):
        read_maf(path, id_rule=rule, samples=["P1"])
    with pytest.raises(InputError, match="Missense_Mutation"):
        read_maf(path, id_rule=rule, samples=["P1", "P2"], classes=["missense"])


def test_feature_headers_are_understood(tmp_path: Path) -> None:
    path = put(
        tmp_path / "f.csv",
        "ID,diagnostics_Mask-original_VoxelNum,original_firstorder_Mean,"
        "wavelet-HLL_glcm_Contrast,cm_joint_max_d1_3d_avg_fbn_n32,"
        "T1_ED_GLCM_Bins-10_Radius-1_Contrast\n"
        "1,10,1.5,2.5,3,4\n2,10,#NAME?,,3,4\n",
    )
    with pytest.warns(RadgenWarning, match="#NAME"):
        table = read_feature_table(path)
    specs = table.specs.select("image", "region", "filter", "family", "ibsi_code").rows()
    assert specs == [
        ("", "", "original", "intensity_statistics", "Q4LE"),
        ("", "", "wavelet-HLL", "glcm", "ACUI"),
        ("", "", "original", "glcm", "GYBY"),
        ("T1", "ED", "original", "glcm", "ACUI"),
    ]
    assert table.status.rows() == [
        ("2", "original_firstorder_Mean", "failed", "spreadsheet error: #NAME?"),
        ("2", "wavelet-HLL_glcm_Contrast", "undefined", "no value in the table"),
    ]


def test_regions_become_columns(tmp_path: Path) -> None:
    path = put(tmp_path / "f.csv", "ID,roi,stat_mean\na,core,1\na,rim,2\nb,core,3\n")
    with pytest.raises(AlignmentError, match="region="):
        read_feature_table(path)
    table = read_feature_table(path, region="roi")
    assert table.names == ("core|stat_mean", "rim|stat_mean")
    np.testing.assert_array_equal(table.values, [[1, 2], [3, np.nan]])
    assert table.status.rows() == [("b", "rim|stat_mean", "failed", "no region 'rim'")]
    only = read_feature_table(path, where={"roi": "core"}, drop=["roi"])
    assert only.samples == ("a", "b")


def test_layouts(tmp_path: Path) -> None:
    bids = tmp_path / "bids"
    for sample in ("sub-01", "sub-02"):
        folder = bids / sample / "ses-1" / "anat"
        folder.mkdir(parents=True)
        put(folder / f"{sample}_ses-1_T1w.nii.gz", "x")
        masks = bids / "derivatives" / "seg" / sample / "ses-1"
        masks.mkdir(parents=True)
        put(masks / f"{sample}_ses-1_dseg.nii.gz", "x")
    put(bids / "participants.tsv", "participant_id\tage\nsub-01\t40\n")
    found = discover(bids)
    assert found.kind == "bids"
    assert [(s.sample, s.name, s.modality, s.mask.name) for s in found.scans] == [
        (f"sub-0{i}", "ses-1_T1w", "MR", f"sub-0{i}_ses-1_dseg.nii.gz") for i in (1, 2)
    ]
    assert [(t.role, t.id_column) for t in found.tables] == [("clinical", "participant_id")]
    nested = tmp_path / "nested"
    for sample in ("P1", "P2"):
        (nested / sample).mkdir(parents=True)
        put(nested / sample / "ct.nii.gz", "x")
        put(nested / sample / "tumour_mask.nii.gz", "x")
    found = discover(nested)
    assert found.kind == "folder_per_sample"
    assert [(s.sample, s.modality, s.mask is not None) for s in found.scans] == [
        ("P1", "CT", True),
        ("P2", "CT", True),
    ]
    flat = tmp_path / "flat"
    flat.mkdir()
    for name in ("a_image.nrrd", "a_label.nrrd", "b_image.nrrd"):
        put(flat / name, "x")
    found = discover(flat)
    assert [(s.sample, s.mask and s.mask.name) for s in found.scans] == [
        ("a", "a_label.nrrd"),
        ("b", None),
    ]
    assert found.notes == ("b: b_image.nrrd has no mask.",)
