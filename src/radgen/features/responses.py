"""Filter responses of a whole scan, as images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from radgen.features._filtering import filter_jobs, measured_everywhere
from radgen.features.extraction import prepared_image
from radgen.features.settings import ExtractionSettings
from radgen.types import ImageVolume

__all__ = ["response_maps"]


def response_maps(
    image: ImageVolume, *, settings: ExtractionSettings
) -> Iterator[tuple[str, ImageVolume]]:
    """Yield the responses of a scan to the filters of the settings, one after another.

    Parameters
    ----------
    image : ImageVolume (n_z, n_y, n_x)
        The scan.
    settings : ExtractionSettings
        Rounding and resampling, which come first, and the filters.

    Yields
    ------
    tuple of (str, ImageVolume)
        Name as in the column ``filter`` of the long table, and the response on the whole grid
        of the resampled scan; NaN where the scan has no measurement.

    Raises
    ------
    InputError
        If the image is a series, or a filter does not fit it.

    Examples
    --------
    >>> from radgen.features import preset
    >>> from radgen.types import Geometry
    >>> scan = ImageVolume(np.ones((4, 4, 4)), Geometry.from_spacing((4, 4, 4)))
    >>> [name for name, _ in response_maps(scan, settings=preset("ibsi2-p1-2.b"))]
    ['log_sigma_mm=5_3D']
    """
    resampled = prepared_image(image, settings)
    source = measured_everywhere(resampled)
    z, y, x = source.array.shape
    everything = (slice(0, z), slice(0, y), slice(0, x))
    missing = np.isnan(resampled.array) if source is not resampled else None
    for given in settings.filters:
        for name, array in filter_jobs(given)(source, everything).items():
            values = array if missing is None else np.where(missing, np.nan, array)
            yield name, source.with_array(values, quantity=name, unit="a.u.")
