"""The page of one patient: where the images stand in a cohort, calls, predictions, neighbours."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.phenotype.neighbours import SampleProfile
from radgen.plot.profile import percentile_strip, sample_map
from radgen.report.blocks import Block, Figure, Notes, Prose, Row, Table
from radgen.report.input import ReportInput, Scan, Section
from radgen.report.page import write_report
from radgen.types.wording import feature_phrase

__all__ = ["NOT_FOR_CARE", "PatientPage", "write_patient_page"]

NOT_FOR_CARE = (
    "A research result, not a medical device. Nothing on this page may guide the care of a patient."
)
_SHOWN = 20


@dataclass(frozen=True, eq=False, slots=True)
class PatientPage:
    """What the page of one sample shows.

    Attributes
    ----------
    profile : SampleProfile
        Its place in the cohort.
    points : float64 (n, 2)
        All samples on two components, `samples` in order.
    samples : tuple of str (n,)
        Their ids.
    calls : polars.DataFrame
        ``item, value, cohort``: molecular calls and how frequent they are.
    predictions : polars.DataFrame
        ``outcome, source, score, meaning, uncertainty, decision, reason``: a row a model; null
        score and a reason where there is no output.
    outcomes : polars.DataFrame or None
        ``sample`` and columns to show of the neighbours.
    scans : tuple of Scan
        Pictures.
    notes : tuple of str
        What a reader must know.
    """

    profile: SampleProfile
    points: NDArray[np.float64]
    samples: tuple[str, ...]
    calls: pl.DataFrame
    predictions: pl.DataFrame
    outcomes: pl.DataFrame | None = None
    scans: tuple[Scan, ...] = ()
    notes: tuple[str, ...] = field(default=())


def write_patient_page(page: PatientPage, path: Path) -> Path:
    """Write one self-contained HTML page and return its path.

    Parameters
    ----------
    page : PatientPage
        What it shows.
    path : Path
        Ends in ``.html``; numbers lie beside it in a folder of the same name.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    InputError
        If the path does not end in ``.html``.
    """
    own = page.profile
    sections = [
        Section("Images", _images(page)),
        Section("Molecular calls", _calls(page)),
        Section("Model outputs", _predictions(page)),
        Section("Similar patients", _neighbours(page)),
    ]
    report = ReportInput(
        study=f"Sample {own.sample}",
        question=NOT_FOR_CARE,
        sections=tuple(sections),
        scans=page.scans,
        limitations=(*([f"No output: {own.reason}"] if own.reason else []), *page.notes),
        purpose="patient",
    )
    return write_report(report, path, data_dir=path.parent / f"{path.stem}-data")


def _images(page: PatientPage) -> tuple[Block, ...]:
    own = page.profile
    known = own.features.filter(pl.col("percentile").is_not_nan())
    if not known.height:
        return (Notes(("No image feature of this sample is known.",), tone="warning"),)
    odd = known.filter((pl.col("percentile") < 5) | (pl.col("percentile") > 95))
    far = int(known["out_of_range"].sum())
    lines = [
        f"Held against {own.n_others} other samples. {odd.height} of {known.height} features lie "
        "outside the middle 90 % of them; of an ordinary sample about "
        f"{0.1 * known.height:.0f} do.",
        f"{far} of {known.height} features lie out of the cohort's range.",
    ]
    lost = own.features.height - known.height
    if lost:
        lines.append(f"{lost} features of this sample are undefined.")
    first = known.sort((pl.col("percentile") - 50).abs(), descending=True, maintain_order=True)
    first = first.head(_SHOWN).sort("percentile", maintain_order=True)
    names = [feature_phrase(name) for name in first["phenotype"]]
    values = first["percentile"].to_numpy()
    figure = Figure(
        "Most unusual features",
        f"Percentiles of the {len(names)} features that lie furthest from the middle of the "
        "cohort; the band holds its middle 90 %, diamonds lie outside of it.",
        lambda ax: percentile_strip(names, values, ax=ax),
        data=first,
        size=(7.6, 0.9 + 0.24 * len(names)),
        caption="Chosen because they are extreme: among many features some always are.",
    )
    table = own.features.with_columns(
        pl.col("phenotype").map_elements(feature_phrase, return_dtype=pl.String)
    )
    return (Notes(tuple(lines)), figure, Table("All image features of this sample", table))


def _calls(page: PatientPage) -> tuple[Block, ...]:
    if not page.calls.height:
        return (Notes(("No molecular call of this sample was given.",)),)
    return (Table("Calls, and how frequent they are in the cohort", page.calls),)


def _predictions(page: PatientPage) -> tuple[Block, ...]:
    if not page.predictions.height:
        return (Notes(("No model was given.",)),)
    lines, refused = [], []
    for row in page.predictions.iter_rows(named=True):
        if row["score"] is None:
            refused.append(f"{row['outcome']}: no output. {row['reason']}")
            continue
        text = f"{row['outcome']}: {row['meaning']} {row['score']:.3g}"
        text += f" ({row['uncertainty']})" if row["uncertainty"] else ""
        lines.append(text + (f". {row['decision']}." if row["decision"] else "."))
    blocks: list[Block] = []
    if lines:
        blocks.append(Notes(tuple(lines), tone="finding"))
    if refused:
        blocks.append(Notes(tuple(refused), tone="warning", title="No output"))
    return (*blocks, Table("Every model, and what it says", page.predictions))


def _neighbours(page: PatientPage) -> tuple[Block, ...]:
    own = page.profile
    if own.reason:
        return (Notes((f"No output: {own.reason}",), tone="warning"),)
    nearest = own.neighbours
    if page.outcomes is not None:
        nearest = nearest.join(page.outcomes, on="sample", how="left", maintain_order="left")
    near = set(own.neighbours["sample"])
    marks = [
        "sample" if s == own.sample else "neighbour" if s in near else "other" for s in page.samples
    ]
    away = own.neighbours["distance"].to_list()
    text = (
        "The distance is the root of the mean squared difference of standardised features. The "
        f"furthest of these {len(away)} lies at {away[-1]:.2f}; in this cohort a sample's "
        f"neighbour of that rank lies at {own.typical_distance:.2f} (median)."
    )
    if away[-1] > 1.5 * own.typical_distance:
        text += " These neighbours are far: no other sample is much like this one."
    figure = Figure(
        "The cohort on two components",
        "Principal components of the standardised features; this sample is a diamond, its "
        "neighbours are named.",
        lambda ax: sample_map(page.points, marks, names=page.samples, ax=ax),
    )
    return (Prose(text), Row((figure,)), Table("Most similar samples, and their outcomes", nearest))
