"""Read what happened to patients over time: measurements, treatments, events, baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from radgen._core.naming import counted, did_you_mean
from radgen.errors import FormatError, InputError, shown
from radgen.io.moments import day_numbers
from radgen.io.tables import BLANKS, read_table, to_numbers

__all__ = ["CourseTable", "read_baselines", "read_course"]

_SAMPLES = (
    "sample",
    "patient",
    "patient id",
    "patient_id",
    "subject",
    "subject id",
    "usubjid",
    "id",
)
_DAYS = ("day", "days", "study day", "time", "start", "start day")
_DATES = ("date", "scan date", "sample date", "start date", "trdtc")
_ENDS = ("end", "stop", "end day", "stop day")
_END_DATES = ("end date", "stop date")
_WHAT = ("measure", "marker", "clone", "variant", "mutation", "gene", "lesion", "tracer")
_DRUGS = ("treatment", "drug", "therapy", "regimen")
_EVENTS = ("event", "response", "overall")
_PLAIN = ("value", "measurement")
_NOT_MEASURES = ("visit", "visit number", "visitnum", "timepoint")


@dataclass(frozen=True, eq=False, slots=True)
class CourseTable:
    """One table of what happened, its times as they stand in the file.

    Attributes
    ----------
    name : str
        Of the file, without its suffix.
    frame : polars.DataFrame
        ``row, sample, kind, what, value, start, end``: `kind` is "measurement", "treatment" or
        "event"; `start` and `end` are days from baseline, or the proleptic day number of a date.
    dated : bool
        Whether times are dates.
    """

    name: str
    frame: pl.DataFrame
    dated: bool


_SCHEMA = {"row": pl.Int64, "sample": pl.String, "kind": pl.String, "what": pl.String,
           "value": pl.Float64, "start": pl.Float64, "end": pl.Float64}  # fmt: skip


def read_course(path: str | Path) -> CourseTable:
    """Return a table of measurements, treatments or events over time.

    Parameters
    ----------
    path : str or Path
        A row a patient and time (``day``, or ``date``). Numeric columns are measurements; one text
        column (measure, marker, clone, variant, gene, lesion) tells several of a time apart. A
        column ``treatment`` (with ``end`` or ``end date``) makes treatments, ``event`` or
        ``response`` events. ``visits.csv`` of ``radgen response`` is read as it is: sums of
        diameters, the baseline's among them, and responses.

    Returns
    -------
    CourseTable
        All of it, one below the other.

    Raises
    ------
    FormatError
        If there is no column for patient or time, or cells cannot be read; names rows.
    """
    place = Path(path)
    raw = read_table(place)
    low = {" ".join(name.replace("_", " ").split()).casefold(): name for name in raw.columns}
    key = _need(low, _SAMPLES, "patients", raw, place)
    day, when = _first(low, _DAYS), _first(low, _DATES)
    if day is None and when is None:
        raise FormatError("No column of times: day (from baseline) or date.", path=place)
    samples = _texts(raw[key])
    dated = day is None
    start = _times(raw, when if dated else day, place, dated=dated, need=True)
    ends = _first(low, _END_DATES if dated else _ENDS)
    end = [None] * raw.height if ends is None else _times(raw, ends, place, dated=dated)
    blank = [str(row) for row, sample in enumerate(samples, 1) if not sample]
    if blank:
        raise FormatError(f"No patient in row {shown(blank)}.", path=place)
    late = [str(k + 1) for k in range(raw.height) if end[k] is not None and end[k] < start[k]]  # type: ignore[operator]
    if late:
        raise FormatError(f"The end comes before the start in row {shown(late)}.", path=place)
    used = {key, day, when, ends, _first(low, _END_DATES), _first(low, _ENDS),
            *(low.get(name) for name in _NOT_MEASURES)}  # fmt: skip
    rows: list[tuple[object, ...]] = []
    if {"sum_mm", "baseline_mm", "overall"} <= set(raw.columns):
        rows = _of_response(raw, samples, start)
    else:
        drug, event, what = (_first(low, names) for names in (_DRUGS, _EVENTS, _WHAT))
        for column, kind in ((drug, "treatment"), (event, "event")):
            if column is not None:
                rows += [
                    (k + 1, samples[k], kind, text, None, start[k], end[k])
                    for k, text in enumerate(_texts(raw[column]))
                    if text
                ]
        numeric = [n for n in raw.columns if n not in used | {drug, event, what}]
        rows += _measurements(raw, numeric, what, samples, start, place)
    if not rows:
        raise FormatError(
            "Nothing to put on a time axis: no numbers, treatments or events.", path=place
        )
    frame = pl.DataFrame(rows, schema=_SCHEMA, orient="row")
    return CourseTable(place.name.split(".")[0], frame, dated)


def _of_response(
    raw: pl.DataFrame, samples: Sequence[str], start: Sequence[float | None]
) -> list[tuple[object, ...]]:
    """Return sums and responses of `radgen response`; the baseline's sum stands at day 0."""
    sums, first = (to_numbers(raw[name])[0].to_list() for name in ("sum_mm", "baseline_mm"))
    rows: list[tuple[object, ...]] = []
    seen: set[str] = set()
    for k, text in enumerate(_texts(raw["overall"])):
        if samples[k] not in seen and first[k] is not None:
            seen.add(samples[k])
            rows.append((k + 1, samples[k], "measurement", "sum_mm", first[k], 0.0, None))
        if sums[k] is not None:
            rows.append((k + 1, samples[k], "measurement", "sum_mm", sums[k], start[k], None))
        if text:
            rows.append((k + 1, samples[k], "event", text, None, start[k], None))
    return rows


def _measurements(  # noqa: PLR0917
    raw: pl.DataFrame,
    columns: Sequence[str],
    what: str | None,
    samples: Sequence[str],
    start: Sequence[float | None],
    place: Path,
) -> list[tuple[object, ...]]:
    names = [""] * raw.height if what is None else _texts(raw[what])
    rows: list[tuple[object, ...]] = []
    for column in columns:
        numbers, dirty = to_numbers(raw[column])
        known = numbers.drop_nulls().len()
        if not known:
            continue
        if dirty:
            cells = [f"row {row}: {text!r}" for row, _, text in dirty]
            raise FormatError(
                f"{counted(len(cells), 'cell')} of {column!r} are no numbers: {shown(cells)}.",
                path=place,
            )
        plain = column.casefold() in _PLAIN
        for k, value in enumerate(numbers.to_list()):
            if value is None or value != value:  # noqa: PLR0124 - NaN is no measurement
                continue
            text = (names[k] or column) if plain else f"{column} {names[k]}".strip()
            rows.append((k + 1, samples[k], "measurement", text, value, start[k], None))
    return rows


def read_baselines(path: str | Path) -> pl.DataFrame:
    """Return the date of day 0 of each patient as a day number.

    Parameters
    ----------
    path : str or Path
        Columns for patient and ``date`` (or ``baseline``).

    Returns
    -------
    polars.DataFrame
        ``sample, origin``.

    Raises
    ------
    FormatError
        If a column is missing, a date cannot be read, or a patient stands twice.
    """
    place = Path(path)
    raw = read_table(place)
    low = {" ".join(name.replace("_", " ").split()).casefold(): name for name in raw.columns}
    key = _need(low, _SAMPLES, "patients", raw, place)
    when = _need(low, ("baseline", "baseline date", *_DATES), "dates of baseline", raw, place)
    samples = _texts(raw[key])
    twice = sorted({sample for sample in samples if samples.count(sample) > 1})
    if twice:
        raise FormatError(f"Patients that stand twice: {shown(twice)}.", path=place)
    origin = _times(raw, when, place, dated=True, need=True)
    return pl.DataFrame(
        {"sample": samples, "origin": origin}, schema={"sample": pl.String, "origin": pl.Float64}
    )


def _first(low: dict[str, str], names: Sequence[str]) -> str | None:
    return next((low[name] for name in names if name in low), None)


def _need(
    low: dict[str, str], names: Sequence[str], what: str, raw: pl.DataFrame, place: Path
) -> str:
    found = _first(low, names)
    if found is None:
        raise FormatError(f"No column of {what}. {did_you_mean(names[0], raw.columns)}", path=place)
    return found


def _texts(column: pl.Series) -> list[str]:
    cells = ["" if cell is None else str(cell).strip() for cell in column.to_list()]
    return ["" if cell.casefold() in BLANKS else cell for cell in cells]


def _times(
    raw: pl.DataFrame, name: str | None, place: Path, *, dated: bool, need: bool = False
) -> list[float | None]:
    """Return days; the message about dates names rows alone, for a date may identify somebody."""
    assert name is not None
    texts = _texts(raw[name])
    try:
        out = day_numbers(texts)[0] if dated else [_number(t) if t else None for t in texts]
    except InputError as error:
        raise FormatError(f"Times of {name!r}: {error}", path=place) from None
    odd = [
        f"row {row}" if dated or not text else f"row {row}: {text!r}"
        for row, (text, value) in enumerate(zip(texts, out, strict=True), 1)
        if value is None and (text or need)
    ]
    if odd:
        form = "Write dates as 2024-05-31." if dated else "Write days from baseline."
        raise FormatError(
            f"Times of {name!r} that cannot be read: {shown(odd)}. {form}", path=place
        )
    return out


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
