"""Cell fractions of mixtures that are known, and their null level."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.optimize import lsq_linear
from scipy.stats import binom

from radgen.cli.fractions import fractions
from radgen.errors import Approximation, InputError
from radgen.omics import cell_fractions
from radgen.types import OmicsTable

CELLS = ["T", "B", "NK"]
GENES = [f"g{j}" for j in range(40)]


def _layer(names: list[str], values: np.ndarray, genes: list[str] = GENES) -> OmicsTable:
    return OmicsTable(names, genes, values, "expression", "TPM")


def _case(n: int = 5) -> tuple[OmicsTable, OmicsTable, np.ndarray]:
    rng = np.random.default_rng(3)
    pure = rng.gamma(0.5, 50.0, size=(3, 40))
    truth = rng.dirichlet(np.ones(3), n)
    return _layer([f"s{i}" for i in range(n)], truth @ pure), _layer(CELLS, pure), truth


def test_fractions_of_mixtures_without_noise_are_exact() -> None:
    mixed, pure, truth = _case()
    found = cell_fractions(mixed, pure)
    np.testing.assert_allclose(found.select(CELLS).to_numpy(), truth, atol=1e-10)
    assert (found["p"] == 0.01).all()


def test_regression_recovers_fractions_within_its_insensitive_tube() -> None:
    mixed, pure, truth = _case()
    found = cell_fractions(mixed, pure, method="nu_svr", n_permutations=0)
    assert np.abs(found.select(CELLS).to_numpy() - truth).max() < 0.05
    assert found["p"].null_count() == 5


@pytest.mark.parametrize("method", ["nnls", "nu_svr"])
def test_order_of_genes_and_scale_change_nothing(method: str) -> None:
    mixed, pure, _ = _case()
    order = np.random.default_rng(1).permutation(40)
    moved = _layer(list(mixed.samples), 7 * mixed.values[:, order], [GENES[j] for j in order])
    first, second = (
        cell_fractions(item, pure, method=method, n_permutations=0).select(CELLS).to_numpy()
        for item in (mixed, moved)
    )
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_null_samples_give_uniform_p() -> None:
    rng = np.random.default_rng(5)
    _, pure, _ = _case()
    noise = _layer([f"s{i}" for i in range(200)], rng.gamma(0.5, 50.0, size=(200, 40)))
    p = cell_fractions(noise, pure, n_permutations=19)["p"].drop_nulls().to_numpy()
    for level in (0.05, 0.25, 0.5):
        low, high = binom.interval(0.999, len(p), level)
        assert low <= (p <= level + 1e-9).sum() <= high


def test_what_has_no_fractions_says_why() -> None:
    mixed, pure, _ = _case()
    values = mixed.values.copy()
    values[0, 5:] = np.nan
    found = cell_fractions(_layer(list(mixed.samples), values), pure, n_permutations=0)
    assert found["T"][0] is None
    assert found["reason"][0] == "5 genes are shared with the signature (need 10)"
    assert found["reason"][1] is None
    logged = OmicsTable(["s"], GENES, values[1:2], "expression", "log2 TPM")
    with pytest.raises(InputError, match="linear scale only"):
        cell_fractions(logged, pure)
    with pytest.raises(InputError, match="negative or infinite"):
        cell_fractions(_layer(["s"], -values[1:2]), pure)


def test_noisy_fractions_equal_an_interior_solver_of_bounded_least_squares() -> None:
    mixed, pure, _ = _case()
    rng = np.random.default_rng(9)
    noisy = _layer(list(mixed.samples), np.abs(mixed.values + rng.normal(0, 20, (5, 40))))
    found = cell_fractions(noisy, pure, n_permutations=0)
    for row, y in zip(found.select(CELLS).to_numpy(), noisy.values, strict=True):
        weights = lsq_linear(pure.values.T, y, (0, np.inf), method="trf", tol=1e-14).x
        np.testing.assert_allclose(row, weights / weights.sum(), atol=1e-6)


def test_values_that_look_like_logarithms_are_told() -> None:
    mixed, pure, _ = _case()
    logged = _layer(list(mixed.samples), np.log2(mixed.values + 1))
    with pytest.warns(Approximation, match="The table reaches only"):
        cell_fractions(logged, pure, n_permutations=0)


def test_cell_types_that_depend_on_each_other_have_no_fractions() -> None:
    mixed, pure, _ = _case()
    twice = _layer(CELLS, pure.values[[0, 1, 1]])
    found = cell_fractions(mixed, twice, n_permutations=0)
    assert found["T"].null_count() == 5
    assert "not linearly independent" in found["reason"][0]


def test_the_command_writes_known_fractions(tmp_path: Path) -> None:
    mixed, pure, truth = _case()
    for name, layer in (("mixed", mixed), ("pure", pure)):
        columns = dict(zip(layer.samples, layer.values, strict=True))
        pl.DataFrame({"gene": GENES, **columns}).write_csv(tmp_path / f"{name}.csv")
    out = tmp_path / "cells.csv"
    fractions(expression=tmp_path / "mixed.csv", signature=tmp_path / "pure.csv", out=out)
    found = pl.read_csv(out)
    assert found["sample"].to_list() == list(mixed.samples)
    np.testing.assert_allclose(found.select(CELLS).to_numpy(), truth, atol=1e-5)


def test_samples_in_rows_and_ensembl_ids_give_the_same_fractions(tmp_path: Path) -> None:
    mixed, pure, truth = _case()
    columns = dict(zip(pure.samples, pure.values, strict=True))
    pl.DataFrame({"gene": GENES, **columns}).write_csv(tmp_path / "pure.csv")
    rows = dict(zip(GENES, mixed.values.T, strict=True))
    pl.DataFrame({"sample": list(mixed.samples), **rows}).write_csv(tmp_path / "rows.csv")
    ids = {gene: f"ENSG{k:011d}" for k, gene in enumerate(GENES)}
    pl.DataFrame({"id": list(ids.values()), "symbol": GENES}).write_csv(tmp_path / "map.csv")
    samples = dict(zip(mixed.samples, mixed.values, strict=True))
    pl.DataFrame({"id": [f"{item}.4" for item in ids.values()], **samples}).write_csv(
        tmp_path / "ensembl.csv"
    )
    for name, more in (("rows", {}), ("ensembl", {"gene_map": tmp_path / "map.csv"})):
        fractions(
            expression=tmp_path / f"{name}.csv", signature=tmp_path / "pure.csv",
            out=tmp_path / "cells.csv", permutations=0, **more,
        )  # fmt: skip
        found = pl.read_csv(tmp_path / "cells.csv")
        assert found["sample"].to_list() == list(mixed.samples)
        np.testing.assert_allclose(found.select(CELLS).to_numpy(), truth, atol=1e-5)
