"""What a frozen model expects of its input, and how far new data are from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import chdtrc

from radgen.errors import InputError, shown
from radgen.predict.design import Block, Role, Table
from radgen.stats.multiplicity import bh

__all__ = ["BlockContract", "check_units", "drift_table", "learn_contract", "out_of_range", "pick"]

FloatArray = NDArray[np.float64]
SLACK = 0.25
"""Values may leave the training range by this share of it."""
_FEWEST = 5
_FACTORS = (
    (365.25, "days", "years"),
    (30.44, "days", "months"),
    (12.0, "months", "years"),
    (7.0, "days", "weeks"),
    (10.0, "mm", "cm"),
    (100.0, "mm²", "cm²"),
    (1000.0, "mm³", "cm³"),
)


@dataclass(frozen=True, eq=False)
class BlockContract:
    """The columns of one block as the training samples had them.

    Attributes
    ----------
    role : {"clinical", "imaging", "genomic"}
    columns, units : tuple of str (p,)
        Names in order; unit, "" = not stated.
    levels : mapping of str to tuple of str
        Values of each text column, the reference first.
    low, high, mean, sd, missing : float64 (p,)
        Range, moments and share of missing values.
    deciles, below : float64 (9, p)
        Deciles, and the share of training values up to each.
    used : bool (p,)
        Columns that selection left in the model.
    n : int
        Training samples.
    """

    role: Role
    columns: tuple[str, ...]
    units: tuple[str, ...]
    levels: Mapping[str, tuple[str, ...]]
    low: FloatArray
    high: FloatArray
    mean: FloatArray
    sd: FloatArray
    missing: FloatArray
    deciles: FloatArray
    below: FloatArray
    used: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))
    n: int = 0

    @property
    def sources(self) -> tuple[str, ...]:
        """Columns that a table must have: a text column stands for those made from it."""
        made = {f"{name}={level}": name for name, all_ in self.levels.items() for level in all_}
        return tuple(dict.fromkeys(made.get(name, name) for name in self.columns))


def learn_contract(block: Block, used: NDArray[np.bool_]) -> BlockContract:
    """Return what the training rows of a block look like."""
    values = np.where(np.isfinite(block.values), block.values, np.nan)
    p = values.shape[1]
    known = np.isfinite(values).any(axis=0)
    nan = np.full(p, np.nan)
    low, high, mean, sd = nan.copy(), nan.copy(), nan.copy(), nan.copy()
    deciles, below = np.full((9, p), np.nan), np.full((9, p), np.nan)
    some = values[:, known]
    if known.any():
        low[known], high[known] = np.nanmin(some, axis=0), np.nanmax(some, axis=0)
        mean[known], sd[known] = np.nanmean(some, axis=0), np.nanstd(some, axis=0)
        deciles[:, known] = np.nanquantile(some, np.arange(1, 10) / 10, axis=0)
        count = np.isfinite(some).sum(axis=0)
        below[:, known] = [(some <= edge).sum(axis=0) / count for edge in deciles[:, known]]
    missing = np.isnan(values).mean(axis=0)
    units = block.units or ("",) * p
    return BlockContract(
        block.role, block.columns, units, block.levels,
        low, high, mean, sd, missing, deciles, below, used, len(values),
    )  # fmt: skip


def pick(table: Table, wanted: BlockContract, name: str) -> FloatArray:
    """Return the columns of a table in the order of the model.

    Raises
    ------
    InputError
        If a column is missing, or its unit is another one.
    """
    place = {column: j for j, column in enumerate(table.columns)}
    missing = [column for column in wanted.columns if column not in place]
    if missing:
        raise InputError(
            f"Block {name!r} lacks {len(missing)} of the model's columns: {shown(missing)}."
        )
    order = [place[column] for column in wanted.columns]
    other = [
        f"{column} ({table.units[j]}, the model was trained on {unit})"
        for column, unit, j in zip(wanted.columns, wanted.units, order, strict=True)
        if unit and table.units[j] and table.units[j] != unit
    ]
    if other:
        raise InputError(f"Block {name!r}: columns in another unit: {shown(other)}. Convert them.")
    return np.asarray(table.values[:, order])


def check_units(values: FloatArray, wanted: BlockContract, name: str) -> None:
    """Refuse a block whose columns lie where the training data never were.

    Raises
    ------
    InputError
        If three quarters of the values of a column that the model uses lie on one side of the
        training range: another unit, scale or preprocessing.
    """
    told = []
    for j in np.flatnonzero(wanted.used & (wanted.high > wanted.low)):
        column = values[:, j][np.isfinite(values[:, j])]
        if len(column) < _FEWEST:
            continue
        q25, q75 = np.quantile(column, [0.25, 0.75])
        if q75 < wanted.low[j] or q25 > wanted.high[j]:
            text = f"{wanted.columns[j]}: median {np.median(column):.4g}, trained on "
            text += f"{wanted.low[j]:.4g} to {wanted.high[j]:.4g}"
            told.append(text + _guess(float(np.median(column)), float(wanted.deciles[4, j])))
    if told:
        raise InputError(
            f"Block {name!r}: {len(told)} columns lie outside of what the model was trained on "
            f"({'; '.join(told[:5])}). Another unit, scale or preprocessing? Convert them, or "
            "allow it (any_range) and read the drift table."
        )


def _guess(found: float, known: float) -> str:
    if found == 0 or known == 0 or found * known < 0:
        return ""
    ratio = found / known
    text = f" ({ratio:.3g} times the median of training"
    factor, small, large = min(_FACTORS, key=lambda f: abs(abs(np.log(ratio)) - np.log(f[0])))
    if abs(abs(np.log(ratio)) - np.log(factor)) > np.log(1.3):
        return f"{text})"
    first, second = (small, large) if ratio > 1 else (large, small)
    return f"{text}, as for {first} in place of {second})"


def out_of_range(values: FloatArray, wanted: BlockContract) -> NDArray[np.bool_]:
    """Return which values lie beyond the training range and its slack, (n, p)."""
    slack = SLACK * (wanted.high - wanted.low)
    with np.errstate(invalid="ignore"):
        far = (values < wanted.low - slack) | (values > wanted.high + slack)
    return np.asarray(far & (wanted.used & (wanted.high > wanted.low)))


def drift_table(
    parts: Mapping[str, FloatArray], contracts: Mapping[str, BlockContract]
) -> pl.DataFrame:
    """Return how each used column differs from training.

    Parameters
    ----------
    parts : mapping of block to float64 (n, p)
        New values in the order of the contract.
    contracts : mapping of block to BlockContract
        What training looked like.

    Returns
    -------
    polars.DataFrame
        ``block, column, n, mean_training, mean, shift, missing_training, missing,
        beyond_range, p_value, p_adjusted``: `shift` is in training SD; p of a chi-square test of
        the counts between training deciles, adjusted by Benjamini and Hochberg.
    """
    rows = []
    for name, values in parts.items():
        contract = contracts[name]
        far = out_of_range(values, contract)
        for j in np.flatnonzero(contract.used):
            column = values[:, j][np.isfinite(values[:, j])]
            sd = contract.sd[j]
            mean = float(column.mean()) if column.size else float("nan")
            rows.append(
                (
                    name, contract.columns[j], len(column), float(contract.mean[j]), mean,
                    float((mean - contract.mean[j]) / sd) if sd > 0 else float("nan"),
                    float(contract.missing[j]), float(np.isnan(values[:, j]).mean()),
                    float(far[:, j].mean()), _decile_test(column, contract, int(j)),
                )
            )  # fmt: skip
    names = ["block", "column", "n", "mean_training", "mean", "shift", "missing_training"]
    names += ["missing", "beyond_range", "p_value"]
    types = [pl.String, pl.String, pl.Int64, *[pl.Float64] * 7]
    frame = pl.DataFrame(rows, schema=dict(zip(names, types, strict=True)), orient="row")
    return frame.with_columns(p_adjusted=pl.Series(bh(frame["p_value"].to_numpy())))


def _decile_test(column: FloatArray, contract: BlockContract, j: int) -> float:
    trained = contract.n * (1 - contract.missing[j])
    edges, place = np.unique(contract.deciles[:, j], return_index=True)
    if column.size < _FEWEST or trained < 20 or not np.isfinite(edges).all():
        return float("nan")
    share = np.diff(np.concatenate(([0.0], contract.below[place, j], [1.0])))
    seen = np.bincount(np.searchsorted(edges, column, side="left"), minlength=edges.size + 1)
    share = np.where(share > 0, share, 0.5 / trained)
    share, seen = share[seen + share * trained >= 1], seen[seen + share * trained >= 1]
    if share.size < 2:
        return float("nan")
    share = share / share.sum()
    expected = column.size * share
    statistic = float(((seen - expected) ** 2 / expected).sum()) / (1 + column.size / trained)
    return float(chdtrc(share.size - 1, statistic))
