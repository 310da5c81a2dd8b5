"""Names of image features as a reader says them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import polars as pl

__all__ = ["feature_phrase", "plain_wording"]

_MARK = "|"
_TEXTURES = ("glcm", "glrlm", "glszm", "gldzm", "ngtdm", "ngldm")


def feature_phrase(name: str) -> str:
    """Return a column name ``region|filter|family|feature|aggregation`` as a phrase.

    Families of texture are named, for several hold a feature of one name; so are filters. A name
    of another form stays as it is.

    Examples
    --------
    >>> feature_phrase("tumour|original|morphology|Volume (mesh)")
    'Volume (mesh) of tumour'
    >>> feature_phrase("tumour|wavelet-LLH|glcm|Joint entropy|IAZD")
    'Joint entropy of tumour (GLCM, IAZD, wavelet-LLH)'
    """
    parts = name.split(_MARK)
    if len(parts) not in (4, 5):
        return name
    region, image, family, feature, *code = parts
    beside = [family.upper()] if family in _TEXTURES else []
    beside += [item for item in code if item]
    beside += [image] if image not in ("", "original") else []
    phrase = f"{feature} of {region}" if region else feature
    return f"{phrase} ({', '.join(beside)})" if beside else phrase


def plain_wording(texts: Sequence[str], tables: Iterable[pl.DataFrame]) -> tuple[str, ...]:
    """Return sentences in which the feature names that the tables hold are phrases.

    Parameters
    ----------
    texts : sequence of str
        Findings.
    tables : iterable of polars.DataFrame
        Tables whose text columns hold the names.
    """
    if not any(_MARK in text for text in texts):
        return tuple(texts)
    names: set[str] = set()
    for table in tables:
        for column in table.iter_columns():
            if column.dtype == pl.String:
                names |= set(column.filter(column.str.contains(_MARK, literal=True)).unique())
    phrases = {name: phrase for name in names if (phrase := feature_phrase(name)) != name}
    if not phrases:
        return tuple(texts)
    # Of two names the longer first: one may begin with the other.
    pattern = re.compile("|".join(map(re.escape, sorted(phrases, key=len, reverse=True))))
    return tuple(pattern.sub(lambda found: phrases[found[0]], text) for text in texts)
