"""What the genetics commands share: files in, functions called, files out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from radgen.cli._adjusting import chosen_covariates, other_traits, source_of
from radgen.io.sample_table import read_sample_columns, read_sample_table

if TYPE_CHECKING:
    import polars as pl

    from radgen.io import IdRule
    from radgen.types import GenotypeMatrix, Kinship, NumberTable, Result

__all__ = [
    "burden_of",
    "in_numbers",
    "opened",
    "optional_table",
    "parted",
    "report",
    "run_gwas",
    "save_plot",
    "stated_sexes",
    "write_kinship",
    "write_table",
]


def parted(text: str) -> list[str] | None:
    """Return names parted by commas; None where there is none."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    return names or None


def optional_table(path: Path | None) -> pl.DataFrame | None:
    """Return the table of a file, or None without one."""
    return None if path is None else read_sample_table(path)


def report(result: Result, out: Path) -> None:
    """Print what a result says and where it was written."""
    for line in (*result.warnings, *result.findings(), f"Results: {out}"):
        typer.echo(line)


def save_plot(result: Result, kind: str, out: Path, *, dpi: int = 200, **options: Any) -> None:
    """Draw one of a result's plots into a file."""
    from radgen._core.files import atomic_path

    figure = result.plot(kind, **options).figure
    figure.patch.set_alpha(1.0)
    figure.patch.set_facecolor("white")
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(out) as path:
        figure.savefig(path, dpi=dpi, format=out.suffix.lstrip(".") or "png", bbox_inches="tight")
    typer.echo(f"Picture: {out}")


def write_table(frame: pl.DataFrame, out: Path) -> None:
    """Write a table: Parquet, or text parted by tabs (.tsv) or commas (.csv)."""
    import polars as pl

    from radgen._core.files import atomic_path

    lists = [name for name, kind in frame.schema.items() if kind == pl.List]
    with atomic_path(out) as path:
        if out.suffix.lower() == ".parquet":
            frame.write_parquet(path)
        else:
            flat = frame.with_columns(pl.col(name).list.join(",") for name in lists)
            flat.write_csv(path, separator="," if out.suffix.lower() == ".csv" else "\t")


def run_gwas(
    genotypes: Path,
    phenotypes: Path,
    covariates: Path | None,
    *,
    traits: str,
    event: str,
    adjust: str,
    cluster: str,
    build: str,
    kinship: Path | None,
    loco: Path | None,
    loco_kinship: bool,
    sex: Path | None,
    ids: str,
    id_rule: IdRule,
    **options: Any,
) -> Result:
    """Return the scan that ``radgen gwas`` asks for."""
    from radgen.associate import gwas
    from radgen.associate.genomewide._input import to_phenotypes
    from radgen.cli._ids import respelt
    from radgen.types import NumberTable

    def one_spelling(found: Any, path: Path | None) -> Any:
        return respelt(found, id_rule, what=str(path))

    found = one_spelling(_people_named(genotypes, ids, build), genotypes)
    people = one_spelling(_named(phenotypes, ids), phenotypes)

    columns, events = parted(adjust) or [], parted(event) or []
    source = source_of(covariates, phenotypes, columns)
    beside = None if source is None else chosen_covariates(_named(source, ids), columns, source)
    named = parted(traits) or (other_traits(people, columns) if source == phenotypes else None)
    wanted = [*(named or []), *events]
    table: Any = in_numbers(people, phenotypes, wanted, options["model"], events)
    if not isinstance(table, NumberTable):
        # The frame is not kept: a thousand traits would be held twice.
        table = to_phenotypes(table, wanted or None)
    del people
    from radgen.genome import read_kinship

    relations = None if kinship is None else read_kinship(kinship, each_chromosome=loco_kinship)
    background = None
    if loco is not None:
        from radgen.associate import read_background

        kind = options["model"] if options["model"] in ("logistic", "cox") else "linear"
        background = read_background(loco, model=kind, ids=ids)
    sexes = _sexes(genotypes, found) if sex is None else _named(sex, ids)

    with ExitStack() as stack:
        executor = None
        if cluster:
            from radgen._core.require import require

            client = stack.enter_context(
                require("distributed", extra="cluster").Client(cluster, set_as_default=False)
            )
            executor = client.get_executor()
        return gwas(
            found,
            table,
            one_spelling(beside, source),
            sex=one_spelling(sexes, sex or genotypes),
            traits=named,
            event=parted(event),
            executor=executor,
            kinship=one_spelling(relations, kinship),
            loco=one_spelling(background, loco),
            **options,
        )


def in_numbers(
    table: NumberTable | pl.DataFrame,
    path: Path,
    wanted: list[str] | None,
    model: str,
    events: Sequence[str] = (),
) -> NumberTable | pl.DataFrame:
    """Return the traits with states in words (mutant, wild-type) as 1 and 0; say which is 1."""
    from radgen.types import NumberTable

    if model not in ("logistic", "cox"):
        return table
    if isinstance(table, NumberTable) and not table.words(wanted):
        return table
    from radgen.io.events import code_events
    from radgen.io.states import code_states
    from radgen.types import to_polars

    frame = code_events(to_polars(table), events, what=str(path))
    table, notes = code_states(frame, wanted or frame.columns, what=str(path))
    for note in notes:
        typer.echo(note)
    return table


def _people_named(path: Path, ids: str, build: str) -> GenotypeMatrix:
    """Return genotypes whose samples are named as asked for.

    VCF and BGEN hold one name a sample, which PLINK and REGENIE write as FID_IID.
    """
    from radgen.io import open_genotypes

    lone = path.suffix.lower() in (".bgen", ".vcf", ".gz", ".bgz", ".bcf")
    return open_genotypes(path, build=build, ids="iid" if lone else ids)  # type: ignore[arg-type]


def _named(path: Path, ids: str) -> NumberTable | pl.DataFrame:
    """Return a sample table, its samples named FID_IID where that is asked for.

    Raises
    ------
    InputError
        If the table has no family ids, or `ids` is unknown.
    """
    import polars as pl

    from radgen._core.naming import require_choice
    from radgen.errors import InputError

    require_choice(ids, ("iid", "fid_iid"), what="kind of ids (--ids)")
    if ids == "iid":
        return read_sample_columns(path)
    table = read_sample_table(path)
    if not {"FID", "IID"} <= set(table.columns):
        raise InputError(f"{path} has no columns FID and IID, which --ids fid_iid needs.")
    return table.with_columns(IID=pl.col("FID") + "_" + pl.col("IID"))


def _sexes(path: Path, genotypes: GenotypeMatrix) -> pl.DataFrame | None:
    """Return the sexes that a genotype file states; None where it needs or knows none."""
    import polars as pl

    from radgen.io import read_people

    if not {"X", "Y"} & set(dict(genotypes.chromosome_runs)):
        return None
    people = read_people(path).select("fid", "iid", "sex")
    joined = people.select("sex", sample=pl.col("fid") + "_" + pl.col("iid"))
    people = people.select("sex", sample="iid")
    people = joined if set(joined["sample"]) >= set(genotypes.samples) else people
    return people if people["sex"].is_not_null().any() else None


def stated_sexes(
    path: Path, genotypes: GenotypeMatrix, table: Path | None
) -> dict[str, str] | None:
    """Return "male" or "female" of each sample that a table or the genotype file states."""
    from radgen.associate.genomewide._sex import sexes_of

    frame = _sexes(path, genotypes) if table is None else read_sample_table(table)
    if frame is None:
        return None
    words = sexes_of(frame, genotypes.samples)
    return {name: word for name, word in zip(genotypes.samples, words, strict=True) if word}


def burden_of(
    genotypes: Path,
    phenotypes: Path,
    sets: Path,
    *,
    annotations: Path | None,
    masks: Path | None,
    max_maf: str,
    loco: Path | None,
    kinship: Path | None,
    loco_kinship: bool,
    **options: Any,
) -> Result:
    """Return the set tests of a file of sets, or of the masks of annotated variants.

    Raises
    ------
    InputError
        If only one of annotations and masks is given, a frequency is no number, or chromosomes
        are to be left out of no kinship.
    """
    from radgen.associate import burden, read_background
    from radgen.errors import InputError
    from radgen.genome import read_kinship
    from radgen.io import open_genotypes, read_gene_masks, read_gene_sets

    if (annotations is None) != (masks is None):
        raise InputError("Masks need annotations, and annotations masks: give both files.")
    try:
        bounds = [float(item) for item in parted(max_maf) or ["1"]]
    except ValueError as error:
        raise InputError(
            f"--max-maf is {max_maf!r}; needed are numbers parted by commas."
        ) from error
    if annotations is not None and masks is not None:
        members = read_gene_masks(annotations, sets, masks)
    else:
        members = read_gene_sets(sets)
    if loco_kinship and kinship is None:
        raise InputError("--loco-kinship leaves chromosomes out of a kinship: give --kinship.")
    people = read_sample_table(phenotypes)
    people = in_numbers(people, phenotypes, options["traits"], options["model"])
    relatives = None if kinship is None else read_kinship(kinship, each_chromosome=loco_kinship)
    background = None if loco is None else read_background(loco, model=options["model"])
    return burden(
        open_genotypes(genotypes),
        people,
        members,
        max_maf=bounds,
        kinship=relatives,
        loco=background,
        **options,
    )


def write_kinship(kinship: Kinship, out: Path) -> None:
    """Write a kinship matrix as a table: the ids, then one column a sample."""
    import polars as pl

    columns = {name: kinship.values[:, at] for at, name in enumerate(kinship.samples)}
    write_table(pl.DataFrame({"sample": list(kinship.samples)} | columns), out)


def opened(path: Path, variants: Path | None = None) -> GenotypeMatrix:
    """Return genotypes, of the variants whose ids a file lists where one is given."""
    from radgen.errors import InputError
    from radgen.io import open_genotypes

    found = open_genotypes(path)
    if variants is None:
        return found
    wanted = set(variants.read_text("utf-8").split())
    rows = [row for row, name in enumerate(found.variants["id"]) if name in wanted]
    if not rows:
        raise InputError(f"None of the variants of {variants} is in {path}.")
    return found.take_variants(rows)
