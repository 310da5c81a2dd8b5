"""Summary statistics of scans, in the columns of whichever program made them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from radgen.errors import FormatError, InputError, shown
from radgen.io._guard import existing, inflate
from radgen.io._variants import human_chromosomes
from radgen.stats.tail import log10p_to_z, normal_log10p
from radgen.types import FrameLike, to_polars

__all__ = [
    "SUMMARY_COLUMNS",
    "read_raw_summary",
    "read_summary_statistics",
    "standard_summary",
]

SUMMARY_COLUMNS = {
    "phenotype": pl.String,
    "chrom": pl.String,
    "pos": pl.Int64,
    "id": pl.String,
    "ref": pl.String,
    "alt": pl.String,
    "n": pl.Float64,
    "alt_freq": pl.Float64,
    "info": pl.Float64,
    "beta": pl.Float64,
    "se": pl.Float64,
    "z": pl.Float64,
    "log10p": pl.Float64,
}
"""Columns of a standard table of summary statistics; effects are per copy of `alt`."""

# In lower case, with one name for "-", ".", " " and "_"; the first that is there counts.
_NAMES: dict[str, Sequence[str]] = {
    "phenotype": ("phenotype",),
    "chrom": ("chrom", "chromosome", "chr", "hm_chrom"),
    "pos": ("pos", "base_pair_location", "genpos", "bp", "position", "ps", "hm_pos"),
    "id": (
        "id", "snp", "rsid", "rs_id", "variant_id", "markername", "markerid", "snpid", "rs",
        "rs_number",
    ),
    "n": ("n", "obs_ct", "n_total", "n_eff", "neff", "totalsamplesize", "weight"),
    "cases": ("n_cas", "n_cases", "ncase", "n_case", "num_cases"),
    "controls": ("n_con", "n_controls", "ncontrol", "n_control", "num_controls"),
    "alt_freq": (
        "alt_freq", "effect_allele_frequency", "a1freq", "a1_freq", "eaf", "af_allele2", "freq1",
        "frq", "af", "freq",
    ),
    "info": ("info", "imputationinfo", "mach_r2", "imp_info"),
    "beta": ("beta", "b", "effect", "log_odds"),
    "odds": ("or", "odds_ratio"),
    "se": ("se", "standard_error", "stderr", "log(or)_se", "sebeta"),
    "z": ("z", "zscore", "z_score", "t_stat", "z_stat", "z_or_t_stat", "tstat", "t"),
    "p": ("p", "p_value", "pvalue", "pval", "p_wald", "p_bolt_lmm", "p_lrt", "p_score"),
    "log": ("log10p", "neg_log_10_p_value", "log10_p", "neglog10p", "mlogp"),
    "test": ("test",),
}  # fmt: skip
# Effect allele and the other one. SAIGE names the effect allele second, all others first.
_ALLELES = (
    ("effect_allele", "other_allele"),
    ("ea", "nea"),
    ("effect_allele", "non_effect_allele"),
    ("alt", "ref"),
    ("allele1", "allele0"),
    ("a1", "a2"),
    ("a1", "a0"),
    ("allele1", "allele2"),
)
_NUMBERS = {
    *("pos", "n", "cases", "controls", "alt_freq", "info", "beta", "odds", "se", "z", "p", "log")
}


@dataclass(frozen=True, slots=True)
class _Found:
    """Which column of a table serves as what."""

    of: dict[str, str]
    effect: str
    other: str


def read_summary_statistics(path: str | Path, *, n: float | None = None) -> pl.DataFrame:
    """Return the tests of a scan in standard columns.

    Parameters
    ----------
    path : str or Path
        Table of `radgen gwas` or `radgen meta` (.parquet or text), PLINK 1.9 and 2, REGENIE,
        GWAS-SSF, SAIGE, GEMMA, BOLT-LMM, METAL, or .sumstats of LDSC; text plain or gzip, parted
        by tabs, commas or spaces.
    n : float or None
        Sample size where the table has none.

    Returns
    -------
    polars.DataFrame
        The columns of `SUMMARY_COLUMNS`; null where the file does not say. `beta`, `z` and
        `alt_freq` belong to `alt`, the effect allele. `z` follows from p and the sign of the
        effect, so that it is right also where p is no Wald test's; where p is missing or 0, it
        is what is given, or beta / se.

    Raises
    ------
    FormatError
        If the file cannot be read, or a needed column is missing (which ones were understood is
        said).
    """
    try:
        return standard_summary(read_raw_summary(path), n=n)
    except InputError as error:
        raise FormatError(str(error), path=path) from error


def read_raw_summary(path: str | Path) -> pl.DataFrame:
    """Return the columns of a table of summary statistics as they are, text as text.

    Raises
    ------
    FormatError
        If the file cannot be read.
    """
    file = existing(path, what="table of summary statistics")
    try:
        return _read(file)
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        reason = str(error).partition("\n")[0]
        raise FormatError(f"is no regular table: {reason}", path=file) from error


def standard_summary(
    table: FrameLike, *, n: float | None = None, need_n: bool = True
) -> pl.DataFrame:
    """Return a table of tests in standard columns: see `read_summary_statistics`.

    Parameters
    ----------
    table : data frame
        In the columns of any of the programs.
    n : float or None
        Sample size where the table has none.
    need_n : bool, default True
        Whether the table is refused where the sample size is unknown.

    Raises
    ------
    InputError
        If a needed column is missing, or p-values or standard errors are out of range.

    Examples
    --------
    >>> regenie = {"CHROM": [1], "GENPOS": [9], "ID": ["rs1"], "ALLELE0": ["A"], "ALLELE1": ["G"],
    ...            "N": [100], "BETA": [0.2], "SE": [0.1], "LOG10P": [1.34198]}
    >>> standard_summary(regenie).select("ref", "alt", pl.col("z").round(4)).rows()
    [('A', 'G', 2.0)]
    """
    frame = to_polars(table, what="table of summary statistics")
    found = _recognised(frame)
    of = found.of
    if "test" in of:
        frame = frame.filter(pl.col(of["test"]).cast(pl.String).str.to_uppercase() == "ADD")
    data = {name: frame[column] for name, column in of.items() if name != "test"}
    for name in _NUMBERS & set(data):
        data[name] = data[name].cast(pl.Float64, strict=False).fill_nan(None)
    if "chrom" in data and data["chrom"].dtype.is_float():
        data["chrom"] = data["chrom"].cast(pl.Int64)
    data["alt"], data["ref"] = _alleles(frame, found)
    if "cases" in data and "controls" in data and "n" not in data:
        data["n"] = data["cases"] + data["controls"]
    if "n" not in data and (n is not None or need_n):
        if n is None:
            raise InputError(
                "The table has no sample sizes (a column n): give the number of samples."
            )
        data["n"] = pl.Series([float(n)] * frame.height, dtype=pl.Float64)
    if "odds" in data and "beta" not in data:
        data["beta"] = data["odds"].log()
    _complete(data)
    out = pl.DataFrame(
        [
            data[name].cast(kind, strict=False).alias(name)
            if name in data
            else pl.Series(name, [None] * frame.height, dtype=kind)
            for name, kind in SUMMARY_COLUMNS.items()
        ]
    )
    named = human_chromosomes(out["chrom"].fill_null(""))
    return out.with_columns(pl.when(named != "").then(named).alias("chrom"))


def _read(file: Path) -> pl.DataFrame:
    if file.name.lower().endswith(".parquet"):
        return pl.read_parquet(file)
    text = inflate(file, what="table of summary statistics")
    # Lines before the header: GWAS-SSF and VCF-like files have "##" comments.
    while text.startswith(b"##"):
        text = text.partition(b"\n")[2]
    head = text.partition(b"\n")[0].decode("utf-8-sig")
    mark = "\t" if "\t" in head else "," if "," in head else " "
    if mark == " ":
        lines = text.decode("utf-8-sig").splitlines()
        text = "\n".join(" ".join(line.split()) for line in lines).encode()
    frame = pl.read_csv(
        text, separator=mark, infer_schema=False, null_values=["", "NA", "NaN", "nan", "."]
    )
    frame.columns = [name.lstrip("#").strip() for name in frame.columns]
    return frame


def _plain(name: str) -> str:
    text = name.strip().lstrip("#").lower()
    for mark in "-. ":
        text = text.replace(mark, "_")
    return text


def _recognised(frame: pl.DataFrame) -> _Found:
    known: dict[str, str] = {}
    for name in frame.columns:
        known.setdefault(_plain(name), name)
    of = {}
    for what, names in _NAMES.items():
        hit = next((known[name] for name in names if name in known), None)
        if hit is not None:
            of[what] = hit
    if "af_allele2" in known:
        effect, other = known.get("allele2", ""), known.get("allele1", "")
    elif "a1" in known and {"ref", "alt"} <= set(known):
        effect, other = known["a1"], ""  # PLINK 2: the other one is whichever A1 is not
    else:
        effect, other = next(
            ((known[a], known[b]) for a, b in _ALLELES if a in known and b in known), ("", "")
        )
    lost = [] if effect else ["effect and other allele"]
    if "id" not in of and not {"chrom", "pos"} <= set(of):
        lost.append("id (or chrom and pos)")
    signed = {"beta", "odds", "z"} & set(of)
    if not signed:
        lost.append("beta, odds ratio or z")
    if "z" not in of and not {"se", "p", "log"} & set(of):
        lost.append("standard error or p")
    if lost:
        raise InputError(
            f"The table of summary statistics lacks {shown(lost)}; understood were "
            f"{shown([f'{column} as {what}' for what, column in of.items()], 12) or 'none'}."
        )
    return _Found(of, effect, other)


def _alleles(frame: pl.DataFrame, found: _Found) -> tuple[pl.Series, pl.Series]:
    effect = frame[found.effect].cast(pl.String).str.to_uppercase()
    if found.other:
        return effect, frame[found.other].cast(pl.String).str.to_uppercase()
    names = {_plain(name): name for name in frame.columns}
    ref, alt = (frame[names[name]].cast(pl.String).str.to_uppercase() for name in ("ref", "alt"))
    other = pl.select(pl.when(effect == alt).then(ref).when(effect == ref).then(alt)).to_series()
    return effect, other


def _complete(data: dict[str, pl.Series]) -> None:
    """Fill in z and log10 p from what there is."""
    if "se" in data:
        bad = data["se"].filter(data["se"] < 0)
        if len(bad):
            raise InputError(f"{len(bad)} standard errors are negative, such as {bad[0]}.")
    if "log" in data:
        # Programs write -log10 p; our own column is log10 p.
        sign = -1.0 if (data["log"].max() or 0.0) > 0 else 1.0  # type: ignore[operator]
        data["log10p"] = data["log"] * sign
    elif "p" in data:
        p = data["p"]
        bad = p.filter((p < 0) | (p > 1))
        if len(bad):
            raise InputError(f"{len(bad)} p-values lie outside 0 and 1, such as {bad[0]}.")
        data["log10p"] = pl.select(pl.when(p > 0).then(p.log10())).to_series()
    given = data.get("z")
    if "beta" in data and "se" in data:
        ratio = pl.select(pl.when(data["se"] > 0).then(data["beta"] / data["se"])).to_series()
        given = ratio if given is None else given.fill_null(ratio)
    if "log10p" in data:
        signed = data["beta"] if "beta" in data else data["z"]
        sign = np.sign(signed.fill_null(float("nan")).to_numpy())
        size = log10p_to_z(data["log10p"].fill_null(float("nan")).to_numpy())
        from_p = pl.Series(sign * size).fill_nan(None)
        given = from_p if given is None else from_p.fill_null(given)
    assert given is not None
    data["z"] = given
    missing = pl.Series(normal_log10p(given.fill_null(float("nan")).to_numpy())).fill_nan(None)
    data["log10p"] = data["log10p"].fill_null(missing) if "log10p" in data else missing
