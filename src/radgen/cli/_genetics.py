"""What the genetics commands share: files in, functions called."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from radgen.associate import GwasResult

__all__ = ["run_gwas"]


def run_gwas(
    genotypes: Path,
    phenotypes: Path,
    covariates: Path | None,
    *,
    traits: str,
    cluster: str,
    build: str,
    **options: Any,
) -> GwasResult:
    """Return the scan that ``radgen gwas`` asks for."""
    from radgen.associate import gwas
    from radgen.io import open_genotypes
    from radgen.io.sample_table import read_sample_table

    with ExitStack() as stack:
        executor = None
        if cluster:
            from radgen._core.require import require

            client = stack.enter_context(
                require("distributed", extra="cluster").Client(cluster, set_as_default=False)
            )
            executor = client.get_executor()
        return gwas(
            open_genotypes(genotypes, build=build),
            read_sample_table(phenotypes),
            None if covariates is None else read_sample_table(covariates),
            traits=[name.strip() for name in traits.split(",")] if traits else None,
            executor=executor,
            **options,
        )
