"""Sparse PLS and multi-task regression against R, scikit-learn and cvxpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.cross_decomposition import PLSCanonical, PLSRegression
from sklearn.linear_model import LinearRegression, MultiTaskLasso

from radgen.errors import FitError, InputError
from radgen.multivariate.multitask import GroupSparseMultiTask, LowRankMultiTask
from radgen.multivariate.sparse_pls import SparsePLS, SparsePLSRegression


def _read(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, infer_schema_length=None)


def _standard(values: np.ndarray) -> np.ndarray:
    return (values - values.mean(axis=0)) / values.std(axis=0, ddof=1)


@pytest.fixture(scope="module")
def blocks() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((80, 40))
    weights = np.zeros((40, 6))
    weights[:4] = rng.standard_normal((4, 2)) @ rng.standard_normal((2, 6))
    return x, x @ weights + rng.standard_normal((80, 6)) + 3


def test_sparse_pls_regression_equals_the_r_package(data) -> None:
    root = data("genetics")
    snps = _read(root / "bgsmtr_imaging_genetics" / "snp_data.csv").to_numpy().astype(float)
    rois = _read(root / "bgsmtr_imaging_genetics" / "brain_measures.csv").select(
        pl.all().cast(pl.String).str.strip_chars().cast(pl.Float64)
    )
    expected = _read(root / "refs_multivariate" / "spls_K2_eta0.8_coef.csv").drop("snp").to_numpy()
    x, y = _standard(snps[:, snps.std(axis=0) > 0]), _standard(rois.to_numpy())
    model = SparsePLSRegression(2, sparsity=0.8).fit(x, y)
    assert model.coef_ == pytest.approx(expected, abs=1e-12)
    assert len(model.selected_) == 26


def test_without_sparsity_pls_is_scikit_learns(blocks) -> None:
    x, y = blocks
    one = SparsePLSRegression(3, sparsity=0.0).fit(x, y[:, 0])
    peer = PLSRegression(3).fit(x, y[:, 0])
    assert one.predict(x) == pytest.approx(peer.predict(x).ravel(), abs=1e-9)
    pair = SparsePLS(3).fit(x, y)
    canonical = PLSCanonical(3, algorithm="svd").fit(x, y)
    assert np.abs(pair.x_rotations_) == pytest.approx(np.abs(canonical.x_rotations_), abs=1e-9)
    a, b = pair.transform(x, y)
    c, d = canonical.transform(x, y)
    assert np.abs(a) == pytest.approx(np.abs(c), abs=1e-9)
    assert np.abs(b) == pytest.approx(np.abs(d), abs=1e-9)


def test_sparse_pls_keeps_the_stated_numbers_and_filters_within_fit(blocks) -> None:
    x, y = blocks
    model = SparsePLS(2, n_x=5, n_y=2, prefilter=10).fit(x, y)
    assert (np.count_nonzero(model.x_weights_, axis=0) <= 5).all()
    assert (np.count_nonzero(model.y_weights_, axis=0) <= 2).all()
    assert len(model.kept_) == 10
    assert set(np.flatnonzero(model.x_weights_[:, 0])) <= set(model.kept_.tolist())


def test_filtering_outside_the_resampling_inflates() -> None:
    """The negative control: on noise, a filter that saw the test rows finds correlation."""
    rng = np.random.default_rng(1)
    inside, outside = [], []
    for _ in range(25):
        x, y = rng.standard_normal((60, 400)), rng.standard_normal((60, 5))
        train, test = slice(0, 40), slice(40, 60)
        honest = SparsePLS(prefilter=10).fit(x[train], y[train])
        inside.append(honest.score(x[test], y[test]))
        leaked = SparsePLS(prefilter=10).fit(x, y).kept_
        cheat = SparsePLS().fit(x[train][:, leaked], y[train])
        outside.append(cheat.score(x[test][:, leaked], y[test]))
    assert abs(np.mean(inside)) < 4 * np.std(inside) / 5
    assert np.mean(outside) > 4 * np.std(outside) / 5


def test_row_sparse_regression_equals_multi_task_lasso(blocks) -> None:
    x, y = blocks
    model = GroupSparseMultiTask(0.3, tol=1e-9).fit(x, y)
    peer = MultiTaskLasso(0.3, tol=1e-12, max_iter=100_000).fit(x, y)
    assert model.coef_ == pytest.approx(peer.coef_.T, abs=1e-8)
    assert model.intercept_ == pytest.approx(peer.intercept_, abs=1e-8)
    assert model.kkt_residual_ <= 1e-9
    wide = GroupSparseMultiTask(1e3).fit(x, y)
    assert not wide.coef_.any()
    none = GroupSparseMultiTask(0.0, tol=1e-10).fit(x, y)
    assert none.coef_ == pytest.approx(LinearRegression().fit(x, y).coef_.T, abs=1e-6)


def test_penalised_problems_equal_their_convex_programs(blocks) -> None:
    import cvxpy as cp

    x, y = blocks
    xc, yc = x - x.mean(axis=0), y - y.mean(axis=0)
    group = np.arange(40) // 5
    w = cp.Variable((40, 6))
    squared = cp.sum_squares(yc - xc @ w) / 160
    rows = cp.sum(cp.norm(w, 2, axis=1))
    groups = sum(np.sqrt(5) * cp.norm(w[group == g], "fro") for g in range(8))
    delta = 0.5 * float(np.median(np.linalg.norm(yc, axis=1)))
    robust = cp.sum(cp.huber(cp.norm(yc - xc @ w, 2, axis=1), delta)) / 160
    cases = [
        (
            squared + 0.1 * rows + 0.1 * groups,
            GroupSparseMultiTask(0.1, alpha_group=0.1, groups=group, tol=1e-9),
        ),
        (
            squared + 0.1 * rows + 0.1 * cp.normNuc(w),
            LowRankMultiTask(0.1, alpha_rank=0.1, tol=1e-8),
        ),
        (
            robust + 0.1 * rows + 0.1 * cp.normNuc(w),
            LowRankMultiTask(0.1, alpha_rank=0.1, huber=0.5, loss="robust", tol=1e-8),
        ),
    ]
    for objective, model in cases:
        model.fit(x, y)
        problem = cp.Problem(cp.Minimize(objective))
        problem.solve(solver=cp.SCS, eps=1e-8, max_iters=100_000)
        # the program's own accuracy limits the comparison
        assert model.coef_ == pytest.approx(w.value, abs=1e-5)


def test_low_rank_alone_is_singular_value_thresholding() -> None:
    rng = np.random.default_rng(2)
    x = np.linalg.qr(rng.standard_normal((50, 12)) - 0.0)[0]
    x = np.linalg.qr(x - x.mean(axis=0))[0]
    x -= x.mean(axis=0)
    y = rng.standard_normal((50, 7))
    cross = x.T @ (y - y.mean(axis=0))
    u, s, vt = np.linalg.svd(cross, full_matrices=False)
    threshold = 0.5 * s[2] + 0.5 * s[3]
    model = LowRankMultiTask(0.0, alpha_rank=threshold / 50, tol=1e-9).fit(x, y)
    assert model.coef_ == pytest.approx(u * np.maximum(s - threshold, 0) @ vt, abs=1e-6)


def test_the_robust_loss_withstands_outlying_people(blocks) -> None:
    x, y = blocks
    spoilt = y.copy()
    spoilt[:6] += 60
    clean = LowRankMultiTask(0.1, alpha_rank=0.1).fit(x, y).coef_
    squared = LowRankMultiTask(0.1, alpha_rank=0.1).fit(x, spoilt).coef_
    robust = LowRankMultiTask(0.1, alpha_rank=0.1, loss="robust", huber=0.3).fit(x, spoilt).coef_
    assert np.linalg.norm(robust - clean) < 0.3 * np.linalg.norm(squared - clean)


def test_impossible_settings_are_refused(blocks) -> None:
    x, y = blocks
    with pytest.raises(InputError, match="needs `groups`"):
        GroupSparseMultiTask(alpha_group=1.0).fit(x, y)
    with pytest.raises(FitError, match="Not converged"):
        LowRankMultiTask(max_iter=2).fit(x, y)
    with pytest.raises(InputError, match="prefilter is 0"):
        SparsePLS(prefilter=0).fit(x, y)
