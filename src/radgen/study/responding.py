"""Response to treatment of a study: lesions are read and judged, and become outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from radgen.errors import FormatError, InputError, shown
from radgen.study.problems import raise_problems
from radgen.study.schema.sources import ColumnSettings
from radgen.study.schema.treatment import RESPONSE_TIME, ResponseSettings
from radgen.study.sheet import Sheet, beside, clean_ids

if TYPE_CHECKING:
    from radgen.phenotype.response import ResponseResult
    from radgen.study.context import Context
    from radgen.study.gather import Gathered

__all__ = [
    "LesionScans",
    "assessed",
    "judge",
    "measure_response",
    "read_response",
    "response_sheet",
]

_RESPONDED = ("CR", "PR", "CMR", "PMR")
_CONTROLLED = (*_RESPONDED, "MR", "SD", "Non-CR/Non-PD", "SMD")
_ORDER = ("PD", "Non-CR/Non-PD", "SD", "MR", "PR", "CR", "PMD", "SMD", "PMR", "CMR")


def read_response(found: Gathered) -> None:
    """Judge the lesions, and put what they say beside the clinical columns."""
    settings = found.settings.response
    if settings is None:
        return
    paths = {}
    for key in ("lesions", "sdtm_tr", "sdtm_tu", "masks", "labels", "visits"):
        text = getattr(settings, key)
        if text is None:
            continue
        path = found.find(text, "response", key)
        if path is None:
            return
        paths[key] = path
    if found.settings.clinical is None and not found.sheet.frame.height:
        samples = pl.DataFrame({"sample": found.image_samples}, schema={"sample": pl.String})
        found.sheet = Sheet(samples)
    with found.noting(("response",), next(iter(paths.values()))):
        if "masks" in paths:
            found.lesion_scans = _lesion_scans(settings, paths)
            _missing_masks(found, found.lesion_scans, paths["masks"])
        else:
            judge(found, _lesions(settings, paths))


def judge(found: Gathered, lesions: pl.DataFrame) -> None:
    """Judge lesions by the criteria, and put what they say beside the clinical columns.

    Raises
    ------
    FormatError, InputError, AlignmentError
        If the lesions cannot be judged.
    """
    settings = found.settings.response
    assert settings is not None
    visits = None
    if settings.visits is not None:
        from radgen.io.lesion_tables import read_lesion_visits

        table = read_lesion_visits(found.files["response.visits"])
        visits = _renamed(table, settings, "The table of visits")
    result = assessed(settings, lesions, visits)
    made = response_sheet(result, settings.not_evaluable)
    twice = [name for name in made.names() if name in found.sheet.names()]
    if twice:
        found.complain(
            ("response",),
            f"[response] makes {shown(twice)}, which [clinical] has, too.",
            'Give the clinical column another name: recist = { column = "responder", … }.',
        )
        return
    found.response = result
    found.sheet = beside(found.sheet, made)


def measure_response(found: Gathered, context: Context) -> None:
    """Measure the lesions of masks, where the study names them, and judge them.

    Raises
    ------
    ConfigError
        If what is measured cannot be judged.
    """
    from radgen.study.lesion_masks import measured_lesions

    scans = found.lesion_scans
    if scans is None:
        return
    measured, lost = measured_lesions(found, scans, context)
    if lost:
        found.losses.start("patients with masks of lesions", scans.table["sample"].n_unique())
        found.losses.note("lesions measured", measured.table["sample"].n_unique(), lost)
        context.limits.append(f"The lesions of {len(lost)} patients could not be measured.")
    context.limits += measured.notes
    found.lesions = measured.table
    with found.noting(("response",)):
        judge(found, measured.table)
    raise_problems(found.problems, what=f"The response of {found.path} cannot be judged")


@dataclass(frozen=True, eq=False)
class LesionScans:
    """Masks of lesions that a study names.

    Attributes
    ----------
    table : polars.DataFrame
        ``sample, visit, mask, day, image``, a row a scan.
    labels : polars.DataFrame or None
        Which label is which lesion.
    folder : Path
        Where relative paths start.
    """

    table: pl.DataFrame
    labels: pl.DataFrame | None
    folder: Path


def _lesion_scans(settings: ResponseSettings, paths: dict[str, Path]) -> LesionScans:
    from radgen.io.lesion_tables import read_lesion_labels, read_lesion_scans

    table = _renamed(read_lesion_scans(paths["masks"]), settings, "The table of masks")
    labels = None
    if "labels" in paths:
        labels = read_lesion_labels(paths["labels"])
        known = labels["sample"].drop_nulls().unique(maintain_order=True).to_list()
        names = clean_ids(known, settings.id_rule, what="The table of labels") if known else []
        labels = labels.with_columns(pl.col("sample").replace(dict(zip(known, names, strict=True))))
    twice = table.filter(table.select("sample", "visit").is_duplicated())
    if twice.height:
        texts = sorted({f"{s} visit {v:g}" for s, v in twice.select("sample", "visit").iter_rows()})
        raise InputError(f"Visits with more than one mask: {shown(texts)}.")
    return LesionScans(table, labels, paths["masks"].parent)


def _missing_masks(found: Gathered, scans: LesionScans, table: Path) -> None:
    """Note a problem where no mask exists at all; single ones are patients lost."""
    files = [scans.folder / text for text in scans.table["mask"].to_list()]
    absent = [path for path in files if not path.exists()]
    if files and len(absent) == len(files):
        raise FormatError(
            f"None of the {len(files)} masks exists, such as {shown(absent, 2)}. Relative paths "
            "start at the folder of the table.",
            path=table,
        )
    if absent:
        found.doubts.append(
            f"{len(absent)} of {len(files)} masks of [response] do not exist: "
            f"{shown([path.name for path in absent])}. Those patients get no response."
        )


def _lesions(settings: ResponseSettings, paths: dict[str, Path]) -> pl.DataFrame:
    """Return the table of lesions, or the SDTM tables, by the ids of the study."""
    from radgen.io.lesion_tables import read_lesions, read_sdtm_lesions

    if "lesions" in paths:
        table = read_lesions(paths["lesions"])
    else:
        table = read_sdtm_lesions(paths["sdtm_tr"], paths["sdtm_tu"], evaluator=settings.evaluator)
    return _renamed(table, settings, "The table of lesions")


def assessed(
    settings: ResponseSettings, lesions: pl.DataFrame, visits: pl.DataFrame | None
) -> ResponseResult:
    """Return the response of each patient.

    Parameters
    ----------
    settings : ResponseSettings
        Of [response].
    lesions : polars.DataFrame
        A row a lesion and visit, by the ids of the study.
    visits : polars.DataFrame or None
        A row a visit, of RANO.

    Raises
    ------
    FormatError, InputError, AlignmentError
        If the tables cannot be judged.
    """
    from radgen.phenotype.response import assess_by

    return assess_by(
        settings.criteria,
        lesions,
        visits,
        confirm=False if settings.unconfirmed else None,
        stable_days=settings.stable_days,
        volumes=settings.volumes,
        unsure_days=settings.unsure_days,
        radiotherapy_day=settings.radiotherapy_day,
        confirmation=settings.confirmation,
    )


def _renamed(table: pl.DataFrame, settings: ResponseSettings, what: str) -> pl.DataFrame:
    """Return a table with the ids of the study."""
    ids = table["sample"].unique(maintain_order=True).to_list()
    names = clean_ids(ids, settings.id_rule, what=what)
    return table.with_columns(pl.col("sample").replace_strict(ids, names))


def response_sheet(result: ResponseResult, not_evaluable: str) -> Sheet:
    """Return what analyses can name: responder, disease_control and the others."""
    best = pl.col("best_unconfirmed" if not result.params["confirm"] else "best")
    unknown = best == "NE"

    def among(names: tuple[str, ...]) -> pl.Expr:
        words = pl.when(best.is_in(names)).then(pl.lit("yes")).otherwise(pl.lit("no"))
        return words if not_evaluable == "no" else pl.when(~unknown).then(words)

    frame = result.frame.select(
        "sample",
        among(_RESPONDED).alias("responder"),
        among(_CONTROLLED).alias("disease_control"),
        pl.when(~unknown).then(best).alias("best_response"),
        pl.col("best_change").cast(pl.Float64),
    )
    two = ColumnSettings(type="binary", levels=["no", "yes"])
    found = set(frame["best_response"].drop_nulls())
    columns = {
        "responder": two,
        "disease_control": two,
        "best_response": ColumnSettings(
            type="ordinal", levels=[item for item in _ORDER if item in found]
        ),
        "best_change": ColumnSettings(type="number"),
    }
    # Without a known day of progression or of the last visit there is no time.
    day = pl.when(pl.col("progressed")).then("progression_day").otherwise("last_day")
    times = result.frame.select("sample", day.alias("time"), pl.col("progressed").alias("event"))
    times = times.with_columns(pl.when(pl.col("time") > 0).then("time").alias("time"))
    return Sheet(frame, columns, {RESPONSE_TIME: times}, {RESPONSE_TIME: "days"})
