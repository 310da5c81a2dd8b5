"""Replication in a second cohort: expected rates and their range, over many pairs of cohorts.

Run: ``python verification/replication.py [pairs]`` (default 200, a minute or two). Ends with
status 1 where the range misses more than it may, where a range of independent hypotheses would not
be too narrow, or where the corrected expectation is off by more than three standard errors.
"""

from __future__ import annotations

import sys

import numpy as np

from radgen.associate import lock, replicate, scan
from radgen.types import OmicsTable, PhenotypeTable


def ranges(pairs: int, seed: int = 5) -> tuple[int, int, int]:
    """Return in how many pairs of cohorts the count lies in its range, in a naive one, of how many.

    Ten features of one factor and ten genes of one module come and go together.
    """
    rng = np.random.default_rng(seed)
    inside, narrow, runs = 0, 0, 0
    for run in range(pairs):
        effect = rng.normal(0, 0.3)
        cohorts = []
        for number in range(2):
            module, n = rng.normal(size=120), 120
            factor = effect * module + rng.normal(size=n)
            genes = module[:, None] + 0.6 * rng.normal(size=(n, 10))
            traits = factor[:, None] + 0.6 * rng.normal(size=(n, 10))
            ids = [f"r{run}_{number}_{i}" for i in range(n)]
            images = {f"f{j}": column for j, column in enumerate(traits.T)}
            layer = OmicsTable(ids, [f"G{j}" for j in range(10)], genes, "expression", "log2")
            cohorts.append((PhenotypeTable.from_frame({"sample": ids, **images}), layer))
        locked = lock(scan(*cohorts[0]))
        if len(locked) < 20:
            continue
        result = replicate(locked, *cohorts[1])
        s, chance = result.summary, result.frame["power_corrected"].to_numpy()
        inside += bool(s["expected_low"] <= s["n_nominal"] <= s["expected_high"])
        half = 1.96 * np.sqrt(np.sum(chance * (1 - chance)))
        narrow += bool(abs(s["n_nominal"] - chance.sum()) <= half)
        runs += 1
    return inside, narrow, runs


def rates(pairs: int, seed: int = 8) -> tuple[int, float, float, int]:
    """Return hypotheses tested, expected by found and by corrected effects, and replicated.

    Of many weak effects few are found, inflated.
    """
    rng = np.random.default_rng(seed)
    found, naive, corrected, nominal = 0, 0.0, 0.0, 0
    for run in range(pairs):
        truth = rng.normal(0, 0.16, 60)
        cohorts = []
        for number in range(2):
            genes = rng.normal(size=(200, 60))
            trait = genes @ truth + rng.normal(size=200)
            ids = [f"r{run}_{number}_{i}" for i in range(200)]
            images = PhenotypeTable.from_frame({"sample": ids, "f": trait})
            names = [f"G{j}" for j in range(60)]
            cohorts.append((images, OmicsTable(ids, names, genes, "expression", "log2")))
        locked = lock(scan(*cohorts[0]), by="p", level=0.001)
        if len(locked):
            summary = replicate(locked, *cohorts[1]).summary
            found += summary["n_tested"]
            naive += summary["n_expected"]
            corrected += summary["n_expected_corrected"]
            nominal += summary["n_nominal"]
    return found, naive, corrected, nominal


def main(pairs: int) -> int:
    """Print a row a check and return the exit status."""
    inside, narrow, runs = ranges(pairs)
    error = np.sqrt(0.05 * 0.95 / runs)
    fine = inside / runs > 0.95 - 0.1 - 4 * error and narrow < 0.7 * runs
    print(
        f"range of the count: holds in {inside} of {runs}; were hypotheses independent, in {narrow}"
        f"  {'as it must be' if fine else 'FAILED'}"
    )
    found, naive, corrected, nominal = rates(max(30, pairs // 2))
    off = (corrected - nominal) / np.sqrt(found * 0.25)
    met = abs(off) < 3 and naive > nominal + 2 * np.sqrt(found * 0.25)
    print(
        f"of {found} locked, {nominal} replicated; corrected effects expect {corrected:.0f} "
        f"({off:+.1f} SE), effects as found {naive:.0f}  {'as it must be' if met else 'FAILED'}"
    )
    return int(not (fine and met))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
