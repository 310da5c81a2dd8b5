"""Hazard ratios agree with lifelines and statsmodels; curves and ratios tell the same story."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from radgen.associate import hazards
from radgen.errors import InputError
from radgen.types import Covariates, Outcome, PhenotypeTable


def cohort(n: int = 150) -> tuple[Outcome, Covariates, PhenotypeTable]:
    rng = np.random.default_rng(4)
    ids = tuple(f"s{i}" for i in range(n))
    age = np.round(rng.normal(60, 10, n))
    mutant = (rng.random(n) < 0.4).astype(float)
    size = rng.normal(5, 2, n)
    hazard = np.exp(0.03 * (age - 60) - 0.8 * mutant + 0.2 * (size - 5))
    time = np.ceil(rng.exponential(300 / hazard))  # ties on purpose
    limit = np.ceil(rng.exponential(500, n))
    values = np.minimum(time, limit)
    events = time <= limit
    values[:3] = np.nan
    age[5] = np.nan
    table = Covariates(ids, ("mutant", "age"), np.column_stack((mutant, age)))
    images = PhenotypeTable.from_frame({"sample": list(ids), "size": size})
    return Outcome("death", "censored", ids, values, events, unit="days"), table, images


def test_ratios_equal_those_of_statsmodels_and_lifelines() -> None:
    import pandas
    from lifelines import CoxPHFitter
    from statsmodels.duration.hazard_regression import PHReg

    outcome, table, images = cohort()
    age = Covariates(table.samples, ("age",), table.values[:, 1:])
    found = hazards(outcome, [table, images], age).table
    assert found["variable"].to_list() == ["mutant", "age", "size"]
    assert outcome.events is not None
    keep = np.isfinite(outcome.values) & np.isfinite(table.values).all(axis=1)
    time, event = outcome.values[keep], outcome.events[keep]
    size = images.values[keep, 0]
    for row, column in ((0, table.values[keep, 0]), (2, size / size.std(ddof=1))):
        design = np.column_stack((column, table.values[keep, 1]))
        other = PHReg(time, design, event, ties="efron").fit()
        assert found["n"][row] == keep.sum()
        assert found["log_hazard"][row] == pytest.approx(other.params[0], rel=1e-6)
        assert found["std_error"][row] == pytest.approx(other.bse[0], rel=1e-6)
        frame = pandas.DataFrame({"x": column, "age": design[:, 1], "t": time, "e": event})
        third = CoxPHFitter().fit(frame, "t", "e")
        # lifelines stops at a looser step and standardises: four digits agree.
        assert found["hazard_ratio"][row] == pytest.approx(third.hazard_ratios_["x"], rel=1e-4)
        assert found["p"][row] == pytest.approx(third.summary.loc["x", "p"], rel=1e-2)


def test_curves_are_those_of_the_two_groups() -> None:
    outcome, table, images = cohort()
    result = hazards(outcome, [table, images])
    assert set(result.km["variable"]) == {"mutant", "size"}
    start = result.km.group_by("variable", "group").agg(pl.col("at_risk").max())
    assert start.filter(pl.col("variable") == "mutant")["at_risk"].sum() == 147
    assert result.logrank.height == 2
    assert result.n_used == 147
    assert "hazard ratio" in result.statements()[0]
    assert result.plot("km") is not None
    assert result.plot("forest") is not None


def test_what_cannot_be_fitted_is_a_row_with_its_reason() -> None:
    outcome, table, _ = cohort()
    flat = Covariates(table.samples, ("flat",), np.ones((len(table.samples), 1)))
    result = hazards(outcome, [table, flat])
    row = result.table.filter(pl.col("variable") == "flat").row(0, named=True)
    assert row["status"] == "failed"
    assert row["reason"] == "it does not vary"
    with pytest.raises(InputError, match="needs censored times"):
        hazards(Outcome("x", "continuous", outcome.samples, outcome.values), table)


def test_it_is_stored_and_read_again() -> None:
    outcome, table, _ = cohort()
    result = hazards(outcome, table)
    tables, plain = result.encode()
    back = type(result).decode(tables, plain)
    assert back.table.equals(result.table)
    assert back.statements() == result.statements()
