"""What radgen's default model says of public cohorts, beside what is known of them.

Run ``RADGEN_DATA=... python verification/public_cohorts.py [repeats]`` (default 5; some minutes).
Prints a table; ends with status 1 where a signal is missed, or a null is called evidence.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from radgen import predict
from radgen.phenotype import ComBat
from radgen.types import Covariates, Outcome, PhenotypeTable

Row = tuple[str, str, dict[str, Any], Outcome, str, bool, dict[str, Any]]
"""Cohort, what is known, blocks, outcome, model to look at, whether there is a signal, options."""


def _csv(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, infer_schema_length=None)


def _images(table: pl.DataFrame, key: str) -> PhenotypeTable:
    numbers = table.with_columns(pl.exclude(key).cast(pl.Float64, strict=False))
    found = PhenotypeTable.from_frame(numbers.with_columns(pl.col(key).cast(pl.String)), sample=key)
    return found.take(columns=np.isfinite(found.values).mean(axis=0) > 0.8)


def gliomas(root: Path) -> Iterator[Row]:
    """Yield IDH, MGMT and survival of UCSF-PDGM."""
    folder = root / "ucsf_pdgm"
    table = _csv(folder / "features_t1gd_wholetumour_pyradiomics.csv")
    keep = [name for name in table.columns if name == "ID" or name.startswith("original_")]
    images = _images(table.select(keep), "ID")
    clinic = _csv(folder / "clinical_molecular.csv")
    ids = tuple(clinic["ID"].to_list())
    age = Covariates(ids, ("age",), clinic["Age at MRI"].cast(pl.Float64).to_numpy()[:, None])
    idh = Outcome("IDH", "binary", ids, (clinic["IDH"] != "wildtype").cast(float).to_numpy())
    both = {"imaging": images, "clinical": age}
    for model, known in (
        ("imaging only", "0.92"),
        ("clinical only", "0.91"),
        ("combined", "0.956"),
    ):
        yield "UCSF-PDGM IDH", known, both, idh, model, True, {}
    code = {"positive": 1.0, "negative": 0.0}
    values = [code.get(item, np.nan) for item in clinic["MGMT status"].to_list()]
    mgmt = Outcome("MGMT", "binary", ids, values)
    yield "UCSF-PDGM MGMT", "null", {"imaging": images}, mgmt, "imaging only", False, {}
    wild = clinic.filter((pl.col("IDH") == "wildtype") & pl.col("OS").is_not_null())
    survival = Outcome(
        "survival", "censored", tuple(wild["ID"].to_list()), wild["OS"].cast(float).to_numpy(),
        wild["1-dead 0-alive"].cast(float).to_numpy() > 0.5, unit="days",
    )  # fmt: skip
    table = wild.select(sample="ID", age=pl.col("Age at MRI").cast(float), extent="EOR")
    blocks = {"imaging": images, "clinical": table}
    yield "UCSF-PDGM survival, IDH wild type", "C 0.66", blocks, survival, "combined", True, {}


def genotypes(root: Path) -> Iterator[Row]:
    """Yield the five genotype tables."""
    for name, known, signal in (
        ("Arita2018__IDH_mutant", "0.76", True), ("LGG1p19q__codeleted", "0.81", True),
        ("Wang2024__EGFR_mutant", "0.72", True), ("Sasaki2019__MGMT_methylated", "null", False),
        ("Ahn2021__MGMT_methylated", "null", False),
    ):  # fmt: skip
        table = _csv(root / "genotype_benchmarks" / f"{name}.csv.gz")
        target = table["Target"].cast(float).to_numpy()
        images = _images(table.drop("Target"), "ID")
        outcome = Outcome(name, "binary", images.samples, target)
        yield name, known, {"imaging": images}, outcome, "imaging only", signal, {}


def breasts(root: Path) -> Iterator[Row]:
    """Yield the change of diameter, and the radiomics before treatment, of I-SPY 1."""
    folder = root / "ispy1"
    both = _csv(folder / "clinical_mri_ld.csv").join(_csv(folder / "outcomes.csv"), on="SUBJECTID")
    both = both.with_columns(pl.col("SUBJECTID").cast(pl.String))
    ids = tuple(both["SUBJECTID"].to_list())
    pcr = Outcome("pCR", "binary", ids, both["PCR"].cast(float).fill_null(np.nan).to_numpy())
    base = pl.col("MRI LD Baseline")
    for visit, known in (("1-3dAC", "0.64"), ("InterReg", "0.69"), ("PreSurg", "0.74")):
        change = both.select(sample="SUBJECTID", change=(pl.col(f"MRI LD {visit}") - base) / base)
        known_change = change.drop_nulls().filter(pl.col("change").is_finite())
        blocks = {"clinical": known_change}
        yield f"I-SPY 1 pCR, diameter at {visit}", known, blocks, pcr, "clinical only", True, {}
    table = _csv(folder / "features_dce_captk_161.csv.gz").drop("HR_positive")
    images = {"imaging": _images(table, "SUBJECTID")}
    yield "I-SPY 1 pCR, radiomics before", "null", images, pcr, "imaging only", False, {}
    receptor = both["HR Pos"].cast(float).fill_null(np.nan).to_numpy()
    hormone = Outcome("HR", "binary", ids, receptor)
    yield "I-SPY 1 HR, radiomics before", "null", images, hormone, "imaging only", False, {}


def lungs(root: Path) -> Iterator[Row]:
    """Yield EGFR and KRAS of NSCLC-Radiogenomics, EGFR also without what the makers differ in."""
    folder = root / "nsclc_radiogenomics"
    images = _images(_csv(folder / "features_captk.csv"), "SubjectID")
    clinic = _csv(folder / "clinical.csv")
    scans = _csv(folder / "ct_acquisition.csv")
    maker = {a.rstrip("L"): b for a, b in zip(scans["clc"], scans["Manufacturer"], strict=True)}
    sites = {item: maker.get(item, "unknown") for item in images.samples}
    code = {"Mutant": 1.0, "Wildtype": 0.0}
    for gene, known, signal in (("EGFR", "0.73", True), ("KRAS", "null", False)):
        values = [code.get(item, np.nan) for item in clinic[f"{gene} mutation status"].to_list()]
        outcome = Outcome(gene, "binary", tuple(clinic["Patient ID"].to_list()), values)
        ways: dict[str, dict[str, Any]] = {"": {}}
        if signal:
            ways |= {
                ", combat": {"harmonise": "combat", "sites": sites},
                ", ComBat": {"harmonise": ComBat(), "sites": sites},
            }
        for name, more in ways.items():
            blocks = {"imaging": images}
            yield f"NSCLC {gene}{name}", known, blocks, outcome, "imaging only", signal, more


def main(repeats: int) -> int:
    """Print the table and return the exit status."""
    warnings.simplefilter("ignore")
    root = Path(os.environ["RADGEN_DATA"])
    failed = 0
    last: tuple[Any, Any, Any] = (None, None, None)
    for cohort in (gliomas, genotypes, breasts, lungs):
        for name, known, blocks, outcome, model, signal, more in cohort(root):
            if last[0] is not outcome or last[1] is not blocks:
                options = {"seed": 1, "repeats": repeats, "bootstrap": 0, **more}
                last = (outcome, blocks, predict.evaluate(blocks, outcome, **options))
            row = last[2].estimate(model)
            good = (row["ci_low"] > 0.5) == signal
            failed += not good
            print(
                f"{name:36s} {model:14s} known {known:7s} {row['estimate']:.3f} "
                f"({row['ci_low']:.2f}-{row['ci_high']:.2f})  n {row['n']:4d}  "
                f"{'signal' if signal else 'null':6s} {'as it must be' if good else 'FAILED'}",
                flush=True,
            )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
