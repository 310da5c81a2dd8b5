"""Groups of subjects by the distance of their phenotypes on a network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.rng import spawn
from radgen.errors import InputError, shown
from radgen.phenotype.network import NetworkResult
from radgen.phenotype.select import RankNormaliser
from radgen.stats.clustering import kmeans_by_distance
from radgen.stats.transport import network_distances
from radgen.types import PhenotypeTable, Result

__all__ = ["NetworkGroups", "network_groups"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NetworkGroups(Result):
    """Groups of subjects by distance on a network of phenotypes.

    Attributes
    ----------
    frame : polars.DataFrame
        ``sample, group, silhouette``: group by k-means on distances, and how much nearer a
        subject is to its own group than to the next (-1 to 1).
    distances : polars.DataFrame
        ``first, second, distance``: every pair.
    """

    kind: ClassVar[str] = "network_groups"

    distances: pl.DataFrame = field(default_factory=pl.DataFrame)

    def statements(self) -> tuple[str, ...]:
        """Return sizes of the groups and how distinct they are."""
        size = self.frame.group_by("group").len().sort("group")
        text = ", ".join(f"group {g}: {n}" for g, n in size.iter_rows())
        middle = float(self.frame["silhouette"].mean() or 0.0)  # type: ignore[arg-type]
        word = "distinct" if middle >= 0.5 else "blurred" if middle >= 0.25 else "hardly distinct"
        return (f"{self.n_used} subjects in {text}; mean silhouette {middle:.2f} ({word}).",)

    def methods(self) -> str:
        """Return the methods paragraph."""
        p = self.params
        return (
            f"Subjects were compared by the Wasserstein-1 distance of their phenotypes, scaled to "
            f"masses on the {p['nodes']} nodes of a network of {p['edges']} edges, and grouped by "
            f"k-means on these distances (k = {p['groups']}, {p['starts']} starts)."
        )


def network_groups(
    table: PhenotypeTable, network: NetworkResult, *, groups: int, seed: int, starts: int = 20
) -> NetworkGroups:
    """Return groups of subjects by the Wasserstein distance on a reproducible network.

    Parameters
    ----------
    table : PhenotypeTable
        With the reproducible phenotypes; subjects with a missing one are left out.
    network : NetworkResult
        Its reproducible phenotypes are the nodes, and its common edges, each of length one,
        the ways.
    groups : int
        Number of groups.
    seed : int
        Of the starts.
    starts : int, default 20
        Runs of k-means; the best is kept.

    Returns
    -------
    NetworkGroups
        Group and silhouette of each subject.

    Raises
    ------
    InputError
        If the network has fewer than two reproducible phenotypes, the table lacks one, or there
        are fewer subjects than groups.

    Notes
    -----
    Each phenotype is scaled to [0, 1] by its normal scores over the subjects, and each subject's
    values to a sum of one: what is compared is where in the network a subject is high, not how
    high it is in all.
    """
    names = network.reproducible
    if len(names) < 2:
        raise InputError("The network has fewer than two reproducible phenotypes.")
    missing = [name for name in names if name not in set(table.names)]
    if missing:
        raise InputError(
            f"The table lacks {len(missing)} phenotypes of the network: {shown(missing)}."
        )
    place = {name: j for j, name in enumerate(table.names)}
    values = np.asarray(table.values)[:, [place[name] for name in names]]
    whole = np.isfinite(values).all(axis=1)
    values, samples = values[whole], [s for s, ok in zip(table.samples, whole, strict=True) if ok]
    if not 2 <= groups < len(samples):
        raise InputError(f"{groups} groups of {len(samples)} complete subjects.")
    scores = RankNormaliser().fit_transform(values)
    spread = np.maximum(np.ptp(scores, axis=0), 1e-300)
    mass = (scores - scores.min(axis=0)) / spread + 1e-6
    mass /= mass.sum(axis=1, keepdims=True)
    index = {name: k for k, name in enumerate(names)}
    ways = network.edges.filter(pl.col("reproducible"))
    pairs = [(index[a], index[b]) for a, b in ways.select("first", "second").iter_rows()]
    distance = network_distances(mass, pairs)
    labels = kmeans_by_distance(distance, groups, rng=spawn(seed, "network groups"), starts=starts)
    upper = np.triu_indices(len(samples), 1)
    lost = [s for s, ok in zip(table.samples, whole, strict=True) if not ok]
    return NetworkGroups(
        frame=pl.DataFrame(
            {"sample": samples, "group": labels + 1, "silhouette": _silhouette(distance, labels)}
        ),
        params={
            "groups": groups, "seed": seed, "starts": starts, "nodes": len(names),
            "edges": len(pairs),
        },
        n_used=len(samples),
        dropped=pl.DataFrame(
            {"sample": lost, "reason": ["a phenotype is missing"] * len(lost)},
            schema={"sample": pl.String, "reason": pl.String},
        ),
        distances=pl.DataFrame(
            {
                "first": [samples[i] for i in upper[0]],
                "second": [samples[j] for j in upper[1]],
                "distance": distance[upper],
            }
        ),
    )  # fmt: skip


def _silhouette(distance: FloatArray, labels: NDArray[np.int64]) -> FloatArray:
    k = int(labels.max()) + 1
    member = (labels[:, None] == np.arange(k)).astype(np.float64)
    total, count = distance @ member, member.sum(axis=0)
    rows = np.arange(len(labels))
    own = total[rows, labels] / np.maximum(count[labels] - 1, 1)
    other = np.where(member > 0, np.inf, total / np.maximum(count, 1)).min(axis=1)
    out = (other - own) / np.maximum(np.maximum(other, own), 1e-300)
    return np.where(count[labels] > 1, out, 0.0)
