"""The documentation: its tutorial runs, its pages name what exists."""

from __future__ import annotations

import ast
import doctest
import importlib.util
import os
import re
from pathlib import Path
from types import ModuleType

import pytest

import radgen

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if not {"api", "_build"} & set(path.parts))


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_pages", DOCS / "make_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.usefixtures("undrawn")
def test_tutorial_prints_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```pycon\n(.*?)```", text, flags=re.S)
    parsed = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "tutorial", None, 0)
    assert len(parsed.examples) > 15
    monkeypatch.chdir(tmp_path)
    printed: list[str] = []
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    runner = doctest.DocTestRunner(optionflags=flags)
    found = runner.run(parsed, out=printed.append)
    assert found.failed == 0, "".join(printed)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_python_of_a_page_parses_and_names_what_exists(page: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), flags=re.S):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module:
                module = importlib.import_module(node.module)
                assert all(hasattr(module, item.name) for item in node.names), node.module
        for package, name in re.findall(r"radgen\.(\w+)\.(\w+)", block):
            assert hasattr(getattr(radgen, package), name), f"{package}.{name}"


def test_commands_of_a_page_exist(pages: ModuleType) -> None:
    shown = set(re.findall(r"^## radgen ([\w-]+)$", pages.command_page(), flags=re.M))
    assert {"check", "demo", "extract", "gwas", "init", "run"} <= shown
    for page in PAGES:
        for block in re.findall(r"```bash\n(.*?)```", page.read_text("utf-8"), flags=re.S):
            assert set(re.findall(r"^radgen (\w[\w-]*)", block, flags=re.M)) <= shown, page.name


def test_every_key_of_a_study_is_listed(pages: ModuleType) -> None:
    schema = pages._schema()
    text = pages.schema_page(schema)
    for key in schema["properties"]:
        assert f"## `{key}`" in text
    for part in schema["$defs"].values():
        for key in part.get("properties", {}):
            assert f"| `{key}` |" in text


def test_every_public_name_is_listed(pages: ModuleType) -> None:
    for name in pages.packages():
        text = pages.package_page(name)
        for item in getattr(radgen, name).__all__:
            assert f"radgen.{name}.{item}\n" in text


def test_links_between_pages_have_a_target() -> None:
    made = {"api/commands", "api/study-toml", "api/index"}
    for page in PAGES:
        for link in re.findall(r"\{doc\}`([^`]+)`", page.read_text("utf-8")):
            target = re.sub(r"^.*<(.+)>$", r"\1", link)
            where = Path(os.path.normpath(page.parent / target)).relative_to(DOCS)
            known = where.as_posix() in made or (DOCS / f"{where}.md").exists()
            assert known, (page.name, target)
