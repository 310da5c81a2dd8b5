"""Findings of one cohort, locked as hypotheses for another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from radgen._core.digest import digest
from radgen._core.files import write_text
from radgen._core.naming import require_choice
from radgen._version import __version__
from radgen.associate.association_result import AssociationResult
from radgen.errors import FormatError, InputError, shown
from radgen.stats.selection import fit_prior

__all__ = ["LOCKED_COLUMNS", "Hypotheses", "lock"]

LOCKED_COLUMNS = (
    "phenotype",
    "omics",
    "layer",
    "stratum",
    "test",
    "model",
    "n",
    "effect",
    "se",
    "log10p",
)
"""Columns of a table of locked hypotheses."""

_FORMAT = "radgen hypotheses"
_VERSION = 1
_LEVEL = 0.05
_MODEL = ("covariates", "modifier", "transform", "standardise", "min_n", "min_group", "confidence")
_ADJUSTED = (
    "p",
    "p_bonferroni",
    "p_effective",
    "q_bh",
    "q_by",
    "q_storey",
    "q_hierarchical",
    "p_maxt",
)


@dataclass(frozen=True, eq=False)
class Hypotheses:
    """Pairs to test elsewhere, with the model and the direction of each.

    Attributes
    ----------
    frame : polars.DataFrame
        Columns `LOCKED_COLUMNS`, a row a hypothesis, smallest p first.
    params : mapping
        How they were tested (covariates, modifier, transform, standardise, min_n, min_group,
        confidence) and chosen (by, level, at_most, n_tested), and the distribution of the true
        effects in standard errors that all tests of the scan make likely (prior: scales and
        weights).
    """

    frame: pl.DataFrame
    params: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        missing = [name for name in LOCKED_COLUMNS if name not in self.frame.columns]
        if missing:
            raise InputError(f"The hypotheses lack {shown(missing)}.")
        object.__setattr__(self, "frame", self.frame.select(LOCKED_COLUMNS))

    def __len__(self) -> int:
        """Number of hypotheses."""
        return self.frame.height

    def save(self, path: str | Path) -> None:
        """Write the hypotheses as JSON, with a digest that shows later changes.

        Parameters
        ----------
        path : str or Path
            The file.
        """
        content = self._content()
        document = {
            "format": _FORMAT,
            "version": _VERSION,
            "radgen": __version__,
            "digest": digest(json.dumps(content, sort_keys=True)),
            **content,
        }
        write_text(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")

    def _content(self) -> dict[str, Any]:
        return {"params": dict(self.params), "hypotheses": self.frame.to_dicts()}

    @classmethod
    def load(cls, path: str | Path) -> Hypotheses:
        """Return the hypotheses of a file.

        Parameters
        ----------
        path : str or Path
            As `save` wrote it.

        Returns
        -------
        Hypotheses
            The same.

        Raises
        ------
        FormatError
            If it is no such file, or was changed after it was locked.
        """
        place = Path(path)
        if not place.is_file():
            raise FormatError("There is no such file.", path=place)
        try:
            document = json.loads(place.read_text("utf-8"))
            content = {name: document[name] for name in ("params", "hypotheses")}
            known = (document["format"], document["version"]) == (_FORMAT, _VERSION)
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
            raise FormatError(
                f"This is no file of locked hypotheses ({error}).", path=place
            ) from error
        if not known:
            raise FormatError(
                f"Hypotheses of version {document['version']!r}; this radgen reads {_VERSION}.",
                path=place,
            )
        if digest(json.dumps(content, sort_keys=True)) != document.get("digest"):
            raise FormatError(
                "The hypotheses were changed after they were locked: their digest is another "
                "one. Lock them again from the first cohort.",
                path=place,
            )
        return cls(_frame(content["hypotheses"]), content["params"])


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    numbers = {"n": pl.Int64, "effect": pl.Float64, "se": pl.Float64, "log10p": pl.Float64}
    schema = {name: numbers.get(name, pl.String) for name in LOCKED_COLUMNS}
    return pl.DataFrame(rows, schema=schema)


def lock(
    result: AssociationResult,
    *,
    by: str = "q_bh",
    level: float = _LEVEL,
    at_most: int | None = None,
) -> Hypotheses:
    """Return the findings of a scan as hypotheses to test elsewhere.

    Parameters
    ----------
    result : AssociationResult
        The first cohort.
    by : str, default "q_bh"
        Adjusted column that decides.
    level : float, default 0.05
        Its largest value.
    at_most : int or None
        Keep so many with the smallest p.

    Returns
    -------
    Hypotheses
        `save` them before the second cohort is opened. May be empty.

    Raises
    ------
    InputError
        If there is no such column, or the result does not list all pairs that pass.
    """
    require_choice(by, _ADJUSTED, what="adjusted column")
    # Without a direction, or with an exact fit, there is nothing to test elsewhere.
    fit = pl.col("effect").is_not_null() & pl.col("log10p").is_finite()
    rows = result.significant(level, by=by).filter(fit)
    if at_most is not None:
        rows = rows.head(at_most)
    listed, total = result.frame.height, result.summary.get("n_pairs", 0)
    cut_off = listed < total and rows.height == listed
    if cut_off and at_most is None:
        raise InputError(
            f"All {listed} listed pairs pass {by} <= {level:g}, and more may stand in the file "
            "of all pairs. Scan with a larger listed=, or lock at_most a number of them."
        )
    params = {name: result.params.get(name) for name in _MODEL}
    chosen = {
        "by": by,
        "level": level,
        "at_most": at_most,
        "n_tested": int(result.summary.get("n_tested", 0)),
        "prior": _prior(result),
    }
    return Hypotheses(rows.select(LOCKED_COLUMNS), params | chosen)


def _prior(result: AssociationResult) -> dict[str, list[float]] | None:
    counts = result.summary.get("z_counts")
    if counts is None:
        return None
    found = fit_prior(counts)
    kept = found.weights > 1e-6
    kept[0] = True
    return {"scales": found.scales[kept].tolist(), "weights": found.weights[kept].tolist()}
