"""Simulate scans with a tumour whose size, brightness and texture are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from radgen.types import Geometry, ImageVolume, Mask

__all__ = ["Scanner", "simulate_scan"]

_FIELD_MM = (60.0, 72.0, 72.0)
_BACKGROUND = 100.0


@dataclass(frozen=True, slots=True)
class Scanner:
    """How one site's scanner changes the picture.

    Attributes
    ----------
    site : str
        Name of the site.
    manufacturer : str
        Name of the maker.
    spacing_mm : tuple of float
        Voxel size (z, y, x) in millimetres.
    gain, offset : float
        Measured = gain * true + offset.
    noise : float
        Standard deviation of the white noise, in true intensity units.
    """

    site: str
    manufacturer: str
    spacing_mm: tuple[float, float, float] = (3.0, 1.5, 1.5)
    gain: float = 1.0
    offset: float = 0.0
    noise: float = 4.0


def simulate_scan(
    *,
    size: float,
    brightness: float,
    texture: float,
    scanner: Scanner,
    rng: np.random.Generator,
    noise_rng: np.random.Generator | None = None,
) -> tuple[ImageVolume, Mask]:
    """Return a T1-like scan with an irregular tumour, and the tumour's mask.

    Parameters
    ----------
    size : float
        Standard-normal score; log volume grows by 0.6 a unit around 10 mL.
    brightness : float
        Standard-normal score; the mean tumour intensity grows by 12 a unit around 140.
    texture : float
        Standard-normal score; higher = coarser structure (longer correlation length).
    scanner : Scanner
        Voxel size, gain, offset and noise.
    rng : numpy.random.Generator
        Draws the anatomy: shape and structure of this person.
    noise_rng : numpy.random.Generator or None
        Draws the measurement noise; a second scan of the same person has the same `rng` state
        and another `noise_rng`. None: `rng` draws it too.

    Returns
    -------
    ImageVolume
        Float32 intensities in arbitrary units, modality "MR".
    Mask
        Region "tumour".
    """
    shape = tuple(round(f / s) for f, s in zip(_FIELD_MM, scanner.spacing_mm, strict=True))
    geometry = Geometry.from_spacing(shape, scanner.spacing_mm, origin_mm=(-36.0, -36.0, -30.0))
    axes = [
        (np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, scanner.spacing_mm, strict=True)
    ]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    centre = rng.uniform(-6, 6, 3)
    radius = (0.75 * 10_000 * np.exp(0.6 * size) / np.pi) ** (1 / 3)
    stretch = np.exp(0.12 * rng.standard_normal(3))
    stretch /= np.prod(stretch) ** (1 / 3)
    distance = np.sqrt(
        ((z - centre[0]) / stretch[0]) ** 2
        + ((y - centre[1]) / stretch[1]) ** 2
        + ((x - centre[2]) / stretch[2]) ** 2
    )
    inside = distance < radius * (1 + 0.08 * _field(rng, shape, scanner.spacing_mm, 5.0))
    coarse = 1 / (1 + np.exp(-1.2 * texture))
    fine_field = _field(rng, shape, scanner.spacing_mm, 1.2)
    coarse_field = _field(rng, shape, scanner.spacing_mm, 4.0)
    structure = np.sqrt(1 - coarse) * fine_field + np.sqrt(coarse) * coarse_field
    true = _BACKGROUND + 6 * _field(rng, shape, scanner.spacing_mm, 8.0)
    true = np.where(inside, 140 + 12 * brightness + 14 * structure, true)
    noise = (noise_rng or rng).standard_normal(shape)
    measured = scanner.gain * (true + scanner.noise * noise) + scanner.offset
    meta = {"manufacturer": scanner.manufacturer, "site": scanner.site}
    image = ImageVolume(measured.astype(np.float32), geometry, modality="MR", meta=meta)
    return image, Mask(inside, geometry, "tumour")


def _field(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    spacing_mm: tuple[float, float, float],
    length_mm: float,
) -> np.ndarray:
    """Return a smooth random field of unit variance with the given correlation length."""
    sigma = [length_mm / size for size in spacing_mm]
    field = gaussian_filter(rng.standard_normal(shape), sigma, mode="wrap")
    return np.asarray(field / field.std())
