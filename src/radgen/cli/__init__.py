"""Floor 11: the command line."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the radgen command line."""
    import gc
    import sys

    from radgen._core.later import load, put_off

    # What imports leave behind stays: to look through it often takes a tenth of a start.
    gc.set_threshold(20_000)
    put_off("typer")
    if sys.argv[1:2] == ["gwas"]:
        # Up to its first block a scan needs no tables; other commands do at once.
        put_off("polars")
    from radgen.cli._straight import run_straight

    if run_straight(sys.argv[1:]):
        return
    load("typer")
    from radgen.cli.app import run

    run()
