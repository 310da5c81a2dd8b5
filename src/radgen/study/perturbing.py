"""Repeats without repeat scans: each scan of a study perturbed several times and measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from radgen.errors import InputError, shown
from radgen.study.cache import Codec
from radgen.study.context import Context
from radgen.study.gather import Gathered
from radgen.study.imaging import patient_of, units_of
from radgen.study.measure import (
    BAD_SCAN,
    Measured,
    Unit,
    normalised,
    phenotypes_of,
    reason_of,
    scan_of,
)
from radgen.study.unit_work import stored_or_computed
from radgen.types import PhenotypeTable

__all__ = ["PERTURB", "CopiesUnit", "perturbed_repeats"]

PERTURB = ("perturb", 1)
"""Name and version of the step."""


@dataclass(frozen=True, slots=True)
class CopiesUnit:
    """One scan, how it is perturbed and how often; plain values only."""

    unit: Unit
    how: Mapping[str, Any]
    copies: int
    seed: int

    @property
    def image(self) -> str:
        """File of the scan."""
        return self.unit.image

    @property
    def mask(self) -> str:
        """File of the mask."""
        return self.unit.mask

    def recipe(self) -> dict[str, Any]:
        """Return everything that decides the numbers, but the content of the files."""
        return {
            **self.unit.recipe(), "perturbed": self.how, "copies": self.copies, "seed": self.seed,
            "sample": self.unit.sample, "sequence": self.unit.sequence,
        }  # fmt: skip


def perturbed_repeats(
    found: Gathered, context: Context, maps: Sequence[Unit] = ()
) -> dict[str, PhenotypeTable]:
    """Return a phenotype table of each perturbed copy; of several scans the first is perturbed.

    Parameters
    ----------
    found : Gathered
        The scans.
    context : Context
        The run.
    maps : sequence of Unit
        Functional maps, which are perturbed as they are (the series is not fitted again).

    Raises
    ------
    InputError
        If no scan could be measured.
    """
    settings = found.settings.reliability
    assert settings is not None
    assert settings.perturb is not None
    how = settings.perturb.model_dump()
    copies = how.pop("copies")
    if not any(how.values()):
        raise InputError("Nothing is perturbed: all strengths of [reliability.perturb] are 0.")
    seed = found.settings.study.seed
    units = [CopiesUnit(unit, how, copies, seed) for unit in _first_scans(found, maps)]
    empty: list[Measured | None] = [None] * len(units)
    measured = stored_or_computed(
        units, empty, context, step=PERTURB, codec=_codec(), function=measure_copies,
        convert=_as_measured, what="Perturbing scans", failed=lambda item: bool(item.reason),
    )  # fmt: skip
    bad = [u.unit.sample for u, m in zip(units, measured, strict=True) if m.reason]
    if len(bad) == len(units):
        raise InputError(f"Not a single scan could be perturbed: {measured[0].reason}")
    if bad:
        context.limits.append(f"{len(bad)} scans could not be perturbed: {shown(bad)}.")
    plain = [item.unit for item in units]
    return {
        f"copy {k + 1}": phenotypes_of(
            plain,
            [Measured(m.long.filter(pl.col("copy") == k).drop("copy"), m.caption, m.reason)
             for m in measured],
        )
        for k in range(copies)
    }  # fmt: skip


def _first_scans(found: Gathered, maps: Sequence[Unit]) -> list[Unit]:
    chosen: dict[tuple[str, str], Unit] = {}
    of_patients = [replace(unit, sample=patient_of(unit.sample)) for unit in maps if unit.image]
    for unit in (*units_of(found, own_names=False), *of_patients):
        chosen.setdefault((unit.sample, unit.sequence), unit)
    return list(chosen.values())


def _schema() -> dict[str, Any]:
    from radgen.features.extraction import LONG_SCHEMA

    return {"copy": pl.Int64, **LONG_SCHEMA}


def measure_copies(item: CopiesUnit) -> dict[str, Any]:
    """Return the features of all copies of a scan as plain values; this runs in workers."""
    try:
        return {"long": _measured(item).to_dict(as_series=False)}
    except BAD_SCAN as error:
        return {
            "long": pl.DataFrame(schema=_schema()).to_dict(as_series=False),
            "reason": reason_of(error, {"image": [item.image], "mask": [item.mask]}),
        }


def _measured(item: CopiesUnit) -> pl.DataFrame:
    from radgen.features import ExtractionSettings, extract
    from radgen.image.perturb import PerturbationSettings, perturbations
    from radgen.io import read_masks

    unit = item.unit
    image = scan_of(unit)
    masks = read_masks(unit.mask, labels=unit.regions, reference=image)
    how, settings = (
        PerturbationSettings(**item.how),
        ExtractionSettings.from_mapping(unit.extraction),
    )
    parts: list[pl.DataFrame] = []
    for name, mask in masks.items():
        mask.require_on(image)
        key = f"{unit.sample}\x1f{unit.sequence}\x1f{name}"
        drawn = perturbations(image, mask, how, n=item.copies, seed=item.seed, unit=key)
        for k, (copy, region) in enumerate(drawn):
            ready = normalised(copy, {name: region}, unit.normalise) if unit.normalise else copy
            table = extract(ready, {name: region}, settings=settings, threads=unit.threads)
            parts.append(table.select(pl.lit(k, dtype=pl.Int64).alias("copy"), pl.all()))
    if not parts:
        raise InputError("The mask holds no region.")
    return pl.concat(parts)


def _as_measured(plain: Mapping[str, Any]) -> Measured:
    long = plain["long"]
    if "copy" not in long:  # a unit that killed its worker
        return Measured(pl.DataFrame(schema=_schema()), reason=plain["reason"])
    return Measured(pl.DataFrame(long, schema=_schema()), reason=plain.get("reason", ""))


def _codec() -> Codec[Measured]:
    return Codec(
        "perturbed-scan", 1, lambda value: ({"long": value.long}, {}),
        lambda tables, _: Measured(tables["long"]),
    )  # fmt: skip
