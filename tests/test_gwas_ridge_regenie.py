"""The polygenic background against REGENIE and Glow, and the scan beside it."""

from __future__ import annotations

import csv
import json
import zipfile

import numpy as np
import polars as pl
import pytest
from scipy.special import expit

from radgen.associate import gwas, polygenic_background, read_background
from radgen.errors import FormatError, InputError
from radgen.io import open_genotypes
from radgen.io.sample_table import read_sample_table
from radgen.stats.stacked_ridge import block_predictions, linear_stack, logistic_stack
from radgen.types import ArrayDosages, GenotypeMatrix


@pytest.fixture(scope="module")
def example(data):
    folder = data("genetics/regenie_example")
    genotypes = open_genotypes(folder / "example.bed")
    out = set((folder / "snplist_rm.txt").read_text().split())
    rows = [row for row, name in enumerate(genotypes.variants["id"]) if name not in out]
    tables = [read_sample_table(folder / f"{name}.txt") for name in ("phenotype", "covariates")]
    predictions = {}
    for trait in (1, 2):
        lines = (folder / "ref_regenie_4.1.2" / f"fit_qt_{trait}.loco").read_text().splitlines()
        names = [item.split("_")[1] for item in lines[0].split()[1:]]
        values = [[float(item) for item in line.split()[1:]] for line in lines[1:]]
        predictions[f"Y{trait}"] = (names, values)
    return folder, genotypes, rows, tables, predictions


def _with_second_chromosome(view):
    n = view.n_samples
    variants = pl.concat([view.variants, view.variants[:1].with_columns(chrom=pl.lit("2"))])
    dosages = np.vstack([view.read(0, view.n_variants), np.ones((1, n), np.float32)])
    return GenotypeMatrix(view.samples, variants, ArrayDosages(dosages))


def test_predictions(example):
    _, genotypes, rows, (traits, covariates), predictions = example
    view = genotypes.take_variants(rows)
    # All variants lie on chromosome 1. One constant variant stands for chromosome 2, so that
    # "without chromosome 2" is the prediction of all variants, as in the reference file.
    both = _with_second_chromosome(view)
    result = polygenic_background(both, traits, covariates, block_size=100)
    for trait, (names, values) in predictions.items():
        for chrom in ("1", "2"):
            found = result.frame.filter(pl.col("chrom") == chrom)
            want = dict(zip(names, values[int(chrom) - 1], strict=True))
            expected = np.array([want[name] for name in found["sample"]])
            if chrom == "1":
                assert np.abs(found[trait].to_numpy()).max() == np.abs(expected).max() == 0
            else:
                assert np.corrcoef(found[trait], expected)[0, 1] > 0.9999
                # REGENIE's are in units of the standardised trait, ours in those of the trait.
                table = traits.join(covariates, on="IID")
                x = np.column_stack([np.ones(500), *(table[f"V{j}"] for j in (1, 2, 3))])
                residual = table[trait] - x @ np.linalg.lstsq(x, table[trait], rcond=None)[0]
                scale = np.sqrt((residual**2).sum() / 496)
                slope = np.polyfit(found[trait] / scale, expected, 1)[0]
                assert slope == pytest.approx(1, abs=0.01)
    assert "out" in result.methods()


def test_scan_beside_the_predictions(example):
    folder, genotypes, _, (traits, covariates), predictions = example
    names, values = predictions["Y1"]
    # Any prediction serves to check the second step; this one is that of all variants.
    loco = pl.DataFrame({"chrom": ["1"] * 500, "sample": names, "Y1": values[1]})
    found = gwas(genotypes, traits, covariates, loco=loco, traits=["Y1"])
    by_hand = traits.select("IID", "Y1").join(loco, left_on="IID", right_on="sample")
    by_hand = by_hand.select("IID", Y1=pl.col("Y1") - pl.col("Y1_right"))
    want = gwas(genotypes, by_hand, covariates)
    np.testing.assert_allclose(found.frame["t"], want.frame["t"], rtol=1e-9)
    assert "Leave-one-chromosome-out" in found.methods()
    plain = gwas(genotypes, traits, covariates, traits=["Y1"]).frame
    theirs = pl.read_csv(folder / "ref_regenie_4.1.2" / "qt_Y1.regenie", separator=" ")
    # Without predictions (chromosome 1 is the only one); REGENIE divides by the variance of
    # the model without the variant, which is close for small effects.
    small = (plain["p"] > 1e-3).to_numpy()
    np.testing.assert_allclose(
        -plain["log10p"].to_numpy()[small],
        theirs["LOG10P"].to_numpy()[small],
        rtol=0.02,
        atol=0.002,
    )


def test_a_bad_table_is_refused(example):
    _, genotypes, _, (traits, covariates), predictions = example
    names, values = predictions["Y1"]
    loco = pl.DataFrame({"chrom": ["1"] * 499, "sample": names[1:], "Y1": values[1][1:]})
    with pytest.raises(InputError, match="no prediction"):
        gwas(genotypes, traits, covariates, loco=loco, traits=["Y1"])
    with pytest.raises(InputError, match="lacks the columns Y2"):
        gwas(genotypes, traits, covariates, loco=loco)
    with pytest.raises(InputError, match="lack the chromosomes 1"):
        gwas(
            genotypes,
            traits,
            covariates,
            loco=loco.with_columns(chrom=pl.lit("9"))[:0],
            traits=["Y1"],
        )


def test_one_flat_trait_does_not_stop_the_others(example):
    _, genotypes, rows, (traits, covariates), _ = example
    view = genotypes.take_variants(rows[:300])
    flat = traits.with_columns(Y1=pl.lit(1.0))
    result = polygenic_background(view, flat, covariates, block_size=100)
    alone = polygenic_background(view, traits, covariates, traits=["Y2"], block_size=100)
    np.testing.assert_allclose(result.frame["Y2"], alone.frame["Y2"], rtol=1e-9, atol=1e-12)
    assert result.frame["Y1"].null_count() == result.frame.height
    assert result.fits["status"].to_list()[0] == "the trait does not vary beside the covariates"
    assert any("Y1" in note for note in result.warnings)
    second = gwas(view, flat, covariates, loco=result)
    assert second.frame.filter(phenotype="Y1")["t"].is_nan().all()
    assert second.frame.filter(phenotype="Y2")["t"].is_finite().all()
    assert any("polygenic background" in note for note in second.warnings)
    with pytest.raises(InputError, match="No trait"):
        polygenic_background(view, flat, covariates, traits=["Y1"])


def _binary_example(example):
    folder, genotypes, rows, (_, covariates), _ = example
    gone = {line.split()[1] for line in (folder / "fid_iid_to_remove.txt").read_text().splitlines()}
    kept = [row for row, name in enumerate(genotypes.samples) if name not in gone]
    view = genotypes.take_variants(rows).take_samples(kept)
    return view, read_sample_table(folder / "phenotype_bin.txt"), covariates


def test_binary_predictions(example):
    view, traits, covariates = _binary_example(example)
    result = polygenic_background(
        _with_second_chromosome(view), traits, covariates, model="logistic", block_size=100
    )
    listed = example[0] / "ref_regenie_4.1.2" / "fit_bin_1.loco"
    lines = listed.read_text().splitlines()
    names = [item.split("_")[1] for item in lines[0].split()[1:]]
    want = dict(zip(names, map(float, lines[2].split()[1:]), strict=True))
    found = result.frame.filter(pl.col("chrom") == "2")
    expected = np.array([want[name] for name in found["sample"]])
    assert np.corrcoef(found["Y1"], expected)[0, 1] > 0.9999
    # The constant variant counts in the penalties: the slope is not quite 1.
    assert np.polyfit(found["Y1"], expected, 1)[0] == pytest.approx(1, abs=0.01)
    assert set(result.frame["scale"]) == {"logit"}
    assert "one person left out" in result.methods()


def test_log_odds_as_offsets_equal_statsmodels(example, tmp_path):
    folder, _, _, (_, covariates), _ = example
    view, traits, _ = _binary_example(example)
    theirs = (folder / "ref_regenie_4.1.2" / "fit_bin_1.loco").read_text().splitlines()
    # All variants are on chromosome 1, which leaves nothing: the offsets there are 0. Those of
    # chromosome 2 stand in for them.
    (tmp_path / "fit_bin_1.loco").write_text(
        "\n".join([theirs[0], "1 " + theirs[2].split(maxsplit=1)[1]]) + "\n"
    )
    (tmp_path / "fit_pred.list").write_text("Y1 /gone/elsewhere/fit_bin_1.loco\n")
    loco = read_background(tmp_path / "fit_pred.list", binary=True)
    some = view.take_variants(range(0, 900, 90))
    found = gwas(some, traits, covariates, model="logistic", traits=["Y1"], loco=loco).frame
    table = traits.join(covariates, on="IID").filter(pl.col("IID").is_in(list(view.samples)))
    x = np.column_stack([np.ones(table.height), *(table[f"V{j}"] for j in (1, 2, 3))])
    offset = table.join(loco, left_on="IID", right_on="sample", maintain_order="left")["Y1_right"]
    calls = some.read(0, some.n_variants).astype(float)
    place = {name: at for at, name in enumerate(view.samples)}
    order = [place[name] for name in table["IID"]]
    import statsmodels.api as sm

    for row, call in enumerate(calls):
        design = np.column_stack([x, call[order]])
        fit = sm.GLM(
            table["Y1"].to_numpy(), design, sm.families.Binomial(), offset=offset.to_numpy()
        ).fit(tol=1e-12)
        assert found["beta"][row] == pytest.approx(fit.params[-1], rel=1e-6)
        assert found["se"][row] == pytest.approx(fit.bse[-1], rel=1e-5)
    with pytest.raises(InputError, match="on the scale 'logit'"):
        gwas(some, traits, covariates, traits=["Y1"], loco=loco)
    (tmp_path / "fit_bin_1.loco").write_text(theirs[0] + "\n1 0 0\n")
    with pytest.raises(FormatError, match="2 values"):
        read_background(tmp_path / "fit_pred.list")


def test_standardised_predictions_are_in_units_of_the_trait(example):
    _, genotypes, _, (traits, covariates), predictions = example
    names, values = predictions["Y1"]
    loco = pl.DataFrame({"chrom": "1", "sample": names, "scale": "sd", "Y1": values[1]})
    some = genotypes.take_variants([3, 77])
    one = gwas(some, traits, covariates, traits=["Y1"], loco=loco).frame
    table = traits.join(covariates, on="IID")
    x = np.column_stack([np.ones(500), *(table[f"V{j}"] for j in (1, 2, 3))])
    residual = table["Y1"] - x @ np.linalg.lstsq(x, table["Y1"], rcond=None)[0]
    sd = np.sqrt((residual**2).sum() / 496)
    two = gwas(
        some,
        traits,
        covariates,
        traits=["Y1"],
        loco=loco.with_columns(pl.col("Y1") * sd, scale=pl.lit("trait")),
    ).frame
    np.testing.assert_allclose(one["t"], two["t"], rtol=1e-9)


def test_missing_values_bad_traits_and_company_change_no_trait(example):
    view, traits, covariates = _binary_example(example)
    view = view.take_variants(range(0, 990, 5))
    halves = pl.Series("chrom", ["1"] * 99 + ["2"] * 99)
    calls = ArrayDosages(view.read(0, 198))
    view = GenotypeMatrix(view.samples, view.variants.with_columns(halves), calls)
    rng = np.random.default_rng(2)
    gaps = np.where(rng.random(traits.height) < 0.1, np.nan, traits["Y1"].to_numpy())
    many = traits.with_columns(
        Y1=pl.Series(gaps).fill_nan(None),
        three=pl.Series(rng.integers(0, 3, traits.height)),
        one=pl.lit(1),
        few=pl.Series([0, 1, 0] + [None] * (traits.height - 3)),
        separated=(pl.Series(traits["IID"]).cast(pl.Int64) > 250).cast(pl.Int64),
    )
    beside = covariates.with_columns(late=(pl.col("IID").cast(pl.Int64) > 250).cast(pl.Int64))
    result = polygenic_background(view, many, beside, model="logistic", block_size=40, n_folds=4)
    status = dict(zip(result.fits["phenotype"], result.fits["status"], strict=True))
    assert {name for name, text in status.items() if text == "ok"} == {"Y1", "Y2"}
    assert "needs both of 0 and 1" in status["three"]
    assert "needed are 10" in status["few"]
    assert "separate" in status["separated"]
    # A sample without the trait is predicted, and changes nothing for the others.
    alone = polygenic_background(
        view, many, beside, model="logistic", traits=["Y1", "Y2"], block_size=40, n_folds=4
    )
    for name in ("Y1", "Y2"):
        assert result.frame[name].null_count() == 0
        np.testing.assert_allclose(result.frame[name], alone.frame[name], rtol=1e-8, atol=1e-11)
    other = many.with_columns(pl.col("Y1").fill_null(1.0))
    changed = polygenic_background(
        view, other, beside, model="logistic", traits=["Y1"], block_size=40, n_folds=4
    )
    assert np.abs(changed.frame["Y1"] - alone.frame["Y1"]).max() > 1e-4
    second = gwas(view, many, beside, model="logistic", traits=["Y1", "three"], loco=result)
    assert second.frame.filter(phenotype="three")["beta"].is_nan().all()


def test_leave_one_out_by_definition():
    rng = np.random.default_rng(4)
    n, m = 40, 6
    x = rng.normal(size=(m, n))
    y = rng.normal(size=(n, 2))
    penalties = np.array([0.5, 20.0])
    fast = block_predictions(x, y, None, penalties)
    folds = [slice(k, k + 1) for k in range(n)]
    np.testing.assert_allclose(fast, block_predictions(x, y, folds, penalties), rtol=1e-9)
    known = rng.random(n) < 0.8
    groups = np.array([0, 0, 1, 1, 1, 2])
    fixed = {"penalties": penalties, "groups": groups}
    one = linear_stack(x.T, y[:, 0], known=known, folds=None, **fixed)
    two = linear_stack(x.T, y[:, 0], known=known, folds=folds, **fixed)
    np.testing.assert_allclose(one.loss, two.loss, rtol=1e-9)
    np.testing.assert_allclose(one.parts, two.parts, rtol=1e-8, atol=1e-12)
    # One Newton step from the fit of all lies near the refit without the sample.
    z = (rng.random(n) < expit(x[0])).astype(float)
    offset = np.full(n, -0.1)
    near = logistic_stack(x.T, z, offset, known=known, folds=None, **fixed)
    exact = logistic_stack(x.T, z, offset, known=known, folds=folds, **fixed)
    assert near.best == exact.best
    assert np.abs(near.parts - exact.parts).max() < 0.05 * np.abs(exact.parts).max()
    # The penalised score is 0 at the coefficients of a fold.
    first = np.flatnonzero(known)[1:]
    from radgen.stats.stacked_ridge import _penalised_logistic

    beta, mu, _ = _penalised_logistic(x.T[first], z[first], offset[first], 0.5, np.zeros(m))
    np.testing.assert_allclose(x[:, first] @ (z[first] - mu), 0.5 * beta, atol=1e-5)


def _zarr(archive, name, shape):
    """Read one whole zarr array of blosc-lz4 chunks, without the zarr library."""
    import pyarrow as pa

    with zipfile.ZipFile(archive) as packed:
        head = json.loads(packed.read(f"{name}/.zarray"))
        assert head["chunks"] == head["shape"] == list(shape)
        raw = packed.read(f"{name}/" + ".".join("0" * len(shape)))
    flags, size = raw[2], raw[3]
    nbytes, block = (int.from_bytes(raw[at : at + 4], "little") for at in (4, 8))
    out = b""
    codec = pa.Codec("lz4_raw")
    for number in range(-(-nbytes // block)):
        at = int.from_bytes(raw[16 + 4 * number : 20 + 4 * number], "little")
        whole = min(block, nbytes - len(out))
        n_parts = 1 if flags & 16 or whole < block else size
        plain = b""
        for _ in range(n_parts):
            length = int.from_bytes(raw[at : at + 4], "little")
            body = raw[at + 4 : at + 4 + length]
            part = whole // n_parts
            plain += body if length == part else codec.decompress(body, part).to_pybytes()
            at += 4 + length
        if flags & 1:
            plain = np.frombuffer(plain, np.uint8).reshape(size, -1).T.tobytes()
        out += plain
    return np.frombuffer(out, head["dtype"]).reshape(shape)


def _csv(path):
    with path.open() as stream:
        rows = list(csv.reader(stream))[1:]
    return np.array([[float(item) for item in row[1:]] for row in rows])


@pytest.mark.parametrize(("data_set", "run"), [("sim_sm_01", "wgr_01"), ("sim_sm_02", "wgr_02")])
def test_glow(data, data_set, run):
    """Glow's penalties and scaling, our two levels.

    Glow has covariates as predictors of penalty 1 in both levels (here: scaled by the root of
    the penalty), scales the first level within each fold, and multiplies the penalties of the
    second by the number of traits.
    """
    folder = data("genetics/sgkit_glow_regenie")
    here = folder / "dataset" / data_set
    calls = _zarr(here / "genotypes.zarr.zip", "call_genotype", (250, 50, 2)).sum(axis=2)
    contig = _zarr(here / "genotypes.zarr.zip", "variant_contig", (250,))

    def scaled(values, axis):
        centred = values - values.mean(axis=axis, keepdims=True)
        return centred / values.std(axis=axis, keepdims=True)

    y, x = (scaled(_csv(here / f"{name}.csv"), 0) for name in ("traits", "covariates"))
    g = scaled(calls.astype(float), 1)
    folds = [slice(k, k + 10) for k in range(0, 50, 10)]
    shares = np.array([0.99, 0.75, 0.5, 0.25, 0.01])
    first = np.array([1000.0]) if run == "wgr_01" else 250 / shares
    blocks = []
    for chrom in np.unique(contig):
        rows = np.flatnonzero(contig == chrom)
        for low in range(0, len(rows), 10):
            for penalty in first:
                both = np.vstack([x.T * np.sqrt(penalty), g[rows[low : low + 10]]])
                blocks.append(block_predictions(both, y, folds, np.array([penalty])))
    w = np.concatenate(blocks, axis=1)
    for fold in folds:
        w[:, :, fold] = scaled(w[:, :, fold], 2)
    second = np.array([1000.0]) if run == "wgr_01" else w.shape[1] * y.shape[1] / shares
    want = _csv(folder / "result" / f"{data_set}-{run}" / "predictions.csv")
    for trait in range(y.shape[1]):
        best, found = -np.inf, None
        for penalty in second:
            columns = np.hstack([x * np.sqrt(penalty), w[trait].T])
            stack = linear_stack(
                columns,
                y[:, trait],
                known=np.ones(50, bool),
                folds=folds,
                penalties=np.array([penalty]),
                groups=np.zeros(columns.shape[1], np.int64),
            )
            own = stack.parts[0]
            r2 = np.mean(
                [
                    1
                    - ((y[f, trait] - own[f]) ** 2).sum()
                    / ((y[f, trait] - y[f, trait].mean()) ** 2).sum()
                    for f in folds
                ]
            )
            if r2 > best:
                best, found = r2, own
        assert np.corrcoef(found, want[:, trait])[0, 1] > 0.99999
