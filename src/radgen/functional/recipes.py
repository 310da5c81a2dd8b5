"""Maps of one scan by a recipe: from the files of a series to maps and the regions on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen.errors import InputError, shown
from radgen.functional._voxels import ParameterMaps
from radgen.functional.arterial import PopulationInput
from radgen.functional.artery import find_artery
from radgen.functional.dce import dce_maps, enhancement_maps
from radgen.functional.diffusion import DIFFUSION_UNITS
from radgen.functional.dsc import DSC_UNITS, dsc_maps
from radgen.functional.enhancement import ENHANCEMENT_UNITS
from radgen.functional.files import gradients, one_mask, stated_number
from radgen.functional.maps import diffusion_maps, t1_maps
from radgen.functional.tracer import TRACER_UNITS
from radgen.functional.uptake import active_region
from radgen.types import ImageVolume, Mask

__all__ = ["MAP_NAMES", "MadeMaps", "Technique", "maps_of_files"]

Technique = Literal["dce", "enhancement", "dsc", "diffusion", "t1", "uptake"]
"""What `maps_of_files` can make."""

MAP_NAMES: Mapping[str, tuple[str, ...]] = {
    "dce": (*TRACER_UNITS, "r2"),
    "enhancement": tuple(ENHANCEMENT_UNITS),
    "dsc": tuple(DSC_UNITS),
    "diffusion": tuple(DIFFUSION_UNITS),
    "t1": ("T1", "S0"),
    "uptake": ("SUV",),
}
"""Maps of each technique; which of them there are depends on its model and options."""

Files = Mapping[str, Sequence[str | Path]]
Place = Callable[[Mask, ImageVolume], Mask]
_DEFAULT_UPTAKE = {"share": 0.41, "fixed": 4.0, "reference": 1.5}


@dataclass(frozen=True, eq=False, slots=True)
class MadeMaps:
    """Maps of one scan, and the regions on their grid.

    Attributes
    ----------
    found : ParameterMaps
        The maps.
    regions : mapping of str to Mask
        On the grid of the maps, none of them empty; of "uptake" the active part of each.
    under : ImageVolume
        One volume of the series, for pictures.
    """

    found: ParameterMaps
    regions: Mapping[str, Mask]
    under: ImageVolume


def maps_of_files(
    technique: Technique,
    files: Files,
    *,
    labels: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    place: Place | None = None,
) -> MadeMaps:
    """Return the maps of the files of one scan.

    Parameters
    ----------
    technique : {"dce", "enhancement", "dsc", "diffusion", "t1", "uptake"}
        Which maps: see `dce_maps`, `enhancement_maps`, `dsc_maps`, `diffusion_maps`, `t1_maps`
        and `active_region`.
    files : mapping of str to sequence of path
        ``series`` (one file with four axes, a DICOM folder, or one file a frame) and ``mask``, the
        regions; where the technique takes them ``within`` (voxels to fit; default: the regions,
        of "dsc" all voxels), ``artery``, ``normal``, ``intact``, ``reference`` (masks), ``t1``,
        ``b1`` (maps), ``times``, ``b_values``, ``directions`` (numbers).
    labels : mapping of str to int or list of int, or None
        Names of the labels of the mask, see `radgen.io.read_masks`.
    options : mapping or None
        Options of the technique by the names of its function. ``artery`` may be "auto", "parker",
        "georgiou" or "preclinical" in place of a file; ``times_s`` the interval between
        frames. Flip angle, repetition and echo time that are not given are taken from the header
        of a DICOM series.
    place : callable or None
        ``place(mask, scan)`` returns a mask on the grid of the series, as
        `radgen.image.resample_to` gives it, which is right only where the two scans are aligned.
        None refuses masks of another grid.

    Returns
    -------
    MadeMaps
        Maps, regions and what lies under them.

    Raises
    ------
    InputError
        If a file or a number that the technique needs is missing, or no region is left.
    GeometryError
        If masks or maps lie on another grid, and `place` is None.
    FormatError
        If a file is broken.
    """
    require_choice(technique, get_args(Technique), what="technique")
    chosen = dict(options or {})
    maker: dict[str, Callable[[_Job], ParameterMaps]] = {
        "dce": _dce, "enhancement": _enhancement, "dsc": _dsc, "diffusion": _diffusion, "t1": _t1,
    }  # fmt: skip
    if technique == "uptake":
        return _uptake(files, labels, chosen, place or _required)
    scan = _series(files, technique, chosen)
    put = place or _required
    regions = _regions(files, labels, scan, put)
    within = _region(files, "within", scan, put)
    job = _Job(files, scan, regions, within, chosen, put)
    frame = scan.array if scan.array.ndim == 3 else scan.array[0]
    under = scan.with_array(frame, times_s=None)
    return MadeMaps(maker[technique](job), regions, under)


@dataclass(frozen=True, eq=False, slots=True)
class _Job:
    files: Files
    scan: ImageVolume
    regions: Mapping[str, Mask]
    within: Mask | None
    options: dict[str, Any]
    place: Place

    def fitted(self, *more: Mask | None) -> Mask:
        """Return the voxels to fit: those asked for, or all regions together."""
        if self.within is not None:
            return self.within
        masks = [*self.regions.values(), *(mask for mask in more if mask is not None)]
        union = np.logical_or.reduce([mask.array for mask in masks])
        return Mask(union, self.scan.geometry, "regions")

    def region(self, name: str) -> Mask | None:
        """Return the region of a mask file; None without one."""
        return _region(self.files, name, self.scan, self.place)

    def given(self, *names: str) -> dict[str, Any]:
        """Return those of the options that are set."""
        return {name: self.options[name] for name in names if name in self.options}

    def baseline(self) -> tuple[int, int] | None:
        """Return the frames before contrast, where they are set."""
        frames = self.options.get("baseline")
        return None if frames is None else (int(frames[0]), int(frames[1]))

    def stated(self, name: str, fact: str, per: float) -> float:
        """Return a number of the recipe, or of the header of the series."""
        return stated_number(self.scan, self.options.get(name), fact, per=per, what=name)

    def artery(self, *, falls: bool = False) -> Any:
        """Return an artery: a mask, a curve, or the name of a population's."""
        word = self.options.get("artery")
        if word in get_args(PopulationInput):
            return word
        if word == "auto":
            return find_artery(self.scan, falls=falls)
        if "artery" not in self.files:
            return None
        from radgen.io import read_numbers
        from radgen.io.images import ITK, NIFTI

        path = Path(self.files["artery"][0])
        if path.is_dir() or path.name.lower().endswith((*NIFTI, *ITK, ".dcm")):
            return self.region("artery")
        return np.asarray(read_numbers(path), dtype=np.float64).ravel()

    def image(self, name: str) -> ImageVolume | None:
        """Return the map of a file; None without one."""
        from radgen.io.images import read_image

        if name not in self.files:
            return None
        return read_image(self.files[name][0], modality="MR")


def _series(files: Files, technique: str, options: Mapping[str, Any]) -> ImageVolume:
    """Return the series with its times."""
    from radgen.io.series import read_numbers, read_series

    paths = list(files["series"])
    times = options.get("times_s")
    if "times" in files:
        return read_series(paths, times_s=np.ravel(read_numbers(files["times"][0])))
    timed = technique not in ("diffusion", "t1") and times is None
    series = read_series(paths, timed=timed)
    if times is None:
        return series
    return series.with_array(series.array, times_s=float(times) * np.arange(series.array.shape[0]))


def _regions(
    files: Files, labels: Mapping[str, Any] | None, scan: ImageVolume, place: Place
) -> dict[str, Mask]:
    """Return the regions on the grid of the series."""
    from radgen.io import read_masks

    masks = read_masks(files["mask"][0], labels=labels, reference=scan)
    placed = {name: place(mask, scan) for name, mask in masks.items()}
    left = {name: mask for name, mask in placed.items() if mask.n_voxels}
    if not left:
        raise InputError(f"No region has a voxel on the grid of the series: {shown(placed)}.")
    return left


def _region(files: Files, name: str, scan: ImageVolume, place: Place) -> Mask | None:
    if name not in files:
        return None
    mask = one_mask(Path(files[name][0]), scan, what=name)
    assert mask is not None
    placed = place(mask, scan)
    if not placed.n_voxels:
        raise InputError(f"The mask {name!r} has no voxel on the grid of the series.")
    return placed


def _required(mask: Mask, scan: ImageVolume) -> Mask:
    """Return a mask that lies on the grid of the series.

    Raises
    ------
    GeometryError
        If it lies on another.
    """
    mask.require_on(scan)
    return mask


def _dce(job: _Job) -> ParameterMaps:
    arterial = job.artery()
    if arterial is None:
        raise InputError("Tracer kinetics need an artery: a mask, a curve, auto or parker.")
    t1 = job.image("t1")
    return dce_maps(
        job.scan, job.fitted(), arterial=arterial,
        flip_deg=job.stated("flip_deg", "flip_angle_deg", 1.0),
        repetition_s=job.stated("repetition_s", "repetition_time_ms", 1000.0),
        t1=job.options["t1_s"] if t1 is None else t1, b1=job.image("b1"), baseline=job.baseline(),
        **job.given("model", "delay_s", "t1_blood_s", "relaxivity", "haematocrit"),
    )  # fmt: skip


def _enhancement(job: _Job) -> ParameterMaps:
    return enhancement_maps(
        job.scan, job.fitted(), baseline=job.baseline(), **job.given("early_s", "area_s")
    )


def _dsc(job: _Job) -> ParameterMaps:
    return dsc_maps(
        job.scan, job.within, echo_s=job.stated("echo_s", "echo_time_ms", 1000.0),
        baseline=job.baseline(), arterial=job.artery(falls=True), normal=job.region("normal"),
        intact=job.region("intact"), **job.given("leakage", "method"),
    )  # fmt: skip


def _diffusion(job: _Job) -> ParameterMaps:
    from radgen.io.series import read_directions, read_numbers

    given = job.options.get("b_values")
    if "b_values" in job.files:
        given = np.ravel(read_numbers(job.files["b_values"][0]))
    axes = read_directions(job.files["directions"][0]) if "directions" in job.files else None
    model = job.options.get("model", "adc")
    b_values, directions = gradients(job.scan, given, axes, model=model)
    return diffusion_maps(
        job.scan, job.fitted(), b_values=b_values, model=model, directions=directions
    )


def _t1(job: _Job) -> ParameterMaps:
    return t1_maps(
        job.scan, job.fitted(), flip_deg=job.options["flip_angles_deg"],
        repetition_s=job.stated("repetition_s", "repetition_time_ms", 1000.0),
        b1=job.image("b1"), **job.given("method"),
    )  # fmt: skip


def _uptake(
    files: Files, labels: Mapping[str, Any] | None, options: Mapping[str, Any], place: Place
) -> MadeMaps:
    """Return the uptake itself, and the active part of each region."""
    from radgen.io import read_image
    from radgen.io.images import image_format

    path = Path(files["series"][0])
    is_dicom = image_format(path) == "dicom"
    read = read_image(path, suv=True) if is_dicom else read_image(path, modality="PT")
    scan = read.with_array(read.array, quantity="SUV", unit="g/mL")
    rule = options.get("rule", "share")
    value = options.get("value", _DEFAULT_UPTAKE.get(rule, 1.0))
    liver = _region(files, "reference", scan, place)
    active, notes = {}, []
    for name, mask in _regions(files, labels, scan, place).items():
        found = active_region(scan, mask, rule=rule, value=value, reference=liver)
        if found.mask.n_voxels:
            active[name] = Mask(found.mask.array, scan.geometry, name)
        else:
            notes.append(f"No voxel of {name} reaches {found.threshold:.3g} g/mL.")
    if not active:
        raise InputError(" ".join(notes))
    everywhere: NDArray[np.bool_] = np.isfinite(scan.array)
    settings = {"technique": "uptake", "rule": rule, "value": value}
    found_maps = ParameterMaps(
        {"SUV": scan}, Mask(everywhere, scan.geometry, "image"), 0, settings, tuple(notes)
    )
    return MadeMaps(found_maps, active, scan)
