"""What the commands over many traits share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from radgen.io.sample_table import read_sample_table

if TYPE_CHECKING:
    import polars as pl

    from radgen.associate import Bundle
    from radgen.types import ImageStack, Result

__all__ = [
    "draw",
    "joint_test",
    "pool",
    "read_images",
    "run_lesions",
    "run_voxelwise",
    "tables_of",
    "tell_bundle",
]


def joint_test(
    genotypes: Path,
    phenotypes: Path,
    covariates: pl.DataFrame | None,
    *,
    test: str,
    traits: list[str] | None,
    permutations: int,
    seed: int,
) -> Result:
    """Return the test of each variant with all traits that ``radgen omnibus`` asks for."""
    from radgen._core.naming import require_choice
    from radgen.associate import aspu, max_t_scan, mostest, omnibus
    from radgen.io import open_genotypes

    require_choice(test, ("manova", "mostest", "aspu", "max-t"), what="test")
    tables: tuple[Any, ...] = (
        open_genotypes(genotypes), read_sample_table(phenotypes), covariates
    )  # fmt: skip
    if test == "manova":
        return omnibus(*tables, traits=traits)
    if test == "mostest":
        return mostest(*tables, traits=traits, seed=seed)
    if test == "max-t":
        return max_t_scan(*tables, traits=traits, seed=seed, n_permutations=permutations)
    return aspu(
        *tables,
        traits=traits,
        seed=seed,
        n_permutations=permutations,
        max_permutations=100 * permutations,
    )


def read_images(
    images: Path, *, samples: Path | None, store: Path | None, **options: Any
) -> ImageStack:
    """Return the images of a folder, a table or one file; ids of one file stand line by line."""
    from radgen.io import read_stack

    if store is not None:
        store.parent.mkdir(parents=True, exist_ok=True)
    names = None if samples is None else samples.read_text("utf-8").split()
    return read_stack(images, samples=names, store=store, **options)


def run_voxelwise(
    stack: ImageStack,
    out: Path,
    *,
    genotypes: Path | None,
    predictors: Path | None,
    covariates: Path | None,
    threshold: float,
    maps: str,
    permutations: int,
    seed: int,
    jobs: int | None,
) -> None:
    """Write the tables of a voxel-wise scan, and the maps that are asked for.

    Raises
    ------
    InputError
        If not exactly one of genotypes and predictors is given.
    """
    from radgen.associate import voxel_test, voxelwise
    from radgen.cli._genetics import optional_table, parted, write_table
    from radgen.errors import InputError
    from radgen.io import open_genotypes

    if (genotypes is None) == (predictors is None):
        raise InputError("Give --genotypes, or --predictors (a table), and not both.")
    tested: Any = open_genotypes(genotypes) if genotypes else optional_table(predictors)
    beside = optional_table(covariates)
    found = voxelwise(stack, tested, beside, threshold=threshold, jobs=jobs)
    out.mkdir(parents=True, exist_ok=True)
    for name in ("hits", "predictors", "peaks", "points", "qq"):
        write_table(
            found.frame if name == "hits" else getattr(found, name), out / f"{name}.parquet"
        )
    for line in (*found.warnings, *found.findings()):
        typer.echo(line)
    wanted = parted(maps)
    if wanted == ["top"]:
        wanted = found.predictors.drop_nulls("log10p").sort("log10p")["id"].head(1).to_list()
    if wanted:
        options: dict[str, Any] = {"seed": seed, "n_permutations": permutations, "jobs": jobs}
        if getattr(stack.space, "faces", True) is None:
            options |= {"tfce": False, "cluster_p": None}
        mapped = voxel_test(stack, tested, beside, names=wanted, **options)
        mapped.write_maps(out / "maps")
        write_table(mapped.clusters, out / "clusters.tsv")
        for line in mapped.findings():
            typer.echo(line)
    typer.echo(f"Results: {out}")


def run_lesions(
    stack: ImageStack,
    outcome: Path,
    out: Path,
    *,
    covariates: Path | None,
    fold: bool,
    trait: str,
    **options: Any,
) -> None:
    """Write the map of lesions with an outcome, and the atlas of both groups."""
    from radgen.associate import fold_hemispheres, lesion_atlas, map_lesions
    from radgen.associate.genomewide._input import id_column
    from radgen.cli._genetics import optional_table, write_table

    stack = fold_hemispheres(stack) if fold else stack
    table = read_sample_table(outcome)
    found = map_lesions(stack, table, optional_table(covariates), trait=trait, **options)
    out.mkdir(parents=True, exist_ok=True)
    groups = None
    if options["test"] != "brunner_munzel":
        key = id_column(table, what="outcome table")
        label = [
            f"{trait}_{value:g}" if isinstance(value, int | float) else f"{trait}_{value}"
            for value in table[trait]
        ]
        groups = dict(zip(map(str, table[key]), label, strict=True))
    atlas = lesion_atlas(stack, groups)
    atlas.write_maps(out / "atlas")
    found.write_maps(out / "maps")
    write_table(found.table, out / "points.parquet")
    if found.clusters.height:
        write_table(found.clusters, out / "clusters.tsv")
    for line in (*found.warnings, *atlas.findings(), *found.findings(), f"Results: {out}"):
        typer.echo(line)


def tables_of(genotypes: Path, phenotypes: Path, covariates: Path | None) -> tuple[Any, ...]:
    """Return genotypes, phenotypes and covariates of their files."""
    from radgen.cli._genetics import optional_table
    from radgen.io import open_genotypes

    return open_genotypes(genotypes), read_sample_table(phenotypes), optional_table(covariates)


def tell_bundle(bundle: Bundle, out: Path) -> None:
    """Print what a bundle holds."""
    n_traits = sum(len(item.traits) for item in bundle.patterns)
    withheld = bundle.variants["withheld"].str.len_chars().gt(0).sum()
    typer.echo(
        f"{bundle.site}: {bundle.facts['n_people']:,} people, {n_traits} traits in "
        f"{len(bundle.patterns)} sets of people, {len(bundle.covariates)} covariates, "
        f"{bundle.variants.height:,} variants of which {withheld:,} are withheld."
    )
    typer.echo(f"Bundle: {out}")


def pool(bundles: list[Path], *, test: str, threshold: float | None, **options: Any) -> Result:
    """Return the joint analysis of bundles that ``radgen bundle pool`` asks for."""
    from radgen._core.naming import require_choice
    from radgen.associate import omnibus_bundles, pool_bundles

    require_choice(test, ("single", "manova"), what="test")
    if test == "manova":
        return omnibus_bundles(bundles, **options)
    return pool_bundles(bundles, threshold=threshold, **options)


def draw(kind: str, results: Path, out: Path, *, dpi: int, **given: Any) -> None:
    """Draw the plot of a table of results into a file.

    Raises
    ------
    InputError
        If the table is no scan.
    """
    import polars as pl

    from radgen._core.files import atomic_path
    from radgen.associate.genomewide.plot import draw as picture
    from radgen.errors import InputError
    from radgen.io import open_genotypes
    from radgen.io.scan_tables import read_scan

    if results.is_dir():
        from radgen.associate import read_compact

        frame = read_compact(results, given.get("traits"))
    else:
        frame = read_scan(results)
    missing = [name for name in ("chrom", "pos", "id", "log10p") if name not in frame.columns]
    if missing:
        raise InputError(
            f"{results} is no table of a scan: it lacks {', '.join(missing)}. Needed is what gwas, "
            "omnibus, meta or bundle pool wrote."
        )
    frame = frame.with_columns(pl.col("chrom", "id").cast(pl.String))
    if "t" not in frame.columns and "z" in frame.columns:
        frame = frame.with_columns(pl.col("z").alias("t"))
    options = {name: value for name, value in given.items() if value is not None}
    if "genotypes" in options:
        options["genotypes"] = open_genotypes(options["genotypes"])
    if kind == "regional" and "traits" in options:
        options["trait"] = options.pop("traits")[0]
    axes = picture(kind, frame, options=options)
    figure = axes.figure
    figure.patch.set_alpha(1.0)
    figure.patch.set_facecolor("white")
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(out) as path:
        figure.savefig(path, dpi=dpi, format=out.suffix.lstrip(".") or "png")
    typer.echo(f"Picture: {out}")
