"""One test a variant over all traits together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.progress import progress
from radgen.associate.genomewide._design import basis, orthonormal
from radgen.associate.genomewide._input import prepare
from radgen.associate.genomewide._many import described, whole_samples
from radgen.associate.genomewide._run import cut
from radgen.associate.genomewide.result import GENOME_WIDE
from radgen.errors import InputError
from radgen.genome._blocks import CentredBlock, read_source
from radgen.stats.omnibus import acat_rows
from radgen.stats.tail import f_log10p, from_log10p, t_log10p
from radgen.types import Covariates, FrameLike, GenotypeMatrix, PhenotypeTable, Result

__all__ = ["OmnibusResult", "omnibus"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class OmnibusResult(Result):
    """Multivariate tests of variants.

    Attributes
    ----------
    frame : polars.DataFrame
        chrom, pos, id, ref, alt, n, alt_freq, wilks, f, df1, df2, log10p, p (Wilks' lambda),
        acat_log10p, acat_p (Cauchy combination of the single traits' t-tests). NaN where a
        variant does not vary beside the covariates.
    """

    kind: ClassVar[str] = "gwas_omnibus"
    plots: ClassVar[tuple[str, ...]] = ("manhattan", "qq")

    def plot(self, kind: str, *, ax: Any = None, **options: Any) -> Any:
        """Draw one of `plots` and return the matplotlib Axes; options as for `GwasResult.plot`.

        Raises
        ------
        InputError
            If this result has no such plot, or the plot no such option.
        """
        if kind not in self.plots:
            return super().plot(kind, ax=ax)
        from radgen.associate.genomewide import plot

        return plot.draw(kind, self.frame, ax=ax, options=options)

    def statements(self) -> tuple[str, ...]:
        """Return the findings in plain words."""
        hits = self.frame.filter(pl.col("log10p") <= np.log10(GENOME_WIDE)).sort("log10p")
        words = [
            f"{self.frame.height:,} variants were tested against {len(self.params['traits'])} "
            f"traits together in {self.n_used} people; {hits.height} reached p < 5e-8."
        ]
        words += [
            f"{row['id']}: Wilks' lambda {row['wilks']:.4f}, log10 p = {row['log10p']:.1f}."
            for row in hits.head(3).iter_rows(named=True)
        ]
        return tuple(words)

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        return (
            f"Each variant was tested against {len(self.params['traits'])} traits together by "
            "multivariate analysis of variance (Wilks' lambda, exact F) and by the Cauchy "
            "combination of the single traits' t-tests, adjusted for "
            f"{len(self.params['covariates'])} covariates; samples that miss a trait were left out."
        )


def omnibus(
    genotypes: GenotypeMatrix,
    phenotypes: PhenotypeTable | FrameLike,
    covariates: Covariates | FrameLike | None = None,
    *,
    traits: Sequence[str] | None = None,
    block_size: int | None = None,
) -> OmnibusResult:
    """Return the multivariate test of each variant over all traits (MANOVA).

    Parameters
    ----------
    genotypes : GenotypeMatrix
        Read once, block by block.
    phenotypes : PhenotypeTable or data frame
        One row a sample, one column a trait; only samples with all traits are used.
    covariates : Covariates, data frame or None
        As for `gwas`.
    traits : sequence of str or None
        Which traits; None = all.
    block_size : int or None
        Variants read at a time.

    Returns
    -------
    OmnibusResult

    Raises
    ------
    InputError
        If the traits and covariates leave no degree of freedom.
    AlignmentError
        If too few samples are common.

    Notes
    -----
    With one degree of freedom for the variant, 1 - lambda is the squared canonical correlation
    of the dosage with the traits, both beside the covariates, and
    F = (1 - lambda) / lambda * (n - rank - k) / k is exact on (k, n - rank - k) degrees of
    freedom, k the rank of the traits. Samples with a missing call are dropped for that variant.

    The Cauchy combination joins the t-tests of the single traits, of the same samples, by
    weights that are equal; it is valid however the traits are correlated, and strong where one
    or a few traits answer.

    References
    ----------
    Rao (1973), Linear Statistical Inference, section 8c. Liu & Xie (2020),
    doi:10.1080/01621459.2018.1554485.
    """
    data, dropped = whole_samples(prepare(genotypes, phenotypes, covariates, traits))
    view, y, x = data.genotypes, data.values, data.covariates
    q, u, rest = _spaces(y, x)
    if len(y) - q.shape[1] - u.shape[1] < 1:
        raise InputError(
            f"{len(y)} complete samples leave no degree of freedom for {u.shape[1]} traits "
            f"and {q.shape[1]} columns of the design."
        )
    parts = []
    with progress("Testing all traits together", view.n_variants) as tick:
        for start, stop in cut(view, block_size):
            block = read_source(view, start, stop).centred(np.float64)
            parts.append(_tests(block, (q, u, rest), y, x))
            tick(stop - start)
    wilks, df1, df2, n, freq, acat = (np.concatenate(items) for items in zip(*parts, strict=True))
    with np.errstate(invalid="ignore", divide="ignore"):
        f = (1.0 - wilks) / wilks * df2 / df1
    log10p = f_log10p(f, df1, df2)
    frame = described(
        view, n=n.astype(np.int64), alt_freq=freq, wilks=wilks, f=f, df1=df1, df2=df2,
        log10p=log10p, p=from_log10p(log10p), acat_log10p=acat, acat_p=from_log10p(acat),
    )  # fmt: skip
    params: dict[str, Any] = {"traits": data.names, "covariates": data.covariate_names}
    return OmnibusResult(frame, params, len(y), dropped, data.notes)


def _spaces(y: Array, x: Array) -> tuple[Array, Array, Array]:
    """Return bases of the covariates and of the traits beside them, and these traits scaled."""
    q = basis(x)
    rest = y - y.mean(axis=0)
    scale = np.sqrt((rest * rest).sum(axis=0))
    for _ in range(2):
        rest -= q @ (q.T @ rest)
    size = np.sqrt((rest * rest).sum(axis=0))
    flat = size <= 1e-10 * scale
    rest[:, flat] = 0.0
    return q, orthonormal(rest), rest[:, ~flat] / size[~flat]


def _tests(
    block: CentredBlock, spaces: tuple[Array, Array, Array], y: Array, x: Array
) -> tuple[Array, Array, Array, Array, Array, Array]:
    q, u, rest = spaces
    left = block.squares - np.square(block.g @ q).sum(axis=1)
    explained = np.square(block.g @ u).sum(axis=1)
    single = np.square(block.g @ rest)
    n = block.n_known.copy()
    rank, k = np.full(len(n), float(q.shape[1])), np.full(len(n), float(u.shape[1]))
    begins = np.concatenate([[0], block.ends[:-1]])
    for row in np.flatnonzero(block.ends > begins):
        keep = np.ones(len(y), bool)
        keep[block.missing[begins[row] : block.ends[row]]] = False
        own_q, own_u, own = _spaces(y[keep], x[keep])
        g = block.g[row, keep]
        left[row] = float(g @ g) - np.square(own_q.T @ g).sum()
        g = g - own_q @ (own_q.T @ g)
        explained[row] = np.square(own_u.T @ g).sum()
        single[row] = np.nan
        single[row, : own.shape[1]] = np.square(own.T @ g)
        rank[row], k[row] = own_q.shape[1], own_u.shape[1]
    df2 = n - rank - k
    usable = (block.squares > 1e-9) & (left > 1e-9 * block.squares) & (df2 > 0)
    left = np.where(usable, left, np.nan)
    wilks = np.maximum(1.0 - explained / left, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = single / left[:, None]
        t = np.sqrt(r2 * (n - rank - 1.0)[:, None] / np.maximum(1.0 - r2, 0.0))
    dof = np.where(usable, n - rank - 1.0, np.nan)[:, None]
    acat = acat_rows(t_log10p(t, np.broadcast_to(dof, t.shape)))
    freq = np.where(n > 0, block.mean / 2.0, np.nan)
    return wilks, k, np.maximum(df2, 0.0), n, freq, acat
