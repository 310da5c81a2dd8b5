"""Gene sets: GMT files."""

from __future__ import annotations

from pathlib import Path

from radgen.errors import FormatError
from radgen.io._delimited import decode
from radgen.io._guard import existing, inflate

__all__ = ["read_gmt"]


def read_gmt(path: str | Path) -> dict[str, tuple[str, ...]]:
    """Return the genes of each set of a GMT file.

    Parameters
    ----------
    path : str or Path
        Tab-separated lines: name, description, genes; plain or gzipped.

    Returns
    -------
    dict of str to tuple of str
        In file order; a gene that a set names twice stands once.

    Raises
    ------
    FormatError
        If a line has no genes, or two sets have one name.
    """
    where = existing(path, what="gene set file")
    sets: dict[str, tuple[str, ...]] = {}
    text = decode(inflate(where, what="gene set file"), where)
    for line, row in enumerate(text.splitlines(), start=1):
        if not row.strip():
            continue
        cells = [cell.strip() for cell in row.split("\t")]
        genes = tuple(dict.fromkeys(cell for cell in cells[2:] if cell))
        if not cells[0] or not genes:
            raise FormatError(
                "A gene set line is: name, description, genes, separated by tabs; "
                f"this one has {len(cells)} cells.",
                path=where,
                line=line,
            )
        if cells[0] in sets:
            raise FormatError(f"The set {cells[0]!r} stands twice.", path=where, line=line)
        sets[cells[0]] = genes
    if not sets:
        raise FormatError("The file holds no gene set.", path=where)
    return sets
