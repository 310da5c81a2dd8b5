"""Modules, trees, gene sets, masks, surrogates and signatures of a study file; the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from radgen.associate import surrogate
from radgen.cli.app import app
from radgen.errors import ConfigError
from radgen.study import Study
from radgen.types import OmicsTable, Outcome, PhenotypeTable

N, IMAGED = 140, 80

STUDY = """
[study]
name = "Genes"
seed = 1

[features.table]
path = "features.csv"
id = "ID"

[clinical]
path = "clinic.csv"
id = "ID"

[clinical.columns]
age = "number"

[clinical.survival.overall]
time = "days"
event = "dead"
event_values = ["1"]
censored_values = ["0"]
unit = "days"

[omics.rna]
path = "rna.tsv"
layer = "expression"
scale = "log2"

[[modules]]
name = "Modules"
layer = "rna"
min_size = 8
covariates = ["age"]

[[tree]]
name = "Trees"
layer = "rna"
gene_sets = "sets.gmt"

[[enrich]]
name = "Sets"
layer = "rna"
gene_sets = "sets.gmt"
covariates = ["age"]

[[mask]]
name = "Masks"
layer = "rna"
gene_sets = "sets.gmt"
phenotypes = ["rim"]
n_random = 50
permutations = 50

[[surrogate]]
name = "Surrogates"
layer = "rna"
outcome = "overall"
transform = "none"
bootstraps = 20
permutations = 39

[[surrogate]]
name = "Genes from images"
layer = "rna"
predict = "layer"
transform = "none"
phenotypes = ["rim", "other", "third"]
permutations = 39

[[signature]]
name = "Score"
card = "score.toml"
layers = ["rna"]
outcome = "overall"
"""

CARD = """
schema = 1
name = "score"
title = "Two genes"
version = "1"
sources = ["10.1000/1"]
what = "g0 less g25"
[[inputs]]
name = "g0"
[[inputs]]
name = "g25"
[weights]
g0 = 1.0
g25 = -1.0
"""


def _cohort(folder: Path) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    ids = [f"p{i}" for i in range(N)]
    programs = rng.standard_normal((N, 2))
    x = 0.4 * rng.standard_normal((N, 50))
    x[:, :20] += programs[:, :1]
    x[:, 20:40] += programs[:, 1:]
    rim = programs[:, 0] + 0.4 * rng.standard_normal(N)
    time = 100 * rng.exponential(np.exp(-0.9 * rim))
    dead = rng.random(N) < 0.8
    genes = [f"g{j}" for j in range(50)]
    pl.DataFrame(
        {"ID": ids[:IMAGED], "rim": rim[:IMAGED]}
        | {name: rng.standard_normal(IMAGED) for name in ("other", "third")}
    ).write_csv(folder / "features.csv")
    pl.DataFrame(
        {"ID": ids, "age": rng.normal(60, 9, N), "days": time, "dead": dead.astype(int)}
    ).write_csv(folder / "clinic.csv")
    pl.DataFrame({"gene": genes} | {s: x[k] for k, s in enumerate(ids)}).write_csv(
        folder / "rna.tsv", separator="\t"
    )
    lines = [("first", genes[:20]), ("second", genes[20:40]), ("rest", genes[40:])]
    (folder / "sets.gmt").write_text(
        "".join("\t".join([name, "", *own]) + "\n" for name, own in lines)
    )
    (folder / "score.toml").write_text(CARD)
    (folder / "study.toml").write_text(STUDY)
    return {"x": x, "rim": rim, "time": time, "dead": dead}


def test_gene_side_analyses_of_a_study(tmp_path: Path) -> None:
    data = _cohort(tmp_path)
    run = Study.load(tmp_path / "study.toml").run(tmp_path / "out")
    found = {path.stem: path for path in (tmp_path / "out" / "tables").glob("*.parquet")}
    tables = {name: pl.read_parquet(path) for name, path in found.items()}
    assert run is not None
    best = tables["modules-modules"].sort("p").row(0, named=True)
    assert best["phenotype"] == "rim"
    root = tables["tree-trees"].filter(pl.col("node") == 0)
    assert dict(root.select("module", "trait").iter_rows())["first"] == "rim"
    sets = tables["enrich-sets"].sort("p").row(0, named=True)
    assert (sets["phenotype"], sets["set"]) == ("rim", "first")
    masks = tables["mask-masks"].sort("kept", descending=True)
    assert masks["set"][0] == "first"
    row = tables["surrogate-surrogates"].filter(pl.col("trait") == "rim").row(0, named=True)
    assert row["n"] == IMAGED
    assert row["n_carried"] == N - IMAGED
    ids, genes = [f"p{i}" for i in range(N)], [f"g{j}" for j in range(50)]
    one, two = (
        OmicsTable(ids[a], genes, data["x"][a], "expression", "log2")
        for a in (slice(IMAGED), slice(IMAGED, N))
    )
    images = PhenotypeTable.from_frame({"sample": ids[:IMAGED], "rim": data["rim"][:IMAGED]})
    death = Outcome("overall", "censored", tuple(ids), data["time"], data["dead"])
    same = surrogate(one, images, two, death, bootstraps=20, permutations=39).table
    assert row["log_hazard"] == pytest.approx(same["log_hazard"][0])
    genes_told = tables["surrogate-genes-from-images"]
    assert genes_told.height == 50
    told = genes_told.filter(pl.col("trait").is_in([f"g{j}" for j in range(20)]))["held_out"]
    free = genes_told.filter(pl.col("trait").is_in([f"g{j}" for j in range(20, 50)]))["held_out"]
    assert told.min() > 0.4 > free.max()
    score = tables["signature-score"]
    assert score["measure"].to_list()[0] == "c_index"
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    for words in ("Tree of image traits", "Prediction of held-out samples", "Two genes",
                  "Modules and image traits"):  # fmt: skip
        assert words in page


def test_wrong_names_are_listed_before_anything_runs(tmp_path: Path) -> None:
    _cohort(tmp_path)
    text = STUDY.replace('gene_sets = "sets.gmt"', 'gene_sets = "none.gmt"')
    text = text.replace('card = "score.toml"', 'card = "cytt"').replace(
        'outcome = "overall"', 'outcome = "overal"'
    )
    (tmp_path / "study.toml").write_text(text.replace('layer = "rna"', 'layer = "rnaa"'))
    with pytest.raises(ConfigError) as error:
        Study.load(tmp_path / "study.toml").run(tmp_path / "out")
    message = str(error.value)
    assert "none.gmt" in message
    assert "'cytt'" in message
    assert "'overal'" in message
    assert "'rnaa'" in message


def test_the_command_learns_and_carries(tmp_path: Path) -> None:
    _cohort(tmp_path)
    whole = pl.read_csv(tmp_path / "rna.tsv", separator="\t")
    ids = whole.columns[1:]
    whole.select("gene", *ids[:IMAGED]).write_csv(tmp_path / "one.tsv", separator="\t")
    whole.select("gene", *ids[IMAGED:]).write_csv(tmp_path / "two.tsv", separator="\t")
    out = tmp_path / "out"
    first = f"expression:log2={tmp_path / 'one.tsv'}"
    common = ["surrogate", "--predictors", first, "--traits", str(tmp_path / "features.csv"),
              "--out", str(out), "--permutations", "39"]  # fmt: skip
    second = ["--carry", f"expression:log2={tmp_path / 'two.tsv'}", "--outcomes",
              str(tmp_path / "clinic.csv"), "--time", "days", "--event", "dead", "--adjust", "age",
              "--bootstraps", "20"]  # fmt: skip
    found = CliRunner().invoke(app, [*common, *second])
    assert found.exit_code == 0, found.output
    assert "hazard ratio" in found.output
    table = pl.read_csv(out / "surrogate.csv")
    assert table.filter(pl.col("trait") == "rim")["n_carried"][0] == N - IMAGED
    assert (out / "report.html").exists()
    alone = CliRunner().invoke(app, common)
    assert alone.exit_code == 0
    assert "hazard" not in alone.output
    half = CliRunner().invoke(app, [*common, *second[:2]])
    assert half.exit_code != 0
    assert "--outcomes" in f"{half.output} {half.exception}"
