"""Mediation: models against R, effects against their definitions and statsmodels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import integrate, stats
from scipy.special import expit
from typer.testing import CliRunner

from radgen.associate import mediate
from radgen.cli.app import app
from radgen.errors import FitError, InputError
from radgen.stats import mediation as core
from radgen.stats._mediation_fits import cox_fits, linear_fits, logistic_fits, risk
from radgen.stats.cox import fit_cox
from radgen.types import Outcome

GOLDEN = Path(__file__).parent / "golden" / "mediation"


@pytest.fixture(scope="module")
def cohort():
    return pl.read_csv(GOLDEN / "cohort.csv")


@pytest.fixture(scope="module")
def want():
    return {row["name"]: row for row in pl.read_csv(GOLDEN / "expected.csv").iter_rows(named=True)}


def of(table, kind, mediators=("m",)):
    z = np.column_stack([table["age"], (table["sex"] == "M").cast(pl.Float64)])
    y = {"continuous": "y", "binary": "case", "censored": "time"}[kind]
    event = table["event"].to_numpy() == 1 if kind == "censored" else None
    return core.MediationData(
        table["x"].to_numpy(), table.select(mediators).to_numpy(), table[y].to_numpy(), z, kind,
        event,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "name"), [("continuous", "linear"), ("binary", "logistic"), ("censored", "cox")]
)
def test_paths_equal_r(cohort, want, kind, name):
    fit = core.mediation(of(cohort, kind), rng=np.random.default_rng(0), n_bootstrap=0)
    for path, key in ((fit.a[0], "a"), (fit.b[0], f"{name}_b")):
        assert path.effect == pytest.approx(want[key]["value"], rel=1e-8)
        assert path.se == pytest.approx(want[key]["se"], rel=1e-6)
        assert 10**path.log10p == pytest.approx(want[key]["p"], rel=1e-7)
    assert fit.log10p[0] == max(fit.a[0].log10p, fit.b[0].log10p)
    if kind != "binary":
        product = want["a"]["value"] * want[f"{name}_b"]["value"]
        assert fit.indirect[0] == pytest.approx(product, rel=1e-8)
        assert fit.direct == pytest.approx(want[f"{name}_direct"]["value"], rel=1e-8)
    if kind == "censored":
        assert fit.total == pytest.approx(want["cox_total"]["value"], rel=1e-8)


def test_continuous_effects_add_up_to_the_total(cohort):
    fit = core.mediation(
        of(cohort, "continuous", ("m", "m2")), rng=np.random.default_rng(0), n_bootstrap=0
    )
    z = np.column_stack([np.ones(160), cohort["x"], cohort["age"], cohort["sex"] == "M"])
    whole = np.linalg.lstsq(z, cohort["y"].to_numpy(), rcond=None)[0][1]
    assert fit.indirect[2] == pytest.approx(fit.indirect[:2].sum(), rel=1e-12)
    assert fit.indirect[2] + fit.direct == pytest.approx(whole, rel=1e-10)
    assert fit.total == pytest.approx(whole, rel=1e-10)


def test_effects_on_the_risk_are_integrals_over_the_mediator(cohort):
    data = of(cohort.head(40), "binary")
    fit = core.mediation(data, rng=np.random.default_rng(0), n_bootstrap=0)
    base = np.column_stack([np.ones(40), data.x, data.z])
    coef, residual = linear_fits(base, data.m, np.ones((1, 40)))
    theta = logistic_fits(np.column_stack([base, data.m]), data.y, np.ones((1, 40)))[0]
    sd = float(np.sqrt(residual[0, 0, 0]))

    def chance(x, through):
        total = 0.0
        for row in base:
            mean = np.r_[1, through, row[2:]] @ coef[0, :, 0]
            direct = np.r_[1, x, row[2:]] @ theta[:4]
            total += integrate.quad(
                lambda m, d=direct, c=mean: expit(d + theta[4] * m) * stats.norm.pdf(m, c, sd),
                mean - 9 * sd, mean + 9 * sd,
            )[0]  # fmt: skip
        return total / 40

    low, high = data.x.mean() - 0.5, data.x.mean() + 0.5
    both, crossed, none = chance(high, high), chance(high, low), chance(low, low)
    assert fit.indirect[0] == pytest.approx(both - crossed, abs=1e-7)
    assert fit.direct == pytest.approx(crossed - none, abs=1e-7)
    assert fit.total == pytest.approx(both - none, abs=1e-7)


def test_effects_on_the_risk_agree_with_statsmodels(cohort):
    import statsmodels.api as sm
    from statsmodels.stats.mediation import Mediation

    binary = cohort.with_columns(x=(pl.col("x") > pl.col("x").median()).cast(pl.Float64))
    data = of(binary, "binary")
    fit = core.mediation(data, rng=np.random.default_rng(3), n_bootstrap=2000)
    outcome = np.column_stack([np.ones(160), data.x, data.z, data.m])
    through = outcome[:, :4]
    model = Mediation(
        sm.GLM(data.y, outcome, family=sm.families.Binomial()), sm.OLS(data.m[:, 0], through),
        [1, 1], 4,
    )  # fmt: skip
    np.random.seed(1)  # noqa: NPY002 - statsmodels draws from the global stream
    found = model.fit(method="parametric", n_rep=1000).summary()
    # They average over draws of the parameters; the sampling error of 1,000 is about 0.001.
    assert fit.indirect[0] == pytest.approx(found.loc["ACME (treated)", "Estimate"], abs=0.01)
    assert fit.direct == pytest.approx(found.loc["ADE (control)", "Estimate"], abs=0.015)
    limits = [found.loc["ACME (treated)", f"{side} CI bound"] for side in ("Lower", "Upper")]
    np.testing.assert_allclose([fit.low[0], fit.high[0]], limits, atol=0.03)


def test_weighted_fits_are_those_of_repeated_people(cohort, want):
    data = of(cohort, "censored")
    design = np.column_stack([data.x, data.m, data.z])
    design = (design - design.mean(axis=0)) / design.std(axis=0)
    scale = np.column_stack([data.x, data.m, data.z]).std(axis=0)
    # Tied deaths with weights, by R.
    pattern = np.tile([0.0, 1, 2, 1], 40)
    beta = cox_fits(design, risk(data.y, data.event), pattern[None])[0] / scale
    used = pattern > 0
    exact = fit_cox(design[used], data.y[used], data.event[used], weights=pattern[used]).beta
    assert exact[1] / scale[1] == pytest.approx(want["cox_weighted_m"]["value"], rel=1e-8)
    # Deaths with weight 0 still count among the ties here: close, not equal.
    np.testing.assert_allclose(beta, exact / scale, atol=0.02)
    rng = np.random.default_rng(1)
    apart = data.y + rng.permutation(160) / 1000
    w = rng.multinomial(160, np.full(160, 1 / 160), 3).astype(float)
    ours = cox_fits(design, risk(apart, data.event), w)
    base = np.column_stack([np.ones(160), design])
    binary = logistic_fits(base, of(cohort, "binary").y, w)
    for draw in range(3):
        keep = w[draw] > 0
        theirs = fit_cox(design[keep], apart[keep], data.event[keep], weights=w[draw][keep])
        np.testing.assert_allclose(ours[draw], theirs.beta, atol=1e-9)
        rows = np.repeat(np.arange(160), w[draw].astype(int))
        own = logistic_fits(base[rows], of(cohort, "binary").y[rows], np.ones((1, 160)))[0]
        np.testing.assert_allclose(binary[draw], own, atol=1e-9)


def test_bootstrap_limits_are_quantiles_of_refitted_samples(cohort):
    data = of(cohort, "continuous")
    fit = core.mediation(data, rng=np.random.default_rng(5), n_bootstrap=400)
    rng, n = np.random.default_rng(5), 160
    first = np.column_stack([np.ones(n), data.x, data.z])
    whole = np.column_stack([first, data.m])
    drawn = []
    for counts in rng.multinomial(n, np.full(n, 1 / n), 400):
        rows = np.repeat(np.arange(n), counts)
        a = np.linalg.lstsq(first[rows], data.m[rows, 0], rcond=None)[0][1]
        b = np.linalg.lstsq(whole[rows], data.y[rows], rcond=None)[0][4]
        drawn.append(a * b)
    limits = np.quantile(drawn, [0.025, 0.975])
    np.testing.assert_allclose([fit.low[0], fit.high[0]], limits, rtol=1e-9)


def test_sensitivity_is_the_confounding_that_explains_the_path_away(cohort):
    data = of(cohort, "continuous")
    fit = core.mediation(data, rng=np.random.default_rng(0), n_bootstrap=0)
    base = np.column_stack([np.ones(160), data.x, data.z])
    left = [v - base @ np.linalg.lstsq(base, v, rcond=None)[0] for v in (data.m[:, 0], data.y)]
    assert fit.rho_zero[0] == pytest.approx(np.corrcoef(*left)[0, 1], rel=1e-10)


@pytest.mark.parametrize("kind", ["continuous", "binary", "censored"])
def test_permuted_paths_agree_with_the_models(cohort, kind):
    table = cohort.with_columns(m=pl.col("m2"))
    data = of(table, kind)
    fit = core.mediation(data, rng=np.random.default_rng(0), n_bootstrap=0)
    found = core.permuted_paths(data, seed=1, n_permutations=1999)
    # The binomial error of 1,999 permutations, and that of the normal approximation.
    assert 10 ** found[0] == pytest.approx(10 ** fit.log10p[0], abs=0.015)


def outcome_of(table, kind):
    ids = tuple(table["sample"])
    if kind == "censored":
        return Outcome(
            "time",
            kind,
            ids,
            table["time"].to_numpy().astype(float),
            table["event"].to_numpy() == 1,
        )
    name = "y" if kind == "continuous" else "case"
    return Outcome(name, kind, ids, table[name].to_numpy().astype(float))


@pytest.mark.parametrize("kind", ["continuous", "binary", "censored"])
def test_tables_are_matched_by_id_and_failures_are_rows(cohort, kind):
    x = cohort.select("sample", "x", flat=pl.lit(1.0)).sample(fraction=1.0, shuffle=True, seed=3)
    m = cohort.select(
        "sample", "m", m2=pl.when(pl.col("sample") == "s5").then(None).otherwise("m2")
    )
    z = cohort.select("sample", "age", "sex").filter(pl.col("sample") != "s7")
    found = mediate(x, m, outcome_of(cohort, kind), z, seed=2, n_bootstrap=200)
    kept = cohort.filter(pl.col("sample") != "s7")
    alone = core.mediation(of(kept, kind), rng=np.random.default_rng(0), n_bootstrap=0)
    row = found.frame.row(0, named=True)
    assert row["indirect"] == pytest.approx(alone.indirect[0], rel=1e-7)
    assert row["n"] == 159
    assert found.frame["n"][1] == 158
    assert "constant" in found.frame.filter(exposure="flat")["reason"][0]
    assert found.dropped.rows() == [("s7", "absent from covariates")]
    again = mediate(x, m, outcome_of(cohort, kind), z, seed=2, n_bootstrap=200, pairs=[("x", "m2")])
    assert again.frame["indirect_low"][0] == found.frame["indirect_low"][1]
    joint = mediate(x, m, outcome_of(cohort, kind), z, seed=2, n_bootstrap=100, joint=True,
                    pairs=[("x", "m"), ("x", "m2")])  # fmt: skip
    assert joint.frame["mediator"].to_list() == ["m", "m2", "(all)"]
    for result in (found, joint):
        for name in result.plots:
            assert result.plot(name).figure is not None
        assert result.statements()
        assert "rho_zero" in result.methods()
    tables, plain = found.encode()
    assert type(found).decode(tables, plain).frame.equals(found.frame)


def test_what_cannot_be_mediated_is_refused(cohort):
    x, m = cohort.select("sample", "x"), cohort.select("sample", "m")
    y = outcome_of(cohort, "continuous")
    with pytest.raises(InputError, match="did you mean|No column"):
        mediate(x, m, y, seed=1, pairs=[("x", "mm")])
    with pytest.raises(InputError, match="an exposure and a mediator"):
        mediate(x, x, y, seed=1)
    with pytest.raises(InputError, match="100 draws"):
        mediate(x, m, y, seed=1, n_bootstrap=5)
    perfect = cohort.with_columns(case=(pl.col("m") > pl.col("m").median()).cast(pl.Int64))
    with pytest.raises(FitError, match="separation"):
        core.mediation(of(perfect, "binary"), rng=np.random.default_rng(0))


def test_the_command_writes_paths_and_a_report(cohort, tmp_path):
    for name, columns in (("x", ["x"]), ("m", ["m", "m2"]), ("z", ["age", "sex"])):
        cohort.select("sample", *columns).write_csv(tmp_path / f"{name}.csv")
    cohort.select("sample", "time", "event").write_csv(tmp_path / "y.csv")
    call = ["mediate", "--exposures", "x.csv", "--mediators", "m.csv", "--outcomes", "y.csv"]
    call = [str(tmp_path / item) if item.endswith(".csv") else item for item in call]
    call += ["--target", "time", "--event", "event", "--covariates", str(tmp_path / "z.csv")]
    call += ["--bootstrap", "100", "--out", str(tmp_path / "out")]
    ran = CliRunner().invoke(app, call, catch_exceptions=False)
    assert ran.exit_code == 0
    assert "2 paths to time were tested" in ran.output
    assert pl.read_csv(tmp_path / "out" / "paths.tsv", separator="\t").height == 2
    assert (tmp_path / "out" / "report.html").is_file()
