"""Honest evaluation on public cohorts: signals that are there, and nulls that stay nulls.

More cohorts, with more repeats, are evaluated in verification/public_cohorts.py.
"""

import numpy as np
import polars as pl
import pytest

from radgen import phenotype, predict
from radgen.types import Covariates, Outcome, PhenotypeTable


def _csv(path):
    return pl.read_csv(path, infer_schema_length=None)


@pytest.fixture(scope="module")
def gliomas(data):
    folder = data("ucsf_pdgm")
    table = _csv(folder / "features_t1gd_wholetumour_pyradiomics.csv")
    keep = [name for name in table.columns if name == "ID" or name.startswith("original_")]
    images = PhenotypeTable.from_frame(table.select(keep), sample="ID")
    clinic = _csv(folder / "clinical_molecular.csv")
    ids = tuple(clinic["ID"].to_list())
    age = Covariates(ids, ("age",), clinic["Age at MRI"].cast(pl.Float64).to_numpy()[:, None])
    return images, age, clinic, ids


def test_idh_is_read_from_images_beside_age(gliomas):
    images, age, clinic, ids = gliomas
    idh = Outcome(
        "IDH mutation", "binary", ids, (clinic["IDH"] != "wildtype").cast(float).to_numpy()
    )
    found = predict.evaluate({"radiomics": images, "clinic": age}, idh, seed=1, repeats=1)
    assert found.estimate("imaging only")["estimate"] >= 0.92
    assert found.estimate("clinical only")["estimate"] == pytest.approx(0.91, abs=0.02)
    assert found.estimate("combined")["estimate"] >= 0.95
    assert predict.audit(found).passed


def test_mgmt_is_a_null_and_the_verdict_says_so(gliomas):
    images, _, clinic, ids = gliomas
    code = {"positive": 1.0, "negative": 0.0}
    values = [code.get(item, np.nan) for item in clinic["MGMT status"].to_list()]
    found = predict.evaluate(
        {"radiomics": images}, Outcome("MGMT methylation", "binary", ids, values), seed=1, repeats=1
    )
    row = found.estimate("imaging only")
    assert row["n"] == 416
    assert row["ci_low"] < 0.5
    assert abs(row["estimate"] - 0.5) < 4 * row["std_error"] / 1.4
    verdict = found.verdict("imaging only")
    assert "no evidence" in verdict
    assert "an AUC of 0.59 would have been detected with 80 % power" in verdict


def test_survival_of_idh_wildtype(gliomas):
    images, _, clinic, _ = gliomas
    wild = clinic.filter((pl.col("IDH") == "wildtype") & pl.col("OS").is_not_null())
    outcome = Outcome(
        "overall survival", "censored", tuple(wild["ID"].to_list()),
        wild["OS"].cast(pl.Float64).to_numpy(), wild["1-dead 0-alive"].cast(float).to_numpy() > 0.5,
        unit="days",
    )  # fmt: skip
    clinical = wild.select(sample="ID", age=pl.col("Age at MRI").cast(pl.Float64), extent="EOR")
    found = predict.evaluate(
        {"radiomics": images, "clinical": clinical}, outcome, seed=1, repeats=1, bootstrap=0
    )
    assert found.estimate("combined")["estimate"] == pytest.approx(0.66, abs=0.02)


def test_idh_hazard_ratio(gliomas):
    _, _, clinic, _ = gliomas
    known = clinic.filter(pl.col("OS").is_not_null())
    outcome = Outcome(
        "overall survival", "censored", tuple(known["ID"].to_list()),
        known["OS"].cast(pl.Float64).to_numpy(),
        known["1-dead 0-alive"].cast(float).to_numpy() > 0.5, unit="days",
    )  # fmt: skip
    table = known.select(
        sample="ID", idh_mutant=pl.col("IDH") != "wildtype", age=pl.col("Age at MRI").cast(float)
    )
    found = predict.survival_hazards({"clinical": table}, outcome)
    assert found.frame["hazard_ratio"][0] == pytest.approx(0.15, abs=0.01)


@pytest.mark.parametrize(
    ("name", "expected", "null"),
    [("Arita2018__IDH_mutant", 0.76, False), ("Ahn2021__MGMT_methylated", 0.50, True)],
)
def test_genotype_benchmarks(data, name, expected, null):
    """Default model; the tolerance is the spread over seeds (3 repeats where n is small)."""
    table = _csv(data("genotype_benchmarks") / f"{name}.csv.gz")
    target = table["Target"].cast(float).to_numpy()
    frame = table.drop("Target").with_columns(pl.col("ID").cast(pl.String))
    images = PhenotypeTable.from_frame(frame, sample="ID")
    found = predict.evaluate(
        {"images": images}, Outcome(name, "binary", images.samples, target), seed=1,
        repeats=1 if len(target) > 150 else 3, baselines=False, bootstrap=0,
    )  # fmt: skip
    row = found.estimate("imaging only")
    assert row["estimate"] == pytest.approx(expected, abs=0.05)
    assert (row["ci_low"] < 0.5) == null
    assert ("no evidence" in found.verdict("imaging only")) == null


@pytest.fixture(scope="module")
def lung(data):
    folder = data("nsclc_radiogenomics")
    table = _csv(folder / "features_captk.csv")
    table = table.with_columns(pl.exclude("SubjectID").cast(pl.Float64, strict=False))
    images = PhenotypeTable.from_frame(table, sample="SubjectID")
    images = images.take(columns=np.isfinite(images.values).mean(axis=0) > 0.8)
    clinic = _csv(folder / "clinical.csv")
    scans = _csv(folder / "ct_acquisition.csv")
    maker = {a.rstrip("L"): b for a, b in zip(scans["clc"], scans["Manufacturer"], strict=True)}
    return images, clinic, maker


def _mutation(clinic, gene):
    code = {"Mutant": 1.0, "Wildtype": 0.0}
    values = [code.get(item, np.nan) for item in clinic[f"{gene} mutation status"].to_list()]
    return Outcome(gene, "binary", tuple(clinic["Patient ID"].to_list()), values)


def test_egfr_survives_harmonisation(lung):
    images, clinic, maker = lung
    egfr = _mutation(clinic, "EGFR")
    sites = {item: maker.get(item, "unknown") for item in images.samples}
    options = {"seed": 1, "repeats": 3, "baselines": False, "bootstrap": 0}
    raw = predict.evaluate({"images": images}, egfr, **options)
    flat = predict.evaluate({"images": images}, egfr, harmonise="combat", sites=sites, **options)
    assert raw.estimate("imaging only")["estimate"] == pytest.approx(0.73, abs=0.04)
    assert flat.estimate("imaging only")["estimate"] > 0.69


def test_scanner_maker_is_readable_before_combat_and_not_after(lung):
    images, _, maker = lung
    linear = {"seed": 1, "readers": ("linear",)}
    found = phenotype.batch_gauge(images, maker, **linear)
    assert found.mean("before") == pytest.approx(0.82, abs=0.04)
    assert abs(found.mean("after, fitted to all rows") - 0.5) < 0.1
    assert found.mean("after") == pytest.approx(0.70, abs=0.06)
    plain = phenotype.ComBat(eb=False)
    found = phenotype.batch_gauge(images, maker, harmoniser=plain, shuffles=6, **linear)
    assert abs(found.mean("after") - 0.5) < 0.06
    new = found.mean("after, read among new rows")
    null = found.mean("after, read among new rows, batches shuffled")
    assert abs(new - null) < 0.1
    assert found.differing["before"] > 0.2
    assert found.differing["after"] < 0.05


def test_prostate_repeatability(data):
    folder = data("prostate_test_retest")
    expected = {
        ("raw", "WholeGland", "original_shape_Volume"): 0.949,
        ("raw", "PeripheralZone", "original_shape_Volume"): 0.859,
        ("raw", "TumorROI_PZ_1", "original_shape_Volume"): 0.857,
        ("normalised", "WholeGland", "original_glcm_Contrast"): -0.10,
        ("raw", "WholeGland", "original_glcm_Contrast"): 0.71,
        ("normalised", "TumorROI_PZ_1", "original_firstorder_Entropy"): 0.64,
        ("raw", "TumorROI_PZ_1", "original_firstorder_Entropy"): 0.81,
    }
    for (kind, region, feature), value in expected.items():
        table = _csv(folder / f"features_t2_{kind}_bin10.csv.gz")
        rows = table.filter(pl.col("segmentedStructure") == region)
        visits = {
            str(visit): PhenotypeTable.from_frame(
                rows.filter(pl.col("visit") == visit).select(
                    pl.col("patient").cast(pl.String).alias("sample"), feature
                )
            )
            for visit in sorted(rows["visit"].unique().to_list())
        }
        found = phenotype.measure_repeatability(visits)
        assert found.frame["icc"][0] == pytest.approx(value, abs=0.006), (kind, region, feature)


def test_breast_response_follows_the_diameter(data):
    folder = data("ispy1")
    mri, outcomes = _csv(folder / "clinical_mri_ld.csv"), _csv(folder / "outcomes.csv")
    both = mri.join(outcomes, on="SUBJECTID").with_columns(pl.col("SUBJECTID").cast(pl.String))
    base = pl.col("MRI LD Baseline")
    from radgen.stats.discrimination import auc

    for visit, value in (("1-3dAC", 0.64), ("InterReg", 0.69), ("PreSurg", 0.74)):
        rows = both.select(change=(pl.col(f"MRI LD {visit}") - base) / base, pcr="PCR").drop_nulls()
        rows = rows.filter(pl.col("change").is_finite())
        found = auc(rows["pcr"].to_numpy(), -rows["change"].to_numpy())
        assert found == pytest.approx(value, abs=0.015), visit


def test_breast_radiomics_before_treatment_is_a_null(data):
    folder = data("ispy1")
    table = _csv(folder / "features_dce_captk_161.csv.gz").drop("HR_positive")
    table = table.with_columns(pl.exclude("SUBJECTID").cast(pl.Float64, strict=False))
    images = PhenotypeTable.from_frame(
        table.with_columns(pl.col("SUBJECTID").cast(pl.String)), sample="SUBJECTID"
    )
    images = images.take(columns=np.isfinite(images.values).mean(axis=0) > 0.8)
    known = _csv(folder / "outcomes.csv").select("SUBJECTID", pl.col("PCR").cast(pl.Float64))
    known = known.drop_nulls()
    ids = tuple(known["SUBJECTID"].cast(pl.String).to_list())
    found = predict.evaluate(
        {"images": images}, Outcome("PCR", "binary", ids, known["PCR"].to_numpy()), seed=1,
        repeats=1, baselines=False, bootstrap=0,
    )  # fmt: skip
    row = found.estimate("imaging only")
    assert row["ci_low"] < 0.5 < row["ci_high"]
    assert "no evidence" in found.verdict("imaging only")
