"""PET: the metabolically active part of a lesion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from radgen._core.naming import require_choice
from radgen.errors import InputError
from radgen.types import ImageVolume, Mask

__all__ = ["ActiveRegion", "UptakeRule", "active_region"]

UptakeRule = Literal["share", "fixed", "reference"]


@dataclass(frozen=True, eq=False, slots=True)
class ActiveRegion:
    """The active part of a lesion and what is measured of it.

    Attributes
    ----------
    mask : Mask
        Voxels at or above the threshold, inside the lesion's mask.
    threshold : float
        In the unit of the image (SUV).
    volume_ml : float
        Metabolic tumour volume (MTV), mL.
    total_uptake : float
        Total lesion glycolysis (TLG): mean uptake of the region times its volume, SUV x mL.
    mean_uptake, max_uptake : float
        Of the region, and of the lesion; NaN where the region is empty.
    """

    mask: Mask
    threshold: float
    volume_ml: float
    total_uptake: float
    mean_uptake: float
    max_uptake: float


def active_region(
    image: ImageVolume,
    lesion: Mask,
    *,
    rule: UptakeRule = "share",
    value: float = 0.41,
    reference: Mask | None = None,
) -> ActiveRegion:
    """Return the part of a lesion that takes up tracer above a threshold.

    Parameters
    ----------
    image : ImageVolume
        Standardised uptake values.
    lesion : Mask
        Around the lesion, on the image's grid.
    rule : {"share", "fixed", "reference"}
        "share": `value` times the maximum of the lesion. "fixed": `value` itself (2.5 and 4.0 are
        in use). "reference": mean of `reference` times `value` plus two of its standard
        deviations (PERCIST: a sphere of 3 cm in the right lobe of the liver, 1.5).
    value : float
        See `rule`.
    reference : Mask or None
        For the rule "reference".

    Returns
    -------
    ActiveRegion
        Empty where no voxel reaches the threshold: volume 0, means NaN.

    Raises
    ------
    InputError
        If the lesion holds no measured voxel, a reference is missing or not asked for, or `value`
        is not positive.
    GeometryError
        If a mask does not lie on the image's grid.

    References
    ----------
    Boellaard et al. 2015 (EANM), doi:10.1007/s00259-014-2961-x; Wahl et al. 2009 (PERCIST),
    doi:10.2967/jnumed.108.057307.
    """
    require_choice(rule, get_args(UptakeRule), what="uptake rule")
    if not (np.isfinite(value) and value > 0):
        raise InputError(f"The threshold value is {value}; it must be positive.")
    if (reference is not None) != (rule == "reference"):
        raise InputError('A reference region belongs to the rule "reference", and only to it.')
    lesion.require_on(image)
    inside = lesion.array & np.isfinite(image.array)
    if image.array.ndim != 3 or not inside.any():
        raise InputError(f"The lesion {lesion.region!r} holds no measured voxel of a 3D image.")
    highest = float(image.array[inside].max())
    threshold = value
    if rule == "share":
        threshold = value * highest
    elif reference is not None:
        reference.require_on(image)
        known = image.array[reference.array & np.isfinite(image.array)].astype(np.float64)
        if len(known) < 2:
            raise InputError("The reference region holds fewer than two measured voxels.")
        threshold = value * float(known.mean()) + 2.0 * float(known.std(ddof=1))
    active = inside & (image.array >= threshold)
    values = image.array[active].astype(np.float64)
    volume = len(values) * image.geometry.voxel_volume_mm3 / 1000.0
    mean = float(values.mean()) if len(values) else float("nan")
    return ActiveRegion(
        Mask(active, lesion.geometry, f"{lesion.region}_active"), float(threshold), volume,
        float(values.sum()) * image.geometry.voxel_volume_mm3 / 1000.0, mean, highest,
    )  # fmt: skip
