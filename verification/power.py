"""Power of the linear test against theory, with few samples and many covariates.

Run: python verification/power.py [--draws 10000] [--n 40 200] [--seed 1] [--alpha 0.05]
Eight covariates that go with the predictor and with the outcome, effects of three sizes, with and
without 5 % of the outcome missing. Theory is Student's t with the non-centrality
effect x (root of the predictor's sum of squares given the covariates) / error SD, averaged over
the drawn predictors. Exit code 1 where the share of rejections differs by more than four standard
errors.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from scipy import stats

from radgen.stats.linear import regress

COVARIATES = 8
TRAITS = 50  # outcomes drawn for each predictor and set of covariates


def rejections(
    rng: np.random.Generator, n: int, effect: float, missing: float, alpha: float
) -> tuple[np.ndarray, np.ndarray]:
    """Which tests reject, and the power of each that theory gives."""
    z = rng.normal(size=(n, COVARIATES))
    x = z @ rng.normal(0, 0.4, COVARIATES) + rng.normal(size=n)
    y = effect * x[:, None] + z[:, :1] + rng.normal(size=(n, TRAITS))
    y[rng.random(y.shape) < missing] = np.nan
    fit = regress(y, x[:, None], z)
    power = np.empty(TRAITS)
    for j in range(TRAITS):
        rows = np.isfinite(y[:, j])
        design = np.column_stack([np.ones(rows.sum()), z[rows]])
        left = x[rows] - design @ np.linalg.lstsq(design, x[rows], rcond=None)[0]
        df = rows.sum() - COVARIATES - 2
        limit = stats.t.ppf(1 - alpha / 2, df)
        shift = effect * np.sqrt(left @ left)
        power[j] = stats.nct.sf(limit, df, shift) + stats.nct.cdf(-limit, df, shift)
    return fit.log10p[0] <= np.log10(alpha), power


def main() -> int:
    """Print the table; 1 where power is not what theory gives."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--n", type=int, nargs="+", default=[40, 200])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--alpha", type=float, default=0.05)
    args = parser.parse_args()
    bad = False
    print(f"{'n':>4s} {'effect':>7s} {'missing':>8s} {'rejected':>9s} {'theory':>7s} {'off':>9s}")
    for n in args.n:
        for effect in (1.0 / np.sqrt(n), 2.0 / np.sqrt(n), 4.0 / np.sqrt(n)):
            for missing in (0.0, 0.05):
                rng = np.random.default_rng([args.seed, n, round(1000 * effect), round(missing)])
                turns = [
                    rejections(rng, n, effect, missing, args.alpha)
                    for _ in range(-(-args.draws // TRAITS))
                ]
                hit = np.concatenate([turn[0] for turn in turns])
                want = np.concatenate([turn[1] for turn in turns])
                error = np.sqrt((want * (1 - want)).sum()) / len(want)
                off = (hit.mean() - want.mean()) / error
                bad |= abs(off) > 4
                print(
                    f"{n:4d} {effect:7.3f} {missing:8.2f} {hit.mean():9.4f} {want.mean():7.4f} "
                    f"{off:+6.2f} SE{'  BAD' if abs(off) > 4 else ''}",
                    flush=True,
                )
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
