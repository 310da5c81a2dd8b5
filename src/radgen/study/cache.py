"""Content-addressed results of steps: written whole or not at all, checked when read."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import polars as pl

from radgen._core.digest import digest, digest_file
from radgen._core.files import write_text
from radgen.errors import FormatError
from radgen.types import OmicsTable, PhenotypeTable, Result

__all__ = ["Cache", "Codec", "FileDigests", "codec_of", "frame_codec", "omics_codec"]

T = TypeVar("T")
_log = logging.getLogger(__name__)
_META = "entry.json"
_FRESH_S = 2.0

Stored = tuple[dict[str, pl.DataFrame], dict[str, Any]]


@dataclass(frozen=True)
class Codec(Generic[T]):
    """How one type is stored as tables (Parquet) and plain values (JSON).

    Attributes
    ----------
    encoding_type, encoding_version : str, int
        Written into the sidecar; another one is not read.
    encode, decode : callable
        To and from (tables, plain values).
    """

    encoding_type: str
    encoding_version: int
    encode: Callable[[T], Stored]
    decode: Callable[[dict[str, pl.DataFrame], dict[str, Any]], T]


def frame_codec() -> Codec[pl.DataFrame]:
    """Return the codec of a single table."""
    return Codec("frame", 1, lambda frame: ({"frame": frame}, {}), lambda t, _: t["frame"])


def codec_of(kind: type[Any]) -> Codec[Any]:
    """Return the codec of a result class, of phenotype tables or of single tables.

    Raises
    ------
    FormatError
        If the type has no codec.
    """
    if kind is pl.DataFrame:
        return frame_codec()
    if kind is PhenotypeTable:
        return Codec("phenotypes", 1, _encode_phenotypes, _decode_phenotypes)
    if kind is OmicsTable:
        return omics_codec()
    if issubclass(kind, Result):
        return Codec(kind.kind, kind.version, lambda value: value.encode(), kind.decode)
    raise FormatError(f"A {kind.__name__} has no stored form.")


def _encode_phenotypes(table: PhenotypeTable) -> Stored:
    samples = pl.DataFrame({"sample": list(table.samples)}, schema={"sample": pl.String})
    names = [f"v{j}" for j in range(table.n_phenotypes)]
    values = pl.DataFrame(np.array(table.values), schema=dict.fromkeys(names, pl.Float64))
    return {
        "samples": samples,
        "values": values,
        "specs": table.specs,
        "status": table.status,
    }, {}


def _decode_phenotypes(tables: dict[str, pl.DataFrame], _plain: dict[str, Any]) -> PhenotypeTable:
    samples = tuple(tables["samples"]["sample"].to_list())
    values = tables["values"].to_numpy() if tables["values"].width else np.empty((len(samples), 0))
    return PhenotypeTable(samples, values, tables["specs"], tables["status"])


def omics_codec() -> Codec[OmicsTable]:
    """Return the codec of molecular layers."""

    def encode(table: OmicsTable) -> Stored:
        names = [f"v{j}" for j in range(table.n_features)]
        return {
            "samples": pl.DataFrame({"sample": list(table.samples)}),
            "features": pl.DataFrame({"feature": list(table.features)}),
            "values": pl.DataFrame(np.array(table.values), schema=dict.fromkeys(names, pl.Float64)),
        }, {"layer": table.layer, "scale": table.scale}

    def decode(tables: dict[str, pl.DataFrame], plain: dict[str, Any]) -> OmicsTable:
        return OmicsTable(
            tuple(tables["samples"]["sample"].to_list()),
            tuple(tables["features"]["feature"].to_list()),
            tables["values"].to_numpy(),
            plain["layer"],
            plain["scale"],
        )

    return Codec("omics", 1, encode, decode)


class Cache:
    """A folder of entries, each named by the digest of what made it.

    Parameters
    ----------
    folder : Path
        Where entries lie: ``folder/<step>/<key>/`` with Parquet files and ``entry.json``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def key(self, step: str, version: int, params: Any, inputs: Any) -> str:
        """Return the key of a result: the digest of step, version, parameters and inputs."""
        return digest(step, version, params, inputs)

    def load(self, step: str, key: str, codec: Codec[T]) -> T | None:
        """Return a stored result; None where there is none or it is damaged.

        Notes
        -----
        Every file is checked against the digest in the sidecar. An entry that does not fit is
        removed, so that it is computed again.
        """
        entry = self.folder / step / key
        if not entry.is_dir():
            return None
        try:
            return _read_entry(entry, step, key, codec)
        except (FormatError, OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError):
            _log.warning("A stored result of step %s is damaged; it is computed again.", step)
            shutil.rmtree(entry, ignore_errors=True)
            return None

    def store(self, step: str, key: str, value: T, codec: Codec[T]) -> None:
        """Write a result: all files to a temporary folder, synced, then one rename."""
        parent = self.folder / step
        parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=parent, prefix=".writing-"))
        try:
            _write_entry(temporary, step, key, value, codec)
            final = parent / key
            try:
                temporary.rename(final)
            except OSError:
                if not final.is_dir():
                    raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def has(self, step: str, key: str) -> bool:
        """Return whether an entry of this name lies there; it may still prove damaged."""
        return (self.folder / step / key).is_dir()

    def sweep(self) -> None:
        """Remove what killed runs left half-written; call it while the folder is locked."""
        for leftover in self.folder.glob("*/.writing-*"):
            shutil.rmtree(leftover, ignore_errors=True)


def _write_entry(folder: Path, step: str, key: str, value: T, codec: Codec[T]) -> None:
    tables, plain = codec.encode(value)
    files = {}
    for name, frame in tables.items():
        path = folder / f"{name}.parquet"
        frame.write_parquet(path, compression="zstd", statistics=False)
        _sync(path)
        files[path.name] = digest_file(path)
    meta = {
        "encoding_type": codec.encoding_type,
        "encoding_version": codec.encoding_version,
        "step": step,
        "key": key,
        "files": files,
        "plain": plain,
    }
    sidecar = folder / _META
    sidecar.write_text(json.dumps({"digest": _meta_digest(meta), **meta}), encoding="utf-8")
    _sync(sidecar)


def _read_entry(folder: Path, step: str, key: str, codec: Codec[T]) -> T:
    meta = json.loads((folder / _META).read_text(encoding="utf-8"))
    claimed = meta.pop("digest")
    expected = (codec.encoding_type, codec.encoding_version, step, key)
    found = (meta["encoding_type"], meta["encoding_version"], meta["step"], meta["key"])
    if claimed != _meta_digest(meta) or found != expected:
        raise FormatError("The sidecar does not fit.", path=folder)
    tables = {}
    for name, known in meta["files"].items():
        path = folder / name
        if digest_file(path) != known:
            raise FormatError("The content changed after it was written.", path=path)
        tables[path.stem] = pl.read_parquet(path)
    return codec.decode(tables, meta["plain"])


def _meta_digest(meta: Mapping[str, Any]) -> str:
    return digest(json.dumps(meta, sort_keys=True))


def _sync(path: Path) -> None:
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


class FileDigests:
    """Digests of input files, remembered by path, size and time of change.

    Paths are kept as digests, since folders may be named after people.

    Parameters
    ----------
    path : Path
        Where they are kept between runs. A file that changed less than two seconds before it
        was read is not remembered, since another change might bear the same time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.used: dict[str, str] = {}
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
            self._known: dict[str, Any] = known if isinstance(known, dict) else {}
        except (OSError, ValueError):
            self._known = {}

    def of(self, path: Path) -> str:
        """Return the SHA-256 of a file, or of all files of a folder."""
        name = str(path.absolute())
        if name in self.used:
            return self.used[name]
        if path.is_dir():
            parts = [
                [item.relative_to(path).as_posix(), self._file(item)]
                for item in sorted(path.rglob("*"))
                if item.is_file()
            ]
            self.used[name] = digest(parts)
        else:
            self.used[name] = self._file(path)
        return self.used[name]

    def _file(self, path: Path) -> str:
        name = digest(str(path.absolute()))
        state = path.stat()
        mark = [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]
        known = self._known.get(name)
        if isinstance(known, list) and len(known) == 2 and known[0] == mark:
            return str(known[1])
        found = digest_file(path)
        newest = max(state.st_mtime, state.st_ctime)
        if time.time() - newest > _FRESH_S:
            self._known[name] = [mark, found]
        return found

    def save(self) -> None:
        """Keep the digests for the next run."""
        write_text(self.path, json.dumps(self._known))
