"""Throw malformed input at the C kernels of genotypes, regressions, saddle points and tables.

Build and run it under the sanitizers as `fuzz_kernels.py` says:

    python verification/fuzz_genetics.py 10000
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from fuzz_kernels import Fuzzer, main
from radgen._native import _genotype, _regress, _saddle, _table

HIST_BINS = 640
ORDERS = 13
NEAR = 21
MARKS = (9, 32, 44, 59, 0, 10, 200, -1)


def small(f: Fuzzer, top: int = 12) -> int:
    return int(f.rng.integers(0 if f.chance(0.1) else 1, top))


def bed(f: Fuzzer, most: int = 90) -> tuple[list[Any], int, int, int]:
    """Return packed calls, samples of the file and columns; and rows, samples in use, of file."""
    rows, n_file = small(f), small(f, most)
    packed = f.rng.integers(0, 256, (rows, -(-n_file // 4))).astype(np.uint8)
    if f.chance(0.3):
        packed[:] = f.rng.choice([0, 85, 170, 255])
    columns, n = None, n_file
    if f.chance(0.5) and n_file:
        n = small(f, 2 * n_file)
        columns = f.spoil(f.rng.integers(0, n_file, n).astype(np.int64))
    given = n_file if f.chance(0.95) else f.number(0, 9)
    return [f.spoil(packed), given, columns], rows, n, n_file


def bed_call(f: Fuzzer, *, what: str) -> tuple[Any, ...]:
    most = 700 if what == "integer" else 90
    packed, rows, n, _ = bed(f, most)
    k, flip = small(f, 6), bool(f.chance(0.5))
    stats = np.column_stack([f.rng.integers(0, n + 1, (rows, 3)).astype(float)]) if rows else None
    stats = np.zeros((rows, 3)) if stats is None else stats
    weights = f.rng.normal(size=(n, k)).astype(np.float32)
    if what == "dosage":
        lut = np.array([2, np.nan, 1, 0], np.float32)
        return *packed, f.spoil(lut), f.spoil(np.zeros((rows, n), np.float32))
    if what == "centre":
        item = 4 if f.chance(0.5) else 8 if f.chance(0.9) else f.number(0, 9)
        out = np.zeros((rows, n), np.float64 if item == 8 else np.float32)
        return *packed, flip, item, f.spoil(out), f.spoil(stats)
    if what == "missing":
        room = f.number(0, rows * n + 2)
        indices = np.zeros(min(max(room, 0), 10_000), np.int32)
        return *packed, f.spoil(indices), f.spoil(np.zeros(rows, np.int64))
    if what == "products":
        limit = f.number(0, n + 1)
        totals, out = weights.sum(axis=0).astype(float), np.zeros((rows, k), np.float32)
        given = [f.spoil(one) for one in (weights, totals, out, stats, np.zeros(rows, np.uint8))]
        return *packed, flip, limit, *given
    if what == "squares":
        given = [f.spoil(one) for one in (stats, weights.T.copy(), np.zeros((rows, k)))]
        return *packed, flip, *given
    some = f.rng.integers(0, max(rows, 1), small(f)).astype(np.int32)
    if what == "rows":
        given = [f.spoil(one) for one in (some, stats, np.zeros((len(some), n), np.float32))]
        return *packed, flip, *given
    size = max(0, int(_genotype.integer_size(n, k)))
    digits, scale, sums = np.zeros(size, np.int8), np.ones(k), np.zeros(k)
    if n and k:
        _genotype.integer_pack(weights, n, digits, scale, sums)
    out, left = np.zeros((rows, k), np.float32), np.zeros(rows)
    given = [f.spoil(one) for one in (some, stats, weights, digits, scale, sums, left, out)]
    return *packed, flip, *given


def pack_call(f: Fuzzer) -> tuple[Any, ...]:
    n, k = small(f, 200), small(f, 20)
    weights = f.rng.normal(0, 10.0 ** f.rng.integers(-30, 30), (n, k)).astype(np.float32)
    if f.chance(0.2):
        weights[:, : k // 2] = f.rng.choice([0.0, np.nan, np.inf, -np.inf])
    digits = np.zeros(max(0, int(_genotype.integer_size(n, k))), np.int8)
    given = [f.spoil(one) for one in (digits, np.zeros(k), np.zeros(k))]
    return f.spoil(weights), n if f.chance(0.9) else f.number(0, 99), *given


def centre_call(f: Fuzzer) -> tuple[Any, ...]:
    rows, n = small(f), small(f, 60)
    dosage = f.rng.uniform(0, 2, (rows, n)).astype(np.float32)
    dosage[f.rng.random((rows, n)) < 0.2] = np.nan
    item = 4 if f.chance(0.5) else 8 if f.chance(0.9) else f.number(0, 9)
    out = np.zeros((rows, n), np.float64 if item == 8 else np.float32)
    given = rows if f.chance(0.9) else f.number(0, 9)
    return f.spoil(dosage), given, item, f.spoil(out), f.spoil(np.zeros((rows, 3)))


def gaps(f: Fuzzer, rows: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return positions of missing calls, and where those of each row end."""
    counts = f.rng.integers(0, min(n, 6) + 1, rows)
    indices = f.rng.integers(0, max(n, 1), int(counts.sum())).astype(np.int32)
    return indices, np.cumsum(counts).astype(np.int64)


def missing_call(f: Fuzzer, *, what: str) -> tuple[Any, ...]:
    rows, n, c, k = small(f), small(f, 40), small(f, 5), small(f, 5)
    indices, ends = gaps(f, rows, n)
    where = f.spoil(indices), f.spoil(ends)
    if what == "at":
        return *where, f.spoil(f.rng.normal(size=n)), f.spoil(np.zeros(rows))
    if what == "basis":
        q, left = f.rng.normal(size=(n, c)), f.rng.normal(size=rows)
        given = [f.spoil(one) for one in (q, left, np.zeros((rows, c)), np.zeros(rows))]
        return *where, *given
    if what == "sums":
        stride = c + k
        values = f.rng.normal(size=(n, stride)).astype(np.float32)
        sizes = (
            f.number(n, n + 1),
            f.number(stride, stride + 1),
            f.number(0, c + 1),
            f.number(k, k + 1),
        )
        return *where, *sizes, f.spoil(values), f.spoil(np.zeros((rows, k), np.float32))
    q, y = f.rng.normal(size=(n, c)), f.rng.normal(size=(n, k))
    outs = [np.zeros((rows, c, c)), np.zeros((rows, c, k)), np.zeros((rows, k))]
    sizes = f.number(n, n + 1), f.number(c, c + 1)
    given = [f.spoil(one) for one in (y, *outs)]
    return *where, *sizes, f.spoil(q), f.number(k, k + 1), *given


def test_call(f: Fuzzer, *, short: bool) -> tuple[Any, ...]:
    rows, n, k = small(f), small(f, 40), small(f, 20)
    first, width = f.number(0, 4), k + 4
    indices, ends = gaps(f, rows, n)
    scale = 10.0 ** f.rng.integers(-3, 20)
    product = (scale * f.rng.normal(size=(rows, width))).astype(np.float32)
    weights = f.rng.normal(size=(n, width)).astype(np.float32)
    bounds = np.abs(f.rng.normal(size=(3 if short else 8, rows)))
    if f.chance(0.3) and bounds.size:
        bounds.flat[f.rng.integers(0, bounds.size)] = f.rng.choice(
            [np.nan, np.inf, -1.0, 0.0, 1e300]
        )
    hist = np.zeros((k, HIST_BINS), np.int64)
    rows_out, columns_out = np.zeros((2, rows * k), np.int32)
    if short:
        by = f.rng.normal(size=len(indices)).astype(np.float32)
        middle = by, bounds, np.zeros((rows, k), np.int16), hist
    else:
        levels = small(f, 14)
        most = np.sort(np.abs(f.rng.normal(size=(levels, k))), axis=0).astype(np.float32)
        middle = most, bounds, hist
    given = [f.spoil(one) for one in (weights, indices, ends, *middle, rows_out, columns_out)]
    return f.spoil(product), first, k if f.chance(0.95) else f.number(0, 30), *given


def risk_call(f: Fuzzer) -> tuple[Any, ...]:
    n, m = small(f, 30), small(f, 5)
    times = small(f, max(2, n))
    order, start = f.rng.permutation(n), np.sort(f.rng.integers(0, max(n, 1), times))
    deaths = small(f, 20)
    dead = f.rng.integers(0, max(n, 1), deaths)
    of_row = np.sort(f.rng.integers(0, max(times, 1), deaths))
    whole = [one.astype(np.int64) for one in (order, start, dead, of_row.copy(), of_row)]
    real = [f.rng.random(n), f.rng.random(deaths), f.rng.random(deaths) + 1, f.rng.random(deaths)]
    given = [f.spoil(one) for one in (*whole, *real, np.zeros(m))]
    return f.spoil(f.rng.normal(size=(m, n))), *given


def saddle_call(f: Fuzzer, *, tails: bool) -> tuple[Any, ...]:
    m, n, k = small(f, 6), small(f, 40), 2 if f.chance(0.6) else small(f, 5)
    if not tails:
        s = f.rng.normal(size=m) + 1j * np.abs(f.rng.normal(size=m))
        return f.spoil(s), f.spoil(np.abs(f.rng.normal(size=n))), f.spoil(np.zeros(m, complex))
    cumulants = np.abs(f.rng.normal(size=(ORDERS, n)))
    chances = f.rng.dirichlet(np.ones(max(k, 1)), n)[:, :k]
    values, law = f.rng.normal(size=(n, k)), f.spoil(chances)
    if f.chance(0.3):
        values, law = f.rng.random((n, 1)), None
    scale = 10.0 ** f.rng.integers(-8, 8)
    reach = float(f.rng.choice([0.5, 1e-3, 10.0, 0.0, -1.0, np.nan, np.inf]))
    given = [f.spoil(scale * f.rng.normal(size=m)), f.spoil(f.rng.normal(size=(m, n)))]
    given += [f.spoil(cumulants), f.spoil(values), law]
    return *given, reach, f.spoil(np.zeros((m, 5))), f.spoil(np.zeros(m, np.uint8))


def left_call(f: Fuzzer) -> tuple[Any, ...]:
    n, m, rank = small(f, 40), small(f, 70), small(f, 6)
    x = f.rng.normal(0, 10.0 ** f.rng.integers(-5, 6), (n, m))
    basis = f.rng.normal(size=(n, rank))
    given = [f.spoil(one) for one in (basis, np.zeros((n, m)), *np.zeros((3, m)))]
    return f.spoil(x), *given


def series(f: Fuzzer) -> tuple[float, float, float]:
    scale, top, df = (float(one) for one in f.rng.choice([1.0, 5.0, 30.0, 0.0, np.nan, 1e300], 3))
    return scale, top, df


def finish_call(f: Fuzzer, *, gaps: bool) -> tuple[Any, ...]:
    n_x, n_y = small(f, 9), small(f, 300) if f.chance(0.2) else small(f, 9)
    outs = [np.zeros((n_x, n_y)) for _ in range(4)]
    outs[0][:] = f.rng.normal(0, 10.0 ** f.rng.integers(-3, 4), (n_x, n_y))
    if not gaps:
        terms = f.rng.normal(size=int(f.rng.choice([4, 5, 20, 64, 65, 3])))
        given = [f.rng.random(n_x), f.rng.random(n_y), terms]
        near = f.rng.normal(size=NEAR)
        ends = *series(f), f.spoil(near)
        return *[f.spoil(one) for one in (*outs, *given)], *ends
    by_row = f.chance(0.5)
    xx = f.rng.random(n_x if by_row else (n_x, n_y))
    yy = f.rng.random((n_x, n_y) if by_row else n_y)
    known = n_x if by_row else n_y
    more = xx, yy, f.rng.random(known), f.rng.normal(size=(NEAR, known))
    given = [f.spoil(one) for one in (*outs, *more, np.zeros((n_x, n_y), np.int64))]
    return *given, by_row


def losses_call(f: Fuzzer) -> tuple[Any, ...]:
    n, width, count, patterns = small(f, 30), small(f, 40), small(f, 9), small(f, 5)
    kind = f.rng.integers(0, 3, patterns).astype(np.int32)
    own = f.rng.integers(1, 6, patterns)
    taken = np.where(kind == 0, own * own, own * f.rng.integers(0, 5, patterns))
    starts = [np.concatenate([[0], np.cumsum(one)]).astype(np.int64) for one in (own, taken)]
    rows = f.rng.integers(0, max(n, 1), int(own.sum())).astype(np.int32)
    pattern = f.rng.integers(-1, max(patterns, 1), count).astype(np.int32)
    turned = f.chance(0.5)
    out = np.zeros((count, width) if turned else (width, count))
    given = out, f.rng.normal(size=(n, width)), f.rng.random(width), pattern, kind
    more = starts[0], rows, starts[1], f.rng.normal(size=int(taken.sum()))
    return *[f.spoil(one) for one in (*given, *more)], turned


def t_call(f: Fuzzer) -> tuple[Any, ...]:
    n, kinds = small(f, 600), small(f, 4)
    t = f.rng.normal(0, 10.0 ** f.rng.integers(-2, 8), n)
    table = np.abs(f.rng.normal(size=(kinds, 67)))
    which = f.rng.integers(0, max(kinds, 1), n).astype(np.int32)
    return f.spoil(t), f.spoil(which), f.spoil(table), f.spoil(np.zeros(n))


def lines_call(f: Fuzzer) -> tuple[Any, ...]:
    columns, rows = small(f, 6), small(f, 9)
    mark = 9 if f.chance(0.8) else int(f.rng.choice(MARKS))
    words = ["1", "-2.5", "1e5", ".", "NA", "", "abc", "1e", "--1", "9" * 40, "0." + "1" * 70, "+"]
    kinds = f.rng.integers(0, 3, columns).astype(np.uint8)
    cells = f.rng.choice(words[:6] if f.chance(0.6) else words, (rows, columns))
    cells[:, kinds == 0] = "s"
    cells[:, kinds == 2] = f.rng.choice(["s", "NA", '"' if f.chance(0.2) else ""])
    text = "\n".join(chr(max(1, mark) % 128).join(row) for row in cells)
    raw = np.frombuffer((text + ("\n" if f.chance(0.8) else "")).encode(), np.uint8).copy()
    if f.chance(0.2) and len(raw):
        raw[f.rng.integers(0, len(raw))] = f.rng.integers(0, 256)
    numbers = int((kinds == 1).sum())
    room = max(0, rows + int(f.rng.integers(-1, 2)))
    out, spans = np.zeros((room, numbers)), np.zeros((room, columns - numbers, 2), np.int64)
    return f.spoil(raw), mark, f.spoil(kinds), f.spoil(out), f.spoil(spans)


def runs_call(f: Fuzzer) -> tuple[Any, ...]:
    parts = ["1", "22", "\t", "\n", "1\ta\n", "2\tb\n", "\r", ","]
    text = "".join(f.rng.choice(parts, small(f, 20)))
    return f.spoil(np.frombuffer(text.encode(), np.uint8).copy()), f.number(1, 4), f.number(-1, 3)


CALLS: dict[str, Callable[[Fuzzer], tuple[Any, ...]]] = {
    "bed_dosage": lambda f: bed_call(f, what="dosage"),
    "bed_centre": lambda f: bed_call(f, what="centre"),
    "bed_missing": lambda f: bed_call(f, what="missing"),
    "bed_products": lambda f: bed_call(f, what="products"),
    "bed_squares": lambda f: bed_call(f, what="squares"),
    "bed_rows": lambda f: bed_call(f, what="rows"),
    "bed_integer_products": lambda f: bed_call(f, what="integer"),
    "integer_pack": pack_call,
    "centre": centre_call,
    "sums_at": lambda f: missing_call(f, what="at"),
    "missing_basis": lambda f: missing_call(f, what="basis"),
    "missing_sums": lambda f: missing_call(f, what="sums"),
    "missing_terms": lambda f: missing_call(f, what="terms"),
    "screen": lambda f: test_call(f, short=False),
    "quantise": lambda f: test_call(f, short=True),
    "risk_means": risk_call,
    "_saddle.tails": lambda f: saddle_call(f, tails=True),
    "log_product": lambda f: saddle_call(f, tails=False),
    "left": left_call,
    "finish": lambda f: finish_call(f, gaps=False),
    "finish_gaps": lambda f: finish_call(f, gaps=True),
    "losses": losses_call,
    "_regress.tails": t_call,
    "plain_lines": lines_call,
    "line_runs": runs_call,
}
HOMES = {"_genotype": _genotype, "_saddle": _saddle, "_regress": _regress, "_table": _table}


def kernel(name: str) -> Callable[..., Any]:
    """Return a kernel by its name, after its module's where two have the same."""
    home, _, own = name.rpartition(".")
    modules = [HOMES[home]] if home else list(HOMES.values())
    found = next(module for module in modules if hasattr(module, own))
    return getattr(found, own)  # type: ignore[no-any-return]


if __name__ == "__main__":
    # Buffers refuse strides and types as such; a processor without tiles refuses them all.
    refusals = (ValueError, OverflowError, TypeError, BufferError, IndexError, RuntimeError)
    n_calls = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    sys.exit(main(n_calls, CALLS, kernel, lambda _name: refusals))
