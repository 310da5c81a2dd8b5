"""Where a network looks: maps on the scan's own grid."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen.deep._nets import forward
from radgen.deep._torch import seeded
from radgen.deep.images import ImageNetwork
from radgen.errors import InputError
from radgen.image.resample import resample_to
from radgen.types import Geometry, ImageVolume, SampleArrays

__all__ = ["localisation_score", "saliency_map"]

FloatArray = NDArray[np.float64]
METHODS = ("occlusion", "gradient")


def saliency_map(
    network: ImageNetwork,
    arrays: SampleArrays,
    sample: str,
    *,
    image: ImageVolume | None = None,
    extra: Any = None,
    method: Literal["occlusion", "gradient"] = "occlusion",
    patch: int = 8,
    step: int = 4,
) -> ImageVolume:
    """Return how much each place of a sample's crop raises the score of a network.

    Parameters
    ----------
    network : ImageNetwork
        Fitted.
    arrays : SampleArrays
        Crops with their grids; the sample need not have trained the network.
    sample : str
        Which of them.
    image : ImageVolume or None
        The scan: the map is put on its grid, NaN beyond the crop. None = the grid of the crop.
    extra : float64 (n_extra,) or None
        Columns beside the crop, where the network has some; None = their training means.
    method : {"occlusion", "gradient"}
        The fall of the score when a cube is set to 0 (the mean of a crop), averaged over the
        cubes that hold a voxel; or the smoothed gradient times the value.
    patch, step : int
        Side of the cubes and distance of their centres, in voxels of the crop.

    Returns
    -------
    ImageVolume
        Positive where the place speaks for class 1, a high value or hazard. Unit: log odds, log
        hazard, or the unit of the outcome.

    Raises
    ------
    InputError
        If there is no such sample, crops have no grids, or a setting does not fit.

    Notes
    -----
    A map says what this network used for this scan. That is no proof that the place matters to the
    outcome: look at the evaluation first, a network at chance has maps, too.

    References
    ----------
    Zeiler and Fergus 2014, doi:10.1007/978-3-319-10590-1_53 (occlusion). Simonyan et al. 2014,
    arXiv:1312.6034 (gradients). Adebayo et al. 2018, arXiv:1810.03292 (why to distrust them).
    """
    require_choice(method, METHODS, what="method")
    if sample not in arrays.samples:
        raise InputError(f"The crops have no sample {sample!r}.")
    if arrays.affines is None or arrays.layout != "crops":
        raise InputError("A map needs crops with their grids (radgen deep crops).")
    if not 1 <= step <= patch:
        raise InputError("Cubes may not leave gaps: step is at least 1 and at most patch.")
    row = arrays.samples.index(sample)
    values = np.array(arrays.values[row])
    facts = network.mean_ if extra is None else np.asarray(extra, dtype=np.float64)
    if facts.shape != (network.n_extra_,):
        raise InputError(f"Beside the crop the network takes {network.n_extra_} columns.")
    make = _occluded if method == "occlusion" else _gradient
    found = make(network, values, facts, patch, step)
    if network.scale_.kind == "continuous":
        found = found * network.scale_.spread
    grid = Geometry(np.array(arrays.affines[row]), found.shape)
    unit = {"binary": "log odds", "censored": "log hazard", "continuous": "a.u."}
    volume = ImageVolume(
        found.astype(np.float32), grid, quantity=f"{method} map", unit=unit[network.scale_.kind]
    )
    return volume if image is None else resample_to(volume, image.geometry)


def _occluded(
    network: ImageNetwork, values: NDArray[np.float32], facts: FloatArray, patch: int, step: int
) -> FloatArray:
    shape = values.shape[1:]
    starts = [sorted({*range(0, max(n - patch, 0) + 1, step), max(n - patch, 0)}) for n in shape]
    places = [
        (slice(z, z + patch), slice(y, y + patch), slice(x, x + patch))
        for z in starts[0]
        for y in starts[1]
        for x in starts[2]
    ]
    whole = _scores(network, values[None], facts)[0]
    total, count = np.zeros(shape), np.zeros(shape)
    for k in range(0, len(places), 64):
        batch = np.repeat(values[None], len(places[k : k + 64]), axis=0)
        for crop, place in zip(batch, places[k : k + 64], strict=True):
            crop[(slice(None), *place)] = 0
        for place, score in zip(places[k : k + 64], _scores(network, batch, facts), strict=True):
            total[place] += whole - score
            count[place] += 1
    return np.asarray(total / count)


def _scores(network: ImageNetwork, crops: NDArray[np.float32], facts: FloatArray) -> FloatArray:
    columns = np.repeat(network._standard(facts[None]), len(crops), axis=0)
    with seeded(0):
        return network._scores(crops, columns)


def _gradient(
    network: ImageNetwork, values: NDArray[np.float32], facts: FloatArray, patch: int, step: int
) -> FloatArray:
    from scipy.ndimage import uniform_filter

    with seeded(0) as library:
        network.net_.eval()
        crop = library.from_numpy(values[None]).requires_grad_(True)
        columns = library.from_numpy(network._standard(facts[None]))
        forward(network.net_, network.network, crop, columns).sum().backward()
        product = (crop.grad * crop.detach())[0].sum(dim=0).numpy().astype(np.float64)
    return np.asarray(uniform_filter(product, patch, mode="constant"))


def localisation_score(saliency: ImageVolume, region: Any) -> float:
    """Return the share of the positive part of a map that lies in a region.

    Parameters
    ----------
    saliency : ImageVolume
        From `saliency_map`; NaN counts as nothing.
    region : Mask
        On the same grid.

    Returns
    -------
    float
        From 0 to 1; NaN where no place raises the score. A map that knows nothing has the share of
        the crop that the region fills.

    Raises
    ------
    GeometryError
        If the grids differ.

    References
    ----------
    Wang et al. 2020, doi:10.1109/CVPRW50498.2020.00020 (energy-based pointing game).
    """
    region.require_on(saliency)
    positive = np.maximum(np.nan_to_num(saliency.array.astype(np.float64)), 0)
    total = positive.sum()
    return float(positive[region.array].sum() / total) if total > 0 else float("nan")
