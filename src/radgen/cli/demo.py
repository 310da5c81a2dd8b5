"""``radgen demo``: a whole study of a simulated cohort."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["OPTIONS", "demo"]

OPTIONS = {
    "epilog": """Examples:

  radgen demo

  radgen demo --out demo --samples 200 --seed 7

The files it writes (scans, tables, genotypes, study.toml) look like those of a real study:
change demo/cohort/study.toml and run it again with radgen run."""
}


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the cohort and the results.")] = Path(
        "radgen-demo"
    ),
    samples: Annotated[int, typer.Option(min=20, help="Number of people.")] = 120,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulation.")] = 1,
    jobs: Annotated[int, typer.Option(min=0, help="Processes; 0 = one a processor.")] = 0,
) -> None:
    """Simulate a cohort with a known truth, study it, show planted effects and findings."""
    from radgen.cli._output import show_demo
    from radgen.study import run_demo

    show_demo(run_demo(out, samples=samples, seed=seed, jobs=jobs))
