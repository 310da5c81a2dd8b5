"""A broken study is refused or explained, never answered wrongly."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from radgen.study import Study, StudyRun
from study_cohort import leave_figures_out, small_study
from study_mutations import REFUSED, SAME, STATUS, judge


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared") / "out"


@pytest.fixture(scope="module")
def undisturbed(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> StudyRun:
    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        leave_figures_out(patch)
        return Study.load(small_study(folder / "cohort")).run(shared)


_SOME = [*REFUSED[::2], *STATUS[::5], *SAME[::4]]


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("mutation", _SOME, ids=[item[0] for item in _SOME])
def test_a_broken_study_is_explained(
    mutation: tuple, shared: Path, undisturbed: StudyRun, tmp_path: Path
) -> None:
    name, expected, change = mutation
    study = small_study(tmp_path / "cohort")
    change(study.parent, random.Random(name))
    assert judge(expected, study, shared, undisturbed) == ""
