"""Genome-wide scans: every variant against every trait."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from radgen._core.digest import digest
from radgen._core.naming import require_choice
from radgen.associate._gwas_backend import Backend, open_backend
from radgen.associate._gwas_input import GwasInput, prepare
from radgen.associate._gwas_linear import LinearScan
from radgen.associate._gwas_mixed import related_rows
from radgen.associate._gwas_run import Scan, cut, run_blocks
from radgen.associate._gwas_store import Store
from radgen.associate.gwas_background import offsets, take_off
from radgen.associate.gwas_result import GwasResult, summarise
from radgen.errors import InputError, shown
from radgen.types import Covariates, FrameLike, GenotypeMatrix, Kinship, Outcome, PhenotypeTable

if TYPE_CHECKING:
    from radgen.associate._gwas_logistic import LogisticScan
    from radgen.associate._gwas_mixed import MixedScan
    from radgen.associate.gwas_ridge import RidgeResult

Offsets = dict[str, Any] | None

__all__ = ["gwas"]

_log = logging.getLogger(__name__)


def gwas(
    genotypes: GenotypeMatrix,
    phenotypes: PhenotypeTable | Outcome | FrameLike,
    covariates: Covariates | FrameLike | None = None,
    *,
    model: Literal["linear", "logistic", "lmm"] = "linear",
    test: Literal["hybrid", "firth", "score"] = "hybrid",
    kinship: Kinship | Mapping[str, Kinship] | None = None,
    loco: RidgeResult | FrameLike | None = None,
    traits: Sequence[str] | None = None,
    threshold: float | None = None,
    out: str | Path | None = None,
    block_size: int | None = None,
    jobs: int | None = None,
    executor: Executor | None = None,
    backend: Literal["numpy", "torch"] = "numpy",
) -> GwasResult:
    """Return the association of every variant with every trait.

    Parameters
    ----------
    genotypes : GenotypeMatrix
        From `radgen.io.open_genotypes`.
    phenotypes : PhenotypeTable, Outcome or data frame
        One row a sample, one column a trait, NaN = missing; a frame has an id column
        ("sample", "IID", …).
    covariates : Covariates, data frame or None
        Text columns become indicators. A sample that misses a covariate is left out. The
        intercept is always there.
    model : {"linear", "logistic", "lmm"}
        The regression. "lmm" is the exact linear mixed model with `kinship` as the covariance
        of a polygenic background, its variance fitted anew for each variant; missing calls are
        taken at the mean there. A logistic trait is coded 0/1 or 1/2 (control/case); beta is
        then the log odds ratio of one more ALT allele, and t is a normal statistic.
    test : {"hybrid", "firth", "score"}
        Of the logistic model. "hybrid": maximum likelihood and Wald test, Firth's penalty
        where that does not converge (separation). "firth": Firth's penalty throughout.
        "score": score test, below p = 0.05 with the saddle-point approximation; beta is the
        one-step estimate and se is chosen so that beta / se has that p. By far the fastest.
    kinship : Kinship, mapping of str to Kinship, or None
        For "lmm": relationship matrix that holds the samples (others of its samples are
        ignored; a sample that it lacks is left out), or one for each chromosome that leaves
        it out, from `radgen.genome.loco_grms`.
    loco : RidgeResult, data frame or None
        For "linear" and "logistic": leave-one-chromosome-out predictions from
        `polygenic_background` (or a table with the columns chrom, sample and the traits, see
        `read_background`), taken off each trait, or entering its log odds as an offset, when
        its chromosome is tested.
    traits : sequence of str or None
        Which traits; None = all.
    threshold : float or None
        Keep tests with p <= threshold; None keeps all, also undefined ones (NaN).
    out : str, Path or None
        Parquet file that the tests are streamed to; an interrupted run is taken up where it
        stopped. None keeps them in memory.
    block_size : int or None
        Variants read at a time; None = about 32 MiB decoded.
    jobs : int or None
        Threads; None = the processors at hand.
    executor : concurrent.futures.Executor or None
        Where blocks are computed instead of threads of this process.
    backend : {"numpy", "torch"}
        Where the single-precision products of a thresholded scan are computed.

    Returns
    -------
    GwasResult
        The tests, a summary of each trait (inflation, lead variant), counts for QQ plots.

    Raises
    ------
    InputError
        If an option or a trait is unknown, or no trait varies.
    AlignmentError
        If too few samples are common to the tables, or an id is repeated.
    FormatError
        If the genotype file is damaged.
    MissingDependencyError
        If the torch backend is asked for and PyTorch is not installed.

    Notes
    -----
    Linear model: y = intercept + covariates + beta * ALT dosage + error, by ordinary least
    squares; t has n - rank - 1 degrees of freedom, n and rank counted for each variant and
    trait over the samples that are complete for both. Missing calls are dropped, not imputed.
    The result of a trait does not depend on which traits run with it. With a threshold of at
    most 0.01, tests are screened in single precision under an upper bound of the effect of
    rounding and of missing calls, and every test that may reach the threshold is computed
    again in double precision.

    References
    ----------
    Chang CC et al. (2015), doi:10.1186/s13742-015-0047-8 (the same tests in PLINK 2).
    """
    require_choice(model, ("linear", "logistic", "lmm"), what="model")
    require_choice(test, ("hybrid", "firth", "score"), what="test")
    if threshold is not None and not 0 < threshold <= 1:
        raise InputError(f"threshold is {threshold}; needed is a p in (0, 1].")
    if block_size is not None and block_size < 1:
        raise InputError(f"block_size is {block_size}; needed is at least 1.")
    if (kinship is not None) != (model == "lmm"):
        raise InputError("A kinship goes with model='lmm', and that model needs one.")
    if loco is not None and model == "lmm":
        raise InputError("loco goes with model='linear' or 'logistic'.")
    engine = open_backend(backend)
    if kinship is not None:
        genotypes = genotypes.take_samples(related_rows(kinship, genotypes.samples))
    data = prepare(genotypes, phenotypes, covariates, traits)
    background = None if loco is None else offsets(loco, data, model)
    if kinship is not None:
        plan = _mixed(data, kinship, threshold)
    elif model == "linear":
        plan = _linear(data, background, threshold, engine)
    else:
        plan = _logistic(data, background, threshold, test)
    scan, scan_of, beside = plan
    notes = _linear_notes(data, scan) if isinstance(scan, LinearScan) else data.notes
    if background is not None:
        notes = (*notes, *_dead_notes(data, background))
    params: dict[str, Any] = {
        "model": model,
        "test": test if model == "logistic" else "t" if model == "linear" else "lmm",
        "traits": data.names,
        "covariates": data.covariate_names,
        "n_variants": data.genotypes.n_variants,
        "build": genotypes.build,
        "threshold": threshold,
        "loco": loco is not None or isinstance(kinship, Mapping),
        "screened": isinstance(scan, LinearScan) and scan.screen is not None,
        "out": None if out is None else str(out),
    }
    return _run(
        data,
        scan_of,
        params,
        notes,
        scan.dof(),
        beside=beside,
        out=out,
        block_size=block_size,
        jobs=jobs,
        executor=executor,
    )


Plan = tuple[Any, Callable[[str], Scan], Any]


def _linear(data: GwasInput, known: Offsets, threshold: float | None, engine: Backend) -> Plan:
    """Return the scan, that of each chromosome, and what they depend on beside the data."""

    def build(values: Any) -> LinearScan:
        return LinearScan.build(values, data.covariates, threshold=threshold, backend=engine)

    scan = build(data.values)
    if known is None:
        return scan, lambda _chrom: scan, None
    return scan, _by_chromosome(lambda chrom: build(take_off(data.values, known[chrom]))), known


def _logistic(data: GwasInput, known: Offsets, threshold: float | None, test: str) -> Plan:
    from radgen.associate._gwas_logistic import LogisticScan

    def build(beside: Any) -> LogisticScan:
        return LogisticScan.build(
            data.names,
            data.values,
            data.covariates,
            threshold=threshold,
            test=test,
            offsets=beside,
        )

    if known is None:
        scan = build(None)
        return scan, lambda _chrom: scan, None
    scan = build(next(iter(known.values())))
    return scan, _by_chromosome(lambda chrom: build(known[chrom])), known


def _mixed(
    data: GwasInput, kinship: Kinship | Mapping[str, Kinship], threshold: float | None
) -> Plan:
    from radgen.associate._gwas_mixed import MixedScan, related_values

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


def _dead_notes(data: GwasInput, known: dict[str, Any]) -> tuple[str, ...]:
    first = next(iter(known.values()))
    dead = [name for name, column in zip(data.names, first.T, strict=True) if np.isnan(column[0])]
    if len(dead) == len(data.names):
        raise InputError("No trait has a polygenic background in the loco table.")
    if not dead:
        return ()
    return (f"Traits without a polygenic background have no test: {shown(dead)}.",)


def _linear_notes(data: GwasInput, scan: LinearScan) -> tuple[str, ...]:
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


def _run(
    data: GwasInput,
    scan_of: Any,
    params: dict[str, Any],
    notes: tuple[str, ...],
    size: tuple[Any, Any],
    *,
    beside: Any,
    out: str | Path | None,
    block_size: int | None,
    jobs: int | None,
    executor: Executor | None,
) -> GwasResult:
    genotypes = data.genotypes
    _log.info(
        "%d people, %d variants, %d traits",
        genotypes.n_samples,
        genotypes.n_variants,
        len(data.names),
    )
    key = (
        digest(params, block_size or 0, data.values, data.covariates, genotypes.samples, beside)
        if out
        else ""
    )
    blocks = cut(genotypes, block_size)
    target = None if out is None else Path(out)
    store = Store(genotypes.variants, data.names, target, key)
    todo = store.todo(blocks)
    for rows in run_blocks(scan_of, genotypes, todo, jobs=jobs, executor=executor):
        store.add(rows)
    frame = store.finish()
    n, df = size
    summary, qq = summarise(data.names, store.hist, frame, store.best, n=n, df=df)
    return GwasResult(
        frame, params, genotypes.n_samples, data.dropped, notes, summary=summary, qq=qq
    )
