"""Discoveries over variants, regions and traits, each level at its own false discovery rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import polars as pl

from radgen.associate.genomewide._input import id_column
from radgen.associate.genomewide.result import GwasResult
from radgen.errors import InputError, shown
from radgen.stats.hierarchy import TreeLevel, tree_bh
from radgen.types import FrameLike, Result, to_polars

__all__ = ["HierarchyResult", "hierarchical_hits"]

_VARIANT = ("chrom", "pos", "id", "ref", "alt")


@dataclass(frozen=True, eq=False)
class HierarchyResult(Result):
    """Tests selected on the tree of variants, regions and traits.

    Attributes
    ----------
    frame : polars.DataFrame
        The selected tests, with all columns of the scan and region.
    variants : polars.DataFrame
        chrom, pos, id, ref, alt, p (Simes over the regions), selected, n_regions, n_tests (how
        many regions and tests were selected); variants with a stored test, the smallest p
        first.
    regions : polars.DataFrame
        id, region, p (Simes over its traits), selected; regions of selected variants. Empty
        where no regions were given.
    """

    kind: ClassVar[str] = "gwas_hierarchy"

    variants: pl.DataFrame = field(default_factory=pl.DataFrame)
    regions: pl.DataFrame = field(default_factory=pl.DataFrame)

    def statements(self) -> tuple[str, ...]:
        """Return the findings in plain words."""
        chosen = self.variants.filter("selected")
        words = [
            f"{chosen.height} of {self.params['n_variants']:,} variants were selected at a false "
            f"discovery rate of {self.params['q'][0]:g}, with {self.frame.height:,} tests of "
            f"{self.params['n_traits']:,} traits."
        ]
        for row in chosen.head(5).iter_rows(named=True):
            where = f" in {row['n_regions']} regions" if self.params["n_regions"] else ""
            words.append(f"{row['id']}: {row['n_tests']:,} tests{where}, p = {row['p']:.2g}.")
        return tuple(words)

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        p = self.params
        names = ("variant", "region", "trait") if p["n_regions"] else ("variant", "trait")
        bounds = ", ".join(f"{name} {q:g}" for name, q in zip(names, p["q"], strict=True))
        return (
            "Discoveries were selected hierarchically (TreeBH: Simes p-values upwards, "
            f"Benjamini-Hochberg downwards within selected families), bounds {bounds}; tests "
            "that the scan did not keep counted as p = 1."
        )


def hierarchical_hits(
    scan: GwasResult | FrameLike,
    *,
    regions: Mapping[str, str] | FrameLike | None = None,
    q: float | Sequence[float] = 0.05,
    n_variants: int | None = None,
    n_traits: int | None = None,
) -> HierarchyResult:
    """Return which variants, then regions, then traits hold at their false discovery rates.

    Parameters
    ----------
    scan : GwasResult or data frame
        Tests with the columns phenotype, chrom, pos, id, ref, alt, p; all, or those below a
        threshold (the others count as p = 1, which errs on the safe side).
    regions : mapping of str to str, data frame or None
        Region of each trait (voxel, vertex, feature), all traits of the scan; a frame has the
        columns phenotype and region. None = no level of regions.
    q : float or sequence of float, default 0.05
        Bounds for variants, regions and traits; one number serves all.
    n_variants, n_traits : int or None
        Size of the scan; None = as the result says, or as the frame and the regions show.

    Returns
    -------
    HierarchyResult

    Raises
    ------
    InputError
        If columns are missing, a trait has no region, or the sizes are smaller than the frame.

    Notes
    -----
    See `radgen.stats.hierarchy.tree_bh`.

    References
    ----------
    Bogomolov et al. (2021), doi:10.1093/biomet/asaa086.
    """
    frame = scan.frame if isinstance(scan, GwasResult) else to_polars(scan, what="scan")
    missing = [name for name in ("phenotype", *_VARIANT, "p") if name not in frame.columns]
    if missing:
        raise InputError(f"The scan lacks the columns {shown(missing)}.")
    frame = frame.filter(pl.col("p").is_finite())
    of = None if regions is None else _regions(regions)
    if isinstance(scan, GwasResult):
        n_variants = n_variants or int(scan.params["n_variants"])
        n_traits = n_traits or scan.summary.height
    n_variants = n_variants or frame.select(_VARIANT).unique().height
    n_traits = n_traits or (frame["phenotype"].n_unique() if of is None else of.height)
    bounds = [float(q)] * (2 if of is None else 3) if isinstance(q, int | float) else list(q)
    params: dict[str, Any] = {
        "q": tuple(bounds), "n_variants": n_variants, "n_traits": n_traits,
        "n_regions": 0 if of is None else of["region"].n_unique(),
    }  # fmt: skip
    n_used = int(scan.n_used) if isinstance(scan, GwasResult) else 0
    if not frame.height:
        return HierarchyResult(frame, params, n_used)
    variant = frame.select(pl.struct(_VARIANT).rank("dense"))[_VARIANT[0]].to_numpy()
    if of is None:
        levels = tree_bh(frame["p"], [variant], q=bounds, sizes=[n_variants, n_traits])
        table = _variants(frame, levels, None)
        return HierarchyResult(
            frame.filter(pl.Series(levels[-1].selected)), params, n_used, variants=table
        )
    frame = frame.join(of, on="phenotype", how="left", maintain_order="left")
    lost = frame.filter(pl.col("region").is_null())["phenotype"].unique().to_list()
    if lost:
        raise InputError(f"{len(lost)} traits of the scan have no region: {shown(lost)}.")
    count = of.group_by("region").len("n")
    size = frame.join(count, on="region", how="left", maintain_order="left")["n"].to_numpy()
    sizes = [n_variants, params["n_regions"], size]
    levels = tree_bh(frame["p"], [variant, frame["region"].to_numpy()], q=bounds, sizes=sizes)
    return HierarchyResult(
        frame.filter(pl.Series(levels[-1].selected)),
        params,
        n_used,
        variants=_variants(frame, levels, levels[1]),
        regions=_region_table(frame, levels),
    )


def _regions(regions: Mapping[str, str] | FrameLike) -> pl.DataFrame:
    if isinstance(regions, Mapping) and not {"phenotype", "region"} <= set(regions):
        regions = {"phenotype": list(regions), "region": list(regions.values())}
    frame = to_polars(regions, what="table of regions")
    if "region" not in frame.columns:
        raise InputError("The table of regions lacks the column region.")
    name = "phenotype" if "phenotype" in frame.columns else id_column(frame, what="regions")
    found = frame.select(
        pl.col(name).cast(pl.String).alias("phenotype"), pl.col("region").cast(pl.String)
    )
    if found["phenotype"].is_duplicated().any():
        raise InputError("A trait stands twice in the table of regions.")
    return found


def _variants(
    frame: pl.DataFrame, levels: tuple[TreeLevel, ...], regions: TreeLevel | None
) -> pl.DataFrame:
    top, leaves = levels[0], levels[-1]
    above = leaves.parent if regions is None else regions.parent[leaves.parent]
    n_tests = np.bincount(above[leaves.selected], minlength=len(top.p))
    table = frame.select(_VARIANT)[top.first.tolist()].with_columns(
        pl.Series("p", top.p),
        pl.Series("selected", top.selected),
        pl.Series("n_tests", n_tests.astype(np.int64)),
    )
    if regions is not None:
        n = np.bincount(regions.parent[regions.selected], minlength=len(top.p))
        table = table.with_columns(pl.Series("n_regions", n.astype(np.int64)))
    else:
        table = table.with_columns(pl.lit(0, pl.Int64).alias("n_regions"))
    return table.sort("p", maintain_order=True)


def _region_table(frame: pl.DataFrame, levels: tuple[TreeLevel, ...]) -> pl.DataFrame:
    middle = levels[1]
    keep = np.flatnonzero(levels[0].selected[middle.parent])
    table = frame.select("id", "region")[middle.first[keep].tolist()]
    return table.with_columns(
        pl.Series("p", middle.p[keep]), pl.Series("selected", middle.selected[keep])
    ).sort("p", maintain_order=True)
