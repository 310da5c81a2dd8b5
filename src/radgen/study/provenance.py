"""What a run leaves behind so that another can be compared with it."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from radgen._core.files import write_text
from radgen._version import __version__

__all__ = ["Recorder", "StepRecord", "environment"]

_PACKAGES = (
    "numpy",
    "scipy",
    "polars",
    "scikit-learn",
    "SimpleITK",
    "nibabel",
    "pydicom",
    "highdicom",
    "pydantic",
    "matplotlib",
    "bed-reader",
    "pgenlib",
    "cyvcf2",
    "bgen",
    "distributed",
)


def environment() -> dict[str, Any]:
    """Return package versions and the kind of machine; no names of machine or user."""
    packages: dict[str, str] = {"radgen": __version__}
    for name in _PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "packages": packages,
        "machine": {
            "system": platform.system(),
            "release": platform.release(),
            "architecture": platform.machine(),
            "processors": os.cpu_count(),
            "byteorder": sys.byteorder,
        },
    }


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step of a run.

    Attributes
    ----------
    step, version : str, int
        What was done.
    key : str
        Digest of step, version, parameters and inputs.
    units, computed, failed : int
        How many there were, were computed now, and failed; the rest was stored before.
    seconds : float
        Wall time.
    """

    step: str
    version: int
    key: str
    units: int
    computed: int
    failed: int
    seconds: float


@dataclass
class Recorder:
    """Collects what happens and writes ``provenance.json`` after each step."""

    path: Path
    study: Mapping[str, Any]
    inputs: dict[str, Any] = field(default_factory=dict)
    steps: list[StepRecord] = field(default_factory=list)
    started: float = field(default_factory=time.time)
    workers: str = "serial"
    environment: dict[str, Any] = field(default_factory=environment)

    def add(self, record: StepRecord) -> None:
        """Add a step and write the file."""
        self.steps.append(record)
        self.write()

    def as_mapping(self, *, finished: bool = False) -> dict[str, Any]:
        """Return the whole provenance as plain values."""
        return {
            "encoding_type": "radgen-provenance",
            "encoding_version": 1,
            "finished": finished,
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.started)),
            "seconds": round(time.time() - self.started, 2),
            "workers": self.workers,
            "study": dict(self.study),
            "inputs": dict(self.inputs),
            "steps": [
                {
                    "step": item.step,
                    "version": item.version,
                    "key": item.key,
                    "units": item.units,
                    "computed": item.computed,
                    "failed": item.failed,
                    "seconds": round(item.seconds, 3),
                }
                for item in self.steps
            ],
            "environment": self.environment,
        }

    def write(self, *, finished: bool = False) -> None:
        """Write the file in one step."""
        write_text(self.path, json.dumps(self.as_mapping(finished=finished), indent=1) + "\n")
