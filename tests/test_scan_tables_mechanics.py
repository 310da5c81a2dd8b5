"""Scans of other programs as analyses of causes, pooling and plots read them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm
from typer.testing import CliRunner

from radgen.cli.app import app
from radgen.errors import FormatError
from radgen.io import read_scan
from radgen.io.scan_tables import scan_table

M, N = 400, 50_000


def _truth() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(8)
    f = rng.uniform(0.1, 0.9, M)
    se = 1 / np.sqrt(2 * f * (1 - f) * N)
    beta = np.where(np.arange(M) < 30, rng.normal(0, 0.08, M), 0) + rng.normal(size=M) * se
    ref = rng.choice(["A", "C"], M)
    alt = np.where(ref == "A", "G", "T")
    chrom, pos = 1 + np.arange(M) % 22, 1_000_000 + 4_000_000 * (np.arange(M) // 22)
    return {"f": f, "se": se, "beta": beta, "ref": ref, "alt": alt, "chrom": chrom, "pos": pos}


def _ssf(t: dict[str, np.ndarray], path: Path) -> Path:
    pl.DataFrame(
        {"chromosome": t["chrom"], "base_pair_location": t["pos"], "effect_allele": t["alt"],
         "other_allele": t["ref"], "beta": t["beta"], "standard_error": t["se"],
         "effect_allele_frequency": t["f"], "p_value": 2 * norm.sf(np.abs(t["beta"] / t["se"])),
         "rsid": [f"rs{i}" for i in range(M)], "n": [N] * M}
    ).write_csv(path, separator="\t")  # fmt: skip
    return path


def _plink1(t: dict[str, np.ndarray], path: Path) -> Path:
    """Odds ratios of the other allele, in small letters, chromosomes with "chr"."""
    pl.DataFrame(
        {"CHR": [f"chr{c}" for c in t["chrom"]], "BP": t["pos"],
         "SNP": [f"rs{i}" for i in range(M)], "A1": np.char.lower(t["ref"]),
         "A2": np.char.lower(t["alt"]), "OR": np.exp(-0.4 * t["beta"]), "SE": t["se"],
         "P": 2 * norm.sf(np.abs(0.4 * t["beta"] / t["se"]))}
    ).write_csv(path, separator=" ")  # fmt: skip
    return path


def _run(*arguments: object) -> tuple[int, str]:
    found = CliRunner().invoke(app, [str(item) for item in arguments])
    return found.exit_code, f"{found.output}{found.exception or ''}"


def test_a_scan_of_gwas_ssf_is_read_in_standard_columns(tmp_path: Path) -> None:
    t = _truth()
    found = read_scan(_ssf(t, tmp_path / "hippocampus.tsv"))
    assert found["phenotype"].unique().to_list() == ["hippocampus"]
    assert found["chrom"].to_list() == [str(c) for c in t["chrom"]]
    np.testing.assert_allclose(found["beta"], t["beta"], rtol=1e-12)
    np.testing.assert_allclose(found["log10p"], np.log10(2 * norm.sf(abs(t["beta"] / t["se"]))),
                               rtol=1e-9)  # fmt: skip


def test_standard_errors_follow_from_effect_and_p() -> None:
    t = _truth()
    p = 2 * norm.sf(np.abs(t["beta"] / t["se"]))
    table = pl.DataFrame({"SNP": [f"rs{i}" for i in range(M)], "A1": t["alt"], "A2": t["ref"],
                          "B": t["beta"], "P": p})  # fmt: skip
    np.testing.assert_allclose(scan_table(table, "x")["se"], t["se"], rtol=1e-6)


def test_effects_of_z_are_those_of_a_standardised_trait() -> None:
    """A regression of a standardised trait on dosages gives back beta and se from z, f and n."""
    rng = np.random.default_rng(3)
    g = np.repeat([0.0, 1.0, 2.0], [1000, 2000, 1000])  # as in equilibrium, to the person
    y = g + rng.normal(size=4000)  # strong: z squared is a third of n
    y = (y - y.mean()) / y.std()
    x = g - g.mean()
    beta = x @ y / (x @ x)
    se = np.sqrt(((y - beta * x) ** 2).sum() / 3998 / (x @ x))
    table = pl.DataFrame({"MarkerName": ["rs1"], "Allele1": ["a"], "Allele2": ["g"],
                          "Freq1": [g.mean() / 2], "Zscore": [beta / se],
                          "Weight": [4000]})  # fmt: skip
    row = scan_table(table, "x").row(0, named=True)
    assert row["beta"] == pytest.approx(beta, rel=1e-3)
    assert row["se"] == pytest.approx(se, rel=1e-3)


def test_mendelian_randomisation_takes_public_tables(tmp_path: Path) -> None:
    t = _truth()
    exposure, outcome = _ssf(t, tmp_path / "a.tsv"), _plink1(t, tmp_path / "b.assoc")
    code, text = _run("mr", exposure, outcome, "--out", tmp_path / "mr", "--methods", "ivw")
    assert code == 0, text
    estimates = pl.read_csv(tmp_path / "mr" / "estimates.tsv", separator="\t")
    assert estimates["effect"][0] == pytest.approx(0.4, abs=1e-6)


def test_pooling_one_scan_with_itself_keeps_effects_and_halves_variances(tmp_path: Path) -> None:
    t = _truth()
    first = _ssf(t, tmp_path / "a.tsv")
    own = read_scan(first, phenotype="trait").with_columns(
        pl.format("chr{}", "chrom").alias("chrom"), pl.col("alt", "ref").str.to_lowercase()
    )
    own.write_csv(tmp_path / "b.csv")
    code, text = _run("meta", first, tmp_path / "b.csv", "--out", tmp_path / "m.tsv")
    assert code == 0, text
    pooled = pl.read_csv(tmp_path / "m.tsv", separator="\t").sort("chrom", "pos")
    assert pooled.height == M
    wanted = own.with_columns(pl.col("chrom").str.slice(3).cast(pl.Int64)).sort("chrom", "pos")
    np.testing.assert_allclose(pooled["beta"].abs(), wanted["beta"].abs(), rtol=1e-9)
    np.testing.assert_allclose(pooled["se"], wanted["se"] / np.sqrt(2), rtol=1e-9)


def test_pooling_tells_where_nothing_is_shared(tmp_path: Path) -> None:
    t = _truth()
    first = _ssf(t, tmp_path / "a.tsv")
    read_scan(first, phenotype="other").write_csv(tmp_path / "b.csv")
    code, text = _run("meta", first, tmp_path / "b.csv", "--out", tmp_path / "m.tsv")
    assert code == 0
    assert "No test stands in two cohorts" in text


def test_regions_without_a_posterior_are_told_and_not_drawn(tmp_path: Path) -> None:
    t = _truth()
    first, second = _ssf(t, tmp_path / "a.tsv"), _plink1(t, tmp_path / "b.assoc")
    code, text = _run("coloc", first, second, "--kinds", "quantitative,case_control",
                      "--out", tmp_path / "c")  # fmt: skip
    assert code == 0, text
    assert (tmp_path / "c" / "report.html").is_file()


def test_a_manhattan_plot_of_a_public_table_is_drawn(tmp_path: Path) -> None:
    code, text = _run("plot", "manhattan", _ssf(_truth(), tmp_path / "a.tsv"),
                      "--out", tmp_path / "a.png", "--dpi", 40)  # fmt: skip
    assert code == 0, text


def test_a_table_that_is_no_scan_is_refused_with_what_was_understood(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("id,age\n1,2\n")
    with pytest.raises(FormatError, match="lacks effect and other allele"):
        read_scan(tmp_path / "x.csv")
