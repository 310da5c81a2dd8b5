"""How features are extracted: typed, frozen, and read from a mapping or a TOML file."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args

from radgen._core.digest import digest
from radgen._core.naming import did_you_mean, require_choice
from radgen.errors import ConfigError, InputError, shown
from radgen.features._registry import AGGREGATIONS

__all__ = ["Discretisation", "ExtractionSettings", "preset", "preset_names", "read_settings"]

Interpolation = Literal["nearest", "linear", "cubic", "cubic-convolution"]
_IBSI_FAMILIES = (
    "morphology",
    "local_intensity",
    "intensity_statistics",
    "intensity_histogram",
    "intensity_volume_histogram",
    "glcm",
    "glrlm",
    "glszm",
    "gldzm",
    "ngtdm",
    "ngldm",
)
_THREE = ("ITBB", "IAZD", "KOBO")


@dataclass(frozen=True, slots=True)
class Discretisation:
    """How intensities become grey levels.

    Attributes
    ----------
    method : {"none", "width", "number"}
        As they are (whole numbers from 1), bins of a fixed size, or a fixed number of bins.
    value : float
        Bin width in units of the image, or number of bins.
    minimum : float or None
        Lower edge of the first bin of a fixed size; None = the lower end of the
        resegmentation range, or where there is none the lowest value of the region.
    """

    method: Literal["none", "width", "number"] = "none"
    value: float = 0.0
    minimum: float | None = None

    def __post_init__(self) -> None:
        require_choice(self.method, ("none", "width", "number"), what="discretisation method")
        if self.method != "none" and not self.value > 0:
            raise InputError(f"Discretisation by {self.method} needs a positive value.")
        if self.method == "number" and self.value != int(self.value):
            raise InputError(f"A number of bins is a whole number, not {self.value}.")


@dataclass(frozen=True, slots=True)
class ExtractionSettings:
    """Everything that decides which numbers come out.

    Attributes
    ----------
    name : str
        Name of the settings; not part of the digest.
    fit_mask : bool
        Whether a mask on another grid is brought onto the image's (nearest voxel); otherwise
        it is an error.
    by_slice : bool
        Resample within slices alone.
    round_input : bool
        Round the image to whole numbers before anything else (CT stored as float).
    spacing_mm : tuple of float (3,) or None
        Voxel size (z, y, x) after resampling; None = as it is. With `by_slice` the first
        is not used.
    image_interpolation, mask_interpolation : {"nearest", "linear", "cubic", "cubic-convolution"}
        How image and mask are resampled.
    mask_threshold : float in (0, 1]
        A resampled mask voxel is inside from this value on.
    round_resampled : bool
        Round intensities to whole numbers after resampling (CT).
    resegment_range : tuple of (float or None) (2,) or None
        Intensities outside are left out of the intensity mask.
    outlier_sigma : float or None
        Intensities further than this many standard deviations from the mean are left out.
    discretisation : Discretisation
        Grey levels for histogram and texture.
    ivh_discretisation : Discretisation
        Steps of the intensity-volume histogram.
    filter_discretisation : Discretisation or None
        Grey levels of filter responses; None = as `discretisation`.
    families : tuple of str
        Which families are measured.
    aggregations : tuple of str
        Aggregation codes of texture families.
    distance : int
        Distance (Chebyshev, in voxels) of GLCM, NGTDM and NGLDM neighbours.
    ngldm_alpha : int
        Largest difference in level of dependent neighbours.
    spatial_autocorrelation : bool
        Whether morphology includes Moran's I and Geary's C (exact, by Fourier transforms of
        the doubled bounding box).
    enclosing_shapes : bool
        Whether morphology includes the oriented bounding box and the minimum volume
        enclosing ellipsoid.
    filters : tuple of mapping
        Filters whose responses are measured, as `filter_from_mapping` reads them; ``band =
        "all"`` of a wavelet stands for all bands, ``name`` replaces the name in the table.
    measure_original : bool
        Whether the original image is measured besides the responses.
    """

    name: str = field(default="custom", compare=False)
    fit_mask: bool = False
    by_slice: bool = False
    round_input: bool = False
    spacing_mm: tuple[float, float, float] | None = None
    image_interpolation: Interpolation = "linear"
    mask_interpolation: Interpolation = "linear"
    mask_threshold: float = 0.5
    round_resampled: bool = False
    resegment_range: tuple[float | None, float | None] | None = None
    outlier_sigma: float | None = None
    discretisation: Discretisation = Discretisation("number", 32)
    ivh_discretisation: Discretisation = Discretisation()
    filter_discretisation: Discretisation | None = None
    families: tuple[str, ...] = _IBSI_FAMILIES
    aggregations: tuple[str, ...] = _THREE
    distance: int = 1
    ngldm_alpha: int = 0
    spatial_autocorrelation: bool = True
    enclosing_shapes: bool = True
    filters: tuple[Mapping[str, Any], ...] = ()
    measure_original: bool = True

    def __post_init__(self) -> None:
        for key in ("image_interpolation", "mask_interpolation"):
            require_choice(getattr(self, key), get_args(Interpolation), what=key)
        for code in self.aggregations:
            require_choice(code, AGGREGATIONS, what="aggregation code")
        if not 1 <= self.distance <= 15:
            raise InputError(f"distance is a number of voxels from 1 to 15, not {self.distance}.")
        if not 0 <= self.ngldm_alpha <= 65535:
            raise InputError(f"ngldm_alpha lies between 0 and 65535, not {self.ngldm_alpha}.")
        if not 0 < self.mask_threshold <= 1:
            raise InputError(f"mask_threshold lies in (0, 1], not {self.mask_threshold}.")
        if self.spacing_mm is not None and (
            len(self.spacing_mm) != 3 or not all(size > 0 for size in self.spacing_mm)
        ):
            raise InputError(f"spacing_mm is three positive sizes (z, y, x): {self.spacing_mm}.")
        if self.by_slice and any(code in ("ITBB", "IAZD", "KOBO") for code in self.aggregations):
            raise InputError(
                "Settings by slice cannot ask for 3D aggregations: leave out ITBB, IAZD and KOBO."
            )
        if not self.measure_original and not self.filters:
            raise InputError("Nothing to measure: no filter, and not the original image.")
        span = self.resegment_range
        if span is not None and (
            len(span) != 2 or (None not in span and not span[0] <= span[1])  # type: ignore[operator]
        ):
            raise InputError(f"resegment_range is (lowest, highest), not {span}.")

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> ExtractionSettings:
        """Return settings of a plain mapping, as a TOML file holds.

        Parameters
        ----------
        mapping : mapping
            Names are those of the attributes. A discretisation is a mapping
            ``{method, value, minimum}``. ``preset`` names the preset that the rest changes.

        Returns
        -------
        ExtractionSettings
            The settings.

        Raises
        ------
        ConfigError
            If a key is unknown (the message names the nearest) or a value is not allowed.
        """
        given = dict(mapping)
        base = preset(str(given.pop("preset"))) if "preset" in given else cls()
        problems: list[str] = []
        changes: dict[str, Any] = {}
        kinds = {item.name: str(item.type) for item in dataclasses.fields(cls)}
        for key, value in given.items():
            if key not in kinds:
                problems.append(f"Unknown setting {key!r}. {did_you_mean(key, kinds)}")
                continue
            try:
                changes[key] = _converted(key, value, kinds[key])
            except (InputError, ConfigError, TypeError, ValueError) as error:
                problems.append(f"{key}: {error}")
        if not problems:
            try:
                return dataclasses.replace(base, **changes)
            except InputError as error:
                problems.append(str(error))
        raise ConfigError(
            "Settings of feature extraction: " + " ".join(problems), problems=problems
        )

    def to_mapping(self) -> dict[str, Any]:
        """Return the settings as plain values; `from_mapping` reads them back."""
        out = dataclasses.asdict(self)
        return {
            key: list(v) if isinstance(v, tuple) else v for key, v in out.items() if v is not None
        }

    def digest(self) -> str:
        """Return a digest of everything but the name."""
        return digest({key: value for key, value in self.to_mapping().items() if key != "name"})


def _converted(key: str, value: Any, kind: str) -> Any:
    if "Discretisation" in kind:
        return _discretisation(key, value)
    if key == "filters":
        return tuple(dict(item) for item in value)
    if kind == "bool":
        if not isinstance(value, bool):
            raise InputError(f"needed is true or false, not {value!r}.")
        return value
    if kind.startswith("tuple"):
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise InputError(f"needed is a list, not {value!r}.")
        return tuple(_bound(item) if key == "resegment_range" else item for item in value)
    if kind.startswith(("int", "float")) and (
        isinstance(value, bool) or not isinstance(value, int | float)
    ):
        raise InputError(f"needed is a number, not {value!r}.")
    if kind == "int" and value != int(value):
        raise InputError(f"needed is a whole number, not {value!r}.")
    return value


def _bound(value: Any) -> float | None:
    """TOML has no null: infinities stand for an open end."""
    if value is None or value in (float("inf"), float("-inf")):
        return None
    return float(value)


def _discretisation(key: str, value: Any) -> Discretisation:
    if isinstance(value, Discretisation):
        return value
    if not isinstance(value, Mapping):
        raise InputError(f'needed is {{method = "width", value = 25}}, not {value!r}.')
    known = [item.name for item in dataclasses.fields(Discretisation)]
    for name in value:
        if name not in known:
            raise InputError(f"Unknown setting {key}.{name!r}. {did_you_mean(name, known)}")
    return Discretisation(**value)


def preset_names() -> tuple[str, ...]:
    """Return the names of the presets that come with the package."""
    from radgen.image.filters import filter_preset_names, image_configuration_names

    folder = files("radgen.features") / "presets"
    names = [item.name[:-5] for item in folder.iterdir() if item.name.endswith(".toml")]
    return (*sorted(names), *image_configuration_names(), *filter_preset_names())


def preset(name: str) -> ExtractionSettings:
    """Return the settings of a preset.

    Parameters
    ----------
    name : str
        For example "ibsi-a" (IBSI 1, configuration A), "ibsi2-4.B" (IBSI 2, phase 2) or
        "ibsi2-p1-3.a.1" (a response map of IBSI 2, phase 1, without resampling).

    Returns
    -------
    ExtractionSettings
        The settings, named after the preset.

    Raises
    ------
    InputError
        If there is no such preset; the message names the nearest.
    """
    require_choice(name, preset_names(), what="preset")
    source = files("radgen.features") / "presets" / f"{name}.toml"
    if not source.is_file():
        return _of_image_configuration(name)
    return ExtractionSettings.from_mapping(
        {"name": name, **tomllib.loads(source.read_text("utf-8"))}
    )


def _of_image_configuration(name: str) -> ExtractionSettings:
    """Return settings that measure the statistics of one filter response, as IBSI 2 does."""
    from radgen.image.filters import (
        ImageConfiguration,
        filter_preset,
        filter_preset_names,
        image_configuration,
    )

    if name in filter_preset_names():
        how = ImageConfiguration(filter=filter_preset(name))
    else:
        how = image_configuration(name)
    filters = () if how.filter is None else (how.filter.to_mapping(),)
    return ExtractionSettings(
        name=name,
        spacing_mm=None if how.spacing_mm is None else (how.spacing_mm,) * 3,
        image_interpolation=how.interpolation,
        mask_interpolation=how.mask_interpolation,
        mask_threshold=how.mask_threshold,
        round_resampled=how.round_intensities,
        resegment_range=how.range,
        families=("intensity_statistics",),
        filters=filters,
        measure_original=not filters,
    )


def read_settings(source: str | Path) -> ExtractionSettings:
    """Return settings of a preset's name or of a TOML file.

    Parameters
    ----------
    source : str or Path
        A preset's name, or a file that ends in ``.toml``.

    Returns
    -------
    ExtractionSettings
        The settings.

    Raises
    ------
    ConfigError
        If the file is missing, is no TOML, or holds a setting that is unknown.
    InputError
        If there is no such preset.
    """
    if not str(source).endswith(".toml"):
        return preset(str(source))
    path = Path(source)
    if not path.is_file():
        raise ConfigError(
            f"There is no settings file {path}. Presets: {shown(preset_names(), 20)}."
        )
    try:
        mapping = tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is no TOML: {error}") from error
    return ExtractionSettings.from_mapping({"name": path.stem, **mapping})
