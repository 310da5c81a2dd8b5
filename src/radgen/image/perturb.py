"""Perturb scans and contours, to see which features stay."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from radgen._core.rng import spawn
from radgen.errors import InputError
from radgen.image._supervoxel import supervoxels
from radgen.image.filters.wavelet import SeparableWavelet
from radgen.image.grid import bounding_box
from radgen.image.region import depth_mm
from radgen.image.resample import resample_to
from radgen.types import Geometry, ImageVolume, Mask

__all__ = [
    "PerturbationSettings",
    "adapt_volume",
    "add_noise",
    "move",
    "noise_sigma",
    "perturbations",
    "randomise_contour",
]

_SUPERVOXEL_MM3 = 500.0
_SUPERVOXEL_LEAST = 20


@dataclass(frozen=True, kw_only=True)
class PerturbationSettings:
    """Which perturbations are drawn, and how strong they are.

    Attributes
    ----------
    rotation_deg : float
        Angles about the slice axis are drawn from ±this; 0 = none.
    translation : float
        Shifts along each axis are drawn from [0, this) voxels; 0 = none.
    noise : float
        Noise of this many times the scan's own noise level is added; 0 = none.
    volume : float
        The region grows or shrinks by a share drawn from ±this; 0 = none.
    contour : bool
        Whether the contour is redrawn along supervoxels.
    """

    rotation_deg: float = 0.0
    translation: float = 0.0
    noise: float = 0.0
    volume: float = 0.0
    contour: bool = False

    def __post_init__(self) -> None:
        for name in ("rotation_deg", "translation", "noise", "volume"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise InputError(f"{name} is not negative, as is {value}.")
        if self.volume >= 1:
            raise InputError(f"volume is a share below 1, not {self.volume}.")


def perturbations(
    image: ImageVolume,
    mask: Mask,
    settings: PerturbationSettings,
    *,
    n: int,
    seed: int,
    unit: str = "",
) -> Iterator[tuple[ImageVolume, Mask]]:
    """Yield perturbed copies of a scan and its region.

    Parameters
    ----------
    image : ImageVolume (n_z, n_y, n_x)
        The scan.
    mask : Mask
        The region, on the scan's grid; not empty.
    settings : PerturbationSettings
        What is done, in this order: noise, rotation and translation, volume, contour.
    n : int
        Number of copies.
    seed : int
        Seed of the run.
    unit : str
        Name of the scan: copy k of a scan depends on (seed, unit, k) only.

    Yields
    ------
    ImageVolume, Mask
        On one grid. A copy whose region would be empty keeps the region before that step.

    Raises
    ------
    GeometryError
        If the mask is not on the scan's grid.
    InputError
        If the region is empty.

    References
    ----------
    Zwanenburg et al. 2019, doi:10.1038/s41598-018-36938-4.
    """
    mask.require_on(image)
    if not mask.n_voxels:
        raise InputError(f"Region {mask.region!r} is empty.")
    for copy in range(n):
        rng = spawn(seed, "perturbation", unit, copy)
        yield _perturbed(image, mask, settings, rng)


def _perturbed(
    image: ImageVolume, mask: Mask, settings: PerturbationSettings, rng: np.random.Generator
) -> tuple[ImageVolume, Mask]:
    angle = rng.uniform(-1, 1) * settings.rotation_deg
    shift = rng.uniform(0, 1, size=3) * settings.translation
    share = rng.uniform(-1, 1) * settings.volume
    if settings.noise > 0:
        image = add_noise(image, sigma=settings.noise * noise_sigma(image), rng=rng)
    if settings.rotation_deg > 0 or settings.translation > 0:
        moved = move(image, mask, angle_deg=angle, shift_voxels=(shift[0], shift[1], shift[2]))
        image, mask = moved if moved[1].n_voxels else (moved[0], mask)
    if settings.volume > 0:
        mask = adapt_volume(mask, share)
    if settings.contour:
        drawn = randomise_contour(image, mask, rng=rng)
        mask = drawn if drawn.n_voxels else mask
    return image, mask


def move(
    image: ImageVolume,
    mask: Mask,
    *,
    angle_deg: float = 0.0,
    shift_voxels: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> tuple[ImageVolume, Mask]:
    """Return scan and region sampled on a grid that is turned and shifted against the old one.

    Parameters
    ----------
    image : ImageVolume (n_z, n_y, n_x)
        The scan; linear interpolation, the outermost voxel repeated beyond it.
    mask : Mask
        The region; linear interpolation, threshold 0.5.
    angle_deg : float
        Angle about the slice axis through the region's centre.
    shift_voxels : tuple of float (3,)
        Shift along (z, y, x) in voxels.

    Returns
    -------
    ImageVolume, Mask
        On the new grid, same shape and spacing. The region can be empty.

    Raises
    ------
    GeometryError
        If the mask is not on the scan's grid.
    InputError
        If the region is empty.
    """
    from scipy import ndimage

    mask.require_on(image)
    if not mask.n_voxels:
        raise InputError(f"Region {mask.region!r} is empty, so it has no centre to turn about.")
    geometry = image.geometry
    centre = np.array(ndimage.center_of_mass(mask.array))[::-1]
    turn = np.deg2rad(angle_deg)
    cos, sin = np.cos(turn), np.sin(turn)
    axes = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    spacing = np.array(geometry.spacing_mm[::-1])
    in_index = np.diag(1 / spacing) @ axes @ np.diag(spacing)
    inner = np.eye(4)
    inner[:3, :3] = in_index
    inner[:3, 3] = centre - in_index @ centre + np.array(shift_voxels[::-1])
    target = Geometry(geometry.affine @ inner, geometry.shape)
    moved = resample_to(image, target, method="linear", fill=None)
    return moved, resample_to(mask, target, method="linear", threshold=0.5)


def noise_sigma(image: ImageVolume) -> float:
    """Return the noise level of a scan, from its finest diagonal wavelet band.

    Parameters
    ----------
    image : ImageVolume (n_z, n_y, n_x)
        The scan, without NaN.

    Returns
    -------
    float
        Median absolute value of the in-plane HH band (Haar) / 0.6745, in units of the scan;
        flat voxels (air set to one value) are left out.

    Raises
    ------
    InputError
        If the scan is a series or holds values that are not finite.

    References
    ----------
    Donoho & Johnstone 1994, doi:10.1093/biomet/81.3.425.
    """
    if image.array.ndim != 3 or not np.isfinite(image.array).all():
        raise InputError("The noise level needs a single volume with finite values.")
    settings = SeparableWavelet(wavelet="haar", band="HH", dimensions=2)
    keep = tuple((0, size) for size in image.geometry.shape)
    detail = np.abs(
        settings.respond(image.array, image.geometry.spacing_mm, (keep[0], keep[1], keep[2]))
    )
    detail = detail[detail > 0]
    return float(np.median(detail)) / 0.6744897501960817 if detail.size else 0.0


def add_noise(image: ImageVolume, *, sigma: float, rng: np.random.Generator) -> ImageVolume:
    """Return the scan with Gaussian noise of standard deviation `sigma` added.

    Parameters
    ----------
    image : ImageVolume
        The scan.
    sigma : float
        In units of the scan.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ImageVolume
        Same dtype and grid.

    Raises
    ------
    InputError
        If `sigma` is negative.
    """
    if not (np.isfinite(sigma) and sigma >= 0):
        raise InputError(f"sigma is not negative, as is {sigma}.")
    noise = rng.normal(0.0, sigma, size=image.array.shape) if sigma > 0 else 0.0
    return image.with_array((image.array + noise).astype(image.array.dtype))


def adapt_volume(mask: Mask, share: float) -> Mask:
    """Return the region grown (share > 0) or shrunk (share < 0) by a share of its volume.

    Parameters
    ----------
    mask : Mask
        The region; not empty.
    share : float
        Change of volume, above -1.

    Returns
    -------
    Mask
        Voxels are added, or taken away, in order of their distance from the contour, to the
        nearest whole number of voxels; at least one voxel stays.

    Raises
    ------
    InputError
        If the region is empty or the share is not above -1.
    """
    if not share > -1:
        raise InputError(f"A change of volume lies above -1, not at {share}.")
    wanted = min(max(1, round(mask.n_voxels * (1 + share))), mask.array.size)
    depth = depth_mm(mask).ravel()
    chosen = np.argsort(-depth, kind="stable")[:wanted]
    array = np.zeros(depth.size, dtype=bool)
    array[chosen] = True
    return replace(mask, array=array.reshape(mask.array.shape))


def randomise_contour(
    image: ImageVolume,
    mask: Mask,
    *,
    rng: np.random.Generator,
    certain: tuple[float, float] = (0.2, 0.9),
    voxel_mm: float | None = None,
) -> Mask:
    """Return the region redrawn along supervoxels that lie partly in it.

    Parameters
    ----------
    image : ImageVolume (n_z, n_y, n_x)
        The scan, whose intensities shape the supervoxels.
    mask : Mask
        The region; not empty.
    rng : numpy.random.Generator
        Source of randomness.
    certain : tuple of float (2,)
        A supervoxel that lies inside with a share below the first is left out, at or above the
        second taken; in between, taken with that share as probability.
    voxel_mm : float or None
        Width of a supervoxel; None is that of a cube of 500 mm³, or of 20 voxels where these are
        more, at most a third of the region's width.

    Returns
    -------
    Mask
        Made of whole supervoxels; can be empty.

    Raises
    ------
    GeometryError
        If the mask is not on the scan's grid.
    InputError
        If the region is empty, or the scan holds values that are not finite around it.

    Notes
    -----
    Size of supervoxels and limits of the share are those of the reference.

    References
    ----------
    Zwanenburg et al. 2019, doi:10.1038/s41598-018-36938-4.
    """
    mask.require_on(image)
    spacing = image.geometry.spacing_mm
    width = voxel_mm if voxel_mm is not None else _width(mask)
    margin = [int(np.ceil(2 * width / step)) + 1 for step in spacing]
    box = bounding_box(mask, margin=margin)
    if image.array.ndim != 3 or not np.isfinite(image.array[box]).all():
        raise InputError("Supervoxels need a single volume with finite values around the region.")
    inside = mask.array[box]
    labels = supervoxels(image.array[box], spacing, width)
    count = int(labels.max()) + 1
    size = np.bincount(labels.ravel(), minlength=count)
    part = np.bincount(labels[inside], minlength=count)
    share = part / np.maximum(size, 1)
    draw = rng.uniform(size=count)
    taken = (share >= certain[1]) | ((share >= certain[0]) & (draw < share))
    array: NDArray[np.bool_] = np.zeros(mask.array.shape, dtype=bool)
    array[box] = taken[labels]
    return replace(mask, array=array)


def _width(mask: Mask) -> float:
    spacing = mask.geometry.spacing_mm
    box = bounding_box(mask)
    cube = max(_SUPERVOXEL_MM3, _SUPERVOXEL_LEAST * float(np.prod(spacing)))
    sides = [(part.stop - part.start) * step for part, step in zip(box, spacing, strict=True)]
    return float(max(min(float(np.cbrt(cube)), min(sides) / 3), min(spacing)))
