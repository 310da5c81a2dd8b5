"""Pooled scans against metafor, omnibus tests against R's manova."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from radgen.associate import gwas, meta_gwas, omnibus
from radgen.errors import InputError
from radgen.types import ArrayDosages, GenotypeMatrix


def study(beta, se, n, ref="A", alt="G"):
    row = {"phenotype": ["y"], "chrom": ["1"], "pos": [5], "id": ["v"], "ref": [ref], "alt": [alt]}
    return pl.DataFrame(row | {"beta": [beta], "se": [se], "n": [n]})


@pytest.fixture(scope="module")
def bcg(data):
    folder = data("genetics/refs_meta")
    table = pl.read_csv(folder / "dat_bcg_yi_vi.csv")
    studies = {}
    for number, row in enumerate(table.iter_rows(named=True)):
        turn = number % 3 == 1  # some cohorts count the other allele
        effect = -row["yi"] if turn else row["yi"]
        alleles = ("G", "A") if turn else ("A", "G")
        studies[str(number)] = study(effect, row["vi"] ** 0.5, 100 + number, *alleles)
    want = pl.read_csv(folder / "expected_metafor.csv")
    return studies, {row["method"]: row for row in want.iter_rows(named=True)}


@pytest.mark.parametrize(("method", "name"), [("fixed", "EE"), ("DL", "DL")])
def test_pooled_effects(bcg, method, name):
    studies, want = bcg
    row = meta_gwas(studies, method=method).frame.row(0, named=True)
    for ours, theirs in (("beta", "b"), ("se", "se"), ("z", "z"), ("p", "p"), ("q", "Q")):
        assert row[ours] == pytest.approx(want[name][theirs], rel=1e-10)
    assert row["i2"] == pytest.approx(want[name]["I2"], rel=1e-10)
    assert 10 ** row["q_log10p"] == pytest.approx(want[name]["Qp"], rel=1e-9)
    assert row["tau2"] == pytest.approx(want[name]["tau2"], rel=1e-10)
    assert row["n_studies"] == 13


def test_sample_size_weights_by_hand():
    studies = {"a": study(0.2, 0.1, 100), "b": study(-0.3, 0.1, 400, "G", "A")}
    row = meta_gwas(studies, method="sample_size").frame.row(0, named=True)
    assert row["z"] == pytest.approx((10 * 2 + 20 * 3) / np.sqrt(500))
    assert row["beta"] is None
    with pytest.raises(InputError, match="two cohorts"):
        meta_gwas({"a": studies["a"]})
    with pytest.raises(InputError, match="twice"):
        meta_gwas({"a": pl.concat([studies["a"]] * 2), "b": studies["b"]})


def matrix(calls):
    m, n = calls.shape
    names = tuple(f"s{i}" for i in range(n))
    variants = pl.DataFrame(
        {"chrom": ["1"] * m, "pos": list(range(m)), "id": [f"v{i}" for i in range(m)]}
        | {"ref": ["A"] * m, "alt": ["C"] * m}
    )
    return GenotypeMatrix(names, variants, ArrayDosages(calls.astype(np.float32)))


def test_pooling_cohorts_is_near_the_joint_scan():
    rng = np.random.default_rng(6)
    calls = rng.binomial(2, 0.3, (30, 900)).astype(float)
    y = rng.normal(size=900) + 0.4 * calls[3]
    genotypes = matrix(calls)
    table = pl.DataFrame({"sample": genotypes.samples, "y": y})
    cohorts = {
        str(c): gwas(genotypes.take_samples(range(300 * c, 300 * c + 300)), table).frame
        for c in range(3)
    }
    pooled, joint = meta_gwas(cohorts), gwas(genotypes, table)
    assert pooled.frame["id"].to_list() == joint.frame["id"].to_list()
    difference = np.abs(pooled.frame["beta"] - joint.frame["beta"]).to_numpy()
    assert (difference < 0.3 * joint.frame["se"].to_numpy()).all()
    assert pooled.frame.sort("log10p")["id"][0] == "v3"
    assert "inverse-variance" in pooled.methods()


def test_manova(data):
    folder = data("genetics/bgsmtr_imaging_genetics")
    snps = pl.read_csv(folder / "snp_data.csv")
    brain = pl.read_csv(folder / "brain_measures.csv")
    brain = brain.rename({name: name.strip() for name in brain.columns})
    brain = brain.with_columns(pl.all().cast(pl.String).str.strip_chars().cast(pl.Float64))
    want = pl.read_csv(data("genetics/refs_multivariate") / "baseR_manova_wilks_first50snps.csv")
    genotypes = matrix(snps.select(want["snp"].to_list()).to_numpy().T.astype(float))
    table = pl.DataFrame({"sample": genotypes.samples}).hstack(brain)
    result = omnibus(genotypes, table)
    np.testing.assert_allclose(result.frame["wilks"], want["Wilks"], rtol=1e-9)
    np.testing.assert_allclose(result.frame["f"], want["approx.F"], rtol=1e-8)
    np.testing.assert_allclose(result.frame["p"], want["Pr..F."], rtol=1e-8)
    assert "Wilks" in result.methods()


def test_omnibus_drops_missing_calls_and_people():
    rng = np.random.default_rng(9)
    calls = rng.binomial(2, 0.4, (6, 80)).astype(float)
    calls[2, :7] = np.nan
    genotypes = matrix(calls)
    values = rng.normal(size=(80, 3))
    values[70, 1] = np.nan
    table = pl.DataFrame({"sample": genotypes.samples} | {f"y{j}": values[:, j] for j in range(3)})
    cov = pl.DataFrame({"sample": genotypes.samples, "x": rng.normal(size=80)})
    found = omnibus(genotypes, table, cov)
    keep = [i for i in range(7, 80) if i != 70]
    alone = omnibus(genotypes.take_samples(keep).take_variants([2]), table, cov)
    assert found.frame["n"].to_list() == [79, 79, 72, 79, 79, 79]
    assert found.frame["wilks"][2] == pytest.approx(alone.frame["wilks"][0], rel=1e-12)
    assert found.dropped.rows() == [("s70", "a trait is missing")]
    # One trait: the omnibus test is the scan's t-test.
    one = omnibus(genotypes, table, cov, traits=["y0"]).frame
    t = gwas(genotypes, table, cov, traits=["y0"]).frame
    np.testing.assert_allclose(one["log10p"], t["log10p"], rtol=1e-9)
