"""LD scores in files: our own tables, and the .l2.ldscore filesets of LDSC."""

from __future__ import annotations

import gzip
import io
import re
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from radgen._core.files import atomic_path, write_text
from radgen.errors import FormatError, shown
from radgen.io._guard import existing, inflate
from radgen.io._variants import human_chromosomes, numbers

__all__ = ["LdScores", "read_genetic_map", "read_ld_scores", "write_ld_scores"]

_END = re.compile(r"\.l2\.ldscore(\.gz)?$")
_COMMON = 0.05


@dataclass(frozen=True, eq=False, slots=True)
class LdScores:
    """LD scores of a reference panel.

    Attributes
    ----------
    table : polars.DataFrame
        chrom, pos, id, l2, and maf where the file has it.
    m_all, m_common : float
        Variants of the panel that entered the sums, and those of a minor allele frequency above
        5 %; NaN where the file does not say.
    """

    table: pl.DataFrame
    m_all: float
    m_common: float


def read_ld_scores(path: str | Path) -> LdScores:
    """Return LD scores of a file, or of one file a chromosome.

    Parameters
    ----------
    path : str or Path
        Table of `radgen genotypes ld-scores` (.parquet, .tsv, .csv); a .l2.ldscore(.gz) of LDSC
        or its name without that ending; a folder of them, or a name with "@" for the chromosome.
        The files .l2.M and .l2.M_5_50 beside them say how many variants entered the sums.

    Returns
    -------
    LdScores

    Raises
    ------
    FormatError
        If nothing is found, a column is missing, a score is no number, or a variant stands twice.
    """
    text = str(path)
    parts = [_one(file) for file in _files(text)]
    table = pl.concat([part.table for part in parts], how="diagonal")
    if table["id"].is_duplicated().any():
        again = table.filter(pl.col("id").is_duplicated())["id"].unique().to_list()
        raise FormatError(f"Variants stand twice: {shown(again)}.", path=text)
    return LdScores(
        table, float(sum(part.m_all for part in parts)), float(sum(part.m_common for part in parts))
    )


def write_ld_scores(table: pl.DataFrame, out: Path) -> None:
    """Write LD scores: .parquet, .tsv, .csv, or LDSC's .l2.ldscore.gz with .l2.M and .l2.M_5_50."""
    name = out.name.lower()
    if not _END.search(name):
        with atomic_path(out) as path:
            if name.endswith(".parquet"):
                table.write_parquet(path)
            else:
                table.write_csv(path, separator="," if name.endswith(".csv") else "\t")
        return
    columns = {"chrom": "CHR", "id": "SNP", "pos": "BP", "l2": "L2"}
    text = table.select(pl.col(old).alias(new) for old, new in columns.items())
    stream = io.BytesIO()
    text.write_csv(stream, separator="\t", float_precision=6)
    with atomic_path(out) as path:
        # Without name and time in the header: the same scores, the same bytes.
        packed = gzip.compress(stream.getvalue(), mtime=0)
        path.write_bytes(packed if name.endswith(".gz") else stream.getvalue())
    stem = _END.sub("", out.name)
    write_text(out.with_name(f"{stem}.l2.M"), f"{table.height}\n")
    common = table.filter(pl.col("maf") > _COMMON).height
    write_text(out.with_name(f"{stem}.l2.M_5_50"), f"{common}\n")


def read_genetic_map(path: str | Path) -> pl.DataFrame:
    """Return a genetic map: chrom, pos and cm.

    Parameters
    ----------
    path : str or Path
        A .bim or .map file of PLINK, or a table with a header: chromosome, position (base pairs)
        and cM under the names of HapMap, SHAPEIT, Eagle or ours.

    Raises
    ------
    FormatError
        If columns are missing or no numbers.
    """
    file = existing(path, what="genetic map")
    lines = inflate(file, what="genetic map").decode("utf-8", "replace").splitlines()
    rows = [line.replace(",", " ").split() for line in lines if line.strip()]
    name = file.name.lower().removesuffix(".gz")
    if name.endswith((".bim", ".map")) and len(rows[0]) in (4, 6):
        places = {"chrom": 0, "cm": 2, "pos": 3}
    else:
        head = [item.strip("#").lower() for item in rows[0]]
        rows = rows[1:]
        places = {}
        for what, starts in {"chrom": "chr", "pos": ("pos", "bp"), "cm": ()}.items():
            hits = [
                at for at, item in enumerate(head)
                if (item.startswith(starts) if starts else item == "cm" or "(cm)" in item)
            ]  # fmt: skip
            if hits:
                places[what] = hits[0]
    lost = [what for what in ("chrom", "pos", "cm") if what not in places]
    if lost or not rows:
        raise FormatError(f"lacks columns for {shown(lost or ['anything'])}.", path=file)
    try:
        table = pl.DataFrame({what: [row[at] for row in rows] for what, at in places.items()})
    except IndexError as error:
        raise FormatError("has lines of different lengths.", path=file) from error
    cm = table["cm"].cast(pl.Float64, strict=False)
    if cm.null_count():
        raise FormatError(f"holds cM that are no numbers, such as {_first_bad(table['cm'], cm)!r}.")
    return table.select(
        human_chromosomes(table["chrom"]), numbers(table["pos"], path=file).cast(pl.Float64), cm
    )


def _first_bad(text: pl.Series, values: pl.Series) -> str:
    return str(text.filter(values.is_null())[0])


def _files(text: str) -> list[Path]:
    """Return the files that a name stands for, by chromosome."""
    here = Path(text)
    if here.is_file():
        return [here]
    folder, stem = (here, "*") if here.is_dir() else (here.parent, here.name.replace("@", "*"))
    found = sorted(
        {*folder.glob(f"{stem}.l2.ldscore"), *folder.glob(f"{stem}.l2.ldscore.gz")},
        key=lambda file: [int(n) if n.isdigit() else 0 for n in re.findall(r"\d+", file.name)],
    )
    if not found:
        raise FormatError(
            "No LD scores: needed is a table, or files ending in .l2.ldscore or .l2.ldscore.gz.",
            path=text,
        )
    return found


def _one(file: Path) -> LdScores:
    existing(file, what="file of LD scores")
    try:
        if file.suffix.lower() == ".parquet":
            frame = pl.read_parquet(file)
        else:
            text = inflate(file, what="file of LD scores")
            head = text.partition(b"\n")[0]
            mark = "\t" if b"\t" in head else "," if b"," in head else " "
            frame = pl.read_csv(text, separator=mark, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n")[0]
        raise FormatError(f"is no regular table: {reason}", path=file) from error
    names = {"chr": "chrom", "snp": "id", "bp": "pos"}
    frame.columns = [names.get(name.lower(), name.lower()) for name in frame.columns]
    lost = [name for name in ("chrom", "pos", "id", "l2") if name not in frame.columns]
    if lost:
        raise FormatError(
            f"lacks the columns {shown(lost)}; scores of several annotations are not read.",
            path=file,
        )
    l2 = frame["l2"].cast(pl.Float64, strict=False)
    if l2.null_count() or not l2.is_finite().all():
        raise FormatError("holds LD scores that are no numbers.", path=file)
    keep = [
        human_chromosomes(frame["chrom"].cast(pl.String)),
        numbers(frame["pos"], path=file, first_line=2),
        frame["id"].cast(pl.String),
        l2,
    ]
    if "maf" in frame.columns:
        maf = frame["maf"].cast(pl.Float64, strict=False)
        common = float((maf > _COMMON).sum())
        return LdScores(pl.DataFrame([*keep, maf]), float(frame.height), common)
    stem = _END.sub("", file.name)
    return LdScores(
        pl.DataFrame(keep),
        _count(file.with_name(f"{stem}.l2.M")),
        _count(file.with_name(f"{stem}.l2.M_5_50")),
    )


def _count(file: Path) -> float:
    if not file.exists():
        return float("nan")
    words = file.read_text("utf-8").split()
    if len(words) != 1:
        raise FormatError(f"has {len(words)} numbers; needed is one.", path=file)
    try:
        return float(words[0])
    except ValueError as error:
        raise FormatError(f"holds {words[0]!r}, no number.", path=file) from error
