"""Predicted scores in the categories that clinics use: agreement at fixed cut-offs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import polars as pl

from radgen.errors import InputError
from radgen.predict.result import PredictionResult
from radgen.stats.discrimination import proportion_interval
from radgen.stats.reliability import weighted_kappa
from radgen.types import Result

__all__ = ["CategoryResult", "category_agreement"]


@dataclass(frozen=True, eq=False)
class CategoryResult(Result):
    """Agreement of predicted and measured categories of a continuous score.

    Attributes
    ----------
    frame : polars.DataFrame
        ``model, kappa, kappa_low, kappa_high, accuracy, accuracy_low, accuracy_high,
        severe, n``: linearly weighted kappa, share in the right category, share that is two or
        more categories off. Predictions are means over repeats.
    confusion : polars.DataFrame
        ``model, measured, predicted, n``.
    outcome : str
    cuts : tuple of float
    """

    kind: ClassVar[str] = "categories"

    confusion: pl.DataFrame = field(default_factory=pl.DataFrame)
    outcome: str = ""
    cuts: tuple[float, ...] = ()

    def statements(self) -> tuple[str, ...]:
        """Return agreement of each model."""
        cuts = ", ".join(f"{cut:g}" for cut in self.cuts)
        return tuple(
            f"{row['model']}: {row['accuracy']:.0%} of {row['n']} patients fall into the right "
            f"category of {self.outcome} (cut-offs {cuts}); weighted kappa {row['kappa']:.2f} "
            f"({row['kappa_low']:.2f} to {row['kappa_high']:.2f})."
            for row in self.frame.iter_rows(named=True)
            if np.isfinite(row["kappa"])
        )


def category_agreement(
    result: PredictionResult, cuts: Sequence[float], *, confidence: float = 0.95
) -> CategoryResult:
    """Return how well out-of-fold predictions of a score hit the categories cut from it.

    Parameters
    ----------
    result : PredictionResult
        Of a continuous outcome.
    cuts : sequence of float
        Clinical cut-offs, ascending; a value at a cut-off belongs above it.
    confidence : float, default 0.95
        Level.

    Returns
    -------
    CategoryResult
        A row a model.

    Raises
    ------
    InputError
        If the outcome is not continuous, or cut-offs are not ascending.
    """
    if result.outcome_kind != "continuous":
        raise InputError(
            f"{result.outcome!r} is {result.outcome_kind}; needed is a continuous score."
        )
    edges = np.asarray(cuts, dtype=np.float64)
    if not edges.size or (np.diff(edges) <= 0).any():
        raise InputError("Cut-offs are one or more numbers, ascending.")
    names = [str(k + 1) for k in range(edges.size + 1)]
    rows, tables = [], []
    mean = result.predictions.group_by("model", "sample", maintain_order=True).agg(
        pl.col("y").first(), pl.col("score").mean()
    )
    for model in result.models():
        part = mean.filter(pl.col("model") == model)
        truth = np.searchsorted(edges, part["y"].to_numpy(), side="right")
        found = np.searchsorted(edges, part["score"].to_numpy(), side="right")
        n, right = len(truth), int((truth == found).sum())
        kappa = weighted_kappa(truth, found, weights="linear", confidence=confidence)
        low, high = proportion_interval(right, n, confidence)
        severe = float((np.abs(truth - found) > 1).mean())
        rows.append((model, kappa.estimate, kappa.ci_low, kappa.ci_high, right / n, low, high,
                     severe, n))  # fmt: skip
        tables += [
            (model, names[i], names[j], int(((truth == i) & (found == j)).sum()))
            for i in range(len(names)) for j in range(len(names))
        ]  # fmt: skip
    columns = ["model", "kappa", "kappa_low", "kappa_high", "accuracy", "accuracy_low"]
    columns += ["accuracy_high", "severe", "n"]
    kinds = [pl.String, *[pl.Float64] * 7, pl.Int64]
    return CategoryResult(
        frame=pl.DataFrame(rows, schema=dict(zip(columns, kinds, strict=True)), orient="row"),
        params={"cuts": edges.tolist(), "confidence": confidence},
        n_used=result.n_used,
        provenance={"step": "predict.category_agreement", "version": 1},
        confusion=pl.DataFrame(
            tables, schema=["model", "measured", "predicted", "n"], orient="row"
        ),
        outcome=result.outcome,
        cuts=tuple(edges.tolist()),
    )
