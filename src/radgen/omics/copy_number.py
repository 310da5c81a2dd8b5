"""From copy-number segments to genes, calls and the altered share of the genome."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.errors import InputError, shown
from radgen.types import OmicsTable

__all__ = ["call_copy_number", "fraction_altered", "segment_genes"]

Array = NDArray[np.float64]

_NEEDED = ("sample", "chrom", "start", "stop", "value")


def segment_genes(
    segments: pl.DataFrame, genes: pl.DataFrame, *, min_cover: float = 0.5
) -> OmicsTable:
    """Return the copy number of genes: the mean of their segments, weighted by overlap.

    Parameters
    ----------
    segments : polars.DataFrame
        ``sample, chrom, start, stop, value``, as `radgen.io.read_segments` gives them.
    genes : polars.DataFrame
        ``gene, chrom, start, stop``, of the same genome build; both ends count.
    min_cover : float, default 0.5
        Smallest share of a gene that segments must cover.

    Returns
    -------
    OmicsTable
        Layer "copy_number", scale "log2 ratio"; NaN = not covered.

    Raises
    ------
    InputError
        If a column is missing, or segments and genes share no chromosome.
    """
    _need(segments, _NEEDED, "segments")
    _need(genes, ("gene", "chrom", "start", "stop"), "genes")
    names = genes["gene"].cast(pl.String).to_list()
    places = [_bare(item) for item in genes["chrom"].cast(pl.String).to_list()]
    low, high = (genes[n].cast(pl.Float64).to_numpy() for n in ("start", "stop"))
    samples = segments["sample"].cast(pl.String).unique(maintain_order=True).to_list()
    chromosomes = set(map(_bare, segments["chrom"].cast(pl.String).unique().to_list()))
    if not chromosomes & set(places):
        raise InputError(
            f"Segments and genes share no chromosome: {shown(sorted(chromosomes))} and "
            f"{shown(sorted(set(places)))}."
        )
    values = np.full((len(samples), len(names)), np.nan)
    by_chrom = {name: np.flatnonzero(np.array(places) == name) for name in set(places)}
    row = {sample: place for place, sample in enumerate(samples)}
    for (sample, chrom), part in segments.group_by("sample", "chrom", maintain_order=True):
        columns = by_chrom.get(_bare(str(chrom)))
        if columns is None:
            continue
        values[row[str(sample)], columns] = _means(part, low[columns], high[columns], min_cover)
    return OmicsTable(tuple(samples), tuple(names), values, "copy_number", "log2 ratio")


def _means(part: pl.DataFrame, low: Array, high: Array, min_cover: float) -> Array:
    start, stop, value = (part[n].cast(pl.Float64).to_numpy() for n in ("start", "stop", "value"))
    overlap = np.minimum(high[:, None], stop) - np.maximum(low[:, None], start) + 1
    overlap = np.where(np.isfinite(value), np.maximum(overlap, 0.0), 0.0)
    covered = overlap.sum(axis=1)
    total = overlap @ np.where(np.isfinite(value), value, 0.0)
    enough = covered >= min_cover * (high - low + 1)
    return np.where(enough & (covered > 0), total / np.maximum(covered, 1.0), np.nan)


def call_copy_number(
    table: OmicsTable,
    *,
    gain: float = 0.2,
    loss: float = -0.2,
    high: float = 0.9,
    deep: float = -1.1,
) -> OmicsTable:
    """Return log ratios as calls from deep loss to high gain.

    Parameters
    ----------
    table : OmicsTable
        Log2 ratios.
    gain, loss : float
        Above (below) this a gain (loss): 1 (-1).
    high, deep : float
        Above (below) this a high gain (deep loss): 2 (-2).

    Returns
    -------
    OmicsTable
        -2, -1, 0, 1, 2 as GISTIC codes them; scale "ordinal"; NaN stays NaN.

    Raises
    ------
    InputError
        If the thresholds are not in order.

    Notes
    -----
    The thresholds hold for pure tumours with about two copies; impure ones need smaller ones.
    """
    if not deep < loss < 0 < gain < high:
        raise InputError("Thresholds of copy number are deep < loss < 0 < gain < high.")
    x = table.values
    with np.errstate(invalid="ignore"):
        calls = 1.0 * (x > gain) + (x > high) - (x < loss) - (x < deep)
    values = np.where(np.isnan(x), np.nan, calls)
    return OmicsTable(table.samples, table.features, values, table.layer, "ordinal")


def fraction_altered(segments: pl.DataFrame, *, threshold: float = 0.2) -> OmicsTable:
    """Return the share of the measured genome with a gain or a loss.

    Parameters
    ----------
    segments : polars.DataFrame
        ``sample, chrom, start, stop, value``; sex chromosomes are left aside.
    threshold : float, default 0.2
        Smallest size of a log ratio that counts.

    Returns
    -------
    OmicsTable
        One feature "fraction altered" in [0, 1].

    Raises
    ------
    InputError
        If a column is missing.
    """
    _need(segments, _NEEDED, "segments")
    chrom = pl.col("chrom").cast(pl.String).str.to_uppercase().str.strip_prefix("CHR")
    own = segments.filter(~chrom.is_in(["X", "Y", "23", "24", "M", "MT"]))
    size = pl.col("stop").cast(pl.Float64) - pl.col("start").cast(pl.Float64) + 1
    altered = (pl.col("value").abs() > threshold).cast(pl.Float64)
    found = (
        own.filter(pl.col("value").is_not_nan())
        .group_by("sample", maintain_order=True)
        .agg(((size * altered).sum() / size.sum()).alias("share"))
    )
    samples = tuple(found["sample"].cast(pl.String).to_list())
    values = found["share"].to_numpy()[:, None]
    return OmicsTable(samples, ("fraction altered",), values, "copy_number", "share")


def _need(frame: pl.DataFrame, names: tuple[str, ...], what: str) -> None:
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise InputError(f"The table of {what} lacks {shown(missing)}.")


def _bare(chrom: str) -> str:
    text = chrom.strip().upper().removeprefix("CHR")
    return {"23": "X", "24": "Y"}.get(text, text)
