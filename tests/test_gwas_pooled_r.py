"""Pooled scans against metafor, omnibus tests against R's manova."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from radgen.associate import gwas, meta_gwas, omnibus
from radgen.errors import InputError
from radgen.stats.meta import meta
from radgen.stats.meta_rows import pool_rows
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


@pytest.mark.parametrize(("method", "name"), [("fixed", "EE"), ("DL", "DL"), ("REML", "REML")])
def test_pooled_effects(bcg, method, name):
    studies, want = bcg
    row = meta_gwas(studies, method=method).frame.row(0, named=True)
    # metafor stops its REML iterations at a change of 1e-5.
    rel = 1e-10 if method != "REML" else 2e-6
    for ours, theirs in (("beta", "b"), ("se", "se"), ("z", "z"), ("p", "p"), ("q", "Q")):
        assert row[ours] == pytest.approx(want[name][theirs], rel=20 * rel)
    assert row["i2"] == pytest.approx(want[name]["I2"], rel=rel)
    assert 10 ** row["q_log10p"] == pytest.approx(want[name]["Qp"], rel=1e-9)
    assert row["tau2"] == pytest.approx(want[name]["tau2"], rel=20 * rel)
    assert row["n_studies"] == 13
    effects = [
        float(item["beta"][0]) * (1, -1)[i % 3 == 1] for i, item in enumerate(studies.values())
    ]
    assert row["direction"] == "".join("+" if item > 0 else "-" for item in effects)


@pytest.mark.parametrize("method", ["DL", "REML"])
def test_hartung_knapp_tests_equal_metafor(bcg, method):
    golden = pl.read_csv(Path(__file__).parent / "golden" / "meta" / "metafor_knha.csv")
    want = golden.filter(pl.col("method") == method).row(0, named=True)
    row = meta_gwas(bcg[0], method=method, hartung=True).frame.row(0, named=True)
    pairs = {"beta": "b", "se": "se", "z": "t", "p": "p", "ci_low": "low", "ci_high": "high"}
    for ours, theirs in pairs.items():
        assert row[ours] == pytest.approx(want[theirs], rel=2e-5), ours
    with pytest.raises(InputError, match="hartung"):
        meta_gwas(bcg[0], hartung=True)


def test_pooling_by_rows_equals_the_single_meta_analysis():
    rng = np.random.default_rng(3)
    y, v = rng.normal(size=(60, 6)) * 0.4, rng.uniform(0.01, 0.3, (60, 6))
    y[rng.random(y.shape) < 0.3] = np.nan
    y[0, 1:] = np.nan
    for method in ("fixed", "DL", "REML"):
        found = pool_rows(y, v, method=method)
        assert found.converged.all()
        for row in np.flatnonzero(np.isfinite(y).any(axis=1)):
            one = meta(y[row], v[row], method=method)
            for name in ("effect", "se", "log10p", "q", "tau2", "i2", "ci_low", "ci_high"):
                value = getattr(found, name)[row]
                assert value == pytest.approx(getattr(one, name), rel=1e-8, abs=1e-9), name


def test_strands_traits_and_frequencies_are_aligned():
    a = pl.DataFrame(
        {"phenotype": ["y", "x", "y"], "chrom": ["1"] * 3, "pos": [5, 5, 9]}
        | {"ref": ["A", "A", "A"], "alt": ["G", "G", "T"], "beta": [0.2, 0.1, 0.3]}
        | {"se": [0.1, 0.1, 0.1], "n": [100, 100, 100], "alt_freq": [0.3, 0.3, 0.5]}
    )
    turned = a.with_columns(ref=pl.Series(["C", "C", "T"]), alt=pl.Series(["T", "T", "A"]))
    turned = turned.with_columns(beta=-pl.col("beta"), alt_freq=1.02 - pl.col("alt_freq"))
    found = meta_gwas({"a": a, "b": turned}, strands=True)
    assert found.frame.height == 2
    assert found.frame["beta"].to_list() == pytest.approx([0.2, 0.1])
    assert found.frame["alt_freq"].to_list() == pytest.approx([0.29, 0.29])
    assert found.frame["freq_spread"].to_list() == pytest.approx([0.02, 0.02])
    assert found.frame["direction"].to_list() == ["++", "++"]
    assert "a: 1 palindromic" in found.warnings[0]
    apart = meta_gwas({"a": a, "b": turned})
    assert apart.frame["n_studies"].to_list() == [1, 1, 2, 1, 1]
    lonely = apart.frame.filter(pl.col("n_studies") == 1)
    assert lonely["direction"].to_list() == ["+?", "+?", "?-", "?-"]


def test_genomic_control_is_that_of_each_trait():
    rng = np.random.default_rng(4)
    m = 200
    frame = pl.DataFrame(
        {"phenotype": ["calm"] * m + ["wild"] * m, "chrom": ["1"] * 2 * m}
        | {"pos": list(range(m)) * 2, "ref": ["A"] * 2 * m, "alt": ["G"] * 2 * m}
        | {"se": np.full(2 * m, 0.1), "n": [100] * 2 * m}
        | {"beta": np.concatenate([rng.normal(size=m) * 0.1, rng.normal(size=m) * 0.2])}
    )
    plain = meta_gwas({"a": frame, "b": frame})
    found = meta_gwas({"a": frame, "b": frame}, genomic_control=True)
    ratio = (found.frame["se"] / plain.frame["se"]).to_numpy()
    for rows, name in ((slice(0, m), "calm"), (slice(m, None), "wild")):
        chi2 = np.square(frame.filter(pl.col("phenotype") == name)["beta"].to_numpy() / 0.1)
        want = np.sqrt(max(np.median(chi2) / 0.4549364, 1.0))
        np.testing.assert_allclose(ratio[rows], want, rtol=1e-6)


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
