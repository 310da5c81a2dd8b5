"""Gene masking and the ridge behind it: arithmetic, scikit-learn, planted sets, nulls."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score

from radgen.associate import mask_genes
from radgen.associate.gene_sets.gene_masking import _Drawer, _fitted, _performance
from radgen.errors import InputError
from radgen.stats.ridge import RidgeBasis, ridge
from radgen.types import OmicsTable, PhenotypeTable


@pytest.mark.parametrize("shape", [(30, 8), (12, 40)])
def test_ridge_equals_scikit_learn(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(shape) + 2, rng.standard_normal((shape[0], 3))
    fit = ridge(x, y, penalties=[0.3, 5.0, 70.0])
    for k, penalty in enumerate((0.3, 5.0, 70.0)):
        want = Ridge(alpha=penalty, solver="svd").fit(x, y[:, k])
        assert fit.coefficients[:, k] == pytest.approx(want.coef_, abs=1e-10)
        assert fit.intercepts[k] == pytest.approx(want.intercept_)
    signal = x @ rng.standard_normal((shape[1], 3)) + y
    chosen = ridge(x, signal).penalties
    value = np.linalg.svd(x - x.mean(axis=0), compute_uv=False) ** 2
    grid = np.logspace(-2, 4, 25) * value[value > 1e-9].mean()
    centred = x - x.mean(axis=0)
    for k in range(3):
        error = []
        for penalty in grid:
            inner = centred @ centred.T
            hat = inner @ np.linalg.inv(inner + penalty * np.eye(len(x))) + 1 / len(x)
            rest = signal[:, k] - hat @ signal[:, k]
            error.append(rest @ rest / (len(x) - np.trace(hat)) ** 2)
        assert chosen[k] == pytest.approx(grid[np.argmin(error)])
    with pytest.raises(InputError, match="without missing"):
        ridge(np.full((4, 2), np.nan), y[:4])


def _cohort(n: int, p: int, seed: int) -> tuple[np.ndarray, OmicsTable, list[str]]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, p)) + rng.normal(7, 2, p)
    genes = [f"g{j}" for j in range(p)]
    return x, OmicsTable([f"s{i}" for i in range(n)], genes, x, "expression", "log2"), genes


class _Opaque(RegressorMixin, BaseEstimator):
    """A linear model that does not show its coefficients."""

    def fit(self, X, y):
        self.model_ = Ridge(alpha=3.0).fit(X, y)
        return self

    def predict(self, X):
        return self.model_.predict(X)


def test_a_masked_linear_model_is_the_sum_of_the_kept_terms() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((40, 15)), rng.standard_normal(40)
    sets = np.array([[0, 3, 5], [9, 10, 14]])
    model = Ridge(alpha=3.0).fit(x, y)
    want = np.column_stack([x[:, own] @ model.coef_[own] + model.intercept_ for own in sets])
    assert _fitted(Ridge(alpha=3.0), x, y)(x, sets) == pytest.approx(want)
    assert _fitted(_Opaque(), x, y)(x, sets) == pytest.approx(want)
    own = ridge(x, y[:, None])
    got = _fitted(None, x, y, RidgeBasis.of(x))(x, sets)
    first = x[:, sets[0]] @ own.coefficients[sets[0], 0] + own.intercepts[0]
    assert got[:, 0] == pytest.approx(first)


def test_performance_equals_scikit_learn_and_numpy() -> None:
    rng = np.random.default_rng(2)
    y, scores = rng.integers(0, 2, 50).astype(float), rng.integers(0, 9, (50, 3)).astype(float)
    want = [roc_auc_score(y, scores[:, j]) for j in range(3)]
    assert _performance(y[:, None], scores, True) == pytest.approx(want)
    z = rng.standard_normal(50)
    want = [np.corrcoef(z, scores[:, j])[0, 1] for j in range(3)]
    assert _performance(z[:, None], scores, False) == pytest.approx(want)
    assert _performance(z[:, None], np.ones((50, 1)), False) == pytest.approx([0.0])


def test_random_sets_have_the_size_and_the_expression_of_the_set() -> None:
    x = _cohort(20, 300, 3)[0]
    level = x.mean(axis=0)
    low = np.argsort(level)[:15]
    drawer = _Drawer(np.argsort(np.argsort(level)), 1)
    for size in (14, 2):
        drawn = drawer.draw("low", low[:size], 50, stage=1)
        assert drawn.shape == (50, size)
        assert all(len(set(row)) == size for row in drawn)
        assert level[drawn].max() <= np.sort(level)[29]
        assert not np.isin(drawn, low[:size]).any()
        assert len(np.unique(drawn)) > size
    wide = drawer.draw("wide", np.argsort(level)[:140], 20, stage=1)
    assert not np.isin(wide, np.argsort(level)[:140]).any()


@pytest.mark.parametrize("kind", ["continuous", "binary", "opaque", "classifier"])
def test_a_planted_set_comes_first(kind: str) -> None:
    x, layer, genes = _cohort(100, 200, 4)
    rng = np.random.default_rng(5)
    signal = x[:, :12].sum(axis=1) + 2.5 * rng.standard_normal(100)
    binary = kind in ("binary", "classifier")
    y = (signal > np.median(signal)).astype(float) if binary else signal
    sets = {f"S{k}": genes[12 * k : 12 * k + 12] for k in range(10)}
    sets["all"], sets["none"] = genes, ["alien"]
    images = PhenotypeTable.from_frame(
        {"sample": layer.samples, "driven": y, "flat": np.ones(100),
         "noise": rng.standard_normal(100), "rare": np.where(np.arange(100) < 9, y, np.nan)}
    )  # fmt: skip
    model = {"opaque": _Opaque(), "classifier": LogisticRegression(C=0.02)}.get(kind)
    if kind == "classifier":
        images = images.take(columns=[0, 1, 3])
    draws = {"n_random": 49, "n_permutations": 49, "n_more": 100}
    if model is not None:
        draws["n_permutations"] = 0 if kind == "classifier" else 19
    found = mask_genes(images, layer, sets, model=model, **draws)
    top = found.table.filter(pl.col("phenotype") == "driven").sort("z", descending=True)
    assert top["set"][0] == "S0"
    assert top["p_random"][0] == pytest.approx(1 / 150)
    least = {"classifier": 1 / 150, "opaque": 1 / 20}.get(kind, 1 / 150)
    assert top["p"][0] == pytest.approx(least)
    assert top["metric"][0] == ("auc" if binary else "r")
    reasons = dict(found.table.select("phenotype", "reason").unique().iter_rows())
    assert reasons["flat"] == "the phenotype does not vary"
    assert reasons["rare"].startswith("9 samples")
    assert set(found.left_out) == {"all", "none"}
    assert found.statements()
    tables, plain = found.encode()
    assert type(found).decode(tables, plain).statements() == found.statements()
    for plot in found.plots:
        assert found.plot(plot).figure is not None


def test_sets_that_do_nothing_have_uniform_p() -> None:
    """Traits that nothing drives, and a set of genes that hang together or do not."""
    x, layer, genes = _cohort(50, 150, 6)
    x[:, :12] += 1.5 * np.random.default_rng(1).standard_normal((50, 1))
    layer = OmicsTable(layer.samples, genes, x, "expression", "log2")
    rng = np.random.default_rng(7)
    traits = {f"t{i}": rng.standard_normal(50) for i in range(100)}
    images = PhenotypeTable.from_frame({"sample": layer.samples} | traits)
    sets = {"together": genes[:12], "apart": genes[20:32]}
    draws = {"n_random": 49, "n_permutations": 99, "n_more": 0}
    table = mask_genes(images, layer, sets, **draws).table
    for name in sets:
        rows = table.filter(pl.col("set") == name)
        assert stats.kstest(rows["p_chance"].to_numpy(), "uniform").pvalue > 0.001
        assert (rows["p"] <= 0.05).sum() <= stats.binom.ppf(0.999, 100, 0.05)
    assert abs(table["whole"].mean()) < 0.1


def test_unsound_requests_are_refused() -> None:
    _, layer, genes = _cohort(40, 20, 8)
    images = PhenotypeTable.from_frame({"sample": layer.samples, "t": np.arange(40.0)})
    with pytest.raises(InputError, match="folds"):
        mask_genes(images, layer, {"S": genes[:6]}, folds=1)
    counts = OmicsTable(layer.samples, genes, layer.values, "expression", "counts")
    with pytest.raises(InputError, match="raw counts"):
        mask_genes(images, counts, {"S": genes[:6]})
