"""Extract features of many scans: in parallel, resumable, one bad scan never stops the rest."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import polars as pl

from radgen._core.digest import digest, digest_file
from radgen._core.executors import map_surviving
from radgen._core.files import atomic_path
from radgen.errors import InputError, RadgenError, shown
from radgen.features._families import load
from radgen.features._registry import FAMILIES
from radgen.features.extraction import LONG_SCHEMA, extract
from radgen.features.settings import ExtractionSettings
from radgen.types import to_polars
from radgen.types._frame import FrameLike

if TYPE_CHECKING:
    from radgen.features.pyradiomics import Parameters

__all__ = [
    "AnySettings",
    "ResultStore",
    "ScanUnit",
    "extract_cohort",
    "extract_unit",
    "parse_labels",
    "scan_units",
    "settings_of",
]

AnySettings: TypeAlias = "ExtractionSettings | Parameters"
"""Settings of the IBSI profile, or parameters of the PyRadiomics profile."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ScanUnit:
    """One scan with one mask file: what one worker does at a time. Plain values only.

    Attributes
    ----------
    sample : str
        Id of the sample.
    image, mask : str
        Paths of the files.
    labels : tuple of (str, tuple of int)
        Region names and the mask values that make them; () = as the file names them.
    modality : str
        "CT", "MR", "PT" or "" where unknown.
    settings : mapping
        `ExtractionSettings.to_mapping`, or PyRadiomics parameters with ``profile =
        "pyradiomics"``.
    threads : int
        Threads within the unit.
    part : tuple of int (2,)
        (k, n): part k of n of the regions and image types; see `extract`.
    """

    sample: str
    image: str
    mask: str
    labels: tuple[tuple[str, tuple[int, ...]], ...]
    modality: str
    settings: Mapping[str, Any]
    threads: int = 1
    part: tuple[int, int] = (0, 1)


def extract_unit(unit: ScanUnit) -> dict[str, list[Any]]:
    """Return the long table of one scan as plain columns; a failure becomes one status row.

    Parameters
    ----------
    unit : ScanUnit
        What to read and measure.

    Returns
    -------
    dict of str to list
        Columns of the long table. Where the scan cannot be read or measured there is a single
        row with status "failed", the reason, and no feature name.
    """
    settings = settings_of(unit)
    try:
        frame = _measure(unit, settings)
    except (RadgenError, OSError, ValueError, MemoryError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        return _failed(unit, reason)
    return frame.to_dict(as_series=False)


def settings_of(unit: ScanUnit) -> AnySettings:
    """Return the typed settings of a unit."""
    plain = dict(unit.settings)
    if plain.pop("profile", "ibsi") == "pyradiomics":
        from radgen.features.pyradiomics import read_parameters

        return read_parameters(plain)
    return ExtractionSettings.from_mapping(plain)


def _measure(unit: ScanUnit, settings: AnySettings) -> pl.DataFrame:
    from radgen.io import read_image, read_masks

    image = read_image(unit.image, modality=unit.modality)
    labels = {name: list(values) for name, values in unit.labels} or None
    masks = read_masks(unit.mask, labels=labels, reference=image)
    if isinstance(settings, ExtractionSettings):
        return extract(
            image,
            masks,
            settings=settings,
            sample=unit.sample,
            threads=unit.threads,
            part=unit.part,
        )
    from radgen.features.pyradiomics import extract_pyradiomics

    return extract_pyradiomics(
        image, masks, parameters=settings, sample=unit.sample, threads=unit.threads
    )


def _failed(unit: ScanUnit, reason: str) -> dict[str, list[Any]]:
    row: dict[str, Any] = dict.fromkeys(LONG_SCHEMA, "")
    row |= {"sample": unit.sample, "value": float("nan"), "status": "failed", "reason": reason}
    return {key: [value] for key, value in row.items()}


def parse_labels(text: Any) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Return region names and mask values of ``tumour=1;rim=2+3`` or plain ``1``.

    Parameters
    ----------
    text : str, mapping or None
        Blank means: as the mask file names its regions.

    Returns
    -------
    tuple of (str, tuple of int)
        In the order given.

    Raises
    ------
    InputError
        If the text cannot be read.
    """
    if text is None or str(text).strip() == "":
        return ()
    if isinstance(text, Mapping):
        return tuple(
            (str(name), tuple([values] if isinstance(values, int) else [int(v) for v in values]))
            for name, values in text.items()
        )
    found = []
    for part in str(text).replace(",", ";").split(";"):
        if not part.strip():
            continue
        name, _, numbers = part.rpartition("=")
        try:
            values = tuple(int(float(number)) for number in numbers.split("+"))
        except ValueError as error:
            raise InputError(
                f"Labels {text!r} cannot be read. Write 1, or tumour=1;rim=2+3."
            ) from error
        found.append((name.strip() or f"label-{numbers.strip()}", values))
    return tuple(found)


def scan_units(
    rows: FrameLike | Iterable[Mapping[str, Any]],
    *,
    settings: AnySettings,
    folder: str | Path = ".",
    threads: int = 1,
    parts: int = 1,
) -> list[ScanUnit]:
    """Return the units of work of a cohort table.

    Parameters
    ----------
    rows : data frame or iterable of mapping
        Columns ``sample``, ``image`` and ``mask``; optional ``labels`` ("tumour=1;rim=2+3")
        and ``modality``.
    settings : ExtractionSettings or Parameters
        What to measure.
    folder : str or Path
        Where relative paths start.
    threads : int
        Threads within a unit.
    parts : int
        Units that each scan is cut into, by region and image type; parameters of PyRadiomics
        are not cut.

    Returns
    -------
    list of ScanUnit
        In the order of the rows, the parts of a row one after another.

    Raises
    ------
    InputError
        If a column is missing, a cell is blank, or labels cannot be read.
    """
    if isinstance(rows, Sequence | Iterable) and not hasattr(rows, "columns"):
        records = [dict(row) for row in rows]
    else:
        records = to_polars(rows, what="cohort table").to_dicts()
    units: list[ScanUnit] = []
    plain, base = settings.to_mapping(), Path(folder)
    n_parts = max(1, parts) if isinstance(settings, ExtractionSettings) else 1
    for number, row in enumerate(records, start=1):
        missing = [
            key for key in ("sample", "image", "mask") if not str(row.get(key) or "").strip()
        ]
        if missing:
            raise InputError(
                f"Cohort table, row {number}: no {shown(missing)}. "
                "Each row needs sample, image and mask."
            )
        units += [
            ScanUnit(
                str(row["sample"]),
                (base / str(row["image"])).as_posix(),
                (base / str(row["mask"])).as_posix(),
                parse_labels(row.get("labels")),
                str(row.get("modality") or ""),
                plain,
                threads,
                (part, n_parts),
            )
            for part in range(n_parts)
        ]
    return units


class ResultStore:
    """Tables of finished scans in a folder, found again by what they were made of.

    Parameters
    ----------
    folder : str or Path
        Made where it is missing.

    Notes
    -----
    The key is a digest of the settings, the labels, and the content of image and mask files,
    so a changed file is measured again. Failures are not kept: they are tried again.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def _path(self, unit: ScanUnit) -> Path | None:
        files = [Path(unit.image), Path(unit.mask)]
        if not all(file.exists() for file in files):
            return None
        load()
        families = [FAMILIES.get(name) for name in dict(unit.settings).get("families", ())]
        settings = settings_of(unit).digest()
        key = digest(
            unit.sample,
            unit.labels,
            unit.modality,
            settings,
            {family.name: family.version for family in families},
            [digest_file(file) for file in files],
            unit.part,
        )
        return self.folder / f"{key}.parquet"

    def get(self, unit: ScanUnit) -> pl.DataFrame | None:
        """Return the stored table of a unit, or None."""
        path = self._path(unit)
        return pl.read_parquet(path) if path is not None and path.exists() else None

    def put(self, unit: ScanUnit, table: pl.DataFrame) -> None:
        """Store the table of a unit that did not fail as a whole."""
        path = self._path(unit)
        if path is None or (table["feature"] == "").any():
            return
        with atomic_path(path) as temporary:
            table.write_parquet(temporary)


def extract_cohort(
    rows: FrameLike | Iterable[Mapping[str, Any]],
    *,
    settings: AnySettings,
    executor: Executor | None = None,
    on_done: Callable[[ScanUnit, pl.DataFrame], Any] | None = None,
    done: Callable[[ScanUnit], pl.DataFrame | None] | None = None,
    folder: str | Path = ".",
    parts: int = 1,
) -> pl.DataFrame:
    """Return the long feature table of many scans.

    Parameters
    ----------
    rows : data frame or iterable of mapping
        Columns ``sample``, ``image`` and ``mask`` (paths); optional ``labels``
        ("tumour=1;rim=2+3") and ``modality``.
    settings : ExtractionSettings or Parameters
        What to measure and how, for all scans.
    executor : concurrent.futures.Executor or None
        Where scans are worked on; None = one after another in this process. Where a worker
        process dies, its scan gets a failed row and the others go on.
    on_done : callable or None
        Called as ``on_done(unit, table)`` in this process when a unit has ended, in any
        order: the place to store its table.
    done : callable or None
        ``done(unit)`` returns the stored table of a unit that needs no work, or None.
    folder : str or Path
        Where relative paths start.
    parts : int
        Units that each scan is cut into, by region and image type, for few scans and many
        workers; the table does not depend on it.

    Returns
    -------
    polars.DataFrame
        Columns `LONG_SCHEMA`, in the order of `rows`. A scan that failed has one row with
        status "failed" and its reason.

    Raises
    ------
    InputError
        If the table of scans itself is not usable. A bad scan raises nothing.
    """
    units = scan_units(rows, settings=settings, folder=folder, parts=parts)
    tables: list[pl.DataFrame | None] = [done(unit) if done else None for unit in units]
    todo = [k for k, table in enumerate(tables) if table is None]

    def finish(index: int, columns: dict[str, list[Any]]) -> None:
        table = pl.DataFrame(columns, schema=LONG_SCHEMA)
        tables[todo[index]] = table
        if on_done is not None:
            on_done(units[todo[index]], table)

    map_surviving(
        extract_unit,
        [units[k] for k in todo],
        pool=executor,
        lost=_failed,
        what="Extracting features",
        on_done=finish,
    )
    done_tables = [table for table in tables if table is not None]
    n = units[0].part[1] if units else 1
    rows_of = [_joined(done_tables[k : k + n]) for k in range(0, len(done_tables), n)]
    long = pl.concat(rows_of or [_no_rows()])
    failed = long.filter((pl.col("feature") == "") & (pl.col("status") == "failed"))
    _LOG.info(
        "Features of %d scans: %d measured now, %d taken over, %d failed.",
        len(units),
        len(todo) - failed.height,
        len(units) - len(todo),
        failed.height,
    )
    return long


def _joined(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """Return the parts of a scan as one table; parts that failed alike are one failed row."""
    if len(parts) == 1:
        return parts[0]
    whole = pl.concat(parts)
    lost = whole.filter(pl.col("feature") == "").unique(maintain_order=True)
    return pl.concat([whole.filter(pl.col("feature") != ""), lost])


def _no_rows() -> pl.DataFrame:
    return pl.DataFrame(schema=LONG_SCHEMA)
