"""Check that every name which the analyses use is declared somewhere."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from radgen._core.naming import did_you_mean
from radgen.errors import InputError, RadgenError, shown
from radgen.study._toml import Location
from radgen.study.gather import Gathered
from radgen.study.gene_references import check_gene_sides
from radgen.study.measure import unit_settings
from radgen.study.select import choose_phenotypes
from radgen.types import Outcome, align

__all__ = ["check_references"]

_SECTIONS = (
    "associate", "evidence", "modules", "tree", "enrich", "mask", "surrogate", "signature", "gwas",
    "survival", "predict",
)  # fmt: skip


def check_references(found: Gathered) -> None:
    """Note a problem for each name in the analyses that nothing declares."""
    _harmonise(found)
    _extraction(found)
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
            columns["by"] = [item.by] if getattr(item, "by", None) else []
            for key, names in columns.items():
                _columns(found, (*at, key), names)
            for key in ("phenotypes", "adjust_phenotypes"):
                _phenotypes(found, (*at, key), getattr(item, key, []))
    _associate(found)
    check_gene_sides(found)
    _gwas(found)
    _survival(found)
    _predict(found)


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
    _columns(found, ("harmonise", "batch"), [settings.batch])
    _columns(found, ("harmonise", "keep"), settings.keep)
    outcomes = {item.outcome for item in found.settings.predict if item.harmonise}
    clash = sorted(outcomes & set(settings.keep))
    if clash:
        found.complain(
            ("harmonise", "keep"),
            f"{shown(clash)} is an outcome. A kept outcome leaks into the harmonised phenotypes.",
            "Take it out of keep.",
        )


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
    clinical = found.settings.clinical
    known = [] if clinical is None else clinical.survival_names()
    for place, item in enumerate(found.settings.survival):
        if item.outcome not in known:
            found.complain(
                ("survival", place, "outcome"),
                f"No survival time is named {item.outcome!r}.",
                did_you_mean(item.outcome, known) if known else "Add [clinical.survival.<name>].",
            )


def _predict(found: Gathered) -> None:
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
        if not (item.images or item.clinical or item.layers):
            found.complain(at, "The model has no predictors.", "Set images, clinical or layers.")
        needs_site = item.harmonise or item.scheme == "leave-site-out"
        if needs_site and found.settings.harmonise is None:
            key = "harmonise" if item.harmonise else "scheme"
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
    clinical = found.settings.clinical
    return clinical is not None and clinical.declares(name)
