"""Step of a run from series to functional maps, which are measured like scans."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from radgen._core.digest import digest, digest_file
from radgen._core.files import write_text
from radgen.study.cache import Codec
from radgen.study.context import Context
from radgen.study.gather import Gathered
from radgen.study.measure import BAD_SCAN, reason_of
from radgen.study.schema.functional import FunctionalSettings
from radgen.types import Geometry, ImageVolume, Mask

__all__ = ["FUNCTIONAL", "Mapped", "MapsUnit", "make_maps", "mapped_codec", "maps_key", "write"]

FUNCTIONAL = ("functional", 1)
"""Name and version of the step."""

_REGIONS = "regions.nii.gz"
_SCAN = "scan.nii.gz"


@dataclass(frozen=True, slots=True)
class MapsUnit:
    """The series of one scan and what is made of it: plain values only.

    Attributes
    ----------
    sample, step : str
        Whose series, and the name of the step.
    technique : str
        See `radgen.functional.maps_of_files`.
    files : mapping of str to tuple of str
        What the technique takes.
    labels : mapping or None
        Names of the labels of the mask.
    options : mapping
        Options of the technique.
    other_grid : str
        What becomes of masks of another grid.
    """

    sample: str
    step: str
    technique: str
    files: Mapping[str, tuple[str, ...]]
    labels: Mapping[str, Any] | None
    options: Mapping[str, Any]
    other_grid: str

    def recipe(self) -> dict[str, Any]:
        """Return everything that decides the maps, but the content of the files."""
        return {
            "technique": self.technique, "labels": self.labels, "options": dict(self.options),
            "other_grid": self.other_grid,
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Mapped:
    """Maps of one series.

    Attributes
    ----------
    voxels : polars.DataFrame
        A row a voxel: ``m0, m1 …`` the maps, ``r0 …`` the regions, ``scan`` what lies under them.
    about : dict
        ``maps`` and ``units``, ``regions``, ``shape``, ``affine``, ``notes``, ``settings``,
        ``n_voxels``, ``n_failed``.
    reason : str
        Why there are none; "" where there are.
    """

    voxels: pl.DataFrame = field(default_factory=pl.DataFrame)
    about: dict[str, Any] = field(default_factory=dict)
    reason: str = ""


def mapped_codec() -> Codec[Mapped]:
    """Return how maps are stored."""
    return Codec(
        "functional-maps", 1, lambda value: ({"voxels": value.voxels}, {"about": value.about}),
        lambda tables, plain: Mapped(tables["voxels"], plain["about"]),
    )  # fmt: skip


def maps_key(unit: MapsUnit, context: Context) -> str:
    """Return the key of a unit: recipe and content of all files."""
    files = {
        what: [context.files.of(Path(path)) for path in paths] for what, paths in unit.files.items()
    }
    return digest(*FUNCTIONAL, unit.recipe(), files)


def units_of_steps(found: Gathered, name_of: Mapping[int, str]) -> list[MapsUnit]:
    """Return the work of all functional steps.

    Parameters
    ----------
    found : Gathered
        The scans.
    name_of : mapping of int to str
        Name of each scan, by its place.
    """
    images = found.settings.images
    assert images is not None
    return [
        MapsUnit(
            name_of[place], name, step.technique,
            {what: tuple(str(path) for path in paths) for what, paths in scan.series[name].items()},
            step.regions if step.regions is not None else images.regions,
            step.options(), step.other_grid,
        )
        for name, step in images.functional.items()
        for place, scan in enumerate(found.scans)
        if name in scan.series
    ]  # fmt: skip


def absent(unit: MapsUnit) -> str:
    """Return which files of a unit do not exist, as a reason; "" where all do."""
    lost = [what for what, paths in unit.files.items() if not all(Path(p).exists() for p in paths)]
    return f"the file of {' and '.join(lost)} does not exist" if lost else ""


def make_maps(unit: MapsUnit) -> dict[str, Any]:
    """Return the maps of one series as plain values; a bad series gives its reason.

    Notes
    -----
    This is what runs in workers. File paths are taken out of reasons: folders may be named after
    people.
    """
    try:
        return _made(unit)
    except BAD_SCAN as error:
        return {"reason": reason_of(error, unit.files)}


def _made(unit: MapsUnit) -> dict[str, Any]:
    from radgen.functional.recipes import maps_of_files

    made = maps_of_files(
        unit.technique,  # type: ignore[arg-type]
        unit.files,
        labels=unit.labels,
        options=unit.options,
        place=_on_grid if unit.other_grid == "resample" else None,
    )
    found = made.found
    if found.n_failed == found.mask.n_voxels:
        return {"reason": "the fit failed in all voxels: check times, angles or b-values"}
    columns: dict[str, Any] = {f"m{k}": item.array.astype(np.float32).ravel() for k, item in
               enumerate(found.maps.values())}  # fmt: skip
    columns |= {f"r{k}": mask.array.ravel() for k, mask in enumerate(made.regions.values())}
    columns["scan"] = made.under.array.astype(np.float32).ravel()
    about = {
        "maps": list(found.maps), "units": [item.unit for item in found.maps.values()],
        "regions": list(made.regions), "shape": list(made.under.geometry.shape),
        "affine": made.under.geometry.affine.tolist(), "notes": list(found.notes),
        "settings": json.loads(json.dumps(dict(found.settings), default=float)),
        "n_voxels": found.mask.n_voxels, "n_failed": found.n_failed,
    }  # fmt: skip
    return {"columns": columns, "about": about}


def _on_grid(mask: Mask, scan: ImageVolume) -> Mask:
    if mask.geometry.same_as(scan.geometry):
        return mask
    from radgen.image.resample import resample_to

    return resample_to(mask, scan.geometry, method="linear")


def as_mapped(plain: Mapping[str, Any]) -> Mapped:
    """Return what a worker sent; a unit that killed its worker has a reason alone."""
    if plain.get("reason"):
        return Mapped(reason=str(plain["reason"]))
    return Mapped(pl.DataFrame(plain["columns"]), dict(plain["about"]))


def write(mapped: Mapped, folder: Path, key: str) -> dict[str, tuple[Path, str]]:
    """Write maps, regions and scan as NIfTI, unless they lie there; return file and unit of each.

    Parameters
    ----------
    mapped : Mapped
        The maps.
    folder : Path
        Where they go.
    key : str
        Key of the step: what lies there of another key, or was changed, is written again.
    """
    about = mapped.about
    names = {name: re.sub(r"[^A-Za-z0-9]+", "-", name.replace("*", "star")).strip("-") + ".nii.gz"
             for name in about["maps"]}  # fmt: skip
    units = dict(zip(about["maps"], about["units"], strict=True))
    sidecar = folder / "maps.json"
    if not _lies(sidecar, key):
        folder.mkdir(parents=True, exist_ok=True)
        _write_files(mapped, folder, names)
        files = {file: digest_file(folder / file) for file in (*names.values(), _REGIONS, _SCAN)}
        told = {
            "key": key, "files": files, "maps": units,
            **{name: about[name] for name in ("settings", "notes", "n_voxels", "n_failed")},
            "labels": labels_of(mapped),
        }  # fmt: skip
        write_text(sidecar, json.dumps(told, indent=1) + "\n")
    return {name: (folder / names[name], units[name]) for name in about["maps"]}


def _lies(sidecar: Path, key: str) -> bool:
    """Return whether all files of this key lie beside their list, unchanged."""
    try:
        told = json.loads(sidecar.read_text(encoding="utf-8"))
        return told["key"] == key and all(
            digest_file(sidecar.parent / file) == known for file, known in told["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _write_files(mapped: Mapped, folder: Path, names: Mapping[str, str]) -> None:
    from radgen.io.images import write_image

    shape = tuple(mapped.about["shape"])
    grid = Geometry(np.array(mapped.about["affine"]), shape)
    for place, name in enumerate(mapped.about["maps"]):
        values = mapped.voxels[f"m{place}"].to_numpy().reshape(shape)
        write_image(ImageVolume(values, grid), folder / names[name])
    codes = _codes(mapped)
    write_image(ImageVolume(codes.astype(np.int32).reshape(shape), grid), folder / _REGIONS)
    scan = mapped.voxels["scan"].to_numpy().reshape(shape)
    write_image(ImageVolume(scan, grid), folder / _SCAN)


def _codes(mapped: Mapped) -> Any:
    """Return a number a voxel: which regions it lies in, as bits numbered by their combination."""
    bits = sum(
        mapped.voxels[f"r{k}"].to_numpy().astype(np.int64) << k
        for k in range(len(mapped.about["regions"]))
    )
    kinds = np.unique(np.append(bits, 0))
    return np.searchsorted(kinds, bits)


def labels_of(mapped: Mapped) -> dict[str, list[int]]:
    """Return the labels of each region in the file of regions, where regions may overlap."""
    codes = _codes(mapped)
    found = {}
    for k, name in enumerate(mapped.about["regions"]):
        inside = mapped.voxels[f"r{k}"].to_numpy()
        found[str(name)] = [int(code) for code in np.unique(codes[inside])]
    return found


def folder_of(context: Context, unit: MapsUnit) -> Path:
    """Return where the maps of a unit go: maps/STEP/SAMPLE in the output folder."""
    parts = []
    for text in (unit.step, unit.sample):
        plain = re.sub(r"[^A-Za-z0-9._ -]+", "_", text).strip(".") or "_"
        parts.append(plain if plain == text else f"{plain}-{digest(text)[:8]}")
    return (context.out / "maps").joinpath(*parts).absolute()


def chosen(step: FunctionalSettings, made: Sequence[str]) -> tuple[list[str], str]:
    """Return the maps that a step wants, and why it cannot have them ("" where it can)."""
    if not step.maps:
        return list(made), ""
    lost = [name for name in step.maps if name not in made]
    reason = f"there is no map {', '.join(lost)}; there are {', '.join(made)}" if lost else ""
    return list(step.maps), reason
