"""One pair to look at: samples, adjustment, picture, command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from radgen.associate import pair, scan
from radgen.cli.app import app
from radgen.errors import InputError
from radgen.types import Covariates, OmicsTable, PhenotypeTable


def _tables() -> tuple[PhenotypeTable, OmicsTable, Covariates]:
    rng = np.random.default_rng(0)
    ids = [f"s{i}" for i in range(60)]
    age = rng.normal(60, 9, 60)
    genes = rng.standard_normal((60, 2)) + 0.05 * age[:, None]
    volume = genes[:, 0] + 0.1 * age + rng.standard_normal(60)
    volume[3] = np.nan
    images = PhenotypeTable.from_frame({"sample": ids, "volume": volume, "grade": (age > 60) * 1.0})
    layer = OmicsTable(ids, ["A", "B"], genes, "expression", "log2")
    return images, layer, Covariates(tuple(ids), ("age",), age[:, None])


def test_a_pair_is_the_row_of_the_scan_and_its_adjusted_slope_the_effect() -> None:
    images, layer, age = _tables()
    found = pair(images, layer, "volume", "A", age)
    row = found.test.row(0, named=True)
    whole = scan(images, layer, age).table
    same = whole.filter((pl.col("phenotype") == "volume") & (pl.col("omics") == "A"))
    assert row["log10p"] == pytest.approx(same["log10p"][0])
    slope = np.polyfit(found.frame["feature_adjusted"], found.frame["phenotype_adjusted"], 1)[0]
    assert slope == pytest.approx(row["effect"])
    assert found.n_used == 59
    assert found.plot("pair").get_xlabel() == "A (adjusted)"
    groups = pair(images, layer, "grade", "B").plot("pair")
    assert "n = " in groups.get_xticklabels()[0].get_text()
    with pytest.raises(InputError, match="no phenotype 'volum'"):
        pair(images, layer, "volum", "A")
    tables, plain = found.encode()
    assert type(found).decode(tables, plain).statements() == found.statements()


def test_the_command_writes_picture_and_data(tmp_path: Path) -> None:
    images, layer, _ = _tables()
    columns = {name: images.values[:, k] for k, name in enumerate(images.names)}
    pl.DataFrame({"ID": list(images.samples)} | columns).write_csv(tmp_path / "images.csv")
    layer.to_frame().write_csv(tmp_path / "rna.csv")
    for kind in ("svg", "png"):
        found = CliRunner().invoke(
            app,
            ["pair", "volume", "A", "--phenotypes", str(tmp_path / "images.csv"), "--omics",
             f"expression:log2={tmp_path / 'rna.csv'}", "--out", str(tmp_path / f"p.{kind}")],
        )  # fmt: skip
        assert found.exit_code == 0, found.output
        assert (tmp_path / f"p.{kind}").stat().st_size > 1000
    assert pl.read_csv(tmp_path / "p.csv").height == 59
    assert "volume and A" in found.output
