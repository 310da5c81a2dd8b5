"""Sparse canonical correlation by penalised matrix decomposition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted, validate_data

from radgen.errors import FitError, InputError
from radgen.multivariate._blocks import Block
from radgen.multivariate._estimators import TwoBlocks, weight_table
from radgen.multivariate._penalty import Penalty, make_penalty

__all__ = ["SparseCCA"]


class SparseCCA(TwoBlocks):
    """Sparse canonical correlation of two blocks, several components by deflation.

    Maximises ``u' X'Y v`` subject to ``|u|_2 = |v|_2 = 1``, ``|u|_1 <= c_x sqrt(p)`` and
    ``|v|_1 <= c_y sqrt(q)``, alternating between u and v, then deflates ``X'Y`` by ``d u v'``.
    The cross-covariance is never formed: each half-step is one pass over a block.

    Parameters
    ----------
    n_components : int, default 1
        Number of pairs of weights.
    x_penalty, y_penalty : float, default 0.3
        l1 bound as a fraction of ``sqrt(n_features)``, in (0, 1]; 1 = no penalty, small = sparse.
        A bound below 1 / sqrt(n_features) leaves one feature.
    x_groups, y_groups : sequence of hashable or None, default None
        Group of each feature: gene or LD block of a variant, region of a phenotype.
    group_mix : float, default 0.9
        Where groups are given: share of the group norm ``sum_g sqrt(p_g) |u_g|_2`` beside the
        l1 norm; 1 keeps or drops whole groups, 0 is plain sparsity.
    x_graph, y_graph : array or sparse matrix (n_features, n_features) or None, default None
        Symmetric edge weights between features (neighbouring voxels, variants in LD).
        Neighbours are pulled towards equal weights.
    smoothness : float, default 1
        Where a graph is given: weight of ``u'Lu`` with the normalised Laplacian L.
    standardise : bool, default True
        Centre and scale columns (by means and standard deviations of the training rows).
    max_iter : int, default 500
        Alternations a component.
    tol : float, default 1e-6
        Stop where the l1 change of v falls below it (for float32 blocks, below 32 rounding
        errors of v where that is more).

    Attributes
    ----------
    x_weights_ : ndarray of float64 (n_x_features, n_components)
        Sparse weights of unit norm for the first block.
    y_weights_ : ndarray of float64 (n_y_features, n_components)
        Sparse weights of unit norm for the second block.
    covariances_ : ndarray of float64 (n_components,)
        ``u' X'Y v`` after deflation (a sum over samples, not a mean).
    correlations_ : ndarray of float64 (n_components,)
        Correlation of the scores in the training rows; optimistic by construction, hold out
        rows for an honest one (`score`).
    n_iter_ : ndarray of int64 (n_components,)
        Alternations used.

    Raises
    ------
    InputError
        If a penalty is out of range.
    FitError
        If a block has no column that varies, or a component does not converge.

    Notes
    -----
    Within-block covariance is taken as the identity (diagonal CCA), as is usual where
    features outnumber samples; without penalties the weights are the singular vectors of
    ``X'Y``, not those of classical CCA. For that see `sklearn.cross_decomposition.CCA`.
    The alternation finds a local optimum; it starts from the leading singular vectors.
    With groups or a graph the norm bounded is that of `x_groups` and the unit sphere is
    ``u'(I + smoothness L)u = 1``: the same alternation with another unit step.

    References
    ----------
    Witten, Tibshirani, Hastie (2009), Biostatistics 10:515. doi:10.1093/biostatistics/kxp008
    Lin et al. (2013), BMC Bioinformatics 14:245 (groups). Du et al. (2014), MICCAI, 329 (graph).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shared = rng.standard_normal((100, 1))
    >>> X = rng.standard_normal((100, 20)); X[:, :3] += shared
    >>> Y = rng.standard_normal((100, 10)); Y[:, :2] += shared
    >>> model = SparseCCA(x_penalty=0.35, y_penalty=0.42).fit(X, Y)
    >>> sorted(np.flatnonzero(model.y_weights_[:, 0]).tolist())
    [0, 1]
    """

    def __init__(
        self,
        n_components: int = 1,
        *,
        x_penalty: float = 0.3,
        y_penalty: float = 0.3,
        x_groups: Sequence[Any] | None = None,
        y_groups: Sequence[Any] | None = None,
        group_mix: float = 0.9,
        x_graph: Any = None,
        y_graph: Any = None,
        smoothness: float = 1.0,
        standardise: bool = True,
        max_iter: int = 500,
        tol: float = 1e-6,
    ) -> None:
        self.n_components = n_components
        self.x_penalty = x_penalty
        self.y_penalty = y_penalty
        self.x_groups = x_groups
        self.y_groups = y_groups
        self.group_mix = group_mix
        self.x_graph = x_graph
        self.y_graph = y_graph
        self.smoothness = smoothness
        self.standardise = standardise
        self.max_iter = max_iter
        self.tol = tol

    def fit(self, X: Any, y: Any, *, start: NDArray[np.float64] | None = None) -> Self:
        """Find the weights.

        Parameters
        ----------
        X : array-like of float (n_samples, n_x_features)
            First block, genotypes say; no NaN.
        y : array-like of float (n_samples, n_y_features)
            Second block, image phenotypes say; no NaN.
        start : ndarray of float64 (n_y_features, n_components) or None
            Weights to start from (a warm start); None = leading singular vectors.

        Returns
        -------
        SparseCCA
            Itself.
        """
        X, y = validate_data(
            self,
            X,
            y,
            multi_output=True,
            y_numeric=True,
            dtype=[np.float64, np.float32],
            ensure_min_samples=2,
        )
        y = np.asarray(y, dtype=np.result_type(y.dtype, np.float32))
        y = y.reshape(len(y), -1)
        penalties = self._penalties(X.shape[1], y.shape[1])
        left = Block(X, centre=self.standardise, scale=self.standardise, name="X")
        right = Block(y, centre=self.standardise, scale=self.standardise, name="y")
        for block, name in ((left, "X"), (right, "y")):
            if block.constant.all():
                raise FitError(f"No column of {name} varies.")
        cross = _Cross(left, right)
        starts = cross.leading(self.n_components) if start is None else np.asarray(start)
        n_iter = [
            self._component(cross, starts[:, k], *penalties) for k in range(self.n_components)
        ]
        self.x_weights_ = np.column_stack(cross.u)
        self.y_weights_ = np.column_stack(cross.v)
        self.covariances_ = np.array(cross.d)
        self.n_iter_ = np.array(n_iter)
        self._left, self._right = (left.mean, left.scale), (right.mean, right.scale)
        self.correlations_ = self._correlations(X, y)
        return self

    def _penalties(self, n_x: int, n_y: int) -> tuple[Penalty, Penalty]:
        shared = {"mix": self.group_mix, "smooth": self.smoothness}
        x = {"groups": self.x_groups, "graph": self.x_graph, "name": "x"}
        y = {"groups": self.y_groups, "graph": self.y_graph, "name": "y"}
        return (
            make_penalty(self.x_penalty, n_x, **shared, **x),
            make_penalty(self.y_penalty, n_y, **shared, **y),
        )

    def _component(
        self, cross: _Cross, v: NDArray[np.float64], on_x: Penalty, on_y: Penalty
    ) -> int:
        single = np.float32 in (cross.left.array.dtype, cross.right.array.dtype)
        noise = 32 * float(np.finfo(np.float32).eps) if single else 0.0
        for n_iter in range(1, self.max_iter + 1):  # noqa: B007
            u = on_x.unit(cross.left_times(v))
            previous, v = v, on_y.unit(cross.right_times(u))
            if np.abs(v - previous).sum() < max(self.tol, noise * np.abs(v).sum()):
                break
        else:
            raise FitError(
                f"Component {len(cross.u) + 1} did not converge in {self.max_iter} alternations "
                f"(last change {np.abs(v - previous).sum():.2g}). Raise max_iter or tol."
            )
        cross.keep(u, v)
        return n_iter

    def transform(self, X: Any, y: Any = None) -> Any:
        """Return scores of new rows: those of X, or the pair where `y` is given.

        Parameters
        ----------
        X : array-like of float (n_samples, n_x_features)
            First block.
        y : array-like of float (n_samples, n_y_features) or None
            Second block.

        Returns
        -------
        ndarray of float64 (n_samples, n_components), or a tuple of two
            Scores, standardised by the training rows' means and deviations.
        """
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        x_scores = _scores(X, *self._left, self.x_weights_)
        if y is None:
            return x_scores
        return x_scores, _scores(np.asarray(y, dtype=np.float64), *self._right, self.y_weights_)

    def pair_weights(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the weights of the first pair of scores on unscaled columns, (n_x,) and (n_y,)."""
        check_is_fitted(self)
        return self.x_weights_[:, 0] / self._left[1], self.y_weights_[:, 0] / self._right[1]

    def score(self, X: Any, y: Any) -> float:
        """Return the correlation of the first pair of scores in these rows."""
        check_is_fitted(self)
        return float(self._correlations(np.asarray(X), np.asarray(y))[0])

    def loadings(
        self, x_names: list[str] | None = None, y_names: list[str] | None = None
    ) -> pl.DataFrame:
        """Return the non-zero weights as a table: ``component, block, feature, weight``."""
        check_is_fitted(self)
        return weight_table({"x": (self.x_weights_, x_names), "y": (self.y_weights_, y_names)})

    def _correlations(self, X: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float64]:
        a = _scores(X, *self._left, self.x_weights_)
        b = _scores(y.reshape(len(y), -1), *self._right, self.y_weights_)
        a, b = a - a.mean(axis=0), b - b.mean(axis=0)
        norm = np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(norm > 0, (a * b).sum(axis=0) / norm, np.nan))


class _Cross:
    """The deflated cross-covariance ``X'Y - sum d u v'`` as an operator."""

    def __init__(self, left: Block, right: Block) -> None:
        self.left, self.right = left, right
        self.u: list[NDArray[np.float64]] = []
        self.v: list[NDArray[np.float64]] = []
        self.d: list[float] = []

    def left_times(self, v: NDArray[np.float64]) -> NDArray[np.float64]:
        out = self.left.adjoint(self.right.forward(v))
        for u, w, d in zip(self.u, self.v, self.d, strict=True):
            out -= d * (w @ v) * u
        return out

    def right_times(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        out = self.right.adjoint(self.left.forward(u))
        for w, v, d in zip(self.u, self.v, self.d, strict=True):
            out -= d * (w @ u) * v
        return out

    def keep(self, u: NDArray[np.float64], v: NDArray[np.float64]) -> None:
        self.d.append(float(u @ self.left_times(v)))
        self.u.append(u)
        self.v.append(v)

    def leading(self, n_vectors: int) -> NDArray[np.float64]:
        """Return the leading right singular vectors (n_right, n_vectors) of ``X'Y``.

        Where ``X'Y`` is larger than n x n it is never formed: with ``XX' = F F'`` its right
        singular vectors are those of ``F'Y``.
        """
        if self.left.shape[1] * self.right.shape[1] <= self.left.shape[0] ** 2:
            cross = self.left.adjoint(self.right.dense())
            strength, turn = np.linalg.svd(cross, full_matrices=False)[1:]
            _require_rank(strength**2, n_vectors)
            return np.asarray(turn[:n_vectors].T)
        values, vectors = np.linalg.eigh(self.left.gram())
        factor = vectors * np.sqrt(np.maximum(values, 0.0))
        strength, turn = np.linalg.eigh(factor.T @ self.right.gram() @ factor)
        _require_rank(strength, n_vectors)
        top = turn[:, ::-1][:, :n_vectors]
        found = self.right.adjoint(factor @ top)
        return np.asarray(found / np.linalg.norm(found, axis=0))


def _require_rank(squares: NDArray[np.float64], n_vectors: int) -> None:
    largest = float(squares.max())
    rank = int(np.count_nonzero(squares > largest * 1e-12)) if largest > 0 else 0
    if rank < n_vectors:
        raise InputError(f"{n_vectors} components are asked for; the data have rank {rank}.")


def _scores(
    array: NDArray[Any],
    mean: NDArray[np.float64],
    scale: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    scaled = weights / scale[:, None]
    product = array @ scaled.astype(array.dtype, copy=False)  # a mixed product would copy the array
    return np.asarray(product - mean @ scaled, dtype=np.float64)
