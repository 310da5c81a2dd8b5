"""What the steps of a run share: results kept under the digest of all that made them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from radgen._core.digest import digest
from radgen.errors import InputError
from radgen.study.cache import codec_of
from radgen.study.context import Context
from radgen.types import Covariates, OmicsTable, Outcome, PhenotypeTable, Result, SampleArrays

__all__ = ["MANY_TESTS", "VERSIONS", "content", "frame_content", "slug", "stored"]

VERSIONS = {
    "associate": 2, "evidence": 1, "modules": 1, "tree": 1, "enrich": 1, "mask": 1, "surrogate": 1,
    "signature": 1, "gwas": 3, "burden": 1, "survival": 1, "treatment": 1, "rule": 1, "predict": 4,
    "reliability": 1, "readers": 1, "invariance": 1, "environments": 1,
}  # fmt: skip
"""Version of each kind of analysis; a higher one computes stored results anew."""

MANY_TESTS = 5_000_000
"""Scans of more tests are written to a file of their own."""


def stored(
    context: Context,
    section: str,
    kind: type[Result],
    *,
    params: Mapping[str, Any],
    inputs: Any,
    compute: Callable[[], Result],
) -> Result:
    """Return a result, computed or kept from an earlier run."""
    value: Result
    value, key = context.step(
        section,
        VERSIONS[section],
        params=dict(params),
        inputs=inputs,
        compute=compute,
        codec=codec_of(kind),
    )
    noted: dict[str, Any] = {"step": section, "step_version": VERSIONS[section], "key": key}
    return replace(value, provenance={**value.provenance, **noted})


def content(table: Any) -> str:
    """Return the digest of a table's content."""
    if table is None:
        return digest(None)
    if isinstance(table, PhenotypeTable):
        return digest(table.samples, table.names, table.values)
    if isinstance(table, OmicsTable):
        return digest(table.samples, table.features, table.values, table.layer, table.scale)
    if isinstance(table, Covariates):
        return digest(table.samples, table.names, table.values)
    if isinstance(table, Outcome):
        return digest(table.name, table.kind, table.samples, table.values, table.events,
                      table.levels, table.unit)  # fmt: skip
    if isinstance(table, SampleArrays):
        return digest(table.samples, table.layout, table.names, table.values, table.volume_mm3)
    raise InputError(f"A {type(table).__name__} has no content digest.")


def frame_content(frame: pl.DataFrame) -> str:
    """Return the digest of a plain table of texts and numbers."""
    return digest(frame.columns, frame.to_dict(as_series=False))


def slug(name: str) -> str:
    """Return a name as part of a file name."""
    text = "".join(letter if letter.isalnum() else "-" for letter in name.lower())
    return "-".join(part for part in text.split("-") if part) or "analysis"
