"""Look at the scans of a study before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from radgen._core.progress import progress
from radgen.errors import RadgenError
from radgen.study.gather import Gathered
from radgen.study.problems import Problem

__all__ = ["check_scans"]


def check_scans(found: Gathered, *, deep: bool) -> list[Problem]:
    """Return scans and masks that do not exist or, if `deep`, cannot be read together."""
    images = found.settings.images
    assert images is not None
    table = found.files.get("images.table")
    sequences = images.all_sequences()
    problems = []
    with progress("Checking scans", len(found.scans)) as tick:
        for scan in found.scans:
            for name, (image, mask) in scan.files.items():
                text = _missing(image, mask)
                if not text and deep:
                    sequence = sequences[name]
                    modality = scan.modality or sequence.modality or ""
                    text = _unreadable(image, mask, modality, sequence.regions)
                if text:
                    line = scan.row + 1 if table else 0
                    what = f"{scan.sample}{f', {name}' if name else ''}: {text}"
                    place = str(table or found.path)
                    problems.append(Problem(place, line, what, "Correct the file or its name."))
            problems += [
                Problem(
                    str(table or found.path),
                    scan.row + 1 if table else 0,
                    f"{scan.sample}, {step}: {text}",
                    "Correct the file or its name.",
                )
                for step, files in scan.series.items()
                if (text := _no_series(files))
            ]
            tick(1)
    return problems


def _no_series(files: Mapping[str, tuple[Path, ...]]) -> str:
    absent = [
        f"the {what} {path} does not exist"
        for what, paths in files.items()
        for path in paths
        if not path.exists()
    ]
    return f"{' and '.join(absent)}." if absent else ""


def _missing(image: Path, mask: Path) -> str:
    files = {"image": image, "mask": mask}
    absent = [
        f"the {what} {path} does not exist" for what, path in files.items() if not path.exists()
    ]
    return f"{' and '.join(absent)}." if absent else ""


def _unreadable(
    image: Path, mask: Path, modality: str, regions: dict[str, int | list[int]] | None
) -> str:
    from radgen.io import read_image, read_masks

    try:
        volume = read_image(image, modality=modality)
        for item in read_masks(mask, labels=regions, reference=volume).values():
            item.require_on(volume)
    except (RadgenError, OSError, ValueError, RuntimeError) as error:
        return " ".join(str(error).split())
    return ""
