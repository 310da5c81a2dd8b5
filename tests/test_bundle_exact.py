"""Joint analyses from bundles equal those of the pooled people; bundles show no single person."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from radgen.associate import (
    gwas,
    make_bundle,
    omnibus,
    omnibus_bundles,
    pool_bundles,
    read_bundle,
)
from radgen.errors import FormatError, InputError
from radgen.types import ArrayDosages, GenotypeMatrix

SITES = ("Oslo", "Delft", "Lagos")


def people(site, n, seed, missing=True, m=40):
    rng = np.random.default_rng([seed, site])
    calls = rng.binomial(2, np.linspace(0.15, 0.5, m)[:, None], (m, n)).astype(np.float32)
    x = np.column_stack([1950 + 10 * site + 8 * rng.normal(size=n), rng.random(n) < 0.4])
    y = rng.normal(size=(n, 4)) @ rng.normal(size=(4, 4)) + 0.02 * x[:, :1] + 3 * site
    y[:, 0] += 1.5 * calls[3]
    if missing:
        y[:20, 2] = np.nan
    names = [f"{SITES[site]}{i}" for i in range(n)]
    return names, calls, x, y


def genotypes(names, calls, variants=None):
    m = len(calls)
    frame = pl.DataFrame(
        {"chrom": ["1"] * m, "pos": list(range(1, m + 1)), "id": [f"v{i}" for i in range(m)]}
        | {"ref": ["A"] * m, "alt": ["C"] * m}
    )
    return GenotypeMatrix(
        tuple(names), frame if variants is None else variants, ArrayDosages(calls)
    )


def tables(names, x, y):
    traits = pl.DataFrame({"sample": names} | {f"y{j}": y[:, j] for j in range(4)})
    return traits, pl.DataFrame({"sample": names, "birth": x[:, 0], "sex": x[:, 1]})


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    cohorts, bundles = [], []
    for site, n in enumerate((120, 90, 150)):
        names, calls, x, y = people(site, n, seed=5)
        cohorts.append((names, calls, x, y))
        own = genotypes(names, calls)
        if site == 1:  # this site counts the other allele
            frame = own.variants.rename({"ref": "alt", "alt": "ref"}).select(
                "chrom", "pos", "id", "ref", "alt"
            )
            own = genotypes(names, 2 - calls, frame)
        if site == 2:  # and this one lacks two variants
            own = own.take_variants([i for i in range(40) if i not in (7, 8)])
        traits, cov = tables(names, x, y)
        bundles.append(make_bundle(own, traits, cov, folder / SITES[site], site=SITES[site]))
    return cohorts, bundles, folder


def pooled(cohorts, *, adjust, covariates):
    names = [name for cohort in cohorts for name in cohort[0]]
    calls = np.hstack([cohort[1] for cohort in cohorts])
    x = np.vstack([cohort[2] for cohort in cohorts])
    y = np.vstack([cohort[3] for cohort in cohorts])
    site = np.repeat(np.arange(len(cohorts)), [len(cohort[0]) for cohort in cohorts])
    traits, cov = tables(names, x, y)
    cov = cov.select("sample", *covariates)
    if adjust != "none":
        cov = cov.with_columns(site=pl.Series([SITES[s] for s in site]))
    if adjust == "own":
        cov = cov.with_columns(
            (pl.col(name) * pl.Series((site == s).astype(float))).alias(f"{name}:{s}")
            for name in covariates
            for s in (1, 2)
        )
    return genotypes(names, calls), traits, cov


@pytest.mark.parametrize("adjust", ["site", "none", "own"])
@pytest.mark.parametrize("covariates", [("birth", "sex"), ("sex",), ()])
def test_pooled_bundles_equal_the_scan_of_all_people(sites, adjust, covariates):
    cohorts, bundles, _ = sites
    found = pool_bundles(bundles, covariates=covariates, adjust=adjust)
    want = gwas(*pooled(cohorts, adjust=adjust, covariates=covariates)).frame
    both = found.frame.join(want, on=["phenotype", "id"], suffix="_all")
    assert both.height == 160
    whole = both.filter(~pl.col("id").is_in(["v7", "v8"]))
    for name in ("n", "alt_freq", "beta", "se", "t", "log10p"):
        np.testing.assert_allclose(whole[name], whole[f"{name}_all"], rtol=1e-8, err_msg=name)
    part = gwas(*pooled(cohorts[:2], adjust=adjust, covariates=covariates)).frame
    both = found.frame.join(part, on=["phenotype", "id"], suffix="_all")
    lacking = both.filter(pl.col("id").is_in(["v7", "v8"]))
    np.testing.assert_allclose(lacking["t"], lacking["t_all"], rtol=1e-8)
    assert lacking["n"].to_list() == lacking["n_all"].to_list()
    summary = gwas(*pooled(cohorts, adjust=adjust, covariates=covariates)).summary
    assert (
        found.summary.sort("phenotype")["df"].to_list() == summary.sort("phenotype")["df"].to_list()
    )


def test_a_subset_and_a_threshold(sites):
    _, bundles, folder = sites
    every = pool_bundles([folder / name for name in SITES])
    some = pool_bundles(bundles, traits=["y3", "y0"], threshold=0.01)
    kept = every.frame.filter((pl.col("p") <= 0.01) & pl.col("phenotype").is_in(["y3", "y0"]))
    assert some.frame.height == kept.height
    assert some.summary["phenotype"].to_list() == ["y3", "y0"]
    assert some.frame.sort("log10p")["id"][0] == "v3"
    assert "cross-products" in some.methods()
    assert "3 sites" in some.methods()
    with pytest.raises(InputError, match="No trait 'y9'"):
        pool_bundles(bundles, traits=["y9"])
    with pytest.raises(InputError, match="different sites"):
        pool_bundles([bundles[0], bundles[0]])


def test_joint_traits_from_bundles_equal_manova_of_all_people(sites, tmp_path):
    cohorts, bundles, _ = sites
    with pytest.raises(InputError, match="different people"):
        omnibus_bundles(bundles)
    found = omnibus_bundles(bundles, traits=["y0", "y1", "y3"], covariates=["sex"])
    tables_ = pooled(cohorts, adjust="site", covariates=("sex",))
    want = omnibus(*tables_, traits=["y0", "y1", "y3"])
    rows = [i for i in range(40) if i not in (7, 8)]
    for name in ("wilks", "f", "df1", "df2", "log10p", "acat_log10p"):
        np.testing.assert_allclose(
            found.frame[name].to_numpy()[rows], want.frame[name].to_numpy()[rows], rtol=1e-8
        )
    part = omnibus(
        *pooled(cohorts[:2], adjust="site", covariates=("sex",)), traits=["y0", "y1", "y3"]
    )
    np.testing.assert_allclose(found.frame["log10p"][7], part.frame["log10p"][7], rtol=1e-8)
    names, calls, x, y = cohorts[0]
    traits, cov = tables(names, x, y)
    one = make_bundle(
        genotypes(names, calls), traits, cov, tmp_path / "b", site="s", complete_only=True
    )
    assert one.facts["complete_only"]
    joint = omnibus_bundles([one])
    alone = omnibus(genotypes(names, calls), traits, cov)
    np.testing.assert_allclose(joint.frame["wilks"], alone.frame["wilks"], rtol=1e-8)


def test_missing_calls_take_the_mean_of_the_site(tmp_path):
    names, calls, x, y = people(0, 80, seed=8, missing=False)
    gaps = calls.copy()
    gaps[5, :9] = np.nan
    traits, cov = tables(names, x, y)
    bundle = make_bundle(genotypes(names, gaps), traits, cov, tmp_path / "b", site="s")
    found = pool_bundles([bundle])
    filled = calls.copy()
    filled[5, :9] = np.nanmean(gaps[5])
    want = gwas(genotypes(names, filled), traits, cov).frame
    both = found.frame.join(want, on=["phenotype", "id"], suffix="_all")
    np.testing.assert_allclose(both["t"], both["t_all"], rtol=1e-6)  # dosages are single precision
    assert bundle.variants["n_called"][5] == 71


def test_bundles_refuse_and_withhold_what_would_show_single_people(tmp_path):
    names, calls, x, y = people(0, 80, seed=9, missing=False)
    calls[4] = 0
    calls[4, :3] = 1
    calls[6] = 2
    calls[6, :2] = 1
    traits, cov = tables(names, x, y)
    bundle = make_bundle(genotypes(names, calls), traits, cov, tmp_path / "b", site="s")
    withheld = bundle.variants["withheld"].to_list()
    assert [i for i, reason in enumerate(withheld) if reason] == [4, 6]
    assert np.isnan(bundle.patterns[0].variants[[4, 6]]).all()
    assert "withholds 2" in pool_bundles([bundle]).warnings[0]
    text = (tmp_path / "b" / "bundle.json").read_text()
    assert not any(name in text for name in names)
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == [
        "bundle.json", "pattern_0.npy", "variants.parquet",
    ]  # fmt: skip
    y[:2, 1] = np.nan
    nearly, _ = tables(names, x, y)
    with pytest.raises(InputError, match="nearly the same people"):
        make_bundle(genotypes(names, calls), nearly, cov, tmp_path / "c", site="s")
    assert not (tmp_path / "c").exists()
    make_bundle(genotypes(names, calls), nearly, cov, tmp_path / "c", site="s", complete_only=True)
    y[:50, 1] = np.nan
    few, _ = tables(names, x, y)
    with pytest.raises(InputError, match="Fewer than 50"):
        make_bundle(genotypes(names, calls), few, cov, tmp_path / "d", site="s")
    with pytest.raises(InputError, match="exists already"):
        make_bundle(genotypes(names, calls), traits, cov, tmp_path / "b", site="s")


def test_broken_bundles_are_refused(sites, tmp_path):
    _, bundles, folder = sites
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(folder / "Oslo", copy)
    facts = json.loads((copy / "bundle.json").read_text())
    facts["encoding_version"] = 99
    (copy / "bundle.json").write_text(json.dumps(facts))
    with pytest.raises(FormatError, match="99"):
        read_bundle(copy)
    shutil.copy(folder / "Oslo" / "bundle.json", copy)
    (copy / "pattern_0.npy").write_bytes(b"nothing")
    with pytest.raises(FormatError, match="pattern_0"):
        read_bundle(copy)
    with pytest.raises(FormatError):
        read_bundle(tmp_path)
    assert bundles[0].site == "Oslo"
