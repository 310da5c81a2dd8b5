"""Multi-kernel learning: one support vector machine over several kernels with learned weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from radgen.errors import FitError, InputError

__all__ = ["MultiKernelClassifier", "block_kernel"]


def block_kernel(
    left: NDArray[Any],
    right: NDArray[Any] | None = None,
    *,
    kind: str = "linear",
    gamma: float | None = None,
) -> NDArray[np.float64]:
    """Return the kernel of one block between two sets of rows; a missing modality gives zeros.

    Parameters
    ----------
    left : ndarray of float (n_left, n_features)
        Standardise columns first. A row that is NaN throughout lacks the modality.
    right : ndarray of float (n_right, n_features) or None
        None = the same rows.
    kind : {"linear", "rbf"}, default "linear"
        ``x'z / n_features`` or ``exp(-gamma |x - z|^2)``.
    gamma : float or None
        None = 1 / n_features.

    Returns
    -------
    ndarray of float64 (n_left, n_right)
        Positive semi-definite where `right` is None. A zero row takes the modality out of that
        person's decision and leaves the rest.

    Raises
    ------
    InputError
        If a row is missing in part.
    """
    if kind not in ("linear", "rbf"):
        raise InputError(f"kind is {kind!r}; it is 'linear' or 'rbf'.")
    first = np.asarray(left, dtype=np.float64)
    second = first if right is None else np.asarray(right, dtype=np.float64)
    known = [_known(block) for block in (first, second)]
    a, b = np.where(np.isnan(first), 0.0, first), np.where(np.isnan(second), 0.0, second)
    product = a @ b.T
    if kind == "linear":
        kernel = product / a.shape[1]
    else:
        distance = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None, :] - 2 * product
        kernel = np.exp(-(1 / a.shape[1] if gamma is None else gamma) * np.maximum(distance, 0.0))
    return np.asarray(kernel * known[0][:, None] * known[1][None, :])


def _known(block: NDArray[np.float64]) -> NDArray[np.float64]:
    missing = np.isnan(block)
    lost = missing.all(axis=1)
    partly = np.flatnonzero(missing.any(axis=1) & ~lost)
    if len(partly):
        raise InputError(
            f"{len(partly)} rows are missing in part (row {partly[0] + 1} …). Impute single values "
            "within the folds; only a whole modality may be missing."
        )
    return np.where(lost, 0.0, 1.0)


class MultiKernelClassifier(ClassifierMixin, BaseEstimator):
    """Two-class support vector machine on a convex combination of kernels.

    Weights lie on the simplex (non-negative, sum 1) and are learned together with the machine;
    the problem is convex, and the duality gap of the weights is the certificate.

    Parameters
    ----------
    C : float, default 1
        Inverse strength of regularisation, as in `sklearn.svm.SVC`.
    learn_weights : bool, default True
        False: equal weights.
    normalise : bool, default True
        Scale each training kernel to mean diagonal 1 over the people who have the modality.
    max_iter : int, default 500
        Updates of the weights.
    tol : float, default 1e-4
        Relative duality gap at which the weights are final.

    Attributes
    ----------
    weights_ : ndarray of float64 (n_kernels,)
        Weight of each kernel.
    kernel_names_ : tuple of str
        Names, in the order of `weights_`.
    gap_ : float
        Relative duality gap at the end.
    classes_ : ndarray (2,)
        The two labels.

    Raises
    ------
    InputError
        If kernels do not fit each other, or there are not two classes.
    FitError
        If the gap stays above `tol`.

    Notes
    -----
    With machine fixed, the optimal weights are proportional to the norms ``|w_k|``; alternating
    both steps descends to the global minimum (the group-lasso view of l1 multi-kernel learning).

    References
    ----------
    Hinrichs et al. (2011), NeuroImage 55:574. doi:10.1016/j.neuroimage.2010.10.081
    Xu, Jin, Yang, King, Lyu (2010), ICML, 1175. Rakotomamonjy et al. (2008), JMLR 9:2491 (gap).
    """

    def __init__(
        self,
        C: float = 1.0,
        *,
        learn_weights: bool = True,
        normalise: bool = True,
        max_iter: int = 500,
        tol: float = 1e-4,
    ) -> None:
        self.C = C
        self.learn_weights = learn_weights
        self.normalise = normalise
        self.max_iter = max_iter
        self.tol = tol

    def fit(self, kernels: Mapping[str, NDArray[Any]], y: Any) -> Self:
        """Fit to named training kernels, each (n_samples, n_samples), and labels (n_samples,)."""
        from sklearn.svm import SVC

        names, stack = _stack(kernels)
        labels = np.asarray(y)
        self.classes_ = np.unique(labels)
        if (
            len(self.classes_) != 2
            or stack.shape[1] != stack.shape[2]
            or len(labels) != stack.shape[1]
        ):
            raise InputError(
                f"Needed are two classes and square kernels of the training rows; found "
                f"{len(self.classes_)} classes, kernels {stack.shape[1:]}, {len(labels)} labels."
            )
        diagonal = np.einsum("kii->ki", stack)
        known = (diagonal > 0).sum(axis=1)
        if (known == 0).any():
            raise InputError(f"Kernel {names[int(np.argmin(known))]!r} is zero for everybody.")
        self.scales_ = diagonal.sum(axis=1) / known if self.normalise else np.ones(len(names))
        stack = stack / self.scales_[:, None, None]
        weights = np.full(len(names), 1 / len(names))
        for _ in range(self.max_iter):
            machine = SVC(kernel="precomputed", C=self.C, tol=1e-8).fit(
                np.tensordot(weights, stack, 1), labels
            )
            dual = np.zeros(len(labels))
            dual[machine.support_] = machine.dual_coef_[0]
            size = np.einsum("i,kij,j->k", dual, stack, dual)
            total = float(weights @ size)
            self.gap_ = float((size.max() - total) / max(abs(total), 1e-300))
            if not self.learn_weights or self.gap_ <= self.tol:
                break
            norm = weights * np.sqrt(np.maximum(size, 0.0))
            weights = norm / norm.sum()
        else:
            raise FitError(
                f"The weights did not settle in {self.max_iter} updates (gap {self.gap_:.2g}).",
                diagnostics={"gap": self.gap_},
            )
        self.weights_, self.kernel_names_ = weights, names
        self.dual_, self.intercept_ = dual, float(machine.intercept_[0])
        return self

    def contributions(self, kernels: Mapping[str, NDArray[Any]]) -> pl.DataFrame:
        """Return each kernel's share of each person's decision: the per-patient marker.

        Parameters
        ----------
        kernels : mapping of str to ndarray (n_rows, n_training)
            Kernels between new rows and the training rows.

        Returns
        -------
        polars.DataFrame
            A column a kernel, ``intercept`` and ``decision``, their sum.
        """
        check_is_fitted(self)
        names, stack = _stack(kernels)
        if names != self.kernel_names_:
            raise InputError(f"Kernels {names} were given; the machine has {self.kernel_names_}.")
        parts = np.einsum("k,kij,j->ik", self.weights_ / self.scales_, stack, self.dual_)
        columns: dict[str, Any] = {name: parts[:, k] for k, name in enumerate(names)}
        columns["intercept"] = np.full(len(parts), self.intercept_)
        columns["decision"] = parts.sum(axis=1) + self.intercept_
        return pl.DataFrame(columns)

    def decision_function(self, kernels: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """Return the decision of each row, (n_rows,); positive = the second class."""
        return self.contributions(kernels)["decision"].to_numpy()

    def predict(self, kernels: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Return the predicted labels, (n_rows,)."""
        return np.asarray(self.classes_[(self.decision_function(kernels) > 0).astype(int)])


def _stack(kernels: Mapping[str, NDArray[Any]]) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    if not kernels:
        raise InputError("Give at least one kernel.")
    arrays = [np.asarray(kernel, dtype=np.float64) for kernel in kernels.values()]
    shapes = {array.shape for array in arrays}
    if len(shapes) != 1 or arrays[0].ndim != 2:
        raise InputError(f"Kernels have different shapes: {sorted(shapes)}.")
    if not all(np.isfinite(array).all() for array in arrays):
        raise InputError("A kernel holds values that are not finite.")
    return tuple(kernels), np.stack(arrays)
