"""PET: from activity concentration to standardised uptake values."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

from radgen.errors import InputError

__all__ = ["suv", "suv_factor"]


def suv(
    activity_bq_ml: Any,
    *,
    weight_kg: float,
    dose_bq: float,
    half_life_s: float,
    delay_s: float,
) -> Any:
    """Return standardised uptake values of body weight, g/mL.

    Parameters
    ----------
    activity_bq_ml : float or ndarray
        Activity concentration in Bq/mL, decay-corrected to the start of the scan.
    weight_kg : float
        Body weight.
    dose_bq : float
        Injected activity at the time of injection, Bq.
    half_life_s : float
        Half-life of the nuclide.
    delay_s : float
        From the injection to the time that the activity is corrected to, seconds; 0 where it
        is corrected to the injection.

    Returns
    -------
    float or ndarray
        activity x weight in grams / (dose x 2^(-delay / half-life)).

    Raises
    ------
    InputError
        If weight, dose or half-life is not positive, or the delay is negative.

    References
    ----------
    QIBA, FDG-PET/CT profile, section on SUV from DICOM.

    Examples
    --------
    >>> suv(5000.0, weight_kg=70.0, dose_bq=3.5e8, half_life_s=6586.2, delay_s=0.0)
    1.0
    """
    for name, value in (("weight", weight_kg), ("dose", dose_bq), ("half-life", half_life_s)):
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"SUV needs a positive {name}; found {value}.")
    if not math.isfinite(delay_s) or delay_s < 0:
        raise InputError(f"The scan starts {delay_s} s after the injection: check the times.")
    return activity_bq_ml * (weight_kg * 1000.0 / (dose_bq * 2.0 ** (-delay_s / half_life_s)))


def suv_factor(dataset: Any) -> float:
    """Return what the rescaled values of a PET image are multiplied by to give SUV.

    Parameters
    ----------
    dataset : pydicom.Dataset
        Header of one image of the series (the earliest, where the times differ).

    Returns
    -------
    float
        1 where the values are SUV already (units GML).

    Raises
    ------
    InputError
        If it is no PET image, or a tag that the formula needs is missing or impossible.
    """
    if dataset.get("Modality") != "PT":
        raise InputError("SUV is defined for PET; the series has another modality.")
    units = str(dataset.get("Units", ""))
    if units == "GML":
        return 1.0
    if units == "CNTS":
        private = dataset.get((0x7053, 0x1000))
        if private is not None and float(private.value) > 0:
            return float(private.value)
    if units != "BQML":
        raise InputError(f"SUV from PET units {units!r} is not defined. Export in BQML.")
    corrected = str(dataset.get("DecayCorrection", ""))
    if corrected not in ("START", "ADMIN"):
        raise InputError(
            f"The PET series has decay correction {corrected or 'not stated'!r}; needed is START "
            "or ADMIN. Reconstruct with decay correction."
        )
    items = dataset.get("RadiopharmaceuticalInformationSequence")
    if not items:
        raise InputError("The PET series has no radiopharmaceutical information: no SUV.")
    drug = items[0]
    delay = 0.0 if corrected == "ADMIN" else _delay_s(dataset, drug)
    return float(
        suv(
            1.0,
            weight_kg=_number(dataset, "PatientWeight"),
            dose_bq=_number(drug, "RadionuclideTotalDose"),
            half_life_s=_number(drug, "RadionuclideHalfLife"),
            delay_s=delay,
        )
    )


def _number(dataset: Any, tag: str) -> float:
    value = dataset.get(tag)
    if value in (None, ""):
        raise InputError(f"SUV needs the DICOM tag {tag}, which is missing or empty.")
    return float(value)


def _delay_s(dataset: Any, drug: Any) -> float:
    start = _time(dataset, "SeriesDate", "SeriesTime")
    acquired = _time(dataset, "AcquisitionDate", "AcquisitionTime")
    if start is None or (acquired is not None and acquired < start):
        start = acquired
    if start is None:
        raise InputError("SUV needs the times of the series; they are missing.")
    stamp = str(drug.get("RadiopharmaceuticalStartDateTime", "") or "")
    if stamp:
        injected = _parse(stamp[:8], stamp[8:])
    else:
        clock = str(drug.get("RadiopharmaceuticalStartTime", "") or "")
        injected = _parse(start.strftime("%Y%m%d"), clock) if clock else None
        if injected is not None and injected > start:
            injected -= timedelta(days=1)
    if injected is None:
        raise InputError("SUV needs the time of injection, which is missing.")
    delay = (start - injected).total_seconds()
    if not 0 <= delay <= 86400:
        raise InputError(
            f"The scan starts {delay:.0f} s after the injection, which cannot be: check the times."
        )
    return delay


def _time(dataset: Any, day: str, clock: str) -> datetime | None:
    date, time = str(dataset.get(day, "") or ""), str(dataset.get(clock, "") or "")
    return _parse(date, time) if date and time else None


def _parse(day: str, clock: str) -> datetime | None:
    digits = clock.split("+", maxsplit=1)[0].split("-", maxsplit=1)[0].replace(":", "")
    whole, _, part = digits.partition(".")
    try:
        moment = datetime.strptime(day + whole.ljust(6, "0")[:6], "%Y%m%d%H%M%S")
        return moment + timedelta(seconds=float(f"0.{part or 0}"))
    except ValueError:
        return None
