"""PyRadiomics parameter files: read, checked key by key, frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from radgen._core.digest import digest
from radgen._core.naming import did_you_mean
from radgen.errors import ConfigError

__all__ = ["DEFAULTS", "IMAGE_TYPES", "Parameters", "read_parameters"]

DEFAULTS: Mapping[str, Any] = {
    "minimumROIDimensions": 2,
    "minimumROISize": None,
    "normalize": False,
    "normalizeScale": 1,
    "removeOutliers": None,
    "resampledPixelSpacing": None,
    "interpolator": "sitkBSpline",
    "preCrop": False,
    "padDistance": 5,
    "distances": [1],
    "force2D": False,
    "force2Ddimension": 0,
    "resegmentRange": None,
    "label": 1,
    "additionalInfo": True,
}
"""Settings where a parameter file says nothing."""

_MORE: Mapping[str, Any] = {
    "geometryTolerance": None,
    "correctMask": False,
    "label_channel": 0,
    "binWidth": 25,
    "binCount": None,
    "resegmentMode": "absolute",
    "resegmentShape": False,
    "voxelArrayShift": 0,
    "symmetricalGLCM": True,
    "weightingNorm": None,
    "gldm_a": 0,
    "sigma": None,
    "start_level": 0,
    "level": 1,
    "wavelet": "coif1",
    "gradientUseSpacing": True,
    "lbp2DRadius": 1,
    "lbp2DSamples": 8,
    "lbp2DMethod": "uniform",
    "lbp3DLevels": 2,
    "lbp3DIcosphereRadius": 1,
    "lbp3DIcosphereSubdivision": 1,
}
IMAGE_TYPES = (
    "Original",
    "LoG",
    "Wavelet",
    "Square",
    "SquareRoot",
    "Logarithm",
    "Exponential",
    "Gradient",
    "LBP2D",
    "LBP3D",
)
_VOXEL = ("kernelRadius", "maskedKernel", "initValue", "voxelBatch")
_SECTIONS = ("setting", "imageType", "featureClass", "voxelSetting")
_CHOICES = {
    "resegmentMode": ("absolute", "relative", "sigma"),
    "lbp2DMethod": ("uniform", "default", "ror", "var"),
    "weightingNorm": (None, "manhattan", "euclidean", "infinity", "no_weighting"),
}


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a parameter file asks for.

    Attributes
    ----------
    settings : mapping
        Settings by PyRadiomics name, defaults filled in.
    image_types : mapping of str to mapping
        Enabled image types and their own settings.
    features : mapping of str to tuple of str
        Enabled classes and their features; () = all.
    """

    settings: Mapping[str, Any] = field(default_factory=lambda: dict(DEFAULTS))
    image_types: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"Original": {}})
    features: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def to_mapping(self) -> dict[str, Any]:
        """Return plain values; without ``profile``, `read_parameters` reads them back."""
        voxel = {key: value for key, value in self.settings.items() if key in _VOXEL}
        return {
            "profile": "pyradiomics",
            "setting": {k: v for k, v in self.settings.items() if k not in _VOXEL},
            "voxelSetting": voxel,
            "imageType": {name: dict(own) for name, own in self.image_types.items()},
            "featureClass": {name: list(wanted) for name, wanted in self.features.items()},
        }

    def digest(self) -> str:
        """Return a digest of everything that decides values."""
        plain = {key: value for key, value in self.settings.items() if key != "additionalInfo"}
        return digest(plain, self.image_types, self.features)


def read_parameters(source: Path | str | Mapping[str, Any]) -> Parameters:
    """Return the parameters of a YAML or JSON file, or of a mapping of the same shape.

    Parameters
    ----------
    source : Path, str or mapping
        A parameter file with the sections ``setting``, ``imageType``, ``featureClass`` and
        ``voxelSetting``, each optional.

    Returns
    -------
    Parameters
        Defaults filled in.

    Raises
    ------
    ConfigError
        If the file is missing or no YAML, or a section, setting, image type, class or feature
        is unknown; the message names the nearest of each.
    MissingDependencyError
        If the file is YAML and PyYAML is not installed.
    """
    content = source if isinstance(source, Mapping) else _load(Path(source))
    problems: list[str] = []
    for name in content:
        if name not in _SECTIONS:
            problems.append(f"Unknown section {name!r}. {did_you_mean(str(name), _SECTIONS)}")
    settings = dict(DEFAULTS)
    settings |= _checked(content.get("setting"), {**DEFAULTS, **_MORE}, problems)
    settings |= _checked(content.get("voxelSetting"), dict.fromkeys(_VOXEL), problems)
    types: dict[str, Mapping[str, Any]] = {}
    for name, own in (content.get("imageType") or {"Original": {}}).items():
        if name not in IMAGE_TYPES:
            problems.append(f"Unknown image type {name!r}. {did_you_mean(str(name), IMAGE_TYPES)}")
        types[name] = _checked(own, {**DEFAULTS, **_MORE}, problems)
    features = _features(content.get("featureClass") or {}, problems)
    if problems:
        raise ConfigError("PyRadiomics parameters: " + " ".join(problems), problems=problems)
    return Parameters(settings, types, features)


def _load(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise ConfigError(f"There is no parameter file {path}.")
    import yaml

    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is no YAML: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise ConfigError(f"{path} holds no sections: {', '.join(_SECTIONS)}.")
    return content


def _checked(given: Any, known: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        problems.append(f"Settings are a mapping, not {given!r}.")
        return {}
    for key, value in given.items():
        if key not in known:
            problems.append(f"Unknown setting {key!r}. {did_you_mean(str(key), known)}")
        elif key in _CHOICES and value not in _CHOICES[key]:
            problems.append(f"{key} is one of {', '.join(map(str, _CHOICES[key]))}, not {value!r}.")
        elif isinstance(known[key], bool) and not isinstance(value, bool):
            problems.append(f"{key} is true or false, not {value!r}.")
        elif key in ("binWidth", "binCount", "normalizeScale") and not _positive(value):
            problems.append(f"{key} is a positive number, not {value!r}.")
    return dict(given)


def _positive(value: Any) -> bool:
    return value is None or (
        isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    )


def _features(given: Mapping[str, Any], problems: list[str]) -> dict[str, tuple[str, ...]]:
    from radgen.features.pyradiomics.classes import FEATURES

    out: dict[str, tuple[str, ...]] = {}
    for name, wanted in given.items():
        if name not in FEATURES:
            problems.append(f"Unknown feature class {name!r}. {did_you_mean(str(name), FEATURES)}")
            continue
        known = FEATURES[name]
        out[name] = tuple(wanted or ())
        problems += [
            f"Class {name} has no feature {item!r}. {did_you_mean(str(item), known)}"
            for item in out[name]
            if item not in known
        ]
    return out
