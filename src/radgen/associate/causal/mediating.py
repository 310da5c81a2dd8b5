"""Mediation over tables: genes, image phenotypes that may carry their effect, an outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from radgen._core.naming import did_you_mean
from radgen._core.progress import progress
from radgen._core.rng import derive_seed, spawn
from radgen.associate.genomewide._input import to_covariates, to_phenotypes
from radgen.errors import FitError, InputError
from radgen.stats import mediation as core
from radgen.stats.multiplicity import bh
from radgen.stats.tail import from_log10p
from radgen.types import Covariates, FrameLike, OmicsTable, Outcome, PhenotypeTable, Result, align

__all__ = ["ALL_MEDIATORS", "MediationResult", "mediate"]

ALL_MEDIATORS = "(all)"
"""Name of the row of all mediators together."""
_EFFECTS = ("indirect", "direct", "total")
_SCALES = {
    "continuous": "difference of means",
    "binary": "difference of risks",
    "censored": "log hazard ratio",
}
_FEWEST = 20
_CROSSED = 0.05


@dataclass(frozen=True, eq=False)
class MediationResult(Result):
    """Effects of exposures on an outcome, parted into what runs through mediators and the rest.

    Attributes
    ----------
    frame : polars.DataFrame
        A row an exposure and mediator: exposure, mediator, outcome, n, n_events (cases or
        events; null for a continuous outcome), a, a_se, a_p (exposure to mediator), b, b_se, b_p
        (mediator to outcome, given the exposure), indirect, indirect_low, indirect_high, direct,
        direct_low, direct_high, total, total_low, total_high, total_p, proportion (indirect over
        indirect plus direct; null where they have opposite signs), log10p, p (joint significance
        of both paths), p_bh, p_permuted, rho_zero, interaction_p, n_draws, status, reason. With
        several mediators at once a row "(all)" holds their sum, without paths and p.
    """

    kind: ClassVar[str] = "mediation"
    plots: ClassVar[tuple[str, ...]] = ("mediation_path", "mediation_forest")

    def plot(
        self,
        kind: str,
        *,
        ax: Any = None,
        exposure: str | None = None,
        mediator: str | None = None,
        n: int = 25,
    ) -> Any:
        """Draw one of `plots` and return the matplotlib Axes.

        Parameters
        ----------
        kind : str
            "mediation_path" (exposure, mediator, outcome with their coefficients) or
            "mediation_forest" (indirect effects with intervals, the smallest p first).
        ax : matplotlib Axes or None
            Where to draw; None = a new figure.
        exposure, mediator : str or None
            Of the path, or of the rows; None = the smallest p, or all.
        n : int, default 25
            Rows of the forest.

        Raises
        ------
        InputError
            If this result has no such plot or row.
        """
        if kind not in self.plots:
            return super().plot(kind, ax=ax)
        from radgen.associate.causal import _pictures

        some = self.frame.filter(pl.col("status") == "ok")
        for name, value in (("exposure", exposure), ("mediator", mediator)):
            some = some if value is None else some.filter(pl.col(name) == value)
        if kind == "mediation_path":
            some = some.filter(pl.col("mediator") != ALL_MEDIATORS)
        if not some.height:
            raise InputError("No estimate has these names.")
        return _pictures.mediation(some, kind, self.params, ax=ax, n=n)

    def statements(self) -> tuple[str, ...]:
        """Return the findings in plain words."""
        level, outcome = self.params["level"], self.params["outcome"]
        done = self.frame.filter((pl.col("status") == "ok") & pl.col("p").is_not_null())
        found = done.filter(pl.col("p_bh") <= level).sort("log10p")
        words = [
            f"{done.height} paths to {outcome} were tested; {found.height} held at a false "
            f"discovery rate of {level:g}."
        ]
        for row in found.head(5).iter_rows(named=True):
            share = "" if row["proportion"] is None else f", {row['proportion']:.0%} of its effect"
            words.append(
                f"{row['exposure']} acts on {outcome} through {row['mediator']}: {self._scale} "
                f"{row['indirect']:.3g} ({row['indirect_low']:.3g} to {row['indirect_high']:.3g})"
                f"{share}, p = {row['p']:.2g}, n = {row['n']}."
            )
        if not found.height and done.height:
            row = done.sort("log10p").row(0, named=True)
            words.append(
                f"The strongest was {row['exposure']} through {row['mediator']}: {self._scale} "
                f"{row['indirect']:.3g} ({row['indirect_low']:.3g} to {row['indirect_high']:.3g}), "
                f"p = {row['p']:.2g} (adjusted {row['p_bh']:.2g})."
            )
        return tuple(words)

    @property
    def _scale(self) -> str:
        return _SCALES[self.params["outcome_kind"]]

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        p = self.params
        model = {
            "continuous": "linear models; effects are products of coefficients",
            "binary": "a logistic model integrated over the linear model of the mediator (natural "
            "effects on the risk, averaged over the people)",
            "censored": "a Cox model (Efron); the indirect effect is the product of the mediator's "
            "coefficients, close to the natural effect where events are rare",
        }[p["outcome_kind"]]
        together = "All mediators of an exposure stood in one model. " if p["joint"] else ""
        drawn = (
            f"{p['confidence']:.0%} intervals are percentiles of {p['n_bootstrap']:,} bootstrap "
            f"samples of people (seed {p['seed']}). "
            if p["n_bootstrap"]
            else ""
        )
        shuffled = (
            f"Both paths were permuted {p['n_permutations']:,} times as well. "
            if p["n_permutations"]
            else ""
        )
        adjusted = (
            f"Adjusted for {', '.join(p['covariates'])}. "
            if p["covariates"]
            else "No confounders. "
        )
        return (
            f"Mediation by {model}. {together}{adjusted}{drawn}A path is significant where both of "
            "its halves are (joint significance, the larger p); over all paths "
            f"Benjamini-Hochberg. {shuffled}The claim is causal only if exposure, mediator and "
            "outcome share no unmeasured cause; rho_zero says how strong one would have to be."
        )


def mediate(
    exposures: PhenotypeTable | OmicsTable | FrameLike,
    mediators: PhenotypeTable | FrameLike,
    outcome: Outcome,
    covariates: Covariates | FrameLike | None = None,
    *,
    seed: int,
    pairs: Sequence[tuple[str, str]] | None = None,
    joint: bool = False,
    n_bootstrap: int = 1000,
    n_permutations: int = 0,
    confidence: float = 0.95,
    level: float = 0.05,
) -> MediationResult:
    """Return which effects of exposures on an outcome run through which mediators.

    Parameters
    ----------
    exposures : PhenotypeTable, OmicsTable or data frame
        Genes (expression, mutation, dosage of a variant), a row a sample.
    mediators : PhenotypeTable or data frame
        Image phenotypes.
    outcome : Outcome
        Continuous, binary or censored.
    covariates : Covariates, data frame or None
        Confounders of all three; text becomes categories.
    seed : int
        Of bootstrap and permutations; each path has its own stream.
    pairs : sequence of (str, str) or None
        Exposure and mediator; None = every combination.
    joint : bool, default False
        All mediators of an exposure in one model of the outcome, instead of one at a time.
    n_bootstrap : int, default 1000
        Draws of people for the intervals; 0 = none.
    n_permutations : int, default 0
        Permutations of each path, beside the model's p.
    confidence : float, default 0.95
        Of the intervals.
    level : float, default 0.05
        False discovery rate of the findings in words.

    Returns
    -------
    MediationResult
        A path that cannot be fitted is a row with status "failed" and its reason.

    Raises
    ------
    InputError
        If a name is unknown or stands twice, the outcome is ordinal, or an option is out of range.
    AlignmentError
        If fewer than 20 samples are common to the tables.

    Notes
    -----
    Each model uses the people complete for it. See `radgen.stats.mediation.mediation` for the
    effects, and what they assume.

    References
    ----------
    VanderWeele (2016), doi:10.1146/annurev-publhealth-032315-021402.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> ids = [f"s{i}" for i in range(200)]
    >>> gene = rng.normal(size=200)
    >>> volume = 0.6 * gene + rng.normal(size=200)
    >>> score = Outcome("score", "continuous", tuple(ids), 0.5 * volume + rng.normal(size=200))
    >>> found = mediate({"sample": ids, "GENE": gene}, {"sample": ids, "volume": volume}, score,
    ...                 seed=1, n_bootstrap=200)
    >>> round(found.frame["indirect"][0], 1)
    0.3
    """
    if outcome.kind == "ordinal":
        raise InputError("Mediation needs a continuous, binary or censored outcome.")
    x = _phenotypes(exposures)
    m = to_phenotypes(mediators)
    extra = None if covariates is None else to_covariates(covariates)
    tables = {"exposures": x.samples, "mediators": m.samples, "outcome": outcome.samples}
    if extra is not None:
        tables["covariates"] = extra.samples
    found = align(tables, need=_FEWEST)
    y = outcome.values[found.rows["outcome"]]
    event = None if outcome.events is None else outcome.events[found.rows["outcome"]]
    z = np.empty((found.n_samples, 0))
    if extra is not None:
        z = extra.values[found.rows["covariates"]]
    whole = np.isfinite(y) & np.isfinite(z).all(axis=1)
    source = _Source(
        x.values[found.rows["exposures"]], m.values[found.rows["mediators"]], y, z, event, whole,
        outcome,
    )  # fmt: skip
    groups = _groups(x.names, m.names, pairs, joint=joint)
    options = (seed, n_bootstrap, n_permutations, confidence)
    rows: list[dict[str, Any]] = []
    with progress("Mediation", len(groups)) as tick:
        for name, through in groups:
            rows += _model(source, (x.names.index(name), name), _places(m.names, through), options)
            tick(1)
    frame = pl.DataFrame(rows, schema=_SCHEMA)
    p = frame["p"].to_numpy()
    at = frame.columns.index("p") + 1
    frame = frame.insert_column(at, pl.Series("p_bh", bh(p)).fill_nan(None))
    return MediationResult(
        frame,
        {
            "outcome": outcome.name, "outcome_kind": outcome.kind, "joint": joint, "seed": seed,
            "n_bootstrap": n_bootstrap, "n_permutations": n_permutations,
            "confidence": confidence, "level": level,
            "covariates": () if extra is None else tuple(extra.names),
        },
        int(whole.sum()),
        dropped=_dropped(found, whole),
        warnings=_cautions(frame),
    )  # fmt: skip


@dataclass(frozen=True, eq=False, slots=True)
class _Source:
    x: Any
    m: Any
    y: Any
    z: Any
    event: Any
    whole: Any
    outcome: Outcome


_SCHEMA: dict[str, Any] = {
    "exposure": pl.String, "mediator": pl.String, "outcome": pl.String, "n": pl.Int64,
    "n_events": pl.Int64,
    **dict.fromkeys(("a", "a_se", "a_p", "b", "b_se", "b_p"), pl.Float64),
    **{f"{name}{end}": pl.Float64 for name in _EFFECTS for end in ("", "_low", "_high")},
    **dict.fromkeys(("total_p", "proportion", "log10p", "p", "p_permuted", "rho_zero",
                     "interaction_p"), pl.Float64),
    "n_draws": pl.Int64, "status": pl.String, "reason": pl.String,
}  # fmt: skip


def _phenotypes(table: PhenotypeTable | OmicsTable | FrameLike) -> PhenotypeTable:
    if isinstance(table, OmicsTable):
        columns = {name: table.values[:, at] for at, name in enumerate(table.features)}
        return to_phenotypes(pl.DataFrame({"sample": table.samples} | columns))
    return to_phenotypes(table)


def _groups(
    exposures: Sequence[str],
    mediators: Sequence[str],
    pairs: Sequence[tuple[str, str]] | None,
    *,
    joint: bool,
) -> list[tuple[str, tuple[str, ...]]]:
    """Return the models: an exposure and its mediators."""
    shared = set(exposures) & set(mediators)
    if pairs is None:
        if shared:
            raise InputError(f"{sorted(shared)[0]!r} is an exposure and a mediator.")
        pairs = [(x, m) for x in exposures for m in mediators]
    for x, m in pairs:
        for name, known in ((x, exposures), (m, mediators)):
            if name not in known:
                raise InputError(f"No column {name!r}. {did_you_mean(name, known)}")
    if not pairs:
        raise InputError("There is no pair of exposure and mediator.")
    if not joint:
        return [(x, (m,)) for x, m in dict.fromkeys(pairs)]
    together: dict[str, list[str]] = {}
    for x, m in dict.fromkeys(pairs):
        together.setdefault(x, []).append(m)
    return [(x, tuple(through)) for x, through in together.items()]


def _places(names: Sequence[str], wanted: Sequence[str]) -> list[tuple[int, str]]:
    return [(names.index(name), name) for name in wanted]


def _model(
    source: _Source,
    exposure: tuple[int, str],
    mediators: list[tuple[int, str]],
    options: tuple[int, int, int, float],
) -> list[dict[str, Any]]:
    """Return the rows of one model."""
    seed, n_bootstrap, n_permutations, confidence = options
    columns = source.m[:, [at for at, _ in mediators]]
    x = source.x[:, exposure[0]]
    keep = source.whole & np.isfinite(x) & np.isfinite(columns).all(axis=1)
    kind = source.outcome.kind
    y = source.y[keep]
    event = None if source.event is None else source.event[keep]
    n_events = None if kind == "continuous" else int((y if event is None else event).sum())
    names = tuple(name for _, name in mediators)
    start = {"exposure": exposure[1], "outcome": source.outcome.name, "n": int(keep.sum())}
    start["n_events"] = n_events
    key = ("mediation", exposure[1], *names)
    try:
        if keep.sum() < _FEWEST:
            raise FitError(f"{keep.sum()} complete samples; needed are {_FEWEST}.")
        data = core.MediationData(x[keep], columns[keep], y, source.z[keep], kind, event)  # type: ignore[arg-type]
        fit = core.mediation(
            data, rng=spawn(seed, *key), n_bootstrap=n_bootstrap, confidence=confidence
        )
        permuted = (
            core.permuted_paths(
                data, seed=derive_seed(seed, *key, "paths") % 2**31, n_permutations=n_permutations
            )
            if n_permutations
            else np.full(len(names), np.nan)
        )
    except FitError as error:
        return [
            start | {"mediator": name, "status": "failed", "reason": str(error)} for name in names
        ]
    rows = [start | _row(fit, j, permuted[j]) | {"mediator": name} for j, name in enumerate(names)]
    if len(names) > 1:
        rows.append(start | _row(fit, len(names), np.nan) | {"mediator": ALL_MEDIATORS})
    return rows


def _row(fit: core.Mediation, j: int, permuted: float) -> dict[str, Any]:
    k = len(fit.a)
    values: dict[str, float] = {}
    for name, value, place in (
        ("indirect", float(fit.indirect[j]), j),
        ("direct", fit.direct, k + 1),
        ("total", fit.total, k + 2),
    ):
        values |= {name: value, f"{name}_low": fit.low[place], f"{name}_high": fit.high[place]}
    values["total_p"] = float(from_log10p(fit.total_log10p))
    whole = fit.indirect[k] + fit.direct
    if fit.indirect[k] * fit.direct >= 0 and whole != 0:
        values["proportion"] = float(fit.indirect[j] / whole)
    if j < k:
        for name, path in (("a", fit.a[j]), ("b", fit.b[j])):
            values |= {name: path.effect, f"{name}_se": path.se}
            values[f"{name}_p"] = float(from_log10p(path.log10p))
        values |= {
            "log10p": float(fit.log10p[j]), "p": float(from_log10p(fit.log10p[j])),
            "p_permuted": float(10**permuted), "rho_zero": float(fit.rho_zero[j]),
            "interaction_p": float(from_log10p(fit.interaction_log10p[j])),
        }  # fmt: skip
    plain: dict[str, Any] = {
        name: None if np.isnan(value) else float(value) for name, value in values.items()
    }
    return plain | {"n_draws": fit.n_draws, "status": "ok", "reason": ""}


def _dropped(found: Any, whole: Any) -> pl.DataFrame:
    absent = found.dropped.select("sample", reason=pl.format("absent from {}", "absent_from"))
    gaps = [name for name, ok in zip(found.samples, whole, strict=True) if not ok]
    missing = pl.DataFrame(
        {"sample": gaps, "reason": ["the outcome or a covariate is missing"] * len(gaps)},
        schema={"sample": pl.String, "reason": pl.String},
    )
    return pl.concat([absent, missing])


def _cautions(frame: pl.DataFrame) -> tuple[str, ...]:
    words = []
    failed = frame.filter(pl.col("status") == "failed")
    if failed.height:
        words.append(
            f"{failed.height} of {frame.height} paths could not be fitted, first "
            f"{failed['exposure'][0]} through {failed['mediator'][0]}: {failed['reason'][0]}"
        )
    crossed = frame.filter((pl.col("p_bh") <= _CROSSED) & (pl.col("interaction_p") < _CROSSED))
    if crossed.height:
        words.append(
            f"In {crossed.height} of the found paths exposure and mediator interact (p < 0.05), "
            f"first {crossed['exposure'][0]} through {crossed['mediator'][0]}: the effects differ "
            "with the exposure, and the numbers are averages."
        )
    return tuple(words)
