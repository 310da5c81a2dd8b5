"""Fractions of cell types in bulk expression, from the expression of pure cells."""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import nnls
from sklearn.svm import NuSVR

from radgen._core.rng import spawn
from radgen.errors import Approximation, InputError, shown
from radgen.types import OmicsTable

__all__ = ["cell_fractions"]

Array = NDArray[np.float64]

_NU = (0.25, 0.5, 0.75)
_LOG_LIKE = 50.0  # the published program takes layers that stay below as logarithms


def cell_fractions(
    table: OmicsTable,
    signature: OmicsTable,
    *,
    method: Literal["nnls", "nu_svr"] = "nnls",
    n_permutations: int = 99,
    seed: int = 0,
    min_genes: int = 10,
) -> pl.DataFrame:
    """Return the fractions of cell types that best explain each sample's expression.

    Parameters
    ----------
    table : OmicsTable
        Expression of the samples on a linear scale (TPM, say), not below 0; NaN = missing.
    signature : OmicsTable
        Expression of pure cells on the same scale: a row per cell type, no value missing.
    method : {"nnls", "nu_svr"}, default "nnls"
        Non-negative least squares, or nu-support-vector regression on standardised values.
    n_permutations : int, default 99
        Permutations of a sample's values over the genes, for p; 0 = none (p is null).
    seed : int, default 0
        Of the permutations.
    min_genes : int, default 10
        Samples with fewer shared genes get no fractions; nor do those with fewer genes than
        one more than cell types.

    Returns
    -------
    polars.DataFrame
        ``sample``, a column per cell type (fractions, sum 1), ``n_genes``, ``correlation`` and
        ``rmse`` of the fit (least squares: in the units of `table`; regression: of the
        standardised sample), ``p``, ``n_permutations`` and ``reason`` where undefined.

    Raises
    ------
    InputError
        If a value is negative or infinite, a layer bears a logarithmic scale, the signature
        has missing values, or a cell type has the name of another column.

    Notes
    -----
    Mixing adds on the linear scale only, so that values on a log scale are refused; a layer
    whose values lie between 2 and 50 at most is used as declared, with a warning. A sample's
    p = (b + 1)/(m + 1), with b the permutations whose fit correlates at least as well. Fractions
    are of the cell types in `signature`: cells that it lacks are shared out among these.
    In the regression, nu is the one of 0.25, 0.5, 0.75 of least RMSE, C = 1, negative weights
    count as 0. The published program draws its null values from all samples together.

    References
    ----------
    Newman 2015, doi:10.1038/nmeth.3337.

    Examples
    --------
    >>> pure = np.random.default_rng(1).gamma(1.0, 50.0, size=(2, 20))
    >>> genes = [f"g{j}" for j in range(20)]
    >>> signature = OmicsTable(["T", "B"], genes, pure, "expression", "TPM")
    >>> mixed = OmicsTable(["s1"], genes, [[0.3, 0.7]] @ pure, "expression", "TPM")
    >>> cell_fractions(mixed, signature).select("T", "B").row(0)[0].__round__(6)
    0.3
    """
    if method not in ("nnls", "nu_svr"):
        raise InputError(f"method is nnls or nu_svr; found {method!r}.")
    if n_permutations < 0 or min_genes < 1:
        raise InputError("n_permutations is at least 0 and min_genes at least 1.")
    cells = [str(name) for name in signature.samples]
    taken = {"sample", "n_genes", "correlation", "rmse", "p", "n_permutations", "reason"}
    if clash := sorted(taken & set(cells)):
        raise InputError(f"Cell types may not be named {shown(clash)}: rename them.")
    for name, layer in (("table", table), ("signature", signature)):
        _check_linear(name, layer)
    if not np.isfinite(signature.values).all():
        raise InputError("The signature has missing values: leave those genes out.")
    place = {gene: j for j, gene in enumerate(table.features)}
    shared = sorted(gene for gene in signature.features if gene in place)
    where = {gene: j for j, gene in enumerate(signature.features)}
    pure = np.asarray(signature.values, float)[:, [where[gene] for gene in shared]].T
    mixed = np.asarray(table.values, float)[:, [place[gene] for gene in shared]]
    need = max(min_genes, len(cells) + 1)
    rows = []
    for sample, values in zip(table.samples, mixed, strict=True):
        known = np.isfinite(values)
        n_genes = int(known.sum())
        x, y = pure[known], values[known]
        reason = _reason(x, y, need)
        if reason is not None:
            rows.append((sample, *[None] * len(cells), n_genes, None, None, None, 0, reason))
            continue
        fractions, correlation, rmse = _fit(x, y, method)
        if not fractions.any():
            reason = "no cell type of the signature has a positive weight"
            rows.append((sample, *[None] * len(cells), n_genes, None, None, None, 0, reason))
            continue
        rng = spawn(seed, "fractions", str(sample))
        null = [_fit(x, rng.permutation(y), method)[1] for _ in range(n_permutations)]
        beaten = int(np.sum(np.array(null) >= correlation - 1e-12))
        p = (beaten + 1) / (n_permutations + 1) if n_permutations else None
        rows.append((sample, *fractions.tolist(), n_genes, correlation, rmse, p,
                     n_permutations, None))  # fmt: skip
    schema = {"sample": pl.String, **dict.fromkeys(cells, pl.Float64), "n_genes": pl.Int64,
              "correlation": pl.Float64, "rmse": pl.Float64, "p": pl.Float64,
              "n_permutations": pl.Int64, "reason": pl.String}  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")


def _check_linear(name: str, layer: OmicsTable) -> None:
    """Refuse values that do not add when cells are mixed."""
    if "log" in layer.scale.lower():
        raise InputError(
            f"The {name} is on the scale {layer.scale!r}: mixing adds on the linear scale only. "
            "Undo the logarithm first."
        )
    if np.isinf(layer.values).any() or (layer.values < 0).any():
        raise InputError(f"The {name} has negative or infinite values: give linear expression.")
    known = layer.values[~np.isnan(layer.values)]
    if known.size and 2.0 < known.max() < _LOG_LIKE:
        warnings.warn(
            f"The {name} reaches only {known.max():.3g}, as logarithms do, but bears the scale "
            f"{layer.scale!r}. Undo the logarithm if it is one: fractions are wrong otherwise.",
            Approximation,
            stacklevel=3,
        )


def _reason(x: Array, y: Array, need: int) -> str | None:
    """Why a sample has no fractions; None = it has."""
    if len(y) < need:
        return f"{len(y)} genes are shared with the signature (need {need})"
    if np.ptp(y) == 0:
        return "all shared genes have one value"
    if np.linalg.matrix_rank(x) < x.shape[1]:
        return "the cell types are not linearly independent over the shared genes"
    return None


def _fit(x: Array, y: Array, method: str) -> tuple[Array, float, float]:
    """Fractions (n_cells,), correlation and RMSE of the fit; zeros and -1 if no weight is > 0."""
    if method == "nnls":
        weights = nnls(x, y)[0]
        return _judge(x, y, weights, scaled=False)
    x = (x - x.mean()) / x.std(ddof=1)
    y = (y - y.mean()) / y.std(ddof=1)
    fits = []
    for nu in _NU:
        model = NuSVR(nu=nu, C=1.0, kernel="linear").fit(x, y)
        fits.append(_judge(x, y, np.maximum(model.coef_.ravel(), 0.0), scaled=True))
    return min(fits, key=lambda fit: fit[2])


def _judge(x: Array, y: Array, weights: Array, *, scaled: bool) -> tuple[Array, float, float]:
    """Normalise weights; the regression is judged by its fractions, as published."""
    total = weights.sum()
    if total <= 0:
        return np.zeros_like(weights), -1.0, np.inf
    fractions = weights / total
    fitted = x @ (fractions if scaled else weights)
    spread = fitted.std()
    correlation = float(np.corrcoef(fitted, y)[0, 1]) if spread > 0 else -1.0
    return fractions, correlation, float(np.sqrt(np.mean((fitted - y) ** 2)))
