"""What the functional commands share: series and regions in, maps out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import typer
from numpy.typing import NDArray

from radgen.errors import InputError, shown

if TYPE_CHECKING:
    from radgen.functional import ParameterMaps
    from radgen.types import ImageVolume, Mask

__all__ = [
    "artery",
    "delay",
    "frames",
    "gradients",
    "image",
    "map_or_number",
    "mask",
    "measure_resting",
    "measure_uptake",
    "numbers",
    "read",
    "stated",
    "write",
]

Floats = NDArray[np.float64]

_FACTS = {
    "flip angle": ("flip_angle_deg", 1.0),
    "repetition time": ("repetition_time_ms", 1000.0),
    "echo time": ("echo_time_ms", 1000.0),
}
_OPTIONS = {"flip angle": "flip", "repetition time": "tr", "echo time": "te"}
_VALUES = {"share": 0.41, "fixed": 4.0, "reference": 1.5}


def read(series: Sequence[Path], *, times: str = "", timed: bool = True) -> ImageVolume:
    """Return the series; `times` is a file, or the interval between frames in seconds."""
    from radgen.io import read_series

    if not times:
        return read_series(series, timed=timed)
    if _number(times) is None:
        return read_series(series, times_s=numbers(times))
    untimed = read_series(series, timed=False)
    step = _number(times) or 0.0
    if step <= 0:
        raise InputError(f"The interval between frames is {times} s; it must be positive.")
    return untimed.with_array(untimed.array, times_s=step * np.arange(untimed.array.shape[0]))


def mask(path: Path | None, scan: ImageVolume, what: str = "mask") -> Mask | None:
    """Return the region of a mask file, all its labels together."""
    from radgen.functional.files import one_mask

    return one_mask(path, scan, what=what)


def image(path: Path | None) -> ImageVolume | None:
    """Return the map of a file; None for None."""
    from radgen.io import read_image

    return None if path is None else read_image(path, modality="MR")


def numbers(text: str) -> Floats:
    """Return the numbers of a text with commas, or of a file."""
    from radgen.io import read_numbers

    parts = [_number(word) for word in text.split(",")]
    if all(part is not None for part in parts):
        return np.array(parts, dtype=np.float64)
    return np.asarray(read_numbers(Path(text)), dtype=np.float64).ravel()


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def gradients(scan: ImageVolume, bvals: str, bvecs: Path | None, model: str) -> dict[str, Any]:
    """Return b-values and directions: of files, or of the header of the series."""
    from radgen.functional.files import gradients as chosen
    from radgen.io.series import read_directions

    given = numbers(bvals) if bvals else None
    axes = None if bvecs is None else read_directions(bvecs)
    if axes is not None and model != "tensor":
        raise InputError("--bvecs belongs to --model tensor.")
    b_values, axes = chosen(scan, given, axes, model=model)
    return {"b_values": b_values, "directions": axes}


def stated(scan: ImageVolume, given: float | None, what: str) -> float:
    """Return a number of the acquisition: an option, or what the header says."""
    from radgen.functional.files import stated_number

    fact, per = _FACTS[what]
    return stated_number(scan, given, fact, per=per, what=f"{what} (option --{_OPTIONS[what]})")


def frames(text: str) -> tuple[int, int] | None:
    """Return frames as first and one after the last from "1:6"; "6" is 0:6, "" None."""
    if not text:
        return None
    first, colon, stop = text.rpartition(":")
    try:
        return (int(first or 0) if colon else 0), int(stop)
    except ValueError:
        raise InputError(f"Frames are written 1:6, say (frames 1 to 5); found {text!r}.") from None


def delay(text: str) -> float | Literal["fit"]:
    """Return seconds, or "fit"."""
    if text == "fit":
        return "fit"
    found = _number(text)
    if found is None:
        raise InputError(f"--delay is seconds or fit; found {text!r}.")
    return found


def map_or_number(text: str) -> ImageVolume | float:
    """Return a number, or the map of a file."""
    from radgen.io import read_image

    found = _number(text)
    return read_image(text, modality="MR") if found is None else found


def artery(text: str, scan: ImageVolume, out: Path, *, falls: bool = False) -> Any:
    """Return a population's name, a mask, or concentrations of a file of numbers.

    "auto" looks for an artery and writes its mask into the folder of the maps.
    """
    from radgen.functional import PopulationInput, find_artery
    from radgen.io.images import ITK, NIFTI

    if text in get_args(PopulationInput):
        return text
    if text == "auto":
        from radgen.io import write_mask

        found = find_artery(scan, falls=falls)
        out.mkdir(parents=True, exist_ok=True)
        write_mask(found, out / "artery.nii.gz")
        typer.echo(f"Artery of {found.n_voxels} voxels, look at it: {out / 'artery.nii.gz'}")
        return found
    path = Path(text)
    if path.is_dir() or path.name.lower().endswith((*NIFTI, *ITK, ".dcm")):
        return mask(path, scan, "artery")
    return numbers(text)


def write(
    found: ParameterMaps, out: Path, scan: ImageVolume, suffix: str, *, overlay: bool
) -> None:
    """Write the maps and say what came out."""
    from radgen.functional.files import write_maps

    write_maps(found, out, scan=scan, suffix=suffix, overlay=overlay)
    for note in found.notes:
        typer.echo(f"Note: {note}", err=True)
    for name, volume in found.maps.items():
        values = volume.array[found.mask.array]
        values = values[np.isfinite(values)]
        unit = "" if volume.unit == "1" else f" {volume.unit}"
        if len(values):
            low, middle, high = np.percentile(values, (5, 50, 95))
            typer.echo(f"{name:26s} median {middle:.4g} ({low:.4g} to {high:.4g}){unit}")
    failed = f", {found.n_failed:,} of them without a value" if found.n_failed else ""
    typer.echo(f"{len(found)} maps of {found.mask.n_voxels:,} voxels{failed}: {out}")


def measure_uptake(
    source: Path,
    masks: Path,
    out: Path,
    *,
    rule: str,
    value: float | None,
    reference: Path | None,
    region_out: Path | None,
) -> None:
    """Write one row a lesion: uptake, active volume and total uptake."""
    import polars as pl

    from radgen.cli import _genetics
    from radgen.functional import active_region
    from radgen.io import read_image, read_masks, write_image
    from radgen.io.images import image_format

    is_dicom = image_format(source) == "dicom"
    scan = read_image(source, suv=True) if is_dicom else read_image(source, modality="PT")
    liver = mask(reference, scan, "reference")
    limit = _VALUES.get(rule, 1.0) if value is None else value
    rows, labels = [], np.zeros(scan.geometry.shape, dtype=np.float32)
    for number, (region, lesion) in enumerate(read_masks(masks, reference=scan).items(), start=1):
        found = active_region(scan, lesion, rule=rule, value=limit, reference=liver)  # type: ignore[arg-type]
        labels[found.mask.array] = number
        rows.append({
            "region": region, "rule": rule, "threshold": found.threshold,
            "suv_max": found.max_uptake, "suv_mean": found.mean_uptake,
            "metabolic_volume_ml": found.volume_ml, "total_lesion_glycolysis": found.total_uptake,
        })  # fmt: skip
    _genetics.write_table(pl.DataFrame(rows), out)
    if region_out is not None:
        write_image(scan.with_array(labels, quantity="label", unit="1"), region_out)
    typer.echo(f"{len(rows)} lesions: {out}")


def measure_resting(
    series: Sequence[Path],
    out: Path,
    *,
    mask_path: Path | None,
    times: str,
    confounds: Path | None,
    regions: Path | None,
    band: str,
    neighbours: int,
    suffix: str,
    overlay: bool,
) -> None:
    """Write maps of a resting-state series, and the correlation of regions."""
    from radgen.functional import resting_maps

    scan = read(series, times=times)
    limits = numbers(band)
    if len(limits) != 2:
        raise InputError(f"--band is two frequencies, 0.01,0.08 say; found {band!r}.")
    columns = None if confounds is None else _confounds(confounds)
    pair = (float(limits[0]), float(limits[1]))
    found = resting_maps(
        scan, mask(mask_path, scan), confounds=columns, band_hz=pair,
        neighbours=neighbours,  # type: ignore[arg-type]
    )  # fmt: skip
    write(found, out, scan, suffix, overlay=overlay)
    if regions is not None:
        _correlate(scan, regions, columns, pair, found.settings["repetition_s"], out)


def _confounds(path: Path) -> Floats:
    """Return the columns of a table; blanks of the first row (derivatives have one) count as 0."""
    from radgen.io.tables import read_table, to_numbers

    table = read_table(path)
    read = {name: to_numbers(table[name]) for name in table.columns}
    dirty = [f"{text} in {name}" for name, (_, cells) in read.items() for *_, text in cells]
    if dirty:
        raise InputError(f"{path}: confounds that are no numbers: {shown(dirty)}.")
    values = np.column_stack([c.fill_null(np.nan).to_numpy() for c, _ in read.values()])
    gaps = np.isnan(values)
    if gaps[0].any():
        names = [name for name, gap in zip(read, gaps[0], strict=True) if gap]
        typer.echo(f"Note: blank in the first frame, taken as 0: {shown(names)}.", err=True)
        values[0, gaps[0]] = 0.0
    if gaps[1:].any():
        rows = np.flatnonzero(gaps[1:].any(axis=1))[:5] + 2
        raise InputError(f"{path}: rows {rows.tolist()} of the confounds have blanks.")
    return values


def _correlate(
    scan: ImageVolume,
    path: Path,
    confounds: Floats | None,
    band: tuple[float, float],
    step: float,
    out: Path,
) -> None:
    import polars as pl

    from radgen.cli import _genetics
    from radgen.functional import cleaned_curves, region_correlations
    from radgen.io import read_masks

    areas = read_masks(path, reference=scan)
    means = []
    for region, area in areas.items():
        area.require_on(scan)
        curves = scan.array[:, area.array].astype(np.float64)
        if not np.isfinite(curves).all():
            raise InputError(f"Region {region!r} holds voxels that are not measured throughout.")
        means.append(curves.mean(axis=1))
    clean = cleaned_curves(means, repetition_s=step, confounds=confounds, band_hz=band)
    found = region_correlations(clean, tuple(areas))
    rows = [{"pair": pair, "z": z, "r": float(np.tanh(z))} for pair, z in found.traits().items()]
    _genetics.write_table(pl.DataFrame(rows), out / "correlations.csv")
    typer.echo(f"{len(rows)} correlations of {len(areas)} regions: {out / 'correlations.csv'}")
