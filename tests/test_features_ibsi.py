"""IBSI 1: all reference values and diagnostics of the digital phantom and the CT phantom."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from radgen.features import diagnose, extract, preset
from radgen.types import Geometry, ImageVolume, Mask

CONFIGS = ("digital_phantom", "A", "B", "C", "D", "E")
COUNTS = {"digital_phantom": 482, "A": 346, "B": 346, "C": 209, "D": 210, "E": 210}


def read_phantom(folder: Path) -> tuple[ImageVolume, Mask]:
    import nibabel

    files = sorted(folder.rglob("*.nii*"))
    image = nibabel.load(next(file for file in files if "mask" not in file.as_posix()))
    mask = nibabel.load(next(file for file in files if "mask" in file.as_posix()))
    array = np.asarray(image.dataobj, dtype=np.float32).transpose(2, 1, 0)
    # NIfTI headers hold spacing in float32.
    spacing = tuple(round(float(size), 5) for size in image.header.get_zooms()[2::-1])
    geometry = Geometry.from_spacing(array.shape, spacing)
    inside = np.asarray(mask.dataobj).transpose(2, 1, 0) > 0.5
    return ImageVolume(array, geometry, modality="CT", unit="HU"), Mask(inside, geometry, "roi")


def phantom(config: str, data: Callable[[str], Path]) -> tuple[ImageVolume, Mask]:
    root = data("ibsi")
    folder = "ibsi_1_digital_phantom" if config == "digital_phantom" else "ct_phantom"
    return read_phantom(root / folder)


def settings_of(config: str):
    return preset("ibsi-digital" if config == "digital_phantom" else f"ibsi-{config.lower()}")


def read_rows(path: Path, config: str) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return [row for row in csv.DictReader(stream) if row["config"] == config]


def agrees(value: float, row: dict[str, str]) -> bool:
    """Three significant digits, then within the tolerance; 1e-9 covers decimal rounding."""
    target, tolerance = float(row["value"]), float(row["tolerance"])
    return abs(float(f"{value:.3g}") - target) <= tolerance + 1e-9 * abs(target)


@pytest.mark.parametrize("config", CONFIGS)
def test_reference_values(config: str, data: Callable[[str], Path]) -> None:
    rows = read_rows(data("ibsi") / "reference" / "ibsi1_reference_values.csv", config)
    assert len(rows) == COUNTS[config]
    image, mask = phantom(config, data)
    found = extract(image, mask, settings=settings_of(config))
    keys = found.select("family", "feature", "aggregation").iter_rows()
    value_of = dict(zip(keys, found["value"].to_list(), strict=True))
    code_of = dict(zip(found["feature"].to_list(), found["ibsi_code"].to_list(), strict=True))
    wrong = []
    for row in rows:
        key = (row["family"], row["feature"], row["aggregation_code"])
        if not agrees(value_of[key], row):
            wrong.append((key, value_of[key], row["value"], row["tolerance"]))
    assert not wrong
    codes = {row["feature"]: row["ibsi_code"] for row in rows if row["family"] == "morphology"}
    assert {name: code_of[name] for name in codes} == codes
    assert (found["status"] == "ok").all()


@pytest.mark.parametrize("config", CONFIGS[1:])
def test_diagnostics(config: str, data: Callable[[str], Path]) -> None:
    rows = read_rows(data("ibsi") / "reference" / "ibsi1_diagnostic_values.csv", config)
    assert len(rows) == 60
    image, mask = phantom(config, data)
    found = diagnose(image, mask, settings=settings_of(config))
    value_of = dict(zip(found["tag"].to_list(), found["value"].to_list(), strict=True))
    wrong = []
    for row in rows:
        target, tolerance = float(row["value"]), float(row["tolerance"])
        # Counts are exact; other values are printed with three significant digits.
        value = value_of[row["tag"]]
        if abs(value - target) > tolerance and not agrees(value, row):
            wrong.append((row["tag"], value, target, tolerance))
    assert not wrong


def test_filter_presets(data: Callable[[str], Path]) -> None:
    """IBSI 2 phase 2 through `extract`: the cheap filters; the others are tested with them."""
    path = data("ibsi") / "reference" / "ibsi2_phase2_reference_values.csv"
    image, mask = read_phantom(data("ibsi") / "ct_phantom")
    with path.open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream, delimiter=";") if row["consensus_value"]]
    for name in ("1.A", "1.B", "2.A", "3.B", "6.A"):
        table = extract(image, mask, settings=preset(f"ibsi2-{name}"))
        # Both lists have the order of the manual.
        expected = [row for row in rows if row["filter_id"] == name]
        assert len(expected) == table.height == 18
        for row, value in zip(expected, table["value"].to_list(), strict=True):
            gap = abs(value - float(row["consensus_value"]))
            assert gap <= float(row["tolerance"]) * (1 + 1e-9), (name, row, value)
