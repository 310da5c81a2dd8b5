"""A model fitted to all samples, with what it must know to be applied and judged elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.digest import digest
from radgen.errors import InputError, shown
from radgen.predict.design import Block, build_design, read_blocks
from radgen.predict.engine import FoldTask, ModelPlan, Prepared, fit_all
from radgen.predict.evaluation import _check_size, _grid, _pool_small_sites, _strata
from radgen.predict.learners import Fitted, make_learner
from radgen.predict.preprocess import harmoniser
from radgen.predict.splits import Split
from radgen.stats.cox import RiskSets
from radgen.types import Outcome, align

__all__ = ["FittedModel", "fit_model"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FittedModel:
    """A frozen model: its input contract, fitted steps, threshold and who trained it.

    Attributes
    ----------
    outcome, kind, unit, name, setting : str
        What is predicted and by which model.
    columns : mapping of block to tuple of str
        The input contract, in order.
    roles : mapping of block to role
    ranges : mapping of block to float64 (2, p)
        Training minimum and maximum of each column.
    steps : mapping of block to Prepared
        Fitted preprocessing.
    model : Fitted
        Fitted model.
    threshold : float
        Decision threshold, fixed in training.
    times, hazard : float64 (n_times,)
        Baseline cumulative hazard (survival), empty otherwise.
    samples, patients, sites : frozenset of str
        Digests of the ids that trained it: enough to see an overlap, not to name anybody.
    card : mapping
        Numbers for a reader: sizes, events, seed, settings.
    """

    outcome: str
    kind: str
    unit: str
    name: str
    setting: str
    columns: Mapping[str, tuple[str, ...]]
    roles: Mapping[str, str]
    ranges: Mapping[str, FloatArray]
    steps: Mapping[str, Prepared]
    model: Fitted
    threshold: float
    times: FloatArray
    hazard: FloatArray
    samples: frozenset[str]
    patients: frozenset[str]
    sites: frozenset[str]
    card: Mapping[str, Any] = field(default_factory=dict)

    def predict(
        self, blocks: Mapping[str, Any], *, sites: Mapping[str, str] | None = None
    ) -> pl.DataFrame:
        """Return predictions of new samples, nothing refitted.

        Parameters
        ----------
        blocks : mapping
            Tables of the same names and columns as in training; more columns are ignored.
        sites : mapping of sample to site, or None
            Needed where sites were harmonised in training.

        Returns
        -------
        polars.DataFrame
            ``sample, score, high, outside``: `outside` is the share of columns whose value lies
            outside the training range.

        Raises
        ------
        InputError
            If a block or column is missing, or a step refuses (an unseen site).
        """
        read = read_blocks(blocks, {name: self.roles[name] for name in self.columns})
        missing = [name for name in self.columns if name not in read]
        if missing:
            raise InputError(f"The model needs the blocks {shown(missing)}, which are not given.")
        matched = align({name: read[name][0] for name in self.columns})
        place = None
        if sites is not None:
            place = np.array([str(sites[item]) for item in matched.samples], dtype=object)
        parts, outside, total = [], np.zeros(matched.n_samples), 0
        for name, wanted in self.columns.items():
            values = _pick(read[name], wanted, name)[matched.rows[name]]
            low, high = self.ranges[name]
            slack = 0.25 * (high - low)
            outside += ((values < low - slack) | (values > high + slack)).sum(axis=1)
            total += len(wanted)
            parts.append(self.steps[name].transform(values, place))
        score = self.model.predict(np.hstack(parts))
        return pl.DataFrame(
            {
                "sample": list(matched.samples),
                "score": score,
                "high": score >= self.threshold,
                "outside": outside / max(total, 1),
            }
        )

    def risk(self, score: FloatArray, horizon: float) -> FloatArray:
        """Return the predicted risk of an event before `horizon` (survival models)."""
        if self.kind != "censored":
            raise InputError(f"A model of a {self.kind} outcome has no risk at a horizon.")
        where = int(np.searchsorted(self.times, horizon, side="right"))
        base = 0.0 if where == 0 else float(self.hazard[where - 1])
        return np.asarray(-np.expm1(-base * np.exp(np.clip(score, -300, 300))))


def _pick(
    table: tuple[tuple[str, ...], tuple[str, ...], FloatArray, Any],
    wanted: tuple[str, ...],
    block: str,
) -> FloatArray:
    place = {name: j for j, name in enumerate(table[1])}
    missing = [name for name in wanted if name not in place and "=" not in name]
    if missing:
        raise InputError(
            f"Block {block!r} lacks {len(missing)} of the model's columns: {shown(missing)}."
        )
    out = np.zeros((len(table[0]), len(wanted)))
    for j, name in enumerate(wanted):
        if name in place:
            out[:, j] = table[2][:, place[name]]
    return out


def hashed(items: Any) -> frozenset[str]:
    """Return digests of ids."""
    return frozenset(digest("radgen id", str(item)) for item in items)


def fit_model(
    blocks: Mapping[str, Any],
    outcome: Outcome,
    *,
    seed: int,
    groups: Mapping[str, str] | None = None,
    sites: Mapping[str, str] | None = None,
    roles: Mapping[str, str] | None = None,
    model: Any = "auto",
    selection: Any = None,
    n_selected: int = 20,
    harmonise: Any = None,
    inner_folds: int = 5,
) -> FittedModel:
    """Return one model fitted to all samples, as `radgen.predict.evaluate` fits its folds.

    Parameters
    ----------
    blocks, outcome, seed, groups, sites, roles, model, selection, n_selected, harmonise
        As in `radgen.predict.evaluate`.
    inner_folds : int, default 5
        Folds that choose setting and threshold.

    Returns
    -------
    FittedModel
        To be judged on other data by `radgen.predict.validate_external`.

    Raises
    ------
    InputError, AlignmentError
        As `radgen.predict.evaluate`.
    """
    design = build_design(blocks, outcome, groups=groups, sites=sites, roles=roles)
    if harmonise not in (None, "none") and design.sites is None:
        raise InputError("Harmonisation needs the site of each sample: pass sites.")
    notes: list[str] = []
    _check_size(design, inner_folds, notes)
    place = design.sites
    remover = harmoniser(harmonise, leave_site_out=True)
    if remover is not None and place is not None:
        place = _pool_small_sites(place, notes)
    name, learner = make_learner(model, design.kind)
    everyone = np.arange(design.n)
    plan = ModelPlan("model", tuple(block.name for block in design.blocks))
    times, horizon = _grid(design, None)
    task = FoldTask(
        Split(0, 0, everyone, np.zeros(0, dtype=np.int64)), design.blocks, design.target,
        design.kind, design.patients, _strata(design, place if remover is not None else None),
        place, (plan,), learner, selection, n_selected, remover, inner_folds, seed, times, horizon,
    )  # fmt: skip
    found = fit_all(task)
    base = _baseline(design.target, found.on_train) if design.kind == "censored" else ()
    card = {
        "n_samples": design.n, "n_patients": len(design.patient_names), "events": design.n_events,
        "seed": seed, "model": name, "setting": found.setting, "warnings": notes,
    }  # fmt: skip
    empty = np.zeros(0)
    return FittedModel(
        outcome=outcome.name,
        kind=design.kind,
        unit=outcome.unit,
        name=name,
        setting=found.setting,
        columns={block.name: block.columns for block in design.blocks},
        roles={block.name: block.role for block in design.blocks},
        ranges={block.name: _range(block) for block in design.blocks},
        steps=found.steps,
        model=found.model,
        threshold=found.threshold,
        times=base[0] if base else empty,
        hazard=base[1] if base else empty,
        samples=hashed(design.samples),
        patients=hashed(design.patient_names),
        sites=hashed(set(design.sites or ())),
        card=card,
    )


def _range(block: Block) -> FloatArray:
    filled = np.where(np.isfinite(block.values), block.values, np.nan)
    known = np.isfinite(filled).any(axis=0)
    low, high = np.full(filled.shape[1], -np.inf), np.full(filled.shape[1], np.inf)
    low[known] = np.nanmin(filled[:, known], axis=0)
    high[known] = np.nanmax(filled[:, known], axis=0)
    return np.vstack((low, high))


def _baseline(target: FloatArray, eta: FloatArray) -> tuple[FloatArray, FloatArray]:
    sets = RiskSets(target[:, 0], target[:, 1] > 0.5, np.ones(len(target)), None, "efron")
    return sets.times, sets.hazard(np.clip(eta, -300, 300))
