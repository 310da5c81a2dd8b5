"""Grey level co-occurrence matrix (25 features, IBSI LFYI)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radgen.features._cells import Cells, cells_of, entropy
from radgen.features._merge import by_direction
from radgen.features._registry import BY_DIRECTION, FeatureSpec, Measured, add
from radgen.features._view import View

__all__ = ["glcm", "glcm_features"]

_FLAT = "there is one grey level"
_PAIRS = "no voxel of the region has a neighbour in it"

SPECS = (
    FeatureSpec("Joint maximum", "GYBY", "", _PAIRS),
    FeatureSpec("Joint average", "60VM", "", _PAIRS),
    FeatureSpec("Joint variance", "UR99", "", _PAIRS),
    FeatureSpec("Joint entropy", "TU9B", "bit", _PAIRS),
    FeatureSpec("Difference average", "TF7R", "", _PAIRS),
    FeatureSpec("Difference variance", "D3YU", "", _PAIRS),
    FeatureSpec("Difference entropy", "NTRS", "bit", _PAIRS),
    FeatureSpec("Sum average", "ZGXS", "", _PAIRS),
    FeatureSpec("Sum variance", "OEEB", "", _PAIRS),
    FeatureSpec("Sum entropy", "P6QZ", "bit", _PAIRS),
    FeatureSpec("Angular second moment", "8ZQL", "", _PAIRS),
    FeatureSpec("Contrast", "ACUI", "", _PAIRS),
    FeatureSpec("Dissimilarity", "8S9J", "", _PAIRS),
    FeatureSpec("Inverse difference", "IB1Z", "", _PAIRS),
    FeatureSpec("Normalised inverse difference", "NDRX", "", _PAIRS),
    FeatureSpec("Inverse difference moment", "WF0Z", "", _PAIRS),
    FeatureSpec("Normalised inverse difference moment", "1QCO", "", _PAIRS),
    FeatureSpec("Inverse variance", "E8JP", "", _PAIRS),
    FeatureSpec("Correlation", "NI2N", "", f"{_FLAT}, or {_PAIRS}"),
    FeatureSpec("Autocorrelation", "QWB0", "", _PAIRS),
    FeatureSpec("Cluster tendency", "DG8W", "", _PAIRS),
    FeatureSpec("Cluster shade", "7NFM", "", _PAIRS),
    FeatureSpec("Cluster prominence", "AE86", "", _PAIRS),
    FeatureSpec("Information correlation 1", "R8DG", "", f"{_FLAT}, or {_PAIRS}"),
    FeatureSpec("Information correlation 2", "JN9H", "", _PAIRS),
)
NAMES = tuple(spec.name for spec in SPECS)


def glcm_features(cells: Cells, n_levels: int) -> dict[str, NDArray[np.float64]]:
    """Return the 25 features of symmetric co-occurrence matrices.

    Parameters
    ----------
    cells : Cells
        Filled cells of symmetric matrices.
    n_levels : int
        Number of grey levels, for the normalised inverse differences.

    Returns
    -------
    dict of str to ndarray of float64 (n_groups,)
        One value a matrix.
    """
    group, i, j = cells.group, cells.i, cells.j
    p = cells.count / cells.per_group(cells.count)[group]
    px = cells.marginal(i, p)
    level = np.arange(px.shape[1], dtype=np.float64)
    mean = px @ level
    variance = np.sum(px * (level - mean[:, None]) ** 2, axis=1)
    p_gap, p_sum = cells.marginal(np.abs(i - j), p), cells.marginal(i + j, p)
    gap = np.arange(p_gap.shape[1], dtype=np.float64)
    total = np.arange(p_sum.shape[1], dtype=np.float64)
    mean_gap = p_gap @ gap
    deviation = total - 2.0 * mean[:, None]
    squared = deviation**2
    cluster = [np.sum(p_sum * squared, axis=1), np.sum(p_sum * squared * deviation, axis=1)]
    cluster.append(np.sum(p_sum * squared * squared, axis=1))
    start = np.searchsorted(group, np.arange(cells.n_groups))
    joint = cells.per_group(entropy(p))
    single = entropy(px).sum(axis=1)
    auto = cells.per_group(p * i * j)
    flat = variance <= 1e-14 * np.maximum(mean, 1.0) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = np.where(flat, np.nan, (auto - mean**2) / variance)
        information = np.where(flat, np.nan, (joint - 2.0 * single) / single)
    inverse = np.divide(1.0, gap**2, out=np.zeros_like(gap), where=gap > 0)
    found = (
        np.maximum.reduceat(p, start),
        mean,
        variance,
        joint,
        mean_gap,
        np.sum(p_gap * (gap - mean_gap[:, None]) ** 2, axis=1),
        entropy(p_gap).sum(axis=1),
        2.0 * mean,
        cluster[0],
        entropy(p_sum).sum(axis=1),
        cells.per_group(p * p),
        p_gap @ gap**2,
        mean_gap,
        p_gap @ (1.0 / (1.0 + gap)),
        p_gap @ (1.0 / (1.0 + gap / n_levels)),
        p_gap @ (1.0 / (1.0 + gap**2)),
        p_gap @ (1.0 / (1.0 + (gap / n_levels) ** 2)),
        p_gap @ inverse,
        correlation,
        auto,
        *cluster,
        information,
        np.sqrt(np.maximum(0.0, 1.0 - np.exp(-2.0 * (2.0 * single - joint)))),
    )
    return dict(zip(NAMES, found, strict=True))


@add("glcm", version=1, specs=SPECS, ibsi_code="LFYI", aggregations=BY_DIRECTION)
def glcm(view: View) -> Measured:
    """Return the features of grey level co-occurrence matrices.

    Parameters
    ----------
    view : View
        Image and region.

    Returns
    -------
    mapping
        Values by aggregation code.

    Notes
    -----
    Matrices are symmetric. Averages leave out matrices without pairs; a correlation of a
    matrix with one grey level is undefined and left out as well.

    References
    ----------
    IBSI reference manual, section 3.6 (LFYI).
    """
    n_levels = view.grey.n_levels

    def features(matrices: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        return glcm_features(cells_of(matrices + matrices.swapaxes(1, 2)), n_levels)

    return by_direction(view, "glcm", features, NAMES, distance=view.settings.distance)
