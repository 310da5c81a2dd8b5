"""What options of several commands say, and ids brought to one spelling by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from radgen.io import IdRule

__all__ = ["CASE", "FIRST", "GENE_MAP", "GENOTYPES", "PATTERN", "respelt", "rule_of"]

CASE = "Ids of samples: keep, upper or lower."
GENOTYPES = "Genotypes: .bed, .pgen, .vcf.gz, .bcf, .bgen, or a table of a few variants."
GENE_MAP = "GTF, GFF3 or table: gene symbols of Ensembl or Entrez ids or probes."
FIRST = "Keep so many characters of ids (TCGA: 12)."
PATTERN = "Regular expression; an id is its first group."


def rule_of(given: Mapping[str, Any]) -> IdRule:
    """Return the id rule that the options id_case, id_first and id_pattern declare.

    Raises
    ------
    InputError
        If the pattern is no regular expression, or the case unknown.
    """
    from radgen.io import IdRule

    return IdRule(pattern=given["id_pattern"], first=given["id_first"], case=given["id_case"])


def respelt(found: Any, rule: IdRule, *, what: str) -> Any:
    """Return a table, genotypes, kinship or a mapping of these with the ids that a rule makes.

    Raises
    ------
    AlignmentError
        If different ids become equal.
    """
    from radgen.io import IdRule

    if found is None or rule == IdRule():
        return found
    import polars as pl

    from radgen._core.id_names import first_id_name
    from radgen.io import normalise_ids
    from radgen.types import NumberTable, to_polars

    if isinstance(found, Mapping):
        return {key: respelt(value, rule, what=what) for key, value in found.items()}
    if isinstance(found, pl.DataFrame | NumberTable):
        found = to_polars(found)
        name = first_id_name(found.columns)
        if name is None:
            return found
        ids = normalise_ids(found[name].cast(pl.String).to_list(), rule, what=what)
        return found.with_columns(pl.Series(name, ids, dtype=pl.String))
    return replace(found, samples=tuple(normalise_ids(found.samples, rule, what=what)))
