"""Check that every name which the analyses use is declared somewhere."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import polars as pl

from radgen._core.naming import did_you_mean
from radgen.errors import InputError, RadgenError, shown
from radgen.study._toml import Location
from radgen.study.functional_references import check_functional
from radgen.study.gather import Gathered
from radgen.study.gene_references import check_gene_sides, survival_names
from radgen.study.scan_settings import unit_settings
from radgen.study.schema.analyses import PredictSettings
from radgen.study.schema.treatment import RESPONSE_COLUMNS, RESPONSE_TIME, TreatmentSettings
from radgen.study.schema.trust import HarmoniseSettings
from radgen.study.select import choose_phenotypes
from radgen.study.treatment_references import check_treatments
from radgen.types import Outcome, align

__all__ = ["check_references"]

_SECTIONS = (
    "associate", "evidence", "modules", "tree", "enrich", "mask", "surrogate", "signature", "gwas",
    "burden",    "survival", "treatment", "predict", "readers", "environments",
)  # fmt: skip


def check_references(found: Gathered) -> None:
    """Note a problem for each name in the analyses that nothing declares."""
    _harmonise(found)
    _reliability(found)
    _extraction(found)
    check_functional(found)
    seen: dict[str, str] = {}
    for section in _SECTIONS:
        for place, item in enumerate(getattr(found.settings, section)):
            at: Location = (section, place)
            if item.name in seen:
                found.complain(
                    (*at, "name"),
                    f"Two analyses are named {item.name!r}.",
                    "Name each differently.",
                )
            seen[item.name] = section
            columns = {
                key: getattr(item, key, []) for key in ("covariates", "variables", "clinical")
            }
            columns["where"] = list(getattr(item, "where", {}))
            columns["paired"] = list(getattr(item, "paired", {}))
            for key in ("by", "arm"):
                columns[key] = [getattr(item, key)] if getattr(item, key, None) else []
            columns["confounders"] = getattr(item, "confounders", [])
            for key, names in columns.items():
                _columns(found, (*at, key), names)
            for key in ("phenotypes", "adjust_phenotypes"):
                _phenotypes(found, (*at, key), getattr(item, key, []))
    _associate(found)
    check_gene_sides(found)
    _gwas(found)
    _survival(found)
    _treatment(found)
    _predict(found)
    _readers(found)
    _environments(found)


def _columns(found: Gathered, at: Location, names: Sequence[str]) -> None:
    known = found.sheet.columns
    for name in names:
        if name not in known and _failed_clinical(found, name):
            continue
        if name not in known:
            found.complain(
                at,
                f"No clinical column is named {name!r}.",
                did_you_mean(name, known) if known else "Declare it in [clinical.columns].",
            )
        elif known[name].type == "date":
            found.complain(at, f"{name!r} is a date and cannot be a variable of a model.")


def _phenotypes(found: Gathered, at: Location, patterns: Sequence[str]) -> None:
    """Check patterns against the feature table, or against the features that exist."""
    if not patterns or (found.table is None and not found.scans):
        return
    if found.table is not None:
        try:
            choose_phenotypes(found.table, patterns)
        except InputError as error:
            found.complain(at, str(error))
        return
    known = _declared_features()
    for pattern in patterns:
        if "*" not in pattern and "|" not in pattern and pattern not in known:
            found.complain(
                at, f"No feature, family or IBSI code is {pattern!r}.", did_you_mean(pattern, known)
            )


def _families() -> tuple[str, ...]:
    from radgen.features import FAMILIES
    from radgen.features._families import load

    load()
    return FAMILIES.names()


def _declared_features() -> set[str]:
    from radgen.features import FAMILIES

    names: set[str] = set()
    for family_name in _families():
        family = FAMILIES.get(family_name)
        names.add(family_name)
        for spec in family.specs:
            names |= {spec.name, spec.ibsi_code}
    return names - {""}


def _harmonise(found: Gathered) -> None:
    settings = found.settings.harmonise
    if settings is None:
        return
    whose = [] if settings.subject is None else [settings.subject]
    for key, names in (
        ("batch", settings.batch), ("keep", settings.keep), ("smooth", settings.smooth),
        ("subject", whose),
    ):  # fmt: skip
        _columns(found, ("harmonise", key), names)
    for name in settings.smooth:
        if name in found.sheet.columns and found.sheet.columns[name].type != "number":
            found.complain(
                ("harmonise", "smooth"), f"{name!r} is no number: no curve of it can be kept.",
                "Move it to keep.",
            )  # fmt: skip
    _reference(found, settings)
    _kept_outcomes(found, {*settings.keep, *settings.smooth})
    if settings.unseen == "refuse":
        for place, item in enumerate(found.settings.predict):
            if item.harmonise and item.scheme == "leave-site-out":
                found.complain(
                    ("predict", place, "scheme"),
                    'Every site that is left out is new, and harmonise.unseen = "refuse" refuses '
                    "it.",
                    'Set harmonise.unseen = "adapt" or "leave", or another scheme.',
                )


def _reference(found: Gathered, settings: HarmoniseSettings) -> None:
    if settings.reference is None or settings.batch[0] not in found.sheet.frame.columns:
        return
    known = set(found.sheet.frame[settings.batch[0]].cast(pl.String).drop_nulls())
    if settings.reference not in known:
        near = did_you_mean(settings.reference, known)
        found.complain(
            ("harmonise", "reference"),
            f"{settings.batch[0]!r} has no value {settings.reference!r}. {near}",
        )


def _kept_outcomes(found: Gathered, kept: set[str]) -> None:
    """Refuse outcomes, and variables that are tested, among the covariates that are kept."""
    settings = found.settings
    sources: dict[str, set[str]] = {}
    for table in ([] if settings.clinical is None else
                  [settings.clinical, *settings.clinical.more.values()]):  # fmt: skip
        header = {column.column or name: name for name, column in table.columns.items()}
        for name, clock in table.survival.items():
            used = [clock.time, clock.event, *clock.end]
            sources[name] = {header[text] for text in used if text in header}
    judged: list[PredictSettings | TreatmentSettings] = [
        *(item for item in settings.predict if item.harmonise),
        *(item for item in settings.treatment if item.harmonised and item.phenotypes),
    ]
    for item in judged:
        outcome = {item.outcome} | sources.get(item.outcome, set())
        for name in sorted(outcome & kept):
            what = "is" if name == item.outcome else "makes"
            found.complain(
                ("harmonise", "keep"),
                f"{name!r} {what} the outcome of {item.name!r}. A kept outcome is written into "
                "the harmonised phenotypes of every row, and noise then predicts it.",
                "Take it out of keep.",
            )
    for section, names in (
        ("associate", "variables"), ("survival", "variables"),
    ):  # fmt: skip
        for item in getattr(settings, section):
            if not getattr(item, "harmonised", True):
                continue
            for name in sorted(set(getattr(item, names)) & kept):
                if section == "survival" and not item.phenotypes:
                    continue
                found.complain(
                    ("harmonise", "keep"),
                    f"{name!r} is tested by {item.name!r}. Where it is unevenly spread over the "
                    "batches, keeping it makes its effect look surer than it is.",
                    "Take it out of keep; or set harmonised = false there and adjust for the batch "
                    "as a covariate.",
                )


def _reliability(found: Gathered) -> None:
    settings = found.settings.reliability
    if settings is None:
        if found.settings.readers:
            found.complain(
                ("readers",),
                "[[readers]] needs repeated readings.",
                "Add [reliability] with table.",
            )
        return
    if settings.perturb is not None:
        if found.settings.images is None:
            found.complain(
                ("reliability", "perturb"),
                "There are no scans to perturb: the features come from a table.",
                "Give repeated measurements in reliability.table.",
            )
        if found.settings.readers:
            found.complain(
                ("readers",),
                "Perturbed copies are no readings: [[readers]] needs tables of readers.",
                "Give them in reliability.table.",
            )
        return
    if len(found.repeats) < len(settings.table) or not found.repeats or found.table is None:
        return
    names = set(found.table.names)
    for name, one in found.repeats.items():
        if not names & set(one.names):
            found.complain(
                ("reliability", "table"),
                f"{name} holds none of the study's features.",
                f"It has {shown(one.names, 3)}; the feature table has "
                f"{shown(found.table.names, 3)}.",
            )
    try:
        align({name: one.samples for name, one in found.repeats.items()}, need=3)
    except RadgenError as error:
        found.complain(("reliability", "table"), " ".join(str(error).split()))


def _readers(found: Gathered) -> None:
    for place, item in enumerate(found.settings.readers):
        at: Location = ("readers", place)
        _outcome(found, (*at, "outcome"), item.outcome, item.positive, [])
        if item.outcome in item.covariates:
            found.complain((*at, "covariates"), f"{item.outcome!r} is the outcome.")
        if found.repeats and item.phenotypes:
            try:
                choose_phenotypes(next(iter(found.repeats.values())), item.phenotypes)
            except InputError as error:
                found.complain((*at, "phenotypes"), str(error))


def _environments(found: Gathered) -> None:
    for place, item in enumerate(found.settings.environments):
        at: Location = ("environments", place)
        for name in item.layers:
            if name not in found.settings.omics:
                near = did_you_mean(name, found.settings.omics)
                found.complain((*at, "layers"), f"No molecular layer is named {name!r}.", near)
        if not (item.images or item.clinical or item.layers):
            found.complain(at, "There are no predictors.", "Set images, clinical or layers.")
        if item.by in item.clinical:
            found.complain((*at, "clinical"), f"{item.by!r} is the environment, no predictor.")
        _outcome(found, (*at, "outcome"), item.outcome, item.positive, item.layers)


def _extraction(found: Gathered) -> None:
    from radgen.features._filtering import filter_jobs

    images = found.settings.images
    if images is None:
        return
    features = found.settings.features
    known = _families()
    for name in features.families or []:
        if name not in known:
            found.complain(
                ("features", "families"),
                f"No feature family is named {name!r}.",
                did_you_mean(name, known),
            )
    for place, item in enumerate(features.filters):
        with found.noting(("features", "filters", place)):
            filter_jobs(item)
    try:
        modalities: set[str] = {item.modality or "" for item in images.all_sequences().values()}
        modalities |= {scan.modality for scan in found.scans if scan.modality is not None}
        for modality in sorted(modalities):
            unit_settings(found.settings, modality)
    except RadgenError as error:
        found.complain(("preprocess",), str(error), "See [preprocess] and [features].")


def _associate(found: Gathered) -> None:
    from radgen.associate.association import TESTS

    for place, item in enumerate(found.settings.associate):
        at: Location = ("associate", place)
        if item.layer is not None and item.layer not in found.settings.omics:
            known = list(found.settings.omics)
            near = did_you_mean(item.layer, known) if known else "Declare it as [omics.<name>]."
            found.complain((*at, "layer"), f"No molecular layer is named {item.layer!r}.", near)
        if item.test not in TESTS:
            found.complain(
                (*at, "test"), f"There is no test {item.test!r}.", did_you_mean(item.test, TESTS)
            )
    _evidence(found, TESTS)


def _evidence(found: Gathered, tests: tuple[str, ...]) -> None:
    for place, item in enumerate(found.settings.evidence):
        at: Location = ("evidence", place)
        kinds = []
        for name in item.layers:
            if name in found.settings.omics:
                kinds.append(found.settings.omics[name].layer)
                continue
            known = list(found.settings.omics)
            near = did_you_mean(name, known) if known else "Declare it as [omics.<name>]."
            found.complain((*at, "layers"), f"No molecular layer is named {name!r}.", near)
        if len(set(kinds)) < len(kinds):
            found.complain(
                (*at, "layers"),
                "Two of the layers are of one kind.",
                "Name one section for each kind of layer.",
            )
        if item.test not in tests:
            found.complain(
                (*at, "test"), f"There is no test {item.test!r}.", did_you_mean(item.test, tests)
            )


def _gwas(found: Gathered) -> None:
    if found.settings.gwas and found.settings.genotypes is None:
        found.complain(("gwas",), "[[gwas]] needs genotypes.", "Add [genotypes] with a path.")


def _survival(found: Gathered) -> None:
    known = survival_names(found)
    for place, item in enumerate(found.settings.survival):
        if item.outcome not in known:
            found.complain(
                ("survival", place, "outcome"),
                f"No survival time is named {item.outcome!r}.",
                did_you_mean(item.outcome, known) if known else "Add [clinical.survival.<name>].",
            )


def _treatment(found: Gathered) -> None:
    check_treatments(found)
    for place, item in enumerate(found.settings.treatment):
        _outcome(found, ("treatment", place, "outcome"), item.outcome, item.positive, item.layers)


def _predict(found: Gathered) -> None:
    from radgen.predict.learners import installed_models

    for place, item in enumerate(found.settings.predict):
        at: Location = ("predict", place)
        for name in item.layers:
            if name not in found.settings.omics:
                near = did_you_mean(name, found.settings.omics)
                found.complain((*at, "layers"), f"No molecular layer is named {name!r}.", near)
            elif found.settings.omics[name].gene_sets is not None:
                found.complain(
                    (*at, "layers"),
                    f"The layer {name!r} holds scores of gene sets, which are scaled over all "
                    "samples: in a prediction the test samples would take part in training.",
                    "Name a layer without gene_sets: its genes are selected inside the folds.",
                )
        if not (item.images or item.clinical or item.layers or item.arrays):
            found.complain(at, "The model has no predictors.", "Set images, clinical or layers.")
        for number, text in enumerate(item.arrays):
            found.find(text, *at, "arrays", number)
        if item.freeze and (item.arrays or item.model in installed_models()):
            found.complain(
                (*at, "freeze"), f"A model {item.model} cannot be frozen as plain numbers.",
                "Leave freeze out; radgen deep fit keeps networks of crops and bags.",
            )  # fmt: skip
        invariant = "invariant" in item.selection
        needs_site = item.harmonise or item.scheme == "leave-site-out" or invariant
        if needs_site and found.settings.harmonise is None:
            key = "harmonise" if item.harmonise else "selection" if invariant else "scheme"
            found.complain(
                (*at, key), "This needs to know the sites.", "Add [harmonise] with batch."
            )
        if item.outcome in item.clinical:
            found.complain(
                (*at, "clinical"), f"{item.outcome!r} is the outcome and cannot predict itself."
            )
        _outcome(found, (*at, "outcome"), item.outcome, item.positive, item.layers)


def _outcome(
    found: Gathered, at: Location, name: str, positive: str | None, layers: Sequence[str]
) -> None:
    sheet = found.sheet
    if ":" in name and name not in sheet.names():
        layer, _, feature = name.partition(":")
        if layer not in found.settings.omics:
            near = did_you_mean(layer, found.settings.omics)
            found.complain(at, f"No molecular layer is named {layer!r}.", near)
        elif layer in found.layers and feature not in found.layers[layer].features:
            near = did_you_mean(feature, found.layers[layer].features)
            found.complain(at, f"The layer {layer!r} has no feature {feature!r}.", near)
        if layer in layers:
            found.complain(at, f"The layer {layer!r} holds the outcome and cannot predict it.")
        return
    if name not in sheet.names():
        if found.settings.clinical is None or not _failed_clinical(found, name):
            known: Collection[str] = sheet.names()
            near = did_you_mean(name, known) if known else "Declare it in [clinical]."
            found.complain(at, f"No outcome is named {name!r}.", near)
        return
    try:
        outcome = sheet.outcome(name, positive=positive)
        align({"images": found.image_samples, "outcome": _known(outcome)}, need=10)
    except RadgenError as error:
        found.complain(at, " ".join(str(error).split()))


def _known(outcome: Outcome) -> list[str]:
    return [s for s, has in zip(outcome.samples, outcome.known, strict=True) if has]


def _failed_clinical(found: Gathered, name: str) -> bool:
    """Return whether the name is declared and its column is already a problem."""
    if found.settings.response is not None and name in (*RESPONSE_COLUMNS, RESPONSE_TIME):
        return True
    clinical = found.settings.clinical
    return clinical is not None and clinical.declares(name)
