"""The command ``radgen plot``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["plot"]

_KIND = (
    "manhattan (traits over each other), stacked (a track a trait), miami (two traits), qq, "
    "regional (around a lead), forest, heatmap (traits by loci), phewas (a variant, all traits)."
)


def plot(
    kind: Annotated[str, typer.Argument(help=_KIND)],
    results: Annotated[Path, typer.Argument(help="Table (or compact folder) of a scan.")],
    *,
    out: Annotated[Path, typer.Option(help="Picture: .png, .svg or .pdf.")],
    traits: Annotated[str, typer.Option(help="Which traits, parted by commas.")] = "",
    lead: Annotated[str, typer.Option(help="Variant of regional, forest and phewas.")] = "",
    threshold: Annotated[float | None, typer.Option(help="p of the drawn line.")] = None,
    genotypes: Annotated[Path | None, typer.Option(help="For LD colours of regional.")] = None,
    genes: Annotated[Path | None, typer.Option(help="GTF, GFF3 or BED: names of loci.")] = None,
    dpi: Annotated[int, typer.Option(help="Dots an inch of .png.")] = 200,
) -> None:
    """Draw a scan: one command from the table of results to the picture."""
    from radgen.cli import _genetics, _many

    given = {"traits": _genetics.parted(traits), "lead": lead or None, "threshold": threshold}
    given |= {"genotypes": genotypes, "genes": genes}
    _many.draw(kind, results, out, dpi=dpi, **given)
