"""Choose phenotypes, and make tables ready for an analysis."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from radgen._core.naming import did_you_mean
from radgen.errors import InputError
from radgen.study.losses import Losses
from radgen.types import PhenotypeTable

__all__ = ["choose_phenotypes", "ranked", "restricted", "usable", "volume_name"]

_KEYS = ("name", "family", "feature", "ibsi_code")
_VOLUME_CODES = ("RNU0", "YEKZ")
_VOLUME_FEATURES = ("MeshVolume", "VoxelVolume", "Volume")


def choose_phenotypes(table: PhenotypeTable, patterns: Sequence[str]) -> PhenotypeTable:
    """Return the phenotypes whose name, family, feature or IBSI code fits a pattern.

    Raises
    ------
    InputError
        If a pattern fits nothing; the nearest name is given.
    """
    if not patterns:
        return table
    keys = [table.specs[key].to_list() for key in _KEYS]
    chosen: set[int] = set()
    for pattern in patterns:
        hits = {
            place
            for column in keys
            for place, text in enumerate(column)
            if text and fnmatch.fnmatchcase(text, pattern)
        }
        if not hits:
            known = {text for column in keys for text in column if text}
            raise InputError(f"No phenotype fits {pattern!r}. {did_you_mean(pattern, known)}")
        chosen |= hits
    return table.take(columns=sorted(chosen))


def volume_name(table: PhenotypeTable, wanted: str | None) -> str | None:
    """Return the phenotype that is the volume of the first region, or None.

    Raises
    ------
    InputError
        If `wanted` is named and there is none such.
    """
    if wanted is not None:
        return choose_phenotypes(table, [wanted]).names[0]
    for column, values in (("ibsi_code", _VOLUME_CODES), ("feature", _VOLUME_FEATURES)):
        for value in values:
            found = table.specs.filter(
                (pl.col(column) == value) & pl.col("filter").is_in(["", "original"])
            )
            if found.height:
                return str(found["name"][0])
    return None


def usable(
    table: PhenotypeTable, max_missing: float, losses: Losses
) -> tuple[PhenotypeTable, list[str]]:
    """Return samples with any value, and phenotypes that are known often enough and vary.

    Parameters
    ----------
    table : PhenotypeTable
        All phenotypes.
    max_missing : float
        Largest share of missing values of a phenotype.
    losses : Losses
        Where samples without any value are noted.

    Returns
    -------
    table : PhenotypeTable
        What is left.
    notes : list of str
        How many phenotypes were left out, and why.

    Raises
    ------
    InputError
        If nothing is left.
    """
    known = np.isfinite(table.values)
    alive = np.asarray(known.any(axis=1))
    reasons = dict(
        table.status.filter(pl.col("phenotype") == "").select("sample", "reason").iter_rows()
    )
    gone = {
        sample: reasons.get(sample, "no feature could be computed")
        for sample, ok in zip(table.samples, alive.tolist(), strict=True)
        if not ok
    }
    losses.note("samples with phenotypes", int(alive.sum()), gone)
    if not alive.any():
        raise InputError(
            "Not a single scan could be measured. Reasons: "
            + "; ".join(dict.fromkeys(list(gone.values())[:3]))
        )
    kept = table.take(rows=np.flatnonzero(alive))
    share = 1 - known[alive].mean(axis=0)
    values = np.where(np.isfinite(kept.values), kept.values, np.nan)
    few = share > max_missing
    with np.errstate(invalid="ignore"):
        low = np.array([np.nanmin(c) if np.isfinite(c).any() else 0.0 for c in values.T])
        high = np.array([np.nanmax(c) if np.isfinite(c).any() else 0.0 for c in values.T])
    flat = ~few & (low == high) if kept.n_samples > 1 else np.zeros(len(few), dtype=bool)
    notes = []
    if few.any():
        notes.append(
            f"{int(few.sum())} phenotypes were left out because more than {max_missing:.0%} of "
            "their values are missing."
        )
    if flat.any():
        notes.append(f"{int(flat.sum())} phenotypes were left out because they do not vary.")
    keep = ~few & ~flat
    if not keep.any():
        raise InputError(
            "No phenotype is left: all have too many missing values or do not vary. "
            "Look at the status table, or raise features.max_missing."
        )
    return kept.take(columns=np.flatnonzero(keep)), notes


def restricted(table: PhenotypeTable, samples: Collection[str]) -> PhenotypeTable:
    """Return the rows of the named samples."""
    wanted = set(samples)
    return table.take(rows=[row for row, sample in enumerate(table.samples) if sample in wanted])


def ranked(table: PhenotypeTable) -> PhenotypeTable:
    """Return phenotypes as normal scores; NaN stays NaN."""
    from radgen.phenotype.select import RankNormaliser

    values = np.array(table.values)
    for j in range(table.n_phenotypes):
        known = np.isfinite(values[:, j])
        if known.any():
            column = values[known, j][:, None]
            values[known, j] = RankNormaliser().fit_transform(column)[:, 0]
    return replace(table, values=values)
