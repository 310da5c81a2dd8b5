"""Find the pattern by which the files of scans and masks are named."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from radgen.io.layout import discover

__all__ = [
    "MASK_NAME",
    "VOLUME_NAME",
    "ScanPatterns",
    "dicom_patterns",
    "safe_name",
    "volume_patterns",
]

VOLUME_NAME = re.compile(r"\.(nii|nii\.gz|nrrd|mha|mhd)$", re.I)
"""Files of volumes."""
MASK_NAME = re.compile(r"(mask|seg|label|roi|dseg|tumou?r|lesion|annotation)", re.I)
"""Names of masks among files and columns."""


class ScanPatterns(NamedTuple):
    """File patterns with {id}: the only image or several by name, the mask, and what was found."""

    image: str
    sequences: dict[str, str]
    mask: str
    modality: str
    note: str


def volume_patterns(volumes: Sequence[str]) -> ScanPatterns | None:
    """Return the patterns of images and masks: BIDS, a folder a patient, or two folders."""
    patterns: dict[str, int] = {}
    for name in volumes:
        for pattern in _patterns(name):
            patterns[pattern] = patterns.get(pattern, 0) + 1
    best = {p: n for p, n in patterns.items() if n >= 2}
    masks = sorted((p for p in best if MASK_NAME.search(p)), key=lambda p: (-best[p], p))
    images = sorted((p for p in best if not MASK_NAME.search(p)), key=lambda p: (-best[p], p))
    if not masks or not images:
        return None
    style = _style(masks[0])
    images = [p for p in images if _style(p) == style]
    if not images:
        return None
    most = best[images[0]]
    chosen = [p for p in images if best[p] >= 0.5 * most][:6]
    several = {safe_name(_sequence(p)): p for p in chosen} if len(chosen) > 1 else {}
    note = f"{len(chosen)} images each of about {most} patients, such as {chosen[0]}"
    return ScanPatterns("" if several else chosen[0], several, masks[0], "", note)


def dicom_patterns(folder: Path) -> ScanPatterns | None:
    """Return the pattern of DICOM folders: a folder a patient with its series and its regions."""
    layout = discover(folder)
    patterns: Counter[tuple[str, str, str]] = Counter()
    for scan in layout.scans:
        if layout.kind == "dicom" and scan.mask is not None:
            image, mask = (
                "{id}/" + "/".join(path.relative_to(folder).parts[1:])
                for path in (scan.image, scan.mask)
            )
            patterns[image, mask, scan.modality] += 1
    if not patterns:
        return None
    (image, mask, modality), count = patterns.most_common(1)[0]
    note = f"DICOM series of {count} patients, such as {image}"
    return ScanPatterns(image, {}, mask, modality, note)


def _patterns(name: str) -> list[str]:
    parts = name.split("/")
    found = []
    if len(parts) >= 2:
        head = parts[0]
        rest = "/".join(parts[1:])
        found.append("{id}/" + rest.replace(head, "{id}"))
    if len(parts) == 2:
        stem = VOLUME_NAME.sub("", parts[1])
        ending = parts[1][len(stem) :]
        found.append(f"{parts[0]}/{{id}}{ending}")
        base, mark, tail = stem.rpartition("_")
        if mark:
            found.append(f"{parts[0]}/{{id}}_{tail}{ending}")
    if len(parts) == 1:
        stem = VOLUME_NAME.sub("", name)
        for mark in ("_", "-"):
            base, found_mark, tail = stem.rpartition(mark)
            if found_mark and base:
                found.append(f"{{id}}{mark}{tail}{name[len(stem) :]}")
    return found


def _style(pattern: str) -> str:
    return "folder a patient" if pattern.startswith("{id}/") else "files"


def _sequence(pattern: str) -> str:
    stem = VOLUME_NAME.sub("", pattern.rsplit("/", 1)[-1])
    return stem.replace("{id}", "").strip("_-") or stem


def safe_name(name: str) -> str:
    """Return a name that can head a section of a study file."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_") or "image"
