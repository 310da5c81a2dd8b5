"""``radgen run``: do a whole study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["OPTIONS", "run"]

OPTIONS = {
    "epilog": """Examples:

  radgen run study.toml --out results

  radgen run study.toml --out results --jobs 8

  radgen run study.toml --out results --cluster tcp://10.0.0.5:8786

A run can be stopped at any moment; the same command goes on where it was.

Exit codes: 0 done, 2 the study or a file must be mended, 3 done with failures."""
}


def run(
    study: Annotated[Path, typer.Argument(help="The study file.")] = Path("study.toml"),
    out: Annotated[Path, typer.Option(help="Folder for report, tables and stored steps.")] = Path(
        "results"
    ),
    jobs: Annotated[int, typer.Option(min=0, help="Processes; 0 = one a processor.")] = 0,
    cluster: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler, or its scheduler file.")
    ] = None,
) -> None:
    """Run a study: measure, link, harmonise, test, predict, report."""
    from radgen.cli._output import show_run
    from radgen.study import Study

    show_run(Study.load(study).run(out, jobs=jobs, cluster=cluster))
