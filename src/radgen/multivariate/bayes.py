"""Bayesian multi-task regression with shrinkage of genes and of variants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from radgen.errors import InputError
from radgen.multivariate._blocks import Block
from radgen.multivariate._estimators import ManyTargets

__all__ = ["BayesianGroupSparse"]

Array = NDArray[np.float64]

_FLOOR = 1e-12
_MOST = 400_000_000


class BayesianGroupSparse(ManyTargets):
    """Coefficients of many phenotypes on variants grouped by gene, with posterior intervals.

    ``y_l ~ N(W'x_l, s^2 I)`` on standardised columns, and a prior that shrinks whole genes and
    the rows of single variants over all phenotypes,
    ``p(W | s) ~ exp(-(b / s) [mix sum_g sqrt(m_g) |W_g|_F + (1 - mix) sum_j |W_j|_2])``,
    with ``1/s^2`` and the shrinkage b learned from the data (Gamma priors).

    Parameters
    ----------
    groups : sequence of hashable or None, default None
        Gene of each variant; each variant its own where None.
    mix : float, default 0.5
        Share of the gene norm.
    shrinkage : float or None, default None
        Fixed b; None = learned.
    n_draws : int, default 1000
        Draws that are kept.
    n_burn : int, default 500
        Draws that are thrown away first.
    interval : float, default 0.95
        Coverage of the posterior intervals.
    random_state : int, RandomState or None
        Source of randomness.

    Attributes
    ----------
    coef_ : ndarray of float64 (n_features, n_targets)
        Posterior means on the original scale.
    lower_, upper_ : ndarray of float64 (n_features, n_targets)
        Ends of the equal-tailed posterior intervals.
    intercept_ : ndarray of float64 (n_targets,)
        Intercepts at the posterior means.
    noise_ : ndarray of float64 (n_draws,)
        Draws of s^2, of standardised phenotypes.
    shrinkage_ : ndarray of float64 (n_draws,)
        Draws of b.
    split_rhat_ : float
        Largest split R-hat over the noise, the shrinkage and the norms of the genes: near 1
        where the chain has settled.

    Raises
    ------
    InputError
        If a parameter is out of range, or the draws would not fit the memory.

    Notes
    -----
    Block Gibbs: a gene's rows are drawn at once for all phenotypes, as they share one posterior
    covariance. The row and gene norms are Gaussian scale mixtures with inverse-Gaussian mixing
    variables; b is drawn with those integrated out. The published model fixes both penalties or
    takes them by WAIC or cross-validation; here their ratio is `mix` and their size is learned,
    since the constant of the prior depends on b in closed form only for a fixed ratio.

    References
    ----------
    Greenlaw et al. (2017), Bioinformatics 33:2513. doi:10.1093/bioinformatics/btx215
    Kyung, Gill, Ghosh, Casella (2010), Bayesian Anal 5:369. doi:10.1214/10-BA607
    """

    def __init__(
        self,
        groups: Sequence[Any] | None = None,
        *,
        mix: float = 0.5,
        shrinkage: float | None = None,
        n_draws: int = 1000,
        n_burn: int = 500,
        interval: float = 0.95,
        random_state: Any = None,
    ) -> None:
        self.groups = groups
        self.mix = mix
        self.shrinkage = shrinkage
        self.n_draws = n_draws
        self.n_burn = n_burn
        self.interval = interval
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to X (n_samples, n_features) and y (n_samples, n_targets); no NaN."""
        X, y = validate_data(
            self, X, y, multi_output=True, y_numeric=True, dtype=np.float64, ensure_min_samples=3
        )
        self._one_target = y.ndim == 1
        target = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        self._check(X.shape[1], target.shape[1])
        left, right = Block(X, name="X"), Block(target, name="y")
        chain = _Chain(left.dense(), right.dense(), self._members(X.shape[1]), self.mix)
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31 - 1))
        draws = np.empty((self.n_draws, X.shape[1], target.shape[1]), np.float32)
        noise, shrinkage = np.empty(self.n_draws), np.empty(self.n_draws)
        for k in range(-self.n_burn, self.n_draws):
            chain.step(rng, self.shrinkage)
            if k >= 0:
                draws[k], noise[k], shrinkage[k] = chain.weights, chain.noise, chain.shrinkage
        scale = right.scale / left.scale[:, None]
        tail = (1 - self.interval) / 2
        self.coef_ = draws.mean(axis=0, dtype=np.float64) * scale
        ends = np.quantile(draws, (tail, 1 - tail), axis=0)
        self.lower_, self.upper_ = ends[0] * scale, ends[1] * scale
        self.intercept_ = right.mean - left.mean @ self.coef_
        self.noise_, self.shrinkage_ = noise, shrinkage
        norms = [np.sqrt((draws[:, rows] ** 2).sum(axis=(1, 2))) for rows in chain.members]
        learned = [] if self.shrinkage is not None else [shrinkage]
        self.split_rhat_ = max(_split_rhat(each) for each in (noise, *learned, *norms))
        return self

    def intervals(
        self, x_names: Sequence[str] | None = None, y_names: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """Return the coefficients whose posterior interval excludes 0, the strongest first.

        Parameters
        ----------
        x_names, y_names : sequence of str or None
            Names of features and targets.

        Returns
        -------
        polars.DataFrame
            Columns ``feature, target, coefficient, lower, upper``.
        """
        check_is_fitted(self)
        row, column = np.nonzero((self.lower_ > 0) | (self.upper_ < 0))
        features = x_names or [f"x{i}" for i in range(len(self.coef_))]
        targets = y_names or [f"y{i}" for i in range(self.coef_.shape[1])]
        frame = pl.DataFrame(
            {
                "feature": [features[i] for i in row],
                "target": [targets[i] for i in column],
                "coefficient": self.coef_[row, column],
                "lower": self.lower_[row, column],
                "upper": self.upper_[row, column],
            }
        )
        return frame.sort(pl.col("coefficient").abs(), descending=True)

    def _check(self, n_features: int, n_targets: int) -> None:
        if not 0 <= self.mix <= 1 or not 0 < self.interval < 1:
            raise InputError(f"mix is {self.mix}, interval {self.interval}; both lie in [0, 1].")
        if self.n_draws < 20 or self.n_burn < 0 or (self.shrinkage or 1.0) <= 0:
            raise InputError("Needed are 20 draws or more, n_burn >= 0 and a positive shrinkage.")
        if self.n_draws * n_features * n_targets > _MOST:
            raise InputError(
                f"{self.n_draws} draws of {n_features} x {n_targets} coefficients need "
                f"{self.n_draws * n_features * n_targets * 4 / 1e9:.1f} GB. Choose variants or "
                "genes first, or keep fewer draws."
            )

    def _members(self, n_features: int) -> list[NDArray[np.int64]]:
        if self.groups is None:
            return [np.array([j]) for j in range(n_features)]
        if len(self.groups) != n_features:
            raise InputError(f"groups names {len(self.groups)} features; X has {n_features}.")
        label = np.unique([str(item) for item in self.groups], return_inverse=True)[1]
        return [np.flatnonzero(label == g) for g in range(label.max() + 1)]


class _Chain:
    """State of the sampler; `step` draws every unknown once."""

    def __init__(self, x: Array, y: Array, members: list[NDArray[np.int64]], mix: float) -> None:
        self.members, self.mix = members, mix
        self.n, self.p, self.c = *x.shape, y.shape[1]
        self.gram, self.cross, self.total = x.T @ x, x.T @ y, float((y * y).sum())
        self.weights: Array = np.zeros((self.p, self.c))
        self.noise, self.shrinkage = 1.0, 1.0
        self.row: Array = np.ones(self.p)
        self.gene: Array = np.ones(len(members))
        self.root_sizes = np.sqrt([len(rows) for rows in members])

    def step(self, rng: np.random.Generator, fixed: float | None) -> None:
        for g, rows in enumerate(self.members):
            self._draw_gene(rows, self.gene[g], rng)
        self._draw_noise(rng)
        lengths = np.sqrt((self.weights**2).sum(axis=1))
        sizes = np.array([np.sqrt((lengths[rows] ** 2).sum()) for rows in self.members])
        norm = self.mix * float(self.root_sizes @ sizes) + (1 - self.mix) * float(lengths.sum())
        root = np.sqrt(self.noise)
        if fixed is None:
            # prior Gamma(1, 1e-3): flat over the range that data can speak of
            self.shrinkage = float(rng.gamma(1.0 + self.p * self.c, 1 / (1e-3 + norm / root)))
        else:
            self.shrinkage = fixed
        if self.mix < 1:
            self.row = _mixing(self.shrinkage * (1 - self.mix), lengths / root, rng)
        if self.mix > 0:
            scale = self.shrinkage * self.mix * self.root_sizes
            self.gene = _mixing(scale, sizes / root, rng)

    def _draw_gene(self, rows: NDArray[np.int64], gene: float, rng: np.random.Generator) -> None:
        prior = (self.row[rows] if self.mix < 1 else 0.0) + (gene if self.mix > 0 else 0.0)
        inside = self.gram[np.ix_(rows, rows)]
        own = self.weights[rows]
        pull = self.cross[rows] - self.gram[rows] @ self.weights + inside @ own
        precision = inside + np.diag(np.broadcast_to(prior, len(rows)) + _FLOOR)
        upper = cholesky(precision, check_finite=False)
        middle = solve_triangular(upper, pull, trans="T", check_finite=False)
        noise = np.sqrt(self.noise) * rng.standard_normal(middle.shape)
        self.weights[rows] = solve_triangular(upper, middle + noise, check_finite=False)

    def _draw_noise(self, rng: np.random.Generator) -> None:
        w = self.weights
        rest = self.total - 2 * float((w * self.cross).sum()) + float((w * (self.gram @ w)).sum())
        prior = np.zeros(self.p)
        if self.mix < 1:
            prior += self.row
        if self.mix > 0:
            for g, rows in enumerate(self.members):
                prior[rows] += self.gene[g]
        quadratic = float(prior @ (w**2).sum(axis=1))
        # prior 1/s^2 ~ Gamma(2, 1), as in the published program
        shape = 2.0 + self.c * (self.n + self.p) / 2
        rate = 1.0 + (max(rest, 0.0) + quadratic) / 2
        self.noise = rate / float(rng.gamma(shape))


def _mixing(scale: Any, length: Array, rng: np.random.Generator) -> Array:
    """Return inverse-Gaussian draws: the precisions that make a norm a Gaussian mixture."""
    shape = np.broadcast_to(np.asarray(scale, dtype=np.float64) ** 2, length.shape)
    mean = np.sqrt(shape) / np.maximum(length, _FLOOR)
    return np.asarray(np.minimum(rng.wald(mean, shape), 1 / _FLOOR))


def _split_rhat(draws: Array) -> float:
    half = len(draws) // 2
    parts = np.stack([draws[:half], draws[half : 2 * half]]).astype(np.float64)
    within = parts.var(axis=1, ddof=1).mean()
    between = half * parts.mean(axis=1).var(ddof=1)
    if within == 0:
        return 1.0
    return float(np.sqrt((half - 1) / half + between / within / half))
