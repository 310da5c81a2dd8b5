"""Read which gene symbol belongs to a probe or an Ensembl or Entrez id."""

from __future__ import annotations

import re
from pathlib import Path

from radgen._core.naming import did_you_mean
from radgen.errors import FormatError
from radgen.io._guard import existing, inflate
from radgen.io.tables import BLANKS, read_table

__all__ = ["plain_symbols", "read_gene_map"]

_IDS = (
    "id", "geneid", "ensemblid", "ensemblgeneid", "ensembl", "genestableid", "probe", "probeid",
    "entrez", "entrezid", "entrezgeneid", "ncbigeneid", "ncbigene",
)  # fmt: skip
_SYMBOLS = (
    "gene", "symbol", "genesymbol", "genename", "hgncsymbol", "externalgenename", "name",
    "associatedgenename", "approvedsymbol",
)  # fmt: skip
_ATTRIBUTE = re.compile(r'(gene_id|gene_name|ID|Name)[ =]"?([^";]+)"?')
_WITH_ENTREZ = re.compile(r"([^|]+)\|\d+")
_MOST = 0.9


def read_gene_map(path: str | Path) -> dict[str, str]:
    """Return the symbol of each id.

    Parameters
    ----------
    path : str or Path
        Annotation (GTF, GFF3: ids and names of its genes), or a table with a column of ids
        (Ensembl, Entrez, probe) and one of symbols, as BioMart, HGNC or a Xena probe map write;
        plain or gzip.

    Returns
    -------
    dict of str to str
        Ids without a symbol are left out; of several symbols the first counts.

    Raises
    ------
    FormatError
        If the file cannot be read or names no symbols.
    """
    file = existing(path, what="table of gene names")
    if re.search(r"\.(gtf|gff3?)(\.gz)?$", file.name.lower()):
        found = _annotated(file)
    else:
        table = read_table(file)
        plain = {_plain(name): name for name in reversed(table.columns)}
        columns = []
        for names, what in ((_IDS, "ids"), (_SYMBOLS, "symbols")):
            hit = next((plain[name] for name in names if name in plain), None)
            if hit is None:
                raise FormatError(
                    f"No column of {what}. {did_you_mean(names[0], table.columns)}", path=file
                )
            columns.append(hit)
        pairs = table.select(columns).drop_nulls().iter_rows()
        found = {_text(a): re.split(r"[,;/ ]", _text(b))[0] for a, b in pairs}
        found = {a: b for a, b in found.items() if b.lower() not in BLANKS}
    if not found:
        raise FormatError("names no symbol.", path=file)
    return found


def plain_symbols(names: list[str]) -> list[str]:
    """Return names without the Entrez id behind a symbol (``EGFR|1956``), as Firehose writes them.

    Parameters
    ----------
    names : list of str
        Features of a matrix.

    Returns
    -------
    list of str
        As they are where most are of another form. A symbol that would stand twice or is unknown
        (``?``) keeps its id.

    Examples
    --------
    >>> plain_symbols(["EGFR|1956", "TP53|7157", "?|100130426"])
    ['EGFR', 'TP53', '?|100130426']
    """
    found = [_WITH_ENTREZ.fullmatch(name) for name in names]
    if sum(match is not None for match in found) < _MOST * len(names):
        return names
    symbols = [match[1] if match and match[1] != "?" else "" for match in found]
    count: dict[str, int] = {}
    for symbol in symbols:
        count[symbol] = count.get(symbol, 0) + 1
    return [
        symbol if symbol and count[symbol] == 1 else name
        for name, symbol in zip(names, symbols, strict=True)
    ]


def _annotated(file: Path) -> dict[str, str]:
    try:
        text = inflate(file, what="gene annotation").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError("is no text.", path=file) from error
    found = {}
    for line in text.splitlines():
        fields = line.split("\t")
        if line.startswith("#") or len(fields) < 9 or fields[2] != "gene":
            continue
        facts = dict(_ATTRIBUTE.findall(fields[8]))
        key, name = facts.get("gene_id", facts.get("ID", "")), facts.get("gene_name", "")
        name = name or facts.get("Name", "")
        if key and name:
            found[key.removeprefix("gene:")] = name
    return found


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _text(cell: object) -> str:
    return f"{cell:g}" if isinstance(cell, float) else str(cell).strip()
