"""Models without a study file: evaluate, freeze, apply, validate and audit, from tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from radgen._core.digest import digest_file
from radgen._core.executors import executor
from radgen._core.files import atomic_path
from radgen._core.naming import counted
from radgen.errors import FormatError, InputError, shown
from radgen.io import IdRule
from radgen.predict import (
    AuditResult,
    ExternalResult,
    FittedModel,
    ModelInputs,
    PredictionResult,
    TargetsResult,
    audit,
    audit_model,
    evaluate,
    evaluate_targets,
    fit_model,
    model_sites,
    model_tables,
    read_bundle,
    validate_external,
    write_bundle,
)
from radgen.predict.abstain import decisions
from radgen.predict.bundle import require_portable
from radgen.predict.fitting import hashed
from radgen.report import ReportInput, Section, write_report
from radgen.study.analyses import Analysed, tables_of
from radgen.study.cache import Cache, codec_of
from radgen.study.provenance import environment
from radgen.types import PhenotypeTable, Result

__all__ = [
    "ModelRun",
    "apply_bundle",
    "audit_path",
    "evaluate_inputs",
    "evaluate_many",
    "validate_bundle",
    "write_predictions",
]

_QUESTIONS = {
    PredictionResult.kind: "Can {} be predicted, and does it add to what is simple?",
    ExternalResult.kind: "Does a model of {} that was made elsewhere hold here?",
    TargetsResult.kind: "Which targets can be predicted from the same data?",
}
_FIT_KEYS = ("model", "selection", "n_selected", "harmonise")


@dataclass(frozen=True, eq=False)
class ModelRun:
    """What an evaluation or validation left behind.

    Attributes
    ----------
    result : Result
    report : Path
    bundle : Path or None
        The frozen model, where one was asked for.
    notes : tuple of str
        What a reader must know.
    """

    result: Result
    report: Path
    bundle: Path | None = None
    notes: tuple[str, ...] = ()


def evaluate_inputs(
    inputs: ModelInputs,
    out: Path,
    *,
    seed: int,
    files: Mapping[str, Path],
    freeze: Path | None = None,
    jobs: int = 1,
    **settings: Any,
) -> ModelRun:
    """Evaluate models of one outcome, write report and tables, and freeze the fullest model.

    Parameters
    ----------
    inputs : ModelInputs
        From `radgen.predict.read_inputs`.
    out : Path
        Folder of ``report.html``, ``data/``, ``tables/`` and ``cache/``; the last holds the
        result as `audit_path` reads it.
    seed : int
        Of folds, forests and permutations.
    files : mapping of str to Path
        Input files, for the provenance.
    freeze : Path or None
        Where the fullest model, fitted to all samples, is written.
    jobs : int, default 1
        Processes; 0 = one a processor.
    **settings
        As `radgen.predict.evaluate` takes them.

    Returns
    -------
    ModelRun
        The result, and where things lie.

    Raises
    ------
    InputError, AlignmentError
        As `radgen.predict.evaluate`.
    """
    if freeze is not None:
        require_portable(settings.get("model", "auto"), inputs.outcome.kind)
    options = {"groups": inputs.groups, "sites": inputs.sites, "seed": seed}
    with executor(jobs) as pool:
        result = evaluate(inputs.blocks, inputs.outcome, executor=pool, **options, **settings)
    digests = {name: digest_file(path) for name, path in files.items()}
    cache = Cache(out / "cache")
    key = cache.key("predict", 1, {"seed": seed, **result.params}, digests)
    cache.store("predict", key, result, codec_of(PredictionResult))
    notes = (*inputs.notes, *result.warnings)
    name = f"Prediction of {inputs.outcome.name}"
    _write_tables([Analysed("predict", inputs.outcome.name, result)], out)
    images = [t for t in inputs.blocks.values() if isinstance(t, PhenotypeTable)]
    report = _write(
        name, result, out, notes=notes, digests=digests, images=images[0] if images else None
    )
    if freeze is not None:
        chosen = {key: settings[key] for key in _FIT_KEYS if key in settings}
        model = fit_model(
            inputs.blocks, inputs.outcome, validation=result,
            inner_folds=result.params["inner_folds"], **options, **chosen,
        )  # fmt: skip
        write_bundle(model, freeze)
    return ModelRun(result, report, freeze, notes)


def evaluate_many(
    inputs: Sequence[ModelInputs],
    out: Path,
    *,
    seed: int,
    files: Mapping[str, Path],
    jobs: int = 1,
    **settings: Any,
) -> ModelRun:
    """Evaluate models of several outcomes of the same predictors, p adjusted over outcomes.

    Parameters
    ----------
    inputs : sequence of ModelInputs
        One an outcome; the blocks, patients and sites of the first are used.
    out : Path
        Folder of ``report.html``, ``data/`` and ``tables/``.
    seed : int
        Of folds, forests and permutations.
    files : mapping of str to Path
        Input files, for the provenance.
    jobs : int, default 1
        Processes; 0 = one a processor.
    **settings
        As `radgen.predict.evaluate_targets` takes them.

    Returns
    -------
    ModelRun
        The result, and where things lie.

    Raises
    ------
    InputError, AlignmentError
        As `radgen.predict.evaluate_targets`.
    """
    first = inputs[0]
    with executor(jobs) as pool:
        result = evaluate_targets(
            first.blocks, [item.outcome for item in inputs], seed=seed, groups=first.groups,
            sites=first.sites, executor=pool, **settings,
        )  # fmt: skip
    digests = {name: digest_file(path) for name, path in files.items()}
    notes = tuple(dict.fromkeys((*first.notes, *result.warnings)))
    _write_tables([Analysed("targets", "all", result)], out)
    return ModelRun(
        result, _write("Targets", result, out, notes=notes, digests=digests), notes=notes
    )


def apply_bundle(
    bundle: Path,
    tables: Sequence[Path],
    *,
    id_name: str | None = None,
    id_rule: IdRule | None = None,
    sites: Mapping[str, str] | None = None,
    horizon: float | None = None,
    any_range: bool = False,
    abstain: float | None = None,
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Return the predictions of a frozen model for the samples of tables, and notes.

    Parameters
    ----------
    bundle : Path
        Written by `radgen.predict.write_bundle`.
    tables : sequence of Path
        Tables that hold the model's columns between them.
    id_name : str or None
        Column of sample ids.
    id_rule : IdRule or None
        Applied to the ids of all tables.
    sites : mapping of sample to site, or None
        Where sites were harmonised; None = the columns that the bundle names are looked up in
        the tables.
    horizon : float or None
        Time of the predicted risk (survival models).
    any_range : bool, default False
        Predict also outside the training range.
    abstain : float or None
        Error level: ``p_negative, p_positive`` and ``decision`` ("negative", "positive", or
        "abstains") are added, see `radgen.predict.abstain.decisions`.

    Returns
    -------
    frame : polars.DataFrame
        As `radgen.predict.FittedModel.predict`, with ``risk`` where a horizon is given.
    notes : tuple of str

    Raises
    ------
    InputError, FormatError, AlignmentError
        If the bundle or tables cannot be used.
    """
    model = read_bundle(bundle)
    blocks, notes = model_tables(model, tables, id_name=id_name, id_rule=id_rule)
    place = (
        sites if sites is not None else model_sites(model, tables, id_name=id_name, id_rule=id_rule)
    )
    found = model.predict(blocks, sites=place, any_range=any_range)
    if horizon is not None:
        score = found["score"].fill_null(float("nan")).to_numpy()
        found = found.with_columns(risk=pl.Series(model.risk(score, horizon)).fill_nan(None))
    if abstain is not None:
        found = _abstained(model, found, abstain)
    return found, (*notes, *_known_samples(model, found["sample"].to_list()))


def _known_samples(model: FittedModel, samples: Sequence[str]) -> list[str]:
    """Return a note on samples that trained the model."""
    seen = [item for item in samples if hashed([item]) & (model.samples | model.patients)]
    if not seen:
        return []
    return [
        f"{counted(len(seen), 'sample')} trained the model ({shown(seen, 3)}): predictions of them "
        "say nothing about new patients."
    ]


def _abstained(model: FittedModel, found: pl.DataFrame, level: float) -> pl.DataFrame:
    if not 0 < level < 1:
        raise InputError(f"abstain is an error level between 0 and 1, not {level:g}.")
    p = model.class_p_values(found["score"].fill_null(float("nan")).to_numpy())
    words = np.array(["negative", "positive", "abstains"], dtype=object)
    said = [
        None if np.isnan(row[0]) else str(words[call])
        for row, call in zip(p, decisions(p, level), strict=True)
    ]
    return found.with_columns(
        pl.Series("p_negative", p[:, 0]).fill_nan(None),
        pl.Series("p_positive", p[:, 1]).fill_nan(None),
        pl.Series("decision", said, dtype=pl.String),
    )


def validate_bundle(
    bundle: Path,
    tables: Sequence[Path],
    inputs: ModelInputs,
    out: Path,
    *,
    id_name: str | None = None,
    id_rule: IdRule | None = None,
    **options: Any,
) -> ModelRun:
    """Judge a frozen model on new data and write report and tables.

    Parameters
    ----------
    bundle : Path
        Written by `radgen.predict.write_bundle`.
    tables : sequence of Path
        Tables that hold the model's columns between them.
    inputs : ModelInputs
        Outcome, patients and sites; its blocks are not used.
    out : Path
        Folder of ``report.html``, ``data/`` and ``tables/``.
    id_name : str or None
        Column of sample ids.
    id_rule : IdRule or None
        Applied to the ids of all tables.
    **options
        As `radgen.predict.validate_external` takes them.

    Returns
    -------
    ModelRun
        The result, and where things lie.

    Raises
    ------
    InputError, FormatError, AlignmentError
        If the bundle or tables cannot be used, or the claim does not hold.
    """
    model = read_bundle(bundle)
    blocks, odd = model_tables(model, tables, id_name=id_name, id_rule=id_rule)
    result = validate_external(
        model, blocks, inputs.outcome, groups=inputs.groups, sites=inputs.sites, **options
    )
    notes = (*odd, *inputs.notes, *result.warnings)
    _write_tables([Analysed("validate", inputs.outcome.name, result)], out)
    digests = {path.name: digest_file(path) for path in (bundle, *tables)}
    name = f"Validation of a frozen model of {inputs.outcome.name}"
    report = _write(name, result, out, notes=notes, digests=digests)
    return ModelRun(result, report, bundle, notes)


def audit_path(path: Path, *, samples: Sequence[str] = ()) -> list[AuditResult]:
    """Return the audit of a bundle, or of every prediction of a results folder.

    Parameters
    ----------
    path : Path
        A bundle (.json), or the output folder of ``radgen run`` or ``radgen evaluate``.
    samples : sequence of str
        Ids of a test set, to prove that none trained the bundle.

    Raises
    ------
    InputError
        If the folder holds no prediction.
    FormatError
        If a stored result or the bundle is damaged.
    """
    if path.is_file():
        return [audit_model(read_bundle(path), samples=samples, patients=samples)]
    entries = sorted((path / "cache" / "predict").glob("*/entry.json"))
    if not entries:
        raise InputError(
            f"{path} holds no stored prediction. Give the output folder of radgen run or radgen "
            "evaluate, or a bundle."
        )
    cache, codec = Cache(path / "cache"), codec_of(PredictionResult)
    found = []
    for entry in entries:
        kind = json.loads(entry.read_text(encoding="utf-8")).get("encoding_type")
        if kind != PredictionResult.kind:
            continue
        result = cache.load("predict", entry.parent.name, codec)
        if result is None:
            raise FormatError("The stored prediction is damaged; run it again.", path=entry.parent)
        found.append(audit(result))
    return found


def write_predictions(frame: pl.DataFrame, out: Path) -> None:
    """Write predictions as Parquet, or as text parted by tabs (.tsv) or commas.

    Numbers of text files have all their digits, so that two files can be compared.
    """
    with atomic_path(out) as path:
        if out.suffix.lower() == ".parquet":
            frame.write_parquet(path)
        else:
            frame.write_csv(path, separator="\t" if out.suffix.lower() == ".tsv" else ",")


def _write_tables(items: list[Analysed], out: Path) -> None:
    for name, frame in tables_of(items).items():
        with atomic_path(out / "tables" / f"{name}.parquet") as temporary:
            frame.write_parquet(temporary)


def _write(
    name: str,
    result: PredictionResult | ExternalResult | TargetsResult,
    out: Path,
    *,
    notes: tuple[str, ...],
    digests: Mapping[str, str],
    images: PhenotypeTable | None = None,
) -> Path:
    report = ReportInput(
        study=name,
        question=_QUESTIONS[result.kind].format(getattr(result, "outcome", "")),
        sections=(Section(name, (result,), result.methods()),),
        phenotypes=images,
        limitations=notes,
        provenance={
            "inputs": dict(digests), "settings": dict(result.params), "environment": environment(),
        },
    )  # fmt: skip
    return write_report(report, out / "report.html")
