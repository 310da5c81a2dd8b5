"""The phenotype matrix of a study: which phenotypes are reliable, and site effects taken out."""

from __future__ import annotations

import fnmatch
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from radgen.errors import InputError, RadgenWarning, shown
from radgen.io import read_feature_table, read_table
from radgen.study.losses import Losses
from radgen.study.schema.trust import HarmoniseSettings, ReliabilitySettings
from radgen.study.select import restricted
from radgen.study.sheet import Sheet, io_rule
from radgen.types import PhenotypeTable

if TYPE_CHECKING:
    from radgen.phenotype import RepeatabilityResult
    from radgen.predict import Harmonisation, Reliability

__all__ = [
    "Matrix",
    "batch_table",
    "harmonisation_of",
    "harmonised",
    "narrowed",
    "reliability_of",
    "repeated_tables",
]


@dataclass(frozen=True, eq=False)
class Matrix:
    """The phenotype matrix that analyses work on.

    Attributes
    ----------
    raw : PhenotypeTable
        Before harmonisation.
    harmonised : PhenotypeTable or None
        After it; None where the study asks for none.
    key : str
        Digest of what made them.
    repeats : mapping of str to PhenotypeTable
        Repeated measurements, a table a repeat.
    repeatability : RepeatabilityResult or None
        How reliable each phenotype is; None where the study does not ask.
    """

    raw: PhenotypeTable
    harmonised: PhenotypeTable | None
    key: str
    repeats: Mapping[str, PhenotypeTable]
    repeatability: RepeatabilityResult | None

    def table(self, *, harmonised: bool, reliable: bool = False) -> PhenotypeTable:
        """Return the phenotypes, harmonised and reliable alone where that is wanted and known.

        Raises
        ------
        InputError
            If no phenotype is reliable.
        """
        table = self.harmonised if harmonised and self.harmonised is not None else self.raw
        return self.reliable(table) if reliable else table

    def reliable(self, table: PhenotypeTable) -> PhenotypeTable:
        """Return the phenotypes of a table that repeated measurements keep.

        Raises
        ------
        InputError
            If none is; the bounds are given.
        """
        if self.repeatability is None:
            return table
        frame = self.repeatability.frame
        kept = set(frame.filter(pl.col("verdict") == "keep")["phenotype"])
        columns = [j for j, name in enumerate(table.names) if name in kept]
        if columns:
            return table.take(columns=columns)
        bounds = dict(frame.select("phenotype", "icc_low").iter_rows())
        told = [
            f"{name} ({'not measured twice' if bounds.get(name) is None else f'{bounds[name]:.2f}'}"
            ")"
            for name in table.names[:5]
        ]
        limit = self.repeatability.params["threshold"]
        raise InputError(
            f"None of {table.n_phenotypes} phenotypes has a lower bound of the ICC of {limit:g} "
            f"or more: {shown(told)}. Lower reliability.threshold, bring more repeats, or set "
            "reliable = false for this analysis."
        )


def repeated_tables(settings: ReliabilitySettings, path: Path) -> dict[str, PhenotypeTable]:
    """Return a phenotype table of each repeat that a file holds.

    Raises
    ------
    FormatError, InputError, AlignmentError
        As `radgen.io.read_feature_table`; if the file has one repeat only.
    """
    rows = read_table(path)
    drop = [n for n in rows.columns if any(fnmatch.fnmatchcase(n, p) for p in settings.drop)]
    options: dict[str, Any] = {
        "id_column": settings.id, "id_rule": io_rule(settings.id_rule), "exclude": drop,
        "region": settings.region,
    }  # fmt: skip
    if settings.repeat is None:
        return {path.name: read_feature_table(path, where=settings.where, **options)}
    if settings.repeat not in rows.columns:
        from radgen._core.naming import did_you_mean

        near = did_you_mean(settings.repeat, rows.columns)
        raise InputError(
            f"The table has no column {settings.repeat!r} (reliability.repeat). {near}"
        )
    values = rows[settings.repeat].drop_nulls().unique().sort().to_list()
    if len(values) < 2:
        raise InputError(
            f"Column {settings.repeat!r} tells {len(values)} repeats apart; two are needed."
        )
    return {
        f"{settings.repeat} {value}": read_feature_table(
            path, where={**settings.where, settings.repeat: value}, **options
        )
        for value in values
    }


def narrowed(table: PhenotypeTable, names: Sequence[str]) -> PhenotypeTable:
    """Return the phenotypes of a table that are among the names."""
    wanted = set(names)
    return table.take(columns=[j for j, name in enumerate(table.names) if name in wanted])


def reliability_of(
    settings: ReliabilitySettings | None, repeats: Mapping[str, PhenotypeTable]
) -> Reliability | None:
    """Return the filter of models, or None where the study has no repeats."""
    from radgen.predict import Reliability

    if settings is None or not repeats:
        return None
    return Reliability(
        repeats, settings.form, settings.threshold, settings.confidence, settings.interval
    )


def batch_table(
    sheet: Sheet, samples: Sequence[str], settings: HarmoniseSettings
) -> tuple[pl.DataFrame, dict[str, str]]:
    """Return batches and kept covariates of each sample that has them all, and who has not.

    Parameters
    ----------
    sheet : Sheet
        Clinical and carried columns.
    samples : sequence of str
        Samples with phenotypes.
    settings : HarmoniseSettings
        Names the columns; small batches are put together.

    Returns
    -------
    table : polars.DataFrame
        ``sample`` and the columns.
    gone : dict of str to str
        Reason for each sample left out.

    Raises
    ------
    InputError
        If the samples come from one batch only.
    """
    wanted = pl.DataFrame({"sample": list(samples)}, schema={"sample": pl.String})
    columns = [pl.col(n).cast(pl.String) for n in settings.batch]
    columns += [pl.col(n) for n in settings.columns if n not in settings.batch]
    table = wanted.join(
        sheet.frame.select("sample", *columns), on="sample", how="left", maintain_order="left"
    )
    gone: dict[str, str] = {}
    for name in settings.batch:
        table = _pooled(table, name, settings.small)
    for name in settings.columns:
        reason = (
            "site or scanner is not known, or its group is too small"
            if name in settings.batch
            else "a covariate kept in harmonisation is missing"
        )
        holes = table.filter(pl.col(name).is_null())["sample"].to_list()
        gone = {sample: reason for sample in holes if sample not in gone} | gone
    table = table.filter(~pl.col("sample").is_in(list(gone)))
    for name in settings.batch:
        known = table[name].unique().sort().to_list()
        if len(known) < 2:
            raise InputError(
                f"harmonise.batch = {name!r}: all samples come from one batch "
                f"({', '.join(known) or 'none'}). Take it out of [harmonise]."
            )
    return table, {sample: gone[sample] for sample in samples if sample in gone}


def _pooled(table: pl.DataFrame, name: str, small: int) -> pl.DataFrame:
    """Return the table with small batches as "other", or without them where those are few."""
    counts = table.drop_nulls(name).group_by(name).len()
    few = counts.filter(pl.col("len") < small)
    if not few.height:
        return table
    together = "other" if int(few["len"].sum()) >= small else None
    column = pl.when(pl.col(name).is_in(few[name].to_list())).then(pl.lit(together)).otherwise(name)
    return table.with_columns(column.alias(name))


def harmonised(
    table: PhenotypeTable, sheet: Sheet, settings: HarmoniseSettings, losses: Losses
) -> PhenotypeTable:
    """Return phenotypes without batch effects, estimated in all samples at once.

    Raises
    ------
    InputError
        If there is one batch only.
    FitError
        If batches and kept covariates are confounded.

    Notes
    -----
    This is for associations, which make no claim about new samples. Predictions harmonise
    inside their folds. Missing values are set to the median for the fit and are missing again
    afterwards. Samples without a batch or with a missing kept covariate are left out.
    """
    from radgen.phenotype.harmonise_table import fit_table

    rows, gone = batch_table(sheet, table.samples, settings)
    losses.note("samples harmonised", rows.height, gone)
    part = restricted(table, rows["sample"])
    names = [f"phenotype {j}" for j in range(part.n_phenotypes)]
    values = np.where(np.isfinite(part.values), part.values, np.nan)
    frame = pl.DataFrame(values, schema=names, orient="row").fill_nan(None)
    whole = pl.concat([rows, frame], how="horizontal")
    model = fit_table(
        whole, batch=settings.batch, method=settings.method, features=names, keep=settings.keep,
        smooth=settings.smooth, subject=settings.subject, reference=settings.reference,
        unseen=settings.unseen or "refuse", shrink=settings.shrink,
        parametric=settings.parametric, mean_only=settings.mean_only,
    )  # fmt: skip
    if model.tied:
        warnings.warn(
            f"{len(model.tied)} phenotypes have many equal values and were not harmonised: "
            "shifted by batch, these values would mark it.",
            RadgenWarning,
            stacklevel=2,
        )
    done = model.apply(whole).select(names).fill_null(float("nan")).to_numpy()
    return replace(part, values=done)


def harmonisation_of(settings: HarmoniseSettings, table: pl.DataFrame) -> Harmonisation | None:
    """Return how models harmonise inside their folds, or None where the method is "none"."""
    from radgen.predict import Harmonisation

    if settings.method == "none":
        return None
    return Harmonisation(
        table, settings.batch, settings.method, keep=settings.keep, smooth=settings.smooth,
        subject=settings.subject, reference=settings.reference, unseen=settings.unseen,
        shrink=bool(settings.shrink), parametric=settings.parametric,
        mean_only=settings.mean_only,
    )  # fmt: skip
