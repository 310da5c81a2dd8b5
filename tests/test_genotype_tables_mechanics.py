"""Candidate genes in plain tables: pairs of alleles, counts, PLINK's .raw, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from radgen.associate import gwas
from radgen.cli.app import app
from radgen.errors import FormatError, RadgenWarning
from radgen.io import open_genotypes, read_people

TABLE = """Patient ID,rs4963062,rs5743905,19:45411941,age
P1,GG,C/T,0,61
P2,GA,C|C,1,50
P3,AG,T/C,2,44
P4,AA,NA,NA,70
P5,GG,./.,0,58
"""


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_pairs_of_alleles_count_the_rarer_one(tmp_path: Path) -> None:
    with pytest.warns(RadgenWarning, match="age hold no genotypes"):
        found = open_genotypes(_write(tmp_path / "snps.csv", TABLE))
    assert found.samples == ("P1", "P2", "P3", "P4", "P5")
    assert found.variants.rows() == [
        ("0", 0, "rs4963062", "G", "A"),
        ("0", 0, "rs5743905", "C", "T"),
        ("19", 45411941, "19:45411941", "N", "N"),
    ]
    nan = np.nan
    expected = [[0, 1, 1, 2, 0], [1, 0, 1, nan, nan], [0, 1, 2, nan, 0]]
    np.testing.assert_array_equal(found.read(0, 3), np.array(expected, np.float32))


def test_plinks_raw_names_the_counted_allele(tmp_path: Path) -> None:
    text = (
        "FID IID PAT MAT SEX PHENOTYPE rs1_A rs2_T(/C)\n"
        "f1 a 0 0 1 -9 0 NA\nf2 b 0 0 2 -9 1 2\nf3 c 0 0 1 -9 2 1\n"
    )
    path = _write(tmp_path / "g.raw", text)
    found = open_genotypes(path)
    assert found.variants.select("id", "ref", "alt").rows() == [
        ("rs1", "N", "A"),
        ("rs2", "C", "T"),
    ]
    np.testing.assert_array_equal(found.read(0, 2), [[0, 1, 2], [np.nan, 2, 1]])
    assert open_genotypes(path, ids="fid_iid").samples == ("f1_a", "f2_b", "f3_c")
    assert read_people(path)["sample"].to_list() == ["a", "b", "c"]


def test_a_scan_of_a_table_is_the_regression_on_its_counts(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    g = rng.binomial(2, 0.3, 80)
    y = 0.4 * g + rng.normal(size=80)
    ids = [f"P{i}" for i in range(80)]
    pairs = np.array(["GG", "GA", "AA"])[g]
    pl.DataFrame({"id": ids, "rs1": pairs}).write_csv(tmp_path / "snps.csv")
    found = gwas(open_genotypes(tmp_path / "snps.csv"), {"sample": ids, "y": y}).table
    slope, _ = np.polyfit(g, y, 1)
    assert found["beta"][0] == pytest.approx(slope, rel=1e-6)
    assert (found["ref"][0], found["alt"][0]) == ("G", "A")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,age\nP1,50\nP2,61\n", "No column holds genotypes"),
        ("id,rs1\nP1,AG\nP2,AT\nP3,AA\n", "3 alleles"),
        ("id,rs1\nP1,AG\nP2,GG\nP3,wild\n", "that cannot be read: wild"),
    ],
)
def test_what_is_no_table_of_genotypes_says_why(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        open_genotypes(_write(tmp_path / "x.csv", text))


def test_counts_under_other_names_are_no_genotypes_beside_other_columns(tmp_path: Path) -> None:
    """A stage of 0 to 2 is no variant, unless all columns of the table are counts."""
    text = "id,rs7,stage,age\nP1,0,1,50\nP2,1,2,61\nP3,2,0,44\n"
    with pytest.warns(RadgenWarning, match="stage, age"):
        found = open_genotypes(_write(tmp_path / "mixed.csv", text))
    assert found.variants["id"].to_list() == ["rs7"]
    pure = open_genotypes(_write(tmp_path / "pure.csv", "id,MUC5B,TOLLIP\nP1,0,1\nP2,2,1\n"))
    assert pure.variants["id"].to_list() == ["MUC5B", "TOLLIP"]


def test_results_are_written_as_their_name_says(tmp_path: Path) -> None:
    _write(tmp_path / "snps.csv", "id,rs1,rs2\n" + "".join(
        f"P{i},{i % 3},{i % 2}\n" for i in range(30)))  # fmt: skip
    _write(tmp_path / "y.csv", "id,volume\n" + "".join(f"P{i},{i * i % 17}\n" for i in range(30)))
    files = ["--genotypes", str(tmp_path / "snps.csv"), "--phenotypes", str(tmp_path / "y.csv")]
    tables = []
    for suffix in ("parquet", "tsv", "csv"):
        out = tmp_path / f"r.{suffix}"
        done = CliRunner().invoke(app, ["gwas", *files, "--out", str(out)])
        assert done.exit_code == 0, done.output
        mark = "," if suffix == "csv" else "\t"
        tables.append(pl.read_parquet(out) if suffix == "parquet" else
                      pl.read_csv(out, separator=mark))  # fmt: skip
    assert tables[0]["beta"].to_list() == pytest.approx(tables[1]["beta"].to_list())
    assert tables[1].equals(tables[2])
    done = CliRunner().invoke(app, ["gwas", *files, "--out", str(tmp_path / "r.doc")])
    assert "name the table of tests" in str(done.exception)


def test_few_variants_are_checked_without_relatedness(tmp_path: Path) -> None:
    rows = "P0,NA,1\n" + "".join(f"P{i},{i % 3},{i * 5 % 7 % 3}\n" for i in range(1, 60))
    _write(tmp_path / "snps.csv", "id,rs1,rs2\n" + rows)
    done = CliRunner().invoke(
        app, ["genotypes", "qc", "--genotypes", str(tmp_path / "snps.csv"), "--out",
              str(tmp_path / "qc")],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "Sample call rate, heterozygosity and relatedness were not checked" in done.output
    assert "60 of 60 samples and 2 of 2 variants passed" in done.output


def test_candidates_are_judged_at_their_own_level(tmp_path: Path) -> None:
    """Three variants and two traits are six tests; what was not kept is not called absent."""
    rng = np.random.default_rng(9)
    g = rng.binomial(2, 0.4, (150, 3))
    ids = [f"P{i}" for i in range(150)]
    pl.DataFrame({"id": ids} | {f"rs{j}": g[:, j] for j in range(3)}).write_csv(tmp_path / "g.csv")
    y = {"sample": ids, "fd": 1.0 * g[:, 0] + rng.normal(size=150), "laws": rng.normal(size=150)}
    genotypes = open_genotypes(tmp_path / "g.csv")
    said = gwas(genotypes, y).findings()
    assert "1 variant at p < 0.0083 (0.05 over 3 variants and 2 traits); lead rs0, p = " in said[1]
    weak = gwas(genotypes, y, threshold=1e-30).findings()
    assert "p < 1e-30 (of weaker ones nothing was kept)" in weak[1]


def test_pictures_of_candidates_draw_their_level(tmp_path: Path) -> None:
    ids = [f"P{i}" for i in range(60)]
    rng = np.random.default_rng(2)
    table = {"id": ids} | {f"rs{j}": rng.binomial(2, 0.4, 60) for j in range(5)}
    pl.DataFrame(table).write_csv(tmp_path / "g.csv")
    found = gwas(open_genotypes(tmp_path / "g.csv"), {"sample": ids, "fd": rng.normal(size=60)})
    lines = [line.get_ydata()[0] for line in found.plot("manhattan").lines]
    assert any(abs(height + np.log10(0.05 / 5)) < 1e-9 for height in lines)
    assert not any("inflation" in text for text in found.findings())
