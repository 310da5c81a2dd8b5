"""How much of a trait's variance genotypes explain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen._core.progress import progress
from radgen.associate._components import holder_of, mixture_log10p, wald_limits
from radgen.associate.genomewide._design import basis
from radgen.associate.genomewide._input import prepare
from radgen.associate.genomewide._mixed import related_values
from radgen.errors import FitError, InputError
from radgen.genome.relatedness import grm
from radgen.stats.lmm import MixedModel, fit_variance, haseman_elston, heritability_limits
from radgen.stats.tail import normal_log10p
from radgen.types import Covariates, FrameLike, GenotypeMatrix, Kinship, PhenotypeTable, Result

__all__ = ["HeritabilityResult", "heritability"]

Array = NDArray[np.float64]
_LOG10_2 = 0.3010299956639812
_COLUMNS = (
    {"phenotype": pl.String, "n": pl.Int64}
    | dict.fromkeys(("h2", "se", "ci_low", "ci_high", "genetic", "residual"), pl.Float64)
    | {"log_likelihood": pl.Float64, "p": pl.Float64, "log10p": pl.Float64, "status": pl.String}
)


@dataclass(frozen=True, eq=False)
class HeritabilityResult(Result):
    """Heritability of traits.

    Attributes
    ----------
    frame : polars.DataFrame
        phenotype, n, h2, se, ci_low, ci_high (95 %), genetic, residual (variances; null for
        Haseman-Elston), log_likelihood, p and log10p (REML: likelihood ratio against no
        heritability, half a chi-square of 1 degree of freedom; Haseman-Elston: one-sided z),
        status ("ok", or why nothing was estimated).
    """

    kind: ClassVar[str] = "heritability"
    version: ClassVar[int] = 3
    plots: ClassVar[tuple[str, ...]] = ("forest",)

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw the "forest" of heritabilities and return the matplotlib Axes.

        Raises
        ------
        InputError
            If this result has no such plot.
        """
        if kind != "forest":
            return super().plot(kind, ax=ax)
        from radgen.plot import forest

        f = self.frame
        numbers = [f[name].to_numpy() for name in ("h2", "ci_low", "ci_high")]
        label = "Heritability (95 % interval)"
        return forest(f["phenotype"].to_list(), *numbers, xlabel=label, ax=ax)

    def statements(self) -> tuple[str, ...]:
        """Return the findings in plain words."""
        return tuple(
            f"{row['phenotype']}: heritability {row['h2']:.3f} (standard error {row['se']:.3f}) in "
            f"{row['n']} people."
            if row["status"] == "ok"
            else f"{row['phenotype']}: {row['status']}."
            for row in self.frame.iter_rows(named=True)
        )

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        how = {
            "reml": "restricted maximum likelihood with limits of the profile likelihood",
            "he": "Haseman-Elston regression with a jackknife standard error",
        }[self.params["method"]]
        return (
            f"Heritability was estimated by {how} from a relationship matrix, adjusted for "
            f"{len(self.params['covariates'])} covariates."
        )


def heritability(
    phenotypes: PhenotypeTable | FrameLike,
    kinship: Kinship | GenotypeMatrix,
    covariates: Covariates | FrameLike | None = None,
    *,
    method: Literal["reml", "he"] = "reml",
    traits: Sequence[str] | None = None,
) -> HeritabilityResult:
    """Return the share of each trait's variance that goes with relatedness.

    Parameters
    ----------
    phenotypes : PhenotypeTable or data frame
        One row a sample, one column a trait; missing values leave the sample out of that trait.
    kinship : Kinship or GenotypeMatrix
        Relationship matrix (diagonal about 1: from `radgen.genome.grm`, or twice the kinship of
        a pedigree), or genotypes to compute it from.
    covariates : Covariates, data frame or None
        As for `gwas`.
    method : {"reml", "he"}
        Restricted maximum likelihood, or Haseman-Elston regression.
    traits : sequence of str or None
        Which traits; None = all.

    Returns
    -------
    HeritabilityResult
        A trait that cannot be fitted has a status and does not stop the others.

    Raises
    ------
    InputError
        If an option or a trait is unknown.
    AlignmentError
        If too few samples are common.

    Notes
    -----
    REML: y = Xb + u + e, var u = s_g K. h2 = s_g d / (s_g d + s_e), d the mean diagonal of the
    centred K, as GEMMA's pve; its standard error is that of the curvature of the restricted
    likelihood in s_g / s_e (null where that is not concave), its limits are of the profile
    likelihood.

    References
    ----------
    Yang et al. (2011), doi:10.1016/j.ajhg.2010.11.011; Zhou & Stephens (2012),
    doi:10.1038/ng.2310.
    """
    require_choice(method, ("reml", "he"), what="method")
    matrix = grm(kinship) if isinstance(kinship, GenotypeMatrix) else kinship
    data = prepare(holder_of(matrix.samples), phenotypes, covariates, traits)
    values = related_values(matrix, data.genotypes.samples)
    rows: list[dict[str, Any]] = []
    turned: dict[bytes, MixedModel] = {}
    with progress("Estimating heritability", len(data.names)) as tick:
        for name, column in zip(data.names, data.values.T, strict=True):
            used = np.flatnonzero(np.isfinite(column))
            row: dict[str, Any] = dict.fromkeys(_COLUMNS) | {"phenotype": name, "n": len(used)}
            try:
                x = basis(data.covariates[used])
                if len(used) < x.shape[1] + 3:
                    raise InputError(f"only {len(used)} people have the trait")
                k = values[np.ix_(used, used)]
                if method == "he":
                    row |= _cross_products(column[used], x, k)
                else:
                    row |= _restricted(column[used], x, k, (turned, used.tobytes()))
                row["status"] = "ok"
            except (FitError, InputError) as error:
                row["status"] = str(error).rstrip(".")
            rows.append(row)
            tick(1)
    params = {"method": method, "traits": data.names, "covariates": data.covariate_names}
    frame = pl.DataFrame(rows, schema=_COLUMNS)
    notes = list(data.notes)
    bad = frame.filter(pl.col("status") != "ok").height
    if bad:
        notes.append(f"{bad} traits have no heritability; see their status.")
    return HeritabilityResult(frame, params, len(values), data.dropped, tuple(notes))


def _cross_products(y: Array, x: Array, k: Array) -> dict[str, Any]:
    h2, se = haseman_elston(y, x, k)
    low, high = wald_limits(h2, se)
    log10p = float(normal_log10p(h2 / se)) - _LOG10_2 if h2 > 0 else 0.0
    return {"h2": h2, "se": se, "ci_low": low, "ci_high": high} | {
        "p": 10.0**log10p,
        "log10p": log10p,
    }


def _restricted(
    y: Array, x: Array, k: Array, shared: tuple[dict[bytes, MixedModel], bytes]
) -> dict[str, Any]:
    """Return the REML estimates; traits of the same people share the eigenvectors."""
    made, key = shared
    first = made.get(key)
    if first is None:
        made.clear()
        model = made[key] = MixedModel.build(y, x, k)
    else:
        model = MixedModel(first.values, first.vectors, first.vectors.T @ y, first.x)
    fit = fit_variance(model)
    low, high = heritability_limits(model, fit)
    log10p = mixture_log10p(2.0 * (fit.log_likelihood - without_kinship(model)))
    return {
        "h2": fit.heritability,
        "se": fit.heritability_se,
        "ci_low": low,
        "ci_high": high,
        "genetic": fit.genetic,
        "residual": fit.residual,
        "log_likelihood": fit.log_likelihood,
        "p": 10.0**log10p,
        "log10p": log10p,
    }


def without_kinship(model: MixedModel) -> float:
    """Return the restricted log likelihood of the model without the random effect."""
    n, c = model.x.shape
    beta = np.linalg.lstsq(model.x, model.y, rcond=None)[0]
    rss = float(((model.y - model.x @ beta) ** 2).sum())
    return 0.5 * (n - c) * (np.log((n - c) / (2 * np.pi)) - 1.0 - np.log(rss))
