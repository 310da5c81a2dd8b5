"""Tests of gene sets against limma, gseapy, SciPy, naive definitions and simulated nulls.

The golden values and the scripts with the versions lie in tests/golden/enrichment.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import sparse, stats

from radgen.associate import enrich, over_representation, preranked, scan
from radgen.errors import InputError
from radgen.stats.permutation import random_order
from radgen.stats.running_sum import enrichment_scores, score_tail
from radgen.stats.set_tests import competitive_ranks, hypergeometric_log10p
from radgen.types import Covariates, OmicsTable, PhenotypeTable

GOLDEN = Path(__file__).parent / "golden" / "enrichment"


def _golden() -> tuple[PhenotypeTable, OmicsTable, Covariates, dict[str, list[str]]]:
    frame = pl.read_csv(GOLDEN / "input.csv")
    ids = frame["sample"].to_list()
    genes = [name for name in frame.columns if name.startswith("g")]
    layer = OmicsTable(ids, genes, frame.select(genes).to_numpy(), "expression", "log2")
    age = Covariates(ids, ("age",), frame.select("age").to_numpy())
    sets = pl.read_csv(GOLDEN / "sets.csv").group_by("set", maintain_order=True)
    return (
        PhenotypeTable.from_frame(frame.select("sample", "trait")),
        layer,
        age,
        {name[0]: part["gene"].to_list() for name, part in sets},
    )


def test_competitive_tests_equal_limma_camera() -> None:
    images, layer, age, sets = _golden()
    want = pl.read_csv(GOLDEN / "camera.csv", null_values="NA")
    exact = want.filter(pl.col("run") == "exact")
    options = {"method": "camera", "min_genes": 1}
    found = enrich(images, layer, sets, age, inter_gene_correlation=0.01, **options).table
    assert found["log10p"].to_numpy() == pytest.approx(np.log10(exact["p"].to_numpy()), abs=1e-6)
    assert ["Up" if s > 0 else "Down" for s in found["score"]] == exact["direction"].to_list()
    free = want.filter(pl.col("run") == "estimated")
    found = enrich(images, layer, sets, age, **options).table
    between = free["correlation"].to_numpy()
    assert found["correlation"].to_numpy() == pytest.approx(between, abs=1e-9)
    # limma takes Bailey's approximation of the z of a moderated t; ours is exact.
    assert found["p"].to_numpy() == pytest.approx(free["p"].to_numpy(), rel=1e-6)


def test_rank_tests_equal_limma_camera_with_ranks() -> None:
    images, layer, age, sets = _golden()
    want = pl.read_csv(GOLDEN / "camera_ranks.csv", null_values="NA")
    options = {"method": "ranks", "min_genes": 1}
    fixed = want.filter(pl.col("run") == "ranks_0.05")
    found = enrich(images, layer, sets, age, inter_gene_correlation=0.05, **options).table
    assert found["p"].to_numpy() == pytest.approx(fixed["p"].to_numpy(), rel=1e-9)
    assert ["Up" if s > 0 else "Down" for s in found["score"]] == fixed["direction"].to_list()
    free = want.filter(pl.col("run") == "ranks_estimated")
    found = enrich(images, layer, sets, age, **options).table
    assert found["p"].to_numpy() == pytest.approx(free["p"].to_numpy(), rel=1e-9)
    z = pl.read_csv(GOLDEN / "z.csv")
    place = {gene: j for j, gene in enumerate(z["gene"])}
    rows = [[place[gene] for gene in own] for own in sets.values()]
    members = sparse.csr_array([[float(j in set(own)) for j in range(z.height)] for own in rows])
    ties = competitive_ranks(np.round(z["z"].to_numpy())[None], members, 0.05)
    own = want.filter(pl.col("run") == "ranks_ties")
    assert 10 ** ties.log10p[0] == pytest.approx(own["p"].to_numpy(), rel=1e-9)
    count = sum(a > b for a in z["z"].gather(rows[2]) for b in z["z"])
    inside = sum(a > b for a in z["z"].gather(rows[2]) for b in z["z"].gather(rows[2]))
    exact = competitive_ranks(z["z"].to_numpy()[None], members, 0.0)
    m = len(rows[2])
    assert exact.effect[0, 2] == pytest.approx((count - inside) / (m * (z.height - m)) - 0.5)


def test_ranked_lists_equal_gseapy() -> None:
    sets = _golden()[3]
    z = pl.read_csv(GOLDEN / "z.csv")
    ranking = dict(zip(z["gene"], z["z"], strict=True))
    golden = pl.read_csv(GOLDEN / "gseapy_prerank.csv")
    for power in (0.0, 1.0, 1.5):
        want = golden.filter(pl.col("power") == power).sort("set")
        options = {"power": power, "permutations": 20_000, "min_genes": 1}
        got = preranked(ranking, sets, **options).table.sort("set")
        assert got["score"].to_numpy() == pytest.approx(want["score"].to_numpy(), abs=1e-12)
        # Both divide by a mean of at least 8,000 random scores whose deviation is below their mean.
        assert got["nes"].to_numpy() == pytest.approx(want["nes"].to_numpy(), rel=0.03)
        p = want["p"].to_numpy()
        assert got["p"].to_numpy() == pytest.approx(p, abs=5 * np.sqrt(0.25 / 8_000))
        for row, genes in zip(got.iter_rows(named=True), want["Lead_genes"], strict=True):
            if row["p"] <= 0.05:
                assert set(row["leading"].split(",")) == set(genes.split(";"))


def test_scores_equal_a_walk_step_by_step() -> None:
    rng = np.random.default_rng(3)
    values = rng.standard_normal((4, 50))
    members = [np.array([3, 17, 40]), np.arange(0, 50, 3), np.array([9])]
    got = enrichment_scores(values, members, power=1.3)
    for row, ranked in enumerate(values):
        for k, own in enumerate(members):
            order = np.argsort(-ranked)
            inside = np.isin(order, own)
            up = np.abs(ranked[order]) ** 1.3 * inside
            path = np.cumsum(np.where(inside, up / up.sum(), -1 / (50 - len(own))))
            assert got[row, k] == pytest.approx(path[np.argmax(np.abs(path))])


def _exact_tail(length: int, m: int, score: float) -> float:
    """P(the classical walk of m random places reaches a score), by all lattice paths."""
    probability, reached = np.zeros(m + 1), 0.0
    probability[0] = 1.0
    hits = np.arange(m + 1)
    for step in range(length):
        up = np.clip((m - hits) / (length - step), 0, 1)
        moved = probability * (1 - up)
        moved[1:] += (probability * up)[:-1]
        over = hits / m - (step + 1 - hits) / (length - m) >= score - 1e-12
        reached += moved[over].sum()
        probability = np.where(over, 0.0, moved)
    return reached


def test_far_tails_equal_the_exact_law_of_the_classical_walk() -> None:
    for score in (0.5, 0.8):
        exact = np.log(_exact_tail(400, 12, score))
        runs = [
            score_tail(np.ones(400), 12, score, rng=np.random.default_rng(seed))
            for seed in range(4)
        ]
        error = np.array([run[1] for run in runs])
        off = (np.array([run[0] for run in runs]) * np.log(10) - exact) / error
        assert np.abs(off).max() < 4
        assert abs(off.mean()) < 4 / np.sqrt(len(off))
    ranking = {f"g{j}": float(400 - 2 * j) for j in range(400)}
    sets = {"top": [f"g{j}" for j in range(0, 24, 2)], "rest": [f"g{j}" for j in range(0, 400, 9)]}
    found = preranked(ranking, sets, power=0.0, permutations=500, floor=1e-40).table
    exact = _exact_tail(400, 12, found["score"][0])
    assert found["log10p"][0] == pytest.approx(np.log10(exact) + np.log10(2), abs=1.5)
    assert found["p"][0] < 1e-10


def test_over_representation_equals_scipy_and_fractions() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        total = int(rng.integers(3, 3000))
        m, n = rng.integers(1, total + 1, 2)
        k = int(rng.integers(max(0, m + n - total), min(m, n) + 1))
        got = float(hypergeometric_log10p(k, m, n, total))
        want = stats.hypergeom.logsf(k - 1, total, m, n) / np.log(10)
        assert got == pytest.approx(want, rel=1e-9, abs=1e-11)
    # 200 of 200 members among 200 selected of 20,000: 1 / choose(20000, 200).
    exact = -sum(np.log10((20_000 - i) / (200 - i)) for i in range(200))
    assert float(hypergeometric_log10p(200, 200, 200, 20_000)) == pytest.approx(exact, rel=1e-12)
    genes = [f"g{j}" for j in range(20)]
    found = over_representation({"a": genes[:4], "b": []}, genes, {"S": genes[1:6], "T": ["no"]})
    table = found.table
    assert table["p"].to_list() == pytest.approx([155 / 4845, 1.0])
    assert table["leading"][0] == "g1,g2,g3"
    assert "T" in found.left_out
    with pytest.raises(InputError, match="not in the background: alien"):
        over_representation({"a": ["alien"]}, genes, {"S": genes[:6]})


def _cohort(
    n: int, n_traits: int, *, seed: int, n_covariates: int = 0
) -> tuple[PhenotypeTable, OmicsTable, Covariates | None, dict[str, list[str]]]:
    """Null traits beside 120 genes, in sets of 12 that hang together or do not."""
    rng = np.random.default_rng(seed)
    ids = [f"s{i}" for i in range(n)]
    values = rng.standard_normal((n, 120))
    for start, weight in ((0, 1.5), (12, 0.7)):
        values[:, start : start + 12] += weight * rng.standard_normal((n, 1))
    genes = [f"g{j}" for j in range(120)]
    sets = {f"S{k}": genes[12 * k : 12 * k + 12] for k in range(4)}
    z = rng.standard_normal((n, n_covariates))
    covariates = (
        Covariates(ids, [f"z{i}" for i in range(n_covariates)], z) if n_covariates else None
    )
    frame = {"sample": ids} | {f"t{i}": rng.standard_normal(n) for i in range(n_traits)}
    layer = OmicsTable(ids, genes, values, "expression", "log2")
    return PhenotypeTable.from_frame(frame), layer, covariates, sets


@pytest.mark.parametrize(
    ("method", "n_traits", "highest"), [("mean", 600, 48), ("contrast", 600, 48), ("gsea", 150, 18)]
)
def test_null_levels_hold_where_genes_of_a_set_hang_together(
    method: str, n_traits: int, highest: int
) -> None:
    """Rejections of each set at 0.05: at most the 99.9 % point of the binomial."""
    assert stats.binom.ppf(0.9993, n_traits, 0.05) <= highest
    images, layer, covariates, sets = _cohort(40, n_traits, seed=9, n_covariates=8)
    options = {"permutations": 99} if method == "gsea" else {}
    found = enrich(images, layer, sets, covariates, method=method, **options).table
    counts = found.filter(pl.col("p") <= 0.05)["set"].value_counts()
    assert counts["count"].max() <= highest
    if method != "gsea":
        assert found.height == 4 * n_traits
        low = stats.binom.ppf(0.0007, n_traits, 0.05)
        assert counts["count"].min() >= low
        assert stats.kstest(found["p"].to_numpy(), "uniform").pvalue > 1e-3
    if method == "gsea":  # random sets of genes are the wrong reference: red if they were not
        naive = preranked(scan(images, layer, covariates), sets, permutations=200).table
        assert naive.filter((pl.col("p") <= 0.05) & (pl.col("set") == "S0")).height > 2 * highest


def test_permuted_scores_equal_their_definition() -> None:
    images, layer, covariates, sets = _cohort(25, 2, seed=2, n_covariates=2)
    found = enrich(images, layer, sets, covariates, method="gsea", permutations=40, seed=5).table
    n = 25
    z = np.column_stack([np.ones(n), np.asarray(covariates.values)])
    hat = np.eye(n) - z @ np.linalg.pinv(z)
    genes = hat @ layer.values
    members = [np.array([layer.features.index(g) for g in own]) for own in sets.values()]
    for trait in range(2):
        left = hat @ images.values[:, trait]

        def scores(y: np.ndarray) -> np.ndarray:
            y = hat @ y
            r = (y @ genes) / np.linalg.norm(y) / np.linalg.norm(genes, axis=0)
            return enrichment_scores((r * np.sqrt((n - 4) / (1 - r**2)))[None], members)[0]

        observed = scores(left)
        label = np.zeros(n, dtype=np.int64)
        null = np.array([scores(left[random_order(label, 5, i)]) for i in range(40)])
        same = np.sign(null) == np.sign(observed)
        beyond = same & (np.abs(null) >= np.abs(observed))
        rows = found.filter(pl.col("phenotype") == images.names[trait])
        assert rows["score"].to_numpy() == pytest.approx(observed)
        p = (beyond.sum(axis=0) + 1) / (same.sum(axis=0) + 1)
        assert rows["p"].to_numpy() == pytest.approx(p)
        nes = observed / (np.where(same, np.abs(null), 0).sum(axis=0) / same.sum(axis=0))
        assert rows["nes"].to_numpy() == pytest.approx(nes)


@pytest.mark.parametrize("method", ["mean", "contrast"])
def test_mean_tests_are_linear_tests_of_means(method: str) -> None:
    images, layer, covariates, sets = _cohort(30, 3, seed=4, n_covariates=2)
    values = np.array(images.values)
    values[:4, 1] = np.nan
    images = PhenotypeTable.from_frame(
        {"sample": images.samples} | {name: values[:, j] for j, name in enumerate(images.names)}
    )
    found = enrich(images, layer, sets, covariates, method=method).table
    for name in images.names:
        own = values[:, images.names.index(name)]
        rows = np.flatnonzero(np.isfinite(own))
        z = np.column_stack([np.ones(len(rows)), covariates.values[rows]])
        genes = layer.values[rows] - z @ np.linalg.lstsq(z, layer.values[rows], rcond=None)[0]
        genes /= np.linalg.norm(genes, axis=0)
        inside = np.array(
            [[gene in own_set for gene in layer.features] for own_set in sets.values()]
        )
        score = genes @ (inside.T / 12 - (method == "contrast") * (~inside).T / 108)
        ids = [layer.samples[i] for i in rows]
        table = OmicsTable(ids, list(sets), score, "pathway", "difference")
        want = scan(images.take(columns=[images.names.index(name)]), table, covariates).table
        got = found.filter(pl.col("phenotype") == name)
        assert got["p"].to_numpy() == pytest.approx(want["p"].to_numpy(), rel=1e-9)
        assert got["n"].to_list() == want["n"].to_list()


@pytest.mark.parametrize("method", ["mean", "contrast", "camera", "gsea"])
def test_a_planted_set_is_first_and_holes_are_survived(method: str) -> None:
    images, layer, _, sets = _cohort(80, 4, seed=6)
    values = np.array(layer.values)
    values[:, 24:36] += 0.5 * images.values[:, [1]]
    values[:, 119] = 3.0
    values[:60, 118] = np.nan
    values[5, 30] = np.nan
    traits = {name: np.array(images.values[:, j]) for j, name in enumerate(images.names)}
    traits["flat"] = np.full(80, 2.0)
    traits["rare"] = np.where(np.arange(80) < 5, 1.0, np.nan)
    images = PhenotypeTable.from_frame({"sample": images.samples} | traits)
    holed = OmicsTable(layer.samples, layer.features, values, "expression", "log2")
    found = enrich(images, holed, sets | {"none": ["x"]}, method=method, permutations=2000)
    best = found.significant().row(0, named=True)
    assert (best["phenotype"], best["set"]) == ("t1", "S2")
    assert best["score"] > 0
    assert best["n_genes"] == 118
    assert set(best["leading"].split(",")) <= set(sets["S2"])
    status = dict(found.table.select("phenotype", "reason").unique().iter_rows())
    assert status["flat"] == "the phenotype does not vary"
    assert status["rare"] == "5 samples have the phenotype"
    assert any("1 missing values" in note for note in found.warnings)
    assert list(found.left_out) == ["expression: none"]
    tables, plain = found.encode()
    assert type(found).decode(tables, plain).statements() == found.statements()
    assert "S2" in found.statements()[1]
    for kind in found.plots:
        assert found.plot(kind).figure is not None


def test_unsound_requests_are_refused() -> None:
    images, layer, _, sets = _cohort(20, 1, seed=1)
    counts = OmicsTable(layer.samples, layer.features, layer.values + 9, "expression", "counts")
    with pytest.raises(InputError, match="raw counts"):
        enrich(images, counts, sets)
    with pytest.raises(InputError, match="inter_gene_correlation"):
        enrich(images, layer, sets, inter_gene_correlation=1.5)
    with pytest.raises(InputError, match="No gene set"):
        enrich(images, layer, {"x": ["alien"]})
    with pytest.raises(InputError, match="floor"):
        preranked({"a": 1.0, "b": 2.0, "c": 3.0}, {"x": ["a"]}, floor=2.0, min_genes=1)
    with pytest.raises(InputError, match="A ranking needs 3 genes"):
        preranked({"a": 1.0, "b": float("nan")}, sets)
