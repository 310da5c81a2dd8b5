"""Correct the bias field of MR scans."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from radgen.errors import FitError, InputError
from radgen.image._sitk import from_sitk, to_sitk
from radgen.types import ImageVolume, Mask

__all__ = ["correct_bias_field"]


def correct_bias_field(
    image: ImageVolume,
    mask: Mask | None = None,
    *,
    shrink: int = 4,
    n_iterations: Sequence[int] = (50, 50, 50, 50),
    convergence: float = 1e-3,
) -> ImageVolume:
    """Return the scan divided by its N4 bias field.

    Parameters
    ----------
    image : ImageVolume (n_z, n_y, n_x)
        An MR scan, values above zero inside the mask.
    mask : Mask or None
        Where the field is estimated; None is every voxel above Otsu's threshold.
    shrink : int
        The field is estimated on a grid coarser by this factor (never below one voxel).
    n_iterations : sequence of int
        Largest number of iterations at each level.
    convergence : float
        A level ends where the field changes by less.

    Returns
    -------
    ImageVolume
        float32, on the same grid.

    Raises
    ------
    InputError
        If the scan is a series, holds values that are not finite, or the mask is empty.
    FitError
        If N4 fails.

    References
    ----------
    Tustison et al. 2010, doi:10.1109/TMI.2010.2046908; SimpleITK's implementation is used.
    """
    import SimpleITK as sitk

    if image.array.ndim != 3 or not np.isfinite(image.array).all():
        raise InputError("N4 needs a single volume with finite values.")
    scan = to_sitk(image.array.astype(np.float32), image.geometry)
    if mask is not None:
        mask.require_on(image)
        if not mask.n_voxels:
            raise InputError(f"Mask {mask.region!r} is empty; N4 needs voxels to learn from.")
        region = to_sitk(mask.array.astype(np.uint8), mask.geometry)
    else:
        region = sitk.OtsuThreshold(scan, 0, 1, 200)
    factors = [max(1, min(shrink, size // 4)) for size in image.geometry.shape[::-1]]
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetMaximumNumberOfIterations([int(count) for count in n_iterations])
    n4.SetConvergenceThreshold(convergence)
    try:
        n4.Execute(sitk.Shrink(scan, factors), sitk.Shrink(region, factors))
        field = from_sitk(n4.GetLogBiasFieldAsImage(scan))
    except RuntimeError as error:
        raise FitError(
            "N4 could not estimate a bias field (too few voxels above zero in the mask, say). "
            f"SimpleITK says: {str(error).strip().splitlines()[-1]}"
        ) from error
    return image.with_array((image.array / np.exp(field)).astype(np.float32))
