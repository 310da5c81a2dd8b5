"""The catalogue: entries are whole, and what they name is there."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from radgen.catalog import data_sets, papers
from radgen.cli.app import _names, app

DOCS = Path(__file__).parent.parent / "docs" / "howto"
DOI = re.compile(r"10\.\d{4,9}/\S+")


def test_data_sets_are_whole_and_named_once() -> None:
    found = data_sets()
    assert len({item.name for item in found}) == len(found)
    for item in found:
        assert item.place
        assert item.disease
        assert item.modalities
        assert item.layers
        assert item.licence
        assert item.url.startswith("https://")
        assert not item.doi or DOI.fullmatch(item.doi)
        assert not item.access or re.fullmatch(r"idc download [a-z0-9_]+", item.access)
        assert item.patients is None or item.patients > 0


def test_cards_name_commands_and_pages_that_exist() -> None:
    commands = set(_names())
    for card in papers():
        assert card.topic
        assert card.method
        assert not set(card.commands) - commands, card
        assert not card.page or (DOCS / f"{card.page}.md").exists(), card
        assert card.commands or card.note, card
        assert not card.doi or DOI.fullmatch(card.doi)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["datasets", "--find", "breast arm"], "I-SPY 2"),
        (["papers", "--find", "vessel"], "radgen functional"),
        (["checklists"], "CLEAR"),
        (["datasets", "--find", "nothing-like-it"], "Nothing in datasets"),
    ],
)
def test_the_command_prints_what_is_asked_for(words: list[str], shown: str) -> None:
    run = CliRunner().invoke(app, ["catalog", *words], catch_exceptions=False)
    assert run.exit_code == 0
    assert shown in run.output


def test_the_command_writes_a_table(tmp_path: Path) -> None:
    out = tmp_path / "sets.csv"
    run = CliRunner().invoke(app, ["catalog", "datasets", "--out", str(out)])
    assert run.exit_code == 0
    table = pl.read_csv(out)
    assert table.height == len(data_sets())
    assert table.filter(pl.col("name") == "UPENN-GBM")["patients"].item() == 630
