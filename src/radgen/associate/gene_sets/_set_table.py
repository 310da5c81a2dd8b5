"""The table that all tests of gene sets share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.associate.gene_sets._set_blocks import leading_edge
from radgen.associate.gene_sets.enrichment_result import ENRICHMENT_COLUMNS, EnrichmentResult
from radgen.errors import InputError
from radgen.stats import multiplicity
from radgen.stats.tail import from_log10p

__all__ = ["check_options", "edge_of", "set_result", "set_rows"]

Array = NDArray[np.float64]


def set_rows(height: int, **columns: Any) -> pl.DataFrame:
    """Return rows with all columns of the table; what is not given is null."""
    made: dict[str, pl.Series] = {}
    defaults: dict[str, Any] = {"status": "ok", "reason": "", "leading": ""}
    for name, kind in ENRICHMENT_COLUMNS.items():
        value = columns.get(name, defaults.get(name))
        if isinstance(value, list | np.ndarray):
            series = pl.Series(name, value).cast(kind)
            made[name] = series.fill_nan(None) if kind == pl.Float64 else series
        else:
            made[name] = pl.Series(name, [value] * height, dtype=kind)
    return pl.DataFrame(made)


def set_result(
    frame: pl.DataFrame,
    params: dict[str, Any],
    *,
    n_used: int,
    left_out: Mapping[str, str],
    reasons: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
) -> EnrichmentResult:
    log10p = frame["log10p"].fill_null(np.nan).to_numpy()
    p = from_log10p(log10p)
    codes = np.unique(frame["family"].fill_null("").to_numpy().astype(str), return_inverse=True)[1]
    columns = {
        "p": p,
        "p_bonferroni": multiplicity.bonferroni(p),
        "q_bh": multiplicity.bh(p),
        "q_hierarchical": multiplicity.hierarchical(p, codes),
    }
    frame = frame.with_columns(
        pl.Series(name, values).fill_nan(None) for name, values in columns.items()
    )
    dropped = pl.DataFrame(
        {"sample": list(reasons or {}), "reason": list((reasons or {}).values())},
        schema={"sample": pl.String, "reason": pl.String},
    )
    return EnrichmentResult(
        frame=frame.select(list(ENRICHMENT_COLUMNS)),
        params=params,
        n_used=n_used,
        dropped=dropped,
        warnings=tuple(notes),
        provenance={"step": "associate.enrichment", "version": 1, "seed": params.get("seed", 0)},
        left_out=dict(left_out),
    )


def edge_of(
    values: Array, genes: Sequence[str], members: NDArray[np.int64], log10p: float, power: float
) -> str:
    """Leading edge of a set that is worth a look."""
    if not log10p <= np.log10(0.05):
        return ""
    return ",".join(genes[j] for j in leading_edge(values, members, power))


def check_options(permutations: int, power: float, confidence: float = 0.95) -> None:
    """Raise where an option of a set test is out of range."""
    if permutations < 1 or not 0 <= power < np.inf or not 0 < confidence < 1:
        raise InputError(
            "permutations is at least 1, power at least 0, and confidence between 0 and 1; found "
            f"{permutations}, {power} and {confidence}."
        )
