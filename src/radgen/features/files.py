"""Features from files to files: what the command line calls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from radgen._core.files import atomic_path
from radgen._core.naming import require_choice
from radgen.errors import InputError, shown
from radgen.features.cohort import AnySettings, extract_cohort
from radgen.features.extraction import extract
from radgen.features.phenotypes import to_wide
from radgen.features.settings import ExtractionSettings, preset, read_settings

__all__ = [
    "any_failed",
    "chosen_settings",
    "extract_files",
    "extract_table",
    "require_one_source",
    "summary",
    "write_features",
]

_WRITERS = {".parquet": "write_parquet", ".csv": "write_csv", ".tsv": "write_csv"}


def chosen_settings(name: str | None, path: Path | None) -> AnySettings:
    """Return the settings of a preset's name or a file; the default where both are None.

    A file that ends in .yaml, .yml or .json is a PyRadiomics parameter file.

    Raises
    ------
    InputError
        If both are given, or there is no such preset.
    ConfigError
        If the file cannot be used.
    """
    if name is not None and path is not None:
        raise InputError("Give a preset or a settings file, not both.")
    if path is not None:
        if path.suffix.lower() in (".yaml", ".yml", ".json"):
            from radgen.features.pyradiomics import read_parameters

            return read_parameters(path)
        return read_settings(path)
    return ExtractionSettings() if name is None else preset(name)


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


@contextmanager
def _workers(jobs: int) -> Iterator[Executor | None]:
    if jobs <= 1:
        yield None
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield pool


def extract_table(
    table: Path, *, settings: AnySettings, jobs: int = 1, store: Path | None = None
) -> pl.DataFrame:
    """Return the long table of every scan of a cohort table, several at a time.

    Parameters
    ----------
    table : Path
        Columns sample, image, mask; optional labels, modality. Relative paths start at the
        folder of the table.
    settings : ExtractionSettings or Parameters
        What to measure; parameters of PyRadiomics select its profile.
    jobs : int
        Number of processes.
    store : Path or None
        Folder that keeps the table of each finished scan, so that a run that was stopped goes
        on where it was; None keeps nothing.

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

    rows = read_table(table)
    kept = ResultStore(store) if store is not None else None
    with _workers(jobs) as pool:
        return extract_cohort(
            rows,
            settings=settings,
            executor=pool,
            folder=Path(table).parent,
            on_done=kept.put if kept else None,
            done=kept.get if kept else None,
        )


def write_features(long: pl.DataFrame, path: Path, *, layout: str = "long") -> None:
    """Write a long table as it is, or with a row a sample ("wide").

    Raises
    ------
    InputError
        If the layout or the suffix (.csv, .tsv, .parquet) is unknown.
    """
    require_choice(layout, ("long", "wide"), what="format")
    suffix = require_choice(Path(path).suffix.lower(), _WRITERS, what="file suffix")
    frame = long if layout == "long" else to_wide(long)
    with atomic_path(path) as temporary:
        if suffix == ".tsv":
            frame.write_csv(temporary, separator="\t")
        else:
            getattr(frame, _WRITERS[suffix])(temporary)


def require_one_source(image: Path | None, mask: Path | None, cohort: Path | None) -> None:
    """Raise `InputError` unless either image and mask, or a cohort table, is given."""
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
    text = (
        f"{count.get('ok', 0)} values of {long['sample'].n_unique()} samples in {path}; "
        f"{count.get('undefined', 0)} undefined, {count.get('failed', 0)} failed."
    )
    if failed.height:
        reasons = failed.select(pl.concat_str("sample", pl.lit(": "), "reason")).to_series()
        text += f" Scans that failed: {shown(reasons.to_list())}"
    return text
