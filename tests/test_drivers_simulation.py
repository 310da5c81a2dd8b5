"""Drivers of image phenotypes: known truth, closed forms, and the simulated cohort's table."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from radgen.associate import DriverResult, drivers, score_groups, screen
from radgen.associate._groups import adaptive_bh, joint_tests, phenotype_groups
from radgen.errors import InputError
from radgen.omics.coherence import set_coherence
from radgen.types import Covariates, OmicsTable, Outcome, PhenotypeTable

ROOT = Path(__file__).parent.parent
SIMULATED = runpy.run_path(str(ROOT / "verification" / "drivers.py"))


def test_known_drivers_are_found_and_few_others() -> None:
    """Four cohorts: mediated, direct and partial drivers; consequences are not drivers."""
    table = np.array([SIMULATED["one"](seed, 300, null=False) for seed in range(40, 44)])
    assert table[:, 0].mean() < 0.08
    assert table[:, 1].mean() < 0.1
    assert table[:, 2].mean() > 0.9
    nothing = [SIMULATED["one"](seed, 120, null=True)[3] for seed in range(50, 56)]
    assert sum(nothing) <= 2


def test_paths_signs_and_storage() -> None:
    tables, _ = SIMULATED["cohort"](np.random.default_rng(6), 400)
    result = drivers(*tables, reliability={"f0": 0.5, "f1": 0.9})
    rows = {(r["driver"], r["phenotype"]): r for r in result.frame.iter_rows(named=True)}
    assert rows["G0", "f0"]["path"] == "mediated"
    assert rows["G0", "f0"]["mediator"] == "M0"
    assert rows["G0", "f0"]["sign"] == 1
    assert rows["G2", "f12"]["path"] == "direct"
    assert rows["M4", "f12"]["sign"] == -1
    assert not rows["G1", "f0"]["driven"]
    assert rows["G1", "f0"]["path"] == ""
    link = result.links.filter((pl.col("mutation") == "G1") & (pl.col("module") == "M1"))
    assert link["q"][0] < 1e-6
    assert rows["M0", "f0"]["stable"] is False
    assert rows["M0", "f1"]["stable"] is True
    assert rows["M0", "f2"]["stable"] is None
    assert result.frame.height == 16 * 96
    again = DriverResult.decode(*result.encode())
    assert again.statements() == result.statements()
    assert any("mediated through M0" in line for line in result.statements())
    assert result.plot("heatmap").get_title() is not None
    assert "Cauchy" in result.methods()


def test_joint_tests_equal_statsmodels_and_leave_twins_out() -> None:
    import statsmodels.api as sm

    rng = np.random.default_rng(1)
    z, x, y = rng.normal(size=(60, 2)), rng.normal(size=(60, 4)), rng.normal(size=(60, 3))
    y[rng.random(y.shape) < 0.1] = np.nan
    x[3, 1] = np.nan
    effect, se, log10p = joint_tests(y, x, z)
    for j in range(3):
        keep = np.isfinite(y[:, j]) & np.isfinite(x).all(axis=1)
        fit = sm.OLS(y[keep, j], np.column_stack([np.ones(keep.sum()), z[keep], x[keep]])).fit()
        np.testing.assert_allclose(effect[:, j], fit.params[3:], rtol=1e-9)
        np.testing.assert_allclose(se[:, j], fit.bse[3:], rtol=1e-9)
        np.testing.assert_allclose(10 ** log10p[:, j], fit.pvalues[3:], rtol=1e-8)
    twins = np.column_stack([x, 2 * x[:, 0] - 3 * x[:, 2], np.ones(60)])
    effect, _, log10p = joint_tests(y, twins, z)
    assert np.isnan(effect[[0, 2, 4, 5]]).all()
    assert np.isfinite(log10p[[1, 3]]).all()


def test_groups_follow_residual_correlations() -> None:
    rng = np.random.default_rng(2)
    common, age = rng.normal(size=(80, 2)), rng.normal(size=(80, 1))
    y = np.repeat(common, 3, axis=1) * [1, -1, 1, 1, 1, -1] + 0.5 * rng.normal(size=(80, 6))
    y = np.column_stack([y, 5 * age + rng.normal(size=(80, 1)), 5 * age + rng.normal(size=(80, 1))])
    assert phenotype_groups(y, age, 0.3).tolist() == [0, 0, 0, 1, 1, 1, 2, 3]
    assert phenotype_groups(y, None, 0.3)[6] == phenotype_groups(y, None, 0.3)[7]
    names = [f"f{j}" for j in range(8)]
    images = PhenotypeTable.from_frame(
        {"sample": [f"s{i}" for i in range(80)]} | dict(zip(names, y.T, strict=True))
    )
    scores = score_groups(images, {name: "abcdefgh"[j // 3] for j, name in enumerate(names)})
    assert scores.names == ("group a", "group b", "group c")
    assert abs(np.corrcoef(scores.values[:, 0], common[:, 0])[0, 1]) > 0.9
    with pytest.raises(InputError, match="No group is given"):
        score_groups(images, {"f0": "a"})


def test_adaptive_bh_by_hand() -> None:
    p = np.array([0.01, 0.02, 0.03, 0.9, np.nan])
    # One value above 1/2: the share is (1 + 1)/(0.5 x 4) = 1, plain BH.
    np.testing.assert_allclose(adaptive_bh(p)[:4], [0.04, 0.04, 0.04, 0.9])
    np.testing.assert_allclose(adaptive_bh(p[:3]), np.array([0.03, 0.03, 0.03]) * 2 / 3)


def test_wrong_requests_of_drivers() -> None:
    tables, _ = SIMULATED["cohort"](np.random.default_rng(6), 60)
    with pytest.raises(InputError, match="level"):
        drivers(*tables, level=1.5)
    with pytest.raises(InputError, match="too few for a model"):
        drivers(tables[0].take(rows=np.arange(18)), *tables[1:])
    with pytest.raises(InputError, match="No group is given"):
        drivers(*tables, groups={"f0": "a"})


def test_sets_of_unrelated_genes_are_not_coherent() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(60, 90))
    x[:, :12] += 0.8 * rng.normal(size=(60, 1))
    x[5, 3] = np.nan
    genes = [f"g{j}" for j in range(90)]
    layer = OmicsTable([f"s{i}" for i in range(60)], genes, x, "expression", "log2")
    sets = {"real": genes[:12], "noise": genes[20:32], "few": genes[:2], "gone": ["x", "y", "z"]}
    found = {row["set"]: row for row in set_coherence(layer, sets).iter_rows(named=True)}
    filled = np.where(np.isfinite(x), x, np.nanmean(x, axis=0))
    r = np.corrcoef(filled[:, :12].T)
    want = (r.sum() - 12) / (12 * 11)
    assert found["real"]["mean_correlation"] == pytest.approx(want, rel=1e-9)
    assert found["real"]["p"] == pytest.approx(1 / 1001)
    assert found["noise"]["q"] > 0.05
    assert found["few"]["p"] is None
    assert found["gone"]["n_genes"] == 0


def test_treatment_modifies_one_gene_and_the_filter_keeps_the_level() -> None:
    """Interaction by a logistic and a Cox model equals the model with the product."""
    import statsmodels.api as sm

    rng = np.random.default_rng(4)
    n = 400
    ids = [f"s{i}" for i in range(n)]
    genes = (rng.random((n, 3)) < 0.4).astype(float)
    treated, age = (rng.random(n) < 0.5).astype(float), rng.normal(size=n)
    eta = -0.5 + 2.2 * genes[:, 0] * treated + 0.4 * age
    response = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(float)
    layer = OmicsTable(ids, ["A", "B", "C"], genes, "mutation", "binary")
    z = Covariates(tuple(ids), ("treated", "age"), np.column_stack([treated, age]))
    outcome = Outcome("response", "binary", ids, response)
    table = screen(layer, outcome, z, modifier="treated", filter_level=0.05).table
    row = table.row(0, named=True)
    design = np.column_stack([np.ones(n), treated, age, genes[:, 0], genes[:, 0] * treated])
    want = sm.Logit(response, design).fit(disp=0)
    assert row["effect"] == pytest.approx(want.params[-1], rel=1e-6)
    assert row["se"] == pytest.approx(want.bse[-1], rel=1e-6)
    assert row["q_bh"] < 0.05
    assert table["reason"][1] == "its own effect did not pass the filter"
    time = rng.exponential(np.exp(-0.9 * genes[:, 1] * treated))
    survival = Outcome("os", "censored", ids, time, rng.random(n) < 0.8)
    table = screen(layer, survival, z, modifier="treated").table
    from statsmodels.duration.hazard_regression import PHReg

    design = np.column_stack([treated, age, genes[:, 1], genes[:, 1] * treated])
    fit = PHReg(time, design, status=survival.events, ties="efron").fit()
    assert table["effect"][1] == pytest.approx(fit.params[-1], rel=1e-5)
    assert table["model"][1] == "outcome ~ phenotype x modifier"
    with pytest.raises(InputError, match="goes with modifier"):
        screen(layer, survival, z, filter_level=0.1)
    with pytest.raises(InputError, match="no covariate"):
        screen(layer, survival, z, modifier="treatd")


def test_table_of_the_simulated_cohort_is_as_committed(
    data: Callable[[str], Path],
) -> None:
    """The table in the repository is what the run gives; its truth is known to others alone."""
    folder = data("simulated_cohort")
    example = ROOT / "examples" / "simulated_cohort"
    table, words = runpy.run_path(str(example / "findings.py"))["findings"](folder)
    stored = pl.read_csv(example / "findings.csv", infer_schema_length=None)
    for name in ("finding", "driver", "target", "sign", "path", "mediator"):
        assert table[name].to_list() == stored[name].to_list(), name
    np.testing.assert_allclose(
        table["effect"].to_numpy(), stored["effect"].to_numpy(), rtol=2e-3, atol=1e-6
    )
    assert table.filter(pl.col("finding") == "drives").height == 100
    assert any("mediated through SET_09" in line for line in words)
