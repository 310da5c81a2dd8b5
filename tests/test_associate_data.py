"""Documented findings of public cohorts come out, and their nulls come out as nulls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from radgen.associate import scan
from radgen.errors import FormatError
from radgen.io import read_feature_table, read_omics, read_plain, read_traits
from radgen.types import OmicsTable, PhenotypeTable

Data = Callable[[str], Path]


def _clinic(folder: Path) -> tuple[pl.DataFrame, OmicsTable]:
    frame, _ = read_plain(folder / "clinical.csv", id_name="Patient ID")
    codes = {"Mutant": 1.0, "Wildtype": 0.0}
    columns = [
        [codes.get(cell, np.nan) for cell in frame[f"{gene} mutation status"]]
        for gene in ("EGFR", "KRAS")
    ]
    ids = frame["sample"].to_list()
    return frame, OmicsTable(ids, ["EGFR", "KRAS"], np.array(columns).T, "mutation", "binary")


def test_lung_semantics_find_egfr_and_leave_kras_null(data: Data) -> None:
    """Gevaert 2017: EGFR goes with emphysema (absent) and attenuation, KRAS with nothing."""
    folder = data("nsclc_radiogenomics")
    _, mutations = _clinic(folder)
    read = read_traits(folder / "semantic_aim.csv", "lung")
    result = scan(read.phenotypes, mutations, phenotype_types=read.types)
    hits = {(r["phenotype"], r["omics"]): r for r in result.significant().iter_rows(named=True)}
    assert hits["emphysema", "EGFR"]["effect"] < -1
    assert hits["attenuation", "EGFR"]["effect"] < 0
    assert {gene for _, gene in hits} == {"EGFR"}
    null = result.table.filter((pl.col("omics") == "KRAS") & (pl.col("phenotype") == "fibrosis"))
    assert null["q_bh"][0] > 0.05
    assert null["detectable"][0] > 0.5
    assert any(
        "emphysema is less frequent in samples with a EGFR" in s for s in result.statements()
    )


def test_lung_features_find_egfr_and_leave_kras_null(data: Data) -> None:
    folder = data("nsclc_radiogenomics")
    _, mutations = _clinic(folder)
    images = read_feature_table(folder / "features_captk.csv")
    result = scan(images, mutations, transform="rank", permutations=200)
    found = result.significant()
    assert set(found["omics"]) == {"EGFR"}
    assert found.height >= 10
    assert result.table.filter((pl.col("omics") == "KRAS") & (pl.col("p_maxt") <= 0.05)).height == 0


def test_squamous_histology_is_written_in_the_rna(data: Data) -> None:
    folder = data("nsclc_radiogenomics")
    frame, _ = _clinic(folder)
    code = {"Squamous cell carcinoma": 1.0, "Adenocarcinoma": 0.0}
    histology = [code.get((cell or "").strip(), np.nan) for cell in frame["Histology"]]
    images = PhenotypeTable.from_frame({"sample": frame["sample"], "squamous": histology})
    rna = read_omics(
        folder / "rnaseq_zscore_1000genes.csv.gz", layer="expression", scale="zscore",
        known_samples=frame["sample"].to_list(),
    )  # fmt: skip
    table = scan(images, rna, test="moderated").table
    effect = dict(table.filter(pl.col("q_bh") <= 1e-6).select("omics", "effect").iter_rows())
    # Pathologists' markers: keratins up, napsin A and mucin 1 of adenocarcinoma down.
    assert effect["KRT17"] > 0
    assert effect["KRT15"] > 0
    assert effect["NAPSA"] < 0
    assert effect["MUC1"] < 0


@pytest.mark.parametrize(
    ("file", "least"),
    [
        ("Arita2018__IDH_mutant", 20),
        ("LGG1p19q__codeleted", 50),
        ("Wang2024__EGFR_mutant", 10),
        ("Sasaki2019__MGMT_methylated", 0),
        ("Ahn2021__MGMT_methylated", 0),
    ],
)
def test_genotypes_in_glioma_and_lung(data: Data, file: str, least: int) -> None:
    """IDH, 1p/19q and EGFR go with MRI features; MGMT, in two cohorts, does not."""
    path = data("genotype_benchmarks") / f"{file}.csv.gz"
    images = read_feature_table(path, exclude=("Target",))
    frame, _ = read_plain(path)
    target = frame["Target"].cast(pl.String).is_in(["1", "1.0", "True"]).to_numpy().astype(float)
    gene = OmicsTable(frame["sample"].to_list(), ["target"], target[:, None], "mutation", "binary")
    result = scan(images, gene, transform="rank", permutations=200)
    if least:
        assert result.summary["n_bh"] >= least
        assert result.table["p_maxt"].min() == pytest.approx(1 / 201)
    else:
        assert result.summary["n_bh"] == 0
        assert result.table["p_maxt"].min() > 0.05
        assert "no proof of absence" in result.statements()[-1]
        assert "detected with 80 % power" in result.statements()[-1]


def test_markers_of_gliomas_and_lung_cancers_are_counted(data: Data) -> None:
    from radgen.io import read_markers

    path = data("tcga_glioma") / "molecular_ceccarelli.csv"
    with pytest.raises(FormatError, match="'glioblastoma'"):
        read_markers(path)
    table = read_markers(path, missing=["glioblastoma"])
    idh = table.values[:, table.features.index("IDH=mutant")]
    assert (int(np.nansum(idh)), int((idh == 0).sum())) == (457, 537)
    lung = read_markers(data("nsclc_radiogenomics") / "clinical.csv")
    assert [int(np.nansum(column)) for column in lung.values.T] == [43, 38, 2]
    assert np.isfinite(lung.values).sum(axis=0).tolist() == [172, 171, 157]


def test_glioma_subtypes_have_their_genes(data: Data) -> None:
    """Verhaak 2010: DCX is proneural, PLAUR mesenchymal, PDGFA classical."""
    folder = data("tcga_glioma")
    frame, _ = read_plain(folder / "gbm_verhaak_subtype_173.csv")
    names = frame["verhaak_subtype"].unique().sort().to_list()
    images = PhenotypeTable.from_frame(
        {"sample": frame["sample"]}
        | {name: (frame["verhaak_subtype"] == name).cast(pl.Float64) for name in names}
    )
    rna = read_omics(
        folder / "gbm_expression_840genes_173samples.csv.gz", layer="expression", scale="log2",
        known_samples=frame["sample"].to_list(),
    )  # fmt: skip
    table = scan(images, rna, test="moderated").table
    for subtype, gene in (("Proneural", "DCX"), ("Mesenchymal", "PLAUR"), ("Classical", "PDGFA")):
        row = table.filter((pl.col("phenotype") == subtype) & (pl.col("omics") == gene))
        assert row["effect"][0] > 0.5
        assert row["p_bonferroni"][0] < 1e-10
