"""Read tables of lesions over time: plain ones, and tumour tables of CDISC SDTM (TU and TR)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from radgen._core.naming import counted, did_you_mean
from radgen.errors import FormatError, InputError, shown
from radgen.io.lesion_cells import is_node_site, plain_sizes, plain_visits
from radgen.io.moments import day_numbers
from radgen.io.tables import BLANKS, read_table

__all__ = ["read_lesion_labels", "read_lesion_scans", "read_lesions", "read_sdtm_lesions"]

_HEADERS = {
    "sample": ("sample", "patient", "patient id", "subject", "subject id", "usubjid", "id"),
    "lesion": ("lesion", "lesion id", "tumour", "tumor", "trlnkid"),
    "role": ("role", "type", "group", "trgrpid"),
    "visit": ("visit", "visit number", "visitnum", "timepoint", "time point"),
    "day": ("day", "days", "study day", "trdy"),
    "date": ("date", "scan date", "trdtc"),
    "node": ("node", "lymph node", "nodal"),
    "site": ("site", "location", "organ", "anatomic site", "body site", "trloc", "tuloc"),
    "diameter_mm": ("diameter_mm", "diameter (mm)", "diameter mm", "diameter", "size_mm",
                    "size (mm)", "longest diameter (mm)"),
    "state": ("state", "status", "tumour state", "tumor state"),
    "mask": ("mask", "segmentation", "seg", "rtstruct"),
    "image": ("image", "scan", "series"),
    "label": ("label", "label value", "segment"),
    "longest_mm": ("longest_mm", "longest (mm)", "longest", "longest diameter", "diameter 1"),
    "short_mm": ("short_mm", "short (mm)", "short", "perpendicular_mm", "perpendicular (mm)",
                 "perpendicular", "perpendicular diameter", "diameter 2"),
    "volume_ml": ("volume_ml", "volume (ml)", "volume"),
    "sul_peak": ("sul_peak", "sulpeak", "sul peak", "suvpeak", "suv peak"),
    "glycolysis": ("glycolysis", "tlg", "total lesion glycolysis"),
    "liver": ("liver", "liver mean", "liver sul", "liver sul mean"),
    "liver_sd": ("liver_sd", "liver sd", "liver sul sd"),
    "flair": ("flair", "t2/flair", "t2 flair", "t2"),
    "steroids_mg": ("steroids_mg", "steroids (mg)", "steroids", "dexamethasone",
                    "dexamethasone (mg)", "corticosteroids"),
    "clinical": ("clinical", "clinical state", "clinical status"),
    "component": ("component", "tumour component", "tumor component", "enhancement"),
    "outside_field": ("outside_field", "outside field", "outside the field", "out of field"),
}  # fmt: skip
_SIZES = (
    "longest_mm", "short_mm", "volume_ml", "sul_peak", "glycolysis", "liver", "liver_sd",
)  # fmt: skip
_COURSES = {
    "better": "better", "improved": "better", "improving": "better", "decreased": "better",
    "stable": "stable", "unchanged": "stable", "same": "stable", "worse": "worse",
    "deteriorated": "worse", "deterioration": "worse", "increased": "worse", "progression": "worse",
}  # fmt: skip
_ROLES = {
    "target": "target", "t": "target", "non-target": "non-target", "non target": "non-target",
    "nontarget": "non-target", "nt": "non-target", "new": "new", "new lesion": "new", "n": "new",
}  # fmt: skip
_STATES = {
    "absent": "absent", "gone": "absent", "disappeared": "absent", "cr": "absent",
    "resolved": "absent", "present": "present", "non-cr/non-pd": "present", "stable": "present",
    "unequivocal": "present", "progression": "progression", "pd": "progression",
    "increased": "progression", "unequivocal progression": "progression",
    "equivocal": "equivocal", "suspected": "equivocal", "not evaluable": "not evaluable",
    "ne": "not evaluable", "not assessed": "not evaluable", "not done": "not evaluable",
    "too small to measure": "too small", "too small": "too small", "tstm": "too small",
}  # fmt: skip
_PARTS = {
    "enhancing": "enhancing", "ce": "enhancing", "contrast-enhancing": "enhancing",
    "non-enhancing": "non-enhancing", "nonenhancing": "non-enhancing", "non-ce": "non-enhancing",
    "flair": "non-enhancing", "t2/flair": "non-enhancing",
}  # fmt: skip
_YES, _NO = {"1", "yes", "y", "true"}, {"0", "no", "n", "false", ""}
_WORDS = {
    "flair": _COURSES, "clinical": _COURSES,
    "outside_field": {
        text: answer for answer, texts in (("yes", _YES), ("no", _NO)) for text in texts if text
    },
}  # fmt: skip
_TOO_SMALL_MM = 5.0
_PARTIAL = re.compile(r"\d{4}(-\d{1,2})?|\d{4}---?\d{1,2}|-[\d-]*")
_ORDER = ("sample", "lesion", "role", "visit", "day", "node", "diameter_mm", "state")


def read_lesions(path: str | Path) -> pl.DataFrame:
    """Return a table of lesions, a row a lesion and visit.

    Parameters
    ----------
    path : str or Path
        Columns for patient, lesion, role (target, non-target, new), visit (a number, "baseline",
        "week 8"), and diameter in mm or state (absent, present, progression, equivocal, not
        evaluable, too small to measure; it may stand in the cell of the diameter); also day from
        baseline or date (2024-05-31, 31.05.2024), and node (yes, no) or site (a lymph node by its
        name). Diameters of lymph nodes are short axes.

    Returns
    -------
    polars.DataFrame
        Columns ``sample, lesion, role, visit, day, node, diameter_mm, state``, as
        `radgen.phenotype.response.assess_response` takes them. What is too small to measure is
        5 mm. Other measures follow where the table has them: ``longest_mm, short_mm, volume_ml``
        and ``component`` (gliomas), ``sul_peak, glycolysis, liver, liver_sd`` (PET).

    Raises
    ------
    FormatError
        If a column is missing, or cells cannot be read; names rows.
    """
    place = Path(path)
    texts, found = _read(place, ("sample", "lesion", "role", "visit"))
    sizes = [name for name in _SIZES if name in found]
    if not {"diameter_mm", "state"} & found and not sizes:
        raise FormatError("There is neither a diameter (mm) nor a state.", path=place)
    frame = _lesions(texts, place, sizes)
    if "component" not in found:
        return frame
    odd = [f"row {k}: {t!r}" for k, t in enumerate(texts["component"], 1)
           if t and t.casefold() not in _PARTS]  # fmt: skip
    if odd:
        raise FormatError(f"Components that cannot be read: {shown(odd)}.", path=place)
    parts = [_PARTS.get(text.casefold()) for text in texts["component"]]
    return frame.with_columns(pl.Series("component", parts, dtype=pl.String))


def read_lesion_visits(path: str | Path) -> pl.DataFrame:
    """Return what is known of visits beside the lesions, as RANO asks for it.

    Parameters
    ----------
    path : str or Path
        Columns for patient and visit, and, where known, T2/FLAIR and clinical (better, stable,
        worse), steroids (mg a day), and outside field (yes, no: of new enhancement).

    Returns
    -------
    polars.DataFrame
        Columns ``sample, visit, flair, steroids_mg, clinical, outside_field``, as
        `radgen.phenotype.response.assess_glioma_response` takes them.

    Raises
    ------
    FormatError
        If a column is missing, or cells cannot be read; names rows.
    """
    place = Path(path)
    texts, _ = _read(place, ("sample", "visit"))
    columns = ("sample", "visit", "flair", "steroids_mg", "clinical", "outside_field")
    return _plain(texts, columns, place)


def _read(place: Path, need: Sequence[str]) -> tuple[dict[str, list[str]], set[str]]:
    """Return the cells of each known column, blank where the table lacks it, and which it has."""
    raw = read_table(place)
    low = {" ".join(name.replace("_", " ").split()).casefold(): name for name in raw.columns}
    found = {
        key: next((low[n.replace("_", " ")] for n in names if n.replace("_", " ") in low), None)
        for key, names in _HEADERS.items()
    }
    lost = [key for key in need if found[key] is None]
    if lost:
        raise FormatError(
            f"No column for {shown(lost)}. {did_you_mean(lost[0], raw.columns)}", path=place
        )
    texts = {
        key: _texts(raw, name) if name is not None else [""] * raw.height
        for key, name in found.items()
    }
    _tidy(texts, node_told=found["node"] is not None)
    return texts, {key for key, name in found.items() if name is not None}


def _tidy(texts: dict[str, list[str]], *, node_told: bool) -> None:
    """Bring visits, sizes, words among sizes, and sites that are lymph nodes to one form."""
    texts["visit"] = plain_visits(texts["visit"])
    for key in ("diameter_mm", *_SIZES):
        texts[key] = plain_sizes(texts[key])
    for k, cell in enumerate(texts["diameter_mm"]):
        if cell.casefold() in _STATES and not texts["state"][k]:
            texts["state"][k], texts["diameter_mm"][k] = cell, ""
    if not node_told:
        texts["node"] = ["yes" if is_node_site(text) else "" for text in texts["site"]]


def read_lesion_scans(path: str | Path) -> pl.DataFrame:
    """Return a table of the masks of successive visits, a row a scan.

    Parameters
    ----------
    path : str or Path
        Columns for patient, visit (a number) and mask (a path); also day from baseline or date,
        and image, where the mask needs the scan (RTSTRUCT).

    Returns
    -------
    polars.DataFrame
        Columns ``sample, visit, mask, day, image``, as
        `radgen.phenotype.response.measure_lesions` takes them.

    Raises
    ------
    FormatError
        If a column is missing, or cells cannot be read; names rows.
    """
    place = Path(path)
    texts, _ = _read(place, ("sample", "visit", "mask"))
    frame = _plain(texts, ("sample", "visit", "mask", "day", "image"), place)
    if frame["day"].null_count() == frame.height:
        frame = _days(frame, _dates(texts["date"], place))
    return frame


def read_lesion_labels(path: str | Path) -> pl.DataFrame:
    """Return a table that says which label of a mask is which lesion.

    Parameters
    ----------
    path : str or Path
        Columns for label (value or name of a segment) and lesion; also patient and visit (blank =
        all), role (target, non-target, new) and node (yes, no).

    Returns
    -------
    polars.DataFrame
        Columns ``sample, visit, label, lesion, role, node``, as
        `radgen.phenotype.response.measure_lesions` takes them.

    Raises
    ------
    FormatError
        If a column is missing, or cells cannot be read; names rows.
    """
    place = Path(path)
    texts, _ = _read(place, ("label", "lesion"))
    frame = _plain(texts, ("sample", "visit", "label", "lesion", "role", "node"), place)
    blank = frame.filter(pl.col("label").is_null() | pl.col("lesion").is_null())
    if blank.height:
        raise FormatError(f"{counted(blank.height, 'row')} without label or lesion.", path=place)
    return frame


def _plain(texts: dict[str, list[str]], columns: Sequence[str], path: Path) -> pl.DataFrame:
    """Return columns of a table: numbers of visit and day, roles, yes or no of nodes."""
    odd: list[str] = []

    def cell(key: str, k: int) -> str | float | bool | None:
        text = texts[key][k]
        if key == "node":
            if text.casefold() not in _YES | _NO:
                odd.append(f"row {k + 1}: node {text!r}")
            return text.casefold() in _YES
        if not text:
            return None
        if key == "role":
            if text.casefold() not in _ROLES:
                odd.append(f"row {k + 1}: role {text!r}")
            return _ROLES.get(text.casefold())
        if key in _WORDS:
            if text.casefold() not in _WORDS[key]:
                odd.append(f"row {k + 1}: {key} {text!r}")
            return _WORDS[key].get(text.casefold())
        if key not in ("visit", "day", "steroids_mg"):
            return text
        try:
            return float(text)
        except ValueError:
            odd.append(f"row {k + 1}: {key} {text!r}")
            return None

    kinds = dict.fromkeys(("visit", "day", "steroids_mg"), pl.Float64) | {"node": pl.Boolean}
    height = len(texts["sample"])
    frame = pl.DataFrame(
        {key: [cell(key, k) for k in range(height)] for key in columns},
        schema={key: kinds.get(key, pl.String) for key in columns},
    )
    if odd:
        raise FormatError(f"{counted(len(odd), 'cell')} cannot be read: {shown(odd)}.", path=path)
    return frame


def _texts(raw: pl.DataFrame, name: str) -> list[str]:
    cells = ["" if cell is None else str(cell).strip() for cell in raw[name].to_list()]
    return ["" if cell.casefold() in BLANKS else cell for cell in cells]


def _lesions(texts: dict[str, list[str]], path: Path, sizes: Sequence[str] = ()) -> pl.DataFrame:
    odd: list[str] = []

    def word(key: str, known: dict[str, str], k: int) -> str | None:
        cell = texts[key][k]
        if not cell:
            return None
        if cell.casefold() not in known:
            odd.append(f"row {k + 1}: {key} {cell!r}")
        return known.get(cell.casefold())

    def number(key: str, k: int) -> float | None:
        cell = texts[key][k]
        try:
            return float(cell) if cell else None
        except ValueError:
            odd.append(f"row {k + 1}: {key} {cell!r}")
            return None

    rows = []
    for k in range(len(texts["sample"])):
        state, size = word("state", _STATES, k), number("diameter_mm", k)
        if state == "too small":
            state, size = "present", _TOO_SMALL_MM if size is None else size
        node = texts["node"][k].casefold()
        if node not in _YES | _NO:
            odd.append(f"row {k + 1}: node {node!r}")
        rows.append(
            (
                texts["sample"][k] or None, texts["lesion"][k] or None, word("role", _ROLES, k),
                number("visit", k), number("day", k), node in _YES, size, state,
                *(number(name, k) for name in sizes),
            )
        )  # fmt: skip
    if odd:
        raise FormatError(f"{counted(len(odd), 'cell')} cannot be read: {shown(odd)}.", path=path)
    kinds = [pl.String] * 3 + [pl.Float64] * 2 + [pl.Boolean, pl.Float64, pl.String]
    schema = dict(zip(_ORDER, kinds, strict=True)) | dict.fromkeys(sizes, pl.Float64)
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    if frame["day"].null_count() < frame.height:
        return frame
    return _days(frame, _dates(texts["date"], path))


def _dates(cells: Sequence[str], path: Path) -> list[float | None]:
    """Return day numbers; partial dates (CDISC: 2024-05) are unknown."""
    whole = ["" if _PARTIAL.fullmatch(cell) else cell for cell in cells]
    try:
        days, wrong = day_numbers(whole)
    except InputError as error:
        raise FormatError(f"Dates of visits: {error}", path=path) from None
    if wrong:
        rows = shown(f"row {k + 1}" for k in wrong)
        raise FormatError(
            f"{counted(len(wrong), 'date')} of visits cannot be read: {rows}. Write 2024-05-31, "
            "or leave the cell empty.",
            path=path,
        )
    return days


def _days(frame: pl.DataFrame, dates: Sequence[float | None]) -> pl.DataFrame:
    """Return the days from the first dated visit of each sample."""
    dated = frame.with_columns(pl.Series("_date", dates, dtype=pl.Float64))
    first = pl.col("_date").sort_by("visit").drop_nulls().first()
    return dated.with_columns((pl.col("_date") - first.over("sample")).alias("day")).drop("_date")


def read_sdtm_lesions(
    results: str | Path, identification: str | Path | None = None, *, evaluator: str | None = None
) -> pl.DataFrame:
    """Return the lesions of CDISC SDTM tumour tables.

    Parameters
    ----------
    results : str or Path
        Domain TR: ``DIAMETER`` where it stands, else ``LPERP`` of lymph nodes and ``LDIAM`` of the
        others; ``TUMSTATE`` of what is not measured.
    identification : str or Path or None
        Domain TU, for the site of a lesion; without it no lesion is a lymph node.
    evaluator : str or None
        ``TREVALID`` ("RADIOLOGIST 1"), or ``TREVAL`` where that is blank ("INVESTIGATOR"); None =
        all, as ``SUBJECT|EVALUATOR`` samples where there are several.

    Returns
    -------
    polars.DataFrame
        As `read_lesions`.

    Raises
    ------
    FormatError
        If columns are missing or a state is unknown.
    InputError
        If there is no such evaluator.
    """
    place = Path(results)
    raw = read_table(place)
    need = ["USUBJID", "TRGRPID", "TRLNKID", "TRTESTCD", "TRSTRESC", "VISITNUM"]
    lost = [name for name in need if name not in raw.columns]
    if lost:
        raise FormatError(f"This is no TR table: it lacks {shown(lost)}.", path=place)
    also = ("TREVALID", "TREVAL", "TRDY", "TRDTC")
    texts = {name: _texts(raw, name) for name in (*need, *also) if name in raw.columns}
    blank = [""] * raw.height
    who = [
        a or b
        for a, b in zip(texts.get("TREVALID", blank), texts.get("TREVAL", blank), strict=True)
    ]
    readers = sorted({item for item in who if item})
    if evaluator is not None and evaluator not in readers:
        raise InputError(f"{place}: no evaluator {evaluator!r}. {did_you_mean(evaluator, readers)}")
    nodes = _nodes(identification)
    cells: dict[tuple[str, str, str, str], dict[str, str]] = {}
    for k in range(raw.height):
        if (evaluator is not None and who[k] != evaluator) or not texts["TRLNKID"][k]:
            continue
        sample = texts["USUBJID"][k]
        if evaluator is None and len(readers) > 1:
            sample = f"{sample}|{who[k]}"
        key = (sample, texts["TRLNKID"][k], texts["TRGRPID"][k], texts["VISITNUM"][k])
        own = cells.setdefault(key, {"subject": texts["USUBJID"][k]})
        own[texts["TRTESTCD"][k]] = texts["TRSTRESC"][k]
        own["day"] = texts.get("TRDY", blank)[k]
        own["date"] = texts.get("TRDTC", blank)[k]
    merged: dict[str, list[str]] = {key: [] for key in _HEADERS}
    for (sample, lesion, role, visit), own in cells.items():
        node = (own["subject"], lesion) in nodes
        size = own.get("DIAMETER") or own.get("LPERP" if node else "LDIAM", "")
        row = {"sample": sample, "lesion": lesion, "role": role, "visit": visit,
               "day": own["day"], "date": own["date"], "node": "yes" if node else "no",
               "diameter_mm": size, "state": own.get("TUMSTATE", "")}  # fmt: skip
        for key, value in row.items():
            merged[key].append(value)
    return _lesions(merged, place)


def _nodes(path: str | Path | None) -> set[tuple[str, str]]:
    if path is None:
        return set()
    raw = read_table(path)
    lost = [name for name in ("USUBJID", "TULNKID", "TULOC") if name not in raw.columns]
    if lost:
        raise FormatError(f"This is no TU table: it lacks {shown(lost)}.", path=path)
    subject, lesion, where = (_texts(raw, name) for name in ("USUBJID", "TULNKID", "TULOC"))
    return {
        (s, item)
        for s, item, site in zip(subject, lesion, where, strict=True)
        if "LYMPH NODE" in site.upper()
    }
