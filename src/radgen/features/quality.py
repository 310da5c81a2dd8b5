"""Pictures for quality control: each scan of a cohort with the outlines of its regions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radgen._core.executors import map_surviving
from radgen._core.files import atomic_path
from radgen.errors import RadgenError
from radgen.features.cohort import ScanUnit, scan_units
from radgen.features.settings import ExtractionSettings
from radgen.types._frame import FrameLike

__all__ = ["draw_cohort", "draw_scan"]

_A_SHEET = 24


@dataclass(frozen=True, slots=True)
class _Picture:
    """One picture to draw, as plain values."""

    unit: ScanUnit
    path: str


def draw_scan(
    image: Path, mask: Path, out: Path, *, labels: Sequence[str] = (), modality: str = ""
) -> None:
    """Write a picture of a scan: three planes through its regions with their outlines.

    Parameters
    ----------
    image, mask : Path
        Files or folders of any format that radgen reads.
    out : Path
        The PNG file.
    labels : sequence of str
        Which mask values are regions: "1" or "tumour=1+2".
    modality : str
        "CT", "MR", … where the file is mute.

    Raises
    ------
    FormatError
        If a file cannot be read.
    GeometryError
        If the mask does not lie on the image's grid.
    """
    row = {"sample": Path(image).name, "image": str(image), "mask": str(mask)}
    more = {"labels": ";".join(labels), "modality": modality}
    (unit,) = scan_units([row | more], settings=ExtractionSettings())
    _draw(unit, Path(out))


def draw_cohort(
    rows: FrameLike | Iterable[Mapping[str, Any]],
    out: Path,
    *,
    folder: str | Path = ".",
    executor: Executor | None = None,
) -> list[tuple[str, str]]:
    """Write a picture of every scan of a cohort, and sheets that show them all.

    Parameters
    ----------
    rows : data frame or iterable of mapping
        As `extract_cohort` takes them.
    out : Path
        Folder for the pictures; one that is there and newer than its scan is kept.
    folder : str or Path
        Where relative paths start.
    executor : concurrent.futures.Executor or None
        Where scans are drawn; None = in this process.

    Returns
    -------
    list of (str, str)
        Sample and reason of every scan that could not be drawn.

    Raises
    ------
    InputError
        If the table of scans is not usable.
    """
    units = scan_units(rows, settings=ExtractionSettings(), folder=folder)
    seen: dict[str, int] = {}
    pictures = []
    for unit in units:
        name = "-".join(re.findall(r"[A-Za-z0-9.+_]+", unit.sample)) or "scan"
        seen[name] = seen.get(name, 0) + 1
        number = f"-{seen[name]}" if seen[name] > 1 else ""
        pictures.append(_Picture(unit, (Path(out) / f"{name}{number}.png").as_posix()))
    todo = [picture for picture in pictures if not _is_fresh(picture)]
    reasons = map_surviving(
        _try_to_draw,
        todo,
        pool=executor,
        lost=lambda _picture, reason: reason,
        what="Drawing scans",
    )
    failed = [(p.unit.sample, reason) for p, reason in zip(todo, reasons, strict=True) if reason]
    _sheets([picture for picture in pictures if Path(picture.path).exists()], Path(out))
    return failed


def _is_fresh(picture: _Picture) -> bool:
    path = Path(picture.path)
    files = [Path(picture.unit.image), Path(picture.unit.mask)]
    if not path.exists() or not all(file.exists() for file in files):
        return False
    return path.stat().st_mtime >= max(file.stat().st_mtime for file in files)


def _try_to_draw(picture: _Picture) -> str:
    """Draw a scan; return why it could not be drawn, "" where it was."""
    try:
        _draw(picture.unit, Path(picture.path))
    except (RadgenError, OSError, ValueError, MemoryError) as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return ""


def _draw(unit: ScanUnit, path: Path) -> None:
    from radgen.io import read_image, read_masks
    from radgen.plot.images import montage

    image = read_image(unit.image, modality=unit.modality)
    labels = {name: list(values) for name, values in unit.labels} or None
    masks = read_masks(unit.mask, labels=labels, reference=image)
    for mask in masks.values():
        mask.require_on(image)
    figure = montage(image, masks, title=unit.sample)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)


def _sheets(pictures: list[_Picture], folder: Path) -> None:
    from matplotlib.image import imread

    from radgen.plot.images import contact_sheet

    for first in range(0, len(pictures), _A_SHEET):
        some = pictures[first : first + _A_SHEET]
        figure = contact_sheet([imread(picture.path) for picture in some])
        with atomic_path(folder / f"overview-{1 + first // _A_SHEET:03d}.png") as temporary:
            figure.savefig(temporary, dpi=100)
