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

    The pictures of studies and results are drawn where they are the subject.
    """
    from study_cohort import leave_figures_out

    leave_figures_out(monkeypatch)


try:
    from xdist.scheduler import LoadFileScheduling
except ImportError:
    pass
else:

    class ByFile(LoadFileScheduling):
        """A file of tests stays with one worker, and all files that load PyTorch with the same."""

        def _split_scope(self, nodeid: str) -> str:
            file: str = super()._split_scope(nodeid)
            return "deep" if "test_deep_" in file or "gwas_backend" in file else file

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
        """Return how tests are spread where a file is to stay together."""
        return ByFile(config, log) if config.getoption("dist") == "loadfile" else None
