"""Interaction scans against PLINK 2, statsmodels and R's survival package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

from radgen.associate import gwas
from radgen.errors import InputError
from radgen.types import ArrayDosages, GenotypeMatrix

_GOLDEN = Path(__file__).parent / "golden" / "gwas"
_TABLE = pl.read_csv(_GOLDEN / "interaction_input.csv", null_values=["NA"])
_COVARIATES = _TABLE.select("sample", "age", "arm")


@pytest.fixture(scope="module")
def genotypes():
    calls = _TABLE.select(f"X{j}" for j in range(1, 7)).to_numpy().T.astype(np.float32)
    rows = {"chrom": ["1"] * 6, "pos": range(1, 7), "id": [f"v{j}" for j in range(1, 7)]}
    variants = pl.DataFrame(rows | {"ref": ["A"] * 6, "alt": ["C"] * 6})
    return GenotypeMatrix(tuple(_TABLE["sample"]), variants, ArrayDosages(calls))


def scan(genotypes, trait, model, **options):
    table = _TABLE.select("sample", trait, *(["event"] if model == "cox" else []))
    if model == "cox":
        options |= {"traits": ["time"], "event": "event"}
    return gwas(genotypes, table, _COVARIATES, model=model, interaction="arm", **options).frame


def design(row, trait):
    """Return outcome and design of a variant: intercept, age, arm, dosage, product."""
    table = _TABLE.select(trait, "age", "arm", f"X{row + 1}").drop_nulls().to_numpy()
    y, age, arm, g = table.T.astype(float)
    return y, np.column_stack([np.ones(len(y)), age, arm, g, arm * g])


@pytest.mark.parametrize(("trait", "model"), [("volume", "linear"), ("case", "logistic")])
def test_interactions_equal_plink2(genotypes, trait, model):
    found = scan(genotypes, trait, model)
    want = pl.read_csv(_GOLDEN / f"interaction_{trait}.csv")
    sign = np.where(found["alt"] == want["a1"][::2], 1.0, -1.0)
    product, own = want.filter(test="ADDxarm"), want.filter(test="ADD")
    effect = (lambda x: x) if model == "linear" else np.exp
    assert found["n"].to_list() == product["n"].to_list()
    # PLINK 2's logistic standard error of the product is 1 % low for the variant with missing
    # calls, whose estimates agree; statsmodels has ours to 1e-7 (below).
    few = 6 if model == "linear" else 5
    for beta, se, table in (("beta", "se", product), ("beta_main", "se_main", own)):
        # What six printed digits allow; PLINK 2's last logistic iteration leaves a little more.
        limit = 6e-6 if model == "linear" else 2e-5
        np.testing.assert_allclose(
            effect(sign * found[beta].to_numpy()), table["effect"], rtol=limit
        )
        np.testing.assert_allclose(found[se][:few], table["error"][:few], rtol=limit)
    np.testing.assert_allclose(found["p"][:few], product["p"][:few], rtol=5e-5)


@pytest.mark.parametrize("robust", [False, True])
@pytest.mark.parametrize(("trait", "model"), [("volume", "linear"), ("case", "logistic")])
def test_joint_and_robust_tests_equal_statsmodels(genotypes, trait, model, robust):
    api = pytest.importorskip("statsmodels.api")
    found = scan(genotypes, trait, model, robust=robust)
    for row in range(6):
        y, x = design(row, trait)
        if model == "linear":
            fit = api.OLS(y, x).fit(**({"cov_type": "HC3", "use_t": True} if robust else {}))
        else:
            fit = api.Logit(y, x).fit(disp=0, tol=1e-12, **({"cov_type": "HC0"} if robust else {}))
        joint = fit.wald_test(np.eye(5)[3:], use_f=model == "linear", scalar=True)
        one = found.row(row, named=True)
        assert one["beta"] == pytest.approx(fit.params[4], rel=1e-7)
        assert one["se"] == pytest.approx(fit.bse[4], rel=1e-7)
        assert one["se_main"] == pytest.approx(fit.bse[3], rel=1e-7)
        assert one["p"] == pytest.approx(fit.pvalues[4], rel=1e-6)
        assert 10 ** one["log10p_joint"] == pytest.approx(float(joint.pvalue), rel=1e-6)


@pytest.mark.parametrize("robust", [False, True])
def test_survival_interactions_equal_coxph(genotypes, robust):
    found = scan(genotypes, "time", "cox", robust=robust)
    want = pl.read_csv(_GOLDEN / "interaction_cox.csv")
    assert found["n"].to_list() == want["n"].to_list()
    np.testing.assert_allclose(found["beta"], want["beta"], rtol=1e-6)
    np.testing.assert_allclose(found["beta_main"], want["main"], rtol=1e-6)
    se, joint = ("robust", "robust_joint") if robust else ("se", "joint")
    np.testing.assert_allclose(found["se"], want[se], rtol=1e-6)
    np.testing.assert_allclose(
        found["log10p_joint"], np.log10(stats.chi2.sf(want[joint], 2)), rtol=1e-6
    )


def test_a_trait_does_not_depend_on_its_company_or_on_blocks(genotypes):
    two = _TABLE.select("sample", "volume", other=pl.col("time").cast(float))
    options = {"model": "linear", "interaction": "arm", "robust": True}
    both = gwas(genotypes, two, _COVARIATES, **options, block_size=2).frame
    alone = gwas(genotypes, two.drop("other"), _COVARIATES, **options).frame
    found = both.filter(phenotype="volume")
    for name in ("beta", "se", "log10p", "beta_main", "log10p_joint"):
        np.testing.assert_allclose(found[name], alone[name], rtol=1e-11)


def test_separated_and_aliased_terms(genotypes):
    calls = np.zeros((3, 220), np.float32)
    arm = _TABLE["arm"].to_numpy()
    case = _TABLE["case"].to_numpy()
    calls[0, np.flatnonzero((arm == 1) & (case == 1))[:6]] = 1  # carriers: treated cases only
    calls[1, np.flatnonzero((arm == 1) & (case == 1))[:4]] = 1
    calls[1, np.flatnonzero(arm == 0)[:8]] = 1
    rows = {"chrom": ["1"] * 3, "pos": range(3), "id": ["a", "b", "c"]}
    variants = pl.DataFrame(rows | {"ref": ["A"] * 3, "alt": ["C"] * 3})
    rare = GenotypeMatrix(genotypes.samples, variants, ArrayDosages(calls))
    found = scan(rare, "case", "logistic")
    # Carriers in one arm only: the product is the variant itself. c does not vary.
    assert found["t"].is_nan().to_list() == [True, False, True]
    # Every treated carrier of b is a case: no maximum, but Firth's estimate.
    assert 0 < found["beta"][1] < 10
    assert found["log10p_joint"].is_nan().to_list() == [True, False, True]
    same, flat = "variant, product and covariates say the same", "the variant does not vary"
    assert found["reason"].to_list() == [same, "separated: Firth's estimate and test", flat]
    linear = scan(rare, "volume", "linear")
    assert linear["t"].is_nan().to_list() == [True, False, True]
    assert linear["reason"].to_list() == [same, None, flat]
    assert scan(rare, "time", "cox")["t"].is_nan().to_list()[::2] == [True, True]
    assert scan(rare, "time", "cox")["reason"].to_list() == [same, None, flat]


def test_undefined_survival_interactions_say_why(genotypes):
    arm, event = _TABLE["arm"].to_numpy(), _TABLE["event"].to_numpy()
    calls = np.zeros((3, 220), np.float32)
    # No treated carrier of the first dies; of the second, few people have a call and an event.
    calls[0, np.flatnonzero((arm == 1) & (event == 0))[:8]] = 1
    calls[0, np.flatnonzero(arm == 0)[:20]] = 1
    calls[1, ::3] = 1
    calls[1, np.flatnonzero(event == 1)[4:]] = np.nan
    calls[2, ::3] = 1
    rows = {"chrom": ["1"] * 3, "pos": range(3), "id": ["a", "b", "c"]}
    variants = pl.DataFrame(rows | {"ref": ["A"] * 3, "alt": ["C"] * 3})
    rare = GenotypeMatrix(genotypes.samples, variants, ArrayDosages(calls))
    few = _TABLE.with_columns(
        seldom=pl.Series(np.where(np.cumsum(event == 1) <= 3, event, 0)), months="time"
    )
    options = {"traits": ["time", "months"], "event": ["event", "seldom"], "interaction": "arm"}
    result = gwas(rare, few, _COVARIATES, model="cox", **options)
    found = result.frame.filter(phenotype="time")
    assert found["reason"].to_list() == [
        "no maximum of the likelihood: an effect is infinite (separation)",
        "too few samples or events for the model",
        None,
    ]
    assert found["t"].is_nan().to_list() == found["log10p_joint"].is_nan().to_list()
    assert found["t"].is_nan().to_list() == [True, True, False]
    # A trait with few events costs its own tests only.
    other = result.frame.filter(phenotype="months")
    assert set(other["reason"]) == {"the trait has no test: see the notes"}
    assert other["p"].is_nan().all()
    assert any("'months' has 3 events" in note for note in result.warnings)
    with pytest.raises(InputError, match="3 events"):
        gwas(rare, few, _COVARIATES, model="cox", traits=["months"], event="seldom",
             interaction="arm")  # fmt: skip


def test_interactions_are_stored_resumed_and_told(genotypes, tmp_path):
    table = _TABLE.select("sample", "volume")
    options = {"interaction": "arm", "out": tmp_path / "x.parquet"}
    result = gwas(genotypes, table, _COVARIATES, **options)
    stored = pl.read_parquet(tmp_path / "x.parquet")
    assert stored.columns[-5:] == ["p", "beta_main", "se_main", "log10p_joint", "reason"]
    assert stored["reason"].is_null().all()
    assert "product of the dosage with arm" in result.methods()
    assert result.summary["df"].to_list() == [214 - 3 - 2]


def test_bad_interactions_are_refused(genotypes):
    table = _TABLE.select("sample", "volume")
    with pytest.raises(InputError, match="Did you mean 'arm'"):
        gwas(genotypes, table, _COVARIATES, interaction="arn")
    sites = _COVARIATES.with_columns(site=pl.Series(["a", "b", "c", "d"] * 55))
    with pytest.raises(InputError, match="has 4 classes"):
        gwas(genotypes, table, sites, interaction="site")
    with pytest.raises(InputError, match="goes with an interaction"):
        gwas(genotypes, table, _COVARIATES, robust=True)
    with pytest.raises(InputError, match="no interaction scan"):
        gwas(genotypes, table, _COVARIATES, model="ordinal", interaction="arm")
