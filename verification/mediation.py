"""Coverage of mediation intervals and the level of the joint test, for three kinds of outcome.

Run: python verification/mediation.py [--draws 400] [--seed 1] [--people 200]
Prints a row an outcome and truth of the path. Exit code 1 where an interval of the indirect
effect covers the truth outside the 99.9 % band about 95 % (paths with both halves), where the joint
test rejects above the band about 5 % under any of the three nulls (neither half, the first only,
the second only), or where the false discovery rate over 60 paths of one cohort exceeds its bound.
Percentile intervals of a product are known to be wide where both halves are zero.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import polars as pl
from scipy import stats
from scipy.special import expit

from radgen.associate import mediate
from radgen.errors import FitError
from radgen.stats import mediation as core
from radgen.types import Outcome

TRUTHS = {"both": (0.4, 0.4), "neither": (0.0, 0.0), "first": (0.5, 0.0), "second": (0.0, 0.5)}
KINDS = ("continuous", "binary", "censored")


def cohort(rng: np.random.Generator, kind: str, halves: tuple[float, float], n: int):
    """One exposure, mediator and outcome with two confounders."""
    a, b = halves
    z = rng.normal(size=(n, 2))
    x = 0.4 * z[:, 0] + rng.normal(size=n)
    m = a * x + 0.4 * z[:, 0] + rng.normal(size=n)
    lin = b * m + 0.3 * x + 0.3 * z[:, 1]
    event = None
    if kind == "continuous":
        y = lin + rng.standard_t(5, size=n)
    elif kind == "binary":
        y = (rng.random(n) < expit(lin - 0.3)).astype(float)
    else:
        y = rng.exponential(np.exp(-lin))
        end = rng.exponential(2.5, n)
        event, y = y <= end, np.minimum(y, end)
    return core.MediationData(x, m[:, None], y, z, kind, event)


def truth(kind: str, halves: tuple[float, float]) -> float:
    """The indirect effect: a product, or the natural effect on the risk of a large cohort."""
    a, b = halves
    if kind != "binary" or a * b == 0:
        return a * b
    rng = np.random.default_rng(0)
    n = 2_000_000
    z = rng.normal(size=(n, 2))
    noise = rng.normal(size=n)

    def chance(x: float, through: float) -> float:
        m = a * through + 0.4 * z[:, 0] + noise
        return float(expit(b * m + 0.3 * x + 0.3 * z[:, 1] - 0.3).mean())

    return chance(0.5, 0.5) - chance(0.5, -0.5)


def discoveries(seed: int, draws: int) -> float:
    """Mean share of false paths among those found, of 6 exposures and 10 mediators."""
    shares = []
    for draw in range(draws):
        rng = np.random.default_rng([seed, 99, draw])
        n, ids = 150, [f"s{i}" for i in range(150)]
        x = rng.normal(size=(n, 6))
        m = rng.normal(size=(n, 10))
        m[:, 0] += 0.6 * x[:, 0]
        m[:, 1] += 0.6 * x[:, 1]
        m[:, 2] += 0.6 * x[:, 2]
        y = 0.6 * m[:, 0] + 0.6 * m[:, 1] + 0.5 * m[:, 3] + rng.normal(size=n)
        found = mediate(
            pl.DataFrame({"sample": ids} | {f"x{i}": x[:, i] for i in range(6)}),
            pl.DataFrame({"sample": ids} | {f"m{i}": m[:, i] for i in range(10)}),
            Outcome("y", "continuous", tuple(ids), y), seed=1, n_bootstrap=0,
        ).frame.filter(pl.col("p_bh") <= 0.05)  # fmt: skip
        pairs = set(found.select("exposure", "mediator").iter_rows())
        true = {("x0", "m0"), ("x1", "m1")}
        shares.append(len(pairs - true) / max(len(pairs), 1))
    return float(np.mean(shares))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    m = options.draws
    low, high = stats.binom.ppf([0.0005, 0.9995], m, 0.95) / m
    top = stats.binom.ppf(0.999, m, 0.05) / m
    bad = 0
    print(f"{'outcome':11} {'path':8} {'truth':>6} {'mean':>7} {'covered':>8} {'p<0.05':>7} failed")
    for kind in KINDS:
        for name, halves in TRUTHS.items():
            real = truth(kind, halves)
            rows, failed = [], 0
            for draw in range(m):
                rng = np.random.default_rng([options.seed, draw])
                data = cohort(rng, kind, halves, options.people)
                try:
                    # Nulls are about the test: their intervals are left to the paths that exist.
                    fit = core.mediation(data, rng=rng, n_bootstrap=400 if name == "both" else 0)
                except FitError:
                    failed += 1
                    continue
                covered = fit.low[0] <= real <= fit.high[0] if name == "both" else np.nan
                rows.append((fit.indirect[0], covered, fit.log10p[0] < np.log10(0.05)))
            mean, covered, rejected = np.mean(rows, axis=0)
            fails = not low <= covered <= high if name == "both" else rejected > top
            bad += fails
            print(
                f"{kind:11} {name:8} {real:6.3f} {mean:7.3f} {covered:8.3f} {rejected:7.3f} "
                f"{failed:4d} {'FAILS' if fails else 'ok'}"
            )
    share = discoveries(options.seed, max(m // 4, 25))
    limit = 0.05 + 3.3 * np.sqrt(0.05 * 0.95 / max(m // 4, 25))
    bad += share > limit
    print(f"false paths among the found: {share:.3f} (bound {limit:.3f})")
    print(f"coverage within {low:.3f} to {high:.3f}, nulls up to {top:.3f}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
