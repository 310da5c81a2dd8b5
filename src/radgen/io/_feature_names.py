"""What a feature's column name tells: filter, family, feature, IBSI code."""

from __future__ import annotations

import csv
import re
from functools import cache
from importlib.resources import files

from radgen.types import SPEC_COLUMNS

__all__ = ["LONG_COLUMNS", "is_diagnostic", "name_spec"]

LONG_COLUMNS = (
    "sample",
    "region",
    "filter",
    "family",
    "feature",
    "aggregation",
    "ibsi_code",
    "value",
    "unit",
    "status",
    "reason",
)

_PYRADIOMICS = re.compile(
    r"(?:(?P<image>.+?)_)?"
    r"(?P<filter>original|wavelet2?-[HL]{2,3}|log-sigma-[\d.\-]+-mm-[23]D|squareroot|square|"
    r"logarithm|exponential|gradient|lbp-2D|lbp-3D-(?:m\d+|k))_"
    r"(?P<family>shape2D|shape|firstorder|glcm|glrlm|glszm|gldm|ngtdm)_"
    r"(?P<feature>[A-Za-z0-9]+)(?:_(?P<region>.+))?"
)
_CAPTK = re.compile(
    r"(?P<image>[A-Za-z0-9]+)_(?P<region>[A-Za-z0-9]+)_"
    r"(?P<family>Intensity|Histogram|Volumetric|Morphologic|GLCM|GLRLM|GLSZM|NGTDM|NGLDM|LBP|"
    r"Gabor|Laws|Lattice|Collage|FractalDimension|PowerSpectrum)_"
    r"(?P<settings>(?:[A-Za-z]+-[\d.]+_)*)(?P<feature>[A-Za-z0-9]+)"
)
_MIRP = re.compile(
    r"(?:(?P<filter>.+?)_)?(?P<feature>(?:morph|loc|stat|ih|ivh|cm|rlm|szm|dzm|ngt|ngl)_[a-z0-9_.]+)"
)
_MIRP_FAMILY = {
    "morph": "morphology",
    "loc": "local_intensity",
    "stat": "intensity_statistics",
    "ih": "intensity_histogram",
    "ivh": "intensity_volume_histogram",
    "cm": "glcm",
    "rlm": "glrlm",
    "szm": "glszm",
    "dzm": "gldzm",
    "ngt": "ngtdm",
    "ngl": "ngldm",
}
_MIRP_TAIL = re.compile(
    r"(?P<feature>.+?)(?P<aggregation>(?:_d\d+(?:\.\d+)?|_a\d+(?:\.\d+)?|_(?:2d|2\.5d|3d)|"
    r"_(?:s|v)_(?:mrg|avg)|_(?:mrg|avg|comb))*)(?P<bins>(?:_fb[ns]_[nw][\d.]+)?)"
)
_RADGEN_FAMILIES = frozenset({*_MIRP_FAMILY.values(), "ngldm"})


def is_diagnostic(name: str) -> bool:
    """Return whether a column holds settings or versions and no feature."""
    return bool(re.match(r"(.+_)?diagnostics_", name)) or name.lower().startswith(
        ("image_settings_", "img_dim_", "img_vox_dim", "img_data_settings", "vol_dim")
    )


def name_spec(name: str) -> dict[str, str]:
    """Return a row of `PhenotypeTable.specs` for a column name; blank where it tells nothing."""
    row = dict.fromkeys(SPEC_COLUMNS, "")
    row["name"] = row["feature"] = name
    parts = name.split("|")
    if len(parts) > 1:
        return _radgen(parts, row)
    found = _PYRADIOMICS.fullmatch(name)
    if found:
        family, code = _code("pyradiomics", found["family"], found["feature"])
        return row | {
            "image": found["image"] or "",
            "region": found["region"] or "",
            "filter": "" if found["filter"] == "original" else found["filter"],
            "family": family,
            "feature": found["feature"],
            "ibsi_code": code,
        }
    found = _CAPTK.fullmatch(name)
    if found:
        family, code = _code("captk", found["family"], found["feature"])
        return row | {
            "image": found["image"],
            "region": found["region"],
            "family": family,
            "feature": found["feature"],
            "aggregation": found["settings"].rstrip("_"),
            "ibsi_code": code,
        }
    return _mirp(name, row)


def _mirp(name: str, row: dict[str, str]) -> dict[str, str]:
    found = _MIRP.fullmatch(name)
    tail = _MIRP_TAIL.fullmatch(found["feature"]) if found else None
    if found is None or tail is None:
        return row
    prefix = found["feature"].split("_")[0]
    feature = tail["feature"]
    _, code = _code("mirp", prefix, feature)
    known = bool(code) or bool(tail["aggregation"]) or bool(tail["bins"])
    if not known:
        return row
    return row | {
        "filter": found["filter"] or "",
        "family": _MIRP_FAMILY[prefix],
        "feature": feature,
        "aggregation": (tail["aggregation"] + tail["bins"]).strip("_"),
        "ibsi_code": code,
    }


def _radgen(parts: list[str], row: dict[str, str]) -> dict[str, str]:
    """Return the spec of ``region|filter|family|feature|aggregation``, ends left out at will."""
    at = next((i for i, part in enumerate(parts) if part in _RADGEN_FAMILIES), None)
    if at is None or at + 1 >= len(parts) or at > 2:
        return row
    row = row | {"family": parts[at], "feature": parts[at + 1]}
    if at >= 1:
        row["filter"] = parts[at - 1]
    if at == 2:
        row["region"] = parts[0]
    if len(parts) > at + 2:
        row["aggregation"] = "|".join(parts[at + 2 :])
    return row


def _code(tool: str, family: str, feature: str) -> tuple[str, str]:
    return _codes().get((tool, family, feature), (family.lower(), ""))


@cache
def _codes() -> dict[tuple[str, str, str], tuple[str, str]]:
    text = files("radgen.io").joinpath("feature_codes.csv").read_text(encoding="utf-8")
    return {
        (row["tool"], row["family"], row["feature"]): (row["ibsi_family"], row["ibsi_code"])
        for row in csv.DictReader(text.splitlines())
    }
