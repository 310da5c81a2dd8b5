"""Make counts of different libraries comparable."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen._core.naming import require_choice
from radgen.errors import InputError
from radgen.types import OmicsTable

__all__ = ["log_cpm", "median_ratio_factors", "normalise", "tmm_factors"]

Array = NDArray[np.float64]


def median_ratio_factors(counts: ArrayLike) -> Array:
    """Return size factors: median ratio to the geometric mean of each gene.

    Parameters
    ----------
    counts : array_like of float64 (n_samples, n_features)
        Raw counts; NaN = not measured.

    Returns
    -------
    ndarray of float64 (n_samples,)
        Positive.

    Raises
    ------
    InputError
        If a count is negative, or no gene is above 0 in all samples.

    References
    ----------
    Anders & Huber (2010), Genome Biol. 11, R106.

    Examples
    --------
    >>> median_ratio_factors([[1, 2, 3], [2, 4, 6]]).round(4).tolist()
    [0.7071, 1.4142]
    """
    x = _checked(counts)
    with np.errstate(divide="ignore"):
        logs = np.log(x)
    full = np.isfinite(logs).all(axis=0)
    if not full.any():
        raise InputError(
            "No gene has counts above 0 in every sample, as median-ratio factors need. "
            "Drop the emptiest samples, or use TMM."
        )
    return np.asarray(np.exp(np.median(logs[:, full] - logs[:, full].mean(axis=0), axis=1)))


def tmm_factors(counts: ArrayLike, *, trim_ratio: float = 0.3, trim_level: float = 0.05) -> Array:
    """Return TMM normalisation factors of the library sizes.

    Parameters
    ----------
    counts : array_like of float64 (n_samples, n_features)
        Raw counts, no NaN.
    trim_ratio, trim_level : float
        Shares trimmed from either end of the log ratios and the log levels.

    Returns
    -------
    ndarray of float64 (n_samples,)
        With geometric mean 1; the effective library size is the sum of counts times this.

    Raises
    ------
    InputError
        If a count is negative or missing, or a library is empty.

    References
    ----------
    Robinson & Oshlack (2010), Genome Biol. 11, R25; as edgeR ``calcNormFactors``.
    """
    x = _checked(counts)
    if np.isnan(x).any():
        raise InputError("TMM needs counts without missing values.")
    x = x[:, x.sum(axis=0) > 0]
    library = x.sum(axis=1)
    if (library == 0).any():
        raise InputError("A library without any count cannot be normalised: drop that sample.")
    quartile = np.quantile(x / library[:, None], 0.75, axis=1)
    reference = int(np.argmin(np.abs(quartile - quartile.mean())))
    if np.median(quartile) < 1e-20:
        reference = int(np.argmax(np.sqrt(x).sum(axis=1)))
    pairs = [
        _tmm_pair(row, x[reference], size, library[reference], trim_ratio, trim_level)
        for row, size in zip(x, library, strict=True)
    ]
    factors = np.array(pairs)
    return np.asarray(factors / np.exp(np.mean(np.log(factors))))


def _tmm_pair(  # noqa: PLR0917
    one: Array, other: Array, size: float, other_size: float, trim_ratio: float, trim_level: float
) -> float:
    from scipy.stats import rankdata

    both = (one > 0) & (other > 0)
    a, b = one[both], other[both]
    ratio = np.log2((a / size) / (b / other_size))
    level = (np.log2(a / size) + np.log2(b / other_size)) / 2
    if not len(ratio) or np.max(np.abs(ratio)) < 1e-6:
        return 1.0
    n = len(ratio)
    low_ratio, low_level = np.floor(n * trim_ratio) + 1, np.floor(n * trim_level) + 1
    ranks, levels = rankdata(ratio), rankdata(level)
    keep = (ranks >= low_ratio) & (ranks <= n + 1 - low_ratio)
    keep &= (levels >= low_level) & (levels <= n + 1 - low_level)
    variance = (size - a) / size / a + (other_size - b) / other_size / b
    found = np.sum(ratio[keep] / variance[keep]) / np.sum(1 / variance[keep])
    return float(2**found) if np.isfinite(found) else 1.0


def log_cpm(counts: ArrayLike, factors: ArrayLike | None = None, *, prior: float = 0.5) -> Array:
    """Return log2 counts per million.

    Parameters
    ----------
    counts : array_like of float64 (n_samples, n_features)
        Raw counts.
    factors : array_like of float64 (n_samples,) or None
        Normalisation factors of the library sizes; 1 where None.
    prior : float, default 0.5
        Added to each count (and twice to the library size), so that 0 stays finite.

    Returns
    -------
    ndarray of float64 (n_samples, n_features)
        log2((count + prior) / (library + 2 prior) * 1e6), as limma's voom.

    Raises
    ------
    InputError
        If a count is negative.
    """
    x = _checked(counts)
    library = np.nansum(x, axis=1)
    if factors is not None:
        library = library * np.asarray(factors, dtype=np.float64)
    return np.asarray(np.log2((x + prior) / (library[:, None] + 2 * prior) * 1e6))


def normalise(
    table: OmicsTable, *, method: Literal["tmm", "median_ratio", "cpm"] = "tmm"
) -> OmicsTable:
    """Return a count layer as comparable log2 values.

    Parameters
    ----------
    table : OmicsTable
        A layer with scale "counts".
    method : {"tmm", "median_ratio", "cpm"}
        TMM or plain library size, then log2 counts per million; or log2(count / size factor + 1).

    Returns
    -------
    OmicsTable
        The same samples and features with scale "log2".

    Raises
    ------
    InputError
        If the layer holds no counts.

    Notes
    -----
    TMM and median-ratio factors look at all samples of the table: compute them within the
    training part where a model is validated.
    """
    require_choice(method, ("tmm", "median_ratio", "cpm"), what="method")
    if table.scale != "counts":
        raise InputError(f"Normalisation needs counts; the layer's scale is {table.scale!r}.")
    if method == "median_ratio":
        values = np.log2(table.values / median_ratio_factors(table.values)[:, None] + 1)
    else:
        values = log_cpm(table.values, tmm_factors(table.values) if method == "tmm" else None)
    return OmicsTable(table.samples, table.features, values, table.layer, "log2")


def _checked(counts: ArrayLike) -> Array:
    x = np.asarray(counts, dtype=np.float64)
    if x.ndim != 2:
        raise InputError(f"Counts are an array (n_samples, n_features); found {x.ndim}-d.")
    if (x < 0).any():
        raise InputError("Counts are not negative. Is the layer already on a log scale?")
    return x
