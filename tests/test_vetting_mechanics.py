"""`vetting.csv` names tests that exist, and the README states the number it holds.

A row is a quantity, its reference and the test; configurations stand side by side: "a | b".
"""

from __future__ import annotations

import ast
import csv
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
KINDS = {"exact", "oracle", "simulation", "invariant"}


def _rows() -> list[dict[str, str]]:
    """Return a row a configuration."""
    with (ROOT / "tests" / "vetting.csv").open(newline="") as stream:
        return [
            row | {"configuration": one}
            for row in csv.DictReader(stream)
            for one in row["configuration"].split(" | ")
        ]


@cache
def _tests_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_each_vetted_quantity_names_an_existing_test_once() -> None:
    rows = _rows()
    assert rows, "vetting.csv is empty"
    seen: set[tuple[str, str, str]] = set()
    for row in rows:
        assert row["kind"] in KINDS, row
        key = (row["quantity"], row["configuration"], row["reference"])
        assert key not in seen, f"stands twice: {key}"
        seen.add(key)
        file, _, name = row["test"].partition("::")
        assert (ROOT / file).is_file(), row["test"]
        assert name.partition("[")[0] in _tests_of(ROOT / file), row["test"]


def test_the_readme_states_the_number_of_quantities_with_an_independent_oracle() -> None:
    stated = re.search(r"\*\*([\d,]+) quantities\*\*", (ROOT / "README.md").read_text())
    assert stated is not None, "README.md no longer states the number of vetted quantities"
    vetted = {row["quantity"] for row in _rows() if row["kind"] in {"oracle", "exact"}}
    if int(stated.group(1).replace(",", "")) != len(vetted):
        pytest.fail(f"README.md says {stated.group(1)}; vetting.csv holds {len(vetted)}.")
