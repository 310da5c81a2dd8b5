"""Crops of scans about a region: the same size, spacing and orientation for every sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen._core.executors import map_surviving
from radgen._core.naming import did_you_mean
from radgen.errors import InputError, RadgenError, shown
from radgen.features.cohort import parse_labels
from radgen.image.resample import resample_to
from radgen.types import Geometry, ImageVolume, Mask, SampleArrays
from radgen.types.align import check_unique

__all__ = ["Crop", "CropSettings", "crop", "make_crops"]


@dataclass(frozen=True)
class CropSettings:
    """How a crop is cut.

    Attributes
    ----------
    size : int, default 32
        Voxels a side.
    spacing_mm : float, default 1.0
        Of the voxels, the same on all axes.
    window : (float, float) or None
        Values that stay, in the unit of the scan (HU, say); None = the 1st to 99th percentile.
    standardise : bool, default True
        Mean 0 and SD 1 within the crop, by channel. False with a window: 0 to 1 across it.
    with_mask : bool, default False
        Add the region as a last channel (0 and 1).
    """

    size: int = 32
    spacing_mm: float = 1.0
    window: tuple[float, float] | None = None
    standardise: bool = True
    with_mask: bool = False

    def __post_init__(self) -> None:
        if self.size < 8 or not self.spacing_mm > 0:
            raise InputError("A crop has 8 voxels a side or more, of a positive spacing.")
        if self.window is not None and not self.window[0] < self.window[1]:
            raise InputError(f"window {self.window}: the first value is the lower one.")
        if not self.standardise and self.window is None:
            raise InputError("Without standardisation a window is needed.")


@dataclass(frozen=True, eq=False)
class Crop:
    """A crop.

    Attributes
    ----------
    values : float32 (n_channels, size, size, size)
    geometry : Geometry
        Its grid, along the axes of the patient.
    inside : bool (size, size, size)
        The region.
    volume_mm3 : float
        Of the whole region.
    lost : float
        Share of the region beyond the crop.
    """

    values: NDArray[np.float32]
    geometry: Geometry
    inside: NDArray[np.bool_]
    volume_mm3: float
    lost: float


def crop(images: Sequence[ImageVolume], mask: Mask, *, settings: CropSettings) -> Crop:
    """Return the crop of one sample about the centre of its region.

    Parameters
    ----------
    images : sequence of ImageVolume
        The channels; their grids may differ, their patient coordinates are one.
    mask : Mask
        The region, on any grid.
    settings : CropSettings
        Size, spacing and values.

    Returns
    -------
    Crop
        Voxels beyond a scan are 0, which is the mean of the others (or the lower end of the
        window).

    Raises
    ------
    InputError
        If the region is empty or lies beyond a scan, or a channel has one value only.
    """
    where = np.argwhere(mask.array)
    if not len(where):
        raise InputError(f"The region {mask.region!r} is empty.")
    centre = mask.geometry.to_world(where.mean(axis=0, keepdims=True))[0]
    affine = np.diag([settings.spacing_mm] * 3 + [1.0])
    affine[:3, 3] = centre - settings.spacing_mm * (settings.size - 1) / 2
    grid = Geometry(affine, (settings.size,) * 3)
    inside = resample_to(mask, grid).array
    if not inside.any():  # a region thinner than a voxel of the crop
        inside = resample_to(mask, grid, method="linear", threshold=1e-3).array
    channels = [
        _values(resample_to(image, grid).array, settings, k) for k, image in enumerate(images)
    ]
    if settings.with_mask:
        channels.append(inside.astype(np.float32))
    gap = np.abs(mask.geometry.to_world(where) - centre)
    lost = float((gap > settings.spacing_mm * settings.size / 2).any(axis=1).mean())
    volume = len(where) * mask.geometry.voxel_volume_mm3
    return Crop(np.stack(channels).astype(np.float32), grid, inside, volume, lost)


def _values(array: NDArray[Any], settings: CropSettings, channel: int) -> NDArray[np.float64]:
    values = array.astype(np.float64)
    known = np.isfinite(values)
    if not known.any():
        raise InputError(
            f"The region lies beyond scan {channel + 1}: no voxel of the crop is in it."
        )
    low, high = settings.window or np.percentile(values[known], [1, 99])
    values = np.clip(values, low, high)
    if not settings.standardise:
        return np.where(known, (values - low) / (high - low), 0.0)
    spread = values[known].std()
    if not spread > 1e-9 * max(abs(low), abs(high), 1e-30):
        raise InputError(f"Scan {channel + 1} has a single value in the crop.")
    return np.where(known, (values - values[known].mean()) / spread, 0.0)


@dataclass(frozen=True)
class CropUnit:
    """One sample: its files, and how they are cut. Plain values only."""

    sample: str
    images: tuple[tuple[str, str], ...]
    mask: str
    labels: tuple[tuple[str, tuple[int, ...]], ...]
    region: str
    settings: CropSettings


def read_unit(unit: CropUnit) -> tuple[list[ImageVolume], Mask]:
    """Return the scans and the region of a sample.

    Raises
    ------
    InputError
        If the file holds no such region, or several and none is named.
    """
    from radgen.io import read_image, read_masks

    images = [read_image(path, modality=modality) for path, modality in unit.images]
    wanted = {name: list(values) for name, values in unit.labels} or None
    masks = read_masks(unit.mask, labels=wanted, reference=images[0])
    if unit.region and unit.region in masks:
        return images, masks[unit.region]
    if unit.region and not (len(masks) == 1 and next(iter(masks)) == "region"):
        raise InputError(f"No region {unit.region!r}. {did_you_mean(unit.region, masks)}")
    if len(masks) != 1:
        raise InputError(f"{len(masks)} regions ({shown(masks)}): name one with region.")
    return images, next(iter(masks.values()))


def cut_unit(unit: CropUnit) -> Crop | str:
    """Return the crop of a sample, or why there is none."""
    try:
        images, mask = read_unit(unit)
        return crop(images, mask, settings=unit.settings)
    except (RadgenError, OSError, ValueError, MemoryError) as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]


def crop_units(
    rows: Sequence[Mapping[str, Any]], *, settings: CropSettings, region: str, folder: str | Path
) -> tuple[list[CropUnit], tuple[str, ...]]:
    """Return the samples of a cohort table, and the names of the channels.

    Raises
    ------
    InputError
        If a cell is blank, or samples differ in their channels.
    """
    base = Path(folder)
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for number, row in enumerate(rows, start=1):
        blank = [key for key in ("sample", "image", "mask") if not str(row.get(key) or "").strip()]
        if blank:
            raise InputError(f"Cohort table, row {number}: no {shown(blank)}.")
        own = found.setdefault(str(row["sample"]), {})
        channel = str(row.get("channel") or "image")
        if channel in own:
            raise InputError(
                f"Cohort table, row {number}: sample {row['sample']} has channel {channel!r} "
                "twice. Name the sequences in a column channel (T1, FLAIR), one a row."
            )
        own[channel] = row
    if not found:
        raise InputError("The cohort table has no row.")
    names = tuple(next(iter(found.values())))
    units = []
    for sample, own in found.items():
        lacking = [name for name in names if name not in own] + [n for n in own if n not in names]
        if lacking:
            raise InputError(
                f"Sample {sample} has the channels {shown(own)}, the first sample {shown(names)}. "
                "All samples need the same."
            )
        first = own[names[0]]
        scans = tuple(
            ((base / str(own[n]["image"])).as_posix(), str(own[n].get("modality") or ""))
            for n in names
        )
        mask = (base / str(first["mask"])).as_posix()
        labels = parse_labels(first.get("labels"))
        units.append(CropUnit(sample, scans, mask, labels, region, settings))
    return units, (*names, "mask") if settings.with_mask else names


def make_crops(
    rows: Sequence[Mapping[str, Any]],
    *,
    settings: CropSettings | None = None,
    region: str = "",
    folder: str | Path = ".",
    executor: Executor | None = None,
) -> tuple[SampleArrays, dict[str, str], list[str]]:
    """Return the crops of a cohort, and the samples without one.

    Parameters
    ----------
    rows : sequence of mapping
        ``sample, image, mask``, and where wanted ``channel`` (a row a sequence), ``labels``
        ("tumour=1+4") and ``modality``.
    settings : CropSettings or None
        Size, spacing and values; None = the defaults.
    region : str
        Which region of the masks; "" = the only one.
    folder : str or Path
        Where relative paths start.
    executor : Executor or None
        Where samples are cut; None = one after another in this process.

    Returns
    -------
    crops : SampleArrays
        With volumes and grids.
    failed : dict of sample to reason
        One bad scan does not stop the others.
    notes : list of str
        How many regions do not fit into their crop.

    Raises
    ------
    InputError
        If the table is not usable, or no sample has a crop.
    """
    how = settings or CropSettings()
    units, names = crop_units(rows, settings=how, region=region, folder=folder)
    check_unique([unit.sample for unit in units], what="Cohort table")
    done = map_surviving(cut_unit, units, pool=executor, lost=_lost, what="Cutting crops")
    failed = {u.sample: c for u, c in zip(units, done, strict=True) if isinstance(c, str)}
    kept = [(u.sample, c) for u, c in zip(units, done, strict=True) if isinstance(c, Crop)]
    if not kept:
        raise InputError(f"No sample has a crop. The first: {next(iter(failed.values()))}")
    beyond = [sample for sample, c in kept if c.lost > 0.05]
    notes = []
    if beyond:
        notes.append(
            f"{len(beyond)} regions reach beyond their crop by more than 5 % of their voxels "
            f"({shown(beyond)}): use a larger size or spacing."
        )
    arrays = SampleArrays(
        tuple(sample for sample, _ in kept),
        np.stack([c.values for _, c in kept]),
        "crops",
        names,
        np.array([c.volume_mm3 for _, c in kept]),
        np.stack([c.geometry.affine for _, c in kept]),
        {"made_by": "radgen.deep.make_crops", "version": 1, "region": region, **asdict(how)},
    )
    return arrays, failed, notes


def _lost(unit: CropUnit, reason: str) -> str:
    return reason
