"""Voxel-wise scans against the bare matrix product and against loops over voxels.

Run: python benchmarks/bench_many.py [--people 2000] [--variants 10000] [--voxels 100000]
     [--nilearn PYTHON]   (an environment that has nilearn)
Prints ratios at the stated sizes; each checks that both sides found the same values.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from radgen.associate import voxelwise
from radgen.types import ArrayDosages, GenotypeMatrix, Geometry, ImageStack, VoxelSpace

COVARIATES = 5


def cohort(n: int, m: int, v: int) -> tuple[GenotypeMatrix, ImageStack, pl.DataFrame]:
    """Genotypes, smooth-free images of `v` voxels, and covariates, of `n` people."""
    rng = np.random.default_rng(1)
    calls = np.empty((m, n), np.float32)
    for row in range(m):
        calls[row] = rng.binomial(2, rng.uniform(0.05, 0.5), n)
    names = tuple(f"s{i}" for i in range(n))
    variants = pl.DataFrame(
        {"chrom": ["1"] * m, "pos": list(range(1, m + 1)), "id": [f"v{i}" for i in range(m)]}
        | {"ref": ["A"] * m, "alt": ["C"] * m}
    )
    values = np.empty((n, v), np.float32)
    for row in range(n):
        rng.standard_normal(out=values[row], dtype=np.float32)
    values[:, 0] += 0.5 * calls[0]
    values.setflags(write=False)
    side = int(np.ceil(v ** (1 / 3)))
    space = VoxelSpace(Geometry.from_spacing((side, side, side), (2, 2, 2)), np.arange(v))
    x = rng.normal(size=(n, COVARIATES))
    cov = pl.DataFrame({"sample": names} | {f"x{j}": x[:, j] for j in range(COVARIATES)})
    genotypes = GenotypeMatrix(names, variants, ArrayDosages(calls))
    return genotypes, ImageStack(names, values, space), cov


def bare_product(genotypes: GenotypeMatrix, stack: ImageStack, workers: int) -> tuple[float, float]:
    """Wall and processor seconds of the product alone, in good tiles, results thrown away."""
    g = genotypes.read(0, genotypes.n_variants)
    width = 6250

    def work(low: int) -> None:
        y = np.ascontiguousarray(stack.values[:, low : low + width])
        out = np.empty((512, y.shape[1]), np.float32)
        for first in range(0, len(g), 512):
            part = g[first : first + 512]
            np.matmul(part, y, out=out[: len(part)])

    start, busy = time.perf_counter(), time.process_time()
    with threadpool_limits(1), ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, range(0, stack.n_points, width)))
    return time.perf_counter() - start, time.process_time() - busy


def loop_rate(
    genotypes: GenotypeMatrix, stack: ImageStack, cov: pl.DataFrame
) -> tuple[float, float]:
    """Tests a second of statsmodels, a voxel and variant at a time; largest relative difference."""
    import statsmodels.api as sm

    design = np.column_stack([np.ones(stack.n_samples), cov.drop("sample").to_numpy()])
    found = voxelwise(stack, genotypes.take_variants(range(5)), cov, threshold=0.05, n_top=20)
    rows = found.peaks.select("id", "point", "t").rows()
    start, worst = time.perf_counter(), 0.0
    for name, point, t in rows:
        g = genotypes.read(int(name[1:]), int(name[1:]) + 1)[0].astype(float)
        fit = sm.OLS(stack.values[:, point].astype(float), np.column_stack([design, g])).fit()
        worst = max(worst, abs(fit.tvalues[-1] / t - 1))
    return len(rows) / (time.perf_counter() - start), worst


NILEARN = """
import json, sys, time
import numpy as np
from nilearn.mass_univariate import permuted_ols
d = np.load(sys.argv[1])
start = time.perf_counter()
out = permuted_ols(d["x"], d["y"], d["z"], model_intercept=True, n_perm=int(sys.argv[2]),
                   two_sided_test=True, random_state=1, n_jobs=1, output_type="dict")
print(json.dumps({"seconds": time.perf_counter() - start, "t": out["t"][0][:2000].tolist()}))
"""


def against_nilearn(python: str) -> None:
    """Permutation inference of one predictor: radgen against nilearn's permuted_ols."""
    from radgen.associate import voxel_test

    rng = np.random.default_rng(2)
    n, v, m = 200, 20_000, 1_000
    y = rng.normal(size=(n, v)).astype(np.float32)
    x, z = rng.normal(size=(n, 1)), rng.normal(size=(n, 3))
    names = tuple(f"s{i}" for i in range(n))
    space = VoxelSpace(Geometry.from_spacing((20, 20, 50)), np.arange(v))
    cov = pl.DataFrame({"sample": names} | {f"z{j}": z[:, j] for j in range(3)})
    start = time.perf_counter()
    ours = voxel_test(
        ImageStack(names, y, space), {"sample": names, "x": x[:, 0]}, cov,
        n_permutations=m, seed=1, enhance="none",
    )  # fmt: skip
    seconds = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.npz"
        np.savez(path, x=x, y=y.astype(float), z=z)
        command = [python, "-c", NILEARN, str(path), str(m)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    theirs = json.loads(said.strip().splitlines()[-1])
    t = ours.frame.sort("point")["t"].to_numpy()[:2000]
    gap = float(np.abs(np.abs(t) - np.abs(theirs["t"])).max())
    print(f"permutations of {v:,} voxels, {n} people, {m} times, one core each:")
    ratio = theirs["seconds"] / seconds
    print(f"  radgen {seconds:.2f} s, nilearn {theirs['seconds']:.2f} s, ratio {ratio:.0f}")
    print(f"  largest difference of t {gap:.1e}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=2_000)
    parser.add_argument("--variants", type=int, default=10_000)
    parser.add_argument("--voxels", type=int, default=100_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--nilearn", default="")
    options = parser.parse_args()
    genotypes, stack, cov = cohort(options.people, options.variants, options.voxels)
    n_tests = options.variants * options.voxels
    before = bare_product(genotypes, stack, options.jobs)
    start, busy = time.perf_counter(), time.process_time()
    found = voxelwise(stack, genotypes, cov, jobs=options.jobs)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    after = bare_product(genotypes, stack, options.jobs)
    bare, bare_busy = (min(pair) for pair in zip(before, after, strict=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    assert found.params["n_tests"] == n_tests
    assert found.predictors.sort("log10p")["id"][0] == "v0"
    print(f"{options.people:,} people, {options.variants:,} variants, {options.voxels:,} voxels:")
    print(f"  bare product {bare:.1f} s, voxelwise {seconds:.1f} s: ratio {seconds / bare:.2f}")
    print(f"  processor time {bare_busy:.1f} s and {busy:.1f} s: ratio {busy / bare_busy:.2f}")
    print(f"  {n_tests / seconds / 1e6:.1f} M tests/s; peak memory with the data {peak:.2f} GB")
    rate, worst = loop_rate(genotypes, stack, cov)
    ratio = n_tests / seconds / rate
    print(f"  statsmodels, one test at a time: {rate:.0f} tests/s, ratio {ratio:,.0f}")
    print(f"  largest relative difference of t {worst:.1e}")
    if options.nilearn:
        against_nilearn(options.nilearn)
    return 0


if __name__ == "__main__":
    sys.exit(main())
