"""The linear scan against PLINK 2."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from radgen.associate import gwas
from radgen.io import open_genotypes

# PLINK 2 prints six significant digits: half a unit of the last one is 5e-6 of the value.
_PRINTED = 5.05e-6


def spaces(path):
    return pl.read_csv(path, separator=" ", null_values=["NA"])


def reference(path):
    return pl.read_csv(
        path, separator="\t", null_values=["NA", "."], schema_overrides={"#CHROM": pl.String}
    )


def assert_equals(found, table):
    assert found["id"].to_list() == table["ID"].to_list()
    same = (found["alt"] == table["A1"]).to_numpy()
    sign = np.where(same, 1, -1)
    for ours, theirs in (("beta", "BETA"), ("se", "SE"), ("t", "T_STAT"), ("p", "P")):
        got, want = found[ours].to_numpy(), table[theirs].cast(pl.Float64).to_numpy()
        got = got * sign if ours in ("beta", "t") else got
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
        np.testing.assert_allclose(got, want, rtol=_PRINTED)
    frequency = np.where(same, found["alt_freq"], 1 - found["alt_freq"])
    np.testing.assert_allclose(frequency, table["A1_FREQ"], rtol=_PRINTED)
    assert found["n"].to_list() == table["OBS_CT"].to_list()


@pytest.fixture(scope="module")
def folder(data):
    return data("genetics/eur_subset")


def test_complete_data(folder):
    ref = folder / "ref_plink2"
    result = gwas(
        open_genotypes(folder / "EUR_subset.bed"),
        spaces(ref / "sim_pheno10.txt"),
        spaces(ref / "sim_cov10.txt"),
        traits=["Y1", "Y2"],
    )
    for trait in ("Y1", "Y2"):
        found = result.frame.filter(pl.col("phenotype") == trait)
        assert_equals(found, reference(ref / f"lin.{trait}.glm.linear.gz"))
    assert result.n_used == 379
    assert abs(result.summary["lambda_gc"][0] - 1) < 0.05


def test_missing_calls_and_phenotypes(folder):
    ref = folder / "ref_plink2"
    result = gwas(
        open_genotypes(ref / "chr22_missing.bed"),
        spaces(ref / "chr22_missing_pheno.txt"),
        spaces(ref / "sim_cov10.txt"),
    )
    for trait in ("Y1", "Y2", "Y3"):
        found = result.frame.filter(pl.col("phenotype") == trait)
        assert_equals(found, reference(ref / f"chr22_missing.{trait}.glm.linear.gz"))


def test_the_layout_of_plink2(folder, tmp_path):
    ref = folder / "ref_plink2"
    gwas(
        open_genotypes(folder / "EUR_subset.bed"),
        spaces(ref / "sim_pheno10.txt"),
        spaces(ref / "sim_cov10.txt"),
        traits=["Y2"],
        out=tmp_path / "scan",
        layout="plink",
    )
    assert [item.name for item in tmp_path.iterdir()] == ["scan.Y2.glm.linear"]
    found = reference(tmp_path / "scan.Y2.glm.linear")
    table = reference(ref / "lin.Y2.glm.linear.gz")
    assert set(found.columns) <= set(table.columns)
    assert found["ID"].equals(table["ID"])
    same = (found["A1"] == table["A1"]).to_numpy()
    for name in ("BETA", "SE", "T_STAT", "P"):
        ours = found[name].to_numpy() * (1 if name in ("SE", "P") else np.where(same, 1, -1))
        np.testing.assert_allclose(ours, table[name].cast(pl.Float64), rtol=_PRINTED)
