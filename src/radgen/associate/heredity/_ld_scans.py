"""What both LD score regressions share: scans beside scores, the first step, words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen.associate.heredity._scans import Cleaning, Scan, scans_of, scores_of
from radgen.errors import InputError
from radgen.io.ld_score_files import LdScores
from radgen.stats.ld_score_limit import polygenic_limit

__all__ = [
    "first_step",
    "first_step_notes",
    "how_regressed",
    "n_variants_of",
    "opened",
    "params_of",
    "scan_notes",
    "scores_and_weights",
    "unfit",
]

Array = NDArray[np.float64]
TwoStep = float | Literal["auto"] | None
_FEW = 200_000
_LDSC_LIMIT = 30.0


def opened(
    scans: Any, scores: Any, weights: Any, m: str | float, by: str
) -> tuple[dict[str, pl.DataFrame], LdScores, pl.DataFrame | None]:
    """Return tables, scores, and the scores of the weights."""
    require_choice(by, ("auto", "id", "position"), what="key of variants")
    if isinstance(m, str):
        require_choice(m, ("common", "all"), what="m")
    panel = scores_of(scores)
    if not n_variants_of(panel, m) > 0:
        raise InputError(
            f"How many variants the LD scores stand for ({m}) is not known: the files .l2.M and "
            ".l2.M_5_50 are missing. Give the number as m."
        )
    rest = None if weights is None else scores_of(weights).table
    return scans_of(scans), panel, rest


def n_variants_of(panel: LdScores, m: str | float) -> float:
    if isinstance(m, str):
        return panel.m_common if m == "common" else panel.m_all
    return float(m)


def scan_notes(scan: Scan, key: str) -> list[str]:
    out = [f"{scan.describe()} Matched with LD scores by {key}."]
    if scan.table.height < _FEW:
        out.append(
            f"{scan.name}: with fewer than {_FEW:,} variants LD score regression is unstable."
        )
    return out


def scores_and_weights(
    rows: pl.DataFrame, scores: pl.DataFrame, weights: pl.DataFrame | None
) -> tuple[Array, Array]:
    """Return scores and weight scores of the rows; without the latter a variant is refused."""
    at = rows["row"].to_numpy().astype(np.int64)
    l2 = scores["l2"].to_numpy()[at].astype(np.float64)
    if weights is None:
        return l2, l2
    names = pl.DataFrame({"id": scores["id"].to_numpy()[at]})
    found = names.join(weights.select("id", "l2"), on="id", how="left", maintain_order="left")
    if found["l2"].null_count():
        raise InputError(
            f"{found['l2'].null_count()} variants have an LD score and no weight: give weights "
            "over the same variants"
        )
    return l2, found["l2"].to_numpy()


def first_step(
    two_step: float | Literal["auto"] | None, columns: tuple[Array, Array, Array]
) -> float | None:
    """Return the largest chi-square of the first step; "auto" looks at chi2, scores and n."""
    if two_step is None:
        return None
    if two_step == "auto":
        return polygenic_limit(*columns)
    return float(two_step)


def first_step_notes(two_step: object, limit: float | None, name: str) -> list[str]:
    if two_step != "auto" or limit is None or limit <= _LDSC_LIMIT:
        return []
    return [
        f"{name}: the intercept is that of variants with a chi-square below {limit:.0f}, not "
        f"below {_LDSC_LIMIT:.0f} as in LDSC, because polygenic effects alone exceed that; "
        f"two_step={_LDSC_LIMIT:.0f} gives LDSC's."
    ]


def how_regressed(params: Mapping[str, Any]) -> str:
    given = params["intercept"] is not None
    step = params["two_step"]
    parts = "with the intercept held fixed" if given else "with a free intercept"
    if not given and step == "auto":
        parts += (
            f" estimated from variants with chi-square below {_LDSC_LIMIT:g} (more where polygenic "
            "effects alone would exceed that)"
        )
    elif not given and step is not None:
        parts += f" estimated from variants with chi-square below {step:g}"
    return (
        f" {parts}, standard errors by a jackknife of up to {params['n_blocks']} blocks; variants "
        f"with a minor allele frequency below {params['min_maf']:g}, unclear strands or few "
        "samples were left out"
    )


def params_of(
    tables: Mapping[str, Any],
    intercept: float | None,
    two_step: float | Literal["auto"] | None,
    n_blocks: int,
    rule: Cleaning,
) -> dict[str, Any]:
    return {
        "traits": tuple(tables),
        "intercept": intercept,
        "two_step": two_step,
        "n_blocks": n_blocks,
        "min_maf": rule.min_maf,
        "min_info": rule.min_info,
    }


def unfit(frame: pl.DataFrame, what: str) -> list[str]:
    bad = frame.filter(pl.col("status") != "ok").height
    return [f"{bad} {what}; see their status."] if bad else []
