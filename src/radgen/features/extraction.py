"""From a scan and its regions to a long table of features."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.naming import counted
from radgen.errors import FitError, InputError
from radgen.features._families import load
from radgen.features._region import Region
from radgen.features._registry import FAMILIES, Family
from radgen.features._view import View
from radgen.features.settings import ExtractionSettings
from radgen.image.grid import bounding_box
from radgen.image.resample import resample, resample_mask, resample_to, round_intensities
from radgen.image.resegment import resegment
from radgen.types import ImageVolume, Mask

__all__ = ["LONG_SCHEMA", "Processed", "extract", "process"]

_LOG = logging.getLogger(__name__)

LONG_SCHEMA: dict[str, Any] = {
    "sample": pl.String,
    "region": pl.String,
    "filter": pl.String,
    "family": pl.String,
    "feature": pl.String,
    "aggregation": pl.String,
    "ibsi_code": pl.String,
    "value": pl.Float64,
    "unit": pl.String,
    "status": pl.String,
    "reason": pl.String,
}
"""Columns of the long table. aggregation is an IBSI code ("" = none); status is "ok",
"undefined" or "failed", the last two with a reason and a NaN value. An "ok" row has a reason where
voxels of its region hold no number and were left out."""


@dataclass(frozen=True, slots=True)
class Processed:
    """A scan and one region after each step of image processing.

    Attributes
    ----------
    image : ImageVolume
        As given, rounded where the settings say so.
    mask : Mask
        As given.
    resampled : ImageVolume
        After resampling and rounding.
    morphology : Mask
        The resampled region.
    intensity : Mask
        After resegmentation.
    """

    image: ImageVolume
    mask: Mask
    resampled: ImageVolume
    morphology: Mask
    intensity: Mask


def _spacing(settings: ExtractionSettings) -> tuple[float | None, float, float] | None:
    if settings.spacing_mm is None:
        return None
    z, y, x = settings.spacing_mm
    return (None if settings.by_slice else z), y, x


def _prepared(image: ImageVolume, settings: ExtractionSettings) -> tuple[ImageVolume, ImageVolume]:
    """Return the image rounded as given, and resampled."""
    if image.array.ndim != 3:
        raise InputError(
            "Features are measured on one volume (z, y, x); this image is a series of "
            f"{image.array.shape[0]} volumes. Take one of them, or a map made of them."
        )
    if settings.round_input:
        image = round_intensities(image)
    spacing = _spacing(settings)
    if spacing is None:
        return image, image
    done = resample(image, spacing, method=settings.image_interpolation)
    return image, round_intensities(done) if settings.round_resampled else done


def _masked(
    image: ImageVolume, resampled: ImageVolume, mask: Mask, settings: ExtractionSettings
) -> Processed:
    if settings.fit_mask:
        mask = resample_to(mask, image.geometry)
    mask.require_on(image)
    spacing = _spacing(settings)
    morphology = mask
    if spacing is not None:
        morphology = resample_mask(
            mask,
            spacing,
            method=settings.mask_interpolation,
            threshold=settings.mask_threshold,
        )
    intensity = resegment(
        resampled,
        morphology,
        range=settings.resegment_range,
        outlier_sigma=settings.outlier_sigma,
    )
    return Processed(image, mask, resampled, morphology, intensity)


def prepared_image(image: ImageVolume, settings: ExtractionSettings) -> ImageVolume:
    """Return the image after rounding and resampling."""
    return _prepared(image, settings)[1]


def process(image: ImageVolume, mask: Mask, *, settings: ExtractionSettings) -> Processed:
    """Return image and masks after rounding, resampling and resegmentation.

    Parameters
    ----------
    image : ImageVolume (n_z, n_y, n_x)
        The scan.
    mask : Mask
        A region on the image's grid.
    settings : ExtractionSettings
        How to process.

    Returns
    -------
    Processed
        Every stage.

    Raises
    ------
    GeometryError
        If the mask does not lie on the image's grid; the message shows both.
    InputError
        If the image is a series, or a setting does not fit it.
    """
    image, resampled = _prepared(image, settings)
    return _masked(image, resampled, mask, settings)


def named_masks(masks: Mask | Mapping[str, Mask] | Iterable[Mask]) -> list[tuple[str, Mask]]:
    """Return the masks with the names of their regions; raise where two share one."""
    if isinstance(masks, Mask):
        found = [(masks.region, masks)]
    elif isinstance(masks, Mapping):
        found = list(masks.items())
    else:
        found = [(mask.region, mask) for mask in masks]
    if not found:
        raise InputError("There is no mask to measure.")
    names = [name for name, _ in found]
    if len(set(names)) < len(names):
        raise InputError(f"Regions of the same name: {sorted(names)}. Name each mask.")
    return found


def prepared_regions(
    image: ImageVolume,
    masks: Mask | Mapping[str, Mask] | Iterable[Mask],
    settings: ExtractionSettings,
) -> list[tuple[str, Processed]]:
    """Return each region by name with every stage of processing; the image is done once."""
    named = named_masks(masks)
    image, resampled = _prepared(image, settings)
    return [(name, _masked(image, resampled, mask, settings)) for name, mask in named]


@dataclass(frozen=True, slots=True)
class _Task:
    """Families on one image of one region; `view` None = nothing to measure, for `reason`."""

    region: str
    filter: str
    families: tuple[Family, ...]
    view: View | None
    status: str
    reason: str


def _aggregations(family: Family, settings: ExtractionSettings) -> list[str]:
    return [code for code in family.aggregations if not code or code in settings.aggregations]


def _rows(
    task: _Task, settings: ExtractionSettings, sample: str, unit: str
) -> list[tuple[Any, ...]]:
    """Measure the families of a task and return their rows."""
    rows: list[tuple[Any, ...]] = []
    for family in task.families:
        values: Mapping[str, Mapping[str, float]] = {}
        status, reason = task.status, task.reason
        if task.view is not None:
            try:
                values = family.measure(task.view)
            except (InputError, FitError) as error:
                status, reason = "failed", str(error)
        start = (sample, task.region, task.filter, family.name)
        for code in _aggregations(family, settings):
            found = values.get(code, {})
            for spec in family.specs:
                value = found.get(spec.name, float("nan"))
                state, why = status, reason
                if status == "ok" and not np.isfinite(value):
                    value, state, why = float("nan"), "undefined", f"undefined: {spec.undefined}"
                what = (spec.name, code, spec.ibsi_code, value, spec.unit.replace("{u}", unit))
                rows.append((*start, *what, state, why))
    return rows


def _shares(families: Sequence[Family], kind: str, *, alone: bool) -> list[tuple[Family, ...]]:
    """Cut the families into shares that threads can take.

    Families on grey levels stay together, unless the image stands alone: then each is a
    share, but for the two that use the same zones.
    """
    if kind != "original":
        return [tuple(family for family in families if family.images == "any")]
    shares: list[list[Family]] = []
    for family in families:
        together = family.images == "any" and (not alone or family.name == "gldzm")
        if together and shares and shares[-1][0].images == "any":
            shares[-1].append(family)
        else:
            shares.append([family])
    return [tuple(share) for share in shares]


def _tasks_of(
    name: str,
    done: Processed,
    responses: Mapping[str, _Response],
    settings: ExtractionSettings,
    entries: Collection[int],
) -> list[_Task]:
    families = [FAMILIES.get(family) for family in settings.families]
    reason = ""
    if not done.mask.n_voxels:
        reason = "undefined: the region is empty"
    elif not done.morphology.n_voxels:
        reason = "undefined: the region is empty after resampling"
    elif not done.intensity.n_voxels:
        reason = "undefined: no voxel of the region is left after resegmentation"
    region = None if reason else Region(done.morphology, done.intensity)
    status = "undefined" if reason else "ok"
    reason = reason or _voxels_without_value(done)
    tasks = []
    for kind, response in responses.items():
        original = kind == "original"
        if response.entry not in entries or (original and not settings.measure_original):
            continue
        view = None
        if region is not None:
            how = None if original else settings.filter_discretisation
            view = View(region, response.array, settings, discretisation=how, start=response.start)
        tasks += [
            _Task(name, kind, share, view, status, reason)
            for share in _shares(families, kind, alone=len(responses) == 1)
            if share
        ]
    return tasks


def _voxels_without_value(done: Processed) -> str:
    """Return how many voxels of a region hold no number; blank where each holds one."""
    if done.intensity.n_voxels == done.morphology.n_voxels:
        return ""
    lost = int(np.isnan(done.resampled.array[done.morphology.array]).sum())
    return f"{lost} of {counted(done.morphology.n_voxels, 'voxel')} hold no number" if lost else ""


@dataclass(frozen=True, slots=True)
class _Response:
    """An image to measure: values of a part of the grid that starts at `start`.

    `entry` is its image type: 0 = the original image, then the entries of `filters`.
    """

    array: NDArray[Any]
    start: tuple[int, int, int]
    entry: int


def _union_box(masks: Iterable[Mask]) -> tuple[slice, slice, slice] | None:
    boxes = [bounding_box(mask) for mask in masks if mask.n_voxels]
    if not boxes:
        return None
    z, y, x = (
        slice(min(box[axis].start for box in boxes), max(box[axis].stop for box in boxes))
        for axis in range(3)
    )
    return z, y, x


def _responses(
    regions: list[tuple[str, Processed]],
    settings: ExtractionSettings,
    pool: Executor,
    entries: Collection[int],
) -> dict[str, _Response]:
    """Return the original image and its filter responses around the regions, by name."""
    resampled = regions[0][1].resampled
    out = {"original": _Response(resampled.array, (0, 0, 0), 0)}
    chosen = [number for number in range(1, len(settings.filters) + 1) if number in entries]
    if not chosen:
        return out
    box = _union_box(done.morphology for _, done in regions)
    from radgen.features._filtering import filter_jobs, measured_everywhere

    jobs = [filter_jobs(settings.filters[number - 1]) for number in chosen]
    if box is None:
        box = (slice(0, 1), slice(0, 1), slice(0, 1))
    source = measured_everywhere(resampled)
    start = (box[0].start, box[1].start, box[2].start)
    for number, found in zip(chosen, pool.map(lambda job: job(source, box), jobs), strict=True):
        for name, array in found.items():
            if name in out:
                raise InputError(f"Two filters are named {name!r}; give one another name.")
            out[name] = _Response(array, start, number)
    return out


def _parts_of(task: _Task) -> Iterator[Callable[[], object]]:
    """Yield what the families of a task can do ahead, in other threads."""
    for family in task.families:
        if task.view is not None and family.parts is not None:
            yield from family.parts(task.view)


def _try(part: Callable[[], object]) -> None:
    """Do a part of the work; an error is met again, and reported, where its result is needed."""
    try:
        part()
    except (InputError, FitError) as error:
        _LOG.debug("A part of the work failed: %s", error)


def _cells_of_part(part: tuple[int, int], n_regions: int, n_entries: int) -> list[set[int]]:
    """Return for each region which image types belong to a part of the work."""
    k, n = part
    if not 0 <= k < n:
        raise InputError(f"part is (k, n) with 0 <= k < n, not {part}.")
    cells = range(n_regions * n_entries)
    own = cells[len(cells) * k // n : len(cells) * (k + 1) // n]
    return [
        {cell % n_entries for cell in own if cell // n_entries == region}
        for region in range(n_regions)
    ]


def extract(
    image: ImageVolume,
    masks: Mask | Mapping[str, Mask] | Iterable[Mask],
    *,
    settings: ExtractionSettings,
    sample: str = "",
    threads: int | None = None,
    part: tuple[int, int] = (0, 1),
) -> pl.DataFrame:
    """Return the features of every region of a scan as a long table.

    Parameters
    ----------
    image : ImageVolume (n_z, n_y, n_x)
        The scan; NaN voxels are left out of every intensity mask.
    masks : Mask, mapping of str to Mask, or iterable of Mask
        The regions, each on the image's grid; keys of a mapping name them.
    settings : ExtractionSettings
        What to measure and how.
    sample : str
        Id of the sample, for the first column.
    threads : int or None
        Threads that share the work; None = as many as there are processors.
    part : tuple of int (2,)
        (k, n): only part k (from 0) of the regions and image types, cut into n parts. The
        tables of all parts, one below the other, are the table of the whole.

    Returns
    -------
    polars.DataFrame
        Columns `LONG_SCHEMA`, a row per region, filter, feature and aggregation. A value that
        a region does not determine is NaN with status "undefined" and its reason; one that
        could not be computed is NaN with status "failed" and the reason.

    Raises
    ------
    GeometryError
        If a mask does not lie on the image's grid; the message shows both grids.
    InputError
        If there is no mask, two regions have one name, the image is a series, or `part` is
        not (k, n) with 0 <= k < n.

    Notes
    -----
    Order of steps: round, resample image and mask, round, resegment, filter, discretise,
    measure. Shape, local intensity and spatial autocorrelation are measured on the original
    image alone.

    References
    ----------
    IBSI reference manual, section 2 (doi:10.1148/radiol.2020191145).
    """
    load()
    for name in settings.families:
        FAMILIES.get(name)
    regions = prepared_regions(image, masks, settings)
    cells = _cells_of_part(part, len(regions), len(settings.filters) + 1)

    tasks: list[_Task | None] = []

    def run(number: int) -> list[tuple[Any, ...]]:
        # What an image was seen through is let go with its rows: many images share the memory.
        task, tasks[number] = tasks[number], None
        assert task is not None
        unit = image.unit if task.filter == "original" else "a.u."
        return _rows(task, settings, sample, unit)

    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        responses = _responses(regions, settings, pool, set().union(*cells))
        for (name, done), entries in zip(regions, cells, strict=True):
            tasks += _tasks_of(name, done, responses, settings, entries)
        del responses
        # Parts are begun while later ones are still being found.
        parts = [
            sum(1 for call in _parts_of(task) if pool.submit(_try, call)) if task else 0
            for task in tasks
        ]
        # Whoever waits for parts comes last, so that no thread waits while there is work.
        order = sorted(range(len(tasks)), key=lambda k: bool(parts[k]))
        done_of = dict(zip(order, pool.map(run, order), strict=True))
        rows = [row for k in range(len(tasks)) for row in done_of[k]]
    columns = list(zip(*rows, strict=True)) or [[] for _ in LONG_SCHEMA]
    return pl.DataFrame(
        {key: list(column) for key, column in zip(LONG_SCHEMA, columns, strict=True)},
        schema=LONG_SCHEMA,
    )
