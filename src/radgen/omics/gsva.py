"""Gene-set variation analysis: walks along genes ranked by their distribution over samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import pdtr

from radgen._core.naming import require_choice
from radgen.errors import InputError
from radgen.omics._kernel_cdf import GaussianCdf
from radgen.omics._sets import SetIndex
from radgen.omics.gene_sets import SetScorer, standardise_by
from radgen.stats.running_sum import positions_from_top, walk

__all__ = ["GsvaScorer"]

Array = NDArray[np.float64]

_KERNELS = ("gaussian", "poisson", "none")
_STATISTICS = ("difference", "absolute", "largest")


class GsvaScorer(SetScorer):
    """Enrichment of each gene set in a sample against the distribution of all fitted samples.

    Parameters
    ----------
    sets : mapping of str to sequence of str
        Genes of each set.
    kernel : {"gaussian", "poisson", "none"}, default "gaussian"
        How the distribution of a gene over the fitted samples is smoothed: "gaussian" for log
        scales, "poisson" for raw counts, "none" for the plain empirical distribution.
    statistic : {"difference", "absolute", "largest"}, default "difference"
        Highest plus lowest point of the walk, their absolute difference (a set whose genes go
        both ways scores high), or the point farther from 0.
    tau : float, default 1
        Power of the rank weight.
    min_genes : int, default 3
        A set needs as many genes that are measured and vary; others are left out.

    Attributes
    ----------
    features_, set_names_, coverage_
        As `GeneSetScorer` has them.

    Raises
    ------
    InputError
        If no set shares enough genes with the table, a table to be scored lacks genes, an
        option is unknown, or "poisson" meets negative values.

    Notes
    -----
    The smoothed distribution function of each gene is evaluated to rounding error by a Fourier
    series in time linear in the samples; GSVA reads it from a table in steps of 0.001, so that
    nearly tied genes can stand in another order and scores differ in the third decimal. Genes
    tied in a sample keep the order of the table, as in GSVA. New samples are compared with the
    distribution of the fitted ones. Genes that are not measured in a sample are left out of its
    walk; genes that do not vary are left out of all.

    References
    ----------
    Hänzelmann, Castelo & Guinney (2013), BMC Bioinformatics 14, 7,
    doi:10.1186/1471-2105-14-7.

    Examples
    --------
    >>> from radgen.types import OmicsTable
    >>> table = OmicsTable(("a", "b", "c"), ("g", "h", "i"),
    ...                    [[3.0, 2, 1], [1, 2, 3], [2, 2.5, 2]], "expression", "log2")
    >>> scorer = GsvaScorer({"S": ["g"]}, min_genes=1)
    >>> scorer.fit_transform(table).values[:, 0].tolist()
    [1.0, -1.0, 0.0]
    """

    _scale: ClassVar[str] = "gsva"
    _proper: ClassVar[bool] = True

    def __init__(
        self,
        sets: Mapping[str, Sequence[str]],
        *,
        kernel: str = "gaussian",
        statistic: str = "difference",
        tau: float = 1.0,
        min_genes: int = 3,
    ) -> None:
        self.sets = sets
        self.kernel = kernel
        self.statistic = statistic
        self.tau = tau
        self.min_genes = min_genes

    def _learn(self, values: Array) -> NDArray[np.bool_]:
        require_choice(self.kernel, _KERNELS, what="kernel")
        require_choice(self.statistic, _STATISTICS, what="statistic")
        if not 0 <= self.tau < np.inf:
            raise InputError(f"tau is at least 0; found {self.tau}.")
        _, spread = standardise_by(values, ddof=1)
        self.varies_ = np.isfinite(spread)
        reference = values[:, self.varies_]
        if self.kernel == "gaussian":
            self.cdf_ = GaussianCdf.of(reference, spread[self.varies_] / 4)
        else:
            self.reference_ = np.sort(reference, axis=0)
            if self.kernel == "poisson" and (reference < 0).any():
                raise InputError("kernel='poisson' needs counts; found negative values.")
        return self.varies_

    def _score(self, values: Array, index: SetIndex) -> Array:
        level = self._level(values[:, self.varies_])
        length = np.isfinite(level).sum(axis=1, keepdims=True).astype(np.float64)
        positions = positions_from_top(level)
        column = np.cumsum(self.varies_) - 1
        scores = np.empty((len(values), len(index.names)))
        for j, members in enumerate(index.members):
            place = np.sort(np.ascontiguousarray(positions[column[members]].T), axis=1)
            weight = np.abs(length / 2 - place + 1.0) ** self.tau
            weight[place > length] = 0.0
            highest, lowest = walk(place, weight, length)
            scores[:, j] = self._combine(highest, lowest)
        return scores

    def _level(self, values: Array) -> Array:
        """Place of each value in the gene's distribution over the fitted samples."""
        if self.kernel == "gaussian":
            return self.cdf_.evaluate(values)
        function = _poisson_level if self.kernel == "poisson" else _empirical_level
        columns = zip(values.T, self.reference_.T, strict=True)
        return np.column_stack([function(own, others) for own, others in columns])

    def _combine(self, highest: Array, lowest: Array) -> Array:
        if self.statistic == "difference":
            return highest + lowest
        if self.statistic == "absolute":
            return highest - lowest
        return np.where(highest > -lowest, highest, lowest)


def _empirical_level(own: Array, others: Array) -> Array:
    known = others[np.isfinite(others)]
    level = np.searchsorted(known, own, side="right") / len(known)
    return np.where(np.isfinite(own), level, np.nan)


def _poisson_level(own: Array, others: Array) -> Array:
    """Mean over the reference of the Poisson distribution function with mean others + 0.5."""
    means, weight = np.unique(others[np.isfinite(others)] + 0.5, return_counts=True)
    points, back = np.unique(own, return_inverse=True)
    # Beyond 9 deviations plus 40 counts the function is 0 or 1 to rounding error.
    reach = 9 * np.sqrt(means) + 40
    total = np.zeros(len(points))
    for start in range(0, len(points), 512):
        part = points[start : start + 512, None]
        value = (part >= means).astype(np.float64)
        near = np.abs(part - means) < reach
        rows, columns = np.nonzero(near)
        value[rows, columns] = pdtr(part[rows, 0], means[columns])
        total[start : start + 512] = value @ weight
    level = total / weight.sum()
    return np.where(np.isfinite(own), level[back], np.nan)
