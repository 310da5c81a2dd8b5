"""The commands ``radgen genotypes qc | pca | grm | ld | ld-scores | clump``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radgen.cli._ids import GENOTYPES

__all__ = ["app"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Control quality and describe the structure of genotypes.",
)

_Genotypes = Annotated[Path, typer.Option(help=GENOTYPES)]
_Out = Annotated[Path, typer.Option(help="Table: .parquet, .tsv or .csv.")]
_Variants = Annotated[Path | None, typer.Option(help="Ids of the variants to use, one a line.")]


@app.command()
def qc(
    *,
    genotypes: _Genotypes,
    out: Annotated[Path, typer.Option(help="Folder of the tables.")],
    min_maf: Annotated[float, typer.Option(help="Least minor allele frequency.")] = 0.01,
    hwe_p: Annotated[float, typer.Option(help="Least Hardy-Weinberg p.")] = 1e-6,
    max_kinship: Annotated[float, typer.Option(help="Largest kinship of a pair.")] = 0.177,
    sample_call_rate: Annotated[float, typer.Option(help="Least call rate of a sample.")] = 0.95,
    variant_call_rate: Annotated[float, typer.Option(help="Least call rate of a variant.")] = 0.95,
    heterozygosity_sd: Annotated[
        float, typer.Option(help="Largest distance of heterozygosity, in SD.")
    ] = 5.0,
    sex: Annotated[
        Path | None,
        typer.Option(help="Table with an id and a sex column; default: what the genotypes say."),
    ] = None,
) -> None:
    """Say which samples and variants pass, with counts at each step.

    OUT gets steps.tsv (counts before and after each rule), samples.tsv and variants.tsv
    (statistics, and removed_by), and related.tsv. Where chromosome X is there, stated sexes are
    compared with it.
    """
    from radgen.cli import _genetics
    from radgen.genome import genotype_qc

    found = _genetics.opened(genotypes)
    result = genotype_qc(
        found, min_maf=min_maf, hwe_p=hwe_p, max_kinship=max_kinship,
        sample_call_rate=sample_call_rate, variant_call_rate=variant_call_rate,
        heterozygosity_sd=heterozygosity_sd, sex=_genetics.stated_sexes(genotypes, found, sex),
    )  # fmt: skip
    for name in ("samples", "variants", "related"):
        _genetics.write_table(getattr(result, name), out / f"{name}.tsv")
    _genetics.write_table(result.table, out / "steps.tsv")
    _genetics.report(result, out)


@app.command()
def pca(
    *,
    genotypes: _Genotypes,
    out: _Out,
    variants: _Variants = None,
    components: Annotated[int, typer.Option(help="How many.")] = 10,
) -> None:
    """Write principal components, ready as covariates."""
    import polars as pl

    from radgen.cli import _genetics
    from radgen.genome import GenotypePCA

    found = GenotypePCA(components).fit_transform(_genetics.opened(genotypes, variants))
    columns = dict(zip(found.names, found.values.T, strict=True))
    _genetics.write_table(pl.DataFrame({"sample": list(found.samples)} | columns), out)
    typer.echo(f"Components of {len(found.samples)} samples: {out}")


@app.command()
def grm(*, genotypes: _Genotypes, out: _Out, variants: _Variants = None) -> None:
    """Write the genomic relationship matrix."""
    from radgen import genome
    from radgen.cli import _genetics

    _genetics.write_kinship(genome.grm(_genetics.opened(genotypes, variants)), out)
    typer.echo(f"Relationship matrix: {out}")


@app.command()
def ld(
    *,
    genotypes: _Genotypes,
    out: Annotated[Path, typer.Option(help="Ids of the variants that are kept.")],
    r2: Annotated[float, typer.Option(help="Largest r2 of a pair.")] = 0.2,
    window: Annotated[int, typer.Option(help="Variants a window.")] = 200,
    step: Annotated[int, typer.Option(help="Variants from window to window.")] = 50,
) -> None:
    """Prune variants in linkage disequilibrium."""
    from radgen._core.files import write_text
    from radgen.cli import _genetics
    from radgen.genome import prune

    found = _genetics.opened(genotypes)
    ids = found.variants["id"][prune(found, r2=r2, window=window, step=step)].to_list()
    write_text(out, "".join(f"{name}\n" for name in ids))
    typer.echo(f"{len(ids)} of {found.n_variants} variants are kept: {out}")


@app.command("ld-scores")
def ld_scores(
    *,
    genotypes: _Genotypes,
    out: Annotated[Path, typer.Option(help="Scores: .parquet, .tsv, .csv or .l2.ldscore.gz.")],
    window: Annotated[
        float | None, typer.Option(help="Neighbours this near count; 1000 kb, 1 cM, 1000 variants.")
    ] = None,
    unit: Annotated[str, typer.Option(help="Of the window: kb, cm or variants.")] = "kb",
    genetic_map: Annotated[
        Path | None,
        typer.Option(help="For cm: .bim or .map with cM, or a table of chrom, pos, cm."),
    ] = None,
    min_maf: Annotated[float, typer.Option(help="Least minor allele frequency.")] = 0.01,
    variants: _Variants = None,
) -> None:
    """Write LD scores of a reference panel, for `radgen heritability --ld-scores`."""
    from radgen import genome
    from radgen.cli import _genetics
    from radgen.io import read_genetic_map, write_ld_scores

    found = genome.ld_scores(
        _genetics.opened(genotypes, variants), window=window, unit=unit, min_maf=min_maf,  # type: ignore[arg-type]
        genetic_map=None if genetic_map is None else read_genetic_map(genetic_map),
    )  # fmt: skip
    write_ld_scores(found, out)
    mean = float(found["l2"].mean() or 0.0)  # type: ignore[arg-type]
    typer.echo(f"LD scores of {found.height:,} variants, {mean:.2f} on average: {out}")


@app.command()
def clump(
    *,
    genotypes: _Genotypes,
    results: Annotated[Path, typer.Option(help="Table of `radgen gwas`, of one trait.")],
    out: _Out,
    p1: Annotated[float, typer.Option(help="Largest p of a lead.")] = 5e-8,
    p2: Annotated[float, typer.Option(help="Largest p of a member.")] = 1e-2,
    r2: Annotated[float, typer.Option(help="Least r2 with the lead.")] = 0.5,
) -> None:
    """Gather associated variants around independent leads."""
    from radgen import genome
    from radgen.cli import _genetics

    table = _genetics.read_sample_table(results)
    found = genome.clump(table, _genetics.opened(genotypes), p1=p1, p2=p2, r2=r2)
    _genetics.write_table(found, out)
    typer.echo(f"{found.height} leads: {out}")
