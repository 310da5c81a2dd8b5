"""Pages made from the code: the reference of all public names, commands and study keys."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import radgen

__all__ = ["command_page", "packages", "schema_page", "write_pages"]


def write_pages(folder: Path) -> None:
    """Write all made pages into a folder; unchanged files keep their time."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = {f"{name}.rst": package_page(name) for name in packages()}
    pages["commands.md"] = command_page()
    pages["study-toml.md"] = schema_page(_schema())
    listed = "\n".join(f"   {name}" for name in packages())
    pages["index.rst"] = f"{_heading('Python reference')}\n.. toctree::\n\n{listed}\n"
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def packages() -> list[str]:
    """Return the names of the subpackages that have public names."""
    names = [name for name in radgen.__all__ if not name.startswith("_")]
    return [name for name in names if getattr(import_module(f"radgen.{name}"), "__all__", [])]


def package_page(name: str) -> str:
    """Return the reference page of one subpackage."""
    module = import_module(f"radgen.{name}")
    full = f"radgen.{name}"
    parts = [
        _heading(full),
        f"{inspect.getdoc(module) or ''}\n",
        f".. currentmodule:: {full}\n",
    ]
    for item in sorted(module.__all__, key=str.lower):
        value = getattr(module, item)
        if inspect.isclass(value):
            parts.append(f".. autoclass:: {full}.{item}\n   :members:\n   :show-inheritance:\n")
        elif callable(value) and hasattr(value, "__module__") and inspect.isroutine(value):
            parts.append(f".. autofunction:: {full}.{item}\n")
        else:
            parts.append(f".. data:: {full}.{item}\n   :no-index:\n\n   A constant.\n")
    return "\n".join(parts)


def command_page() -> str:
    """Return the page of all commands: what ``radgen COMMAND --help`` prints."""
    import typer
    from typer.testing import CliRunner

    from radgen.cli.app import app

    runner = CliRunner(env={"COLUMNS": "88", "TERM": "dumb", "NO_COLOR": "1"})
    group = typer.main.get_command(app)
    context = typer.Context(group)
    parts = ["# Commands\n", "What `radgen --help` and `radgen COMMAND --help` print.\n"]
    for name in ("", *group.list_commands(context)):
        printed = runner.invoke(app, [name, "--help"] if name else ["--help"]).output
        parts.append(f"## radgen {name}\n".replace("  ", " ").replace("radgen \n", "radgen\n"))
        parts.append(f"```text\n{printed.strip()}\n```\n")
    return "\n".join(parts)


def schema_page(schema: Mapping[str, Any]) -> str:
    """Return the page of all keys of ``study.toml``, from its JSON Schema."""
    parts = [
        "# Keys of study.toml\n",
        "Every section and key, made from the schema that `radgen check` uses. An unknown key is "
        "an error that names the nearest one.\n",
    ]
    definitions = schema.get("$defs", {})
    for key, value in schema["properties"].items():
        parts.append(f"## `{key}`\n")
        parts.append(f"{value.get('description', '')}\n")
        for name in _named(value):
            parts += _definition(name, definitions, depth=3)
    shown = {name for value in schema["properties"].values() for name in _named(value)}
    rest = [name for name in definitions if name not in shown]
    if rest:
        parts.append("## Nested tables\n")
        for name in rest:
            parts += _definition(name, definitions, depth=3)
    return "\n".join(parts)


def _schema() -> Mapping[str, Any]:
    from radgen.study import json_schema

    made = json_schema()
    return json.loads(made) if isinstance(made, str) else made


def _definition(name: str, definitions: Mapping[str, Any], depth: int) -> Iterator[str]:
    found = definitions[name]
    yield f"{'#' * depth} {_words(name)}\n"
    yield f"{_cell(found.get('description', ''))}\n"
    if not found.get("properties"):
        return
    yield "| key | type | default | what it says |"
    yield "|---|---|---|---|"
    needed = set(found.get("required", ()))
    for key, value in found["properties"].items():
        default = "**needed**" if key in needed else _default(value)
        text = _cell(value.get("description", ""))
        yield f"| `{key}` | {_cell(_type(value))} | {default} | {text} |"
    yield ""


def _named(value: Mapping[str, Any]) -> list[str]:
    text = json.dumps(value)
    return [part.split('"', 1)[0] for part in text.split("#/$defs/")[1:] if part.split('"', 1)[0]]


def _type(value: Mapping[str, Any]) -> str:
    if "$ref" in value:
        return _words(value["$ref"].rsplit("/", 1)[1])
    if "enum" in value:
        return " or ".join(json.dumps(item) for item in value["enum"])
    if "const" in value:
        return json.dumps(value["const"])
    for key in ("anyOf", "oneOf"):
        if key in value:
            kinds = [_type(item) for item in value[key] if item.get("type") != "null"]
            return " or ".join(dict.fromkeys(kinds))
    kind = str(value.get("type", "any"))
    if kind == "array" and isinstance(value.get("items"), Mapping):
        return f"list of {_type(value['items'])}"
    if kind == "object" and isinstance(value.get("additionalProperties"), Mapping):
        return f"table of {_type(value['additionalProperties'])}"
    return {"object": "table", "string": "text", "integer": "whole number"}.get(kind, kind)


def _default(value: Mapping[str, Any]) -> str:
    given = value.get("default")
    return "" if given is None else f"`{json.dumps(given, ensure_ascii=False)}`"


def _words(name: str) -> str:
    plain = name.removesuffix("Settings")
    return "".join(f" {c.lower()}" if c.isupper() else c for c in plain).strip()


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "\\<").replace("*", "\\*")


def _heading(text: str) -> str:
    return f"{text}\n{'=' * len(text)}\n"
