"""The PyTorch backend of scans gives the tests of the NumPy one, or says what it lacks."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import polars as pl
import pytest

from radgen.associate import gwas, read_compact
from radgen.associate.genomewide._backend import open_backend
from radgen.errors import InputError, MissingDependencyError
from radgen.types import ArrayDosages, GenotypeMatrix

_TORCH = find_spec("torch") is not None


def cohort():
    rng = np.random.default_rng(3)
    n, m, k = 300, 400, 20
    calls = rng.binomial(2, rng.uniform(0.01, 0.5, m)[:, None], (m, n)).astype(np.float32)
    calls[rng.random((m, n)) < 0.01] = np.nan
    samples = tuple(f"s{i}" for i in range(n))
    rows = {"chrom": ["1"] * m, "pos": range(m), "id": [f"v{i}" for i in range(m)]}
    variants = pl.DataFrame(rows | {"ref": ["A"] * m, "alt": ["C"] * m})
    traits = rng.normal(size=(n, k)) + np.nan_to_num(calls[5])[:, None]
    table = pl.DataFrame({"sample": samples} | {f"y{j}": traits[:, j] for j in range(k)})
    covariates = pl.DataFrame({"sample": samples, "age": rng.normal(size=n)})
    return GenotypeMatrix(samples, variants, ArrayDosages(calls)), table, covariates


@pytest.mark.usefixtures("torch")
def test_torch_finds_the_same_tests(tmp_path):
    inputs = cohort()
    found = [gwas(*inputs, threshold=0.005, backend=name) for name in ("numpy", "torch")]
    assert found[0].params["screened"]
    assert found[0].frame.height > 20
    assert found[0].frame.equals(found[1].frame)  # hits are computed again in double precision
    np.testing.assert_allclose(
        found[0].summary["lambda_gc"], found[1].summary["lambda_gc"], rtol=1e-3
    )
    for name in ("numpy", "torch"):
        gwas(*inputs, layout="compact", out=tmp_path / name, backend=name)
    one, other = (read_compact(tmp_path / name) for name in ("numpy", "torch"))
    assert np.nanmax(np.abs((one["t"] - other["t"]).to_numpy())) <= 1.01 / 1024


@pytest.mark.usefixtures("torch")
def test_torch_products_are_those_of_numpy():
    rng = np.random.default_rng(1)
    g, w = rng.normal(size=(50, 700)), rng.normal(size=(700, 33))
    found = open_backend("torch").product(g.astype(np.float32), w.astype(np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, g @ w, atol=1e-3)


@pytest.mark.skipif(_TORCH, reason="PyTorch is installed")
def test_without_torch_the_error_names_the_extra():
    with pytest.raises(MissingDependencyError, match=r"radgen\[deep\]"):
        gwas(*cohort(), threshold=0.005, backend="torch")


def test_an_unknown_backend_is_refused():
    with pytest.raises(InputError, match="backend"):
        gwas(*cohort(), threshold=0.005, backend="cupy")
