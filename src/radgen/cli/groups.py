"""The commands ``radgen groups find | assign | network | fuse``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Find groups of patients by their image features, without any outcome.",
    epilog="""Examples:

  radgen groups find features.csv --out groups.csv --model groups.json

  radgen groups assign groups.json other-hospital.csv --out assigned.csv

  radgen groups network test.csv retest.csv --out network

  radgen groups fuse radiomics.csv expression.csv methylation.csv --out fused.csv

The number of groups is chosen against data without any (gap statistic) and can be one. Relate
groups to genes or survival with `radgen associate` or a study, as any other column.""",
)

_Table = Annotated[Path, typer.Argument(help="Image features, a row a sample, ids first.")]
_Id = Annotated[str | None, typer.Option("--id", help="Column of sample ids; default: first.")]
_Leave = Annotated[str, typer.Option(help="Numeric columns that are no features.")]
_Out = Annotated[Path, typer.Option(help="Table to write: .csv, .tsv or .parquet.")]
_Seed = Annotated[int, typer.Option(help="Of all draws.")]


@app.command()
def find(
    table: _Table,
    *,
    out: _Out = Path("groups.csv"),
    model: Annotated[Path | None, typer.Option(help="JSON file that assigns new samples.")] = None,
    groups: Annotated[int, typer.Option(min=0, help="Number; 0 = by the gap statistic.")] = 0,
    most: Annotated[int, typer.Option(min=2, help="Most groups that are tried.")] = 6,
    method: Annotated[str, typer.Option(help="kmeans or mixture.")] = "kmeans",
    id_: _Id = None,
    leave: _Leave = "",
    seed: _Seed = 1,
) -> None:
    """Find groups, say how many and how stable they are."""
    from radgen.cli import _groups

    options = {"n_clusters": groups or "gap", "max_clusters": most, "method": method}
    _groups.find(table, (id_, leave), out, model, seed, options)


@app.command()
def assign(
    model: Annotated[Path, typer.Argument(help="JSON file of `radgen groups find`.")],
    table: _Table,
    *,
    out: _Out = Path("assigned.csv"),
    id_: _Id = None,
    leave: _Leave = "",
    seed: _Seed = 1,
) -> None:
    """Assign other samples to the groups, and say whether they are found again."""
    from radgen.cli import _groups

    _groups.assign(model, table, (id_, leave), out, seed)


@app.command()
def network(
    first: Annotated[Path, typer.Argument(help="Features of one acquisition.")],
    second: Annotated[Path, typer.Argument(help="Features of the other, the same samples.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder of the tables.")] = Path("network"),
    groups: Annotated[int, typer.Option(min=0, help="Also group samples on it; 0 = no.")] = 0,
    permutations: Annotated[int, typer.Option(min=0, help="Shuffles of one network.")] = 999,
    id_: _Id = None,
    leave: _Leave = "",
    seed: _Seed = 1,
) -> None:
    """Find the features whose network two acquisitions have in common."""
    from radgen.cli import _groups

    _groups.network((first, second), (id_, leave), out, groups, permutations, seed)


@app.command()
def fuse(
    tables: Annotated[list[Path], typer.Argument(help="Two tables or more, a row a sample.")],
    *,
    out: _Out = Path("fused.csv"),
    groups: Annotated[int, typer.Option(min=0, help="Number; 0 = by eigenvalues.")] = 0,
    most: Annotated[int, typer.Option(min=2, help="Most groups that are tried.")] = 6,
    neighbours: Annotated[int, typer.Option(min=1, help="Of each sample in a network.")] = 20,
    missing: Annotated[
        str, typer.Option(help="Samples without a table: drop, share (kept), refuse.")
    ] = "drop",
    permutations: Annotated[int, typer.Option(min=0, help="Shuffles of samples.")] = 999,
    id_: _Id = None,
    leave: _Leave = "",
    seed: _Seed = 1,
) -> None:
    """Find groups that images and genes have in common (similarity network fusion)."""
    from radgen.cli import _groups

    _groups.fuse(locals())
