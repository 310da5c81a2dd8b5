"""What tables of predictors tell alone and what they tell alike."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtri

from radgen._core.blocks import map_units
from radgen.errors import InputError
from radgen.predict._words import repeated
from radgen.predict.engine import ModelPlan, run_fold
from radgen.predict.planning import set_up
from radgen.predict.scores import estimates, honest_error, std_error
from radgen.predict.tables import by_repeat
from radgen.types import Outcome, Result

__all__ = ["CommonalityResult", "commonality", "commonality_weights"]

FloatArray = NDArray[np.float64]
Blocks = tuple[str, ...]
_LOSS = {"binary": "brier", "censored": "integrated_brier", "continuous": "mean_squared_error"}
_WORDS = {
    "brier": "the Brier score", "integrated_brier": "the integrated Brier score",
    "mean_squared_error": "the squared error",
}  # fmt: skip
_MOST = 4


@dataclass(frozen=True, eq=False)
class CommonalityResult(Result):
    """The explained part of an outcome, by which tables tell it.

    Attributes
    ----------
    frame : polars.DataFrame
        ``part, blocks, n_blocks, value, std_error, ci_low, ci_high``: shares of the loss of a
        model without information that are explained by one table alone ("only imaging") or by
        several alike ("clinical and imaging"); the last row, "all", is their sum. A negative
        common part: together they tell more than apart.
    subsets : polars.DataFrame
        ``blocks, value``: explained share of the model of each set of tables.
    outcome, loss : str
    """

    kind: ClassVar[str] = "commonality"
    plots: ClassVar[tuple[str, ...]] = ("parts",)

    subsets: pl.DataFrame = field(default_factory=pl.DataFrame)
    outcome: str = ""
    loss: str = "brier"

    def statements(self) -> tuple[str, ...]:
        """Return what is explained, and by which tables."""
        *parts, whole = self.frame.iter_rows(named=True)
        text = (
            f"All tables together explain {_percent(whole)} of {_WORDS[self.loss]} of "
            f"{self.outcome} in patients that did not train the models."
        )
        if whole["ci_low"] <= 0:
            return (f"{text} That is no evidence of anything explained, and not divided further.",)
        out = [text]
        for row in parts:
            sure = row["ci_low"] > 0 or row["ci_high"] < 0
            out.append(
                f"{row['part'].capitalize()}: {_percent(row)}"
                f"{'' if sure else ', compatible with nothing'}."
            )
        return tuple(out)

    def methods(self) -> str:
        """Return the methods paragraph."""
        p = self.params
        return (
            f"Models of {self.outcome} from every set of the tables {', '.join(p['blocks'])} were "
            f"compared on the same folds ({repeated(p)}{p['folds']}-fold, nested) by the "
            f"share of {_WORDS[self.loss]} that they explain. Commonality analysis divides the "
            "share of the fullest model into parts unique to a table and common to several; "
            "intervals are by patient."
        )

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw the "parts" with intervals and return the Axes."""
        if kind not in self.plots:
            return super().plot(kind, ax=ax)
        from radgen import plot

        rows = self.frame
        return plot.forest(
            rows["part"].to_list(), rows["value"], rows["ci_low"], rows["ci_high"], null=0.0,
            xlabel="Explained share, out of fold", ax=ax,
        )  # fmt: skip


def _percent(row: Mapping[str, Any]) -> str:
    return f"{row['value']:.1%} ({row['ci_low']:.1%} to {row['ci_high']:.1%})"


def commonality_weights(blocks: Blocks) -> dict[Blocks, dict[Blocks, int]]:
    """Return each part of an explained share as a sum of those of sets of blocks.

    Parameters
    ----------
    blocks : tuple of str
        Names in order.

    Returns
    -------
    dict of part to dict of set to weight
        Part ("a",): what only a tells; ("a", "b"): what a and b tell alike. The empty set, which
        explains nothing, is left out. The parts add up to the share of all blocks.

    References
    ----------
    Mood 1971, doi:10.3102/00028312008002191.

    Examples
    --------
    >>> commonality_weights(("a", "b"))[("a", "b")]
    {('a',): 1, ('b',): 1, ('a', 'b'): -1}
    """
    out: dict[Blocks, dict[Blocks, int]] = {}
    for part in _sets(blocks):
        weights: dict[Blocks, int] = {}
        for some in ((), *_sets(part)):
            used = tuple(name for name in blocks if name not in part or name in some)
            if used:
                weights[used] = (-1) ** (len(some) + 1)
        out[part] = weights
    return out


def _sets(blocks: Blocks) -> list[Blocks]:
    return [some for size in range(1, len(blocks) + 1) for some in combinations(blocks, size)]


def commonality(
    blocks: Mapping[str, Any],
    outcome: Outcome,
    *,
    seed: int,
    confidence: float = 0.95,
    executor: Executor | None = None,
    **settings: Any,
) -> CommonalityResult:
    """Return which part of an outcome each table tells alone, and which several tell alike.

    Parameters
    ----------
    blocks : mapping of str to table
        Two to four tables.
    outcome : Outcome
        Binary, censored or continuous.
    seed : int
        Of the folds.
    confidence : float, default 0.95
        Level.
    executor : Executor or None
        Folds are its units of work.
    **settings
        As `radgen.predict.evaluate` takes them.

    Returns
    -------
    CommonalityResult
        Out-of-fold shares with intervals.

    Raises
    ------
    InputError
        If there are fewer than two tables, or more than four.
    AlignmentError
        If too few samples are common.

    Notes
    -----
    Out of fold the parts still add up, but a table of noise may have a part a little below zero:
    its model is worse than none. A common part is no statement of cause.
    """
    names = tuple(blocks)
    if not 2 <= len(names) <= _MOST:
        raise InputError(f"Commonality needs two to {_MOST} tables; there are {len(names)}.")
    setup = set_up(blocks, outcome, seed=seed, baselines=False, **settings)
    nothing = ModelPlan("no information", ())
    plans = {some: ModelPlan(" + ".join(some), some) for some in _sets(names)}
    setup = replace(setup, plans=(nothing, *plans.values()))
    outputs = map_units(run_fold, setup.tasks(), executor=executor, what="Cross-validating")
    design = setup.design
    loss = _LOSS[design.kind]

    def lost(plan: ModelPlan) -> tuple[float, FloatArray]:
        found = estimates(design.kind, design.target, by_repeat(outputs, plan.name, design.n))
        return found[loss].value, found[loss].influence

    base, base_influence = lost(nothing)
    value: dict[Blocks, float] = {}
    influence: dict[Blocks, FloatArray] = {}
    for some, plan in plans.items():
        own, own_influence = lost(plan)
        value[some] = 1 - own / base
        influence[some] = -(own_influence - own / base * base_influence) / base
    ratio = float(np.mean([len(s.test) / len(s.train) for s in setup.splits]))
    z = float(ndtri(0.5 + confidence / 2))
    rows = []
    for part, weights in (*commonality_weights(names).items(), (names, {names: 1})):
        share = sum(weight * value[used] for used, weight in weights.items())
        moved = np.sum([weight * influence[used] for used, weight in weights.items()], axis=0)
        error = honest_error(std_error(moved, design.patients), ratio, None)
        last = len(rows) == len(plans)
        title = "all" if last else f"only {part[0]}" if len(part) == 1 else " and ".join(part)
        rows.append(
            (title, " + ".join(part), len(part), share, error, share - z * error, share + z * error)
        )
    columns = ["part", "blocks", "n_blocks", "value", "std_error", "ci_low", "ci_high"]
    kinds = [pl.String, pl.String, pl.Int64, *[pl.Float64] * 4]
    return CommonalityResult(
        frame=pl.DataFrame(rows, schema=dict(zip(columns, kinds, strict=True)), orient="row"),
        params=setup.params | {"confidence": confidence, "blocks": list(names)},
        n_used=design.n,
        dropped=design.dropped,
        warnings=tuple(setup.notes),
        provenance={"step": "predict.commonality", "version": 1, "seed": seed},
        subsets=pl.DataFrame(
            {"blocks": [" + ".join(some) for some in value], "value": list(value.values())}
        ),
        outcome=design.outcome_name,
        loss=loss,
    )
