"""Lock the findings of one cohort and test exactly these in another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from scipy.special import ndtr, ndtri

from radgen.associate.association import scan
from radgen.associate.association_result import AssociationResult, power_of_ten
from radgen.errors import InputError, shown
from radgen.stats import multiplicity
from radgen.stats.meta import meta
from radgen.types import Covariates, FrameLike, OmicsTable, PhenotypeTable, Result, to_polars

__all__ = ["LOCKED_COLUMNS", "ReplicationResult", "lock", "replicate"]

LOCKED_COLUMNS = (
    "phenotype",
    "omics",
    "layer",
    "test",
    "model",
    "n",
    "effect",
    "se",
    "log10p",
)
"""Columns of a table of locked hypotheses."""

_LEVEL = 0.05


@dataclass(frozen=True, eq=False)
class ReplicationResult(Result):
    """Locked hypotheses in a second cohort.

    Attributes
    ----------
    frame : polars.DataFrame
        A row a hypothesis: the locked columns, and with the suffix ``_new`` those of the second
        cohort with ``ci_low_new, ci_high_new``; ``same_sign``, ``p_one_sided`` in the locked
        direction, ``p_holm`` over the hypotheses, ``replicated`` (p_holm at most 0.05),
        ``power`` (chance of one-sided p at most 0.05 were the locked effect true), and the
        pooled ``effect_meta, se_meta, log10p_meta, i2``; ``status`` and ``reason``.
    summary : mapping
        n_hypotheses, n_tested, n_same_sign, n_nominal (one-sided p at most 0.05),
        n_replicated, n_expected (sum of the powers).
    """

    kind: ClassVar[str] = "replication"
    version: ClassVar[int] = 1

    summary: Mapping[str, Any] = field(default_factory=dict)

    def statements(self) -> tuple[str, ...]:
        """Return what held and what did not, against expectation."""
        s = self.summary
        lines = [
            f"{s['n_tested']} of {s['n_hypotheses']} locked hypotheses could be tested in "
            f"{self.n_used} new samples: {s['n_same_sign']} have the same direction, "
            f"{s['n_nominal']} a one-sided p of at most 0.05 (expected were {s['n_expected']:.1f} "
            f"if all locked effects were true and not inflated), and {s['n_replicated']} pass "
            "Holm's correction."
        ]
        for row in self.frame.sort("p_one_sided", nulls_last=True).head(5).iter_rows(named=True):
            if row["p_one_sided"] is None:
                continue
            verdict = "replicated" if row["replicated"] else "did not replicate"
            lines.append(
                f"{row['phenotype']} with {row['omics']} {verdict}: effect {row['effect_new']:.3g} "
                f"after {row['effect']:.3g}, one-sided p = "
                f"{power_of_ten(math.log10(max(row['p_one_sided'], 1e-300)))}, "
                f"power {row['power']:.2f}."
            )
        return tuple(lines)

    def methods(self) -> str:
        """Return the methods paragraph."""
        return (
            f"{self.summary['n_hypotheses']} hypotheses (pair, test and direction) were locked in "
            "the first cohort and tested, and no others, in the second with the same models. "
            "P-values are one-sided in the locked direction and corrected by Holm's method; both "
            f"cohorts were pooled by inverse variance ({self.params['meta']})."
        )


def lock(
    result: AssociationResult,
    *,
    by: str = "q_bh",
    level: float = _LEVEL,
    at_most: int | None = None,
) -> pl.DataFrame:
    """Return the findings of a scan as hypotheses to test elsewhere.

    Parameters
    ----------
    result : AssociationResult
        The first cohort.
    by : str, default "q_bh"
        Adjusted column that decides.
    level : float, default 0.05
        Its largest value.
    at_most : int or None
        Keep so many with the smallest p.

    Returns
    -------
    polars.DataFrame
        `LOCKED_COLUMNS`; write it down (Parquet, CSV) before the second cohort is opened.
        May be empty.

    Raises
    ------
    InputError
        If there is no such column.
    """
    if by not in result.frame.columns:
        raise InputError(f"The table has no column {by!r}.")
    rows = result.significant(level, by=by).filter(pl.col("effect").is_not_null())
    return rows.select(LOCKED_COLUMNS).head(rows.height if at_most is None else at_most)


def replicate(
    hypotheses: FrameLike,
    phenotypes: PhenotypeTable,
    omics: OmicsTable | Sequence[OmicsTable],
    covariates: Covariates | None = None,
    *,
    meta_method: Literal["fixed", "DL", "HE", "PM", "ML", "REML"] = "fixed",
    min_n: int = 10,
    min_group: int = 3,
) -> ReplicationResult:
    """Return the locked hypotheses tested in another cohort.

    Parameters
    ----------
    hypotheses : data frame
        From `lock`.
    phenotypes, omics, covariates
        The second cohort; names as in the first. Units of phenotypes and features must be
        those of the first cohort, or effects do not compare.
    meta_method : {"fixed", "DL", "HE", "PM", "ML", "REML"}
        How both cohorts are pooled.
    min_n, min_group : int
        As in `scan`.

    Returns
    -------
    ReplicationResult
        A row a hypothesis, tested or not.

    Raises
    ------
    InputError
        If the table of hypotheses is empty or lacks a column.

    Notes
    -----
    The first cohort selected its effects: they are larger than true ones on average, and the
    expected number of replications is an upper bound.
    """
    locked = to_polars(hypotheses, what="table of hypotheses")
    missing = [name for name in LOCKED_COLUMNS if name not in locked.columns]
    if missing or not locked.height:
        raise InputError(f"The hypotheses lack {shown(missing)}." if missing else "No hypothesis.")
    layers = [omics] if isinstance(omics, OmicsTable) else list(omics)
    parts = [
        _tested(part, phenotypes, layers, covariates, str(test), min_n=min_n, min_group=min_group)
        for (test,), part in locked.group_by("test", maintain_order=True)
    ]
    used = max((n for _, n in parts), default=0)
    keys = ["phenotype", "omics", "layer", "test"]
    new = pl.concat([frame for frame, _ in parts])
    joined = locked.select(LOCKED_COLUMNS).join(
        new, on=keys, how="left", maintain_order="left", suffix="_new"
    )
    joined = joined.with_columns(
        pl.col("status").fill_null("not_tested"),
        pl.col("reason").fill_null("the phenotype or feature is not in the second cohort"),
    )
    frame = _judged(joined, meta_method)
    tested = frame.filter(pl.col("p_one_sided").is_not_null())
    return ReplicationResult(
        frame=frame,
        params={"meta": meta_method, "min_n": min_n, "min_group": min_group},
        n_used=used,
        summary={
            "n_hypotheses": frame.height,
            "n_tested": tested.height,
            "n_same_sign": int(tested["same_sign"].sum()),
            "n_nominal": int((tested["p_one_sided"] <= _LEVEL).sum()),
            "n_replicated": int(tested["replicated"].sum()),
            "n_expected": float(tested["power"].sum()),
        },
        provenance={"step": "associate.replicate", "version": 1},
    )


def _tested(
    part: pl.DataFrame,
    phenotypes: PhenotypeTable,
    layers: Sequence[OmicsTable],
    covariates: Covariates | None,
    test: str,
    *,
    min_n: int,
    min_group: int,
) -> tuple[pl.DataFrame, int]:
    """Scan the phenotypes and features that a test's hypotheses name, and keep their pairs."""
    columns = ["phenotype", "omics", "layer", "test", "model", "n", "effect", "se", "ci_low"]
    columns += ["ci_high", "log10p", "status", "reason"]
    wanted = set(part["phenotype"])
    rows = np.array([name in wanted for name in phenotypes.names], dtype=bool)
    genes = set(part["omics"])
    chosen = [
        layer.take(columns=np.array([name in genes for name in layer.features], dtype=bool))
        for layer in layers
        if genes & set(layer.features)
    ]
    if not rows.any() or not chosen:
        empty = scan_schema(columns)
        return empty, 0
    result = scan(
        phenotypes.take(columns=rows),
        chosen,
        covariates,
        test=test,
        min_n=min_n,
        min_group=min_group,
    )
    return result.frame.select(columns), result.n_used


def scan_schema(columns: Sequence[str]) -> pl.DataFrame:
    """Return an empty table with the types of a scan."""
    text = ("phenotype", "omics", "layer", "test", "model", "status", "reason")
    kinds = {name: pl.String if name in text else pl.Float64 for name in columns}
    return pl.DataFrame(schema=kinds | {"n": pl.Int64} if "n" in columns else kinds)


def _judged(joined: pl.DataFrame, method: str) -> pl.DataFrame:
    rows = []
    for row in joined.iter_rows(named=True):
        found, before = row["effect_new"], row["effect"]
        fits = row["log10p_new"] is not None and found is not None
        same = bool(np.sign(found) == np.sign(before)) if fits else None
        p = None
        power = None
        pooled = None
        if fits:
            half = 0.5 * 10 ** row["log10p_new"]
            p = half if same else 1 - half
        if fits and row["se_new"]:
            power = float(ndtr(abs(before) / row["se_new"] + ndtri(_LEVEL)))
        if fits and row["se_new"] and row["se"]:
            variances = [row["se"] ** 2, row["se_new"] ** 2]
            pooled = meta([before, found], variances, method=method)  # type: ignore[arg-type]
        rows.append(
            {
                "same_sign": same,
                "p_one_sided": p,
                "power": power,
                "effect_meta": pooled.effect if pooled else None,
                "se_meta": pooled.se if pooled else None,
                "log10p_meta": pooled.log10p if pooled else None,
                "i2": pooled.i2 if pooled else None,
            }
        )
    schema: dict[str, Any] = dict.fromkeys(rows[0], pl.Float64) | {"same_sign": pl.Boolean}
    judged = pl.DataFrame(rows, schema=schema)
    holm = multiplicity.holm(judged["p_one_sided"].cast(pl.Float64).fill_null(np.nan).to_numpy())
    adjusted = pl.Series("p_holm", holm, nan_to_null=True)
    passed = (adjusted <= _LEVEL).fill_null(False).alias("replicated")
    return pl.concat([joined, judged], how="horizontal").with_columns(adjusted, passed)
