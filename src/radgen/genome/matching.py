"""Bring the variants of two studies onto the same alleles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from radgen._core.naming import require_choice
from radgen.errors import InputError, shown
from radgen.types import FrameLike, to_polars

__all__ = ["VariantMatch", "match_variants"]

_TURN = str.maketrans("ACGT", "TGCA")
_PALINDROMES = ("AT", "TA", "CG", "GC")
_FEW = 20


@dataclass(frozen=True, eq=False, slots=True)
class VariantMatch:
    """Variants that stand in both tables, and what must be done to the second one.

    Attributes
    ----------
    table : polars.DataFrame
        ``left, right`` (row numbers), ``action`` ("same", "swapped", "turned" to the other
        strand, "turned and swapped"), ``sign`` (+1 or -1: what the second table's effect per ALT
        allele is multiplied with to be that of the first table's ALT allele), ``frequency_gap``
        (absolute difference of the ALT frequencies after that; NaN where one is unknown).
    dropped : polars.DataFrame
        ``left, reason``: rows of the first table without a partner, and why.
    """

    table: pl.DataFrame
    dropped: pl.DataFrame

    def describe(self) -> str:
        """Return one line that counts actions and losses."""
        actions = self.table["action"].value_counts(sort=True)
        reasons = self.dropped["reason"].value_counts(sort=True)
        parts = [f"{n:,} {what}" for what, n in actions.iter_rows()]
        lost = [f"{n:,} {why}" for why, n in reasons.iter_rows()]
        return (
            f"{self.table.height:,} variants matched ({', '.join(parts) or 'none'}); "
            f"left out: {', '.join(lost) or 'none'}"
        )


def match_variants(
    left: FrameLike,
    right: FrameLike,
    *,
    by: Literal["position", "id"] = "position",
    palindromic: Literal["frequency", "drop", "keep"] = "frequency",
    max_palindromic_maf: float = 0.4,
) -> VariantMatch:
    """Return which rows of two variant tables are the same variant, and how alleles relate.

    Parameters
    ----------
    left, right : data frame
        Columns chrom, pos, ref, alt (and id where `by` is "id", in which case chrom and pos may
        be absent); ``alt_freq`` where known. Effects count ALT alleles.
    by : {"position", "id"}, default "position"
        What makes two rows candidates; alleles must fit in any case.
    palindromic : {"frequency", "drop", "keep"}, default "frequency"
        A/T and C/G variants read the same on both strands. "frequency" tells the strands apart
        by the ALT frequencies where both are known and clear of 0.5, and drops the others; "keep"
        trusts that both tables are on the same strand.
    max_palindromic_maf : float, default 0.4
        Minor allele frequency above which a frequency cannot tell the strands apart.

    Returns
    -------
    VariantMatch
        Each row of either table is used at most once; where several fit, equal alleles come
        before swapped ones, and the same strand before the other.

    Raises
    ------
    InputError
        If a column is missing, or ids agree where positions do not (the builds differ).

    Notes
    -----
    Only single letters are turned to the other strand base by base in order reversed; an
    insertion or deletion is matched by its alleles as they stand.

    Examples
    --------
    >>> left = pl.DataFrame({"chrom": ["1", "1"], "pos": [5, 9], "ref": ["A", "C"],
    ...                      "alt": ["G", "T"]})
    >>> right = pl.DataFrame({"chrom": ["chr1", "1"], "pos": [5, 9], "ref": ["G", "G"],
    ...                       "alt": ["A", "A"]})
    >>> match_variants(left, right).table.select("action", "sign").rows()
    [('swapped', -1), ('turned', 1)]
    """
    require_choice(by, ("position", "id"), what="key of variants")
    require_choice(palindromic, ("frequency", "drop", "keep"), what="rule for palindromes")
    a, b = _prepared(left, by, "first"), _prepared(right, by, "second")
    if by == "position":
        _check_builds(a, b)
    keys = ["chrom", "pos"] if by == "position" else ["id"]
    pairs = _candidates(a, b, keys)
    pairs = _strand_of_palindromes(pairs, palindromic, max_palindromic_maf)
    chosen = (
        pairs.filter(pl.col("rank") < 4)
        .sort("rank", "left", "right")
        .unique("left", keep="first", maintain_order=True)
        .unique("right", keep="first", maintain_order=True)
        .sort("left")
    )
    aligned = pl.when(pl.col("sign") < 0).then(1 - pl.col("f_right")).otherwise(pl.col("f_right"))
    table = chosen.select(
        "left",
        "right",
        "action",
        "sign",
        (pl.col("f_left") - aligned).abs().alias("frequency_gap"),
    )
    return VariantMatch(table, _losses(a, pairs, table))


def _prepared(table: FrameLike, by: str, which: str) -> pl.DataFrame:
    frame = to_polars(table, what=f"{which} variant table")
    needed = ["ref", "alt", *(["chrom", "pos"] if by == "position" else ["id"])]
    lacking = [name for name in needed if name not in frame.columns]
    if lacking:
        raise InputError(f"The {which} variant table lacks the columns {shown(lacking)}.")
    text = pl.col("ref", "alt").cast(pl.String).str.strip_chars().str.to_uppercase()
    columns = [text]
    if "chrom" in frame.columns and "pos" in frame.columns:
        name = pl.col("chrom").cast(pl.String).str.replace("(?i)^chr", "").str.to_uppercase()
        name = name.replace({"23": "X", "24": "Y", "25": "XY", "26": "MT", "M": "MT"})
        columns += [name, pl.col("pos").cast(pl.Int64, strict=False)]
    if "id" in frame.columns:
        columns.append(pl.col("id").cast(pl.String))
    known = "alt_freq" in frame.columns
    frequency = pl.col("alt_freq").cast(pl.Float64) if known else pl.lit(None, pl.Float64)
    return frame.select(*columns, frequency.fill_null(float("nan")).alias("f")).with_row_index(
        "row"
    )


def _check_builds(a: pl.DataFrame, b: pl.DataFrame) -> None:
    """Refuse tables that name the same variants at other places."""
    if "id" not in a.columns or "id" not in b.columns:
        return
    named = pl.col("id").str.starts_with("rs")
    both = a.filter(named).join(b.filter(named), on="id", suffix="_right")
    if both.height < _FEW:
        return
    same = both.filter(
        (pl.col("chrom") == pl.col("chrom_right")) & (pl.col("pos") == pl.col("pos_right"))
    ).height
    if same < both.height / 2:
        moved = both.filter(pl.col("pos") != pl.col("pos_right")).head(3)
        raise InputError(
            f"{both.height:,} variants have the same id in both tables and {same:,} of them the "
            f"same position ({shown(moved['id'].to_list())} have not): the tables are on "
            "different genome builds. Lift one over, or match by id."
        )


def _candidates(a: pl.DataFrame, b: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    pairs = a.join(b.select(*keys, "row", "ref", "alt", "f"), on=keys, suffix="_right")
    ref, alt = (pairs[name].to_numpy() for name in ("ref", "alt"))
    other = [pairs[name].to_numpy() for name in ("ref_right", "alt_right")]
    turned = [np.array([_other_strand(text) for text in allele], dtype=object) for allele in other]
    fits = [
        (ref == other[0]) & (alt == other[1]),
        (ref == other[1]) & (alt == other[0]),
        (ref == turned[0]) & (alt == turned[1]),
        (ref == turned[1]) & (alt == turned[0]),
    ]
    rank = np.select([np.asarray(fit, bool) for fit in fits], [0, 1, 2, 3], 4)
    letters = (ref + alt).astype(str) if len(ref) else np.array([], str)
    return pl.DataFrame(
        {
            "left": pairs["row"],
            "right": pairs["row_right"],
            "rank": rank,
            "sign": np.where(np.isin(rank, (1, 3)), -1, 1),
            "palindrome": np.isin(letters, _PALINDROMES),
            "f_left": pairs["f"],
            "f_right": pairs["f_right"],
        }
    ).with_columns(_action(pl.col("rank")))


def _action(rank: pl.Expr) -> pl.Expr:
    names = {0: "same", 1: "swapped", 2: "turned", 3: "turned and swapped", 4: ""}
    return rank.replace_strict(names, return_dtype=pl.String).alias("action")


def _strand_of_palindromes(pairs: pl.DataFrame, rule: str, most: float) -> pl.DataFrame:
    """Settle the strand of A/T and C/G variants; rank 5 = it cannot be known."""
    if rule == "keep":
        return pairs
    here = pl.col("palindrome") & (pl.col("rank") < 4)
    if rule == "drop":
        return pairs.with_columns(pl.when(here).then(5).otherwise(pl.col("rank")).alias("rank"))

    def clear(name: str) -> pl.Expr:
        return pl.min_horizontal(name, 1 - pl.col(name)) <= most

    known = clear("f_left") & clear("f_right")
    as_written = pl.when(pl.col("rank") == 1).then(1 - pl.col("f_right")).otherwise("f_right")
    agrees = (pl.col("f_left") < 0.5) == (as_written < 0.5)
    settled = pl.when(agrees).then(pl.col("rank")).otherwise(3 - pl.col("rank"))
    rank = pl.when(here).then(pl.when(known).then(settled).otherwise(5)).otherwise(pl.col("rank"))
    return (
        pairs.with_columns(rank.alias("rank"))
        .with_columns(
            pl.when(pl.col("rank").is_in([1, 3])).then(-1).otherwise(1).alias("sign"),
            pl.when(pl.col("rank") < 4)
            .then(_action(pl.col("rank").clip(0, 4)))
            .otherwise(pl.lit(""))
            .alias("action"),
        )
    )  # fmt: skip


def _losses(a: pl.DataFrame, pairs: pl.DataFrame, table: pl.DataFrame) -> pl.DataFrame:
    lost = a.select("row").filter(~pl.col("row").is_in(table["left"].implode()))
    best = pairs.group_by("left").agg(
        pl.col("rank").min().alias("least"), (pl.col("rank") == 5).any().alias("unsettled")
    )
    reason = (
        pl.when(pl.col("least").is_null())
        .then(pl.lit("absent from the second table"))
        .when(pl.col("unsettled"))
        .then(pl.lit("palindromic, strand unknown"))
        .when(pl.col("least") >= 4)
        .then(pl.lit("other alleles"))
        .otherwise(pl.lit("its partner matched another row"))
    )
    return (
        lost.join(best, left_on="row", right_on="left", how="left", maintain_order="left")
        .select(pl.col("row").alias("left"), reason.alias("reason"))
    )  # fmt: skip


def _other_strand(allele: str) -> str:
    """Return an allele as read on the other strand; one that is no DNA text stays unmatched."""
    return allele.translate(_TURN)[::-1] if set(allele) <= set("ACGT") else "?"
