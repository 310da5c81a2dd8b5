"""Scans beside the predictions of a first step, through the command line, against REGENIE."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from radgen.associate import gwas
from radgen.cli.app import run
from radgen.errors import FormatError
from radgen.types import ArrayDosages, GenotypeMatrix


@pytest.fixture(scope="module")
def folder(data):
    return data("genetics/regenie_example")


def command(monkeypatch, *words):
    monkeypatch.setattr("sys.argv", ["radgen", "gwas", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        run()
    assert not end.value.code


def people(folder, tmp_path, name):
    """Write the phenotypes without the people that the reference run removed."""
    gone = {line.split()[1] for line in (folder / "fid_iid_to_remove.txt").read_text().splitlines()}
    lines = (folder / name).read_text().splitlines()
    kept = [line for line in lines if line.split()[1] not in gone]
    (tmp_path / name).write_text("\n".join(kept) + "\n")
    return tmp_path / name


def test_firth_beside_predictions_equals_regenie(folder, tmp_path, monkeypatch):
    ref = folder / "ref_regenie_4.1.2"
    (tmp_path / "fit_pred.list").write_text(f"Y1 {ref / 'fit_bin_1.loco'}\n")
    words = ["--phenotypes", people(folder, tmp_path, "phenotype_bin.txt"), "--traits", "Y1"]
    words += ["--covariates", folder / "covariates.txt", "--model", "logistic"]
    words += ["--loco", tmp_path / "fit_pred.list"]
    for test in ("approx-firth", "score"):
        out = ["--test", test, "--out", tmp_path / f"{test}.parquet"]
        command(monkeypatch, "--genotypes", folder / "example.bed", *words, *out)
    found, score = (
        pl.read_parquet(tmp_path / f"{test}.parquet") for test in ("approx-firth", "score")
    )
    want = pl.read_csv(ref / "bin_firth_Y1.regenie", separator=" ")
    shipped = pl.read_csv(folder / "test_bin_out_firth_Y1.regenie", separator=" ")
    assert found["alt"].to_list() == want["ALLELE1"].cast(pl.String).to_list()
    assert found["n"].to_list() == want["N"].to_list()
    np.testing.assert_allclose(found["alt_freq"], want["A1FREQ"], atol=6e-7)
    # The reference takes Firth's penalty below p = 0.01, radgen below 0.05.
    squares = np.square(score["t"].to_numpy())
    firth, scores = squares > 6.6349, squares < 3.8414
    assert firth.sum() == 20
    assert scores.sum() > 900
    for table in (want, shipped):
        # REGENIE stops its Firth iterations at 2.5e-4 of the score.
        for ours, theirs in (("beta", "BETA"), ("se", "SE")):
            difference = np.abs(found[ours].to_numpy() - table[theirs].to_numpy())
            assert difference[firth].max() < 1e-4
            assert difference[scores].max() < 6e-7
        difference = np.abs(found["log10p"].to_numpy() + table["LOG10P"].to_numpy())
        assert difference[firth].max() < 5e-5
        assert difference[scores].max() < 6e-6


def test_linear_scans_beside_predictions_are_near_regenie(folder, tmp_path, monkeypatch):
    ref = folder / "ref_regenie_4.1.2"
    lines = [f"Y{trait} {ref / f'fit_qt_{trait}.loco'}" for trait in (1, 2)]
    (tmp_path / "fit_pred.list").write_text("\n".join(lines) + "\n")
    words = ["--genotypes", folder / "example.pgen", "--phenotypes", folder / "phenotype.txt"]
    words += ["--covariates", folder / "covariates.txt", "--loco", tmp_path / "fit_pred.list"]
    command(monkeypatch, *words, "--layout", "regenie", "--out", tmp_path / "scan")
    for trait in ("Y1", "Y2"):
        found = pl.read_csv(tmp_path / f"scan_{trait}.regenie", separator=" ")
        want = pl.read_csv(ref / f"qt_{trait}.regenie", separator=" ")
        assert found.columns == want.columns
        same = found["ALLELE1"].to_list() == want["ALLELE1"].to_list()
        sign = 1 if same else -1
        np.testing.assert_allclose(sign * found["BETA"].to_numpy(), want["BETA"], atol=2e-6)
        # REGENIE takes the variance of the model without the variant: F against that of t.
        t2, n = (found["CHISQ"]).to_numpy(), found["N"].to_numpy()
        df = n - 5.0
        np.testing.assert_allclose(t2 * (n - 4) / (df + t2), want["CHISQ"], rtol=1e-4, atol=1e-5)


def test_survival_beside_predictions_equals_statsmodels(tmp_path):
    duration = pytest.importorskip("statsmodels.duration.hazard_regression")
    rng = np.random.default_rng(8)
    n = 200
    samples = tuple(f"s{i}" for i in range(n))
    calls = rng.binomial(2, 0.3, (4, n)).astype(np.float32)
    rows = {"chrom": ["1", "1", "2", "2"], "pos": range(4), "id": list("abcd")}
    variants = pl.DataFrame(rows | {"ref": ["A"] * 4, "alt": ["C"] * 4})
    genotypes = GenotypeMatrix(samples, variants, ArrayDosages(calls))
    known, x = rng.normal(size=(2, n)), rng.normal(size=(2, n))
    time = np.ceil(10 * rng.exponential(size=n) / np.exp(known[0] + 0.5 * x[0]))
    event = (rng.random(n) < 0.7).astype(float)
    table = pl.DataFrame({"sample": samples, "time": time, "event": event})
    covariates = pl.DataFrame({"sample": samples, "a": x[0], "b": x[1]})
    loco = pl.DataFrame(
        {"chrom": ["1"] * n + ["2"] * n, "sample": samples * 2, "time": known.ravel()}
    ).with_columns(scale=pl.lit("log hazard"))
    options = {"model": "cox", "traits": ["time"], "event": "event"}
    found = gwas(genotypes, table, covariates, loco=loco, **options).frame
    for row in range(4):
        offset = known[row // 2]
        null = duration.PHReg(time, x.T, event, offset=offset, ties="efron").fit(disp=0)
        full = duration.PHReg(
            time, np.column_stack([x.T, calls[row]]), event, offset=offset, ties="efron"
        )
        at = np.append(null.params, 0.0)
        u, information = full.score(at)[-1], -full.hessian(at)
        z = u * np.sqrt(np.linalg.inv(information)[-1, -1])
        assert found["t"][row] == pytest.approx(z, rel=1e-5)
    other = loco.with_columns(scale=pl.lit("logit"))
    with pytest.raises(ValueError, match="needs log hazard"):
        gwas(genotypes, table, covariates, loco=other, **options)


def test_a_damaged_list_is_refused(folder, tmp_path):
    from radgen.associate import read_background

    (tmp_path / "a_pred.list").write_text("Y1 nowhere.loco\n")
    with pytest.raises(FormatError, match="does not exist"):
        read_background(tmp_path / "a_pred.list", model="cox")
