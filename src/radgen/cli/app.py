"""The command line: one command a file, found by its name and loaded when it is called."""

from __future__ import annotations

import sys
from importlib import import_module
from pkgutil import iter_modules
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import radgen.cli
from radgen._version import __version__
from radgen.cli import _output
from radgen.cli._sections import SECTIONS

__all__ = ["app", "run"]

_EPILOG = """
\b
Begin here:
  radgen demo                        a whole study of a simulated cohort
  radgen init my-study               look at your files, write a study.toml
  radgen check study.toml            list everything that is wrong with it
  radgen run study.toml --out results
  radgen COMMAND --help              options and examples of a command
"""


def _names() -> list[str]:
    """Return the names of all commands: the public modules of this package, `_` read as `-`."""
    modules = {m.name for m in iter_modules(radgen.cli.__path__) if not m.name.startswith("_")}
    found = {name.replace("_", "-") for name in modules - {"app"}}
    ordered = [name for section in SECTIONS.values() for name in section if name in found]
    return [*ordered, *sorted(found - set(ordered))]


class _Commands(TyperGroup):
    """A group that imports a command when it is asked for, so that others cost no time."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, the first steps first."""
        return _names()

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands under the titles of their sections, with one line each."""
        names = _names()
        sections = {
            title: [n for n in names if n in members] for title, members in SECTIONS.items()
        }
        sections["Others"] = [n for n in names if not any(n in m for m in SECTIONS.values())]
        column = max(map(len, names))
        for title, members in sections.items():
            rows = [(n, self.get_command(ctx, n).get_short_help_str(200)) for n in members]
            if rows:
                with formatter.section(title):
                    formatter.write_dl([(n.ljust(column), text) for n, text in rows])

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Return what follows the options of radgen itself."""
        # What stands before a command's name can only be options, so here is no --help.
        self.add_help_option = not (args and args[0] in _names())
        return super().parse_args(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command: the function of its module's name, or the module's own ``app``."""
        if cmd_name not in _names():
            return None
        name = cmd_name.replace("-", "_")
        module = import_module(f"radgen.cli.{name}")
        found = getattr(module, "app", None)
        if found is None:
            found = typer.Typer(add_completion=False, rich_markup_mode=None)
            found.command(name=cmd_name, **getattr(module, "OPTIONS", {}))(getattr(module, name))
        command = typer.main.get_command(found)
        command.name = cmd_name
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command of the first argument; name the nearest one where there is none."""
        if args and not args[0].startswith("-") and args[0] not in _names():
            from radgen._core.naming import did_you_mean

            ctx.fail(f"There is no command {args[0]!r}. {did_you_mean(args[0], _names())}")
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=_Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"radgen {__version__} (Python {sys.version.split()[0]})")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Radiogenomics: from scans, genes and outcomes to a result that a reviewer can trust."""


def run() -> None:
    """Run the command line; every error that radgen can explain ends in a message."""
    with _output.explained_errors(), _output.bars(), _output.plain_warnings():
        app()
