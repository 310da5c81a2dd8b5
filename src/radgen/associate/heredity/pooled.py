"""Heritabilities of several cohorts, pooled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl

from radgen._core.naming import require_choice
from radgen.errors import InputError, shown
from radgen.stats.meta import METHODS, meta
from radgen.types import FrameLike, Result, to_polars

__all__ = ["PooledHeritability", "pool_heritability"]

_NEEDED = ("phenotype", "h2", "se")


@dataclass(frozen=True, eq=False)
class PooledHeritability(Result):
    """Heritability of traits over cohorts.

    Attributes
    ----------
    frame : polars.DataFrame
        phenotype, n_studies, n, h2, se, ci_low, ci_high (95 %), log10p and p (two-sided z), q,
        q_p (homogeneity), i2 (percent), tau2.
    """

    kind: ClassVar[str] = "pooled_heritability"
    plots: ClassVar[tuple[str, ...]] = ("forest",)

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw the "forest" of pooled heritabilities and return the matplotlib Axes.

        Raises
        ------
        InputError
            If this result has no such plot.
        """
        if kind != "forest":
            return super().plot(kind, ax=ax)
        from radgen.plot import forest

        f = self.frame
        numbers = [f[name].to_numpy() for name in ("h2", "ci_low", "ci_high")]
        label = "Pooled heritability (95 % interval)"
        return forest(f["phenotype"].to_list(), *numbers, xlabel=label, ax=ax)

    def statements(self) -> tuple[str, ...]:
        """Return the findings in plain words."""
        return tuple(
            f"{row['phenotype']}: heritability {row['h2']:.3f} (95 % interval {row['ci_low']:.3f} "
            f"to {row['ci_high']:.3f}) over {row['n_studies']} cohorts, I2 = {row['i2']:.0f} %."
            for row in self.frame.iter_rows(named=True)
        )

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        how = "a fixed effect" if self.params["method"] == "fixed" else "random effects"
        return (
            f"Heritabilities of {self.params['n_studies']} cohorts were pooled with "
            f"inverse-variance weights and {how} ({self.params['method']})."
        )


def pool_heritability(
    studies: Mapping[str, FrameLike],
    *,
    method: Literal["fixed", "DL", "HE", "PM", "ML", "REML"] = "DL",
) -> PooledHeritability:
    """Return each trait's heritability over cohorts, by inverse-variance weights.

    Parameters
    ----------
    studies : mapping of str to data frame
        For each cohort the table of `heritability`, `family_heritability` or any with the
        columns phenotype, h2 and se (n where known). Traits are matched by name; a row without
        a positive standard error is left out.
    method : {"fixed", "DL", "HE", "PM", "ML", "REML"}
        Of `radgen.stats.meta.meta`.

    Returns
    -------
    PooledHeritability

    Raises
    ------
    InputError
        If a column is missing, a trait stands twice in a cohort, or no estimate is left.

    Notes
    -----
    Pooled estimates and limits are not cut to [0, 1]: cutting cohorts before they are pooled
    would bias the result upwards. An estimate at the edge of its range has no standard error
    and is left out, and the warnings say so.

    References
    ----------
    Jahanshad et al. (2013), doi:10.1016/j.neuroimage.2013.04.061; Adhikari et al. (2018),
    doi:10.1142/9789813235533_0029.
    """
    require_choice(method, METHODS, what="method")
    parts, notes = [], []
    for name, table in studies.items():
        frame = to_polars(table, what=f"table of cohort {name!r}")
        lost = [column for column in _NEEDED if column not in frame.columns]
        if lost:
            raise InputError(f"The table of cohort {name!r} lacks the columns {shown(lost)}.")
        if "n" not in frame.columns:
            frame = frame.with_columns(pl.lit(None, pl.Int64).alias("n"))
        own = frame.select(
            pl.lit(name).alias("study"),
            pl.col("phenotype").cast(pl.String),
            pl.col("h2", "se").cast(pl.Float64),
            pl.col("n").cast(pl.Int64),
        )
        if own["phenotype"].is_duplicated().any():
            raise InputError(f"Cohort {name!r} holds a trait twice.")
        good = own.filter(pl.col("h2").is_finite() & pl.col("se").is_finite() & (pl.col("se") > 0))
        if good.height < own.height:
            notes.append(f"{own.height - good.height} estimates of {name} have no standard error.")
        parts.append(good)
    together = pl.concat(parts) if parts else pl.DataFrame()
    if not together.height:
        raise InputError("No cohort has a heritability with a standard error.")
    rows = []
    for (trait,), part in together.group_by("phenotype", maintain_order=True):
        fit = meta(part["h2"].to_numpy(), np.square(part["se"].to_numpy()), method=method)
        rows.append(
            {
                "phenotype": trait,
                "n_studies": fit.n_studies,
                "n": part["n"].sum() if part["n"].null_count() == 0 else None,
                "h2": fit.effect,
                "se": fit.se,
                "ci_low": fit.ci_low,
                "ci_high": fit.ci_high,
                "log10p": fit.log10p,
                "p": 10.0**fit.log10p,
                "q": fit.q,
                "q_p": 10.0**fit.q_log10p,
                "i2": fit.i2,
                "tau2": fit.tau2,
            }
        )
    params = {"method": method, "studies": tuple(studies), "n_studies": len(studies)}
    frame = pl.DataFrame(rows, infer_schema_length=None)
    most = max((row["n"] or 0 for row in rows), default=0)
    return PooledHeritability(frame, params, int(most), warnings=tuple(notes))
