"""What ``radgen groups`` does: tables in, functions called, tables out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from radgen.cli._genetics import parted, report, write_table
from radgen.errors import InputError

if TYPE_CHECKING:
    from radgen.types import PhenotypeTable

__all__ = ["assign", "find", "fuse", "network", "read_phenotypes"]

Columns = tuple[str | None, str]


def read_phenotypes(path: Path, columns: Columns) -> PhenotypeTable:
    """Return the numeric columns of a table, the id column (default: the first) as samples.

    Raises
    ------
    InputError
        If there is no numeric column.
    """
    from radgen.io.sample_table import read_sample_table
    from radgen.types import PhenotypeTable

    table = read_sample_table(path)
    id_, leave = columns[0] or table.columns[0], set(parted(columns[1]) or [])
    if id_ not in table.columns:
        raise InputError(f"{path}: no column {id_!r}.")
    names = [
        n for n in table.columns if n != id_ and n not in leave and table[n].dtype.is_numeric()
    ]
    if not names:
        raise InputError(f"{path}: no numeric column.")
    chosen = table.select(pl.col(id_).cast(pl.String).alias("sample"), *names)
    return PhenotypeTable.from_frame(chosen)


def find(
    path: Path,
    columns: Columns,
    out: Path,
    model: Path | None,
    seed: int,
    options: Mapping[str, Any],
) -> None:
    """Print and write groups; store what assigns new samples."""
    from radgen.phenotype import find_intrinsic
    from radgen.phenotype.portable import write_transformer

    fitted, result = find_intrinsic(read_phenotypes(path, columns), seed=seed, **options)
    write_table(result.table, out)
    if model is not None:
        write_transformer(fitted, model, about={"samples": result.n_used})
    report(result, out)


def assign(model: Path, path: Path, columns: Columns, out: Path, seed: int) -> None:
    """Print and write the groups of other samples."""
    from radgen.phenotype import assign_intrinsic
    from radgen.phenotype.portable import read_transformer

    fitted = read_transformer(model)[0]
    result = assign_intrinsic(fitted, read_phenotypes(path, columns), seed=seed)
    write_table(result.table, out)
    report(result, out)


def network(
    paths: tuple[Path, Path],
    columns: Columns,
    out: Path,
    groups: int,
    permutations: int,
    seed: int,
) -> None:
    """Print and write the network that two acquisitions have in common."""
    from radgen.phenotype import network_groups, reproducible_network

    first, second = (read_phenotypes(path, columns) for path in paths)
    result = reproducible_network(first, second, seed=seed, permutations=permutations)
    write_table(result.table, out / "phenotypes.csv")
    write_table(result.edges, out / "edges.csv")
    report(result, out)
    if groups:
        found = network_groups(first, result, groups=groups, seed=seed)
        write_table(found.table, out / "groups.csv")
        report(found, out)


def fuse(given: Mapping[str, Any]) -> None:
    """Print and write the groups that several tables have in common."""
    from radgen.multivariate import fuse_groups

    paths = given["tables"]
    names = [path.name.split(".")[0] for path in paths]
    if len(set(names)) < len(names):
        raise InputError(f"Two tables are named alike: {', '.join(names)}. Rename a file.")
    tables = {
        name: read_phenotypes(path, (given["id_"], given["leave"]))
        for name, path in zip(names, paths, strict=True)
    }
    result = fuse_groups(
        tables, seed=given["seed"], permutations=given["permutations"], missing=given["missing"],
        n_clusters=given["groups"] or "gap", max_clusters=given["most"],
        n_neighbours=given["neighbours"],
    )[1]  # fmt: skip
    write_table(result.table, given["out"])
    report(result, given["out"])
