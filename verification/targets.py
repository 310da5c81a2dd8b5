"""Family-wise error of many targets: one planted among ten, the others must stay unfound.

Run ``python verification/targets.py [data sets]`` (default 100, ten minutes). Ends with status 1
where a null target is found in more than 5 % of the data sets, by more than 4 standard errors.
"""

from __future__ import annotations

import sys

import numpy as np
import polars as pl

from radgen import predict
from radgen.types import Outcome


def cohort(seed: int, n: int = 80, p: int = 20, targets: int = 10):
    """Return images, and ten mutations of which the first shows in one feature."""
    rng = np.random.default_rng([55, seed])
    ids = tuple(f"s{k}" for k in range(n))
    y = (rng.random((n, targets)) < 0.45).astype(float)
    x = rng.normal(size=(n, p))
    x[:, 0] += 1.6 * y[:, 0]
    images = pl.DataFrame({"sample": ids} | {f"f{j}": x[:, j] for j in range(p)})
    return {"imaging": images}, [
        Outcome(f"gene{j}", "binary", ids, y[:, j]) for j in range(targets)
    ]


def main(sets: int) -> int:
    """Print the family-wise error and the power, and return the exit status."""
    wrong = power = 0
    for seed in range(sets):
        found = predict.evaluate_targets(
            *cohort(seed), seed=seed, folds=5, repeats=1, inner_folds=3, bootstrap=0,
            baselines=False,
        ).frame  # fmt: skip
        hits = found.filter(pl.col("found"))["target"].to_list()
        wrong += any(name != "gene0" for name in hits)
        power += "gene0" in hits
    error = np.sqrt(0.05 * 0.95 / sets)
    good = wrong / sets <= 0.05 + 4 * error
    print(
        f"{sets} data sets: a null target found in {wrong / sets:.3f} (allowed 0.05 + 4 x "
        f"{error:.3f}), the planted one in {power / sets:.3f}   "
        f"{'as it must be' if good else 'FAILED'}"
    )
    return int(not good)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
