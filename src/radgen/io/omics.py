"""Read molecular layers: matrices, GCT, MAF and GMT files."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from radgen.errors import FormatError, InputError, shown
from radgen.io.ids import IdRule, normalise_ids
from radgen.io.tables import numeric_columns, read_table
from radgen.types import OmicsTable

__all__ = ["PROTEIN_CHANGING", "read_gct", "read_gmt", "read_maf", "read_omics"]

PROTEIN_CHANGING = (
    "Missense_Mutation",
    "Nonsense_Mutation",
    "Nonstop_Mutation",
    "Frame_Shift_Del",
    "Frame_Shift_Ins",
    "In_Frame_Del",
    "In_Frame_Ins",
    "Splice_Site",
    "Translation_Start_Site",
)
"""Variant classes of a MAF that change the protein; what counts as mutant unless told."""


def read_omics(
    path: str | Path,
    *,
    layer: str,
    scale: str,
    samples_in: str = "auto",
    known_samples: Collection[str] = (),
    id_rule: IdRule | None = None,
) -> OmicsTable:
    """Return a molecular matrix.

    Parameters
    ----------
    path : str or Path
        CSV, TSV, Parquet, Excel or GCT; the first column holds names.
    layer, scale : str
        As `OmicsTable` has them.
    samples_in : {"auto", "rows", "columns"}, default "auto"
        Where samples stand. "auto" decides by `known_samples`, and raises where that does not.
    known_samples : collection of str
        Ids of the study, for "auto".
    id_rule : IdRule or None
        Applied to sample ids.

    Returns
    -------
    OmicsTable
        NaN = blank or not a number.

    Raises
    ------
    FormatError
        If more than half of the cells are no numbers.
    InputError
        If it cannot be told where samples stand.
    """
    rule = id_rule or IdRule()
    if Path(path).name.lower().removesuffix(".gz").endswith(".gct"):
        return read_gct(path, layer=layer, scale=scale, id_rule=rule)
    frame = read_table(path)
    if frame.width < 2:
        raise FormatError("The table has a single column; needed are names and values.", path=path)
    first = [str(item) for item in frame[frame.columns[0]].to_list()]
    other = frame.columns[1:]
    if samples_in == "auto":
        samples_in = _orientation(first, other, known_samples, rule, Path(path))
    if samples_in not in ("rows", "columns"):
        raise InputError(f"samples_in is {samples_in!r}; it is 'auto', 'rows' or 'columns'.")
    numbers, dirty = numeric_columns(frame, other)
    if len(dirty) * 2 > frame.height * len(other):
        cells = [f"row {row}, {column}: {text}" for row, column, text in dirty[:5]]
        raise FormatError(f"Most cells are no numbers: {shown(cells)}.", path=path)
    values = numbers.to_numpy().astype(np.float64)
    if samples_in == "rows":
        return OmicsTable(
            tuple(normalise_ids(first, rule, what=str(path))), tuple(other), values, layer, scale
        )
    return OmicsTable(
        tuple(normalise_ids(other, rule, what=str(path))), tuple(first), values.T, layer, scale
    )


def _orientation(
    first: Sequence[str], other: Sequence[str], known: Collection[str], rule: IdRule, path: Path
) -> str:
    wanted = set(known)
    in_rows = len(wanted & {_clean(rule, item) for item in first})
    in_columns = len(wanted & {_clean(rule, item) for item in other})
    if in_rows == in_columns:
        raise InputError(
            f"{path}: it cannot be told whether samples stand in rows ({shown(first, 3)}) or in "
            f"columns ({shown(other, 3)}): {in_rows} known ids in each. "
            "Say samples_in = 'rows' or 'columns', and check the id rule."
        )
    return "rows" if in_rows > in_columns else "columns"


def _clean(rule: IdRule, text: str) -> str:
    try:
        return rule.clean(text)
    except InputError:
        return ""


def read_gct(
    path: str | Path, *, layer: str, scale: str, id_rule: IdRule | None = None
) -> OmicsTable:
    """Return the matrix of a GCT 1.2 file (names, descriptions, samples in columns).

    Raises
    ------
    FormatError
        If the file breaks the format.
    """
    place = Path(path)
    try:
        data = place.read_bytes()
        text = gzip.decompress(data) if place.name.endswith(".gz") else data
        lines = text.decode().splitlines()
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise FormatError("Not a readable GCT file.", path=place) from error
    if len(lines) < 4 or not lines[0].startswith("#1.2"):
        raise FormatError(
            "A GCT file begins with #1.2 and has at least four lines.", path=place, line=1
        )
    header = lines[2].split("\t")
    if [name.lower() for name in header[:2]] != ["name", "description"]:
        raise FormatError(
            "Line 3 of a GCT file begins with Name and Description.", path=place, line=3
        )
    names, rows = [], []
    for number, line in enumerate(lines[3:], 4):
        cells = line.split("\t")
        if len(cells) != len(header):
            raise FormatError(
                f"{len(cells)} cells, the header has {len(header)}.", path=place, line=number
            )
        try:
            rows.append([float(cell) if cell.strip() else float("nan") for cell in cells[2:]])
        except ValueError as error:
            raise FormatError(f"A cell is no number: {error}.", path=place, line=number) from error
        names.append(cells[0])
    samples = normalise_ids(header[2:], id_rule or IdRule(), what=str(place))
    return OmicsTable(tuple(samples), tuple(names), np.array(rows).T, layer, scale)


def read_gmt(path: str | Path) -> dict[str, tuple[str, ...]]:
    """Return gene sets by name, each gene once.

    Raises
    ------
    FormatError
        If a line has no genes or a set stands twice.
    """
    place = Path(path)
    try:
        lines = place.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError("Not a readable GMT file.", path=place) from error
    sets: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        genes = tuple(dict.fromkeys(cell for cell in cells[2:] if cell))
        if not genes:
            raise FormatError(
                "A gene set is a name, a description and genes, split by tabs.",
                path=place,
                line=number,
            )
        if cells[0] in sets:
            raise FormatError(f"The gene set {cells[0]!r} stands twice.", path=place, line=number)
        sets[cells[0]] = genes
    return sets


def read_maf(
    path: str | Path,
    *,
    sequenced: Collection[str] | None,
    panel: Collection[str] | None = None,
    genes: Collection[str] | None = None,
    classes: Collection[str] = PROTEIN_CHANGING,
    id_rule: IdRule | None = None,
) -> OmicsTable:
    """Return gene-level somatic mutation calls of a MAF file.

    Parameters
    ----------
    path : str or Path
        Mutation Annotation Format (``#`` lines are comments).
    sequenced : collection of str or None
        Ids of all samples that were sequenced. A MAF names only mutated ones, so without this
        list nobody can be called wild-type: None takes the samples of the MAF alone.
    panel : collection of str or None
        Genes that the assay covers. A gene outside it is "not tested" (NaN), never wild-type.
        None: every gene is covered (exome, genome).
    genes : collection of str or None
        Genes to return; None = all that carry a counted mutation.
    classes : collection of str
        Variant classes that count as mutant.
    id_rule : IdRule or None
        Applied to the tumour barcodes and to `sequenced`.

    Returns
    -------
    OmicsTable
        1 = mutant, 0 = covered and not mutant, NaN = not tested.

    Raises
    ------
    FormatError
        If columns of the format are missing.
    InputError
        If mutated samples are not among those sequenced.
    """
    place = Path(path)
    rule = id_rule or IdRule()
    frame = _maf_frame(place)
    tumours = normalise_ids(frame["Tumor_Sample_Barcode"].to_list(), rule, what=str(place))
    frame = frame.with_columns(pl.Series("sample", tumours))
    if sequenced is None:
        samples = list(dict.fromkeys(tumours))
    else:
        samples = list(
            dict.fromkeys(normalise_ids(list(sequenced), rule, what="sequenced samples"))
        )
        unknown = sorted(set(tumours) - set(samples))
        if unknown:
            raise InputError(
                f"{place}: {len(unknown)} mutated samples are not in the list of sequenced ones: "
                f"{shown(unknown)}. Complete the list, or give an id rule."
            )
    counted = frame.filter(pl.col("Variant_Classification").is_in(list(classes)))
    names = sorted(set(counted["Hugo_Symbol"].to_list())) if genes is None else list(genes)
    values = np.zeros((len(samples), len(names)))
    if panel is not None:
        values[:, [name not in set(panel) for name in names]] = np.nan
    row = {sample: i for i, sample in enumerate(samples)}
    column = {name: j for j, name in enumerate(names)}
    for sample, gene in counted.select("sample", "Hugo_Symbol").unique().iter_rows():
        if gene in column:
            values[row[sample], column[gene]] = 1.0
    return OmicsTable(tuple(samples), tuple(names), values, "mutation", "binary")


def _maf_frame(path: Path) -> pl.DataFrame:
    needed = ("Hugo_Symbol", "Variant_Classification", "Tumor_Sample_Barcode")
    frame = read_table(path, comment="#")
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise FormatError(
            f"A MAF file has the columns {shown(needed)}; missing: {shown(missing)}.", path=path
        )
    return frame
