"""Write a report: one HTML file that needs no network, and its data beside it."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl

from radgen._core.files import atomic_path, write_text
from radgen.catalog import checklist_names
from radgen.errors import InputError
from radgen.report import cohort
from radgen.report.blocks import Block, Figure, Notes, Prose, Row, Table
from radgen.report.checklist import fill_checklist
from radgen.report.facts import derive_facts
from radgen.report.input import ReportInput, Scan
from radgen.report.sections import render
from radgen.report.svg import draw
from radgen.report.tables import FIRST_ROWS, as_csv, as_json, payload, shown_number
from radgen.types import Result

__all__ = ["write_report"]

_EMBEDDED_ROWS = 5_000
_SCANS_SHOWN = 300


def write_report(
    report: ReportInput, path: str | Path, *, data_dir: str | Path | None = None
) -> Path:
    """Write a report as one self-contained HTML file and return its path.

    Parameters
    ----------
    report : ReportInput
        What to show.
    path : str or Path
        The HTML file. It loads nothing: style, script, figures and tables stand within it.
    data_dir : str or Path or None
        Folder for each figure as SVG and each table and figure's numbers as Parquet; where
        None, a folder ``data`` beside the file.

    Returns
    -------
    Path
        The HTML file.

    Raises
    ------
    InputError
        If `path` does not end in ``.html``, or a fact or declaration has an unknown key.

    Notes
    -----
    The same input gives the same bytes. Every text from a file is escaped: markup in an id is
    shown as typed, and the content security policy lets no other script run.
    """
    target = Path(path)
    if target.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"A report is an HTML file; {target.name!r} does not end in .html.")
    folder = target.parent / "data" if data_dir is None else Path(data_dir)
    writer = _Writer(folder, _link(folder, target.parent))
    text = _template().render(**_context(report, writer))
    write_text(target, text)
    return target


@dataclass
class _Writer:
    """Numbers the blocks, stores their data, and returns what the template shows."""

    folder: Path
    link: str
    names: set[str] = field(default_factory=set)
    stored: list[tuple[pl.DataFrame, str]] = field(default_factory=list)

    def blocks(self, blocks: tuple[Block, ...], stem: str) -> list[dict[str, Any]]:
        return [self.block(block, stem) for block in blocks]

    def block(self, block: Block, stem: str) -> dict[str, Any]:
        if isinstance(block, Figure):
            return self.figure(block, stem)
        if isinstance(block, Table):
            return self.table(block, stem)
        if isinstance(block, Row):
            return {"type": "row", "figures": [self.figure(f, stem) for f in block.blocks]}
        if isinstance(block, Notes):
            return {"type": "notes", "items": block.items, "tone": block.tone, "title": block.title}
        if isinstance(block, Prose):
            paragraphs = [part.strip() for part in block.text.split("\n\n") if part.strip()]
            return {"type": "prose", "title": block.title, "paragraphs": paragraphs}
        raise InputError(f"A report cannot show a {type(block).__name__}.")

    def figure(self, figure: Figure, stem: str) -> dict[str, Any]:
        name = self.name(f"{stem}-{figure.title}")
        shown: dict[str, Any] = {
            "type": "figure",
            "id": name,
            "title": figure.title,
            "alt": figure.alt,
            "caption": figure.caption,
            "wide": figure.size[0] > 6,
            "csv": "",
            "parquet": "",
        }
        try:
            drawing = draw(figure, name)
        except InputError as reason:
            return {**shown, "svg": "", "reason": str(reason)}
        write_text(self.folder / f"{name}.svg", drawing.file)
        shown |= {"svg": drawing.page, "width": drawing.width_px}
        if figure.data is not None and figure.data.width:
            shown["parquet"] = self.store(figure.data, name)
            if figure.data.height <= _EMBEDDED_ROWS:
                shown["csv"] = as_json(as_csv(figure.data))
        return shown

    def table(self, table: Table, stem: str) -> dict[str, Any]:
        name = self.name(f"{stem}-table")
        content = payload(table.frame, table.labels)
        kinds = [column["kind"] for column in content["columns"]]
        first = [
            [v if k == "text" else shown_number(v, k) for v, k in zip(row, kinds, strict=True)]
            for row in list(zip(*content["values"], strict=True))[:FIRST_ROWS]
        ]
        return {
            "type": "table",
            "id": name,
            "caption": table.caption,
            "columns": content["columns"],
            "first": first,
            "rows": content["rows"],
            "held": content["held"],
            "json": as_json(content),
            "parquet": self.store(table.frame, name),
        }

    def store(self, frame: pl.DataFrame, name: str) -> str:
        found = next((file for known, file in self.stored if known is frame), None)
        if found is None:
            found = f"{name}.parquet"
            with atomic_path(self.folder / found) as temporary:
                frame.write_parquet(temporary, compression="zstd", statistics=True)
            self.stored.append((frame, found))
        return f"{self.link}{found}" if self.link else ""

    def name(self, text: str) -> str:
        stem = _slug(text)
        name, number = stem, 2
        while name in self.names:
            name, number = f"{stem}-{number}", number + 1
        self.names.add(name)
        return name


def _context(report: ReportInput, writer: _Writer) -> dict[str, Any]:
    script = _asset("report.js")
    facts = derive_facts(report)
    chapters = []
    for title, items in cohort.chapters(report):
        chapters.append({"title": title, "blocks": writer.blocks(items, _slug(title))})
    sections = []
    for section in report.sections:
        stem = _slug(section.title)
        shown: list[dict[str, Any]] = []
        for item in section.items:
            blocks = render(item) if isinstance(item, Result) else (item,)
            shown += writer.blocks(blocks, stem)
        sections.append({"title": section.title, "text": section.text, "blocks": shown})
    ids = _Ids()
    chapters = [{**c, "id": ids.new(c["title"])} for c in chapters]
    sections = [{**s, "id": ids.new(s["title"])} for s in sections]
    anchors = {section["title"]: section["id"] for section in sections}
    return {
        "report": report,
        "whole": report.purpose == "study",
        "style": _asset("report.css"),
        "script": script,
        "script_hash": _sha256(script),
        "findings": _findings(report, anchors),
        "cards": cohort.cards(report),
        "chapters": chapters,
        "sections": sections,
        **_scans(report.scans),
        "methods": [
            {"title": s.title, "texts": [t for r in s.results if (t := r.methods())]}
            for s in report.sections
        ],
        "references": _references(report),
        "checklists": [
            fill_checklist(name, facts, report.declarations) for name in checklist_names()
        ],
        "provenance": _flat(report.provenance),
    }


class _Ids:
    def __init__(self) -> None:
        self.seen: set[str] = {"summary", "scans", "methods", "checklists", "provenance", "main"}

    def new(self, title: str) -> str:
        stem = f"s-{_slug(title)}"
        name, number = stem, 2
        while name in self.seen:
            name, number = f"{stem}-{number}", number + 1
        self.seen.add(name)
        return name


def _findings(report: ReportInput, anchors: dict[str, str]) -> list[dict[str, Any]]:
    found = []
    for section in report.sections:
        texts = [text for result in section.results for text in result.findings()]
        if texts:
            found.append({"title": section.title, "texts": texts, "id": anchors[section.title]})
    return found


def _scans(scans: tuple[Scan, ...]) -> dict[str, Any]:
    ordered = sorted(scans, key=lambda scan: (scan.status == "ok", scan.sample))
    shown = [
        {
            "scan": scan,
            "image": base64.b64encode(scan.thumbnail).decode("ascii") if scan.thumbnail else "",
        }
        for scan in ordered[:_SCANS_SHOWN]
    ]
    plain = [scan for scan in scans if not scan.map]
    failed = sum(scan.status != "ok" for scan in plain)
    return {
        "scans": shown,
        "n_scans": len(plain),
        "n_bad_scans": failed,
        "n_shown": sum(not item["scan"].map for item in shown),
        "n_maps": len(scans) - len(plain),
    }


def _references(report: ReportInput) -> list[str]:
    found: dict[str, None] = {}
    for result in report.results:
        given = getattr(result, "references", ())
        for text in given() if callable(given) else given:
            found[str(text)] = None
    for name in checklist_names():
        chosen = fill_checklist(name, {}).checklist
        found[f"{chosen.reference}{f' doi:{chosen.doi}' if chosen.doi else ''}"] = None
    return list(found)


def _flat(values: Any, prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{prefix} › {key}" if prefix else str(key)
        if hasattr(value, "items"):
            rows += _flat(value, name)
        elif isinstance(value, list | tuple):
            rows.append((name, ", ".join(map(str, value))))
        else:
            rows.append((name, str(value)))
    return rows


def _template() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("radgen.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")


def _asset(name: str) -> str:
    return files("radgen.report").joinpath("templates", name).read_text(encoding="utf-8")


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _link(folder: Path, page_folder: Path) -> str:
    try:
        relative = folder.resolve().relative_to(page_folder.resolve()).as_posix()
    except ValueError:
        return ""
    return f"{quote(relative)}/"


def _slug(text: str) -> str:
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in text.lower())
    return "-".join(part for part in kept.split("-") if part)[:60] or "part"
