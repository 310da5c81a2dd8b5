"""A line that the commands read themselves means what it means to typer."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import typer
from typer.core import TyperCommand

from radgen.cli._straight import run_straight, straight
from radgen.cli.app import _names, app

_NAMES = [
    name
    for name in _names()
    if not hasattr(import_module(f"radgen.cli.{name.replace('-', '_')}"), "app")
]
_VALUES = {str: "a,b", Path: "x/y.tsv", int: "17", float: "2.5e-1"}


def _command(name: str) -> Any:
    found = typer.main.get_command(app)
    return found.get_command(None, name)  # type: ignore[attr-defined]


def _words(command: Any) -> list[str]:
    """Return a line that gives every option that is neither a list nor an argument."""
    hints = get_type_hints(inspect.unwrap(command.callback), include_extras=True)
    words: list[str] = []
    for param in command.params:
        kind, info, *_ = get_args(hints[param.name])
        kinds = [one for one in get_args(kind) or (kind,) if one in _VALUES]
        flag = kind is bool
        if not param.opts[0].startswith("--") or not (kinds or flag):
            continue
        value = _VALUES.get(kinds[0], "") if kinds else ""
        if kinds and info.max is not None and float(value) > info.max:
            value = str(info.max)
        if kinds and info.min is not None and float(value) < info.min:
            value = str(info.min)
        words += [param.opts[-1]] if flag else [param.opts[-1], value]
    return words


def _by_typer(command: Any, words: list[str]) -> dict[str, Any]:
    context = command.context_class(command, info_name="x")
    TyperCommand.parse_args(command, context, list(words))
    return dict(context.params)


@pytest.mark.parametrize("name", _NAMES)
def test_every_command_reads_all_its_options_as_typer_does(name: str) -> None:
    command = _command(name)
    words = _words(command)
    plain = all(one.opts[0].startswith("--") and not one.multiple for one in command.params)
    ours = straight(command.callback, words)
    if plain:
        assert ours == _by_typer(command, words)
        assert {key: type(one) for key, one in ours.items()} == {
            key: type(one) for key, one in _by_typer(command, words).items()
        }
    else:
        assert ours is None


_GWAS = ["--genotypes", "a.bed", "--phenotypes", "b.tsv", "--out", "c"]


@pytest.mark.parametrize(
    "words",
    [
        [],
        _GWAS[:4],
        [*_GWAS, "--help"],
        [*_GWAS, "--jobs"],
        [*_GWAS, "--jobs", "two"],
        [*_GWAS, "--jobs", "1.0"],
        [*_GWAS, "--threshold", "-1"],
        [*_GWAS, "--threshold", "nan"],
        [*_GWAS, "--threshold", "1e999"],
        [*_GWAS, "--traits=a"],
        [*_GWAS, "--traits", "--robust"],
        [*_GWAS, "--out", "d"],
        [*_GWAS, "--unknown", "d"],
        [*_GWAS, "left over"],
    ],
    ids=" ".join,
)
def test_whatever_wants_an_explanation_is_left_to_typer(words: list[str]) -> None:
    command = _command("gwas")
    assert straight(command.callback, words) is None


def test_options_that_are_left_out_keep_their_defaults() -> None:
    command = _command("gwas")
    found = straight(command.callback, [*_GWAS, "--robust"])
    assert found == _by_typer(command, [*_GWAS, "--robust"])
    assert found is not None
    assert (found["robust"], found["threshold"], found["model"]) == (True, None, "linear")


@pytest.mark.parametrize(
    ("error", "code"), [(typer.Exit(3), 3), (KeyboardInterrupt(), 130), (BrokenPipeError(), 1)]
)
def test_a_command_ends_as_under_typer(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from radgen.cli import _genetics

    def stop(*_given: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(_genetics, "run_gwas", stop)
    with pytest.raises(SystemExit) as end:
        run_straight(["gwas", *_GWAS])
    assert end.value.code == code


@pytest.mark.parametrize(
    "words", [[], ["--version"], ["genotypes", "qc"], ["_straight"], ["app"], ["no-such"], ["gwas"]]
)
def test_groups_and_unknown_words_are_left_to_typer(words: list[str]) -> None:
    assert not run_straight(words)
