"""Fuzz the kernels of filters and resampling under gcc's address and UB sanitizers.

Builds ``src/radgen/_native/filter`` with gcc's sanitizers into a temporary folder and calls it
with random arguments, half of them wrong: it must compute or refuse, and never touch foreign
memory. Run: ``python verification/filter_kernel_sanitized.py [n_calls]``; exit 1 on a finding.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src/radgen/_native/filter/filter.c"
FLAGS = ["-std=c11", "-g", "-O1", "-fPIC", "-shared", "-DPy_LIMITED_API=0x030B0000"]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]

CALLS = """
import sys
import numpy as np
import _filter

rng = np.random.default_rng(int(sys.argv[1]))
computed = refused = 0
for _ in range(int(sys.argv[2])):
    dtype = (np.float32, np.float64)[rng.integers(2)]
    outer, n, inner = (int(rng.integers(1, top)) for top in (4, 9, 60))
    n_taps = int(rng.integers(1, 25))
    if rng.random() < 0.5:
        first, boundary = int(rng.integers(0, n)), int(rng.integers(4))
        n_out, before = int(rng.integers(1, n - first + 1)), int(rng.integers(0, n_taps))
    else:
        first, n_out, before, boundary = (int(rng.integers(-1, top)) for top in (n, n, n_taps, 5))
    source = rng.normal(size=outer * n * inner).astype(dtype)
    out = np.empty(max(outer * n_out * inner, 0) if rng.random() < 0.95 else 3, dtype)
    if rng.random() < 0.05:
        n = int(rng.integers(-5, 2**62))
    try:
        _filter.correlate_axis(
            source, out, rng.normal(size=n_taps), outer, n, inner, first, n_out, before, boundary
        )
        first_voxel = rng.integers(-9, 18, size=max(n_out, 0))
        weights = rng.normal(size=(len(first_voxel), int(rng.integers(0, 6))))
        _filter.gather_axis(source, out, first_voxel, weights, outer, n, inner, n_out)
        _filter.spline_axis(source, out, outer, n, inner, n_out, int(rng.integers(-9, 18)))
        computed += 1
    except ValueError:
        refused += 1
print(f"{computed} computed, {refused} refused")
"""


def main() -> int:
    """Build, fuzz with three seeds, print a row each."""
    n_calls = sys.argv[1] if len(sys.argv) > 1 else "20000"
    include = sysconfig.get_paths()["include"]
    runtime = [
        subprocess.run(
            ["gcc", f"-print-file-name={name}"], check=True, capture_output=True, text=True
        ).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "_filter.abi3.so"
        command = ["gcc", *FLAGS, *SANITIZE, f"-I{include}", str(SOURCE), "-o", str(target)]
        subprocess.run(command, check=True)
        script = Path(folder) / "calls.py"
        script.write_text(CALLS)
        environment = os.environ | {
            "LD_PRELOAD": " ".join(runtime),
            "ASAN_OPTIONS": "detect_leaks=0",
            "PYTHONPATH": folder,
        }
        for seed in ("1", "2", "3"):
            run = subprocess.run(
                [sys.executable, str(script), seed, n_calls],
                check=False, capture_output=True, text=True, env=environment,
            )  # fmt: skip
            failed += run.returncode != 0
            print(f"seed {seed}: {run.stdout.strip() or run.stderr[-2000:]}")
    print("no finding" if not failed else f"{failed} of 3 runs ended with a finding")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
