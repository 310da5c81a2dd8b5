"""Test every image phenotype against every molecular feature."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from radgen._core.blocks import iter_units
from radgen._core.naming import did_you_mean, require_choice
from radgen._core.progress import progress
from radgen._core.threads import n_threads, one_blas_thread
from radgen.associate._kernels import KERNELS, MODIFIED, PERMUTED, UNADJUSTED
from radgen.associate._maxt import Permuted, max_t_blocks
from radgen.associate._pairs import ruled_by_one
from radgen.associate._plan import (
    BEYOND,
    Matched,
    families_of,
    layer_labels,
    match,
    no_outcome,
    types_of,
    units_of,
)
from radgen.associate._run import LEAST_SQUARES, Unit, run_unit
from radgen.associate._stream import Stream
from radgen.associate._summary import tally
from radgen.associate._table import ALL_SAMPLES, Names, Piece, assemble, n_effective
from radgen.associate.association_result import AssociationResult
from radgen.errors import AlignmentError, InputError, shown
from radgen.types import Covariates, OmicsTable, PhenotypeTable
from radgen.types.align import look_alikes

__all__ = ["TESTS", "scan"]

TESTS = ("auto", *KERNELS, "mixed")
"""Names that `scan` accepts as ``test``."""


@dataclass(frozen=True, eq=False)
class _Options:
    """What a scan was asked for, checked."""

    test: str
    types: Sequence[str]
    transform: str
    standardise: bool
    limits: tuple[float, int, int]
    block_size: int | None
    clusters: Mapping[str, Any] | None
    modifier: str | None


def scan(
    phenotypes: PhenotypeTable,
    omics: OmicsTable | Sequence[OmicsTable],
    covariates: Covariates | None = None,
    *,
    test: str = "auto",
    phenotype_types: Mapping[str, str] | None = None,
    families: Mapping[str, str] | None = None,
    by: Mapping[str, Any] | None = None,
    modifier: str | None = None,
    clusters: Mapping[str, Any] | None = None,
    transform: str = "none",
    standardise: bool = False,
    permutations: int = 0,
    strata: Mapping[str, Any] | None = None,
    min_n: int = 10,
    min_group: int = 3,
    confidence: float = 0.95,
    out: str | Path | None = None,
    listed: int = 10_000,
    block_size: int | None = None,
    jobs: int | None = None,
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
        anything ordinal by a proportional-odds model; "mixed" where `clusters` are given.
    phenotype_types : mapping of str to {"continuous", "binary", "ordinal"} or None
        Declared types of phenotypes that are not what they look like.
    families : mapping of str to str or None
        Family of each phenotype for the hierarchical q-value; the ``family`` of its spec (or
        its name where that is blank) where None. Each family is crossed with the layers.
    by : mapping of str to value or None
        Stratum of each sample: every pair is tested in each stratum by itself. Samples without
        a stratum (None) are left out.
    modifier : str or None
        One of the covariates: what is tested is whether the effect of a pair changes with it
        (the product of the right side with the covariate, adjusted for both).
    clusters : mapping of str to value or None
        Patient of each sample, where samples are lesions: tests are linear models with a random
        intercept of the patient. Layers and covariates may have a row a patient.
    transform : {"none", "rank"}
        "rank": continuous phenotypes as normal scores of the matched samples, so that no single
        sample rules a result.
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
        Fewest samples (patients, with `clusters`) in either group where a side is 0/1.
    confidence : float, default 0.95
        Coverage of the intervals.
    out : str, Path or None
        Parquet file that gets all pairs, in bounded memory; the result then lists the pairs
        with the smallest p alone.
    listed : int, default 10,000
        How many it lists.
    block_size : int or None
        Molecular features per unit of work, None = about half a million pairs; changes memory,
        never a result.
    jobs : int or None
        Threads of this process, used where `executor` is None; None = the processors at hand.
    executor : concurrent.futures.Executor or None
        Where the units run instead.
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
    Adjusted values count tested pairs of all layers and strata together. A missing value drops
    the sample from the pairs of that column only. P-values of logistic, ordinal and
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
    if test == "auto" and clusters is not None:
        test = "mixed"
    _check_test(test, covariates, modifier=modifier, clusters=clusters)
    require_choice(transform, ("none", "rank"), what="transform")
    _check_numbers(
        min_n=min_n,
        min_group=min_group,
        confidence=confidence,
        block_size=block_size,
        permutations=permutations,
    )
    if permutations and (out is not None or modifier is not None or clusters is not None):
        raise InputError("Max-T permutations go with neither out, modifier nor clusters.")
    layers = [omics] if isinstance(omics, OmicsTable) else list(omics)
    if not layers:
        raise InputError("No molecular layer was given.")
    limits = (confidence, min_n, min_group)
    types = types_of(phenotypes, phenotype_types)
    options = _Options(test, types, transform, standardise, limits, block_size, clusters, modifier)
    plan = _Plan(phenotypes, layers, covariates, options, by)
    names = Names(
        phenotypes.names,
        [name for layer in layers for name in layer.features],
        [label for label, layer in zip(plan.labels, layers, strict=True) for _ in layer.features],
        families_of(phenotypes, families),
        list(plan.strata),
    )
    count = n_effective(phenotypes.values, [layer.values for layer in layers], len(plan.strata))
    if out is not None:
        stream = Stream(Path(out), names, listed, count)
        frame, summary = _streamed(plan, stream, jobs, executor)
    else:
        pieces = _in_memory(plan, permutations, seed, strata, jobs, executor)
        frame = assemble(pieces, names, count)
        summary = tally(frame)
    return AssociationResult(
        frame=frame,
        params={
            "test": test,
            "tests_used": sorted(plan.tests),
            "covariates": list(covariates.names) if covariates is not None else [],
            "modifier": modifier,
            "layers": plan.labels,
            "strata": list(plan.strata),
            "n_phenotypes": phenotypes.n_phenotypes,
            "n_omics": len(names.omics),
            "n_families": len(names.family_labels),
            "transform": transform,
            "standardise": standardise,
            "permutations": permutations,
            "min_n": min_n,
            "min_group": min_group,
            "confidence": confidence,
            "seed": seed,
            "out": None if out is None else str(out),
        },
        n_used=len(plan.used),
        dropped=pl.DataFrame(
            {"sample": list(plan.reasons), "reason": list(plan.reasons.values())},
            schema={"sample": pl.String, "reason": pl.String},
        ).filter(~pl.col("sample").is_in(list(plan.used))),
        warnings=_warnings(summary) + plan.notes,
        provenance={"step": "associate.scan", "version": 2, "seed": seed},
        summary=summary | {"n_effective": count},
    )


class _Plan:
    """The units of a scan, made as they are needed; knows afterwards who was used."""

    def __init__(
        self,
        phenotypes: PhenotypeTable,
        layers: Sequence[OmicsTable],
        covariates: Covariates | None,
        options: _Options,
        by: Mapping[str, Any] | None,
    ) -> None:
        self.phenotypes, self.layers, self.covariates = phenotypes, layers, covariates
        self.options = options
        self.labels = layer_labels(layers)
        self.strata = _strata(by)
        self.reasons: dict[str, str] = {}
        self.used: set[str] = set()
        self.tests: set[str] = set()
        self.notes: tuple[str, ...] = ()
        self.samples: dict[int, tuple[str, ...]] = {}

    def units(self) -> Iterator[Unit]:
        """Yield all units, stratum by stratum and layer by layer."""
        fitted = not self.strata
        for number, (stratum, only) in enumerate(self.strata.items()):
            first = 0
            for label, layer in zip(self.labels, self.layers, strict=True):
                for unit in self._layer(number, stratum, only, label, layer, first):
                    fitted |= unit.fits
                    yield unit
                first += layer.n_features
        if not fitted and self.tests:
            raise InputError(no_outcome(self.options.test))

    def _layer(  # noqa: PLR0917
        self,
        number: int,
        stratum: str,
        only: frozenset[str] | None,
        label: str,
        layer: OmicsTable,
        first: int,
    ) -> Iterator[Unit]:
        o = self.options
        try:
            matched = match(
                self.phenotypes,
                layer,
                self.covariates,
                label=label,
                reasons=self.reasons,
                clusters=o.clusters,
                modifier=o.modifier,
                only=only,
            )
        except (AlignmentError, InputError) as error:
            if only is None:
                raise
            self.notes += (f"{label} was not tested in stratum {stratum!r}: {error}",)
            return
        self.used.update(matched.samples)
        if o.clusters is None:
            self._spellings(label, layer)
        self._outliers(matched, label, layer)
        if matched.beyond:
            self.notes += (BEYOND.format(matched.beyond, f"the phenotypes or of {label}"),)
        for unit in units_of(
            matched,
            layer,
            o.types,
            test=o.test,
            transform=o.transform,
            standardise=o.standardise,
            limits=o.limits,
            block_size=o.block_size,
            first=first,
        ):
            self.tests.add(unit.test)
            yield replace(unit, stratum=number, samples=matched.samples)

    def _spellings(self, label: str, layer: OmicsTable) -> None:
        """Warn of samples that are lost because their ids are spelt in two ways."""
        sides = {label: layer.samples}
        if self.covariates is not None:
            sides["covariates"] = self.covariates.samples
        for name, samples in sides.items():
            pairs = look_alikes(self.phenotypes.samples, samples)
            if pairs:
                note = (
                    f"{len(pairs)} samples of the images differ from one of {name} in spelling "
                    f"only ({shown([f'{a!r} and {b!r}' for a, b in pairs], 3)}); they were not "
                    "matched. Clean the ids, or declare an id rule."
                )
                self.notes = (*self.notes, note) if note not in self.notes else self.notes

    def _outliers(self, matched: Matched, label: str, layer: OmicsTable) -> None:
        """Warn of columns whose least-squares results hang on one sample."""
        if self.options.test not in ("auto", *LEAST_SQUARES):
            return
        sides = [(matched.omics, layer.features, f"features of {label}")]
        if self.options.transform == "none":
            sides.append((matched.traits, self.phenotypes.names, "phenotypes"))
        for values, names, what in sides:
            where = np.flatnonzero(ruled_by_one(values))
            if len(where):
                few = shown([names[place] for place in where], 3)
                note = (
                    f"One sample alone holds more than half of the variance of {len(where)} {what} "
                    f"({few}): linear results of these hang on it. Look at it, or use "
                    "transform='rank' or test='spearman'."
                )
                self.notes = (*self.notes, note) if note not in self.notes else self.notes


def _strata(by: Mapping[str, Any] | None) -> dict[str, frozenset[str] | None]:
    if by is None:
        return {ALL_SAMPLES: None}
    members: dict[str, set[str]] = {}
    for sample, value in by.items():
        if value is not None:
            members.setdefault(str(value), set()).add(sample)
    if not members:
        raise InputError("No sample has a stratum.")
    return {name: frozenset(members[name]) for name in sorted(members)}


def _pieces(units: Iterator[Unit], jobs: int | None, executor: Executor | None) -> Iterator[Piece]:
    """Yield the tested units in order, a few at a time."""
    with ExitStack() as stack:
        tick = stack.enter_context(progress("Testing pairs", None))
        ahead = 64
        if executor is None and n_threads(jobs) > 1:
            stack.enter_context(one_blas_thread())
            executor = stack.enter_context(ThreadPoolExecutor(n_threads(jobs)))
            ahead = n_threads(jobs) + 1
        for piece in iter_units(run_unit, units, executor=executor, ahead=ahead):
            yield piece
            tick(piece.block.n.size)


def _streamed(
    plan: _Plan, stream: Stream, jobs: int | None, executor: Executor | None
) -> tuple[pl.DataFrame, dict[str, Any]]:
    try:
        for piece in _pieces(plan.units(), jobs, executor):
            stream.add(piece)
        frame = stream.close()
    finally:
        stream.discard()
    return frame, stream.tally.summary()


def _in_memory(  # noqa: PLR0917
    plan: _Plan,
    permutations: int,
    seed: int,
    strata: Mapping[str, Any] | None,
    jobs: int | None,
    executor: Executor | None,
) -> list[Piece]:
    if not permutations:
        return list(_pieces(plan.units(), jobs, executor))
    units = list(plan.units())
    pieces = list(_pieces(iter(units), jobs, executor))
    permuted = []
    for place, (unit, piece) in enumerate(zip(units, pieces, strict=True)):
        if unit.test in PERMUTED:
            block = piece.block if unit.swapped else piece.block.transposed()
            sides = (unit.traits, unit.predictors, unit.covariates)
            tested = np.isfinite(block.log10p)
            entry = Permuted(unit.samples, *sides, tested, unit.test == "spearman")
            permuted.append((place, unit.swapped, entry))
    if permuted:
        found = max_t_blocks(
            [entry for _, _, entry in permuted],
            n_permutations=permutations,
            seed=seed,
            strata=strata,
            executor=executor,
        )
        for (place, swapped, _), values in zip(permuted, found, strict=True):
            pieces[place] = replace(pieces[place], p_maxt=values if swapped else values.T)
    return pieces


def _warnings(summary: Mapping[str, Any]) -> tuple[str, ...]:
    flagged = summary["flagged"]
    if not flagged:
        return ()
    return (f"{sum(flagged.values())} pairs need a look: {shown(sorted(flagged))}.",)


def _check_test(
    test: str,
    covariates: Covariates | None,
    *,
    modifier: str | None,
    clusters: Mapping[str, Any] | None,
) -> None:
    require_choice(test, TESTS, what="test")
    if covariates is not None and test in UNADJUSTED:
        raise InputError(
            f"test={test!r} cannot adjust for covariates. Leave them out, or use 'linear', "
            "'spearman' (partial), 'firth' or 'ordinal'."
        )
    if (test == "mixed") != (clusters is not None):
        raise InputError(
            "Several samples a patient need both: clusters, and test='mixed' (or 'auto')."
        )
    if modifier is None:
        return
    names = () if covariates is None else covariates.names
    if modifier not in names:
        raise InputError(
            f"The modifier {modifier!r} is no covariate. {did_you_mean(modifier, names)}"
        )
    if test not in ("auto", *MODIFIED):
        raise InputError(
            f"test={test!r} has no effect modifier; these have: {', '.join(MODIFIED)}."
        )


def _check_numbers(
    *,
    min_n: int,
    min_group: int,
    confidence: float,
    block_size: int | None,
    permutations: int,
) -> None:
    if not 0 < confidence < 1:
        raise InputError(f"confidence lies between 0 and 1; found {confidence}.")
    if min(min_n, 1 if block_size is None else block_size) < 1:
        raise InputError("min_n and block_size are at least 1.")
    if min(min_group, permutations) < 0:
        raise InputError("min_group and permutations are at least 0.")
