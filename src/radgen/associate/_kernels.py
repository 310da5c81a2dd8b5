"""The tests that a scan can run, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from radgen.associate._models import (
    firth_block,
    logistic_block,
    moderated_block,
    negbinom_block,
    ordinal_block,
)
from radgen.associate._pairs import Kernel, linear_block, robust_block, spearman_block
from radgen.associate.gene_sets._ranked import (
    chi2_block,
    fisher_block,
    jonckheere_block,
    kruskal_block,
    mann_whitney_block,
    trend_block,
)

__all__ = ["KERNELS", "MODIFIED", "PERMUTED", "UNADJUSTED"]

KERNELS: Mapping[str, Kernel] = MappingProxyType(
    {
        "linear": linear_block,
        "linear_hc3": robust_block,
        "logistic": logistic_block,
        "firth": firth_block,
        "ordinal": ordinal_block,
        "moderated": moderated_block,
        "negbinom": negbinom_block,
        "spearman": spearman_block,
        "mann_whitney": mann_whitney_block,
        "kruskal": kruskal_block,
        "jonckheere": jonckheere_block,
        "fisher": fisher_block,
        "chi2": chi2_block,
        "trend": trend_block,
    }
)
"""Kernels by the name of their test."""

UNADJUSTED = ("mann_whitney", "kruskal", "jonckheere", "fisher", "chi2", "trend")
"""Tests that cannot adjust for covariates."""

PERMUTED = ("linear", "spearman")
"""Tests whose family-wise error can be controlled by max-T."""

MODIFIED = ("linear", "linear_hc3", "logistic", "firth", "ordinal", "moderated")
"""Tests that can have an effect modifier."""
