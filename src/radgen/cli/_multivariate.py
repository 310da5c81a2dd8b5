"""What ``radgen compare-multivariate`` shares with nothing else: files in, a report out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radgen.cli._genetics import parted, write_table
from radgen.io.sample_table import read_sample_table

if TYPE_CHECKING:
    from radgen.multivariate import ComparisonResult
    from radgen.multivariate.inputs import TwoBlockData

__all__ = ["compared", "read_blocks", "write_comparison"]

_GENOTYPES = (".bed", ".pgen", ".vcf", ".gz", ".bcf", ".bgen")


def read_blocks(
    first: Path, phenotypes: Path, covariates: Path | None, groups: Path | None
) -> TwoBlockData:
    """Return the matched blocks of the files."""
    import polars as pl

    from radgen.associate.genomewide._input import id_column, to_covariates
    from radgen.io import open_genotypes, read_table
    from radgen.multivariate.inputs import match_blocks
    from radgen.types import PhenotypeTable

    def table(path: Path, what: str) -> PhenotypeTable:
        frame = read_sample_table(path)
        return PhenotypeTable.from_frame(frame, sample=id_column(frame, what=what))

    named = None
    if groups is not None:
        pairs = read_table(groups)
        keys, genes = (pairs[name].cast(pl.String).to_list() for name in pairs.columns[:2])
        named = dict(zip(keys, genes, strict=True))
    is_genotype = first.suffix.lower() in _GENOTYPES and not first.name.lower().endswith(
        (".csv.gz", ".tsv.gz")
    )
    block = open_genotypes(first) if is_genotype else table(first, "first block")
    extra = None if covariates is None else to_covariates(read_sample_table(covariates))
    return match_blocks(block, table(phenotypes, "phenotypes"), extra, groups=named)


def compared(data: TwoBlockData, *, methods: str, jobs: int, **options: Any) -> ComparisonResult:
    """Return the comparison, over `jobs` processes."""
    from radgen._core.executors import executor as opened
    from radgen.multivariate import compare

    with opened(jobs) as executor:
        found = compare(
            data.x,
            data.y,
            methods=parted(methods),
            confounders=data.confounders,
            confounder_names=data.confounder_names,
            groups=data.groups,
            x_names=data.x_names,
            y_names=data.y_names,
            executor=executor,
            **options,
        )
    return replace(found, dropped=data.dropped, warnings=(*data.notes, *found.warnings))


def write_comparison(result: ComparisonResult, out: Path) -> None:
    """Write the report, the table of methods and the weights into a folder."""
    from radgen.report import ReportInput, Section, write_report

    out.mkdir(parents=True, exist_ok=True)
    write_table(result.table, out / "methods.csv")
    write_table(result.weights, out / "weights.parquet")
    write_table(result.null, out / "null.csv")
    write_table(result.agreement(), out / "agreement.csv")
    pages = tuple(Section(page.label, (page,)) for page in result.pages.values())
    write_report(
        ReportInput(
            study="Multivariate methods compared",
            question="Which variants go with which image phenotypes, and do methods agree?",
            sections=(Section("Comparison", (result,), result.methods()), *pages),
            provenance=dict(result.params),
        ),
        out / "report.html",
    )
