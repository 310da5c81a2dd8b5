"""Named filter settings of the IBSI 2 reference: response maps, features, validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from radgen._core.naming import did_you_mean
from radgen.errors import InputError
from radgen.image._interpolate import Interpolator
from radgen.image.filters.apply import apply_filter
from radgen.image.filters.gabor import GaborFilter
from radgen.image.filters.laplacian import LaplacianOfGaussian
from radgen.image.filters.laws import LawsFilter
from radgen.image.filters.mean import MeanFilter
from radgen.image.filters.settings import FilterSettings
from radgen.image.filters.simoncelli import NonSeparableWavelet
from radgen.image.filters.wavelet import SeparableWavelet
from radgen.image.grid import bounding_box
from radgen.image.resample import resample, resample_mask
from radgen.image.resegment import resegment
from radgen.types import ImageVolume, Mask

__all__ = [
    "FilteredImage",
    "ImageConfiguration",
    "filter_preset",
    "filter_preset_names",
    "image_configuration",
    "image_configuration_names",
    "prepare",
]


@dataclass(frozen=True, kw_only=True)
class ImageConfiguration:
    """How a scan is prepared and filtered before statistics are computed.

    Attributes
    ----------
    spacing_mm : float or None
        Isotropic voxel size after resampling; None = as it is.
    interpolation : str
        Interpolation of the image.
    mask_interpolation : str
        Interpolation of the mask.
    mask_threshold : float
        Partial volume from which a voxel belongs to the mask.
    round_intensities : bool
        Round to whole numbers after resampling.
    range : tuple of (float or None) (2,) or None
        Range of resegmentation, applied to the intensities before filtering.
    filter : FilterSettings or None
        The filter; None = the image itself.
    """

    spacing_mm: float | None = None
    interpolation: Interpolator = "cubic"
    mask_interpolation: Interpolator = "linear"
    mask_threshold: float = 0.5
    round_intensities: bool = False
    range: tuple[float | None, float | None] | None = None
    filter: FilterSettings | None = None


@dataclass(frozen=True, eq=False, slots=True)
class FilteredImage:
    """A response map with its masks.

    Attributes
    ----------
    image : ImageVolume
        Response, on the box around the region (the whole grid where no filter applies).
    morphological : Mask
        The region after resampling.
    intensity : Mask
        The region after resegmentation.
    """

    image: ImageVolume
    morphological: Mask
    intensity: Mask


def prepare(image: ImageVolume, mask: Mask, configuration: ImageConfiguration) -> FilteredImage:
    """Return the response map and masks that a configuration asks for.

    Parameters
    ----------
    image : ImageVolume (n_z, n_y, n_x)
        The scan.
    mask : Mask
        The region, on the scan's grid.
    configuration : ImageConfiguration
        Resampling, rounding, resegmentation, filter.

    Returns
    -------
    FilteredImage
        Response and masks on one grid.

    Raises
    ------
    GeometryError
        If the mask is not on the image's grid.
    InputError
        If the mask is empty after resampling.
    """
    from radgen.image.grid import crop

    mask.require_on(image)
    if configuration.spacing_mm is not None:
        image = resample(
            image,
            configuration.spacing_mm,
            method=configuration.interpolation,
            rounding="nearest" if configuration.round_intensities else None,
        )
        mask = resample_mask(
            mask,
            configuration.spacing_mm,
            method=configuration.mask_interpolation,
            threshold=configuration.mask_threshold,
        )
    kept = resegment(image, mask, range=configuration.range)
    box = bounding_box(mask)
    if configuration.filter is None:
        return FilteredImage(crop(image, box), crop(mask, box), crop(kept, box))
    response = apply_filter(image, configuration.filter, box=box)
    return FilteredImage(response, crop(mask, box), crop(kept, box))


def filter_preset(name: str) -> FilterSettings:
    """Return the settings of one response map of IBSI 2, phase 1.

    Parameters
    ----------
    name : str
        "ibsi2-p1-1.a.1" … "ibsi2-p1-10.b.1".

    Returns
    -------
    FilterSettings
        As in the reference.

    Raises
    ------
    InputError
        If the name is unknown; the message holds the nearest.
    """
    presets = _phase_1()
    if name not in presets:
        raise InputError(f"Unknown filter preset {name!r}. {did_you_mean(name, presets)}")
    return presets[name]


def filter_preset_names() -> tuple[str, ...]:
    """Return the names that `filter_preset` knows."""
    return tuple(_phase_1())


def image_configuration(name: str) -> ImageConfiguration:
    """Return one configuration of IBSI 2, phase 2 or 3.

    Parameters
    ----------
    name : str
        "ibsi2-1.A" … "ibsi2-9.B" (phase 2); "ibsi2-p3-CT-1" … "ibsi2-p3-PT-9" (phase 3; CT,
        MR, PT).

    Returns
    -------
    ImageConfiguration
        As in the reference.

    Raises
    ------
    InputError
        If the name is unknown; the message holds the nearest.
    """
    known = _phase_2() | _phase_3()
    if name not in known:
        raise InputError(f"Unknown image configuration {name!r}. {did_you_mean(name, known)}")
    return known[name]


def image_configuration_names() -> tuple[str, ...]:
    """Return the names that `image_configuration` knows."""
    return tuple(_phase_2() | _phase_3())


def _phase_1() -> dict[str, FilterSettings]:
    out: dict[str, FilterSettings] = {}
    for row, boundary in enumerate(("zero", "nearest", "periodic", "mirror"), start=1):
        out[f"1.a.{row}"] = MeanFilter(size=15, boundary=boundary)  # type: ignore[arg-type]
    out["1.b.1"] = MeanFilter(size=15, boundary="zero", dimensions=2)
    out["2.a"] = LaplacianOfGaussian(sigma_mm=3.0, boundary="zero")
    out["2.b"] = LaplacianOfGaussian(sigma_mm=5.0)
    out["2.c"] = LaplacianOfGaussian(sigma_mm=5.0, dimensions=2)
    laws: tuple[tuple[str, dict[str, Any]], ...] = (
        ("3.a", {"kernel": "E5L5S5", "boundary": "zero"}),
        ("3.b", {"kernel": "E3W5R5"}),
        ("3.c", {"kernel": "L5S5", "dimensions": 2}),
    )
    for test, settings in laws:
        out[f"{test}.1"] = LawsFilter(**settings)
        out[f"{test}.2"] = LawsFilter(**settings, rotation_invariant=True)
        out[f"{test}.3"] = LawsFilter(**settings, rotation_invariant=True, energy_distance=7)
    narrow: dict[str, Any] = {"sigma_mm": 10.0, "lambda_mm": 4.0, "gamma": 0.5, "boundary": "zero"}
    wide: dict[str, Any] = {"sigma_mm": 20.0, "lambda_mm": 8.0, "gamma": 2.5}
    out["4.a.1"] = GaborFilter(**narrow, theta_deg=60.0)
    out["4.a.2"] = GaborFilter(**narrow, theta_step_deg=45.0, dimensions=3)
    out["4.b.1"] = GaborFilter(**wide, theta_deg=225.0)
    out["4.b.2"] = GaborFilter(**wide, theta_step_deg=22.5, dimensions=3)
    wavelets: tuple[tuple[str, dict[str, Any]], ...] = (
        ("5.a", {"wavelet": "db2", "band": "LHL", "boundary": "zero"}),
        ("6.a", {"wavelet": "coif1", "band": "HHL", "boundary": "periodic"}),
    )
    for test, settings in wavelets:
        out[f"{test}.1"] = SeparableWavelet(**settings)
        out[f"{test}.2"] = SeparableWavelet(**settings, rotation_invariant=True)
    for row, band in enumerate(("LLL", "HHH"), start=1):
        out[f"7.a.{row}"] = SeparableWavelet(
            wavelet="haar", band=band, level=2, rotation_invariant=True
        )
    for level in (1, 2, 3):
        out[f"8.a.{level}"] = NonSeparableWavelet(level=level)
    out["9.a"] = LaplacianOfGaussian(sigma_mm=3.0, boundary="zero", riesz_order=(1, 0, 0))
    out["9.b.1"] = LaplacianOfGaussian(sigma_mm=3.0, boundary="zero", riesz_order=(0, 2, 0))
    out["10.b.1"] = NonSeparableWavelet(riesz_order=(0, 2, 0))
    return {f"ibsi2-p1-{test}": settings for test, settings in out.items()}


def _phase_2() -> dict[str, ImageConfiguration]:
    out: dict[str, ImageConfiguration] = {}
    for dimensions, letter in ((2, "A"), (3, "B")):
        size: Any = {"dimensions": dimensions}
        gabor = GaborFilter(sigma_mm=5.0, lambda_mm=2.0, gamma=1.5, theta_step_deg=22.5, **size)
        filters: list[FilterSettings | None] = [
            None,
            MeanFilter(size=5, **size),
            LaplacianOfGaussian(sigma_mm=1.5, **size),
            LawsFilter(
                kernel="L5E5E5"[: 2 * dimensions],
                rotation_invariant=True,
                energy_distance=7,
                **size,
            ),
            gabor,
            SeparableWavelet(
                wavelet="db3", band="LLH"[3 - dimensions :], rotation_invariant=True, **size
            ),
            SeparableWavelet(
                wavelet="db3", band="HHH"[:dimensions], level=2, rotation_invariant=True, **size
            ),
            NonSeparableWavelet(level=1, **size),
            NonSeparableWavelet(level=2, **size),
        ]
        resampled: Any = {} if dimensions == 2 else {"spacing_mm": 1.0, "round_intensities": True}
        for row, settings in enumerate(filters, start=1):
            out[f"ibsi2-{row}.{letter}"] = ImageConfiguration(
                range=(-1000.0, 400.0), filter=settings, **resampled
            )
    return out


def _phase_3() -> dict[str, ImageConfiguration]:
    filters: list[FilterSettings | None] = [
        None,
        MeanFilter(size=3),
        LaplacianOfGaussian(sigma_mm=3.0),
        LawsFilter(kernel="S5E5L5", rotation_invariant=True, energy_distance=5),
        GaborFilter(sigma_mm=3.0, lambda_mm=3.0, gamma=1.0, theta_deg=-112.5),
        SeparableWavelet(wavelet="coif3", band="LHH", rotation_invariant=True),
        SeparableWavelet(
            wavelet="coif3", band="HHH", level=2, rotation_invariant=True, pooling="max"
        ),
        NonSeparableWavelet(level=1),
        NonSeparableWavelet(level=2),
    ]
    scans: dict[str, dict[str, Any]] = {
        "CT": {"spacing_mm": 1.0, "round_intensities": True, "range": (-200.0, 200.0)},
        "MR": {"spacing_mm": 1.0, "range": (0.0, None)},
        "PT": {"spacing_mm": 3.0, "range": (0.0, None)},
    }
    return {
        f"ibsi2-p3-{modality}-{row}": ImageConfiguration(filter=settings, **scan)
        for modality, scan in scans.items()
        for row, settings in enumerate(filters, start=1)
    }
