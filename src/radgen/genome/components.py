"""Principal components of genotypes, with projection of new samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.blocks import block_ranges
from radgen._core.rng import spawn
from radgen.errors import InputError, shown
from radgen.genome._blocks import BlockSource, read_source
from radgen.genome.frequency import autosomal
from radgen.types import Covariates, GenotypeMatrix

__all__ = ["GenotypePCA"]

Array = NDArray[np.float64]
_BLOCK = 512
_EXACT = 4000


class GenotypePCA:
    """Principal components of the standardised genotypes of autosomes.

    Parameters
    ----------
    n_components : int, default 10
        How many.
    random_state : int, default 0
        Seed of the start of the randomised algorithm (above 4,000 samples).
    n_passes : int, default 8
        Passes over the genotypes of the randomised algorithm.

    Attributes
    ----------
    samples_ : tuple of str (n_samples,)
        Samples of the fit.
    scores_ : ndarray of float64 (n_samples, n_components)
        Eigenvectors of the relationship matrix, each of length 1; the sign makes the largest
        loading positive.
    eigenvalues_ : ndarray of float64 (n_components,)
        Of the relationship matrix (the mean over variants).
    loadings_ : ndarray of float64 (n_variants, n_components)
        Weights of the standardised variants.
    variants_ : polars.DataFrame
        Variants of the loadings.
    mean_, scale_ : ndarray of float64 (n_variants,)
        Mean ALT dosage and sqrt(2p(1 - p)) of the fit.

    Notes
    -----
    Missing calls are at the mean. Up to 4,000 samples the relationship matrix is decomposed
    exactly; above, by randomised subspace iteration. Projected scores are X v / sqrt(m l) and
    shrink towards 0 where there are many more variants than samples.

    References
    ----------
    Price et al. (2006), doi:10.1038/ng1847; Halko et al. (2011), doi:10.1137/090771806.
    """

    def __init__(self, n_components: int = 10, *, random_state: int = 0, n_passes: int = 8) -> None:
        self.n_components = n_components
        self.random_state = random_state
        self.n_passes = n_passes

    def fit(self, genotypes: GenotypeMatrix, y: Any = None) -> GenotypePCA:
        """Find the components; return self.

        Raises
        ------
        InputError
            If there are too few samples or varying variants for the components.
        """
        use = np.flatnonzero(autosomal(genotypes.variants))
        view = genotypes.take_variants(use) if len(use) < genotypes.n_variants else genotypes
        keep = self._moments(view)
        view = view.take_variants(keep)
        k, n = self.n_components, view.n_samples
        if not 1 <= k < min(n, view.n_variants):
            raise InputError(
                f"{k} components need more than {k} samples and varying variants; there are "
                f"{n} and {view.n_variants}."
            )
        self.samples_ = view.samples
        self.variants_ = view.variants.select("chrom", "pos", "id", "ref", "alt")
        values, vectors = self._exact(view) if n <= _EXACT else self._randomised(view)
        self.loadings_ = self._times(view, vectors) / np.sqrt(values * view.n_variants)
        sign = np.sign(self.loadings_[np.abs(self.loadings_).argmax(axis=0), np.arange(k)])
        self.loadings_ *= sign
        self.scores_ = vectors * sign
        self.eigenvalues_ = values
        return self

    def transform(self, genotypes: GenotypeMatrix) -> Covariates:
        """Return the scores of samples as covariates PC1, PC2, …

        Parameters
        ----------
        genotypes : GenotypeMatrix
            Any samples; all variants of the fit, found by position and alleles (a variant with
            REF and ALT exchanged is turned).

        Raises
        ------
        InputError
            If variants of the fit are missing.
        """
        rows, turned = self._find(genotypes)
        total = np.zeros((genotypes.n_samples, self.n_components))
        view = genotypes.take_variants(rows)
        for start, stop in block_ranges(len(rows), _BLOCK):
            dosage = np.asarray(view.read(start, stop), float)
            some = turned[start:stop]
            dosage[some] = 2.0 - dosage[some]
            z = (dosage - self.mean_[start:stop, None]) / self.scale_[start:stop, None]
            total += np.nan_to_num(z).T @ self.loadings_[start:stop]
        scores = total / np.sqrt(self.eigenvalues_ * len(rows))
        return self._named(genotypes.samples, scores)

    def fit_transform(self, genotypes: GenotypeMatrix, y: Any = None) -> Covariates:
        """Fit and return the scores of the same samples."""
        self.fit(genotypes)
        return self._named(self.samples_, self.scores_)

    def _named(self, samples: tuple[str, ...], scores: Array) -> Covariates:
        names = tuple(f"PC{i + 1}" for i in range(self.n_components))
        return Covariates(samples, names, scores)

    def _find(self, genotypes: GenotypeMatrix) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        own = self.variants_.select("chrom", "pos", "ref", "alt").with_row_index("order")
        theirs = genotypes.variants.select("chrom", "pos", "ref", "alt").with_row_index("row")
        keys = ["chrom", "pos"]
        same = own.join(theirs, on=[*keys, "ref", "alt"], how="inner").with_columns(
            pl.lit(False).alias("turned")
        )
        swapped = own.join(
            theirs, left_on=[*keys, "ref", "alt"], right_on=[*keys, "alt", "ref"], how="inner"
        ).with_columns(pl.lit(True).alias("turned"))
        columns = ["order", "row", "turned"]
        found = pl.concat([same.select(columns), swapped.select(columns)])
        found = found.unique("order", keep="first", maintain_order=True).sort("order")
        if found.height < own.height:
            lost = self.variants_.with_row_index("order").join(found, on="order", how="anti")
            raise InputError(
                f"{lost.height} of {own.height} variants of the components are absent from the "
                f"genotypes, such as {shown(lost['id'])}."
            )
        return found["row"].to_numpy().astype(np.int64), found["turned"].to_numpy()

    def _moments(self, view: GenotypeMatrix) -> NDArray[np.int64]:
        mean, squares = np.empty(view.n_variants), np.empty(view.n_variants)
        for start, stop in block_ranges(view.n_variants, _BLOCK):
            block = read_source(view, start, stop).centred(np.float32)
            mean[start:stop], squares[start:stop] = block.mean, block.squares
        keep = np.flatnonzero(squares > 1e-9)
        self.mean_ = mean[keep]
        self.scale_ = np.sqrt(self.mean_ * (1.0 - self.mean_ / 2.0))
        return keep

    def _standard(self, view: GenotypeMatrix, start: int, stop: int) -> Array:
        source: BlockSource = read_source(view, start, stop)
        return np.asarray(source.centred(np.float64).g / self.scale_[start:stop, None])

    def _exact(self, view: GenotypeMatrix) -> tuple[Array, Array]:
        n = view.n_samples
        total = np.zeros((n, n))
        for start, stop in block_ranges(view.n_variants, _BLOCK):
            z = self._standard(view, start, stop)
            total += z.T @ z
        from scipy.linalg import eigh

        low = n - self.n_components
        values, vectors = eigh(total / view.n_variants, subset_by_index=[low, n - 1])
        return values[::-1].copy(), vectors[:, ::-1].copy()

    def _times(self, view: GenotypeMatrix, vectors: Array) -> Array:
        parts = [
            self._standard(view, start, stop) @ vectors
            for start, stop in block_ranges(view.n_variants, _BLOCK)
        ]
        return np.concatenate(parts)

    def _randomised(self, view: GenotypeMatrix) -> tuple[Array, Array]:
        rng = spawn(self.random_state, "genotype pca")
        width = min(2 * self.n_components + 10, view.n_samples)
        basis = np.linalg.qr(rng.normal(size=(view.n_samples, width)))[0]
        kept = []
        for _ in range(self.n_passes):
            image = np.zeros((view.n_samples, width))
            for start, stop in block_ranges(view.n_variants, _BLOCK):
                z = self._standard(view, start, stop)
                image += z.T @ (z @ basis)
            basis = np.linalg.qr(image)[0]
            kept.append(basis)
        # All subspaces together hold more of the leading vectors than the last one alone.
        both = np.linalg.qr(np.hstack(kept))[0]
        small = np.zeros((both.shape[1], both.shape[1]))
        for start, stop in block_ranges(view.n_variants, _BLOCK):
            part = self._standard(view, start, stop) @ both
            small += part.T @ part
        values, vectors = np.linalg.eigh(small / view.n_variants)
        order = np.argsort(values)[::-1][: self.n_components]
        return values[order], both @ vectors[:, order]
