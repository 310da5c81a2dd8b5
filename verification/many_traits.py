"""Null levels of the tests that join many traits: correlated, skewed, with covariates and linkage.

Run: python verification/many_traits.py [--draws 200] [--seed 1]
Prints a row a test and level; exit code 1 where a count lies outside the 99.9 % binomial band
(tests known to err on the safe side: above it). n = 200, 300 variants in linkage, 20 traits
of which five are skewed, 4 covariates of which one is structure that the genotypes share.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import polars as pl
from scipy import stats

from radgen.associate import aspu, hierarchical_hits, max_t_scan, mostest, omnibus
from radgen.types import ArrayDosages, GenotypeMatrix

LEVELS = (0.05, 0.01)
N, M, K = 200, 300, 20


def cohort(rng: np.random.Generator) -> tuple[GenotypeMatrix, pl.DataFrame, pl.DataFrame]:
    """Traits that depend on the covariates and on no variant."""
    structure = rng.normal(size=N)
    shared = rng.normal(size=(M // 5, N))
    liability = 0.9 * np.repeat(shared, 5, axis=0) + rng.normal(size=(M, N)) + 0.5 * structure
    cut = rng.uniform(-0.6, 0.8, (M, 1))
    calls = (liability > cut).astype(np.float32) + (liability > cut + 1.2)
    x = np.column_stack([structure, rng.normal(size=(N, 2)), rng.random(N) < 0.4])
    y = rng.normal(size=(N, K)) @ (0.4 * rng.normal(size=(K, K)) + np.eye(K))
    y[:, :5] = np.exp(0.5 * y[:, :5])
    y += x @ rng.normal(0, 0.7, (4, K))
    names = tuple(f"s{i}" for i in range(N))
    variants = pl.DataFrame(
        {"chrom": ["1"] * M, "pos": list(range(1, M + 1)), "id": [f"v{i}" for i in range(M)]}
        | {"ref": ["A"] * M, "alt": ["C"] * M}
    )
    table = pl.DataFrame({"sample": names} | {f"y{j}": y[:, j] for j in range(K)})
    cov = pl.DataFrame({"sample": names} | {f"x{j}": x[:, j] for j in range(4)})
    return GenotypeMatrix(names, variants, ArrayDosages(calls.astype(np.float32))), table, cov


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    # One variant of each linked five counts: the band is that of independent tests.
    apart = slice(0, M, 5)
    found: dict[str, list[np.ndarray]] = {}
    for draw in range(options.draws):
        genotypes, table, cov = cohort(np.random.default_rng([options.seed, draw]))
        both = omnibus(genotypes, table, cov).frame
        found.setdefault("MANOVA", []).append(both["p"].to_numpy()[apart])
        found.setdefault("ACAT", []).append(both["acat_p"].to_numpy()[apart])
        most = mostest(genotypes, table, cov, seed=draw).frame
        found.setdefault("MOSTest", []).append(most["p"].to_numpy()[apart])
        found.setdefault("min-P", []).append(10 ** most["minp_log10p"].to_numpy()[apart])
        some = genotypes.take_variants(range(0, M, 30))
        sums = aspu(some, table, cov, seed=draw, n_permutations=199, max_permutations=199)
        found.setdefault("aSPU", []).append(sums.frame["p"].to_numpy())
        scan = max_t_scan(genotypes, table, cov, seed=draw, n_permutations=199, threshold=0.05)
        found.setdefault("max-T (family)", []).append(np.array([scan.frame["p_all"].min()]))
        tree = hierarchical_hits(
            scan.frame, regions={f"y{j}": str(j % 4) for j in range(K)}, n_variants=M, n_traits=K
        )
        any_one = 0.0 if tree.frame.height else 1.0
        found.setdefault("TreeBH at 5 % (any)", []).append(np.array([any_one]))
    failures = 0
    print(f"{'test':20} {'level':>6} {'tests':>7} {'below':>6} {'share':>7}  band")
    for name, parts in found.items():
        p = np.concatenate(parts)
        for level in LEVELS:
            count = int((p <= level + 1e-12).sum())
            low, high = stats.binom.ppf([0.0005, 0.9995], len(p), level)
            # TreeBH at the top is Simes over dependent tests; a count below the band is safe.
            safe = name.startswith("TreeBH")
            good = count <= high and (safe or count >= low)
            failures += not good
            print(
                f"{name:20} {level:6.2f} {len(p):7d} {count:6d} {count / len(p):7.4f}  "
                f"{low:.0f}-{high:.0f}{'' if good else '  OUTSIDE'}"
            )
            if name.startswith("TreeBH"):
                break
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
