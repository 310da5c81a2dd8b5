"""The report in a real browser: no error, no sideways scroll, tables that sort and search.

Skipped where chromium or its driver is missing; RADGEN_BROWSER_REQUIRED=1 makes that a failure.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from radgen.report import Section, Table, write_report
from radgen.study import PatientSources, patient_pages
from report_example import example

WIDTHS = (400, 1000, 1600)
ROWS = 100_000


def _missing(reason: str) -> None:
    if os.environ.get("RADGEN_BROWSER_REQUIRED") == "1":
        pytest.fail(f"{reason}, and RADGEN_BROWSER_REQUIRED asks for it.")
    pytest.skip(f"{reason}: the report cannot be opened in a browser here.")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    driver_path = shutil.which("chromedriver")
    if program is None or driver_path is None:
        _missing("chromium or chromedriver is not installed")
    try:
        from selenium import webdriver
    except ImportError:
        _missing("selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver_path))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(1)
    long = pl.DataFrame(
        {
            "name": [f"row-{i:06d}" for i in range(ROWS)],
            "value": rng.normal(size=ROWS),
            "p": rng.random(ROWS),
        }
    )
    report = example()
    section = Section("Long", (Table("A long table", long),))
    path = tmp_path_factory.mktemp("report") / "report.html"
    return write_report(replace(report, sections=(*report.sections, section)), path)


def _open(driver: Any, page: Path, width: int) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.get(page.as_uri())


def _errors(driver: Any) -> list[str]:
    return [entry["message"] for entry in driver.get_log("browser")]


def _ready(driver: Any, table: str) -> Any:
    root = driver.find_element("id", table)
    driver.execute_script("arguments[0].scrollIntoView()", root)
    deadline = time.monotonic() + 20
    while not root.get_attribute("data-ready"):
        assert time.monotonic() < deadline, "the table did not start"
        time.sleep(0.05)
    return root


def _column(root: Any, at: int) -> list[str]:
    return root.parent.execute_script(
        "return Array.from(arguments[0].querySelectorAll("
        "`tbody tr td:nth-child(${arguments[1]})`), (cell) => cell.textContent);",
        root,
        at,
    )


def _until(check: Any, what: str) -> None:
    deadline = time.monotonic() + 20
    while not check():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@pytest.mark.parametrize("width", WIDTHS)
def test_page_fits_and_reports_no_error(browser: Any, page: Path, width: int) -> None:
    _open(browser, page, width)
    browser.execute_script(
        "document.querySelectorAll('details').forEach((item) => { item.open = true; });"
        "document.querySelectorAll('.datatable').forEach((item) => item.scrollIntoView());"
    )
    time.sleep(0.3)
    inner, outer = browser.execute_script(
        "const root = document.documentElement; return [root.scrollWidth, root.clientWidth];"
    )
    assert inner <= outer == width
    assert browser.title.startswith("Glioma study <script>")
    assert _errors(browser) == []


@pytest.mark.parametrize("width", [400, 1600])
def test_page_of_a_patient_fits_and_reports_no_error(
    browser: Any, tmp_path: Path, width: int
) -> None:
    rng = np.random.default_rng(0)
    names = [f"tumour|original|glcm|Joint entropy {k}|IAZD" for k in range(30)]
    table = pl.DataFrame(rng.normal(size=(20, 30)), schema=names)
    table.insert_column(0, pl.Series("sample", [f"<b>P{k}</b>" for k in range(20)]))
    table.write_csv(tmp_path / "features.csv")
    (page,) = patient_pages(
        ["<b>P3</b>"], PatientSources(features=tmp_path / "features.csv"), tmp_path / "pages"
    )
    _open(browser, page, width)
    time.sleep(0.2)
    inner, outer = browser.execute_script(
        "const root = document.documentElement; return [root.scrollWidth, root.clientWidth];"
    )
    assert inner <= outer == width
    assert browser.title == "Sample <b>P3</b> · radgen report"
    assert len(browser.find_elements("css selector", "figure svg")) >= 2
    assert not browser.find_elements("css selector", "#checklists, main td b")
    assert _errors(browser) == []


def test_svg_is_drawn_with_its_size(browser: Any, page: Path) -> None:
    _open(browser, page, 1000)
    heights = browser.execute_script(
        "return Array.from(document.querySelectorAll('figure svg'),"
        " (item) => item.getBoundingClientRect().height);"
    )
    assert len(heights) > 12
    assert min(heights) > 60


def test_long_table_sorts_searches_and_turns_pages(browser: Any, page: Path) -> None:
    _open(browser, page, 1600)
    root = _ready(browser, "long-table")
    heads = root.find_elements("css selector", "thead button")
    frame = pl.read_parquet(page.parent / "data" / "long-table.parquet")
    browser.execute_script("arguments[0].click()", heads[1])
    smallest = frame.sort("value")["name"].head(10).to_list()
    _until(lambda: _column(root, 1) == smallest, "ascending order")
    browser.execute_script("arguments[0].click()", heads[1])
    _until(lambda: _column(root, 1) == frame.sort("value")["name"].tail(10).to_list()[::-1], "desc")
    head = root.find_element("css selector", "thead th:nth-child(2)")
    assert head.get_attribute("aria-sort") == "descending"
    browser.execute_script("arguments[0].click()", heads[0])
    root.find_element("css selector", "input[type=search]").send_keys("row-0123")
    _until(lambda: _column(root, 1)[:1] == ["row-012300"], "search")
    assert "of 100" in root.find_element("css selector", ".count").text
    browser.execute_script(
        "arguments[0].click()", root.find_element("css selector", "[data-act=next]")
    )
    assert _column(root, 1)[0] == "row-012310"
    assert _errors(browser) == []


def test_hostile_cells_stay_text(browser: Any, page: Path) -> None:
    _open(browser, page, 1000)
    root = _ready(browser, "associations-table")
    cells = _column(root, 1)
    assert any("<script>" in cell for cell in cells)
    assert browser.execute_script("return document.querySelectorAll('td *').length") == (
        browser.execute_script("return document.querySelectorAll('#checklists td *').length")
    )


def test_theme_and_gallery_filter_work(browser: Any, page: Path) -> None:
    _open(browser, page, 1000)
    ink = "return getComputedStyle(document.body).color"
    before = browser.execute_script(ink)
    browser.execute_script("document.querySelector('#theme').click()")
    assert browser.execute_script(ink) != before
    browser.execute_script(
        "const box = document.querySelector('#scan-filter'); box.value = 'truncated';"
        "box.dispatchEvent(new Event('input'));"
    )
    shown = "return document.querySelectorAll('.gallery figure:not([hidden])').length"
    assert browser.execute_script(shown) == 1
    assert _errors(browser) == []


def test_downloads_are_whole(browser: Any, page: Path) -> None:
    _open(browser, page, 1000)
    browser.execute_script(
        "window.kept = []; const make = URL.createObjectURL;"
        "URL.createObjectURL = (blob) => { blob.text().then((text) => window.kept.push(text));"
        " return make(blob); };"
        "const figure = document.querySelector('#idh-roc-curves');"
        "figure.querySelector('[data-act=svg]').click();"
        "figure.querySelector('[data-act=csv]').click();"
    )
    _until(lambda: browser.execute_script("return window.kept.length") == 2, "two downloads")
    drawing, table = browser.execute_script("return window.kept")
    assert drawing.startswith("<?xml")
    assert "var(" not in drawing
    assert table.startswith("model,false_positive_rate,true_positive_rate\n")
    assert _errors(browser) == []


def test_text_contrast_is_enough_in_both_themes(browser: Any, page: Path) -> None:
    _open(browser, page, 1000)
    for theme in ("light", "dark"):
        colours = browser.execute_script(
            "document.documentElement.dataset.theme = arguments[0];"
            "const style = getComputedStyle(document.documentElement);"
            "return Object.fromEntries(['ink','muted','accent','good','warn','bad','card','page',"
            "'warn-bg'].map((name) => [name, style.getPropertyValue('--' + name).trim()]));",
            theme,
        )
        for text in ("ink", "muted", "accent", "good", "warn", "bad"):
            for ground in ("card", "page"):
                assert _contrast(colours[text], colours[ground]) >= 4.5, (theme, text, ground)
        assert _contrast(colours["ink"], colours["warn-bg"]) >= 4.5


def _contrast(first: str, second: str) -> float:
    def luminance(ink: str) -> float:
        parts = [int(ink[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)
