"""CovBat: ComBat, then the same for the principal component scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError
from radgen.phenotype.harmonise import ComBat, Unseen, _Rows

__all__ = ["CovBat"]

FloatArray = NDArray[np.float64]


class CovBat(ComBat):
    """Removal of batch effects in location, scale and covariance.

    ComBat equalises each feature by itself; how features vary together may still differ
    between batches. CovBat turns what ComBat leaves into principal component scores, equalises
    location and scale of the leading scores between batches, and turns them back.

    Parameters
    ----------
    batch_column, covariate_columns, smooth_columns, parametric, eb, mean_only, reference, unseen
        As in `ComBat`, for the first step.
    tied, forbidden, tolerance, max_steps
        As in `ComBat`.
    variance : float, default 0.95
        Scores are equalised until they hold more than this share of the variance.
    n_components : int or None
        So many scores are equalised, whatever their share.

    Attributes
    ----------
    center_, spread_ : float64 (n_features,)
        Mean and SD of the harmonised training residuals.
    still_ : bool (n_features,)
        Features that pass unchanged.
    rotation_ : float64 (n_features, n_scores)
        Principal directions of the standardised residuals.
    n_components_ : int
        Scores that are equalised.
    scores_ : ComBat
        Location and scale of the scores by batch, without empirical Bayes.
    batches_, standard_, effects_, covariate_mean_, tied_, bases_, n_features_in_
        As in `ComBat`.

    Notes
    -----
    Directions are those of all batches together: covariances that differ in their directions are
    brought nearer, not made equal. Features that pass ComBat unchanged pass here too.

    References
    ----------
    Chen et al. 2022, doi:10.1002/hbm.25688.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> site = np.repeat([0, 1], 200)
    >>> values = rng.normal(size=(400, 2))
    >>> values[200:, 1] = 0.9 * values[200:, 0] + 0.44 * values[200:, 1]
    >>> def gap(x):
    ...     return abs(np.corrcoef(x[:200].T)[0, 1] - np.corrcoef(x[200:].T)[0, 1])
    >>> flat = CovBat(n_components=2).fit(values, batch=site).transform(values, batch=site)
    >>> bool(gap(values) > 0.7), bool(gap(flat) < 0.1)
    (True, True)
    """

    def __init__(
        self,
        batch_column: int | str | None = None,
        *,
        covariate_columns: Sequence[int | str] = (),
        smooth_columns: Sequence[int | str] = (),
        parametric: bool = True,
        eb: bool = True,
        mean_only: bool = False,
        reference: Any = None,
        unseen: Unseen = "refuse",
        tied: Literal["move", "leave"] = "move",
        forbidden: Sequence[int | str] = (),
        tolerance: float = 1e-4,
        max_steps: int = 10000,
        variance: float = 0.95,
        n_components: int | None = None,
    ) -> None:
        super().__init__(
            batch_column,
            covariate_columns=covariate_columns,
            smooth_columns=smooth_columns,
            parametric=parametric,
            eb=eb,
            mean_only=mean_only,
            reference=reference,
            unseen=unseen,
            tied=tied,
            forbidden=forbidden,
            tolerance=tolerance,
            max_steps=max_steps,
        )
        self.variance = variance
        self.n_components = n_components

    def _learn(self, rows: _Rows) -> None:
        if not 0 < self.variance <= 1:
            raise InputError(f"variance is a share above 0 and at most 1, not {self.variance}.")
        if self.n_components is not None and self.n_components < 1:
            raise InputError(f"n_components is at least 1, not {self.n_components}.")
        super()._learn(rows)
        rest = super()._remove(rows) - self.standard_.expected(self._design(rows))
        self.center_ = rest.mean(axis=0)
        spread = rest.std(axis=0, ddof=1) if len(rest) > 1 else np.zeros(rest.shape[1])
        self.still_ = self.flat_ | (spread <= 0)
        self.spread_ = np.where(self.still_, 1.0, spread)
        scaled = np.where(self.still_, 0.0, (rest - self.center_) / self.spread_)
        _, size, turned = np.linalg.svd(scaled, full_matrices=False)
        self.rotation_ = turned.T
        share = np.cumsum(size**2) / max(float((size**2).sum()), 1e-300)
        wanted = int(np.searchsorted(share, self.variance, side="right")) + 1
        self.n_components_ = min(self.n_components or wanted, len(size))
        scores = scaled @ self.rotation_[:, : self.n_components_]
        self.scores_ = ComBat(
            eb=False, mean_only=self.mean_only, reference=self.reference, unseen=self.unseen
        )
        self.scores_._learn(_Rows(scores, rows.batch, *_nothing(len(scores))))

    def _remove(self, rows: _Rows) -> FloatArray:
        first = super()._remove(rows)
        expected = self.standard_.expected(self._design(rows))
        live = ~self.still_
        scaled = np.where(live, (first - expected - self.center_) / self.spread_, 0.0)
        rotation = self.rotation_[:, : self.n_components_]
        scores = scaled @ rotation
        moved = self.scores_._remove(_Rows(scores, rows.batch, *_nothing(len(scores))))
        change = (moved - scores) @ rotation.T * self.spread_
        return np.asarray(np.where(live, first + change, first))


def _nothing(n: int) -> tuple[FloatArray, FloatArray]:
    return np.empty((n, 0)), np.empty((n, 0))
