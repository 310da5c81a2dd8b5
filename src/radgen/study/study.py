"""A study: read its file, check it, run it."""

from __future__ import annotations

import json
import logging
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from radgen._core.digest import digest, digest_file
from radgen._core.executors import executor
from radgen._core.files import atomic_path, write_text
from radgen.errors import ConfigError, InputError, RadgenError, RadgenWarning
from radgen.study._toml import Location
from radgen.study.analyses import Analysed, run_analyses, tables_of
from radgen.study.cache import Cache, FileDigests, codec_of
from radgen.study.context import Context, collected_warnings, log_to
from radgen.study.gather import Gathered, gather
from radgen.study.imaging import Imaging, image_phenotypes
from radgen.study.lock import lock_folder
from radgen.study.matrix import Matrix, harmonised
from radgen.study.problems import Problem, raise_problems
from radgen.study.provenance import Recorder
from radgen.study.references import check_references
from radgen.study.reporting import write_study_report
from radgen.study.responding import measure_response
from radgen.study.schema import StudySettings
from radgen.study.select import usable
from radgen.study.settings import load_settings, salvage_settings
from radgen.study.trusting import measured_repeats
from radgen.types import PhenotypeTable, Result

__all__ = ["Study", "StudyRun"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class StudyRun:
    """What a run gave.

    Attributes
    ----------
    out : Path
        Output folder: ``report.html``, ``tables/``, ``provenance.json``, ``run.log``, ``cache/``.
    report : Path
        The report.
    analyses : tuple of Analysed
        Each analysis of the study file with its result, in order.
    phenotypes : PhenotypeTable
        The matrix that analyses used, before harmonisation.
    flow : polars.DataFrame
        Columns ``step, n, dropped, reason``.
    n_scans, n_failed_scans : int
        Scans named, and scans that could not be measured.
    failures : tuple of str
        Analyses that could not be done, with the reason.
    outputs : mapping of str to str
        Digest of the content of each table.
    """

    out: Path
    report: Path
    analyses: tuple[Analysed, ...]
    phenotypes: PhenotypeTable
    flow: pl.DataFrame
    n_scans: int
    n_failed_scans: int
    failures: tuple[str, ...]
    outputs: Mapping[str, str]

    @property
    def results(self) -> dict[str, Result]:
        """Results of the analyses that could be done, by name."""
        return {item.name: item.result for item in self.analyses if item.result is not None}

    @property
    def complete(self) -> bool:
        """Whether every scan was measured and every analysis done."""
        return not self.n_failed_scans and not self.failures


@dataclass(frozen=True, eq=False)
class Study:
    """A study file, read and checked against the schema.

    Attributes
    ----------
    path : Path
        The study file.
    settings : StudySettings
        Its content.
    lines : mapping
        Line of each of its keys.

    Notes
    -----
    Everything that a study does can be done without one, by calling the functions of `radgen.io`,
    `radgen.features`, `radgen.phenotype`, `radgen.associate` and `radgen.predict`.
    """

    path: Path
    settings: StudySettings
    lines: Mapping[Location, int]

    @classmethod
    def load(cls, path: str | Path) -> Study:
        """Return a study of its file.

        Raises
        ------
        ConfigError
            With every unknown key, missing key and wrong value of the file at once.
        """
        file = Path(path)
        settings, lines = load_settings(file)
        return cls(file, settings, lines)

    @classmethod
    def problems_of(cls, path: str | Path, *, scans: bool = False) -> list[Problem]:
        """Return every problem of a study file and of the files it names, [] where there is none.

        Keys that are wrong are reported and left out, and the rest is checked all the same.

        Parameters
        ----------
        path : str or Path
            The study file.
        scans : bool, default False
            Open every scan and mask too, which takes as long as reading them.

        Raises
        ------
        ConfigError
            If the file is missing or no TOML.
        """
        file = Path(path)
        settings, lines, problems = salvage_settings(file)
        if settings is None:
            return problems
        return sorted({*problems, *cls(file, settings, lines).check(scans=scans)})

    def check(self, *, scans: bool = False) -> list[Problem]:
        """Return everything that is wrong with the study's files, [] where nothing is.

        Parameters
        ----------
        scans : bool, default False
            Open every scan and mask too, which takes as long as reading them.
        """
        found = self._gather()
        problems = list(found.problems)
        for text in found.doubts:
            warnings.warn(text, RadgenWarning, stacklevel=2)
        if found.scans:
            from radgen.study.scan_check import check_scans

            problems += check_scans(found, deep=scans)
        return sorted(set(problems))

    def run(self, out: str | Path, *, jobs: int = 1, cluster: str | None = None) -> StudyRun:
        """Run all steps and write the report.

        Parameters
        ----------
        out : str or Path
            Output folder. What an earlier run finished there is used again.
        jobs : int, default 1
            Processes of this machine; 0 = one a processor.
        cluster : str or None
            Address of a Dask scheduler.

        Returns
        -------
        StudyRun
            Results and where they lie.

        Raises
        ------
        ConfigError
            With every problem of the study's tables at once.
        InputError
            If another run holds the folder, or nothing could be measured.
        """
        folder = Path(out)
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file; --out needs a folder.")
        found = self._gather()
        raise_problems(sorted(set(found.problems)), what=f"The study {self.path} cannot be run")
        with lock_folder(folder), log_to(folder / "run.log"):
            _log.info("Run of a study with %d samples.", len(found.image_samples))
            try:
                with executor(jobs, cluster) as pool:
                    return self._run(found, folder, pool, workers=_workers(jobs, cluster))
            except Exception as error:
                # The message is for the screen: it may name samples, which the log must not.
                lines = "" if isinstance(error, RadgenError) else "".join(_places(error))
                _log.error("The run ended with %s.\n%s", type(error).__name__, lines)
                raise

    def _gather(self) -> Gathered:
        found = gather(self.settings, self.path, self.lines)
        check_references(found)
        return found

    def _run(self, found: Gathered, folder: Path, pool: Any, *, workers: str) -> StudyRun:
        cache = Cache(folder / "cache")
        cache.sweep()
        recorder = Recorder(
            folder / "provenance.json",
            {
                "file": self.path.name,
                "digest": digest_file(self.path),
                "seed": self.settings.study.seed,
                "settings": self.settings.model_dump(mode="json"),
            },
            workers=workers,
        )
        context = Context(folder, cache, FileDigests(cache.folder / "files.json"), recorder, pool)
        context.limits += found.doubts
        for key, path in found.files.items():
            recorder.inputs[key] = {"sha256": context.files.of(path), "bytes": path.stat().st_size}
        measure_response(found, context)
        imaging = image_phenotypes(found, context)
        context.files.save()
        matrix = self._matrix(found, imaging, context)
        analyses = run_analyses(found, matrix, context)
        return _finish(found, imaging, matrix, analyses, context)

    def _matrix(self, found: Gathered, imaging: Imaging, context: Context) -> Matrix:
        table, notes = usable(imaging.table, self.settings.features.max_missing, found.losses)
        context.limits += notes
        if imaging.n_failed:
            context.limits.append(f"{imaging.n_failed} scans could not be measured.")
        repeats, repeatability = measured_repeats(found, table, context, imaging.maps.units)
        settings = self.settings.harmonise
        if settings is None or settings.method == "none":
            return Matrix(table, None, imaging.key, repeats, repeatability)
        frame = found.sheet.frame.select("sample", *settings.columns)
        inputs = [imaging.key, table.samples, table.names, frame.to_dict(as_series=False)]
        before = found.losses
        with collected_warnings(context.limits):
            done, key = context.step(
                "harmonise",
                3,
                params=settings.model_dump(mode="json"),
                inputs=inputs,
                compute=lambda: harmonised(table, found.sheet, settings, type(before)()),
                codec=codec_of(PhenotypeTable),
            )
        gone = sorted(set(table.samples) - set(done.samples))
        reason = "site, scanner or a kept covariate is not known, or its group is too small"
        before.note("samples harmonised", done.n_samples, dict.fromkeys(gone, reason))
        return Matrix(table, done, key, repeats, repeatability)


def _places(error: Exception) -> list[str]:
    return traceback.format_tb(error.__traceback__)


def _workers(jobs: int, cluster: str | None) -> str:
    return "dask cluster" if cluster else "serial" if jobs == 1 else f"{jobs or 'all'} processes"


def _finish(
    found: Gathered,
    imaging: Imaging,
    matrix: Matrix,
    analyses: list[Analysed],
    context: Context,
) -> StudyRun:
    tables = {
        "phenotypes": matrix.raw.to_frame(),
        "phenotype-specs": matrix.raw.specs,
        "status": imaging.table.status,
        "flow": found.losses.flow(),
        "losses": found.losses.table(),
        "kept-and-lost": found.losses.compare(found.sheet.frame, matrix.raw.samples),
    }
    if matrix.harmonised is not None:
        tables["phenotypes-harmonised"] = matrix.harmonised.to_frame()
    if imaging.long is not None:
        tables["features-long"] = imaging.long
    if found.lesions is not None:
        tables["response-lesions"] = found.lesions
    tables |= tables_of(analyses)
    outputs = {name: frame_digest(frame) for name, frame in sorted(tables.items())}
    for name, frame in tables.items():
        with atomic_path(context.out / "tables" / f"{name}.parquet") as temporary:
            frame.write_parquet(temporary)
    write_text(context.out / "outputs.json", json.dumps(outputs, indent=1) + "\n")
    report = write_study_report(found, imaging, matrix, analyses, context)
    context.recorder.write(finished=True)
    n_scans = len(found.scans) or imaging.table.n_samples
    _log.info("The run ended; %d scans failed.", imaging.n_failed)
    return StudyRun(
        context.out,
        report,
        tuple(analyses),
        matrix.raw,
        found.losses.flow(),
        n_scans,
        imaging.n_failed,
        tuple(context.failures),
        outputs,
    )


def frame_digest(frame: pl.DataFrame) -> str:
    """Return the digest of a table's content: names, types and values in order.

    Raises
    ------
    ConfigError
        If a column has a type that tables of radgen do not hold.
    """
    parts: list[Any] = []
    for column in frame:
        if column.dtype.is_float():
            parts += [
                column.name,
                str(column.dtype),
                column.to_numpy(),
                column.is_null().to_numpy(),
            ]
        elif column.dtype.is_nested():
            raise ConfigError(f"Column {column.name!r} is nested.")
        else:
            if column.dtype in (pl.String, pl.Categorical, pl.Enum):
                texts: list[str | None] = column.cast(pl.String).to_list()
            else:
                texts = [None if item is None else str(item) for item in column.to_list()]
            parts += [column.name, str(column.dtype), texts]
    return digest(*parts)
