"""``radgen response``: response to treatment from a table of lesions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["OPTIONS", "response"]

OPTIONS = {
    "epilog": """Examples:

  radgen response lesions.csv --out response

  radgen response --masks scans.csv --labels labels.csv --out response

  radgen response glioma.csv --criteria RANO --visits visits.csv --out response

  radgen response glioma.csv --criteria "RANO 2.0" --radiotherapy-day -28 --out response

  radgen response --sdtm-tr tr.csv --sdtm-tu tu.csv --evaluator INVESTIGATOR --out response

A row of lesions.csv is a lesion at a visit: patient, lesion, role (target, non-target, new), visit
(1 = baseline), day or date, node (yes = the diameter is the short axis), diameter (mm), state. RANO
takes longest (mm) and short (mm), or volume (ml); PERCIST takes sulpeak, tlg, liver, liver sd.

A row of visits.csv is a visit of a glioma: patient, visit, flair and clinical (better, stable,
worse), steroids (mg a day); RANO 2.0 takes component (enhancing, non-enhancing) of each lesion, and
outside field (yes, no) of each visit.

A row of scans.csv is a scan: patient, visit, day or date, mask (a label map, DICOM SEG or RTSTRUCT
with image). labels.csv says which label is which lesion, its role and whether it is a node; without
it a label is the same lesion at all visits. The diameters are written to OUT/lesions.csv, where
they can be looked at, mended, and judged again.

OUT/patients.csv has the best response of each patient, OUT/visits.csv each visit and its reason."""
}

_CRITERIA = "RECIST 1.1, iRECIST, mRECIST (liver), RANO, RANO 2.0 (gliomas), PERCIST (PET)."
_RADIO = "RANO 2.0: day of the end of radiotherapy (-28); then progression is confirmed."
_CONFIRM = "RANO 2.0: a scan confirms by further growth, or by persistence."
_STABLE = "Shortest days from baseline for stable disease; default 42, RANO and PERCIST 0."
_UNSURE = "RANO: until this day growth counts only if a later scan bears it out (84)."
_LABELS = "Which label of a mask is which lesion: label, lesion, patient, visit, role, node."
_LOOSE = "Count responses that no later scan confirmed."


def response(
    lesions: Annotated[Path | None, typer.Argument(help="Table of lesions.")] = None,
    *,
    out: Annotated[Path, typer.Option(help="Folder for tables and report.")],
    masks: Annotated[Path | None, typer.Option(help="Or: table of masks, a row a scan.")] = None,
    labels: Annotated[Path | None, typer.Option(help=_LABELS)] = None,
    plane: Annotated[str, typer.Option(help="In which masks are measured.")] = "axial",
    sdtm_tr: Annotated[Path | None, typer.Option(help="Or: SDTM tumour results.")] = None,
    sdtm_tu: Annotated[Path | None, typer.Option(help="SDTM tumour identification.")] = None,
    evaluator: Annotated[str | None, typer.Option(help="Reader of the SDTM tables.")] = None,
    criteria: Annotated[str, typer.Option(help=_CRITERIA)] = "RECIST 1.1",
    unconfirmed: Annotated[bool, typer.Option(help=_LOOSE)] = False,
    stable_days: Annotated[float | None, typer.Option(help=_STABLE)] = None,
    visits: Annotated[Path | None, typer.Option(help="RANO: table of visits.")] = None,
    volumes: Annotated[bool, typer.Option("--volumes", help="RANO: by volumes.")] = False,
    unsure_days: Annotated[float, typer.Option(help=_UNSURE)] = 0.0,
    radiotherapy_day: Annotated[float | None, typer.Option(help=_RADIO)] = None,
    confirmation: Annotated[str, typer.Option(help=_CONFIRM)] = "growth",
) -> None:
    """Say who responded to treatment, by RECIST, RANO or PERCIST, and why at every visit."""
    from radgen.cli import _response

    _response.assess(locals())
