"""The report: escaped, deterministic, whole, and filled from the run."""

from __future__ import annotations

import html.parser
import io
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from radgen.catalog import checklist, checklist_names
from radgen.errors import GeometryError, InputError
from radgen.report import (
    Figure,
    Notes,
    ReportInput,
    Section,
    Table,
    fill_checklist,
    render,
    thumbnail,
    write_report,
)
from radgen.report.svg import draw
from radgen.report.tables import as_json, payload, shown_number
from radgen.types import Geometry, ImageVolume, Mask, Result
from report_example import HOSTILE, example, gwas


class Elements(html.parser.HTMLParser):
    """Collects the elements of a page as a browser's tokeniser sees them."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(example(), tmp_path_factory.mktemp("report") / "report.html")


def test_no_hostile_text_becomes_markup(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    elements = Elements()
    elements.feed(text)
    kinds = [tag for tag, _ in elements.seen]
    scripts = [attrs for tag, attrs in elements.seen if tag == "script"]
    assert sum(attrs.get("type") != "application/json" for attrs in scripts) == 1
    assert not any(name.startswith("on") for _, attrs in elements.seen for name in attrs)
    assert "iframe" not in kinds
    sources = [a.get("src") or "" for tag, a in elements.seen if tag == "img"]
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert HOSTILE[0] not in text


def test_page_asks_for_nothing_from_outside(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    elements = Elements()
    elements.feed(text)
    for tag, attrs in elements.seen:
        for name in ("src", "href", "xlink:href", "action", "data", "poster"):
            value = attrs.get(name) or "#"
            assert value.startswith(("#", "data:", "data/")), (tag, name, value)
    assert "default-src 'none'" in text
    assert "@import" not in text


def test_same_input_gives_same_bytes(page: Path, tmp_path: Path) -> None:
    again = write_report(example(), tmp_path / "again" / "report.html")
    assert again.read_bytes() == page.read_bytes()
    files = sorted(item.name for item in (page.parent / "data").iterdir())
    assert files == sorted(item.name for item in (again.parent / "data").iterdir())
    for name in files:
        mine, other = page.parent / "data" / name, again.parent / "data" / name
        assert mine.read_bytes() == other.read_bytes(), name


def test_ids_are_unique_and_every_link_has_a_target(page: Path) -> None:
    elements = Elements()
    elements.feed(page.read_text(encoding="utf-8"))
    ids = [attrs["id"] for _, attrs in elements.seen if attrs.get("id")]
    assert len(ids) == len(set(ids))
    for tag, attrs in elements.seen:
        target = attrs.get("href") or attrs.get("xlink:href") or ""
        if target.startswith("#"):
            assert target[1:] in ids, (tag, target)
        elif target.startswith("data/"):
            assert (page.parent / target).exists()


def test_every_figure_has_words_and_every_table_a_caption(page: Path) -> None:
    elements = Elements()
    elements.feed(page.read_text(encoding="utf-8"))
    canvases = [attrs for _, attrs in elements.seen if attrs.get("class") == "canvas"]
    assert len(canvases) > 12
    assert all(attrs["aria-label"] and attrs["role"] == "img" for attrs in canvases)
    kinds = [tag for tag, _ in elements.seen]
    assert kinds.count("table") == kinds.count("caption")
    assert all(attrs.get("alt") for tag, attrs in elements.seen if tag == "img")


def test_figures_and_tables_are_stored_as_svg_and_parquet(page: Path) -> None:
    folder = page.parent / "data"
    drawings = sorted(folder.glob("*.svg"))
    assert len(drawings) > 12
    for drawing in drawings:
        ET.fromstring(drawing.read_bytes())
    tables = sorted(folder.glob("*.parquet"))
    assert all(pl.read_parquet(table).width for table in tables)


def test_null_findings_stand_in_the_summary(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    summary = text[text.index('id="summary"') : text.index('id="h-s-')]
    assert "no evidence that the model is better than chance" in summary
    assert "No association reached" in summary


def test_table_data_survive_the_page(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r'<script type="application/json">(.*?)</script>', text, flags=re.S)
    assert len(blocks) > 10
    decoded = [json.loads(block) for block in blocks]
    tables = [item for item in decoded if isinstance(item, dict)]
    assert any(HOSTILE[0] in column for table in tables for column in table["values"])


def test_json_cannot_end_its_script_element() -> None:
    value = {"a": "</script><!--", "b": [None, 1.5, "\u2028&"], "c": "\ud800"}
    text = as_json(value)
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == value
    text.encode("utf-8")


def test_non_finite_numbers_are_missing_and_long_tables_are_cut() -> None:
    frame = pl.DataFrame({"p": [np.nan, np.inf, 0.25], "gone": [None, None, None]})
    content = payload(frame)
    assert content["values"] == [[None, None, 0.25]]
    long = payload(pl.DataFrame({"x": np.arange(150_000)}))
    assert (long["rows"], long["held"]) == (150_000, 100_000)


@pytest.mark.parametrize(
    ("value", "kind", "shown"),
    [
        (1.23e-9, "p", "1.2e-9"),
        (0.0421, "p", "0.042"),
        (-0.123456, "number", "−0.1235"),
        (1234567.0, "number", "1.23e6"),
        (1200, "count", "1,200"),
        (None, "number", "–"),
    ],
)
def test_numbers_are_shown_shortly(value: float | None, kind: str, shown: str) -> None:
    assert shown_number(value, kind) == shown


def test_unknown_result_is_drawn_by_the_general_renderer() -> None:
    frame = pl.DataFrame({"a": [1]})
    blocks = render(Result(frame, {}, 3, warnings=("Small.",)))
    assert [type(block) for block in blocks] == [Notes, Table]


def test_plot_that_a_result_refuses_is_named_not_fatal(tmp_path: Path) -> None:
    def refuse(_ax: object) -> None:
        raise InputError("This outcome has no ROC curve.")

    report = ReportInput("s", sections=(Section("One", (Figure("ROC", "a", refuse),)),))
    text = write_report(report, tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Not drawn: This outcome has no ROC curve." in text


def test_empty_report_is_written(tmp_path: Path) -> None:
    text = write_report(ReportInput("Nothing yet"), tmp_path / "r.html").read_text("utf-8")
    assert "No analysis of this study states a finding." in text


def test_bad_inputs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not end in .html"):
        write_report(ReportInput("s"), tmp_path / "r.txt")
    with pytest.raises(InputError, match="same title"):
        ReportInput("s", sections=(Section("A"), Section("A")))
    with pytest.raises(InputError, match="lacks the columns"):
        ReportInput("s", flow=pl.DataFrame({"step": ["a"]}))
    with pytest.raises(InputError, match="preprocessing"):
        write_report(ReportInput("s", facts={"preprocesing": "x"}), tmp_path / "r.html")


def test_data_folder_may_stand_elsewhere(tmp_path: Path) -> None:
    report = ReportInput("s", sections=(Section("T", (Table("c", pl.DataFrame({"a": [1]})),)),))
    elsewhere = tmp_path / "other"
    page = write_report(report, tmp_path / "page" / "r.html", data_dir=elsewhere)
    assert list(elsewhere.glob("*.parquet"))
    assert ".parquet" not in page.read_text("utf-8")


def test_many_traits_share_one_manhattan_plot() -> None:
    result = gwas(np.random.default_rng(1), 2_000)
    traits = pl.concat(
        [result.frame.with_columns(phenotype=pl.lit(f"trait {i}")) for i in range(6)]
    )
    many = type(result)(traits, {}, 600, summary=pl.DataFrame(), qq=pl.DataFrame())
    titles = [block.title for block in render(many) if isinstance(block, Figure)]
    assert titles == ["Manhattan plot of 6 traits"]


def test_checklists_have_their_items() -> None:
    sizes = {name: len(checklist(name).items) for name in checklist_names()}
    assert sizes == {"clear": 58, "metrics": 30, "tripod_ai": 52, "radgen": 46}
    weights = [item.weight for item in checklist("metrics").items]
    assert sum(weights) == pytest.approx(1.0, abs=1e-9)


def test_checklist_answers_follow_facts_and_declarations() -> None:
    facts = {"preprocessing": "1 mm", "outcome": "IDH by sequencing"}
    declared = {"clear.8": "IRB 1", "clear.1": "not applicable: preprint"}
    answers = {a.item.item: a for a in fill_checklist("clear", facts, declared).answers}
    assert answers["21"].state == "filled"
    assert answers["18"].state == "confirm"
    assert answers["8"].state == "declared"
    assert answers["1"].state == "not applicable"
    assert answers["22"].state == "missing"
    assert answers["4"].state == "declare"


def test_metrics_score_is_weights_yes_over_weights_active() -> None:
    facts = {"several_sites": "Yes: 3 sites.", "outcome": "by sequencing"}
    declared = {"metrics.2": "yes", "metrics.5": "no", "metrics.27": "not applicable"}
    score = fill_checklist("metrics", facts, declared).score
    weight = {item.item: item.weight for item in checklist("metrics").items}
    active = sum(weight.values()) - weight["9"] - weight["17"] - weight["27"]
    assert score is not None
    assert score.active == pytest.approx(active)
    assert score.proven == pytest.approx((weight["4"] + weight["2"]) / active)
    assert score.possible == pytest.approx((weight["4"] + weight["2"] + weight["3"]) / active)


def test_unknown_declaration_names_the_nearest() -> None:
    with pytest.raises(InputError, match="clear"):
        fill_checklist("clear", {}, {"claer.8": "x"})
    with pytest.raises(InputError, match="no item '99'"):
        fill_checklist("clear", {}, {"clear.99": "x"})


def test_thumbnail_shows_the_outline_where_the_mask_is() -> None:
    from matplotlib.image import imread

    geometry = Geometry.from_spacing((8, 16, 16), (2.0, 1.0, 1.0))
    inside = np.zeros((8, 16, 16), bool)
    inside[3:6, 4:12, 4:12] = True
    image = ImageVolume(inside * 100.0, geometry)
    picture = imread(io.BytesIO(thumbnail(image, {"r": Mask(inside, geometry)}, size_px=64)))
    assert picture.shape[:2] == (64, 3 * 64 + 6)
    colours = np.round(picture[..., :3] * 255).astype(int)
    marked = (colours == (255, 176, 0)).all(axis=2)
    rows, columns = np.nonzero(marked[:, :64])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (16, 47, 16, 47)
    assert not marked[20:44, 20:44].any()


def test_thumbnail_puts_the_head_on_top() -> None:
    from matplotlib.image import imread

    geometry = Geometry.from_spacing((16, 16, 16))
    array = np.zeros((16, 16, 16))
    array[12:] = 1.0
    picture = imread(io.BytesIO(thumbnail(ImageVolume(array, geometry), {}, size_px=32)))
    coronal = picture[:, 35:67, 0]
    assert coronal[:8].mean() > 0.9
    assert coronal[8:].max() < 0.1


def test_thumbnail_refuses_a_mask_of_another_grid() -> None:
    image = ImageVolume(np.zeros((4, 4, 4)), Geometry.from_spacing((4, 4, 4)))
    other = Mask(np.ones((4, 4, 4), bool), Geometry.from_spacing((4, 4, 4), (2.0, 1.0, 1.0)))
    with pytest.raises(GeometryError):
        thumbnail(image, {"r": other})
    with pytest.raises(InputError, match="at least 16"):
        thumbnail(image, {}, size_px=8)


def test_drawing_on_a_page_follows_its_theme_and_the_file_does_not() -> None:
    drawing = draw(Figure("t", "a", lambda ax: ax.set_xlabel("x", color="#1b2733")), "fig")
    assert "var(--ink,#1b2733)" in drawing.page
    assert "var(" not in drawing.file
    assert 'id="fig-' in drawing.page
