"""One test a variant over all traits together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.progress import progress
from radgen.associate._gwas_design import basis, orthonormal
from radgen.associate._gwas_input import prepare
from radgen.associate._gwas_run import cut
from radgen.associate.gwas_result import GENOME_WIDE
from radgen.errors import InputError
from radgen.genome._blocks import CentredBlock, read_source
from radgen.stats.tail import f_log10p
from radgen.types import Covariates, FrameLike, GenotypeMatrix, PhenotypeTable, Result

__all__ = ["OmnibusResult", "omnibus"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class OmnibusResult(Result):
    """Multivariate tests of variants.

    Attributes
    ----------
    frame : polars.DataFrame
        chrom, pos, id, ref, alt, n, alt_freq, wilks, f, df1, df2, log10p, p. NaN where a
        variant does not vary beside the covariates.
    """

    kind: ClassVar[str] = "gwas_omnibus"

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
            "multivariate analysis of variance (Wilks' lambda, exact F), adjusted for "
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

    References
    ----------
    Rao (1973), Linear Statistical Inference, section 8c.
    """
    data = prepare(genotypes, phenotypes, covariates, traits)
    whole = np.flatnonzero(np.isfinite(data.values).all(axis=1))
    view = data.genotypes.take_samples(whole)
    y, x = data.values[whole], data.covariates[whole]
    q, u = _spaces(y, x)
    if len(whole) - q.shape[1] - u.shape[1] < 1:
        raise InputError(
            f"{len(whole)} complete samples leave no degree of freedom for {u.shape[1]} traits "
            f"and {q.shape[1]} columns of the design."
        )
    parts = []
    with progress("Testing all traits together", view.n_variants) as tick:
        for start, stop in cut(view, block_size):
            block = read_source(view, start, stop).centred(np.float64)
            parts.append(_tests(block, q, u, y, x))
            tick(stop - start)
    wilks, df1, df2, n, freq = (np.concatenate(items) for items in zip(*parts, strict=True))
    with np.errstate(invalid="ignore", divide="ignore"):
        f = (1.0 - wilks) / wilks * df2 / df1
    log10p = f_log10p(f, df1, df2)
    with np.errstate(under="ignore"):
        p = np.power(10.0, log10p)
    frame = view.variants.select("chrom", "pos", "id", "ref", "alt").with_columns(
        pl.Series("n", n.astype(np.int64)),
        pl.Series("alt_freq", freq),
        pl.Series("wilks", wilks),
        pl.Series("f", f),
        pl.Series("df1", df1),
        pl.Series("df2", df2),
        pl.Series("log10p", log10p),
        pl.Series("p", p),
    )
    left = set(whole.tolist())
    more = [
        (name, "a trait is missing")
        for row, name in enumerate(data.genotypes.samples)
        if row not in left
    ]
    schema = {"sample": pl.String, "reason": pl.String}
    dropped = pl.concat([data.dropped, pl.DataFrame(more, schema=schema, orient="row")])
    params: dict[str, Any] = {"traits": data.names, "covariates": data.covariate_names}
    return OmnibusResult(frame, params, len(whole), dropped, data.notes)


def _spaces(y: Array, x: Array) -> tuple[Array, Array]:
    """Return bases of the covariates, and of the traits beside them."""
    q = basis(x)
    rest = y - y.mean(axis=0)
    scale = np.sqrt((rest * rest).sum(axis=0))
    for _ in range(2):
        rest -= q @ (q.T @ rest)
    rest[:, np.sqrt((rest * rest).sum(axis=0)) <= 1e-10 * scale] = 0.0
    return q, orthonormal(rest)


def _tests(
    block: CentredBlock, q: Array, u: Array, y: Array, x: Array
) -> tuple[Array, Array, Array, Array, Array]:
    left = block.squares - np.square(block.g @ q).sum(axis=1)
    explained = np.square(block.g @ u).sum(axis=1)
    n = block.n_known.copy()
    rank, k = np.full(len(n), float(q.shape[1])), np.full(len(n), float(u.shape[1]))
    begins = np.concatenate([[0], block.ends[:-1]])
    for row in np.flatnonzero(block.ends > begins):
        keep = np.ones(len(y), bool)
        keep[block.missing[begins[row] : block.ends[row]]] = False
        own_q, own_u = _spaces(y[keep], x[keep])
        g = block.g[row, keep]
        left[row] = float(g @ g) - np.square(own_q.T @ g).sum()
        g = g - own_q @ (own_q.T @ g)
        explained[row] = np.square(own_u.T @ g).sum()
        rank[row], k[row] = own_q.shape[1], own_u.shape[1]
    df2 = n - rank - k
    usable = (block.squares > 1e-9) & (left > 1e-9 * block.squares) & (df2 > 0)
    wilks = np.where(usable, 1.0 - explained / np.where(usable, left, 1.0), np.nan)
    freq = np.where(n > 0, block.mean / 2.0, np.nan)
    return np.maximum(wilks, 0.0), k, np.maximum(df2, 0.0), n, freq
