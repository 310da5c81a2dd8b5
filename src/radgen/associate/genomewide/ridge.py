"""Two-step whole-genome regression: predictions that leave one chromosome out."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen._core.progress import progress
from radgen.associate.genomewide._design import basis, group_traits
from radgen.associate.genomewide._input import GwasInput, prepare
from radgen.associate.genomewide._run import cut
from radgen.errors import FitError, InputError, shown
from radgen.genome._blocks import read_source
from radgen.stats.stacked_ridge import Stack, block_predictions, linear_stack, logistic_stack
from radgen.types import Covariates, FrameLike, GenotypeMatrix, PhenotypeTable, Result

__all__ = ["RidgeResult", "polygenic_background"]

Array = NDArray[np.float64]
Folds = list[slice] | None
_SHARES = (0.01, 0.255, 0.5, 0.745, 0.99)
_IN_MEMORY = 1 << 30
_FEW = 5_000


@dataclass(frozen=True, eq=False)
class RidgeResult(Result):
    """Predictions of traits from all chromosomes but one.

    Attributes
    ----------
    frame : polars.DataFrame
        chrom, sample, scale ("trait": units of the trait, covariates taken out; "logit": log
        odds beside those of the covariates), and one column a trait: the out-of-fold
        prediction from the other chromosomes; null throughout for a trait without one.
    fits : polars.DataFrame
        phenotype, n, share (the ridge parameter chosen, as a heritability), r2 (of the trait
        beside the covariates, by out-of-fold predictions from all chromosomes; of a binary
        trait the share of the deviance), status ("ok", or why the trait has no prediction).
    """

    kind: ClassVar[str] = "polygenic_background"
    version: ClassVar[int] = 2

    fits: pl.DataFrame = None  # type: ignore[assignment]

    def statements(self) -> tuple[str, ...]:
        """Return the findings in plain words."""
        what = "deviance" if self.params["model"] == "logistic" else "variance"
        return tuple(
            f"{row['phenotype']}: all chromosomes together predict {100 * row['r2']:.1f} % of the "
            f"{what} in people who were not fitted."
            if row["status"] == "ok"
            else f"{row['phenotype']} has no polygenic background: {row['status']}."
            for row in self.fits.iter_rows(named=True)
        )

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        p = self.params
        second = "logistic ridge regression" if p["model"] == "logistic" else "ridge regression"
        how = f"{p['n_folds']} folds" if p["n_folds"] else "one person left out at a time"
        return (
            f"A polygenic background was fitted by two levels of regression (ridge regression "
            f"within {p['n_blocks']} blocks of {p['block_size']} variants, {second} over the "
            f"blocks; {how}) and left out chromosome by chromosome."
        )


def polygenic_background(
    genotypes: GenotypeMatrix,
    phenotypes: PhenotypeTable | FrameLike,
    covariates: Covariates | FrameLike | None = None,
    *,
    model: Literal["linear", "logistic"] = "linear",
    traits: Sequence[str] | None = None,
    block_size: int = 1000,
    n_folds: int | None = None,
    shares: Sequence[float] = _SHARES,
) -> RidgeResult:
    """Return leave-one-chromosome-out predictions of traits (step 1 of a two-step scan).

    Parameters
    ----------
    genotypes : GenotypeMatrix
        Common variants, read once; variants that do not vary beside the covariates are left
        aside.
    phenotypes : PhenotypeTable or data frame
        One row a sample, one column a trait. Who misses a trait is predicted and takes no part
        in its fit.
    covariates : Covariates, data frame or None
        As for `gwas`.
    model : {"linear", "logistic"}
        Of the second level: quantitative traits, or binary ones coded 0/1 or 1/2.
    traits : sequence of str or None
        Which traits; None = all. All are fitted together, each as if it were alone.
    block_size : int, default 1000
        Variants a block.
    n_folds : int or None
        Folds of the cross-validation, runs of samples in file order; 0 leaves out one sample
        at a time. None = 5, but 0 for binary traits of fewer than 5,000 samples.
    shares : sequence of float
        Shares of variance that the ridge penalties stand for, in (0, 1).

    Returns
    -------
    RidgeResult
        Give it to `gwas` as ``loco``. A trait that cannot be fitted has a status, and does not
        stop the others.

    Raises
    ------
    InputError
        If an option is out of range, or no trait or no variant can be used.
    AlignmentError
        If too few samples are common.

    Notes
    -----
    Level 0: in each block, ridge regressions with penalties M (1 - s) / s for the shares s
    predict each fold from the others. Level 1: the predictions of all L columns are the
    predictors of one more regression, with penalties L (1 - s) / s, for log odds times
    3 / pi^2; the one with the least out-of-fold error is taken. A chromosome is left out by
    leaving out its columns. Predictions of the first level are kept on disk where they would
    take more than 1 GiB.

    Where nearly everybody has close relatives, the tests beside the predictions are too mild: a
    person's prediction is fitted to relatives in other folds, which leaves residuals unlike
    theirs (correlated -0.18 where the traits are 0.30). In 250 families of four the lambda of
    null variants is 0.857 by these predictions and 0.857 by REGENIE 4.1.2's; use
    ``gwas(model="lmm")`` there (1.01).

    References
    ----------
    Mbatchou et al. (2021), doi:10.1038/s41588-021-00870-7.
    """
    require_choice(model, ("linear", "logistic"), what="model")
    if block_size < 2 or (n_folds is not None and (n_folds < 0 or n_folds == 1)):
        raise InputError("block_size is at least 2; n_folds is 0 (leave one out) or at least 2.")
    share = np.asarray(shares, float)
    if not len(share) or not ((share > 0) & (share < 1)).all():
        raise InputError(f"shares are {list(shares)}; needed are numbers between 0 and 1.")
    data = prepare(genotypes, phenotypes, covariates, traits, need=max(10, 2 * (n_folds or 0)))
    n = data.genotypes.n_samples
    if n_folds is None:
        n_folds = 0 if model == "logistic" and n < _FEW else 5
    work = _Traits.build(data, model)
    if not work.usable.any():
        raise InputError(f"No trait can be fitted; {data.names[0]}: {work.status[0]}.")
    blocks = cut(data.genotypes, block_size)
    with tempfile.TemporaryDirectory() as folder:
        wide, groups, chroms, aside = _first_level(
            data, work, blocks, (_folds(n, n_folds), share), Path(folder)
        )
        frame, fits = _second_level(data, work, (wide, groups, chroms), (n, n_folds), share)
        del wide
    notes = list(data.notes)
    bad = fits.filter(pl.col("status") != "ok")["phenotype"].to_list()
    if bad:
        notes.append(f"Traits without a polygenic background (see their status): {shown(bad)}.")
    if aside:
        notes.append(f"{aside} variants do not vary beside the covariates and were left aside.")
    params: dict[str, Any] = {
        "model": model,
        "traits": data.names,
        "covariates": data.covariate_names,
        "block_size": block_size,
        "n_blocks": len(blocks),
        "n_folds": n_folds,
        "shares": tuple(share.tolist()),
    }
    return RidgeResult(frame, params, n, data.dropped, tuple(notes), fits=fits)


@dataclass(frozen=True, eq=False, slots=True)
class _Traits:
    """The traits of the fit, and what is wrong with those that have none.

    `y` holds residuals of unit variance (n_samples, n_traits), 0 where missing; `raw` the
    trait (0/1 for a binary one), `offset` the log odds by the covariates, `scale` the standard
    deviations of the residuals.
    """

    model: str
    known: NDArray[np.bool_]
    y: Array
    raw: Array
    offset: Array
    scale: Array
    status: tuple[str, ...]

    @property
    def usable(self) -> NDArray[np.bool_]:
        return np.array([not text for text in self.status])

    @classmethod
    def build(cls, data: GwasInput, model: str) -> _Traits:
        known = np.isfinite(data.values)
        raw = data.values.copy()
        y, offset = np.zeros_like(raw), np.zeros_like(raw)
        scale = np.zeros(raw.shape[1])
        status = [""] * raw.shape[1]
        for trait, name in enumerate(data.names):
            rows = np.flatnonzero(known[:, trait])
            if len(rows) < 10:
                status[trait] = f"{len(rows)} samples have the trait; needed are 10"
            elif model == "logistic":
                status[trait] = _binary(name, raw, offset, (rows, trait), data.covariates)
            if status[trait]:
                raw[:, trait] = np.nan
        fit = np.array([trait for trait, text in enumerate(status) if not text], np.int64)
        for group in group_traits(raw[:, fit], data.covariates) if len(fit) else ():
            df = max(group.n_samples - group.rank, 1)
            which = fit[group.traits]
            y[:, which] = group.y * np.sqrt(df)
            scale[which] = group.norm / np.sqrt(df)
        for trait in fit:
            if not scale[trait] > 0:
                status[trait] = "the trait does not vary beside the covariates"
        return cls(model, known, y, raw, offset, scale, tuple(status))


def _binary(
    name: str, raw: Array, offset: Array, at: tuple[NDArray[np.int64], int], covariates: Array
) -> str:
    """Code a trait as 0 and 1 and set its log odds by the covariates, or return why not."""
    from radgen.associate.genomewide._logistic import binary
    from radgen.stats.logistic_scan import fit_null

    rows, trait = at
    try:
        y = binary(name, raw[rows, trait])
        x = basis(covariates[rows])
        null = fit_null(y, x)
    except (InputError, FitError) as error:
        return str(error).rstrip(".")
    raw[rows, trait] = y
    offset[rows, trait] = x @ null.beta
    return ""


def _folds(n: int, n_folds: int) -> Folds:
    if not n_folds:
        return None
    each = n // n_folds
    return [slice(k * each, n if k == n_folds - 1 else (k + 1) * each) for k in range(n_folds)]


def _first_level(
    data: GwasInput,
    work: _Traits,
    blocks: Sequence[tuple[int, int]],
    how: tuple[Folds, Array],
    folder: Path,
) -> tuple[Array, NDArray[np.int64], list[str], int]:
    """Return predictions (n_usable, n_columns, n_samples), each column's chromosome, and names."""
    folds, share = how
    q = basis(data.covariates)
    use = np.flatnonzero(work.usable)
    known = work.known[:, use]
    shape = (len(use), len(blocks) * len(share), len(q))
    penalties = data.genotypes.n_variants * (1.0 - share) / share
    wide: Array
    if 8 * shape[0] * shape[1] * shape[2] > _IN_MEMORY:
        wide = np.memmap(folder / "first", np.float64, "w+", shape=shape)
    else:
        wide = np.empty(shape)
    chrom = data.genotypes.variants["chrom"]
    chroms = list(dict.fromkeys(chrom.to_list()))
    groups: list[int] = []
    kept = 0
    with progress("Fitting the polygenic background", data.genotypes.n_variants) as tick:
        for start, stop in blocks:
            g = read_source(data.genotypes, start, stop).centred(np.float64).g
            x = _standard_rows(g, q)
            if len(x):
                kept += len(x)
                found = block_predictions(x, work.y[:, use], folds, penalties)
                at = len(groups)
                wide[:, at : at + len(share)] = _standard_known(found, known)
                groups += [chroms.index(str(chrom[start]))] * len(share)
            tick(stop - start)
    if not groups:
        raise InputError("No variant varies beside the covariates.")
    aside = data.genotypes.n_variants - kept
    return wide[:, : len(groups)], np.array(groups), chroms, aside


def _second_level(
    data: GwasInput,
    work: _Traits,
    first: tuple[Array, NDArray[np.int64], list[str]],
    size: tuple[int, int],
    share: Array,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    wide, groups, chroms = first
    n, n_folds = size
    folds = _folds(n, n_folds)
    columns: dict[str, Array] = {}
    fits = []
    place = iter(range(len(wide)))
    for trait, name in enumerate(data.names):
        status, stack = work.status[trait], None
        if not status:
            w = np.ascontiguousarray(wide[next(place)].T)
            try:
                stack = _stack(w, work, trait, (folds, share, groups))
            except FitError as error:
                status = str(error).rstrip(".")
        row: dict[str, Any] = {"phenotype": name, "n": int(work.known[:, trait].sum())}
        if stack is None:
            columns[name] = np.full((len(chroms), n), np.nan)
            fits.append(row | {"share": None, "r2": None, "status": status})
            continue
        unit = work.scale[trait] if work.model == "linear" else 1.0
        whole = stack.parts.sum(axis=0)
        columns[name] = np.zeros((len(chroms), n))
        columns[name][:] = unit * whole
        columns[name][: len(stack.parts)] -= unit * stack.parts
        fits.append(
            row
            | {"share": float(share[stack.best]), "r2": _explained(work, trait, whole)}
            | {"status": "ok"}
        )
    scale = "logit" if work.model == "logistic" else "trait"
    frame = pl.DataFrame(
        {
            "chrom": np.repeat(chroms, n).tolist(),
            "sample": list(data.genotypes.samples) * len(chroms),
            "scale": [scale] * (n * len(chroms)),
        }
        | {name: values.ravel() for name, values in columns.items()}
    ).with_columns(pl.col(list(data.names)).fill_nan(None))
    schema = {"phenotype": pl.String, "n": pl.Int64, "share": pl.Float64, "r2": pl.Float64}
    return frame, pl.DataFrame(fits, schema=schema | {"status": pl.String})


def _stack(
    w: Array, work: _Traits, trait: int, how: tuple[Folds, Array, NDArray[np.int64]]
) -> Stack:
    folds, share, groups = how
    known = work.known[:, trait]
    penalties = w.shape[1] * (1.0 - share) / share
    fixed: dict[str, Any] = {"known": known, "folds": folds, "groups": groups}
    if work.model == "linear":
        return linear_stack(w, work.y[:, trait], penalties=penalties, **fixed)
    y, offset = work.raw[:, trait], work.offset[:, trait]
    # The variance of a logistic variable is pi^2 / 3.
    return logistic_stack(w, y, offset, penalties=penalties * 3.0 / np.pi**2, **fixed)


def _explained(work: _Traits, trait: int, prediction: Array) -> float:
    known = work.known[:, trait]
    if work.model == "linear":
        y = work.y[known, trait]
        return 1.0 - float(((y - prediction[known]) ** 2).sum() / (y * y).sum())
    y, offset = work.raw[known, trait], work.offset[known, trait]

    def deviance(eta: Array) -> float:
        return float((np.logaddexp(0.0, eta) - y * eta).sum())

    return 1.0 - deviance(offset + prediction[known]) / deviance(offset)


def _standard_rows(g: Array, q: Array) -> Array:
    """Return variants without the covariates, of unit variance; those that vary only.

    The block `g` is overwritten: a whole one is larger than any cache.
    """
    from scipy.linalg.blas import dgemm

    before = np.einsum("mn,mn->m", g, g)
    # g' - q (g q)', written into g itself
    dgemm(-1.0, q, (g @ q).T, beta=1.0, c=g.T, overwrite_c=True)
    size = np.einsum("mn,mn->m", g, g)
    use = size > 1e-6 * np.maximum(before, 1e-300)
    x = g if use.all() else g[use]
    x *= np.sqrt((x.shape[1] - q.shape[1]) / size[use])[:, None]
    return x


def _standard_known(found: Array, known: NDArray[np.bool_]) -> Array:
    """Return predictions of mean 0 and variance 1 over the samples that have the trait."""
    weight = known.T[:, None, :].astype(float)
    count = weight.sum(axis=2, keepdims=True)
    out = found - (found * weight).sum(axis=2, keepdims=True) / count
    spread = np.sqrt((out * out * weight).sum(axis=2, keepdims=True) / (count - 1.0))
    return np.asarray(out / np.where(spread > 0, spread, 1.0))
