"""The tests that a scan can run, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from radgen.associate._pairs import Kernel, linear_block, robust_block, spearman_block

__all__ = ["KERNELS"]

KERNELS: Mapping[str, Kernel] = MappingProxyType(
    {
        "linear": linear_block,
        "linear_hc3": robust_block,
        "spearman": spearman_block,
    }
)
"""Kernels by the name of their test."""
