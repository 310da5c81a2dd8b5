"""Rejections of every association test under the null hypothesis, with few samples.

Run: python verification/null_calibration.py [--draws 10000] [--n 40 200] [--seed 1]
         [--tests NAME ...] [--store FILE.csv]
At n = 40 with 8 covariates, or at each n that is named; with --store, tests that the file holds
are not run again, so that a run that was stopped goes on where it was.
Prints a row per test and level; exit code 1 where a count lies outside the exact binomial band
(conservative tests: above it). The band holds 99.9 % of the counts of a calibrated test.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import special, stats

from radgen.associate._interaction import interaction_block
from radgen.associate._kernels import KERNELS
from radgen.associate._mixed import mixed_block
from radgen.associate._survival import cox_block

LEVELS = (0.05, 0.01)
COVERAGE = 0.999
PER_OUTCOME = 100
GENES = 40  # share their variance in the moderated test; the first one counts
# By nature at or below the nominal level: discrete distributions, and HC3 with many covariates.
CONSERVATIVE = ("linear_hc3", "fisher", "mann_whitney", "fisher, sparse")
Draw = Callable[[np.random.Generator, int, int], tuple[np.ndarray, ...]]
Key = tuple[str, int, int, int]


def covariates(rng: np.random.Generator, n: int) -> np.ndarray:
    """Eight covariates: correlated normals, a skewed one, two 0/1 columns."""
    z = rng.normal(size=(n, 5)) @ (np.eye(5) + 0.4)
    return np.column_stack([z, rng.exponential(size=n), rng.random((n, 2)) < (0.5, 0.3)])


def predictors(rng: np.random.Generator, z: np.ndarray, count: int) -> np.ndarray:
    """Normal errors around a linear function of the covariates."""
    weights = rng.normal(0, 0.4, (z.shape[1], count))
    return z @ weights + rng.normal(size=(len(z), count))


def outcome(kind: str, rng: np.random.Generator, z: np.ndarray) -> np.ndarray:
    """An outcome that depends on the covariates and on nothing else."""
    eta = 0.4 * (z[:, 0] - z[:, 1]) - 0.2
    if kind == "binary":
        return (rng.random(len(z)) < special.expit(eta)).astype(float)
    if kind == "ordinal":
        return np.digitize(eta + rng.logistic(size=len(z)), [-1.2, 0.3, 1.6]).astype(float)
    return eta + rng.normal(size=len(z))


def lesions(name: str, rng: np.random.Generator, n: int, z: np.ndarray) -> np.ndarray:
    """Two or three lesions a patient, the predictor one of the patient or of the lesion.

    Two covariates of the patient: a random intercept leaves n / 2.5 independent units.
    """
    patient = np.repeat(np.arange(n), 3)[: 5 * n // 2]
    rng.shuffle(patient)
    count = len(patient)
    x = rng.normal(size=(count, PER_OUTCOME))
    if "patient" in name:
        x = rng.normal(size=(n, PER_OUTCOME))[patient]
    y = z[patient, :1] + rng.normal(size=(n, 1))[patient] + rng.normal(size=(count, 1))
    return mixed_block(y, x, z[patient, :2], 0.95, clusters=patient).log10p.ravel()


def modified(name: str, rng: np.random.Generator, n: int, z: np.ndarray) -> np.ndarray:
    """A main effect of a 0/1 predictor and of the modifier, and no product."""
    x = (rng.random((n, PER_OUTCOME)) < 0.4).astype(float)
    treated = (rng.random(n) < 0.5).astype(float)
    eta = 0.5 * x[:, 0] + 0.4 * treated + 0.4 * z[:, 0]
    few = z[:, :4] if "linear" not in name else z
    if "logistic" in name:
        y = (rng.random(n) < special.expit(eta - 0.5)).astype(float)
        kernel = KERNELS["logistic"]
    else:
        y, kernel = eta + rng.normal(size=n), KERNELS["linear"]
    found = interaction_block(kernel, y[:, None], x, few, modifier=treated, confidence=0.95)
    return found.log10p.ravel()


def log10p(name: str, rng: np.random.Generator, n: int) -> np.ndarray:
    """P-values of one null outcome with `PER_OUTCOME` predictors."""
    z = covariates(rng, n)
    kernel = KERNELS.get(name.split(",", maxsplit=1)[0])
    if name.startswith("mixed"):
        return lesions(name, rng, n, z)
    if "modifier" in name:
        return modified(name, rng, n, z)
    if name == "cox":
        x = predictors(rng, z, PER_OUTCOME)
        time = rng.exponential(np.exp(-0.4 * z[:, 0]))
        event = rng.random(n) < 0.7
        return cox_block(time, event, x, z, 0.95).log10p.ravel()
    if name.split(",", maxsplit=1)[0] in ("logistic", "firth", "ordinal"):
        from radgen.stats.glm import logistic_residuals, score_scan
        from radgen.stats.ordinal import ordinal_residuals

        x = predictors(rng, z, PER_OUTCOME)
        if "sparse" in name:
            x = (rng.random(x.shape) < 0.12).astype(float)
        kind = "ordinal" if name.startswith("ordinal") else "binary"
        y = outcome(kind, rng, z)
        if len(np.unique(y)) < 2:
            return np.array([])
        residual = (ordinal_residuals if kind == "ordinal" else logistic_residuals)(y, z)
        return score_scan(residual[:, None], x, z).log10p.ravel()
    if name in (
        "mann_whitney",
        "kruskal",
        "jonckheere",
        "fisher",
        "fisher, sparse",
        "trend",
        "chi2",
    ):
        groups = {"kruskal": 3, "jonckheere": 4, "trend": 3}.get(name, 2)
        share = 0.12 if "sparse" in name else 0.4
        x = rng.integers(0, groups, (n, PER_OUTCOME)).astype(float)
        if groups == 2:
            x = (rng.random((n, PER_OUTCOME)) < share).astype(float)
        y = rng.normal(size=(n, 1))
        if name.split(",", maxsplit=1)[0] in ("fisher", "trend", "chi2"):
            y = (rng.random((n, 1)) < 0.45).astype(float)
        return kernel(y, x, None, 0.95).log10p.ravel()
    if name == "negbinom":
        rate = np.exp(2.5 + 0.4 * (z[:, 0] - z[:, 1]))
        y = rng.negative_binomial(2.0, 2.0 / (2.0 + rate)).astype(float)
        return kernel(y[:, None], predictors(rng, z, PER_OUTCOME), z, 0.95).log10p.ravel()
    if name == "moderated":
        x = (rng.random((n, 1)) < 0.4).astype(float)
        spread = np.sqrt(8 / rng.chisquare(8, GENES))
        y = predictors(rng, z, GENES) * spread
        return kernel(y, x, z, 0.95).log10p.ravel()[:1]
    x = predictors(rng, z, PER_OUTCOME)
    if "mutation" in name:
        x = (rng.random(x.shape) < 0.2).astype(float)
    return kernel(outcome("continuous", rng, z)[:, None], x, z, 0.95).log10p.ravel()


NAMES = (
    "linear",
    "linear, mutation",
    "linear_hc3",
    "spearman",
    "logistic",
    "firth, sparse",
    "ordinal",
    "negbinom",
    "moderated",
    "cox",
    "mann_whitney",
    "kruskal",
    "jonckheere",
    "fisher",
    "fisher, sparse",
    "chi2",
    "trend",
    "mixed, lesion",
    "mixed, patient",
    "linear, modifier",
    "logistic, modifier",
)


def collect(name: str, draws: int, n: int, seed: int) -> np.ndarray:
    """Return p of `draws` null tests, each of an outcome and predictor of its own.

    One predictor is taken from each outcome, so that all draws are independent.
    """
    rng = np.random.default_rng([seed, NAMES.index(name)])
    found: list[float] = []
    global PER_OUTCOME  # noqa: PLW0603
    PER_OUTCOME = 1
    while len(found) < draws:
        value = log10p(name, rng, n)
        found += [10**v for v in value if np.isfinite(v)]
    return np.array(found[:draws])


def verdict(name: str, count: int, draws: int, level: float) -> tuple[bool, int, int]:
    """Whether the count lies in the exact binomial band, and the band."""
    low, high = (int(v) for v in stats.binom.interval(COVERAGE, draws, level))
    fine = count <= high and (count >= low or name in CONSERVATIVE)
    return fine, low, high


def stored(path: Path | None) -> dict[Key, list[int]]:
    """Counts of the runs that a file holds, by test, n, draws and seed."""
    if path is None or not path.exists():
        return {}
    with path.open(newline="") as stream:
        rows = list(csv.reader(stream))
    return {
        (name, int(n), int(draws), int(seed)): [int(count) for count in counts]
        for name, n, draws, seed, *counts in rows
    }


def keep(path: Path | None, key: Key, counts: list[int]) -> None:
    """Add the counts of a run to the file."""
    if path is not None:
        with path.open("a", newline="") as stream:
            csv.writer(stream).writerow([*key, *counts])


def main() -> int:
    """Print the table; 1 where a test is out of its band."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--n", type=int, nargs="+", default=[40])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tests", nargs="*", default=list(NAMES), choices=NAMES, metavar="NAME")
    parser.add_argument("--store", type=Path)
    args = parser.parse_args()
    known = stored(args.store)
    failed = False
    for n in args.n:
        print(f"{'test':20s} {'level':>6s} {'rejected':>9s} {'band':>13s}  n = {n}, 8 covariates")
        for name in args.tests:
            key = (name, n, args.draws, args.seed)
            if key not in known:
                p = collect(name, args.draws, n, args.seed)
                known[key] = [int(np.sum(p <= level)) for level in LEVELS]
                keep(args.store, key, known[key])
            for level, count in zip(LEVELS, known[key], strict=True):
                fine, low, high = verdict(name, count, args.draws, level)
                failed |= not fine
                mark = "" if fine else "  OUT"
                print(f"{name:20s} {level:6.2f} {count:9d} {low:6d}-{high:6d}{mark}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
