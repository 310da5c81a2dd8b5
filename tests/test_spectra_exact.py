"""Metabolites: files of LCModel and TARQUIN, the limit of their bounds, ratios, 2HG and IDH."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from radgen.cli.app import app
from radgen.errors import FormatError, InputError
from radgen.io import read_feature_table, read_spectra
from radgen.phenotype import metabolite_phenotypes
from radgen.stats.discrimination import auc

LCMODEL = (
    "Row, Col, Cr+PCr, Cr+PCr %SD, Cr+PCr/Cr+PCr, GPC+PCh, GPC+PCh %SD, GPC+PCh/Cr+PCr, "
    "2HG, 2HG %SD, 2HG/Cr+PCr\n1, 1, 8.0, 4, 1.0, 3.0, 5, 0.375, 2.4, 12, 0.3\n"
    "1, 2, 6.0, 30, 1.0, 1.0, 8, 0.167, 0.2, 999, 0.03\n"
)
TARQUIN = (
    "Signal amplitudes\nRow,Col,Slice,Cr,TCho,2HG\n1,1,1,4.0,2.0,0.5\n"
    "CRLBs (standard deviation)\nRow,Col,Slice,Cr,TCho,2HG\n1,1,1,0.2,0.1,0.4\n"
    "Fit diagnostics\nRow,Col,Slice,Q\n1,1,1,1.2\n"
)


def test_files_of_lcmodel_and_tarquin_by_hand(tmp_path: Path) -> None:
    (tmp_path / "P1.csv").write_text(LCMODEL, encoding="utf-8")
    (tmp_path / "P2.csv").write_text(TARQUIN, encoding="utf-8")
    first, second = (read_spectra(tmp_path / f"P{k}.csv") for k in (1, 2))
    assert first.rows()[:2] == [
        ("P1", "1-1", "Cr+PCr", 8.0, 4.0),
        ("P1", "1-2", "Cr+PCr", 6.0, 30.0),
    ]
    assert set(first["metabolite"]) == {"Cr+PCr", "GPC+PCh", "2HG"}
    assert second["crlb_percent"].to_list() == pytest.approx([5.0, 5.0, 80.0])
    found = metabolite_phenotypes(first, ratios=["GPC+PCh/Cr+PCr"]).to_frame()
    # Creatine of the second voxel has a bound of 30 %; choline passes in both: (3 + 1) / 2 / 8.
    assert found.row(0) == ("P1", 8.0, 2.0, 2.4, 0.25)


def test_limit_makes_values_undefined_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "P2.csv").write_text(TARQUIN, encoding="utf-8")
    read = read_spectra(tmp_path / "P2.csv")
    table = metabolite_phenotypes(read, ratios=["2HG/Cr", "Cr/2HG"])
    reasons = {row["phenotype"]: row["reason"] for row in table.status.iter_rows(named=True)}
    assert reasons["2HG"] == "Cramér-Rao bound 80 %, limit 20 %"
    assert reasons["2HG/Cr"] == "2HG: Cramér-Rao bound 80 %, limit 20 %"
    seen = metabolite_phenotypes(read, ratios=["2HG/Cr", "Cr/2HG"], detect=["2HG"])
    assert seen.values[0, seen.names.index("2HG/Cr")] == 0.0
    assert seen.status["reason"].to_list() == ["2HG was not detected"]
    assert metabolite_phenotypes(read, max_crlb=80.0).status.height == 0
    with pytest.raises(InputError, match="no metabolite 'Cho'"):
        metabolite_phenotypes(read, ratios=["Cho/Cr"])
    with pytest.raises(InputError, match="of two metabolites"):
        metabolite_phenotypes(read, ratios=["Cr"])
    (tmp_path / "odd.csv").write_text("sample,Cr,Cr %SD\na,x,3\nb,2,3\n", encoding="utf-8")
    with pytest.raises(FormatError, match="row 1: 'x'"):
        read_spectra(tmp_path / "odd.csv")
    (tmp_path / "odd.csv").write_text("sample,Cr\na,1\n", encoding="utf-8")
    with pytest.raises(FormatError, match="2HG %SD"):
        read_spectra(tmp_path / "odd.csv")


def test_command_on_a_table_and_2hg_of_idh(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    mutant = np.repeat([1, 0], 20)
    amount = np.where(mutant == 1, rng.normal(3, 0.8, 40), np.abs(rng.normal(0, 0.25, 40)))
    pl.DataFrame(
        {
            "patient": [f"p{k}" for k in range(40)],
            "2HG": amount,
            "2HG CRLB": np.minimum(0.3 / np.maximum(amount, 1e-9) * 100, 999),
            "Cr": rng.normal(8, 0.5, 40),
            "Cr CRLB": np.full(40, 5.0),
        }
    ).write_csv(tmp_path / "fits.csv")
    run = ["spectra", str(tmp_path / "fits.csv"), "--ratio", "2HG/Cr", "--out"]
    done = CliRunner().invoke(app, [*run, str(tmp_path / "mrs.csv"), "--detect", "2HG"])
    assert done.exit_code == 0, done.output
    table = read_feature_table(tmp_path / "mrs.csv")
    score = table.values[:, table.names.index("2HG/Cr")]
    assert auc(mutant == 1, score) > 0.95
    strict = CliRunner().invoke(app, [*run, str(tmp_path / "strict.csv")])
    assert strict.exit_code == 0, strict.output
    lost = pl.read_csv(tmp_path / "strict-status.csv").filter(pl.col("phenotype") == "2HG")
    # Without --detect the limit throws out those without the mutation: that is why it is there.
    assert set(lost["sample"]) >= {f"p{k}" for k in range(20, 40)}
