"""Read scans and masks of any supported format, and write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from radgen.errors import FormatError, InputError, shown
from radgen.io._volumes import is_volume_file, read_volume, write_volume
from radgen.types import Geometry, ImageVolume, Mask

__all__ = ["read_image", "read_masks", "write_image", "write_mask"]

_QUANTITY = {"CT": ("HU", "HU"), "PT": ("activity", "Bq/mL"), "MR": ("signal", "a.u.")}
_FRACTION = 1e-3


def read_image(path: str | Path, *, modality: str = "", series: int | None = None) -> ImageVolume:
    """Return a scan on its own grid, in LPS millimetres.

    Parameters
    ----------
    path : str or Path
        A NIfTI (.nii, .nii.gz), NRRD or MetaImage file, a DICOM file, or a folder that holds
        one DICOM series.
    modality : str
        "CT", "MR", "PT" …; "" = as DICOM says, unknown for the other formats.
    series : int or None
        Where a folder holds several DICOM series: which one, counted from 1 as the error lists
        them.

    Returns
    -------
    ImageVolume
        float32 where exact, else float64.

    Raises
    ------
    FormatError
        If the file is missing, truncated, or of no known format; if slices are missing or
        doubled.
    InputError
        If the file holds a series over time.
    """
    place = Path(path)
    if place.is_dir() or (place.exists() and not is_volume_file(place)):
        from radgen.io.dicom import read_dicom

        return read_dicom(place, modality=modality, series=series)
    array, geometry = read_volume(place)
    if array.ndim == 4:
        raise InputError(
            f"{place}: a series of {array.shape[0]} volumes. Choose one volume and store it as a "
            "file of its own, or compute a map (perfusion, diffusion) from the series first."
        )
    quantity, unit = _QUANTITY.get(modality, ("signal", "a.u."))
    return ImageVolume(array, geometry, modality=modality, quantity=quantity, unit=unit)


def read_masks(
    path: str | Path,
    *,
    labels: Mapping[str, int | Sequence[int]] | None = None,
    reference: ImageVolume | None = None,
) -> dict[str, Mask]:
    """Return the regions of a mask file by name.

    Parameters
    ----------
    path : str or Path
        A label map (NIfTI, NRRD, MetaImage), a DICOM SEG or an RTSTRUCT.
    labels : mapping of str to int or sequence of int, or None
        Name of each region and the label values that form it. None: a map with the values 0 and
        one other gives ``{"region": …}``; a map with several labels gives ``label_1`` …; DICOM
        objects give the names of their segments or structures. For DICOM objects the values are
        segment or structure numbers.
    reference : ImageVolume or None
        The scan; needed for an RTSTRUCT, whose contours have no grid of their own.

    Returns
    -------
    dict of str to Mask
        On the mask's own grid. A region may be empty only where its label is named.

    Raises
    ------
    FormatError
        If the file cannot be read.
    InputError
        If values are fractions, or a named label does not occur.
    """
    place = Path(path)
    if place.is_dir() or (place.exists() and not is_volume_file(place)):
        from radgen.io.dicom_masks import read_dicom_masks

        return read_dicom_masks(place, labels=labels, reference=reference)
    array, geometry = read_volume(place)
    if array.ndim == 4:
        raise InputError(f"{place}: a mask has three axes; this file has shape {array.shape}.")
    return split_labels(_whole_numbers(array, place), geometry, labels, where=str(place))


def split_labels(
    array: NDArray[np.int64],
    geometry: Geometry,
    labels: Mapping[str, int | Sequence[int]] | None,
    *,
    where: str,
) -> dict[str, Mask]:
    """Return one mask a named label of a label map.

    Raises
    ------
    InputError
        If a named label does not occur; the message lists those that do.
    """
    found = [int(value) for value in np.unique(array) if value != 0]
    if labels is None:
        if not found:
            raise InputError(f"{where}: the mask is empty.")
        if len(found) == 1:
            return {"region": Mask(array == found[0], geometry, "region")}
        labels = {f"label_{value}": value for value in found}
    masks = {}
    for name, values in labels.items():
        wanted = [values] if isinstance(values, int) else [int(value) for value in values]
        missing = [value for value in wanted if value not in found]
        if len(missing) == len(wanted):
            raise InputError(
                f"{where}: no voxel has label {shown(missing)} (region {name!r}). "
                f"Labels that occur: {shown(found, 20) or 'none'}."
            )
        masks[name] = Mask(np.isin(array, wanted), geometry, name)
    return masks


def _whole_numbers(array: NDArray[np.generic], path: Path) -> NDArray[np.int64]:
    if array.dtype.kind in "biu":
        return array.astype(np.int64)
    values = np.asarray(array, dtype=np.float64)
    bad = ~np.isfinite(values)
    whole = np.where(bad, 0.0, np.rint(values))
    if bad.any():
        raise FormatError(
            f"The mask holds {int(bad.sum())} voxels without a value (NaN).", path=path
        )
    if np.abs(values - whole).max() > _FRACTION:
        raise InputError(
            f"{path}: the mask holds fractions between {values.min():.3g} and {values.max():.3g}. "
            "Threshold a probability map (0.5, say) and store whole labels."
        )
    return whole.astype(np.int64)


def write_image(volume: ImageVolume, path: str | Path) -> None:
    """Write a scan; the suffix (.nii.gz, .nrrd, .mha …) chooses the format."""
    write_volume(np.asarray(volume.array), volume.geometry, Path(path))


def write_mask(mask: Mask, path: str | Path) -> None:
    """Write a mask as 0 and 1; the suffix chooses the format."""
    write_volume(mask.array.astype(np.uint8), mask.geometry, Path(path))
