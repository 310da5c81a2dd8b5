"""Fit a network to all samples, keep it, and apply it to others."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen._core.rng import derive_seed
from radgen.deep.images import ImageNetwork
from radgen.deep.pooling import AttentionPooling
from radgen.errors import AlignmentError, InputError, shown
from radgen.types import Outcome, SampleArrays, align

__all__ = ["NETWORK_NAMES", "apply_network", "fit_network"]

NETWORK_NAMES = ("image_network", "slice_network", "attention")


def fit_network(
    arrays: SampleArrays,
    outcome: Outcome,
    *,
    model: str = "image_network",
    groups: dict[str, str] | None = None,
    seed: int,
    **settings: Any,
) -> tuple[Any, dict[str, Any]]:
    """Return a network fitted to all samples of a file of crops or bags, and its facts.

    Parameters
    ----------
    arrays : SampleArrays
        Crops, or bags for "attention".
    outcome : Outcome
        Binary, continuous or censored; matched by id.
    model : {"image_network", "slice_network", "attention"}
        Which network.
    groups : mapping of sample to patient, or None
        Samples of a patient are held out together, for stopping.
    seed : int
        Of weights, batches and held-out patients.
    **settings
        Parameters of `ImageNetwork` or `AttentionPooling`.

    Returns
    -------
    network : ImageNetwork or AttentionPooling
        For `save_model`, `apply_network` and `saliency_map`.
    about : dict
        Outcome, sizes, channels and how the crops were cut; no ids.

    Raises
    ------
    InputError, AlignmentError
        If model and arrays do not fit, or fewer than ten samples are common.
    MissingDependencyError
        If PyTorch is not installed.

    Notes
    -----
    Nothing is validated here: `radgen.predict.evaluate` with the same `model` does that.
    """
    require_choice(model, NETWORK_NAMES, what="network")
    make: Any = AttentionPooling if model == "attention" else ImageNetwork
    if arrays.layout not in make.reads:
        raise InputError(f"The model {model} does not read {arrays.layout}.")
    known = np.flatnonzero(outcome.known)
    own = [outcome.samples[i] for i in known]
    matched = align({"arrays": arrays.samples, f"outcome {outcome.name}": own}, need=10)
    rows = known[matched.rows[f"outcome {outcome.name}"]]
    target = outcome.values[rows]
    if outcome.kind == "censored":
        assert outcome.events is not None
        target = np.column_stack((target, outcome.events[rows]))
    options = {"outcome": outcome.kind, "random_state": derive_seed(seed, "network") % 2**31}
    options |= {"network": "slices"} if model == "slice_network" else {}
    patients = None if groups is None else [groups.get(item, item) for item in matched.samples]
    network = make(**(options | settings))
    network.fit(arrays.values[matched.rows["arrays"]], target, groups=patients)
    about = {
        "outcome": outcome.name, "levels": list(outcome.levels), "unit": outcome.unit,
        "n_samples": len(rows), "layout": arrays.layout, "names": list(arrays.names),
        "shape": list(arrays.shape), "arrays": dict(arrays.meta),
    }  # fmt: skip
    return network, about


def apply_network(network: Any, about: dict[str, Any], arrays: SampleArrays) -> pl.DataFrame:
    """Return the predictions of a kept network for other samples.

    Parameters
    ----------
    network : ImageNetwork or AttentionPooling
        From `fit_network` or `load_model`.
    about : dict
        Its facts.
    arrays : SampleArrays
        Cut or tiled as those that trained it.

    Returns
    -------
    polars.DataFrame
        ``sample, score``: a probability, value, or log relative hazard.

    Raises
    ------
    InputError
        If layout, channels, shape or the settings of the crops are others than in training.
    """
    for name, found in (("layout", arrays.layout), ("names", list(arrays.names))):
        if about.get(name) != found:
            raise InputError(f"The network was trained on {name} {about.get(name)}, not {found}.")
    if arrays.layout == "crops" and list(arrays.shape) != list(about["shape"]):
        raise InputError(f"Crops have the shape {arrays.shape}; trained were {about['shape']}.")
    if arrays.layout == "crops":
        differ = sorted(
            key
            for key in ("spacing_mm", "window", "standardise", "with_mask")
            if _plain(arrays.meta.get(key)) != _plain(about["arrays"].get(key))
        )
        if differ:
            raise InputError(f"These crops were cut otherwise than in training: {shown(differ)}.")
    score: NDArray[np.float64] = network.predict_score(arrays.values)
    if len(score) != len(arrays.samples):
        raise AlignmentError("There are not as many scores as samples.")
    return pl.DataFrame({"sample": list(arrays.samples), "score": score})


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else value
