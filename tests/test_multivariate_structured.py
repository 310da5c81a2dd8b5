"""Group and graph penalties, several blocks, row-sparse and Bayesian regression."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from radgen.errors import InputError
from radgen.multivariate import (
    BayesianGroupSparse,
    MofaFactors,
    MultiBlockCCA,
    ReducedRankRegression,
    RowSparseReducedRank,
    SparseCCA,
    component_stability,
    weight_map,
)
from radgen.multivariate._penalty import make_penalty
from radgen.multivariate.parallel_ica import ParallelICA
from radgen.sim import simulate_linked_blocks
from radgen.types import Geometry, Mask


@pytest.fixture(scope="module")
def blocks() -> tuple[np.ndarray, np.ndarray]:
    linked = simulate_linked_blocks(
        120, 60, 25, rng=np.random.default_rng(5), correlations=(0.8,), n_x_active=6
    )
    return linked.x, linked.y


def _chain(n: int) -> np.ndarray:
    edges = np.zeros((n, n))
    edges[np.arange(n - 1), np.arange(1, n)] = 1
    return edges + edges.T


@pytest.mark.parametrize("mix", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("smooth", [0.0, 2.0])
@pytest.mark.parametrize("fraction", [0.6, 0.9])
def test_the_unit_step_solves_its_convex_program(
    mix: float, smooth: float, fraction: float
) -> None:
    import cvxpy as cp

    rng = np.random.default_rng(0)
    values = rng.standard_normal(40)
    values[:5] += 3
    label = np.repeat(np.arange(8), 5)
    penalty = make_penalty(
        fraction, 40, groups=label, mix=mix, graph=_chain(40), smooth=smooth, name="x"
    )
    found = penalty.unit(values)
    w = cp.Variable(40)
    laplacian = np.zeros((40, 40)) if smooth == 0 else penalty.laplacian.toarray()
    root = np.linalg.cholesky(np.eye(40) + smooth * laplacian).T
    groups = sum(np.sqrt(5) * cp.norm(w[label == g]) for g in range(8))
    norm = (1 - mix) * cp.norm1(w) + mix * groups
    bounds = [cp.norm(root @ w) <= 1, norm <= fraction * np.sqrt(40)]
    problem = cp.Problem(cp.Maximize(values @ w), bounds)
    problem.solve(solver=cp.CLARABEL)
    # the interior-point solver stops at 1e-8 relative
    assert values @ found == pytest.approx(problem.value, rel=1e-7)
    assert found == pytest.approx(w.value, abs=2e-5)


def test_groups_without_their_norm_are_plain_sparse_cca(blocks) -> None:
    x, y = blocks
    plain = SparseCCA(x_penalty=0.4, y_penalty=0.5, tol=1e-9).fit(x, y)
    mixed = SparseCCA(
        x_penalty=0.4, y_penalty=0.5, x_groups=list(range(60)), group_mix=0.0, tol=1e-9
    ).fit(x, y)
    assert mixed.x_weights_ == pytest.approx(plain.x_weights_, abs=1e-8)
    single = SparseCCA(
        x_penalty=0.4, y_penalty=0.5, x_groups=list(range(60)), group_mix=1.0, tol=1e-9
    ).fit(x, y)
    assert single.x_weights_ == pytest.approx(plain.x_weights_, abs=1e-8)


def test_the_group_norm_alone_keeps_whole_genes(blocks) -> None:
    x, y = blocks
    genes = [f"g{j // 10}" for j in range(60)]
    model = SparseCCA(x_penalty=0.45, y_penalty=0.5, x_groups=genes, group_mix=1.0).fit(x, y)
    kept = model.x_weights_[:, 0].reshape(6, 10) != 0
    assert (kept.all(axis=1) | ~kept.any(axis=1)).all()
    assert 1 <= kept.any(axis=1).sum() < 6


def test_a_graph_finds_a_smooth_blob_better_than_sparsity_alone() -> None:
    gain = []
    for seed in range(2):
        linked = simulate_linked_blocks(
            90, 40, 400, rng=np.random.default_rng(seed), correlations=(0.7,), n_y_active=40,
            signal=0.12, shape=(20, 20),
        )  # fmt: skip
        truth = np.zeros(400)
        truth[linked.y_active] = 1
        place = np.arange(400).reshape(20, 20)
        edges = np.zeros((400, 400))
        for a, b in ((place[1:], place[:-1]), (place[:, 1:], place[:, :-1])):
            edges[a.ravel(), b.ravel()] = edges[b.ravel(), a.ravel()] = 1
        options = {"x_penalty": 0.4, "y_penalty": 0.4, "tol": 1e-4, "max_iter": 2000}
        found = [
            np.abs(SparseCCA(y_graph=g, smoothness=4.0, **options).fit(linked.x, linked.y)
                   .y_weights_[:, 0])
            for g in (None, edges)
        ]  # fmt: skip
        gain.append([np.corrcoef(truth, w)[0, 1] for w in found])
    plain, smooth = np.mean(gain, axis=0)
    assert smooth > plain + 0.05


def test_two_blocks_of_many_are_sparse_cca(blocks) -> None:
    x, y = blocks
    pair = SparseCCA(2, x_penalty=0.4, y_penalty=0.5, tol=1e-10, max_iter=5000).fit(x, y)
    many = MultiBlockCCA(2, penalty={"x": 0.4, "y": 0.5}, tol=1e-10, max_iter=5000)
    many.fit({"x": x, "y": y})
    for k in range(2):
        sign = np.sign(pair.x_weights_[:, k] @ many.weights_["x"][:, k])
        assert sign * many.weights_["x"][:, k] == pytest.approx(pair.x_weights_[:, k], abs=1e-6)
        assert sign * many.weights_["y"][:, k] == pytest.approx(pair.y_weights_[:, k], abs=1e-6)


def test_three_blocks_climb_their_criterion_to_a_fixed_point() -> None:
    rng = np.random.default_rng(2)
    shared = rng.standard_normal((100, 1))
    data = {name: rng.standard_normal((100, 15)) for name in "abc"}
    for block in data.values():
        block[:, :3] += shared
    model = MultiBlockCCA(penalty=0.5).fit(data)
    assert {tuple(np.flatnonzero(w[:, 0])[:3]) for w in model.weights_.values()} == {(0, 1, 2)}
    standard = {k: (b - b.mean(0)) / b.std(0, ddof=1) for k, b in data.items()}
    scores = {k: standard[k] @ model.weights_[k][:, 0] for k in data}
    total = sum(scores[a] @ scores[b] for a, b in (("a", "b"), ("a", "c"), ("b", "c")))
    assert model.criterion_[0] == pytest.approx(total, rel=1e-10)
    table = model.correlations(data)
    assert table.height == 3
    assert (table["correlation"] > 0.5).all()
    with pytest.raises(InputError, match="different numbers of samples"):
        MultiBlockCCA().fit({"a": data["a"], "b": data["b"][:50]})


def test_row_sparse_reduced_rank_equals_rrpack(data) -> None:
    root = data("genetics")
    snps = pl.read_csv(root / "bgsmtr_imaging_genetics/snp_data.csv").to_numpy().astype(float)
    rois = pl.read_csv(
        root / "bgsmtr_imaging_genetics/brain_measures.csv", infer_schema_length=None
    )
    y = rois.select(pl.all().cast(pl.String).str.strip_chars().cast(pl.Float64)).to_numpy()
    x = snps[:, snps.std(axis=0) > 0]
    x = ((x - x.mean(0)) / x.std(0, ddof=1))[:, ::10]
    y = (y - y.mean(0)) / y.std(0, ddof=1)
    file = root / "refs_multivariate/rrpack_srrr_nrank2_glasso_BIC_coef.csv"
    known = pl.read_csv(file).drop("snp").to_numpy()
    right = np.linalg.svd(known)[2][:2].T
    rows = known @ right
    # the penalty that the reference chose is read off its own optimality condition
    slope = x.T @ (y @ right - x @ rows)
    alpha = np.median((slope * rows).sum(1) / np.linalg.norm(rows, axis=1)) / len(x)
    model = RowSparseReducedRank(2, alpha=alpha).fit(x, y)
    # rrpack stops at a relative change of 1e-4, which its coefficients show
    assert model.coef_ == pytest.approx(known, abs=1e-4)


def test_row_sparse_reduced_rank_has_its_closed_form_and_drops_rows(blocks) -> None:
    x, y = blocks
    free = RowSparseReducedRank(2, alpha=0.0).fit(x, y)
    assert free.coef_ == pytest.approx(ReducedRankRegression(2).fit(x, y).coef_, abs=1e-8)
    sparse = RowSparseReducedRank(1, alpha=0.15).fit(x, y)
    kept = sparse.coef_.any(axis=1)
    assert 0 < kept.sum() < 30
    assert np.linalg.matrix_rank(sparse.coef_) == 1
    assert sparse.y_weights_.T @ sparse.y_weights_ == pytest.approx(np.eye(1), abs=1e-12)


def test_the_posterior_equals_numerical_integration() -> None:
    """Two variants of one gene, one phenotype, shrinkage fixed: a three-dimensional integral."""
    rng = np.random.default_rng(3)
    n = 25
    x = rng.standard_normal((n, 2))
    x = (x - x.mean(0)) / x.std(0, ddof=1)
    y = x @ np.array([0.5, -0.1]) + rng.standard_normal(n)
    y = (y - y.mean()) / y.std(ddof=1)
    mix, b = 0.6, 2.0
    model = BayesianGroupSparse(
        ["g", "g"], mix=mix, shrinkage=b, n_draws=20_000, n_burn=500, random_state=0
    ).fit(x, y)
    w = np.linspace(-1.2, 1.6, 101)
    s2 = np.exp(np.linspace(np.log(0.2), np.log(4), 40))
    first, second, noise = np.meshgrid(w, w, s2, indexing="ij")
    gram, cross, total = x.T @ x, x.T @ y, y @ y
    rest = (
        total - 2 * (first * cross[0] + second * cross[1])
        + first**2 * gram[0, 0] + second**2 * gram[1, 1] + 2 * first * second * gram[0, 1]
    )  # fmt: skip
    norm = mix * np.sqrt(2) * np.hypot(first, second) + (1 - mix) * (abs(first) + abs(second))
    log = -(n + 2) / 2 * np.log(noise) - rest / (2 * noise) - b * norm / np.sqrt(noise)
    log += -3 * np.log(noise) - 1 / noise + np.log(noise)  # 1/s2 ~ Gamma(2, 1), on a log grid
    density = np.exp(log - log.max())
    density /= density.sum()
    means = [(density * g).sum() for g in (first, second, noise)]
    spreads = [
        np.sqrt((density * (g - m) ** 2).sum())
        for g, m in zip((first, second), means[:2], strict=True)
    ]
    # Monte Carlo error of 20,000 correlated draws: a hundredth of a posterior deviation
    assert model.coef_[:, 0] == pytest.approx(means[:2], abs=0.02 * max(spreads))
    assert model.noise_.mean() == pytest.approx(means[2], rel=0.02)
    width = (model.upper_ - model.lower_)[:, 0] / (2 * 1.96)
    assert width == pytest.approx(spreads, rel=0.1)
    assert model.split_rhat_ < 1.01


def test_posterior_intervals_cover_and_shrink_noise() -> None:
    inside, false, found = [], [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((150, 20))
        w = np.zeros((20, 3))
        w[:3] = rng.choice([-0.5, 0.5], (3, 3))
        y = x @ w + rng.standard_normal((150, 3))
        genes = [f"g{j // 5}" for j in range(20)]
        model = BayesianGroupSparse(genes, n_draws=300, n_burn=150, random_state=seed).fit(x, y)
        covered = (model.lower_ <= w) & (w <= model.upper_)
        inside.append(covered.mean())
        clear = (model.lower_ > 0) | (model.upper_ < 0)
        false.append(clear[3:].mean())
        found.append(clear[:3].mean())
    assert np.mean(inside) > 0.93
    assert np.mean(false) < 0.05
    assert np.mean(found) > 0.9
    table = model.intervals()
    assert table.columns == ["feature", "target", "coefficient", "lower", "upper"]


def test_mofa_finds_the_shared_factor() -> None:
    linked = simulate_linked_blocks(
        200, 50, 20, rng=np.random.default_rng(1), correlations=(0.8,), n_x_active=10, ld=0.9
    )
    model = MofaFactors(4).fit(linked.x, linked.y)
    a, b = model.transform(linked.x, linked.y)
    assert abs(np.corrcoef(a[:, 0], b[:, 0])[0, 1]) > 0.5
    strongest = np.argsort(-np.abs(model.y_weights_[:, 0]))[:5]
    assert set(strongest) == set(linked.y_active)


def test_true_components_come_back_and_noise_does_not() -> None:
    rng = np.random.default_rng(0)
    sources = rng.laplace(size=(2, 400))
    x = rng.standard_normal((80, 2)) @ sources + 0.3 * rng.standard_normal((80, 400))
    y = rng.standard_normal((80, 2)) @ rng.laplace(size=(2, 300)) + rng.standard_normal((80, 300))
    model = ParallelICA((3, 2), coupling=0.0, random_state=0)
    table = component_stability(model, x, y, seed=1, n_runs=6).table
    true = np.abs(np.corrcoef(model.fit(x, y).x_sources_, sources)[:3, 3:]).max(axis=1) > 0.9
    found = table.filter(pl.col("block") == "x")
    assert true.sum() == 2
    assert found["recovered"].to_numpy()[true].min() > 0.95
    assert found["recovered"].to_numpy()[~true].max() < 0.8
    stable = found["stability"].to_numpy()
    assert stable[true].min() > stable[~true].max() + 0.1


def test_weights_return_to_their_voxels() -> None:
    inside = np.zeros((2, 3, 4), dtype=bool)
    inside[1, 1:, ::2] = True
    grid = Geometry(np.diag([2.0, 2.0, 3.0, 1.0]), (2, 3, 4))
    weights = np.array([0.0, 1.0, -2.0, 3.0])
    image = weight_map(weights, Mask(inside, grid))
    assert image.array[inside] == pytest.approx(weights / weights.std())
    assert np.isnan(image.array[~inside]).all()
    assert image.geometry is grid
    with pytest.raises(InputError, match="4 voxels"):
        weight_map(weights[:3], Mask(inside, grid))


def test_impossible_structure_is_refused(blocks) -> None:
    x, y = blocks
    with pytest.raises(InputError, match="x_groups names 3"):
        SparseCCA(x_groups=["a", "b", "c"]).fit(x, y)
    with pytest.raises(InputError, match="symmetric"):
        SparseCCA(y_graph=np.triu(np.ones((25, 25)))).fit(x, y)
    with pytest.raises(InputError, match="need"):
        BayesianGroupSparse(n_draws=10_000_000).fit(x, y)
