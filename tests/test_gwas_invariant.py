"""The linear scan against its definition, and what must not change a result."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
import pytest

from radgen.associate import GwasResult, gwas, read_compact
from radgen.associate.genomewide import _store
from radgen.errors import AlignmentError, FormatError, InputError
from radgen.types import VARIANT_COLUMNS, ArrayDosages, GenotypeMatrix

_NUMBERS = ("n", "alt_freq", "beta", "se", "t", "log10p")


def cohort(seed, n=90, m=60, k=4, *, missing_calls=0.03, missing_traits=0.05, dosage=False):
    rng = np.random.default_rng(seed)
    freq = rng.uniform(0.05, 0.95, m)
    calls = rng.binomial(2, freq[:, None], (m, n)).astype(np.float32)
    if dosage:
        calls = np.clip(calls + rng.normal(0, 0.2, (m, n)), 0, 2).astype(np.float32)
    calls[rng.random((m, n)) < missing_calls] = np.nan
    calls[1] = 1.0
    samples = tuple(f"s{i}" for i in range(n))
    variants = pl.DataFrame(
        {
            "chrom": [str(1 + i // 20) for i in range(m)],
            "pos": list(range(100, 100 + m)),
            "id": [f"v{i}" for i in range(m)],
            "ref": ["A"] * m,
            "alt": ["G"] * m,
        }
    ).select(VARIANT_COLUMNS)
    genotypes = GenotypeMatrix(samples, variants, ArrayDosages(calls))
    traits = rng.normal(size=(n, k)) + 0.8 * np.nan_to_num(calls[5])[:, None]
    traits[rng.random((n, k)) < missing_traits] = np.nan
    age = rng.normal(60, 9, n)
    site = rng.choice(["a", "b", "c"], n)
    order = rng.permutation(n)
    phenotypes = pl.DataFrame(
        {"sample": samples} | {f"y{j}": traits[:, j] for j in range(k)}
    ).fill_nan(None)[order.tolist()]
    covariates = pl.DataFrame({"IID": samples, "age": age, "site": site, "age_twice": 2 * age - 3})
    return genotypes, phenotypes, covariates[rng.permutation(n).tolist()]


def naive(genotypes, phenotypes, covariates, trait, row):
    """Ordinary least squares on the complete cases, by the normal equations of the textbook."""
    table = pl.DataFrame({"sample": genotypes.samples, "g": genotypes.read(row, row + 1)[0]})
    table = table.join(phenotypes, on="sample")
    if covariates is not None:
        table = table.join(covariates, left_on="sample", right_on="IID")
    table = table.filter(pl.col("g").is_not_nan() & pl.col(trait).is_not_null())
    columns = [np.ones(table.height), table["g"].to_numpy().astype(float)]
    if covariates is not None:
        columns += [table["age"].to_numpy()]
        columns += [(table["site"] == site).to_numpy().astype(float) for site in ("b", "c")]
    x, y = np.column_stack(columns), table[trait].to_numpy()
    beta = np.linalg.lstsq(x, y, rcond=None)[0]
    df = len(y) - np.linalg.matrix_rank(x)
    sigma2 = ((y - x @ beta) ** 2).sum() / df
    return len(y), beta[1], np.sqrt(sigma2 * np.linalg.inv(x.T @ x)[1, 1])


@pytest.mark.parametrize("with_covariates", [False, True])
@pytest.mark.parametrize("dosage", [False, True])
def test_equals_the_definition(with_covariates, dosage):
    genotypes, phenotypes, covariates = cohort(1, dosage=dosage)
    table = covariates if with_covariates else None
    frame = gwas(genotypes, phenotypes, table).frame
    for trait in ("y0", "y3"):
        found = frame.filter(pl.col("phenotype") == trait)
        for row in (0, 5, 17, 59):
            n, beta, se = naive(genotypes, phenotypes, table, trait, row)
            assert found["n"][row] == n
            np.testing.assert_allclose(
                [found["beta"][row], found["se"][row]], [beta, se], rtol=1e-9
            )
    flat = frame.filter(pl.col("id") == "v1")
    assert flat["beta"].is_nan().all()
    assert flat["alt_freq"].to_list() == [0.5] * 4


def test_a_trait_does_not_depend_on_its_company():
    genotypes, phenotypes, covariates = cohort(2, n=150, k=12)
    together = gwas(genotypes, phenotypes, covariates).frame
    for trait in ("y0", "y7"):
        alone = gwas(genotypes, phenotypes, covariates, traits=[trait]).frame
        found = together.filter(pl.col("phenotype") == trait)
        for name in _NUMBERS:
            np.testing.assert_allclose(alone[name], found[name], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("missing", [0.0, 0.03])
@pytest.mark.parametrize("threshold", [0.01, 1e-4])
@pytest.mark.parametrize("k", [20, 40])
def test_the_screen_loses_nothing(missing, threshold, k):
    genotypes, phenotypes, covariates = cohort(
        3, n=200, m=300, k=k, missing_calls=missing, missing_traits=missing if k < 32 else 0.0
    )
    full = gwas(genotypes, phenotypes, covariates)
    kept = gwas(genotypes, phenotypes, covariates, threshold=threshold)
    want = full.frame.filter(pl.col("p") <= threshold)
    assert want.height > 10
    assert kept.frame.select("phenotype", "id").equals(want.select("phenotype", "id"))
    for name in _NUMBERS:
        np.testing.assert_allclose(kept.frame[name], want[name], rtol=1e-12, atol=1e-12)
    assert kept.params["screened"]
    # Where calls are missing the counts of a screen are approximate, and 300 variants are few.
    np.testing.assert_allclose(
        kept.summary["lambda_gc"], full.summary["lambda_gc"], rtol=0.1 if missing else 0.005
    )


def test_largest_squares_bound_what_anybody_can_take():
    from radgen.associate.genomewide._linear import largest_squares

    y = np.random.default_rng(1).standard_t(3, size=(37, 3))
    found = largest_squares(y)
    for level, row in enumerate(found):
        count = min(int(np.ceil(2 ** (level / 2) - 1e-9)), 37)
        want = np.sort(y**2, axis=0)[::-1][:count].sum(axis=0)
        assert (row >= want).all()
        np.testing.assert_allclose(row, want, rtol=2e-5)
    np.testing.assert_allclose(found[-1], (y**2).sum(axis=0), rtol=2e-5)


def test_the_screen_of_a_heavy_tailed_trait_loses_nothing():
    genotypes, phenotypes, covariates = cohort(11, n=200, m=300, k=12, missing_traits=0)
    values = phenotypes.select(pl.exclude("sample")).to_numpy()
    heavy = pl.DataFrame(
        {"sample": phenotypes["sample"]} | {f"y{j}": np.sinh(2 * values[:, j]) for j in range(12)}
    )
    full = gwas(genotypes, heavy, covariates)
    kept = gwas(genotypes, heavy, covariates, threshold=0.005)
    want = full.frame.filter(pl.col("p") <= 0.005)
    assert want.height > 10
    assert kept.frame.select("phenotype", "id").equals(want.select("phenotype", "id"))


def test_blocks_workers_and_order_change_nothing(tmp_path, monkeypatch):
    genotypes, phenotypes, covariates = cohort(4)
    want = gwas(genotypes, phenotypes, covariates, jobs=1).frame
    other = gwas(genotypes, phenotypes, covariates, block_size=7, jobs=3).frame
    with ThreadPoolExecutor(2) as pool:
        third = gwas(genotypes, phenotypes, covariates, block_size=16, executor=pool).frame
    for found in (other, third):
        assert found.select("phenotype", "id").equals(want.select("phenotype", "id"))
        for name in _NUMBERS:
            np.testing.assert_allclose(found[name], want[name], rtol=1e-10, atol=1e-12)
    out = tmp_path / "scan.parquet"
    # Of candidates all tests are held, of more variants the strongest alone.
    assert gwas(genotypes, phenotypes, covariates, out=out).frame.equals(want)
    monkeypatch.setattr(_store, "CANDIDATES", 0)
    streamed = gwas(genotypes, phenotypes, covariates, out=out)
    assert pl.read_parquet(out).equals(want)
    assert streamed.frame.height < want.height
    assert [item.name for item in tmp_path.iterdir()] == ["scan.parquet"]


def test_an_interrupted_scan_is_taken_up(tmp_path, monkeypatch):
    genotypes, phenotypes, covariates = cohort(5, m=200)
    want = gwas(genotypes, phenotypes, covariates, block_size=2, jobs=1)
    read = ArrayDosages.read
    starts = []

    def failing(self, start, stop):
        starts.append(start)
        if start >= 150:
            raise OSError("the disk is gone")
        return read(self, start, stop)

    out = tmp_path / "scan.parquet"
    monkeypatch.setattr(ArrayDosages, "read", failing)
    with pytest.raises(OSError, match="disk"):
        gwas(genotypes, phenotypes, covariates, block_size=2, jobs=1, out=out)
    assert not out.exists()
    monkeypatch.setattr(ArrayDosages, "read", read)
    again = []
    monkeypatch.setattr(
        ArrayDosages, "read", lambda self, a, b: (again.append(a), read(self, a, b))[1]
    )
    resumed = gwas(genotypes, phenotypes, covariates, block_size=2, jobs=1, out=out)
    assert min(again) >= 128
    assert pl.read_parquet(out).equals(want.frame)
    assert resumed.summary.equals(want.summary)


@pytest.mark.parametrize(
    ("n", "missing_calls", "missing_traits"),
    [(90, 0.03, 0.05), (2500, 0.0, 0.0), (2500, 0.02, 0.01)],
)
def test_the_compact_store_holds_every_test(tmp_path, n, missing_calls, missing_traits):
    genotypes, phenotypes, covariates = cohort(
        12, n=n, m=150, k=5, missing_calls=missing_calls, missing_traits=missing_traits
    )
    whole = gwas(genotypes, phenotypes, covariates)
    out = tmp_path / "scan"
    short = gwas(genotypes, phenotypes, covariates, layout="compact", out=out, block_size=40)
    found = read_compact(out).sort("phenotype", "pos")
    want = whole.frame.sort("phenotype", "pos")
    assert found.select("phenotype", "id", "n").equals(want.select("phenotype", "id", "n"))
    t, exact = found["t"].to_numpy(), want["t"].to_numpy()
    # Half a step, and what single precision adds.
    assert np.nanmax(np.abs(t - exact)) < 6e-4
    assert (np.isnan(t) == np.isnan(exact)).all()
    # Without missing calls beta and se follow from t exactly.
    off = 1e-6 if not missing_calls else 7 * np.sqrt(missing_calls * n / 2) / n
    np.testing.assert_allclose(found["se"], want["se"], rtol=off)
    np.testing.assert_allclose(found["alt_freq"], want["alt_freq"], rtol=1e-6)
    np.testing.assert_allclose(found["log10p"], want["log10p"], atol=2e-3)
    hits = want.filter(pl.col("p") <= 1e-5)
    assert hits.height > 0
    for kept in (short.frame.sort("phenotype", "pos"), found.filter(pl.col("p") <= 1e-5)):
        assert kept.select("phenotype", "id").equals(hits.select("phenotype", "id"))
        for name in _NUMBERS:
            np.testing.assert_allclose(kept[name], hits[name], rtol=1e-12, atol=1e-12)
    assert short.summary["n_tests"].equals(whole.summary["n_tests"])
    np.testing.assert_allclose(short.summary["lambda_gc"], whole.summary["lambda_gc"], rtol=0.01)
    one = read_compact(out, ["y2"], variants=pl.col("chrom") == "2")
    assert one.height == 20
    with pytest.raises(InputError, match="no trait"):
        read_compact(out, ["z"])


def test_an_interrupted_compact_scan_is_taken_up(tmp_path, monkeypatch):
    from radgen.associate.genomewide import _compact

    monkeypatch.setattr(_compact, "_TESTS_A_PART", 60)
    genotypes, phenotypes, covariates = cohort(13, m=100)
    options = {"layout": "compact", "block_size": 10, "jobs": 1}
    gwas(genotypes, phenotypes, covariates, out=tmp_path / "a", **options)
    read, starts = ArrayDosages.read, []

    def failing(self, start, stop):
        starts.append(start)
        if start >= 60:
            raise OSError("the disk is gone")
        return read(self, start, stop)

    monkeypatch.setattr(ArrayDosages, "read", failing)
    with pytest.raises(OSError, match="disk"):
        gwas(genotypes, phenotypes, covariates, out=tmp_path / "b", **options)
    with pytest.raises(FormatError, match="no finished"):
        read_compact(tmp_path / "b")
    again = []
    monkeypatch.setattr(
        ArrayDosages, "read", lambda self, a, b: (again.append(a), read(self, a, b))[1]
    )
    gwas(genotypes, phenotypes, covariates, out=tmp_path / "b", **options)
    assert min(again) >= 50
    files = sorted(item.name for item in (tmp_path / "a").iterdir())
    assert files == sorted(item.name for item in (tmp_path / "b").iterdir())
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "thesis.docx").write_text("mine")
    with pytest.raises(InputError, match="other files"):
        gwas(genotypes, phenotypes, covariates, out=tmp_path / "c", **options)


def test_text_layouts(tmp_path):
    genotypes, phenotypes, covariates = cohort(14)
    want = gwas(genotypes, phenotypes, covariates, traits=["y1"]).frame
    options = {"traits": ["y1"], "block_size": 16}
    gwas(genotypes, phenotypes, covariates, out=tmp_path / "a", layout="regenie", **options)
    found = pl.read_csv(tmp_path / "a_y1.regenie", separator=" ", null_values=["NA"])
    columns = "CHROM GENPOS ID ALLELE0 ALLELE1 A1FREQ N TEST BETA SE CHISQ LOG10P EXTRA"
    assert found.columns == columns.split()
    np.testing.assert_allclose(found["LOG10P"].fill_null(np.nan), -want["log10p"])
    np.testing.assert_allclose(found["A1FREQ"], want["alt_freq"])
    assert found.filter(pl.col("BETA").is_null())["EXTRA"].to_list() == ["TEST_FAIL"]
    gwas(genotypes, phenotypes, covariates, out=tmp_path / "b", layout="gwas-ssf", **options)
    found = pl.read_csv(tmp_path / "b.y1.tsv", separator="\t")
    assert found.columns[:8] == [
        "chromosome",
        "base_pair_location",
        "effect_allele",
        "other_allele",
        "beta",
        "standard_error",
        "effect_allele_frequency",
        "neg_log_10_p_value",
    ]
    assert found.height == want.height - 1
    assert set(found["effect_allele"]) == {"G"}
    assert "genome_assembly: unknown" in (tmp_path / "b.y1.tsv-meta.yaml").read_text()
    with pytest.raises(InputError, match="say where"):
        gwas(genotypes, phenotypes, covariates, layout="plink")


def test_samples_are_matched_by_id():
    genotypes, phenotypes, covariates = cohort(6)
    less = phenotypes.filter(pl.col("sample") != "s3")
    result = gwas(genotypes, less, covariates)
    assert result.dropped.rows() == [("s3", "absent from phenotypes")]
    assert result.n_used == 89
    with pytest.raises(AlignmentError, match="more than one row"):
        gwas(genotypes, pl.concat([phenotypes, phenotypes[:1]]), covariates)
    stranger = phenotypes.with_columns(("x" + pl.col("sample")).alias("sample"))
    with pytest.raises(AlignmentError):
        gwas(genotypes, stranger, covariates)


def test_bad_arguments():
    genotypes, phenotypes, covariates = cohort(7)
    with pytest.raises(InputError, match="Did you mean 'y1'"):
        gwas(genotypes, phenotypes, covariates, traits=["y1x"])
    with pytest.raises(InputError, match="threshold"):
        gwas(genotypes, phenotypes, covariates, threshold=0.0)
    with pytest.raises(InputError, match="model"):
        gwas(genotypes, phenotypes, covariates, model="liner")
    flat = phenotypes.with_columns(pl.lit(2.0).alias("y0"))
    with pytest.raises(InputError, match="varies"):
        gwas(genotypes, flat, covariates, traits=["y0"])
    result = gwas(genotypes, flat, covariates)
    assert any("do not vary" in note for note in result.warnings)
    assert result.frame.filter(pl.col("phenotype") == "y0")["t"].is_nan().all()


def test_tiny_p_does_not_underflow():
    genotypes, *_ = cohort(8, n=2000, m=21, missing_calls=0, missing_traits=0)
    dosage = genotypes.read(6, 7)[0]
    noise = np.random.default_rng(0).normal(0, 0.02, 2000)
    table = pl.DataFrame({"sample": genotypes.samples, "y": dosage + noise})
    result = gwas(genotypes, table, threshold=1e-8)
    row = result.frame.filter(pl.col("id") == "v6")
    assert row["log10p"][0] < -1000
    assert row["p"][0] == 0
    assert "e-" in result.statements()[1]


def test_the_result_is_stored_and_read_again():
    genotypes, phenotypes, covariates = cohort(9)
    result = gwas(genotypes, phenotypes, covariates)
    again = GwasResult.decode(*result.encode())
    assert again.frame.equals(result.frame)
    assert again.summary.equals(result.summary)
    assert "least squares" in again.methods()
    assert "dropped variant by variant" in again.methods()
    assert again.statements() == result.statements()


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("linear", {}),
        ("linear", {"interaction": "a"}),
        ("logistic", {}),
        ("logistic", {"test": "firth"}),
        ("logistic", {"test": "score"}),
        ("logistic", {"test": "score", "threshold": 0.009}),
        ("logistic", {"interaction": "a"}),
        ("ordinal", {}),
        ("cox", {"event": "binary"}),
        ("cox", {"event": "binary", "interaction": "a"}),
    ],
)
def test_variants_that_nearly_nobody_has_called_stop_no_scan(model, options):
    rng = np.random.default_rng(15)
    n = 120
    calls = rng.binomial(2, 0.3, (5, n)).astype(np.float32)
    calls[1] = np.nan
    calls[2, 3:] = np.nan
    calls[3, 40:] = np.nan
    samples = tuple(f"s{i}" for i in range(n))
    rows = {"chrom": ["1"] * 5, "pos": range(5), "id": list("abcde")}
    variants = pl.DataFrame(rows | {"ref": ["A"] * 5, "alt": ["C"] * 5})
    genotypes = GenotypeMatrix(samples, variants, ArrayDosages(calls))
    binary = rng.integers(0, 2, n)
    binary[:3] = 0, 1, 1
    traits = {"linear": rng.normal(size=n), "logistic": binary, "ordinal": rng.integers(0, 4, n)}
    traits |= {"cox": rng.exponential(size=n), "binary": binary}
    table = pl.DataFrame({"sample": samples} | {k: np.asarray(v, float) for k, v in traits.items()})
    noise = rng.normal(size=(2, n))
    covariates = pl.DataFrame({"sample": samples, "a": noise[0], "b": noise[1]})
    found = gwas(genotypes, table, covariates, model=model, traits=[model], **options).frame
    if "threshold" in options:
        assert set(found["id"]) <= set("ade")
        return
    assert found["n"].to_list() == [120, 0, 3, 40, 120]
    assert found["t"].is_nan().to_list() == [False, True, True, False, False]
