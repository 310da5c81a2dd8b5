"""Tests of scans, cleaned and put beside LD scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.errors import InputError, shown
from radgen.io.ld_score_files import LdScores
from radgen.io.summary_statistics import SUMMARY_COLUMNS, standard_summary
from radgen.types import FrameLike, to_polars

__all__ = ["Cleaning", "Scan", "join_scores", "scans_of", "scores_of", "signs"]

Array = NDArray[np.float64]
_BASES = {"A": "T", "T": "A", "C": "G", "G": "C"}
_COMMON = 0.05
_LEAST_N = 1.5


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What a variant must have: `min_maf` and `min_info` count where a table has those columns."""

    min_maf: float = 0.01
    min_info: float = 0.9


@dataclass(frozen=True, eq=False, slots=True)
class Scan:
    """The tests of one trait that have an LD score, in the order of the scores.

    Attributes
    ----------
    table : polars.DataFrame
        row (of the scores), ref, alt, z, n.
    lost : dict of str to int
        How many variants were left out, by reason.
    """

    name: str
    table: pl.DataFrame
    lost: dict[str, int]

    def describe(self) -> str:
        """Return one line that counts variants."""
        gone = ", ".join(f"{n:,} {why}" for why, n in self.lost.items() if n)
        return f"{self.name}: {self.table.height:,} variants used; left out: {gone or 'none'}."


def scores_of(scores: LdScores | FrameLike) -> LdScores:
    """Return LD scores of a table of `radgen.genome.ld_scores`, or of files as they are.

    Raises
    ------
    InputError
        If a column is missing or a variant stands twice.
    """
    if isinstance(scores, LdScores):
        return scores
    table = to_polars(scores, what="table of LD scores")
    missing = [name for name in ("chrom", "pos", "id", "l2") if name not in table.columns]
    if missing:
        raise InputError(f"The table of LD scores lacks the columns {shown(missing)}.")
    if table["id"].is_duplicated().any():
        raise InputError("A variant stands twice in the table of LD scores.")
    common = float("nan")
    if "maf" in table.columns:
        common = float(table.filter(pl.col("maf") > _COMMON).height)
    return LdScores(table, float(table.height), common)


def scans_of(scans: Mapping[str, Any] | FrameLike) -> dict[str, pl.DataFrame]:
    """Return one standard table a trait.

    Parameters
    ----------
    scans : mapping of str to data frame, or data frame
        Tables in the columns that `standard_summary` knows. A table with a column phenotype
        holds several traits, called by that name.

    Raises
    ------
    InputError
        If there is no test, or a trait stands in two tables.
    """
    tables = scans if isinstance(scans, Mapping) else {"trait": scans}
    out: dict[str, pl.DataFrame] = {}
    for name, table in tables.items():
        frame = to_polars(table, what=f"scan {name!r}")
        if list(frame.columns) != list(SUMMARY_COLUMNS):
            frame = standard_summary(frame)
        parts = frame.partition_by("phenotype", as_dict=True, maintain_order=True)
        for (phenotype,), part in parts.items():
            label = str(phenotype) if phenotype is not None else name
            if label in out:
                raise InputError(f"Trait {label!r} stands in two tables: rename one of them.")
            out[label] = part
    if not out:
        raise InputError("There is no scan.")
    return out


def join_scores(
    name: str, frame: pl.DataFrame, scores: pl.DataFrame, rule: Cleaning, by: str
) -> tuple[Scan, str]:
    """Return the tests of a trait that are fit for the regression, and the key that matched them.

    Raises
    ------
    InputError
        If no variant is left.
    """
    lost: dict[str, int] = {}

    def keep(what: pl.DataFrame, condition: pl.Expr, why: str) -> pl.DataFrame:
        left = what.filter(condition)
        lost[why] = what.height - left.height
        return left

    good = keep(frame, pl.col("z").is_finite() & (pl.col("n") > 0), "without a test")
    letters = pl.col("ref").is_in(list(_BASES)) & pl.col("alt").is_in(list(_BASES))
    paired = pl.col("ref").replace(_BASES) == pl.col("alt")
    fit = letters & ~paired & (pl.col("ref") != pl.col("alt"))
    good = keep(good, fit.fill_null(False), "no SNP, or of unknown strand (A/T, C/G)")
    maf = pl.min_horizontal("alt_freq", 1.0 - pl.col("alt_freq"))
    good = keep(good, (maf >= rule.min_maf).fill_null(True), f"MAF below {rule.min_maf:g}")
    good = keep(
        good, (pl.col("info") >= rule.min_info).fill_null(True), f"INFO below {rule.min_info:g}"
    )
    if good.height:
        least = float(good["n"].quantile(0.9, "linear") or 0.0) / _LEAST_N
        good = keep(good, pl.col("n") >= least, "with few samples")
    place = scores.select("id", "chrom", "pos").with_row_index("row")
    keys = {"id": ["id"], "position": ["chrom", "pos"]}
    if by == "auto":
        sizes = {
            key: good.select(cols).join(place, on=cols, how="semi").height
            for key, cols in keys.items()
        }
        by = max(sizes, key=lambda key: sizes[key])
    cols = keys[by]
    good = keep(good, ~pl.struct(cols).is_duplicated(), "named twice")
    place = place.filter(~pl.struct(cols).is_duplicated())
    joined = good.join(place.select("row", *cols), on=cols).sort("row")
    lost["without an LD score"] = good.height - joined.height
    scan = Scan(name, joined.select("row", "ref", "alt", "z", "n"), lost)
    if not joined.height:
        raise InputError(f"no variant is left. {scan.describe()}")
    return scan, by


def signs(pair: pl.DataFrame) -> Array:
    """Return +1 or -1 for tests of the same or the other allele, 0 where alleles do not fit.

    Parameters
    ----------
    pair : polars.DataFrame
        ref, alt, ref_right, alt_right: single bases, none complementary to its partner.
    """
    ref, alt = pl.col("ref"), pl.col("alt")

    def fits(one: str, two: str) -> pl.Expr:
        turned = (ref == pl.col(one).replace(_BASES)) & (alt == pl.col(two).replace(_BASES))
        return ((ref == pl.col(one)) & (alt == pl.col(two))) | turned

    sign = (
        pl.when(fits("ref_right", "alt_right"))
        .then(1.0)
        .when(fits("alt_right", "ref_right"))
        .then(-1.0)
        .otherwise(0.0)
    )
    return pair.select(sign.alias("sign"))["sign"].to_numpy()
