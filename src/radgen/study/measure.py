"""From scans to features: one unit a scan, which is computed in a worker and stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from radgen.errors import RadgenError
from radgen.study.cache import Codec
from radgen.types import SPEC_COLUMNS, STATUS_COLUMNS, ImageVolume, Mask, PhenotypeTable

__all__ = [
    "BAD_SCAN",
    "MEASURE",
    "Measured",
    "Unit",
    "as_measured",
    "lost_unit",
    "measure",
    "measured_codec",
    "normalised",
    "phenotypes_of",
    "prepared_scan",
    "reason_of",
    "scan_of",
]

MEASURE = ("measure", 1)
"""Name and version of the step."""

BAD_SCAN = (RadgenError, OSError, ValueError, RuntimeError, MemoryError)
"""What a scan that cannot be read or measured raises, the readers' own errors included."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One image with its mask: what a worker does at a time; plain values only.

    Attributes
    ----------
    sample, sequence : str
        Whose image and which.
    image, mask : str
        The files.
    regions : mapping of str to int or list of int, or None
        Names of labels.
    modality : str
        DICOM modality.
    extraction : mapping
        Settings of the extraction as plain values.
    normalise : mapping
        ``method``, ``within``, ``scale``; empty = intensities stay as they are.
    threads : int
        Threads of the worker.
    map : str
        Voxel map to draw, ``family:feature``; "" for all other work.
    value_unit : str
        Unit of the values, where the image is a functional map; "" = as the file says.
    """

    sample: str
    sequence: str
    image: str
    mask: str
    regions: Mapping[str, Any] | None
    modality: str
    extraction: Mapping[str, Any]
    normalise: Mapping[str, Any]
    threads: int = 1
    map: str = ""
    value_unit: str = ""

    def recipe(self) -> dict[str, Any]:
        """Return everything that decides the numbers, but the content of the files."""
        from radgen.features import FAMILIES
        from radgen.features._families import load

        load()
        more = {"map": self.map} if self.map else {}
        more |= {"value_unit": self.value_unit} if self.value_unit else {}
        return more | {
            "versions": {name: FAMILIES.get(name).version for name in self.extraction["families"]},
            "regions": self.regions,
            "modality": self.modality,
            "extraction": {k: v for k, v in self.extraction.items() if k != "name"},
            "normalise": self.normalise,
        }


@dataclass(frozen=True, eq=False)
class Measured:
    """What a unit gave.

    Attributes
    ----------
    long : polars.DataFrame
        Long feature table; its ``sample`` column is blank, since the content of a scan does not
        depend on its name.
    caption : str
        Modality, voxel size, volume.
    reason : str
        Why it failed; "" where it did not.
    """

    long: pl.DataFrame
    caption: str = ""
    reason: str = ""


def measured_codec() -> Codec[Measured]:
    """Return how measured scans are stored."""
    return Codec(
        "measured-scan",
        1,
        lambda value: (
            {"long": value.long},
            {"caption": value.caption},
        ),
        lambda tables, plain: Measured(tables["long"], plain["caption"]),
    )


def measure(unit: Unit) -> dict[str, Any]:
    """Return the features of one scan as plain values; a bad scan gives its reason.

    Notes
    -----
    This is what runs in workers. File paths are taken out of reasons: folders may be named
    after people.
    """
    from radgen.features.extraction import LONG_SCHEMA

    try:
        return _measured(unit)
    except BAD_SCAN as error:
        return {
            "long": pl.DataFrame(schema=LONG_SCHEMA).to_dict(as_series=False),
            "reason": reason_of(error, {"image": [unit.image], "mask": [unit.mask]}),
        }


def reason_of(error: BaseException, files: Mapping[str, Sequence[str]]) -> str:
    """Return why a scan failed, without the names of files and folders.

    Parameters
    ----------
    error : BaseException
        What was raised.
    files : mapping of str to sequence of str
        What the files are, and where they lie.
    """
    text = " ".join(str(error).split()) or type(error).__name__
    paths = [(path, what) for what, several in files.items() for path in several if path]
    for path, what in sorted(paths, key=lambda item: -len(item[0])):
        text = text.replace(path, what)
    folders = {str(Path(path).parent) for path, _ in paths}
    for folder in sorted(folders - {".", "/"}, key=len, reverse=True):
        text = text.replace(folder, "folder")
    return text[:400]


def scan_of(unit: Unit) -> ImageVolume:
    """Return the image of a unit with its unit of values."""
    from radgen.io.images import read_image

    raw = read_image(unit.image, modality=unit.modality)
    return raw.with_array(raw.array, unit=unit.value_unit) if unit.value_unit else raw


def prepared_scan(unit: Unit) -> tuple[ImageVolume, ImageVolume, dict[str, Mask]]:
    """Return the image as read and normalised, and the masks on its grid."""
    from radgen.io import read_masks

    raw = scan_of(unit)
    masks = dict(read_masks(unit.mask, labels=unit.regions, reference=raw))
    for mask in masks.values():
        mask.require_on(raw)
    return raw, normalised(raw, masks, unit.normalise) if unit.normalise else raw, masks


def _measured(unit: Unit) -> dict[str, Any]:
    from radgen.features import ExtractionSettings, extract

    raw, image, masks = prepared_scan(unit)
    settings = ExtractionSettings.from_mapping(unit.extraction)
    long = extract(image, masks, settings=settings, threads=unit.threads)
    return {"long": long.to_dict(as_series=False), "caption": _caption(raw, masks)}


def normalised(
    image: ImageVolume, masks: Mapping[str, Mask], how: Mapping[str, Any]
) -> ImageVolume:
    """Return the image on the scale that [preprocess] asks for."""
    from radgen.image.normalise import normalise

    region = None
    if how["within"] != "image":
        union = np.logical_or.reduce([mask.array for mask in masks.values()])
        inside = union if how["within"] == "mask" else ~union
        region = Mask(inside, image.geometry, how["within"])
    return normalise(image, region, method=how["method"], scale=how["scale"])


def _caption(image: ImageVolume, masks: Mapping[str, Mask]) -> str:
    size = image.geometry.spacing_mm
    volumes = [
        f"{name} {mask.n_voxels * float(np.prod(size)) / 1000:.3g} mL"
        for name, mask in masks.items()
    ]
    spacing = " x ".join(f"{value:.3g}" for value in size)
    return f"{image.modality or 'image'}, {spacing} mm (z, y, x); {', '.join(volumes)}"


def lost_unit(_unit: Unit, reason: str) -> dict[str, Any]:
    """Return what stands for a unit that killed its worker."""
    from radgen.features.extraction import LONG_SCHEMA

    return {"long": pl.DataFrame(schema=LONG_SCHEMA).to_dict(as_series=False), "reason": reason}


def as_measured(plain: Mapping[str, Any]) -> Measured:
    """Return what a worker sent as a table again."""
    from radgen.features.extraction import LONG_SCHEMA

    return Measured(
        pl.DataFrame(plain["long"], schema=LONG_SCHEMA),
        plain.get("caption", ""),
        plain.get("reason", ""),
    )


def phenotypes_of(units: Sequence[Unit], found: Sequence[Measured]) -> PhenotypeTable:
    """Return the phenotype matrix of all units: a row a sample, all sequences side by side."""
    sequences = list(dict.fromkeys(unit.sequence for unit in units))
    samples = list(dict.fromkeys(unit.sample for unit in units))
    parts = [
        _one_sequence(
            name, [(u, m) for u, m in zip(units, found, strict=True) if u.sequence == name], samples
        )
        for name in sequences
    ]
    return PhenotypeTable(
        tuple(samples),
        np.hstack([part.values for part in parts]),
        pl.concat([part.specs for part in parts]),
        pl.concat([part.status for part in parts]),
    )


def _one_sequence(
    name: str, items: Sequence[tuple[Unit, Measured]], samples: Sequence[str]
) -> PhenotypeTable:
    from radgen.features import to_phenotypes

    label = f"{name}: " if name else ""
    bad = [
        (unit.sample, "", "failed", f"{label}{done.reason}") for unit, done in items if done.reason
    ]
    seen = {unit.sample for unit, _ in items}
    bad += [(s, "", "failed", f"{label}no image is named") for s in samples if s not in seen]
    frames = [
        done.long.with_columns(pl.lit(unit.sample).alias("sample"))
        for unit, done in items
        if not done.reason
    ]
    status = pl.DataFrame(bad, schema=dict.fromkeys(STATUS_COLUMNS, pl.String), orient="row")
    if not frames:
        specs = pl.DataFrame(schema=dict.fromkeys(SPEC_COLUMNS, pl.String))
        return PhenotypeTable(tuple(samples), np.empty((len(samples), 0)), specs, status)
    table = to_phenotypes(pl.concat(frames))
    row_of = {sample: row for row, sample in enumerate(table.samples)}
    values = np.full((len(samples), table.n_phenotypes), np.nan)
    for row, sample in enumerate(samples):
        if sample in row_of:
            values[row] = table.values[row_of[sample]]
    specs, more = table.specs.select(SPEC_COLUMNS), table.status
    if name:
        specs = specs.with_columns(
            (pl.lit(f"{name}|") + pl.col("name")).alias("name"), pl.lit(name).alias("image")
        )
        more = more.with_columns(
            pl.when(pl.col("phenotype") == "")
            .then(pl.lit(""))
            .otherwise(pl.lit(f"{name}|") + pl.col("phenotype"))
            .alias("phenotype")
        )
    return PhenotypeTable(tuple(samples), values, specs, pl.concat([status, more]))
