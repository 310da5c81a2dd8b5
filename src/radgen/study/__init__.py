"""Floor 10: from a study file to a run: settings, steps, cache, provenance, executors."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from radgen.study.demo import run_demo
    from radgen.study.executors import executor
    from radgen.study.problems import Problem
    from radgen.study.scaffolding import scaffold
    from radgen.study.schema import StudySettings, json_schema
    from radgen.study.study import Study, StudyRun

_HOME = {
    "Problem": "problems",
    "Study": "study",
    "StudyRun": "study",
    "StudySettings": "schema",
    "executor": "executors",
    "json_schema": "schema",
    "run_demo": "demo",
    "scaffold": "scaffolding",
}

__all__ = [
    "Problem",
    "Study",
    "StudyRun",
    "StudySettings",
    "executor",
    "json_schema",
    "run_demo",
    "scaffold",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"radgen.study.{_HOME[name]}"), name)
    raise AttributeError(f"module 'radgen.study' has no attribute {name!r}")
