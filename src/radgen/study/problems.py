"""Problems of a study, all at once: where each is, what it is and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from radgen.errors import ConfigError

__all__ = ["Problem", "raise_problems"]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that keeps a study from running.

    Attributes
    ----------
    file : str
        The file that has to be changed.
    line : int
        Line of a text file, 0 where it does not apply.
    what : str
        What is wrong and what was found.
    remedy : str
        What to do.
    """

    file: str
    line: int
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.what}{f' {self.remedy}' if self.remedy else ''}"


def raise_problems(problems: Iterable[Problem], *, what: str) -> None:
    """Raise one error that lists all problems; return where there is none.

    Raises
    ------
    ConfigError
        With a line for each problem, and all of them in ``problems``.
    """
    found = list(problems)
    if not found:
        return
    lines = [str(problem) for problem in found]
    count = "1 problem" if len(lines) == 1 else f"{len(lines)} problems"
    raise ConfigError(
        "\n".join([f"{what}: {count}.", *(f"  {line}" for line in lines)]), problems=lines
    )
