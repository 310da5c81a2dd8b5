"""How well places are predicted: of new patients, of new places of known patients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.base import clone
from sklearn.model_selection import KFold, LeaveOneGroupOut

from radgen._core.progress import progress
from radgen._core.threads import one_blas_thread
from radgen.errors import FitError
from radgen.predict.regional.gaussian import GaussianProcess, Predicted
from radgen.stats.discrimination import auc_interval

__all__ = ["held_out", "permuted_within", "scheme_row", "within_patient_auc"]

FloatArray = NDArray[np.float64]
Scheme = Literal["patient", "biopsy"]

_MOST_FOLDS = 100


def held_out(
    model: GaussianProcess, x: FloatArray, y: FloatArray, patients: NDArray[Any], scheme: Scheme
) -> tuple[Predicted, int]:
    """Return predictions of each biopsy by a model that did not see it, or its patient.

    Parameters
    ----------
    model : GaussianProcess
        Cloned and fitted anew in each fold.
    x : float64 (n, p)
        Local features.
    y : float64 (n,)
        States or quantities.
    patients : (n,)
        Whose biopsy each is.
    scheme : {"patient", "biopsy"}
        What is left out; more than 100 biopsies are left out in 100 folds.

    Returns
    -------
    found : Predicted
        NaN where the training rows of a fold hold one state alone.
    n_bound : int
        Folds whose likelihood was still rising at the bounds of the kernel.
    """
    value, sd, side = (np.full(len(y), np.nan) for _ in range(3))
    n_bound = 0
    folds = list(_folds(x, patients, scheme))
    # The systems are small: threads of the BLAS would cost more than they bring.
    with progress(f"Leaving one {scheme} out", len(folds)) as tick, one_blas_thread():
        for train, test in folds:
            tick(1)
            try:
                fit = clone(model).fit(x[train], y[train])
            except FitError:
                continue
            n_bound += fit.at_bound_
            found = fit.explain(x[test])
            value[test], sd[test], side[test] = found.value, found.sd, found.side
    return Predicted(value, sd, side), n_bound


def _folds(
    x: FloatArray, patients: NDArray[Any], scheme: Scheme
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    if scheme == "patient":
        yield from LeaveOneGroupOut().split(x, groups=patients)
    else:
        yield from KFold(min(len(x), _MOST_FOLDS)).split(x)


def within_patient_auc(
    y: FloatArray, score: FloatArray, patients: NDArray[Any]
) -> tuple[float, int]:
    """Return the share of pairs of one patient, one with the state and one without, ranked right.

    Parameters
    ----------
    y : float64 (n,)
        0 and 1.
    score : float64 (n,)
        Higher = more likely; ties count one half.
    patients : (n,)
        Only pairs within a patient are counted, so that what differs between patients (scanner,
        gain, the patient's own state) cannot help.

    Returns
    -------
    share : float
        NaN where no patient has both states.
    n_pairs : int
        Pairs.
    """
    right, pairs = 0.0, 0
    for patient in np.unique(patients):
        own = (patients == patient) & np.isfinite(score)
        high, low = score[own & (y > 0.5)], score[own & (y <= 0.5)]
        gap = high[:, None] - low[None, :]
        right += float((gap > 0).sum() + 0.5 * (gap == 0).sum())
        pairs += gap.size
    return (right / pairs if pairs else float("nan")), pairs


def permuted_within(y: FloatArray, patients: NDArray[Any], rng: np.random.Generator) -> FloatArray:
    """Return labels shuffled among the biopsies of each patient."""
    out = y.copy()
    for patient in np.unique(patients):
        own = np.flatnonzero(patients == patient)
        out[own] = y[rng.permutation(own)]
    return out


def scheme_row(
    scheme: str,
    found: Predicted,
    y: FloatArray,
    patients: NDArray[Any],
    *,
    kind: str,
    confidence: float,
) -> dict[str, Any]:
    """Return how good predictions are, on all biopsies and on certain and uncertain ones.

    Parameters
    ----------
    scheme : str
        Name of the row.
    found : Predicted
        Held-out predictions.
    y : float64 (n,)
        The truth.
    patients : (n,)
        Whose biopsies: intervals count patients.
    kind : {"state", "quantity"}
        What is predicted.
    confidence : float
        A biopsy whose side is this probable is certain.

    Returns
    -------
    dict
        A row of `BiopsyResult.schemes`; what does not apply is null.
    """
    known = np.isfinite(found.value)
    sure = known & (found.side >= confidence)
    row: dict[str, Any] = dict.fromkeys(_COLUMNS)
    row |= {"left_out": scheme, "n": int(known.sum()), "n_certain": int(sure.sum())}
    if kind == "state":
        truth = y > 0.5
        right = (found.value >= 0.5) == truth
        if len(np.unique(truth[known])) == 2:
            area = auc_interval(truth[known], found.value[known], cluster=patients[known])
            row |= {"auc": area.auc, "auc_low": area.ci_low, "auc_high": area.ci_high}
        inner, n_pairs = within_patient_auc(y, found.value, patients)
        row |= {"auc_within_patients": None if np.isnan(inner) else inner, "n_pairs": n_pairs}
        for name, rows in (("", known), ("_certain", sure), ("_uncertain", known & ~sure)):
            row[f"accuracy{name}"] = _mean(right[rows])
        return row
    error = found.value - y
    row["spearman"] = float(spearmanr(found.value[known], y[known])[0]) if known.sum() > 2 else None
    spread = float(np.square(y[known] - y[known].mean()).sum())
    row["r2"] = 1 - float(np.square(error[known]).sum()) / spread if spread > 0 else None
    for name, rows in (("", known), ("_certain", sure), ("_uncertain", known & ~sure)):
        mean = _mean(np.square(error[rows]))
        row[f"rmse{name}"] = None if mean is None else float(np.sqrt(mean))
    return row


_COLUMNS = (
    "left_out", "n", "auc", "auc_low", "auc_high", "auc_within_patients", "n_pairs", "accuracy",
    "n_certain", "accuracy_certain", "accuracy_uncertain", "r2", "spearman", "rmse",
    "rmse_certain", "rmse_uncertain",
)  # fmt: skip
_KINDS = (
    dict.fromkeys(_COLUMNS, pl.Float64)
    | {"left_out": pl.String}
    | dict.fromkeys(("n", "n_pairs", "n_certain"), pl.Int64)
)


def scheme_table(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Return rows of `scheme_row` as a table, without the columns that are null in all."""
    table = pl.DataFrame(rows, schema=_KINDS)
    return table.select(name for name in table.columns if table[name].null_count() < table.height)


def _mean(values: NDArray[Any]) -> float | None:
    return float(values.mean()) if len(values) else None
