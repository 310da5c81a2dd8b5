"""Read somatic mutations of annotated VCF files (VEP's CSQ or SnpEff's ANN)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from radgen.errors import FormatError, InputError, shown
from radgen.io._delimited import decode
from radgen.io._guard import existing, inflate
from radgen.io.ids import IdRule
from radgen.io.maf import MUTATION_SCHEMA, PROTEIN_CHANGING

__all__ = ["CLASS_OF_TERM", "read_somatic_vcf"]

CLASS_OF_TERM = {
    "transcript_ablation": "Splice_Site",
    "splice_acceptor_variant": "Splice_Site",
    "splice_donor_variant": "Splice_Site",
    "stop_gained": "Nonsense_Mutation",
    "frameshift_variant": "Frame_Shift",
    "stop_lost": "Nonstop_Mutation",
    "start_lost": "Translation_Start_Site",
    "initiator_codon_variant": "Translation_Start_Site",
    "disruptive_inframe_insertion": "In_Frame_Ins",
    "conservative_inframe_insertion": "In_Frame_Ins",
    "inframe_insertion": "In_Frame_Ins",
    "disruptive_inframe_deletion": "In_Frame_Del",
    "conservative_inframe_deletion": "In_Frame_Del",
    "inframe_deletion": "In_Frame_Del",
    "missense_variant": "Missense_Mutation",
    "protein_altering_variant": "Missense_Mutation",
    "splice_region_variant": "Splice_Region",
    "stop_retained_variant": "Silent",
    "synonymous_variant": "Silent",
    "5_prime_utr_variant": "5'UTR",
    "3_prime_utr_variant": "3'UTR",
    "intron_variant": "Intron",
    "upstream_gene_variant": "5'Flank",
    "downstream_gene_variant": "3'Flank",
    "intergenic_variant": "IGR",
}
"""Variant class of a MAF for each Sequence Ontology term, most severe first."""

_SEVERITY = {term: rank for rank, term in enumerate(CLASS_OF_TERM)}
_THREE = {
    "Ala": "A", "Arg": "R", "Asn": "N", "Asp": "D", "Cys": "C", "Gln": "Q", "Glu": "E", "Gly": "G",
    "His": "H", "Ile": "I", "Leu": "L", "Lys": "K", "Met": "M", "Phe": "F", "Pro": "P", "Ser": "S",
    "Thr": "T", "Trp": "W", "Tyr": "Y", "Val": "V", "Ter": "*", "Sec": "U",
}  # fmt: skip
_ANN_FIELDS = ("Allele", "Consequence", "IMPACT", "SYMBOL", "Gene", "Feature_type", "Feature",
               "BIOTYPE", "Rank", "HGVSc", "HGVSp")  # fmt: skip


def read_somatic_vcf(
    paths: str | Path | Sequence[str | Path] | Mapping[str, str | Path],
    *,
    classes: Collection[str] = PROTEIN_CHANGING,
    tumour: str | None = None,
    passed: bool = True,
    min_fraction: float = 0.0,
    id_rule: IdRule | None = None,
) -> pl.DataFrame:
    """Return one row a somatic mutation of VCF files.

    Parameters
    ----------
    paths : path, sequence of path, or mapping of sample to path
        A file a tumour, or one file of several tumours. A mapping names the sample of
        each file; otherwise samples are the sample columns of the files.
    classes : collection of str
        Variant classes (as in a MAF) to keep.
    tumour : str or None
        Name of the tumour's sample column in files of a tumour and its normal (``TUMOR``);
        None = a column named so, else all columns that carry the allele and are not named
        ``NORMAL``.
    passed : bool, default True
        Keep variants with FILTER ``PASS`` or ``.`` alone.
    min_fraction : float, default 0
        Smallest share of reads with the allele (AF, or from AD); variants without either pass.
    id_rule : IdRule or None
        Applied to sample names.

    Returns
    -------
    polars.DataFrame
        ``sample, gene, consequence, chrom, pos, ref, alt, protein_change, build``, as
        `radgen.io.read_mutations` gives them; of several transcripts the most severe
        consequence counts (the one marked as canonical or picked, where VEP says so).

    Raises
    ------
    FormatError
        If a file is no VCF, or has neither CSQ nor ANN annotations.
    InputError
        If a named tumour column does not exist.
    """
    files = _files(paths)
    rule = id_rule or IdRule()
    rows: list[tuple[Any, ...]] = []
    for name, path in files:
        for row in _mutations(path, name, tumour, passed, min_fraction):
            rows.append((rule.clean(row[0]), *row[1:]))
    frame = pl.DataFrame(rows, schema=MUTATION_SCHEMA, orient="row")
    return frame.filter(pl.col("consequence").is_in(list(classes)))


def _files(
    paths: str | Path | Sequence[str | Path] | Mapping[str, str | Path],
) -> list[tuple[str | None, Path]]:
    if isinstance(paths, Mapping):
        return [(str(name), Path(path)) for name, path in paths.items()]
    if isinstance(paths, str | Path):
        return [(None, Path(paths))]
    return [(None, Path(path)) for path in paths]


def _mutations(
    path: Path, name: str | None, tumour: str | None, passed: bool, min_fraction: float
) -> Iterator[tuple[Any, ...]]:
    place = existing(path, what="VCF file")
    lines = decode(inflate(place, what="VCF file"), place).splitlines()
    if not lines or not lines[0].startswith("##fileformat=VCF"):
        raise FormatError("A VCF file begins with ##fileformat=VCF.", path=place, line=1)
    key, fields = _annotation(lines, place)
    build = _build(lines)
    columns: list[tuple[int, str]] = []
    for number, line in enumerate(lines, 1):
        if line.startswith("#CHROM"):
            columns = _columns(line.split("\t")[9:], name, tumour, place)
        if line.startswith("#") or not line.strip():
            continue
        cells = line.split("\t")
        if len(cells) < 8:
            raise FormatError(f"{len(cells)} columns; a VCF has 8.", path=place, line=number)
        if passed and cells[6] not in ("PASS", "."):
            continue
        info = dict(item.partition("=")[::2] for item in cells[7].split(";"))
        notes = _notes(info.get(key, ""), fields)
        for index, alt in enumerate(cells[4].split(","), 1):
            gene, consequence, change = _worst(notes, cells[3], alt)
            for sample in _carriers(cells, columns, name, index, min_fraction):
                yield (sample, gene, consequence, cells[0], int(cells[1]), cells[3], alt,
                       change, build)  # fmt: skip


def _annotation(lines: Sequence[str], path: Path) -> tuple[str, tuple[str, ...]]:
    for line in lines:
        if line.startswith("##INFO=<ID=CSQ"):
            match = re.search(r"Format: ([^\">]+)", line)
            if match:
                return "CSQ", tuple(match.group(1).strip().split("|"))
        if line.startswith("##INFO=<ID=ANN"):
            return "ANN", _ANN_FIELDS
        if line.startswith("#CHROM"):
            break
    raise FormatError(
        "The variants have no consequences: annotate the file with VEP (CSQ) or SnpEff (ANN).",
        path=path,
    )


def _build(lines: Sequence[str]) -> str:
    for line in lines:
        if line.startswith(("##reference=", "##contig=", "##assembly=")):
            text = line.lower()
            if "grch38" in text or "hg38" in text:
                return "GRCh38"
            if "grch37" in text or "hg19" in text or "b37" in text:
                return "GRCh37"
        if line.startswith("#CHROM"):
            break
    return ""


def _columns(
    header: Sequence[str], name: str | None, tumour: str | None, path: Path
) -> list[tuple[int, str]]:
    places = {item: 9 + place for place, item in enumerate(header)}
    if tumour is not None:
        if tumour not in places:
            raise InputError(f"{path}: no sample column {tumour!r}; there are {shown(header)}.")
        return [(places[tumour], name or tumour)]
    for item, place in places.items():
        if item.upper() in ("TUMOR", "TUMOUR"):
            return [(place, name or path.name.split(".")[0])]
    kept = [(place, item) for item, place in places.items() if item.upper() != "NORMAL"]
    return [(place, name) for place, _ in kept[:1]] if name is not None else kept


def _notes(text: str, fields: Sequence[str]) -> list[dict[str, str]]:
    notes = []
    for entry in text.split(",") if text else ():
        cells = dict(zip(fields, entry.split("|"), strict=False))
        notes.append(
            {
                "allele": cells.get("Allele", ""),
                "gene": cells.get("SYMBOL", "") or cells.get("Gene", ""),
                "terms": cells.get("Consequence", ""),
                "change": cells.get("HGVSp", ""),
                "pick": cells.get("PICK", "") or cells.get("CANONICAL", ""),
            }
        )
    return notes


def _worst(notes: list[dict[str, str]], ref: str, alt: str) -> tuple[str, str, str | None]:
    """Return gene, variant class and protein change of an allele's most severe annotation."""
    own = [note for note in notes if _is_allele(note["allele"], ref, alt)] or notes
    chosen = [note for note in own if note["pick"] in ("1", "YES")] or own
    if not chosen:
        return "", "", None
    best = min(chosen, key=lambda note: min(map(_rank, note["terms"].lower().split("&"))))
    term = min(best["terms"].lower().split("&"), key=_rank)
    consequence = CLASS_OF_TERM.get(term, term)
    if consequence == "Frame_Shift":
        consequence += "_Ins" if len(alt) > len(ref) else "_Del"
    return best["gene"], consequence, _short_change(best["change"])


def _rank(term: str) -> int:
    return _SEVERITY.get(term, len(_SEVERITY))


def _is_allele(allele: str, ref: str, alt: str) -> bool:
    """Whether an annotation is of this allele; VEP leaves out the first common base of indels."""
    shorter = alt[1:] or "-" if len(ref) != len(alt) and ref[:1] == alt[:1] else alt
    return allele in (alt, shorter)


def _short_change(text: str) -> str | None:
    """Return p.Arg132His of HGVS as p.R132H."""
    change = text.rpartition(":")[2].replace("%3D", "=")
    if not change:
        return None
    for long, short in _THREE.items():
        change = change.replace(long, short)
    return change


def _carriers(
    cells: Sequence[str],
    columns: Sequence[tuple[int, str]],
    name: str | None,
    index: int,
    min_fraction: float,
) -> Iterator[str]:
    if not columns:
        # A file without sample columns is the list of one tumour's mutations.
        if name is not None:
            yield name
        return
    keys = cells[8].split(":")
    for place, sample in columns:
        call = dict(zip(keys, cells[place].split(":"), strict=False))
        alleles = re.split(r"[/|]", call.get("GT", ""))
        if "GT" in call and str(index) not in alleles:
            continue
        share = _fraction(call, index)
        if share is None or share >= min_fraction:
            yield sample


def _fraction(call: Mapping[str, str], index: int) -> float | None:
    try:
        if call.get("AF"):
            return float(call["AF"].split(",")[index - 1])
        depths = [int(item) for item in call.get("AD", "").split(",")]
        return depths[index] / sum(depths) if sum(depths) else None
    except (ValueError, IndexError):
        return None
