"""The compiled passes of block regressions refuse what they cannot read."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from radgen._core.recycled import Recycled
from radgen._native import _regress


def _losses(**changed: np.ndarray) -> None:
    given = {
        "out": np.empty((2, 1)),
        "left": np.ones((3, 2)),
        "whole": np.full(2, 3.0),
        "pattern": np.zeros(1, dtype=np.int32),
        "kind": np.zeros(1, dtype=np.int32),
        "row_start": np.array([0, 1], dtype=np.int64),
        "rows": np.array([2], dtype=np.int32),
        "weight_start": np.array([0, 1], dtype=np.int64),
        "weights": np.array([2.0]),
    } | changed
    _regress.losses(*given.values(), False)
    assert given["out"].tolist() == [[-1.0], [-1.0]]


def test_losses_are_a_quadratic_form() -> None:
    _losses()


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("rows", np.array([3], dtype=np.int32), "row that is not there"),
        ("rows", np.array([-1], dtype=np.int32), "row that is not there"),
        ("pattern", np.array([1], dtype=np.int32), "pattern is named"),
        ("pattern", np.array([-2], dtype=np.int32), "pattern is named"),
        ("kind", np.array([3], dtype=np.int32), "other rows or weights"),
        ("row_start", np.array([0, 2], dtype=np.int64), "other rows or weights"),
        ("weight_start", np.array([0, 2], dtype=np.int64), "other rows or weights"),
        ("row_start", np.array([0], dtype=np.int64), "a value more"),
        ("out", np.empty((2, 2)), "out holds"),
        ("left", np.ones((2, 2))[:1, :1], "left holds"),
    ],
)
def test_losses_refuse(name: str, values: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _losses(**{name: values})


def test_residuals_refuse_other_layouts_and_tell_of_gaps() -> None:
    x, out, one = np.ones((3, 2)), np.empty((3, 2)), [np.empty(2) for _ in range(3)]
    empty = np.empty((3, 0))
    assert _regress.left(x, empty, out, *one)
    x[1, 1] = np.nan
    assert not _regress.left(x, empty, out, *one)
    for bad in (x.T, x.astype(np.float32), x[0], x[:, ::2][:, [0, 0]].T):
        with pytest.raises(ValueError, match=r"contiguous|holds"):
            _regress.left(bad, empty, out, *one)


def test_gaps_refuse_other_sizes() -> None:
    pair = [np.ones((2, 3)) for _ in range(4)]
    near, far = np.zeros((21, 3)), np.empty(6, dtype=np.int64)
    rest = (np.ones((2, 3)), np.ones(3), np.ones(3))
    assert _regress.finish_gaps(*pair, *rest, near, far, False)[0] == 6
    with pytest.raises(ValueError, match="near holds"):
        _regress.finish_gaps(*pair, *rest, near[:20], far, False)
    with pytest.raises(ValueError, match="far holds"):
        _regress.finish_gaps(*pair, *rest, near, far[:5], False)
    with pytest.raises(ValueError, match="sums of squares"):
        _regress.finish_gaps(*pair, np.ones(2), np.ones(3), np.ones(3), near, far, False)


def test_memory_is_given_out_again_when_nobody_holds_it() -> None:
    take = Recycled(2)
    first = take((2, 3))
    place = first.ctypes.data
    row = first[1]
    del first
    assert take((2, 3)).ctypes.data != place
    del row
    assert take((3, 2)).ctypes.data == place
    held = [take((2, 3)) for _ in range(3)]
    assert len({array.ctypes.data for array in held}) == 3


def test_memory_fits_other_sizes_and_types() -> None:
    take = Recycled(1)
    first = take((100,))
    place = first.ctypes.data
    del first
    singles = take((11, 13), np.float32)
    assert (singles.ctypes.data, singles.shape, singles.dtype) == (place, (11, 13), np.float32)
    assert singles.flags.c_contiguous
    del singles
    assert take((20,)).ctypes.data != place  # too little of it would be used
    large = take((300,))
    held = large.ctypes.data
    del large
    assert take((280,)).ctypes.data == held  # what was too small gave way
    again = pickle.loads(pickle.dumps(take))
    assert again.keep == 1
    assert again((3,)).shape == (3,)
