"""``radgen audit``: prove that no model saw what it was tested on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["OPTIONS", "audit"]

OPTIONS = {
    "epilog": """Examples:

  radgen audit results/            every prediction of a study or an evaluation

  radgen audit idh-model.json      a frozen model

  radgen audit idh-model.json --test clinical-b.csv     did any of these train it?

Every fit writes down the rows it saw; the audit compares them with the rows and patients that
were tested. Exit codes: 0 clean, 1 a violation was found, 2 nothing could be audited."""
}


def audit(
    path: Annotated[Path, typer.Argument(help="Folder of results, or a bundle (.json).")],
    *,
    test: Annotated[Path | None, typer.Option(help="Table of a test set (with a bundle).")] = None,
    id_: Annotated[str | None, typer.Option("--id", help="Column of its ids.")] = None,
) -> None:
    """Check from the fit log that no fitted object saw a row or patient it was tested on."""
    from radgen.cli import _models
    from radgen.study.models import audit_path

    found = audit_path(path, samples=_models.ids_of(test, id_))
    _models.show_audit(found)
    raise typer.Exit(0 if all(item.passed for item in found) else 1)
