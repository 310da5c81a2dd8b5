"""Every test of a scan on input as it comes: ties, one class, separation, constants, gaps."""

from __future__ import annotations

import warnings

import numpy as np
import polars as pl
import pytest
from scipy import stats

from radgen.associate import TESTS, AssociationResult, scan, screen
from radgen.errors import InputError
from radgen.types import Covariates, OmicsTable, Outcome, PhenotypeTable

N = 40
IDS = tuple(f"s{i}" for i in range(N))
UNADJUSTED = ("mann_whitney", "kruskal", "jonckheere", "fisher", "chi2", "trend")


def _columns() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    gene = rng.standard_normal(N)
    carrier = (rng.random(N) < 0.4).astype(float)
    traits = {
        "normal": rng.standard_normal(N),
        "constant": np.full(N, 3.0),
        "missing": np.full(N, np.nan),
        "one differs": np.r_[np.zeros(N - 1), 1.0],
        "one class known": np.where(np.arange(N) < 30, 1.0, np.nan),
        "binary": (rng.random(N) < 0.5).astype(float),
        "ties": rng.integers(0, 3, N).astype(float),
        "huge": 1e150 * rng.standard_normal(N),
        "tiny": 1e-150 * rng.standard_normal(N),
        "offset": 1e9 + rng.standard_normal(N),
        "gaps": np.where(np.arange(N) % 2, np.nan, rng.standard_normal(N)),
        "few": np.r_[rng.standard_normal(5), np.full(N - 5, np.nan)],
        "the gene": gene.copy(),
        "separated": (gene > 0).astype(float),
        "nearly separated": ((gene > 0) ^ (np.arange(N) == 3)).astype(float),
        "sentinel": np.r_[1.7e308, rng.standard_normal(N - 1)],
        "infinite": np.r_[np.inf, rng.standard_normal(N - 1)],
    }
    genes = {
        "gene": gene,
        "carrier": carrier,
        "constant": np.zeros(N),
        "missing": np.full(N, np.nan),
        "rare": np.r_[1.0, np.zeros(N - 1)],
        "ties": rng.integers(0, 3, N).astype(float),
        "gaps": np.where(np.arange(N) % 3 == 0, np.nan, rng.standard_normal(N)),
        "carrier with gaps": np.where(np.arange(N) % 4 == 0, np.nan, carrier),
    }
    return traits, genes


def _covariates(kind: str) -> Covariates | None:
    z = np.random.default_rng(9).standard_normal((N, 2))
    if kind == "two":
        return Covariates(IDS, ("a", "b"), z)
    if kind == "collinear":
        return Covariates(IDS, ("a", "b", "c"), np.column_stack([z[:, 0], 2 * z[:, 0], np.ones(N)]))
    return None


def _scan(test: str, covariates: Covariates | None) -> AssociationResult:
    traits, genes = _columns()
    images = PhenotypeTable.from_frame(pl.DataFrame({"sample": IDS, **traits}))
    layer = OmicsTable(IDS, tuple(genes), np.column_stack(list(genes.values())), "other", "")
    options = {}
    if test == "negbinom":
        rng = np.random.default_rng(3)
        counts = [rng.poisson(5, N), np.zeros(N), np.r_[1, np.zeros(N - 1)],
                  rng.negative_binomial(2, 0.01, N)]  # fmt: skip
        names = ("poisson", "zero", "one", "large")
        layer = OmicsTable(
            IDS, names, np.column_stack(counts).astype(float), "expression", "counts"
        )
    if test == "mixed":
        options["clusters"] = {name: f"patient {k // 2}" for k, name in enumerate(IDS)}
    return scan(images, layer, covariates, test=test, **options)


@pytest.mark.parametrize("kind", ["none", "two", "collinear"])
@pytest.mark.parametrize("test", TESTS)
def test_every_pair_has_a_sound_number_or_a_reason(test: str, kind: str) -> None:
    if kind != "none" and test in UNADJUSTED:
        with pytest.raises(InputError, match="cannot adjust"):
            _scan(test, _covariates(kind))
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = _scan(test, _covariates(kind))
    frame = result.frame.with_columns(pl.col("status", "reason").cast(pl.String))
    tested = frame.filter(pl.col("status") != "not_tested")
    untested = frame.filter(pl.col("status") == "not_tested")
    assert tested.height
    assert tested["p"].is_between(0, 1).all()
    assert tested["log10p"].le(0).all()
    assert untested["p"].null_count() == untested.height
    assert not frame.filter(pl.col("status") != "ok")["reason"].is_in([""]).any()
    numbers = tested.select("effect", "se", "ci_low", "ci_high", "statistic").drop_nulls()
    perfect = numbers.filter(pl.col("se") > 0)
    assert np.isfinite(perfect.to_numpy()).all()
    assert not tested["phenotype"].cast(pl.String).is_in(["constant", "missing", "few"]).any()
    assert any("cells of the phenotypes" in note and "1e100" in note for note in result.warnings)


def _pairs(test: str, kind: str = "none"):  # type: ignore[no-untyped-def]
    """Yield the tested rows with their complete samples of both sides and covariates."""
    traits, genes = _columns()
    z = _covariates(kind)
    values = np.empty((N, 0)) if z is None else z.values
    tested = _scan(test, z).frame.filter(pl.col("status").cast(pl.String) == "ok")
    for row in tested.iter_rows(named=True):
        y, x = traits[row["phenotype"]].copy(), genes[row["omics"]]
        y[~np.isfinite(y) | (np.abs(y) > 1e100)] = np.nan
        known = np.isfinite(y) & np.isfinite(x)
        yield row, y[known], x[known], values[known]


@pytest.mark.parametrize("test", ["linear", "linear_hc3"])
def test_least_squares_equals_statsmodels_where_it_is_defined(test: str) -> None:
    import statsmodels.api as sm

    count = 0
    for row, y, x, z in _pairs(test, "two"):
        if row["phenotype"] == "tiny":
            continue  # statsmodels takes it for constant
        fit = sm.OLS(y, np.column_stack([np.ones(len(y)), z, x])).fit()
        se = fit.bse[3] if test == "linear" else fit.HC3_se[3]
        p = 2 * stats.t.sf(abs(fit.params[3] / se), fit.df_resid)
        rtol = 1e-5 if row["phenotype"] == "offset" else 1e-9
        np.testing.assert_allclose([row["effect"], row["se"]], [fit.params[3], se], rtol=rtol)
        assert row["p"] == pytest.approx(p, rel=rtol * 100)
        assert row["n"] == len(y)
        count += 1
    assert count > 30


def test_rank_tests_equal_scipy_on_ties_and_gaps() -> None:
    counts = dict.fromkeys(("spearman", "mann_whitney", "kruskal"), 0)
    for row, y, x, _ in _pairs("spearman"):
        want = stats.spearmanr(x, y)
        assert row["effect"] == pytest.approx(want.statistic, abs=1e-12)
        if row["n"] > 12:
            assert row["p"] == pytest.approx(want.pvalue, rel=1e-9)
        counts["spearman"] += 1
    for row, y, x, _ in _pairs("mann_whitney"):
        group, value = (x, y) if row["model"] == "phenotype ~ omics" else (y, x)
        parts = [value[group == k] for k in (1, 0)]
        exact = len(np.unique(value)) == len(value)
        want = stats.mannwhitneyu(*parts, method="exact" if exact else "asymptotic")
        assert row["p"] == pytest.approx(want.pvalue, rel=1e-9)
        counts["mann_whitney"] += 1
    for row, y, x, _ in _pairs("kruskal"):
        rank = stats.rankdata(y)
        want = stats.f_oneway(*(rank[x == level] for level in np.unique(x)))
        assert row["p"] == pytest.approx(want.pvalue, rel=1e-8)
        counts["kruskal"] += 1
    assert all(count >= 6 for count in counts.values()), counts


def test_table_tests_equal_scipy_on_sparse_tables() -> None:
    seen = 0
    for test in ("fisher", "chi2"):
        for row, y, x, _ in _pairs(test):
            levels = [np.unique(side) for side in (y, x)]
            table = [[np.sum((y == a) & (x == b)) for b in levels[1]] for a in levels[0]]
            if test == "fisher":
                want = stats.fisher_exact(table).pvalue
            else:
                want = stats.chi2_contingency(table, correction=False).pvalue
            assert row["p"] == pytest.approx(want, rel=1e-8)
            seen += 1
    assert seen >= 8


def test_logistic_equals_statsmodels_where_classes_overlap() -> None:
    import statsmodels.api as sm

    count = 0
    for row, y, x, z in _pairs("logistic", "two"):
        outcome, predictor = (y, x) if row["model"] == "phenotype ~ omics" else (x, y)
        scale = predictor.std()
        middle = predictor.mean()
        design = np.column_stack([np.ones(len(y)), z, (predictor - middle) / scale])
        fit = sm.Logit(outcome, design).fit(disp=0, method="newton", maxiter=100)
        want = [fit.params[3] / scale, fit.bse[3] / scale]
        np.testing.assert_allclose([row["effect"], row["se"]], want, rtol=1e-5)
        count += 1
    assert count >= 6


def test_separated_classes_are_said_and_bounded_by_firth() -> None:
    frame = _scan("logistic", None).frame.with_columns(pl.col("reason").cast(pl.String))
    row = frame.filter((pl.col("phenotype") == "separated") & (pl.col("omics") == "gene"))
    assert "separated" in row["reason"][0]
    assert np.isfinite(row["effect"][0])
    one = frame.filter(pl.col("phenotype") == "one class known")
    assert one["p"].null_count() == one.height
    assert set(one["reason"]) <= {
        "the outcome has one class only in the complete samples",
        "the trait is constant in the complete samples",
        "the predictor is constant in the complete samples",
        "fewer complete samples than the declared minimum",
        "fewer samples in one of the two groups than the declared minimum",
        "the test needs another type of data",
    }


def test_a_test_that_fits_no_pair_is_refused() -> None:
    images = PhenotypeTable.from_frame({"sample": IDS, "f": np.arange(N) * 1.0})
    layer = OmicsTable(IDS, ("g",), (np.arange(N) ** 1.5)[:, None], "expression", "log2")
    with pytest.raises(InputError, match="needs a binary outcome, and no pair has one"):
        scan(images, layer, test="firth")


def test_a_mixed_model_without_residue_is_a_perfect_fit() -> None:
    rng = np.random.default_rng(1)
    gene = rng.standard_normal(N)
    z = rng.standard_normal(N)
    images = PhenotypeTable.from_frame(
        {"sample": IDS, "line": 2 * gene + 3 * z + 1, "age": 5 * z, "free": rng.standard_normal(N)}
    )
    layer = OmicsTable(IDS, ("g",), gene[:, None], "expression", "log2")
    clusters = {name: f"p{k // 2}" for k, name in enumerate(IDS)}
    covariates = Covariates(IDS, ("age",), z[:, None])
    rows = {
        r["phenotype"]: r
        for r in scan(images, layer, covariates, clusters=clusters).frame.iter_rows(named=True)
    }
    assert rows["line"]["effect"] == pytest.approx(2.0)
    assert rows["line"]["p"] == 0
    assert "exact function" in rows["line"]["reason"]
    assert rows["age"]["p"] is None
    assert "combination of the covariates" in rows["age"]["reason"]
    assert rows["free"]["status"] == "ok"


def test_a_trait_of_patients_is_tested_with_their_number() -> None:
    rng = np.random.default_rng(4)
    patient = rng.standard_normal((N // 2, 2))
    each = np.repeat(patient, 2, axis=0)
    images = PhenotypeTable.from_frame({"sample": IDS, "f": each[:, 0]})
    layer = OmicsTable(IDS, ("g",), each[:, 1:], "expression", "log2")
    clusters = {name: f"p{k // 2}" for k, name in enumerate(IDS)}
    row = scan(images, layer, clusters=clusters).frame.row(0, named=True)
    want = stats.linregress(patient[:, 1], patient[:, 0])
    assert row["effect"] == pytest.approx(want.slope, rel=1e-6)
    assert row["p"] == pytest.approx(want.pvalue, rel=1e-3)


def _outcomes() -> dict[str, Outcome]:
    rng = np.random.default_rng(1)
    traits, _ = _columns()
    time, event = rng.exponential(2, N), rng.random(N) < 0.6
    third = np.arange(N) % 3 == 0
    return {
        "survival": Outcome("y", "censored", IDS, time, event),
        "ties": Outcome("y", "censored", IDS, np.ceil(time), event),
        "gaps": Outcome("y", "censored", IDS, np.where(third, np.nan, time), event),
        "no event": Outcome("y", "censored", IDS, time, np.zeros(N, bool)),
        "one event": Outcome("y", "censored", IDS, time, np.arange(N) == 3),
        "ordered by the gene": Outcome(
            "y", "censored", IDS, np.exp(-traits["the gene"]), np.ones(N, bool)
        ),
        "binary": Outcome("y", "binary", IDS, (rng.random(N) < 0.4) * 1.0),
        "one class": Outcome("y", "binary", IDS, np.ones(N)),
        "separated": Outcome("y", "binary", IDS, traits["separated"]),
        "continuous": Outcome("y", "continuous", IDS, rng.standard_normal(N)),
        "constant": Outcome("y", "continuous", IDS, np.ones(N)),
        "ordinal": Outcome("y", "ordinal", IDS, rng.integers(0, 4, N) * 1.0),
    }


@pytest.mark.parametrize("kind", ["none", "two", "collinear"])
@pytest.mark.parametrize("name", _outcomes())
def test_every_phenotype_of_a_screen_has_a_number_or_a_reason(name: str, kind: str) -> None:
    traits, _ = _columns()
    images = PhenotypeTable.from_frame(pl.DataFrame({"sample": IDS, **traits}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = screen(images, _outcomes()[name], _covariates(kind))
    frame = result.frame.with_columns(pl.col("status", "reason").cast(pl.String))
    tested = frame.filter(pl.col("status") != "not_tested")
    assert tested["p"].is_between(0, 1).all()
    assert not frame.filter(pl.col("status") != "ok")["reason"].is_in([""]).any()
    sound = tested.filter(pl.col("status") == "ok").select("effect", "se", "ci_low", "ci_high")
    assert np.isfinite(sound.to_numpy().astype(float)).all()
    none = name in ("no event", "one event", "one class", "constant")
    assert (tested.height == 0) if none else (tested.height >= 8)
    assert any("1e100" in note for note in result.warnings)
