"""Groups of samples that several kinds of data have in common, by fused similarity networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.cluster import SpectralClustering

from radgen._core.naming import require_choice
from radgen._core.progress import progress
from radgen._core.rng import spawn
from radgen.errors import InputError, shown
from radgen.multivariate.similarity import affinity, fuse_similarity
from radgen.stats.clustering import adjusted_rand
from radgen.types import PhenotypeTable, Result, align

__all__ = ["FusedGroups", "FusedGroupsResult", "fuse_groups"]

FloatArray = NDArray[np.float64]


class FusedGroups(ClusterMixin, BaseEstimator):
    """Spectral clusters of the network that fuses the similarity networks of several tables.

    Parameters
    ----------
    n_clusters : int or "gap", default "gap"
        Groups; "gap" takes the number, two or more, before the largest gap between eigenvalues.
    max_clusters : int, default 6
        Most groups that "gap" considers.
    n_neighbours : int, default 20
        Neighbours of the local scale and of the sparse kernels; at most a sixth of the samples
        (three at least), so that neighbours can be of one group.
    width : float, default 0.5
        Of the kernel.
    n_iterations : int, default 20
        Rounds of message passing.
    missing : {"refuse", "share"}, default "refuse"
        What is done with samples that lack a table as a whole (all NaN): refused, or "share": a
        pair that a table does not know takes the mean of its scaled similarities in the tables
        that know it, and 0 where none does.
    random_state : int or None
        Of the clusterings.

    Attributes
    ----------
    labels_ : int64 (n,)
        Group of each sample, 0 = the largest.
    network_ : float64 (n, n)
        Fused.
    networks_ : dict of str to float64 (n, n)
        Of each table.
    n_clusters_ : int
        Groups.
    eigenvalues_ : float64 (max_clusters + 1,)
        Smallest ones of the normalised Laplacian.

    Notes
    -----
    It joins the samples it is given and has no ``predict``: inside a validation, fit it to the
    training samples alone.

    References
    ----------
    Wang et al. 2014, Nat Methods 11:333, doi:10.1038/nmeth.2810. von Luxburg 2007,
    doi:10.1007/s11222-007-9033-z (the gap). Rappoport & Shamir 2019,
    doi:10.1093/bioinformatics/btz058 (means over the tables that know a pair).
    """

    def __init__(
        self,
        *,
        n_clusters: int | Literal["gap"] = "gap",
        max_clusters: int = 6,
        n_neighbours: int = 20,
        width: float = 0.5,
        n_iterations: int = 20,
        missing: Literal["refuse", "share"] = "refuse",
        random_state: int | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.max_clusters = max_clusters
        self.n_neighbours = n_neighbours
        self.width = width
        self.n_iterations = n_iterations
        self.missing = missing
        self.random_state = random_state

    def fit(self, X: Mapping[str, Any], y: Any = None) -> Self:
        """Fuse the networks of tables and cluster the result.

        Parameters
        ----------
        X : mapping of str to float64 (n, p_k)
            Two tables or more, rows of the same samples in one order. A row of NaN = the sample
            lacks the table; other gaps are not allowed.
        y : None
            Not used.

        Raises
        ------
        InputError
            If there are fewer than two tables, rows differ in number, values are missing, or
            samples are too few.
        """
        blocks = {name: np.asarray(block, dtype=np.float64) for name, block in X.items()}
        _check(blocks, self.missing)
        n = len(next(iter(blocks.values())))
        if n < 8:
            raise InputError(f"{n} samples are too few for groups of a network; 8 are the least.")
        networks = {name: self._network(block) for name, block in blocks.items()}
        self.networks_ = _shared(networks)
        near = self._near(n)
        self.network_ = fuse_similarity(
            list(self.networks_.values()), n_neighbours=near, n_iterations=self.n_iterations
        )
        self.eigenvalues_ = _eigenvalues(self.network_)[: self.max_clusters + 1]
        self.n_clusters_ = self._number()
        self.labels_ = clusters(self.network_, self.n_clusters_, self.random_state)
        return self

    def _near(self, n: int) -> int:
        return min(self.n_neighbours, max(3, n // 6), n - 1)

    def _number(self) -> int:
        if self.n_clusters != "gap":
            return int(self.n_clusters)
        gaps = np.diff(self.eigenvalues_)
        return int(np.argmax(gaps[1:])) + 2

    def _network(self, block: FloatArray) -> FloatArray:
        """Return the affinities of one table, NaN for pairs that it does not know."""
        have = ~np.isnan(block).all(axis=1)
        own = block[have]
        spread = own.std(axis=0)
        own = (own - own.mean(axis=0))[:, spread > 0] / spread[spread > 0]
        if own.shape[1] == 0 or len(own) < 3:
            raise InputError("A table has fewer than three samples, or no column that varies.")
        square = np.square(own).sum(axis=1)
        gap = np.maximum(square[:, None] + square[None, :] - 2 * own @ own.T, 0.0)
        near = self._near(len(own))
        out = np.full((len(block), len(block)), np.nan)
        distance = np.sqrt((gap + gap.T) / 2)
        out[np.ix_(have, have)] = affinity(distance, n_neighbours=near, width=self.width)
        return out


def clusters(network: FloatArray, k: int, random_state: int | None) -> NDArray[np.int64]:
    """Return spectral clusters of a network, the largest first."""
    found = SpectralClustering(
        k, affinity="precomputed", assign_labels="kmeans", random_state=random_state
    ).fit_predict(network)
    order = np.argsort(-np.bincount(found, minlength=k), kind="stable")
    return np.argsort(order)[found].astype(np.int64)


def _check(blocks: Mapping[str, FloatArray], missing: str) -> None:
    require_choice(missing, ("refuse", "share"), what="policy for missing tables")
    sizes = {name: block.shape for name, block in blocks.items()}
    if len(blocks) < 2 or len({len(block) for block in blocks.values()}) != 1:
        raise InputError(f"Needed are two tables or more of the same samples; found {sizes}.")
    for name, block in blocks.items():
        gone = np.isnan(block).all(axis=1)
        if np.isnan(block[~gone]).any():
            raise InputError(f"Table {name!r} has gaps within rows: impute or leave out columns.")
        if gone.any() and missing == "refuse":
            raise InputError(
                f"{int(gone.sum())} samples lack table {name!r}: leave them out, or say "
                'missing="share".'
            )


def _shared(networks: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Fill pairs that a table does not know from the tables that do, on one scale."""
    if not any(np.isnan(network).any() for network in networks.values()):
        return dict(networks)
    scaled = {}
    for name, network in networks.items():
        rows = np.nansum(network, axis=1) - np.nan_to_num(np.diag(network))
        known = np.maximum((~np.isnan(network)).sum(axis=1) - 1, 1)
        mean = np.where(rows > 0, rows / known, 1.0)
        scaled[name] = network / np.sqrt(mean[:, None] * mean[None, :])
    stack = np.array(list(scaled.values()))
    have = ~np.isnan(stack)
    count = have.sum(axis=0)
    fill = np.where(have, stack, 0.0).sum(axis=0) / np.maximum(count, 1)
    return {name: np.where(np.isnan(network), fill, network) for name, network in scaled.items()}


def _eigenvalues(network: FloatArray) -> FloatArray:
    degree = network.sum(axis=1)
    scale = 1 / np.sqrt(degree)
    return np.linalg.eigvalsh(np.eye(len(network)) - scale[:, None] * network * scale[None, :])


@dataclass(frozen=True, eq=False)
class FusedGroupsResult(Result):
    """Groups that tables have in common.

    Attributes
    ----------
    frame : polars.DataFrame
        ``sample, group`` (1 = the largest).
    agreement : polars.DataFrame
        ``table, agreement``: adjusted Rand index of the fused groups and those of one table alone.
    """

    kind: ClassVar[str] = "fused_groups"

    agreement: pl.DataFrame = None  # type: ignore[assignment]

    def statements(self) -> tuple[str, ...]:
        """Return sizes of the groups, and whether the tables agree on them."""
        sizes = self.frame.group_by("group").len().sort("group")["len"].to_list()
        p, m = self.params["p"], self.params["permutations"]
        text = f"{len(sizes)} groups of {', '.join(map(str, sizes))} samples."
        each = ", ".join(f"{t} {a:.2f}" for t, a in self.agreement.iter_rows())
        share = f"Agreement of each table alone with them: {each}."
        if p is None:
            return (text, share)
        word = "more than" if p < 0.05 else "no more than"
        return (
            text,
            f"{share} Two tables resemble each other {word} tables of shuffled samples do "
            f"(p = {p:.3g}, {m} permutations).",
        )

    def methods(self) -> str:
        """Return the methods paragraph."""
        given = self.params
        return (
            f"Similarity networks of {', '.join(given['tables'])} (standardised columns, "
            f"{given['n_neighbours']} neighbours) were fused ({given['n_iterations']} rounds) and "
            "clustered spectrally; the null shuffles samples of every table but the first, which "
            "keeps each table's own groups and parts them from the others'."
        )


def fuse_groups(
    tables: Mapping[str, PhenotypeTable],
    *,
    seed: int,
    permutations: int = 99,
    missing: Literal["refuse", "share", "drop"] = "drop",
    **settings: Any,
) -> tuple[FusedGroups, FusedGroupsResult]:
    """Return groups of samples that several tables have in common, against a null.

    Parameters
    ----------
    tables : mapping of str to PhenotypeTable
        Two or more; columns with a missing value among the samples used are left out.
    seed : int
        Of clusterings and shuffles.
    permutations : int
        Shuffles; 0 = no null.
    missing : {"drop", "share", "refuse"}
        Samples that lack a table: left out, kept (see `FusedGroups`), or an error.
    **settings
        Of `FusedGroups`.

    Returns
    -------
    model : FusedGroups
        Fitted.
    result : FusedGroupsResult
        Groups; its p counts how often the mean similarity of the tables' networks (correlation of
        their entries) is as high when the samples of each table are shuffled.

    Raises
    ------
    InputError
        If tables cannot be fused.
    AlignmentError
        If fewer than eight samples are common to all (unless `missing` is "share").
    """
    if len(tables) < 2:
        raise InputError(f"Two tables or more are fused; found {shown(tables)}.")
    ids = {name: table.samples for name, table in tables.items()}
    if missing == "share":
        samples = tuple(dict.fromkeys(s for own in ids.values() for s in own))
        lost: list[tuple[str, str]] = []
    else:
        matched = align(ids, need=8)
        samples = matched.samples
        everyone = dict.fromkeys(s for own in ids.values() for s in own)
        lost = [(s, "lacks a table") for s in everyone if s not in set(samples)]
    blocks, notes = {}, []
    for name, table in tables.items():
        blocks[name], text = _block(name, table, samples)
        notes += text
    policy = "share" if missing == "share" else "refuse"
    model = FusedGroups(missing=policy, random_state=seed, **settings).fit(blocks)
    alone = [
        (name, adjusted_rand(model.labels_, clusters(network, model.n_clusters_, seed)))
        for name, network in model.networks_.items()
    ]
    p = _p_value(model, seed, permutations) if permutations else None
    params = {
        "tables": list(tables), "permutations": permutations, "p": p, "seed": seed,
        "missing": missing, "n_neighbours": model.n_neighbours,
        "n_iterations": model.n_iterations, "n_clusters": model.n_clusters_,
    }  # fmt: skip
    frame = pl.DataFrame({"sample": list(samples), "group": model.labels_ + 1})
    dropped = pl.DataFrame(lost, schema={"sample": pl.String, "reason": pl.String}, orient="row")
    schema = {"table": pl.String, "agreement": pl.Float64}
    return model, FusedGroupsResult(
        frame=frame, params=params, n_used=len(samples), dropped=dropped, warnings=tuple(notes),
        agreement=pl.DataFrame(alone, schema=schema, orient="row"),
    )  # fmt: skip


def _block(
    name: str, table: PhenotypeTable, samples: Sequence[str]
) -> tuple[FloatArray, list[str]]:
    row = {sample: k for k, sample in enumerate(table.samples)}
    at = [row[s] for s in samples if s in row]
    own = table.values[at]
    whole = ~np.isnan(own).any(axis=0)
    if not whole.any():
        raise InputError(f"Table {name!r} has no column without a gap. Impute it first.")
    gone = int((~whole).sum())
    notes = [f"{name}: {gone} columns with missing values are left out."] if gone else []
    out = np.full((len(samples), int(whole.sum())), np.nan)
    out[[k for k, s in enumerate(samples) if s in row]] = own[:, whole]
    return out, notes


def _p_value(model: FusedGroups, seed: int, permutations: int) -> float:
    """Return how often shuffled tables resemble each other as much as the given ones do."""
    networks = list(model.networks_.values())
    n = len(networks[0])
    upper = np.triu_indices(n, 1)
    ranks = []
    for network in networks:
        order = np.argsort(np.argsort(network[upper], kind="stable"), kind="stable")
        square = np.zeros((n, n))
        square[upper] = order - order.mean()
        ranks.append(square + square.T)

    def resemblance(rows: Sequence[NDArray[np.int64]]) -> float:
        moved = [r[np.ix_(k, k)][upper] for r, k in zip(ranks, rows, strict=True)]
        pairs = [(a, b) for i, a in enumerate(moved) for b in moved[:i]]
        return float(np.mean([a @ b / np.sqrt((a @ a) * (b @ b)) for a, b in pairs]))

    still = np.arange(n)
    observed = resemblance([still] * len(ranks))
    above = 0
    with progress("Shuffling samples", permutations) as tick:
        for k in range(permutations):
            rng = spawn(seed, "fused groups", k)
            rows = [still, *(rng.permutation(n) for _ in ranks[1:])]
            above += resemblance(rows) >= observed - 1e-12
            tick(1)
    return (above + 1) / (permutations + 1)
