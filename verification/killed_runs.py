"""Kill a run at random moments and start it again; the result is that of an undisturbed run.

Usage: python verification/killed_runs.py [MOMENTS] [SEED]
Each moment is a fresh output folder: the run is killed (SIGKILL) after a random time between its
start and its end, started again, and killed once more in half of the cases. Prints a table;
exit code 1 if a result differs, if a finished scan was measured twice, or if something
half-written was left.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from study_cohort import small_study


def start(study: Path, out: Path) -> subprocess.Popen[bytes]:
    """Return a run in a process of its own."""
    command = [sys.executable, "-m", "radgen", "run", str(study), "--out", str(out), "--jobs", "1"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(study: Path, out: Path) -> dict[str, str]:
    """Run to the end and return the digests of all outputs."""
    process = start(study, out)
    _, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"The run ended with code {process.returncode}: {errors.decode()}")
    found: dict[str, str] = json.loads((out / "outputs.json").read_text())
    return found


def entries(out: Path) -> set[Path]:
    """Return all finished entries of the cache."""
    return set((out / "cache").glob("*/[0-9a-f]*"))


def main(moments: int = 20, seed: int = 1) -> int:
    """Return the number of moments after which something was wrong."""
    rng = random.Random(seed)
    bad = 0
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        study = small_study(folder / "cohort")
        begun = time.monotonic()
        wanted = finish(study, folder / "undisturbed")
        length = time.monotonic() - begun
        print(f"undisturbed run: {length:.1f} s, {len(wanted)} outputs")
        for moment in range(moments):
            out = folder / f"out{moment}"
            kept: set[Path] = set()
            lost = False
            for _ in range(1 + moment % 2):
                process = start(study, out)
                after = rng.uniform(0.1, 1.05) * length
                time.sleep(after)
                process.send_signal(signal.SIGKILL)
                process.communicate()
                lost |= not kept <= entries(out)
                kept = entries(out)
            found = finish(study, out)
            record = json.loads((out / "provenance.json").read_text())
            computed = sum(s["computed"] for s in record["steps"])
            units = sum(s["units"] for s in record["steps"])
            repeated = units - computed != len(kept)
            left = list(out.rglob(".writing-*"))
            wrong = found != wanted or lost or repeated or bool(left)
            bad += wrong
            print(
                f"killed at {after:5.2f} s: {len(kept):3d} of {units} units were finished, "
                f"{computed} computed after the restart: {'WRONG' if wrong else 'same digests'}"
            )
            shutil.rmtree(out)
    print(f"{moments - bad} of {moments} as they must be")
    return bad


if __name__ == "__main__":
    sys.exit(1 if main(*(int(item) for item in sys.argv[1:3])) else 0)
