"""Read all tables that a study file names, and list everything that is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from radgen.errors import AlignmentError, FormatError, RadgenError, shown
from radgen.io import read_feature_table, read_table
from radgen.study._toml import Location, line_of
from radgen.study.gene_places import read_places
from radgen.study.layers import (
    link_specimens,
    read_genotypes,
    read_layer,
    read_specimens,
)
from radgen.study.losses import Losses
from radgen.study.matrix import repeated_tables
from radgen.study.problems import Problem
from radgen.study.responding import LesionScans, read_response
from radgen.study.scan_rows import read_scans
from radgen.study.scans import Scan
from radgen.study.schema import StudySettings
from radgen.study.schema.sources import FeatureTableSettings
from radgen.study.set_files import read_sets
from radgen.study.settings import resolve
from radgen.study.sheet import Sheet, beside, io_rule, read_sheet
from radgen.types import GenotypeMatrix, OmicsTable, PhenotypeTable, align
from radgen.types.align import longer_barcodes, look_alikes

if TYPE_CHECKING:
    from radgen.phenotype.response import ResponseResult

__all__ = ["Gathered", "gather"]


@dataclass
class Gathered:
    """Everything read but the scans themselves.

    Attributes
    ----------
    settings : StudySettings
        The study file.
    path : Path
        Where it lies.
    lines : mapping
        Line of each of its keys.
    sheet : Sheet
        Clinical columns, survival times and carried columns.
    scans : list of Scan
        One a sample, after linkage.
    table : PhenotypeTable or None
        The feature table, where there is one.
    layers : dict of str to OmicsTable
        Molecular layers, a row a patient.
    genotypes : GenotypeMatrix or None
        Germline genotypes.
    exomes : dict of str to GenotypeMatrix
        Genotypes of rare variants, by the [[burden]] that names them.
    repeats : dict of str to PhenotypeTable
        Repeated measurements of [reliability], a table a repeat.
    response : ResponseResult or None
        Response to treatment, by [response].
    lesion_scans : LesionScans or None
        Masks of lesions that are measured when the study runs.
    lesions : polars.DataFrame or None
        What was measured in them.
    places : dict of str to polars.DataFrame
        Where genes lie, by the value of the key ``genes``.
    losses : Losses
        Who was lost on the way.
    problems : list of Problem
        What keeps the study from running.
    doubts : list of str
        What does not keep it from running, but should be known before.
    files : dict of str to Path
        Tables that were read, by the key that names them.
    """

    settings: StudySettings
    path: Path
    lines: Mapping[Location, int]
    sheet: Sheet = field(default_factory=lambda: Sheet(pl.DataFrame(schema={"sample": pl.String})))
    scans: list[Scan] = field(default_factory=list)
    table: PhenotypeTable | None = None
    layers: dict[str, OmicsTable] = field(default_factory=dict)
    genotypes: GenotypeMatrix | None = None
    exomes: dict[str, GenotypeMatrix] = field(default_factory=dict)
    repeats: dict[str, PhenotypeTable] = field(default_factory=dict)
    response: ResponseResult | None = None
    lesion_scans: LesionScans | None = None
    lesions: pl.DataFrame | None = None
    places: dict[str, pl.DataFrame] = field(default_factory=dict)
    losses: Losses = field(default_factory=Losses)
    problems: list[Problem] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where relative paths start."""
        return self.path.parent

    @property
    def image_samples(self) -> list[str]:
        """Ids that have an image or a row of features."""
        if self.table:
            return list(self.table.samples)
        return list(dict.fromkeys(scan.sample for scan in self.scans))

    def complain(self, location: Location, what: str, remedy: str = "") -> None:
        """Note a problem of the study file at a key."""
        line = line_of(dict(self.lines), location)
        self.problems.append(Problem(str(self.path), line, what, remedy))

    @contextmanager
    def noting(self, location: Location, file: Path | None = None) -> Iterator[None]:
        """Turn an error of reading into a problem."""
        try:
            yield
        except RadgenError as error:
            self._note(error, location, file)

    def _note(self, error: RadgenError, location: Location, file: Path | None) -> None:
        text = str(error)
        named = isinstance(error, FormatError) and error.path is not None
        if named and isinstance(error, FormatError):
            place, line = str(error.path), error.line or 0
            head = f"{place}{f':{line}' if line else ''}: "
            self.problems.append(Problem(place, line, text.removeprefix(head)))
        elif file is not None:
            self.problems.append(Problem(str(file), 0, text.removeprefix(f"{file}: ")))
        else:
            self.complain(location, text)

    def find(self, text: str, *location: str | int, folder: bool = False) -> Path | None:
        """Return a file (or `folder`) that exists; note a problem where it does not."""
        try:
            path = resolve(text, self.folder)
        except KeyError as error:
            name = error.args[0]
            self.complain(
                location,
                f"{text!r} uses ${{{name}}}, which is not set in the environment.",
                f"Set it: export {name}=/path/to/data",
            )
            return None
        if not path.exists():
            self.complain(
                location, f"There is no file {path}.", f"Correct the key {_dotted(location)}."
            )
            return None
        if path.is_dir() and not folder:
            self.complain(location, f"{path} is a folder; needed is a file.")
            return None
        self.files[_dotted(location)] = path
        return path


def _dotted(location: Location) -> str:
    return ".".join(str(part) for part in location)


def gather(settings: StudySettings, path: Path, lines: Mapping[Location, int]) -> Gathered:
    """Return all tables of a study with all their problems; raises for no bad file."""
    found = Gathered(settings, path, lines)
    _read_clinical(found)
    if settings.images is not None:
        read_scans(found)
    elif settings.features.table is not None:
        _read_features(found, settings.features.table)
    read_response(found)
    _read_layers(found)
    _read_genotypes(found)
    read_sets(found)
    _read_repeats(found)
    read_places(found)
    if not found.problems:
        _match_people(found)
    return found


def _read_clinical(found: Gathered) -> None:
    clinical = found.settings.clinical
    if clinical is None:
        return
    sheets = []
    for at, table in [
        (("clinical",), clinical),
        *((("clinical", "more", name), table) for name, table in clinical.more.items()),
    ]:
        path = found.find(table.path, *at, "path")
        if path is None:
            continue
        with found.noting(at, path):
            sheet, problems = read_sheet(table, path, key=_dotted(at))
            found.problems += problems
            sheets.append(sheet)
    if sheets:
        found.sheet = sheets[0]
    for sheet in sheets[1:]:
        found.sheet = beside(found.sheet, sheet)


def _read_features(found: Gathered, settings: FeatureTableSettings) -> None:
    path = found.find(settings.path, "features", "table", "path")
    if path is None:
        return
    with found.noting(("features", "table"), path):
        found.table = _feature_table(settings, path)
        found.losses.start("rows of the feature table", found.table.n_samples)


def _feature_table(settings: FeatureTableSettings, path: Path) -> PhenotypeTable:
    import fnmatch

    exclude = [
        name
        for name in read_table(path).columns
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in settings.drop)
    ]
    table: PhenotypeTable = read_feature_table(
        path,
        id_column=settings.id,
        id_rule=io_rule(settings.id_rule),
        exclude=exclude,
        region=settings.region,
        where=settings.where,
    )
    return table


def _read_layers(found: Gathered) -> None:
    known = {*found.image_samples, *found.sheet.samples}
    scans: dict[str, list[Scan]] = {}
    for scan in found.scans:
        scans.setdefault(scan.sample, []).append(scan)
    for name, settings in found.settings.omics.items():
        at = ("omics", name)
        path = found.find(settings.path, *at, "path", folder=True)
        extra: dict[str, Path | None] = dict.fromkeys(("assayed", "panel", "gene_sets", "gene_map"))
        for key in tuple(extra):
            text = getattr(settings, key)
            if text is not None:
                extra[key] = found.find(text, *at, key)
                path = path if extra[key] else None
        specimens = None
        if settings.specimens is not None and path is not None:
            where = found.find(settings.specimens.table, *at, "specimens", "table")
            if where is None:
                continue
            with found.noting((*at, "specimens"), where):
                specimens = read_specimens(settings.specimens, where)
            if specimens is None:
                continue
        if path is None:
            continue
        with found.noting(at, path):
            names = set(specimens.patient) if specimens else known
            table = read_layer(settings, path, known=names, **extra)
            if specimens is not None:
                n_before = table.n_samples
                table, gone = link_specimens(table, specimens, scans, found.settings.link)
                pairs = look_alikes(gone, specimens.patient)
                if pairs:
                    shape = [f"{a} ({path.name}) and {b} (specimens)" for a, b in pairs]
                    found.doubts.append(
                        "Specimens differ in spelling only and are not matched: "
                        f"{shown(shape, 5)}. Write them alike, or set omics.{name}.id_rule."
                    )
                found.losses.start(f"specimens in {name}", n_before)
                found.losses.note(f"specimens of {name} linked to patients", table.n_samples, gone)
            found.layers[name] = table


def _read_genotypes(found: Gathered) -> None:
    settings = found.settings.genotypes
    if settings is None:
        return
    path = found.find(settings.path, "genotypes", "path")
    if path is None:
        return
    with found.noting(("genotypes",), path):
        found.genotypes = read_genotypes(settings, path)


def _read_repeats(found: Gathered) -> None:
    settings = found.settings.reliability
    if settings is None or not settings.table:
        return
    several = len(settings.table) > 1
    for place, text in enumerate(settings.table):
        at: Location = ("reliability", "table", place) if several else ("reliability", "table")
        path = found.find(text, *at)
        if path is None:
            continue
        with found.noting(at, path):
            found.repeats |= repeated_tables(settings, path)


def _match_people(found: Gathered) -> None:
    """Note a problem where a table shares (almost) nobody with the images."""
    images = found.image_samples
    others: dict[Location, Any] = {("omics", name): t.samples for name, t in found.layers.items()}
    if found.settings.clinical is not None:
        others[("clinical",)] = found.sheet.samples
    if found.response is not None:
        others[("response",)] = found.response.frame["sample"].to_list()
    if found.lesion_scans is not None:
        others[("response",)] = found.lesion_scans.table["sample"].unique().to_list()
    if found.genotypes is not None:
        others[("genotypes",)] = found.genotypes.samples
    for location, samples in others.items():
        try:
            align({"images": images, _dotted(location): samples}, need=min(5, len(images)))
        except AlignmentError as error:
            text = " ".join(str(error).split())
            found.complain(location, text, f"Set {_rule_of(found, location)}.")
        else:
            _note_spellings(found, location, samples)


def _rule_of(found: Gathered, location: Location) -> str:
    """Return the key of the rule that turns ids of a table into those of patients."""
    layer = found.settings.omics.get(str(location[1])) if location[0] == "omics" else None
    linked = layer is not None and layer.specimens is not None
    return f"{_dotted(location)}{'.specimens' if linked else ''}.id_rule"


def _note_spellings(found: Gathered, location: Location, samples: Sequence[str]) -> None:
    """Note who would be in a table but for the spelling of the id: they are lost, unless told."""
    images = list(found.image_samples)
    table = _dotted(location)
    alike = dict(longer_barcodes(images, samples)) | dict(look_alikes(images, samples))
    if not alike:
        return
    pairs = [f"{a} (images) and {b} ({table})" for a, b in alike.items()]
    found.doubts.append(
        f"Ids differ in spelling only and are not matched: {shown(pairs, 5)}. "
        f"Write them alike, or set {_rule_of(found, location)}."
    )
    present = set(samples)
    gone = {
        item: f"its id is spelt otherwise in {table}" if item in alike else f"not in {table}"
        for item in images
        if item not in present
    }
    found.losses.start(f"ids of images, looked for in {table}", len(images))
    found.losses.note(f"ids of images found in {table}", len(images) - len(gone), gone)
