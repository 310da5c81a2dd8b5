"""Tracer kinetics of many voxels against SciPy's least squares of the same model, voxel by voxel.

    python benchmarks/bench_functional.py [voxels]

The peer gets the true parameters as its start, which no user has. Prints the time a voxel, the
ratio and the median relative difference of the leading parameter; exit 1 where a residual of ours
is larger than the peer's.
"""

from __future__ import annotations

import sys
from time import perf_counter

import numpy as np
from scipy.optimize import least_squares

from radgen.functional import fit_tracer, population_input, tissue_curve

PEER_VOXELS = 100
TRUTH = {
    "tofts": ("Ktrans", "ve"),
    "extended-tofts": ("Ktrans", "ve", "vp"),
    "exchange": ("Fp", "PS", "vp", "ve"),
}
LARGEST = {"Fp": 600.0, "ve": 100.0}
"""Where the curve does not determine flow or volume, the peer would run to infinity."""
RANGES = {
    "Ktrans": (0.02, 0.4), "ve": (0.1, 0.6), "vp": (0.01, 0.1), "Fp": (10.0, 80.0),
    "PS": (0.02, 0.3),
}  # fmt: skip


def main(n_voxels: int) -> int:
    rng = np.random.default_rng(0)
    times = np.arange(0.0, 300.0, 4.0)
    plasma = population_input("parker", times, arrival_s=16.0) / 0.58
    worse = 0
    print(f"{'model':16} {'us/voxel':>9} {'SciPy':>9} {'ratio':>7} {'difference':>11}")
    for model, names in TRUTH.items():
        truth = np.column_stack([rng.uniform(*RANGES[name], n_voxels) for name in names])
        clean = [
            tissue_curve(model, times, plasma, **dict(zip(names, row, strict=True)))  # type: ignore[arg-type]
            for row in truth
        ]
        curves = np.array(clean) + rng.normal(scale=0.02, size=(n_voxels, len(times)))
        start = perf_counter()
        fit = fit_tracer(curves, times, plasma, model=model)  # type: ignore[arg-type]
        ours = (perf_counter() - start) / n_voxels

        def loss(x: np.ndarray, data: np.ndarray, model: str, names: tuple[str, ...]) -> np.ndarray:
            given = dict(zip(names, np.exp(x), strict=True))
            return tissue_curve(model, times, plasma, **given) - data  # type: ignore[arg-type]

        start = perf_counter()
        peers = [
            least_squares(
                loss,
                np.log(row),
                bounds=(-np.inf, np.log([LARGEST.get(n, np.inf) for n in names])),
                args=(data, model, names),
                xtol=1e-10,
                ftol=1e-12,
            )
            for row, data in zip(truth[:PEER_VOXELS], curves[:PEER_VOXELS], strict=True)
        ]
        theirs = (perf_counter() - start) / PEER_VOXELS
        lead = names[0]
        values = np.array([np.exp(peer.x[0]) for peer in peers])
        apart = np.abs(fit.parameters[lead][:PEER_VOXELS] / values - 1)
        around = ((curves - curves.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)[:PEER_VOXELS]
        mine = around * (1 - fit.r_squared[:PEER_VOXELS])
        worse += int((mine > np.array([2 * peer.cost for peer in peers]) * (1 + 1e-6)).sum())
        print(
            f"{model:16} {ours * 1e6:9.0f} {theirs * 1e6:9.0f} {theirs / ours:6.0f}x "
            f"{np.median(apart):11.1e}"
        )
    print(f"{worse} residuals larger than the peer's")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))
