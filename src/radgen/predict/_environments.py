"""Rows with their environments, for analyses over sites and scanners."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError, shown
from radgen.predict.design import Design, build_design
from radgen.types import Outcome

__all__ = ["all_features", "read_environments"]

FloatArray = NDArray[np.float64]
Rows = NDArray[np.int64]
_LEAST = 8


def read_environments(
    blocks: Mapping[str, Any], outcome: Outcome, environments: Mapping[str, str]
) -> tuple[Design, NDArray[Any], tuple[str, ...]]:
    """Return the matched design, the environment of each row, and notes about those left out.

    Raises
    ------
    InputError
        If the outcome is of another kind or fewer than two environments are large enough.
    """
    if outcome.kind not in ("continuous", "binary"):
        raise InputError(
            f"Outcome {outcome.name!r} is {outcome.kind}; invariance is tested for continuous and "
            "binary outcomes."
        )
    known = {sample: name for sample, name in environments.items() if name is not None}
    inside = np.array([sample in known for sample in outcome.samples])
    part = Outcome(
        outcome.name, outcome.kind, outcome.samples,
        np.where(inside, outcome.values, np.nan), levels=outcome.levels, unit=outcome.unit,
    )  # fmt: skip
    design = build_design(blocks, part, groups=None, sites=known, roles=None)
    place = np.array(design.sites, dtype=object)
    small = []
    for name in sorted(set(place.tolist())):
        rows = place == name
        if rows.sum() < _LEAST or np.ptp(design.target[rows]) == 0:
            small.append(name)
    keep = ~np.isin(place, small)
    if len(set(place[keep].tolist())) < 2:
        raise InputError(
            f"Fewer than two environments have {_LEAST} samples and a varying outcome."
        )
    notes = ()
    if small:
        notes = (
            f"{len(small)} environments with fewer than {_LEAST} samples or one class were left "
            f"out ({int((~keep).sum())} samples): {shown(small)}.",
        )
    return _taken(design, np.flatnonzero(keep)), place[keep].astype(str), notes


def _taken(design: Design, rows: Rows) -> Design:
    blocks = tuple(replace(block, values=block.values[rows]) for block in design.blocks)
    return replace(
        design,
        samples=tuple(design.samples[i] for i in rows),
        target=design.target[rows],
        blocks=blocks,
        patients=design.patients[rows],
        sites=None if design.sites is None else tuple(design.sites[i] for i in rows),
    )


def all_features(design: Design) -> tuple[list[str], FloatArray]:
    """Return names and values (n, p) of the features of all blocks that vary.

    Raises
    ------
    InputError
        If none does.
    """
    names, columns = [], []
    for block in design.blocks:
        alive = np.isfinite(block.values).any(axis=0)
        varies = np.array(
            [
                ok and np.nanmax(c) > np.nanmin(c)
                for ok, c in zip(alive, block.values.T, strict=True)
            ]
        )
        names += [n for n, ok in zip(block.columns, varies, strict=True) if ok]
        columns.append(block.values[:, varies])
    values = np.hstack(columns)
    if not values.shape[1]:
        raise InputError("No feature varies.")
    return names, values
