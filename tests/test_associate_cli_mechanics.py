"""``radgen associate`` and ``radgen replicate`` from files, and the same calls from Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from radgen.associate import Hypotheses, LayerFile, read_scan_inputs, scan
from radgen.cli.app import app
from radgen.errors import InputError
from radgen.io import IdRule


def _call(*arguments: object) -> tuple[int, str]:
    found = CliRunner().invoke(app, [str(item) for item in arguments])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        return 2, str(found.exception)
    return found.exit_code, found.output


def _hospital(folder: Path, seed: int, n: int = 120) -> dict[str, Path]:
    """Two planted pairs: KRAS drives f0, G1 drives f1; f3 is nothing but age."""
    rng = np.random.default_rng(seed)
    ids = [f"TCGA-{seed:02d}-{k:04d}" for k in range(n)]
    age, sex = rng.normal(60, 9, n), rng.choice(["F", "M"], n)
    kras, egfr = (rng.random(n) < 0.4), (rng.random(n) < 0.25)
    rna = rng.normal(size=(n, 4))
    x = rng.normal(size=(n, 4))
    x[:, 0] += 1.2 * kras
    x[:, 1] += 0.8 * rna[:, 1]
    x[:, 3] += 0.3 * (age - 60)
    rna[:, 3] += 0.2 * (age - 60)
    pl.DataFrame({"ID": ids} | {f"f{j}": x[:, j] for j in range(4)}).write_csv(
        folder / f"{seed}-features.csv"
    )
    site = np.where(np.arange(n) % 2, "north", "south")
    pl.DataFrame({"ID": ids, "age": age, "sex": sex, "site": site}).write_csv(
        folder / f"{seed}-clinic.csv"
    )
    longer = [f"{item}-01A" for item in ids]
    pl.DataFrame(
        {"gene": [f"G{j}" for j in range(4)]} | {s: rna[k] for k, s in enumerate(longer)}
    ).write_csv(folder / f"{seed}-rna.tsv", separator="\t")
    rows = [
        (gene, "Missense_Mutation", f"{item}-01A")
        for gene, carriers in (("KRAS", kras), ("EGFR", egfr))
        for item, yes in zip(ids, carriers, strict=True)
        if yes
    ]
    names = ["Hugo_Symbol", "Variant_Classification", "Tumor_Sample_Barcode"]
    pl.DataFrame(rows, schema=names, orient="row").write_csv(
        folder / f"{seed}-calls.maf", separator="\t"
    )
    (folder / f"{seed}-ids.txt").write_text("\n".join(longer))
    (folder / f"{seed}-panel.txt").write_text("KRAS\nEGFR\nTP53\n")
    return {
        key: folder / f"{seed}-{file}"
        for key, file in {
            "features": "features.csv", "clinic": "clinic.csv", "rna": "rna.tsv",
            "maf": "calls.maf", "ids": "ids.txt", "panel": "panel.txt",
        }.items()
    }  # fmt: skip


def _options(files: dict[str, Path]) -> list[object]:
    return [
        "--phenotypes", files["features"], "--omics", f"expression:log2={files['rna']}",
        "--omics", f"mutation={files['maf']}", "--clinical", files["clinic"],
        "--sequenced", files["ids"], "--panel", files["panel"], "--id-first", 12,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Path], str]:
    folder = tmp_path_factory.mktemp("associate")
    files = _hospital(folder, 1)
    code, output = _call(
        "associate", *_options(files), "--adjust", "age,sex", "--out", folder / "found"
    )
    assert code == 0, output
    return folder, files, output


def test_found_locked_and_written(done: tuple[Path, dict[str, Path], str]) -> None:
    folder, _, output = done
    pairs = pl.read_parquet(folder / "found" / "pairs.parquet")
    assert pairs.height == 4 * (4 + 2)
    assert "f0 is higher in the" in output
    assert "would have been found with 80 % power" not in output.splitlines()[0]
    locked = Hypotheses.load(folder / "found" / "hypotheses.json")
    found = set(locked.frame.select("phenotype", "omics").iter_rows())
    assert {("f0", "KRAS"), ("f1", "G1")} <= found
    assert ("f3", "G3") not in found  # age explains it
    assert locked.params["covariates"] == ["age", "sex=M"]
    assert (folder / "found" / "report.html").stat().st_size > 50_000


def test_python_gives_the_same(done: tuple[Path, dict[str, Path], str]) -> None:
    folder, files, _ = done
    layers = [LayerFile(files["rna"], "expression", "log2"), LayerFile(files["maf"], "mutation")]
    inputs = read_scan_inputs(
        files["features"], layers, clinical=files["clinic"], adjust=("age", "sex"),
        sequenced=files["ids"], panel=files["panel"], id_rule=IdRule(first=12),
    )  # fmt: skip
    table = scan(inputs.phenotypes, inputs.layers, inputs.covariates).table
    stored = pl.read_parquet(folder / "found" / "pairs.parquet")
    keys = ["phenotype", "omics"]
    np.testing.assert_allclose(
        stored.with_columns(pl.col(pl.Enum).cast(pl.String)).sort(keys)["log10p"].to_numpy(),
        table.sort(keys)["log10p"].to_numpy(),
        rtol=1e-12,
    )


def test_replicates_in_another_hospital(done: tuple[Path, dict[str, Path], str]) -> None:
    folder, _, _ = done
    files = _hospital(folder, 2)
    locked = folder / "found" / "hypotheses.json"
    code, output = _call("replicate", locked, *_options(files), "--out", folder / "again")
    assert code == 0, output
    table = pl.read_parquet(folder / "again" / "replication.parquet")
    true = table.filter(pl.col("omics").is_in(["KRAS", "G1"]) & pl.col("replicated"))
    assert {("f0", "KRAS"), ("f1", "G1")} <= set(true.select("phenotype", "omics").iter_rows())
    assert "after correction for selection" in output
    # Without the clinical table the same model cannot be fitted.
    bare = _options(files)
    place = bare.index("--clinical")
    code, output = _call("replicate", locked, *bare[:place], *bare[place + 2 :], "--out", folder)
    assert code == 2
    assert "columns of a clinical table" in output


def test_nulls_come_with_what_would_have_been_found(
    done: tuple[Path, dict[str, Path], str],
) -> None:
    folder, files, _ = done
    code, output = _call(
        "associate", *_options(files), "--features", "EGFR", "--traits", "f2", "--out",
        folder / "null", "--by", "site",
    )  # fmt: skip
    assert code == 0, output
    assert "No evidence that f2 goes with a EGFR mutation" in output
    assert "would have been found with 80 % power" in output
    assert "no hypothesis is locked" in output
    pairs = pl.read_parquet(folder / "null" / "pairs.parquet")
    assert sorted(pairs["stratum"].cast(pl.String)) == ["north", "south"]


def test_lesions_volume_and_max_t(done: tuple[Path, dict[str, Path], str]) -> None:
    folder, files, _ = done
    features = pl.read_csv(files["features"])
    lesions = pl.concat(
        [
            features.with_columns(
                pl.col("ID").alias("patient"),
                pl.col("ID") + f"-L{k}",
                *(pl.col(f"f{j}") + 0.1 * k for j in range(4)),
            )
            for k in range(2)
        ]
    )
    lesions.write_csv(folder / "lesions.csv")
    rest = _options(files)[2:-2]
    code, output = _call(
        "associate", "--phenotypes", folder / "lesions.csv", "--patient", "patient",
        "--adjust-phenotypes", "f2", "--omics", f"mutation={_matrix(folder, files)}",
        "--out", folder / "lesions",
    )  # fmt: skip
    assert code == 0, output
    pairs = pl.read_parquet(folder / "lesions" / "pairs.parquet")
    assert set(pairs["test"].cast(pl.String)) == {"mixed"}
    assert set(pairs["phenotype"].cast(pl.String)) == {"f0", "f1", "f3"}
    code, output = _call(
        "associate", "--phenotypes", files["features"], *rest[:2], "--id-first", 12,
        "--permutations", 50, "--transform", "rank", "--lock-by", "p_maxt", "--out", folder / "max",
    )  # fmt: skip
    assert code == 0, output
    assert "pass max-T with 50 permutations" in output


def _matrix(folder: Path, files: dict[str, Path]) -> Path:
    calls = pl.read_csv(files["maf"], separator="\t")
    ids = [line[:12] for line in files["ids"].read_text().splitlines()]
    mutated = calls.filter(pl.col("Hugo_Symbol") == "KRAS")["Tumor_Sample_Barcode"].str.slice(0, 12)
    frame = pl.DataFrame({"ID": ids}).with_columns(pl.col("ID").is_in(mutated).cast(int).alias("K"))
    frame.write_csv(folder / "genes.csv")
    return folder / "genes.csv"


def test_layers_of_a_gene_are_combined(done: tuple[Path, dict[str, Path], str]) -> None:
    folder, files, _ = done
    both = [*_options(files), "--omics", f"protein:log2={files['rna']}", "--adjust", "age"]
    both += ["--combine", "cauchy"]
    code, output = _call("associate", *both, "--out", folder / "layers")
    assert code == 0, output
    assert "expression and protein agree: higher with activity of the gene" in output
    frame = pl.read_parquet(folder / "layers" / "evidence.parquet")
    assert frame["gene"][0] == "G1"
    assert "Cauchy combination" in (folder / "layers" / "report.html").read_text("utf-8")
    code, output = _call("associate", *both, "--by", "site", "--out", folder / "layers2")
    assert code == 2
    assert "not with strata" in output


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--omics", "rna.tsv"], "layer=file"),
        (["--omics", "expresion=rna.tsv"], "Did you mean 'expression'"),
        (["--adjust", "agee"], "Did you mean 'age'"),
        (["--traits", "f9"], "No phenotype is named 'f9'"),
        (["--features", "KRASS"], "Did you mean 'KRAS'"),
        (["--ordinal", "f9"], "phenotype"),
        (["--patient", "who"], "No table has a column 'who'"),
        (["--test", "liner"], "Did you mean 'linear'"),
    ],
)
def test_wrong_requests_are_explained(
    done: tuple[Path, dict[str, Path], str], change: list[str], words: str
) -> None:
    folder, files, _ = done
    code, output = _call("associate", *_options(files), *change, "--out", folder / "wrong")
    assert code == 2
    assert words in output


def test_a_list_of_sequenced_samples_is_no_matrix(tmp_path: Path) -> None:
    from radgen.io import read_layer

    with pytest.raises(InputError, match="are for mutation lists"):
        read_layer(tmp_path / "genes.csv", layer="mutation", sequenced=["a"])
    with pytest.raises(InputError, match="holds mutations"):
        read_layer(tmp_path / "genes.maf", layer="expression")


def test_one_extreme_sample_is_pointed_at() -> None:
    from radgen.types import OmicsTable, PhenotypeTable

    rng = np.random.default_rng(5)
    ids = [f"s{i}" for i in range(60)]
    y, x = rng.normal(size=(60, 2)), rng.normal(size=(60, 2))
    y[7, 0], x[7, 0] = 1e6, 1e3
    images = PhenotypeTable.from_frame({"sample": ids, "a": y[:, 0], "b": y[:, 1]})
    rna = OmicsTable(ids, ["G", "H"], x, "expression", "log2")
    result = scan(images, rna)
    table = result.table
    odd = table.filter((pl.col("phenotype") == "a") & (pl.col("omics") == "G"))
    assert odd["p"][0] < 1e-30
    assert odd["status"][0] == "warning"
    assert "one sample alone" in odd["reason"][0]
    assert table.filter(pl.col("status") == "ok").height == 1
    assert any("phenotypes (a)" in line for line in result.warnings)
    rank = scan(images, rna.take(columns=[1]), transform="rank").table
    assert rank["status"].to_list() == ["ok", "ok"]
    assert rank["p"].min() > 0.01
