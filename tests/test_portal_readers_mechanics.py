"""Files of GEO, Xena, the GDC and cBioPortal, and calls written in words."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from radgen.errors import FormatError, InputError
from radgen.io import (
    gene_names,
    one_tumour_each,
    read_cbioportal,
    read_gdc_counts,
    read_layer,
    read_markers,
    read_omics,
    read_places,
    read_segments,
    read_series_matrix,
    read_xena,
)
from radgen.omics.copy_number import call_copy_number, fraction_altered, segment_genes
from radgen.omics.methylation import gene_methylation, m_values, mgmt_stp27
from radgen.types import OmicsTable

SERIES = """!Series_title\t"Gliomas"
!Series_summary\t"one"
!Series_summary\t"two"
!Sample_title\t"T1"\t"T2"\t"T3"
!Sample_geo_accession\t"GSM1"\t"GSM2"\t"GSM3"
!Sample_characteristics_ch1\t"age: 61"\t"age: 40"\t"Sex: male"
!Sample_characteristics_ch1\t"Sex: female"\t""\t"age: 33"
!series_matrix_table_begin
"ID_REF"\t"GSM1"\t"GSM2"\t"GSM3"
"p1_at"\t1.5\t2.5\tnull
"p2_at"\t7\t8\t9
"AFFX-1"\t0\t0\t0
!series_matrix_table_end
"""


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def test_series_matrix_of_geo(tmp_path: Path) -> None:
    path = tmp_path / "GSE1_series_matrix.txt.gz"
    path.write_bytes(gzip.compress(SERIES.encode()))
    read = read_series_matrix(path, scale="log2", probes={"p1_at": "IDH1", "p2_at": "IDH1"})
    assert read.series["summary"] == "one\ntwo"
    assert read.table.features == ("IDH1",)
    np.testing.assert_array_equal(read.table.values[:, 0], [7, 8, 9])
    assert read.samples["age"].to_list() == ["61", "40", "33"]
    assert read.samples["Sex"].to_list() == ["female", None, "male"]
    plain = read_layer(path, layer="expression", scale="log2")
    np.testing.assert_array_equal(plain.values[:, 0], [1.5, 2.5, np.nan])
    cut = _write(
        tmp_path / "cut_series_matrix.txt", SERIES[: SERIES.index("!series_matrix_table_e")]
    )
    with pytest.raises(FormatError, match="no whole series matrix"):
        read_series_matrix(cut)
    word = _write(tmp_path / "w_series_matrix.txt", SERIES.replace("\t8\t", "\tx\t"))
    with pytest.raises(FormatError, match=r"w_series_matrix.txt:11: 'x' is no number"):
        read_series_matrix(word)
    with pytest.raises(InputError, match="no probe has a gene"):
        read_series_matrix(path, probes={"q": "TP53"})


def test_one_tumour_of_each_patient() -> None:
    ids = [
        "TCGA-AA-0001-11A-11R", "TCGA-AA-0001-02A-11R", "TCGA-AA-0001-01B-11R",
        "TCGA-AA-0001-01A-21R", "TCGA-AA-0002-06A", "TCGA-AA-0003-11A",
    ]  # fmt: skip
    assert one_tumour_each(ids) == {3: "TCGA-AA-0001", 4: "TCGA-AA-0002"}
    with pytest.raises(InputError, match="1 ids are no TCGA barcodes"):
        one_tumour_each(["P1"])


def test_xena_matrix_with_probe_map(tmp_path: Path) -> None:
    matrix = "sample\tTCGA-AA-0001-01\tTCGA-AA-0001-11\tTCGA-AA-0002-01\n"
    matrix += "ENSG01.5\t1\t9\t2\nENSG02.1\t3\t9\t4\nENSG03.1\t0\t0\t0\n"
    path = _write(tmp_path / "HiSeqV2", matrix)
    probes = "#id\tgene\tchrom\nENSG01.5\tTP53\tchr17\nENSG02.1\tKRAS,LOC1\tchr12\nENSG03.1\t.\tx\n"
    table = read_xena(
        path, layer="expression", scale="log2", tumours=True,
        probe_map=_write(tmp_path / "gencode.probeMap", probes),
    )  # fmt: skip
    assert table.samples == ("TCGA-AA-0001", "TCGA-AA-0002")
    assert table.features == ("TP53", "KRAS")
    np.testing.assert_array_equal(table.values, [[1, 3], [2, 4]])
    again = read_layer(path, layer="expression", tumours=True)
    np.testing.assert_array_equal(again.values[:, :2], table.values)
    bare = OmicsTable(("a",), ("ENSG01.7", "X"), [[1, 2]], "expression", "log2")
    assert gene_names(bare, {"ENSG01.2": "TP53"}).features == ("TP53",)
    with pytest.raises(InputError, match="No feature has a symbol"):
        gene_names(bare, {"q": "TP53"})


def _star(counts: tuple[int, int]) -> str:
    head = "# gene-model: GENCODE v36\ngene_id\tgene_name\tgene_type\tunstranded\ttpm_unstranded\n"
    rows = "N_unmapped\t\t\t99\t\nN_multimapping\t\t\t12\t\n"
    return head + rows + f"E1.1\tTP53\tpc\t{counts[0]}\t1.5\nE2.1\tKRAS\tpc\t{counts[1]}\t2.5\n"


def test_count_files_of_the_gdc(tmp_path: Path) -> None:
    sheet = "File ID\tFile Name\tCase ID\tSample ID\n"
    for k, (name, sample) in enumerate(
        [
            ("a.tsv", "TCGA-AA-0001-01A"),
            ("b.tsv", "TCGA-AA-0001-11A"),
            ("c.tsv", "TCGA-AA-0002-01A"),
        ]
    ):
        _write(tmp_path / f"id{k}" / name, _star((10 * k, 5)))
        sheet += f"id{k}\t{name}\tcase\t{sample}\n"
    path = _write(tmp_path / "gdc_sample_sheet.tsv", sheet)
    table = read_gdc_counts(path)
    assert (table.samples, table.scale) == (("TCGA-AA-0001", "TCGA-AA-0002"), "counts")
    np.testing.assert_array_equal(table.values, [[0, 5], [20, 5]])
    every = read_gdc_counts(path, column="tpm_unstranded", tumours=False)
    assert (every.n_samples, every.scale) == (3, "TPM")
    _write(tmp_path / "id1" / "b.tsv", _star((1, 2)).replace("KRAS", "NRAS"))
    with pytest.raises(FormatError, match="other genes than the first"):
        read_gdc_counts(path)


def _portal(root: Path) -> Path:
    _write(root / "meta_study.txt", "cancer_study_identifier: lung_x\nname: Lung: two panels\n")
    _write(
        root / "data_clinical_patient.txt",
        "#Patient\tAge\tSex\n#d\td\td\n#STRING\tNUMBER\tSTRING\n#1\t1\t1\n"
        "PATIENT_ID\tAGE\tSEX\nP1\t61\tMale\nP2\t[Not Available]\tFemale\nP3\t50\tMale\n",
    )
    _write(
        root / "data_clinical_sample.txt",
        "#S\tP\tT\n#S\tP\tT\n#STRING\tSTRING\tSTRING\n#1\t1\t1\n"
        "SAMPLE_ID\tPATIENT_ID\tSAMPLE_TYPE\nS1m\tP1\tMetastasis\nS1\tP1\tPrimary\n"
        "S2\tP2\tPrimary\nS3\tP3\tPrimary\n",
    )
    meta = "genetic_alteration_type: {}\ndatatype: {}\nstable_id: {}\ndata_filename: {}\n"
    for file, parts in {
        "meta_mutations.txt": ("MUTATION_EXTENDED", "MAF", "mutations", "data_mutations.txt"),
        "meta_cna.txt": ("COPY_NUMBER_ALTERATION", "DISCRETE", "gistic", "data_cna.txt"),
        "meta_rna.txt": ("MRNA_EXPRESSION", "CONTINUOUS", "rna", "data_mrna.txt"),
        "meta_rna_z.txt": ("MRNA_EXPRESSION", "Z-SCORE", "rna_z", "data_mrna.txt"),
        "meta_gone.txt": ("PROTEIN_LEVEL", "LOG2-VALUE", "rppa", "data_rppa.txt"),
    }.items():
        _write(root / file, meta.format(*parts))
    _write(
        root / "data_mutations.txt",
        "Hugo_Symbol\tVariant_Classification\tTumor_Sample_Barcode\n"
        "KRAS\tMissense_Mutation\tS1\nEGFR\tIn_Frame_Del\tS2\nEGFR\tSilent\tS3\n",
    )
    _write(root / "data_cna.txt", "Hugo_Symbol\tEntrez_Gene_Id\tS1\tS2\nMYC\t4609\t2\tNA\n")
    _write(root / "data_mrna.txt", "Hugo_Symbol\tEntrez_Gene_Id\tS1m\tS1\tS2\nMYC\t4609\t5\t6\t7\n")
    _write(
        root / "case_lists" / "cases_sequenced.txt",
        "stable_id: lung_x_sequenced\ncase_list_ids: S1m\tS1\tS2\tS3\n",
    )
    _write(
        root / "data_gene_panel_matrix.txt",
        "SAMPLE_ID\tmutations\tcna\nS1m\tSMALL\tNA\nS1\tWES\tNA\nS2\tSMALL\tNA\nS3\tNA\tNA\n",
    )
    _write(root / "data_gene_panel_small.txt", "stable_id: SMALL\ngene_list: EGFR\tALK\n")
    return root


def test_study_folder_of_cbioportal(tmp_path: Path) -> None:
    study = read_cbioportal(_portal(tmp_path))
    assert (study.name, study.title) == ("lung_x", "Lung: two panels")
    assert study.patients["AGE"].to_list() == [61, None, 50]
    assert set(study.profiles) == {"mutations", "gistic", "rna", "rna_z"}
    table = study.layer("mutation")
    expected = {"S1m": [0, np.nan], "S1": [0, 1], "S2": [1, np.nan], "S3": [np.nan, np.nan]}
    for sample, row in zip(table.samples, table.values, strict=True):
        np.testing.assert_array_equal(row, expected[sample])
    np.testing.assert_array_equal(study.layer("copy_number").values[:, 0], [2, np.nan])
    patients = study.of_patients(study.layer("rna"))
    assert patients.samples == ("P1", "P2")
    np.testing.assert_array_equal(patients.values[:, 0], [6, 7])
    with pytest.raises(InputError, match="has several profiles 'expression'; name one of rna"):
        study.layer("expression")
    with pytest.raises(InputError, match="has no profile 'protein'"):
        study.layer("protein")
    by_patient = read_layer(tmp_path, layer="copy_number", known_samples=["P1", "P2"])
    assert by_patient.samples == ("P1", "P2")


def test_study_folder_that_leaves_things_out(tmp_path: Path) -> None:
    root = _portal(tmp_path)
    (root / "data_gene_panel_small.txt").unlink()
    with pytest.raises(InputError, match="panels SMALL are defined nowhere"):
        read_cbioportal(root)
    table = read_cbioportal(root, panels={"SMALL": ["EGFR"]}).layer("mutation")
    assert table.features == ("EGFR", "KRAS")
    (root / "data_gene_panel_matrix.txt").unlink()
    (root / "case_lists" / "cases_sequenced.txt").unlink()
    with pytest.raises(FormatError, match="nobody can be called wild-type"):
        read_cbioportal(root).layer("mutation")


def test_calls_in_words_are_numbers(tmp_path: Path) -> None:
    text = "sample,IDH1,EGFR,HER2\nA,R132H,+,\nB,WT,-,#NAME?\nC,NS,+,wild type\nD,MUT,-,Mutated\n"
    table = read_omics(
        _write(tmp_path / "m.csv", text), layer="mutation", scale="binary", samples_in="rows"
    )
    np.testing.assert_array_equal(table.values[:, 0], [1, 0, np.nan, 1])
    np.testing.assert_array_equal(table.values[:, 1], [1, 0, 1, 0])
    np.testing.assert_array_equal(table.values[:, 2], [np.nan, np.nan, 0, 1])
    ihc = "sample,PD-L1,Ki67\nA,negative,0\nB,2+,1\nC,Strong,3\nD,+,2\n"
    table = read_omics(
        _write(tmp_path / "i.csv", ihc), layer="protein", scale="ordinal", samples_in="rows"
    )
    np.testing.assert_array_equal(table.values, [[0, 0], [2, 1], [3, 3], [1, 2]])
    odd = _write(tmp_path / "o.csv", ihc.replace("Strong", "patchy"))
    with pytest.raises(FormatError, match="calls are not known: patchy"):
        read_omics(odd, layer="protein", scale="ordinal", samples_in="rows")


def test_a_row_without_symbol_keeps_its_entrez_id(tmp_path: Path) -> None:
    text = "Hugo_Symbol\tEntrez_Gene_Id\tS1\tS2\n\t100130426\t0\t1\nTP53\t7157\t5\t6\n"
    table = read_omics(
        _write(tmp_path / "r.txt", text), layer="expression", scale="RSEM", samples_in="columns"
    )
    assert table.features == ("100130426", "TP53")


def test_gistic_calls_have_annotation_columns(tmp_path: Path) -> None:
    text = "Gene Symbol\tLocus ID\tCytoband\tA\tB\nEGFR\t1956\t7p11.2\t2\t-1\n"
    table = read_omics(
        _write(tmp_path / "all_thresholded.by_genes.txt", text),
        layer="copy_number", scale="ordinal", samples_in="columns",
    )  # fmt: skip
    assert table.samples == ("A", "B")
    np.testing.assert_array_equal(table.values, [[2], [-1]])


def test_spreadsheet_errors_in_a_matrix_are_missing(tmp_path: Path) -> None:
    text = "gene\tP1\tP2\tP3\nMARCH1\t1\t#NAME?\t3\nSEPT2\t#N/A\t5\t6\n"
    table = read_omics(
        _write(tmp_path / "x.tsv", text), layer="expression", scale="log2", samples_in="columns"
    )
    np.testing.assert_array_equal(table.values, [[1, np.nan], [np.nan, 5], [3, 6]])


@pytest.mark.parametrize(
    ("cell", "value"),
    [("IDH-mutant", 1), ("mutant", 1), ("Mutated", 1), ("MUT", 1), ("mt", 1), ("R132H", 1),
     ("IDH1 R132H", 1), ("IDHmut", 1), ("IDH2 R172K", 1), ("p.R132H", 1), ("1", 1), ("yes", 1),
     ("positive", 1), ("IDH-wildtype", 0), ("WT", 0), ("wild type", 0), ("Negative", 0), ("0", 0),
     ("NOS", np.nan), ("n/a", np.nan), ("", np.nan)],
)  # fmt: skip
def test_spellings_of_idh_mutant(tmp_path: Path, cell: str, value: float) -> None:
    path = _write(
        tmp_path / "c.csv", f"patient,IDH status,MGMT\nA,{cell},methylated\nB,wt,unmeth\n"
    )
    table = read_markers(path)
    assert table.features == ("IDH=mutant", "MGMT=methylated")
    np.testing.assert_array_equal(table.values, [[value, 1], [0, 0]])


def test_an_unknown_spelling_of_a_marker_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path / "c.csv", "patient,IDH1\nA,maybe\nB,wt\n")
    with pytest.raises(
        FormatError, match=r"1 cells are written in no known way: IDH of A: 'maybe'"
    ):
        read_markers(path)
    np.testing.assert_array_equal(read_markers(path, missing=["maybe"]).values, [[np.nan], [0]])


SEG = """ID\tchrom\tloc.start\tloc.end\tnum.mark\tseg.mean
A\t7\t1\t1000\t10\t0.5
A\t7\t1001\t2000\t10\t-0.3
A\tX\t1\t5000\t10\t-1
B\tchr7\t1\t400\t10\t1.5
B\tchr7\t401\t2000\t10\tNA
"""


def test_segments_become_genes_calls_and_a_share(tmp_path: Path) -> None:
    segments = read_segments(_write(tmp_path / "a.seg", SEG))
    text = "gene,chrom,start,end\nEGFR,chr7,801,1200\nMET,7,101,300\nAR,chrX,10,20\nTP53,17,1,9\n"
    genes = read_places(_write(tmp_path / "g.csv", text))
    table = segment_genes(segments, genes)
    # EGFR of A: 200 bases at 0.5 and 200 at -0.3.
    np.testing.assert_allclose(table.values[0], [0.1, 0.5, -1, np.nan])
    np.testing.assert_allclose(table.values[1], [np.nan, 1.5, np.nan, np.nan])
    calls = call_copy_number(table)
    np.testing.assert_array_equal(calls.values[0], [0, 1, -1, np.nan])
    assert calls.values[1, 1] == 2
    share = fraction_altered(segments)
    np.testing.assert_allclose(share.values[:, 0], [1, 1])
    np.testing.assert_allclose(fraction_altered(segments, threshold=0.4).values[:, 0], [0.5, 1])
    bad = SEG.replace("1001\t2000", "2001\t2000")
    with pytest.raises(FormatError, match="end before they begin"):
        read_segments(_write(tmp_path / "b.seg", bad))
    with pytest.raises(FormatError, match="no column for value"):
        read_segments(_write(tmp_path / "c.seg", SEG.replace("seg.mean", "foo")))
    with pytest.raises(InputError, match="share no chromosome"):
        segment_genes(segments, genes.filter(pl.col("gene") == "TP53"))


def test_methylation_of_genes_and_of_mgmt() -> None:
    probes = ("cg12434587", "cg12981137", "cg3")
    beta = [[0.5, 0.5, 0.1], [0.02, 0.03, np.nan], [0.2, np.nan, 0.4]]
    table = OmicsTable(("A", "B", "C"), probes, beta, "methylation", "beta")
    genes = gene_methylation(table, {"MGMT": probes[:2], "X": ["cg3", "cg9"], "Y": ["cg9"]})
    assert genes.features == ("MGMT", "X")
    np.testing.assert_allclose(genes.values, [[0.5, 0.1], [0.025, np.nan], [0.2, 0.4]])
    score = mgmt_stp27(table)
    m = np.log2(np.array([0.02, 0.03]) / np.array([0.98, 0.97]))
    logit = 4.3215 + 0.5271 * m[0] + 0.9265 * m[1]
    np.testing.assert_allclose(score.values[1], [1 / (1 + np.exp(-logit)), 0], rtol=1e-12)
    assert score.values[0, 1] == 1
    assert np.isnan(score.values[2]).all()
    with pytest.raises(InputError, match=r"\[0, 1\]"):
        m_values([1.2])


@pytest.mark.parametrize("in_rows", [True, False])
def test_barcodes_tell_where_samples_stand(tmp_path, in_rows):
    ids = [f"TCGA-02-000{i}-01A-01R" for i in range(4)]
    table = pl.DataFrame(
        {"sample": ids, "EGFR": [1.0, 2.0, 3.0, 4.0], "TP53": [4.0, 3.0, 2.0, 1.0]}
    )
    if not in_rows:
        table = table.transpose(include_header=True, header_name="gene", column_names="sample")
    table.write_csv(tmp_path / "expression.csv")
    layer = read_layer(
        tmp_path / "expression.csv", layer="expression", tumours=True, known_samples=[ids[0][:12]]
    )
    assert layer.samples == tuple(name[:12] for name in ids)
    assert layer.features == ("EGFR", "TP53")
    assert layer.values[:, 0].tolist() == [1.0, 2.0, 3.0, 4.0]
