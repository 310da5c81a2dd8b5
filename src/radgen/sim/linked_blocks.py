"""Simulate two blocks of one cohort that share sparse latent links."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from radgen.errors import InputError
from radgen.sim.genotypes import simulate_genotypes

__all__ = ["LinkedBlocks", "simulate_linked_blocks"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LinkedBlocks:
    """Two blocks with their truth.

    Attributes
    ----------
    samples : tuple of str
        Ids of the rows.
    x : ndarray of float64 (n_samples, n_x)
        Dosages of variants.
    y : ndarray of float64 (n_samples, n_y)
        Phenotypes, or voxels in the C order of `shape`.
    x_names, y_names, x_groups : tuple of str
        Names of variants, of phenotypes, and the gene of each variant.
    covariates : polars.DataFrame
        ``sample, ancestry, site``: what confounds.
    x_weights : ndarray of float64 (n_x, rank)
        True weights on standardised dosages; zero where a variant plays no part.
    y_weights : ndarray of float64 (n_y, rank)
        True weights of the phenotypes, each column of norm 1.
    correlations : tuple of float
        Correlation of each pair of latent scores.
    shape : tuple of int
        Grid of the phenotypes; empty where they are no image.
    """

    samples: tuple[str, ...]
    x: Array
    y: Array
    x_names: tuple[str, ...]
    y_names: tuple[str, ...]
    x_groups: tuple[str, ...]
    covariates: pl.DataFrame
    x_weights: Array
    y_weights: Array
    correlations: tuple[float, ...]
    shape: tuple[int, ...] = ()

    @property
    def x_active(self) -> NDArray[np.int64]:
        """Columns of x with a part in any link."""
        return np.flatnonzero(self.x_weights.any(axis=1))

    @property
    def y_active(self) -> NDArray[np.int64]:
        """Columns of y with a part in any link."""
        return np.flatnonzero(self.y_weights.any(axis=1))


def simulate_linked_blocks(
    n_samples: int,
    n_x: int,
    n_y: int,
    *,
    rng: np.random.Generator,
    correlations: tuple[float, ...] = (0.6,),
    n_x_active: int = 10,
    n_y_active: int = 5,
    signal: float = 0.5,
    ld: float = 0.5,
    group_size: int = 10,
    shape: tuple[int, ...] = (),
    smoothness: float = 0.0,
    ancestry: float = 0.0,
    site: float = 0.0,
    n_sites: int = 3,
) -> LinkedBlocks:
    """Return variants and phenotypes that are linked by sparse latent scores.

    For link r a genetic score is a weighted sum of a few variants of one gene (or of several,
    where one is too small); an image score correlates with it by ``correlations[r]``, and a few
    phenotypes carry that image score. A correlation of 0 is the null: the same data, no link.

    Parameters
    ----------
    n_samples, n_x, n_y : int
        People, variants, phenotypes.
    rng : numpy.random.Generator
        Source of randomness.
    correlations : tuple of float, default (0.6,)
        Correlation of the latent scores of each link, in [0, 1); its length is the rank.
    n_x_active, n_y_active : int
        Variants and phenotypes of a link; links do not share any.
    signal : float, default 0.5
        Share of an active phenotype's variance that its image score makes, in (0, 1].
    ld : float, default 0.5
        Latent correlation of neighbouring variants within a gene.
    group_size : int, default 10
        Variants of a gene, one LD block.
    shape : tuple of int, default ()
        Grid of the phenotypes, of `n_y` points in all: active phenotypes are then a blob.
    smoothness : float, default 0
        Standard deviation, in grid points, of the Gaussian that smooths the noise.
    ancestry : float, default 0
        Strength of confounding: two populations differ in allele frequencies (Fst 0.05) and by
        this many noise standard deviations in a random pattern of phenotypes.
    site : float, default 0
        Strength of the sites' additive effects on phenotypes, in noise standard deviations.
    n_sites : int, default 3
        Number of sites, where `site` > 0.

    Returns
    -------
    LinkedBlocks
        The blocks and the truth.

    Raises
    ------
    InputError
        If the numbers do not fit together.

    Examples
    --------
    >>> linked = simulate_linked_blocks(50, 40, 12, rng=np.random.default_rng(0))
    >>> linked.x.shape, linked.y.shape, len(linked.x_active), len(linked.y_active)
    ((50, 40), (50, 12), 10, 5)
    """
    rank = len(correlations)
    active = (n_x_active, n_y_active)
    _check(n_x, n_y, active, correlations=correlations, signal=signal, shape=shape)
    samples = tuple(f"S{i:05d}" for i in range(1, n_samples + 1))
    population = rng.integers(0, 2, n_samples) if ancestry > 0 else np.zeros(n_samples, np.int64)
    matrix = simulate_genotypes(
        samples,
        n_variants=n_x,
        rng=rng,
        n_chromosomes=1,
        ld=ld,
        ld_block=group_size,
        structure=0.05 if ancestry > 0 else 0.0,
        populations=population,
    )
    x = matrix.read(0, n_x).T.astype(np.float64)
    x_weights = _variant_weights(n_x, rank, n_x_active, group_size, rng)
    y_weights = _phenotype_weights(n_y, rank, n_y_active, shape, rng)
    noise = _noise(n_samples, n_y, shape, smoothness, rng)
    y = _phenotypes(
        x, x_weights, y_weights, noise, correlations=correlations, signal=signal, rng=rng
    )
    place = rng.integers(0, n_sites, n_samples) if site > 0 else np.zeros(n_samples, np.int64)
    y += ancestry * (population - population.mean())[:, None] * rng.standard_normal(n_y)
    y += site * rng.standard_normal((n_sites, n_y))[place]
    covariates = pl.DataFrame(
        {
            "sample": samples,
            "ancestry": population.astype(np.float64),
            "site": [f"site{k + 1}" for k in place],
        }
    )
    return LinkedBlocks(
        samples,
        x,
        y,
        tuple(matrix.variants["id"].to_list()),
        tuple(f"P{j + 1:04d}" for j in range(n_y)),
        tuple(f"GENE{j // group_size + 1:03d}" for j in range(n_x)),
        covariates,
        x_weights,
        y_weights,
        tuple(correlations),
        shape,
    )


def _check(
    n_x: int,
    n_y: int,
    active: tuple[int, int],
    *,
    correlations: tuple[float, ...],
    signal: float,
    shape: tuple[int, ...],
) -> None:
    rank = len(correlations)
    if not rank or not all(0 <= r < 1 for r in correlations) or not 0 < signal <= 1:
        raise InputError("Needed are one correlation or more in [0, 1), and signal in (0, 1].")
    if active[0] * rank > n_x or active[1] * rank > n_y or min(active) < 1:
        raise InputError(
            f"{rank} links of {active} active features do not fit {n_x} variants and {n_y} "
            "phenotypes."
        )
    if shape and int(np.prod(shape)) != n_y:
        raise InputError(f"A grid of {shape} has {int(np.prod(shape))} points, n_y is {n_y}.")


def _variant_weights(
    n_x: int, rank: int, n_active: int, group_size: int, rng: np.random.Generator
) -> Array:
    weights = np.zeros((n_x, rank))
    n_groups = n_x // group_size
    needed = -(-n_active // group_size)
    whole = n_groups >= needed * rank
    order = rng.permutation(n_groups if whole else n_x)
    for r in range(rank):
        if whole:
            genes = order[r * needed : (r + 1) * needed]
            pool = (genes[:, None] * group_size + np.arange(group_size)).ravel()
            chosen = rng.choice(pool, n_active, replace=False)
        else:
            chosen = order[r * n_active : (r + 1) * n_active]
        weights[chosen, r] = rng.uniform(0.5, 1.0, n_active)
    return weights


def _phenotype_weights(
    n_y: int, rank: int, n_active: int, shape: tuple[int, ...], rng: np.random.Generator
) -> Array:
    weights = np.zeros((n_y, rank))
    free = np.ones(n_y, dtype=np.bool_)
    grid = np.stack(np.unravel_index(np.arange(n_y), shape), axis=1) if shape else None
    for r in range(rank):
        open_ = np.flatnonzero(free)
        if grid is None:
            chosen = rng.choice(open_, n_active, replace=False)
        else:
            centre = grid[rng.choice(open_)]
            distance = ((grid[open_] - centre) ** 2).sum(axis=1)
            chosen = open_[np.argsort(distance, kind="stable")[:n_active]]
        sign = rng.choice([-1.0, 1.0]) if grid is not None else rng.choice([-1.0, 1.0], n_active)
        weights[chosen, r] = sign / np.sqrt(n_active)
        free[chosen] = False
    return weights


def _noise(
    n_samples: int, n_y: int, shape: tuple[int, ...], smoothness: float, rng: np.random.Generator
) -> Array:
    noise = rng.standard_normal((n_samples, n_y))
    if not shape or smoothness <= 0:
        return noise
    images = noise.reshape(n_samples, *shape)
    width = (0.0, *([smoothness] * len(shape)))
    smooth = gaussian_filter(images, width, mode="wrap").reshape(n_samples, n_y)
    return np.asarray(smooth / smooth.std())


def _phenotypes(
    x: Array,
    x_weights: Array,
    y_weights: Array,
    noise: Array,
    *,
    correlations: tuple[float, ...],
    signal: float,
    rng: np.random.Generator,
) -> Array:
    spread = x.std(axis=0)
    standard = (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    y = noise * np.where(y_weights.any(axis=1), np.sqrt(1 - signal), 1.0)
    for r, correlation in enumerate(correlations):
        genetic = standard @ x_weights[:, r]
        genetic = genetic / max(genetic.std(), 1e-300)
        own = rng.standard_normal(len(x))
        image = correlation * genetic + np.sqrt(1 - correlation**2) * own
        y += np.sqrt(signal) * np.outer(image, np.sign(y_weights[:, r]))
    return np.asarray(y)
