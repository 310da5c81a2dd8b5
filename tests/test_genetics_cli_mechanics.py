"""The genetics commands, run as a user runs them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from radgen.cli.app import app
from radgen.errors import InputError
from radgen.io import open_genotypes


@pytest.fixture(scope="module")
def run():
    runner = CliRunner()

    def call(*arguments):
        result = runner.invoke(app, [str(item) for item in arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    return call


@pytest.fixture(scope="module")
def folder(data):
    return data("genetics/regenie_example")


def test_scan_structure_and_scores(run, folder, tmp_path):
    bed = folder / "example.bed"
    text = run(
        "gwas", "--genotypes", bed, "--phenotypes", folder / "phenotype.txt",
        "--covariates", folder / "covariates.txt", "--out", tmp_path / "scan.parquet",
        "--traits", "Y1",
    )  # fmt: skip
    assert "1,000 variants were tested against 1 trait in 500 people" in text
    scan = pl.read_parquet(tmp_path / "scan.parquet")
    assert scan.height == 1000

    assert "kept" in run("genotypes", "ld", "--genotypes", bed, "--out", tmp_path / "in.txt")
    use = ("--genotypes", bed, "--variants", tmp_path / "in.txt")
    run("genotypes", "pca", *use, "--components", 3, "--out", tmp_path / "pcs.tsv")
    assert pl.read_csv(tmp_path / "pcs.tsv", separator="\t").columns == [
        "sample",
        "PC1",
        "PC2",
        "PC3",
    ]
    run("genotypes", "grm", *use, "--out", tmp_path / "grm.parquet")
    text = run(
        "heritability", "--kinship", tmp_path / "grm.parquet",
        "--phenotypes", folder / "phenotype.txt", "--out", tmp_path / "h2.tsv",
    )  # fmt: skip
    assert "heritability" in text
    text = run("genotypes", "qc", "--genotypes", bed, "--out", tmp_path / "qc", "--min-maf", 0.05)
    assert "passed quality control" in text

    top = scan.sort("log10p").head(20).select("id", "p")
    top.write_parquet(tmp_path / "top.parquet")
    clumps = tmp_path / "clumps.tsv"
    run(
        "genotypes", "clump", "--genotypes", bed, "--results", tmp_path / "top.parquet",
        "--p1", 0.05, "--p2", 0.05, "--out", clumps,
    )  # fmt: skip
    assert pl.read_csv(clumps, separator="\t").height > 0
    weights = scan.head(30).select("id", allele="alt", weight="beta")
    weights.write_parquet(tmp_path / "weights.parquet")
    text = run(
        "score", "--genotypes", bed, "--weights", tmp_path / "weights.parquet",
        "--out", tmp_path / "scores.tsv",
    )  # fmt: skip
    assert "30 of 30 weights found" in text
    learned = ("--phenotypes", folder / "phenotype.txt", "--traits", "Y1", "--folds", 3)
    text = run(
        "score", "--genotypes", bed, *learned, "--out", tmp_path / "own.tsv",
        "--save-weights", tmp_path / "own_weights.tsv", "--picture", tmp_path / "own.png",
    )  # fmt: skip
    assert "who were not fitted" in text
    assert (tmp_path / "own.png").stat().st_size > 1000
    use = ("--weights", tmp_path / "own_weights.tsv", "--out", tmp_path / "again.tsv")
    assert "weights found in" in run("score", "--genotypes", bed, *use)
    for wrong in (("--out", tmp_path / "x.tsv"), (*use, *learned[:2])):
        call = ["score", "--genotypes", bed, *wrong]
        result = CliRunner().invoke(app, [str(item) for item in call])
        assert isinstance(result.exception, InputError), wrong


def test_two_steps(run, folder, tmp_path):
    bed = folder / "example_3chr.bed"
    use = ("--genotypes", bed, "--covariates", folder / "covariates.txt", "--traits", "Y1")
    for model, table in (("linear", "phenotype.txt"), ("logistic", "phenotype_bin_wNA.txt")):
        step = tmp_path / f"{model}.parquet"
        both = (*use, "--phenotypes", folder / table, "--model", model)
        text = run("background", *both, "--block-size", 100, "--out", step)
        assert "all chromosomes together predict" in text
        assert pl.read_parquet(step)["chrom"].n_unique() == 3
        run("gwas", *both, "--loco", step, "--out", tmp_path / f"{model}_scan.parquet")
        scan = pl.read_parquet(tmp_path / f"{model}_scan.parquet")
        assert scan["p"].is_finite().sum() > 450
    scan = tmp_path / "mixed.parquet"
    mixed = ("--model", "lmm", "--kinship", bed, "--loco-kinship", "--out", scan)
    run("gwas", *use, "--phenotypes", folder / "phenotype.txt", *mixed)
    assert pl.read_parquet(scan)["p"].is_finite().sum() > 450


def test_relatives(run, tmp_path):
    rng = np.random.default_rng(3)
    parents = [(f"{i}{who}", "", "") for i in range(20) for who in "pm"]
    children = [(f"{i}{who}", f"{i}p", f"{i}m") for i in range(20) for who in "ab"]
    names = [row[0] for row in parents + children]
    pl.DataFrame(parents + children, schema=["id", "father", "mother"], orient="row").write_csv(
        tmp_path / "ped.csv"
    )
    house = rng.normal(size=20)
    y = {"id": names} | {
        f"y{j}": [house[int(n[:-1])] + rng.normal() for n in names] for j in range(2)
    }
    pl.DataFrame(y).write_csv(tmp_path / "y.csv")
    beside = pl.DataFrame(
        {"id": names, "age": rng.normal(size=80), "home": [n[:-1] for n in names]}
    )
    beside.write_csv(tmp_path / "c.csv")
    base = ("heritability", "--phenotypes", tmp_path / "y.csv", "--out", tmp_path / "h2.tsv")
    use = (*base, "--pedigree", tmp_path / "ped.csv")
    text = run(*use, "--covariates", tmp_path / "c.csv", "--household", "home")
    assert "share of the household" in text
    assert "genetic correlation" in run(*use, "--correlate")
    twins = pl.DataFrame({"id": names[40:], "pair": [n[:-1] for n in names[40:]]}).with_columns(
        zygosity=pl.Series(["MZ"] * 20 + ["DZ"] * 20)
    )
    twins.write_csv(tmp_path / "twins.csv")
    assert "identical" in run(*base, "--twins", tmp_path / "twins.csv")
    assert pl.read_csv(tmp_path / "h2.tsv", separator="\t").height == 2


def test_heritability_of_scans(run, data, tmp_path):
    bed = data("genetics/gcta_test") / "test.bed"
    names = open_genotypes(bed).samples
    values = np.random.default_rng(1).normal(size=(len(names), 2))
    traits = pl.DataFrame({"id": list(names), "Y1": values[:, 0], "Y2": values[:, 1]})
    traits.write_csv(tmp_path / "y.csv")
    scores = tmp_path / "scores.l2.ldscore.gz"
    text = run("genotypes", "ld-scores", "--genotypes", bed, "--out", scores, "--window", 50,
               "--unit", "variants")  # fmt: skip
    assert "LD scores of" in text
    use = ("--phenotypes", tmp_path / "y.csv", "--out", tmp_path / "scan.parquet")
    run("gwas", "--genotypes", bed, *use)
    base = ("heritability", "--ld-scores", scores, "--scans", tmp_path / "scan.parquet")
    picture = tmp_path / "h2.png"
    text = run(*base, "--out", tmp_path / "h2.tsv", "--picture", picture)
    assert "intercept" in text
    assert "unstable" in text
    assert pl.read_csv(tmp_path / "h2.tsv", separator="\t")["phenotype"].to_list() == ["Y1", "Y2"]
    assert picture.stat().st_size > 1000
    run(*base, "--correlate", "--panel-variants", 500, "--out", tmp_path / "rg.tsv")
    assert pl.read_csv(tmp_path / "rg.tsv", separator="\t").height == 1
    for wrong in (("--kinship", bed), ("--panel-variants", "odd"), ("--traits", "Y9")):
        result = CliRunner().invoke(
            app, [str(item) for item in (*base, "--out", tmp_path / "x.tsv", *wrong)]
        )
        assert isinstance(result.exception, InputError), wrong


def test_sets_and_meta(run, folder, tmp_path):
    bed = folder / "example_3chr.bed"
    rng = np.random.default_rng(0)
    sets = tmp_path / "sets.txt"
    sets.write_text("".join(f"g{rng.integers(5)} null_{i + 20}\n" for i in range(100)))
    text = run(
        "burden", "--genotypes", bed, "--phenotypes", folder / "phenotype.txt", "--sets", sets,
        "--max-maf", 0.5, "--traits", "Y1", "--out", tmp_path / "sets.tsv",
    )  # fmt: skip
    assert "5 tests of sets and traits were made" in text
    _sets_of_relatives(run, folder, tmp_path)
    frame = pl.DataFrame({"chrom": ["1"], "pos": [1], "ref": ["A"], "alt": ["C"]})
    frame = frame.with_columns(beta=pl.lit(0.1), se=pl.lit(0.05), n=pl.lit(100))
    for name in "ab":
        frame.write_parquet(tmp_path / f"{name}.parquet")
    run("meta", tmp_path / "a.parquet", tmp_path / "b.parquet", "--out", tmp_path / "m.tsv")
    assert pl.read_csv(tmp_path / "m.tsv", separator="\t")["z"][0] == pytest.approx(2 * 2**0.5)


def _sets_of_relatives(run, folder, tmp_path):
    """A kinship, and predictions of REGENIE, change the tests of sets."""
    common = (
        "burden", "--phenotypes", folder / "phenotype.txt", "--sets", tmp_path / "sets.txt",
        "--max-maf", 0.5, "--traits", "Y1", "--genotypes", folder / "example_3chr.bed",
    )  # fmt: skip
    (tmp_path / "sets.txt").write_text("g0 null_20\ng0 null_21\n")
    (tmp_path / "pred.list").write_text(f"Y1 {folder / 'ref_regenie_4.1.2' / 'fit_qt_1.loco'}\n")
    run(*common, "--out", tmp_path / "plain.tsv")
    run(*common, "--kinship", folder / "example.bed", "--out", tmp_path / "kin.tsv")
    run(*common, "--loco", tmp_path / "pred.list", "--out", tmp_path / "loco.tsv")
    p = [
        pl.read_csv(tmp_path / f"{name}.tsv", separator="\t")["p_skat"][0]
        for name in ("plain", "kin", "loco")
    ]
    assert len(set(p)) == 3


@pytest.mark.parametrize(
    ("test", "column"), [("manova", "wilks"), ("mostest", "mahalanobis"), ("max-t", "p_all")]
)
def test_all_traits_together(run, folder, tmp_path, test, column):
    text = run(
        "omnibus", "--genotypes", folder / "example.bed", "--phenotypes", folder / "phenotype.txt",
        "--test", test, "--permutations", 20, "--out", tmp_path / "joint.tsv",
    )  # fmt: skip
    assert "variants" in text
    assert column in pl.read_csv(tmp_path / "joint.tsv", separator="\t").columns


def test_voxels_are_scanned_and_mapped(run, tmp_path):
    import nibabel

    rng = np.random.default_rng(5)
    gene = rng.normal(size=25)
    (tmp_path / "images").mkdir()
    for person in range(25):
        values = rng.normal(size=(4, 5, 3)).astype(np.float32)
        values[1, 2, 1] += 3 * gene[person]
        image = nibabel.Nifti1Image(values, np.diag([2.0, 2, 2, 1]))
        nibabel.save(image, tmp_path / "images" / f"p{person}.nii.gz")
    names = [f"p{person}" for person in range(25)]
    table = pl.DataFrame({"sample": names, "TERT": gene, "other": rng.normal(size=25)})
    table.write_csv(tmp_path / "genes.tsv", separator="\t")
    text = run(
        "voxelwise", "--images", tmp_path / "images", "--predictors", tmp_path / "genes.tsv",
        "--out", tmp_path / "out", "--maps", "top", "--permutations", 30, "--threshold", 0.001,
        "--on-disk",
    )  # fmt: skip
    assert "2 predictors were tested at 60 voxels in 25 people" in text
    assert "TERT: largest |t|" in text
    hits = pl.read_parquet(tmp_path / "out" / "hits.parquet").sort("log10p")
    assert (hits["id"][0], hits["x"][0], hits["y"][0], hits["z"][0]) == ("TERT", 2, 4, 2)
    image = nibabel.load(tmp_path / "out" / "maps" / "TERT_t.nii.gz").get_fdata()
    assert np.unravel_index(np.abs(image).argmax(), image.shape) == (1, 2, 1)


def test_lesions_are_mapped(run, tmp_path):
    import nibabel

    rng = np.random.default_rng(2)
    (tmp_path / "masks").mkdir()
    mutated = np.arange(30) < 12
    for person in range(30):
        mask = (rng.random((4, 4, 4)) < 0.3).astype(np.uint8)
        mask[1, 1, 1] = mutated[person] or person > 27
        image = nibabel.Nifti1Image(mask, np.diag([2.0, 2, 2, 1]))
        nibabel.save(image, tmp_path / "masks" / f"p{person}.nii.gz")
    state = ["mutant" if item else "wild" for item in mutated]
    table = pl.DataFrame({"sample": [f"p{i}" for i in range(30)], "IDH1": mutated.astype(int)})
    table.with_columns(state=pl.Series(state)).write_csv(tmp_path / "idh.csv")
    text = run(
        "lesions", "--masks", tmp_path / "masks", "--outcome", tmp_path / "idh.csv", "--trait",
        "IDH1", "--out", tmp_path / "out", "--permutations", 40,
    )  # fmt: skip
    assert "Strongest at (2, 2, 2) mm" in text
    assert (tmp_path / "out" / "atlas" / "frequency_IDH1_1.nii.gz").exists()
    assert (tmp_path / "out" / "maps" / "z_score.nii.gz").exists()


def test_sites_are_bundled_and_pooled(run, folder, tmp_path):
    traits, cov = folder / "phenotype.txt", folder / "covariates.txt"
    for site in ("a", "b"):
        text = run(
            "bundle", "make", "--genotypes", folder / "example.bed", "--phenotypes", traits,
            "--covariates", cov, "--site", site, "--out", tmp_path / site,
        )  # fmt: skip
        assert "500 people, 2 traits" in text
    text = run(
        "bundle", "pool", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "all.tsv",
        "--covariates", "V1", "--traits", "Y2",
    )  # fmt: skip
    assert "in 1,000 people" in text
    found = pl.read_csv(tmp_path / "all.tsv", separator="\t")
    assert found["n"].max() == 1000
    text = run(
        "bundle", "pool", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "joint.tsv",
        "--test", "manova", "--covariates", "none",
    )  # fmt: skip
    assert "2 traits together" in text
