"""False discoveries and recall of the search for drivers, in cohorts with known truth.

Run: python verification/drivers.py [--cohorts 200] [--n 300] [--seed 1]
Each cohort has features in correlated blocks, mutations and modules. Some drive whole blocks and
some single features of a block; one mutation acts through a module, one drives a module that
drives nothing. Prints the mean share of false discoveries (pairs, and mediated paths) with its
standard error, and recall; exit code 1 where a share lies above its level by more than two errors.
A second arm has no driver at all.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from radgen.associate import drivers
from radgen.types import Covariates, OmicsTable, PhenotypeTable

LEVEL = 0.05
BLOCKS, SIZE = 8, 12
MUTATIONS, MODULES = 6, 10


def cohort(rng: np.random.Generator, n: int, *, null: bool = False):  # type: ignore[no-untyped-def]
    """Return the tables, the true pairs and the true mediated pairs."""
    ids = [f"s{i}" for i in range(n)]
    z = rng.normal(size=(n, 2))
    gene = (rng.random((n, MUTATIONS)) < rng.uniform(0.1, 0.4, MUTATIONS)).astype(float)
    module = rng.normal(size=(n, MODULES))
    module[:, 5] += 0.5 * module[:, 4]
    active = 0.0 if null else 1.0
    module[:, 0] += 0.9 * gene[:, 0]
    module[:, 1] += 0.9 * gene[:, 1]
    factor = 0.4 * z @ rng.normal(size=(2, BLOCKS)) + rng.normal(size=(n, BLOCKS))
    truth: set[tuple[str, str]] = set()
    mediated: set[tuple[str, str]] = set()

    def whole(driver: str, x: np.ndarray, block: int, effect: float) -> None:
        factor[:, block] += active * effect * x
        truth.update((driver, f"f{block * SIZE + j}") for j in range(SIZE) if active)

    whole("M0", module[:, 0], 0, 0.5)  # gene 0 through module 0
    whole("G0", gene[:, 0] * 0, 0, 0.0)
    mediated.update(("G0", f"f{j}") for j in range(SIZE) if active)
    whole("G2", gene[:, 2], 1, 0.9)  # directly; gene 1 drives module 1, which drives nothing
    whole("M4", module[:, 4], 1, -0.4)  # module 5 is correlated with it, and drives nothing
    y = np.repeat(factor, SIZE, axis=1) * rng.uniform(0.6, 1.2, BLOCKS * SIZE)
    y += rng.normal(size=y.shape)
    for driver, x, columns in (
        ("G3", gene[:, 3], range(24, 28)),
        ("M6", 0.6 * module[:, 6], range(36, 42)),
    ):
        for column in columns:
            y[:, column] += active * x
            truth.update({(driver, f"f{column}")} if active else set())
    y[rng.random(y.shape) < 0.02] = np.nan
    images = PhenotypeTable.from_frame({"sample": ids} | {f"f{j}": c for j, c in enumerate(y.T)})
    genes = OmicsTable(ids, [f"G{j}" for j in range(MUTATIONS)], gene, "mutation", "binary")
    half = rng.permutation(n)[: int(0.85 * n)]
    sets = OmicsTable(ids, [f"M{j}" for j in range(MODULES)], module, "pathway", "zscore")
    return (images, genes, sets.take(rows=np.sort(half)), Covariates(tuple(ids), ("a", "b"), z)), (
        truth,
        mediated,
    )


def one(seed: int, n: int, *, null: bool) -> tuple[float, float, float, float]:
    """Return shares of false pairs and false paths, recall, and whether anything was found."""
    tables, (truth, mediated) = cohort(np.random.default_rng(seed), n, null=null)
    frame = drivers(*tables, level=LEVEL).frame.filter("driven")
    found = set(frame.select("driver", "phenotype").iter_rows())
    paths = set(
        frame.filter(frame["mediator"].is_not_null()).select("driver", "phenotype").iter_rows()
    )
    false = len(found - truth) / max(len(found), 1)
    wrong = len(paths - mediated) / max(len(paths), 1)
    recall = len(found & truth) / max(len(truth), 1)
    return false, wrong, recall, float(bool(found))


def main() -> int:
    """Print the shares, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=200)
    parser.add_argument("--n", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    bad = False
    for null in (False, True):
        seeds = range(args.seed, args.seed + args.cohorts)
        table = np.array([one(seed, args.n, null=null) for seed in seeds])
        error = table.std(axis=0, ddof=1) / np.sqrt(len(table))
        print("no driver" if null else "with drivers", f"({args.cohorts} cohorts, n = {args.n})")
        for name, column in (("false pairs", 0), ("false mediated paths", 1)):
            mean = table[:, column].mean()
            high = mean > LEVEL + 2 * error[column]
            bad |= bool(high)
            print(f"  {name:22} {mean:.4f} (SE {error[column]:.4f}){'  TOO MANY' if high else ''}")
        print(f"  {'recall':22} {table[:, 2].mean():.3f}")
        print(f"  {'any finding':22} {table[:, 3].mean():.3f}")
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
