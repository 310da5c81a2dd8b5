"""The commands ``radgen bundle make`` and ``radgen bundle pool``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radgen.cli._ids import GENOTYPES

__all__ = ["app"]

app = typer.Typer(
    add_completion=False,
    help="Joint analyses of several sites without sharing people's data.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def make(
    *,
    genotypes: Annotated[Path, typer.Option(help=GENOTYPES)],
    phenotypes: Annotated[Path, typer.Option(help="Table with an id column and the traits.")],
    site: Annotated[str, typer.Option(help="Name of this site.")],
    out: Annotated[Path, typer.Option(help="Folder to make: the bundle, to be sent.")],
    covariates: Annotated[Path | None, typer.Option(help="All that may be wanted later.")] = None,
    traits: Annotated[str, typer.Option(help="Names of traits, parted by commas.")] = "",
    complete_only: Annotated[bool, typer.Option(help="People with every trait only.")] = False,
    min_people: Annotated[int, typer.Option(help="Fewest people with the same traits.")] = 50,
    min_carriers: Annotated[int, typer.Option(help="Withhold variants with fewer.")] = 5,
) -> None:
    """Write the sums of products of a site: no line of them belongs to a person."""
    from radgen.associate import make_bundle
    from radgen.cli import _genetics, _many

    tables = _many.tables_of(genotypes, phenotypes, covariates)
    found = make_bundle(
        *tables, out, site=site, traits=_genetics.parted(traits), complete_only=complete_only,
        min_people=min_people, min_carriers=min_carriers,
    )  # fmt: skip
    _many.tell_bundle(found, out)


@app.command()
def pool(
    bundles: Annotated[list[Path], typer.Argument(help="Folders of `radgen bundle make`.")],
    *,
    out: Annotated[Path, typer.Option(help="Results: .parquet, .tsv or .csv.")],
    traits: Annotated[str, typer.Option(help="A subset, parted by commas.")] = "",
    covariates: Annotated[str, typer.Option(help="A subset; 'none' = no covariate.")] = "",
    adjust: Annotated[str, typer.Option(help="site, none, or own (slopes in each site).")] = "site",
    test: Annotated[str, typer.Option(help="single (each trait) or manova (all).")] = "single",
    threshold: Annotated[float | None, typer.Option(help="Keep tests with p at most this.")] = None,
) -> None:
    """Scan the people of all sites together, as if they were in one table."""
    from radgen.cli import _genetics, _many

    names = [] if covariates == "none" else _genetics.parted(covariates)
    result = _many.pool(
        bundles, test=test, traits=_genetics.parted(traits), covariates=names, adjust=adjust,
        threshold=threshold,
    )  # fmt: skip
    _genetics.write_table(result.table, out)
    _genetics.report(result, out)
