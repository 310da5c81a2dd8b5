"""Pure noise must give AUC 0.5 and the verdict "no evidence"; a leaking pipeline must not.

Run: ``python verification/leakage_canary.py [repeats]`` (default 200, a few minutes). Prints a
table and ends with status 1 where a check fails.
"""

from __future__ import annotations

import sys

import numpy as np
import polars as pl

from radgen import predict
from radgen.predict.preprocess import UnivariateSelector
from radgen.types import Outcome, PhenotypeTable

N_SAMPLES, N_FEATURES, N_SELECTED = 60, 300, 10


def one(number: int, *, leak: bool) -> tuple[float, bool]:
    """Return the nested cross-validated AUC of a data set of noise, and "no evidence" or not."""
    rng = np.random.default_rng([2718, number])
    y = rng.permutation(np.repeat([0.0, 1.0], N_SAMPLES // 2))
    x = rng.normal(size=(N_SAMPLES, N_FEATURES))
    if leak:
        x = UnivariateSelector(N_SELECTED).fit(x, y).transform(x)
    ids = [f"s{k}" for k in range(N_SAMPLES)]
    frame = pl.DataFrame({"sample": ids} | {f"f{j}": x[:, j] for j in range(x.shape[1])})
    found = predict.evaluate(
        {"noise": PhenotypeTable.from_frame(frame)},
        Outcome("coin", "binary", tuple(ids), y),
        seed=number,
        selection=None if leak else "univariate",
        n_selected=N_SELECTED,
        folds=5,
        repeats=2,
        inner_folds=3,
        bootstrap=0,
    )
    said = "no evidence" in found.verdict("imaging only")
    return float(found.estimate("imaging only")["estimate"]), said


def main(repeats: int) -> int:
    """Run both variants and return the exit status."""
    failed = 0
    for leak, title in ((False, "selection inside the folds"), (True, "selection outside")):
        draws = [one(k, leak=leak) for k in range(repeats if not leak else repeats // 4)]
        values, share = np.array([d[0] for d in draws]), np.mean([d[1] for d in draws])
        error = values.std(ddof=1) / np.sqrt(len(values))
        away = abs(values.mean() - 0.5) / error
        right = away > 4 if leak else away < 4 and share >= 0.95
        failed += not right
        print(
            f"{title:28s} mean AUC {values.mean():.4f}  SE {error:.4f}  |mean - 0.5| / SE "
            f"{away:5.1f}  no evidence {share:.3f}  {'as it must be' if right else 'FAILED'}",
            flush=True,
        )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
