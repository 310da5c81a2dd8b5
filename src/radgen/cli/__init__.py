"""Floor 11: the command line."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the radgen command line."""
    import gc
    import sys

    from radgen._core.later import put_off

    # What imports leave behind stays: to look through it often takes a tenth of a start.
    gc.set_threshold(20_000)
    put_off("polars")
    put_off("typer")
    from radgen.cli._straight import run_straight

    if run_straight(sys.argv[1:]):
        return
    from radgen.cli.app import run

    run()
