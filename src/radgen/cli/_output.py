"""What the commands print: bars, tables, errors without tracebacks."""

from __future__ import annotations

import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from radgen._core.progress import Tick, use_progress
from radgen.errors import RadgenError

__all__ = [
    "bars",
    "explained_errors",
    "plain_warnings",
    "show_demo",
    "show_problems",
    "show_run",
    "write_picture",
]


@contextmanager
def explained_errors() -> Iterator[None]:
    """Print errors as messages: exit code 2 for what a user can mend, 1 for a defect."""
    try:
        yield
    except RadgenError as error:
        _stop(f"Error: {error}", 2)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        _stop(f"Error: {error.strerror or error}{where}", 2)
    except MemoryError:
        _stop("Error: out of memory. Use fewer --jobs, or larger voxels in [preprocess].", 2)
    except Exception as error:  # noqa: BLE001 - the last door: a message instead of a traceback
        _stop(_unexpected(error), 1)


def _stop(text: str, code: int) -> None:
    typer.echo(text, err=True)
    raise SystemExit(code) from None


def _unexpected(error: Exception) -> str:
    with tempfile.NamedTemporaryFile(
        "w", prefix="radgen-error-", suffix=".log", delete=False, encoding="utf-8"
    ) as stream:
        traceback.print_exc(file=stream)
    return (
        "Error: something happened that radgen did not foresee "
        f"({type(error).__name__}: {error}).\n"
        f"This is a defect of radgen. The details are in {stream.name}; please report them "
        "(look through the file first: it may hold names of your files)."
    )


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Print warnings as notes, once each."""
    seen: set[str] = set()

    def show(message: Any, *_args: Any, **_options: Any) -> None:
        text = str(message)
        if text not in seen:
            seen.add(text)
            typer.echo(f"Note: {text}", err=True)

    before = warnings.showwarning
    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before


@contextmanager
def bars() -> Iterator[None]:
    """Draw progress bars with the time left; nothing where the output is no terminal."""
    if not sys.stderr.isatty():
        yield
        return
    with use_progress(_bar):
        yield


@contextmanager
def _bar(what: str, total: int | None) -> Iterator[Tick]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda n: progress.update(task, advance=n)


def show_problems(path: Path, problems: list[Any]) -> None:
    """Print all problems of a study and end with code 2; a good word where there is none."""
    if not problems:
        typer.echo(f"{path}: no problem found. Next: radgen run {path} --out results")
        return
    for problem in problems:
        typer.echo(str(problem), err=True)
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    typer.echo(f"{count}. Mend them, then run: radgen check {path}", err=True)
    raise typer.Exit(2)


def show_run(run: Any) -> None:
    """Print what a run found and where it lies; end with code 3 where something failed."""
    for row in run.flow.iter_rows(named=True):
        lost = f" ({row['dropped']} lost)" if row["dropped"] else ""
        typer.echo(f"{row['step']}: {row['n']}{lost}")
    for item in run.analyses:
        typer.echo(f"\n{item.name}")
        lines = item.result.findings() if item.result is not None else [_failed(item.reason)]
        for line in lines:
            typer.echo(f"  {line}")
    typer.echo(f"\nReport: {run.report}")
    if not run.complete:
        typer.echo(
            f"Finished with failures: {run.n_failed_scans} of {run.n_scans} scans, "
            f"{len(run.failures)} of {len(run.analyses)} analyses. The report gives the reasons.",
            err=True,
        )
        raise typer.Exit(3)


def _failed(reason: str) -> str:
    return f"could not be done: {' '.join(reason.split())}"


def show_demo(demo: Any) -> None:
    """Print what was planted beside what was found, and where everything lies."""
    width = max(len(text) for text in demo.table["planted"].to_list())
    typer.echo(f"{'planted':{width}}     what radgen found")
    for row in demo.table.iter_rows(named=True):
        mark = "ok" if row["agrees"] == "yes" else "--"
        typer.echo(f"{row['planted']:{width}}  {mark} {row['found']}")
    typer.echo(f"\nFiles of the study: {demo.folder}")
    typer.echo(f"Report: {demo.run.report}")
    if not demo.run.complete:
        raise typer.Exit(3)


def write_picture(axes: Any, out: Path, *, dpi: int = 200) -> None:
    """Write the figure of Axes on white paper, in the format that the file's name asks for."""
    from radgen._core.files import atomic_path

    figure = axes.figure
    figure.patch.set_alpha(1.0)
    figure.patch.set_facecolor("white")
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(out) as path:
        figure.savefig(path, dpi=dpi, format=out.suffix.lstrip(".") or "png", bbox_inches="tight")
    typer.echo(f"Picture: {out}")
