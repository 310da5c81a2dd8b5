"""Kinship from a file: a matrix, or genotypes to compute it from."""

from __future__ import annotations

from pathlib import Path

from radgen.errors import FormatError, InputError
from radgen.genome.relatedness import grm, loco_grms
from radgen.io import open_genotypes
from radgen.io.sample_table import read_sample_table
from radgen.types import Kinship

__all__ = ["read_kinship"]


def read_kinship(
    source: str | Path, *, each_chromosome: bool = False
) -> Kinship | dict[str, Kinship]:
    """Return the kinship matrix that a table holds, or compute it from genotypes.

    Parameters
    ----------
    source : str or Path
        A table as ``radgen genotypes grm`` writes it (.parquet, .tsv, .csv: the ids, then one
        column a sample), or genotypes.
    each_chromosome : bool, default False
        Return a mapping of chromosomes to matrices that leave them out; needs genotypes.

    Returns
    -------
    Kinship or dict of str to Kinship

    Raises
    ------
    FormatError
        If the table is not square with the same names in rows and columns.
    InputError
        If matrices of each chromosome are asked for and the file holds one matrix.
    """
    path = Path(source)
    if path.suffix.lower() not in (".parquet", ".tsv", ".csv"):
        genotypes = open_genotypes(path)
        return dict(loco_grms(genotypes)) if each_chromosome else grm(genotypes)
    if each_chromosome:
        raise InputError(f"To leave chromosomes out, a kinship needs genotypes; {path} is a table.")
    table = read_sample_table(path)
    names = table.columns[1:]
    if table.columns[0] != "sample" or table["sample"].to_list() != names:
        raise FormatError("is no kinship table: rows and columns name other samples.", path=path)
    return Kinship(tuple(names), table.select(names).to_numpy())
