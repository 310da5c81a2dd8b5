"""Coverage of the cross-validated intervals, by simulation.

For each scenario many data sets are drawn; the truth of each is the mean over data sets of the
cross-validated estimate (what the procedure estimates). The calibration slope is a property of the
fitted models instead: its truth is the slope of those very models in 2,000 new patients. Run
``python verification/coverage.py [data sets] [binary|censored]``. Ends with status 1 where coverage
is below 95 % by more than 4 standard errors, or above it by more (marked WIDE) with a truth that is
not the null: there the variance is doubled on purpose, see `radgen.predict.scores.honest_error`.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import polars as pl
from scipy.special import logit

from radgen import predict
from radgen.predict.engine import run_fold
from radgen.predict.planning import set_up
from radgen.stats.calibration import clip_probability, fit_logistic_line
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


PLAN = {"folds": 5, "repeats": 2, "inner_folds": 3}


def slopes(effect: float, sets: int, n: int = 120) -> tuple[str, float, float, float, float]:
    """Return the coverage of the calibration slope of the fitted models in new patients."""
    rows = []
    for number in range(sets):
        blocks, outcome = draw(number, effect, "binary", n + 2000)
        own = {name: _first(table, n) for name, table in blocks.items()}
        y = Outcome("y", "binary", outcome.samples[:n], outcome.values[:n])
        row = predict.evaluate(own, y, seed=number, bootstrap=0, **PLAN).estimate(
            "combined", "calibration_slope"
        )
        splits = set_up(own, y, seed=number, **PLAN).splits
        whole = set_up(blocks, outcome, seed=number, **PLAN)
        task = replace(whole.tasks()[0], plans=whole.plans[-1:])
        new = np.arange(n, n + 2000)
        tasks = [replace(task, split=replace(split, test=new)) for split in splits]
        score = np.concatenate([run_fold(one).models["combined"].score for one in tasks])
        p = logit(clip_probability(score))
        truth = fit_logistic_line(np.tile(outcome.values[n:], len(tasks)), p)[0][1]
        rows.append((row["estimate"], row["ci_low"], row["ci_high"], truth))
    table = np.array(rows)
    inside = (table[:, 1] <= table[:, 3]) & (table[:, 3] <= table[:, 2])
    spread = (table[:, 0] - table[:, 3]).std()
    width = float((table[:, 2] - table[:, 1]).mean() / 3.92 / spread)
    name, error = "combined calibration slope", np.sqrt(0.95 * 0.05 / sets)
    return name, table[:, 3].mean(), inside.mean(), width, error


def _first(table, n: int):
    if isinstance(table, Covariates):
        return Covariates(table.samples[:n], table.names, table.values[:n])
    return PhenotypeTable.from_frame(table.to_frame()[:n])


def run(effect: float, kind: str, sets: int) -> list[tuple[str, float, float, float, float]]:
    """Return what, mean estimate, coverage, width by the ideal, error of the coverage."""
    metric = "auc" if kind == "binary" else "harrell_c"
    wanted = [("imaging only", metric), ("combined", metric)]
    rows: dict[str, list[tuple[float, float, float]]] = {}
    for number in range(sets):
        blocks, outcome = draw(number, effect, kind)
        found = predict.evaluate(blocks, outcome, seed=number, bootstrap=0, **PLAN)
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


def main(sets: int, kinds: tuple[str, ...] = ("binary", "censored")) -> int:
    """Print coverage of all scenarios and return the exit status."""
    failed = 0
    for kind in kinds:
        for effect in (0.0, 0.5, 1.2):
            found = run(effect, kind, sets)
            if kind == "binary":
                found.append(slopes(effect, sets))
            for name, truth, coverage, width, error in found:
                null = effect == 0 and name != "combined calibration slope"
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
    wanted = tuple(sys.argv[2:]) or ("binary", "censored")
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200, wanted))
