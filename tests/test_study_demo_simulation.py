"""The demonstration finds what was planted, and commands end with messages, not tracebacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from radgen.cli import _output
from radgen.errors import InputError
from radgen.study import run_demo


@pytest.mark.usefixtures("undrawn")
def test_the_demo_finds_what_was_planted(tmp_path: Path) -> None:
    demo = run_demo(tmp_path / "demo", samples=60, seed=1, jobs=1)
    assert demo.run.complete
    assert demo.table.height == 6
    found = dict(demo.table.select("planted", "agrees").iter_rows())
    strong = [name for name in found if "variant" in name or "DRV1" in name]
    assert len(strong) == 3
    assert all(found[name] == "yes" for name in strong)
    assert (demo.folder / "study.toml").exists()
    assert "<html" in demo.run.report.read_text(encoding="utf-8").lower()


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (InputError("The table is odd. Mend it."), 2, "The table is odd. Mend it."),
        (PermissionError(13, "Permission denied", "results"), 2, "Permission denied: results"),
        (ZeroDivisionError("oh"), 1, "This is a defect of radgen."),
    ],
)
def test_errors_end_in_messages(
    error: Exception, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught, _output.explained_errors():
        raise error
    assert caught.value.code == code
    text = capsys.readouterr().err
    assert words in text
    assert "Traceback" not in text
