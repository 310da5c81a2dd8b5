"""Which mutations and modules drive which image phenotypes, and on which path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.associate._groups import (
    adaptive_bh,
    group_log10p,
    group_scores,
    joint_tests,
    phenotype_groups,
)
from radgen.errors import InputError, shown
from radgen.stats.multiplicity import bh
from radgen.stats.tail import from_log10p
from radgen.types import Covariates, OmicsTable, PhenotypeTable, Result, align

__all__ = ["DriverResult", "drivers", "score_groups"]

Array = NDArray[np.float64]

_COLUMNS = {
    "driver": pl.String,
    "kind": pl.String,
    "phenotype": pl.String,
    "group": pl.String,
    "n": pl.Int64,
    "effect": pl.Float64,
    "se": pl.Float64,
    "p": pl.Float64,
    "q": pl.Float64,
    "p_group": pl.Float64,
    "direct": pl.Float64,
    "q_direct": pl.Float64,
    "mediator": pl.String,
    "indirect": pl.Float64,
    "indirect_se": pl.Float64,
    "q_indirect": pl.Float64,
    "path": pl.String,
    "driven": pl.Boolean,
    "sign": pl.Int64,
    "reliability": pl.Float64,
    "stable": pl.Boolean,
}


@dataclass(frozen=True, eq=False)
class DriverResult(Result):
    """Every mutation and module with every phenotype, driving or not.

    Attributes
    ----------
    frame : polars.DataFrame
        ``driver``, ``kind`` ("mutation" or "module"), ``phenotype``, ``group`` of the
        phenotype, ``n``, ``effect`` (of a mutation given the other mutations: its total effect;
        of a module given mutations and other modules) with ``se``, ``p``, ``q``; ``p_group``
        of the whole group; for mutations ``direct`` (given the modules too) with ``q_direct``,
        ``mediator``, ``indirect`` effect through it with ``indirect_se`` (delta method) and
        ``q_indirect``; ``path`` ("direct", "mediated", "direct and mediated", "total", ""),
        ``driven`` (a q is at most the level), ``sign`` of the effect; ``reliability`` and
        ``stable`` where repeated scans were given.
    links : polars.DataFrame
        ``mutation, module, effect, se, p, q``: the first half of mediated paths.
    groups : polars.DataFrame
        ``driver, kind, group, n_phenotypes, p, q``: tests of whole groups.
    """

    kind: ClassVar[str] = "drivers"
    version: ClassVar[int] = 1
    plots: ClassVar[tuple[str, ...]] = ("heatmap",)

    links: pl.DataFrame = field(default_factory=pl.DataFrame)
    groups: pl.DataFrame = field(default_factory=pl.DataFrame)

    @property
    def group_of(self) -> dict[str, str]:
        """Group of each phenotype."""
        pairs = self.frame.unique("phenotype", maintain_order=True)
        return dict(pairs.select("phenotype", "group").iter_rows())

    def statements(self) -> tuple[str, ...]:
        """Return what drives what, by driver and group of phenotypes."""
        level = self.params["level"]
        hits = self.frame.filter("driven")
        lines = [
            f"{hits.height} of {self.frame.height} pairs of a driver and a phenotype are driven at "
            f"a false discovery rate of {100 * level:g} %: "
            f"{hits.filter(pl.col('kind') == 'mutation').height} of mutations, "
            f"{hits.filter(pl.col('kind') == 'module').height} of modules."
        ]
        for (driver, group, path), part in hits.group_by(
            "driver", "group", "path", maintain_order=True
        ):
            way = "raises" if part["sign"].sum() >= 0 else "lowers"
            names = shown(part["phenotype"].to_list(), 3)
            through = f" through {part['mediator'][0]}" if part["mediator"][0] is not None else ""
            lines.append(
                f"{driver} {way} {part.height} phenotypes of group {group} ({names}); path: "
                f"{path}{through}; median effect {part['effect'].median():.2f}."
            )
        unstable = self.frame.filter(~pl.col("stable")).unique("phenotype")
        if unstable.height:
            names = shown(unstable["phenotype"].sort().to_list(), 5)
            lines.append(f"{unstable.height} phenotypes are not repeatable: {names}.")
        return tuple(lines)

    def methods(self) -> str:
        """Return the methods paragraph."""
        p = self.params
        return (
            f"Total effects of {p['n_mutations']} mutations are those of a linear model with all "
            f"mutations and {_listed(p['covariates'])}; effects of {p['n_modules']} modules, and "
            "direct effects of mutations, those of the model with all mutations and all modules. "
            f"Phenotypes were grouped by average linkage of their residual correlations (mean "
            f"correlation at least {p['least_correlation']:g}). A driver and a group were tested "
            "by the Cauchy combination of the test of the group's score and of Simes' test; of "
            "groups with a small enough false discovery rate (Benjamini-Hochberg over all drivers "
            "and groups) the single phenotypes were tested by Storey's adaptive procedure. The "
            "reported q-value is twice the larger of both, so that each step has half the level. A "
            "mediated path needs both of its halves: mutation to module, and module to phenotype "
            "given the mutations; of two mediators the stronger is named."
        )

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw one of `plots` and return the matplotlib Axes.

        Parameters
        ----------
        kind : str
            "heatmap": effects of the drivers that drive anything.
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
        if kind != "heatmap":
            return super().plot(kind, ax=ax)
        from radgen.plot import heatmap

        hits = self.frame.filter("driven")
        names = hits["driver"].unique(maintain_order=True).to_list()
        part = self.frame.filter(pl.col("driver").is_in(names)).sort("group", "phenotype")
        phenotypes = hits.sort("group", "phenotype")["phenotype"].unique(maintain_order=True)
        place = {name: row for row, name in enumerate(phenotypes)}
        values = np.full((len(place), len(names)), np.nan)
        marks = np.zeros(values.shape, dtype=bool)
        for row in part.iter_rows(named=True):
            if row["phenotype"] in place:
                where = place[row["phenotype"]], names.index(row["driver"])
                values[where], marks[where] = row["effect"], row["driven"]
        return heatmap(
            values,
            row_names=list(place),
            column_names=names,
            marks=marks,
            label="effect",
            ax=ax,
        )


def _listed(names: list[str]) -> str:
    return f"the covariates {', '.join(names)}" if names else "no covariate"


def drivers(
    phenotypes: PhenotypeTable,
    mutations: OmicsTable,
    modules: OmicsTable,
    covariates: Covariates | None = None,
    *,
    groups: Mapping[str, str] | None = None,
    reliability: Mapping[str, float] | None = None,
    level: float = 0.05,
    least_correlation: float = 0.3,
    least_reliability: float = 0.75,
) -> DriverResult:
    """Return which mutations and modules drive which phenotypes, directly or through a module.

    Parameters
    ----------
    phenotypes : PhenotypeTable
        Image phenotypes, harmonised where they come from several sites.
    mutations : OmicsTable
        0/1, NaN = not tested; samples with a NaN are not used.
    modules : OmicsTable
        Scores of modules or gene sets; may cover fewer samples than the mutations.
    covariates : Covariates or None
        Adjusted for everywhere.
    groups : mapping of str to str or None
        Group of each phenotype; None = by their correlations.
    reliability : mapping of str to float or None
        Lower confidence limit of each phenotype's intraclass correlation in repeated scans.
    level : float, default 0.05
        False discovery rate of the table.
    least_correlation : float, default 0.3
        Smallest mean residual correlation of a group.
    least_reliability : float, default 0.75
        Phenotypes below it are marked as not stable.

    Returns
    -------
    DriverResult
        All pairs.

    Raises
    ------
    InputError
        If too few samples are complete, or the level lies outside (0, 1).
    AlignmentError
        If ids are repeated or too few samples match.

    Notes
    -----
    All drivers stand in one model, so that a module that is merely correlated with a driver (a
    consequence of the same mutation, or a gene set that shares genes) is not called a driver.
    Of modules that are combinations of each other none can be told apart; they have NaN.

    References
    ----------
    Benjamini & Bogomolov (2014), J. R. Statist. Soc. B 76, 297-318 (families first).
    MacKinnon et al. (2002), Psychol. Methods 7, 83-104 (joint significance of both halves).
    """
    if not 0 < level < 1:
        raise InputError(f"The level lies between 0 and 1; found {level}.")
    total = _matched(phenotypes, {"mutations": mutations}, covariates)
    joint = _matched(phenotypes, {"mutations": mutations, "modules": modules}, covariates)
    n_m, n_k = mutations.n_features, modules.n_features
    label = _groups(phenotypes, total, groups, least_correlation)
    scores = group_scores(total.traits, label)
    first = joint_tests(total.traits, total.layers, total.covariates)
    both = joint_tests(joint.traits, joint.layers, joint.covariates)
    p_total = group_log10p(scores, total.layers, total.covariates, first[2], label)
    joint_scores = group_scores(joint.traits, label)
    p_joint = group_log10p(joint_scores, joint.layers, joint.covariates, both[2], label)
    # Families: total effects of mutations, and effects of modules; direct effects of mutations
    # answer another question, and have a family of their own.
    families = np.concatenate([p_total, p_joint[n_m:]])
    q_family = bh(from_log10p(families))
    q = _pair_q(np.concatenate([first[2], both[2][n_m:]]), q_family, label)
    q_direct = _pair_q(both[2][:n_m], bh(from_log10p(p_joint[:n_m])), label)
    links = joint_tests(joint.layers[:, n_m:], joint.layers[:, :n_m], joint.covariates)
    q_links = bh(from_log10p(links[2]))
    effect = np.concatenate([first[0], both[0][n_m:]])
    table = {
        "effect": effect,
        "se": np.concatenate([first[1], both[1][n_m:]]),
        "p": from_log10p(np.concatenate([first[2], both[2][n_m:]])),
        "q": q,
        "p_group": from_log10p(families)[:, label],
        "direct": _padded(both[0][:n_m], n_k),
        "q_direct": _padded(q_direct, n_k),
        **_indirect(links, q_links, both, q[n_m:], n_m),
    }
    counts = np.concatenate([np.tile(total.known, (n_m, 1)), np.tile(joint.known, (n_k, 1))])
    names = [*mutations.features, *modules.features]
    frame = _frame(table, counts, names, phenotypes, label, modules.features, n_m, level)
    frame = _judged(frame, level)
    frame = _with_reliability(frame, reliability, least_reliability)
    kinds = ["mutation"] * n_m + ["module"] * n_k
    return DriverResult(
        frame=frame,
        params={
            "n_mutations": n_m,
            "n_modules": n_k,
            "n_phenotypes": phenotypes.n_phenotypes,
            "covariates": list(covariates.names) if covariates is not None else [],
            "level": level,
            "least_correlation": least_correlation,
            "least_reliability": least_reliability,
            "n_with_modules": len(joint.samples),
        },
        n_used=len(total.samples),
        dropped=total.dropped,
        provenance={"step": "associate.drivers", "version": 1},
        links=_link_frame(links, q_links, mutations.features, modules.features),
        groups=_group_frame(families, q_family, names, kinds, label),
    )


def score_groups(phenotypes: PhenotypeTable, groups: Mapping[str, str]) -> Covariates:
    """Return a score of each group of phenotypes, to adjust for what images already say.

    Parameters
    ----------
    phenotypes : PhenotypeTable
        Image phenotypes, harmonised where they come from several sites.
    groups : mapping of str to str
        Group of each phenotype, as `DriverResult` names them.

    Returns
    -------
    Covariates
        ``group 1`` and so on: means of the standardised phenotypes with their signs aligned,
        divided by their standard deviation.

    Raises
    ------
    InputError
        If a phenotype has no group.
    """
    lacking = [name for name in phenotypes.names if name not in groups]
    if lacking:
        raise InputError(f"No group is given for {len(lacking)} phenotypes: {shown(lacking)}.")
    labels = list(dict.fromkeys(groups[name] for name in phenotypes.names))
    code = np.array([labels.index(groups[name]) for name in phenotypes.names], dtype=np.int64)
    scores = group_scores(phenotypes.values, code)
    spread = np.nanstd(scores, axis=0)
    scores /= np.where(spread > 0, spread, 1.0)
    return Covariates(phenotypes.samples, tuple(f"group {name}" for name in labels), scores)


@dataclass(frozen=True, eq=False)
class _Rows:
    samples: tuple[str, ...]
    traits: Array
    layers: Array
    covariates: Array | None
    known: NDArray[np.int64]
    dropped: pl.DataFrame


def _matched(
    phenotypes: PhenotypeTable, layers: Mapping[str, OmicsTable], covariates: Covariates | None
) -> _Rows:
    tables = {"images": phenotypes.samples, **{name: t.samples for name, t in layers.items()}}
    if covariates is not None:
        tables["covariates"] = covariates.samples
    found = align(tables, need=3)
    values = np.column_stack([t.values[found.rows[name]] for name, t in layers.items()])
    z = None if covariates is None else covariates.values[found.rows["covariates"]]
    keep = np.isfinite(values).all(axis=1)
    if z is not None:
        keep &= np.isfinite(z).all(axis=1)
    width = values.shape[1] + (0 if z is None else z.shape[1])
    if keep.sum() < width + 3:
        raise InputError(
            f"{int(keep.sum())} samples have all of {width} drivers and covariates: too few for a "
            "model of all together. Name fewer modules or mutations."
        )
    traits = phenotypes.values[found.rows["images"]][keep]
    gone = [s for s, kept in zip(found.samples, keep, strict=True) if not kept]
    dropped = pl.concat(
        [
            found.dropped.select("sample", reason=pl.format("absent from {}", "absent_from")),
            pl.DataFrame(
                {"sample": gone, "reason": ["a driver or covariate is missing"] * len(gone)},
                schema={"sample": pl.String, "reason": pl.String},
            ),
        ]
    )
    samples = tuple(s for s, kept in zip(found.samples, keep, strict=True) if kept)
    known = np.isfinite(traits).sum(axis=0)
    return _Rows(samples, traits, values[keep], None if z is None else z[keep], known, dropped)


def _groups(
    phenotypes: PhenotypeTable, rows: _Rows, given: Mapping[str, str] | None, least: float
) -> NDArray[np.int64]:
    if given is None:
        parts = [rows.layers] if rows.covariates is None else [rows.covariates, rows.layers]
        return phenotype_groups(rows.traits, np.column_stack(parts), least)
    lacking = [name for name in phenotypes.names if name not in given]
    if lacking:
        raise InputError(f"No group is given for {len(lacking)} phenotypes: {shown(lacking)}.")
    labels = [given[name] for name in phenotypes.names]
    order = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    return np.array([order[label] for label in labels], dtype=np.int64)


def _pair_q(log10p: Array, q_family: Array, label: NDArray[np.int64]) -> Array:
    """Return twice the larger of the q-value of the family and of the test within it."""
    out = np.full(log10p.shape, np.nan)
    p = from_log10p(log10p)
    for row in range(len(p)):
        for number in range(q_family.shape[1]):
            here = label == number
            within = adaptive_bh(p[row, here])
            out[row, here] = np.minimum(2 * np.maximum(within, q_family[row, number]), 1.0)
    return out


def _indirect(
    links: tuple[Array, Array, Array],
    q_links: Array,
    both: tuple[Array, Array, Array],
    q_modules: Array,
    n_m: int,
) -> dict[str, Array]:
    """Of each mutation and phenotype the mediator with the smallest q, its effect and q.

    Both halves must hold: the q-value is the larger of theirs.
    """
    n_k, n_p = q_modules.shape
    names = ("mediator", "indirect", "indirect_se", "q_indirect")
    out = {name: np.full((n_m + n_k, n_p), np.nan) for name in names}
    for m in range(n_m):
        through = np.maximum(q_links[m][:, None], q_modules)
        blank = np.isnan(through)
        best = np.argmin(np.where(blank, np.inf, through), axis=0)
        column = np.arange(n_p)
        known = ~blank[best, column]
        a, a_se = links[0][m][best], links[1][m][best]
        b, b_se = both[0][n_m + best, column], both[1][n_m + best, column]
        out["mediator"][m] = np.where(known, best, np.nan)
        out["indirect"][m] = np.where(known, a * b, np.nan)
        out["indirect_se"][m] = np.where(known, np.hypot(a * b_se, b * a_se), np.nan)
        out["q_indirect"][m] = np.where(known, through[best, column], np.nan)
    return out


def _padded(values: Array, more: int) -> Array:
    return np.concatenate([values, np.full((more, values.shape[1]), np.nan)])


def _frame(  # noqa: PLR0917
    table: Mapping[str, Array],
    counts: NDArray[np.int64],
    names: list[str],
    phenotypes: PhenotypeTable,
    label: NDArray[np.int64],
    modules: tuple[str, ...],
    n_m: int,
    level: float,
) -> pl.DataFrame:
    n_d, n_p = counts.shape
    mediator = [
        modules[int(place)] if np.isfinite(place) and q <= level else None
        for place, q in zip(table["mediator"].ravel(), table["q_indirect"].ravel(), strict=True)
    ]
    columns: dict[str, Any] = {
        "driver": np.repeat(names, n_p),
        "kind": np.repeat(["mutation"] * n_m + ["module"] * (n_d - n_m), n_p),
        "phenotype": np.tile(phenotypes.names, n_d),
        "group": [str(number + 1) for number in np.tile(label, n_d)],
        "n": counts.ravel(),
        **{
            name: pl.Series(values.ravel(), nan_to_null=True)
            for name, values in table.items()
            if name != "mediator"
        },
        "mediator": pl.Series(mediator, dtype=pl.String),
    }
    return pl.DataFrame(columns)


def _judged(frame: pl.DataFrame, level: float) -> pl.DataFrame:
    def passes(name: str) -> pl.Expr:
        return pl.col(name).fill_null(1.0) <= level

    direct, mediated = passes("q_direct"), passes("q_indirect")
    path = (
        pl.when(direct & mediated)
        .then(pl.lit("direct and mediated"))
        .when(mediated)
        .then(pl.lit("mediated"))
        .when(direct)
        .then(pl.lit("direct"))
        .otherwise(pl.lit("total"))
    )
    module = pl.col("kind") == "module"
    driven = passes("q") | (~module & mediated)
    signed = pl.when(passes("q") | module).then("effect").otherwise("indirect")
    return frame.with_columns(
        driven.alias("driven"),
        pl.when(~driven)
        .then(pl.lit(""))
        .when(module)
        .then(pl.lit("direct"))
        .otherwise(path)
        .alias("path"),
        pl.when(driven).then(signed.sign()).otherwise(0).cast(pl.Int64).alias("sign"),
    )


def _with_reliability(
    frame: pl.DataFrame, reliability: Mapping[str, float] | None, least: float
) -> pl.DataFrame:
    given = reliability or {}
    values = pl.Series(
        "reliability", [given.get(name) for name in frame["phenotype"]], dtype=pl.Float64
    )
    return frame.with_columns(values, (values >= least).alias("stable")).select(list(_COLUMNS))


def _link_frame(
    links: tuple[Array, Array, Array],
    q: Array,
    mutations: tuple[str, ...],
    modules: tuple[str, ...],
) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "mutation": np.repeat(mutations, len(modules)),
            "module": np.tile(modules, len(mutations)),
            "effect": links[0].ravel(),
            "se": links[1].ravel(),
            "p": from_log10p(links[2]).ravel(),
            "q": q.ravel(),
        }
    )


def _group_frame(
    log10p: Array, q: Array, names: list[str], kinds: list[str], label: NDArray[np.int64]
) -> pl.DataFrame:
    n_g = log10p.shape[1]
    return pl.DataFrame(
        {
            "driver": np.repeat(names, n_g),
            "kind": np.repeat(kinds, n_g),
            "group": np.tile([str(number + 1) for number in range(n_g)], len(names)),
            "n_phenotypes": np.tile(np.bincount(label, minlength=n_g), len(names)),
            "p": from_log10p(log10p).ravel(),
            "q": q.ravel(),
        }
    )
