"""Diffusion-weighted signals: ADC, kurtosis, incoherent motion, tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen._core.naming import require_choice
from radgen.errors import InputError
from radgen.functional._least_squares import Model, fit_curves

__all__ = [
    "DIFFUSION_UNITS",
    "apparent_diffusion",
    "diffusion_kurtosis",
    "diffusion_tensor",
    "incoherent_motion",
]

Floats = NDArray[np.float64]

DIFFUSION_UNITS: Mapping[str, str] = {
    "ADC": "mm2/s", "S0": "a.u.", "D": "mm2/s", "K": "1", "D*": "mm2/s", "f": "1", "FA": "1",
    "MD": "mm2/s", "AD": "mm2/s", "RD": "mm2/s",
}  # fmt: skip
"""Name and unit of each parameter."""

_B0 = 50.0
_FASTEST = 0.5


def apparent_diffusion(
    signals: ArrayLike,
    b_values: ArrayLike,
    *,
    method: Literal["weighted", "nonlinear"] = "weighted",
) -> dict[str, Floats]:
    """Return the apparent diffusion coefficient of one exponential.

    Parameters
    ----------
    signals : array_like of float (n_voxels, n_images)
        Diffusion-weighted signals; several directions of one b-value are taken together.
    b_values : array_like of float (n_images,)
        s/mm2, two different ones or more.
    method : {"weighted", "nonlinear"}
        "weighted": straight line through the logarithms, weighted by the squared signal that the
        unweighted line predicts. "nonlinear": least squares of the signals.

    Returns
    -------
    dict of str to ndarray of float64 (n_voxels,)
        "ADC" in mm2/s and "S0". NaN where fewer than two b-values have a positive signal.

    Raises
    ------
    InputError
        If shapes do not fit or all b-values are equal.

    References
    ----------
    Le Bihan et al. 1986, doi:10.1148/radiology.161.2.3763909; Salvador et al. 2005,
    doi:10.1002/hbm.20076 (weights).

    Examples
    --------
    >>> import numpy as np
    >>> b = np.array([0.0, 500.0, 1000.0])
    >>> found = apparent_diffusion(1000.0 * np.exp(-b * 0.0012)[None], b)
    >>> float(found["ADC"][0].round(7))
    0.0012
    """
    require_choice(method, ("weighted", "nonlinear"), what="ADC method")
    data, b = _checked(signals, b_values, at_least=2)
    weights = _log_fit(data, np.column_stack([np.ones_like(b), -b]))
    with np.errstate(over="ignore"):
        found = {"ADC": weights[:, 1], "S0": np.exp(weights[:, 0])}
    if method == "weighted":
        return found

    def model(parameters: Floats, _rows: NDArray[np.intp]) -> tuple[Floats, Floats]:
        decay = np.exp(-parameters[:, 1:] * 1e-3 * b)
        curve = parameters[:, :1] * decay
        return curve, np.stack([decay, -1e-3 * b * curve], axis=1)

    start = np.column_stack([found["S0"], found["ADC"] * 1e3])
    return _refined(
        data, model, start,
        names=("S0", "ADC"), units=(1.0, 1e-3), limits=[(0, np.inf), (-5, 500)],
    )  # fmt: skip


def diffusion_kurtosis(signals: ArrayLike, b_values: ArrayLike) -> dict[str, Floats]:
    """Return diffusion and its apparent kurtosis, averaged over directions.

    Parameters
    ----------
    signals : array_like of float (n_voxels, n_images)
        Diffusion-weighted signals.
    b_values : array_like of float (n_images,)
        s/mm2, three different ones or more, up to about 3000.

    Returns
    -------
    dict of str to ndarray of float64 (n_voxels,)
        "D" in mm2/s, "K" and "S0"; NaN where the fit is impossible or D is not positive.

    Raises
    ------
    InputError
        If shapes do not fit or there are fewer than three different b-values.

    References
    ----------
    Jensen et al. 2005, doi:10.1002/mrm.20508: ln S = ln S0 - b D + b^2 D^2 K / 6.
    """
    data, b = _checked(signals, b_values, at_least=3)
    weights = _log_fit(data, np.column_stack([np.ones_like(b), -b, b**2 / 6]))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        good = weights[:, 1] > 0
        return {
            "D": np.where(good, weights[:, 1], np.nan),
            "K": np.where(good, weights[:, 2] / weights[:, 1] ** 2, np.nan),
            "S0": np.exp(weights[:, 0]),
        }


def incoherent_motion(
    signals: ArrayLike, b_values: ArrayLike, *, split_b: float = 200.0, refine: bool = True
) -> dict[str, Floats]:
    """Return diffusion, pseudo-diffusion and the perfusion share (IVIM).

    Parameters
    ----------
    signals : array_like of float (n_voxels, n_images)
        Diffusion-weighted signals.
    b_values : array_like of float (n_images,)
        s/mm2: two different ones at least at `split_b` and above, two below it.
    split_b : float
        At and above this b-value perfusion has decayed.
    refine : bool
        Whether all parameters are fitted together after the segmented fit.

    Returns
    -------
    dict of str to ndarray of float64 (n_voxels,)
        "D" and "D*" in mm2/s, "f" in 0 to 1, "S0"; NaN where the fit is impossible. "D*" is NaN
        where there is no perfusion to speak of (f below 0.001).

    Raises
    ------
    InputError
        If shapes do not fit or there are too few b-values on a side.

    References
    ----------
    Le Bihan et al. 1988, doi:10.1148/radiology.168.2.3393671:
    S / S0 = (1 - f) exp(-b D) + f exp(-b D*).
    """
    data, b = _checked(signals, b_values, at_least=4)
    high = b >= split_b
    if len(np.unique(b[high])) < 2 or len(np.unique(b[~high])) < 2:
        raise InputError(
            f"Needed are two b-values from {split_b:g} on and two below; found "
            f"{np.unique(b).tolist()}."
        )
    slow = _log_fit(data[:, high], np.column_stack([np.ones(high.sum()), -b[high]]))
    start_signal = data[:, b == b.min()].mean(axis=1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        share = 1.0 - np.exp(slow[:, 0]) / start_signal
    start = np.column_stack([
        start_signal, share.clip(0.005, 0.6), (slow[:, 1] * 1e3).clip(1e-3, 10.0),
        np.full(len(data), 10.0),
    ])  # fmt: skip
    if not refine:
        return _segmented(data, b, start, high)

    def model(parameters: Floats, _rows: NDArray[np.intp]) -> tuple[Floats, Floats]:
        s0, f, d, extra = (parameters[:, i : i + 1] for i in range(4))
        tissue, blood = np.exp(-1e-3 * b * d), np.exp(-1e-3 * b * (d + extra))
        shape = (1 - f) * tissue + f * blood
        by_extra = -1e-3 * b * s0 * f * blood
        slopes = [shape, s0 * (blood - tissue), -1e-3 * b * s0 * shape, by_extra]
        return s0 * shape, np.stack(slopes, axis=1)

    limits = [(0, np.inf), (0, 1), (0, 20), (1.0, _FASTEST * 1e3)]
    found = _refined(
        data, model, start,
        names=("S0", "f", "D", "extra"), units=(1.0, 1.0, 1e-3, 1e-3), limits=limits,
    )  # fmt: skip
    fast = found.pop("extra") + found["D"]
    return found | {"D*": np.where(found["f"] >= 1e-3, fast, np.nan)}


def _segmented(
    data: Floats, b: Floats, start: Floats, high: NDArray[np.bool_]
) -> dict[str, Floats]:
    """Return what two straight lines say: the tissue above the split, the rest below it."""
    s0, share, slow = start[:, 0], start[:, 1], start[:, 2] * 1e-3
    with np.errstate(divide="ignore", invalid="ignore"):
        tissue = (1 - share)[:, None] * np.exp(-slow[:, None] * b)
        rest = data / s0[:, None] - tissue
        fast = _log_fit(rest[:, ~high], np.column_stack([np.ones((~high).sum()), -b[~high]]))[:, 1]
    known = np.isfinite(slow) & np.isfinite(s0)
    return {
        "S0": np.where(known, s0, np.nan), "f": np.where(known, share, np.nan),
        "D": np.where(known, slow, np.nan),
        "D*": np.where(known & (fast > slow) & (share > 0.005), fast, np.nan),
    }  # fmt: skip


def diffusion_tensor(
    signals: ArrayLike, b_values: ArrayLike, directions: ArrayLike
) -> dict[str, Floats]:
    """Return the invariants of the diffusion tensor.

    Parameters
    ----------
    signals : array_like of float (n_voxels, n_images)
        Diffusion-weighted signals.
    b_values : array_like of float (n_images,)
        s/mm2.
    directions : array_like of float (n_images, 3)
        Of the gradients; lengths are set to 1, those of b-values up to 50 may be 0.

    Returns
    -------
    dict of str to ndarray of float64 (n_voxels,)
        "FA" (0 to 1), "MD", "AD" and "RD" in mm2/s, "S0". Weighted least squares of the logarithms;
        negative eigenvalues count as 0 in "FA".

    Raises
    ------
    InputError
        If shapes do not fit, or the directions do not determine a tensor.

    References
    ----------
    Basser et al. 1994, doi:10.1016/S0006-3495(94)80775-1; Koay et al. 2006,
    doi:10.1016/j.jmr.2006.06.020 (weights).
    """
    data, b = _checked(signals, b_values, at_least=2)
    vectors = np.asarray(directions, dtype=np.float64)
    if vectors.shape != (len(b), 3):
        raise InputError(f"Needed are {len(b)} directions of 3 numbers; found {vectors.shape}.")
    length = np.linalg.norm(vectors, axis=1)
    if (length[b > _B0] == 0).any() or not np.isfinite(length).all():
        raise InputError(
            "A diffusion-weighted image has no direction: check the file of b-vectors."
        )
    x, y, z = (vectors / np.where(length > 0, length, 1.0)[:, None]).T
    columns = [x * x, y * y, z * z, 2 * x * y, 2 * x * z, 2 * y * z]
    design = np.column_stack([np.ones_like(b), *(-b * column for column in columns)])
    if np.linalg.matrix_rank(design / np.maximum(np.abs(design).max(axis=0), 1e-300)) < 7:
        raise InputError(
            f"{(b > _B0).sum()} weighted images do not determine a tensor: needed are six "
            "directions that differ, and an image without weighting."
        )
    weights = _log_fit(data, design)
    xx, yy, zz, xy, xz, yz = weights[:, 1:].T
    tensors = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]).transpose(2, 0, 1)
    values = np.full((len(data), 3), np.nan)
    known = np.isfinite(tensors).all(axis=(1, 2))
    values[known] = np.linalg.eigvalsh(tensors[known])[:, ::-1]
    mean = values.mean(axis=1)
    clipped = np.maximum(values, 0.0)
    spread = ((clipped - clipped.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        anisotropy = np.sqrt(1.5 * spread / (clipped**2).sum(axis=1))
        return {
            "FA": anisotropy, "MD": mean, "AD": values[:, 0], "RD": values[:, 1:].mean(axis=1),
            "S0": np.exp(weights[:, 0]),
        }  # fmt: skip


def _checked(signals: ArrayLike, b_values: ArrayLike, *, at_least: int) -> tuple[Floats, Floats]:
    data = np.atleast_2d(np.asarray(signals, dtype=np.float64))
    b = np.asarray(b_values, dtype=np.float64)
    if b.ndim != 1 or data.shape[1] != len(b):
        raise InputError(f"There are {data.shape[1]} images and {b.size} b-values: give one each.")
    if not np.isfinite(b).all() or (b < 0).any():
        raise InputError("A b-value is negative or no number.")
    if len(np.unique(b)) < at_least:
        raise InputError(
            f"Needed are {at_least} different b-values; found {np.unique(b).tolist()} s/mm2."
        )
    return data, b


def _log_fit(data: Floats, design: Floats) -> Floats:
    """Return weighted least squares of the logarithms, one row a voxel.

    Signals that are not positive are left out of their voxel; a voxel whose others do not
    determine the line is NaN.
    """
    positive = np.isfinite(data) & (data > 0)
    logs = np.log(np.where(positive, data, 1.0))
    scale = np.abs(design).max(axis=0)
    scaled = design / scale
    first = _solve(scaled, logs, positive.astype(np.float64))
    expected = np.where(np.isfinite(first).all(axis=1, keepdims=True), first, 0.0) @ scaled.T
    top = np.where(positive, expected, -np.inf).max(axis=1, keepdims=True)
    weights = np.where(positive, np.exp(2 * (expected - np.where(np.isfinite(top), top, 0))), 0.0)
    found: Floats = _solve(scaled, logs, weights) / scale
    return found


def _solve(design: Floats, logs: Floats, weights: Floats) -> Floats:
    products = design[:, :, None] * design[:, None, :]
    normal = np.tensordot(weights, products, axes=1)
    right = (weights * logs) @ design
    found = np.full(right.shape, np.nan)
    size = np.sqrt(np.einsum("npp->np", normal))
    full = (size > 0).all(axis=1)
    unit = normal[full] / (size[full][:, :, None] * size[full][:, None, :])
    sound = np.linalg.cond(unit) < 1e10
    rows = np.flatnonzero(full)[sound]
    solved = np.linalg.solve(unit[sound], (right[rows] / size[rows])[:, :, None])[:, :, 0]
    found[rows] = solved / size[rows]
    return found


def _refined(
    data: Floats,
    model: Model,
    start: Floats,
    *,
    names: tuple[str, ...],
    units: tuple[float, ...],
    limits: list[tuple[float, float]],
) -> dict[str, Floats]:
    lower, upper = np.array(limits, dtype=np.float64).T
    unit = np.where(np.isfinite(start[:, :1]) & (start[:, :1] > 0), start[:, :1], np.nan)
    first = np.column_stack([np.ones(len(start)), start[:, 1:]])
    first[np.isnan(unit[:, 0])] = np.nan
    found = fit_curves(model, first, data / unit, lower=lower, upper=upper)
    values = found.parameters * np.array(units)
    values[:, 0] *= unit[:, 0]
    values[~found.converged] = np.nan
    return dict(zip(names, values.T, strict=True))
