"""A model fitted to all samples, with what it must know to be applied and judged elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.digest import digest
from radgen.errors import InputError, shown
from radgen.phenotype.harmonise_table import BatchColumns
from radgen.predict.acquisition import Harmonisation, place_of
from radgen.predict.contract import (
    BlockContract,
    check_units,
    drift_table,
    learn_contract,
    out_of_range,
    pick,
)
from radgen.predict.design import build_design, read_blocks
from radgen.predict.engine import FitRecord, FoldTask, ModelPlan, Prepared, fit_all
from radgen.predict.fusion import Held
from radgen.predict.learners import Fitted, make_learner
from radgen.predict.planning import (
    check_size,
    name_of,
    removal,
    strata_of,
    time_grid,
)
from radgen.predict.portable import risk_of_hazard
from radgen.predict.reliable import Reliability
from radgen.predict.result import PredictionResult
from radgen.predict.splits import Split
from radgen.stats.conformal import class_p_values
from radgen.stats.cox import RiskSets
from radgen.types import Outcome, align, to_polars

__all__ = ["FittedModel", "fit_model"]

FloatArray = NDArray[np.float64]
_MOST_OUTSIDE = 0.1
"""A sample with a larger share of columns (two at least) out of range gets no score."""


@dataclass(frozen=True, eq=False)
class FittedModel:
    """A frozen model: its input contract, fitted steps, threshold and who trained it.

    Attributes
    ----------
    outcome, kind, unit, name, setting : str
        What is predicted and by which model.
    levels : tuple of str
        Names of the two classes of a binary outcome; the second is predicted.
    contracts : mapping of block to BlockContract
        Columns, units and ranges of the input.
    steps : mapping of block to Prepared
        Fitted preprocessing.
    model : Fitted
        Fitted model.
    threshold : float
        Decision threshold, fixed in training.
    times, hazard : float64 (n_times,)
        Baseline cumulative hazard (survival), empty otherwise.
    center, spread : float
        Mean and SD of the scores of the training samples.
    samples, patients, sites : frozenset of str
        Digests of the ids that trained it: enough to see an overlap, not to name anybody.
    fit_log : polars.DataFrame
        ``level, fitted, target, n_rows, digest``: each fit and the digest of the rows it saw.
    card : mapping
        Numbers for a reader: sizes, events, seed, settings, and the internal validation.
    acquisition : BatchColumns or None
        Columns of batches and kept covariates by which a `Harmonisation` harmonises.
    held_out : tuple of float64 (n_negative,) and (n_positive,)
        Sorted scores of training samples by models that had not seen them, of each class, by
        which the model can abstain; empty unless the outcome is binary.
    """

    outcome: str
    kind: str
    unit: str
    name: str
    setting: str
    levels: tuple[str, ...]
    contracts: Mapping[str, BlockContract]
    steps: Mapping[str, Prepared]
    model: Fitted
    threshold: float
    times: FloatArray
    hazard: FloatArray
    center: float
    spread: float
    samples: frozenset[str]
    patients: frozenset[str]
    sites: frozenset[str]
    fit_log: pl.DataFrame
    card: Mapping[str, Any] = field(default_factory=dict)
    acquisition: BatchColumns | None = None
    held_out: tuple[FloatArray, FloatArray] = (np.zeros(0), np.zeros(0))

    def class_p_values(self, score: FloatArray) -> FloatArray:
        """Return the conformal p-value of each class for predicted probabilities, (n, 2).

        See `radgen.stats.conformal.class_p_values`; NaN where the score is.

        Raises
        ------
        InputError
            If the model keeps no held-out scores: another kind of outcome, or an older bundle.
        """
        zero, one = self.held_out
        if not len(zero) or not len(one):
            raise InputError(
                "This model cannot abstain: it keeps no held-out scores of two classes. Freeze a "
                "model of a binary outcome with this version."
            )
        y = np.repeat([0.0, 1.0], [len(zero), len(one)])
        found = class_p_values(y, np.concatenate([zero, one]), score)
        found[~np.isfinite(score)] = np.nan
        return found

    def predict(
        self,
        blocks: Mapping[str, Any],
        *,
        sites: Any = None,
        any_range: bool = False,
    ) -> pl.DataFrame:
        """Return predictions of new samples, nothing refitted.

        Parameters
        ----------
        blocks : mapping
            Tables of the same names and columns as in training; more columns are ignored.
        sites : mapping of sample to site, data frame, or None
            Needed where sites were harmonised in training; a frame with ``sample`` and the
            columns of `acquisition` where those are several.
        any_range : bool, default False
            Predict also where values lie outside the training range.

        Returns
        -------
        polars.DataFrame
            ``sample, score, high, outside, status, reason``: `outside` is the share of the used
            columns whose value lies outside the training range. A sample that the model cannot
            speak of has status "refused", the reason, and no score.

        Raises
        ------
        InputError
            If a block or column is missing, a unit is another one, a column lies beyond the
            training range in three quarters of the samples (unless `any_range`), or a step
            refuses (an unseen site).

        Notes
        -----
        Scores of radgen's own models are the same to the last bit on every machine: sums are
        rounded once, exponentials are those of decimal arithmetic.
        """
        found, parts, told = self._read(blocks)
        place = place_of(sites, self.acquisition, found)
        steps = [name for item in self.steps.values() for name, _ in item.steps]
        if place is None and "harmonise" in steps:
            raise InputError(
                "Sites were harmonised when this model was trained: it needs the site of each new "
                "sample. Pass sites; all samples may be of one."
            )
        if not any_range:
            for name, values in parts.items():
                check_units(values, self.contracts[name], name)
        outside, far = self._outside(parts)
        moved = [self.steps[name].transform(values, place) for name, values in parts.items()]
        x = np.hstack(moved)
        score = np.asarray(getattr(self.model, "portable", self.model.predict)(x))
        reason = [told.get(k) or ("" if any_range else far.get(k, "")) for k in range(len(found))]
        refused = np.array([bool(text) for text in reason], dtype=bool)
        return pl.DataFrame(
            {
                "sample": list(found),
                "score": pl.Series(np.where(refused, np.nan, score)).fill_nan(None),
                "high": pl.Series(
                    [None if no else bool(s >= self.threshold)
                     for no, s in zip(refused, score, strict=True)],
                    dtype=pl.Boolean,
                ),
                "outside": outside,
                "status": np.where(refused, "refused", "ok").tolist(),
                "reason": reason,
            }
        )  # fmt: skip

    def drift(self, blocks: Mapping[str, Any]) -> pl.DataFrame:
        """Return how each used column of new data differs from training.

        See `radgen.predict.contract.drift_table` for the columns.

        Raises
        ------
        InputError
            As `predict`.
        """
        return drift_table(self._read(blocks)[1], self.contracts)

    def risk(self, score: FloatArray, horizon: float) -> FloatArray:
        """Return the predicted risk of an event before `horizon` (survival models).

        Raises
        ------
        InputError
            If the outcome is not censored.
        """
        if self.kind != "censored":
            raise InputError(f"A model of a {self.kind} outcome has no risk at a horizon.")
        where = int(np.searchsorted(self.times, horizon, side="right"))
        base = 0.0 if where == 0 else float(self.hazard[where - 1])
        return risk_of_hazard(np.asarray(score, dtype=np.float64), base)

    def _read(
        self, blocks: Mapping[str, Any]
    ) -> tuple[tuple[str, ...], dict[str, FloatArray], dict[int, str]]:
        """Return samples, values by block in the model's order, and rows with strange text."""
        missing = [name for name in self.contracts if name not in blocks]
        if missing:
            raise InputError(f"The model needs the blocks {shown(missing)}, which are not given.")
        wanted = {name: _narrowed(name, blocks[name], c) for name, c in self.contracts.items()}
        read = read_blocks(
            wanted,
            {name: contract.role for name, contract in self.contracts.items()},
            known={name: contract.levels for name, contract in self.contracts.items()},
        )
        matched = align({name: table.samples for name, table in read.items()})
        parts: dict[str, FloatArray] = {}
        told: dict[int, str] = {}
        for name, table in read.items():
            rows = matched.rows[name]
            parts[name] = pick(table, self.contracts[name], name)[rows]
            told |= {k: table.strange[int(r)] for k, r in enumerate(rows) if r in table.strange}
        return matched.samples, parts, told

    def _outside(self, parts: Mapping[str, FloatArray]) -> tuple[FloatArray, dict[int, str]]:
        """Return the share of used columns out of range, and why samples are refused."""
        n = len(next(iter(parts.values())))
        far, total = np.zeros(n), 0
        told: dict[int, list[str]] = {}
        for name, values in parts.items():
            contract = self.contracts[name]
            hit = out_of_range(values, contract)
            far += hit.sum(axis=1)
            total += int(contract.used.sum())
            if contract.role == "clinical":
                for k, j in zip(*np.nonzero(hit), strict=True):
                    text = f"{contract.columns[j]} is {values[k, j]:.4g}, trained on "
                    text += f"{contract.low[j]:.4g} to {contract.high[j]:.4g}"
                    told.setdefault(int(k), []).append(text)
        share = far / max(total, 1)
        for k in np.flatnonzero((share > _MOST_OUTSIDE) & (far > 1)):
            told.setdefault(int(k), []).append(f"{share[k]:.0%} of the columns are out of range")
        return share, {k: "; ".join(texts) for k, texts in told.items()}


def _narrowed(name: str, table: Any, contract: BlockContract) -> Any:
    """Return a data frame's columns that the model takes; other tables as they are."""
    if hasattr(table, "samples"):
        return table
    frame = to_polars(table, what=f"block {name!r}")
    missing = [item for item in contract.sources if item not in frame.columns]
    if missing:
        raise InputError(
            f"Block {name!r} lacks {len(missing)} of the model's columns: {shown(missing)}."
        )
    if "sample" not in frame.columns:
        raise InputError(f"Block {name!r} has no column 'sample' with the ids.")
    return frame.select("sample", *contract.sources)


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
    validation: PredictionResult | None = None,
    levels: Mapping[str, Mapping[str, tuple[str, ...]]] | None = None,
    reliability: Reliability | None = None,
) -> FittedModel:
    """Return one model fitted to all samples, as `radgen.predict.evaluate` fits its folds.

    Parameters
    ----------
    blocks, outcome, seed, groups, sites, roles, model, selection, n_selected, harmonise
        As in `radgen.predict.evaluate`.
    inner_folds : int, default 5
        Folds that choose setting and threshold.
    validation : PredictionResult or None
        Internal validation of the same outcome and blocks; its numbers go on the card.
    levels : mapping of block to mapping of column to levels, or None
        Of text columns that the caller has expanded ("sex=M"), so that the bundle can do so.
    reliability : Reliability or None
        As in `radgen.predict.evaluate`.

    Returns
    -------
    FittedModel
        To be judged on other data by `radgen.predict.validate_external`.

    Raises
    ------
    InputError, AlignmentError
        As `radgen.predict.evaluate`.
    """
    if validation is not None and validation.outcome != outcome.name:
        raise InputError(
            f"The validation is of {validation.outcome!r}, the model of {outcome.name!r}."
        )
    design = build_design(blocks, outcome, groups=groups, sites=sites, roles=roles)
    notes: list[str] = []
    check_size(design, inner_folds, notes)
    remover, place = removal(harmonise, design, notes, adapt=True, pool=True)
    name, learner = make_learner(model, design.kind)
    if any(block.layout != "table" for block in design.blocks):
        raise InputError(
            "A frozen model reads tables. Fit and keep a network on crops or bags with `radgen "
            "deep fit` (radgen.deep.fit_network)."
        )
    everyone = np.arange(design.n)
    plan = ModelPlan("model", tuple(block.name for block in design.blocks))
    times, horizon = time_grid(design, None)
    task = FoldTask(
        Split(0, 0, everyone, np.zeros(0, dtype=np.int64)), design.blocks, design.target,
        design.kind, design.patients, strata_of(design, None if place is None else place.labels),
        design.sites or (None if place is None else place.labels), (plan,), learner, selection,
        n_selected, remover, inner_folds, seed, times, horizon, place,
        {} if reliability is None else reliability.for_blocks(design),
    )  # fmt: skip
    found = fit_all(task)
    base = _baseline(found.base.target, found.base.score) if design.kind == "censored" else ()
    card = {
        "n_samples": design.n, "n_patients": len(design.patient_names), "events": design.n_events,
        "seed": seed, "model": name, "setting": found.setting, "warnings": notes,
        "selection": name_of(selection), "harmonise": name_of(harmonise),
        "reliability": "" if reliability is None else reliability.words(),
        "validation": None if validation is None else _validation_card(validation),
    }  # fmt: skip
    empty = np.zeros(0)
    return FittedModel(
        outcome=outcome.name,
        kind=design.kind,
        unit=outcome.unit,
        name=name,
        setting=found.setting,
        levels=tuple(outcome.levels),
        contracts={
            block.name: learn_contract(
                replace(block, levels={**block.levels, **(levels or {}).get(block.name, {})}),
                found.steps[block.name].used(len(block.columns)),
            )
            for block in design.blocks
        },
        steps=found.steps,
        model=found.model,
        threshold=found.threshold,
        times=base[0] if base else empty,
        hazard=base[1] if base else empty,
        center=float(found.base.score.mean()),
        spread=float(found.base.score.std()),
        samples=hashed(design.samples),
        patients=hashed({item if groups is None else groups[item] for item in design.samples}),
        sites=hashed(set(design.sites or ())),
        fit_log=_log(found.log, design.samples),
        card=card,
        acquisition=harmonise.columns if isinstance(harmonise, Harmonisation) else None,
        held_out=_held_out(design.kind, found.held),
    )


def _held_out(kind: str, held: Held | None) -> tuple[FloatArray, FloatArray]:
    if kind != "binary" or held is None:
        return np.zeros(0), np.zeros(0)
    positive = held.target > 0.5
    return np.sort(held.score[~positive]), np.sort(held.score[positive])


def _validation_card(result: PredictionResult) -> dict[str, Any]:
    """Return the numbers of an internal validation as plain values."""
    from radgen.predict.leakage import audit

    checked = audit(result)
    rows = result.frame.filter(pl.col("model") == result.primary)
    metrics = {
        row["metric"]: [row["estimate"], row["ci_low"], row["ci_high"]]
        for row in rows.iter_rows(named=True)
    }
    return {
        "verdict": result.verdict(result.primary),
        "statements": list(result.statements()),
        "metrics": metrics,
        "scheme": result.params["scheme"],
        "folds": result.params["folds"],
        "repeats": result.params["repeats"],
        "fits_audited": int(checked.frame["examined"][0]),
        "violations": int(checked.frame["violations"].sum()),
    }


def _log(records: list[FitRecord], samples: tuple[str, ...]) -> pl.DataFrame:
    names = np.array(samples, dtype=object)
    rows = [
        (
            item.level, item.fitted, item.target, len(item.rows),
            digest(sorted(hashed(names[item.rows]))),
        )
        for item in records
    ]  # fmt: skip
    kinds = [pl.String, pl.String, pl.String, pl.Int64, pl.String]
    columns = ("level", "fitted", "target", "n_rows", "digest")
    return pl.DataFrame(rows, schema=dict(zip(columns, kinds, strict=True)), orient="row")


def _baseline(target: FloatArray, eta: FloatArray) -> tuple[FloatArray, FloatArray]:
    sets = RiskSets(target[:, 0], target[:, 1] > 0.5, np.ones(len(target)), None, "efron")
    return sets.times, sets.hazard(np.clip(eta, -300, 300))
