"""Match scans, lesions and specimens of patients by declared rules, and count every loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl

from radgen._core.naming import did_you_mean, require_choice
from radgen.associate.aggregation import standardised_differences
from radgen.errors import InputError, shown
from radgen.types import FrameLike, Result, to_polars
from radgen.types.align import check_unique, look_alikes

__all__ = ["LinkResult", "LinkRules", "Pick", "link"]

Pick = Literal["refuse", "first", "last", "nearest", "all"]

_PICKS = ("refuse", "first", "last", "nearest", "all")
_AXES = ("x", "y", "z")


@dataclass(frozen=True, slots=True)
class LinkRules:
    """Which scan goes with which specimen.

    Attributes
    ----------
    same_lesion : bool
        Both name the same lesion.
    max_days : float or None
        Largest distance of their dates.
    max_mm : float or None
        Largest distance of their coordinates (``x``, ``y``, ``z`` in one frame of reference).
    before : str
        Date column of the patients' table: scans after that day are left out; "" = none.
    specimens_before : bool
        Specimens after that day are left out too.
    several_scans, several_specimens : {"refuse", "first", "last", "nearest", "all"}
        What is done where a patient (a lesion, with `same_lesion`) has several that fit:
        an error, the first or last by date, the one nearest in time to its partner, or each.
    """

    same_lesion: bool = False
    max_days: float | None = None
    max_mm: float | None = None
    before: str = ""
    specimens_before: bool = False
    several_scans: Pick = "refuse"
    several_specimens: Pick = "refuse"

    def __post_init__(self) -> None:
        for name in ("several_scans", "several_specimens"):
            require_choice(getattr(self, name), _PICKS, what=name)
        for name in ("max_days", "max_mm"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise InputError(f"{name} is 0 or more; found {value}.")


@dataclass(frozen=True, eq=False)
class LinkResult(Result):
    """Linked scans and specimens, and who was lost.

    Attributes
    ----------
    frame : polars.DataFrame
        ``patient, lesion, scan, specimen, days, distance_mm``: a row a linked pair; days from
        scan to specimen (negative: the specimen came first), null where a date is missing.
    flow : polars.DataFrame
        ``step, n, dropped, reason``: patients that remain after each step, with the reasons.
    lost : polars.DataFrame
        ``record, kind, patient, step, reason``: each scan and specimen that was left out.
    differences : polars.DataFrame
        ``variable, kept, lost, difference``: patients that remain against those that do not,
        as `standardised_differences` gives them.
    """

    kind: ClassVar[str] = "linkage"
    plots: ClassVar[tuple[str, ...]] = ("flow",)

    flow: pl.DataFrame = field(default_factory=pl.DataFrame)
    lost: pl.DataFrame = field(default_factory=pl.DataFrame)
    differences: pl.DataFrame = field(default_factory=pl.DataFrame)

    def statements(self) -> tuple[str, ...]:
        """Return how many remain, why others do not, and how they differ."""
        first, last = self.flow["n"][0], self.flow["n"][-1]
        lines = [
            f"{last} of {first} patients have a linked scan and specimen ({self.frame.height} "
            "pairs)."
        ]
        counts = self.lost.group_by("kind", "reason").len()
        counts = counts.sort("len", "kind", "reason", descending=[True, False, False])
        lines += [
            f"{n} {kind}{'s' if n > 1 else ''}: {reason}."
            for kind, reason, n in counts.head(5).iter_rows()
        ]
        lines += self.warnings
        apart = self.differences.filter(pl.col("difference").abs() > 0.2)
        if apart.height:
            worst = apart.sort(pl.col("difference").abs(), descending=True).head(3)
            words = ", ".join(
                f"{name} ({d:+.2f} SD)" for name, d in worst.select("variable", "difference").rows()
            )
            lines.append(f"Those kept differ from those lost in {words}.")
        return tuple(lines)

    def methods(self) -> str:
        """Return the methods paragraph."""
        p = self.params
        words = ["Scans and specimens were matched by patient"]
        if p["same_lesion"]:
            words.append("of the same lesion")
        if p["max_days"] is not None:
            words.append(f"at most {p['max_days']:g} days apart")
        if p["max_mm"] is not None:
            words.append(f"at most {p['max_mm']:g} mm apart")
        if p["before"]:
            what = "scans and specimens" if p["specimens_before"] else "scans"
            words.append(f"{what} not after {p['before']}")
        words.append(f"of several scans: {p['several_scans']}")
        words.append(f"of several specimens: {p['several_specimens']}")
        return "; ".join(words) + "."

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw one of `plots` and return the matplotlib Axes.

        Parameters
        ----------
        kind : str
            "flow": the flow diagram.
        ax : matplotlib Axes or None
            Where to draw.

        Returns
        -------
        matplotlib Axes
            The drawing.

        Raises
        ------
        InputError
            If there is no such plot.
        """
        if kind != "flow":
            return super().plot(kind, ax=ax)
        from radgen.plot import flow

        return flow(self.flow, ax=ax)


def link(
    scans: FrameLike,
    specimens: FrameLike,
    patients: FrameLike | None = None,
    *,
    rules: LinkRules | None = None,
) -> LinkResult:
    """Return which scan goes with which specimen, by declared rules.

    Parameters
    ----------
    scans : data frame
        ``scan`` (unique), ``patient``, and where rules need them ``date`` (dates), ``lesion``,
        ``x, y, z`` (mm).
    specimens : data frame
        ``specimen`` (unique), ``patient``, and the same.
    patients : data frame or None
        ``patient`` (unique), the date that ``before`` names, and columns to compare patients
        that remain with those that do not.
    rules : LinkRules or None
        The rules; by patient alone where None.

    Returns
    -------
    LinkResult
        Pairs, flow, losses with reasons, differences.

    Raises
    ------
    InputError
        If a column is missing, or a patient has several scans or specimens that fit and the
        rules refuse that.
    AlignmentError
        If ids repeat.

    Notes
    -----
    A rule that needs a date, lesion or coordinate drops the records that have none, with that
    reason: what is not known does not fit.

    Examples
    --------
    >>> from datetime import date
    >>> scans = {"scan": ["s1", "s2"], "patient": ["a", "a"],
    ...          "date": [date(2020, 1, 1), date(2020, 3, 1)]}
    >>> samples = {"specimen": ["t"], "patient": ["a"], "date": [date(2020, 3, 5)]}
    >>> link(scans, samples, rules=LinkRules(max_days=30)).table["scan"].to_list()
    ['s2']
    """
    chosen = rules or LinkRules()
    left = _records(scans, "scan", chosen)
    right = _records(specimens, "specimen", chosen)
    people = None if patients is None else _people(patients, chosen)
    run = _Linking(left, right)
    run.note("patients with a scan", None)
    run.note("patients with a specimen too", _partnerless)
    if chosen.before:
        if people is None:
            raise InputError(f"before={chosen.before!r} is a column of the patients' table.")
        days = dict(people.select("patient", chosen.before).iter_rows())
        run.note(f"not after {chosen.before}", lambda r: _late(r, days, chosen))
    pairs = run.pairs()
    for step, test in _pair_rules(chosen):
        pairs = run.filter(pairs, step, test)
    pairs = run.choose(pairs, chosen)
    return _result(pairs, run, people, chosen)


def _records(frame: FrameLike, key: str, rules: LinkRules) -> pl.DataFrame:
    table = to_polars(frame, what=f"table of {key}s")
    needed = [key, "patient"]
    if rules.same_lesion:
        needed.append("lesion")
    by_date = {"first", "last", "nearest"} & {rules.several_scans, rules.several_specimens}
    if rules.max_days is not None or rules.before or by_date:
        needed.append("date")
    if rules.max_mm is not None:
        needed += _AXES
    for name in needed:
        if name not in table.columns:
            raise InputError(
                f"The table of {key}s has no column {name!r}, which the rules need. "
                f"{did_you_mean(name, table.columns)}"
            )
    if "date" in table.columns and table["date"].dtype not in (pl.Date, pl.Datetime, pl.Null):
        raise InputError(f"The dates of the {key}s are {table['date'].dtype}; needed are dates.")
    ids = table[key].cast(pl.String)
    check_unique(ids.to_list(), what=f"table of {key}s")
    optional = {"date": pl.Date, "lesion": pl.String} | dict.fromkeys(_AXES, pl.Float64)
    return table.select(
        ids.alias("record"),
        pl.col("patient").cast(pl.String),
        *(
            pl.col(name).cast(kind) if name in table.columns else pl.lit(None, kind).alias(name)
            for name, kind in optional.items()
        ),
    )


def _people(patients: FrameLike, rules: LinkRules) -> pl.DataFrame:
    table = to_polars(patients, what="table of patients")
    for name in ("patient", rules.before or "patient"):
        if name not in table.columns:
            raise InputError(
                f"The table of patients has no column {name!r}. {did_you_mean(name, table.columns)}"
            )
    check_unique(table["patient"].cast(pl.String).to_list(), what="table of patients")
    return table.with_columns(pl.col("patient").cast(pl.String))


class _Linking:
    """Records that remain, and the losses so far."""

    def __init__(self, scans: pl.DataFrame, specimens: pl.DataFrame) -> None:
        self.sides = {
            "scan": {r["record"]: r for r in scans.to_dicts()},
            "specimen": {r["record"]: r for r in specimens.to_dicts()},
        }
        self.notes = _spellings(scans, specimens, "patient")
        self.flow: list[tuple[str, int, int, str]] = []
        self.lost: list[tuple[str, str, str | None, str, str]] = []
        self._patients = {r["patient"] for r in self.sides["scan"].values()}

    def note(
        self,
        step: str,
        test: Callable[[_Linking], dict[tuple[str, str], str]] | None,
    ) -> None:
        """Leave out the records that a test names with a reason."""
        gone = {} if test is None else test(self)
        for (kind, record), reason in gone.items():
            item = self.sides[kind].pop(record)
            self.lost.append((record, kind, item["patient"], step, reason))
        self._step(step, {r["patient"] for r in self.sides["scan"].values()}, gone)

    def _step(self, step: str, patients: set[str], gone: Mapping[tuple[str, str], str]) -> None:
        counts: dict[tuple[str, str], int] = {}
        for (kind, _), reason in gone.items():
            counts[kind, reason] = counts.get((kind, reason), 0) + 1
        text = "\n".join(
            f"{count} {kind}{'s' if count > 1 else ''}: {reason}"
            for (kind, reason), count in counts.items()
        )
        self.flow.append((step, len(patients), len(self._patients) - len(patients), text))
        self._patients = patients

    def pairs(self) -> list[tuple[str, str]]:
        """Return all scans with all specimens of their patient."""
        by_patient: dict[str, list[str]] = {}
        for record, item in self.sides["specimen"].items():
            by_patient.setdefault(item["patient"], []).append(record)
        return [
            (scan, specimen)
            for scan, item in self.sides["scan"].items()
            for specimen in by_patient.get(item["patient"], ())
        ]

    def filter(
        self,
        pairs: Sequence[tuple[str, str]],
        step: str,
        test: Callable[[dict[str, Any], dict[str, Any]], str],
    ) -> list[tuple[str, str]]:
        """Return the pairs that a test lets pass; a record without a pair left is lost."""
        kept: list[tuple[str, str]] = []
        why: dict[tuple[str, str], str] = {}
        for scan, specimen in pairs:
            reason = test(self.sides["scan"][scan], self.sides["specimen"][specimen])
            if not reason:
                kept.append((scan, specimen))
            else:
                why.setdefault(("scan", scan), reason)
                why.setdefault(("specimen", specimen), reason)
        self._prune(kept, step, why)
        return kept

    def _prune(
        self,
        kept: Sequence[tuple[str, str]],
        step: str,
        why: Mapping[tuple[str, str], str],
    ) -> None:
        used = {("scan", a) for a, _ in kept} | {("specimen", b) for _, b in kept}
        gone = {key: reason for key, reason in why.items() if key not in used}
        for (kind, record), reason in gone.items():
            item = self.sides[kind].pop(record)
            self.lost.append((record, kind, item["patient"], step, reason))
        self._step(step, {self.sides["scan"][a]["patient"] for a, _ in kept}, gone)

    def choose(self, pairs: list[tuple[str, str]], rules: LinkRules) -> list[tuple[str, str]]:
        """Return the pairs after the choice among several scans and specimens."""
        for kind, place, how in (
            ("scan", 0, rules.several_scans),
            ("specimen", 1, rules.several_specimens),
        ):
            pairs = self._one(pairs, kind, place, how, rules.same_lesion)
        return pairs

    def _one(
        self,
        pairs: list[tuple[str, str]],
        kind: str,
        place: int,
        how: str,
        by_lesion: bool,
    ) -> list[tuple[str, str]]:
        groups: dict[tuple[str, str | None], list[tuple[str, str]]] = {}
        for pair in pairs:
            item = self.sides["scan"][pair[0]]
            groups.setdefault((item["patient"], item["lesion"] if by_lesion else None), []).append(
                pair
            )
        several = {k: v for k, v in groups.items() if len({pair[place] for pair in v}) > 1}
        if how == "all" or not several:
            return pairs
        if how == "refuse":
            raise InputError(
                f"{len(several)} {'lesions' if by_lesion else 'patients'} have several {kind}s "
                f"that fit: {shown([k[0] for k in several])}. Say which counts: several_{kind}s is "
                "first, last, nearest or all."
            )
        kept: list[tuple[str, str]] = []
        why: dict[tuple[str, str], str] = {}
        for group, own in groups.items():
            best = self._best(own, kind, place, how) if group in several else own[0][place]
            kept += [pair for pair in own if pair[place] == best]
            for pair in own:
                if pair[place] != best:
                    why[kind, pair[place]] = f"another {kind} counts ({how})"
        self._prune(kept, f"one {kind} a {'lesion' if by_lesion else 'patient'}", why)
        return kept

    def _best(self, own: list[tuple[str, str]], kind: str, place: int, how: str) -> str:
        names = list(dict.fromkeys(pair[place] for pair in own))
        if how == "nearest":
            gaps = {
                name: min(
                    _gap(self.sides["scan"][a], self.sides["specimen"][b])
                    for a, b in own
                    if (a, b)[place] == name
                )
                for name in names
            }
            if np.inf in gaps.values() and min(gaps.values()) == np.inf:
                raise InputError(
                    f"The {kind} nearest in time needs dates: {shown(names)} have none."
                )
            return min(names, key=lambda name: (gaps[name], name))
        undated = [name for name in names if self.sides[kind][name]["date"] is None]
        if undated:
            raise InputError(
                f"The {how} {kind} needs the date of each: {shown(undated)} have none."
            )
        order = sorted(names, key=lambda name: (self.sides[kind][name]["date"], name))
        return order[0] if how == "first" else order[-1]


def _spellings(scans: pl.DataFrame, specimens: pl.DataFrame, name: str) -> tuple[str, ...]:
    """Return a warning where names of both tables differ in spelling only."""
    pairs = look_alikes(*(table[name].drop_nulls().to_list() for table in (scans, specimens)))
    if not pairs:
        return ()
    some = shown([f"{a!r} and {b!r}" for a, b in pairs], 3)
    return (
        f"{len(pairs)} {name}s of the scans have no specimen, but differ from one of the specimens "
        f"in spelling only ({some}); they were not matched. Clean the ids, or declare a rule.",
    )


def _partnerless(run: _Linking) -> dict[tuple[str, str], str]:
    other = {"scan": "specimen", "specimen": "scan"}
    known = {kind: {r["patient"] for r in side.values()} for kind, side in run.sides.items()}
    return {
        (kind, record): f"the patient has no {other[kind]}"
        for kind, side in run.sides.items()
        for record, item in side.items()
        if item["patient"] not in known[other[kind]]
    }


def _late(
    run: _Linking, limits: Mapping[str, date | None], rules: LinkRules
) -> dict[tuple[str, str], str]:
    gone = {}
    kinds = ("scan", "specimen") if rules.specimens_before else ("scan",)
    for kind in kinds:
        for record, item in run.sides[kind].items():
            limit = limits.get(item["patient"])
            if limit is None or item["date"] is None:
                gone[kind, record] = f"the date of the {kind} or {rules.before} is not known"
            elif item["date"] > limit:
                gone[kind, record] = f"the {kind} was taken after {rules.before}"
    # Whoever lost all records of one side has lost the other side's too.
    rest = {
        kind: {i["patient"] for r, i in side.items() if (kind, r) not in gone}
        for kind, side in run.sides.items()
    }
    for kind, other in (("scan", "specimen"), ("specimen", "scan")):
        for record, item in run.sides[kind].items():
            if (kind, record) not in gone and item["patient"] not in rest[other]:
                gone[kind, record] = f"no {other} of the patient is left"
    return gone


def _pair_rules(
    rules: LinkRules,
) -> Iterable[tuple[str, Callable[[dict[str, Any], dict[str, Any]], str]]]:
    if rules.same_lesion:
        yield "same lesion", _other_lesion
    if rules.max_mm is not None:
        limit_mm = rules.max_mm
        yield f"at most {limit_mm:g} mm apart", lambda a, b: _far(a, b, limit_mm)
    if rules.max_days is not None:
        limit = rules.max_days
        yield f"at most {limit:g} days apart", lambda a, b: _long(a, b, limit)


def _other_lesion(scan: dict[str, Any], specimen: dict[str, Any]) -> str:
    if not scan["lesion"] or not specimen["lesion"]:
        return "the lesion of scan or specimen is not named"
    if scan["lesion"] == specimen["lesion"]:
        return ""
    if look_alikes([scan["lesion"]], [specimen["lesion"]]):
        return "no partner from the same lesion, but one with a name of another spelling"
    return "no partner from the same lesion"


def _distance(scan: dict[str, Any], specimen: dict[str, Any]) -> float:
    pairs = [(scan[axis], specimen[axis]) for axis in _AXES]
    if any(a is None or b is None for a, b in pairs):
        return float("nan")
    return float(np.sqrt(sum((a - b) ** 2 for a, b in pairs)))


def _far(scan: dict[str, Any], specimen: dict[str, Any], limit: float) -> str:
    found = _distance(scan, specimen)
    if np.isnan(found):
        return "the coordinates of scan or specimen are not known"
    return "" if found <= limit else f"no partner within {limit:g} mm"


def _gap(scan: dict[str, Any], specimen: dict[str, Any]) -> float:
    if scan["date"] is None or specimen["date"] is None:
        return float("inf")
    return float(abs((specimen["date"] - scan["date"]).days))


def _long(scan: dict[str, Any], specimen: dict[str, Any], limit: float) -> str:
    found = _gap(scan, specimen)
    if np.isinf(found):
        return "the date of scan or specimen is not known"
    return "" if found <= limit else f"no partner within {limit:g} days"


def _result(
    pairs: Sequence[tuple[str, str]],
    run: _Linking,
    people: pl.DataFrame | None,
    rules: LinkRules,
) -> LinkResult:
    rows = []
    for scan, specimen in pairs:
        a, b = run.sides["scan"][scan], run.sides["specimen"][specimen]
        dated = a["date"] is not None and b["date"] is not None
        days = (b["date"] - a["date"]).days if dated else None
        far = _distance(a, b)
        rows.append(
            (a["patient"], a["lesion"] or b["lesion"], scan, specimen, days,
             None if np.isnan(far) else far)
        )  # fmt: skip
    schema = {"patient": pl.String, "lesion": pl.String, "scan": pl.String,
              "specimen": pl.String, "days": pl.Int64, "distance_mm": pl.Float64}  # fmt: skip
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    kept = set(frame["patient"])
    differences = pl.DataFrame()
    if people is not None:
        differences = standardised_differences(people.drop(rules.before, strict=False), kept)
    flow_schema = {"step": pl.String, "n": pl.Int64, "dropped": pl.Int64, "reason": pl.String}
    lost_schema = dict.fromkeys(("record", "kind", "patient", "step", "reason"), pl.String)
    lost = pl.DataFrame(run.lost, schema=lost_schema, orient="row")
    gone = lost.filter(~pl.col("patient").is_in(list(kept)))
    gone = gone.unique("patient", keep="first", maintain_order=True)
    return LinkResult(
        frame=frame,
        params=asdict(rules),
        n_used=len(kept),
        dropped=gone.select(sample="patient", reason="reason"),
        warnings=run.notes,
        provenance={"step": "associate.link", "version": 1},
        flow=pl.DataFrame(run.flow, schema=flow_schema, orient="row"),
        lost=lost,
        differences=differences,
    )
