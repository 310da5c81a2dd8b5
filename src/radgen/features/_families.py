"""Import the families that come with the package, so that they are registered."""

from __future__ import annotations

from importlib import import_module

__all__ = ["load"]

_MODULES = (
    "morphology",
    "local_intensity",
    "statistics",
    "histogram",
    "ivh",
    "glcm",
    "glrlm",
    "glszm",
    "gldzm",
    "ngtdm",
    "ngldm",
    "fractal",
    "moment_invariants",
    "topology",
    "collage",
)


def load() -> None:
    """Register all families of the package; a second call does nothing."""
    for name in _MODULES:
        import_module(f"radgen.features.{name}")
