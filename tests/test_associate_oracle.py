"""Every test of a scan and a screen against SciPy, statsmodels and lifelines, by id."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import special, stats

from radgen.associate import scan, screen
from radgen.errors import InputError
from radgen.types import Covariates, OmicsTable, Outcome, PhenotypeTable

IDS = [f"p{i}" for i in range(90)]


def _row(result, phenotype: str, omics: str) -> dict:  # type: ignore[no-untyped-def]
    return result.table.filter((pl.col("phenotype") == phenotype) & (pl.col("omics") == omics)).row(
        0, named=True
    )


@pytest.fixture
def cohort() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(11)
    n = len(IDS)
    gene = (rng.random(n) < 0.4).astype(float)
    size = rng.normal(size=n) + gene
    rim = (rng.random(n) < special.expit(gene * 1.2 - 0.4)).astype(float)
    score = np.digitize(size + rng.logistic(size=n), [-1, 0.5, 2]).astype(float)
    age = rng.normal(60, 9, n)
    return {"gene": gene, "size": size, "rim": rim, "score": score, "age": age}


def _tables(c: dict[str, np.ndarray]):  # type: ignore[no-untyped-def]
    images = PhenotypeTable.from_frame({"sample": IDS, "size": c["size"], "rim": c["rim"]})
    mutation = OmicsTable(IDS, ["GENE"], c["gene"][:, None], "mutation", "binary")
    protein = OmicsTable(IDS, ["IHC"], c["score"][:, None], "protein", "ordinal")
    return images, mutation, protein, Covariates(tuple(IDS), ("age",), c["age"][:, None])


def test_binary_on_binary_is_firth_with_profile_limits(cohort) -> None:  # type: ignore[no-untyped-def]
    from radgen.stats.firth import firth_test

    images, mutation, _, z = _tables(cohort)
    row = _row(scan(images, mutation, z), "rim", "GENE")
    assert row["test"] == "firth"
    design = np.column_stack([np.ones(90), cohort["age"] / 10, cohort["gene"]])
    want = firth_test(cohort["rim"], design, 2)
    got = (row["effect"], row["se"], row["ci_low"], row["ci_high"])
    assert got == pytest.approx((want.effect, want.se, want.ci_low, want.ci_high), rel=1e-5)
    # Another test of the same hypothesis: close to the likelihood ratio where n is fair.
    assert row["log10p"] == pytest.approx(want.log10p, abs=0.3)


def test_logistic_equals_statsmodels(cohort) -> None:  # type: ignore[no-untyped-def]
    import statsmodels.api as sm

    images, mutation, _, z = _tables(cohort)
    row = _row(scan(images, mutation, z, test="logistic"), "size", "GENE")
    assert row["model"] == "omics ~ phenotype"
    design = np.column_stack([np.ones(90), cohort["age"], cohort["size"]])
    want = sm.Logit(cohort["gene"], design).fit(disp=0)
    low, high = want.conf_int()[2]
    got = (row["effect"], row["se"], row["ci_low"], row["ci_high"])
    assert got == pytest.approx((want.params[2], want.bse[2], low, high), rel=1e-6)


def test_ordinal_equals_statsmodels(cohort) -> None:  # type: ignore[no-untyped-def]
    from statsmodels.miscmodels.ordinal_model import OrderedModel

    images, _, protein, z = _tables(cohort)
    row = _row(scan(images, protein, z), "size", "IHC")
    assert row["test"] == "ordinal"
    design = np.column_stack([(cohort["age"] - 60) / 10, cohort["size"]])
    want = OrderedModel(cohort["score"], design, distr="logit").fit(
        method="bfgs", disp=0, gtol=1e-8
    )
    assert row["effect"] == pytest.approx(want.params[1], rel=1e-4)
    assert row["se"] == pytest.approx(want.bse[1], rel=1e-3)


def test_rank_and_table_tests_equal_scipy(cohort) -> None:  # type: ignore[no-untyped-def]
    images, mutation, protein, _ = _tables(cohort)
    gene, size, rim, score = (cohort[k] for k in ("gene", "size", "rim", "score"))
    row = _row(scan(images, mutation, test="mann_whitney"), "size", "GENE")
    want = stats.mannwhitneyu(size[gene == 1], size[gene == 0], method="asymptotic")
    assert row["p"] == pytest.approx(want.pvalue, rel=1e-9)
    row = _row(scan(images, protein, test="kruskal"), "size", "IHC")
    rank = stats.rankdata(size)
    want = stats.f_oneway(*(rank[score == g] for g in np.unique(score)))
    assert row["p"] == pytest.approx(want.pvalue, rel=1e-8)
    table = np.array([[np.sum((rim == a) & (gene == b)) for b in (0, 1)] for a in (0, 1)])
    row = _row(scan(images, mutation, test="fisher"), "rim", "GENE")
    assert row["p"] == pytest.approx(stats.fisher_exact(table).pvalue, rel=1e-9)
    row = _row(scan(images, mutation, test="chi2"), "rim", "GENE")
    assert row["p"] == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue)
    row = _row(scan(images, mutation, test="fisher"), "size", "GENE")
    assert row["status"] == "not_tested"
    assert "type" in row["reason"]
    with pytest.raises(InputError, match="cannot adjust"):
        scan(images, mutation, _tables(cohort)[3], test="fisher")


def test_separation_is_marked_and_finite(cohort) -> None:  # type: ignore[no-untyped-def]
    images, _, _, _ = _tables(cohort)
    gene = (cohort["size"] > 0.4).astype(float)
    mutation = OmicsTable(IDS, ["GENE"], gene[:, None], "mutation", "binary")
    row = _row(scan(images, mutation, test="logistic"), "size", "GENE")
    assert row["status"] == "warning"
    assert "Firth" in row["reason"]
    assert 0 < row["ci_low"] < row["effect"] < np.inf
    assert row["p"] < 1e-10


def test_max_t_is_enumerated_on_five_samples() -> None:
    from radgen.stats.permutation import max_t

    rng = np.random.default_rng(2)
    ids = ["e", "b", "d", "a", "c"]
    y, x = rng.normal(size=(5, 2)), rng.normal(size=(5, 3))
    images = PhenotypeTable.from_frame({"sample": ids, "f0": y[:, 0], "f1": y[:, 1]})
    rna = OmicsTable(ids, ["G0", "G1", "G2"], x, "expression", "log2")
    table = scan(images, rna, permutations=500, min_n=3, block_size=2).table
    want = max_t(y, x, n_permutations=500, seed=0)
    assert want.exact
    np.testing.assert_allclose(table["p_maxt"].to_numpy().reshape(2, 3), want.p.T, rtol=1e-12)


def test_max_t_is_the_same_at_any_block_size_and_order_of_layers(cohort) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(3)
    images, mutation, _, z = _tables(cohort)
    images = images.take(columns=np.array([0]))
    rna = OmicsTable(
        IDS[:70], [f"G{i}" for i in range(9)], rng.normal(size=(70, 9)), "expression", "log2"
    )
    strata = {item: i % 2 for i, item in enumerate(IDS)}
    one = scan(images, [mutation, rna], z, permutations=300, strata=strata, seed=5).table
    two = scan(
        images, [rna, mutation], z, permutations=300, strata=strata, seed=5, block_size=4
    ).table
    a = one.select("omics", "p_maxt").sort("omics")["p_maxt"]
    b = two.select("omics", "p_maxt").sort("omics")["p_maxt"]
    np.testing.assert_array_equal(a, b)
    assert one.filter(pl.col("omics") == "GENE")["p_maxt"][0] <= 0.02
    assert (one["p_maxt"] >= one["p"] - 0.05).all()


def test_screen_of_a_censored_outcome_equals_lifelines(cohort) -> None:  # type: ignore[no-untyped-def]
    import pandas as pd
    from lifelines import CoxPHFitter

    images, _, _, z = _tables(cohort)
    rng = np.random.default_rng(4)
    time = rng.exponential(np.exp(-0.7 * cohort["size"]))
    event = rng.random(90) < 0.7
    outcome = Outcome("OS", "censored", IDS[::-1], time[::-1], event[::-1])
    result = screen(images, outcome, z, standardise=False)
    row = result.table.row(0, named=True)
    frame = pd.DataFrame({"t": time, "e": event, "age": cohort["age"], "x": cohort["size"]})
    want = CoxPHFitter().fit(frame, "t", "e").summary.loc["x"]
    assert row["effect"] == pytest.approx(want["coef"], rel=1e-5)
    assert row["se"] == pytest.approx(want["se(coef)"], rel=1e-4)
    assert row["n_group1"] == event.sum()
    assert row["log10p"] == pytest.approx(np.log10(want["p"]), abs=1.5)
    assert row["p"] < 0.01
    assert "goes with higher hazard (log hazard ratio) of OS" in result.statements()[1]
    assert "the outcome OS" in result.methods()


@pytest.mark.parametrize("kind", ["continuous", "binary", "ordinal"])
def test_screen_by_kind_of_outcome(kind: str, cohort) -> None:  # type: ignore[no-untyped-def]
    images, _, _, z = _tables(cohort)
    key = {"continuous": "age", "binary": "gene", "ordinal": "score"}[kind]
    values = np.array(cohort[key])
    values[5] = np.nan
    result = screen(images, Outcome(key, kind, IDS, values), None if kind == "continuous" else z)
    assert result.table.height == 2
    assert result.n_used == 89
    assert dict(result.dropped.iter_rows()) == {"p5": "the outcome is missing"}
    assert (result.table["status"] == "ok").all()
    if kind != "continuous":
        assert result.table["p"][0] < 0.01


def test_martingale_residuals_are_orthogonal_to_the_covariates(cohort) -> None:  # type: ignore[no-untyped-def]
    from radgen.associate._survival import martingale_residuals

    rng = np.random.default_rng(6)
    time, event = rng.integers(1, 30, 90).astype(float), rng.random(90) < 0.6
    basis = np.column_stack([cohort["age"] - 60, cohort["gene"]]) / 10
    residual = martingale_residuals(time, event, basis)
    np.testing.assert_allclose(basis.T @ residual, 0, atol=1e-6)
    assert abs(residual.sum()) < 1e-8


@pytest.mark.parametrize("kind", ["volcano", "heatmap", "forest", "circos"])
def test_plots_are_drawn(kind: str, cohort) -> None:  # type: ignore[no-untyped-def]
    images, mutation, protein, z = _tables(cohort)
    result = scan(images, [mutation, protein], z)
    assert result.plot(kind).get_figure() is not None
    with pytest.raises(InputError, match="no plot"):
        result.plot("pie")
