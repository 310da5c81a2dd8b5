"""Columns of two states in words, such as mutant and wild-type, as 1 and 0."""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

from radgen._core.id_names import FAMILY_NAMES, first_id_name
from radgen.errors import FormatError, shown
from radgen.io.traits import STATES, code_column, match_columns, read_lexicon

__all__ = ["code_states"]


def code_states(
    frame: pl.DataFrame, columns: Collection[str], *, what: str
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Return a table in which the named columns that hold two states in words are 0 and 1.

    Parameters
    ----------
    frame : polars.DataFrame
        A row a sample.
    columns : collection of str
        Columns to look at; ids, numbers and text that is more than states stay as they are.
    what : str
        The table's name in messages.

    Returns
    -------
    polars.DataFrame
        The same columns. 1 = mutant, methylated, case, yes …; null = blank or not tested.
    tuple of str
        A sentence for each column that was coded.

    Raises
    ------
    FormatError
        If some cells of a molecular marker are known states and others are not, so that none is
        taken for missing by mistake.

    Examples
    --------
    >>> table = pl.DataFrame({"IDH": ["WT", "IDH-mutant", "R132H", None]})
    >>> code_states(table, ["IDH"], what="table")[0]["IDH"].to_list()
    [0.0, 1.0, 1.0, None]
    """
    markers = dict(match_columns(frame, read_lexicon("markers")))
    (anything,) = read_lexicon(STATES).traits
    coded, notes = [], []
    ids = {first_id_name(frame.columns), *FAMILY_NAMES}
    for name in columns:
        if name in ids or name not in frame.columns:
            continue
        if frame[name].dtype not in (pl.String, pl.Categorical):
            continue
        trait = markers.get(name, anything)
        values, refused = code_column(frame[name], trait)
        known = values.is_not_null().sum()
        if not known:
            continue
        if refused and name not in markers:
            continue
        if refused:
            words = shown([f"{word!r} (row {row + 1})" for row, word in refused.items()], 8)
            raise FormatError(
                f"{what}: column {name!r} holds states such as {trait.known[1].label!r}, and "
                f"{len(refused)} cells that are none: {words}. Write 1, 0 and NA."
            )
        no, yes = trait.known
        coded.append(values.alias(name))
        notes.append(
            f"{name}: 1 = {yes.label} ({int((values == 1).sum())}), 0 = {no.label} "
            f"({int((values == 0).sum())}), missing {int(values.null_count())}."
        )
    return frame.with_columns(coded), tuple(notes)
