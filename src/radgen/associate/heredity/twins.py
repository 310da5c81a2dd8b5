"""Heritability from twins: Falconer's formula and the ACE model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.associate._components import holder_of, mixture_log10p, profile_limits, share_of
from radgen.associate.genomewide._design import basis
from radgen.associate.genomewide._input import id_column, prepare
from radgen.errors import FitError, InputError, shown
from radgen.stats.variance_components import Blocks, ComponentFit, fit_components
from radgen.types import Covariates, FrameLike, PhenotypeTable, Result, to_polars

__all__ = ["TwinResult", "twin_heritability"]

Array = NDArray[np.float64]
_MODELS = {"ACE": (), "AE": (1,), "CE": (0,), "E": (0, 1)}
_ZYGOSITY = {"MZ": "MZ", "1": "MZ", "MONO": "MZ", "DZ": "DZ", "2": "DZ", "DOS": "DZ", "OS": "DZ"}
_FLOATS = (
    *("r_mz", "r_dz", "falconer_h2", "falconer_h2_se", "falconer_c2", "falconer_c2_se"),
    *("falconer_e2", "falconer_e2_se", "a2", "a2_se", "a2_low", "a2_high", "a2_p"),
    *("c2", "c2_se", "c2_low", "c2_high", "c2_p", "e2", "e2_se", "log_likelihood"),
)
_COLUMNS = (
    {"phenotype": pl.String, "n": pl.Int64, "n_mz": pl.Int64, "n_dz": pl.Int64}
    | dict.fromkeys(_FLOATS, pl.Float64)
    | {"best_model": pl.String, "status": pl.String}
)


@dataclass(frozen=True, eq=False)
class TwinResult(Result):
    """Heritability of traits in twins.

    Attributes
    ----------
    frame : polars.DataFrame
        phenotype, n, n_mz, n_dz (complete pairs), r_mz, r_dz (intraclass correlations beside
        the covariates), falconer_h2, falconer_c2, falconer_e2 with standard errors; of the ACE
        model a2, c2, e2 (additive genetic, common, own environment) with standard errors, 95 %
        profile-likelihood limits and p (likelihood ratio against 0, half a chi-square);
        log_likelihood, best_model (least AIC of ACE, AE, CE, E), status.
    models : polars.DataFrame
        phenotype, model, a2, c2, e2, log_likelihood, n_parameters, aic.
    """

    kind: ClassVar[str] = "twin_heritability"
    plots: ClassVar[tuple[str, ...]] = ("forest",)

    models: pl.DataFrame = field(default_factory=pl.DataFrame)

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
        numbers = [f[name].to_numpy() for name in ("a2", "a2_low", "a2_high")]
        return forest(f["phenotype"].to_list(), *numbers, xlabel="a² (95 % interval)", ax=ax)

    def statements(self) -> tuple[str, ...]:
        """Return the findings in plain words."""
        return tuple(
            f"{row['phenotype']}: additive genetic share {row['a2']:.3f} (95 % interval "
            f"{row['a2_low']:.3f} to {row['a2_high']:.3f}, p = {row['a2_p']:.2g}), common "
            f"environment {row['c2']:.3f}, in {row['n_mz']} identical and {row['n_dz']} fraternal "
            f"pairs (correlations {row['r_mz']:.2f} and {row['r_dz']:.2f})."
            if row["status"] == "ok"
            else f"{row['phenotype']}: {row['status']}."
            for row in self.frame.iter_rows(named=True)
        )

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        n = len(self.params["covariates"])
        return (
            "The variance was split into additive genetic, common and own environmental parts "
            f"(ACE model) by maximum likelihood in twins, adjusted for {n} covariates; intervals "
            "are of the profile likelihood. Falconer's estimates stand beside it."
        )


def twin_heritability(
    phenotypes: PhenotypeTable | FrameLike,
    twins: FrameLike,
    covariates: Covariates | FrameLike | None = None,
    *,
    traits: Sequence[str] | None = None,
) -> TwinResult:
    """Return the genetic and environmental shares of each trait's variance from twins.

    Parameters
    ----------
    phenotypes : PhenotypeTable or data frame
        One row a person, one column a trait; a missing value leaves the person out of that
        trait (the other twin still informs mean and variance).
    twins : data frame
        An id column, ``pair`` (the same mark on both twins) and ``zygosity`` ("MZ" or "DZ").
    covariates : Covariates, data frame or None
        As for `gwas`; age and sex belong here, because they make twins alike.
    traits : sequence of str or None
        Which traits; None = all.

    Returns
    -------
    TwinResult
        A trait that cannot be fitted has a status and does not stop the others.

    Raises
    ------
    InputError
        If a column is missing, a pair has more than two members or two zygosities.
    AlignmentError
        If too few samples are common.

    Notes
    -----
    Falconer: h2 = 2 (r_MZ - r_DZ), c2 = 2 r_DZ - r_MZ, e2 = 1 - r_MZ, with intraclass
    correlations of residuals and SE(r) = (1 - r^2) / sqrt(pairs). ACE: covariance of a pair is
    a2 + c2 (MZ) or a2 / 2 + c2 (DZ), all shares at least 0. Both rest on equal environments of
    the two kinds of pairs, no dominance and random mating: where r_DZ is below half of r_MZ,
    dominance is likely and a2 is that of the broad sense.

    References
    ----------
    Falconer (1965), doi:10.1111/j.1469-1809.1965.tb00500.x; Neale & Cardon (1992),
    doi:10.1007/978-94-015-8018-2.
    """
    people = _twins(twins)
    data = prepare(holder_of(people["sample"].to_list()), phenotypes, covariates, traits)
    place = {name: row for row, name in enumerate(data.genotypes.samples)}
    known = people.filter(pl.col("sample").is_in(list(place)))
    pair = np.full(len(place), -1, np.int64)
    identical = np.zeros(len(place), bool)
    for number, ((_, zygosity), part) in enumerate(
        known.group_by("pair", "zygosity", maintain_order=True)
    ):
        rows = [place[name] for name in part["sample"]]
        pair[rows], identical[rows] = number, zygosity == "MZ"
    rows_out, models = [], []
    for name, y in zip(data.names, data.values.T, strict=True):
        row: dict[str, Any] = dict.fromkeys(_COLUMNS) | {"phenotype": name}
        row["n"] = int(np.isfinite(y).sum())
        try:
            more, tried = _fit(y, data.covariates, pair, identical)
            row |= more
            models += [{"phenotype": name} | item for item in tried]
        except (FitError, InputError) as error:
            row["status"] = str(error).rstrip(".")
        rows_out.append(row)
    params = {"traits": data.names, "covariates": data.covariate_names}
    frame = pl.DataFrame(rows_out, schema=_COLUMNS)
    notes = list(data.notes)
    bad = frame.filter(pl.col("status") != "ok").height
    if bad:
        notes.append(f"{bad} traits could not be fitted; see their status.")
    schema = dict.fromkeys(("phenotype", "model"), pl.String) | dict.fromkeys(
        ("a2", "c2", "e2", "log_likelihood", "n_parameters", "aic"), pl.Float64
    )
    table = pl.DataFrame(models, schema=schema)
    return TwinResult(frame, params, len(place), data.dropped, tuple(notes), models=table)


def _twins(twins: FrameLike) -> pl.DataFrame:
    frame = to_polars(twins, what="twin table")
    key = id_column(frame, what="twin table")
    lost = [name for name in ("pair", "zygosity") if name not in frame.columns]
    if lost:
        raise InputError(f"The twin table lacks the columns {shown(lost)}.")
    raw = frame["zygosity"].cast(pl.String).str.to_uppercase()
    unknown = sorted({item for item in raw.drop_nulls().to_list() if item not in _ZYGOSITY})
    if unknown:
        raise InputError(f"Zygosity {shown(unknown)} is unknown; needed is MZ or DZ.")
    out = frame.select(
        pl.col(key).cast(pl.String).alias("sample"),
        pl.col("pair").cast(pl.String),
        raw.replace_strict(_ZYGOSITY, default=None, return_dtype=pl.String).alias("zygosity"),
    ).drop_nulls()
    groups = out.group_by("pair").agg(pl.len(), pl.col("zygosity").n_unique().alias("kinds"))
    bad = groups.filter((pl.col("len") > 2) | (pl.col("kinds") > 1))["pair"].sort().to_list()
    if bad:
        raise InputError(f"Pairs with more than two members or two zygosities: {shown(bad)}.")
    return out


def _fit(
    y: Array, covariates: Array, pair: NDArray[np.int64], identical: NDArray[np.bool_]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    rows = np.flatnonzero(np.isfinite(y) & (pair >= 0))
    order = rows[np.argsort(pair[rows], kind="stable")]
    same = np.flatnonzero(pair[order][1:] == pair[order][:-1])
    first, second = order[same], order[same + 1]
    alone = np.setdiff1d(order, np.concatenate([first, second]))
    mz = identical[first]
    n_mz, n_dz = int(mz.sum()), int((~mz).sum())
    if n_mz < 3 or n_dz < 3:
        raise InputError(f"{n_mz} identical and {n_dz} fraternal pairs are complete; needed are 3")
    x = np.zeros((len(y), 0))
    local = basis(covariates[order])
    x = np.zeros((len(y), local.shape[1]))
    x[order] = local
    blocks = _blocks(y, x, (first, second, alone), mz)
    residual = y - x @ (x[order].T @ y[order])
    out = _falconer(residual, first, second, mz) | {"n_mz": n_mz, "n_dz": n_dz}
    tried, fits = [], {}
    for name, gone in _MODELS.items():
        held = [number in gone for number in range(3)]
        fit = fits[name] = fit_components(blocks, bounded=[True] * 3, restricted=False, held=held)
        share = share_of(fit).value
        size = x.shape[1] + 3 - len(gone)
        row = {"model": name, "a2": share[0], "c2": share[1], "e2": share[2]}
        row |= {"log_likelihood": fit.log_likelihood, "n_parameters": size}
        tried.append(row | {"aic": 2.0 * size - 2.0 * fit.log_likelihood})
    best = min(tried, key=lambda item: float(item["aic"]))
    out |= _ace(blocks, fits) | {"best_model": best["model"], "status": "ok"}
    return out, tried


def _ace(blocks: Sequence[Blocks], fits: dict[str, ComponentFit]) -> dict[str, Any]:
    full = fits["ACE"]
    share = share_of(full)
    out: dict[str, Any] = {"log_likelihood": full.log_likelihood}
    for at, name in enumerate(("a2", "c2", "e2")):
        out |= {name: share.value[at], f"{name}_se": share.se[at]}
    for at, (name, without) in enumerate((("a2", "CE"), ("c2", "AE"))):
        low, high = profile_limits(blocks, at, full, restricted=False)
        gain = 2.0 * (full.log_likelihood - fits[without].log_likelihood)
        out |= {f"{name}_low": low, f"{name}_high": high}
        out |= {f"{name}_p": 10.0 ** mixture_log10p(gain)}
    return out


def _blocks(
    y: Array,
    x: Array,
    who: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    mz: NDArray[np.bool_],
) -> list[Blocks]:
    """Return sums and differences of pairs, and single twins: all are independent."""
    first, second, alone = who
    half = np.sqrt(0.5)
    parts = [
        ((y[first] + y[second]) * half, (x[first] + x[second]) * half, np.where(mz, 2.0, 1.5), 2.0),
        ((y[first] - y[second]) * half, (x[first] - x[second]) * half, np.where(mz, 0.0, 0.5), 0.0),
        (y[alone], x[alone], np.ones(len(alone)), 1.0),
    ]
    trait = np.concatenate([part[0] for part in parts])
    design = np.concatenate([part[1] for part in parts])
    genes = np.concatenate([part[2] for part in parts])
    home = np.concatenate([np.full(len(part[0]), part[3]) for part in parts])
    k = np.stack([genes, home, np.ones(len(trait))])[:, :, None, None]
    return [Blocks(trait[:, None], design[:, None, :], k)]


def _falconer(
    residual: Array,
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    mz: NDArray[np.bool_],
) -> dict[str, float]:
    r, variance = [], []
    for some in (mz, ~mz):
        a, b = residual[first[some]], residual[second[some]]
        middle = 0.5 * (a.mean() + b.mean())
        spread = 0.5 * float(((a - middle) ** 2).sum() + ((b - middle) ** 2).sum())
        own = float(((a - middle) * (b - middle)).sum()) / spread
        r.append(own)
        variance.append((1.0 - own * own) ** 2 / len(a))
    (one, two), (v1, v2) = r, variance
    return {
        "r_mz": one,
        "r_dz": two,
        "falconer_h2": 2.0 * (one - two),
        "falconer_h2_se": 2.0 * float(np.sqrt(v1 + v2)),
        "falconer_c2": 2.0 * two - one,
        "falconer_c2_se": float(np.sqrt(v1 + 4.0 * v2)),
        "falconer_e2": 1.0 - one,
        "falconer_e2_se": float(np.sqrt(v1)),
    }
