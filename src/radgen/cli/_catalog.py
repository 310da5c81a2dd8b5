"""What ``radgen catalog`` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from radgen._core.naming import require_choice
from radgen.catalog import DataSet, Paper, checklist, checklist_names, data_sets, papers

__all__ = ["show"]


def show(what: str, *, find: str, out: Path | None) -> None:
    """Print entries of the catalogue, or write them as a table."""
    require_choice(what, ("datasets", "papers", "checklists"), what="part of the catalogue")
    if what == "checklists":
        _checklists(find)
        return
    entries: Sequence[DataSet | Paper] = data_sets(find) if what == "datasets" else papers(find)
    if not entries:
        typer.echo(f"Nothing in {what} holds all words of {find!r}.")
        return
    if out is not None:
        _write(entries, out)
        return
    for entry in entries:
        lines = _data_set(entry) if isinstance(entry, DataSet) else _paper(entry)
        for line in lines:
            typer.echo(line)
        typer.echo("")
    typer.echo(f"{len(entries)} {what}.")


def _data_set(item: DataSet) -> Iterator[str]:
    size = f", {item.patients} patients" if item.patients else ""
    yield f"{item.name} ({item.place}): {item.disease}, {', '.join(item.modalities)}{size}"
    yield f"  known too: {', '.join(item.layers)}"
    yield f"  licence: {item.licence}; {item.url}"
    if item.access:
        yield f"  fetch: {item.access}"
    if item.note:
        yield f"  {item.note}"


def _paper(item: Paper) -> Iterator[str]:
    year = f" {item.year}" if item.year else ""
    doi = f" doi:{item.doi}" if item.doi else ""
    yield f"{item.authors}{year}: {item.topic}{doi}"
    does = ", ".join(f"radgen {name}" for name in item.commands) or "radgen does not do this"
    yield f"  {item.method}: {does}"
    if item.note:
        yield f"  {item.note}"


def _checklists(find: str) -> None:
    for name in checklist_names():
        found = checklist(name)
        doi = f" doi:{found.doi}" if found.doi else ""
        text = f"{found.short}: {found.title} ({len(found.items)} items){doi}"
        if all(word in text.casefold() for word in find.casefold().split()):
            typer.echo(text)


def _write(entries: Sequence[DataSet | Paper], out: Path) -> None:
    import polars as pl

    from radgen.cli import _genetics

    rows: list[dict[str, Any]] = [
        {k: "; ".join(v) if isinstance(v, tuple) else v for k, v in asdict(entry).items()}
        for entry in entries
    ]
    _genetics.write_table(pl.DataFrame(rows), out)
    typer.echo(f"{len(rows)} entries: {out}")
