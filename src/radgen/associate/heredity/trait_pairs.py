"""Genetic correlation of traits: bivariate REML, or Haseman-Elston cross-products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen._core.progress import progress
from radgen.associate._components import holder_of
from radgen.associate.genomewide._design import basis
from radgen.associate.genomewide._input import prepare
from radgen.errors import FitError, InputError
from radgen.genome.relatedness import grm
from radgen.stats.lmm import haseman_elston_correlation
from radgen.stats.tail import chi2_log10p, normal_log10p
from radgen.stats.variance_components import Blocks, ComponentFit, fit_components
from radgen.types import Covariates, FrameLike, GenotypeMatrix, Kinship, PhenotypeTable, Result

__all__ = ["GeneticCorrelationResult", "genetic_correlation"]

Array = NDArray[np.float64]
_HALF = 1.959963984540054
_FLOATS = (
    *("rg", "se", "ci_low", "ci_high", "log10p", "p", "h2_1", "h2_1_se", "h2_2", "h2_2_se"),
    *("genetic_1", "genetic_12", "genetic_2", "residual_1", "residual_12", "residual_2"),
    *("re", "re_se", "rp", "log_likelihood"),
)
_COLUMNS = (
    {"trait_1": pl.String, "trait_2": pl.String, "n": pl.Int64}
    | dict.fromkeys(_FLOATS, pl.Float64)
    | {"status": pl.String}
)
_FREE = (True, False, True) * 2  # variances are bounded, covariances are not


@dataclass(frozen=True, eq=False)
class GeneticCorrelationResult(Result):
    """Genetic correlations of pairs of traits.

    Attributes
    ----------
    frame : polars.DataFrame
        trait_1, trait_2, n (with both), rg, se, ci_low, ci_high (95 %), log10p and p (of no
        genetic covariance), h2_1, h2_2 with standard errors (null at 0 and 1 of REML, where the
        likelihood has none; see `heritability` for limits); for REML the genetic and residual
        variances and covariances, re (correlation of residuals), rp (phenotypic), the
        log_likelihood (null for Haseman-Elston); status ("ok", or why rg or its interval is
        undefined).
    """

    kind: ClassVar[str] = "genetic_correlation"
    plots: ClassVar[tuple[str, ...]] = ("forest",)

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw the "forest" of correlations and return the matplotlib Axes.

        Raises
        ------
        InputError
            If this result has no such plot.
        """
        if kind != "forest":
            return super().plot(kind, ax=ax)
        from radgen.plot import forest

        f = self.frame
        names = [f"{one} and {two}" for one, two in f.select("trait_1", "trait_2").iter_rows()]
        numbers = [f[name].to_numpy() for name in ("rg", "ci_low", "ci_high")]
        return forest(names, *numbers, xlabel="Genetic correlation (95 % interval)", ax=ax)

    def statements(self) -> tuple[str, ...]:
        """Return the findings in plain words."""
        return tuple(
            f"{row['trait_1']} and {row['trait_2']}: genetic correlation {row['rg']:.2f} (95 % "
            f"interval {row['ci_low']:.2f} to {row['ci_high']:.2f}, p = {row['p']:.2g}) in "
            f"{row['n']} people."
            if row["status"] == "ok"
            else f"{row['trait_1']} and {row['trait_2']}: {row['status']}."
            for row in self.frame.iter_rows(named=True)
        )

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        how = {
            "reml": "bivariate restricted maximum likelihood, tested by the likelihood ratio",
            "he": "Haseman-Elston regression of cross-products with jackknife standard errors",
        }[self.params["method"]]
        return (
            f"Genetic correlations were estimated by {how}, adjusted for "
            f"{len(self.params['covariates'])} covariates, in people with both traits."
        )


def genetic_correlation(
    phenotypes: PhenotypeTable | FrameLike,
    kinship: Kinship | GenotypeMatrix,
    covariates: Covariates | FrameLike | None = None,
    *,
    pairs: Sequence[tuple[str, str]] | None = None,
    method: Literal["reml", "he"] = "reml",
    traits: Sequence[str] | None = None,
) -> GeneticCorrelationResult:
    """Return the correlation of the genetic parts of pairs of traits.

    Parameters
    ----------
    phenotypes : PhenotypeTable or data frame
        One row a sample, one column a trait; a pair uses the samples that have both.
    kinship : Kinship or GenotypeMatrix
        As for `heritability`; `radgen.genome.pedigree_kinship` serves for families.
    covariates : Covariates, data frame or None
        As for `gwas`.
    pairs : sequence of (str, str) or None
        Pairs of traits; None = all pairs of `traits`.
    method : {"reml", "he"}
        Bivariate restricted maximum likelihood, or Haseman-Elston cross-products.
    traits : sequence of str or None
        Which traits; None = all.

    Returns
    -------
    GeneticCorrelationResult
        A pair that cannot be fitted has a status and does not stop the others.

    Raises
    ------
    InputError
        If an option or a trait is unknown, or there are fewer than two traits.
    AlignmentError
        If too few samples are common.

    Notes
    -----
    REML: on the eigenvectors of K, each sample's two values have covariance d G + R. rg =
    G_12 / sqrt(G_11 G_22), its standard error by the delta method; it may leave [-1, 1] where
    a heritability is small. p is that of the likelihood ratio against G_12 = 0, with one degree
    of freedom. Haseman-Elston: rg is the ratio of slopes, its standard error leaves out one
    sample at a time.

    References
    ----------
    Lee et al. (2012), doi:10.1093/bioinformatics/bts474; Zhou & Stephens (2014),
    doi:10.1038/nmeth.2848.
    """
    require_choice(method, ("reml", "he"), what="method")
    matrix = grm(kinship) if isinstance(kinship, GenotypeMatrix) else kinship
    if pairs is not None:
        traits = list(dict.fromkeys(name for pair in pairs for name in pair))
    data = prepare(holder_of(matrix.samples), phenotypes, covariates, traits)
    wanted = list(combinations(data.names, 2)) if pairs is None else [(a, b) for a, b in pairs]
    if not wanted:
        raise InputError("A correlation needs two traits.")
    place = {name: row for row, name in enumerate(matrix.samples)}
    at = np.array([place[name] for name in data.genotypes.samples])
    column = {name: number for number, name in enumerate(data.names)}
    seen = np.isfinite(data.values)
    rows_out = []
    rotated: dict[bytes, tuple[Array, Array, Array]] = {}
    with progress("Correlating traits", len(wanted)) as tick:
        for one, two in wanted:
            both = seen[:, column[one]] & seen[:, column[two]]
            row: dict[str, Any] = dict.fromkeys(_COLUMNS) | {"trait_1": one, "trait_2": two}
            row["n"] = int(both.sum())
            y = data.values[np.ix_(both, [column[one], column[two]])]
            x = basis(data.covariates[both]) if both.any() else np.empty((0, 1))
            try:
                if len(y) < x.shape[1] + 5:
                    raise InputError(f"only {len(y)} people have both traits")
                k = matrix.values[np.ix_(at[both], at[both])]
                if method == "he":
                    row |= _cross_products(y, x, k)
                else:
                    key = both.tobytes()
                    if key not in rotated:
                        rotated.clear()
                        d, vectors = np.linalg.eigh(k)
                        rotated[key] = np.maximum(d, 0.0), vectors, vectors.T @ x
                    row |= _restricted(y, *rotated[key])
            except (FitError, InputError) as error:
                row["status"] = str(error).rstrip(".")
            rows_out.append(row)
            tick(1)
    params = {
        "method": method,
        "traits": data.names,
        "covariates": data.covariate_names,
        "n_pairs": len(wanted),
    }
    frame = pl.DataFrame(rows_out, schema=_COLUMNS)
    notes = list(data.notes)
    bad = frame.filter(pl.col("status") != "ok").height
    if bad:
        notes.append(f"{bad} pairs have no genetic correlation; see their status.")
    return GeneticCorrelationResult(frame, params, len(at), data.dropped, tuple(notes))


def _restricted(y: Array, d: Array, vectors: Array, x: Array) -> dict[str, Any]:
    scale = y.std(axis=0, ddof=1)
    if not (scale > 0).all():
        raise InputError("a trait is constant")
    turned = vectors.T @ (y / scale)
    n, c = x.shape
    design = np.zeros((n, 2, 2 * c))
    design[:, 0, :c] = design[:, 1, c:] = x
    unit = np.zeros((3, 2, 2))
    unit[0, 0, 0] = unit[2, 1, 1] = unit[1, 0, 1] = unit[1, 1, 0] = 1.0
    k = np.concatenate([d[None, :, None, None] * unit[:, None], np.tile(unit[:, None], (n, 1, 1))])
    blocks = [Blocks(turned, design, k)]
    start = [0.5, 0.0, 0.5] * 2
    fit = fit_components(blocks, bounded=_FREE, start=start)
    apart = fit_components(blocks, bounded=_FREE, start=start, held=[False, True] + [False] * 4)
    log10p = float(chi2_log10p(max(2.0 * (fit.log_likelihood - apart.log_likelihood), 0.0), 1))
    out = _summary(fit, float(d.mean()))
    sizes = np.array([scale[0] ** 2, scale[0] * scale[1], scale[1] ** 2] * 2)
    names = [f"{what}_{end}" for what in ("genetic", "residual") for end in ("1", "12", "2")]
    out |= dict(zip(names, (fit.theta * sizes).tolist(), strict=True))
    # The likelihood is that of the traits in their own units.
    shift = (n - c) * float(np.log(scale).sum())
    return out | {
        "log10p": log10p,
        "p": 10.0**log10p,
        "log_likelihood": fit.log_likelihood - shift,
    }


def _summary(fit: ComponentFit, spread: float) -> Mapping[str, Any]:
    """Return correlations and heritabilities with delta-method standard errors."""
    g, r = fit.theta[:3], fit.theta[3:]
    out: dict[str, Any] = {}
    for number, at in ((1, 0), (2, 2)):
        total = spread * g[at] + r[at]
        slope = np.zeros(6)
        slope[at], slope[3 + at] = spread * r[at] / total**2, -spread * g[at] / total**2
        out[f"h2_{number}"] = spread * g[at] / total
        inside = g[at] > 0 and r[at] > 0  # at the edge there is no standard error
        error = float(np.sqrt(max(slope @ fit.covariance @ slope, 0.0)))
        out[f"h2_{number}_se"] = error if inside else None
    out["re"], out["re_se"] = _correlation(r, fit.covariance[3:, 3:])
    both = spread * g + r
    out["rp"] = float(both[1] / np.sqrt(both[0] * both[2]))
    rg, se = _correlation(g, fit.covariance[:3, :3])
    if not np.isfinite(rg):
        return out | {"status": "a trait has no genetic variance, so that rg is undefined"}
    return out | {
        "rg": rg,
        "se": se,
        "ci_low": max(rg - _HALF * se, -1.0),
        "ci_high": min(rg + _HALF * se, 1.0),
        "status": "ok",
    }


def _correlation(theta: Array, covariance: Array) -> tuple[float, float]:
    v1, cov, v2 = theta
    if v1 <= 0 or v2 <= 0:
        return float("nan"), float("nan")
    r = cov / np.sqrt(v1 * v2)
    slope = np.array([-0.5 * r / v1, 1.0 / np.sqrt(v1 * v2), -0.5 * r / v2])
    return float(r), float(np.sqrt(max(slope @ covariance @ slope, 0.0)))


def _cross_products(y: Array, x: Array, k: Array) -> dict[str, Any]:
    fit = haseman_elston_correlation(y, x, k)
    out: dict[str, Any] = {
        "h2_1": fit.heritability[0],
        "h2_2": fit.heritability[1],
        "h2_1_se": fit.heritability_se[0],
        "h2_2_se": fit.heritability_se[1],
        "rp": fit.phenotypic,
    }
    log10p = float(normal_log10p(fit.covariance / fit.covariance_se))
    out |= {"log10p": log10p, "p": 10.0**log10p}
    if not np.isfinite(fit.correlation):
        return out | {"status": "a heritability is not positive, so that rg is undefined"}
    if not np.isfinite(fit.correlation_se):
        return out | {
            "rg": fit.correlation,
            "status": "without one of the people a heritability is not positive, so that the "
            "jackknife gives rg no interval",
        }
    half = _HALF * fit.correlation_se
    return out | {
        "rg": fit.correlation,
        "se": fit.correlation_se,
        "ci_low": max(fit.correlation - half, -1.0),
        "ci_high": min(fit.correlation + half, 1.0),
        "status": "ok",
    }
