"""Repeatability without repeat scans: the same scan and contour, perturbed again and again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from radgen._core.executors import map_surviving
from radgen.errors import InputError, RadgenError, shown
from radgen.features._families import load
from radgen.features._registry import FAMILIES
from radgen.features.cohort import AnySettings, ScanUnit, scan_units, settings_of
from radgen.features.extraction import LONG_SCHEMA, extract
from radgen.features.phenotypes import to_phenotypes
from radgen.features.settings import ExtractionSettings
from radgen.image.perturb import PerturbationSettings, perturbations
from radgen.phenotype.repeatability import RepeatabilityResult, measure_repeatability
from radgen.stats.reliability import IccForm
from radgen.types import PhenotypeTable
from radgen.types._frame import FrameLike

__all__ = ["STANDARD", "measure_perturbed", "perturbed_features", "tables_of_copies"]

STANDARD = PerturbationSettings(
    rotation_deg=10.0, translation=0.5, noise=1.0, volume=0.15, contour=True
)
"""Rotation, shift, noise, volume and contour together, each moderate."""

_SCHEMA = {"copy": pl.Int64, **LONG_SCHEMA}


@dataclass(frozen=True, slots=True)
class _Unit:
    """A scan, how it is perturbed, and how often. Plain values only."""

    scan: ScanUnit
    perturbation: Mapping[str, Any]
    copies: int
    seed: int


def perturbed_features(
    rows: FrameLike | Iterable[Mapping[str, Any]],
    *,
    settings: AnySettings,
    seed: int,
    perturbation: PerturbationSettings = STANDARD,
    copies: int = 10,
    executor: Executor | None = None,
    folder: str | Path = ".",
) -> pl.DataFrame:
    """Return the features of perturbed copies of each scan as a long table.

    Parameters
    ----------
    rows : data frame or iterable of mapping
        Scans, as in `radgen.features.extract_cohort`: ``sample, image, mask``, and optional
        ``labels`` and ``modality``.
    settings : ExtractionSettings or Parameters
        What is measured.
    seed : int
        Copy k of a region of a sample depends on (seed, sample, region, k) only.
    perturbation : PerturbationSettings
        What is done to scan and contour.
    copies : int, default 10
        Copies of each scan.
    executor : concurrent.futures.Executor or None
        Where scans are worked on.
    folder : str or Path
        Where relative paths start.

    Returns
    -------
    polars.DataFrame
        ``copy`` (0, 1, …) and the columns of the long feature table. A scan that failed has one
        row with copy -1, status "failed" and its reason.

    Raises
    ------
    InputError
        If the table of scans is not usable, nothing is perturbed, or `copies` is below 2.
    """
    if copies < 2:
        raise InputError(f"Two or more copies are needed, not {copies}.")
    plain = asdict(perturbation)
    if not any(plain.values()):
        raise InputError("Nothing is perturbed: all strengths are 0.")
    if isinstance(settings, ExtractionSettings):
        load()
        for name in settings.families:
            FAMILIES.get(name)
    units = [
        _Unit(scan, plain, copies, seed)
        for scan in scan_units(rows, settings=settings, folder=folder)
    ]
    tables: dict[int, pl.DataFrame] = {}

    def finish(index: int, columns: dict[str, list[Any]]) -> None:
        tables[index] = pl.DataFrame(columns, schema=_SCHEMA)

    map_surviving(
        _perturbed_unit, units, pool=executor, lost=_failed, what="Perturbing scans",
        on_done=finish,
    )  # fmt: skip
    return pl.concat([tables[k] for k in range(len(units))] or [pl.DataFrame(schema=_SCHEMA)])


def tables_of_copies(long: pl.DataFrame) -> dict[str, PhenotypeTable]:
    """Return a phenotype table of each copy, as `measure_repeatability` takes them.

    Parameters
    ----------
    long : polars.DataFrame
        Of `perturbed_features`.

    Returns
    -------
    dict of str to PhenotypeTable
        Scans that failed are not in them.

    Raises
    ------
    InputError
        If every scan failed; the first reasons are given.
    """
    good = long.filter(pl.col("copy") >= 0)
    if not good.height:
        reasons = long["reason"].unique(maintain_order=True).to_list()
        raise InputError(f"No scan could be measured: {shown(reasons, 3)}")
    return {
        f"copy {k}": to_phenotypes(good.filter(pl.col("copy") == k).drop("copy"))
        for k in sorted(good["copy"].unique().to_list())
    }


def measure_perturbed(
    rows: FrameLike | Iterable[Mapping[str, Any]],
    *,
    settings: AnySettings,
    seed: int,
    perturbation: PerturbationSettings = STANDARD,
    copies: int = 10,
    form: IccForm = "1,1",
    threshold: float = 0.75,
    executor: Executor | None = None,
    folder: str | Path = ".",
) -> RepeatabilityResult:
    """Return how repeatable each feature is under perturbations of scans and contours.

    Parameters
    ----------
    rows, settings, seed, perturbation, copies
        As in `perturbed_features`.
    form : {"1,1", "2,1", "3,1", "1,k", "2,k", "3,k"}
        ICC form; copies are interchangeable, so "1,1".
    threshold : float, default 0.75
        Of the verdicts.
    executor, folder
        As in `perturbed_features`.

    Returns
    -------
    RepeatabilityResult
        Of three or more scans with ICCs; of fewer with the variation within each scan alone.

    Raises
    ------
    InputError
        As `perturbed_features`; if every scan failed.

    Notes
    -----
    Perturbations find features that a repeat scan would call unstable, without one, but they do
    not see what only a repeat scan changes: position, breathing, contrast, biology.

    References
    ----------
    Zwanenburg et al. 2019, doi:10.1038/s41598-018-36938-4.
    """
    long = perturbed_features(
        rows, settings=settings, seed=seed, perturbation=perturbation, copies=copies,
        executor=executor, folder=folder,
    )  # fmt: skip
    failed = long.filter(pl.col("copy") < 0).select("sample", "reason")
    notes = ()
    if failed.height:
        notes = (
            f"{failed.height} scans could not be measured: {shown(failed['sample'].to_list())}.",
        )
    found = measure_repeatability(
        tables_of_copies(long), form=form, threshold=threshold, source=_words(perturbation, copies)
    )
    return RepeatabilityResult(
        frame=found.frame,
        params={**found.params, "perturbation": asdict(perturbation), "copies": copies,
                "seed": seed},
        n_used=found.n_used,
        dropped=pl.concat([found.dropped, failed]),
        warnings=notes,
    )  # fmt: skip


def _words(p: PerturbationSettings, copies: int) -> str:
    parts = [
        (p.rotation_deg, f"rotation within ±{p.rotation_deg:g}°"),
        (p.translation, f"translation up to {p.translation:g} voxels"),
        (p.noise, f"noise of {p.noise:g} times the scan's own"),
        (p.volume, f"growth or shrinkage by up to {p.volume:.0%}"),
        (p.contour, "contours redrawn along supervoxels"),
    ]
    return f"{copies} perturbed copies of each scan: " + ", ".join(
        text for value, text in parts if value
    )


def _failed(unit: _Unit, reason: str) -> dict[str, list[Any]]:
    row: dict[str, Any] = dict.fromkeys(LONG_SCHEMA, "")
    row |= {"copy": -1, "sample": unit.scan.sample, "value": float("nan"), "status": "failed",
            "reason": reason}  # fmt: skip
    return {key: [row[key]] for key in _SCHEMA}


def _perturbed_unit(unit: _Unit) -> dict[str, list[Any]]:
    """Return the long table of all copies of a scan as plain columns."""
    try:
        return _measure(unit).to_dict(as_series=False)
    except (RadgenError, OSError, ValueError, MemoryError) as error:
        return _failed(unit, f"{type(error).__name__}: {error}".splitlines()[0])


def _measure(unit: _Unit) -> pl.DataFrame:
    from radgen.io import read_image, read_masks

    scan = unit.scan
    image = read_image(scan.image, modality=scan.modality)
    labels = {name: list(values) for name, values in scan.labels} or None
    masks = read_masks(scan.mask, labels=labels, reference=image)
    settings, how = settings_of(scan), PerturbationSettings(**unit.perturbation)
    parts: list[pl.DataFrame] = []
    for name, mask in masks.items():
        key = f"{scan.sample}\x1f{name}"
        drawn = perturbations(image, mask, how, n=unit.copies, seed=unit.seed, unit=key)
        for k, (copy, region) in enumerate(drawn):
            table = _features(copy, {name: region}, settings, scan)
            parts.append(table.select(pl.lit(k, dtype=pl.Int64).alias("copy"), *LONG_SCHEMA))
    return pl.concat(parts)


def _features(
    image: Any, masks: Mapping[str, Any], settings: AnySettings, scan: ScanUnit
) -> pl.DataFrame:
    if isinstance(settings, ExtractionSettings):
        return extract(image, masks, settings=settings, sample=scan.sample, threads=scan.threads)
    from radgen.features.pyradiomics import extract_pyradiomics

    return extract_pyradiomics(
        image, masks, parameters=settings, sample=scan.sample, threads=scan.threads
    )
