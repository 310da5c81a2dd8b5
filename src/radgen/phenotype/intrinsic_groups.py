"""Intrinsic imaging phenotypes of a cohort, and whether another cohort shows them too."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import polars as pl

from radgen._core.rng import spawn
from radgen.errors import InputError, shown
from radgen.phenotype.intrinsic import IntrinsicPhenotypes
from radgen.stats.clustering import adjusted_rand, kmeans
from radgen.types import PhenotypeTable, Result

__all__ = ["IntrinsicResult", "IntrinsicTransfer", "assign_intrinsic", "find_intrinsic"]


@dataclass(frozen=True, eq=False)
class IntrinsicResult(Result):
    """Groups of the samples of a cohort.

    Attributes
    ----------
    frame : polars.DataFrame
        ``sample, group, certainty, consensus``: group from 1; how likely it is by distance; mean
        consensus with the samples of the same group.
    groups : polars.DataFrame
        ``group, n, stability``.
    choice : polars.DataFrame
        ``k, gap, std_error``; empty where the number was given.
    """

    kind: ClassVar[str] = "intrinsic_phenotypes"
    plots: ClassVar[tuple[str, ...]] = ("gap",)

    groups: pl.DataFrame = field(default_factory=pl.DataFrame)
    choice: pl.DataFrame = field(default_factory=pl.DataFrame)

    def statements(self) -> tuple[str, ...]:
        """Return how many groups there are and which can be trusted."""
        k = self.groups.height
        if k == 1:
            return (
                f"No evidence of more than one group among {self.n_used} samples (gap statistic).",
            )
        parts = [
            f"group {g}: {n} samples, stability {s:.2f}" for g, n, s in self.groups.iter_rows()
        ]
        text = f"{k} groups of {self.n_used} samples ({'; '.join(parts)})."
        weak = self.groups.filter(pl.col("stability") < 0.6)["group"].to_list()
        if weak:
            text += f" Not stable enough to be trusted (below 0.60): group {shown(weak)}."
        ambiguous = self.params["ambiguous"]
        return (f"{text} {ambiguous:.0%} of pairs are ambiguous in the consensus.",)

    def methods(self) -> str:
        """Return the methods paragraph."""
        p = self.params
        what = "k-means" if p["method"] == "kmeans" else "normal mixtures"
        chosen = (
            f"chosen by the gap statistic with {p['references']} references among 1 to "
            f"{p['max_clusters']}"
            if self.choice.height
            else "given"
        )
        return (
            f"Standardised features were reduced to {p['components']} principal components "
            f"({p['variance']:.0%} of the variance). The number of groups was {chosen}; groups "
            f"are those of average linkage on the consensus of {p['draws']} {what} clusterings of "
            f"{p['share']:.0%} of the samples, their stability the mean Jaccard index in such "
            "parts."
        )

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw the gap statistic ("gap") and return the Axes.

        Raises
        ------
        InputError
            If there is no such plot, or the number of groups was given.
        """
        if kind not in self.plots or not self.choice.height:
            return super().plot(kind, ax=ax)
        from radgen.plot import style

        ax = style.axes(4.2, 3.2) if ax is None else ax
        k, gap, error = (self.choice[name].to_numpy() for name in ("k", "gap", "std_error"))
        ax.errorbar(k, gap, yerr=error, color=style.colour(0), marker="o", capsize=3)
        best = self.groups.height
        ax.axvline(best, color=style.INK, linestyle="--", linewidth=1)
        ax.set_xticks(k)
        return style.dress(ax, xlabel="Number of groups", ylabel="Gap statistic (± SE)")


@dataclass(frozen=True, eq=False)
class IntrinsicTransfer(Result):
    """Whether the groups of one cohort are found again in another.

    Attributes
    ----------
    frame : polars.DataFrame
        ``sample, group, certainty, own_group``: group assigned by the first cohort, how likely it
        is, and the group when the second cohort is clustered by itself.
    agreement : float
        Adjusted Rand index of both groupings.
    p : float
        Permutation p-value of an agreement as high by chance.
    """

    kind: ClassVar[str] = "intrinsic_transfer"

    agreement: float = 0.0
    p: float = 1.0

    def statements(self) -> tuple[str, ...]:
        """Return whether the groups are found again."""
        k, m = self.params["groups"], self.params["permutations"]
        found = (
            "are found again"
            if self.p <= 0.05 and self.agreement > 0
            else ("there is no evidence that they are found again")
        )
        lead = f"The {k} groups of the first cohort: in {self.n_used} new samples {found}"
        if found.startswith("there"):
            lead = f"Of the {k} groups of the first cohort {found} in {self.n_used} new samples"
        return (
            f"{lead} (adjusted Rand index of assigned and own groups {self.agreement:.2f}, "
            f"permutation p = {self.p:.3g}, {m} permutations).",
        )

    def methods(self) -> str:
        """Return the methods paragraph."""
        return (
            "Samples of the second cohort were assigned to the nearest group of the first, with "
            "its standardisation and components, and clustered by themselves into as many groups; "
            "both groupings were compared by the adjusted Rand index."
        )


def find_intrinsic(
    table: PhenotypeTable, *, seed: int, **options: Any
) -> tuple[IntrinsicPhenotypes, IntrinsicResult]:
    """Return groups of the samples of a cohort, and the fitted estimator that assigns new ones.

    Parameters
    ----------
    table : PhenotypeTable
        Features; missing values are replaced by the median, and features that are missing in
        more than 20 % of the samples or do not vary are left out.
    seed : int
        Of all draws.
    **options
        Of `IntrinsicPhenotypes`.

    Returns
    -------
    model : IntrinsicPhenotypes
        Its ``columns_`` are the names of the features.
    result : IntrinsicResult
        Groups, their stability and the choice of their number.

    Raises
    ------
    InputError
        If no feature is left, or an option is out of range.
    """
    values = np.asarray(table.values)
    known = np.isfinite(values)
    good = known.mean(axis=0) >= 0.8
    names = [n for n, ok in zip(table.names, good, strict=True) if ok]
    if not names:
        raise InputError("Every feature is missing in more than 20 % of the samples.")
    filled = values[:, good]
    median = np.nanmedian(np.where(known[:, good], filled, np.nan), axis=0)
    filled = np.where(known[:, good], filled, median)
    varies = np.ptp(filled, axis=0) > 0
    if not varies.any():
        raise InputError("No feature varies.")
    names = [n for n, ok in zip(names, varies, strict=True) if ok]
    seed_of = int(spawn(seed, "intrinsic phenotypes").integers(2**31))
    model = IntrinsicPhenotypes(random_state=seed_of, **options).fit(filled[:, varies])
    model.columns_, model.median_ = tuple(names), median[varies]
    consensus = model.consensus_
    inside = np.array(
        [consensus[i, model.labels_ == g].mean() for i, g in enumerate(model.labels_)]
    )
    size = np.bincount(model.labels_)
    gap = model.gap_
    choice = pl.DataFrame(schema={"k": pl.Int64, "gap": pl.Float64, "std_error": pl.Float64})
    if gap is not None:
        choice = pl.DataFrame({"k": gap.k, "gap": gap.gap, "std_error": gap.std_error})
    shape = {"components": len(model.components_), "ambiguous": model.ambiguous_, "seed": seed}
    plain = {k: v for k, v in model.get_params().items() if k != "random_state"}
    result = IntrinsicResult(
        frame=pl.DataFrame(
            {
                "sample": list(table.samples),
                "group": model.labels_ + 1,
                "certainty": model.predict_proba(filled[:, varies]).max(axis=1),
                "consensus": inside,
            }
        ),
        params={**plain, **shape},
        n_used=table.n_samples,
        groups=pl.DataFrame(
            {"group": np.arange(1, len(size) + 1), "n": size, "stability": model.stability_}
        ),
        choice=choice,
    )
    return model, result


def assign_intrinsic(
    model: IntrinsicPhenotypes, table: PhenotypeTable, *, seed: int, permutations: int = 999
) -> IntrinsicTransfer:
    """Return the groups of a new cohort, and whether it would show the same groups by itself.

    Parameters
    ----------
    model : IntrinsicPhenotypes
        Of `find_intrinsic`.
    table : PhenotypeTable
        New samples with the same features; missing values are replaced by the training median.
    seed : int
        Of clustering and permutations.
    permutations : int, default 999
        Shuffles of the new cohort's own groups.

    Returns
    -------
    IntrinsicTransfer
        See there.

    Raises
    ------
    InputError
        If a feature is missing, or the model has one group.
    """
    place = {name: j for j, name in enumerate(table.names)}
    missing = [name for name in model.columns_ if name not in place]
    if missing:
        raise InputError(f"The table lacks {len(missing)} features: {shown(missing)}.")
    if model.n_clusters_ < 2:
        raise InputError("The first cohort has one group: there is nothing to find again.")
    values = np.asarray(table.values)[:, [place[name] for name in model.columns_]]
    values = np.where(np.isfinite(values), values, model.median_)
    labels = model.predict(values)
    rng = spawn(seed, "intrinsic transfer")
    own = kmeans(model.transform_space(values), model.n_clusters_, rng=rng, starts=20)
    agreement = adjusted_rand(labels, own)
    drawn = np.array([adjusted_rand(labels, rng.permutation(own)) for _ in range(permutations)])
    return IntrinsicTransfer(
        frame=pl.DataFrame(
            {
                "sample": list(table.samples),
                "group": labels + 1,
                "certainty": model.predict_proba(values).max(axis=1),
                "own_group": own + 1,
            }
        ),
        params={"groups": model.n_clusters_, "seed": seed, "permutations": permutations},
        n_used=table.n_samples,
        agreement=agreement,
        p=float((1 + (drawn >= agreement - 1e-12).sum()) / (permutations + 1)),
    )
