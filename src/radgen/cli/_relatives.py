"""What ``radgen heritability`` does: read who is related, and call the function for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radgen.cli import _genetics
from radgen.errors import InputError, shown
from radgen.io.sample_table import read_sample_table

if TYPE_CHECKING:
    from radgen.types import Result

__all__ = ["heritability_of", "ld_regression_of"]


def heritability_of(
    phenotypes: Path | None,
    covariates: Path | None,
    relatives: Mapping[str, Path | None],
    *,
    household: str,
    traits: str,
    method: str,
    correlate: bool,
) -> Result:
    """Return heritabilities, or genetic correlations, for the kind of relatives at hand.

    Raises
    ------
    InputError
        If not exactly one kind is given, or an option does not go with it.
    """
    from radgen import associate, genome
    from radgen.associate.genomewide._input import id_column

    given = {name: path for name, path in relatives.items() if path is not None}
    if len(given) != 1:
        raise InputError(
            "Give one of --kinship, --pedigree, --twins and --ld-scores; given: "
            f"{shown(given) or 'none'}."
        )
    if phenotypes is None:
        raise InputError(f"--{next(iter(given))} needs --phenotypes, the table of the traits.")
    ((kind, path),) = given.items()
    if household and (kind != "pedigree" or correlate):
        raise InputError("--household goes with --pedigree, and not with --correlate.")
    if kind == "twins" and (method or correlate):
        raise InputError("--twins takes neither --method nor --correlate.")
    people, beside = map(_genetics.optional_table, (phenotypes, covariates))
    options: dict[str, Any] = {"traits": _genetics.parted(traits)}
    if method:
        options["method"] = method
    if kind == "twins":
        return associate.twin_heritability(people, read_sample_table(path), beside, **options)
    if kind == "pedigree" and not correlate:
        homes = None
        if household:
            if beside is None or household not in beside.columns:
                raise InputError(f"The covariates have no column {household!r}.")
            key = id_column(beside, what="covariate table")
            homes = beside.select(key, household)
            beside = beside.drop(household)
            beside = beside if beside.width > 1 else None
        table = read_sample_table(path)
        return associate.family_heritability(people, table, beside, household=homes, **options)
    matrix = (
        genome.pedigree_kinship(read_sample_table(path))
        if kind == "pedigree"
        else genome.read_kinship(path)
    )
    run = associate.genetic_correlation if correlate else associate.heritability
    return run(people, matrix, beside, **options)


def ld_regression_of(
    scans: Sequence[Path],
    ld_scores: Path | None,
    *,
    traits: str,
    correlate: bool,
    intercept: float | None,
    panel_variants: str,
    samples: float | None,
    others: Sequence[Any],
) -> Result:
    """Return heritabilities, or genetic correlations, from the tests of scans.

    Raises
    ------
    InputError
        If scans or LD scores are missing, or an option does not go with them.
    """
    from radgen import associate
    from radgen.associate.heredity._scans import scans_of
    from radgen.io import read_ld_scores, read_summary_statistics

    if ld_scores is None or not scans:
        raise InputError("LD score regression needs both --ld-scores and --scans.")
    if any(others):
        raise InputError(
            "--ld-scores takes --scans, and no --phenotypes, --covariates, --kinship, --pedigree, "
            "--twins, --household or --method."
        )
    options: dict[str, Any] = {"intercept": intercept, "m": panel_variants}
    if panel_variants not in ("common", "all"):
        try:
            options["m"] = float(panel_variants)
        except ValueError as error:
            raise InputError(
                f"--panel-variants is {panel_variants!r}: common, all or a number."
            ) from error
    files = {_stem(path): read_summary_statistics(path, n=samples) for path in scans}
    if len(files) < len(scans):
        raise InputError("Two files of --scans bear the same name: rename one of them.")
    tables = scans_of(files)
    wanted = _genetics.parted(traits)
    if wanted:
        lost = [name for name in wanted if name not in tables]
        if lost:
            raise InputError(f"No scan is of {shown(lost)}; there are {shown(tables)}.")
        tables = {name: tables[name] for name in wanted}
    scores = read_ld_scores(ld_scores)
    if not correlate:
        return associate.ldsc_heritability(tables, scores, **options)
    if intercept is not None:
        options["covariance_intercept"] = 0.0
    return associate.ldsc_correlation(tables, scores, **options)


def _stem(path: Path) -> str:
    """Return a file's name without its endings: what a trait without a name is called."""
    name = path.name
    for end in (
        ".gz", ".parquet", ".tsv", ".csv", ".txt", ".sumstats", ".regenie", ".linear", ".logistic",
        ".hybrid", ".firth", ".glm", ".assoc",
    ):  # fmt: skip
        name = name.removesuffix(end)
    return name or path.name
