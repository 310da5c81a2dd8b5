"""``radgen init``: write a study file by looking at a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["OPTIONS", "init"]

OPTIONS = {
    "epilog": """Examples:

  radgen init .                 looks at this folder

  radgen init my-study --force  writes over a study.toml that is there

It looks for BIDS folders, a folder a patient, pairs of images and masks, tables, MAF and
genotype files, and writes what it found with a comment on every key."""
}


def init(
    folder: Annotated[Path, typer.Argument(help="Folder with the data.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Write over a study.toml.")] = False,
) -> None:
    """Look at a folder and write a commented study.toml into it."""
    from radgen.study import scaffold

    found = scaffold(folder, force=force)
    for line in (*found.notes, f"Written: {found.path}", f"Next: radgen check {found.path}"):
        typer.echo(line)
