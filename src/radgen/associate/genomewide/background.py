"""Read predictions of a first step, and match them to the people of a scan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.associate.genomewide._design import group_traits
from radgen.associate.genomewide._input import GwasInput
from radgen.errors import FormatError, InputError, shown
from radgen.io.sample_table import read_sample_table
from radgen.types import FrameLike, check_unique, to_polars

if TYPE_CHECKING:
    from radgen.associate.genomewide.ridge import RidgeResult

__all__ = ["offsets", "read_background", "take_off"]

Array = NDArray[np.float64]
_SCALES = {"linear": ("trait", "sd"), "logistic": ("logit",), "cox": ("log hazard",)}
_UNITS = {"linear": "sd", "logistic": "logit", "cox": "log hazard"}


def read_background(
    path: str | Path,
    *,
    binary: bool = False,
    model: Literal["linear", "logistic", "cox"] | None = None,
    ids: Literal["iid", "fid_iid"] = "iid",
) -> pl.DataFrame:
    """Return the predictions of a first step, of this program or of REGENIE.

    Parameters
    ----------
    path : str or Path
        Table that `polygenic_background` gave (.parquet, .tsv, .csv), or REGENIE's
        ``*_pred.list``: a line a trait with its name and its ``.loco`` file.
    binary : bool, default False
        Whether the traits of a REGENIE list are binary, so that predictions are log odds; the
        same as model="logistic".
    model : {"linear", "logistic", "cox"} or None
        What the traits of a REGENIE list are: predictions of "cox" are log hazards.
    ids : {"iid", "fid_iid"}
        How the samples of a REGENIE list are named: see Notes, or the whole word FID_IID.

    Returns
    -------
    polars.DataFrame
        chrom, sample, scale, and one column a trait. Scale "sd" (quantitative traits of
        REGENIE) means standard deviations of the trait beside its covariates.

    Raises
    ------
    FormatError
        If a file is missing or breaks its format.

    Notes
    -----
    REGENIE names samples FID_IID in one word. The part after the last underscore is taken;
    where that is not unique, the whole word.
    """
    file = Path(path)
    unit = _UNITS[model or ("logistic" if binary else "linear")]
    if file.suffix.lower() != ".list":
        return read_sample_table(file)
    if not file.exists():
        raise FormatError("does not exist.", path=file)
    out: pl.DataFrame | None = None
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 2:
            raise FormatError("needs a trait and a file a line.", path=file, line=number)
        own = _read_loco(_beside(file, fields[1]), fields[0], whole=ids == "fid_iid")
        key = ["chrom", "sample"]
        out = (
            own
            if out is None
            else out.join(own, on=key, how="full", coalesce=True, maintain_order="left_right")
        )
    if out is None:
        raise FormatError("names no trait.", path=file)
    return out.insert_column(2, pl.lit(unit).alias("scale"))


def _beside(file: Path, name: str) -> Path:
    """Return a file as it is named, or of that name beside the list (a folder that moved)."""
    there = Path(name)
    return there if there.exists() else file.parent / there.name


def _read_loco(path: Path, trait: str, *, whole: bool) -> pl.DataFrame:
    if not path.exists():
        raise FormatError("does not exist.", path=path)
    lines = path.read_text("utf-8").splitlines()
    names = lines[0].split()[1:] if lines else []
    if not names or lines[0].split()[0] != "FID_IID":
        raise FormatError("does not begin with FID_IID and samples.", path=path, line=1)
    short = [name.rsplit("_", 1)[-1] for name in names]
    ids = short if len(set(short)) == len(short) and not whole else names
    parts = []
    for number, line in enumerate(lines[1:], 2):
        chrom, *fields = line.split()
        try:
            values = [None if item == "NA" else float(item) for item in fields]
        except ValueError as error:
            raise FormatError(f"holds no number: {error}", path=path, line=number) from error
        if len(values) != len(ids):
            raise FormatError(
                f"has {len(values)} values for {len(ids)} samples.", path=path, line=number
            )
        parts.append(pl.DataFrame({"chrom": [chrom] * len(ids), "sample": ids, trait: values}))
    if not parts:
        raise FormatError("has no line of predictions.", path=path)
    return pl.concat(parts)


def offsets(loco: RidgeResult | FrameLike, data: GwasInput, model: str) -> dict[str, Array]:
    """Return the predictions of each chromosome (n_samples, n_traits), matched by id.

    A trait without any prediction is NaN throughout; who misses a trait has 0.

    Raises
    ------
    InputError
        If the table is of another model, a chromosome of the scan is missing, or a sample
        that has the trait has no prediction.
    """
    from radgen.associate.genomewide.ridge import RidgeResult

    frame = loco.frame if isinstance(loco, RidgeResult) else to_polars(loco, what="loco table")
    traits = list(data.names)
    missing = [name for name in ("chrom", "sample", *traits) if name not in frame.columns]
    if missing:
        raise InputError(f"The loco table lacks the columns {shown(missing)}.")
    unit = _units(frame, data, model)
    frame = frame.with_columns(pl.col("chrom", "sample").cast(pl.String))
    lost = set(data.genotypes.variants["chrom"].unique().to_list()) - set(frame["chrom"])
    if lost:
        raise InputError(f"The loco predictions lack the chromosomes {shown(sorted(lost))}.")
    order = pl.DataFrame({"sample": list(data.genotypes.samples)})
    seen = np.isfinite(data.values)
    out: dict[str, Array] = {}
    for (chrom,), part in frame.group_by("chrom", maintain_order=True):
        check_unique(part["sample"].to_list(), what=f"Loco table of chromosome {chrom}")
        own = order.join(part, on="sample", how="left", maintain_order="left")
        values = own.select(pl.col(traits).cast(pl.Float64).fill_null(np.nan)).to_numpy()
        absent = np.isnan(values) & seen
        dead = ~np.isfinite(part.select(pl.col(traits).cast(pl.Float64)).to_numpy()).any(axis=0)
        absent[:, dead] = False
        if absent.any():
            rows = np.flatnonzero(absent.any(axis=1))
            raise InputError(
                f"{len(rows)} samples have no prediction without chromosome {chrom}, such as "
                f"{shown(own['sample'][rows])}. Run the first step on the same samples."
            )
        values = np.where(seen, values, 0.0) * unit
        values[:, dead] = np.nan
        out[str(chrom)] = values
    return out


def _units(frame: pl.DataFrame, data: GwasInput, model: str) -> Array:
    """Return what the predictions of each trait are multiplied by."""
    ones = np.ones(data.values.shape[1])
    if "scale" not in frame.columns:
        return ones
    scale = frame["scale"][0] if frame.height else "trait"
    if scale not in _SCALES[model]:
        raise InputError(
            f"The loco table is on the scale {scale!r}, but model={model!r} needs "
            f"{' or '.join(_SCALES[model])}: run the first step with the same model."
        )
    if scale == "sd":
        for group in group_traits(data.values, data.covariates):
            ones[group.traits] = group.norm / np.sqrt(max(group.n_samples - group.rank, 1))
    return ones


def take_off(values: Array, known: Array) -> Array:
    """Return traits less their predictions; a trait without one becomes constant, untestable."""
    return np.where(np.isnan(known), 0.0 * values, values - known)
