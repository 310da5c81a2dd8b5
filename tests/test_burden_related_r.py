"""Set tests of related people against R's SKAT and GMMAT, dense algebra, and unrelated people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats
from scipy.optimize import brentq

from radgen.associate import burden
from radgen.errors import FitError, InputError
from radgen.genome import grm
from radgen.genome.burden import set_test
from radgen.genome.rare_null import null_related_binary
from radgen.io import open_genotypes
from radgen.stats.lmm import MixedModel, fit_variance
from radgen.stats.mixture import mixture_p
from radgen.stats.quasi_likelihood import mixed_logistic
from radgen.stats.saddle import saddle_log10p
from radgen.types import ArrayDosages, GenotypeMatrix, Kinship

TESTS = ("beta_mask", "se_mask", "p_mask", "p_burden", "p_skat", "p_skato", "p_acatv", "p_acato")
SETS = {"g1": [f"v{i}" for i in range(8)], "g2": [f"v{i}" for i in range(8, 14)]}


def _families(rng, n_families=60, m=14):
    """Two parents and two children a family; calls (m, n), pedigree kinship, and traits."""
    freq = rng.uniform(0.02, 0.15, m)
    calls = []
    for _ in range(n_families):
        h = rng.random((4, m)) < freq
        pick = [np.where(rng.random(m) < 0.5, h[a], h[a + 1]) for a in (0, 2, 0, 2)]
        calls += [h[0] + 0 + h[1], h[2] + 0 + h[3], pick[0] + 0 + pick[1], pick[2] + 0 + pick[3]]
    one = np.array([[1, 0, 0.5, 0.5], [0, 1, 0.5, 0.5], [0.5, 0.5, 1, 0.5], [0.5, 0.5, 0.5, 1]])
    kinship = np.kron(np.eye(n_families), one)
    n = 4 * n_families
    u = np.linalg.cholesky(kinship) @ rng.normal(size=n)
    x = rng.normal(size=(n, 2))
    y = 0.4 * x[:, 0] + 1.2 * u + rng.normal(size=n)
    case = (rng.random(n) < 1 / (1 + np.exp(0.5 - 1.5 * u - 0.3 * x[:, 1]))).astype(float)
    return np.array(calls, np.float32).T, kinship, x, y, case


def _study(calls, x, y, case, chroms=None):
    m, n = calls.shape
    names = tuple(f"p{i}" for i in range(n))
    variants = pl.DataFrame(
        {"chrom": chroms or ["1"] * 8 + ["2"] * (m - 8), "pos": list(range(1, m + 1))}
        | {"id": [f"v{i}" for i in range(m)], "ref": ["A"] * m, "alt": ["C"] * m}
    )
    genotypes = GenotypeMatrix(names, variants, ArrayDosages(calls))
    covariates = {"sample": names, "x1": x[:, 0], "x2": x[:, 1]}
    return genotypes, {"sample": names, "y": y, "case": case}, covariates


@pytest.fixture(scope="module")
def family_study():
    calls, kinship, x, y, case = _families(np.random.default_rng(2))
    return calls, kinship, x, y, case, *_study(calls, x, y, case)


@pytest.mark.parametrize(
    ("model", "trait"), [("linear", "y_quantitative"), ("logistic", "y_binary")]
)
def test_related_people_equal_r(data, model, trait):
    folder = data("genetics/saige")
    genotypes = open_genotypes(folder / "plinkforGRM_1000samples_10kMarkers.bed")
    people = pl.read_csv(
        folder / "pheno_1000samples.txt_withdosages_withBothTraitTypes.txt", separator=" "
    )
    want = pl.read_csv(Path(__file__).parent / "golden" / "skat" / "related.csv")
    want = want.filter(pl.col("model") == model)
    sets = {str(row["set"]): row["variants"].split() for row in want.iter_rows(named=True)}
    found = burden(
        genotypes, people.select("IID", trait), sets, people.select("IID", "x1", "x2")[::-1],
        model=model, kinship=grm(genotypes), variance="score",
    )  # fmt: skip
    assert found.frame["set"].to_list() == list(sets)
    for name in ("p_skat", "p_burden"):
        np.testing.assert_allclose(found.frame[name], want[name], rtol=0, atol=1e-6)
    # R's integral is up to 1.2e-5 from ours, which does not change (1e-14) with 300 nodes; near
    # p = 1 R misses what lies beside the pole of its integrand.
    for ours, theirs in zip(found.frame["p_skato"], want["p_skato"], strict=True):
        assert ours == pytest.approx(theirs, abs=2e-5) or min(ours, theirs) > 0.95
    share = found.params["kinship_share"][trait]
    if model == "logistic":
        assert share == pytest.approx(want["genetic"][0], rel=1e-8)
    else:
        ratio = want["genetic"][0] / want["residual"][0]
        assert share / (1 - share) == pytest.approx(ratio, rel=5e-3)  # over the centred diagonal
    assert "random effect" in found.methods()


@pytest.mark.parametrize("values", [np.zeros, np.eye])
def test_kinship_without_relatives_changes_nothing(family_study, values):
    genotypes, traits, covariates = family_study[5:]
    kinship = Kinship(genotypes.samples, values((240, 240)) if values is np.zeros else np.eye(240))
    models = [("linear", "y")] + [("logistic", "case")] * (values is np.zeros)
    for model, trait in models:
        for variance in ("score", "saddle"):
            options = {"model": model, "traits": [trait], "variance": variance}
            plain = burden(genotypes, traits, SETS, covariates, **options)
            mixed = burden(genotypes, traits, SETS, covariates, kinship=kinship, **options)
            for name in TESTS:
                np.testing.assert_allclose(mixed.frame[name], plain.frame[name], rtol=1e-8)
            assert mixed.frame["n_carriers"].to_list() == plain.frame["n_carriers"].to_list()


def _dense(g, p, py, w):
    """Return SKAT, burden and single-variant statistics by their definitions."""
    score, spread = g @ py, g @ p @ g.T
    skat = ((w * score) ** 2).sum(), np.linalg.eigvalsh(w[:, None] * spread * w)
    total = (w @ score) ** 2 / (w @ spread @ w)
    return mixture_p(skat[0], skat[1].clip(0)), stats.chi2.sf(total, 1), score, np.diag(spread)


def _projection(v, x):
    inverse = np.linalg.inv(v)
    return inverse - inverse @ x @ np.linalg.inv(x.T @ inverse @ x) @ x.T @ inverse


def _minor(calls):
    g = calls.astype(float)
    return np.where(g.mean(axis=1, keepdims=True) > 1, 2 - g, g)


def test_quantitative_trait_equals_the_dense_definition(family_study):
    calls, kinship, x, y, _, genotypes, traits, covariates = family_study
    weights = {f"v{i}": 1.0 + i for i in range(14)}
    found = burden(
        genotypes, traits, SETS, covariates, traits=["y"], weights=weights,
        kinship=Kinship(genotypes.samples, kinship),
    )  # fmt: skip
    design = np.column_stack([np.ones(len(y)), x])

    def minus_likelihood(log_ratio):
        v = np.exp(log_ratio) * kinship + np.eye(len(y))
        rss = y @ _projection(v, design) @ y
        a, b = (np.linalg.slogdet(item)[1] for item in (v, design.T @ np.linalg.inv(v) @ design))
        return 0.5 * (a + b + (len(y) - 3) * np.log(rss))

    def slope(at):
        return minus_likelihood(at + 1e-4) - minus_likelihood(at - 1e-4)

    ratio = np.exp(brentq(slope, -4, 4, xtol=1e-10))
    v = ratio * kinship + np.eye(len(y))
    v *= y @ _projection(v, design) @ y / (len(y) - 3)
    p = _projection(v, design)
    for row, rows in zip(found.frame.iter_rows(named=True), (range(8), range(8, 14)), strict=True):
        g = _minor(calls[list(rows)])
        skat, total, *_ = _dense(g, p, p @ y, 1.0 + np.array(list(rows)))
        # The maximum of a likelihood that is computed to 1e-14 is known to about 1e-7.
        assert row["p_skat"] == pytest.approx(skat, rel=1e-6)
        assert row["p_burden"] == pytest.approx(total, rel=1e-6)
        mask = g.max(axis=0)
        assert row["beta_mask"] == pytest.approx(mask @ p @ y / (mask @ p @ mask), rel=1e-6)
        assert row["se_mask"] == pytest.approx((mask @ p @ mask) ** -0.5, rel=1e-6)


def test_binary_trait_is_the_fixed_point_of_quasi_likelihood(family_study):
    calls, kinship, x, _, case, genotypes, traits, covariates = family_study
    design = np.column_stack([np.ones(len(case)), x])
    fit = mixed_logistic(case, design, kinship)
    weight = fit.mu * (1 - fit.mu)
    v = np.diag(1 / weight) + fit.tau * kinship
    p = _projection(v, design)
    eta = np.log(fit.mu / (1 - fit.mu))
    working = eta + (case - fit.mu) / weight
    assert fit.tau > 0.3
    np.testing.assert_allclose(p @ working, case - fit.mu, atol=1e-8)
    effect = fit.tau * kinship @ p @ working
    np.testing.assert_allclose(eta, design @ fit.beta + effect, atol=1e-7)
    slope = (p @ working) @ kinship @ (p @ working) - np.trace(p @ kinship)
    assert abs(slope) < 1e-6
    found = burden(
        genotypes, traits, SETS, covariates, traits=["case"], model="logistic",
        weights={f"v{i}": 1.0 for i in range(14)}, kinship=Kinship(genotypes.samples, kinship),
    )  # fmt: skip
    g = _minor(calls[:8])
    skat, total, *_ = _dense(g, p, case - fit.mu, np.ones(8))
    assert found.frame["p_skat"][0] == pytest.approx(skat, rel=1e-7)
    assert found.frame["p_burden"][0] == pytest.approx(total, rel=1e-7)
    # A known part of the log odds that holds the whole random effect leaves no variance.
    beside = mixed_logistic(case, design, kinship, 3 * effect)
    assert beside.tau < fit.tau


def test_saddle_points_of_relatives_are_taken_given_the_fitted_mean(family_study):
    _calls, kinship, x, _, case, *_ = family_study
    rng = np.random.default_rng(5)
    rare = (case * (rng.random(len(case)) < 0.25)).astype(float)
    design = np.column_stack([np.ones(len(rare)), x])
    fit = mixed_logistic(rare, design, kinship)
    null = null_related_binary(fit)
    weight = fit.mu * (1 - fit.mu)
    p = _projection(np.diag(1 / weight) + fit.tau * kinship, design)
    carriers = np.zeros(len(rare))
    carriers[np.flatnonzero(rare)[:5]] = 1.0
    carriers[np.flatnonzero(rare == 0)[:3]] = 1.0
    wx = weight[:, None] * design
    adjusted = carriers - design @ np.linalg.solve(design.T @ wx, wx.T @ carriers)
    ratio = (carriers @ p @ carriers) / float((weight * adjusted) @ adjusted)
    score = float(carriers @ (rare - fit.mu)) / np.sqrt(ratio)
    want = 10 ** saddle_log10p(np.array([score]), adjusted[None], fit.mu)[0][0]
    found = set_test(carriers[None], null, weights=np.ones(1), variance="saddle")
    plain = set_test(carriers[None], null, weights=np.ones(1))
    assert found.p_mask == pytest.approx(want, rel=1e-6)
    assert found.p_burden == pytest.approx(want, rel=1e-6)
    assert found.p_mask > 2 * plain.p_mask


def test_offsets_of_other_chromosomes(family_study):
    calls, _, x, y, case, genotypes, traits, covariates = family_study
    rng = np.random.default_rng(7)
    n = len(y)
    beside = {chrom: rng.normal(size=(n, 2)) for chrom in "12"}
    names = list(genotypes.samples)
    loco = pl.concat(
        pl.DataFrame({"chrom": [chrom] * n, "sample": names, "y": b[:, 0], "case": b[:, 1]})
        for chrom, b in beside.items()
    ).sample(fraction=1, shuffle=True, seed=1)
    found = burden(
        genotypes, traits, dict(reversed(SETS.items())), covariates, traits=["y"], loco=loco
    )
    assert found.frame["set"].to_list() == ["g2", "g1"]
    for chrom, name in (("1", "g1"), ("2", "g2")):
        taken = {"sample": names, "y": y - beside[chrom][:, 0]}
        plain = burden(genotypes, taken, {name: SETS[name]}, covariates)
        row = found.frame.filter(pl.col("set") == name)
        for test in TESTS:
            assert row[test][0] == pytest.approx(plain.frame[test][0], rel=1e-10)
    # Binary: the score test beside a fit with the offset, by Newton's method.
    result = burden(
        genotypes, traits, SETS, covariates, traits=["case"], model="logistic", loco=loco,
        weights={f"v{i}": 1.0 for i in range(14)},
    )  # fmt: skip
    design = np.column_stack([np.ones(n), x])
    for chrom, rows, name in (("1", slice(0, 8), "g1"), ("2", slice(8, 14), "g2")):
        b, known = np.zeros(3), beside[chrom][:, 1]
        for _ in range(30):
            mu = 1 / (1 + np.exp(-design @ b - known))
            w = mu * (1 - mu)
            b = b + np.linalg.solve(design.T @ (w[:, None] * design), design.T @ (case - mu))
        p = _projection(np.diag(1 / w), design)
        skat, total, *_ = _dense(_minor(calls[rows]), p, case - mu, np.ones(rows.stop - rows.start))
        row = result.frame.filter(pl.col("set") == name)
        assert row["p_skat"][0] == pytest.approx(skat, rel=1e-7)
        assert row["p_burden"][0] == pytest.approx(total, rel=1e-7)
    assert "two-step ridge" in result.methods()


def test_kinship_without_each_chromosome(family_study):
    genotypes, traits, covariates = family_study[5:]
    one = Kinship(genotypes.samples, family_study[1])
    other = Kinship(genotypes.samples, np.eye(len(one.samples)))
    found = burden(
        genotypes, traits, SETS, covariates, traits=["y"], kinship={"1": one, "2": other}
    )
    for name, kinship in (("g1", one), ("g2", other)):
        alone = burden(
            genotypes, traits, {name: SETS[name]}, covariates, traits=["y"], kinship=kinship
        )
        row = found.frame.filter(pl.col("set") == name)
        assert row["p_skat"].to_list() == alone.frame["p_skat"].to_list()
    with pytest.raises(InputError, match="chromosome 2"):
        burden(genotypes, traits, SETS, covariates, traits=["y"], kinship={"1": one})


def test_what_cannot_be_is_refused_with_the_remedy(family_study):
    _calls, kinship, _x, y, case, genotypes, traits, covariates = family_study
    names = list(genotypes.samples)
    kin = Kinship(genotypes.samples, kinship)
    loco = pl.concat(
        pl.DataFrame(
            {"chrom": [chrom] * len(y), "sample": names, "y": 0.1 * y, "case": [None] * len(y)}
        )
        for chrom in "12"
    )
    across = {"wide": ["v1", "v9"]}
    with pytest.raises(InputError, match=r"'wide' has variants of the chromosomes.*Cut the set"):
        burden(genotypes, traits, across, covariates, traits=["y"], loco=loco)
    with pytest.raises(InputError, match="give one of them"):
        burden(genotypes, traits, SETS, covariates, kinship=kin, loco=loco)
    assert (
        burden(genotypes, traits, across, covariates, traits=["y"], kinship=kin).frame.height == 1
    )
    # A trait without predictions has no test, and says so; sets that are not there stay empty.
    found = burden(genotypes, traits, SETS | {"gone": ["zz"]}, covariates, loco=loco)
    assert found.frame["p_skat"].is_null().to_list() == [False, False, True, True, True, True]
    assert any("polygenic background" in note and "case" in note for note in found.warnings)
    # People that the kinship does not hold are named.
    few = Kinship(genotypes.samples[:236], kinship[:236, :236])
    found = burden(genotypes, traits, SETS, covariates, traits=["y"], kinship=few)
    assert found.n_used == 236
    assert any("4 samples are not in the kinship" in note for note in found.warnings)
    with pytest.raises(InputError, match="shape|samples"):
        mixed_logistic(case, np.ones((len(case), 1)), kinship[:-1, :-1])
    with pytest.raises(FitError, match="separate"):
        mixed_logistic(case, np.column_stack([np.ones(len(case)), case]), kinship)


def test_missing_traits_have_models_of_their_own(family_study):
    _calls, kinship, _x, y, _case, genotypes, _traits, covariates = family_study
    holes = np.where(np.arange(len(y)) % 7 == 0, np.nan, y)
    kin = Kinship(genotypes.samples, kinship)
    both = burden(
        genotypes, {"sample": genotypes.samples, "y": y, "holes": holes}, SETS, covariates,
        kinship=kin,
    )  # fmt: skip
    keep = np.flatnonzero(np.isfinite(holes))
    alone = burden(
        genotypes.take_samples(keep), {"sample": genotypes.samples, "y": y}, SETS, covariates,
        kinship=kin,
    )  # fmt: skip
    part = both.frame.filter(pl.col("phenotype") == "holes")
    np.testing.assert_allclose(part["p_skat"], alone.frame["p_skat"], rtol=1e-9)
    model = MixedModel.build(y[keep], np.ones((len(keep), 1)), kinship[np.ix_(keep, keep)])
    assert 0 < fit_variance(model).heritability < 1
