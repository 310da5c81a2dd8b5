"""Features of a frozen network: an ONNX file and a card that says what it takes and who made it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from radgen._core.digest import digest_file
from radgen._core.executors import map_surviving
from radgen._core.require import require
from radgen.deep.crops import CropSettings, CropUnit, crop, crop_units, read_unit
from radgen.errors import ConfigError, FormatError, InputError, RadgenError
from radgen.features.extraction import LONG_SCHEMA

__all__ = ["FrozenModel", "ModelCard", "deep_features", "read_card"]

_EXTERNAL = b"\x0a\x08location\x12"
"""How a tensor whose numbers lie in another file begins to say where (ONNX TensorProto)."""


class CardInput(BaseModel):
    """What the network takes: ``[input]``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dimensions: Literal[2, 3] = Field(description="2: axial slices; 3: the whole crop.")
    size: int = Field(ge=8, description="Voxels or pixels a side.")
    spacing_mm: float = Field(gt=0, description="Of the voxels.")
    channels: int = Field(default=1, ge=1, description="A single scan is repeated on all of them.")
    window: tuple[float, float] | None = Field(
        default=None, description="Values that stay, in the scan's unit; none: percentiles 1, 99."
    )
    scale: Literal["z-score", "0-1"] = Field(
        default="z-score", description="Within the crop, or across the window."
    )
    mean: tuple[float, ...] | None = Field(default=None, description="Then subtracted, a channel.")
    sd: tuple[float, ...] | None = Field(default=None, description="Then divided by, a channel.")

    @model_validator(mode="after")
    def _fits(self) -> CardInput:
        if self.scale == "0-1" and self.window is None:
            raise ValueError('scale = "0-1" needs a window')
        for name in ("mean", "sd"):
            given = getattr(self, name)
            if given is not None and len(given) != self.channels:
                raise ValueError(f"{name} has {len(given)} values for {self.channels} channels")
        if self.sd is not None and min(self.sd) <= 0:
            raise ValueError("sd is positive")
        return self

    def crop_settings(self) -> CropSettings:
        """Return how crops are cut for this network."""
        return CropSettings(self.size, self.spacing_mm, self.window, self.scale == "z-score")


class CardOutput(BaseModel):
    """What the network gives: ``[output]``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="Output of the graph.")


class ModelCard(BaseModel):
    """Card of a frozen network, a TOML file beside the ONNX file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="Part of column names.")
    file: str = Field(description="ONNX file, in the folder of the card.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of the file.")
    citation: str = Field(min_length=1, description="Who made and trained it.")
    licence: str = Field(min_length=1, description="Under which the weights may be used.")
    input: CardInput
    output: CardOutput


class FrozenModel:
    """An ONNX network with its card, on one thread of the processor.

    Parameters
    ----------
    path : str or Path
        The card.

    Raises
    ------
    ConfigError
        If the card cannot be used.
    FormatError
        If the ONNX file is another one, keeps weights elsewhere, or does not fit the card.
    MissingDependencyError
        If onnxruntime is not installed.
    """

    def __init__(self, path: str | Path) -> None:
        self.card, file = read_card(path)
        data = file.read_bytes()
        if _EXTERNAL in data:
            raise FormatError(
                "The network keeps weights in other files, whose content the digest would not "
                "cover. Save it as one file.",
                path=file,
            )
        runtime = require("onnxruntime", extra="deep")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = runtime.InferenceSession(
                data, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises classes of its own, without a base
            if not type(error).__module__.startswith("onnxruntime"):
                raise
            raise FormatError(f"onnxruntime cannot load it: {error}", path=file) from error
        self._check(file)

    def _check(self, file: Path) -> None:
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1:
            raise FormatError(f"The network has {len(inputs)} inputs; needed is one.", path=file)
        known = [item.name for item in outputs]
        if self.card.output.name not in known:
            raise FormatError(
                f"No output {self.card.output.name!r}; the network has {', '.join(known)}.",
                path=file,
            )
        about = self.card.input
        wanted = (about.channels, *[about.size] * about.dimensions)
        shape = inputs[0].shape
        odd = len(shape) != 1 + len(wanted) or any(
            isinstance(have, int) and have != need
            for have, need in zip(shape[1:], wanted, strict=False)
        )
        if odd:
            raise FormatError(
                f"The network takes {shape}; the card says (n, {', '.join(map(str, wanted))}).",
                path=file,
            )
        if inputs[0].type != "tensor(float)":
            raise FormatError(f"The network takes {inputs[0].type}; needed is float.", path=file)
        self._name = inputs[0].name
        self._one = isinstance(shape[0], int) and shape[0] == 1

    def features(
        self, values: NDArray[np.float32], inside: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Return the features of one crop, (n_features,).

        Parameters
        ----------
        values : float32 (n_channels, size, size, size)
            The crop.
        inside : bool (size, size, size)
            The region; a network of slices sees those that hold a part of it, and its features
            are their mean.

        Raises
        ------
        InputError
            If there are as many channels as the card does not say, or a feature is not finite.
        """
        about = self.card.input
        channels = np.repeat(values, about.channels, axis=0) if len(values) == 1 else values
        if len(channels) != about.channels:
            raise InputError(
                f"There are {len(channels)} scans a sample; {self.card.name} takes "
                f"{about.channels} channels."
            )
        shape = (-1, 1, 1, 1)
        if about.mean is not None:
            channels = channels - np.reshape(np.asarray(about.mean, np.float32), shape)
        if about.sd is not None:
            channels = channels / np.reshape(np.asarray(about.sd, np.float32), shape)
        batch = channels[None]
        if about.dimensions == 2:
            slices = np.flatnonzero(inside.any(axis=(1, 2)))
            slices = slices if len(slices) else np.array([len(inside) // 2])
            batch = channels[:, slices].transpose(1, 0, 2, 3)
        batch = np.ascontiguousarray(batch, dtype=np.float32)
        parts = [batch[k : k + 1] for k in range(len(batch))] if self._one else [batch]
        found = np.concatenate(
            [self._session.run([self.card.output.name], {self._name: part})[0] for part in parts]
        ).astype(np.float64)
        if found.shape[0] != len(batch) or found.ndim < 2:
            raise InputError(
                f"{self.card.name} gives an output of shape {found.shape} for {len(batch)} inputs."
            )
        # Features of places, if there are any, are averaged over them, then over slices.
        found = found.reshape(*found.shape[:2], -1).mean(axis=(0, 2))
        if not np.isfinite(found).all():
            raise InputError(f"{self.card.name} gives features that are not finite.")
        return np.asarray(found)


def read_card(path: str | Path) -> tuple[ModelCard, Path]:
    """Return a model card and the ONNX file that it names, whose digest is checked.

    Raises
    ------
    ConfigError
        If the card is no TOML, lacks a key or has an unknown one.
    FormatError
        If the file lies outside of the card's folder, is missing, or has another digest.
    """
    card_path = Path(path)
    try:
        card = ModelCard.model_validate(tomllib.loads(card_path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{card_path}: this is no TOML: {error}.") from error
    except ValidationError as error:
        told = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise ConfigError(f"{card_path}: " + "; ".join(told), problems=told) from error
    folder = card_path.resolve().parent
    file = (folder / card.file).resolve()
    if not file.is_relative_to(folder):
        raise FormatError(f"{card.file} lies outside of the card's folder.", path=card_path)
    if not file.is_file():
        raise FormatError(f"There is no file {card.file} beside the card.", path=card_path)
    found = digest_file(file)
    if found != card.sha256:
        raise FormatError(
            f"{card.file} has the SHA-256 {found}; the card says {card.sha256}. It is another "
            "file than the one that was described.",
            path=card_path,
        )
    return card, file


def deep_features(
    rows: Sequence[Mapping[str, Any]],
    card: str | Path,
    *,
    region: str = "",
    folder: str | Path = ".",
    executor: Executor | None = None,
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Return the long table of a frozen network's features, and what made it.

    Parameters
    ----------
    rows : sequence of mapping
        As in `radgen.deep.make_crops`.
    card : str or Path
        Of the network.
    region : str
        Which region of the masks; "" = the only one.
    folder : str or Path
        Where relative paths start.
    executor : Executor or None
        Where samples are measured; None = one after another in this process.

    Returns
    -------
    table : polars.DataFrame
        Columns `radgen.features.LONG_SCHEMA`, family "deep". A sample that failed is a row with
        status "failed" and the reason.
    about : dict
        Card and digest of the weights.

    Raises
    ------
    InputError
        If the table of scans is not usable.
    ConfigError, FormatError
        If card or network are not.
    MissingDependencyError
        If onnxruntime is not installed.
    """
    known = FrozenModel(card).card
    units, _ = crop_units(rows, settings=known.input.crop_settings(), region=region, folder=folder)
    tasks = [(unit, str(card)) for unit in units]
    parts = map_surviving(
        measure_unit, tasks, pool=executor, lost=_lost, what="Applying the network"
    )
    table = pl.concat([pl.DataFrame(part, schema=LONG_SCHEMA) for part in parts])
    about = {
        "encoding_type": "radgen-deep-features", "encoding_version": 1,
        "card": known.model_dump(mode="json"), "region": region,
    }  # fmt: skip
    return table, about


def measure_unit(task: tuple[CropUnit, str]) -> dict[str, list[Any]]:
    """Return the features of one sample as columns of the long table."""
    unit, path = task
    try:
        model = FrozenModel(path)
        images, mask = read_unit(unit)
        cut = crop(images, mask, settings=unit.settings)
        found = model.features(cut.values, cut.inside)
    except (RadgenError, OSError, ValueError, MemoryError) as error:
        return _lost(task, f"{type(error).__name__}: {error}".splitlines()[0])
    n, name = len(found), model.card.name
    blank = [""] * n
    return {
        "sample": [unit.sample] * n, "region": [mask.region] * n, "filter": blank,
        "family": ["deep"] * n, "feature": [f"{name}_{k:04d}" for k in range(n)],
        "aggregation": blank, "ibsi_code": blank, "value": found.tolist(), "unit": blank,
        "status": ["ok"] * n, "reason": blank,
    }  # fmt: skip


def _lost(task: tuple[CropUnit, str], reason: str) -> dict[str, list[Any]]:
    row: dict[str, Any] = dict.fromkeys(LONG_SCHEMA, "")
    row |= {"sample": task[0].sample, "value": float("nan"), "status": "failed", "reason": reason}
    return {key: [value] for key, value in row.items()}
