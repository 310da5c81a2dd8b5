"""The strongest pairs of an association scan, with the segments that a circle shows them in."""

from __future__ import annotations

import re

import polars as pl

__all__ = ["top_links"]

_LEVEL = 0.05
_LINKS = 40
_FEW = 3
_IN_DOUBT = 20
_LARGEST = 300.0
_PLACE = re.compile(
    r"^(?:chr(?P<named>\d{1,2}|X|Y|MT?)(?:[:_](?P<at>\d+).*)?"
    r"|(?P<site>\d{1,2}|X|Y):(?P<pos>\d+)(?:[:_-].*)?"
    r"|(?P<arm>\d{1,2}|X|Y)(?P<pq>[pq])(?:\d+(?:\.\d+)?)?)$"
)
"""chr7, chr7:55019017, 7:55019017:A:G, 7p, 7p11.2; never a bare number (it may be a gene id)."""


def top_links(
    frame: pl.DataFrame, genes: pl.DataFrame | None = None, *, adjusted: str = "q_bh"
) -> pl.DataFrame:
    """Return the pairs that a picture of links shows, smallest p first.

    Parameters
    ----------
    frame : polars.DataFrame
        Pairs as in `AssociationResult`.
    genes : polars.DataFrame or None
        chrom, start, name (as `radgen.io.read_genes` returns): where genes lie.
    adjusted : str, default "q_bh"
        Column of adjusted values.

    Returns
    -------
    polars.DataFrame
        phenotype, omics, layer, feature (omics, with the layer where two layers share the name),
        family, segment (chromosome; the layer where the place is unknown), start, effect, log10p,
        the adjusted column, passed and strength (-log10 p, at most 300, with the sign of the
        effect). The pairs at an adjusted level of 0.05, at most 40; where fewer than 3 pass, the
        20 smallest p. Pairs whose test has no signed effect are left out.
    """
    tested = frame.filter(
        pl.col("log10p").is_not_null() & ~pl.col("log10p").is_nan() & pl.col("effect").is_finite()
    ).sort("log10p", "phenotype", "omics")
    passed = pl.col(adjusted).fill_nan(None).fill_null(1.0) <= _LEVEL
    hits = tested.filter(passed).head(_LINKS)
    rows = hits if hits.height >= _FEW else tested.head(_IN_DOUBT)
    shared = (
        rows.select("omics", "layer").unique().group_by("omics").len().filter(pl.col("len") > 1)
    )
    twice = set(shared["omics"].to_list())
    known = _known(genes)
    segments, starts, features, families = [], [], [], []
    wanted = rows.select(
        "phenotype", "omics", "layer", _or_empty(rows, "stratum"), _or_empty(rows, "family")
    )
    for phenotype, omics, layer, stratum, family in wanted.iter_rows():
        chrom, start = _place(omics, known)
        segments.append(chrom or layer)
        starts.append(start)
        features.append(f"{omics} ({layer})" if omics in twice else omics)
        bare = (family or "").removesuffix(f" x {stratum}").removesuffix(f" x {layer}")
        families.append("" if bare == phenotype else bare)
    signed = pl.min_horizontal(-pl.col("log10p"), pl.lit(_LARGEST)) * pl.col("effect").sign()
    return rows.select(
        "phenotype",
        "omics",
        "layer",
        pl.Series("feature", features, pl.String),
        pl.Series("family", families, pl.String),
        pl.Series("segment", segments, pl.String),
        pl.Series("start", starts, pl.Float64),
        "effect",
        "log10p",
        adjusted,
        passed.alias("passed"),
        signed.alias("strength"),
    )


def _or_empty(rows: pl.DataFrame, name: str) -> pl.Expr:
    column = pl.col(name) if name in rows.columns else pl.lit("")
    return column.cast(pl.String).alias(name)


def _known(genes: pl.DataFrame | None) -> dict[str, tuple[str, float]]:
    if genes is None or not genes.height:
        return {}
    first = genes.unique("name", keep="first", maintain_order=True)
    rows = first.select("name", "chrom", "start").iter_rows()
    return {str(name).upper(): (str(chrom), float(start)) for name, chrom, start in rows}


def _place(name: str, known: dict[str, tuple[str, float]]) -> tuple[str, float | None]:
    """Return chromosome and position of a gene or of a feature that names its own place."""
    for spelling in (name, name.partition("|")[0], name.partition("=")[0]):
        if spelling.upper() in known:
            return known[spelling.upper()]
    found = _PLACE.match(name)
    if found is None:
        return "", None
    chrom = found["named"] or found["site"] or found["arm"]
    at = found["at"] or found["pos"]
    start = float(at) if at else {"p": 0.0, "q": 1e12}.get(found["pq"] or "")
    return ("MT" if chrom == "M" else chrom), start
