"""Polygenic scores: no trait leaks into its own fold, and the parts equal their definitions."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import ElasticNet

from radgen.associate import PolygenicModel, gwas, polygenic_prediction
from radgen.associate.polygenic._weights import ClumpRule, LassoRule, aligned, weights_of
from radgen.associate.polygenic.scores import folds_of
from radgen.errors import InputError
from radgen.genome import clump, ld_matrix, ld_pairs, polygenic_score
from radgen.io import open_genotypes, standard_summary
from radgen.stats.summary_lasso import summary_lasso
from radgen.types import ArrayDosages, GenotypeMatrix


def _panel(rng, n=300, m=120, missing=0.0):
    base = rng.random((m, 2 * n)) < rng.uniform(0.1, 0.5, m)[:, None]
    for j in range(1, m):
        if j % 6:
            copy = rng.random(2 * n) < 0.8
            base[j] = np.where(copy, base[j - 1], base[j])
    calls = (base[:, ::2].astype(np.float32) + base[:, 1::2]).astype(np.float32)
    calls[rng.random(calls.shape) < missing] = np.nan
    variants = pl.DataFrame(
        {
            "chrom": ["1"] * (m // 2) + ["2"] * (m - m // 2),
            "pos": [10_000 * (1 + i % (m // 2)) for i in range(m)],
            "id": [f"rs{i}" for i in range(m)],
            "ref": ["A"] * m,
            "alt": ["C"] * m,
        }
    )
    return GenotypeMatrix(tuple(f"p{i}" for i in range(n)), variants, ArrayDosages(calls))


def _trait(rng, genotypes, h2=0.5, n_causal=12):
    g = np.nan_to_num(genotypes.read(0, genotypes.n_variants)).astype(float)
    causal = rng.choice(len(g), n_causal, replace=False)
    signal = g[causal].T @ rng.normal(size=n_causal)
    signal = (signal - signal.mean()) / signal.std()
    y = np.sqrt(h2) * signal + np.sqrt(1 - h2) * rng.normal(size=len(signal))
    return pl.DataFrame({"sample": list(genotypes.samples), "y": y})


@pytest.mark.parametrize("shrinkage", [0.2, 0.5, 1.0])
def test_lasso_on_correlations_equals_elastic_net(shrinkage):
    rng = np.random.default_rng(1)
    n, m = 200, 40
    x = rng.normal(size=(n, m)) + rng.normal(size=(n, 1))
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    y = x[:, :3].sum(axis=1) + rng.normal(size=n)
    y = (y - y.mean()) / y.std()
    penalties = np.array([0.3, 0.1, 0.02, 0.0])
    found = summary_lasso(x.T @ x / n, x.T @ y / n, penalties, shrinkage=shrinkage)
    keep = 1 - shrinkage
    for at, penalty in enumerate(penalties):
        if shrinkage == 1.0:
            r = x.T @ y / n
            want = np.sign(r) * np.maximum(np.abs(r) - penalty, 0)
        else:
            # (1 - s) times the elastic net of y / (1 - s).
            l1, l2 = penalty / keep, shrinkage / keep
            net = ElasticNet(alpha=l1 + l2, l1_ratio=l1 / (l1 + l2), fit_intercept=False,
                             tol=1e-13, max_iter=100_000)  # fmt: skip
            want = net.fit(x, y / keep).coef_
        np.testing.assert_allclose(found[:, at], want, atol=2e-5)
    assert (found[:, 0] != 0).sum() <= (found[:, 2] != 0).sum()
    with pytest.raises(InputError, match="Shrinkage"):
        summary_lasso(np.eye(2), np.ones(2), np.ones(1), shrinkage=0.0)


def test_pairs_and_clumps_equal_their_definition():
    rng = np.random.default_rng(2)
    genotypes = _panel(rng, missing=0.03)
    r2 = np.nan_to_num(ld_matrix(genotypes) ** 2)
    pos, chrom = (genotypes.variants[name].to_numpy() for name in ("pos", "chrom"))
    near = (np.abs(pos[:, None] - pos) <= 50_000) & (chrom[:, None] == chrom)
    want = np.argwhere(np.triu(near & (r2 >= 0.1), 1))
    found = np.stack(ld_pairs(genotypes, r2=0.1, window_kb=50), axis=1)
    assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, want.tolist()))
    table = _trait(rng, genotypes)
    scan = gwas(genotypes, table).frame
    tests = aligned(standard_summary(scan.drop("phenotype")), genotypes)
    path = weights_of(tests, genotypes, ClumpRule(thresholds=(0.001, 0.05), window_kb=50))
    for at, p in enumerate((0.001, 0.05)):
        leads = clump(scan, genotypes, p1=p, p2=0.05, r2=0.1, window_kb=50)
        own = path.rows[path.weights[:, at] != 0]
        assert {f"rs{row}" for row in own} == set(leads["id"])
        beta = scan["beta"].to_numpy()
        np.testing.assert_allclose(path.weights[path.weights[:, at] != 0, at], beta[own])


def test_penalised_weights_are_those_of_the_blocks():
    rng = np.random.default_rng(3)
    genotypes = _panel(rng)
    scan = gwas(genotypes, _trait(rng, genotypes)).frame
    tests = aligned(standard_summary(scan.drop("phenotype")), genotypes)
    rule = LassoRule(penalties=(0.05,), shrinkages=(0.5,), block=25)
    path = weights_of(tests, genotypes, rule)
    z = tests["z"].to_numpy()
    r = z / np.sqrt(300 + z**2)
    g = genotypes.read(0, 120).astype(float)
    want = np.zeros(120)
    for start in (0, 25, 50, 60, 85, 110):
        stop = {50: 60, 110: 120}.get(start, start + 25)
        some = slice(start, stop)
        own = summary_lasso(np.corrcoef(g[some]), r[some], np.array([0.05]))[:, 0]
        want[some] = own / g[some].std(axis=1)
    full = np.zeros(120)
    full[path.rows] = path.weights[:, 0]
    np.testing.assert_allclose(full, want, atol=1e-6)


@pytest.mark.parametrize("method", ["clump", "lasso"])
def test_the_trait_of_a_fold_does_not_reach_its_scores(method):
    rng = np.random.default_rng(4)
    genotypes = _panel(rng, n=150, m=60, missing=0.01)
    table = _trait(rng, genotypes)
    options = {"method": method, "n_folds": 3, "inner_folds": 2, "seed": 1}
    before = polygenic_prediction(genotypes, table, **options).frame
    held = (before["fold"] == 2).to_numpy()
    y = table["y"].to_numpy().copy()
    y[held] = rng.permutation(y[held])
    after = polygenic_prediction(genotypes, table.with_columns(y=pl.Series(y)), **options).frame
    np.testing.assert_array_equal(after["fold"], before["fold"])
    np.testing.assert_allclose(after["score"].to_numpy()[held], before["score"].to_numpy()[held])
    moved = np.abs(after["score"].to_numpy() - before["score"].to_numpy())
    assert moved[~held].max() > 1e-6


def test_binary_traits_keep_classes_even_in_folds():
    rng = np.random.default_rng(9)
    genotypes = _panel(rng, n=240)
    table = _trait(rng, genotypes, h2=0.7).with_columns(y=(pl.col("y") > 0.8).cast(pl.Int64) + 1)
    found = polygenic_prediction(genotypes, table, model="logistic", n_folds=3, inner_folds=3)
    cases = found.frame.group_by("fold").agg(pl.col("value").sum())["value"]
    assert cases.max() - cases.min() <= 1
    assert found.fits["auc"][0] > 0.65
    assert "AUC" in found.statements()[0]
    assert folds_of(np.zeros(10), 3, 0, classes=False).tolist().count(0) == 4


@pytest.mark.parametrize("method", ["clump", "lasso"])
def test_signal_is_found_and_noise_is_not(method):
    rng = np.random.default_rng(5)
    genotypes = _panel(rng, n=300)
    table = _trait(rng, genotypes, h2=0.6)
    noise = pl.Series(rng.normal(size=300))
    flat = pl.Series([1.0] * 300)
    table = table.with_columns(noise=noise, flat=flat)
    covariates = pl.DataFrame({"sample": table["sample"], "age": rng.normal(size=300)})
    found = polygenic_prediction(
        genotypes, table, covariates, method=method, n_folds=4, inner_folds=3
    )
    fits = {row["phenotype"]: row for row in found.fits.iter_rows(named=True)}
    assert fits["y"]["r"] > 0.4
    assert fits["y"]["p"] < 1e-10
    assert fits["noise"]["ci_low"] < 0 < fits["noise"]["ci_high"]
    assert "does not vary" in fits["flat"]["status"]
    assert found.frame.height == 600
    assert any("1 traits have no" in note for note in found.warnings)
    assert "judged in 4 outer folds" in found.methods()
    assert "correlates" in found.statements()[0]
    for kind in found.plots:
        assert found.plot(kind).has_data()
    # The saved weights give the scores of the model of all people, by the plain sum.
    own = found.weights.filter(phenotype="y")
    model = PolygenicModel(method, n_folds=3).fit(
        genotypes, table["y"].to_numpy(), covariates.select("age").to_numpy()
    )
    assert own["id"].to_list() == model.weights_["id"].to_list()
    summed = polygenic_score(genotypes, own.select("id", "allele", "weight"))["score"]
    np.testing.assert_allclose(model.predict(genotypes), summed, rtol=1e-8)
    some = genotypes.take_samples([3, 9])
    np.testing.assert_allclose(model.predict(some), summed.to_numpy()[[3, 9]], rtol=1e-8)
    assert model.path_["r"].max() == pytest.approx(
        model.path_.filter(setting=model.setting_)["r"][0]
    )


def test_weights_of_a_scan_of_others():
    rng = np.random.default_rng(6)
    genotypes = _panel(rng, n=600)
    table = _trait(rng, genotypes, h2=0.6)
    others, mine = genotypes.take_samples(range(300)), genotypes.take_samples(range(300, 600))
    scan = gwas(others, table[:300]).frame
    turned = scan.with_columns(ref="alt", alt="ref", beta=-pl.col("beta"), t=-pl.col("t"))
    one = polygenic_prediction(mine, table[300:], scan=scan, n_folds=3)
    two = polygenic_prediction(mine, table[300:], scan=turned, n_folds=3)
    assert one.fits["r"][0] > 0.4
    np.testing.assert_allclose(one.frame["score"], two.frame["score"])
    assert "independent scan" in one.methods()
    assert any("cannot be checked" in note for note in one.warnings)
    both = table[300:].with_columns(z=pl.col("y"))
    with pytest.raises(InputError, match="one trait"):
        polygenic_prediction(mine, both, scan=scan)
    lost = polygenic_prediction(
        mine, table[300:], scan=scan.with_columns(id=pl.format("x{}", "id"))
    )
    assert "None of the tests" in lost.fits["status"][0]


def test_alleles_that_do_not_fit_are_left_out():
    genotypes = _panel(np.random.default_rng(7), m=6)
    scan = pl.DataFrame(
        {"ID": [f"rs{i}" for i in range(6)], "A1": ["C", "A", "G", "T", "G", "C"],
         "A2": ["A", "C", "T", "G", "A", "T"], "BETA": [1.0] * 6, "SE": [0.5] * 6, "N": [9] * 6}
    )  # fmt: skip
    found = aligned(standard_summary(scan), genotypes)
    # Same, swapped, other strand, other strand and swapped, two that do not fit.
    assert found["row"].to_list() == [0, 1, 2, 3]
    assert found["beta"].to_list() == [1.0, -1.0, 1.0, -1.0]


def test_real_genotypes(data):
    genotypes = open_genotypes(data("genetics/eur_subset") / "EUR_subset.bed")
    rows = np.flatnonzero(genotypes.variants["chrom"].to_numpy() == "22")[:1200]
    view = genotypes.take_variants(rows)
    rng = np.random.default_rng(8)
    found = polygenic_prediction(view, _trait(rng, view, h2=0.8, n_causal=3), n_folds=3)
    assert found.fits["r"][0] > 0.3
