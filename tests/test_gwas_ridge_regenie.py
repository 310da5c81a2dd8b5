"""The polygenic background against REGENIE, and the scan beside it."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from radgen.associate import gwas, polygenic_background
from radgen.errors import InputError
from radgen.io import open_genotypes
from radgen.io.sample_table import read_sample_table
from radgen.types import GenotypeMatrix


@pytest.fixture(scope="module")
def example(data):
    folder = data("genetics/regenie_example")
    genotypes = open_genotypes(folder / "example.bed")
    out = set((folder / "snplist_rm.txt").read_text().split())
    rows = [row for row, name in enumerate(genotypes.variants["id"]) if name not in out]
    tables = [read_sample_table(folder / f"{name}.txt") for name in ("phenotype", "covariates")]
    predictions = {}
    for trait in (1, 2):
        lines = (folder / "ref_regenie_4.1.2" / f"fit_qt_{trait}.loco").read_text().splitlines()
        names = [item.split("_")[1] for item in lines[0].split()[1:]]
        values = [[float(item) for item in line.split()[1:]] for line in lines[1:]]
        predictions[f"Y{trait}"] = (names, values)
    return folder, genotypes, rows, tables, predictions


def test_predictions(example):
    _, genotypes, rows, (traits, covariates), predictions = example
    view = genotypes.take_variants(rows)
    # All variants lie on chromosome 1. One constant variant stands for chromosome 2, so that
    # "without chromosome 2" is the prediction of all variants, as in the reference file.
    variants = pl.concat([view.variants, view.variants[:1].with_columns(chrom=pl.lit("2"))])
    dosages = np.vstack([view.read(0, len(rows)), np.ones((1, 500), np.float32)])
    from radgen.types import ArrayDosages

    both = GenotypeMatrix(view.samples, variants, ArrayDosages(dosages))
    result = polygenic_background(both, traits, covariates, block_size=100)
    for trait, (names, values) in predictions.items():
        for chrom in ("1", "2"):
            found = result.frame.filter(pl.col("chrom") == chrom)
            want = dict(zip(names, values[int(chrom) - 1], strict=True))
            expected = np.array([want[name] for name in found["sample"]])
            if chrom == "1":
                assert np.abs(found[trait].to_numpy()).max() == np.abs(expected).max() == 0
            else:
                assert np.corrcoef(found[trait], expected)[0, 1] > 0.9999
                # REGENIE's are in units of the standardised trait, ours in those of the trait.
                table = traits.join(covariates, on="IID")
                x = np.column_stack([np.ones(500), *(table[f"V{j}"] for j in (1, 2, 3))])
                residual = table[trait] - x @ np.linalg.lstsq(x, table[trait], rcond=None)[0]
                scale = np.sqrt((residual**2).sum() / 496)
                slope = np.polyfit(found[trait] / scale, expected, 1)[0]
                assert slope == pytest.approx(1, abs=0.01)
    assert "out" in result.methods()


def test_scan_beside_the_predictions(example):
    folder, genotypes, _, (traits, covariates), predictions = example
    names, values = predictions["Y1"]
    # Any prediction serves to check the second step; this one is that of all variants.
    loco = pl.DataFrame({"chrom": ["1"] * 500, "sample": names, "Y1": values[1]})
    found = gwas(genotypes, traits, covariates, loco=loco, traits=["Y1"])
    by_hand = traits.select("IID", "Y1").join(loco, left_on="IID", right_on="sample")
    by_hand = by_hand.select("IID", Y1=pl.col("Y1") - pl.col("Y1_right"))
    want = gwas(genotypes, by_hand, covariates)
    np.testing.assert_allclose(found.frame["t"], want.frame["t"], rtol=1e-9)
    assert "Leave-one-chromosome-out" in found.methods()
    plain = gwas(genotypes, traits, covariates, traits=["Y1"]).frame
    theirs = pl.read_csv(folder / "ref_regenie_4.1.2" / "qt_Y1.regenie", separator=" ")
    # Without predictions (chromosome 1 is the only one); REGENIE divides by the variance of
    # the model without the variant, which is close for small effects.
    small = (plain["p"] > 1e-3).to_numpy()
    np.testing.assert_allclose(
        -plain["log10p"].to_numpy()[small],
        theirs["LOG10P"].to_numpy()[small],
        rtol=0.02,
        atol=0.002,
    )


def test_a_bad_table_is_refused(example):
    _, genotypes, _, (traits, covariates), predictions = example
    names, values = predictions["Y1"]
    loco = pl.DataFrame({"chrom": ["1"] * 499, "sample": names[1:], "Y1": values[1][1:]})
    with pytest.raises(InputError, match="no prediction"):
        gwas(genotypes, traits, covariates, loco=loco, traits=["Y1"])
    with pytest.raises(InputError, match="lacks the columns Y2"):
        gwas(genotypes, traits, covariates, loco=loco)
    with pytest.raises(InputError, match="lack the chromosomes 1"):
        gwas(
            genotypes,
            traits,
            covariates,
            loco=loco.with_columns(chrom=pl.lit("9"))[:0],
            traits=["Y1"],
        )


def test_one_flat_trait_does_not_stop_the_others(example):
    _, genotypes, rows, (traits, covariates), _ = example
    view = genotypes.take_variants(rows[:300])
    flat = traits.with_columns(Y1=pl.lit(1.0))
    result = polygenic_background(view, flat, covariates, block_size=100)
    alone = polygenic_background(view, traits, covariates, traits=["Y2"], block_size=100)
    np.testing.assert_allclose(result.frame["Y2"], alone.frame["Y2"], rtol=1e-9, atol=1e-12)
    assert result.frame["Y1"].abs().max() == 0
    assert any("Y1" in note for note in result.warnings)
    with pytest.raises(InputError, match="No trait"):
        polygenic_background(view, flat, covariates, traits=["Y1"])
