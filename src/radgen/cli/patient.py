"""``radgen patient``: a page of one patient against a cohort."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["OPTIONS", "patient"]

OPTIONS = {
    "epilog": """Examples:

  radgen patient P017 --study results --calls genes.csv --outcomes clinical.csv --out pages

  radgen patient P017 P031 --features radiomics.csv --calls genes.csv --model idh.json
      --scans scans.csv --out pages

OUT/P017.html is one file that needs no network: image features as percentiles of all other samples,
pictures, molecular calls, what models say with their uncertainty (they abstain where both classes
are plausible), and the most similar samples with their outcomes.

Where more than a tenth of the features lie out of the range of the other samples, the page says
that there is no output, and why. A sample that trained a model gets no score of it; a finished
study (--study) has out-of-fold predictions of all.

A research result, not a medical device: pages must not guide the care of a patient."""
}

_SAMPLES = "Ids of samples; none = all."
_STUDY = "Output folder of radgen run: phenotypes and out-of-fold predictions."
_CALLS = "Table of molecular calls, a row a sample."
_OUTCOMES = "Table whose columns are shown of similar samples."
_MODEL = "Bundle of radgen evaluate --freeze. Repeat for several."
_SCANS = "Table with sample, image, mask: pictures."
_ABSTAIN = "Share of true classes that may be missed: decide only where one class is plausible."


def patient(
    samples: Annotated[list[str] | None, typer.Argument(help=_SAMPLES)] = None,
    *,
    out: Annotated[Path, typer.Option(help="Folder for the pages.")],
    study: Annotated[Path | None, typer.Option(help=_STUDY)] = None,
    features: Annotated[Path | None, typer.Option(help="Or: table of image features.")] = None,
    calls: Annotated[Path | None, typer.Option(help=_CALLS)] = None,
    outcomes: Annotated[Path | None, typer.Option(help=_OUTCOMES)] = None,
    model: Annotated[list[Path] | None, typer.Option(help=_MODEL)] = None,
    scans: Annotated[Path | None, typer.Option(help=_SCANS)] = None,
    id_: Annotated[str | None, typer.Option("--id", help="Column of sample ids.")] = None,
    neighbours: Annotated[int, typer.Option(min=1, help="Similar samples to name.")] = 5,
    abstain: Annotated[float, typer.Option(help=_ABSTAIN)] = 0.1,
) -> None:
    """Write a page of a patient: images against a cohort, calls, models, similar patients."""
    from radgen.study.patients import PatientSources, patient_pages

    sources = PatientSources(study, features, calls, outcomes, tuple(model or ()), scans, id_)
    pages = patient_pages(samples or [], sources, out, n_neighbours=neighbours, level=abstain)
    for page in pages:
        typer.echo(f"Page: {page}")
    typer.echo("A research result, not a medical device: not for the care of a patient.")
