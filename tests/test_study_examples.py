"""The studies under examples/ run and give what is known of their data."""

from __future__ import annotations

import importlib.util
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from radgen.io import read_table
from radgen.stats.effective import effective_columns
from radgen.study import Study, StudyRun

EXAMPLES = Path(__file__).parent.parent / "examples"
Find = Callable[[str], Path]


def run(name: str, out: Path) -> StudyRun:
    return Study.load(EXAMPLES / name).run(out)


def rounded(value: float) -> float:
    return float(f"{value:.3g}") if math.isfinite(value) else value


def reference(data: Find, configuration: str) -> dict[tuple[str, str, str], tuple[float, float]]:
    """Return (value, tolerance) by IBSI code and aggregation code of one configuration."""
    table = read_table(data("ibsi") / "reference" / "ibsi1_reference_values.csv")
    rows = table.filter(pl.col("config") == configuration).iter_rows(named=True)
    return {
        (row["feature"], row["ibsi_code"], row["aggregation_code"] or ""): (
            float(row["value"]),
            float(row["tolerance"]),
        )
        for row in rows
    }


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("study", "configuration", "at_least"),
    [
        ("real_scans/ibsi_digital.toml", "digital_phantom", 482),
        ("real_scans/ibsi_a.toml", "A", 346),
    ],
)
def test_a_study_reproduces_the_ibsi_reference_values(
    data: Find, tmp_path: Path, study: str, configuration: str, at_least: int
) -> None:
    known = reference(data, configuration)
    assert known, "the reference table names the configuration otherwise"
    run(study, tmp_path)
    long = pl.read_parquet(tmp_path / "tables" / "features-long.parquet")
    compared = 0
    for row in long.iter_rows(named=True):
        key = (row["feature"], row["ibsi_code"], row["aggregation"])
        if key in known:
            value, tolerance = known[key]
            # IBSI compares values rounded to three significant digits.
            found = rounded(row["value"])
            assert abs(found - value) <= tolerance + 1e-9 * abs(value), (key, row["value"], value)
            compared += 1
    assert compared >= at_least


@pytest.mark.usefixtures("undrawn")
def test_real_scans_of_two_modalities_are_measured(data: Find, tmp_path: Path) -> None:
    data("pyradiomics_cases")
    done = run("real_scans/study.toml", tmp_path)
    assert done.complete
    assert done.phenotypes.n_samples == 6
    assert done.phenotypes.n_phenotypes > 100
    assert np.isfinite(done.phenotypes.values).mean() > 0.95
    assert done.report.stat().st_size > 10_000


def quick(name: str, folder: Path, *, keep: tuple[str, ...]) -> Path:
    """Copy an example with its named analyses alone, two folds repeats each."""
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    head, *blocks = text.split("\n[[")
    chosen = [block for block in blocks if any(f'name = "{item}"' in block for item in keep)]
    text = "\n[[".join([head, *chosen])
    for repeats in ("repeats = 3", "repeats = 5", "repeats = 2"):
        text = text.replace(repeats, "repeats = 1")
    path = folder / "study.toml"
    path.write_text(text, encoding="utf-8")
    return path


def auc(run: StudyRun, name: str, model: str) -> tuple[float, float, float]:
    table = run.results[name].table.filter((pl.col("metric") == "auc") & (pl.col("model") == model))
    row = table.row(0, named=True)
    return row["estimate"], row["ci_low"], row["ci_high"]


def test_gliomas_show_idh_and_no_mgmt(data: Find, tmp_path: Path) -> None:
    data("ucsf_pdgm")
    names = ("IDH from images and age", "MGMT from images", "Hazard of death by molecular trait")
    path = quick("ucsf_pdgm/study.toml", tmp_path, keep=names)
    done = Study.load(path).run(tmp_path / "out")
    assert done.complete
    assert done.phenotypes.n_samples == 501
    assert auc(done, names[0], "imaging only")[0] > 0.90
    assert 0.87 < auc(done, names[0], "clinical only")[0] < 0.94
    assert auc(done, names[0], "combined")[0] > 0.94
    low, high = auc(done, names[1], "imaging only")[1:]
    assert low < 0.5
    assert high < 0.65
    words = " ".join(done.results[names[1]].statements())
    assert "no evidence that MGMT can be predicted from imaging" in words
    hazards = done.results[names[2]].table
    ratio = hazards.filter(pl.col("variable") == "IDH=mutant")["hazard_ratio"][0]
    assert 0.12 < ratio < 0.19


@pytest.mark.usefixtures("undrawn")
def test_breast_cancers_show_response_in_diameters_and_not_before(
    data: Find, tmp_path: Path
) -> None:
    data("ispy1")
    names = (
        "Complete response from texture before treatment",
        "Complete response from diameters before surgery",
    )
    path = quick("ispy1/study.toml", tmp_path, keep=names)
    done = Study.load(path).run(tmp_path / "out")
    assert auc(done, names[0], "imaging only")[1] < 0.5
    value, low, _ = auc(done, names[1], "clinical only")
    assert low > 0.5
    assert 0.66 < value < 0.78
    words = " ".join(done.results[names[1]].statements())
    assert "abstains from the others" in words


@pytest.mark.usefixtures("undrawn")
def test_lung_cancers_join_rna_and_scanner_by_id(data: Find, tmp_path: Path) -> None:
    data("nsclc_radiogenomics")
    names = ("EGFR from CT", "CT features and gene expression")
    path = quick("nsclc_radiogenomics/study.toml", tmp_path, keep=names)
    done = Study.load(path).run(tmp_path / "out")
    assert done.complete
    value, low, _ = auc(done, names[0], "imaging only")
    assert 0.62 < value < 0.82
    assert low > 0.5
    # 127 patients have both RNA and CT; some lack scanner, and are lost with a reason.
    assert 110 <= done.results[names[1]].n_used <= 127
    assert done.flow["dropped"].sum() > 0


def test_examples_need_no_file_but_the_data(data: Find, tmp_path: Path) -> None:
    data("ucsf_pdgm")
    for path in EXAMPLES.glob("*/*.toml"):
        folder = tmp_path / path.parent.name
        shutil.copytree(path.parent, folder, dirs_exist_ok=True)
        assert Study.load(folder / path.name).check() == []


@pytest.mark.usefixtures("undrawn")
def test_a_thousand_genomes_study_finds_planted_variants(data: Find, tmp_path: Path) -> None:
    data("genetics/eur_subset")
    done = run("eur_genomes/study.toml", tmp_path)
    assert done.complete
    assert done.phenotypes.names == tuple(f"Y{k}" for k in range(1, 11))
    scan = done.results["Scan of ten phenotypes"]
    assert scan.n_used == 376
    lead = scan.table.sort("log10p").row(0, named=True)
    assert (lead["phenotype"], lead["id"]) == ("Y7", "rs72900174")
    assert any("Genomic inflation lambda was 0.9" in text for text in scan.statements())


def test_genes_and_brain_regions_are_studied_in_one_script(data: Find, tmp_path: Path) -> None:
    folder = data("genetics/bgsmtr_imaging_genetics")
    path = EXAMPLES / "brain_regions_genes" / "study.py"
    spec = importlib.util.spec_from_file_location("brain_regions_genes", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    _, regions, genes, _ = module.read(folder)
    # All 15 regions: the effective numbers of the R package poolr, which rounds down.
    known = read_table(data("genetics/meff_grid2ip") / "expected_meff_bgsmtr_rois.csv")
    want = dict(known.select("method", "meff").rows())
    values = regions.drop("sample").to_numpy()
    for ours, theirs in (("nyholt", "nyholt"), ("li_ji", "liji"), ("gao", "gao"), ("galwey",) * 2):
        assert math.floor(effective_columns(values, ours) + 1e-9) == int(want[theirs])
    assert sum(map(len, genes.values())) == 486
    found = module.main(folder, tmp_path, n_regions=2, permutations=50)
    assert found["scan"].params["n_variants"] == 485
    assert found["scan"].n_used == 632
    assert found["sets"].frame.height == 33 * 2
    assert found["max_t"].frame["p_all"].min() > 0.01
    assert found["tree"].frame.height == 0  # the data hold no strong single effect
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    for word in ("Manhattan plot", "Calibration on shuffled genotypes", "Genes as sets", "LDLR"):
        assert word in text
    assert len(list(tmp_path.glob("*.png"))) == 6
