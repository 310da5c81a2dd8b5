"""Simulate tumours of two clones that live in different places, with biopsies of both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from radgen._core.rng import spawn
from radgen.errors import InputError
from radgen.types import Geometry, ImageVolume, Mask

__all__ = ["ClonalTumour", "simulate_clones"]


@dataclass(frozen=True, eq=False, slots=True)
class ClonalTumour:
    """One simulated patient.

    Attributes
    ----------
    sample : str
        Id.
    images : dict of str to ImageVolume
        "T1C" and "T2", on one grid.
    mask : Mask
        The tumour.
    clone : bool (n_z, n_y, n_x)
        Where the second clone (the mutant one) lives.
    biopsies : polars.DataFrame
        ``sample, biopsy, x, y, z`` (LPS millimetres), ``frame, mutant``.
    """

    sample: str
    images: dict[str, ImageVolume]
    mask: Mask
    clone: NDArray[np.bool_]
    biopsies: pl.DataFrame


def simulate_clones(
    n_patients: int,
    *,
    n_biopsies: int = 5,
    contrast: float = 1.0,
    patient_sd: float = 1.0,
    mixing: float = 1.0,
    spacing_mm: float = 2.0,
    size: int = 24,
    seed: int = 0,
) -> tuple[ClonalTumour, ...]:
    """Return tumours whose second clone is brighter on one image and coarser on the other.

    Parameters
    ----------
    n_patients : int
        How many.
    n_biopsies : int
        Biopsies of each, at random places of the tumour.
    contrast : float
        How much brighter the second clone is, in standard deviations of the noise; 0 = it cannot
        be seen.
    patient_sd : float
        Spread of brightness between patients, in the same unit: what a model can know a patient by.
    mixing : float
        0 = a patient has one clone alone; 1 = about half of each.
    spacing_mm : float
        Voxel size.
    size : int
        Voxels along each axis.
    seed : int
        Of everything.

    Returns
    -------
    tuple of ClonalTumour
        One a patient.

    Raises
    ------
    InputError
        If a number is out of range.
    """
    if n_patients < 1 or n_biopsies < 1 or size < 12 or not 0 <= mixing <= 1:
        raise InputError(
            "Needed: a patient and a biopsy or more, 12 voxels or more along an axis, mixing from "
            "0 to 1."
        )
    out = []
    for k in range(n_patients):
        rng = spawn(seed, "clones", k)
        geometry = Geometry.from_spacing(
            (size,) * 3,
            (spacing_mm,) * 3,
            tuple(rng.uniform(-40, 40, 3)),  # type: ignore[arg-type]
        )
        at = np.stack(np.meshgrid(*[np.arange(size)] * 3, indexing="ij"), axis=-1)
        at = (at - (size - 1) / 2) / ((size - 1) / 2)
        inside = np.square(at / rng.uniform(0.7, 0.95, 3)).sum(axis=-1) <= 1
        way = rng.normal(size=3)
        way /= np.linalg.norm(way)
        # A plane through the tumour parts the clones; far off, one of them has it all.
        shift = rng.choice((-1.0, 1.0)) * (2.0 if rng.random() > mixing else rng.uniform(0, 0.25))
        clone = inside & (at @ way > shift)
        images = _images(clone, contrast, patient_sd, rng)
        places = np.argwhere(inside)
        chosen = places[rng.choice(len(places), n_biopsies, replace=False)]
        x, y, z = geometry.to_world(chosen.astype(np.float64)).T
        sample = f"P{k + 1:03d}"
        biopsies = pl.DataFrame(
            {
                "sample": [sample] * n_biopsies,
                "biopsy": [f"{sample}-{j + 1}" for j in range(n_biopsies)],
                "x": x, "y": y, "z": z, "frame": ["LPS"] * n_biopsies,
                "mutant": clone[tuple(chosen.T)].astype(int).tolist(),
            }
        )  # fmt: skip
        volumes = {
            name: ImageVolume(array.astype(np.float32), geometry, "MR")
            for name, array in images.items()
        }
        out.append(ClonalTumour(sample, volumes, Mask(inside, geometry, "tumour"), clone, biopsies))
    return tuple(out)


def _images(
    clone: NDArray[np.bool_], contrast: float, patient_sd: float, rng: np.random.Generator
) -> dict[str, NDArray[np.float64]]:
    """Return two images: the clone brightens one and darkens the other, noise has a grain."""

    def grain(width: float) -> NDArray[np.float64]:
        field = gaussian_filter(rng.normal(size=clone.shape), width)
        return np.asarray(field / field.std())

    return {
        "T1C": 100 + 10 * (contrast * clone + patient_sd * rng.normal() + grain(1.0)),
        "T2": 200 + 20 * (-0.7 * contrast * clone + patient_sd * rng.normal() + grain(1.5)),
    }
