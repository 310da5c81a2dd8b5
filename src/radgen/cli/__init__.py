"""Floor 11: the command line."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the radgen command line."""
    import gc

    # What imports leave behind stays: to look through it often takes a tenth of a start.
    gc.set_threshold(20_000)
    from radgen.cli.app import run

    run()
