"""Association scans against the bare matrix product and against scripts that loop over pairs.

Run: python benchmarks/bench_associate.py [--traits 1000] [--genes 20000] [--samples 500]
Prints times as ratios measured in the same run, peak memory, and checks that both sides agree.
The peers: statsmodels OLS and scipy.stats.linregress, a call a pair, and pandas corrwith, a
call a trait. The last two cannot adjust for covariates and are given residuals.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable

import numpy as np

from radgen.stats.linear import regress, regress_blocks
from radgen.stats.permutation import max_t

BLOCK = 2048
COVARIATES = 10
PAIRS = 200


def fastest(work: Callable[[], object], repeats: int = 3) -> float:
    """Return the smallest wall time of some runs, in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def peak_mib() -> float:
    """Return the largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traits", type=int, default=1000)
    parser.add_argument("--genes", type=int, default=20_000)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--permutations", type=int, default=1000)
    args = parser.parse_args()
    rng = np.random.default_rng(1)
    z = rng.normal(size=(args.samples, COVARIATES))
    y = rng.normal(size=(args.samples, args.traits)) + z[:, :1]
    x = rng.normal(size=(args.samples, args.genes)) + z[:, 1:2]

    def product() -> None:
        for start in range(0, args.genes, BLOCK):
            _ = x[:, start : start + BLOCK].T @ y

    gappy_y = np.where(rng.random(y.shape) < 0.02, np.nan, y)
    gappy_x = np.where(rng.random(x.shape) < 0.02, np.nan, x)
    base = peak_mib()

    def scan(traits: np.ndarray, genes: np.ndarray) -> Callable[[], None]:
        def work() -> None:
            for _ in regress_blocks(traits, genes, z):
                pass

        return work

    scan(y, x)()
    memory = peak_mib() - base
    named = {
        "bare product of the blocks": product,
        "effects, se, t, log10 p": scan(y, x),
        "the same, 2 % of y missing": scan(gappy_y, x),
        "the same, 2 % of x missing": scan(y, gappy_x),
    }
    # In turns, so that a slow moment of the machine falls on all of them.
    rounds = [{name: fastest(work, 1) for name, work in named.items()} for _ in range(5)]
    took = {name: min(item[name] for item in rounds) for name in named}
    bare, full, *_ = took.values()
    print(f"{args.traits} traits x {args.genes} genes, n = {args.samples}, {COVARIATES} covariates")
    for name, seconds in took.items():
        print(f"{name:<27} {seconds:8.2f} s   {seconds / bare:.2f} x the product")
    print(f"peak memory over the input  {memory:8.0f} MiB")
    for traits, genes in ((y, x), (gappy_y, x), (y, gappy_x)):
        pairs(rng, traits, genes, z, full / (args.traits * args.genes))
    loops(y, x, z, full / (args.traits * args.genes))
    permuted(rng, args.permutations)


def pairs(
    rng: np.random.Generator, y: np.ndarray, x: np.ndarray, z: np.ndarray, per_pair: float
) -> None:
    """Compare with one statsmodels fit a pair."""
    import statsmodels.api as sm

    chosen = [(rng.integers(y.shape[1]), rng.integers(x.shape[1])) for _ in range(PAIRS)]
    start = time.perf_counter()
    want = []
    for i, j in chosen:
        design = np.column_stack([np.ones(len(y)), z, x[:, j]])
        fit = sm.OLS(y[:, i], design, missing="drop").fit()
        want.append((fit.params[-1], fit.bse[-1], fit.pvalues[-1]))
    each = (time.perf_counter() - start) / PAIRS
    got = []
    for i, j in chosen:
        fit = regress(y[:, [i]], x[:, [j]], z)
        got.append((fit.effect[0, 0], fit.se[0, 0], 10 ** fit.log10p[0, 0]))
    np.testing.assert_allclose(got, want, rtol=1e-8)
    gaps = "" if np.isfinite(y).all() and np.isfinite(x).all() else " (gaps)"
    print(f"statsmodels OLS{gaps}, a pair  {each * 1e6:8.0f} us  {each / per_pair:,.0f} x slower")


def loops(y: np.ndarray, x: np.ndarray, z: np.ndarray, per_pair: float) -> None:
    """Compare with one SciPy call a pair and one pandas call a trait."""
    import pandas as pd
    from scipy.stats import linregress

    design = np.column_stack([np.ones(len(y)), z])
    y_left = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    x_left = x - design @ np.linalg.lstsq(design, x, rcond=None)[0]
    start = time.perf_counter()
    slopes = [linregress(x_left[:, j], y_left[:, 0]).slope for j in range(PAIRS)]
    each = (time.perf_counter() - start) / PAIRS
    want = regress(y[:, :1], x, z)
    np.testing.assert_allclose(slopes, want.effect[:PAIRS, 0], rtol=1e-7)
    print(f"SciPy linregress, a pair    {each * 1e6:8.0f} us  {each / per_pair:,.0f} x slower")
    genes, trait = pd.DataFrame(x_left), pd.Series(y_left[:, 0])
    start = time.perf_counter()
    r = genes.corrwith(trait).to_numpy()
    each = (time.perf_counter() - start) / len(r)
    t = want.t[:, 0]
    np.testing.assert_allclose(r, t / np.sqrt(t**2 + want.df[0, 0]), rtol=1e-7, atol=1e-12)
    print(f"pandas corrwith, no p       {each * 1e6:8.2f} us  {each / per_pair:,.0f} x slower")


def permuted(rng: np.random.Generator, count: int) -> None:
    """Time max-T of 500 x 500 at n = 200."""
    y, x, z = rng.normal(size=(200, 500)), rng.normal(size=(200, 500)), rng.normal(size=(200, 5))
    start = time.perf_counter()
    max_t(y, x, z, n_permutations=count, seed=1)
    each = (time.perf_counter() - start) / count
    print(f"max-T 500 x 500, n = 200    {each * 1e3:8.2f} ms  {each * 1e4:.0f} s for 10,000")


if __name__ == "__main__":
    main()
