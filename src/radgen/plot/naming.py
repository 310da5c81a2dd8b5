"""Short labels of long phenotype names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

__all__ = ["short_names", "trimmed"]

_MARK = "|"


def trimmed(names: Sequence[str]) -> list[str]:
    """Return labels without the beginning, up to an underscore, that all of several share.

    Parameters
    ----------
    names : sequence of str
        Such as "HALLMARK_HYPOXIA", "HALLMARK_GLYCOLYSIS".

    Returns
    -------
    list of str
        One label a name, in the same order.

    Examples
    --------
    >>> trimmed(["HALLMARK_HYPOXIA", "HALLMARK_GLYCOLYSIS"])
    ['HYPOXIA', 'GLYCOLYSIS']
    >>> trimmed(["a_b", "c_b"]), trimmed(["a_b"])
    (['a_b', 'c_b'], ['a_b'])
    """
    found = short_names(list(names))
    if len(set(found)) < 2:
        return found
    first, last = min(found), max(found)  # all between share what these two share
    same = next(
        (k for k, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]),
        min(len(first), len(last)),
    )
    cut = first[:same].rfind("_") + 1
    return [name[cut:] for name in found] if min(map(len, found)) > cut else found


def short_names(names: Sequence[str]) -> list[str]:
    """Return the shortest ends of names, cut at ``|``, that still tell them apart.

    Parameters
    ----------
    names : sequence of str
        Such as "tumour|original|glcm|Joint entropy".

    Returns
    -------
    list of str
        One label a name, in the same order; names without ``|`` stay as they are.

    Examples
    --------
    >>> short_names(["tumour|original|morphology|Volume", "tumour|log|morphology|Area"])
    ['Volume', 'Area']
    >>> short_names(["a|mean|x", "b|mean|x"])
    ['a|mean|x', 'b|mean|x']
    """
    parts = {name: name.split(_MARK) for name in names}
    counts: Counter[str] = Counter()
    for pieces in parts.values():
        counts.update({_MARK.join(pieces[-k:]) for k in range(1, len(pieces) + 1)})
    found = {}
    for name, pieces in parts.items():
        ends = (_MARK.join(pieces[-k:]) for k in range(1, len(pieces) + 1))
        found[name] = next((end for end in ends if counts[end] == 1), name)
    return [found[name] for name in names]
