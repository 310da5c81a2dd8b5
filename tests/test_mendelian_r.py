"""Mendelian randomisation against TwoSampleMR and metafor, and by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from radgen.associate import mendelian
from radgen.cli.app import app
from radgen.errors import InputError
from radgen.stats import mendelian as mr
from radgen.types import ArrayDosages, GenotypeMatrix

GOLDEN = Path(__file__).parent / "golden" / "mendelian"


@pytest.fixture(scope="module")
def effects():
    return pl.read_csv(GOLDEN / "effects.csv")


@pytest.fixture(scope="module")
def want():
    table = pl.read_csv(GOLDEN / "expected.csv")
    return {row["method"]: row for row in table.iter_rows(named=True)}


def of(table, correlation=None):
    columns = (table[name].to_numpy() for name in ("bx", "sx", "by", "sy"))
    return mr.VariantEffects(*columns, correlation)


def test_weighted_means_equal_twosamplemr(effects, want):
    random, fixed = (mr.inverse_variance(of(effects), random=r) for r in (True, False))
    for fit, name in ((random, "ivw"), (fixed, "ivw_fixed"), (fixed, "metafor_fixed")):
        assert fit.effect == pytest.approx(want[name]["value"], rel=1e-12)
        assert fit.se == pytest.approx(want[name]["se"], rel=1e-12)
        assert fit.q == pytest.approx(want[name]["q"], rel=1e-10)
    assert 10**fixed.log10p == pytest.approx(want["ivw_fixed"]["p"], rel=1e-10)
    assert random.df == 24
    assert fixed.df == np.inf


def test_egger_equals_twosamplemr(effects, want):
    fit = mr.egger(of(effects))
    for part, name in ((fit.slope, "egger"), (fit.intercept, "egger_intercept")):
        assert part.effect == pytest.approx(want[name]["value"], rel=1e-11)
        assert part.se == pytest.approx(want[name]["se"], rel=1e-11)
        assert 10**part.log10p == pytest.approx(want[name]["p"], rel=1e-10)
        assert part.q == pytest.approx(want[name]["q"], rel=1e-10)
    assert mr.i2_gx(of(effects)) == pytest.approx(want["i2_gx"]["value"], rel=1e-11)


def test_leaving_out_equals_twosamplemr(effects, want):
    ours = mr.leave_one_out(of(effects))[0]
    theirs = [want[f"without_{i + 1}"]["value"] for i in range(25)]
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_weighted_median_equals_twosamplemr_and_its_error_is_that_of_a_loop(effects, want):
    rng = np.random.default_rng(1)
    fit = mr.weighted_median(of(effects), rng=rng)
    assert fit.effect == pytest.approx(want["weighted_median"]["value"], rel=1e-12)
    few = mr.weighted_median(of(effects.head(4)), rng=rng, n_bootstrap=100)
    assert few.effect == pytest.approx(want["weighted_median_4"]["value"], rel=1e-12)
    # The published bootstrap, written as a loop: 2,000 draws leave 1.6 % of the se to chance.
    data, rng = of(effects), np.random.default_rng(2)
    weight = (data.bx / data.sy) ** 2
    drawn = []
    for _ in range(4000):
        ratio = rng.normal(data.by, data.sy) / rng.normal(data.bx, data.sx)
        order = np.argsort(ratio)
        r, w = ratio[order], weight[order] / weight.sum()
        drawn.append(np.interp(0.5, np.cumsum(w) - w / 2, r))
    assert fit.se == pytest.approx(np.std(drawn, ddof=1), rel=0.1)


def test_correlated_variants_by_generalised_least_squares(effects, want):
    rho = 0.5 ** np.abs(np.subtract.outer(np.arange(25), np.arange(25)))
    data = of(effects, rho)
    fit = mr.inverse_variance(data)
    assert fit.effect == pytest.approx(want["ivw_correlated"]["value"], rel=1e-10)
    assert fit.se == pytest.approx(want["ivw_correlated"]["se"], rel=1e-10)
    both = mr.egger(data)
    assert both.slope.effect == pytest.approx(want["egger_correlated"]["value"], rel=1e-10)
    base = want["egger_intercept_correlated"]["value"]
    assert both.intercept.effect == pytest.approx(base, rel=1e-10)
    with pytest.raises(InputError, match="complete linkage"):
        mr.inverse_variance(of(effects, np.ones((25, 25))))


def test_direction_equals_the_test_of_two_correlations(effects, want):
    shares = [
        mr.explained_variance(effects[b], effects[s], effects[n])
        for b, s, n in (("bx", "sx", "nx"), ("by", "sy", "ny"))
    ]
    way = mr.steiger(shares[0], effects["nx"].mean(), shares[1], effects["ny"].mean())
    assert way.z == pytest.approx(want["steiger_z"]["value"], rel=1e-12)
    assert 10**way.log10p == pytest.approx(want["steiger_z"]["p"], rel=1e-10)
    assert way.forward


def test_mode_is_where_the_smoothed_density_is_highest(effects):
    data = of(effects)
    fit = mr.weighted_mode(data, rng=np.random.default_rng(0), n_bootstrap=100)
    r, w = data.ratio, (data.bx / data.sy) ** 2
    mad = 1.4826 * np.median(np.abs(r - np.median(r)))
    h = 0.9 * min(r.std(ddof=1), mad) / 25**0.2
    at = np.linspace(r.min(), r.max(), 200_001)
    density = np.exp(-0.5 * ((at[:, None] - r) / h) ** 2) @ w
    assert fit.effect == pytest.approx(at[np.argmax(density)], abs=2 * (at[1] - at[0]))


def test_wald_ratio_by_hand():
    fit = mr.inverse_variance(mr.VariantEffects([-0.2], [0.01], [0.1], [0.05]))
    assert (fit.effect, fit.se) == pytest.approx((-0.5, 0.25))
    assert np.isnan(fit.q)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"bx": [0.0, 0.1]}, "not zero"),
        ({"sy": [0.1, np.nan]}, "finite"),
        ({"by": [1.0]}, "length"),
    ],
)
def test_bad_effects_are_refused(change, match):
    good = {"bx": [0.1, 0.2], "sx": [0.1, 0.1], "by": [0.1, 0.1], "sy": [0.1, 0.1]}
    with pytest.raises(InputError, match=match):
        mr.VariantEffects(**(good | change))


def scans(effects):
    """Return both scans; the outcome counts other alleles, turns strands, and lacks a variant."""
    k = effects.height
    alleles = [("A", "G"), ("C", "A"), ("A", "T"), ("G", "C")]
    ref = [alleles[i % 4][0] for i in range(k)]
    alt = [alleles[i % 4][1] for i in range(k)]
    base = pl.DataFrame(
        {"chrom": ["1"] * k, "pos": [5_000_000 * (i + 1) for i in range(k)]}
        | {"id": [f"rs{i}" for i in range(k)], "ref": ref, "alt": alt}
    )
    freq = [0.5 if i == 2 else 0.2 for i in range(k)]
    left = base.with_columns(
        beta=effects["bx"], se=effects["sx"], n=effects["nx"], alt_freq=pl.Series(freq)
    )
    flip = pl.Series([i % 3 == 0 for i in range(k)])
    right = base.select(
        "chrom", "pos", "id",
        pl.when(flip).then("alt").otherwise("ref").alias("ref"),
        pl.when(flip).then("ref").otherwise("alt").alias("alt"),
    ).with_columns(
        beta=effects["by"] * (1 - 2 * flip.cast(pl.Int64)), se=effects["sy"], n=effects["ny"],
        alt_freq=pl.Series([1 - f if t else f for f, t in zip(freq, flip, strict=True)]),
    )  # fmt: skip
    return left, right.filter(pl.col("id") != "rs5")


def test_scans_are_harmonised_and_losses_are_listed(effects):
    left, right = scans(effects)
    ids = left["id"].to_list()
    found = mendelian(left, right, seed=1, instruments=ids, n_bootstrap=100)
    keep = effects.filter(~pl.Series([i in (2, 5) for i in range(25)]))
    plain = mr.inverse_variance(of(keep))
    row = found.frame.filter(pl.col("method") == "ivw").row(0, named=True)
    assert row["effect"] == pytest.approx(plain.effect, rel=1e-12)
    assert row["n_variants"] == 23
    lost = dict(found.variants.filter(pl.col("reason") != "").select("id", "reason").rows())
    assert lost == {"rs2": "palindromic, strand unknown", "rs5": "absent from the second table"}
    pair = found.pairs.row(0, named=True)
    assert (pair["n_instruments"], pair["n_used"], pair["forward"]) == (25, 23, True)
    assert pair["egger_intercept"] == pytest.approx(mr.egger(of(keep)).intercept.effect)
    again = mendelian(left, right, seed=1, instruments=ids[::-1], n_bootstrap=100)
    assert found.frame.equals(again.frame)


def test_leads_are_chosen_by_p_distance_and_linkage(effects):
    left, right = scans(effects)
    strong = left.filter((pl.col("beta") / pl.col("se")).abs() > 5.46)["id"].to_list()
    found = mendelian(left, right, seed=1, n_bootstrap=100)
    assert set(found.variants["id"]) == set(strong)
    near = mendelian(left, right, seed=1, n_bootstrap=100, apart_bp=7_000_000)
    pos = sorted(near.variants.join(left, on=["chrom", "pos"])["pos"])
    assert min(np.diff(pos)) >= 7_000_000
    rng = np.random.default_rng(0)
    g = rng.integers(0, 3, (25, 60)).astype(np.float32)
    g[1] = g[0]
    first = left.with_columns(
        pl.when(pl.col("id").is_in(["rs0", "rs1"])).then(0.5).otherwise("beta").alias("beta")
    )
    people = GenotypeMatrix(
        tuple(f"s{i}" for i in range(60)), left.select("chrom", "pos", "id", "ref", "alt"),
        ArrayDosages(g),
    )  # fmt: skip
    clumped = mendelian(first, right, seed=1, n_bootstrap=100, genotypes=people, r2=0.5,
                        apart_bp=6_000_000)  # fmt: skip
    assert len({"rs0", "rs1"} & set(clumped.variants["id"])) == 1


def test_pairs_without_instruments_say_why(effects):
    left, right = scans(effects)
    two = pl.concat([
        left.with_columns(phenotype=pl.lit("strong")),
        left.with_columns(phenotype=pl.lit("weak"), se=pl.lit(1.0)),
    ], how="diagonal")  # fmt: skip
    found = mendelian(two, right, seed=1, n_bootstrap=100)
    reasons = dict(found.pairs.select("exposure", "reason").rows())
    assert reasons["strong"] == ""
    assert "no variant of the exposure" in reasons["weak"]
    with pytest.raises(InputError, match="No pair has an instrument"):
        mendelian(left, right, seed=1, p=1e-300)
    with pytest.raises(InputError, match="twice"):
        mendelian(pl.concat([left, left]), right, seed=1)
    with pytest.raises(InputError, match="lacks the columns"):
        mendelian(left.drop("se"), right, seed=1)


def test_pictures_and_words(effects):
    found = mendelian(*scans(effects), seed=1, n_bootstrap=100)
    for kind in found.plots:
        assert found.plot(kind).figure is not None
    assert any("exposure on outcome" in line for line in found.statements())
    assert "MR-Egger" in found.methods()
    tables, plain = found.encode()
    assert type(found).decode(tables, plain).frame.equals(found.frame)


def test_the_command_writes_tables_pictures_and_a_report(effects, tmp_path):
    left, right = scans(effects)
    left.write_csv(tmp_path / "x.tsv", separator="\t")
    right.write_parquet(tmp_path / "y.parquet")
    out = tmp_path / "mr"
    call = [
        "mr",
        tmp_path / "x.tsv",
        tmp_path / "y.parquet",
        "--out",
        out,
        "--methods",
        "ivw,egger",
    ]
    ran = CliRunner().invoke(app, [str(item) for item in call], catch_exceptions=False)
    assert ran.exit_code == 0
    assert "exposure on outcome" in ran.output
    assert set(pl.read_csv(out / "estimates.tsv", separator="\t")["method"]) == {"ivw", "egger"}
    assert (out / "mr_scatter.png").stat().st_size > 10_000
    assert "MR-Egger" in (out / "report.html").read_text("utf-8")
