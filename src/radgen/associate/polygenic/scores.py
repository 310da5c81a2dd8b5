"""Polygenic scores: learned and tuned in training folds, judged in people never seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from radgen._core.naming import require_choice
from radgen._core.progress import progress
from radgen.associate.genomewide._design import basis
from radgen.associate.genomewide._input import prepare
from radgen.associate.genomewide._logistic import binary
from radgen.associate.genomewide.scan import gwas
from radgen.associate.polygenic._weights import (
    ClumpRule,
    LassoRule,
    WeightPath,
    aligned,
    scores_of,
    weights_of,
)
from radgen.errors import FitError, InputError
from radgen.io.summary_statistics import SUMMARY_COLUMNS, standard_summary
from radgen.stats.tail import from_log10p, t_log10p
from radgen.types import Covariates, FrameLike, GenotypeMatrix, PhenotypeTable, Result, to_polars

__all__ = ["PolygenicModel", "PolygenicResult", "polygenic_prediction"]

Array = NDArray[np.float64]
Index = NDArray[np.int64]
_METHODS = {"clump": ClumpRule, "lasso": LassoRule}
_LEAST = 30
_FITS = {
    "phenotype": pl.String, "n": pl.Int64, "setting": pl.String, "n_variants": pl.Int64,
    "r": pl.Float64, "ci_low": pl.Float64, "ci_high": pl.Float64, "r2": pl.Float64,
    "p": pl.Float64, "log10p": pl.Float64, "auc": pl.Float64, "status": pl.String,
}  # fmt: skip


class PolygenicModel(BaseEstimator):  # type: ignore[misc]
    """A polygenic score of one trait whose settings are tuned by cross-validation.

    Parameters
    ----------
    method : {"clump", "lasso"}
        Leads of clumps below a p threshold, or a lasso on correlations.
    scan : data frame or None
        Tests of other people in standard columns (`radgen.io.read_summary_statistics`); None =
        the training people are scanned.
    model : {"linear", "logistic"}
        Of the trait.
    n_folds : int, default 5
        Folds of the tuning, within the training people.
    random_state : int, default 0
        Decides the folds.

    Attributes
    ----------
    weights_ : polars.DataFrame
        id, allele (the one that counts), weight, mean (its training dosage).
    setting_ : str
        The setting chosen.
    path_ : polars.DataFrame
        setting, r: partial correlation with the trait over the held-out people of the tuning.

    Notes
    -----
    `fit` sees training people only: their tests, linkage disequilibrium and mean dosages. With a
    scan of others, only the setting is learned from the trait; that scan must not hold any of
    these people, which cannot be checked here.
    """

    def __init__(
        self,
        method: str = "clump",
        *,
        scan: FrameLike | None = None,
        model: str = "linear",
        n_folds: int = 5,
        random_state: int = 0,
    ) -> None:
        self.method = method
        self.scan = scan
        self.model = model
        self.n_folds = n_folds
        self.random_state = random_state

    def fit(self, genotypes: GenotypeMatrix, y: Array, covariates: Array | None = None) -> Self:
        """Learn weights.

        Parameters
        ----------
        genotypes : GenotypeMatrix
            Training people.
        y : ndarray of float64 (n_samples,)
            The trait, no missing value; 0/1 for the logistic model.
        covariates : ndarray of float64 (n_samples, n_covariates) or None
            Without intercept.

        Raises
        ------
        InputError
            If an option is unknown, there are too few people, or no variant has a weight.
        """
        require_choice(self.method, tuple(_METHODS), what="method")
        rule = _METHODS[self.method]()
        n = genotypes.n_samples
        if n < _LEAST or self.n_folds < 2:
            raise InputError(f"A polygenic score needs {_LEAST} people and 2 folds; there are {n}.")
        x = np.empty((n, 0)) if covariates is None else np.asarray(covariates, np.float64)
        target = np.asarray(y, np.float64)
        folds = folds_of(target, self.n_folds, self.random_state, classes=self.model == "logistic")
        others = None if self.scan is None else aligned(_standard(self.scan), genotypes)
        if others is not None:
            path = weights_of(others, genotypes, rule)
            held = scores_of(genotypes, path)
        else:
            held = np.zeros((n, len(rule.settings)))
            for fold in np.unique(folds):
                train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
                part = genotypes.take_samples(train)
                own = weights_of(self._tests(part, target[train], x[train]), part, rule)
                held[test] = scores_of(genotypes.take_samples(test), own)
            path = weights_of(self._tests(genotypes, target, x), genotypes, rule)
        r = np.array([_partial(target, held[:, at], x, folds)[0] for at in range(held.shape[1])])
        used = (path.weights != 0).any(axis=0)
        r = np.where(used & np.isfinite(r), r, -np.inf)
        if not np.isfinite(r).any():
            raise InputError("No setting gives any variant a weight.")
        best = int(r.argmax())
        self.setting_ = rule.settings[best]
        self.path_ = pl.DataFrame({"setting": rule.settings, "r": r}).with_columns(
            pl.when(pl.col("r").is_finite()).then("r")
        )
        some = path.weights[:, best] != 0
        self._path = WeightPath(path.rows[some], path.weights[some][:, [best]], path.mean[some])
        variants = genotypes.variants[self._path.rows]
        self.weights_ = variants.select("id", allele="alt").with_columns(
            weight=pl.Series(self._path.weights[:, 0]), mean=pl.Series(self._path.mean)
        )
        return self

    def predict(self, genotypes: GenotypeMatrix) -> Array:
        """Return scores (n_samples,) of people, of the same variants in the same order."""
        return scores_of(genotypes, self._path)[:, 0]

    def _tests(self, genotypes: GenotypeMatrix, y: Array, x: Array) -> pl.DataFrame:
        """Return the tests of the people at hand, as `aligned` does."""
        names = genotypes.samples
        options: dict[str, Any] = {"model": self.model}
        if self.model == "logistic":
            options["test"] = "score"
        beside = Covariates(names, tuple(f"c{j}" for j in range(x.shape[1])), x)
        table = pl.DataFrame({"sample": list(names), "y": y})
        found = gwas(genotypes, table, beside if x.shape[1] else None, **options).frame
        good = found.with_row_index("row").filter(pl.col("t").is_finite() & (pl.col("se") > 0))
        if not good.height:
            raise InputError("No variant could be tested in the training people.")
        return good.select(
            pl.col("row").cast(pl.Int64), (pl.col("beta") / pl.col("se")).alias("z"),
            pl.col("n").cast(pl.Float64), "beta", "log10p",
        )  # fmt: skip


def _standard(scan: FrameLike) -> pl.DataFrame:
    frame = to_polars(scan, what="scan")
    if list(frame.columns) != list(SUMMARY_COLUMNS):
        frame = standard_summary(frame)
    if frame["phenotype"].n_unique() > 1:
        raise InputError("The scan holds several phenotypes: give the tests of one.")
    if frame["beta"].null_count() == frame.height:
        # Only z is known: effects on the scale of standardised genotypes.
        frame = frame.with_columns((pl.col("z") / pl.col("n").sqrt()).alias("beta"))
    return frame


@dataclass(frozen=True, eq=False)
class PolygenicResult(Result):
    """Polygenic scores of people, from models that never saw them.

    Attributes
    ----------
    frame : polars.DataFrame
        phenotype, sample, fold, score (of the fold's model), value (the trait).
    fits : polars.DataFrame
        phenotype, n, setting and n_variants (of the model of all people), r (partial correlation
        of score and trait beside covariates and folds), ci_low, ci_high (95 %, Fisher), r2 (its
        square), p and log10p (two-sided), auc (0/1 traits: mean over folds), status.
    weights : polars.DataFrame
        phenotype, id, allele, weight, mean: of the model of all people, to score others with.
    """

    kind: ClassVar[str] = "polygenic_prediction"
    plots: ClassVar[tuple[str, ...]] = ("forest", "scatter")

    fits: pl.DataFrame = None  # type: ignore[assignment]
    weights: pl.DataFrame = None  # type: ignore[assignment]

    def plot(self, kind: str, *, ax: Any = None, trait: str | None = None) -> Any:
        """Draw one of `plots` and return the matplotlib Axes.

        Parameters
        ----------
        kind : str
            "forest" (correlations with the traits) or "scatter" (trait over score, both
            standardised within folds).
        ax : matplotlib Axes or None
            Where to draw; None = a new figure.
        trait : str or None
            Of the scatter; None = the first.

        Raises
        ------
        InputError
            If this result has no such plot or trait.
        """
        if kind not in self.plots:
            return super().plot(kind, ax=ax)
        from radgen import plot

        good = self.fits.filter(status="ok")
        if not good.height:
            raise InputError("No trait has a score: there is nothing to draw.")
        if kind == "forest":
            numbers = [good[name].to_numpy() for name in ("r", "ci_low", "ci_high")]
            label = "Correlation of score and trait in unseen people (95 % interval)"
            return plot.forest(good["phenotype"].to_list(), *numbers, xlabel=label, ax=ax)
        name = good["phenotype"][0] if trait is None else trait
        require_choice(name, tuple(good["phenotype"]), what="trait")
        row = good.row(by_predicate=pl.col("phenotype") == name, named=True)
        own = self.frame.filter(phenotype=name)
        unit = (pl.col("score") - pl.col("score").mean()) / pl.col("score").std()
        own = own.with_columns(unit.over("fold").alias("score"))
        note = f"r = {row['r']:.2f} ({row['ci_low']:.2f} to {row['ci_high']:.2f}), n = {row['n']:,}"
        label = "Polygenic score (SD, people not fitted)"
        return plot.scatter(own["score"], own["value"], xlabel=label, ylabel=name, note=note, ax=ax)

    def statements(self) -> tuple[str, ...]:
        """Return the findings in plain words."""
        return tuple(
            f"{row['phenotype']}: in {row['n']} people who were not fitted the score correlates "
            f"with the trait by {row['r']:.3f} (95 % interval {row['ci_low']:.3f} to "
            f"{row['ci_high']:.3f}, p = {row['p']:.2g})"
            + (f", AUC {row['auc']:.3f}" if row["auc"] is not None else "")
            + f"; the model of all people has {row['n_variants']} variants ({row['setting']})."
            if row["status"] == "ok"
            else f"{row['phenotype']} has no polygenic score: {row['status']}."
            for row in self.fits.iter_rows(named=True)
        )

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        p = self.params
        how = {
            "clump": "clumping and thresholding (r2 below 0.1 within 250 kb)",
            "lasso": "a lasso on the correlations of variants and trait in blocks of 200 variants",
        }[p["method"]]
        source = (
            "the tests of an independent scan" if p["external"] else "scans of the training people"
        )
        return (
            f"Polygenic scores were made by {how} from {source}; the setting was chosen by "
            f"{p['inner_folds']}-fold cross-validation within the training people and judged in "
            f"{p['n_folds']} outer folds, adjusted for {len(p['covariates'])} covariates."
        )


def polygenic_prediction(
    genotypes: GenotypeMatrix,
    phenotypes: PhenotypeTable | FrameLike,
    covariates: Covariates | FrameLike | None = None,
    *,
    method: Literal["clump", "lasso"] = "clump",
    scan: FrameLike | None = None,
    model: Literal["linear", "logistic"] = "linear",
    traits: Sequence[str] | None = None,
    n_folds: int = 5,
    inner_folds: int = 5,
    seed: int = 0,
) -> PolygenicResult:
    """Return polygenic scores of people from models that never saw them, and how good they are.

    Parameters
    ----------
    genotypes : GenotypeMatrix
        In order of position; relatives in different folds would flatter the score.
    phenotypes : PhenotypeTable or data frame
        One row a sample, one column a trait.
    covariates : Covariates, data frame or None
        As for `gwas`; structure (principal components) belongs here.
    method, scan, model
        As for `PolygenicModel`.
    traits : sequence of str or None
        Which traits; None = all. A scan is of one trait.
    n_folds, inner_folds : int, default 5
        Outer folds, in which scores are judged, and folds of the tuning inside each.
    seed : int, default 0
        Decides the folds.

    Returns
    -------
    PolygenicResult
        A trait that cannot be fitted has a status and does not stop the others.

    Raises
    ------
    InputError
        If an option is unknown, or a scan is given for several traits.
    AlignmentError
        If too few samples are common.

    Notes
    -----
    Everything that looks at the trait (tests, the choice of the setting) happens within the
    training people of a fold. The correlation is partial: covariates, and the mean of each
    fold, are taken out of score and trait. Its interval takes people as independent.

    References
    ----------
    Wray et al. (2013), doi:10.1038/nrg3457; Choi, Mak & O'Reilly (2020),
    doi:10.1038/s41596-020-0353-1; Mak et al. (2017), doi:10.1002/gepi.22050.
    """
    require_choice(method, tuple(_METHODS), what="method")
    require_choice(model, ("linear", "logistic"), what="model")
    if n_folds < 2 or inner_folds < 2:
        raise InputError("n_folds and inner_folds are at least 2.")
    data = prepare(genotypes, phenotypes, covariates, traits)
    if scan is not None:
        scan = _standard(scan)
        if len(data.names) > 1:
            raise InputError("A scan serves one trait: name it with traits.")
    estimator = PolygenicModel(
        method, scan=scan, model=model, n_folds=inner_folds, random_state=seed
    )
    rows, fits, weights = [], [], []
    with progress("Fitting polygenic scores", len(data.names) * (n_folds + 1)) as tick:
        for name, column in zip(data.names, data.values.T, strict=True):
            used = np.flatnonzero(np.isfinite(column))
            fit: dict[str, Any] = dict.fromkeys(_FITS) | {"phenotype": name, "n": len(used)}
            try:
                y = binary(name, column[used]) if model == "logistic" else column[used]
                if y.std() <= 0:
                    raise InputError("the trait does not vary")
                people = data.genotypes.take_samples(used)
                found = _one_trait(estimator, people, y, data.covariates[used], (n_folds, tick))
                rows.append(found[0].select(pl.lit(name).alias("phenotype"), pl.all()))
                weights.append(found[1].select(pl.lit(name).alias("phenotype"), pl.all()))
                fit |= found[2]
            except (InputError, FitError) as error:
                fit["status"] = str(error).rstrip(".")
            fits.append(fit)
    notes = list(data.notes)
    table = pl.DataFrame(fits, schema=_FITS)
    bad = table.filter(pl.col("status") != "ok").height
    if bad:
        notes.append(f"{bad} traits have no polygenic score; see their status.")
    if scan is not None:
        notes.append("The scan must hold none of these people; that cannot be checked here.")
    params: dict[str, Any] = {
        "method": method, "model": model, "external": scan is not None, "traits": data.names,
        "covariates": data.covariate_names, "n_folds": n_folds, "inner_folds": inner_folds,
        "seed": seed,
    }  # fmt: skip
    empty = {"phenotype": pl.String, "sample": pl.String, "fold": pl.Int64, "score": pl.Float64}
    frame = pl.concat(rows) if rows else pl.DataFrame(schema=empty | {"value": pl.Float64})
    spent = {"phenotype": pl.String, "id": pl.String, "allele": pl.String, "weight": pl.Float64}
    every = pl.concat(weights) if weights else pl.DataFrame(schema=spent | {"mean": pl.Float64})
    n = data.genotypes.n_samples
    return PolygenicResult(frame, params, n, data.dropped, tuple(notes), fits=table, weights=every)


def _one_trait(
    estimator: PolygenicModel, people: GenotypeMatrix, y: Array, x: Array, how: tuple[int, Any]
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, Any]]:
    n_folds, tick = how
    classes = estimator.model == "logistic"
    folds = folds_of(y, n_folds, estimator.random_state, classes=classes)
    score = np.zeros(len(y))
    for fold in range(n_folds):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        own = PolygenicModel(**estimator.get_params(deep=False))
        own.fit(people.take_samples(train), y[train], x[train])
        score[test] = own.predict(people.take_samples(test))
        tick(1)
    whole = PolygenicModel(**estimator.get_params(deep=False)).fit(people, y, x)
    tick(1)
    r, df = _partial(y, score, x, folds)
    if not np.isfinite(r):
        raise InputError("the score does not vary beside the covariates")
    half = 1.959963984540054 / np.sqrt(max(df - 1.0, 1.0))
    low, high = np.tanh(np.arctanh(r) - half), np.tanh(np.arctanh(r) + half)
    log10p = float(t_log10p(r * np.sqrt(df / (1.0 - r * r)), df))
    frame = pl.DataFrame(
        {"sample": list(people.samples), "fold": folds + 1, "score": score, "value": y}
    )
    fit = {
        "setting": whole.setting_, "n_variants": whole.weights_.height, "r": r,
        "ci_low": float(low), "ci_high": float(high), "r2": r * r, "log10p": log10p,
        "p": float(from_log10p(log10p)), "status": "ok",
    }  # fmt: skip
    if classes:
        from radgen.stats.discrimination import auc

        each = [auc(y[folds == k], score[folds == k]) for k in range(n_folds)]
        fit["auc"] = float(np.mean(each))
    return frame, whole.weights_, fit


def folds_of(y: Array, n_folds: int, seed: int, *, classes: bool) -> Index:
    """Return the fold of each person, by chance; classes are spread evenly."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(y))
    if classes:
        order = order[np.argsort(y[order], kind="stable")]
    out = np.empty(len(y), np.int64)
    out[order] = np.arange(len(y)) % n_folds
    return out


def _partial(y: Array, score: Array, x: Array, folds: Index) -> tuple[float, float]:
    """Return the correlation of trait and score beside covariates and folds, and its df."""
    marks = (folds[:, None] == np.unique(folds)[1:]).astype(float)
    q = basis(np.column_stack([x, marks]))
    a, b = y - q @ (q.T @ y), score - q @ (q.T @ score)
    size = float(np.sqrt((a @ a) * (b @ b)))
    if size <= 1e-10 * float(np.sqrt((y @ y) * (score @ score))) or size == 0.0:
        return float("nan"), float("nan")
    r = float(a @ b) / size
    return min(max(r, -1.0 + 1e-12), 1.0 - 1e-12), float(len(y) - q.shape[1] - 1)
