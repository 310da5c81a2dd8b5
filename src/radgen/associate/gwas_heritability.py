"""How much of a trait's variance genotypes explain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl

from radgen._core.naming import require_choice
from radgen.associate._gwas_design import basis
from radgen.associate._gwas_input import prepare
from radgen.genome.relatedness import grm
from radgen.stats.lmm import MixedModel, fit_variance, haseman_elston
from radgen.types import Covariates, FrameLike, GenotypeMatrix, Kinship, PhenotypeTable, Result

__all__ = ["HeritabilityResult", "heritability", "kinship_of"]


@dataclass(frozen=True, eq=False)
class HeritabilityResult(Result):
    """Heritability of traits.

    Attributes
    ----------
    frame : polars.DataFrame
        phenotype, n, h2, se, genetic, residual (variances; null for Haseman-Elston),
        log_likelihood, p (likelihood ratio against no heritability, half a chi-square of 1
        degree of freedom; null for Haseman-Elston).
    """

    kind: ClassVar[str] = "heritability"

    def statements(self) -> tuple[str, ...]:
        """Return the findings in plain words."""
        return tuple(
            f"{row['phenotype']}: heritability {row['h2']:.3f} (standard error {row['se']:.3f}) in "
            f"{row['n']} people."
            for row in self.frame.iter_rows(named=True)
        )

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        how = {
            "reml": "restricted maximum likelihood",
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

    Raises
    ------
    InputError
        If an option or a trait is unknown.
    AlignmentError
        If too few samples are common.
    FitError
        If the covariates explain a trait wholly.

    Notes
    -----
    REML: y = Xb + u + e, var u = s_g K. h2 = s_g d / (s_g d + s_e), d the mean diagonal of the
    centred K, as GEMMA's pve; its standard error is that of the curvature of the restricted
    likelihood in log(s_g / s_e).

    References
    ----------
    Yang et al. (2011), doi:10.1016/j.ajhg.2010.11.011; Zhou & Stephens (2012),
    doi:10.1038/ng.2310.
    """
    require_choice(method, ("reml", "he"), what="method")
    matrix = grm(kinship) if isinstance(kinship, GenotypeMatrix) else kinship
    holder = kinship_of(matrix)
    data = prepare(holder, phenotypes, covariates, traits)
    place = {name: row for row, name in enumerate(matrix.samples)}
    at = np.array([place[name] for name in data.genotypes.samples])
    rows: list[dict[str, Any]] = []
    for name, column in zip(data.names, data.values.T, strict=True):
        used = np.flatnonzero(np.isfinite(column))
        x, y = basis(data.covariates[used]), column[used]
        k = matrix.values[np.ix_(at[used], at[used])]
        row: dict[str, Any] = {"phenotype": name, "n": len(used)}
        if method == "he":
            h2, se = haseman_elston(y, x, k)
            rows.append(
                row
                | {"h2": h2, "se": se, "genetic": None, "residual": None}
                | {"log_likelihood": None, "p": None}
            )
            continue
        model = MixedModel.build(y, x, k)
        fit = fit_variance(model)
        gain = 2.0 * (fit.log_likelihood - without_kinship(model))
        from radgen.stats.tail import chi2_log10p

        p = 0.5 * 10.0 ** float(chi2_log10p(gain, 1)) if gain > 1e-8 else 0.5
        rows.append(
            row
            | {"h2": fit.heritability, "se": fit.heritability_se}
            | {"genetic": fit.genetic, "residual": fit.residual}
            | {"log_likelihood": fit.log_likelihood, "p": p}
        )
    params = {"method": method, "traits": data.names, "covariates": data.covariate_names}
    frame = pl.DataFrame(rows, infer_schema_length=None)
    return HeritabilityResult(frame, params, len(at), data.dropped, data.notes)


def without_kinship(model: MixedModel) -> float:
    """Return the restricted log likelihood of the model without the random effect."""
    n, c = model.x.shape
    beta = np.linalg.lstsq(model.x, model.y, rcond=None)[0]
    rss = float(((model.y - model.x @ beta) ** 2).sum())
    return 0.5 * (n - c) * (np.log((n - c) / (2 * np.pi)) - 1.0 - np.log(rss))


def kinship_of(kinship: Kinship) -> GenotypeMatrix:
    """Return a genotype matrix without variants, so that samples are matched in one way only."""
    from radgen.types import VARIANT_COLUMNS, ArrayDosages

    empty = pl.DataFrame(schema=dict.fromkeys(VARIANT_COLUMNS, pl.String))
    dosages = ArrayDosages(np.empty((0, len(kinship.samples)), np.float32))
    return GenotypeMatrix(kinship.samples, empty, dosages)
