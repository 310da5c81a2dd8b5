"""Grey levels of the PyRadiomics profile are those of `numpy.digitize`, on edges too."""

from __future__ import annotations

import numpy as np
import pytest

from radgen.features.pyradiomics.classes import _binned


@pytest.mark.parametrize("seed", range(40))
def test_levels_are_those_of_digitize(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 10 ** rng.uniform(-3, 4), int(rng.integers(1, 80)))
    if seed % 3 == 0:
        values = np.round(values)
    count = int(rng.integers(1, 40))
    edges = np.histogram_bin_edges(values, count)
    assert (edges == np.histogram(values, count)[1]).all()
    edges[-1] += 1.0
    width = (edges[-2] - edges[0]) / max(count - 1, 1)
    on_edges = np.concatenate([values, edges[:-1], np.nextafter(edges[1:-1], -np.inf)])
    assert (_binned(on_edges, edges, width) == np.digitize(on_edges, edges)).all()


@pytest.mark.parametrize("width", [0.1, 0.3, 1.0, 25.0])
def test_levels_of_a_width_are_those_of_digitize(width: float) -> None:
    values = np.concatenate([np.arange(-50, 50) * width, np.random.default_rng(1).normal(0, 9, 99)])
    start = values.min() - values.min() % width
    edges = np.arange(start, values.max() + 2.0 * width, width)
    on_edges = np.concatenate([values, edges[:-1], np.nextafter(edges[1:], -np.inf)])
    assert (_binned(on_edges, edges, width) == np.digitize(on_edges, edges)).all()
