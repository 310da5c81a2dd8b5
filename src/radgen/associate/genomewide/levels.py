"""The level at which an association of a scan is called one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from radgen._core.naming import counted

__all__ = ["CANDIDATES", "GENOME_WIDE", "level_of", "level_rule"]

GENOME_WIDE = 5e-8
"""The usual p of genome-wide significance, before counting traits."""
CANDIDATES = 1000
"""Scans of fewer variants are of candidates: their level is 0.05 over variants and traits."""


def level_of(n_variants: int, n_traits: int, threshold: float | None = None) -> float:
    """Return the level of a scan, corrected for its traits; never above what was kept of it."""
    one = GENOME_WIDE if n_variants >= CANDIDATES else 0.05 / max(n_variants, 1)
    level = one / max(n_traits, 1)
    return level if threshold is None else min(level, threshold)


def level_rule(params: Mapping[str, Any], n_traits: int) -> tuple[float, str]:
    """Return the level of a scan with these parameters, and where it comes from in words."""
    level = level_of(params["n_variants"], n_traits, params.get("threshold"))
    over = counted(n_traits, "trait")
    if level == params.get("threshold"):
        return level, "of weaker ones nothing was kept"
    if params["n_variants"] < CANDIDATES:
        return level, f"0.05 over {counted(params['n_variants'], 'variant')} and {over}"
    return level, f"5e-8 over {over}"
