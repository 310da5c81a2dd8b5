"""Coverage of effects corrected for readers' error, by simulation.

    python verification/reader_error.py [RUNS]

Two readers of reliability 0.6; linear, logistic and Cox models with a covariate that goes with
the true value. Prints mean effect and coverage of the mean reading, of Rubin's rules and of
regression calibration; exits with 1 where the calibrated interval covers less than 95 % - 4 SE.
"""

import sys

import numpy as np
import polars as pl

from radgen.associate import reader_effects
from radgen.types import Covariates, Outcome, PhenotypeTable


def one(rng, kind, n, effect):
    truth = rng.normal(size=n)
    z = 0.4 * truth + rng.normal(size=n)
    ids = tuple(f"s{k}" for k in range(n))
    eta = effect * truth + 0.3 * z
    events = None
    if kind == "continuous":
        y = eta + rng.normal(size=n)
    elif kind == "binary":
        y = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(float)
    else:
        time, end = rng.exponential(np.exp(-eta)), rng.exponential(2, n)
        y, events = np.minimum(time, end), time < end
    error = np.sqrt(0.4 / 0.6)
    readings = {
        f"reader {k}": PhenotypeTable.from_frame(
            pl.DataFrame({"sample": ids, "x": 3 + 2 * (truth + error * rng.normal(size=n)) + k})
        )
        for k in range(2)
    }
    outcome = Outcome("y", kind, ids, y, events)
    return reader_effects(
        readings, outcome, Covariates(ids, ("z",), z[:, None]), seed=int(rng.integers(2**31)),
        bootstrap=200, simex_draws=10,
    ).frame.row(0, named=True)  # fmt: skip


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    bad = 0
    print(
        f"{'model':<11} {'truth':>5} {'mean':>6} {'cov':>5} {'rubin':>6} {'cov':>5} "
        f"{'calib':>6} {'cov':>5} {'simex':>6}"
    )
    for kind, n in (("continuous", 120), ("binary", 250), ("censored", 180)):
        for effect in (0.0, 0.5):
            rng = np.random.default_rng(7)
            rows = [one(rng, kind, n, effect) for _ in range(runs)]

            def covered(low, high, rows=rows, effect=effect):
                return np.mean([r[low] <= effect <= r[high] for r in rows])

            names = (
                ("effect_mean", "mean_low", "mean_high"),
                ("effect_pooled", "pooled_low", "pooled_high"),
                ("effect", "ci_low", "ci_high"),
            )
            cells = [
                f"{np.mean([r[m] for r in rows]):6.2f} {covered(a, b):5.2f}" for m, a, b in names
            ]
            simex = np.mean([r["effect_simex"] for r in rows])
            print(f"{kind:<11} {effect:5.2f} {' '.join(cells)} {simex:6.2f}", flush=True)
            bad += covered("ci_low", "ci_high") < 0.95 - 4 * np.sqrt(0.95 * 0.05 / runs)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
