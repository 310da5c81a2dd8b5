"""From weights of voxels back to an image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError
from radgen.types import ImageVolume, Mask

__all__ = ["weight_map"]


def weight_map(weights: NDArray[Any], mask: Mask, *, standardise: bool = True) -> ImageVolume:
    """Return weights, sources or loadings of voxels as an image on the mask's grid.

    Parameters
    ----------
    weights : ndarray of float (n_voxels,)
        One value a voxel, in the C order of the mask's true voxels (``image.array[mask.array]``).
    mask : Mask
        Where the phenotypes were taken: a brain mask, an atlas lesion space.
    standardise : bool, default True
        Divide by the standard deviation of the weights (a z map, as is usual for components);
        zeros stay zero.

    Returns
    -------
    ImageVolume
        float64, NaN outside the mask; `radgen.io.write_image` writes it.

    Raises
    ------
    InputError
        If the number of weights is not that of the mask's voxels.

    Examples
    --------
    >>> from radgen.types import Geometry
    >>> inside = np.zeros((1, 2, 2), bool); inside[0, 0] = True
    >>> grid = Geometry(np.eye(4), (1, 2, 2))
    >>> weight_map(np.array([1.0, 3.0]), Mask(inside, grid), standardise=False).array[0, 0]
    array([1., 3.])
    """
    values = np.asarray(weights, dtype=np.float64).ravel()
    if len(values) != mask.n_voxels:
        raise InputError(
            f"{len(values)} weights were given for a mask of {mask.n_voxels} voxels. Weights are "
            "in the order of image.array[mask.array]."
        )
    spread = values.std()
    if standardise and spread > 0:
        values = values / spread
    array = np.full(mask.array.shape, np.nan)
    array[mask.array] = values
    return ImageVolume(
        array, mask.geometry, quantity="weight", unit="sd" if standardise else "a.u."
    )
