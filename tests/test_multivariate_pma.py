"""Sparse CCA against PMA (R), and closed forms of reduced-rank regression."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression

from radgen.errors import FitError, InputError
from radgen.multivariate._shrink import l1_unit, soft_threshold
from radgen.multivariate.reduced_rank import ReducedRankRegression, SparseReducedRank
from radgen.multivariate.sparse_cca import SparseCCA
from radgen.multivariate.tuning import cca_cross_validation, cca_permutation, selection_frequency


def _read(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, infer_schema_length=None)


@pytest.fixture(scope="module")
def study(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray, Path]:
    root = request.getfixturevalue("data")("genetics")
    here = root / "bgsmtr_imaging_genetics"
    snps = _read(here / "snp_data.csv").to_numpy().astype(np.float64)
    rois = _read(here / "brain_measures.csv").select(
        pl.all().cast(pl.String).str.strip_chars().cast(pl.Float64)
    )
    return snps[:, snps.std(axis=0) > 0], rois.to_numpy(), root / "refs_multivariate"


@pytest.mark.parametrize(("px", "pz"), [(0.1, 0.3), (0.3, 0.7)])
def test_weights_of_three_components_equal_pma(study, px: float, pz: float) -> None:
    x, y, refs = study
    model = SparseCCA(3, x_penalty=px, y_penalty=pz, tol=1e-10).fit(x, y)
    u = _read(refs / f"pma_cca_px{px}_pz{pz}_u.csv").drop("snp").to_numpy()
    v = _read(refs / f"pma_cca_px{px}_pz{pz}_v.csv").drop("roi").to_numpy()
    expected = _read(refs / f"pma_cca_px{px}_pz{pz}_d.csv")
    sign = np.sign((model.x_weights_ * u).sum(axis=0))
    # PMA bisects the threshold to 1e-6 and stops at 1e-6
    assert model.x_weights_ * sign == pytest.approx(u, abs=1e-6)
    assert model.y_weights_ * sign == pytest.approx(v, abs=1e-6)
    assert model.covariances_ == pytest.approx(expected["d"].to_numpy(), rel=1e-6)
    assert model.correlations_ == pytest.approx(expected["cor"].to_numpy(), abs=1e-6)


def test_without_penalty_the_weights_are_singular_vectors() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((60, 8)), rng.standard_normal((60, 5))
    y[:, 0] += x[:, 0]
    model = SparseCCA(2, x_penalty=1, y_penalty=1, max_iter=5000, tol=1e-12).fit(x, y)
    xs = (x - x.mean(0)) / x.std(0, ddof=1)
    ys = (y - y.mean(0)) / y.std(0, ddof=1)
    u, s, vt = np.linalg.svd(xs.T @ ys)
    assert model.covariances_ == pytest.approx(s[:2], rel=1e-9)
    assert np.abs(model.x_weights_.T @ u[:, :2]) == pytest.approx(np.eye(2), abs=1e-6)
    assert np.abs(model.y_weights_.T @ vt[:2].T) == pytest.approx(np.eye(2), abs=1e-6)


def test_float32_and_float64_agree() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((80, 300)), rng.standard_normal((80, 20))
    wide = SparseCCA(x_penalty=0.2, y_penalty=0.4).fit(x, y)
    narrow = SparseCCA(x_penalty=0.2, y_penalty=0.4).fit(x.astype(np.float32), y.astype(np.float32))
    sign = np.sign((narrow.x_weights_ * wide.x_weights_).sum())
    assert sign * narrow.x_weights_ == pytest.approx(wide.x_weights_, abs=1e-4)


def test_a_bound_above_one_by_rounding_leaves_the_largest() -> None:
    rng = np.random.default_rng(0)
    for excess in (2.3e-16, 1e-15, 1e-13):
        for _ in range(50):
            values = rng.standard_normal(300)
            found = l1_unit(values, 1.0 + excess)
            assert np.linalg.norm(found) == pytest.approx(1.0)
            assert np.argmax(np.abs(found)) == np.argmax(np.abs(values))


@pytest.mark.parametrize("bound", [1.0, 1.3, 2.0, 5.0, 50.0])
def test_l1_unit_is_the_soft_threshold_that_bisection_finds(bound: float) -> None:
    rng = np.random.default_rng(3)
    for n in (1, 2, 7, 100):
        values = rng.standard_normal(n)
        found = l1_unit(values, bound)
        low, high = 0.0, np.abs(values).max()
        if np.abs(values).sum() > bound * np.linalg.norm(values):
            for _ in range(200):
                middle = (low + high) / 2
                shrunk = soft_threshold(values, middle)
                over = np.abs(shrunk).sum() > bound * np.linalg.norm(shrunk)
                low, high = (middle, high) if over else (low, middle)
        shrunk = soft_threshold(values, low)
        assert found == pytest.approx(shrunk / np.linalg.norm(shrunk), abs=1e-7)
        assert np.abs(found).sum() <= max(bound, 1.0) * (1 + 1e-9)
    assert l1_unit(np.array([2.0, -2.0, 1.0]), 1.2) == pytest.approx([0.5**0.5, -(0.5**0.5), 0])
    assert l1_unit(np.zeros(3), 1.0).tolist() == [0, 0, 0]


def test_held_out_correlation_is_found_where_planted_and_zero_under_the_null() -> None:
    rng = np.random.default_rng(4)
    null, planted = [], []
    for _ in range(30):
        x, y = rng.standard_normal((120, 60)), rng.standard_normal((120, 15))
        null.append(SparseCCA().fit(x[:60], y[:60]).score(x[60:], y[60:]))
        shared = rng.standard_normal(120)
        x[:, :4] += shared[:, None]
        y[:, :2] += shared[:, None]
        planted.append(SparseCCA().fit(x[:60], y[:60]).score(x[60:], y[60:]))
    assert abs(np.mean(null)) < 4 * np.std(null) / np.sqrt(30)
    assert np.mean(planted) > 0.5


def test_permutation_p_is_uniform_under_the_null_and_small_where_planted() -> None:
    rng = np.random.default_rng(5)
    pairs = [(0.3, 0.4), (0.6, 0.7)]
    p = []
    for k in range(20):
        x, y = rng.standard_normal((40, 20)), rng.standard_normal((40, 6))
        p.append(cca_permutation(x, y, penalties=pairs, seed=k, n_permutations=19).p)
    # 20 draws: more than 4 rejections at 0.05 has probability 0.003
    assert np.sum(np.array(p) <= 0.05) <= 4
    assert 0.25 < np.mean(p) < 0.75
    shared = rng.standard_normal(40)
    x[:, :3] += shared[:, None]
    y[:, :2] += shared[:, None]
    tuned = cca_permutation(x, y, penalties=pairs, seed=0, n_permutations=39)
    assert tuned.p == pytest.approx(1 / 40)
    assert cca_cross_validation(x, y, penalties=pairs, seed=0).frame["held_out"].max() > 0.4
    often = selection_frequency(SparseCCA(), x, y, seed=0, n_subsamples=20)
    assert set(often.frame["feature"][:3]) == {"x0", "x1", "x2"}


def test_reduced_rank_regression_has_its_closed_forms(study) -> None:
    x, y, refs = study
    rng = np.random.default_rng(6)
    a, b = rng.standard_normal((50, 6)), rng.standard_normal((50, 4))
    full = ReducedRankRegression(rank=4).fit(a, b)
    ols = LinearRegression().fit(a, b)
    assert full.coef_ == pytest.approx(ols.coef_.T, abs=1e-10)
    assert full.predict(a) == pytest.approx(ols.predict(a), abs=1e-10)
    fitted = ols.predict(a) - b.mean(axis=0)
    one = ReducedRankRegression(rank=1).fit(a, b)
    pca = PCA(1).fit(fitted)
    assert one.predict(a) - b.mean(axis=0) == pytest.approx(
        pca.inverse_transform(pca.transform(fitted)), abs=1e-9
    )
    expected = _read(refs / "rrpack_rrr_maxrank2_IC_selected_rank1_coef.csv").drop("snp").to_numpy()
    xs = (x - x.mean(0)) / x.std(0, ddof=1)
    ys = (y - y.mean(0)) / y.std(0, ddof=1)
    found = ReducedRankRegression(rank=1).fit(xs[:, ::10], ys)
    assert found.coef_ == pytest.approx(expected, abs=1e-8)


def test_sparse_reduced_rank_finds_the_planted_variants() -> None:
    rng = np.random.default_rng(7)
    x = rng.binomial(2, 0.3, (300, 200)).astype(np.float64)
    y = rng.standard_normal((300, 30))
    y += np.outer(x[:, [10, 50, 90]].sum(axis=1), 0.5 * rng.standard_normal(30))
    model = SparseReducedRank(n_selected=3).fit(x, y)
    assert np.flatnonzero(model.x_weights_[:, 0]).tolist() == [10, 50, 90]
    assert model.score(x, y) > 0.02
    dense = SparseReducedRank(n_components=1, penalty=0.0).fit(x[:, :5], y)
    assert np.count_nonzero(dense.x_weights_) == 5


def test_impossible_input_is_refused() -> None:
    x, y = np.random.default_rng(0).standard_normal((2, 20, 4))
    with pytest.raises(InputError, match="x_penalty is 0"):
        SparseCCA(x_penalty=0).fit(x, y)
    with pytest.raises(FitError, match="No column of X varies"):
        SparseCCA().fit(np.ones((20, 3)), y)
    with pytest.raises(FitError, match="did not converge in 1 "):
        SparseCCA(max_iter=1, tol=1e-30).fit(x, y)
    with pytest.raises(InputError, match="data have rank 4"):
        SparseCCA(9).fit(x, y)
