"""What ``radgen reliability`` does: tables and scans in, functions called, tables out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import typer

from radgen.cli._genetics import parted, report, write_table
from radgen.errors import InputError

if TYPE_CHECKING:
    from radgen.types import PhenotypeTable

__all__ = ["effects", "masks", "measure", "perturb", "repeats"]


def repeats(
    paths: Sequence[Path], repeat: str | None, id_: str | None, leave: str
) -> dict[str, PhenotypeTable]:
    """Return a table of each repeat, from one table with a column for it or from one table each.

    Raises
    ------
    InputError
        If there is one table and no column of the repeat, or the reverse.
    """
    from radgen.io.sample_table import read_sample_table
    from radgen.phenotype.repeatability import split_repeats

    if (len(paths) == 1) == (repeat is None):
        raise InputError(
            "Give one table and --repeat, the column that tells its repeats apart, or two or more "
            "tables without it."
        )
    others = parted(leave) or []
    tables = [read_sample_table(path) for path in paths]
    if repeat is not None:
        return split_repeats(
            tables[0], sample=id_ or tables[0].columns[0], repeat=repeat, leave=others
        )
    parts = [
        table.rename({(id_ or table.columns[0]): "sample"}).with_columns(repeat=pl.lit(str(k)))
        for k, table in enumerate(tables)
    ]
    merged = pl.concat(parts, how="diagonal_relaxed")
    found = split_repeats(merged, sample="sample", repeat="repeat", leave=others)
    return {path.name: table for path, table in zip(paths, found.values(), strict=True)}


def measure(
    tables: Mapping[str, PhenotypeTable],
    out: Path,
    how: tuple[str, str],
    threshold: float,
    *,
    picture: Path | None = None,
    feature: str | None = None,
) -> None:
    """Print and write the agreement of repeats; draw all coefficients, or one feature.

    `how` is the ICC's form and the kind of its interval.

    Raises
    ------
    InputError
        If a feature is named without a picture, or no table has it.
    """
    from radgen.cli._output import write_picture
    from radgen.phenotype import measure_repeatability

    if feature is not None and picture is None:
        raise InputError("--feature is for a picture: name it with --picture.")
    drawn = None if feature is None else _bland_altman(tables, feature)

    form, interval = how
    result = measure_repeatability(
        tables,
        form=form,
        threshold=threshold,
        interval=interval,  # type: ignore[arg-type]
    )
    write_table(result.table, out)
    if result.dropped.height:
        typer.echo(f"{result.dropped.height} subjects are not in every repeat.")
    report(result, out)
    if picture is not None:
        write_picture(result.plot("icc") if drawn is None else drawn, picture)


def _bland_altman(tables: Mapping[str, PhenotypeTable], feature: str) -> Any:
    """Draw the second repeat minus the first, as the table's bias has it."""
    from radgen import plot
    from radgen._core.naming import did_you_mean
    from radgen.phenotype import repeats_of

    names = next(iter(tables.values())).names
    if feature not in names:
        raise InputError(f"No feature is named {feature!r}. {did_you_mean(feature, names)}")
    values, _ = repeats_of(tables, [feature])
    plain = [name.removesuffix(".0") for name in list(tables)[:2]]
    first, second = (f"repeat {name}" if name.isdigit() else name for name in plain)
    drawn = plot.bland_altman(values[:, 1, 0], values[:, 0, 0], names=(second, first))
    drawn.set_title(plot.short_names([feature])[0], loc="left", fontsize=10)
    return drawn


def perturb(
    source: tuple[Path | None, Path | None, Path | None],
    settings: tuple[str | None, Path | None],
    out: Path,
    how: Mapping[str, Any],
    options: Mapping[str, Any],
) -> None:
    """Print and write how features of scans bear perturbations."""
    from radgen._core.executors import executor
    from radgen.features.files import chosen_settings, require_request
    from radgen.image.perturb import PerturbationSettings
    from radgen.io.sample_table import read_sample_table
    from radgen.phenotype.perturbed import measure_perturbed

    image, mask, cohort = source
    require_request(image, mask, cohort, out=out, layout="long")
    folder: str | Path = "."
    rows: Any = [{"sample": "scan", "image": str(image), "mask": str(mask)}]
    if cohort is not None:
        rows, folder = read_sample_table(cohort), cohort.parent
    with executor(options["jobs"]) as pool:
        result = measure_perturbed(
            rows, settings=chosen_settings(*settings), perturbation=PerturbationSettings(**how),
            copies=options["copies"], threshold=options["threshold"], seed=options["seed"],
            executor=pool, folder=folder,
        )  # fmt: skip
    write_table(result.table, out)
    report(result, out)


def masks(
    first: Path, second: Path, image: Path | None, tolerance: float, out: Path | None
) -> None:
    """Print and write how two readers' contours agree.

    Raises
    ------
    InputError
        If the two files name no region in common.
    """
    from radgen.image.agreement import contour_agreement
    from radgen.io import read_image, read_masks

    scan = None if image is None else read_image(image)
    one, two = (read_masks(path, reference=scan) for path in (first, second))
    pairs = [(name, one[name], two[name]) for name in one if name in two]
    if len(one) == len(two) == 1:
        pairs = [(next(iter(one)), next(iter(one.values())), next(iter(two.values())))]
    if not pairs:
        raise InputError(
            f"The masks name no region in common: {', '.join(one)} and {', '.join(two)}."
        )
    rows = []
    for name, a, b in pairs:
        found = asdict(contour_agreement(a, b, tolerance_mm=tolerance))
        rows.append({"region": name, **found})
        typer.echo(
            f"{name}: Dice {found['dice']:.3f}, surface Dice {found['surface_dice']:.3f} at "
            f"{tolerance:g} mm, Hausdorff 95 % {found['hausdorff_95_mm']:.2f} mm, mean distance "
            f"{found['mean_distance_mm']:.2f} mm, volume {found['volume_difference']:+.1%}."
        )
    if out is not None:
        write_table(pl.DataFrame(rows), out)
        typer.echo(f"Table: {out}")


def effects(
    tables: Mapping[str, PhenotypeTable],
    path: Path,
    outcome: Mapping[str, Any],
    names: tuple[str, str],
    out: Path,
    options: Mapping[str, Any],
) -> None:
    """Print and write effects corrected for the readers' error."""
    from radgen.associate import reader_effects
    from radgen.predict.inputs import read_inputs

    adjust, features = (parted(text) or [] for text in names)
    target = outcome["target"]
    more = {key: outcome[key] for key in ("positive", "event", "id_name")}
    inputs = read_inputs(path, target, clinical=adjust, predictors=False, **more)
    covariates = _covariates(inputs.blocks["clinical"]) if adjust else None
    result = reader_effects(tables, inputs.outcome, covariates, phenotypes=features, **options)
    write_table(result.table, out)
    report(result, out)


def _covariates(frame: pl.DataFrame) -> Any:
    from radgen.predict.design import read_blocks
    from radgen.types import Covariates

    table = read_blocks({"clinical": frame}, None)["clinical"]
    return Covariates(table.samples, table.columns, table.values)
