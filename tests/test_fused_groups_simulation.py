"""Groups of fused networks: planted ones, tables that are missing, tables that share nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score
from typer.testing import CliRunner

from radgen.cli.app import app
from radgen.errors import InputError
from radgen.multivariate import FusedGroups, fuse_groups
from radgen.multivariate.fused_groups import _shared
from radgen.types import PhenotypeTable


def _blocks(
    rng: np.random.Generator, *, joint: bool = True
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.int64]]:
    truth = np.repeat([0, 1, 2], 20)
    other = truth if joint else rng.permutation(truth)
    shift = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])
    images, genes = (np.c_[shift[g], np.zeros((60, 2))] for g in (truth, other))
    return {
        "images": images + rng.normal(size=images.shape),
        "genes": genes + rng.normal(size=genes.shape),
    }, truth


def _table(block: NDArray[np.float64], ids: list[str]) -> PhenotypeTable:
    frame = pl.DataFrame(block, schema=[f"x{k}" for k in range(block.shape[1])])
    return PhenotypeTable.from_frame(frame.insert_column(0, pl.Series("sample", ids)))


def test_planted_groups_are_found_with_their_number() -> None:
    blocks, truth = _blocks(np.random.default_rng(0))
    found = FusedGroups(random_state=0).fit(blocks)
    assert found.n_clusters_ == 3
    assert adjusted_rand_score(truth, found.labels_) > 0.9
    order = np.random.default_rng(1).permutation(60)
    again = FusedGroups(random_state=0).fit({name: b[order] for name, b in blocks.items()})
    assert adjusted_rand_score(found.labels_[order], again.labels_) == 1.0


def test_samples_without_a_table_are_grouped_by_the_others() -> None:
    blocks, truth = _blocks(np.random.default_rng(2))
    blocks["images"][::5] = np.nan
    blocks["genes"][1::5] = np.nan
    with pytest.raises(InputError, match="12 samples lack table 'images'"):
        FusedGroups().fit(blocks)
    found = FusedGroups(missing="share", n_clusters=3, random_state=0).fit(blocks)
    assert adjusted_rand_score(truth, found.labels_) > 0.8
    lone = np.zeros(60, dtype=bool)
    lone[::5] = lone[1::5] = True
    assert adjusted_rand_score(truth[lone], found.labels_[lone]) > 0.6


def test_shared_pairs_by_hand() -> None:
    nan = np.nan
    a = np.array([[9.0, 2, 2], [2, 9, 2], [2, 2, 9]])
    b = np.array([[9.0, 4, nan], [4, 9, nan], [nan, nan, nan]])
    found = _shared({"a": a, "b": b})
    # Rows of a have mean 2, those of b 4: on one scale all known pairs are 1; b takes a's.
    assert found["a"][0, 1] == pytest.approx(1.0)
    assert found["b"][0, 1] == pytest.approx(1.0)
    assert found["b"][0, 2] == found["b"][2, 1] == pytest.approx(1.0)


def test_null_tells_common_groups_from_groups_of_each_table() -> None:
    small = []
    for seed in range(12):
        blocks, _ = _blocks(np.random.default_rng(seed), joint=False)
        ids = [f"s{k}" for k in range(60)]
        tables = {name: _table(block, ids) for name, block in blocks.items()}
        small.append(fuse_groups(tables, seed=1, permutations=39, n_clusters=3)[1].params["p"])
    # Of 12 uniform p-values four or more lie at 0.05 or below in 0.2 % of all draws.
    assert sum(p <= 0.05 for p in small) < 4
    blocks, _ = _blocks(np.random.default_rng(0))
    tables = {name: _table(block, ids) for name, block in blocks.items()}
    result = fuse_groups(tables, seed=1, permutations=39)[1]
    assert result.params["p"] == 1 / 40
    assert "resemble each other more than" in result.statements()[1]


def test_command_matches_samples_by_id(tmp_path: Path) -> None:
    blocks, truth = _blocks(np.random.default_rng(3))
    ids = [f"s{k:02d}" for k in range(60)]
    order = np.random.default_rng(4).permutation(60)[:55]
    _table(blocks["images"], ids).to_frame().write_csv(tmp_path / "images.csv")
    genes = _table(blocks["genes"][order], [ids[k] for k in order])
    genes.to_frame().write_csv(tmp_path / "genes.csv")
    done = CliRunner().invoke(
        app,
        ["groups", "fuse", str(tmp_path / "images.csv"), str(tmp_path / "genes.csv"),
         "--permutations", "19", "--out", str(tmp_path / "fused.csv")],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    table = pl.read_csv(tmp_path / "fused.csv")
    assert table.height == 55
    known = [truth[ids.index(s)] for s in table["sample"]]
    assert adjusted_rand_score(known, table["group"].to_list()) > 0.9
