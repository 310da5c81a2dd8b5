"""The mixed model against GEMMA, and against dense algebra."""

from __future__ import annotations

import gzip

import numpy as np
import polars as pl
import pytest

from radgen import genome
from radgen.associate import genetic_correlation, gwas, heritability
from radgen.errors import FitError, InputError
from radgen.stats.lmm import MixedModel, fit_variance, haseman_elston, heritability_limits
from radgen.types import ArrayDosages, GenotypeMatrix, Kinship


@pytest.fixture(scope="module")
def mice(data):
    folder = data("genetics/mouse_hs1940")
    rows = pl.read_csv(folder / "mouse_hs1940.geno.txt.gz", has_header=False, infer_schema=False)
    calls = rows[:, 3:].select(pl.all().str.strip_chars().cast(pl.Float32)).to_numpy()
    names = tuple(f"m{i}" for i in range(calls.shape[1]))
    variants = pl.DataFrame(
        {
            "chrom": ["1"] * rows.height,
            "pos": range(rows.height),
            "id": rows.to_series(0).str.strip_chars(),
            "ref": rows.to_series(2).str.strip_chars(),
            "alt": rows.to_series(1).str.strip_chars(),
        }
    )
    trait = np.genfromtxt(folder / "mouse_hs1940.pheno.txt")[:, 0]
    genotypes = GenotypeMatrix(names, variants, ArrayDosages(calls))
    known = calls[:, np.isfinite(trait)]
    freq = known.mean(axis=1) / 2
    kept = np.flatnonzero(np.minimum(freq, 1 - freq) >= 0.01)
    table = pl.DataFrame({"sample": names, "CD8": trait})
    return folder, genotypes, table, genome.grm(genotypes.take_variants(kept), method="centred")


def test_centred_kinship(mice):
    folder, _, _, kinship = mice
    np.testing.assert_allclose(
        kinship.values[:100, :100], np.loadtxt(folder / "cXX_first100.txt"), atol=2e-9
    )


def test_heritability_by_reml(mice):
    _, _, table, kinship = mice
    result = heritability(table, kinship)
    row = result.frame.row(0, named=True)
    # gemma_demo_expected.txt and the log of the scan
    assert row["n"] == 1410
    assert row["h2"] == pytest.approx(0.608801, abs=6e-7)
    assert row["se"] == pytest.approx(0.032774, abs=6e-7)
    assert row["genetic"] == pytest.approx(1.47657, abs=6e-6)
    assert row["residual"] == pytest.approx(0.341097, abs=6e-7)
    assert row["log_likelihood"] == pytest.approx(-1584.34, abs=6e-3)
    assert row["p"] < 1e-50
    assert row["ci_low"] < row["h2"] < row["ci_high"]
    assert "0.609" in result.statements()[0]
    assert "restricted maximum likelihood" in result.methods()


def test_bivariate_reml_equals_gemma(mice):
    folder, _, table, kinship = mice
    traits = np.genfromtxt(folder / "mouse_hs1940.pheno.txt")
    table = table.with_columns(MCH=pl.Series(traits[:, 5]))
    result = genetic_correlation(table.with_columns(pl.col("CD8", "MCH").fill_nan(None)), kinship)
    row = result.frame.row(0, named=True)
    # gemma_demo_expected.txt: Vg and Ve, printed with six digits
    want = {"genetic_1": 1.39398, "genetic_12": -0.226714, "genetic_2": 2.08168}
    want |= {"residual_1": 0.348882, "residual_12": 0.0490525, "residual_2": 0.414433}
    for name, value in want.items():
        assert row[name] == pytest.approx(value, rel=2e-4), name
    assert row["rg"] == pytest.approx(-0.226714 / np.sqrt(1.39398 * 2.08168), rel=2e-4)
    assert row["n"] == 1197


def test_scan(mice):
    folder, genotypes, table, kinship = mice
    with gzip.open(folder / "mouse_hs1940_CD8_lmm.assoc.txt.gz", "rb") as stream:
        want = pl.read_csv(stream.read(), separator="\t")[::40]
    place = {name: row for row, name in enumerate(genotypes.variants["id"])}
    rows = [place[name] for name in want["rs"]]
    found = gwas(genotypes.take_variants(rows), table, model="lmm", kinship=kinship).frame
    assert found["alt"].to_list() == want["allele1"].to_list()
    np.testing.assert_allclose(found["beta"], want["beta"], rtol=1e-4)
    np.testing.assert_allclose(found["se"], want["se"], rtol=1e-5)
    np.testing.assert_allclose(found["log10p"], np.log10(want["p_wald"]), atol=5e-5)


def test_equals_dense_algebra():
    rng = np.random.default_rng(3)
    n = 60
    root = rng.normal(size=(n, 200))
    k = root @ root.T / 200
    x = np.column_stack([np.ones(n), rng.normal(size=n)])
    y = rng.multivariate_normal(np.zeros(n), 0.7 * k + 0.5 * np.eye(n)) + x @ [1.0, 0.5]
    fit = fit_variance(MixedModel.build(y, x, k))

    def reml(genetic, residual):
        v = genetic * k + residual * np.eye(n)
        inverse = np.linalg.inv(v)
        xvx = x.T @ inverse @ x
        p = inverse - inverse @ x @ np.linalg.inv(xvx) @ x.T @ inverse
        logs = [np.linalg.slogdet(m)[1] for m in (v, xvx, x.T @ x)]
        return -0.5 * ((n - 2) * np.log(2 * np.pi) + logs[0] + logs[1] - logs[2] + y @ p @ y)

    top = reml(fit.genetic, fit.residual)
    assert fit.log_likelihood == pytest.approx(top, rel=1e-9)
    for step in (0.98, 1.02):
        assert reml(fit.genetic * step, fit.residual) < top
        assert reml(fit.genetic, fit.residual * step) < top


def test_scan_equals_dense_algebra_in_any_company():
    rng = np.random.default_rng(5)
    n, m = 50, 12
    root = rng.normal(size=(n, 70))
    k = root @ root.T / 70
    z = rng.normal(size=(n, 2))
    g = rng.binomial(2, 0.4, (m, n)).astype(np.float32)
    names = tuple(f"s{i}" for i in range(n))
    values = np.column_stack(
        [rng.multivariate_normal(np.zeros(n), h * k + (1 - h) * np.eye(n)) for h in (0, 0.4, 0.9)]
    )
    values[3:6, 1] = np.nan
    columns = {"sample": names} | {f"y{j}": values[:, j] for j in range(3)}
    table = pl.DataFrame(columns).with_columns(pl.col("y1").fill_nan(None))
    beside = pl.DataFrame({"sample": names, "a": z[:, 0], "b": z[:, 1]})
    variants = pl.DataFrame(
        {"chrom": ["1"] * m, "pos": range(m), "id": [f"v{i}" for i in range(m)]}
    )
    variants = variants.with_columns(ref=pl.lit("A"), alt=pl.lit("C"))
    genotypes = GenotypeMatrix(names, variants, ArrayDosages(g))
    kinship = Kinship(names, k)
    found = gwas(genotypes, table, beside, model="lmm", kinship=kinship).frame

    def restricted(ratio, x, y, k):
        v = ratio * k + np.eye(len(y))
        inverse = np.linalg.inv(v)
        xvx = x.T @ inverse @ x
        beta = np.linalg.solve(xvx, x.T @ inverse @ y)
        rss = (y - x @ beta) @ inverse @ (y - x @ beta)
        df = len(y) - x.shape[1]
        logs = np.linalg.slogdet(v)[1] + np.linalg.slogdet(xvx)[1]
        return (
            -0.5 * (logs + df * np.log(rss)),
            beta[-1],
            np.sqrt(rss / df * np.linalg.inv(xvx)[-1, -1]),
        )

    from scipy.optimize import minimize_scalar

    for trait in range(3):
        rows = np.flatnonzero(np.isfinite(values[:, trait]))
        own = found.filter(phenotype=f"y{trait}")
        for variant in range(0, m, 3):
            x = np.column_stack([np.ones(len(rows)), z[rows], g[variant, rows]])
            data = x, values[rows, trait], k[np.ix_(rows, rows)]
            grid = np.linspace(np.log(1e-5), np.log(1e5), 81)
            top = grid[np.argmax([restricted(np.exp(at), *data)[0] for at in grid])]
            best = minimize_scalar(
                lambda at, data=data: -restricted(np.exp(at), *data)[0],
                bounds=(max(top - 0.3, grid[0]), min(top + 0.3, grid[-1])),
                method="bounded",
                options={"xatol": 1e-10},
            )
            _, beta, se = restricted(np.exp(best.x), *data)
            assert own["beta"][variant] == pytest.approx(beta, rel=2e-6, abs=1e-8)
            assert own["se"][variant] == pytest.approx(se, rel=2e-6)
    alone = gwas(genotypes, table, beside, model="lmm", kinship=kinship, traits=["y2"]).frame
    np.testing.assert_allclose(found.filter(phenotype="y2")["t"], alone["t"], rtol=1e-12)


@pytest.mark.parametrize("h2", [0.0, 0.85])
def test_errors_and_limits_are_those_of_the_dense_likelihood(h2):
    """At the edge, too, where GEMMA's se(pve) is that of the curvature in lambda."""
    rng = np.random.default_rng(4)
    n = 60
    z = rng.normal(size=(150, n))
    k = z.T @ z / 150
    x = np.column_stack([np.ones(n), rng.normal(size=n)])
    y = np.sqrt(h2) * np.linalg.cholesky(k) @ rng.normal(size=n)
    y = y + np.sqrt(1 - h2) * rng.normal(size=n)
    model = MixedModel.build(y, x, k)
    fit = fit_variance(model)
    assert (fit.ratio < 2e-5) == (h2 == 0.0)

    def likelihood(ratio):
        v = ratio * k + np.eye(n)
        inner = x.T @ np.linalg.solve(v, x)
        rest = y - x @ np.linalg.solve(inner, x.T @ np.linalg.solve(v, y))
        logs = np.linalg.slogdet(v)[1] + np.linalg.slogdet(inner)[1]
        return -0.5 * (logs + (n - 2) * np.log(rest @ np.linalg.solve(v, rest)))

    size = 3e-4
    at = max(fit.ratio, size)
    up, here, down = (likelihood(one) for one in (at + size, at, at - size))
    error = 1.0 / np.sqrt((2 * here - up - down) / size**2)
    centre = np.eye(n) - 1.0 / n
    d = np.trace(centre @ k) / n
    # differences, and 3e-4 beside the edge
    assert fit.heritability_se == pytest.approx(error * d / (1 + at * d) ** 2, rel=2e-3)
    low, high = heritability_limits(model, fit)
    top = likelihood(fit.ratio)
    inside = [one for one in (low, high) if 0 < one < 1]
    for one in inside:
        assert 2 * (top - likelihood(one / (1 - one) / d)) == pytest.approx(3.841459, rel=1e-5)
    assert inside
    assert (low == 0) == (h2 == 0)


def test_simulated_heritability_is_covered():
    rng = np.random.default_rng(8)
    n, h2 = 200, 0.5
    calls = rng.binomial(2, 0.4, (500, n)).astype(float)
    # Families of five make the relationship informative at this size.
    for first in range(0, n, 5):
        calls[:, first + 1 : first + 5] = np.where(
            rng.random((500, 4)) < 0.5, calls[:, [first]], calls[:, first + 1 : first + 5]
        )
    z = (calls - calls.mean(axis=1, keepdims=True)) / calls.std(axis=1, keepdims=True)
    k = z.T @ z / 500
    values, vectors = np.linalg.eigh(k)
    x = np.ones((n, 1))
    inside = {"reml": 0, "he": 0}
    for _ in range(40):
        u = vectors @ (np.sqrt(np.maximum(values, 0)) * rng.normal(size=n))
        y = np.sqrt(h2) * u + np.sqrt(1 - h2) * rng.normal(size=n)
        fit = fit_variance(MixedModel.build(y, x, k))
        inside["reml"] += abs(fit.heritability - h2) < 1.96 * fit.heritability_se
        slope, se = haseman_elston(y, x, k)
        inside["he"] += abs(slope - h2) < 1.96 * se
    # 95 % less 4 standard errors of 40 draws
    assert min(inside.values()) >= 40 * (0.95 - 4 * np.sqrt(0.95 * 0.05 / 40))


def test_a_trait_without_a_model_does_not_stop_the_others():
    rng = np.random.default_rng(2)
    n = 60
    names = tuple(f"s{i}" for i in range(n))
    variants = pl.DataFrame({"chrom": "1", "pos": range(4), "id": list("abcd")})
    variants = variants.with_columns(ref=pl.lit("A"), alt=pl.lit("C"))
    calls = rng.binomial(2, 0.4, (4, n)).astype(np.float32)
    genotypes = GenotypeMatrix(names, variants, ArrayDosages(calls))
    z = rng.normal(size=(90, n))
    related = Kinship(names, z.T @ z / 90)
    few = [1.0, 2.0] + [None] * (n - 2)
    gone = pl.Series([None] * n, dtype=pl.Float64)
    table = pl.DataFrame({"sample": names, "flat": 3.0, "y": rng.normal(size=n), "few": few})
    both = gwas(genotypes, table.with_columns(gone=gone), model="lmm", kinship=related)
    alone = gwas(genotypes, table.select("sample", "y"), model="lmm", kinship=related)
    assert both.table.filter(pl.col("phenotype") == "y").equals(alone.table)
    assert both.table.height == 16
    for name in ("flat", "few", "gone"):
        assert f"No test of {name!r}" in " ".join(both.warnings)
        rows = both.table.filter(pl.col("phenotype") == name)
        assert not rows["beta"].is_finite().any()
        assert not rows["p"].is_finite().any()
    with pytest.raises(FitError, match="wholly"):
        gwas(genotypes, table.select("sample", "flat"), model="lmm", kinship=related)


def test_samples_of_the_kinship_are_matched_by_id(mice):
    _, genotypes, table, kinship = mice
    order = np.random.default_rng(1).permutation(len(kinship.samples))
    mixed = Kinship(tuple(kinship.samples[i] for i in order), kinship.values[np.ix_(order, order)])
    some = genotypes.take_variants([5, 900])
    one = gwas(some, table, model="lmm", kinship=kinship).frame
    two = gwas(some, table, model="lmm", kinship=mixed).frame
    np.testing.assert_allclose(two["beta"], one["beta"], rtol=1e-9)
    with pytest.raises(InputError, match="kinship"):
        gwas(some, table, model="lmm")


def test_a_chromosome_left_out():
    rng = np.random.default_rng(6)
    calls = rng.binomial(2, 0.3, (60, 40)).astype(np.float32)
    calls[rng.random(calls.shape) < 0.03] = np.nan
    chrom = ["1"] * 25 + ["2"] * 20 + ["X"] * 15
    variants = pl.DataFrame(
        {"chrom": chrom, "pos": range(60), "id": [f"v{i}" for i in range(60)]}
    ).with_columns(ref=pl.lit("A"), alt=pl.lit("C"))
    names = tuple(f"s{i}" for i in range(40))
    genotypes = GenotypeMatrix(names, variants, ArrayDosages(calls))
    found = genome.loco_grms(genotypes)
    others = {"1": range(25, 45), "2": range(25), "X": range(45)}
    for name, rows in others.items():
        want = genome.grm(genotypes.take_variants(rows)).values
        np.testing.assert_allclose(found[name].values, want, rtol=1e-9, atol=1e-12)
    table = pl.DataFrame({"sample": names, "y": rng.normal(size=40)})
    scan = gwas(genotypes, table, model="lmm", kinship=found).frame
    for name in ("1", "2"):
        rows = np.flatnonzero(np.array(chrom) == name)
        alone = gwas(genotypes.take_variants(rows), table, model="lmm", kinship=found[name]).frame
        np.testing.assert_allclose(scan["t"].to_numpy()[rows], alone["t"], rtol=1e-9)
    with pytest.raises(InputError, match="chromosomes X"):
        gwas(genotypes, table, model="lmm", kinship={"1": found["1"], "2": found["2"]})
