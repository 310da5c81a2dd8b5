"""Components of parallel ICA: how many, how stable, and which links are more than chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.base import clone

from radgen._core.progress import progress
from radgen._core.rng import derive_seed, spawn
from radgen.errors import InputError
from radgen.multivariate.parallel_ica import ParallelICA
from radgen.types import Result

__all__ = [
    "ComponentStability",
    "LinkedComponents",
    "component_number",
    "component_stability",
    "link_significance",
]


@dataclass(frozen=True, eq=False)
class ComponentStability(Result):
    """How well each component comes back over restarts and resampled people; a row a component."""

    kind: ClassVar[str] = "component_stability"


@dataclass(frozen=True, eq=False)
class LinkedComponents(Result):
    """Links between components of two blocks; `frame` has a row a pair."""

    kind: ClassVar[str] = "linked_components"


def component_number(X: NDArray[Any], *, maximum: int | None = None) -> int:
    """Return the number of components by the minimum description length.

    Parameters
    ----------
    X : ndarray of float (n_subjects, n_features)
        One block.
    maximum : int or None
        Largest number considered; None = n_subjects - 1.

    Returns
    -------
    int
        At least 1.

    References
    ----------
    Wax, Kailath (1985), IEEE Trans Acoust Speech Signal Process 33:387.
    """
    array = np.asarray(X, dtype=np.float64)
    centred = array - array.mean(axis=0)
    n_features = centred.shape[1]
    values = np.linalg.eigvalsh(centred @ centred.T / n_features)[::-1][: len(centred) - 1]
    values = np.maximum(values, values[0] * 1e-14)
    p = len(values)
    top = min(p - 1, maximum or p - 1)
    lengths = []
    for k in range(top + 1):
        tail = values[k:]
        ratio = np.log(tail).mean() - np.log(tail.mean())
        lengths.append(-n_features * (p - k) * ratio + 0.5 * k * (2 * p - k) * np.log(n_features))
    return max(1, int(np.argmin(lengths)))


def link_significance(
    model: ParallelICA,
    X: NDArray[Any],
    y: NDArray[Any],
    *,
    seed: int,
    n_permutations: int = 100,
) -> LinkedComponents:
    """Return the linked pairs with p-values that pay for the search and the coupling.

    The subjects of `y` are permuted and the *whole* procedure is run again; a link is compared
    with the strongest link of each permuted run (max-statistic), since the coupling itself
    raises correlations under the null.

    Parameters
    ----------
    model : ParallelICA
        It is cloned; give it an integer `random_state`.
    X, y : ndarray of float (n_subjects, n_features)
        The two blocks.
    seed : int
        Permutation k is the same whatever else is computed.
    n_permutations : int, default 100
        Number m of permutations; p = (b + 1) / (m + 1).

    Returns
    -------
    LinkedComponents
        Columns ``x_component, y_component, correlation, p``.
    """
    observed = clone(model).fit(X, y)
    strongest = np.empty(n_permutations)
    with progress("Permuting subjects", n_permutations) as tick:
        for k in range(n_permutations):
            order = spawn(seed, "parallel-ica", k).permutation(len(X))
            again = clone(model).fit(X, y[order])
            strongest[k] = np.abs(again.link_correlations_).max()
            tick(1)
    found = np.abs(observed.link_correlations_)
    frame = pl.DataFrame(
        {
            "x_component": observed.links_[:, 0],
            "y_component": observed.links_[:, 1],
            "correlation": observed.link_correlations_,
            "p": [(1 + int((strongest >= r).sum())) / (1 + n_permutations) for r in found],
        }
    )
    params = {key: str(value) for key, value in model.get_params().items() if key != "reference"}
    return LinkedComponents(
        frame, {**params, "n_permutations": n_permutations, "seed": seed}, len(X)
    )


def component_stability(
    model: ParallelICA, X: NDArray[Any], y: NDArray[Any], *, seed: int, n_runs: int = 20
) -> ComponentStability:
    """Return how stable the components of both blocks are.

    The whole procedure is run again with another start on people drawn with replacement. All
    sources found are clustered by the absolute correlation between them (average linkage, as
    many clusters as components).

    Parameters
    ----------
    model : ParallelICA
        It is cloned; give it an integer `random_state`.
    X, y : ndarray of float (n_subjects, n_features)
        The two blocks.
    seed : int
        Run k is the same whatever else is computed.
    n_runs : int, default 20
        Runs beside the first.

    Returns
    -------
    ComponentStability
        Columns ``block, component, stability, recovered, n_runs``. Stability is the quality
        index of ICASSO, mean similarity within the component's cluster less that to all other
        sources: near 1 = it always comes back. Recovered is the mean over runs of the largest
        absolute correlation of a source with the component. Components are those of `model`
        fitted to everybody.

    Raises
    ------
    InputError
        If fewer than two runs are asked for.

    References
    ----------
    Himberg, Hyvarinen, Esposito (2004), NeuroImage 22:1214. doi:10.1016/j.neuroimage.2004.03.027
    """
    if n_runs < 2:
        raise InputError(f"{n_runs} runs say nothing about stability; take 2 or more.")
    first = clone(model).fit(X, y)
    sources: dict[str, list[NDArray[np.float64]]] = {"x": [], "y": []}
    with progress("Refitting resampled people", n_runs) as tick:
        for k in range(n_runs):
            rows = spawn(seed, "component-stability", k).integers(0, len(X), len(X))
            start = derive_seed(seed, "component-start", k) % 2**32
            again = clone(model).set_params(random_state=start).fit(X[rows], y[rows])
            sources["x"].append(again.x_sources_)
            sources["y"].append(again.y_sources_)
            tick(1)
    rows_out = []
    for block, known in (("x", first.x_sources_), ("y", first.y_sources_)):
        quality, recovered = _stability(known, sources[block])
        for component in range(len(known)):
            rows_out.append((block, component, quality[component], recovered[component], n_runs))
    schema = ["block", "component", "stability", "recovered", "n_runs"]
    params = {key: str(value) for key, value in model.get_params().items() if key != "reference"}
    return ComponentStability(
        pl.DataFrame(rows_out, schema=schema, orient="row"),
        {**params, "n_runs": n_runs, "seed": seed},
        len(X),
    )


def _stability(
    known: NDArray[np.float64], runs: list[NDArray[np.float64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the quality index and the mean best correlation of each known source."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    stacked = np.concatenate(runs)
    similar = np.abs(np.corrcoef(stacked))
    distance = np.clip(1 - similar, 0, None)
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average")
    label = fcluster(tree, len(known), "maxclust")
    match = np.abs(np.corrcoef(known, stacked)[: len(known), len(known) :])
    quality = np.empty(len(known))
    for k, row in enumerate(match):
        inside = label == label[np.argmax(row)]
        outer = similar[inside][:, ~inside]
        quality[k] = similar[np.ix_(inside, inside)].mean() - (outer.mean() if outer.size else 0)
    ends = np.cumsum([len(run) for run in runs])[:-1]
    best = [part.max(axis=1) for part in np.split(match, ends, axis=1)]
    return quality, np.mean(best, axis=0)
