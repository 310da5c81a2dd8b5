"""Floor 11: the command line."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the radgen command line."""
    from radgen.cli.app import run

    run()
