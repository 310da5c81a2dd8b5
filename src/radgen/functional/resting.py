"""Resting-state fMRI: amplitude of fluctuations, regional homogeneity, correlation of regions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from radgen._core.progress import progress
from radgen.errors import InputError
from radgen.functional._voxels import ParameterMaps, curves_of, inside, maps_of
from radgen.types import ImageVolume, Mask

__all__ = [
    "RegionCorrelation",
    "cleaned_curves",
    "fluctuation_amplitude",
    "region_correlations",
    "regional_homogeneity",
    "resting_maps",
]

Floats = NDArray[np.float64]
Neighbours = Literal[7, 19, 27]

_UNITS = {"ALFF": "a.u.", "fALFF": "1", "ReHo": "1"}


def cleaned_curves(
    curves: ArrayLike,
    *,
    repetition_s: float,
    confounds: ArrayLike | None = None,
    band_hz: tuple[float, float] | None = None,
) -> Floats:
    """Return curves without mean, linear trend and confounds, and within a frequency band.

    Parameters
    ----------
    curves : array_like of float (n_voxels, n_times)
        Signals.
    repetition_s : float
        Time between frames, seconds.
    confounds : array_like of float (n_times, n_confounds) or None
        Regressed out (motion, white matter, CSF); where a band is asked for, what they hold of it.
    band_hz : tuple of float (2,) or None
        Lowest and highest frequency kept; None keeps all.

    Returns
    -------
    ndarray of float64 (n_voxels, n_times)
        NaN where a curve holds a value that is not finite.

    Raises
    ------
    InputError
        If shapes do not fit, the band is empty or above the highest frequency, or nothing is left
        to measure.
    """
    data = np.atleast_2d(np.asarray(curves, dtype=np.float64))
    count = data.shape[1]
    if not repetition_s > 0:
        raise InputError(f"The repetition time is {repetition_s} s; it must be positive.")
    columns = [np.ones(count), np.linspace(-1, 1, count)]
    if confounds is not None:
        given = np.asarray(confounds, dtype=np.float64)
        if given.ndim != 2 or len(given) != count or not np.isfinite(given).all():
            raise InputError(
                f"The confounds have shape {given.shape}; needed are {count} rows of finite "
                "numbers, one a frame."
            )
        columns += list(given.T)
    design = np.column_stack(columns)
    if np.linalg.matrix_rank(design) >= count:
        raise InputError(f"{design.shape[1]} confounds of {count} frames leave nothing to measure.")
    if band_hz is not None:
        keep = _band(count, repetition_s, band_hz)
        flat = data - data.mean(axis=1, keepdims=True)
        data, design = _passed(flat, keep), np.column_stack([_passed(c, keep) for c in columns[1:]])
    return data - (data @ np.linalg.pinv(design).T) @ design.T


def _band(count: int, repetition_s: float, band_hz: tuple[float, float]) -> NDArray[np.bool_]:
    low, high = band_hz
    rates = np.fft.rfftfreq(count, repetition_s)
    keep = (rates >= low) & (rates <= high) & (rates > 0)
    if not 0 <= low < high or not keep.any():
        raise InputError(
            f"The band {low:g} to {high:g} Hz holds no frequency of {count} frames "
            f"{repetition_s:g} s apart (up to {rates[-1]:.3g} Hz, steps of {rates[1]:.3g} Hz)."
        )
    return np.asarray(keep)


def _passed(curves: Floats, keep: NDArray[np.bool_]) -> Floats:
    spectrum = np.fft.rfft(curves, axis=-1) * keep
    found: Floats = np.fft.irfft(spectrum, curves.shape[-1], axis=-1)
    return found


def fluctuation_amplitude(
    curves: ArrayLike, *, repetition_s: float, band_hz: tuple[float, float] = (0.01, 0.08)
) -> tuple[Floats, Floats]:
    """Return the amplitude of low-frequency fluctuations, and its share of all amplitudes.

    Parameters
    ----------
    curves : array_like of float (n_voxels, n_times)
        Signals without trend and confounds, not filtered; see `cleaned_curves`.
    repetition_s : float
        Time between frames, seconds.
    band_hz : tuple of float (2,)
        The band, hertz.

    Returns
    -------
    alff : ndarray of float64 (n_voxels,)
        Mean amplitude of the sines in the band, in the unit of the signal.
    falff : ndarray of float64 (n_voxels,)
        Sum of their amplitudes over that of all frequencies above 0. NaN for constant curves.

    Raises
    ------
    InputError
        If the band holds no frequency.

    References
    ----------
    Zang et al. 2007, doi:10.1016/j.braindev.2006.07.002; Zou et al. 2008,
    doi:10.1016/j.jneumeth.2008.04.012.
    """
    data = np.atleast_2d(np.asarray(curves, dtype=np.float64))
    count = data.shape[1]
    keep = _band(count, repetition_s, band_hz)
    amplitude = np.abs(np.fft.rfft(data, axis=1)) * (2.0 / count)
    if count % 2 == 0:
        amplitude[:, -1] /= 2.0
    every = amplitude[:, 1:].sum(axis=1)
    alff = amplitude[:, keep].mean(axis=1)
    floor = 1e-12 * np.abs(data).max(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return alff, np.where(every > floor, amplitude[:, keep].sum(axis=1) / every, np.nan)


def regional_homogeneity(
    series: ImageVolume | Floats, mask: Mask, *, neighbours: Neighbours = 27
) -> Floats:
    """Return Kendall's W of each voxel's curve and those around it.

    Parameters
    ----------
    series : ImageVolume or ndarray of float64 (n_voxels, n_times)
        The series, or the curves of the mask's voxels (cleaned, within a band).
    mask : Mask
        Voxels to look at; neighbours outside are left out.
    neighbours : {7, 19, 27}
        Voxels of a neighbourhood, the middle included: those that share a face, an edge, a corner.

    Returns
    -------
    ndarray of float64 (n_voxels,)
        0 to 1; NaN where fewer than half of the neighbours are in the mask, or a curve is
        constant or not finite.

    Raises
    ------
    InputError
        If the number of neighbours is none of these, or curves and mask do not fit.

    References
    ----------
    Zang et al. 2004, doi:10.1016/j.neuroimage.2003.12.030 (no correction for ties).
    """
    if neighbours not in (7, 19, 27):
        raise InputError(f"Neighbourhoods have 7, 19 or 27 voxels, not {neighbours}.")
    curves = curves_of(series, mask) if isinstance(series, ImageVolume) else series
    if curves.shape[0] != mask.n_voxels:
        raise InputError(f"There are {len(curves)} curves and {mask.n_voxels} voxels.")
    usable: NDArray[np.bool_] = np.asarray(np.isfinite(curves).all(axis=1))
    usable &= np.ptp(np.where(usable[:, None], curves, 0.0), axis=1) > 0
    count = curves.shape[1]
    ranks = np.zeros((len(curves) + 1, count))
    ranks[:-1][usable] = rankdata(curves[usable], axis=1)
    index = np.full(np.add(mask.array.shape, 2), len(curves), dtype=np.intp)
    inner = index[1:-1, 1:-1, 1:-1]
    inner[mask.array] = np.where(usable, np.arange(len(curves)), len(curves))
    here = np.argwhere(mask.array) + 1
    total, members = np.zeros((len(curves), count)), np.zeros(len(curves))
    reach = {7: 1, 19: 2, 27: 3}[neighbours]
    steps = [s for s in np.ndindex(3, 3, 3) if np.abs(np.subtract(s, 1)).sum() <= reach]
    with progress("Measuring regional homogeneity", len(steps)) as tick:
        for step in steps:
            other = index[tuple((here + np.subtract(step, 1)).T)]
            total += ranks[other]
            members += other < len(curves)
            tick(1)
    spread = (total**2).sum(axis=1) - count * total.mean(axis=1) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        found = 12.0 * spread / (members**2 * (count**3 - count))
    return np.where(usable & (members >= neighbours / 2), found, np.nan)


@dataclass(frozen=True, eq=False, slots=True)
class RegionCorrelation:
    """Correlation of the mean curves of regions.

    Attributes
    ----------
    regions : tuple of str
        Names.
    r : ndarray of float64 (n_regions, n_regions)
        Pearson's correlation; NaN for a region whose curve is constant.
    z : ndarray of float64 (n_regions, n_regions)
        Fisher's transform, 0 on the diagonal.
    """

    regions: tuple[str, ...]
    r: Floats
    z: Floats

    def traits(self) -> dict[str, float]:
        """Return z of each pair of regions by name, "a~b", for a table of phenotypes."""
        rows, columns = np.triu_indices(len(self.regions), 1)
        pairs = zip(rows, columns, strict=True)
        return {f"{self.regions[i]}~{self.regions[j]}": float(self.z[i, j]) for i, j in pairs}


def region_correlations(curves: ArrayLike, regions: tuple[str, ...]) -> RegionCorrelation:
    """Return the correlation of regions from their mean curves.

    Parameters
    ----------
    curves : array_like of float (n_regions, n_times)
        Mean curve of each region, cleaned.
    regions : tuple of str
        Names.

    Returns
    -------
    RegionCorrelation
        Pearson's r and Fisher's z.

    Raises
    ------
    InputError
        If curves and names do not fit, or there are fewer than two regions.
    """
    data = np.asarray(curves, dtype=np.float64)
    if data.ndim != 2 or len(data) != len(regions) or len(regions) < 2:
        raise InputError(f"{data.shape} curves and {len(regions)} regions; needed are two or more.")
    flat = data - data.mean(axis=1, keepdims=True)
    size = np.sqrt((flat**2).sum(axis=1))
    small = size <= 1e-12 * np.abs(data).max(axis=1, initial=1e-300)
    unit = flat / np.where(small, np.nan, size)[:, None]
    r = np.clip(unit @ unit.T, -1.0, 1.0)
    with np.errstate(divide="ignore"):
        z = np.arctanh(r)
    np.fill_diagonal(z, 0.0)
    return RegionCorrelation(tuple(regions), r, z)


def resting_maps(
    series: ImageVolume,
    mask: Mask | None = None,
    *,
    repetition_s: float | None = None,
    confounds: ArrayLike | None = None,
    band_hz: tuple[float, float] = (0.01, 0.08),
    neighbours: Neighbours = 27,
) -> ParameterMaps:
    """Return maps of ALFF, fALFF and regional homogeneity of a resting-state series.

    Parameters
    ----------
    series : ImageVolume
        Preprocessed signals with times, axes (t, z, y, x).
    mask : Mask or None
        Voxels to look at (grey matter); None = all that are measured.
    repetition_s : float or None
        Time between frames; None takes the times of the series.
    confounds : array_like of float (n_times, n_confounds) or None
        Regressed out.
    band_hz : tuple of float (2,)
        The band of slow fluctuations.
    neighbours : {7, 19, 27}
        See `regional_homogeneity`.

    Returns
    -------
    ParameterMaps
        "ALFF", "fALFF", "ReHo".

    Raises
    ------
    InputError
        If times are uneven, or shapes, band or confounds do not fit.
    GeometryError
        If the mask does not lie on the grid of the series.
    """
    chosen = inside(series, mask)
    data = curves_of(series, chosen)
    step = repetition_s if repetition_s is not None else _step(series)
    clean = cleaned_curves(data, repetition_s=step, confounds=confounds)
    alff, falff = fluctuation_amplitude(clean, repetition_s=step, band_hz=band_hz)
    slow = cleaned_curves(data, repetition_s=step, confounds=confounds, band_hz=band_hz)
    homogeneity = regional_homogeneity(slow, chosen, neighbours=neighbours)
    settings = {
        "technique": "resting fMRI", "repetition_s": step, "band_hz": list(band_hz),
        "neighbours": neighbours,
        "confounds": 0 if confounds is None else int(np.shape(confounds)[1]),
    }  # fmt: skip
    values = {"ALFF": alff, "fALFF": falff, "ReHo": homogeneity}
    return maps_of(values, _UNITS, chosen, settings=settings)


def _step(series: ImageVolume) -> float:
    if series.times_s is None or len(series.times_s) < 4:
        raise InputError("Needed is a series of four frames or more with times.")
    steps = np.diff(series.times_s)
    if np.ptp(steps) > 1e-3 * steps.mean():
        raise InputError("The frames are not evenly spaced: frequencies need even times.")
    return float(steps.mean())
