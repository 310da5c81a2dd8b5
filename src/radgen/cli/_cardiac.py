"""What ``radgen cardiac`` does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from radgen.errors import InputError, RadgenError

if TYPE_CHECKING:
    import polars as pl

    from radgen.phenotype import CardiacTraits

__all__ = ["measure"]


def measure(given: Mapping[str, Any]) -> None:
    """Write the traits, say where they came from and what is missing."""
    from radgen.cli._genetics import parted, write_table
    from radgen.io.sample_table import read_sample_table
    from radgen.phenotype import cardiac_traits

    table, failed = read_sample_table(given["table"]), list[str]()
    if given["masks"]:
        table, failed = _measured(table, given)
    found = cardiac_traits(
        table, index=parted(given["index"]) or (), formula=given["formula"],
        instance=given["instance"],
    )  # fmt: skip
    frame = found.traits.to_frame()
    for name in parted(given["scale_by"]) or ():
        frame = _scaled(frame, found, name)
    write_table(frame, given["out"])
    if given["body"] is not None:
        write_table(found.body.to_frame(), given["body"])
    for line in (*found.notes, *failed):
        typer.echo(line)
    for name, column in found.sources.items():
        if name != column:
            typer.echo(f"{name}: column {column!r}")
    if found.traits.status.height:
        rows = found.traits.status.head(5).iter_rows(named=True)
        some = "; ".join(f"{row['sample']}: {row['reason']}" for row in rows)
        typer.echo(f"{found.traits.status.height} values taken as missing, such as {some}")
    typer.echo(f"{frame.height} samples, {frame.width - 1} traits: {given['out']}")
    if failed:
        raise typer.Exit(3)


def _measured(table: pl.DataFrame, given: Mapping[str, Any]) -> tuple[pl.DataFrame, list[str]]:
    """Return the table with what its masks measure, and a line for each that cannot be measured."""
    import polars as pl

    from radgen._core.id_names import first_id_name
    from radgen._core.progress import progress
    from radgen.image import heart_measures
    from radgen.io import read_labelled_masks

    lost = {"ed", "es"} - set(table.columns)
    if lost:
        raise InputError(
            f"{given['table']} has no column {sorted(lost)[0]!r}: --masks needs ed and es, the "
            "label maps of the end-diastolic and the end-systolic frame."
        )
    labels = _labels(given["labels"])
    key = first_id_name(table.columns) or table.columns[0]
    rows: list[dict[str, float]] = []
    failed: list[str] = []
    with progress("Measuring hearts", table.height) as tick:
        for row in table.iter_rows(named=True):
            try:
                found = [
                    read_labelled_masks(Path(given["table"]).parent / str(row[name]))
                    for name in ("ed", "es")
                ]
                # Label maps need not hold all regions: many have no atria.
                frames = [
                    {name: one[label] for name, label in labels.items() if label in one}
                    for one in found
                ]
                rows.append(heart_measures(*frames, density_g_ml=given["density"]))
            except RadgenError as error:
                failed.append(f"{row[key]}: {error}")
                rows.append({})
            tick(1)
    if not any(rows):
        raise InputError(f"No row of {given['table']} could be measured. {failed[0]}")
    names = dict.fromkeys(name for row in rows for name in row)
    columns = [pl.Series(n, [row.get(n) for row in rows], dtype=pl.Float64) for n in names]
    return table.drop("ed", "es").with_columns(columns), failed


def _labels(text: str) -> dict[str, str]:
    """Return the label, or the segment, of each region of "lv=1,myocardium=2".

    Raises
    ------
    InputError
        If the text is not written so.
    """
    found: dict[str, str] = {}
    for part in text.split(","):
        name, _, label = (word.strip() for word in part.partition("="))
        if not name or not label:
            raise InputError(
                f"--labels has {part!r}; needed are regions with their labels, such as "
                "lv=1,myocardium=2,rv=3."
            )
        found[name] = label
    return found


def _scaled(frame: pl.DataFrame, found: CardiacTraits, size: str) -> pl.DataFrame:
    """Return the table with traits freed of a body size, and say which powers were fitted."""
    import numpy as np
    import polars as pl

    from radgen.phenotype import AllometricScaler
    from radgen.phenotype._heart_names import SIZES

    if size not in found.body.names:
        raise InputError(
            f"--scale-by {size!r} needs that column; body sizes here: "
            f"{', '.join(found.body.names) or 'none'}."
        )
    names = [name for name in SIZES if name in frame.columns]
    body = found.body.values[:, found.body.names.index(size)]
    scaler = AllometricScaler()
    values = scaler.fit_transform(np.column_stack([frame.select(names).to_numpy(), body]))
    powers = ", ".join(f"{n} {b:.2f}" for n, b in zip(names, scaler.exponents_[0], strict=True))
    typer.echo(f"Powers of {size}, fitted on all rows: {powers}")
    return frame.with_columns(
        pl.Series(f"{name}_free_of_{size}", values[:, at]) for at, name in enumerate(names)
    )
