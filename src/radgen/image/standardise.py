"""Histogram standardisation learnt over the scans of a cohort."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from radgen.errors import InputError
from radgen.types import ImageVolume, Mask

__all__ = ["HistogramStandardiser"]

_DEFAULT = (1.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 99.0)


class HistogramStandardiser(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Map intensities piecewise linearly so that percentiles agree over scans (Nyúl).

    It learns from several scans, so it belongs inside the cross-validation.

    Parameters
    ----------
    percentiles : sequence of float
        Rising percentiles in [0, 100] used as landmarks.
    low : float
        Standard intensity of the first landmark.
    high : float
        Standard intensity of the last landmark.

    Attributes
    ----------
    standard_scale_ : ndarray of float64 (n_landmarks,)
        Mean landmark positions of the scans seen, from `low` to `high`.
    n_features_in_ : int
        Number of values a row had in `fit`.

    Notes
    -----
    Rows of ``X`` are scans, columns are intensities sampled in the region (the order within a
    row does not matter). `fit_images` and `transform_image` do the same for volumes. A row of
    a single value is mapped to `low`.

    References
    ----------
    Nyúl, Udupa & Zhang 2000, doi:10.1109/42.836373.

    Examples
    --------
    >>> rows = np.array([[0.0, 1.0, 2.0], [10.0, 30.0, 50.0]])
    >>> HistogramStandardiser((0, 50, 100)).fit_transform(rows).tolist()
    [[0.0, 50.0, 100.0], [0.0, 50.0, 100.0]]
    """

    def __init__(
        self, percentiles: Sequence[float] = _DEFAULT, low: float = 0.0, high: float = 100.0
    ) -> None:
        self.percentiles = percentiles
        self.low = low
        self.high = high

    def fit(self, X: Any, y: Any = None) -> HistogramStandardiser:
        """Learn the standard scale from rows of intensities.

        Parameters
        ----------
        X : array-like (n_scans, n_values)
            Finite intensities.
        y : None
            Ignored.

        Returns
        -------
        HistogramStandardiser
            The fitted estimator.
        """
        rows = validate_data(self, X, dtype=np.float64)
        return self._learn(np.percentile(rows, self._checked(), axis=1).T)

    def transform(self, X: Any) -> NDArray[np.float64]:
        """Return rows of intensities on the standard scale.

        Parameters
        ----------
        X : array-like (n_scans, n_values)
            Finite intensities; each row is mapped by its own landmarks.

        Returns
        -------
        ndarray of float64 (n_scans, n_values)
            Values below the first and above the last landmark follow the outermost segments.
        """
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        landmarks = np.percentile(rows, self._checked(), axis=1).T
        return np.stack([self._map(row, marks) for row, marks in zip(rows, landmarks, strict=True)])

    def fit_images(
        self, images: Sequence[ImageVolume], masks: Sequence[Mask] | None = None
    ) -> HistogramStandardiser:
        """Learn the standard scale from scans.

        Parameters
        ----------
        images : sequence of ImageVolume
            Scans of one kind (T1-weighted, say).
        masks : sequence of Mask or None
            The region of each scan whose histogram counts; None = all measured voxels.

        Returns
        -------
        HistogramStandardiser
            The fitted estimator.

        Raises
        ------
        InputError
            If there is no scan, or a region holds no measured voxel.
        """
        if not images:
            raise InputError("Histogram standardisation needs at least one scan.")
        regions: Sequence[Mask | None] = masks if masks is not None else [None] * len(images)
        marks = [
            self._landmarks(scan, region) for scan, region in zip(images, regions, strict=True)
        ]
        return self._learn(np.stack(marks))

    def transform_image(self, image: ImageVolume, mask: Mask | None = None) -> ImageVolume:
        """Return a scan on the standard scale.

        Parameters
        ----------
        image : ImageVolume
            The scan; NaN stays NaN.
        mask : Mask or None
            The region whose histogram sets the landmarks; None = all measured voxels.

        Returns
        -------
        ImageVolume
            Same dtype, unit "a.u.".
        """
        check_is_fitted(self, "standard_scale_")
        marks = self._landmarks(image, mask)
        mapped = self._map(np.asarray(image.array, dtype=np.float64), marks)
        return image.with_array(mapped.astype(image.array.dtype), unit="a.u.")

    def _checked(self) -> NDArray[np.float64]:
        wanted = np.asarray(self.percentiles, dtype=np.float64)
        rising = wanted.ndim == 1 and wanted.size >= 2 and bool((np.diff(wanted) > 0).all())
        if not rising or wanted[0] < 0 or wanted[-1] > 100:
            raise InputError(f"percentiles rise within [0, 100], not {self.percentiles}.")
        if not self.high > self.low:
            raise InputError(f"high ({self.high}) must lie above low ({self.low}).")
        return wanted

    def _landmarks(self, image: ImageVolume, mask: Mask | None) -> NDArray[np.float64]:
        array = image.array
        if mask is not None:
            mask.require_on(image)
            array = array[..., mask.array]
        values = array[np.isfinite(array)]
        if values.size == 0:
            raise InputError("A scan has no measured voxel in its region.")
        return np.asarray(np.percentile(values.astype(np.float64), self._checked()))

    def _learn(self, landmarks: NDArray[np.float64]) -> HistogramStandardiser:
        self._checked()
        span = landmarks[:, -1:] - landmarks[:, :1]
        used = span[:, 0] > 0
        if used.any():
            share = (landmarks[used] - landmarks[used, :1]) / span[used]
            scale = self.low + (self.high - self.low) * share.mean(axis=0)
        else:
            scale = np.linspace(self.low, self.high, landmarks.shape[1])
        self.standard_scale_ = scale
        return self

    def _map(self, values: NDArray[np.float64], marks: NDArray[np.float64]) -> NDArray[np.float64]:
        scale = self.standard_scale_
        keep = np.concatenate([[True], np.diff(marks) > 0])
        x, y = marks[keep], scale[keep]
        if x.size < 2:
            return values - marks[0] + scale[0]
        out = np.interp(values, x, y)
        below, above = values < x[0], values > x[-1]
        out[below] = y[0] + (values[below] - x[0]) * (y[1] - y[0]) / (x[1] - x[0])
        out[above] = y[-1] + (values[above] - x[-1]) * (y[-1] - y[-2]) / (x[-1] - x[-2])
        return np.asarray(out)
