"""Floor 10: from a study file to a run: settings, steps, cache, provenance, executors."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from radgen._core.executors import executor
    from radgen.study.demo import run_demo
    from radgen.study.patients import PatientSources, patient_pages
    from radgen.study.problems import Problem
    from radgen.study.scaffolding import scaffold
    from radgen.study.schema import StudySettings, json_schema
    from radgen.study.study import Study, StudyRun

_HOME = {
    "PatientSources": "patients",
    "Problem": "problems",
    "Study": "study",
    "StudyRun": "study",
    "StudySettings": "schema",
    "executor": "radgen._core.executors",
    "json_schema": "schema",
    "patient_pages": "patients",
    "run_demo": "demo",
    "scaffold": "scaffolding",
}

__all__ = [
    "PatientSources",
    "Problem",
    "Study",
    "StudyRun",
    "StudySettings",
    "executor",
    "json_schema",
    "patient_pages",
    "run_demo",
    "scaffold",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        home = _HOME[name]
        return getattr(import_module(home if "." in home else f"radgen.study.{home}"), name)
    raise AttributeError(f"module 'radgen.study' has no attribute {name!r}")
