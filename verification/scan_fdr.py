"""Error rates of a whole scan in cohorts with correlated blocks of phenotypes and genes.

Run: python verification/scan_fdr.py [--cohorts 200] [--n 100] [--seed 1]
Prints the false discovery rate of each adjusted value (Bonferroni and max-T: the chance of any
false finding) at 0.05 with its standard error, and power; exit code 1 where a rate lies above 0.05
by more than two standard errors.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from radgen.associate import scan
from radgen.types import Covariates, OmicsTable, PhenotypeTable

LEVEL = 0.05
TRAITS, GENES, BLOCK, TRUE = 40, 60, 10, 12
FAMILYWISE = ("p_bonferroni", "p_maxt")
COLUMNS = (*FAMILYWISE, "q_bh", "q_by", "q_storey", "q_hierarchical")


def cohort(rng: np.random.Generator, n: int):  # type: ignore[no-untyped-def]
    """Return the tables and the true pairs: single independent genes drive halves of blocks."""
    ids = [f"s{i}" for i in range(n)]
    z = rng.normal(size=(n, 4))
    genes = rng.normal(size=(n, GENES)) + 0.3 * z[:, :1]
    shared = rng.normal(size=(n, GENES // BLOCK))
    genes[:, TRUE:] += np.repeat(shared, BLOCK, axis=1)[:, TRUE:]
    genes[:, ::3] = (genes[:, ::3] > 0.6).astype(float)
    traits = np.repeat(rng.normal(size=(n, TRAITS // BLOCK)), BLOCK, axis=1) + 0.5 * z[:, 1:2]
    traits += rng.normal(size=traits.shape)
    truth = set()
    for gene in range(TRUE):
        block = gene % (TRAITS // BLOCK)
        for trait in range(block * BLOCK, block * BLOCK + BLOCK // 2):
            traits[:, trait] += 0.5 * genes[:, gene]
            truth.add((f"f{trait}", f"G{gene}"))
    traits[rng.random(traits.shape) < 0.02] = np.nan
    images = PhenotypeTable.from_frame(
        {"sample": ids} | {f"f{j}": column for j, column in enumerate(traits.T)}
    )
    rna = OmicsTable(ids, [f"G{j}" for j in range(GENES)], genes, "expression", "log2")
    return images, rna, Covariates(tuple(ids), tuple("abcd"), z), truth


def one(seed: int, n: int, permutations: int = 200) -> dict[str, tuple[float, float]]:
    """Return the error and the power of each column."""
    images, rna, z, truth = cohort(np.random.default_rng(seed), n)
    families = {f"f{j}": f"block {j // BLOCK}" for j in range(TRAITS)}
    frame = scan(
        images, rna, z, families=families, permutations=permutations, seed=seed, jobs=1
    ).frame
    out = {}
    for column in COLUMNS:
        hits = frame.filter(frame[column] <= LEVEL).select("phenotype", "omics")
        found = set(hits.iter_rows())
        false = len(found - truth)
        error = float(false > 0) if column in FAMILYWISE else false / max(len(found), 1)
        out[column] = (error, len(found & truth) / len(truth))
    return out


def main() -> int:
    """Print the rates, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=200)
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    runs = [one(seed, args.n) for seed in range(args.seed, args.seed + args.cohorts)]
    bad = False
    print(f"{args.cohorts} cohorts, n = {args.n}, {TRAITS} x {GENES} pairs in blocks of {BLOCK}")
    for column in COLUMNS:
        errors = np.array([run[column][0] for run in runs])
        error = errors.std(ddof=1) / np.sqrt(len(runs))
        high = errors.mean() > LEVEL + 2 * error
        bad |= bool(high)
        what = "any false" if column in FAMILYWISE else "false share"
        power = np.mean([run[column][1] for run in runs])
        mark = "  TOO MANY" if high else ""
        print(
            f"  {column:15} {what:11} {errors.mean():.4f} (SE {error:.4f}), power {power:.3f}{mark}"
        )
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
