"""Radiotherapy dose: dose-volume histograms, equivalent doses, complication probability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from radgen.errors import InputError
from radgen.image.resample import resample_to
from radgen.types import ImageVolume, Mask

__all__ = [
    "DoseVolume",
    "complication_probability",
    "dose_change",
    "dose_volume",
    "equivalent_dose",
    "equivalent_uniform_dose",
]

Floats = NDArray[np.float64]

_OUTSIDE = 0.05


@dataclass(frozen=True, eq=False, slots=True)
class DoseVolume:
    """Dose in a region.

    Attributes
    ----------
    region : str
        Name.
    doses : ndarray of float64 (n_voxels,)
        Dose of each voxel, Gy, falling.
    voxel_ml : float
        Volume of a voxel, mL.
    """

    region: str
    doses: Floats
    voxel_ml: float

    @property
    def volume_ml(self) -> float:
        """Volume of the region, mL."""
        return len(self.doses) * self.voxel_ml

    def dose_at(self, percent: float) -> float:
        """Return the least dose that the hottest `percent` of the region get (D95, say), Gy.

        Raises
        ------
        InputError
            If the share is not above 0 and up to 100.
        """
        if not 0 < percent <= 100:
            raise InputError(f"A share of volume lies above 0 and up to 100 %, not {percent}.")
        return float(np.percentile(self.doses, 100.0 - percent))

    def volume_at(self, dose_gy: float) -> float:
        """Return the share of the region, in per cent, with this dose or more (V20, say)."""
        return 100.0 * float(np.count_nonzero(self.doses >= dose_gy)) / len(self.doses)

    def curve(self, step_gy: float = 0.5) -> tuple[Floats, Floats]:
        """Return the cumulative histogram: doses in Gy, and per cent of volume with them or more.

        Raises
        ------
        InputError
            If the step is not positive.
        """
        if not step_gy > 0:
            raise InputError(f"The step of a histogram is {step_gy} Gy; it must be positive.")
        axis = step_gy * np.arange(int(np.ceil(self.doses[0] / step_gy)) + 2)
        above = np.searchsorted(-self.doses, -axis, side="right")
        return axis, 100.0 * above / len(self.doses)

    def summary(
        self, *, at_percent: Sequence[float] = (2, 50, 95, 98), at_gy: Sequence[float] = (5, 20, 30)
    ) -> dict[str, float]:
        """Return volume, mean, extremes, D and V of the region by name."""
        out = {
            "volume_ml": self.volume_ml, "mean_gy": float(self.doses.mean()),
            "min_gy": float(self.doses[-1]), "max_gy": float(self.doses[0]),
        }  # fmt: skip
        out |= {f"D{p:g}_gy": self.dose_at(p) for p in at_percent}
        return out | {f"V{g:g}_percent": self.volume_at(g) for g in at_gy}


def dose_volume(dose: ImageVolume, mask: Mask) -> DoseVolume:
    """Return the doses of a region.

    Parameters
    ----------
    dose : ImageVolume
        Gy, on any grid; it is interpolated linearly onto that of the mask.
    mask : Mask
        The region.

    Returns
    -------
    DoseVolume
        Doses of its voxels.

    Raises
    ------
    InputError
        If the dose has no unit of Gy, the region is empty, or more than 5 % of it lie outside of
        the dose grid.

    Notes
    -----
    Voxels outside of the dose grid (up to 5 %) count as 0 Gy.
    """
    if dose.unit != "Gy":
        raise InputError(
            f"The dose has the unit {dose.unit!r}; needed is Gy. Give an RTDOSE in GY, or say that "
            "the file holds Gy."
        )
    if not mask.n_voxels:
        raise InputError(f"The region {mask.region!r} holds no voxel.")
    there = dose
    if not dose.geometry.same_as(mask.geometry):
        there = resample_to(dose, mask.geometry, method="linear", anti_alias=None)
    values = there.array[mask.array].astype(np.float64)
    lost = np.isnan(values)
    if lost.mean() > _OUTSIDE:
        raise InputError(
            f"{lost.mean():.0%} of the region {mask.region!r} lie outside of the dose grid: its "
            "dose is not known."
        )
    values[lost] = 0.0
    return DoseVolume(
        mask.region, np.sort(values)[::-1].copy(), mask.geometry.voxel_volume_mm3 / 1000.0
    )


def equivalent_dose(
    total_gy: ArrayLike, *, fractions: float, alpha_beta_gy: float, per_fraction_gy: float = 2.0
) -> Floats:
    """Return the dose in fractions of 2 Gy that has the same effect (EQD2).

    Parameters
    ----------
    total_gy : array_like of float
        Total physical dose.
    fractions : float
        Number of fractions it was given in.
    alpha_beta_gy : float
        Of the tissue: about 3 Gy for late effects, 10 for tumours.
    per_fraction_gy : float
        Fraction of the reference, 2 Gy.

    Returns
    -------
    ndarray of float64
        D (d + a/b) / (reference + a/b) with d = D / fractions.

    Raises
    ------
    InputError
        If a number is not positive.

    Examples
    --------
    >>> float(equivalent_dose(60.0, fractions=20, alpha_beta_gy=3.0))
    72.0
    """
    for name, value in (("fractions", fractions), ("alpha/beta", alpha_beta_gy)):
        if not value > 0:
            raise InputError(f"The number of {name} is {value}; it must be positive.")
    total = np.asarray(total_gy, dtype=np.float64)
    found: Floats = total * (total / fractions + alpha_beta_gy) / (per_fraction_gy + alpha_beta_gy)
    return found


def equivalent_uniform_dose(doses: ArrayLike, a: float) -> float:
    """Return the generalised equivalent uniform dose of voxels.

    Parameters
    ----------
    doses : array_like of float (n_voxels,)
        Gy.
    a : float
        1 gives the mean; large values follow the hottest voxels (organs in series), negative ones
        the coldest (tumours).

    Returns
    -------
    float
        (mean of d^a)^(1/a), Gy; 0 where `a` is negative and a voxel has none.

    Raises
    ------
    InputError
        If `a` is 0, or there is no voxel or a negative dose.

    References
    ----------
    Niemierko 1999, Medical Physics 26:1100.

    Examples
    --------
    >>> equivalent_uniform_dose([0.0, 60.0], 1.0)
    30.0
    """
    values = np.asarray(doses, dtype=np.float64)
    if a == 0 or not values.size or values.min() < 0:
        raise InputError(
            "An equivalent uniform dose needs doses that are not negative, and a not 0."
        )
    top = float(values.max())
    if top == 0 or (a < 0 and values.min() == 0):
        return 0.0
    with np.errstate(divide="ignore", under="ignore"):
        logs = a * np.log(values / top)
    high = logs.max()
    return top * float(np.exp((high + np.log(np.exp(logs - high).mean())) / a))


def complication_probability(uniform_gy: float, *, td50_gy: float, m: float) -> float:
    """Return the probability of a complication by the Lyman-Kutcher-Burman model.

    Parameters
    ----------
    uniform_gy : float
        Equivalent uniform dose of the organ; its a is 1 / n of the model.
    td50_gy : float
        Uniform dose with a complication in half of the patients.
    m : float
        Slope.

    Returns
    -------
    float
        Phi((dose - TD50) / (m TD50)).

    Raises
    ------
    InputError
        If TD50 or m is not positive.

    References
    ----------
    Lyman 1985, Radiation Research 104:S13-S19; n and m as in Kutcher and Burman 1989.

    Examples
    --------
    >>> complication_probability(30.0, td50_gy=30.0, m=0.2)
    0.5
    """
    if not (td50_gy > 0 and m > 0):
        raise InputError("TD50 and m must be positive.")
    return float(ndtr((uniform_gy - td50_gy) / (m * td50_gy)))


def dose_change(
    before: ImageVolume,
    after: ImageVolume,
    dose: ImageVolume,
    mask: Mask,
    *,
    edges_gy: Sequence[float] = (0, 5, 10, 20, 30, 40, 50, 60),
) -> list[Mapping[str, float]]:
    """Return how much an image changed in tissue of each dose: density of lung, say.

    Parameters
    ----------
    before, after : ImageVolume
        Registered scans on the grid of the mask, before and after radiotherapy (CT in HU).
    dose : ImageVolume
        Gy, on any grid.
    mask : Mask
        The organ, without tumour.
    edges_gy : sequence of float
        Rising edges of the bins; the last bin is open.

    Returns
    -------
    list of mapping
        A row a bin: ``from_gy, to_gy, n_voxels, mean_dose_gy, change, standard_deviation``; NaN
        where a bin is empty.

    Raises
    ------
    InputError
        If edges do not rise, or the dose does not cover the organ.
    GeometryError
        If scans and mask do not share a grid.
    """
    edges = np.asarray(edges_gy, dtype=np.float64)
    if len(edges) < 1 or not (np.diff(edges) > 0).all():
        raise InputError(f"Edges of dose bins must rise; found {list(edges_gy)}.")
    mask.require_on(before)
    mask.require_on(after)
    dose_volume(dose, mask)  # the unit, and that the dose covers the organ
    there = dose
    if not dose.geometry.same_as(mask.geometry):
        there = resample_to(dose, mask.geometry, method="linear", anti_alias=None)
    values = np.nan_to_num(there.array[mask.array].astype(np.float64))
    change = after.array[mask.array].astype(np.float64) - before.array[mask.array]
    known = np.isfinite(change)
    which = np.digitize(values, edges) - 1
    rows = []
    for k, low in enumerate(edges):
        inside = known & (which == k)
        some, n = change[inside], int(inside.sum())
        rows.append({
            "from_gy": float(low),
            "to_gy": float(edges[k + 1]) if k + 1 < len(edges) else float("inf"),
            "n_voxels": float(n), "mean_dose_gy": float(values[inside].mean()) if n else np.nan,
            "change": float(some.mean()) if n else np.nan,
            "standard_deviation": float(some.std(ddof=1)) if n > 1 else np.nan,
        })  # fmt: skip
    return rows
