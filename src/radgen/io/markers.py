"""Read molecular markers as reports write them: IDH-mutant, R132H, MGMT methylated."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import polars as pl

from radgen.errors import FormatError, InputError, shown
from radgen.io.ids import IdRule
from radgen.io.traits import NOT_ALLOWED, Lexicon, read_lexicon, read_traits
from radgen.types import OmicsTable

__all__ = ["read_markers"]


def read_markers(
    path: str | Path,
    lexicon: str | Path | Lexicon = "markers",
    *,
    id_column: str | None = None,
    id_rule: IdRule | None = None,
    missing: Collection[str] = (),
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
    missing : collection of str
        Cells to take for missing beside those of the lexicon, exactly as they stand.

    Returns
    -------
    OmicsTable
        Layer "other", scale "binary", features such as "IDH=mutant", "MGMT=methylated": 1 = so,
        0 = tested and not, NaN = blank, not tested or inconclusive.

    Raises
    ------
    FormatError
        If a cell is in no spelling of the lexicon, so that none is taken for missing by mistake.
    InputError
        If no column is a marker, or one has more than two states.
    """
    known = lexicon if isinstance(lexicon, Lexicon) else read_lexicon(lexicon)
    found = read_traits(path, known, id_column=id_column, id_rule=id_rule)
    table = found.phenotypes
    other = [name for name, kind in found.types.items() if kind != "binary"]
    if other:
        raise InputError(f"{path}: {shown(other)} have more than two states; use read_traits.")
    words = pl.col("reason").str.strip_suffix(NOT_ALLOWED)
    odd = table.status.filter(
        pl.col("reason").str.ends_with(NOT_ALLOWED) & ~words.is_in(list(missing))
    ).with_columns(words.alias("word"))
    if odd.height:
        cells = [f"{r['phenotype']} of {r['sample']}: {r['word']!r}" for r in odd.to_dicts()]
        raise FormatError(
            f"{odd.height} cells are written in no known way: {shown(cells, 8)}. Take them for "
            "missing (missing=[...]), or add their spellings to a copy of the lexicon.",
            path=path,
        )
    state = {trait.id: f"{trait.id}={trait.known[1].label}" for trait in known.traits}
    names = tuple(state[name] for name in table.names)
    return OmicsTable(table.samples, names, table.values, "other", "binary")
