"""Habitats: kinds of tissue in a tumour, learnt over the voxels of a cohort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import entr
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from radgen._core.naming import require_choice
from radgen.errors import InputError
from radgen.types import Geometry, ImageVolume, Mask

__all__ = ["HabitatMap", "HabitatModel", "heterogeneity"]


@dataclass(frozen=True, eq=False, slots=True)
class HabitatMap:
    """Which habitat each voxel of a region belongs to.

    Attributes
    ----------
    labels : ndarray of uint8 (n_z, n_y, n_x)
        1..n_habitats inside the region, 0 outside and where a sequence is not measured.
    geometry : Geometry
        The grid.
    n_habitats : int
        Number of habitats of the model; not all need occur.
    """

    labels: NDArray[np.uint8]
    geometry: Geometry
    n_habitats: int

    def mask(self, habitat: int) -> Mask:
        """Return the region of one habitat (1..n_habitats); it can be empty."""
        if not 1 <= habitat <= self.n_habitats:
            raise InputError(f"Habitats are 1 to {self.n_habitats}, not {habitat}.")
        return Mask(self.labels == habitat, self.geometry, f"habitat_{habitat}")


class HabitatModel(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Cluster voxels of co-registered sequences into habitats, the same for all patients.

    It learns from several patients, so it belongs inside the cross-validation.

    Parameters
    ----------
    n_habitats : int
        Number of habitats.
    method : {"gmm", "kmeans"}
        Gaussian mixture with full covariances, or k-means.
    n_init : int
        Starts, of which the best is kept.
    max_voxels : int
        With `fit_images`: voxels drawn from each patient, so that large tumours do not rule.
    random_state : int, RandomState or None
        Source of randomness.

    Attributes
    ----------
    centres_ : ndarray of float64 (n_habitats, n_sequences)
        Mean of each habitat in units of the images, rising in the first sequence.
    mean_, scale_ : ndarray of float64 (n_sequences,)
        Values were centred and divided by these before clustering.
    n_features_in_ : int
        Number of sequences.

    Notes
    -----
    Rows of ``X`` are voxels, columns are sequences. Habitats are numbered by their mean in the
    first sequence, so that numbers mean the same after every fit. Intensities must be comparable
    between patients: normalise first.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> voxels = np.concatenate([rng.normal(0, 1, (50, 2)), rng.normal(9, 1, (50, 2))])
    >>> model = HabitatModel(n_habitats=2, random_state=0).fit(voxels)
    >>> np.bincount(model.predict(voxels)).tolist()
    [50, 50]
    """

    def __init__(
        self,
        n_habitats: int = 3,
        *,
        method: Literal["gmm", "kmeans"] = "gmm",
        n_init: int = 5,
        max_voxels: int = 2000,
        random_state: Any = None,
    ) -> None:
        self.n_habitats = n_habitats
        self.method = method
        self.n_init = n_init
        self.max_voxels = max_voxels
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> HabitatModel:
        """Learn the habitats from voxels.

        Parameters
        ----------
        X : array-like (n_voxels, n_sequences)
            Finite intensities.
        y : None
            Ignored.

        Returns
        -------
        HabitatModel
            The fitted estimator.
        """
        require_choice(self.method, ("gmm", "kmeans"), what="habitat method")
        if self.n_habitats < 1 or self.n_habitats > 255:
            raise InputError(f"The number of habitats is 1 to 255, not {self.n_habitats}.")
        rows = validate_data(self, X, dtype=np.float64, ensure_min_samples=max(2, self.n_habitats))
        self.mean_ = rows.mean(axis=0)
        spread = rows.std(axis=0)
        self.scale_ = np.where(spread > 0, spread, 1.0)
        scaled = (rows - self.mean_) / self.scale_
        random = check_random_state(self.random_state)
        if self.method == "gmm":
            self._model = GaussianMixture(
                self.n_habitats, n_init=self.n_init, random_state=random, reg_covar=1e-4
            ).fit(scaled)
            centres = self._model.means_
        else:
            self._model = KMeans(self.n_habitats, n_init=self.n_init, random_state=random).fit(
                scaled
            )
            centres = self._model.cluster_centers_
        # the sequences after the first break ties
        self._order = np.lexsort(centres.T[::-1])
        self.centres_ = centres[self._order] * self.scale_ + self.mean_
        return self

    def transform(self, X: Any) -> NDArray[np.float64]:
        """Return how probably each voxel belongs to each habitat.

        Parameters
        ----------
        X : array-like (n_voxels, n_sequences)
            Finite intensities.

        Returns
        -------
        ndarray of float64 (n_voxels, n_habitats)
            Rows sum to 1; with k-means they are 0 and 1.
        """
        scaled = self._scaled(X)
        if self.method == "gmm":
            return np.asarray(self._model.predict_proba(scaled)[:, self._order])
        return np.eye(self.n_habitats)[:, self._order][self._model.predict(scaled)]

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Return the habitat of each voxel, counted from 0.

        Parameters
        ----------
        X : array-like (n_voxels, n_sequences)
            Finite intensities.

        Returns
        -------
        ndarray of int64 (n_voxels,)
            0..n_habitats - 1.
        """
        return np.asarray(self.transform(X).argmax(axis=1), dtype=np.int64)

    def fit_images(
        self, scans: Sequence[Sequence[ImageVolume]], masks: Sequence[Mask]
    ) -> HabitatModel:
        """Learn the habitats from the tumours of a cohort.

        Parameters
        ----------
        scans : sequence of sequence of ImageVolume
            For each patient the sequences, in the same order, on one grid.
        masks : sequence of Mask
            The tumour of each patient, on that grid.

        Returns
        -------
        HabitatModel
            The fitted estimator.

        Raises
        ------
        GeometryError
            If sequences and mask of a patient do not lie on one grid.
        InputError
            If there is no patient, or a tumour holds no voxel measured in all sequences.
        """
        if not scans:
            raise InputError("Habitats need at least one patient.")
        random = check_random_state(self.random_state)
        drawn = []
        for images, mask in zip(scans, masks, strict=True):
            rows, inside = _voxels(images, mask)
            if not inside.any():
                raise InputError(f"Region {mask.region!r} has no voxel measured in all sequences.")
            if len(rows) > self.max_voxels:
                rows = rows[np.sort(random.choice(len(rows), self.max_voxels, replace=False))]
            drawn.append(rows)
        return self.fit(np.concatenate(drawn))

    def label(self, images: Sequence[ImageVolume], mask: Mask) -> HabitatMap:
        """Return the habitats of one tumour.

        Parameters
        ----------
        images : sequence of ImageVolume
            The sequences, in the order of the fit, on one grid.
        mask : Mask
            The tumour, on that grid.

        Returns
        -------
        HabitatMap
            On the same grid.

        Raises
        ------
        GeometryError
            If sequences and mask do not lie on one grid.
        """
        check_is_fitted(self, "centres_")
        rows, inside = _voxels(images, mask)
        labels = np.zeros(mask.array.shape, dtype=np.uint8)
        if len(rows):
            labels[inside] = self.predict(rows) + 1
        labels.setflags(write=False)
        return HabitatMap(labels, mask.geometry, self.n_habitats)

    def _scaled(self, X: Any) -> NDArray[np.float64]:
        check_is_fitted(self, "centres_")
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        return np.asarray((rows - self.mean_) / self.scale_)


def heterogeneity(habitats: HabitatMap) -> dict[str, float]:
    """Return how a tumour is made up of habitats and how they mix.

    Parameters
    ----------
    habitats : HabitatMap
        Habitats of one tumour.

    Returns
    -------
    dict of str to float
        ``share_<k>`` of the volume; ``parts_<k>``, the number of connected parts;
        ``entropy``, Shannon entropy of the shares over its largest value (0 one habitat, 1 all
        equal; NaN for a model of one habitat); ``simpson``, the chance that two voxels differ;
        ``mixing``, the share of face-to-face neighbours that differ, over the share expected
        if voxels were shuffled (1 = no order, towards 0 = large blocks; NaN where one habitat
        occurs). All NaN, and no parts, for an empty map.

    Examples
    --------
    >>> halves = np.repeat([[[1, 1, 2, 2]]], 4, axis=1).astype(np.uint8)
    >>> found = heterogeneity(HabitatMap(halves, Geometry.from_spacing((1, 4, 4)), 2))
    >>> found["entropy"], round(found["mixing"], 3)
    (1.0, 0.312)
    """
    labels, count = habitats.labels, habitats.n_habitats
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1 : count + 1].astype(np.float64)
    total = sizes.sum()
    shares = sizes / total if total else np.full(count, np.nan)
    out = {f"share_{k + 1}": float(share) for k, share in enumerate(shares)}
    touch = np.ones((3, 3, 3))
    for k in range(1, count + 1):
        out[f"parts_{k}"] = float(ndimage.label(labels == k, touch)[1])
    out["entropy"] = float(entr(shares).sum() / np.log(count)) if count > 1 else float("nan")
    out["simpson"] = float(1.0 - (shares**2).sum())
    differ = pairs = 0
    for axis in range(3):
        line = np.moveaxis(labels, axis, 0)
        left, right = line[1:], line[:-1]
        both = (left > 0) & (right > 0)
        pairs += int(both.sum())
        differ += int((both & (left != right)).sum())
    expected = out["simpson"] * total / (total - 1) if total > 1 else 0.0
    out["mixing"] = float(differ / pairs / expected) if pairs and expected > 0 else float("nan")
    return out


def _voxels(
    images: Sequence[ImageVolume], mask: Mask
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return rows of intensities (n_voxels, n_sequences) and where they lie."""
    if not images:
        raise InputError("Habitats need at least one sequence.")
    inside = np.array(mask.array)
    for image in images:
        mask.require_on(image)
        if image.array.ndim != 3:
            raise InputError("A sequence is one volume (z, y, x), not a series.")
        inside &= np.isfinite(image.array)
    return np.stack([image.array[inside] for image in images], axis=1).astype(np.float64), inside
