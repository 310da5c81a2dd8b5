"""Mixed models, effect modifiers, paired designs and rank tests against golden values of R.

The values and the script with the versions lie in tests/golden/association (tests.R).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from radgen.associate import scan, screen
from radgen.errors import InputError
from radgen.stats import linear
from radgen.stats.clustered import random_intercept
from radgen.types import Covariates, OmicsTable, Outcome, PhenotypeTable

GOLDEN = Path(__file__).parent / "golden" / "association"


def _read(name: str) -> pl.DataFrame:
    return pl.read_csv(GOLDEN / f"{name}.csv", null_values="NA")


def _columns(frame: pl.DataFrame, *names: str) -> np.ndarray:
    return frame.select(pl.col(names).cast(pl.Float64)).to_numpy()


def _images(frame: pl.DataFrame, *names: str) -> PhenotypeTable:
    ids = [f"s{i:03d}" for i in range(frame.height)]
    columns = {name: frame[name].cast(pl.Float64) for name in names}
    return PhenotypeTable.from_frame({"sample": ids, **columns})


def _layer(frame: pl.DataFrame, *names: str, scale: str = "mixed") -> OmicsTable:
    ids = [f"s{i:03d}" for i in range(frame.height)]
    return OmicsTable(ids, names, _columns(frame, *names), "other", scale)


def _covariates(frame: pl.DataFrame, *names: str) -> Covariates:
    ids = tuple(f"s{i:03d}" for i in range(frame.height))
    return Covariates(ids, names, _columns(frame, *names))


@pytest.mark.parametrize(
    "want", _read("lmertest").to_dicts(), ids=lambda w: f"{w['trait']}-{w['x']}"
)
def test_random_intercept_equals_lmertest(want: dict) -> None:  # type: ignore[type-arg]
    data = _read("lesions_input")
    z = _columns(data, "age", "depth")
    fit = random_intercept(
        data[want["trait"]].to_numpy(), _columns(data, want["x"]), z, data["patient"].to_numpy()
    )
    # lmer's optimiser stops at about 1e-5 of the standard deviations.
    assert fit.effect[0] == pytest.approx(want["effect"], rel=2e-5)
    assert fit.se[0] == pytest.approx(want["se"], rel=2e-5)
    assert fit.df[0] == pytest.approx(want["df"], rel=2e-4)
    assert 10 ** fit.log10p[0] == pytest.approx(want["p"], rel=2e-4)
    assert fit.between[0] == pytest.approx(want["between"], rel=1e-4, abs=1e-9)
    assert fit.within[0] == pytest.approx(want["within"], rel=1e-4)


def test_scan_of_lesions_takes_patient_tables() -> None:
    data = _read("lesions_input")
    images = _images(data, "weak", "none")
    patient = {f"s{i:03d}": f"p{p}" for i, p in enumerate(data["patient"])}
    people = data.unique("patient", keep="first", maintain_order=True)
    ids = [f"p{p}" for p in people["patient"]]
    genes = OmicsTable(ids, ["TP53"], _columns(people, "mutation"), "mutation", "binary")
    z = _covariates(data, "age", "depth")
    row = scan(images, genes, z, clusters=patient).table.row(0, named=True)
    want = _read("lmertest").row(0, named=True)
    assert row["test"] == "mixed"
    assert row["effect"] == pytest.approx(want["effect"], rel=2e-5)
    assert row["p"] == pytest.approx(want["p"], rel=2e-4)
    with pytest.raises(InputError, match="need both"):
        scan(images, genes, z, test="mixed")
    with pytest.raises(InputError, match="names no patient"):
        scan(images, genes, z, clusters={"s000": "p1"})


def test_groups_are_counted_in_patients() -> None:
    """Ten lesions of two mutated patients are no ten mutated patients."""
    rng = np.random.default_rng(1)
    patient = np.repeat(np.arange(12), 5)
    ids = [f"l{i:02d}" for i in range(60)]
    images = PhenotypeTable.from_frame({"sample": ids, "f": rng.normal(size=60)})
    genes = OmicsTable(ids, ["G"], (patient < 2).astype(float)[:, None], "mutation", "binary")
    row = scan(images, genes, clusters=dict(zip(ids, patient, strict=True))).table
    assert row["status"].to_list() == ["not_tested"]
    assert "groups" in row["reason"][0]


def test_degenerate_mixed_models_say_why() -> None:
    rng = np.random.default_rng(2)
    code = np.repeat(np.arange(6), 3)
    z = rng.normal(size=(18, 1))
    x = np.column_stack([rng.normal(size=18), np.ones(18), 2 * z[:, 0]])
    y = rng.normal(size=18)
    assert random_intercept(y, x, z, code).status.tolist() == [
        linear.OK,
        linear.CONSTANT_PREDICTOR,
        linear.COLLINEAR,
    ]
    assert (random_intercept(np.ones(18), x, z, code).status == linear.CONSTANT_TRAIT).all()
    assert (random_intercept(y, x, z, np.zeros(18)).status == linear.TOO_FEW).all()
    alone = random_intercept(y, x[:, :1], z, np.arange(18))
    plain = linear.regress(y[:, None], x[:, :1], z)
    # With a patient a lesion the two variances are one: least squares.
    assert alone.effect[0] == pytest.approx(plain.effect[0, 0], rel=1e-9)
    assert alone.se[0] == pytest.approx(plain.se[0, 0], rel=1e-7)


def test_interaction_and_hc3_equal_r() -> None:
    data = _read("clinic_input")
    want = {row["test"]: row for row in _read("models").iter_rows(named=True)}
    images, z = _images(data, "y"), _covariates(data, "age", "sex")
    genes = _layer(data, "m", scale="binary")
    row = scan(images, genes, z, modifier="age").table.row(0, named=True)
    assert row["model"] == "phenotype ~ omics x modifier"
    for name, key in (("effect", "value"), ("se", "se"), ("p", "p")):
        assert row[name] == pytest.approx(want["interaction"][key], rel=1e-9)
    assert row["n_group1"] == data["m"].sum()
    row = scan(images, genes, z, test="linear_hc3").table.row(0, named=True)
    for name, key in (("effect", "value"), ("se", "se"), ("p", "p")):
        assert row[name] == pytest.approx(want["hc3"][key], rel=1e-9)
    with pytest.raises(InputError, match="no covariate"):
        scan(images, genes, z, modifier="agee")
    with pytest.raises(InputError, match="no effect modifier"):
        scan(images, genes, z, modifier="age", test="spearman")


def test_interaction_of_classes_is_the_model_with_the_product() -> None:
    import statsmodels.api as sm

    data = _read("clinic_input")
    row = scan(
        _images(data, "b"), _layer(data, "m"), _covariates(data, "age", "sex"),
        modifier="age", test="logistic",
    ).table.row(0, named=True)  # fmt: skip
    m, age = data["m"].to_numpy(), data["age"].to_numpy()
    design = np.column_stack([np.ones(len(m)), age, data["sex"], m, m * age])
    fit = sm.Logit(data["b"].to_numpy(), design).fit(disp=0, tol=1e-14)
    want = fit.params[-1] if row["model"].startswith("phenotype") else None
    if want is None:  # the gene is the outcome: the product is of phenotype and age
        b = data["b"].to_numpy()
        design = np.column_stack([np.ones(len(m)), age, data["sex"], b, b * age])
        fit = sm.Logit(m, design).fit(disp=0, tol=1e-14)
        want = fit.params[-1]
    assert row["effect"] == pytest.approx(want, rel=1e-6)
    assert row["se"] == pytest.approx(fit.bse[-1], rel=1e-6)


def test_ordinal_logistic_and_cox_models_equal_r() -> None:
    data = _read("clinic_input")
    want = {row["test"]: row for row in _read("models").iter_rows(named=True)}
    ids = [f"s{i:03d}" for i in range(data.height)]
    z, images = _covariates(data, "age", "sex"), _images(data, "x")
    outcomes = {
        "clm": Outcome("grade", "ordinal", ids, _columns(data, "grade")[:, 0]),
        "glm": Outcome("b", "binary", ids, _columns(data, "b")[:, 0]),
        "coxph": Outcome(
            "os", "censored", ids, data["time"].to_numpy(), data["event"].to_numpy() == 1
        ),
    }
    for name, outcome in outcomes.items():
        row = screen(images, outcome, z, standardise=False).table.row(0, named=True)
        assert row["effect"] == pytest.approx(want[name]["value"], rel=1e-6), name
        assert row["se"] == pytest.approx(want[name]["se"], rel=1e-6), name
    # polr computes its information numerically.
    assert want["polr"]["se"] == pytest.approx(want["clm"]["se"], rel=1e-6)


def test_rank_and_table_tests_equal_r() -> None:
    from radgen.stats import contingency, rank

    data = _read("ranks_input")
    want = {row["test"]: row for row in _read("ranks").iter_rows(named=True)}
    y, k = data["y"].to_numpy(), data["k"].to_numpy().astype(float)
    test = rank.kruskal(y, k, reference="chi2")
    assert test.statistic == pytest.approx(want["kruskal_chi2"]["value"], rel=1e-10)
    assert 10**test.log10p == pytest.approx(want["kruskal_chi2"]["p"], rel=1e-10)
    table = np.zeros((2, 2))
    np.add.at(table, (data["g"].to_numpy(), data["b"].to_numpy()), 1)
    assert 10 ** contingency.fisher_exact(table).log10p == pytest.approx(
        want["fisher"]["p"], rel=1e-10
    )
    wide = np.zeros((4, 2))
    np.add.at(wide, (data["k"].to_numpy(), data["b"].to_numpy()), 1)
    test = contingency.chi2_test(wide)
    assert test.statistic == pytest.approx(want["chi2"]["value"], rel=1e-10)
    assert 10**test.log10p == pytest.approx(want["chi2"]["p"], rel=1e-10)


def test_paired_design_equals_limma() -> None:
    """Patients as covariates make a paired test of what differs within them."""
    data = _read("paired_input")
    genes = [name for name in data.columns if name.startswith("X")]
    ids = [f"s{i:03d}" for i in range(data.height)]
    rna = OmicsTable(ids, genes, _columns(data, *genes), "expression", "log2")
    levels = sorted(set(data["patient"]))[1:]
    dummies = np.column_stack([(data["patient"] == item).to_numpy() for item in levels])
    pairs = Covariates(tuple(ids), tuple(f"p{i}" for i in levels), dummies.astype(float))
    table = scan(_images(data, "tumour"), rna, pairs, test="moderated", min_group=2).table
    want = _read("paired")
    np.testing.assert_allclose(table["effect"], want["effect"], rtol=1e-9)
    np.testing.assert_allclose(table["statistic"], want["t"], rtol=1e-6)
    np.testing.assert_allclose(table["p"], want["p"], rtol=1e-6)
    # And without moderation it is the one-sample t-test of the differences.
    from scipy.stats import ttest_1samp

    plain = scan(_images(data, "tumour"), rna, pairs, test="linear", min_group=2).table
    difference = rna.values[1::2] - rna.values[::2]
    exact = ttest_1samp(difference, 0)
    swapped = linear.regress(rna.values, data["tumour"].to_numpy()[:, None], dummies)
    np.testing.assert_allclose(swapped.t[0], exact.statistic, rtol=1e-9)
    assert plain["model"][0] == "phenotype ~ omics"
