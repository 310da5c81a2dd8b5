"""Find the pattern by which the files of scans and masks are named."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
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
MASK_NAME = re.compile(r"(mask|seg|label|roi|dseg|tumou?r|lesion|annotation|gtv|contour)", re.I)
"""Names of masks among files and columns."""

_LESION = re.compile(r"(tumou?r|lesion|gtv|nodule|cancer)", re.I)
_DATED = re.compile(
    r"\d{4}[-_.]?\d{1,2}[-_.]?\d{1,3}|\d{1,2}[-_.]\d{1,2}[-_.]\d{4}.*|(ses|visit|scan)\W?\w+", re.I
)
_MODALITIES = {
    "CT": {"ct", "cta", "cect", "ncct"},
    "MR": {"mr", "mri", "t1", "t1w", "t1c", "t1ce", "t1gd", "t2", "t2w", "flair", "adc", "dwi",
           "swi", "dce", "dsc", "dti"},
    "PT": {"pet", "pt", "suv", "fdg"},
    "MG": {"mg", "mammo", "mammography"},
    "US": {"us", "ultrasound"},
}  # fmt: skip
_MOST = 6
_WORDS = 6


class ScanPatterns(NamedTuple):
    """File patterns with {id}: the only image or several by name, the mask, and what was found."""

    image: str
    sequences: dict[str, str]
    mask: str
    modality: str
    note: str


def volume_patterns(volumes: Sequence[str], known: Collection[str] = ()) -> ScanPatterns | None:
    """Return the patterns of images and masks, whatever the layout.

    Parameters
    ----------
    volumes : sequence of str
        Paths of image and mask files below the folder.
    known : collection of str
        Ids of patients of tables, which tell what part of a path is the id.

    Returns
    -------
    ScanPatterns or None
        Of all ways to cut an id out of the paths, the one that most patients with image and mask
        share, and of these the one whose ids are known or longest. Folders that differ within a
        patient (dates) become ``*``.
    """
    for dated in (False, True):
        families: dict[str, dict[str, str]] = {}
        for name in volumes:
            for id_, pattern in _ways(_undated(name) if dated else name):
                families.setdefault(pattern, {})[id_] = name
        some = {pattern: ids for pattern, ids in families.items() if len(ids) >= 2}
        masks = [pattern for pattern in some if MASK_NAME.search(_fixed(pattern))]
        images = [pattern for pattern in some if pattern not in set(masks)]
        found = _best(some, images, masks, set(known))
        if found is not None:
            return found
    return None


def _best(
    some: Mapping[str, Mapping[str, str]],
    images: Sequence[str],
    masks: Sequence[str],
    known: set[str],
) -> ScanPatterns | None:
    """Return the mask with the images of the same patients, of those that fit best."""

    masked = {file for mask in masks for file in some[mask].values()}
    images = [p for p in images if not masked & set(some[p].values())]

    def partners(mask: str) -> list[str]:
        own = set(some[mask])
        return [p for p in images if len(own & set(some[p])) >= max(2, 0.5 * len(own))]

    def rank(mask: str) -> tuple[float, ...]:
        ids = set(some[mask])
        both = ids & {id_ for pattern in partners(mask) for id_ in some[pattern]}
        length = sum(map(len, ids)) / len(ids)
        lesion = bool(_LESION.search(_fixed(mask)))
        return (len(both), len(both & known), length, lesion, -len(mask))

    fitting = [mask for mask in masks if partners(mask)]
    if not fitting:
        return None
    mask = max(fitting, key=rank)
    chosen = sorted(partners(mask), key=lambda p: (-len(some[p]), p))[:_MOST]
    several = {}
    if len(chosen) > 1:
        several = dict(zip(_sequence_names(chosen), chosen, strict=True))
    count = len(some[chosen[0]])
    note = f"{len(chosen)} images each of about {count} patients, such as {chosen[0]}"
    kinds = {kind for pattern in chosen for kind in _modality(pattern)}
    modality = kinds.pop() if len(kinds) == 1 else ""
    return ScanPatterns("" if several else chosen[0], several, mask, modality, note)


def _modality(pattern: str) -> list[str]:
    words = {word.lower() for word in re.findall(r"[A-Za-z0-9]+", _fixed(pattern))}
    return [kind for kind, names in _MODALITIES.items() if words & names]


def _ways(path: str) -> list[tuple[str, str]]:
    """Return each part of a path that could be the id, with the path where it is cut out.

    An id is a run of words of a folder or file name, holds a digit, and is cut out wherever it
    stands between marks.
    """
    ending = VOLUME_NAME.search(path)
    assert ending is not None
    stem, tail = path[: ending.start()], path[ending.start() :]
    if stem.endswith(".seg"):
        stem, tail = stem.removesuffix(".seg"), ".seg" + tail
    found: dict[str, str] = {}
    for part in dict.fromkeys(stem.split("/")):
        words = list(re.finditer(r"[^_.\-\s]+", part))
        for i, first in enumerate(words):
            for last in words[i : i + _WORDS]:
                id_ = part[first.start() : last.end()]
                if id_ not in found and any(ch.isdigit() for ch in id_) and "*" not in id_:
                    cut = rf"(?<![A-Za-z0-9]){re.escape(id_)}(?![A-Za-z0-9])"
                    found[id_] = re.sub(cut, "{id}", stem) + tail
    return list(found.items())


def _undated(path: str) -> str:
    """Return a path in which folders that are dates or numbers of examinations are ``*``."""
    *folders, name = path.split("/")
    return "/".join([*("*" if _DATED.fullmatch(part) else part for part in folders), name])


def _fixed(pattern: str) -> str:
    return pattern.replace("{id}", "")


def _sequence_names(patterns: Sequence[str]) -> list[str]:
    """Return what tells the patterns apart: their words that not all share."""
    words = [re.findall(r"[A-Za-z0-9]+", VOLUME_NAME.sub("", _fixed(p))) for p in patterns]
    common = set(words[0]).intersection(*words[1:])
    names = [safe_name("_".join(w for w in some if w not in common)) for some in words]
    return [n if names.count(n) == 1 else f"{n}{k + 1}" for k, n in enumerate(names)]


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


def safe_name(name: str) -> str:
    """Return a name that can head a section of a study file."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_") or "image"
