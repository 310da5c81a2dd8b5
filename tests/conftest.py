"""Test data: found through RADGEN_DATA, never copied here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(scope="session", autouse=True)
def _one_thread_a_worker() -> Iterator[None]:
    """Keep the matrix libraries of parallel workers from fighting over the cores."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def torch() -> Any:
    """Return PyTorch, an optional dependency.

    Where it is not installed the test skips and says so; where RADGEN_TORCH_REQUIRED is set
    (continuous integration), that is a failure.
    """
    try:
        return import_module("torch")
    except ImportError:
        if os.environ.get("RADGEN_TORCH_REQUIRED") == "1":
            pytest.fail("PyTorch is not installed, and RADGEN_TORCH_REQUIRED asks for it.")
        pytest.skip("PyTorch is not installed (extra deep).")


@pytest.fixture(scope="session")
def data() -> Callable[[str], Path]:
    """Return a function that finds a folder or file of the reference data by name.

    Where RADGEN_DATA is unset the test skips and says so; where RADGEN_DATA_REQUIRED is set
    (continuous integration), a missing set is a failure.
    """
    required = os.environ.get("RADGEN_DATA_REQUIRED") == "1"
    root = os.environ.get("RADGEN_DATA")

    def find(name: str) -> Path:
        if not root:
            if required:
                pytest.fail("RADGEN_DATA is unset, and RADGEN_DATA_REQUIRED asks for the data.")
            pytest.skip("RADGEN_DATA is unset: the reference data are not on this machine.")
        path = Path(root) / name
        if not path.exists():
            if required:
                pytest.fail(f"{name} is missing in RADGEN_DATA.")
            pytest.skip(f"{name} is missing in RADGEN_DATA.")
        return path

    return find


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures of reports out: for a test of what a run computes, not of its pictures.

    The pictures of a study are drawn where they are the subject, and once in each of its files.
    """
    from radgen.report.svg import Drawing

    monkeypatch.setattr("radgen.report.page.draw", lambda *_: Drawing("<svg/>", "<svg/>", 100))
