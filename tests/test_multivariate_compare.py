"""Comparison of methods, biclusters and linked-block simulation: truth found, nulls kept."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import hypergeom
from sklearn.decomposition import NMF
from typer.testing import CliRunner

from radgen.errors import InputError
from radgen.multivariate import METHODS as compared_methods
from radgen.multivariate import Adjusted, SparsePLS, compare, link_biclusters, match_blocks
from radgen.multivariate._nested import _overlap
from radgen.multivariate.biclusters import _cut, bicluster_sets
from radgen.sim import LinkedBlocks, simulate_linked_blocks
from radgen.types import Covariates, PhenotypeTable

METHODS = ["scca", "spls"]


def _linked(seed: int, correlation: float, **more: float) -> LinkedBlocks:
    return simulate_linked_blocks(
        150, 60, 15, rng=np.random.default_rng(seed), correlations=(correlation,), n_x_active=5,
        **more,
    )  # fmt: skip


def test_simulated_links_have_the_stated_strength_and_place() -> None:
    linked = simulate_linked_blocks(
        20_000, 40, 25, rng=np.random.default_rng(0), correlations=(0.6, 0.3), n_x_active=4,
        n_y_active=4, signal=0.5, shape=(5, 5),
    )  # fmt: skip
    x = (linked.x - linked.x.mean(0)) / linked.x.std(0)
    for r, expected in enumerate((0.6, 0.3)):
        genetic = x @ linked.x_weights[:, r]
        active = np.flatnonzero(linked.y_weights[:, r])
        found = [abs(np.corrcoef(genetic, linked.y[:, j])[0, 1]) for j in active]
        # half of the variance of a phenotype is its image score: r times the root of a half
        assert found == pytest.approx([expected * np.sqrt(0.5)] * 4, abs=0.03)
    assert not set(np.flatnonzero(linked.y_weights[:, 0])) & set(
        np.flatnonzero(linked.y_weights[:, 1])
    )
    assert linked.y.std(axis=0) == pytest.approx(np.ones(25), abs=0.03)
    with pytest.raises(InputError, match="grid"):
        simulate_linked_blocks(10, 20, 9, rng=np.random.default_rng(0), shape=(2, 2))


def test_confounding_links_blocks_until_it_is_regressed_out_within_the_fold() -> None:
    linked = _linked(1, 0.0, ancestry=3.0)
    z = linked.covariates["ancestry"].to_numpy()
    half = np.arange(150) < 75
    plain = SparsePLS().fit(linked.x[half], linked.y[half]).score(linked.x[~half], linked.y[~half])
    model = Adjusted(SparsePLS()).fit(linked.x[half], linked.y[half], confounders=z[half])
    assert plain > 0.4
    assert abs(model.score(linked.x[~half], linked.y[~half], confounders=z[~half])) < 0.3
    # training rows: the residuals are those of least squares
    design = np.column_stack([np.ones(75), z[half]])
    known = linked.y[half] - design @ np.linalg.lstsq(design, linked.y[half], rcond=None)[0]
    assert model.y_residuals_.of(linked.y[half], z[half][:, None]) == pytest.approx(
        known, abs=1e-10
    )
    with pytest.raises(InputError, match="missing"):
        Adjusted(SparsePLS()).fit(linked.x, linked.y, confounders=np.full(150, np.nan))


def test_methods_find_a_planted_link_and_the_null_stays_null() -> None:
    linked = _linked(2, 0.8)
    planted = compare(
        linked.x, linked.y, seed=0, truth=linked.x_active, n_null=19, x_names=linked.x_names,
        methods=METHODS, groups=linked.x_groups, repeats=1, folds=3, inner=2, n_pairs=2,
    )  # fmt: skip
    table = planted.table
    assert table["method"].to_list() == METHODS
    assert (table["ci_low"] > 0).all()
    assert (table["p"] == 0.05).all()
    assert (table["recall"] >= 0.6).all()
    assert table["null_mean"].abs().max() < 0.1
    gene = linked.x_groups[linked.x_active[0]]
    assert planted.agreement().row(0, named=True)["group"] == gene
    assert "associated in held-out people" in planted.statements()[0]
    assert "Nothing was adjusted for" in planted.warnings[0]
    for page in planted.pages.values():
        assert page.gene_loadings()["share"].sum() == pytest.approx(1.0)
        assert page.plot("gene_loadings") is not None
        assert page.plot("phenotype_loadings") is not None
    for kind in planted.plots:
        assert planted.plot(kind) is not None


def test_without_a_link_nothing_is_found() -> None:
    """One unlinked pair of blocks; verification/multivariate.py counts over many."""
    null = _linked(100, 0.0, ancestry=2.0)
    found = compare(
        null.x, null.y, seed=0, n_null=19, methods=["spls", "srrr"], repeats=1, folds=3, inner=2,
        n_pairs=2, confounders=null.covariates["ancestry"].to_numpy(),
    )  # fmt: skip
    assert abs(found.table["stability"].mean()) < 0.2
    assert all("no evidence" in page.statements()[0] for page in found.pages.values())
    # the p of the best method meets the best of each permutation
    wide = found.null["held_out"].to_numpy().reshape(2, 19).max(axis=0)
    for row in found.table.iter_rows(named=True):
        assert row["p"] > 0.05
        assert row["p_adjusted"] == (1 + (wide >= row["held_out"]).sum()) / 20 >= row["p"]


def test_every_method_runs_under_the_same_folds() -> None:
    linked = simulate_linked_blocks(
        100, 30, 8, rng=np.random.default_rng(6), correlations=(0.9,), n_x_active=5
    )
    found = compare(
        linked.x, linked.y, seed=0, methods=list(compared_methods), groups=linked.x_groups,
        repeats=1, folds=2, inner=2, n_null=0, n_pairs=2,
    )  # fmt: skip
    assert found.table["method"].to_list() == list(compared_methods)
    known = found.table.filter(pl.col("method") != "parallel-ica")
    assert (known["held_out"] > 0.2).all()
    assert found.table["p"].is_nan().all()
    assert "too few for a verdict" in found.statements()[0]
    with pytest.raises(InputError, match="scca"):
        compare(linked.x, linked.y, seed=0, methods=["sca"])
    with pytest.raises(InputError, match="gene of each variant"):
        compare(linked.x, linked.y, seed=0, methods=["group-scca"])


def test_one_method_claims_no_agreement() -> None:
    linked = _linked(6, 0.8)
    found = compare(
        linked.x, linked.y, seed=0, methods=["scca"], groups=linked.x_groups,
        repeats=1, folds=2, inner=2, n_null=0, n_pairs=2,
    )  # fmt: skip
    assert len(found.statements()) == 1
    assert "methods" not in found.statements()[0]


def test_workers_change_no_number() -> None:
    linked = _linked(4, 0.6)
    options = {"methods": ["spls", "srrr"], "seed": 3, "repeats": 1, "n_null": 2, "n_pairs": 2}
    options |= {"folds": 2, "inner": 2}
    alone = compare(linked.x, linked.y, **options)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        both = compare(linked.x, linked.y, executor=executor, **options)
    timed = ["seconds"]
    assert alone.table.drop(timed).equals(both.table.drop(timed))
    assert alone.null.equals(both.null)
    assert alone.weights.equals(both.weights)


def test_overlap_indices_are_the_published_ones() -> None:
    a, b = np.zeros((2, 20), dtype=bool)
    a[:5], b[2:7] = True, True
    # Kuncheva: (r - k^2/p) / (k - k^2/p) with r = 3, k = 5, p = 20
    assert _overlap(a, b, 5) == pytest.approx(((3 - 25 / 20) / (5 - 25 / 20), 3 / 7))


def test_blocks_are_matched_by_id_and_say_what_they_lost() -> None:
    rng = np.random.default_rng(0)
    ids = [f"P{i}" for i in range(40)]
    x = rng.binomial(2, 0.3, (40, 5)).astype(float)
    x[0, 0], x[:20, 1], x[:, 2] = np.nan, np.nan, 1.0
    y = rng.standard_normal((40, 3))
    y[3, 0] = np.nan
    z = rng.standard_normal((40, 1))
    z[7] = np.nan
    frame = {"sample": ids} | {f"rs{j}": x[:, j] for j in range(5)}
    order = rng.permutation(40)
    images = {"sample": [ids[i] for i in order]} | {f"P{j}": y[order, j] for j in range(3)}
    found = match_blocks(
        PhenotypeTable.from_frame(frame),
        PhenotypeTable.from_frame(images),
        Covariates(tuple(ids), ("age",), z),
        groups={"rs0": "APOE", "rs4": "APOE"},
        max_missing=0.1,
    )
    assert found.x_names == ("rs0", "rs3", "rs4")
    assert found.groups == ("APOE", "rs3", "APOE")
    assert len(found.samples) == 38
    assert dict(found.dropped.iter_rows()) == {
        "P3": "a phenotype is missing",
        "P7": "a covariate is missing",
    }
    keep = [i for i in range(40) if i not in (3, 7)]
    assert found.y == pytest.approx(y[keep])
    assert found.x[0, 0] == pytest.approx(np.nanmean(x[keep, 0]))
    assert len(found.notes) == 3


def test_planted_biclusters_are_found_and_risk_is_read_afterwards() -> None:
    rng = np.random.default_rng(0)
    n, group = 160, np.zeros(160, dtype=bool)
    group[rng.choice(n, 35, replace=False)] = True
    x = rng.binomial(2, 0.2, (n, 60)).astype(float)
    x[np.ix_(group, range(12))] = rng.binomial(2, 0.85, (35, 12))
    y = rng.standard_normal((n, 30))
    y[np.ix_(group, range(8))] += 2.0
    event = rng.random(n) < np.where(group, 0.8, 0.2)
    result = link_biclusters(x, y, seed=0, outcome=event, n_permutations=99, ranks=(2, 3, 4, 5))
    best = result.table.row(0, named=True)
    assert best["p_fwe"] == 0.01
    assert best["risk_p"] < 1e-3
    assert best["risk"] > best["risk_others"]
    known = {f"s{i}" for i in np.flatnonzero(group)}
    for block, number in (("x", best["x_set"]), ("y", best["y_set"])):
        rows = (pl.col("block") == block) & (pl.col("set") == number)
        people = set(result.members.filter(rows)["sample"])
        assert len(people & known) / len(people | known) >= 0.8
    variants = result.features.filter((pl.col("block") == "x") & (pl.col("set") == best["x_set"]))
    assert set(variants["feature"]) == {f"x{j}" for j in range(12)}
    # each p is the hypergeometric tail
    for row in result.table.head(20).iter_rows(named=True):
        tail = hypergeom.sf(row["n_both"] - 1, n, row["n_x"], row["n_y"])
        assert row["p"] == pytest.approx(tail, rel=1e-9)


def test_biclusters_of_unlinked_blocks_are_not_linked() -> None:
    """Sets in both blocks, of other people; verification/multivariate.py has the error rate."""
    rng = np.random.default_rng(100)
    x = rng.binomial(2, 0.2, (80, 30)).astype(float)
    y = rng.standard_normal((80, 15))
    x[:20, :8] = rng.binomial(2, 0.8, (20, 8))
    y[40:60, :5] += 2
    result = link_biclusters(x, y[rng.permutation(80)], seed=0, ranks=(2, 3, 4), n_permutations=39)
    assert result.table["p_fwe"].min() > 0.05


def test_sets_come_from_scikit_learns_factorisation() -> None:
    rng = np.random.default_rng(0)
    x = rng.binomial(2, 0.3, (60, 20)).astype(float)
    x[:15, :6] = 2
    sets = bicluster_sets(x, ranks=[2], seed=0, n_starts=1)
    from radgen._core.rng import derive_seed

    state = derive_seed(0, "nmf", 2, 0) % 2**32
    people = NMF(2, init="nndsvdar", random_state=state, max_iter=400, tol=1e-3).fit_transform(x)
    known = [people[:, k] > _cut(people[:, k]) for k in range(2)]
    assert all(any((inside == other).all() for other in known) for inside, _ in sets)
    with pytest.raises(InputError, match="negative"):
        bicluster_sets(x - 1, ranks=[2], seed=0)


def test_the_command_writes_a_report_with_a_page_a_method(tmp_path: Path) -> None:
    from radgen.cli.app import app

    linked = _linked(5, 0.7, site=1.0)
    snps = {"sample": list(linked.samples)} | dict(zip(linked.x_names, linked.x.T, strict=True))
    rois = {"IID": list(linked.samples)} | dict(zip(linked.y_names, linked.y.T, strict=True))
    pl.DataFrame(snps).write_csv(tmp_path / "snps.csv")
    pl.DataFrame(rois).write_csv(tmp_path / "rois.csv")
    linked.covariates.write_csv(tmp_path / "covariates.csv")
    genes = {"variant": linked.x_names, "gene": linked.x_groups}
    pl.DataFrame(genes).write_csv(tmp_path / "genes.csv")
    arguments = ["compare-multivariate", "--methods", "spls,srrr", "--repeats", "1"]
    for name, file in (("genotypes", "snps"), ("phenotypes", "rois"), ("groups", "genes"),
                       ("covariates", "covariates")):  # fmt: skip
        arguments += [f"--{name}", str(tmp_path / f"{file}.csv")]
    done = CliRunner().invoke(
        app, [*arguments, "--permutations", "2", "--out", str(tmp_path / "r")]
    )
    assert done.exit_code == 0, done.output
    page = (tmp_path / "r/report.html").read_text()
    assert "Sparse PLS" in page
    assert "site=site2" in page
    table = pl.read_csv(tmp_path / "r/methods.csv")
    assert (table["held_out"] > 0.2).all()
    assert pl.read_parquet(tmp_path / "r/weights.parquet").height == 2 * (60 + 15)
