"""Networks of phenotypes, and what two acquisitions have of them in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen._core.rng import spawn
from radgen.errors import InputError
from radgen.phenotype.select import RankNormaliser
from radgen.stats.graphical_lasso import graphical_lasso
from radgen.types import PhenotypeTable, Result, align

__all__ = [
    "NetworkResult",
    "partial_network",
    "reproducible_network",
]

FloatArray = NDArray[np.float64]
Transform = Literal["rank", "none"]
_ALPHAS = np.geomspace(1.0, 0.05, 14)
_MOST = 400


@dataclass(frozen=True, eq=False)
class NetworkResult(Result):
    """Phenotypes whose partial correlations hold in two acquisitions.

    Attributes
    ----------
    frame : polars.DataFrame
        ``phenotype, degree_first, degree_second, degree_common, reproducible``: number of edges in
        each network and in both; reproducible = in the largest connected component of the
        edges in common.
    edges : polars.DataFrame
        ``first, second, partial_first, partial_second, common, reproducible``: every edge of
        either network with its partial correlation in both (0 = none); common = in both with
        the same sign.
    expected, p : float
        Common edges expected if phenotypes of the second network were shuffled, and the
        permutation p-value of as many as there are.
    """

    kind: ClassVar[str] = "phenotype_network"

    edges: pl.DataFrame = field(default_factory=pl.DataFrame)
    expected: float = 0.0
    p: float = 1.0

    @property
    def reproducible(self) -> tuple[str, ...]:
        """Names of the reproducible phenotypes."""
        return tuple(self.frame.filter(pl.col("reproducible"))["phenotype"].to_list())

    def statements(self) -> tuple[str, ...]:
        """Return how much of the networks is common, and how much of that is chance."""
        common = int(self.edges["common"].sum()) if self.edges.height else 0
        chance = (
            f"{self.expected:.1f} would be expected if the phenotypes of one were shuffled "
            f"(permutation p = {self.p:.3g}, {self.params['permutations']} permutations)"
        )
        if not common:
            return (f"The networks of the two acquisitions have no edge in common; {chance}.",)
        return (
            f"{common} of {self.edges.height} edges stand in both networks with the same sign; "
            f"{chance}. {len(self.reproducible)} of {self.frame.height} phenotypes belong to the "
            "largest component that both have in common.",
        )

    def methods(self) -> str:
        """Return the methods paragraph."""
        p = self.params
        scale = "of normal scores" if p["transform"] == "rank" else "of standardised values"
        return (
            f"Partial-correlation networks {scale} were estimated in both acquisitions of "
            f"{self.n_used} subjects by the graphical lasso, penalties {p['alpha_first']:.2g} and "
            f"{p['alpha_second']:.2g} chosen by the extended BIC (gamma {p['gamma']:g}). "
            "Reproducible phenotypes are those of the largest connected component of the edges in "
            "common."
        )


def partial_network(
    values: Any, *, alpha: float | None = None, gamma: float = 0.5
) -> tuple[FloatArray, float]:
    """Return the matrix of partial correlations by the graphical lasso, and its penalty.

    Parameters
    ----------
    values : float (n, p)
        Complete, on comparable scales.
    alpha : float or None
        Penalty of the off-diagonal elements of the inverse correlation matrix; None = by the
        extended BIC.
    gamma : float, default 0.5
        Of the extended BIC: 0 is the BIC, 1 the sparsest.

    Returns
    -------
    partial : float64 (p, p)
        0 where there is no edge, 1 on the diagonal.
    alpha : float
        The penalty.

    Raises
    ------
    InputError
        If a phenotype does not vary, or there are more than 400.
    FitError
        If the graphical lasso does not converge.

    References
    ----------
    Friedman, Hastie & Tibshirani 2008, doi:10.1093/biostatistics/kxm045. Foygel & Drton 2010,
    arXiv:1011.6640 (extended BIC).
    """
    x = np.asarray(values, dtype=np.float64)
    n, p = x.shape
    if p > _MOST:
        raise InputError(
            f"{p} phenotypes are too many for a graphical lasso; leave correlated ones out first "
            f"(CorrelationFilter), to {_MOST} or fewer."
        )
    if (x.std(axis=0) == 0).any():
        raise InputError(f"{int((x.std(axis=0) == 0).sum())} phenotypes do not vary.")
    correlation = np.corrcoef(x, rowvar=False).reshape(p, p)
    largest = float(np.abs(correlation - np.eye(p)).max(initial=0.0))
    best, least, chosen = np.eye(p), np.inf, 0.0
    for level in [alpha] if alpha is not None else _ALPHAS * max(largest, 1e-12):
        precision = graphical_lasso(correlation, float(level))
        score = _extended_bic(correlation, precision, n, gamma)
        if score < least:
            best, least, chosen = precision, score, float(level)
    scale = np.sqrt(np.diag(best))
    partial = -best / np.outer(scale, scale)
    np.fill_diagonal(partial, 1.0)
    return np.asarray((partial + partial.T) / 2), chosen


def _extended_bic(correlation: FloatArray, precision: FloatArray, n: int, gamma: float) -> float:
    p = len(precision)
    edges = int(np.count_nonzero(np.triu(precision, 1)))
    log_likelihood = n / 2 * (np.linalg.slogdet(precision)[1] - (correlation * precision).sum())
    return float(-2 * log_likelihood + edges * np.log(n) + 4 * gamma * edges * np.log(max(p, 2)))


def reproducible_network(
    first: PhenotypeTable,
    second: PhenotypeTable,
    *,
    seed: int,
    transform: Transform = "rank",
    gamma: float = 0.5,
    alpha: float | None = None,
    permutations: int = 999,
) -> NetworkResult:
    """Return the phenotypes whose network two acquisitions of the same subjects have in common.

    Parameters
    ----------
    first, second : PhenotypeTable
        Test and retest, two reconstructions, two readers; subjects are matched by id,
        phenotypes by name. Subjects or phenotypes with missing values are left out (phenotypes
        first, where more than 20 % are missing).
    seed : int
        Of the permutations.
    transform : {"rank", "none"}
        "rank" maps each phenotype to normal scores.
    gamma : float, default 0.5
        Of the extended BIC.
    alpha : float or None
        Penalty of both networks; None = chosen for each.
    permutations : int, default 999
        Shuffles of the second network's phenotypes.

    Returns
    -------
    NetworkResult
        See there.

    Raises
    ------
    InputError
        If fewer than three phenotypes are common and vary, or there are more than 400.
    FitError
        If a network cannot be estimated.
    AlignmentError
        If fewer than eight subjects are common.

    References
    ----------
    Liu, Lafferty & Wasserman 2009, arXiv:0903.0649 (normal scores).
    """
    require_choice(transform, ("rank", "none"), what="transform")
    names, tables, matched = _paired(first, second)
    if transform == "rank":
        tables = [RankNormaliser().fit_transform(item) for item in tables]
    networks = [partial_network(item, alpha=alpha, gamma=gamma) for item in tables]
    (one, alpha_first), (two, alpha_second) = networks
    p = len(names)
    upper = np.triu_indices(p, 1)
    common = (one[upper] * two[upper]) > 0
    expected, p_value = _by_chance(one, two, int(common.sum()), seed, permutations)
    member = _largest_component(p, upper[0][common], upper[1][common])
    either = (one[upper] != 0) | (two[upper] != 0)
    at = np.flatnonzero(either)
    edges = pl.DataFrame(
        {
            "first": [names[i] for i in upper[0][at]],
            "second": [names[j] for j in upper[1][at]],
            "partial_first": one[upper][at],
            "partial_second": two[upper][at],
            "common": common[at],
            "reproducible": common[at] & member[upper[0][at]] & member[upper[1][at]],
        }
    )

    def degree(network: FloatArray) -> NDArray[np.int64]:
        return (network != 0).sum(axis=1) - 1

    shared = np.where(one * two > 0, 1.0, 0.0)
    np.fill_diagonal(shared, 1.0)
    frame = pl.DataFrame(
        {
            "phenotype": names,
            "degree_first": degree(one),
            "degree_second": degree(two),
            "degree_common": degree(shared),
            "reproducible": member,
        }
    )
    return NetworkResult(
        frame=frame,
        params={
            "transform": transform, "gamma": gamma, "alpha_first": alpha_first,
            "alpha_second": alpha_second, "permutations": permutations, "seed": seed,
        },
        n_used=len(tables[0]),
        dropped=matched,
        edges=edges,
        expected=expected,
        p=p_value,
    )  # fmt: skip


def _paired(
    first: PhenotypeTable, second: PhenotypeTable
) -> tuple[list[str], list[FloatArray], pl.DataFrame]:
    matched = align({"first": first.samples, "second": second.samples}, need=8)
    names = [name for name in first.names if name in set(second.names)]
    tables = []
    for key, table in (("first", first), ("second", second)):
        place = {name: j for j, name in enumerate(table.names)}
        at = [place[name] for name in names]
        tables.append(np.asarray(table.values)[matched.rows[key]][:, at])
    known = np.minimum(*(np.isfinite(item).mean(axis=0) for item in tables)) >= 0.8
    tables = [item[:, known] for item in tables]
    whole = np.isfinite(np.hstack(tables)).all(axis=1)
    tables = [item[whole] for item in tables]
    varies = np.minimum(*(np.ptp(item, axis=0) if len(item) else np.zeros(item.shape[1])
                          for item in tables)) > 0  # fmt: skip
    kept = [n for n, ok in zip(np.array(names, dtype=object)[known], varies, strict=True) if ok]
    if len(kept) < 3 or int(whole.sum()) < 8:
        raise InputError(
            f"{len(kept)} phenotypes vary in both acquisitions of {int(whole.sum())} complete "
            "subjects; three phenotypes and eight subjects are needed."
        )
    dropped = matched.dropped.select("sample", reason=pl.lit("not in ") + pl.col("absent_from"))
    lost = [s for s, ok in zip(matched.samples, whole, strict=True) if not ok]
    more = pl.DataFrame(
        {"sample": lost, "reason": ["a phenotype is missing"] * len(lost)},
        schema={"sample": pl.String, "reason": pl.String},
    )
    return kept, [item[:, varies] for item in tables], pl.concat([dropped, more])


def _by_chance(
    one: FloatArray, two: FloatArray, found: int, seed: int, permutations: int
) -> tuple[float, float]:
    rng = spawn(seed, "network permutation")
    upper = np.triu_indices(len(one), 1)
    signs, other = np.sign(one)[upper], np.sign(two)
    count = np.empty(permutations)
    for k in range(permutations):
        order = rng.permutation(len(one))
        count[k] = (signs * other[np.ix_(order, order)][upper] > 0).sum()
    if not permutations:
        return float("nan"), float("nan")
    return float(count.mean()), float((1 + (count >= found).sum()) / (permutations + 1))


def _largest_component(p: int, a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.bool_]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(a):
        return np.zeros(p, dtype=bool)
    graph = coo_array((np.ones(len(a)), (a, b)), shape=(p, p))
    labels = connected_components(graph, directed=False)[1]
    return np.asarray(labels == np.bincount(labels).argmax())
