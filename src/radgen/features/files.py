"""Features from files to files: what the command line calls."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from radgen._core.executors import executor
from radgen._core.files import atomic_path, write_text
from radgen._core.naming import counted, require_choice
from radgen._version import __version__
from radgen.errors import InputError, shown
from radgen.features._families import load
from radgen.features._registry import FAMILIES
from radgen.features.cohort import AnySettings, extract_cohort
from radgen.features.extraction import extract
from radgen.features.map_files import is_image_name, write_response
from radgen.features.phenotypes import to_wide
from radgen.features.settings import ExtractionSettings, preset, read_settings

__all__ = [
    "CohortWork",
    "ScanFiles",
    "any_failed",
    "chosen_settings",
    "described",
    "draw_table",
    "extract_files",
    "extract_table",
    "is_image_name",
    "measured",
    "parts_for",
    "require_request",
    "response_of",
    "summary",
    "write_features",
]

_SUFFIXES = (".parquet", ".csv", ".tsv")


def chosen_settings(name: str | None, path: Path | None, *, fit_mask: bool = False) -> AnySettings:
    """Return the settings of a preset's name or a file; the default where both are None.

    A file that ends in .yaml, .yml or .json is a PyRadiomics parameter file; the preset
    "pyradiomics" stands for PyRadiomics' defaults.

    Raises
    ------
    InputError
        If both are given, or there is no such preset.
    ConfigError
        If the file cannot be used.
    """
    if name is not None and path is not None:
        raise InputError("Give a preset or a settings file, not both.")
    if name == "pyradiomics" or (path and path.suffix.lower() in (".yaml", ".yml", ".json")):
        from radgen.features.pyradiomics import read_parameters

        if fit_mask:
            raise InputError("The PyRadiomics profile resamples masks as its own settings say.")
        return read_parameters(path or {})
    if path is not None:
        found = read_settings(path)
    else:
        found = ExtractionSettings() if name is None else preset(name)
    return replace(found, fit_mask=True) if fit_mask else found


def extract_files(
    image: Path,
    mask: Path,
    *,
    settings: AnySettings,
    labels: Sequence[str] = (),
    sample: str = "",
    modality: str = "",
) -> pl.DataFrame:
    """Return the long table of one scan.

    Parameters
    ----------
    image, mask : Path
        Files or folders of any format that radgen reads.
    settings : ExtractionSettings or Parameters
        What to measure; parameters of PyRadiomics select its profile.
    labels : sequence of str
        Which mask values are regions: "1" or "tumour=1+2"; none = as the file names them.
    sample : str
        Id of the sample; "" = the name of the image file.
    modality : str
        "CT", "MR", "PT" or "" where unknown.

    Returns
    -------
    polars.DataFrame
        Columns `LONG_SCHEMA`.

    Raises
    ------
    FormatError
        If a file cannot be read.
    GeometryError
        If the mask does not lie on the image's grid.
    InputError
        If labels cannot be read.
    """
    from radgen.features.cohort import parse_labels
    from radgen.io import read_image, read_masks

    scan = read_image(image, modality=modality)
    wanted = {name: list(values) for name, values in parse_labels(";".join(labels))} or None
    masks = read_masks(mask, labels=wanted, reference=scan)
    name = sample or Path(image).name.split(".")[0]
    if isinstance(settings, ExtractionSettings):
        return extract(scan, masks, settings=settings, sample=name)
    from radgen.features.pyradiomics import extract_pyradiomics

    return extract_pyradiomics(scan, masks, parameters=settings, sample=name)


def extract_table(
    table: Path,
    *,
    settings: AnySettings,
    pool: Executor | None = None,
    store: Path | None = None,
    parts: int = 1,
) -> pl.DataFrame:
    """Return the long table of every scan of a cohort table, several at a time.

    Parameters
    ----------
    table : Path
        Columns sample, image, mask; optional labels, modality. Relative paths start at the
        folder of the table.
    settings : ExtractionSettings or Parameters
        What to measure; parameters of PyRadiomics select its profile.
    pool : concurrent.futures.Executor or None
        Where scans are measured; None = one after another in this process.
    store : Path or None
        Folder that keeps the table of each finished scan, so that a run that was stopped goes
        on where it was; None keeps nothing.
    parts : int
        Units that each scan is cut into, by region and image type.

    Returns
    -------
    polars.DataFrame
        Columns `LONG_SCHEMA`; a scan that failed has one row with status "failed".

    Raises
    ------
    InputError
        If the table is not usable.
    """
    from radgen.features.cohort import ResultStore
    from radgen.io import read_table

    kept = ResultStore(store) if store is not None else None
    return extract_cohort(
        read_table(table),
        settings=settings,
        executor=pool,
        folder=Path(table).parent,
        on_done=kept.put if kept else None,
        done=kept.get if kept else None,
        parts=parts,
    )


def parts_for(table: Path, jobs: int) -> int:
    """Return into how many parts each scan of a table is cut so that all processes have work."""
    from radgen.io import read_table

    workers = jobs or os.cpu_count() or 1
    n_scans = max(1, read_table(table).height)
    return 1 if n_scans >= workers else -(-workers // n_scans)


def draw_table(table: Path, folder: Path, *, pool: Executor | None = None) -> str:
    """Draw every scan of a cohort table into a folder; return in a line what was drawn."""
    from radgen.features.quality import draw_cohort
    from radgen.io import read_table

    rows = read_table(table)
    failed = draw_cohort(rows, folder, folder=Path(table).parent, executor=pool)
    text = f"Pictures of {rows.height - len(failed)} scans in {folder}"
    if failed:
        text += f"; {len(failed)} could not be drawn: {shown([f'{a}: {b}' for a, b in failed])}"
    return text


def described(settings: AnySettings, layout: str = "long") -> dict[str, Any]:
    """Return what made a table: settings and their digest, version, versions of the families."""
    load()
    families = getattr(settings, "families", ())
    return {
        "encoding_type": "radgen-features",
        "encoding_version": 1,
        "layout": layout,
        "radgen": __version__,
        "settings_digest": settings.digest(),
        "settings": settings.to_mapping(),
        "family_versions": {name: FAMILIES.get(name).version for name in families},
    }


def write_features(
    long: pl.DataFrame, path: Path, *, layout: str = "long", settings: AnySettings | None = None
) -> None:
    """Write a long table as it is, or with a row a sample ("wide").

    Parameters
    ----------
    long : polars.DataFrame
        As returned by `extract` or `extract_cohort`.
    path : Path
        Ends in .csv, .tsv or .parquet.
    layout : {"long", "wide"}
        Which table.
    settings : ExtractionSettings, Parameters or None
        What made it: written with its digest beside the table as ``PATH.json``, and into the
        metadata of Parquet (key "radgen").

    Raises
    ------
    InputError
        If the layout or the suffix (.csv, .tsv, .parquet) is unknown.
    """
    require_choice(layout, ("long", "wide"), what="format")
    suffix = require_choice(Path(path).suffix.lower(), _SUFFIXES, what="suffix of a table")
    frame = long if layout == "long" else to_wide(long)
    about = "" if settings is None else json.dumps(described(settings, layout), indent=1)
    with atomic_path(path) as temporary:
        if suffix == ".parquet":
            frame.write_parquet(temporary, metadata={"radgen": about} if about else None)
        else:
            frame.write_csv(temporary, separator="\t" if suffix == ".tsv" else ",")
    if about:
        write_text(Path(f"{path}.json"), about + "\n")


@dataclass(frozen=True, slots=True)
class ScanFiles:
    """One scan on disk: files, labels ("1" or "tumour=1+2"), sample id and modality."""

    image: Path | None
    mask: Path | None
    labels: tuple[str, ...] = ()
    sample: str = ""
    modality: str = ""


@dataclass(frozen=True, slots=True)
class CohortWork:
    """A table of scans, and how it is worked on.

    Attributes
    ----------
    table : Path or None
        The table; None = a single scan.
    jobs : int
        Processes; 0 = one a processor.
    cluster : str or None
        Address or scheduler file of a Dask cluster.
    parts : int
        Units that each scan is cut into; 0 = so many that all processes have work.
    store : Path or None
        Folder of finished scans.
    """

    table: Path | None
    jobs: int = 1
    cluster: str | None = None
    parts: int = 0
    store: Path | None = None


def measured(
    scan: ScanFiles, work: CohortWork, *, settings: AnySettings, qc: Path | None = None
) -> tuple[pl.DataFrame, list[str]]:
    """Return the long table of a scan or a cohort, and notes about what was drawn.

    Parameters
    ----------
    scan : ScanFiles
        What is measured where `work` names no table.
    work : CohortWork
        The cohort.
    settings : ExtractionSettings or Parameters
        What to measure.
    qc : Path or None
        PNG file of the scan, or folder of pictures of the cohort.

    Returns
    -------
    table : polars.DataFrame
        Columns `LONG_SCHEMA`.
    notes : list of str
        A line about pictures.

    Raises
    ------
    InputError
        If the table of scans is not usable, or no cluster answers.
    """
    if work.table is None:
        assert scan.image is not None
        assert scan.mask is not None
        more: dict[str, Any] = {"labels": scan.labels, "modality": scan.modality}
        table = extract_files(scan.image, scan.mask, settings=settings, sample=scan.sample, **more)
        if qc is None:
            return table, []
        from radgen.features.quality import draw_scan

        draw_scan(scan.image, scan.mask, qc, **more)
        return table, [f"Picture: {qc}"]
    parts = work.parts or parts_for(work.table, work.jobs)
    with executor(work.jobs, work.cluster) as pool:
        table = extract_table(
            work.table, settings=settings, pool=pool, store=work.store, parts=parts
        )
        notes = [draw_table(work.table, qc, pool=pool)] if qc is not None else []
    return table, notes


def response_of(image: Path | None, settings: AnySettings, out: Path, *, modality: str = "") -> str:
    """Write the response of an image to the filter of the settings; return a line about it.

    Raises
    ------
    InputError
        If there is no image, or the settings do not make exactly one response.
    """
    if image is None:
        raise InputError("Give the image whose filter response is written.")
    about = write_response(image, settings, out, modality=modality)
    return f"Response {about['map']} in {out} (settings {about['settings_digest'][:12]})"


def require_request(
    image: Path | None, mask: Path | None, cohort: Path | None, *, out: Path, layout: str
) -> None:
    """Raise `InputError` unless there is one source, and a table that can be written."""
    require_choice(layout, ("long", "wide"), what="format")
    require_choice(Path(out).suffix.lower(), _SUFFIXES, what="suffix of a table")
    if cohort is not None and (image is not None or mask is not None):
        raise InputError("Give an image and a mask, or --cohort with a table, not both.")
    if cohort is None and (image is None or mask is None):
        raise InputError("Give an image and a mask, or --cohort with a table of them.")


def any_failed(long: pl.DataFrame) -> bool:
    """Return whether a scan or a feature failed."""
    return bool((long["status"] == "failed").any())


def summary(long: pl.DataFrame, path: Path) -> str:
    """Return in one line what was measured, what not, and where it lies."""
    count = dict(long.group_by("status").len().iter_rows())
    failed = long.filter((pl.col("feature") == "") & (pl.col("status") == "failed"))
    gaps = long.filter((pl.col("status") == "ok") & (pl.col("reason") != ""))
    text = (
        f"{counted(count.get('ok', 0), 'value')} of {counted(long['sample'].n_unique(), 'sample')} "
        f"in {path}; "
        f"{count.get('undefined', 0)} undefined, {count.get('failed', 0)} failed."
    )
    if failed.height:
        reasons = failed.select(pl.concat_str("sample", pl.lit(": "), "reason")).to_series()
        text += f" Scans that failed: {shown(reasons.to_list())}"
    if gaps.height:
        where = gaps.select(pl.concat_str("sample", pl.lit(" "), "region", pl.lit(": "), "reason"))
        named = where.to_series().unique(maintain_order=True).to_list()
        text += f" Left out of regions: {shown(named)}."
    return text
