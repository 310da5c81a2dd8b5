"""What is checked of the functional steps of a study before it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radgen._core.naming import did_you_mean
from radgen.errors import RadgenError
from radgen.study.scan_settings import map_settings

if TYPE_CHECKING:
    from radgen.study.gather import Gathered

__all__ = ["check_functional"]


def check_functional(found: Gathered) -> None:
    """Note a problem for each map that no technique makes, and for steps that do not fit."""
    from radgen.functional.recipes import MAP_NAMES

    images = found.settings.images
    if images is None:
        return
    for name, step in images.functional.items():
        at = ("images", "functional", name)
        known = MAP_NAMES[step.technique]
        for wanted in step.maps:
            if wanted not in known:
                found.complain(
                    (*at, "maps"),
                    f"{step.technique} makes no map {wanted!r}.",
                    did_you_mean(wanted, known),
                )
        if any(mark in name for mark in "|:"):
            found.complain(at, f"The name {name!r} holds | or :, which names of phenotypes need.")
        if name in images.sequences:
            found.complain(at, f"A sequence is named {name!r}, too.", "Name each differently.")
        try:
            map_settings(found.settings, step.preprocess)
        except RadgenError as error:
            found.complain((*at, "preprocess"), str(error))
