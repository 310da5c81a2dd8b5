"""A frozen model as one JSON file: no code, no pickle, the same predictions to the last bit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler

from radgen._core.digest import digest
from radgen._core.sealed import read_sealed, write_sealed
from radgen._version import __version__
from radgen.errors import FormatError, InputError
from radgen.phenotype._combat import BatchEffect, Standard
from radgen.phenotype.harmonise import ComBat
from radgen.phenotype.harmonise_table import BatchColumns
from radgen.phenotype.portable import as_plain, from_plain, is_portable
from radgen.phenotype.select import (
    CorrelationFilter,
    RankNormaliser,
    ReliabilityFilter,
    VarianceFilter,
)
from radgen.predict.contract import BlockContract
from radgen.predict.engine import Prepared
from radgen.predict.fitting import FittedModel
from radgen.predict.learners import MODELS, LinearFit
from radgen.predict.preprocess import BlockScale
from radgen.predict.recalibration import Recalibrated
from radgen.predict.selection.boruta import BorutaSelector
from radgen.predict.selection.invariant import InvariantSelector
from radgen.predict.selection.relevance import RelevanceSelector
from radgen.predict.selection.sparse import SparseSelector
from radgen.predict.selection.stability import StabilitySelector
from radgen.predict.selection.univariate import UnivariateSelector
from radgen.predict.trees import Tree, TreeFit

__all__ = ["bundle_digest", "read_bundle", "write_bundle"]

_TYPE, _VERSION = "radgen.model", 2

_ODD = {"nan": None, "inf": "inf", "-inf": "-inf"}
_EVEN = {None: float("nan"), "inf": float("inf"), "-inf": float("-inf")}

_BROKEN = (
    ArithmeticError, AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError,
)  # fmt: skip

_STATE: Mapping[str, tuple[type[BaseEstimator], tuple[str, ...], tuple[str, ...]]] = {
    "SimpleImputer": (SimpleImputer, ("strategy", "keep_empty_features"), ("statistics_",)),
    "StandardScaler": (StandardScaler, (), ("mean_", "scale_", "var_")),
    "VarianceFilter": (VarianceFilter, ("max_share", "max_ties"), ("support_",)),
    "CorrelationFilter": (CorrelationFilter, ("threshold", "method"), ("support_",)),
    "UnivariateSelector": (UnivariateSelector, ("k", "alpha", "adjust"), ("support_",)),
    "RelevanceSelector": (RelevanceSelector, ("k", "scheme", "n_bins"), ("support_",)),
    "SparseSelector": (SparseSelector, ("l1_ratio", "rule", "folds"), ("support_",)),
    "StabilitySelector": (
        StabilitySelector,
        ("max_errors", "threshold", "n_pairs", "q", "bound"),
        ("support_",),
    ),
    "BorutaSelector": (
        BorutaSelector,
        ("n_trees", "max_depth", "max_rounds", "percentile", "alpha", "keep_undecided"),
        ("support_",),
    ),
    "ReliabilityFilter": (
        ReliabilityFilter,
        ("threshold", "form", "confidence"),
        ("support_", "lower_"),
    ),
    "InvariantSelector": (InvariantSelector, ("alpha", "max_candidates", "keep"), ("support_",)),
    "RankNormaliser": (RankNormaliser, (), ("knots_", "scores_")),
    "BlockScale": (BlockScale, (), ("mean_", "scale_")),
    "ComBat": (
        ComBat,
        ("parametric", "eb", "mean_only", "reference", "unseen", "tied", "tolerance", "max_steps"),
        ("batches_", "standard_", "effects_", "flat_", "covariate_mean_", "n_kept_", "bases_"),
    ),
}


def write_bundle(model: FittedModel, path: str | Path) -> str:
    """Write a fitted model to one JSON file and return its digest.

    Parameters
    ----------
    model : FittedModel
        With one of radgen's own models (linear, forest, boosting) and steps.
    path : str or Path
        Ends in ``.json`` by custom.

    Returns
    -------
    str
        SHA-256 of the content, also stored in the file.

    Raises
    ------
    InputError
        If the model or a step is not one that can be written as plain numbers.
    """
    return write_sealed(path, _content(model))


def read_bundle(path: str | Path) -> FittedModel:
    """Return the fitted model of a bundle.

    Parameters
    ----------
    path : str or Path
        Written by `write_bundle`.

    Returns
    -------
    FittedModel
        Predicts as the original did, bit for bit.

    Raises
    ------
    FormatError
        If the file is no bundle, of another version, or was changed.
    """
    content = read_sealed(path, _TYPE, _VERSION, what="model bundle")
    # What follows must refuse what is malformed: a digest is no signature.
    try:
        model = _model(content)
        _try(model)
    except _BROKEN as error:
        raise FormatError(f"The bundle lacks a part or has a wrong one: {error!r}.",
                          path=path) from error  # fmt: skip
    return model


def _try(model: FittedModel) -> None:
    """Refuse a model whose parts do not fit each other, by a row of training means.

    Raises
    ------
    ValueError, IndexError
        If a step or the model asks for another number of columns.
    """
    moved = []
    for name, contract in model.contracts.items():
        p = len(contract.columns)
        sizes = [getattr(contract, item) for item in _CONTRACT_ARRAYS]
        if any(np.shape(value)[-1:] != (p,) for value in sizes) or len(contract.units) != p:
            raise ValueError(f"block {name!r} does not state each of its {p} columns")
        row = np.nan_to_num(contract.mean)[None, :]
        for kind, step in model.steps[name].steps:
            # Harmonisation asks for sites, and keeps the number of columns.
            row = row if kind == "harmonise" else np.asarray(step.transform(row))
        moved.append(row)
    x = np.hstack(moved)
    inner = model.model.inner if isinstance(model.model, Recalibrated) else model.model
    if isinstance(inner, TreeFit):
        for tree in inner.trees:
            tree.check(x.shape[1])
    elif inner.beta.shape != (x.shape[1],):
        raise ValueError(f"{inner.beta.size} coefficients for {x.shape[1]} columns")
    if len(model.times) != len(model.hazard):
        raise ValueError("times and hazards of the baseline differ in number")


def require_portable(model: Any, kind: str) -> None:
    """Refuse a model by name that no bundle can hold, before it is evaluated.

    Raises
    ------
    InputError
        Names the models that can be written.
    """
    for item in model if isinstance(model, list) else [model]:
        if isinstance(item, str) and item not in ("auto", *MODELS[kind]):
            raise InputError(
                f"A model {item} cannot be frozen as plain numbers; {', '.join(MODELS[kind])} can. "
                "`radgen deep fit` keeps a network of crops or bags."
            )


def _content(model: FittedModel) -> dict[str, Any]:
    inner = model.model.inner if isinstance(model.model, Recalibrated) else model.model
    if not isinstance(inner, LinearFit | TreeFit):
        raise InputError(
            f"A {type(inner).__name__} cannot be written as plain numbers. Refit with one of "
            "radgen's own models (linear, forest, boosting), or keep it in memory."
        )
    return {
        "encoding_type": _TYPE,
        "encoding_version": _VERSION,
        "radgen": __version__,
        "outcome": model.outcome,
        "kind": model.kind,
        "unit": model.unit,
        "name": model.name,
        "setting": model.setting,
        "levels": list(model.levels),
        "blocks": [{"name": key, **_contract(value)} for key, value in model.contracts.items()],
        "steps": {key: [_step(*item) for item in p.steps] for key, p in model.steps.items()},
        "model": _encoded(model.model),
        "threshold": model.threshold,
        "times": _plain(model.times),
        "hazard": _plain(model.hazard),
        "center": model.center,
        "spread": model.spread,
        "fit_log": model.fit_log.to_dict(as_series=False),
        "samples": sorted(model.samples),
        "patients": sorted(model.patients),
        "sites": sorted(model.sites),
        "card": dict(model.card),
        **(
            {"held_out": [_plain(item) for item in model.held_out]}
            if model.held_out[0].size
            else {}
        ),
        **({} if model.acquisition is None else {"acquisition": _names(model.acquisition)}),
    }


def _names(columns: BatchColumns) -> dict[str, Any]:
    return {
        "batch": list(columns.batch),
        "keep": list(columns.keep),
        "smooth": list(columns.smooth),
        "levels": {name: list(values) for name, values in columns.levels.items()},
        "subject": columns.subject,
    }


def _columns(stored: Mapping[str, Any] | None) -> BatchColumns | None:
    if stored is None:
        return None
    levels = {name: tuple(values) for name, values in stored["levels"].items()}
    texts = (tuple(stored[key]) for key in ("batch", "keep", "smooth"))
    return BatchColumns(*texts, levels, stored["subject"])


def bundle_digest(model: FittedModel) -> str:
    """Return the digest that `write_bundle` gives the model.

    Raises
    ------
    InputError
        As `write_bundle`.
    """
    return digest(json.dumps(_content(model), sort_keys=True))


def _model(content: Mapping[str, Any]) -> FittedModel:
    kinds = [pl.String, pl.String, pl.String, pl.Int64, pl.String]
    columns = ("level", "fitted", "target", "n_rows", "digest")
    return FittedModel(
        outcome=content["outcome"],
        kind=content["kind"],
        unit=content["unit"],
        name=content["name"],
        setting=content["setting"],
        levels=tuple(content["levels"]),
        contracts={item["name"]: _contract_of(item) for item in content["blocks"]},
        steps={
            name: Prepared(name, [_restore(item) for item in content["steps"][name]])
            for name in (item["name"] for item in content["blocks"])
        },
        model=_decoded(content["model"], content["kind"]),
        threshold=float(content["threshold"]),
        times=np.asarray(_array(content["times"]), dtype=np.float64),
        hazard=np.asarray(_array(content["hazard"]), dtype=np.float64),
        center=float(content["center"]),
        spread=float(content["spread"]),
        samples=frozenset(content["samples"]),
        patients=frozenset(content["patients"]),
        sites=frozenset(content["sites"]),
        fit_log=pl.DataFrame(content["fit_log"], schema=dict(zip(columns, kinds, strict=True))),
        card=content["card"],
        acquisition=_columns(content.get("acquisition")),
        held_out=_held_out(content.get("held_out")),
    )


def _held_out(stored: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if stored is None:
        return np.zeros(0), np.zeros(0)
    zero, one = (np.asarray(_array(item), dtype=np.float64) for item in stored)
    if zero.ndim != 1 or one.ndim != 1 or not np.isfinite([*zero, *one]).all():
        raise ValueError("the held-out scores are no lists of numbers")
    return zero, one


def _encoded(model: Any) -> dict[str, Any]:
    if isinstance(model, Recalibrated):
        return {"inner": _encoded(model.inner), "shift": model.shift, "slope": model.slope}
    if isinstance(model, LinearFit):
        return {"beta": _plain(model.beta), "intercept": model.intercept}
    parts = ("feature", "threshold", "left", "right", "value")
    trees = [[getattr(tree, name).tolist() for name in parts] for tree in model.trees]
    base = model.base if np.isfinite(model.base) else None
    return {"trees": trees, "base": base, "factor": model.factor}


def _decoded(stored: Mapping[str, Any], kind: str) -> Any:
    if "inner" in stored:
        shift, slope = float(stored["shift"]), float(stored["slope"])
        return Recalibrated(_decoded(stored["inner"], kind), kind, shift, slope)
    if "beta" in stored:
        return LinearFit(np.asarray(_array(stored["beta"])), float(stored["intercept"]), kind)
    trees = tuple(
        Tree(
            np.array(feature, dtype=np.int64), np.array(threshold, dtype=np.float64),
            np.array(left, dtype=np.int64), np.array(right, dtype=np.int64),
            np.array(value, dtype=np.float64),
        )
        for feature, threshold, left, right, value in stored["trees"]
    )  # fmt: skip
    base = float("nan") if stored["base"] is None else float(stored["base"])
    return TreeFit(trees, kind, base, float(stored["factor"]))


_CONTRACT_ARRAYS = ("low", "high", "mean", "sd", "missing", "deciles", "below", "used")


def _contract(contract: BlockContract) -> dict[str, Any]:
    return {
        "role": contract.role,
        "columns": list(contract.columns),
        "units": list(contract.units),
        "levels": {name: list(values) for name, values in contract.levels.items()},
        "n": contract.n,
        **{name: _plain(getattr(contract, name)) for name in _CONTRACT_ARRAYS},
    }


def _contract_of(stored: Mapping[str, Any]) -> BlockContract:
    return BlockContract(
        role=stored["role"],
        columns=tuple(stored["columns"]),
        units=tuple(stored["units"]),
        levels={name: tuple(values) for name, values in stored["levels"].items()},
        n=int(stored["n"]),
        **{name: _array(stored[name]) for name in _CONTRACT_ARRAYS},
    )


def _step(name: str, step: Any) -> dict[str, Any]:
    kind = type(step).__name__
    plain = not getattr(step, "covariate_columns", ()) and not getattr(step, "smooth_columns", ())
    if (kind not in _STATE or not plain) and is_portable(step):
        return {"name": name, "kind": kind, "portable": as_plain(step)}
    if kind not in _STATE or type(step) is not _STATE[kind][0]:
        raise InputError(f"The step {kind} cannot be written as plain numbers in a bundle.")
    _, settings, state = _STATE[kind]
    return {
        "name": name,
        "kind": kind,
        "settings": {item: _plain(getattr(step, item)) for item in settings},
        "state": {item: _plain(getattr(step, item)) for item in state},
        "n_features_in": int(step.n_features_in_),
    }


def _restore(stored: Mapping[str, Any]) -> tuple[str, Any]:
    if "portable" in stored:
        return stored["name"], from_plain(stored["portable"])
    make, settings, state = _STATE[stored["kind"]]
    if not (set(stored["settings"]) <= set(settings) and set(stored["state"]) <= set(state)):
        raise ValueError(f"a {stored['kind']} is described by other words")
    step = make(**{item: _array(value) for item, value in stored["settings"].items()})
    for item, value in stored["state"].items():
        setattr(step, item, _array(value))
    step.n_features_in_ = int(stored["n_features_in"])
    if stored["kind"] == "SimpleImputer":
        step.indicator_ = None
        step._fill_dtype = step._fit_dtype = np.dtype(np.float64)
    if stored["kind"] == "StandardScaler":
        step.n_samples_seen_ = 1
    return stored["name"], step


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        kind = "bool" if value.dtype == np.bool_ else "float"
        flat = value.ravel().tolist()
        if kind == "float":
            flat = [item if np.isfinite(item) else _ODD[str(item)] for item in flat]
        return {"array": kind, "shape": list(value.shape), "values": flat}
    if isinstance(value, Standard):
        parts = (value.grand_mean, value.scale, value.slopes)
        return {"standard": [_plain(item) for item in parts]}
    if isinstance(value, BatchEffect):
        return {"effect": [_plain(value.shift), _plain(value.factor)]}
    if isinstance(value, tuple | list):
        return {"tuple": [_plain(item) for item in value]}
    return value.item() if isinstance(value, np.generic) else value


def _array(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if "array" in value:
        kind = np.bool_ if value["array"] == "bool" else np.float64
        flat = [_EVEN.get(item, item) for item in value["values"]]
        return np.array(flat, dtype=kind).reshape(value["shape"])
    if "standard" in value:
        return Standard(*(_array(item) for item in value["standard"]))
    if "effect" in value:
        return BatchEffect(*(_array(item) for item in value["effect"]))
    return tuple(_array(item) for item in value["tuple"])
