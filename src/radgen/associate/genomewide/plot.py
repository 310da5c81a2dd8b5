"""Pictures of scans: from the tables of a result to the plots of `radgen.plot`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from radgen._core.naming import did_you_mean
from radgen.errors import InputError
from radgen.plot import genome as tracks
from radgen.types import GenotypeMatrix

__all__ = ["KINDS", "draw", "draw_map", "lead_linkage", "lead_rows", "manhattan", "qq", "takes"]

_APART_BP = 500_000
_NAMED = 12
_LEADS = 200
_LEGEND = 12
_Z95 = 1.959963984540054


def draw(
    kind: str,
    frame: pl.DataFrame,
    *,
    ax: Any = None,
    options: Mapping[str, Any] | None = None,
    qq_counts: pl.DataFrame | None = None,
    summary: pl.DataFrame | None = None,
) -> Any:
    """Draw one of `KINDS` from tests and return the matplotlib Axes.

    Parameters
    ----------
    kind : str
        "manhattan", "stacked", "miami", "qq", "regional", "forest", "heatmap" or "phewas".
    frame : polars.DataFrame
        Tests: chrom, pos, id, log10p; phenotype, beta, se, t where the kind needs them.
    ax : matplotlib Axes or None
        Where to draw; None = a new figure.
    options : mapping or None
        Of the kind: traits, threshold, lead, window_bp, genotypes, genes, groups, n.
    qq_counts, summary : polars.DataFrame or None
        Counts of all tests by log10 p, and inflation, where the frame holds the strongest only.

    Raises
    ------
    InputError
        If the kind or an option is unknown, or the frame lacks what the kind needs.
    """
    if kind not in KINDS:
        raise InputError(f"No plot {kind!r}. {did_you_mean(kind, KINDS)}")
    known, function = KINDS[kind]
    given = dict(options or {})
    for name in given:
        if name not in known:
            raise InputError(f"The {kind} plot has no option {name!r}. {did_you_mean(name, known)}")
    if kind == "qq":
        return function(frame, ax=ax, qq_counts=qq_counts, summary=summary, **given)
    return function(frame, ax=ax, **given)


def manhattan(
    frame: pl.DataFrame,
    *,
    ax: Any = None,
    traits: Sequence[str] | None = None,
    threshold: float | None = tracks.GENOME_WIDE,
    genes: str | Path | pl.DataFrame | None = None,
) -> Any:
    """Draw all traits over each other along the genome, the leads named; return the Axes.

    Parameters
    ----------
    frame : polars.DataFrame
        chrom, pos, id, log10p, and phenotype where there are several.
    ax : matplotlib Axes or None
        Where to draw.
    traits : sequence of str or None
        Which traits; None = all.
    threshold : float or None, default 5e-8
        p of the line, and of the loci that are named.
    genes : path, data frame or None
        Genes, to name loci by the nearest one instead of by variant.
    """
    from radgen.plot import style
    from radgen.plot.loci import name_points

    some = _of(frame, traits)
    several = "phenotype" in some.columns and some["phenotype"].n_unique() > 1
    ax = tracks.manhattan(
        some["chrom"], some["pos"].to_numpy(), some["log10p"].to_numpy(),
        trait=some["phenotype"] if several else None, threshold=threshold, ax=ax,
    )  # fmt: skip
    leads = lead_rows(some, threshold or tracks.GENOME_WIDE)[:_NAMED]
    if leads:
        chosen = some[leads]
        x = tracks.genome_positions(some["chrom"], some["pos"].to_numpy())[leads]
        low, high = ax.get_ylim()
        ax.set_ylim(low, high * 1.08)
        if not several:
            ax.scatter(x, -chosen["log10p"].to_numpy(), s=26, marker="D", color=style.ACCENT,
                       edgecolors=style.PAPER, linewidths=0.6, zorder=4)  # fmt: skip
        name_points(ax, x, -chosen["log10p"].to_numpy(), _names(chosen, genes))
    return ax


def qq(
    frame: pl.DataFrame,
    *,
    ax: Any = None,
    traits: Sequence[str] | None = None,
    qq_counts: pl.DataFrame | None = None,
    summary: pl.DataFrame | None = None,
) -> Any:
    """Draw observed against expected -log10 p of each trait, with a 95 % band; return the Axes.

    Parameters
    ----------
    frame : polars.DataFrame
        Tests; used where no counts are given.
    ax : matplotlib Axes or None
        Where to draw.
    traits : sequence of str or None
        Which traits; None = all, at most 30.
    qq_counts : polars.DataFrame or None
        phenotype, log10p, count of all tests.
    summary : polars.DataFrame or None
        phenotype, lambda_gc.
    """
    from radgen.plot import style

    source = frame if qq_counts is None or not qq_counts.height else qq_counts
    counted = source is qq_counts
    if "phenotype" not in source.columns:
        source = source.with_columns(pl.lit("").alias("phenotype"))
    names = source["phenotype"].unique(maintain_order=True).to_list()
    names = [name for name in names if traits is None or name in traits][:30]
    factor = {} if summary is None else dict(summary.select("phenotype", "lambda_gc").rows())
    labels, marks, factors = [], [], []
    for number, name in enumerate(names):
        part = source.filter(pl.col("phenotype") == name)
        counts = part["count"].to_numpy() if counted else None
        colour = style.colour(number)
        value = factor.get(name)
        if value is None:
            value = tracks.inflation(part["log10p"].to_numpy(), counts)
        ax = tracks.qq(
            part["log10p"].to_numpy(), counts=counts, lambda_gc=value, ax=ax, colour=colour,
            name=name if len(names) == 1 else "", note=len(names) == 1, back=number == 0,
        )  # fmt: skip
        factors.append(value)
        labels.append(f"{name} (λ = {value:.3f})")
        marks.append(ax.collections[-1])
    if 1 < len(names) <= _LEGEND:
        style.legend(ax, marks, labels, loc="upper left", ncols=1 + (len(names) > 6))
    elif len(names) > _LEGEND:
        low, high = min(factors), max(factors)
        ax.text(0.04, 0.95, f"{len(names)} traits\nλ = {low:.3f} to {high:.3f}", va="top",
                transform=ax.transAxes, fontsize=8.5, color=style.INK)  # fmt: skip
    return ax


def _stacked(
    frame: pl.DataFrame,
    *,
    ax: Any = None,
    traits: Sequence[str] | None = None,
    threshold: float | None = tracks.GENOME_WIDE,
) -> Any:
    """Draw each trait on its own track; return the first Axes."""
    from radgen.plot.loci import manhattan_stack

    if ax is not None:
        raise InputError("Stacked scans make a figure of their own: leave ax out.")
    names = list(traits or frame["phenotype"].unique(maintain_order=True).to_list()[:12])
    wide, heights = _wide(_of(frame, names), names)
    return manhattan_stack(
        wide["chrom"], wide["pos"].to_numpy(), heights, names=names, threshold=threshold
    )[0]


def _miami(
    frame: pl.DataFrame,
    *,
    ax: Any = None,
    traits: Sequence[str] | None = None,
    threshold: float | None = tracks.GENOME_WIDE,
) -> Any:
    """Draw two traits mirrored; return the Axes."""
    names = list(traits or frame["phenotype"].unique(maintain_order=True).to_list()[:2])
    if len(names) != 2:
        raise InputError(f"A Miami plot shows two traits; found {len(names)}: name two.")
    wide, heights = _wide(_of(frame, names), names)
    return tracks.miami(
        wide["chrom"], wide["pos"].to_numpy(), heights[0], heights[1], names=(names[0], names[1]),
        threshold=threshold, ax=ax,
    )  # fmt: skip


def _regional(
    frame: pl.DataFrame,
    *,
    ax: Any = None,
    lead: str | None = None,
    trait: str | None = None,
    window_bp: int = _APART_BP,
    genotypes: GenotypeMatrix | None = None,
    linkage: pl.DataFrame | None = None,
    genes: str | Path | pl.DataFrame | None = None,
    threshold: float | None = tracks.GENOME_WIDE,
) -> Any:
    """Draw the evidence around a variant, coloured by LD where it or genotypes are given."""
    if trait is not None:
        frame = _of(frame, [trait])
    known = frame.filter(pl.col("log10p").is_finite())
    if lead is not None:
        known = known.filter(pl.col("id") == lead)
    if not known.height:
        raise InputError(f"No test of the variant {lead!r}." if lead else "No variant was tested.")
    first = known.sort("log10p").row(0, named=True)
    if trait is None and "phenotype" in frame.columns:
        frame = _of(frame, [first["phenotype"]])
    near = frame.filter(
        (pl.col("chrom") == first["chrom"]) & ((pl.col("pos") - first["pos"]).abs() <= window_bp)
    ).sort("pos")
    at = int(near.with_row_index().filter(pl.col("id") == first["id"])["index"][0])
    listed: list[tuple[str, float, float]] = []
    if genes is not None:
        table = _genes(genes).filter(
            (pl.col("chrom") == str(first["chrom"]).removeprefix("chr"))
            & (pl.col("end") >= first["pos"] - window_bp)
            & (pl.col("start") <= first["pos"] + window_bp)
        )
        listed = [tuple(row) for row in table.select("name", "start", "end").rows()]  # type: ignore[misc]
    r2 = None
    if genotypes is not None:
        r2 = _linkage(genotypes, near["id"].to_list(), first["id"])
    elif linkage is not None and (linkage["lead"] == first["id"]).any():
        own = linkage.filter(pl.col("lead") == first["id"]).select("id", "r2")
        r2 = near.join(own, on="id", how="left", maintain_order="left")["r2"].to_numpy()
    return tracks.regional(
        near["pos"].to_numpy(), near["log10p"].to_numpy(), r2=r2, lead=at,
        lead_name=first["id"], genes=listed, chrom=str(first["chrom"]), threshold=threshold, ax=ax,
    )  # fmt: skip


def _forest(
    frame: pl.DataFrame,
    *,
    ax: Any = None,
    lead: str | None = None,
    trait: str | None = None,
    traits: Sequence[str] | None = None,
    n: int = 20,
) -> Any:
    """Draw the effects of one variant on all traits, or of the strongest tests; return the Axes."""
    from radgen.plot.effects import forest

    missing = [name for name in ("beta", "se") if name not in frame.columns]
    if missing:
        raise InputError("A forest needs the columns beta and se; these tests have no effects.")
    some = _of(frame, traits if trait is None else [trait]).filter(pl.col("se").is_finite())
    if lead is not None:
        some = some.filter(pl.col("id") == lead)
        names = some["phenotype"] if "phenotype" in some.columns else some["id"]
    else:
        some = some.sort("log10p").head(n)
        several = "phenotype" in some.columns and some["phenotype"].n_unique() > 1
        names = (
            some.select(pl.format("{} · {}", "id", "phenotype"))["id"] if several else some["id"]
        )
    if not some.height:
        raise InputError(f"No test of the variant {lead!r}." if lead else "No variant was tested.")
    beta, half = some["beta"].to_numpy(), _Z95 * some["se"].to_numpy()
    label = "Effect per ALT allele (95 % interval)"
    return forest(names.to_list(), beta, beta - half, beta + half, xlabel=label, ax=ax)


def _heatmap(
    frame: pl.DataFrame,
    *,
    ax: Any = None,
    traits: Sequence[str] | None = None,
    threshold: float | None = tracks.GENOME_WIDE,
    n: int = 40,
    genes: str | Path | pl.DataFrame | None = None,
) -> Any:
    """Draw traits by loci, coloured by t, marked where p holds; return the Axes."""
    from radgen.plot import style
    from radgen.plot.matrix import heatmap

    if "t" not in frame.columns or "phenotype" not in frame.columns:
        raise InputError("A heat map of loci needs t of several traits.")
    some = _of(frame, traits)
    cut = threshold or tracks.GENOME_WIDE
    leads = lead_rows(some, cut) or lead_rows(some, 1.0)
    chosen = some[leads[:n]].unique("id", maintain_order=True)
    names = some["phenotype"].unique(maintain_order=True).to_list()
    cells = some.filter(pl.col("id").is_in(chosen["id"].implode())).pivot(
        "id", index="phenotype", values=["t", "log10p"], aggregate_function="first"
    )
    order = pl.DataFrame({"phenotype": names}).join(
        cells, on="phenotype", how="left", maintain_order="left"
    )
    columns = chosen["id"].to_list()
    t = order.select(f"t_{name}" for name in columns).to_numpy()
    reached = order.select(f"log10p_{name}" for name in columns).to_numpy() <= np.log10(cut)
    if ax is None:
        ax = style.axes(min(2.6 + 0.42 * len(columns), 12.0), min(1.5 + 0.28 * len(names), 12.0))
    return heatmap(
        t, row_names=names, column_names=_names(chosen, genes), marks=reached,
        label="t per ALT allele", ax=ax,
    )  # fmt: skip


def _phewas(
    frame: pl.DataFrame,
    *,
    ax: Any = None,
    lead: str | None = None,
    groups: Mapping[str, str] | None = None,
    threshold: float | None = None,
) -> Any:
    """Draw one variant over all traits; return the Axes."""
    from radgen.plot.loci import phewas

    if "phenotype" not in frame.columns:
        raise InputError("A PheWAS plot needs tests of several traits.")
    known = frame.filter(pl.col("log10p").is_finite())
    if not known.height:
        raise InputError("No variant was tested.")
    name = lead or known.sort("log10p")["id"][0]
    some = known.filter(pl.col("id") == name)
    if not some.height:
        raise InputError(f"No test of the variant {name!r}.")
    names = some["phenotype"].to_list()
    of = None if groups is None else [str(groups.get(item, "other")) for item in names]
    effects = some["beta"].to_numpy() if "beta" in some.columns else None
    return phewas(
        names, some["log10p"].to_numpy(), groups=of, effects=effects, threshold=threshold,
        title=name, ax=ax,
    )  # fmt: skip


def draw_map(
    frame: pl.DataFrame,
    space: Mapping[str, Any],
    column: str,
    *,
    ax: Any = None,
    title: str = "",
    label: str = "",
    signed: bool = True,
    options: Mapping[str, Any] | None = None,
) -> Any:
    """Draw a column of points as slices over anatomy, or on a mesh; return the Axes.

    Parameters
    ----------
    frame : polars.DataFrame
        point and the column, a row a point.
    space : mapping
        From `radgen.associate.maps.voxelwise.space_facts`.
    column : str
        What is drawn.
    ax : matplotlib Axes or None
        Where to draw.
    title, label : str
        Title, and what the colours show.
    signed : bool, default True
        Two-sided colours.
    options : mapping or None
        background (ImageVolume), plane, n_slices, threshold, limit; surface (path of the mesh),
        views.

    Raises
    ------
    InputError
        If the points lie on a surface and its mesh is not given.
    """
    from radgen.plot.brain import stat_map, surface_map
    from radgen.types import Geometry, VoxelSpace

    given = dict(options or {})
    index = frame["point"].to_numpy()
    values = np.nan_to_num(frame[column].to_numpy().astype(np.float64))
    if space["kind"] == "grid":
        affine = np.array(space["affine_lps"]).reshape(4, 4)
        place = VoxelSpace(Geometry(affine, tuple(space["shape"])), index)
        given.pop("surface", None)
        return stat_map(
            place.volume(values), title=title, label=label, signed=signed, ax=ax, **given
        )
    from radgen.io.stack import read_surface

    if given.get("surface") is None:
        raise InputError("These points lie on a surface: give surface=, the file of its mesh.")
    vertices, faces = read_surface(given.pop("surface"))
    whole = np.zeros(int(space["n_vertices"]))
    whole[index] = values
    return surface_map(
        vertices, faces, whole, title=title, label=label, signed=signed, ax=ax, **given
    )


def lead_linkage(
    frame: pl.DataFrame, genotypes: GenotypeMatrix, *, threshold: float, at_most: int = 6
) -> pl.DataFrame:
    """Return r2 of the variants around each of the strongest leads with it.

    Parameters
    ----------
    frame : polars.DataFrame
        chrom, pos, id, log10p.
    genotypes : GenotypeMatrix
        The people of the scan.
    threshold : float
        Largest p of a lead; where none reaches it the strongest variant stands for all.
    at_most : int, default 6
        How many leads.

    Returns
    -------
    polars.DataFrame
        lead, id, r2; NaN where a variant does not vary.
    """
    known = frame.filter(pl.col("log10p").is_finite())
    schema = {"lead": pl.String, "id": pl.String, "r2": pl.Float64}
    rows = lead_rows(known, threshold)[:at_most] or lead_rows(known, 1.0)[:1]
    parts = [pl.DataFrame(schema=schema)]
    for lead in known[rows].iter_rows(named=True):
        near = known.filter(
            (pl.col("chrom") == lead["chrom"]) & ((pl.col("pos") - lead["pos"]).abs() <= _APART_BP)
        )["id"].unique(maintain_order=True)
        r2 = _linkage(genotypes, near.to_list(), lead["id"])
        table = {"lead": [lead["id"]] * len(near), "id": near, "r2": r2}
        parts.append(pl.DataFrame(table, schema=schema))
    return pl.concat(parts)


def lead_rows(
    frame: pl.DataFrame,
    threshold: float,
    apart_bp: int = _APART_BP,
    at_most: int | None = _LEADS,
) -> list[int]:
    """Return the rows of the strongest variants of loci, the strongest first.

    Parameters
    ----------
    frame : polars.DataFrame
        chrom, pos, log10p.
    threshold : float
        Largest p of a lead.
    apart_bp : int, default 500,000
        Least distance of two leads.
    at_most : int or None, default 200
        How many leads, of the 100,000 strongest tests; None = all.
    """
    strong = (
        frame.select("chrom", "pos", "log10p")
        .with_row_index()
        .filter(pl.col("log10p") <= np.log10(threshold))
        .sort("log10p", maintain_order=True)
        .head(frame.height if at_most is None else 100_000)
    )
    leads: list[int] = []
    taken: dict[str, list[int]] = {}
    for row, chrom, pos, _ in strong.rows():
        near = taken.setdefault(str(chrom), [])
        if all(abs(pos - other) >= apart_bp for other in near):
            near.append(pos)
            leads.append(int(row))
        if len(leads) == at_most:
            break
    return leads


def _of(frame: pl.DataFrame, traits: Sequence[str] | None) -> pl.DataFrame:
    if traits is None:
        return frame
    if "phenotype" not in frame.columns:
        raise InputError("These tests are of one trait: leave traits out.")
    known = frame["phenotype"].unique().to_list()
    for name in traits:
        if name not in known:
            raise InputError(f"No trait {name!r}. {did_you_mean(name, known)}")
    return frame.filter(pl.col("phenotype").is_in(list(traits)))


def _wide(frame: pl.DataFrame, names: Sequence[str]) -> tuple[pl.DataFrame, Any]:
    """Return the variants of some traits, and log10 p (n_traits, n_variants)."""
    keys = ["chrom", "pos", "id", "ref", "alt"]
    wide = frame.pivot("phenotype", index=keys, values="log10p", aggregate_function="first")
    heights = np.array([wide[name].to_numpy() for name in names], dtype=float)
    return wide, heights


def _genes(genes: str | Path | pl.DataFrame) -> pl.DataFrame:
    from radgen.io import read_genes

    return genes if isinstance(genes, pl.DataFrame) else read_genes(genes)


def _names(chosen: pl.DataFrame, genes: str | Path | pl.DataFrame | None) -> list[str]:
    """Return the nearest gene of each row, or its id."""
    ids = [str(name) for name in chosen["id"]]
    if genes is None:
        return ids
    table = _genes(genes)
    out = []
    for name, chrom, pos in zip(ids, chosen["chrom"], chosen["pos"], strict=True):
        near = table.filter(pl.col("chrom") == str(chrom).removeprefix("chr")).with_columns(
            pl.max_horizontal(pl.col("start") - pos, pos - pl.col("end"), pl.lit(0)).alias("gap")
        )
        near = near.filter(pl.col("gap") <= _APART_BP).sort("gap")
        out.append(near["name"][0] if near.height else name)
    return out


def _linkage(genotypes: GenotypeMatrix, ids: Sequence[str], lead: str) -> Any:
    """Return r2 of each variant with the lead; NaN where the genotypes lack it."""
    from radgen.genome._blocks import read_centred

    place: dict[str, int] = {}
    for row, name in enumerate(genotypes.variants["id"].to_list()):
        place.setdefault(name, row)
    if lead not in place:
        raise InputError(f"The genotypes lack the lead variant {lead!r}.")
    there = [at for at, name in enumerate(ids) if name in place]
    view = genotypes.take_variants([place[lead]] + [place[ids[at]] for at in there])
    block = read_centred(view, 0, view.n_variants)
    with np.errstate(divide="ignore", invalid="ignore"):
        r = block.g[1:] @ block.g[0] / np.sqrt(block.squares[1:] * block.squares[0])
    out = np.full(len(ids), np.nan)
    out[there] = np.square(r)
    return out


def takes(kind: str, option: str) -> bool:
    """Return whether a kind of plot has an option."""
    return kind in KINDS and option in KINDS[kind][0]


_Drawn = tuple[tuple[str, ...], Callable[..., Any]]
KINDS: dict[str, _Drawn] = {
    "manhattan": (("traits", "threshold", "genes"), manhattan),
    "stacked": (("traits", "threshold"), _stacked),
    "miami": (("traits", "threshold"), _miami),
    "qq": (("traits",), qq),
    "regional": (
        ("lead", "trait", "window_bp", "genotypes", "linkage", "genes", "threshold"), _regional
    ),
    "forest": (("lead", "trait", "traits", "n"), _forest),
    "heatmap": (("traits", "threshold", "n", "genes"), _heatmap),
    "phewas": (("lead", "groups", "threshold"), _phewas),
}  # fmt: skip
"""Kinds of plots: the options of each, and what draws it."""
