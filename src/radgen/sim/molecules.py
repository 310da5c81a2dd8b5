"""Simulate expression with co-regulated modules, and somatic mutations."""

from __future__ import annotations

import numpy as np

from radgen.types import OmicsTable

__all__ = ["simulate_expression", "simulate_mutations"]


def simulate_expression(
    samples: tuple[str, ...],
    *,
    rng: np.random.Generator,
    n_genes: int = 200,
    n_modules: int = 8,
    module_size: int = 12,
    loading: float = 0.8,
) -> tuple[OmicsTable, np.ndarray, dict[str, tuple[str, ...]]]:
    """Return log2 expression, the activity of each module, and which genes form it.

    Parameters
    ----------
    samples : tuple of str
        Sample ids.
    rng : numpy.random.Generator
        Source of randomness.
    n_genes, n_modules, module_size : int
        The first ``n_modules * module_size`` genes form modules; the rest is noise.
    loading : float, default 0.8
        Correlation of a gene with its module's activity.

    Returns
    -------
    expression : OmicsTable
        Layer "expression", scale "log2".
    activity : ndarray of float64 (n_samples, n_modules)
        Standard-normal activity of each module.
    modules : dict of str to tuple of str
        Gene names of each module.
    """
    activity = rng.standard_normal((len(samples), n_modules))
    values = rng.standard_normal((len(samples), n_genes))
    genes = tuple(f"GENE{j + 1:04d}" for j in range(n_genes))
    modules: dict[str, tuple[str, ...]] = {}
    for module in range(n_modules):
        members = np.arange(module * module_size, min((module + 1) * module_size, n_genes))
        values[:, members] = (
            loading * activity[:, [module]] + np.sqrt(1 - loading**2) * values[:, members]
        )
        modules[f"MODULE_{module + 1}"] = tuple(genes[j] for j in members)
    level = rng.uniform(4, 12, n_genes)
    spread = rng.uniform(0.5, 1.5, n_genes)
    table = OmicsTable(samples, genes, level + spread * values, "expression", "log2")
    return table, activity, modules


def simulate_mutations(
    samples: tuple[str, ...], prevalence: dict[str, float], *, rng: np.random.Generator
) -> OmicsTable:
    """Return a mutation table (1 = mutant, 0 = wild-type) with the given gene prevalences."""
    genes = tuple(prevalence)
    rate = np.array([prevalence[gene] for gene in genes])
    values = (rng.random((len(samples), len(genes))) < rate).astype(np.float64)
    return OmicsTable(samples, genes, values, "mutation", "binary")
