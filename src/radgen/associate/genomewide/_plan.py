"""The scan of each model, ready to test blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from radgen.associate.genomewide._backend import Backend
from radgen.associate.genomewide._input import GwasInput
from radgen.associate.genomewide._linear import LinearScan
from radgen.associate.genomewide._run import Scan
from radgen.errors import InputError, shown
from radgen.types import Kinship

__all__ = ["LOGISTIC_TESTS", "MODELS", "Options", "Plan", "dead_notes", "linear_notes", "make_plan"]

LOGISTIC_TESTS = ("hybrid", "firth", "score", "approx-firth")
MODELS = ("linear", "logistic", "ordinal", "cox", "lmm")

Offsets = dict[str, Any] | None
Plan = tuple[Any, Callable[[str], Scan], Any]


@dataclass(frozen=True, slots=True)
class Options:
    """How tests are made and which are kept.

    Attributes
    ----------
    threshold : float or None
        Largest p that is kept.
    engine : Backend
        Where single-precision products are computed.
    test : str
        Of the logistic model.
    short : bool
        Keep all tests of the linear model as quantised t.
    interaction : str or None
        Covariate that interacts with the variants.
    robust : bool
        Sandwich covariances of interactions.
    """

    threshold: float | None
    engine: Backend
    test: str
    short: bool = False
    interaction: str | None = None
    robust: bool = False


def make_plan(
    model: str,
    data: GwasInput,
    options: Options,
    *,
    known: Offsets,
    kinship: Kinship | Mapping[str, Kinship] | None,
    events: Any,
) -> Plan:
    """Return the scan of a model, that of each chromosome, and what it depends on."""
    if kinship is not None:
        return _mixed(data, kinship, options.threshold)
    if options.interaction is not None:
        return _interaction(model, data, known, options, events)
    if model == "linear":
        return _linear(data, known, options)
    if model == "logistic":
        return _logistic(data, known, options)
    scan: Any
    if model == "cox":
        return _cox(data, known, options, events)
    from radgen.associate.genomewide._ordinal import OrdinalScan

    x = data.covariates
    scan = OrdinalScan.build(data.names, data.values, x, threshold=options.threshold)
    return scan, lambda _chrom: scan, None


def _linear(data: GwasInput, known: Offsets, options: Options) -> Plan:
    def build(values: Any) -> LinearScan:
        return LinearScan.build(
            values,
            data.covariates,
            threshold=options.threshold,
            backend=options.engine,
            short=options.short,
        )

    scan = build(data.values)
    if known is None:
        return scan, lambda _chrom: scan, None
    from radgen.associate.genomewide.background import take_off

    return scan, _by_chromosome(lambda chrom: build(take_off(data.values, known[chrom]))), known


def _logistic(data: GwasInput, known: Offsets, options: Options) -> Plan:
    from radgen.associate.genomewide._logistic import LogisticScan

    def build(beside: Any) -> LogisticScan:
        return LogisticScan.build(
            data.names,
            data.values,
            data.covariates,
            threshold=options.threshold,
            test=options.test,
            offsets=beside,
        )

    if known is None:
        scan = build(None)
        return scan, lambda _chrom: scan, None
    scan = build(next(iter(known.values())))
    return scan, _by_chromosome(lambda chrom: build(known[chrom])), known


def _cox(data: GwasInput, known: Offsets, options: Options, events: Any) -> Plan:
    from radgen.associate.genomewide._cox import CoxScan

    def build(beside: Any) -> CoxScan:
        return CoxScan.build(
            data.names,
            data.values,
            events,
            data.covariates,
            threshold=options.threshold,
            offsets=beside,
        )

    if known is None:
        scan = build(None)
        return scan, lambda _chrom: scan, events
    scan = build(next(iter(known.values())))
    return scan, _by_chromosome(lambda chrom: build(known[chrom])), [known, events]


def _interaction(
    model: str, data: GwasInput, known: Offsets, options: Options, events: Any
) -> Plan:
    from radgen.associate.genomewide._interaction import InteractionScan, modifier_column

    column = modifier_column(data, options.interaction or "")

    def build(beside: Any) -> InteractionScan:
        from radgen.associate.genomewide.background import take_off

        linear = model == "linear" and beside is not None
        return InteractionScan.build(
            model,
            data,
            column,
            values=take_off(data.values, beside) if linear else data.values,
            events=events,
            offsets=beside if model == "logistic" else None,
            robust=options.robust,
            threshold=options.threshold,
        )

    if known is None:
        scan = build(None)
        return scan, lambda _chrom: scan, events
    scan = build(next(iter(known.values())))
    return scan, _by_chromosome(lambda chrom: build(known[chrom])), known


def _mixed(
    data: GwasInput, kinship: Kinship | Mapping[str, Kinship], threshold: float | None
) -> Plan:
    from radgen.associate.genomewide._mixed import MixedScan, related_values

    def build(one: Kinship) -> MixedScan:
        matrix = related_values(one, data.genotypes.samples)
        return MixedScan.build(data.values, data.covariates, matrix, threshold=threshold)

    if isinstance(kinship, Kinship):
        scan = build(kinship)
        return scan, lambda _chrom: scan, related_values(kinship, data.genotypes.samples)
    chroms = data.genotypes.variants["chrom"].unique(maintain_order=True).to_list()
    lost = [chrom for chrom in chroms if chrom not in kinship]
    if lost:
        raise InputError(f"There is no kinship without the chromosomes {shown(lost)}.")
    beside = {name: one.values for name, one in kinship.items()}
    scan = build(kinship[chroms[0]])
    return scan, _by_chromosome(lambda chrom: build(kinship[chrom])), beside


def _by_chromosome(build: Callable[[str], Scan]) -> Callable[[str], Scan]:
    """Return the scan of a chromosome beside what stands for the others, the last one kept."""
    last: dict[str, Scan] = {}

    def scan_of(chrom: str) -> Scan:
        if chrom not in last:
            last.clear()
            last[chrom] = build(chrom)
        return last[chrom]

    return scan_of


def dead_notes(data: GwasInput, known: dict[str, Any]) -> tuple[str, ...]:
    first = next(iter(known.values()))
    dead = [name for name, column in zip(data.names, first.T, strict=True) if np.isnan(column[0])]
    if len(dead) == len(data.names):
        raise InputError("No trait has a polygenic background in the loco table.")
    if not dead:
        return ()
    return (f"Traits without a polygenic background have no test: {shown(dead)}.",)


def linear_notes(data: GwasInput, scan: LinearScan) -> tuple[str, ...]:
    notes = list(data.notes)
    flat = [data.names[trait] for group in scan.groups for trait in group.traits[group.norm == 0]]
    if len(flat) == len(data.names):
        raise InputError(f"No trait varies beside the covariates: {shown(flat)}.")
    if flat:
        notes.append(f"Traits that do not vary beside the covariates have no test: {shown(flat)}.")
    if len(scan.groups) > 1:
        notes.append(
            f"Traits miss different people: {len(scan.groups)} patterns of missing values, each "
            "analysed with its own design."
        )
    full = len(data.covariate_names) + 1
    if any(group.rank < full for group in scan.groups):
        low = min(group.rank for group in scan.groups)
        notes.append(f"The {full} columns of the design have rank {low} only.")
    return tuple(notes)
