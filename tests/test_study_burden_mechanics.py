"""[[burden]] of a study: what the function gives, relatives and other genotypes, and mistakes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from radgen.associate import burden
from radgen.errors import ConfigError
from radgen.genome import grm
from radgen.io import open_genotypes, read_gene_sets
from radgen.sim.write import write_plink
from radgen.study import Study
from radgen.types import GenotypeMatrix
from radgen.types.genotype import ArrayDosages

N = 200
STUDY = """
[study]
name = "Rare"

[features.table]
path = "features.csv"
id = "id"

[clinical]
path = "clinical.csv"
id = "id"

[clinical.columns]
age = "number"

[genotypes]
path = "array.bed"
id_rule = { strip_prefix = "G-" }
max_kinship = 0.5           # 60 variants tell no relatives
"""
BURDEN = """
[[burden]]
name = "Rare variants"
genotypes = "exomes.bed"
sets = "sets.txt"
phenotypes = ["f0"]
covariates = ["age"]
max_maf = [0.02, 0.05]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write 200 people, an array of common variants, and exomes in which one gene acts."""
    rng = np.random.default_rng(8)
    ids = [f"P{k:03d}" for k in range(N)]
    for name, frequency, count in (
        ("array", rng.uniform(0.1, 0.5, 60), 60), ("exomes", rng.uniform(0.004, 0.03, 40), 40),
    ):  # fmt: skip
        dosage = rng.binomial(2, frequency[:, None], (count, N)).astype(np.float32)
        if name == "exomes":
            rare = dosage
        variants = pl.DataFrame(
            {"chrom": ["1"] * count, "pos": np.arange(1, count + 1) * 1000,
             "ref": ["A"] * count, "alt": ["G"] * count,
             "id": [f"{name}{k}" for k in range(count)]}
        )  # fmt: skip
        matrix = GenotypeMatrix(tuple(f"G-{i}" for i in ids), variants, ArrayDosages(dosage))
        write_plink(matrix, tmp_path / f"{name}.bed")
    (tmp_path / "sets.txt").write_text(
        "".join(f"GENE{k // 10} exomes{k}\n" for k in range(40)), encoding="utf-8"
    )
    age = rng.normal(60, 8, N)
    f0 = rng.normal(size=N) + 1.6 * (rare[:10].sum(axis=0) > 0) + 0.02 * age
    pl.DataFrame({"id": ids, "f0": f0, "f1": rng.normal(size=N)}).write_csv(
        tmp_path / "features.csv"
    )
    pl.DataFrame({"id": ids, "age": age}).write_csv(tmp_path / "clinical.csv")
    return tmp_path


def _study(folder: Path, text: str) -> Study:
    (folder / "study.toml").write_text(STUDY + text, encoding="utf-8")
    return Study.load(folder / "study.toml")


def _tables(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    features = pl.read_csv(folder / "features.csv").select(sample="id", f0="f0")
    return features, pl.read_csv(folder / "clinical.csv").rename({"id": "sample"})


def _opened(folder: Path, name: str) -> GenotypeMatrix:
    found = open_genotypes(folder / f"{name}.bed")
    return replace(found, samples=tuple(s.removeprefix("G-") for s in found.samples))


def test_a_burden_block_is_what_the_function_gives(folder: Path) -> None:
    raw = BURDEN + 'transform = "none"\n'
    study = _study(folder, raw)
    assert study.check() == []
    run = study.run(folder / "out")
    assert run.complete, run.failures
    found = run.results["Rare variants"].frame
    exomes = _opened(folder, "exomes")
    traits, ages = _tables(folder)
    expected = burden(
        exomes, traits, read_gene_sets(folder / "sets.txt"), ages, max_maf=[0.02, 0.05]
    ).frame
    assert found.select("set", "max_maf", "n_variants").equals(
        expected.select("set", "max_maf", "n_variants")
    )
    for name in ("p_burden", "p_skat", "p_skato", "p_acatv", "beta_mask"):
        assert found[name].to_list() == pytest.approx(expected[name].to_list(), rel=1e-9)
    assert found.sort("p_skato")["set"][0] == "GENE0"
    page = run.report.read_text(encoding="utf-8")
    assert "SKAT-O and ACAT-V under a linear model" in page
    assert "Sets of rare variants have no lower limit of frequency." in page


def test_relatives_are_modelled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("radgen.study.study.write_study_report", lambda *_: Path("none"))
    text = BURDEN + 'transform = "none"\nkinship = "array.bed"\n'
    run = _study(folder, text).run(folder / "out")
    found = run.results["Rare variants"]
    exomes = _opened(folder, "exomes")
    traits, ages = _tables(folder)
    expected = burden(
        exomes, traits, read_gene_sets(folder / "sets.txt"), ages, max_maf=[0.02, 0.05],
        kinship=grm(_opened(folder, "array")),
    )  # fmt: skip
    assert found.frame["p_skato"].to_list() == pytest.approx(
        expected.frame["p_skato"].to_list(), rel=1e-9
    )
    assert "covariance of a random effect" in found.methods()


def test_mistakes_are_told_before_the_run(folder: Path) -> None:
    (folder / "sets.txt").write_text("GENE0 elsewhere1\n", encoding="utf-8")
    problems = [str(item) for item in _study(folder, BURDEN).check()]
    assert any("No variant of the sets (elsewhere1) is in the genotypes" in p for p in problems)
    lost = BURDEN.replace("sets.txt", "none.txt").replace('["age"]', '["aeg"]')
    problems = [str(item) for item in _study(folder, lost).check()]
    assert any("There is no file" in text for text in problems)
    assert any("No clinical column is named 'aeg'" in text for text in problems)
    with pytest.raises(ConfigError, match="masks need annotations"):
        _study(folder, BURDEN + 'masks = "masks.txt"\n')
    with pytest.raises(ConfigError, match="set one of them"):
        _study(folder, BURDEN + 'kinship = "array.bed"\nloco = "loco.parquet"\n')
