"""Break a study in 200 ways; each time it must be refused with a reason, or unharmed.

Usage: python verification/mutated_studies.py [NUMBER] [SEED]
Prints a table; exit code 1 if anything was answered wrongly.
"""

from __future__ import annotations

import random
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from radgen.study import Study
from study_cohort import small_study
from study_mutations import ALL, judge


def main(number: int = 200, seed: int = 1) -> int:
    """Return the number of mutations that were not treated as they must be."""
    warnings.simplefilter("error")
    tally: Counter[tuple[str, bool]] = Counter()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        out = folder / "out"
        undisturbed = Study.load(small_study(folder / "first")).run(out)
        for place in range(number):
            name, expected, change = ALL[place % len(ALL)]
            rng = random.Random(f"{seed} {place}")
            study = small_study(folder / f"copy{place}")
            change(study.parent, rng)
            wrong = judge(expected, study, out, undisturbed)
            tally[expected, not wrong] += 1
            if wrong:
                print(f"WRONG  {place:4d}  {name} (expected: {expected}): {wrong}")
    for kind in ("refused", "status", "same"):
        good, bad = tally[kind, True], tally[kind, False]
        print(f"{kind:8s} {good:4d} as it must be, {bad} not")
    return sum(count for (_, good), count in tally.items() if not good)


if __name__ == "__main__":
    sys.exit(1 if main(*(int(item) for item in sys.argv[1:3])) else 0)
