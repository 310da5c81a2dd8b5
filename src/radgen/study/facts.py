"""What the settings of a run say for the reporting checklists."""

from __future__ import annotations

from radgen.study.gather import Gathered
from radgen.study.map_sections import change_text, map_text
from radgen.study.schema import StudySettings
from radgen.study.schema.trust import HarmoniseSettings, ReliabilitySettings

__all__ = ["facts"]

_METHODS = {
    "combat": "ComBat",
    "location-scale": "ComBat without empirical Bayes",
    "covbat": "CovBat",
    "none": "Nothing",
}


def facts(found: Gathered, *, pipeline: list[str]) -> dict[str, str]:
    """Return sentences by the keys of the checklists' facts; only what the settings decide."""
    settings = found.settings
    out = {"pipeline": ", then ".join(pipeline) + "."} if pipeline else {}
    out["settings"] = "All effective settings stand under Provenance and in provenance.json."
    out["linkage"] = _linkage(settings)
    out |= _images(settings)
    if settings.harmonise is not None:
        out |= _harmonisation(settings.harmonise)
    if settings.reliability is not None:
        out["reliability"] = _reliability(settings.reliability)
    if settings.predict:
        out["partition"] = (
            "Folds part patients; imputation, selection, scaling, harmonisation and tuning are "
            "fitted on the training rows of each fold alone."
        )
    mutated = [name for name, item in settings.omics.items() if item.layer == "mutation"]
    if mutated:
        out["not_tested"] = (
            f"In {', '.join(mutated)}, samples that were not assayed are missing, never wild-type."
        )
    if settings.genotypes is not None:
        item = settings.genotypes
        out["genotype_qc"] = (
            f"Variants with minor-allele frequency of at least {item.maf:g}, call rate of at least "
            f"{item.variant_call_rate:g} and a Hardy-Weinberg p of at least {item.hwe_p:g}."
            + (
                " Sets of rare variants have no lower limit of frequency."
                if settings.burden
                else ""
            )
        )
    return out


def _harmonisation(item: HarmoniseSettings) -> dict[str, str]:
    kept = ", ".join([*item.keep, *(f"{name} (as a curve)" for name in item.smooth)]) or "none"
    method, batch = _METHODS[item.method], ", ".join(item.batch)
    if len(item.batch) > 1:
        method = f"Nested {method}"
    if item.subject is not None:
        method = f"Longitudinal {method}"
    new = item.unseen or "adapted to where a site is left out, otherwise refused"
    return {
        "harmonisation": f"{method} over {batch}; covariates kept: {kept}; new batches: {new}. For "
        "associations it is fitted on all samples without any molecular data; models harmonise, "
        "where asked to, inside their folds.",
        "several_sites": f"Sites or scanners are named by {batch}.",
    }


def _reliability(item: ReliabilitySettings) -> str:
    source = "perturbed copies of the scans" if item.perturb else "repeated measurements in a table"
    return (
        f"Phenotypes count as reliable where the lower {item.confidence:.0%} bound of "
        f"ICC({item.form}) reaches {item.threshold:g} ({source})."
    )


def _linkage(settings: StudySettings) -> str:
    rules = settings.link
    words = ["Images, molecular data and outcomes were matched by sample id"]
    if rules.same_lesion:
        words.append("scan and specimen show the same lesion")
    if rules.max_days is not None:
        words.append(f"scan and specimen lie at most {rules.max_days:g} days apart")
    if rules.before:
        words.append(f"scans after {rules.before} were left out")
    if rules.several_scans != "refuse":
        words.append(f"of several scans the {rules.several_scans} counts")
    if rules.several_specimens != "refuse":
        words.append(f"of several specimens: {rules.several_specimens}")
    return "; ".join(words) + "."


def _images(settings: StudySettings) -> dict[str, str]:
    if settings.images is None:
        table = settings.features.table
        assert table is not None
        return {"extraction": "Features were taken from a table that another run made."}
    steps = settings.preprocess
    out: dict[str, str] = {}
    spacing = steps.spacing_mm
    out["resampling"] = (
        f"Voxels of {' x '.join(f'{v:g}' for v in spacing)} mm (z, y, x), "
        f"{steps.interpolation or 'linear'} interpolation."
        if spacing
        else "Images were not resampled."
    )
    parts = [out["resampling"]]
    if steps.normalise not in (None, "none"):
        parts.append(f"Intensities were normalised ({steps.normalise}).")
    if steps.resegment_range:
        low, high = steps.resegment_range
        parts.append(f"Intensities outside {low:g} to {high:g} were left out.")
    if steps.outlier_sigma:
        parts.append(f"Intensities beyond {steps.outlier_sigma:g} SD were left out.")
    if steps.by_modality:
        parts.append(f"Other values hold for {', '.join(steps.by_modality)}.")
    parts.append(map_text(settings))
    if settings.change is not None:
        parts.append(change_text(settings.change))
    out["preprocessing"] = " ".join(part for part in parts if part)
    if steps.discretise is not None and steps.discretise.method != "none":
        how = (
            "bins of fixed width"
            if steps.discretise.method == "width"
            else "a fixed number of bins"
        )
        out["discretisation"] = f"Grey levels: {how}, {steps.discretise.value:g}."
    filters = settings.features.filters
    out["filters"] = f"{len(filters)} image filters." if filters else "No image filter."
    names = sorted(
        {name for s in settings.images.all_sequences().values() for name in (s.regions or {})}
        | {name for s in settings.images.functional.values() for name in (s.regions or {})}
        | (set(settings.images.regions or {}) if settings.images.functional else set())
    )
    if names:
        out["regions"] = f"Regions of interest: {', '.join(names)}."
    sequences = [
        *settings.images.sequences,
        *(
            f"maps of {name} ({step.technique})"
            for name, step in settings.images.functional.items()
        ),
    ]
    if sequences:
        out["sequences"] = f"Images of each patient: {', '.join(sequences)}."
    return out
