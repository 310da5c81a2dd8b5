"""How many correlated hypotheses may replicate by chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtri

from radgen.associate._plan import layer_labels
from radgen.stats.linear import covariate_basis, residualise
from radgen.types import Covariates, OmicsTable, PhenotypeTable, align

__all__ = ["count_range", "pair_products"]

Array = NDArray[np.float64]

_BLOCK = 1024


def count_range(
    chance: Array, products: Array, *, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Return the middle 95 % of how many of correlated events happen.

    Parameters
    ----------
    chance : ndarray of float64 (n_events,)
        Chance of each.
    products : ndarray of float64 (n_samples, n_events)
        From `pair_products`; events without one (NaN) are independent of all others.
    draws : int, default 2000
        Number of simulated counts.
    seed : int, default 0
        Of the simulation.

    Returns
    -------
    low, high : float
        Quantiles 0.025 and 0.975 of the count.

    Notes
    -----
    Normal scores with the correlations of the tests, weighted sums of the products with random
    normal weights of the samples, fall below the quantile of each chance.
    """
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((draws, len(products)))
    alone = np.isnan(products).any(axis=0)
    count = np.zeros(draws)
    for start in range(0, len(chance), _BLOCK):
        part = slice(start, start + _BLOCK)
        score = weights @ np.where(alone[part], 0.0, products[:, part])
        score[:, alone[part]] = rng.standard_normal((draws, int(alone[part].sum())))
        count += (score < ndtri(chance[part])).sum(axis=1)
    low, high = np.quantile(count, [0.025, 0.975], method="inverted_cdf")
    return float(low), float(high)


def pair_products(
    pairs: pl.DataFrame,
    phenotypes: PhenotypeTable,
    layers: Sequence[OmicsTable],
    covariates: Covariates | None,
) -> Array:
    """Return products of phenotype and feature of each pair, whose correlations are the tests'.

    Parameters
    ----------
    pairs : polars.DataFrame
        ``phenotype, omics, layer``.
    phenotypes, layers, covariates
        The cohort.

    Returns
    -------
    ndarray of float64 (n_samples, n_pairs)
        Columns of norm 1 over the samples of the images; both sides are residuals of the
        covariates, of whom nothing is known counts as 0. NaN where a side is absent.
    """
    row = {name: place for place, name in enumerate(phenotypes.samples)}
    out = np.full((len(row), pairs.height), np.nan)
    for label, layer in zip(layer_labels(layers), layers, strict=True):
        here = np.flatnonzero((pairs["layer"].cast(pl.String) == label).to_numpy())
        if not len(here):
            continue
        tables = {"images": phenotypes.samples, "layer": layer.samples}
        if covariates is not None:
            tables["covariates"] = covariates.samples
        found = align(tables, need=3)
        z = None if covariates is None else covariates.values[found.rows["covariates"]]
        keep = np.ones(found.n_samples, bool) if z is None else np.isfinite(z).all(axis=1)
        basis = covariate_basis(None if z is None else z[keep], int(keep.sum()))
        left = _left(phenotypes.values[found.rows["images"]][keep], basis)
        right = _left(layer.values[found.rows["layer"]][keep], basis)
        place = {name: column for column, name in enumerate(layer.features)}
        known = {name: column for column, name in enumerate(phenotypes.names)}
        rows = [row[item] for item, kept in zip(found.samples, keep, strict=True) if kept]
        names = pairs.select("phenotype", "omics").to_dict(as_series=False)
        for target in here:
            a, b = known.get(names["phenotype"][target]), place.get(names["omics"][target])
            if a is None or b is None:
                continue
            product = left[:, a] * right[:, b]
            product -= product.mean()
            size = float(np.linalg.norm(product))
            if size > 0:
                out[:, target] = 0.0
                out[rows, target] = product / size
    return out


def _left(values: Array, basis: Array) -> Array:
    known = np.isfinite(values) & (np.abs(values) < 1e100)
    count = np.maximum(known.sum(axis=0), 1)
    middle = np.where(known, values, 0.0).sum(axis=0) / count
    return np.where(known, residualise(np.where(known, values, middle), basis), 0.0)
