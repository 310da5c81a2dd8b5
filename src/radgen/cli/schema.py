"""``radgen schema``: the JSON Schema of study files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["OPTIONS", "schema"]

OPTIONS = {
    "epilog": """Examples:

  radgen schema

  radgen schema --out study.schema.json

Editors complete and check study.toml when its first line is:
#:schema ./study.schema.json"""
}


def schema(
    out: Annotated[Path | None, typer.Option(help="File to write; default: print it.")] = None,
) -> None:
    """Print the JSON Schema of study files: every section and key, explained."""
    from radgen._core.files import write_text
    from radgen.study import json_schema

    text = json.dumps(json_schema(), indent=2)
    typer.echo(text) if out is None else write_text(out, text + "\n")
