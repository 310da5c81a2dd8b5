"""Chromosomes X, Y and MT, and pseudo-autosomal regions, against PLINK 2."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from radgen.associate import gwas, read_compact
from radgen.errors import FitError, InputError
from radgen.types import ArrayDosages, GenotypeMatrix

_GOLDEN = Path(__file__).parent / "golden" / "gwas"
_TABLE = pl.read_csv(_GOLDEN / "sexes_input.csv", null_values=["NA"])
_SEX, _AGE = _TABLE.select("sample", "sex"), _TABLE.select("sample", "age")


def matrix(*, par="PAR1", build=""):
    calls = _TABLE.select(f"v{j}" for j in range(12)).cast(pl.Float32).to_numpy().T
    variants = pl.read_csv(_GOLDEN / "sexes_variants.csv", schema_overrides={"chrom": pl.String})
    variants = variants.with_columns(
        chrom=pl.col("chrom").replace("PAR1", par),
        id=pl.Series([f"v{j}" for j in range(12)]),
        ref=pl.lit("A"),
        alt=pl.lit("C"),
    )
    reader = ArrayDosages(np.ascontiguousarray(calls))
    return GenotypeMatrix(tuple(_TABLE["sample"]), variants, reader, build)


def scan(trait, **options):
    model = "linear" if trait == "volume" else "logistic"
    table = _TABLE.select("sample", trait)
    return gwas(matrix(), table, _AGE, model=model, **({"sex": _SEX} | options))


@pytest.mark.parametrize("coding", [1, 2])
@pytest.mark.parametrize("trait", ["volume", "case"])
def test_haploid_chromosomes_equal_plink2(trait, coding):
    found = scan(trait, x_coding=coding).frame
    want = pl.read_csv(_GOLDEN / f"sexes_{trait}_{coding}.tsv", separator="\t", null_values=["NA"])
    assert found["n"].to_list() == want["OBS_CT"].to_list()
    # PLINK 2 leaves out the first variant of Y (CORR_TOO_HIGH among women who have no call).
    known = want["P"].is_not_null().to_numpy()
    assert known.tolist() == [row != 7 for row in range(12)]
    linear = trait == "volume"
    effect = found["beta"].to_numpy() if linear else np.exp(found["beta"].to_numpy())
    theirs = want["BETA" if linear else "OR"].to_numpy()
    se = want["SE" if linear else "LOG(OR)_SE"].to_numpy()
    limit = 6e-6 if linear else 2e-5
    np.testing.assert_allclose(effect[known], theirs[known], rtol=limit)
    # Its logistic iterations stop earlier, which its standard errors show.
    np.testing.assert_allclose(
        found["se"].to_numpy()[known], se[known], rtol=limit if linear else 1e-3
    )
    assert np.isfinite(found["t"][7])
    if coding == 1:
        np.testing.assert_allclose(found["alt_freq"], want["A1_FREQ"], atol=1e-6)
    else:
        # A frequency is that of alleles, whatever a dosage counts in the model.
        other = scan(trait, x_coding=1).frame
        np.testing.assert_allclose(found["alt_freq"], other["alt_freq"])


def test_pseudo_autosomal_places_of_x_are_diploid():
    table = _TABLE.select("sample", "volume")
    split = gwas(matrix(), table, _AGE, sex=_SEX).frame
    # Position 60,500 of X lies in PAR1 of GRCh37; without a build it would be an ordinary place.
    whole = gwas(matrix(par="X", build="GRCh37"), table, _AGE, sex=_SEX).frame
    assert whole["chrom"][11] == "X"
    for name in ("n", "beta", "se", "alt_freq"):
        np.testing.assert_allclose(whole[name], split[name])
    unknown = gwas(matrix(par="X"), table, _AGE, sex=_SEX).frame
    assert unknown["n"][11] == split["n"][11] - 1


def test_screened_stored_and_compact_scans_of_x_are_the_same(tmp_path):
    whole = scan("volume", threshold=1.0).frame
    kept = scan("volume", threshold=0.01, out=tmp_path / "x.parquet").frame
    stored = pl.read_parquet(tmp_path / "x.parquet")
    want = whole.filter(pl.col("p") <= 0.01)
    assert 0 < want.height < 12
    for name in ("n", "alt_freq", "beta", "se", "log10p"):
        np.testing.assert_allclose(stored[name], want[name], rtol=1e-12)
    assert kept.height <= want.height
    scan("volume", layout="compact", out=tmp_path / "short")
    short = read_compact(tmp_path / "short")
    assert short["id"].to_list() == whole["id"].to_list()
    np.testing.assert_allclose(short["t"], whole["t"], atol=6e-4)
    np.testing.assert_allclose(short["alt_freq"], whole["alt_freq"], rtol=1e-6)


@pytest.mark.parametrize("model", ["logistic", "ordinal", "cox", "lmm"])
def test_every_model_takes_sex(model):
    from radgen.genome import grm

    options = {"sex": _SEX, "model": model}
    table = _TABLE.select("sample", "volume", "case")
    if model == "cox":
        table = table.with_columns(time=pl.col("volume") - pl.col("volume").min() + 0.1)
        options |= {"traits": ["time"], "event": "died"}
        table = table.with_columns(died=pl.col("case") - 1)
    elif model == "lmm":
        options |= {"traits": ["volume"], "kinship": grm(matrix().take_variants([0, 11]))}
    else:
        options |= (
            {"traits": ["case"], "test": "score"} if model == "logistic" else {"traits": ["case"]}
        )
    found = gwas(matrix(), table, _AGE, **options).frame
    beside = _AGE.with_columns(male=(_TABLE["sex"] == 1).cast(float))
    known = _TABLE["sex"] > 0
    options.pop("sex")
    by_hand = gwas(matrix(), table.filter(known), beside.filter(known), **options).frame
    for name in ("n", "beta", "log10p"):
        np.testing.assert_allclose(found[name][1:7], by_hand[name][1:7], rtol=1e-6)


def test_sexes_are_checked_and_told():
    result = scan("volume")
    assert any("no known sex" in note and "s11" in note for note in result.warnings)
    assert "sex was a covariate" in result.methods()
    bare = scan("volume", sex=None)
    assert any("Sexes are not known" in note for note in bare.warnings)
    words = dict(zip(_SEX["sample"], ["", "M", "F"] * 80, strict=True))
    assert scan("volume", sex=words).frame["n"][1] < 240
    with pytest.raises(InputError, match="sample 's0' is 'X'"):
        scan("volume", sex={"s0": "X"})
    with pytest.raises(InputError, match="known sex"):
        scan("volume", sex={"other": "male"})
    with pytest.raises(InputError, match="x_coding"):
        scan("volume", x_coding=3)


def test_y_is_left_out_where_too_few_men_are_there():
    women = _TABLE.select("sample", sex=pl.lit("female"))
    found = scan("volume", sex=women)
    assert "Y" not in set(found.table["chrom"])
    on_y = (matrix().variants["chrom"] == "Y").sum()
    assert on_y
    assert f"{on_y} variants of chromosome Y are not tested: 0 men" in " ".join(found.warnings)
    other = scan("volume").table.filter(pl.col("chrom").is_in(["1", "MT"]))
    same = found.table.filter(pl.col("chrom").is_in(["1", "MT"]))
    assert same.select("id", "beta", "se").equals(other.select("id", "beta", "se"))
    only_y = matrix().take_variants(np.flatnonzero(matrix().variants["chrom"] == "Y"))
    with pytest.raises(InputError, match="All variants lie on chromosome Y"):
        gwas(only_y, _TABLE.select("sample", "volume"), sex=women)


def test_a_trait_that_no_man_has_is_undefined_on_y():
    trait = _TABLE.select("sample", "volume", women=pl.when(_TABLE["sex"] == 2).then("volume"))
    found = gwas(matrix(), trait, _AGE, sex=_SEX).table.filter(pl.col("chrom") == "Y")
    both = {name: part for (name,), part in found.group_by("phenotype")}
    assert both["volume"]["beta"].is_finite().any()
    assert not both["women"]["beta"].is_finite().any()
    assert (both["women"]["n"] == 0).all()


@pytest.mark.parametrize("model", ["logistic", "ordinal", "cox"])
def test_a_trait_that_no_man_has_is_undefined_on_y_in_every_model(model):
    columns = {"time": "volume", "died": pl.col("case") - 1} if model == "cox" else {}
    trait = "time" if model == "cox" else "case"
    table = _TABLE.select("sample", "sex", "case", **columns)
    table = table.with_columns(women=pl.when(pl.col("sex") == 2).then(trait))
    options = {"model": model, "sex": _SEX, "traits": [trait, "women"]}
    if model == "cox":
        options["event"] = ["died", "died"]
        table = table.with_columns(pl.col("time", "women") - pl.col("time").min() + 0.1)
    found = gwas(matrix(), table, _AGE, **options).table
    alone = gwas(
        matrix(),
        table,
        _AGE,
        **options | {"traits": [trait], "event": options.get("event", [None])[0]},
    ).table
    assert found.filter(pl.col("phenotype") == trait).equals(alone)
    lost = found.filter((pl.col("phenotype") == "women") & (pl.col("chrom") == "Y"))
    assert len(lost)
    assert not lost["beta"].is_finite().any()
    assert (lost["n"] == 0).all()


def test_a_trait_with_one_class_does_not_stop_the_others():
    table = _TABLE.select("sample", "case", none=pl.lit(0.0))
    both = gwas(matrix(), table, _AGE, model="logistic", sex=_SEX)
    assert "No test of 'none': Trait 'none' has the values [0.0]" in " ".join(both.warnings)
    alone = gwas(matrix(), table.drop("none"), _AGE, model="logistic", sex=_SEX)
    assert both.table.filter(pl.col("phenotype") == "case").equals(alone.table)
    assert not both.table.filter(pl.col("phenotype") == "none")["beta"].is_finite().any()
    with pytest.raises(FitError, match="needs both"):
        gwas(matrix(), table.drop("case"), _AGE, model="logistic", sex=_SEX)


def test_a_trait_that_covariates_separate_does_not_stop_the_others():
    table = _TABLE.select("sample", "case", women=(pl.col("sex") == 2).cast(pl.Float64))
    found = gwas(matrix(), table, _SEX.cast({"sex": pl.Float64}), model="logistic")
    assert "No test of 'women'" in " ".join(found.warnings)
    assert found.table.filter(pl.col("phenotype") == "case")["beta"].is_finite().any()
