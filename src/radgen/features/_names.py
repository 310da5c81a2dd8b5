"""Codes of the features that run length, zone and dependence matrices have in common."""

from __future__ import annotations

from radgen.features._registry import FeatureSpec

__all__ = ["specs_of"]


def specs_of(*pairs: tuple[str, str]) -> tuple[FeatureSpec, ...]:
    """Return specs of (name, IBSI code) pairs; entropies are in bit."""
    return tuple(
        FeatureSpec(name, code, "bit" if name.lower().endswith("entropy") else "")
        for name, code in pairs
    )
