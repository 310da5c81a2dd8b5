"""``radgen check``: list everything that is wrong with a study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["OPTIONS", "check"]

OPTIONS = {
    "epilog": """Examples:

  radgen check study.toml

  radgen check study.toml --scans     opens every scan and mask too

Exit codes: 0 no problem, 2 problems, each with file, line and what to do."""
}


def check(
    study: Annotated[Path, typer.Argument(help="The study file.")] = Path("study.toml"),
    scans: Annotated[bool, typer.Option("--scans", help="Open every scan and mask.")] = False,
) -> None:
    """Check a study file, its tables, ids and files; every problem at once."""
    from radgen.cli._output import show_problems
    from radgen.study import Study
    from radgen.study.context import collected_warnings

    notes: list[str] = []
    with collected_warnings(notes):
        problems = Study.problems_of(study, scans=scans)
    for text in notes:
        typer.echo(f"Note: {text}", err=True)
    show_problems(study, problems)
