"""Parse the small text tables that stand beside genotype files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from radgen.errors import FormatError

__all__ = [
    "human_chromosomes",
    "human_names",
    "numbers",
    "read_bytes",
    "read_fields",
    "variant_frame",
]

_CODES = {"23": "X", "24": "Y", "25": "PAR", "26": "MT", "M": "MT", "XY": "PAR"}
_HUMAN = {str(n) for n in range(27)} | {"X", "Y", "XY", "MT", "M", "PAR", "PAR1", "PAR2"}


def read_bytes(path: Path) -> bytes:
    """Return what a file holds.

    Raises
    ------
    FormatError
        If the file cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise FormatError(f"cannot be read: {error.strerror}.", path=path) from error


def read_fields(path: Path, names: tuple[str, ...], *, more: bool = False) -> pl.DataFrame:
    """Return a headerless table of white-space separated text fields, all kept as text.

    With `more`, a line may have further fields, which are left aside.

    Raises
    ------
    FormatError
        If the file cannot be read, or a line has another number of fields.
    """
    raw = read_bytes(path)
    frame = _plain(raw, names)
    if frame is not None:
        return frame
    try:
        lines = raw.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise FormatError("is not UTF-8 text.", path=path) from error
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        fields = line.split()
        if len(fields) != len(names) and not (more and len(fields) > len(names)):
            raise FormatError(
                f"has {len(fields)} fields; needed are {len(names)} ({', '.join(names)}).",
                path=path,
                line=number,
            )
        rows.append(fields[: len(names)])
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")


def _plain(raw: bytes, names: tuple[str, ...]) -> pl.DataFrame | None:
    """Return a table whose fields are all parted by one tab, or all by one space; None else."""
    mark = b"\t" if b"\t" in raw.partition(b"\n")[0] else b" "
    ragged = (b" ",) if mark == b"\t" else (b"\t", b"  ", b" \n", b"\n ", b" \r")
    if any(sign in raw for sign in ragged):
        return None
    try:
        frame = pl.read_csv(
            raw,
            separator=mark.decode(),
            has_header=False,
            infer_schema=False,
            quote_char=None,
            new_columns=list(names),
        )
    except pl.exceptions.PolarsError:
        return None
    short = frame.width < len(names) or any(column.null_count() for column in frame)
    return None if short else frame


def numbers(values: pl.Series, *, path: Path, first_line: int = 1) -> pl.Series:
    """Return text positions as int64.

    Raises
    ------
    FormatError
        Names the first line whose value is no whole number.
    """
    out = values.cast(pl.Int64, strict=False)
    bad = out.is_null().arg_true()
    if len(bad):
        row = int(bad[0])
        raise FormatError(
            f"{values.name} is {values[row]!r}; needed is a whole number.",
            path=path,
            line=row + first_line,
        )
    return out


def human_chromosomes(values: pl.Series) -> pl.Series:
    """Return chromosome names without a "chr" prefix, PLINK's numbers 23 to 26 named.

    Names are left alone where one of them belongs to no human chromosome.
    """
    plain = human_names(values.unique().to_list())
    if all(name == to for name, to in plain.items()):
        return values
    return values.replace_strict(list(plain), list(plain.values()), return_dtype=pl.String)


def human_names(names: Iterable[str]) -> dict[str, str]:
    """Return what `human_chromosomes` makes of all the names in a file."""
    plain = {name: name[3:] if name[:3].lower() == "chr" else name for name in names}
    if all(name.upper() in _HUMAN for name in plain.values()):
        plain = {name: _CODES.get(to.upper(), to.upper()) for name, to in plain.items()}
    return plain


def variant_frame(
    chrom: pl.Series, pos: pl.Series, ids: pl.Series, ref: pl.Series, alt: pl.Series
) -> pl.DataFrame:
    """Return the five variant columns in house order."""
    return pl.DataFrame(
        [
            human_chromosomes(chrom).alias("chrom"),
            pos.cast(pl.Int64).alias("pos"),
            ids.alias("id"),
            ref.alias("ref"),
            alt.alias("alt"),
        ]
    )
