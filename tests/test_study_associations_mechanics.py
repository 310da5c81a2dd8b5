"""[[associate]] and [[evidence]] of a study file: strata, modifiers, volume, layers, hypotheses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from radgen.associate import Hypotheses, replicate, scan
from radgen.errors import ConfigError
from radgen.study import Study
from radgen.types import Covariates, OmicsTable, PhenotypeTable

N = 120

STUDY = """
[study]
name = "Layers"
seed = 1

[features.table]
path = "features.csv"
id = "ID"

[clinical]
path = "clinic.csv"
id = "ID"

[clinical.columns]
age = "number"
sex = "category"
site = "category"

[omics.rna]
path = "rna.tsv"
layer = "expression"
scale = "log2"
tcga = true

[omics.methylation]
path = "beta.csv"
layer = "methylation"
scale = "beta"

[omics.mutations]
path = "calls.maf"
layer = "mutation"
assayed = "sequenced.txt"
panel = "panel.txt"
tcga = true

[[associate]]
name = "Genes"
layer = "rna"
covariates = ["age", "sex"]
adjust_phenotypes = ["volume"]
transform = "none"

[[associate]]
name = "By site"
layer = "rna"
by = "site"

[[associate]]
name = "Sex changes it"
layer = "rna"
covariates = ["sex"]
modifier = "sex"

[[evidence]]
name = "Layers agree"
layers = ["rna", "methylation", "mutations"]
covariates = ["age"]
phenotypes = ["f*"]
adjust_phenotypes = ["volume"]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gene G1 drives f0 by itself and its methylation; G2 drives f1 in women; volume drives f2."""
    root = tmp_path_factory.mktemp("layers")
    rng = np.random.default_rng(6)
    ids = [f"TCGA-AA-{k:04d}" for k in range(N)]
    genes = [f"G{j}" for j in range(5)]
    rna = rng.normal(size=(N, 5))
    female = rng.random(N) < 0.5
    volume = rng.normal(size=N)
    rna[:, 3] += volume
    features = rng.normal(size=(N, 3))
    features[:, 0] += rna[:, 1]
    features[:, 1] += 1.5 * rna[:, 2] * female
    features[:, 2] += 2 * volume
    pl.DataFrame(
        {"ID": ids, "volume": volume} | {f"f{j}": features[:, j] for j in range(3)}
    ).write_csv(root / "features.csv")
    pl.DataFrame(
        {
            "ID": ids,
            "age": rng.normal(60, 9, N),
            "sex": np.where(female, "F", "M"),
            "site": np.where(np.arange(N) % 2, "north", "south"),
        }
    ).write_csv(root / "clinic.csv")
    tumours = {f"{name}-01A": rna[k] for k, name in enumerate(ids)}
    normals = {f"{name}-11A": rng.normal(size=5) for name in ids[:20]}
    pl.DataFrame({"gene": genes} | normals | tumours).write_csv(root / "rna.tsv", separator="\t")
    beta = 1 / (1 + np.exp(rna + rng.normal(size=rna.shape)))
    pl.DataFrame({"gene": genes} | dict(zip(ids, beta, strict=True))).write_csv(root / "beta.csv")
    rows = [("G0", "Missense_Mutation", f"{name}-01A") for name in ids[:100:4]]
    columns = ["Hugo_Symbol", "Variant_Classification", "Tumor_Sample_Barcode"]
    pl.DataFrame(rows, schema=columns, orient="row").write_csv(root / "calls.maf", separator="\t")
    (root / "sequenced.txt").write_text("\n".join(f"{name}-01A" for name in ids[:100]))
    (root / "panel.txt").write_text("G0\nTP53\n")
    return root


@pytest.fixture(scope="module")
def run(folder: Path):  # type: ignore[no-untyped-def]
    (folder / "study.toml").write_text(STUDY, "utf-8")
    study = Study.load(folder / "study.toml")
    assert study.check() == []
    return study.run(folder / "out")


def _of(run, name: str):  # type: ignore[no-untyped-def]
    return next(item.result for item in run.analyses if item.name == name)


def test_volume_is_adjusted_for_and_not_tested(folder: Path, run) -> None:  # type: ignore[no-untyped-def]
    result = _of(run, "Genes")
    assert set(result.frame["phenotype"].cast(pl.String)) == {"f0", "f1", "f2"}
    table = pl.read_csv(folder / "features.csv")
    clinic = pl.read_csv(folder / "clinic.csv")
    rna = pl.read_csv(folder / "rna.tsv", separator="\t")
    tumours = [name for name in rna.columns[1:] if name.endswith("-01A")]
    z = np.column_stack([clinic["age"], clinic["sex"] == "M", table["volume"]])
    direct = scan(
        PhenotypeTable.from_frame(table.drop("volume"), sample="ID"),
        OmicsTable(
            tuple(name[:12] for name in tumours), tuple(rna["gene"]),
            rna.select(tumours).to_numpy().T, "expression", "log2",
        ),
        Covariates(tuple(table["ID"]), ("age", "sex=M", "volume"), z.astype(float)),
    )  # fmt: skip
    np.testing.assert_allclose(
        result.frame["log10p"].to_numpy(), direct.frame["log10p"].to_numpy(), rtol=1e-9
    )
    row = result.frame.filter((pl.col("phenotype") == "f2") & (pl.col("omics") == "G3"))
    assert row["p"][0] > 0.01


def test_strata_and_modifiers_of_a_study(run) -> None:  # type: ignore[no-untyped-def]
    strata = _of(run, "By site").frame
    assert set(strata["stratum"].cast(pl.String)) == {"north", "south"}
    changed = _of(run, "Sex changes it")
    assert changed.params["modifier"] == "sex=M"
    hit = changed.significant().row(0, named=True)
    assert (hit["phenotype"], hit["omics"]) == ("f1", "G2")
    assert hit["effect"] < 0


def test_layers_are_combined_in_a_study(run) -> None:  # type: ignore[no-untyped-def]
    result = _of(run, "Layers agree")
    first = result.frame.row(0, named=True)
    assert (first["gene"], first["phenotype"]) == ("G1", "f0")
    assert "expression and methylation agree" in first["agreement"]
    mutated = result.frame.filter(pl.col("gene") == "G0")
    assert set(mutated["n_layers"]) == {3}
    assert "evidence across layers" in run.report.read_text("utf-8")


def test_what_a_study_found_is_locked_for_the_next(folder: Path, run) -> None:  # type: ignore[no-untyped-def]
    locked = Hypotheses.load(run.out / "tables" / "associate-genes-hypotheses.json")
    pairs = set(locked.frame.select("phenotype", "omics").iter_rows())
    assert ("f0", "G1") in pairs
    table = pl.read_csv(folder / "features.csv")
    rna = pl.read_csv(folder / "rna.tsv", separator="\t")
    ids = [name for name in rna.columns[1:] if name.endswith("-01A")]
    clinic = pl.read_csv(folder / "clinic.csv")
    z = np.column_stack([clinic["age"], clinic["sex"] == "M", table["volume"]]).astype(float)
    again = replicate(
        locked,
        PhenotypeTable.from_frame(table, sample="ID"),
        [OmicsTable(tuple(n[:12] for n in ids), tuple(rna["gene"]),
                    rna.select(ids).to_numpy().T, "expression", "log2")],
        Covariates(tuple(table["ID"]), ("age", "sex=M", "volume"), z),
    )  # fmt: skip
    assert again.frame["replicated"].all()


def test_wrong_names_are_found_before_anything_runs(folder: Path) -> None:
    text = STUDY.replace('by = "site"', 'by = "sites"')
    text = text.replace('layers = ["rna", "methylation"', 'layers = ["rnas", "methylation"')
    text = text.replace('adjust_phenotypes = ["volume"]', 'adjust_phenotypes = ["volumes"]')
    (folder / "wrong.toml").write_text(text, "utf-8")
    words = " ".join(str(item) for item in Study.load(folder / "wrong.toml").check())
    assert "sites" in words
    assert "'rnas'" in words
    assert "volumes" in words
    (folder / "wrong.toml").write_text(STUDY.replace('modifier = "sex"', 'modifier = "age"'))
    with pytest.raises(ConfigError, match="modifier is one of the covariates"):
        Study.load(folder / "wrong.toml")
