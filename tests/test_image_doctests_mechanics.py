"""The examples of the image floor print what they say."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest

MODULES = (
    "radgen.image.agreement",
    "radgen.image.discretise",
    "radgen.image.filters.apply",
    "radgen.image.filters.settings",
    "radgen.image.habitat",
    "radgen.image.normalise",
    "radgen.image.region",
    "radgen.image.resample",
    "radgen.image.standardise",
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    result = doctest.testmod(import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
