"""What the workers of a scan hand back: kept tests, and counts of all tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

__all__ = [
    "COLUMNS",
    "HIST_BINS",
    "KEPT_P",
    "QUANTA",
    "REASONS",
    "UNDEFINED",
    "Grid",
    "TestRows",
    "bin_counts",
    "bin_edges",
    "join_rows",
    "to_frame",
]

COLUMNS = (
    "phenotype",
    "chrom",
    "pos",
    "id",
    "ref",
    "alt",
    "n",
    "alt_freq",
    "beta",
    "se",
    "t",
    "log10p",
    "p",
)
"""Columns of a scan; beta per ALT allele, log10p = log10(p) (0 or below)."""

HIST_BINS = 640
_PER_OCTAVE = 16
_LOW = -24
_ASIDE = ("df", "spread")
_VALUES = ("beta", "se", "t", "log10p")

REASONS = (
    None,
    "the variant does not vary",
    "the covariate does not vary",
    "variant, product and covariates say the same",
    "too few samples or events for the model",
    "no maximum of the likelihood: an effect is infinite (separation)",
    "separated: Firth's estimate and test",
    "the trait has no test: see the notes",
)
"""What the codes of a column "reason" mean; None = nothing to say."""

KEPT_P = 1e-5
"""Largest p of the rows that stay in memory when a scan is streamed to a file."""
UNDEFINED = -32768
"""Quantised t of a test that is not defined."""
QUANTA = 1024
"""Steps of a quantised t: it is t times this, rounded, at most 32767 in size."""


@dataclass(frozen=True, eq=False, slots=True)
class Grid:
    """All tests of a block in short.

    Attributes
    ----------
    start : int
        First variant.
    t : ndarray of int16 (n_traits, n_variants)
        t statistics in steps of 1 / QUANTA, a trait's side by side as they are stored.
    n : ndarray of int32 (n_variants, n_groups)
        Samples of each group of traits with the same missing people.
    freq : ndarray of float32 (n_variants, n_groups)
        ALT frequency.
    spread : ndarray of float64 (n_variants, n_groups)
        Sum of squares of the dosage beside the covariates.
    """

    start: int
    t: NDArray[np.int16]
    n: NDArray[np.int32]
    freq: NDArray[np.float32]
    spread: NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class TestRows:
    """Kept tests of one block, sorted by variant and trait, and the counts of all.

    Attributes
    ----------
    columns : dict of ndarray (n_kept,)
        variant (row of the genotypes), trait, n, freq, beta, se, t, log10p.
    hist : ndarray of int64 (n_traits, HIST_BINS)
        Number of tests by squared statistic, on the scale of `bin_edges`.
    grid : Grid or None
        All tests in short, where they are asked for.
    """

    __test__ = False

    columns: dict[str, NDArray[Any]]
    hist: NDArray[np.int64]
    grid: Grid | None = None


def bin_edges() -> NDArray[np.float64]:
    """Return the HIST_BINS + 1 edges of the counts: 16 equal steps an octave, from 2**-24."""
    octave = np.arange(HIST_BINS + 1) // _PER_OCTAVE
    step = np.arange(HIST_BINS + 1) % _PER_OCTAVE
    return np.asarray(np.exp2(_LOW + octave) * (1.0 + step / _PER_OCTAVE))


def bin_counts(squares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return counts int64 (n_traits, HIST_BINS) of statistics (n_variants, n_traits)."""
    known = np.isfinite(squares)
    word = np.where(known, squares, 0.0).astype(np.float32).view(np.uint32) >> 19
    bins = np.clip(word.astype(np.int64) - ((127 + _LOW) << 4), 0, HIST_BINS - 1)
    k = squares.shape[1]
    flat = (bins + np.arange(k) * HIST_BINS)[known]
    return np.bincount(flat, minlength=k * HIST_BINS).reshape(k, HIST_BINS)


def join_rows(
    parts: Sequence[dict[str, NDArray[Any]]],
    start: int,
    n_traits: int,
    threshold: float | None,
    hist: NDArray[np.int64] | None = None,
    *,
    extra: tuple[str, ...] = (),
) -> TestRows:
    """Return the tests of one block, sorted, those above the threshold left out.

    Parameters
    ----------
    parts : sequence of dict
        Grids (variants by traits), or pairs where "variant" is among the names.
    start : int
        First variant of the block.
    n_traits : int
        Number of traits of the scan.
    threshold : float or None
        Largest p kept; None keeps all, also undefined tests.
    hist : ndarray or None
        Counts where they are known already.
    extra : tuple of str
        Further columns of the parts.
    """
    counts = np.zeros((n_traits, HIST_BINS), np.int64) if hist is None else hist
    flat: list[dict[str, NDArray[Any]]] = []
    for part in parts:
        if "variant" in part:
            flat.append({name: item for name, item in part.items() if name not in _ASIDE})
            continue
        traits = part["trait"]
        m, k = part["t"].shape
        if hist is None:
            counts[traits] += bin_counts(np.square(part["t"]))
        each = {name: np.repeat(part[name], k) for name in ("n", "freq")}
        grid = {name: part[name].ravel() for name in (*_VALUES, *extra)}
        where = {"variant": np.repeat(np.arange(m), k), "trait": np.tile(traits, m)}
        flat.append(where | each | grid)
    names = ("variant", "trait", "n", "freq", *_VALUES, *extra)
    columns = {
        name: np.concatenate([part[name] for part in flat]) if flat else np.empty(0)
        for name in names
    }
    if threshold is not None:
        keep = columns["log10p"] <= np.log10(threshold)
        columns = {name: item[keep] for name, item in columns.items()}
    if len(flat) > 1:
        order = np.lexsort((columns["trait"], columns["variant"]))
        columns = {name: item[order] for name, item in columns.items()}
    columns["variant"] = columns["variant"].astype(np.int64) + start
    columns["trait"] = columns["trait"].astype(np.int64)
    return TestRows(columns, counts)


def to_frame(
    rows: Sequence[TestRows],
    variants: pl.DataFrame,
    names: Sequence[str],
    extra: tuple[str, ...] = (),
) -> pl.DataFrame:
    """Return kept tests as a frame with `COLUMNS` and further ones."""
    merged = {
        name: np.concatenate([row.columns[name] for row in rows]) if rows else np.empty(0)
        for name in ("variant", "trait", "n", "freq", *_VALUES, *extra)
    }
    at = pl.Series(merged["variant"].astype(np.int64))
    where = variants.select("chrom", "pos", "id", "ref", "alt")[at]
    phenotype = pl.Series(list(names), dtype=pl.String)[pl.Series(merged["trait"].astype(np.int64))]
    with np.errstate(under="ignore"):
        p = np.power(10.0, merged["log10p"])
    numbers: dict[str, Any] = {
        "n": merged["n"].astype(np.int32),
        "alt_freq": merged["freq"],
        "beta": merged["beta"],
        "se": merged["se"],
        "t": merged["t"],
        "log10p": merged["log10p"],
        "p": p,
    } | {name: merged[name] for name in extra if name != "reason"}
    if "reason" in extra:
        codes = pl.Series(merged["reason"].astype(np.int64))
        numbers["reason"] = pl.Series(REASONS, dtype=pl.String)[codes]
    return pl.DataFrame(
        [phenotype.alias("phenotype"), *where.get_columns()]
        + [pl.Series(name, item) for name, item in numbers.items()]
    ).select(*COLUMNS, *extra)
