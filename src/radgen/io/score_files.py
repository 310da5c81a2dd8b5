"""Weights of polygenic scores: PGS Catalog, PRS-CS, PLINK's --score, and radgen's own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from radgen._core.naming import counted
from radgen.errors import FormatError, InputError
from radgen.io._guard import existing, inflate
from radgen.io.sample_table import read_sample_table

__all__ = ["ScoreWeights", "read_score_weights"]

_NOT_ADDITIVE = (
    "is_dominant", "is_recessive", "is_haplotype", "is_diplotype", "is_interaction",
)  # fmt: skip
_DOSAGE_WEIGHTS = ("dosage_0_weight", "dosage_1_weight", "dosage_2_weight")
_BUILDS = {"GRCh37": "GRCh37", "hg19": "GRCh37", "GRCh38": "GRCh38", "hg38": "GRCh38"}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_ALLELE = re.compile(r"[ACGTNacgtn]+|[-*]")
_PRS_CS = ("chrom", "id", "pos", "allele", "other", "weight")
_THREE = ("id", "allele", "weight")


@dataclass(frozen=True, eq=False, slots=True)
class ScoreWeights:
    """Weights of one polygenic score.

    Attributes
    ----------
    table : polars.DataFrame
        id, chrom, pos (where the file has them), allele (the counted one), other (where known),
        weight.
    build : str
        "GRCh37", "GRCh38", or "" where the file does not say.
    name : str
        Such as "PGS000001"; else the name of the file.
    """

    table: pl.DataFrame
    build: str
    name: str


def read_score_weights(path: str | Path) -> ScoreWeights:
    """Return the weights of a file.

    Parameters
    ----------
    path : str or Path
        Scoring file of the PGS Catalog (harmonised positions are preferred), output of PRS-CS (six
        columns without a header), three columns (id, allele, weight) with or without a header, or
        any table with such columns; plain or gzip.

    Returns
    -------
    ScoreWeights

    Raises
    ------
    FormatError
        If the file cannot be read, or its score is not a sum of weights times allele counts.
    """
    file = existing(path, what="table of weights")
    name = file.name.partition(".")[0]
    if file.suffix.lower() in (".parquet", ".xlsx"):
        return ScoreWeights(read_sample_table(file), "", name)
    try:
        text = inflate(file, what="table of weights").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError("is no text.", path=file) from error
    lines = text.splitlines()
    facts = dict(
        re.findall(
            r"^#+\s*(\w+)\s*=\s*(.*?)\s*$", "\n".join(x for x in lines if x[:1] == "#"), re.M
        )
    )
    body = [line for line in lines if line.strip() and not _is_comment(line)]
    if not body:
        raise FormatError("holds no weights.", path=file)
    if facts:
        table = _catalogue(body, facts, file)
        build = facts.get("HmPOS_build", "") if "hm_pos" in body[0] else facts.get("genome_build")
        return ScoreWeights(table, _BUILDS.get(build or "", ""), facts.get("pgs_id", name))
    fields = re.split(r"[\t, ]+", body[0].strip())
    for names in (_PRS_CS, _THREE):
        if len(fields) == len(names) and _is_row(fields, names):
            return ScoreWeights(_split(body, names, file), "", name)
    return ScoreWeights(read_sample_table(file), "", name)


def _is_comment(line: str) -> bool:
    return line.startswith("#") and ("=" in line or line.startswith("##"))


def _is_row(fields: list[str], names: tuple[str, ...]) -> bool:
    """Return whether a first line holds values, so that the file has no header."""
    cells = dict(zip(names, fields, strict=True))
    return bool(_NUMBER.fullmatch(cells["weight"]) and _ALLELE.fullmatch(cells["allele"]))


def _split(body: list[str], names: tuple[str, ...], file: Path) -> pl.DataFrame:
    rows = [re.split(r"[\t, ]+", line.strip()) for line in body]
    odd = next((k for k, row in enumerate(rows) if len(row) != len(names)), None)
    if odd is not None:
        raise FormatError(
            f"has {len(rows[odd])} fields; the lines above have {len(names)}.",
            path=file, line=odd + 1,
        )  # fmt: skip
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")
    weight = frame["weight"].cast(pl.Float64, strict=False)
    if weight.is_null().any():
        line = int(weight.is_null().arg_max() or 0) + 1
        raise FormatError(f"the weight is {frame['weight'][line - 1]!r}.", path=file, line=line)
    return frame.with_columns(weight)


def _catalogue(body: list[str], facts: dict[str, str], file: Path) -> pl.DataFrame:
    """Return the columns of a scoring file of the PGS Catalog."""
    try:
        table = pl.read_csv(
            "\n".join(body).encode(), separator="\t", infer_schema=False, null_values=["", "NA"]
        )
    except pl.exceptions.PolarsError as error:
        raise FormatError(f"is no regular table: {error}".partition("\n")[0], path=file) from error
    _refuse_other_models(table, facts, file)
    take = {
        "id": ("hm_rsID", "rsID"), "chrom": ("hm_chr", "chr_name"),
        "pos": ("hm_pos", "chr_position"), "allele": ("effect_allele",),
        "other": ("other_allele", "hm_inferOtherAllele", "reference_allele"),
        "weight": ("effect_weight",),
    }  # fmt: skip
    # Positions of two builds are not mixed: those of the harmonised columns, or of the others.
    if "hm_pos" in table.columns:
        take |= {"chrom": ("hm_chr",), "pos": ("hm_pos",)}
    columns = {
        name: pl.coalesce(some)
        for name, known in take.items()
        if (some := [item for item in known if item in table.columns])
    }
    lost = [name for name in ("allele", "weight") if name not in columns]
    if lost or not {"id", "pos"} & set(columns):
        need = lost or ["rsID or chr_position"]
        raise FormatError(f"lacks the columns of {' and '.join(need)}.", path=file)
    return table.select(**columns)


def _refuse_other_models(table: pl.DataFrame, facts: dict[str, str], file: Path) -> None:
    for name in _NOT_ADDITIVE:
        if name in table.columns:
            rows = int((table[name].str.to_lowercase() == "true").sum())
            if rows:
                raise FormatError(
                    f"{counted(rows, 'weight')} of {name.removeprefix('is_')} effects: this score "
                    "is no sum of weights times allele counts.",
                    path=file,
                )
    if set(_DOSAGE_WEIGHTS) & set(table.columns) and "effect_weight" not in table.columns:
        raise FormatError("weights genotypes, not alleles: this is not supported.", path=file)
    kind = facts.get("weight_type", "").strip().upper()
    if kind in ("OR", "HR"):
        raise InputError(
            f"{file}: weights are {facts['weight_type']}, not their logarithms: take the log of "
            "effect_weight first, and write weight_type=beta."
        )
