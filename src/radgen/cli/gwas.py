"""The command ``radgen gwas``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radgen.cli._adjusting import ADJUST
from radgen.cli._ids import CASE, FIRST, GENOTYPES, PATTERN

__all__ = ["gwas"]


def gwas(
    *,
    genotypes: Annotated[Path, typer.Option(help=GENOTYPES)],
    phenotypes: Annotated[Path, typer.Option(help="Table with an id column and the traits.")],
    out: Annotated[Path, typer.Option(help="Results: a .parquet, or what --layout says.")],
    covariates: Annotated[Path | None, typer.Option(help="Table of covariates.")] = None,
    adjust: Annotated[str, typer.Option(help=ADJUST)] = "",
    traits: Annotated[str, typer.Option(help="Names of traits, parted by commas.")] = "",
    model: Annotated[
        str, typer.Option(help="linear, logistic, ordinal, cox (times and events) or lmm.")
    ] = "linear",
    event: Annotated[
        str, typer.Option(help="cox: the columns of events, one a trait, parted by commas.")
    ] = "",
    test: Annotated[
        str, typer.Option(help="Logistic: hybrid, firth, score or approx-firth.")
    ] = "hybrid",
    kinship: Annotated[Path | None, typer.Option(help="For lmm: matrix or genotypes.")] = None,
    loco: Annotated[
        Path | None,
        typer.Option(help="Predictions of `radgen background`, or a REGENIE _pred.list."),
    ] = None,
    loco_kinship: Annotated[
        bool, typer.Option(help="lmm: leave each chromosome out of the kinship of genotypes.")
    ] = False,
    interaction: Annotated[
        str, typer.Option(help="Covariate (exposure, treatment) whose product is tested.")
    ] = "",
    robust: Annotated[
        bool, typer.Option("--robust", help="Interactions: sandwich standard errors.")
    ] = False,
    sex: Annotated[
        Path | None,
        typer.Option(help="Table with an id and a sex column; default: what the genotypes say."),
    ] = None,
    x_coding: Annotated[
        int, typer.Option(help="Dosage of a man with the ALT allele of X: 2 or 1.")
    ] = 2,
    threshold: Annotated[float | None, typer.Option(help="Keep tests with p at most this.")] = None,
    layout: Annotated[
        str,
        typer.Option(
            help="table (Parquet, a row a test); compact (a folder of Parquet files with all "
            "tests, two bytes each); plink, regenie or gwas-ssf (text, one file a trait)."
        ),
    ] = "table",
    ids: Annotated[
        str,
        typer.Option(help="What names a sample: iid, or fid_iid (family and individual by _)."),
    ] = "iid",
    id_case: Annotated[str, typer.Option(help=CASE)] = "keep",
    id_first: Annotated[int, typer.Option(help=FIRST)] = 0,
    id_pattern: Annotated[str, typer.Option(help=PATTERN)] = "",
    build: Annotated[str, typer.Option(help="GRCh37 or GRCh38.")] = "",
    jobs: Annotated[int | None, typer.Option(help="Threads; default: all processors.")] = None,
    backend: Annotated[
        str, typer.Option(help="Where large products are computed: numpy or torch (GPU).")
    ] = "numpy",
    cluster: Annotated[str, typer.Option(help="Address of a Dask scheduler.")] = "",
) -> None:
    """Test every variant against every trait.

    Samples are matched by id (IID, sample, subject ...), never by position; who is left out is
    said. Where tables spell ids otherwise than the genotypes, --id-case, --id-first and
    --id-pattern bring all to one spelling. Text covariates become indicators; in a logistic trait
    words such as mutant and wild-type, case and control, become 1 and 0. NA, NaN, "." and empty
    cells are missing, and so is -9 in a logistic trait. A sample without a covariate is left out,
    one without a trait in that trait only; missing calls are dropped variant by variant.

    The result has the columns phenotype, chrom, pos, id, ref, alt, n, alt_freq, beta, se, t,
    log10p, p; beta is the effect of one more ALT allele, log10p is log10(p). With --interaction
    they are followed by beta_main, se_main, log10p_joint and reason (why a test is undefined). A
    run that was stopped goes on where it was when the same command is given again.

    \b
    Examples:
      radgen gwas --genotypes cohort.bed --phenotypes idps.tsv --covariates pcs.tsv --out a.parquet
      radgen gwas --genotypes cohort.bed --phenotypes all.tsv --traits hippocampus,amygdala \\
          --adjust age,sex,PC1,PC2 --out b.parquet
      radgen gwas --genotypes cohort.pgen --phenotypes cases.tsv --model logistic --test score \\
          --covariates pcs.tsv --threshold 1e-5 --out hits.parquet
      radgen gwas --genotypes trial.vcf.gz --phenotypes survival.tsv --model cox --traits months \\
          --event died --covariates arms.tsv --interaction treatment --out gxt.parquet
    """
    from radgen.cli import _genetics
    from radgen.io import IdRule

    result = _genetics.run_gwas(
        genotypes, phenotypes, covariates,
        traits=traits, event=event, adjust=adjust, model=model, test=test, kinship=kinship,
        threshold=threshold, out=out,
        loco=loco, loco_kinship=loco_kinship, layout=layout,
        interaction=interaction or None, robust=robust, sex=sex, x_coding=x_coding,
        ids=ids, id_rule=IdRule(case=id_case, first=id_first, pattern=id_pattern),
        build=build, jobs=jobs, cluster=cluster, backend=backend,
    )  # fmt: skip
    _genetics.report(result, out)
