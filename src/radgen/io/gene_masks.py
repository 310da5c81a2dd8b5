"""Annotation, set and mask files of gene-based tests, as REGENIE reads them."""

from __future__ import annotations

import re
from pathlib import Path

from radgen.errors import FormatError, InputError, shown

__all__ = ["read_gene_masks", "read_gene_sets"]

_PARTS = re.compile(r"\s*[,;\t]\s*|\s+")
_SETS = {"set", "setid", "set_id", "gene", "gene_id", "gene_name", "symbol"}
_VARIANTS = {"variant", "variant_id", "snp", "snpid", "snp_id", "rsid", "id", "marker"}
"""Words of a header, in lower case."""


def read_gene_sets(path: str | Path) -> dict[str, list[str]]:
    """Return the variants of each set.

    Parameters
    ----------
    path : str or Path
        Either two fields a line (set, variant; in any order under a header that names both, such
        as ``variant`` and ``gene``), or set, chromosome, position and the variants parted by
        commas or spaces (REGENIE), or the set and its variants parted by tabs (SAIGE).

    Returns
    -------
    dict of str to list of str
        In the order of the file.

    Raises
    ------
    FormatError
        If the file is missing or empty, or a line names no variant.
    """
    members: dict[str, list[str]] = {}
    lines = _lines(path)
    order = _header(lines[0][1])
    for number, line in lines[1:] if order else lines:
        if order:
            pair = _PARTS.split(line.strip())
            if len(pair) != 2 or not all(pair):
                raise FormatError("needs a set and a variant.", path=Path(path), line=number)
            members.setdefault(pair[order[0]], []).append(pair[order[1]])
            continue
        fields = line.split()
        if len(fields) < 2:
            raise FormatError("needs a set and its variants.", path=Path(path), line=number)
        placed = len(fields) >= 4 and fields[2].isdigit()  # chromosome and position stand first
        some = fields[3:] if placed else fields[1:]
        names = [item for field in some for item in field.split(",") if item]
        members.setdefault(fields[0], []).extend(names)
    return members


def read_gene_masks(
    annotations: str | Path, sets: str | Path, masks: str | Path
) -> dict[str, list[str]]:
    """Return the variants of each set that a mask takes, named SET.MASK.

    Parameters
    ----------
    annotations : str or Path
        Three fields a line: variant, set, annotation (pLof, missense …); a fourth column with a
        domain between set and annotation is read, too: the domain then belongs to the name of
        the set (SET.DOMAIN), beside the whole set.
    sets : str or Path
        See `read_gene_sets`.
    masks : str or Path
        Two fields a line: the mask, and its annotations parted by commas.

    Returns
    -------
    dict of str to list of str
        Sets in the order of their file, masks in theirs; a mask without a variant is left out.

    Raises
    ------
    FormatError
        If a line has the wrong number of fields.
    InputError
        If a mask names an annotation that no variant has, or nothing is left.
    """
    of: dict[tuple[str, str], tuple[str, str]] = {}
    for number, line in _lines(annotations):
        fields = line.split()
        if len(fields) not in (3, 4):
            raise FormatError(
                "needs variant, set and annotation.", path=Path(annotations), line=number
            )
        domain = fields[2] if len(fields) == 4 else ""
        of[fields[0], fields[1]] = (domain, fields[-1])
    kinds = {kind for _, kind in of.values()}
    wanted: dict[str, set[str]] = {}
    for number, line in _lines(masks):
        fields = line.split()
        if len(fields) != 2:
            raise FormatError("needs a mask and its annotations.", path=Path(masks), line=number)
        wanted[fields[0]] = {item for item in fields[1].split(",") if item}
    if not any(kinds & items for items in wanted.values()):
        raise InputError(
            f"No variant has an annotation of the masks; there are {shown(sorted(kinds))}."
        )
    found: dict[str, list[str]] = {}
    for name, members in read_gene_sets(sets).items():
        for mask, items in wanted.items():
            chosen = [v for v in members if of.get((v, name), ("", ""))[1] in items]
            if chosen:
                found[f"{name}.{mask}"] = chosen
            for domain in sorted({of[v, name][0] for v in chosen} - {""}):
                some = [v for v in chosen if of[v, name][0] == domain]
                found[f"{name}.{domain}.{mask}"] = some
    if not found:
        raise InputError("No set has a variant with an annotation of the masks.")
    return found


def _header(line: str) -> tuple[int, int] | None:
    """Return the columns of sets and of variants where a line names them."""
    words = _PARTS.split(line.strip().lower())
    if len(words) != 2:
        return None
    sets = [at for at, word in enumerate(words) if word in _SETS]
    variants = [at for at, word in enumerate(words) if word in _VARIANTS]
    return (sets[0], variants[0]) if len(sets) == len(variants) == 1 else None


def _lines(path: str | Path) -> list[tuple[int, str]]:
    file = Path(path)
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"cannot be read as UTF-8 text: {error}", path=file) from error
    lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    lines = [(n, line) for n, line in lines if not line.startswith("#")]
    if not lines:
        raise FormatError("is empty.", path=file)
    return lines
