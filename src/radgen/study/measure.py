"""From scans to features: one unit a scan, which is computed in a worker and stored."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from radgen.errors import RadgenError
from radgen.study.cache import Codec
from radgen.study.schema import StudySettings
from radgen.study.schema.preprocess import PreprocessChanges, PreprocessSettings
from radgen.types import SPEC_COLUMNS, STATUS_COLUMNS, ImageVolume, Mask, PhenotypeTable

__all__ = [
    "BAD_SCAN",
    "DRAW",
    "MAP",
    "MEASURE",
    "Measured",
    "Unit",
    "as_measured",
    "draw",
    "draw_map",
    "drawn",
    "lost_unit",
    "map_names",
    "map_settings",
    "measure",
    "measured_codec",
    "normalised",
    "phenotypes_of",
    "picture_codec",
    "reason_of",
    "scan_of",
    "unit_settings",
]

MEASURE = ("measure", 1)
"""Name and version of the step."""

DRAW = ("picture", 1)
"""Name and version of the step that draws scans for quality control."""

MAP = ("map", 1)
"""Name and version of the step that draws voxel maps over scans."""

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


def unit_settings(settings: StudySettings, modality: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return extraction and normalisation of one modality as plain values.

    Raises
    ------
    ConfigError
        If the settings do not fit together.
    """
    from radgen.features import ExtractionSettings

    changes = settings.preprocess.by_modality.get(modality)  # type: ignore[call-overload]
    steps, normalise = _steps(settings.preprocess, changes)
    chosen = settings.features
    mapping: dict[str, Any] = {} if chosen.preset is None else {"preset": chosen.preset}
    mapping |= steps
    wanted = ("families", "aggregations", "distance", "spatial_autocorrelation", "enclosing_shapes")
    given = {key: getattr(chosen, key) for key in wanted}
    mapping |= {key: value for key, value in given.items() if value is not None}
    if chosen.filters:
        mapping["filters"] = [dict(item) for item in chosen.filters]
    return ExtractionSettings.from_mapping(mapping).to_mapping(), normalise


_GRID = ("spacing_mm", "by_slice", "interpolation", "mask_interpolation", "mask_threshold")
_INTENSITIES = (
    "round_input", "round_resampled", "resegment_range", "outlier_sigma", "discretisation",
    "filter_discretisation",
)  # fmt: skip


def map_settings(
    settings: StudySettings, own: PreprocessChanges
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return extraction and normalisation of a functional map as plain values.

    Parameters
    ----------
    settings : StudySettings
        Voxel size and interpolation of scans hold for maps, too.
    own : PreprocessChanges
        What is set for the maps. Without it intensities keep their unit, and textures see 32 grey
        levels: steps for the intensities of scans say nothing of a map in 1/min.

    Raises
    ------
    ConfigError
        If the settings do not fit together.
    """
    from radgen.features import ExtractionSettings

    shared = {name: getattr(settings.preprocess, name) for name in _GRID}
    grid = PreprocessSettings(**{k: v for k, v in shared.items() if v is not None})
    plain, _ = unit_settings(settings.model_copy(update={"preprocess": grid}), "")
    plain = {key: value for key, value in plain.items() if key not in _INTENSITIES}
    plain["discretisation"] = {"method": "number", "value": 32}
    changes, normalise = _steps(own)
    return ExtractionSettings.from_mapping(plain | changes).to_mapping(), normalise


def _steps(
    section: PreprocessChanges, changes: PreprocessChanges | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the steps that are set, by the names of the extraction, and the normalisation."""
    steps = _set_keys(section) | ({} if changes is None else _set_keys(changes))
    steps.pop("by_modality", None)
    method = steps.pop("normalise", "none")
    within, scale = steps.pop("normalise_within", "image"), steps.pop("normalise_scale", 1.0)
    normalise = {} if method == "none" else {"method": method, "within": within, "scale": scale}
    names = {"interpolation": "image_interpolation", "discretise": "discretisation"}
    return {names.get(key, key): value for key, value in steps.items()}, normalise


def _set_keys(section: PreprocessChanges) -> dict[str, Any]:
    return {
        key: value
        for key, value in section.model_dump(exclude_unset=True).items()
        if value is not None
    }


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


def _scan_of(unit: Unit) -> tuple[ImageVolume, ImageVolume, dict[str, Mask]]:
    """Return the image as read and normalised, and the masks on its grid."""
    from radgen.io import read_masks

    raw = scan_of(unit)
    masks = dict(read_masks(unit.mask, labels=unit.regions, reference=raw))
    for mask in masks.values():
        mask.require_on(raw)
    return raw, normalised(raw, masks, unit.normalise) if unit.normalise else raw, masks


def _measured(unit: Unit) -> dict[str, Any]:
    from radgen.features import ExtractionSettings, extract

    raw, image, masks = _scan_of(unit)
    settings = ExtractionSettings.from_mapping(unit.extraction)
    long = extract(image, masks, settings=settings, threads=unit.threads)
    return {"long": long.to_dict(as_series=False), "caption": _caption(raw, masks)}


def draw(unit: Unit) -> str:
    """Return a picture for quality control as base64 text; "" where the scan cannot be read."""
    from radgen.io import read_image, read_masks
    from radgen.report import thumbnail

    try:
        image = read_image(unit.image, modality=unit.modality)
        masks = read_masks(unit.mask, labels=unit.regions, reference=image)
        return base64.b64encode(thumbnail(image, masks)).decode()
    except BAD_SCAN:
        return ""


def map_names(asked: Sequence[str]) -> list[str]:
    """Return each map asked for as ``family:feature``."""
    from radgen.features import chosen_maps
    from radgen.features.maps import MAP_FAMILIES

    if not asked:
        return []
    found = chosen_maps(asked).items()
    return [f"{family}:{name}" for family, names in found for name in names or MAP_FAMILIES[family]]


def draw_map(unit: Unit) -> str:
    """Return a voxel map of all regions over their scan, as base64 text; "" for none.

    Where regions overlap, the smaller one is seen.
    """
    from radgen.features import ExtractionSettings, chosen_maps, iter_feature_maps
    from radgen.plot.images import feature_map

    wanted = chosen_maps([unit.map])
    try:
        raw, image, masks = _scan_of(unit)
        settings = ExtractionSettings.from_mapping(unit.extraction)
        values = np.full(raw.array.shape, np.nan, np.float32)
        for mask in sorted(masks.values(), key=lambda mask: -mask.n_voxels):
            if not mask.n_voxels:
                continue
            found = iter_feature_maps(
                image, mask, features=wanted, settings=settings, threads=unit.threads
            )
            _, volume = next(found)
            np.copyto(values, volume.array, where=np.isfinite(volume.array))
        if not np.isfinite(values).any():
            return ""
        axes = feature_map(raw, values, label=unit.map.partition(":")[2])
        stream = io.BytesIO()
        whole = axes.get_figure(root=True)
        assert whole is not None
        whole.savefig(stream, format="png", dpi=100, metadata={"Software": None})
        return base64.b64encode(stream.getvalue()).decode()
    except BAD_SCAN:
        return ""


def picture_codec() -> Codec[str]:
    """Return how pictures are stored."""
    return Codec("picture", 1, lambda text: ({}, {"png": text}), lambda _, plain: str(plain["png"]))


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


def drawn(units: Sequence[Unit], at_most: int) -> list[Unit]:
    """Return at most so many units, spread evenly over the cohort, for pictures."""
    if at_most <= 0:
        return []
    return list(units[:: max(1, -(-len(units) // at_most))])
