"""Two-step whole-genome regression: predictions that leave one chromosome out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.progress import progress
from radgen.associate._gwas_design import basis
from radgen.associate._gwas_input import prepare
from radgen.associate._gwas_run import cut
from radgen.errors import InputError, shown
from radgen.genome._blocks import read_source
from radgen.types import (
    Covariates,
    FrameLike,
    GenotypeMatrix,
    PhenotypeTable,
    Result,
    check_unique,
    to_polars,
)

__all__ = ["RidgeResult", "offsets", "polygenic_background"]

Array = NDArray[np.float64]
_SHARES = np.linspace(0.01, 0.99, 5)


@dataclass(frozen=True, eq=False)
class RidgeResult(Result):
    """Predictions of traits from all chromosomes but one.

    Attributes
    ----------
    frame : polars.DataFrame
        chrom, sample, and one column a trait: the out-of-fold prediction from the other
        chromosomes, in units of the trait, covariates taken out.
    fits : polars.DataFrame
        phenotype, share (the ridge parameter chosen, as a heritability), r2 (of the trait
        beside the covariates, by out-of-fold predictions from all chromosomes).
    """

    kind: ClassVar[str] = "polygenic_background"

    fits: pl.DataFrame = None  # type: ignore[assignment]

    def statements(self) -> tuple[str, ...]:
        """Return the findings in plain words."""
        return tuple(
            f"{row['phenotype']}: all chromosomes together predict {100 * row['r2']:.1f} % of the "
            "variance in people who were not fitted."
            for row in self.fits.iter_rows(named=True)
        )

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        p = self.params
        return (
            f"A polygenic background was fitted by two levels of ridge regression over "
            f"{p['n_blocks']} blocks of {p['block_size']} variants, {p['n_folds']} folds, and "
            "left out chromosome by chromosome."
        )


def polygenic_background(
    genotypes: GenotypeMatrix,
    phenotypes: PhenotypeTable | FrameLike,
    covariates: Covariates | FrameLike | None = None,
    *,
    traits: Sequence[str] | None = None,
    block_size: int = 1000,
    n_folds: int = 5,
) -> RidgeResult:
    """Return leave-one-chromosome-out predictions of quantitative traits (step 1).

    Parameters
    ----------
    genotypes : GenotypeMatrix
        Common variants, read twice; variants that do not vary beside the covariates are left
        aside.
    phenotypes : PhenotypeTable or data frame
        One row a sample, one column a trait. A missing value counts as the mean in this step
        only (the scan itself drops it).
    covariates : Covariates, data frame or None
        As for `gwas`.
    traits : sequence of str or None
        Which traits; None = all. All are fitted together.
    block_size : int, default 1000
        Variants a block.
    n_folds : int, default 5
        Folds of the cross-validation, runs of samples in file order.

    Returns
    -------
    RidgeResult
        Give it to `gwas` as ``loco``.

    Raises
    ------
    InputError
        If an option is out of range, or no trait or no variant varies.
    AlignmentError
        If too few samples are common.

    Notes
    -----
    Level 0: in each block, ridge regressions with penalties M (1 - s) / s, s = 0.01 to 0.99,
    predict each fold from the others. Level 1: the predictions of all blocks are the columns of
    one more ridge regression, its penalty chosen by the out-of-fold error; a chromosome is left
    out by leaving out its columns.

    References
    ----------
    Mbatchou et al. (2021), doi:10.1038/s41588-021-00870-7.
    """
    if block_size < 2 or n_folds < 2:
        raise InputError("block_size and n_folds are at least 2.")
    data = prepare(genotypes, phenotypes, covariates, traits, need=n_folds * 2)
    q = basis(data.covariates)
    n = len(q)
    y, scale = _standard(np.where(np.isfinite(data.values), data.values, np.nan), q)
    if not (scale > 0).any():
        raise InputError("No trait varies beside the covariates.")
    flat = [name for name, size in zip(data.names, scale, strict=True) if not size > 0]
    notes = list(data.notes)
    if flat:
        notes.append(
            f"Traits that do not vary beside the covariates are predicted 0: {shown(flat)}."
        )
    each = n // n_folds
    folds = [np.arange(k * each, n if k == n_folds - 1 else (k + 1) * each) for k in range(n_folds)]
    blocks = cut(data.genotypes, block_size)
    penalties = data.genotypes.n_variants * (1.0 - _SHARES) / _SHARES
    columns: list[Array] = []
    owner: list[str] = []
    chrom = data.genotypes.variants["chrom"]
    with progress("Fitting the polygenic background", data.genotypes.n_variants) as tick:
        for start, stop in blocks:
            g = read_source(data.genotypes, start, stop).centred(np.float64).g
            x = _standard_rows(g, q)
            if len(x):
                columns.append(_level0(x, y, folds, penalties))
                owner.append(str(chrom[start]))
            tick(stop - start)
    if not columns:
        raise InputError("No variant varies beside the covariates.")
    # (n_traits, n_samples, n_blocks * n_shares)
    wide = np.concatenate(columns, axis=2)
    of_chrom = np.repeat(np.array(owner), len(_SHARES))
    chroms = list(dict.fromkeys(chrom.to_list()))
    loco = np.empty((len(chroms), n, y.shape[1]))
    fits = []
    for trait, name in enumerate(data.names):
        share, whole, parts = _level1(wide[trait], y[:, trait], folds, of_chrom, chroms)
        loco[:, :, trait] = parts * scale[trait]
        total = float((y[:, trait] ** 2).sum())
        r2 = 1.0 - float(((y[:, trait] - whole) ** 2).sum()) / total if total > 0 else 0.0
        fits.append({"phenotype": name, "share": share, "r2": r2})
    frame = pl.DataFrame(
        {
            "chrom": np.repeat(chroms, n).tolist(),
            "sample": list(data.genotypes.samples) * len(chroms),
        }
        | {name: loco[:, :, trait].ravel() for trait, name in enumerate(data.names)}
    )
    params: dict[str, Any] = {
        "traits": data.names,
        "covariates": data.covariate_names,
        "block_size": block_size,
        "n_blocks": len(blocks),
        "n_folds": n_folds,
    }
    return RidgeResult(frame, params, n, data.dropped, tuple(notes), fits=pl.DataFrame(fits))


def _standard(values: Array, q: Array) -> tuple[Array, Array]:
    """Return residuals of unit variance, missing ones 0, and their standard deviations."""
    known = np.isfinite(values)
    mean = np.nanmean(values, axis=0)
    y = np.where(known, values - mean, 0.0)
    y -= q @ (q.T @ y)
    scale = np.sqrt((y * y).sum(axis=0) / (len(y) - q.shape[1]))
    size = np.sqrt(np.where(known, np.square(values), 0.0).sum(axis=0))
    flat = scale * np.sqrt(len(y)) <= 1e-10 * size
    scale[flat], y[:, flat] = 0.0, 0.0
    return y / np.where(scale > 0, scale, 1.0), scale


def _standard_rows(g: Array, q: Array) -> Array:
    x = g - (g @ q) @ q.T
    size = (x * x).sum(axis=1)
    use = size > 1e-6 * np.maximum((g * g).sum(axis=1), 1e-300)
    return np.asarray(x[use] / np.sqrt(size[use] / (x.shape[1] - q.shape[1]))[:, None])


def _level0(x: Array, y: Array, folds: Sequence[NDArray[np.int64]], penalties: Array) -> Array:
    """Return standardised out-of-fold predictions (n_traits, n_samples, n_penalties)."""
    out = np.empty((y.shape[1], x.shape[1], len(penalties)))
    gram, cross = x @ x.T, x @ y
    for fold in folds:
        inside = x[:, fold]
        values, vectors = np.linalg.eigh(gram - inside @ inside.T)
        turned = vectors.T @ (cross - inside @ y[fold])
        shown = vectors.T @ inside
        for at, penalty in enumerate(penalties):
            beta = turned / (np.maximum(values, 0.0) + penalty)[:, None]
            out[:, fold, at] = (shown.T @ beta).T
    out -= out.mean(axis=1, keepdims=True)
    spread = np.sqrt((out * out).sum(axis=1, keepdims=True) / (out.shape[1] - 1))
    return out / np.where(spread > 0, spread, 1.0)


def _level1(
    w: Array,
    y: Array,
    folds: Sequence[NDArray[np.int64]],
    of_chrom: NDArray[Any],
    chroms: Sequence[str],
) -> tuple[float, Array, Array]:
    """Return the share chosen, the whole prediction, and one without each chromosome."""
    penalties = w.shape[1] * (1.0 - _SHARES) / _SHARES
    gram, cross = w.T @ w, w.T @ y
    betas = np.empty((len(folds), len(penalties), w.shape[1]))
    error = np.zeros(len(penalties))
    for number, fold in enumerate(folds):
        inside = w[fold]
        values, vectors = np.linalg.eigh(gram - inside.T @ inside)
        turned = vectors.T @ (cross - inside.T @ y[fold])
        for at, penalty in enumerate(penalties):
            betas[number, at] = vectors @ (turned / (np.maximum(values, 0.0) + penalty))
            error[at] += ((y[fold] - inside @ betas[number, at]) ** 2).sum()
    best = int(error.argmin())
    whole = np.empty(len(y))
    parts = np.empty((len(chroms), len(y)))
    for number, fold in enumerate(folds):
        beta = betas[number, best]
        whole[fold] = w[fold] @ beta
        for at, chrom in enumerate(chroms):
            parts[at, fold] = w[fold] @ np.where(of_chrom == chrom, 0.0, beta)
    return float(_SHARES[best]), whole, parts


def offsets(
    loco: RidgeResult | FrameLike, samples: Sequence[str], traits: Sequence[str]
) -> dict[str, Array]:
    """Return the predictions of each chromosome (n_samples, n_traits), matched by id.

    Raises
    ------
    InputError
        If a trait or a chromosome's sample has no prediction.
    """
    frame = loco.frame if isinstance(loco, RidgeResult) else to_polars(loco, what="loco table")
    missing = [name for name in ("chrom", "sample", *traits) if name not in frame.columns]
    if missing:
        raise InputError(f"The loco table lacks the columns {shown(missing)}.")
    order = pl.DataFrame({"sample": list(samples)})
    out: dict[str, Array] = {}
    for (chrom,), part in frame.group_by("chrom", maintain_order=True):
        check_unique(part["sample"].to_list(), what=f"Loco table of chromosome {chrom}")
        own = order.join(part, on="sample", how="left", maintain_order="left")
        values = own.select(pl.col(list(traits)).cast(pl.Float64)).to_numpy()
        absent = own.filter(pl.any_horizontal(pl.col(list(traits)).is_null()))["sample"]
        if len(absent):
            raise InputError(
                f"{len(absent)} samples have no prediction without chromosome {chrom}, such as "
                f"{shown(absent)}. Run the first step on the same samples."
            )
        out[str(chrom)] = values
    return out
