"""Treatment and biomarkers: prognostic apart from predictive, marker by marker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from radgen.errors import FitError, InputError, shown
from radgen.predict.design import Design, build_design
from radgen.stats.cox import fit_cox
from radgen.stats.glm import logistic
from radgen.stats.multiplicity import holm
from radgen.types import Outcome, Result

__all__ = ["TreatmentResult", "arms_of", "treatment_effects"]

FloatArray = NDArray[np.float64]
_EFFECT = {"censored": "hazard ratio", "binary": "odds ratio", "continuous": "difference"}


@dataclass(frozen=True, eq=False)
class TreatmentResult(Result):
    """Prognostic and predictive effects of biomarkers.

    Attributes
    ----------
    frame : polars.DataFrame
        ``marker, n, events, prognostic, prognostic_low, prognostic_high, prognostic_p,
        interaction, interaction_low, interaction_high, interaction_p, interaction_p_adjusted,
        treatment_low, treatment_low_ci_low, treatment_low_ci_high, treatment_high,
        treatment_high_ci_low, treatment_high_ci_high, note``. Prognostic: effect of the marker
        (a standard deviation, or present against absent) adjusted for treatment. Interaction:
        ratio (difference) of treatment effects a standard deviation apart; it alone makes a
        marker predictive. Treatment effects are given where the marker is low (a standard
        deviation below the mean, or absent) and high.
    outcome, effect : str
        Name of the outcome; "hazard ratio", "odds ratio" or "difference".
    arms : tuple of str
        Names of the control and the treated arm.
    """

    kind: ClassVar[str] = "treatment_effects"
    plots: ClassVar[tuple[str, ...]] = ("interactions",)

    outcome: str = ""
    effect: str = "hazard ratio"
    arms: tuple[str, ...] = ()

    def statements(self) -> tuple[str, ...]:
        """Return which markers are predictive, which only prognostic."""
        out = []
        known = self.frame.filter(pl.col("interaction_p").is_finite())
        arms = f"{self.arms[1]} against {self.arms[0]}"
        predictive = known.filter(pl.col("interaction_p_adjusted") < 0.05)
        for row in predictive.sort("interaction_p").iter_rows(named=True):
            out.append(
                f"{row['marker']} is predictive: {self.effect} of {arms} is "
                f"{row['treatment_low']:.2f} where it is low and {row['treatment_high']:.2f} where "
                f"it is high (interaction p {row['interaction_p_adjusted']:.2g}, adjusted for "
                f"{known.height} markers)."
            )
        only = known.filter(
            (pl.col("interaction_p_adjusted") >= 0.05) & (pl.col("prognostic_p") < 0.05)
        )
        if only.height:
            names = shown(only.sort("prognostic_p")["marker"].to_list())
            out.append(
                f"Prognostic without evidence of being predictive: {names}. The treatment effect "
                "does not depend on them as far as this study can tell."
            )
        if known.height and not predictive.height:
            least = known["interaction_p"].min()
            out.append(
                f"No evidence of a predictive marker among {known.height} (smallest p {least:.2g})."
            )
        lost = self.frame.filter(~pl.col("interaction_p").is_finite().fill_null(False))
        for note, names in lost.group_by("note", maintain_order=True).agg("marker").iter_rows():
            out.append(f"Not tested: {shown(names)}{f' ({note})' if note else ''}.")
        return tuple(out)

    def methods(self) -> str:
        """Return the methods paragraph."""
        p = self.params
        model = {"hazard ratio": "Cox", "odds ratio": "logistic"}.get(self.effect, "linear")
        adjusted = f", adjusted for {', '.join(p['covariates'])}" if p["covariates"] else ""
        return (
            f"Each marker was put into a {model} model of {self.outcome} with treatment{adjusted}: "
            "without an interaction for its prognostic effect, with one for its predictive effect. "
            "Interaction p (Wald) were adjusted over markers by Holm's method. Separate p in "
            "subgroups were not compared."
        )

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw the "interactions" with their intervals and return the Axes."""
        if kind not in self.plots:
            raise InputError(f"A treatment result has no plot {kind!r}; it has {self.plots}.")
        from radgen import plot

        rows = self.frame.filter(pl.col("interaction").is_finite())
        log = self.effect != "difference"
        word = "ratio" if log else "difference"
        return plot.forest(
            plot.short_names(rows["marker"].to_list()), rows["interaction"],
            rows["interaction_low"], rows["interaction_high"], null=1.0 if log else 0.0, log=log,
            xlabel=f"Interaction: {word} of treatment effects (95 % interval)", ax=ax,
        )  # fmt: skip


def arms_of(
    treatment: Mapping[str, Any], samples: tuple[str, ...], control: Any
) -> tuple[FloatArray, tuple[str, str]]:
    """Return 0 (control) or 1 of each sample, and the names of the arms.

    Raises
    ------
    InputError
        If a sample has no arm, or there are not two of them.
    """
    missing = [s for s in samples if s not in treatment or treatment[s] is None]
    if missing:
        raise InputError(f"{len(missing)} samples have no treatment: {shown(missing)}.")
    labels = [str(treatment[s]) for s in samples]
    levels = sorted(set(labels))
    if len(levels) != 2:
        raise InputError(
            f"Treatment has {len(levels)} values ({shown(levels)}); needed are two arms."
        )
    first = levels[0] if control is None else str(control)
    if first not in levels:
        raise InputError(f"control is {first!r}; the arms are {shown(levels)}.")
    second = next(level for level in levels if level != first)
    return np.array([float(label == second) for label in labels]), (first, second)


def treatment_effects(
    markers: Mapping[str, Any],
    treatment: Mapping[str, Any],
    outcome: Outcome,
    *,
    control: Any = None,
    covariates: Any = None,
    confidence: float = 0.95,
) -> TreatmentResult:
    """Return prognostic and predictive effects of markers, each in a model of its own.

    Parameters
    ----------
    markers : mapping of str to table
        Biomarkers: numbers, or two values. Samples where one is missing are left out for it.
    treatment : mapping of sample to arm
        Two arms.
    outcome : Outcome
        Censored, binary or continuous.
    control : object or None
        The arm that is the reference; None = the first in order.
    covariates : table or None
        Adjusted for in every model.
    confidence : float, default 0.95
        Level.

    Returns
    -------
    TreatmentResult
        A row a marker.

    Raises
    ------
    InputError
        If there are not two arms.

    Notes
    -----
    Treatment must be randomised, or `covariates` must hold what it was chosen by.

    References
    ----------
    Ballman 2015, doi:10.1200/JCO.2015.63.3651 (prognostic or predictive). Altman & Bland 2003,
    doi:10.1136/bmj.326.7382.219 (interaction, not two p-values).
    """
    blocks = dict(markers)
    key = "covariates"
    if covariates is not None:
        blocks[key] = covariates
    design = build_design(blocks, outcome, groups=None, sites=None, roles=None)
    arm, arms = arms_of(treatment, design.samples, control)
    z = np.zeros((design.n, 0))
    names: tuple[str, ...] = ()
    for block in design.blocks:
        if block.name == key and covariates is not None:
            z, names = block.values, block.columns
    rows = [
        _marker(design, name, block.values[:, j], arm, z, confidence=confidence)
        for block in design.blocks
        if block.name != key or covariates is None
        for j, name in enumerate(block.columns)
    ]
    frame = pl.DataFrame(rows, schema=_SCHEMA)
    adjusted = pl.Series("interaction_p_adjusted", holm(frame["interaction_p"].to_numpy()))
    frame.insert_column(frame.columns.index("interaction_p") + 1, adjusted)
    return TreatmentResult(
        frame=frame,
        params={"confidence": confidence, "covariates": list(names), "control": arms[0]},
        n_used=design.n,
        dropped=design.dropped,
        provenance={"step": "predict.treatment_effects", "version": 1},
        outcome=outcome.name,
        effect=_EFFECT[design.kind],
        arms=arms,
    )


_SCHEMA = {"marker": pl.String, "n": pl.Int64, "events": pl.Int64} | dict.fromkeys(
    (
        "prognostic", "prognostic_low", "prognostic_high", "prognostic_p", "interaction",
        "interaction_low", "interaction_high", "interaction_p", "treatment_low",
        "treatment_low_ci_low", "treatment_low_ci_high", "treatment_high",
        "treatment_high_ci_low", "treatment_high_ci_high",
    ),
    pl.Float64,
) | {"note": pl.String}  # fmt: skip


def _marker(
    design: Design,
    name: str,
    values: FloatArray,
    arm: FloatArray,
    z: FloatArray,
    *,
    confidence: float,
) -> dict[str, Any]:
    known = np.isfinite(values) & np.isfinite(z).all(axis=1)
    x, a, target = values[known], arm[known], design.target[known]
    events = int(target[:, 1].sum()) if design.kind == "censored" else int(known.sum())
    if design.kind == "binary":
        events = int(target.sum())
    row: dict[str, Any] = {"marker": name, "n": int(known.sum()), "events": events, "note": ""}
    nan = dict.fromkeys((key for key in _SCHEMA if key not in row), float("nan"))
    levels = np.unique(x)
    if len(levels) < 2 or len(np.unique(a)) < 2:
        return row | nan | {"note": "the marker, or the treatment, has one value here"}
    two = len(levels) == 2
    x = (x == levels[1]).astype(np.float64) if two else (x - x.mean()) / x.std()
    low, high = (0.0, 1.0) if two else (-1.0, 1.0)
    try:
        plain = _fit(design.kind, np.column_stack((x, a, z[known])), target)
        crossed = _fit(design.kind, np.column_stack((x, a, x * a, z[known])), target)
    except (FitError, InputError) as error:
        return row | nan | {"note": " ".join(str(error).split())}
    zero = np.zeros(len(crossed[0]))

    def at(level: float) -> FloatArray:
        weight = zero.copy()
        weight[1], weight[2] = 1.0, level
        return weight

    first = np.zeros(len(plain[0]))
    first[0] = 1.0
    cross = zero.copy()
    cross[2] = 1.0
    log = design.kind != "continuous"
    for key, fit, weight in (("prognostic", plain, first), ("interaction", crossed, cross)):
        value, bottom, top, p = _contrast(fit, weight, confidence, log)
        row |= {key: value, f"{key}_low": bottom, f"{key}_high": top, f"{key}_p": p}
    for key, level in (("treatment_low", low), ("treatment_high", high)):
        value, bottom, top, _ = _contrast(crossed, at(level), confidence, log)
        row |= {key: value, f"{key}_ci_low": bottom, f"{key}_ci_high": top}
    return row


Fit = tuple[FloatArray, FloatArray, float]


def _fit(kind: str, x: FloatArray, target: FloatArray) -> Fit:
    """Return coefficients without the intercept, their covariance, residual df (inf = normal)."""
    if kind == "censored":
        fit = fit_cox(x, target[:, 0], target[:, 1] > 0.5)
        return fit.beta, fit.covariance, float("inf")
    design = np.column_stack((np.ones(len(x)), x))
    rank = int(np.linalg.matrix_rank(design))
    if rank < design.shape[1]:
        raise FitError("the columns are collinear")
    if kind == "binary":
        found = logistic(target, design)
        if found.separated or not found.converged:
            raise FitError("the marker and treatment part the classes perfectly")
        return found.coef[1:], found.cov[1:, 1:], float("inf")
    beta, *_ = np.linalg.lstsq(design, target, rcond=None)
    rest = target - design @ beta
    df = len(target) - rank
    if df < 1:
        raise FitError("there are fewer samples than coefficients")
    covariance = np.linalg.inv(design.T @ design) * float(rest @ rest) / df
    return beta[1:], covariance[1:, 1:], float(df)


def _contrast(
    fit: Fit, weight: FloatArray, confidence: float, log: bool
) -> tuple[float, float, float, float]:
    beta, covariance, df = fit
    value, error = float(weight @ beta), float(np.sqrt(weight @ covariance @ weight))
    tail = 0.5 + confidence / 2
    spread = error * float(ndtri(tail) if np.isinf(df) else stdtrit(df, tail))
    z = -abs(value) / error if error > 0 else -np.inf
    p = float(2 * (ndtr(z) if np.isinf(df) else stdtr(df, z)))
    found = np.array([value, value - spread, value + spread])
    found = np.exp(found) if log else found
    return float(found[0]), float(found[1]), float(found[2]), p
