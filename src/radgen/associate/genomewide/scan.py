"""Genome-wide scans: every variant against every trait."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from radgen._core.digest import digest
from radgen._core.naming import require_choice
from radgen.associate.genomewide._backend import one_thread_each, open_backend
from radgen.associate.genomewide._input import GwasInput, coded_missing, prepare, prepare_survival
from radgen.associate.genomewide._layouts import LAYOUTS, ScanKind
from radgen.associate.genomewide._linear import LinearScan
from radgen.associate.genomewide._plan import (
    LOGISTIC_TESTS,
    MODELS,
    Options,
    Plan,
    dead_notes,
    linear_notes,
    make_plan,
)
from radgen.associate.genomewide._run import Scan, cut, run_blocks
from radgen.associate.genomewide._sex import (
    HAPLOID,
    label_runs,
    sexes_of,
    unsexed,
    with_sex,
    without_y,
)
from radgen.associate.genomewide._store import TABLE_MARKS, Store
from radgen.associate.genomewide._untested import untested_notes
from radgen.associate.genomewide.result import GwasResult, summarise
from radgen.errors import InputError
from radgen.types import Covariates, FrameLike, GenotypeMatrix, Kinship, Outcome, PhenotypeTable

if TYPE_CHECKING:
    from radgen.associate.genomewide._compact import CompactStore
    from radgen.associate.genomewide.ridge import RidgeResult

__all__ = ["gwas"]

_log = logging.getLogger(__name__)
_FEW = 50


def gwas(
    genotypes: GenotypeMatrix,
    phenotypes: PhenotypeTable | Outcome | FrameLike,
    covariates: Covariates | FrameLike | None = None,
    *,
    model: Literal["linear", "logistic", "ordinal", "cox", "lmm"] = "linear",
    test: Literal["hybrid", "firth", "score", "approx-firth"] = "hybrid",
    kinship: Kinship | Mapping[str, Kinship] | None = None,
    loco: RidgeResult | FrameLike | None = None,
    interaction: str | None = None,
    robust: bool = False,
    sex: Mapping[str, str | None] | FrameLike | None = None,
    x_coding: Literal[1, 2] = 2,
    traits: Sequence[str] | None = None,
    event: str | Sequence[str] | None = None,
    threshold: float | None = None,
    out: str | Path | None = None,
    layout: Literal["table", "compact", "plink", "regenie", "gwas-ssf"] = "table",
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
    model : {"linear", "logistic", "ordinal", "cox", "lmm"}
        The regression. "ordinal" (proportional odds; the values of a trait are ordered classes)
        and "cox" (proportional hazards, Efron's ties; `traits` are times, `event` names the
        events) take score tests with the saddle point below p = 0.05, as ``test="score"`` of
        "logistic" does. "lmm" is the exact linear mixed model with `kinship` as the covariance
        of a polygenic background, its variance fitted anew for each variant; missing calls are
        taken at the mean there. A logistic trait is coded 0/1 or 1/2 (control/case); beta is
        then the log odds ratio of one more ALT allele, and t is a normal statistic.
    test : {"hybrid", "firth", "score", "approx-firth"}
        Of the logistic model. "hybrid": maximum likelihood and Wald test, Firth's penalty
        where that does not converge (separation). "firth": Firth's penalty throughout.
        "score": score test, below p = 0.05 with the saddle-point approximation; beta is the
        one-step estimate and se is chosen so that beta / se has that p. By far the fastest.
        "approx-firth": score test, below p = 0.05 Firth's penalised likelihood ratio with the
        covariates' part held, as REGENIE does; t is the signed root of the statistic.
    kinship : Kinship, mapping of str to Kinship, or None
        For "lmm": relationship matrix that holds the samples (others of its samples are
        ignored; a sample that it lacks is left out), or one for each chromosome that leaves
        it out, from `radgen.genome.loco_grms`.
    loco : RidgeResult, data frame or None
        For "linear", "logistic" and "cox": leave-one-chromosome-out predictions from
        `polygenic_background` (or a table with the columns chrom, sample and the traits, see
        `read_background`), taken off each trait, or entering its log odds or log hazard as an
        offset, when its chromosome is tested.
    interaction : str or None
        For "linear", "logistic" and "cox": a covariate (exposure, treatment) whose product with
        the dosage is tested. beta, se, t and p are those of the product; ``beta_main`` and
        ``se_main`` are the variant's own effect where the covariate is 0, ``log10p_joint`` is the
        test of both together (2 degrees of freedom). Wald tests of full fits; Firth's penalty
        where a logistic fit does not converge, no test where a Cox fit does not. ``reason`` says
        why a test is undefined or penalised.
    robust : bool, default False
        Sandwich covariance of interactions (linear HC3, logistic HC0, Cox Lin and Wei): advised
        for the linear model, where a spread that differs with the covariate looks like an
        interaction.
    sex : mapping of str to str, data frame or None
        "male" or "female" of each sample (also M, F, 1, 2), for chromosomes X, Y and MT; a frame
        has an id column and ``sex``, as `radgen.io.read_people` gives it. On X outside the
        pseudo-autosomal regions sex joins the covariates, and who has none known has no test; on
        Y only men are tested; dosages of Y and MT count 0 or 1. None = these chromosomes are
        tested as they are coded, and a warning says so.
    x_coding : {1, 2}, default 2
        Dosage of a man with the ALT allele of X: 2, as if one allele did what two do in a woman
        (PLINK 2's default), or 1.
    traits : sequence of str or None
        Which traits; None = all.
    event : str, sequence of str or None
        Of "cox": the column of events (1 = happened, 0 = censored) of each trait.
    threshold : float or None
        Keep tests with p <= threshold; None keeps all, also undefined ones (NaN).
    out : str, Path or None
        Parquet file, or text (.tsv, .csv; of the compact layout, folder) that the tests go to; an
        interrupted run is taken up where it stopped. None keeps them in memory.
    layout : {"table", "compact", "plink", "regenie", "gwas-ssf"}
        How tests are stored. "table": Parquet, a row a test. "plink", "regenie", "gwas-ssf":
        text with the columns of PLINK 2, REGENIE or the GWAS catalog, one file a trait whose
        name begins with `out`. "compact", linear model only: all tests,
        two bytes each, a row a variant and a column a trait; hits (p <= threshold, or 1e-5)
        are kept beside them in double precision, see `read_compact`.
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
    _check(model, test, layout, threshold=threshold, block_size=block_size, x_coding=x_coding)
    _check_company(
        model,
        layout,
        out=out,
        kinship=kinship is not None,
        loco=loco is not None,
        event=event is not None,
    )
    if interaction is not None:
        _check_interaction(model, test, layout)
    elif robust:
        raise InputError("robust goes with an interaction.")
    engine = open_backend(backend)
    if kinship is not None:
        from radgen.associate.genomewide._mixed import related_rows

        genotypes = genotypes.take_samples(related_rows(kinship, genotypes.samples))
    if model == "cox":
        data, events = prepare_survival(genotypes, phenotypes, covariates, traits, event)
    else:
        data, events = prepare(genotypes, phenotypes, covariates, traits), None
        data = coded_missing(data, model)
    background = None
    if loco is not None:
        from radgen.associate.genomewide.background import offsets

        background = offsets(loco, data, model)
    if interaction is not None and model == "cox" and loco is not None:
        raise InputError("loco does not go with an interaction of model='cox'.")
    options = Options(threshold, engine, test, layout == "compact", interaction, robust)

    def planned(own: GwasInput) -> Plan:
        return make_plan(model, own, options, known=background, kinship=kinship, events=events)

    # To wake a second thread takes longer than a few traits.
    with one_thread_each(len(data.names) < _FEW):
        scan, scan_of, beside = planned(data)
    notes = _notes(data, scan, background)
    runs = label_runs(data.genotypes)
    haploid = set(dict(runs)) & set(HAPLOID)
    if sex is not None and haploid:
        sexes = sexes_of(sex, data.genotypes.samples)
        data, left_out = without_y(data, sexes)
        if left_out:
            runs = [run for run in runs if run[0] != "Y"]
            haploid -= {"Y"}
            notes = (*notes, *left_out)
        scan_of, more = with_sex(
            data,
            sexes,
            x_coding,
            present=haploid,
            scan_of=scan_of,
            plan=lambda own, chrom: planned(own)[1](chrom),
        )
        beside, notes = [beside, list(sexes)], (*notes, *more)
    elif haploid:
        notes = (*notes, unsexed(haploid))
    params: dict[str, Any] = {
        "model": model,
        "test": _test_name(model, test, interaction),
        "traits": data.names,
        "covariates": data.covariate_names,
        "n_variants": data.genotypes.n_variants,
        "build": genotypes.build,
        "threshold": threshold,
        "interaction": interaction,
        "robust": robust,
        "x_coding": x_coding if sex is not None and "X" in haploid else None,
        "loco": loco is not None or isinstance(kinship, Mapping),
        "screened": isinstance(scan, LinearScan) and scan.screen is not None,
        "layout": layout,
        "out": None if out is None else str(out),
    }
    return _run(
        data,
        scan,
        scan_of,
        params,
        notes,
        beside=beside,
        runs=runs,
        out=out,
        block_size=block_size,
        jobs=jobs,
        executor=executor,
    )


def _notes(data: GwasInput, scan: Any, background: Any) -> tuple[str, ...]:
    """Return what a reader must know of the traits."""
    notes = linear_notes(data, scan) if isinstance(scan, LinearScan) else data.notes
    dead = () if background is None else dead_notes(data, background)
    return (*notes, *(untested_notes(data.names, scan) or dead))


def _check(
    model: str,
    test: str,
    layout: str,
    *,
    threshold: float | None,
    block_size: int | None,
    x_coding: int,
) -> None:
    require_choice(model, MODELS, what="model")
    require_choice(test, LOGISTIC_TESTS, what="test")
    require_choice(layout, LAYOUTS, what="layout")
    if x_coding not in (1, 2):
        raise InputError(f"x_coding is {x_coding}; needed is 1 or 2.")
    if threshold is not None and not 0 < threshold <= 1:
        raise InputError(f"threshold is {threshold}; needed is a p in (0, 1].")
    if block_size is not None and block_size < 1:
        raise InputError(f"block_size is {block_size}; needed is at least 1.")


def _check_company(
    model: str, layout: str, *, out: str | Path | None, kinship: bool, loco: bool, event: bool
) -> None:
    """Refuse options that do not go with each other."""
    if layout != "table" and out is None:
        raise InputError(f"The layout {layout!r} is one of files: say where with out.")
    if layout == "table" and out is not None and Path(out).suffix.lower() not in TABLE_MARKS:
        raise InputError(f"{out}: name the table of tests {', '.join(TABLE_MARKS)}.")
    if kinship != (model == "lmm"):
        raise InputError("A kinship goes with model='lmm', and that model needs one.")
    if loco and model not in ("linear", "logistic", "cox"):
        raise InputError("loco goes with model='linear', 'logistic' or 'cox'.")
    if event and model != "cox":
        raise InputError("event goes with model='cox'.")
    if layout == "compact" and (model != "linear" or loco):
        raise InputError("The compact layout is for model='linear' without loco.")


def _check_interaction(model: str, test: str, layout: str) -> None:
    if model not in ("linear", "logistic", "cox"):
        raise InputError(f"There is no interaction scan of model={model!r}.")
    if test != "hybrid":
        raise InputError(f"Interactions take Wald tests of full fits; leave out test={test!r}.")
    if layout != "table":
        raise InputError("Interactions are stored as a table: leave out the layout.")


def _test_name(model: str, test: str, interaction: str | None) -> str:
    if model == "cox" and interaction is not None:
        return "wald"
    return {"linear": "t", "lmm": "lmm", "logistic": test}.get(model, "score")


def _run(
    data: GwasInput,
    scan: Any,
    scan_of: Callable[[str], Scan],
    params: dict[str, Any],
    notes: tuple[str, ...],
    *,
    beside: Any,
    runs: Sequence[tuple[str, int]],
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
    store: Store | CompactStore
    extra: tuple[str, ...] = getattr(scan, "extra", ())
    if out is None:
        store = Store(genotypes, data.names, None, "", extra=extra)
    else:
        places = genotypes.variants_digest()
        people = json.dumps(genotypes.samples)
        known = data.values, data.covariates, people, places, beside
        key = digest({**params, "out": ""}, block_size or 0, *known)
        target = Path(out)
        if params["layout"] == "compact":
            from radgen.associate.genomewide._compact import CompactStore

            store = CompactStore(genotypes.variants, data.names, scan.groups, target, key)
        else:
            kind = ScanKind(params["model"], params["test"], params["build"])
            store = Store(
                genotypes,
                data.names,
                target,
                key,
                extra=extra,
                layout=params["layout"],
                kind=kind,
            )
    blocks = cut(genotypes, block_size, runs)
    todo = store.todo(blocks)
    for rows in run_blocks(scan_of, genotypes, todo, jobs=jobs, executor=executor, runs=runs):
        store.add(rows)
    frame = store.finish()
    n, df = scan.dof()
    summary, qq = summarise(data.names, store.hist, frame, store.best, n=n, df=df)
    return GwasResult(
        frame, params, genotypes.n_samples, data.dropped, notes, summary=summary, qq=qq
    )
