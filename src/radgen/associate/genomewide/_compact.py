"""Store all tests of a linear scan in two bytes each, and read them again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.blocks import block_ranges
from radgen._core.files import atomic_path, write_text
from radgen.associate.genomewide._design import TraitGroup
from radgen.associate.genomewide._rows import (
    COLUMNS,
    HIST_BINS,
    QUANTA,
    UNDEFINED,
    Grid,
    TestRows,
    to_frame,
)
from radgen.errors import FormatError, InputError, shown

__all__ = ["CompactStore", "read_compact"]

_MOST_TRAITS = 20_000
_MOST_GROUPS = 16
_TESTS_A_PART = 20_000_000
_VERSION = 1
_NOTE = (
    "All tests of a linear scan. t-*.parquet: a row a variant, in the order of the genotypes; "
    "column t_NAME is the t statistic of trait NAME in steps of 1/1024 (null = undefined, "
    "+-32767 = at least 32 in size: see hits.parquet). traits.parquet: group, samples, rank and "
    "length (norm) of each trait. With n, spread of the trait's group: df = n - rank - 1, "
    "se = norm / sqrt(spread * (df + t^2)), beta = t * se, p from Student's t with df. "
    "hits.parquet: the tests up to the threshold, in double precision."
)


class CompactStore:
    """Where the tests of a scan go when all are kept in short: a folder of Parquet files.

    Parameters
    ----------
    variants : polars.DataFrame
        Variants of the scan.
    names : sequence of str
        Traits.
    groups : sequence of TraitGroup
        Traits by missing people, as the scan has them.
    out : Path
        The folder.
    key : str
        Digest of the scan: what another scan left in the folder is not taken up.
    """

    def __init__(
        self,
        variants: pl.DataFrame,
        names: Sequence[str],
        groups: Sequence[TraitGroup],
        out: Path,
        key: str,
    ) -> None:
        if len(names) > _MOST_TRAITS:
            raise InputError(
                f"{len(names)} traits are too many for a compact table (at most {_MOST_TRAITS}). "
                "Give a threshold, or scan parts of them."
            )
        if out.exists() and not out.is_dir():
            raise InputError(f"{out} is a file; a compact scan is a folder. Choose another name.")
        self.variants, self.names, self.groups = variants, tuple(names), tuple(groups)
        self.out, self.key = out, f"{key}-{_TESTS_A_PART}"
        self.hist: NDArray[np.int64] = np.zeros((len(names), HIST_BINS), np.int64)
        self.best = pl.DataFrame()
        self._parts: list[list[tuple[int, int]]] = []
        self._rows: list[TestRows] = []
        self._counts = np.zeros_like(self.hist)
        self._frames: list[pl.DataFrame] = []
        self._part = 0

    def todo(self, blocks: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Return the blocks that no finished part holds; take up what the parts hold."""
        self._parts = _parts(blocks, len(self.names))
        mark = self.out / "scan.json"
        if self.out.exists():
            known = json.loads(mark.read_text("utf-8")) if mark.exists() else {}
            if known.get("key") != self.key:
                _clear(self.out)
        self.out.mkdir(parents=True, exist_ok=True)
        write_text(mark, json.dumps({"version": _VERSION, "key": self.key, "note": _NOTE}))
        while self._part < len(self._parts) and (self.out / _name("counts", self._part)).exists():
            counts = pl.read_parquet(self.out / _name("counts", self._part))
            self.hist += counts["count"].to_numpy().reshape(self.hist.shape)
            self._take(pl.read_parquet(self.out / _name("hits", self._part)))
            self._part += 1
        return [block for part in self._parts[self._part :] for block in part]

    def add(self, rows: TestRows) -> None:
        """Take the tests of the next block."""
        self._counts += rows.hist
        self._rows.append(TestRows(rows.columns, np.empty((0, HIST_BINS), np.int64), rows.grid))
        if len(self._rows) == len(self._parts[self._part]):
            self._flush()

    def _flush(self) -> None:
        hits = to_frame(self._rows, self.variants, self.names)
        table = self._table([row.grid for row in self._rows if row.grid is not None])
        self._rows = []
        self._write("t", table)
        del table
        self._write("hits", hits)
        self._write("counts", pl.DataFrame({"count": self._counts.ravel()}))
        self.hist += self._counts
        self._counts[:] = 0
        self._part += 1
        self._take(hits)

    def _write(self, name: str, frame: pl.DataFrame) -> None:
        with atomic_path(self.out / _name(name, self._part)) as path:
            frame.write_parquet(path, compression="lz4", statistics=False)

    def _table(self, grids: Sequence[Grid]) -> pl.DataFrame:
        first = grids[0].start
        count = sum(len(grid.n) for grid in grids)
        where = self.variants[first : first + count].select("chrom", "pos", "id", "ref", "alt")
        columns = where.get_columns()
        for number in range(min(len(self.groups), _MOST_GROUPS)):
            columns += [
                pl.Series(f"n_{number}", np.concatenate([grid.n[:, number] for grid in grids])),
                pl.Series(
                    f"alt_freq_{number}", np.concatenate([grid.freq[:, number] for grid in grids])
                ),
                pl.Series(
                    f"spread_{number}", np.concatenate([grid.spread[:, number] for grid in grids])
                ),
            ]
        for low, high in block_ranges(len(self.names), 256):
            wide = np.concatenate([grid.t[low:high] for grid in grids], axis=1)
            undefined = wide.min(axis=1, initial=0) == UNDEFINED  # the least of all int16
            for name, values, some in zip(self.names[low:high], wide, undefined, strict=True):
                series = pl.Series(f"t_{name}", values)
                columns.append(series.set(series == UNDEFINED, None) if some else series)
        return pl.DataFrame(columns)

    def _take(self, frame: pl.DataFrame) -> None:
        lead = frame.sort("log10p", maintain_order=True)
        lead = lead.group_by("phenotype", maintain_order=True).first()
        self.best = pl.concat([self.best, lead]) if self.best.height else lead
        self._frames.append(frame)

    def finish(self) -> pl.DataFrame:
        """Write traits and hits, and return the hits."""
        hits = pl.concat([to_frame([], self.variants, self.names), *self._frames])
        for name, frame in (("traits", self._traits()), ("hits", hits)):
            with atomic_path(self.out / f"{name}.parquet") as path:
                frame.write_parquet(path)
        for part in range(self._part):
            for name in ("hits", "counts"):
                (self.out / _name(name, part)).unlink(missing_ok=True)
        return hits

    def _traits(self) -> pl.DataFrame:
        rows: list[dict[str, Any]] = [{}] * len(self.names)
        for number, group in enumerate(self.groups):
            for trait, norm in zip(group.traits, group.norm, strict=True):
                rows[trait] = {
                    "phenotype": self.names[trait],
                    "group": number if number < _MOST_GROUPS else 0,
                    "n": group.n_samples,
                    "rank": group.rank,
                    "norm": norm,
                    "exact": number < _MOST_GROUPS,
                }
        return pl.DataFrame(rows)


def _name(kind: str, part: int) -> str:
    return f"{kind}-{part:06d}.parquet"


def _parts(blocks: Sequence[tuple[int, int]], n_traits: int) -> list[list[tuple[int, int]]]:
    """Return the blocks in parts of about _TESTS_A_PART tests, whoever computes them."""
    parts: list[list[tuple[int, int]]] = []
    size = _TESTS_A_PART
    for start, stop in blocks:
        tests = (stop - start) * n_traits
        if not parts or size + tests > _TESTS_A_PART:
            parts.append([])
            size = 0
        parts[-1].append((start, stop))
        size += tests
    return parts


def _clear(folder: Path) -> None:
    """Empty a folder of an earlier scan; refuse one that holds anything else."""
    strange = [
        item.name
        for item in folder.iterdir()
        if not (item.name == "scan.json" or item.suffix == ".parquet")
    ]
    if strange:
        raise InputError(f"{folder} holds other files, such as {shown(strange)}. Choose another.")
    shutil.rmtree(folder)


def read_compact(
    folder: str | Path,
    traits: Sequence[str] | None = None,
    *,
    variants: pl.Expr | None = None,
) -> pl.DataFrame:
    """Return tests of a scan that was stored in the compact layout.

    Parameters
    ----------
    folder : str or Path
        What ``gwas(..., layout="compact", out=folder)`` wrote.
    traits : sequence of str or None
        Which traits; None = all.
    variants : polars.Expr or None
        Which variants, by chrom, pos, id, ref, alt; None = all.

    Returns
    -------
    polars.DataFrame
        The columns of `GwasResult.frame`, in the order of the traits, then of the variants. t is
        within 0.0006 of the exact value up to 32 in size and 32 beyond; the hits of the scan are
        exact. beta and se follow from t without further loss where no call is missing; with m
        missing calls of n people se may be off by about sqrt(m / 2) / n of itself.

    Raises
    ------
    FormatError
        If the folder holds no finished compact scan.
    InputError
        If a trait is unknown.
    """
    from radgen.stats.tail import t_log10p

    place = Path(folder)
    if not (place / "traits.parquet").exists():
        raise FormatError("holds no finished compact scan (no traits.parquet).", path=place)
    about = pl.read_parquet(place / "traits.parquet")
    known = {row["phenotype"]: row for row in about.iter_rows(named=True)}
    names = list(known) if traits is None else list(traits)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(f"The scan has no trait {unknown[0]!r}; it has {shown(list(known))}.")
    table = pl.scan_parquet(place / "t-*.parquet")
    table = table if variants is None else table.filter(variants)
    groups = sorted({known[name]["group"] for name in names})
    sides = [f"{what}_{group}" for group in groups for what in ("n", "alt_freq", "spread")]
    where = ["chrom", "pos", "id", "ref", "alt"]
    held = table.select(*where, *sides, *(f"t_{name}" for name in names)).collect()
    hits = pl.read_parquet(place / "hits.parquet").select(COLUMNS)
    out = []
    for name in names:
        row = known[name]
        group = row["group"]
        t = held[f"t_{name}"].cast(pl.Float64).to_numpy() / QUANTA
        n = held[f"n_{group}"].to_numpy().astype(float)
        spread = held[f"spread_{group}"].to_numpy()
        if not row["exact"]:
            share = row["n"] / about.filter(pl.col("exact") & (pl.col("group") == 0))["n"][0]
            n, spread = np.rint(n * share), spread * share
        df = n - row["rank"] - 1.0
        with np.errstate(invalid="ignore", divide="ignore"):
            left = (n - row["rank"]) / (row["n"] - row["rank"])
            se = row["norm"] * np.sqrt(left / (spread * (df + t * t)))
        log10p = t_log10p(t, df)
        numbers = {"n": n.astype(np.int32), "alt_freq": held[f"alt_freq_{group}"].cast(pl.Float64)}
        with np.errstate(under="ignore"):
            numbers |= {"beta": t * se, "se": se, "t": t, "log10p": log10p, "p": 10.0**log10p}
        frame = held.select(pl.lit(name).alias("phenotype"), *where).with_columns(
            pl.Series(key, item) for key, item in numbers.items()
        )
        own = hits.filter(pl.col("phenotype") == name).unique(where, keep="first")
        out.append(frame.select(COLUMNS).update(own, on=["phenotype", *where]))
    return pl.concat(out)
