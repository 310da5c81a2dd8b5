"""From the long table of features to the phenotype matrix."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
import polars as pl

from radgen._core.naming import require_choice
from radgen.errors import InputError, shown
from radgen.types import PhenotypeTable, to_polars
from radgen.types._frame import FrameLike

__all__ = ["pair_differences", "to_phenotypes", "to_wide"]

_KEYS = ("region", "filter", "family", "feature", "aggregation", "ibsi_code", "unit")
_NEEDED = ("sample", *_KEYS, "value", "status", "reason")


def _checked(long: FrameLike) -> pl.DataFrame:
    frame = to_polars(long, what="long feature table")
    missing = [name for name in _NEEDED if name not in frame.columns]
    if missing:
        raise InputError(
            f"The long feature table lacks the columns {shown(missing)}. "
            "Pass the table that extract or extract_cohort returned."
        )
    return frame


def _named(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the distinct features with a unique name each, in the order of the table."""
    specs = frame.filter(pl.col("feature") != "").unique(
        subset=list(_KEYS[:5]), keep="first", maintain_order=True
    )
    n_regions = specs["region"].n_unique()
    names = []
    for row in specs.select(_KEYS).iter_rows(named=True):
        parts = [row["filter"], row["family"], row["feature"]]
        if n_regions > 1 or row["region"] not in ("", "region"):
            parts.insert(0, row["region"])
        if row["aggregation"]:
            parts.append(row["aggregation"])
        names.append("|".join(parts))
    return specs.with_columns(pl.Series("name", names, dtype=pl.String))


def to_phenotypes(long: FrameLike) -> PhenotypeTable:
    """Return the phenotype matrix of a long feature table: a row a sample.

    Parameters
    ----------
    long : data frame
        As returned by `extract` or `extract_cohort`. Rows without a feature name stand for a
        scan that failed as a whole.

    Returns
    -------
    PhenotypeTable
        A column per region, filter, feature and aggregation, named
        ``region|filter|family|feature|aggregation`` (blank parts left out). Values that are
        undefined, failed or missing are NaN, and `status` tells why.

    Raises
    ------
    InputError
        If columns are missing, or a sample has two values of one feature.
    """
    frame = _checked(long)
    samples = frame["sample"].unique(maintain_order=True).to_list()
    specs = _named(frame)
    rows = frame.filter(pl.col("feature") != "").join(
        specs.select(*_KEYS[:5], "name"), on=list(_KEYS[:5]), how="left"
    )
    twice = rows.filter(rows.select("sample", "name").is_duplicated())
    if twice.height:
        raise InputError(
            f"{twice.height} values share sample and feature, of the samples "
            f"{shown(twice['sample'].unique(maintain_order=True).to_list())}. "
            "Give each scan its own sample id, or each mask its own region."
        )
    row_of = {sample: k for k, sample in enumerate(samples)}
    column_of = {name: k for k, name in enumerate(specs["name"].to_list())}
    values = np.full((len(samples), specs.height), np.nan)
    at = [row_of[item] for item in rows["sample"].to_list()]
    to = [column_of[item] for item in rows["name"].to_list()]
    values[at, to] = rows["value"].to_numpy()
    wrong = rows.filter(pl.col("status") != "ok").select(
        "sample", pl.col("name").alias("phenotype"), "status", "reason"
    )
    whole = frame.filter((pl.col("feature") == "") & (pl.col("status") != "ok")).select(
        "sample", pl.lit("").alias("phenotype"), "status", "reason"
    )
    columns = specs.select(
        "name",
        "region",
        pl.lit("").alias("image"),
        "filter",
        "family",
        "feature",
        "aggregation",
        "ibsi_code",
        "unit",
    )
    return PhenotypeTable(tuple(samples), values, columns, pl.concat([whole, wrong]))


def to_wide(long: FrameLike) -> pl.DataFrame:
    """Return a table with a row a sample and a column a feature, named as phenotypes are."""
    return to_phenotypes(long).to_frame()


def pair_differences(
    long: FrameLike,
    pairs: Iterable[tuple[str, str]],
    *,
    method: Literal["difference", "ratio", "log ratio"] = "difference",
) -> pl.DataFrame:
    """Return features of pairs of regions of one scan: first against second.

    Parameters
    ----------
    long : data frame
        As returned by `extract` or `extract_cohort`.
    pairs : iterable of (str, str)
        Names of regions, for example ("posterior", "anterior") or ("tumour", "rim").
    method : {"difference", "ratio", "log ratio"}
        First minus second, first over second, or the natural logarithm of that.

    Returns
    -------
    polars.DataFrame
        A long table whose regions are named "first - second", "first / second" or
        "log first / second". A value is NaN with a reason where a side is not ok, the second
        is 0, or (log ratio) the ratio is not positive.

    Raises
    ------
    InputError
        If a region does not occur, or the method is unknown.
    """
    require_choice(method, ("difference", "ratio", "log ratio"), what="comparison of regions")
    frame = _checked(long)
    known = frame["region"].unique().to_list()
    keys = ["sample", "filter", "family", "feature", "aggregation"]
    tables = []
    for first, second in pairs:
        for name in (first, second):
            require_choice(name, known, what="region")
        a = frame.filter((pl.col("region") == first) & (pl.col("feature") != ""))
        b = frame.filter((pl.col("region") == second) & (pl.col("feature") != ""))
        both = a.join(b.select(*keys, "value", "status"), on=keys, how="inner", suffix="_2")
        tables.append(_compared(both, first, second, method).select(frame.columns))
    return pl.concat(tables)


def _compared(both: pl.DataFrame, first: str, second: str, method: str) -> pl.DataFrame:
    x, y = both["value"].to_numpy(), both["value_2"].to_numpy()
    good = ((both["status"] == "ok") & (both["status_2"] == "ok")).to_numpy()
    reason = np.where(good, "", "undefined: the feature of a region of the pair is not ok")
    out = np.full(x.size, np.nan)
    if method == "difference":
        out[good] = (x - y)[good]
    else:
        fit = good & (y != 0)
        reason[good & ~fit] = "undefined: the second region has the value 0"
        out[fit] = x[fit] / y[fit]
        if method == "log ratio":
            low = fit & ~(out > 0)
            reason[low] = "undefined: the ratio is not positive"
            out[low] = np.nan
            out[fit & ~low] = np.log(out[fit & ~low])
    sign = {"difference": "{} - {}", "ratio": "{} / {}", "log ratio": "log {} / {}"}[method]
    unit = pl.col("unit") if method == "difference" else pl.lit("")
    return both.with_columns(
        pl.lit(sign.format(first, second)).alias("region"),
        pl.Series("value", out),
        unit.alias("unit"),
        pl.Series("status", np.where(np.isnan(out), "undefined", "ok").tolist()),
        pl.Series("reason", reason.tolist()),
    )
