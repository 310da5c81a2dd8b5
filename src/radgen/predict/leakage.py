"""Proof, from the fit log, that no fitted object saw a row it was tested on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import polars as pl

from radgen.predict.result import PredictionResult
from radgen.types import Result

__all__ = ["AuditResult", "audit"]


@dataclass(frozen=True, eq=False)
class AuditResult(Result):
    """Checks of a fit log.

    Attributes
    ----------
    frame : polars.DataFrame
        ``check, examined, violations``.
    violations : polars.DataFrame
        ``repeat, fold, level, fitted, target, sample``: each row that was seen and should not
        have been.
    """

    kind: ClassVar[str] = "audit"

    violations: pl.DataFrame = None  # type: ignore[assignment]

    @property
    def passed(self) -> bool:
        """True where no check found a violation."""
        return int(self.frame["violations"].sum()) == 0

    def statements(self) -> tuple[str, ...]:
        """Return what was examined and found."""
        fits = int(self.frame["examined"][0])
        if self.passed:
            return (
                f"All {fits} fits were checked: none saw a row, or a patient, of its test set.",
            )
        bad = int(self.frame["violations"].sum())
        return (f"{bad} violations in {fits} fits: rows or patients of the test set were seen.",)


def audit(result: PredictionResult) -> AuditResult:
    """Return whether any fit of an evaluation saw a row or a patient of its own test fold.

    Parameters
    ----------
    result : PredictionResult
        From `radgen.predict.evaluate`.

    Returns
    -------
    AuditResult
        ``passed`` is True where nothing is wrong.

    Raises
    ------
    InputError
        If the result holds no fit log.

    Notes
    -----
    Three checks: no test row among the rows of any fit of its fold (inner ones included); no
    patient of a test row among them; every sample is predicted exactly once a repeat and model.
    """
    tested = result.predictions.select("repeat", "fold", "sample", "patient").unique()
    patient_of = result.predictions.select("sample", "patient").unique()
    seen = result.fit_log.join(result.row_sets, on="row_set", how="inner")
    keys = ["repeat", "fold"]
    columns = ["repeat", "fold", "level", "fitted", "target", "sample"]
    by_row = seen.join(tested, on=[*keys, "sample"], how="semi").select(columns)
    with_patient = seen.join(patient_of, on="sample", how="left")
    by_patient = (
        with_patient.join(tested.select(*keys, "patient"), on=[*keys, "patient"], how="semi")
        .select(columns)
        .join(by_row, on=columns, how="anti")
    )
    count = result.predictions.group_by("repeat", "model", "sample").len()
    n_samples = result.predictions["sample"].n_unique()
    expected = (
        result.predictions["repeat"].n_unique() * result.predictions["model"].n_unique() * n_samples
    )
    not_once = int((count["len"] != 1).sum()) + abs(expected - count.height)
    rows: list[tuple[str, int, int]] = [
        ("no test row in any fit of its fold", result.fit_log.height, by_row.height),
        ("no patient of the test rows in any fit", result.fit_log.height, by_patient.height),
        ("every sample predicted once a repeat and model", count.height, not_once),
    ]
    frame = pl.DataFrame(rows, schema=["check", "examined", "violations"], orient="row")
    params: dict[str, Any] = {"outcome": result.outcome}
    return AuditResult(
        frame=frame, params=params, n_used=n_samples, violations=pl.concat([by_row, by_patient])
    )
