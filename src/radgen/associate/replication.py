"""Test locked hypotheses, and no others, in another cohort."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtri

from radgen.associate._replication_range import count_range, pair_products
from radgen.associate._table import ALL_SAMPLES
from radgen.associate.association import scan
from radgen.associate.association_result import AssociationResult, power_of_ten
from radgen.associate.hypotheses import Hypotheses
from radgen.errors import InputError, shown
from radgen.stats import multiplicity
from radgen.stats.meta import meta
from radgen.stats.selection import EffectPrior, one_sided_power
from radgen.stats.tail import log10p_to_z
from radgen.types import Covariates, FrameLike, OmicsTable, PhenotypeTable, Result, to_polars

__all__ = ["ReplicationResult", "replicate"]

Array = NDArray[np.float64]

_LEVEL = 0.05
_FOREST_ROWS = 12
_NEW = (
    "n",
    "effect",
    "se",
    "ci_low",
    "ci_high",
    "log10p",
    "status",
    "reason",
)
_KEYS = ("phenotype", "omics", "layer", "stratum", "test")


@dataclass(frozen=True, eq=False)
class ReplicationResult(Result):
    """Locked hypotheses in a second cohort.

    Attributes
    ----------
    frame : polars.DataFrame
        A row a hypothesis: the locked columns, and with the suffix ``_new`` those of the second
        cohort with ``ci_low_new, ci_high_new``; ``same_sign``, ``log10p_one_sided`` and
        ``p_one_sided`` in the locked direction, ``p_holm`` over the hypotheses, ``replicated``
        (p_holm at most 0.05), ``power`` (chance of one-sided p at most 0.05 were the locked
        effect true), ``effect_corrected`` (the locked effect, shrunk by what all tests of the
        first cohort say of true effects) and ``power_corrected``; the pooled ``effect_meta,
        se_meta, ci_low_meta, ci_high_meta, log10p_meta`` with ``i2`` (percent) and ``q_log10p``
        (homogeneity); ``status`` and ``reason``.
    summary : mapping
        n_hypotheses, n_tested, n_same_sign, n_nominal (one-sided p at most 0.05),
        n_replicated, n_expected (sum of the powers), n_expected_corrected with expected_low and
        expected_high (its 95 % range, by simulation of tests as correlated as those of the
        second cohort).
    """

    kind: ClassVar[str] = "replication"
    version: ClassVar[int] = 2
    plots: ClassVar[tuple[str, ...]] = ("effects", "forest")

    summary: Mapping[str, Any] = field(default_factory=dict)

    def statements(self) -> tuple[str, ...]:
        """Return what held and what did not, against expectation."""
        s = self.summary
        lines = [
            f"{s['n_tested']} of {s['n_hypotheses']} locked hypotheses could be tested in "
            f"{self.n_used} new samples: {s['n_same_sign']} have the same direction, "
            f"{s['n_nominal']} a one-sided p of at most 0.05, and {s['n_replicated']} pass "
            "Holm's correction."
        ]
        if s["n_tested"]:
            lines.append(_expectation(s))
        for row in self.frame.sort("log10p_one_sided", nulls_last=True).head(5).to_dicts():
            if row["log10p_one_sided"] is None:
                continue
            verdict = "replicated" if row["replicated"] else "did not replicate"
            power = "" if row["power"] is None else f", power {row['power']:.2f}"
            lines.append(
                f"{row['phenotype']} with {row['omics']} {verdict}: effect {row['effect_new']:.3g} "
                f"({_number(row['ci_low_new'])} to {_number(row['ci_high_new'])}) after "
                f"{row['effect']:.3g}, one-sided p = {power_of_ten(row['log10p_one_sided'])}"
                f"{power}."
            )
        return tuple(lines)

    def methods(self) -> str:
        """Return the methods paragraph."""
        return (
            f"{self.summary['n_hypotheses']} hypotheses (pair, test, model and direction) were "
            "locked in the first cohort and tested, and no others, in the second with the same "
            f"models{self._adjusted()}. P-values are one-sided in the locked direction and "
            "corrected by Holm's method. The expected number of replications is the sum of the "
            "powers at the locked effects, as they are and after shrinkage to the distribution of "
            "true effects that all tests of the first cohort make likely (a mixture of normals "
            "around 0, by maximum likelihood); its range comes from simulated tests with the "
            "correlations of those in the second cohort. Both cohorts were pooled by inverse "
            f"variance ({self.params['meta']})."
        )

    def _adjusted(self) -> str:
        if not self.params.get("other_covariates"):
            return ""
        names = shown(self.params["other_covariates"]) or "nothing"
        return f", but for the covariates, which were {names} in the second"

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw one of `plots` and return the matplotlib Axes.

        Parameters
        ----------
        kind : str
            "effects": locked against new z-values; "forest": both cohorts and the pooled effect
            of the hypotheses with the smallest locked p.
        ax : matplotlib Axes or None
            Where to draw.

        Returns
        -------
        matplotlib Axes
            The drawing.

        Raises
        ------
        InputError
            If there is no such plot.
        """
        if kind == "effects":
            return self._effects(ax)
        if kind == "forest":
            return self._forest(ax)
        return super().plot(kind, ax=ax)

    def _effects(self, ax: Any) -> Any:
        from radgen.plot import scatter

        rows = self.frame.filter((pl.col("se") > 0) & (pl.col("se_new") > 0))
        names = ["replicated" if ok else "not replicated" for ok in rows["replicated"]]
        drawn = scatter(
            (rows["effect"] / rows["se"]).to_numpy(),
            (rows["effect_new"] / rows["se_new"]).to_numpy(),
            groups=names,
            fit=False,
            xlabel="Effect in standard errors, first cohort",
            ylabel="Effect in standard errors, second cohort",
            ax=ax,
        )
        drawn.axhline(0, linewidth=0.8, color="0.6")
        drawn.axvline(0, linewidth=0.8, color="0.6")
        return drawn

    def _forest(self, ax: Any) -> Any:
        from radgen.plot import forest

        names: list[str] = []
        values: list[tuple[float, float, float]] = []
        quantile = float(ndtri(0.975))
        known = self.frame.filter((pl.col("se") > 0) & (pl.col("se_new") > 0))
        for row in known.sort("log10p").head(_FOREST_ROWS).to_dicts():
            half = quantile * row["se"]
            names += [f"{row['phenotype']} - {row['omics']}, first", "  second", "  pooled"]
            values.append((row["effect"], row["effect"] - half, row["effect"] + half))
            values.append((row["effect_new"], row["ci_low_new"], row["ci_high_new"]))
            values.append((row["effect_meta"], row["ci_low_meta"], row["ci_high_meta"]))
        table = np.array(values, dtype=np.float64).reshape(-1, 3)
        return forest(names, *table.T, ax=ax)


def _expectation(s: Mapping[str, Any]) -> str:
    low, high = s["expected_low"], s["expected_high"]
    if s["n_nominal"] < low:
        verdict = (
            "fewer than expected: more of the locked effects are false, or other in this cohort, "
            "than the first cohort suggested"
        )
    elif s["n_nominal"] > high:
        verdict = "more than expected"
    else:
        verdict = "as expected"
    return (
        f"Expected were {s['n_expected_corrected']:.1f} with a one-sided p of at most 0.05 (95 % "
        f"range {low:.0f} to {high:.0f}) after correction for selection, and "
        f"{s['n_expected']:.1f} at the face value of the locked effects: {s['n_nominal']} is "
        f"{verdict}."
    )


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.3g}"


def replicate(
    hypotheses: Hypotheses | FrameLike,
    phenotypes: PhenotypeTable,
    omics: OmicsTable | Sequence[OmicsTable],
    covariates: Covariates | None = None,
    *,
    by: Mapping[str, Any] | None = None,
    clusters: Mapping[str, Any] | None = None,
    meta_method: Literal["fixed", "DL", "HE", "PM", "ML", "REML"] = "fixed",
    other_covariates: bool = False,
    min_n: int | None = None,
    min_group: int | None = None,
) -> ReplicationResult:
    """Return the locked hypotheses tested in another cohort.

    Parameters
    ----------
    hypotheses : Hypotheses or data frame
        From `lock`, or its table.
    phenotypes, omics, covariates
        The second cohort; names as in the first. Units of phenotypes and features must be
        those of the first cohort, or effects do not compare (unless both were standardised).
    by : mapping of str to value or None
        Stratum of each sample, where hypotheses are of strata.
    clusters : mapping of str to value or None
        Patient of each sample, where hypotheses are of mixed models.
    meta_method : {"fixed", "DL", "HE", "PM", "ML", "REML"}
        How both cohorts are pooled.
    other_covariates : bool, default False
        Adjust for `covariates` although they are other columns than those of the first cohort;
        the result says so. Levels of a text column (sites, scanners: ``site=B``) may differ
        anyway.
    min_n, min_group : int or None
        As in `scan`; None = as in the first cohort.

    Returns
    -------
    ReplicationResult
        A row a hypothesis, tested or not.

    Raises
    ------
    InputError
        If there is no hypothesis, a column is missing, or the covariates are other columns than
        those of the first cohort and nothing says that they may be.

    Notes
    -----
    The first cohort selected its effects: they are larger than true ones on average. The
    expected number of replications is therefore also given for effects shrunk to the
    distribution of true effects that all tests of the first cohort make likely; without that
    (a bare table of hypotheses) it is not corrected. Hypotheses of correlated phenotypes and
    genes replicate or fail together: the range of the number of replications knows that.
    """
    locked = hypotheses
    if not isinstance(locked, Hypotheses):
        locked = Hypotheses(to_polars(hypotheses, what="table of hypotheses"))
    if not len(locked):
        raise InputError("No hypothesis is locked: the first cohort found nothing to replicate.")
    names = [] if covariates is None else list(covariates.names)
    notes = _compared(locked, names, other=other_covariates)
    layers = [omics] if isinstance(omics, OmicsTable) else list(omics)
    options: dict[str, Any] = {
        "min_n": min_n or locked.params.get("min_n") or 10,
        "min_group": min_group if min_group is not None else locked.params.get("min_group", 3),
        "standardise": bool(locked.params.get("standardise", False)),
        "transform": locked.params.get("transform") or "none",
        "modifier": locked.params.get("modifier"),
    }
    options["confidence"] = locked.params.get("confidence") or 0.95
    results = list(_tested(locked, phenotypes, layers, covariates, by, clusters, options))
    used = max((item.n_used for item in results), default=0)
    joined = _joined(locked.frame, results)
    frame = _judged(joined, meta_method, locked.params.get("prior"))
    return ReplicationResult(
        frame=frame,
        params={
            "meta": meta_method,
            **options,
            "locked": dict(locked.params),
            "other_covariates": names if other_covariates else [],
        },
        n_used=used,
        warnings=notes + tuple(dict.fromkeys(line for item in results for line in item.warnings)),
        summary=_summary(frame, phenotypes, layers, covariates),
        provenance={"step": "associate.replicate", "version": 2},
    )


def _compared(locked: Hypotheses, names: list[str], *, other: bool) -> tuple[str, ...]:
    """Return what is to be said of covariates that are not quite those of the first cohort."""
    wanted = locked.params.get("covariates")
    if wanted is None or set(wanted) == set(names):
        return ()
    columns = [{name.partition("=")[0] for name in side} for side in (wanted, names)]
    if columns[0] == columns[1]:
        changed = sorted({name.partition("=")[0] for name in set(wanted) ^ set(names)})
        return (f"The levels of {shown(changed)} are those of the second cohort.",)
    if other:
        return (
            f"The second cohort was adjusted for {shown(names) or 'nothing'}, the first for "
            f"{shown(wanted) or 'nothing'}: effects are of different models.",
        )
    raise InputError(
        f"The hypotheses were tested with the covariates {shown(wanted) or 'none'}; given are "
        f"{shown(names) or 'none'}. A replication tests the same model: give the same columns, or "
        "say that others are meant (other_covariates=True; --adjust on the command line)."
    )


def _tested(  # noqa: PLR0917
    locked: Hypotheses,
    phenotypes: PhenotypeTable,
    layers: Sequence[OmicsTable],
    covariates: Covariates | None,
    by: Mapping[str, Any] | None,
    clusters: Mapping[str, Any] | None,
    options: Mapping[str, Any],
) -> Iterator[AssociationResult]:
    """Scan the phenotypes and features that the hypotheses of each test and stratum name."""
    for key, part in locked.frame.group_by("test", "stratum", maintain_order=True):
        test, stratum = str(key[0]), str(key[1])
        wanted, genes = set(part["phenotype"]), set(part["omics"])
        rows = np.array([name in wanted for name in phenotypes.names], dtype=bool)
        chosen = [
            layer.take(columns=np.array([name in genes for name in layer.features], dtype=bool))
            for layer in layers
            if genes & set(layer.features)
        ]
        if not rows.any() or not chosen:
            continue
        only = None
        if stratum != ALL_SAMPLES:
            if by is None:
                raise InputError(f"Hypotheses of stratum {stratum!r} need by=, a sample's stratum.")
            only = {item: name for item, name in by.items() if str(name) == stratum}
            if not only:
                continue
        yield scan(
            phenotypes.take(columns=rows),
            chosen,
            covariates,
            test=test,
            by=only,
            clusters=clusters if test == "mixed" else None,
            **options,
        )


def _joined(locked: pl.DataFrame, results: Sequence[AssociationResult]) -> pl.DataFrame:
    text = dict.fromkeys((*_KEYS, "status", "reason"), pl.String)
    schema = {name: text.get(name, pl.Float64) for name in (*_KEYS, *_NEW)} | {"n": pl.Int64}
    new = pl.concat(
        [pl.DataFrame(schema=schema), *(item.frame.select(_KEYS + _NEW) for item in results)]
    ).rename({name: f"{name}_new" for name in _NEW if name not in ("status", "reason")})
    return locked.join(new, on=list(_KEYS), how="left", maintain_order="left").with_columns(
        pl.col("status").fill_null("not_tested"),
        pl.col("reason").fill_null("the phenotype or feature is not in the second cohort"),
    )


def _judged(
    joined: pl.DataFrame, method: str, prior: Mapping[str, Sequence[float]] | None
) -> pl.DataFrame:
    def numbers(name: str) -> Array:
        return joined[name].cast(pl.Float64).fill_null(np.nan).to_numpy().astype(np.float64)

    effect, se, new, se_new = (numbers(name) for name in ("effect", "se", "effect_new", "se_new"))
    tested = np.isfinite(numbers("log10p_new")) & np.isfinite(new)
    same = np.sign(effect) == np.sign(new)
    two_sided = numbers("log10p_new")
    one_sided = np.log10(0.5) + two_sided
    with np.errstate(under="ignore"):
        one_sided = np.where(same, one_sided, np.log1p(-(10.0**one_sided)) / np.log(10.0))
    one_sided = np.where(tested, one_sided, np.nan)
    usable = tested & (se_new > 0)
    shrunk, chance = _corrected(effect, numbers("log10p"), se / se_new, prior)
    columns: dict[str, Any] = {
        "log10p_one_sided": one_sided,
        "p_one_sided": 10.0**one_sided,
        "p_holm": multiplicity.holm(10.0**one_sided),
        "power": np.where(usable, one_sided_power(effect, se_new), np.nan),
        "effect_corrected": shrunk,
        "power_corrected": np.where(usable, chance, np.nan),
    }
    columns |= _pooled(effect, se, new, np.where(usable, se_new, np.nan), method)
    frame = joined.with_columns(
        pl.Series("same_sign", same),
        *(pl.Series(name, values, nan_to_null=True) for name, values in columns.items()),
    )
    return frame.with_columns(
        pl.when(pl.col("p_one_sided").is_not_null()).then("same_sign").alias("same_sign"),
        (pl.col("p_holm") <= _LEVEL).fill_null(False).alias("replicated"),
    )


def _corrected(
    effect: Array, log10p: Array, ratio: Array, prior: Mapping[str, Sequence[float]] | None
) -> tuple[Array, Array]:
    """Shrunk effects and the chances that they are found again."""
    z = np.sign(effect) * log10p_to_z(log10p)
    if prior is None:
        return effect, one_sided_power(z * ratio, np.ones_like(z))
    found = EffectPrior(np.array(prior["scales"]), np.array(prior["weights"]))
    with np.errstate(invalid="ignore", divide="ignore"):
        shrunk = np.where(z == 0, 0.0, effect * found.mean(z) / z)
    return shrunk, found.replication_power(z, ratio)


def _pooled(effect: Array, se: Array, new: Array, se_new: Array, method: str) -> dict[str, Array]:
    names = ("effect", "se", "ci_low", "ci_high", "log10p", "i2", "q_log10p")
    out = {name: np.full(len(effect), np.nan) for name in names}
    for row in np.flatnonzero((se > 0) & (se_new > 0) & np.isfinite(new)):
        fit = meta([effect[row], new[row]], [se[row] ** 2, se_new[row] ** 2], method=method)  # type: ignore[arg-type]
        for name in names:
            out[name][row] = getattr(fit, name)
    plain = ("i2", "q_log10p")
    return {name if name in plain else f"{name}_meta": values for name, values in out.items()}


def _summary(
    frame: pl.DataFrame,
    phenotypes: PhenotypeTable,
    layers: Sequence[OmicsTable],
    covariates: Covariates | None,
) -> dict[str, Any]:
    tested = frame.filter(pl.col("p_one_sided").is_not_null())
    hoped = tested.filter(pl.col("power_corrected").is_not_null())
    chance = hoped["power_corrected"].to_numpy()
    products = pair_products(hoped, phenotypes, layers, covariates)
    # The events have the locked directions.
    low, high = count_range(chance, products * np.sign(hoped["effect"].to_numpy()))
    return {
        "n_hypotheses": frame.height,
        "n_tested": tested.height,
        "n_same_sign": int(tested["same_sign"].sum()),
        "n_nominal": int((tested["p_one_sided"] <= _LEVEL).sum()),
        "n_replicated": int(tested["replicated"].sum()),
        "n_expected": float(tested["power"].sum()),
        "n_expected_corrected": float(chance.sum()),
        "expected_low": low,
        "expected_high": high,
    }
