"""From tables to blocks of pairs that share a test: matching, types, units of work."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen._core.blocks import block_ranges
from radgen._core.naming import require_choice
from radgen.associate import _pairs
from radgen.associate._run import Unit
from radgen.errors import InputError, shown
from radgen.omics.normalise import median_ratio_factors
from radgen.stats.linear import prepare
from radgen.stats.rank import normal_scores
from radgen.types import Alignment, Covariates, OmicsTable, PhenotypeTable, align

__all__ = [
    "BEYOND",
    "Matched",
    "families_of",
    "layer_labels",
    "match",
    "no_outcome",
    "scaled",
    "types_of",
    "units_of",
    "without_sentinels",
]

Array = NDArray[np.float64]

_TYPES = ("continuous", "binary", "ordinal")
# (phenotype type, omics type): the test, and whether the molecular feature is the outcome.
_AUTO = {
    ("continuous", "binary"): ("linear", False),
    ("continuous", "continuous"): ("linear", False),
    ("continuous", "ordinal"): ("ordinal", True),
    ("binary", "binary"): ("firth", False),
    ("binary", "continuous"): ("linear", True),
    ("binary", "ordinal"): ("ordinal", True),
    ("ordinal", "binary"): ("ordinal", False),
    ("ordinal", "continuous"): ("ordinal", False),
    ("ordinal", "ordinal"): ("ordinal", False),
}
# Tests whose outcome must be of one type: the molecular side where it fits, else the image side.
_OUTCOME = {
    "logistic": ("binary",),
    "firth": ("binary",),
    "ordinal": ("ordinal", "binary"),
    "negbinom": ("count",),
    "moderated": ("continuous",),
}
_OF_COUNTS = ("negbinom", "spearman", "mann_whitney", "kruskal")
_PAIRS = 1 << 18
LARGEST = 1e100
"""Numbers beyond this are marks of a program that failed, and would overflow."""
BEYOND = "{} cells of {} lie beyond 1e100 and were taken as missing: they are no measurements."


@dataclass(frozen=True, eq=False)
class Matched:
    """Rows common to the images, a layer and whatever else a test needs.

    `clusters` numbers the patient of each row, `modifier` is the effect modifier, `beyond` counts
    the cells beyond `LARGEST`, which are missing here.
    """

    samples: tuple[str, ...]
    traits: Array
    omics: Array
    covariates: Array | None
    clusters: NDArray[np.int64] | None = None
    modifier: Array | None = None
    beyond: int = 0


def match(
    phenotypes: PhenotypeTable,
    layer: OmicsTable,
    covariates: Covariates | None,
    *,
    label: str,
    reasons: dict[str, str],
    clusters: Mapping[str, Any] | None = None,
    modifier: str | None = None,
    only: Collection[str] | None = None,
) -> Matched:
    """Return the rows that a scan of one layer works on.

    Parameters
    ----------
    phenotypes, layer, covariates
        Tables of samples; with `clusters`, those whose ids are clusters are spread over them.
    label : str
        Name of the layer.
    reasons : dict
        Filled: why a sample is not used.
    clusters : mapping of str to value or None
        Patient of each sample.
    modifier : str or None
        The covariate that is taken out as effect modifier.
    only : collection of str or None
        Samples of the stratum; all where None.

    Returns
    -------
    Matched
        At least three rows.

    Raises
    ------
    InputError
        If too few rows have complete covariates.
    AlignmentError
        If too few samples match.
    """
    if clusters is not None:
        layer = replace(layer, **_spread(layer, phenotypes.samples, clusters))
        if covariates is not None:
            covariates = replace(covariates, **_spread(covariates, phenotypes.samples, clusters))
    tables: dict[str, Sequence[str]] = {"images": phenotypes.samples, label: layer.samples}
    if covariates is not None:
        tables["covariates"] = covariates.samples
    if only is not None:
        tables["stratum"] = [item for item in phenotypes.samples if item in only]
    found = align(tables, need=3)
    for sample, absent in found.dropped.select("sample", "absent_from").iter_rows():
        reasons.setdefault(sample, f"absent from {absent}")
    keep = np.ones(found.n_samples, dtype=bool)
    z = None
    if covariates is not None:
        z = covariates.values[found.rows["covariates"]]
        keep = np.asarray(np.isfinite(z).all(axis=1))
        z = z[keep]
        _enough(found, keep, reasons, label, covariates)
    rows = {name: index[keep] for name, index in found.rows.items()}
    samples = tuple(item for item, kept in zip(found.samples, keep, strict=True) if kept)
    effect = None
    if modifier is not None:
        assert covariates is not None
        assert z is not None
        place = covariates.names.index(modifier)
        effect, z = z[:, place], np.delete(z, place, axis=1)
        z = z if z.shape[1] else None
    codes = None
    if clusters is not None:
        named = [str(clusters[item]) for item in samples]
        codes = np.unique(named, return_inverse=True)[1].astype(np.int64)
    traits, n_traits = without_sentinels(phenotypes.values[rows["images"]])
    values, n_values = without_sentinels(layer.values[rows[label]])
    return Matched(samples, traits, values, z, codes, effect, n_traits + n_values)


def without_sentinels(values: Array) -> tuple[Array, int]:
    """Return values with what is beyond `LARGEST` missing, and how many cells that are.

    Parameters
    ----------
    values : ndarray of float64 (n_samples, n_columns)
        NaN = missing.

    Returns
    -------
    values : ndarray of float64 (n_samples, n_columns)
        The same array where nothing lies beyond.
    count : int
        Cells that became missing.
    """
    beyond = np.abs(values) > LARGEST
    count = int(np.count_nonzero(beyond))
    return (np.where(beyond, np.nan, values), count) if count else (values, 0)


def _enough(
    found: Alignment,
    keep: NDArray[np.bool_],
    reasons: dict[str, str],
    label: str,
    covariates: Covariates,
) -> None:
    for sample, kept in zip(found.samples, keep, strict=True):
        if not kept:
            reasons.setdefault(sample, "a covariate is missing")
    if keep.sum() < 3:
        raise InputError(
            f"Only {int(keep.sum())} samples of layer {label!r} have complete covariates "
            f"({shown(covariates.names)}). Impute them or leave out the sparse ones."
        )


def _spread(
    table: OmicsTable | Covariates, samples: Sequence[str], clusters: Mapping[str, Any]
) -> dict[str, Any]:
    """Rows of clusters given to their samples; a table of samples stays as it is."""
    lacking = [item for item in samples if item not in clusters]
    if lacking:
        raise InputError(f"clusters names no patient for {len(lacking)} samples: {shown(lacking)}.")
    own = set(table.samples)
    if own & set(samples):
        return {}
    place = {item: row for row, item in enumerate(table.samples)}
    kept = [item for item in samples if str(clusters[item]) in own]
    rows = [place[str(clusters[item])] for item in kept]
    return {"samples": tuple(kept), "values": table.values[rows]}


def units_of(
    matched: Matched,
    layer: OmicsTable,
    types: Sequence[str],
    *,
    test: str,
    transform: str,
    standardise: bool,
    limits: tuple[float, int, int],
    block_size: int | None,
    first: int,
) -> Iterator[Unit]:
    """Yield the pairs of one layer in blocks that share a test, made when they are needed.

    Parameters
    ----------
    matched : Matched
        From `match`.
    layer : OmicsTable
        The whole layer, whose values say what type a feature has.
    types : sequence of str
        Type of each phenotype.
    test : str
        As `scan` has it.
    transform : {"none", "rank"}
        "rank": continuous phenotypes as normal scores of the matched samples.
    standardise : bool
        Divide continuous columns by their deviation.
    limits : tuple of (float, int, int)
        Confidence, fewest samples, fewest samples of either group.
    block_size : int or None
        Features per block; about half a million pairs where None.
    first : int
        Number of the layer's first feature among those of all layers.

    Raises
    ------
    InputError
        If the test does not fit the data.
    """
    omics_types = _omics_types(layer, matched.omics)
    traits, values = matched.traits, matched.omics
    continuous = np.array([kind == "continuous" for kind in types], dtype=bool)
    if transform == "rank":
        traits = np.array(traits)
        traits[:, continuous] = normal_scores(traits[:, continuous])
    if standardise:
        traits = scaled(traits, continuous)
        values = scaled(values, np.array([kind == "continuous" for kind in omics_types]))
    offset = None
    if layer.scale == "counts" and test == "negbinom":
        offset = np.log(median_ratio_factors(values))
    for kind in dict.fromkeys(types):
        rows = np.array([i for i, item in enumerate(types) if item == kind], dtype=np.int64)
        for omics_kind in dict.fromkeys(omics_types):
            name, swapped, fits = _choose(test, kind, omics_kind, layer)
            columns = np.array(
                [j for j, item in enumerate(omics_types) if item == omics_kind], dtype=np.int64
            )
            side = None
            if name == "linear" and fits and not swapped and matched.modifier is None:
                side = prepare(traits[:, rows], matched.covariates)
            for start, stop in block_ranges(len(columns), _size(name, rows, columns, block_size)):
                block = columns[start:stop]
                sides = (traits[:, rows], values[:, block])
                left, right = sides[::-1] if swapped else sides
                yield Unit(
                    left if side is None else side.traits,
                    right,
                    matched.covariates,
                    name,
                    limits,
                    (rows, block + first),
                    swapped=swapped,
                    fits=fits,
                    offset=offset,
                    side=side,
                    clusters=matched.clusters,
                    modifier=matched.modifier,
                )


def _size(
    name: str, rows: NDArray[np.int64], columns: NDArray[np.int64], wanted: int | None
) -> int:
    if name == "moderated":
        # Moderation borrows strength from all features of the layer: it is not cut.
        return max(len(columns), 1)
    return wanted or max(_PAIRS // max(len(rows), 1), 1)


def _choose(test: str, kind: str, omics_kind: str, layer: OmicsTable) -> tuple[str, bool, bool]:
    """Return the test, whether the feature is the outcome, and whether the types suit it."""
    if omics_kind == "count" and test not in _OF_COUNTS:
        raise InputError(
            f"The {layer.layer} layer holds raw counts. Normalise it first (log2 of counts per "
            "million, say), or ask for test='negbinom' or test='spearman'."
        )
    if test == "auto":
        return *_AUTO[kind, omics_kind], True
    if test in _OUTCOME:
        for swapped, side in ((True, omics_kind), (False, kind)):
            if side in _OUTCOME[test]:
                return test, swapped, True
        return test, False, False
    return test, False, True


def no_outcome(test: str) -> str:
    """Return what to say where no pair has the outcome that a test needs."""
    return (
        f"test={test!r} needs a {' or '.join(_OUTCOME[test])} outcome, and no pair has one. "
        "Declare types (phenotype_types), or choose another test; 'auto' fits each pair."
    )


def _omics_types(layer: OmicsTable, values: Array) -> list[str]:
    if layer.scale == "ordinal":
        return ["ordinal"] * layer.n_features
    if layer.scale == "counts":
        return ["count"] * layer.n_features
    if layer.layer == "mutation" or layer.scale == "binary":
        known = np.isfinite(layer.values)
        wrong = ~(~known | (layer.values == 0) | (layer.values == 1)).all(axis=0)
        if layer.scale == "binary" and wrong.any():
            bad = [layer.features[j] for j in np.flatnonzero(wrong)]
            raise InputError(
                f"The {layer.layer} layer is declared binary; other values than 0 and 1 stand in "
                f"{shown(bad)}."
            )
        return ["continuous" if odd else "binary" for odd in wrong]
    binary = _pairs.is_binary(values)
    return ["binary" if flag else "continuous" for flag in binary]


def types_of(phenotypes: PhenotypeTable, declared: Mapping[str, str] | None) -> list[str]:
    """Return the type of each phenotype: as declared, else binary where it holds 0 and 1 only."""
    binary = _pairs.is_binary(phenotypes.values)
    types = ["binary" if flag else "continuous" for flag in binary]
    place = {name: column for column, name in enumerate(phenotypes.names)}
    for name, kind in (declared or {}).items():
        require_choice(name, place, what="phenotype")
        types[place[name]] = require_choice(kind, _TYPES, what="phenotype type")
    return types


def families_of(phenotypes: PhenotypeTable, given: Mapping[str, str] | None) -> list[str]:
    """Return the family of each phenotype: as given, else of its spec, else its name."""
    if given is not None:
        for name in given:
            require_choice(name, phenotypes.names, what="phenotype")
        return [str(given.get(name, name)) for name in phenotypes.names]
    spec = phenotypes.specs["family"].to_list()
    return [family or name for family, name in zip(spec, phenotypes.names, strict=True)]


def layer_labels(layers: Sequence[OmicsTable]) -> list[str]:
    """Return a name of each layer, different ones where two are of one kind."""
    labels: list[str] = []
    for layer in layers:
        count = sum(item.layer == layer.layer for item in layers)
        same = f"{layer.layer} ({layer.scale})" if count > 1 else layer.layer
        number = sum(item == same or item.startswith(f"{same} #") for item in labels)
        labels.append(f"{same} #{number + 1}" if number else same)
    return labels


def scaled(values: Array, which: NDArray[np.bool_]) -> Array:
    """Return columns divided by their standard deviation where `which` says so."""
    out = np.array(values)
    for column in np.flatnonzero(which):
        known = out[np.isfinite(out[:, column]), column]
        spread = known.std(ddof=1) if len(known) > 1 else 0.0
        if spread > 0:
            out[:, column] /= spread
    return out
