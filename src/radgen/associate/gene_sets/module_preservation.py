"""Are the gene modules of one cohort found in another?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.progress import progress
from radgen._core.rng import spawn
from radgen.errors import InputError, shown
from radgen.omics._network import adjacency
from radgen.omics.gene_sets import standardise_by
from radgen.omics.pathways import first_component
from radgen.stats import multiplicity
from radgen.types import OmicsTable, Result

__all__ = ["PreservationResult", "preservation"]

Array = NDArray[np.float64]

_DENSITY = ("explained", "mean_membership", "mean_correlation", "mean_link")
_CONNECTIVITY = ("cor_connectivity", "cor_membership", "cor_correlation")
_STRONG, _WEAK = 10.0, 2.0


@dataclass(frozen=True, eq=False)
class PreservationResult(Result):
    """How well each module is preserved in a second cohort.

    Attributes
    ----------
    frame : polars.DataFrame
        A row a module: ``module, n_genes, n_shared``, the density statistics ``explained``
        (share of variance of the first component), ``mean_membership``, ``mean_correlation``
        (signs as in the reference) and ``mean_link``; the connectivity statistics
        ``cor_connectivity, cor_membership, cor_correlation`` between both cohorts;
        ``z_density, z_connectivity, z_summary`` against random modules of the same size, ``p``
        (b + 1)/(m + 1) of the summary, ``q_bh``, ``status, reason``.
    """

    kind: ClassVar[str] = "module_preservation"
    version: ClassVar[int] = 1
    plots: ClassVar[tuple[str, ...]] = ("preservation",)

    def statements(self) -> tuple[str, ...]:
        """Return which modules are preserved, in plain words."""
        lines = []
        for row in self.frame.iter_rows(named=True):
            if row["z_summary"] is None:
                lines.append(f"{row['module']} could not be judged: {row['reason']}.")
                continue
            z = row["z_summary"]
            word = "no evidence that it is preserved"
            if row["q_bh"] <= 0.05:
                word = "strongly preserved" if z >= _STRONG else "preserved"
                word = "weakly preserved" if z < _WEAK else word
            lines.append(
                f"{row['module']} ({row['n_shared']} of {row['n_genes']} genes measured): {word}, "
                f"summary z = {z:.1f}, p = {row['p']:.2g}, q = {row['q_bh']:.2g}."
            )
        return tuple(lines)

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        params = self.params
        return (
            "Preservation of modules was measured by the density (explained variance, membership, "
            "correlation, links) and the connectivity (correlation between cohorts of "
            "intramodular connectivity, membership and gene-gene correlation) of their genes in "
            f"the second cohort, against {params['permutations']} random modules of the same size "
            f"({params['network']} network, soft threshold {params['power']:g}); the summary is "
            "the mean of the median density and connectivity z (Langfelder et al. 2011)."
        )

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw the summary z of each module and return the matplotlib Axes.

        Parameters
        ----------
        kind : {"preservation"}
            The plot.
        ax : matplotlib Axes or None
            Where to draw.

        Returns
        -------
        matplotlib Axes
            The drawing.

        Raises
        ------
        InputError
            If there is no such plot.
        """
        if kind != "preservation":
            return super().plot(kind, ax=ax)
        from radgen.plot import set_ranking

        rows = self.frame.filter(pl.col("z_summary").is_not_null())
        rows = rows.sort("z_summary", descending=True)
        return set_ranking(
            rows["module"].to_list(),
            rows["z_summary"].to_numpy(),
            np.log10(rows["p"].to_numpy()),
            rows["n_shared"].to_numpy(),
            significant=(rows["q_bh"] <= 0.05).to_numpy(),
            xlabel="Summary z of preservation (2 = weak, 10 = strong)",
            ax=ax,
        )


def preservation(
    reference: OmicsTable,
    other: OmicsTable,
    modules: Mapping[str, Sequence[str]],
    *,
    network: str = "signed",
    power: float = 12.0,
    permutations: int = 200,
    min_genes: int = 5,
    seed: int = 0,
) -> PreservationResult:
    """Return how well the modules of a reference cohort are preserved in another.

    Parameters
    ----------
    reference, other : OmicsTable
        Expression of both cohorts; the genes that vary in both are compared.
    modules : mapping of str to sequence of str
        Genes of each module of the reference.
    network : {"signed", "unsigned", "signed hybrid"}, default "signed"
        How links follow from correlations.
    power : float, default 12
        Soft threshold of the links.
    permutations : int, default 200
        Random modules of the same size in the second cohort.
    min_genes : int, default 5
        Fewest shared genes of a module that is judged.
    seed : int, default 0
        Of the random modules.

    Returns
    -------
    PreservationResult
        A row a module.

    Raises
    ------
    InputError
        If the cohorts share too few genes, or an option is out of range.

    Notes
    -----
    The observed statistics equal those of R's ``WGCNA::modulePreservation``. A missing value
    counts as the gene's mean.

    References
    ----------
    Langfelder et al. (2011), PLoS Comput. Biol. 7, e1001057, doi:10.1371/journal.pcbi.1001057.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> genes = [f"g{j}" for j in range(30)]
    >>> tables = []
    >>> for cohort in "ab":
    ...     x = rng.standard_normal((40, 30))
    ...     x[:, :10] += 1.5 * rng.standard_normal((40, 1))
    ...     tables.append(OmicsTable([f"{cohort}{i}" for i in range(40)], genes, x,
    ...                              "expression", "log2"))
    >>> found = preservation(*tables, {"M1": genes[:10], "M2": genes[20:]}, permutations=99)
    >>> found.table["p"].to_list()[0]
    0.01
    """
    if permutations < 1 or min_genes < 3 or not power > 0:
        raise InputError("permutations is at least 1, min_genes 3, and power positive.")
    first, second, genes = _shared(reference, other)
    place = {gene: j for j, gene in enumerate(genes)}
    correlation = first.T @ first / (len(first) - 1), second.T @ second / (len(second) - 1)
    both = _Pair(first, second, *correlation, network, power)
    rows = []
    with progress("Drawing random modules", len(modules)) as tick:
        for name, members in modules.items():
            own = np.array(sorted({place[g] for g in members if g in place}), dtype=np.int64)
            row: dict[str, Any] = {"module": str(name), "n_genes": len(set(members))}
            row |= {"n_shared": len(own), "status": "ok", "reason": ""}
            if len(own) < min_genes:
                why = f"only {len(own)} of its genes vary in both cohorts"
                rows.append(row | {"status": "not_tested", "reason": why})
            elif len(genes) < len(own) + min_genes:
                why = "nearly all shared genes are in it: there are no random modules"
                rows.append(row | {"status": "not_tested", "reason": why})
            else:
                rows.append(row | _judged(both, own, permutations, seed, str(name)))
            tick(1)
    frame = pl.DataFrame(rows, schema=_SCHEMA, infer_schema_length=None)
    p = frame["p"].fill_null(np.nan).to_numpy()
    q = pl.Series("q_bh", multiplicity.bh(p)).fill_nan(None)
    return PreservationResult(
        frame=frame.with_columns(q).select(*_SCHEMA),
        params={
            "network": network,
            "power": power,
            "permutations": permutations,
            "min_genes": min_genes,
            "n_genes": len(genes),
            "n_reference": reference.n_samples,
            "seed": seed,
        },
        n_used=other.n_samples,
        provenance={"step": "associate.preservation", "version": 1, "seed": seed},
    )


_SCHEMA: dict[str, Any] = {
    "module": pl.String,
    "n_genes": pl.Int64,
    "n_shared": pl.Int64,
    **dict.fromkeys((*_DENSITY, *_CONNECTIVITY), pl.Float64),
    "z_density": pl.Float64,
    "z_connectivity": pl.Float64,
    "z_summary": pl.Float64,
    "p": pl.Float64,
    "q_bh": pl.Float64,
    "status": pl.String,
    "reason": pl.String,
}


@dataclass(frozen=True, eq=False)
class _Pair:
    """Standardised genes of both cohorts and their correlations."""

    first: Array
    second: Array
    cor_first: Array
    cor_second: Array
    network: str
    power: float


def _shared(reference: OmicsTable, other: OmicsTable) -> tuple[Array, Array, list[str]]:
    parts = []
    for table in (reference, other):
        mean, spread = standardise_by(np.asarray(table.values), ddof=1)
        z = np.nan_to_num((table.values - mean) / spread, nan=0.0)
        varies = {g: j for j, g in enumerate(table.features) if np.isfinite(spread[j])}
        parts.append((z, varies))
    genes = [gene for gene in parts[0][1] if gene in parts[1][1]]
    if len(genes) < 6:
        raise InputError(
            f"Only {len(genes)} genes vary in both cohorts. Reference: "
            f"{shown(reference.features, 3)}; other: {shown(other.features, 3)}."
        )
    if min(reference.n_samples, other.n_samples) < 4:
        raise InputError("Preservation needs four samples in either cohort.")
    first, second = (z[:, [varies[gene] for gene in genes]] for z, varies in parts)
    return first, second, genes


def _judged(
    both: _Pair, own: NDArray[np.int64], permutations: int, seed: int, name: str
) -> dict[str, Any]:
    observed = _statistics(both, own, own)
    rng = spawn(seed, "preservation", name)
    total = both.second.shape[1]
    null = np.array(
        [
            _statistics(both, own, rng.choice(total, len(own), replace=False))
            for _ in range(permutations)
        ]
    )
    spread = null.std(axis=0, ddof=1) if permutations > 1 else np.full(7, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (observed - null.mean(axis=0)) / spread
        across = (null - null.mean(axis=0)) / spread
    k = len(_DENSITY)
    density, connectivity = float(np.median(z[:k])), float(np.median(z[k:]))
    summary = (density + connectivity) / 2
    others = (np.median(across[:, :k], axis=1) + np.median(across[:, k:], axis=1)) / 2
    p = (int((others >= summary).sum()) + 1) / (permutations + 1)
    names = (*_DENSITY, *_CONNECTIVITY)
    found: dict[str, Any] = dict(zip(names, map(float, observed), strict=True))
    if not np.isfinite(summary):
        why = "the statistics of random modules do not vary"
        return found | {"status": "not_tested", "reason": why}
    return found | {
        "z_density": density, "z_connectivity": connectivity, "z_summary": summary, "p": p,
    }  # fmt: skip


def _statistics(both: _Pair, own: NDArray[np.int64], drawn: NDArray[np.int64]) -> Array:
    """Density of drawn genes in the second cohort, connectivity with the own in the first."""
    r1 = both.cor_first[np.ix_(own, own)]
    r2 = both.cor_second[np.ix_(drawn, drawn)]
    upper = np.triu_indices(len(own), 1)
    member1, _ = _membership(both.first[:, own])
    member2, share = _membership(both.second[:, drawn])
    links1 = adjacency(np.clip(r1, -1, 1), network=both.network, power=both.power)
    links2 = adjacency(np.clip(r2, -1, 1), network=both.network, power=both.power)
    signs = np.sign(r1[upper])
    return np.array(
        [
            share,
            float(np.mean(np.sign(member1) * member2)),
            float(np.mean(signs * r2[upper])),
            float(np.mean(links2[upper])),
            _correlation(links1.sum(axis=0) - 1, links2.sum(axis=0) - 1),
            _correlation(member1, member2),
            _correlation(r1[upper], r2[upper]),
        ]
    )


def _membership(z: Array) -> tuple[Array, float]:
    loading, share = first_component(z)
    score = z @ loading
    length = np.linalg.norm(score) * np.sqrt(len(z) - 1)
    return z.T @ score / max(float(length), np.finfo(float).tiny), share


def _correlation(a: Array, b: Array) -> float:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])
