"""Tables of files as an evaluation takes them: features, clinical columns, an outcome."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from radgen._core.naming import counted, did_you_mean
from radgen.errors import InputError, shown
from radgen.io.feature_tables import read_feature_table
from radgen.io.ids import IdRule
from radgen.io.plain import read_plain
from radgen.io.sample_arrays import read_sample_arrays
from radgen.io.tables import read_table, text_of
from radgen.predict._outcome_columns import outcome_of
from radgen.types import Outcome, PhenotypeTable, SampleArrays
from radgen.types.align import longer_barcodes, look_alikes

__all__ = [
    "ModelInputs",
    "against_the_rest",
    "known_id",
    "named_arrays",
    "read_inputs",
    "read_plain",
]


@dataclass(frozen=True, eq=False)
class ModelInputs:
    """What an evaluation, a fit or a validation takes.

    Attributes
    ----------
    blocks : mapping of str to table
        Predictors.
    outcome : Outcome
    groups, sites : mapping of sample to patient or site, or None
    notes : tuple of str
        Cells that could not be read as numbers, and the like.
    """

    blocks: Mapping[str, Any]
    outcome: Outcome
    groups: Mapping[str, str] | None = None
    sites: Mapping[str, str] | None = None
    notes: tuple[str, ...] = field(default=())


def read_inputs(
    outcomes: str | Path,
    target: str,
    *,
    features: Sequence[str | Path] = (),
    genomic: Sequence[str | Path] = (),
    arrays: Sequence[str | Path] = (),
    clinical: Sequence[str] = (),
    positive: str | None = None,
    negative: str | None = None,
    event: str | None = None,
    unit: str = "",
    id_name: str | None = None,
    patient: str | None = None,
    site: str | None = None,
    one_site: str | None = None,
    exclude: Sequence[str] = (),
    id_rule: IdRule | None = None,
    predictors: bool = True,
) -> ModelInputs:
    """Return predictors and outcome from files.

    Parameters
    ----------
    outcomes : str or Path
        Table with the outcome, clinical columns, patient and site.
    target : str
        Column of the outcome; of the time where `event` is given.
    features, genomic : sequence of path
        Tables of image features, and of molecular features, a row a sample.
    arrays : sequence of path
        Files of crops of scans or bags of tiles (`radgen.io.write_sample_arrays`), for networks.
    clinical : sequence of str
        Columns of `outcomes` that are predictors; text is expanded.
    positive : str or None
        Value of the target that counts as positive, against all others. Where all values of the
        column read as altered or normal, every spelling of it ("mutant": "IDH-mutant", "MUT",
        "R132H"); several values parted by ``|`` are these and no others.
    negative : str or None
        Or: the value that counts as negative, against all others (wildtype, say).
    event : str or None
        Column that says whether the event happened (1, yes, dead) or not (0, no, alive).
    unit : str, default ""
        Of a time or a continuous outcome.
    id_name : str or None
        Column of sample ids in all tables that have it.
    patient, site : str or None
        Columns of `outcomes`.
    one_site : str or None
        Name of the site where all samples are of one.
    exclude : sequence of str
        Columns of the feature tables that are no features.
    id_rule : IdRule or None
        Applied to the ids of all tables, such as ``IdRule(case="upper")``.
    predictors : bool, default True
        False: outcome, patients and sites alone are read.

    Returns
    -------
    ModelInputs
        Matched by id later, in `radgen.predict.evaluate`.

    Raises
    ------
    InputError
        If a column does not exist, there is no predictor, the target is among them, or its kind
        cannot be told.
    FormatError, AlignmentError
        If a table cannot be read, or ids repeat.
    """
    frame, notes = read_plain(outcomes, id_name=known_id(outcomes, id_name), id_rule=id_rule)
    for name in (target, event, patient, site, *clinical):
        if name is not None and name not in frame.columns:
            raise InputError(
                f"{outcomes}: no column {name!r}. {did_you_mean(name, frame.columns[1:])}"
            )
    circular = sorted({target, event} & {*clinical})
    if circular:
        raise InputError(f"{shown(circular)} is the outcome and cannot be a predictor.")
    blocks: dict[str, Any] = {}
    taken = {target, event, patient, site, *clinical} - {None}
    for paths, role in ((features, "imaging"), (genomic, "genomic")):
        for path in paths:
            name = role if len(paths) == 1 else f"{role}: {Path(path).name.split('.')[0]}"
            blocks[name] = read_feature_table(
                path,
                id_column=known_id(path, id_name),
                id_rule=id_rule,
                exclude={*taken, *exclude},
            )
            notes += _not_features(path, taken, known_id(path, id_name), outcomes)
            notes += _no_numbers(blocks[name], path)
            notes += _respelt(blocks[name].samples, frame["sample"].to_list(), path, outcomes)
    blocks |= named_arrays(arrays)
    if clinical:
        blocks["clinical"] = frame.select("sample", *clinical)
    if not blocks and predictors:
        raise InputError("There is no predictor: give feature tables, or clinical columns.")
    known, told = outcome_of(frame, target, event, (positive, negative), unit)
    ids = frame["sample"].to_list()
    return ModelInputs(
        blocks,
        known,
        None if patient is None else _labels(frame, patient),
        dict.fromkeys(ids, one_site) if one_site else _sites(frame, site),
        (*notes, *(f"{Path(outcomes).name}: {text}" for text in told)),
    )


def named_arrays(paths: Sequence[str | Path]) -> dict[str, SampleArrays]:
    """Return files of crops or bags as blocks, named by what they hold.

    Raises
    ------
    FormatError
        If a file is no such file.
    """
    found = [read_sample_arrays(path) for path in paths]
    return {
        item.layout if len(found) == 1 else f"{item.layout}: {Path(path).stem}": item
        for path, item in zip(paths, found, strict=True)
    }


def _not_features(
    path: str | Path, taken: Collection[str], id_name: str | None, outcomes: str | Path
) -> list[str]:
    """Return a note on columns that say something else in this analysis, and so are no features."""
    found = [name for name in read_table(path).columns if name in taken and name != id_name]
    if not found:
        return []
    return [
        f"{Path(path).name}: {shown(found)} left out of the features: outcome, patient, site or "
        f"clinical column of {Path(outcomes).name}."
    ]


def _no_numbers(table: PhenotypeTable, path: str | Path) -> list[str]:
    odd = table.status.filter(pl.col("reason").str.starts_with("the cell holds"))
    if not odd.height:
        return []
    cells = [
        f"{phenotype} of {sample}: {reason.removeprefix('the cell holds ').split(', no')[0]}"
        for sample, phenotype, reason in odd.select("sample", "phenotype", "reason").iter_rows()
    ]
    return [
        f"{Path(path).name}: {counted(odd.height, 'cell')} without a number ({shown(cells, 3)}), "
        "taken as missing"
    ]


def _respelt(
    samples: Sequence[str], known: Sequence[str], path: str | Path, outcomes: str | Path
) -> list[str]:
    """Return a note on ids that both tables hold in different spellings, and so do not match."""
    pairs = look_alikes(samples, known) or longer_barcodes(samples, known)
    pairs = pairs or [(b, a) for a, b in longer_barcodes(known, samples)]
    if not pairs:
        return []
    return [
        f"{Path(path).name}: {counted(len(pairs), 'id')} written otherwise in "
        f"{Path(outcomes).name} ({shown([f'{a}: {b}' for a, b in pairs], 3)}) and not matched. "
        "Write them alike, or declare an id rule (evaluate: --id-case, --id-first, --id-pattern)."
    ]


def known_id(path: str | Path, id_name: str | None) -> str | None:
    """Return the id column where this table has it; another table may name its ids otherwise."""
    if id_name is None or id_name not in read_table(path).columns:
        return None
    return id_name


def _labels(frame: pl.DataFrame, name: str) -> dict[str, str]:
    empty = frame.filter(pl.col(name).is_null())["sample"].to_list()
    if empty:
        raise InputError(f"{len(empty)} samples have no {name!r}: {shown(empty)}. Fill it in.")
    texts = text_of(frame[name], path=name)
    return dict(zip(frame["sample"].to_list(), texts, strict=True))


def _sites(frame: pl.DataFrame, name: str | None) -> dict[str, str] | None:
    return None if name is None else _labels(frame, name)


def against_the_rest(
    outcomes: str | Path, target: str, *, id_name: str | None = None
) -> tuple[str, ...]:
    """Return the values of a category, each to be modelled against all others.

    Parameters
    ----------
    outcomes : str or Path
        Table with the category.
    target : str
        Its column.
    id_name : str or None
        Column of sample ids.

    Raises
    ------
    InputError
        If the column does not exist, or has fewer than two or more than twenty values.
    """
    frame, _ = read_plain(outcomes, id_name=known_id(outcomes, id_name))
    if target not in frame.columns:
        raise InputError(
            f"{outcomes}: no column {target!r}. {did_you_mean(target, frame.columns[1:])}"
        )
    values = frame[target].drop_nulls().unique().sort().to_list()
    if not 2 <= len(values) <= 20:
        raise InputError(f"{target!r} has {len(values)} values; needed are two to twenty.")
    return tuple(f"{v:g}" if isinstance(v, float) else str(v) for v in values)
