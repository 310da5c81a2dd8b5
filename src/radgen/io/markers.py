"""Read molecular markers as reports write them: IDH-mutant, R132H, MGMT methylated."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from radgen.errors import FormatError, InputError, shown
from radgen.io.ids import IdRule
from radgen.io.traits import Lexicon, read_traits
from radgen.types import OmicsTable

__all__ = ["read_markers"]


def read_markers(
    path: str | Path,
    lexicon: str | Path | Lexicon = "markers",
    *,
    id_column: str | None = None,
    id_rule: IdRule | None = None,
) -> OmicsTable:
    """Return molecular markers of a clinical table as a layer of 0 and 1.

    Parameters
    ----------
    path : str or Path
        Table with a row a sample; columns such as "IDH status", "MGMT", "1p/19q" are recognised.
    lexicon : str, Path or Lexicon, default "markers"
        What markers are called and how their states are written.
    id_column : str or None
        Column of sample ids; None = the one that looks like it.
    id_rule : IdRule or None
        Applied to the ids.

    Returns
    -------
    OmicsTable
        Layer "mutation", scale "binary": 1 = altered (mutant, methylated, codeleted), 0 = tested
        and not, NaN = blank, not tested or inconclusive.

    Raises
    ------
    FormatError
        If a cell is in no spelling of the lexicon, so that none is taken for missing by mistake.
    InputError
        If no column is a marker, or one has more than two states.
    """
    found = read_traits(path, lexicon, id_column=id_column, id_rule=id_rule)
    table = found.phenotypes
    other = [name for name, kind in found.types.items() if kind != "binary"]
    if other:
        raise InputError(f"{path}: {shown(other)} have more than two states; use read_traits.")
    odd = table.status.filter(pl.col("reason").str.contains("not in the lexicon"))
    if odd.height:
        cells = [f"{r['phenotype']}: {r['reason']}" for r in odd.head(8).iter_rows(named=True)]
        raise FormatError(
            f"{odd.height} cells are written in no known way: {shown(cells, 8)}. Copy the lexicon "
            "to a file of your own and add their spellings.",
            path=path,
        )
    return OmicsTable(table.samples, table.names, table.values, "mutation", "binary")
