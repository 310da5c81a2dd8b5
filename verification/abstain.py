"""Whether models that abstain leave out the true class as rarely as they say, by simulation.

Many cohorts are drawn; the models of each are cross-validated with thresholds from their inner
folds. Coverage of the sets is counted in each class. Then a classifier calibrated on rows of its
own (split), whose coverage is guaranteed. Run ``python verification/abstain.py [cohorts]``
(default 150; some minutes). Ends with status 1 where coverage lies below 1 - level by more than 4
standard errors.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import polars as pl
from sklearn.linear_model import LogisticRegression

from radgen import predict
from radgen.predict.abstain import AbstainingClassifier
from radgen.types import Outcome, PhenotypeTable

Row = tuple[str, str, float, float, float, float]
"""What, where, level, coverage, its error, share decided."""

LEVELS = (0.05, 0.1, 0.2, 0.3)


def draw(rng: np.random.Generator, n: int, effect: float) -> tuple[np.ndarray, np.ndarray]:
    """Return features (n, 12) of which one has an effect, and classes, three in ten positive."""
    y = (rng.random(n) < 0.3).astype(float)
    x = rng.normal(size=(n, 12))
    x[:, 0] += effect * y
    return x, y


def crossed(cohorts: int, n: int, effect: float) -> Iterator[Row]:
    """Yield coverage and decided share of cross-validated models."""
    found: dict[tuple[str, float], list[tuple[float, float]]] = {}
    for number in range(cohorts):
        rng = np.random.default_rng([7, n, int(10 * effect), number])
        x, y = draw(rng, n, effect)
        ids = tuple(f"s{k}" for k in range(n))
        table = pl.DataFrame({"sample": list(ids)} | {f"f{j}": x[:, j] for j in range(12)})
        result = predict.evaluate(
            {"images": PhenotypeTable.from_frame(table)}, Outcome("y", "binary", ids, y),
            seed=number, folds=5, repeats=1, bootstrap=0, abstain=0.1,
        )  # fmt: skip
        rows = result.abstention.filter(pl.col("model") == "imaging only")
        for row in rows.filter(pl.col("level").is_in(LEVELS)).iter_rows(named=True):
            for which in ("negative", "positive"):
                pair = (row[f"covered_{which}"], row["decided"])
                found.setdefault((which, row["level"]), []).append(pair)
    for (which, level), pairs in found.items():
        values = np.array(pairs)
        error = float(values[:, 0].std() / np.sqrt(len(values)))
        where = f"n {n}, effect {effect}, {which}"
        yield "cross-validated", where, level, *map(float, (values[:, 0].mean(), error,
                                                            values[:, 1].mean()))  # fmt: skip


def split(cohorts: int, n: int, effect: float) -> Iterator[Row]:
    """Yield coverage and decided share of the classifier with rows of its own for calibration."""
    found: dict[tuple[str, float], list[tuple[float, float]]] = {}
    for number in range(10 * cohorts):
        rng = np.random.default_rng([8, n, int(10 * effect), number])
        x, y = draw(rng, n + 300, effect)
        model = AbstainingClassifier(LogisticRegression(C=0.1), random_state=number)
        p = model.fit(x[:n], y[:n]).p_values(x[n:])
        for level in LEVELS:
            decided = ((p > level).sum(axis=1) == 1).mean()
            for k, which in enumerate(("negative", "positive")):
                own = y[n:] == k
                found.setdefault((which, level), []).append(((p[own, k] > level).mean(), decided))
    for (which, level), pairs in found.items():
        values = np.array(pairs)
        error = float(values[:, 0].std() / np.sqrt(len(values)))
        where = f"n {n}, effect {effect}, {which}"
        yield "split", where, level, *map(float, (values[:, 0].mean(), error,
                                                  values[:, 1].mean()))  # fmt: skip


def main(cohorts: int) -> int:
    """Print all rows; return 1 where one covers too little."""
    bad = 0
    for part in (split, crossed):
        for n, effect in ((100, 0.0), (100, 1.5), (300, 1.5)):
            for what, where, level, covered, error, decided in part(cohorts, n, effect):
                fine = covered >= 1 - level - 4 * error
                bad += not fine
                print(
                    f"{what:16s} {where:30s} promised {1 - level:.2f}  covered {covered:.3f} "
                    f"(SE {error:.3f})  decided {decided:.2f}  {'ok' if fine else 'TOO LOW'}",
                    flush=True,
                )
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 150))
