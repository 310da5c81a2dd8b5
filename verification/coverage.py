"""Coverage of the cross-validated intervals, by simulation.

For each scenario many data sets are drawn; the truth of each is the mean over data sets of the
cross-validated estimate (what the procedure estimates). Run ``python verification/coverage.py
[data sets]``. Ends with status 1 where coverage is below 95 % by more than 4 standard errors, or
above it by more (marked WIDE) with a truth that is not the null: there the variance is doubled on
purpose, see `radgen.predict.scores.honest_error`.
"""

from __future__ import annotations

import sys

import numpy as np
import polars as pl

from radgen import predict
from radgen.types import Covariates, Outcome, PhenotypeTable


def draw(number: int, effect: float, kind: str, n: int = 120, p: int = 15):
    """Return one data set: images with an effect in one feature, and an age that matters."""
    rng = np.random.default_rng([31, number])
    ids = tuple(f"s{k}" for k in range(n))
    x = 0.7 * rng.normal(size=(n, 1)) + 0.7 * rng.normal(size=(n, p))
    age = rng.normal(size=(n, 1))
    if kind == "binary":
        y = (rng.random(n) < 0.35).astype(float)
        x[:, 0] += effect * y
        age[:, 0] += 1.2 * y
        outcome = Outcome("y", "binary", ids, y)
    else:
        time = rng.exponential(np.exp(-effect * x[:, 0] - 0.8 * age[:, 0]))
        censor = rng.exponential(3.0, n)
        outcome = Outcome("y", "censored", ids, np.minimum(time, censor), time <= censor)
    frame = pl.DataFrame({"sample": list(ids)} | {f"f{j}": x[:, j] for j in range(p)})
    blocks = {
        "images": PhenotypeTable.from_frame(frame),
        "clinic": Covariates(ids, ("age",), age),
    }
    return blocks, outcome


def run(effect: float, kind: str, sets: int) -> list[tuple[str, float, float, float, float]]:
    """Return what, mean estimate, coverage, width by the ideal, error of the coverage."""
    metric = "auc" if kind == "binary" else "harrell_c"
    wanted = [("imaging only", metric), ("combined", metric)]
    if kind == "binary":
        wanted.append(("combined", "calibration_slope"))
    rows: dict[str, list[tuple[float, float, float]]] = {}
    for number in range(sets):
        blocks, outcome = draw(number, effect, kind)
        found = predict.evaluate(
            blocks, outcome, seed=number, folds=5, repeats=2, inner_folds=3, bootstrap=0
        )
        for model, name in wanted:
            row = found.estimate(model, name)
            values = (row["estimate"], row["ci_low"], row["ci_high"])
            rows.setdefault(f"{model} {name}", []).append(values)
        gap = found.differences.filter(
            (pl.col("first") == "combined")
            & (pl.col("second") == "clinical only")
            & (pl.col("metric") == metric)
        ).row(0, named=True)
        rows.setdefault("added value", []).append(
            (gap["difference"], gap["ci_low"], gap["ci_high"])
        )
    out = []
    for name, values in rows.items():
        table = np.array(values)
        table = table[np.isfinite(table).all(axis=1)]
        truth = table[:, 0].mean()
        if name == "added value" and effect == 0:
            truth = 0.0
        if effect == 0 and name.startswith("imaging"):
            truth = 0.5
        inside = (table[:, 1] <= truth) & (truth <= table[:, 2])
        width = float((table[:, 2] - table[:, 1]).mean() / 3.92 / table[:, 0].std())
        out.append((name, truth, inside.mean(), width, np.sqrt(0.95 * 0.05 / len(inside))))
    return out


def main(sets: int) -> int:
    """Print coverage of all scenarios and return the exit status."""
    failed = 0
    for kind in ("binary", "censored"):
        for effect in (0.0, 0.5, 1.2):
            for name, truth, coverage, width, error in run(effect, kind, sets):
                null = effect == 0 and name != "combined calibration_slope"
                good = coverage >= 0.95 - 4 * error and (null or coverage <= 0.95 + 4 * error)
                failed += not good
                mark = "TOO LOW" if coverage < 0.95 else "WIDE"
                print(
                    f"{kind:9s} effect {effect:3.1f}  {name:28s} truth {truth:6.3f}  coverage "
                    f"{coverage:.3f}  width / ideal {width:.2f}  {'' if good else mark}",
                    flush=True,
                )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
