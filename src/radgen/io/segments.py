"""Read copy-number segments (.seg)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from radgen.errors import FormatError, shown
from radgen.io.ids import IdRule
from radgen.io.tables import numeric_columns, read_table, text_of

__all__ = ["read_places", "read_segments"]

_SEGMENT_NAMES = {
    "sample": ("id", "sample", "sampleid", "gdcaliquot", "name"),
    "chrom": ("chrom", "chromosome", "chr"),
    "start": ("locstart", "start", "startposition", "startbp"),
    "stop": ("locend", "end", "stop", "endposition", "endbp"),
    "value": ("segmean", "segmentmean", "log2", "log2ratio", "mean", "value"),
}
_GENE_NAMES = {
    "gene": ("gene", "symbol", "genesymbol", "genename", "hugosymbol", "name"),
    "chrom": ("chrom", "chromosome", "chr", "seqname"),
    "start": ("start", "chromstart", "txstart", "startposition", "startbp"),
    "stop": ("end", "stop", "chromend", "txend", "endposition", "endbp"),
}


def read_segments(path: str | Path, *, id_rule: IdRule | None = None) -> pl.DataFrame:
    """Return copy-number segments.

    Parameters
    ----------
    path : str or Path
        ``.seg`` or a table of its columns: sample (``ID``, ``GDC_Aliquot``), chromosome, start,
        end and the segment's mean (``seg.mean``, ``Segment_Mean``).
    id_rule : IdRule or None
        Applied to the sample ids.

    Returns
    -------
    polars.DataFrame
        ``sample, chrom, start, stop, value``; value = log2 ratio, NaN = blank.

    Raises
    ------
    FormatError
        If a column is missing, a position is no number, or a segment ends before it begins.
    """
    place = Path(path)
    frame = _columns(place, _SEGMENT_NAMES, "table of segments", ("start", "stop", "value"))
    rule = id_rule or IdRule()
    ids = [rule.clean(item) for item in text_of(frame["sample"], path=place)]
    return frame.with_columns(pl.Series("sample", ids, dtype=pl.String))


def read_places(path: str | Path) -> pl.DataFrame:
    """Return where genes lie.

    Parameters
    ----------
    path : str or Path
        Table with gene, chromosome, start and end (both count, 1-based).

    Returns
    -------
    polars.DataFrame
        ``gene, chrom, start, stop``.

    Raises
    ------
    FormatError
        If a column is missing, a position is no number, or a gene ends before it begins.
    """
    return _columns(Path(path), _GENE_NAMES, "table of genes", ("start", "stop"))


def _columns(
    path: Path, wanted: dict[str, tuple[str, ...]], what: str, numbers: Sequence[str]
) -> pl.DataFrame:
    frame = read_table(path, comment="#")
    plain = {"".join(ch for ch in name.lower() if ch.isalnum()): name for name in frame.columns}
    found = {
        ours: next((plain[name] for name in names if name in plain), None)
        for ours, names in wanted.items()
    }
    missing = [ours for ours, header in found.items() if header is None]
    if missing:
        raise FormatError(
            f"The {what} has no column for {shown(missing)}; it has {shown(frame.columns, 10)}.",
            path=path,
        )
    frame = frame.select(pl.col(str(header)).alias(ours) for ours, header in found.items())
    cells, dirty = numeric_columns(frame, list(numbers))
    if dirty:
        row, column, text = dirty[0]
        raise FormatError(f"Row {row}, {column}: {text!r} is no number.", path=path)
    frame = frame.with_columns(cells[name].cast(pl.Float64) for name in numbers)
    bad = frame.filter(
        pl.col("start").is_null() | pl.col("stop").is_null() | (pl.col("stop") < pl.col("start"))
    )
    if bad.height:
        raise FormatError(
            f"{bad.height} rows have no start or end, or end before they begin.", path=path
        )
    whole = [pl.col(name).cast(pl.Int64) for name in ("start", "stop")]
    value = [pl.col("value").fill_null(float("nan"))] if "value" in numbers else []
    return frame.with_columns(*whole, *value)
