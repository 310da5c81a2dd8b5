"""A drop-in for PyRadiomics' RadiomicsFeatureExtractor, and its values as a long table."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import SimpleITK as sitk

from radgen._core.naming import require_choice
from radgen._version import __version__
from radgen.errors import InputError
from radgen.features.extraction import LONG_SCHEMA, named_masks
from radgen.features.pyradiomics.classes import CLASSES, FEATURES, Levels
from radgen.features.pyradiomics.images import (
    Crop,
    crop_to,
    label_mask,
    prepare,
    resegment_mask,
    responses,
    roi_box,
)
from radgen.features.pyradiomics.parameters import (
    DEFAULTS,
    IMAGE_TYPES,
    Parameters,
    read_parameters,
)
from radgen.features.pyradiomics.voxels import Voxels, class_maps
from radgen.image.grid import bounding_box
from radgen.types import Geometry, ImageVolume, Mask

__all__ = ["RadiomicsFeatureExtractor", "extract_pyradiomics"]

Value = float | str | tuple[float, ...] | dict[str, Any] | sitk.Image
Row = tuple[str, str, str, float]
_DEFAULT_CLASSES = tuple(name for name in FEATURES if name != "shape2D")


def _measure(
    image: sitk.Image, mask: sitk.Image, parameters: Parameters, threads: int | None = None
) -> Iterator[Row]:
    """Yield (image type, class, feature, value) in PyRadiomics' order."""
    settings = parameters.settings
    mask = label_mask(mask, settings)
    image, mask = prepare(image, mask, settings)
    spacing = image.GetSpacing()[::-1]
    inside = np.asarray(sitk.GetArrayViewFromImage(mask) == int(settings.get("label", 1)))
    box = roi_box(inside, settings)
    values = sitk.GetArrayViewFromImage(image)
    shape_box, shaped = box, inside
    if settings.get("resegmentRange") is not None:
        inside = resegment_mask(values, inside, settings)
        box = roi_box(inside, settings)
        if settings.get("resegmentShape", False):
            shape_box, shaped = box, inside
    features = parameters.features or dict.fromkeys(_DEFAULT_CLASSES, ())
    for name in ("shape", "shape2D"):
        if name in features:
            levels = Levels(crop_to(values, shaped, shape_box, spacing), settings)
            yield from _wanted("original", name, levels, features[name])
    mask_part = np.ascontiguousarray(inside[box])

    def rows_of(title: str, part: Any, own: Mapping[str, Any]) -> list[Row]:
        levels = Levels(Crop(part, mask_part, spacing), own)
        names = [name for name in features if not name.startswith("shape")]
        return [row for name in names for row in _wanted(title, name, levels, features[name])]

    waiting: deque[Future[list[Row]]] = deque()
    n_threads = threads or os.cpu_count() or 1
    with ThreadPoolExecutor(n_threads) as pool:
        types = parameters.image_types
        for response in responses(image, inside, types, settings, box, threads=n_threads):
            waiting.append(pool.submit(rows_of, *response))
            if len(waiting) > 2 * n_threads:  # few responses are held in memory
                yield from waiting.popleft().result()
        for rows in waiting:
            yield from rows.result()


def _maps(
    image: sitk.Image, mask: sitk.Image, parameters: Parameters
) -> Iterator[tuple[str, str, str, sitk.Image]]:
    """Yield (image type, class, feature, map) of a voxel-based extraction."""
    settings = parameters.settings
    image, mask = prepare(image, label_mask(mask, settings), settings)
    spacing = image.GetSpacing()[::-1]
    inside = np.asarray(sitk.GetArrayViewFromImage(mask) == int(settings.get("label", 1)))
    if settings.get("resegmentRange") is not None:
        inside = resegment_mask(sitk.GetArrayViewFromImage(image), inside, settings)
    margin = int(settings.get("kernelRadius") or 1)
    box = bounding_box(inside, margin=margin)
    start = [part.start for part in box][::-1]
    region = inside if settings.get("maskedKernel", True) else np.ones_like(inside)
    features = parameters.features or dict.fromkeys(_DEFAULT_CLASSES, ())
    region_part = np.ascontiguousarray(region[box])
    types, threads = parameters.image_types, os.cpu_count() or 1
    for title, part, own in responses(image, inside, types, settings, box, threads=threads):
        voxels = Voxels(Levels(Crop(part, region_part, spacing), own), inside[box])
        for name, wanted in features.items():
            if name.startswith("shape"):
                continue
            for feature, values in class_maps(voxels, name, wanted):
                found = sitk.GetImageFromArray(values)
                found.SetSpacing(image.GetSpacing())
                found.SetDirection(image.GetDirection())
                found.SetOrigin(image.TransformIndexToPhysicalPoint(start))
                yield title, name, feature, found


def _wanted(title: str, name: str, levels: Levels, wanted: tuple[str, ...]) -> Iterator[Row]:
    found = CLASSES[name](levels)
    for feature in wanted or FEATURES[name]:
        yield title, name, feature, found[feature]


def _read(source: Any, what: str) -> sitk.Image:
    if isinstance(source, sitk.Image):
        return source
    if isinstance(source, ImageVolume | Mask):
        return _to_itk(source)
    path = Path(source)
    if path.is_file():
        return sitk.ReadImage(str(path))
    if path.is_dir():
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(path)))
        return reader.Execute()
    raise InputError(f"There is no {what} {path}.")


def _to_itk(volume: ImageVolume | Mask) -> sitk.Image:
    array = volume.array.view(np.uint8) if isinstance(volume, Mask) else volume.array
    out = sitk.GetImageFromArray(array)
    geometry: Geometry = volume.geometry
    out.SetSpacing(geometry.spacing_mm[::-1])
    out.SetOrigin(geometry.origin_mm)
    out.SetDirection(geometry.direction.ravel().tolist())
    return out


def _diagnostics(image: sitk.Image, mask: sitk.Image, parameters: Parameters) -> dict[str, Value]:
    values = sitk.GetArrayViewFromImage(image)
    inside = sitk.GetArrayViewFromImage(mask) == int(parameters.settings.get("label", 1))
    box = bounding_box(inside)
    where = np.argwhere(inside[box]) + [part.start for part in box]
    low, high = where.min(axis=0)[::-1], where.max(axis=0)[::-1]
    centre = where.mean(axis=0)[::-1]
    part = sitk.GetImageFromArray(inside[box].astype(np.uint8))
    labels = sitk.ConnectedComponent(part, True)
    return {
        "diagnostics_Versions_radgen": __version__,
        "diagnostics_Configuration_Settings": dict(parameters.settings),
        "diagnostics_Configuration_EnabledImageTypes": dict(parameters.image_types),
        "diagnostics_Image-original_Spacing": image.GetSpacing(),
        "diagnostics_Image-original_Size": image.GetSize(),
        "diagnostics_Image-original_Mean": float(values.mean()),
        "diagnostics_Image-original_Minimum": float(values.min()),
        "diagnostics_Image-original_Maximum": float(values.max()),
        "diagnostics_Mask-original_Spacing": mask.GetSpacing(),
        "diagnostics_Mask-original_Size": mask.GetSize(),
        "diagnostics_Mask-original_BoundingBox": tuple(int(n) for n in (*low, *(high - low + 1))),
        "diagnostics_Mask-original_VoxelNum": int(inside.sum()),
        "diagnostics_Mask-original_VolumeNum": int(sitk.GetArrayViewFromImage(labels).max()),
        "diagnostics_Mask-original_CenterOfMassIndex": tuple(float(c) for c in centre),
        "diagnostics_Mask-original_CenterOfMass": tuple(
            mask.TransformContinuousIndexToPhysicalPoint(centre.tolist())
        ),
    }


class RadiomicsFeatureExtractor:
    """An extractor with the shape, names and conventions of PyRadiomics'.

    Parameters
    ----------
    parameters : path, mapping or None
        A parameter file (YAML or JSON), a mapping of its sections, or the defaults.
    **settings
        Settings by PyRadiomics name that replace those of `parameters`.

    Raises
    ------
    ConfigError
        If a setting, image type, class or feature is unknown; the message names the nearest.
    """

    def __init__(
        self, parameters: str | Path | Mapping[str, Any] | None = None, **settings: Any
    ) -> None:
        base = Parameters() if parameters is None else read_parameters(parameters)
        extra = read_parameters({"setting": settings}).settings if settings else {}
        named = {key: extra[key] for key in settings}
        self._parameters = replace(base, settings={**base.settings, **named})

    @property
    def settings(self) -> dict[str, Any]:
        """Settings in force."""
        return dict(self._parameters.settings)

    @property
    def enabledImagetypes(self) -> dict[str, Mapping[str, Any]]:
        """Enabled image types and their own settings."""
        return dict(self._parameters.image_types)

    @property
    def enabledFeatures(self) -> dict[str, list[str]]:
        """Enabled classes and features; an empty list = all of the class."""
        found = self._parameters.features or dict.fromkeys(_DEFAULT_CLASSES, ())
        return {name: list(wanted) for name, wanted in found.items()}

    def enableAllImageTypes(self) -> None:
        """Enable every image type."""
        self._parameters = replace(self._parameters, image_types={name: {} for name in IMAGE_TYPES})

    def disableAllImageTypes(self) -> None:
        """Enable no image type."""
        self._parameters = replace(self._parameters, image_types={})

    def enableImageTypeByName(
        self,
        imageType: str,
        enabled: bool = True,
        customArgs: Mapping[str, Any] | None = None,
    ) -> None:
        """Enable or disable one image type."""
        require_choice(imageType, IMAGE_TYPES, what="image type")
        types = {k: v for k, v in self._parameters.image_types.items() if k != imageType}
        if enabled:
            types[imageType] = dict(customArgs or {})
        self._parameters = replace(self._parameters, image_types=types)

    def enableAllFeatures(self) -> None:
        """Enable every class, shape2D too."""
        self._parameters = replace(self._parameters, features=dict.fromkeys(FEATURES, ()))

    def disableAllFeatures(self) -> None:
        """Enable no class, so that some can be enabled one by one."""
        self._parameters = replace(self._parameters, features={"": ()})

    def enableFeatureClassByName(self, featureClass: str, enabled: bool = True) -> None:
        """Enable or disable one class with all its features."""
        require_choice(featureClass, FEATURES, what="feature class")
        kept = self._parameters.features or dict.fromkeys(_DEFAULT_CLASSES, ())
        features = {k: v for k, v in kept.items() if k not in ("", featureClass)}
        if enabled:
            features[featureClass] = ()
        self._parameters = replace(self._parameters, features=features or {"": ()})

    def enableFeaturesByName(self, **enabledFeatures: Iterable[str]) -> None:
        """Enable these features of these classes."""
        checked = read_parameters({"featureClass": dict(enabledFeatures)}).features
        kept = {k: v for k, v in self._parameters.features.items() if k}
        self._parameters = replace(self._parameters, features={**kept, **checked})

    def execute(
        self,
        imageFilepath: Any,
        maskFilepath: Any,
        label: int | None = None,
        label_channel: int | None = None,
        voxelBased: bool = False,
    ) -> dict[str, Value]:
        """Return features by name ``{image type}_{class}_{feature}``, diagnostics first.

        Parameters
        ----------
        imageFilepath, maskFilepath : path, SimpleITK.Image, ImageVolume or Mask
            The scan and the region.
        label : int or None
            Mask value that is the region; None = the setting.
        label_channel : int or None
            Channel of a mask with several; None = the setting.
        voxelBased : bool
            Whether each feature is a map (a SimpleITK image of the region's bounding box) of
            the windows around the voxels, as the ``voxelSetting`` says, instead of a number.

        Returns
        -------
        dict
            Diagnostics (with the setting ``additionalInfo``) and features.

        Raises
        ------
        InputError
            If the region is empty or smaller than the settings allow, or a setting is wrong.
        GeometryError
            If image and mask lie on different grids.
        """
        changes = {"label": label, "label_channel": label_channel}
        given = {key: value for key, value in changes.items() if value is not None}
        settings = {**self._parameters.settings, **given}
        features = {k: v for k, v in self._parameters.features.items() if k}
        if self._parameters.features and not features:
            raise InputError("No feature class is enabled.")
        parameters = replace(self._parameters, settings=settings, features=features)
        image, mask = _read(imageFilepath, "image"), _read(maskFilepath, "mask")
        out: dict[str, Value] = {}
        if settings.get("additionalInfo", False):
            out |= _diagnostics(image, label_mask(mask, settings), parameters)
        measure = _maps if voxelBased else _measure
        for title, name, feature, value in measure(image, mask, parameters):
            out[f"{title}_{name}_{feature}"] = value
        return out


def extract_pyradiomics(
    image: ImageVolume,
    masks: Mask | Mapping[str, Mask] | Iterable[Mask],
    *,
    parameters: Parameters | None = None,
    sample: str = "",
    threads: int | None = None,
) -> pl.DataFrame:
    """Return PyRadiomics' features of every region of a scan as a long table.

    Parameters
    ----------
    image : ImageVolume (n_z, n_y, n_x)
        The scan.
    masks : Mask, mapping of str to Mask, or iterable of Mask
        The regions.
    parameters : Parameters or None
        As read by `read_parameters`; None = PyRadiomics' defaults.
    sample : str
        Id of the sample.
    threads : int or None
        Threads that share the image types; None = as many as there are processors.

    Returns
    -------
    polars.DataFrame
        Columns `LONG_SCHEMA`; family and feature are PyRadiomics' class and feature. A region
        that PyRadiomics refuses has one row with status "failed" and the reason.

    Raises
    ------
    GeometryError
        If a mask lies on another grid.
    """
    chosen = parameters or Parameters(settings=dict(DEFAULTS))
    chosen = replace(chosen, settings={**chosen.settings, "label": 1})
    scan = _to_itk(image)
    rows: list[tuple[Any, ...]] = []
    for region, mask in named_masks(masks):
        try:
            found = list(_measure(scan, _to_itk(mask), chosen, threads))
        except InputError as error:
            rows.append((sample, region, *[""] * 5, float("nan"), "", "failed", str(error)))
            continue
        for title, name, feature, value in found:
            good = bool(np.isfinite(value))
            state = ("ok", "") if good else ("undefined", "undefined: the region is degenerate")
            rows.append((sample, region, title, name, feature, "", "", value, "", *state))
    return pl.DataFrame(rows, schema=LONG_SCHEMA, orient="row")
