"""From sections of the study file to the settings of an extraction, as plain values."""

from __future__ import annotations

from typing import Any

from radgen.study.schema import StudySettings
from radgen.study.schema.preprocess import PreprocessChanges, PreprocessSettings

__all__ = ["map_settings", "unit_settings"]


def unit_settings(settings: StudySettings, modality: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return extraction and normalisation of one modality as plain values.

    Raises
    ------
    ConfigError
        If the settings do not fit together.
    """
    from radgen.features import ExtractionSettings

    changes = settings.preprocess.by_modality.get(modality)  # type: ignore[call-overload]
    steps, normalise = _steps(settings.preprocess, changes)
    chosen = settings.features
    mapping: dict[str, Any] = {} if chosen.preset is None else {"preset": chosen.preset}
    mapping |= steps
    wanted = ("families", "aggregations", "distance", "spatial_autocorrelation", "enclosing_shapes")
    given = {key: getattr(chosen, key) for key in wanted}
    mapping |= {key: value for key, value in given.items() if value is not None}
    if chosen.filters:
        mapping["filters"] = [dict(item) for item in chosen.filters]
    return ExtractionSettings.from_mapping(mapping).to_mapping(), normalise


_GRID = ("spacing_mm", "by_slice", "interpolation", "mask_interpolation", "mask_threshold")
_INTENSITIES = (
    "round_input", "round_resampled", "resegment_range", "outlier_sigma", "discretisation",
    "filter_discretisation",
)  # fmt: skip


def map_settings(
    settings: StudySettings, own: PreprocessChanges
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return extraction and normalisation of a functional map as plain values.

    Parameters
    ----------
    settings : StudySettings
        Voxel size and interpolation of scans hold for maps, too.
    own : PreprocessChanges
        What is set for the maps. Without it intensities keep their unit, and textures see 32 grey
        levels: steps for the intensities of scans say nothing of a map in 1/min.

    Raises
    ------
    ConfigError
        If the settings do not fit together.
    """
    from radgen.features import ExtractionSettings

    shared = {name: getattr(settings.preprocess, name) for name in _GRID}
    grid = PreprocessSettings(**{k: v for k, v in shared.items() if v is not None})
    plain, _ = unit_settings(settings.model_copy(update={"preprocess": grid}), "")
    plain = {key: value for key, value in plain.items() if key not in _INTENSITIES}
    plain["discretisation"] = {"method": "number", "value": 32}
    changes, normalise = _steps(own)
    return ExtractionSettings.from_mapping(plain | changes).to_mapping(), normalise


def _steps(
    section: PreprocessChanges, changes: PreprocessChanges | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the steps that are set, by the names of the extraction, and the normalisation."""
    steps = _set_keys(section) | ({} if changes is None else _set_keys(changes))
    steps.pop("by_modality", None)
    method = steps.pop("normalise", "none")
    within, scale = steps.pop("normalise_within", "image"), steps.pop("normalise_scale", 1.0)
    normalise = {} if method == "none" else {"method": method, "within": within, "scale": scale}
    names = {"interpolation": "image_interpolation", "discretise": "discretisation"}
    return {names.get(key, key): value for key, value in steps.items()}, normalise


def _set_keys(section: PreprocessChanges) -> dict[str, Any]:
    return {
        key: value
        for key, value in section.model_dump(exclude_unset=True).items()
        if value is not None
    }
