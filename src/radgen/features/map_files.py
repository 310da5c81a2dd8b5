"""Voxel maps and filter responses from files to files, with pictures of them."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radgen._core.files import write_text
from radgen._core.naming import require_choice
from radgen._version import __version__
from radgen.errors import InputError, shown
from radgen.features.cohort import AnySettings, parse_labels
from radgen.features.extraction import named_masks
from radgen.features.maps import chosen_maps, iter_feature_maps
from radgen.features.responses import response_maps
from radgen.features.settings import ExtractionSettings
from radgen.io.images import WRITTEN
from radgen.types import ImageVolume, Mask

__all__ = ["MapOptions", "is_image_name", "write_maps", "write_response"]


@dataclass(frozen=True, slots=True)
class MapOptions:
    """How maps are made and written.

    Attributes
    ----------
    radius : int
        Half width of the windows in voxels.
    labels : tuple of str
        Which mask values are regions: "1" or "tumour=1+2".
    modality : str
        "CT", "MR", … where the file is mute.
    suffix : {".nii.gz", ".nii", ".nrrd", ".mha"}
        Format of the maps in a folder.
    overlay : bool
        Whether a PNG of the map over the scan lies beside each map.
    """

    radius: int = 1
    labels: tuple[str, ...] = ()
    modality: str = ""
    suffix: str = ".nii.gz"
    overlay: bool = True


def is_image_name(path: Path) -> bool:
    """Return whether a file name ends as images do that radgen writes."""
    return Path(path).name.lower().endswith(WRITTEN)


def write_response(
    image: Path, settings: AnySettings, out: Path, *, modality: str = ""
) -> dict[str, Any]:
    """Write the response of an image to the one filter of the settings.

    Parameters
    ----------
    image : Path
        The scan.
    settings : ExtractionSettings
        With exactly one filter response; steps before filtering are done too.
    out : Path
        The image file to write.
    modality : str
        "CT", "MR", … where the file is mute.

    Returns
    -------
    dict
        What was written: see `write_maps`.

    Raises
    ------
    InputError
        If the settings hold no filter response, or more than one.
    """
    found = list(_responses(image, settings, modality))
    if len(found) != 1:
        names = [name for name, _, _ in found]
        raise InputError(
            f"The settings make {len(found)} filter responses{': ' if names else ''}"
            f"{shown(names)}, and {Path(out).name} holds one. Use a preset with a single response "
            "(ibsi2-p1-3.a.1, say), or write all into a folder: radgen maps IMAGE --responses "
            "--out FOLDER."
        )
    name, volume, _ = found[0]
    return _written(volume, name, out, settings)


def _plain_settings(settings: AnySettings) -> ExtractionSettings:
    if not isinstance(settings, ExtractionSettings):
        raise InputError("Maps are made with radgen's settings, not with PyRadiomics parameters.")
    return settings


def _responses(
    image: Path, settings: AnySettings, modality: str
) -> Iterator[tuple[str, ImageVolume, ImageVolume]]:
    from radgen.io import read_image

    chosen = _plain_settings(settings)
    for name, volume in response_maps(read_image(image, modality=modality), settings=chosen):
        yield name, volume, volume


def write_maps(
    image: Path,
    mask: Path | None,
    out: Path,
    *,
    settings: AnySettings,
    features: Sequence[str] = (),
    responses: bool = False,
    how: MapOptions | None = None,
) -> list[dict[str, Any]]:
    """Write voxel maps of a scan, and a picture of each.

    Parameters
    ----------
    image : Path
        The scan.
    mask : Path or None
        The regions; not needed for filter responses alone.
    out : Path
        A folder; or an image file where there is a single map.
    settings : ExtractionSettings
        How to prepare the image, and the filters.
    features : sequence of str
        Maps wanted, as `chosen_maps` reads them.
    responses : bool
        Whether the responses to the settings' filters are written too.
    how : MapOptions or None
        Windows, labels, format, pictures; None = the defaults.

    Returns
    -------
    list of dict
        ``file``, ``map``, ``region``, ``settings_digest`` of each; ``maps.json`` in the folder
        holds the same.

    Raises
    ------
    InputError
        If nothing is asked for, a feature is unknown, or a file should hold several maps.
    GeometryError
        If the mask does not lie on the image's grid.
    FormatError
        If a file cannot be read.
    """
    wanted = chosen_maps(features) if features or not responses else {}
    options = how or MapOptions()
    suffix = require_choice(options.suffix, WRITTEN, what="image format")
    if wanted and mask is None:
        raise InputError("Maps of features need a mask: radgen maps IMAGE MASK --features glcm.")
    single = is_image_name(out)
    done: list[dict[str, Any]] = []
    # Closed at once where a map is refused: what they keep on disk goes with them.
    with closing(_every_job(image, mask, settings, wanted, options, responses=responses)) as jobs:
        for region, name, volume, scan in jobs:
            if single and done:
                raise InputError(
                    f"More than one map is asked for, and {Path(out).name} holds one. Give a "
                    "folder."
                )
            path = Path(out) if single else Path(out) / (_slug(region, name) + suffix)
            done.append(_written(volume, name, path, settings, region=region))
            if options.overlay:
                done[-1]["picture"] = _overlay(scan, volume, name, path)
    if not single:
        write_text(Path(out) / "maps.json", json.dumps(done, indent=1) + "\n")
    return done


def _every_job(
    image: Path,
    mask: Path | None,
    settings: AnySettings,
    wanted: Mapping[str, tuple[str, ...] | None],
    options: MapOptions,
    *,
    responses: bool,
) -> Generator[tuple[str, str, ImageVolume, ImageVolume], None, None]:
    """Yield the maps, and the filter responses where asked for."""
    yield from _jobs(image, mask, settings, wanted, options)
    if responses:
        for job in _responses(image, settings, options.modality):
            yield "", *job


def _jobs(
    image: Path,
    mask: Path | None,
    settings: AnySettings,
    wanted: Mapping[str, tuple[str, ...] | None],
    options: MapOptions,
) -> Iterator[tuple[str, str, ImageVolume, ImageVolume]]:
    """Yield region, name, map and scan, one after another."""
    if not wanted or mask is None:
        return
    from radgen.io import read_image, read_masks

    chosen, radius = _plain_settings(settings), options.radius
    scan = read_image(image, modality=options.modality)
    labels = parse_labels(";".join(options.labels))
    named = {name: list(values) for name, values in labels} or None
    masks: list[tuple[str, Mask]] = named_masks(read_masks(mask, labels=named, reference=scan))
    for region, one in masks:
        title = region if len(masks) > 1 else ""
        found = iter_feature_maps(scan, one, features=wanted, settings=chosen, radius=radius)
        with closing(found):
            for name, volume in found:
                yield title, name, volume, scan


def _slug(*parts: str) -> str:
    words = ["-".join(re.findall(r"[A-Za-z0-9.+]+", part)) for part in parts]
    return "-".join(word for word in words if word).lower()


def _written(
    volume: ImageVolume, name: str, path: Path, settings: AnySettings, *, region: str = ""
) -> dict[str, Any]:
    from radgen.io import write_image

    write_image(volume, path)
    return {
        "file": Path(path).name,
        "map": name,
        "region": region,
        "settings": settings.to_mapping(),
        "settings_digest": settings.digest(),
        "radgen": __version__,
    }


def _overlay(scan: ImageVolume, volume: ImageVolume, name: str, path: Path) -> str:
    """Draw a map over its scan beside its file; return the name of the picture, "" for none."""
    import numpy as np

    from radgen.plot.images import write_overlay

    if not np.isfinite(volume.array).any():
        return ""
    return write_overlay(scan, volume.array, path, label=name.replace("|", ", ")).name
