"""How exact Moran's I and Geary's C are in single precision, whole and split, against double.

    python verification/pair_sums.py [SHAPES]

Regions of many shapes, sizes and spacings hold smooth images, noise, steps, a gradient, images
constant but for one voxel, and two levels on a huge offset. The inverse distance is transformed as
it is, and split into a near and a far part. Prints the largest error of each kind, relative to the
value, and for Moran's I relative to the sum of its absolute parts too (the index of noise is all
but zero). Exit 1 where Geary's C, or Moran's I relative to what it is a
difference of, errs by more than 1e-6.
"""

from __future__ import annotations

import sys

import numpy as np
from scipy.ndimage import gaussian_filter

from radgen.features import _autocorrelation, _splitting
from radgen.features._autocorrelation import inverse_distance_sums

BOUND = 1e-6


def images(rng: np.random.Generator, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return images of every kind."""
    noise = rng.normal(size=shape)
    spike = np.full(shape, 1000.0)
    spike[tuple(n // 2 for n in shape)] += 1e-3
    return {
        "smooth": gaussian_filter(noise, 2.0),
        "noise": noise,
        "heavy tails": rng.standard_t(1.5, size=shape),
        "gradient": np.indices(shape).sum(axis=0) / 7.0,
        "step": (np.indices(shape)[0] * 2 > shape[0]) * 1.0,
        "one voxel differs": spike,
        "two levels, huge offset": 1e7 + rng.integers(0, 2, shape),
    }


def regions(rng: np.random.Generator, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return a ball, a box and a sponge."""
    place = [(np.arange(n) - (n - 1) / 2) / (n / 2) for n in shape]
    ball = sum(np.ix_(*[p**2 for p in place])) <= 1.0
    return {"ball": ball, "box": np.ones(shape, bool), "sponge": rng.random(shape) < 0.3}


def indices(mask: np.ndarray, image: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """Return Moran's I and Geary's C of a region, as the features compute them."""
    values = image[mask]
    y = values - values.mean()
    n = y.size
    y /= np.sqrt(y @ y / n)
    pairs, products, squares = inverse_distance_sums(mask, y, spacing)
    return np.array([products / pairs, (n - 1) / n * (squares - products) / pairs])


def errors(mask: np.ndarray, image: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """Return errors (whole or split, 3): of both indices, and of Moran's I to the larger one."""
    found = []
    for bound, gain in ((1 << 62, 0.0), (0, 0.0), (0, np.inf)):
        _autocorrelation._SINGLE, _splitting._GAIN = bound, gain
        found.append(indices(mask, image, spacing))
    exact = found[0]
    gaps = np.abs(np.array(found[1:]) - exact)
    return np.column_stack([gaps / np.abs(exact), gaps[:, 0] / max(1e-300, exact.max())])


def main(n_shapes: int) -> int:
    rng = np.random.default_rng(0)
    worst: dict[str, np.ndarray] = {}
    for _ in range(n_shapes):
        shape = tuple(int(n) for n in np.exp(rng.uniform(np.log(3), np.log(70), 3)))
        spacing = tuple(np.exp(rng.uniform(-1.5, 1.5, 3)))
        for mask in regions(rng, shape).values():
            if np.count_nonzero(mask) < 2:
                continue
            for kind, image in images(rng, shape).items():
                if np.ptp(image[mask]) > 0:
                    here = errors(mask, image, spacing)
                    worst[kind] = np.maximum(worst.get(kind, 0.0), here)
    print(f"{n_shapes} shapes, three regions each; largest errors, relative")
    for number, how in enumerate(("whole", "split")):
        print(f"{how:26}{'Moran':>10}{'Geary':>10}{'Moran to the larger':>22}")
        for kind, found in worst.items():
            moran, geary, scaled = found[number]
            print(f"{kind:26}{moran:10.1e}{geary:10.1e}{scaled:22.1e}")
    bad = any(found[:, 1:].max() > BOUND for found in worst.values())
    print("an error above 1e-6" if bad else "all within 1e-6")
    return int(bad)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 40))
