"""Test every image phenotype against every molecular feature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.blocks import block_ranges, map_units
from radgen._core.naming import require_choice
from radgen.associate import _pairs
from radgen.associate._kernels import KERNELS, PERMUTED, UNADJUSTED
from radgen.associate._maxt import Permuted, max_t_blocks
from radgen.associate._models import negbinom_block
from radgen.associate._table import Piece, assemble
from radgen.associate.association_result import AssociationResult
from radgen.errors import InputError, shown
from radgen.omics.normalise import median_ratio_factors
from radgen.types import Alignment, Covariates, OmicsTable, PhenotypeTable, align

__all__ = ["TESTS", "scan"]

Array = NDArray[np.float64]

TESTS = ("auto", *KERNELS)
"""Names that `scan` accepts as ``test``."""

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


@dataclass(frozen=True, eq=False)
class _Unit:
    """One block of pairs as it travels to a worker."""

    traits: Array
    predictors: Array
    covariates: Array | None
    test: str
    confidence: float
    min_n: int
    min_group: int
    offset: Array | None


def scan(
    phenotypes: PhenotypeTable,
    omics: OmicsTable | Sequence[OmicsTable],
    covariates: Covariates | None = None,
    *,
    test: str = "auto",
    phenotype_types: Mapping[str, str] | None = None,
    families: Mapping[str, str] | None = None,
    standardise: bool = False,
    permutations: int = 0,
    strata: Mapping[str, Any] | None = None,
    min_n: int = 10,
    min_group: int = 3,
    confidence: float = 0.95,
    block_size: int = 2048,
    executor: Executor | None = None,
    seed: int = 0,
) -> AssociationResult:
    """Return the association of every phenotype with every molecular feature.

    Parameters
    ----------
    phenotypes : PhenotypeTable
        Image phenotypes; columns that hold only 0 and 1 count as binary.
    omics : OmicsTable or sequence of OmicsTable
        One or more molecular layers; each is matched to the images by sample id on its own.
    covariates : Covariates or None
        Adjusted for in every test that can; samples with a missing covariate are dropped.
    test : str, default "auto"
        One of `TESTS`. "auto" chooses by declared type: a phenotype on a mutation (0/1) or on a
        continuous feature by linear regression, 0/1 on 0/1 by Firth's logistic regression,
        anything ordinal by a proportional-odds model.
    phenotype_types : mapping of str to {"continuous", "binary", "ordinal"} or None
        Declared types of phenotypes that are not what they look like.
    families : mapping of str to str or None
        Family of each phenotype for the hierarchical q-value; the ``family`` of its spec (or
        its name where that is blank) where None. Each family is crossed with the layers.
    standardise : bool, default False
        Divide continuous phenotypes and features by their standard deviation in the matched
        samples, so that effects are in standard deviations.
    permutations : int, default 0
        Number of Westfall-Young max-T permutations (linear and Spearman tests); 0 = none.
    strata : mapping of str to value or None
        Exchangeability stratum of each sample: permutations stay within it.
    min_n : int, default 10
        Fewest complete samples of a tested pair.
    min_group : int, default 3
        Fewest samples in either group where a side is 0/1.
    confidence : float, default 0.95
        Coverage of the intervals.
    block_size : int, default 2048
        Molecular features per unit of work; changes memory, never a result.
    executor : concurrent.futures.Executor or None
        Where the units run; this process where None.
    seed : int, default 0
        Seed of the permutations.

    Returns
    -------
    AssociationResult
        All pairs, tested or not, with effects, intervals, p and adjusted values.

    Raises
    ------
    InputError
        If a test or type is unknown, a layer holds raw counts and the test is not made for
        them, or an option is out of range.
    AlignmentError
        If ids are repeated or too few samples match.

    Notes
    -----
    Adjusted values count tested pairs of all layers together. A missing value drops the
    sample from the pairs of that column only. P-values of logistic, ordinal and
    negative-binomial models come from the score test of the covariates' model with a t
    reference: it keeps its level in small samples; effects and intervals come from the model of
    the pair. "negbinom" takes raw counts, with median-ratio size factors as offset.

    Examples
    --------
    >>> import numpy as np
    >>> from radgen.types import OmicsTable, PhenotypeTable
    >>> ids = [f"s{i}" for i in range(20)]
    >>> values = np.arange(20.0)
    >>> images = PhenotypeTable.from_frame({"sample": ids, "volume": values})
    >>> genes = OmicsTable(ids, ["G1"], (values % 2)[:, None], "mutation", "binary")
    >>> scan(images, genes).table["effect"].round(6).to_list()
    [1.0]
    """
    if covariates is not None and test in UNADJUSTED:
        raise InputError(
            f"test={test!r} cannot adjust for covariates. Leave them out, or use 'linear', "
            "'spearman' (partial), 'firth' or 'ordinal'."
        )
    _check_options(
        test,
        min_n=min_n,
        min_group=min_group,
        confidence=confidence,
        block_size=block_size,
        permutations=permutations,
    )
    layers = [omics] if isinstance(omics, OmicsTable) else list(omics)
    if not layers:
        raise InputError("No molecular layer was given.")
    pieces: list[Piece] = []
    names: list[str] = []
    layer_of: list[str] = []
    found: list[Alignment] = []
    reasons: dict[str, str] = {}
    labels = _layer_labels(layers)
    permuted: list[tuple[int, bool, Permuted]] = []
    for label, layer in zip(labels, layers, strict=True):
        matched = _match(phenotypes, layer, covariates, label, reasons)
        found.append(matched.alignment)
        units, places = _units(
            matched,
            layer,
            _phenotype_types(phenotypes, phenotype_types),
            test=test,
            standardise=standardise,
            options=(confidence, min_n, min_group),
            block_size=block_size,
        )
        blocks = map_units(_run_unit, units, executor=executor, what=f"Testing {label}")
        for unit, place, block in zip(units, places, blocks, strict=True):
            rows, columns, name, swapped = place
            if permutations and name in PERMUTED:
                tested = np.isfinite(block.log10p)
                sides = (unit.traits, unit.predictors, unit.covariates)
                entry = Permuted(matched.alignment.samples, *sides, tested, name == "spearman")
                permuted.append((len(pieces), swapped, entry))
            pieces.append(
                Piece(
                    rows,
                    columns + len(names),
                    name,
                    "omics ~ phenotype" if swapped else "phenotype ~ omics",
                    block if swapped else block.transposed(),
                )
            )
        names += layer.features
        layer_of += [label] * layer.n_features
    if permuted:
        found_p = max_t_blocks(
            [entry for _, _, entry in permuted],
            n_permutations=permutations,
            seed=seed,
            strata=strata,
            executor=executor,
        )
        for (index, swapped, _), values in zip(permuted, found_p, strict=True):
            pieces[index] = replace(pieces[index], p_maxt=values if swapped else values.T)
    frame = assemble(
        pieces,
        phenotypes=phenotypes.names,
        omics=names,
        layers=layer_of,
        families=_families(phenotypes, families),
    )
    used = sorted({item for alignment in found for item in alignment.samples})
    return AssociationResult(
        frame=frame,
        params={
            "test": test,
            "tests_used": sorted({piece.test for piece in pieces}),
            "covariates": list(covariates.names) if covariates is not None else [],
            "layers": labels,
            "n_phenotypes": phenotypes.n_phenotypes,
            "n_omics": len(names),
            "n_families": frame["family"].n_unique(),
            "standardise": standardise,
            "permutations": permutations,
            "min_n": min_n,
            "min_group": min_group,
            "confidence": confidence,
            "seed": seed,
        },
        n_used=len(used),
        dropped=pl.DataFrame(
            {"sample": list(reasons), "reason": list(reasons.values())},
            schema={"sample": pl.String, "reason": pl.String},
        ).filter(~pl.col("sample").is_in(used)),
        warnings=_warnings(frame),
        provenance={"step": "associate.scan", "version": 1, "seed": seed},
    )


@dataclass(frozen=True, eq=False)
class _Matched:
    alignment: Alignment
    traits: Array
    omics: Array
    covariates: Array | None


def _match(
    phenotypes: PhenotypeTable,
    layer: OmicsTable,
    covariates: Covariates | None,
    label: str,
    reasons: dict[str, str],
) -> _Matched:
    """Rows common to the images, the layer and complete covariates."""
    tables: dict[str, Sequence[str]] = {"images": phenotypes.samples, label: layer.samples}
    if covariates is not None:
        complete = np.isfinite(covariates.values).all(axis=1)
        tables["covariates"] = covariates.samples
    alignment = align(tables, need=3)
    for sample, absent in alignment.dropped.select("sample", "absent_from").iter_rows():
        reasons.setdefault(sample, f"absent from {absent}")
    rows = dict(alignment.rows)
    z = None
    if covariates is not None:
        keep = complete[rows["covariates"]]
        for sample, kept in zip(alignment.samples, keep, strict=True):
            if not kept:
                reasons.setdefault(sample, "a covariate is missing")
        rows = {name: index[keep] for name, index in rows.items()}
        z = covariates.values[rows["covariates"]]
        alignment = Alignment(
            tuple(s for s, kept in zip(alignment.samples, keep, strict=True) if kept),
            rows,
            alignment.dropped,
            alignment.counts,
        )
        if alignment.n_samples < 3:
            raise InputError(
                f"Only {alignment.n_samples} samples of layer {label!r} have complete covariates "
                f"({shown(covariates.names)}). Impute them or leave out the sparse ones."
            )
    return _Matched(alignment, phenotypes.values[rows["images"]], layer.values[rows[label]], z)


def _units(
    matched: _Matched,
    layer: OmicsTable,
    types: Sequence[str],
    *,
    test: str,
    standardise: bool,
    options: tuple[float, int, int],
    block_size: int,
) -> tuple[list[_Unit], list[tuple[NDArray[np.int64], NDArray[np.int64], str, bool]]]:
    """Cut the pairs of one layer into blocks that share a test."""
    omics_types = _omics_types(layer, matched.omics)
    traits, values = matched.traits, matched.omics
    if standardise:
        traits = _scaled(traits, np.array([kind == "continuous" for kind in types]))
        values = _scaled(values, np.array([kind == "continuous" for kind in omics_types]))
    offset = None
    if layer.scale == "counts" and test == "negbinom":
        offset = np.log(median_ratio_factors(values))
    units, places = [], []
    for kind in dict.fromkeys(types):
        rows = np.array([i for i, item in enumerate(types) if item == kind], dtype=np.int64)
        for omics_kind in dict.fromkeys(omics_types):
            name, swapped = _choose(test, kind, omics_kind, layer)
            columns = np.array(
                [j for j, item in enumerate(omics_types) if item == omics_kind], dtype=np.int64
            )
            # Moderation borrows strength from all features of the layer: it is not cut.
            size = max(len(columns), 1) if name == "moderated" else block_size
            for start, stop in block_ranges(len(columns), size):
                block = columns[start:stop]
                sides = (traits[:, rows], values[:, block])
                left, right = sides[::-1] if swapped else sides
                units.append(_Unit(left, right, matched.covariates, name, *options, offset))
                places.append((rows, block, name, swapped))
    return units, places


def _run_unit(unit: _Unit) -> _pairs.PairBlock:
    sides = (unit.traits, unit.predictors, unit.covariates, unit.confidence)
    if unit.test == "negbinom":
        block = negbinom_block(*sides, offset=unit.offset)
    else:
        block = KERNELS[unit.test](*sides)
    small = np.fmin(block.n_group1, block.n - block.n_group1) < unit.min_group
    if _pairs.is_binary(unit.traits).any():
        ones = _pairs.group_sizes(unit.traits, np.isfinite(unit.predictors)).T
        small |= np.fmin(ones, block.n - ones) < unit.min_group
    open_pairs = block.code == 0
    block = block.refuse(small & open_pairs, _pairs.TOO_FEW_CARRIERS)
    return block.refuse(
        (block.n < unit.min_n) & (block.code != _pairs.TOO_FEW_CARRIERS), _pairs.TOO_FEW_SAMPLES
    )


def _choose(test: str, kind: str, omics_kind: str, layer: OmicsTable) -> tuple[str, bool]:
    if omics_kind == "count" and test not in ("negbinom", "spearman", "mann_whitney", "kruskal"):
        raise InputError(
            f"The {layer.layer} layer holds raw counts. Normalise it first (log2 of counts per "
            "million, say), or ask for test='negbinom' or test='spearman'."
        )
    if test == "auto":
        return _AUTO[kind, omics_kind]
    if test in _OUTCOME:
        for swapped, side in ((True, omics_kind), (False, kind)):
            if side in _OUTCOME[test]:
                return test, swapped
        raise InputError(
            f"test={test!r} needs a {' or '.join(_OUTCOME[test])} outcome; the pair is a "
            f"{kind} phenotype with a {omics_kind} feature of layer {layer.layer!r}."
        )
    return test, False


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


def _phenotype_types(phenotypes: PhenotypeTable, declared: Mapping[str, str] | None) -> list[str]:
    binary = _pairs.is_binary(phenotypes.values)
    types = ["binary" if flag else "continuous" for flag in binary]
    place = {name: column for column, name in enumerate(phenotypes.names)}
    for name, kind in (declared or {}).items():
        require_choice(name, place, what="phenotype")
        types[place[name]] = require_choice(kind, _TYPES, what="phenotype type")
    return types


def _families(phenotypes: PhenotypeTable, given: Mapping[str, str] | None) -> list[str]:
    if given is not None:
        for name in given:
            require_choice(name, phenotypes.names, what="phenotype")
        return [str(given.get(name, name)) for name in phenotypes.names]
    spec = phenotypes.specs["family"].to_list()
    return [family or name for family, name in zip(spec, phenotypes.names, strict=True)]


def _layer_labels(layers: Sequence[OmicsTable]) -> list[str]:
    labels: list[str] = []
    for layer in layers:
        count = sum(item.layer == layer.layer for item in layers)
        same = f"{layer.layer} ({layer.scale})" if count > 1 else layer.layer
        number = sum(item == same or item.startswith(f"{same} #") for item in labels)
        labels.append(f"{same} #{number + 1}" if number else same)
    return labels


def _scaled(values: Array, which: NDArray[np.bool_]) -> Array:
    out = np.array(values)
    for column in np.flatnonzero(which):
        known = out[np.isfinite(out[:, column]), column]
        spread = known.std(ddof=1) if len(known) > 1 else 0.0
        if spread > 0:
            out[:, column] /= spread
    return out


def _warnings(frame: pl.DataFrame) -> tuple[str, ...]:
    flagged = frame.filter(pl.col("status") == "warning")
    if not flagged.height:
        return ()
    return (f"{flagged.height} pairs need a look: {shown(flagged['reason'].unique().sort())}.",)


def _check_options(
    test: str, *, min_n: int, min_group: int, confidence: float, block_size: int, permutations: int
) -> None:
    require_choice(test, TESTS, what="test")
    if not 0 < confidence < 1:
        raise InputError(f"confidence lies between 0 and 1; found {confidence}.")
    if min(min_n, block_size) < 1 or min(min_group, permutations) < 0:
        raise InputError("min_n and block_size are at least 1, min_group and permutations 0.")
