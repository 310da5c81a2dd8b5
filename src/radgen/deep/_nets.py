"""Small networks for crops of scans: a 3D one, and one that reads slices in their order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.deep._torch import torch

__all__ = ["NETWORKS", "augment", "build", "forward"]

NETWORKS = ("cnn", "slices", "slice-mean")
"""3D convolutions; slices by a bidirectional GRU; slices without their order."""


def build(network: str, channels: int, width: int, n_extra: int, dropout: float) -> Any:
    """Return the parts of a network, a ModuleDict of float32 weights.

    Parameters
    ----------
    network : {"cnn", "slices", "slice-mean"}
    channels, width : int
        Of the input, and of the first layer; later layers have two and four times as many.
    n_extra : int
        Columns of tables that join the features of the image before the last layer.
    dropout : float
        Before the last layer.
    """
    nn = torch().nn
    flat = network != "cnn"
    conv = nn.Conv2d if flat else nn.Conv3d
    layers: list[Any] = []
    sizes = (channels, width, 2 * width, 4 * width)
    for before, after in pairwise(sizes):
        kernel = 5 if before == channels and not layers else 3
        layers += [
            conv(before, after, kernel, stride=2, padding=kernel // 2),
            nn.GroupNorm(min(4, after), after),
            nn.ELU(),
        ]
    parts: dict[str, Any] = {"encode": nn.Sequential(*layers)}
    features = sizes[-1]
    if network == "slices":
        parts["order"] = nn.GRU(features, width * 2, batch_first=True, bidirectional=True)
        features = 4 * width
    parts["head"] = nn.Sequential(nn.Dropout(dropout), nn.Linear(features + n_extra, 1))
    return nn.ModuleDict(parts)


def forward(net: Any, network: str, crops: Any, extra: Any) -> Any:
    """Return raw scores, tensor (n,), of crops (n, channels, z, y, x) and extra columns."""
    library = torch()
    if network == "cnn":
        found = net["encode"](crops).mean(dim=(2, 3, 4))
    else:
        n, channels, depth = crops.shape[:3]
        single = crops.transpose(1, 2).reshape(n * depth, channels, *crops.shape[3:])
        # The strongest response of a slice: what a small lesion leaves of a mean is little.
        encoded = net["encode"](single).amax(dim=(2, 3)).reshape(n, depth, -1)
        if network == "slices":
            found = net["order"](encoded)[0].mean(dim=1)
        else:
            found = encoded.mean(dim=1)
    return net["head"](library.cat((found, extra), dim=1))[:, 0]


def augment(
    crops: Any,
    rng: np.random.Generator,
    *,
    flips: Sequence[int],
    rotate_deg: float,
    intensity: float,
) -> Any:
    """Return crops that are flipped, turned in their plane and changed in brightness at random.

    Parameters
    ----------
    crops : tensor float32 (n, channels, z, y, x)
        Mean 0 and SD 1 by channel.
    rng : numpy.random.Generator
        Draws.
    flips : sequence of int
        Axes that may be flipped: 0 = z, 1 = y, 2 = x.
    rotate_deg : float
        Largest angle about z.
    intensity : float
        SD of the log of a factor, and of a shift.

    Returns
    -------
    tensor
        Of the same shape; what comes from outside is 0.
    """
    library = torch()
    n = len(crops)
    turns = np.deg2rad(rng.uniform(-rotate_deg, rotate_deg, n))
    signs = np.ones((n, 3))
    for axis in flips:
        signs[:, axis] = rng.choice([-1.0, 1.0], n)
    if 0 in flips:
        rows = library.from_numpy(np.flatnonzero(signs[:, 0] < 0))
        crops = crops.index_copy(0, rows, library.flip(crops[rows], (2,)))
    if rotate_deg > 0 or {1, 2} & set(flips):
        crops = _moved(crops, turns, signs)
    if intensity > 0:
        shape = (n, crops.shape[1], 1, 1, 1)
        factor = np.exp(intensity * rng.normal(size=shape)).astype(np.float32)
        shift = (intensity * rng.normal(size=shape)).astype(np.float32)
        crops = crops * library.from_numpy(factor) + library.from_numpy(shift)
    return crops


def _moved(crops: Any, turns: NDArray[np.float64], signs: NDArray[np.float64]) -> Any:
    """Return crops turned about z and mirrored within their slices, all slices of one alike."""
    library = torch()
    n, channels, depth, height, width = crops.shape
    matrix = np.zeros((n, 2, 3))
    cos, sin = np.cos(turns), np.sin(turns)
    # Grid coordinates run from -1 to 1 on each axis: a turn is one of equal voxels, not of these.
    matrix[:, 0, 0], matrix[:, 0, 1] = cos, -sin * height / width
    matrix[:, 1, 0], matrix[:, 1, 1] = sin * width / height, cos
    matrix[:, :, :2] *= signs[:, [2, 1], None]
    flat = crops.reshape(n, channels * depth, height, width)
    functional = library.nn.functional
    grid = functional.affine_grid(
        library.from_numpy(matrix.astype(np.float32)), list(flat.shape), align_corners=False
    )
    return functional.grid_sample(flat, grid, align_corners=False).reshape(crops.shape)
