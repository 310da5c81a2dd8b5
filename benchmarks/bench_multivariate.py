"""Multivariate methods: sparse CCA against peers, and at the sizes of a genome.

Run: python benchmarks/bench_multivariate.py [--large] [--peers]

``--peers`` times cca-zoo's PMDCCA (``pip install cca-zoo``) and, where ``Rscript`` has it, R's PMA
in the same run, and checks that all find the same weights; scikit-learn's MultiTaskLasso is always
there. ``--large`` runs sparse CCA on 500,000 variants x 10,000 phenotypes x 1,000 people, and the
regressions on 100,000 x 1,000.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import MultiTaskLasso

from radgen.multivariate import (
    GroupSparseMultiTask,
    SparseCCA,
    SparseReducedRank,
    cca_permutation,
)


def timed(work: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    """Return the smallest wall time of some runs, and the last answer."""
    best, answer = np.inf, None
    for _ in range(repeats):
        start = time.perf_counter()
        answer = work()
        best = min(best, time.perf_counter() - start)
    return best, answer


def peak_gib() -> float:
    """Return the largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def blocks(n: int, p: int, q: int, dtype: type = np.float64) -> tuple[np.ndarray, np.ndarray]:
    """Return blocks with one sparse link, filled in place so that no copy is made."""
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((n, 1)).astype(dtype)
    found = []
    for width in (p, q):
        block = np.empty((n, width), dtype)
        for row in block:
            row[:] = rng.standard_normal(width, dtype=np.float32)
        block[:, :20] += shared
        found.append(block)
    return found[0], found[1]


PMA = """
folder <- commandArgs(TRUE)[1]; n <- as.integer(commandArgs(TRUE)[2])
load <- function(name) {
  path <- file.path(folder, name)
  matrix(readBin(path, "double", file.size(path) / 8), nrow = n)
}
x <- load("x"); z <- load("z")
seconds <- system.time(fit <- PMA::CCA(x, z, "standard", "standard", penaltyx = 0.1,
                                       penaltyz = 0.3, niter = 100,
                                       trace = FALSE, standardize = FALSE))[["elapsed"]]
writeBin(c(seconds, fit$u[, 1]), file.path(folder, "u"))
"""


def pma(x: np.ndarray, z: np.ndarray) -> tuple[float, np.ndarray] | None:
    """Return the seconds and weights of PMA on standardised blocks, None where it is missing."""
    if shutil.which("Rscript") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        np.asfortranarray(x).T.tofile(Path(folder, "x"))
        np.asfortranarray(z).T.tofile(Path(folder, "z"))
        done = subprocess.run(["Rscript", "-e", PMA, folder, str(len(x))], check=False)
        if done.returncode:
            return None
        answer = np.fromfile(Path(folder, "u"))
    return float(answer[0]), answer[1:]


def sparse_cca(n: int, p: int, q: int, peers: bool) -> None:
    """Print the time of sparse CCA and its ratio to cca-zoo."""
    x, y = blocks(n, p, q)
    xs, ys = ((b - b.mean(0)) / b.std(0, ddof=1) for b in (x, y))
    ours, model = timed(lambda: SparseCCA(x_penalty=0.1, y_penalty=0.3).fit(x, y), 3)
    line = f"sparse CCA {n} x {p} x {q}: {ours:.3f} s"
    if peers:
        from cca_zoo.sparse import PMDCCA

        theirs, other = timed(lambda: PMDCCA(1, l1_bound=[0.1, 0.3]).fit([xs, ys]))
        u = np.asarray(other.weights_[0])[:, 0]
        u = u / np.linalg.norm(u)
        apart = np.abs(np.abs(u) - np.abs(model.x_weights_[:, 0])).max()
        line += f", cca-zoo {theirs:.3f} s, ratio {theirs / ours:.1f}, weights apart {apart:.1e}"
        if (r := pma(xs, ys)) is not None:
            apart = np.abs(np.abs(r[1]) - np.abs(model.x_weights_[:, 0])).max()
            line += f"; PMA {r[0]:.3f} s, ratio {r[0] / ours:.1f}, weights apart {apart:.1e}"
    print(line, flush=True)


def against_peers(peers: bool) -> None:
    """Print ratios at sizes that peers can do."""
    for n, p, q in ((200, 2_000, 200), (500, 10_000, 500)):
        sparse_cca(n, p, q, peers)
    x, y = blocks(300, 3_000, 20)
    alpha = 0.25
    ours, model = timed(lambda: GroupSparseMultiTask(alpha, tol=1e-6).fit(x, y))
    theirs, lasso = timed(lambda: MultiTaskLasso(alpha, tol=1e-10, max_iter=20_000).fit(x, y))
    apart = np.abs(lasso.coef_.T - model.coef_).max()
    print(
        f"multi-task 300 x 3000 x 20: {ours:.3f} s, scikit-learn {theirs:.3f} s, ratio "
        f"{theirs / ours:.1f}, coefficients apart {apart:.1e}"
    )
    x, y = blocks(200, 2_000, 200)
    penalties = [(a, b) for a in (0.05, 0.1, 0.2, 0.4) for b in (0.2, 0.4)]
    warm, _ = timed(lambda: cca_permutation(x, y, penalties=penalties, seed=0, n_permutations=10))
    cold, _ = timed(
        lambda: [
            cca_permutation(x, y, penalties=[pair], seed=0, n_permutations=10) for pair in penalties
        ]
    )
    print(f"permutation tuning of 8 penalties: {warm:.1f} s, each alone {cold:.1f} s")


def large() -> None:
    """Print times and peak memory at the sizes of a genome."""
    x, y = blocks(1_000, 500_000, 10_000, np.float32)
    held = peak_gib()
    seconds, model = timed(lambda: SparseCCA(x_penalty=0.02, y_penalty=0.1).fit(x, y))
    found = np.flatnonzero(model.x_weights_[:, 0])
    print(
        f"sparse CCA 1000 x 500,000 x 10,000: {seconds:.1f} s, peak {peak_gib():.2f} GiB with "
        f"{held:.2f} GiB of data, {np.isin(range(20), found).sum()} of 20 planted variants",
        flush=True,
    )
    del x, y
    x, y = blocks(1_000, 100_000, 1_000, np.float32)
    seconds, model = timed(lambda: SparseReducedRank(3, n_selected=100, tol=1e-6).fit(x, y))
    found = np.flatnonzero(model.x_weights_[:, 0])
    print(
        f"sparse reduced rank 1000 x 100,000 x 1,000, 3 ranks: {seconds:.1f} s, "
        f"{np.isin(range(20), found).sum()} of 20 planted variants",
        flush=True,
    )
    most = np.linalg.norm((x - x.mean(0)).T @ (y - y.mean(0)), axis=1).max() / len(x)
    seconds, task = timed(lambda: GroupSparseMultiTask(float(most) / 2, tol=1e-5).fit(x, y))
    found = np.flatnonzero(task.coef_.any(axis=1))
    print(
        f"multi-task 1000 x 100,000 x 1,000: {seconds:.1f} s, KKT residual "
        f"{task.kkt_residual_:.1e}, {len(found)} variants, "
        f"{np.isin(range(20), found).sum()} of 20 planted"
    )


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--large", action="store_true")
    args = parser.parse_args()
    against_peers(args.peers)
    if args.large:
        large()


if __name__ == "__main__":
    main()
