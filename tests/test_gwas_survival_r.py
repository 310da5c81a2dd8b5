"""Survival and ordinal scans against R's survival package, and against their definitions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats
from scipy.optimize import brentq

from radgen.associate import gwas
from radgen.associate.genomewide._cox import CoxTrait
from radgen.associate.genomewide._ordinal import OrdinalTrait
from radgen.errors import FitError, InputError
from radgen.genome._blocks import centre
from radgen.stats.saddle import ResidualLaw, saddle_scores
from radgen.types import ArrayDosages, GenotypeMatrix, Outcome

_GOLDEN = Path(__file__).parent / "golden" / "gwas"


def matrix(calls, samples):
    m = len(calls)
    rows = {"chrom": ["1"] * m, "pos": range(1, m + 1), "id": [f"v{i}" for i in range(1, m + 1)]}
    variants = pl.DataFrame(rows | {"ref": ["A"] * m, "alt": ["C"] * m})
    return GenotypeMatrix(tuple(samples), variants, ArrayDosages(np.asarray(calls, np.float32)))


@pytest.fixture(scope="module")
def cox_data():
    table = pl.read_csv(_GOLDEN / "cox_input.csv", null_values=["NA"])
    calls = table.select(f"X{j}" for j in range(1, 9)).to_numpy().T
    genotypes = matrix(calls, table["sample"])
    return genotypes, table.select("sample", "time", "event"), table.select("sample", "age", "site")


def test_cox_scores_equal_coxph(cox_data):
    genotypes, table, covariates = cox_data
    options = {"model": "cox", "traits": ["time"], "event": "event"}
    found = gwas(genotypes, table, covariates, **options).frame
    want = pl.read_csv(_GOLDEN / "cox.csv")
    assert found["n"].to_list() == want["n"].to_list()
    np.testing.assert_allclose(np.square(found["t"])[:7], want["chisq"][:7], rtol=1e-9)
    # The last variant misses calls: they are dropped to first order.
    assert abs(np.sqrt(want["chisq"][7]) - abs(found["t"][7])) < 0.02
    above = (want["p"] > 0.05).to_numpy()
    np.testing.assert_allclose(found["p"].to_numpy()[above][:-1], want["p"].to_numpy()[above][:-1])
    # Below, the saddle point stands for the normal tail; common variants differ little.
    assert abs(found["log10p"][1] - np.log10(want["p"][1])) < 0.5
    # One step reaches most of a large effect, all of a small one.
    np.testing.assert_allclose(found["beta"], want["beta"], rtol=0.25, atol=0.03)


def test_cox_of_an_outcome_and_its_words(cox_data):
    genotypes, table, covariates = cox_data
    outcome = Outcome(
        "survival",
        "censored",
        tuple(table["sample"]),
        table["time"].to_numpy().astype(float),
        table["event"].to_numpy().astype(bool),
    )
    result = gwas(genotypes, outcome, covariates, model="cox")
    other = gwas(genotypes, table, covariates, model="cox", traits=["time"], event="event")
    assert result.frame["log10p"].equals(other.frame["log10p"])
    assert result.frame["phenotype"].unique().to_list() == ["survival"]
    assert "proportional hazards" in result.methods()


def naive_saddle(score, law_cgf, high=60.0):
    """Lugannani-Rice with numerical derivatives of the cumulant generating function."""

    def slope(t, h=1e-5):
        return (law_cgf(t + h) - law_cgf(t - h)) / (2 * h)

    def tail(s, sign):
        bracket = (1e-9, high) if s > 0 else (-high, -1e-9)
        t = brentq(lambda x: slope(x) - s, *bracket, xtol=1e-13)
        h = 1e-4
        curve = (law_cgf(t + h) - 2 * law_cgf(t) + law_cgf(t - h)) / h**2
        w = np.sign(t) * np.sqrt(2 * (t * s - law_cgf(t)))
        return stats.norm.cdf(sign * (w + np.log(t * np.sqrt(curve) / w) / w))

    return tail(abs(score), -1) + tail(-abs(score), 1)


def test_saddle_points_of_event_counts_equal_the_formula():
    rng = np.random.default_rng(2)
    rate = rng.gamma(1.0, 0.1, 300)
    g = rng.binomial(2, 0.1, (4, 300)) - 0.2
    score = np.array([2.0, 2.6, 3.2, 4.0]) * np.sqrt((g * g) @ rate)
    found, good, variance = saddle_scores(score, g, ResidualLaw.events(rate))
    np.testing.assert_allclose(variance, (g * g) @ rate)
    assert good.all()
    for s, row, value in zip(score, g, found, strict=True):
        p = naive_saddle(s, lambda t, row=row: (rate * (np.exp(row * t) - 1 - row * t)).sum())
        assert value == pytest.approx(np.log10(p), rel=1e-5)


def test_ordinal_scores_equal_clm():
    table = pl.read_csv(_GOLDEN / "ordinal_input.csv", null_values=["NA"])
    calls = table.select(f"X{j}" for j in range(1, 8)).to_numpy().T
    genotypes = matrix(calls, table["sample"])
    traits, covariates = table.select("sample", "grade"), table.select("sample", "age", "site")
    result = gwas(genotypes, traits, covariates, model="ordinal")
    found, want = result.frame, pl.read_csv(_GOLDEN / "ordinal.csv")
    # Nine people miss the trait, of the last variant twenty miss the call.
    assert found["n"].to_list() == want["n"].to_list()
    assert result.summary["n"].to_list() == [251]
    assert np.isinf(result.summary["df"][0])
    np.testing.assert_allclose(found["t"][:6], want["z"][:6], rtol=1e-7)
    assert abs(found["t"][6] - want["z"][6]) < 0.02
    np.testing.assert_allclose(
        found["beta"][:6] * want["score"][:6], np.square(want["z"][:6]), rtol=1e-7
    )
    # One step against the maximum, and the score against the likelihood ratio.
    np.testing.assert_allclose(found["beta"], want["beta"], rtol=0.15, atol=0.01)
    np.testing.assert_allclose(np.square(found["t"]), want["lr"], rtol=0.08, atol=0.01)


def test_people_who_miss_a_time_or_an_event_are_dropped(cox_data):
    genotypes, table, covariates = cox_data
    gaps = table.with_columns(
        time=pl.when(pl.int_range(pl.len()) < 7).then(None).otherwise("time"),
        event=pl.when(pl.int_range(pl.len()) > 150).then(None).otherwise("event"),
    )
    options = {"model": "cox", "traits": ["time"], "event": "event"}
    found = gwas(genotypes, gaps, covariates, **options)
    less = gwas(genotypes, table[7:151], covariates, **options)
    assert found.summary["n"].to_list() == [144]
    assert found.frame["n"].to_list() == less.frame["n"].to_list()
    for name in ("beta", "se", "t", "log10p"):
        np.testing.assert_allclose(found.frame[name], less.frame[name], rtol=1e-9)


@pytest.mark.parametrize("model", ["cox", "ordinal"])
def test_saddle_points_lie_near_permutation(model):
    # Six carriers among 300 people: the normal tail is off by much, the saddle point by little.
    rng = np.random.default_rng(12)
    n = 300
    classes = rng.choice(4, n, p=[0.92, 0.04, 0.02, 0.02]).astype(float)
    y = rng.exponential(size=n) if model == "cox" else classes
    event = rng.random(n) < 0.15
    g = np.zeros((4000, n))
    for row in g:
        row[rng.choice(n, 6, replace=False)] = 1.0
    # All rows are shuffles of one genotype: their scores are its permutation distribution.
    if model == "cox":
        trait = CoxTrait.build(np.arange(n), y, event, np.empty((n, 0)))
    else:
        trait = OrdinalTrait.build("y", np.arange(n), y, np.empty((n, 0)))
    found = trait.tests(centre(g.astype(np.float32)))
    rank = stats.rankdata(-np.abs(found["t"]), method="max") / len(g)
    far = (rank < 0.03) & (rank > 0.004)
    saddle = np.abs(found["log10p"] - np.log10(rank))[far]
    normal = np.abs(np.log10(2 * stats.norm.sf(np.abs(found["t"]))) - np.log10(rank))[far]
    assert far.sum() > 50
    # The scores have few values; the permutation p of each counts the whole step.
    assert np.quantile(saddle, 0.9) < 0.4
    assert np.quantile(saddle, 0.9) < 0.5 * np.quantile(normal, 0.9)


def ordinal_data(seed, n=240, missing=0.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    calls = rng.binomial(2, np.array([0.4, 0.2, 0.1, 0.03, 0.3])[:, None], (5, n)).astype(float)
    latent = x[:, 0] + 0.7 * calls[1] + rng.logistic(size=n)
    calls[rng.random(calls.shape) < missing] = np.nan
    return calls, x, np.digitize(latent, [-0.5, 0.8, 2.0]).astype(float)


def naive_ordinal(calls, x, y):
    """Score and expected information of all parameters, class by class and person by person."""
    from radgen.stats.ordinal import ordinal_logit

    fit = ordinal_logit(y, x)
    cuts, p = fit.thresholds, len(fit.thresholds) + x.shape[1] + 1
    score, info = np.zeros(p), np.zeros((p, p))
    for i in range(len(y)):
        eta = x[i] @ fit.coef
        edges = np.concatenate([[-np.inf], cuts, [np.inf]]) - eta
        cdf = 1 / (1 + np.exp(-edges))
        density = cdf * (1 - cdf)
        for level in range(len(cuts) + 1):
            mass = cdf[level + 1] - cdf[level]
            part = np.zeros(p)
            if level < len(cuts):
                part[level] = density[level + 1] / mass
            if level > 0:
                part[level - 1] = -density[level] / mass
            slope = -(density[level + 1] - density[level]) / mass
            part[len(cuts) :] = slope * np.concatenate([x[i], [calls[i]]])
            info += mass * np.outer(part, part)
            if y[i] == level:
                score += part
    return score[-1], 1.0 / np.linalg.inv(info)[-1, -1]


def test_ordinal_scores_equal_the_definition():
    calls, x, y = ordinal_data(3)
    trait = OrdinalTrait.build("y", np.arange(len(y)), y, x)
    found = trait.tests(centre(calls.astype(np.float32)))
    for row in range(5):
        u, variance = naive_ordinal(calls[row], x, y)
        assert found["t"][row] == pytest.approx(u / np.sqrt(variance), rel=1e-6)


def test_ordinal_missing_calls_drop_their_samples():
    calls, x, y = ordinal_data(4, n=800, missing=0.04)
    names = [f"s{i}" for i in range(800)]
    covariates = {"sample": names, "a": x[:, 0], "b": x[:, 1]}
    whole = gwas(matrix(calls, names), {"sample": names, "y": y}, covariates, model="ordinal").frame
    for row in range(3):
        keep = np.flatnonzero(np.isfinite(calls[row]))
        trait = OrdinalTrait.build("y", keep, y[keep], x[keep])
        alone = trait.tests(centre(calls[row][keep][None].astype(np.float32)))
        assert whole["n"][row] == len(keep)
        assert whole["t"][row] == pytest.approx(alone["t"][0], abs=0.02)


def test_two_ordered_classes_are_logistic_regression():
    calls, x, y = ordinal_data(5)
    names = [f"s{i}" for i in range(len(y))]
    table = {"sample": names, "y": (y > 1).astype(float)}
    covariates = {"sample": names, "a": x[:, 0], "b": x[:, 1]}
    one = gwas(matrix(calls, names), table, covariates, model="ordinal").frame
    other = gwas(matrix(calls, names), table, covariates, model="logistic", test="score").frame
    for name in ("beta", "se", "t", "log10p"):
        np.testing.assert_allclose(one[name], other[name], rtol=1e-6)


def test_ordinal_saddle_points_equal_the_formula():
    calls, x, y = ordinal_data(6, n=400)
    trait = OrdinalTrait.build("y", np.arange(400), y, x)
    block = centre(calls.astype(np.float32))
    b = block.g @ trait.cross
    turned = np.linalg.solve(trait.inner.sum(axis=0), b.T).T
    for row in range(4):
        values = block.g[row][:, None] * trait.values - trait.parts @ turned[row]
        score = 3.0 * np.sqrt((trait.chances * values**2).sum())
        found, good = trait._saddle(block, row, score, turned[row])

        def cgf(t, values=values):
            return np.log((trait.chances * np.exp(t * values)).sum(axis=1)).sum()

        assert good
        assert found == pytest.approx(np.log10(naive_saddle(score, cgf)), rel=1e-5)


def test_rare_variants_in_censored_data_keep_their_level():
    # 2 % of carriers and 90 % censoring: the normal score test rejects far too often in one tail.
    rng = np.random.default_rng(9)
    n, m = 1500, 3000
    time, event = rng.exponential(size=n), rng.random(n) < 0.08
    trait = CoxTrait.build(np.arange(n), time, event, np.empty((n, 0)))
    found = trait.tests(centre(rng.binomial(2, 0.006, (m, n)).astype(np.float32)))
    normal = (2 * stats.norm.sf(np.abs(found["t"])) < 1e-3).mean()
    saddle = (found["log10p"] < -3).mean()
    assert normal > 3e-3
    assert saddle < 2.5e-3


def test_bad_survival_input_is_refused(cox_data):
    genotypes, table, covariates = cox_data
    with pytest.raises(InputError, match="names of its columns"):
        gwas(genotypes, table, covariates, model="cox")
    with pytest.raises(InputError, match="event column of its own"):
        gwas(genotypes, table, covariates, model="cox", traits=["time"], event="time")
    with pytest.raises(InputError, match=r"events 0 \(censored\) or 1"):
        gwas(genotypes, table, covariates, model="cox", traits=["event"], event="time")
    none = table.with_columns(pl.lit(0).alias("event"))
    with pytest.raises(InputError, match="0 events"):
        gwas(genotypes, none, covariates, model="cox", traits=["time"], event="event")
    with pytest.raises(InputError, match="different values"):
        gwas(genotypes, table, covariates, model="ordinal", traits=["time"])
    perfect = table.select("sample", "event").with_columns(z=pl.col("event") * 2.0 - 1)
    with pytest.raises(FitError, match="does not converge"):
        gwas(genotypes, perfect, perfect.select("sample", "z"), model="ordinal", traits=["event"])
