"""Products of genotypes with weights in whole numbers, against their definition."""

from __future__ import annotations

import numpy as np
import pytest

from radgen._native import _genotype
from radgen.genome._blocks import BlockSource, WholeWeights
from radgen.io.plink import BedReader

needs_tiles = pytest.mark.skipif(
    not _genotype.integer_ready(), reason="this processor multiplies no tiles of whole numbers"
)


def digits_of(weights: np.ndarray) -> WholeWeights:
    n, k = weights.shape
    digits = np.empty(_genotype.integer_size(n, k), np.int8)
    scale, sums = np.empty(k), np.empty(k)
    _genotype.integer_pack(weights, n, digits, scale, sums)
    return WholeWeights(digits, scale, sums)


@pytest.mark.parametrize(("n", "k"), [(64, 1), (131, 17), (1000, 40)])
def test_digits_are_the_rounded_weights(n, k):
    weights = np.random.default_rng(n).standard_t(2, size=(n, k)).astype(np.float32)
    weights[:, 0] = 0.0
    found = digits_of(weights)
    tiles = found.digits.reshape(-(-k // 16), -(-n // 64), 3, 16, 16, 4).astype(np.int64)
    whole = tiles[:, :, 0] * 16384 + tiles[:, :, 1] * 128 + tiles[:, :, 2]
    # panel, tile, four samples, column, sample of four
    back = whole.transpose(1, 2, 4, 0, 3).reshape(-(-n // 64) * 64, -1)
    assert (back[n:] == 0).all()
    assert (back[:, k:] == 0).all()
    # Half a step, and what single precision loses of 22 bits.
    assert np.abs(back[:n, :k] - weights * found.scale).max() <= 0.65
    np.testing.assert_array_equal(back[:n, :k].sum(axis=0), found.sums)
    assert found.scale[0] == 0.0
    assert (back[:, 0] == 0).all()


@needs_tiles
@pytest.mark.parametrize(
    ("n", "m", "k", "kept"),
    [(64, 5, 3, "all"), (1003, 37, 20, "all"), (4001, 400, 9, "some"), (700, 50, 1100, "mixed")],
)
def test_product_is_that_of_centred_dosages(n, m, k, kept):
    rng = np.random.default_rng(n)
    bed = BedReader("", n, m, alt_last=bool(n % 2))
    raw = rng.integers(0, 256, (m, bed.stride)).astype(np.uint8)
    raw[::2] |= 0xAA  # no missing call in every other variant
    columns = None
    if kept == "some":
        columns = np.sort(rng.choice(n, n - 77, replace=False)).astype(np.int64)
    elif kept == "mixed":
        columns = rng.permutation(n)[:-5].astype(np.int64)
    source = BlockSource(0, raw, bed, columns)
    used = n if columns is None else len(columns)
    weights = rng.standard_t(3, size=(used, k))
    weights = (weights / np.sqrt((weights**2).sum(axis=0))).astype(np.float32)
    whole = WholeWeights.of(weights)
    assert whole is not None
    found = source.product(weights, weights.sum(axis=0, dtype=float), np.matmul, whole)
    g = source.centred(np.float64).g
    gone = np.repeat(np.arange(m), np.diff(found.ends, prepend=0))
    stands = g.copy()
    stands[gone, found.missing] = -found.left[gone]
    assert np.abs(found.left).max() <= 1 / 128
    expected = stands @ weights.astype(float)
    length = np.sqrt((g * g).sum(axis=1))[:, None]
    # The bound that `WholeWeights` states, for columns of length 1.
    assert (np.abs(found.product - expected) / length).max() <= 2.4e-7 * np.sqrt(used)
    plain = source.product(weights, weights.sum(axis=0, dtype=float), np.matmul)
    for name in ("n_known", "mean", "squares", "missing", "ends"):
        np.testing.assert_array_equal(getattr(found, name), getattr(plain, name))


@needs_tiles
@pytest.mark.parametrize("n", [20_000, 140_000])
def test_many_samples_are_decoded_span_by_span(n):
    # More samples than are decoded at a time; with the more, steps of a dosage do not fit.
    m, k = 3, 2
    bed = BedReader("", n, m)
    raw = np.random.default_rng(1).integers(0, 256, (m, bed.stride)).astype(np.uint8)
    weights = np.ones((n, k), np.float32)
    weights[:, 1] = -1.0
    whole = WholeWeights.of(weights)
    assert whole is not None
    source = BlockSource(0, raw, bed)
    found = source.product(weights, weights.sum(axis=0, dtype=float), np.matmul, whole)
    # Centred dosages sum to nothing, and a missing call stands as minus `left`.
    gone = np.diff(found.ends, prepend=0) * -found.left
    np.testing.assert_allclose(found.product, np.stack([gone, -gone], axis=1), atol=1e-3)
    assert (found.left == 0).all() == (n > 130_000)


@pytest.mark.parametrize("c", [1, 4, 11])
def test_basis_sums_over_missing_calls_are_their_definition(c):
    rng = np.random.default_rng(c)
    q, b, left = rng.normal(size=(50, c)), rng.normal(size=(4, c)), rng.normal(size=4)
    missing = rng.integers(0, 50, 30).astype(np.int32)
    ends = np.array([0, 7, 7, 30])
    fixed, squares = b.copy(), np.empty(4)
    _genotype.missing_basis(missing, ends, q, left, fixed, squares)
    for row, (low, high) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        own = q[missing[low:high]]
        expected = b[row] + left[row] * own.sum(axis=0)
        np.testing.assert_allclose(fixed[row], expected, atol=1e-12)
        np.testing.assert_allclose(squares[row], ((own @ expected) ** 2).sum(), atol=1e-10)


def test_shapes_that_disagree_are_refused():
    weights = np.ones((64, 2), np.float32)
    with pytest.raises(ValueError, match="disagree"):
        _genotype.integer_pack(weights, 64, np.empty(10, np.int8), np.empty(2), np.empty(2))
    if not _genotype.integer_ready():
        return
    whole = digits_of(weights)
    raw, stats, out = np.zeros((1, 16), np.uint8), np.zeros((1, 3)), np.empty((1, 2), np.float32)
    given = weights, whole.digits, whole.scale, whole.sums
    rows, left = np.array([1], np.int32), np.empty(1)
    with pytest.raises(ValueError, match="disagree"):
        _genotype.bed_integer_products(raw, 64, None, False, rows, stats, *given, left, out)


def test_few_samples_and_no_columns_stay_with_single_precision():
    assert WholeWeights.of(np.ones((63, 2), np.float32)) is None
    assert WholeWeights.of(np.ones((100, 0), np.float32)) is None


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_have_no_digits(odd):
    weights = np.ones((100, 3), np.float32)
    weights[70, 1] = odd
    digits = np.zeros(_genotype.integer_size(100, 3), np.int8)
    with pytest.raises(ValueError, match="not finite"):
        _genotype.integer_pack(weights, 100, digits, np.empty(3), np.empty(3))
