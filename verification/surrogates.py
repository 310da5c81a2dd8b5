"""Level, coverage and attenuation of traits that are learned in one cohort and tested in another.

Run: python verification/surrogates.py [--cohorts 200] [--bootstraps 60]
Four worlds of 100 paired samples, 250 of a second cohort and 240 genes in six programs: survival
depends on nothing ("null"), on another program than the trait's ("other"), on a program while the
trait has nothing to do with genes ("noise"), or on the trait ("chain"). Prints how often the test
rejects at 0.05 when the prediction is taken for given and when the learner's uncertainty is added,
and for the chain the mean effect per unit of predicted and of true trait, with coverage.
A trait that held-out samples do not bear out is not carried unless asked for, as here; "by
default" counts only the carried. Exit code 1 where the propagated test rejects more than 5 % by
over four binomial standard errors in "null" or "noise", or the interval of the trait's effect
covers less than 95 % by as much.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from radgen.associate import surrogate
from radgen.types import OmicsTable, Outcome, PhenotypeTable

WORLDS = ("null", "other", "noise", "chain")
EFFECT = 0.6


def cohort(rng: np.random.Generator, world: str):  # type: ignore[no-untyped-def]
    """Return paired predictors and trait, and the second cohort with its survival."""
    n, first, genes = 350, 100, 240
    programs = rng.standard_normal((n, 6))
    loads = np.zeros((6, genes))
    for k in range(6):
        loads[k, k * 40 : (k + 1) * 40] = rng.uniform(0.4, 1.0, 40)
    x = programs @ loads + rng.standard_normal((n, genes))
    own = rng.standard_normal(n)
    z = own if world == "noise" else 0.8 * programs[:, 0] + 0.6 * own
    risk = {"null": 0.0 * z, "chain": EFFECT * z}.get(world, 0.7 * programs[:, 1])
    time, end = rng.exponential(np.exp(-risk)), rng.exponential(1.5, n)
    ids, names = [f"s{i}" for i in range(n)], [f"g{j}" for j in range(genes)]
    one, two = (
        OmicsTable(ids[part], names, x[part], "expression", "log2")
        for part in (slice(first), slice(first, n))
    )
    images = PhenotypeTable.from_frame({"sample": ids[:first], "trait": z[:first]})
    last = slice(first, n)
    death = Outcome(
        "death", "censored", tuple(ids[last]), np.minimum(time, end)[last], (time <= end)[last]
    )
    return one, images, two, death


def main() -> int:
    """Run the cohorts and print the table."""
    parser = argparse.ArgumentParser()
    for name, value in (("cohorts", 200), ("bootstraps", 60), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--worlds", nargs="+", default=WORLDS, choices=WORLDS)
    args = parser.parse_args()
    worst = 4 * np.sqrt(0.05 * 0.95 / args.cohorts)
    bad = False
    print(
        f"{'world':<7}{'held-out r':>11}{'naive':>8}{'propagated':>11}"
        f"{'by default':>11}{'of learner':>11}"
    )
    for world in args.worlds:
        rows = []
        for number in range(args.cohorts):
            rng = np.random.default_rng([args.seed, WORLDS.index(world), number])
            found = surrogate(
                *cohort(rng, world), bootstraps=args.bootstraps, permutations=39, repeats=1,
                unpredictable=True, seed=number,
            )  # fmt: skip
            rows.append(found.table.row(0, named=True))
        table = {
            key: np.array([np.nan if row[key] is None else row[key] for row in rows])
            for key in rows[0]
            if not isinstance(rows[0][key], str)
        }
        naive = float((table["log10p_naive"] <= np.log10(0.05)).mean())
        rejected = table["p"] <= 0.05
        propagated = float(rejected.mean())
        default = float((rejected & (table["p_held_out"] <= 0.05)).mean())
        print(
            f"{world:<7}{np.mean(table['held_out']):>11.2f}{naive:>8.3f}{propagated:>11.3f}{default:>11.3f}"
            f"{np.mean(table['share_learner']):>11.2f}",
            flush=True,
        )
        if world in ("null", "noise"):
            bad |= propagated > 0.05 + worst
        known = np.isfinite(table["trait_low"])
        if world in ("null", "chain"):
            truth = EFFECT if world == "chain" else 0.0  # the trait has variance 1
            inside = (table["trait_low"] <= truth) & (truth <= table["trait_high"])
            cover = float(inside[known].mean())
            bare = (table["naive_low"] <= truth) & (truth <= table["naive_high"])
            print(
                f"       effect {truth:g}: per SD of the prediction "
                f"{table['log_hazard'].mean():.3f} (naive interval covers the trait's in "
                f"{bare.mean():.3f}), of the trait "
                f"{np.median(table['trait_log_hazard']):.3f} (covers in {cover:.3f} of "
                f"{known.sum()})"
            )
            bad |= cover < 0.95 - worst
    print("BAD" if bad else "good")
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
