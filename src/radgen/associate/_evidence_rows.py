"""Numbers of evidence across layers: dependence, combination, agreement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import rankdata

from radgen.stats.combine_rows import (
    cauchy_rows,
    fisher_rows,
    folded_covariance,
    harmonic_rows,
    joint_rows,
    log_covariance,
    partial_conjunction,
    stouffer_rows,
)
from radgen.stats.multiplicity import bh, bonferroni
from radgen.stats.tail import from_log10p, log10p_to_z
from radgen.types import Covariates, OmicsTable

__all__ = ["combined", "cube", "dependence", "evidence_frame", "joined"]

Array = NDArray[np.float64]

_LEVEL = 0.05


def cube(frame: pl.DataFrame, names: Sequence[str]) -> tuple[list[str], list[str], Array, Array]:
    """Return genes, phenotypes, and log10 p and signed z (genes, phenotypes, layers)."""
    rows = frame.select(
        pl.col("omics").cast(pl.String), pl.col("phenotype").cast(pl.String),
        pl.col("layer").cast(pl.String), "log10p", "effect",
    )  # fmt: skip
    shared = rows.group_by("omics").agg(pl.col("layer").n_unique()).filter(pl.col("layer") > 1)
    genes = sorted(shared["omics"].to_list())
    traits = rows["phenotype"].unique(maintain_order=True).to_list()
    rows = rows.filter(pl.col("omics").is_in(genes))
    at = [
        rows[column].replace_strict(list(order), range(len(order)), return_dtype=pl.Int64)
        for column, order in (("omics", genes), ("phenotype", traits), ("layer", list(names)))
    ]
    place = tuple(column.to_numpy() for column in at) if rows.height else ([], [], [])
    log10p = np.full((len(genes), len(traits), len(names)), np.nan)
    effect = log10p.copy()
    log10p[place] = rows["log10p"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    effect[place] = rows["effect"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    # A test without direction (several classes) has evidence and no sign.
    z = log10p_to_z(log10p) * np.sign(effect)
    return genes, traits, log10p, z


def dependence(
    genes: Sequence[str],
    layers: Sequence[OmicsTable],
    samples: Sequence[str],
    covariates: Covariates | None,
    method: str,
    *,
    ranked: bool,
) -> Array:
    """Return correlations of statistics, or covariances of -2 log p, (genes, layers, layers)."""
    rows = list(samples)
    if covariates is not None:
        known = set(covariates.samples)
        rows = [name for name in rows if name in known]
    columns = [_residuals(genes, table, rows, covariates, ranked=ranked) for table in layers]
    found = np.full((len(genes), len(layers), len(layers)), np.nan)
    for a in range(len(layers)):
        found[:, a, a] = 4.0 if method == "empirical_brown" else 1.0
        for b in range(a):
            pair = _pairwise(columns[a], columns[b], folded=method == "empirical_brown")
            found[:, a, b] = found[:, b, a] = pair
    return found


def _residuals(
    genes: Sequence[str],
    table: OmicsTable,
    rows: Sequence[str],
    covariates: Covariates | None,
    *,
    ranked: bool,
) -> Array:
    """Return a layer's values (samples, genes) less what covariates explain; NaN = missing."""
    row = {name: place for place, name in enumerate(table.samples)}
    column = {name: place for place, name in enumerate(table.features)}
    values = np.full((len(rows), len(genes)), np.nan)
    own = [(k, row[name]) for k, name in enumerate(rows) if name in row]
    shared = [(k, column[name]) for k, name in enumerate(genes) if name in column]
    if own and shared:
        to, source = np.array(own).T
        wide, narrow = np.array(shared).T
        values[np.ix_(to, wide)] = table.values[np.ix_(source, narrow)]
    design = np.ones((len(rows), 1))
    if covariates is not None:
        at = {name: place for place, name in enumerate(covariates.samples)}
        design = np.column_stack(
            [design, covariates.values[[at[name] for name in rows]].astype(np.float64)]
        )
    whole = np.isfinite(design).all(axis=1)
    values[~whole] = np.nan
    out = np.full_like(values, np.nan)
    present = np.isfinite(values)
    # Genes measured in the same samples share one regression.
    patterns, which = np.unique(present.T, axis=0, return_inverse=True)
    for k, pattern in enumerate(patterns):
        members = np.flatnonzero(np.ravel(which) == k)
        if pattern.sum() < 3:
            continue
        y = values[np.ix_(pattern, members)]
        y = rankdata(y, axis=0) if ranked else y
        basis, _ = np.linalg.qr(design[pattern])
        out[np.ix_(pattern, members)] = y - basis @ (basis.T @ y)
    return out


def _pairwise(left: Array, right: Array, *, folded: bool) -> Array:
    """Return the dependence of two layers' statistics, gene by gene."""
    both = np.isfinite(left) & np.isfinite(right)
    n_left, n_right = (np.isfinite(x).sum(axis=0) for x in (left, right))
    n = both.sum(axis=0)
    # Samples of one layer alone make its statistic independent of the other's.
    overlap = n / np.sqrt(np.maximum(n_left * n_right, 1.0))
    if folded:
        out = np.zeros(left.shape[1])
        for j in np.flatnonzero(n >= 3):
            rows = both[:, j]
            pair = np.column_stack([left[rows, j], right[rows, j]])
            out[j] = folded_covariance(pair)[0, 1] * overlap[j] ** 2
        return out
    x, y = np.where(both, left, 0.0), np.where(both, right, 0.0)
    count = np.maximum(n, 1)
    cross = (x * y).sum(axis=0) - x.sum(axis=0) * y.sum(axis=0) / count
    spread = [(v * v).sum(axis=0) - v.sum(axis=0) ** 2 / count for v in (x, y)]
    norm = np.sqrt(np.maximum(spread[0] * spread[1], 0.0))
    found = np.where((n >= 3) & (norm > 0), cross / np.where(norm > 0, norm, 1.0), 0.0)
    return np.clip(found, -1, 1) * overlap


def combined(log10p: Array, z: Array, matrix: Array | None, turn: Array, method: str) -> Array:
    """Return log10 of the combined p (genes, phenotypes)."""
    n_genes, n_traits, n_layers = log10p.shape
    rows = log10p.reshape(-1, n_layers)
    wide = None
    if matrix is not None:
        wide = np.repeat(matrix, n_traits, axis=0)
    if method == "cauchy":
        out = cauchy_rows(rows)
    elif method == "harmonic":
        out = harmonic_rows(rows)
    elif method == "fisher":
        out = fisher_rows(rows)
    elif method == "brown":
        assert wide is not None
        out = fisher_rows(rows, log_covariance(wide))
    elif method == "joint":
        assert wide is not None
        # A test without a sign has no place in the correlation matrix.
        out = joint_rows(z.reshape(-1, n_layers), wide)
    elif method == "empirical_brown":
        out = fisher_rows(rows, wide)
    else:
        assert wide is not None
        turned = np.where(turn == 0, np.nan, z * turn).reshape(-1, n_layers)
        _, out = stouffer_rows(turned, wide * np.outer(turn, turn))
    return np.asarray(out).reshape(n_genes, n_traits)


def evidence_frame(  # noqa: PLR0917
    genes: Sequence[str],
    traits: Sequence[str],
    names: Sequence[str],
    z: Array,
    log10p: Array,
    joint: Array,
    turn: Array,
) -> pl.DataFrame:
    """Return the table of evidence, smallest p first."""
    flat = z.reshape(-1, len(names))
    tests = log10p.reshape(flat.shape)
    direction, agree, oppose = _agreement(flat, turn)
    log = joint.ravel()
    two = partial_conjunction(np.where(np.isnan(log)[:, None], np.nan, tests))
    p, p_two = from_log10p(log), from_log10p(two)
    columns: dict[str, Any] = {
        "gene": np.repeat(np.array(genes), len(traits)),
        "phenotype": np.tile(np.array(traits), len(genes)),
        "n_layers": np.isfinite(tests).sum(axis=1),
    }
    columns |= {f"z_{name}": flat[:, k] for k, name in enumerate(names)}
    columns |= {
        "direction": direction,
        "n_agree": agree,
        "n_oppose": oppose,
        "agreement": _words(flat, tests, names, turn),
        "log10p": log,
        "p": p,
        "p_bonferroni": bonferroni(p),
        "q_bh": bh(p),
        "p_two": p_two,
        "q_two": bh(p_two),
    }
    frame = pl.DataFrame(columns)
    floats = [name for name, kind in frame.schema.items() if kind == pl.Float64]
    frame = frame.with_columns(pl.col(floats).fill_nan(None))
    return frame.sort("log10p", "gene", "phenotype", nulls_last=True)


def _agreement(z: Array, turn: Array) -> tuple[NDArray[np.int64], ...]:
    """Return direction, and how many layers share and oppose that of the strongest layer."""
    turned = np.where(turn == 0, np.nan, z * turn)
    size = np.where(np.isnan(turned), -1.0, np.abs(turned))
    lead = np.take_along_axis(turned, size.argmax(axis=1)[:, None], axis=1)[:, 0]
    signs = np.nan_to_num(np.sign(turned))
    leading = np.nan_to_num(np.sign(lead))
    agree = ((signs == leading[:, None]) & (signs != 0)).sum(axis=1)
    oppose = ((signs == -leading[:, None]) & (signs != 0)).sum(axis=1)
    direction = np.where(oppose == 0, leading, 0).astype(np.int64)
    return direction, agree.astype(np.int64), oppose.astype(np.int64)


def _words(z: Array, log10p: Array, names: Sequence[str], turn: Array) -> list[str]:
    """Return of each row which layers speak, and whether in the expected direction."""
    loud = log10p <= np.log10(_LEVEL)
    speaks = np.where(loud, np.nan_to_num(np.sign(z * turn)), 0.0).astype(np.int64)
    mute = loud & (speaks == 0)
    tested = np.isfinite(log10p)
    keys = np.column_stack([speaks, mute, tested]).astype(np.int64)
    kinds, which = np.unique(keys, axis=0, return_inverse=True)
    k = len(names)
    texts = [_sentence(row[:k], row[k : 2 * k], row[2 * k :], names) for row in kinds]
    return [texts[place] for place in np.ravel(which)]


def _sentence(
    speaks: NDArray[np.int64],
    mute: NDArray[np.int64],
    tested: NDArray[np.int64],
    names: Sequence[str],
) -> str:
    up = [name for name, way in zip(names, speaks, strict=True) if way > 0]
    down = [name for name, way in zip(names, speaks, strict=True) if way < 0]
    other = [name for name, flag in zip(names, mute, strict=True) if flag]
    silent = [
        name
        for name, way, flag, seen in zip(names, speaks, mute, tested, strict=True)
        if seen and not way and not flag
    ]
    parts = []
    if up and down:
        parts.append(f"{joined(up)} and {joined(down)} speak in opposite directions")
    elif up or down:
        way = "higher" if up else "lower"
        found = up or down
        verb = "agree" if len(found) > 1 else "speaks"
        parts.append(f"{joined(found)} {verb}: {way} with activity of the gene")
    if other:
        parts.append(f"{joined(other)} has an effect without an expected direction")
    if silent:
        parts.append(f"{joined(silent)} {'are' if len(silent) > 1 else 'is'} silent")
    return "; ".join(parts) or "not tested"


def joined(names: Sequence[str]) -> str:
    """Return names as words: a, b and c."""
    words = [str(name).replace("_", " ") for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
