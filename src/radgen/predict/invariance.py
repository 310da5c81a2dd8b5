"""Which features predict an outcome in the same way at all sites and scanners."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import polars as pl
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler

from radgen.predict._environments import all_features, read_environments
from radgen.predict.selection._target import read_target
from radgen.predict.selection.invariant import preselected
from radgen.stats.invariance import invariant_sets
from radgen.types import Outcome, Result

__all__ = ["InvarianceResult", "invariant_prediction"]


@dataclass(frozen=True, eq=False)
class InvarianceResult(Result):
    """Invariant causal prediction of an outcome over environments.

    Attributes
    ----------
    frame : polars.DataFrame
        ``feature, parent, p, ci_low, ci_high`` of each candidate: p is small where every
        accepted set needs it; the interval is simultaneous over the candidates.
    sets : polars.DataFrame
        ``features, p, accepted``: every set that was tested.
    outcome : str
    """

    kind: ClassVar[str] = "invariance"

    sets: pl.DataFrame = field(default_factory=pl.DataFrame)
    outcome: str = ""

    def statements(self) -> tuple[str, ...]:
        """Return which features are invariant predictors, with the caution that belongs to it."""
        places, level = self.params["environments"], self.params["alpha"]
        accepted = int(self.sets["accepted"].sum())
        if not accepted:
            return (
                f"No set of the {self.frame.height} candidates predicts {self.outcome} in the same "
                f"way in all {len(places)} environments: the environments act on the outcome "
                "itself, a common cause is not measured, or the relation is not linear. Nothing "
                "can be said about invariant predictors.",
            )
        found = self.frame.filter(pl.col("parent"))["feature"].to_list()
        count = (
            f"{accepted} of {self.sets.height} sets of candidates predict {self.outcome} in the "
            f"same way in all {len(places)} environments"
        )
        if not found:
            return (
                f"{count}, and no feature is common to them: no evidence that any one feature is "
                "an invariant predictor. More environments, or more different ones, are needed.",
            )
        return (
            f"{count}; common to all of them: {', '.join(found)}. With confidence {1 - level:.0%} "
            "these are direct predictors, if no common cause of outcome and features is missing "
            "and the environments do not act on the outcome itself.",
        )

    def methods(self) -> str:
        """Return the methods paragraph."""
        p = self.params
        test = (
            "score tests of environment terms in logistic regression"
            if p["model"] == "logistic"
            else "t and F tests of residuals of linear regression"
        )
        return (
            f"Invariant causal prediction (Peters et al. 2016) over {len(p['environments'])} "
            f"environments ({', '.join(p['environments'])}): {p['candidates']} candidates that "
            f"enter the lasso first, all their sets tested by {test} at level {p['alpha']}."
        )


def invariant_prediction(
    blocks: Mapping[str, Any],
    outcome: Outcome,
    environments: Mapping[str, str],
    *,
    alpha: float = 0.05,
    max_candidates: int = 8,
) -> InvarianceResult:
    """Return which features predict an outcome in the same way in all environments.

    Parameters
    ----------
    blocks : mapping of str to table
        As in `radgen.predict.evaluate`; missing values are replaced by the median.
    outcome : Outcome
        Continuous or binary.
    environments : mapping of sample to str
        Site, scanner or centre; those with fewer than eight samples are left out.
    alpha : float, default 0.05
        Level at which sets are rejected.
    max_candidates : int, default 8
        Features that enter the lasso first; all their sets are tested.

    Returns
    -------
    InvarianceResult
        See `radgen.stats.invariance.invariant_sets` for the assumptions.

    Raises
    ------
    InputError
        If fewer than two environments are large enough, or the outcome is of another kind.

    Notes
    -----
    This uses all samples: it is an inference, not a step of a model. In folds use
    `radgen.predict.selection.InvariantSelector`.
    """
    design, place, left_out = read_environments(blocks, outcome, environments)
    names, values = all_features(design)
    target = read_target(design.target, design.n)
    filled = SimpleImputer(strategy="median").fit_transform(values)
    limit = max(1, min(int(max_candidates), 15))
    columns = preselected(filled, target, limit)
    kind: Literal["linear", "logistic"] = "logistic" if design.kind == "binary" else "linear"
    found = invariant_sets(
        target.values if kind == "logistic" else design.target,
        StandardScaler().fit_transform(filled[:, columns]),
        place,
        alpha=alpha,
        kind=kind,
    )
    chosen = [names[j] for j in columns]
    parents = set(found.parents or ())
    frame = pl.DataFrame(
        {
            "feature": chosen,
            "parent": [j in parents for j in range(len(chosen))],
            "p": found.p_values,
            "ci_low": found.ci_low,
            "ci_high": found.ci_high,
        }
    )
    sets = pl.DataFrame(
        {
            "features": [", ".join(chosen[j] for j in item) or "none" for item in found.sets],
            "p": found.p,
            "accepted": found.p > alpha,
        }
    ).sort("p", descending=True, maintain_order=True)
    return InvarianceResult(
        frame=frame,
        params={
            "alpha": alpha, "candidates": len(chosen), "model": kind,
            "environments": sorted(set(place.tolist())),
        },
        n_used=design.n,
        dropped=design.dropped,
        warnings=left_out,
        sets=sets,
        outcome=outcome.name,
    )  # fmt: skip
