"""Throw malformed input at every C kernel: each call must return or raise ValueError.

Run it under the sanitizers, which see what a crash does not show:

    CFLAGS="-fsanitize=address,undefined -fno-sanitize-recover=undefined -g" \
        python setup.py -q build_ext --inplace --force
    LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" \
        ASAN_OPTIONS=detect_leaks=0 python verification/fuzz_kernels.py 10000

Prints how many calls were refused and how many computed; exit 1 on any other exception, or
where a kernel accepts input and disagrees with itself when called again.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from radgen._native import _filter, _image, _tracer

DTYPES = (np.uint8, np.uint16, np.int32, np.uint32, np.int64, np.float64, np.int16, np.float32)


class Fuzzer:
    """Makes arguments that are right, or wrong in one or more ways."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        # A call of ten arguments would hardly ever be right if each might be wrong.
        self.right = self.chance(0.4)

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def spoil(self, array: np.ndarray) -> Any:
        """Return an array that is often changed in type, shape, order or content."""
        if self.right or self.chance(0.75):
            return array
        kind = self.rng.integers(0, 9)
        if kind == 0:
            return array.astype(self.rng.choice(np.array(DTYPES, dtype=object)))
        if kind == 1:
            return array[..., ::2]
        if kind == 2:
            return array.ravel()
        if kind == 3:
            return np.asfortranarray(array)
        if kind == 4:
            return array[:0].copy()
        if kind == 5:
            return bytes(array)
        if kind == 6:
            return np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape)
        if kind == 7 and array.size:
            changed = array.copy()
            top = np.iinfo(array.dtype).max if array.dtype.kind in "iu" else np.nan
            changed.flat[self.rng.integers(0, array.size)] = top
            return changed
        return None if self.chance(0.5) else np.pad(array, [(0, 1)] * array.ndim)

    def shape(self) -> tuple[int, ...]:
        return tuple(int(n) for n in self.rng.integers(1, 7, 3))

    def volume(self, margin: int, top: int) -> np.ndarray:
        dtype = np.uint8 if self.chance(0.5) else np.uint16
        inner = self.rng.integers(0, top + 1, self.shape())
        return np.pad(inner, margin).astype(dtype)

    def offsets(self, n: int, reach: int) -> np.ndarray:
        found = self.rng.integers(-reach, reach + 1, (n, 3)).astype(np.int32)
        return -np.abs(found) if self.chance(0.3) else np.abs(found)

    def number(self, low: int, high: int) -> int:
        if self.chance(0.05):
            return int(self.rng.choice([-1, 0, 10**6, 2**31 - 1, -(2**31)]))
        return int(self.rng.integers(low, high))


def glcm_call(f: Fuzzer, *, runs: bool) -> tuple[Any, ...]:
    top, reach = f.number(1, 6), int(f.rng.integers(1, 3))
    levels = f.volume(reach, max(1, min(top, 200)))
    period = f.number(0, 4)
    offsets = f.offsets(int(f.rng.integers(1, 14)), reach)
    margin = np.abs(offsets).max(axis=0)
    inner = levels.shape[0] - 2 * margin[0]
    groups = -(-inner // period) if 0 < period < 100 else 1
    long = max(period if 0 < period < 100 else levels.shape[0], *levels.shape[1:])
    k = max(1, min(top, 200)) + 1
    out = np.zeros((max(1, groups), len(offsets), k, long + 1 if runs else k), np.uint32)
    given = f.spoil(levels), f.spoil(offsets), top, period
    if not runs:
        return *given, f.spoil(out)
    equal = f.rng.integers(0, 9, (*out.shape[:2], k)).astype(np.uint32)
    return *given, None if f.chance(0.5) else f.spoil(equal), f.spoil(out)


def zones_call(f: Fuzzer) -> tuple[Any, ...]:
    levels = f.volume(1, 3)
    n = int(np.count_nonzero(levels)) + int(f.rng.integers(-1, 3))
    outs = [np.zeros(max(0, n), t) for t in (np.uint16, np.uint32, np.uint16, np.int32)]
    far = f.rng.integers(0, 9, levels.shape).astype(np.uint16)
    offsets = -np.abs(f.offsets(int(f.rng.integers(1, 18)), 1))
    return (f.spoil(levels), f.spoil(far), f.spoil(offsets), *[f.spoil(out) for out in outs])


def near_call(f: Fuzzer, *, dependence: bool) -> tuple[Any, ...]:
    reach, top, period = f.number(1, 3), f.number(1, 6), f.number(0, 4)
    levels = f.volume(max(1, min(reach, 3)), max(1, min(top, 200)))
    r, p, k = max(1, min(reach, 3)), period if 0 <= period < 100 else 0, max(1, min(top, 200)) + 1
    inner = levels.shape[0] - (0 if p == 1 else 2 * r)
    width = (2 * r + 1) ** (2 if p == 1 else 3)
    shape = (max(1, -(-inner // p)) if p else 1, k, width + dependence)
    if dependence:
        out = np.zeros(shape, np.uint32)
        return f.spoil(levels), reach, top, period, f.number(0, 3), f.spoil(out)
    outs = [np.zeros(shape, np.int64) for _ in range(2)]
    return f.spoil(levels), reach, top, period, f.spoil(outs[0]), f.spoil(outs[1])


def mask_call(f: Fuzzer, *, cubes: bool) -> tuple[Any, ...]:
    mask = (f.volume(int(f.rng.integers(0, 2)), 1) > 0).astype(np.uint8)
    if cubes:
        return (
            f.spoil(mask),
            f.spoil(np.zeros(256, np.int64)),
            f.spoil(np.zeros((256, 3), np.int64)),
        )
    return f.spoil(mask), f.number(0, 2), f.spoil(np.zeros(mask.shape, np.uint16))


def ball_call(f: Fuzzer) -> tuple[Any, ...]:
    rows = f.rng.integers(-2, 3, (int(f.rng.integers(1, 9)), 3)).astype(np.int32)
    shape = tuple(int(n) for n in f.rng.integers(3, 9, 3))
    mask = f.rng.integers(0, 2, shape).astype(np.uint8)
    return (
        f.spoil(f.rng.normal(size=shape)),
        f.spoil(rows),
        f.spoil(mask),
        f.spoil(np.zeros(shape)),
    )


def line_call(f: Fuzzer, *, what: str) -> tuple[Any, ...]:
    mask = f.rng.integers(0, 2, f.shape()).astype(np.uint8)
    z, y, x = mask.shape
    if what == "ends":
        outs = [np.zeros((2, *size), np.int32) for size in ((y, x), (z, x), (z, y))]
        return f.spoil(mask), *[f.spoil(out) for out in outs]
    n, margin = int(mask.sum()), int(f.rng.integers(0, 3))
    if what == "moments":
        values = f.rng.normal(size=n if f.chance(0.7) else 0)
        return f.spoil(mask), f.spoil(values), f.spoil(np.zeros(10, np.int64)), f.spoil(np.zeros(4))
    dtype = np.uint8 if f.chance(0.5) else np.uint16
    out = np.pad(np.zeros(mask.shape, dtype), margin)
    return f.spoil(mask), f.spoil(f.rng.integers(0, 200, n).astype(dtype)), f.spoil(out)


def near_ball_call(f: Fuzzer) -> tuple[Any, ...]:
    shape = np.array([int(n) for n in f.rng.integers(1, 40, 3)])
    disc = np.sort(f.rng.integers(0, 3, 5))
    disc = np.cumsum(np.diff(disc, prepend=disc[0]) > 0)
    rows = np.column_stack([disc, f.rng.integers(-2, 3, 5), f.rng.integers(0, 3, 5)])
    which = np.sort(f.rng.integers(0, disc[-1] + 1, 4))
    slices = np.column_stack([which, f.rng.integers(-2, 3, 4)])
    reach = [np.abs(item).max() for item in (slices[:, 1], rows[:, 1], rows[:, 2])]
    mask = (f.rng.random(shape) < f.rng.choice([0.02, 0.5, 1.0])).astype(np.uint8)
    levels = f.rng.integers(0, 256, shape + 2 * np.array(reach)).astype(np.uint8)
    given = levels, rows.astype(np.int32), slices.astype(np.int32), mask
    out = np.zeros(int(mask.sum()), np.uint16)
    return (*[f.spoil(item) for item in given], f.spoil(out))


def row_levels_call(f: Fuzzer) -> tuple[Any, ...]:
    image = f.rng.normal(size=f.rng.integers(1, 9, 3)) * f.rng.choice([1.0, 1e300, np.inf])
    image = image.astype(np.float32 if f.chance(0.5) else np.float64)
    start = f.rng.integers(-4, 4, 3)
    out = np.zeros(f.rng.integers(1, 12, 3), np.uint8)
    numbers = [float(f.rng.choice([0.0, 1.0, 3.5, 40.0, 1e9])) for _ in range(2)]
    if f.chance(0.2):
        numbers[int(f.chance(0.5))] = float(f.rng.choice([-1.0, np.nan, np.inf]))
    return (f.spoil(image), *numbers, f.spoil(start), f.spoil(out))


def maps_call(f: Fuzzer) -> tuple[Any, ...]:
    top = f.number(1, 9)
    levels = f.rng.integers(0, max(1, min(top, 200)) + 1, 80).astype(np.uint16)
    most, n = (30, 6) if f.chance(0.5) else (260, 40)  # counted by comparing, or in tables
    pairs = f.rng.integers(-12, 13, (int(f.rng.integers(1, most)), 2)).astype(np.int32)
    cut = np.sort(f.rng.integers(0, len(pairs) + 1, 2))
    first = np.array([0, *cut, len(pairs)], np.int32)
    voxels = f.rng.integers(10, 70, int(f.rng.integers(0, n))).astype(np.int64)
    out = np.zeros((25 + int(f.chance(0.5)), voxels.size))
    given = [f.spoil(item) for item in (levels, voxels, pairs, first)]
    return (*given, top, f.number(0, 4), f.spoil(out))


def hull_call(f: Fuzzer, *, box: bool) -> tuple[Any, ...]:
    n, m, k = (int(item) for item in f.rng.integers(1, 40, 3))
    points, planes = f.rng.normal(size=(3, n)), f.rng.normal(size=(3, m))
    planes /= np.linalg.norm(planes, axis=0)
    if not box:
        return (f.spoil(points),)
    edges = np.concatenate(
        [f.rng.integers(0, m, (k, 2)), f.rng.integers(0, n, (k, 2))], axis=1
    ).astype(np.int32)
    count = int(f.rng.integers(0, m + 1)) if f.chance(0.6) else 400  # many: with bounds
    which = f.rng.integers(0, m, count).astype(np.int32)
    given = [f.spoil(item) for item in (points, planes, edges, which)]
    return (*given, f.spoil(np.zeros(3)))


def lattice_call(f: Fuzzer) -> tuple[Any, ...]:
    n, top = int(f.rng.integers(0, 60)), int(f.rng.choice([1, 2, 5, 90, 1 << 18, 1 << 19]))
    points = f.rng.integers(0, top + 1, (n, 3)).astype(np.int32)
    triangles, neighbours = (np.zeros((2 * n, 3), np.int32) for _ in range(2))
    normals = np.zeros((2 * n, 3), np.int64)
    return tuple(f.spoil(item) for item in (points, triangles, neighbours, normals))


def pair_call(f: Fuzzer, *, what: str) -> tuple[Any, ...]:
    shape = f.shape()
    mask = f.rng.integers(0, 2, shape).astype(np.uint8)
    values = f.rng.normal(size=int(mask.sum()))
    smooth = [1, 2, 3, 4, 5, 6, 8, 9, 10, f.number(0, 9)]
    sizes = np.array([4 * smooth[f.number(n // 4, 10) % 10] for n in shape], np.int64)
    z, y, x = (int(n) // 2 if 0 < n < 100 else 2 for n in sizes)
    dtype, lanes = (np.float32, 16) if f.chance(0.5) else (np.float64, 8)
    blocks, parts = -(-shape[0] // lanes), int(f.rng.choice([2, 2, 2, 4, f.number(0, 9)]))
    side = np.zeros((blocks, *shape[1:], lanes), np.uint8)
    beside = np.zeros(side.shape, dtype)
    ends = np.sort(f.rng.integers(0, shape[2] + 1, (blocks, shape[1], 2)), axis=2).astype(np.int32)
    deep = int(f.rng.integers(1, z + 1))
    weights = np.ones((x, deep, 2, -(-y // (2 * lanes)) * lanes), dtype)
    if what == "lanes":
        given = f.spoil(mask), f.spoil(values), f.rng.normal(), f.rng.normal()
        share = f.number(0, 2), f.number(0, blocks + 1)
        return *given, *share, f.spoil(side), f.spoil(beside), f.spoil(ends)
    if what == "weights":
        kernel = f.rng.normal(size=[int(f.rng.integers(1, n + 1)) for n in (deep, y, x)])
        return f.spoil(sizes), f.spoil(kernel), parts, f.number(0, 2), f.spoil(weights)
    side[:] = f.rng.integers(0, 2, side.shape)
    beside += f.rng.normal(size=side.shape).astype(dtype)
    room = np.zeros((x // max(1, min(parts, 99)), 3, blocks, shape[1], 2, lanes), dtype)
    first = f.spoil(side), f.spoil(beside), f.spoil(ends)
    if f.chance(0.4):
        first = None, f.spoil(np.stack([beside] * 3)), None
    given = [f.spoil(item) for item in (weights, sizes)]
    return *first, *given, parts, f.number(0, 6), f.spoil(room), f.spoil(np.zeros(3))


def thin_call(f: Fuzzer, *, slices: bool) -> tuple[Any, ...]:
    blocks, rows, columns = (int(n) for n in f.rng.integers(1, 9, 3))
    steps = [f.number(1, 5) for _ in range(2)]
    taps = [f.rng.normal(size=int(f.rng.integers(1, 30))).astype(np.float32) for _ in steps]
    y, x = (
        (n - 1 + t.size - step) // step + 1 if 0 < step < 100 else 1
        for n, t, step in zip((rows, columns), taps, steps, strict=True)
    )
    if not slices:
        inside = f.rng.integers(0, 2, (blocks, rows, columns, 16)).astype(np.uint8)
        values = f.rng.normal(size=inside.shape).astype(np.float32)
        out = np.zeros((3, blocks, max(1, y), max(1, x), 16), np.float32)
        filters = f.spoil(taps[0]), steps[0], f.spoil(taps[1]), steps[1]
        ends = np.sort(f.rng.integers(0, columns + 1, (blocks, rows, 2)), axis=2)
        given = f.spoil(inside), f.spoil(values), f.spoil(ends.astype(np.int32))
        return *given, *filters, f.number(0, 2), f.number(0, blocks + 1), f.spoil(out)
    planes = f.rng.normal(size=(3, blocks, rows, columns, 16)).astype(np.float32)
    most = (16 * blocks - 1 + taps[0].size - steps[0]) // max(1, steps[0]) // 16 + 1
    out = np.zeros((3, int(f.rng.integers(1, max(1, min(most, 99)) + 1)), rows, columns, 16))
    given = f.spoil(planes), f.spoil(taps[0]), steps[0], f.number(0, 2), f.number(0, rows + 1)
    return *given, f.spoil(out.astype(np.float32))


def number_call(f: Fuzzer, *, levels: bool) -> tuple[Any, ...]:
    n = int(f.rng.integers(0, 700))
    values = f.rng.normal(0, 10.0 ** f.rng.integers(-3, 4), n)
    if not levels:
        return f.spoil(values), f.rng.normal(), f.rng.normal(), f.spoil(np.zeros(6))
    count = f.number(1, 400)
    low, high = (float(values.min()), float(values.max())) if n else (0.0, 1.0)
    if f.chance(0.2):
        low, high = f.rng.choice([np.nan, np.inf, -1e308, 1e308, low, high], 2)
    dtype = np.uint8 if f.chance(0.5) else np.uint16
    return f.spoil(values), count, float(low), float(high), f.spoil(np.zeros(n, dtype))


def whole_call(f: Fuzzer) -> tuple[Any, ...]:
    values = f.rng.integers(0, f.number(1, 40) % 1000 + 1, int(f.rng.integers(0, 1300)))
    low = float(f.rng.choice([0.0, 0.0, 0.5, -3.0, np.nan, np.inf, 1e300]))
    return f.spoil(values + low), low, f.spoil(np.zeros(f.number(1, 60) % 1000, np.int64))


def fold_call(f: Fuzzer) -> tuple[Any, ...]:
    n, rows = int(f.rng.integers(0, 40)), int(f.rng.integers(0, 9))
    times = np.cumsum(f.rng.uniform(0.01, 1.0, n)) if f.chance(0.8) else f.rng.normal(size=n)
    inputs = f.rng.normal(size=n if f.chance(0.5) else (rows, n))
    rates = 10.0 ** f.rng.uniform(-9, 4, rows) * f.number(0, 1)
    given = [f.spoil(item) for item in (times, inputs, rates, np.zeros((rows, n)))]
    return tuple(given)


def axis_call(f: Fuzzer, *, what: str) -> tuple[Any, ...]:
    outer, size, inner = (int(n) for n in f.rng.integers(1, 40, 3))
    dtype = np.float32 if f.chance(0.5) else np.float64
    values = f.rng.normal(size=(outer, size, inner)).astype(dtype)
    first = f.number(0, size)
    n_out = f.number(1, size + 1) if f.chance(0.1) else max(1, size - max(0, min(first, size)))
    out = np.zeros((outer, min(n_out, 100) if n_out > 0 else 1, inner), dtype)
    given = f.spoil(values), f.spoil(out)
    if what == "recursive":
        weights = f.rng.normal(0, 0.2, 12)
        return *given, f.spoil(weights), outer, size, inner, first, n_out
    if what == "correlate":
        weights = f.rng.normal(size=int(f.rng.integers(1, 30)))
        ends = f.number(0, len(weights)), f.number(0, 4)
        return *given, f.spoil(weights), outer, size, inner, first, n_out, *ends
    if what == "spline":
        return *given, outer, size, inner, n_out, f.number(-9, 9)
    at = f.rng.integers(-9, size + 9, out.shape[1])
    weights = f.rng.normal(size=(out.shape[1], int(f.rng.integers(1, 7))))
    return *given, f.spoil(at), f.spoil(weights), outer, size, inner, n_out


def level_call(f: Fuzzer) -> tuple[Any, ...]:
    top, dtype = f.number(1, 300), np.uint8 if f.chance(0.5) else np.uint16
    levels = f.rng.integers(0, max(1, top) % 1000 + 1, int(f.rng.integers(0, 900))).astype(dtype)
    return f.spoil(levels), f.spoil(np.zeros(max(0, top) % 1000 + 1, np.int64))


CALLS: dict[str, Callable[[Fuzzer], tuple[Any, ...]]] = {
    "glcm": lambda f: glcm_call(f, runs=False),
    "glrlm": lambda f: glcm_call(f, runs=True),
    "zones": zones_call,
    "ngtdm": lambda f: near_call(f, dependence=False),
    "ngldm": lambda f: near_call(f, dependence=True),
    "distance_map": lambda f: mask_call(f, cubes=False),
    "cube_types": lambda f: mask_call(f, cubes=True),
    "ball_sums": ball_call,
    "near_ball_sums": near_ball_call,
    "row_levels": row_levels_call,
    "line_ends": lambda f: line_call(f, what="ends"),
    "mask_moments": lambda f: line_call(f, what="moments"),
    "scatter": lambda f: line_call(f, what="scatter"),
    "glcm_maps": maps_call,
    "diameter": lambda f: hull_call(f, box=False),
    "smallest_box": lambda f: hull_call(f, box=True),
    "lattice_hull": lattice_call,
    "pair_lanes": lambda f: pair_call(f, what="lanes"),
    "pair_weights": lambda f: pair_call(f, what="weights"),
    "pair_sums": lambda f: pair_call(f, what="sums"),
    "thin_planes": lambda f: thin_call(f, slices=False),
    "thin_slices": lambda f: thin_call(f, slices=True),
    "power_sums": lambda f: number_call(f, levels=False),
    "whole_counts": whole_call,
    "level_counts": level_call,
    "number_levels": lambda f: number_call(f, levels=True),
    "convolve": fold_call,
    "correlate_axis": lambda f: axis_call(f, what="correlate"),
    "gather_axis": lambda f: axis_call(f, what="gather"),
    "spline_axis": lambda f: axis_call(f, what="spline"),
    "recursive_axis": lambda f: axis_call(f, what="recursive"),
}


def fresh(argument: Any) -> Any:
    return (
        argument.copy()
        if isinstance(argument, np.ndarray) and argument.flags.writeable
        else argument
    )


def kernel(name: str) -> Callable[..., Any]:
    """Return a kernel by its name."""
    module = next(home for home in (_image, _filter, _tracer) if hasattr(home, name))
    return getattr(module, name)  # type: ignore[no-any-return]


def refusals(name: str) -> tuple[type[Exception], ...]:
    """Return the exceptions by which a kernel refuses; those of filters are also the buffer's."""
    plain = ValueError, OverflowError
    return (*plain, TypeError, BufferError) if hasattr(_filter, name) else plain


def run(
    name: str,
    seed: int,
    arguments: tuple[Any, ...],
    call: Callable[..., Any],
    refused: tuple[type[Exception], ...],
) -> str:
    """Return "refused" or "computed"; let any other exception pass."""
    results = []
    for _ in range(2):
        given = [fresh(argument) for argument in arguments]
        try:
            call(*given)
        except refused:
            return "refused"
        results.append([item for item in given if isinstance(item, np.ndarray)])
    for a, b in zip(*results, strict=True):
        if not np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"):
            raise AssertionError(f"{name}, seed {seed}: two calls gave two answers")
    return "computed"


def main(
    n_calls: int,
    calls: dict[str, Callable[[Fuzzer], tuple[Any, ...]]],
    kernel_of: Callable[[str], Callable[..., Any]],
    refused: Callable[[str], tuple[type[Exception], ...]],
) -> int:
    """Call the kernels in turn, and print what came of it; return 1 where one was bad."""
    counts: Counter[tuple[str, str]] = Counter()
    names = list(calls)
    bad = 0
    for seed in range(n_calls):
        name = names[seed % len(names)]
        try:
            given = calls[name](Fuzzer(seed))
            counts[name, run(name, seed, given, kernel_of(name), refused(name))] += 1
        except Exception as error:  # noqa: BLE001 - the point is to see every kind
            bad += 1
            print(f"{name}, seed {seed}: {type(error).__name__}: {error}")
    print(f"{'kernel':20} {'computed':>9} {'refused':>9}")
    for name in names:
        print(f"{name:20} {counts[name, 'computed']:9} {counts[name, 'refused']:9}")
    print(f"{bad} bad of {n_calls}")
    return 1 if bad else 0


if __name__ == "__main__":
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    sys.exit(main(n, CALLS, kernel, refusals))
