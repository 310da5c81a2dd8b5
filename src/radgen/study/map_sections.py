"""What the report says of functional maps and of the change between two visits."""

from __future__ import annotations

from radgen.report import Notes, Section, Table
from radgen.study.gather import Gathered
from radgen.study.imaging import Imaging
from radgen.study.schema import StudySettings
from radgen.study.schema.functional import ChangeSettings, FunctionalSettings

__all__ = ["change_text", "map_section", "map_text"]

_LABELS = {
    "step": "Step", "technique": "Technique", "map": "Map", "unit": "Unit",
    "scans": "Scans mapped", "failed": "Scans failed", "voxels": "Voxels in regions",
    "without_value": "Voxels without value", "median": "Median of scans' medians",
}  # fmt: skip
_MODELS = {
    "tofts": "the Tofts model",
    "extended-tofts": "the extended Tofts model",
    "patlak": "the Patlak model",
    "uptake": "the two-compartment uptake model",
    "exchange": "the two-compartment exchange model",
    "adc": "one exponential (apparent diffusion coefficient)",
    "ivim": "two exponentials (intravoxel incoherent motion)",
    "kurtosis": "the kurtosis model",
    "tensor": "the diffusion tensor",
}
_HOW = {
    "relative": "as a share of the first",
    "difference": "as a difference",
    "log_ratio": "as the logarithm of their ratio",
}


def map_section(found: Gathered, imaging: Imaging) -> Section | None:
    """Return the section about functional maps; None where the study makes none."""
    images = found.settings.images
    if images is None or not images.functional:
        return None
    maps = imaging.maps
    items: list[Table | Notes] = []
    if maps.table.height:
        items.append(Table("Maps that were made and measured.", maps.table, _LABELS))
    if maps.failures.height:
        items.append(Table("Series without maps, and why.", maps.failures))
    if maps.notes:
        items.append(Notes(maps.notes, tone="warning", title="Notes of the fits"))
    where = "The maps lie in the folder maps, a folder a step and sample, with maps.json."
    return Section("Functional maps", tuple(items), f"{map_text(found.settings)} {where}")


def map_text(settings: StudySettings) -> str:
    """Return the methods text of the functional steps; "" without any."""
    if settings.images is None:
        return ""
    return " ".join(_sentence(name, step) for name, step in settings.images.functional.items())


def _sentence(name: str, step: FunctionalSettings) -> str:
    makers = {
        "dce": _dce, "dsc": _dsc, "diffusion": _diffusion, "t1": _t1, "uptake": _uptake,
        "enhancement": _enhancement,
    }  # fmt: skip
    text = f"{name}: {makers[step.technique](step)}"
    if step.other_grid == "resample":
        text += "; masks of another grid were resampled to the series (linear, half a voxel)"
    if step.maps:
        text += f"; measured: {', '.join(step.maps)}"
    own = step.preprocess.discretise
    levels = "32 grey levels" if own is None else f"{own.method} {own.value:g} grey levels"
    return f"{text}. Maps kept their unit and were cut into {levels} for textures."


def _dce(step: FunctionalSettings) -> str:
    model = _MODELS[step.model or "extended-tofts"]
    words = {
        "auto": "an artery found by the shape of curves",
        "parker": "Parker's population curve",
        "georgiou": "Georgiou's population curve",
        "preclinical": "a preclinical curve",
    }
    artery = words.get(step.artery or "", "the artery of each patient")
    t1 = f"{step.t1:g} s" if isinstance(step.t1, float) else "a map"
    return (
        f"dynamic contrast-enhanced series were fitted voxel by voxel with {model} (arterial "
        f"input: {artery}; T1 of tissue: {t1}; relaxivity {step.relaxivity or 4.5:g} per s and mM)"
    )


def _enhancement(_step: FunctionalSettings) -> str:
    return "traits of enhancement that need no model were mapped"


def _dsc(step: FunctionalSettings) -> str:
    leak = "without correction of leakage" if step.leakage is False else "corrected for leakage"
    norm = ", over normal-appearing white matter" if step.normal else ""
    flow = f", flow by deconvolution ({step.method or 'osvd'})" if step.artery else ""
    return f"blood volume of susceptibility contrast series was mapped, {leak}{norm}{flow}"


def _diffusion(step: FunctionalSettings) -> str:
    source = "of the header" if step.b_values is None else "given"
    return f"diffusion series were fitted with {_MODELS[step.model or 'adc']} (b-values {source})"


def _t1(step: FunctionalSettings) -> str:
    angles = ", ".join(f"{angle:g}" for angle in step.flip_angles_deg or [])
    return f"T1 was mapped from flip angles of {angles} degrees ({step.method or 'nonlinear'} fit)"


def _uptake(step: FunctionalSettings) -> str:
    rule = step.rule or "share"
    value = step.value or {"share": 0.41, "fixed": 4.0, "reference": 1.5}[rule]
    how = {
        "share": f"{value:.0%} of the region's maximum",
        "fixed": f"SUV {value:g}",
        "reference": f"{value:g} times the mean of the liver plus two standard deviations",
    }[rule]
    return (
        f"uptake was measured in the active part of each region, above {how} (its volume is the "
        "metabolic tumour volume, the integrated intensity the total lesion glycolysis)"
    )


def change_text(change: ChangeSettings) -> str:
    """Return the methods text of the change between two visits."""
    rate = "" if change.per_days is None else f", per {change.per_days:g} days"
    own = f"; the values of {' and '.join(change.also)} are phenotypes, too" if change.also else ""
    return (
        f"Phenotypes are changes from visit {change.before} to visit {change.after}, "
        f"{_HOW[change.how]}{rate}{own}. Each patient's change rests on that patient alone."
    )
