"""Codon usage: how common, and how well served by tRNAs, the codons of a gene are."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

import numpy as np
import polars as pl

from radgen.errors import InputError, shown
from radgen.types import FrameLike, to_polars

__all__ = [
    "CODE",
    "adaptation_index",
    "adaptiveness",
    "codon_counts",
    "rscu",
    "synonymous_weights",
    "trna_adaptiveness",
]

_BASES = "TCAG"
_AMINO = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"
CODE = {
    a + b + c: _AMINO[16 * i + 4 * j + k]
    for i, a in enumerate(_BASES)
    for j, b in enumerate(_BASES)
    for k, c in enumerate(_BASES)
}
"""Amino acid of each DNA codon in the standard code; * = stop."""

_COMPLEMENT = str.maketrans("ACGT", "TGCA")
# dos Reis et al. (2004): 1 - s of the first anticodon base with the third codon base.
_WOBBLE = {
    ("A", "T"): 1.0, ("G", "C"): 1.0, ("T", "A"): 1.0, ("C", "G"): 1.0,
    ("G", "T"): 1 - 0.41, ("A", "C"): 1 - 0.28, ("A", "A"): 1 - 0.9999, ("T", "G"): 1 - 0.68,
}  # fmt: skip


def codon_counts(sequence: str) -> dict[str, int]:
    """Return how often each codon stands in a coding sequence.

    Parameters
    ----------
    sequence : str
        DNA or RNA in frame, upper or lower case; codons with other letters are left out.

    Returns
    -------
    dict of str to int
        DNA codons, only those that occur.

    Raises
    ------
    InputError
        If the length is no multiple of three.

    Examples
    --------
    >>> codon_counts("ATGAAAAAG")
    {'ATG': 1, 'AAA': 1, 'AAG': 1}
    """
    text = "".join(sequence.split()).upper().replace("U", "T")
    if len(text) % 3:
        raise InputError(f"A coding sequence has whole codons; this one has {len(text)} bases.")
    found = Counter(text[at : at + 3] for at in range(0, len(text), 3))
    return {codon: count for codon, count in found.items() if codon in CODE}


def rscu(counts: Mapping[str, float]) -> dict[str, float]:
    """Return the relative synonymous codon usage.

    Parameters
    ----------
    counts : mapping of str to float
        Counts (or frequencies) of codons in a genome or a set of genes.

    Returns
    -------
    dict of str to float
        Count over the mean count of the codons of the same amino acid, of all codons of amino
        acids that occur; stop codons are left out.

    Raises
    ------
    InputError
        If a codon is unknown or a count negative.

    References
    ----------
    Sharp, Tuohy & Mosurski (1986), doi:10.1093/nar/14.13.5125.

    Examples
    --------
    >>> found = rscu({"AAA": 30, "AAG": 10})
    >>> found["AAA"], found["AAG"]
    (1.5, 0.5)
    """
    own = _clean(counts)
    out: dict[str, float] = {}
    for amino in dict.fromkeys(CODE.values()):
        family = [codon for codon, name in CODE.items() if name == amino]
        total = sum(own.get(codon, 0.0) for codon in family)
        if amino == "*" or total <= 0:
            continue
        out |= {codon: own.get(codon, 0.0) * len(family) / total for codon in family}
    return out


def adaptiveness(counts: Mapping[str, float], *, least: float = 0.5) -> dict[str, float]:
    """Return the relative adaptiveness of codons in a reference set, for `adaptation_index`.

    Parameters
    ----------
    counts : mapping of str to float
        Counts of codons in the reference set (highly expressed genes, or a genome).
    least : float, default 0.5
        Count that a codon without any is given, so that no index is 0.

    Returns
    -------
    dict of str to float
        Count over that of the commonest synonymous codon, in (0, 1]; amino acids with a single
        codon (Met, Trp) and stops are left out.

    Raises
    ------
    InputError
        If a codon is unknown, a count negative, or `least` not positive.

    References
    ----------
    Sharp & Li (1987), doi:10.1093/nar/15.3.1281.

    Examples
    --------
    >>> found = adaptiveness({"AAA": 30, "AAG": 10})
    >>> found["AAA"], round(found["AAG"], 4)
    (1.0, 0.3333)
    """
    if not least > 0:
        raise InputError(f"least is {least}; needed is a positive count.")
    own = _clean(counts)
    out: dict[str, float] = {}
    for amino in dict.fromkeys(CODE.values()):
        family = [codon for codon, name in CODE.items() if name == amino]
        if amino == "*" or len(family) == 1 or not any(own.get(codon, 0) for codon in family):
            continue
        filled = {codon: own.get(codon, 0.0) or least for codon in family}
        most = max(filled.values())
        out |= {codon: value / most for codon, value in filled.items()}
    return out


def trna_adaptiveness(copies: Mapping[str, float]) -> dict[str, float]:
    """Return how well each codon is served by the tRNAs of a genome, for `adaptation_index`.

    Parameters
    ----------
    copies : mapping of str to float
        Gene copies of each anticodon, 5' to 3' ("AGC" reads GCT; A in the first place is taken
        as inosine).

    Returns
    -------
    dict of str to float
        In (0, 1]; codons without any tRNA have the geometric mean of the others. Met and stops
        are left out.

    Raises
    ------
    InputError
        If an anticodon is no three bases, copies are negative, or there is none.

    Notes
    -----
    W of a codon is the sum of (1 - s) times the copies over the anticodons that pair with it,
    s = 0 for Watson-Crick pairs and I:U, 0.41 for G:U, 0.28 for I:C, 0.9999 for I:A and 0.68
    for U:G, the values fitted to yeast; w = W over the largest W. Only anticodons of the codon's
    own amino acid count, by the definition of W; the R package tAI adds inosine of another amino
    acid in split boxes, with its factor of 0.0001.

    References
    ----------
    dos Reis, Savva & Wernisch (2004), doi:10.1093/nar/gkh834.

    Examples
    --------
    >>> found = trna_adaptiveness({"TTT": 4, "CTT": 2})  # Lys: AAA by 4, AAG by 2 + 0.32 * 4
    >>> found["AAA"], round(found["AAG"], 4)
    (1.0, 0.82)
    """
    own: dict[str, float] = {}
    for name, count in copies.items():
        anticodon = str(name).upper().replace("U", "T").replace("I", "A")
        if len(anticodon) != 3 or not set(anticodon) <= set(_BASES) or not count >= 0:
            raise InputError(f"An anticodon is three bases with copies >= 0; found {name!r}.")
        own[anticodon] = own.get(anticodon, 0.0) + float(count)
    served: dict[str, float] = {}
    for codon, amino in CODE.items():
        if amino in "*M":
            continue
        rest = codon[:2].translate(_COMPLEMENT)[::-1]
        served[codon] = sum(
            share * own.get(first + rest, 0.0)
            for (first, third), share in _WOBBLE.items()
            if third == codon[2] and CODE[_paired(first, rest)] == amino
        )
    most = max(served.values())
    if most <= 0:
        raise InputError("No tRNA has a copy.")
    known = [value / most for value in served.values() if value > 0]
    middle = math.exp(sum(map(math.log, known)) / len(known))
    return {codon: value / most if value > 0 else middle for codon, value in served.items()}


def adaptation_index(sequence: str | Mapping[str, float], weights: Mapping[str, float]) -> float:
    """Return the geometric mean of the weights of a gene's codons.

    Parameters
    ----------
    sequence : str or mapping of str to float
        Coding sequence, or its codon counts.
    weights : mapping of str to float
        From `adaptiveness` (the codon adaptation index, CAI) or `trna_adaptiveness` (the tRNA
        adaptation index, tAI).

    Returns
    -------
    float
        In (0, 1]; codons without a weight do not count; NaN where none has one.

    Raises
    ------
    InputError
        If the sequence is broken, or a weight lies outside (0, 1].

    Examples
    --------
    >>> round(adaptation_index("AAAAAG", {"AAA": 1.0, "AAG": 0.25}), 4)
    0.5
    """
    counts = codon_counts(sequence) if isinstance(sequence, str) else _clean(sequence)
    if not all(0 < value <= 1 for value in weights.values()):
        raise InputError("Weights of codons lie in (0, 1].")
    used = {codon: count for codon, count in counts.items() if codon in weights and count > 0}
    total = sum(used.values())
    if not total:
        return math.nan
    return math.exp(sum(n * math.log(weights[codon]) for codon, n in used.items()) / total)


def synonymous_weights(
    variants: FrameLike, weights: Mapping[str, float], *, direction: str = "any"
) -> dict[str, float]:
    """Return how far each synonymous variant moves codon usage, as weights of a burden test.

    Parameters
    ----------
    variants : data frame
        Columns id, ref_codon and alt_codon (DNA, on the coding strand).
    weights : mapping of str to float
        From `adaptiveness` or `trna_adaptiveness`.
    direction : {"any", "rarer", "commoner"}
        Count every change, or only those to a codon of lower, or of higher weight.

    Returns
    -------
    dict of str to float
        |log w(alt) - log w(ref)| by id; variants that change the amino acid, or have a codon
        without a weight, are left out. Pass it as `weights` to `radgen.associate.burden`.

    Raises
    ------
    InputError
        If a column is missing, a codon unknown, or the direction unknown.

    References
    ----------
    Miller et al. (2018), Pac. Symp. Biocomput. 23, 365-376 (codon bias and brain imaging).

    Examples
    --------
    >>> table = {"id": ["rs1"], "ref_codon": ["AAA"], "alt_codon": ["AAG"]}
    >>> round(synonymous_weights(table, {"AAA": 1.0, "AAG": 0.25})["rs1"], 4)
    1.3863
    """
    if direction not in ("any", "rarer", "commoner"):
        raise InputError(f"direction is {direction!r}; it is 'any', 'rarer' or 'commoner'.")
    frame = to_polars(variants, what="table of synonymous variants")
    missing = [name for name in ("id", "ref_codon", "alt_codon") if name not in frame.columns]
    if missing:
        raise InputError(f"The table of synonymous variants lacks the columns {shown(missing)}.")
    out: dict[str, float] = {}
    for name, ref, alt in frame.select(
        pl.col("id", "ref_codon", "alt_codon").cast(pl.String)
    ).rows():
        before, after = (str(item).upper().replace("U", "T") for item in (ref, alt))
        if before not in CODE or after not in CODE:
            raise InputError(f"Variant {name!r} has the codons {ref!r} and {alt!r}: no codons.")
        if CODE[before] != CODE[after] or before not in weights or after not in weights:
            continue
        change = float(np.log(weights[after]) - np.log(weights[before]))
        if direction == "any" or (change < 0) == (direction == "rarer"):
            out[str(name)] = abs(change)
    return out


def _paired(first: str, rest: str) -> str:
    """Return the codon that an anticodon reads by Watson-Crick pairs."""
    return (first + rest).translate(_COMPLEMENT)[::-1]


def _clean(counts: Mapping[str, float]) -> dict[str, float]:
    out: dict[str, float] = {}
    for name, count in counts.items():
        codon = str(name).upper().replace("U", "T")
        if codon not in CODE or not float(count) >= 0:
            raise InputError(f"A codon is three bases with a count >= 0; found {name!r}: {count}.")
        out[codon] = out.get(codon, 0.0) + float(count)
    return out
