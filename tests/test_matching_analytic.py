"""Alleles of two studies: every relation of strand and order, by hand and by construction."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from radgen.errors import InputError
from radgen.genome import match_variants

_OTHER = {"A": "T", "T": "A", "C": "G", "G": "C"}


def _frame(rows: list[tuple], names: str = "chrom pos ref alt alt_freq") -> pl.DataFrame:
    return pl.DataFrame(rows, schema=names.split(), orient="row")


def test_every_relation_of_strand_and_order_is_named() -> None:
    left = _frame([("1", p, "A", "G", 0.2) for p in range(1, 6)])
    right = _frame(
        [("chr1", 1, "A", "G", 0.2), ("1", 2, "g", "a", 0.8), ("01"[1], 3, "T", "C", 0.25),
         ("1", 4, "C", "T", 0.8), ("1", 5, "A", "C", 0.2)],
    )  # fmt: skip
    found = match_variants(left, right)
    assert found.table["action"].to_list() == ["same", "swapped", "turned", "turned and swapped"]
    assert found.table["sign"].to_list() == [1, -1, 1, -1]
    assert found.table["frequency_gap"].to_list() == pytest.approx([0.0, 0.0, 0.05, 0.0])
    assert found.dropped.rows() == [(4, "other alleles")]
    assert "4 variants matched" in found.describe()


def test_palindromes_are_told_apart_by_frequency_or_dropped() -> None:
    left = _frame([("1", p, "A", "T", 0.2) for p in range(1, 5)])
    right = _frame(
        [("1", 1, "A", "T", 0.25), ("1", 2, "A", "T", 0.78), ("1", 3, "T", "A", 0.79),
         ("1", 4, "A", "T", 0.48)],
    )  # fmt: skip
    found = match_variants(left, right)
    # written alike but at the other frequency: the second study is on the other strand
    assert found.table["sign"].to_list() == [1, -1, -1]
    assert found.table["action"].to_list() == ["same", "turned and swapped", "swapped"]
    assert found.dropped.rows() == [(3, "palindromic, strand unknown")]
    assert match_variants(left, right, palindromic="drop").table.height == 0
    assert match_variants(left, right, palindromic="keep").table["sign"].to_list() == [1, 1, -1, 1]
    unknown = match_variants(left.drop("alt_freq"), right)
    assert unknown.dropped["reason"].unique().to_list() == ["palindromic, strand unknown"]


def test_multiallelic_sites_and_indels_match_by_their_alleles() -> None:
    left = _frame([("2", 7, "A", "C", 0.1), ("2", 7, "A", "G", 0.2), ("2", 9, "AT", "A", 0.1)])
    right = _frame([("2", 7, "A", "G", 0.2), ("2", 7, "A", "C", 0.1), ("2", 9, "A", "AT", 0.9)])
    found = match_variants(left, right)
    assert found.table.select("left", "right", "sign").rows() == [(0, 1, 1), (1, 0, 1), (2, 2, -1)]


def test_effects_return_to_themselves_after_any_recoding() -> None:
    rng = np.random.default_rng(0)
    n = 400
    ref = rng.choice(list("ACGT"), n)
    alt = np.array([rng.choice([c for c in "ACGT" if c != r]) for r in ref])
    beta, freq = rng.standard_normal(n), rng.uniform(0.05, 0.35, n)
    swap, turn = rng.random(n) < 0.5, rng.random(n) < 0.5
    a, b = np.where(swap, alt, ref), np.where(swap, ref, alt)
    a, b = (np.where(turn, [_OTHER[c] for c in s], s) for s in (a, b))
    order = rng.permutation(n)
    left = pl.DataFrame({"chrom": "1", "pos": range(n), "ref": ref, "alt": alt, "alt_freq": freq})
    right = pl.DataFrame(
        {"chrom": "1", "pos": order, "ref": a[order], "alt": b[order],
         "alt_freq": np.where(swap, 1 - freq, freq)[order]}
    )  # fmt: skip
    coded = np.where(swap, -beta, beta)[order]
    found = match_variants(left, right)
    assert found.table.height == n
    rows = found.table["right"].to_numpy()
    assert coded[rows] * found.table["sign"].to_numpy() == pytest.approx(beta)
    assert found.table["frequency_gap"].max() == pytest.approx(0.0, abs=1e-12)


def test_another_build_is_refused_and_ids_can_stand_in() -> None:
    names = [f"rs{i}" for i in range(30)]
    left = pl.DataFrame({"chrom": "1", "pos": range(30), "ref": "A", "alt": "G", "id": names})
    right = left.with_columns(pl.col("pos") + 1000)
    with pytest.raises(InputError, match="different genome builds"):
        match_variants(left, right)
    assert match_variants(left, right, by="id").table.height == 30
    with pytest.raises(InputError, match="lacks the columns"):
        match_variants(left.drop("alt"), right)
