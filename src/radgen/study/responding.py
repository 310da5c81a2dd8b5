"""Response to treatment of a study: lesions are read and judged, and become outcomes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from radgen.errors import shown
from radgen.study.schema.sources import ColumnSettings
from radgen.study.schema.treatment import RESPONSE_TIME, ResponseSettings
from radgen.study.sheet import Sheet, beside, clean_ids

if TYPE_CHECKING:
    from radgen.phenotype.response import ResponseResult
    from radgen.study.gather import Gathered

__all__ = ["assessed", "read_response", "response_sheet"]

_RESPONDED = ("CR", "PR", "CMR", "PMR")
_CONTROLLED = (*_RESPONDED, "SD", "Non-CR/Non-PD", "SMD")
_ORDER = ("PD", "Non-CR/Non-PD", "SD", "PR", "CR", "PMD", "SMD", "PMR", "CMR")


def read_response(found: Gathered) -> None:
    """Judge the lesions, and put what they say beside the clinical columns."""
    settings = found.settings.response
    if settings is None:
        return
    paths = {}
    for key in ("lesions", "sdtm_tr", "sdtm_tu", "visits"):
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
        result = assessed(settings, paths)
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


def assessed(settings: ResponseSettings, paths: dict[str, Path]) -> ResponseResult:
    """Return the response of each patient, by the ids of the study.

    Parameters
    ----------
    settings : ResponseSettings
        Of [response].
    paths : dict of str to Path
        The files of its keys.

    Raises
    ------
    FormatError, InputError, AlignmentError
        If the tables cannot be read or judged.
    """
    from radgen.io.lesion_tables import read_lesion_visits, read_lesions, read_sdtm_lesions
    from radgen.phenotype.response import assess_by

    if "lesions" in paths:
        table = read_lesions(paths["lesions"])
    else:
        table = read_sdtm_lesions(paths["sdtm_tr"], paths["sdtm_tu"], evaluator=settings.evaluator)
    visits = None
    if "visits" in paths:
        visits = _renamed(read_lesion_visits(paths["visits"]), settings, "The table of visits")
    table = _renamed(table, settings, "The table of lesions")
    return assess_by(
        settings.criteria,
        table,
        visits,
        confirm=False if settings.unconfirmed else None,
        stable_days=settings.stable_days,
        volumes=settings.volumes,
        unsure_days=settings.unsure_days,
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
