"""Locked findings in a second cohort with known truth."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from radgen.associate import ReplicationResult, lock, replicate, scan
from radgen.errors import InputError
from radgen.types import OmicsTable, PhenotypeTable


def _cohort(seed: int, n: int, true: int = 3) -> tuple[PhenotypeTable, OmicsTable]:
    rng = np.random.default_rng(seed)
    ids = [f"c{seed}_{i}" for i in range(n)]
    genes = rng.normal(size=(n, 12))
    traits = rng.normal(size=(n, 4))
    for j in range(true):
        traits[:, j] += 0.7 * genes[:, j]
    images = PhenotypeTable.from_frame({"sample": ids, **{f"f{j}": traits[:, j] for j in range(4)}})
    return images, OmicsTable(ids, [f"G{j}" for j in range(12)], genes, "expression", "log2")


def test_true_effects_replicate_and_are_pooled() -> None:
    locked = lock(scan(*_cohort(1, 150)))
    assert {("f0", "G0"), ("f1", "G1"), ("f2", "G2")} <= set(
        locked.select("phenotype", "omics").iter_rows()
    )
    result = replicate(locked, *_cohort(2, 150))
    table = result.table
    true = table.filter(pl.col("phenotype").str.slice(1) == pl.col("omics").str.slice(1))
    assert true["replicated"].all()
    assert (true["power"] > 0.9).all()
    want = 1 / np.sqrt(1 / true["se"] ** 2 + 1 / true["se_new"] ** 2)
    np.testing.assert_allclose(true["se_meta"], want)
    assert "3 a one-sided p" in result.statements()[0]
    again = ReplicationResult.decode(*result.encode())
    assert again.statements() == result.statements()


def test_false_findings_do_not_replicate() -> None:
    strongest = lock(scan(*_cohort(3, 40, true=0)), by="p", level=0.5, at_most=5)
    result = replicate(strongest, *_cohort(4, 400, true=0))
    assert result.summary["n_replicated"] == 0


def test_what_is_missing_in_the_second_cohort_is_said() -> None:
    locked = lock(scan(*_cohort(1, 150)))
    images, rna = _cohort(5, 60)
    result = replicate(locked, images, rna.take(columns=np.arange(1, 12)))
    row = result.table.filter(pl.col("omics") == "G0").row(0, named=True)
    assert row["status"] == "not_tested"
    assert "not in the second cohort" in row["reason"]
    with pytest.raises(InputError, match="No hypothesis"):
        replicate(locked.head(0), images, rna)
    with pytest.raises(InputError, match="lack"):
        replicate(locked.drop("effect"), images, rna)
