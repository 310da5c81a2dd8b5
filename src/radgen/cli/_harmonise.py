"""What ``radgen harmonise`` does: tables in, functions called, tables out."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import typer

from radgen._core.naming import did_you_mean
from radgen.cli._genetics import parted, write_table
from radgen.errors import InputError, shown
from radgen.io.sample_table import read_sample_table

__all__ = ["apply", "fit", "gauge"]


def fit(
    path: Path,
    places: tuple[Path, Path | None, Path | None],
    columns: Mapping[str, str],
    leave: str,
    options: Mapping[str, Any],
) -> None:
    """Fit a harmoniser to a table, store it, write the harmonised table and a picture."""
    from radgen.phenotype.harmonise_table import fit_table

    model, out, picture = places

    table = read_sample_table(path)
    named = {key: parted(text) or [] for key, text in columns.items()}
    others = [*(parted(leave) or []), *named["keep"], *named["smooth"]]
    if options["subject"] is not None:
        others.append(options["subject"])
    named["features"] = _features(table, named["features"], named["batch"], others)
    fitted = fit_table(table, **named, **options)
    fitted.write(model)
    typer.echo(f"{len(fitted.features)} features of {table.height} scans; model: {model}")
    if fitted.tied:
        typer.echo(
            f"{len(fitted.tied)} features pass unchanged because many of their values are equal: "
            f"{shown(fitted.tied)}."
        )
    if hasattr(fitted.estimator, "order_"):
        batch = fitted.columns.batch
        order = [batch[k] for k in fitted.estimator.order_ if k < len(batch)]
        typer.echo(f"Removed in this order: {', '.join(order)}.")
    flat = fitted.apply(table)
    if out is not None:
        write_table(flat, out)
        typer.echo(f"Harmonised table: {out}")
    if picture is not None:
        _draw(table, flat, fitted, picture)


def _draw(before: pl.DataFrame, after: pl.DataFrame, fitted: Any, out: Path) -> None:
    from radgen import plot
    from radgen.cli._output import write_picture
    from radgen.phenotype import batch_components
    from radgen.types import PhenotypeTable

    ids = [str(k) for k in range(before.height)]
    labels = fitted.columns.batches(before)
    texts = [str(b) if labels.ndim == 1 else ", ".join(map(str, b)) for b in labels]
    tables = [
        PhenotypeTable.from_frame(t.select(fitted.features).with_columns(pl.Series("sample", ids)))
        for t in (before, after)
    ]
    points = batch_components(*tables, dict(zip(ids, texts, strict=True)))
    write_picture(plot.components(points), out)


def apply(model: Path, path: Path, out: Path) -> None:
    """Harmonise a table by a stored harmoniser."""
    from radgen.phenotype.harmonise_table import read_harmoniser

    table = read_sample_table(path)
    write_table(read_harmoniser(model).apply(table), out)
    typer.echo(f"{table.height} scans harmonised: {out}")


def gauge(
    path: Path,
    columns: Mapping[str, str],
    leave: str,
    method: str,
    out: Path | None,
    **options: Any,
) -> None:
    """Print how well the batch can be read, and write the table."""
    from radgen.phenotype import batch_gauge
    from radgen.phenotype.harmonise_table import make_harmoniser
    from radgen.types import PhenotypeTable

    table = read_sample_table(path)
    batch = parted(columns["batch"]) or []
    wanted = _features(table, parted(columns["features"]) or [], batch, parted(leave) or [])
    if len(batch) != 1:
        raise InputError("Gauge one batch column at a time.")
    ids = [str(k) for k in range(table.height)]
    known = table[batch[0]].cast(pl.String).to_list()
    phenotypes = PhenotypeTable.from_frame(
        table.select(wanted).with_columns(pl.Series("sample", ids))
    )
    labels = {i: name for i, name in zip(ids, known, strict=True) if name is not None}
    result = batch_gauge(phenotypes, labels, harmoniser=make_harmoniser(method), **options)
    for line in (*result.warnings, *result.findings()):
        typer.echo(line)
    if out is not None:
        write_table(result.table, out)
        typer.echo(f"Table: {out}")


def _features(
    table: pl.DataFrame, patterns: list[str], batch: list[str], others: list[str]
) -> list[str]:
    for name in (*batch, *others):
        if name not in table.columns:
            raise InputError(
                f"The table has no column {name!r}. {did_you_mean(name, table.columns)}"
            )
    taken = {*batch, *others}
    if not patterns:
        return [n for n in table.columns if n not in taken and table[n].dtype.is_numeric()]
    found: list[str] = []
    for pattern in patterns:
        hits = [n for n in table.columns if fnmatch.fnmatchcase(n, pattern) and n not in taken]
        if not hits:
            raise InputError(f"No column fits {pattern!r}. {did_you_mean(pattern, table.columns)}")
        found += [n for n in hits if n not in found and table[n].dtype.is_numeric()]
    return found
