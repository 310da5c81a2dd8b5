"""PyRadiomics profile: its own baseline values, parameter files, adapter, wavelet bands.

The baselines are values of PyRadiomics 1.3 to 2.1, an independent implementation; the tolerance
of 1e-6 covers the 12 digits that old baseline files print and other orders of summation.
"""

from __future__ import annotations

import ast
import csv
import importlib.util
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import pytest

from radgen.errors import ConfigError, GeometryError, InputError
from radgen.features import to_phenotypes
from radgen.features.pyradiomics import (
    RadiomicsFeatureExtractor,
    extract_pyradiomics,
    read_parameters,
)
from radgen.features.pyradiomics.classes import FEATURES
from radgen.types import Geometry, ImageVolume, Mask

COUNTS = {
    "firstorder": 360, "glcm": 960, "glrlm": 640, "glszm": 560, "gldm": 490, "ngtdm": 175,
    "shape": 140, "shape2D": 45,
}  # fmt: skip

# PyRadiomics' code gives 6438.821604 mm^2 for this surface, and so did its baseline file before
# September 2018; the values printed since (6433.734 and three that depend on it) are not what
# its code computes, which its own tests, at 3 %, do not see.
STALE = {
    ("brain1", "original_shape_SurfaceArea"): 6438.821603779402,
    ("brain1", "original_shape_MeshVolume"): 16147.511800130203,
    ("brain1", "original_shape_SurfaceVolumeRatio"): 6438.821603779402 / 16147.511800130203,
    ("brain1", "original_shape_Sphericity"): float(
        np.cbrt(36 * np.pi * 16147.511800130203**2) / 6438.821603779402
    ),
}


def read_baseline(path: Path) -> dict[str, dict[str, str]]:
    csv.field_size_limit(10**8)
    with path.open(newline="", encoding="utf-8") as stream:
        header, *rows = csv.reader(stream)
    return {
        case: {row[0]: row[column] for row in rows}
        for column, case in enumerate(header[1:], start=1)
    }


Measured = Callable[[str, dict[str, Any], str, int | None], dict[str, Any]]


@pytest.fixture(scope="module")
def measured(data: Callable[[str], Path]) -> Measured:
    """Return a function that gives the features of a case with settings.

    All families of three dimensions are measured at once, so that a scan is prepared once for all.
    """
    import SimpleITK as sitk

    root = data("pyradiomics_cases")

    @cache
    def read(case: str) -> tuple[Any, Any]:
        image, mask = (
            sitk.ReadImage(str(root / f"{case}_{part}.nrrd")) for part in ("image", "label")
        )
        return image, mask

    @cache
    def execute(case: str, settings: str, names: tuple[str, ...], row: int | None) -> Any:
        image, mask = read(case)
        mask = mask if row is None else mask[:, :, row : row + 1]
        chosen = {"setting": ast.literal_eval(settings), "featureClass": dict.fromkeys(names)}
        return RadiomicsFeatureExtractor(chosen).execute(image, mask)

    def measure(case: str, settings: dict[str, Any], name: str, row: int | None) -> dict[str, Any]:
        names = ("shape2D",) if name == "shape2D" else tuple(n for n in COUNTS if n != "shape2D")
        found: dict[str, Any] = execute(case, repr(settings), names, row)
        return found

    return measure


@pytest.mark.parametrize("name", COUNTS)
def test_baseline(name: str, data: Callable[[str], Path], measured: Measured) -> None:
    root = data("pyradiomics_cases")
    wrong, compared = [], 0
    for column, expected in read_baseline(root / "baseline" / f"baseline_{name}.csv").items():
        settings = ast.literal_eval(expected["diagnostics_Configuration_Settings"])
        settings["additionalInfo"] = False
        row = None
        if name == "shape2D":
            row = ast.literal_eval(expected["diagnostics_Mask-corrected_BoundingBox"])[2]
        found = measured(column.split("_")[0], settings, name, row)
        for key, text in expected.items():
            if not key.startswith("original_"):
                continue
            compared += 1
            target, value = float(text), found[key]
            target = STALE.get((column, key), target)
            # 1e-12 admits -3e-16 for the entropy of a flat region.
            if abs(value - target) > 1e-6 * abs(target) + 1e-12:
                wrong.append((column, key, value, target))
        assert set(FEATURES[name]) == {
            key.split("_")[2] for key in found if key.startswith(f"original_{name}_")
        }
    assert compared == COUNTS[name]
    assert not wrong


def test_wavelet_bands(data: Callable[[str], Path]) -> None:
    import pywt

    from radgen.features.pyradiomics.wavelet import stationary_bands

    array = np.random.default_rng(1).normal(size=(6, 8, 10))
    for wavelet in ("coif1", "haar", "db3"):
        bands = stationary_bands(array, wavelet, [2, 1, 0])
        expected = pywt.swtn(array, wavelet, level=1, axes=(2, 1, 0))[0]
        for name, band in bands.items():
            key = name.replace("L", "a").replace("H", "d")
            np.testing.assert_allclose(band, expected[key], atol=1e-12, err_msg=name)


def scan() -> tuple[ImageVolume, Mask]:
    rng = np.random.default_rng(3)
    geometry = Geometry.from_spacing((9, 12, 14), (3.0, 1.0, 1.5), (5.0, -7.0, 2.0))
    values = rng.normal(300.0, 90.0, geometry.shape)
    inside = rng.random(geometry.shape) < 0.8
    inside[:2] = False
    return ImageVolume(values.astype(np.float32), geometry), Mask(inside, geometry, "tumour")


def test_all_image_types_and_names(tmp_path: Path) -> None:
    path = tmp_path / "parameters.yaml"
    path.write_text(
        "imageType:\n  Original: {}\n  LoG: {sigma: [1.0, 2.5]}\n  Wavelet: {binWidth: 10}\n"
        "  Square: {}\n  SquareRoot: {}\n  Logarithm: {}\n  Exponential: {}\n  Gradient: {}\n"
        "featureClass:\n  firstorder: [Mean, Entropy]\n  ngtdm:\nsetting:\n  binWidth: 25\n"
    )
    image, mask = scan()
    found = RadiomicsFeatureExtractor(path).execute(image, mask)
    features = {key: value for key, value in found.items() if not key.startswith("diagn")}
    kinds = list(dict.fromkeys(key.split("_")[0] for key in features))
    assert kinds == [
        "original", "log-sigma-1-0-mm-3D", "log-sigma-2-5-mm-3D",
        "wavelet-LLH", "wavelet-LHL", "wavelet-LHH", "wavelet-HLL", "wavelet-HLH", "wavelet-HHL",
        "wavelet-HHH", "wavelet-LLL", "square", "squareroot", "logarithm", "exponential",
        "gradient",
    ]  # fmt: skip
    assert len(features) == len(kinds) * 7
    assert all(np.isfinite(value) for value in features.values())
    assert found["diagnostics_Mask-original_VoxelNum"] == mask.n_voxels


GOLDEN = Path(__file__).parent / "golden" / "pyradiomics"


def golden(name: str) -> ModuleType:
    """Return the module that made golden values, for its cases."""
    spec = importlib.util.spec_from_file_location(f"golden_{name}", GOLDEN / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def golden_rows(name: str, case: str) -> list[dict[str, str]]:
    with (GOLDEN / f"{name}.csv").open() as stream:
        return [row for row in csv.DictReader(stream) if row["case"] == case]


@pytest.mark.parametrize("name", golden("patterns").CASES)
def test_local_binary_patterns(name: str, data: Callable[[str], Path]) -> None:
    case, types = golden("patterns").CASES[name]
    expected = {row["feature"]: float(row["value"]) for row in golden_rows("patterns", name)}
    folder = data("pyradiomics_cases")
    parameters = {
        "imageType": types,
        "featureClass": golden("patterns").FEATURES,
        "setting": {"binWidth": 0.5, "additionalInfo": False, "normalize": name != "plain"},
    }
    found = RadiomicsFeatureExtractor(parameters).execute(
        folder / f"{case}_image.nrrd", folder / f"{case}_label.nrrd"
    )
    assert list(found) == list(expected)
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", golden("voxels").CASES)
def test_voxel_based(name: str) -> None:
    import SimpleITK as sitk

    made = golden("voxels")
    setting, voxel = made.CASES[name]
    parameters = {
        "setting": {**setting, "additionalInfo": False},
        "voxelSetting": voxel,
        "featureClass": dict.fromkeys(made.CLASSES),
    }
    image, mask = (sitk.GetImageFromArray(item) for item in made.scan())
    found = RadiomicsFeatureExtractor(parameters).execute(image, mask, voxelBased=True)
    rows = golden_rows("voxels", name)
    assert list(found) == [row["feature"] for row in rows]
    compared = 0
    for row in rows:
        if row["feature"].endswith(("MCC", "JointAverage")) and name != "all around":
            continue
        array = sitk.GetArrayFromImage(found[row["feature"]])
        expected = [float(row[letter]) for letter in "abcde"]
        mine = [array[place] for place in made.PLACES]
        # nine digits are printed; entropies of the peer add 2e-16 to each probability
        np.testing.assert_allclose(mine, expected, rtol=2e-8, atol=1e-9, err_msg=row["feature"])
        compared += 1
    assert compared >= 91


def test_voxel_based_maps_lie_on_the_crop() -> None:
    image, mask = scan()
    extractor = RadiomicsFeatureExtractor({"featureClass": {"glcm": ["Contrast"]}})
    found = extractor.execute(image, mask, voxelBased=True)
    (contrast,) = (value for key, value in found.items() if not key.startswith("diagn"))
    origin = image.geometry.to_index(np.array(contrast.GetOrigin()))
    low = [max(0, int(n.min()) - 1) for n in np.nonzero(mask.array)]
    assert origin == pytest.approx(low)
    with pytest.raises(InputError, match="distances"):
        RadiomicsFeatureExtractor(distances=[1, 2]).execute(image, mask, voxelBased=True)


def test_local_binary_patterns_of_flat_places_are_explained() -> None:
    image, mask = scan()
    flat = image.with_array(np.ones(image.array.shape))
    extractor = RadiomicsFeatureExtractor({"imageType": {"LBP3D": {}}}, binWidth=1)
    with pytest.raises(InputError, match="flat around a voxel"):
        extractor.execute(flat, mask)
    with pytest.raises(ConfigError, match="lbp2DMethod is one of"):
        read_parameters({"imageType": {"LBP2D": {"lbp2DMethod": "nri"}}})


def test_default_is_107_features_and_the_long_table_holds_them() -> None:
    image, mask = scan()
    found = RadiomicsFeatureExtractor(additionalInfo=False).execute(image, mask)
    assert len(found) == 107
    empty = Mask(np.zeros(mask.array.shape, bool), mask.geometry, "none")
    table = extract_pyradiomics(image, [mask, empty], sample="s1")
    assert table.filter(pl.col("region") == "tumour")["value"].to_list() == list(found.values())
    failed = table.filter(pl.col("region") == "none")
    assert failed["status"].to_list() == ["failed"]
    phenotypes = to_phenotypes(table.filter(pl.col("region") == "tumour"))
    assert phenotypes.n_phenotypes == 107


def test_adapter_enables_and_disables() -> None:
    extractor = RadiomicsFeatureExtractor(binWidth=30)
    assert extractor.settings["binWidth"] == 30
    extractor.disableAllFeatures()
    with pytest.raises(InputError, match="No feature class"):
        extractor.execute(*scan())
    extractor.enableFeaturesByName(glcm=["Contrast"])
    extractor.enableFeatureClassByName("ngtdm")
    extractor.enableImageTypeByName("LoG", customArgs={"sigma": [2.0]})
    found = extractor.execute(*scan())
    features = [key for key in found if not key.startswith("diagn")]
    assert len(features) == 12
    assert "log-sigma-2-0-mm-3D_glcm_Contrast" in features


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"setting": {"binwidth": 25}}, "Did you mean 'binWidth'"),
        ({"settings": {}}, "Did you mean 'setting'"),
        ({"imageType": {"Wavelets": {}}}, "Did you mean 'Wavelet'"),
        ({"featureClass": {"glcm": ["Contrst"]}}, "Did you mean 'Contrast'"),
        ({"featureClass": {"GLCM": None}}, "Did you mean 'glcm'"),
        ({"setting": {"resegmentMode": "sigmas"}}, "resegmentMode is one of"),
        ({"setting": {"binWidth": -1}}, "positive"),
    ],
)
def test_parameters_are_checked(content: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_parameters(content)


def test_regions_that_pyradiomics_refuses() -> None:
    image, mask = scan()
    with pytest.raises(InputError, match="Label 4 does not occur"):
        RadiomicsFeatureExtractor().execute(image, mask, label=4)
    line = np.zeros(mask.array.shape, bool)
    line[4, 5, 2:9] = True
    with pytest.raises(InputError, match="1 dimensions"):
        RadiomicsFeatureExtractor().execute(image, Mask(line, mask.geometry))
    moved = Geometry.from_spacing(mask.array.shape, (3.0, 1.0, 1.6))
    with pytest.raises(GeometryError, match="different grids"):
        RadiomicsFeatureExtractor().execute(image, Mask(mask.array, moved))
