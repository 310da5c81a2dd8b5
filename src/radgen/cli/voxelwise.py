"""The command ``radgen voxelwise``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["voxelwise"]

_IMAGES = (
    "A folder of images named by id, a table with the columns sample and path, or one 4D NIfTI, "
    "GIFTI or MGH file (then --samples). All on one grid or surface."
)


def voxelwise(
    *,
    images: Annotated[Path, typer.Option(help=_IMAGES)],
    out: Annotated[Path, typer.Option(help="Folder for tables and maps; made where missing.")],
    genotypes: Annotated[Path | None, typer.Option(help=".bed, .pgen, .vcf.gz, .bgen …")] = None,
    predictors: Annotated[Path | None, typer.Option(help="Or a table, a column each.")] = None,
    covariates: Annotated[Path | None, typer.Option(help="Table of covariates.")] = None,
    mask: Annotated[Path | None, typer.Option(help="Image that is not 0 where to test.")] = None,
    surface: Annotated[Path | None, typer.Option(help="Mesh of surface data.")] = None,
    samples: Annotated[Path | None, typer.Option(help="Ids of the images of one file.")] = None,
    coverage: Annotated[float, typer.Option(help="Least share of people with a value.")] = 1.0,
    threshold: Annotated[float, typer.Option(help="Keep tests with p at most this.")] = 1e-5,
    maps: Annotated[str, typer.Option(help="Predictors to map, by commas; 'top' = the best.")] = "",
    permutations: Annotated[int, typer.Option(help="Of the maps; 0 = none.")] = 1_000,
    seed: Annotated[int, typer.Option(help="Of the permutations.")] = 1,
    on_disk: Annotated[bool, typer.Option(help="Leave the images on disk, not in memory.")] = False,
    jobs: Annotated[int | None, typer.Option(help="Threads; default: all processors.")] = None,
) -> None:
    """Test every variant, or column of a table, against every voxel or vertex of images."""
    from radgen.cli import _many

    tables = {"genotypes": genotypes, "predictors": predictors, "covariates": covariates}
    stack = _many.read_images(
        images, mask=mask, surface=surface, samples=samples, coverage=coverage,
        store=out / "images.f32" if on_disk else None,
    )  # fmt: skip
    _many.run_voxelwise(
        stack, out, **tables, threshold=threshold, maps=maps, permutations=permutations, seed=seed,
        jobs=jobs,
    )  # fmt: skip
