"""Proof, from the fit log, that no fitted object saw a row it was tested on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import polars as pl

from radgen._core.digest import digest
from radgen.predict.fitting import FittedModel, hashed
from radgen.predict.result import PredictionResult
from radgen.types import Result

__all__ = ["AuditResult", "audit", "audit_model"]


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
        about = self.params.get("outcome", "")
        if self.passed:
            return (
                f"{about}: all {fits} fits were checked: none saw a row, or a patient, of its "
                "test set.",
            )
        bad = self.frame.filter(pl.col("violations") > 0)
        return tuple(
            f"{about}: VIOLATED, {row['check']}: {row['violations']} of {row['examined']}."
            for row in bad.iter_rows(named=True)
        )


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
    Four checks: no test row among the rows of any fit of its fold (inner ones included); no
    patient of a test row among them; every sample is predicted exactly once a repeat and model;
    nothing is fitted twice to the same rows and columns within a fold.
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
        ("nothing fitted twice within a fold", result.fit_log.height, _repeated(result.fit_log)),
    ]
    frame = pl.DataFrame(rows, schema=["check", "examined", "violations"], orient="row")
    params: dict[str, Any] = {"outcome": result.outcome}
    return AuditResult(
        frame=frame, params=params, n_used=n_samples, violations=pl.concat([by_row, by_patient])
    )


def _repeated(log: pl.DataFrame) -> int:
    """Return how many fits had the rows and inputs of an earlier one of the same fold."""
    learnt = log.filter(pl.col("inputs") != "")
    return learnt.height - learnt.select("repeat", "fold", "fitted", "inputs", "row_set").n_unique()


def audit_model(
    model: FittedModel, *, samples: Iterable[str] = (), patients: Iterable[str] = ()
) -> AuditResult:
    """Return whether a frozen model saw only its training samples, and none of the given ones.

    Parameters
    ----------
    model : FittedModel
        From `radgen.predict.fit_model` or a bundle.
    samples, patients : iterable of str
        Ids of a test set, to prove that none of them trained the model.

    Returns
    -------
    AuditResult
        ``passed`` is True where nothing is wrong.

    Notes
    -----
    The bundle holds digests of ids, not ids. Checked are: the fits on all rows saw the training
    samples (fewer where some have no data in a block); inner fits, that chose setting and
    threshold, left some out; the internal validation on the card had no violation; no given
    sample or patient is among the training ones.
    """
    everyone = digest(sorted(model.samples))
    log = model.fit_log
    whole = log.filter(pl.col("level") == "all")
    inner = log.filter(pl.col("level") != "all")
    full_size = len(model.samples)
    wrong = whole.filter(
        (pl.col("n_rows") > full_size)
        | ((pl.col("n_rows") == full_size) & (pl.col("digest") != everyone))
    ).height
    full = inner.filter(pl.col("n_rows") >= len(model.samples)).height
    rows: list[tuple[str, int, int]] = [
        ("fits on all rows saw training samples only", log.height, wrong),
        ("inner fits left their held-out rows out", inner.height, full),
    ]
    card = model.card.get("validation")
    if card:
        text = "the internal validation on the card had no violation"
        rows.append((text, int(card["fits_audited"]), int(card["violations"])))
    for what, given, known in (
        ("sample", list(samples), model.samples), ("patient", list(patients), model.patients),
    ):  # fmt: skip
        if given:
            seen = [item for item in given if next(iter(hashed([item]))) in known]
            rows.append((f"no {what} of the test set trained the model", len(given), len(seen)))
    frame = pl.DataFrame(rows, schema=["check", "examined", "violations"], orient="row")
    return AuditResult(
        frame=frame,
        params={"outcome": f"frozen model of {model.outcome}"},
        n_used=len(model.samples),
        violations=pl.DataFrame(),
    )
