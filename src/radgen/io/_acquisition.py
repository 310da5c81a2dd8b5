"""Acquisition facts of a DICOM header: a closed list of tags that identify nobody."""

from __future__ import annotations

from typing import Any

__all__ = ["acquisition_facts"]

_TEXT = {
    "manufacturer": "Manufacturer",
    "model": "ManufacturerModelName",
    "software": "SoftwareVersions",
    "kernel": "ConvolutionKernel",
    "filter": "FilterType",
    "sequence": "ScanningSequence",
    "sequence_variant": "SequenceVariant",
    "reconstruction": "ReconstructionMethod",
    "patient_position": "PatientPosition",
    "body_part": "BodyPartExamined",
    "units": "Units",
}
_NUMBERS = {
    "slice_thickness_mm": "SliceThickness",
    "slice_spacing_mm": "SpacingBetweenSlices",
    "kvp": "KVP",
    "tube_current_ma": "XRayTubeCurrent",
    "exposure_mas": "Exposure",
    "field_strength_t": "MagneticFieldStrength",
    "echo_time_ms": "EchoTime",
    "repetition_time_ms": "RepetitionTime",
    "inversion_time_ms": "InversionTime",
    "flip_angle_deg": "FlipAngle",
    "reconstruction_diameter_mm": "ReconstructionDiameter",
}


def acquisition_facts(header: Any) -> dict[str, Any]:
    """Return the acquisition facts that a header states; a contrast agent as yes or no.

    Parameters
    ----------
    header : pydicom.Dataset
        Classic or enhanced; of an enhanced image the shared groups are read as well.

    Returns
    -------
    dict of str
        Text and float64 numbers. No name, date, id or UID is ever among them.
    """
    facts: dict[str, Any] = {}
    places = [header, *_shared(header)]
    for key, tag in _TEXT.items():
        value = _first(places, tag)
        if value not in (None, ""):
            facts[key] = value if isinstance(value, str) else "\\".join(map(str, _listed(value)))
    for key, tag in _NUMBERS.items():
        value = _first(places, tag)
        try:
            facts[key] = float(_listed(value)[0])
        except (TypeError, ValueError, IndexError):
            continue
    if header.get("Modality") in ("CT", "MR"):
        facts["contrast"] = bool(str(header.get("ContrastBolusAgent", "") or "").strip())
    return facts


def _shared(header: Any) -> list[Any]:
    groups = header.get("SharedFunctionalGroupsSequence")
    if not groups:
        return []
    return [item[0] for item in (element.value for element in groups[0]) if item and len(item)]


def _first(places: list[Any], tag: str) -> Any:
    for place in places:
        value = place.get(tag) if hasattr(place, "get") else None
        if value not in (None, ""):
            return value
    return None


def _listed(value: Any) -> list[Any]:
    if value is None or isinstance(value, str | bytes):
        return [value]
    try:
        return list(value)
    except TypeError:
        return [value]
